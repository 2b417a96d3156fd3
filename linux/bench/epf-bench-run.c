// SPDX-License-Identifier: GPL-2.0
/*
 * Measurements of the endpoint side
 *
 * Write "NAME SIZE LOOPS SAMPLES [CHANNELS]" to the file "run" of the function
 * in debugfs; CHANNELS is the number of DMA channels.  Then read it.  It has a
 * line for each sample: ns of LOOPS repetitions, and ns of LOOPS repetitions of
 * the yardstick, 0 without one.  Samples alternate with those of the yardstick,
 * so that both see the same load of the machine.
 */
#include <linux/debugfs.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include <hw/pci-ep/pci-epc-regs.h>

#include "epf-bench.h"

#define BENCH_MAX_LIVE_MAPS		(BENCH_HOST_SIZE / PAGE_SIZE)

u64 epf_bench_host_addr(struct epf_bench *b)
{
	if (READ_ONCE(b->page->ready) != cpu_to_le32(BENCH_READY))
		return 0;
	return le64_to_cpu(READ_ONCE(b->page->host_addr));
}

/* ---- Copies through the window ---- */
static u64 bench_time_read(struct epf_bench *b, void __iomem *from,
			   const struct bench_args *a)
{
	u64 since = ktime_get_ns();
	unsigned int i;

	for (i = 0; i < a->loops; i++)
		memcpy_fromio(b->local, from, a->size);
	return ktime_get_ns() - since;
}

static u64 bench_time_write(struct epf_bench *b, void __iomem *to,
			    const struct bench_args *a)
{
	u64 since = ktime_get_ns();
	unsigned int i;

	for (i = 0; i < a->loops; i++)
		memcpy_toio(to, b->local, a->size);
	return ktime_get_ns() - since;
}

typedef u64 (*bench_copy_fn)(struct epf_bench *b, void __iomem *p,
		       const struct bench_args *a);

static int bench_run_copy(struct epf_bench *b, const struct bench_args *a,
			  bench_copy_fn copy)
{
	struct pci_epf *epf = b->epf;
	void __iomem *local = (void __iomem *)b->data;
	struct pci_epc_map map;
	unsigned int i;
	int ret;

	if (!a->size || a->size > BENCH_HOST_SIZE)
		return -EINVAL;
	ret = pci_epc_mem_map(epf->epc, epf->func_no, epf->vfunc_no,
			      epf_bench_host_addr(b), a->size, &map);
	if (ret)
		return ret;
	if (map.pci_size < a->size) {
		ret = -ENOSPC;
	} else {
		/* The first copies touch new pages, so they are not timed. */
		copy(b, map.virt_addr, a);
		copy(b, local, a);
		for (i = 0; i < a->samples; i++) {
			b->result[i][0] = copy(b, map.virt_addr, a);
			b->result[i][1] = copy(b, local, a);
			cond_resched();
		}
	}
	pci_epc_mem_unmap(epf->epc, epf->func_no, epf->vfunc_no, &map);
	return ret;
}

static int bench_run_window_read(struct epf_bench *b,
				 const struct bench_args *a)
{
	return bench_run_copy(b, a, bench_time_read);
}

static int bench_run_window_write(struct epf_bench *b,
				  const struct bench_args *a)
{
	return bench_run_copy(b, a, bench_time_write);
}

/*
 * Adjacent pages of the window show pages of the host that are not adjacent, so
 * that QEMU cannot merge their mappings.
 */
static int bench_map_page(struct epf_bench *b, phys_addr_t base, unsigned int n)
{
	u64 host = epf_bench_host_addr(b) +
		   (BENCH_MAX_LIVE_MAPS - 1 - n) * PAGE_SIZE;
	struct pci_epf *epf = b->epf;

	return pci_epc_map_addr(epf->epc, epf->func_no, epf->vfunc_no,
				base + n * PAGE_SIZE, host, PAGE_SIZE);
}

static void bench_unmap_page(struct epf_bench *b, phys_addr_t base,
			     unsigned int n)
{
	struct pci_epf *epf = b->epf;

	pci_epc_unmap_addr(epf->epc, epf->func_no, epf->vfunc_no,
			   base + n * PAGE_SIZE);
}

static int bench_time_map(struct epf_bench *b, phys_addr_t base,
			  unsigned int loops, u64 *ns)
{
	u64 since = ktime_get_ns();
	unsigned int i;
	int ret;

	for (i = 0; i < loops; i++) {
		ret = bench_map_page(b, base, 0);
		if (ret)
			return ret;
		bench_unmap_page(b, base, 0);
	}
	*ns = ktime_get_ns() - since;
	return 0;
}

/* The size is the number of maps that exist at once. */
static int bench_run_map(struct epf_bench *b, const struct bench_args *a)
{
	struct pci_epc *epc = b->epf->epc;
	unsigned int live, i;
	void __iomem *window;
	phys_addr_t base;
	int ret = 0;

	if (!a->size || a->size > BENCH_MAX_LIVE_MAPS)
		return -EINVAL;
	window = pci_epc_mem_alloc_addr(epc, &base, BENCH_HOST_SIZE);
	if (!window)
		return -ENOMEM;

	for (live = 1; !ret && live < a->size; live++)
		ret = bench_map_page(b, base, live);
	for (i = 0; !ret && i < a->samples; i++) {
		ret = bench_time_map(b, base, a->loops, &b->result[i][0]);
		b->result[i][1] = 0;
		cond_resched();
	}
	while (--live)
		bench_unmap_page(b, base, live);
	pci_epc_mem_free_addr(epc, base, window, BENCH_HOST_SIZE);
	return ret;
}

/* ---- Interrupts: from a raise to the store by which the host answers ---- */

static int bench_ring_function(struct epf_bench *b)
{
	struct pci_epf *epf = b->epf;

	return pci_epc_raise_irq(epf->epc, epf->func_no, epf->vfunc_no,
				 PCI_IRQ_MSIX, 1);
}

static int bench_ring_register(struct epf_bench *b)
{
	writel(1, b->raise);
	return 0;
}

static int bench_ring_ivshmem(struct epf_bench *b)
{
	u32 position = readl(&b->ivshmem_page->position);

	writel(position << 16, b->ivshmem_regs + IVSHMEM_DOORBELL);
	return 0;
}

typedef int (*bench_ring_fn)(struct epf_bench *b);

static int bench_time_irq(struct epf_bench *b, bench_ring_fn ring,
			  const __le32 *acks, unsigned int loops, u64 *ns)
{
	u64 since = ktime_get_ns();
	unsigned int i;
	int ret;

	for (i = 0; i < loops; i++) {
		u64 begin = ktime_get_ns();
		__le32 before = READ_ONCE(*acks);

		ret = ring(b);
		if (ret)
			return ret;
		while (READ_ONCE(*acks) == before) {
			if (ktime_get_ns() - begin > BENCH_TIMEOUT_NS)
				return -ETIMEDOUT;
			cpu_relax();
		}
	}
	*ns = ktime_get_ns() - since;
	return 0;
}

static int bench_run_irq(struct epf_bench *b, const struct bench_args *a,
			 bench_ring_fn ring)
{
	const __le32 *iv_acks;
	unsigned int i;
	int ret = 0;

	if (b->ivshmem && readl(&b->ivshmem_page->ready) != BENCH_READY)
		return -EAGAIN;
	iv_acks = (__force const __le32 *)&b->ivshmem_page->acks;
	for (i = 0; !ret && i < a->samples; i++) {
		ret = bench_time_irq(b, ring, &b->page->acks, a->loops,
				     &b->result[i][0]);
		b->result[i][1] = 0;
		if (!ret && b->ivshmem)
			ret = bench_time_irq(b, bench_ring_ivshmem, iv_acks,
					     a->loops, &b->result[i][1]);
		cond_resched();
	}
	return ret;
}

static int bench_run_msix(struct epf_bench *b, const struct bench_args *a)
{
	return bench_run_irq(b, a, bench_ring_function);
}

static int bench_run_msix_register(struct epf_bench *b,
				   const struct bench_args *a)
{
	return b->raise ? bench_run_irq(b, a, bench_ring_register) : -ENODEV;
}

static const struct {
	const char *name;
	int (*run)(struct epf_bench *b, const struct bench_args *a);
} bench_runs[] = {
	{ "window_read", bench_run_window_read },
	{ "window_write", bench_run_window_write },
	{ "map", bench_run_map },
	{ "msix", bench_run_msix },
	{ "msix_register", bench_run_msix_register },
	{ "dma_read", epf_bench_dma_read },
	{ "dma_write", epf_bench_dma_write },
};

/* ---- debugfs ---- */

static int bench_run_named(struct epf_bench *b, const char *name,
			   const struct bench_args *a)
{
	int i, ret;

	if (!epf_bench_host_addr(b))
		return -EAGAIN;
	for (i = 0; i < ARRAY_SIZE(bench_runs); i++) {
		if (strcmp(bench_runs[i].name, name))
			continue;
		b->samples = 0;
		ret = bench_runs[i].run(b, a);
		if (!ret)
			b->samples = a->samples;
		return ret;
	}
	return -EINVAL;
}

static ssize_t bench_run_write(struct file *file, const char __user *buffer,
			       size_t count, loff_t *pos)
{
	struct epf_bench *b = ((struct seq_file *)file->private_data)->private;
	struct bench_args a = { .channels = 1 };
	char text[80], name[32];
	ssize_t n;
	int ret;

	n = simple_write_to_buffer(text, sizeof(text) - 1, pos, buffer, count);
	if (n < 0)
		return n;
	text[n] = 0;
	if (sscanf(text, "%31s %zu %u %u %u", name, &a.size, &a.loops,
		   &a.samples, &a.channels) < 4)
		return -EINVAL;
	if (!a.channels || a.channels > BENCH_MAX_CHANNELS)
		return -EINVAL;
	if (!a.loops || !a.samples || a.samples > BENCH_MAX_SAMPLES)
		return -EINVAL;

	guard(mutex)(&b->lock);
	ret = bench_run_named(b, name, &a);
	return ret ? ret : count;
}

static int bench_run_show(struct seq_file *m, void *unused)
{
	struct epf_bench *b = m->private;
	unsigned int i;

	guard(mutex)(&b->lock);
	for (i = 0; i < b->samples; i++)
		seq_printf(m, "%llu %llu\n", b->result[i][0], b->result[i][1]);
	return 0;
}

static int bench_run_open(struct inode *inode, struct file *file)
{
	return single_open(file, bench_run_show, inode->i_private);
}

static const struct file_operations bench_run_fops = {
	.owner = THIS_MODULE,
	.open = bench_run_open,
	.read = seq_read,
	.write = bench_run_write,
	.llseek = seq_lseek,
	.release = single_release,
};

/* Maps the register that raises vector 0, to measure the device alone. */
static void bench_find_raise(struct epf_bench *b)
{
	struct pci_dev *pdev;
	void __iomem *regs;
	u32 offset;

	pdev = pci_get_device(EPC_PCI_VENDOR_ID, EPC_PCI_DEVICE_ID, NULL);
	if (!pdev)
		return;
	regs = pci_iomap(pdev, EPC_BAR_REGS, 0);
	if (regs) {
		offset = readl(regs + EPC_REG_RAISE_BASE) + EPC_RAISE_MSIX(0) +
			 b->epf->func_no * readl(regs + EPC_REG_RAISE_STRIDE);
		b->raise = ioremap(pci_resource_start(pdev, EPC_BAR_REGS) +
				   offset, sizeof(u32));
		pci_iounmap(pdev, regs);
	}
	pci_dev_put(pdev);
}

static void bench_put_ivshmem(struct epf_bench *b)
{
	if (!b->ivshmem)
		return;
	if (b->ivshmem_page)
		pci_iounmap(b->ivshmem, b->ivshmem_page);
	if (b->ivshmem_regs)
		pci_iounmap(b->ivshmem, b->ivshmem_regs);
	pci_disable_device(b->ivshmem);
	pci_dev_put(b->ivshmem);
	b->ivshmem = NULL;
}

/* Gets the yardstick for interrupts, if there is one. */
static void bench_get_ivshmem(struct epf_bench *b)
{
	struct pci_dev *pdev;

	pdev = pci_get_device(BENCH_VENDOR, BENCH_IVSHMEM, NULL);
	if (!pdev)
		return;
	if (pci_enable_device(pdev)) {
		pci_dev_put(pdev);
		return;
	}
	b->ivshmem = pdev;
	b->ivshmem_regs = pci_iomap(pdev, IVSHMEM_BAR_REGS, 0);
	b->ivshmem_page = pci_iomap(pdev, IVSHMEM_BAR_MEMORY, 0);
	if (!b->ivshmem_regs || !b->ivshmem_page)
		bench_put_ivshmem(b);
}

int epf_bench_run_init(struct epf_bench *b)
{
	struct dentry *dir;

	b->space = vmalloc(BENCH_DATA_SIZE + SZ_2M);
	if (!b->space)
		return -ENOMEM;
	/*
	 * Window and BAR memory are aligned to 1 MiB.  Another alignment of the
	 * local buffer keeps source and target out of the same entry of a
	 * direct-mapped TLB (QEMU's TCG has one).
	 */
	b->local = PTR_ALIGN(b->space, SZ_1M) + 33 * PAGE_SIZE;
	bench_find_raise(b);
	if (epf_bench_first(b))
		bench_get_ivshmem(b);
	dir = debugfs_create_dir(dev_name(&b->epf->dev), NULL);
	debugfs_create_file("run", 0600, dir, b, &bench_run_fops);
	return 0;
}

void epf_bench_run_exit(struct epf_bench *b)
{
	debugfs_lookup_and_remove(dev_name(&b->epf->dev), NULL);
	if (b->raise)
		iounmap(b->raise);
	bench_put_ivshmem(b);
	vfree(b->space);
}
