/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epw session internals, for epw-session.c and epw-token.c only
 */
#ifndef HW_PCI_EP_EPW_INTERNAL_H
#define HW_PCI_EP_EPW_INTERNAL_H

#include "qemu/event_notifier.h"
#include "qemu/queue.h"
#include "qemu/thread.h"
#include "hw/pci-ep/epw.h"

typedef struct EpwCall {
    QTAILQ_ENTRY(EpwCall) next;
    int64_t deadline;       /* g_get_monotonic_time() */
    uint16_t id;
    uint16_t cmd;
    bool listed;            /* in pending and calls */
    int err;                /* what a session that ends makes of it */
    EpwMsg *reply;
    EpwDone *done;          /* NULL: somebody waits on cond */
    void *opaque;
    QemuCond cond;
} EpwCall;

struct EpwToken {
    QTAILQ_ENTRY(EpwToken) next;
    EpwSession *s;
    uint16_t id;
    uint16_t cmd;
    bool queued;            /* in tokens: a reply is due, in its turn */
    bool answered;          /* early; the rest is set */
    int err;
    uint8_t *data;
    size_t len;
    int fds[EPW_MAX_FDS];
    unsigned nfds;
};

struct EpwSession {
    int refs;               /* the owner, every token, every waiter */
    QemuMutex lock;
    QemuThread thread;
    EventNotifier wake;
    bool has_wake;
    EpwRole role;
    unsigned deadline_ms;
    const EpwOps *ops;
    void *opaque;
    Stat64 *messages;       /* NULL: nobody counts */

    int64_t partial_deadline;   /* reader only; 0: no message has begun */

    /* under lock from here */
    EpwFrame *frame;            /* its sending half; NULL after the reader */
    EpwCaps caps;
    bool hold;                  /* VERSION was answered, caps are not set yet */
    bool closing;
    char *why;
    int64_t reader_wakes;       /* when its poll times out */
    bool reader_flushes;        /* it polls for POLLOUT */

    GHashTable *calls;          /* id to EpwCall */
    QTAILQ_HEAD(, EpwCall) pending; /* the same, by deadline */
    uint16_t next_id;

    QTAILQ_HEAD(, EpwToken) tokens; /* those whose reply is due, in order */
    unsigned ntokens;           /* all that exist */
    size_t stored;              /* weight of the early replies in tokens */
};

/* Gives up @n references; the last one frees.  Not under lock. */
void epw_session_unref(EpwSession *s, int n);

/* What follows is called under lock. */
void epw_wake_reader(EpwSession *s);

/*
 * Begins the end: waiters fail here and now, the rest is the reader's.  Takes
 * @why.
 */
void epw_shutdown_locked(EpwSession *s, char *why);

/*
 * Completes @hdr and sends or queues.  0, -EINVAL, or -ENOTCONN: the session
 * ends.
 */
int epw_send_locked(EpwSession *s, VfuHeader *hdr, const struct iovec *iov,
                    int niov, const int *fds, unsigned nfds);

/* For people: what negative errno @err of the frame means; @what was tried. */
char *epw_io_error(int err, const char *what);

/* Not under lock: makes the token of a command, in its place for the reply. */
EpwToken *epw_token_new(EpwSession *s, const VfuHeader *hdr);

/* The caller gives up the reference that @t had. */
void epw_token_free(EpwToken *t);

#endif /* HW_PCI_EP_EPW_INTERNAL_H */
