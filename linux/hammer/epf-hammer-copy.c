// SPDX-License-Identifier: GPL-2.0
/*
 * Copies between the endpoint and one slice of the host's memory
 *
 * Nobody but its copier writes to a slice, so the copier knows what must be in it
 * and finds any byte that went astray.  Besides the map of each copy it holds
 * some of single pages for a longer time.
 */
#include <linux/completion.h>
#include <linux/dmaengine.h>
#include <linux/io.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "epf-hammer.h"

#define SLICE_SIZE	(HAMMER_HOST_SIZE / HAMMER_COPIERS)
#define COPY_MAX	SZ_256K
#define HELD_MAPS	32
#define PEEK_SIZE	64
#define DMA_TIMEOUT	(10 * HZ)

/**
 * struct hammer_copier - a slice of the host's memory and who uses it
 * @h: the function
 * @n: its number
 * @work: runs it
 * @random: state of its numbers
 * @shadow: what must be in the slice
 * @bounce: the endpoint's end of copies
 * @bounce_addr: the same for DMA
 * @chan: its DMA channel
 * @done: the transfer is over
 * @result: its result
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
	} held[HELD_MAPS];
};

/* What a copy is to do */
struct hammer_copy {
	u32 offset;
	u32 len;
	bool to_host;
	bool dma;
};

static u64 slice_addr(struct hammer_copier *c)
{
	return le64_to_cpu(c->h->page->host_addr) + c->n * SLICE_SIZE;
}

static u32 below(struct hammer_copier *c, u32 limit)
{
	return prandom_u32_state(&c->random) % limit;
}

static void dma_done(void *data, const struct dmaengine_result *result)
{
	struct hammer_copier *c = data;

	c->result = result->result;
	complete(&c->done);
}

static int copy_by_dma(struct hammer_copier *c, const struct pci_epc_map *map,
		       u32 at, size_t len, bool to_host)
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
	tx->callback_result = dma_done;
	tx->callback_param = c;
	if (dma_submit_error(dmaengine_submit(tx)))
		return -EIO;
	dma_async_issue_pending(c->chan);
	if (!wait_for_completion_timeout(&c->done, DMA_TIMEOUT)) {
		dmaengine_terminate_sync(c->chan);
		return -ETIMEDOUT;
	}
	dma_sync_single_for_cpu(dev, local, len, DMA_BIDIRECTIONAL);
	return c->result == DMA_TRANS_NOERROR ? 0 : -EIO;
}

static int copy_piece(struct hammer_copier *c, const struct pci_epc_map *map,
		      u32 at, const struct hammer_copy *copy)
{
	hammer_add(c->h, copy->dma ? HAMMER_DMA : HAMMER_CPU, 1);
	if (copy->dma)
		return copy_by_dma(c, map, at, map->pci_size, copy->to_host);
	if (copy->to_host)
		memcpy_toio(map->virt_addr, c->bounce + at, map->pci_size);
	else
		memcpy_fromio(c->bounce + at, map->virt_addr, map->pci_size);
	return 0;
}

/* Between the bounce buffer and the slice, in as many maps as it takes */
static int copy_all(struct hammer_copier *c, const struct hammer_copy *copy)
{
	struct pci_epf *epf = c->h->epf;
	struct pci_epc_map map;
	u32 at = 0;
	int ret;

	while (at < copy->len) {
		ret = pci_epc_mem_map(epf->epc, epf->func_no, epf->vfunc_no,
				      slice_addr(c) + copy->offset + at,
				      copy->len - at, &map);
		if (ret)
			return ret;
		ret = copy_piece(c, &map, at, copy);
		pci_epc_mem_unmap(epf->epc, epf->func_no, epf->vfunc_no, &map);
		if (ret)
			return ret;
		at += map.pci_size;
	}
	hammer_add(c->h, HAMMER_KIB, copy->len / SZ_1K);
	return 0;
}

static int put(struct hammer_copier *c, struct hammer_copy *copy)
{
	copy->to_host = true;
	prandom_bytes_state(&c->random, c->bounce, copy->len);
	memcpy(c->shadow + copy->offset, c->bounce, copy->len);
	return copy_all(c, copy);
}

static int get(struct hammer_copier *c, struct hammer_copy *copy)
{
	int ret;

	copy->to_host = false;
	memset(c->bounce, 0xa5, copy->len);
	ret = copy_all(c, copy);
	if (!ret && memcmp(c->bounce, c->shadow + copy->offset, copy->len))
		ret = -EBADMSG;
	return ret;
}

/* All of the slice: @fill it first, or only look */
static int whole_slice(struct hammer_copier *c, bool fill)
{
	struct hammer_copy copy = { .len = COPY_MAX };
	int ret = 0;

	while (!ret && copy.offset < SLICE_SIZE) {
		ret = fill ? put(c, &copy) : get(c, &copy);
		copy.offset += COPY_MAX;
		cond_resched();
	}
	return ret;
}

static int some_copy(struct hammer_copier *c)
{
	struct hammer_copy copy;

	/* As many short ones as long ones */
	copy.len = 1 + below(c, 1 << (1 + below(c, ilog2(COPY_MAX))));
	copy.offset = below(c, SLICE_SIZE - copy.len + 1);
	copy.dma = below(c, 2);
	return below(c, 2) ? put(c, &copy) : get(c, &copy);
}

/* Does the map still show its page? */
static int peek(struct hammer_copier *c, const struct hammer_held *held)
{
	u32 at = below(c, PAGE_SIZE - PEEK_SIZE);
	u8 seen[PEEK_SIZE];

	memcpy_fromio(seen, held->virt + at, sizeof(seen));
	return memcmp(seen, c->shadow + held->offset + at, sizeof(seen)) ?
	       -EBADMSG : 0;
}

static void let_go(struct hammer_copier *c, struct hammer_held *held)
{
	struct pci_epf *epf = c->h->epf;

	if (!held->virt)
		return;
	pci_epc_unmap_addr(epf->epc, epf->func_no, epf->vfunc_no, held->phys);
	pci_epc_mem_free_addr(epf->epc, held->phys, held->virt, PAGE_SIZE);
	held->virt = NULL;
}

/* One of the maps that are held is replaced by that of another page. */
static int some_hold(struct hammer_copier *c)
{
	struct hammer_held *held = &c->held[below(c, HELD_MAPS)];
	struct pci_epf *epf = c->h->epf;
	int ret;

	if (held->virt) {
		ret = peek(c, held);
		if (ret)
			return ret;
	}
	let_go(c, held);
	held->virt = pci_epc_mem_alloc_addr(epf->epc, &held->phys, PAGE_SIZE);
	if (!held->virt)
		return -ENOMEM;
	held->offset = below(c, SLICE_SIZE / PAGE_SIZE) * PAGE_SIZE;
	ret = pci_epc_map_addr(epf->epc, epf->func_no, epf->vfunc_no,
			       held->phys, slice_addr(c) + held->offset,
			       PAGE_SIZE);
	if (ret) {
		pci_epc_mem_free_addr(epf->epc, held->phys, held->virt,
				      PAGE_SIZE);
		held->virt = NULL;
		return ret;
	}
	hammer_add(c->h, HAMMER_MAPS, 1);
	return peek(c, held);
}

static void copier_run(struct work_struct *work)
{
	struct hammer_copier *c = container_of(work, struct hammer_copier, work);
	int ret = whole_slice(c, true);
	unsigned int i;

	while (!ret && hammer_goes_on(c->h)) {
		ret = some_copy(c);
		if (!ret)
			ret = some_hold(c);
		cond_resched();
	}
	for (i = 0; i < HELD_MAPS; i++)
		let_go(c, &c->held[i]);
	if (!ret)
		ret = whole_slice(c, false);
	if (ret)
		hammer_fail(c->h, ret, "copier %u", c->n);
}

static bool of_controller(struct dma_chan *chan, void *dev)
{
	return chan->device->dev == dev;
}

static int get_channel(struct hammer_copier *c)
{
	dma_cap_mask_t mask;

	dma_cap_zero(mask);
	dma_cap_set(DMA_MEMCPY, mask);
	c->chan = dma_request_channel(mask, of_controller,
				      c->h->epf->epc->dev.parent);
	if (!c->chan)
		return -ENODEV;
	c->bounce_addr = dma_map_single(c->chan->device->dev, c->bounce,
					COPY_MAX, DMA_BIDIRECTIONAL);
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
		dma_unmap_single(c->chan->device->dev, c->bounce_addr, COPY_MAX,
				 DMA_BIDIRECTIONAL);
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
	INIT_WORK(&c->work, copier_run);
	init_completion(&c->done);
	prandom_seed_state(&c->random, get_random_u64());
	c->shadow = vmalloc(SLICE_SIZE);
	c->bounce = kmalloc(COPY_MAX, GFP_KERNEL);
	if (!c->shadow || !c->bounce || get_channel(c)) {
		hammer_copier_free(c);
		return NULL;
	}
	return c;
}

void hammer_copier_start(struct hammer_copier *c)
{
	queue_work(c->h->wq, &c->work);
}
