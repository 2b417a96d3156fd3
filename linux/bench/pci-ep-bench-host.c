// SPDX-License-Identifier: GPL-2.0
/*
 * Host side of the benchmark
 *
 * It offers memory that the endpoint maps, and answers each interrupt with a
 * store.  It drives ivshmem-doorbell in the same way, so that both interrupts
 * do the same work.
 *
 * It measures doorbells: write "LOOPS SAMPLES" to the file "doorbell" in
 * debugfs, then read it.  It has a line for each sample: ns of LOOPS rings of
 * the endpoint, and ns of LOOPS rings through ivshmem-doorbell (0 without one).
 * The time of a ring ends when the answer is seen.
 */
#include <linux/debugfs.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "pci-ep-bench.h"

/**
 * struct bench_host - a device, the endpoint or ivshmem-doorbell
 * @page: memory that both sides use
 * @bells: BAR with the register that the host rings
 * @acks: number of interrupts
 */
struct bench_host {
	struct bench_page __iomem *page;
	void __iomem *bells;
	u32 acks;
};

enum { BENCH_HOST_ENDPOINT, BENCH_HOST_IVSHMEM, BENCH_HOST_KINDS };

static DEFINE_MUTEX(bench_lock);	/* variables below */
static struct bench_host *bench_hosts[BENCH_HOST_KINDS];
static unsigned int bench_samples;
static u64 bench_result[BENCH_MAX_SAMPLES][BENCH_HOST_KINDS];

/* The caller holds bench_lock. */
static struct bench_host **bench_host_slot(bool ivshmem)
{
	lockdep_assert_held(&bench_lock);

	return &bench_hosts[ivshmem ? BENCH_HOST_IVSHMEM :
				      BENCH_HOST_ENDPOINT];
}

static irqreturn_t bench_host_irq(int irq, void *data)
{
	struct bench_host *b = data;

	writel(++b->acks, &b->page->acks);
	return IRQ_HANDLED;
}

static int bench_host_irq_init(struct pci_dev *pdev, struct bench_host *b)
{
	int ret;

	ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSIX);
	if (ret < 0)
		return dev_err_probe(&pdev->dev, ret, "cannot get an MSI-X vector\n");
	return devm_request_irq(&pdev->dev, pci_irq_vector(pdev, 0),
				bench_host_irq, 0, dev_name(&pdev->dev), b);
}

static int bench_host_offer(struct pci_dev *pdev, struct bench_host *b)
{
	dma_addr_t addr;
	void *buffer;
	int ret;

	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	buffer = dmam_alloc_coherent(&pdev->dev, BENCH_HOST_SIZE, &addr,
				     GFP_KERNEL);
	if (!buffer)
		return dev_err_probe(&pdev->dev, -ENOMEM,
				     "no contiguous memory\n");
	memset(buffer, 0x5a, BENCH_HOST_SIZE);
	writel(lower_32_bits(addr), &b->page->host_addr);
	writel(upper_32_bits(addr), (u32 __iomem *)&b->page->host_addr + 1);
	return 0;
}

static int bench_host_probe(struct pci_dev *pdev,
			    const struct pci_device_id *id)
{
	bool ivshmem = id->device == BENCH_IVSHMEM;
	struct bench_host *b;
	int ret;

	b = devm_kzalloc(&pdev->dev, sizeof(*b), GFP_KERNEL);
	if (!b)
		return -ENOMEM;
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	pci_set_master(pdev);

	b->page = pcim_iomap(pdev, ivshmem ? IVSHMEM_BAR_MEMORY :
			     BENCH_BAR_PAGE, 0);
	b->bells = pcim_iomap(pdev, ivshmem ? IVSHMEM_BAR_REGS :
			      BENCH_BAR_BELL, 0);
	if (!b->page || (!b->bells && !PCI_FUNC(pdev->devfn)))
		return -ENOMEM;
	ret = bench_host_irq_init(pdev, b);
	if (ret)
		return ret;

	if (ivshmem) {
		writel(readl(b->bells + IVSHMEM_POSITION), &b->page->position);
	} else {
		ret = bench_host_offer(pdev, b);
		if (ret)
			return ret;
	}
	writel(BENCH_READY, &b->page->ready);
	pci_set_drvdata(pdev, b);
	guard(mutex)(&bench_lock);
	if (!PCI_FUNC(pdev->devfn))
		*bench_host_slot(ivshmem) = b;
	return 0;
}

static void bench_host_remove(struct pci_dev *pdev)
{
	bool ivshmem = pdev->device == BENCH_IVSHMEM;
	struct bench_host *b = pci_get_drvdata(pdev);

	guard(mutex)(&bench_lock);
	if (*bench_host_slot(ivshmem) == b)
		*bench_host_slot(ivshmem) = NULL;
}

static const struct pci_device_id bench_host_ids[] = {
	{ PCI_DEVICE(BENCH_VENDOR, BENCH_DEVICE) },
	{ PCI_DEVICE(BENCH_VENDOR, BENCH_IVSHMEM) },
	{ }
};
MODULE_DEVICE_TABLE(pci, bench_host_ids);

/* ---- Doorbells: from a ring to the store that answers it ---- */

static int bench_host_time_bell(struct bench_host *b, unsigned int loops,
				u64 *ns)
{
	void __iomem *bell;
	unsigned int i;
	u64 since;
	u32 value;

	*ns = 0;
	if (!b)
		return 0;
	if (readl(&b->page->bell_ready) != BENCH_READY)
		return -EAGAIN;
	value = readl(&b->page->bell_value);
	bell = b->bells + readl(&b->page->bell_offset);
	since = ktime_get_ns();
	for (i = 0; i < loops; i++) {
		u64 begin = ktime_get_ns();
		u32 before = readl(&b->page->bell_acks);

		writel(value, bell);
		while (readl(&b->page->bell_acks) == before) {
			if (ktime_get_ns() - begin > BENCH_TIMEOUT_NS)
				return -ETIMEDOUT;
			cpu_relax();
		}
	}
	*ns = ktime_get_ns() - since;
	return 0;
}

static int bench_host_run_bells(unsigned int loops, unsigned int samples)
{
	unsigned int i, kind;
	int ret = 0;

	if (!bench_hosts[BENCH_HOST_ENDPOINT])
		return -EAGAIN;
	bench_samples = 0;
	for (i = 0; !ret && i < samples; i++) {
		for (kind = 0; !ret && kind < BENCH_HOST_KINDS; kind++)
			ret = bench_host_time_bell(bench_hosts[kind], loops,
						   &bench_result[i][kind]);
		cond_resched();
	}
	if (!ret)
		bench_samples = samples;
	return ret;
}

static ssize_t bench_host_bell_write(struct file *file,
				     const char __user *buffer, size_t count,
				     loff_t *pos)
{
	unsigned int loops, samples;
	char text[32];
	ssize_t n;
	int ret;

	n = simple_write_to_buffer(text, sizeof(text) - 1, pos, buffer, count);
	if (n < 0)
		return n;
	text[n] = 0;
	if (sscanf(text, "%u %u", &loops, &samples) != 2)
		return -EINVAL;
	if (!loops || !samples || samples > BENCH_MAX_SAMPLES)
		return -EINVAL;

	guard(mutex)(&bench_lock);
	ret = bench_host_run_bells(loops, samples);
	return ret ? ret : count;
}

static int bench_host_bell_show(struct seq_file *m, void *unused)
{
	unsigned int i;

	guard(mutex)(&bench_lock);
	for (i = 0; i < bench_samples; i++)
		seq_printf(m, "%llu %llu\n", bench_result[i][BENCH_HOST_ENDPOINT],
			   bench_result[i][BENCH_HOST_IVSHMEM]);
	return 0;
}
DEFINE_SHOW_STORE_ATTRIBUTE(bench_host_bell);

static struct dentry *bench_dir;

static struct pci_driver bench_host_driver = {
	.name = "pci-ep-bench-host",
	.id_table = bench_host_ids,
	.probe = bench_host_probe,
	.remove = bench_host_remove,
};

static int __init bench_host_init(void)
{
	int ret = pci_register_driver(&bench_host_driver);

	if (ret)
		return ret;
	bench_dir = debugfs_create_dir("pci-ep-bench-host", NULL);
	debugfs_create_file("doorbell", 0600, bench_dir, NULL, &bench_host_bell_fops);
	return 0;
}
module_init(bench_host_init);

static void __exit bench_host_exit(void)
{
	debugfs_remove(bench_dir);
	pci_unregister_driver(&bench_host_driver);
}
module_exit(bench_host_exit);

MODULE_DESCRIPTION("Host side of the pci-ep benchmark");
MODULE_LICENSE("GPL");
