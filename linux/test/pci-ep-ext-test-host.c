// SPDX-License-Identifier: GPL-2.0
/*
 * Host side of pci-epf-ext-test: requests its MSI-X vector, so that
 * /proc/interrupts counts the interrupts
 */
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/pci.h>

#define EXT_TEST_HOST_NAME	"pci-ep-ext-test-host"
#define EXT_TEST_HOST_DEVICE	0x10fe

static irqreturn_t ext_test_host_irq(int irq, void *data)
{
	return IRQ_HANDLED;
}

static int ext_test_host_probe(struct pci_dev *pdev,
			       const struct pci_device_id *id)
{
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	pci_set_master(pdev);
	ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSIX);
	if (ret < 0)
		return dev_err_probe(&pdev->dev, ret, "no MSI-X vector\n");
	return devm_request_irq(&pdev->dev, pci_irq_vector(pdev, 0),
				ext_test_host_irq, 0, EXT_TEST_HOST_NAME, pdev);
}

static const struct pci_device_id ext_test_host_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, EXT_TEST_HOST_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ext_test_host_ids);

static struct pci_driver ext_test_host_driver = {
	.name = EXT_TEST_HOST_NAME,
	.id_table = ext_test_host_ids,
	.probe = ext_test_host_probe,
};
module_pci_driver(ext_test_host_driver);

MODULE_DESCRIPTION("Host side of the test of endpoint framework extensions");
MODULE_LICENSE("GPL");
