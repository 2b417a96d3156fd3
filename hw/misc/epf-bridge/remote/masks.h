/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * masks: tells the endpoint which vectors of MSI-X the guest has masked
 *
 * The endpoint gets what changed last, not each change: one message about a
 * remote is unanswered at a time, and what changes meanwhile goes with the next
 * one. So a guest that masks and unmasks without end makes no queue longer.
 */
#ifndef HW_MISC_EPF_BRIDGE_REMOTE_MASKS_H
#define HW_MISC_EPF_BRIDGE_REMOTE_MASKS_H

#include "qemu/bitmap.h"
#include "qemu/thread.h"
#include "hw/pci/pci_regs.h"
#include "hw/pci-ep/wire/locks.h"

struct EpfRemote;

#define EPF_MAX_MSIX (PCI_MSIX_FLAGS_QSIZE + 1)

/* Part of an EpfRemote.  The lock is a leaf. */
typedef struct EpfMasks {
    QemuMutex lock;
    DECLARE_BITMAP(masked, EPF_MAX_MSIX) EP_GUARDED_BY(&lock);
    /* Vectors about which the endpoint has to be told */
    DECLARE_BITMAP(changed, EPF_MAX_MSIX) EP_GUARDED_BY(&lock);
    bool sending EP_GUARDED_BY(&lock);
} EpfMasks;

/*
 * All vectors are masked, and the endpoint knows it. The analysis is off, since
 * no other thread knows the object yet.
 */
static inline void EP_NO_TSA epf_masks_init(EpfMasks *m)
{
    qemu_mutex_init(&m->lock);
    bitmap_fill(m->masked, EPF_MAX_MSIX);
}

static inline void epf_masks_destroy(EpfMasks *m)
{
    qemu_mutex_destroy(&m->lock);
}

/*
 * The guest has masked or unmasked @vector.  Does nothing if that is not new, or
 * if VFU_EP_FEATURE_MASK was not agreed.  Does not wait.
 */
void epf_masks_set(struct EpfRemote *r, unsigned vector, bool masked);
/* A reset has masked all vectors. */
void epf_masks_reset(struct EpfRemote *r);

#endif /* HW_MISC_EPF_BRIDGE_REMOTE_MASKS_H */
