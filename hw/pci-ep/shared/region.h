/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region: helpers for memory regions
 */
#ifndef HW_PCI_EP_SHARED_REGION_H
#define HW_PCI_EP_SHARED_REGION_H

#include "hw/pci-ep/shared/compat.h"

/*
 * Members of a MemoryRegionOps whose handlers are called with the width and the
 * alignment that the guest used. So the device says what happens to an access,
 * and not QEMU's memory core.
 */
#define EP_REGION_ANY_ACCESS            \
    .endianness = DEVICE_LITTLE_ENDIAN, \
    .valid = {                          \
        .min_access_size = 1,           \
        .max_access_size = 8,           \
        .unaligned = true,              \
    },                                  \
    .impl = {                           \
        .min_access_size = 1,           \
        .max_access_size = 8,           \
        .unaligned = true,              \
    }

/*
 * Removes all subregions of @container.  Each of them holds a reference to the
 * device, which owns the container, so the device would never be freed.  Called
 * with the BQL held.
 */
static inline void ep_region_empty(MemoryRegion *container)
{
    MemoryRegion *mr;

    while ((mr = QTAILQ_FIRST(&container->subregions))) {
        memory_region_del_subregion(container, mr);
    }
}

#endif /* HW_PCI_EP_SHARED_REGION_H */
