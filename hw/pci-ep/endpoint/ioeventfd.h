/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Raise registers that KVM turns into a signal to the host, without QEMU
 *
 * While a raise of an MSI or MSI-X vector is allowed its register may be an
 * ioeventfd on the eventfd that the host passed. It is one as long as there are
 * not more than some hundred of them; then those that were raised last are. A
 * write to any other raise register arrives in endpoint/raise.c, which drops
 * and counts what is not allowed.
 *
 * While a BAR of another controller shows the window there are none at all
 * (endpoint/forward-raise.c), nor while a requested fault of interrupts is
 * armed.
 */
#ifndef HW_PCI_EP_ENDPOINT_IOEVENTFD_H
#define HW_PCI_EP_ENDPOINT_IOEVENTFD_H

#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/endpoint/state.h"

/* What the property x-ioeventfd asks for; "auto" is on with KVM only. */
bool epc_ioeventfd_wanted(OnOffAuto prop);

/*
 * Brings the raise registers up to date with what epc_irqs_changed() announced.
 * Whoever shows the guest that a raise is allowed or forbidden calls this
 * first.
 */
void epc_ioeventfd_update(EpcState *s)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock);

/*
 * With @suspended all raise registers are ordinary ones, until a call without
 * it. The caller moves the registers meanwhile: KVM has no two ioeventfds at
 * one address, and those of another device may be where ours are going to be.
 * Does nothing when the device is gone or has no ioeventfds.
 */
void epc_ioeventfd_suspend(EpcState *s, bool suspended)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock);

/* Frees what belongs to @fn, after an update that found no eventfds. */
void epc_ioeventfd_free(EpcFunction *fn) EP_REQUIRES(&ep_bql);

#endif /* HW_PCI_EP_ENDPOINT_IOEVENTFD_H */
