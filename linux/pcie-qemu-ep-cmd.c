// SPDX-License-Identifier: GPL-2.0
/*
 * Commands of the pci-epc device and what their status means
 */
#include <linux/array_size.h>
#include <linux/device.h>
#include <linux/iopoll.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>

#include "pcie-qemu-ep.h"

/*
 * The device keeps its deadline by the clock of the machine it runs on.  Leave
 * time for a guest that is scheduled late.
 */
#define QEMU_EP_MARGIN_MS	2000

/* EPC_CMD_* */
static const char * const fn_cmd_names[] = {
	[EPC_CMD_SET_HEADER] = "SET_HEADER",
	[EPC_CMD_SET_BAR] = "SET_BAR",
	[EPC_CMD_CLEAR_BAR] = "CLEAR_BAR",
	[EPC_CMD_MAP] = "MAP",
	[EPC_CMD_UNMAP] = "UNMAP",
	[EPC_CMD_SET_MSI] = "SET_MSI",
	[EPC_CMD_SET_MSIX] = "SET_MSIX",
	[EPC_CMD_SET_AREAS] = "SET_AREAS",
	[EPC_CMD_ADD_CAP] = "ADD_CAP",
	[EPC_CMD_WRITE_CONFIG] = "WRITE_CONFIG",
	[EPC_CMD_REMOVE] = "REMOVE",
};

/* EPC_STATUS_* */
static const struct {
	int error;
	const char *advice;
} statuses[] = {
	[EPC_STATUS_BUSY] = {
		-ETIMEDOUT,
		"controller does not answer: unbind and bind its driver to reset it"
	},
	[EPC_STATUS_BAD_CMD] = {
		-EOPNOTSUPP,
		"unknown to the device: use the driver that comes with this QEMU"
	},
	[EPC_STATUS_BAD_ARG] = {
		-EINVAL,
		"argument refused: check sizes, alignment, MSI-X table place and capabilities of the function"
	},
	[EPC_STATUS_BAD_STATE] = {
		-EBUSY,
		"not now: define functions before start, stop the controller to change them"
	},
	[EPC_STATUS_BAD_TARGET] = {
		-EFAULT,
		"BAR leads neither to RAM of this machine nor to a doorbell or a window: fix the address in the function driver"
	},
	[EPC_STATUS_NO_SPACE] = {
		-ENOSPC,
		"no room: unmap some host memory first, or add fewer capabilities"
	},
	[EPC_STATUS_NO_LINK] = {
		-ENOLINK,
		"link is down: start the controller and attach a host"
	},
	[EPC_STATUS_NOT_MAPPED] = {
		-EACCES,
		"host does not allow DMA to this address: check it, and that the host driver enabled bus mastering"
	},
	[EPC_STATUS_NOT_SHARED] = {
		-EOPNOTSUPP,
		"host memory cannot be mapped: start the host QEMU with memory-backend-memfd,share=on, or use an epf-bridge there"
	},
	[EPC_STATUS_IO] = {
		-EIO,
		"operating system under QEMU refused: see the messages of QEMU"
	},
	[EPC_STATUS_TIMEOUT] = {
		-ETIMEDOUT,
		"host did not answer, link taken down: check the host, then stop and start the controller"
	},
};

static int status_to_errno(struct qemu_ep *ep, const char *cmd, int fn,
			   u32 status)
{
	struct device *dev = qemu_ep_parent(ep);

	if (status == EPC_STATUS_OK)
		return 0;
	if (status >= ARRAY_SIZE(statuses)) {
		dev_err_ratelimited(dev, "%s: unknown status %#x: is the device gone?\n",
				    cmd, status);
		return -EIO;
	}

	/*
	 * Functions may try for ever, so tell once what to do.  A link that
	 * goes down under a function is no error.
	 */
	if (status == EPC_STATUS_NO_LINK ||
	    test_and_set_bit(status, &ep->reported))
		dev_dbg(dev, "%s, function %d: %s\n", cmd, fn,
			statuses[status].advice);
	else
		dev_err(dev, "%s, function %d: %s\n", cmd, fn,
			statuses[status].advice);
	return statuses[status].error;
}

/*
 * An interrupt of an earlier command may still arrive, so only the register
 * tells whether this one is done.  A lost interrupt costs the timeout and no
 * more.
 */
static u32 wait_not_busy(struct qemu_ep *ep, void __iomem *status_reg)
{
	unsigned long left = msecs_to_jiffies(ep->deadline + QEMU_EP_MARGIN_MS);
	u32 status = readl(status_reg);

	while (status == EPC_STATUS_BUSY && left) {
		left = wait_for_completion_timeout(&ep->cmd_done, left);
		status = readl(status_reg);
	}
	return status;
}

static u32 run_command(struct qemu_ep *ep, void __iomem *cmd_reg,
		       void __iomem *status_reg, u32 cmd)
{
	u32 status;

	lockdep_assert_held(&ep->cmd_lock);

	/*
	 * A command written now would be ignored, and the end of the overdue
	 * one taken for its success.
	 */
	if (ep->cmd_overdue) {
		if (wait_not_busy(ep, ep->cmd_overdue) == EPC_STATUS_BUSY)
			return EPC_STATUS_BUSY;
		ep->cmd_overdue = NULL;
	}

	reinit_completion(&ep->cmd_done);
	writel(cmd, cmd_reg);
	status = wait_not_busy(ep, status_reg);
	if (status == EPC_STATUS_BUSY)
		ep->cmd_overdue = status_reg;
	return status;
}

/**
 * qemu_ep_fn_command() - run a command of a function page
 * @ep: the controller
 * @fn: function number
 * @cmd: EPC_CMD_*
 *
 * The caller holds cmd_lock and has written the arguments.
 *
 * Return: 0 or a negative error, which has been logged.
 */
int qemu_ep_fn_command(struct qemu_ep *ep, u8 fn, u32 cmd)
{
	void __iomem *page = qemu_ep_fn(ep, fn);
	u32 status;

	status = run_command(ep, page + EPC_FN_CMD, page + EPC_FN_STATUS, cmd);
	return status_to_errno(ep, fn_cmd_names[cmd], fn, status);
}

/**
 * qemu_ep_link_command() - start or stop the link
 * @ep: the controller
 * @cmd: EPC_LINK_START or EPC_LINK_STOP
 *
 * Return: 0 or a negative error, which has been logged.
 */
int qemu_ep_link_command(struct qemu_ep *ep, u32 cmd)
{
	u32 status;

	mutex_lock(&ep->cmd_lock);
	status = run_command(ep, ep->regs + EPC_REG_LINK_CMD,
			     ep->regs + EPC_REG_LINK_STATUS, cmd);
	mutex_unlock(&ep->cmd_lock);

	return status_to_errno(ep, cmd == EPC_LINK_START ? "START" : "STOP", 0,
			       status);
}

/**
 * qemu_ep_reset() - put the device in the state it has after power-up
 * @ep: the controller
 *
 * Returns when no host can reach memory of this guest any more.
 */
void qemu_ep_reset(struct qemu_ep *ep)
{
	u32 timeout_us = (ep->deadline + QEMU_EP_MARGIN_MS) * USEC_PER_MSEC;
	u32 status;

	writel(EPC_RESET_MAGIC, ep->regs + EPC_REG_RESET);
	if (readl_poll_timeout(ep->regs + EPC_REG_LINK_STATUS, status,
			       status != EPC_STATUS_BUSY, USEC_PER_MSEC,
			       timeout_us))
		dev_err(qemu_ep_parent(ep), "RESET: host still has memory of this guest: stop the host\n");
}

irqreturn_t qemu_ep_command_irq(int irq, void *data)
{
	struct qemu_ep *ep = data;

	complete(&ep->cmd_done);
	return IRQ_HANDLED;
}
