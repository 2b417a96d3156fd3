/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Interrupts that endpoint functions raise in the host
 */
#ifndef PCIE_QEMU_EP_IRQ_H
#define PCIE_QEMU_EP_IRQ_H

#include <linux/atomic.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include <hw/pci-ep/pci-epc-regs.h>

struct qemu_ep;

/**
 * struct qemu_ep_irqs - copy of what the host has enabled
 * @epoch: grows by one with each EPC_VECTOR_EVENT; a copy of another epoch must
 *	not be used
 * @lock: serialises those that store to @state.  Who needs qemu_ep.cmd.lock as
 *	well takes that one first.
 * @state: for each page the epoch for which its copy holds (bits 63:32) and the
 *	copy, which condenses four registers (bits 31:0, QEMU_EP_IRQ_*)
 */
struct qemu_ep_irqs {
	atomic_t epoch;
	struct mutex lock;	/* stores to state */
	atomic64_t state[EPC_MAX_FUNCTIONS];
};

void qemu_ep_irqs_init(struct qemu_ep *ep);

/**
 * qemu_ep_irqs_invalidate() - stop using the copies
 * @ep: the controller
 *
 * Called by the hard interrupt handler of EPC_VECTOR_EVENT.
 */
void qemu_ep_irqs_invalidate(struct qemu_ep *ep);

/**
 * qemu_ep_irqs_epoch() - epoch for a later qemu_ep_irqs_update()
 * @ep: the controller
 *
 * Called by the thread of EPC_VECTOR_EVENT before it reads any event.
 *
 * Return: the epoch.
 */
u32 qemu_ep_irqs_epoch(struct qemu_ep *ep);

/**
 * qemu_ep_irqs_update() - make the copies usable again
 * @ep: the controller
 * @epoch: from qemu_ep_irqs_epoch()
 * @changed: bit n: page n had an event that the caller has cleared since it
 *	took @epoch
 *
 * Called by the thread of EPC_VECTOR_EVENT once it has cleared the events.
 */
void qemu_ep_irqs_update(struct qemu_ep *ep, u32 epoch, unsigned long changed);

/**
 * qemu_ep_irqs_reread() - renew the copy of one page
 * @ep: the controller
 * @page: index of the register page
 *
 * Called after a command of this driver that changes the registers, since the
 * device reports only changes that the host makes.  Context: process context.
 */
void qemu_ep_irqs_reread(struct qemu_ep *ep, u8 page);

/**
 * qemu_ep_irqs_msi() - vectors that the host has enabled for MSI
 * @ep: the controller
 * @page: index of the register page
 *
 * Context: any.
 *
 * Return: the number, 0 while MSI is disabled.
 */
u32 qemu_ep_irqs_msi(struct qemu_ep *ep, u8 page);

/**
 * qemu_ep_irqs_msix() - size of the MSI-X table that the host has enabled
 * @ep: the controller
 * @page: index of the register page
 *
 * Context: any.
 *
 * Return: the size, 0 while MSI-X is disabled.
 */
u32 qemu_ep_irqs_msix(struct qemu_ep *ep, u8 page);

/**
 * qemu_ep_irqs_msi_state() - has the host enabled or masked MSI @num?
 * @ep: the controller, with EPC_FEATURE_MASKS
 * @page: index of the register page
 * @num: number of the vector, from 1
 *
 * It reads registers, since their copies have no masks.  Context: any.
 *
 * Return: PCI_EPC_EXT_IRQ_*, or -EINVAL for a wrong number.
 */
int qemu_ep_irqs_msi_state(struct qemu_ep *ep, u8 page, u16 num);

/* The same for MSI-X @num.  The mask of the function masks all vectors. */
int qemu_ep_irqs_msix_state(struct qemu_ep *ep, u8 page, u16 num);

/**
 * qemu_ep_raise_intx() - send an INTx pulse to the host
 * @ep: the controller
 * @page: index of the register page
 *
 * Context: any.
 *
 * Return: 0, or -EOPNOTSUPP if the function has no interrupt pin or is not in
 * D0, or if the host has INTx disabled.
 */
int qemu_ep_raise_intx(struct qemu_ep *ep, u8 page);

/**
 * qemu_ep_set_intx() - set the level of INTx
 * @ep: the controller
 * @page: index of the register page
 * @asserted: assert it, or deassert it
 *
 * Context: any.
 *
 * Return: 0, or -EOPNOTSUPP if the function has no interrupt pin.
 */
int qemu_ep_set_intx(struct qemu_ep *ep, u8 page, bool asserted);

/**
 * qemu_ep_raise_message() - send an MSI or MSI-X message to the host
 * @ep: the controller
 * @page: index of the register page
 * @type: PCI_IRQ_MSI or PCI_IRQ_MSIX
 * @num: number of the vector, from 1.  The device keeps a masked vector
 *	pending.
 *
 * Context: any.
 *
 * Return: 0, -EOPNOTSUPP if the host has this type or bus mastering disabled
 * or the function is not in D0, -EINVAL for another type or for a number that
 * the host has not enabled.
 */
int qemu_ep_raise_message(struct qemu_ep *ep, u8 page, unsigned int type,
			  u16 num);

#endif /* PCIE_QEMU_EP_IRQ_H */
