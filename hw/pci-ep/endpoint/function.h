/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life cycle of a function
 */
#ifndef HW_PCI_EP_ENDPOINT_FUNCTION_H
#define HW_PCI_EP_ENDPOINT_FUNCTION_H

#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/endpoint/state.h"

/*
 * @fn is zeroed. Called when the device is realized and has no threads yet, so
 * the lock is not needed; the same holds for epc_fn_destroy() at its end.
 */
void epc_fn_init(EpcState *s, EpcFunction *fn, unsigned index);
void epc_fn_destroy(EpcFunction *fn) EP_REQUIRES(&ep_bql);

/*
 * Gives @fn its state after power-up. Its server stays as it is, and so do
 * eventfds and memory of a plain client, see EPC_SERVER_DOWN_STAYS.
 */
void epc_fn_clear(EpcFunction *fn) EP_REQUIRES(&ep_bql, &fn->epc->lock);

/*
 * Forgets what the endpoint has described of @fn; arguments, events and
 * counters stay. No host is attached.
 */
void epc_fn_remove(EpcFunction *fn) EP_REQUIRES(&ep_bql, &fn->epc->lock);

/* Can START show this function? Returns EPC_STATUS_*. */
uint32_t epc_fn_startable(const EpcFunction *fn) EP_REQUIRES(&fn->epc->lock);

/* Sizes in bytes of MSI-X table and PBA for @count vectors */
uint64_t epc_fn_msix_table_size(uint32_t count);
uint64_t epc_fn_msix_pba_size(uint32_t count);

#endif /* HW_PCI_EP_ENDPOINT_FUNCTION_H */
