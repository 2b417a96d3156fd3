// SPDX-License-Identifier: GPL-2.0
/*
 * Host side of the benchmark
 *
 * Offers memory that the endpoint maps, and acknowledges each interrupt with a
 * store.  Drives ivshmem-doorbell the same way, so that both interrupts do the
 * same work.
 */
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "pci-ep-bench.h"

struct bench_host {
	struct bench_page __iomem *page;
	u32 acks;
};

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
				     "no contiguous memory: boot with cma=64M\n");
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
	void __iomem *regs;
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
	if (!b->page)
		return -ENOMEM;
	ret = bench_host_irq_init(pdev, b);
	if (ret)
		return ret;

	if (ivshmem) {
		regs = pcim_iomap(pdev, IVSHMEM_BAR_REGS, 0);
		if (!regs)
			return -ENOMEM;
		writel(readl(regs + IVSHMEM_POSITION), &b->page->position);
	} else {
		ret = bench_host_offer(pdev, b);
		if (ret)
			return ret;
	}
	writel(BENCH_READY, &b->page->ready);
	return 0;
}

static const struct pci_device_id bench_host_ids[] = {
	{ PCI_DEVICE(BENCH_VENDOR, BENCH_DEVICE) },
	{ PCI_DEVICE(BENCH_VENDOR, BENCH_IVSHMEM) },
	{ }
};
MODULE_DEVICE_TABLE(pci, bench_host_ids);

static struct pci_driver bench_host_driver = {
	.name = "pci-ep-bench-host",
	.id_table = bench_host_ids,
	.probe = bench_host_probe,
};
module_pci_driver(bench_host_driver);

MODULE_DESCRIPTION("Host side of the pci-ep benchmark");
MODULE_LICENSE("GPL");
