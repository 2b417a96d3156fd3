/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * port: registers that the root port has besides those of QEMU's, and its
 * interrupts
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_PORT_H
#define HW_MISC_EPF_BRIDGE_PORT_H

#include "hw/pci/pci_device.h"

void epf_port_init(PCIDevice *d);
/* QEMU has reset the port. */
void epf_port_reset(PCIDevice *d);

/*
 * The events that ask for an interrupt and that neither QEMU nor slot.c knows,
 * as bits
 */
unsigned epf_port_pending(PCIDevice *d);
/*
 * Interrupts the guest for events that are not among those @before. Called
 * after each change of such an event, and after each write of the guest.
 */
void epf_port_notify(PCIDevice *d, unsigned before);
/* Sets INTx for the events of the slot, of errors and of the above. */
void epf_port_set_pin(PCIDevice *d);

#endif /* HW_MISC_EPF_BRIDGE_PORT_H */
