/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of wire/frame against a raw socket: reassembly, descriptors, the
 * output queue
 */
#include "qemu/osdep.h"
#include "wire-test.h"

#include <sys/resource.h>
#include <sys/wait.h>

#define PAYLOAD 24
#define SIZE (sizeof(VfuHeader) + PAYLOAD)

typedef struct Fixture {
    int peer;
    EpwFrame *f;
    int open_fds;           /* before the test */
    uint8_t payload[PAYLOAD];
    uint8_t wire[SIZE];
} Fixture;

static void set_up(Fixture *x, const void *unused)
{
    int sv[2];

    x->open_fds = count_fds();
    vfu_msg_socketpair(sv);
    x->peer = sv[0];
    x->f = epw_frame_new(sv[1]);
    for (int i = 0; i < PAYLOAD; i++) {
        x->payload[i] = i + 1;
    }
    raw_msg(x->wire, 7, VFU_CMD_EP_LINK, 0, x->payload, PAYLOAD);
}

/* Whatever happened, no descriptor is left behind. */
static void tear_down(Fixture *x, const void *unused)
{
    epw_frame_free(x->f);
    close(x->peer);
    expect_fds(x->open_fds);
}

static void peer_send(Fixture *x, const void *p, size_t n)
{
    g_assert_true(vfu_msg_send_bytes(x->peer, p, n, NULL, 0));
}

static void expect_nothing(Fixture *x)
{
    EpwMsg *m;

    g_assert_cmpint(epw_frame_recv(x->f, &m), ==, 0);
    g_assert_null(m);
}

static void expect_error(Fixture *x, int err)
{
    EpwMsg *m;

    g_assert_cmpint(epw_frame_recv(x->f, &m), ==, err);
    g_assert_null(m);
    /* and it stays over */
    g_assert_cmpint(epw_frame_recv(x->f, &m), ==, err);
}

static EpwMsg *expect_msg(Fixture *x, unsigned nfds)
{
    EpwMsg *m;

    g_assert_cmpint(epw_frame_recv(x->f, &m), ==, 1);
    g_assert_cmpint(m->hdr.id, ==, 7);
    g_assert_cmpmem(m->payload, epw_msg_len(m), x->payload, PAYLOAD);
    g_assert_cmpuint(m->nfds, ==, nfds);
    return m;
}

static void test_split(Fixture *x, const void *unused)
{
    for (size_t at = 1; at < SIZE; at++) {
        peer_send(x, x->wire, at);
        expect_nothing(x);
        g_assert_true(epw_frame_partial(x->f));
        peer_send(x, x->wire + at, SIZE - at);
        epw_msg_free(expect_msg(x, 0));
        g_assert_false(epw_frame_partial(x->f));
    }
}

static void test_bytes(Fixture *x, const void *unused)
{
    expect_nothing(x);
    g_assert_false(epw_frame_partial(x->f));
    for (size_t i = 0; i < SIZE; i++) {
        expect_nothing(x);
        peer_send(x, x->wire + i, 1);
    }
    epw_msg_free(expect_msg(x, 0));
    expect_nothing(x);
}

static void test_coalesced(Fixture *x, const void *unused)
{
    uint8_t buf[3 * SIZE + sizeof(VfuHeader)];
    EpwMsg *m;

    for (int i = 0; i < 3; i++) {
        memcpy(buf + i * SIZE, x->wire, SIZE);
    }
    raw_msg(buf + 3 * SIZE, 9, VFU_CMD_DEVICE_RESET, 0, NULL, 0);
    peer_send(x, buf, sizeof(buf));
    for (int i = 0; i < 3; i++) {
        epw_msg_free(expect_msg(x, 0));
    }
    g_assert_cmpint(epw_frame_recv(x->f, &m), ==, 1);
    g_assert_cmpint(m->hdr.id, ==, 9);
    g_assert_null(m->payload);
    g_assert_cmpuint(epw_msg_len(m), ==, 0);
    epw_msg_free(m);
    expect_nothing(x);
}

static void test_end_of_file(Fixture *x, const void *at)
{
    size_t n = GPOINTER_TO_SIZE(at);
    int fd = make_fd(1);

    if (n) {
        g_assert_true(vfu_msg_send_bytes(x->peer, x->wire, n, &fd, 1));
    }
    close(fd);
    shutdown(x->peer, SHUT_WR);
    expect_error(x, -ECONNRESET);
}

static void test_bad_size(Fixture *x, const void *arg)
{
    uint32_t size = GPOINTER_TO_SIZE(arg);

    ((VfuHeader *)x->wire)->size = size;
    peer_send(x, x->wire, SIZE);
    expect_error(x, -EBADMSG);
}

static void test_bad_type(Fixture *x, const void *type)
{
    ((VfuHeader *)x->wire)->flags = GPOINTER_TO_SIZE(type);
    peer_send(x, x->wire, SIZE);
    expect_error(x, -EBADMSG);
}

/* ---- Descriptors ---- */

static void send_with_fds(Fixture *x, size_t from, size_t to, unsigned nfds,
                          unsigned first)
{
    int fds[200] = { -1 };

    for (unsigned i = 0; i < nfds; i++) {
        fds[i] = make_fd(first + i);
    }
    g_assert_true(vfu_msg_send_bytes(x->peer, x->wire + from, to - from, fds,
                                     nfds));
    for (unsigned i = 0; i < nfds; i++) {
        close(fds[i]);
    }
}

static void test_fds(Fixture *x, const void *arg)
{
    unsigned nfds = GPOINTER_TO_SIZE(arg);
    EpwMsg *m;

    send_with_fds(x, 0, SIZE, nfds, 100);
    if (nfds > EPW_MAX_FDS) {
        expect_error(x, -EMFILE);
        return;
    }
    m = expect_msg(x, nfds);
    for (unsigned i = 0; i < nfds; i++) {
        g_assert_true(fcntl(m->fds[i], F_GETFD) & FD_CLOEXEC);
        g_assert_false(fcntl(m->fds[i], F_GETFL) & O_NONBLOCK);
        assert_fd(m->fds[i], 100 + i);
    }
    epw_msg_free(m);
}

/* Descriptors stay with their message when several are waiting. */
static void test_fds_coalesced(Fixture *x, const void *unused)
{
    for (int i = 1; i <= 3; i++) {
        send_with_fds(x, 0, SIZE, i, 10 * i);
        peer_send(x, x->wire, SIZE);
    }
    for (int i = 1; i <= 3; i++) {
        EpwMsg *m = expect_msg(x, i);

        for (int j = 0; j < i; j++) {
            assert_fd(m->fds[j], 10 * i + j);
        }
        epw_msg_free(m);
        epw_msg_free(expect_msg(x, 0));
    }
}

static void test_fds_split_header(Fixture *x, const void *unused)
{
    EpwMsg *m;

    send_with_fds(x, 0, 5, 2, 1);
    expect_nothing(x);
    send_with_fds(x, 5, SIZE, 1, 3);
    m = expect_msg(x, 3);
    for (int i = 0; i < 3; i++) {
        assert_fd(m->fds[i], i + 1);
    }
    epw_msg_free(m);
}

static void test_fds_split_too_many(Fixture *x, const void *unused)
{
    send_with_fds(x, 0, 5, EPW_MAX_FDS, 1);
    expect_nothing(x);
    send_with_fds(x, 5, SIZE, 1, 1);
    expect_error(x, -EMFILE);
}

static void test_fds_on_payload(Fixture *x, const void *unused)
{
    peer_send(x, x->wire, 20);
    expect_nothing(x);
    send_with_fds(x, 20, SIZE, 3, 1);
    expect_error(x, -EBADMSG);
}

static void test_fds_kept(Fixture *x, const void *unused)
{
    EpwMsg *m;
    int fd;

    send_with_fds(x, 0, SIZE, 2, 1);
    m = expect_msg(x, 2);
    fd = m->fds[1];
    m->fds[1] = -1;
    epw_msg_free(m);
    assert_fd(fd, 2);
    close(fd);
}

static void test_credentials(Fixture *x, const void *unused)
{
    int on = 1;

    g_assert_cmpint(setsockopt(epw_frame_fd(x->f), SOL_SOCKET, SO_PASSCRED,
                               &on, sizeof(on)), ==, 0);
    send_with_fds(x, 0, SIZE, 2, 1);
    expect_error(x, -EBADMSG);
}

/* The kernel drops what does not fit into the descriptor table. */
static void test_no_free_fds(Fixture *x, const void *unused)
{
    struct rlimit old, few;
    int lowest;

    send_with_fds(x, 0, SIZE, 4, 1);
    lowest = dup(x->peer);
    close(lowest);
    getrlimit(RLIMIT_NOFILE, &old);
    few = old;
    few.rlim_cur = lowest + 2;
    setrlimit(RLIMIT_NOFILE, &few);
    expect_error(x, -EMFILE);
    setrlimit(RLIMIT_NOFILE, &old);
}

/*
 * As many descriptors as one sendmsg() can pass, and the close() of the last
 * one waits. The kernel must give it out, since it would wait in recvmsg().
 */
static void test_surplus_fds(Fixture *x, const void *unused)
{
    int fds[253], reader;
    int64_t start;

    for (unsigned i = 0; i < ARRAY_SIZE(fds) - 1; i++) {
        fds[i] = x->peer;
    }
    fds[ARRAY_SIZE(fds) - 1] = vfu_msg_lingering(&reader);
    g_assert_true(vfu_msg_send_bytes(x->peer, x->wire, SIZE, fds,
                                     ARRAY_SIZE(fds)));
    close(fds[ARRAY_SIZE(fds) - 1]);
    start = g_get_monotonic_time();
    expect_error(x, -EMFILE);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_USEC_PER_SEC);
    close(reader);
}

/*
 * A peer must not fill the table of descriptors: then recvmsg() closes what it
 * cannot give out.
 */
static void test_keeps_fds_free(Fixture *x, const void *unused)
{
    enum { LIMIT = 1024, LAST = LIMIT - 253 - 1 };
    struct rlimit old, few;
    int fds[LIMIT], n = 0;
    EpwMsg *m;

    getrlimit(RLIMIT_NOFILE, &old);
    few = old;
    few.rlim_cur = LIMIT;
    setrlimit(RLIMIT_NOFILE, &few);
    do {
        fds[n] = dup(x->peer);
        g_assert_cmpint(fds[n], >=, 0);
    } while (fds[n++] < LAST);
    close(fds[--n]);

    send_with_fds(x, 0, SIZE, 1, 1);
    g_assert_cmpint(epw_frame_recv(x->f, &m), ==, 1);
    g_assert_cmpint(m->fds[0], ==, LAST);
    send_with_fds(x, 0, SIZE, 1, 1);
    expect_error(x, -EMFILE);
    epw_msg_free(m);

    while (n) {
        close(fds[--n]);
    }
    setrlimit(RLIMIT_NOFILE, &old);
}

/* ---- Sending ---- */

static int frame_send(Fixture *x, uint16_t id, const void *p, size_t n,
                      const int *fds, unsigned nfds)
{
    VfuHeader hdr = { .id = id, .command = 1, .size = sizeof(hdr) + n };
    struct iovec iov[2] = {
        { (void *)p, n / 2 }, { (uint8_t *)p + n / 2, n - n / 2 },
    };

    return epw_frame_send(x->f, &hdr, iov, 2, fds, nfds);
}

static void test_send_one(Fixture *x, const void *unused)
{
    uint8_t buf[256];

    g_assert_cmpint(frame_send(x, 3, x->payload, PAYLOAD, NULL, 0), ==, 0);
    g_assert_false(epw_frame_pending(x->f));
    g_assert_cmpint(recv(x->peer, buf, sizeof(buf), 0), ==, SIZE);
    g_assert_cmpmem(buf + 16, PAYLOAD, x->payload, PAYLOAD);
}

static void test_send_invalid(Fixture *x, const void *unused)
{
    VfuHeader hdr = { .size = sizeof(hdr) + 1 };
    int fds[EPW_MAX_FDS + 1] = { 0 };
    struct iovec iov[EPW_MAX_IOV + 1] = { { x->payload, 2 } };

    g_assert_cmpint(epw_frame_send(x->f, &hdr, iov, 1, NULL, 0), ==, -EINVAL);
    iov[0].iov_len = SIZE_MAX;
    g_assert_cmpint(epw_frame_send(x->f, &hdr, iov, 1, NULL, 0), ==, -EINVAL);
    iov[0].iov_len = 1;
    g_assert_cmpint(epw_frame_send(x->f, &hdr, iov, EPW_MAX_IOV + 1, NULL, 0),
                    ==, -EINVAL);
    g_assert_cmpint(epw_frame_send(x->f, &hdr, iov, -1, NULL, 0), ==, -EINVAL);
    g_assert_cmpint(epw_frame_send(x->f, &hdr, iov, 1, fds, EPW_MAX_FDS + 1),
                    ==, -EINVAL);
    /* nothing went out and the stream is whole */
    test_send_one(x, NULL);
}

/* Fills the socket, then the queue; order and descriptors survive. */
static void test_send_queue(Fixture *x, const void *unused)
{
    enum { N = 600 };
    g_autofree uint8_t *data = g_malloc0(5000);
    EpwFrame *rx = epw_frame_new(dup(x->peer));
    int got = 0;

    for (int i = 0; i < N; i++) {
        int fd = make_fd(i + 1);

        memset(data, i, 5000);
        g_assert_cmpint(frame_send(x, i, data, 1 + i * 7 % 5000, &fd,
                                   i % 8 == 0), ==, 0);
        close(fd);
    }
    g_assert_true(epw_frame_pending(x->f));
    while (got < N) {
        EpwMsg *m;
        int r = epw_frame_recv(rx, &m);

        g_assert_cmpint(r, >=, 0);
        if (!r) {
            g_assert_true(epw_frame_pending(x->f));
            g_assert_cmpint(epw_frame_flush(x->f), ==, 0);
            continue;
        }
        g_assert_cmpint(m->hdr.id, ==, got);
        g_assert_cmpuint(epw_msg_len(m), ==, 1 + got * 7 % 5000);
        memset(data, got, 5000);
        g_assert_cmpmem(m->payload, epw_msg_len(m), data, epw_msg_len(m));
        g_assert_cmpuint(m->nfds, ==, got % 8 == 0);
        if (m->nfds) {
            assert_fd(m->fds[0], got + 1);
        }
        epw_msg_free(m);
        got++;
    }
    g_assert_false(epw_frame_pending(x->f));
    epw_frame_free(rx);
}

/*
 * The largest message, which does not leave at once, and one byte more; its
 * descriptor comes once.
 */
static void test_send_largest(Fixture *x, const void *unused)
{
    size_t n = EPW_MAX_MSG - sizeof(VfuHeader);
    g_autofree uint8_t *data = g_malloc0(n + 1);
    EpwFrame *rx = epw_frame_new(dup(x->peer));
    EpwMsg *m = NULL;

    memset(data, 0x5a, n);
    g_assert_cmpint(frame_send(x, 1, data, n + 1, NULL, 0), ==, -EINVAL);
    g_assert_cmpint(frame_send(x, 1, data, n, &x->peer, 1), ==, 0);
    g_assert_true(epw_frame_pending(x->f));
    while (!m) {
        g_assert_cmpint(epw_frame_recv(rx, &m), >=, 0);
        g_assert_cmpint(epw_frame_flush(x->f), ==, 0);
    }
    g_assert_cmpmem(m->payload, epw_msg_len(m), data, n);
    g_assert_cmpuint(m->nfds, ==, 1);
    epw_msg_free(m);
    epw_frame_free(rx);
}

static void test_send_bound(Fixture *x, const void *arg)
{
    unsigned nfds = GPOINTER_TO_SIZE(arg);
    g_autofree uint8_t *data = g_malloc0(4096);
    int fd = make_fd(1);
    int err = 0;
    int n;

    for (n = 0; !err && n < 100000; n++) {
        err = frame_send(x, n, data, nfds ? 0 : 4096, &fd, nfds);
    }
    close(fd);
    g_assert_cmpint(err, ==, -ENOBUFS);
    /* What the socket has taken counts too. */
    g_assert_cmpint(n, >, nfds ? 256 : 1000);
    g_assert_cmpint(n, <, nfds ? 1000 : 4000);
    g_assert_cmpint(frame_send(x, n, data, 1, NULL, 0), ==, -ENOBUFS);
    g_assert_cmpint(epw_frame_flush(x->f), ==, -ENOBUFS);
}

/* Puts descriptors on the way until the kernel takes no more of this user. */
static void fill_user_limit(int sock)
{
    int fds[64];

    for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = sock;
    }
    while (vfu_msg_send_bytes(sock, "", 1, fds, ARRAY_SIZE(fds))) {
        continue;
    }
    g_assert_cmpint(errno, ==, ETOOMANYREFS);
}

/* In a process of its own, which gives up the right to exceed the limit */
static void too_many_refs(Fixture *x)
{
    struct rlimit few = { 64, 64 };
    int sv[2], fd = make_fd(5);
    uint8_t buf[SIZE];

    vfu_msg_socketpair(sv);
    setrlimit(RLIMIT_NOFILE, &few);
    g_assert_cmpint(setresuid(65534, 65534, 65534), ==, 0);
    fill_user_limit(sv[0]);

    g_assert_cmpint(frame_send(x, 1, x->payload, PAYLOAD, &fd, 1), ==, 0);
    g_assert_true(epw_frame_stalled(x->f));
    /* What comes behind stays behind. */
    g_assert_cmpint(frame_send(x, 2, x->payload, PAYLOAD, NULL, 0), ==, 0);
    g_assert_cmpint(epw_frame_flush(x->f), ==, 0);
    g_assert_true(epw_frame_stalled(x->f));
    g_assert_cmpint(recv(x->peer, buf, sizeof(buf), MSG_DONTWAIT), ==, -1);

    close(sv[0]);
    close(sv[1]);
    g_assert_cmpint(epw_frame_flush(x->f), ==, 0);
    g_assert_false(epw_frame_stalled(x->f));
    g_assert_false(epw_frame_pending(x->f));
}

static void test_too_many_refs(Fixture *x, const void *unused)
{
    pid_t child;
    int status;

    if (geteuid()) {
        g_test_skip("only root can become a user without descriptors");
        return;
    }
    child = fork();
    if (!child) {
        too_many_refs(x);
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
}

static void test_send_closed(Fixture *x, const void *unused)
{
    shutdown(x->peer, SHUT_RDWR);
    g_assert_cmpint(frame_send(x, 1, x->payload, PAYLOAD, NULL, 0), ==,
                    -EPIPE);
}

static void add(const char *path, const void *data,
                void (*fn)(Fixture *, const void *))
{
    g_autofree char *p = g_strconcat("/epw/frame/", path, NULL);

    g_test_add(p, Fixture, data, set_up, fn, tear_down);
}

static void add_range(const char *path, uint32_t from, uint32_t to,
                      void (*fn)(Fixture *, const void *))
{
    for (uint32_t i = from; i <= to; i++) {
        g_autofree char *p = g_strdup_printf("%s/%u", path, i);

        add(p, GSIZE_TO_POINTER(i), fn);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("split", NULL, test_split);
    add("bytes", NULL, test_bytes);
    add("coalesced", NULL, test_coalesced);
    add_range("end-of-file", 0, SIZE - 1, test_end_of_file);
    add_range("bad-size", 0, sizeof(VfuHeader) - 1, test_bad_size);
    add("bad-size/above", GSIZE_TO_POINTER(EPW_MAX_MSG + 1), test_bad_size);
    add("bad-size/all-ones", GSIZE_TO_POINTER(UINT32_MAX), test_bad_size);
    add_range("bad-type", 2, 15, test_bad_type);
    add_range("fds", 0, EPW_MAX_FDS + 1, test_fds);
    add("fds/200", GSIZE_TO_POINTER(200), test_fds);
    add("fds/coalesced", NULL, test_fds_coalesced);
    add("fds/split-header", NULL, test_fds_split_header);
    add("fds/split-too-many", NULL, test_fds_split_too_many);
    add("fds/on-payload", NULL, test_fds_on_payload);
    add("fds/kept", NULL, test_fds_kept);
    add("fds/credentials", NULL, test_credentials);
    add("fds/no-free", NULL, test_no_free_fds);
    add("fds/surplus", NULL, test_surplus_fds);
    add("fds/keeps-free", NULL, test_keeps_fds_free);
    add("send/one", NULL, test_send_one);
    add("send/invalid", NULL, test_send_invalid);
    add("send/queue", NULL, test_send_queue);
    add("send/largest", NULL, test_send_largest);
    add("send/bound", NULL, test_send_bound);
    add("send/bound-fds", GSIZE_TO_POINTER(1), test_send_bound);
    add("send/closed", NULL, test_send_closed);
    add("send/too-many-refs", NULL, test_too_many_refs);
    return g_test_run();
}
