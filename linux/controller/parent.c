// SPDX-License-Identifier: GPL-2.0
/*
 * The parent of the endpoint controller device
 *
 * Most often it is the PCI function.  With a GIC ITS pci_epf_alloc_doorbell()
 * makes the parent a platform device with MSI: it looks for msi-map in the
 * device tree, takes the DeviceID from dev->id, and creates the MSI domain.  The
 * PCI function has no node, and it has an MSI domain already.  So the parent is
 * a child of it then, with the node of the host bridge.
 *
 * The child is a bare device.  As a platform device it would match the driver of
 * the host bridge.  It does DMA for the functions without an IOMMU only, since
 * an IOMMU knows the PCI function and not the child.
 */
#include <linux/atomic.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/irqdomain.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/of_device.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "controller.h"
#include "parent.h"

struct qemu_ep_child {
	struct device dev;
	struct device_dma_parameters dma_parms;
};

/* dmaengine takes the owner of channels from the driver of their device. */
static struct device_driver qemu_ep_child_driver = {
	.name = "pcie-qemu-ep",
	.owner = THIS_MODULE,
};

static void qemu_ep_child_release(struct device *dev)
{
	of_node_put(dev->of_node);
	kfree(container_of(dev, struct qemu_ep_child, dev));
}

/* Returns the device whose node has the msi-map of @pdev, or NULL. */
static struct device *qemu_ep_parent_find_bridge(struct pci_dev *pdev)
{
	struct device *dev;

	for (dev = &pdev->dev; dev; dev = dev->parent)
		if (of_property_present(dev->of_node, "msi-map"))
			return dev;
	return NULL;
}

/* Returns that device if functions can have doorbells of an ITS, else NULL. */
static struct device *qemu_ep_parent_bridge(struct qemu_ep *ep,
					    struct pci_dev *pdev)
{
	struct irq_domain *domain = dev_get_msi_domain(&pdev->dev);

	if (!(ep->features & EPC_FEATURE_ITS) || !domain ||
	    !qemu_ep_domain_is_immutable(domain) ||
	    device_iommu_mapped(&pdev->dev))
		return NULL;
	return qemu_ep_parent_find_bridge(pdev);
}

static int qemu_ep_child_setup_dma(struct qemu_ep_child *child,
				   struct device *bridge)
{
	struct device *dev = &child->dev;
	int ret;

	dev->dma_mask = &dev->coherent_dma_mask;
	dev->coherent_dma_mask = DMA_BIT_MASK(64);
	dev->dma_parms = &child->dma_parms;
	set_dev_node(dev, dev_to_node(bridge));
	ret = of_dma_configure(dev, bridge->of_node, true);
	if (!ret)
		ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
	if (!ret)
		dma_set_max_seg_size(dev, UINT_MAX);
	return ret;
}

static void qemu_ep_parent_remove(void *data)
{
	struct qemu_ep *ep = data;
	struct device *child = ep->child;

	if (!child)
		return;
	ep->parent = child->parent;
	ep->child = NULL;
	device_unregister(child);
}

int qemu_ep_parent_init(struct qemu_ep *ep, struct pci_dev *pdev)
{
	struct device *bridge = qemu_ep_parent_bridge(ep, pdev);
	struct qemu_ep_child *child;
	struct device *dev;
	int ret;

	if (!bridge)
		return 0;
	child = kzalloc(sizeof(*child), GFP_KERNEL);
	if (!child)
		return -ENOMEM;
	dev = &child->dev;
	device_initialize(dev);
	dev->parent = &pdev->dev;
	dev->driver = &qemu_ep_child_driver;
	dev->release = qemu_ep_child_release;
	/* The framework names the controller after its parent. */
	ret = dev_set_name(dev, "%s", pci_name(pdev));
	if (!ret)
		ret = qemu_ep_child_setup_dma(child, bridge);
	if (!ret)
		ret = device_add(dev);
	if (ret) {
		put_device(dev);
		return dev_err_probe(&pdev->dev, ret,
				     "cannot make a device for doorbells\n");
	}
	ep->child = dev;
	ep->parent = dev;
	return devm_add_action_or_reset(&pdev->dev, qemu_ep_parent_remove, ep);
}

/*
 * pci_epc_create() would take the PCI domain of the node for that of the
 * controller.
 */
void qemu_ep_parent_open(struct qemu_ep *ep)
{
	struct device *bridge;

	if (!ep->child)
		return;
	bridge = qemu_ep_parent_find_bridge(to_pci_dev(ep->child->parent));
	ep->child->id = readl(ep->regs + EPC_REG_ITS_DEVICE);
	device_set_of_node_from_dev(ep->child, bridge);
}

/*
 * Functions that stay linked use it when they free memory and doorbells.  The
 * next driver wants its name.
 */
void qemu_ep_parent_keep(struct qemu_ep *ep)
{
	static atomic_t kept = ATOMIC_INIT(0);
	char name[32];

	if (!ep->child)
		return;
	scnprintf(name, sizeof(name), "%s.%d", dev_name(ep->child),
		  atomic_inc_return(&kept));
	if (device_rename(ep->child, name))
		dev_warn(ep->child, "cannot be renamed, the driver will not bind again\n");
	ep->child = NULL;
}
