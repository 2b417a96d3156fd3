/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Limits of the controller, and the features that functions are told
 */
#ifndef PCIE_QEMU_EP_LIMITS_H
#define PCIE_QEMU_EP_LIMITS_H

#include <linux/pci_regs.h>
#include <linux/types.h>

struct qemu_ep;

/**
 * struct qemu_ep_limits - what hw/pci-ep/pci-epc-limit-regs.h says
 * @inbound_align: alignment of targets of BARs in bytes
 * @outbound_granule: granule of window memory in bytes
 * @outbound_align: alignment of host addresses that are mapped, in bytes
 * @outbound_max: largest map in bytes, 0 without a limit
 * @bar: EPC_REG_BAR_LIMIT of each BAR
 */
struct qemu_ep_limits {
	u32 inbound_align;
	u32 outbound_granule;
	u32 outbound_align;
	u64 outbound_max;
	u32 bar[PCI_STD_NUM_BARS];
};

/**
 * qemu_ep_limits_read() - read the limits
 * @ep: the controller, with features and granule
 *
 * A device without these registers has the limits that its granule sets.
 *
 * Return: false if a register has an invalid value.
 */
bool qemu_ep_limits_read(struct qemu_ep *ep);

/**
 * qemu_ep_init_features() - fill in the features that get_features() returns
 * @ep: the controller, whose registers were read
 */
void qemu_ep_init_features(struct qemu_ep *ep);

#endif /* PCIE_QEMU_EP_LIMITS_H */
