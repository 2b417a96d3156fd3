// SPDX-License-Identifier: GPL-2.0
/*
 * Copies by the DMA engine, between memory of the host and that of BAR 0
 *
 * All transfers of a sample are submitted before the first is issued, in turn
 * on the channels that take part.  The yardstick is memcpy() in a process on
 * the machine that runs QEMU, so it is not measured here.
 */
#include <linux/completion.h>
#include <linux/dmaengine.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/pci.h>

#include "epf-bench.h"

#define BENCH_DMA_MAX_QUEUED	4096
#define BENCH_DMA_TIMEOUT	(20 * HZ)

struct bench_dma {
	struct epf_bench *b;
	const struct bench_args *args;
	struct pci_epc_map map;
	bool to_host;
	struct dma_chan *chan[BENCH_MAX_CHANNELS];
	unsigned int channels;
	struct completion done;
	atomic_t left;		/* channels that have not completed */
	atomic_t failed;
};

static void bench_dma_done(void *data, const struct dmaengine_result *result)
{
	struct bench_dma *d = data;

	if (result->result != DMA_TRANS_NOERROR)
		atomic_inc(&d->failed);
	if (atomic_dec_and_test(&d->left))
		complete(&d->done);
}

/* Submits transfer @i.  Only the last one of each channel has a callback. */
static int bench_dma_submit(struct bench_dma *d, unsigned int i)
{
	struct dma_chan *chan = d->chan[i % d->channels];
	bool last = i + d->channels >= d->args->loops;
	size_t size = d->args->size;
	u64 at = i % (BENCH_HOST_SIZE / size) * size;
	dma_addr_t local = d->b->epf->bar[BENCH_BAR_DATA].phys_addr + at;
	dma_addr_t host = d->map.phys_addr + at;
	struct dma_async_tx_descriptor *tx;

	tx = dmaengine_prep_dma_memcpy(chan, d->to_host ? host : local,
				       d->to_host ? local : host, size,
				       last ? DMA_PREP_INTERRUPT : 0);
	if (!tx)
		return -ENOMEM;
	if (last) {
		tx->callback_result = bench_dma_done;
		tx->callback_param = d;
		atomic_inc(&d->left);
	}
	return dma_submit_error(dmaengine_submit(tx));
}

/* Runs one sample. */
static int bench_dma_time(struct bench_dma *d, u64 *ns)
{
	u64 since = ktime_get_ns();
	unsigned int i;
	int ret = 0;

	reinit_completion(&d->done);
	atomic_set(&d->left, 0);
	for (i = 0; !ret && i < d->args->loops; i++)
		ret = bench_dma_submit(d, i);
	if (ret)
		return ret;
	for (i = 0; i < d->channels; i++)
		dma_async_issue_pending(d->chan[i]);
	if (!wait_for_completion_timeout(&d->done, BENCH_DMA_TIMEOUT))
		return -ETIMEDOUT;
	*ns = ktime_get_ns() - since;
	return atomic_read(&d->failed) ? -EIO : 0;
}

/* Runs one sample that is not timed, and checks that it copied the data. */
static int bench_dma_verify(struct bench_dma *d)
{
	size_t used = min_t(u64, BENCH_HOST_SIZE / d->args->size,
			    d->args->loops) * d->args->size;
	void *host = (__force void *)d->map.virt_addr;
	void *source = d->to_host ? d->b->data : host;
	void *target = d->to_host ? host : d->b->data;
	unsigned int i;
	u64 ns;
	int ret;

	for (i = 0; i < used / sizeof(u32); i++)
		((u32 *)source)[i] = i;
	memset(target, 0xff, used);
	ret = bench_dma_time(d, &ns);
	if (!ret && memcmp(source, target, used))
		ret = -EBADMSG;
	return ret;
}

static bool bench_dma_filter(struct dma_chan *chan, void *dev)
{
	return chan->device->dev == dev;
}

static int bench_dma_get_channels(struct bench_dma *d)
{
	struct device *dev = d->b->epf->epc->dev.parent;
	dma_cap_mask_t mask;

	dma_cap_zero(mask);
	dma_cap_set(DMA_MEMCPY, mask);
	while (d->channels < d->args->channels) {
		struct dma_chan *chan;

		chan = dma_request_channel(mask, bench_dma_filter, dev);
		if (!chan)
			return -ENODEV;
		d->chan[d->channels++] = chan;
	}
	return 0;
}

static void bench_dma_put_channels(struct bench_dma *d)
{
	while (d->channels--) {
		dmaengine_terminate_sync(d->chan[d->channels]);
		dma_release_channel(d->chan[d->channels]);
	}
}

static int bench_dma_samples(struct bench_dma *d)
{
	struct epf_bench *b = d->b;
	unsigned int i;
	int ret;

	ret = bench_dma_get_channels(d);
	if (!ret)
		ret = bench_dma_verify(d);
	for (i = 0; !ret && i < d->args->samples; i++) {
		ret = bench_dma_time(d, &b->result[i][0]);
		b->result[i][1] = 0;
	}
	bench_dma_put_channels(d);
	return ret;
}

static int bench_dma_run(struct epf_bench *b, const struct bench_args *a,
			 bool to_host)
{
	struct bench_dma d = { .b = b, .args = a, .to_host = to_host };
	struct pci_epf *epf = b->epf;
	int ret;

	if (!a->size || a->size > BENCH_HOST_SIZE || a->size % sizeof(u32) ||
	    a->loops < a->channels || a->loops > BENCH_DMA_MAX_QUEUED)
		return -EINVAL;
	init_completion(&d.done);
	ret = pci_epc_mem_map(epf->epc, epf->func_no, epf->vfunc_no,
			      epf_bench_host_addr(b), BENCH_HOST_SIZE, &d.map);
	if (ret)
		return ret;
	if (d.map.pci_size < BENCH_HOST_SIZE)
		ret = -ENOSPC;
	else
		ret = bench_dma_samples(&d);
	pci_epc_mem_unmap(epf->epc, epf->func_no, epf->vfunc_no, &d.map);
	return ret;
}

int epf_bench_dma_read(struct epf_bench *b, const struct bench_args *a)
{
	return bench_dma_run(b, a, false);
}

int epf_bench_dma_write(struct epf_bench *b, const struct bench_args *a)
{
	return bench_dma_run(b, a, true);
}
