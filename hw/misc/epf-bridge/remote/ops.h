/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ops: what remote/ asks of the code above it
 */
#ifndef HW_MISC_EPF_BRIDGE_REMOTE_OPS_H
#define HW_MISC_EPF_BRIDGE_REMOTE_OPS_H

#include "hw/pci-ep/wire/wire.h"
#include "hw/misc/epf-bridge/remote/remote.h"

/*
 * What the owner of the connection does for it.  Called with no lock of the
 * connection held; the functions must not block and must not take the BQL.
 */
typedef struct EpfConnectionOps {
    /*
     * A remote came or went, or a BAR or INTx of one changed, so the main loop
     * should look at the connection again.  Any thread.
     */
    void (*changed)(void *opaque);
    /*
     * DMA_READ or DMA_WRITE of the endpoint, which passed epw_check_command().
     * The callee answers @req, now or later; a DMA_WRITE has its data behind
     * @rw.  Reader thread.
     */
    void (*dma)(void *opaque, EpfRemote *r, const VfuDmaRw *rw, bool is_write,
                EpwRequest *req);
    /*
     * EP_FAULT: the endpoint did not carry out an access that no DMA_MAP
     * allows, and the guest's IOMMU is to report it.  Reader thread.
     */
    void (*fault)(void *opaque, EpfRemote *r, uint64_t addr, bool is_write);
    /*
     * The session of @r has ended because of @why, and @r is about to die.
     * Reader thread.
     */
    void (*lost)(void *opaque, EpfRemote *r, const char *why);
} EpfConnectionOps;

#endif /* HW_MISC_EPF_BRIDGE_REMOTE_OPS_H */
