/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-link: one link-up of one remote function
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
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
        epf_doorbells_unref(l->bar[i].doorbells);
        ep_mem_release(l->bar[i].mem, l->bar[i].size);
    }
    qemu_cond_destroy(&l->cond);
    qemu_mutex_destroy(&l->lock);
    g_free(l);
}

void epf_link_kill(EpfLink *l)
{
    qatomic_set(&l->dead, true);

    qemu_mutex_lock(&l->lock);
    epf_areas_kill_locked(l);
    qemu_cond_broadcast(&l->cond);
    qemu_mutex_unlock(&l->lock);
}

/*
 * The cache tells without any access whether a piece is plain RAM; whatever
 * is not needs the BQL, which the reader thread must not take.
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
        ret = epf_is_memory(cache.mrs.mr) ? -EFAULT : -EAGAIN;
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
