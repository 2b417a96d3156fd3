/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requested faults of the controller: the kinds, and whether one happens
 *
 * The user asks for them with the property "fault" (endpoint/fault-control.c).
 * The code where a fault can happen asks epc_faults_hit(). A reset keeps what is
 * armed.
 */
#ifndef HW_PCI_EP_ENDPOINT_FAULTS_H
#define HW_PCI_EP_ENDPOINT_FAULTS_H

#include "qemu/timer.h"
#include "hw/pci-ep/shared/fault.h"
#include "hw/pci-ep/wire/locks.h"

struct EpcState;

/* Numbers in the table of kinds */
typedef enum EpcFaultKind {
    EPC_FAULT_DMA_DELAY,
    EPC_FAULT_DMA_FAIL,
    EPC_FAULT_DMA_DROP,
    EPC_FAULT_IRQ_LOST,
    EPC_FAULT_IRQ_DOUBLE,
    EPC_FAULT_LINK_DOWN,
    EPC_FAULT_LINK_UP,
    EPC_FAULT_LINK_FLAP,
    EPC_FAULT_WINDOW_DELAY,
    EPC_FAULT_WINDOW_TIMEOUT,
    EPC_FAULT_WINDOW_POISON,
    EPC_FAULT_DOORBELL_LOST,
    EPC_FAULT_DOORBELL_DOUBLE,
    EPC_FAULT_KINDS,
} EpcFaultKind;

/* Groups of kinds, as bits */
#define EPC_FAULTS_DMA \
    (BIT(EPC_FAULT_DMA_DELAY) | BIT(EPC_FAULT_DMA_FAIL) | \
     BIT(EPC_FAULT_DMA_DROP))
#define EPC_FAULTS_IRQ \
    (BIT(EPC_FAULT_IRQ_LOST) | BIT(EPC_FAULT_IRQ_DOUBLE))
#define EPC_FAULTS_WINDOW \
    (BIT(EPC_FAULT_WINDOW_DELAY) | BIT(EPC_FAULT_WINDOW_TIMEOUT) | \
     BIT(EPC_FAULT_WINDOW_POISON))
#define EPC_FAULTS_DOORBELL \
    (BIT(EPC_FAULT_DOORBELL_LOST) | BIT(EPC_FAULT_DOORBELL_DOUBLE))

/* Interrupts that are to come again; one more comes again at once. */
#define EPC_FAULTS_MAX_REPEATS 64

typedef struct EpcFaultRepeat {
    int64_t due;                /* us of QEMU_CLOCK_REALTIME */
    unsigned fn;                /* number */
    unsigned raise;             /* see epc_faults_repeat() */
} EpcFaultRepeat;

typedef struct EpcFaults {
    EpFaults *requests;
    uint32_t seed EP_GUARDED_BY(&ep_bql);   /* as the user wrote it last */
    QEMUTimer *link_timer;      /* ends EPC_FAULT_LINK_DOWN and _FLAP */
    QEMUTimer *repeat_timer;

    /* Guarded by EpcState.lock */
    EpcFaultRepeat repeat[EPC_FAULTS_MAX_REPEATS];
    unsigned repeats;
} EpcFaults;

/* ---- Life cycle ---- */

void epc_faults_init(struct EpcState *s);
void epc_faults_destroy(struct EpcState *s);

/* ---- Where a fault can happen: any thread, with any locks ---- */

/* Is a request of one of the kinds in @mask armed? */
bool epc_faults_armed(const struct EpcState *s, uint32_t mask);

/* ep_faults_hit() for this device */
bool epc_faults_hit(struct EpcState *s, EpcFaultKind kind, uint32_t function,
                    uint64_t at, EpFault *fault);

/*
 * Has the bottom half of the device bring up to date what depends on the armed
 * kinds. The device has functions.
 */
void epc_faults_changed(struct EpcState *s);

/* ---- Interrupts that come again ---- */

/*
 * Makes the raise with number @raise of function @fn again (endpoint/raise.h),
 * @us later, in the main loop. The numbers from EPC_RAISES on stand for
 * doorbells. Returns false when too many are waiting. EpcState.lock is held.
 */
bool epc_faults_repeat(struct EpcState *s, unsigned fn, unsigned raise,
                       uint32_t us);
/*
 * For EpcFaults.repeat_timer: takes one that is due out. Returns false when
 * there is none, and has set the timer for the next one.
 */
bool epc_faults_take_repeat(struct EpcState *s, EpcFaultRepeat *r);

#endif /* HW_PCI_EP_ENDPOINT_FAULTS_H */
