// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Driver of the host for the endpoint function "counter": /dev/counter.N, see
 * counter-uapi.h
 *
 * The endpoint can vanish at any time, also while a program has the device
 * open.  So struct counter_host lives as long as there is an open file.
 */
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "counter.h"
#include "counter-uapi.h"

#define COUNTER_HOST_NAME	"counter"
#define COUNTER_HOST_BAR	0
#define COUNTER_HOST_TIMEOUT	msecs_to_jiffies(10000)

#define counter_host_reg(h, name)	\
	((h)->regs + offsetof(struct counter_regs, name))

/**
 * struct counter_host - one device
 * @kref: held by the driver and by each open file
 * @pdev: the PCI device
 * @misc: its node
 * @id: number in the name of the node
 * @regs: BAR 0
 * @buf: memory that the endpoint reaches by DMA
 * @bus: its address for the endpoint
 * @done: the endpoint raised its interrupt
 * @lock: one command at a time; protects @gone and all but @kref
 * @gone: the driver is unbound, nothing but @kref is valid
 */
struct counter_host {
	struct kref kref;
	struct pci_dev *pdev;
	struct miscdevice misc;
	int id;
	void __iomem *regs;
	void *buf;
	dma_addr_t bus;
	struct completion done;
	struct mutex lock;	/* see above */
	bool gone;
};

static DEFINE_IDA(counter_host_ida);

static void counter_host_free(struct kref *kref)
{
	struct counter_host *h = container_of(kref, struct counter_host, kref);

	mutex_destroy(&h->lock);
	kfree(h->misc.name);
	kfree(h);
}

/* ---- Commands ---- */

static irqreturn_t counter_host_irq(int irq, void *data)
{
	struct counter_host *h = data;

	complete(&h->done);
	return IRQ_HANDLED;
}

/* Returns 0 when the endpoint has done the command.  Needs h->lock. */
static int counter_host_command(struct counter_host *h, u32 command)
{
	lockdep_assert_held(&h->lock);
	reinit_completion(&h->done);
	writel(command, counter_host_reg(h, command));
	if (!wait_for_completion_timeout(&h->done, COUNTER_HOST_TIMEOUT))
		return -ETIMEDOUT;
	if (readl(counter_host_reg(h, command)))
		return -EIO;
	switch (readl(counter_host_reg(h, status))) {
	case COUNTER_OK:
		return 0;
	case COUNTER_BAD_COMMAND:
	case COUNTER_BAD_SIZE:
		return -EINVAL;
	default:
		return -EIO;
	}
}

static int counter_host_transfer(struct counter_host *h, u32 command,
				 size_t size)
{
	writeq(h->bus, counter_host_reg(h, address));
	writel(size, counter_host_reg(h, size));
	return counter_host_command(h, command);
}

/* ---- The node ---- */

static int counter_host_open(struct inode *inode, struct file *file)
{
	struct miscdevice *misc = file->private_data;
	struct counter_host *h = container_of(misc, struct counter_host, misc);

	/* misc_deregister() waits for this function, so @h is valid. */
	kref_get(&h->kref);
	file->private_data = h;
	return 0;
}

static int counter_host_release(struct inode *inode, struct file *file)
{
	struct counter_host *h = file->private_data;

	kref_put(&h->kref, counter_host_free);
	return 0;
}

static ssize_t counter_host_read(struct file *file, char __user *user,
				 size_t size, loff_t *pos)
{
	struct counter_host *h = file->private_data;
	int ret;

	if (size > COUNTER_MAX_SIZE)
		return -EINVAL;
	guard(mutex)(&h->lock);
	if (h->gone)
		return -ENODEV;
	ret = counter_host_transfer(h, COUNTER_CMD_FILL, size);
	if (ret)
		return ret;
	return copy_to_user(user, h->buf, size) ? -EFAULT : size;
}

static ssize_t counter_host_write(struct file *file, const char __user *user,
				  size_t size, loff_t *pos)
{
	struct counter_host *h = file->private_data;
	int ret;

	if (size > COUNTER_MAX_SIZE)
		return -EINVAL;
	guard(mutex)(&h->lock);
	if (h->gone)
		return -ENODEV;
	if (copy_from_user(h->buf, user, size))
		return -EFAULT;
	ret = counter_host_transfer(h, COUNTER_CMD_SUM, size);
	return ret ?: size;
}

static long counter_host_ioctl(struct file *file, unsigned int cmd,
			       unsigned long arg)
{
	struct counter_host *h = file->private_data;
	u32 __user *user = (u32 __user *)arg;

	guard(mutex)(&h->lock);
	if (h->gone)
		return -ENODEV;
	switch (cmd) {
	case COUNTER_IOC_ADD:
		writel(arg, counter_host_reg(h, value));
		return counter_host_command(h, COUNTER_CMD_ADD);
	case COUNTER_IOC_GET:
		return put_user(readl(counter_host_reg(h, count)), user);
	case COUNTER_IOC_DMA:
		return put_user(readl(counter_host_reg(h, dma)), user);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations counter_host_fops = {
	.owner = THIS_MODULE,
	.open = counter_host_open,
	.release = counter_host_release,
	.read = counter_host_read,
	.write = counter_host_write,
	.unlocked_ioctl = counter_host_ioctl,
};

/* ---- The device comes and goes ---- */

/* What devres undoes when the driver is unbound */
static int counter_host_enable(struct counter_host *h)
{
	struct pci_dev *pdev = h->pdev;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	h->regs = pcim_iomap(pdev, COUNTER_HOST_BAR, 0);
	if (!h->regs)
		return -ENOMEM;
	if (readl(counter_host_reg(h, magic)) != COUNTER_MAGIC)
		return dev_err_probe(&pdev->dev, -ENODEV, "wrong magic\n");
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	h->buf = dmam_alloc_coherent(&pdev->dev, COUNTER_MAX_SIZE, &h->bus,
				     GFP_KERNEL);
	if (!h->buf)
		return -ENOMEM;
	pci_set_master(pdev);
	return 0;
}

static int counter_host_request_irq(struct counter_host *h)
{
	int ret;

	ret = pci_alloc_irq_vectors(h->pdev, 1, 1, PCI_IRQ_ALL_TYPES);
	if (ret < 0)
		return ret;
	ret = pci_request_irq(h->pdev, 0, counter_host_irq, NULL, h, "%s",
			      COUNTER_HOST_NAME);
	if (ret)
		pci_free_irq_vectors(h->pdev);
	return ret;
}

static void counter_host_free_irq(struct counter_host *h)
{
	pci_free_irq(h->pdev, 0, h);
	pci_free_irq_vectors(h->pdev);
}

static int counter_host_register(struct counter_host *h)
{
	int ret;

	h->id = ida_alloc(&counter_host_ida, GFP_KERNEL);
	if (h->id < 0)
		return h->id;
	h->misc.name = kasprintf(GFP_KERNEL, COUNTER_HOST_NAME ".%d", h->id);
	h->misc.minor = MISC_DYNAMIC_MINOR;
	h->misc.parent = &h->pdev->dev;
	h->misc.fops = &counter_host_fops;
	ret = h->misc.name ? misc_register(&h->misc) : -ENOMEM;
	if (ret)
		ida_free(&counter_host_ida, h->id);
	return ret;
}

static int counter_host_probe(struct pci_dev *pdev,
			      const struct pci_device_id *id)
{
	struct counter_host *h;
	int ret;

	h = kzalloc(sizeof(*h), GFP_KERNEL);
	if (!h)
		return -ENOMEM;
	kref_init(&h->kref);
	mutex_init(&h->lock);
	init_completion(&h->done);
	h->pdev = pdev;
	pci_set_drvdata(pdev, h);

	ret = counter_host_enable(h);
	if (ret)
		goto put;
	ret = counter_host_request_irq(h);
	if (ret)
		goto put;
	ret = counter_host_register(h);
	if (ret)
		goto free_irq;
	return 0;

free_irq:
	counter_host_free_irq(h);
put:
	kref_put(&h->kref, counter_host_free);
	return ret;
}

static void counter_host_remove(struct pci_dev *pdev)
{
	struct counter_host *h = pci_get_drvdata(pdev);

	misc_deregister(&h->misc);
	scoped_guard(mutex, &h->lock)
		h->gone = true;
	counter_host_free_irq(h);
	ida_free(&counter_host_ida, h->id);
	kref_put(&h->kref, counter_host_free);
}

static const struct pci_device_id counter_host_ids[] = {
	{ PCI_DEVICE(COUNTER_VENDOR, COUNTER_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, counter_host_ids);

static struct pci_driver counter_host_driver = {
	.name = COUNTER_HOST_NAME,
	.id_table = counter_host_ids,
	.probe = counter_host_probe,
	.remove = counter_host_remove,
};
module_pci_driver(counter_host_driver);

MODULE_DESCRIPTION("Driver of the host for the endpoint function counter");
MODULE_LICENSE("GPL");
