/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ep-region: memory regions that contain others of the same device
 */
#ifndef HW_PCI_EP_EP_REGION_H
#define HW_PCI_EP_EP_REGION_H

#include "hw/pci-ep/compat.h"

/*
 * Takes everything out of @container: what is in it keeps the device alive,
 * and the device keeps the container.  BQL.
 */
static inline void ep_region_empty(MemoryRegion *container)
{
    MemoryRegion *mr;

    while ((mr = QTAILQ_FIRST(&container->subregions))) {
        memory_region_del_subregion(container, mr);
    }
}

#endif /* HW_PCI_EP_EP_REGION_H */
