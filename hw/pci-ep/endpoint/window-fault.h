/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requested faults of accesses to the window
 *
 * The window is memory. While such a fault is armed the whole window is trapped
 * instead, so that each access comes here (window-trap.c).
 */
#ifndef HW_PCI_EP_ENDPOINT_WINDOW_FAULT_H
#define HW_PCI_EP_ENDPOINT_WINDOW_FAULT_H

#include "exec/hwaddr.h"
#include "exec/memattrs.h"
#include "hw/pci-ep/wire/locks.h"

struct EpcState;

/*
 * A thread accesses @size bytes at @offset of the window. Returns true when a
 * fault takes the access away: nothing is accessed, and a read is all ones. A
 * fault may delay the access. A vCPU waits without the BQL then, so whatever
 * the BQL guards may have changed when this returns, and the device may have
 * been unplugged (EpcState.fn is NULL).
 *
 * Only accesses by CPUs of the guest have faults. A qtest stands for a CPU; it
 * waits with the BQL held, in the main loop.
 */
bool epc_window_fault(struct EpcState *s, hwaddr offset, unsigned size,
                      bool write, MemTxAttrs attrs) EP_REQUIRES(&ep_bql);

#endif /* HW_PCI_EP_ENDPOINT_WINDOW_FAULT_H */
