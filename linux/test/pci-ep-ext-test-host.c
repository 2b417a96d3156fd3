// SPDX-License-Identifier: GPL-2.0
/*
 * Host side of pci-epf-ext-test: takes its MSI-X, which /proc/interrupts counts
 */
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/pci.h>

#define TEST_NAME	"pci-ep-ext-test-host"
#define TEST_DEVICE	0x10fe

static irqreturn_t test_irq(int irq, void *data)
{
	return IRQ_HANDLED;
}

static int test_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	pci_set_master(pdev);
	ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSIX);
	if (ret < 0)
		return dev_err_probe(&pdev->dev, ret, "no MSI-X vector\n");
	return devm_request_irq(&pdev->dev, pci_irq_vector(pdev, 0), test_irq,
				0, TEST_NAME, pdev);
}

static const struct pci_device_id test_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, TEST_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, test_ids);

static struct pci_driver test_driver = {
	.name = TEST_NAME,
	.id_table = test_ids,
	.probe = test_probe,
};
module_pci_driver(test_driver);

MODULE_DESCRIPTION("Host side of the test of endpoint framework extensions");
MODULE_LICENSE("GPL");
