/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The parent of the endpoint controller device
 */
#ifndef PCIE_QEMU_EP_PARENT_H
#define PCIE_QEMU_EP_PARENT_H

struct pci_dev;
struct qemu_ep;

/**
 * qemu_ep_parent_init() - choose the parent, see qemu_ep_parent()
 * @ep: the controller, with registers; @pdev is its parent so far
 * @pdev: the PCI function
 *
 * A parent of its own goes away when the driver is unbound.
 *
 * Return: 0 or a negative error, which was logged.
 */
int qemu_ep_parent_init(struct qemu_ep *ep, struct pci_dev *pdev);

/**
 * qemu_ep_parent_open() - let functions find the ITS
 * @ep: the controller, whose device has the parent now
 */
void qemu_ep_parent_open(struct qemu_ep *ep);

/**
 * qemu_ep_parent_keep() - do not take the parent away when the driver is unbound
 * @ep: the controller, to which functions stay linked
 */
void qemu_ep_parent_keep(struct qemu_ep *ep);

#endif /* PCIE_QEMU_EP_PARENT_H */
