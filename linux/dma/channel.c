// SPDX-License-Identifier: GPL-2.0
/*
 * One DMA channel: its ring, submission, completion, termination
 *
 * A transaction moves through the lists of the channel: prepared, submitted,
 * issued, running, done.  Clients may call all operations but synchronize()
 * with interrupts off.
 */
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/array_size.h>
#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/limits.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "channel.h"

#define QEMU_EP_RING_SIZE	256

/* pci-epc-regs.h describes it with EPC_DMA_DESC_* */
struct qemu_ep_dma_desc {
	__le64 src;
	__le64 dst;
	__le32 length;
	__le32 flags;
	__le32 status;
	__le32 done;
};

static_assert(sizeof(struct qemu_ep_dma_desc) == EPC_DMA_DESC_SIZE);
static_assert(offsetof(struct qemu_ep_dma_desc, flags) == EPC_DMA_DESC_FLAGS);
static_assert(offsetof(struct qemu_ep_dma_desc, done) == EPC_DMA_DESC_DONE);

static struct qemu_ep_tx *qemu_ep_to_tx(struct dma_async_tx_descriptor *tx)
{
	return container_of(tx, struct qemu_ep_tx, tx);
}

/* Bytes that the device has not copied; dmaengine counts them in 32 bits. */
static u32 qemu_ep_tx_residue(const struct qemu_ep_tx *t)
{
	u64 len = 0;
	u32 i;

	for (i = 0; i < t->count; i++)
		len += t->xfer[i].len;
	return min_t(u64, len - min(t->done, len), U32_MAX);
}

static bool qemu_ep_tx_wants_callback(const struct dma_async_tx_descriptor *tx)
{
	return tx->flags & DMA_PREP_INTERRUPT || tx->callback ||
	       tx->callback_result;
}

/* What asks for an interrupt unless the device is done when it is asked. */
static u32 qemu_ep_chan_late(const struct qemu_ep_chan *c)
{
	return c->dma->ep->features & EPC_FEATURE_DMA_LATE ? EPC_DMA_IRQ_LATE :
							     EPC_DMA_IRQ;
}

static void qemu_ep_chan_post_one(struct qemu_ep_chan *c, struct qemu_ep_tx *t)
{
	struct qemu_ep_dma_desc *d = &c->ring[c->producer % QEMU_EP_RING_SIZE];
	const struct qemu_ep_xfer *x = &t->xfer[t->posted++];
	bool last = t->posted == t->count;
	u32 flags = x->flags;

	c->producer++;
	if (!last)
		flags |= EPC_DMA_CHAIN;
	if (last && qemu_ep_tx_wants_callback(&t->tx))
		flags |= qemu_ep_chan_late(c);
	/* The interrupt says that a full ring has room again. */
	if (c->producer - c->consumer == QEMU_EP_RING_SIZE)
		flags |= EPC_DMA_IRQ;

	d->src = cpu_to_le64(x->src);
	d->dst = cpu_to_le64(x->dst);
	d->length = cpu_to_le32(x->len);
	d->flags = cpu_to_le32(flags);
	d->done = 0;
	d->status = cpu_to_le32(EPC_DMA_PENDING);
}

/* Remembers that transactions have failed, for qemu_ep_chan_tx_status(). */
static void qemu_ep_chan_add_failure(struct qemu_ep_chan *c, dma_cookie_t first,
				     dma_cookie_t last, u32 residue, u32 status)
{
	lockdep_assert_held(&c->lock);

	c->failed[c->failures++ % QEMU_EP_DMA_FAILURES] =
		(struct qemu_ep_failure){ first, last, residue, status };
}

static void qemu_ep_chan_complete(struct qemu_ep_chan *c, struct qemu_ep_tx *t)
{
	if (t->status != EPC_DMA_OK)
		qemu_ep_chan_add_failure(c, t->tx.cookie, t->tx.cookie,
					 qemu_ep_tx_residue(t), t->status);
	c->chan.completed_cookie = t->tx.cookie;
	list_move_tail(&t->node, &c->done);
	tasklet_schedule(&c->tasklet);
}

/* Takes completed descriptors back.  Returns true if there were any. */
static bool qemu_ep_chan_reap(struct qemu_ep_chan *c)
{
	u32 before = c->consumer;

	lockdep_assert_held(&c->lock);

	while (c->consumer != c->producer) {
		u32 n = c->consumer % QEMU_EP_RING_SIZE;
		u32 status = le32_to_cpu(READ_ONCE(c->ring[n].status));
		struct qemu_ep_tx *t;

		if (status == EPC_DMA_PENDING)
			break;
		/* The device writes data and length before the status. */
		dma_rmb();
		c->consumer++;
		t = list_first_entry(&c->running, struct qemu_ep_tx, node);
		t->done += le32_to_cpu(c->ring[n].done);
		if (t->status == EPC_DMA_OK)
			t->status = status;
		if (++t->reaped == t->count)
			qemu_ep_chan_complete(c, t);
	}
	return c->consumer != before;
}

/* Posts copies of issued transactions as long as the ring has room. */
static void qemu_ep_chan_post(struct qemu_ep_chan *c)
{
	u32 before = c->producer;

	lockdep_assert_held(&c->lock);

	while (c->producer - c->consumer < QEMU_EP_RING_SIZE) {
		struct qemu_ep_tx *t = c->partial;

		if (!t && c->asleep)
			break;
		if (!t) {
			t = list_first_entry_or_null(&c->issued,
						     struct qemu_ep_tx, node);
			if (!t)
				break;
			list_move_tail(&t->node, &c->running);
		}
		qemu_ep_chan_post_one(c, t);
		c->partial = t->posted < t->count ? t : NULL;
	}
	if (c->producer == before)
		return;
	/* writel() orders the stores to the ring before it. */
	writel(c->producer, c->regs + EPC_DMA_PRODUCER);
	/* No interrupt follows for what is done now, see EPC_DMA_IRQ_LATE. */
	qemu_ep_chan_reap(c);
}

/* The channel of the device is stopped. */
static void qemu_ep_ring_setup(struct qemu_ep_chan *c, struct qemu_ep *ep)
{
	writeq(c->ring_dma, c->regs + EPC_DMA_RING);
	writel(QEMU_EP_RING_SIZE, c->regs + EPC_DMA_SIZE);
	writel(ep->dma_hw.vector[c->hw], c->regs + EPC_DMA_VECTOR);
}

static void qemu_ep_ring_start(struct qemu_ep_chan *c)
{
	lockdep_assert_held(&c->lock);

	c->producer = 0;
	c->consumer = 0;
	c->partial = NULL;
	writel(EPC_DMA_CTRL_ENABLE, c->regs + EPC_DMA_CTRL);
}

/*
 * The device may access memory for the old work until qemu_ep_chan_wait_idle()
 * returns.  It does not store to the ring.
 */
static void qemu_ep_ring_stop(struct qemu_ep_chan *c)
{
	writel(0, c->regs + EPC_DMA_CTRL);
	/* The read makes sure that the device has got the write. */
	readl(c->regs + EPC_DMA_CTRL);
}

static bool qemu_ep_ring_failed(struct qemu_ep_chan *c)
{
	u32 state = readl(c->regs + EPC_DMA_STATE);

	return PCI_POSSIBLE_ERROR(state) || (state & EPC_DMA_STATE_ERROR);
}

/* The device cannot read its ring, so all posted transactions fail. */
static void qemu_ep_chan_fail_running(struct qemu_ep_chan *c)
{
	struct qemu_ep_tx *t, *tmp;

	lockdep_assert_held(&c->lock);

	dev_err_ratelimited(qemu_ep_parent(c->dma->ep), "DMA channel %u cannot access its ring\n",
			    c->hw);
	qemu_ep_ring_stop(c);
	list_for_each_entry_safe(t, tmp, &c->running, node) {
		t->status = EPC_DMA_IO;
		qemu_ep_chan_complete(c, t);
	}
	qemu_ep_ring_start(c);
}

static irqreturn_t qemu_ep_chan_irq(int irq, void *data)
{
	struct qemu_ep_chan *c = data;
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	if (c->ring) {
		if (!qemu_ep_chan_reap(c) && !list_empty(&c->running) &&
		    qemu_ep_ring_failed(c))
			qemu_ep_chan_fail_running(c);
		qemu_ep_chan_post(c);
	}
	spin_unlock_irqrestore(&c->lock, flags);

	return IRQ_HANDLED;
}

static enum dmaengine_tx_result qemu_ep_tx_result(const struct qemu_ep_tx *t)
{
	bool to_host = t->xfer[0].flags & EPC_DMA_DST_HOST;

	switch (t->status) {
	case EPC_DMA_OK:
		return DMA_TRANS_NOERROR;
	case EPC_DMA_ABORTED:
		return DMA_TRANS_ABORTED;
	default:
		return to_host ? DMA_TRANS_WRITE_FAILED : DMA_TRANS_READ_FAILED;
	}
}

static void qemu_ep_tx_callback(struct qemu_ep_tx *t)
{
	struct dma_async_tx_descriptor *tx = &t->tx;
	struct dmaengine_result result = {
		.result = qemu_ep_tx_result(t),
		.residue = qemu_ep_tx_residue(t),
	};

	dma_descriptor_unmap(tx);
	if (tx->callback_result)
		tx->callback_result(tx->callback_param, &result);
	else if (tx->callback)
		tx->callback(tx->callback_param);
	dma_run_dependencies(tx);
}

static void qemu_ep_tx_free_list(struct list_head *list)
{
	struct qemu_ep_tx *t, *tmp;

	list_for_each_entry_safe(t, tmp, list, node)
		kfree(t);
}

static void qemu_ep_chan_tasklet(struct tasklet_struct *tasklet)
{
	struct qemu_ep_chan *c = from_tasklet(c, tasklet, tasklet);
	struct qemu_ep_tx *t;
	unsigned long flags;
	LIST_HEAD(done);

	spin_lock_irqsave(&c->lock, flags);
	list_splice_init(&c->done, &done);
	spin_unlock_irqrestore(&c->lock, flags);

	list_for_each_entry(t, &done, node)
		qemu_ep_tx_callback(t);
	qemu_ep_tx_free_list(&done);
}

/* The cookie helpers of dmaengine are private to drivers/dma/. */
static dma_cookie_t qemu_ep_chan_submit(struct dma_async_tx_descriptor *tx)
{
	struct qemu_ep_chan *c = to_qemu_ep_chan(tx->chan);
	dma_cookie_t cookie;
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	cookie = c->chan.cookie == INT_MAX ? DMA_MIN_COOKIE :
					     c->chan.cookie + 1;
	tx->cookie = cookie;
	c->chan.cookie = cookie;
	list_move_tail(&qemu_ep_to_tx(tx)->node, &c->submitted);
	spin_unlock_irqrestore(&c->lock, flags);

	return cookie;
}

struct dma_async_tx_descriptor *qemu_ep_chan_prepare(struct qemu_ep_chan *c,
						     struct qemu_ep_tx *t,
						     unsigned long flags)
{
	unsigned long irq_flags;
	bool open;

	dma_async_tx_descriptor_init(&t->tx, &c->chan);
	t->tx.flags = flags;
	t->tx.tx_submit = qemu_ep_chan_submit;
	t->status = EPC_DMA_OK;

	spin_lock_irqsave(&c->lock, irq_flags);
	open = c->ring;
	if (open)
		list_add_tail(&t->node, &c->prepared);
	spin_unlock_irqrestore(&c->lock, irq_flags);

	if (open)
		return &t->tx;
	kfree(t);
	return NULL;
}

void qemu_ep_chan_issue_pending(struct dma_chan *chan)
{
	struct qemu_ep_chan *c = to_qemu_ep_chan(chan);
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	if (c->ring) {
		list_splice_tail_init(&c->submitted, &c->issued);
		qemu_ep_chan_reap(c);
		qemu_ep_chan_post(c);
	}
	spin_unlock_irqrestore(&c->lock, flags);
}

static const struct qemu_ep_failure *
qemu_ep_chan_find_failure(struct qemu_ep_chan *c, dma_cookie_t cookie)
{
	unsigned int i;

	lockdep_assert_held(&c->lock);

	for (i = 0; i < QEMU_EP_DMA_FAILURES; i++)
		if (cookie >= c->failed[i].first && cookie <= c->failed[i].last)
			return &c->failed[i];
	return NULL;
}

u32 qemu_ep_chan_result(struct qemu_ep_chan *c, dma_cookie_t cookie)
{
	const struct qemu_ep_failure *failure;

	guard(spinlock_irqsave)(&c->lock);
	failure = qemu_ep_chan_find_failure(c, cookie);
	return failure ? failure->status : EPC_DMA_OK;
}

/* Residue of a transaction that is not complete */
static u32 qemu_ep_chan_residue(struct qemu_ep_chan *c, dma_cookie_t cookie)
{
	struct list_head *lists[] = { &c->running, &c->issued, &c->submitted };
	struct qemu_ep_tx *t;
	int i;

	lockdep_assert_held(&c->lock);

	for (i = 0; i < ARRAY_SIZE(lists); i++)
		list_for_each_entry(t, lists[i], node)
			if (t->tx.cookie == cookie)
				return qemu_ep_tx_residue(t);
	return 0;
}

/* A client may poll with interrupts off, so this looks at the ring itself. */
enum dma_status qemu_ep_chan_tx_status(struct dma_chan *chan,
				       dma_cookie_t cookie,
				       struct dma_tx_state *state)
{
	struct qemu_ep_chan *c = to_qemu_ep_chan(chan);
	const struct qemu_ep_failure *failure;
	enum dma_status status;
	u32 residue = 0;

	guard(spinlock_irqsave)(&c->lock);
	if (c->ring && qemu_ep_chan_reap(c))
		qemu_ep_chan_post(c);
	status = dma_async_is_complete(cookie, chan->completed_cookie,
				       chan->cookie);
	if (status == DMA_COMPLETE) {
		failure = qemu_ep_chan_find_failure(c, cookie);
		if (failure) {
			status = DMA_ERROR;
			residue = failure->residue;
		}
	} else if (state) {
		residue = qemu_ep_chan_residue(c, cookie);
	}
	dma_set_tx_state(state, chan->completed_cookie, chan->cookie, residue);
	if (state)
		state->in_flight_bytes = 0;
	return status;
}

/*
 * Transactions without an end have failed: a client that polls must not wait
 * for ever.  What of them the device has copied is not known.
 */
static void qemu_ep_chan_fail_unfinished(struct qemu_ep_chan *c)
{
	dma_cookie_t last = c->chan.cookie;
	dma_cookie_t done = c->chan.completed_cookie;

	lockdep_assert_held(&c->lock);

	if (last == done)
		return;
	if (done > last) {
		/* Cookies start again at DMA_MIN_COOKIE. */
		qemu_ep_chan_add_failure(c, DMA_MIN_COOKIE, last, 0,
					 EPC_DMA_ABORTED);
		last = INT_MAX;
	}
	if (done < last)
		qemu_ep_chan_add_failure(c, done + 1, last, 0, EPC_DMA_ABORTED);
	c->chan.completed_cookie = c->chan.cookie;
}

/* Moves all transactions to @list.  Those that have not ended have failed. */
static void qemu_ep_chan_take_all(struct qemu_ep_chan *c,
				  struct list_head *list)
{
	lockdep_assert_held(&c->lock);

	list_splice_tail_init(&c->prepared, list);
	list_splice_tail_init(&c->submitted, list);
	list_splice_tail_init(&c->issued, list);
	list_splice_tail_init(&c->running, list);
	list_splice_tail_init(&c->done, list);
	c->partial = NULL;
	qemu_ep_chan_fail_unfinished(c);
}

int qemu_ep_chan_terminate_all(struct dma_chan *chan)
{
	struct qemu_ep_chan *c = to_qemu_ep_chan(chan);
	unsigned long flags;
	LIST_HEAD(list);
	bool busy;

	spin_lock_irqsave(&c->lock, flags);
	/* Some clients terminate when no transaction is running. */
	if (c->ring)
		qemu_ep_chan_reap(c);
	busy = c->ring && !list_empty(&c->running);
	if (busy)
		qemu_ep_ring_stop(c);
	qemu_ep_chan_take_all(c, &list);
	if (busy) {
		qemu_ep_ring_start(c);
		c->terminated = true;
	}
	spin_unlock_irqrestore(&c->lock, flags);

	qemu_ep_tx_free_list(&list);
	return 0;
}

/*
 * Waits until the device does nothing any more for work from before the channel
 * was stopped.  A message to the host takes at most twice the deadline, see
 * EPC_DMA_STATE_MESSAGE.  A copy takes longer only if the host wants it to, see
 * EPC_DMA_STATE_BUSY.
 *
 * Returns false if it may still access memory of this machine.
 */
static bool qemu_ep_chan_wait_idle(struct qemu_ep_chan *c, struct qemu_ep *ep)
{
	unsigned long end = jiffies + msecs_to_jiffies(3 * ep->deadline);
	u32 state = readl(c->regs + EPC_DMA_STATE);

	while (!PCI_POSSIBLE_ERROR(state) &&
	       (state & (EPC_DMA_STATE_MESSAGE | EPC_DMA_STATE_BUSY))) {
		if (time_after(jiffies, end)) {
			if (!(state & EPC_DMA_STATE_BUSY))
				return true;
			dev_err(qemu_ep_parent(ep), "DMA channel %u does not become idle\n",
				c->hw);
			return false;
		}
		usleep_range(100, 1000);
		state = readl(c->regs + EPC_DMA_STATE);
	}
	return true;
}

bool qemu_ep_chan_settle(struct qemu_ep_chan *c)
{
	unsigned long flags;
	bool terminated;
	bool idle = true;

	spin_lock_irqsave(&c->lock, flags);
	terminated = c->terminated;
	c->terminated = false;
	spin_unlock_irqrestore(&c->lock, flags);

	if (terminated) {
		mutex_lock(&c->dma->lock);
		if (c->ring)
			idle = qemu_ep_chan_wait_idle(c, c->dma->ep);
		mutex_unlock(&c->dma->lock);
	}
	tasklet_kill(&c->tasklet);
	return idle;
}

void qemu_ep_chan_synchronize(struct dma_chan *chan)
{
	qemu_ep_chan_settle(to_qemu_ep_chan(chan));
}

/*
 * Ring and channel of the device are ready before the interrupt is requested: a
 * shared interrupt, or one that became pending while it was masked, runs the
 * handler at once.
 */
static void qemu_ep_chan_attach(struct qemu_ep_chan *c,
				struct qemu_ep_dma_desc *ring)
{
	guard(spinlock_irqsave)(&c->lock);
	memset(c->failed, 0, sizeof(c->failed));
	memset(&c->config, 0, sizeof(c->config));
	c->failures = 0;
	c->chan.cookie = DMA_MIN_COOKIE;
	c->chan.completed_cookie = DMA_MIN_COOKIE;
	c->terminated = false;
	c->asleep = c->dma->asleep;
	c->ring = ring;
	qemu_ep_ring_start(c);
}

/* Stops the channel, and moves its transactions to @list. */
static void qemu_ep_chan_detach(struct qemu_ep_chan *c, struct list_head *list)
{
	guard(spinlock_irqsave)(&c->lock);
	qemu_ep_ring_stop(c);
	c->ring = NULL;
	c->producer = 0;
	c->consumer = 0;
	qemu_ep_chan_take_all(c, list);
}

static void qemu_ep_ring_free(struct qemu_ep *ep, struct qemu_ep_dma_desc *ring,
			      dma_addr_t addr)
{
	dma_free_coherent(qemu_ep_parent(ep), QEMU_EP_RING_SIZE * sizeof(*ring),
			  ring, addr);
}

int qemu_ep_chan_open(struct qemu_ep_chan *c, struct qemu_ep *ep,
		      unsigned int hw)
{
	struct device *dev = qemu_ep_parent(ep);
	struct qemu_ep_dma_desc *ring;
	LIST_HEAD(list);
	int ret;

	ring = dma_alloc_coherent(dev, QEMU_EP_RING_SIZE * sizeof(*ring),
				  &c->ring_dma, GFP_KERNEL);
	if (!ring)
		return -ENOMEM;

	c->hw = hw;
	c->regs = ep->regs + ep->dma_hw.base + hw * ep->dma_hw.stride;
	qemu_ep_ring_stop(c);
	qemu_ep_ring_setup(c, ep);
	qemu_ep_chan_attach(c, ring);

	/* Several channels can share this interrupt. */
	ret = request_irq(ep->dma_hw.irq[hw], qemu_ep_chan_irq, IRQF_SHARED,
			  dev_name(dev), c);
	if (ret) {
		qemu_ep_chan_detach(c, &list);
		qemu_ep_ring_free(ep, ring, c->ring_dma);
	}
	return ret;
}

void qemu_ep_chan_close(struct qemu_ep_chan *c, struct qemu_ep *ep)
{
	struct qemu_ep_dma_desc *ring = c->ring;
	LIST_HEAD(list);

	free_irq(ep->dma_hw.irq[c->hw], c);
	qemu_ep_chan_detach(c, &list);

	tasklet_kill(&c->tasklet);
	qemu_ep_chan_wait_idle(c, ep);
	qemu_ep_tx_free_list(&list);
	qemu_ep_ring_free(ep, ring, c->ring_dma);
}

/* ---- Sleep ---- */

void qemu_ep_chan_hold(struct qemu_ep_chan *c)
{
	guard(spinlock_irqsave)(&c->lock);
	c->asleep = true;
}

static bool qemu_ep_chan_is_idle(struct qemu_ep_chan *c)
{
	guard(spinlock_irqsave)(&c->lock);
	if (c->ring && qemu_ep_chan_reap(c))
		qemu_ep_chan_post(c);
	return list_empty(&c->running);
}

int qemu_ep_chan_drain(struct qemu_ep_chan *c, unsigned long end)
{
	while (!qemu_ep_chan_is_idle(c)) {
		if (time_after(jiffies, end)) {
			dev_err(qemu_ep_parent(c->dma->ep), "DMA channel %u does not finish its work, no sleep now\n",
				c->hw);
			return -EBUSY;
		}
		usleep_range(100, 1000);
	}
	tasklet_kill(&c->tasklet);
	return 0;
}

void qemu_ep_chan_wake(struct qemu_ep_chan *c, struct qemu_ep *ep,
		       bool was_reset)
{
	guard(spinlock_irqsave)(&c->lock);
	c->asleep = false;
	if (!c->ring)
		return;
	if (was_reset) {
		qemu_ep_ring_setup(c, ep);
		qemu_ep_ring_start(c);
	}
	qemu_ep_chan_post(c);
}

void qemu_ep_chan_init(struct qemu_ep_dma *dma, struct qemu_ep_chan *c,
		       struct dma_device *dev)
{
	c->dma = dma;
	c->chan.device = dev;
	spin_lock_init(&c->lock);
	tasklet_setup(&c->tasklet, qemu_ep_chan_tasklet);
	INIT_LIST_HEAD(&c->prepared);
	INIT_LIST_HEAD(&c->submitted);
	INIT_LIST_HEAD(&c->issued);
	INIT_LIST_HEAD(&c->running);
	INIT_LIST_HEAD(&c->done);
	if (dev)
		list_add_tail(&c->chan.device_node, &dev->channels);
}
