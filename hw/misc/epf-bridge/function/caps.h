/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * caps: the capabilities of a remote function
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_FUNCTION_CAPS_H
#define HW_MISC_EPF_BRIDGE_FUNCTION_CAPS_H

#include "hw/misc/epf-bridge/function/state.h"

/* Shows the endpoint's capabilities; false with @errp if one is malformed. */
bool epf_caps_init(EpfFunction *f, Error **errp);
void epf_caps_exit(EpfFunction *f);

/*
 * Reads @len bytes of configuration space for the guest; asks the endpoint for
 * those that it carries out.
 */
uint32_t epf_caps_read(EpfFunction *f, uint32_t addr, int len);

#endif /* HW_MISC_EPF_BRIDGE_FUNCTION_CAPS_H */
