/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn: one connection of a client, and the replies on it
 */
#ifndef HW_PCI_EP_SERVER_CONN_H
#define HW_PCI_EP_SERVER_CONN_H

#include "hw/pci-ep/server/server-int.h"

/* conn.c has the table of transitions. */
typedef enum EpcConnState {
    EPC_CONN_HANDSHAKE,     /* waits for VERSION */
    EPC_CONN_REFUSED,       /* the same, but VERSION is answered with EBUSY */
    EPC_CONN_PLAIN,         /* a client that does not know link states */
    EPC_CONN_EXTENDED,      /* a client with VFU_EP_FEATURE_LINK */
    EPC_CONN_OVER,          /* closed; freed once nobody uses it */
} EpcConnState;

/* One accepted connection, which the main loop frees */
struct EpcConn {
    EpcServer *s;
    EpwSession *session;
    GSource *version_timer; /* ends a client that does not send VERSION */

    /*
     * EpcServer.lock guards the rest, which EP_GUARDED_BY() cannot say: it
     * names locks of the same structure only.
     */
    QLIST_ENTRY(EpcConn) next;
    EpcConnState state;
    unsigned features;      /* agreed; 0 unless the state is EXTENDED */
    unsigned users;         /* see epc_conn_hold() */
    /* BARs whose memory, and whose doorbells, the client asked for, as bits */
    uint32_t bars_queried, doorbells_queried;
};

/*
 * Makes a connection of the socket @fd, which it takes over. It is the client
 * of @s when there is none, and REFUSED otherwise. Callbacks of @ops get the
 * EpcConn. The first callback waits for EpcServer.lock.
 */
EpcConn *epc_conn_new(EpcServer *s, int fd, const EpwOps *ops)
    EP_REQUIRES(&s->lock);

/* Ends the session, waits for its reader thread, frees. Main loop only. */
void epc_conn_free(EpcConn *c);

/* Removes and returns a connection that is over and has no users, or NULL. */
EpcConn *epc_conn_pop_over(EpcServer *s) EP_EXCLUDES(&s->lock);

/*
 * Goes to @state, which has the meaning that the table in conn.c gives it. A
 * transition that is not in the table is traced and not made.
 */
void epc_conn_set_state(EpcConn *c, EpcConnState state)
    EP_REQUIRES(&c->s->lock);

/* Returns true in a state in which the client still has to send VERSION. */
static inline bool epc_conn_expects_version(EpcConnState state)
{
    return state == EPC_CONN_HANDSHAKE || state == EPC_CONN_REFUSED;
}

/*
 * Returns the connection of the client, which must exist. It and its session
 * stay until epc_conn_release(), so that a thread may use the session without
 * EpcServer.lock.
 */
EpcConn *epc_conn_hold(EpcServer *s) EP_REQUIRES(&s->lock);
void epc_conn_release(EpcConn *c) EP_EXCLUDES(&c->s->lock);

/* A command of the client while commands.c or regions.c handle it */
typedef struct EpcRequest {
    EpcServer *s;
    EpcConn *c;
    EpwMsg *m;
    EpwRequest *t;
    bool live;              /* the link was up when the command came */
    bool plain;             /* the client does not know link states */
    unsigned features;      /* agreed; 0 for a plain client */
    uint32_t generation;
} EpcRequest;

/* Replies with @len bytes at @p, or with an empty payload when @len is 0. */
void epc_request_reply(EpcRequest *r, const void *p, size_t len);
/* Replies with the positive errno @err, or with success when @err is 0. */
void epc_request_finish(EpcRequest *r, int err);

#endif /* HW_PCI_EP_SERVER_CONN_H */
