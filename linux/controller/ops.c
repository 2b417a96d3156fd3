// SPDX-License-Identifier: GPL-2.0
/*
 * Operations of the endpoint framework
 *
 * The core runs each of them under the lock of the endpoint controller, except
 * align_addr(), and refuses all but align_addr(), start() and stop() until
 * max_functions is set, that is, before the driver data is.
 */
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/delay.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/sizes.h>

#include "pcie-qemu-ep.h"

static bool msix = true;
module_param(msix, bool, 0444);
MODULE_PARM_DESC(msix, "Offer MSI-X to the functions, else MSI only");

#define BAR_SIZE_MAX_32		BIT_ULL(31)
#define BAR_SIZE_MAX_64		BIT_ULL(40)

static int qemu_ep_write_header(struct pci_epc *epc, u8 func, u8 vfunc,
				struct pci_epf_header *hdr)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 fn = qemu_ep_page(ep, func, vfunc);
	void __iomem *page = qemu_ep_fn(ep, fn);
	int ret;

	/* Virtual functions have the vendor of function 0. */
	if (!vfunc && hdr->vendorid == (u16)PCI_ANY_ID) {
		dev_err(qemu_ep_parent(ep), "function %u has no vendor id: write vendorid and deviceid before linking it\n",
			fn);
		return -EINVAL;
	}

	guard(mutex)(&ep->cmd_lock);
	qemu_ep_claim(ep, fn);
	writel(hdr->vendorid | (u32)hdr->deviceid << 16, page + EPC_FN_ID);
	writel(hdr->revid | (u32)hdr->progif_code << 8 |
	       (u32)hdr->subclass_code << 16 | (u32)hdr->baseclass_code << 24,
	       page + EPC_FN_CLASS);
	writel(hdr->subsys_vendor_id | (u32)hdr->subsys_id << 16,
	       page + EPC_FN_SUBSYS);
	writel(hdr->interrupt_pin, page + EPC_FN_INT_PIN);
	ret = qemu_ep_fn_command(ep, fn, EPC_CMD_SET_HEADER);
	if (!ret)
		ep->int_pin[fn] = vfunc ? 0 : hdr->interrupt_pin;
	return ret;
}

/* Not all kernels check these before they call the driver. */
static bool bar_is_valid(const struct pci_epf_bar *bar)
{
	bool is_64bit = bar->flags & PCI_BASE_ADDRESS_MEM_TYPE_64;

	if (bar->barno < BAR_0 || bar->barno > BAR_5)
		return false;
	if (bar->barno == BAR_5 && is_64bit)
		return false;
	if (bar->flags & PCI_BASE_ADDRESS_SPACE_IO)
		return false;
	return is_power_of_2(bar->size) &&
	       bar->size <= (is_64bit ? BAR_SIZE_MAX_64 : BAR_SIZE_MAX_32);
}

/*
 * Pieces of the BAR lead to different places, in order and back to back.  All of
 * that is copied: @bar->submap goes when the caller likes.
 */
static int set_areas(struct qemu_ep *ep, u8 fn, const struct pci_epf_bar *bar)
{
	void __iomem *page = qemu_ep_fn(ep, fn);
	u32 count = qemu_ep_submap_count(bar);
	u64 total = 0;
	u32 n;

	lockdep_assert_held(&ep->cmd_lock);

	if (!(ep->features & EPC_FEATURE_SUBRANGE))
		return -EOPNOTSUPP;
	if (count > EPC_MAX_AREAS)
		return -ENOSPC;

	for (n = 0; n < count; n++) {
		void __iomem *area = page + EPC_FN_AREA(n);

		if (check_add_overflow(total, qemu_ep_submap_size(bar, n),
				       &total))
			return -EINVAL;
		writeq(qemu_ep_submap_addr(bar, n), area + EPC_AREA_ADDR);
		writeq(qemu_ep_submap_size(bar, n), area + EPC_AREA_SIZE);
		writel(EPC_AREA_TARGET, area + EPC_AREA_TYPE);
	}
	if (total != bar->size || total > ep->bar_size[fn][bar->barno]) {
		dev_err(qemu_ep_parent(ep), "function %u: pieces of BAR %d have %llu bytes: set the whole BAR first, then pieces that fill it\n",
			fn, bar->barno, total);
		return -EINVAL;
	}
	writel(bar->barno, page + EPC_FN_BAR);
	writel(count, page + EPC_FN_COUNT);
	return qemu_ep_fn_command(ep, fn, EPC_CMD_SET_AREAS);
}

/*
 * The first call defines the BAR, later calls retarget it.  @bar stays with the
 * caller, who may change it in place before the next call.
 */
static int qemu_ep_set_bar(struct pci_epc *epc, u8 func, u8 vfunc,
			   struct pci_epf_bar *bar)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 fn = qemu_ep_page(ep, func, vfunc);
	void __iomem *page = qemu_ep_fn(ep, fn);
	u64 target = bar->phys_addr;
	u32 flags = 0;
	int ret;

	if (!bar_is_valid(bar)) {
		dev_err(qemu_ep_parent(ep), "function %u: BAR %d of %zu bytes, flags %#x: only memory BARs of a power of two are supported\n",
			fn, bar->barno, bar->size, bar->flags);
		return -EINVAL;
	}

	/* That is how functions say: no memory behind this BAR yet. */
	if (!bar->phys_addr && !bar->addr)
		target = EPC_ADDR_NONE;
	if (bar->flags & PCI_BASE_ADDRESS_MEM_TYPE_64)
		flags |= EPC_BAR_FLAG_64;
	if (bar->flags & PCI_BASE_ADDRESS_MEM_PREFETCH)
		flags |= EPC_BAR_FLAG_PREFETCH;

	guard(mutex)(&ep->cmd_lock);
	qemu_ep_claim(ep, fn);
	if (qemu_ep_submap_count(bar))
		return set_areas(ep, fn, bar);

	writel(bar->barno, page + EPC_FN_BAR);
	writel(flags, page + EPC_FN_BAR_FLAGS);
	writeq(target, page + EPC_FN_ADDR);
	writeq(bar->size, page + EPC_FN_SIZE);
	ret = qemu_ep_fn_command(ep, fn, EPC_CMD_SET_BAR);
	if (!ret && !ep->bar_size[fn][bar->barno])
		ep->bar_size[fn][bar->barno] = bar->size;
	return ret;
}

static void qemu_ep_clear_bar(struct pci_epc *epc, u8 func, u8 vfunc,
			      struct pci_epf_bar *bar)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 fn = qemu_ep_page(ep, func, vfunc);

	guard(mutex)(&ep->cmd_lock);
	writel(bar->barno, qemu_ep_fn(ep, fn) + EPC_FN_BAR);
	/* While the link is started the BAR stays, only its target goes. */
	if (!qemu_ep_fn_command(ep, fn, EPC_CMD_CLEAR_BAR) &&
	    !READ_ONCE(ep->started))
		ep->bar_size[fn][bar->barno] = 0;
}

/*
 * One map takes at most a quarter of the window: the allocator hands out powers
 * of two, and a copy within the host holds two maps beside those that other
 * functions keep.  Callers map the rest in further steps.
 */
static u64 __maybe_unused qemu_ep_align_addr(struct pci_epc *epc, u64 pci_addr,
					     size_t *size, size_t *offset)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	size_t max;

	*offset = 0;
	if (!ep || !ep->window_size)
		return pci_addr;

	max = max_t(size_t, ep->granule,
		    rounddown_pow_of_two(ep->window_size) / 4);
	*offset = pci_addr & (ep->granule - 1);
	*size = min(*size, max - *offset);
	*size = ALIGN(*offset + *size, ep->granule);
	return pci_addr - *offset;
}

/* All in granules. */
static int map_granules(struct qemu_ep *ep, u8 fn, u64 offset, u64 pci_addr,
			u64 size)
{
	void __iomem *page = qemu_ep_fn(ep, fn);
	int ret;

	guard(mutex)(&ep->cmd_lock);
	writeq(offset, page + EPC_FN_OFFSET);
	writeq(pci_addr, page + EPC_FN_ADDR);
	writeq(size, page + EPC_FN_SIZE);
	ret = qemu_ep_fn_command(ep, fn, EPC_CMD_MAP);
	if (ret) {
		/* The device has forgotten a map that it was to replace. */
		if (ret != -EINVAL)
			qemu_ep_dma_unmapped(ep, offset);
		return ret;
	}
	ret = qemu_ep_dma_mapped(ep, fn, offset, pci_addr, size);
	if (ret)
		qemu_ep_fn_command(ep, fn, EPC_CMD_UNMAP);
	return ret;
}

static bool in_window(struct qemu_ep *ep, phys_addr_t phys_addr, u64 size)
{
	u64 offset = phys_addr - ep->window_base;

	return phys_addr >= ep->window_base && offset < ep->window_size &&
	       size && size <= ep->window_size - offset;
}

/*
 * Functions map with byte addresses and sizes, the device in granules.  Map the
 * granules around the range, which is possible when both sides have the same
 * offset in their granule.  Window memory is allocated in whole granules, so the
 * rest of them is nobody else's.
 */
static int qemu_ep_map_addr(struct pci_epc *epc, u8 func, u8 vfunc,
			    phys_addr_t phys_addr, u64 pci_addr, size_t size)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 fn = qemu_ep_page(ep, func, vfunc);
	u64 offset = phys_addr - ep->window_base;
	u64 slack = offset & (ep->granule - 1);

	if (!in_window(ep, phys_addr, size))
		return -EINVAL;
	if ((pci_addr & (ep->granule - 1)) != slack) {
		dev_err_ratelimited(qemu_ep_parent(ep), "function %u: host address %#llx cannot be mapped: align host buffers to %u bytes\n",
				    fn, pci_addr, ep->granule);
		return -EINVAL;
	}

	return map_granules(ep, fn, offset - slack, pci_addr - slack,
			    ALIGN(size + slack, ep->granule));
}

static void qemu_ep_unmap_addr(struct pci_epc *epc, u8 func, u8 vfunc,
			       phys_addr_t phys_addr)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 fn = qemu_ep_page(ep, func, vfunc);
	u64 offset = phys_addr - ep->window_base;

	if (phys_addr < ep->window_base || offset >= ep->window_size)
		return;

	/* Stores to the window come before the end of the map. */
	wmb();
	offset = ALIGN_DOWN(offset, ep->granule);
	guard(mutex)(&ep->cmd_lock);
	qemu_ep_dma_unmapped(ep, offset);
	writeq(offset, qemu_ep_fn(ep, fn) + EPC_FN_OFFSET);
	qemu_ep_fn_command(ep, fn, EPC_CMD_UNMAP);
}

static int qemu_ep_set_msi(struct pci_epc *epc, u8 func, u8 vfunc, u8 nr_irqs)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 fn = qemu_ep_page(ep, func, vfunc);
	u32 count = nr_irqs;

	if (ep->encoding.set_msi_log2) {
		if (nr_irqs > ilog2(EPC_MAX_MSI))
			return -EINVAL;
		count = BIT(nr_irqs);
	}
	if (!count || count > EPC_MAX_MSI)
		return -EINVAL;
	if (!(ep->features & EPC_FEATURE_MSI))
		return -EOPNOTSUPP;

	guard(mutex)(&ep->cmd_lock);
	qemu_ep_claim(ep, fn);
	writel(count, qemu_ep_fn(ep, fn) + EPC_FN_COUNT);
	return qemu_ep_fn_command(ep, fn, EPC_CMD_SET_MSI);
}

/* Vectors the host has enabled right now, 0 when the interrupt is off. */
static u32 enabled_vectors(struct qemu_ep *ep, u8 fn, u32 reg)
{
	u32 state = readl(qemu_ep_fn(ep, fn) + reg);

	return state & EPC_FN_IRQ_ENABLED ? state & 0xffff : 0;
}

static int qemu_ep_get_msi(struct pci_epc *epc, u8 func, u8 vfunc)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 fn = qemu_ep_page(ep, func, vfunc);
	u32 count = enabled_vectors(ep, fn, EPC_FN_MSI);

	if (!count)
		return -EINVAL;
	return ep->encoding.get_msi_log2 ? ilog2(count) : count;
}

static int qemu_ep_set_msix(struct pci_epc *epc, u8 func, u8 vfunc, u16 nr_irqs,
			    enum pci_barno bir, u32 offset)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 fn = qemu_ep_page(ep, func, vfunc);
	void __iomem *page = qemu_ep_fn(ep, fn);
	u32 count = nr_irqs + ep->encoding.set_msix_less;

	if (!count || count > EPC_MAX_MSIX)
		return -EINVAL;
	if (!ep->epc_features.msix_capable)
		return -EOPNOTSUPP;

	guard(mutex)(&ep->cmd_lock);
	qemu_ep_claim(ep, fn);
	writel(count, page + EPC_FN_COUNT);
	writel(bir, page + EPC_FN_BAR);
	writeq(offset, page + EPC_FN_OFFSET);
	return qemu_ep_fn_command(ep, fn, EPC_CMD_SET_MSIX);
}

static int qemu_ep_get_msix(struct pci_epc *epc, u8 func, u8 vfunc)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 fn = qemu_ep_page(ep, func, vfunc);
	u32 count = enabled_vectors(ep, fn, EPC_FN_MSIX);

	if (!count)
		return -EINVAL;
	return count - ep->encoding.get_msix_less;
}

/*
 * A pulse: no function deasserts an interrupt by itself.  It is as long as those
 * of other endpoint controllers, so that the host can see the level.
 */
static int raise_intx(struct qemu_ep *ep, u8 fn)
{
	u32 command = readl(qemu_ep_fn(ep, fn) + EPC_FN_PCI_COMMAND);
	void __iomem *raise = qemu_ep_raise(ep, fn) + EPC_RAISE_INTX;

	if (!ep->int_pin[fn] || (command & PCI_COMMAND_INTX_DISABLE))
		return -EOPNOTSUPP;

	/* As in qemu_ep_raise_message() */
	wmb();
	writel(1, raise);
	usleep_range(1000, 2000);
	writel(0, raise);
	return 0;
}

/**
 * qemu_ep_raise_message() - raise MSI or MSI-X
 * @ep: the controller
 * @fn: number of the function's page
 * @type: PCI_IRQ_MSI or PCI_IRQ_MSIX
 * @num: number of the interrupt, from 1.  The device keeps a masked one pending.
 *
 * Context: any.
 *
 * Return: 0, -EINVAL or -EOPNOTSUPP.
 */
int qemu_ep_raise_message(struct qemu_ep *ep, u8 fn, unsigned int type,
			  u16 num)
{
	u32 command = readl(qemu_ep_fn(ep, fn) + EPC_FN_PCI_COMMAND);
	u32 reg, area, count;

	switch (type) {
	case PCI_IRQ_MSI:
		reg = EPC_FN_MSI;
		area = EPC_RAISE_MSI(0);
		break;
	case PCI_IRQ_MSIX:
		reg = EPC_FN_MSIX;
		area = EPC_RAISE_MSIX(0);
		break;
	default:
		return -EINVAL;
	}

	/* A message is a memory write, which takes a bus master. */
	count = enabled_vectors(ep, fn, reg);
	if (!count || !(command & PCI_COMMAND_MASTER))
		return -EOPNOTSUPP;
	if (!num || num > count)
		return -EINVAL;

	/*
	 * What the function stored to the window and to its BARs comes before
	 * the interrupt, also when the mapping combines writes.
	 */
	wmb();
	writel(1, qemu_ep_raise(ep, fn) + area + 4 * (num - 1));
	return 0;
}

static int qemu_ep_raise_irq(struct pci_epc *epc, u8 func, u8 vfunc,
			     unsigned int type, u16 num)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 fn = qemu_ep_page(ep, func, vfunc);

	if (type == PCI_IRQ_INTX)
		return raise_intx(ep, fn);
	return qemu_ep_raise_message(ep, fn, type, num);
}

/* Offset of the MSI capability in configuration space, 0 without one. */
static u8 find_msi(void __iomem *config)
{
	u8 pos = readb(config + PCI_CAPABILITY_LIST);
	int left;

	for (left = PCI_CFG_SPACE_SIZE / 4; pos && left; left--) {
		pos &= ~3;
		if (readb(config + pos + PCI_CAP_LIST_ID) == PCI_CAP_ID_MSI)
			return pos;
		pos = readb(config + pos + PCI_CAP_LIST_NEXT);
	}
	return 0;
}

/* Where the host wants its first message, and what is to be written there. */
static int read_message(struct qemu_ep *ep, u8 fn, u64 *addr, u32 *data)
{
	void __iomem *config = qemu_ep_fn(ep, fn) + EPC_FN_CONFIG;
	void __iomem *cap;
	u8 pos = find_msi(config);

	if (!pos)
		return -EOPNOTSUPP;
	cap = config + pos;
	*addr = readl(cap + PCI_MSI_ADDRESS_LO);
	if (readw(cap + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_64BIT) {
		*addr |= (u64)readl(cap + PCI_MSI_ADDRESS_HI) << 32;
		*data = readw(cap + PCI_MSI_DATA_64);
	} else {
		*data = readw(cap + PCI_MSI_DATA_32);
	}
	return 0;
}

/*
 * Window memory that sends an MSI when written: all messages of a function go to
 * one address and differ in their data.
 */
static int qemu_ep_map_msi_irq(struct pci_epc *epc, u8 func, u8 vfunc,
			       phys_addr_t phys_addr, u8 num, u32 entry_size,
			       u32 *msi_data, u32 *msi_addr_offset)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 fn = qemu_ep_page(ep, func, vfunc);
	u64 offset = phys_addr - ep->window_base;
	u32 count = enabled_vectors(ep, fn, EPC_FN_MSI);
	u32 data = 0, slack;
	u64 addr = 0;
	int ret;
	u8 i;

	if (!count)
		return -EOPNOTSUPP;
	if (num > count || !IS_ALIGNED(offset | entry_size, ep->granule) ||
	    !in_window(ep, phys_addr, (u64)num * entry_size)) {
		dev_err(qemu_ep_parent(ep), "function %u: cannot map %u messages with %u bytes each: the host enabled %u, and each takes a multiple of %u bytes\n",
			fn, num, entry_size, count, ep->granule);
		return -EINVAL;
	}
	ret = read_message(ep, fn, &addr, &data);
	slack = addr & (ep->granule - 1);
	for (i = 0; i < num && !ret; i++)
		ret = map_granules(ep, fn, offset + (u64)i * entry_size,
				   addr - slack, ep->granule);
	if (ret) {
		while (i--)
			qemu_ep_unmap_addr(epc, func, vfunc,
					   phys_addr + (u64)i * entry_size);
		return ret;
	}
	*msi_data = data & ~(count - 1);
	*msi_addr_offset = slack;
	return 0;
}

static int qemu_ep_start(struct pci_epc *epc)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	int ret;

	if (!ep)
		return -ENODEV;

	qemu_ep_remove_unlinked(ep);
	if (!qemu_ep_notify_allow(ep))
		return -ENODEV;

	ret = qemu_ep_link_command(ep, EPC_LINK_START);
	if (ret)
		qemu_ep_notify_forbid(ep);
	return ret;
}

/* See pcie-qemu-ep-notify.c for what must not be waited for here. */
static void qemu_ep_stop(struct pci_epc *epc)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);

	if (!ep)
		return;

	qemu_ep_notify_forbid(ep);
	qemu_ep_link_command(ep, EPC_LINK_STOP);
	qemu_ep_notify_down(ep);
}

static const struct pci_epc_features *
qemu_ep_get_features(struct pci_epc *epc, u8 func, u8 vfunc)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);

	return vfunc ? &ep->vf_features : &ep->epc_features;
}

/*
 * The configfs directory of the controller holds a reference on the owner as
 * long as the device is bound.  So the module cannot be removed under linked
 * functions; unbind the device first, then remove it.
 */
const struct pci_epc_ops qemu_ep_ops = {
	.write_header = qemu_ep_write_header,
	.set_bar = qemu_ep_set_bar,
	.clear_bar = qemu_ep_clear_bar,
	QEMU_EP_ALIGN_ADDR_OP
	.map_addr = qemu_ep_map_addr,
	.unmap_addr = qemu_ep_unmap_addr,
	.set_msi = qemu_ep_set_msi,
	.get_msi = qemu_ep_get_msi,
	.set_msix = qemu_ep_set_msix,
	.get_msix = qemu_ep_get_msix,
	.raise_irq = qemu_ep_raise_irq,
	.map_msi_irq = qemu_ep_map_msi_irq,
	.start = qemu_ep_start,
	.stop = qemu_ep_stop,
	.get_features = qemu_ep_get_features,
	QEMU_EP_AUX_OPS
	.owner = THIS_MODULE,
};

/**
 * qemu_ep_init_features() - fill in what the framework is told
 * @ep: the controller, its registers read
 */
void qemu_ep_init_features(struct qemu_ep *ep)
{
	struct pci_epc_features *features = &ep->epc_features;
	u32 dynamic = EPC_FEATURE_RETARGET | EPC_FEATURE_DOORBELL;
	int bar;

	features->linkup_notifier = 1;
	features->msi_capable = !!(ep->features & EPC_FEATURE_MSI);
	features->msix_capable = msix && ep->features & EPC_FEATURE_MSIX;
	qemu_ep_set_intx_capable(features, ep->features & EPC_FEATURE_INTX);
	/* Functions take it for a promise that there are doorbells, too. */
	qemu_ep_set_dynamic(features, (ep->features & dynamic) == dynamic,
			    ep->features & EPC_FEATURE_SUBRANGE);
	/* The host sees at least 4 KiB of a BAR. */
	features->align = max_t(size_t, SZ_4K, ep->granule);
	for (bar = BAR_0; bar <= BAR_5; bar++)
		features->bar[bar].type = BAR_PROGRAMMABLE;

	ep->vf_features = *features;
	qemu_ep_set_intx_capable(&ep->vf_features, false);
}
