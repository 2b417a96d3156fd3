// SPDX-License-Identifier: GPL-2.0
/*
 * Endpoint function with a DOE mailbox, which answers the objects of doe-test.h
 *
 * Files in debugfs:
 *
 *   state       numbers of objects, and of those whose content was wrong
 *   delay       milliseconds that each answer takes
 *   hold        write 1: answers wait until it is 0
 *   unregister  write 1: the function takes no objects of the first type any
 *               more
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/iopoll.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-epc.h>
#include <linux/pci-epf.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "doe-test.h"
#include "pci-epc-ext.h"

#define DOE_TEST_NAME		"pci_epf_doe_test"
#define DOE_TEST_IRQ		2	/* of the MSI interrupts, counted from 1 */
#define DOE_TEST_IRQS		4
#define DOE_TEST_POLL		(10 * USEC_PER_MSEC)
#define DOE_TEST_HOLD_MAX	(60 * USEC_PER_SEC)

/**
 * struct doe_test - the function
 * @epf: its endpoint function
 * @func: its handle of pci-epc-ext.h
 * @dir: its directory in debugfs
 * @delay: content of the file "delay"
 * @hold: content of the file "hold"
 * @objects: number of objects
 * @wrong: number of those whose content was wrong
 */
struct doe_test {
	struct pci_epf *epf;
	struct pci_epc_ext_func *func;
	struct dentry *dir;
	u32 delay;
	bool hold;
	u32 objects;
	u32 wrong;
};

static struct dentry *doe_test_root;

/* ---- Objects ---- */

static ssize_t doe_test_echo(struct doe_test *t, const __le32 *request,
			     u32 len, void **response)
{
	u32 want, seed;

	if (len < DOE_TEST_MIN)
		return -EINVAL;
	want = le32_to_cpu(request[0]);
	seed = le32_to_cpu(request[1]);
	if (want > DOE_TEST_MAX ||
	    doe_test_check(request + 2, len - 2, seed, 2) != len - 2) {
		t->wrong++;
		return -EILSEQ;
	}
	*response = kvmalloc_array(max(want, 1U), sizeof(__le32), GFP_KERNEL);
	if (!*response)
		return -ENOMEM;
	doe_test_fill(*response, want, ~seed, 0);
	return want * sizeof(__le32);
}

static ssize_t doe_test_handler(void *data, u16 vid, u8 type,
				const void *request, size_t len,
				void **response)
{
	struct doe_test *t = data;
	u32 delay = READ_ONCE(t->delay);
	bool hold;

	t->objects++;
	read_poll_timeout(READ_ONCE, hold, !hold, DOE_TEST_POLL,
			  DOE_TEST_HOLD_MAX, false, t->hold);
	if (delay)
		msleep(delay);
	if (type == DOE_TEST_REFUSE)
		return -EIO;
	return doe_test_echo(t, request, len / sizeof(__le32), response);
}

/* ---- debugfs ---- */

static int doe_test_state_show(struct seq_file *s, void *unused)
{
	struct doe_test *t = s->private;

	seq_printf(s, "objects %u\nwrong %u\n", READ_ONCE(t->objects),
		   READ_ONCE(t->wrong));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(doe_test_state);

static ssize_t doe_test_unregister_write(struct file *file,
					 const char __user *buf, size_t count,
					 loff_t *pos)
{
	struct doe_test *t = file->private_data;
	int ret = pci_epc_ext_doe_unregister(t->func, DOE_TEST_VENDOR,
					     DOE_TEST_ECHO);

	return ret ? ret : count;
}

static const struct file_operations doe_test_unregister_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = doe_test_unregister_write,
};

static void doe_test_show(struct doe_test *t)
{
	t->dir = debugfs_create_dir(dev_name(&t->epf->dev), doe_test_root);
	debugfs_create_file("state", 0400, t->dir, t, &doe_test_state_fops);
	debugfs_create_file("unregister", 0200, t->dir, t,
			    &doe_test_unregister_fops);
	debugfs_create_u32("delay", 0600, t->dir, &t->delay);
	debugfs_create_bool("hold", 0600, t->dir, &t->hold);
}

/* ---- The function ---- */

static struct pci_epf_header doe_test_header = {
	.vendorid = PCI_VENDOR_ID_REDHAT_QUMRANET,
	.deviceid = DOE_TEST_DEVICE,
	.baseclass_code = PCI_CLASS_OTHERS,
	.interrupt_pin = PCI_INTERRUPT_INTA,
};

static int doe_test_epc_init(struct pci_epf *epf)
{
	struct doe_test *t = epf_get_drvdata(epf);
	int ret;

	ret = pci_epc_write_header(epf->epc, epf->func_no, epf->vfunc_no,
				   epf->header);
	if (!ret)
		ret = pci_epc_set_msi(epf->epc, epf->func_no, epf->vfunc_no,
				      DOE_TEST_IRQS);
	if (!ret)
		ret = pci_epc_ext_doe_add(t->func, DOE_TEST_IRQ);
	if (ret < 0)
		dev_err(&epf->dev, "cannot set up the function: error %d\n",
			ret);
	return min(ret, 0);
}

static const struct pci_epc_event_ops doe_test_event_ops = {
	.epc_init = doe_test_epc_init,
};

static int doe_test_bind(struct pci_epf *epf)
{
	struct doe_test *t = epf_get_drvdata(epf);
	int ret;

	t->func = pci_epc_ext_open(epf->epc, epf->func_no, epf->vfunc_no, NULL,
				   NULL);
	if (IS_ERR(t->func))
		return PTR_ERR(t->func);
	ret = pci_epc_ext_doe_register(t->func, DOE_TEST_VENDOR, DOE_TEST_ECHO,
				       doe_test_handler, t);
	if (!ret)
		ret = pci_epc_ext_doe_register(t->func, DOE_TEST_VENDOR,
					       DOE_TEST_REFUSE,
					       doe_test_handler, t);
	if (ret) {
		pci_epc_ext_close(t->func);
		return ret;
	}
	doe_test_show(t);
	return 0;
}

static void doe_test_unbind(struct pci_epf *epf)
{
	struct doe_test *t = epf_get_drvdata(epf);

	debugfs_remove(t->dir);
	WRITE_ONCE(t->hold, false);
	pci_epc_ext_close(t->func);
}

static const struct pci_epf_ops doe_test_ops = {
	.bind = doe_test_bind,
	.unbind = doe_test_unbind,
};

static int doe_test_probe(struct pci_epf *epf,
			  const struct pci_epf_device_id *id)
{
	struct doe_test *t = devm_kzalloc(&epf->dev, sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	t->epf = epf;
	epf->header = &doe_test_header;
	epf->event_ops = &doe_test_event_ops;
	epf_set_drvdata(epf, t);
	return 0;
}

static const struct pci_epf_device_id doe_test_ids[] = {
	{ .name = DOE_TEST_NAME },
	{ }
};

static struct pci_epf_driver doe_test_driver = {
	.driver.name = DOE_TEST_NAME,
	.probe = doe_test_probe,
	.id_table = doe_test_ids,
	.ops = &doe_test_ops,
	.owner = THIS_MODULE,
};

static int __init doe_test_init(void)
{
	int ret;

	doe_test_root = debugfs_create_dir(DOE_TEST_NAME, NULL);
	ret = pci_epf_register_driver(&doe_test_driver);
	if (ret)
		debugfs_remove(doe_test_root);
	return ret;
}
module_init(doe_test_init);

static void __exit doe_test_exit(void)
{
	pci_epf_unregister_driver(&doe_test_driver);
	debugfs_remove(doe_test_root);
}
module_exit(doe_test_exit);

MODULE_DESCRIPTION("Endpoint function that tests DOE mailboxes");
MODULE_LICENSE("GPL");
