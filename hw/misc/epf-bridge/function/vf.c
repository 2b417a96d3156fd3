/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vf: a virtual function as the guest sees it
 *
 * A virtual function has few bits of its own in the header (PCI Express Base
 * Specification, "Configuration" in the chapter on SR-IOV).  VF MSE in the
 * capability of function 0 enables its memory;  QEMU models that with Memory
 * Space Enable in the Command register of the virtual function, which the guest
 * must neither see nor change.
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/host-utils.h"
#include "qemu/range.h"
#include "hw/pci/pcie_sriov.h"
#include "hw/misc/epf-bridge/function/vf.h"

const EpfSriov *epf_vf_sriov(EpfFunction *f)
{
    PCIDevice *pf = pcie_sriov_get_pf(PCI_DEVICE(f));

    return pf ? &EPF_FUNCTION(pf)->sriov : NULL;
}

void epf_vf_init(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    EpfFunction *pf = EPF_FUNCTION(pcie_sriov_get_pf(d));
    unsigned i = pcie_sriov_vf_number(d);

    f->remote = epf_remote_ref(pf->sriov.remotes[i]);
    f->ops = pf->ops;
    f->faults = pf->faults;
    pf->sriov.vf[i] = f;
    f->msix_relocate = pf->sriov.msix_size;
    for (unsigned bar = 0; bar < EPF_NUM_BARS; bar++) {
        f->bar[bar].shape.type = pf->sriov.bar[bar].type;
    }
    /* The only bit of the header that the guest may write */
    memset(d->wmask, 0, PCI_CONFIG_HEADER_SIZE);
    pci_set_word(d->wmask + PCI_COMMAND, PCI_COMMAND_MASTER);
}

void epf_vf_exit(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    EpfFunction *pf = EPF_FUNCTION(pcie_sriov_get_pf(d));

    pf->sriov.vf[pcie_sriov_vf_number(d)] = NULL;
}

void epf_vf_set_decode(EpfFunction *f, bool on)
{
    PCIDevice *d = PCI_DEVICE(f);
    uint16_t command = pci_get_word(d->config + PCI_COMMAND);

    command = deposit32(command, ctz32(PCI_COMMAND_MEMORY), 1, on);
    pci_set_word(d->config + PCI_COMMAND, command);
    /* QEMU maps BARs, here VF BARs, when somebody writes to the register. */
    pci_default_write_config(d, PCI_COMMAND, command, 2);
}

uint32_t epf_vf_mask(uint32_t addr, uint32_t val, int len)
{
    if (range_covers_byte(addr, len, PCI_COMMAND)) {
        val &= ~(PCI_COMMAND_MEMORY << ((PCI_COMMAND - addr) * 8));
    }
    return val;
}
