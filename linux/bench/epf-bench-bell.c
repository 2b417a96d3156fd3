// SPDX-License-Identifier: GPL-2.0
/*
 * Doorbells: the host rings and measures, the handlers here answer with a store
 *
 * There is the doorbell that the endpoint framework gives a function, which the
 * host rings through a BAR, and its yardstick, the interrupt of
 * ivshmem-doorbell.
 */
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/pci.h>
#include <linux/pci-ep-msi.h>

#include "epf-bench.h"

static irqreturn_t bench_bell_irq(int irq, void *data)
{
	struct epf_bench *b = data;
	u32 acks = le32_to_cpu(b->page->bell_acks) + 1;

	WRITE_ONCE(b->page->bell_acks, cpu_to_le32(acks));
	return IRQ_HANDLED;
}

static irqreturn_t bench_bell_ivshmem_irq(int irq, void *data)
{
	struct epf_bench *b = data;
	u32 acks = readl(&b->ivshmem_page->bell_acks) + 1;

	writel(acks, &b->ivshmem_page->bell_acks);
	return IRQ_HANDLED;
}

static int bench_bell_init_ivshmem(struct epf_bench *b)
{
	struct bench_page __iomem *page = b->ivshmem_page;
	struct pci_dev *pdev = b->ivshmem;
	int ret;

	if (!pdev)
		return 0;
	pci_set_master(pdev);
	ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSIX);
	if (ret < 0)
		return ret;
	ret = request_irq(pci_irq_vector(pdev, 0), bench_bell_ivshmem_irq, 0,
			  "pci-epf-bench-ivshmem", b);
	if (ret) {
		pci_free_irq_vectors(pdev);
		return ret;
	}
	writel(IVSHMEM_DOORBELL, &page->bell_offset);
	writel(readl(b->ivshmem_regs + IVSHMEM_POSITION) << 16,
	       &page->bell_value);
	writel(BENCH_READY, &page->bell_ready);
	return 0;
}

/* Makes the doorbell the target of BENCH_BAR_BELL. */
static int bench_bell_set_target(struct epf_bench *b,
				 const struct pci_epf_doorbell_msg *db)
{
	u64 address = (u64)db->msg.address_hi << 32 | db->msg.address_lo;

	if (db->bar != NO_BAR)
		return -EOPNOTSUPP;
	b->bell_bar.barno = BENCH_BAR_BELL;
	b->bell_bar.size = SZ_4K;
	b->bell_bar.phys_addr = ALIGN_DOWN(address, SZ_4K);
	b->page->bell_offset = cpu_to_le32(address - b->bell_bar.phys_addr);
	b->page->bell_value = cpu_to_le32(db->msg.data);
	return 0;
}

static int bench_bell_init_function(struct epf_bench *b)
{
	struct pci_epf_doorbell_msg *db;
	int ret;

	ret = pci_epf_alloc_doorbell(b->epf, 1);
	if (ret)
		return ret;
	db = &b->epf->db_msg[0];
	ret = bench_bell_set_target(b, db);
	if (!ret)
		ret = request_irq(db->virq, bench_bell_irq, db->irq_flags,
				  "pci-epf-bench", b);
	if (ret)
		pci_epf_free_doorbell(b->epf);
	else
		b->page->bell_ready = cpu_to_le32(BENCH_READY);
	return ret;
}

int epf_bench_bell_init(struct epf_bench *b)
{
	int ret;

	if (!epf_bench_first(b))
		return 0;
	ret = bench_bell_init_function(b);
	if (ret)
		return ret;
	ret = bench_bell_init_ivshmem(b);
	if (ret) {
		free_irq(b->epf->db_msg[0].virq, b);
		pci_epf_free_doorbell(b->epf);
	}
	return ret;
}

void epf_bench_bell_exit(struct epf_bench *b)
{
	if (!epf_bench_first(b))
		return;
	if (b->ivshmem) {
		free_irq(pci_irq_vector(b->ivshmem, 0), b);
		pci_free_irq_vectors(b->ivshmem);
	}
	free_irq(b->epf->db_msg[0].virq, b);
	pci_epf_free_doorbell(b->epf);
}
