/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copies of the DMA engine
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "hw/pci-ep/endpoint/dma-burst.h"
#include "hw/pci-ep/endpoint/dma-channel.h"
#include "hw/pci-ep/endpoint/dma-copy.h"
#include "hw/pci-ep/endpoint/dma-memory.h"
#include "hw/pci-ep/endpoint/fn-state.h"
#include "hw/pci-ep/endpoint/host-memory.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/server/server.h"
#include "hw/pci-ep/trace.h"

/* ---- Source and destination ---- */

typedef enum EpcDmaKind {
    DMA_COPY_ENDPOINT,          /* memory of the endpoint guest */
    DMA_COPY_HOST,              /* memory that the host lets a function reach */
    DMA_COPY_BOUNCE,            /* EpcDmaWorker.bounce */
} EpcDmaKind;

/* Source or destination of a copy, and where it is during a burst */
typedef struct EpcDmaSide {
    EpcDmaKind kind;
    bool write;
    unsigned fn;                /* HOST: number of the function */
    uint64_t addr;              /* DMA or PCI address, offset in bounce */
    EpcDmaSpan span;
    EpcHostView *view;          /* HOST: reference that keeps the span mapped */
} EpcDmaSide;

/* Before a burst: finds a side that is not in the host. */
static bool dma_copy_find_local(EpcDmaChannel *ch, EpcDmaSide *side,
                                uint32_t len)
    EP_REQUIRES(&ch->worker->turn);
static bool dma_copy_find_local(EpcDmaChannel *ch, EpcDmaSide *side,
                                uint32_t len)
{
    switch (side->kind) {
    case DMA_COPY_ENDPOINT:
        return epc_dma_memory_translate(ch->worker, side->addr, len,
                                        side->write, &side->span);
    case DMA_COPY_BOUNCE:
        side->span.ptr = ch->worker->bounce + side->addr;
        side->span.len = EPC_DMA_BOUNCE - side->addr;
        return true;
    default:
        return true;
    }
}

/* In a burst: finds a side in the host, if the function may reach it now. */
static uint32_t dma_copy_find_host(EpcState *s, EpcDmaSide *side, uint32_t len)
    EP_REQUIRES(&s->lock);
static uint32_t dma_copy_find_host(EpcState *s, EpcDmaSide *side, uint32_t len)
{
    EpcFunction *fn = &s->fn[side->fn];
    EpcHostPointer p;

    EP_LOCK_HELD(&fn->epc->lock);
    if (!epc_fn_usable(fn)) {
        return EPC_DMA_NO_LINK;
    }
    if (!epc_fn_may_dma(fn)) {
        return EPC_DMA_NOT_MAPPED;
    }
    switch (epc_host_memory_point(fn->host_memory, side->addr, len, side->write,
                                  &p)) {
    case 0:
        side->span.ptr = p.ptr;
        side->span.len = p.size;
        side->view = p.view;
        return EPC_DMA_OK;
    case -EFAULT:
        epc_server_fault(fn->server, side->addr, side->write);
        return EPC_DMA_NOT_MAPPED;
    default:
        return EPC_DMA_NOT_SHARED;
    }
}

/* In a burst: may the channel go on, and where are the sides in the host? */
static uint32_t dma_copy_check(EpcDmaChannel *ch, EpcDmaSide *src,
                               EpcDmaSide *dst, uint32_t len)
    EP_REQUIRES(&ch->worker->turn);
static uint32_t dma_copy_check(EpcDmaChannel *ch, EpcDmaSide *src,
                               EpcDmaSide *dst, uint32_t len)
{
    EpcState *s = ch->epc;
    uint32_t status = EPC_DMA_OK;

    QEMU_LOCK_GUARD(&s->lock);
    if (!ch->enabled || ch->epoch != ch->work_epoch) {
        return EPC_DMA_VOID;
    }
    if (src->kind == DMA_COPY_HOST) {
        status = dma_copy_find_host(s, src, len);
    }
    if (status == EPC_DMA_OK && dst->kind == DMA_COPY_HOST) {
        status = dma_copy_find_host(s, dst, len);
    }
    return status;
}

/* ---- Copies ---- */

/* The function whose host memory @side is in, as a bit; 0: none */
static uint32_t dma_copy_functions(const EpcDmaSide *side)
{
    return side->kind == DMA_COPY_HOST ? BIT(side->fn) : 0;
}

/*
 * One burst. Copies what is contiguous on both sides, at most *@len bytes,
 * and stores how many. Returns EPC_DMA_NOT_SHARED when nothing was copied
 * because a side in the host takes a message.
 */
static uint32_t dma_copy_burst(EpcDmaChannel *ch, EpcDmaSide src,
                               EpcDmaSide dst, uint32_t *len)
    EP_REQUIRES(&ch->worker->turn);
static uint32_t dma_copy_burst(EpcDmaChannel *ch, EpcDmaSide src,
                               EpcDmaSide dst, uint32_t *len)
{
    EpcDmaBurst burst = {
        .channel = ch->index,
        .epoch = ch->work_epoch,
        .functions = dma_copy_functions(&src) | dma_copy_functions(&dst),
    };
    EpcState *s = ch->epc;
    uint32_t status;

    RCU_READ_LOCK_GUARD();
    if (!dma_copy_find_local(ch, &src, *len) ||
        !dma_copy_find_local(ch, &dst, *len)) {
        return EPC_DMA_BAD_ADDR;
    }
    epc_dma_burst_begin(&s->dma.bursts, &burst);
    status = dma_copy_check(ch, &src, &dst, *len);
    if (status == EPC_DMA_OK) {
        *len = MIN(*len, MIN(src.span.len, dst.span.len));
        memmove(dst.span.ptr, src.span.ptr, *len);
        if (dst.span.mr) {
            epc_dma_memory_written(s, &dst.span, *len);
        }
    }
    epc_dma_burst_end(&s->dma.bursts, &burst);
    epc_host_view_unref(src.view);
    epc_host_view_unref(dst.view);
    return status;
}

/* As many bursts as it takes to copy @len bytes */
static uint32_t dma_copy_all(EpcDmaChannel *ch, EpcDmaSide src, EpcDmaSide dst,
                             uint32_t len)
    EP_REQUIRES(&ch->worker->turn);
static uint32_t dma_copy_all(EpcDmaChannel *ch, EpcDmaSide src, EpcDmaSide dst,
                             uint32_t len)
{
    uint32_t status = EPC_DMA_OK;

    while (len && status == EPC_DMA_OK) {
        uint32_t n = len;

        status = dma_copy_burst(ch, src, dst, &n);
        src.addr += n;
        dst.addr += n;
        len -= n;
    }
    return status;
}

/* Copies between the bounce buffer and a side in the host, by message. */
static uint32_t dma_copy_message(EpcDmaChannel *ch, const EpcDmaSide *side,
                                 uint32_t len)
    EP_REQUIRES(&ch->worker->turn);
static uint32_t dma_copy_message(EpcDmaChannel *ch, const EpcDmaSide *side,
                                 uint32_t len)
{
    EpcState *s = ch->epc;
    EpcServer *server = s->fn[side->fn].server;
    uint8_t *buf = ch->worker->bounce;
    int ret;

    qatomic_set(&ch->message, true);
    ret = side->write ? epc_server_dma_write(server, side->addr, buf, len) :
                        epc_server_dma_read(server, side->addr, buf, len);
    qatomic_set(&ch->message, false);
    trace_pci_epc_dma_message(epc_name(s), side->fn, ch->index, side->write,
                              side->addr, len, ret);
    switch (ret) {
    case 0:
        return EPC_DMA_OK;
    case -ENOTCONN:
        return EPC_DMA_NO_LINK;
    case -EOPNOTSUPP:
        return EPC_DMA_NOT_SHARED;
    case -EFAULT:
    case -EACCES:
    case -EPERM:
    case -EINVAL:
        return EPC_DMA_NOT_MAPPED;
    default:
        return EPC_DMA_IO;
    }
}

/* Copies through the bounce buffer: a side in the host takes a message. */
static uint32_t dma_copy_bounced(EpcDmaChannel *ch, EpcDmaSide src,
                                 EpcDmaSide dst, uint32_t *len)
    EP_REQUIRES(&ch->worker->turn);
static uint32_t dma_copy_bounced(EpcDmaChannel *ch, EpcDmaSide src,
                                 EpcDmaSide dst, uint32_t *len)
{
    EpcDmaSide fill = { .kind = DMA_COPY_BOUNCE, .write = true };
    EpcDmaSide drain = { .kind = DMA_COPY_BOUNCE };
    uint32_t n = MIN(*len, EPC_DMA_BOUNCE);
    uint32_t status;

    *len = n;
    status = dma_copy_all(ch, src, fill, n);
    if (status == EPC_DMA_NOT_SHARED) {
        status = dma_copy_message(ch, &src, n);
    }
    if (status != EPC_DMA_OK) {
        return status;
    }
    status = dma_copy_all(ch, drain, dst, n);
    if (status == EPC_DMA_NOT_SHARED) {
        status = dma_copy_message(ch, &dst, n);
    }
    return status;
}

uint32_t epc_dma_copy(EpcDmaChannel *ch, bool wait, uint32_t *count)
{
    const EpcDmaDesc *d = &ch->desc;
    EpcDmaSide src = {
        .kind = d->flags & EPC_DMA_SRC_HOST ? DMA_COPY_HOST : DMA_COPY_ENDPOINT,
        .fn = d->flags >> EPC_DMA_SRC_FN_SHIFT & EPC_DMA_FN_MASK,
        .addr = d->src + ch->done,
    };
    EpcDmaSide dst = {
        .kind = d->flags & EPC_DMA_DST_HOST ? DMA_COPY_HOST : DMA_COPY_ENDPOINT,
        .write = true,
        .fn = d->flags >> EPC_DMA_DST_FN_SHIFT & EPC_DMA_FN_MASK,
        .addr = d->dst + ch->done,
    };
    uint32_t status;

    *count = MIN(d->length - ch->done, EPC_DMA_BURST);
    status = dma_copy_burst(ch, src, dst, count);
    if (status == EPC_DMA_NOT_SHARED) {
        status = wait ? dma_copy_bounced(ch, src, dst, count) : EPC_DMA_VOID;
    }
    return status;
}
