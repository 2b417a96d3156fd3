/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One access to the window that software carries out
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/endpoint/dma-burst.h"
#include "hw/pci-ep/endpoint/fn-state.h"
#include "hw/pci-ep/endpoint/host-memory.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/window-access.h"
#include "hw/pci-ep/endpoint/window.h"
#include "hw/pci-ep/server/server.h"

static void window_access_memory(uint8_t *at, uint8_t *buf, uint32_t len,
                                 bool write)
{
    uint8_t *to = write ? at : buf, *from = write ? buf : at;

    if (is_power_of_2(len) && len <= 8) {
        stn_he_p(to, len, ldn_he_p(from, len));
    } else {
        memcpy(to, from, len);
    }
}

/*
 * Finds what is at @offset of the window. If that is memory, stores a pointer
 * in @host and begins @burst, so that the memory is not given up before its
 * end. Returns what epc_window_access() does.
 */
static int window_access_find(EpcState *s, uint64_t offset, uint32_t len,
                              bool write, EpcHostPlace *p, EpcHostPointer *host,
                              EpcDmaBurst *burst)
{
    uint64_t left;
    unsigned fn;
    int ret;

    p->len = len;
    QEMU_LOCK_GUARD(&s->lock);
    if (!epc_window_lookup(&s->window, offset, &fn, &p->addr, &left)) {
        return -EFAULT;
    }
    p->fn = &s->fn[fn];
    p->len = MIN(len, left);
    EP_LOCK_HELD(&p->fn->epc->lock);
    if (!epc_fn_may_dma(p->fn)) {
        return -EFAULT;
    }
    ret = epc_host_memory_point(p->fn->host_memory, p->addr, p->len, write,
                                host);
    if (!ret) {
        p->len = host->size;
        *burst = (EpcDmaBurst) {
            .channel = EPC_DMA_NO_CHANNEL,
            .functions = BIT(fn),
        };
        epc_dma_burst_begin(&s->dma.bursts, burst);
    } else if (ret == -EFAULT) {
        epc_server_fault(p->fn->server, p->addr, write);
    }
    return ret;
}

int epc_window_access(EpcState *s, uint64_t offset, uint8_t *buf, uint32_t len,
                      bool write, EpcHostPlace *p)
{
    EpcHostPointer host;
    EpcDmaBurst burst;
    int ret = window_access_find(s, offset, len, write, p, &host, &burst);

    if (!ret) {
        window_access_memory(host.ptr, buf, p->len, write);
        epc_dma_burst_end(&s->dma.bursts, &burst);
        epc_host_view_unref(host.view);
    }
    return ret;
}
