// SPDX-License-Identifier: GPL-2.0
/*
 * Traps: accesses of the host that endpoint functions answer
 *
 * The device puts a record of each access to a trapped BAR into a ring, which is
 * memory of the device, and raises the vector of the ring.  The thread of that
 * interrupt calls the operations of the function, one after the other.  A record
 * of a read gets its result, and the host gets it when the record is consumed.
 */
#include <linux/bitfield.h>
#include <linux/cleanup.h>
#include <linux/interrupt.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/pci-epc.h>

#include "controller.h"
#include "pci-epc-ext.h"

/* EPC_TRAP_INFO */
#define QEMU_EP_TRAP_TYPE	GENMASK(7, 0)
#define QEMU_EP_TRAP_BAR	GENMASK(15, 8)
#define QEMU_EP_TRAP_BYTES	GENMASK(23, 16)

static void __iomem *qemu_ep_trap_record(struct qemu_ep_trap *t)
{
	struct qemu_ep_traps *traps = &t->ep->traps;
	u32 index = t->consumed & (traps->size - 1);

	return t->ep->regs + traps->base + t->page * traps->stride +
	       index * EPC_TRAP_RECORD_SIZE;
}

/* Handles one record.  Returns true if the host waits for its result. */
static bool qemu_ep_trap_handle(struct qemu_ep_trap *t, void __iomem *record)
{
	u32 info = readl(record + EPC_TRAP_INFO);
	u64 offset = readq(record + EPC_TRAP_OFFSET);
	u32 bar = FIELD_GET(QEMU_EP_TRAP_BAR, info);
	u32 size = FIELD_GET(QEMU_EP_TRAP_BYTES, info);

	switch (FIELD_GET(QEMU_EP_TRAP_TYPE, info)) {
	case EPC_TRAP_READ:
		writeq(t->ops->read(t->data, bar, offset, size),
		       record + EPC_TRAP_VALUE);
		return true;
	case EPC_TRAP_WRITE:
		t->ops->write(t->data, bar, offset, size,
			      readq(record + EPC_TRAP_VALUE));
		return false;
	case EPC_TRAP_RESET:
		if (t->ops->reset)
			t->ops->reset(t->data);
		return false;
	default:
		dev_warn_once(qemu_ep_parent(t->ep),
			      "function page %u: unknown trap record %#x\n",
			      t->page, info);
		return true;
	}
}

/*
 * Handles the records that are there, as many as a ring has at most.  The host
 * waits for the consumption of a read, and for room in a full ring, so the other
 * records are consumed together.
 *
 * Returns true if there may be more.
 */
static bool qemu_ep_trap_run(struct qemu_ep_trap *t)
{
	void __iomem *regs = qemu_ep_page_regs(t->ep, t->page);
	u32 batch = t->ep->traps.size / 4;
	u32 end = t->consumed + t->ep->traps.size;
	u32 left = 0;

	for (;;) {
		void __iomem *record = qemu_ep_trap_record(t);
		bool more = t->consumed != end &&
			    readl(record + EPC_TRAP_SEQUENCE) ==
			    t->consumed + 1;
		bool waited = more && qemu_ep_trap_handle(t, record);

		if (more) {
			t->consumed++;
			left++;
		}
		if (left && (!more || waited || left >= batch)) {
			writel(t->consumed, regs + EPC_FN_TRAP_CONSUMER);
			left = 0;
		}
		if (!more)
			return t->consumed == end;
	}
}

/*
 * The thread of the interrupt.  It ends its turn also when the host goes on for
 * ever, since free_irq() waits for it.
 */
static irqreturn_t qemu_ep_trap_irq(int irq, void *data)
{
	if (qemu_ep_trap_run(data))
		irq_wake_thread(irq, data);
	return IRQ_HANDLED;
}

static void qemu_ep_trap_enable(struct qemu_ep_trap *t)
{
	void __iomem *regs = qemu_ep_page_regs(t->ep, t->page);

	t->consumed = 0;
	writel(t->vector, regs + EPC_FN_TRAP_VECTOR);
	writel(EPC_FN_TRAP_ENABLE, regs + EPC_FN_TRAP_CTRL);
}

/*
 * Handles what is in the ring.  A host that goes on meanwhile does not make this
 * longer.  It gets all ones from now on.
 */
static void qemu_ep_trap_disable(struct qemu_ep_trap *t)
{
	free_irq(t->irq, t);
	qemu_ep_trap_run(t);
	writel(0, qemu_ep_page_regs(t->ep, t->page) + EPC_FN_TRAP_CTRL);
	t->ops = NULL;
}

int qemu_ep_trap(struct pci_epc *epc, u8 func, u8 vfunc,
		 const struct pci_epc_ext_trap_ops *ops, void *data,
		 dma_addr_t *target)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	struct qemu_ep_trap *t;
	int ret;

	if (!qemu_ep_has_func(ep, func, vfunc))
		return -EINVAL;
	t = &ep->traps.trap[qemu_ep_page(ep, func, vfunc)];

	guard(mutex)(&ep->traps.lock);
	if (!ep->traps.size || ep->traps.closed)
		return -EOPNOTSUPP;
	if (t->ops)
		return -EBUSY;
	t->ops = ops;
	t->data = data;
	ret = request_threaded_irq(t->irq, NULL, qemu_ep_trap_irq,
				   IRQF_ONESHOT, "pci-epc-trap", t);
	if (ret) {
		t->ops = NULL;
		return ret;
	}
	qemu_ep_trap_enable(t);
	*target = EPC_ADDR_TRAP;
	return 0;
}

int qemu_ep_untrap(struct pci_epc *epc, u8 func, u8 vfunc)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	struct qemu_ep_trap *t;

	if (!qemu_ep_has_func(ep, func, vfunc))
		return -EINVAL;
	t = &ep->traps.trap[qemu_ep_page(ep, func, vfunc)];

	guard(mutex)(&ep->traps.lock);
	if (!t->ops)
		return -EINVAL;
	qemu_ep_trap_disable(t);
	return 0;
}

void qemu_ep_traps_init(struct qemu_ep *ep)
{
	u8 page;

	mutex_init(&ep->traps.lock);
	for (page = 0; page < EPC_MAX_FUNCTIONS; page++) {
		ep->traps.trap[page].ep = ep;
		ep->traps.trap[page].page = page;
	}
}

void qemu_ep_traps_exit(struct qemu_ep *ep)
{
	u8 page;

	guard(mutex)(&ep->traps.lock);
	ep->traps.closed = true;
	for (page = 0; page < ep->layout.page_count; page++)
		if (ep->traps.trap[page].ops)
			qemu_ep_trap_disable(&ep->traps.trap[page]);
}

void qemu_ep_traps_restore(struct qemu_ep *ep)
{
	u8 page;

	guard(mutex)(&ep->traps.lock);
	for (page = 0; page < ep->layout.page_count; page++)
		if (ep->traps.trap[page].ops)
			qemu_ep_trap_enable(&ep->traps.trap[page]);
}
