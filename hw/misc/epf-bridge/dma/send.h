/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * send: DMA_MAP and DMA_UNMAP, for the ranges that the endpoint may access
 *
 * Callers hold the BQL.  The functions do not wait; remote/wait.h has those
 * that wait for the answers.
 */
#ifndef HW_MISC_EPF_BRIDGE_DMA_SEND_H
#define HW_MISC_EPF_BRIDGE_DMA_SEND_H

#include "hw/misc/epf-bridge/remote/remote.h"

/*
 * DMA_MAP of @size bytes at host bus address @addr, both multiples of the page
 * size, with @flags of VFU_DMA_*.  The endpoint maps the file of @mr from
 * @offset on if @mr is shared memory.  Otherwise, and when @mr is NULL, it
 * reaches the range by message, and each access is translated here.
 *
 * @awaited: somebody waits for the answer.
 */
void epf_dma_map(EpfRemote *r, uint64_t addr, uint64_t size, uint32_t flags,
                 MemoryRegion *mr, uint64_t offset, bool awaited);

/* DMA_UNMAP of a range that was mapped; somebody waits for the answer. */
void epf_dma_unmap(EpfRemote *r, uint64_t addr, uint64_t size);

#endif /* HW_MISC_EPF_BRIDGE_DMA_SEND_H */
