// SPDX-License-Identifier: GPL-2.0
/*
 * Split virtqueues of a host, from the side of the device
 *
 * "Section" is one of virtio 1.2.  vring_bad() has one call for each rule that
 * a driver can break.
 */
#ifdef __KERNEL__
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <asm/byteorder.h>
#endif
#include "vring.h"

/* ---- What is in the host's memory ---- */

#define VRING_DESC_NEXT		1
#define VRING_DESC_WRITE	2
#define VRING_DESC_INDIRECT	4

/* Section 2.7.5 */
struct epf_vring_desc {
	__le64 addr;
	__le32 len;
	__le16 flags;
	__le16 next;
};

/* Section 2.7.8 */
struct epf_vring_elem {
	__le32 id;
	__le32 len;
};

/*
 * Either ring has 16 bits of flags, 16 bits of index, the entries, and 16 bits
 * of the other side's wish.  These are offsets.
 */
#define VRING_IDX		2
#define VRING_ENTRIES		4

/* Flags of the available ring and of the used ring */
#define VRING_AVAIL_NO_INTERRUPT	1
#define VRING_USED_NO_NOTIFY		1

/* A driver may not make a chain of more bytes available (section 2.7.5.1). */
#define VRING_MAX_BYTES		BIT_ULL(32)

struct epf_vring_words {
	__le16 avail_idx;	/* read */
	__le16 wish;		/* read: flags or used_event */
	__le16 used_idx;	/* written */
	__le16 notify;		/* written: flags or avail_event */
};

/* What happens to the chain of a head */
enum vring_head {
	VRING_FREE,	/* It is the driver's. */
	VRING_FETCHED,
	VRING_TAKEN,	/* by epf_vring_next() */
	VRING_USED,	/* The driver was not told yet. */
};

/* Refuses the ring; the device has to be reset. */
static int vring_bad(struct epf_vring *r, const char *rule)
{
	r->broken = rule;
	return -EPROTO;
}

/* Makes segment @n of the next call, and returns the number behind it. */
static unsigned int vring_segment(struct epf_vring *r, unsigned int n,
				  u64 addr, void *buf, u32 len)
{
	r->segs[n].addr = addr;
	r->segs[n].buf = buf;
	r->segs[n].len = len;
	return n + 1;
}

/*
 * Does so for @count entries of @size bytes of the ring at @ring, from
 * position @at on: one segment, or two where the ring wraps.
 */
static unsigned int vring_segments(struct epf_vring *r, unsigned int n,
				   u64 ring, u16 at, void *buf, u32 size,
				   unsigned int count)
{
	unsigned int slot = at & (r->conf.size - 1);
	unsigned int first = count;

	ring += VRING_ENTRIES;
	if (first > r->conf.size - slot)
		first = r->conf.size - slot;
	n = vring_segment(r, n, ring + slot * size, buf, first * size);
	if (first == count)
		return n;
	return vring_segment(r, n, ring, (u8 *)buf + first * size,
			     (count - first) * size);
}

/* ---- Begin and end ---- */

static bool vring_fits(u64 addr, u64 align, u64 len)
{
	return !(addr & (align - 1)) && addr + (len - 1) >= addr;
}

static bool vring_config_good(const struct epf_vring_config *c)
{
	u64 size = c->size;

	return size && !(size & (size - 1)) && size <= EPF_VRING_MAX_SIZE &&
	       vring_fits(c->desc, 16, size * 16) &&
	       vring_fits(c->avail, 2, 6 + size * 2) &&
	       vring_fits(c->used, 4, 6 + size * 8);
}

static unsigned int vring_burst(const struct epf_vring *r)
{
	return r->conf.size < EPF_VRING_BURST ? r->conf.size : EPF_VRING_BURST;
}

static bool vring_alloc(struct epf_vring *r)
{
	unsigned int size = r->conf.size, burst = vring_burst(r);

	r->heads = kcalloc(size, sizeof(*r->heads), GFP_KERNEL);
	r->avail = kcalloc(burst, sizeof(*r->avail), GFP_KERNEL);
	r->desc = kcalloc(size, sizeof(*r->desc), GFP_KERNEL);
	r->words = kcalloc(1, sizeof(*r->words), GFP_KERNEL);
	r->elems = kcalloc(size, sizeof(*r->elems), GFP_KERNEL);
	r->ext = kcalloc(EPF_VRING_BURST_DESCS, sizeof(*r->ext), GFP_KERNEL);
	r->chains = kcalloc(burst, sizeof(*r->chains), GFP_KERNEL);
	r->segs = kcalloc(EPF_VRING_BURST, sizeof(*r->segs), GFP_KERNEL);
	if (r->conf.indirect) {
		r->table = kcalloc(EPF_VRING_BURST_DESCS, sizeof(*r->table),
				   GFP_KERNEL);
		if (!r->table)
			return false;
	}
	return r->heads && r->avail && r->desc && r->words && r->elems &&
	       r->ext && r->chains && r->segs;
}

int epf_vring_init(struct epf_vring *r, const struct epf_vring_config *c,
		   const struct epf_vring_mem *mem)
{
	memset(r, 0, sizeof(*r));
	if (!vring_config_good(c))
		return -EINVAL;
	r->conf = *c;
	r->mem = *mem;
	if (!vring_alloc(r)) {
		epf_vring_destroy(r);
		return -ENOMEM;
	}
	return 0;
}

void epf_vring_destroy(struct epf_vring *r)
{
	kfree(r->heads);
	kfree(r->avail);
	kfree(r->desc);
	kfree(r->table);
	kfree(r->words);
	kfree(r->elems);
	kfree(r->ext);
	kfree(r->chains);
	kfree(r->segs);
	memset(r, 0, sizeof(*r));
}

/* ---- Chains that are available ---- */

/* How many chains are behind those that were fetched, by the driver's index */
static int vring_count(struct epf_vring *r, __le16 idx)
{
	u16 n = le16_to_cpu(idx) - r->avail_idx;

	if (n > r->conf.size)
		return vring_bad(r, "the available index jumped");
	return n;
}

/*
 * Reads the index, the entries of a whole burst and the descriptor table at
 * once.  The index is the first segment, so entries and descriptors that it
 * makes available are there already.  All others are not looked at.  The table
 * is one segment, since a chain may have its descriptors anywhere.
 */
static int vring_read_avail(struct epf_vring *r)
{
	unsigned int burst = vring_burst(r);
	unsigned int n;
	int ret;

	n = vring_segment(r, 0, r->conf.avail + VRING_IDX,
			  &r->words->avail_idx, sizeof(r->words->avail_idx));
	n = vring_segments(r, n, r->conf.avail, r->avail_idx, r->avail,
			   sizeof(*r->avail), burst);
	n = vring_segment(r, n, r->conf.desc, r->desc,
			  r->conf.size * sizeof(*r->desc));
	ret = r->mem.read(r->mem.data, r->segs, n);
	if (ret)
		return ret;
	ret = vring_count(r, r->words->avail_idx);
	return ret > (int)burst ? (int)burst : ret;
}

/* Adds a buffer to a chain, which has room for it. */
static int vring_add(struct epf_vring *r, struct epf_vring_chain *c,
		     const struct epf_vring_desc *d)
{
	bool write = le16_to_cpu(d->flags) & VRING_DESC_WRITE;
	struct epf_vring_extent *e = &c->ext[c->nread + c->nwrite];

	e->addr = le64_to_cpu(d->addr);
	e->len = le32_to_cpu(d->len);
	/*
	 * The specification does not name buffers without a byte.  QEMU refuses
	 * them, so drivers do not make them.
	 */
	if (!e->len)
		return vring_bad(r, "a buffer has no bytes");
	if (e->addr + (e->len - 1) < e->addr)
		return vring_bad(r, "a buffer ends behind 2^64");
	if (c->read_len + c->write_len + e->len > VRING_MAX_BYTES)
		return vring_bad(r, "a chain is longer than 2^32 bytes");
	/* Section 2.7.4.2 */
	if (!write && c->nwrite)
		return vring_bad(r, "a readable buffer follows a writable one");
	if (write) {
		c->nwrite++;
		c->write_len += e->len;
	} else {
		c->nread++;
		c->read_len += e->len;
	}
	return 0;
}

/*
 * Notes the indirect table that ends a chain.  Buffers may come before it
 * (section 2.7.5.3.2), and its own flag WRITE means nothing.
 */
static int vring_add_table(struct epf_vring *r, struct epf_vring_chain *c,
			   const struct epf_vring_desc *d)
{
	u64 addr = le64_to_cpu(d->addr);
	u32 len = le32_to_cpu(d->len);

	if (!r->conf.indirect)
		return vring_bad(r, "indirect tables were not negotiated");
	if (le16_to_cpu(d->flags) & VRING_DESC_NEXT)
		return vring_bad(r, "a descriptor has INDIRECT and NEXT");
	if (!len || len % sizeof(*d))
		return vring_bad(r, "an indirect table has a wrong length");
	c->ntable = len / sizeof(*d);
	/* Section 2.7.5.3.1: no chain is longer than the queue. */
	if (c->ntable > r->conf.size - (c->nread + c->nwrite))
		return vring_bad(r, "an indirect table is too long");
	if (addr + (len - 1) < addr)
		return vring_bad(r, "an indirect table ends behind 2^64");
	c->table_addr = addr;
	c->table = r->table + (c->ext - r->ext) + c->nread + c->nwrite;
	return 0;
}

/* Takes a chain out of the copy of the descriptor table. */
static int vring_walk(struct epf_vring *r, struct epf_vring_chain *c)
{
	unsigned int at = c->head, i;

	for (i = 0; i < r->conf.size; i++) {
		const struct epf_vring_desc *d = &r->desc[at];
		u16 flags = le16_to_cpu(d->flags);
		int ret;

		if (flags & VRING_DESC_INDIRECT)
			return vring_add_table(r, c, d);
		ret = vring_add(r, c, d);
		if (ret || !(flags & VRING_DESC_NEXT))
			return ret;
		at = le16_to_cpu(d->next);
		if (at >= r->conf.size)
			return vring_bad(r, "a next is behind the table");
	}
	return vring_bad(r, "a chain is longer than the queue");
}

/* Takes the end of a chain out of the copy of its indirect table. */
static int vring_walk_table(struct epf_vring *r, struct epf_vring_chain *c)
{
	unsigned int at = 0, i;

	for (i = 0; i < c->ntable; i++) {
		const struct epf_vring_desc *d = &c->table[at];
		u16 flags = le16_to_cpu(d->flags);
		int ret;

		if (flags & VRING_DESC_INDIRECT)
			return vring_bad(r, "an indirect table has another");
		ret = vring_add(r, c, d);
		if (ret || !(flags & VRING_DESC_NEXT))
			return ret;
		at = le16_to_cpu(d->next);
		if (at >= c->ntable)
			return vring_bad(r, "a next is behind its table");
	}
	return vring_bad(r, "a chain is longer than its table");
}

/* Begins chain @i of the burst, with room for extents from @at on. */
static int vring_begin_chain(struct epf_vring *r, unsigned int i,
			     unsigned int at)
{
	struct epf_vring_chain *c = &r->chains[i];

	memset(c, 0, sizeof(*c));
	c->head = le16_to_cpu(r->avail[i]);
	c->ext = r->ext + at;
	if (c->head >= r->conf.size)
		return vring_bad(r, "a head is behind the table");
	if (r->heads[c->head] != VRING_FREE)
		return vring_bad(r, "a head is in use already");
	r->heads[c->head] = VRING_FETCHED;
	return 0;
}

/*
 * Walks up to @n chains, and leaves the rest to the next burst when a chain
 * of the greatest length has no room any more.
 */
static int vring_walk_burst(struct epf_vring *r, unsigned int n)
{
	unsigned int at = 0;
	int ret;

	while (r->nchains < n && at + r->conf.size <= EPF_VRING_BURST_DESCS) {
		struct epf_vring_chain *c = &r->chains[r->nchains];

		ret = vring_begin_chain(r, r->nchains, at);
		if (ret)
			return ret;
		r->nchains++;
		ret = vring_walk(r, c);
		if (ret)
			return ret;
		at += c->nread + c->nwrite + c->ntable;
	}
	return 0;
}

/* Reads all indirect tables of the burst at once, and walks them. */
static int vring_walk_tables(struct epf_vring *r)
{
	unsigned int n = 0, i;
	int ret = 0;

	for (i = 0; i < r->nchains; i++) {
		const struct epf_vring_chain *c = &r->chains[i];

		if (c->ntable)
			n = vring_segment(r, n, c->table_addr, c->table,
					  c->ntable * sizeof(*c->table));
	}
	if (n)
		ret = r->mem.read(r->mem.data, r->segs, n);
	for (i = 0; !ret && i < r->nchains; i++)
		if (r->chains[i].ntable)
			ret = vring_walk_table(r, &r->chains[i]);
	return ret;
}

/* After an error the driver's heads are as before. */
static void vring_drop_burst(struct epf_vring *r)
{
	while (r->nchains)
		r->heads[r->chains[--r->nchains].head] = VRING_FREE;
}

int epf_vring_fetch(struct epf_vring *r)
{
	int n, ret;

	if (r->broken)
		return -EPROTO;
	if (r->taken < r->nchains)
		return r->nchains - r->taken;
	r->taken = 0;
	r->nchains = 0;
	n = vring_read_avail(r);
	if (n <= 0)
		return n;
	ret = vring_walk_burst(r, n);
	if (!ret)
		ret = vring_walk_tables(r);
	if (ret) {
		vring_drop_burst(r);
		return ret;
	}
	r->avail_idx += r->nchains;
	return r->nchains;
}

int epf_vring_next(struct epf_vring *r, struct epf_vring_chain *c)
{
	if (r->broken)
		return -EPROTO;
	if (r->taken == r->nchains)
		return 0;
	*c = r->chains[r->taken++];
	r->heads[c->head] = VRING_TAKEN;
	return 1;
}

/* ---- Chains that are used ---- */

int epf_vring_used(struct epf_vring *r, u16 head, u32 len)
{
	if (head >= r->conf.size || r->heads[head] != VRING_TAKEN)
		return -EINVAL;
	/* There is one element at most for each head. */
	r->elems[r->nused].id = cpu_to_le32(head);
	r->elems[r->nused].len = cpu_to_le32(len);
	r->nused++;
	r->heads[head] = VRING_USED;
	return 0;
}

/* The elements, and the index behind them */
static unsigned int vring_used_segments(struct epf_vring *r)
{
	unsigned int n;

	r->words->used_idx = cpu_to_le16(r->used_idx + r->nused);
	n = vring_segments(r, 0, r->conf.used, r->used_idx, r->elems,
			   sizeof(*r->elems), r->nused);
	return vring_segment(r, n, r->conf.used + VRING_IDX,
			     &r->words->used_idx, sizeof(r->words->used_idx));
}

static void vring_used_told(struct epf_vring *r)
{
	unsigned int i;

	for (i = 0; i < r->nused; i++)
		r->heads[le32_to_cpu(r->elems[i].id)] = VRING_FREE;
	r->used_idx += r->nused;
	r->unsignalled += r->nused;
	r->nused = 0;
}

/*
 * Whether the driver shall notify: the flags, or with VIRTIO_F_EVENT_IDX the
 * position of the next chain that was not fetched
 */
static unsigned int vring_notify_segment(struct epf_vring *r, unsigned int n,
					 bool on)
{
	u64 addr = r->conf.used;

	if (!r->conf.event_idx && r->flags_known && r->no_notify == !on)
		return n;
	if (r->conf.event_idx) {
		addr += VRING_ENTRIES + r->conf.size * sizeof(*r->elems);
		r->words->notify = cpu_to_le16(r->avail_idx);
	} else {
		r->words->notify = cpu_to_le16(on ? 0 : VRING_USED_NO_NOTIFY);
		r->flags_known = false;
	}
	return vring_segment(r, n, addr, &r->words->notify,
			     sizeof(r->words->notify));
}

/* Writes all that the driver has to know, the used elements first. */
static int vring_tell(struct epf_vring *r, bool used, bool notify, bool on)
{
	unsigned int n = 0;
	int ret = 0;

	used = used && r->nused;
	if (used)
		n = vring_used_segments(r);
	if (notify)
		n = vring_notify_segment(r, n, on);
	if (n)
		ret = r->mem.write(r->mem.data, r->segs, n);
	if (ret)
		return ret;
	if (used)
		vring_used_told(r);
	if (notify) {
		r->flags_known = true;
		r->no_notify = !on;
	}
	return 0;
}

/*
 * Section 2.7.7.2.  With VIRTIO_F_EVENT_IDX the driver waits for the element
 * of one position, and the last @unsignalled elements have positions up to
 * @used_idx - 1.
 */
static bool vring_wants_interrupt(const struct epf_vring *r)
{
	u16 wish = le16_to_cpu(r->words->wish);
	u16 behind;

	if (!r->conf.event_idx)
		return !(wish & VRING_AVAIL_NO_INTERRUPT);
	behind = r->used_idx - 1 - wish;
	return behind < r->unsignalled;
}

/*
 * Reads what the driver decides when it sees what vring_tell() wrote: whether
 * it wants an interrupt for used elements, and with @more whether more chains
 * are available, which is returned.  Without @interrupt it does not ask for the
 * first.
 */
static int vring_ask(struct epf_vring *r, bool more, bool *interrupt)
{
	bool wish = interrupt && r->unsignalled;
	unsigned int n = 0;
	u64 addr = r->conf.avail;
	int ret;

	if (r->conf.event_idx)
		addr += VRING_ENTRIES + r->conf.size * sizeof(*r->avail);
	if (wish)
		n = vring_segment(r, n, addr, &r->words->wish,
				  sizeof(r->words->wish));
	if (more)
		n = vring_segment(r, n, r->conf.avail + VRING_IDX,
				  &r->words->avail_idx,
				  sizeof(r->words->avail_idx));
	if (!n)
		return 0;
	ret = r->mem.read(r->mem.data, r->segs, n);
	if (ret)
		return ret;
	if (wish) {
		*interrupt = vring_wants_interrupt(r);
		r->unsignalled = 0;
	}
	if (!more)
		return 0;
	ret = vring_count(r, r->words->avail_idx);
	return ret > 0 ? 1 : ret;
}

int epf_vring_flush(struct epf_vring *r, bool *interrupt)
{
	int ret;

	*interrupt = false;
	ret = vring_tell(r, true, false, false);
	return ret ? ret : vring_ask(r, false, interrupt);
}

int epf_vring_want_notify(struct epf_vring *r, bool on)
{
	int ret;

	if (r->broken)
		return -EPROTO;
	if (!on && r->conf.event_idx)
		return 0;
	if (on && r->taken < r->nchains)
		return 1;
	ret = vring_tell(r, false, true, on);
	return ret || !on ? ret : vring_ask(r, true, NULL);
}

int epf_vring_finish(struct epf_vring *r, bool *interrupt)
{
	int ret;

	if (r->broken || r->taken < r->nchains) {
		ret = epf_vring_flush(r, interrupt);
		if (!ret)
			ret = r->broken ? -EPROTO : 1;
		return ret;
	}
	*interrupt = false;
	ret = vring_tell(r, true, true, true);
	return ret ? ret : vring_ask(r, true, interrupt);
}

/* ---- Parts of a chain ---- */

int epf_vring_slice(const struct epf_vring_chain *c, bool write, u64 offset,
		    void *buf, u32 len, struct epf_vring_seg *segs,
		    unsigned int max)
{
	const struct epf_vring_extent *e = c->ext + (write ? c->nread : 0);
	const struct epf_vring_extent *end;
	unsigned int n = 0;

	end = e + (write ? c->nwrite : c->nread);
	for (; e < end && len; e++) {
		u32 part = len;

		if (offset >= e->len) {
			offset -= e->len;
			continue;
		}
		if (n == max)
			return -ENOSPC;
		if (part > e->len - offset)
			part = e->len - offset;
		segs[n].addr = e->addr + offset;
		segs[n].buf = buf;
		segs[n].len = part;
		n++;
		buf = (u8 *)buf + part;
		len -= part;
		offset = 0;
	}
	return len ? -EINVAL : (int)n;
}
