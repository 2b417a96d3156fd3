/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dpc: Downstream Port Containment of the root port
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_DPC_H
#define HW_MISC_EPF_BRIDGE_DPC_H

#include "hw/pci/pci_device.h"

/* What triggered it: Trigger Reason and its extension */
typedef enum EpfDpcReason {
    EPF_DPC_UNCORRECTABLE = PCI_EXP_DPC_STATUS_TRIGGER_RSN_UNCOR,
    EPF_DPC_NONFATAL = PCI_EXP_DPC_STATUS_TRIGGER_RSN_NFE,
    EPF_DPC_FATAL = PCI_EXP_DPC_STATUS_TRIGGER_RSN_FE,
    EPF_DPC_SOFTWARE = PCI_EXP_DPC_STATUS_TRIGGER_RSN_IN_EXT |
                       PCI_EXP_DPC_STATUS_TRIGGER_RSN_SW_TRIGGER,
} EpfDpcReason;

/* Adds the capability at @offset, with EPF_DPC_SIZE bytes. */
#define EPF_DPC_SIZE 0x0c
void epf_dpc_init(PCIDevice *d, uint16_t offset);
/* A fundamental reset: the port contains nothing. */
void epf_dpc_reset(PCIDevice *d);

/* Does the port hold the link down? */
bool epf_dpc_contains(PCIDevice *d);
/* Has the guest enabled a trigger for @reason, and is none in force? */
bool epf_dpc_triggers(PCIDevice *d, EpfDpcReason reason);
/*
 * Sets the registers. The caller takes the link down, and calls
 * epf_port_notify(). @source is the requester ID of the message, if one was
 * received.
 */
void epf_dpc_trigger(PCIDevice *d, EpfDpcReason reason, uint16_t source);

/*
 * After a write of the guest: does it ask for a software trigger? Returns true
 * once.
 */
bool epf_dpc_take_software(PCIDevice *d);

/* Does the event ask for an interrupt? */
bool epf_dpc_event_pending(PCIDevice *d);

#endif /* HW_MISC_EPF_BRIDGE_DPC_H */
