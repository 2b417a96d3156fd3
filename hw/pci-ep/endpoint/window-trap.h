/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Maps of the window that are trapped
 *
 * A map of host memory that this process cannot map for reading and writing is
 * shown to the endpoint guest as an I/O region over the memory of the window.
 * Each access through it looks the address up in the maps of the window, not
 * in the region that it came through: the regions may lag behind the maps.
 * The access goes to memory where this process has it, else it is a message to
 * the host, while the vCPU waits.
 *
 * While a requested fault of the window is armed the whole window is shown as
 * such a region (endpoint/window-fault.c).
 *
 * Another device of this guest may make such an access by DMA, with the BQL
 * held and while no vCPU waits for it. All waits for such accesses take 100 ms
 * at most. What comes then gets MEMTX_ERROR, until as much time has passed.
 */
#ifndef HW_PCI_EP_ENDPOINT_WINDOW_TRAP_H
#define HW_PCI_EP_ENDPOINT_WINDOW_TRAP_H

#include "hw/pci-ep/endpoint/window.h"
#include "hw/pci-ep/shared/compat.h"
#include "hw/pci-ep/shared/patience.h"
#include "hw/pci-ep/wire/locks.h"

struct EpcState;

typedef struct EpcWindowTrap {
    MemoryRegion io;                            /* the window, all trapped */
    MemoryRegion shown[EPC_MAX_TRAPPED_MAPS];   /* aliases of spans of it */
    MemoryRegion whole;                         /* an alias of all of it */
    unsigned held EP_GUARDED_BY(&ep_bql);       /* vCPUs that a fault holds */
    QEMUBH *bh;                                 /* brings them up to date */
    EpPatience patience EP_GUARDED_BY(&ep_bql); /* while vCPUs wait */
    /* How long devices have waited, and when that was brought up to date; us */
    int64_t waited EP_GUARDED_BY(&ep_bql);
    int64_t last_wait EP_GUARDED_BY(&ep_bql);
} EpcWindowTrap;

/*
 * Adds the regions, none of them enabled, to EpcState.window_bar.  From now on
 * a change of the trapped maps has a bottom half show them to the guest, and
 * end the MAP commands that are BUSY.
 */
void epc_window_trap_init(struct EpcState *s) EP_REQUIRES(&ep_bql);
/*
 * Brings the regions up to date with the trapped maps and the armed faults. The
 * BQL is released while the vCPUs come to a halt, and the device may be
 * unplugged then: the caller has a reference. Called in the main loop.
 */
void epc_window_trap_update(struct EpcState *s) EP_REQUIRES(&ep_bql);
/* Does nothing when epc_window_trap_init() was not called. */
void epc_window_trap_exit(struct EpcState *s) EP_REQUIRES(&ep_bql);

#endif /* HW_PCI_EP_ENDPOINT_WINDOW_TRAP_H */
