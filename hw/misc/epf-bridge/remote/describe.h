/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * describe: asks the endpoint what its function looks like
 */
#ifndef HW_MISC_EPF_BRIDGE_REMOTE_DESCRIBE_H
#define HW_MISC_EPF_BRIDGE_REMOTE_DESCRIBE_H

#include "hw/misc/epf-bridge/remote/remote.h"

/*
 * Fills the description of @r, with one wait for the endpoint after another.
 * Returns false and sets @errp when the endpoint does not answer or when its
 * function cannot be shown as a PCI device.  Connection thread.
 */
bool epf_describe(EpfRemote *r, Error **errp);

#endif /* HW_MISC_EPF_BRIDGE_REMOTE_DESCRIBE_H */
