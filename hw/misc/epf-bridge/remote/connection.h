/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * connection: the bridge's side of the link to one remote function
 *
 * Each connection has a thread of its own, the connection thread.  It connects
 * to the endpoint's socket, for ever and whichever side starts first, waits for
 * the PCIe link and asks what the function looks like.  The result is an
 * EpfRemote, which the main loop gets by epf_connection_get_remote().
 *
 * A connection lives as long as the process.
 */
#ifndef HW_MISC_EPF_BRIDGE_REMOTE_CONNECTION_H
#define HW_MISC_EPF_BRIDGE_REMOTE_CONNECTION_H

#include "hw/misc/epf-bridge/remote/ops.h"

typedef struct EpfConnectionConfig {
    const char *path;           /* of the socket */
    const char *device;         /* name of the bridge, for trace events */
    const char *name;           /* for warnings and the thread */
    unsigned deadline_ms;       /* of each wait for the endpoint */
    bool trust_unsealed;        /* see ep_file_new() */
    unsigned func;              /* function number */
    EpfConnection *first;       /* of function 0; NULL: this is that one */
} EpfConnectionConfig;

/* Copies @cfg.  The connection is idle until epf_connection_want(). */
EpfConnection *epf_connection_new(const EpfConnectionConfig *cfg,
                                  const EpfConnectionOps *ops, void *opaque);
/* Starts the connection thread.  The main loop calls this once. */
void epf_connection_start(EpfConnection *c);
/* Connects, or ends the session when @wanted is false.  Any thread. */
void epf_connection_want(EpfConnection *c, bool wanted);

/* Returns what the guest should see, referenced, or NULL.  Any thread. */
EpfRemote *epf_connection_get_remote(EpfConnection *c);

/* Is there a session with an endpoint that accepted VERSION?  Any thread. */
bool epf_connection_connected(EpfConnection *c);
/* Messages sent and received in all sessions so far.  Any thread. */
uint64_t epf_connection_messages(EpfConnection *c);
/* Calls of epf_remote_count_interrupt() so far.  Any thread. */
uint64_t epf_connection_interrupts(EpfConnection *c);

#endif /* HW_MISC_EPF_BRIDGE_REMOTE_CONNECTION_H */
