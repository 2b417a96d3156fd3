// SPDX-License-Identifier: GPL-2.0
/*
 * Events of the pci-epc device, told to the endpoint functions
 *
 * Endpoint functions answer a notification with operations, which take the
 * lock of the endpoint controller, and with waits for their own work, which may
 * be inside an operation.  So notifications come from a work item that holds no
 * lock, never from an operation or an interrupt handler.
 *
 * The stop operation runs under the lock of the endpoint controller.  It must
 * not wait for that work item without limit: link_down() of a function waits for
 * a worker of the function, which may wait for the lock that stop holds.  It does
 * wait for some time, since the user may unlink functions next, and a function
 * that is told of the link after it was unbound can fall over.  When the wait
 * was in vain the link-down notification is still under way; the work item
 * compares the link with what it told last, so a start that follows at once is
 * told as down, then up.
 *
 * The other way round matters: once stop has returned, the user may unlink and
 * free functions, and a link-up told late would start them again.  See
 * qemu_ep_notify_forbid().
 */
#include <linux/bitops.h>
#include <linux/cleanup.h>
#include <linux/jiffies.h>
#include <linux/pci.h>

#include "pcie-qemu-ep.h"

#define QEMU_EP_EVENTS		EPC_EVENT_ALL
/* And what comes with features, see fn_events() */
#define QEMU_EP_FN_EVENTS	(EPC_FN_EVENT_COMMAND | EPC_FN_EVENT_FLR | \
				 EPC_FN_EVENT_DSTATE)
#define QEMU_EP_RESETS		(EPC_EVENT_HOT_RESET | EPC_EVENT_PERST)

enum news { NEWS_LINK_UP, NEWS_LINK_DOWN, NEWS_BUS_MASTER, NEWS_DEINIT };

static void tell(struct pci_epf *epf, void *data)
{
	const struct pci_epc_event_ops *ops = epf->event_ops;

	if (!ops)
		return;
	switch (*(enum news *)data) {
	case NEWS_LINK_UP:
		if (ops->link_up)
			ops->link_up(epf);
		break;
	case NEWS_LINK_DOWN:
		if (ops->link_down)
			ops->link_down(epf);
		break;
	case NEWS_BUS_MASTER:
		if (ops->bus_master_enable)
			ops->bus_master_enable(epf);
		break;
	case NEWS_DEINIT:
		if (ops->epc_deinit)
			ops->epc_deinit(epf);
		break;
	}
}

static void tell_functions(struct qemu_ep *ep, enum news news)
{
	qemu_ep_visit_functions(ep, tell, &news);
}

static bool announce_begin(struct qemu_ep *ep)
{
	bool started;

	spin_lock(&ep->state_lock);
	started = ep->started;
	ep->announcing = started;
	spin_unlock(&ep->state_lock);

	return started;
}

static void announce_end(struct qemu_ep *ep)
{
	spin_lock(&ep->state_lock);
	ep->announcing = false;
	spin_unlock(&ep->state_lock);
	wake_up_all(&ep->announced);
}

/*
 * Tells of functions that had bus mastering enabled since the last call.  The
 * framework has no such word for virtual functions.
 */
static void notify_bus_master(struct qemu_ep *ep)
{
	u8 masters = 0;
	u8 enabled;
	u32 fn;

	for (fn = 0; fn < ep->fn_count; fn++) {
		u32 command = readl(qemu_ep_fn(ep, fn) + EPC_FN_PCI_COMMAND);

		if (command & PCI_COMMAND_MASTER)
			masters |= BIT(fn);
	}

	enabled = masters & ~ep->bus_masters;
	ep->bus_masters = masters;
	if (enabled)
		tell_functions(ep, NEWS_BUS_MASTER);
}

static void notify_work(struct work_struct *work)
{
	struct qemu_ep *ep = container_of(work, struct qemu_ep, notify_work);
	bool reset = test_and_clear_bit(0, &ep->host_reset);
	u32 link = readl(ep->regs + EPC_REG_LINK);
	u16 generation = link >> EPC_LINK_GEN_SHIFT;
	bool up = link & EPC_LINK_UP;

	if (ep->link_reported &&
	    (!up || reset || generation != ep->generation)) {
		ep->link_reported = false;
		ep->bus_masters = 0;
		tell_functions(ep, NEWS_LINK_DOWN);
		WRITE_ONCE(ep->told_up, false);
		wake_up_all(&ep->announced);
	}

	if (!up || !announce_begin(ep))
		return;
	if (!ep->link_reported) {
		ep->link_reported = true;
		ep->generation = generation;
		WRITE_ONCE(ep->told_up, true);
		tell_functions(ep, NEWS_LINK_UP);
	}
	notify_bus_master(ep);
	announce_end(ep);
}

static u32 fn_events(struct qemu_ep *ep, unsigned int fn)
{
	u32 events = QEMU_EP_FN_EVENTS;

	if (ep->features & EPC_FEATURE_CAPS)
		events |= EPC_FN_EVENT_CONFIG;
	if (!fn && ep->features & EPC_FEATURE_VF)
		events |= EPC_FN_EVENT_VFS;
	return events;
}

static void handle_fn(struct qemu_ep *ep, unsigned int fn)
{
	void __iomem *reg = qemu_ep_fn(ep, fn) + EPC_FN_EVENT;
	u32 events = readl(reg) & fn_events(ep, fn);

	writel(events, reg);
	qemu_ep_ext_fn_events(ep, fn, events);
}

/*
 * Events are cleared before they are handled: one that comes later raises the
 * vector and queues the work again.
 */
static irqreturn_t event_thread(int irq, void *data)
{
	struct qemu_ep *ep = data;
	u32 events = readl(ep->regs + EPC_REG_EVENT);
	unsigned long fns;
	unsigned int fn;

	if (PCI_POSSIBLE_ERROR(events))
		return IRQ_NONE;	/* the device is gone */

	writel(events, ep->regs + EPC_REG_EVENT);
	fns = readl(ep->regs + EPC_REG_FN_PENDING);
	for_each_set_bit(fn, &fns, ep->page_count)
		handle_fn(ep, fn);

	qemu_ep_ext_events(ep, events);
	if (events & QEMU_EP_RESETS)
		set_bit(0, &ep->host_reset);
	queue_work(ep->notify_wq, &ep->notify_work);
	return IRQ_HANDLED;
}

/**
 * qemu_ep_notify_allow() - the link is about to be started
 * @ep: the controller
 *
 * Return: false when the controller is not ready or being removed.
 */
bool qemu_ep_notify_allow(struct qemu_ep *ep)
{
	bool allowed;

	spin_lock(&ep->state_lock);
	allowed = ep->start_allowed;
	ep->started = allowed;
	spin_unlock(&ep->state_lock);

	return allowed;
}

/**
 * qemu_ep_notify_forbid() - the link is being stopped
 * @ep: the controller
 *
 * No link-up notification begins after this call, and one that is under way
 * has ended.  The wait is bounded: a function may need the lock of the endpoint
 * controller in link_up(), and the caller holds it.  Then the notification
 * ends, and is followed by link-down, after the stop operation.
 */
void qemu_ep_notify_forbid(struct qemu_ep *ep)
{
	spin_lock(&ep->state_lock);
	ep->started = false;
	spin_unlock(&ep->state_lock);

	wait_event_timeout(ep->announced, !READ_ONCE(ep->announcing),
			   msecs_to_jiffies(ep->deadline));
}

/**
 * qemu_ep_notify_down() - the link has been stopped
 * @ep: the controller
 *
 * The functions have been told that the link is down, or take too long: see
 * above.
 */
void qemu_ep_notify_down(struct qemu_ep *ep)
{
	queue_work(ep->notify_wq, &ep->notify_work);
	wait_event_timeout(ep->announced, !READ_ONCE(ep->told_up),
			   msecs_to_jiffies(ep->deadline));
}

/**
 * qemu_ep_notify_init() - prepare notifications, none is sent yet
 * @ep: the controller, just reset, so that all events are masked
 * @irq: interrupt of EPC_VECTOR_EVENT
 *
 * Return: 0 or a negative error.
 */
int qemu_ep_notify_init(struct qemu_ep *ep, int irq)
{
	const char *name = dev_name(qemu_ep_parent(ep));
	int ret;

	spin_lock_init(&ep->state_lock);
	init_waitqueue_head(&ep->announced);
	INIT_WORK(&ep->notify_work, notify_work);

	/*
	 * Not WQ_MEM_RECLAIM: functions flush work of their own from their
	 * link_down(), on queues that need not have that flag.
	 */
	ep->notify_wq = alloc_ordered_workqueue("pcie-qemu-ep/%s", 0, name);
	if (!ep->notify_wq)
		return -ENOMEM;

	ret = request_threaded_irq(irq, NULL, event_thread, IRQF_ONESHOT, name,
				   ep);
	if (ret)
		destroy_workqueue(ep->notify_wq);
	return ret;
}

/**
 * qemu_ep_notify_enable() - let events through
 * @ep: the controller, known to the functions by pci_epc_init_notify()
 *
 * Events that are pending already raise the vector now.
 */
void qemu_ep_notify_enable(struct qemu_ep *ep)
{
	u32 fn;

	for (fn = 0; fn < ep->page_count; fn++)
		writel(fn_events(ep, fn),
		       qemu_ep_fn(ep, fn) + EPC_FN_EVENT_MASK);
	writel(QEMU_EP_EVENTS, ep->regs + EPC_REG_EVENT_MASK);
}

/**
 * qemu_ep_notify_exit() - deliver what is due and end notifications
 * @ep: the controller, with its link stopped
 * @irq: as given to qemu_ep_notify_init()
 *
 * Called without any lock that an operation or a function may take.
 */
void qemu_ep_notify_exit(struct qemu_ep *ep, int irq)
{
	free_irq(irq, ep);
	queue_work(ep->notify_wq, &ep->notify_work);
	destroy_workqueue(ep->notify_wq);
}

/**
 * qemu_ep_notify_deinit() - the controller goes away
 * @ep: the controller, after qemu_ep_notify_exit()
 */
void qemu_ep_notify_deinit(struct qemu_ep *ep)
{
	/* As the framework does: a function linked from now on is not started. */
	scoped_guard(mutex, &ep->epc->list_lock)
		ep->epc->init_complete = false;
	tell_functions(ep, NEWS_DEINIT);
}
