/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slot: hot-plug registers of the root port
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_SLOT_H
#define HW_MISC_EPF_BRIDGE_SLOT_H

#include "hw/pci/pci_device.h"

typedef struct EpfSlotWrite {
    uint16_t status;        /* Slot Status before the write */
    bool pending;           /* an event was asking for an interrupt */
} EpfSlotWrite;

void epf_slot_init(PCIDevice *d);
/* QEMU has reset the port. */
void epf_slot_reset(PCIDevice *d);

/*
 * Around the config_write() of the parent class, which gets the value that the
 * first one returns
 */
uint32_t epf_slot_write_begin(PCIDevice *d, uint32_t addr, uint32_t val,
                              int len, EpfSlotWrite *w);
void epf_slot_write_end(PCIDevice *d, uint32_t addr, uint32_t val, int len,
                        const EpfSlotWrite *w);

/*
 * The card is there or gone, and the data link layer is active or not.  Sets
 * the event bits of what has changed, and interrupts the guest if it wants
 * that.
 */
void epf_slot_set_state(PCIDevice *d, bool present, bool active);

/* Does an event of the slot ask for an interrupt? */
bool epf_slot_event_pending(PCIDevice *d);

#endif /* HW_MISC_EPF_BRIDGE_SLOT_H */
