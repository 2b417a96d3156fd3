// SPDX-License-Identifier: GPL-2.0
/*
 * Client of the DMA channels of the controller, for the guest tests
 *
 * It copies within the endpoint guest, so it needs no link.  Inserting the
 * module runs the tests; it fails with the error of the first one that fails.
 *
 *   releases  times that a channel is given back with copies under way
 *   copies    copies that are under way then
 *   size      bytes of each of these copies
 *   contract  1: also test status, residue and results
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/dmaengine.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sizes.h>

#include <hw/pci-ep/pci-epc-regs.h>

#define CHAN_TEST_SIZE		SZ_4M
#define CHAN_TEST_HALF		(CHAN_TEST_SIZE / 2)
#define CHAN_TEST_TIMEOUT	(10 * HZ)
/* No guest has memory there. */
#define CHAN_TEST_NOWHERE	BIT_ULL(50)

static unsigned int chan_test_releases;
module_param_named(releases, chan_test_releases, uint, 0444);
static unsigned int chan_test_copies = 200;
module_param_named(copies, chan_test_copies, uint, 0444);
static unsigned int chan_test_size = SZ_4K;
module_param_named(size, chan_test_size, uint, 0444);
static bool chan_test_contract;
module_param_named(contract, chan_test_contract, bool, 0444);

/**
 * struct chan_test - the client
 * @dev: device that does the DMA
 * @buffer: memory for copies, CHAN_TEST_SIZE bytes
 * @addr: DMA address of @buffer
 * @done: completed by chan_test_done()
 * @result: what the callback of the last transaction got
 */
struct chan_test {
	struct device *dev;
	u8 *buffer;
	dma_addr_t addr;
	struct completion done;
	struct dmaengine_result result;
};

static bool chan_test_filter(struct dma_chan *chan, void *data)
{
	struct device *dev = chan->device->dev;

	/* The device of the channels may be a child of the PCI function. */
	if (!dev_is_pci(dev))
		dev = dev->parent;
	return dev && dev_is_pci(dev) &&
	       to_pci_dev(dev)->vendor == EPC_PCI_VENDOR_ID &&
	       to_pci_dev(dev)->device == EPC_PCI_DEVICE_ID;
}

static struct dma_chan *chan_test_request(void)
{
	dma_cap_mask_t mask;

	dma_cap_zero(mask);
	dma_cap_set(DMA_MEMCPY, mask);
	return dma_request_channel(mask, chan_test_filter, NULL);
}

static void chan_test_done(void *data, const struct dmaengine_result *result)
{
	struct chan_test *t = data;

	t->result = *result;
	complete(&t->done);
}

/* Returns the cookie of a transaction that was not issued, or an error. */
static dma_cookie_t chan_test_submit(struct chan_test *t, struct dma_chan *chan,
				     dma_addr_t dst, dma_addr_t src, size_t len)
{
	struct dma_async_tx_descriptor *tx;

	tx = dmaengine_prep_dma_memcpy(chan, dst, src, len, DMA_PREP_INTERRUPT);
	if (!tx)
		return -ENOMEM;
	reinit_completion(&t->done);
	tx->callback_result = chan_test_done;
	tx->callback_param = t;
	return dmaengine_submit(tx);
}

/* ---- Channels that are given back ---- */

static int chan_test_submit_copies(struct chan_test *t, struct dma_chan *chan,
				   size_t size)
{
	unsigned int n;

	for (n = 0; n < chan_test_copies; n++) {
		dma_cookie_t cookie = chan_test_submit(t, chan, t->addr,
						       t->addr + CHAN_TEST_HALF,
						       size);
		if (cookie < 0)
			return cookie;
	}
	return 0;
}

/*
 * Gives a channel back at a moment that differs from round to round, then takes
 * it again at once.
 */
static int chan_test_release(struct chan_test *t)
{
	size_t size = min_t(size_t, chan_test_size, CHAN_TEST_HALF);
	unsigned int n;
	int ret = 0;

	for (n = 0; !ret && n < chan_test_releases; n++) {
		struct dma_chan *chan = chan_test_request();

		if (!chan) {
			dev_err(t->dev, "chan-test: round %u: no channel\n", n);
			return -ENODEV;
		}
		ret = chan_test_submit_copies(t, chan, size);
		dma_async_issue_pending(chan);
		udelay(n % 8 * 50);
		dma_release_channel(chan);
		cond_resched();
	}
	return ret;
}

/* ---- Contract of dmaengine ---- */

static int chan_test_expect(struct chan_test *t, const char *what, bool holds,
			    enum dma_status status, u32 residue)
{
	if (holds)
		return 0;
	dev_err(t->dev, "chan-test: %s: status %d residue %u result %d residue %u\n",
		what, status, residue, t->result.result, t->result.residue);
	return -EPROTO;
}

static int chan_test_wait(struct chan_test *t, struct dma_chan *chan)
{
	dma_async_issue_pending(chan);
	if (wait_for_completion_timeout(&t->done, CHAN_TEST_TIMEOUT))
		return 0;
	dev_err(t->dev, "chan-test: a copy did not end\n");
	return -ETIMEDOUT;
}

/* A copy that ends well, after @len bytes were counted as its residue */
static int chan_test_good(struct chan_test *t, struct dma_chan *chan)
{
	struct dma_tx_state state;
	enum dma_status status;
	dma_cookie_t cookie;
	int ret;

	memset(t->buffer, 0x5a, CHAN_TEST_HALF);
	memset(t->buffer + CHAN_TEST_HALF, 0xa5, CHAN_TEST_HALF);
	cookie = chan_test_submit(t, chan, t->addr, t->addr + CHAN_TEST_HALF,
				  CHAN_TEST_HALF);
	status = dmaengine_tx_status(chan, cookie, &state);
	ret = chan_test_expect(t, "not issued",
			       status == DMA_IN_PROGRESS &&
			       state.residue == CHAN_TEST_HALF, status,
			       state.residue);
	if (!ret)
		ret = chan_test_wait(t, chan);
	if (ret)
		return ret;
	status = dmaengine_tx_status(chan, cookie, &state);
	return chan_test_expect(t, "copied", status == DMA_COMPLETE &&
				!state.residue && !t->result.residue &&
				t->result.result == DMA_TRANS_NOERROR &&
				!memcmp(t->buffer, t->buffer + CHAN_TEST_HALF,
					CHAN_TEST_HALF), status, state.residue);
}

/* A copy from @src fails; @least to @most bytes are not copied. */
static int chan_test_bad(struct chan_test *t, struct dma_chan *chan,
			 const char *what, dma_addr_t src, u32 least, u32 most)
{
	struct dma_tx_state state;
	enum dma_status status;
	dma_cookie_t cookie;
	int ret;

	cookie = chan_test_submit(t, chan, t->addr, src, CHAN_TEST_SIZE);
	ret = chan_test_wait(t, chan);
	if (ret)
		return ret;
	status = dmaengine_tx_status(chan, cookie, &state);
	return chan_test_expect(t, what, status == DMA_ERROR &&
				t->result.result != DMA_TRANS_NOERROR &&
				state.residue == t->result.residue &&
				state.residue >= least &&
				state.residue <= most, status, state.residue);
}

/* Terminated transactions end for a client that polls, issued or not. */
static int chan_test_terminated(struct chan_test *t, struct dma_chan *chan)
{
	dma_cookie_t first, last;
	enum dma_status status;
	int ret;

	first = chan_test_submit(t, chan, t->addr, t->addr + CHAN_TEST_HALF,
				 CHAN_TEST_HALF);
	dma_async_issue_pending(chan);
	last = chan_test_submit(t, chan, t->addr, t->addr + CHAN_TEST_HALF,
				CHAN_TEST_HALF);
	dmaengine_terminate_sync(chan);
	status = dmaengine_tx_status(chan, last, NULL);
	ret = chan_test_expect(t, "terminated", status == DMA_ERROR, status, 0);
	/* The copy may have ended before. */
	status = dmaengine_tx_status(chan, first, NULL);
	if (!ret)
		ret = chan_test_expect(t, "terminated, issued",
				       status != DMA_IN_PROGRESS, status, 0);
	return ret;
}

static int chan_test_run_contract(struct chan_test *t)
{
	struct dma_chan *chan = chan_test_request();
	dma_addr_t end = __pa(high_memory - 1) + 1;
	int ret;

	if (!chan)
		return -ENODEV;
	ret = chan_test_good(t, chan);
	if (!ret)
		ret = chan_test_bad(t, chan, "no memory", CHAN_TEST_NOWHERE,
				    CHAN_TEST_SIZE, CHAN_TEST_SIZE);
	/* Memory ends within the second half, or a little later: ACPI tables. */
	if (!ret)
		ret = chan_test_bad(t, chan, "end of memory",
				    end - CHAN_TEST_HALF, 1,
				    CHAN_TEST_SIZE - 1);
	if (!ret)
		ret = chan_test_terminated(t, chan);
	if (!ret)
		ret = chan_test_good(t, chan);
	dma_release_channel(chan);
	return ret;
}

/* ---- The run ---- */

static int chan_test_run(struct chan_test *t)
{
	int ret = chan_test_release(t);

	if (!ret && chan_test_contract)
		ret = chan_test_run_contract(t);
	return ret;
}

static int __init chan_test_init(void)
{
	struct dma_chan *chan = chan_test_request();
	struct chan_test t = { };
	int ret;

	if (!chan)
		return -ENODEV;
	t.dev = get_device(chan->device->dev);
	dma_release_channel(chan);
	init_completion(&t.done);
	t.buffer = dma_alloc_coherent(t.dev, CHAN_TEST_SIZE, &t.addr,
				      GFP_KERNEL);
	ret = t.buffer ? chan_test_run(&t) : -ENOMEM;
	if (t.buffer)
		dma_free_coherent(t.dev, CHAN_TEST_SIZE, t.buffer, t.addr);
	put_device(t.dev);
	return ret;
}
module_init(chan_test_init);

static void __exit chan_test_exit(void)
{
}
module_exit(chan_test_exit);

MODULE_DESCRIPTION("Test of the DMA channels of the pci-ep controller");
MODULE_LICENSE("GPL");
