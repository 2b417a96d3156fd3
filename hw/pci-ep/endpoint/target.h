/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Targets: what a BAR is backed by
 *
 * A target is a list of areas, back to back from the start of the BAR. Behind
 * the last one there is nothing. An area is resolved once, when the endpoint
 * sets the BAR, and holds its memory from then on. So accesses of the host need
 * neither the BQL nor an address translation. Whatever the guest does to its
 * memory map later, they reach what the endpoint meant, or memory of this guest
 * that is unused.
 *
 * There are six kinds of areas:
 *
 *   RAM       RAM of this guest, exported to the host when it is shared
 *   WINDOW    the outbound window of another controller of this guest; see
 *             endpoint/forward.h. Its pages appear and disappear with the host
 *             at the other end of that controller. After that controller was
 *             unplugged they read all ones.
 *   DOORBELL  EPC_BAR_DOORBELL of this controller
 *   ITS       the frame of an ITS of this machine; see endpoint/its.h
 *   TRAP      the driver of the endpoint answers; see endpoint/trap-area.h
 *   NONE      reads all ones, and writes are dropped
 *
 * Functions that take a const EpcTarget accept NULL, which has no areas.
 */
#ifndef HW_PCI_EP_ENDPOINT_TARGET_H
#define HW_PCI_EP_ENDPOINT_TARGET_H

#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/endpoint/forward.h"
#include "hw/pci-ep/server/server.h"

typedef struct EpcTarget EpcTarget;
struct EpcFunction;
struct EpcState;

/* ---- Building ---- */

EpcTarget *epc_target_new(void);

/*
 * Appends @size bytes at DMA address @addr of the endpoint, or an area of kind
 * NONE for EPC_ADDR_NONE and of kind TRAP for EPC_ADDR_TRAP. Returns
 * EPC_STATUS_*. After an error the caller may only free the target.
 *
 * A virtual IOMMU reports a fault by a store to an address that the guest
 * chooses, so this may make the machine reset or eject this device. Then
 * EpcState.reset_count has changed, or EpcState.fn is NULL. The caller does not
 * hold EpcState.lock, and references the object.
 */
uint32_t epc_target_add(struct EpcState *s, EpcTarget *t, uint64_t addr,
                        uint64_t size) EP_REQUIRES(&ep_bql);

/*
 * @t may be NULL. The caller holds the BQL, since memory regions are released.
 * No request of the host can have found @t: none was served since it was in a
 * BAR, or epc_server_try_fence() was true after that.
 */
void epc_target_free(EpcTarget *t) EP_REQUIRES(&ep_bql);

/*
 * Has the bottom half of @s free @t, which may be NULL, after a request that
 * has found @t in a BAR. Any thread may call this; it holds EpcState.lock.
 */
void epc_target_retire(struct EpcState *s, EpcTarget *t);

/* ---- What the host may use; the caller holds EpcState.lock ---- */

/*
 * Fill in the areas that the host may map, and the doorbells that it may ring
 * without a message: at most @max, in ascending order. They return how many.
 */
unsigned epc_target_areas(const EpcTarget *t, EpcArea *area, unsigned max);
unsigned epc_target_io_fds(const EpcTarget *t, struct EpcFunction *fn,
                           EpcIoFd *io, unsigned max);

/* Who else carries an access out, by the kind of area in which it begins */
typedef struct EpcTargetElsewhere {
    bool trap;              /* TRAP: epc_trap_access() */
    EpcForward *forward;    /* WINDOW: epc_forward_add(), else NULL */
    uint64_t offset;        /* in that window */
    uint32_t len;           /* bytes of the access that the window has */
} EpcTargetElsewhere;

/*
 * Carries out @a, an access of function @fn to its BAR with target @t.  Returns
 * false when any byte of a write was dropped; with @t NULL all bytes are.  When
 * the access begins in an area of kind WINDOW or TRAP nothing is done but to
 * fill @to, with a reference to the window that the caller gives up.
 */
bool epc_target_access(const EpcTarget *t, struct EpcFunction *fn,
                       EpcAccess *a, EpcTargetElsewhere *to);

#endif /* HW_PCI_EP_ENDPOINT_TARGET_H */
