/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-client, inside: the connection (epf-client.c) and its use (epf-call.c)
 */
#ifndef HW_MISC_EPF_CLIENT_INT_H
#define HW_MISC_EPF_CLIENT_INT_H

#include "epf-client.h"

struct EpfClient {
    char *path;
    char *name;
    unsigned deadline_ms;
    bool trust_unsealed;
    void (*changed)(void *opaque);
    void *opaque;
    QemuThread thread;
    Stat64 messages;

    QemuMutex lock;
    QemuCond cond;
    EpwSession *session;    /* NULL: not connected */
    unsigned users;         /* of session */
    bool agreed;            /* VERSION is done */
    bool closed;
    EpfLink *link;          /* announced by the endpoint, not dead */
    bool described;         /* the query of link is done */
    int64_t debt;           /* us of slow answers, see epf_link_waited() */
    int64_t debt_at;        /* g_get_monotonic_time() of @debt */
    char *last_error;
    GHashTable *warned;
};

#endif /* HW_MISC_EPF_CLIENT_INT_H */
