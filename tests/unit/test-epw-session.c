/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epw session: two ends over a socketpair, and an end against a raw socket
 */
#include "qemu/osdep.h"
#include "qemu/thread.h"
#include "epw-test.h"

#include <poll.h>

#define SHORT_MS 150        /* a deadline that a test waits for */
#define LONG_MS 20000       /* one that must not expire */

/* A session and what its callbacks saw */
typedef struct End {
    EpwSession *s;
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

static void changed(End *e)
{
    qemu_cond_broadcast(&e->changed);
    qemu_mutex_unlock(&e->lock);
}

static void on_command(EpwSession *s, EpwMsg *m, EpwToken *t, void *opaque)
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

static void on_closed(EpwSession *s, const char *why, void *opaque)
{
    End *e = opaque;

    qemu_mutex_lock(&e->lock);
    e->nclosed++;
    e->why = g_strdup(why);
    changed(e);
}

static void on_done(EpwSession *s, int err, EpwMsg *reply, void *opaque)
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

static End *end_new(int fd, int raw, EpwRole role, unsigned deadline_ms)
{
    EpwConfig cfg = { "epw-test", role, deadline_ms };
    End *e = g_new0(End, 1);

    qemu_mutex_init(&e->lock);
    qemu_cond_init(&e->changed);
    e->tokens = g_ptr_array_new();
    e->raw = raw;
    e->fd = -1;
    e->s = epw_session_new(fd, &cfg, &ops, e);
    return e;
}

static End *end_raw(EpwRole role, unsigned deadline_ms)
{
    int sv[2];

    make_pair(sv);
    return end_new(sv[0], sv[1], role, deadline_ms);
}

/* Frees the session; closed() has come exactly once. */
static void end_free(End *e)
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
static void wait_for(End *e, unsigned *counter, unsigned n)
{
    qemu_mutex_lock(&e->lock);
    while (*counter < n) {
        bool in_time = qemu_cond_timedwait(&e->changed, &e->lock, LONG_MS);

        g_assert_true(in_time);
    }
    qemu_mutex_unlock(&e->lock);
}

static void expect_closed(End *e, const char *why)
{
    wait_for(e, &e->nclosed, 1);
    if (!strstr(e->why, why)) {
        g_error("closed for '%s', not '%s'", e->why, why);
    }
}

/* ------------------------------ raw side -------------------------------- */
static void raw_put(End *e, uint16_t id, uint16_t cmd, uint32_t flags,
                    uint32_t error, const void *p, size_t n)
{
    g_autofree uint8_t *buf = g_malloc(sizeof(VfuHeader) + n);
    size_t size = raw_msg(buf, id, cmd, flags, p, n);

    ((VfuHeader *)buf)->error = error;
    g_assert_cmpint(raw_send(e->raw, buf, size, NULL, 0), ==, size);
}

static bool raw_read(int fd, void *p, size_t n)
{
    return n == 0 || recv(fd, p, n, MSG_WAITALL) == n;
}

static bool raw_get(End *e, VfuHeader *hdr, uint8_t *p, size_t room)
{
    if (!raw_read(e->raw, hdr, sizeof(*hdr))) {
        return false;
    }
    g_assert_cmpuint(hdr->size - sizeof(*hdr), <=, room);
    return raw_read(e->raw, p, hdr->size - sizeof(*hdr));
}

static void expect_reply(End *e, uint16_t id, uint16_t cmd, uint32_t error)
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

static bool raw_silent(End *e, int ms)
{
    struct pollfd pfd = { e->raw, POLLIN };

    return poll(&pfd, 1, ms) == 0;
}

static const VfuRegionRw region_read = { .offset = 8, .count = 4 };

static int call(End *e)
{
    struct iovec iov = { (void *)&region_read, sizeof(region_read) };

    return epw_call(e->s, VFU_CMD_REGION_READ, &iov, 1, NULL, 0, NULL);
}

static void call_async(End *e)
{
    struct iovec iov = { (void *)&region_read, sizeof(region_read) };

    epw_call_async(e->s, VFU_CMD_REGION_READ, &iov, 1, NULL, 0, on_done, e);
}

static void put_region_read(End *e, uint16_t id, uint32_t flags)
{
    raw_put(e, id, VFU_CMD_REGION_READ, flags, 0, &region_read,
            sizeof(region_read));
}

static void answer(End *e, unsigned i)
{
    struct iovec iov = { &i, sizeof(i) };

    epw_reply(g_ptr_array_index(e->tokens, i), &iov, 1, NULL, 0);
}

/* -------------------------------- calls --------------------------------- */
static void pair_new(End **srv, End **cli)
{
    int sv[2];

    make_pair(sv);
    *srv = end_new(sv[0], -1, EPW_SERVER, LONG_MS);
    *cli = end_new(sv[1], -1, EPW_CLIENT, LONG_MS);
}

static void test_loopback(void)
{
    struct iovec iov = { (void *)&region_read, sizeof(region_read) };
    End *srv, *cli;
    EpwMsg *reply;

    pair_new(&srv, &cli);
    for (int i = 0; i < 100; i++) {
        g_assert_cmpint(epw_call(cli->s, VFU_CMD_REGION_READ, &iov, 1, NULL,
                                 0, &reply), ==, 0);
        g_assert_cmpmem(reply->payload, epw_msg_len(reply), &region_read,
                        sizeof(region_read));
        epw_msg_free(reply);
    }
    end_free(srv);
    expect_closed(cli, "peer closed the connection");
    g_assert_cmpint(call(cli), ==, -ENOTCONN);
    end_free(cli);
}

static void test_fds(void)
{
    VfuSetIrqs p = { 20, VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_TRIGGER,
                     VFU_IRQ_MSIX, 0, 3 };
    struct iovec iov = { &p, sizeof(p) };
    int fds[3] = { make_fd(1), make_fd(2), make_fd(3) };
    int before;
    End *srv, *cli;
    EpwMsg *reply;

    pair_new(&srv, &cli);
    before = count_fds();
    g_assert_cmpint(epw_call(cli->s, VFU_CMD_SET_IRQS, &iov, 1, fds, 3,
                             &reply), ==, 0);
    assert_fd(srv->fd, 1);
    g_assert_cmpuint(reply->nfds, ==, 2);
    assert_fd(reply->fds[0], 2);
    assert_fd(reply->fds[1], 3);
    epw_msg_free(reply);
    g_assert_cmpint(count_fds(), ==, before + 1);
    end_free(srv);
    end_free(cli);
    for (int i = 0; i < 3; i++) {
        close(fds[i]);
    }
}

static void *caller(void *opaque)
{
    End *e = opaque;

    return GINT_TO_POINTER(call(e));
}

static void *busy_caller(void *opaque)
{
    End *e = opaque;
    bool server = e->fd == -2;

    for (uint64_t i = 0; i < 500; i++) {
        VfuRegionRw rw = { .offset = i * 8, .count = 4 };
        VfuDmaRw dma = { .address = i * 8, .count = 4 };
        struct iovec iov = { server ? (void *)&dma : &rw, 16 };
        EpwMsg *reply;

        g_assert_cmpint(epw_call(e->s, server ? VFU_CMD_DMA_READ
                                              : VFU_CMD_REGION_READ,
                                 &iov, 1, NULL, 0, &reply), ==, 0);
        g_assert_cmpmem(reply->payload, epw_msg_len(reply), iov.iov_base, 16);
        epw_msg_free(reply);
    }
    return NULL;
}

/* Both directions at once, from many threads */
static void test_parallel(void)
{
    QemuThread threads[8];
    End *srv, *cli;

    pair_new(&srv, &cli);
    srv->fd = -2;
    for (int i = 0; i < 8; i++) {
        qemu_thread_create(&threads[i], "caller", busy_caller,
                           i % 2 ? srv : cli, QEMU_THREAD_JOINABLE);
    }
    for (int i = 0; i < 8; i++) {
        qemu_thread_join(&threads[i]);
    }
    end_free(cli);
    end_free(srv);
}

static void test_call_errors(void)
{
    static const struct {
        uint32_t error;
        int err;
    } rows[] = {
        { ENODEV, -ENODEV }, { 0, -EIO }, { 4095, -4095 }, { 4096, -EIO },
        { UINT32_MAX, -EIO },
    };
    struct iovec iov[EPW_MAX_IOV + 1] = { };
    End *e = end_raw(EPW_CLIENT, LONG_MS);

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint8_t p[64];
        VfuHeader hdr;

        call_async(e);
        g_assert_true(raw_get(e, &hdr, p, sizeof(p)));
        /* an error reply with a payload: drained */
        raw_put(e, hdr.id, hdr.command, VFU_FLAG_REPLY | VFU_FLAG_ERROR,
                rows[i].error, p, i * 8);
        wait_for(e, &e->ndone, i + 1);
        g_assert_cmpint(e->err[i], ==, rows[i].err);
    }
    /* mistakes of the caller leave the session whole */
    g_assert_cmpint(epw_call(e->s, VFU_CMD_GET_INFO, iov, EPW_MAX_IOV + 1,
                             NULL, 0, NULL), ==, -EINVAL);
    iov[0].iov_len = EPW_MAX_MSG;
    g_assert_cmpint(epw_post(e->s, VFU_CMD_GET_INFO, iov, 1), ==, -EINVAL);
    g_assert_cmpuint(e->nclosed, ==, 0);
    end_free(e);
}

static void test_post(void)
{
    End *e = end_raw(EPW_SERVER, LONG_MS);
    VfuHeader hdr;
    uint8_t p[16];

    g_assert_cmpint(epw_post(e->s, VFU_CMD_EP_INTX, NULL, 0), ==, 0);
    g_assert_true(raw_get(e, &hdr, p, sizeof(p)));
    g_assert_cmpuint(hdr.flags, ==, VFU_FLAG_COMMAND | VFU_FLAG_NO_REPLY);
    g_assert_cmpuint(hdr.size, ==, sizeof(hdr));
    epw_session_shutdown(e->s, "enough");
    g_assert_cmpint(epw_post(e->s, VFU_CMD_EP_INTX, NULL, 0), ==, -ENOTCONN);
    expect_closed(e, "enough");
    end_free(e);
}

static void on_nested(EpwSession *s, int err, EpwMsg *reply, void *opaque)
{
    g_assert_cmpint(epw_call(s, VFU_CMD_GET_INFO, NULL, 0, NULL, 0, NULL), ==,
                    -EDEADLK);
    on_done(s, err, reply, opaque);
}

static void test_call_in_reader(void)
{
    struct iovec iov = { (void *)&region_read, sizeof(region_read) };
    End *srv, *cli;

    pair_new(&srv, &cli);
    epw_call_async(cli->s, VFU_CMD_REGION_READ, &iov, 1, NULL, 0, on_nested,
                   cli);
    wait_for(cli, &cli->ndone, 1);
    g_assert_cmpint(cli->err[0], ==, 0);
    end_free(srv);
    end_free(cli);
}

static void *echo(void *opaque)
{
    End *e = opaque;
    VfuHeader hdr;
    uint8_t p[64];
    int first = -1;

    while (raw_get(e, &hdr, p, sizeof(p))) {
        if (first < 0) {
            first = hdr.id;     /* never answered: its id stays taken */
            continue;
        }
        g_assert_cmpuint(hdr.id, !=, first);
        hdr.flags = VFU_FLAG_REPLY;
        hdr.size = sizeof(hdr);
        if (raw_send(e->raw, &hdr, sizeof(hdr), NULL, 0) < 0) {
            break;
        }
    }
    return NULL;
}

static void test_id_wrap(void)
{
    End *e = end_raw(EPW_CLIENT, LONG_MS);
    QemuThread thread;

    qemu_thread_create(&thread, "echo", echo, e, QEMU_THREAD_JOINABLE);
    call_async(e);
    for (unsigned i = 0; i < 70000; i++) {
        call_async(e);
        if (i % 1000 == 999) {
            wait_for(e, &e->ndone, i + 1);
        }
    }
    g_assert_cmpuint(e->ndone, ==, 70000);
    g_assert_cmpint(call(e), ==, 0);
    epw_session_shutdown(e->s, "enough");
    qemu_thread_join(&thread);
    g_assert_cmpuint(e->ndone, ==, 70001);
    end_free(e);
}

static void test_too_many_calls(void)
{
    End *e = end_raw(EPW_CLIENT, LONG_MS);

    for (int i = 0; i < EPW_MAX_CALLS; i++) {
        call_async(e);
    }
    g_assert_cmpuint(e->ndone, ==, 0);
    g_assert_cmpint(call(e), ==, -EBUSY);
    end_free(e);
}

/* ------------------------------ deadlines ------------------------------- */
static void test_deadline_sync(void)
{
    End *e = end_raw(EPW_CLIENT, SHORT_MS);
    int64_t start = g_get_monotonic_time();

    g_assert_cmpint(call(e), ==, -ETIMEDOUT);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, SHORT_MS * 1000);
    expect_closed(e, "no answer to REGION_READ within 150 ms");
    g_assert_cmpint(call(e), ==, -ENOTCONN);
    end_free(e);
}

static void test_deadline_async(void)
{
    End *e = end_raw(EPW_CLIENT, SHORT_MS);

    call_async(e);
    g_usleep(SHORT_MS * 500);
    call_async(e);
    expect_closed(e, "no answer to REGION_READ within 150 ms");
    g_assert_cmpuint(e->ndone, ==, 2);
    g_assert_cmpint(e->err[0], ==, -ETIMEDOUT);
    g_assert_cmpint(e->err[1], ==, -ENOTCONN);
    /* refused at once, in this thread */
    e->over = true;
    call_async(e);
    g_assert_cmpuint(e->ndone, ==, 3);
    g_assert_cmpint(e->err[2], ==, -ENOTCONN);
    end_free(e);
}

/* A message that begins must end; silence between messages is fine. */
static void test_slow_message(gconstpointer data)
{
    size_t n = GPOINTER_TO_SIZE(data);
    End *e = end_raw(EPW_SERVER, SHORT_MS);
    uint8_t buf[64];
    size_t size = raw_msg(buf, 1, VFU_CMD_REGION_READ, 0, &region_read,
                          sizeof(region_read));
    int64_t start;

    g_usleep(SHORT_MS * 2000);
    g_assert_cmpuint(e->nclosed, ==, 0);
    raw_send(e->raw, buf, size, NULL, 0);
    expect_reply(e, 1, VFU_CMD_REGION_READ, 0);
    g_usleep(SHORT_MS * 2000);
    g_assert_cmpuint(e->nclosed, ==, 0);

    start = g_get_monotonic_time();
    for (size_t i = 0; i < n && !e->nclosed; i++) {
        raw_send(e->raw, buf + i, 1, NULL, 0);
        g_usleep(SHORT_MS * 1000 / n / 2);
    }
    expect_closed(e, "peer did not finish a message within 150 ms");
    g_assert_cmpint(g_get_monotonic_time() - start, <, LONG_MS * 1000 / 2);
    end_free(e);
}

/* --------------------------------- end ---------------------------------- */
static void start_callers(End *e, QemuThread *threads, unsigned n)
{
    VfuHeader hdr;
    uint8_t p[64];

    for (unsigned i = 0; i < n; i++) {
        qemu_thread_create(&threads[i], "caller", caller, e,
                           QEMU_THREAD_JOINABLE);
    }
    for (unsigned i = 0; i < n; i++) {
        g_assert_true(raw_get(e, &hdr, p, sizeof(p)));
    }
}

static void join_callers(QemuThread *threads, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpint(GPOINTER_TO_INT(qemu_thread_join(&threads[i])), ==,
                        -ENOTCONN);
    }
}

static void test_close_with_waiters(gconstpointer data)
{
    bool by_peer = data;
    End *e = end_raw(EPW_CLIENT, LONG_MS);
    QemuThread threads[5];
    int64_t start;

    start_callers(e, threads, 5);
    call_async(e);
    start = g_get_monotonic_time();
    if (by_peer) {
        shutdown(e->raw, SHUT_RDWR);
    } else {
        epw_session_shutdown(e->s, "first");
        epw_session_shutdown(e->s, "second");
    }
    join_callers(threads, 5);
    g_assert_cmpint(g_get_monotonic_time() - start, <, LONG_MS * 500);
    expect_closed(e, by_peer ? "peer closed the connection" : "first");
    g_assert_cmpuint(e->ndone, ==, 1);
    g_assert_cmpint(e->err[0], ==, -ENOTCONN);
    end_free(e);
}

static void test_free_with_waiters(void)
{
    End *e = end_raw(EPW_CLIENT, LONG_MS);
    QemuThread threads[5];

    start_callers(e, threads, 5);
    end_free(e);
    join_callers(threads, 5);
}

static void test_late_reply(gconstpointer data)
{
    bool freed = data;
    End *e = end_raw(EPW_SERVER, LONG_MS);
    g_autoptr(GPtrArray) tokens = NULL;

    e->keep = true;
    for (int i = 0; i < 4; i++) {
        put_region_read(e, i, i == 3 ? VFU_FLAG_NO_REPLY : 0);
    }
    wait_for(e, &e->ncommands, 4);
    answer(e, 1);                       /* early, then never sent */
    tokens = g_ptr_array_ref(e->tokens);
    epw_session_shutdown(e->s, "enough");
    expect_closed(e, "enough");
    if (freed) {
        end_free(e);
    }
    epw_reply(g_ptr_array_index(tokens, 0), NULL, 0, NULL, 0);
    epw_reply_error(g_ptr_array_index(tokens, 2), EIO);
    epw_reply_error(g_ptr_array_index(tokens, 3), EIO);
    if (!freed) {
        end_free(e);
    }
}

static void test_garbage(void)
{
    End *e = end_raw(EPW_SERVER, LONG_MS);

    g_assert_cmpint(raw_send(e->raw, "GET / HTTP/1.0\r\n\r\n", 18, NULL, 0),
                    ==, 18);
    expect_closed(e, "not a vfio-user message");
    end_free(e);
}

/* A reply that was given before the end still leaves. */
static void test_reply_then_close(void)
{
    End *e = end_raw(EPW_SERVER, LONG_MS);
    VfuHeader hdr;

    e->keep = true;
    put_region_read(e, 5, 0);
    wait_for(e, &e->ncommands, 1);
    epw_reply_error(g_ptr_array_index(e->tokens, 0), EBUSY);
    epw_session_shutdown(e->s, "busy");
    expect_reply(e, 5, VFU_CMD_REGION_READ, EBUSY);
    g_assert_cmpint(recv(e->raw, &hdr, sizeof(hdr), 0), ==, 0);
    end_free(e);
}

/* -------------------------------- tokens -------------------------------- */
static void test_reply_order(void)
{
    enum { N = 50 };
    End *e = end_raw(EPW_SERVER, LONG_MS);
    int fd = make_fd(77);
    EpwFrame *f;
    int open_fds;

    e->keep = true;
    for (int i = 0; i < N; i++) {
        put_region_read(e, 1000 + i, 0);
    }
    wait_for(e, &e->ncommands, N);
    open_fds = count_fds();
    epw_reply(g_ptr_array_index(e->tokens, N - 1), NULL, 0, &fd, 1);
    close(fd);
    epw_reply_error(g_ptr_array_index(e->tokens, N - 2), EBUSY);
    for (int i = N - 3; i > 0; i--) {
        answer(e, i);
    }
    g_assert_true(raw_silent(e, 50));
    answer(e, 0);

    f = epw_frame_new(dup(e->raw));
    for (unsigned i = 0; i < N; i++) {
        EpwMsg *m;

        g_assert_cmpint(epw_frame_recv(f, &m), ==, 1);
        g_assert_cmpuint(m->hdr.id, ==, 1000 + i);
        if (i < N - 2) {
            g_assert_cmpmem(m->payload, epw_msg_len(m), &i, sizeof(i));
        } else if (i == N - 2) {
            g_assert_cmpint(epw_check_reply(m, VFU_CMD_REGION_READ, 0, 0), ==,
                            EBUSY);
        } else {
            g_assert_cmpuint(m->nfds, ==, 1);
            assert_fd(m->fds[0], 77);
        }
        epw_msg_free(m);
    }
    epw_frame_free(f);
    g_assert_cmpint(count_fds(), ==, open_fds - 1);
    end_free(e);
}

static void test_no_reply(void)
{
    End *e = end_raw(EPW_SERVER, LONG_MS);

    put_region_read(e, 1, VFU_FLAG_NO_REPLY);
    raw_put(e, 2, VFU_CMD_REGION_READ, VFU_FLAG_NO_REPLY, 0, NULL, 0);
    raw_put(e, 3, 0x1234, VFU_FLAG_NO_REPLY, 0, NULL, 0);
    put_region_read(e, 4, 0);
    expect_reply(e, 4, VFU_CMD_REGION_READ, 0);
    g_assert_cmpuint(e->ncommands, ==, 2);
    end_free(e);
}

static void test_refused(void)
{
    VfuEpReset reset = { 16, 1, VFU_EP_RESET_HOT };
    EpwCaps caps = { .features = VFU_EP_FEATURE_RESET };
    End *e = end_raw(EPW_SERVER, LONG_MS);

    raw_put(e, 1, VFU_CMD_REGION_READ, 0, 0, NULL, 0);
    expect_reply(e, 1, VFU_CMD_REGION_READ, EINVAL);
    raw_put(e, 2, 0x1234, 0, 0, &reset, sizeof(reset));
    expect_reply(e, 2, 0x1234, ENOSYS);
    raw_put(e, 3, VFU_CMD_DMA_READ, 0, 0, &reset, sizeof(reset));
    expect_reply(e, 3, VFU_CMD_DMA_READ, ENOSYS);
    raw_put(e, 4, VFU_CMD_EP_RESET, 0, 0, &reset, sizeof(reset));
    expect_reply(e, 4, VFU_CMD_EP_RESET, ENOSYS);
    g_assert_cmpuint(e->ncommands, ==, 0);
    epw_session_set_caps(e->s, &caps);
    raw_put(e, 5, VFU_CMD_EP_RESET, 0, 0, &reset, sizeof(reset));
    expect_reply(e, 5, VFU_CMD_EP_RESET, 0);
    end_free(e);
}

/* Commands above the bound wait in the socket until others are answered. */
static void test_throttle(void)
{
    enum { N = EPW_MAX_TOKENS + 20 };
    End *e = end_raw(EPW_SERVER, LONG_MS);
    int size = 4 << 20;

    setsockopt(e->raw, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    e->keep = true;
    for (unsigned i = 0; i < N; i++) {
        put_region_read(e, i, i % 2 ? VFU_FLAG_NO_REPLY : 0);
    }
    wait_for(e, &e->ncommands, EPW_MAX_TOKENS);
    g_usleep(50 * 1000);
    g_assert_cmpuint(e->ncommands, ==, EPW_MAX_TOKENS);
    for (unsigned i = 0; i < N; i++) {
        wait_for(e, &e->ncommands, i + 1);
        answer(e, i);
    }
    for (unsigned i = 0; i < N; i += 2) {
        expect_reply(e, i, VFU_CMD_REGION_READ, 0);
    }
    end_free(e);
}

/* The peer is gone while its commands are not even read: still noticed. */
static void test_throttle_closed(void)
{
    End *e = end_raw(EPW_SERVER, LONG_MS);
    g_autoptr(GPtrArray) tokens = g_ptr_array_ref(e->tokens);

    e->keep = true;
    for (unsigned i = 0; i < EPW_MAX_TOKENS; i++) {
        put_region_read(e, i, 0);
    }
    wait_for(e, &e->ncommands, EPW_MAX_TOKENS);
    shutdown(e->raw, SHUT_RDWR);
    expect_closed(e, "peer closed the connection");
    end_free(e);
    for (unsigned i = 0; i < tokens->len; i++) {
        epw_reply_error(g_ptr_array_index(tokens, i), EIO);
    }
}

static void test_early_replies_bound(void)
{
    g_autofree uint8_t *data = g_malloc0(EPW_MAX_XFER);
    struct iovec iov = { data, EPW_MAX_XFER };
    End *e = end_raw(EPW_SERVER, LONG_MS);
    unsigned n;

    e->keep = true;
    for (unsigned i = 0; i < 20; i++) {
        put_region_read(e, i, 0);
    }
    wait_for(e, &e->ncommands, 20);
    for (n = 1; n < 20; n++) {
        epw_reply(g_ptr_array_index(e->tokens, n), &iov, 1, NULL, 0);
    }
    expect_closed(e, "too many replies wait for the one to REGION_READ");
    answer(e, 0);
    end_free(e);
}

/* ------------------------------ bad peers ------------------------------- */
static void test_reads_nothing(void)
{
    g_autofree uint8_t *data = g_malloc0(4096);
    struct iovec iov = { data, 4096 };
    End *e = end_raw(EPW_CLIENT, LONG_MS);
    unsigned n = 0;

    while (epw_post(e->s, VFU_CMD_REGION_WRITE, &iov, 1) == 0) {
        n++;
        g_assert_cmpuint(n, <, 10000);
    }
    g_assert_cmpuint(n, >, 1000);
    expect_closed(e, "peer does not read");
    end_free(e);
}

/* What was queued leaves when the peer reads again. */
static void test_reads_late(void)
{
    enum { N = 1000 };
    g_autofree uint8_t *data = g_malloc0(4096);
    struct iovec iov = { data, 4096 };
    End *e = end_raw(EPW_CLIENT, LONG_MS);

    for (unsigned i = 0; i < N; i++) {
        g_assert_cmpint(epw_post(e->s, VFU_CMD_REGION_WRITE, &iov, 1), ==, 0);
    }
    for (unsigned i = 0; i < N; i++) {
        VfuHeader hdr;

        g_assert_true(raw_get(e, &hdr, data, 4096));
        g_assert_cmpuint(hdr.id, ==, i);
    }
    end_free(e);
}

static void test_unsolicited(void)
{
    End *e = end_raw(EPW_SERVER, LONG_MS);

    raw_put(e, 1, VFU_CMD_DMA_READ, VFU_FLAG_REPLY, 0, NULL, 0);
    expect_closed(e, "reply to no command");
    end_free(e);

    e = end_raw(EPW_CLIENT, LONG_MS);
    for (int i = 0; i < 100; i++) {
        raw_put(e, i, VFU_CMD_REGION_WRITE, VFU_FLAG_REPLY, 0, &region_read,
                i % 16);
    }
    raw_put(e, 1, 0x1234, 0, 0, NULL, 0);
    expect_reply(e, 1, 0x1234, ENOSYS);
    end_free(e);
}

static void test_wrong_reply(void)
{
    End *e = end_raw(EPW_CLIENT, LONG_MS);
    VfuHeader hdr;
    uint8_t p[64];

    call_async(e);
    g_assert_true(raw_get(e, &hdr, p, sizeof(p)));
    raw_put(e, hdr.id, VFU_CMD_GET_INFO, VFU_FLAG_REPLY, 0, NULL, 0);
    expect_closed(e, "peer answered REGION_READ with a reply to GET_INFO");
    g_assert_cmpint(e->err[0], ==, -ENOTCONN);
    end_free(e);
}

/* ------------------------------- VERSION -------------------------------- */
static void *version_caller(void *opaque)
{
    End *e = opaque;

    return GINT_TO_POINTER(epw_call(e->s, VFU_CMD_VERSION, NULL, 0, NULL, 0,
                                    NULL));
}

/* A command right behind the answer to VERSION meets the agreed features. */
static void test_version_hold(void)
{
    VfuEpLink link = { 24, 1, VFU_EP_LINK_UP, 1, 1 };
    EpwCaps caps = { .features = VFU_EP_FEATURE_LINK };
    End *e = end_raw(EPW_CLIENT, LONG_MS);
    uint8_t buf[128];
    QemuThread thread;
    VfuHeader hdr;
    size_t n;

    qemu_thread_create(&thread, "version", version_caller, e,
                       QEMU_THREAD_JOINABLE);
    g_assert_true(raw_get(e, &hdr, buf, sizeof(buf)));
    n = raw_msg(buf, hdr.id, VFU_CMD_VERSION, VFU_FLAG_REPLY, NULL, 0);
    n += raw_msg(buf + n, 9, VFU_CMD_EP_LINK, 0, &link, sizeof(link));
    raw_send(e->raw, buf, n, NULL, 0);
    g_assert_cmpint(GPOINTER_TO_INT(qemu_thread_join(&thread)), ==, 0);
    g_assert_true(raw_silent(e, 50));
    epw_session_set_caps(e->s, &caps);
    expect_reply(e, 9, VFU_CMD_EP_LINK, 0);
    g_assert_cmpuint(epw_session_caps(e->s).features, ==,
                     VFU_EP_FEATURE_LINK);
    end_free(e);
}

int main(int argc, char **argv)
{
    int open_fds = count_fds();
    int r;

    g_test_init(&argc, &argv, NULL);
#define TEST(path, ...) g_test_add_func("/epw/session/" path, __VA_ARGS__)
#define TEST_ARG(path, arg, fn) \
    g_test_add_data_func("/epw/session/" path, GSIZE_TO_POINTER(arg), fn)
    TEST("loopback", test_loopback);
    TEST("fds", test_fds);
    TEST("parallel", test_parallel);
    TEST("call/errors", test_call_errors);
    TEST("call/post", test_post);
    TEST("call/in-reader", test_call_in_reader);
    TEST("call/id-wrap", test_id_wrap);
    TEST("call/too-many", test_too_many_calls);
    TEST("deadline/sync", test_deadline_sync);
    TEST("deadline/async", test_deadline_async);
    TEST_ARG("deadline/header-begun", 1, test_slow_message);
    TEST_ARG("deadline/header", 15, test_slow_message);
    TEST_ARG("deadline/payload", 31, test_slow_message);
    TEST_ARG("close/local", false, test_close_with_waiters);
    TEST_ARG("close/peer", true, test_close_with_waiters);
    TEST("close/free", test_free_with_waiters);
    TEST_ARG("close/late-reply", false, test_late_reply);
    TEST_ARG("close/late-reply-freed", true, test_late_reply);
    TEST("close/garbage", test_garbage);
    TEST("close/after-reply", test_reply_then_close);
    TEST("token/order", test_reply_order);
    TEST("token/no-reply", test_no_reply);
    TEST("token/refused", test_refused);
    TEST("token/throttle", test_throttle);
    TEST("token/throttle-closed", test_throttle_closed);
    TEST("token/early-bound", test_early_replies_bound);
    TEST("peer/reads-nothing", test_reads_nothing);
    TEST("peer/reads-late", test_reads_late);
    TEST("peer/unsolicited", test_unsolicited);
    TEST("peer/wrong-reply", test_wrong_reply);
    TEST("version/hold", test_version_hold);
    r = g_test_run();
    g_assert_cmpint(count_fds(), ==, open_fds);
    return r;
}
