/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device: the functions of one endpoint
 *
 * Each function has a connection and a worker.  The remote of function 0 says
 * which other functions there are.  The guest sees the remotes of all of them,
 * or nothing.
 *
 * Callers are in the main loop.
 */
#ifndef HW_MISC_EPF_BRIDGE_DEVICE_H
#define HW_MISC_EPF_BRIDGE_DEVICE_H

#include "hw/misc/epf-bridge/remote/connection.h"

typedef struct EpfDevice EpfDevice;

/*
 * @cfg is for function 0 and is copied.  @changed is called as in
 * EpfConnectionOps, for any function.
 */
EpfDevice *epf_device_new(const EpfConnectionConfig *cfg,
                          void (*changed)(void *opaque), void *opaque);
/* Connects, from now on. */
void epf_device_start(EpfDevice *dev);

/*
 * Without @wanted, ends all sessions and does not connect again. The guest sees
 * no functions then.
 */
void epf_device_set_wanted(EpfDevice *dev, bool wanted);

/*
 * Fills @remotes with what the guest should see, referenced or NULL; all are
 * NULL until every function of the endpoint is there.  Warns the user when that
 * takes too long.
 */
void epf_device_get_remotes(EpfDevice *dev,
                            EpfRemote *remotes[EPF_MAX_FUNCTIONS]);
void epf_device_put_remotes(EpfRemote *remotes[EPF_MAX_FUNCTIONS]);

/* The connection of function 0 */
EpfConnection *epf_device_connection(EpfDevice *dev);
/* Sums over all functions, see remote/connection.h */
uint64_t epf_device_messages(EpfDevice *dev);
uint64_t epf_device_interrupts(EpfDevice *dev);

#endif /* HW_MISC_EPF_BRIDGE_DEVICE_H */
