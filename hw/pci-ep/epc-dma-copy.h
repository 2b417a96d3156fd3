/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-dma-copy: copies of the DMA engine, one piece at a time
 *
 * A piece is the time in which the worker may touch memory.  Before it, the
 * worker translates addresses of the endpoint, which may take the BQL (a virtual
 * IOMMU that reports a fault); in it, it looks up addresses of the host and
 * copies.  Messages to the host are sent between pieces.
 */
#ifndef HW_PCI_EP_EPC_DMA_COPY_H
#define HW_PCI_EP_EPC_DMA_COPY_H

#include "qemu/thread.h"

struct EpcState;
struct EpcDmaChannel;

typedef struct EpcDmaPieces {
    QemuMutex lock;
    QemuCond over;
    bool busy;
    uint64_t count;
} EpcDmaPieces;

void epc_dma_pieces_init(EpcDmaPieces *p);
void epc_dma_pieces_destroy(EpcDmaPieces *p);
/* Waits for the end of the piece that is under way, if any. */
void epc_dma_pieces_drain(EpcDmaPieces *p);

/* Most bytes of a piece, and of a message */
#define EPC_DMA_PIECE       (512 * 1024u)
#define EPC_DMA_BOUNCE      (64 * 1024u)

/* Neither of EPC_DMA_*: the channel was disabled, its work is void. */
#define EPC_DMA_VOID        UINT32_MAX

/*
 * All under EpcDma.turn; they return EPC_DMA_OK, another EPC_DMA_* or
 * EPC_DMA_VOID.  Ring accesses must not wrap.
 */
/* EPC_DMA_VOID also where it takes a message and @wait is false */
uint32_t epc_dma_copy(struct EpcDmaChannel *ch, bool wait, uint32_t *count);
uint32_t epc_dma_ring_read(struct EpcDmaChannel *ch, uint64_t addr, void *buf,
                           uint32_t len);
/* Publishes the status last. */
uint32_t epc_dma_ring_status(struct EpcDmaChannel *ch, uint64_t addr,
                             uint32_t done, uint32_t status);

#endif /* HW_PCI_EP_EPC_DMA_COPY_H */
