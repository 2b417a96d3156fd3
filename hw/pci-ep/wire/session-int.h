/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session, inside: what session.c, io.c, call.c, output.c and reply.c share
 */
#ifndef HW_PCI_EP_WIRE_SESSION_INT_H
#define HW_PCI_EP_WIRE_SESSION_INT_H

#include "qemu/event_notifier.h"
#include "qemu/queue.h"
#include "qemu/thread.h"
#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/wire/wire.h"

/*
 * How much longer than its deadline a call lasts, while input that came before
 * the deadline may not have been read
 */
#define EPW_GRACE_MS    100

/* A command that this side sent and that awaits its reply; under the lock */
typedef struct EpwCall {
    QTAILQ_ENTRY(EpwCall) next;
    int64_t deadline;       /* g_get_monotonic_time() */
    uint16_t id;
    uint16_t cmd;
    bool listed;            /* in pending and calls */
    bool reads;             /* its caller has the right to read */
    int err;                /* the result if the session ends before */
    EpwMsg *reply;
    EpwDone *done;          /* NULL: epw_call() waits on cond */
    void *opaque;
    QemuCond cond;
} EpwCall;

/* A command of the peer that awaits our reply; under the lock */
struct EpwRequest {
    QTAILQ_ENTRY(EpwRequest) next;
    EpwSession *s;
    uint16_t id;
    uint16_t cmd;
    unsigned accesses;      /* what it counts for in EpwSession.nrequests */
    bool queued;            /* in EpwSession.requests; a reply is due */
    bool answered;          /* before its turn; then the rest is the reply */
    int err;
    uint8_t *data;
    size_t len;
    int fds[EPW_MAX_FDS];
    unsigned nfds;
};

/* The message of epw_post_last() that waits until all output has left */
typedef struct EpwLast {
    bool waits;
    uint16_t cmd;
    size_t len;
    uint8_t data[EPW_MAX_LAST];
} EpwLast;

/* Who has the right to read the socket; call.c has the table */
typedef enum EpwReading {
    EPW_READ_FREE,          /* nobody; the reader thread polls */
    EPW_READ_THREAD,        /* the reader thread */
    EPW_READ_CALLER,        /* a thread in epw_call() */
} EpwReading;

struct EpwSession {
    int refs;               /* one of the owner, of each request and waiter */
    QemuMutex lock;
    QemuThread thread;
    EventNotifier wake;     /* makes whoever polls look at the session again */
    bool has_wake;
    int epoll;              /* what the reader thread polls; -1: none */
    EpwRole role;
    unsigned deadline_ms;
    char *device;           /* for trace events, and the next one */
    unsigned func;
    const EpwOps *ops;
    void *opaque;
    Stat64 *messages;       /* NULL: nobody counts */

    /* The same as frame, for receiving; used by whoever has the right to read */
    EpwFrame *rx;

    EpwReading reading EP_GUARDED_BY(&lock);
    QemuCond freed;             /* reading is not EPW_READ_CALLER any more */
    /* Received by a caller, to be handled by the reader thread; NULL: none is */
    EpwMsg *handed EP_GUARDED_BY(&lock);
    int64_t found_empty EP_GUARDED_BY(&lock);   /* when the socket was last */
    /* Since when the oldest deadline is over, and the socket not empty */
    int64_t late_since EP_GUARDED_BY(&lock);
    /* Of a message that has begun; 0: none has */
    int64_t partial_deadline EP_GUARDED_BY(&lock);

    /* For sending; NULL once the reader thread has ended */
    EpwFrame *frame EP_GUARDED_BY(&lock);
    EpwCaps caps EP_GUARDED_BY(&lock);
    /* VERSION was answered, and nobody called epw_session_set_caps() yet */
    bool hold EP_GUARDED_BY(&lock);
    bool closing EP_GUARDED_BY(&lock);
    char *why EP_GUARDED_BY(&lock);
    /* The deadline until which the reader thread polls */
    int64_t reader_wakes EP_GUARDED_BY(&lock);
    uint32_t armed EP_GUARDED_BY(&lock);    /* events it polls the socket for */
    int64_t output_deadline EP_GUARDED_BY(&lock);   /* 0: no output waits */
    EpwLast last EP_GUARDED_BY(&lock);

    GHashTable *calls EP_GUARDED_BY(&lock);     /* id to EpwCall */
    /* The same calls by deadline, the earliest first */
    QTAILQ_HEAD(, EpwCall) pending EP_GUARDED_BY(&lock);
    unsigned nasync EP_GUARDED_BY(&lock);   /* those of them with done() */
    uint16_t next_id EP_GUARDED_BY(&lock);

    /* The requests whose reply is due, in the order of their arrival */
    QTAILQ_HEAD(, EpwRequest) requests EP_GUARDED_BY(&lock);
    /* All that exist; one with several accesses counts as that many. */
    unsigned nrequests EP_GUARDED_BY(&lock);
    size_t stored EP_GUARDED_BY(&lock);     /* weight of the early replies */
};

/* What the reader thread polls, as data of the epoll events */
enum { EPW_POLL_SOCKET, EPW_POLL_WAKE, EPW_POLLED };

/* ---- io.c ---- */

/* Gives up @n references; the last one frees the session. */
void epw_session_unref(EpwSession *s, int n) EP_EXCLUDES(&s->lock);

/* Makes the reader thread compute anew until when it polls. */
void epw_session_wake(EpwSession *s);

/*
 * Sets what the reader thread polls the socket for, after a change of what that
 * depends on: output that waits, epw_session_may_read(), EpwSession.reading.
 */
void epw_session_arm(EpwSession *s) EP_REQUIRES(&s->lock);

/* Returns false while messages of the peer have to wait in the socket. */
bool epw_session_may_read(EpwSession *s) EP_REQUIRES(&s->lock);

/*
 * Returns true when @deadline has expired at @now: it has passed, and the socket
 * was found empty after it, or EPW_GRACE_MS went by without that.
 */
bool epw_session_expired(EpwSession *s, int64_t deadline, int64_t now)
    EP_REQUIRES(&s->lock);

/*
 * Receives a message, as epw_frame_recv() does.  The caller has the right to
 * read.  An error ends the session.
 */
int epw_session_recv(EpwSession *s, EpwMsg **m) EP_EXCLUDES(&s->lock);

/*
 * Begins the end of the session: waiting callers of epw_call() fail at once,
 * and the reader thread does the rest.  Takes @why over; the first one counts.
 */
void epw_session_end(EpwSession *s, char *why) EP_REQUIRES(&s->lock);

/*
 * Completes @hdr and sends or queues the message.  Returns 0, -EINVAL when it
 * cannot be a message, or -ENOTCONN when the session ends.
 */
int epw_session_send(EpwSession *s, VfuHeader *hdr, const struct iovec *iov,
                     int niov, const int *fds, unsigned nfds)
    EP_REQUIRES(&s->lock);

/*
 * Returns a text for the negative errno @err of a frame; @what was tried.  The
 * caller frees it.
 */
char *epw_session_error(int err, const char *what);

/* ---- output.c ---- */

/*
 * Sends what waits, as far as the socket takes it, and then what
 * epw_post_last() has kept. Ends the session after an error.
 */
void epw_session_flush(EpwSession *s) EP_REQUIRES(&s->lock);

/*
 * Called before the reader thread sleeps at @now. Ends the session when output
 * has not moved for a deadline. Lowers *@until to the time at which this has to
 * be called again.
 */
void epw_session_watch_output(EpwSession *s, int64_t now, int64_t *until)
    EP_REQUIRES(&s->lock);

/* ---- call.c ---- */

/* Takes @c off the lists, and wakes its caller if it has one. */
void epw_call_unlist(EpwSession *s, EpwCall *c) EP_REQUIRES(&s->lock);

/* Returns an id that no pending call has; there are more ids than calls. */
uint16_t epw_call_new_id(EpwSession *s) EP_REQUIRES(&s->lock);

/* Ends the session if a call has expired at @now. */
void epw_call_expire(EpwSession *s, int64_t now) EP_REQUIRES(&s->lock);

/* Completes the call that @m answers, and frees @m; in the reader thread. */
void epw_call_reply(EpwSession *s, EpwMsg *m) EP_EXCLUDES(&s->lock);

/* ---- reply.c ---- */

/*
 * Makes the request of a command that arrived, and puts it in its place among
 * those whose reply is due.  Sets *@features to the features that are agreed.
 */
EpwRequest *epw_request_new(EpwSession *s, const VfuHeader *hdr,
                            unsigned *features)
    EP_EXCLUDES(&s->lock);

/*
 * Frees @t.  The caller gives up the reference to the session that @t had, with
 * epw_session_unref() and without the lock.
 */
void epw_request_free(EpwSession *s, EpwRequest *t) EP_REQUIRES(&s->lock);

#endif /* HW_PCI_EP_WIRE_SESSION_INT_H */
