/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of pci-epc-ext share
 *
 * pci-epc-ext.c  registration, handles, events, doorbells
 * calls.c        calls that go to the driver of the controller as they are
 */
#ifndef PCI_EPC_EXT_PRIVATE_H
#define PCI_EPC_EXT_PRIVATE_H

#include <linux/cleanup.h>
#include <linux/kfifo.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>

#include "pci-epc-ext.h"

/*
 * A power of two.  Events that do not fit are lost, and the function gets
 * PCI_EPC_EXT_LOST.
 */
#define PCI_EPC_EXT_QUEUE	512

/**
 * struct pci_epc_ext - a registered controller
 * @epc: the controller
 * @ops: operations of its driver, NULL after pci_epc_ext_unregister()
 * @ref: a reference of the driver and one of each function
 * @node: in pci_epc_ext_controllers
 * @lock: protects @funcs and the queue, @irq_state, @lost and @gone of
 *	each of them
 * @funcs: functions that have a handle
 */
struct pci_epc_ext {
	struct pci_epc *epc;
	const struct pci_epc_ext_ops *ops;
	struct kref ref;
	struct list_head node;
	spinlock_t lock;	/* funcs and their queues */
	struct list_head funcs;
};

/**
 * struct pci_epc_ext_func - the handle of a function
 * @ext: the controller
 * @func_no: function number
 * @vfunc_no: virtual function number
 * @handler: handler of events, or NULL
 * @data: passed to @handler
 * @node: in pci_epc_ext.funcs
 * @work: calls @handler
 * @queue: events that were not handled yet
 * @irq_state: PCI_EPC_EXT_IRQ_STATE is in @queue
 * @lost: events were lost after the last one in @queue
 * @gone: PCI_EPC_EXT_GONE was not delivered yet
 * @doorbell_lock: protects @doorbells
 * @doorbells: doorbells of the function
 */
struct pci_epc_ext_func {
	struct pci_epc_ext *ext;
	u8 func_no;
	u8 vfunc_no;
	pci_epc_ext_handler_t handler;
	void *data;
	struct list_head node;
	struct work_struct work;
	DECLARE_KFIFO(queue, struct pci_epc_ext_event, PCI_EPC_EXT_QUEUE);
	bool irq_state;
	bool lost;
	bool gone;
	struct mutex doorbell_lock;	/* doorbells */
	struct list_head doorbells;
};

/* Calls into drivers of controllers are its readers. */
extern struct srcu_struct pci_epc_ext_srcu;

/*
 * Calls an operation of the driver of @_func's controller, which gets the
 * controller and the arguments.  The value is that of the operation, -ENODEV
 * after pci_epc_ext_unregister(), or -EOPNOTSUPP if the driver does not have
 * it.
 */
#define pci_epc_ext_call(_func, _op, ...)				\
({									\
	struct pci_epc_ext *_ext = (_func)->ext;			\
	const struct pci_epc_ext_ops *_ops;				\
	int _ret = -ENODEV;						\
									\
	guard(srcu)(&pci_epc_ext_srcu);					\
	_ops = READ_ONCE(_ext->ops);					\
	if (_ops) {							\
		__auto_type _call = (*_ops)._op;			\
									\
		_ret = _call ? _call(_ext->epc, ##__VA_ARGS__) :	\
			       -EOPNOTSUPP;				\
	}								\
	_ret;								\
})

#endif /* PCI_EPC_EXT_PRIVATE_H */
