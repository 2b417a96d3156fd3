// SPDX-License-Identifier: GPL-2.0
/*
 * Suspend and resume of the machine
 *
 * Suspend-to-idle: the device keeps its state, and the link stays up.  The
 * driver makes the device hold back its events, and has told the functions of
 * all that came before.  Events that come meanwhile stay pending in the device,
 * which raises its interrupt once they are unmasked again.
 *
 * All other sleeps: QEMU resets the device when the machine wakes up, so this is
 * a controller without state retention.  A host would lose its device without
 * notice, so the sleep is refused while the link is started.  Otherwise the
 * functions get epc_deinit() before the sleep and epc_init() after it, and so
 * describe themselves anew in a device that was just reset.
 *
 * DMA channels belong to clients that may suspend after this device, so they
 * stop in the late phase: transactions that run are waited for, others wait
 * until the resume.
 *
 * The framework does not suspend functions, and their devices have no place
 * before or after the controller.  Their workers go on, as long as CPUs run.
 * Operations that they call in suspend-to-idle work, but a command that needs an
 * interrupt may take until its deadline.
 */
#include <linux/bitops.h>
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pci-epf.h>
#include <linux/suspend.h>

#include "../dma/dma.h"
#include "controller.h"
#include "sleep.h"

static void qemu_ep_sleep_count(struct pci_epf *epf, void *data)
{
	const struct pci_epc_event_ops *ops = epf->event_ops;
	unsigned int *count = data;

	if (ops && ops->epc_init && ops->epc_deinit)
		++*count;
}

/*
 * Functions that configure the controller when they are bound would not do so
 * again.  The framework notifies neither virtual functions nor functions whose
 * second controller this is.
 */
static bool qemu_ep_sleep_can_restore(struct qemu_ep *ep)
{
	unsigned long funcs = 0, vfuncs = 0;
	unsigned int count = 0;

	qemu_ep_compat_visit_functions(ep->epc, qemu_ep_sleep_count, &count);
	return qemu_ep_compat_linked(ep->epc, &funcs,
				     ep->layout.vf_count ? &vfuncs : NULL) &&
	       count == hweight_long(funcs) && !vfuncs;
}

/* No user space runs that could start the link or link a function. */
static int qemu_ep_sleep_check(struct qemu_ep *ep)
{
	struct device *dev = qemu_ep_parent(ep);

	if (qemu_ep_notify_started(ep)) {
		dev_err(dev, "the link would be lost: stop it before this sleep, or use suspend-to-idle\n");
		return -EBUSY;
	}
	/*
	 * After pci-epf-vntb was unlinked the kernel still suspends and resumes
	 * a device in memory that the function has freed.
	 */
	if (!qemu_ep_sleep_can_restore(ep)) {
		dev_err(dev, "a function would be lost: use suspend-to-idle, or unlink it before (never pci-epf-vntb)\n");
		return -EBUSY;
	}
	return 0;
}

static int qemu_ep_sleep_suspend(struct device *dev)
{
	struct qemu_ep *ep = dev_get_drvdata(dev);
	bool idle = pm_suspend_target_state == PM_SUSPEND_TO_IDLE;
	int ret;

	if (!idle) {
		ret = qemu_ep_sleep_check(ep);
		if (ret)
			return ret;
		qemu_ep_notify_close(ep);
	}
	ep->loses_state = !idle;
	qemu_ep_notify_suspend(ep, pci_irq_vector(to_pci_dev(dev),
						  EPC_VECTOR_EVENT));
	/* With a saved state the core leaves the device in D0. */
	if (idle)
		pci_save_state(to_pci_dev(dev));
	else
		qemu_ep_notify_deinit(ep);
	return 0;
}

static int qemu_ep_sleep_suspend_late(struct device *dev)
{
	return qemu_ep_dma_suspend(dev_get_drvdata(dev));
}

/* The core has restored BARs and MSI-X vectors of this machine. */
static int qemu_ep_sleep_resume_early(struct device *dev)
{
	struct qemu_ep *ep = dev_get_drvdata(dev);

	if (ep->loses_state) {
		qemu_ep_cmd_reset(ep);
		qemu_ep_pages_forget(ep);
		qemu_ep_doorbells_restore(ep);
		qemu_ep_traps_restore(ep);
		qemu_ep_doe_restore(ep);
	}
	qemu_ep_dma_resume(ep, ep->loses_state);
	return 0;
}

static int qemu_ep_sleep_resume(struct device *dev)
{
	struct qemu_ep *ep = dev_get_drvdata(dev);

	if (ep->loses_state) {
		qemu_ep_notify_open(ep);
		pci_epc_init_notify(ep->epc);
	}
	qemu_ep_notify_resume(ep);
	return 0;
}

const struct dev_pm_ops qemu_ep_pm_ops = {
	SYSTEM_SLEEP_PM_OPS(qemu_ep_sleep_suspend, qemu_ep_sleep_resume)
	LATE_SYSTEM_SLEEP_PM_OPS(qemu_ep_sleep_suspend_late,
				 qemu_ep_sleep_resume_early)
};
