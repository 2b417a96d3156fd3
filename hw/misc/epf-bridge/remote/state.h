/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state: the state of a connection, for the files of remote/ only
 *
 * remote/connection.c has the connection thread and the table of states,
 * remote/events.c the callbacks of the reader thread, remote/calls.c what other
 * threads ask the endpoint and remote/report.c what the user is warned of.
 */
#ifndef HW_MISC_EPF_BRIDGE_REMOTE_STATE_H
#define HW_MISC_EPF_BRIDGE_REMOTE_STATE_H

#include "hw/pci-ep/shared/patience.h"
#include "hw/pci-ep/wire/wire.h"
#include "hw/misc/epf-bridge/remote/ops.h"

/* What this side can do of the extension */
#define EPF_CONNECTION_FEATURES (VFU_EP_FEATURE_LINK | VFU_EP_FEATURE_RESET | \
                                 VFU_EP_FEATURE_REMAP | VFU_EP_FEATURE_INTX | \
                                 VFU_EP_FEATURE_AREAS | VFU_EP_FEATURE_FUNC | \
                                 VFU_EP_FEATURE_FAULT | VFU_EP_FEATURE_MASK)

/* Pause of the connection thread before it connects again, doubled each time */
#define EPF_BACKOFF_MIN_MS 100
#define EPF_BACKOFF_MAX_MS 1000

/* Time without an endpoint after which the user is told */
#define EPF_ABSENT_MS 10000

/* The table at the head of remote/connection.c says which follows which. */
typedef enum EpfState {
    EPF_IDLE,               /* the bridge does not want this function */
    EPF_CONNECTING,         /* no session */
    EPF_NEGOTIATING,        /* VERSION is not answered yet */
    EPF_NO_LINK,
    EPF_DESCRIBING,         /* the connection thread asks about @remote */
    EPF_SHOWN,              /* @remote is offered to the main loop */
    EPF_REFUSED,            /* @remote cannot be shown */
    EPF_CLOSED,             /* the session is over, but not freed yet */
} EpfState;

struct EpfConnection {
    char *path;
    char *device;           /* name of the bridge */
    char *name;             /* the same and the function number */
    unsigned deadline_ms;
    bool trust_unsealed;
    unsigned func;
    EpfConnection *first;   /* of function 0; NULL: this is that one */
    const EpfConnectionOps *ops;
    void *opaque;
    Stat64 messages;
    Stat64 interrupts;      /* that a thread of QEMU delivered */

    /*
     * Threads that wait without the BQL for an answer; the bottom half of the
     * bridge has to come again when they are done; until when the main loop
     * does not wait.  Only those of @first are used, for all functions.
     */
    unsigned waiting EP_GUARDED_BY(&ep_bql);
    bool deferred EP_GUARDED_BY(&ep_bql);
    int64_t late_until EP_GUARDED_BY(&ep_bql);

    /* Who holds it takes no other lock but EpwSession.lock. */
    QemuMutex lock;
    QemuCond cond;          /* @state or @wanted changed, or @users fell to 0 */
    EpfState state EP_GUARDED_BY(&lock);
    bool wanted EP_GUARDED_BY(&lock);
    EpwSession *session EP_GUARDED_BY(&lock);   /* NULL: none */
    unsigned users EP_GUARDED_BY(&lock);        /* threads that use @session */
    /* The last link-up; only the reader thread changes it. */
    EpfRemote *remote EP_GUARDED_BY(&lock);
    unsigned backoff_ms EP_GUARDED_BY(&lock);
    unsigned absent_ms EP_GUARDED_BY(&lock);    /* time without an endpoint */
    /* With slow answers; only that of @first is used, for all functions */
    EpPatience patience EP_GUARDED_BY(&lock);
    char *last_error EP_GUARDED_BY(&lock);
    GHashTable *warned EP_GUARDED_BY(&lock);    /* texts printed already */
};

/*
 * Enters state @to and wakes who waits for it.  A step that the table does not
 * have is traced, changes nothing and returns false.
 */
bool epf_connection_step(EpfConnection *c, EpfState to) EP_REQUIRES(&c->lock);

#endif /* HW_MISC_EPF_BRIDGE_REMOTE_STATE_H */
