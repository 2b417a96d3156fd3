// SPDX-License-Identifier: GPL-2.0
/*
 * Whose configuration is in a function page?
 *
 * The framework does not tell a controller that a function was unlinked, and what
 * the function has set up stays in the device: another one linked in its place
 * would show capabilities of both.  So look who is linked when a page is set up,
 * and empty it when that is somebody else.
 */
#include <linux/delay.h>
#include <linux/lockdep.h>
#include <linux/pci-epf.h>
#include <linux/string.h>

#include "pcie-qemu-ep.h"

/*
 * The list also has functions that use the controller as their second one, which
 * are in it by another member.
 */
static struct pci_epf *linked_here(struct pci_epc *epc, u8 func)
{
	struct list_head *node;

	lockdep_assert_held(&epc->list_lock);

	list_for_each(node, &epc->pci_epf) {
		struct pci_epf *epf = list_entry(node, struct pci_epf, list);

		if (epf->epc == epc) {
			if (epf->func_no == func)
				return epf;
			continue;
		}
		epf = list_entry(node, struct pci_epf, sec_epc_list);
		if (epf->sec_epc == epc && epf->sec_epc_func_no == func)
			return epf;
	}
	return NULL;
}

struct vf_place {
	struct pci_epf *pf;
	u8 vfunc;
};

static int is_at(struct device *dev, const void *data)
{
	const struct pci_epf *epf = to_pci_epf(dev);
	const struct vf_place *place = data;

	return epf->is_vf && READ_ONCE(epf->epf_pf) == place->pf &&
	       epf->vfunc_no == place->vfunc;
}

/*
 * Holding on to the device keeps its address from becoming another one's.
 *
 * The list of virtual functions is under a lock of their function, which is held
 * while they are bound: so ask the bus.
 */
static struct pci_epf *get_linked(struct qemu_ep *ep, u8 fn)
{
	struct vf_place place = {
		.pf = linked_here(ep->epc, qemu_ep_page_func(ep, fn)),
		.vfunc = qemu_ep_page_vfunc(ep, fn),
	};
	struct device *dev;

	if (!place.pf)
		return NULL;
	if (!place.vfunc) {
		get_device(&place.pf->dev);
		return place.pf;
	}
	dev = bus_find_device(place.pf->dev.bus, NULL, &place, is_at);
	return dev ? to_pci_epf(dev) : NULL;
}

/*
 * The lock of the list comes before that of the controller, which operations run
 * under, so it cannot be waited for.  Who has it rarely needs it for long.
 */
static bool lock_list(struct pci_epc *epc)
{
	int tries;

	for (tries = 0; tries < 10; tries++) {
		if (mutex_trylock(&epc->list_lock))
			return true;
		usleep_range(1000, 2000);
	}
	return false;
}

static void empty(struct qemu_ep *ep, u8 fn)
{
	if (ep->minor >= QEMU_EP_MINOR_REMOVE)
		qemu_ep_fn_command(ep, fn, EPC_CMD_REMOVE);
	ep->int_pin[fn] = 0;
	memset(ep->bar_size[fn], 0, sizeof(ep->bar_size[fn]));
	qemu_ep_forget_doorbells(ep, fn);
	ep->set_up &= ~BIT(fn);
	ep->disowned &= ~BIT(fn);
}

/* @epf as get_linked() returned it */
static void set_owner(struct qemu_ep *ep, u8 fn, struct pci_epf *epf)
{
	struct pci_epf *old = ep->owner[fn];

	ep->owner[fn] = epf;
	if (old)
		put_device(&old->dev);
}

/**
 * qemu_ep_claim() - a function is about to be set up
 * @ep: the controller
 * @fn: number of its page
 *
 * When it cannot be found out who is linked, what was set up stays.
 */
void qemu_ep_claim(struct qemu_ep *ep, u8 fn)
{
	struct pci_epf *epf = NULL;
	bool other;

	lockdep_assert_held(&ep->cmd_lock);

	if (READ_ONCE(ep->started))
		return;
	if (lock_list(ep->epc)) {
		epf = get_linked(ep, fn);
		other = epf && ep->owner[fn] && epf != ep->owner[fn];
		if (other || ep->disowned & BIT(fn))
			empty(ep, fn);
		set_owner(ep, fn, epf);
		mutex_unlock(&ep->epc->list_lock);
	} else {
		set_owner(ep, fn, NULL);
	}
	ep->set_up |= BIT(fn);
}

/**
 * qemu_ep_disown() - a function has no use for what it has set up
 * @ep: the controller
 * @fn: number of its page
 */
void qemu_ep_disown(struct qemu_ep *ep, u8 fn)
{
	guard(mutex)(&ep->cmd_lock);
	ep->disowned |= BIT(fn);
}

/* Pages whose functions are linked; all, when that cannot be found out. */
static unsigned long linked_pages(struct qemu_ep *ep)
{
	unsigned long linked = READ_ONCE(ep->epc->function_num_map) &
			       (BIT(ep->fn_count) - 1);
	struct pci_epf *pf;

	if (!ep->vf_count)
		return linked;
	if (!lock_list(ep->epc))
		return linked | ~(BIT(ep->fn_count) - 1);
	pf = linked_here(ep->epc, 0);
	/* Bit 0 of the map of virtual functions is none of them. */
	if (pf)
		linked |= READ_ONCE(pf->vfunction_num_map) >> 1 << ep->fn_count;
	mutex_unlock(&ep->epc->list_lock);
	return linked;
}

/**
 * qemu_ep_remove_unlinked() - the host shall not see what nobody implements
 * @ep: the controller, its link not started
 */
void qemu_ep_remove_unlinked(struct qemu_ep *ep)
{
	unsigned long linked = linked_pages(ep);
	u32 fn;

	guard(mutex)(&ep->cmd_lock);
	for (fn = 0; fn < ep->page_count; fn++) {
		if (linked & BIT(fn) || !(ep->set_up & BIT(fn)))
			continue;
		empty(ep, fn);
		set_owner(ep, fn, NULL);
	}
}

/**
 * qemu_ep_visit_functions() - do something with each function linked here
 * @ep: the controller
 * @func: what to do, with the lock of the function held
 * @data: for @func
 *
 * Functions for which this is the second controller are left out: all that the
 * framework defines for events is about the first one.  Its own notifications do
 * not tell the two apart, and take what is in the midst of a struct pci_epf for
 * another one.
 */
void qemu_ep_visit_functions(struct qemu_ep *ep,
			     void (*func)(struct pci_epf *epf, void *data),
			     void *data)
{
	struct pci_epf *epf;

	guard(mutex)(&ep->epc->list_lock);
	list_for_each_entry(epf, &ep->epc->pci_epf, list) {
		if (epf->epc != ep->epc)
			continue;
		guard(mutex)(&epf->lock);
		func(epf, data);
	}
}

/* The device is reset next. */
void qemu_ep_forget_owners(struct qemu_ep *ep)
{
	u32 fn;

	for (fn = 0; fn < ep->page_count; fn++)
		set_owner(ep, fn, NULL);
}
