// SPDX-License-Identifier: GPL-2.0
/*
 * Events of the pci-epc device and notifications of the endpoint functions
 *
 * A function answers a notification with operations, which take epc->lock, and
 * it may wait for work of its own that is inside an operation.  So a work item
 * without any lock delivers notifications, never an operation or an interrupt
 * handler.
 *
 * The stop operation runs with epc->lock held and cannot wait for that work
 * item without limit: link_down() of a function may wait for a worker of the
 * function, and the worker for epc->lock.  Stop does wait for some time,
 * because the user may unlink functions next, and a function that gets a
 * notification after unbind() can crash.  If the time is not enough, the
 * link-down is delivered later.  The work item compares the link with what it
 * delivered last, so when a start follows at once the functions still get
 * link-down, then link-up.
 *
 * A late link-up would be worse: once stop has returned the user may unlink and
 * free functions, and a link-up would start them again.  So
 * qemu_ep_notify_stop() keeps a new one from beginning.
 *
 * States and events.  The first word of a state says whether start() is
 * accepted and whether the link is started; the operations, probe, remove,
 * suspend and resume change it.  The second word says what the functions know;
 * only the work item changes it.
 *
 *   event      who        meaning
 *   OPEN       probe,     start() is accepted
 *              resume
 *   CLOSE      remove,    start() is not accepted any more, the link is stopped
 *              suspend
 *   START      operation  the link is about to be started
 *   STOP       operation  the link is about to be stopped
 *   ANNOUNCE   work item  the link is up: is about to notify of link-up, if
 *                         functions do not know of it, and of bus mastering
 *   ANNOUNCED  work item  has notified functions of what was to be announced
 *   WITHDRAWN  work item  has notified functions of link-down
 */
#include <linux/bitops.h>
#include <linux/interrupt.h>
#include <linux/jiffies.h>
#include <linux/pci.h>

#include "controller.h"
#include "ext.h"

enum qemu_ep_notify_event {
	QEMU_EP_OPEN,
	QEMU_EP_CLOSE,
	QEMU_EP_START,
	QEMU_EP_STOP,
	QEMU_EP_ANNOUNCE,
	QEMU_EP_ANNOUNCED,
	QEMU_EP_WITHDRAWN,
	QEMU_EP_NOTIFY_EVENTS
};

/* The next state.  What is not listed is QEMU_EP_NOTIFY_ILLEGAL. */
static const u8
qemu_ep_notify_table[QEMU_EP_NOTIFY_STATES][QEMU_EP_NOTIFY_EVENTS] = {
	[QEMU_EP_CLOSED] = {
		[QEMU_EP_OPEN] = QEMU_EP_STOPPED,
		[QEMU_EP_START] = QEMU_EP_NOTIFY_REFUSED,
		[QEMU_EP_STOP] = QEMU_EP_CLOSED,
		[QEMU_EP_ANNOUNCE] = QEMU_EP_NOTIFY_REFUSED,
	},
	[QEMU_EP_CLOSED_BUSY] = {
		[QEMU_EP_START] = QEMU_EP_NOTIFY_REFUSED,
		[QEMU_EP_STOP] = QEMU_EP_CLOSED_BUSY,
		[QEMU_EP_ANNOUNCED] = QEMU_EP_CLOSED_UP,
	},
	[QEMU_EP_CLOSED_UP] = {
		[QEMU_EP_START] = QEMU_EP_NOTIFY_REFUSED,
		[QEMU_EP_STOP] = QEMU_EP_CLOSED_UP,
		[QEMU_EP_ANNOUNCE] = QEMU_EP_NOTIFY_REFUSED,
		[QEMU_EP_WITHDRAWN] = QEMU_EP_CLOSED,
	},
	[QEMU_EP_STOPPED] = {
		[QEMU_EP_CLOSE] = QEMU_EP_CLOSED,
		[QEMU_EP_START] = QEMU_EP_STARTED,
		[QEMU_EP_STOP] = QEMU_EP_STOPPED,
		[QEMU_EP_ANNOUNCE] = QEMU_EP_NOTIFY_REFUSED,
	},
	[QEMU_EP_STOPPED_BUSY] = {
		[QEMU_EP_CLOSE] = QEMU_EP_CLOSED_BUSY,
		[QEMU_EP_START] = QEMU_EP_STARTED_BUSY,
		[QEMU_EP_STOP] = QEMU_EP_STOPPED_BUSY,
		[QEMU_EP_ANNOUNCED] = QEMU_EP_STOPPED_UP,
	},
	[QEMU_EP_STOPPED_UP] = {
		[QEMU_EP_CLOSE] = QEMU_EP_CLOSED_UP,
		[QEMU_EP_START] = QEMU_EP_STARTED_UP,
		[QEMU_EP_STOP] = QEMU_EP_STOPPED_UP,
		[QEMU_EP_ANNOUNCE] = QEMU_EP_NOTIFY_REFUSED,
		[QEMU_EP_WITHDRAWN] = QEMU_EP_STOPPED,
	},
	[QEMU_EP_STARTED] = {
		[QEMU_EP_CLOSE] = QEMU_EP_CLOSED,
		[QEMU_EP_START] = QEMU_EP_STARTED,
		[QEMU_EP_STOP] = QEMU_EP_STOPPED,
		[QEMU_EP_ANNOUNCE] = QEMU_EP_STARTED_BUSY,
	},
	[QEMU_EP_STARTED_BUSY] = {
		[QEMU_EP_CLOSE] = QEMU_EP_CLOSED_BUSY,
		[QEMU_EP_START] = QEMU_EP_STARTED_BUSY,
		[QEMU_EP_STOP] = QEMU_EP_STOPPED_BUSY,
		[QEMU_EP_ANNOUNCED] = QEMU_EP_STARTED_UP,
	},
	[QEMU_EP_STARTED_UP] = {
		[QEMU_EP_CLOSE] = QEMU_EP_CLOSED_UP,
		[QEMU_EP_START] = QEMU_EP_STARTED_UP,
		[QEMU_EP_STOP] = QEMU_EP_STOPPED_UP,
		[QEMU_EP_ANNOUNCE] = QEMU_EP_STARTED_BUSY,
		[QEMU_EP_WITHDRAWN] = QEMU_EP_STARTED,
	},
};

/* Events of a page that every device has, see qemu_ep_notify_page_mask() */
#define QEMU_EP_PAGE_EVENTS	(EPC_FN_EVENT_COMMAND | EPC_FN_EVENT_MSI | \
				 EPC_FN_EVENT_FLR | EPC_FN_EVENT_DSTATE)
#define QEMU_EP_RESET_EVENTS	(EPC_EVENT_HOT_RESET | EPC_EVENT_PERST)

/* ---- States ---- */

/* Returns true if the event was accepted. */
static bool qemu_ep_notify_event(struct qemu_ep *ep,
				 enum qemu_ep_notify_event event)
{
	struct qemu_ep_notifier *n = &ep->notifier;
	enum qemu_ep_notify_state state, next;

	spin_lock(&n->lock);
	state = n->state;
	next = qemu_ep_notify_table[state][event];
	if (next > QEMU_EP_NOTIFY_REFUSED)
		WRITE_ONCE(n->state, next);
	spin_unlock(&n->lock);

	if (next == QEMU_EP_NOTIFY_ILLEGAL)
		dev_warn_once(qemu_ep_parent(ep), "notifier: illegal event %d in state %d\n",
			      event, state);
	wake_up_all(&n->changed);
	return next > QEMU_EP_NOTIFY_REFUSED;
}

static bool qemu_ep_notify_busy(struct qemu_ep *ep)
{
	switch (READ_ONCE(ep->notifier.state)) {
	case QEMU_EP_CLOSED_BUSY:
	case QEMU_EP_STOPPED_BUSY:
	case QEMU_EP_STARTED_BUSY:
		return true;
	default:
		return false;
	}
}

/* Do the functions regard the link as up, or will they at once? */
static bool qemu_ep_notify_up(struct qemu_ep *ep)
{
	switch (READ_ONCE(ep->notifier.state)) {
	case QEMU_EP_CLOSED_UP:
	case QEMU_EP_STOPPED_UP:
	case QEMU_EP_STARTED_UP:
		return true;
	default:
		return qemu_ep_notify_busy(ep);
	}
}

bool qemu_ep_notify_started(struct qemu_ep *ep)
{
	switch (READ_ONCE(ep->notifier.state)) {
	case QEMU_EP_STARTED:
	case QEMU_EP_STARTED_BUSY:
	case QEMU_EP_STARTED_UP:
		return true;
	default:
		return false;
	}
}

void qemu_ep_notify_open(struct qemu_ep *ep)
{
	qemu_ep_notify_event(ep, QEMU_EP_OPEN);
}

void qemu_ep_notify_close(struct qemu_ep *ep)
{
	qemu_ep_notify_event(ep, QEMU_EP_CLOSE);
}

bool qemu_ep_notify_start(struct qemu_ep *ep)
{
	return qemu_ep_notify_event(ep, QEMU_EP_START);
}

void qemu_ep_notify_stop(struct qemu_ep *ep)
{
	qemu_ep_notify_event(ep, QEMU_EP_STOP);
	wait_event_timeout(ep->notifier.changed, !qemu_ep_notify_busy(ep),
			   msecs_to_jiffies(ep->deadline));
}

void qemu_ep_notify_stopped(struct qemu_ep *ep)
{
	queue_work(ep->notifier.wq, &ep->notifier.work);
	wait_event_timeout(ep->notifier.changed, !qemu_ep_notify_up(ep),
			   msecs_to_jiffies(ep->deadline));
}

/* ---- Notifications ---- */

enum qemu_ep_notification {
	QEMU_EP_LINK_UP,
	QEMU_EP_LINK_DOWN,
	QEMU_EP_BUS_MASTER,
	QEMU_EP_DEINIT,
};

static void qemu_ep_notify_function(struct pci_epf *epf, void *data)
{
	const struct pci_epc_event_ops *ops = epf->event_ops;

	if (!ops)
		return;
	switch (*(enum qemu_ep_notification *)data) {
	case QEMU_EP_LINK_UP:
		if (ops->link_up)
			ops->link_up(epf);
		break;
	case QEMU_EP_LINK_DOWN:
		if (ops->link_down)
			ops->link_down(epf);
		break;
	case QEMU_EP_BUS_MASTER:
		if (ops->bus_master_enable)
			ops->bus_master_enable(epf);
		break;
	case QEMU_EP_DEINIT:
		if (ops->epc_deinit)
			ops->epc_deinit(epf);
		break;
	}
}

/*
 * A controller that does not notice that the link comes up tells functions
 * nothing about the link, and linkup_notifier says so.
 */
static void qemu_ep_notify_functions(struct qemu_ep *ep,
				     enum qemu_ep_notification what)
{
	bool link = what == QEMU_EP_LINK_UP || what == QEMU_EP_LINK_DOWN;

	if (link && ep->features & EPC_FEATURE_NO_LINKUP)
		return;
	qemu_ep_compat_visit_functions(ep->epc, qemu_ep_notify_function, &what);
}

/*
 * Notifies of functions that became bus masters since the last call.  The
 * framework has no such notification for virtual functions.
 */
static void qemu_ep_notify_bus_masters(struct qemu_ep *ep)
{
	u8 masters = 0;
	u8 enabled;
	u8 page;

	for (page = 0; page < ep->layout.fn_count; page++) {
		u32 command = readl(qemu_ep_page_regs(ep, page) +
				    EPC_FN_PCI_COMMAND);

		if (!PCI_POSSIBLE_ERROR(command) &&
		    command & PCI_COMMAND_MASTER)
			masters |= BIT(page);
	}

	enabled = masters & ~ep->notifier.bus_masters;
	ep->notifier.bus_masters = masters;
	if (enabled)
		qemu_ep_notify_functions(ep, QEMU_EP_BUS_MASTER);
}

static void qemu_ep_notify_work(struct work_struct *work)
{
	struct qemu_ep *ep = container_of(work, struct qemu_ep, notifier.work);
	struct qemu_ep_notifier *n = &ep->notifier;
	bool reset = test_and_clear_bit(0, &n->host_reset);
	u32 link = readl(ep->regs + EPC_REG_LINK);
	u16 generation = link >> EPC_LINK_GEN_SHIFT;
	/* The link of a device that is gone, which reads all ones, is down. */
	bool up = !PCI_POSSIBLE_ERROR(link) && link & EPC_LINK_UP;

	if (qemu_ep_notify_up(ep) &&
	    (!up || reset || generation != n->generation)) {
		n->bus_masters = 0;
		qemu_ep_notify_functions(ep, QEMU_EP_LINK_DOWN);
		qemu_ep_notify_event(ep, QEMU_EP_WITHDRAWN);
	}

	if (!up)
		return;
	up = qemu_ep_notify_up(ep);
	if (!qemu_ep_notify_event(ep, QEMU_EP_ANNOUNCE))
		return;
	if (!up) {
		n->generation = generation;
		qemu_ep_notify_functions(ep, QEMU_EP_LINK_UP);
	}
	qemu_ep_notify_bus_masters(ep);
	qemu_ep_notify_event(ep, QEMU_EP_ANNOUNCED);
}

void qemu_ep_notify_deinit(struct qemu_ep *ep)
{
	qemu_ep_compat_deny_init(ep->epc);
	qemu_ep_notify_functions(ep, QEMU_EP_DEINIT);
}

/* ---- Events of the device ---- */

static u32 qemu_ep_notify_page_mask(struct qemu_ep *ep, u8 page)
{
	u32 events = QEMU_EP_PAGE_EVENTS;

	if (ep->features & EPC_FEATURE_CAPS)
		events |= EPC_FN_EVENT_CONFIG;
	if (ep->features & EPC_FEATURE_DOE)
		events |= EPC_FN_EVENT_DOE;
	if (!page && ep->features & EPC_FEATURE_VF)
		events |= EPC_FN_EVENT_VFS;
	return events;
}

/* Returns the events of a page after it has cleared them. */
static u32 qemu_ep_notify_take_events(struct qemu_ep *ep, u8 page)
{
	void __iomem *reg = qemu_ep_page_regs(ep, page) + EPC_FN_EVENT;
	u32 events = readl(reg);

	if (PCI_POSSIBLE_ERROR(events))
		return 0;
	events &= qemu_ep_notify_page_mask(ep, page);
	writel(events, reg);
	return events;
}

static irqreturn_t qemu_ep_notify_irq(int irq, void *data)
{
	qemu_ep_irqs_invalidate(data);
	return IRQ_WAKE_THREAD;
}

/*
 * Clears events before it handles them: an event that comes later raises the
 * vector again, so the thread runs again.
 */
static irqreturn_t qemu_ep_notify_irq_thread(int irq, void *data)
{
	struct qemu_ep *ep = data;
	u32 epoch = qemu_ep_irqs_epoch(ep);
	u32 events = readl(ep->regs + EPC_REG_EVENT);
	u32 page_events[EPC_MAX_FUNCTIONS] = { };
	unsigned long pages;
	unsigned int page;

	/* A device that is gone reads all ones. */
	if (PCI_POSSIBLE_ERROR(events))
		return IRQ_NONE;

	writel(events, ep->regs + EPC_REG_EVENT);
	pages = readl(ep->regs + EPC_REG_FN_PENDING);
	for_each_set_bit(page, &pages, ep->layout.page_count)
		page_events[page] = qemu_ep_notify_take_events(ep, page);

	/* A global event can change the registers of every page. */
	qemu_ep_irqs_update(ep, epoch, events ? ~0UL : pages);

	for_each_set_bit(page, &pages, ep->layout.page_count)
		qemu_ep_ext_page_events(ep, page, page_events[page]);
	qemu_ep_ext_events(ep, events);
	if (events & QEMU_EP_RESET_EVENTS)
		set_bit(0, &ep->notifier.host_reset);
	queue_work(ep->notifier.wq, &ep->notifier.work);
	return IRQ_HANDLED;
}

void qemu_ep_notify_enable(struct qemu_ep *ep)
{
	u8 page;

	for (page = 0; page < ep->layout.page_count; page++)
		writel(qemu_ep_notify_page_mask(ep, page),
		       qemu_ep_page_regs(ep, page) + EPC_FN_EVENT_MASK);
	writel(EPC_EVENT_ALL, ep->regs + EPC_REG_EVENT_MASK);
}

int qemu_ep_notify_init(struct qemu_ep *ep, int irq)
{
	const char *name = dev_name(qemu_ep_parent(ep));
	struct qemu_ep_notifier *n = &ep->notifier;
	int ret;

	spin_lock_init(&n->lock);
	n->state = QEMU_EP_CLOSED;
	init_waitqueue_head(&n->changed);
	INIT_WORK(&n->work, qemu_ep_notify_work);

	/*
	 * Not WQ_MEM_RECLAIM: functions flush work of their own from
	 * link_down(), on queues that need not have that flag.
	 */
	n->wq = alloc_ordered_workqueue("pcie-qemu-ep/%s", 0, name);
	if (!n->wq)
		return -ENOMEM;

	/*
	 * With forced interrupt threads (threadirqs, PREEMPT_RT) the copies of
	 * irq.c would stay in use until a thread runs.  qemu_ep_notify_irq() is
	 * a single atomic operation, so it may run in hard interrupt context.
	 */
	ret = request_threaded_irq(irq, qemu_ep_notify_irq,
				   qemu_ep_notify_irq_thread, IRQF_NO_THREAD,
				   name, ep);
	if (ret)
		destroy_workqueue(n->wq);
	return ret;
}

void qemu_ep_notify_exit(struct qemu_ep *ep, int irq)
{
	free_irq(irq, ep);
	queue_work(ep->notifier.wq, &ep->notifier.work);
	destroy_workqueue(ep->notifier.wq);
}

/* ---- Sleep ---- */

static void qemu_ep_notify_disable(struct qemu_ep *ep)
{
	u8 page;

	for (page = 0; page < ep->layout.page_count; page++)
		writel(0, qemu_ep_page_regs(ep, page) + EPC_FN_EVENT_MASK);
	writel(0, ep->regs + EPC_REG_EVENT_MASK);
	/* The read makes sure that the device has got the writes. */
	readl(ep->regs + EPC_REG_EVENT_MASK);
}

void qemu_ep_notify_suspend(struct qemu_ep *ep, int irq)
{
	qemu_ep_notify_disable(ep);
	synchronize_irq(irq);
	queue_work(ep->notifier.wq, &ep->notifier.work);
	flush_work(&ep->notifier.work);
	/* From now on no interrupt says that a copy is old. */
	qemu_ep_irqs_invalidate(ep);
}

void qemu_ep_notify_resume(struct qemu_ep *ep)
{
	u32 epoch = qemu_ep_irqs_epoch(ep);

	/* Changes that come after this raise the vector in the next line. */
	qemu_ep_irqs_update(ep, epoch, ~0UL);
	qemu_ep_notify_enable(ep);
}
