/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session: one connected socket and its reader thread
 *
 * EpwSession.lock is the innermost lock: no callback runs and no other lock is
 * taken while it is held. A thread that sends a message does so at once (io.c);
 * the reader thread sends what the socket did not accept. While a thread of
 * epw_call() reads the socket (call.c), the reader thread polls for output only.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "hw/pci-ep/wire/session-int.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Messages that are handled before deadlines and output are looked at again */
#define SESSION_READ_BUDGET 64

/* ---- The reader thread ---- */

static void session_handle_command(EpwSession *s, EpwMsg *m)
{
    unsigned features;
    EpwRequest *t = epw_request_new(s, &m->hdr, &features);
    int err = epw_check_command(s->role, m, features, EPW_MAX_XFER);

    if (err) {
        epw_reply_error(t, err);
    } else {
        s->ops->command(s, m, t, s->opaque);
    }
    epw_msg_free(m);
}

/* Takes what a caller handed over. Returns false when nothing may be read. */
static bool session_next(EpwSession *s, EpwMsg **handed)
{
    QEMU_LOCK_GUARD(&s->lock);
    *handed = g_steal_pointer(&s->handed);
    return *handed || epw_session_may_read(s);
}

static void session_read_messages(EpwSession *s)
{
    EpwMsg *m;

    for (int i = 0; i < SESSION_READ_BUDGET; i++) {
        if (!session_next(s, &m) ||
            (!m && epw_session_recv(s, &m) <= 0)) {
            return;
        }
        if ((m->hdr.flags & VFU_FLAG_TYPE_MASK) == VFU_FLAG_REPLY) {
            epw_call_reply(s, m);
        } else {
            session_handle_command(s, m);
        }
    }
}

/* Returns the next deadline, of a call or of a message that has begun. */
static int64_t session_next_deadline(EpwSession *s) EP_REQUIRES(&s->lock);
static int64_t session_next_deadline(EpwSession *s)
{
    EpwCall *c = QTAILQ_FIRST(&s->pending);
    int64_t until = c ? c->deadline : INT64_MAX;

    return s->partial_deadline ? MIN(until, s->partial_deadline) : until;
}

/* Ends the session if a deadline has expired at @now. */
static void session_expire(EpwSession *s, int64_t now) EP_REQUIRES(&s->lock);
static void session_expire(EpwSession *s, int64_t now)
{
    epw_call_expire(s, now);
    if (s->partial_deadline &&
        epw_session_expired(s, s->partial_deadline, now)) {
        epw_session_end(s, g_strdup_printf(
                                "peer did not finish a message within %u ms",
                                s->deadline_ms));
    }
}

/*
 * Gives up the right to read, and sets how many ms to poll. Returns false when
 * the session has ended.
 */
static bool session_prepare(EpwSession *s, int *timeout)
{
    int64_t now = g_get_monotonic_time();
    int64_t output_until = INT64_MAX;
    int64_t until;

    QEMU_LOCK_GUARD(&s->lock);
    if (s->reading == EPW_READ_THREAD) {
        s->reading = EPW_READ_FREE;
    }
    session_expire(s, now);
    epw_session_watch_output(s, now, &output_until);
    if (s->closing) {
        return false;
    }
    epw_session_arm(s);
    until = session_next_deadline(s);
    if (until <= now && !(s->armed & EPOLLIN)) {
        /* It cannot look for the answer before. */
        until = now + EPW_GRACE_MS * INT64_C(1000);
    }
    until = MIN(until, output_until);
    s->reader_wakes = until;
    *timeout = until == INT64_MAX ? -1 :
               until <= now ? 0 : MIN(DIV_ROUND_UP(until - now, 1000), INT_MAX);
    return true;
}

/*
 * Sleeps until the caller that reads has given up the right to.  It holds no
 * lock that makes it wait, and a socket or a session that is over wakes it.
 */
static void session_wait_for_caller(EpwSession *s) EP_REQUIRES(&s->lock);
static void session_wait_for_caller(EpwSession *s)
{
    while (s->reading == EPW_READ_CALLER) {
        qemu_cond_wait(&s->freed, &s->lock);
    }
}

/*
 * Does what the events of the polled descriptors ask for. Returns true when the
 * reader thread has the right to read, and something to read.
 */
static bool session_begin_reading(EpwSession *s, const uint32_t *events)
{
    const uint32_t over = EPOLLHUP | EPOLLERR;  /* comes without being asked */
    uint32_t got = events[EPW_POLL_SOCKET];
    bool late;

    QEMU_LOCK_GUARD(&s->lock);
    if (s->closing) {
        return false;   /* The eventfd stays signalled, see call_poll(). */
    }
    if (events[EPW_POLL_WAKE]) {
        event_notifier_test_and_clear(&s->wake);
    }
    if (got & EPOLLOUT) {
        epw_session_flush(s);
    }
    if (got & over) {
        session_wait_for_caller(s);
    }
    late = session_next_deadline(s) <= g_get_monotonic_time();
    if (s->reading == EPW_READ_CALLER ||
        !(s->handed || late || (got & (EPOLLIN | over)))) {
        return false;
    }
    if (s->handed || epw_session_may_read(s)) {
        s->reading = EPW_READ_THREAD;
        return true;
    }
    if (got & over) {
        epw_session_end(s, g_strdup("peer closed the connection"));
    }
    return false;
}

static bool session_turn(EpwSession *s)
{
    struct epoll_event ev[EPW_POLLED];
    uint32_t events[EPW_POLLED] = { };
    int timeout, n;

    if (!session_prepare(s, &timeout)) {
        return false;
    }
    n = epoll_wait(s->epoll, ev, EPW_POLLED, timeout);
    for (int i = 0; i < n; i++) {
        events[ev[i].data.u32] = ev[i].events;
    }
    if (session_begin_reading(s, events)) {
        session_read_messages(s);
    }
    return true;
}

/* Nobody reads from here on. */
static void session_stop_reading(EpwSession *s)
{
    EpwMsg *handed;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        session_wait_for_caller(s);
        handed = g_steal_pointer(&s->handed);
    }
    epw_msg_free(handed);
}

/* Fails the calls, shuts the socket, calls closed(), and closes the socket. */
static void session_finish(EpwSession *s)
{
    EpwRequest *t, *tmp;
    const char *why;
    EpwCall *c;
    int gone = 0;

    qemu_mutex_lock(&s->lock);
    why = s->why;       /* It does not change any more. */
    epw_frame_flush(s->frame);
    s->frame = NULL;
    QTAILQ_FOREACH_SAFE(t, &s->requests, next, tmp) {
        if (t->answered) {
            epw_request_free(s, t);
            gone++;
        }
    }
    while ((c = QTAILQ_FIRST(&s->pending))) {
        epw_call_unlist(s, c);
        qemu_mutex_unlock(&s->lock);
        c->done(s, c->err, NULL, c->opaque);
        g_free(c);
        qemu_mutex_lock(&s->lock);
    }
    qemu_mutex_unlock(&s->lock);

    shutdown(epw_frame_fd(s->rx), SHUT_RDWR);
    epw_session_unref(s, gone);
    if (s->ops->closed) {
        s->ops->closed(s, why, s->opaque);
    }
    epw_frame_free(s->rx);
}

static void *session_run(void *opaque)
{
    EpwSession *s = opaque;

    rcu_register_thread();
    /* epw_session_new() holds the lock until it has stored the thread. */
    qemu_mutex_lock(&s->lock);
    qemu_mutex_unlock(&s->lock);
    while (session_turn(s)) {
        continue;
    }
    session_stop_reading(s);
    session_finish(s);
    rcu_unregister_thread();
    return NULL;
}

/* ---- Lifetime ---- */

/* Creates what the reader thread polls. Returns 0 or a negative errno. */
static int session_init_poll(EpwSession *s) EP_REQUIRES(&s->lock);
static int session_init_poll(EpwSession *s)
{
    struct epoll_event socket = { .data.u32 = EPW_POLL_SOCKET };
    struct epoll_event wake = { EPOLLIN, { .u32 = EPW_POLL_WAKE } };
    int err = event_notifier_init(&s->wake, 0);

    s->has_wake = !err;
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (err) {
        return err;
    }
    if (s->epoll < 0 ||
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, epw_frame_fd(s->rx), &socket) ||
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, event_notifier_get_fd(&s->wake),
                  &wake)) {
        return -errno;
    }
    return 0;
}

EpwSession *epw_session_new(int fd, const EpwConfig *cfg, const EpwOps *ops,
                            void *opaque)
{
    EpwSession *s = g_new0(EpwSession, 1);
    int err;

    s->refs = 1;
    qemu_mutex_init(&s->lock);
    qemu_cond_init(&s->freed);
    s->role = cfg->role;
    s->deadline_ms = cfg->deadline_ms;
    s->device = g_strdup(cfg->device ?: cfg->name);
    s->func = cfg->func;
    s->ops = ops;
    s->opaque = opaque;
    s->messages = cfg->messages;
    s->rx = epw_frame_new(fd);

    qemu_mutex_lock(&s->lock);
    s->frame = s->rx;
    s->caps = (EpwCaps) {
        .max_fds = VFU_DEFAULT_MAX_FDS,
        .max_xfer = VFU_DEFAULT_MAX_XFER,
    };
    s->calls = g_hash_table_new(NULL, NULL);
    QTAILQ_INIT(&s->pending);
    QTAILQ_INIT(&s->requests);
    err = session_init_poll(s);
    if (err) {
        epw_session_end(s, epw_session_error(err, "poll the connection"));
    }
    qemu_thread_create(&s->thread, cfg->name, session_run, s,
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
        epw_session_arm(s);
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
    epw_session_end(s, g_strdup(why));
}

bool epw_session_ends(EpwSession *s)
{
    struct pollfd p = { .fd = epw_frame_fd(s->rx) };

    QEMU_LOCK_GUARD(&s->lock);
    return s->closing || (poll(&p, 1, 0) > 0 && (p.revents & POLLHUP));
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
