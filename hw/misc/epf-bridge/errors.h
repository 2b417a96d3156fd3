/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * errors: errors that the port and its functions report
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_ERRORS_H
#define HW_MISC_EPF_BRIDGE_ERRORS_H

#include "hw/misc/epf-bridge/bridge.h"

/*
 * Has function @func, or the port when @func is EP_FAULT_EVERY, detect an error
 * that is of @severity after a reset. Masks, severities and enable bits decide
 * what becomes of it. Returns the bit of its status register, or 0 with @errp
 * when there is no such function, or when it cannot report errors.
 */
uint32_t epf_errors_report(EpfBridge *b, uint32_t func,
                           EpFaultSeverity severity, Error **errp);

/* The port detects the uncorrectable error @status. */
void epf_errors_detect(EpfBridge *b, uint32_t status);

/* A fundamental reset */
void epf_errors_reset(EpfBridge *b);

#endif /* HW_MISC_EPF_BRIDGE_ERRORS_H */
