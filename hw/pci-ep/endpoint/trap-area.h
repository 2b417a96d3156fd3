/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trapped areas: accesses of the host that software of the endpoint answers
 *
 * Each function has a ring of records in memory of the device, which the guest
 * sees in EPC_BAR_REGS. An access of the host to a BAR or area with the address
 * EPC_ADDR_TRAP becomes a record, in the order in which the accesses came. A
 * write is answered as soon as its record is in the ring. A read is held until
 * the driver has consumed its record, or its deadline is over. While the ring is
 * full accesses wait outside of it, within the same deadline.
 *
 * A read has these states, and a write has the first one only:
 *
 *   state     event                                          next
 *   --------  ---------------------------------------------  --------
 *   (new)     the ring is enabled                            WAITS
 *   (new)     the ring is not enabled, or the access is not  answered
 *             1, 2, 4 or 8 aligned bytes
 *   WAITS     there is room in the ring: it becomes a record HELD
 *   HELD      the driver has consumed the record             answered
 *   either    its deadline is over; a reset of the function; answered
 *             the ring is disabled; EPC_REG_RESET
 *
 * Only the step from HELD by the driver has the driver's value. All others
 * leave all ones. A write that is answered before it became a record is
 * dropped.
 *
 * All functions but epc_traps_init() and epc_traps_exit() are called with
 * EpcState.lock held. They may answer the host, which waits for nothing.
 */
#ifndef HW_PCI_EP_ENDPOINT_TRAP_AREA_H
#define HW_PCI_EP_ENDPOINT_TRAP_AREA_H

#include "qemu/queue.h"
#include "hw/pci-ep/shared/compat.h"
#include "hw/pci-ep/server/server.h"
#include "hw/pci-ep/wire/locks.h"

struct EpcFunction;
struct EpcState;

typedef struct EpcTrapAccess EpcTrapAccess;
typedef QTAILQ_HEAD(, EpcTrapAccess) EpcTrapQueue;

/* Of one function; guarded by EpcState.lock, which annotations cannot say */
typedef struct EpcTrap {
    uint32_t ctrl;              /* EPC_FN_TRAP_CTRL */
    uint32_t vector;            /* EPC_FN_TRAP_VECTOR */
    uint32_t producer, consumer;
    bool reset_waits;           /* its record comes before those in @waits */
    EpcTrapQueue waits, held;   /* the oldest first */
    uint32_t posted, reads, expired, longest;   /* EPC_FN_TRAP_* */
} EpcTrap;

/* Of the device */
typedef struct EpcTraps {
    MemoryRegion rings;         /* in EPC_BAR_REGS, one after the other */
    uint8_t *ring;              /* its memory; NULL before it was made */
    QEMUTimer *timer;           /* for the first access that will be late */
    uint32_t deadline_ms;       /* EPC_REG_TRAP_DEADLINE */
} EpcTraps;

/* ---- Life cycle ---- */

/* Called at realize, when EpcState.regs exists. */
bool epc_traps_init(struct EpcState *s, Error **errp) EP_REQUIRES(&ep_bql);
/*
 * Called when all servers were freed. May be called without epc_traps_init().
 */
void epc_traps_exit(struct EpcState *s) EP_REQUIRES(&ep_bql);
/* The values after EPC_REG_RESET. */
void epc_traps_reset(struct EpcState *s);
/* A function without accesses; its number is set already. */
void epc_trap_init(struct EpcFunction *fn);
/* Disables the ring and answers all accesses. */
void epc_trap_clear(struct EpcFunction *fn);

/* ---- Accesses of the host ---- */

/* Takes @a over, which is for a trapped area of @fn. */
void epc_trap_access(struct EpcFunction *fn, EpcAccess *a);

/*
 * The host has reset @fn, or lost it: answers all accesses, and puts a record
 * of type EPC_TRAP_RESET behind those that are in the ring.
 */
void epc_trap_function_reset(struct EpcFunction *fn);

/* ---- Registers ---- */

/* EPC_FN_TRAP_*; return false for a bad access, or another register. */
bool epc_trap_read(struct EpcFunction *fn, hwaddr reg, uint32_t *v);
bool epc_trap_write(struct EpcFunction *fn, hwaddr reg, uint32_t v);

/* EPC_REG_TRAP_DEADLINE: sets it. Returns false if @ms is out of range. */
bool epc_traps_set_deadline(struct EpcState *s, uint32_t ms);

#endif /* HW_PCI_EP_ENDPOINT_TRAP_AREA_H */
