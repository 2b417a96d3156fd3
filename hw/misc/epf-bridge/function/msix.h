/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * msix: MSI-X table and pending bits of a remote function
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_FUNCTION_MSIX_H
#define HW_MISC_EPF_BRIDGE_FUNCTION_MSIX_H

#include "hw/misc/epf-bridge/function/state.h"

/*
 * Shows the MSI-X capability at offset @cap.  Returns false and sets @errp when
 * the function has table and pending bits where they cannot be.
 */
bool epf_msix_init(EpfFunction *f, uint8_t cap, Error **errp);
void epf_msix_exit(EpfFunction *f);

/*
 * Returns the size of a BAR for table and pending bits of @r, or 0 when they
 * can stay where they are without making memory next to them slow.
 */
uint64_t epf_msix_wants_bar(const EpfRemote *r);

/*
 * The guest has written @len bytes of configuration space at @addr, and QEMU
 * has carried that out.  Changes *@val to what the endpoint is to get; returns
 * false when it is to get nothing.
 */
bool epf_msix_forwarded(EpfFunction *f, uint32_t addr, uint32_t *val, int len);

#endif /* HW_MISC_EPF_BRIDGE_FUNCTION_MSIX_H */
