/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * doorbell: the doorbells in one BAR of a remote function
 *
 * A store of the guest signals an eventfd of the endpoint; before that, the value
 * is stored in a file of the endpoint if it has one.  No message is needed.  With
 * KVM the kernel alone signals doorbells without a value, except for a store of 8
 * bits.
 */
#ifndef HW_MISC_EPF_BRIDGE_REMOTE_DOORBELL_H
#define HW_MISC_EPF_BRIDGE_REMOTE_DOORBELL_H

#include "hw/pci-ep/shared/compat.h"
#include "hw/pci-ep/wire/wire.h"

#define EPF_MAX_DOORBELLS 64

typedef struct EpfDoorbells EpfDoorbells;

/*
 * Makes the doorbells that @reply, the endpoint's answer to GET_REGION_IO_FDS,
 * describes for BAR number @bar of @size bytes; takes the descriptors that it
 * needs out of @reply.  @trust_unsealed: see ep_file_new().  Returns NULL
 * without an error when there are none, and with @errp set when something is
 * wrong with one of them.  Any thread.
 */
EpfDoorbells *epf_doorbells_new(EpwMsg *reply, unsigned bar, uint64_t size,
                                bool trust_unsealed, Error **errp);
EpfDoorbells *epf_doorbells_ref(EpfDoorbells *d);
/* Does nothing when @d is NULL.  Any thread. */
void epf_doorbells_unref(EpfDoorbells *d);

/* After this epf_doorbells_ring() does nothing.  Any thread. */
void epf_doorbells_stop(EpfDoorbells *d);

/*
 * Rings the doorbell at @offset in the BAR for a store of @size bytes.  Returns
 * false if there is none that rings for this size, or if @d was stopped or is
 * NULL: the caller then sends a message. vCPUs, with or without the BQL.
 */
bool epf_doorbells_ring(EpfDoorbells *d, uint64_t offset, unsigned size,
                        uint64_t val);

/*
 * Has KVM ring when a vCPU stores to @mr, until epf_doorbells_detach().
 * Without KVM it does nothing, and stores have to call epf_doorbells_ring().
 *
 * The caller holds the BQL and is not inside a memory transaction: KVM refuses
 * a second eventfd at an address that still has one.
 */
void epf_doorbells_attach(EpfDoorbells *d, MemoryRegion *mr);
void epf_doorbells_detach(EpfDoorbells *d, MemoryRegion *mr);

#endif /* HW_MISC_EPF_BRIDGE_REMOTE_DOORBELL_H */
