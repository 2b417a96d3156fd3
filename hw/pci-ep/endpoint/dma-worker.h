/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The threads of the DMA engine
 *
 * Each channel belongs to one worker, so that the descriptors of a channel stay
 * in order. A worker serves its channels in turn, in bursts of bounded size.
 * EpcState.dma_threads says how many workers there are. The thread of a worker
 * is created when one of its channels is enabled for the first time.
 *
 * Behind a virtual IOMMU there is one worker. It translates every address with
 * the BQL, so several would wait for each other, and leave the BQL to others
 * for a smaller share of the time.
 */
#ifndef HW_PCI_EP_ENDPOINT_DMA_WORKER_H
#define HW_PCI_EP_ENDPOINT_DMA_WORKER_H

#include "hw/pci-ep/endpoint/dma-channel.h"
#include "hw/pci-ep/endpoint/dma.h"
#include "hw/pci-ep/wire/locks.h"

struct EpcDmaWorker {
    EpcState *epc;
    QemuThread thread;
    bool running EP_GUARDED_BY(&ep_bql);    /* the thread exists */
    QemuEvent kick;                         /* wakes the thread */
    QemuMutex turn;             /* to work on descriptors of its channels */
    uint8_t *bounce EP_GUARDED_BY(&turn);   /* EPC_DMA_BOUNCE bytes, thread */
    int64_t bql_us EP_GUARDED_BY(&turn);    /* the thread had the BQL */
};

/* Called by epc_dma_init(), when the channels exist, and epc_dma_destroy() */
void epc_dma_workers_init(EpcState *s);
void epc_dma_workers_destroy(EpcState *s);

/*
 * A channel is about to be enabled: creates the thread of its worker, unless it
 * is there or epc_dma_workers_stop() was called. The first call decides which
 * worker a channel belongs to.
 */
void epc_dma_workers_start(EpcDmaChannel *ch) EP_REQUIRES(&ep_bql);

/*
 * Ends all threads for good. Releases the BQL while they end. If one of them
 * calls this, they end after it has returned to its own code, and reference the
 * object until then.
 */
void epc_dma_workers_stop(EpcState *s) EP_REQUIRES(&ep_bql);

/*
 * Has the worker of a channel look for work. @opaque is the channel, for a
 * timer. Any thread may call this.
 */
void epc_dma_worker_kick(void *opaque);

#endif /* HW_PCI_EP_ENDPOINT_DMA_WORKER_H */
