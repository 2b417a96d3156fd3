/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the host allows: carries out each change of it
 *
 * The host decides what a function may reach: by its configuration space, by
 * the link and by DMA_MAP. Whoever changes one of these does it between
 * epc_host_state_begin() and epc_host_state_end(), and names the change to one
 * of the functions below. epc_host_state_end() then brings the window, the
 * raise registers, INTx and the DMA engine up to date. When it returns, nothing
 * in this process uses host memory that the change took away.
 *
 * epc_reset_all() does not go through these functions. It takes away everything
 * at once, whatever the host allows: it resets the DMA engine first, and
 * empties the window itself.
 *
 * These functions may be called in any thread, also in the reader thread of a
 * server, and without the BQL.
 */
#ifndef HW_PCI_EP_ENDPOINT_HOST_STATE_H
#define HW_PCI_EP_ENDPOINT_HOST_STATE_H

#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/endpoint/state.h"

/* Takes EpcState.lock. */
void epc_host_state_begin(EpcState *s) EP_ACQUIRES(&s->lock);

/*
 * Carries out the changes that were named since epc_host_state_begin() and
 * releases EpcState.lock. In the middle it releases the lock for a moment when
 * many maps become live again. Afterwards it waits for the burst that the DMA
 * engine has under way, if that accesses host memory of a function that was
 * named for anything but an added range: a change of the link or the
 * configuration, and a reset, may have taken something away. The host of that
 * function can make the burst long, so only a thread that serves this host
 * calls this.
 */
void epc_host_state_end(EpcState *s) EP_RELEASES(&s->lock);
/*
 * The same without the wait, for a thread that holds the BQL. A burst that is
 * under way may still use what was taken away; see epc_dma_after_bursts().
 */
void epc_host_state_end_early(EpcState *s) EP_RELEASES(&s->lock);

/*
 * The link state of @fn has changed: epc_fn_usable() may have another answer.
 */
void epc_host_state_link_changed(EpcFunction *fn) EP_REQUIRES(&fn->epc->lock);

/*
 * The host has written the configuration space of @fn, and @fn->cfg has the new
 * values already. With function 0 this and epc_host_state_reset() may enable or
 * disable virtual functions. One that is disabled goes through a reset.
 */
void epc_host_state_config_changed(EpcFunction *fn) EP_REQUIRES(&fn->epc->lock);

/*
 * The host has reset @fn. This gives @fn->cfg, INTx and the log of writes their
 * values after a reset of this @kind; a second time does no harm. If this
 * changes the registers EPC_FN_PCI_COMMAND, EPC_FN_MSI, EPC_FN_MSIX or
 * EPC_FN_DSTATE, the endpoint gets EPC_FN_EVENT_COMMAND, _MSI or _DSTATE.
 */
void epc_host_state_reset(EpcFunction *fn, EpcConfigReset kind)
    EP_REQUIRES(&fn->epc->lock);

/*
 * The host now allows DMA of @fn to bus addresses [first, last], which are in
 * @fn->host_memory already.
 */
void epc_host_state_range_added(EpcFunction *fn, uint64_t first, uint64_t last)
    EP_REQUIRES(&fn->epc->lock);

/*
 * The host no longer allows DMA of @fn to bus addresses [first, last]. The
 * caller removes them from @fn->host_memory before epc_host_state_end().
 */
void epc_host_state_range_removed(EpcFunction *fn, uint64_t first,
                                  uint64_t last)
    EP_REQUIRES(&fn->epc->lock);

#endif /* HW_PCI_EP_ENDPOINT_HOST_STATE_H */
