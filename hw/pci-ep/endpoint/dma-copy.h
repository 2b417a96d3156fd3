/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copies of the DMA engine
 *
 * Before a burst the engine translates addresses of the endpoint, for which it
 * takes the BQL behind a virtual IOMMU.  Inside the burst it
 * looks up addresses of the host and copies.  Messages to the host are sent
 * between bursts.
 */
#ifndef HW_PCI_EP_ENDPOINT_DMA_COPY_H
#define HW_PCI_EP_ENDPOINT_DMA_COPY_H

#include "hw/pci-ep/endpoint/dma-channel.h"
#include "hw/pci-ep/endpoint/dma-worker.h"

/*
 * Copies the next bytes of the descriptor in @ch->desc, beginning at
 * @ch->done, in one burst or by messages of EPC_DMA_BOUNCE bytes.  Returns
 * EPC_DMA_OK, another EPC_DMA_*, or EPC_DMA_VOID.  On EPC_DMA_OK @count is how
 * many bytes were copied.
 *
 * With @wait false nothing is done that takes a message to the host;
 * EPC_DMA_VOID is returned then as well.  A caller that holds the BQL does not
 * wait.
 */
uint32_t epc_dma_copy(EpcDmaChannel *ch, bool wait, uint32_t *count)
    EP_REQUIRES(&ch->worker->turn) EP_EXCLUDES(&ch->epc->lock);

#endif /* HW_PCI_EP_ENDPOINT_DMA_COPY_H */
