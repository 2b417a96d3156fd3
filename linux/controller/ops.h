/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Operations of the endpoint framework
 */
#ifndef PCIE_QEMU_EP_OPS_H
#define PCIE_QEMU_EP_OPS_H

struct pci_epc_ops;
struct qemu_ep;

extern const struct pci_epc_ops qemu_ep_ops;

/**
 * qemu_ep_init_features() - fill in the features that get_features() returns
 * @ep: the controller, whose registers were read
 */
void qemu_ep_init_features(struct qemu_ep *ep);

#endif /* PCIE_QEMU_EP_OPS_H */
