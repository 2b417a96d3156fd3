/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpus: keeps vCPUs out of devices while the memory map of the guest changes,
 * and tells their accesses from those of devices
 *
 * TCG looks a page up in one memory map, and the device behind the page in the
 * map that is current a moment later.  If the map changes while vCPUs run, any
 * access may reach another device, or an assertion.
 */
#ifndef HW_PCI_EP_SHARED_VCPUS_H
#define HW_PCI_EP_SHARED_VCPUS_H

#include "exec/memattrs.h"
#include "hw/qdev-core.h"
#include "hw/pci-ep/wire/locks.h"

/*
 * Called when a device is realized, before all functions below that take or
 * release the vCPUs.  All calls but the first one do nothing.
 */
void ep_vcpus_init(void) EP_REQUIRES(&ep_bql);

/*
 * Stops all vCPUs until ep_resume_vcpus().  Called in the main loop with the
 * BQL held, with or without @dev's reentrancy guard, and not nested.  The BQL
 * is released while this waits, so other state may have changed when it
 * returns; accesses to @dev may end meanwhile.  While the machine sleeps (S3)
 * they are stopped already, and both functions do nothing.
 */
void ep_pause_vcpus(DeviceState *dev) EP_REQUIRES(&ep_bql);
/* Lets them go on, unless somebody holds them. */
void ep_resume_vcpus(void) EP_REQUIRES(&ep_bql);

/*
 * No vCPU goes on until each caller has called ep_release_vcpus(), whoever lets
 * it go: QEMU after a reset or the command "cont", or ep_resume_vcpus().
 * Called in the main loop while all vCPUs are stopped.  The main loop goes on
 * meanwhile, and the run state does not tell.
 */
void ep_hold_vcpus(void) EP_REQUIRES(&ep_bql);
/* Called in the main loop. */
void ep_release_vcpus(void) EP_REQUIRES(&ep_bql);

/*
 * Does the vCPU of this thread carry out a load or store of its guest at one of
 * the @size bytes from physical address @addr?  Then the BQL was taken for that
 * access.  The answer is false when another device makes the access, for which
 * the BQL was taken earlier.  TCG does not say what the guest accesses, so the
 * answer is true in each vCPU then.
 */
bool ep_vcpu_accesses(uint64_t addr, uint64_t size);

/* Are these the attributes of an access by a CPU?  Those of DMA are others. */
static inline bool ep_vcpu_attrs(MemTxAttrs attrs)
{
    return !attrs.unspecified && !attrs.memory && !attrs.requester_id;
}

#endif /* HW_PCI_EP_SHARED_VCPUS_H */
