/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * access: DMA messages of the endpoint
 */
#ifndef HW_MISC_EPF_BRIDGE_DMA_ACCESS_H
#define HW_MISC_EPF_BRIDGE_DMA_ACCESS_H

#include "hw/misc/epf-bridge/dma/worker.h"

/*
 * Carries out a DMA_READ or DMA_WRITE as in EpfConnectionOps.dma(): at once if
 * it meets plain memory only, else in the thread of @w.  Takes EpfRemote.lock.
 * Reader thread.
 */
void epf_access_dma(EpfWorker *w, EpfRemote *r, const VfuDmaRw *rw,
                    bool is_write, EpwRequest *req);

#endif /* HW_MISC_EPF_BRIDGE_DMA_ACCESS_H */
