/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of epc-server: connections, the state of the link, calls to the
 * client.  Its commands are in test-server-commands.c.
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "qemu/atomic.h"
#include "qapi/error.h"
#include "server-test.h"

/* ---- attaching ---- */

static void test_handshake(void)
{
    TestServer *t = test_server_new();
    int sock = test_attach(t);
    VfuDeviceInfo info = { .argsz = sizeof(info) };

    g_assert_cmpint(test_errno(sock, VFU_CMD_GET_INFO, &info, sizeof(info)),
                    ==, ENOTCONN);
    g_assert_cmpint(test_version(sock, "{}"), ==, EINVAL);

    epc_server_enable(t->s, 1);
    epc_server_enable(t->s, 1);        /* once more changes nothing */
    expect_log(t, "");
    test_serve_link(sock, VFU_EP_LINK_UP);
    expect_log(t, "link1 ");
    g_assert_cmpint(test_errno(sock, VFU_CMD_GET_INFO, &info, sizeof(info)),
                    ==, 0);
    close(sock);
    expect_log(t, "link0 ");
    test_server_free(t);
}

/* Each is answered with an error, and the connection is over. */
static void test_refused(void)
{
    static const struct {
        const char *json;
        int err;
    } bad[] = {
        { "", EINVAL }, { "[]", EINVAL }, { "{\"capabilities\": 5}", EINVAL },
        { "{", EINVAL }, { TEST_VERSION_PLAIN, ENODEV },
        { "{\"capabilities\": {}}", ENODEV },
    };
    TestServer *t = test_server_new();
    VfuDeviceInfo info = { .argsz = sizeof(info) };
    int sock;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        sock = test_connect(t);
        g_assert_cmpint(test_version(sock, bad[i].json), ==, bad[i].err);
        expect_eof(sock);
        close(sock);
    }
    sock = test_connect(t);
    test_send(sock, VFU_CMD_GET_INFO, 0, &info, sizeof(info), NULL, 0);
    WAIT_FOR(recv(sock, &info, 1, MSG_PEEK | MSG_DONTWAIT) >= 0);
    {
        g_autofree TestReply *r = g_new(TestReply, 1);

        g_assert_true(test_recv(sock, r));
        g_assert_cmpint(r->hdr.error, ==, EINVAL);
    }
    expect_eof(sock);
    close(sock);

    /* and the next one is served */
    close(test_attach(t));
    expect_log(t, "");
    test_server_free(t);
}

/* Features without "link" are not agreed: it is a plain client. */
static void test_no_link_feature(void)
{
    g_autofree char *json = test_version_ep("\"remap\", \"reset\"", 16);
    TestServer *t = test_server_new();
    VfuRegionInfo info;
    int sock, fd;

    epc_server_enable(t->s, 1);
    sock = test_connect(t);
    g_assert_cmpint(test_version(sock, json), ==, 0);
    expect_log(t, "link1 ");
    test_region_info(sock, 0, &info, &fd);
    g_assert_cmpint(fd, ==, -1);
    close(sock);
    test_server_free(t);
}

/* Messages are counted over all connections. */
static void test_messages(void)
{
    TestServer *t = test_server_new();
    int sock = test_attach(t);
    uint64_t before = epc_server_messages(t->s);

    g_assert_cmpuint(before, ==, 2);
    close(sock);
    close(test_attach(t));
    g_assert_cmpuint(epc_server_messages(t->s), >=, before + 2);
    test_server_free(t);
}

static void test_second_client(void)
{
    TestServer *t = test_server_new();
    int first = test_attach(t), second, idle[4], extra;

    second = test_connect(t);
    g_assert_cmpint(test_version(second, TEST_VERSION_PLAIN), ==, EBUSY);
    expect_eof(second);
    close(second);
    test_turn();

    /* no more than four are told so, the next is just closed */
    for (size_t i = 0; i < ARRAY_SIZE(idle); i++) {
        idle[i] = test_connect(t);
    }
    extra = test_connect(t);
    expect_eof(extra);
    close(extra);
    for (size_t i = 0; i < ARRAY_SIZE(idle); i++) {
        expect_eof(idle[i]);        /* they said nothing */
        close(idle[i]);
    }

    /* the first one did not notice; after it comes another */
    epc_server_enable(t->s, 1);
    test_serve_link(first, VFU_EP_LINK_UP);
    expect_log(t, "link1 ");
    close(first);
    expect_log(t, "link0 ");
    second = test_attach(t);
    test_serve_link(second, VFU_EP_LINK_UP);
    expect_log(t, "link1 ");
    close(second);
    expect_log(t, "link0 ");
    test_server_free(t);
}

static void test_silent(void)
{
    TestServer *t = test_server_new();
    int sock = test_connect(t), attached;

    g_assert_cmpint(send(sock, "\0", 1, 0), ==, 1);
    expect_eof(sock);
    close(sock);

    /* who sent VERSION may be silent */
    attached = test_attach(t);
    g_usleep(2 * TEST_DEADLINE_MS * 1000);
    test_turn();
    epc_server_enable(t->s, 1);
    test_serve_link(attached, VFU_EP_LINK_UP);
    expect_log(t, "link1 ");
    close(attached);
    test_server_free(t);
}

/* ---- link ---- */

static void test_up_down(void)
{
    TestServer *t = test_server_new();
    uint32_t generation, next;
    int sock = test_attach_up(t, &generation);

    for (int i = 1; i <= 10; i++) {
        epc_server_disable(t->s, test_done, t);
        g_assert_false(epc_server_intx(t->s, true));
        g_assert_cmpint(t->dones, ==, i - 1);
        g_assert_cmpuint(test_serve_link(sock, VFU_EP_LINK_DOWN), ==,
                         generation);
        expect_log(t, "link0 ");
        WAIT_FOR(qatomic_load_acquire(&t->dones) == i);
        epc_server_enable(t->s, 1);
        next = test_serve_link(sock, VFU_EP_LINK_UP);
        g_assert_cmpuint(next, ==, generation + 1);
        generation = next;
        expect_log(t, "link1 ");
    }
    close(sock);
    expect_log(t, "link0 ");
    test_server_free(t);
}

/* Without a client there is nothing to wait for. */
static void test_down_alone(void)
{
    TestServer *t = test_server_new();

    epc_server_disable(t->s, test_done, t);
    g_assert_cmpint(t->dones, ==, 1);
    epc_server_enable(t->s, 1);
    epc_server_disable(t->s, test_done, t);
    g_assert_cmpint(t->dones, ==, 2);
    expect_log(t, "");
    test_server_free(t);
}

static void test_disable_while_raising(void)
{
    TestServer *t = test_server_new();
    int sock = test_attach(t);

    epc_server_enable(t->s, 1);
    epc_server_disable(t->s, test_done, t);
    g_assert_cmpint(t->dones, ==, 0);
    test_serve_link(sock, VFU_EP_LINK_UP);
    test_serve_link(sock, VFU_EP_LINK_DOWN);
    WAIT_FOR(qatomic_load_acquire(&t->dones) == 1);
    expect_log(t, "");              /* it was never up for the owner */
    close(sock);
    test_server_free(t);
}

/* What EP_LINK up took of the deadline is missing for EP_LINK down. */
static void test_disable_one_deadline(void)
{
    TestServer *t = test_server_new();
    int sock = test_attach(t);
    int64_t asked;
    TestReply r;
    VfuEpLink l;

    epc_server_enable(t->s, 1);
    g_assert_true(test_recv(sock, &r));
    g_assert_cmpuint(r.hdr.command, ==, VFU_CMD_EP_LINK);
    memcpy(&l, r.payload, sizeof(l));
    epc_server_disable(t->s, test_done, t);
    g_usleep(TEST_DEADLINE_MS * 900);
    test_answer(sock, &r.hdr, 0, NULL, 0);
    test_reply_close(&r);

    test_serve(sock, VFU_CMD_EP_LINK, &l, sizeof(l), -1);
    asked = g_get_monotonic_time();
    g_assert_cmpuint(l.state, ==, VFU_EP_LINK_DOWN);
    WAIT_FOR(qatomic_load_acquire(&t->dones) == 1);
    g_assert_cmpint(g_get_monotonic_time() - asked, <, TEST_DEADLINE_MS * 900);
    expect_eof(sock);
    close(sock);
    test_server_free(t);
}

static void test_enable_while_lowering(void)
{
    TestServer *t = test_server_new();
    uint32_t generation;
    int sock = test_attach_up(t, &generation);

    epc_server_disable(t->s, test_done, t);
    epc_server_enable(t->s, 1);
    epc_server_disable(t->s, test_done, t);
    epc_server_enable(t->s, 1);
    test_serve_link(sock, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(test_serve_link(sock, VFU_EP_LINK_UP), ==,
                     generation + 1);
    expect_log(t, "link0 link1 ");
    g_assert_cmpint(t->dones, ==, 2);
    close(sock);
    test_server_free(t);
}

/* Gone in every state, by closing and by silence */
static void test_lost(gconstpointer silent)
{
    TestServer *t = test_server_new();
    uint32_t generation;
    VfuEpLink l;
    int sock;

    sock = test_attach(t);          /* raising */
    epc_server_enable(t->s, 1);
    test_serve(sock, VFU_CMD_EP_LINK, &l, sizeof(l), -1);
    if (silent) {
        expect_eof(sock);
    }
    close(sock);
    sock = test_attach(t);
    test_serve_link(sock, VFU_EP_LINK_UP);
    expect_log(t, "link1 ");

    epc_server_disable(t->s, test_done, t);     /* lowering */
    test_serve(sock, VFU_CMD_EP_LINK, &l, sizeof(l), -1);
    if (silent) {
        expect_eof(sock);
    }
    close(sock);
    expect_log(t, "link0 ");
    WAIT_FOR(qatomic_load_acquire(&t->dones) == 1);

    sock = test_attach_up(t, &generation);      /* up, with a remap */
    close(sock);
    expect_log(t, "link0 ");
    test_server_free(t);
}

/* An answer to EP_LINK that is none */
static void test_link_refused(void)
{
    TestServer *t = test_server_new();
    VfuEpLink l;
    int sock;

    epc_server_enable(t->s, 1);
    for (int i = 0; i < 2; i++) {
        g_autofree TestReply *r = g_new(TestReply, 1);

        sock = test_attach(t);
        g_assert_true(test_recv(sock, r));
        test_answer(sock, &r->hdr, i ? 0 : EINVAL, &l, i ? sizeof(l) : 0);
        expect_eof(sock);
        close(sock);
    }
    expect_log(t, "");
    test_server_free(t);
}

/* epc_server_free() in every state, nothing left open */
static void test_free(void)
{
    for (int i = 0; i < 6; i++) {
        TestServer *t = test_server_new();
        uint32_t generation;
        VfuEpLink l;
        int sock = -1;

        if (i == 1) {
            sock = test_connect(t);
        } else if (i == 2) {
            sock = test_attach(t);
        } else if (i == 3) {
            sock = test_attach(t);
            epc_server_enable(t->s, 1);
            test_serve(sock, VFU_CMD_EP_LINK, &l, sizeof(l), -1);
        } else if (i > 3) {
            sock = test_attach_up(t, &generation);
        }
        if (i == 5) {
            epc_server_disable(t->s, test_done, t);
        }
        epc_server_free(t->s);
        t->s = NULL;
        expect_log(t, i > 3 ? "link0 " : "");
        g_assert_cmpint(t->dones, ==, i == 5);
        test_server_free(t);
        if (i) {
            close(sock);
        }
    }
}

/* ---- remap ---- */

static int attach_mapped(TestServer *t, uint32_t *generation)
{
    int sock = test_attach_up(t, generation), fd;
    VfuRegionInfo info;

    test_region_info(sock, 0, &info, &fd);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    return sock;
}

static void test_remap(void)
{
    TestServer *t = test_server_new();
    uint32_t generation;
    VfuEpRemap m;
    VfuRegionInfo info;
    int sock, fd;

    /* nobody asked for it: nothing to wait for */
    epc_server_remap(t->s, 0, test_remapped, t);
    g_assert_cmpint(t->remaps, ==, 1);
    sock = attach_mapped(t, &generation);
    epc_server_remap(t->s, 2, test_remapped, t);
    g_assert_cmpint(t->remaps, ==, 2);

    for (int i = 3; i < 6; i++) {
        t->memfd_offset = i * 4096;
        epc_server_remap(t->s, 0, test_remapped, t);
        g_assert_cmpint(t->remaps, ==, i - 1);
        test_serve(sock, VFU_CMD_EP_REMAP, &m, sizeof(m), 0);
        g_assert_cmpuint(m.argsz, ==, sizeof(m));
        g_assert_cmpuint(m.region, ==, 0);
        g_assert_cmpuint(m.reserved, ==, 0);
        g_assert_cmpuint(m.generation, ==, generation);
        WAIT_FOR(qatomic_load_acquire(&t->remaps) == i);
        g_assert_cmpint(t->remap_err, ==, 0);
        test_region_info(sock, 0, &info, &fd);
        g_assert_cmphex(info.offset, ==, t->memfd_offset);
        close(fd);
    }
    close(sock);
    test_server_free(t);
}

/* The owner switches while the client asks: only the new memory is told. */
static void switch_bar0(TestServer *t)
{
    t->memfd_offset = 4096;
    epc_server_remap(t->s, 0, test_remapped, t);
}

static void test_remap_race(void)
{
    TestServer *t = test_server_new();
    uint32_t generation;
    int sock = test_attach_up(t, &generation), fd;
    VfuRegionInfo info;

    t->in_region_info = switch_bar0;
    test_region_info(sock, 0, &info, &fd);
    g_assert_cmphex(info.offset, ==, 4096);
    g_assert_cmpint(t->remaps, ==, 1);
    close(fd);
    close(sock);
    test_server_free(t);
}

/* A client that is lost, does not answer, or refuses */
static void test_remap_fails(void)
{
    TestServer *t = test_server_new();

    for (int i = 0; i < 4; i++) {
        static const int answers[] = { -1, -1, EINVAL, ESTALE };
        uint32_t generation;
        VfuRegionInfo info;
        VfuEpRemap m;
        int sock, fd;

        if (i) {
            sock = test_attach(t);
            test_serve_link(sock, VFU_EP_LINK_UP);
            expect_log(t, "link1 ");
            test_region_info(sock, 0, &info, &fd);
            close(fd);
        } else {
            sock = attach_mapped(t, &generation);
        }
        t->remap_err = 1;
        epc_server_remap(t->s, 0, test_remapped, t);
        test_serve(sock, VFU_CMD_EP_REMAP, &m, sizeof(m), answers[i]);
        if (i) {
            expect_eof(sock);
        }
        close(sock);
        WAIT_FOR(qatomic_load_acquire(&t->remaps) == i + 1);
        g_assert_cmpint(t->remap_err, ==, -ETIMEDOUT);
        expect_log(t, "link0 ");
    }
    test_server_free(t);
}

/* The link goes down below it: the answer to EP_LINK is as good. */
static void test_remap_and_down(void)
{
    TestServer *t = test_server_new();
    uint32_t generation;
    int sock = attach_mapped(t, &generation);
    VfuEpRemap m;

    epc_server_remap(t->s, 0, test_remapped, t);
    epc_server_disable(t->s, test_done, t);
    epc_server_remap(t->s, 0, test_remapped, t);    /* waits for it as well */
    g_assert_cmpint(t->remaps, ==, 0);
    test_serve(sock, VFU_CMD_EP_REMAP, &m, sizeof(m), ESTALE);
    test_serve_link(sock, VFU_EP_LINK_DOWN);
    WAIT_FOR(qatomic_load_acquire(&t->dones) == 1);
    g_assert_cmpint(t->remaps, ==, 2);
    g_assert_cmpint(t->remap_err, ==, 0);
    expect_log(t, "link0 ");

    /* a client that was told nothing since has nothing */
    epc_server_remap(t->s, 0, test_remapped, t);
    g_assert_cmpint(t->remaps, ==, 3);
    close(sock);
    test_server_free(t);
}

/* ---- INTx ---- */

/* A client that does not read loses reports of faults, and nothing else. */
static void test_fault_flood(void)
{
    TestServer *t = test_server_new();
    VfuDeviceInfo info = { .argsz = sizeof(info) };
    g_autofree TestReply *r = g_new(TestReply, 1);
    unsigned faults = 0;
    uint32_t generation;
    int sock = test_attach_with(t, "\"link\", \"fault\"", 16, &generation);

    for (unsigned i = 0; i < 100000; i++) {
        epc_server_fault(t->s, i, true);
    }
    test_send(sock, VFU_CMD_GET_INFO, VFU_FLAG_COMMAND, &info, sizeof(info),
              NULL, 0);
    do {
        g_assert_true(test_recv(sock, r));
        faults += r->hdr.command == VFU_CMD_EP_FAULT;
    } while (r->hdr.command == VFU_CMD_EP_FAULT);
    g_assert_cmpuint(r->hdr.command, ==, VFU_CMD_GET_INFO);
    g_assert_cmpuint(faults, >, 0);
    g_assert_cmpuint(faults, <, 100000);
    close(sock);
    expect_log(t, "link0 ");
    test_server_free(t);
}

static void test_intx(void)
{
    TestServer *t = test_server_new();
    g_autofree TestReply *r = g_new(TestReply, 1);
    VfuEpIntx *m = (void *)r->payload;
    uint32_t generation;
    int sock;

    g_assert_false(epc_server_intx(t->s, true));
    sock = test_attach_up(t, &generation);
    for (unsigned level = 2; level-- > 0;) {
        g_assert_true(epc_server_intx(t->s, level));
        g_assert_true(test_recv(sock, r));
        g_assert_cmphex(r->hdr.command, ==, VFU_CMD_EP_INTX);
        g_assert_cmphex(r->hdr.flags, ==, VFU_FLAG_NO_REPLY);
        g_assert_cmpuint(r->len, ==, sizeof(*m));
        g_assert_cmpuint(m->level, ==, level);
        g_assert_cmpuint(m->generation, ==, generation);
    }
    close(sock);
    expect_log(t, "link0 ");
    g_assert_false(epc_server_intx(t->s, true));
    test_server_free(t);
}

/* A client that does not read loses no interrupt. */
static void test_intx_flood(void)
{
    TestServer *t = test_server_new();
    g_autofree TestReply *r = g_new(TestReply, 1);
    VfuEpIntx *m = (void *)r->payload;
    uint32_t generation;
    int sock = test_attach_up(t, &generation);

    for (unsigned i = 0; i < 100000; i++) {
        g_assert_true(epc_server_intx(t->s, true));
        g_assert_true(epc_server_intx(t->s, false));
    }
    /* The one that waits is the last one. */
    do {
        g_assert_true(test_recv(sock, r));
        g_assert_cmphex(r->hdr.command, ==, VFU_CMD_EP_INTX);
    } while (m->level != VFU_EP_INTX_PULSE);
    g_assert_true(epc_server_intx(t->s, true));
    g_assert_true(test_recv(sock, r));
    g_assert_cmpuint(m->level, ==, VFU_EP_INTX_ASSERT);
    close(sock);
    expect_log(t, "link0 ");
    test_server_free(t);
}

/* ---- host memory by message ---- */

typedef struct DmaPeer {
    int sock;
    int messages;           /* to answer */
    bool wrong;             /* answer with another address */
} DmaPeer;

static void *dma_peer(void *opaque)
{
    DmaPeer *d = opaque;
    g_autofree TestReply *r = g_new(TestReply, 1);
    g_autofree uint8_t *data = g_malloc(sizeof(r->payload));

    for (int i = 0; i < d->messages; i++) {
        VfuDmaRw *rw = (void *)r->payload;
        size_t n = sizeof(*rw);

        g_assert_true(test_recv(d->sock, r));
        rw->address += d->wrong;
        memcpy(data, rw, sizeof(*rw));
        if (r->hdr.command == VFU_CMD_DMA_READ) {
            memset(data + n, rw->address >> 12, rw->count);
            n += rw->count;
        } else {
            g_assert_cmphex(r->payload[n], ==, rw->address >> 12);
        }
        test_answer(d->sock, &r->hdr, 0, data, n);
    }
    return NULL;
}

static int dma_read_with(TestServer *t, DmaPeer *d, void *buf, uint32_t n)
{
    GThread *thread = g_thread_new("peer", dma_peer, d);
    int err = epc_server_dma_read(t->s, 0x5000, buf, n);

    g_thread_join(thread);
    return err;
}

static void test_dma(void)
{
    TestServer *t = test_server_new();
    uint8_t buf[10000];
    uint32_t generation;
    DmaPeer d;
    GThread *thread;

    g_assert_cmpint(epc_server_dma_read(t->s, 0, buf, 1), ==, -ENOTCONN);
    d = (DmaPeer) { .sock = test_attach_up(t, &generation), .messages = 3 };

    /* in pieces of what the client takes, 4096 */
    g_assert_cmpint(dma_read_with(t, &d, buf, sizeof(buf)), ==, 0);
    g_assert_cmphex(buf[0], ==, 5);
    g_assert_cmphex(buf[4096], ==, 6);
    g_assert_cmphex(buf[9999], ==, 7);

    d.messages = 1;
    thread = g_thread_new("peer", dma_peer, &d);
    memset(buf, 9, sizeof(buf));
    g_assert_cmpint(epc_server_dma_write(t->s, 0x9000, buf, 8), ==, 0);
    g_thread_join(thread);

    d.wrong = true;
    g_assert_cmpint(dma_read_with(t, &d, buf, 8), ==, -EBADMSG);
    expect_eof(d.sock);
    close(d.sock);
    expect_log(t, "link0 ");

    d.sock = test_attach(t);
    test_serve_link(d.sock, VFU_EP_LINK_UP);
    expect_log(t, "link1 ");
    g_assert_cmpint(epc_server_dma_read(t->s, 0, buf, 1), ==, -ETIMEDOUT);
    expect_log(t, "link0 ");
    close(d.sock);
    test_server_free(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/epc-server/handshake", test_handshake);
    g_test_add_func("/epc-server/refused", test_refused);
    g_test_add_func("/epc-server/no-link-feature", test_no_link_feature);
    g_test_add_func("/epc-server/messages", test_messages);
    g_test_add_func("/epc-server/second-client", test_second_client);
    g_test_add_func("/epc-server/silent", test_silent);
    g_test_add_func("/epc-server/link/up-down", test_up_down);
    g_test_add_func("/epc-server/link/alone", test_down_alone);
    g_test_add_func("/epc-server/link/disable-raising",
                    test_disable_while_raising);
    g_test_add_func("/epc-server/link/disable-one-deadline",
                    test_disable_one_deadline);
    g_test_add_func("/epc-server/link/enable-lowering",
                    test_enable_while_lowering);
    g_test_add_data_func("/epc-server/link/closed", NULL, test_lost);
    g_test_add_data_func("/epc-server/link/expired", "silent", test_lost);
    g_test_add_func("/epc-server/link/refused", test_link_refused);
    g_test_add_func("/epc-server/free", test_free);
    g_test_add_func("/epc-server/remap/acknowledged", test_remap);
    g_test_add_func("/epc-server/remap/race", test_remap_race);
    g_test_add_func("/epc-server/remap/fails", test_remap_fails);
    g_test_add_func("/epc-server/remap/down", test_remap_and_down);
    g_test_add_func("/epc-server/intx", test_intx);
    g_test_add_func("/epc-server/intx/flood", test_intx_flood);
    g_test_add_func("/epc-server/fault-flood", test_fault_flood);
    g_test_add_func("/epc-server/dma", test_dma);
    return g_test_run();
}
