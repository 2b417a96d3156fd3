/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-doorbell: the doorbells in one BAR of a remote function
 *
 * A 32-bit write of the guest signals an eventfd of the endpoint, perhaps after
 * the value was stored in a file.  No message passes, and KVM alone does it for
 * those without a value.
 */
#ifndef HW_MISC_EPF_DOORBELL_H
#define HW_MISC_EPF_DOORBELL_H

#include "hw/pci-ep/compat.h"
#include "hw/pci-ep/epw.h"

#define EPF_MAX_DOORBELLS 64

typedef struct EpfDoorbells EpfDoorbells;

/*
 * What the endpoint's answer to GET_REGION_IO_FDS for a BAR of @size describes;
 * takes its descriptors.  NULL: nothing, and with @errp set nothing that can be
 * used.
 */
EpfDoorbells *epf_doorbells_new(EpwMsg *reply, unsigned bar, uint64_t size,
                                bool trust_unsealed, Error **errp);
EpfDoorbells *epf_doorbells_ref(EpfDoorbells *d);
void epf_doorbells_unref(EpfDoorbells *d);

/* From now on epf_doorbells_ring() does nothing.  Any thread. */
void epf_doorbells_stop(EpfDoorbells *d);

/* False: no doorbell at @offset, or stopped.  @d may be NULL. */
bool epf_doorbells_ring(EpfDoorbells *d, uint64_t offset, uint32_t val);

/*
 * Lets KVM ring when a vCPU writes to @mr, until detached; without KVM it takes
 * epf_doorbells_ring().  BQL, not inside a memory transaction: what was there
 * before must be gone before something else is at the same address.
 */
void epf_doorbells_attach(EpfDoorbells *d, MemoryRegion *mr);
void epf_doorbells_detach(EpfDoorbells *d, MemoryRegion *mr);

#endif /* HW_MISC_EPF_DOORBELL_H */
