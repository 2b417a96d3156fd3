/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * port: registers that the root port has besides those of QEMU's, and its
 * interrupts
 *
 * The port has one message for all events. QEMU sends it for errors, slot.c for
 * those of the slot. A change of the link's bandwidth and containment (dpc.c)
 * send it here.
 */
#include "qemu/osdep.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "hw/pci/pcie.h"
#include "hw/misc/epf-bridge/dpc.h"
#include "hw/misc/epf-bridge/port.h"
#include "hw/misc/epf-bridge/slot.h"

#define EPF_PORT_LINK_ENABLE    (PCI_EXP_LNKCTL_LBMIE | PCI_EXP_LNKCTL_LABIE)
#define EPF_PORT_LINK_EVENTS    (PCI_EXP_LNKSTA_LBMS | PCI_EXP_LNKSTA_LABS)

enum { EPF_PORT_BANDWIDTH = 1 << 0, EPF_PORT_CONTAINED = 1 << 1 };

/* ---- Events ---- */

static uint16_t epf_port_reg(PCIDevice *d, unsigned reg)
{
    return pci_get_word(d->config + d->exp.exp_cap + reg);
}

/* Root Error Status and Root Error Command have other bits for the same. */
static bool epf_port_error_pending(PCIDevice *d)
{
    uint8_t *cap = d->config + d->exp.aer_cap;
    uint32_t status = pci_get_long(cap + PCI_ERR_ROOT_STATUS);
    uint32_t command = pci_get_long(cap + PCI_ERR_ROOT_COMMAND);

    return ((status & PCI_ERR_ROOT_COR_RCV) &&
            (command & PCI_ERR_ROOT_CMD_COR_EN)) ||
           ((status & PCI_ERR_ROOT_NONFATAL_RCV) &&
            (command & PCI_ERR_ROOT_CMD_NONFATAL_EN)) ||
           ((status & PCI_ERR_ROOT_FATAL_RCV) &&
            (command & PCI_ERR_ROOT_CMD_FATAL_EN));
}

unsigned epf_port_pending(PCIDevice *d)
{
    uint16_t control = epf_port_reg(d, PCI_EXP_LNKCTL);
    uint16_t status = epf_port_reg(d, PCI_EXP_LNKSTA);
    unsigned pending = epf_dpc_event_pending(d) ? EPF_PORT_CONTAINED : 0;

    if (((control & PCI_EXP_LNKCTL_LBMIE) && (status & PCI_EXP_LNKSTA_LBMS)) ||
        ((control & PCI_EXP_LNKCTL_LABIE) && (status & PCI_EXP_LNKSTA_LABS))) {
        pending |= EPF_PORT_BANDWIDTH;
    }
    return pending;
}

void epf_port_set_pin(PCIDevice *d)
{
    if (!msix_enabled(d) && !msi_enabled(d) && pci_intx(d) >= 0) {
        pci_set_irq(d, epf_slot_event_pending(d) || epf_port_error_pending(d) ||
                       epf_port_pending(d));
    }
}

void epf_port_notify(PCIDevice *d, unsigned before)
{
    unsigned added = epf_port_pending(d) & ~before;
    unsigned vector = (epf_port_reg(d, PCI_EXP_FLAGS) & PCI_EXP_FLAGS_IRQ) >>
                      ctz32(PCI_EXP_FLAGS_IRQ);

    if (added && msix_enabled(d)) {
        msix_notify(d, vector);
    } else if (added && msi_enabled(d)) {
        msi_notify(d, vector);
    }
    epf_port_set_pin(d);
}

/* ---- Registers ---- */

/*
 * Software sees Request Retry Status as a Vendor ID of its own, when it has
 * enabled that. QEMU resets Root Control.
 */
static void epf_port_init_retry(PCIDevice *d)
{
    unsigned cap = d->exp.exp_cap;

    pci_word_test_and_set_mask(d->config + cap + PCI_EXP_RTCAP,
                               PCI_EXP_RTCAP_CRSVIS);
    pci_word_test_and_set_mask(d->wmask + cap + PCI_EXP_RTCTL,
                               PCI_EXP_RTCTL_CRSSVE);
}

/* QEMU's Link Capabilities say already that the port has these. */
static void epf_port_init_bandwidth(PCIDevice *d)
{
    unsigned cap = d->exp.exp_cap;

    pci_word_test_and_set_mask(d->wmask + cap + PCI_EXP_LNKCTL,
                               EPF_PORT_LINK_ENABLE);
    pci_word_test_and_set_mask(d->w1cmask + cap + PCI_EXP_LNKSTA,
                               EPF_PORT_LINK_EVENTS);
}

void epf_port_init(PCIDevice *d)
{
    epf_port_init_retry(d);
    epf_port_init_bandwidth(d);
}

void epf_port_reset(PCIDevice *d)
{
    uint8_t *cap = d->config + d->exp.exp_cap;

    pci_word_test_and_clear_mask(cap + PCI_EXP_LNKCTL, EPF_PORT_LINK_ENABLE);
    pci_word_test_and_clear_mask(cap + PCI_EXP_LNKSTA, EPF_PORT_LINK_EVENTS);
}
