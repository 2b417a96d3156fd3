// SPDX-License-Identifier: GPL-2.0
/*
 * The DMA engine as dmaengine sees it
 *
 * Endpoint functions use DMA in two ways.  Some request slave channels, one for
 * each direction, and give the host bus address in the configuration of the
 * channel.  Others request a channel that copies from one address to another,
 * and give an address in the outbound window for host memory.  A function takes
 * the first kind that it gets, and can do less with the one than with the
 * other.  So the driver gives out only one kind at a time, and the user selects
 * which.
 */
#include <linux/device.h>
#include <linux/kstrtox.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "channel.h"
#include "dma.h"
#include "maps.h"

/* Longest copy of one descriptor */
#define QEMU_EP_XFER_MAX	SZ_1G

static char *qemu_ep_dma_mode = "memcpy";
module_param_named(dma_mode, qemu_ep_dma_mode, charp, 0444);
MODULE_PARM_DESC(dma_mode, "DMA channels for endpoint functions: memcpy (default), slave, off");

static const char * const qemu_ep_dma_mode_names[] = {
	[QEMU_EP_DMA_OFF] = "off",
	[QEMU_EP_DMA_MEMCPY] = "memcpy",
	[QEMU_EP_DMA_SLAVE] = "slave",
};

/* ---- Preparation ---- */

/*
 * Splits a copy into copies that fit one descriptor each.  Fills in @xfer
 * unless it is NULL, at most @max of them.
 *
 * Returns the number of copies, -EFAULT for a part of the window without a map,
 * or -EAGAIN if @max are not enough.
 */
static int qemu_ep_dma_split(struct qemu_ep *ep, u64 dst, u64 src, u64 len,
			     struct qemu_ep_xfer *xfer, int max)
{
	struct qemu_ep_location d, s;
	u64 done = 0;
	int n = 0;

	do {
		int ret = qemu_ep_maps_locate(ep, src + done, len - done, &s);

		if (!ret)
			ret = qemu_ep_maps_locate(ep, dst + done, len - done,
						  &d);
		if (ret)
			return ret;
		if (n == max)
			return -EAGAIN;

		d.size = min3(d.size, s.size, (u64)QEMU_EP_XFER_MAX);
		if (xfer) {
			xfer[n].src = s.addr;
			xfer[n].dst = d.addr;
			xfer[n].len = d.size;
			xfer[n].flags = (s.host ? EPC_DMA_SRC_HOST : 0) |
					(d.host ? EPC_DMA_DST_HOST : 0) |
					s.page << EPC_DMA_SRC_FN_SHIFT |
					d.page << EPC_DMA_DST_FN_SHIFT;
		}
		n++;
		done += d.size;
	} while (done < len);

	return n;
}

struct qemu_ep_tx *qemu_ep_dma_alloc_tx(u32 count, gfp_t gfp)
{
	struct qemu_ep_tx *t;

	t = kzalloc(struct_size(t, xfer, count), gfp);
	if (t)
		t->count = count;
	return t;
}

/*
 * While the channel has a ring the controller is there: qemu_ep_dma_exit() takes
 * all rings away before it frees anything.
 *
 * Returns NULL if the channel has no ring, without memory, or if a part of the
 * window is not mapped.
 */
static struct qemu_ep_tx *qemu_ep_dma_new_memcpy(struct qemu_ep_chan *c,
						 u64 dst, u64 src, size_t len)
{
	struct qemu_ep *ep;
	struct qemu_ep_tx *t;
	int count;

	guard(spinlock_irqsave)(&c->lock);
	if (!c->ring)
		return NULL;
	ep = c->dma->ep;
	count = qemu_ep_dma_split(ep, dst, src, len, NULL, INT_MAX);
	if (count < 0) {
		dev_err_ratelimited(qemu_ep_parent(ep), "DMA to or from a part of the window that is not mapped\n");
		return NULL;
	}
	t = qemu_ep_dma_alloc_tx(count, GFP_NOWAIT);
	/* Maps of the window may have changed meanwhile. */
	if (t && qemu_ep_dma_split(ep, dst, src, len, t->xfer, count) != count) {
		kfree(t);
		return NULL;
	}
	return t;
}

static struct dma_async_tx_descriptor *
qemu_ep_prep_memcpy(struct dma_chan *chan, dma_addr_t dst, dma_addr_t src,
		    size_t len, unsigned long flags)
{
	struct qemu_ep_chan *c = to_qemu_ep_chan(chan);
	struct qemu_ep_tx *t = qemu_ep_dma_new_memcpy(c, dst, src, len);

	return t ? qemu_ep_chan_prepare(c, t, flags) : NULL;
}

static int qemu_ep_slave_config(struct dma_chan *chan,
				struct dma_slave_config *config)
{
	struct qemu_ep_chan *c = to_qemu_ep_chan(chan);
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	c->config = *config;
	spin_unlock_irqrestore(&c->lock, flags);
	return 0;
}

/*
 * The host memory is contiguous.  Its addresses are those of the function that
 * dma_function named when the channel was requested, since dmaengine does not
 * say for which function a channel is.
 */
static struct dma_async_tx_descriptor *
qemu_ep_prep_slave_sg(struct dma_chan *chan, struct scatterlist *sgl,
		      unsigned int sg_len, enum dma_transfer_direction dir,
		      unsigned long flags, void *context)
{
	struct qemu_ep_chan *c = to_qemu_ep_chan(chan);
	bool to_host = dir == DMA_MEM_TO_DEV;
	struct qemu_ep_tx *t;
	struct scatterlist *sg;
	unsigned long irq_flags;
	unsigned int i;
	u64 host;

	if (!sg_len || (dir != DMA_MEM_TO_DEV && dir != DMA_DEV_TO_MEM))
		return NULL;
	t = qemu_ep_dma_alloc_tx(sg_len, GFP_NOWAIT);
	if (!t)
		return NULL;

	spin_lock_irqsave(&c->lock, irq_flags);
	host = to_host ? c->config.dst_addr : c->config.src_addr;
	spin_unlock_irqrestore(&c->lock, irq_flags);

	for_each_sg(sgl, sg, sg_len, i) {
		struct qemu_ep_xfer *x = &t->xfer[i];

		x->src = to_host ? sg_dma_address(sg) : host;
		x->dst = to_host ? host : sg_dma_address(sg);
		x->len = sg_dma_len(sg);
		x->flags = to_host ?
			   EPC_DMA_DST_HOST | c->page << EPC_DMA_DST_FN_SHIFT :
			   EPC_DMA_SRC_HOST | c->page << EPC_DMA_SRC_FN_SHIFT;
		host += x->len;
	}
	return qemu_ep_chan_prepare(c, t, flags);
}

/* ---- Channels and modes ---- */

static unsigned int qemu_ep_dma_find_free(struct qemu_ep_dma *dma)
{
	return find_first_zero_bit(&dma->used, dma->count);
}

int qemu_ep_dma_open_chan(struct qemu_ep_dma *dma, struct qemu_ep_chan *c)
{
	unsigned int hw = qemu_ep_dma_find_free(dma);
	int ret;

	lockdep_assert_held(&dma->lock);

	if (hw >= dma->count && qemu_ep_rw_yield(dma))
		hw = qemu_ep_dma_find_free(dma);
	if (hw >= dma->count)
		return -EBUSY;
	ret = qemu_ep_chan_open(c, dma->ep, hw);
	if (!ret)
		__set_bit(hw, &dma->used);
	return ret;
}

/*
 * On -EBUSY dmaengine tries the next channel.  On -ENODEV it would remove the
 * whole device from its list.
 */
static int qemu_ep_alloc_chan(struct dma_chan *chan)
{
	struct qemu_ep_chan *c = to_qemu_ep_chan(chan);
	struct qemu_ep_dma *dma = c->dma;
	int ret;

	guard(mutex)(&dma->lock);
	if (!dma->ep || dma->mode != (c->slave ? QEMU_EP_DMA_SLAVE :
						 QEMU_EP_DMA_MEMCPY))
		return -EBUSY;

	ret = qemu_ep_dma_open_chan(dma, c);
	if (!ret)
		c->page = dma->slave_page;
	return ret;
}

void qemu_ep_dma_close_chan(struct qemu_ep_dma *dma, struct qemu_ep_chan *c)
{
	lockdep_assert_held(&dma->lock);

	if (!c->ring)
		return;
	qemu_ep_chan_close(c, dma->ep);
	__clear_bit(c->hw, &dma->used);
}

static void qemu_ep_free_chan(struct dma_chan *chan)
{
	struct qemu_ep_chan *c = to_qemu_ep_chan(chan);

	guard(mutex)(&c->dma->lock);
	qemu_ep_dma_close_chan(c->dma, c);
}

static ssize_t dma_mode_show(struct device *dev, struct device_attribute *attr,
			     char *buf)
{
	struct qemu_ep *ep = dev_get_drvdata(dev);
	int len = 0;
	int i;

	if (!ep->dma)
		return sysfs_emit(buf, "[off]\n");
	for (i = 0; i < ARRAY_SIZE(qemu_ep_dma_mode_names); i++)
		len += sysfs_emit_at(buf, len,
				     i == READ_ONCE(ep->dma->mode) ? "[%s] " :
								     "%s ",
				     qemu_ep_dma_mode_names[i]);
	buf[len - 1] = '\n';
	return len;
}

/* Clients keep the channels that they have. */
static ssize_t dma_mode_store(struct device *dev, struct device_attribute *attr,
			      const char *buf, size_t count)
{
	struct qemu_ep *ep = dev_get_drvdata(dev);
	int mode = sysfs_match_string(qemu_ep_dma_mode_names, buf);

	if (mode < 0)
		return mode;
	if (!ep->dma)
		return mode == QEMU_EP_DMA_OFF ? count : -EOPNOTSUPP;

	guard(mutex)(&ep->dma->lock);
	WRITE_ONCE(ep->dma->mode, mode);
	return count;
}
static DEVICE_ATTR_RW(dma_mode);

static ssize_t dma_function_show(struct device *dev,
				 struct device_attribute *attr, char *buf)
{
	struct qemu_ep *ep = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%u\n",
			  ep->dma ? READ_ONCE(ep->dma->slave_page) : 0);
}

static ssize_t dma_function_store(struct device *dev,
				  struct device_attribute *attr,
				  const char *buf, size_t count)
{
	struct qemu_ep *ep = dev_get_drvdata(dev);
	u8 page;
	int ret = kstrtou8(buf, 0, &page);

	if (ret)
		return ret;
	if (page >= ep->layout.page_count)
		return -ERANGE;
	if (!ep->dma)
		return -EOPNOTSUPP;

	guard(mutex)(&ep->dma->lock);
	WRITE_ONCE(ep->dma->slave_page, page);
	return count;
}
static DEVICE_ATTR_RW(dma_function);

static struct attribute *qemu_ep_dma_attrs[] = {
	&dev_attr_dma_mode.attr,
	&dev_attr_dma_function.attr,
	NULL
};

static const struct attribute_group qemu_ep_dma_group = {
	.attrs = qemu_ep_dma_attrs,
};

const struct attribute_group *qemu_ep_dma_groups[] = {
	&qemu_ep_dma_group,
	NULL
};

/* ---- Registration ---- */

static void qemu_ep_dma_free(struct kref *ref)
{
	struct qemu_ep_dma *dma = container_of(ref, struct qemu_ep_dma, ref);

	put_device(dma->memcpy_dev.dev);
	mutex_destroy(&dma->lock);
	kfree(dma);
}

static void qemu_ep_dma_release_memcpy(struct dma_device *dev)
{
	kref_put(&container_of(dev, struct qemu_ep_dma, memcpy_dev)->ref,
		 qemu_ep_dma_free);
}

static void qemu_ep_dma_release_slave(struct dma_device *dev)
{
	kref_put(&container_of(dev, struct qemu_ep_dma, slave_dev)->ref,
		 qemu_ep_dma_free);
}

static void qemu_ep_dma_init_device(struct qemu_ep_dma *dma,
				    struct dma_device *dev,
				    struct qemu_ep_chan *chans)
{
	unsigned int i;

	dev->dev = qemu_ep_parent(dma->ep);
	dev->device_alloc_chan_resources = qemu_ep_alloc_chan;
	dev->device_free_chan_resources = qemu_ep_free_chan;
	dev->device_issue_pending = qemu_ep_chan_issue_pending;
	dev->device_tx_status = qemu_ep_chan_tx_status;
	dev->device_terminate_all = qemu_ep_chan_terminate_all;
	dev->device_synchronize = qemu_ep_chan_synchronize;
	dev->residue_granularity = DMA_RESIDUE_GRANULARITY_SEGMENT;
	/* Only for clients that filter for it, not for all that copy memory */
	dma_cap_set(DMA_PRIVATE, dev->cap_mask);
	INIT_LIST_HEAD(&dev->channels);
	for (i = 0; i < dma->count; i++)
		qemu_ep_chan_init(dma, &chans[i], dev);
}

static void qemu_ep_dma_init_memcpy(struct qemu_ep_dma *dma)
{
	struct dma_device *dev = &dma->memcpy_dev;

	qemu_ep_dma_init_device(dma, dev, dma->memcpy_chan);
	dma_cap_set(DMA_MEMCPY, dev->cap_mask);
	dev->device_prep_dma_memcpy = qemu_ep_prep_memcpy;
	dev->directions = BIT(DMA_MEM_TO_MEM);
	dev->device_release = qemu_ep_dma_release_memcpy;
}

static void qemu_ep_dma_init_slave(struct qemu_ep_dma *dma)
{
	u32 widths = BIT(DMA_SLAVE_BUSWIDTH_1_BYTE) |
		     BIT(DMA_SLAVE_BUSWIDTH_2_BYTES) |
		     BIT(DMA_SLAVE_BUSWIDTH_4_BYTES) |
		     BIT(DMA_SLAVE_BUSWIDTH_8_BYTES);
	struct dma_device *dev = &dma->slave_dev;
	unsigned int i;

	qemu_ep_dma_init_device(dma, dev, dma->slave_chan);
	for (i = 0; i < dma->count; i++)
		dma->slave_chan[i].slave = true;
	dma_cap_set(DMA_SLAVE, dev->cap_mask);
	dev->device_config = qemu_ep_slave_config;
	dev->device_prep_slave_sg = qemu_ep_prep_slave_sg;
	dev->directions = BIT(DMA_DEV_TO_MEM) | BIT(DMA_MEM_TO_DEV);
	dev->src_addr_widths = widths;
	dev->dst_addr_widths = widths;
	dev->device_release = qemu_ep_dma_release_slave;
}

static int qemu_ep_dma_register(struct qemu_ep_dma *dma)
{
	int ret;

	/* A client may use it as long as it has a channel. */
	get_device(dma->memcpy_dev.dev);
	ret = dma_async_device_register(&dma->memcpy_dev);
	if (ret) {
		qemu_ep_dma_free(&dma->ref);
		return ret;
	}
	/* dmaengine names directories by the parent, which both have. */
	qemu_ep_rename_dma_dir(&dma->memcpy_dev, "memcpy");
	ret = dma_async_device_register(&dma->slave_dev);
	if (ret) {
		dma_async_device_unregister(&dma->memcpy_dev);
		return ret;
	}
	kref_get(&dma->ref);
	return 0;
}

int qemu_ep_dma_init(struct qemu_ep *ep)
{
	int mode = match_string(qemu_ep_dma_mode_names,
				ARRAY_SIZE(qemu_ep_dma_mode_names),
				qemu_ep_dma_mode);
	struct qemu_ep_dma *dma;
	int ret;

	qemu_ep_maps_init(ep);
	if (!ep->dma_hw.count)
		return 0;
	if (mode < 0) {
		dev_err(qemu_ep_parent(ep), "dma_mode=%s is unknown\n",
			qemu_ep_dma_mode);
		return mode;
	}

	dma = kzalloc(sizeof(*dma), GFP_KERNEL);
	if (!dma)
		return -ENOMEM;
	kref_init(&dma->ref);
	mutex_init(&dma->lock);
	dma->ep = ep;
	dma->mode = mode;
	dma->count = ep->dma_hw.count;
	qemu_ep_dma_init_memcpy(dma);
	qemu_ep_dma_init_slave(dma);
	qemu_ep_rw_init(dma);

	ret = qemu_ep_dma_register(dma);
	if (!ret)
		ep->dma = dma;
	return ret;
}

void qemu_ep_dma_exit(struct qemu_ep *ep)
{
	struct qemu_ep_dma *dma = ep->dma;
	unsigned int i;

	if (dma) {
		ep->dma = NULL;
		mutex_lock(&dma->lock);
		for (i = 0; i < dma->count; i++) {
			qemu_ep_dma_close_chan(dma, &dma->memcpy_chan[i]);
			qemu_ep_dma_close_chan(dma, &dma->slave_chan[i]);
		}
		qemu_ep_rw_exit(dma);
		dma->ep = NULL;
		mutex_unlock(&dma->lock);
		dma_async_device_unregister(&dma->slave_dev);
		dma_async_device_unregister(&dma->memcpy_dev);
	}
	qemu_ep_maps_exit(ep);
}

/* ---- Sleep ---- */

/* Channel @n of all, or NULL behind the last one */
static struct qemu_ep_chan *qemu_ep_dma_chan(struct qemu_ep_dma *dma,
					     unsigned int n)
{
	if (n < dma->count)
		return &dma->memcpy_chan[n];
	n -= dma->count;
	if (n < dma->count)
		return &dma->slave_chan[n];
	n -= dma->count;
	return n < EPC_MAX_FUNCTIONS ? &dma->rw[n].chan : NULL;
}

static void qemu_ep_dma_wake(struct qemu_ep_dma *dma, bool was_reset)
{
	struct qemu_ep_chan *c;
	unsigned int n;

	lockdep_assert_held(&dma->lock);

	dma->asleep = false;
	for (n = 0; (c = qemu_ep_dma_chan(dma, n)); n++)
		qemu_ep_chan_wake(c, dma->ep, was_reset);
}

int qemu_ep_dma_suspend(struct qemu_ep *ep)
{
	struct qemu_ep_dma *dma = ep->dma;
	unsigned long end = jiffies + msecs_to_jiffies(3 * ep->deadline);
	struct qemu_ep_chan *c;
	unsigned int n;
	int ret = 0;

	if (!dma)
		return 0;
	guard(mutex)(&dma->lock);
	dma->asleep = true;
	for (n = 0; (c = qemu_ep_dma_chan(dma, n)); n++)
		qemu_ep_chan_hold(c);
	for (n = 0; !ret && (c = qemu_ep_dma_chan(dma, n)); n++)
		ret = qemu_ep_chan_drain(c, end);
	if (ret)
		qemu_ep_dma_wake(dma, false);
	return ret;
}

void qemu_ep_dma_resume(struct qemu_ep *ep, bool was_reset)
{
	if (!ep->dma)
		return;
	guard(mutex)(&ep->dma->lock);
	qemu_ep_dma_wake(ep->dma, was_reset);
}
