/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aer: Advanced Error Reporting of a function
 */
#include "qemu/osdep.h"
#include "hw/pci/pcie.h"
#include "hw/misc/epf-bridge/function/aer.h"

void epf_aer_init(EpfFunction *f, unsigned at)
{
    if (pcie_aer_init(PCI_DEVICE(f), PCI_ERR_VER, at, PCI_ERR_SIZEOF,
                      NULL) >= 0) {
        bitmap_clear(f->live, at, PCI_ERR_SIZEOF);
    }
}

void epf_aer_exit(EpfFunction *f)
{
    pcie_aer_exit(PCI_DEVICE(f));
}

void epf_aer_written(EpfFunction *f, uint32_t addr, uint32_t val, int len)
{
    if (PCI_DEVICE(f)->exp.aer_cap) {
        pcie_aer_write_config(PCI_DEVICE(f), addr, val, len);
    }
}

void epf_aer_power_reset(PCIDevice *d)
{
    uint8_t *cap = d->config + d->exp.aer_cap;
    uint8_t *wmask = d->wmask + d->exp.aer_cap;

    if (!d->exp.aer_cap) {
        return;
    }
    d->exp.aer_log.log_num = 0;
    pci_set_long(cap + PCI_ERR_UNCOR_STATUS, 0);
    pci_set_long(cap + PCI_ERR_UNCOR_MASK, PCI_ERR_UNC_MASK_DEFAULT &
                 pci_get_long(wmask + PCI_ERR_UNCOR_MASK));
    pci_set_long(cap + PCI_ERR_UNCOR_SEVER, PCI_ERR_UNC_SEVERITY_DEFAULT);
    pci_set_long(cap + PCI_ERR_COR_STATUS, 0);
    pci_set_long(cap + PCI_ERR_COR_MASK, PCI_ERR_COR_MASK_DEFAULT);
    pci_long_test_and_clear_mask(cap + PCI_ERR_CAP, PCI_ERR_CAP_FEP_MASK |
                                 pci_get_long(wmask + PCI_ERR_CAP));
    memset(cap + PCI_ERR_HEADER_LOG, 0, PCI_ERR_HEADER_LOG_SIZE);
}
