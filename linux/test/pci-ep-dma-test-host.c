// SPDX-License-Identifier: GPL-2.0
/*
 * Host side of pci-epf-dma-test: a buffer that the endpoint reads and writes
 *
 * Files in debugfs:
 *
 *   addr   bus address of the buffer
 *   fill   write "OFFSET LENGTH SEED": a part of the buffer gets that pattern
 *   check  the same: fails unless that part has the pattern
 *   pings  number of interrupts, and of those that came before their data
 */
#include <linux/debugfs.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "dma-test.h"

#define DMA_TEST_HOST_NAME	"pci-ep-dma-test-host"

/**
 * struct dma_test_host - the device
 * @pdev: the PCI device
 * @dir: its directory in debugfs
 * @buf: the buffer
 * @addr: bus address of @buf
 * @pings: number of interrupts
 * @early: number of interrupts that came before their data
 */
struct dma_test_host {
	struct pci_dev *pdev;
	struct dentry *dir;
	u8 *buf;
	dma_addr_t addr;
	u32 pings;
	u32 early;
};

static irqreturn_t dma_test_host_irq(int irq, void *data)
{
	struct dma_test_host *h = data;
	struct dma_test_ping *ping = (void *)h->buf;
	u32 number = READ_ONCE(ping->number);

	if (number != ++h->pings)
		h->early++;
	WRITE_ONCE(ping->answer, h->pings);
	return IRQ_HANDLED;
}

/* Gets a part of the buffer and a seed from user space. */
static int dma_test_host_part(const char __user *buf, size_t count,
			      u32 *offset, u32 *len, u32 *seed)
{
	char text[64];

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, count))
		return -EFAULT;
	text[count] = '\0';
	if (sscanf(text, "%i %i %i", offset, len, seed) != 3 ||
	    *offset > DMA_TEST_SIZE || *len > DMA_TEST_SIZE - *offset)
		return -EINVAL;
	return 0;
}

static ssize_t dma_test_host_fill_write(struct file *file,
					const char __user *buf, size_t count,
					loff_t *pos)
{
	struct dma_test_host *h = file->private_data;
	u32 offset, len, seed;
	int ret = dma_test_host_part(buf, count, &offset, &len, &seed);

	if (ret)
		return ret;
	dma_test_fill(h->buf + offset, len, seed, 0);
	return count;
}

static const struct file_operations dma_test_host_fill_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = dma_test_host_fill_write,
};

static ssize_t dma_test_host_check_write(struct file *file,
					 const char __user *buf, size_t count,
					 loff_t *pos)
{
	struct dma_test_host *h = file->private_data;
	u32 offset, len, seed;
	int ret = dma_test_host_part(buf, count, &offset, &len, &seed);
	size_t right;

	if (ret)
		return ret;
	right = dma_test_check(h->buf + offset, len, seed, 0);
	if (right == len)
		return count;
	dev_info(&h->pdev->dev, "byte %zu of pattern %u is wrong\n", right,
		 seed);
	return -EILSEQ;
}

static const struct file_operations dma_test_host_check_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = dma_test_host_check_write,
};

static int dma_test_host_addr_show(struct seq_file *s, void *unused)
{
	struct dma_test_host *h = s->private;

	seq_printf(s, "%#llx\n", (u64)h->addr);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(dma_test_host_addr);

static int dma_test_host_pings_show(struct seq_file *s, void *unused)
{
	struct dma_test_host *h = s->private;

	seq_printf(s, "%u %u\n", READ_ONCE(h->pings), READ_ONCE(h->early));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(dma_test_host_pings);

static void dma_test_host_hide(void *data)
{
	debugfs_remove(data);
}

static int dma_test_host_show(struct dma_test_host *h)
{
	h->dir = debugfs_create_dir(DMA_TEST_HOST_NAME, NULL);
	debugfs_create_file("addr", 0400, h->dir, h, &dma_test_host_addr_fops);
	debugfs_create_file("fill", 0200, h->dir, h, &dma_test_host_fill_fops);
	debugfs_create_file("check", 0200, h->dir, h,
			    &dma_test_host_check_fops);
	debugfs_create_file("pings", 0400, h->dir, h,
			    &dma_test_host_pings_fops);
	return devm_add_action_or_reset(&h->pdev->dev, dma_test_host_hide,
					h->dir);
}

static int dma_test_host_probe(struct pci_dev *pdev,
			       const struct pci_device_id *id)
{
	struct dma_test_host *h = devm_kzalloc(&pdev->dev, sizeof(*h),
					       GFP_KERNEL);
	int ret;

	if (!h)
		return -ENOMEM;
	h->pdev = pdev;
	ret = pcim_enable_device(pdev);
	if (!ret)
		ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	h->buf = dmam_alloc_coherent(&pdev->dev, DMA_TEST_SIZE, &h->addr,
				     GFP_KERNEL);
	if (!h->buf)
		return -ENOMEM;
	pci_set_master(pdev);
	ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSIX);
	if (ret < 0)
		return dev_err_probe(&pdev->dev, ret, "no MSI-X vector\n");
	ret = devm_request_irq(&pdev->dev, pci_irq_vector(pdev, 0),
			       dma_test_host_irq, 0, DMA_TEST_HOST_NAME, h);
	return ret ? ret : dma_test_host_show(h);
}

static const struct pci_device_id dma_test_host_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, DMA_TEST_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, dma_test_host_ids);

static struct pci_driver dma_test_host_driver = {
	.name = DMA_TEST_HOST_NAME,
	.id_table = dma_test_host_ids,
	.probe = dma_test_host_probe,
};
module_pci_driver(dma_test_host_driver);

MODULE_DESCRIPTION("Host side of the test of DMA by host bus address");
MODULE_LICENSE("GPL");
