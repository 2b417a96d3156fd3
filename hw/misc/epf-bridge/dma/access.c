/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * access: DMA messages of the endpoint
 */
#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "hw/misc/epf-bridge/dma/access.h"
#include "hw/misc/epf-bridge/dma/mmio.h"
#include "hw/misc/epf-bridge/trace.h"

/*
 * Accesses at most *@len bytes of plain memory and sets *@len to their number.
 * The cache says without an access, so without the BQL, what is at @addr.
 * Returns -EAGAIN for anything that needs the BQL.
 */
static int epf_access_chunk(AddressSpace *as, uint64_t addr, void *buf,
                            uint64_t *len, bool is_write)
{
    MemoryRegionCache cache;
    int64_t n = address_space_cache_init(&cache, as, addr, *len, is_write);
    int ret = 0;

    if (n <= 0) {
        return -EFAULT;
    }
    if (!cache.ptr) {
        ret = epf_mmio_is_memory(cache.mrs.mr) ? -EFAULT : -EAGAIN;
    } else if (is_write) {
        address_space_write_cached(&cache, 0, buf, n);
        address_space_cache_invalidate(&cache, 0, n);
    } else {
        address_space_read_cached(&cache, 0, buf, n);
    }
    address_space_cache_destroy(&cache);
    *len = n;
    return ret;
}

/*
 * The lock keeps the address space from going away, and the remote from dying
 * before the access is over.
 */
static int epf_access_memory(EpfRemote *r, uint64_t addr, void *buf,
                             uint64_t len, bool is_write)
{
    int ret = 0;

    if (!len || addr > UINT64_MAX - (len - 1)) {
        return -EINVAL;
    }
    RCU_READ_LOCK_GUARD();
    QEMU_LOCK_GUARD(&r->lock);
    if (!r->dma_as || epf_remote_dead(r)) {
        return -ENODEV;
    }
    while (len && !ret) {
        uint64_t n = len;

        ret = epf_access_chunk(r->dma_as, addr, buf, &n, is_write);
        addr += n;
        buf = (uint8_t *)buf + n;
        len -= n;
    }
    return ret;
}

void epf_access_dma(EpfWorker *w, EpfRemote *r, const VfuDmaRw *rw,
                    bool is_write, EpwRequest *req)
{
    g_autofree void *copy = is_write ? NULL : g_malloc(rw->count);
    void *buf = is_write ? (void *)(rw + 1) : copy;
    struct iovec iov[2] = {
        { (void *)rw, sizeof(*rw) }, { copy, rw->count },
    };
    int err = epf_access_memory(r, rw->address, buf, rw->count, is_write);

    trace_epf_bridge_dma(r->device, r->func, r->generation, is_write,
                         rw->address, rw->count, err);
    if (err == -EAGAIN) {
        epf_worker_dma(w, r, rw, is_write, req);
    } else if (err) {
        epw_reply_error(req, -err);
    } else {
        epw_reply(req, iov, is_write ? 1 : 2, NULL, 0);
    }
}
