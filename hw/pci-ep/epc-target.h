/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-target: what a BAR leads to
 *
 * A target is a list of pieces, back to back from the start of the BAR; past
 * its end there is nothing.  A piece is resolved once, when the endpoint sets
 * the BAR, and holds its memory from then on.  So the host's accesses
 * need neither the BQL nor an address translation, and whatever the guest does
 * to its memory map later, they reach what was meant or memory of this guest
 * that is unused.
 *
 *   RAM       of this guest; exported to the host when it is shared
 *   WINDOW    outbound window of another controller of this guest, see
 *             epc-forward.h.  Its pages come and go with the host at its other
 *             end, and read all ones once that device is unplugged.
 *   DOORBELL  EPC_BAR_DOORBELL of this controller
 *   NONE      reads all ones, writes are dropped
 */
#ifndef HW_PCI_EP_EPC_TARGET_H
#define HW_PCI_EP_EPC_TARGET_H

#include "hw/pci-ep/epc-forward.h"
#include "hw/pci-ep/epc-server.h"

typedef struct EpcTarget EpcTarget;
struct EpcFunction;
struct EpcState;

/* Building: BQL.  What was added stays when the next one fails. */
EpcTarget *epc_target_new(void);
/* EPC_STATUS_*.  EPC_ADDR_NONE leads to nothing. */
uint32_t epc_target_add(struct EpcState *s, EpcTarget *t, uint64_t addr,
                        uint64_t size);
/* NULL is fine.  BQL. */
void epc_target_free(EpcTarget *t);
/* Frees @t later, from any thread.  Lock held. */
void epc_target_retire(struct EpcState *s, EpcTarget *t);

/*
 * Fills what the host may map, or ring without a message, ascending; returns
 * how many.  NULL has none.
 */
unsigned epc_target_areas(const EpcTarget *t, EpcArea *area, unsigned max);
unsigned epc_target_io_fds(const EpcTarget *t, struct EpcFunction *fn,
                           EpcIoFd *io, unsigned max);

/*
 * Is @offset in the window of another controller, how far into it, and how much of
 * it is there?  Then the caller unrefs.  NULL has none.  Lock held.
 */
EpcForward *epc_target_forward(const EpcTarget *t, uint64_t offset,
                               uint64_t *in_window, uint64_t *left);

/*
 * One access of the host that is not to begin in such a window.  A write: was
 * something of it dropped?  NULL has nothing.  Lock held.
 */
void epc_target_read(const EpcTarget *t, uint64_t offset, void *buf,
                     uint32_t len);
bool epc_target_write(const EpcTarget *t, struct EpcFunction *fn,
                      uint64_t offset, const void *buf, uint32_t len);

#endif /* HW_PCI_EP_EPC_TARGET_H */
