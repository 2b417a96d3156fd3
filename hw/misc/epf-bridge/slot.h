/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge: a PCI Express root port whose link partner is another machine
 */
#ifndef HW_MISC_EPF_BRIDGE_H
#define HW_MISC_EPF_BRIDGE_H

#include "hw/pci/pci_bridge.h"
#include "hw/pci/pcie_port.h"
#include "epf-function.h"
#include "epf-group.h"
#include "qom/object.h"

#define TYPE_EPF_BRIDGE "epf-bridge"
OBJECT_DECLARE_SIMPLE_TYPE(EpfBridge, EPF_BRIDGE)

struct EpfBridge {
    PCIESlot parent_obj;

    /* properties */
    char *socket;
    uint32_t deadline_ms;
    bool trust_unsealed;
    bool msix_relocate;
    PCIResReserve reserve;

    EpfGroup *group;
    QEMUBH *bh;
    Notifier machine_done;
    MemoryRegion nobody;                        /* answers for a gone device */
    EpfLink *link[EPF_MAX_FUNCTIONS];           /* what the slot shows */
    EpfFunction *functions[EPF_MAX_FUNCTIONS];  /* NULL: not there */
};

/* epf-slot.c: the registers of the slot.  BQL. */
void epf_slot_init(PCIDevice *d);
void epf_slot_reset(PCIDevice *d);

typedef struct EpfSlotWrite {
    uint16_t status;        /* Slot Status before the write */
    bool pending;           /* an event was asking for an interrupt */
} EpfSlotWrite;

/* Around the parent's config_write: returns the value to hand to it. */
uint32_t epf_slot_write_begin(PCIDevice *d, uint32_t addr, uint32_t val,
                              int len, EpfSlotWrite *w);
void epf_slot_write_end(PCIDevice *d, uint32_t addr, uint32_t val, int len,
                        const EpfSlotWrite *w);

/* The card is there or gone, the data link layer with it; tells the guest. */
void epf_slot_set_present(PCIDevice *d, bool present);

#endif /* HW_MISC_EPF_BRIDGE_H */
