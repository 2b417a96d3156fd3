/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOE mailboxes: objects of the host that endpoint functions answer
 */
#ifndef PCIE_QEMU_EP_DOE_H
#define PCIE_QEMU_EP_DOE_H

#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include <hw/pci-ep/pci-epc-regs.h>

#include "pci-epc-ext.h"

struct pci_epc;
struct qemu_ep;

/**
 * struct qemu_ep_doe_protocol - a type of objects that a function takes
 * @vid: vendor id
 * @type: type of the vendor
 * @handler: handler of the function, NULL if the entry is free
 * @data: passed to @handler
 */
struct qemu_ep_doe_protocol {
	u16 vid;
	u8 type;
	pci_epc_ext_doe_handler_t handler;
	void *data;
};

/**
 * struct qemu_ep_doe - the mailbox of one register page
 * @ep: the controller
 * @page: index of the register page
 * @lock: protects @closed, @protocol and @buf; no handler is called inside it
 * @closed: no function takes an object any more
 * @protocol: by EPC_FN_DOE_PROTOCOL(n)
 * @buf: what the device copies from and to, EPC_DOE_COPY_MAX dwords; allocated
 *	with the first protocol
 * @dma: its DMA address
 * @run: held by @work while it answers an object, so also while a handler runs.
 *	@lock is taken inside it.
 * @work: answers the object that waits
 */
struct qemu_ep_doe {
	struct qemu_ep *ep;
	u8 page;
	struct mutex lock;	/* protocols */
	bool closed;
	struct qemu_ep_doe_protocol protocol[EPC_DOE_PROTOCOLS];
	void *buf;
	dma_addr_t dma;
	struct mutex run;	/* the object that is answered */
	struct work_struct work;
};

/* Makes the locks, so that the other functions of this file can be called. */
void qemu_ep_doe_init(struct qemu_ep *ep);

/* Undoes qemu_ep_doe_init(). */
void qemu_ep_doe_destroy(struct qemu_ep *ep);

/**
 * qemu_ep_doe_exit() - take no object any more
 * @ep: the controller, whose link is stopped and which has no interrupt
 *
 * When it returns no handler of a function runs, and none comes any more.
 * Called before qemu_ep_ext_exit(), after which functions may be gone.
 */
void qemu_ep_doe_exit(struct qemu_ep *ep);

/**
 * qemu_ep_doe_restore() - tell the device the protocols that functions have
 * @ep: the controller, which was just reset
 */
void qemu_ep_doe_restore(struct qemu_ep *ep);

/**
 * qemu_ep_doe_release() - forget the protocols of a function
 * @ep: the controller
 * @page: index of the register page
 *
 * When it returns no handler of the function runs.
 */
void qemu_ep_doe_release(struct qemu_ep *ep, u8 page);

/**
 * qemu_ep_doe_event() - an object may wait
 * @ep: the controller
 * @page: index of the register page
 */
void qemu_ep_doe_event(struct qemu_ep *ep, u8 page);

/* Operations of struct pci_epc_ext_ops */
int qemu_ep_doe_register(struct pci_epc *epc, u8 func, u8 vfunc, u16 vid,
			 u8 type, pci_epc_ext_doe_handler_t handler,
			 void *data);
int qemu_ep_doe_unregister(struct pci_epc *epc, u8 func, u8 vfunc, u16 vid,
			   u8 type);

#endif /* PCIE_QEMU_EP_DOE_H */
