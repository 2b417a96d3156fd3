// SPDX-License-Identifier: GPL-2.0
/*
 * Endpoint function that uses pci_epc_ext_dma_rw()
 *
 * The driver of the host, pci-ep-dma-test-host, has a buffer for it.  Files in
 * debugfs, in which a write fails with the error of the call:
 *
 *   write    write "ADDRESS LENGTH SEGMENTS SEED": that pattern to the host
 *   read     the same: the pattern from the host; -EILSEQ if it is not there
 *   fail     write "GOOD BAD SEED": one call with three segments, to GOOD, to
 *            BAD and to GOOD + 4096
 *   invalid  write 1: calls with wrong arguments; -EPROTO unless each is refused
 *   pings    write "ADDRESS COUNT": as often, write the number and raise MSI-X 1
 *   clients  write a number: so many DMA channels are clients of dmaengine
 *   load     write "ADDRESS THREADS": each of them writes and reads back until
 *            an error, or until THREADS is 0 here
 *   threads  a line for each thread: number of rounds, error
 */
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/dmaengine.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pci-epc.h>
#include <linux/pci-epf.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "dma-test.h"
#include "pci-epc-ext.h"

#define DMA_TEST_NAME		"pci_epf_dma_test"
#define DMA_TEST_BAR		BAR_0
#define DMA_TEST_MSIX_OFFSET	SZ_4K
#define DMA_TEST_CLIENTS	64
#define DMA_TEST_THREADS	4
/* Bytes that a thread of the load transfers in one call, and its segments */
#define DMA_TEST_LOAD		SZ_128K
#define DMA_TEST_LOAD_SEGS	8
#define DMA_TEST_PING_MAX	(10 * HZ)

/**
 * struct dma_test_batch - arguments of one call
 * @n: number of segments
 * @segs: the segments, each with a buffer of its own
 */
struct dma_test_batch {
	unsigned int n;
	struct pci_epc_ext_dma_seg segs[] __counted_by(n);
};

/**
 * struct dma_test_thread - a thread of the load
 * @work: the thread
 * @test: the function
 * @addr: bus address that only this thread uses
 * @rounds: number of rounds
 * @error: error of the last call
 */
struct dma_test_thread {
	struct work_struct work;
	struct dma_test *test;
	u64 addr;
	u32 rounds;
	int error;
};

/**
 * struct dma_test - the function
 * @epf: its endpoint function
 * @func: its handle of pci-epc-ext.h
 * @dir: its directory in debugfs
 * @wq: runs @threads
 * @stop: the load has to end
 * @threads: threads of the load
 * @lock: protects the members below
 * @clients: number of @chans
 * @chans: DMA channels that dmaengine has given
 */
struct dma_test {
	struct pci_epf *epf;
	struct pci_epc_ext_func *func;
	struct dentry *dir;
	struct workqueue_struct *wq;
	bool stop;
	struct dma_test_thread threads[DMA_TEST_THREADS];
	struct mutex lock;	/* members below */
	u32 clients;
	struct dma_chan *chans[DMA_TEST_CLIENTS];
};

static struct dentry *dma_test_root;

/* ---- Batches ---- */

static void dma_test_free(struct dma_test_batch *b)
{
	unsigned int i;

	for (i = 0; b && i < b->n; i++)
		kfree(b->segs[i].buf);
	kfree(b);
}

/*
 * Divides @len bytes at @addr.  The last segment is the longest one, and the
 * first one has the highest address.
 */
static struct dma_test_batch *dma_test_alloc(u64 addr, size_t len,
					     unsigned int n)
{
	struct dma_test_batch *b = kzalloc(struct_size(b, segs, n), GFP_KERNEL);
	size_t left = len;
	unsigned int i;

	if (!b)
		return NULL;
	b->n = n;
	for (i = 0; i < n; i++) {
		struct pci_epc_ext_dma_seg *seg = &b->segs[i];

		seg->len = i == n - 1 ? left : len / n;
		left -= seg->len;
		seg->pci_addr = addr + left;
		seg->buf = kzalloc(seg->len, GFP_KERNEL);
		if (!seg->buf) {
			dma_test_free(b);
			return NULL;
		}
	}
	return b;
}

static int dma_test_write(struct dma_test *t, u64 addr, struct dma_test_batch *b,
			  u32 seed)
{
	unsigned int i;

	for (i = 0; i < b->n; i++)
		dma_test_fill(b->segs[i].buf, b->segs[i].len, seed,
			      b->segs[i].pci_addr - addr);
	return pci_epc_ext_dma_rw(t->func, b->segs, b->n, DMA_TO_DEVICE);
}

static int dma_test_read(struct dma_test *t, u64 addr, struct dma_test_batch *b,
			 u32 seed)
{
	unsigned int i;
	int ret;

	for (i = 0; i < b->n; i++)
		memset(b->segs[i].buf, 0, b->segs[i].len);
	ret = pci_epc_ext_dma_rw(t->func, b->segs, b->n, DMA_FROM_DEVICE);
	for (i = 0; !ret && i < b->n; i++) {
		struct pci_epc_ext_dma_seg *seg = &b->segs[i];

		if (dma_test_check(seg->buf, seg->len, seed,
				   seg->pci_addr - addr) < seg->len)
			ret = -EILSEQ;
	}
	return ret;
}

/* ---- Files for one call ---- */

static int dma_test_scan(const char __user *buf, size_t count, int wanted,
			 u64 *first, u64 *second, u32 *third, u32 *fourth)
{
	char text[96];

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, count))
		return -EFAULT;
	text[count] = '\0';
	return sscanf(text, "%lli %lli %i %i", first, second, third, fourth) ==
	       wanted ? 0 : -EINVAL;
}

static ssize_t dma_test_transfer(struct file *file, const char __user *buf,
				 size_t count, bool read)
{
	struct dma_test *t = file->private_data;
	struct dma_test_batch *b;
	u64 addr, len;
	u32 n, seed;
	int ret = dma_test_scan(buf, count, 4, &addr, &len, &n, &seed);

	if (ret)
		return ret;
	if (!n || n > PCI_EPC_EXT_DMA_SEGS || len > DMA_TEST_SIZE)
		return -EINVAL;
	b = dma_test_alloc(addr, len, n);
	if (!b)
		return -ENOMEM;
	ret = read ? dma_test_read(t, addr, b, seed) :
		     dma_test_write(t, addr, b, seed);
	dma_test_free(b);
	return ret ? ret : count;
}

static ssize_t dma_test_read_write(struct file *file, const char __user *buf,
				   size_t count, loff_t *pos)
{
	return dma_test_transfer(file, buf, count, true);
}

static ssize_t dma_test_write_write(struct file *file, const char __user *buf,
				    size_t count, loff_t *pos)
{
	return dma_test_transfer(file, buf, count, false);
}

static ssize_t dma_test_fail_write(struct file *file, const char __user *buf,
				   size_t count, loff_t *pos)
{
	struct dma_test *t = file->private_data;
	struct dma_test_batch *b;
	u64 good, bad;
	u32 seed;
	int ret = dma_test_scan(buf, count, 3, &good, &bad, &seed, &seed);

	if (ret)
		return ret;
	b = dma_test_alloc(good, 3 * SZ_4K, 3);
	if (!b)
		return -ENOMEM;
	b->segs[0].pci_addr = good;
	b->segs[1].pci_addr = bad;
	b->segs[2].pci_addr = good + SZ_4K;
	ret = dma_test_write(t, good, b, seed);
	dma_test_free(b);
	return ret ? ret : count;
}

/* Each argument is wrong in one call.  Returns whether each one is refused. */
static bool dma_test_refuses(struct dma_test *t, void *good, void *bad)
{
	struct pci_epc_ext_func *func = t->func;
	struct pci_epc_ext_dma_seg right = { .buf = good, .len = 64 };
	struct pci_epc_ext_dma_seg empty = { .buf = good };
	struct pci_epc_ext_dma_seg memory = { .buf = bad, .len = 64 };
	struct pci_epc_ext_dma_seg wraps = {
		.pci_addr = U64_MAX - 62, .buf = good, .len = 64,
	};
	struct pci_epc_ext_dma_seg big = {
		.buf = good, .len = PCI_EPC_EXT_DMA_SEG_LEN + 1ul,
	};
	int r[] = {
		pci_epc_ext_dma_rw(func, &right, 0, DMA_TO_DEVICE),
		pci_epc_ext_dma_rw(func, &right, PCI_EPC_EXT_DMA_SEGS + 1,
				   DMA_TO_DEVICE),
		pci_epc_ext_dma_rw(func, &right, 1, DMA_BIDIRECTIONAL),
		pci_epc_ext_dma_rw(func, &right, 1, DMA_NONE),
		pci_epc_ext_dma_rw(func, &empty, 1, DMA_TO_DEVICE),
		pci_epc_ext_dma_rw(func, &memory, 1, DMA_FROM_DEVICE),
		pci_epc_ext_dma_rw(func, &wraps, 1, DMA_TO_DEVICE),
		pci_epc_ext_dma_rw(func, &big, 1, DMA_TO_DEVICE),
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(r) && r[i] == -EINVAL; i++)
		;
	if (i < ARRAY_SIZE(r))
		dev_info(&t->epf->dev, "call %d returns %d\n", i, r[i]);
	return i == ARRAY_SIZE(r);
}

static ssize_t dma_test_invalid_write(struct file *file,
				      const char __user *buf, size_t count,
				      loff_t *pos)
{
	struct dma_test *t = file->private_data;
	void *good = kzalloc(64, GFP_KERNEL);
	void *bad = vzalloc(64);
	ssize_t ret = -ENOMEM;

	if (good && bad)
		ret = dma_test_refuses(t, good, bad) ? count : -EPROTO;
	vfree(bad);
	kfree(good);
	return ret;
}

/* ---- Interrupts after data ---- */

static int dma_test_ping(struct dma_test *t, u64 addr,
			 struct dma_test_ping *ping, u32 number)
{
	struct pci_epc_ext_dma_seg seg = {
		.pci_addr = addr, .buf = ping, .len = sizeof(ping->number),
	};
	struct pci_epc_ext_dma_seg answer = {
		.pci_addr = addr + offsetof(struct dma_test_ping, answer),
		.buf = &ping->answer,
		.len = sizeof(ping->answer),
	};
	unsigned long end = jiffies + DMA_TEST_PING_MAX;
	int ret;

	ping->number = number;
	ret = pci_epc_ext_dma_rw(t->func, &seg, 1, DMA_TO_DEVICE);
	if (!ret)
		ret = pci_epc_ext_raise_irq(t->func, PCI_IRQ_MSIX, 1);
	while (!ret) {
		ret = pci_epc_ext_dma_rw(t->func, &answer, 1, DMA_FROM_DEVICE);
		if (!ret && ping->answer == number)
			break;
		if (!ret && time_after(jiffies, end))
			ret = -ETIME;
	}
	return ret;
}

static ssize_t dma_test_pings_write(struct file *file, const char __user *buf,
				    size_t count, loff_t *pos)
{
	struct dma_test *t = file->private_data;
	struct dma_test_ping *ping;
	u64 addr, pings;
	u32 i, unused;
	int ret = dma_test_scan(buf, count, 2, &addr, &pings, &unused, &unused);

	if (ret)
		return ret;
	ping = kzalloc(sizeof(*ping), GFP_KERNEL);
	if (!ping)
		return -ENOMEM;
	for (i = 1; !ret && i <= pings; i++)
		ret = dma_test_ping(t, addr, ping, i);
	kfree(ping);
	return ret ? ret : count;
}

/* ---- Clients of dmaengine ---- */

static bool dma_test_filter(struct dma_chan *chan, void *data)
{
	return chan->device->dev == data;
}

static int dma_test_set_clients(struct dma_test *t, u32 wanted)
{
	struct device *dev = t->epf->epc->dev.parent;
	dma_cap_mask_t mask;

	guard(mutex)(&t->lock);
	while (t->clients > wanted)
		dma_release_channel(t->chans[--t->clients]);
	dma_cap_zero(mask);
	dma_cap_set(DMA_MEMCPY, mask);
	while (t->clients < wanted) {
		struct dma_chan *chan = dma_request_channel(mask,
							    dma_test_filter,
							    dev);

		if (!chan)
			return -EBUSY;
		t->chans[t->clients++] = chan;
	}
	return 0;
}

static ssize_t dma_test_clients_write(struct file *file, const char __user *buf,
				      size_t count, loff_t *pos)
{
	struct dma_test *t = file->private_data;
	u32 wanted;
	int ret = kstrtou32_from_user(buf, count, 0, &wanted);

	if (!ret && wanted > DMA_TEST_CLIENTS)
		ret = -EINVAL;
	if (!ret)
		ret = dma_test_set_clients(t, wanted);
	return ret ? ret : count;
}

/* ---- Load ---- */

static int dma_test_round(struct dma_test_thread *th, struct dma_test_batch *b)
{
	u32 seed = th->rounds * DMA_TEST_THREADS + (th - th->test->threads);
	int ret = dma_test_write(th->test, th->addr, b, seed);

	return ret ? ret : dma_test_read(th->test, th->addr, b, seed);
}

static void dma_test_thread(struct work_struct *work)
{
	struct dma_test_thread *th = container_of(work, struct dma_test_thread,
						  work);
	struct dma_test_batch *b = dma_test_alloc(th->addr, DMA_TEST_LOAD,
						  DMA_TEST_LOAD_SEGS);
	int ret = b ? 0 : -ENOMEM;

	while (!ret && !READ_ONCE(th->test->stop)) {
		ret = dma_test_round(th, b);
		if (!ret)
			WRITE_ONCE(th->rounds, th->rounds + 1);
		cond_resched();
	}
	WRITE_ONCE(th->error, ret);
	dma_test_free(b);
}

static void dma_test_stop_load(struct dma_test *t)
{
	WRITE_ONCE(t->stop, true);
	flush_workqueue(t->wq);
}

static ssize_t dma_test_load_write(struct file *file, const char __user *buf,
				   size_t count, loff_t *pos)
{
	struct dma_test *t = file->private_data;
	u64 addr, threads;
	u32 i, unused;
	int ret = dma_test_scan(buf, count, 2, &addr, &threads, &unused,
				&unused);

	if (ret)
		return ret;
	if (threads > DMA_TEST_THREADS)
		return -EINVAL;
	dma_test_stop_load(t);
	for (i = 0; i < threads; i++) {
		t->threads[i].addr = addr + i * DMA_TEST_LOAD;
		t->threads[i].rounds = 0;
		t->threads[i].error = 0;
	}
	WRITE_ONCE(t->stop, false);
	for (i = 0; i < threads; i++)
		queue_work(t->wq, &t->threads[i].work);
	return count;
}

static int dma_test_threads_show(struct seq_file *s, void *unused)
{
	struct dma_test *t = s->private;
	int i;

	for (i = 0; i < DMA_TEST_THREADS; i++)
		seq_printf(s, "%u %d\n", READ_ONCE(t->threads[i].rounds),
			   READ_ONCE(t->threads[i].error));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(dma_test_threads);

/* ---- debugfs ---- */

#define DMA_TEST_FILE(name)						\
static const struct file_operations dma_test_##name##_fops = {		\
	.owner = THIS_MODULE,						\
	.open = simple_open,						\
	.write = dma_test_##name##_write,				\
}

DMA_TEST_FILE(write);
DMA_TEST_FILE(read);
DMA_TEST_FILE(fail);
DMA_TEST_FILE(invalid);
DMA_TEST_FILE(pings);
DMA_TEST_FILE(clients);
DMA_TEST_FILE(load);

static void dma_test_show(struct dma_test *t)
{
	struct dentry *dir = debugfs_create_dir(dev_name(&t->epf->dev),
						dma_test_root);

	t->dir = dir;
	debugfs_create_file("write", 0200, dir, t, &dma_test_write_fops);
	debugfs_create_file("read", 0200, dir, t, &dma_test_read_fops);
	debugfs_create_file("fail", 0200, dir, t, &dma_test_fail_fops);
	debugfs_create_file("invalid", 0200, dir, t, &dma_test_invalid_fops);
	debugfs_create_file("pings", 0200, dir, t, &dma_test_pings_fops);
	debugfs_create_file("clients", 0200, dir, t, &dma_test_clients_fops);
	debugfs_create_file("load", 0200, dir, t, &dma_test_load_fops);
	debugfs_create_file("threads", 0400, dir, t, &dma_test_threads_fops);
}

/* ---- The function ---- */

static struct pci_epf_header dma_test_header = {
	.vendorid = PCI_VENDOR_ID_REDHAT_QUMRANET,
	.deviceid = DMA_TEST_DEVICE,
	.baseclass_code = PCI_CLASS_OTHERS,
	.interrupt_pin = PCI_INTERRUPT_INTA,
};

static int dma_test_epc_init(struct pci_epf *epf)
{
	int ret;

	ret = pci_epc_write_header(epf->epc, epf->func_no, epf->vfunc_no,
				   epf->header);
	if (!ret)
		ret = pci_epc_set_bar(epf->epc, epf->func_no, epf->vfunc_no,
				      &epf->bar[DMA_TEST_BAR]);
	if (!ret)
		ret = pci_epc_set_msix(epf->epc, epf->func_no, epf->vfunc_no, 1,
				       DMA_TEST_BAR, DMA_TEST_MSIX_OFFSET);
	if (ret)
		dev_err(&epf->dev, "cannot set up the function: error %d\n",
			ret);
	return ret;
}

static const struct pci_epc_event_ops dma_test_event_ops = {
	.epc_init = dma_test_epc_init,
};

static int dma_test_bind(struct pci_epf *epf)
{
	struct dma_test *t = epf_get_drvdata(epf);
	const struct pci_epc_features *features;

	features = pci_epc_get_features(epf->epc, epf->func_no, epf->vfunc_no);
	if (!features)
		return -EOPNOTSUPP;
	if (!pci_epf_alloc_space(epf, SZ_8K, DMA_TEST_BAR, features,
				 PRIMARY_INTERFACE))
		return -ENOMEM;
	t->func = pci_epc_ext_open(epf->epc, epf->func_no, epf->vfunc_no, NULL,
				   NULL);
	if (IS_ERR(t->func)) {
		pci_epf_free_space(epf, epf->bar[DMA_TEST_BAR].addr,
				   DMA_TEST_BAR, PRIMARY_INTERFACE);
		return PTR_ERR(t->func);
	}
	dma_test_show(t);
	return 0;
}

static void dma_test_unbind(struct pci_epf *epf)
{
	struct dma_test *t = epf_get_drvdata(epf);

	debugfs_remove(t->dir);
	dma_test_stop_load(t);
	dma_test_set_clients(t, 0);
	pci_epc_clear_bar(epf->epc, epf->func_no, epf->vfunc_no,
			  &epf->bar[DMA_TEST_BAR]);
	pci_epc_ext_close(t->func);
	pci_epf_free_space(epf, epf->bar[DMA_TEST_BAR].addr, DMA_TEST_BAR,
			   PRIMARY_INTERFACE);
}

static const struct pci_epf_ops dma_test_ops = {
	.bind = dma_test_bind,
	.unbind = dma_test_unbind,
};

static void dma_test_destroy_wq(void *data)
{
	destroy_workqueue(data);
}

static int dma_test_probe(struct pci_epf *epf,
			  const struct pci_epf_device_id *id)
{
	struct dma_test *t = devm_kzalloc(&epf->dev, sizeof(*t), GFP_KERNEL);
	int ret;
	int i;

	if (!t)
		return -ENOMEM;
	t->epf = epf;
	t->wq = alloc_workqueue(DMA_TEST_NAME, WQ_UNBOUND, 0);
	if (!t->wq)
		return -ENOMEM;
	ret = devm_add_action_or_reset(&epf->dev, dma_test_destroy_wq, t->wq);
	if (!ret)
		ret = devm_mutex_init(&epf->dev, &t->lock);
	if (ret)
		return ret;
	for (i = 0; i < DMA_TEST_THREADS; i++) {
		t->threads[i].test = t;
		INIT_WORK(&t->threads[i].work, dma_test_thread);
	}
	epf->header = &dma_test_header;
	epf->event_ops = &dma_test_event_ops;
	epf_set_drvdata(epf, t);
	return 0;
}

static const struct pci_epf_device_id dma_test_ids[] = {
	{ .name = DMA_TEST_NAME },
	{ }
};

static struct pci_epf_driver dma_test_driver = {
	.driver.name = DMA_TEST_NAME,
	.probe = dma_test_probe,
	.id_table = dma_test_ids,
	.ops = &dma_test_ops,
	.owner = THIS_MODULE,
};

static int __init dma_test_init(void)
{
	int ret;

	dma_test_root = debugfs_create_dir(DMA_TEST_NAME, NULL);
	ret = pci_epf_register_driver(&dma_test_driver);
	if (ret)
		debugfs_remove(dma_test_root);
	return ret;
}
module_init(dma_test_init);

static void __exit dma_test_exit(void)
{
	pci_epf_unregister_driver(&dma_test_driver);
	debugfs_remove(dma_test_root);
}
module_exit(dma_test_exit);

MODULE_DESCRIPTION("Endpoint function that tests DMA by host bus address");
MODULE_LICENSE("GPL");
