// SPDX-License-Identifier: GPL-2.0
/*
 * Extensions of the endpoint framework: doorbells, capabilities, events
 *
 * Brings together the drivers of controllers and the endpoint functions, see
 * pci-epc-ext.h.  Knows nothing of any controller.
 *
 * Calls of a function into a driver are SRCU readers: pci_epc_ext_unregister()
 * waits for them, and they may sleep or come from an interrupt handler.
 *
 * Events go through a queue of the function, so that a driver may tell them from
 * any context and a slow handler keeps nobody else waiting.
 */
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/kfifo.h>
#include <linux/kref.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci-epc.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>

#include "pci-epc-ext.h"

/* Power of two; what does not fit is lost, which the function is told. */
#define QUEUE_EVENTS	512

/**
 * struct pci_epc_ext - a registered controller
 * @epc: the controller
 * @ops: what its driver offers; NULL once that has gone
 * @ref: one of the driver, one of each function
 * @node: in @controllers
 * @lock: protects @funcs and the queues of all of them
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
 * @handler: gets the events, or NULL
 * @data: for @handler
 * @node: in the list of @ext
 * @work: calls @handler
 * @queue: events that were not handled yet
 * @lost: events were lost after the last one in @queue
 * @gone: the end of the controller was not told yet
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
	DECLARE_KFIFO(queue, struct pci_epc_ext_event, QUEUE_EVENTS);
	bool lost;
	bool gone;
	struct mutex doorbell_lock;	/* doorbells */
	struct list_head doorbells;
};

/* Who is registered; held over registration, open and close */
static DEFINE_MUTEX(controllers_lock);
static LIST_HEAD(controllers);
static struct workqueue_struct *event_wq;
DEFINE_STATIC_SRCU(ops_srcu);

static struct pci_epc_ext *find_controller(struct pci_epc *epc)
{
	struct pci_epc_ext *ext;

	lockdep_assert_held(&controllers_lock);

	list_for_each_entry(ext, &controllers, node)
		if (ext->epc == epc)
			return ext;
	return NULL;
}

static void free_controller(struct kref *ref)
{
	kfree(container_of(ref, struct pci_epc_ext, ref));
}

/* What the driver offers; NULL when it has gone.  Valid as long as ops_srcu is held. */
static const struct pci_epc_ext_ops *driver_ops(struct pci_epc_ext_func *func)
{
	return READ_ONCE(func->ext->ops);
}

/* ---- Events ---- */

/*
 * The loss comes behind what was queued before it, and nothing is queued until it
 * is told; the end comes last.
 */
static bool next_event(struct pci_epc_ext_func *func,
		       struct pci_epc_ext_event *event)
{
	guard(spinlock_irqsave)(&func->ext->lock);
	if (kfifo_get(&func->queue, event))
		return true;

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

static void func_work(struct work_struct *work)
{
	struct pci_epc_ext_func *func =
		container_of(work, struct pci_epc_ext_func, work);
	struct pci_epc_ext_event event;

	while (next_event(func, &event))
		func->handler(func->data, &event);
}

/**
 * pci_epc_ext_notify() - tell a function of an event
 * @ext: the controller
 * @func_no: function number
 * @vfunc_no: virtual function number
 * @event: the event, which is copied
 *
 * Nothing happens when the function has no handle.
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
		if (!func->lost)
			func->lost = !kfifo_put(&func->queue, *event);
		queue_work(event_wq, &func->work);
	}
}
EXPORT_SYMBOL_GPL(pci_epc_ext_notify);

/* ---- Drivers of controllers ---- */

/**
 * pci_epc_ext_register() - offer extensions of a controller
 * @epc: the controller.  Register before pci_epc_init_notify(), so that
 *	functions find it in epc_init().
 * @ops: what the driver offers
 *
 * Context: process context, may sleep.
 *
 * Return: what the other calls of the driver take, or an ERR_PTR(): -EBUSY when
 * the controller is registered already, -ENOMEM.
 */
struct pci_epc_ext *pci_epc_ext_register(struct pci_epc *epc,
					 const struct pci_epc_ext_ops *ops)
{
	struct pci_epc_ext *ext = kzalloc(sizeof(*ext), GFP_KERNEL);

	if (!ext)
		return ERR_PTR(-ENOMEM);

	guard(mutex)(&controllers_lock);
	if (find_controller(epc)) {
		kfree(ext);
		return ERR_PTR(-EBUSY);
	}
	ext->epc = epc;
	ext->ops = ops;
	kref_init(&ext->ref);
	spin_lock_init(&ext->lock);
	INIT_LIST_HEAD(&ext->funcs);
	list_add_tail(&ext->node, &controllers);
	return ext;
}
EXPORT_SYMBOL_GPL(pci_epc_ext_register);

static void tell_gone(struct pci_epc_ext_func *func)
{
	scoped_guard(spinlock_irqsave, &func->ext->lock)
		func->gone = true;
	if (!func->handler)
		return;
	queue_work(event_wq, &func->work);
	flush_work(&func->work);
}

/**
 * pci_epc_ext_unregister() - the controller goes away
 * @ext: as returned by pci_epc_ext_register()
 *
 * Functions that still have a handle are told PCI_EPC_EXT_GONE and have let go of
 * their interrupts when this returns.  No operation runs or begins afterwards.
 * Call it when pci_epc_ext_notify() is not called any more, and before interrupts
 * and registers go.
 *
 * Context: process context, may sleep, without epc->lock and without any lock
 * that an operation takes.
 */
void pci_epc_ext_unregister(struct pci_epc_ext *ext)
{
	struct pci_epc_ext_func *func;

	mutex_lock(&controllers_lock);
	list_del(&ext->node);
	list_for_each_entry(func, &ext->funcs, node)
		tell_gone(func);
	WRITE_ONCE(ext->ops, NULL);
	mutex_unlock(&controllers_lock);

	synchronize_srcu(&ops_srcu);
	kref_put(&ext->ref, free_controller);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_unregister);

/* ---- Functions ---- */

static bool has_handle(struct pci_epc_ext *ext, u8 func_no, u8 vfunc_no)
{
	struct pci_epc_ext_func *func;

	list_for_each_entry(func, &ext->funcs, node)
		if (func->func_no == func_no && func->vfunc_no == vfunc_no)
			return true;
	return false;
}

static struct pci_epc_ext_func *new_func(struct pci_epc_ext *ext, u8 func_no,
					 u8 vfunc_no)
{
	struct pci_epc_ext_func *func = kzalloc(sizeof(*func), GFP_KERNEL);

	if (!func)
		return NULL;
	kref_get(&ext->ref);
	func->ext = ext;
	func->func_no = func_no;
	func->vfunc_no = vfunc_no;
	INIT_WORK(&func->work, func_work);
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
 * @handler: gets the events from now on, or NULL
 * @data: for @handler
 *
 * Context: process context, may sleep, with any lock of the framework or none.
 *
 * Return: a handle, or an ERR_PTR(): -EOPNOTSUPP when the controller has no
 * extensions, -EBUSY when the function has a handle already, -ENOMEM.
 */
struct pci_epc_ext_func *pci_epc_ext_open(struct pci_epc *epc, u8 func_no,
					  u8 vfunc_no,
					  pci_epc_ext_handler_t handler,
					  void *data)
{
	struct pci_epc_ext_func *func;
	struct pci_epc_ext *ext;

	guard(mutex)(&controllers_lock);
	ext = find_controller(epc);
	if (!ext)
		return ERR_PTR(-EOPNOTSUPP);
	if (has_handle(ext, func_no, vfunc_no))
		return ERR_PTR(-EBUSY);

	func = new_func(ext, func_no, vfunc_no);
	if (!func)
		return ERR_PTR(-ENOMEM);
	func->handler = handler;
	func->data = data;

	guard(spinlock_irqsave)(&ext->lock);
	list_add_tail(&func->node, &ext->funcs);
	return func;
}
EXPORT_SYMBOL_GPL(pci_epc_ext_open);

static void free_doorbell(struct pci_epc_ext_doorbell *db)
{
	const struct pci_epc_ext_ops *ops;

	lockdep_assert_held(&db->func->doorbell_lock);

	list_del(&db->node);
	scoped_guard(srcu, &ops_srcu) {
		ops = driver_ops(db->func);
		if (ops && ops->free_doorbell)
			ops->free_doorbell(db->func->ext->epc, db);
	}
	kfree(db);
}

static void release_func(struct pci_epc_ext_func *func)
{
	const struct pci_epc_ext_ops *ops;

	guard(srcu)(&ops_srcu);
	ops = driver_ops(func);
	if (ops && ops->release)
		ops->release(func->ext->epc, func->func_no, func->vfunc_no);
}

/**
 * pci_epc_ext_close() - be done with a handle
 * @func: the handle; NULL and ERR_PTR() do nothing
 *
 * The handler does not run any more when this returns.  Doorbells that are left
 * are freed: release their interrupts first.  The capabilities of the function
 * go before the next function is set up in its place.
 *
 * Context: process context, may sleep, with any lock of the framework or none;
 * not from the handler, nor with a lock it takes.
 */
void pci_epc_ext_close(struct pci_epc_ext_func *func)
{
	struct pci_epc_ext_doorbell *db, *tmp;
	struct pci_epc_ext *ext;

	if (IS_ERR_OR_NULL(func))
		return;

	ext = func->ext;
	mutex_lock(&controllers_lock);
	scoped_guard(spinlock_irqsave, &ext->lock)
		list_del(&func->node);
	mutex_unlock(&controllers_lock);
	cancel_work_sync(&func->work);

	mutex_lock(&func->doorbell_lock);
	list_for_each_entry_safe(db, tmp, &func->doorbells, node)
		free_doorbell(db);
	mutex_unlock(&func->doorbell_lock);
	release_func(func);

	mutex_destroy(&func->doorbell_lock);
	kfree(func);
	kref_put(&ext->ref, free_controller);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_close);

static int get_doorbell(struct pci_epc_ext_func *func, unsigned int flags,
			struct pci_epc_ext_doorbell *db)
{
	const struct pci_epc_ext_ops *ops;

	guard(srcu)(&ops_srcu);
	ops = driver_ops(func);
	if (!ops)
		return -ENODEV;
	if (!ops->alloc_doorbell)
		return -EOPNOTSUPP;
	return ops->alloc_doorbell(func->ext->epc, func->func_no,
				   func->vfunc_no, flags, db);
}

/**
 * pci_epc_ext_alloc_doorbell() - get a doorbell of one's own
 * @func: the handle
 * @flags: PCI_EPC_EXT_DOORBELL_VALUE or 0.  With the flag, allocate before a BAR
 *	leads to the doorbell.
 *
 * It interrupts once a BAR leads to it, see &struct pci_epc_ext_doorbell.
 *
 * Context: process context, may sleep.
 *
 * Return: the doorbell, or an ERR_PTR(): -ENOSPC when all are in use,
 * -EOPNOTSUPP when the controller has none or does not know a flag, -ENODEV when
 * the controller has gone, -ENOMEM.
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
	ret = get_doorbell(func, flags, db);
	if (ret) {
		kfree(db);
		return ERR_PTR(ret);
	}
	list_add_tail(&db->node, &func->doorbells);
	return db;
}
EXPORT_SYMBOL_GPL(pci_epc_ext_alloc_doorbell);

/**
 * pci_epc_ext_free_doorbell() - give a doorbell back
 * @doorbell: the doorbell, its interrupt released; NULL and ERR_PTR() do nothing
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
	free_doorbell(doorbell);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_free_doorbell);

/**
 * pci_epc_ext_read_doorbell() - what the host wrote last
 * @doorbell: the doorbell, allocated with PCI_EPC_EXT_DOORBELL_VALUE
 * @value: where to put it; zero when it was not rung yet
 *
 * Rings that come faster than their interrupt is handled become one, and the
 * value is that of the last.
 *
 * Context: any, usually the interrupt handler.
 *
 * Return: 0, -EOPNOTSUPP when the doorbell keeps no value, -ENODEV when the
 * controller has gone.
 */
int pci_epc_ext_read_doorbell(struct pci_epc_ext_doorbell *doorbell, u32 *value)
{
	const struct pci_epc_ext_ops *ops;

	if (!doorbell->has_value)
		return -EOPNOTSUPP;

	guard(srcu)(&ops_srcu);
	ops = driver_ops(doorbell->func);
	if (!ops)
		return -ENODEV;
	if (!ops->read_doorbell)
		return -EOPNOTSUPP;
	return ops->read_doorbell(doorbell->func->ext->epc, doorbell, value);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_read_doorbell);

/**
 * pci_epc_ext_add_cap() - add a capability, empty at first
 * @func: the handle
 * @cap: which
 *
 * Context: process context, may sleep; before the link is started.
 *
 * Return: offset of the capability in configuration space, or -EBUSY when the
 * link is started, -ENOSPC when there is no room, -EINVAL for an id that the
 * controller provides itself or a size that makes no sense, -EOPNOTSUPP,
 * -ENODEV when the controller has gone.
 */
int pci_epc_ext_add_cap(struct pci_epc_ext_func *func,
			const struct pci_epc_ext_cap *cap)
{
	const struct pci_epc_ext_ops *ops;

	if (!cap->extended && (cap->id > 0xff || cap->version))
		return -EINVAL;

	guard(srcu)(&ops_srcu);
	ops = driver_ops(func);
	if (!ops)
		return -ENODEV;
	if (!ops->add_cap)
		return -EOPNOTSUPP;
	return ops->add_cap(func->ext->epc, func->func_no, func->vfunc_no,
			    cap);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_add_cap);

static bool is_register(u16 offset, u8 size)
{
	return (size == 1 || size == 2 || size == 4) && !(offset % size);
}

/**
 * pci_epc_ext_write_config() - set a register of an added capability
 * @func: the handle
 * @offset: of the register in configuration space, past the capability's header
 * @size: 1, 2 or 4 bytes; @offset is a multiple of it
 * @value: what the host reads from now on
 * @host_mask: bits the host may write from now on
 *
 * Context: process context, may sleep; any time.
 *
 * Return: 0, -EINVAL when that is not inside an added capability, -EOPNOTSUPP,
 * -ENODEV when the controller has gone.
 */
int pci_epc_ext_write_config(struct pci_epc_ext_func *func, u16 offset, u8 size,
			     u32 value, u32 host_mask)
{
	const struct pci_epc_ext_ops *ops;

	if (!is_register(offset, size))
		return -EINVAL;

	guard(srcu)(&ops_srcu);
	ops = driver_ops(func);
	if (!ops)
		return -ENODEV;
	if (!ops->write_config)
		return -EOPNOTSUPP;
	return ops->write_config(func->ext->epc, func->func_no,
				 func->vfunc_no, offset, size, value,
				 host_mask);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_write_config);

/**
 * pci_epc_ext_read_config() - read configuration space as the host does
 * @func: the handle
 * @offset: of the register
 * @size: 1, 2 or 4 bytes; @offset is a multiple of it
 * @value: where to put it
 *
 * Context: process context, may sleep; any time.
 *
 * Return: 0, -EINVAL for what is no register, -EOPNOTSUPP, -ENODEV when the
 * controller has gone.
 */
int pci_epc_ext_read_config(struct pci_epc_ext_func *func, u16 offset, u8 size,
			    u32 *value)
{
	const struct pci_epc_ext_ops *ops;

	if (!is_register(offset, size))
		return -EINVAL;

	guard(srcu)(&ops_srcu);
	ops = driver_ops(func);
	if (!ops)
		return -ENODEV;
	if (!ops->read_config)
		return -EOPNOTSUPP;
	return ops->read_config(func->ext->epc, func->func_no, func->vfunc_no,
				offset, size, value);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_read_config);

/**
 * pci_epc_ext_raise_irq() - interrupt the host, also from an interrupt handler
 * @func: the handle
 * @type: PCI_IRQ_MSI or PCI_IRQ_MSIX
 * @num: number of the interrupt, from 1
 *
 * What the caller stored to host memory or to its BARs before is seen by the
 * host before the interrupt.
 *
 * Context: any.
 *
 * Return: 0, also for an interrupt that the host has masked, -EINVAL for a number
 * the host has not enabled or another type, -EOPNOTSUPP when the host has that
 * type of interrupt disabled or the controller cannot do this, -ENODEV when the
 * controller has gone.
 */
int pci_epc_ext_raise_irq(struct pci_epc_ext_func *func, unsigned int type,
			  u16 num)
{
	const struct pci_epc_ext_ops *ops;

	guard(srcu)(&ops_srcu);
	ops = driver_ops(func);
	if (!ops)
		return -ENODEV;
	if (!ops->raise_irq)
		return -EOPNOTSUPP;
	return ops->raise_irq(func->ext->epc, func->func_no, func->vfunc_no,
			      type, num);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_raise_irq);

static int __init pci_epc_ext_init(void)
{
	event_wq = alloc_workqueue("pci-epc-ext", WQ_UNBOUND, 0);
	return event_wq ? 0 : -ENOMEM;
}
module_init(pci_epc_ext_init);

static void __exit pci_epc_ext_exit(void)
{
	destroy_workqueue(event_wq);
}
module_exit(pci_epc_ext_exit);

MODULE_DESCRIPTION("Extensions of the PCI endpoint framework");
MODULE_LICENSE("GPL");
