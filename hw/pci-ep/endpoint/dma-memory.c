/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of the endpoint guest as the DMA engine reaches it
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "hw/pci-ep/endpoint/dma-memory.h"
#include "hw/pci-ep/endpoint/state.h"

/*
 * address_space_map() would not do: for an address that is not RAM it calls the
 * device behind it, with the BQL.
 */
static MemoryRegion *dma_memory_look_up(EpcState *s, uint64_t addr,
                                        hwaddr *offset, hwaddr *len, bool write)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    MemTxAttrs attrs = {
        .memory = 1,
        .requester_id = pci_requester_id(pdev),
    };

    return address_space_translate(pci_get_address_space(pdev), addr, offset,
                                   len, write, attrs);
}

/*
 * The same behind a virtual IOMMU.  Returns NULL when the device was unplugged
 * before the look-up, or by it.
 */
static MemoryRegion *dma_memory_ask_iommu(EpcDmaWorker *w, uint64_t addr,
                                          hwaddr *offset, hwaddr *len,
                                          bool write)
    EP_REQUIRES(&w->turn) EP_EXCLUDES(&ep_bql);
static MemoryRegion *dma_memory_ask_iommu(EpcDmaWorker *w, uint64_t addr,
                                          hwaddr *offset, hwaddr *len,
                                          bool write)
{
    EpcState *s = w->epc;
    MemoryRegion *mr = NULL;
    int64_t since;

    BQL_LOCK_GUARD();
    since = g_get_monotonic_time();
    if (!qatomic_read(&s->dma.stop)) {
        mr = dma_memory_look_up(s, addr, offset, len, write);
    }
    w->bql_us += g_get_monotonic_time() - since;
    return qatomic_read(&s->dma.stop) ? NULL : mr;
}

bool epc_dma_memory_translate(EpcDmaWorker *w, uint64_t addr, uint32_t len,
                              bool write, EpcDmaSpan *span)
{
    EpcState *s = w->epc;
    MemoryRegion *mr;
    hwaddr offset, left = len;

    mr = s->dma.iommu ? dma_memory_ask_iommu(w, addr, &offset, &left, write) :
                        dma_memory_look_up(s, addr, &offset, &left, write);
    if (!mr || !left || !memory_region_is_ram(mr) || !mr->ram_block ||
        mr->ram_block->mr != mr || memory_region_is_ram_device(mr) ||
        (write && (mr->readonly || mr->rom_device))) {
        return false;
    }
    span->mr = mr;
    span->ptr = (uint8_t *)memory_region_get_ram_ptr(mr) + offset;
    span->len = left;
    return true;
}

/* address_space_unmap() drops a reference, as address_space_map() takes one. */
void epc_dma_memory_written(EpcState *s, const EpcDmaSpan *span, uint32_t len)
{
    memory_region_ref(span->mr);
    address_space_unmap(pci_get_address_space(PCI_DEVICE(s)), span->ptr, len,
                        true, len);
}
