// SPDX-License-Identifier: GPL-2.0
/*
 * Entropy device (virtio specification, section 5.4): each chain gets random bytes
 */
#include <linux/minmax.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/sizes.h>
#include <uapi/linux/virtio_ids.h>

#include "virtio.h"

/* A host that asks for more gets less, which section 5.4.6.1 allows. */
#define EPF_VIRTIO_RNG_MOST	SZ_4K

static int epf_virtio_rng_open(struct epf_virtio *ev)
{
	void *buf = kmalloc(EPF_VIRTIO_RNG_MOST, GFP_KERNEL);

	if (!buf)
		return -ENOMEM;
	epf_virtio_set_data(ev, buf);
	return 0;
}

static void epf_virtio_rng_close(struct epf_virtio *ev)
{
	kfree_sensitive(epf_virtio_data(ev));
}

static int epf_virtio_rng_fill(struct epf_virtio_queue *q,
			       const struct epf_vring_chain *chain)
{
	void *buf = epf_virtio_data(epf_virtio_of(q));
	u32 len = min_t(u64, chain->write_len, EPF_VIRTIO_RNG_MOST);
	int ret;

	get_random_bytes(buf, len);
	ret = epf_virtio_chain_write(q, chain, 0, buf, len);
	return ret ? ret : epf_virtio_used(q, chain->head, len);
}

static int epf_virtio_rng_work(struct epf_virtio_queue *q)
{
	struct epf_vring_chain chain;
	unsigned int n;
	int ret;

	for (n = 0; n < EPF_VIRTIO_BUDGET; n++) {
		ret = epf_virtio_next(q, &chain);
		if (ret <= 0)
			return ret;
		ret = epf_virtio_rng_fill(q, &chain);
		if (ret)
			return ret;
	}
	return 1;
}

const struct epf_virtio_ops epf_virtio_rng_ops = {
	.name = "rng",
	.device_type = VIRTIO_ID_RNG,
	.class_code = 0xff0000,
	.queues = 1,
	.queue_size = 64,
	.open = epf_virtio_rng_open,
	.close = epf_virtio_rng_close,
	.work = epf_virtio_rng_work,
};
