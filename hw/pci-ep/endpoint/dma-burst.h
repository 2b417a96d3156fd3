/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bursts: spans of time in which this process accesses memory of a host
 *
 * A burst of the DMA engine copies at most EPC_DMA_BURST bytes, or does the
 * same within memory of the endpoint.  An access to the window that software
 * carries out is a burst as well.  A burst takes locks, and as a rule
 * microseconds.  But a host can take pages out of the file of its memory at any
 * moment, and the kernel lets whoever accesses these pages wait until that is
 * done.  So a host can make a burst that accesses its memory as long as it
 * likes, and nothing that others wait for is held meanwhile.
 *
 * Whoever takes memory away first changes the tables that a burst looks into,
 * and then waits for the end of the bursts that are under way, or has a
 * function called then.
 */
#ifndef HW_PCI_EP_ENDPOINT_DMA_BURST_H
#define HW_PCI_EP_ENDPOINT_DMA_BURST_H

#include "qemu/queue.h"
#include "qemu/thread.h"
#include "hw/pci-ep/wire/locks.h"

/* Most bytes that are copied in a burst */
#define EPC_DMA_BURST       (512 * 1024u)

/* Stands for all bursts, also those that access no host memory */
#define EPC_DMA_ALL_BURSTS  UINT64_MAX

/* EpcDmaBurst.channel of an access to the window */
#define EPC_DMA_NO_CHANNEL  UINT32_MAX

/* A burst that is under way; on the stack of the thread that does it */
typedef struct EpcDmaBurst {
    uint32_t channel;
    uint32_t epoch;             /* EpcDmaChannel.work_epoch */
    uint32_t functions;         /* whose host memory it accesses, as bits */
    uint64_t number;            /* set by epc_dma_burst_begin() */
    QTAILQ_ENTRY(EpcDmaBurst) next;
} EpcDmaBurst;

/* Called when a burst is over, in the thread that did it, without @lock */
typedef void EpcDmaBurstOver(void *opaque);

typedef struct EpcDmaBursts {
    QemuMutex lock;
    QemuCond over;                          /* a burst ended */
    QTAILQ_HEAD(, EpcDmaBurst) now EP_GUARDED_BY(&lock);    /* oldest first */
    uint64_t count EP_GUARDED_BY(&lock);    /* bursts that began */
    EpcDmaBurstOver *after EP_GUARDED_BY(&lock);    /* NULL: none is wanted */
    void *after_opaque EP_GUARDED_BY(&lock);
    uint64_t after_count EP_GUARDED_BY(&lock);  /* @count when it was asked */
} EpcDmaBursts;

void epc_dma_bursts_init(EpcDmaBursts *b);
void epc_dma_bursts_destroy(EpcDmaBursts *b);

/*
 * Any thread may do bursts.  It looks up what it may reach under EpcState.lock,
 * after epc_dma_burst_begin() or around it, and does not hold that lock when it
 * accesses the memory.
 */
void epc_dma_burst_begin(EpcDmaBursts *b, EpcDmaBurst *burst)
    EP_EXCLUDES(&b->lock);
void epc_dma_burst_end(EpcDmaBursts *b, EpcDmaBurst *burst)
    EP_EXCLUDES(&b->lock);

/*
 * Waits for the end of the bursts that are under way and access host memory of
 * one of @functions, which are bits; with EPC_DMA_ALL_BURSTS of all bursts.
 * Waits for at most @ms milliseconds, or with a negative @ms for as long as it
 * takes.  Returns false if one of them is still under way.  Any thread may call
 * this; it does not hold EpcState.lock, which a burst takes.
 */
bool epc_dma_bursts_drain(EpcDmaBursts *b, uint64_t functions, int ms)
    EP_EXCLUDES(&b->lock);

/*
 * Has @over called when all bursts that are under way have ended, whatever they
 * access.  Returns false, and does not call it, when there is none.  There is
 * one such request at a time: another one replaces it.
 */
bool epc_dma_bursts_after(EpcDmaBursts *b, EpcDmaBurstOver *over, void *opaque)
    EP_EXCLUDES(&b->lock);

/* Is a burst of @channel under way that does not belong to @epoch? */
bool epc_dma_bursts_late(EpcDmaBursts *b, uint32_t channel, uint32_t epoch)
    EP_EXCLUDES(&b->lock);

#endif /* HW_PCI_EP_ENDPOINT_DMA_BURST_H */
