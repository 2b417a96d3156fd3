/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * its: doorbells of the GIC ITS of this machine
 *
 * A BAR may lead to the frame of an ITS with GITS_TRANSLATER. A host's write to
 * that register comes in a message. The reader thread sets the bit of its
 * EventID, and whoever has the BQL next writes to the ITS: the bottom half of
 * the device, or a vCPU that reads a register. So the host never waits for the
 * BQL, and the bitmap bounds what it can have under way.
 */
#ifndef HW_PCI_EP_ENDPOINT_ITS_H
#define HW_PCI_EP_ENDPOINT_ITS_H

#include "qemu/bitmap.h"
#include "hw/pci-ep/pci-epc-regs.h"
#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/shared/compat.h"

struct EpcFunction;
struct EpcState;

typedef struct EpcIts {
    bool present;               /* this machine has an ITS; set at realize */
    /* The frame for BARs, with a reference; written with the BQL */
    MemoryRegion *frame;
    bool pending;               /* some bit of rings is set; atomic */
    /* Guarded by EpcState.lock */
    DECLARE_BITMAP(rings, EPC_ITS_EVENTS);
} EpcIts;

/* ---- Life cycle, for endpoint/doorbell.c ---- */

void epc_its_init(struct EpcState *s) EP_REQUIRES(&ep_bql);
/* May be called without epc_its_init(). No target with the frame is left. */
void epc_its_exit(struct EpcState *s) EP_REQUIRES(&ep_bql);
/* Drops the rings that were not delivered. EpcState.lock is held. */
void epc_its_reset(struct EpcState *s) EP_REQUIRES(&ep_bql);

/* ---- Registers ---- */

/* Is EPC_FEATURE_ITS set? */
bool epc_its_usable(struct EpcState *s) EP_REQUIRES(&ep_bql);
/* EPC_REG_ITS_DEVICE, with that feature */
uint32_t epc_its_device(struct EpcState *s) EP_REQUIRES(&ep_bql);

/* ---- Rings ---- */

/*
 * Is @mr a frame that a target may have? The first one that is found becomes
 * the only one.
 */
bool epc_its_take_frame(struct EpcState *s, MemoryRegion *mr)
    EP_REQUIRES(&ep_bql);

/*
 * The host of @fn has written @len bytes @from to @offset of the frame, in a
 * message. Returns false if that is no ring. Any thread may call this; it holds
 * EpcState.lock.
 */
bool epc_its_ring(struct EpcFunction *fn, uint64_t offset,
                  const uint8_t *from, uint32_t len);

/*
 * Delivers the rings that have come. That writes to memory of the guest, so it
 * may make the machine eject this device: EpcState.fn is NULL then. The caller
 * does not hold EpcState.lock, and references the object.
 */
void epc_its_deliver(struct EpcState *s) EP_REQUIRES(&ep_bql);

#endif /* HW_PCI_EP_ENDPOINT_ITS_H */
