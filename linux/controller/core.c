// SPDX-License-Identifier: GPL-2.0
/*
 * Endpoint controller driver for the pci-epc device of QEMU: probe and remove
 *
 * The device is a PCI function of this machine.  It shows the endpoint
 * functions of this machine as a PCI device in another machine.
 * hw/pci-ep/pci-epc-regs.h describes its registers.
 */
#include <linux/container_of.h>
#include <linux/dma-mapping.h>
#include <linux/kref.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "../dma/dma.h"
#include "controller.h"
#include "ext.h"
#include "ops.h"
#include "parent.h"
#include "sleep.h"

#define QEMU_EP_NAME	"pcie-qemu-ep"

static bool qemu_ep_areas_fit(u32 count, u32 base, u32 stride, u32 size,
			      resource_size_t len)
{
	return stride >= size && base >= EPC_GLOBAL_SIZE && base % 4 == 0 &&
	       stride % 4 == 0 && (u64)base + (u64)count * stride <= len;
}

static void qemu_ep_read_layout(struct qemu_ep *ep)
{
	struct qemu_ep_layout *l = &ep->layout;
	void __iomem *regs = ep->regs;

	ep->features = readl(regs + EPC_REG_FEATURES);
	ep->granule = readl(regs + EPC_REG_GRANULE);
	ep->deadline = readl(regs + EPC_REG_DEADLINE);
	l->fn_count = readl(regs + EPC_REG_FN_COUNT);
	l->page_base = readl(regs + EPC_REG_FN_BASE);
	l->page_stride = readl(regs + EPC_REG_FN_STRIDE);
	l->raise_base = readl(regs + EPC_REG_RAISE_BASE);
	l->raise_stride = readl(regs + EPC_REG_RAISE_STRIDE);

	if (ep->features & EPC_FEATURE_VF)
		l->vf_count = readl(regs + EPC_REG_VF_COUNT);

	if (ep->features & EPC_FEATURE_DMA) {
		/* A later device may have more channels than this driver. */
		ep->dma_hw.count = min_t(u32, readl(regs + EPC_REG_DMA_COUNT),
					 EPC_DMA_CHANNELS);
		ep->dma_hw.base = readl(regs + EPC_REG_DMA_BASE);
		ep->dma_hw.stride = readl(regs + EPC_REG_DMA_STRIDE);
	}

	if (ep->features & EPC_FEATURE_DOORBELL) {
		ep->doorbells.count = readl(regs + EPC_REG_DOORBELLS);
		ep->doorbells.base = readl(regs + EPC_REG_DOORBELL_BASE);
	}

	if (ep->features & EPC_FEATURE_TRAP) {
		ep->traps.base = readl(regs + EPC_REG_TRAP_BASE);
		ep->traps.stride = readl(regs + EPC_REG_TRAP_STRIDE);
		ep->traps.size = readl(regs + EPC_REG_TRAP_SIZE);
	}
}

static bool qemu_ep_layout_is_valid(struct qemu_ep *ep, resource_size_t len)
{
	u32 page_size = EPC_FN_CONFIG + EPC_FN_CONFIG_SIZE;
	struct qemu_ep_layout *l = &ep->layout;

	if (!l->fn_count || l->fn_count > EPC_MAX_FUNCTIONS ||
	    l->vf_count > EPC_MAX_FUNCTIONS - l->fn_count ||
	    !is_power_of_2(ep->granule) || !qemu_ep_limits_read(ep))
		return false;
	l->page_count = l->fn_count + l->vf_count;
	if (!qemu_ep_areas_fit(l->page_count, l->page_base, l->page_stride,
			       page_size, len) ||
	    !qemu_ep_areas_fit(l->page_count, l->raise_base, l->raise_stride,
			       EPC_RAISE_SIZE, len))
		return false;
	if (ep->dma_hw.count &&
	    !qemu_ep_areas_fit(ep->dma_hw.count, ep->dma_hw.base,
			       ep->dma_hw.stride, EPC_DMA_PAGE_SIZE, len))
		return false;
	if (ep->traps.size &&
	    (!is_power_of_2(ep->traps.size) ||
	     ep->traps.size > len / EPC_TRAP_RECORD_SIZE ||
	     !qemu_ep_areas_fit(l->page_count, ep->traps.base,
				ep->traps.stride,
				ep->traps.size * EPC_TRAP_RECORD_SIZE, len)))
		return false;
	return !ep->doorbells.count ||
	       (ep->doorbells.count <= EPC_MAX_DOORBELLS &&
		qemu_ep_areas_fit(ep->doorbells.count, ep->doorbells.base,
				  EPC_DOORBELL_STRIDE, EPC_DOORBELL_STRIDE,
				  len));
}

static int qemu_ep_map_registers(struct qemu_ep *ep, struct pci_dev *pdev)
{
	resource_size_t len = pci_resource_len(pdev, EPC_BAR_REGS);
	struct device *dev = &pdev->dev;
	u32 magic, version;

	if (len < EPC_GLOBAL_SIZE)
		return dev_err_probe(dev, -ENODEV, "no register BAR\n");
	ep->regs = pcim_iomap_region(pdev, EPC_BAR_REGS, QEMU_EP_NAME);
	if (IS_ERR(ep->regs))
		return dev_err_probe(dev, PTR_ERR(ep->regs),
				     "cannot map registers\n");

	magic = readl(ep->regs + EPC_REG_MAGIC);
	if (magic != EPC_MAGIC)
		return dev_err_probe(dev, -ENODEV,
				     "magic %#x is not that of a pci-epc device\n",
				     magic);
	version = readl(ep->regs + EPC_REG_VERSION);
	if (version >> 16 != EPC_VERSION_MAJOR)
		return dev_err_probe(dev, -ENODEV,
				     "register version %u.%u is unknown, this driver knows %u\n",
				     version >> 16, version & 0xffff,
				     EPC_VERSION_MAJOR);

	ep->minor = version & 0xffff;

	qemu_ep_read_layout(ep);
	if (!qemu_ep_layout_is_valid(ep, len))
		return dev_err_probe(dev, -EINVAL,
				     "invalid register layout (%u functions, %u virtual, granule %u)\n",
				     ep->layout.fn_count, ep->layout.vf_count,
				     ep->granule);
	return 0;
}

static int qemu_ep_find_window(struct qemu_ep *ep, struct pci_dev *pdev)
{
	int ret;

	if (!(ep->features & EPC_FEATURE_WINDOW))
		return 0;

	ret = pcim_request_region(pdev, EPC_BAR_WINDOW, QEMU_EP_NAME);
	if (ret)
		return dev_err_probe(&pdev->dev, ret,
				     "cannot reserve the outbound window\n");
	ep->window.base = pci_resource_start(pdev, EPC_BAR_WINDOW);
	ep->window.size = pci_resource_len(pdev, EPC_BAR_WINDOW);
	return 0;
}

static int qemu_ep_find_doorbells(struct qemu_ep *ep, struct pci_dev *pdev)
{
	int ret;

	if (!ep->doorbells.count)
		return 0;

	ret = pcim_request_region(pdev, EPC_BAR_DOORBELL, QEMU_EP_NAME);
	if (ret)
		return dev_err_probe(&pdev->dev, ret,
				     "cannot reserve the doorbells\n");
	return 0;
}

static int qemu_ep_setup_dma(struct pci_dev *pdev)
{
	int ret;

	/*
	 * BAR targets and DMA buffers are DMA addresses of this device, which
	 * reaches all memory.
	 */
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return dev_err_probe(&pdev->dev, ret,
				     "cannot use 64-bit DMA\n");
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	pci_set_master(pdev);
	return 0;
}

/*
 * Each doorbell has a vector of its own, and functions request its interrupt.
 * If vectors are short there are fewer doorbells, but at least one if possible.
 *
 * Returns the number of vectors that are not for doorbells.
 */
static int qemu_ep_reserve_doorbells(struct qemu_ep *ep, struct pci_dev *pdev,
				     int vectors)
{
	int least = EPC_VECTOR_DMA(0);
	u32 n;

	ep->doorbells.count = clamp(vectors - least - (int)ep->dma_hw.count,
				    vectors > least ? 1 : 0,
				    (int)ep->doorbells.count);
	ep->doorbells.vector = vectors - ep->doorbells.count;
	for (n = 0; n < ep->doorbells.count; n++)
		ep->doorbells.irq[n] = pci_irq_vector(pdev,
						      ep->doorbells.vector + n);
	return ep->doorbells.vector;
}

/*
 * Each page has a vector for its trap.  If vectors are short there is no trap:
 * what is left is more useful for doorbells.
 *
 * Returns the number of vectors that are not for traps.
 */
static int qemu_ep_reserve_traps(struct qemu_ep *ep, struct pci_dev *pdev,
				 int vectors)
{
	int others = EPC_VECTOR_DMA(0) + ep->dma_hw.count + ep->doorbells.count;
	int first = vectors - ep->layout.page_count;
	u8 page;

	if (first < others) {
		ep->traps.size = 0;
		return vectors;
	}
	for (page = 0; page < ep->layout.page_count; page++) {
		ep->traps.trap[page].vector = first + page;
		ep->traps.trap[page].irq = pci_irq_vector(pdev, first + page);
	}
	return first;
}

/* Without vectors for them, DMA channels share that of commands. */
static void qemu_ep_share_vectors(struct qemu_ep *ep, struct pci_dev *pdev,
				  int vectors)
{
	u32 first = EPC_VECTOR_DMA(0);
	u32 n;

	if (vectors == first)
		first = EPC_VECTOR_COMMAND;
	for (n = 0; n < ep->dma_hw.count; n++) {
		ep->dma_hw.vector[n] = first + n % (vectors - first);
		ep->dma_hw.irq[n] = pci_irq_vector(pdev, ep->dma_hw.vector[n]);
	}
}

static int qemu_ep_setup_irqs(struct qemu_ep *ep, struct pci_dev *pdev)
{
	int least = EPC_VECTOR_DMA(0);
	int most = least + ep->dma_hw.count + ep->doorbells.count;
	int vectors;

	if (ep->traps.size)
		most += ep->layout.page_count;
	vectors = pci_alloc_irq_vectors(pdev, least, most, PCI_IRQ_MSIX);
	if (vectors < 0)
		return dev_err_probe(&pdev->dev, vectors,
				     "cannot get %d MSI-X vectors\n", least);
	if (ep->traps.size)
		vectors = qemu_ep_reserve_traps(ep, pdev, vectors);
	if (ep->doorbells.count)
		vectors = qemu_ep_reserve_doorbells(ep, pdev, vectors);
	qemu_ep_share_vectors(ep, pdev, vectors);

	return devm_request_irq(&pdev->dev,
				pci_irq_vector(pdev, EPC_VECTOR_COMMAND),
				qemu_ep_cmd_irq, IRQF_SHARED,
				dev_name(&pdev->dev), ep);
}

/*
 * The controller appears in configfs as soon as it is created.  The core
 * refuses all operations but start() and stop() until max_functions is set, so
 * that comes last, and start() fails until qemu_ep_notify_open().
 */
static int qemu_ep_create_epc(struct qemu_ep *ep)
{
	struct pci_epc *epc;
	int ret;

	epc = pci_epc_create(qemu_ep_parent(ep), &qemu_ep_ops);
	if (IS_ERR(epc))
		return PTR_ERR(epc);
	qemu_ep_parent_open(ep);

	if (ep->window.size) {
		ret = pci_epc_mem_init(epc, ep->window.base, ep->window.size,
				       max_t(size_t, PAGE_SIZE,
					     ep->limits.outbound_granule));
		if (ret) {
			pci_epc_destroy(epc);
			return ret;
		}
	}

	ep->epc = epc;
	epc_set_drvdata(epc, ep);
	ret = qemu_ep_ext_init(ep);
	if (ret) {
		pci_epc_mem_exit(epc);
		pci_epc_destroy(epc);
		return ret;
	}
	if (ep->layout.vf_count) {
		ep->max_vfs[0] = ep->layout.vf_count;
		epc->max_vfs = ep->max_vfs;
	}
	epc->max_functions = ep->layout.fn_count;
	return 0;
}

/*
 * A function that stays linked keeps its pointer to the controller, and to the
 * features in struct qemu_ep, until the machine ends: the configfs directory
 * with its link is gone.  So both stay allocated for it.
 */
static void qemu_ep_destroy_epc(struct qemu_ep *ep)
{
	struct pci_epc *epc = ep->epc;

	get_device(&epc->dev);
	qemu_ep_compat_deny_operations(epc);
	pci_epc_mem_exit(epc);
	pci_epc_destroy(epc);
	/* No function can be linked any more. */
	if (qemu_ep_compat_has_functions(epc)) {
		kref_get(&ep->ref);
		qemu_ep_parent_keep(ep);
	} else {
		put_device(&epc->dev);
	}
}

static int qemu_ep_setup_device(struct qemu_ep *ep, struct pci_dev *pdev)
{
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = qemu_ep_map_registers(ep, pdev);
	if (ret)
		return ret;
	ret = qemu_ep_find_window(ep, pdev);
	if (ret)
		return ret;
	ret = qemu_ep_find_doorbells(ep, pdev);
	if (ret)
		return ret;

	qemu_ep_cmd_reset(ep);

	ret = qemu_ep_setup_dma(pdev);
	if (ret)
		return ret;
	ret = qemu_ep_setup_irqs(ep, pdev);
	if (ret)
		return ret;
	return qemu_ep_parent_init(ep, pdev);
}

static void qemu_ep_free(struct kref *ref)
{
	struct qemu_ep *ep = container_of(ref, struct qemu_ep, ref);

	qemu_ep_doe_destroy(ep);
	mutex_destroy(&ep->traps.lock);
	mutex_destroy(&ep->cmd.lock);
	kfree(ep);
}

static void qemu_ep_put(void *data)
{
	struct qemu_ep *ep = data;

	kref_put(&ep->ref, qemu_ep_free);
}

/* The driver's reference is put when all that devres manages is gone. */
static struct qemu_ep *qemu_ep_alloc(struct device *dev)
{
	struct qemu_ep *ep = kzalloc(sizeof(*ep), GFP_KERNEL);

	if (!ep)
		return NULL;
	kref_init(&ep->ref);
	ep->parent = dev;
	init_completion(&ep->cmd.done);
	mutex_init(&ep->cmd.lock);
	qemu_ep_irqs_init(ep);
	qemu_ep_traps_init(ep);
	qemu_ep_doe_init(ep);
	return devm_add_action_or_reset(dev, qemu_ep_put, ep) ? NULL : ep;
}

static int qemu_ep_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct qemu_ep *ep = qemu_ep_alloc(&pdev->dev);
	int irq;
	int ret;

	if (!ep)
		return -ENOMEM;
	pci_set_drvdata(pdev, ep);

	ret = qemu_ep_setup_device(ep, pdev);
	if (ret)
		return ret;
	ret = qemu_ep_compat_calibrate(&pdev->dev, &ep->encoding);
	if (ret)
		return ret;
	qemu_ep_init_features(ep);

	irq = pci_irq_vector(pdev, EPC_VECTOR_EVENT);
	ret = qemu_ep_notify_init(ep, irq);
	if (ret)
		return ret;
	qemu_ep_doorbells_init(ep, pci_resource_n(pdev, EPC_BAR_DOORBELL));
	ret = qemu_ep_dma_init(ep);
	if (ret)
		goto err_doorbells;
	ret = qemu_ep_create_epc(ep);
	if (ret) {
		dev_err(&pdev->dev, "cannot create the endpoint controller: error %d\n",
			ret);
		goto err_dma;
	}

	qemu_ep_notify_open(ep);
	pci_epc_init_notify(ep->epc);
	qemu_ep_notify_enable(ep);
	return 0;

err_dma:
	qemu_ep_dma_exit(ep);
err_doorbells:
	qemu_ep_doorbells_exit(ep);
	qemu_ep_notify_exit(ep, irq);
	return ret;
}

/*
 * The framework cannot take a controller away from functions that are linked to
 * it.  So this keeps them from touching the device, see qemu_ep_destroy_epc().
 */
static void qemu_ep_remove(struct pci_dev *pdev)
{
	struct qemu_ep *ep = pci_get_drvdata(pdev);

	if (qemu_ep_compat_has_functions(ep->epc))
		dev_err(&pdev->dev, "functions are still linked\n");

	qemu_ep_notify_close(ep);
	pci_epc_stop(ep->epc);
	qemu_ep_notify_exit(ep, pci_irq_vector(pdev, EPC_VECTOR_EVENT));
	qemu_ep_notify_deinit(ep);
	qemu_ep_traps_exit(ep);
	qemu_ep_doe_exit(ep);
	qemu_ep_ext_exit(ep);
	/* Most functions have released their DMA channels now. */
	qemu_ep_dma_exit(ep);
	qemu_ep_destroy_epc(ep);
	qemu_ep_pages_forget_owners(ep);
	qemu_ep_cmd_reset(ep);
	qemu_ep_doorbells_exit(ep);
}

/* Without it the host could write to memory of the next kernel (kexec). */
static void qemu_ep_shutdown(struct pci_dev *pdev)
{
	qemu_ep_cmd_reset(pci_get_drvdata(pdev));
}

static const struct pci_device_id qemu_ep_ids[] = {
	{ PCI_DEVICE(EPC_PCI_VENDOR_ID, EPC_PCI_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, qemu_ep_ids);

static struct pci_driver qemu_ep_driver = {
	.name = QEMU_EP_NAME,
	.id_table = qemu_ep_ids,
	.probe = qemu_ep_probe,
	.remove = qemu_ep_remove,
	.shutdown = qemu_ep_shutdown,
	.dev_groups = QEMU_EP_DMA_GROUPS,
	.driver.pm = pm_sleep_ptr(&qemu_ep_pm_ops),
};
module_pci_driver(qemu_ep_driver);

MODULE_DESCRIPTION("Endpoint controller driver for the pci-epc device of QEMU");
MODULE_LICENSE("GPL");
