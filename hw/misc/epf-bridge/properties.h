/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * properties: what a user can read of a bridge while it runs
 */
#ifndef HW_MISC_EPF_BRIDGE_PROPERTIES_H
#define HW_MISC_EPF_BRIDGE_PROPERTIES_H

#include "qom/object.h"

/* Adds them to the class of the bridge. */
void epf_properties_add(ObjectClass *oc);

#endif /* HW_MISC_EPF_BRIDGE_PROPERTIES_H */
