// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts that endpoint functions raise in the host
 *
 * A raise is one store to the raise area of the function, which under KVM needs
 * no exit.  Each register read does need one, so a raise reads none: it uses a
 * copy of EPC_FN_PCI_COMMAND, EPC_FN_MSI, EPC_FN_MSIX and EPC_FN_DSTATE in
 * struct qemu_ep_irqs.
 *
 * The copy is used only while it is known to be current:
 *
 * - The device raises EPC_VECTOR_EVENT whenever the host changes one of these
 *   registers.  The hard interrupt handler advances the epoch, and copies of an
 *   older epoch are not used any more.
 * - The thread of that interrupt takes the epoch, clears the events, reads the
 *   registers of all pages that had an event, and stores the copies with the
 *   epoch that it took.  An event that comes meanwhile advances the epoch, so
 *   these copies are not used, and makes the thread run again.
 * - While there is no current copy, a raise reads the registers.  It also reads
 *   them before it returns an error, because an event that enables an interrupt
 *   may be on its way.
 *
 * So the only mistake a raise can make is to find an interrupt enabled that the
 * host has just disabled, for as long as EPC_VECTOR_EVENT is on its way to a
 * CPU.  No message reaches a host that does not expect it, because the raise is
 * checked twice more:
 *
 * - The device checks each store to the raise area, drops this one and counts
 *   it in EPC_FN_RAISE_DROPPED.
 * - Under KVM the store may be an ioeventfd, which signals the host without the
 *   device until a bottom half of the device has removed it.  The host's side
 *   of the link drops such a signal: it follows the enable bits, bus mastering
 *   and the power state before the host's configuration write is answered.
 *   EPC_FN_RAISE_DROPPED does not count this.
 *
 * A controller in hardware drops a raise, too, when the configuration write of
 * the host arrives between the driver's look at the enable bit and its raise.
 * Reading the registers for each raise would make that gap shorter, but not
 * close it.
 */
#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/io.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/pci.h>
#include <linux/wordpart.h>

#include "controller.h"
#include "pci-epc-ext.h"

/* Copy of the registers of a page */
#define QEMU_EP_IRQ_MSIX	GENMASK(15, 0)	/* table size, 0: disabled */
#define QEMU_EP_IRQ_MSI		GENMASK(21, 16)	/* vectors, 0: disabled */
#define QEMU_EP_IRQ_MASTER	BIT(24)		/* may send messages */
#define QEMU_EP_IRQ_NO_INTX	BIT(25)		/* may not assert INTx */

/* No raise may miss the raise area, whatever number the device reports. */
static u32 qemu_ep_irqs_count(u32 reg, u32 max)
{
	return reg & EPC_FN_IRQ_ENABLED ? min(reg & 0xffff, max) : 0;
}

/* The registers of a device that is gone read all ones: nothing is enabled. */
static u32 qemu_ep_irqs_read(struct qemu_ep *ep, u8 page)
{
	void __iomem *regs = qemu_ep_page_regs(ep, page);
	u32 msi = qemu_ep_irqs_count(readl(regs + EPC_FN_MSI), EPC_MAX_MSI);
	u32 msix = qemu_ep_irqs_count(readl(regs + EPC_FN_MSIX), EPC_MAX_MSIX);
	u32 command = readl(regs + EPC_FN_PCI_COMMAND);
	u32 dstate = readl(regs + EPC_FN_DSTATE);
	u32 counts;

	if (PCI_POSSIBLE_ERROR(command))
		return QEMU_EP_IRQ_NO_INTX;
	counts = FIELD_PREP(QEMU_EP_IRQ_MSI, msi) |
		 FIELD_PREP(QEMU_EP_IRQ_MSIX, msix);
	/*
	 * Outside of D0 a function initiates nothing but power management
	 * events (PCI Express Base, 5.3.1).
	 */
	if (dstate)
		return counts | QEMU_EP_IRQ_NO_INTX;
	return counts |
	       (command & PCI_COMMAND_MASTER ? QEMU_EP_IRQ_MASTER : 0) |
	       (command & PCI_COMMAND_INTX_DISABLE ? QEMU_EP_IRQ_NO_INTX : 0);
}

/* Returns false if the copy is not current.  Context: any. */
static bool qemu_ep_irqs_copy(struct qemu_ep *ep, u8 page, u32 *state)
{
	u64 word = atomic64_read(&ep->irqs.state[page]);

	*state = lower_32_bits(word);
	return upper_32_bits(word) == (u32)atomic_read(&ep->irqs.epoch);
}

static void qemu_ep_irqs_store(struct qemu_ep *ep, u8 page, u32 epoch,
			       u32 state)
{
	lockdep_assert_held(&ep->irqs.lock);

	atomic64_set(&ep->irqs.state[page], (u64)epoch << 32 | state);
}

/* All copies are zero and current, as the registers are after a reset. */
void qemu_ep_irqs_init(struct qemu_ep *ep)
{
	mutex_init(&ep->irqs.lock);
}

void qemu_ep_irqs_invalidate(struct qemu_ep *ep)
{
	atomic_inc(&ep->irqs.epoch);
}

u32 qemu_ep_irqs_epoch(struct qemu_ep *ep)
{
	u32 epoch = atomic_read(&ep->irqs.epoch);

	/* Take the epoch before the events that readl() returns. */
	smp_mb();
	return epoch;
}

void qemu_ep_irqs_update(struct qemu_ep *ep, u32 epoch, unsigned long changed)
{
	u32 state;
	u8 page;

	guard(mutex)(&ep->irqs.lock);
	for (page = 0; page < ep->layout.page_count; page++) {
		if (changed & BIT(page))
			state = qemu_ep_irqs_read(ep, page);
		else
			qemu_ep_irqs_copy(ep, page, &state);
		qemu_ep_irqs_store(ep, page, epoch, state);
	}
}

void qemu_ep_irqs_reread(struct qemu_ep *ep, u8 page)
{
	u32 epoch;

	guard(mutex)(&ep->irqs.lock);
	epoch = qemu_ep_irqs_epoch(ep);
	qemu_ep_irqs_store(ep, page, epoch, qemu_ep_irqs_read(ep, page));
}

u32 qemu_ep_irqs_msi(struct qemu_ep *ep, u8 page)
{
	u32 state;

	if (!qemu_ep_irqs_copy(ep, page, &state) ||
	    !FIELD_GET(QEMU_EP_IRQ_MSI, state))
		state = qemu_ep_irqs_read(ep, page);
	return FIELD_GET(QEMU_EP_IRQ_MSI, state);
}

u32 qemu_ep_irqs_msix(struct qemu_ep *ep, u8 page)
{
	u32 state;

	if (!qemu_ep_irqs_copy(ep, page, &state) ||
	    !FIELD_GET(QEMU_EP_IRQ_MSIX, state))
		state = qemu_ep_irqs_read(ep, page);
	return FIELD_GET(QEMU_EP_IRQ_MSIX, state);
}

int qemu_ep_irqs_msi_state(struct qemu_ep *ep, u8 page, u16 num)
{
	void __iomem *regs = qemu_ep_page_regs(ep, page);
	int state = 0;

	if (!num || num > EPC_MAX_MSI)
		return -EINVAL;
	if (num <= qemu_ep_irqs_count(readl(regs + EPC_FN_MSI), EPC_MAX_MSI))
		state |= PCI_EPC_EXT_IRQ_ENABLED;
	if (readl(regs + EPC_FN_MSI_MASK) & BIT(num - 1))
		state |= PCI_EPC_EXT_IRQ_MASKED;
	return state;
}

int qemu_ep_irqs_msix_state(struct qemu_ep *ep, u8 page, u16 num)
{
	void __iomem *regs = qemu_ep_page_regs(ep, page);
	u32 msix = readl(regs + EPC_FN_MSIX);
	u32 n = num - 1;
	int state = 0;

	if (!num || num > min_t(u32, msix & 0xffff, EPC_MAX_MSIX))
		return -EINVAL;
	if (msix & EPC_FN_IRQ_ENABLED)
		state |= PCI_EPC_EXT_IRQ_ENABLED;
	if (msix & EPC_FN_IRQ_MASKED ||
	    readl(regs + EPC_FN_MSIX_MASK(n / 32)) & BIT(n % 32))
		state |= PCI_EPC_EXT_IRQ_MASKED;
	return state;
}

/* A message is a memory write, so the function has to be a bus master in D0. */
static int qemu_ep_irqs_check(u32 state, unsigned int type, u16 num)
{
	u32 count = type == PCI_IRQ_MSI ? FIELD_GET(QEMU_EP_IRQ_MSI, state) :
					  FIELD_GET(QEMU_EP_IRQ_MSIX, state);

	if (!count || !(state & QEMU_EP_IRQ_MASTER))
		return -EOPNOTSUPP;
	return num && num <= count ? 0 : -EINVAL;
}

int qemu_ep_raise_message(struct qemu_ep *ep, u8 page, unsigned int type,
			  u16 num)
{
	u32 area, state;
	int ret;

	switch (type) {
	case PCI_IRQ_MSI:
		area = EPC_RAISE_MSI(0);
		break;
	case PCI_IRQ_MSIX:
		area = EPC_RAISE_MSIX(0);
		break;
	default:
		return -EINVAL;
	}

	if (!qemu_ep_irqs_copy(ep, page, &state) ||
	    qemu_ep_irqs_check(state, type, num)) {
		ret = qemu_ep_irqs_check(qemu_ep_irqs_read(ep, page), type,
					 num);
		if (ret)
			return ret;
	}

	/*
	 * The host must see what the function stored to the window and to its
	 * BARs before the interrupt, also through a write-combining mapping.
	 */
	wmb();
	writel(1, qemu_ep_raise_regs(ep, page) + area + 4 * (num - 1));
	return 0;
}

/*
 * No function of the framework deasserts INTx by itself, so this is a pulse.
 * Other endpoint controllers wait for a millisecond before they deassert INTx
 * (pcie-rockchip-ep.c, pcie-cadence-ep.c).  Here the host's side of the link
 * keeps the level for as long as the host needs to see it.  A pause here would
 * depend on the load of this machine, and a host that sees the level for too
 * long disables the interrupt.
 */
int qemu_ep_raise_intx(struct qemu_ep *ep, u8 page)
{
	void __iomem *raise = qemu_ep_raise_regs(ep, page) + EPC_RAISE_INTX;
	u32 state;

	if (!READ_ONCE(ep->pages.int_pin[page]))
		return -EOPNOTSUPP;
	if (!qemu_ep_irqs_copy(ep, page, &state) ||
	    state & QEMU_EP_IRQ_NO_INTX)
		state = qemu_ep_irqs_read(ep, page);
	if (state & QEMU_EP_IRQ_NO_INTX)
		return -EOPNOTSUPP;

	/* See qemu_ep_raise_message(). */
	wmb();
	writel(1, raise);
	writel(0, raise);
	return 0;
}

/* The device asserts the pin when the host allows it, see EPC_RAISE_INTX. */
int qemu_ep_set_intx(struct qemu_ep *ep, u8 page, bool asserted)
{
	if (!READ_ONCE(ep->pages.int_pin[page]))
		return -EOPNOTSUPP;

	/* See qemu_ep_raise_message(). */
	wmb();
	writel(asserted, qemu_ep_raise_regs(ep, page) + EPC_RAISE_INTX);
	return 0;
}
