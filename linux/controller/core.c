// SPDX-License-Identifier: GPL-2.0
/*
 * Endpoint controller driver for the pci-epc device of QEMU
 *
 * The device is a PCI function of this machine.  It makes endpoint functions,
 * implemented here, appear as a PCI device in another machine.  Its registers
 * are described in hw/pci-ep/pci-epc-regs.h.
 */
#include <linux/dma-mapping.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "pcie-qemu-ep.h"

#define QEMU_EP_NAME	"pcie-qemu-ep"

static bool areas_fit(u32 count, u32 base, u32 stride, u32 size,
		      resource_size_t len)
{
	return stride >= size && base >= EPC_GLOBAL_SIZE && base % 4 == 0 &&
	       stride % 4 == 0 && (u64)base + (u64)count * stride <= len;
}

static int read_layout(struct qemu_ep *ep, resource_size_t len)
{
	void __iomem *regs = ep->regs;
	u32 fn_size = EPC_FN_CONFIG + EPC_FN_CONFIG_SIZE;

	ep->features = readl(regs + EPC_REG_FEATURES);
	ep->fn_count = readl(regs + EPC_REG_FN_COUNT);
	ep->fn_base = readl(regs + EPC_REG_FN_BASE);
	ep->fn_stride = readl(regs + EPC_REG_FN_STRIDE);
	ep->raise_base = readl(regs + EPC_REG_RAISE_BASE);
	ep->raise_stride = readl(regs + EPC_REG_RAISE_STRIDE);
	ep->granule = readl(regs + EPC_REG_GRANULE);
	ep->deadline = readl(regs + EPC_REG_DEADLINE);

	if (ep->features & EPC_FEATURE_VF)
		ep->vf_count = readl(regs + EPC_REG_VF_COUNT);

	if (ep->features & EPC_FEATURE_DMA) {
		/* A later device may have more than there is room for here */
		ep->dma_count = min_t(u32, readl(regs + EPC_REG_DMA_COUNT),
				      EPC_DMA_CHANNELS);
		ep->dma_base = readl(regs + EPC_REG_DMA_BASE);
		ep->dma_stride = readl(regs + EPC_REG_DMA_STRIDE);
	}

	if (ep->features & EPC_FEATURE_DOORBELL) {
		ep->doorbell_count = readl(regs + EPC_REG_DOORBELLS);
		ep->doorbell_base = readl(regs + EPC_REG_DOORBELL_BASE);
	}

	if (ep->fn_count && ep->fn_count <= EPC_MAX_FUNCTIONS &&
	    ep->vf_count <= EPC_MAX_FUNCTIONS - ep->fn_count &&
	    is_power_of_2(ep->granule) &&
	    areas_fit(ep->fn_count + ep->vf_count, ep->fn_base, ep->fn_stride,
		      fn_size, len) &&
	    areas_fit(ep->fn_count + ep->vf_count, ep->raise_base,
		      ep->raise_stride, EPC_RAISE_SIZE, len) &&
	    (!ep->dma_count ||
	     areas_fit(ep->dma_count, ep->dma_base, ep->dma_stride,
		       EPC_DMA_PAGE_SIZE, len)) &&
	    ep->doorbell_count <= EPC_MAX_DOORBELLS &&
	    (!ep->doorbell_count ||
	     areas_fit(ep->doorbell_count, ep->doorbell_base,
		       EPC_DOORBELL_STRIDE, EPC_DOORBELL_STRIDE, len))) {
		ep->page_count = ep->fn_count + ep->vf_count;
		return 0;
	}

	dev_err(qemu_ep_parent(ep), "registers make no sense (%u functions, %u virtual, granule %u): use the QEMU this driver comes with\n",
		ep->fn_count, ep->vf_count, ep->granule);
	return -EINVAL;
}

static int map_registers(struct qemu_ep *ep, struct pci_dev *pdev)
{
	resource_size_t len = pci_resource_len(pdev, EPC_BAR_REGS);
	struct device *dev = &pdev->dev;
	u32 magic, version;

	if (len < EPC_GLOBAL_SIZE)
		return dev_err_probe(dev, -ENODEV,
				     "no register BAR: this is not a pci-epc device\n");
	ep->regs = pcim_iomap_region(pdev, EPC_BAR_REGS, QEMU_EP_NAME);
	if (IS_ERR(ep->regs))
		return dev_err_probe(dev, PTR_ERR(ep->regs),
				     "cannot map registers: unbind the driver that uses them\n");

	magic = readl(ep->regs + EPC_REG_MAGIC);
	if (magic != EPC_MAGIC)
		return dev_err_probe(dev, -ENODEV,
				     "magic %#x: this is not a pci-epc device\n",
				     magic);
	version = readl(ep->regs + EPC_REG_VERSION);
	if (version >> 16 != EPC_VERSION_MAJOR)
		return dev_err_probe(dev, -ENODEV,
				     "register version %u.%u, this driver knows %u: use the driver that comes with this QEMU\n",
				     version >> 16, version & 0xffff,
				     EPC_VERSION_MAJOR);

	ep->minor = version & 0xffff;

	return read_layout(ep, len);
}

static int find_window(struct qemu_ep *ep, struct pci_dev *pdev)
{
	int ret;

	if (!(ep->features & EPC_FEATURE_WINDOW))
		return 0;

	ret = pcim_request_region(pdev, EPC_BAR_WINDOW, QEMU_EP_NAME);
	if (ret)
		return dev_err_probe(&pdev->dev, ret,
				     "cannot use the outbound window: unbind the driver that uses it\n");
	ep->window_base = pci_resource_start(pdev, EPC_BAR_WINDOW);
	ep->window_size = pci_resource_len(pdev, EPC_BAR_WINDOW);
	return 0;
}

static int find_doorbells(struct qemu_ep *ep, struct pci_dev *pdev)
{
	int ret;

	if (!ep->doorbell_count)
		return 0;

	ret = pcim_request_region(pdev, EPC_BAR_DOORBELL, QEMU_EP_NAME);
	if (ret)
		return dev_err_probe(&pdev->dev, ret,
				     "cannot use the doorbells: unbind the driver that uses them\n");
	return 0;
}

static int setup_dma(struct pci_dev *pdev)
{
	int ret;

	/*
	 * BAR targets and mapped buffers are addresses of this device, which
	 * reaches all memory.
	 */
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return dev_err_probe(&pdev->dev, ret,
				     "cannot use 64-bit DMA: check the IOMMU of this machine\n");
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	pci_set_master(pdev);
	return 0;
}

/*
 * Doorbells have a vector of their own each, which nobody here requests.  With few
 * vectors there are few doorbells, but one at least if that is possible.
 */
static int reserve_doorbells(struct qemu_ep *ep, struct pci_dev *pdev,
			     int vectors)
{
	int least = EPC_VECTOR_DMA(0);
	u32 n;

	ep->doorbell_count = clamp(vectors - least - (int)ep->dma_count,
				   vectors > least ? 1 : 0,
				   (int)ep->doorbell_count);
	ep->doorbell_vector = vectors - ep->doorbell_count;
	for (n = 0; n < ep->doorbell_count; n++)
		ep->doorbell_irq[n] = pci_irq_vector(pdev,
						     ep->doorbell_vector + n);
	return ep->doorbell_vector;
}

/* Channels share what vectors there are, if need be that of commands. */
static void share_vectors(struct qemu_ep *ep, struct pci_dev *pdev, int vectors)
{
	u32 first = EPC_VECTOR_DMA(0);
	u32 n;

	if (vectors == first)
		first = EPC_VECTOR_COMMAND;
	for (n = 0; n < ep->dma_count; n++) {
		ep->dma_vector[n] = first + n % (vectors - first);
		ep->dma_irq[n] = pci_irq_vector(pdev, ep->dma_vector[n]);
	}
}

static int setup_irqs(struct qemu_ep *ep, struct pci_dev *pdev)
{
	int least = EPC_VECTOR_DMA(0);
	int vectors;

	vectors = pci_alloc_irq_vectors(pdev, least,
					least + ep->dma_count +
					ep->doorbell_count, PCI_IRQ_MSIX);
	if (vectors < 0)
		return dev_err_probe(&pdev->dev, vectors,
				     "cannot get %d MSI-X vectors: this kernel needs CONFIG_PCI_MSI=y\n",
				     least);
	if (ep->doorbell_count)
		vectors = reserve_doorbells(ep, pdev, vectors);
	share_vectors(ep, pdev, vectors);

	return devm_request_irq(&pdev->dev,
				pci_irq_vector(pdev, EPC_VECTOR_COMMAND),
				qemu_ep_command_irq, IRQF_SHARED,
				dev_name(&pdev->dev), ep);
}

/*
 * The controller shows in configfs as soon as it is created.  Nobody can use it
 * before max_functions is set, so that comes last, and nobody can start it
 * before start_allowed is.
 */
static int create_epc(struct qemu_ep *ep)
{
	struct pci_epc *epc;
	int ret;

	epc = pci_epc_create(qemu_ep_parent(ep), &qemu_ep_ops);
	if (IS_ERR(epc))
		return PTR_ERR(epc);

	if (ep->window_size) {
		ret = pci_epc_mem_init(epc, ep->window_base, ep->window_size,
				       max_t(size_t, PAGE_SIZE, ep->granule));
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
	if (ep->vf_count) {
		ep->max_vfs[0] = ep->vf_count;
		epc->max_vfs = ep->max_vfs;
	}
	epc->max_functions = ep->fn_count;
	return 0;
}

static void allow_start(struct qemu_ep *ep, bool allowed)
{
	spin_lock(&ep->state_lock);
	ep->start_allowed = allowed;
	spin_unlock(&ep->state_lock);
}

static int setup_device(struct qemu_ep *ep, struct pci_dev *pdev)
{
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = map_registers(ep, pdev);
	if (ret)
		return ret;
	ret = find_window(ep, pdev);
	if (ret)
		return ret;
	ret = find_doorbells(ep, pdev);
	if (ret)
		return ret;

	qemu_ep_reset(ep);

	ret = setup_dma(pdev);
	if (ret)
		return ret;
	return setup_irqs(ep, pdev);
}

static int qemu_ep_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct qemu_ep *ep;
	int irq;
	int ret;

	ep = devm_kzalloc(&pdev->dev, sizeof(*ep), GFP_KERNEL);
	if (!ep)
		return -ENOMEM;
	ep->parent = &pdev->dev;
	init_completion(&ep->cmd_done);
	ret = devm_mutex_init(&pdev->dev, &ep->cmd_lock);
	if (ret)
		return ret;
	pci_set_drvdata(pdev, ep);

	ret = setup_device(ep, pdev);
	if (ret)
		return ret;
	ret = qemu_ep_calibrate(&pdev->dev, &ep->encoding);
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
	ret = create_epc(ep);
	if (ret) {
		dev_err(&pdev->dev, "cannot create the endpoint controller: error %d\n",
			ret);
		goto err_dma;
	}

	allow_start(ep, true);
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
 * it.  What can be done is to stop them from touching the device.
 */
static void qemu_ep_remove(struct pci_dev *pdev)
{
	struct qemu_ep *ep = pci_get_drvdata(pdev);
	struct pci_epc *epc = ep->epc;

	if (!list_empty(&epc->pci_epf))
		dev_err(&pdev->dev, "functions are still linked: unlink them before the driver is unbound\n");

	allow_start(ep, false);
	pci_epc_stop(epc);
	qemu_ep_notify_exit(ep, pci_irq_vector(pdev, EPC_VECTOR_EVENT));
	qemu_ep_notify_deinit(ep);
	qemu_ep_ext_exit(ep);
	/* Functions have let go of their channels now, most of them. */
	qemu_ep_dma_exit(ep);
	pci_epc_mem_exit(epc);
	pci_epc_destroy(epc);
	qemu_ep_forget_owners(ep);
	qemu_ep_reset(ep);
	qemu_ep_doorbells_exit(ep);
}

/* The next kernel must not find the host still writing to its memory. */
static void qemu_ep_shutdown(struct pci_dev *pdev)
{
	qemu_ep_reset(pci_get_drvdata(pdev));
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
};
module_pci_driver(qemu_ep_driver);

MODULE_DESCRIPTION("Endpoint controller driver for the pci-epc device of QEMU");
MODULE_LICENSE("GPL");
