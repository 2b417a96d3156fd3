// SPDX-License-Identifier: GPL-2.0
/*
 * Host side of the load test
 *
 * It offers memory, counts interrupts, and reads and writes BAR 0 while the
 * target of the BAR changes.  The file "result" in debugfs has the counts;
 * "stale" must be zero.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/prandom.h>
#include <linux/seq_file.h>

#include "pci-ep-hammer.h"

#define HAMMER_HALF_WORDS	(HAMMER_TARGET_SIZE / 2 / sizeof(u32))
#define HAMMER_BATCH		256

struct hammer_host {
	struct pci_dev *pdev;
	struct hammer_page __iomem *page;
	u32 __iomem *target;
	struct task_struct *reader;
	struct task_struct *writer;
	struct hammer_vector {
		struct hammer_host *h;
		u32 count;
	} vectors[HAMMER_VECTORS];
	u64 reads;	/* reads of a current epoch */
	u64 ones;	/* reads of all ones: BAR 0 had no target */
	u64 stale;	/* reads of another value, which are errors */
	u64 writes;
};

static irqreturn_t hammer_host_irq(int irq, void *data)
{
	struct hammer_vector *v = data;

	writel(++v->count, &v->h->page->irqs[v - v->h->vectors]);
	return IRQ_HANDLED;
}

/*
 * A read may return the epoch that set_bar() had made visible before it, or the
 * one that a set_bar() in progress makes visible.
 */
static void hammer_host_read(struct hammer_host *h, struct rnd_state *random)
{
	u32 at = prandom_u32_state(random) % HAMMER_HALF_WORDS;
	u32 oldest = readl(&h->page->epoch);
	u32 seen = readl(&h->target[at]);
	u32 newest = readl(&h->page->epoch) + 1;

	if (seen == U32_MAX) {
		h->ones++;
	} else if (seen >= oldest && seen <= newest) {
		h->reads++;
	} else {
		if (!h->stale++)
			dev_err(&h->pdev->dev, "word %u is %#x, epochs are %u to %u\n",
				at, seen, oldest, newest);
	}
}

static void hammer_host_write(struct hammer_host *h, struct rnd_state *random)
{
	u32 at = prandom_u32_state(random) % HAMMER_HALF_WORDS +
		 HAMMER_HALF_WORDS;

	writel(HAMMER_WRITTEN, &h->target[at]);
	h->writes++;
}

static void hammer_host_loop(struct hammer_host *h,
			     void (*one)(struct hammer_host *h,
					 struct rnd_state *random))
{
	struct rnd_state random;
	unsigned int i;

	prandom_seed_state(&random, get_random_u64());
	while (!kthread_should_stop()) {
		if (readl(&h->page->run) != 1) {
			msleep(20);
			continue;
		}
		for (i = 0; i < HAMMER_BATCH; i++)
			one(h, &random);
		cond_resched();
	}
}

static int hammer_host_reader(void *data)
{
	hammer_host_loop(data, hammer_host_read);
	return 0;
}

static int hammer_host_writer(void *data)
{
	hammer_host_loop(data, hammer_host_write);
	return 0;
}

static int hammer_host_result_show(struct seq_file *m, void *unused)
{
	struct hammer_host *h = m->private;
	u64 interrupts = 0;
	unsigned int n;

	for (n = 0; n < HAMMER_VECTORS; n++)
		interrupts += READ_ONCE(h->vectors[n].count);
	seq_printf(m, "reads %llu\nones %llu\nstale %llu\nwrites %llu\n",
		   h->reads, h->ones, h->stale, h->writes);
	seq_printf(m, "interrupts %llu\n", interrupts);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(hammer_host_result);

static int hammer_host_irqs(struct pci_dev *pdev, struct hammer_host *h)
{
	unsigned int n;
	int ret;

	ret = pci_alloc_irq_vectors(pdev, HAMMER_VECTORS, HAMMER_VECTORS,
				    PCI_IRQ_MSIX);
	if (ret < 0)
		return dev_err_probe(&pdev->dev, ret, "cannot get MSI-X vectors\n");
	for (n = 0; n < HAMMER_VECTORS; n++) {
		h->vectors[n].h = h;
		h->vectors[n].count = readl(&h->page->irqs[n]);
		ret = devm_request_irq(&pdev->dev, pci_irq_vector(pdev, n),
				       hammer_host_irq, 0, dev_name(&pdev->dev),
				       &h->vectors[n]);
		if (ret)
			return ret;
	}
	return 0;
}

static int hammer_host_offer(struct pci_dev *pdev, struct hammer_host *h)
{
	dma_addr_t addr;
	int ret;

	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	if (!dmam_alloc_coherent(&pdev->dev, HAMMER_HOST_SIZE, &addr,
				 GFP_KERNEL))
		return dev_err_probe(&pdev->dev, -ENOMEM,
				     "no contiguous memory\n");
	writel(lower_32_bits(addr), &h->page->host_addr);
	writel(upper_32_bits(addr), (u32 __iomem *)&h->page->host_addr + 1);
	return 0;
}

static int hammer_host_probe(struct pci_dev *pdev,
			     const struct pci_device_id *id)
{
	struct hammer_host *h;
	struct dentry *dir;
	int ret;

	h = devm_kzalloc(&pdev->dev, sizeof(*h), GFP_KERNEL);
	if (!h)
		return -ENOMEM;
	h->pdev = pdev;
	pci_set_drvdata(pdev, h);
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	pci_set_master(pdev);
	h->page = pcim_iomap(pdev, HAMMER_BAR_PAGE, 0);
	h->target = pcim_iomap(pdev, HAMMER_BAR_TARGET, 0);
	if (!h->page || !h->target)
		return -ENOMEM;
	ret = hammer_host_irqs(pdev, h);
	if (!ret)
		ret = hammer_host_offer(pdev, h);
	if (ret)
		return ret;

	h->reader = kthread_run(hammer_host_reader, h, "hammer-read");
	if (IS_ERR(h->reader))
		return PTR_ERR(h->reader);
	h->writer = kthread_run(hammer_host_writer, h, "hammer-write");
	if (IS_ERR(h->writer)) {
		kthread_stop(h->reader);
		return PTR_ERR(h->writer);
	}
	dir = debugfs_create_dir("pci-ep-hammer", NULL);
	debugfs_create_file("result", 0400, dir, h, &hammer_host_result_fops);
	writel(HAMMER_READY, &h->page->ready);
	return 0;
}

static void hammer_host_remove(struct pci_dev *pdev)
{
	struct hammer_host *h = pci_get_drvdata(pdev);

	writel(0, &h->page->ready);
	debugfs_lookup_and_remove("pci-ep-hammer", NULL);
	kthread_stop(h->writer);
	kthread_stop(h->reader);
}

static const struct pci_device_id hammer_host_ids[] = {
	{ PCI_DEVICE(HAMMER_VENDOR, HAMMER_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, hammer_host_ids);

static struct pci_driver hammer_host_driver = {
	.name = "pci-ep-hammer-host",
	.id_table = hammer_host_ids,
	.probe = hammer_host_probe,
	.remove = hammer_host_remove,
};
module_pci_driver(hammer_host_driver);

MODULE_DESCRIPTION("Host side of the pci-ep load test");
MODULE_LICENSE("GPL");
