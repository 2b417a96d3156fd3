/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-forward: accesses of one controller's host to the window of another one,
 * and so to the host at its other end
 *
 * They come in the reader thread of the first host, which must not wait for the
 * second one.  So each window has a queue, from which accesses are carried out
 * one after the other: at once while the other host's memory is mapped here,
 * else by message.
 *
 * Writes are posted: answered when they are in the queue.  Otherwise two hosts
 * whose CPUs ring each other would wait for each other.  A queue that is full
 * answers writes when they are done, one that is fuller drops them.  Reads are
 * answered when they are done, or with all ones before their host runs out of
 * patience with us; a host whose own answers make others wait too long is
 * dropped.
 */
#ifndef HW_PCI_EP_EPC_FORWARD_H
#define HW_PCI_EP_EPC_FORWARD_H

#include "hw/pci-ep/epc-server.h"

struct EpcState;

typedef struct EpcForward EpcForward;

/* The window of @s.  BQL. */
EpcForward *epc_forward_new(struct EpcState *s);
/* Outlives the controller.  Any thread; NULL is fine. */
EpcForward *epc_forward_ref(EpcForward *f);
void epc_forward_unref(EpcForward *f);

/*
 * The controller goes away: before its servers do.  From now on reads are all
 * ones.  BQL; no lock held.  Again, or NULL: nothing.
 */
void epc_forward_stop(EpcForward *f);

/*
 * Takes over @a, whose first @len bytes go to @offset of the window; the rest of
 * it goes nowhere.  Any thread; no lock held.
 */
void epc_forward_access(EpcForward *f, uint64_t offset, uint32_t len,
                        EpcAccess *a);

#endif /* HW_PCI_EP_EPC_FORWARD_H */
