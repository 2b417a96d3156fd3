/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the device reports to its guest: events and interrupts
 *
 * Any thread may call these functions.
 */
#ifndef HW_PCI_EP_ENDPOINT_NOTIFY_H
#define HW_PCI_EP_ENDPOINT_NOTIFY_H

#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/endpoint/state.h"

/* The id of this controller, or its type; used in messages and trace events. */
const char *epc_name(EpcState *s);

/* Has the bottom half of the device raise its MSI-X vector @vector. */
void epc_notify(EpcState *s, unsigned vector) EP_REQUIRES(&s->lock);

/*
 * Sets bits of EPC_REG_EVENT, or of EPC_FN_EVENT of @fn, and raises
 * EPC_VECTOR_EVENT if one of them is not masked.
 */
void epc_event(EpcState *s, uint32_t events) EP_REQUIRES(&s->lock);
void epc_fn_event(EpcFunction *fn, uint32_t events)
    EP_REQUIRES(&fn->epc->lock);

/* The value of EPC_REG_FN_PENDING */
uint32_t epc_fn_pending(EpcState *s) EP_REQUIRES(&s->lock);

/*
 * Releases the reference that a bottom half or a register access of @s has
 * held. Its caller still writes to memory of the device afterwards. So if the
 * device is gone, another bottom half releases the reference later.
 */
void epc_bh_unref(EpcState *s);

#endif /* HW_PCI_EP_ENDPOINT_NOTIFY_H */
