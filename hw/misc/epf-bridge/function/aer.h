/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aer: Advanced Error Reporting of a function
 *
 * QEMU carries it out where the endpoint has the capability.
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_FUNCTION_AER_H
#define HW_MISC_EPF_BRIDGE_FUNCTION_AER_H

#include "hw/misc/epf-bridge/function/state.h"

/*
 * Takes over the capability at @at, which has enough room. The headers of
 * extended capabilities have to be shown already, and once more afterwards.
 */
void epf_aer_init(EpfFunction *f, unsigned at);
void epf_aer_exit(EpfFunction *f);

/* QEMU has carried out a write of the guest. */
void epf_aer_written(EpfFunction *f, uint32_t addr, uint32_t val, int len);

/*
 * A fundamental reset of a function, or of the port. Others keep all bits,
 * since they are sticky.
 */
void epf_aer_power_reset(PCIDevice *d);

#endif /* HW_MISC_EPF_BRIDGE_FUNCTION_AER_H */
