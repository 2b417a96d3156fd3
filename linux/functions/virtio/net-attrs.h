/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Attributes of a network device in configfs
 */
#ifndef EPF_VIRTIO_NET_ATTRS_H
#define EPF_VIRTIO_NET_ATTRS_H

#include <linux/configfs.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/types.h>

struct epf_virtio;

/* With the control queue these take all queues that a device may have. */
#define EPF_VIRTIO_NET_PAIRS	7

/**
 * struct epf_virtio_net_options - attributes, which are constant while bound
 * @queue_pairs: number of queue pairs, 1 to EPF_VIRTIO_NET_PAIRS
 * @mtu: largest MTU, which the device has at first
 * @mac: address of the host's network device, zero for a random one
 * @netdev: name of the netdev; %d in it is the first number that is free
 */
struct epf_virtio_net_options {
	u32 queue_pairs;
	u32 mtu;
	u8 mac[ETH_ALEN];
	char netdev[IFNAMSIZ];
};

#define EPF_VIRTIO_NET_DEFAULTS	{				\
	.queue_pairs = 2, .mtu = ETH_DATA_LEN, .netdev = "epnet%d",	\
}

extern struct configfs_attribute epf_virtio_net_attr_queue_pairs;
extern struct configfs_attribute epf_virtio_net_attr_mtu;
extern struct configfs_attribute epf_virtio_net_attr_mac;
extern struct configfs_attribute epf_virtio_net_attr_netdev;

const struct epf_virtio_net_options *
epf_virtio_net_options(const struct epf_virtio *ev);

#endif /* EPF_VIRTIO_NET_ATTRS_H */
