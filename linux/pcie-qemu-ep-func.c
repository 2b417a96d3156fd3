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
static struct pci_epf *linked_here(struct pci_epc *epc, u8 fn)
{
	struct list_head *node;

	lockdep_assert_held(&epc->list_lock);

	list_for_each(node, &epc->pci_epf) {
		struct pci_epf *epf = list_entry(node, struct pci_epf, list);

		if (epf->epc == epc) {
			if (epf->func_no == fn)
				return epf;
			continue;
		}
		epf = list_entry(node, struct pci_epf, sec_epc_list);
		if (epf->sec_epc == epc && epf->sec_epc_func_no == fn)
			return epf;
	}
	return NULL;
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

/* Holding on to the device keeps its address from becoming another one's. */
static void set_owner(struct qemu_ep *ep, u8 fn, struct pci_epf *epf)
{
	struct pci_epf *old = ep->owner[fn];

	if (epf)
		get_device(&epf->dev);
	ep->owner[fn] = epf;
	if (old)
		put_device(&old->dev);
}

/**
 * qemu_ep_claim() - a function is about to be set up
 * @ep: the controller
 * @fn: function number
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
		epf = linked_here(ep->epc, fn);
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
 * @fn: function number
 */
void qemu_ep_disown(struct qemu_ep *ep, u8 fn)
{
	guard(mutex)(&ep->cmd_lock);
	ep->disowned |= BIT(fn);
}

/**
 * qemu_ep_remove_unlinked() - the host shall not see what nobody implements
 * @ep: the controller, its link not started
 */
void qemu_ep_remove_unlinked(struct qemu_ep *ep)
{
	unsigned long linked = READ_ONCE(ep->epc->function_num_map);
	u32 fn;

	guard(mutex)(&ep->cmd_lock);
	for (fn = 0; fn < ep->fn_count; fn++) {
		if (linked & BIT(fn) || !(ep->set_up & BIT(fn)))
			continue;
		empty(ep, fn);
		set_owner(ep, fn, NULL);
	}
}

/* The device is reset next. */
void qemu_ep_forget_owners(struct qemu_ep *ep)
{
	u32 fn;

	for (fn = 0; fn < ep->fn_count; fn++)
		set_owner(ep, fn, NULL);
}
