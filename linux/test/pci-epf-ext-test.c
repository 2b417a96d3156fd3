// SPDX-License-Identifier: GPL-2.0
/*
 * Endpoint function that uses pci-epc-ext.h and shows in debugfs what it saw
 *
 * The target of BAR 0 (4 KiB) is the doorbells, that of BAR 1 (8 KiB) is
 * memory.  Files in debugfs:
 *
 *   doorbells  a line for each doorbell: number, offset in BAR 0, number of
 *              interrupts, value at the last interrupt
 *   caps       offsets of the vendor-specific and the extended capability
 *   events     a line for each type: name, number of events, last value
 *   writes     the last configuration writes: offset, bytes, value
 *   bar1       write "half": the upper half of BAR 1 has the doorbells as its
 *              target; write "memory": all of BAR 1 is memory
 *   config     write "OFFSET SIZE VALUE MASK": pci_epc_ext_write_config()
 *   answer     write 1: each doorbell raises MSI-X 1 from its interrupt handler
 *   raise      write "msi NUM" or "msix NUM": pci_epc_ext_raise_irq()
 *   irqs       pci_epc_ext_irq_state() of MSI 1 and 2, and of MSI-X 1 and 2
 *   hold       write 1: the handler of events does not return until it is 0
 */
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/interrupt.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pci-epc.h>
#include <linux/pci-epf.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ext-test-compat.h"
#include "pci-epc-ext.h"

#define EXT_TEST_NAME	"pci_epf_ext_test"
#define EXT_TEST_DOORBELLS	64
#define EXT_TEST_WRITES		256
#define EXT_TEST_BAR_DOORBELLS	BAR_0
#define EXT_TEST_BAR_MEMORY	BAR_1
#define EXT_TEST_MSIX_OFFSET	SZ_2K
#define EXT_TEST_EVENT_TYPES	(PCI_EPC_EXT_GONE + 1)
#define EXT_TEST_CAP_SIZE	0x10
#define EXT_TEST_HOLD_POLL	(10 * USEC_PER_MSEC)
#define EXT_TEST_HOLD_MAX	(120 * USEC_PER_SEC)

static const char * const ext_test_event_names[EXT_TEST_EVENT_TYPES] = {
	[PCI_EPC_EXT_CONFIG_WRITE] = "config",
	[PCI_EPC_EXT_COMMAND] = "command",
	[PCI_EPC_EXT_DSTATE] = "dstate",
	[PCI_EPC_EXT_FLR] = "flr",
	[PCI_EPC_EXT_HOT_RESET] = "hot_reset",
	[PCI_EPC_EXT_PERST] = "perst",
	[PCI_EPC_EXT_VFS] = "vfs",
	[PCI_EPC_EXT_IRQ_STATE] = "irq_state",
	[PCI_EPC_EXT_LOST] = "lost",
	[PCI_EPC_EXT_GONE] = "gone",
};

/**
 * struct ext_test_doorbell - a doorbell and its interrupts
 * @test: the function
 * @db: the doorbell, or NULL
 * @rings: number of interrupts
 * @value: value that the host had written at the last interrupt
 */
struct ext_test_doorbell {
	struct ext_test *test;
	struct pci_epc_ext_doorbell *db;
	atomic_t rings;
	u32 value;
};

/**
 * struct ext_test - the function
 * @epf: its endpoint function
 * @func: its handle of pci-epc-ext.h
 * @dir: its directory in debugfs
 * @answer: content of the file "answer"
 * @answered: number of interrupts that were raised because of @answer
 * @hold: content of the file "hold"
 * @cap: offset of the vendor-specific capability
 * @ext_cap: offset of the extended vendor-specific capability
 * @doorbells: the doorbells
 * @lock: protects the members below and the interrupts of @doorbells
 * @interrupts: the interrupts of @doorbells are requested
 * @counts: number of events by type
 * @values: value of the last event by type
 * @writes: the last configuration writes, as a ring
 * @write_count: number of configuration writes
 */
struct ext_test {
	struct pci_epf *epf;
	struct pci_epc_ext_func *func;
	struct dentry *dir;
	bool answer;
	atomic_t answered;
	bool hold;
	int cap;
	int ext_cap;
	struct ext_test_doorbell doorbells[EXT_TEST_DOORBELLS];
	struct mutex lock;	/* members below, interrupts of doorbells */
	bool interrupts;
	u32 counts[EXT_TEST_EVENT_TYPES];
	u32 values[EXT_TEST_EVENT_TYPES];
	struct pci_epc_ext_event writes[EXT_TEST_WRITES];
	u32 write_count;
};

static struct dentry *ext_test_root;

/* ---- Doorbells ---- */

static irqreturn_t ext_test_doorbell_irq(int irq, void *data)
{
	struct ext_test_doorbell *d = data;
	u32 value;

	if (!pci_epc_ext_read_doorbell(d->db, &value))
		WRITE_ONCE(d->value, value);
	atomic_inc(&d->rings);
	if (READ_ONCE(d->test->answer) &&
	    !pci_epc_ext_raise_irq(d->test->func, PCI_IRQ_MSIX, 1))
		atomic_inc(&d->test->answered);
	return IRQ_HANDLED;
}

static void ext_test_release_irqs(struct ext_test *t)
{
	int i;

	guard(mutex)(&t->lock);
	if (!t->interrupts)
		return;
	t->interrupts = false;
	for (i = 0; i < EXT_TEST_DOORBELLS; i++)
		if (t->doorbells[i].db)
			free_irq(t->doorbells[i].db->virq, &t->doorbells[i]);
}

static int ext_test_alloc_doorbell(struct ext_test *t,
				   struct ext_test_doorbell *d)
{
	struct pci_epc_ext_doorbell *db;
	int ret;

	d->test = t;
	db = pci_epc_ext_alloc_doorbell(t->func, PCI_EPC_EXT_DOORBELL_VALUE);
	if (IS_ERR(db))
		return PTR_ERR(db);
	d->db = db;
	ret = request_irq(db->virq, ext_test_doorbell_irq, 0, EXT_TEST_NAME, d);
	if (ret) {
		pci_epc_ext_free_doorbell(db);
		d->db = NULL;
	}
	return ret;
}

static int ext_test_alloc_doorbells(struct ext_test *t)
{
	int ret = 0;
	int i;

	scoped_guard(mutex, &t->lock) {
		t->interrupts = true;
		for (i = 0; !ret && i < EXT_TEST_DOORBELLS; i++)
			ret = ext_test_alloc_doorbell(t, &t->doorbells[i]);
	}
	if (ret)
		dev_err(&t->epf->dev, "doorbell %d: error %d\n", i - 1, ret);
	return ret;
}

static int ext_test_doorbells_show(struct seq_file *s, void *unused)
{
	struct ext_test *t = s->private;
	int i;

	for (i = 0; i < EXT_TEST_DOORBELLS; i++) {
		struct ext_test_doorbell *d = &t->doorbells[i];

		seq_printf(s, "%d %#x %d %#x\n", i, d->db->offset,
			   atomic_read(&d->rings), READ_ONCE(d->value));
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ext_test_doorbells);

/* ---- Events ---- */

static void ext_test_handle_event(void *data,
				  const struct pci_epc_ext_event *event)
{
	struct ext_test *t = data;
	bool held;

	if (event->type == PCI_EPC_EXT_GONE)
		ext_test_release_irqs(t);
	else
		read_poll_timeout(READ_ONCE, held, !held, EXT_TEST_HOLD_POLL,
				  EXT_TEST_HOLD_MAX, false, t->hold);

	guard(mutex)(&t->lock);
	t->counts[event->type]++;
	t->values[event->type] = event->value;
	if (event->type == PCI_EPC_EXT_CONFIG_WRITE)
		t->writes[t->write_count++ % EXT_TEST_WRITES] = *event;
}

static int ext_test_events_show(struct seq_file *s, void *unused)
{
	struct ext_test *t = s->private;
	int i;

	guard(mutex)(&t->lock);
	for (i = 0; i < EXT_TEST_EVENT_TYPES; i++)
		seq_printf(s, "%s %u %#x\n", ext_test_event_names[i], t->counts[i],
			   t->values[i]);
	seq_printf(s, "answered %d 0\n", atomic_read(&t->answered));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ext_test_events);

static int ext_test_writes_show(struct seq_file *s, void *unused)
{
	struct ext_test *t = s->private;
	u32 i;

	guard(mutex)(&t->lock);
	i = t->write_count > EXT_TEST_WRITES ?
	    t->write_count - EXT_TEST_WRITES : 0;
	for (; i < t->write_count; i++) {
		struct pci_epc_ext_event *e = &t->writes[i % EXT_TEST_WRITES];

		seq_printf(s, "%#x %u %#x\n", e->offset, e->size, e->value);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ext_test_writes);

/* ---- Capabilities ---- */

static int ext_test_add_caps(struct ext_test *t)
{
	struct pci_epc_ext_cap cap = {
		.id = PCI_CAP_ID_VNDR,
		.size = EXT_TEST_CAP_SIZE,
	};
	struct pci_epc_ext_cap ext_cap = {
		.id = PCI_EXT_CAP_ID_VNDR,
		.version = 1,
		.extended = true,
		.size = EXT_TEST_CAP_SIZE,
	};
	int ret;

	t->cap = pci_epc_ext_add_cap(t->func, &cap);
	if (t->cap < 0)
		return t->cap;
	t->ext_cap = pci_epc_ext_add_cap(t->func, &ext_cap);
	if (t->ext_cap < 0)
		return t->ext_cap;

	/* The length, a constant, and a register with a mask */
	ret = pci_epc_ext_write_config(t->func, t->cap + PCI_CAP_FLAGS, 1,
				       EXT_TEST_CAP_SIZE, 0);
	if (!ret)
		ret = pci_epc_ext_write_config(t->func, t->cap + 4, 4,
					       0x12345678, 0);
	if (!ret)
		ret = pci_epc_ext_write_config(t->func, t->cap + 8, 4,
					       0xa5a5a5a5, 0xffff00ff);
	/* The header of the extended capability, and a register */
	if (!ret)
		ret = pci_epc_ext_write_config(t->func,
					       t->ext_cap + PCI_VNDR_HEADER, 4,
					       0x42 | EXT_TEST_CAP_SIZE << 20,
					       0);
	if (!ret)
		ret = pci_epc_ext_write_config(t->func, t->ext_cap + 8, 4, 0,
					       U32_MAX);
	return ret;
}

static int ext_test_caps_show(struct seq_file *s, void *unused)
{
	struct ext_test *t = s->private;

	seq_printf(s, "%#x %#x\n", t->cap, t->ext_cap);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ext_test_caps);

/* ---- Commands ---- */

static ssize_t ext_test_get_text(const char __user *buf, size_t count,
				 char *text, size_t size)
{
	if (count >= size)
		return -EINVAL;
	if (copy_from_user(text, buf, count))
		return -EFAULT;
	text[count] = '\0';
	return count;
}

static ssize_t ext_test_config_write(struct file *file, const char __user *buf,
				     size_t count, loff_t *pos)
{
	struct ext_test *t = file->private_data;
	u32 offset, size, value, mask;
	char text[64];
	ssize_t ret;

	ret = ext_test_get_text(buf, count, text, sizeof(text));
	if (ret < 0)
		return ret;
	if (sscanf(text, "%i %i %i %i", &offset, &size, &value, &mask) != 4)
		return -EINVAL;
	ret = pci_epc_ext_write_config(t->func, offset, size, value, mask);
	return ret ? ret : count;
}

static const struct file_operations ext_test_config_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = ext_test_config_write,
};

static ssize_t ext_test_bar1_write(struct file *file, const char __user *buf,
				   size_t count, loff_t *pos)
{
	struct ext_test *t = file->private_data;
	struct pci_epf *epf = t->epf;
	struct pci_epf_bar *bar = &epf->bar[EXT_TEST_BAR_MEMORY];
	char text[16];
	ssize_t ret;

	ret = ext_test_get_text(buf, count, text, sizeof(text));
	if (ret < 0)
		return ret;
	if (sysfs_streq(text, "half"))
		ret = ext_test_set_halves(epf, bar, bar->phys_addr,
					  t->doorbells[0].db->target);
	else if (sysfs_streq(text, "memory"))
		ret = pci_epc_set_bar(epf->epc, epf->func_no, epf->vfunc_no,
				      bar);
	else
		ret = -EINVAL;
	return ret ? ret : count;
}

static const struct file_operations ext_test_bar1_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = ext_test_bar1_write,
};

static ssize_t ext_test_raise_write(struct file *file, const char __user *buf,
				    size_t count, loff_t *pos)
{
	struct ext_test *t = file->private_data;
	unsigned int num, type;
	char text[16], name[8];
	ssize_t ret;

	ret = ext_test_get_text(buf, count, text, sizeof(text));
	if (ret < 0)
		return ret;
	if (sscanf(text, "%7s %u", name, &num) != 2)
		return -EINVAL;
	type = strcmp(name, "msi") ? PCI_IRQ_MSIX : PCI_IRQ_MSI;
	ret = pci_epc_ext_raise_irq(t->func, type, num);
	return ret ? ret : count;
}

static const struct file_operations ext_test_raise_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = ext_test_raise_write,
};

static int ext_test_irqs_show(struct seq_file *s, void *unused)
{
	struct ext_test *t = s->private;

	seq_printf(s, "%d %d %d %d\n",
		   pci_epc_ext_irq_state(t->func, PCI_IRQ_MSI, 1),
		   pci_epc_ext_irq_state(t->func, PCI_IRQ_MSI, 2),
		   pci_epc_ext_irq_state(t->func, PCI_IRQ_MSIX, 1),
		   pci_epc_ext_irq_state(t->func, PCI_IRQ_MSIX, 2));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ext_test_irqs);

static void ext_test_show(struct ext_test *t)
{
	t->dir = debugfs_create_dir(dev_name(&t->epf->dev), ext_test_root);
	debugfs_create_file("doorbells", 0400, t->dir, t, &ext_test_doorbells_fops);
	debugfs_create_file("events", 0400, t->dir, t, &ext_test_events_fops);
	debugfs_create_file("writes", 0400, t->dir, t, &ext_test_writes_fops);
	debugfs_create_file("caps", 0400, t->dir, t, &ext_test_caps_fops);
	debugfs_create_file("config", 0200, t->dir, t, &ext_test_config_fops);
	debugfs_create_file("bar1", 0200, t->dir, t, &ext_test_bar1_fops);
	debugfs_create_file("raise", 0200, t->dir, t, &ext_test_raise_fops);
	debugfs_create_file("irqs", 0400, t->dir, t, &ext_test_irqs_fops);
	debugfs_create_bool("answer", 0600, t->dir, &t->answer);
	debugfs_create_bool("hold", 0600, t->dir, &t->hold);
}

/* ---- The function ---- */

static struct pci_epf_header ext_test_header = {
	.vendorid = PCI_VENDOR_ID_REDHAT_QUMRANET,
	.deviceid = 0x10fe,
	.baseclass_code = PCI_CLASS_OTHERS,
	.interrupt_pin = PCI_INTERRUPT_INTA,
};

static int ext_test_set_bars(struct ext_test *t)
{
	struct pci_epf *epf = t->epf;
	struct pci_epf_bar bar = {
		.barno = EXT_TEST_BAR_DOORBELLS,
		.phys_addr = t->doorbells[0].db->target,
		.size = SZ_4K,
	};
	int ret;

	ret = pci_epc_set_bar(epf->epc, epf->func_no, epf->vfunc_no, &bar);
	if (ret)
		return ret;
	return pci_epc_set_bar(epf->epc, epf->func_no, epf->vfunc_no,
			       &epf->bar[EXT_TEST_BAR_MEMORY]);
}

static int ext_test_epc_init(struct pci_epf *epf)
{
	struct ext_test *t = epf_get_drvdata(epf);
	int ret;

	ret = pci_epc_write_header(epf->epc, epf->func_no, epf->vfunc_no,
				   epf->header);
	if (!ret)
		ret = ext_test_set_bars(t);
	if (!ret)
		ret = pci_epc_set_msix(epf->epc, epf->func_no, epf->vfunc_no, 1,
				       EXT_TEST_BAR_MEMORY,
				       EXT_TEST_MSIX_OFFSET);
	if (!ret)
		ret = pci_epc_set_msi(epf->epc, epf->func_no, epf->vfunc_no, 2);
	if (!ret)
		ret = ext_test_add_caps(t);
	if (ret)
		dev_err(&epf->dev, "cannot set up the function: error %d\n",
			ret);
	return ret;
}

static const struct pci_epc_event_ops ext_test_event_ops = {
	.epc_init = ext_test_epc_init,
};

static void ext_test_close(struct ext_test *t)
{
	ext_test_release_irqs(t);
	pci_epc_ext_close(t->func);
	t->func = NULL;
	memset(t->doorbells, 0, sizeof(t->doorbells));
}

static int ext_test_bind(struct pci_epf *epf)
{
	struct ext_test *t = epf_get_drvdata(epf);
	const struct pci_epc_features *features;
	int ret;

	features = pci_epc_get_features(epf->epc, epf->func_no, epf->vfunc_no);
	if (!features)
		return -EOPNOTSUPP;
	if (!pci_epf_alloc_space(epf, SZ_8K, EXT_TEST_BAR_MEMORY, features,
				 PRIMARY_INTERFACE))
		return -ENOMEM;

	t->func = pci_epc_ext_open(epf->epc, epf->func_no, epf->vfunc_no,
				   ext_test_handle_event, t);
	ret = PTR_ERR_OR_ZERO(t->func);
	if (!ret) {
		ret = ext_test_alloc_doorbells(t);
		if (ret)
			ext_test_close(t);
	}
	if (ret) {
		pci_epf_free_space(epf, epf->bar[EXT_TEST_BAR_MEMORY].addr,
				   EXT_TEST_BAR_MEMORY, PRIMARY_INTERFACE);
		return ret;
	}
	ext_test_show(t);
	return 0;
}

static void ext_test_unbind(struct pci_epf *epf)
{
	struct ext_test *t = epf_get_drvdata(epf);
	struct pci_epf_bar bar = { .barno = EXT_TEST_BAR_DOORBELLS };

	debugfs_remove(t->dir);
	pci_epc_clear_bar(epf->epc, epf->func_no, epf->vfunc_no, &bar);
	pci_epc_clear_bar(epf->epc, epf->func_no, epf->vfunc_no,
			  &epf->bar[EXT_TEST_BAR_MEMORY]);
	ext_test_close(t);
	pci_epf_free_space(epf, epf->bar[EXT_TEST_BAR_MEMORY].addr,
			   EXT_TEST_BAR_MEMORY, PRIMARY_INTERFACE);
}

static const struct pci_epf_ops ext_test_ops = {
	.bind = ext_test_bind,
	.unbind = ext_test_unbind,
};

static int ext_test_probe(struct pci_epf *epf,
			  const struct pci_epf_device_id *id)
{
	struct ext_test *t = devm_kzalloc(&epf->dev, sizeof(*t), GFP_KERNEL);
	int ret;

	if (!t)
		return -ENOMEM;
	t->epf = epf;
	ret = devm_mutex_init(&epf->dev, &t->lock);
	if (ret)
		return ret;
	epf->header = &ext_test_header;
	epf->event_ops = &ext_test_event_ops;
	epf_set_drvdata(epf, t);
	return 0;
}

static const struct pci_epf_device_id ext_test_ids[] = {
	{ .name = EXT_TEST_NAME },
	{ }
};

static struct pci_epf_driver ext_test_driver = {
	.driver.name = EXT_TEST_NAME,
	.probe = ext_test_probe,
	.id_table = ext_test_ids,
	.ops = &ext_test_ops,
	.owner = THIS_MODULE,
};

static int __init ext_test_init(void)
{
	int ret;

	ext_test_root = debugfs_create_dir(EXT_TEST_NAME, NULL);
	ret = pci_epf_register_driver(&ext_test_driver);
	if (ret)
		debugfs_remove(ext_test_root);
	return ret;
}
module_init(ext_test_init);

static void __exit ext_test_exit(void)
{
	pci_epf_unregister_driver(&ext_test_driver);
	debugfs_remove(ext_test_root);
}
module_exit(ext_test_exit);

MODULE_DESCRIPTION("Endpoint function that tests extensions of the framework");
MODULE_LICENSE("GPL");
