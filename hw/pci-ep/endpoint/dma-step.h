/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A descriptor of the DMA engine, step by step
 *
 * The worker and, for small copies, a vCPU call this.
 */
#ifndef HW_PCI_EP_ENDPOINT_DMA_STEP_H
#define HW_PCI_EP_ENDPOINT_DMA_STEP_H

#include "hw/pci-ep/endpoint/dma-channel.h"
#include "hw/pci-ep/endpoint/dma-worker.h"

/* What a descriptor costs besides the bytes that it copies, in bytes */
#define EPC_DMA_DESC_COST   4096

/*
 * Takes the next descriptor of @ch one burst further.  Returns how many bytes
 * were copied, plus EPC_DMA_DESC_COST when the descriptor ended, or 0 when
 * there is nothing to do.  A vCPU, for which @by_worker is false, also gets 0
 * when the descriptor is too long for it or takes a message.
 */
uint32_t epc_dma_step(EpcDmaChannel *ch, bool by_worker)
    EP_REQUIRES(&ch->worker->turn) EP_EXCLUDES(&ch->epc->lock);

/*
 * EpcDmaChannel.timer: EPC_DMA_IRQ_USEC passed since the first descriptor that
 * is not signalled.  @opaque is the channel.
 */
void epc_dma_irq_timer(void *opaque);

#endif /* HW_PCI_EP_ENDPOINT_DMA_STEP_H */
