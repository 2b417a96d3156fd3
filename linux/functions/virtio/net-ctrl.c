// SPDX-License-Identifier: GPL-2.0
/*
 * The control queue (virtio specification, section 5.1.6.5)
 *
 * A chain has class, command and data, and room for one byte of answer.
 */
#include <linux/etherdevice.h>
#include <linux/minmax.h>
#include <linux/unaligned.h>

#include "net.h"

#define EPF_VIRTIO_NET_CTRL_HEADER	sizeof(struct virtio_net_ctrl_hdr)

/* ---- Commands ---- */

/* Each returns whether it accepts the data, whose length is right. */

static bool epf_virtio_net_ctrl_pairs(struct epf_virtio_net *net, const u8 *data)
{
	u16 pairs = get_unaligned_le16(data);

	if (pairs < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || pairs > net->pairs)
		return false;
	epf_virtio_net_activate(net, pairs);
	return true;
}

/* Nothing here depends on the address, since the cable has two ends. */
static bool epf_virtio_net_ctrl_mac(struct epf_virtio_net *net, const u8 *data)
{
	if (!is_valid_ether_addr(data))
		return false;
	epf_virtio_set_config(net->ev, offsetof(struct virtio_net_config, mac),
			      data, ETH_ALEN);
	return true;
}

static bool epf_virtio_net_ctrl_offloads(struct epf_virtio_net *net,
					 const u8 *data)
{
	u64 offloads = get_unaligned_le64(data);

	if (offloads & ~(epf_virtio_features(net->ev) & EPF_VIRTIO_NET_OFFLOADS))
		return false;
	WRITE_ONCE(net->offloads, offloads);
	return true;
}

/**
 * struct epf_virtio_net_command - a command
 * @feature: the driver must have accepted it
 * @class: class of the command
 * @command: its number
 * @size: bytes of its data
 * @run: carries it out
 */
struct epf_virtio_net_command {
	unsigned int feature;
	u8 class;
	u8 command;
	u8 size;
	bool (*run)(struct epf_virtio_net *net, const u8 *data);
};

static const struct epf_virtio_net_command epf_virtio_net_commands[] = {
	{ VIRTIO_NET_F_MQ, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
	  sizeof(struct virtio_net_ctrl_mq), epf_virtio_net_ctrl_pairs },
	{ VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_CTRL_MAC,
	  VIRTIO_NET_CTRL_MAC_ADDR_SET, ETH_ALEN, epf_virtio_net_ctrl_mac },
	{ VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
	  VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, sizeof(u64),
	  epf_virtio_net_ctrl_offloads },
};

/* Returns whether there is such a command with such data, and it succeeds. */
static bool epf_virtio_net_ctrl_run(struct epf_virtio_net *net, u64 len)
{
	u64 features = epf_virtio_features(net->ev);
	const struct virtio_net_ctrl_hdr *hdr = (void *)net->ctrl;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(epf_virtio_net_commands); i++) {
		const struct epf_virtio_net_command *c =
			&epf_virtio_net_commands[i];

		if (hdr->class == c->class && hdr->cmd == c->command &&
		    features & BIT_ULL(c->feature))
			return len == EPF_VIRTIO_NET_CTRL_HEADER + c->size &&
			       c->run(net, net->ctrl + EPF_VIRTIO_NET_CTRL_HEADER);
	}
	return false;
}

/* ---- The queue ---- */

static int epf_virtio_net_ctrl_chain(struct epf_virtio_net *net,
				     struct epf_virtio_queue *q,
				     const struct epf_vring_chain *c)
{
	int ret;

	/* There is no way to tell the driver of the host but a reset. */
	if (c->read_len < EPF_VIRTIO_NET_CTRL_HEADER || !c->write_len)
		return -EPROTO;
	ret = epf_virtio_chain_read(q, c, 0, net->ctrl,
				    min_t(u64, c->read_len, EPF_VIRTIO_NET_CTRL));
	if (ret)
		return ret;
	*net->ctrl = epf_virtio_net_ctrl_run(net, c->read_len) ?
		     VIRTIO_NET_OK : VIRTIO_NET_ERR;
	ret = epf_virtio_chain_write(q, c, 0, net->ctrl, 1);
	return ret ? ret : epf_virtio_used(q, c->head, 1);
}

int epf_virtio_net_ctrl_work(struct epf_virtio_net *net,
			     struct epf_virtio_queue *q)
{
	struct epf_vring_chain chain;
	unsigned int n;
	int ret;

	for (n = 0; n < EPF_VIRTIO_BUDGET; n++) {
		ret = epf_virtio_next(q, &chain);
		if (ret <= 0)
			return ret;
		ret = epf_virtio_net_ctrl_chain(net, q, &chain);
		if (ret)
			return ret;
	}
	return 1;
}
