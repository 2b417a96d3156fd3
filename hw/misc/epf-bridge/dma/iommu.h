/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iommu: DMA that a virtual IOMMU of this guest translates
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_DMA_IOMMU_H
#define HW_MISC_EPF_BRIDGE_DMA_IOMMU_H

#include "hw/misc/epf-bridge/dma/mmio.h"

typedef struct EpfIommu EpfIommu;

/* The regions of IOMMUs in the address space of one function */
typedef struct EpfIommus {
    EpfMmio *mmio;
    /*
     * The memory listener is in a transaction and calls epf_wait_commit() at
     * its end, so a mapping that is announced meanwhile need not be awaited.
     */
    bool in_transaction;
    QLIST_HEAD(, EpfIommu) list;
} EpfIommus;

/* @mmio knows the function; it gets the addresses of interrupts. */
void epf_iommus_init(EpfIommus *set, EpfMmio *mmio);

/*
 * A section of an IOMMU region appears or vanishes.  Sends and does not wait.
 */
void epf_iommus_add(EpfIommus *set, MemoryRegionSection *s);
void epf_iommus_del(EpfIommus *set, MemoryRegionSection *s);

#endif /* HW_MISC_EPF_BRIDGE_DMA_IOMMU_H */
