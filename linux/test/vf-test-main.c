// SPDX-License-Identifier: GPL-2.0
/*
 * Endpoint function for tests of virtual functions
 *
 * It has the registers of pci-epf-test, so that the host's pci_endpoint_test and
 * its selftest run on it, but does everything from bind() on: the framework tells
 * virtual functions of nothing else.  Interrupts are MSI and MSI-X; DMA takes a
 * channel that copies.
 *
 * vf-test-main.c  BARs, registers, commands
 * vf-test-copy.c  copies between memory of the host and of this machine
 */
#include <linux/crc32.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/random.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "vf-test.h"

#define POLL_MS		1

/* COMMAND */
#define CMD_RAISE_INTX	BIT(0)
#define CMD_RAISE_MSI	BIT(1)
#define CMD_RAISE_MSIX	BIT(2)
#define CMD_READ		BIT(3)
#define CMD_WRITE		BIT(4)
#define CMD_COPY		BIT(5)
#define CMD_ENABLE_BELL	BIT(6)
#define CMD_DISABLE_BELL	BIT(7)

/* STATUS */
#define READ_OK		BIT(0)
#define READ_FAILED	BIT(1)
#define WRITE_OK	BIT(2)
#define WRITE_FAILED	BIT(3)
#define COPY_OK		BIT(4)
#define COPY_FAILED	BIT(5)
#define IRQ_RAISED	BIT(6)
#define BELL_RANG	BIT(9)
#define BELL_ON		BIT(10)
#define BELL_ON_FAILED	BIT(11)
#define BELL_OFF	BIT(12)
#define BELL_OFF_FAILED	BIT(13)

/* FLAGS */
#define USE_DMA		BIT(0)

/* CAPS */
#define CAP_UNALIGNED	BIT(0)
#define CAP_MSI		BIT(1)
#define CAP_MSIX	BIT(2)
#define CAP_DYNAMIC	BIT(5)
#define CAP_NO_BAR5	BIT(11)

/*
 * BAR 2 takes the place of 3, too.  The host may find the MSI-X table in BAR 5, so
 * the test of BARs must leave that alone.
 */
#define REG_BAR		BAR_0
#define BELL_BAR	BAR_4
#define MSIX_OFFSET	SZ_2K

static const struct {
	u32 size;
	u32 flags;
} test_bars[PCI_STD_NUM_BARS] = {
	[REG_BAR] = { MSIX_OFFSET },
	[BAR_1] = { SZ_16K },
	[BAR_2] = { SZ_128K, PCI_BASE_ADDRESS_MEM_TYPE_64 |
			     PCI_BASE_ADDRESS_MEM_PREFETCH },
	[BELL_BAR] = { SZ_64K },
};

struct vf_test_reg {
	__le32 magic;
	__le32 command;
	__le32 status;
	__le64 src_addr;
	__le64 dst_addr;
	__le32 size;
	__le32 checksum;
	__le32 irq_type;
	__le32 irq_number;
	__le32 flags;
	__le32 caps;
	__le32 doorbell_bar;
	__le32 doorbell_offset;
	__le32 doorbell_data;
} __packed;

static struct vf_test_reg *vf_regs(struct vf_test *t)
{
	return t->bar[REG_BAR];
}

static struct workqueue_struct *vf_test_wq;

/* ---- Interrupts ---- */

/* The host looks at the status when it gets the interrupt. */
static void add_status(struct vf_test *t, u32 bits)
{
	struct vf_test_reg *reg = vf_regs(t);

	WRITE_ONCE(reg->status,
		   reg->status | cpu_to_le32(bits | IRQ_RAISED));
}

/* The types have the numbers that the host's driver gives them. */
static unsigned int irq_type(struct vf_test_reg *reg)
{
	switch (le32_to_cpu(READ_ONCE(reg->irq_type))) {
	case 1:
		return PCI_IRQ_MSI;
	case 2:
		return PCI_IRQ_MSIX;
	default:
		return PCI_IRQ_INTX;
	}
}

static void raise(struct vf_test *t, u32 status)
{
	struct vf_test_reg *reg = vf_regs(t);
	struct pci_epf *epf = t->epf;

	add_status(t, status);
	pci_epc_raise_irq(epf->epc, epf->func_no, epf->vfunc_no, irq_type(reg),
			  le32_to_cpu(reg->irq_number));
}

/* ---- The doorbell, one for each function ---- */

static irqreturn_t bell_irq(int irq, void *data)
{
	struct vf_test *t = data;
	struct vf_test_reg *reg = vf_regs(t);

	add_status(t, BELL_RANG);
	pci_epc_ext_raise_irq(t->func, irq_type(reg),
			      le32_to_cpu(reg->irq_number));
	return IRQ_HANDLED;
}

static void bell_release(struct vf_test *t)
{
	guard(mutex)(&t->bell_lock);
	if (!t->bell)
		return;
	free_irq(t->bell->virq, t);
	pci_epc_ext_free_doorbell(t->bell);
	t->bell = NULL;
}

static int bell_request(struct vf_test *t)
{
	struct pci_epc_ext_doorbell *bell;
	int ret;

	guard(mutex)(&t->bell_lock);
	if (t->bell)
		return -EBUSY;
	if (!t->func)
		return -EOPNOTSUPP;
	bell = pci_epc_ext_alloc_doorbell(t->func, 0);
	if (IS_ERR(bell))
		return PTR_ERR(bell);
	ret = request_irq(bell->virq, bell_irq, 0, "pci-epf-vf-test", t);
	if (ret) {
		pci_epc_ext_free_doorbell(bell);
		return ret;
	}
	t->bell = bell;
	return 0;
}

static int bell_enable(struct vf_test *t)
{
	struct vf_test_reg *reg = vf_regs(t);
	struct pci_epf *epf = t->epf;
	struct pci_epf_bar bar = epf->bar[BELL_BAR];
	int ret;

	ret = bell_request(t);
	if (ret)
		return ret;
	scoped_guard(mutex, &t->bell_lock) {
		if (!t->bell)
			return -ENODEV;
		bar.phys_addr = t->bell->target;
		reg->doorbell_bar = cpu_to_le32(BELL_BAR);
		reg->doorbell_offset = cpu_to_le32(t->bell->offset);
		reg->doorbell_data = cpu_to_le32(1);
	}
	ret = pci_epc_set_bar(epf->epc, epf->func_no, epf->vfunc_no, &bar);
	if (ret)
		bell_release(t);
	return ret;
}

static int bell_disable(struct vf_test *t)
{
	struct pci_epf *epf = t->epf;
	int ret;

	ret = pci_epc_set_bar(epf->epc, epf->func_no, epf->vfunc_no,
			      &epf->bar[BELL_BAR]);
	bell_release(t);
	return ret;
}

/* The controller may go first.  The log is what tests look at. */
static void ext_event(void *data, const struct pci_epc_ext_event *event)
{
	struct vf_test *t = data;

	if (event->type == PCI_EPC_EXT_GONE)
		bell_release(t);
	dev_info(&t->epf->dev, "virtual function %u: event %d, value %#x\n",
		 t->epf->vfunc_no, event->type, event->value);
}

/* ---- Commands ---- */

static void *test_buffer(size_t size)
{
	return kzalloc(size, GFP_KERNEL | __GFP_NOWARN);
}

static u32 do_read(struct vf_test *t, bool dma)
{
	struct vf_test_reg *reg = vf_regs(t);
	size_t size = le32_to_cpu(reg->size);
	void *buf = test_buffer(size);
	u32 expected = le32_to_cpu(reg->checksum);
	bool ok;

	if (!buf)
		return READ_FAILED;
	ok = !vf_copy_from_host(t, buf, le64_to_cpu(reg->src_addr), size, dma) &&
	     crc32_le(~0, buf, size) == expected;
	kfree(buf);
	return ok ? READ_OK : READ_FAILED;
}

static u32 do_write(struct vf_test *t, bool dma)
{
	struct vf_test_reg *reg = vf_regs(t);
	size_t size = le32_to_cpu(reg->size);
	void *buf = test_buffer(size);
	int ret;

	if (!buf)
		return WRITE_FAILED;
	get_random_bytes(buf, size);
	reg->checksum = cpu_to_le32(crc32_le(~0, buf, size));
	ret = vf_copy_to_host(t, le64_to_cpu(reg->dst_addr), buf, size, dma);
	kfree(buf);
	return ret ? WRITE_FAILED : WRITE_OK;
}

static u32 do_copy(struct vf_test *t, bool dma)
{
	struct vf_test_reg *reg = vf_regs(t);

	return vf_copy_in_host(t, le64_to_cpu(reg->dst_addr),
			       le64_to_cpu(reg->src_addr),
			       le32_to_cpu(reg->size), dma) ? COPY_FAILED :
							      COPY_OK;
}

static void run_command(struct vf_test *t, u32 command)
{
	bool dma = le32_to_cpu(vf_regs(t)->flags) & USE_DMA;

	switch (command) {
	case CMD_RAISE_INTX:
	case CMD_RAISE_MSI:
	case CMD_RAISE_MSIX:
		raise(t, 0);
		break;
	case CMD_READ:
		raise(t, do_read(t, dma));
		break;
	case CMD_WRITE:
		raise(t, do_write(t, dma));
		break;
	case CMD_COPY:
		raise(t, do_copy(t, dma));
		break;
	case CMD_ENABLE_BELL:
		raise(t, bell_enable(t) ? BELL_ON_FAILED : BELL_ON);
		break;
	case CMD_DISABLE_BELL:
		raise(t, bell_disable(t) ? BELL_OFF_FAILED : BELL_OFF);
		break;
	default:
		dev_dbg(&t->epf->dev, "command %#x is unknown\n", command);
	}
}

static void poll_commands(struct work_struct *work)
{
	struct vf_test *t = container_of(work, struct vf_test, work.work);
	struct vf_test_reg *reg = vf_regs(t);
	u32 command = le32_to_cpu(READ_ONCE(reg->command));

	if (command) {
		WRITE_ONCE(reg->command, 0);
		WRITE_ONCE(reg->status, 0);
		run_command(t, command);
	}
	queue_delayed_work(vf_test_wq, &t->work, msecs_to_jiffies(POLL_MS));
}

/* ---- Set-up ---- */

static void free_bars(struct vf_test *t)
{
	struct pci_epf *epf = t->epf;
	int bar;

	for (bar = BAR_0; bar <= BAR_5; bar++) {
		if (!t->bar[bar])
			continue;
		pci_epc_clear_bar(epf->epc, epf->func_no, epf->vfunc_no,
				  &epf->bar[bar]);
		pci_epf_free_space(epf, t->bar[bar], bar, PRIMARY_INTERFACE);
		t->bar[bar] = NULL;
	}
}

static int set_bar(struct vf_test *t, enum pci_barno bar, size_t size)
{
	const struct pci_epc_features *features = t->features;
	struct pci_epf *epf = t->epf;

	t->bar[bar] = pci_epf_alloc_space(epf, size, bar, features,
					  PRIMARY_INTERFACE);
	if (!t->bar[bar])
		return -ENOMEM;
	epf->bar[bar].flags |= test_bars[bar].flags;
	return pci_epc_set_bar(epf->epc, epf->func_no, epf->vfunc_no,
			       &epf->bar[bar]);
}

/* The host sees the same BARs of all virtual functions. */
static int set_bars(struct vf_test *t)
{
	u32 vectors = t->epf->msix_interrupts;
	int bar, ret;

	for (bar = BAR_0; bar <= BAR_5; bar++) {
		size_t size = test_bars[bar].size;

		if (!size)
			continue;
		if (bar == REG_BAR)
			size += vectors * PCI_MSIX_ENTRY_SIZE +
				ALIGN(DIV_ROUND_UP(vectors, 8), 8);
		ret = set_bar(t, bar, size);
		if (ret)
			return ret;
	}
	return 0;
}

static int set_interrupts(struct vf_test *t, u32 *caps)
{
	struct pci_epf *epf = t->epf;
	int ret;

	if (t->features->msi_capable && epf->msi_interrupts) {
		ret = pci_epc_set_msi(epf->epc, epf->func_no, epf->vfunc_no,
				      epf->msi_interrupts);
		if (ret)
			return ret;
		*caps |= CAP_MSI;
	}
	if (t->features->msix_capable && epf->msix_interrupts) {
		ret = pci_epc_set_msix(epf->epc, epf->func_no, epf->vfunc_no,
				       epf->msix_interrupts, REG_BAR,
				       MSIX_OFFSET);
		if (ret)
			return ret;
		*caps |= CAP_MSIX;
	}
	return 0;
}

/* Without the extensions there is no doorbell. */
static void open_ext(struct vf_test *t, u32 *caps)
{
	struct pci_epf *epf = t->epf;

	t->func = pci_epc_ext_open(epf->epc, epf->func_no, epf->vfunc_no,
				   ext_event, t);
	if (IS_ERR(t->func))
		t->func = NULL;
	else
		*caps |= CAP_DYNAMIC;
}

static int set_up(struct vf_test *t)
{
	struct pci_epf *epf = t->epf;
	u32 caps = CAP_UNALIGNED | CAP_NO_BAR5;
	int ret;

	/* One header for all of them */
	if (epf->vfunc_no == 1) {
		ret = pci_epc_write_header(epf->epc, epf->func_no,
					   epf->vfunc_no, epf->header);
		if (ret)
			return ret;
	}
	ret = set_bars(t);
	if (ret)
		return ret;
	ret = set_interrupts(t, &caps);
	if (ret)
		return ret;
	open_ext(t, &caps);
	vf_regs(t)->caps = cpu_to_le32(caps);
	return 0;
}

static void tear_down(struct vf_test *t)
{
	cancel_delayed_work_sync(&t->work);
	bell_release(t);
	pci_epc_ext_close(t->func);
	t->func = NULL;
	vf_copy_exit(t);
	free_bars(t);
}

/*
 * The framework takes care of the module of the function this one belongs to, but
 * not of ours.
 */
static int vf_test_bind(struct pci_epf *epf)
{
	struct vf_test *t = epf_get_drvdata(epf);
	int ret;

	if (!epf->is_vf) {
		dev_err(&epf->dev, "not a virtual function: link it to a function, and that to the controller\n");
		return -EINVAL;
	}
	t->features = pci_epc_get_features(epf->epc, epf->func_no,
					   epf->vfunc_no);
	if (!t->features)
		return -EOPNOTSUPP;

	ret = set_up(t);
	if (ret) {
		dev_err(&epf->dev, "cannot set up virtual function %u: error %d\n",
			epf->vfunc_no, ret);
		tear_down(t);
		return ret;
	}
	vf_copy_init(t);
	__module_get(THIS_MODULE);
	t->bound = true;
	queue_delayed_work(vf_test_wq, &t->work, 0);
	return 0;
}

/* The framework may call this again for a function that it did not bind again. */
static void vf_test_unbind(struct pci_epf *epf)
{
	struct vf_test *t = epf_get_drvdata(epf);

	if (!t->bound)
		return;
	t->bound = false;
	tear_down(t);
	module_put(THIS_MODULE);
}

static int vf_test_probe(struct pci_epf *epf, const struct pci_epf_device_id *id)
{
	struct vf_test *t = devm_kzalloc(&epf->dev, sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	t->epf = epf;
	t->header.deviceid = (u16)PCI_ANY_ID;
	t->header.baseclass_code = PCI_CLASS_OTHERS;
	mutex_init(&t->bell_lock);
	INIT_DELAYED_WORK(&t->work, poll_commands);
	epf->header = &t->header;
	epf_set_drvdata(epf, t);
	return 0;
}

/*
 * Who takes a virtual function off its function first, and then away, ends here
 * without unbind().
 */
static void vf_test_remove(struct pci_epf *epf)
{
	struct vf_test *t = epf_get_drvdata(epf);

	if (t->bound) {
		dev_err(&epf->dev, "still in use: unlink its function from the controller first\n");
		vf_test_unbind(epf);
	}
	mutex_destroy(&t->bell_lock);
}

static const struct pci_epf_ops vf_test_ops = {
	.bind = vf_test_bind,
	.unbind = vf_test_unbind,
};

static const struct pci_epf_device_id vf_test_ids[] = {
	{ .name = "pci_epf_vf_test" },
	{ }
};

static struct pci_epf_driver vf_test_driver = {
	.driver.name = "pci_epf_vf_test",
	.probe = vf_test_probe,
	.remove = vf_test_remove,
	.id_table = vf_test_ids,
	.ops = &vf_test_ops,
	.owner = THIS_MODULE,
};

static int __init vf_test_init(void)
{
	int ret;

	vf_test_wq = alloc_workqueue("pci-epf-vf-test", WQ_UNBOUND, 0);
	if (!vf_test_wq)
		return -ENOMEM;
	ret = pci_epf_register_driver(&vf_test_driver);
	if (ret)
		destroy_workqueue(vf_test_wq);
	return ret;
}
module_init(vf_test_init);

static void __exit vf_test_exit(void)
{
	pci_epf_unregister_driver(&vf_test_driver);
	destroy_workqueue(vf_test_wq);
}
module_exit(vf_test_exit);

MODULE_DESCRIPTION("Test of virtual functions behind the endpoint framework");
MODULE_LICENSE("GPL");
