// SPDX-License-Identifier: GPL-2.0
/*
 * Doorbells: registers of this device that the host rings through a BAR
 *
 * The framework knows of one, which is doorbell 0, and lets any number of users
 * share its interrupt.  Functions that use pci-epc-ext.h get one of their own
 * each; they get doorbell 0 last.
 */
#include <linux/bitmap.h>
#include <linux/dma-mapping.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/pci.h>

#include "pcie-qemu-ep.h"

#define FRAMEWORK_DOORBELL	0

static void __iomem *doorbell_regs(struct qemu_ep *ep, unsigned int n)
{
	return ep->regs + ep->doorbell_base + n * EPC_DOORBELL_STRIDE;
}

static void enable_doorbell(struct qemu_ep *ep, unsigned int n, bool value)
{
	void __iomem *regs = doorbell_regs(ep, n);

	writel(ep->doorbell_vector + n, regs + EPC_DOORBELL_VECTOR);
	writel(EPC_DOORBELL_CTRL_ENABLE | (value ? EPC_DOORBELL_CTRL_VALUE : 0),
	       regs + EPC_DOORBELL_CTRL);
}

/* ---- The framework's ---- */

int __maybe_unused qemu_ep_get_aux_resources_count(struct pci_epc *epc, u8 func,
						   u8 vfunc)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);

	return ep->doorbell_count ? 1 : 0;
}

/* Users of it come and go unseen, so it is theirs until they are unlinked. */
int __maybe_unused
qemu_ep_get_aux_resources(struct pci_epc *epc, u8 func, u8 vfunc,
			  struct pci_epc_aux_resource *resources, int count)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 fn = qemu_ep_page(ep, func, vfunc);
	const unsigned int n = FRAMEWORK_DOORBELL;

	if (!ep->doorbell_count || count < 1)
		return -ENODEV;

	guard(mutex)(&ep->cmd_lock);
	if (test_bit(n, ep->doorbells_used)) {
		dev_err(qemu_ep_parent(ep), "function %u: another function has all doorbells: let it use fewer\n",
			fn);
		return -EBUSY;
	}
	ep->doorbell_sharers |= BIT(fn);
	enable_doorbell(ep, n, false);
	qemu_ep_fill_aux_doorbell(resources, ep->doorbell_phys,
				  ep->doorbell_irq[n]);
	return 0;
}

/* ---- Those of functions ---- */

static unsigned int find_doorbell(struct qemu_ep *ep)
{
	unsigned int n = find_next_zero_bit(ep->doorbells_used,
					    ep->doorbell_count,
					    FRAMEWORK_DOORBELL + 1);

	if (n >= ep->doorbell_count && !ep->doorbell_sharers)
		n = find_first_zero_bit(ep->doorbells_used, ep->doorbell_count);
	return n;
}

int qemu_ep_alloc_doorbell(struct pci_epc *epc, u8 func, u8 vfunc,
			   unsigned int flags, struct pci_epc_ext_doorbell *db)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	unsigned int n;

	if (flags & ~PCI_EPC_EXT_DOORBELL_VALUE || !ep->doorbell_size)
		return -EOPNOTSUPP;
	if (!qemu_ep_has_func(ep, func, vfunc))
		return -EINVAL;

	guard(mutex)(&ep->cmd_lock);
	n = find_doorbell(ep);
	if (n >= ep->doorbell_count)
		return -ENOSPC;

	__set_bit(n, ep->doorbells_used);
	db->index = n;
	db->virq = ep->doorbell_irq[n];
	db->has_value = flags & PCI_EPC_EXT_DOORBELL_VALUE;
	db->target = ep->doorbell_dma;
	db->target_size = ep->doorbell_size;
	db->offset = n * sizeof(u32);
	enable_doorbell(ep, n, db->has_value);
	return 0;
}

void qemu_ep_free_doorbell(struct pci_epc *epc, struct pci_epc_ext_doorbell *db)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);

	guard(mutex)(&ep->cmd_lock);
	writel(0, doorbell_regs(ep, db->index) + EPC_DOORBELL_CTRL);
	__clear_bit(db->index, ep->doorbells_used);
}

int qemu_ep_read_doorbell(struct pci_epc *epc, struct pci_epc_ext_doorbell *db,
			  u32 *value)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);

	*value = readl(doorbell_regs(ep, db->index) + EPC_DOORBELL_VALUE);
	return 0;
}

/**
 * qemu_ep_forget_doorbells() - a function is not linked any more
 * @ep: the controller
 * @fn: number of its page
 *
 * What it has by pci-epc-ext.h it has given back itself.
 */
void qemu_ep_forget_doorbells(struct qemu_ep *ep, u8 fn)
{
	lockdep_assert_held(&ep->cmd_lock);

	ep->doorbell_sharers &= ~BIT(fn);
	if (ep->doorbell_count && !ep->doorbell_sharers &&
	    !test_bit(FRAMEWORK_DOORBELL, ep->doorbells_used))
		writel(0, doorbell_regs(ep, FRAMEWORK_DOORBELL) +
			  EPC_DOORBELL_CTRL);
}

/* ---- Set-up ---- */

/**
 * qemu_ep_doorbells_init() - find the doorbells
 * @ep: the controller, with registers and vectors
 * @bar: EPC_BAR_DOORBELL; not used without doorbells
 *
 * Behind an IOMMU a BAR leads to DMA addresses of this device, also to its own
 * doorbells.
 */
void qemu_ep_doorbells_init(struct qemu_ep *ep, const struct resource *bar)
{
	struct device *dev = qemu_ep_parent(ep);
	size_t size = resource_size(bar);
	dma_addr_t dma;

	if (!ep->doorbell_count)
		return;

	ep->doorbell_phys = bar->start;
	dma = dma_map_resource(dev, bar->start, size, DMA_FROM_DEVICE, 0);
	if (dma_mapping_error(dev, dma)) {
		dev_warn(dev, "cannot map doorbells for DMA, functions get none: check the IOMMU of this machine\n");
		return;
	}
	ep->doorbell_dma = dma;
	ep->doorbell_size = size;
}

void qemu_ep_doorbells_exit(struct qemu_ep *ep)
{
	if (ep->doorbell_size)
		dma_unmap_resource(qemu_ep_parent(ep), ep->doorbell_dma,
				   ep->doorbell_size, DMA_FROM_DEVICE, 0);
}
