/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Split virtqueues of a host, from the side of the device
 *
 * The rings and buffers are in memory of the host and are known by their bus
 * addresses (virtio 1.2, section 2.7).  The owner of a ring gives functions
 * that copy between that memory and ours.  This file needs nothing else, so
 * it compiles in the kernel and in user space, where its tests are.
 *
 * An owner that got a notification calls:
 *
 *	epf_vring_want_notify(r, false);
 *	do {
 *		while (epf_vring_fetch(r) > 0)
 *			while (epf_vring_next(r, &chain) > 0)
 *				start the request;
 *	} while (epf_vring_want_notify(r, true) > 0);
 *
 * and for requests that are done, in any order:
 *
 *	epf_vring_used(r, head, len);
 *	epf_vring_flush(r, &interrupt);
 *
 * An owner whose requests are done at once ends with epf_vring_finish(), which
 * does both.
 *
 * Trust.  The host may write anything to its memory at any time.  All that it
 * wrote is copied once, and only the copy is looked at.  A ring that breaks a
 * rule of the specification is refused with -EPROTO, from then on by each
 * epf_vring_fetch(), and struct epf_vring.broken says which rule.  The work of
 * a call and the memory of a ring are bounded by the constants below.
 *
 * Cost.  A fetch is one read for the available ring and the descriptors, and
 * one for all indirect tables together, for up to EPF_VRING_BURST chains.  A
 * flush is one write, and one read for the driver's wish, and so are
 * epf_vring_want_notify() and epf_vring_finish().
 *
 * Locks.  The owner lets one call at a time run for each ring.  All calls but
 * epf_vring_next() and epf_vring_used() may sleep.
 */
#ifndef EPF_VRING_H
#define EPF_VRING_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "tests/unit/vring-compat.h"
#endif

/* Descriptors of a ring.  The specification allows 32768. */
#define EPF_VRING_MAX_SIZE	1024
/* Chains that one epf_vring_fetch() gets at most */
#define EPF_VRING_BURST		64
/* Descriptors of all these chains together, at least EPF_VRING_MAX_SIZE */
#define EPF_VRING_BURST_DESCS	2048

/**
 * struct epf_vring_seg - what is copied between the host's memory and ours
 * @addr: bus address of the host
 * @buf: our memory, from kmalloc()
 * @len: bytes, not 0
 */
struct epf_vring_seg {
	u64 addr;
	void *buf;
	u32 len;
};

/**
 * struct epf_vring_mem - how the host's memory is reached
 * @read: copy @n segments from the host
 * @write: copy @n segments to the host
 * @data: first argument of both
 *
 * Both return 0 or a negative errno, and may sleep.  They copy the segments in
 * their order.  So a read of one segment sees all that the host wrote before
 * what an earlier segment saw, and the host that sees one segment written sees
 * the earlier ones.  An aligned segment of 2 bytes is copied at once.
 */
struct epf_vring_mem {
	int (*read)(void *data, const struct epf_vring_seg *segs,
		    unsigned int n);
	int (*write)(void *data, const struct epf_vring_seg *segs,
		     unsigned int n);
	void *data;
};

/**
 * struct epf_vring_config - what the driver has configured
 * @size: descriptors, a power of 2
 * @desc: bus address of the descriptor table
 * @avail: bus address of the available ring, which the driver writes
 * @used: bus address of the used ring, which the device writes
 * @indirect: VIRTIO_F_INDIRECT_DESC was negotiated
 * @event_idx: VIRTIO_F_EVENT_IDX was negotiated
 */
struct epf_vring_config {
	u16 size;
	u64 desc;
	u64 avail;
	u64 used;
	bool indirect;
	bool event_idx;
};

/**
 * struct epf_vring_extent - a part of a buffer of the driver
 * @addr: bus address of the host; the last byte is not behind 2^64
 * @len: bytes, not 0
 */
struct epf_vring_extent {
	u64 addr;
	u32 len;
};

struct epf_vring_desc;
struct epf_vring_elem;
struct epf_vring_words;

/**
 * struct epf_vring_chain - a request of the driver
 * @head: its name, for epf_vring_used()
 * @nread: extents that the device may read
 * @nwrite: extents that the device may write
 * @read_len: bytes of the first
 * @write_len: bytes of the second, at most 2^32 together
 * @ext: @nread and then @nwrite extents, valid until the next
 *	epf_vring_fetch()
 * @table: private
 * @table_addr: private
 * @ntable: private
 */
struct epf_vring_chain {
	u16 head;
	unsigned int nread;
	unsigned int nwrite;
	u64 read_len;
	u64 write_len;
	struct epf_vring_extent *ext;
	struct epf_vring_desc *table;
	u64 table_addr;
	unsigned int ntable;
};

/**
 * struct epf_vring - a ring
 * @conf: as given to epf_vring_init()
 * @mem: as given to epf_vring_init()
 * @broken: NULL, or which rule the driver broke, for a message
 * @heads: private, what happens to the chain of each head
 * @avail_idx: private, position of the chain that is fetched next
 * @used_idx: private, the index that the driver was told
 * @nused: private, used elements that the driver was not told of
 * @unsignalled: private, used elements for which no wish was read
 * @avail: private, copy of a part of the available ring
 * @desc: private, copy of the descriptor table
 * @table: private, copy of indirect tables
 * @words: private, single numbers that are copied
 * @elems: private, the @nused elements
 * @ext: private, extents of the chains that were fetched
 * @chains: private, these chains
 * @segs: private, for one call of @mem
 * @nchains: private, how many were fetched
 * @taken: private, how many of them epf_vring_next() gave away
 * @flags_known: private, @no_notify is what the driver sees
 * @no_notify: private, flags of the used ring
 *
 * The owner may read the first three.  All else is private.
 */
struct epf_vring {
	struct epf_vring_config conf;
	struct epf_vring_mem mem;
	const char *broken;
	u8 *heads;
	u16 avail_idx;
	u16 used_idx;
	unsigned int nused;
	unsigned int unsignalled;
	__le16 *avail;
	struct epf_vring_desc *desc;
	struct epf_vring_desc *table;
	struct epf_vring_words *words;
	struct epf_vring_elem *elems;
	struct epf_vring_extent *ext;
	struct epf_vring_chain *chains;
	struct epf_vring_seg *segs;
	unsigned int nchains;
	unsigned int taken;
	bool flags_known;
	bool no_notify;
};

/**
 * epf_vring_init() - begin with a ring that the driver has enabled
 * @r: the ring
 * @c: what the driver has configured
 * @mem: how its memory is reached
 *
 * Reads and writes nothing of the host.
 *
 * Return: 0; -EINVAL if the size is not a power of 2 up to EPF_VRING_MAX_SIZE,
 * or an address is not aligned or its part of the ring ends behind 2^64;
 * -ENOMEM.  Only after 0 epf_vring_destroy() has to be called.
 */
int epf_vring_init(struct epf_vring *r, const struct epf_vring_config *c,
		   const struct epf_vring_mem *mem);

/**
 * epf_vring_destroy() - free what epf_vring_init() allocated
 * @r: the ring
 */
void epf_vring_destroy(struct epf_vring *r);

/**
 * epf_vring_fetch() - get the chains that the driver has made available
 * @r: the ring
 *
 * Reads nothing while chains of the last call were not taken.  The burst is
 * refused as a whole when one of its chains is bad.
 *
 * Return: how many chains epf_vring_next() can give; -EPROTO if the driver
 * broke a rule, and the device has to set DEVICE_NEEDS_RESET; or the error of
 * &struct epf_vring_mem.read, after which the call can be repeated.
 */
int epf_vring_fetch(struct epf_vring *r);

/**
 * epf_vring_next() - take a chain
 * @r: the ring
 * @c: where the chain goes
 *
 * Return: 1, 0 if there is none before the next epf_vring_fetch(), or -EPROTO
 * as epf_vring_fetch().
 */
int epf_vring_next(struct epf_vring *r, struct epf_vring_chain *c);

/**
 * epf_vring_used() - note that the request of a chain is done
 * @r: the ring
 * @head: name of the chain
 * @len: bytes at the beginning of the writable extents that were written
 *
 * The driver learns it with epf_vring_flush().  Both also work for a ring that
 * was refused with -EPROTO, for the chains that were taken before.
 *
 * Return: 0, or -EINVAL if there is no such chain that was taken.
 */
int epf_vring_used(struct epf_vring *r, u16 head, u32 len);

/**
 * epf_vring_flush() - tell the driver of all requests that are done
 * @r: the ring
 * @interrupt: set to whether the driver wants an interrupt now
 *
 * The index is written behind the elements.  All that the device wrote to
 * buffers has to be there before the call.
 *
 * Return: 0 or the error of &struct epf_vring_mem.  After an error the call
 * can be repeated, and what was not told or signalled is not lost.
 */
int epf_vring_flush(struct epf_vring *r, bool *interrupt);

/**
 * epf_vring_want_notify() - say whether the driver shall notify the device
 * @r: the ring
 * @on: whether it shall do so for the next chain that it makes available
 *
 * With VIRTIO_F_EVENT_IDX nothing has to be done to get no notification.
 *
 * Return: 0; 1 with @on if there are chains that the driver may not notify
 * of, so the owner has to fetch and then call again; -EPROTO as
 * epf_vring_fetch(); or the error of &struct epf_vring_mem.
 */
int epf_vring_want_notify(struct epf_vring *r, bool on);

/**
 * epf_vring_finish() - epf_vring_flush() and epf_vring_want_notify(r, true)
 * @r: the ring
 * @interrupt: set to whether the driver wants an interrupt now, whatever is
 *	returned
 *
 * It costs as much as one of them.
 *
 * Return: as epf_vring_want_notify().
 */
int epf_vring_finish(struct epf_vring *r, bool *interrupt);

/**
 * epf_vring_slice() - find segments for a part of a chain
 * @c: the chain
 * @write: take the writable extents and not the readable ones
 * @offset: byte in these extents where the part begins
 * @buf: memory that is to be copied to or from it
 * @len: bytes of the part
 * @segs: where the segments go
 * @max: how many there may be
 *
 * Return: how many segments it takes; -EINVAL if the part ends behind the
 * extents; -ENOSPC if it takes more than @max.
 */
int epf_vring_slice(const struct epf_vring_chain *c, bool write, u64 offset,
		    void *buf, u32 len, struct epf_vring_seg *segs,
		    unsigned int max);

#endif /* EPF_VRING_H */
