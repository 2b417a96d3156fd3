// SPDX-License-Identifier: GPL-2.0
/*
 * Limits of the controller, and the features that functions are told
 */
#include <linux/bits.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/sizes.h>

#include "controller.h"

/* Since this version the device says itself whether a BAR can be retargeted. */
#define QEMU_EP_MINOR_LIMITS	8

static bool qemu_ep_msix = true;
module_param_named(msix, qemu_ep_msix, bool, 0444);
MODULE_PARM_DESC(msix, "Offer MSI-X to the functions, else MSI only");

/* ---- Registers ---- */

static bool qemu_ep_limits_align_is_valid(struct qemu_ep *ep, u32 align)
{
	return is_power_of_2(align) && align >= ep->granule;
}

bool qemu_ep_limits_read(struct qemu_ep *ep)
{
	struct qemu_ep_limits *l = &ep->limits;
	void __iomem *regs = ep->regs;
	int bar;

	l->inbound_align = ep->granule;
	l->outbound_granule = ep->granule;
	l->outbound_align = ep->granule;
	if (!(ep->features & EPC_FEATURE_LIMITS))
		return true;

	l->inbound_align = readl(regs + EPC_REG_INBOUND_ALIGN);
	l->outbound_granule = readl(regs + EPC_REG_OUTBOUND_GRANULE);
	l->outbound_align = readl(regs + EPC_REG_OUTBOUND_ALIGN);
	l->outbound_max = (u64)readl(regs + EPC_REG_OUTBOUND_MAX) * ep->granule;
	for (bar = BAR_0; bar <= BAR_5; bar++)
		l->bar[bar] = readl(regs + EPC_REG_BAR_LIMIT(bar));
	return qemu_ep_limits_align_is_valid(ep, l->inbound_align) &&
	       qemu_ep_limits_align_is_valid(ep, l->outbound_granule) &&
	       qemu_ep_limits_align_is_valid(ep, l->outbound_align);
}

/* ---- Features ---- */

/*
 * Kernels without BAR_RESIZABLE call such a BAR one of 1 MiB, and those without
 * BAR_DISABLED call it reserved, as their drivers of real controllers do.
 */
static void qemu_ep_limits_describe_bar(struct pci_epc_bar_desc *desc,
					u32 limit)
{
	desc->only_64bit = limit & EPC_BAR_LIMIT_ONLY_64;
	switch (limit & EPC_BAR_LIMIT_TYPE_MASK) {
	case EPC_BAR_PROGRAMMABLE:
		desc->type = BAR_PROGRAMMABLE;
		break;
	case EPC_BAR_FIXED:
		desc->type = BAR_FIXED;
		desc->fixed_size = BIT_ULL(limit >> EPC_BAR_LIMIT_SIZE_SHIFT &
					   EPC_BAR_LIMIT_SIZE_MASK);
		break;
	case EPC_BAR_RESIZABLE:
		desc->type = QEMU_EP_BAR_RESIZABLE;
		if (QEMU_EP_BAR_RESIZABLE == BAR_FIXED)
			desc->fixed_size = EPC_BAR_RESIZABLE_MIN;
		break;
	case EPC_BAR_DISABLED:
		desc->type = QEMU_EP_BAR_DISABLED;
		break;
	default:
		/* A type of a later device is one that no function can use. */
		desc->type = BAR_RESERVED;
		break;
	}
}

/*
 * pci-epf-test takes dynamic_inbound_mapping as a promise that there are
 * doorbells.  A device that cannot say what it lacks has both or none.
 */
static bool qemu_ep_limits_dynamic(struct qemu_ep *ep)
{
	u32 needed = EPC_FEATURE_RETARGET;

	if (ep->minor < QEMU_EP_MINOR_LIMITS)
		needed |= EPC_FEATURE_DOORBELL;
	return (ep->features & needed) == needed;
}

void qemu_ep_init_features(struct qemu_ep *ep)
{
	struct pci_epc_features *features = &ep->pf_features;
	int bar;

	features->linkup_notifier = !(ep->features & EPC_FEATURE_NO_LINKUP);
	features->msi_capable = !!(ep->features & EPC_FEATURE_MSI);
	features->msix_capable = qemu_ep_msix &&
				 ep->features & EPC_FEATURE_MSIX;
	qemu_ep_set_intx_capable(features, ep->features & EPC_FEATURE_INTX);
	qemu_ep_set_dynamic(features, qemu_ep_limits_dynamic(ep),
			    ep->features & EPC_FEATURE_SUBRANGE);
	/* The device shows at least 4 KiB of a BAR to the host. */
	features->align = max_t(size_t, SZ_4K, ep->limits.inbound_align);
	for (bar = BAR_0; bar <= BAR_5; bar++)
		qemu_ep_limits_describe_bar(&features->bar[bar],
					    ep->limits.bar[bar]);

	ep->vf_features = *features;
	qemu_ep_set_intx_capable(&ep->vf_features, false);
}
