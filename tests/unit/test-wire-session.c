/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of wire/session: calls, their deadlines, and the end of a session
 */
#include "qemu/osdep.h"
#include "wire-end.h"

static int open_fds;    /* before the first test */

/* ---- Calls ---- */

static void pair_new(End **srv, End **cli)
{
    int sv[2];

    vfu_msg_socketpair(sv);
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

/* A call is a command out and a reply in, or the other way round. */
static void test_messages(void)
{
    End *e = end_raw(EPW_SERVER, LONG_MS);
    Stat64 *count = &e->messages;
    VfuHeader hdr;

    g_assert_cmpuint(stat64_get(count), ==, 0);
    put_region_read(e, 1, 0);
    expect_reply(e, 1, VFU_CMD_REGION_READ, 0);
    g_assert_cmpuint(stat64_get(count), ==, 2);

    /* what the session answers itself counts as well */
    raw_put(e, 2, 0xffff, 0, 0, NULL, 0);
    expect_reply(e, 2, 0xffff, ENOSYS);
    g_assert_cmpuint(stat64_get(count), ==, 4);

    g_assert_cmpint(epw_post(e->s, VFU_CMD_EP_INTX, NULL, 0), ==, 0);
    g_assert_cmpuint(stat64_get(count), ==, 5);
    g_assert_true(raw_get(e, &hdr, NULL, 0));

    /* half a message does not, nor what was not sent */
    vfu_msg_send_bytes(e->raw, &hdr, sizeof(hdr) / 2, NULL, 0);
    epw_session_shutdown(e->s, "enough");
    g_assert_cmpint(epw_post(e->s, VFU_CMD_EP_INTX, NULL, 0), ==, -ENOTCONN);
    expect_closed(e, "enough");
    g_assert_cmpuint(stat64_get(count), ==, 5);
    end_free(e);
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

    expect_fds(open_fds + 3);
    pair_new(&srv, &cli);
    before = count_fds();
    g_assert_cmpint(epw_call(cli->s, VFU_CMD_SET_IRQS, &iov, 1, fds, 3,
                             &reply), ==, 0);
    assert_fd(srv->fd, 1);
    g_assert_cmpuint(reply->nfds, ==, 2);
    assert_fd(reply->fds[0], 2);
    assert_fd(reply->fds[1], 3);
    epw_msg_free(reply);
    /* one more round: by then the server has freed the first command */
    g_assert_cmpint(call(cli), ==, 0);
    expect_fds(before + 1);
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
    g_assert_cmpint(epw_call(e->s, VFU_CMD_GET_INFO, iov, 1, NULL, 0, NULL),
                    ==, -EINVAL);
    g_assert_cmpuint(e->nclosed, ==, 0);
    end_free(e);
}

typedef struct Late {
    End *e;
    unsigned calls;
} Late;

/* Answers the command when it is called for the third time. */
static int64_t late_reply(void *opaque)
{
    Late *l = opaque;
    VfuHeader hdr;
    uint8_t p[64];

    if (++l->calls == 3) {
        g_assert_true(raw_get(l->e, &hdr, p, sizeof(p)));
        raw_put(l->e, hdr.id, hdr.command, VFU_FLAG_REPLY, 0, NULL, 0);
        return 0;
    }
    return 1000;
}

static void test_late(void)
{
    Late l = { .e = end_raw(EPW_CLIENT, LONG_MS) };
    EpwMsg *reply;

    g_assert_cmpint(epw_call_late(l.e->s, VFU_CMD_DEVICE_RESET, NULL, 0, NULL,
                                  0, &reply, 1000, late_reply, &l), ==, 0);
    g_assert_cmpuint(l.calls, ==, 3);
    epw_msg_free(reply);
    end_free(l.e);
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
        if (!vfu_msg_send(e->raw, &hdr, NULL, NULL, 0)) {
            break;
        }
    }
    return NULL;
}

static void test_id_wrap(void)
{
    /* The first call is not answered while all others are, on any machine. */
    End *e = end_raw(EPW_CLIENT, 30 * LONG_MS);
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
    expect_closed(e, "enough");
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
    g_assert_cmpint(call(e), ==, -ENOBUFS);
    end_free(e);
}

/* ---- Deadlines ---- */

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
    End *e = end_raw(EPW_CLIENT, 2000);

    /* far enough apart, far enough from the end, on a busy machine too */
    settle(e);
    call_async(e);
    g_usleep(300 * 1000);
    call_async(e);
    expect_closed(e, "no answer to REGION_READ within 2000 ms");
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
    vfu_msg_send_bytes(e->raw, buf, size, NULL, 0);
    expect_reply(e, 1, VFU_CMD_REGION_READ, 0);
    g_usleep(SHORT_MS * 2000);
    g_assert_cmpuint(e->nclosed, ==, 0);

    start = g_get_monotonic_time();
    for (size_t i = 0; i < n && !e->nclosed; i++) {
        vfu_msg_send_bytes(e->raw, buf + i, 1, NULL, 0);
        g_usleep(SHORT_MS * 1000 / n / 2);
    }
    expect_closed(e, "peer did not finish a message within 150 ms");
    g_assert_cmpint(g_get_monotonic_time() - start, <, LONG_MS * 1000 / 2);
    end_free(e);
}

/* ---- End ---- */

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

    g_assert_true(vfu_msg_send_bytes(e->raw, "GET / HTTP/1.0\r\n\r\n", 18, NULL,
                                     0));
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

/* The reason for the end says what the user can do. */
static void test_too_many_fds(void)
{
    VfuHeader hdr = vfu_msg_command(1, VFU_CMD_REGION_READ, 0,
                                    sizeof(region_read));
    End *e = end_raw(EPW_SERVER, LONG_MS);
    int fds[EPW_MAX_FDS + 1];

    for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = e->raw;
    }
    g_assert_true(vfu_msg_send(e->raw, &hdr, &region_read, fds,
                               ARRAY_SIZE(fds)));
    expect_closed(e, "see 'ulimit -n'");
    end_free(e);
}

/*
 * Passes a descriptor whose close() waits, and gives up the own one while the
 * session has a part of the message, so that the session has the last one.
 */
static int put_lingering(End *e, uint16_t cmd)
{
    VfuHeader hdr = vfu_msg_command(1, cmd, 0, 4);
    int reader, fd = vfu_msg_lingering(&reader);

    g_assert_true(vfu_msg_send_bytes(e->raw, &hdr, sizeof(hdr), &fd, 1));
    close(fd);
    g_assert_true(vfu_msg_send_bytes(e->raw, "1234", 4, NULL, 0));
    return reader;
}

/* The close() of a descriptor waits; neither answers nor the end do. */
static void test_lingering(const void *arg)
{
    bool unread = GPOINTER_TO_SIZE(arg);
    VfuHeader bad = { .size = 0 };
    End *e = end_raw(EPW_SERVER, LONG_MS);
    int64_t start = g_get_monotonic_time();
    int reader;

    if (unread) {
        /* The session ends at a bad header, and the rest is in the socket. */
        e->keep = true;
        for (int i = 0; i < EPW_MAX_REQUESTS; i++) {
            put_region_read(e, i, 0);
        }
        wait_for(e, &e->ncommands, EPW_MAX_REQUESTS);
        vfu_msg_send_bytes(e->raw, &bad, sizeof(bad), NULL, 0);
        reader = put_lingering(e, 0x1234);
        answer(e, 0);
        expect_closed(e, "not a vfio-user message");
        for (int i = 1; i < EPW_MAX_REQUESTS; i++) {
            answer(e, i);
        }
    } else {
        reader = put_lingering(e, 0x1234);
        expect_reply(e, 1, 0x1234, ENOSYS);
        put_region_read(e, 2, 0);
        expect_reply(e, 2, VFU_CMD_REGION_READ, 0);
    }
    end_free(e);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 10 * G_USEC_PER_SEC);
    close(reader);
}

int main(int argc, char **argv)
{
    int r;

    open_fds = count_fds();
    g_test_init(&argc, &argv, NULL);
#define TEST(path, ...) g_test_add_func("/epw/session/" path, __VA_ARGS__)
#define TEST_ARG(path, arg, fn) \
    g_test_add_data_func("/epw/session/" path, GSIZE_TO_POINTER(arg), fn)
    TEST("loopback", test_loopback);
    TEST("messages", test_messages);
    TEST("fds", test_fds);
    TEST("parallel", test_parallel);
    TEST("call/errors", test_call_errors);
    TEST("call/post", test_post);
    TEST("call/late", test_late);
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
    TEST("close/too-many-fds", test_too_many_fds);
    TEST("close/after-reply", test_reply_then_close);
    TEST_ARG("lingering/read", false, test_lingering);
    TEST_ARG("lingering/unread", true, test_lingering);
    r = g_test_run();
    expect_fds(open_fds);
    return r;
}
