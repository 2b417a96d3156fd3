/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-dma-copy: copies of the DMA engine, one piece at a time
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "hw/pci-ep/pci-epc.h"
#include "trace.h"

/* ---- Pieces ---- */

void epc_dma_pieces_init(EpcDmaPieces *p)
{
    qemu_mutex_init(&p->lock);
    qemu_cond_init(&p->over);
}

void epc_dma_pieces_destroy(EpcDmaPieces *p)
{
    qemu_cond_destroy(&p->over);
    qemu_mutex_destroy(&p->lock);
}

/* Not a plain mutex: the worker would take it again before a waiter wakes. */
void epc_dma_pieces_drain(EpcDmaPieces *p)
{
    uint64_t now;

    QEMU_LOCK_GUARD(&p->lock);
    now = p->count;
    while (p->busy && p->count == now) {
        qemu_cond_wait(&p->over, &p->lock);
    }
}

static void piece_begin(EpcDmaPieces *p)
{
    QEMU_LOCK_GUARD(&p->lock);
    p->busy = true;
    p->count++;
}

static void piece_end(EpcDmaPieces *p)
{
    QEMU_LOCK_GUARD(&p->lock);
    p->busy = false;
    qemu_cond_broadcast(&p->over);
}

/* ---- Memory of the endpoint ---- */

typedef struct Local {
    MemoryRegion *mr;
    uint8_t *ptr;
    hwaddr len;
} Local;

/*
 * Not address_space_map(): for what is not RAM that calls the device behind it,
 * with the BQL.  Under RCU until local_put().
 */
static bool local_get(EpcState *s, uint64_t addr, uint32_t len, bool write,
                      Local *l)
{
    MemTxAttrs attrs = { .memory = 1, .requester_id = pci_requester_id(
                         PCI_DEVICE(s)) };
    AddressSpace *as = pci_get_address_space(PCI_DEVICE(s));
    hwaddr offset;

    l->len = len;
    l->mr = address_space_translate(as, addr, &offset, &l->len, write, attrs);
    if (!l->len || !memory_region_is_ram(l->mr) || !l->mr->ram_block ||
        l->mr->ram_block->mr != l->mr || memory_region_is_ram_device(l->mr) ||
        (write && (l->mr->readonly || l->mr->rom_device))) {
        return false;
    }
    l->ptr = (uint8_t *)memory_region_get_ram_ptr(l->mr) + offset;
    return true;
}

/* After a write: has QEMU forget code it translated from this memory. */
static void local_written(EpcState *s, Local *l, uint32_t len)
{
    memory_region_ref(l->mr);
    address_space_unmap(pci_get_address_space(PCI_DEVICE(s)), l->ptr, len,
                        true, len);
}

/* ---- Memory of the host ---- */

typedef struct End {
    bool host, write;
    unsigned fn;
    uint64_t addr;
    Local local;
    EpcDmaPointer remote;
} End;

static uint32_t remote_get(EpcState *s, End *e, uint32_t len)
{
    EpcFunction *fn = &s->fn[e->fn];

    if (!epc_fn_usable(fn)) {
        return EPC_DMA_NO_LINK;
    }
    if (!epc_fn_may_dma(fn)) {
        return EPC_DMA_NOT_MAPPED;
    }
    switch (epc_dma_table_point(fn->dma, e->addr, len, e->write, &e->remote)) {
    case 0:
        return EPC_DMA_OK;
    case -EFAULT:
        epc_server_fault(fn->server, e->addr, e->write);
        return EPC_DMA_NOT_MAPPED;
    default:
        return EPC_DMA_NOT_SHARED;
    }
}

static uint32_t message(EpcDmaChannel *ch, const End *e, void *buf,
                        uint32_t len)
{
    EpcServer *server = ch->epc->fn[e->fn].server;
    int ret;

    qatomic_set(&ch->message, true);
    ret = e->write ? epc_server_dma_write(server, e->addr, buf, len) :
                     epc_server_dma_read(server, e->addr, buf, len);
    qatomic_set(&ch->message, false);
    trace_epc_dma_message(ch->index, e->write, e->addr, len, ret);
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

/* ---- Copies ---- */

/* Memory that the worker itself has, in the place of the endpoint's */
static End end_buffer(void *buf, uint32_t len)
{
    return (End) { .local = { .ptr = buf, .len = len } };
}

static bool end_translate(EpcState *s, End *e, uint32_t len)
{
    return e->host || (!e->local.mr && e->local.ptr) ||
           local_get(s, e->addr, len, e->write, &e->local);
}

/* In a piece: what is the channel allowed to reach now? */
static uint32_t ends_look_up(EpcDmaChannel *ch, End *src, End *dst,
                             uint32_t len)
{
    EpcState *s = ch->epc;
    uint32_t status = EPC_DMA_OK;

    QEMU_LOCK_GUARD(&s->lock);
    if (!ch->enabled || ch->epoch != ch->work_epoch) {
        return EPC_DMA_VOID;
    }
    if (src->host) {
        status = remote_get(s, src, len);
    }
    if (status == EPC_DMA_OK && dst->host) {
        status = remote_get(s, dst, len);
    }
    return status;
}

static uint64_t end_len(const End *e)
{
    return e->host ? e->remote.size : e->local.len;
}

/*
 * Copies what is contiguous at both ends, at most *@len.  EPC_DMA_NOT_SHARED:
 * nothing was done, it takes a message.
 */
static uint32_t copy_piece(EpcDmaChannel *ch, End src, End dst, uint32_t *len)
{
    EpcState *s = ch->epc;
    uint32_t status;

    RCU_READ_LOCK_GUARD();
    if (!end_translate(s, &src, *len) || !end_translate(s, &dst, *len)) {
        return EPC_DMA_BAD_ADDR;
    }
    piece_begin(&s->dma.pieces);
    status = ends_look_up(ch, &src, &dst, *len);
    if (status == EPC_DMA_OK) {
        *len = MIN(*len, MIN(end_len(&src), end_len(&dst)));
        memmove(dst.host ? dst.remote.ptr : dst.local.ptr,
                src.host ? src.remote.ptr : src.local.ptr, *len);
        if (dst.local.mr) {
            local_written(s, &dst.local, *len);
        }
    }
    piece_end(&s->dma.pieces);
    epc_dma_view_unref(src.remote.view);
    epc_dma_view_unref(dst.remote.view);
    return status;
}

/* All of *@len, which the worker's buffer at the other end limits. */
static uint32_t copy_all(EpcDmaChannel *ch, End src, End dst, uint32_t len)
{
    uint32_t status = EPC_DMA_OK;

    while (len && status == EPC_DMA_OK) {
        uint32_t n = len;

        status = copy_piece(ch, src, dst, &n);
        src.addr += n;
        dst.addr += n;
        if (!src.host && src.local.ptr) {
            src.local.ptr += n;
            src.local.len -= n;
        }
        if (!dst.host && dst.local.ptr) {
            dst.local.ptr += n;
            dst.local.len -= n;
        }
        len -= n;
    }
    return status;
}

/* Through the worker's buffer; at least one end is not in reach. */
static uint32_t copy_bounced(EpcDmaChannel *ch, End src, End dst,
                             uint32_t *len)
{
    uint8_t *bounce = ch->epc->dma.bounce;
    uint32_t n = MIN(*len, EPC_DMA_BOUNCE);
    uint32_t status;

    *len = n;
    status = copy_all(ch, src, end_buffer(bounce, n), n);
    if (status == EPC_DMA_NOT_SHARED) {
        status = message(ch, &src, bounce, n);
    }
    if (status != EPC_DMA_OK) {
        return status;
    }
    status = copy_all(ch, end_buffer(bounce, n), dst, n);
    if (status == EPC_DMA_NOT_SHARED) {
        status = message(ch, &dst, bounce, n);
    }
    return status;
}

uint32_t epc_dma_copy(EpcDmaChannel *ch, bool wait, uint32_t *count)
{
    const EpcDmaDesc *d = &ch->desc;
    End src = {
        .host = d->flags & EPC_DMA_SRC_HOST,
        .fn = d->flags >> EPC_DMA_SRC_FN_SHIFT & EPC_DMA_FN_MASK,
        .addr = d->src + ch->done,
    };
    End dst = {
        .host = d->flags & EPC_DMA_DST_HOST,
        .fn = d->flags >> EPC_DMA_DST_FN_SHIFT & EPC_DMA_FN_MASK,
        .addr = d->dst + ch->done,
        .write = true,
    };
    uint32_t status;

    *count = MIN(d->length - ch->done, EPC_DMA_PIECE);
    status = copy_piece(ch, src, dst, count);
    if (status == EPC_DMA_NOT_SHARED) {
        status = wait ? copy_bounced(ch, src, dst, count) : EPC_DMA_VOID;
    }
    return status;
}

uint32_t epc_dma_ring_read(EpcDmaChannel *ch, uint64_t addr, void *buf,
                           uint32_t len)
{
    End src = { .addr = addr };

    return copy_all(ch, src, end_buffer(buf, len), len);
}

static uint32_t ring_word(EpcDmaChannel *ch, uint64_t addr, uint32_t v)
{
    EpcState *s = ch->epc;
    End dst = { .addr = addr, .write = true };
    uint32_t status;

    RCU_READ_LOCK_GUARD();
    if (!end_translate(s, &dst, sizeof(v)) || dst.local.len < sizeof(v)) {
        return EPC_DMA_BAD_ADDR;
    }
    piece_begin(&s->dma.pieces);
    status = ends_look_up(ch, &dst, &dst, sizeof(v));
    if (status == EPC_DMA_OK) {
        qatomic_store_release((uint32_t *)dst.local.ptr, cpu_to_le32(v));
        local_written(s, &dst.local, sizeof(v));
    }
    piece_end(&s->dma.pieces);
    return status;
}

uint32_t epc_dma_ring_status(EpcDmaChannel *ch, uint64_t addr, uint32_t done,
                             uint32_t status)
{
    uint32_t ret = ring_word(ch, addr + EPC_DMA_DESC_DONE, done);

    return ret == EPC_DMA_OK ?
           ring_word(ch, addr + EPC_DMA_DESC_STATUS, status) : ret;
}
