/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epw session: a reader thread, replies by token, calls with a deadline
 *
 * One mutex, a leaf: no callback runs and nothing waits under it but the
 * callers of epw_call(), on their own condition.  Whoever sends does so at once
 * from its own thread; what the socket does not take is sent by the reader.
 * All deadlines are the same span from now, so the oldest call expires first
 * and the reader's poll timeout only ever needs the head of the list.
 *
 * Replies nobody waits for: a client drops them, since some servers answer
 * NO_REPLY commands; a server ends the session, since no client has a reason.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "epw-internal.h"

#include <poll.h>
#include <sys/socket.h>

/* Messages handled before deadlines and output get their turn */
#define READ_BUDGET 64

void epw_session_unref(EpwSession *s, int n)
{
    if (n && qatomic_fetch_sub(&s->refs, n) == n) {
        if (s->has_wake) {
            event_notifier_cleanup(&s->wake);
        }
        g_hash_table_destroy(s->calls);
        qemu_mutex_destroy(&s->lock);
        g_free(s->why);
        g_free(s);
    }
}

void epw_wake_reader(EpwSession *s)
{
    if (s->has_wake) {
        event_notifier_set(&s->wake);
    }
}

/*
 * ------------------------------------------------------------------------
 * Calls; all under lock
 */
static void call_unlist(EpwSession *s, EpwCall *c)
{
    QTAILQ_REMOVE(&s->pending, c, next);
    g_hash_table_remove(s->calls, GUINT_TO_POINTER(c->id));
    c->listed = false;
    if (!c->done) {
        qemu_cond_signal(&c->cond);
    }
}

void epw_shutdown_locked(EpwSession *s, char *why)
{
    EpwCall *c, *tmp;

    if (s->closing) {
        g_free(why);
        return;
    }
    s->closing = true;
    s->why = why;
    QTAILQ_FOREACH_SAFE(c, &s->pending, next, tmp) {
        if (!c->done) {
            call_unlist(s, c);
        }
    }
    epw_wake_reader(s);
}

char *epw_io_error(int err, const char *what)
{
    switch (-err) {
    case EPIPE:
    case ECONNRESET:
        return g_strdup("peer closed the connection");
    case ENOBUFS:
        return g_strdup("peer does not read: too much output is waiting");
    case EMFILE:
    case ENFILE:
        return g_strdup_printf("cannot %s: too many file descriptors in a "
                               "message, or open in this process; see "
                               "'ulimit -n'", what);
    case EBADMSG:
        return g_strdup("peer sent what is not a vfio-user message");
    default:
        return g_strdup_printf("cannot %s: %s", what, strerror(-err));
    }
}

static void expire_locked(EpwSession *s, int64_t now)
{
    EpwCall *c = QTAILQ_FIRST(&s->pending);
    const char *name;

    if (!c || c->deadline > now || s->closing) {
        return;
    }
    name = epw_command_name(c->cmd);
    for (; c && c->deadline <= now; c = QTAILQ_NEXT(c, next)) {
        c->err = -ETIMEDOUT;
    }
    epw_shutdown_locked(s, g_strdup_printf("no answer to %s within %u ms",
                                           name, s->deadline_ms));
}

static void count_message(EpwSession *s)
{
    if (s->messages) {
        stat64_add(s->messages, 1);
    }
}

int epw_send_locked(EpwSession *s, VfuHeader *hdr, const struct iovec *iov,
                    int niov, const int *fds, unsigned nfds)
{
    size_t size = sizeof(*hdr);
    int err;

    if (s->closing) {
        return -ENOTCONN;
    }
    for (int i = 0; i < niov; i++) {
        if (iov[i].iov_len > EPW_MAX_MSG - size) {
            return -EINVAL;
        }
        size += iov[i].iov_len;
    }
    hdr->size = size;
    /* Before the peer can have it: who saw an effect of it sees it counted. */
    count_message(s);
    err = epw_frame_send(s->frame, hdr, iov, niov, fds, nfds);
    if (err == -EINVAL) {
        return err;
    }
    if (err) {
        epw_shutdown_locked(s, epw_io_error(err, "send"));
        return -ENOTCONN;
    }
    if (epw_frame_pending(s->frame) && !s->reader_flushes) {
        epw_wake_reader(s);
    }
    return 0;
}

/* An id that no pending call has; there are far more ids than calls. */
static uint16_t new_id(EpwSession *s)
{
    while (g_hash_table_contains(s->calls, GUINT_TO_POINTER(s->next_id))) {
        s->next_id++;
    }
    return s->next_id++;
}

static int call_start(EpwSession *s, EpwCall *c, const struct iovec *iov,
                      int niov, const int *fds, unsigned nfds)
{
    VfuHeader hdr = { .command = c->cmd, .flags = VFU_FLAG_COMMAND };
    int err;

    if (g_hash_table_size(s->calls) >= EPW_MAX_CALLS) {
        return -EBUSY;
    }
    hdr.id = c->id = new_id(s);
    err = epw_send_locked(s, &hdr, iov, niov, fds, nfds);
    if (err) {
        return err;
    }
    c->err = -ENOTCONN;
    c->deadline = g_get_monotonic_time() + s->deadline_ms * INT64_C(1000);
    c->listed = true;
    QTAILQ_INSERT_TAIL(&s->pending, c, next);
    g_hash_table_insert(s->calls, GUINT_TO_POINTER(c->id), c);
    if (c->done && c->deadline < s->reader_wakes) {
        epw_wake_reader(s);
    }
    return 0;
}

/*
 * ------------------------------------------------------------------------
 * Sending, from any thread
 */
static bool in_reader(EpwSession *s)
{
    return qemu_thread_is_self(&s->thread);
}

int epw_call(EpwSession *s, uint16_t cmd, const struct iovec *iov, int niov,
             const int *fds, unsigned nfds, EpwMsg **reply)
{
    EpwCall c = { .cmd = cmd };
    int err;

    if (reply) {
        *reply = NULL;
    }
    if (in_reader(s)) {
        return -EDEADLK;
    }
    qatomic_inc(&s->refs);
    qemu_cond_init(&c.cond);
    qemu_mutex_lock(&s->lock);
    err = call_start(s, &c, iov, niov, fds, nfds);
    while (!err && c.listed) {
        int64_t now = g_get_monotonic_time();

        if (c.deadline <= now) {
            expire_locked(s, now);
        } else {
            qemu_cond_timedwait(&c.cond, &s->lock,
                                DIV_ROUND_UP(c.deadline - now, 1000));
        }
    }
    qemu_mutex_unlock(&s->lock);
    qemu_cond_destroy(&c.cond);
    epw_session_unref(s, 1);

    if (!err) {
        err = c.err;
    }
    if (reply && !err) {
        *reply = c.reply;
    } else {
        epw_msg_free(c.reply);
    }
    return err;
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

int epw_post(EpwSession *s, uint16_t cmd, const struct iovec *iov, int niov)
{
    VfuHeader hdr = {
        .command = cmd,
        .flags = VFU_FLAG_COMMAND | VFU_FLAG_NO_REPLY,
    };

    QEMU_LOCK_GUARD(&s->lock);
    hdr.id = new_id(s);
    return epw_send_locked(s, &hdr, iov, niov, NULL, 0);
}

/*
 * ------------------------------------------------------------------------
 * The reader
 */
static void handle_reply(EpwSession *s, EpwMsg *m)
{
    EpwCall *c;
    int err = 0;

    if (m->hdr.flags & VFU_FLAG_ERROR) {
        err = -epw_check_reply(m, m->hdr.command, 0, 0);
    }
    qemu_mutex_lock(&s->lock);
    c = g_hash_table_lookup(s->calls, GUINT_TO_POINTER(m->hdr.id));
    if (c && c->cmd != m->hdr.command) {
        epw_shutdown_locked(s, g_strdup_printf(
                                "peer answered %s with a reply to %s",
                                epw_command_name(c->cmd),
                                epw_command_name(m->hdr.command)));
        c = NULL;
    } else if (!c && s->role == EPW_SERVER) {
        epw_shutdown_locked(s, g_strdup("peer sent a reply to no command"));
    }
    if (c) {
        call_unlist(s, c);
        c->err = err;
        if (!c->done) {
            c->reply = m;
            m = NULL;
            s->hold = s->role == EPW_CLIENT && c->cmd == VFU_CMD_VERSION &&
                      !err;
            c = NULL;
        }
    }
    qemu_mutex_unlock(&s->lock);

    if (c) {
        c->done(s, err, err ? NULL : m, c->opaque);
        g_free(c);
    }
    epw_msg_free(m);
}

static void handle_command(EpwSession *s, EpwMsg *m)
{
    EpwToken *t = epw_token_new(s, &m->hdr);
    int err = epw_check_command(s->role, m, epw_session_caps(s).features,
                                EPW_MAX_XFER);

    if (err) {
        epw_reply_error(t, err);
    } else {
        s->ops->command(s, m, t, s->opaque);
    }
    epw_msg_free(m);
}

static bool may_read_locked(EpwSession *s)
{
    return !s->closing && !s->hold && s->ntokens < EPW_MAX_TOKENS;
}

static bool may_read(EpwSession *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return may_read_locked(s);
}

static void read_messages(EpwSession *s)
{
    for (int i = 0; i < READ_BUDGET && may_read(s); i++) {
        EpwMsg *m;
        int r = epw_frame_recv(s->frame, &m);

        if (r < 0) {
            QEMU_LOCK_GUARD(&s->lock);
            epw_shutdown_locked(s, epw_io_error(r, "receive"));
            return;
        }
        if (r == 0) {
            if (!epw_frame_partial(s->frame)) {
                s->partial_deadline = 0;
            } else if (!s->partial_deadline) {
                s->partial_deadline = g_get_monotonic_time() +
                                      s->deadline_ms * INT64_C(1000);
            }
            return;
        }
        s->partial_deadline = 0;
        count_message(s);
        if ((m->hdr.flags & VFU_FLAG_TYPE_MASK) == VFU_FLAG_REPLY) {
            handle_reply(s, m);
        } else {
            handle_command(s, m);
        }
    }
}

/* What to poll for and until when; false when the session has ended */
static bool reader_prepare(EpwSession *s, struct pollfd *pfd, int *timeout)
{
    int64_t now = g_get_monotonic_time();
    int64_t until = INT64_MAX;
    EpwCall *c;

    QEMU_LOCK_GUARD(&s->lock);
    expire_locked(s, now);
    if (s->partial_deadline && s->partial_deadline <= now) {
        epw_shutdown_locked(s, g_strdup_printf(
                                "peer did not finish a message within %u ms",
                                s->deadline_ms));
    }
    if (s->closing) {
        return false;
    }
    s->reader_flushes = epw_frame_pending(s->frame);
    pfd->events = (may_read_locked(s) ? POLLIN : 0) |
                  (s->reader_flushes ? POLLOUT : 0);

    c = QTAILQ_FIRST(&s->pending);
    if (c) {
        until = c->deadline;
    }
    if (s->partial_deadline) {
        until = MIN(until, s->partial_deadline);
    }
    s->reader_wakes = until;
    *timeout = until == INT64_MAX ? -1
               : MIN(DIV_ROUND_UP(until - now, 1000), INT_MAX);
    return true;
}

static bool reader_turn(EpwSession *s)
{
    struct pollfd pfd[2] = {
        { .fd = epw_frame_fd(s->frame) },
        { .fd = event_notifier_get_fd(&s->wake), .events = POLLIN },
    };
    int timeout;

    if (!reader_prepare(s, &pfd[0], &timeout)) {
        return false;
    }
    if (poll(pfd, ARRAY_SIZE(pfd), timeout) <= 0) {
        return true;
    }
    if (pfd[1].revents) {
        event_notifier_test_and_clear(&s->wake);
    }
    if (pfd[0].revents & POLLOUT) {
        QEMU_LOCK_GUARD(&s->lock);
        int err = epw_frame_flush(s->frame);

        if (err) {
            epw_shutdown_locked(s, epw_io_error(err, "send"));
        }
    }
    if (pfd[0].revents & POLLIN) {
        read_messages(s);
    } else if (pfd[0].revents & (POLLHUP | POLLERR | POLLNVAL)) {
        epw_session_shutdown(s, "peer closed the connection");
    }
    return true;
}

/* Fails what is left, closes the socket, says so. */
static void reader_finish(EpwSession *s)
{
    EpwFrame *frame;
    EpwToken *t, *tmp;
    EpwCall *c;
    int gone = 0;

    qemu_mutex_lock(&s->lock);
    frame = s->frame;
    s->frame = NULL;
    epw_frame_flush(frame);
    QTAILQ_FOREACH_SAFE(t, &s->tokens, next, tmp) {
        if (t->answered) {
            epw_token_free(t);
            gone++;
        }
    }
    while ((c = QTAILQ_FIRST(&s->pending))) {
        call_unlist(s, c);
        qemu_mutex_unlock(&s->lock);
        c->done(s, c->err, NULL, c->opaque);
        g_free(c);
        qemu_mutex_lock(&s->lock);
    }
    qemu_mutex_unlock(&s->lock);

    shutdown(epw_frame_fd(frame), SHUT_RDWR);
    epw_frame_free(frame);
    epw_session_unref(s, gone);
    if (s->ops->closed) {
        s->ops->closed(s, s->why, s->opaque);
    }
}

static void *reader_run(void *opaque)
{
    EpwSession *s = opaque;

    rcu_register_thread();
    /* wait until epw_session_new() has stored the thread */
    qemu_mutex_lock(&s->lock);
    qemu_mutex_unlock(&s->lock);
    while (reader_turn(s)) {
        continue;
    }
    reader_finish(s);
    rcu_unregister_thread();
    return NULL;
}

/*
 * ------------------------------------------------------------------------
 * Lifetime
 */
EpwSession *epw_session_new(int fd, const EpwConfig *cfg, const EpwOps *ops,
                            void *opaque)
{
    EpwSession *s = g_new0(EpwSession, 1);
    int err;

    s->refs = 1;
    qemu_mutex_init(&s->lock);
    s->role = cfg->role;
    s->deadline_ms = cfg->deadline_ms;
    s->ops = ops;
    s->opaque = opaque;
    s->messages = cfg->messages;
    s->frame = epw_frame_new(fd);
    s->caps = (EpwCaps) {
        .max_fds = VFU_DEFAULT_MAX_FDS,
        .max_xfer = VFU_DEFAULT_MAX_XFER,
    };
    s->calls = g_hash_table_new(NULL, NULL);
    QTAILQ_INIT(&s->pending);
    QTAILQ_INIT(&s->tokens);

    qemu_mutex_lock(&s->lock);
    err = event_notifier_init(&s->wake, 0);
    s->has_wake = !err;
    if (err) {
        epw_shutdown_locked(s, epw_io_error(err, "create an eventfd"));
    }
    qemu_thread_create(&s->thread, cfg->name, reader_run, s,
                       QEMU_THREAD_JOINABLE);
    qemu_mutex_unlock(&s->lock);
    return s;
}

void epw_session_set_caps(EpwSession *s, const EpwCaps *caps)
{
    QEMU_LOCK_GUARD(&s->lock);
    s->caps = *caps;
    if (s->hold) {
        s->hold = false;
        epw_wake_reader(s);
    }
}

EpwCaps epw_session_caps(EpwSession *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return s->caps;
}

void epw_session_shutdown(EpwSession *s, const char *why)
{
    QEMU_LOCK_GUARD(&s->lock);
    epw_shutdown_locked(s, g_strdup(why));
}

void epw_session_free(EpwSession *s)
{
    if (!s) {
        return;
    }
    epw_session_shutdown(s, "closed by this side");
    qemu_thread_join(&s->thread);
    epw_session_unref(s, 1);
}
