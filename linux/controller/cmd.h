/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Commands of the pci-epc device
 */
#ifndef PCIE_QEMU_EP_CMD_H
#define PCIE_QEMU_EP_CMD_H

#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/mutex.h>
#include <linux/types.h>

struct qemu_ep;

/**
 * struct qemu_ep_commands - command registers of all pages
 * @lock: serialises argument and command registers.  It also protects struct
 *	qemu_ep_pages and the allocation of doorbells.  The framework runs
 *	operations one at a time under its own lock, pci-epc-ext.h does not.
 * @done: completed when EPC_VECTOR_COMMAND is raised
 * @overdue: status register of a command that overran its deadline, or NULL
 * @reported: bit n: status n was logged as an error
 */
struct qemu_ep_commands {
	struct mutex lock;	/* argument and command registers */
	struct completion done;
	void __iomem *overdue;
	unsigned long reported;
};

/**
 * qemu_ep_cmd_run() - run a command of a register page
 * @ep: the controller
 * @page: index of the register page
 * @cmd: EPC_CMD_*
 *
 * The caller holds qemu_ep.cmd.lock and has written the arguments.
 *
 * Context: process context, may sleep for qemu_ep.deadline.
 *
 * Return: 0, or a negative error that was logged.
 */
int qemu_ep_cmd_run(struct qemu_ep *ep, u8 page, u32 cmd);

/**
 * qemu_ep_cmd_link() - start or stop the link
 * @ep: the controller
 * @cmd: EPC_LINK_START or EPC_LINK_STOP
 *
 * Takes qemu_ep.cmd.lock.
 *
 * Context: process context, may sleep for qemu_ep.deadline.
 *
 * Return: 0, or a negative error that was logged.
 */
int qemu_ep_cmd_link(struct qemu_ep *ep, u32 cmd);

/**
 * qemu_ep_cmd_reset() - put the device in the state that it has after power-up
 * @ep: the controller
 *
 * When it returns no host can reach memory of this guest any more, unless an
 * error was logged.
 *
 * Context: process context, may sleep for qemu_ep.deadline.
 */
void qemu_ep_cmd_reset(struct qemu_ep *ep);

/* Handler of EPC_VECTOR_COMMAND; @data is the struct qemu_ep. */
irqreturn_t qemu_ep_cmd_irq(int irq, void *data);

#endif /* PCIE_QEMU_EP_CMD_H */
