/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A channel of the DMA engine, as the files of the engine see it
 */
#ifndef HW_PCI_EP_ENDPOINT_DMA_CHANNEL_H
#define HW_PCI_EP_ENDPOINT_DMA_CHANNEL_H

#include "qemu/timer.h"
#include "hw/pci-ep/endpoint/dma.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/wire/locks.h"

/* Most bytes that one message to the host copies */
#define EPC_DMA_BOUNCE      (64 * 1024u)

/*
 * Returned where else EPC_DMA_OK and the other EPC_DMA_* are: the channel was
 * disabled since the descriptor was fetched, so nothing is done or reported.
 */
#define EPC_DMA_VOID        UINT32_MAX

/* What the driver fills in of a descriptor, see EPC_DMA_DESC_* */
typedef struct EpcDmaDesc {
    uint64_t src, dst;
    uint32_t length, flags;
} EpcDmaDesc;

typedef struct EpcDmaRing EpcDmaRing;           /* endpoint/dma-ring.c */

/*
 * Clang cannot check which lock guards a member, since the lock is reached by a
 * pointer.  It checks the functions that use the members.
 */
struct EpcDmaChannel {
    EpcState *epc;
    unsigned index;
    EpcDmaWorker *worker;   /* constant once EpcDma.running is set */
    QEMUTimer *timer;       /* raises the vector EPC_DMA_IRQ_USEC later */
    QEMUTimer *held_timer;  /* wakes the worker at held_until */

    /* Registers that cannot be written while the channel is enabled */
    uint64_t ring_addr EP_GUARDED_BY(&ep_bql);
    uint32_t ring_size EP_GUARDED_BY(&ep_bql);

    /* Guarded by epc->lock */
    bool enabled, error;
    uint32_t vector, irq_count, irq_usec;
    uint32_t producer, consumer;
    uint32_t abort_left;    /* descriptors to abort, beginning at consumer */
    uint32_t unsignalled;   /* done with EPC_DMA_IRQ, vector not raised yet */
    uint32_t epoch;         /* incremented when the work so far becomes void */

    EpcDmaRing *ring;       /* NULL while disabled; BQL to set, RCU to use */
    bool message;           /* a message to the host is under way; atomic */

    /* Guarded by worker->turn: the descriptor at consumer in work_epoch */
    uint32_t work_epoch;
    bool fetched;           /* desc and done are valid */
    EpcDmaDesc desc;
    uint32_t done;          /* bytes that were copied */
    uint32_t chain_status;  /* what it fails with, if the chain failed before */
    /* Requested faults of the descriptor, once they were looked for */
    bool fault_asked;
    uint32_t fault_status;  /* what it fails with, or EPC_DMA_OK */
    int64_t held_until;     /* us of QEMU_CLOCK_REALTIME; INT64_MAX: no end */
};

#endif /* HW_PCI_EP_ENDPOINT_DMA_CHANNEL_H */
