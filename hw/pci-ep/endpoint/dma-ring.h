/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptor ring of a DMA channel
 *
 * The ring is looked up in the endpoint's address space when the channel is
 * enabled, and again when the memory map changes. If all of it is in one region
 * of RAM, its descriptors are read and written through a pointer. Otherwise
 * every access translates its address: behind a virtual IOMMU, which changes
 * its mappings without a change of the memory map, and where a part of the ring
 * is in another region or is not RAM.
 */
#ifndef HW_PCI_EP_ENDPOINT_DMA_RING_H
#define HW_PCI_EP_ENDPOINT_DMA_RING_H

#include "hw/pci-ep/endpoint/dma-channel.h"
#include "hw/pci-ep/endpoint/dma-worker.h"
#include "hw/pci-ep/endpoint/dma-memory.h"
#include "hw/pci-ep/wire/locks.h"

/*
 * Looks up the ring that the registers of @ch give, which were found valid.
 * Whoever uses the result of an earlier call may go on until the end of its RCU
 * read-side critical section.
 */
void epc_dma_ring_resolve(EpcDmaChannel *ch) EP_REQUIRES(&ep_bql);
/* The channel is disabled: releases the memory of the ring. */
void epc_dma_ring_release(EpcDmaChannel *ch) EP_REQUIRES(&ep_bql);

/* One descriptor in the ring, see epc_dma_ring_find() */
typedef struct EpcDmaSlot {
    EpcDmaRing *ring;
    uint64_t offset;            /* in the ring, bytes */
    EpcDmaSpan span;            /* its EPC_DMA_DESC_SIZE bytes */
} EpcDmaSlot;

/*
 * Finds the descriptor with consumer index @index, for writing if @write is
 * set. Returns EPC_DMA_OK, EPC_DMA_BAD_ADDR (there is no RAM, or none that may
 * be written), or EPC_DMA_VOID (the channel was disabled). The caller is in
 * an RCU read-side critical section, which @slot does not outlive, and does
 * not hold EpcState.lock: see epc_dma_memory_translate().
 */
uint32_t epc_dma_ring_find(EpcDmaChannel *ch, uint32_t index, bool write,
                           EpcDmaSlot *slot)
    EP_REQUIRES(&ch->worker->turn) EP_EXCLUDES(&ch->epc->lock);
void epc_dma_slot_read(const EpcDmaSlot *slot, EpcDmaDesc *desc);

/*
 * Stores STATUS and DONE as one 64-bit word, after all stores before it. The
 * caller checked that the channel is still enabled, and holds EpcState.lock
 * since then, so a CPU that disables the channel finds no store after it.
 */
void epc_dma_slot_store(const EpcDmaSlot *slot, uint32_t status, uint32_t done);
/* To be called after epc_dma_slot_store(), when EpcState.lock is released */
void epc_dma_slot_written(EpcDmaChannel *ch, const EpcDmaSlot *slot);

#endif /* HW_PCI_EP_ENDPOINT_DMA_RING_H */
