/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DMA channels of the pci-epc device
 *
 * -dma.c      what dmaengine sees: two personalities, preparation, mode
 * -dmachan.c  one channel: its ring, submission, completion, termination
 */
#ifndef PCIE_QEMU_EP_DMA_H
#define PCIE_QEMU_EP_DMA_H

#include <linux/dmaengine.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>

#include "pcie-qemu-ep.h"

/* How many of the latest failures of a channel tx_status() can tell. */
#define QEMU_EP_DMA_FAILURES	64

/**
 * struct qemu_ep_xfer - what becomes one descriptor of the device
 * @src: EPC_DMA_DESC_SRC
 * @dst: EPC_DMA_DESC_DST
 * @len: EPC_DMA_DESC_LENGTH
 * @flags: EPC_DMA_SRC_HOST, EPC_DMA_DST_HOST, function numbers
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
 * @status: EPC_DMA_OK or the first failure
 * @count: number of @xfer
 * @fed: how many of them the device was given
 * @reaped: how many of them the device is done with
 * @xfer: what to copy
 */
struct qemu_ep_tx {
	struct dma_async_tx_descriptor tx;
	struct list_head node;
	u32 status;
	u32 count;
	u32 fed;
	u32 reaped;
	struct qemu_ep_xfer xfer[] __counted_by(count);
};

struct qemu_ep_dma_desc;

/**
 * struct qemu_ep_chan - a channel as dmaengine knows it
 * @chan: for dmaengine
 * @dma: the engine
 * @slave: personality, else memcpy
 * @fn: page of the function whose host addresses a slave channel means
 * @hw: number of the device's channel, valid while @ring is not NULL
 * @regs: its page of registers
 * @ring: its ring; NULL while no client has the channel
 * @ring_dma: DMA address of @ring
 * @tasklet: runs callbacks
 * @lock: protects what follows
 * @config: what the client of a slave channel has set
 * @producer: descriptors given to the device
 * @consumer: descriptors taken back from it
 * @prepared: transactions that were not submitted yet
 * @submitted: those that were not issued yet
 * @issued: those that the device has not seen
 * @running: those that the device knows, in order
 * @feeding: last of @running when the device knows only a part of it
 * @done: those whose callbacks are due
 * @cut: a transaction was ended that the device may still be working on
 * @failed: cookies of the latest failures
 * @failures: number of failures so far
 */
struct qemu_ep_chan {
	struct dma_chan chan;
	struct qemu_ep_dma *dma;
	bool slave;
	u8 fn;
	unsigned int hw;
	void __iomem *regs;
	struct qemu_ep_dma_desc *ring;
	dma_addr_t ring_dma;
	struct tasklet_struct tasklet;

	spinlock_t lock;	/* everything below, and the ring */
	struct dma_slave_config config;
	u32 producer;
	u32 consumer;
	struct list_head prepared;
	struct list_head submitted;
	struct list_head issued;
	struct list_head running;
	struct qemu_ep_tx *feeding;
	struct list_head done;
	bool cut;
	dma_cookie_t failed[QEMU_EP_DMA_FAILURES];
	unsigned int failures;
};

enum qemu_ep_dma_mode {
	QEMU_EP_DMA_OFF,
	QEMU_EP_DMA_MEMCPY,
	QEMU_EP_DMA_SLAVE,
};

/**
 * struct qemu_ep_dma - the engine; lives until the last client has let go
 * @ep: the controller; NULL when that is gone
 * @ref: one for each of the dmaengine devices
 * @lock: protects @ep, @used and who has which channel
 * @mode: which personality gives out channels
 * @slave_fn: page of the function that the next slave channel is for
 * @used: bit n: a client has channel n of the device
 * @count: number of channels of the device
 * @memcpy_dev: personality for clients that copy between two addresses
 * @slave_dev: personality for clients that name a host address apart
 * @memcpy_chan: channels of @memcpy_dev
 * @slave_chan: channels of @slave_dev
 */
struct qemu_ep_dma {
	struct qemu_ep *ep;
	struct kref ref;
	struct mutex lock;	/* ep, used, rings of channels */
	enum qemu_ep_dma_mode mode;
	u8 slave_fn;
	unsigned long used;
	unsigned int count;
	struct dma_device memcpy_dev;
	struct dma_device slave_dev;
	struct qemu_ep_chan memcpy_chan[EPC_DMA_CHANNELS];
	struct qemu_ep_chan slave_chan[EPC_DMA_CHANNELS];
};

static inline struct qemu_ep_chan *to_qemu_ep_chan(struct dma_chan *chan)
{
	return container_of(chan, struct qemu_ep_chan, chan);
}

/* pcie-qemu-ep-dmachan.c */
void qemu_ep_chan_init(struct qemu_ep_dma *dma, struct qemu_ep_chan *c,
		       struct dma_device *dev);
int qemu_ep_chan_open(struct qemu_ep_chan *c, struct qemu_ep *ep,
		      unsigned int hw);
void qemu_ep_chan_close(struct qemu_ep_chan *c, struct qemu_ep *ep);
struct dma_async_tx_descriptor *qemu_ep_chan_prepare(struct qemu_ep_chan *c,
						     struct qemu_ep_tx *t,
						     unsigned long flags);
void qemu_ep_chan_issue_pending(struct dma_chan *chan);
enum dma_status qemu_ep_chan_tx_status(struct dma_chan *chan,
				       dma_cookie_t cookie,
				       struct dma_tx_state *state);
int qemu_ep_chan_terminate_all(struct dma_chan *chan);
void qemu_ep_chan_synchronize(struct dma_chan *chan);

#endif /* PCIE_QEMU_EP_DMA_H */
