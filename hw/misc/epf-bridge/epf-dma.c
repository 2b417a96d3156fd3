/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-dma: what a remote function may reach of this guest's memory
 *
 * Follows the function's bus master address space, so Bus Master Enable and
 * every reset revoke all maps by themselves.  Maps are sent and not waited
 * for.  Unmaps are awaited before the memory transaction is over: afterwards
 * the guest may put anything else in that place.
 */
#include "qemu/osdep.h"
#include "qemu/int128.h"
#include "qemu/range.h"
#include "exec/cpu-common.h"
#include "hw/pci/pci.h"
#include "system/hostmem.h"
#include "epf-function.h"
#include "trace.h"

static bool is_shared(const MemoryRegion *mr)
{
    return mr->ram_block && mr->ram_block->fd >= 0 &&
           qemu_ram_is_shared(mr->ram_block);
}

/* The part of @s that can be told in whole pages; false when there is none. */
static bool section_range(const MemoryRegionSection *s, uint64_t *addr,
                          uint64_t *size, uint64_t *offset)
{
    uint64_t page = qemu_real_host_page_size();
    uint64_t start = s->offset_within_address_space;
    uint64_t first = ROUND_UP(start, page);
    Int128 end = int128_add(int128_make64(start), s->size);
    uint64_t last;

    /* Transient places of 64-bit BARs while they are being sized */
    if (start & (1ULL << 63) || int128_gethi(end) ||
        !memory_region_is_ram(s->mr) || memory_region_is_ram_device(s->mr) ||
        (s->offset_within_region ^ start) & (page - 1)) {
        return false;
    }
    last = ROUND_DOWN(int128_get64(end), page);
    if (last <= first) {
        return false;
    }
    *addr = first;
    *size = last - first;
    *offset = s->offset_within_region + (first - start);
    return true;
}

static void map_done(EpwSession *s, int err, EpwMsg *reply, void *opaque)
{
    EpfLink *l = opaque;

    if (err && err != -ENOTCONN) {
        epf_client_report(l->client, "the endpoint cannot take a range of "
                          "this guest's memory: %s", strerror(-err));
    }
    epf_link_unref(l);
}

static void warn_not_shared(EpfFunction *f, const MemoryRegion *mr)
{
    /* Only what the user chose: not video memory, not firmware */
    if (object_dynamic_cast(memory_region_owner((MemoryRegion *)mr),
                            TYPE_MEMORY_BACKEND)) {
        epf_client_report(f->link->client, "this guest's memory cannot be "
                          "shared with the endpoint and is reached by "
                          "messages, which is slow; use -object "
                          "memory-backend-memfd,id=ram,size=SIZE,share=on "
                          "-machine memory-backend=ram");
    }
}

static void epf_dma_region_add(MemoryListener *listener,
                               MemoryRegionSection *s)
{
    EpfFunction *f = container_of(listener, EpfFunction, listener);
    VfuDmaMap m = { .argsz = sizeof(m), .flags = VFU_DMA_READ };
    struct iovec iov = { .iov_base = &m, .iov_len = sizeof(m) };
    bool shared;
    int fd = -1;

    if (memory_region_is_iommu(s->mr) && !f->iommu_warned) {
        f->iommu_warned = true;
        epf_client_report(f->link->client, "DMA through this guest's IOMMU is "
                          "not supported; boot it with intel_iommu=off");
        return;
    }
    if (!section_range(s, &m.address, &m.size, &m.offset)) {
        return;
    }
    if (!s->readonly && !memory_region_is_rom(s->mr)) {
        m.flags |= VFU_DMA_WRITE;
    }
    shared = is_shared(s->mr);
    if (shared) {
        fd = s->mr->ram_block->fd;
        m.offset += s->mr->ram_block->fd_offset;
    } else {
        m.offset = 0;
        warn_not_shared(f, s->mr);
    }
    trace_epf_dma_map(f->link->generation, m.address, m.size, m.flags, shared);
    epf_link_call_async(f->link, VFU_CMD_DMA_MAP, &iov, 1, &fd, shared,
                        map_done, epf_link_ref(f->link));
}

static void unmap_done(EpwSession *s, int err, EpwMsg *reply, void *opaque)
{
    EpfLink *l = opaque;

    qemu_mutex_lock(&l->lock);
    if (--l->unmaps == 0) {
        qemu_cond_broadcast(&l->cond);
    }
    qemu_mutex_unlock(&l->lock);
    epf_link_unref(l);
}

static void epf_dma_region_del(MemoryListener *listener,
                               MemoryRegionSection *s)
{
    EpfFunction *f = container_of(listener, EpfFunction, listener);
    EpfLink *l = f->link;
    VfuDmaUnmap m = { .argsz = sizeof(m) };
    struct iovec iov = { .iov_base = &m, .iov_len = sizeof(m) };
    uint64_t offset;

    if (!section_range(s, &m.address, &m.size, &offset)) {
        return;
    }
    trace_epf_dma_unmap(l->generation, m.address, m.size);
    qemu_mutex_lock(&l->lock);
    l->unmaps++;
    qemu_mutex_unlock(&l->lock);
    epf_link_call_async(l, VFU_CMD_DMA_UNMAP, &iov, 1, NULL, 0,
                        unmap_done, epf_link_ref(l));
}

/*
 * A link that dies here needs no answer: the endpoint lost all maps with it.
 * The session's own deadline ends the wait; the margin is for its thread.
 */
static void epf_dma_commit(MemoryListener *listener)
{
    EpfFunction *f = container_of(listener, EpfFunction, listener);
    EpfLink *l = f->link;
    int64_t since = g_get_monotonic_time();
    int64_t until = since + epf_client_deadline(l->client) * INT64_C(1000) +
                    100000;

    qemu_mutex_lock(&l->lock);
    while (l->unmaps && !epf_link_dead(l)) {
        int64_t left = until - g_get_monotonic_time();

        if (left <= 0) {
            break;
        }
        qemu_cond_timedwait(&l->cond, &l->lock, DIV_ROUND_UP(left, 1000));
    }
    qemu_mutex_unlock(&l->lock);
    epf_link_waited(l, since);
}

void epf_dma_init(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);

    qemu_mutex_lock(&f->link->lock);
    f->link->dma_as = &d->bus_master_as;
    qemu_mutex_unlock(&f->link->lock);
    f->listener = (MemoryListener) {
        .name = "epf-dma",
        .region_add = epf_dma_region_add,
        .region_del = epf_dma_region_del,
        .commit = epf_dma_commit,
    };
    memory_listener_register(&f->listener, &d->bus_master_as);
    f->listening = true;
}

void epf_dma_exit(EpfFunction *f)
{
    qemu_mutex_lock(&f->link->lock);
    f->link->dma_as = NULL;
    qemu_mutex_unlock(&f->link->lock);
    if (f->listening) {
        memory_listener_unregister(&f->listener);
        f->listening = false;
    }
}
