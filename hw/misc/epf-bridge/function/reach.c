/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reach: whether accesses of the guest reach a function
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_bridge.h"
#include "hw/misc/epf-bridge/function/reach.h"

/* The port may have taken the link down for a while. */
static bool epf_reach_link_active(const PCIDevice *port)
{
    return pci_get_word(port->config + port->exp.exp_cap + PCI_EXP_LNKSTA) &
           PCI_EXP_LNKSTA_DLLLA;
}

bool epf_reach_ends(EpfFunction *f)
{
    PCIBus *bus = pci_get_bus(PCI_DEVICE(f));
    PCIDevice *port = bus ? pci_bridge_get_device(bus) : NULL;

    /* A thread that waited for the BQL may access a function that is removed. */
    return !port || epf_remote_dead(f->remote) || !epf_reach_link_active(port) ||
           (pci_get_word(port->config + PCI_BRIDGE_CONTROL) &
            PCI_BRIDGE_CTL_BUS_RESET);
}
