// SPDX-License-Identifier: GPL-2.0
/*
 * Packets to the host
 *
 * The netdev queues packets, and the work of the receiveq places them in chains.
 * A packet takes as many chains as it needs with VIRTIO_NET_F_MRG_RXBUF, and one
 * without.  Its header says how many (section 5.1.6.4), so it is written behind
 * the data.  A packet for which the host has too few chains keeps those it got
 * until there are more.
 */
#include <linux/align.h>
#include <linux/bottom_half.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/virtio_net.h>

#include "net.h"

static bool epf_virtio_net_out_merges(struct epf_virtio_net *net)
{
	return epf_virtio_features(net->ev) &
	       BIT_ULL(VIRTIO_NET_F_MRG_RXBUF);
}

/* ---- Packets ---- */

/* Finds the bytes of a packet at @at, and how many follow one another. */
static void *epf_virtio_net_out_piece(const struct sk_buff *skb, u32 at,
				      u32 *len)
{
	u32 end = skb_headlen(skb);
	unsigned int i;

	*len = end - at;
	if (at < end)
		return skb->data + at;
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];
		u32 begin = end;

		end += skb_frag_size(frag);
		*len = end - at;
		if (at < end)
			return skb_frag_address(frag) + (at - begin);
	}
	return NULL;
}

/* Whether the driver of the host takes such a packet now */
static bool epf_virtio_net_out_allowed(struct epf_virtio_net *net,
				       const struct sk_buff *skb)
{
	unsigned int type = skb_is_gso(skb) ? skb_shinfo(skb)->gso_type : 0;
	u64 needs = 0;

	if (skb->ip_summed == CHECKSUM_PARTIAL)
		needs |= BIT_ULL(VIRTIO_NET_F_GUEST_CSUM);
	if (type & SKB_GSO_TCPV4)
		needs |= BIT_ULL(VIRTIO_NET_F_GUEST_TSO4);
	if (type & SKB_GSO_TCPV6)
		needs |= BIT_ULL(VIRTIO_NET_F_GUEST_TSO6);
	if (type & SKB_GSO_TCP_ECN)
		needs |= BIT_ULL(VIRTIO_NET_F_GUEST_ECN);
	return !(needs & ~READ_ONCE(net->offloads));
}

/* Makes a packet the one that is being placed.  Returns false if it is dropped. */
static bool epf_virtio_net_out_begin(struct epf_virtio_net_pair *p,
				     struct sk_buff *skb)
{
	struct epf_virtio_net_out *out = &p->out;
	struct virtio_net_hdr_v1 *hdr = &out->hdrs[out->hdr];
	struct epf_virtio_net *net = p->net;
	bool valid = READ_ONCE(net->offloads) &
		     BIT_ULL(VIRTIO_NET_F_GUEST_CSUM);

	if (!epf_virtio_net_out_allowed(net, skb) ||
	    virtio_net_hdr_from_skb(skb, (struct virtio_net_hdr *)hdr, true,
				    valid, 0)) {
		dev_core_stats_tx_dropped_inc(net->dev);
		dev_kfree_skb_any(skb);
		return false;
	}
	out->skb = skb;
	out->at = 0;
	out->chains = 0;
	out->nhdr_segs = 0;
	return true;
}

/* Returns the next packet that waits, or NULL. */
static struct sk_buff *epf_virtio_net_out_take(struct epf_virtio_net_pair *p)
{
	struct netdev_queue *txq = netdev_get_tx_queue(p->net->dev, p->index);
	struct epf_virtio_net_out *out = &p->out;
	struct sk_buff *skb;

	spin_lock_bh(&out->wait.lock);
	skb = __skb_dequeue(&out->wait);
	if (skb_queue_len(&out->wait) <= EPF_VIRTIO_NET_FEW &&
	    netif_tx_queue_stopped(txq))
		netif_tx_wake_queue(txq);
	spin_unlock_bh(&out->wait.lock);
	return skb;
}

/* ---- Transfers ---- */

static void epf_virtio_net_out_count(struct epf_virtio_net *net,
				     unsigned int packets, unsigned int bytes)
{
	local_bh_disable();
	dev_sw_netstats_tx_add(net->dev, packets, bytes);
	local_bh_enable();
}

static void epf_virtio_net_out_free_done(struct epf_virtio_net_pair *p)
{
	unsigned int packets = 0, bytes = 0;
	struct sk_buff *skb;

	while ((skb = __skb_dequeue(&p->out.done))) {
		packets++;
		bytes += skb->len;
		dev_consume_skb_any(skb);
	}
	epf_virtio_net_out_count(p->net, packets, bytes);
}

/*
 * Forgets the group after an error of a transfer, which ends the device.  After
 * -EBUSY the controller may read the packets for ever.
 */
static void epf_virtio_net_out_fail(struct epf_virtio_net_pair *p, int error)
{
	struct epf_virtio_net_out *out = &p->out;

	if (error == -EBUSY) {
		p->lost = true;
		__skb_queue_head_init(&out->done);
		out->skb = NULL;
	}
	__skb_queue_purge(&out->done);
	out->nheld = out->chains;
}

static int epf_virtio_net_out_transfer(struct epf_virtio_net_pair *p)
{
	struct epf_virtio_net_out *out = &p->out;
	int ret = 0;

	if (out->nsegs)
		ret = epf_virtio_dma(p->net->ev, out->segs, out->nsegs,
				     DMA_TO_DEVICE);
	out->nsegs = 0;
	if (ret)
		epf_virtio_net_out_fail(p, ret);
	return ret;
}

/* Ends the group: its packets are in the memory of the host. */
static int epf_virtio_net_out_run(struct epf_virtio_net_pair *p)
{
	struct epf_virtio_net_out *out = &p->out;
	unsigned int i, n = out->nheld - out->chains;
	int ret = epf_virtio_net_out_transfer(p);

	if (ret)
		return ret;
	epf_virtio_net_out_free_done(p);
	for (i = 0; !ret && i < n; i++)
		ret = epf_virtio_used(epf_virtio_net_out_queue(p),
				      out->held[i].head, out->held[i].len);
	memmove(out->held, out->held + n, out->chains * sizeof(*out->held));
	out->nheld = out->chains;
	return ret;
}

/* ---- Places ---- */

/* Adds a part of a packet to the segments, and transfers these if need be. */
static int epf_virtio_net_out_add(struct epf_virtio_net_pair *p,
				  const struct epf_vring_chain *c, u64 offset,
				  void *buf, u32 len)
{
	struct epf_virtio_net_out *out = &p->out;
	int ret;

	ret = epf_vring_slice(c, true, offset, buf, len,
			      out->segs + out->nsegs,
			      EPF_VIRTIO_NET_SEGS - out->nsegs);
	if (ret == -ENOSPC) {
		ret = epf_virtio_net_out_transfer(p);
		if (ret)
			return ret;
		ret = epf_vring_slice(c, true, offset, buf, len, out->segs,
				      EPF_VIRTIO_NET_SEGS);
	}
	if (ret < 0)
		return ret;
	out->nsegs += ret;
	return 0;
}

/* Has the header go to the begin of the first chain. */
static int epf_virtio_net_out_place_header(struct epf_virtio_net_out *out,
					   const struct epf_vring_chain *c)
{
	int ret;

	/* Section 5.1.6.3.1: a buffer has room for it at least. */
	if (c->write_len < EPF_VIRTIO_NET_HEADER)
		return -EPROTO;
	ret = epf_vring_slice(c, true, 0, &out->hdrs[out->hdr],
			      EPF_VIRTIO_NET_HEADER, out->hdr_segs,
			      ARRAY_SIZE(out->hdr_segs));
	if (ret < 0)
		return ret;
	out->nhdr_segs = ret;
	return 0;
}

/* Places as much of the packet as goes into a chain. */
static int epf_virtio_net_out_place(struct epf_virtio_net_pair *p,
				    const struct epf_vring_chain *c)
{
	struct epf_virtio_net_out *out = &p->out;
	u64 at = out->chains ? 0 : EPF_VIRTIO_NET_HEADER;
	u32 len;
	int ret;

	if (!c->write_len)
		return -EPROTO;
	if (!out->chains) {
		ret = epf_virtio_net_out_place_header(out, c);
		if (ret)
			return ret;
	}
	for (; out->at < out->skb->len && at < c->write_len;
	     out->at += len, at += len) {
		void *buf = epf_virtio_net_out_piece(out->skb, out->at, &len);

		len = min_t(u64, len, c->write_len - at);
		ret = epf_virtio_net_out_add(p, c, at, buf, len);
		if (ret)
			return ret;
	}
	out->held[out->nheld++] = (struct epf_virtio_net_held){
		.head = c->head,
		.len = at,
	};
	out->chains++;
	return 0;
}

/* The packet has its place, so its header follows. */
static int epf_virtio_net_out_end(struct epf_virtio_net_pair *p)
{
	struct epf_virtio_net_out *out = &p->out;
	int ret = 0;

	out->hdrs[out->hdr].num_buffers =
		(__force __virtio16)cpu_to_le16(out->chains);
	if (out->nhdr_segs > EPF_VIRTIO_NET_SEGS - out->nsegs)
		ret = epf_virtio_net_out_transfer(p);
	if (ret)
		return ret;
	memcpy(out->segs + out->nsegs, out->hdr_segs,
	       out->nhdr_segs * sizeof(*out->segs));
	out->nsegs += out->nhdr_segs;
	out->hdr = (out->hdr + 1) % (EPF_VIRTIO_NET_GROUP + 1);
	__skb_queue_tail(&out->done, out->skb);
	out->skb = NULL;
	out->chains = 0;
	return 0;
}

/*
 * Without VIRTIO_NET_F_MRG_RXBUF a packet may be too long for the host, whose
 * driver may have buffers for its own MTU only.  It gets the buffer back.
 */
static int epf_virtio_net_out_too_long(struct epf_virtio_net_pair *p)
{
	struct epf_virtio_net_out *out = &p->out;
	int ret = epf_virtio_net_out_transfer(p);

	if (ret)
		return ret;
	dev_core_stats_tx_dropped_inc(p->net->dev);
	dev_kfree_skb_any(out->skb);
	out->skb = NULL;
	out->chains = 0;
	out->held[out->nheld - 1].len = 0;
	return 0;
}

/*
 * Places the packet.  Returns 1, 0 if there are too few chains, or an error.
 */
static int epf_virtio_net_out_fill(struct epf_virtio_net_pair *p)
{
	struct epf_virtio_queue *q = epf_virtio_net_out_queue(p);
	struct epf_virtio_net_out *out = &p->out;
	struct epf_vring_chain chain;
	int ret;

	while (out->at < out->skb->len) {
		/* No chain will come if this packet has all there are. */
		if (out->chains == epf_virtio_ring_size(q))
			return -EPROTO;
		ret = epf_virtio_next(q, &chain);
		if (ret <= 0)
			return ret;
		ret = epf_virtio_net_out_place(p, &chain);
		if (ret)
			return ret;
		if (out->at < out->skb->len &&
		    !epf_virtio_net_out_merges(p->net)) {
			ret = epf_virtio_net_out_too_long(p);
			return ret ? ret : 1;
		}
	}
	ret = epf_virtio_net_out_end(p);
	return ret ? ret : 1;
}

/* Returns what epf_virtio_ops.work() does. */
static int epf_virtio_net_out_group(struct epf_virtio_net_pair *p)
{
	struct epf_virtio_net_out *out = &p->out;
	unsigned int n;
	int ret;

	for (n = 0; n < EPF_VIRTIO_NET_GROUP; n++) {
		if (!out->skb) {
			struct sk_buff *skb = epf_virtio_net_out_take(p);

			if (!skb)
				return EPF_VIRTIO_WAITS;
			if (!epf_virtio_net_out_begin(p, skb))
				continue;
		}
		ret = epf_virtio_net_out_fill(p);
		if (ret <= 0)
			return ret;
	}
	return 1;
}

int epf_virtio_net_out_work(struct epf_virtio_net_pair *p)
{
	int ret, err;

	guard(mutex)(&p->out.turn);
	if (!READ_ONCE(p->out.ready))
		return EPF_VIRTIO_WAITS;
	ret = epf_virtio_net_out_group(p);
	/* After an error too: these packets are not bad. */
	err = epf_virtio_net_out_run(p);
	return ret < 0 ? ret : err ? err : ret;
}

/* ---- Begin and end ---- */

void epf_virtio_net_out_ready(struct epf_virtio_net_pair *p, bool ready)
{
	struct epf_virtio_net_out *out = &p->out;
	struct sk_buff_head drop;

	__skb_queue_head_init(&drop);
	spin_lock_bh(&out->wait.lock);
	WRITE_ONCE(out->ready, ready);
	skb_queue_splice_init(&out->wait, &drop);
	netif_tx_wake_queue(netdev_get_tx_queue(p->net->dev, p->index));
	spin_unlock_bh(&out->wait.lock);
	__skb_queue_purge(&drop);
}

void epf_virtio_net_out_reset(struct epf_virtio_net_pair *p)
{
	struct epf_virtio_net_out *out = &p->out;

	guard(mutex)(&out->turn);
	__skb_queue_purge(&out->done);
	if (out->skb)
		dev_kfree_skb_any(out->skb);
	out->skb = NULL;
	out->chains = 0;
	out->nheld = 0;
	out->nsegs = 0;
}

int epf_virtio_net_out_init(struct epf_virtio_net_out *out)
{
	skb_queue_head_init(&out->wait);
	__skb_queue_head_init(&out->done);
	mutex_init(&out->turn);
	out->hdrs = kcalloc(EPF_VIRTIO_NET_GROUP + 1, sizeof(*out->hdrs),
			    GFP_KERNEL);
	return out->hdrs ? 0 : -ENOMEM;
}

void epf_virtio_net_out_exit(struct epf_virtio_net_out *out)
{
	kfree(out->hdrs);
}
