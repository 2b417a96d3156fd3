/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Doorbells: the host interrupts the endpoint
 *
 * Each doorbell has an eventfd for as long as the device exists. The host's
 * QEMU gets it, and signals it when the host guest writes to the doorbell. The
 * value that was written is in a page that both processes map. A write that
 * comes in a message rings as well.
 *
 * Doorbells of an ITS, which are no doorbells of this device, are in
 * endpoint/its.h.
 */
#ifndef HW_PCI_EP_ENDPOINT_DOORBELL_H
#define HW_PCI_EP_ENDPOINT_DOORBELL_H

#include "hw/pci-ep/pci-epc-regs.h"
#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/shared/compat.h"
#include "hw/pci-ep/shared/irqfd.h"
#include "hw/pci-ep/server/server.h"

struct EpcFunction;
struct EpcState;

typedef struct EpcDoorbell {
    int fd;                     /* belongs to irqfds; does not change */

    /*
     * Guarded by EpcState.lock; ctrl and vector are written with the BQL held.
     */
    uint32_t ctrl, vector;
    unsigned fn;                /* function whose host got fd last */
} EpcDoorbell;

typedef struct EpcDoorbells {
    MemoryRegion mr;
    bool ready;                 /* epc_doorbells_exit() has something to do */
    EpIrqfds *irqfds;           /* line n is doorbell n; guarded by the BQL */
    bool watched EP_GUARDED_BY(&ep_bql);        /* epc_doorbells_watch() */
    int value_fd;
    uint32_t *value;            /* the page that hosts write to; atomic */
    EpcDoorbell bell[EPC_MAX_DOORBELLS];
} EpcDoorbells;

/* ---- Life cycle ---- */

bool epc_doorbells_init(struct EpcState *s, Error **errp)
    EP_REQUIRES(&ep_bql);

/* May also be called when epc_doorbells_init() failed or was not called. */
void epc_doorbells_exit(struct EpcState *s) EP_REQUIRES(&ep_bql);

/* Gives all doorbells their state after power-up. EpcState.lock is held. */
void epc_doorbells_reset(struct EpcState *s) EP_REQUIRES(&ep_bql);

/* ---- Requested faults ---- */

/*
 * While such a fault of doorbells is armed KVM delivers none of them alone.
 * Called when that may have changed.
 */
void epc_doorbells_watch(struct EpcState *s) EP_REQUIRES(&ep_bql);
/* Doorbell @n rings again, if it is enabled. */
void epc_doorbell_again(struct EpcState *s, unsigned n);

/* ---- Registers, at offset @reg from EPC_REG_DOORBELL_BASE ---- */

/*
 * These return false for a bad access. EpcState.lock is held for reading only.
 */
bool epc_doorbell_read(struct EpcState *s, uint64_t reg, uint32_t *v);
bool epc_doorbell_write(struct EpcState *s, uint64_t reg, uint32_t v)
    EP_REQUIRES(&ep_bql);

/* ---- The host's accesses to EPC_BAR_DOORBELL; EpcState.lock is held ---- */

/*
 * The host has written @len bytes @from to @offset, in a message: each doorbell
 * of which these have a byte rings once. Returns false if one of them is not
 * enabled, or if there is a byte that is in no doorbell.
 */
bool epc_doorbell_ring(struct EpcState *s, uint64_t offset,
                       const uint8_t *from, uint32_t len);

/* Fills @buf with what the host reads at @offset. */
void epc_doorbell_peek(uint64_t offset, uint8_t *buf, uint32_t len);

/*
 * Describes the doorbells in [@offset, @offset + @size) to the host of @fn,
 * which sees them from @start on in a BAR. Returns how many; at most @max.
 */
unsigned epc_doorbell_io_fds(struct EpcFunction *fn, uint64_t offset,
                             uint64_t size, uint64_t start, EpcIoFd *io,
                             unsigned max);

#endif /* HW_PCI_EP_ENDPOINT_DOORBELL_H */
