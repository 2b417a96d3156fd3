/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-link: one link-up of one remote function
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "epf-client.h"
#include "trace.h"

EpfLink *epf_link_new(EpfClient *client, uint32_t generation,
                      unsigned speed, unsigned width)
{
    EpfLink *l = g_new0(EpfLink, 1);

    l->refs = 1;
    l->client = client;
    l->generation = generation;
    l->speed = speed;
    l->width = width;
    qemu_mutex_init(&l->lock);
    qemu_cond_init(&l->cond);
    return l;
}

EpfLink *epf_link_ref(EpfLink *l)
{
    qatomic_inc(&l->refs);
    return l;
}

void epf_link_unref(EpfLink *l)
{
    if (!l || qatomic_fetch_dec(&l->refs) > 1) {
        return;
    }
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        if (l->bar[i].mem) {
            ep_mem_release(l->bar[i].mem, l->bar[i].size);
        }
    }
    qemu_cond_destroy(&l->cond);
    qemu_mutex_destroy(&l->lock);
    g_free(l);
}

static void unmap_locked(EpfBar *b)
{
    if (b->mapped) {
        ep_mem_unmap(b->mem, b->size);
        b->mapped = false;
    }
}

void epf_link_kill(EpfLink *l)
{
    qatomic_set(&l->dead, true);

    qemu_mutex_lock(&l->lock);
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        unmap_locked(&l->bar[i]);
    }
    qemu_cond_broadcast(&l->cond);
    qemu_mutex_unlock(&l->lock);
}

void epf_link_revoke_bar(EpfLink *l, unsigned bar)
{
    qemu_mutex_lock(&l->lock);
    l->bar[bar].revoked++;
    unmap_locked(&l->bar[bar]);
    qemu_mutex_unlock(&l->lock);
}

bool epf_link_map_bar(EpfLink *l, unsigned bar, unsigned revoked, int fd,
                      uint64_t offset, bool writable, Error **errp)
{
    EpfBar *b = &l->bar[bar];
    size_t page = qemu_real_host_page_size();
    EpFile *f;
    int ret = 0;

    f = ep_file_new(fd, epf_client_trusts_unsealed(l->client), errp);
    if (!f) {
        return false;
    }
    if (!QEMU_IS_ALIGNED(offset | b->size, page) ||
        !ep_file_covers(f, offset, b->size)) {
        error_setg(errp, "the endpoint's memory for BAR %u does not cover it "
                   "page by page; it is reached by messages, which is slow",
                   bar);
        ep_file_unref(f);
        return false;
    }

    qemu_mutex_lock(&l->lock);
    if (!epf_link_dead(l) && b->revoked == revoked && b->mem) {
        ret = ep_mem_map(b->mem, b->size, f, offset, writable);
        b->mapped = ret == 0;
    }
    trace_epf_link_map(l->generation, bar, b->size, b->mapped);
    qemu_mutex_unlock(&l->lock);

    ep_file_unref(f);
    if (ret) {
        error_setg_errno(errp, -ret, "cannot map the endpoint's memory for "
                         "BAR %u; it is reached by messages, which is slow",
                         bar);
    }
    return ret == 0;
}

unsigned epf_link_bar_revoked(EpfLink *l, unsigned bar)
{
    QEMU_LOCK_GUARD(&l->lock);
    return l->bar[bar].revoked;
}

bool epf_link_bar_mapped(EpfLink *l, unsigned bar)
{
    QEMU_LOCK_GUARD(&l->lock);
    return l->bar[bar].mapped;
}

/*
 * The cache tells without any access whether a piece is plain RAM; whatever
 * is not would need the BQL, which the reader thread must not take.  Only what
 * is behind an IOMMU is worth that.
 */
static int dma_piece(AddressSpace *as, uint64_t addr, void *buf,
                     uint64_t *len, bool is_write)
{
    MemoryRegionCache cache;
    int64_t n = address_space_cache_init(&cache, as, addr, *len, is_write);
    int ret = 0;

    if (n <= 0) {
        return -EFAULT;
    }
    if (!cache.ptr) {
        ret = memory_region_is_iommu(cache.mrs.mr) ? -EAGAIN : -EFAULT;
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

int epf_link_dma(EpfLink *l, uint64_t addr, void *buf, uint64_t len,
                 bool is_write)
{
    int ret = 0;

    if (!len || addr > UINT64_MAX - (len - 1)) {
        return -EINVAL;
    }
    RCU_READ_LOCK_GUARD();
    QEMU_LOCK_GUARD(&l->lock);
    if (!l->dma_as || epf_link_dead(l)) {
        return -ENODEV;
    }
    while (len && !ret) {
        uint64_t n = len;

        ret = dma_piece(l->dma_as, addr, buf, &n, is_write);
        addr += n;
        buf = (uint8_t *)buf + n;
        len -= n;
    }
    return ret;
}

/* Bytes for which the BQL is held */
#define TRANSLATED_PIECE    (64 * 1024u)

static int translated_piece(EpfLink *l, uint64_t addr, void *buf, uint64_t len,
                            bool is_write)
{
    /* RAM only, as for DMA that is not translated */
    MemTxAttrs attrs = { .memory = 1 };
    AddressSpace *as;

    BQL_LOCK_GUARD();
    WITH_QEMU_LOCK_GUARD(&l->lock) {
        as = epf_link_dead(l) ? NULL : l->dma_as;
    }
    if (!as) {
        return -ENODEV;
    }
    return address_space_rw(as, addr, attrs, buf, len, is_write) == MEMTX_OK ?
           0 : -EFAULT;
}

int epf_link_dma_translated(EpfLink *l, uint64_t addr, void *buf, uint64_t len,
                            bool is_write)
{
    int ret = 0;

    while (len && !ret) {
        uint64_t n = MIN(len, TRANSLATED_PIECE);

        ret = translated_piece(l, addr, buf, n, is_write);
        addr += n;
        buf = (uint8_t *)buf + n;
        len -= n;
    }
    return ret;
}
