// SPDX-License-Identifier: GPL-2.0
/*
 * Endpoint function that answers the accesses of the host to BAR 0
 *
 * BAR 0 has these registers, which no memory can have:
 *
 *   0x00   select  32 bits
 *   0x04   banked  32 bits, read only: trap_test_banked() of select
 *   0x08   status  32 bits: after 0 was written it reads 1 until the work for
 *          that is done, which takes 20 ms, and then 0
 *   0x10   count   32 bits, read only: how often it was read
 *   0x100  slots   64 registers of 64 bits, which any width may access
 *
 * Files in debugfs:
 *
 *   state   numbers of reads, writes and resets
 *   delay   milliseconds that each read takes
 *   silent  write 1: reads wait until it is 0
 *   untrap  write 1: pci_epc_ext_untrap(); the BAR stays
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-epc.h>
#include <linux/pci-epf.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>

#include "pci-epc-ext.h"

#define TRAP_TEST_NAME		"pci_epf_trap_test"
#define TRAP_TEST_SELECT	0x00
#define TRAP_TEST_BANKED	0x04
#define TRAP_TEST_STATUS	0x08
#define TRAP_TEST_COUNT		0x10
#define TRAP_TEST_SLOTS		0x100
#define TRAP_TEST_SLOT_BYTES	(64 * sizeof(u64))
#define TRAP_TEST_WORK_MS	20
#define TRAP_TEST_POLL		(10 * USEC_PER_MSEC)
#define TRAP_TEST_SILENT_MAX	(60 * USEC_PER_SEC)

/**
 * struct trap_test - the function
 * @epf: its endpoint function
 * @func: its handle of pci-epc-ext.h
 * @target: target of BAR 0
 * @dir: its directory in debugfs
 * @work: what status 0 waits for
 * @delay: content of the file "delay"
 * @silent: content of the file "silent"
 * @select: register select
 * @status: register status
 * @count: register count
 * @slots: registers from 0x100 on
 * @reads: number of reads
 * @writes: number of writes
 * @resets: number of resets
 */
struct trap_test {
	struct pci_epf *epf;
	struct pci_epc_ext_func *func;
	dma_addr_t target;
	struct dentry *dir;
	struct delayed_work work;
	u32 delay;
	bool silent;
	u32 select;
	u32 status;
	u32 count;
	u8 slots[TRAP_TEST_SLOT_BYTES] __aligned(sizeof(u64));
	u32 reads;
	u32 writes;
	u32 resets;
};

static struct dentry *trap_test_root;

/* ---- Registers ---- */

static u32 trap_test_banked(u32 select)
{
	return select * 0x01000193 + 1;
}

static u8 *trap_test_slot(struct trap_test *t, u64 offset, unsigned int size)
{
	offset -= TRAP_TEST_SLOTS;
	return offset < TRAP_TEST_SLOT_BYTES ? t->slots + offset : NULL;
}

static u64 trap_test_read(void *data, unsigned int bar, u64 offset,
			  unsigned int size)
{
	struct trap_test *t = data;
	u8 *slot = trap_test_slot(t, offset, size);
	u64 value = 0;
	bool silent;

	read_poll_timeout(READ_ONCE, silent, !silent, TRAP_TEST_POLL,
			  TRAP_TEST_SILENT_MAX, false, t->silent);
	if (READ_ONCE(t->delay))
		msleep(READ_ONCE(t->delay));
	t->reads++;
	if (slot) {
		memcpy(&value, slot, size);
		return value;
	}
	switch (offset) {
	case TRAP_TEST_SELECT:
		return t->select;
	case TRAP_TEST_BANKED:
		return trap_test_banked(t->select);
	case TRAP_TEST_STATUS:
		return READ_ONCE(t->status);
	case TRAP_TEST_COUNT:
		return ++t->count;
	default:
		return U64_MAX;
	}
}

static void trap_test_write(void *data, unsigned int bar, u64 offset,
			    unsigned int size, u64 value)
{
	struct trap_test *t = data;
	u8 *slot = trap_test_slot(t, offset, size);

	t->writes++;
	if (slot) {
		memcpy(slot, &value, size);
	} else if (offset == TRAP_TEST_SELECT) {
		t->select = value;
	} else if (offset == TRAP_TEST_STATUS) {
		WRITE_ONCE(t->status, 1);
		mod_delayed_work(system_wq, &t->work,
				 msecs_to_jiffies(TRAP_TEST_WORK_MS));
	}
}

static void trap_test_reset(void *data)
{
	struct trap_test *t = data;

	t->resets++;
	t->select = 0;
}

static const struct pci_epc_ext_trap_ops trap_test_trap_ops = {
	.read = trap_test_read,
	.write = trap_test_write,
	.reset = trap_test_reset,
};

static void trap_test_work(struct work_struct *work)
{
	struct trap_test *t = container_of(work, struct trap_test, work.work);

	WRITE_ONCE(t->status, 0);
}

/* ---- debugfs ---- */

static int trap_test_state_show(struct seq_file *s, void *unused)
{
	struct trap_test *t = s->private;

	seq_printf(s, "reads %u\nwrites %u\nresets %u\n", READ_ONCE(t->reads),
		   READ_ONCE(t->writes), READ_ONCE(t->resets));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(trap_test_state);

static ssize_t trap_test_untrap_write(struct file *file,
				      const char __user *buf, size_t count,
				      loff_t *pos)
{
	struct trap_test *t = file->private_data;
	int ret = pci_epc_ext_untrap(t->func);

	return ret ? ret : count;
}

static const struct file_operations trap_test_untrap_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = trap_test_untrap_write,
};

static void trap_test_show(struct trap_test *t)
{
	t->dir = debugfs_create_dir(dev_name(&t->epf->dev), trap_test_root);
	debugfs_create_file("state", 0400, t->dir, t, &trap_test_state_fops);
	debugfs_create_file("untrap", 0200, t->dir, t, &trap_test_untrap_fops);
	debugfs_create_u32("delay", 0600, t->dir, &t->delay);
	debugfs_create_bool("silent", 0600, t->dir, &t->silent);
}

/* ---- The function ---- */

static struct pci_epf_header trap_test_header = {
	.vendorid = PCI_VENDOR_ID_REDHAT_QUMRANET,
	.deviceid = 0x10fd,
	.baseclass_code = PCI_CLASS_OTHERS,
	.interrupt_pin = PCI_INTERRUPT_INTA,
};

static int trap_test_epc_init(struct pci_epf *epf)
{
	struct trap_test *t = epf_get_drvdata(epf);
	struct pci_epf_bar bar = {
		.barno = BAR_0,
		.phys_addr = t->target,
		.size = SZ_64K,
	};
	int ret;

	ret = pci_epc_write_header(epf->epc, epf->func_no, epf->vfunc_no,
				   epf->header);
	if (!ret)
		ret = pci_epc_set_bar(epf->epc, epf->func_no, epf->vfunc_no,
				      &bar);
	if (ret)
		dev_err(&epf->dev, "cannot set up the function: error %d\n",
			ret);
	return ret;
}

static const struct pci_epc_event_ops trap_test_event_ops = {
	.epc_init = trap_test_epc_init,
};

static int trap_test_bind(struct pci_epf *epf)
{
	struct trap_test *t = epf_get_drvdata(epf);
	int ret;

	t->func = pci_epc_ext_open(epf->epc, epf->func_no, epf->vfunc_no, NULL,
				   NULL);
	if (IS_ERR(t->func))
		return PTR_ERR(t->func);
	ret = pci_epc_ext_trap(t->func, &trap_test_trap_ops, t, &t->target);
	if (ret) {
		pci_epc_ext_close(t->func);
		return ret;
	}
	trap_test_show(t);
	return 0;
}

static void trap_test_unbind(struct pci_epf *epf)
{
	struct trap_test *t = epf_get_drvdata(epf);
	struct pci_epf_bar bar = { .barno = BAR_0 };

	debugfs_remove(t->dir);
	WRITE_ONCE(t->silent, false);
	pci_epc_clear_bar(epf->epc, epf->func_no, epf->vfunc_no, &bar);
	pci_epc_ext_close(t->func);
	cancel_delayed_work_sync(&t->work);
}

static const struct pci_epf_ops trap_test_ops = {
	.bind = trap_test_bind,
	.unbind = trap_test_unbind,
};

static int trap_test_probe(struct pci_epf *epf,
			   const struct pci_epf_device_id *id)
{
	struct trap_test *t = devm_kzalloc(&epf->dev, sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	t->epf = epf;
	INIT_DELAYED_WORK(&t->work, trap_test_work);
	epf->header = &trap_test_header;
	epf->event_ops = &trap_test_event_ops;
	epf_set_drvdata(epf, t);
	return 0;
}

static const struct pci_epf_device_id trap_test_ids[] = {
	{ .name = TRAP_TEST_NAME },
	{ }
};

static struct pci_epf_driver trap_test_driver = {
	.driver.name = TRAP_TEST_NAME,
	.probe = trap_test_probe,
	.id_table = trap_test_ids,
	.ops = &trap_test_ops,
	.owner = THIS_MODULE,
};

static int __init trap_test_init(void)
{
	int ret;

	trap_test_root = debugfs_create_dir(TRAP_TEST_NAME, NULL);
	ret = pci_epf_register_driver(&trap_test_driver);
	if (ret)
		debugfs_remove(trap_test_root);
	return ret;
}
module_init(trap_test_init);

static void __exit trap_test_exit(void)
{
	pci_epf_unregister_driver(&trap_test_driver);
	debugfs_remove(trap_test_root);
}
module_exit(trap_test_exit);

MODULE_DESCRIPTION("Endpoint function that tests trapped BARs");
MODULE_LICENSE("GPL");
