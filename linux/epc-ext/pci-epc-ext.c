// SPDX-License-Identifier: GPL-2.0
/*
 * Extensions of the endpoint framework: doorbells, trapped BARs, DMA,
 * capabilities, data objects, events
 *
 * This module passes calls of endpoint functions to the driver of their
 * controller and events of the driver to the functions, see pci-epc-ext.h.  It
 * works with any controller.
 *
 * A call of a function into a driver is an SRCU reader.  It may sleep or come
 * from an interrupt handler, and pci_epc_ext_unregister() waits for it.
 *
 * Each function has a queue of events.  So a driver may report an event in any
 * context, and a slow handler delays no other function.
 *
 * Locks, in this order: pci_epc_ext_lock, pci_epc_ext_func.doorbell_lock,
 * pci_epc_ext.lock.
 */
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/kfifo.h>
#include <linux/kref.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci-epc.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>

#include "private.h"

/* Protects pci_epc_ext_controllers; held in registration, open and close */
static DEFINE_MUTEX(pci_epc_ext_lock);
static LIST_HEAD(pci_epc_ext_controllers);
static struct workqueue_struct *pci_epc_ext_wq;
DEFINE_SRCU(pci_epc_ext_srcu);

static struct pci_epc_ext *pci_epc_ext_find(struct pci_epc *epc)
{
	struct pci_epc_ext *ext;

	lockdep_assert_held(&pci_epc_ext_lock);

	list_for_each_entry(ext, &pci_epc_ext_controllers, node)
		if (ext->epc == epc)
			return ext;
	return NULL;
}

static void pci_epc_ext_free(struct kref *ref)
{
	kfree(container_of(ref, struct pci_epc_ext, ref));
}

/* ---- Events ---- */

/*
 * PCI_EPC_EXT_LOST follows the events that were queued before the loss, and no
 * event is queued until it is delivered.  PCI_EPC_EXT_GONE is the last event.
 */
static bool pci_epc_ext_next_event(struct pci_epc_ext_func *func,
				   struct pci_epc_ext_event *event)
{
	guard(spinlock_irqsave)(&func->ext->lock);
	if (kfifo_get(&func->queue, event)) {
		if (event->type == PCI_EPC_EXT_IRQ_STATE)
			func->irq_state = false;
		return true;
	}

	*event = (struct pci_epc_ext_event){ };
	if (func->lost) {
		event->type = PCI_EPC_EXT_LOST;
		func->lost = false;
		return true;
	}
	if (func->gone) {
		event->type = PCI_EPC_EXT_GONE;
		func->gone = false;
		return true;
	}
	return false;
}

static void pci_epc_ext_work(struct work_struct *work)
{
	struct pci_epc_ext_func *func =
		container_of(work, struct pci_epc_ext_func, work);
	struct pci_epc_ext_event event;

	while (pci_epc_ext_next_event(func, &event))
		func->handler(func->data, &event);
}

/* A host can mask and unmask without end; that must not fill the queue. */
static void pci_epc_ext_queue(struct pci_epc_ext_func *func,
			      const struct pci_epc_ext_event *event)
{
	bool irq_state = event->type == PCI_EPC_EXT_IRQ_STATE;

	lockdep_assert_held(&func->ext->lock);

	if (func->lost || (irq_state && func->irq_state))
		return;
	func->lost = !kfifo_put(&func->queue, *event);
	if (irq_state && !func->lost)
		func->irq_state = true;
}

/**
 * pci_epc_ext_notify() - report an event to a function
 * @ext: the controller
 * @func_no: function number
 * @vfunc_no: virtual function number
 * @event: the event, which is copied
 *
 * Nothing happens if the function has no handle.
 *
 * Context: any, also with locks of the driver held.
 */
void pci_epc_ext_notify(struct pci_epc_ext *ext, u8 func_no, u8 vfunc_no,
			const struct pci_epc_ext_event *event)
{
	struct pci_epc_ext_func *func;

	guard(spinlock_irqsave)(&ext->lock);
	list_for_each_entry(func, &ext->funcs, node) {
		if (func->func_no != func_no || func->vfunc_no != vfunc_no ||
		    !func->handler)
			continue;
		pci_epc_ext_queue(func, event);
		queue_work(pci_epc_ext_wq, &func->work);
	}
}
EXPORT_SYMBOL_GPL(pci_epc_ext_notify);

/* ---- Drivers of controllers ---- */

/**
 * pci_epc_ext_register() - offer extensions of a controller
 * @epc: the controller.  Register before pci_epc_init_notify(), so that
 *	functions find it in epc_init().
 * @ops: operations of the driver
 *
 * Context: process context, may sleep.
 *
 * Return: the registration, or an ERR_PTR(): -EBUSY if the controller is
 * already registered, -ENOMEM.
 */
struct pci_epc_ext *pci_epc_ext_register(struct pci_epc *epc,
					 const struct pci_epc_ext_ops *ops)
{
	struct pci_epc_ext *ext = kzalloc(sizeof(*ext), GFP_KERNEL);

	if (!ext)
		return ERR_PTR(-ENOMEM);

	guard(mutex)(&pci_epc_ext_lock);
	if (pci_epc_ext_find(epc)) {
		kfree(ext);
		return ERR_PTR(-EBUSY);
	}
	ext->epc = epc;
	ext->ops = ops;
	kref_init(&ext->ref);
	spin_lock_init(&ext->lock);
	INIT_LIST_HEAD(&ext->funcs);
	list_add_tail(&ext->node, &pci_epc_ext_controllers);
	return ext;
}
EXPORT_SYMBOL_GPL(pci_epc_ext_register);

static void pci_epc_ext_notify_gone(struct pci_epc_ext_func *func)
{
	scoped_guard(spinlock_irqsave, &func->ext->lock)
		func->gone = true;
	if (!func->handler)
		return;
	queue_work(pci_epc_ext_wq, &func->work);
	flush_work(&func->work);
}

/**
 * pci_epc_ext_unregister() - the controller goes away
 * @ext: as returned by pci_epc_ext_register()
 *
 * Functions that still have a handle get PCI_EPC_EXT_GONE, and have released
 * their interrupts when this returns.  No operation runs or begins afterwards.
 * Call it when pci_epc_ext_notify() is not called any more, and before
 * interrupts and registers are released.
 *
 * Context: process context, may sleep, without epc->lock and without any lock
 * that an operation takes.
 */
void pci_epc_ext_unregister(struct pci_epc_ext *ext)
{
	struct pci_epc_ext_func *func;

	mutex_lock(&pci_epc_ext_lock);
	list_del(&ext->node);
	list_for_each_entry(func, &ext->funcs, node)
		pci_epc_ext_notify_gone(func);
	WRITE_ONCE(ext->ops, NULL);
	mutex_unlock(&pci_epc_ext_lock);

	synchronize_srcu(&pci_epc_ext_srcu);
	kref_put(&ext->ref, pci_epc_ext_free);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_unregister);

/* ---- Functions ---- */

static bool pci_epc_ext_has_func(struct pci_epc_ext *ext, u8 func_no,
				 u8 vfunc_no)
{
	struct pci_epc_ext_func *func;

	lockdep_assert_held(&pci_epc_ext_lock);

	list_for_each_entry(func, &ext->funcs, node)
		if (func->func_no == func_no && func->vfunc_no == vfunc_no)
			return true;
	return false;
}

static struct pci_epc_ext_func *pci_epc_ext_new_func(struct pci_epc_ext *ext,
						     u8 func_no, u8 vfunc_no)
{
	struct pci_epc_ext_func *func = kzalloc(sizeof(*func), GFP_KERNEL);

	if (!func)
		return NULL;
	kref_get(&ext->ref);
	func->ext = ext;
	func->func_no = func_no;
	func->vfunc_no = vfunc_no;
	INIT_WORK(&func->work, pci_epc_ext_work);
	INIT_KFIFO(func->queue);
	mutex_init(&func->doorbell_lock);
	INIT_LIST_HEAD(&func->doorbells);
	return func;
}

/**
 * pci_epc_ext_open() - use extensions of the controller of a function
 * @epc: the controller the function is linked to
 * @func_no: function number
 * @vfunc_no: virtual function number
 * @handler: handler of events from now on, or NULL
 * @data: passed to @handler
 *
 * Context: process context, may sleep, with any lock of the framework or none.
 *
 * Return: a handle, or an ERR_PTR(): -EOPNOTSUPP if the controller has no
 * extensions, -EBUSY if the function already has a handle, -ENOMEM.
 */
struct pci_epc_ext_func *pci_epc_ext_open(struct pci_epc *epc, u8 func_no,
					  u8 vfunc_no,
					  pci_epc_ext_handler_t handler,
					  void *data)
{
	struct pci_epc_ext_func *func;
	struct pci_epc_ext *ext;

	guard(mutex)(&pci_epc_ext_lock);
	ext = pci_epc_ext_find(epc);
	if (!ext)
		return ERR_PTR(-EOPNOTSUPP);
	if (pci_epc_ext_has_func(ext, func_no, vfunc_no))
		return ERR_PTR(-EBUSY);

	func = pci_epc_ext_new_func(ext, func_no, vfunc_no);
	if (!func)
		return ERR_PTR(-ENOMEM);
	func->handler = handler;
	func->data = data;

	guard(spinlock_irqsave)(&ext->lock);
	list_add_tail(&func->node, &ext->funcs);
	return func;
}
EXPORT_SYMBOL_GPL(pci_epc_ext_open);

static void pci_epc_ext_drop_doorbell(struct pci_epc_ext_doorbell *db)
{
	const struct pci_epc_ext_ops *ops;
	struct pci_epc_ext *ext = db->func->ext;

	lockdep_assert_held(&db->func->doorbell_lock);

	list_del(&db->node);
	scoped_guard(srcu, &pci_epc_ext_srcu) {
		ops = READ_ONCE(ext->ops);
		if (ops && ops->free_doorbell)
			ops->free_doorbell(ext->epc, db);
	}
	kfree(db);
}

static void pci_epc_ext_release(struct pci_epc_ext_func *func)
{
	const struct pci_epc_ext_ops *ops;
	struct pci_epc_ext *ext = func->ext;

	guard(srcu)(&pci_epc_ext_srcu);
	ops = READ_ONCE(ext->ops);
	if (ops && ops->release)
		ops->release(ext->epc, func->func_no, func->vfunc_no);
}

/**
 * pci_epc_ext_close() - release a handle
 * @func: the handle; NULL and ERR_PTR() do nothing
 *
 * When it returns neither the handler, nor a handler of data objects, nor an
 * operation of the function's trap runs any more.  It frees the doorbells that
 * the function still has, so release their interrupts first.  The capabilities
 * of the function are removed before another function is configured in its
 * place.
 *
 * Context: process context, may sleep, with any lock of the framework or none.
 * Not from a handler, and not with a lock that a handler takes.
 */
void pci_epc_ext_close(struct pci_epc_ext_func *func)
{
	struct pci_epc_ext_doorbell *db, *tmp;
	struct pci_epc_ext *ext;

	if (IS_ERR_OR_NULL(func))
		return;

	ext = func->ext;
	mutex_lock(&pci_epc_ext_lock);
	scoped_guard(spinlock_irqsave, &ext->lock)
		list_del(&func->node);
	mutex_unlock(&pci_epc_ext_lock);
	cancel_work_sync(&func->work);
	pci_epc_ext_untrap(func);

	mutex_lock(&func->doorbell_lock);
	list_for_each_entry_safe(db, tmp, &func->doorbells, node)
		pci_epc_ext_drop_doorbell(db);
	mutex_unlock(&func->doorbell_lock);
	pci_epc_ext_release(func);

	mutex_destroy(&func->doorbell_lock);
	kfree(func);
	kref_put(&ext->ref, pci_epc_ext_free);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_close);

/**
 * pci_epc_ext_alloc_doorbell() - allocate a doorbell
 * @func: the handle
 * @flags: PCI_EPC_EXT_DOORBELL_VALUE or 0.  With the flag, allocate the
 *	doorbell before it is the target of a BAR.
 *
 * It interrupts once it is the target of a BAR, which
 * &struct pci_epc_ext_doorbell describes.
 *
 * Context: process context, may sleep.
 *
 * Return: the doorbell, or an ERR_PTR(): -ENOSPC if all are in use, -EOPNOTSUPP
 * if the controller has none or does not know a flag, -ENODEV if the controller
 * has gone, -ENOMEM.
 */
struct pci_epc_ext_doorbell *
pci_epc_ext_alloc_doorbell(struct pci_epc_ext_func *func, unsigned int flags)
{
	struct pci_epc_ext_doorbell *db = kzalloc(sizeof(*db), GFP_KERNEL);
	int ret;

	if (!db)
		return ERR_PTR(-ENOMEM);
	db->func = func;

	guard(mutex)(&func->doorbell_lock);
	ret = pci_epc_ext_call(func, alloc_doorbell, func->func_no,
			       func->vfunc_no, flags, db);
	if (ret) {
		kfree(db);
		return ERR_PTR(ret);
	}
	list_add_tail(&db->node, &func->doorbells);
	return db;
}
EXPORT_SYMBOL_GPL(pci_epc_ext_alloc_doorbell);

/**
 * pci_epc_ext_free_doorbell() - free a doorbell
 * @doorbell: the doorbell, its interrupt released; NULL and ERR_PTR() do
 *	nothing
 *
 * Context: process context, may sleep.
 */
void pci_epc_ext_free_doorbell(struct pci_epc_ext_doorbell *doorbell)
{
	struct pci_epc_ext_func *func;

	if (IS_ERR_OR_NULL(doorbell))
		return;
	func = doorbell->func;
	guard(mutex)(&func->doorbell_lock);
	pci_epc_ext_drop_doorbell(doorbell);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_free_doorbell);

/**
 * pci_epc_ext_read_doorbell() - get the value that the host wrote last
 * @doorbell: the doorbell, allocated with PCI_EPC_EXT_DOORBELL_VALUE
 * @value: set to the value, zero if the host has not written yet
 *
 * Writes that come faster than the interrupt is handled cause one interrupt,
 * and the value is that of the last write.
 *
 * Context: any, usually the interrupt handler.
 *
 * Return: 0, -EOPNOTSUPP if the doorbell keeps no value, -ENODEV if the
 * controller has gone.
 */
int pci_epc_ext_read_doorbell(struct pci_epc_ext_doorbell *doorbell, u32 *value)
{
	if (!doorbell->has_value)
		return -EOPNOTSUPP;
	return pci_epc_ext_call(doorbell->func, read_doorbell, doorbell, value);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_read_doorbell);

static int __init pci_epc_ext_init(void)
{
	pci_epc_ext_wq = alloc_workqueue("pci-epc-ext", WQ_UNBOUND, 0);
	return pci_epc_ext_wq ? 0 : -ENOMEM;
}
module_init(pci_epc_ext_init);

static void __exit pci_epc_ext_exit(void)
{
	destroy_workqueue(pci_epc_ext_wq);
}
module_exit(pci_epc_ext_exit);

MODULE_DESCRIPTION("Extensions of the PCI endpoint framework");
MODULE_LICENSE("GPL");
