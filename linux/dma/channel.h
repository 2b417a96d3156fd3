/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DMA channels: one channel and the engine that it belongs to
 */
#ifndef PCIE_QEMU_EP_CHANNEL_H
#define PCIE_QEMU_EP_CHANNEL_H

#include <linux/completion.h>
#include <linux/dmaengine.h>
#include <linux/interrupt.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/semaphore.h>
#include <linux/spinlock.h>

#include "../controller/controller.h"

/* Number of failures of a channel that tx_status() remembers */
#define QEMU_EP_DMA_FAILURES	64

/**
 * struct qemu_ep_xfer - a copy that fits one descriptor of the device
 * @src: EPC_DMA_DESC_SRC
 * @dst: EPC_DMA_DESC_DST
 * @len: EPC_DMA_DESC_LENGTH
 * @flags: EPC_DMA_SRC_HOST, EPC_DMA_DST_HOST, indices of register pages
 */
struct qemu_ep_xfer {
	u64 src;
	u64 dst;
	u32 len;
	u32 flags;
};

/**
 * struct qemu_ep_tx - one transaction of a client
 * @tx: for dmaengine
 * @node: in one of the lists of the channel
 * @status: EPC_DMA_OK or the status of the first copy that failed
 * @count: number of copies
 * @posted: number of copies that the device has got
 * @reaped: number of copies that the device has completed
 * @done: number of bytes that it has copied
 * @xfer: the copies
 */
struct qemu_ep_tx {
	struct dma_async_tx_descriptor tx;
	struct list_head node;
	u32 status;
	u32 count;
	u32 posted;
	u32 reaped;
	u64 done;
	struct qemu_ep_xfer xfer[] __counted_by(count);
};

/**
 * struct qemu_ep_failure - transactions that have failed
 * @first: cookie of the first one
 * @last: cookie of the last one, not below @first
 * @residue: bytes that were not copied; 0 for transactions that were terminated
 * @status: see qemu_ep_tx.status; EPC_DMA_ABORTED for those
 */
struct qemu_ep_failure {
	dma_cookie_t first;
	dma_cookie_t last;
	u32 residue;
	u32 status;
};

struct qemu_ep_dma_desc;

/**
 * struct qemu_ep_chan - a channel as dmaengine knows it, or one of qemu_ep_rw
 * @chan: for dmaengine
 * @dma: the engine
 * @slave: a channel of qemu_ep_dma.slave_dev, otherwise of memcpy_dev
 * @page: register page of the function whose host addresses a slave channel
 *	means
 * @hw: number of the channel of the device, valid while @ring is not NULL
 * @regs: registers of that channel
 * @ring: its ring, NULL while no client has the channel
 * @ring_dma: DMA address of @ring
 * @tasklet: runs the callbacks of clients
 * @lock: protects the members below, the ring and the cookies of @chan.  It is
 *	taken with interrupts off, and no other lock is taken inside it.
 * @config: configuration of a slave channel
 * @producer: number of descriptors that were posted to the device
 * @consumer: number of descriptors that were taken back from the device
 * @prepared: transactions that were not submitted yet
 * @submitted: transactions that were submitted and not issued yet
 * @issued: transactions that were issued and not posted yet
 * @running: transactions that were posted, in their order
 * @partial: the last one of @running if only some of its copies were posted
 * @done: transactions whose callbacks have not run yet
 * @asleep: transactions that were not posted wait until the machine resumes
 * @terminated: a transaction was terminated that the device may still work on
 * @failed: the latest failures
 * @failures: number of failures since the channel was opened
 */
struct qemu_ep_chan {
	struct dma_chan chan;
	struct qemu_ep_dma *dma;
	bool slave;
	u8 page;
	unsigned int hw;
	void __iomem *regs;
	struct qemu_ep_dma_desc *ring;
	dma_addr_t ring_dma;
	struct tasklet_struct tasklet;

	spinlock_t lock;	/* members below, ring, cookies */
	struct dma_slave_config config;
	u32 producer;
	u32 consumer;
	struct list_head prepared;
	struct list_head submitted;
	struct list_head issued;
	struct list_head running;
	struct qemu_ep_tx *partial;
	struct list_head done;
	bool asleep;
	bool terminated;
	struct qemu_ep_failure failed[QEMU_EP_DMA_FAILURES];
	unsigned int failures;
};

/**
 * struct qemu_ep_rw - transfers of one function, see rw.c
 * @chan: the channel, which dmaengine does not know
 * @turn: down while a transfer of the function is under way.  qemu_ep_dma.lock
 *	is taken inside it.
 * @done: the transaction of a transfer has ended; may be late
 */
struct qemu_ep_rw {
	struct qemu_ep_chan chan;
	struct semaphore turn;
	struct completion done;
};

enum qemu_ep_dma_mode {
	QEMU_EP_DMA_OFF,
	QEMU_EP_DMA_MEMCPY,
	QEMU_EP_DMA_SLAVE,
};

/**
 * struct qemu_ep_dma - the engine, which exists until its last client is gone
 * @ep: the controller, NULL after it has gone.  It is there as long as a channel
 *	has a ring, so the lock of such a channel is enough to read it.
 * @ref: one reference for each of the dmaengine devices
 * @lock: protects @ep, @mode, @slave_page, @used, @asleep and the ring pointers
 *	of all channels.  qemu_ep_chan.lock is taken inside it.
 * @mode: which of the dmaengine devices gives out channels
 * @slave_page: register page of the function that the next slave channel is for
 * @used: bit n: a client has channel n of the device
 * @asleep: the machine is about to sleep, see qemu_ep_dma_suspend()
 * @count: number of channels of the device
 * @memcpy_dev: for clients that copy from one address to another
 * @slave_dev: for clients that give the host address in the configuration
 * @memcpy_chan: channels of @memcpy_dev
 * @slave_chan: channels of @slave_dev
 * @rw: transfers of the functions, by register page
 */
struct qemu_ep_dma {
	struct qemu_ep *ep;
	struct kref ref;
	struct mutex lock;	/* ep, mode, slave_page, used, asleep, rings */
	enum qemu_ep_dma_mode mode;
	u8 slave_page;
	unsigned long used;
	bool asleep;
	unsigned int count;
	struct dma_device memcpy_dev;
	struct dma_device slave_dev;
	struct qemu_ep_chan memcpy_chan[EPC_DMA_CHANNELS];
	struct qemu_ep_chan slave_chan[EPC_DMA_CHANNELS];
	struct qemu_ep_rw rw[EPC_MAX_FUNCTIONS];
};

static inline struct qemu_ep_chan *to_qemu_ep_chan(struct dma_chan *chan)
{
	return container_of(chan, struct qemu_ep_chan, chan);
}

/**
 * qemu_ep_chan_init() - prepare a channel for dmaengine
 * @dma: the engine
 * @c: the channel, zeroed
 * @dev: one of the dmaengine devices of @dma, or NULL
 */
void qemu_ep_chan_init(struct qemu_ep_dma *dma, struct qemu_ep_chan *c,
		       struct dma_device *dev);

/**
 * qemu_ep_chan_open() - give a channel a ring and a channel of the device
 * @c: the channel
 * @ep: the controller
 * @hw: number of the channel of the device
 *
 * The caller holds qemu_ep_dma.lock.  Context: process context, may sleep.
 *
 * Return: 0 or a negative error.
 */
int qemu_ep_chan_open(struct qemu_ep_chan *c, struct qemu_ep *ep,
		      unsigned int hw);

/**
 * qemu_ep_chan_close() - undo qemu_ep_chan_open()
 * @c: the channel
 * @ep: the controller
 *
 * The client may still have the channel, which does nothing any more.  The
 * caller holds qemu_ep_dma.lock.  Context: process context, may sleep for three
 * times qemu_ep.deadline.
 */
void qemu_ep_chan_close(struct qemu_ep_chan *c, struct qemu_ep *ep);

/**
 * qemu_ep_chan_prepare() - make a transaction ready for submission
 * @c: the channel
 * @t: the transaction with its copies filled in; this takes it over
 * @flags: enum dma_ctrl_flags
 *
 * Context: any.
 *
 * Return: the descriptor that the client submits, or NULL if the controller is
 * gone.
 */
struct dma_async_tx_descriptor *qemu_ep_chan_prepare(struct qemu_ep_chan *c,
						     struct qemu_ep_tx *t,
						     unsigned long flags);

/**
 * qemu_ep_chan_hold() - post no more transactions, for a sleep of the machine
 * @c: the channel
 *
 * A transaction that was posted in part is still completed.  The caller holds
 * qemu_ep_dma.lock.
 */
void qemu_ep_chan_hold(struct qemu_ep_chan *c);

/**
 * qemu_ep_chan_drain() - wait until no transaction runs
 * @c: the channel, after qemu_ep_chan_hold()
 * @end: time in jiffies after which it does not wait any longer
 *
 * Also waits until the callbacks of clients have returned.  The caller holds
 * qemu_ep_dma.lock.  Context: process context, may sleep.
 *
 * Return: 0, or -EBUSY, which was logged.
 */
int qemu_ep_chan_drain(struct qemu_ep_chan *c, unsigned long end);

/**
 * qemu_ep_chan_wake() - post transactions again
 * @c: the channel
 * @ep: the controller
 * @was_reset: the device has lost ring and vector of the channel
 *
 * The caller holds qemu_ep_dma.lock.
 */
void qemu_ep_chan_wake(struct qemu_ep_chan *c, struct qemu_ep *ep,
		       bool was_reset);

/**
 * qemu_ep_chan_result() - status of a transaction that has ended
 * @c: the channel
 * @cookie: the transaction, one of the latest
 *
 * Return: EPC_DMA_OK or the status of the first copy that failed.
 */
u32 qemu_ep_chan_result(struct qemu_ep_chan *c, dma_cookie_t cookie);

/**
 * qemu_ep_chan_settle() - wait for the device after qemu_ep_chan_terminate_all()
 * @c: the channel
 *
 * Also waits until callbacks have returned.  Context: process context, may sleep
 * for three times qemu_ep.deadline.
 *
 * Return: false if the device may still access memory of this machine, which was
 * logged.
 */
bool qemu_ep_chan_settle(struct qemu_ep_chan *c);

/**
 * qemu_ep_dma_alloc_tx() - allocate a transaction
 * @count: number of its copies
 * @gfp: how to allocate
 *
 * Return: the transaction, zeroed but for its count, or NULL.
 */
struct qemu_ep_tx *qemu_ep_dma_alloc_tx(u32 count, gfp_t gfp);

/**
 * qemu_ep_dma_open_chan() - give a channel one of the free channels of the device
 * @dma: the engine, whose controller is there
 * @c: the channel, which has no ring
 *
 * The caller holds qemu_ep_dma.lock.
 *
 * Return: 0, -EBUSY if all are in use, or another negative error.
 */
int qemu_ep_dma_open_chan(struct qemu_ep_dma *dma, struct qemu_ep_chan *c);

/**
 * qemu_ep_dma_close_chan() - undo qemu_ep_dma_open_chan()
 * @dma: the engine
 * @c: the channel; nothing happens if it has no ring
 *
 * The caller holds qemu_ep_dma.lock.  Context: as qemu_ep_chan_close().
 */
void qemu_ep_dma_close_chan(struct qemu_ep_dma *dma, struct qemu_ep_chan *c);

/* Prepares the channels for transfers. */
void qemu_ep_rw_init(struct qemu_ep_dma *dma);

/* Closes the channels for transfers.  The caller holds qemu_ep_dma.lock. */
void qemu_ep_rw_exit(struct qemu_ep_dma *dma);

/**
 * qemu_ep_rw_yield() - take a channel back from a function that does not use it
 * @dma: the engine
 *
 * The caller holds qemu_ep_dma.lock.
 *
 * Return: true if a channel of the device has become free.
 */
bool qemu_ep_rw_yield(struct qemu_ep_dma *dma);

/* Operations of struct dma_device */
void qemu_ep_chan_issue_pending(struct dma_chan *chan);
enum dma_status qemu_ep_chan_tx_status(struct dma_chan *chan,
				       dma_cookie_t cookie,
				       struct dma_tx_state *state);
int qemu_ep_chan_terminate_all(struct dma_chan *chan);
void qemu_ep_chan_synchronize(struct dma_chan *chan);

#endif /* PCIE_QEMU_EP_CHANNEL_H */
