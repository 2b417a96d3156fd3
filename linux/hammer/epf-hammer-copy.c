// SPDX-License-Identifier: GPL-2.0
/*
 * Copies between the endpoint and one slice of the host's memory
 *
 * Only its copier writes to a slice, so the copier knows the content of the
 * slice and finds every byte that was written to a wrong place.  Besides the
 * map of each copy, a copier holds maps of single pages for a longer time.
 */
#include <linux/completion.h>
#include <linux/dmaengine.h>
#include <linux/io.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "epf-hammer.h"

#define HAMMER_SLICE_SIZE	(HAMMER_HOST_SIZE / HAMMER_COPIERS)
#define HAMMER_COPY_MAX	SZ_256K
#define HAMMER_HELD_MAPS	32
#define HAMMER_PEEK_SIZE	64
#define HAMMER_DMA_TIMEOUT	(10 * HZ)

/**
 * struct hammer_copier - a copier and its slice of the host's memory
 * @h: the function
 * @n: number of the copier and of the slice
 * @work: runs the copier
 * @random: state of the random numbers
 * @shadow: expected content of the slice
 * @bounce: buffer of the endpoint for copies
 * @bounce_addr: DMA address of @bounce
 * @chan: DMA channel
 * @done: completed when a transfer of @chan has ended
 * @result: result of that transfer
 * @held: maps of single pages
 */
struct hammer_copier {
	struct epf_hammer *h;
	unsigned int n;
	struct work_struct work;
	struct rnd_state random;
	void *shadow;
	void *bounce;
	dma_addr_t bounce_addr;
	struct dma_chan *chan;
	struct completion done;
	enum dmaengine_tx_result result;
	struct hammer_held {
		void __iomem *virt;
		phys_addr_t phys;
		u32 offset;
	} held[HAMMER_HELD_MAPS];
};

/* One copy between @bounce and the slice */
struct hammer_copy {
	u32 offset;
	u32 len;
	bool to_host;
	bool dma;
};

static u64 hammer_slice_addr(struct hammer_copier *c)
{
	return le64_to_cpu(c->h->page->host_addr) + c->n * HAMMER_SLICE_SIZE;
}

static u32 hammer_random(struct hammer_copier *c, u32 limit)
{
	return prandom_u32_state(&c->random) % limit;
}

static void hammer_dma_done(void *data, const struct dmaengine_result *result)
{
	struct hammer_copier *c = data;

	c->result = result->result;
	complete(&c->done);
}

static int hammer_copy_by_dma(struct hammer_copier *c,
			      const struct pci_epc_map *map, u32 at, size_t len,
			      bool to_host)
{
	struct device *dev = c->chan->device->dev;
	dma_addr_t local = c->bounce_addr + at;
	struct dma_async_tx_descriptor *tx;

	dma_sync_single_for_device(dev, local, len, DMA_BIDIRECTIONAL);
	tx = dmaengine_prep_dma_memcpy(c->chan,
				       to_host ? map->phys_addr : local,
				       to_host ? local : map->phys_addr, len,
				       DMA_PREP_INTERRUPT);
	if (!tx)
		return -ENOMEM;
	reinit_completion(&c->done);
	tx->callback_result = hammer_dma_done;
	tx->callback_param = c;
	if (dma_submit_error(dmaengine_submit(tx)))
		return -EIO;
	dma_async_issue_pending(c->chan);
	if (!wait_for_completion_timeout(&c->done, HAMMER_DMA_TIMEOUT)) {
		dmaengine_terminate_sync(c->chan);
		return -ETIMEDOUT;
	}
	dma_sync_single_for_cpu(dev, local, len, DMA_BIDIRECTIONAL);
	return c->result == DMA_TRANS_NOERROR ? 0 : -EIO;
}

static int hammer_copy_map(struct hammer_copier *c,
			   const struct pci_epc_map *map, u32 at,
			   const struct hammer_copy *copy)
{
	hammer_add(c->h, copy->dma ? HAMMER_DMA : HAMMER_CPU, 1);
	if (copy->dma)
		return hammer_copy_by_dma(c, map, at, map->pci_size,
					  copy->to_host);
	if (copy->to_host)
		memcpy_toio(map->virt_addr, c->bounce + at, map->pci_size);
	else
		memcpy_fromio(c->bounce + at, map->virt_addr, map->pci_size);
	return 0;
}

/* Does a copy with as many maps as it needs. */
static int hammer_copy_all(struct hammer_copier *c,
			   const struct hammer_copy *copy)
{
	struct pci_epf *epf = c->h->epf;
	struct pci_epc_map map;
	u32 at = 0;
	int ret;

	while (at < copy->len) {
		ret = pci_epc_mem_map(epf->epc, epf->func_no, epf->vfunc_no,
				      hammer_slice_addr(c) + copy->offset + at,
				      copy->len - at, &map);
		if (ret)
			return ret;
		ret = hammer_copy_map(c, &map, at, copy);
		pci_epc_mem_unmap(epf->epc, epf->func_no, epf->vfunc_no, &map);
		if (ret)
			return ret;
		at += map.pci_size;
	}
	hammer_add(c->h, HAMMER_KIB, copy->len / SZ_1K);
	return 0;
}

static int hammer_put(struct hammer_copier *c, struct hammer_copy *copy)
{
	copy->to_host = true;
	prandom_bytes_state(&c->random, c->bounce, copy->len);
	memcpy(c->shadow + copy->offset, c->bounce, copy->len);
	return hammer_copy_all(c, copy);
}

static int hammer_get(struct hammer_copier *c, struct hammer_copy *copy)
{
	int ret;

	copy->to_host = false;
	memset(c->bounce, 0xa5, copy->len);
	ret = hammer_copy_all(c, copy);
	if (!ret && memcmp(c->bounce, c->shadow + copy->offset, copy->len))
		ret = -EBADMSG;
	return ret;
}

/* Fills the whole slice, or checks it. */
static int hammer_whole_slice(struct hammer_copier *c, bool fill)
{
	struct hammer_copy copy = { .len = HAMMER_COPY_MAX };
	int ret = 0;

	while (!ret && copy.offset < HAMMER_SLICE_SIZE) {
		ret = fill ? hammer_put(c, &copy) : hammer_get(c, &copy);
		copy.offset += HAMMER_COPY_MAX;
		cond_resched();
	}
	return ret;
}

static int hammer_random_copy(struct hammer_copier *c)
{
	struct hammer_copy copy;

	/* Short copies are as likely as long ones. */
	copy.len = hammer_random(c, ilog2(HAMMER_COPY_MAX));
	copy.len = 1 + hammer_random(c, 1 << (1 + copy.len));
	copy.offset = hammer_random(c, HAMMER_SLICE_SIZE - copy.len + 1);
	copy.dma = hammer_random(c, 2);
	return hammer_random(c, 2) ? hammer_put(c, &copy) :
				     hammer_get(c, &copy);
}

/* Checks that a map still shows its page. */
static int hammer_check_map(struct hammer_copier *c,
			    const struct hammer_held *held)
{
	u32 at = hammer_random(c, PAGE_SIZE - HAMMER_PEEK_SIZE);
	u8 seen[HAMMER_PEEK_SIZE];

	memcpy_fromio(seen, held->virt + at, sizeof(seen));
	return memcmp(seen, c->shadow + held->offset + at, sizeof(seen)) ?
	       -EBADMSG : 0;
}

static void hammer_unmap(struct hammer_copier *c, struct hammer_held *held)
{
	struct pci_epf *epf = c->h->epf;

	if (!held->virt)
		return;
	pci_epc_unmap_addr(epf->epc, epf->func_no, epf->vfunc_no, held->phys);
	pci_epc_mem_free_addr(epf->epc, held->phys, held->virt, PAGE_SIZE);
	held->virt = NULL;
}

/* Replaces one of the maps that are held by a map of another page. */
static int hammer_replace_map(struct hammer_copier *c)
{
	u32 n = hammer_random(c, HAMMER_HELD_MAPS);
	struct hammer_held *held = &c->held[n];
	struct pci_epf *epf = c->h->epf;
	int ret;

	if (held->virt) {
		ret = hammer_check_map(c, held);
		if (ret)
			return ret;
	}
	hammer_unmap(c, held);
	held->virt = pci_epc_mem_alloc_addr(epf->epc, &held->phys, PAGE_SIZE);
	if (!held->virt)
		return -ENOMEM;
	held->offset = hammer_random(c, HAMMER_SLICE_SIZE / PAGE_SIZE) *
		       PAGE_SIZE;
	ret = pci_epc_map_addr(epf->epc, epf->func_no, epf->vfunc_no,
			       held->phys, hammer_slice_addr(c) + held->offset,
			       PAGE_SIZE);
	if (ret) {
		pci_epc_mem_free_addr(epf->epc, held->phys, held->virt,
				      PAGE_SIZE);
		held->virt = NULL;
		return ret;
	}
	hammer_add(c->h, HAMMER_MAPS, 1);
	return hammer_check_map(c, held);
}

static void hammer_copier_run(struct work_struct *work)
{
	struct hammer_copier *c =
		container_of(work, struct hammer_copier, work);
	int ret = hammer_whole_slice(c, true);
	unsigned int i;

	while (!ret && hammer_goes_on(c->h)) {
		ret = hammer_random_copy(c);
		if (!ret)
			ret = hammer_replace_map(c);
		cond_resched();
	}
	for (i = 0; i < HAMMER_HELD_MAPS; i++)
		hammer_unmap(c, &c->held[i]);
	if (!ret)
		ret = hammer_whole_slice(c, false);
	if (ret)
		hammer_fail(c->h, ret, "copier %u", c->n);
}

static bool hammer_filter(struct dma_chan *chan, void *dev)
{
	return chan->device->dev == dev;
}

static int hammer_get_channel(struct hammer_copier *c)
{
	dma_cap_mask_t mask;

	dma_cap_zero(mask);
	dma_cap_set(DMA_MEMCPY, mask);
	c->chan = dma_request_channel(mask, hammer_filter,
				      c->h->epf->epc->dev.parent);
	if (!c->chan)
		return -ENODEV;
	c->bounce_addr = dma_map_single(c->chan->device->dev, c->bounce,
					HAMMER_COPY_MAX, DMA_BIDIRECTIONAL);
	if (dma_mapping_error(c->chan->device->dev, c->bounce_addr)) {
		dma_release_channel(c->chan);
		c->chan = NULL;
		return -ENOMEM;
	}
	return 0;
}

void hammer_copier_free(struct hammer_copier *c)
{
	if (!c)
		return;
	if (c->chan) {
		dmaengine_terminate_sync(c->chan);
		dma_unmap_single(c->chan->device->dev, c->bounce_addr,
				 HAMMER_COPY_MAX, DMA_BIDIRECTIONAL);
		dma_release_channel(c->chan);
	}
	kfree(c->bounce);
	vfree(c->shadow);
	kfree(c);
}

struct hammer_copier *hammer_copier_new(struct epf_hammer *h, unsigned int n)
{
	struct hammer_copier *c = kzalloc(sizeof(*c), GFP_KERNEL);

	if (!c)
		return NULL;
	c->h = h;
	c->n = n;
	INIT_WORK(&c->work, hammer_copier_run);
	init_completion(&c->done);
	prandom_seed_state(&c->random, get_random_u64());
	c->shadow = vmalloc(HAMMER_SLICE_SIZE);
	c->bounce = kmalloc(HAMMER_COPY_MAX, GFP_KERNEL);
	if (!c->shadow || !c->bounce || hammer_get_channel(c)) {
		hammer_copier_free(c);
		return NULL;
	}
	return c;
}

void hammer_copier_start(struct hammer_copier *c)
{
	queue_work(c->h->wq, &c->work);
}
