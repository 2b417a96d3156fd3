/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ep-irqfd: eventfds that interrupt this guest through a PCI device
 *
 * Whoever signals the eventfd of a line raises an MSI-X or MSI vector of the
 * device, as the guest has it enabled.  With KVM that can route it, the kernel
 * does it alone; the main loop delivers what is masked or cannot be routed, and
 * everything without KVM.
 *
 * The peer holds the same open files: it can clear O_NONBLOCK, drain or fill
 * them.  That costs interrupts of its own device, and nothing else.  BQL.
 */
#ifndef HW_PCI_EP_EP_IRQFD_H
#define HW_PCI_EP_EP_IRQFD_H

#include "hw/pci/pci_device.h"

typedef struct EpIrqfds EpIrqfds;

/*
 * The main loop took a signal of @line, and raised @vector unless the line is
 * disabled.
 */
typedef void EpIrqfdTaken(void *opaque, unsigned line, unsigned vector,
                          bool enabled);

/*
 * At most one for a device, from after its MSI and MSI-X capabilities are there
 * until before they are removed.
 */
EpIrqfds *ep_irqfds_new(PCIDevice *d, unsigned lines, EpIrqfdTaken *taken,
                        void *opaque);
/* Closes all lines.  NULL is fine. */
void ep_irqfds_free(EpIrqfds *s);

/*
 * Gives a closed @line an eventfd, which stays the property of @s, for @vector:
 * the descriptor, or a negative errno.
 */
int ep_irqfds_open(EpIrqfds *s, unsigned line, unsigned vector);
void ep_irqfds_close(EpIrqfds *s, unsigned line);
/* Another vector for a line, which is enabled at first */
void ep_irqfds_aim(EpIrqfds *s, unsigned line, unsigned vector, bool enabled);
/* What was signalled before now does what it did before now. */
void ep_irqfds_take(EpIrqfds *s);

/*
 * Around anything that may change many vectors: a write to the configuration
 * space, opening many lines.  The kernel is told once, at the end, where what
 * the guest has set up now takes effect.
 */
void ep_irqfds_begin(EpIrqfds *s);
void ep_irqfds_sync(EpIrqfds *s);

/* The guest may have written the table entry of @vector. */
void ep_irqfds_table_written(EpIrqfds *s, unsigned vector);

/* The device is being reset: to the main loop, until ep_irqfds_sync(). */
void ep_irqfds_reset(EpIrqfds *s);
/* The same, and what was signalled before now is void. */
void ep_irqfds_forget(EpIrqfds *s);

#endif /* HW_PCI_EP_EP_IRQFD_H */
