/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-mmio: devices of this guest that a remote function may reach
 *
 * Those that a PCI function reaches on a real machine: BARs of other functions,
 * and the addresses that take message signalled interrupts.  All by message.
 */
#ifndef HW_MISC_EPF_MMIO_H
#define HW_MISC_EPF_MMIO_H

#include "hw/pci/pci_device.h"

/* Most ranges of devices and of memory that an endpoint is told for a function */
#define EPF_MAX_DEVICE_RANGES   256
#define EPF_MAX_MAPPINGS        (65535 - EPF_MAX_DEVICE_RANGES)

struct EpfFunction;

/* Ranges of host PCI addresses, in whole pages */
typedef struct EpfMmio {
    GArray *sections;       /* around each section of the address space */
    GArray *told;           /* what the endpoint knows: ascending, apart */
    bool changed;           /* sections; told is to follow */
} EpfMmio;

/*
 * Is that what @addr of @d's address space may lead to?  Memory is not meant.
 * BQL.
 */
bool epf_mmio_reachable(PCIDevice *d, uint64_t addr, const MemoryRegion *mr);

void epf_mmio_init(struct EpfFunction *f);
void epf_mmio_exit(struct EpfFunction *f);

/* Sections that are not memory come and go; of the listener.  BQL. */
void epf_mmio_add(struct EpfFunction *f, const MemoryRegionSection *s);
/*
 * An IOMMU that tells of its mappings covers [first, last] or does not any more.
 * It does not tell of interrupts, which pass.
 */
void epf_mmio_add_iommu(struct EpfFunction *f, uint64_t first, uint64_t last);
void epf_mmio_del_iommu(struct EpfFunction *f, uint64_t first, uint64_t last);
/* Tells the endpoint at once; the caller waits. */
void epf_mmio_del(struct EpfFunction *f, const MemoryRegionSection *s);
/* Tells the endpoint of what came. */
void epf_mmio_commit(struct EpfFunction *f);

#endif /* HW_MISC_EPF_MMIO_H */
