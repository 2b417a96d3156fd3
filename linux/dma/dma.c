// SPDX-License-Identifier: GPL-2.0
/*
 * The DMA engine as dmaengine sees it
 *
 * Endpoint functions use DMA in two ways.  Some ask for slave channels, one for
 * each direction, and name the host PCI address in the configuration of the
 * channel.  Others ask for a channel that copies from one address to another,
 * and give addresses in the outbound window where they mean host memory.  The
 * first that can be had decides, and what the functions can do with it differs:
 * so only one of the two is given out at a time, which the user selects.
 */
#include <linux/device.h>
#include <linux/kstrtox.h>
#include <linux/maple_tree.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "pcie-qemu-ep-dma.h"

/* Longest copy of one descriptor */
#define XFER_MAX	SZ_1G

static char *dma_mode = "memcpy";
module_param(dma_mode, charp, 0444);
MODULE_PARM_DESC(dma_mode, "DMA channels for endpoint functions: memcpy (default), slave, off");

static const char * const mode_names[] = {
	[QEMU_EP_DMA_OFF] = "off",
	[QEMU_EP_DMA_MEMCPY] = "memcpy",
	[QEMU_EP_DMA_SLAVE] = "slave",
};

/* ---- Which host memory does the window show? ---- */

struct window_map {
	u64 offset;
	u64 size;
	u64 pci_addr;
	u8 fn;
	struct rcu_head rcu;
};

void qemu_ep_dma_unmapped(struct qemu_ep *ep, u64 offset)
{
	struct window_map *old = mtree_erase(&ep->maps, offset);

	if (old)
		kfree_rcu(old, rcu);
}

/**
 * qemu_ep_dma_mapped() - a map of the window was made
 * @ep: the controller
 * @fn: number of the function's page
 * @offset: into the window; a map that was there is replaced
 * @pci_addr: host PCI address
 * @size: size of the map
 *
 * Return: 0 or -ENOMEM.
 */
int qemu_ep_dma_mapped(struct qemu_ep *ep, u8 fn, u64 offset, u64 pci_addr,
		       u64 size)
{
	struct window_map *map = kzalloc(sizeof(*map), GFP_KERNEL);
	int ret;

	qemu_ep_dma_unmapped(ep, offset);
	if (!map)
		return -ENOMEM;

	map->offset = offset;
	map->size = size;
	map->pci_addr = pci_addr;
	map->fn = fn;
	ret = mtree_store_range(&ep->maps, offset, offset + size - 1, map,
				GFP_KERNEL);
	if (ret)
		kfree(map);
	return ret;
}

/* ---- Preparation ---- */

/* Where an address of a client leads */
struct place {
	u64 addr;
	u64 size;
	bool host;
	u8 fn;
};

/*
 * Window addresses are CPU addresses that nobody mapped for DMA, and the device
 * does not reach them by itself.
 */
static int find_place(struct qemu_ep *ep, u64 addr, u64 len, struct place *p)
{
	const struct window_map *map;
	u64 offset = addr - ep->window_base;

	p->addr = addr;
	p->size = len;
	p->host = addr >= ep->window_base && offset < ep->window_size;
	p->fn = 0;
	if (!p->host)
		return 0;

	guard(rcu)();
	map = mtree_load(&ep->maps, offset);
	if (!map)
		return -EFAULT;
	p->addr = map->pci_addr + (offset - map->offset);
	p->size = min(len, map->size - (offset - map->offset));
	p->fn = map->fn;
	return 0;
}

/*
 * Fills @xfer unless it is NULL, at most @max of them.
 *
 * Return: how many it takes, or a negative error.
 */
static int split_copy(struct qemu_ep *ep, u64 dst, u64 src, u64 len,
		      struct qemu_ep_xfer *xfer, int max)
{
	struct place d, s;
	u64 done = 0;
	int n = 0;

	do {
		int ret = find_place(ep, src + done, len - done, &s);

		if (!ret)
			ret = find_place(ep, dst + done, len - done, &d);
		if (ret)
			return ret;
		if (n == max)
			return -EAGAIN;

		d.size = min3(d.size, s.size, (u64)XFER_MAX);
		if (xfer) {
			xfer[n].src = s.addr;
			xfer[n].dst = d.addr;
			xfer[n].len = d.size;
			xfer[n].flags = (s.host ? EPC_DMA_SRC_HOST : 0) |
					(d.host ? EPC_DMA_DST_HOST : 0) |
					s.fn << EPC_DMA_SRC_FN_SHIFT |
					d.fn << EPC_DMA_DST_FN_SHIFT;
		}
		n++;
		done += d.size;
	} while (done < len);

	return n;
}

static struct qemu_ep_tx *alloc_tx(u32 count)
{
	struct qemu_ep_tx *t;

	t = kzalloc(struct_size(t, xfer, count), GFP_NOWAIT);
	if (t)
		t->count = count;
	return t;
}

static struct dma_async_tx_descriptor *
qemu_ep_prep_memcpy(struct dma_chan *chan, dma_addr_t dst, dma_addr_t src,
		    size_t len, unsigned long flags)
{
	struct qemu_ep_chan *c = to_qemu_ep_chan(chan);
	struct qemu_ep *ep = READ_ONCE(c->dma->ep);
	struct qemu_ep_tx *t;
	int count;

	if (!ep)
		return NULL;
	count = split_copy(ep, dst, src, len, NULL, INT_MAX);
	if (count < 0) {
		dev_err_ratelimited(qemu_ep_parent(ep), "DMA to or from a part of the window that is not mapped: map it first\n");
		return NULL;
	}
	t = alloc_tx(count);
	if (!t)
		return NULL;
	/* Another function may have changed its maps in between. */
	if (split_copy(ep, dst, src, len, t->xfer, count) != count) {
		kfree(t);
		return NULL;
	}
	return qemu_ep_chan_prepare(c, t, flags);
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
 * The host side is one run of addresses, of the function that the user named
 * when the channel was requested: dmaengine does not tell.
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
	t = alloc_tx(sg_len);
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
			   EPC_DMA_DST_HOST | c->fn << EPC_DMA_DST_FN_SHIFT :
			   EPC_DMA_SRC_HOST | c->fn << EPC_DMA_SRC_FN_SHIFT;
		host += x->len;
	}
	return qemu_ep_chan_prepare(c, t, flags);
}

/* ---- Channels and modes ---- */

/*
 * Any error but ENODEV, which would make dmaengine forget the device, leads the
 * client to what else there is.
 */
static int qemu_ep_alloc_chan(struct dma_chan *chan)
{
	struct qemu_ep_chan *c = to_qemu_ep_chan(chan);
	struct qemu_ep_dma *dma = c->dma;
	unsigned int hw;
	int ret;

	guard(mutex)(&dma->lock);
	if (!dma->ep || dma->mode != (c->slave ? QEMU_EP_DMA_SLAVE :
						 QEMU_EP_DMA_MEMCPY))
		return -EBUSY;
	hw = find_first_zero_bit(&dma->used, dma->count);
	if (hw >= dma->count)
		return -EBUSY;

	ret = qemu_ep_chan_open(c, dma->ep, hw);
	if (!ret) {
		__set_bit(hw, &dma->used);
		c->fn = dma->slave_fn;
	}
	return ret;
}

static void close_chan(struct qemu_ep_dma *dma, struct qemu_ep_chan *c)
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
	close_chan(c->dma, c);
}

static ssize_t dma_mode_show(struct device *dev, struct device_attribute *attr,
			     char *buf)
{
	struct qemu_ep *ep = dev_get_drvdata(dev);
	int len = 0;
	int i;

	if (!ep->dma)
		return sysfs_emit(buf, "[off]\n");
	for (i = 0; i < ARRAY_SIZE(mode_names); i++)
		len += sysfs_emit_at(buf, len,
				     i == READ_ONCE(ep->dma->mode) ? "[%s] " :
								     "%s ",
				     mode_names[i]);
	buf[len - 1] = '\n';
	return len;
}

/* Channels that are in use stay with their clients. */
static ssize_t dma_mode_store(struct device *dev,
			      struct device_attribute *attr, const char *buf,
			      size_t count)
{
	struct qemu_ep *ep = dev_get_drvdata(dev);
	int mode = sysfs_match_string(mode_names, buf);

	if (mode < 0)
		return mode;
	if (!ep->dma)
		return mode == QEMU_EP_DMA_OFF ? count : -EOPNOTSUPP;

	guard(mutex)(&ep->dma->lock);
	ep->dma->mode = mode;
	return count;
}
static DEVICE_ATTR_RW(dma_mode);

static ssize_t dma_function_show(struct device *dev,
				 struct device_attribute *attr, char *buf)
{
	struct qemu_ep *ep = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%u\n", ep->dma ? ep->dma->slave_fn : 0);
}

static ssize_t dma_function_store(struct device *dev,
				  struct device_attribute *attr,
				  const char *buf, size_t count)
{
	struct qemu_ep *ep = dev_get_drvdata(dev);
	u8 fn;
	int ret = kstrtou8(buf, 0, &fn);

	if (ret)
		return ret;
	if (fn >= ep->page_count)
		return -ERANGE;
	if (!ep->dma)
		return -EOPNOTSUPP;

	guard(mutex)(&ep->dma->lock);
	ep->dma->slave_fn = fn;
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

static void free_dma(struct kref *ref)
{
	struct qemu_ep_dma *dma = container_of(ref, struct qemu_ep_dma, ref);

	mutex_destroy(&dma->lock);
	kfree(dma);
}

static void release_memcpy(struct dma_device *dev)
{
	kref_put(&container_of(dev, struct qemu_ep_dma, memcpy_dev)->ref,
		 free_dma);
}

static void release_slave(struct dma_device *dev)
{
	kref_put(&container_of(dev, struct qemu_ep_dma, slave_dev)->ref,
		 free_dma);
}

static void init_device(struct qemu_ep_dma *dma, struct dma_device *dev,
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
	dev->residue_granularity = DMA_RESIDUE_GRANULARITY_DESCRIPTOR;
	/* Only for those who ask, not for everybody who copies memory */
	dma_cap_set(DMA_PRIVATE, dev->cap_mask);
	INIT_LIST_HEAD(&dev->channels);
	for (i = 0; i < dma->count; i++)
		qemu_ep_chan_init(dma, &chans[i], dev);
}

static void init_memcpy(struct qemu_ep_dma *dma)
{
	struct dma_device *dev = &dma->memcpy_dev;

	init_device(dma, dev, dma->memcpy_chan);
	dma_cap_set(DMA_MEMCPY, dev->cap_mask);
	dev->device_prep_dma_memcpy = qemu_ep_prep_memcpy;
	dev->directions = BIT(DMA_MEM_TO_MEM);
	dev->device_release = release_memcpy;
}

static void init_slave(struct qemu_ep_dma *dma)
{
	u32 widths = BIT(DMA_SLAVE_BUSWIDTH_1_BYTE) |
		     BIT(DMA_SLAVE_BUSWIDTH_2_BYTES) |
		     BIT(DMA_SLAVE_BUSWIDTH_4_BYTES) |
		     BIT(DMA_SLAVE_BUSWIDTH_8_BYTES);
	struct dma_device *dev = &dma->slave_dev;
	unsigned int i;

	init_device(dma, dev, dma->slave_chan);
	for (i = 0; i < dma->count; i++)
		dma->slave_chan[i].slave = true;
	dma_cap_set(DMA_SLAVE, dev->cap_mask);
	dev->device_config = qemu_ep_slave_config;
	dev->device_prep_slave_sg = qemu_ep_prep_slave_sg;
	dev->directions = BIT(DMA_DEV_TO_MEM) | BIT(DMA_MEM_TO_DEV);
	dev->src_addr_widths = widths;
	dev->dst_addr_widths = widths;
	dev->device_release = release_slave;
}

static void free_maps(struct qemu_ep *ep)
{
	struct window_map *map;
	unsigned long index = 0;

	mt_for_each(&ep->maps, map, index, ULONG_MAX)
		kfree(map);
	mtree_destroy(&ep->maps);
}

static int register_devices(struct qemu_ep_dma *dma)
{
	int ret;

	ret = dma_async_device_register(&dma->memcpy_dev);
	if (ret) {
		kfree(dma);
		return ret;
	}
	ret = dma_async_device_register(&dma->slave_dev);
	if (ret) {
		dma_async_device_unregister(&dma->memcpy_dev);
		return ret;
	}
	kref_get(&dma->ref);
	return 0;
}

/**
 * qemu_ep_dma_init() - register with dmaengine, before functions can be linked
 * @ep: the controller
 *
 * Return: 0, also when the device has no DMA channels, or a negative error.
 */
int qemu_ep_dma_init(struct qemu_ep *ep)
{
	int mode = match_string(mode_names, ARRAY_SIZE(mode_names), dma_mode);
	struct qemu_ep_dma *dma;
	int ret;

	mt_init_flags(&ep->maps, MT_FLAGS_USE_RCU);
	if (!ep->dma_count)
		return 0;
	if (mode < 0) {
		dev_err(qemu_ep_parent(ep), "dma_mode=%s is unknown: use memcpy, slave or off\n",
			dma_mode);
		return mode;
	}

	dma = kzalloc(sizeof(*dma), GFP_KERNEL);
	if (!dma)
		return -ENOMEM;
	kref_init(&dma->ref);
	mutex_init(&dma->lock);
	dma->ep = ep;
	dma->mode = mode;
	dma->count = ep->dma_count;
	init_memcpy(dma);
	init_slave(dma);

	ret = register_devices(dma);
	if (!ret)
		ep->dma = dma;
	return ret;
}

/**
 * qemu_ep_dma_exit() - take the channels away, also from who still has them
 * @ep: the controller
 */
void qemu_ep_dma_exit(struct qemu_ep *ep)
{
	struct qemu_ep_dma *dma = ep->dma;
	unsigned int i;

	if (dma) {
		ep->dma = NULL;
		mutex_lock(&dma->lock);
		for (i = 0; i < dma->count; i++) {
			close_chan(dma, &dma->memcpy_chan[i]);
			close_chan(dma, &dma->slave_chan[i]);
		}
		WRITE_ONCE(dma->ep, NULL);
		mutex_unlock(&dma->lock);
		dma_async_device_unregister(&dma->slave_dev);
		dma_async_device_unregister(&dma->memcpy_dev);
	}
	free_maps(ep);
}
