/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listener: what a remote function may reach of this guest's address space
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_DMA_LISTENER_H
#define HW_MISC_EPF_BRIDGE_DMA_LISTENER_H

#include "hw/pci/pci_device.h"
#include "hw/misc/epf-bridge/remote/remote.h"

typedef struct EpfDma EpfDma;

/*
 * Sends the endpoint the ranges that @d, which shows @r, may access, and keeps
 * them up to date.  @d holds a reference to @r.
 */
EpfDma *epf_dma_new(PCIDevice *d, EpfRemote *r);

/*
 * From now on nobody waits for the endpoint when ranges change; the caller does
 * that.
 */
void epf_dma_leave(EpfDma *dma);

/*
 * Unmaps everything and waits for the endpoint, unless the remote is dead or
 * epf_dma_leave() was called.  @d is still realized.
 */
void epf_dma_free(EpfDma *dma);

#endif /* HW_MISC_EPF_BRIDGE_DMA_LISTENER_H */
