/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Virtio devices as PCI endpoint functions: what a back end is made of
 *
 * A back end is one type of virtio device.  It has a &struct epf_virtio_ops, and
 * the array epf_virtio_types in attrs.c names it.  The transport does all that is
 * common: PCI, registers, features, queues, interrupts, resets.
 *
 * Order of calls.  open() comes when the function is bound and close() when it is
 * unbound.  Between them the driver of the host may start the device (start())
 * and end it (stop()) many times.  work() runs between start() and stop() only,
 * and never twice at once for one queue.  It may run for two queues at once.
 *
 * Waits.  All calls come in process context and may sleep.  None is made from an
 * access of the host, so each may wait for DMA.
 *
 * Errors.  A negative value from start() or work() ends the device: the host reads
 * VIRTIO_CONFIG_S_NEEDS_RESET, and nothing but stop() is called until the host
 * has reset the device.
 */
#ifndef EPF_VIRTIO_H
#define EPF_VIRTIO_H

#include <linux/dma-direction.h>
#include <linux/types.h>

#include "vring.h"

struct epf_virtio;
struct epf_virtio_queue;

/* Chains that work() handles before it returns 1 */
#define EPF_VIRTIO_BUDGET	64

/*
 * work() returns this when it takes no chains before epf_virtio_kick(), whether
 * there are some or not.  The host is then not asked for notifications.
 */
#define EPF_VIRTIO_WAITS	2

/**
 * struct epf_virtio_ops - a type of virtio device
 * @name: what the attribute "type" has
 * @device_type: device type of the virtio specification, section 5
 * @class_code: class code of the PCI header: class, subclass, interface
 * @features: feature bits of the type, without those of the transport
 * @queues: number of queues, at most EPF_VIRTIO_MAX_QUEUES
 * @num_queues: returns that number if it differs from device to device, before
 *	@open; may be NULL
 * @queue_size: entries of a queue, a power of two; a user can choose others
 * @config_size: bytes of the device configuration
 * @open: prepares the back end and fills the device configuration; may be NULL
 * @close: undoes @open; may be NULL
 * @start: the driver of the host is ready; epf_virtio_features() are those that
 *	it accepted; may be NULL
 * @stop: undoes @start, which may have failed; when it returns nothing uses a
 *	chain of any queue; may be NULL
 * @reset_queue: when it returns nothing uses a chain of this queue, whose @work
 *	has ended; may be NULL
 * @broken: the device ended after an error; comes in any process context, also
 *	while @work runs; may be NULL
 * @work: handles chains of a queue, see epf_virtio_next(); returns 0 when it has
 *	done all it can now, 1 when it wants to be called again,
 *	EPF_VIRTIO_WAITS, or an error
 * @config_write: the host has written to the device configuration, which has the
 *	new bytes already; must not wait for DMA; NULL if the host cannot write
 */
struct epf_virtio_ops {
	const char *name;
	u16 device_type;
	u32 class_code;
	u64 features;
	unsigned int queues;
	unsigned int (*num_queues)(struct epf_virtio *ev);
	u16 queue_size;
	size_t config_size;
	int (*open)(struct epf_virtio *ev);
	void (*close)(struct epf_virtio *ev);
	int (*start)(struct epf_virtio *ev);
	void (*stop)(struct epf_virtio *ev);
	void (*reset_queue)(struct epf_virtio_queue *q);
	void (*broken)(struct epf_virtio *ev);
	int (*work)(struct epf_virtio_queue *q);
	void (*config_write)(struct epf_virtio *ev, unsigned int offset,
			     unsigned int size);
};

extern const struct epf_virtio_ops epf_virtio_rng_ops;
extern const struct epf_virtio_ops epf_virtio_blk_ops;
extern const struct epf_virtio_ops epf_virtio_net_ops;
extern const struct epf_virtio_ops epf_virtio_console_ops;

/* The ttys of all console devices, while the module is loaded */
int epf_virtio_console_driver_init(void);
void epf_virtio_console_driver_exit(void);

/* ---- The device ---- */

struct device *epf_virtio_device(struct epf_virtio *ev);
u64 epf_virtio_features(struct epf_virtio *ev);
void epf_virtio_set_data(struct epf_virtio *ev, void *data);
void *epf_virtio_data(struct epf_virtio *ev);

/* Entries of a queue at most */
u16 epf_virtio_queue_size(struct epf_virtio *ev);

/* The attributes "backing", NULL if there is none, and "read_only" */
const char *epf_virtio_backing(struct epf_virtio *ev);
bool epf_virtio_read_only(struct epf_virtio *ev);

/* Offers features that not every device of the type has; open() only. */
void epf_virtio_add_features(struct epf_virtio *ev, u64 features);

/**
 * epf_virtio_set_config() - change the device configuration
 * @ev: the device
 * @offset: of the first byte
 * @data: the bytes
 * @size: their number
 *
 * The host never sees a part of the change, and gets an interrupt if its driver
 * is ready.
 *
 * Context: process context, may sleep.  Not from config_write().
 */
void epf_virtio_set_config(struct epf_virtio *ev, unsigned int offset,
			   const void *data, size_t size);

/* ---- Queues ---- */

struct epf_virtio *epf_virtio_of(struct epf_virtio_queue *q);
struct epf_virtio_queue *epf_virtio_queue(struct epf_virtio *ev,
					  unsigned int index);
unsigned int epf_virtio_queue_index(struct epf_virtio_queue *q);

/* Entries that the driver has chosen; work() only */
u16 epf_virtio_ring_size(struct epf_virtio_queue *q);

/**
 * epf_virtio_kick() - have work() called soon, as if the host had notified
 * @q: the queue
 *
 * Context: any.
 */
void epf_virtio_kick(struct epf_virtio_queue *q);

/**
 * epf_virtio_next() - take the next chain that the host made available
 * @q: the queue
 * @chain: filled in; valid until the next call
 *
 * Context: work() only.
 *
 * Return: 1, 0 if there is none, or an error that work() returns.
 */
int epf_virtio_next(struct epf_virtio_queue *q, struct epf_vring_chain *chain);

/**
 * epf_virtio_used() - give a chain back to the host
 * @q: the queue
 * @head: head of the chain
 * @len: bytes that were written to it
 *
 * The host sees it and gets its interrupt when work() has returned.
 *
 * Context: work() only.
 *
 * Return: 0, or an error that work() returns.
 */
int epf_virtio_used(struct epf_virtio_queue *q, u16 head, u32 len);

/**
 * epf_virtio_chain_read() - copy from what the host wrote to a chain
 * @q: the queue
 * @chain: the chain
 * @offset: of the first byte in the part that the host wrote
 * @buf: kernel memory that DMA can reach
 * @len: number of bytes; the chain has to have them
 *
 * Context: process context, may sleep.
 *
 * Return: 0, -EINVAL if the chain is shorter, -EFAULT if the host has no such
 * memory.
 */
int epf_virtio_chain_read(struct epf_virtio_queue *q,
			  const struct epf_vring_chain *chain, u64 offset,
			  void *buf, size_t len);

/**
 * epf_virtio_chain_write() - copy to the part of a chain for the device
 * @q: the queue
 * @chain: the chain
 * @offset: of the first byte in the part that the device writes
 * @buf: kernel memory that DMA can reach
 * @len: number of bytes; the chain has to have room for them
 *
 * Context: process context, may sleep.
 *
 * Return: as epf_virtio_chain_read().
 */
int epf_virtio_chain_write(struct epf_virtio_queue *q,
			   const struct epf_vring_chain *chain, u64 offset,
			   void *buf, size_t len);

/**
 * epf_virtio_dma() - copy segments, which may be of several chains
 * @ev: the device
 * @segs: the segments, whose memory DMA can reach
 * @n: their number
 * @dir: DMA_FROM_DEVICE from the host, DMA_TO_DEVICE to the host
 *
 * They are copied in their order.
 *
 * Context: process context, may sleep.
 *
 * Return: 0, or -EFAULT if the host has no such memory.
 */
int epf_virtio_dma(struct epf_virtio *ev, const struct epf_vring_seg *segs,
		   unsigned int n, enum dma_data_direction dir);

#endif /* EPF_VIRTIO_H */
