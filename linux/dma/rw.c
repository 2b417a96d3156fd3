// SPDX-License-Identifier: GPL-2.0
/*
 * Transfers of pci_epc_ext_dma_rw()
 *
 * Each function has a channel of the device from its first transfer on, until
 * its handle is closed.  dmaengine does not know this channel, so the mode of
 * the engine does not matter.  When a client of dmaengine finds no channel, one
 * is taken back from a function that has no transfer under way.
 *
 * The transfers of a function take turns: the copies of one are a transaction of
 * the channel, the device does them in their order, and so gains nothing from a
 * second one.
 */
#include <linux/bottom_half.h>
#include <linux/cleanup.h>
#include <linux/dma-mapping.h>
#include <linux/jiffies.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "channel.h"
#include "dma.h"
#include "pci-epc-ext.h"

/* The device reports the end of a transfer; this is for a lost interrupt. */
#define QEMU_EP_RW_POLL_MS	100

/*
 * Longest time without the end of a copy.  A message to the host takes at most
 * twice the deadline, see EPC_DMA_STATE_MESSAGE.
 */
static unsigned long qemu_ep_rw_limit(struct qemu_ep *ep)
{
	return msecs_to_jiffies(3 * ep->deadline);
}

/* ---- Channels ---- */

void qemu_ep_rw_init(struct qemu_ep_dma *dma)
{
	u8 page;

	for (page = 0; page < EPC_MAX_FUNCTIONS; page++) {
		struct qemu_ep_rw *rw = &dma->rw[page];

		sema_init(&rw->turn, 1);
		init_completion(&rw->done);
		qemu_ep_chan_init(dma, &rw->chan, NULL);
	}
}

bool qemu_ep_rw_yield(struct qemu_ep_dma *dma)
{
	u8 page;

	lockdep_assert_held(&dma->lock);

	for (page = 0; page < EPC_MAX_FUNCTIONS; page++) {
		struct qemu_ep_rw *rw = &dma->rw[page];

		if (!rw->chan.ring || down_trylock(&rw->turn))
			continue;
		qemu_ep_dma_close_chan(dma, &rw->chan);
		up(&rw->turn);
		return true;
	}
	return false;
}

void qemu_ep_rw_exit(struct qemu_ep_dma *dma)
{
	u8 page;

	lockdep_assert_held(&dma->lock);

	for (page = 0; page < EPC_MAX_FUNCTIONS; page++)
		qemu_ep_dma_close_chan(dma, &dma->rw[page].chan);
}

void qemu_ep_dma_rw_release(struct qemu_ep *ep, u8 page)
{
	if (!ep->dma)
		return;
	guard(mutex)(&ep->dma->lock);
	qemu_ep_dma_close_chan(ep->dma, &ep->dma->rw[page].chan);
}

static int qemu_ep_rw_open(struct qemu_ep_dma *dma, struct qemu_ep_rw *rw)
{
	int ret;

	guard(mutex)(&dma->lock);
	if (rw->chan.ring)
		return 0;
	ret = qemu_ep_dma_open_chan(dma, &rw->chan);
	return ret == -EBUSY ? -ENOSPC : ret;
}

/* ---- One transfer ---- */

/* Bus mastering may have changed since the device refused a copy. */
static int qemu_ep_rw_refused(struct qemu_ep *ep, u8 page)
{
	void __iomem *regs = qemu_ep_page_regs(ep, page);

	if (!(readl(regs + EPC_FN_PCI_COMMAND) & PCI_COMMAND_MASTER) ||
	    readl(regs + EPC_FN_DSTATE))
		return -EAGAIN;
	return -EFAULT;
}

static int qemu_ep_rw_errno(struct qemu_ep *ep, u8 page, u32 status)
{
	switch (status) {
	case EPC_DMA_OK:
		return 0;
	case EPC_DMA_NO_LINK:
		return -ENOLINK;
	case EPC_DMA_NOT_MAPPED:
		return qemu_ep_rw_refused(ep, page);
	case EPC_DMA_NOT_SHARED:
		return -EFAULT;
	default:
		return -EIO;
	}
}

static void qemu_ep_rw_done(void *data)
{
	complete(data);
}

/*
 * Waits for the end of a transaction.  Its callback is but a hint to look, and
 * may come late.  A machine that goes to sleep holds the transaction back, which
 * does not count.
 *
 * Returns false when no copy has ended for too long.
 */
static bool qemu_ep_rw_wait(struct qemu_ep *ep, struct qemu_ep_rw *rw,
			    dma_cookie_t cookie)
{
	struct qemu_ep_chan *c = &rw->chan;
	unsigned long end = jiffies + qemu_ep_rw_limit(ep);
	u32 ended = READ_ONCE(c->consumer);

	while (qemu_ep_chan_tx_status(&c->chan, cookie, NULL) ==
	       DMA_IN_PROGRESS) {
		u32 now = READ_ONCE(c->consumer);

		if (now != ended || READ_ONCE(c->asleep))
			end = jiffies + qemu_ep_rw_limit(ep);
		else if (time_after(jiffies, end))
			return false;
		ended = now;
		wait_for_completion_timeout(&rw->done,
					    msecs_to_jiffies(QEMU_EP_RW_POLL_MS));
	}
	return true;
}

/* Carries out a transaction, which this takes over. */
static int qemu_ep_rw_run(struct qemu_ep *ep, u8 page, struct qemu_ep_tx *t)
{
	struct qemu_ep_rw *rw = &ep->dma->rw[page];
	struct dma_chan *chan = &rw->chan.chan;
	struct dma_async_tx_descriptor *tx;
	dma_cookie_t cookie;

	tx = qemu_ep_chan_prepare(&rw->chan, t, DMA_PREP_INTERRUPT);
	if (!tx)
		return -EIO;
	reinit_completion(&rw->done);
	tx->callback = qemu_ep_rw_done;
	tx->callback_param = &rw->done;
	cookie = dmaengine_submit(tx);
	/*
	 * As a rule the device is done at once.  The callback then runs in
	 * local_bh_enable(), and nobody has to wake ksoftirqd.
	 */
	local_bh_disable();
	qemu_ep_chan_issue_pending(chan);
	local_bh_enable();
	if (qemu_ep_rw_wait(ep, rw, cookie))
		return qemu_ep_rw_errno(ep, page,
					qemu_ep_chan_result(&rw->chan, cookie));

	dev_err_ratelimited(qemu_ep_parent(ep), "function page %u: DMA does not end\n",
			    page);
	qemu_ep_chan_terminate_all(chan);
	return qemu_ep_chan_settle(&rw->chan) ? -ETIMEDOUT : -EBUSY;
}

/* ---- Segments ---- */

static void qemu_ep_rw_unmap(struct qemu_ep *ep, const dma_addr_t *addrs,
			     const struct pci_epc_ext_dma_seg *segs,
			     unsigned int n, enum dma_data_direction dir)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		dma_unmap_single(qemu_ep_parent(ep), addrs[i], segs[i].len,
				 dir);
}

static int qemu_ep_rw_map(struct qemu_ep *ep, dma_addr_t *addrs,
			  const struct pci_epc_ext_dma_seg *segs,
			  unsigned int n, enum dma_data_direction dir)
{
	struct device *dev = qemu_ep_parent(ep);
	unsigned int i;

	for (i = 0; i < n; i++) {
		addrs[i] = dma_map_single(dev, segs[i].buf, segs[i].len, dir);
		if (dma_mapping_error(dev, addrs[i])) {
			qemu_ep_rw_unmap(ep, addrs, segs, i, dir);
			return -ENOMEM;
		}
	}
	return 0;
}

static struct qemu_ep_tx *
qemu_ep_rw_new_tx(const dma_addr_t *addrs,
		  const struct pci_epc_ext_dma_seg *segs, unsigned int n,
		  enum dma_data_direction dir, u8 page)
{
	bool to_host = dir == DMA_TO_DEVICE;
	struct qemu_ep_tx *t = qemu_ep_dma_alloc_tx(n, GFP_KERNEL);
	unsigned int i;

	if (!t)
		return NULL;
	for (i = 0; i < n; i++) {
		struct qemu_ep_xfer *x = &t->xfer[i];

		x->src = to_host ? addrs[i] : segs[i].pci_addr;
		x->dst = to_host ? segs[i].pci_addr : addrs[i];
		x->len = segs[i].len;
		x->flags = to_host ?
			   EPC_DMA_DST_HOST | page << EPC_DMA_DST_FN_SHIFT :
			   EPC_DMA_SRC_HOST | page << EPC_DMA_SRC_FN_SHIFT;
	}
	return t;
}

/* It is the turn of the caller, whose segments are mapped. */
static int qemu_ep_rw_transfer(struct qemu_ep *ep, u8 page,
			       const dma_addr_t *addrs,
			       const struct pci_epc_ext_dma_seg *segs,
			       unsigned int n, enum dma_data_direction dir)
{
	int ret = qemu_ep_rw_open(ep->dma, &ep->dma->rw[page]);
	struct qemu_ep_tx *t;

	if (ret)
		return ret;
	t = qemu_ep_rw_new_tx(addrs, segs, n, dir, page);
	return t ? qemu_ep_rw_run(ep, page, t) : -ENOMEM;
}

/* Waits for the turn of the caller, which has mapped the segments to @addrs. */
static int qemu_ep_rw_turn(struct qemu_ep *ep, u8 page, const dma_addr_t *addrs,
			   const struct pci_epc_ext_dma_seg *segs,
			   unsigned int n, enum dma_data_direction dir)
{
	struct qemu_ep_rw *rw = &ep->dma->rw[page];
	int ret;

	if (down_timeout(&rw->turn, 2 * qemu_ep_rw_limit(ep)))
		return -ETIMEDOUT;
	ret = qemu_ep_rw_transfer(ep, page, addrs, segs, n, dir);
	up(&rw->turn);
	return ret;
}

int qemu_ep_dma_rw(struct pci_epc *epc, u8 func, u8 vfunc,
		   const struct pci_epc_ext_dma_seg *segs, unsigned int n,
		   enum dma_data_direction dir)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 page = qemu_ep_page(ep, func, vfunc);
	dma_addr_t *addrs;
	int ret;

	if (!qemu_ep_has_func(ep, func, vfunc))
		return -EINVAL;
	if (!ep->dma)
		return -EOPNOTSUPP;
	addrs = kmalloc_array(n, sizeof(*addrs), GFP_KERNEL);
	if (!addrs)
		return -ENOMEM;
	ret = qemu_ep_rw_map(ep, addrs, segs, n, dir);
	if (!ret) {
		ret = qemu_ep_rw_turn(ep, page, addrs, segs, n, dir);
		qemu_ep_rw_unmap(ep, addrs, segs, n, dir);
	}
	kfree(addrs);
	return ret;
}
