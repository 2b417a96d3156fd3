/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server, inside: the state that the files of this directory share
 *
 *   server.c    accepts connections, has the calls of the owner
 *   link.c      the state machine of the link
 *   commands.c  commands of the client
 *   regions.c   commands about regions: what they are and what they hold
 *   calls.c     calls to the client: INTx, faults, DMA by message
 *   remap.c     takes the memory behind a BAR back from the client
 *   conn.c      one connection of a client, and the replies on it
 *   listen.c    the socket in the file system
 *
 * A file calls only files that stand below it in this list.
 */
#ifndef HW_PCI_EP_SERVER_SERVER_INT_H
#define HW_PCI_EP_SERVER_SERVER_INT_H

#include "qemu/queue.h"
#include "qemu/thread.h"
#include "hw/pci-ep/server/server.h"
#include "hw/pci-ep/wire/locks.h"

/* The features of the extension that this server supports */
#define EPC_SERVER_FEATURES (VFU_EP_FEATURE_LINK | VFU_EP_FEATURE_RESET | \
                             VFU_EP_FEATURE_REMAP | VFU_EP_FEATURE_INTX | \
                             VFU_EP_FEATURE_AREAS | VFU_EP_FEATURE_FUNC | \
                             VFU_EP_FEATURE_FAULT | VFU_EP_FEATURE_MASK)

/* State of the link; link.c has the table of transitions. */
typedef enum EpcServerLink {
    EPC_SERVER_LINK_DOWN,
    EPC_SERVER_LINK_RAISING,
    EPC_SERVER_LINK_UP,
    EPC_SERVER_LINK_LOWERING,
} EpcServerLink;

typedef struct EpcConn EpcConn;
typedef struct EpcRemap EpcRemap;

/* One call of epc_server_disable() whose done() is due when the link is down */
typedef struct EpcDisableWaiter {
    QSIMPLEQ_ENTRY(EpcDisableWaiter) next;
    void (*done)(void *opaque);
    void *opaque;
} EpcDisableWaiter;

typedef QSIMPLEQ_HEAD(EpcDisableWaiters, EpcDisableWaiter) EpcDisableWaiters;

struct EpcServer {
    /* Set by epc_server_new() and constant from then on */
    const EpcServerOps *ops;
    void *opaque;
    char *path;
    char *name;
    char *device;           /* the controller, and the next one: trace events */
    unsigned func;
    unsigned deadline_ms;
    unsigned speed, width;
    GSource *work_source;   /* runs server_work() when epc_server_wake() asks */

    Stat64 messages;        /* messages of all connections */

    /* Used in the main loop only, with the BQL held */
    int listen_fd;
    dev_t dev;              /* device and inode of the socket file */
    ino_t ino;
    GSource *accept_source; /* watches listen_fd, or a pause */
    /* The next client waits until then for the last one; us, 0: none waits */
    int64_t accept_until;

    /*
     * Held while any of @ops runs, so that the owner gets one call at a time
     * and in order.  The functions that the owner may call from its ops must
     * not take this lock.
     */
    QemuMutex op_lock;

    /*
     * Guards the rest.  Only the lock of a session is taken while this one is
     * held, and neither ops nor done() functions are called.
     */
    QemuMutex lock;
    bool enabled EP_GUARDED_BY(&lock);      /* by epc_server_enable() */
    /* server_work() is to see whether clients still find the socket */
    bool check_socket EP_GUARDED_BY(&lock);
    uint32_t functions EP_GUARDED_BY(&lock);    /* its last argument */
    EpcServerLink link EP_GUARDED_BY(&lock);
    bool reported_up EP_GUARDED_BY(&lock);  /* the last ops->link() said "up" */
    uint32_t generation EP_GUARDED_BY(&lock);
    /* Counts the calls of epc_server_remap() for each BAR */
    uint32_t remap_count[VFU_REGION_BAR5 + 1] EP_GUARDED_BY(&lock);
    EpcConn *conn EP_GUARDED_BY(&lock);     /* the client; NULL: none */
    /* All connections, refused and closed ones as well */
    QLIST_HEAD(, EpcConn) conns EP_GUARDED_BY(&lock);
    unsigned nconns EP_GUARDED_BY(&lock);
    EpcDisableWaiters disable_waiters EP_GUARDED_BY(&lock);
    /* The client is late after that; monotonic us, 0: server_drop_slow() */
    int64_t disable_until EP_GUARDED_BY(&lock);
    QTAILQ_HEAD(, EpcRemap) remaps EP_GUARDED_BY(&lock);
};

/* Makes the main loop run server_work() soon.  Any thread, with any lock. */
static inline void epc_server_wake(EpcServer *s)
{
    g_source_set_ready_time(s->work_source, 0);
}

#endif /* HW_PCI_EP_SERVER_SERVER_INT_H */
