/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epw session: calls, their deadlines, and the end of a session
 */
#include "qemu/osdep.h"
#include "epw-end.h"

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
    g_assert_true(raw_read(e->raw, &hdr, sizeof(hdr)));

    /* half a message does not, nor what was not sent */
    raw_send(e->raw, &hdr, sizeof(hdr) / 2, NULL, 0);
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

int main(int argc, char **argv)
{
    int open_fds = count_fds();
    int r;

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
    r = g_test_run();
    g_assert_cmpint(count_fds(), ==, open_fds);
    return r;
}
