/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events: what the reader thread of a session does with messages of the
 * endpoint
 *
 * The reader thread never blocks and never takes the BQL.  The opaque pointer
 * of all callbacks is the EpfConnection.
 */
#ifndef HW_MISC_EPF_BRIDGE_REMOTE_EVENTS_H
#define HW_MISC_EPF_BRIDGE_REMOTE_EVENTS_H

#include "hw/pci-ep/wire/wire.h"

extern const EpwOps epf_events_session_ops;

/* The EpwDone of the VERSION that the connection thread sends */
void epf_events_version(EpwSession *s, int err, EpwMsg *reply, void *opaque);

#endif /* HW_MISC_EPF_BRIDGE_REMOTE_EVENTS_H */
