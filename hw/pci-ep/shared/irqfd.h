/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irqfd: eventfds that interrupt this guest through a PCI device
 *
 * A signal of a line's eventfd raises an MSI-X or MSI vector of the device, as
 * the guest has it enabled.  Where KVM can route the vector the kernel alone
 * raises it.  The main loop raises masked vectors and those that KVM cannot
 * route, and all vectors without KVM.  A signal that comes while the device may
 * not send messages is dropped: without bus mastering, and outside of D0.
 *
 * The peer holds the same open files, so it can clear O_NONBLOCK, drain them or
 * fill them.  Then interrupts of its own device get lost, but nothing else
 * happens.
 *
 * Callers hold the BQL.
 */
#ifndef HW_PCI_EP_SHARED_IRQFD_H
#define HW_PCI_EP_SHARED_IRQFD_H

#include "hw/pci/pci_device.h"

typedef struct EpIrqfds EpIrqfds;

/*
 * May the device send messages, or assert INTx?  Outside of D0 it must not (PCI
 * Express Base 5.0, 5.3.1).  Neither pci_msi_trigger() nor pci_set_irq() nor KVM
 * looks at the power state.
 */
bool ep_irqfds_have_power(const PCIDevice *d);

/*
 * The main loop is about to raise @vector for a signal of @line, or drops the
 * signal because the line is not @enabled or the device is not in D0.  Called
 * with the BQL held.
 */
typedef void EpIrqfdTaken(void *opaque, unsigned line, unsigned vector,
                          bool enabled);

/*
 * Makes the set of a device, with @lines lines that are closed.  A device has
 * one at most.  Its MSI and MSI-X capabilities come before the set and go after
 * it.  Trace events have @name, which outlives the set, and @func.
 */
EpIrqfds *ep_irqfds_new(PCIDevice *d, const char *name, unsigned func,
                        unsigned lines, EpIrqfdTaken *taken, void *opaque);
/* Closes all lines.  Does nothing when @s is NULL. */
void ep_irqfds_free(EpIrqfds *s);

/*
 * Gives a closed @line an eventfd that raises @vector.  Returns the descriptor,
 * which belongs to @s, or a negative errno.
 */
int ep_irqfds_open(EpIrqfds *s, unsigned line, unsigned vector);
void ep_irqfds_close(EpIrqfds *s, unsigned line);

/*
 * Sets the vector of an open line, and whether a signal raises it.  A line that
 * was just opened is @enabled.  Does nothing when the line is closed.
 */
void ep_irqfds_aim(EpIrqfds *s, unsigned line, unsigned vector, bool enabled);

/*
 * Delivers every signal that is pending in the main loop, with the vectors that
 * are in force now; called before a change of them.
 */
void ep_irqfds_take(EpIrqfds *s);

/*
 * A signal of a @line that is enabled is about to raise its vector.  Returns
 * true when it is lost instead.  Called with the BQL held.
 */
typedef bool EpIrqfdLost(void *opaque, unsigned line);

/*
 * From now on the main loop has all lines, whatever KVM could do, and asks
 * @lost about each signal.  With NULL that ends.
 */
void ep_irqfds_watch(EpIrqfds *s, EpIrqfdLost *lost);

/* Raises @vector without a signal, if the guest has it enabled in D0. */
void ep_irqfds_raise(EpIrqfds *s, unsigned vector);

/*
 * Around anything that may change many vectors, such as a write to
 * configuration space.  KVM learns what the guest has set up once, in
 * ep_irqfds_sync().  If the guest has cleared MSI or MSI-X Enable meanwhile,
 * that function also drops what is pending: bits and signals.
 */
void ep_irqfds_begin(EpIrqfds *s);
void ep_irqfds_sync(EpIrqfds *s);

/*
 * The MSI-X table entry of @vector has changed.  QEMU's notifiers call this
 * when the entry was masked or unmasked; the device calls it when the message
 * of an unmasked entry has changed.  The time depends on the lines of that
 * vector only.
 */
void ep_irqfds_table_written(EpIrqfds *s, unsigned vector);

/*
 * The device is being reset: the main loop has all lines until the next sync.
 */
void ep_irqfds_reset(EpIrqfds *s);
/* The same, and pending signals are dropped. */
void ep_irqfds_forget(EpIrqfds *s);

#endif /* HW_PCI_EP_SHARED_IRQFD_H */
