/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dpc: Downstream Port Containment of the root port
 *
 * PCI Express Base 5.0, 6.2.10, and "DPC Extended Capability" in 7.9. The port
 * has no Root Port extensions, which are optional, and reports containment by
 * its interrupt only.
 */
#include "qemu/osdep.h"
#include "hw/pci/pcie.h"
#include "hw/misc/epf-bridge/dpc.h"

#define EPF_DPC_VERSION 1

/* Bits of DPC Control that not each pci_regs.h has */
#define EPF_DPC_CTL_ENABLE      (PCI_EXP_DPC_CTL_EN_FATAL | \
                                 PCI_EXP_DPC_CTL_EN_NONFATAL)
#define EPF_DPC_CTL_COMPLETION  0x0004  /* a guest sees no difference */
#define EPF_DPC_CTL_SOFTWARE    0x0040

static uint16_t epf_dpc_cap(PCIDevice *d)
{
    return pcie_find_capability(d, PCI_EXT_CAP_ID_DPC);
}

static uint16_t epf_dpc_reg(PCIDevice *d, unsigned reg)
{
    return pci_get_word(d->config + epf_dpc_cap(d) + reg);
}

void epf_dpc_init(PCIDevice *d, uint16_t offset)
{
    pcie_add_capability(d, PCI_EXT_CAP_ID_DPC, EPF_DPC_VERSION, offset,
                        EPF_DPC_SIZE);
    pci_set_word(d->config + offset + PCI_EXP_DPC_CAP,
                 PCI_EXP_DPC_CAP_SW_TRIGGER);
    pci_set_word(d->wmask + offset + PCI_EXP_DPC_CTL,
                 EPF_DPC_CTL_ENABLE | EPF_DPC_CTL_COMPLETION |
                 PCI_EXP_DPC_CTL_INT_EN | EPF_DPC_CTL_SOFTWARE);
    pci_set_word(d->w1cmask + offset + PCI_EXP_DPC_STATUS,
                 PCI_EXP_DPC_STATUS_TRIGGER | PCI_EXP_DPC_STATUS_INTERRUPT);
}

void epf_dpc_reset(PCIDevice *d)
{
    uint8_t *cap = d->config + epf_dpc_cap(d);

    pci_set_word(cap + PCI_EXP_DPC_CTL, 0);
    pci_set_word(cap + PCI_EXP_DPC_STATUS, 0);
    pci_set_word(cap + PCI_EXP_DPC_SOURCE_ID, 0);
}

bool epf_dpc_contains(PCIDevice *d)
{
    return epf_dpc_reg(d, PCI_EXP_DPC_STATUS) & PCI_EXP_DPC_STATUS_TRIGGER;
}

bool epf_dpc_triggers(PCIDevice *d, EpfDpcReason reason)
{
    unsigned enable = epf_dpc_reg(d, PCI_EXP_DPC_CTL) & EPF_DPC_CTL_ENABLE;

    /* It is a number: both bits together are reserved. */
    return !epf_dpc_contains(d) &&
           (enable == PCI_EXP_DPC_CTL_EN_NONFATAL ||
            (enable == PCI_EXP_DPC_CTL_EN_FATAL && reason != EPF_DPC_NONFATAL));
}

void epf_dpc_trigger(PCIDevice *d, EpfDpcReason reason, uint16_t source)
{
    uint8_t *cap = d->config + epf_dpc_cap(d);
    uint16_t status = PCI_EXP_DPC_STATUS_TRIGGER | reason;

    if (epf_dpc_reg(d, PCI_EXP_DPC_CTL) & PCI_EXP_DPC_CTL_INT_EN) {
        status |= PCI_EXP_DPC_STATUS_INTERRUPT;
    }
    pci_set_word(cap + PCI_EXP_DPC_STATUS, status);
    pci_set_word(cap + PCI_EXP_DPC_SOURCE_ID, source);
}

bool epf_dpc_take_software(PCIDevice *d)
{
    uint8_t *control = d->config + epf_dpc_cap(d) + PCI_EXP_DPC_CTL;

    return pci_word_test_and_clear_mask(control, EPF_DPC_CTL_SOFTWARE) &&
           epf_dpc_triggers(d, EPF_DPC_SOFTWARE);
}

bool epf_dpc_event_pending(PCIDevice *d)
{
    return (epf_dpc_reg(d, PCI_EXP_DPC_CTL) & PCI_EXP_DPC_CTL_INT_EN) &&
           (epf_dpc_reg(d, PCI_EXP_DPC_STATUS) & PCI_EXP_DPC_STATUS_INTERRUPT);
}
