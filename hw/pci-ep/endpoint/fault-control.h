/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the user requests faults of the controller: the properties "fault",
 * "fault-log" and "fault-seed"
 *
 * This file carries out what happens at once, runs the timers of faults, and
 * has the rest of the device take notice when a kind is armed.
 */
#ifndef HW_PCI_EP_ENDPOINT_FAULT_CONTROL_H
#define HW_PCI_EP_ENDPOINT_FAULT_CONTROL_H

#include "qom/object.h"
#include "hw/pci-ep/wire/locks.h"

struct EpcState;

/* Adds the properties. */
void epc_fault_control_class_init(ObjectClass *oc);
void epc_fault_control_init(struct EpcState *s);
/* The device was realized: what was armed before takes effect. */
void epc_fault_control_realized(struct EpcState *s) EP_REQUIRES(&ep_bql);
/* No timer runs any more. Called when all threads of the device have ended. */
void epc_fault_control_exit(struct EpcState *s) EP_REQUIRES(&ep_bql);
void epc_fault_control_destroy(struct EpcState *s);

#endif /* HW_PCI_EP_ENDPOINT_FAULT_CONTROL_H */
