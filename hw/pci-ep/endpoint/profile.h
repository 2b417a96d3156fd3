/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Profiles: files with the limits of an endpoint controller that exists
 */
#ifndef HW_PCI_EP_ENDPOINT_PROFILE_H
#define HW_PCI_EP_ENDPOINT_PROFILE_H

#include "hw/pci-ep/endpoint/state.h"

/*
 * Has each property that a profile may set note in EpcState.given that it was
 * set. The class has its properties already.
 */
void epc_profile_class_init(ObjectClass *oc);

/*
 * Sets the properties that the profile EpcState.profile has. The file is a JSON
 * object whose member "properties" is an object with a member for each
 * property; other members are for people and for the launcher. A value is what
 * the property is of, or text as on the command line. A property that -device,
 * device_add or -global has set keeps its value.
 *
 * Does nothing without a profile. Called at the begin of realize. An error names
 * the file, and the property if it is about one.
 */
bool epc_profile_apply(EpcState *s, Error **errp) EP_REQUIRES(&ep_bql);

#endif /* HW_PCI_EP_ENDPOINT_PROFILE_H */
