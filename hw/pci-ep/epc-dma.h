/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-dma: the DMA engine of the controller
 *
 * One worker thread serves all channels in turn, in pieces of bounded size.  A
 * single small copy is done at once by the vCPU that asks for it, unless the
 * worker is at work.  Nobody takes the BQL while in a piece, so whoever takes
 * memory away, the host or the guest, waits for one piece and no longer.
 *
 * Locks: the registers of a channel are guarded by EpcState.lock.  The lock of
 * the worker is taken for moments only, before or after that, never around it.
 * EpcDma.turn is held by whoever works on descriptors, and is around both; with the
 * BQL it is only tried, as its holder may wait for that, or for the host.
 */
#ifndef HW_PCI_EP_EPC_DMA_H
#define HW_PCI_EP_EPC_DMA_H

#include "qemu/thread.h"
#include "qemu/timer.h"
#include "hw/pci-ep/epc-dma-copy.h"
#include "hw/pci-ep/pci-epc-regs.h"

typedef struct EpcDmaDesc {
    uint64_t src, dst;
    uint32_t length, flags;
} EpcDmaDesc;

typedef struct EpcDmaChannel {
    struct EpcState *epc;
    unsigned index;
    QEMUTimer *timer;

    /* under EpcState.lock */
    uint64_t ring;
    uint32_t size;
    uint32_t vector, irq_count, irq_usec;
    bool enabled, error;
    uint32_t epoch;         /* grows when the work so far is void */
    uint32_t producer, consumer;
    uint32_t abort_left;    /* descriptors from consumer on to abort */
    uint32_t unsignalled;   /* done with EPC_DMA_IRQ, and not raised yet */

    bool message;           /* written by the worker, atomic */

    /* under EpcDma.turn */
    bool fetched;           /* desc is the one at consumer, of work_epoch */
    uint32_t work_epoch;
    EpcDmaDesc desc;
    uint32_t done;
    uint32_t chain_status;  /* of the descriptors before in the chain */
} EpcDmaChannel;

typedef struct EpcDma {
    QemuThread thread;
    bool running;           /* BQL */
    bool stop;              /* atomic */
    QemuEvent kick;
    QemuMutex turn;         /* see above */
    EpcDmaPieces pieces;
    uint8_t *bounce;
    EpcDmaChannel channel[EPC_DMA_CHANNELS];
} EpcDma;

/* BQL; init before anything else may be called. */
void epc_dma_init(struct EpcState *s);
/* Ends the worker for good.  Lets go of the BQL for a while. */
void epc_dma_stop(struct EpcState *s);
/* Stopped */
void epc_dma_exit(struct EpcState *s);
/* All channels as after power-up; no memory is touched after it. */
void epc_dma_reset(struct EpcState *s);
bool epc_dma_write(struct EpcState *s, unsigned channel, uint64_t reg,
                   uint32_t v);

/* The 64-bit register at @reg, NULL: none */
uint64_t *epc_dma_register64(struct EpcState *s, unsigned channel,
                             uint64_t reg);
/* As a whole, or by half.  BQL. */
bool epc_dma_set_ring(struct EpcState *s, unsigned channel, uint64_t ring);
/* Lock held. */
bool epc_dma_read(struct EpcState *s, unsigned channel, uint64_t reg,
                  uint32_t *v);

/*
 * Waits until the worker has left the piece it is in, if any.  What was taken
 * away before is not touched after it.  Any thread, without EpcState.lock.
 */
void epc_dma_drain(struct EpcState *s);

#endif /* HW_PCI_EP_EPC_DMA_H */
