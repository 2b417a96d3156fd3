/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Operations of the endpoint framework
 */
#ifndef PCIE_QEMU_EP_OPS_H
#define PCIE_QEMU_EP_OPS_H

struct pci_epc_ops;

extern const struct pci_epc_ops qemu_ep_ops;

#endif /* PCIE_QEMU_EP_OPS_H */
