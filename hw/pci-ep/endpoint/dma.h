/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DMA engine of the controller
 *
 * Worker threads serve the channels (endpoint/dma-worker.h). A few small copies
 * are done at once by the vCPU that writes EPC_DMA_PRODUCER, unless the worker
 * of the channel is busy: waking it takes longer than the copies.
 * Where the endpoint has a virtual IOMMU the worker does all copies, since the
 * report of a fault may make the machine eject this device, and to end the
 * worker takes a thread that does not hold EpcDmaWorker.turn.
 *
 * Locks, in the order in which they are taken:
 *
 *   EpcDmaWorker.turn   is held by whoever works on descriptors of the channels
 *                       of that worker. While there is a thread of it, a thread
 *                       with the BQL only tries to take it, since the worker
 *                       may wait for the BQL or for the host while it holds it.
 *   EpcState.lock       guards the state that registers show
 *   EpcDmaBursts.lock   is held for a moment at both ends of a burst
 */
#ifndef HW_PCI_EP_ENDPOINT_DMA_H
#define HW_PCI_EP_ENDPOINT_DMA_H

#include "qemu/thread.h"
#include "hw/pci-ep/endpoint/dma-burst.h"
#include "hw/pci-ep/pci-epc-regs.h"
#include "hw/pci-ep/shared/compat.h"
#include "hw/pci-ep/wire/locks.h"

struct EpcState;
typedef struct EpcDmaChannel EpcDmaChannel;     /* endpoint/dma-channel.h */
typedef struct EpcDmaWorker EpcDmaWorker;       /* endpoint/dma-worker.h */

typedef struct EpcDma {
    MemoryListener listener;
    bool running EP_GUARDED_BY(&ep_bql);    /* the listener is registered */
    bool iommu;     /* behind a virtual IOMMU; set before a thread exists */
    bool stop;                              /* all threads end; atomic */
    EpcDmaBursts bursts;
    /* No copy is done in a vCPU before this g_get_monotonic_time(). */
    int64_t rests_until EP_GUARDED_BY(&ep_bql);
    /* EPC_DMA_CHANNELS of each. The first workers have channels. */
    EpcDmaChannel *channel;
    EpcDmaWorker *worker;
} EpcDma;

/* ---- Life cycle ---- */

/*
 * Checks EpcState.dma_threads, and chooses when it is 0: as many as processors,
 * and no more than four. Called when the device is realized.
 */
bool epc_dma_check(struct EpcState *s, Error **errp);

/*
 * What epc_dma_init() makes stays until epc_dma_destroy(), when the object is
 * finalized: a worker may be the thread that unplugs the device.
 */
void epc_dma_init(struct EpcState *s);
void epc_dma_destroy(struct EpcState *s);
/*
 * Resets all channels and ends the workers for good, see
 * epc_dma_workers_stop(). A second call does nothing.
 */
void epc_dma_stop(struct EpcState *s) EP_REQUIRES(&ep_bql);
/*
 * Gives all channels the state that they have after power-up. When it returns
 * the engine touches memory only as far as a message to the host, or a burst
 * that a host has made long, is under way.
 */
void epc_dma_reset(struct EpcState *s) EP_REQUIRES(&ep_bql);

/*
 * Waits for the end of the bursts that are under way and access host memory of
 * one of @functions (bits, or EPC_DMA_ALL_BURSTS). What the caller took away
 * before is not touched any more. That may take as long as a host of these
 * functions likes, so a thread that others depend on calls
 * epc_dma_after_bursts() instead. Any thread may call this; it does not hold
 * EpcState.lock.
 */
void epc_dma_drain(struct EpcState *s, uint64_t functions);
/* Is no burst under way that accesses host memory? Any thread may call this. */
bool epc_dma_host_idle(struct EpcState *s);
/*
 * If bursts are under way, has @over called when they have ended, and returns
 * true. There is one such request at a time: another one replaces it. @over
 * runs in the thread that ends the last one, perhaps with the BQL or with
 * EpcDmaWorker.turn held, so it does no more than schedule a bottom half.
 */
bool epc_dma_after_bursts(struct EpcState *s, EpcDmaBurstOver *over,
                          void *opaque);

/* ---- Registers ---- */

/*
 * Writes the 32-bit register at offset @reg of the page of @channel. Returns
 * false when that is a bad access. The caller does not hold EpcState.lock.
 */
bool epc_dma_write(struct EpcState *s, unsigned channel, uint64_t reg,
                   uint32_t v) EP_REQUIRES(&ep_bql);
/* Reads it into @v. The caller also holds EpcState.lock. */
bool epc_dma_read(struct EpcState *s, unsigned channel, uint64_t reg,
                  uint32_t *v) EP_REQUIRES(&ep_bql);
/* The 64-bit register at offset @reg, or NULL. The caller only reads it. */
uint64_t *epc_dma_register64(struct EpcState *s, unsigned channel,
                             uint64_t reg);
/* Writes EPC_DMA_RING. Returns false when the channel is enabled. */
bool epc_dma_set_ring(struct EpcState *s, unsigned channel, uint64_t ring)
    EP_REQUIRES(&ep_bql);

#endif /* HW_PCI_EP_ENDPOINT_DMA_H */
