/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Suspend and resume of the machine
 */
#ifndef PCIE_QEMU_EP_SLEEP_H
#define PCIE_QEMU_EP_SLEEP_H

#include <linux/pm.h>

extern const struct dev_pm_ops qemu_ep_pm_ops;

#endif /* PCIE_QEMU_EP_SLEEP_H */
