/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Events of the pci-epc device and notifications of the endpoint functions
 */
#ifndef PCIE_QEMU_EP_NOTIFY_H
#define PCIE_QEMU_EP_NOTIFY_H

#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct qemu_ep;

/**
 * enum qemu_ep_notify_state - state of the notifier, see the table in notify.c
 * @QEMU_EP_NOTIFY_ILLEGAL: no state; the event must not happen
 * @QEMU_EP_NOTIFY_REFUSED: no state; the event may be tried but changes nothing
 * @QEMU_EP_CLOSED: start() fails, since the driver is being probed or removed, or
 *	the device loses its state in a sleep of the machine
 * @QEMU_EP_CLOSED_BUSY: the same while functions are notified of a link-up or of
 *	bus mastering
 * @QEMU_EP_CLOSED_UP: the same while functions regard the link as up
 * @QEMU_EP_STOPPED: start() was not called, or stop() was called after it
 * @QEMU_EP_STOPPED_BUSY: the same while functions are notified of a link-up or of
 *	bus mastering
 * @QEMU_EP_STOPPED_UP: the same while functions regard the link as up
 * @QEMU_EP_STARTED: start() was called
 * @QEMU_EP_STARTED_BUSY: the same while functions are notified of a link-up or of
 *	bus mastering
 * @QEMU_EP_STARTED_UP: the same while functions regard the link as up
 * @QEMU_EP_NOTIFY_STATES: number of values
 *
 * Functions regard the link as up in *_UP, and in *_BUSY while they are notified
 * of bus mastering only.  Otherwise they regard it as down.
 */
enum qemu_ep_notify_state {
	QEMU_EP_NOTIFY_ILLEGAL,
	QEMU_EP_NOTIFY_REFUSED,
	QEMU_EP_CLOSED,
	QEMU_EP_CLOSED_BUSY,
	QEMU_EP_CLOSED_UP,
	QEMU_EP_STOPPED,
	QEMU_EP_STOPPED_BUSY,
	QEMU_EP_STOPPED_UP,
	QEMU_EP_STARTED,
	QEMU_EP_STARTED_BUSY,
	QEMU_EP_STARTED_UP,
	QEMU_EP_NOTIFY_STATES
};

/**
 * struct qemu_ep_notifier - events and notifications
 * @lock: protects writes of @state.  No other lock is taken inside it.
 * @state: see &enum qemu_ep_notify_state
 * @changed: woken when @state has changed
 * @host_reset: bit 0: the host has reset the link since @work ran last
 * @wq: queue of @work
 * @work: notifies the functions of changes of the link and of bus mastering
 * @generation: count of link-ups in EPC_REG_LINK that the functions know of;
 *	used by @work only
 * @bus_masters: bit n: function n is known to be a bus master; used by @work
 *	only
 */
struct qemu_ep_notifier {
	spinlock_t lock;	/* state */
	enum qemu_ep_notify_state state;
	wait_queue_head_t changed;
	unsigned long host_reset;
	struct workqueue_struct *wq;
	struct work_struct work;
	u16 generation;
	u8 bus_masters;
};

/**
 * qemu_ep_notify_init() - request the interrupt; all events are still masked
 * @ep: the controller, which was just reset
 * @irq: interrupt of EPC_VECTOR_EVENT
 *
 * Return: 0 or a negative error.
 */
int qemu_ep_notify_init(struct qemu_ep *ep, int irq);

/**
 * qemu_ep_notify_open() - accept start() from now on
 * @ep: the controller
 */
void qemu_ep_notify_open(struct qemu_ep *ep);

/**
 * qemu_ep_notify_enable() - unmask events
 * @ep: the controller, after pci_epc_init_notify()
 *
 * Events that are already pending raise the vector now.
 */
void qemu_ep_notify_enable(struct qemu_ep *ep);

/**
 * qemu_ep_notify_suspend() - have the device hold back its events
 * @ep: the controller
 * @irq: as for qemu_ep_notify_init()
 *
 * When it returns the functions were notified of all events so far.  The copies
 * of irq.c are not used until qemu_ep_notify_resume().
 *
 * The caller holds no lock that an operation or a function can take.
 */
void qemu_ep_notify_suspend(struct qemu_ep *ep, int irq);

/**
 * qemu_ep_notify_resume() - undo qemu_ep_notify_suspend()
 * @ep: the controller, which may have been reset meanwhile
 *
 * Events that are pending raise the vector now.
 */
void qemu_ep_notify_resume(struct qemu_ep *ep);

/**
 * qemu_ep_notify_close() - fail start() from now on
 * @ep: the controller
 */
void qemu_ep_notify_close(struct qemu_ep *ep);

/**
 * qemu_ep_notify_exit() - deliver pending notifications, then end them
 * @ep: the controller, whose link is stopped
 * @irq: as for qemu_ep_notify_init()
 *
 * The caller holds no lock that an operation or a function can take.
 */
void qemu_ep_notify_exit(struct qemu_ep *ep, int irq);

/**
 * qemu_ep_notify_deinit() - notify the functions that the controller goes away
 * @ep: the controller, after qemu_ep_notify_exit()
 */
void qemu_ep_notify_deinit(struct qemu_ep *ep);

/**
 * qemu_ep_notify_start() - announce that the link is about to be started
 * @ep: the controller
 *
 * Called by the start operation.
 *
 * Return: false if the driver is being probed or removed.
 */
bool qemu_ep_notify_start(struct qemu_ep *ep);

/**
 * qemu_ep_notify_stop() - announce that the link is about to be stopped
 * @ep: the controller
 *
 * Called by the stop operation, with epc->lock held.  No link-up notification
 * begins after this call.  It waits until one that is being delivered has
 * ended, for qemu_ep.deadline at most: a function may wait for epc->lock in
 * link_up(), and then the notification ends after the stop operation and
 * link-down follows.
 */
void qemu_ep_notify_stop(struct qemu_ep *ep);

/**
 * qemu_ep_notify_stopped() - have the functions notified of the link-down
 * @ep: the controller, whose link was stopped
 *
 * Called by the stop operation, with epc->lock held.  Waits for
 * qemu_ep.deadline at most, see the head of notify.c.
 */
void qemu_ep_notify_stopped(struct qemu_ep *ep);

/**
 * qemu_ep_notify_started() - is the link started?
 * @ep: the controller
 *
 * Context: any.  The answer is exact for a caller that holds epc->lock, because
 * the start and stop operations run with that lock held.
 *
 * Return: true between the start and the stop operation.
 */
bool qemu_ep_notify_started(struct qemu_ep *ep);

#endif /* PCIE_QEMU_EP_NOTIFY_H */
