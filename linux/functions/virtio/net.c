// SPDX-License-Identifier: GPL-2.0
/*
 * Network device (virtio specification, section 5.1): queues, features, device
 * configuration, begin and end
 *
 * Queues 2 i and 2 i + 1 are those of pair i, and the control queue follows the
 * last one.  A driver that does not accept VIRTIO_NET_F_MQ uses one pair, and for
 * it the control queue is queue 2 (section 5.1.2).
 */
#include <linux/etherdevice.h>
#include <linux/stddef.h>
#include <linux/virtio_net.h>
#include <uapi/linux/virtio_ids.h>

#include "net.h"

#define EPF_VIRTIO_NET_SIZE	256	/* entries of a queue */

/* ---- Device configuration ---- */

static void epf_virtio_net_set_config16(struct epf_virtio *ev,
					unsigned int offset, u16 value)
{
	__le16 bytes = cpu_to_le16(value);

	epf_virtio_set_config(ev, offset, &bytes, sizeof(bytes));
}

void epf_virtio_net_show_link(struct epf_virtio_net *net, bool up)
{
	epf_virtio_net_set_config16(net->ev,
				    offsetof(struct virtio_net_config, status),
				    up ? VIRTIO_NET_S_LINK_UP : 0);
}

/*
 * The addresses of both ends differ in one bit.  Section 5.1.5 lets only a device
 * with several pairs offer VIRTIO_NET_F_MQ.
 */
static void epf_virtio_net_describe(struct epf_virtio_net *net)
{
	const struct epf_virtio_net_options *options =
		epf_virtio_net_options(net->ev);
	struct epf_virtio *ev = net->ev;
	u8 mac[ETH_ALEN];

	ether_addr_copy(mac, options->mac);
	if (is_zero_ether_addr(mac))
		eth_random_addr(mac);
	epf_virtio_set_config(ev, offsetof(struct virtio_net_config, mac), mac,
			      ETH_ALEN);
	epf_virtio_net_set_config16(ev, offsetof(struct virtio_net_config,
						 max_virtqueue_pairs),
				    options->queue_pairs);
	epf_virtio_net_set_config16(ev, offsetof(struct virtio_net_config, mtu),
				    options->mtu);
	if (options->queue_pairs > 1)
		epf_virtio_add_features(ev, BIT_ULL(VIRTIO_NET_F_MQ));
	mac[ETH_ALEN - 1] ^= 1;
	epf_virtio_net_dev_describe(net, mac);
}

/* ---- Pairs ---- */

/*
 * A pair that is not active any more gets no packets, and the work of its receiveq
 * has ended its turn.
 */
void epf_virtio_net_activate(struct epf_virtio_net *net, unsigned int active)
{
	unsigned int i;

	WRITE_ONCE(net->active, active);
	for (i = 0; i < net->pairs; i++) {
		bool ready = i < active;

		if (ready == READ_ONCE(net->pair[i]->out.ready))
			continue;
		epf_virtio_net_out_ready(net->pair[i], ready);
		if (!ready) {
			mutex_lock(&net->pair[i]->out.turn);
			mutex_unlock(&net->pair[i]->out.turn);
		}
	}
}

/* ---- Operations ---- */

static unsigned int epf_virtio_net_num_queues(struct epf_virtio *ev)
{
	return 2 * epf_virtio_net_options(ev)->queue_pairs + 1;
}

/* The driver has enabled a queue that it did not ask for, and now uses it. */
static int epf_virtio_net_no_queue(struct epf_virtio_queue *q)
{
	struct epf_vring_chain chain;
	int ret = epf_virtio_next(q, &chain);

	return ret > 0 ? -EPROTO : ret;
}

static int epf_virtio_net_work(struct epf_virtio_queue *q)
{
	struct epf_virtio_net *net = epf_virtio_data(epf_virtio_of(q));
	u64 features = epf_virtio_features(net->ev);
	unsigned int index = epf_virtio_queue_index(q);
	unsigned int pairs;

	pairs = features & BIT_ULL(VIRTIO_NET_F_MQ) ? net->pairs : 1;
	if (index < 2 * pairs)
		return index % 2 ? epf_virtio_net_in_work(net->pair[index / 2]) :
				   epf_virtio_net_out_work(net->pair[index / 2]);
	if (index > 2 * pairs || !(features & BIT_ULL(VIRTIO_NET_F_CTRL_VQ)))
		return epf_virtio_net_no_queue(q);
	return epf_virtio_net_ctrl_work(net, q);
}

static int epf_virtio_net_start(struct epf_virtio *ev)
{
	struct epf_virtio_net *net = epf_virtio_data(ev);

	WRITE_ONCE(net->offloads,
		   epf_virtio_features(ev) & EPF_VIRTIO_NET_OFFLOADS);
	epf_virtio_net_activate(net, 1);
	netif_carrier_on(net->dev);
	return 0;
}

static void epf_virtio_net_broken(struct epf_virtio *ev)
{
	struct epf_virtio_net *net = epf_virtio_data(ev);

	netif_carrier_off(net->dev);
}

static void epf_virtio_net_reset_pair(struct epf_virtio_net_pair *p)
{
	epf_virtio_net_out_ready(p, false);
	epf_virtio_net_out_reset(p);
}

static void epf_virtio_net_stop(struct epf_virtio *ev)
{
	struct epf_virtio_net *net = epf_virtio_data(ev);
	unsigned int i;

	netif_carrier_off(net->dev);
	for (i = 0; i < net->pairs; i++)
		epf_virtio_net_reset_pair(net->pair[i]);
}

/* Packets of the netdev wait until the driver has enabled the queue again. */
static void epf_virtio_net_reset_queue(struct epf_virtio_queue *q)
{
	struct epf_virtio_net *net = epf_virtio_data(epf_virtio_of(q));
	unsigned int index = epf_virtio_queue_index(q);

	if (!(index % 2) && index < 2 * net->pairs)
		epf_virtio_net_out_reset(net->pair[index / 2]);
}

static int epf_virtio_net_open(struct epf_virtio *ev)
{
	unsigned int pairs = epf_virtio_net_options(ev)->queue_pairs;
	struct epf_virtio_net *net = epf_virtio_net_alloc(ev, pairs);
	int ret;

	if (!net)
		return -ENOMEM;
	epf_virtio_set_data(ev, net);
	epf_virtio_net_describe(net);
	ret = register_netdev(net->dev);
	if (ret) {
		dev_err(epf_virtio_device(ev), "cannot register the netdev: error %d\n",
			ret);
		epf_virtio_net_free(net);
	}
	return ret;
}

static void epf_virtio_net_close(struct epf_virtio *ev)
{
	struct epf_virtio_net *net = epf_virtio_data(ev);

	unregister_netdev(net->dev);
	epf_virtio_net_free(net);
}

const struct epf_virtio_ops epf_virtio_net_ops = {
	.name = "net",
	.device_type = VIRTIO_ID_NET,
	.class_code = 0x020000,
	.features = BIT_ULL(VIRTIO_NET_F_CSUM) |
		    BIT_ULL(VIRTIO_NET_F_MTU) |
		    BIT_ULL(VIRTIO_NET_F_MAC) |
		    BIT_ULL(VIRTIO_NET_F_HOST_TSO4) |
		    BIT_ULL(VIRTIO_NET_F_HOST_TSO6) |
		    BIT_ULL(VIRTIO_NET_F_HOST_ECN) |
		    BIT_ULL(VIRTIO_NET_F_MRG_RXBUF) |
		    BIT_ULL(VIRTIO_NET_F_STATUS) |
		    BIT_ULL(VIRTIO_NET_F_CTRL_VQ) |
		    BIT_ULL(VIRTIO_NET_F_CTRL_MAC_ADDR) |
		    BIT_ULL(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) |
		    EPF_VIRTIO_NET_OFFLOADS,
	.num_queues = epf_virtio_net_num_queues,
	.queue_size = EPF_VIRTIO_NET_SIZE,
	.config_size = offsetofend(struct virtio_net_config, mtu),
	.open = epf_virtio_net_open,
	.close = epf_virtio_net_close,
	.start = epf_virtio_net_start,
	.stop = epf_virtio_net_stop,
	.reset_queue = epf_virtio_net_reset_queue,
	.broken = epf_virtio_net_broken,
	.work = epf_virtio_net_work,
};
