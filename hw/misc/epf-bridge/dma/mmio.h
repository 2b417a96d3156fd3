/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmio: devices of this guest that a remote function may reach
 *
 * They are those that a PCI function reaches on a real machine: BARs of other
 * functions, and the addresses that take message signalled interrupts.  The
 * endpoint reaches all of them by message.
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_DMA_MMIO_H
#define HW_MISC_EPF_BRIDGE_DMA_MMIO_H

#include "hw/pci/pci_device.h"
#include "hw/misc/epf-bridge/remote/remote.h"

/*
 * Most ranges of devices and of memory that the endpoint is given for one
 * function.  Together they are as many as a pci-epc takes.
 */
#define EPF_MAX_DEVICE_RANGES   256
#define EPF_MAX_MAPPINGS        (65535 - EPF_MAX_DEVICE_RANGES)

/* Ranges of host bus addresses, in whole pages */
typedef struct EpfMmio {
    PCIDevice *d;
    EpfRemote *remote;
    GArray *sections;       /* the pages around each section of devices */
    GArray *mapped;         /* ranges that the endpoint has: ascending, apart */
    bool changed;           /* @sections did; epf_mmio_commit() is to follow */
} EpfMmio;

/* Is @mr memory, as opposed to a device, whose BAR may be RAM as well? */
static inline bool epf_mmio_is_memory(const MemoryRegion *mr)
{
    return memory_region_is_ram((MemoryRegion *)mr) &&
           !memory_region_is_ram_device((MemoryRegion *)mr);
}

/*
 * May @d reach device @mr, which is at @addr of its address space?  Returns
 * false for memory, which is not what this file is about.
 */
bool epf_mmio_reachable(PCIDevice *d, uint64_t addr, const MemoryRegion *mr);

void epf_mmio_init(EpfMmio *m, PCIDevice *d, EpfRemote *r);
void epf_mmio_exit(EpfMmio *m);

/*
 * A section that is not memory appears or vanishes.  The second one unmaps at
 * once, and the caller waits for the answer; the first one maps in
 * epf_mmio_commit().
 */
void epf_mmio_add(EpfMmio *m, const MemoryRegionSection *s);
void epf_mmio_del(EpfMmio *m, const MemoryRegionSection *s);

/*
 * An IOMMU that announces its mappings covers [@first, @last], or does no
 * longer. It does not announce the addresses of interrupts, which it lets pass.
 */
void epf_mmio_add_iommu(EpfMmio *m, uint64_t first, uint64_t last);
void epf_mmio_del_iommu(EpfMmio *m, uint64_t first, uint64_t last);

/* Sends the endpoint what is new. */
void epf_mmio_commit(EpfMmio *m);

#endif /* HW_MISC_EPF_BRIDGE_DMA_MMIO_H */
