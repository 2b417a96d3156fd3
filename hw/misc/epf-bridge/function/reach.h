/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reach: whether accesses of the guest reach a function
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_FUNCTION_REACH_H
#define HW_MISC_EPF_BRIDGE_FUNCTION_REACH_H

#include "hw/misc/epf-bridge/function/state.h"

/*
 * Returns true when an access of the guest ends at the port: the link is down,
 * the port holds it down, or the guest holds the secondary bus in reset.
 */
bool epf_reach_ends(EpfFunction *f);

#endif /* HW_MISC_EPF_BRIDGE_FUNCTION_REACH_H */
