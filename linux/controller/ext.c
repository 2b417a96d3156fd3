// SPDX-License-Identifier: GPL-2.0
/*
 * Operations and events of pci-epc-ext.h, except doorbells, traps, objects and
 * DMA, which doorbell.c, trap.c, doe.c and linux/dma/rw.c have
 */
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/bitfield.h>
#include <linux/err.h>
#include <linux/pci.h>

#include "../dma/dma.h"
#include "controller.h"
#include "ext.h"
#include "pci-epc-ext.h"

/* EPC_FN_WRITE_INFO */
#define QEMU_EP_WRITE_OFFSET	GENMASK(11, 0)
#define QEMU_EP_WRITE_SIZE	GENMASK(18, 16)

/* ---- Capabilities ---- */

static int qemu_ep_ext_add_cap(struct pci_epc *epc, u8 func, u8 vfunc,
			       const struct pci_epc_ext_cap *cap)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 page = qemu_ep_page(ep, func, vfunc);
	void __iomem *regs = qemu_ep_page_regs(ep, page);
	u32 id = cap->id | (u32)cap->version << EPC_CAP_VERSION_SHIFT;
	int ret;

	if (!(ep->features & EPC_FEATURE_CAPS))
		return -EOPNOTSUPP;
	if (!qemu_ep_has_func(ep, func, vfunc) || cap->version > 0xf)
		return -EINVAL;

	guard(mutex)(&ep->cmd.lock);
	qemu_ep_pages_claim(ep, page);
	writel(id | (cap->extended ? EPC_CAP_EXT : 0), regs + EPC_FN_CAP_ID);
	writeq(cap->size, regs + EPC_FN_SIZE);
	ret = qemu_ep_cmd_run(ep, page, EPC_CMD_ADD_CAP);
	return ret ? ret : readl(regs + EPC_FN_CAP_OFFSET);
}

static int qemu_ep_ext_write_config(struct pci_epc *epc, u8 func, u8 vfunc,
				    u16 offset, u8 size, u32 value,
				    u32 host_mask)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 page = qemu_ep_page(ep, func, vfunc);
	void __iomem *regs = qemu_ep_page_regs(ep, page);

	if (!(ep->features & EPC_FEATURE_CAPS))
		return -EOPNOTSUPP;
	if (!qemu_ep_has_func(ep, func, vfunc))
		return -EINVAL;

	guard(mutex)(&ep->cmd.lock);
	writeq(offset, regs + EPC_FN_OFFSET);
	writeq(size, regs + EPC_FN_SIZE);
	writel(value, regs + EPC_FN_VALUE);
	writel(host_mask, regs + EPC_FN_WMASK);
	return qemu_ep_cmd_run(ep, page, EPC_CMD_WRITE_CONFIG);
}

static int qemu_ep_ext_read_config(struct pci_epc *epc, u8 func, u8 vfunc,
				   u16 offset, u8 size, u32 *value)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 page = qemu_ep_page(ep, func, vfunc);
	void __iomem *config;

	if (!qemu_ep_has_func(ep, func, vfunc) || offset >= EPC_FN_CONFIG_SIZE)
		return -EINVAL;

	config = qemu_ep_page_regs(ep, page) + EPC_FN_CONFIG + offset;
	if (size == 1)
		*value = readb(config);
	else if (size == 2)
		*value = readw(config);
	else
		*value = readl(config);
	return 0;
}

static int qemu_ep_ext_doe_add(struct pci_epc *epc, u8 func, u8 vfunc,
			       unsigned int irq)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 page = qemu_ep_page(ep, func, vfunc);
	void __iomem *regs = qemu_ep_page_regs(ep, page);
	int ret;

	if (!(ep->features & EPC_FEATURE_DOE))
		return -EOPNOTSUPP;
	if (!qemu_ep_has_func(ep, func, vfunc) || irq > EPC_DOE_IRQ_MASK + 1)
		return -EINVAL;

	guard(mutex)(&ep->cmd.lock);
	qemu_ep_pages_claim(ep, page);
	writel(irq ? EPC_DOE_IRQ | (irq - 1) : 0, regs + EPC_FN_VALUE);
	ret = qemu_ep_cmd_run(ep, page, EPC_CMD_ADD_DOE);
	return ret ? ret : readl(regs + EPC_FN_CAP_OFFSET);
}

/* ---- Interrupts ---- */

/* Context: any. */
static int qemu_ep_ext_raise_irq(struct pci_epc *epc, u8 func, u8 vfunc,
				 unsigned int type, u16 num)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);

	if (!qemu_ep_has_func(ep, func, vfunc))
		return -EINVAL;
	return qemu_ep_raise_message(ep, qemu_ep_page(ep, func, vfunc), type,
				     num);
}

/* Context: any. */
static int qemu_ep_ext_set_intx(struct pci_epc *epc, u8 func, u8 vfunc,
				bool asserted)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);

	if (!qemu_ep_has_func(ep, func, vfunc))
		return -EINVAL;
	return qemu_ep_set_intx(ep, qemu_ep_page(ep, func, vfunc), asserted);
}

/* Context: any. */
static int qemu_ep_ext_irq_state(struct pci_epc *epc, u8 func, u8 vfunc,
				 unsigned int type, u16 num)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);

	if (!(ep->features & EPC_FEATURE_MASKS))
		return -EOPNOTSUPP;
	if (!qemu_ep_has_func(ep, func, vfunc))
		return -EINVAL;
	switch (type) {
	case PCI_IRQ_MSI:
		return qemu_ep_irqs_msi_state(ep, qemu_ep_page(ep, func, vfunc),
					      num);
	case PCI_IRQ_MSIX:
		return qemu_ep_irqs_msix_state(ep,
					       qemu_ep_page(ep, func, vfunc),
					       num);
	default:
		return -EINVAL;
	}
}

/* ---- Events ---- */

static void qemu_ep_ext_notify_event(struct qemu_ep *ep, u8 page,
				     const struct pci_epc_ext_event *event)
{
	pci_epc_ext_notify(ep->ext, qemu_ep_page_func(ep, page),
			   qemu_ep_page_vfunc(ep, page), event);
}

static void qemu_ep_ext_notify(struct qemu_ep *ep, u8 page,
			       enum pci_epc_ext_event_type type, u32 value)
{
	struct pci_epc_ext_event event = { .type = type, .value = value };

	qemu_ep_ext_notify_event(ep, page, &event);
}

/*
 * Empties the log of configuration writes.  The device raises the event for
 * writes that come later, not for those that are left in the log, so none may
 * stay.
 */
static void qemu_ep_ext_notify_writes(struct qemu_ep *ep, u8 page)
{
	void __iomem *regs = qemu_ep_page_regs(ep, page);
	u32 info;

	for (;;) {
		struct pci_epc_ext_event event = {
			.type = PCI_EPC_EXT_CONFIG_WRITE,
		};

		info = readl(regs + EPC_FN_WRITE_INFO);
		if (!(info & EPC_WRITE_VALID) || PCI_POSSIBLE_ERROR(info))
			return;
		event.offset = FIELD_GET(QEMU_EP_WRITE_OFFSET, info);
		event.size = FIELD_GET(QEMU_EP_WRITE_SIZE, info);
		event.value = readl(regs + EPC_FN_WRITE_VALUE);
		writel(1, regs + EPC_FN_WRITE_NEXT);
		qemu_ep_ext_notify_event(ep, page, &event);
		if (info & EPC_WRITE_LOST)
			qemu_ep_ext_notify(ep, page, PCI_EPC_EXT_LOST, 0);
		cond_resched();
	}
}

void qemu_ep_ext_page_events(struct qemu_ep *ep, u8 page, u32 events)
{
	void __iomem *regs = qemu_ep_page_regs(ep, page);

	if (events & EPC_FN_EVENT_DOE)
		qemu_ep_doe_event(ep, page);
	if (events & EPC_FN_EVENT_CONFIG)
		qemu_ep_ext_notify_writes(ep, page);
	if (events & EPC_FN_EVENT_FLR)
		qemu_ep_ext_notify(ep, page, PCI_EPC_EXT_FLR, 0);
	if (events & EPC_FN_EVENT_COMMAND)
		qemu_ep_ext_notify(ep, page, PCI_EPC_EXT_COMMAND,
				   readl(regs + EPC_FN_PCI_COMMAND));
	if (events & EPC_FN_EVENT_MSI)
		qemu_ep_ext_notify(ep, page, PCI_EPC_EXT_IRQ_STATE, 0);
	if (events & EPC_FN_EVENT_DSTATE)
		qemu_ep_ext_notify(ep, page, PCI_EPC_EXT_DSTATE,
				   readl(regs + EPC_FN_DSTATE));
	if (events & EPC_FN_EVENT_VFS)
		qemu_ep_ext_notify(ep, page, PCI_EPC_EXT_VFS,
				   readl(regs + EPC_FN_VFS) &
				   EPC_FN_VFS_NUM_MASK);
}

void qemu_ep_ext_events(struct qemu_ep *ep, u32 events)
{
	u8 page;

	for (page = 0; page < ep->layout.page_count; page++) {
		if (events & EPC_EVENT_HOT_RESET)
			qemu_ep_ext_notify(ep, page, PCI_EPC_EXT_HOT_RESET, 0);
		if (events & EPC_EVENT_PERST)
			qemu_ep_ext_notify(ep, page, PCI_EPC_EXT_PERST, 0);
	}
}

/* ---- Registration ---- */

static void qemu_ep_ext_release(struct pci_epc *epc, u8 func, u8 vfunc)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);

	if (!qemu_ep_has_func(ep, func, vfunc))
		return;
	qemu_ep_dma_rw_release(ep, qemu_ep_page(ep, func, vfunc));
	qemu_ep_doe_release(ep, qemu_ep_page(ep, func, vfunc));
	qemu_ep_pages_release(ep, qemu_ep_page(ep, func, vfunc));
}

static const struct pci_epc_ext_ops qemu_ep_ext_ops = {
	.alloc_doorbell = qemu_ep_alloc_doorbell,
	.free_doorbell = qemu_ep_free_doorbell,
	.read_doorbell = qemu_ep_read_doorbell,
	.trap = qemu_ep_trap,
	.untrap = qemu_ep_untrap,
	.doe_add = qemu_ep_ext_doe_add,
	.doe_register = qemu_ep_doe_register,
	.doe_unregister = qemu_ep_doe_unregister,
	.dma_rw = QEMU_EP_DMA_RW,
	.add_cap = qemu_ep_ext_add_cap,
	.write_config = qemu_ep_ext_write_config,
	.read_config = qemu_ep_ext_read_config,
	.raise_irq = qemu_ep_ext_raise_irq,
	.set_intx = qemu_ep_ext_set_intx,
	.irq_state = qemu_ep_ext_irq_state,
	.release = qemu_ep_ext_release,
};

int qemu_ep_ext_init(struct qemu_ep *ep)
{
	ep->ext = pci_epc_ext_register(ep->epc, &qemu_ep_ext_ops);
	return PTR_ERR_OR_ZERO(ep->ext);
}

void qemu_ep_ext_exit(struct qemu_ep *ep)
{
	pci_epc_ext_unregister(ep->ext);
}
