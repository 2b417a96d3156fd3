// SPDX-License-Identifier: GPL-2.0
/*
 * One DMA channel: its ring, submission, completion, termination
 *
 * Transactions move from list to list: prepared, submitted, issued, running,
 * done.  All of that is possible with interrupts off.
 */
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "pcie-qemu-ep-dma.h"

#define RING_SIZE	256

/* As EPC_DMA_DESC_* */
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

static struct qemu_ep_tx *to_tx(struct dma_async_tx_descriptor *tx)
{
	return container_of(tx, struct qemu_ep_tx, tx);
}

static bool wants_callback(const struct dma_async_tx_descriptor *tx)
{
	return tx->flags & DMA_PREP_INTERRUPT || tx->callback ||
	       tx->callback_result;
}

static void put_desc(struct qemu_ep_chan *c, struct qemu_ep_tx *t)
{
	struct qemu_ep_dma_desc *d = &c->ring[c->producer % RING_SIZE];
	const struct qemu_ep_xfer *x = &t->xfer[t->fed++];
	bool last = t->fed == t->count;
	u32 flags = x->flags;

	c->producer++;
	if (!last)
		flags |= EPC_DMA_CHAIN;
	/* When the ring is full, the device has to tell that there is room. */
	if ((last && wants_callback(&t->tx)) ||
	    c->producer - c->consumer == RING_SIZE)
		flags |= EPC_DMA_IRQ;

	d->src = cpu_to_le64(x->src);
	d->dst = cpu_to_le64(x->dst);
	d->length = cpu_to_le32(x->len);
	d->flags = cpu_to_le32(flags);
	d->done = 0;
	d->status = cpu_to_le32(EPC_DMA_PENDING);
}

/* Gives the device as much as there is room for. */
static void feed(struct qemu_ep_chan *c)
{
	u32 before = c->producer;

	while (c->producer - c->consumer < RING_SIZE) {
		struct qemu_ep_tx *t = c->feeding;

		if (!t) {
			t = list_first_entry_or_null(&c->issued,
						     struct qemu_ep_tx, node);
			if (!t)
				break;
			list_move_tail(&t->node, &c->running);
		}
		put_desc(c, t);
		c->feeding = t->fed < t->count ? t : NULL;
	}
	/* writel() comes after stores to coherent memory. */
	if (c->producer != before)
		writel(c->producer, c->regs + EPC_DMA_PRODUCER);
}

static void complete_tx(struct qemu_ep_chan *c, struct qemu_ep_tx *t)
{
	if (t->status != EPC_DMA_OK)
		c->failed[c->failures++ % QEMU_EP_DMA_FAILURES] = t->tx.cookie;
	c->chan.completed_cookie = t->tx.cookie;
	list_move_tail(&t->node, &c->done);
	tasklet_schedule(&c->tasklet);
}

/* Takes back what the device is done with. */
static bool reap(struct qemu_ep_chan *c)
{
	u32 before = c->consumer;

	while (c->consumer != c->producer) {
		struct qemu_ep_dma_desc *d = &c->ring[c->consumer % RING_SIZE];
		u32 status = le32_to_cpu(READ_ONCE(d->status));
		struct qemu_ep_tx *t;

		if (status == EPC_DMA_PENDING)
			break;
		/* What the device copied was written before the status. */
		dma_rmb();
		c->consumer++;
		t = list_first_entry(&c->running, struct qemu_ep_tx, node);
		if (t->status == EPC_DMA_OK)
			t->status = status;
		if (++t->reaped == t->count)
			complete_tx(c, t);
	}
	return c->consumer != before;
}

static void start_ring(struct qemu_ep_chan *c)
{
	c->producer = 0;
	c->consumer = 0;
	c->feeding = NULL;
	writel(EPC_DMA_CTRL_ENABLE, c->regs + EPC_DMA_CTRL);
}

/* The device touches no memory of this machine after it. */
static void stop_ring(struct qemu_ep_chan *c)
{
	writel(0, c->regs + EPC_DMA_CTRL);
	/* Not only posted */
	readl(c->regs + EPC_DMA_CTRL);
}

static bool ring_failed(struct qemu_ep_chan *c)
{
	u32 state = readl(c->regs + EPC_DMA_STATE);

	return PCI_POSSIBLE_ERROR(state) || (state & EPC_DMA_STATE_ERROR);
}

/* The device cannot read its ring any more. */
static void fail_running(struct qemu_ep_chan *c)
{
	struct qemu_ep_tx *t, *tmp;

	dev_err_ratelimited(qemu_ep_parent(c->dma->ep), "DMA channel %u lost its ring: is bus mastering on?\n",
			    c->hw);
	stop_ring(c);
	list_for_each_entry_safe(t, tmp, &c->running, node) {
		t->status = EPC_DMA_IO;
		complete_tx(c, t);
	}
	start_ring(c);
}

static irqreturn_t chan_irq(int irq, void *data)
{
	struct qemu_ep_chan *c = data;
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	if (!reap(c) && !list_empty(&c->running) && ring_failed(c))
		fail_running(c);
	feed(c);
	spin_unlock_irqrestore(&c->lock, flags);

	return IRQ_HANDLED;
}

static enum dmaengine_tx_result tx_result(const struct qemu_ep_tx *t)
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

static void run_callback(struct qemu_ep_tx *t)
{
	struct dma_async_tx_descriptor *tx = &t->tx;
	struct dmaengine_result result = { .result = tx_result(t) };

	dma_descriptor_unmap(tx);
	if (tx->callback_result)
		tx->callback_result(tx->callback_param, &result);
	else if (tx->callback)
		tx->callback(tx->callback_param);
	dma_run_dependencies(tx);
}

static void free_list(struct list_head *list)
{
	struct qemu_ep_tx *t, *tmp;

	list_for_each_entry_safe(t, tmp, list, node)
		kfree(t);
}

static void chan_tasklet(struct tasklet_struct *tasklet)
{
	struct qemu_ep_chan *c = from_tasklet(c, tasklet, tasklet);
	struct qemu_ep_tx *t;
	unsigned long flags;
	LIST_HEAD(done);

	spin_lock_irqsave(&c->lock, flags);
	list_splice_init(&c->done, &done);
	spin_unlock_irqrestore(&c->lock, flags);

	list_for_each_entry(t, &done, node)
		run_callback(t);
	free_list(&done);
}

/*
 * The cookie helpers of dmaengine are private to its directory.
 */
static dma_cookie_t chan_tx_submit(struct dma_async_tx_descriptor *tx)
{
	struct qemu_ep_chan *c = to_qemu_ep_chan(tx->chan);
	dma_cookie_t cookie;
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	cookie = c->chan.cookie == INT_MAX ? DMA_MIN_COOKIE :
					     c->chan.cookie + 1;
	tx->cookie = cookie;
	c->chan.cookie = cookie;
	list_move_tail(&to_tx(tx)->node, &c->submitted);
	spin_unlock_irqrestore(&c->lock, flags);

	return cookie;
}

/**
 * qemu_ep_chan_prepare() - make a filled in transaction ready for submission
 * @c: the channel
 * @t: the transaction, taken over
 * @flags: enum dma_ctrl_flags
 *
 * Return: what the client submits, or NULL when the controller is gone.
 */
struct dma_async_tx_descriptor *qemu_ep_chan_prepare(struct qemu_ep_chan *c,
						     struct qemu_ep_tx *t,
						     unsigned long flags)
{
	unsigned long irq_flags;
	bool open;

	dma_async_tx_descriptor_init(&t->tx, &c->chan);
	t->tx.flags = flags;
	t->tx.tx_submit = chan_tx_submit;
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
		reap(c);
		feed(c);
	}
	spin_unlock_irqrestore(&c->lock, flags);
}

static bool has_failed(struct qemu_ep_chan *c, dma_cookie_t cookie)
{
	unsigned int i;

	for (i = 0; i < QEMU_EP_DMA_FAILURES; i++)
		if (c->failed[i] == cookie)
			return true;
	return false;
}

/* Clients may poll with interrupts off, so look at the ring. */
enum dma_status qemu_ep_chan_tx_status(struct dma_chan *chan,
				       dma_cookie_t cookie,
				       struct dma_tx_state *state)
{
	struct qemu_ep_chan *c = to_qemu_ep_chan(chan);
	enum dma_status status;
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	if (c->ring && reap(c))
		feed(c);
	status = dma_async_is_complete(cookie, chan->completed_cookie,
				       chan->cookie);
	if (status == DMA_COMPLETE && has_failed(c, cookie))
		status = DMA_ERROR;
	if (state) {
		state->last = chan->completed_cookie;
		state->used = chan->cookie;
		state->residue = 0;
		state->in_flight_bytes = 0;
	}
	spin_unlock_irqrestore(&c->lock, flags);

	return status;
}

/* With the lock held: all transactions, for free_list() */
static void take_all(struct qemu_ep_chan *c, struct list_head *list)
{
	list_splice_tail_init(&c->prepared, list);
	list_splice_tail_init(&c->submitted, list);
	list_splice_tail_init(&c->issued, list);
	list_splice_tail_init(&c->running, list);
	list_splice_tail_init(&c->done, list);
	c->feeding = NULL;
}

int qemu_ep_chan_terminate_all(struct dma_chan *chan)
{
	struct qemu_ep_chan *c = to_qemu_ep_chan(chan);
	unsigned long flags;
	LIST_HEAD(list);
	bool busy;

	spin_lock_irqsave(&c->lock, flags);
	/* Some clients do this after each transaction, when all is done. */
	if (c->ring)
		reap(c);
	busy = c->ring && !list_empty(&c->running);
	if (busy)
		stop_ring(c);
	take_all(c, &list);
	if (busy) {
		start_ring(c);
		c->cut = true;
	}
	spin_unlock_irqrestore(&c->lock, flags);

	free_list(&list);
	return 0;
}

/* A message to the host may still be under way. */
static void wait_messages(struct qemu_ep_chan *c, struct qemu_ep *ep)
{
	unsigned long end = jiffies + msecs_to_jiffies(3 * ep->deadline);
	u32 state = readl(c->regs + EPC_DMA_STATE);

	while (!PCI_POSSIBLE_ERROR(state) &&
	       (state & EPC_DMA_STATE_MESSAGE) && time_before(jiffies, end)) {
		usleep_range(100, 1000);
		state = readl(c->regs + EPC_DMA_STATE);
	}
}

void qemu_ep_chan_synchronize(struct dma_chan *chan)
{
	struct qemu_ep_chan *c = to_qemu_ep_chan(chan);
	unsigned long flags;
	bool cut;

	spin_lock_irqsave(&c->lock, flags);
	cut = c->cut;
	c->cut = false;
	spin_unlock_irqrestore(&c->lock, flags);

	if (cut) {
		mutex_lock(&c->dma->lock);
		if (c->ring)
			wait_messages(c, c->dma->ep);
		mutex_unlock(&c->dma->lock);
	}
	tasklet_kill(&c->tasklet);
}

/**
 * qemu_ep_chan_open() - give the channel a ring and one of the device's channels
 * @c: the channel
 * @ep: the controller
 * @hw: number of the device's channel
 *
 * Return: 0 or a negative error.
 */
int qemu_ep_chan_open(struct qemu_ep_chan *c, struct qemu_ep *ep,
		      unsigned int hw)
{
	struct device *dev = qemu_ep_parent(ep);
	struct qemu_ep_dma_desc *ring;
	unsigned long flags;
	int ret;

	ring = dma_alloc_coherent(dev, RING_SIZE * sizeof(*ring), &c->ring_dma,
				  GFP_KERNEL);
	if (!ring)
		return -ENOMEM;

	c->hw = hw;
	c->regs = ep->regs + ep->dma_base + hw * ep->dma_stride;
	stop_ring(c);
	writeq(c->ring_dma, c->regs + EPC_DMA_RING);
	writel(RING_SIZE, c->regs + EPC_DMA_SIZE);
	writel(ep->dma_vector[hw], c->regs + EPC_DMA_VECTOR);

	/* More than one channel can have this interrupt. */
	ret = request_irq(ep->dma_irq[hw], chan_irq, IRQF_SHARED, dev_name(dev),
			  c);
	if (ret) {
		dma_free_coherent(dev, RING_SIZE * sizeof(*ring), ring,
				  c->ring_dma);
		return ret;
	}

	memset(c->failed, 0, sizeof(c->failed));
	memset(&c->config, 0, sizeof(c->config));
	c->chan.cookie = DMA_MIN_COOKIE;
	c->chan.completed_cookie = DMA_MIN_COOKIE;
	c->cut = false;
	spin_lock_irqsave(&c->lock, flags);
	c->ring = ring;
	start_ring(c);
	spin_unlock_irqrestore(&c->lock, flags);
	return 0;
}

/**
 * qemu_ep_chan_close() - undo qemu_ep_chan_open()
 * @c: the channel
 * @ep: the controller
 *
 * The client may still have the channel, but it does nothing any more.
 */
void qemu_ep_chan_close(struct qemu_ep_chan *c, struct qemu_ep *ep)
{
	struct qemu_ep_dma_desc *ring = c->ring;
	unsigned long flags;
	LIST_HEAD(list);

	free_irq(ep->dma_irq[c->hw], c);
	spin_lock_irqsave(&c->lock, flags);
	stop_ring(c);
	c->ring = NULL;
	take_all(c, &list);
	spin_unlock_irqrestore(&c->lock, flags);

	tasklet_kill(&c->tasklet);
	wait_messages(c, ep);
	free_list(&list);
	dma_free_coherent(qemu_ep_parent(ep), RING_SIZE * sizeof(*ring), ring,
			  c->ring_dma);
}

/**
 * qemu_ep_chan_init() - prepare a channel for dmaengine
 * @dma: the engine
 * @c: the channel, zeroed
 * @dev: personality it belongs to
 */
void qemu_ep_chan_init(struct qemu_ep_dma *dma, struct qemu_ep_chan *c,
		       struct dma_device *dev)
{
	c->dma = dma;
	c->chan.device = dev;
	spin_lock_init(&c->lock);
	tasklet_setup(&c->tasklet, chan_tasklet);
	INIT_LIST_HEAD(&c->prepared);
	INIT_LIST_HEAD(&c->submitted);
	INIT_LIST_HEAD(&c->issued);
	INIT_LIST_HEAD(&c->running);
	INIT_LIST_HEAD(&c->done);
	list_add_tail(&c->chan.device_node, &dev->channels);
}
