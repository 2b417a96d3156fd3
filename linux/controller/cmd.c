// SPDX-License-Identifier: GPL-2.0
/*
 * Commands of the pci-epc device and their status
 */
#include <linux/array_size.h>
#include <linux/device.h>
#include <linux/iopoll.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>

#include "controller.h"

/*
 * The device keeps its deadline by the clock of the machine that QEMU runs on.
 * This margin is for a guest whose virtual CPUs are scheduled late.
 */
#define QEMU_EP_MARGIN_MS	2000

#define QEMU_EP_CMD(name) \
	[EPC_CMD_##name] = #name

static const char * const qemu_ep_cmd_names[] = {
	QEMU_EP_CMD(SET_HEADER),
	QEMU_EP_CMD(SET_BAR),
	QEMU_EP_CMD(CLEAR_BAR),
	QEMU_EP_CMD(MAP),
	QEMU_EP_CMD(UNMAP),
	QEMU_EP_CMD(SET_MSI),
	QEMU_EP_CMD(SET_MSIX),
	QEMU_EP_CMD(SET_AREAS),
	QEMU_EP_CMD(ADD_CAP),
	QEMU_EP_CMD(WRITE_CONFIG),
	QEMU_EP_CMD(REMOVE),
	QEMU_EP_CMD(ADD_DOE),
};

#define QEMU_EP_STATUS(name, err) \
	[EPC_STATUS_##name] = { .text = #name, .error = err }

/* pci-epc-regs.h says what each status means. */
static const struct {
	const char *text;
	int error;
} qemu_ep_cmd_statuses[] = {
	QEMU_EP_STATUS(OK, 0),
	QEMU_EP_STATUS(BUSY, -ETIMEDOUT),
	QEMU_EP_STATUS(BAD_CMD, -EOPNOTSUPP),
	QEMU_EP_STATUS(BAD_ARG, -EINVAL),
	QEMU_EP_STATUS(BAD_STATE, -EBUSY),
	QEMU_EP_STATUS(BAD_TARGET, -EFAULT),
	QEMU_EP_STATUS(NO_SPACE, -ENOSPC),
	QEMU_EP_STATUS(NO_LINK, -ENOLINK),
	QEMU_EP_STATUS(NOT_MAPPED, -EACCES),
	QEMU_EP_STATUS(NOT_SHARED, -EOPNOTSUPP),
	QEMU_EP_STATUS(IO, -EIO),
	QEMU_EP_STATUS(TIMEOUT, -ETIMEDOUT),
};

/*
 * A function may repeat a command for ever, so each status is logged as an
 * error once.  A link that goes down while a function runs is no error at all.
 */
static int qemu_ep_cmd_errno(struct qemu_ep *ep, const char *cmd, u8 page,
			     u32 status)
{
	struct device *dev = qemu_ep_parent(ep);

	if (status == EPC_STATUS_OK)
		return 0;
	if (status >= ARRAY_SIZE(qemu_ep_cmd_statuses)) {
		dev_err_ratelimited(dev, "%s, function page %u: unknown status %#x\n",
				    cmd, page, status);
		return -EIO;
	}

	if (status == EPC_STATUS_NO_LINK ||
	    test_and_set_bit(status, &ep->cmd.reported))
		dev_dbg(dev, "%s, function page %u: status %s\n", cmd, page,
			qemu_ep_cmd_statuses[status].text);
	else
		dev_err(dev, "%s, function page %u: status %s\n", cmd, page,
			qemu_ep_cmd_statuses[status].text);
	return qemu_ep_cmd_statuses[status].error;
}

/*
 * Returns the status once it is not EPC_STATUS_BUSY, or EPC_STATUS_BUSY after
 * the deadline.  The interrupt of an earlier command may still arrive, so only
 * the register says whether this command has ended.  When an interrupt is lost,
 * the register is read after the deadline.
 */
static u32 qemu_ep_cmd_wait(struct qemu_ep *ep, void __iomem *status_reg)
{
	unsigned long left = msecs_to_jiffies(ep->deadline + QEMU_EP_MARGIN_MS);
	u32 status = readl(status_reg);

	while (status == EPC_STATUS_BUSY && left) {
		left = wait_for_completion_timeout(&ep->cmd.done, left);
		status = readl(status_reg);
	}
	return status;
}

static u32 qemu_ep_cmd_execute(struct qemu_ep *ep, void __iomem *cmd_reg,
			       void __iomem *status_reg, u32 cmd)
	__must_hold(&ep->cmd.lock)
{
	u32 status;

	lockdep_assert_held(&ep->cmd.lock);

	/*
	 * While a command is overdue the device ignores a new one, and the end
	 * of the overdue command would look like the success of the new one.
	 */
	if (ep->cmd.overdue) {
		if (qemu_ep_cmd_wait(ep, ep->cmd.overdue) == EPC_STATUS_BUSY)
			return EPC_STATUS_BUSY;
		ep->cmd.overdue = NULL;
	}

	reinit_completion(&ep->cmd.done);
	writel(cmd, cmd_reg);
	status = qemu_ep_cmd_wait(ep, status_reg);
	if (status == EPC_STATUS_BUSY)
		ep->cmd.overdue = status_reg;
	return status;
}

int qemu_ep_cmd_run(struct qemu_ep *ep, u8 page, u32 cmd)
{
	void __iomem *regs = qemu_ep_page_regs(ep, page);
	u32 status;

	status = qemu_ep_cmd_execute(ep, regs + EPC_FN_CMD,
				     regs + EPC_FN_STATUS, cmd);
	return qemu_ep_cmd_errno(ep, qemu_ep_cmd_names[cmd], page, status);
}

int qemu_ep_cmd_link(struct qemu_ep *ep, u32 cmd)
{
	u32 status;

	mutex_lock(&ep->cmd.lock);
	status = qemu_ep_cmd_execute(ep, ep->regs + EPC_REG_LINK_CMD,
				     ep->regs + EPC_REG_LINK_STATUS, cmd);
	mutex_unlock(&ep->cmd.lock);

	return qemu_ep_cmd_errno(ep, cmd == EPC_LINK_START ? "START" : "STOP",
				 0, status);
}

void qemu_ep_cmd_reset(struct qemu_ep *ep)
{
	u32 timeout_us = (ep->deadline + QEMU_EP_MARGIN_MS) * USEC_PER_MSEC;
	u32 status;

	writel(EPC_RESET_MAGIC, ep->regs + EPC_REG_RESET);
	if (readl_poll_timeout(ep->regs + EPC_REG_LINK_STATUS, status,
			       status != EPC_STATUS_BUSY, USEC_PER_MSEC,
			       timeout_us))
		dev_err(qemu_ep_parent(ep), "RESET: a host still has memory of this guest\n");
}

irqreturn_t qemu_ep_cmd_irq(int irq, void *data)
{
	struct qemu_ep *ep = data;

	complete(&ep->cmd.done);
	return IRQ_HANDLED;
}
