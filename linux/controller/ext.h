/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Extensions of the framework: the provider of pci-epc-ext.h
 */
#ifndef PCIE_QEMU_EP_EXT_H
#define PCIE_QEMU_EP_EXT_H

#include <linux/types.h>

struct qemu_ep;

/**
 * qemu_ep_ext_init() - register the controller with pci-epc-ext
 * @ep: the controller, before functions can be linked to it
 *
 * Return: 0 or a negative error.
 */
int qemu_ep_ext_init(struct qemu_ep *ep);

/**
 * qemu_ep_ext_exit() - undo qemu_ep_ext_init()
 * @ep: the controller, after qemu_ep_notify_exit()
 *
 * The caller holds no lock that an operation takes.
 */
void qemu_ep_ext_exit(struct qemu_ep *ep);

/**
 * qemu_ep_ext_page_events() - pass on the events of a page
 * @ep: the controller
 * @page: index of the register page
 * @events: EPC_FN_EVENT, which was cleared
 *
 * Called by the thread of EPC_VECTOR_EVENT.
 */
void qemu_ep_ext_page_events(struct qemu_ep *ep, u8 page, u32 events);

/**
 * qemu_ep_ext_events() - pass on resets to all functions
 * @ep: the controller
 * @events: EPC_REG_EVENT, which was cleared
 *
 * Called by the thread of EPC_VECTOR_EVENT.
 */
void qemu_ep_ext_events(struct qemu_ep *ep, u32 events);

#endif /* PCIE_QEMU_EP_EXT_H */
