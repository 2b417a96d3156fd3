// SPDX-License-Identifier: GPL-2.0
/*
 * Copies between memory of the host and of this machine, one map of the
 * outbound window after another: by the CPU, or by a DMA channel
 */
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/dmaengine.h>
#include <linux/io.h>
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "vf-test.h"

/* Size of a map of the window */
#define VF_COPY_MAP_SIZE		SZ_64K
#define VF_COPY_DMA_TIMEOUT	msecs_to_jiffies(10000)

/**
 * struct vf_copy_map - a map of the window
 * @addr: address in the window that shows the host memory, also for DMA
 * @virt: mapping of @addr
 * @phys: address of the map in the window
 * @base: mapping of @phys
 * @size: size of the map
 */
struct vf_copy_map {
	phys_addr_t addr;
	void __iomem *virt;
	phys_addr_t phys;
	void __iomem *base;
	size_t size;
};

static int vf_copy_map(struct vf_test *t, u64 host, size_t len,
		       struct vf_copy_map *p)
{
	size_t align = t->features->align ?: PAGE_SIZE;
	size_t slack = host & (align - 1);
	struct pci_epf *epf = t->epf;
	int ret;

	p->size = ALIGN(slack + len, align);
	p->base = pci_epc_mem_alloc_addr(epf->epc, &p->phys, p->size);
	if (!p->base)
		return -ENOSPC;
	ret = pci_epc_map_addr(epf->epc, epf->func_no, epf->vfunc_no, p->phys,
			       host - slack, p->size);
	if (ret) {
		pci_epc_mem_free_addr(epf->epc, p->phys, p->base, p->size);
		return ret;
	}
	p->addr = p->phys + slack;
	p->virt = p->base + slack;
	return 0;
}

static void vf_copy_unmap(struct vf_test *t, struct vf_copy_map *p)
{
	struct pci_epf *epf = t->epf;

	pci_epc_unmap_addr(epf->epc, epf->func_no, epf->vfunc_no, p->phys);
	pci_epc_mem_free_addr(epf->epc, p->phys, p->base, p->size);
}

static void vf_copy_dma_done(void *data)
{
	complete(data);
}

static int vf_copy_by_dma(struct vf_test *t, dma_addr_t dst, dma_addr_t src,
			  size_t len)
{
	unsigned long flags = DMA_PREP_INTERRUPT | DMA_CTRL_ACK;
	DECLARE_COMPLETION_ONSTACK(done);
	struct dma_async_tx_descriptor *tx;
	dma_cookie_t cookie;
	int ret = 0;

	tx = dmaengine_prep_dma_memcpy(t->chan, dst, src, len, flags);
	if (!tx)
		return -EIO;
	tx->callback = vf_copy_dma_done;
	tx->callback_param = &done;
	cookie = dmaengine_submit(tx);
	if (dma_submit_error(cookie))
		return -EIO;
	dma_async_issue_pending(t->chan);
	if (!wait_for_completion_timeout(&done, VF_COPY_DMA_TIMEOUT))
		ret = -ETIMEDOUT;
	else if (dma_async_is_tx_complete(t->chan, cookie, NULL, NULL) !=
		 DMA_COMPLETE)
		ret = -EIO;
	if (ret)
		dmaengine_terminate_sync(t->chan);
	return ret;
}

/* Copies between one map and a buffer.  @dma_addr is valid with @dma only. */
static int vf_copy_part(struct vf_test *t, u64 host, void *buf,
			dma_addr_t dma_addr, size_t len, bool to_host, bool dma)
{
	struct vf_copy_map p;
	int ret;

	ret = vf_copy_map(t, host, len, &p);
	if (ret)
		return ret;
	if (dma)
		ret = to_host ? vf_copy_by_dma(t, p.addr, dma_addr, len) :
				vf_copy_by_dma(t, dma_addr, p.addr, len);
	else if (to_host)
		memcpy_toio(p.virt, buf, len);
	else
		memcpy_fromio(buf, p.virt, len);
	vf_copy_unmap(t, &p);
	return ret;
}

static int vf_copy_buffer(struct vf_test *t, u64 host, void *buf, size_t size,
			  bool to_host, bool dma)
{
	enum dma_data_direction dir = to_host ? DMA_TO_DEVICE : DMA_FROM_DEVICE;
	struct device *dev = t->epf->epc->dev.parent;
	dma_addr_t dma_addr = 0;
	size_t done, len;
	int ret = 0;

	if (dma && !t->chan)
		return -EOPNOTSUPP;
	if (dma && size) {
		dma_addr = dma_map_single(dev, buf, size, dir);
		if (dma_mapping_error(dev, dma_addr))
			return -ENOMEM;
	}
	for (done = 0; done < size && !ret; done += len) {
		len = min_t(size_t, size - done, VF_COPY_MAP_SIZE);
		ret = vf_copy_part(t, host + done, buf + done, dma_addr + done,
				   len, to_host, dma);
	}
	if (dma && size)
		dma_unmap_single(dev, dma_addr, size, dir);
	return ret;
}

int vf_copy_from_host(struct vf_test *t, void *dst, u64 src, size_t size,
		      bool dma)
{
	return vf_copy_buffer(t, src, dst, size, false, dma);
}

int vf_copy_to_host(struct vf_test *t, u64 dst, void *src, size_t size,
		    bool dma)
{
	return vf_copy_buffer(t, dst, src, size, true, dma);
}

static int vf_copy_between_maps(struct vf_test *t, u64 dst, u64 src, size_t len)
{
	struct vf_copy_map from, to;
	int ret;

	ret = vf_copy_map(t, src, len, &from);
	if (ret)
		return ret;
	ret = vf_copy_map(t, dst, len, &to);
	if (!ret) {
		ret = vf_copy_by_dma(t, to.addr, from.addr, len);
		vf_copy_unmap(t, &to);
	}
	vf_copy_unmap(t, &from);
	return ret;
}

int vf_copy_in_host(struct vf_test *t, u64 dst, u64 src, size_t size, bool dma)
{
	void *buf = dma ? NULL : kmalloc(VF_COPY_MAP_SIZE, GFP_KERNEL);
	size_t done, len;
	int ret = 0;

	if (dma ? !t->chan : !buf)
		return dma ? -EOPNOTSUPP : -ENOMEM;
	for (done = 0; done < size && !ret; done += len) {
		len = min_t(size_t, size - done, VF_COPY_MAP_SIZE);
		if (dma) {
			ret = vf_copy_between_maps(t, dst + done, src + done,
						   len);
			continue;
		}
		ret = vf_copy_from_host(t, buf, src + done, len, false);
		if (!ret)
			ret = vf_copy_to_host(t, dst + done, buf, len, false);
	}
	kfree(buf);
	return ret;
}

/* Only a channel of this controller reaches its host. */
static bool vf_copy_filter(struct dma_chan *chan, void *data)
{
	return chan->device->dev == data;
}

/**
 * vf_copy_init() - get a DMA channel if there is one
 * @t: the function
 */
void vf_copy_init(struct vf_test *t)
{
	dma_cap_mask_t mask;

	dma_cap_zero(mask);
	dma_cap_set(DMA_MEMCPY, mask);
	t->chan = dma_request_channel(mask, vf_copy_filter,
				      t->epf->epc->dev.parent);
}

void vf_copy_exit(struct vf_test *t)
{
	if (t->chan)
		dma_release_channel(t->chan);
	t->chan = NULL;
}
