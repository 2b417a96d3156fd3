/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * function: the PCI device that the guest sees for one remote
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_FUNCTION_FUNCTION_H
#define HW_MISC_EPF_BRIDGE_FUNCTION_FUNCTION_H

#include "hw/misc/epf-bridge/function/state.h"

/*
 * Returns a device that shows @r as function @func of the slot, not realized
 * yet.  @multi: the slot has other functions than virtual ones.
 */
EpfFunction *epf_function_new(EpfRemote *r, const EpfFunctionOps *ops,
                              unsigned func, bool multi);

/* QEMU has reset the device, but for the function level reset of its own. */
void epf_function_was_reset(EpfFunction *f);

#endif /* HW_MISC_EPF_BRIDGE_FUNCTION_FUNCTION_H */
