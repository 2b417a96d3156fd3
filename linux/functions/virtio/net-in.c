// SPDX-License-Identifier: GPL-2.0
/*
 * Packets from the host
 *
 * The work of a transmitq copies a group of packets and queues them.  NAPI gives
 * them to the network layer of this machine.  Their headers come from the host, and
 * virtio_net_hdr_to_skb() looks at them.
 */
#include <linux/bottom_half.h>
#include <linux/etherdevice.h>
#include <linux/gfp.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/virtio_net.h>

#include "net.h"

/* A longer packet has this much in its head, for the network layer. */
#define EPF_VIRTIO_NET_HEAD	256
/* Longest packet that is in its head wholly */
#define EPF_VIRTIO_NET_LINEAR	SZ_2K

/* ---- Packets ---- */

static struct sk_buff *epf_virtio_net_in_alloc(struct net_device *dev,
					       unsigned int len)
{
	unsigned int rest = len - EPF_VIRTIO_NET_HEAD;
	struct sk_buff *skb;
	int error;

	if (len <= EPF_VIRTIO_NET_LINEAR) {
		skb = netdev_alloc_skb_ip_align(dev, len);
		if (skb)
			skb_put(skb, len);
		return skb;
	}
	skb = alloc_skb_with_frags(NET_SKB_PAD + NET_IP_ALIGN +
				   EPF_VIRTIO_NET_HEAD, rest,
				   PAGE_ALLOC_COSTLY_ORDER, &error,
				   GFP_KERNEL);
	if (!skb)
		return NULL;
	skb_reserve(skb, NET_SKB_PAD + NET_IP_ALIGN);
	skb_put(skb, EPF_VIRTIO_NET_HEAD);
	skb->data_len = rest;
	skb->len += rest;
	skb->dev = dev;
	return skb;
}

/* Makes a packet of what the host wrote.  Returns false if it is dropped. */
static bool epf_virtio_net_in_finish(struct epf_virtio_net_pair *p,
				     struct sk_buff *skb,
				     const struct virtio_net_hdr_v1 *hdr)
{
	struct net_device *dev = p->net->dev;

	if (virtio_net_hdr_to_skb(skb, (const struct virtio_net_hdr *)hdr,
				  true)) {
		dev_core_stats_rx_dropped_inc(dev);
		kfree_skb(skb);
		return false;
	}
	skb_record_rx_queue(skb, p->index);
	skb->protocol = eth_type_trans(skb, dev);
	return true;
}

/* ---- NAPI ---- */

/* Queues packets, or drops them while the netdev is down. */
static void epf_virtio_net_in_deliver(struct epf_virtio_net_pair *p,
				      struct sk_buff_head *skbs)
{
	struct epf_virtio_net_in *in = &p->in;

	if (skb_queue_empty(skbs))
		return;
	spin_lock_bh(&in->wait.lock);
	if (in->up)
		skb_queue_splice_tail_init(skbs, &in->wait);
	spin_unlock_bh(&in->wait.lock);
	__skb_queue_purge(skbs);

	/* NAPI runs when bottom halves are enabled. */
	local_bh_disable();
	napi_schedule(&in->napi);
	local_bh_enable();
}

/* Whether the work has to wait for NAPI */
static bool epf_virtio_net_in_full(struct epf_virtio_net_in *in)
{
	bool full;

	spin_lock_bh(&in->wait.lock);
	in->full = skb_queue_len(&in->wait) >= EPF_VIRTIO_NET_BACKLOG;
	full = in->full;
	spin_unlock_bh(&in->wait.lock);
	return full;
}

static struct sk_buff *epf_virtio_net_in_take(struct epf_virtio_net_pair *p)
{
	struct epf_virtio_net_in *in = &p->in;
	bool kick = false;
	struct sk_buff *skb;

	spin_lock_bh(&in->wait.lock);
	skb = __skb_dequeue(&in->wait);
	if (in->full && skb_queue_len(&in->wait) <= EPF_VIRTIO_NET_FEW) {
		in->full = false;
		kick = true;
	}
	spin_unlock_bh(&in->wait.lock);
	if (kick)
		epf_virtio_kick(epf_virtio_net_in_queue(p));
	return skb;
}

int epf_virtio_net_in_poll(struct napi_struct *napi, int budget)
{
	struct epf_virtio_net_pair *p =
		container_of(napi, struct epf_virtio_net_pair, in.napi);
	struct sk_buff *skb;
	int n;

	for (n = 0; n < budget; n++) {
		skb = epf_virtio_net_in_take(p);
		if (!skb)
			break;
		dev_sw_netstats_rx_add(p->net->dev, skb->len + ETH_HLEN);
		napi_gro_receive(napi, skb);
	}
	if (n < budget)
		napi_complete_done(napi, n);
	return n;
}

void epf_virtio_net_in_up(struct epf_virtio_net_pair *p, bool up)
{
	struct epf_virtio_net_in *in = &p->in;

	if (up)
		napi_enable(&in->napi);
	spin_lock_bh(&in->wait.lock);
	in->up = up;
	in->full = false;
	spin_unlock_bh(&in->wait.lock);
	if (up)
		return;
	napi_disable(&in->napi);
	skb_queue_purge(&in->wait);
	/* The work may have found the list full. */
	epf_virtio_kick(epf_virtio_net_in_queue(p));
}

/* ---- Groups ---- */

/* After -EBUSY the controller may write to the packets for ever. */
static void epf_virtio_net_in_fail(struct epf_virtio_net_pair *p, int error)
{
	struct epf_virtio_net_in *in = &p->in;
	unsigned int i;

	if (error == -EBUSY)
		p->lost = true;
	for (i = 0; error != -EBUSY && i < in->n; i++)
		kfree_skb(in->packets[i].skb);
}

/* The packets of the group are here, and the host gets its chains back. */
static int epf_virtio_net_in_complete(struct epf_virtio_net_pair *p)
{
	struct epf_virtio_queue *q = epf_virtio_net_in_queue(p);
	struct epf_virtio_net_in *in = &p->in;
	struct sk_buff_head skbs;
	unsigned int i;
	int ret = 0, err;

	__skb_queue_head_init(&skbs);
	for (i = 0; i < in->n; i++) {
		struct sk_buff *skb = in->packets[i].skb;

		err = epf_virtio_used(q, in->packets[i].head, 0);
		if (err)
			ret = err;
		if (skb && epf_virtio_net_in_finish(p, skb, &in->hdrs[i]))
			__skb_queue_tail(&skbs, skb);
	}
	epf_virtio_net_in_deliver(p, &skbs);
	return ret;
}

/* Ends the group: gets its packets from the host. */
static int epf_virtio_net_in_run(struct epf_virtio_net_pair *p)
{
	struct epf_virtio_net_in *in = &p->in;
	int ret = 0;

	if (in->nsegs)
		ret = epf_virtio_dma(p->net->ev, in->segs, in->nsegs,
				     DMA_FROM_DEVICE);
	if (ret)
		epf_virtio_net_in_fail(p, ret);
	else
		ret = epf_virtio_net_in_complete(p);
	in->n = 0;
	in->nsegs = 0;
	return ret;
}

/* Adds a part of a chain to the segments.  Returns -ENOSPC if they are full. */
static int epf_virtio_net_in_add(struct epf_virtio_net_in *in,
				 const struct epf_vring_chain *c, u64 offset,
				 void *buf, u32 len)
{
	int ret = epf_vring_slice(c, false, offset, buf, len,
				  in->segs + in->nsegs,
				  EPF_VIRTIO_NET_SEGS - in->nsegs);

	if (ret < 0)
		return ret;
	in->nsegs += ret;
	return 0;
}

/* Adds the header and the bytes of a packet. */
static int epf_virtio_net_in_add_packet(struct epf_virtio_net_in *in,
					const struct epf_vring_chain *c,
					struct sk_buff *skb)
{
	u64 at = EPF_VIRTIO_NET_HEADER;
	unsigned int i;
	int ret;

	ret = epf_virtio_net_in_add(in, c, 0, &in->hdrs[in->n],
				    EPF_VIRTIO_NET_HEADER);
	if (!ret)
		ret = epf_virtio_net_in_add(in, c, at, skb->data,
					    skb_headlen(skb));
	at += skb_headlen(skb);
	for (i = 0; !ret && i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

		ret = epf_virtio_net_in_add(in, c, at, skb_frag_address(frag),
					    skb_frag_size(frag));
		at += skb_frag_size(frag);
	}
	return ret;
}

/* Adds a packet to the group, or ends this and begins another with it. */
static int epf_virtio_net_in_append(struct epf_virtio_net_pair *p,
				    const struct epf_vring_chain *c,
				    struct sk_buff *skb)
{
	struct epf_virtio_net_in *in = &p->in;
	unsigned int before = in->nsegs;
	int ret = 0;

	if (skb)
		ret = epf_virtio_net_in_add_packet(in, c, skb);
	if (ret == -ENOSPC) {
		in->nsegs = before;
		ret = epf_virtio_net_in_run(p);
		if (!ret)
			ret = epf_virtio_net_in_add_packet(in, c, skb);
	}
	if (ret) {
		in->nsegs = in->n ? before : 0;
		kfree_skb(skb);
		return ret;
	}
	in->packets[in->n++] = (struct epf_virtio_net_packet){
		.skb = skb,
		.head = c->head,
	};
	return 0;
}

/* ---- Work ---- */

static int epf_virtio_net_in_chain(struct epf_virtio_net_pair *p,
				   const struct epf_vring_chain *c)
{
	struct net_device *dev = p->net->dev;
	struct sk_buff *skb = NULL;
	u64 len;

	/* There is no way to tell the driver of the host but a reset. */
	if (c->read_len < EPF_VIRTIO_NET_HEADER)
		return -EPROTO;
	len = c->read_len - EPF_VIRTIO_NET_HEADER;
	if (len >= ETH_HLEN && len <= EPF_VIRTIO_NET_MOST)
		skb = epf_virtio_net_in_alloc(dev, len);
	if (!skb)
		dev_core_stats_rx_dropped_inc(dev);
	return epf_virtio_net_in_append(p, c, skb);
}

/* Returns what epf_virtio_ops.work() does. */
static int epf_virtio_net_in_group(struct epf_virtio_net_pair *p)
{
	struct epf_virtio_queue *q = epf_virtio_net_in_queue(p);
	struct epf_vring_chain chain;
	unsigned int n;
	int ret;

	if (epf_virtio_net_in_full(&p->in))
		return EPF_VIRTIO_WAITS;
	for (n = 0; n < EPF_VIRTIO_NET_GROUP; n++) {
		ret = epf_virtio_next(q, &chain);
		if (ret > 0)
			ret = epf_virtio_net_in_chain(p, &chain);
		else
			return ret;
		if (ret)
			return ret;
	}
	return 1;
}

int epf_virtio_net_in_work(struct epf_virtio_net_pair *p)
{
	int ret = epf_virtio_net_in_group(p), err;

	/* After an error too: these packets are not bad. */
	err = epf_virtio_net_in_run(p);
	return ret < 0 ? ret : err ? err : ret;
}

/* ---- Begin and end ---- */

int epf_virtio_net_in_init(struct epf_virtio_net_in *in)
{
	skb_queue_head_init(&in->wait);
	in->hdrs = kcalloc(EPF_VIRTIO_NET_GROUP, sizeof(*in->hdrs),
			   GFP_KERNEL);
	return in->hdrs ? 0 : -ENOMEM;
}

void epf_virtio_net_in_exit(struct epf_virtio_net_in *in)
{
	kfree(in->hdrs);
}
