// SPDX-License-Identifier: GPL-2.0
/*
 * Block device (virtio specification, section 5.2): sectors of a block device
 * or of a file of this machine
 *
 * A queue handles requests in groups, whose data is in one buffer.  One
 * transfer gets all that the host wrote to the chains of a group.  Then each
 * request is carried out, and one transfer writes what the host reads, for each
 * chain the status last.  A request that does not fit into the buffer is handled alone,
 * part by part.
 *
 * I/O goes through the page cache of this machine, so VIRTIO_BLK_F_FLUSH is
 * always offered.
 */
#include <linux/align.h>
#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <uapi/linux/virtio_blk.h>
#include <uapi/linux/virtio_ids.h>

#include "virtio.h"

#define EPF_VIRTIO_BLK_QUEUES	4
#define EPF_VIRTIO_BLK_SIZE	128	/* entries of a queue */
/* The buffer of a queue, and where the data of a request may begin in it */
#define EPF_VIRTIO_BLK_BUF	SZ_512K
#define EPF_VIRTIO_BLK_ALIGN	64
/* Requests of a group */
#define EPF_VIRTIO_BLK_GROUP	32
/* Ranges of a request that discards or writes zeroes */
#define EPF_VIRTIO_BLK_RANGES	64
/* Sectors of such a range, so that a request does not take long */
#define EPF_VIRTIO_BLK_RANGE_MAX	(SZ_64M >> SECTOR_SHIFT)
/* Before the data of a chain; the last byte of a chain is the status. */
#define EPF_VIRTIO_BLK_HEADER	sizeof(struct virtio_blk_outhdr)

/**
 * struct epf_virtio_blk_request - a request of a group
 * @chain: its chain
 * @out: what the host wrote
 * @in: what the host reads, with the status at its end
 * @all: the host gets all of @in, otherwise the status only
 */
struct epf_virtio_blk_request {
	struct epf_vring_chain chain;
	u8 *out;
	u8 *in;
	bool all;
};

/**
 * struct epf_virtio_blk_queue - what a queue needs for a group
 * @buf: the data
 * @fill: bytes of @buf that are taken
 * @n: requests of the group
 * @nsegs: segments that their chains have at most
 * @request: the requests
 * @segs: for one transfer
 */
struct epf_virtio_blk_queue {
	u8 *buf;
	size_t fill;
	unsigned int n;
	unsigned int nsegs;
	struct epf_virtio_blk_request request[EPF_VIRTIO_BLK_GROUP];
	struct epf_vring_seg segs[EPF_VRING_MAX_SIZE];
};

/**
 * struct epf_virtio_blk - a device
 * @file: the sectors
 * @capacity: their number
 * @read_only: the host may not write
 * @queue: for each queue
 */
struct epf_virtio_blk {
	struct file *file;
	u64 capacity;
	bool read_only;
	struct epf_virtio_blk_queue queue[EPF_VIRTIO_BLK_QUEUES];
};

/* ---- Sectors ---- */

static bool epf_virtio_blk_inside(const struct epf_virtio_blk *blk,
				  u64 sector, u64 len)
{
	return !(len & (SECTOR_SIZE - 1)) && sector <= blk->capacity &&
	       len >> SECTOR_SHIFT <= blk->capacity - sector;
}

static u8 epf_virtio_blk_read(struct epf_virtio_blk *blk, u64 sector,
			      void *buf, size_t len)
{
	loff_t pos = sector << SECTOR_SHIFT;

	if (!epf_virtio_blk_inside(blk, sector, len))
		return VIRTIO_BLK_S_IOERR;
	while (len) {
		ssize_t n = kernel_read(blk->file, buf, len, &pos);

		if (n <= 0)
			return VIRTIO_BLK_S_IOERR;
		buf += n;
		len -= n;
	}
	return VIRTIO_BLK_S_OK;
}

static u8 epf_virtio_blk_write(struct epf_virtio_blk *blk, u64 sector,
			       const void *buf, size_t len)
{
	loff_t pos = sector << SECTOR_SHIFT;

	if (blk->read_only || !epf_virtio_blk_inside(blk, sector, len))
		return VIRTIO_BLK_S_IOERR;
	while (len) {
		ssize_t n = kernel_write(blk->file, buf, len, &pos);

		if (n <= 0)
			return VIRTIO_BLK_S_IOERR;
		buf += n;
		len -= n;
	}
	return VIRTIO_BLK_S_OK;
}

static u8 epf_virtio_blk_flush(struct epf_virtio_blk *blk)
{
	return vfs_fsync(blk->file, 1) ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

/*
 * A hole reads as zeroes too, so it does for a file system that has holes and
 * cannot write zeroes otherwise.
 */
static int epf_virtio_blk_zero_range(struct epf_virtio_blk *blk, bool hole,
				     loff_t pos, loff_t len)
{
	int ret = -EOPNOTSUPP;

	if (!hole)
		ret = vfs_fallocate(blk->file,
				    FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
				    pos, len);
	if (ret == -EOPNOTSUPP)
		ret = vfs_fallocate(blk->file,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    pos, len);
	return ret;
}

/* Section 5.2.6.2 says which flags and lengths are errors. */
static u8 epf_virtio_blk_zero_one(struct epf_virtio_blk *blk, bool discard,
				  const struct virtio_blk_discard_write_zeroes *r)
{
	u32 known = discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	u64 sector = le64_to_cpu(r->sector);
	u64 n = le32_to_cpu(r->num_sectors);
	u32 flags = le32_to_cpu(r->flags);
	int ret;

	if (flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (!n || n > EPF_VIRTIO_BLK_RANGE_MAX ||
	    !epf_virtio_blk_inside(blk, sector, n << SECTOR_SHIFT))
		return VIRTIO_BLK_S_IOERR;
	ret = epf_virtio_blk_zero_range(blk, discard, sector << SECTOR_SHIFT,
					n << SECTOR_SHIFT);
	if (ret == -EOPNOTSUPP)
		return VIRTIO_BLK_S_UNSUPP;
	return ret ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

static u8 epf_virtio_blk_zero(struct epf_virtio_blk *blk, bool discard,
			      const void *ranges, size_t len)
{
	const struct virtio_blk_discard_write_zeroes *r = ranges;
	size_t n = len / sizeof(*r);

	if (blk->read_only || !n || len % sizeof(*r) ||
	    n > EPF_VIRTIO_BLK_RANGES)
		return VIRTIO_BLK_S_IOERR;
	for (; n; n--, r++) {
		u8 status = epf_virtio_blk_zero_one(blk, discard, r);

		if (status != VIRTIO_BLK_S_OK)
			return status;
	}
	return VIRTIO_BLK_S_OK;
}

/* ---- Requests ---- */

/* The name of the endpoint function, as the serial number */
static void epf_virtio_blk_id(struct epf_virtio *ev, u8 *in, size_t len)
{
	const char *name = dev_name(epf_virtio_device(ev));

	memset(in, 0, len);
	memcpy(in, name, min3(strlen(name), len, (size_t)VIRTIO_BLK_ID_BYTES));
}

static void epf_virtio_blk_execute(struct epf_virtio *ev,
				   struct epf_virtio_blk_request *r)
{
	const struct virtio_blk_outhdr *h = (void *)r->out;
	struct epf_virtio_blk *blk = epf_virtio_data(ev);
	size_t out_len = r->chain.read_len - EPF_VIRTIO_BLK_HEADER;
	size_t in_len = r->chain.write_len - 1;
	u8 *out = r->out + EPF_VIRTIO_BLK_HEADER;
	u32 type = le32_to_cpu((__force __le32)h->type);
	u64 sector = le64_to_cpu((__force __le64)h->sector);
	u8 status;

	r->all = !in_len;
	switch (type) {
	case VIRTIO_BLK_T_IN:
		status = epf_virtio_blk_read(blk, sector, r->in, in_len);
		r->all = status == VIRTIO_BLK_S_OK;
		break;
	case VIRTIO_BLK_T_OUT:
		status = epf_virtio_blk_write(blk, sector, out, out_len);
		break;
	case VIRTIO_BLK_T_FLUSH:
		status = epf_virtio_blk_flush(blk);
		break;
	case VIRTIO_BLK_T_GET_ID:
		epf_virtio_blk_id(ev, r->in, in_len);
		status = VIRTIO_BLK_S_OK;
		r->all = true;
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		status = epf_virtio_blk_zero(blk, type == VIRTIO_BLK_T_DISCARD,
					     out, out_len);
		break;
	default:
		status = VIRTIO_BLK_S_UNSUPP;
		break;
	}
	r->in[in_len] = status;
}

/* ---- Groups ---- */

static struct epf_virtio_blk_queue *
epf_virtio_blk_queue_of(struct epf_virtio_queue *q)
{
	struct epf_virtio_blk *blk = epf_virtio_data(epf_virtio_of(q));

	return &blk->queue[epf_virtio_queue_index(q)];
}

/* Gets what the host wrote to all chains of the group. */
static int epf_virtio_blk_gather(struct epf_virtio *ev,
				 struct epf_virtio_blk_queue *bq)
{
	unsigned int i, n = 0;

	for (i = 0; i < bq->n; i++) {
		struct epf_virtio_blk_request *r = &bq->request[i];
		int ret = epf_vring_slice(&r->chain, false, 0, r->out,
					  r->chain.read_len, bq->segs + n,
					  ARRAY_SIZE(bq->segs) - n);

		if (ret < 0)
			return ret;
		n += ret;
	}
	return epf_virtio_dma(ev, bq->segs, n, DMA_FROM_DEVICE);
}

/* Writes the answers to all chains of the group. */
static int epf_virtio_blk_scatter(struct epf_virtio *ev,
				  struct epf_virtio_blk_queue *bq)
{
	unsigned int i, n = 0;

	for (i = 0; i < bq->n; i++) {
		struct epf_virtio_blk_request *r = &bq->request[i];
		u64 at = r->all ? 0 : r->chain.write_len - 1;
		int ret = epf_vring_slice(&r->chain, true, at, r->in + at,
					  r->chain.write_len - at,
					  bq->segs + n,
					  ARRAY_SIZE(bq->segs) - n);

		if (ret < 0)
			return ret;
		n += ret;
	}
	return epf_virtio_dma(ev, bq->segs, n, DMA_TO_DEVICE);
}

/* Handles the requests of the group, which is empty afterwards. */
static int epf_virtio_blk_run(struct epf_virtio_queue *q)
{
	struct epf_virtio_blk_queue *bq = epf_virtio_blk_queue_of(q);
	struct epf_virtio *ev = epf_virtio_of(q);
	unsigned int i;
	int ret;

	if (!bq->n)
		return 0;
	ret = epf_virtio_blk_gather(ev, bq);
	for (i = 0; !ret && i < bq->n; i++)
		epf_virtio_blk_execute(ev, &bq->request[i]);
	if (!ret)
		ret = epf_virtio_blk_scatter(ev, bq);
	for (i = 0; !ret && i < bq->n; i++) {
		struct epf_virtio_blk_request *r = &bq->request[i];

		ret = epf_virtio_used(q, r->chain.head,
				      r->all ? r->chain.write_len : 0);
	}
	bq->n = 0;
	bq->nsegs = 0;
	bq->fill = 0;
	return ret;
}

/* Adds a request if the group has room for it. */
static bool epf_virtio_blk_add(struct epf_virtio_blk_queue *bq,
			       const struct epf_vring_chain *c)
{
	size_t out = ALIGN(c->read_len, EPF_VIRTIO_BLK_ALIGN);
	size_t in = ALIGN(c->write_len, EPF_VIRTIO_BLK_ALIGN);
	struct epf_virtio_blk_request *r = &bq->request[bq->n];

	if (bq->n == ARRAY_SIZE(bq->request) ||
	    out + in > EPF_VIRTIO_BLK_BUF - bq->fill ||
	    c->nread + c->nwrite > ARRAY_SIZE(bq->segs) - bq->nsegs)
		return false;
	r->chain = *c;
	r->out = bq->buf + bq->fill;
	r->in = r->out + out;
	bq->n++;
	bq->nsegs += c->nread + c->nwrite;
	bq->fill += out + in;
	return true;
}

/* ---- Requests that do not fit into the buffer ---- */

/*
 * Moves the data of a request between host and sectors, part by part.
 * Returns an error of the transfer; *status is that of the sectors.
 */
static int epf_virtio_blk_move(struct epf_virtio_queue *q,
			       const struct epf_vring_chain *c, bool write,
			       u64 sector, u8 *status)
{
	struct epf_virtio_blk *blk = epf_virtio_data(epf_virtio_of(q));
	u64 len = write ? c->read_len - EPF_VIRTIO_BLK_HEADER :
			  c->write_len - 1;
	void *buf = epf_virtio_blk_queue_of(q)->buf;
	u64 at, part;
	int ret = 0;

	*status = epf_virtio_blk_inside(blk, sector, len) ?
		  VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
	for (at = 0; !ret && *status == VIRTIO_BLK_S_OK && at < len;
	     at += part, sector += part >> SECTOR_SHIFT) {
		part = min_t(u64, len - at, EPF_VIRTIO_BLK_BUF);
		if (write) {
			ret = epf_virtio_chain_read(q, c,
						    EPF_VIRTIO_BLK_HEADER + at,
						    buf, part);
			if (!ret)
				*status = epf_virtio_blk_write(blk, sector,
							       buf, part);
		} else {
			*status = epf_virtio_blk_read(blk, sector, buf, part);
			if (*status == VIRTIO_BLK_S_OK)
				ret = epf_virtio_chain_write(q, c, at, buf,
							     part);
		}
	}
	return ret;
}

static int epf_virtio_blk_alone(struct epf_virtio_queue *q,
				const struct epf_vring_chain *c)
{
	u8 *buf = epf_virtio_blk_queue_of(q)->buf;
	const struct virtio_blk_outhdr *h = (void *)buf;
	u8 status = VIRTIO_BLK_S_UNSUPP;
	bool all = false;
	u32 type;
	int ret;

	ret = epf_virtio_chain_read(q, c, 0, buf, EPF_VIRTIO_BLK_HEADER);
	if (ret)
		return ret;
	type = le32_to_cpu((__force __le32)h->type);
	if (type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_OUT)
		ret = epf_virtio_blk_move(q, c, type == VIRTIO_BLK_T_OUT,
					  le64_to_cpu((__force __le64)h->sector),
					  &status);
	if (ret)
		return ret;
	all = c->write_len == 1 ||
	      (type == VIRTIO_BLK_T_IN && status == VIRTIO_BLK_S_OK);
	*buf = status;
	ret = epf_virtio_chain_write(q, c, c->write_len - 1, buf, 1);
	if (ret)
		return ret;
	return epf_virtio_used(q, c->head,
			       all ? min_t(u64, c->write_len, U32_MAX) : 0);
}

/* ---- A turn ---- */

static int epf_virtio_blk_take(struct epf_virtio_queue *q,
			       const struct epf_vring_chain *c)
{
	struct epf_virtio_blk_queue *bq = epf_virtio_blk_queue_of(q);
	int ret;

	/* There is no way to tell the driver of the host but a reset. */
	if (c->read_len < EPF_VIRTIO_BLK_HEADER || !c->write_len)
		return -EPROTO;
	if (epf_virtio_blk_add(bq, c))
		return 0;
	ret = epf_virtio_blk_run(q);
	if (ret || epf_virtio_blk_add(bq, c))
		return ret;
	return epf_virtio_blk_alone(q, c);
}

static int epf_virtio_blk_work(struct epf_virtio_queue *q)
{
	struct epf_vring_chain chain;
	unsigned int n;
	int ret = 1, err;

	for (n = 0; ret > 0 && n < EPF_VIRTIO_BUDGET; n++) {
		ret = epf_virtio_next(q, &chain);
		if (ret <= 0)
			break;
		err = epf_virtio_blk_take(q, &chain);
		if (err)
			ret = err;
	}
	/* After an error too: these requests are not bad. */
	err = epf_virtio_blk_run(q);
	return ret < 0 ? ret : err ? err : ret;
}

/* ---- Begin and end ---- */

static struct file *epf_virtio_blk_open_file(struct epf_virtio *ev,
					     bool *read_only)
{
	const int flags = O_LARGEFILE | O_EXCL;
	const char *path = epf_virtio_backing(ev);
	struct file *file;

	*read_only = epf_virtio_read_only(ev);
	if (!path)
		return ERR_PTR(-EINVAL);
	if (!*read_only) {
		file = filp_open(path, O_RDWR | flags, 0);
		if (!IS_ERR(file) || PTR_ERR(file) != -EROFS)
			return file;
		*read_only = true;
	}
	return filp_open(path, O_RDONLY | flags, 0);
}

/* Returns the size of a block, 0 if this is neither a device nor a file. */
static u32 epf_virtio_blk_block_size(struct file *file)
{
	struct inode *inode = file->f_mapping->host;

	if (S_ISBLK(inode->i_mode))
		return bdev_logical_block_size(I_BDEV(inode));
	return S_ISREG(inode->i_mode) ? SECTOR_SIZE : 0;
}

static int epf_virtio_blk_describe(struct epf_virtio *ev,
				   struct epf_virtio_blk *blk)
{
	u32 block_size = epf_virtio_blk_block_size(blk->file);
	u32 seg_max = max_t(u32, epf_virtio_queue_size(ev), 3) - 2;
	struct virtio_blk_config c = { };

	blk->capacity = i_size_read(blk->file->f_mapping->host) >>
			SECTOR_SHIFT;
	if (!block_size || !blk->capacity)
		return -EINVAL;
	c.capacity = (__force __virtio64)cpu_to_le64(blk->capacity);
	/* No chain is longer than the queue.  Header and status are in it too. */
	c.seg_max = (__force __virtio32)cpu_to_le32(seg_max);
	c.blk_size = (__force __virtio32)cpu_to_le32(block_size);
	c.num_queues = (__force __virtio16)cpu_to_le16(EPF_VIRTIO_BLK_QUEUES);
	c.max_discard_sectors =
		(__force __virtio32)cpu_to_le32(EPF_VIRTIO_BLK_RANGE_MAX);
	c.max_discard_seg =
		(__force __virtio32)cpu_to_le32(EPF_VIRTIO_BLK_RANGES);
	c.discard_sector_alignment =
		(__force __virtio32)cpu_to_le32(block_size >> SECTOR_SHIFT);
	c.max_write_zeroes_sectors = c.max_discard_sectors;
	c.max_write_zeroes_seg = c.max_discard_seg;
	c.write_zeroes_may_unmap = 1;
	epf_virtio_set_config(ev, 0, &c, sizeof(c));
	epf_virtio_add_features(ev, blk->read_only ?
				BIT_ULL(VIRTIO_BLK_F_RO) :
				BIT_ULL(VIRTIO_BLK_F_DISCARD) |
				BIT_ULL(VIRTIO_BLK_F_WRITE_ZEROES));
	return 0;
}

static void epf_virtio_blk_free(struct epf_virtio_blk *blk)
{
	unsigned int i;

	for (i = 0; i < EPF_VIRTIO_BLK_QUEUES; i++)
		kfree(blk->queue[i].buf);
	if (!IS_ERR_OR_NULL(blk->file))
		fput(blk->file);
	kvfree(blk);
}

static int epf_virtio_blk_fill(struct epf_virtio *ev,
			       struct epf_virtio_blk *blk)
{
	unsigned int i;

	for (i = 0; i < EPF_VIRTIO_BLK_QUEUES; i++) {
		blk->queue[i].buf = kmalloc(EPF_VIRTIO_BLK_BUF, GFP_KERNEL);
		if (!blk->queue[i].buf)
			return -ENOMEM;
	}
	blk->file = epf_virtio_blk_open_file(ev, &blk->read_only);
	if (IS_ERR(blk->file))
		return PTR_ERR(blk->file);
	return epf_virtio_blk_describe(ev, blk);
}

static int epf_virtio_blk_open(struct epf_virtio *ev)
{
	struct epf_virtio_blk *blk = kvzalloc(sizeof(*blk), GFP_KERNEL);
	int ret;

	if (!blk)
		return -ENOMEM;
	ret = epf_virtio_blk_fill(ev, blk);
	if (ret) {
		dev_err(epf_virtio_device(ev), "cannot use the backing: error %d\n",
			ret);
		epf_virtio_blk_free(blk);
		return ret;
	}
	epf_virtio_set_data(ev, blk);
	return 0;
}

static void epf_virtio_blk_close(struct epf_virtio *ev)
{
	epf_virtio_blk_free(epf_virtio_data(ev));
}

const struct epf_virtio_ops epf_virtio_blk_ops = {
	.name = "blk",
	.device_type = VIRTIO_ID_BLOCK,
	.class_code = 0x018000,
	.features = BIT_ULL(VIRTIO_BLK_F_SEG_MAX) |
		    BIT_ULL(VIRTIO_BLK_F_BLK_SIZE) |
		    BIT_ULL(VIRTIO_BLK_F_FLUSH) |
		    BIT_ULL(VIRTIO_BLK_F_MQ),
	.queues = EPF_VIRTIO_BLK_QUEUES,
	.queue_size = EPF_VIRTIO_BLK_SIZE,
	.config_size = sizeof(struct virtio_blk_config),
	.open = epf_virtio_blk_open,
	.close = epf_virtio_blk_close,
	.work = epf_virtio_blk_work,
};
