/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * last-ref: the last reference to a device is dropped with the BQL held
 *
 * A disk with an I/O thread that reads or writes a BAR of ours keeps a
 * reference to our device, from address_space_map() to address_space_unmap(),
 * and drops it in the I/O thread without the BQL.  If that reference was the
 * last one, QEMU finalizes the device there: our finalizers run without the
 * BQL, and memory_region_finalize() asserts that it is held.
 */
#ifndef HW_PCI_EP_SHARED_LAST_REF_H
#define HW_PCI_EP_SHARED_LAST_REF_H

#include "qom/object.h"
#include "hw/pci-ep/wire/locks.h"

/*
 * Keeps a reference to @obj until nobody else has one, and drops it in the main
 * loop then, at most EP_LAST_REF_MS later.  A device calls this once, when it is
 * unrealized.
 */
void ep_last_ref_keep(Object *obj) EP_REQUIRES(&ep_bql);

/* Milliseconds from one look at the references to the next one */
#define EP_LAST_REF_MS 20

#endif /* HW_PCI_EP_SHARED_LAST_REF_H */
