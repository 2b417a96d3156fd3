// SPDX-License-Identifier: GPL-2.0
/*
 * Endpoint function of the load test: the framework's side, and the run
 *
 * Write a number of seconds to the file "run" in debugfs.  For that time
 * copies, changes of BAR 0 and interrupts happen at once.  The write fails if
 * one of them fails.  Read the file for the number of each.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "epf-hammer.h"

#define HAMMER_SECONDS_MAX	3600

static const char * const hammer_count_names[HAMMER_COUNTS] = {
	[HAMMER_CPU] = "cpu_copies",
	[HAMMER_DMA] = "dma_copies",
	[HAMMER_KIB] = "kib",
	[HAMMER_MAPS] = "held_maps",
	[HAMMER_RETARGETS] = "retargets",
	[HAMMER_WRITES] = "bar_writes",
	[HAMMER_IRQS] = "interrupts",
};

static const int hammer_bars[] = {
	HAMMER_BAR_TARGET, HAMMER_BAR_PAGE, HAMMER_BAR_MSIX
};

static struct pci_epf_header hammer_header = {
	.vendorid = HAMMER_VENDOR,
	.deviceid = HAMMER_DEVICE,
	.baseclass_code = PCI_CLASS_OTHERS,
	.interrupt_pin = PCI_INTERRUPT_INTA,
};

/* Logs an error and ends the run.  The first error is the result of the run. */
void hammer_fail(struct epf_hammer *h, int err, const char *fmt, ...)
{
	struct va_format vaf;
	va_list args;

	va_start(args, fmt);
	vaf.fmt = fmt;
	vaf.va = &args;
	dev_err(&h->epf->dev, "%pV: error %d\n", &vaf, err);
	va_end(args);
	atomic_cmpxchg(&h->failed, 0, err);
	WRITE_ONCE(h->stop, true);
}

/* ---- The run ---- */

static void hammer_free_copiers(struct epf_hammer *h)
{
	unsigned int i;

	for (i = 0; i < HAMMER_COPIERS; i++) {
		hammer_copier_free(h->copiers[i]);
		h->copiers[i] = NULL;
	}
}

static int hammer_run_all(struct epf_hammer *h, unsigned int seconds)
{
	unsigned long end = jiffies + seconds * HZ;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < HAMMER_COPIERS; i++)
		hammer_copier_start(h->copiers[i]);
	queue_work(h->wq, &h->bar_work);
	queue_work(h->wq, &h->irq_work);
	while (!ret && hammer_goes_on(h) && time_before(jiffies, end))
		ret = msleep_interruptible(50) ? -EINTR : 0;
	WRITE_ONCE(h->stop, true);
	flush_workqueue(h->wq);
	return atomic_read(&h->failed) ?: ret;
}

static int hammer_run(struct epf_hammer *h, unsigned int seconds)
{
	unsigned int i;
	int ret = 0;

	if (le32_to_cpu(READ_ONCE(h->page->ready)) != HAMMER_READY)
		return -EAGAIN;
	h->stop = false;
	atomic_set(&h->failed, 0);
	for (i = 0; i < HAMMER_COUNTS; i++)
		atomic64_set(&h->count[i], 0);
	for (i = 0; !ret && i < HAMMER_COPIERS; i++) {
		h->copiers[i] = hammer_copier_new(h, i);
		if (!h->copiers[i])
			ret = -ENOMEM;
	}
	if (!ret)
		ret = hammer_run_all(h, seconds);
	hammer_free_copiers(h);
	return ret;
}

static ssize_t hammer_run_write(struct file *file, const char __user *buffer,
				size_t count, loff_t *pos)
{
	struct epf_hammer *h = ((struct seq_file *)file->private_data)->private;
	unsigned int seconds;
	int ret;

	ret = kstrtouint_from_user(buffer, count, 0, &seconds);
	if (ret)
		return ret;
	if (!seconds || seconds > HAMMER_SECONDS_MAX)
		return -EINVAL;
	guard(mutex)(&h->lock);
	ret = hammer_run(h, seconds);
	return ret ? ret : count;
}

static int hammer_run_show(struct seq_file *m, void *unused)
{
	struct epf_hammer *h = m->private;
	unsigned int i;

	for (i = 0; i < HAMMER_COUNTS; i++)
		seq_printf(m, "%s %lld\n", hammer_count_names[i],
			   atomic64_read(&h->count[i]));
	return 0;
}

static int hammer_run_open(struct inode *inode, struct file *file)
{
	return single_open(file, hammer_run_show, inode->i_private);
}

static const struct file_operations hammer_run_fops = {
	.owner = THIS_MODULE,
	.open = hammer_run_open,
	.read = seq_read,
	.write = hammer_run_write,
	.llseek = seq_lseek,
	.release = single_release,
};

/* ---- The function ---- */

static int epf_hammer_epc_init(struct pci_epf *epf)
{
	struct pci_epc *epc = epf->epc;
	int ret, i;

	ret = pci_epc_write_header(epc, epf->func_no, epf->vfunc_no,
				   epf->header);
	for (i = 0; !ret && i < ARRAY_SIZE(hammer_bars); i++)
		ret = pci_epc_set_bar(epc, epf->func_no, epf->vfunc_no,
				      &epf->bar[hammer_bars[i]]);
	if (!ret)
		ret = pci_epc_set_msix(epc, epf->func_no, epf->vfunc_no,
				       HAMMER_VECTORS, HAMMER_BAR_MSIX, 0);
	return ret;
}

static void epf_hammer_epc_deinit(struct pci_epf *epf)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(hammer_bars); i++)
		pci_epc_clear_bar(epf->epc, epf->func_no, epf->vfunc_no,
				  &epf->bar[hammer_bars[i]]);
}

static const struct pci_epc_event_ops epf_hammer_event_ops = {
	.epc_init = epf_hammer_epc_init,
	.epc_deinit = epf_hammer_epc_deinit,
};

static void hammer_free(struct epf_hammer *h)
{
	struct pci_epf *epf = h->epf;

	hammer_bar_exit(h);
	if (epf->bar[HAMMER_BAR_PAGE].addr)
		pci_epf_free_space(epf, epf->bar[HAMMER_BAR_PAGE].addr,
				   HAMMER_BAR_PAGE, PRIMARY_INTERFACE);
	if (epf->bar[HAMMER_BAR_MSIX].addr)
		pci_epf_free_space(epf, epf->bar[HAMMER_BAR_MSIX].addr,
				   HAMMER_BAR_MSIX, PRIMARY_INTERFACE);
	if (h->wq)
		destroy_workqueue(h->wq);
}

static int epf_hammer_bind(struct pci_epf *epf)
{
	struct epf_hammer *h = epf_get_drvdata(epf);
	const struct pci_epc_features *features;
	struct dentry *dir;

	features = pci_epc_get_features(epf->epc, epf->func_no, epf->vfunc_no);
	if (!features)
		return -EOPNOTSUPP;
	h->wq = alloc_workqueue("pci-epf-hammer", WQ_UNBOUND, 0);
	h->page = pci_epf_alloc_space(epf, SZ_4K, HAMMER_BAR_PAGE, features,
				      PRIMARY_INTERFACE);
	if (!h->wq || !h->page || hammer_bar_init(h, features) ||
	    !pci_epf_alloc_space(epf, SZ_4K, HAMMER_BAR_MSIX, features,
				 PRIMARY_INTERFACE)) {
		hammer_free(h);
		return -ENOMEM;
	}
	dir = debugfs_create_dir("pci-epf-hammer", NULL);
	debugfs_create_file("run", 0600, dir, h, &hammer_run_fops);
	return 0;
}

static void epf_hammer_unbind(struct pci_epf *epf)
{
	struct epf_hammer *h = epf_get_drvdata(epf);

	debugfs_lookup_and_remove("pci-epf-hammer", NULL);
	if (epf->epc->init_complete)
		epf_hammer_epc_deinit(epf);
	hammer_free(h);
}

static const struct pci_epf_ops epf_hammer_ops = {
	.bind = epf_hammer_bind,
	.unbind = epf_hammer_unbind,
};

static int epf_hammer_probe(struct pci_epf *epf,
			    const struct pci_epf_device_id *id)
{
	struct epf_hammer *h = devm_kzalloc(&epf->dev, sizeof(*h), GFP_KERNEL);

	if (!h)
		return -ENOMEM;
	h->epf = epf;
	mutex_init(&h->lock);
	INIT_WORK(&h->bar_work, hammer_bar_run);
	INIT_WORK(&h->irq_work, hammer_irq_run);
	epf->header = &hammer_header;
	epf->event_ops = &epf_hammer_event_ops;
	epf_set_drvdata(epf, h);
	return 0;
}

static const struct pci_epf_device_id epf_hammer_ids[] = {
	{ .name = "pci_epf_hammer" },
	{ }
};

static struct pci_epf_driver epf_hammer_driver = {
	.driver.name = "pci_epf_hammer",
	.probe = epf_hammer_probe,
	.id_table = epf_hammer_ids,
	.ops = &epf_hammer_ops,
	.owner = THIS_MODULE,
};

static int __init epf_hammer_init(void)
{
	return pci_epf_register_driver(&epf_hammer_driver);
}
module_init(epf_hammer_init);

static void __exit epf_hammer_exit(void)
{
	pci_epf_unregister_driver(&epf_hammer_driver);
}
module_exit(epf_hammer_exit);

MODULE_DESCRIPTION("Endpoint function of the pci-ep load test");
MODULE_LICENSE("GPL");
