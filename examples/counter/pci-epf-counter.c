// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Endpoint function "counter": registers in BAR 0, commands that the host
 * writes there, an interrupt when a command is done, and DMA to and from the
 * memory of the host
 *
 * bind() allocates what a function needs without a link, epc_init() describes
 * it to the controller.  From then on counter_poll() looks for commands.
 */
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/dmaengine.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci-epc.h>
#include <linux/pci-epf.h>
#include <linux/pci_ids.h>
#include <linux/pci_regs.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "counter.h"

#define COUNTER_BAR		BAR_0
/* The MSI-X table is in BAR 0, behind the registers. */
#define COUNTER_MSIX_OFFSET	128
#define COUNTER_POLL_MS		1
#define COUNTER_DMA_TIMEOUT	msecs_to_jiffies(5000)

/**
 * struct counter - one function
 * @epf: its endpoint function device
 * @features: what the controller can do
 * @regs: registers, the memory behind BAR 0
 * @buf: memory of this machine for transfers
 * @poll: looks for commands; nothing else touches @regs and @chan meanwhile
 * @chan: DMA channel, or NULL, then the CPU copies
 */
struct counter {
	struct pci_epf *epf;
	const struct pci_epc_features *features;
	struct counter_regs *regs;
	__le32 *buf;
	struct delayed_work poll;
	struct dma_chan *chan;
};

static struct workqueue_struct *counter_wq;

/* ---- Transfers ---- */

static void counter_dma_done(void *data)
{
	complete(data);
}

static int counter_dma(struct counter *c, dma_addr_t dst, dma_addr_t src,
		       size_t len)
{
	DECLARE_COMPLETION_ONSTACK(done);
	struct dma_async_tx_descriptor *tx;
	dma_cookie_t cookie;
	int ret = 0;

	tx = dmaengine_prep_dma_memcpy(c->chan, dst, src, len,
				       DMA_PREP_INTERRUPT | DMA_CTRL_ACK);
	if (!tx)
		return -EIO;
	tx->callback = counter_dma_done;
	tx->callback_param = &done;
	cookie = dmaengine_submit(tx);
	if (dma_submit_error(cookie))
		return -EIO;
	dma_async_issue_pending(c->chan);
	if (!wait_for_completion_timeout(&done, COUNTER_DMA_TIMEOUT))
		ret = -ETIMEDOUT;
	else if (dma_async_is_tx_complete(c->chan, cookie, NULL, NULL) !=
		 DMA_COMPLETE)
		ret = -EIO;
	if (ret)
		/* The callback must not run once @done is gone. */
		dmaengine_terminate_sync(c->chan);
	return ret;
}

/* Moves what one map of the outbound window shows of the host's memory. */
static int counter_move_part(struct counter *c, struct pci_epc_map *map,
			     void *buf, bool to_host)
{
	enum dma_data_direction dir = to_host ? DMA_TO_DEVICE : DMA_FROM_DEVICE;
	struct device *dev = c->epf->epc->dev.parent;
	size_t len = map->pci_size;
	dma_addr_t addr;
	int ret;

	if (!c->chan) {
		if (to_host)
			memcpy_toio(map->virt_addr, buf, len);
		else
			memcpy_fromio(buf, map->virt_addr, len);
		return 0;
	}
	addr = dma_map_single(dev, buf, len, dir);
	if (dma_mapping_error(dev, addr))
		return -ENOMEM;
	if (to_host)
		ret = counter_dma(c, map->phys_addr, addr, len);
	else
		ret = counter_dma(c, addr, map->phys_addr, len);
	dma_unmap_single(dev, addr, len, dir);
	return ret;
}

/* Moves @size bytes between c->buf and the host's memory at @host. */
static int counter_move(struct counter *c, u64 host, size_t size, bool to_host)
{
	struct pci_epf *epf = c->epf;
	struct pci_epc_map map;
	size_t done;
	int ret = 0;

	/* A map may be smaller than what is asked for. */
	for (done = 0; done < size && !ret; done += map.pci_size) {
		ret = pci_epc_mem_map(epf->epc, epf->func_no, epf->vfunc_no,
				      host + done, size - done, &map);
		if (ret)
			break;
		ret = counter_move_part(c, &map, (void *)c->buf + done,
					to_host);
		pci_epc_mem_unmap(epf->epc, epf->func_no, epf->vfunc_no, &map);
	}
	c->regs->dma = cpu_to_le32(!!c->chan);
	return ret;
}

/* ---- Commands ---- */

static enum counter_status counter_transfer(struct counter *c, bool to_host)
{
	struct counter_regs *regs = c->regs;
	u32 count = le32_to_cpu(regs->count);
	u32 size = le32_to_cpu(READ_ONCE(regs->size));
	u32 i;

	if (!size || size % sizeof(u32) || size > COUNTER_MAX_SIZE)
		return COUNTER_BAD_SIZE;
	for (i = 0; to_host && i < size / sizeof(u32); i++)
		c->buf[i] = cpu_to_le32(count + i);
	if (counter_move(c, le64_to_cpu(regs->address), size, to_host))
		return COUNTER_FAILED;
	for (i = 0; !to_host && i < size / sizeof(u32); i++)
		count += le32_to_cpu(c->buf[i]);
	regs->count = cpu_to_le32(count);
	return COUNTER_OK;
}

static enum counter_status counter_run(struct counter *c, u32 command)
{
	struct counter_regs *regs = c->regs;

	switch (command) {
	case COUNTER_CMD_ADD:
		le32_add_cpu(&regs->count, le32_to_cpu(regs->value));
		return COUNTER_OK;
	case COUNTER_CMD_SUM:
		return counter_transfer(c, false);
	case COUNTER_CMD_FILL:
		return counter_transfer(c, true);
	default:
		return COUNTER_BAD_COMMAND;
	}
}

/* The host has enabled one kind of interrupt, which is raised. */
static void counter_raise(struct counter *c)
{
	struct pci_epf *epf = c->epf;
	unsigned int type = PCI_IRQ_INTX;

	if (pci_epc_get_msix(epf->epc, epf->func_no, epf->vfunc_no) > 0)
		type = PCI_IRQ_MSIX;
	else if (pci_epc_get_msi(epf->epc, epf->func_no, epf->vfunc_no) > 0)
		type = PCI_IRQ_MSI;
	/* Interrupts of a message count from 1; INTx has no number. */
	pci_epc_raise_irq(epf->epc, epf->func_no, epf->vfunc_no, type, 1);
}

static void counter_poll(struct work_struct *work)
{
	struct counter *c = container_of(work, struct counter, poll.work);
	u32 command = le32_to_cpu(READ_ONCE(c->regs->command));

	if (command) {
		/* The parameters are older than the command. */
		rmb();
		WRITE_ONCE(c->regs->status, cpu_to_le32(counter_run(c, command)));
		/* The host looks at the results when the command is 0. */
		wmb();
		WRITE_ONCE(c->regs->command, 0);
		counter_raise(c);
	}
	queue_delayed_work(counter_wq, &c->poll,
			   msecs_to_jiffies(COUNTER_POLL_MS));
}

/* ---- The controller is ready, and is not any more ---- */

/* A channel of another controller would not reach our host. */
static bool counter_is_own_channel(struct dma_chan *chan, void *data)
{
	return chan->device->dev == data;
}

static void counter_request_channel(struct counter *c)
{
	dma_cap_mask_t mask;

	dma_cap_zero(mask);
	dma_cap_set(DMA_MEMCPY, mask);
	c->chan = dma_request_channel(mask, counter_is_own_channel,
				      c->epf->epc->dev.parent);
	if (!c->chan)
		dev_info(&c->epf->dev, "no DMA channel, the CPU copies\n");
}

static int counter_set_interrupts(struct counter *c)
{
	struct pci_epf *epf = c->epf;
	int ret;

	/* The user chose the numbers in configfs. */
	if (c->features->msi_capable && epf->msi_interrupts) {
		ret = pci_epc_set_msi(epf->epc, epf->func_no, epf->vfunc_no,
				      epf->msi_interrupts);
		if (ret)
			return ret;
	}
	if (c->features->msix_capable && epf->msix_interrupts)
		return pci_epc_set_msix(epf->epc, epf->func_no, epf->vfunc_no,
					epf->msix_interrupts, COUNTER_BAR,
					COUNTER_MSIX_OFFSET);
	return 0;
}

static int counter_epc_init(struct pci_epf *epf)
{
	struct counter *c = epf_get_drvdata(epf);
	int ret;

	ret = pci_epc_write_header(epf->epc, epf->func_no, epf->vfunc_no,
				   epf->header);
	if (ret)
		return ret;
	ret = pci_epc_set_bar(epf->epc, epf->func_no, epf->vfunc_no,
			      &epf->bar[COUNTER_BAR]);
	if (ret)
		return ret;
	ret = counter_set_interrupts(c);
	if (ret) {
		pci_epc_clear_bar(epf->epc, epf->func_no, epf->vfunc_no,
				  &epf->bar[COUNTER_BAR]);
		return ret;
	}
	counter_request_channel(c);
	/* Such a controller calls link_up() when there is a host. */
	if (!c->features->linkup_notifier)
		queue_delayed_work(counter_wq, &c->poll, 0);
	return 0;
}

static void counter_epc_deinit(struct pci_epf *epf)
{
	struct counter *c = epf_get_drvdata(epf);

	cancel_delayed_work_sync(&c->poll);
	if (c->chan)
		dma_release_channel(c->chan);
	c->chan = NULL;
	pci_epc_clear_bar(epf->epc, epf->func_no, epf->vfunc_no,
			  &epf->bar[COUNTER_BAR]);
}

static int counter_link_up(struct pci_epf *epf)
{
	struct counter *c = epf_get_drvdata(epf);

	queue_delayed_work(counter_wq, &c->poll, 0);
	return 0;
}

static int counter_link_down(struct pci_epf *epf)
{
	struct counter *c = epf_get_drvdata(epf);

	cancel_delayed_work_sync(&c->poll);
	return 0;
}

static const struct pci_epc_event_ops counter_event_ops = {
	.epc_init = counter_epc_init,
	.epc_deinit = counter_epc_deinit,
	.link_up = counter_link_up,
	.link_down = counter_link_down,
};

/* ---- The function is linked to a controller, and removed ---- */

static size_t counter_bar_size(struct counter *c)
{
	u32 vectors = c->epf->msix_interrupts;

	/* Each vector has an entry in the table and a pending bit. */
	return COUNTER_MSIX_OFFSET + vectors * PCI_MSIX_ENTRY_SIZE +
	       ALIGN(DIV_ROUND_UP(vectors, 8), 8);
}

static int counter_bind(struct pci_epf *epf)
{
	struct counter *c = epf_get_drvdata(epf);

	c->features = pci_epc_get_features(epf->epc, epf->func_no,
					   epf->vfunc_no);
	if (!c->features)
		return -EOPNOTSUPP;
	c->buf = kzalloc(COUNTER_MAX_SIZE, GFP_KERNEL);
	if (!c->buf)
		return -ENOMEM;
	c->regs = pci_epf_alloc_space(epf, counter_bar_size(c), COUNTER_BAR,
				      c->features, PRIMARY_INTERFACE);
	if (!c->regs) {
		kfree(c->buf);
		return -ENOMEM;
	}
	/* For a 64-bit BAR set PCI_BASE_ADDRESS_MEM_TYPE_64 in its flags. */
	memset(c->regs, 0, sizeof(*c->regs));
	c->regs->magic = cpu_to_le32(COUNTER_MAGIC);
	return 0;
}

static void counter_unbind(struct pci_epf *epf)
{
	struct counter *c = epf_get_drvdata(epf);

	if (epf->epc->init_complete)
		counter_epc_deinit(epf);
	pci_epf_free_space(epf, c->regs, COUNTER_BAR, PRIMARY_INTERFACE);
	kfree(c->buf);
}

static int counter_probe(struct pci_epf *epf,
			 const struct pci_epf_device_id *id)
{
	struct pci_epf_header *header;
	struct counter *c;

	c = devm_kzalloc(&epf->dev, sizeof(*c), GFP_KERNEL);
	header = devm_kzalloc(&epf->dev, sizeof(*header), GFP_KERNEL);
	if (!c || !header)
		return -ENOMEM;
	/* configfs can change all of these. */
	header->vendorid = COUNTER_VENDOR;
	header->deviceid = COUNTER_DEVICE;
	header->baseclass_code = PCI_BASE_CLASS_SYSTEM;
	header->subclass_code = PCI_CLASS_SYSTEM_OTHER & 0xff;
	header->interrupt_pin = PCI_INTERRUPT_INTA;
	epf->header = header;
	epf->event_ops = &counter_event_ops;
	c->epf = epf;
	INIT_DELAYED_WORK(&c->poll, counter_poll);
	epf_set_drvdata(epf, c);
	return 0;
}

static const struct pci_epf_ops counter_ops = {
	.bind = counter_bind,
	.unbind = counter_unbind,
};

/* The name is that of the directory in configfs. */
static const struct pci_epf_device_id counter_ids[] = {
	{ .name = "pci_epf_counter" },
	{ }
};

static struct pci_epf_driver counter_driver = {
	.driver.name = "pci_epf_counter",
	.probe = counter_probe,
	.id_table = counter_ids,
	.ops = &counter_ops,
	.owner = THIS_MODULE,
};

static int __init counter_init(void)
{
	int ret;

	counter_wq = alloc_workqueue("pci-epf-counter", WQ_UNBOUND, 0);
	if (!counter_wq)
		return -ENOMEM;
	ret = pci_epf_register_driver(&counter_driver);
	if (ret)
		destroy_workqueue(counter_wq);
	return ret;
}
module_init(counter_init);

static void __exit counter_exit(void)
{
	pci_epf_unregister_driver(&counter_driver);
	destroy_workqueue(counter_wq);
}
module_exit(counter_exit);

MODULE_DESCRIPTION("Endpoint function counter");
MODULE_LICENSE("GPL");
