/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bridge: a PCI Express root port whose link partner is another machine
 *
 * The state of the device; everything in it belongs to the main loop and to
 * vCPUs that hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_BRIDGE_H
#define HW_MISC_EPF_BRIDGE_BRIDGE_H

#include "hw/pci/pci_bridge.h"
#include "hw/pci/pcie_port.h"
#include "hw/misc/epf-bridge/device.h"
#include "hw/misc/epf-bridge/function/function.h"
#include "hw/pci-ep/shared/fault.h"
#include "hw/misc/epf-bridge/sleep.h"
#include "qom/object.h"

#define TYPE_EPF_BRIDGE "epf-bridge"
OBJECT_DECLARE_SIMPLE_TYPE(EpfBridge, EPF_BRIDGE)

/* The table at the head of link.c says which follows which. */
typedef enum EpfLinkState {
    EPF_LINK_OFFERED,           /* the slot shows what the endpoint offers */
    EPF_LINK_DOWN,              /* a fault took the link down for a while */
    EPF_LINK_REMOVED,           /* a fault removed the card */
    EPF_LINK_STATES,
} EpfLinkState;

struct EpfBridge {
    PCIESlot parent_obj;

    /* properties */
    char *socket;
    uint32_t deadline_ms;
    bool trust_unsealed;
    bool msix_relocate;
    uint32_t intx_hold_us;
    PCIResReserve reserve;

    EpFaults *faults;           /* faults.c */
    uint32_t fault_seed;

    /* link.c */
    bool reset_due;
    EpfLinkState link;
    QEMUTimer *link_timer;
    EpfDevice *endpoint;
    QEMUBH *bh;                                 /* epf_bridge_sync() */
    Notifier machine_done;
    EpfSleep sleep;
    MemoryRegion unclaimed;     /* answers where no function decodes */
    EpfRemote *remotes[EPF_MAX_FUNCTIONS];      /* what the slot shows */
    EpfFunction *functions[EPF_MAX_FUNCTIONS];  /* NULL: not there */
};

#endif /* HW_MISC_EPF_BRIDGE_BRIDGE_H */
