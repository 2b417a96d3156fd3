/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sriov: the SR-IOV capability of function 0
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_FUNCTION_SRIOV_H
#define HW_MISC_EPF_BRIDGE_FUNCTION_SRIOV_H

#include "hw/misc/epf-bridge/function/state.h"

/*
 * Checks the capability of remotes[0] against the virtual functions among
 * @remotes and fills @s with what the guest is to see.  Warns when the
 * capability must be hidden.  @relocate:  MSI-X tables may be moved, see
 * function/msix.c.
 */
void epf_sriov_plan(EpfSriov *s, EpfRemote **remotes, bool relocate);

/* Has QEMU make the virtual functions of function 0 as planned. */
bool epf_sriov_init(EpfFunction *f, Error **errp);
void epf_sriov_exit(EpfFunction *f);

/* Does a write of @len bytes at @addr touch the capability? */
bool epf_sriov_written(EpfFunction *f, uint32_t addr, int len);

/*
 * Lets the guest reach the virtual functions that the capability enables.
 * Called after a reset, or when the guest has written the capability and the
 * endpoint knows about that.
 */
void epf_sriov_sync(EpfFunction *f);

#endif /* HW_MISC_EPF_BRIDGE_FUNCTION_SRIOV_H */
