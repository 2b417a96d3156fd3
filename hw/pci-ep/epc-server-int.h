/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-server: what its files share
 *
 *   epc-server.c         connections and the state of the link
 *   epc-server-cmd.c     commands of the client
 *   epc-server-region.c  those about regions: what they are, what they hold
 *   epc-server-call.c    memory revocation, INTx and DMA: calls to the client
 *   epc-server-listen.c  the socket in the file system
 */
#ifndef HW_PCI_EP_EPC_SERVER_INT_H
#define HW_PCI_EP_EPC_SERVER_INT_H

#include "qemu/queue.h"
#include "qemu/thread.h"
#include "hw/pci-ep/epc-server.h"

/* What this server does of the extension */
#define EPC_SERVER_FEATURES (VFU_EP_FEATURE_LINK | VFU_EP_FEATURE_RESET | \
                             VFU_EP_FEATURE_REMAP | VFU_EP_FEATURE_INTX | \
                             VFU_EP_FEATURE_AREAS | VFU_EP_FEATURE_FUNC | \
                             VFU_EP_FEATURE_FAULT)

/* See the table in epc-server.c. */
typedef enum EpcServerLink {
    EPS_DOWN,
    EPS_RAISING,
    EPS_UP,
    EPS_LOWERING,
} EpcServerLink;

/* One accepted connection.  Freed by the main loop only. */
typedef struct EpcConn {
    QLIST_ENTRY(EpcConn) next;
    EpcServer *s;
    EpwSession *session;
    GSource *silence;       /* ends a client that does not send VERSION */
    bool refused;           /* a second client: VERSION is answered EBUSY */

    /* under EpcServer.lock */
    bool ready;             /* VERSION was answered, plain is valid */
    bool plain;             /* the client does not know of link states */
    bool joined;            /* it knows of several functions */
    bool over;              /* closed: free it when there are no users */
    unsigned users;         /* threads that use session without a lock */
    uint32_t asked;         /* regions whose memory the client asked for */
    uint32_t asked_ios;     /* regions whose doorbells it asked for */
} EpcConn;

typedef struct EpcDone {
    QSIMPLEQ_ENTRY(EpcDone) next;
    void (*done)(void *opaque);
    void *opaque;
} EpcDone;

typedef struct EpcRemap {
    QTAILQ_ENTRY(EpcRemap) next;
    EpcServer *s;
    unsigned region;
    bool listed;            /* done is still to be called */
    bool calling;           /* EP_REMAP is not answered yet */
    bool awaits;            /* the client will ask for doorbells again */
    int64_t sent;           /* EP_REMAP, monotonic us */
    int64_t until;          /* to wait for @awaits; 0: not answered */
    void (*done)(void *opaque, int err);
    void *opaque;
} EpcRemap;

typedef QSIMPLEQ_HEAD(EpcDones, EpcDone) EpcDones;

struct EpcServer {
    const EpcServerOps *ops;
    void *opaque;
    char *path;
    char *name;
    unsigned deadline_ms;
    unsigned speed, width;
    Stat64 messages;        /* of all connections */

    /* main loop only */
    int listen_fd;
    dev_t dev;              /* of the socket file */
    ino_t ino;
    GSource *accept;        /* listen_fd, or a pause after an error */
    GSource *work;          /* woken when a connection or a link ended */

    /* Held while any of ops runs: the owner sees one at a time, in order. */
    QemuMutex op_lock;

    /* A leaf: nothing is called under it but the session's senders. */
    QemuMutex lock;
    bool enabled;
    uint32_t functions;     /* of the last epc_server_enable() */
    EpcServerLink link;
    bool told;              /* the owner was told that the link is up */
    uint32_t generation;
    uint32_t remap_seq[VFU_REGION_BAR5 + 1];
    EpcConn *conn;          /* the client; NULL: none */
    QLIST_HEAD(, EpcConn) conns;
    unsigned nconns;
    EpcDones dones;         /* of epc_server_disable() */
    QTAILQ_HEAD(, EpcRemap) remaps;
};

/* ---- epc-server.c ---- */

/* Serves the connected socket @fd, which it takes over.  Main loop. */
void epc_server_accept(EpcServer *s, int fd);

/* Under lock.  Keeps @c and its session without the lock until released. */
EpcConn *epc_conn_hold(EpcConn *c);
void epc_conn_release(EpcConn *c);

/* ---- epc-server-cmd.c ---- */

/* Any command but VERSION, once VERSION was answered.  op_lock is held. */
void epc_server_command(EpcConn *c, EpwMsg *msg, EpwToken *token);

typedef struct EpcRequest {
    EpcServer *s;
    EpcConn *c;
    EpwMsg *m;
    EpwToken *t;
    bool live;              /* the link is up */
    unsigned features;      /* agreed; plain clients have none */
    uint32_t generation;
} EpcRequest;

/* Nothing with @len 0.  The second: positive errno, 0 is success. */
void epc_reply(EpcRequest *r, const void *p, size_t len);
void epc_reply_error(EpcRequest *r, int err);

/* ---- epc-server-call.c ---- */

/*
 * The client asks for the doorbells of @region: its guest reaches all that is
 * there now.  Any remap for which the client is late ends as well.  Returns
 * when the next one is late, -1: never.
 */
int64_t epc_server_end_remaps(EpcServer *s, int region);
#define EPC_LATE_REMAPS (-1)

/* ---- epc-server-region.c ---- */

void epc_server_get_region_info(EpcRequest *r);
void epc_server_get_areas(EpcRequest *r);
void epc_server_get_region_io_fds(EpcRequest *r);
void epc_server_region_access(EpcRequest *r, bool is_write);

/* ---- epc-server-listen.c ---- */

/* Fills listen_fd, dev and ino; creates the socket at path. */
bool epc_server_listen(EpcServer *s, Error **errp);
void epc_server_unlisten(EpcServer *s);

/* May the process at the other end of @fd use this server?  Sets @uid. */
bool epc_server_peer_allowed(int fd, uid_t *uid);

#endif /* HW_PCI_EP_EPC_SERVER_INT_H */
