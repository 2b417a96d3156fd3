// SPDX-License-Identifier: GPL-2.0
/*
 * What this controller offers by pci-epc-ext.h: capabilities and events.  Doorbells
 * are in pcie-qemu-ep-doorbell.c.
 */
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/bitfield.h>
#include <linux/err.h>
#include <linux/pci.h>

#include "pcie-qemu-ep.h"

/* EPC_FN_WRITE_INFO */
#define WRITE_OFFSET	GENMASK(11, 0)
#define WRITE_SIZE	GENMASK(18, 16)

/* ---- Capabilities ---- */

static int add_cap(struct pci_epc *epc, u8 func, u8 vfunc,
		   const struct pci_epc_ext_cap *cap)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 fn = qemu_ep_page(ep, func, vfunc);
	void __iomem *page = qemu_ep_fn(ep, fn);
	u32 id = cap->id | (u32)cap->version << EPC_CAP_VERSION_SHIFT;
	int ret;

	if (!(ep->features & EPC_FEATURE_CAPS))
		return -EOPNOTSUPP;
	if (!qemu_ep_has_func(ep, func, vfunc) || cap->version > 0xf)
		return -EINVAL;

	guard(mutex)(&ep->cmd_lock);
	qemu_ep_claim(ep, fn);
	writel(id | (cap->extended ? EPC_CAP_EXT : 0), page + EPC_FN_CAP_ID);
	writeq(cap->size, page + EPC_FN_SIZE);
	ret = qemu_ep_fn_command(ep, fn, EPC_CMD_ADD_CAP);
	return ret ? ret : readl(page + EPC_FN_CAP_OFFSET);
}

static int write_config(struct pci_epc *epc, u8 func, u8 vfunc, u16 offset,
			u8 size, u32 value, u32 host_mask)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 fn = qemu_ep_page(ep, func, vfunc);
	void __iomem *page = qemu_ep_fn(ep, fn);

	if (!(ep->features & EPC_FEATURE_CAPS))
		return -EOPNOTSUPP;
	if (!qemu_ep_has_func(ep, func, vfunc))
		return -EINVAL;

	guard(mutex)(&ep->cmd_lock);
	writeq(offset, page + EPC_FN_OFFSET);
	writeq(size, page + EPC_FN_SIZE);
	writel(value, page + EPC_FN_VALUE);
	writel(host_mask, page + EPC_FN_WMASK);
	return qemu_ep_fn_command(ep, fn, EPC_CMD_WRITE_CONFIG);
}

static int read_config(struct pci_epc *epc, u8 func, u8 vfunc, u16 offset,
		       u8 size, u32 *value)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 fn = qemu_ep_page(ep, func, vfunc);
	void __iomem *config;

	if (!qemu_ep_has_func(ep, func, vfunc) || offset >= EPC_FN_CONFIG_SIZE)
		return -EINVAL;

	config = qemu_ep_fn(ep, fn) + EPC_FN_CONFIG + offset;
	if (size == 1)
		*value = readb(config);
	else if (size == 2)
		*value = readw(config);
	else
		*value = readl(config);
	return 0;
}

/* ---- Interrupts, from any context ---- */

static int raise_irq(struct pci_epc *epc, u8 func, u8 vfunc, unsigned int type,
		     u16 num)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);

	if (!qemu_ep_has_func(ep, func, vfunc))
		return -EINVAL;
	return qemu_ep_raise_message(ep, qemu_ep_page(ep, func, vfunc), type,
				     num);
}

/* ---- Events ---- */

static void notify_event(struct qemu_ep *ep, u8 fn,
			 const struct pci_epc_ext_event *event)
{
	pci_epc_ext_notify(ep->ext, qemu_ep_page_func(ep, fn),
			   qemu_ep_page_vfunc(ep, fn), event);
}

static void notify(struct qemu_ep *ep, u8 fn, enum pci_epc_ext_event_type type,
		   u32 value)
{
	struct pci_epc_ext_event event = { .type = type, .value = value };

	notify_event(ep, fn, &event);
}

/* Nothing may stay: the device tells of what comes after, not of what is left. */
static void notify_writes(struct qemu_ep *ep, u8 fn)
{
	void __iomem *page = qemu_ep_fn(ep, fn);
	u32 info;

	for (;;) {
		struct pci_epc_ext_event event = {
			.type = PCI_EPC_EXT_CONFIG_WRITE,
		};

		info = readl(page + EPC_FN_WRITE_INFO);
		if (!(info & EPC_WRITE_VALID) || PCI_POSSIBLE_ERROR(info))
			return;
		event.offset = FIELD_GET(WRITE_OFFSET, info);
		event.size = FIELD_GET(WRITE_SIZE, info);
		event.value = readl(page + EPC_FN_WRITE_VALUE);
		writel(1, page + EPC_FN_WRITE_NEXT);
		notify_event(ep, fn, &event);
		if (info & EPC_WRITE_LOST)
			notify(ep, fn, PCI_EPC_EXT_LOST, 0);
		cond_resched();
	}
}

/**
 * qemu_ep_ext_fn_events() - tell what happened to a function
 * @ep: the controller
 * @fn: number of its page
 * @events: EPC_FN_EVENT, cleared already
 */
void qemu_ep_ext_fn_events(struct qemu_ep *ep, u8 fn, u32 events)
{
	void __iomem *page = qemu_ep_fn(ep, fn);

	if (events & EPC_FN_EVENT_CONFIG)
		notify_writes(ep, fn);
	if (events & EPC_FN_EVENT_FLR)
		notify(ep, fn, PCI_EPC_EXT_FLR, 0);
	if (events & EPC_FN_EVENT_COMMAND)
		notify(ep, fn, PCI_EPC_EXT_COMMAND,
		       readl(page + EPC_FN_PCI_COMMAND));
	if (events & EPC_FN_EVENT_DSTATE)
		notify(ep, fn, PCI_EPC_EXT_DSTATE,
		       readl(page + EPC_FN_DSTATE));
	if (events & EPC_FN_EVENT_VFS)
		notify(ep, fn, PCI_EPC_EXT_VFS,
		       readl(page + EPC_FN_VFS) & EPC_FN_VFS_NUM_MASK);
}

/**
 * qemu_ep_ext_events() - tell all functions of a reset
 * @ep: the controller
 * @events: EPC_REG_EVENT, cleared already
 */
void qemu_ep_ext_events(struct qemu_ep *ep, u32 events)
{
	u32 fn;

	for (fn = 0; fn < ep->page_count; fn++) {
		if (events & EPC_EVENT_HOT_RESET)
			notify(ep, fn, PCI_EPC_EXT_HOT_RESET, 0);
		if (events & EPC_EVENT_PERST)
			notify(ep, fn, PCI_EPC_EXT_PERST, 0);
	}
}

/* ---- Registration ---- */

static void release(struct pci_epc *epc, u8 func, u8 vfunc)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);

	if (qemu_ep_has_func(ep, func, vfunc))
		qemu_ep_disown(ep, qemu_ep_page(ep, func, vfunc));
}

static const struct pci_epc_ext_ops ext_ops = {
	.alloc_doorbell = qemu_ep_alloc_doorbell,
	.free_doorbell = qemu_ep_free_doorbell,
	.read_doorbell = qemu_ep_read_doorbell,
	.add_cap = add_cap,
	.write_config = write_config,
	.read_config = read_config,
	.raise_irq = raise_irq,
	.release = release,
};

/**
 * qemu_ep_ext_init() - offer extensions, before functions can be linked
 * @ep: the controller
 *
 * Return: 0 or a negative error.
 */
int qemu_ep_ext_init(struct qemu_ep *ep)
{
	ep->ext = pci_epc_ext_register(ep->epc, &ext_ops);
	return PTR_ERR_OR_ZERO(ep->ext);
}

/* Call it without a lock that an operation takes, events masked. */
void qemu_ep_ext_exit(struct qemu_ep *ep)
{
	pci_epc_ext_unregister(ep->ext);
}
