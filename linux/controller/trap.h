/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Traps: accesses of the host that endpoint functions answer
 */
#ifndef PCIE_QEMU_EP_TRAP_H
#define PCIE_QEMU_EP_TRAP_H

#include <linux/mutex.h>
#include <linux/types.h>

#include <hw/pci-ep/pci-epc-regs.h>

struct pci_epc;
struct pci_epc_ext_trap_ops;
struct qemu_ep;

/**
 * struct qemu_ep_trap - the trap of one register page
 * @ep: the controller
 * @page: index of the register page
 * @vector: MSI-X vector
 * @irq: interrupt number of @vector
 * @ops: operations of the function, NULL without a trap
 * @data: passed to @ops
 * @consumed: number of records that were handled, modulo 2^32; used by the
 *	thread of the interrupt, and by qemu_ep_untrap() after it has ended
 */
struct qemu_ep_trap {
	struct qemu_ep *ep;
	u8 page;
	u32 vector;
	int irq;
	const struct pci_epc_ext_trap_ops *ops;
	void *data;
	u32 consumed;
};

/**
 * struct qemu_ep_traps - the traps of a controller
 * @base: offset of the ring of page 0
 * @stride: distance between the rings of two pages
 * @size: number of records in a ring, 0 without the feature or without vectors
 * @lock: serialises changes of the traps; guards @closed
 * @closed: no function gets a trap any more
 * @trap: by page
 */
struct qemu_ep_traps {
	u32 base;
	u32 stride;
	u32 size;
	struct mutex lock;	/* changes of the traps */
	bool closed;
	struct qemu_ep_trap trap[EPC_MAX_FUNCTIONS];
};

/* Makes the lock, so that the other functions of this file can be called. */
void qemu_ep_traps_init(struct qemu_ep *ep);

/**
 * qemu_ep_traps_exit() - remove all traps
 * @ep: the controller, whose link is stopped
 *
 * When it returns no operation of a function runs, and none comes any more.
 * Called before qemu_ep_ext_exit(), after which functions may be gone.
 */
void qemu_ep_traps_exit(struct qemu_ep *ep);

/**
 * qemu_ep_traps_restore() - enable the traps that functions have
 * @ep: the controller, which was just reset
 */
void qemu_ep_traps_restore(struct qemu_ep *ep);

/* Operations of struct pci_epc_ext_ops */
int qemu_ep_trap(struct pci_epc *epc, u8 func, u8 vfunc,
		 const struct pci_epc_ext_trap_ops *ops, void *data,
		 dma_addr_t *target);
int qemu_ep_untrap(struct pci_epc *epc, u8 func, u8 vfunc);

#endif /* PCIE_QEMU_EP_TRAP_H */
