/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-slow: parts of the window that trap
 *
 * A map of host memory that cannot be mapped becomes an I/O region over the RAM
 * of the window.  Its accesses go to host memory directly where there is a
 * file, else by message, while the vCPU waits.
 */
#ifndef HW_PCI_EP_EPC_SLOW_H
#define HW_PCI_EP_EPC_SLOW_H

#include "hw/pci-ep/compat.h"
#include "hw/pci-ep/epc-window.h"

struct EpcFunction;
struct EpcState;

typedef struct EpcSlow {
    MemoryRegion io;                            /* the window, by message */
    MemoryRegion part[EPC_MAX_SLOW_MAPS];       /* aliases: what is seen of it */
    QEMUBH *bh;
    /* BQL */
    int64_t debt;                               /* us that vCPUs waited */
    int64_t debt_at;
} EpcSlow;

/* Adds the parts, none of them visible, to the BAR of the window. */
void epc_slow_init(struct EpcState *s);
void epc_slow_exit(struct EpcState *s);

/*
 * The maps of the window may have changed.  Makes the guest see the trapping
 * ones, soon, and then ends MAPs that are BUSY.  Any thread; lock held.
 */
void epc_slow_changed(struct EpcState *s);

/* Where an access to the window leads, and how much of it leads there */
typedef struct EpcHostPlace {
    struct EpcFunction *fn;
    uint64_t addr;
    uint32_t len;
} EpcHostPlace;

/*
 * One access, or the first part of it.  0: it is done; -ENOTSUP: it takes a
 * message; else it leads nowhere.  Any thread while there are functions; lock
 * not held.
 */
int epc_slow_direct(struct EpcState *s, uint64_t offset, uint8_t *buf,
                    uint32_t len, bool write, EpcHostPlace *p);

#endif /* HW_PCI_EP_EPC_SLOW_H */
