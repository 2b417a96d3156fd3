// SPDX-License-Identifier: GPL-2.0
/*
 * Endpoint function for tests of virtual functions
 *
 * It has the registers of pci-epf-test, so that pci_endpoint_test of the host
 * and its selftest work with it.  It does all its work from bind() on, because
 * the framework notifies virtual functions of nothing else.  It raises MSI and
 * MSI-X, and its DMA needs a channel that copies.
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

#define VF_TEST_POLL_MS		1

/* COMMAND */
#define VF_TEST_CMD_RAISE_INTX	BIT(0)
#define VF_TEST_CMD_RAISE_MSI	BIT(1)
#define VF_TEST_CMD_RAISE_MSIX	BIT(2)
#define VF_TEST_CMD_READ		BIT(3)
#define VF_TEST_CMD_WRITE		BIT(4)
#define VF_TEST_CMD_COPY		BIT(5)
#define VF_TEST_CMD_ENABLE_BELL	BIT(6)
#define VF_TEST_CMD_DISABLE_BELL	BIT(7)

/* STATUS */
#define VF_TEST_READ_OK		BIT(0)
#define VF_TEST_READ_FAILED	BIT(1)
#define VF_TEST_WRITE_OK	BIT(2)
#define VF_TEST_WRITE_FAILED	BIT(3)
#define VF_TEST_COPY_OK		BIT(4)
#define VF_TEST_COPY_FAILED	BIT(5)
#define VF_TEST_IRQ_RAISED	BIT(6)
#define VF_TEST_BELL_RANG	BIT(9)
#define VF_TEST_BELL_ON		BIT(10)
#define VF_TEST_BELL_ON_FAILED	BIT(11)
#define VF_TEST_BELL_OFF	BIT(12)
#define VF_TEST_BELL_OFF_FAILED	BIT(13)

/* FLAGS */
#define VF_TEST_USE_DMA		BIT(0)

/* CAPS */
#define VF_TEST_CAP_UNALIGNED	BIT(0)
#define VF_TEST_CAP_MSI		BIT(1)
#define VF_TEST_CAP_MSIX	BIT(2)
#define VF_TEST_CAP_DYNAMIC	BIT(5)
#define VF_TEST_CAP_NO_BAR5	BIT(11)

/*
 * BAR 2 is a 64-bit BAR, which takes BAR 3 as well.  The host may see the MSI-X
 * table in BAR 5, so VF_TEST_CAP_NO_BAR5 keeps the test of BARs from writing to
 * it.
 */
#define VF_TEST_REG_BAR		BAR_0
#define VF_TEST_BELL_BAR	BAR_4
#define VF_TEST_MSIX_OFFSET	SZ_2K

static const struct {
	u32 size;
	u32 flags;
} vf_test_bars[PCI_STD_NUM_BARS] = {
	[VF_TEST_REG_BAR] = { VF_TEST_MSIX_OFFSET },
	[BAR_1] = { SZ_16K },
	[BAR_2] = { SZ_128K, PCI_BASE_ADDRESS_MEM_TYPE_64 |
			     PCI_BASE_ADDRESS_MEM_PREFETCH },
	[VF_TEST_BELL_BAR] = { SZ_64K },
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

static struct vf_test_reg *vf_test_regs(struct vf_test *t)
{
	return t->bar[VF_TEST_REG_BAR];
}

static struct workqueue_struct *vf_test_wq;

/* ---- Interrupts ---- */

/* The host reads the status when it gets the interrupt. */
static void vf_test_add_status(struct vf_test *t, u32 bits)
{
	struct vf_test_reg *reg = vf_test_regs(t);

	WRITE_ONCE(reg->status,
		   reg->status | cpu_to_le32(bits | VF_TEST_IRQ_RAISED));
}

/* pci_endpoint_test of the host defines these numbers. */
static unsigned int vf_test_irq_type(struct vf_test_reg *reg)
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

static void vf_test_raise(struct vf_test *t, u32 status)
{
	struct vf_test_reg *reg = vf_test_regs(t);
	struct pci_epf *epf = t->epf;

	vf_test_add_status(t, status);
	pci_epc_raise_irq(epf->epc, epf->func_no, epf->vfunc_no,
			  vf_test_irq_type(reg), le32_to_cpu(reg->irq_number));
}

/* ---- The doorbell ---- */

static irqreturn_t vf_test_bell_irq(int irq, void *data)
{
	struct vf_test *t = data;
	struct vf_test_reg *reg = vf_test_regs(t);

	vf_test_add_status(t, VF_TEST_BELL_RANG);
	pci_epc_ext_raise_irq(t->func, vf_test_irq_type(reg),
			      le32_to_cpu(reg->irq_number));
	return IRQ_HANDLED;
}

static void vf_test_bell_release(struct vf_test *t)
{
	guard(mutex)(&t->bell_lock);
	if (!t->bell)
		return;
	free_irq(t->bell->virq, t);
	pci_epc_ext_free_doorbell(t->bell);
	t->bell = NULL;
}

static int vf_test_bell_request(struct vf_test *t)
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
	ret = request_irq(bell->virq, vf_test_bell_irq, 0, "pci-epf-vf-test", t);
	if (ret) {
		pci_epc_ext_free_doorbell(bell);
		return ret;
	}
	t->bell = bell;
	return 0;
}

static int vf_test_bell_enable(struct vf_test *t)
{
	struct vf_test_reg *reg = vf_test_regs(t);
	struct pci_epf *epf = t->epf;
	struct pci_epf_bar bar = epf->bar[VF_TEST_BELL_BAR];
	int ret;

	ret = vf_test_bell_request(t);
	if (ret)
		return ret;
	scoped_guard(mutex, &t->bell_lock) {
		if (!t->bell)
			return -ENODEV;
		bar.phys_addr = t->bell->target;
		reg->doorbell_bar = cpu_to_le32(VF_TEST_BELL_BAR);
		reg->doorbell_offset = cpu_to_le32(t->bell->offset);
		reg->doorbell_data = cpu_to_le32(1);
	}
	ret = pci_epc_set_bar(epf->epc, epf->func_no, epf->vfunc_no, &bar);
	if (ret)
		vf_test_bell_release(t);
	return ret;
}

static int vf_test_bell_disable(struct vf_test *t)
{
	struct pci_epf *epf = t->epf;
	int ret;

	ret = pci_epc_set_bar(epf->epc, epf->func_no, epf->vfunc_no,
			      &epf->bar[VF_TEST_BELL_BAR]);
	vf_test_bell_release(t);
	return ret;
}

/* The controller may go before the function.  The guest tests read the log. */
static void vf_test_event(void *data, const struct pci_epc_ext_event *event)
{
	struct vf_test *t = data;

	if (event->type == PCI_EPC_EXT_GONE)
		vf_test_bell_release(t);
	dev_info(&t->epf->dev, "virtual function %u: event %d, value %#x\n",
		 t->epf->vfunc_no, event->type, event->value);
}

/* ---- Commands ---- */

static void *vf_test_buffer(size_t size)
{
	return kzalloc(size, GFP_KERNEL | __GFP_NOWARN);
}

static u32 vf_test_read(struct vf_test *t, bool dma)
{
	struct vf_test_reg *reg = vf_test_regs(t);
	size_t size = le32_to_cpu(reg->size);
	void *buf = vf_test_buffer(size);
	u32 expected = le32_to_cpu(reg->checksum);
	bool ok;

	if (!buf)
		return VF_TEST_READ_FAILED;
	ok = !vf_copy_from_host(t, buf, le64_to_cpu(reg->src_addr), size,
				dma) &&
	     crc32_le(~0, buf, size) == expected;
	kfree(buf);
	return ok ? VF_TEST_READ_OK : VF_TEST_READ_FAILED;
}

static u32 vf_test_write(struct vf_test *t, bool dma)
{
	struct vf_test_reg *reg = vf_test_regs(t);
	size_t size = le32_to_cpu(reg->size);
	void *buf = vf_test_buffer(size);
	int ret;

	if (!buf)
		return VF_TEST_WRITE_FAILED;
	get_random_bytes(buf, size);
	reg->checksum = cpu_to_le32(crc32_le(~0, buf, size));
	ret = vf_copy_to_host(t, le64_to_cpu(reg->dst_addr), buf, size, dma);
	kfree(buf);
	return ret ? VF_TEST_WRITE_FAILED : VF_TEST_WRITE_OK;
}

static u32 vf_test_copy(struct vf_test *t, bool dma)
{
	struct vf_test_reg *reg = vf_test_regs(t);
	int ret;

	ret = vf_copy_in_host(t, le64_to_cpu(reg->dst_addr),
			      le64_to_cpu(reg->src_addr),
			      le32_to_cpu(reg->size), dma);
	return ret ? VF_TEST_COPY_FAILED : VF_TEST_COPY_OK;
}

static void vf_test_run_command(struct vf_test *t, u32 command)
{
	bool dma = le32_to_cpu(vf_test_regs(t)->flags) & VF_TEST_USE_DMA;

	switch (command) {
	case VF_TEST_CMD_RAISE_INTX:
	case VF_TEST_CMD_RAISE_MSI:
	case VF_TEST_CMD_RAISE_MSIX:
		vf_test_raise(t, 0);
		break;
	case VF_TEST_CMD_READ:
		vf_test_raise(t, vf_test_read(t, dma));
		break;
	case VF_TEST_CMD_WRITE:
		vf_test_raise(t, vf_test_write(t, dma));
		break;
	case VF_TEST_CMD_COPY:
		vf_test_raise(t, vf_test_copy(t, dma));
		break;
	case VF_TEST_CMD_ENABLE_BELL:
		vf_test_raise(t, vf_test_bell_enable(t) ?
				 VF_TEST_BELL_ON_FAILED : VF_TEST_BELL_ON);
		break;
	case VF_TEST_CMD_DISABLE_BELL:
		vf_test_raise(t, vf_test_bell_disable(t) ?
				 VF_TEST_BELL_OFF_FAILED : VF_TEST_BELL_OFF);
		break;
	default:
		dev_dbg(&t->epf->dev, "command %#x is unknown\n", command);
	}
}

static void vf_test_poll(struct work_struct *work)
{
	struct vf_test *t = container_of(work, struct vf_test, work.work);
	struct vf_test_reg *reg = vf_test_regs(t);
	u32 command = le32_to_cpu(READ_ONCE(reg->command));

	if (command) {
		WRITE_ONCE(reg->command, 0);
		WRITE_ONCE(reg->status, 0);
		vf_test_run_command(t, command);
	}
	queue_delayed_work(vf_test_wq, &t->work,
			   msecs_to_jiffies(VF_TEST_POLL_MS));
}

/* ---- Set-up ---- */

static void vf_test_free_bars(struct vf_test *t)
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

static int vf_test_set_bar(struct vf_test *t, enum pci_barno bar, size_t size)
{
	const struct pci_epc_features *features = t->features;
	struct pci_epf *epf = t->epf;

	t->bar[bar] = pci_epf_alloc_space(epf, size, bar, features,
					  PRIMARY_INTERFACE);
	if (!t->bar[bar])
		return -ENOMEM;
	epf->bar[bar].flags |= vf_test_bars[bar].flags;
	return pci_epc_set_bar(epf->epc, epf->func_no, epf->vfunc_no,
			       &epf->bar[bar]);
}

/* All virtual functions of a function must define the same BARs. */
static int vf_test_set_bars(struct vf_test *t)
{
	u32 vectors = t->epf->msix_interrupts;
	int bar, ret;

	for (bar = BAR_0; bar <= BAR_5; bar++) {
		size_t size = vf_test_bars[bar].size;

		if (!size)
			continue;
		if (bar == VF_TEST_REG_BAR)
			size += vectors * PCI_MSIX_ENTRY_SIZE +
				ALIGN(DIV_ROUND_UP(vectors, 8), 8);
		ret = vf_test_set_bar(t, bar, size);
		if (ret)
			return ret;
	}
	return 0;
}

static int vf_test_set_interrupts(struct vf_test *t, u32 *caps)
{
	struct pci_epf *epf = t->epf;
	int ret;

	if (t->features->msi_capable && epf->msi_interrupts) {
		ret = pci_epc_set_msi(epf->epc, epf->func_no, epf->vfunc_no,
				      epf->msi_interrupts);
		if (ret)
			return ret;
		*caps |= VF_TEST_CAP_MSI;
	}
	if (t->features->msix_capable && epf->msix_interrupts) {
		ret = pci_epc_set_msix(epf->epc, epf->func_no, epf->vfunc_no,
				       epf->msix_interrupts, VF_TEST_REG_BAR,
				       VF_TEST_MSIX_OFFSET);
		if (ret)
			return ret;
		*caps |= VF_TEST_CAP_MSIX;
	}
	return 0;
}

/* The function has no doorbell if the controller has no extensions. */
static void vf_test_open_ext(struct vf_test *t, u32 *caps)
{
	struct pci_epf *epf = t->epf;

	t->func = pci_epc_ext_open(epf->epc, epf->func_no, epf->vfunc_no,
				   vf_test_event, t);
	if (IS_ERR(t->func))
		t->func = NULL;
	else
		*caps |= VF_TEST_CAP_DYNAMIC;
}

static int vf_test_set_up(struct vf_test *t)
{
	struct pci_epf *epf = t->epf;
	u32 caps = VF_TEST_CAP_UNALIGNED | VF_TEST_CAP_NO_BAR5;
	int ret;

	/* Virtual function 1 has the header of all of them. */
	if (epf->vfunc_no == 1) {
		ret = pci_epc_write_header(epf->epc, epf->func_no,
					   epf->vfunc_no, epf->header);
		if (ret)
			return ret;
	}
	ret = vf_test_set_bars(t);
	if (ret)
		return ret;
	ret = vf_test_set_interrupts(t, &caps);
	if (ret)
		return ret;
	vf_test_open_ext(t, &caps);
	vf_test_regs(t)->caps = cpu_to_le32(caps);
	return 0;
}

static void vf_test_tear_down(struct vf_test *t)
{
	cancel_delayed_work_sync(&t->work);
	vf_test_bell_release(t);
	pci_epc_ext_close(t->func);
	t->func = NULL;
	vf_copy_exit(t);
	vf_test_free_bars(t);
}

/*
 * The framework holds a reference on the module of the function that this
 * virtual function belongs to, but none on this module.
 */
static int vf_test_bind(struct pci_epf *epf)
{
	struct vf_test *t = epf_get_drvdata(epf);
	int ret;

	if (!epf->is_vf) {
		dev_err(&epf->dev, "not a virtual function\n");
		return -EINVAL;
	}
	t->features = pci_epc_get_features(epf->epc, epf->func_no,
					   epf->vfunc_no);
	if (!t->features)
		return -EOPNOTSUPP;

	ret = vf_test_set_up(t);
	if (ret) {
		dev_err(&epf->dev, "cannot set up virtual function %u: error %d\n",
			epf->vfunc_no, ret);
		vf_test_tear_down(t);
		return ret;
	}
	vf_copy_init(t);
	__module_get(THIS_MODULE);
	t->bound = true;
	queue_delayed_work(vf_test_wq, &t->work, 0);
	return 0;
}

/* The framework may call this twice after it has called bind() once. */
static void vf_test_unbind(struct pci_epf *epf)
{
	struct vf_test *t = epf_get_drvdata(epf);

	if (!t->bound)
		return;
	t->bound = false;
	vf_test_tear_down(t);
	module_put(THIS_MODULE);
}

static int vf_test_probe(struct pci_epf *epf,
			 const struct pci_epf_device_id *id)
{
	struct vf_test *t = devm_kzalloc(&epf->dev, sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	t->epf = epf;
	t->header.deviceid = (u16)PCI_ANY_ID;
	t->header.baseclass_code = PCI_CLASS_OTHERS;
	mutex_init(&t->bell_lock);
	INIT_DELAYED_WORK(&t->work, vf_test_poll);
	epf->header = &t->header;
	epf_set_drvdata(epf, t);
	return 0;
}

/*
 * The framework does not call unbind() if a virtual function is unlinked from
 * its function and removed while that function is bound.
 */
static void vf_test_remove(struct pci_epf *epf)
{
	struct vf_test *t = epf_get_drvdata(epf);

	if (t->bound) {
		dev_err(&epf->dev, "removed while it is bound\n");
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
