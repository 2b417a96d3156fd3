// SPDX-License-Identifier: GPL-2.0
/*
 * What writes to device_status, queue_enable and queue_reset do
 *
 *   RESET     status            -> FEATURES
 *   FEATURES  FEATURES_OK       -> QUEUES, if the features are acceptable
 *   QUEUES    DRIVER_OK         -> STARTING
 *   STARTING  @control          -> RUNNING, or BROKEN
 *   RUNNING   an error          -> BROKEN
 *   any       status 0, a reset -> RESET, by STOPPING if there is work to end
 *   STOPPING  @control          -> RESET
 *
 * A bit of device_status that makes no sense in a state is not taken.  The driver
 * of the host sees that when it reads the register (section 2.1).
 */
#include <linux/lockdep.h>
#include <linux/string.h>
#include <uapi/linux/virtio_config.h>
#include <uapi/linux/virtio_pci.h>

#include "device.h"

/* What each state allows */
static const struct {
	bool features;		/* to write driver_feature */
	bool queues;		/* to write registers of a queue that is off */
	bool work;		/* there may be work to end */
} epf_virtio_states[] = {
	[EPF_VIRTIO_RESET] = { },
	[EPF_VIRTIO_FEATURES] = { .features = true },
	[EPF_VIRTIO_QUEUES] = { .queues = true },
	[EPF_VIRTIO_STARTING] = { .work = true },
	[EPF_VIRTIO_RUNNING] = { .queues = true, .work = true },
	[EPF_VIRTIO_BROKEN] = { .work = true },
	[EPF_VIRTIO_STOPPING] = { },
};

/*
 * Features that a driver has to accept.  Without ACCESS_PLATFORM it would use
 * addresses that the host's IOMMU does not know, and without ORDER_PLATFORM
 * barriers that do not reach another machine.
 */
#define EPF_VIRTIO_REQUIRED		(BIT_ULL(VIRTIO_F_VERSION_1) |	\
					 BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) | \
					 BIT_ULL(VIRTIO_F_ORDER_PLATFORM))

static void epf_virtio_set_state(struct epf_virtio *ev,
				 enum epf_virtio_state state)
{
	lockdep_assert_held(&ev->lock);

	/* Pairs with epf_virtio_queue_work(). */
	smp_store_release(&ev->state, state);
}

static void epf_virtio_set_queue_state(struct epf_virtio_queue *q,
				       enum epf_virtio_queue_state state)
{
	lockdep_assert_held(&q->ev->lock);

	/* Pairs with epf_virtio_queue_work(). */
	smp_store_release(&q->state, state);
}

bool epf_virtio_may_set_features(struct epf_virtio *ev)
{
	return epf_virtio_states[ev->state].features;
}

bool epf_virtio_may_set_queue(struct epf_virtio_queue *q)
{
	return epf_virtio_states[q->ev->state].queues &&
	       q->state == EPF_VIRTIO_QUEUE_OFF;
}

/* ---- Resets ---- */

static void epf_virtio_clear_queue(struct epf_virtio_queue *q)
{
	q->size = epf_virtio_max_queue_size(q->ev);
	q->vector = VIRTIO_MSI_NO_VECTOR;
	memset(q->address, 0, sizeof(q->address));
	epf_virtio_set_queue_state(q, EPF_VIRTIO_QUEUE_OFF);
}

static void epf_virtio_clear(struct epf_virtio *ev)
{
	unsigned int i;

	lockdep_assert_held(&ev->lock);

	for (i = 0; i < ev->num_queues; i++)
		epf_virtio_clear_queue(&ev->queue[i]);
	ev->accepted = 0;
	ev->device_feature_select = 0;
	ev->driver_feature_select = 0;
	ev->config_vector = VIRTIO_MSI_NO_VECTOR;
	ev->queue_select = 0;
	epf_virtio_set_isr(ev, 0);
	ev->status = 0;
	epf_virtio_set_state(ev, EPF_VIRTIO_RESET);
}

static void epf_virtio_begin_reset(struct epf_virtio *ev)
{
	lockdep_assert_held(&ev->lock);

	ev->resets++;
	if (epf_virtio_states[ev->state].work) {
		epf_virtio_set_state(ev, EPF_VIRTIO_STOPPING);
		queue_work(ev->control_wq, &ev->control);
	} else if (ev->state != EPF_VIRTIO_STOPPING) {
		epf_virtio_clear(ev);
	}
}

void epf_virtio_reset(struct epf_virtio *ev)
{
	guard(mutex)(&ev->lock);
	epf_virtio_begin_reset(ev);
}

void epf_virtio_reset_wait(struct epf_virtio *ev)
{
	epf_virtio_reset(ev);
	flush_work(&ev->control);
}

/* ---- Writes of the host ---- */

static bool epf_virtio_accepts(struct epf_virtio *ev)
{
	u64 required = ev->offered & EPF_VIRTIO_REQUIRED;

	return !(ev->accepted & ~ev->offered) &&
	       (ev->accepted & required) == required;
}

void epf_virtio_write_status(struct epf_virtio *ev, u8 status)
{
	const u8 simple = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			  VIRTIO_CONFIG_S_FAILED;

	lockdep_assert_held(&ev->lock);

	if (!status) {
		epf_virtio_begin_reset(ev);
		return;
	}
	if (ev->state == EPF_VIRTIO_STOPPING)
		return;
	if (ev->state == EPF_VIRTIO_RESET)
		epf_virtio_set_state(ev, EPF_VIRTIO_FEATURES);
	ev->status |= status & simple;

	if (status & VIRTIO_CONFIG_S_FEATURES_OK &&
	    ev->state == EPF_VIRTIO_FEATURES && epf_virtio_accepts(ev)) {
		ev->status |= VIRTIO_CONFIG_S_FEATURES_OK;
		epf_virtio_set_state(ev, EPF_VIRTIO_QUEUES);
	}
	if (status & VIRTIO_CONFIG_S_DRIVER_OK &&
	    ev->state == EPF_VIRTIO_QUEUES) {
		ev->status |= VIRTIO_CONFIG_S_DRIVER_OK;
		epf_virtio_set_state(ev, EPF_VIRTIO_STARTING);
		queue_work(ev->control_wq, &ev->control);
	}
}

void epf_virtio_enable_queue(struct epf_virtio_queue *q)
{
	if (!epf_virtio_may_set_queue(q))
		return;
	epf_virtio_set_queue_state(q, EPF_VIRTIO_QUEUE_ENABLED);
	if (q->ev->state == EPF_VIRTIO_RUNNING)
		queue_work(q->ev->control_wq, &q->ev->control);
}

void epf_virtio_reset_queue(struct epf_virtio_queue *q)
{
	struct epf_virtio *ev = q->ev;

	if (!(ev->accepted & BIT_ULL(VIRTIO_F_RING_RESET)) ||
	    ev->state != EPF_VIRTIO_RUNNING ||
	    q->state != EPF_VIRTIO_QUEUE_LIVE)
		return;
	epf_virtio_set_queue_state(q, EPF_VIRTIO_QUEUE_RESETTING);
	queue_work(ev->control_wq, &ev->control);
}

/* ---- The work ---- */

static enum epf_virtio_queue_state
epf_virtio_get_queue_state(struct epf_virtio_queue *q)
{
	guard(mutex)(&q->ev->lock);
	return q->state;
}

/* Opens the rings that the host has enabled.  Returns 0 or an error. */
static int epf_virtio_open_rings(struct epf_virtio *ev)
{
	unsigned int i;
	int ret;

	for (i = 0; i < ev->num_queues; i++) {
		struct epf_virtio_queue *q = &ev->queue[i];

		if (epf_virtio_get_queue_state(q) != EPF_VIRTIO_QUEUE_ENABLED)
			continue;
		ret = epf_virtio_queue_open(q);
		if (ret)
			return ret;
		scoped_guard(mutex, &ev->lock)
			epf_virtio_set_queue_state(q, EPF_VIRTIO_QUEUE_LIVE);
	}
	return 0;
}

/* Closes the rings that the host has reset. */
static void epf_virtio_close_reset_rings(struct epf_virtio *ev)
{
	const struct epf_virtio_ops *ops = ev->options.ops;
	unsigned int i;

	for (i = 0; i < ev->num_queues; i++) {
		struct epf_virtio_queue *q = &ev->queue[i];

		if (epf_virtio_get_queue_state(q) !=
		    EPF_VIRTIO_QUEUE_RESETTING)
			continue;
		cancel_work_sync(&q->work);
		if (ops->reset_queue)
			ops->reset_queue(q);
		epf_virtio_queue_close(q);
		scoped_guard(mutex, &ev->lock)
			epf_virtio_clear_queue(q);
	}
}

/*
 * Notifications may have come before the queues were live, and are not repeated,
 * so each queue is looked at once.
 */
static void epf_virtio_kick_all(struct epf_virtio *ev)
{
	unsigned int i;

	for (i = 0; i < ev->num_queues; i++)
		if (ev->queue[i].state == EPF_VIRTIO_QUEUE_LIVE)
			epf_virtio_kick(&ev->queue[i]);
}

static void epf_virtio_start(struct epf_virtio *ev)
{
	const struct epf_virtio_ops *ops = ev->options.ops;
	int ret = 0;

	ev->started = true;
	if (ops->start)
		ret = ops->start(ev);
	if (!ret)
		ret = epf_virtio_open_rings(ev);
	if (ret) {
		epf_virtio_break(ev, ret, "the start");
		return;
	}
	guard(mutex)(&ev->lock);
	if (ev->state != EPF_VIRTIO_STARTING)
		return;
	epf_virtio_set_state(ev, EPF_VIRTIO_RUNNING);
	epf_virtio_kick_all(ev);
}

static void epf_virtio_stop(struct epf_virtio *ev)
{
	const struct epf_virtio_ops *ops = ev->options.ops;
	unsigned int i;

	for (i = 0; i < ev->num_queues; i++)
		cancel_work_sync(&ev->queue[i].work);
	if (ev->started && ops->stop)
		ops->stop(ev);
	ev->started = false;
	for (i = 0; i < ev->num_queues; i++) {
		enum epf_virtio_queue_state state =
			epf_virtio_get_queue_state(&ev->queue[i]);

		if (state == EPF_VIRTIO_QUEUE_LIVE ||
		    state == EPF_VIRTIO_QUEUE_RESETTING)
			epf_virtio_queue_close(&ev->queue[i]);
	}
	guard(mutex)(&ev->lock);
	epf_virtio_clear(ev);
}

/* Brings rings into the states that the host has asked for meanwhile. */
static void epf_virtio_change_rings(struct epf_virtio *ev)
{
	int ret;

	epf_virtio_close_reset_rings(ev);
	ret = epf_virtio_open_rings(ev);
	if (ret)
		epf_virtio_break(ev, ret, "a ring");
	else
		epf_virtio_kick_all(ev);
}

/*
 * Each change that asks for this work queues it, so it looks at the state once.
 * It runs once at a time.
 */
void epf_virtio_control(struct work_struct *work)
{
	struct epf_virtio *ev = container_of(work, struct epf_virtio, control);
	enum epf_virtio_state state;

	scoped_guard(mutex, &ev->lock)
		state = ev->state;
	switch (state) {
	case EPF_VIRTIO_STARTING:
		epf_virtio_start(ev);
		break;
	case EPF_VIRTIO_RUNNING:
		epf_virtio_change_rings(ev);
		break;
	case EPF_VIRTIO_STOPPING:
		epf_virtio_stop(ev);
		break;
	default:
		break;
	}
}
