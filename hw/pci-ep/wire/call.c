/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * call: commands of this side that await a reply, and the threads that wait
 *
 * All calls of a session have the same time until their deadline, so the oldest
 * call expires first, and only the head of the list is looked at.
 *
 * A thread in epw_call() reads the socket itself while nobody else does. Then
 * the answer wakes one thread, not first the reader thread and then the caller.
 * Who reads is EpwSession.reading:
 *
 *   state   event                                              next
 *   ------  -------------------------------------------------  ------
 *   FREE    the socket has input, or a message was handed over  THREAD
 *   FREE    a caller waits, and its answer should come next     CALLER
 *   THREAD  the reader thread has read enough, and polls        FREE
 *   CALLER  the answer came, the deadline passed, a message     FREE
 *           was handed over, the session ended, or EpwLate is
 *           due
 *
 * A caller may hold the BQL, and the callbacks of a session are not made for its
 * thread. So it takes nothing but replies for which some caller waits. It hands
 * any other message over to the reader thread, and with it the right to read.
 * Thus messages are handled in the order of their arrival, whoever reads them.
 *
 * A call expires when its deadline has passed and the socket was found empty
 * after that, since the answer may lie there while this process had no processor.
 * Where the reader thread is busy with earlier messages, the call expires
 * EPW_GRACE_MS after the deadline in any case.
 *
 * A client drops a reply to no call of its own, since some servers answer
 * NO_REPLY commands. A server ends the session then, since no client has a
 * reason to send such a reply.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/wire/session-int.h"

#include <poll.h>

/* ---- The list of calls ---- */

void epw_call_unlist(EpwSession *s, EpwCall *c)
{
    if (c == QTAILQ_FIRST(&s->pending)) {
        s->late_since = 0;
    }
    QTAILQ_REMOVE(&s->pending, c, next);
    g_hash_table_remove(s->calls, GUINT_TO_POINTER(c->id));
    c->listed = false;
    if (c->done) {
        s->nasync--;
    } else {
        qemu_cond_signal(&c->cond);
    }
}

void epw_call_expire(EpwSession *s, int64_t now)
{
    EpwCall *c = QTAILQ_FIRST(&s->pending);
    const char *name;

    if (!c || s->closing || !epw_session_expired(s, c->deadline, now)) {
        return;
    }
    name = epw_command_name(c->cmd);
    for (; c && c->deadline <= now; c = QTAILQ_NEXT(c, next)) {
        c->err = -ETIMEDOUT;
    }
    epw_session_end(s, g_strdup_printf("no answer to %s within %u ms",
                                       name, s->deadline_ms));
}

uint16_t epw_call_new_id(EpwSession *s)
{
    while (g_hash_table_contains(s->calls, GUINT_TO_POINTER(s->next_id))) {
        s->next_id++;
    }
    return s->next_id++;
}

/* ---- Replies ---- */

/* Gives the reply @m to @c, which some thread waits for. */
static void call_answer(EpwSession *s, EpwCall *c, EpwMsg *m, int err)
    EP_REQUIRES(&s->lock);
static void call_answer(EpwSession *s, EpwCall *c, EpwMsg *m, int err)
{
    epw_call_unlist(s, c);
    c->err = err;
    c->reply = m;
    s->hold = s->role == EPW_CLIENT && c->cmd == VFU_CMD_VERSION && !err;
}

static int call_reply_error(const EpwMsg *m)
{
    return m->hdr.flags & VFU_FLAG_ERROR ?
           -epw_check_reply(m, m->hdr.command, 0, 0) : 0;
}

void epw_call_reply(EpwSession *s, EpwMsg *m)
{
    int err = call_reply_error(m);
    EpwCall *c;

    qemu_mutex_lock(&s->lock);
    c = g_hash_table_lookup(s->calls, GUINT_TO_POINTER(m->hdr.id));
    if (c && c->cmd != m->hdr.command) {
        epw_session_end(s, g_strdup_printf(
                                "peer answered %s with a reply to %s",
                                epw_command_name(c->cmd),
                                epw_command_name(m->hdr.command)));
        c = NULL;
    } else if (!c && s->role == EPW_SERVER) {
        epw_session_end(s, g_strdup("peer sent a reply to no command"));
    } else if (c && !c->done) {
        call_answer(s, c, m, err);
        c = NULL;
        m = NULL;
    } else if (c) {
        epw_call_unlist(s, c);
    }
    qemu_mutex_unlock(&s->lock);

    if (c) {
        c->done(s, err, err ? NULL : m, c->opaque);
        g_free(c);
    }
    epw_msg_free(m);
}

/* Returns the call that @m answers, if some thread waits for that, or NULL. */
static EpwCall *call_awaiting(EpwSession *s, const EpwMsg *m)
    EP_REQUIRES(&s->lock);
static EpwCall *call_awaiting(EpwSession *s, const EpwMsg *m)
{
    EpwCall *c;

    if ((m->hdr.flags & VFU_FLAG_TYPE_MASK) != VFU_FLAG_REPLY) {
        return NULL;
    }
    c = g_hash_table_lookup(s->calls, GUINT_TO_POINTER(m->hdr.id));
    return c && !c->done && c->cmd == m->hdr.command ? c : NULL;
}

/* ---- A caller that reads ---- */

/*
 * Takes the right to read for @c if it is free.  The replies to calls without a
 * caller come before that of @c, so the reader thread is left to wait for them,
 * until the deadline of @c.
 */
static bool call_begin_reading(EpwSession *s, EpwCall *c, int64_t now)
    EP_REQUIRES(&s->lock);
static bool call_begin_reading(EpwSession *s, EpwCall *c, int64_t now)
{
    if (s->reading != EPW_READ_FREE || s->handed ||
        !epw_session_may_read(s) || (s->nasync && c->deadline > now)) {
        return false;
    }
    s->reading = EPW_READ_CALLER;
    c->reads = true;
    epw_session_arm(s);
    return true;
}

static void call_end_reading(EpwSession *s, EpwCall *c) EP_REQUIRES(&s->lock);
static void call_end_reading(EpwSession *s, EpwCall *c)
{
    c->reads = false;
    s->reading = EPW_READ_FREE;
    qemu_cond_signal(&s->freed);
    epw_session_arm(s);
    if (s->handed ||
        (s->partial_deadline && s->partial_deadline < s->reader_wakes)) {
        epw_session_wake(s);
    }
}

/*
 * Sleeps until the socket has input, @until has passed or the session ends:
 * then its eventfd is signalled for good.
 */
static void call_poll(EpwSession *s, int64_t until)
{
    struct pollfd pfd[2] = {
        { .fd = epw_frame_fd(s->rx), .events = POLLIN },
        { .fd = event_notifier_get_fd(&s->wake), .events = POLLIN },
    };
    int64_t left = until - g_get_monotonic_time();

    if (left > 0) {
        poll(pfd, ARRAY_SIZE(pfd), MIN(DIV_ROUND_UP(left, 1000), INT_MAX));
    }
}

/*
 * Reads until @c is over, a message is for the reader thread, or the socket is
 * empty at @until. Then gives up the right to read.
 */
static void call_read(EpwSession *s, EpwCall *c, int64_t until)
    EP_REQUIRES(&s->lock);
static void call_read(EpwSession *s, EpwCall *c, int64_t until)
{
    while (c->listed && !s->handed && s->found_empty < until) {
        EpwCall *answered;
        EpwMsg *m;
        int r;

        qemu_mutex_unlock(&s->lock);
        call_poll(s, until);
        r = epw_session_recv(s, &m);
        qemu_mutex_lock(&s->lock);

        answered = r > 0 ? call_awaiting(s, m) : NULL;
        if (answered) {
            call_answer(s, answered, m, call_reply_error(m));
        } else if (r > 0) {
            s->handed = m;
        }
    }
    call_end_reading(s, c);
}

/* ---- Calls ---- */

/* Who wants to know that an answer is late, and when next */
typedef struct CallLate {
    EpwLate *late;
    void *opaque;
    int64_t at;
} CallLate;

static int call_start(EpwSession *s, EpwCall *c, const struct iovec *iov,
                      int niov, const int *fds, unsigned nfds)
    EP_REQUIRES(&s->lock);
static int call_start(EpwSession *s, EpwCall *c, const struct iovec *iov,
                      int niov, const int *fds, unsigned nfds)
{
    VfuHeader hdr = { .command = c->cmd, .flags = VFU_FLAG_COMMAND };
    int64_t now = g_get_monotonic_time();
    int err;

    if (g_hash_table_size(s->calls) >= EPW_MAX_CALLS) {
        return -ENOBUFS;
    }
    hdr.id = c->id = epw_call_new_id(s);
    c->deadline = now + s->deadline_ms * INT64_C(1000);
    if (!c->done) {
        call_begin_reading(s, c, now);  /* before the answer comes */
    }
    err = epw_session_send(s, &hdr, iov, niov, fds, nfds);
    if (err) {
        if (c->reads) {
            call_end_reading(s, c);
        }
        return err;
    }
    c->err = -ENOTCONN;
    c->listed = true;
    QTAILQ_INSERT_TAIL(&s->pending, c, next);
    g_hash_table_insert(s->calls, GUINT_TO_POINTER(c->id), c);
    if (c->done) {
        s->nasync++;
        if (c->deadline < s->reader_wakes) {
            epw_session_wake(s);
        }
    }
    return 0;
}

static void call_sleep(EpwSession *s, EpwCall *c, int64_t now, int64_t until)
    EP_REQUIRES(&s->lock);
static void call_sleep(EpwSession *s, EpwCall *c, int64_t now, int64_t until)
{
    int64_t left = until - now;

    if (left <= 0) {
        left = EPW_GRACE_MS * INT64_C(1000);
    }
    qemu_cond_timedwait(&c->cond, &s->lock,
                        MIN(DIV_ROUND_UP(left, 1000), INT_MAX));
}

static void call_tell_late(EpwSession *s, CallLate *late)
    EP_REQUIRES(&s->lock);
static void call_tell_late(EpwSession *s, CallLate *late)
{
    int64_t again;

    qemu_mutex_unlock(&s->lock);
    again = late->late(late->opaque);
    qemu_mutex_lock(&s->lock);
    late->at = again ? g_get_monotonic_time() + again : INT64_MAX;
}

static void call_wait(EpwSession *s, EpwCall *c, CallLate *late)
    EP_REQUIRES(&s->lock);
static void call_wait(EpwSession *s, EpwCall *c, CallLate *late)
{
    while (c->listed) {
        int64_t now = g_get_monotonic_time();
        int64_t until = MIN(c->deadline, late->at);

        if (late->at <= now && now < c->deadline) {
            call_tell_late(s, late);
        } else if (c->reads || call_begin_reading(s, c, now)) {
            call_read(s, c, until);
        } else {
            call_sleep(s, c, now, until);
        }
        epw_call_expire(s, g_get_monotonic_time());
    }
}

int epw_call_late(EpwSession *s, uint16_t cmd, const struct iovec *iov,
                  int niov, const int *fds, unsigned nfds, EpwMsg **reply,
                  int64_t late_us, EpwLate *late, void *opaque)
{
    CallLate l = {
        .late = late,
        .opaque = opaque,
        .at = late ? g_get_monotonic_time() + late_us : INT64_MAX,
    };
    EpwCall c = { .cmd = cmd };
    int err;

    if (reply) {
        *reply = NULL;
    }
    if (qemu_thread_is_self(&s->thread)) {
        return -EDEADLK;
    }
    qatomic_inc(&s->refs);
    qemu_cond_init(&c.cond);
    qemu_mutex_lock(&s->lock);
    err = call_start(s, &c, iov, niov, fds, nfds);
    if (!err) {
        call_wait(s, &c, &l);
        err = c.err;
    }
    qemu_mutex_unlock(&s->lock);
    qemu_cond_destroy(&c.cond);
    epw_session_unref(s, 1);

    if (reply && !err) {
        *reply = c.reply;
    } else {
        epw_msg_free(c.reply);
    }
    return err;
}

int epw_call(EpwSession *s, uint16_t cmd, const struct iovec *iov, int niov,
             const int *fds, unsigned nfds, EpwMsg **reply)
{
    return epw_call_late(s, cmd, iov, niov, fds, nfds, reply, 0, NULL, NULL);
}

void epw_call_async(EpwSession *s, uint16_t cmd, const struct iovec *iov,
                    int niov, const int *fds, unsigned nfds, EpwDone *done,
                    void *opaque)
{
    EpwCall *c = g_new0(EpwCall, 1);
    int err;

    c->cmd = cmd;
    c->done = done;
    c->opaque = opaque;
    qemu_mutex_lock(&s->lock);
    err = call_start(s, c, iov, niov, fds, nfds);
    qemu_mutex_unlock(&s->lock);
    if (err) {
        g_free(c);
        done(s, err, NULL, opaque);
    }
}
