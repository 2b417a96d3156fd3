/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker: DMA messages that meet a virtual IOMMU or a device of this guest
 *
 * Such an access needs the BQL, which the reader thread must not take.  So each
 * function has a worker thread, which carries it out and answers later.
 *
 * Any thread may call these functions; they take EpfWorker.lock.
 */
#ifndef HW_MISC_EPF_BRIDGE_DMA_WORKER_H
#define HW_MISC_EPF_BRIDGE_DMA_WORKER_H

#include "hw/pci-ep/wire/wire.h"
#include "hw/misc/epf-bridge/remote/remote.h"

typedef struct EpfWorker EpfWorker;

/*
 * Makes the worker of a function and starts its thread, which lives as long as
 * the process.  @first is the worker of function 0, NULL for that one itself:
 * the workers of all functions take turns at the BQL.
 */
EpfWorker *epf_worker_new(EpfWorker *first);

/*
 * Has the worker do DMA as in EpfConnectionOps.dma() and answer @req; answers
 * with EBUSY at once when too much waits for the worker.
 */
void epf_worker_dma(EpfWorker *w, EpfRemote *r, const VfuDmaRw *rw,
                    bool is_write, EpwRequest *req);

/*
 * Has the worker make this guest's IOMMU report the access; does nothing when
 * too much waits for the worker.
 */
void epf_worker_fault(EpfWorker *w, EpfRemote *r, uint64_t addr,
                      bool is_write);

#endif /* HW_MISC_EPF_BRIDGE_DMA_WORKER_H */
