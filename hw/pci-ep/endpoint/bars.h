/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BARs of a function: what the host sees of them, and the commands that change
 * them
 */
#ifndef HW_PCI_EP_ENDPOINT_BARS_H
#define HW_PCI_EP_ENDPOINT_BARS_H

#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/server/server.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/target.h"

/*
 * The size of BAR @n as the host sees it; 0 if the function does not have it.
 */
uint64_t epc_bar_size(const EpcFunction *fn, unsigned n)
    EP_REQUIRES(&fn->epc->lock);

/*
 * Describes BAR @n for a client that can map a BAR as a whole or not at all.
 * The caller has zeroed @r and set @r->fd to -1.
 */
void epc_bar_info(const EpcFunction *fn, unsigned n, EpcRegion *r)
    EP_REQUIRES(&fn->epc->lock);

/*
 * Carries out an access of the host that came in a message. An access outside
 * of the BAR, or to a function that the host does not have, does nothing: a
 * read leaves the data as it is. A write inside of the BAR counts in
 * EPC_FN_INBOUND_DROPPED if any byte of it reaches nothing: the BAR has no
 * target there, or the host has not enabled the virtual function. If somebody
 * else carries the access out this only fills @to, as epc_target_access() does.
 */
void epc_bar_access(EpcFunction *fn, EpcAccess *a, EpcTargetElsewhere *to)
    EP_REQUIRES(&fn->epc->lock);

/*
 * Returned where else EPC_STATUS_* is: the device was reset or ejected
 * meanwhile, so there is no command any more, and there may be no @fn.
 */
#define EPC_BAR_VOID        UINT32_MAX

/*
 * SET_BAR, SET_AREAS and CLEAR_BAR, with the arguments in @fn->args. They
 * return EPC_STATUS_* or EPC_BAR_VOID. With EPC_STATUS_BUSY the status register
 * has that value already, and may have changed again since. The caller
 * references the object.
 */
uint32_t epc_bar_set(EpcFunction *fn)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&fn->epc->lock);
uint32_t epc_bar_set_areas(EpcFunction *fn)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&fn->epc->lock);
uint32_t epc_bar_clear(EpcFunction *fn)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&fn->epc->lock);

#endif /* HW_PCI_EP_ENDPOINT_BARS_H */
