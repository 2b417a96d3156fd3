/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-dma: what a remote function may reach of this guest's memory
 *
 * Follows the function's bus master address space, so Bus Master Enable and
 * every reset revoke all maps by themselves.  Maps of plain memory are sent and
 * not waited for.  Unmaps are awaited before the memory transaction is over:
 * afterwards the guest may put anything else in that place.
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
    if (start & (1ULL << 63) || int128_gethi(end) || !epf_is_memory(s->mr) ||
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

static void map_report(EpfLink *l, int err)
{
    if (err && err != -ENOTCONN) {
        epf_client_report(l->client, "the endpoint cannot take a range of "
                          "this guest's memory: %s", strerror(-err));
    }
}

static void map_done(EpwSession *s, int err, EpwMsg *reply, void *opaque)
{
    EpfLink *l = opaque;

    map_report(l, err);
    epf_link_unref(l);
}

/* For messages that somebody waits for */
static EpfLink *ask(EpfLink *l)
{
    QEMU_LOCK_GUARD(&l->lock);
    l->unanswered++;
    return epf_link_ref(l);
}

static void answered(EpfLink *l)
{
    qemu_mutex_lock(&l->lock);
    l->unanswered--;
    qemu_cond_broadcast(&l->cond);
    qemu_mutex_unlock(&l->lock);
    epf_link_unref(l);
}

static void awaited_map_done(EpwSession *s, int err, EpwMsg *reply,
                             void *opaque)
{
    map_report(opaque, err);
    answered(opaque);
}

static void unmap_done(EpwSession *s, int err, EpwMsg *reply, void *opaque)
{
    answered(opaque);
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

/* @mr: NULL when there is no one place to share; @m->offset is in it. */
static void send_map(EpfFunction *f, VfuDmaMap *m, MemoryRegion *mr,
                     bool awaited)
{
    EpfLink *l = f->link;
    struct iovec iov = { .iov_base = m, .iov_len = sizeof(*m) };
    bool shared = mr && is_shared(mr);
    int fd = -1;

    if (shared) {
        fd = mr->ram_block->fd;
        m->offset += mr->ram_block->fd_offset;
    } else {
        m->offset = 0;
    }
    if (mr && !shared) {
        warn_not_shared(f, mr);
    }
    trace_epf_dma_map(l->generation, m->address, m->size, m->flags, shared);
    epf_link_call_async(l, VFU_CMD_DMA_MAP, &iov, 1, &fd, shared,
                        awaited ? awaited_map_done : map_done,
                        awaited ? ask(l) : epf_link_ref(l));
}

void epf_dma_map(EpfFunction *f, uint64_t addr, uint64_t size, uint32_t flags,
                 MemoryRegion *mr, uint64_t offset)
{
    VfuDmaMap m = {
        .argsz = sizeof(m), .flags = flags, .address = addr, .size = size,
        .offset = offset,
    };

    if (mr && (mr->readonly || memory_region_is_rom(mr))) {
        m.flags &= ~VFU_DMA_WRITE;
    }
    /* Pages that can be written only do not exist in a process */
    if (mr && is_shared(mr) && m.flags) {
        m.flags |= VFU_DMA_READ;
    }
    if (m.flags) {
        send_map(f, &m, mr, true);
    }
}

void epf_dma_unmap(EpfFunction *f, uint64_t addr, uint64_t size)
{
    VfuDmaUnmap m = { .argsz = sizeof(m), .address = addr, .size = size };
    struct iovec iov = { .iov_base = &m, .iov_len = sizeof(m) };

    trace_epf_dma_unmap(f->link->generation, addr, size);
    epf_link_call_async(f->link, VFU_CMD_DMA_UNMAP, &iov, 1, NULL, 0,
                        unmap_done, ask(f->link));
}

/*
 * A link that dies here needs no answer: the endpoint lost all maps with it.
 * The session's own deadline ends the wait; the margin is for its thread.
 */
void epf_dma_wait(EpfLink *l, unsigned left)
{
    int64_t since = g_get_monotonic_time();
    int64_t until = since + epf_client_deadline(l->client) * INT64_C(1000) +
                    100000;

    qemu_mutex_lock(&l->lock);
    while (l->unanswered > left && !epf_link_dead(l)) {
        int64_t rest = until - g_get_monotonic_time();

        if (rest <= 0) {
            break;
        }
        qemu_cond_timedwait(&l->cond, &l->lock, DIV_ROUND_UP(rest, 1000));
    }
    qemu_mutex_unlock(&l->lock);
    epf_link_waited(l, since);
}

/* ---- The listener ---- */

static void epf_dma_begin(MemoryListener *listener)
{
    container_of(listener, EpfFunction, listener)->in_transaction = true;
}

static void epf_dma_commit(MemoryListener *listener)
{
    EpfFunction *f = container_of(listener, EpfFunction, listener);

    epf_mmio_commit(f);
    f->in_transaction = false;
    epf_dma_wait(f->link, 0);
}

static void epf_dma_region_add(MemoryListener *listener,
                               MemoryRegionSection *s)
{
    EpfFunction *f = container_of(listener, EpfFunction, listener);
    VfuDmaMap m = { .argsz = sizeof(m), .flags = VFU_DMA_READ };

    if (memory_region_is_iommu(s->mr)) {
        epf_iommu_add(f, s);
    } else if (section_range(s, &m.address, &m.size, &m.offset)) {
        if (!s->readonly && !memory_region_is_rom(s->mr)) {
            m.flags |= VFU_DMA_WRITE;
        }
        send_map(f, &m, s->mr, false);
    } else if (!epf_is_memory(s->mr)) {
        epf_mmio_add(f, s);
    }
}

static void epf_dma_region_del(MemoryListener *listener,
                               MemoryRegionSection *s)
{
    EpfFunction *f = container_of(listener, EpfFunction, listener);
    uint64_t addr, size, offset;

    if (memory_region_is_iommu(s->mr)) {
        epf_iommu_del(f, s);
    } else if (section_range(s, &addr, &size, &offset)) {
        epf_dma_unmap(f, addr, size);
    } else if (!epf_is_memory(s->mr)) {
        epf_mmio_del(f, s);
    }
}

void epf_dma_init(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);

    qemu_mutex_lock(&f->link->lock);
    f->link->dma_as = &d->bus_master_as;
    qemu_mutex_unlock(&f->link->lock);
    epf_mmio_init(f);
    f->listener = (MemoryListener) {
        .name = "epf-dma",
        .begin = epf_dma_begin,
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
    epf_mmio_exit(f);
}
