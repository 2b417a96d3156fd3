/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Register pages: which function has configured them
 */
#ifndef PCIE_QEMU_EP_PAGES_H
#define PCIE_QEMU_EP_PAGES_H

#include <linux/pci.h>
#include <linux/types.h>

#include <hw/pci-ep/pci-epc-regs.h>

struct pci_epf;
struct qemu_ep;

/* EPC_VERSION_MINOR of the first device that knows EPC_CMD_REMOVE */
#define QEMU_EP_MINOR_REMOVE	2

/**
 * struct qemu_ep_pages - what was configured in the register pages
 * @int_pin: interrupt pin of each page, 0 for none.  It is read without a lock.
 * @bar_size: size with which each BAR was defined, 0 for none
 * @owner: function that has configured each page, with a reference; NULL if no
 *	function has or the function is not known
 * @configured_pages: bit n: something was configured in page n
 * @stale_pages: bit n: the owner of page n has released it
 *
 * qemu_ep.cmd.lock protects all members, but not reads of @int_pin.
 */
struct qemu_ep_pages {
	u8 int_pin[EPC_MAX_FUNCTIONS];
	u64 bar_size[EPC_MAX_FUNCTIONS][PCI_STD_NUM_BARS];
	struct pci_epf *owner[EPC_MAX_FUNCTIONS];
	u8 configured_pages;
	u8 stale_pages;
};

/**
 * qemu_ep_pages_claim() - prepare a page for configuration by its function
 * @ep: the controller
 * @page: index of the register page
 *
 * Clears the page if another function had configured it.  If the functions of
 * the controller cannot be listed right now, the page stays as it is.
 *
 * The caller holds qemu_ep.cmd.lock.  Context: process context, may sleep.
 */
void qemu_ep_pages_claim(struct qemu_ep *ep, u8 page);

/**
 * qemu_ep_pages_release() - the function has released its configuration
 * @ep: the controller
 * @page: index of the register page
 *
 * The next qemu_ep_pages_claim() clears the page.  Takes qemu_ep.cmd.lock.
 */
void qemu_ep_pages_release(struct qemu_ep *ep, u8 page);

/**
 * qemu_ep_pages_clear_unlinked() - clear the pages of functions that are gone
 * @ep: the controller, whose link is not started
 *
 * The host must not see a function that nobody implements any more.
 *
 * Takes qemu_ep.cmd.lock.  Context: process context, may sleep.
 */
void qemu_ep_pages_clear_unlinked(struct qemu_ep *ep);

/**
 * qemu_ep_pages_forget_owners() - drop the references to all owners
 * @ep: the controller, which is reset next
 */
void qemu_ep_pages_forget_owners(struct qemu_ep *ep);

/**
 * qemu_ep_pages_forget() - the device has lost what was configured
 * @ep: the controller, which was just reset
 *
 * Takes qemu_ep.cmd.lock.
 */
void qemu_ep_pages_forget(struct qemu_ep *ep);

#endif /* PCIE_QEMU_EP_PAGES_H */
