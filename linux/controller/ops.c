// SPDX-License-Identifier: GPL-2.0
/*
 * Operations of the endpoint framework
 *
 * The core calls each of them with epc->lock held, except align_addr().  Until
 * probe sets epc->max_functions the core refuses all but align_addr(), start()
 * and stop(), so only these three can run before the driver data is set.
 *
 * A function that stays linked when the driver is unbound may call operations
 * for ever.  remove clears epc->max_functions and the driver data, with
 * epc->lock held.  The core then refuses operations, but it looks at
 * max_functions before it takes the lock.  So operations check the driver data.
 * align_addr() may still see the controller, whose structure is kept for such a
 * function, see qemu_ep_destroy_epc().
 */
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/sizes.h>

#include "../dma/maps.h"
#include "controller.h"
#include "ops.h"

#define QEMU_EP_BAR_MAX_32		BIT_ULL(31)
#define QEMU_EP_BAR_MAX_64		BIT_ULL(40)

static int qemu_ep_write_header(struct pci_epc *epc, u8 func, u8 vfunc,
				struct pci_epf_header *hdr)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 pin = hdr->interrupt_pin;
	void __iomem *regs;
	u8 page;
	int ret;

	if (!ep)
		return -ENODEV;
	page = qemu_ep_page(ep, func, vfunc);
	regs = qemu_ep_page_regs(ep, page);

	/* A virtual function has the vendor of function 0. */
	if (!vfunc && hdr->vendorid == (u16)PCI_ANY_ID) {
		dev_err(qemu_ep_parent(ep), "function page %u has no vendor id\n",
			page);
		return -EINVAL;
	}

	guard(mutex)(&ep->cmd.lock);
	qemu_ep_pages_claim(ep, page);
	writel(hdr->vendorid | (u32)hdr->deviceid << 16, regs + EPC_FN_ID);
	writel(hdr->revid | (u32)hdr->progif_code << 8 |
	       (u32)hdr->subclass_code << 16 | (u32)hdr->baseclass_code << 24,
	       regs + EPC_FN_CLASS);
	writel(hdr->subsys_vendor_id | (u32)hdr->subsys_id << 16,
	       regs + EPC_FN_SUBSYS);
	writel(hdr->interrupt_pin, regs + EPC_FN_INT_PIN);
	ret = qemu_ep_cmd_run(ep, page, EPC_CMD_SET_HEADER);
	if (vfunc || !(ep->features & EPC_FEATURE_INTX))
		pin = 0;
	if (!ret)
		WRITE_ONCE(ep->pages.int_pin[page], pin);
	return ret;
}

/* Kernel 6.12 does not check these before it calls the driver. */
static bool qemu_ep_bar_is_valid(const struct pci_epf_bar *bar)
{
	bool is_64bit = bar->flags & PCI_BASE_ADDRESS_MEM_TYPE_64;

	if (bar->barno < BAR_0 || bar->barno > BAR_5)
		return false;
	if (bar->barno == BAR_5 && is_64bit)
		return false;
	if (bar->flags & PCI_BASE_ADDRESS_SPACE_IO)
		return false;
	return is_power_of_2(bar->size) &&
	       bar->size <= (is_64bit ? QEMU_EP_BAR_MAX_64 :
					QEMU_EP_BAR_MAX_32);
}

/*
 * Gives each area of a BAR a target of its own.  The areas follow one another
 * without gaps.  The device copies them: the caller may free @bar->submap at
 * once.
 */
static int qemu_ep_set_areas(struct qemu_ep *ep, u8 page,
			     const struct pci_epf_bar *bar)
{
	void __iomem *regs = qemu_ep_page_regs(ep, page);
	u32 count = qemu_ep_submap_count(bar);
	u64 total = 0;
	u32 n;

	lockdep_assert_held(&ep->cmd.lock);

	if (!(ep->features & EPC_FEATURE_SUBRANGE))
		return -EOPNOTSUPP;
	if (count > EPC_MAX_AREAS)
		return -ENOSPC;

	for (n = 0; n < count; n++) {
		void __iomem *area = regs + EPC_FN_AREA(n);

		if (check_add_overflow(total, qemu_ep_submap_size(bar, n),
				       &total))
			return -EINVAL;
		writeq(qemu_ep_submap_addr(bar, n), area + EPC_AREA_ADDR);
		writeq(qemu_ep_submap_size(bar, n), area + EPC_AREA_SIZE);
		writel(EPC_AREA_TARGET, area + EPC_AREA_TYPE);
	}
	if (total != bar->size ||
	    total > ep->pages.bar_size[page][bar->barno]) {
		dev_err(qemu_ep_parent(ep), "function page %u: areas of BAR %d have %llu bytes\n",
			page, bar->barno, total);
		return -EINVAL;
	}
	writel(bar->barno, regs + EPC_FN_BAR);
	writel(count, regs + EPC_FN_COUNT);
	return qemu_ep_cmd_run(ep, page, EPC_CMD_SET_AREAS);
}

/* Gives a BAR a single target. */
static int qemu_ep_set_target(struct qemu_ep *ep, u8 page,
			      const struct pci_epf_bar *bar)
{
	void __iomem *regs = qemu_ep_page_regs(ep, page);
	u64 target = bar->phys_addr;
	u32 flags = 0;
	int ret;

	lockdep_assert_held(&ep->cmd.lock);

	/* pci-epf-vntb defines BARs before it has memory for them. */
	if (!bar->phys_addr && !bar->addr)
		target = EPC_ADDR_NONE;
	if (bar->flags & PCI_BASE_ADDRESS_MEM_TYPE_64)
		flags |= EPC_BAR_FLAG_64;
	if (bar->flags & PCI_BASE_ADDRESS_MEM_PREFETCH)
		flags |= EPC_BAR_FLAG_PREFETCH;

	writel(bar->barno, regs + EPC_FN_BAR);
	writel(flags, regs + EPC_FN_BAR_FLAGS);
	writeq(target, regs + EPC_FN_ADDR);
	writeq(bar->size, regs + EPC_FN_SIZE);
	ret = qemu_ep_cmd_run(ep, page, EPC_CMD_SET_BAR);
	if (!ret && !ep->pages.bar_size[page][bar->barno])
		ep->pages.bar_size[page][bar->barno] = bar->size;
	return ret;
}

/*
 * The first call defines the BAR, later calls retarget it.  Nothing here keeps a
 * pointer to @bar, which the caller may change in place before the next call.
 */
static int qemu_ep_set_bar(struct pci_epc *epc, u8 func, u8 vfunc,
			   struct pci_epf_bar *bar)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 page;

	if (!ep)
		return -ENODEV;
	page = qemu_ep_page(ep, func, vfunc);
	if (!qemu_ep_bar_is_valid(bar)) {
		dev_err(qemu_ep_parent(ep), "function page %u: BAR %d of %zu bytes with flags %#x is not supported\n",
			page, bar->barno, bar->size, bar->flags);
		return -EINVAL;
	}

	guard(mutex)(&ep->cmd.lock);
	qemu_ep_pages_claim(ep, page);
	return qemu_ep_submap_count(bar) ? qemu_ep_set_areas(ep, page, bar) :
					   qemu_ep_set_target(ep, page, bar);
}

static void qemu_ep_clear_bar(struct pci_epc *epc, u8 func, u8 vfunc,
			      struct pci_epf_bar *bar)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 page;

	if (!ep)
		return;
	page = qemu_ep_page(ep, func, vfunc);
	guard(mutex)(&ep->cmd.lock);
	writel(bar->barno, qemu_ep_page_regs(ep, page) + EPC_FN_BAR);
	/* While the link is started the BAR only loses its target. */
	if (!qemu_ep_cmd_run(ep, page, EPC_CMD_CLEAR_BAR) &&
	    !qemu_ep_notify_started(ep))
		ep->pages.bar_size[page][bar->barno] = 0;
}

/*
 * Limits a map to a quarter of the window, and to what the device can map at
 * once; callers map the rest in further steps.  The allocator of the framework
 * hands out powers of two, and a copy within the host holds two maps at once,
 * besides the maps that other functions keep.
 */
static u64 __maybe_unused qemu_ep_align_addr(struct pci_epc *epc, u64 pci_addr,
					     size_t *size, size_t *offset)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	size_t align, max;

	*offset = 0;
	if (!ep || !ep->window.size)
		return pci_addr;

	align = ep->limits.outbound_align;
	max = rounddown_pow_of_two(ep->window.size) / 4;
	if (ep->limits.outbound_max)
		max = min_t(u64, max, ep->limits.outbound_max);
	max = max_t(size_t, align, max);
	*offset = pci_addr & (align - 1);
	*size = min(*size, max - *offset);
	*size = ALIGN(*offset + *size, ep->granule);
	return pci_addr - *offset;
}

/* @offset, @pci_addr and @size are multiples of the granule. */
static int qemu_ep_map_granules(struct qemu_ep *ep, u8 page, u64 offset,
				u64 pci_addr, u64 size)
{
	void __iomem *regs = qemu_ep_page_regs(ep, page);
	int ret;

	guard(mutex)(&ep->cmd.lock);
	writeq(offset, regs + EPC_FN_OFFSET);
	writeq(pci_addr, regs + EPC_FN_ADDR);
	writeq(size, regs + EPC_FN_SIZE);
	ret = qemu_ep_cmd_run(ep, page, EPC_CMD_MAP);
	if (ret) {
		/* On other errors the map that was to be replaced is gone. */
		if (ret != -EINVAL)
			qemu_ep_maps_remove(ep, offset);
		return ret;
	}
	ret = qemu_ep_maps_add(ep, page, offset, pci_addr, size);
	if (ret)
		qemu_ep_cmd_run(ep, page, EPC_CMD_UNMAP);
	return ret;
}

static bool qemu_ep_in_window(struct qemu_ep *ep, phys_addr_t phys_addr,
			      u64 size)
{
	u64 offset = phys_addr - ep->window.base;

	return phys_addr >= ep->window.base && offset < ep->window.size &&
	       size && size <= ep->window.size - offset;
}

/*
 * Functions give addresses and sizes in bytes, the device maps granules.  This
 * maps the granules around the range, so both addresses need the same offset in
 * their granule.  The framework allocates window memory in whole granules, so
 * no other function uses the rest of the first and the last one.
 *
 * A controller that translates in larger units does not do that for a function:
 * dw_pcie_prog_outbound_atu() refuses an address that is not aligned.
 */
static int qemu_ep_map_addr(struct pci_epc *epc, u8 func, u8 vfunc,
			    phys_addr_t phys_addr, u64 pci_addr, size_t size)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u64 offset, slack;
	u32 align;
	u8 page;

	if (!ep)
		return -ENODEV;
	page = qemu_ep_page(ep, func, vfunc);
	offset = phys_addr - ep->window.base;
	align = ep->limits.outbound_align;
	slack = align > ep->granule ? 0 : offset & (align - 1);
	if (!qemu_ep_in_window(ep, phys_addr, size))
		return -EINVAL;
	if ((pci_addr & (align - 1)) != slack) {
		dev_err_ratelimited(qemu_ep_parent(ep), "function page %u: host address %#llx cannot be mapped with a granule of %u bytes\n",
				    page, pci_addr, align);
		return -EINVAL;
	}

	return qemu_ep_map_granules(ep, page, offset - slack, pci_addr - slack,
				    ALIGN(size + slack, ep->granule));
}

static void qemu_ep_unmap_addr(struct pci_epc *epc, u8 func, u8 vfunc,
			       phys_addr_t phys_addr)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u64 offset;
	u8 page;

	if (!ep || !qemu_ep_in_window(ep, phys_addr, 1))
		return;
	page = qemu_ep_page(ep, func, vfunc);
	offset = phys_addr - ep->window.base;

	/* The host must see all stores to the window before the map ends. */
	wmb();
	offset = ALIGN_DOWN(offset, ep->granule);
	guard(mutex)(&ep->cmd.lock);
	qemu_ep_maps_remove(ep, offset);
	writeq(offset, qemu_ep_page_regs(ep, page) + EPC_FN_OFFSET);
	qemu_ep_cmd_run(ep, page, EPC_CMD_UNMAP);
}

/*
 * Runs EPC_CMD_SET_MSI or EPC_CMD_SET_MSIX, after qemu_ep_pages_claim().  The
 * other arguments of the command are in their registers.
 */
static int qemu_ep_set_vectors(struct qemu_ep *ep, u8 page, u32 count, u32 cmd)
{
	int ret;

	lockdep_assert_held(&ep->cmd.lock);

	writel(count, qemu_ep_page_regs(ep, page) + EPC_FN_COUNT);
	ret = qemu_ep_cmd_run(ep, page, cmd);
	qemu_ep_irqs_reread(ep, page);
	return ret;
}

static int qemu_ep_set_msi(struct pci_epc *epc, u8 func, u8 vfunc, u8 nr_irqs)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u32 count = nr_irqs;
	u8 page;

	if (!ep)
		return -ENODEV;
	page = qemu_ep_page(ep, func, vfunc);
	if (ep->encoding.set_msi_log2) {
		if (nr_irqs > ilog2(EPC_MAX_MSI))
			return -EINVAL;
		count = BIT(nr_irqs);
	}
	if (!count || count > EPC_MAX_MSI)
		return -EINVAL;
	if (!(ep->features & EPC_FEATURE_MSI))
		return -EOPNOTSUPP;

	guard(mutex)(&ep->cmd.lock);
	qemu_ep_pages_claim(ep, page);
	return qemu_ep_set_vectors(ep, page, count, EPC_CMD_SET_MSI);
}

static int qemu_ep_get_msi(struct pci_epc *epc, u8 func, u8 vfunc)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u32 count;

	if (!ep)
		return -ENODEV;
	count = qemu_ep_irqs_msi(ep, qemu_ep_page(ep, func, vfunc));
	if (!count)
		return -EINVAL;
	return ep->encoding.get_msi_log2 ? ilog2(count) : count;
}

static int qemu_ep_set_msix(struct pci_epc *epc, u8 func, u8 vfunc, u16 nr_irqs,
			    enum pci_barno bir, u32 offset)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	void __iomem *regs;
	u32 count;
	u8 page;

	if (!ep)
		return -ENODEV;
	page = qemu_ep_page(ep, func, vfunc);
	regs = qemu_ep_page_regs(ep, page);
	count = nr_irqs + ep->encoding.set_msix_less;
	if (!count || count > EPC_MAX_MSIX)
		return -EINVAL;
	if (!ep->pf_features.msix_capable)
		return -EOPNOTSUPP;

	guard(mutex)(&ep->cmd.lock);
	qemu_ep_pages_claim(ep, page);
	writel(bir, regs + EPC_FN_BAR);
	writeq(offset, regs + EPC_FN_OFFSET);
	return qemu_ep_set_vectors(ep, page, count, EPC_CMD_SET_MSIX);
}

static int qemu_ep_get_msix(struct pci_epc *epc, u8 func, u8 vfunc)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u32 count;

	if (!ep)
		return -ENODEV;
	count = qemu_ep_irqs_msix(ep, qemu_ep_page(ep, func, vfunc));
	if (!count)
		return -EINVAL;
	return count - ep->encoding.get_msix_less;
}

static int qemu_ep_raise_irq(struct pci_epc *epc, u8 func, u8 vfunc,
			     unsigned int type, u16 num)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u8 page;

	if (!ep)
		return -ENODEV;
	page = qemu_ep_page(ep, func, vfunc);
	if (type == PCI_IRQ_INTX)
		return qemu_ep_raise_intx(ep, page);
	return qemu_ep_raise_message(ep, page, type, num);
}

/* Returns the offset of the MSI capability, 0 if there is none. */
static u8 qemu_ep_find_msi(void __iomem *config)
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

/* Reads address and data of the first message that the host has configured. */
static int qemu_ep_read_message(struct qemu_ep *ep, u8 page, u64 *addr,
				u32 *data)
{
	void __iomem *config = qemu_ep_page_regs(ep, page) + EPC_FN_CONFIG;
	void __iomem *cap;
	u8 pos = qemu_ep_find_msi(config);

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
 * Maps window memory to the address of the MSI messages, so that a store to it
 * interrupts the host.  All messages of a function have one address and differ
 * in their data.  Only pci-epf-ntb uses this.
 */
static int qemu_ep_map_msi_irq(struct pci_epc *epc, u8 func, u8 vfunc,
			       phys_addr_t phys_addr, u8 num, u32 entry_size,
			       u32 *msi_data, u32 *msi_addr_offset)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	u32 data = 0, slack, count;
	u64 addr = 0, offset;
	u8 page, i;
	int ret;

	if (!ep)
		return -ENODEV;
	page = qemu_ep_page(ep, func, vfunc);
	offset = phys_addr - ep->window.base;
	count = qemu_ep_irqs_msi(ep, page);
	if (!count)
		return -EOPNOTSUPP;
	if (num > count || !IS_ALIGNED(offset | entry_size, ep->granule) ||
	    !qemu_ep_in_window(ep, phys_addr, (u64)num * entry_size)) {
		dev_err(qemu_ep_parent(ep), "function page %u: cannot map %u messages of %u bytes, %u are enabled, the granule is %u bytes\n",
			page, num, entry_size, count, ep->granule);
		return -EINVAL;
	}
	ret = qemu_ep_read_message(ep, page, &addr, &data);
	slack = addr & (ep->granule - 1);
	for (i = 0; i < num && !ret; i++)
		ret = qemu_ep_map_granules(ep, page,
					   offset + (u64)i * entry_size,
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

	qemu_ep_pages_clear_unlinked(ep);
	if (!qemu_ep_notify_start(ep))
		return -ENODEV;

	ret = qemu_ep_cmd_link(ep, EPC_LINK_START);
	if (ret)
		qemu_ep_notify_stop(ep);
	return ret;
}

/* The head of notify.c says what this must not wait for. */
static void qemu_ep_stop(struct pci_epc *epc)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);

	if (!ep)
		return;

	qemu_ep_notify_stop(ep);
	qemu_ep_cmd_link(ep, EPC_LINK_STOP);
	qemu_ep_notify_stopped(ep);
}

static const struct pci_epc_features *
qemu_ep_get_features(struct pci_epc *epc, u8 func, u8 vfunc)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);

	if (!ep)
		return NULL;
	return vfunc ? &ep->vf_features : &ep->pf_features;
}

/*
 * The configfs directory of the controller holds a reference on .owner while
 * the device is bound.  So the module cannot be removed before the device is
 * unbound.
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
