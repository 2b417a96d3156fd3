/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listener: what a remote function may reach of this guest's address space
 *
 * The listener follows the bus master address space of the function, so a write
 * to Bus Master Enable and every reset revoke all ranges by themselves.
 *
 * DMA_MAPs of plain memory are sent and not waited for.  DMA_UNMAPs are awaited
 * at the end of the memory transaction or, by a vCPU, before its next
 * instruction, because afterwards the guest may put something else at these
 * addresses.
 */
#include "qemu/osdep.h"
#include "qemu/int128.h"
#include "qemu/thread.h"
#include "exec/cpu-common.h"
#include "hw/misc/epf-bridge/dma/iommu.h"
#include "hw/misc/epf-bridge/dma/listener.h"
#include "hw/misc/epf-bridge/dma/mmio.h"
#include "hw/misc/epf-bridge/dma/send.h"
#include "hw/misc/epf-bridge/remote/wait.h"

struct EpfDma {
    EpfRemote *remote;
    MemoryListener listener;
    EpfMmio mmio;
    EpfIommus iommus;
    bool leaving;           /* epf_dma_leave() was called */
};

/*
 * Sets *@addr, *@size and *@offset (in @s->mr) to the whole pages of @s.
 * Returns false when it has none, or is not memory.
 */
static bool epf_dma_section(const MemoryRegionSection *s, uint64_t *addr,
                            uint64_t *size, uint64_t *offset)
{
    uint64_t page = qemu_real_host_page_size();
    uint64_t start = s->offset_within_address_space;
    uint64_t first = ROUND_UP(start, page);
    Int128 end = int128_add(int128_make64(start), s->size);
    uint64_t last;

    /* A 64-bit BAR passes through the upper half while it is being sized. */
    if (start & (1ULL << 63) || int128_gethi(end) ||
        !epf_mmio_is_memory(s->mr) ||
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

/* ---- MemoryListener; QEMU calls it with the BQL held ---- */

static void epf_dma_begin(MemoryListener *listener)
{
    container_of(listener, EpfDma, listener)->iommus.in_transaction = true;
}

static void epf_dma_commit(MemoryListener *listener)
{
    EpfDma *dma = container_of(listener, EpfDma, listener);

    EP_BQL_HELD();
    epf_mmio_commit(&dma->mmio);
    dma->iommus.in_transaction = false;
    if (!dma->leaving) {
        epf_wait_commit(dma->remote);
    }
}

static void epf_dma_region_add(MemoryListener *listener,
                               MemoryRegionSection *s)
{
    EpfDma *dma = container_of(listener, EpfDma, listener);
    uint32_t flags = VFU_DMA_READ | (s->readonly ? 0 : VFU_DMA_WRITE);
    uint64_t addr, size, offset;

    if (memory_region_is_iommu(s->mr)) {
        epf_iommus_add(&dma->iommus, s);
    } else if (epf_dma_section(s, &addr, &size, &offset)) {
        epf_dma_map(dma->remote, addr, size, flags, s->mr, offset, false);
    } else if (!epf_mmio_is_memory(s->mr)) {
        epf_mmio_add(&dma->mmio, s);
    }
}

static void epf_dma_region_del(MemoryListener *listener,
                               MemoryRegionSection *s)
{
    EpfDma *dma = container_of(listener, EpfDma, listener);
    uint64_t addr, size, offset;

    if (memory_region_is_iommu(s->mr)) {
        epf_iommus_del(&dma->iommus, s);
    } else if (epf_dma_section(s, &addr, &size, &offset)) {
        epf_dma_unmap(dma->remote, addr, size);
    } else if (!epf_mmio_is_memory(s->mr)) {
        epf_mmio_del(&dma->mmio, s);
    }
}

/* ---- Life ---- */

static void epf_dma_set_address_space(EpfRemote *r, AddressSpace *as)
{
    QEMU_LOCK_GUARD(&r->lock);
    r->dma_as = as;
}

EpfDma *epf_dma_new(PCIDevice *d, EpfRemote *r)
{
    EpfDma *dma = g_new0(EpfDma, 1);

    dma->remote = r;
    epf_dma_set_address_space(r, &d->bus_master_as);
    epf_mmio_init(&dma->mmio, d, r);
    epf_iommus_init(&dma->iommus, &dma->mmio);
    dma->listener = (MemoryListener) {
        .name = "epf-dma",
        .begin = epf_dma_begin,
        .region_add = epf_dma_region_add,
        .region_del = epf_dma_region_del,
        .commit = epf_dma_commit,
    };
    memory_listener_register(&dma->listener, &d->bus_master_as);
    return dma;
}

void epf_dma_leave(EpfDma *dma)
{
    dma->leaving = true;
}

void epf_dma_free(EpfDma *dma)
{
    if (!dma) {
        return;
    }
    epf_dma_set_address_space(dma->remote, NULL);
    memory_listener_unregister(&dma->listener);
    epf_mmio_exit(&dma->mmio);
    g_free(dma);
}
