/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session under test: what its callbacks saw, and the raw socket at its other
 * end
 */
#ifndef TESTS_UNIT_WIRE_END_H
#define TESTS_UNIT_WIRE_END_H

#include "qemu/thread.h"
#include "wire-test.h"

#include <poll.h>

#define SHORT_MS 150        /* a deadline that a test waits for */
#define LONG_MS 20000       /* one that must not expire */

typedef struct End {
    EpwSession *s;
    Stat64 messages;        /* sent and received */
    int raw;                /* the other side of the socket, or -1 */
    QemuMutex lock;
    QemuCond changed;
    GPtrArray *tokens;      /* kept for later, when keep is set */
    bool keep;
    bool over;              /* the test calls after closed() */
    unsigned ncommands;
    unsigned nclosed;
    unsigned ndone;
    int err[8];             /* of EpwDone, in their order */
    char *why;
    int fd;                 /* taken out of a command */
} End;

static inline void changed(End *e)
{
    qemu_cond_broadcast(&e->changed);
    qemu_mutex_unlock(&e->lock);
}

static inline void on_command(EpwSession *s, EpwMsg *m, EpwRequest *t,
                              void *opaque)
{
    struct iovec iov = { m->payload, epw_msg_len(m) };
    End *e = opaque;
    bool keep;

    qemu_mutex_lock(&e->lock);
    g_assert_cmpuint(e->nclosed, ==, 0);
    e->ncommands++;
    keep = e->keep;
    if (keep) {
        g_ptr_array_add(e->tokens, t);
    }
    if (m->nfds && e->fd < 0) {
        e->fd = m->fds[0];
        m->fds[0] = -1;
    }
    changed(e);
    if (!keep) {
        epw_reply(t, &iov, 1, m->fds + 1, m->nfds ? m->nfds - 1 : 0);
    }
}

static inline void on_closed(EpwSession *s, const char *why, void *opaque)
{
    End *e = opaque;

    qemu_mutex_lock(&e->lock);
    e->nclosed++;
    e->why = g_strdup(why);
    changed(e);
}

static inline void on_done(EpwSession *s, int err, EpwMsg *reply, void *opaque)
{
    End *e = opaque;

    g_assert_true(!reply == !!err);
    qemu_mutex_lock(&e->lock);
    g_assert_true(e->over || !e->nclosed);
    if (e->ndone < ARRAY_SIZE(e->err)) {
        e->err[e->ndone] = err;
    }
    e->ndone++;
    changed(e);
}

static const EpwOps ops = { on_command, on_closed };

static inline End *end_new(int fd, int raw, EpwRole role, unsigned deadline_ms)
{
    End *e = g_new0(End, 1);
    EpwConfig cfg = { "epw-test", role, deadline_ms, &e->messages };

    stat64_init(&e->messages, 0);
    qemu_mutex_init(&e->lock);
    qemu_cond_init(&e->changed);
    e->tokens = g_ptr_array_new();
    e->raw = raw;
    e->fd = -1;
    e->s = epw_session_new(fd, &cfg, &ops, e);
    return e;
}

static inline End *end_raw(EpwRole role, unsigned deadline_ms)
{
    int sv[2];

    vfu_msg_socketpair(sv);
    return end_new(sv[0], sv[1], role, deadline_ms);
}

/* Frees the session; closed() has come exactly once. */
static inline void end_free(End *e)
{
    epw_session_free(e->s);
    g_assert_cmpuint(e->nclosed, ==, 1);
    if (e->raw >= 0) {
        close(e->raw);
    }
    if (e->fd >= 0) {
        close(e->fd);
    }
    g_ptr_array_unref(e->tokens);
    qemu_cond_destroy(&e->changed);
    qemu_mutex_destroy(&e->lock);
    g_free(e->why);
    g_free(e);
}

/* Waits until *@counter of @e is @n at least. */
static inline void wait_for(End *e, unsigned *counter, unsigned n)
{
    qemu_mutex_lock(&e->lock);
    while (*counter < n) {
        if (!qemu_cond_timedwait(&e->changed, &e->lock, LONG_MS)) {
            g_error("waited in vain: counted %u, not %u", *counter, n);
        }
    }
    qemu_mutex_unlock(&e->lock);
}

static inline void expect_closed(End *e, const char *why)
{
    wait_for(e, &e->nclosed, 1);
    if (!strstr(e->why, why)) {
        g_error("closed for '%s', not '%s'", e->why, why);
    }
}

/* ---- The raw side ---- */

static inline void raw_put(End *e, uint16_t id, uint16_t cmd, uint32_t flags,
                           uint32_t error, const void *p, size_t n)
{
    VfuHeader hdr = vfu_msg_command(id, cmd, flags, n);

    hdr.error = error;
    g_assert_true(vfu_msg_send(e->raw, &hdr, p, NULL, 0));
}

/*
 * Receives a message of at most @room bytes of payload; closes descriptors that
 * come with it. False at the end of the connection, or after LONG_MS.
 */
static inline bool raw_get(End *e, VfuHeader *hdr, uint8_t *p, size_t room)
{
    VfuMsg *m = vfu_msg_recv(e->raw, LONG_MS, NULL);

    if (!m) {
        return false;
    }
    *hdr = m->hdr;
    g_assert_cmpuint(m->len, <=, room);
    if (m->len) {
        memcpy(p, m->payload, m->len);
    }
    vfu_msg_free(m);
    return true;
}

static inline void expect_reply(End *e, uint16_t id, uint16_t cmd,
                                uint32_t error)
{
    uint8_t p[64];
    VfuHeader hdr;

    g_assert_true(raw_get(e, &hdr, p, sizeof(p)));
    g_assert_cmpuint(hdr.id, ==, id);
    g_assert_cmpuint(hdr.command, ==, cmd);
    g_assert_cmpuint(hdr.flags, ==,
                     VFU_FLAG_REPLY | (error ? VFU_FLAG_ERROR : 0));
    g_assert_cmpuint(hdr.error, ==, error);
    if (error) {
        g_assert_cmpuint(hdr.size, ==, sizeof(hdr));
    }
}

static inline bool raw_silent(End *e, int ms)
{
    struct pollfd pfd = { e->raw, POLLIN };

    return poll(&pfd, 1, ms) == 0;
}

/*
 * The session, which is of a server, has sent nothing because of what this
 * thread did: it comes before the message that is posted here.
 */
static inline void expect_silence(End *e)
{
    VfuHeader hdr;

    g_assert_cmpint(epw_post(e->s, VFU_CMD_EP_INTX, NULL, 0), ==, 0);
    g_assert_true(raw_get(e, &hdr, NULL, 0));
    g_assert_cmphex(hdr.command, ==, VFU_CMD_EP_INTX);
}

/*
 * Waits until the reader has answered a command, and gives it time to sleep
 * again. Its sleep cannot be seen; no test fails if it is still awake.
 */
static inline void settle(End *e)
{
    raw_put(e, 0xffff, 0xffff, 0, 0, NULL, 0);
    expect_reply(e, 0xffff, 0xffff, ENOSYS);
    g_usleep(20 * 1000);
}

static const VfuRegionRw region_read = { .offset = 8, .count = 4 };

static inline int call(End *e)
{
    struct iovec iov = { (void *)&region_read, sizeof(region_read) };

    return epw_call(e->s, VFU_CMD_REGION_READ, &iov, 1, NULL, 0, NULL);
}

static inline void call_async(End *e)
{
    struct iovec iov = { (void *)&region_read, sizeof(region_read) };

    epw_call_async(e->s, VFU_CMD_REGION_READ, &iov, 1, NULL, 0, on_done, e);
}

static inline void put_region_read(End *e, uint16_t id, uint32_t flags)
{
    raw_put(e, id, VFU_CMD_REGION_READ, flags, 0, &region_read,
            sizeof(region_read));
}

static inline void answer(End *e, unsigned i)
{
    struct iovec iov = { &i, sizeof(i) };
    EpwRequest *t;

    qemu_mutex_lock(&e->lock);
    t = g_ptr_array_index(e->tokens, i);
    qemu_mutex_unlock(&e->lock);
    epw_reply(t, &iov, 1, NULL, 0);
}

#endif /* TESTS_UNIT_WIRE_END_H */
