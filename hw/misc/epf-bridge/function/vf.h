/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vf: a virtual function as the guest sees it
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_FUNCTION_VF_H
#define HW_MISC_EPF_BRIDGE_FUNCTION_VF_H

#include "hw/misc/epf-bridge/function/state.h"

/*
 * Before anything else is done to @f, which QEMU makes while it realizes
 * function 0: takes over remote, operations and BARs as epf_sriov_plan()
 * planned them.
 */
void epf_vf_init(EpfFunction *f);
void epf_vf_exit(EpfFunction *f);

/*
 * Returns the plan that @f was made by, or NULL if @f is no virtual function.
 */
const EpfSriov *epf_vf_sriov(EpfFunction *f);

/* Has the virtual function decode memory, or not. */
void epf_vf_set_decode(EpfFunction *f, bool on);

/*
 * Returns what the guest reads where the configuration space of a virtual
 * function has @val, @len bytes at @addr.
 */
uint32_t epf_vf_mask(uint32_t addr, uint32_t val, int len);

#endif /* HW_MISC_EPF_BRIDGE_FUNCTION_VF_H */
