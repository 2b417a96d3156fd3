// SPDX-License-Identifier: GPL-2.0
/*
 * Doorbells: registers of the device that the host rings through a BAR
 *
 * The framework knows a single doorbell, which is doorbell 0, and all its users
 * share the interrupt.  A function that uses pci-epc-ext.h gets doorbells of
 * its own, and doorbell 0 only when no other is free.
 */
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqdesc.h>
#include <linux/lockdep.h>
#include <linux/pci.h>

#include "controller.h"
#include "pci-epc-ext.h"

#define QEMU_EP_FRAMEWORK_DOORBELL	0

static void __iomem *qemu_ep_doorbell_regs(struct qemu_ep *ep, unsigned int n)
{
	return ep->regs + ep->doorbells.base + n * EPC_DOORBELL_STRIDE;
}

static void qemu_ep_doorbell_enable(struct qemu_ep *ep, unsigned int n,
				    bool value)
{
	void __iomem *regs = qemu_ep_doorbell_regs(ep, n);

	writel(ep->doorbells.vector + n, regs + EPC_DOORBELL_VECTOR);
	writel(EPC_DOORBELL_CTRL_ENABLE | (value ? EPC_DOORBELL_CTRL_VALUE : 0),
	       regs + EPC_DOORBELL_CTRL);
}

/* ---- The interrupt of doorbell 0 ---- */

static irqreturn_t qemu_ep_doorbell_irq(int irq, void *data)
{
	struct qemu_ep_doorbells *d = data;

	generic_handle_irq(d->irq[QEMU_EP_FRAMEWORK_DOORBELL]);
	return IRQ_HANDLED;
}

/*
 * A function that stays linked when the driver is unbound keeps its handler, and
 * the framework has no way to take it away.  The interrupt of a vector must not
 * outlive the device.  So doorbell 0 has an interrupt of its own, which the
 * handler of the vector runs and which stays as long as a function has it.
 */
static int qemu_ep_doorbell_split_irq(struct qemu_ep *ep)
{
	struct device *dev = qemu_ep_parent(ep);
	struct qemu_ep_doorbells *d = &ep->doorbells;
	int irq = irq_alloc_desc(dev_to_node(dev));
	int ret;

	if (irq < 0)
		return irq;
	irq_set_chip_and_handler(irq, &dummy_irq_chip, handle_simple_irq);
	irq_clear_status_flags(irq, IRQ_NOREQUEST);
	d->vector_irq = d->irq[QEMU_EP_FRAMEWORK_DOORBELL];
	d->irq[QEMU_EP_FRAMEWORK_DOORBELL] = irq;
	ret = request_irq(d->vector_irq, qemu_ep_doorbell_irq, IRQF_NO_THREAD,
			  dev_name(dev), d);
	if (ret)
		irq_free_desc(irq);
	return ret;
}

static void qemu_ep_doorbell_join_irq(struct qemu_ep *ep)
{
	struct qemu_ep_doorbells *d = &ep->doorbells;
	int irq = d->irq[QEMU_EP_FRAMEWORK_DOORBELL];

	free_irq(d->vector_irq, d);
	if (!irq_has_action(irq))
		irq_free_desc(irq);
}

/* ---- The doorbell of the framework ---- */

int __maybe_unused qemu_ep_get_aux_resources_count(struct pci_epc *epc, u8 func,
						   u8 vfunc)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);

	return ep && ep->doorbells.count ? 1 : 0;
}

/*
 * The framework does not say when a function stops using the doorbell, so the
 * function keeps it until it is unlinked.
 */
int __maybe_unused
qemu_ep_get_aux_resources(struct pci_epc *epc, u8 func, u8 vfunc,
			  struct pci_epc_aux_resource *resources, int count)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	const unsigned int n = QEMU_EP_FRAMEWORK_DOORBELL;
	struct qemu_ep_doorbells *d;
	u8 page;

	if (!ep || !ep->doorbells.count || count < 1)
		return -ENODEV;
	d = &ep->doorbells;
	page = qemu_ep_page(ep, func, vfunc);

	guard(mutex)(&ep->cmd.lock);
	if (test_bit(n, d->used)) {
		dev_err(qemu_ep_parent(ep), "function page %u: other functions have allocated all doorbells\n",
			page);
		return -EBUSY;
	}
	d->sharers |= BIT(page);
	qemu_ep_doorbell_enable(ep, n, false);
	qemu_ep_fill_aux_doorbell(resources, d->phys, d->irq[n]);
	return 0;
}

/* ---- Doorbells of pci-epc-ext.h ---- */

static unsigned int qemu_ep_doorbell_find_free(struct qemu_ep *ep)
{
	struct qemu_ep_doorbells *d = &ep->doorbells;
	unsigned int n;

	lockdep_assert_held(&ep->cmd.lock);

	n = find_next_zero_bit(d->used, d->count,
			       QEMU_EP_FRAMEWORK_DOORBELL + 1);
	if (n >= d->count && !d->sharers)
		n = find_first_zero_bit(d->used, d->count);
	return n;
}

int qemu_ep_alloc_doorbell(struct pci_epc *epc, u8 func, u8 vfunc,
			   unsigned int flags, struct pci_epc_ext_doorbell *db)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	struct qemu_ep_doorbells *d = &ep->doorbells;
	unsigned int n;

	if (flags & ~PCI_EPC_EXT_DOORBELL_VALUE || !d->size)
		return -EOPNOTSUPP;
	if (!qemu_ep_has_func(ep, func, vfunc))
		return -EINVAL;

	guard(mutex)(&ep->cmd.lock);
	n = qemu_ep_doorbell_find_free(ep);
	if (n >= d->count)
		return -ENOSPC;

	__set_bit(n, d->used);
	__assign_bit(n, d->valued, flags & PCI_EPC_EXT_DOORBELL_VALUE);
	db->index = n;
	db->virq = d->irq[n];
	db->has_value = flags & PCI_EPC_EXT_DOORBELL_VALUE;
	db->target = d->dma;
	db->target_size = d->size;
	db->offset = n * sizeof(u32);
	qemu_ep_doorbell_enable(ep, n, db->has_value);
	return 0;
}

void qemu_ep_free_doorbell(struct pci_epc *epc, struct pci_epc_ext_doorbell *db)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);

	guard(mutex)(&ep->cmd.lock);
	writel(0, qemu_ep_doorbell_regs(ep, db->index) + EPC_DOORBELL_CTRL);
	__clear_bit(db->index, ep->doorbells.used);
}

int qemu_ep_read_doorbell(struct pci_epc *epc, struct pci_epc_ext_doorbell *db,
			  u32 *value)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);

	*value = readl(qemu_ep_doorbell_regs(ep, db->index) +
		       EPC_DOORBELL_VALUE);
	return 0;
}

/* ---- Set-up ---- */

void qemu_ep_doorbells_forget(struct qemu_ep *ep, u8 page)
{
	struct qemu_ep_doorbells *d = &ep->doorbells;
	const unsigned int n = QEMU_EP_FRAMEWORK_DOORBELL;

	lockdep_assert_held(&ep->cmd.lock);

	d->sharers &= ~BIT(page);
	if (d->count && !d->sharers && !test_bit(n, d->used))
		writel(0, qemu_ep_doorbell_regs(ep, n) + EPC_DOORBELL_CTRL);
}

void qemu_ep_doorbells_restore(struct qemu_ep *ep)
{
	struct qemu_ep_doorbells *d = &ep->doorbells;
	unsigned int n;

	guard(mutex)(&ep->cmd.lock);
	for_each_set_bit(n, d->used, d->count)
		qemu_ep_doorbell_enable(ep, n, test_bit(n, d->valued));
	if (d->count && d->sharers)
		qemu_ep_doorbell_enable(ep, QEMU_EP_FRAMEWORK_DOORBELL, false);
}

void qemu_ep_doorbells_init(struct qemu_ep *ep, const struct resource *bar)
{
	struct device *dev = qemu_ep_parent(ep);
	struct qemu_ep_doorbells *d = &ep->doorbells;
	size_t size = resource_size(bar);
	dma_addr_t dma;

	if (!d->count)
		return;
	if (qemu_ep_doorbell_split_irq(ep)) {
		dev_warn(dev, "no interrupt for doorbells, functions get none\n");
		d->count = 0;
		return;
	}

	d->phys = bar->start;
	dma = dma_map_resource(dev, bar->start, size, DMA_FROM_DEVICE, 0);
	if (dma_mapping_error(dev, dma)) {
		dev_warn(dev, "cannot map doorbells for DMA, functions get none\n");
		return;
	}
	d->dma = dma;
	d->size = size;
}

void qemu_ep_doorbells_exit(struct qemu_ep *ep)
{
	struct qemu_ep_doorbells *d = &ep->doorbells;

	if (!d->count)
		return;
	qemu_ep_doorbell_join_irq(ep);
	if (d->size)
		dma_unmap_resource(qemu_ep_parent(ep), d->dma, d->size,
				   DMA_FROM_DEVICE, 0);
}
