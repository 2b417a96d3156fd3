// SPDX-License-Identifier: GPL-2.0
/*
 * How does this kernel's endpoint core pass interrupt counts to a controller?
 *
 * The core once passed logarithms and counts less one to the MSI and MSI-X
 * operations and now passes plain counts.  The signatures did not change and
 * stable trees mix both, so neither the compiler nor the version number can
 * tell.  Ask the core itself, through a controller that is never registered:
 * nobody else can see it, and no hardware is behind it.
 */
#include <linux/container_of.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "pcie-qemu-ep-compat.h"

#define SAMPLE_MSI_COUNT	32
#define SAMPLE_MSI_LOG2		5
#define SAMPLE_MSI_GET		3
#define SAMPLE_MSIX_COUNT	8
#define SAMPLE_MSIX_GET		7

struct sample_epc {
	struct pci_epc epc;
	u8 set_msi;
	u16 set_msix;
};

static struct sample_epc *to_sample(struct pci_epc *epc)
{
	return container_of(epc, struct sample_epc, epc);
}

static int sample_set_msi(struct pci_epc *epc, u8 fn, u8 vfn, u8 nr_irqs)
{
	to_sample(epc)->set_msi = nr_irqs;
	return 0;
}

static int sample_get_msi(struct pci_epc *epc, u8 fn, u8 vfn)
{
	return SAMPLE_MSI_GET;
}

static int sample_set_msix(struct pci_epc *epc, u8 fn, u8 vfn, u16 nr_irqs,
			   enum pci_barno bir, u32 offset)
{
	to_sample(epc)->set_msix = nr_irqs;
	return 0;
}

static int sample_get_msix(struct pci_epc *epc, u8 fn, u8 vfn)
{
	return SAMPLE_MSIX_GET;
}

static const struct pci_epc_ops sample_ops = {
	.set_msi = sample_set_msi,
	.get_msi = sample_get_msi,
	.set_msix = sample_set_msix,
	.get_msix = sample_get_msix,
};

/**
 * qemu_ep_calibrate() - find out how the core passes interrupt counts
 * @dev: device to report errors on
 * @enc: filled in
 *
 * Return: 0, or -ENOMEM, or -EOPNOTSUPP when the core does something unknown.
 */
int qemu_ep_calibrate(struct device *dev, struct qemu_ep_encoding *enc)
{
	struct sample_epc *sample __free(kfree) =
		kzalloc(sizeof(*sample), GFP_KERNEL);
	struct pci_epc *epc;
	int msi, msix;

	if (!sample)
		return -ENOMEM;

	epc = &sample->epc;
	epc->ops = &sample_ops;
	epc->max_functions = 1;
	mutex_init(&epc->lock);

	pci_epc_set_msi(epc, 0, 0, SAMPLE_MSI_COUNT);
	pci_epc_set_msix(epc, 0, 0, SAMPLE_MSIX_COUNT, BAR_0, 0);
	msi = pci_epc_get_msi(epc, 0, 0);
	msix = pci_epc_get_msix(epc, 0, 0);
	mutex_destroy(&epc->lock);

	enc->set_msi_log2 = sample->set_msi == SAMPLE_MSI_LOG2;
	enc->get_msi_log2 = msi == 1 << SAMPLE_MSI_GET;
	enc->set_msix_less = SAMPLE_MSIX_COUNT - sample->set_msix;
	enc->get_msix_less = msix - SAMPLE_MSIX_GET;

	if ((enc->set_msi_log2 || sample->set_msi == SAMPLE_MSI_COUNT) &&
	    (enc->get_msi_log2 || msi == SAMPLE_MSI_GET) &&
	    enc->set_msix_less <= 1 && enc->get_msix_less <= 1)
		return 0;

	dev_err(dev, "unknown encoding of interrupt counts (%u, %d, %u, %d): use a driver made for this kernel\n",
		sample->set_msi, msi, sample->set_msix, msix);
	return -EOPNOTSUPP;
}
