// SPDX-License-Identifier: GPL-2.0
/*
 * Register pages: which function has configured them
 *
 * The framework does not inform a controller when a function is unlinked, and
 * the configuration of that function stays in the device: the next function at
 * the same place would show the capabilities of both.  So the driver looks up
 * the linked function when a page is configured, and clears the page if it
 * belonged to another function.
 */
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/lockdep.h>
#include <linux/pci-epf.h>
#include <linux/string.h>

#include "controller.h"

static void qemu_ep_pages_clear(struct qemu_ep *ep, u8 page)
	__must_hold(&ep->cmd.lock)
{
	struct qemu_ep_pages *pages = &ep->pages;

	lockdep_assert_held(&ep->cmd.lock);

	if (ep->minor >= QEMU_EP_MINOR_REMOVE)
		qemu_ep_cmd_run(ep, page, EPC_CMD_REMOVE);
	qemu_ep_irqs_reread(ep, page);
	WRITE_ONCE(pages->int_pin[page], 0);
	memset(pages->bar_size[page], 0, sizeof(pages->bar_size[page]));
	qemu_ep_doorbells_forget(ep, page);
	pages->configured_pages &= ~BIT(page);
	pages->stale_pages &= ~BIT(page);
}

/*
 * Takes over the reference to @epf.  The reference keeps its address from being
 * used for another function.
 */
static void qemu_ep_pages_set_owner(struct qemu_ep *ep, u8 page,
				    struct pci_epf *epf)
{
	struct pci_epf *old = ep->pages.owner[page];

	ep->pages.owner[page] = epf;
	if (old)
		put_device(&old->dev);
}

void qemu_ep_pages_claim(struct qemu_ep *ep, u8 page)
{
	struct qemu_ep_pages *pages = &ep->pages;
	struct pci_epf *owner = pages->owner[page];
	struct pci_epf *epf = NULL;
	bool found;

	lockdep_assert_held(&ep->cmd.lock);

	if (qemu_ep_notify_started(ep))
		return;
	found = qemu_ep_compat_get_linked(ep->epc, qemu_ep_page_func(ep, page),
					  qemu_ep_page_vfunc(ep, page), &epf);
	if (found && ((epf && owner && epf != owner) ||
		      pages->stale_pages & BIT(page)))
		qemu_ep_pages_clear(ep, page);
	qemu_ep_pages_set_owner(ep, page, epf);
	pages->configured_pages |= BIT(page);
}

void qemu_ep_pages_release(struct qemu_ep *ep, u8 page)
{
	guard(mutex)(&ep->cmd.lock);
	ep->pages.stale_pages |= BIT(page);
}

/* Pages whose functions are linked.  Those that cannot be found out count. */
static unsigned long qemu_ep_pages_linked(struct qemu_ep *ep)
{
	unsigned long pf_mask = BIT(ep->layout.fn_count) - 1;
	unsigned long funcs, vfuncs;

	if (!qemu_ep_compat_linked(ep->epc, &funcs,
				   ep->layout.vf_count ? &vfuncs : NULL))
		return (funcs & pf_mask) | ~pf_mask;
	if (!ep->layout.vf_count)
		return funcs & pf_mask;
	/* Virtual functions count from 1, so bit 0 stands for none. */
	return (funcs & pf_mask) | vfuncs >> 1 << ep->layout.fn_count;
}

void qemu_ep_pages_clear_unlinked(struct qemu_ep *ep)
{
	unsigned long linked = qemu_ep_pages_linked(ep);
	u8 page;

	guard(mutex)(&ep->cmd.lock);
	for (page = 0; page < ep->layout.page_count; page++) {
		if (linked & BIT(page) ||
		    !(ep->pages.configured_pages & BIT(page)))
			continue;
		qemu_ep_pages_clear(ep, page);
		qemu_ep_pages_set_owner(ep, page, NULL);
	}
}

void qemu_ep_pages_forget_owners(struct qemu_ep *ep)
{
	u8 page;

	for (page = 0; page < ep->layout.page_count; page++)
		qemu_ep_pages_set_owner(ep, page, NULL);
}

void qemu_ep_pages_forget(struct qemu_ep *ep)
{
	struct qemu_ep_pages *pages = &ep->pages;

	guard(mutex)(&ep->cmd.lock);
	/* No command is under way any more. */
	ep->cmd.overdue = NULL;
	qemu_ep_pages_forget_owners(ep);
	memset(pages, 0, sizeof(*pages));
}
