/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a function may do now: predicates that all files of the device may use
 */
#ifndef HW_PCI_EP_ENDPOINT_FN_STATE_H
#define HW_PCI_EP_ENDPOINT_FN_STATE_H

#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/endpoint/state.h"

static inline bool epc_fn_is_vf(const EpcFunction *fn)
{
    return fn->index >= fn->epc->functions;
}

/* May the endpoint change how its functions are described to a host? */
static inline bool epc_link_idle(const EpcState *s) EP_REQUIRES(&s->lock);
static inline bool epc_link_idle(const EpcState *s)
{
    return !s->link.enabled && !s->link.falling_mask;
}

/* Should the link be up? */
static inline bool epc_link_wanted(const EpcState *s) EP_REQUIRES(&s->lock);
static inline bool epc_link_wanted(const EpcState *s)
{
    return s->link.enabled && !s->link.cut;
}

/* Does the client wait for the other functions, or has it all of them? */
static inline bool epc_fn_joined(const EpcFunction *fn)
    EP_REQUIRES(&fn->epc->lock);
static inline bool epc_fn_joined(const EpcFunction *fn)
{
    return fn->link == EPC_FN_LINK_JOINED ||
           fn->link == EPC_FN_LINK_UP_TOGETHER;
}

/* Does the host have the function? It may keep it until STOP has completed. */
static inline bool epc_fn_up(const EpcFunction *fn)
    EP_REQUIRES(&fn->epc->lock);
static inline bool epc_fn_up(const EpcFunction *fn)
{
    return fn->link == EPC_FN_LINK_UP_TOGETHER ||
           fn->link == EPC_FN_LINK_UP_ALONE;
}

/*
 * May host memory be used? The answer is no from the beginning of STOP on, and
 * while the function falls for another reason.
 */
static inline bool epc_fn_usable(const EpcFunction *fn)
    EP_REQUIRES(&fn->epc->lock);
static inline bool epc_fn_usable(const EpcFunction *fn)
{
    const EpcLinkState *l = &fn->epc->link;

    return epc_fn_up(fn) && epc_link_wanted(fn->epc) && !l->fall_waits &&
           !(l->falling_mask & BIT(fn->index));
}

/* May the function master the bus? */
bool epc_fn_may_dma(const EpcFunction *fn) EP_REQUIRES(&fn->epc->lock);

/* Is the function no virtual function, or one that the host has enabled? */
bool epc_fn_enabled(const EpcFunction *fn) EP_REQUIRES(&fn->epc->lock);

/*
 * Returns whether @property, what a check of endpoint/limits.h has returned, is
 * NULL. A trace event names the property that is not.
 */
bool epc_limit_allows(const EpcFunction *fn, const char *property);

/* The value of EPC_FN_PCI_COMMAND */
uint16_t epc_fn_pci_command(const EpcFunction *fn)
    EP_REQUIRES(&fn->epc->lock);

#endif /* HW_PCI_EP_ENDPOINT_FN_STATE_H */
