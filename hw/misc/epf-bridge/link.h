/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * link: the link as the port sees it
 *
 * The endpoint decides whether there is a link (device.h). Here is what the
 * port does to it: containment holds it down, and faults take it down or train
 * it anew.
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_LINK_H
#define HW_MISC_EPF_BRIDGE_LINK_H

#include "hw/misc/epf-bridge/bridge.h"
#include "hw/misc/epf-bridge/dpc.h"

/* Shows in Slot Status and Link Status what the slot has now. */
void epf_link_update(EpfBridge *b);
/*
 * The bridge wants sessions with the endpoint while the link is offered and the
 * machine is awake. One of these has changed.
 */
void epf_link_update_wanted(EpfBridge *b);
/* A fundamental reset of the port, before epf_slot_reset() */
void epf_link_reset(EpfBridge *b);

/*
 * QEMU has reset the functions: brings up to date what depends on that, and
 * sends a reset of @kind, VFU_EP_RESET_*, to the endpoint.
 */
void epf_link_forward_reset(EpfBridge *b, unsigned kind);

/* Triggers containment. The bottom half of the bridge resets the functions. */
void epf_link_contain(EpfBridge *b, EpfDpcReason reason, uint16_t source);
/* Is that reset still to come? */
bool epf_link_reset_due(const EpfBridge *b);
/* Carries it out. No vCPU runs, or the caller is a write of the guest. */
void epf_link_settle(EpfBridge *b);

/*
 * The link trains at @speed (of the Link Speed field) and @width, where 0 stays
 * as it is. Returns false with @errp when it cannot.
 */
bool epf_link_train(EpfBridge *b, unsigned speed, unsigned width, Error **errp);

/*
 * Takes the link down for @ms milliseconds, as if the slot were empty. Returns
 * false with @errp when it is down already.
 */
bool epf_link_take_down(EpfBridge *b, uint32_t ms, Error **errp);
/*
 * The card is pulled out, in the middle of an access. The functions go in the
 * bottom half of the bridge.
 */
void epf_link_remove(EpfBridge *b);
/* It is put in again. Returns false with @errp when nobody has removed it. */
bool epf_link_insert(EpfBridge *b, Error **errp);
/* Does the slot show nothing, whatever the endpoint offers? */
bool epf_link_taken_down(const EpfBridge *b);

/* When the bridge is realized */
void epf_link_init(EpfBridge *b);

/* Around a write of the guest to configuration space of the port */
bool epf_link_write_begin(EpfBridge *b);
void epf_link_write_end(EpfBridge *b, bool contained);

#endif /* HW_MISC_EPF_BRIDGE_LINK_H */
