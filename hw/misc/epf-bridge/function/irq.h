/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irq: interrupts of a remote function
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_FUNCTION_IRQ_H
#define HW_MISC_EPF_BRIDGE_FUNCTION_IRQ_H

#include "hw/misc/epf-bridge/function/state.h"

/* After epf_caps_init(), and before epf_caps_exit() */
void epf_irq_init(EpfFunction *f);
void epf_irq_exit(EpfFunction *f);

/* Drops what is under way, until the next sync. */
void epf_irq_reset(EpfFunction *f);

/*
 * Gives the endpoint an eventfd for each vector that the guest has enabled now,
 * or takes them back, and sets INTx as the endpoint wants it.
 */
void epf_irq_sync(EpfFunction *f);
/*
 * The same without INTx.  A reset calls it: QEMU has deasserted INTx, and
 * asserts that nobody asserts it again before the reset of the machine is over.
 * A later EP_INTX makes the bridge call epf_irq_sync().
 */
void epf_irq_sync_vectors(EpfFunction *f);

/*
 * The guest reads @len bytes of configuration space at @addr, and QEMU has
 * @val.  Returns @val with the Interrupt Status that the function has.
 */
uint32_t epf_irq_show_status(EpfFunction *f, uint32_t addr, uint32_t val,
                             int len);

#endif /* HW_MISC_EPF_BRIDGE_FUNCTION_IRQ_H */
