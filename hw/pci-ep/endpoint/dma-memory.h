/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of the endpoint guest as the DMA engine reaches it
 */
#ifndef HW_PCI_EP_ENDPOINT_DMA_MEMORY_H
#define HW_PCI_EP_ENDPOINT_DMA_MEMORY_H

#include "hw/pci-ep/endpoint/dma-worker.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/shared/compat.h"
#include "hw/pci-ep/wire/locks.h"

/*
 * Contiguous bytes in this process.  @mr is the RAM they belong to, or NULL
 * when they are no memory of the endpoint guest.
 */
typedef struct EpcDmaSpan {
    MemoryRegion *mr;
    uint8_t *ptr;
    uint64_t len;
} EpcDmaSpan;

/*
 * Translates DMA address @addr of the endpoint.  Fills @span with the RAM that
 * begins there, at most @len bytes.  Returns false when there is no RAM, or
 * none that may be written when @write is set.
 *
 * The caller is in an RCU read-side critical section, which the span does not
 * outlive.  It does not hold EpcState.lock.  Behind a virtual IOMMU only the
 * thread of @w calls this, without the BQL.  It takes the BQL, since the IOMMU may
 * report a fault, which QEMU's devices do with the BQL held.  The report is a
 * store to an address that the guest chooses, and may make the machine eject
 * this device: then all channels have been reset, this returns false, and
 * EpcDma.stop is set.
 */
bool epc_dma_memory_translate(EpcDmaWorker *w, uint64_t addr, uint32_t len,
                              bool write, EpcDmaSpan *span)
    EP_REQUIRES(&w->turn) EP_EXCLUDES(&w->epc->lock);

/*
 * Called after the first @len bytes of @span were written.  QEMU then drops
 * code that it translated from them (TCG).  Same RCU critical section.
 */
void epc_dma_memory_written(EpcState *s, const EpcDmaSpan *span,
                            uint32_t len);

#endif /* HW_PCI_EP_ENDPOINT_DMA_MEMORY_H */
