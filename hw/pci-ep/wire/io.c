/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io: what all parts of a session do with its socket: send, receive, end it
 *
 * The reader thread polls an epoll descriptor, so that any thread may change
 * what it polls for without waking it.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/wire/session-int.h"
#include "hw/pci-ep/trace.h"

#include <sys/epoll.h>

/* Bytes of the payload that a trace event shows */
#define IO_TRACED_BYTES 256

/* ---- References ---- */

/* The last reference is given up by the only thread that still has one. */
EP_NO_TSA
void epw_session_unref(EpwSession *s, int n)
{
    if (n && qatomic_fetch_sub(&s->refs, n) == n) {
        if (s->has_wake) {
            event_notifier_cleanup(&s->wake);
        }
        if (s->epoll >= 0) {
            close(s->epoll);
        }
        qemu_cond_destroy(&s->freed);
        g_hash_table_destroy(s->calls);
        qemu_mutex_destroy(&s->lock);
        g_free(s->device);
        g_free(s->why);
        g_free(s);
    }
}

void epw_session_wake(EpwSession *s)
{
    if (s->has_wake) {
        event_notifier_set(&s->wake);
    }
}

/* ---- The end ---- */

void epw_session_end(EpwSession *s, char *why)
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
            epw_call_unlist(s, c);
        }
    }
    epw_session_wake(s);
}

char *epw_session_error(int err, const char *what)
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

/* ---- Trace events ---- */

/* Appends @len bytes as hexadecimal digits, and returns where they end. */
static char *io_put_hex(char *to, const uint8_t *from, size_t len)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        *to++ = digits[from[i] >> 4];
        *to++ = digits[from[i] & 0xf];
    }
    *to = '\0';
    return to;
}

/* Costs a branch while the event is not enabled. */
static void io_trace_message(const EpwSession *s, const char *way,
                             const VfuHeader *hdr, const struct iovec *iov,
                             int niov, unsigned nfds)
{
    char bytes[2 * (sizeof(*hdr) + IO_TRACED_BYTES) + 1];
    size_t left = IO_TRACED_BYTES;
    char *end;

    if (!trace_event_get_state_backends(TRACE_PCI_EP_MESSAGE)) {
        return;
    }
    end = io_put_hex(bytes, (const uint8_t *)hdr, sizeof(*hdr));
    for (int i = 0; i < niov; i++) {
        size_t n = MIN(left, iov[i].iov_len);

        end = io_put_hex(end, iov[i].iov_base, n);
        left -= n;
    }
    trace_pci_ep_message(s->device, s->func, way,
                         epw_command_name(hdr->command), hdr->id, hdr->size,
                         hdr->flags, hdr->error, nfds, bytes);
}

static void io_trace_received(const EpwSession *s, const EpwMsg *m)
{
    struct iovec iov = { m->payload, epw_msg_len(m) };

    io_trace_message(s, "receives", &m->hdr, &iov, 1, m->nfds);
}

/* ---- Sending, from any thread ---- */

static void io_count_message(EpwSession *s)
{
    if (s->messages) {
        stat64_add(s->messages, 1);
    }
}

int epw_session_send(EpwSession *s, VfuHeader *hdr, const struct iovec *iov,
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
    /* Before the peer can react, so that no effect precedes the count */
    io_count_message(s);
    io_trace_message(s, "sends", hdr, iov, niov, nfds);
    err = epw_frame_send(s->frame, hdr, iov, niov, fds, nfds);
    if (err == -EINVAL) {
        return err;
    }
    if (err) {
        epw_session_end(s, epw_session_error(err, "send"));
        return -ENOTCONN;
    }
    epw_session_arm(s);
    if (epw_frame_pending(s->frame) && !s->output_deadline) {
        epw_session_wake(s);    /* to begin the deadline */
    }
    return 0;
}

/* ---- Receiving, by whoever has the right to read ---- */

bool epw_session_expired(EpwSession *s, int64_t deadline, int64_t now)
{
    if (deadline > now || s->found_empty >= deadline) {
        return deadline <= now;
    }
    if (!s->late_since) {
        s->late_since = now;
    }
    return now - s->late_since >= EPW_GRACE_MS * INT64_C(1000);
}

bool epw_session_may_read(EpwSession *s)
{
    return !s->closing && !s->hold && s->nrequests < EPW_MAX_REQUESTS;
}

void epw_session_arm(EpwSession *s)
{
    struct epoll_event ev = { .data.u32 = EPW_POLL_SOCKET };

    if (s->closing) {
        return;
    }
    if (s->reading != EPW_READ_CALLER && epw_session_may_read(s)) {
        ev.events |= EPOLLIN;
    }
    if (epw_frame_pending(s->frame) && !epw_frame_stalled(s->frame)) {
        ev.events |= EPOLLOUT;
    }
    if (ev.events != s->armed) {
        s->armed = ev.events;
        epoll_ctl(s->epoll, EPOLL_CTL_MOD, epw_frame_fd(s->frame), &ev);
    }
}

/* The socket is empty at @now: a message that has begun must end in time. */
static void io_time_partial(EpwSession *s, int64_t now)
    EP_REQUIRES(&s->lock);
static void io_time_partial(EpwSession *s, int64_t now)
{
    if (!epw_frame_partial(s->rx)) {
        s->partial_deadline = 0;
    } else if (!s->partial_deadline) {
        s->partial_deadline = now + s->deadline_ms * INT64_C(1000);
    }
}

int epw_session_recv(EpwSession *s, EpwMsg **m)
{
    int64_t now = g_get_monotonic_time();
    int r = epw_frame_recv(s->rx, m);

    if (r > 0) {
        io_trace_received(s, *m);
    }
    QEMU_LOCK_GUARD(&s->lock);
    if (r < 0) {
        epw_session_end(s, epw_session_error(r, "receive"));
    } else if (r > 0) {
        s->partial_deadline = 0;
        io_count_message(s);
    } else {
        s->found_empty = now;
        s->late_since = 0;
        io_time_partial(s, now);
    }
    return r;
}
