/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of wire/reply: received commands and their replies, and peers that
 * misbehave
 */
#include "qemu/osdep.h"
#include "wire-end.h"

/* ---- Tokens ---- */

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
    expect_silence(e);
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
    expect_fds(open_fds - 1);
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
    enum { N = EPW_MAX_REQUESTS + 20 };
    End *e = end_raw(EPW_SERVER, LONG_MS);
    int size = 4 << 20;

    setsockopt(e->raw, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    e->keep = true;
    for (unsigned i = 0; i < N; i++) {
        put_region_read(e, i, i % 2 ? VFU_FLAG_NO_REPLY : 0);
    }
    wait_for(e, &e->ncommands, EPW_MAX_REQUESTS);
    /* The reader takes no more. Nothing is ordered behind that: this waits. */
    g_usleep(50 * 1000);
    g_assert_cmpuint(e->ncommands, ==, EPW_MAX_REQUESTS);
    for (unsigned i = 0; i < N; i++) {
        wait_for(e, &e->ncommands, i + 1);
        answer(e, i);
    }
    for (unsigned i = 0; i < N; i += 2) {
        expect_reply(e, i, VFU_CMD_REGION_READ, 0);
    }
    end_free(e);
}

/* A message with several writes counts as all of them until its reply. */
static void test_throttle_writes(void)
{
    enum { EACH = VFU_MAX_WRITES, FULL = EPW_MAX_REQUESTS / EACH + 1, N = 8 };
    const size_t len = sizeof(VfuRegionWrites) + EACH * sizeof(VfuRegionWrite);
    g_autofree VfuRegionWrites *p = g_malloc0(len);
    VfuRegionWrite *w = (void *)(p + 1);
    End *e = end_raw(EPW_SERVER, LONG_MS);

    p->count = EACH;
    for (unsigned i = 0; i < EACH; i++) {
        w[i].count = 1;
    }
    e->keep = true;
    for (unsigned i = 0; i < N; i++) {
        raw_put(e, i, VFU_CMD_REGION_WRITE_MULTI, VFU_FLAG_NO_REPLY, 0, p,
                len);
    }
    wait_for(e, &e->ncommands, FULL);
    g_usleep(50 * 1000);    /* as in test_throttle() */
    g_assert_cmpuint(e->ncommands, ==, FULL);
    for (unsigned i = 0; i < N; i++) {
        wait_for(e, &e->ncommands, MIN(FULL + i, N));
        answer(e, i);
    }
    end_free(e);
}

/* The peer is gone while its commands are not even read: still noticed. */
static void test_throttle_closed(void)
{
    End *e = end_raw(EPW_SERVER, LONG_MS);
    g_autoptr(GPtrArray) tokens = g_ptr_array_ref(e->tokens);

    e->keep = true;
    for (unsigned i = 0; i < EPW_MAX_REQUESTS; i++) {
        put_region_read(e, i, 0);
    }
    wait_for(e, &e->ncommands, EPW_MAX_REQUESTS);
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

/* ---- Bad peers ---- */

/* Sends commands of 4 KiB without waiting. */
static void call_large(End *e, unsigned n)
{
    g_autofree uint8_t *data = g_malloc0(4096);
    struct iovec iov = { data, 4096 };

    while (n--) {
        epw_call_async(e->s, VFU_CMD_REGION_WRITE, &iov, 1, NULL, 0, on_done,
                       e);
    }
}

static void expect_large(End *e, unsigned n)
{
    g_autofree uint8_t *data = g_malloc0(4096);
    VfuHeader hdr;

    for (unsigned i = 0; i < n; i++) {
        g_assert_true(raw_get(e, &hdr, data, 4096));
        g_assert_cmphex(hdr.command, ==, VFU_CMD_REGION_WRITE);
        g_assert_cmpuint(hdr.id, ==, i);
    }
}

static void test_reads_nothing(void)
{
    End *e = end_raw(EPW_CLIENT, LONG_MS);

    e->over = true;
    call_large(e, 4000);
    expect_closed(e, "peer does not read");
    end_free(e);
}

/* What was queued leaves when the peer reads again. */
static void test_reads_late(void)
{
    enum { N = 1000 };
    End *e = end_raw(EPW_CLIENT, LONG_MS);

    settle(e);
    call_large(e, N);
    expect_large(e, N);
    end_free(e);
}

/* Nobody else can end a session by what is posted to a peer that pauses. */
static void test_post_to_paused(void)
{
    enum { N = 100 };
    End *e = end_raw(EPW_SERVER, LONG_MS);
    VfuEpIntx intx = { .argsz = sizeof(intx) };
    VfuHeader hdr;

    call_large(e, N);
    for (unsigned i = 0; i < 100000; i++) {
        intx.level = i;
        g_assert_cmpint(epw_post(e->s, VFU_CMD_EP_FAULT, &intx, sizeof(intx)),
                        ==, -EAGAIN);
        g_assert_cmpint(epw_post_last(e->s, VFU_CMD_EP_INTX, &intx,
                                      sizeof(intx)), ==, 0);
    }
    g_assert_cmpuint(e->nclosed, ==, 0);

    expect_large(e, N);
    g_assert_true(raw_get(e, &hdr, (uint8_t *)&intx, sizeof(intx)));
    g_assert_cmphex(hdr.command, ==, VFU_CMD_EP_INTX);
    g_assert_cmphex(hdr.flags, ==, VFU_FLAG_COMMAND | VFU_FLAG_NO_REPLY);
    g_assert_cmpuint(intx.level, ==, 100000 - 1);
    expect_silence(e);
    end_free(e);
}

/* Output that does not move has a deadline, even if it is little. */
static void test_reads_nothing_in_time(void)
{
    enum { N = 400 };
    End *e = end_raw(EPW_SERVER, SHORT_MS);

    for (unsigned i = 0; i < N; i++) {
        put_region_read(e, i, 0);
    }
    expect_closed(e, "peer has read nothing for 150 ms");
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

/* ---- VERSION ---- */

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
    vfu_msg_send_bytes(e->raw, buf, n, NULL, 0);
    g_assert_cmpint(GPOINTER_TO_INT(qemu_thread_join(&thread)), ==, 0);
    /*
     * The reader holds what follows VERSION, and only it could answer. Nothing
     * is ordered behind that, so this waits.
     */
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
    TEST("token/order", test_reply_order);
    TEST("token/no-reply", test_no_reply);
    TEST("token/refused", test_refused);
    TEST("token/throttle", test_throttle);
    TEST("token/throttle-writes", test_throttle_writes);
    TEST("token/throttle-closed", test_throttle_closed);
    TEST("token/early-bound", test_early_replies_bound);
    TEST("peer/reads-nothing", test_reads_nothing);
    TEST("peer/reads-late", test_reads_late);
    TEST("peer/paused", test_post_to_paused);
    TEST("peer/reads-nothing-in-time", test_reads_nothing_in_time);
    TEST("peer/unsolicited", test_unsolicited);
    TEST("peer/wrong-reply", test_wrong_reply);
    TEST("version/hold", test_version_hold);
    r = g_test_run();
    expect_fds(open_fds);
    return r;
}
