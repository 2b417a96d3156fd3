/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faults: what a user asks a bridge to do wrong while it runs
 *
 * function/inject.h has the faults that happen to accesses and interrupts of a
 * function; the bridge itself carries out the others.
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_FAULTS_H
#define HW_MISC_EPF_BRIDGE_FAULTS_H

#include "hw/misc/epf-bridge/bridge.h"

void epf_faults_init(EpfBridge *b);
void epf_faults_finalize(EpfBridge *b);

/* Adds the properties "fault", "fault-log" and "fault-seed" to the class. */
void epf_faults_add_properties(ObjectClass *oc);

#endif /* HW_MISC_EPF_BRIDGE_FAULTS_H */
