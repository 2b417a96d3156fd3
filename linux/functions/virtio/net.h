/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Network device (virtio specification, section 5.1): a link of one cable between
 * the network device of the host and one of this machine, the netdev
 *
 * net.c      queues, features, device configuration, begin and end
 * net-dev.c  the netdev
 * net-out.c  packets to the host, for queues receiveq1...
 * net-in.c   packets from the host, from queues transmitq1...
 * net-ctrl.c the control queue
 *
 * Groups.  The work of a queue handles packets in groups, for each of which one
 * transfer copies headers and data of all packets between memory of the host and
 * the packets of this machine.
 *
 * Bounds.  At most EPF_VIRTIO_NET_BACKLOG packets wait in each direction of a
 * pair.  Then the transmit queue of the netdev is stopped, or no more packets are
 * taken from the host.
 *
 * Locks.  The lock of the list of packets that wait guards what the netdev and the
 * work of a queue share.  epf_virtio_net_out.turn is held by the work of a
 * receiveq, so that the control queue can wait for its end.
 */
#ifndef EPF_VIRTIO_NET_H
#define EPF_VIRTIO_NET_H

#include <linux/if_vlan.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <uapi/linux/virtio_net.h>

#include "net-attrs.h"
#include "virtio.h"

/* Packets of a group */
#define EPF_VIRTIO_NET_GROUP	EPF_VIRTIO_BUDGET
/* Segments of a transfer: those of any one chain and packet, header included */
#define EPF_VIRTIO_NET_SEGS	(EPF_VRING_MAX_SIZE + MAX_SKB_FRAGS + 2)
/* Packets that wait, and how many are few enough to go on */
#define EPF_VIRTIO_NET_BACKLOG	256
#define EPF_VIRTIO_NET_FEW	(EPF_VIRTIO_NET_BACKLOG / 2)

/* VIRTIO_F_VERSION_1 is always there, so there is one header (section 5.1.6). */
#define EPF_VIRTIO_NET_HEADER	sizeof(struct virtio_net_hdr_v1)
/* Bytes of a packet at most; that of the network layer has 16 bits of length. */
#define EPF_VIRTIO_NET_MOST	(U16_MAX + ETH_HLEN + 2 * VLAN_HLEN)

/* Most bytes of a command that are looked at */
#define EPF_VIRTIO_NET_CTRL	64

/* Features that the driver can also turn off later (section 5.1.6.5.6.1) */
#define EPF_VIRTIO_NET_OFFLOADS	(BIT_ULL(VIRTIO_NET_F_GUEST_CSUM) |	\
				 BIT_ULL(VIRTIO_NET_F_GUEST_TSO4) |	\
				 BIT_ULL(VIRTIO_NET_F_GUEST_TSO6) |	\
				 BIT_ULL(VIRTIO_NET_F_GUEST_ECN))

struct epf_virtio_net;

/**
 * struct epf_virtio_net_held - a chain that was taken for a packet to the host
 * @head: its name
 * @len: bytes that are written to it
 */
struct epf_virtio_net_held {
	u16 head;
	u32 len;
};

/**
 * struct epf_virtio_net_out - packets to the host, of one pair of queues
 * @wait: packets of the netdev; its lock guards @ready, too
 * @ready: packets are accepted
 * @turn: held while the work of the queue runs; guards all that follows
 * @skb: the packet that is being placed, or NULL
 * @at: bytes of it that have a place
 * @chains: chains that it has
 * @hdr: its header is @hdrs[@hdr]
 * @hdrs: headers of the packets of a group, and of the one behind it
 * @hdr_segs: where the header of @skb goes
 * @nhdr_segs: their number
 * @done: packets of the group that have a place
 * @held: chains of @done, and then those of @skb
 * @nheld: their number
 * @segs: segments that were not transferred yet
 * @nsegs: their number
 */
struct epf_virtio_net_out {
	struct sk_buff_head wait;
	bool ready;
	struct mutex turn;	/* one work or command at a time */
	struct sk_buff *skb;
	u32 at;
	unsigned int chains;
	unsigned int hdr;
	struct virtio_net_hdr_v1 *hdrs;
	struct epf_vring_seg hdr_segs[EPF_VIRTIO_NET_HEADER];
	unsigned int nhdr_segs;
	struct sk_buff_head done;
	struct epf_virtio_net_held held[EPF_VRING_MAX_SIZE];
	unsigned int nheld;
	struct epf_vring_seg segs[EPF_VIRTIO_NET_SEGS];
	unsigned int nsegs;
};

/**
 * struct epf_virtio_net_packet - a packet from the host
 * @skb: the packet; NULL if it is dropped
 * @head: its chain
 */
struct epf_virtio_net_packet {
	struct sk_buff *skb;
	u16 head;
};

/**
 * struct epf_virtio_net_in - packets from the host, of one pair of queues
 * @wait: packets for @napi; its lock guards the two that follow, too
 * @up: packets are accepted
 * @full: no chains are taken before @napi has called epf_virtio_kick()
 * @napi: gives them to the network layer
 * @hdrs: headers of the packets of a group
 * @packets: these packets
 * @n: their number
 * @segs: segments of their transfer
 * @nsegs: their number
 */
struct epf_virtio_net_in {
	struct sk_buff_head wait;
	bool up;
	bool full;
	struct napi_struct napi;
	struct virtio_net_hdr_v1 *hdrs;
	struct epf_virtio_net_packet packets[EPF_VIRTIO_NET_GROUP];
	unsigned int n;
	struct epf_vring_seg segs[EPF_VIRTIO_NET_SEGS];
	unsigned int nsegs;
};

/**
 * struct epf_virtio_net_pair - a pair of queues
 * @net: the device
 * @index: its number
 * @out: receiveq
 * @in: transmitq
 * @lost: DMA to or from it may go on for ever, so it is never freed
 */
struct epf_virtio_net_pair {
	struct epf_virtio_net *net;
	unsigned int index;
	struct epf_virtio_net_out out;
	struct epf_virtio_net_in in;
	bool lost;
};

/**
 * struct epf_virtio_net - a device, the private part of the netdev
 * @ev: the device
 * @dev: the netdev
 * @pairs: number of pairs
 * @active: pairs that the driver of the host uses, the first ones
 * @offloads: of EPF_VIRTIO_NET_OFFLOADS, what that driver can take now
 * @ctrl: buffer for a command
 * @pair: the pairs
 */
struct epf_virtio_net {
	struct epf_virtio *ev;
	struct net_device *dev;
	unsigned int pairs;
	unsigned int active;
	u64 offloads;
	u8 *ctrl;
	struct epf_virtio_net_pair *pair[EPF_VIRTIO_NET_PAIRS];
};

static inline struct epf_virtio_queue *
epf_virtio_net_out_queue(struct epf_virtio_net_pair *p)
{
	return epf_virtio_queue(p->net->ev, 2 * p->index);
}

static inline struct epf_virtio_queue *
epf_virtio_net_in_queue(struct epf_virtio_net_pair *p)
{
	return epf_virtio_queue(p->net->ev, 2 * p->index + 1);
}

/* ---- net.c ---- */

/* Uses the first @active pairs only, from the return of this on. */
void epf_virtio_net_activate(struct epf_virtio_net *net, unsigned int active);

/* Shows the host whether the netdev is up.  The caller holds rtnl. */
void epf_virtio_net_show_link(struct epf_virtio_net *net, bool up);

/* ---- net-dev.c ---- */

/* Make and free the netdev, with its &struct epf_virtio_net. */
struct epf_virtio_net *epf_virtio_net_alloc(struct epf_virtio *ev,
					    unsigned int pairs);
void epf_virtio_net_free(struct epf_virtio_net *net);
void epf_virtio_net_dev_describe(struct epf_virtio_net *net, const u8 *mac);

/* ---- net-out.c ---- */

int epf_virtio_net_out_init(struct epf_virtio_net_out *out);
void epf_virtio_net_out_exit(struct epf_virtio_net_out *out);
int epf_virtio_net_out_work(struct epf_virtio_net_pair *p);

/* Begins or ends to take packets of the netdev; drops those that wait. */
void epf_virtio_net_out_ready(struct epf_virtio_net_pair *p, bool ready);

/* Forgets the chains of the queue, whose work does not run. */
void epf_virtio_net_out_reset(struct epf_virtio_net_pair *p);

/* ---- net-in.c ---- */

int epf_virtio_net_in_init(struct epf_virtio_net_in *in);
void epf_virtio_net_in_exit(struct epf_virtio_net_in *in);
int epf_virtio_net_in_work(struct epf_virtio_net_pair *p);
int epf_virtio_net_in_poll(struct napi_struct *napi, int budget);

/* Begins or ends to give packets to the netdev.  The caller holds rtnl. */
void epf_virtio_net_in_up(struct epf_virtio_net_pair *p, bool up);

/* ---- net-ctrl.c ---- */

int epf_virtio_net_ctrl_work(struct epf_virtio_net *net,
			     struct epf_virtio_queue *q);

#endif /* EPF_VIRTIO_NET_H */
