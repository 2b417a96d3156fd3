// SPDX-License-Identifier: GPL-2.0
/*
 * The netdev of this machine
 *
 * Its carrier is on while the driver of the host runs.  Offloads depend on what
 * that driver accepted, and it may change them.  So the netdev has them all, and
 * epf_virtio_net_check() takes away for each packet what the driver does not take.
 */
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/slab.h>
#include <net/sock.h>

#include "net.h"

#define EPF_VIRTIO_NET_FEATURES	(NETIF_F_SG | NETIF_F_HW_CSUM |	\
				 NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN)

/* ---- Operations ---- */

static int epf_virtio_net_dev_open(struct net_device *dev)
{
	struct epf_virtio_net *net = netdev_priv(dev);
	unsigned int i;

	for (i = 0; i < net->pairs; i++)
		epf_virtio_net_in_up(net->pair[i], true);
	netif_tx_start_all_queues(dev);
	epf_virtio_net_show_link(net, true);
	return 0;
}

static int epf_virtio_net_dev_stop(struct net_device *dev)
{
	struct epf_virtio_net *net = netdev_priv(dev);
	unsigned int i;

	epf_virtio_net_show_link(net, false);
	for (i = 0; i < net->pairs; i++)
		epf_virtio_net_in_up(net->pair[i], false);
	return 0;
}

/*
 * Packets may wait for the host for any time, so they do not count for their
 * socket any more, and keep nothing of the network layer.
 */
static netdev_tx_t epf_virtio_net_xmit(struct sk_buff *skb,
				       struct net_device *dev)
{
	unsigned int index = skb_get_queue_mapping(skb);
	struct netdev_queue *txq = netdev_get_tx_queue(dev, index);
	struct epf_virtio_net *net = netdev_priv(dev);
	struct epf_virtio_net_pair *p = net->pair[index];
	struct epf_virtio_net_out *out = &p->out;
	bool more = netdev_xmit_more();
	bool ready;

	skb_tx_timestamp(skb);
	skb_orphan(skb);
	nf_reset_ct(skb);
	spin_lock(&out->wait.lock);
	ready = out->ready;
	if (ready) {
		__skb_queue_tail(&out->wait, skb);
		if (skb_queue_len(&out->wait) >= EPF_VIRTIO_NET_BACKLOG)
			netif_tx_stop_queue(txq);
	}
	more = more && !netif_xmit_stopped(txq);
	spin_unlock(&out->wait.lock);
	if (!ready) {
		dev_core_stats_tx_dropped_inc(dev);
		dev_kfree_skb_any(skb);
	}
	if (!more)
		epf_virtio_kick(epf_virtio_net_out_queue(p));
	return NETDEV_TX_OK;
}

/*
 * Packets of a connection go to the pair from which the host sends its own (section
 * 5.1.6.5.6).
 */
static u16 epf_virtio_net_select(struct net_device *dev, struct sk_buff *skb,
				 struct net_device *sb_dev)
{
	struct epf_virtio_net *net = netdev_priv(dev);
	int index = skb->sk ? sk_rx_queue_get(skb->sk) : -1;

	if (index < 0)
		index = netdev_pick_tx(dev, skb, sb_dev);
	return index % READ_ONCE(net->active);
}

static netdev_features_t epf_virtio_net_check(struct sk_buff *skb,
					      struct net_device *dev,
					      netdev_features_t features)
{
	struct epf_virtio_net *net = netdev_priv(dev);
	u64 offloads = READ_ONCE(net->offloads);

	if (!(offloads & BIT_ULL(VIRTIO_NET_F_GUEST_CSUM)))
		features &= ~(NETIF_F_CSUM_MASK | NETIF_F_GSO_MASK);
	if (!(offloads & BIT_ULL(VIRTIO_NET_F_GUEST_TSO4)))
		features &= ~NETIF_F_TSO;
	if (!(offloads & BIT_ULL(VIRTIO_NET_F_GUEST_TSO6)))
		features &= ~NETIF_F_TSO6;
	if (!(offloads & BIT_ULL(VIRTIO_NET_F_GUEST_ECN)))
		features &= ~NETIF_F_TSO_ECN;
	return vlan_features_check(skb, features);
}

static const struct net_device_ops epf_virtio_net_dev_ops = {
	.ndo_open = epf_virtio_net_dev_open,
	.ndo_stop = epf_virtio_net_dev_stop,
	.ndo_start_xmit = epf_virtio_net_xmit,
	.ndo_select_queue = epf_virtio_net_select,
	.ndo_features_check = epf_virtio_net_check,
	.ndo_get_stats64 = dev_get_tstats64,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_validate_addr = eth_validate_addr,
};

static const struct ethtool_ops epf_virtio_net_ethtool_ops = {
	.get_link = ethtool_op_get_link,
};

/* ---- Begin and end ---- */

/* What DMA may go on with for ever stays allocated. */
static void epf_virtio_net_free_pair(struct epf_virtio_net_pair *p)
{
	if (!p || p->lost)
		return;
	epf_virtio_net_in_exit(&p->in);
	epf_virtio_net_out_exit(&p->out);
	kvfree(p);
}

static struct epf_virtio_net_pair *
epf_virtio_net_alloc_pair(struct epf_virtio_net *net, unsigned int index)
{
	struct epf_virtio_net_pair *p = kvzalloc(sizeof(*p), GFP_KERNEL);

	if (!p)
		return NULL;
	p->net = net;
	p->index = index;
	if (epf_virtio_net_out_init(&p->out) ||
	    epf_virtio_net_in_init(&p->in)) {
		epf_virtio_net_free_pair(p);
		return NULL;
	}
	netif_napi_add(net->dev, &p->in.napi, epf_virtio_net_in_poll);
	return p;
}

static bool epf_virtio_net_alloc_rest(struct epf_virtio_net *net)
{
	unsigned int i;

	net->ctrl = kmalloc(EPF_VIRTIO_NET_CTRL, GFP_KERNEL);
	if (!net->ctrl)
		return false;
	for (i = 0; i < net->pairs; i++) {
		net->pair[i] = epf_virtio_net_alloc_pair(net, i);
		if (!net->pair[i])
			return false;
	}
	return true;
}

struct epf_virtio_net *epf_virtio_net_alloc(struct epf_virtio *ev,
					    unsigned int pairs)
{
	struct net_device *dev = alloc_etherdev_mqs(sizeof(struct epf_virtio_net),
						    pairs, pairs);
	struct epf_virtio_net *net;

	if (!dev)
		return NULL;
	net = netdev_priv(dev);
	net->ev = ev;
	net->dev = dev;
	net->pairs = pairs;
	net->active = 1;
	if (epf_virtio_net_alloc_rest(net))
		return net;
	epf_virtio_net_free(net);
	return NULL;
}

/* free_netdev() removes the NAPI instances, which are in the pairs. */
void epf_virtio_net_free(struct epf_virtio_net *net)
{
	struct epf_virtio_net_pair *pair[EPF_VIRTIO_NET_PAIRS];
	unsigned int i;

	memcpy(pair, net->pair, sizeof(pair));
	kfree(net->ctrl);
	free_netdev(net->dev);
	for (i = 0; i < ARRAY_SIZE(pair); i++)
		epf_virtio_net_free_pair(pair[i]);
}

void epf_virtio_net_dev_describe(struct epf_virtio_net *net, const u8 *mac)
{
	const struct epf_virtio_net_options *options =
		epf_virtio_net_options(net->ev);
	struct net_device *dev = net->dev;

	strscpy(dev->name, options->netdev, sizeof(dev->name));
	SET_NETDEV_DEV(dev, epf_virtio_device(net->ev));
	dev->netdev_ops = &epf_virtio_net_dev_ops;
	dev->ethtool_ops = &epf_virtio_net_ethtool_ops;
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;
	dev->hw_features = EPF_VIRTIO_NET_FEATURES;
	dev->features = EPF_VIRTIO_NET_FEATURES;
	dev->vlan_features = EPF_VIRTIO_NET_FEATURES;
	dev->mtu = options->mtu;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = options->mtu;
	eth_hw_addr_set(dev, mac);
	netif_carrier_off(dev);
}
