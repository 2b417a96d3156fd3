/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-server: accesses that the owner carries out in its own time, and calls to
 * the client that nobody waits for
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "server-test.h"

typedef struct Fixture {
    TestServer *t;
    int sock;
} Fixture;

static void start(Fixture *f)
{
    uint32_t generation;

    f->t = test_server_new();
    f->t->takes = true;
    f->sock = test_attach_up(f->t, &generation);
}

static void end(Fixture *f)
{
    close(f->sock);
    test_server_free(f->t);
}

static EpcAccess *taken(TestServer *t)
{
    EpcAccess *a;

    qemu_mutex_lock(&t->lock);
    a = g_queue_pop_head(&t->taken);
    qemu_mutex_unlock(&t->lock);
    return a;
}

static EpcAccess *wait_taken(Fixture *f, bool is_write, uint64_t offset,
                             uint32_t count)
{
    EpcAccess *a = NULL;

    WAIT_FOR((a = taken(f->t)));
    g_assert_cmpuint(a->region, ==, 2);
    g_assert_cmpuint(a->offset, ==, offset);
    g_assert_cmpuint(a->count, ==, count);
    g_assert_cmpint(a->is_write, ==, is_write);
    return a;
}

static void begin(Fixture *f, uint16_t cmd, uint32_t flags, uint64_t offset,
                  uint32_t count)
{
    bool is_write = cmd == VFU_CMD_REGION_WRITE;
    uint8_t p[sizeof(VfuRegionRw) + 64];
    VfuRegionRw rw = { .offset = offset, .region = 2, .count = count };

    g_assert_cmpuint(count, <=, 64);
    memset(p, 0x5a, sizeof(p));
    memcpy(p, &rw, sizeof(rw));
    test_send(f->sock, cmd, flags, p, sizeof(rw) + (is_write ? count : 0), NULL,
              0);
}

static void check_reply(Fixture *f, uint16_t cmd, size_t len)
{
    TestReply r;

    g_assert_true(test_recv(f->sock, &r));
    g_assert_cmpuint(r.hdr.flags, ==, VFU_FLAG_REPLY);
    g_assert_cmpuint(r.hdr.command, ==, cmd);
    g_assert_cmpuint(r.len, ==, sizeof(VfuRegionRw) + len);
    for (size_t i = 0; i < len; i++) {
        g_assert_cmphex(r.payload[sizeof(VfuRegionRw) + i], ==, 0x11 + i);
    }
    test_reply_close(&r);
}

/*
 * The server has answered nothing since the last message that it sent. INTx is
 * sent on the same session, and would come behind a reply.
 */
static void expect_no_reply(Fixture *f)
{
    static bool level;
    TestReply r;

    level = !level;
    g_assert_true(epc_server_intx(f->t->s, level));
    g_assert_true(test_recv(f->sock, &r));
    g_assert_cmphex(r.hdr.command, ==, VFU_CMD_EP_INTX);
}

/* A read is answered late, with what the owner filled in. */
static void test_read(void)
{
    EpcAccess *a;
    Fixture f;

    start(&f);
    begin(&f, VFU_CMD_REGION_READ, 0, 8, 4);
    a = wait_taken(&f, false, 8, 4);
    g_assert_cmphex(a->data[0], ==, 0xff);
    expect_no_reply(&f);
    for (unsigned i = 0; i < 4; i++) {
        a->data[i] = 0x11 + i;
    }
    epc_access_free(a);
    check_reply(&f, VFU_CMD_REGION_READ, 4);
    end(&f);
}

/* Early answers keep the data; answers keep the order of the commands. */
static void test_write(void)
{
    EpcAccess *r, *w;
    Fixture f;

    start(&f);
    begin(&f, VFU_CMD_REGION_READ, 0, 0, 1);
    begin(&f, VFU_CMD_REGION_WRITE, 0, 16, 64);
    r = wait_taken(&f, false, 0, 1);
    w = wait_taken(&f, true, 16, 64);
    epc_access_answer(w);
    epc_access_answer(w);
    g_assert_null(w->token);
    expect_no_reply(&f);
    r->data[0] = 0x11;
    epc_access_free(r);
    check_reply(&f, VFU_CMD_REGION_READ, 1);
    check_reply(&f, VFU_CMD_REGION_WRITE, 0);
    g_assert_cmphex(w->data[63], ==, 0x5a);
    epc_access_free(w);

    /* nobody waits for a posted one */
    begin(&f, VFU_CMD_REGION_WRITE, VFU_FLAG_NO_REPLY, 16, 4);
    epc_access_free(wait_taken(&f, true, 16, 4));
    expect_no_reply(&f);
    end(&f);
}

/* ---- Several writes in one message ---- */

#define WRITES  3

/* Writes of 1, 4 and 8 bytes to region 2; the regions of them are @region. */
static void send_writes(Fixture *f, uint32_t flags, const uint32_t *region)
{
    struct {
        VfuRegionWrites head;
        VfuRegionWrite write[WRITES];
    } p = {
        .head.count = WRITES,
        .write = {
            { 8, region[0], 1, { 0x11 } },
            { 16, region[1], 4, { 0x22, 0x23, 0x24, 0x25 } },
            { 8, region[2], 8, { 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39,
                                 0x3a } },
        },
    };

    test_send(f->sock, VFU_CMD_REGION_WRITE_MULTI, flags, &p, sizeof(p), NULL,
              0);
}

static void check_writes_reply(Fixture *f)
{
    VfuRegionWrites done;
    TestReply r;

    g_assert_true(test_recv(f->sock, &r));
    g_assert_cmpuint(r.hdr.flags, ==, VFU_FLAG_REPLY);
    g_assert_cmpuint(r.hdr.command, ==, VFU_CMD_REGION_WRITE_MULTI);
    g_assert_cmpuint(r.len, ==, sizeof(done));
    memcpy(&done, r.payload, sizeof(done));
    g_assert_cmpuint(done.count, ==, WRITES);
    test_reply_close(&r);
}

/* They come in order; the reply comes when the owner has ended all of them. */
static void test_writes(void)
{
    static const uint32_t bar2[WRITES] = { 2, 2, 2 };
    EpcAccess *a[WRITES];
    Fixture f;

    start(&f);
    send_writes(&f, 0, bar2);
    a[0] = wait_taken(&f, true, 8, 1);
    a[1] = wait_taken(&f, true, 16, 4);
    a[2] = wait_taken(&f, true, 8, 8);
    g_assert_cmphex(a[0]->data[0], ==, 0x11);
    g_assert_cmphex(a[1]->data[3], ==, 0x25);
    g_assert_cmphex(a[2]->data[7], ==, 0x3a);
    epc_access_free(a[2]);
    epc_access_answer(a[0]);
    epc_access_answer(a[0]);
    expect_no_reply(&f);
    epc_access_free(a[0]);
    expect_no_reply(&f);
    epc_access_answer(a[1]);
    check_writes_reply(&f);
    epc_access_free(a[1]);

    send_writes(&f, VFU_FLAG_NO_REPLY, bar2);
    for (unsigned i = 0; i < WRITES; i++) {
        WAIT_FOR((a[i] = taken(f.t)));
        epc_access_free(a[i]);
    }
    expect_no_reply(&f);

    /* the client goes before its writes were answered */
    send_writes(&f, 0, bar2);
    for (unsigned i = 0; i < WRITES; i++) {
        WAIT_FOR((a[i] = taken(f.t)));
    }
    end(&f);
    for (unsigned i = 0; i < WRITES; i++) {
        epc_access_free(a[i]);
    }
}

/* One that the owner never sees makes all of them fail. */
static void test_writes_region(void)
{
    Fixture f;

    start(&f);
    f.t->takes = false;
    for (unsigned i = 0; i < WRITES; i++) {
        uint32_t region[WRITES] = { 2, VFU_REGION_CONFIG, 2 };
        TestReply r;

        region[i] = VFU_NUM_REGIONS;
        send_writes(&f, 0, region);
        g_assert_true(test_recv(f.sock, &r));
        g_assert_cmpuint(r.hdr.flags, ==, VFU_FLAG_REPLY | VFU_FLAG_ERROR);
        g_assert_cmpuint(r.hdr.error, ==, EINVAL);
    }
    send_writes(&f, 0, (uint32_t[]) { 2, VFU_REGION_CONFIG, 2 });
    check_writes_reply(&f);
    expect_log(f.t, "write2+8*1 write7+16*4 write2+8*8 ");
    g_assert_cmphex(f.t->bar2[8], ==, 0x33);
    end(&f);
}

/* While the link is down they are lost, and answered. */
static void test_writes_down(void)
{
    Fixture f = { .t = test_server_new() };

    epc_server_enable(f.t->s, 1);
    f.sock = test_connect(f.t);
    g_assert_cmpint(test_version(f.sock, TEST_VERSION_PLAIN), ==, 0);
    expect_log(f.t, "link1 ");
    epc_server_disable(f.t->s, test_done, f.t);
    WAIT_FOR(f.t->dones);
    expect_log(f.t, "stays ");
    send_writes(&f, 0, (uint32_t[]) { 2, 2, VFU_REGION_CONFIG });
    check_writes_reply(&f);
    expect_log(f.t, "");
    end(&f);
}

/* An access that the owner ends at once is answered at once. */
static void test_others(void)
{
    VfuRegionRw rw = { .offset = TEST_BAR2_SIZE, .region = 2, .count = 1 };
    TestReply r;
    Fixture f;

    start(&f);
    g_assert_cmpint(test_call(f.sock, VFU_CMD_REGION_READ, &rw, sizeof(rw),
                              NULL, 0, &r), ==, 0);
    g_assert_cmphex(r.payload[sizeof(rw)], ==, 0xff);
    rw = (VfuRegionRw) { .region = VFU_REGION_CONFIG, .count = 1 };
    f.t->config[0] = 0x42;
    g_assert_cmpint(test_call(f.sock, VFU_CMD_REGION_READ, &rw, sizeof(rw),
                              NULL, 0, &r), ==, 0);
    g_assert_cmphex(r.payload[sizeof(rw)], ==, 0x42);
    g_assert_null(taken(f.t));

    f.t->takes = false;
    f.t->bar2[0] = 0x43;
    rw.region = 2;
    g_assert_cmpint(test_call(f.sock, VFU_CMD_REGION_READ, &rw, sizeof(rw),
                              NULL, 0, &r), ==, 0);
    g_assert_cmphex(r.payload[sizeof(rw)], ==, 0x43);
    end(&f);
}

/* An answer that comes when the client, or the server, has gone is harmless. */
static void test_gone(void)
{
    EpcAccess *a;
    Fixture f;

    start(&f);
    begin(&f, VFU_CMD_REGION_READ, 0, 0, 1);
    a = wait_taken(&f, false, 0, 1);
    end(&f);
    epc_access_free(a);
}

/* ---- Calls ---- */

typedef struct Done {
    TestServer *t;
    int calls;
    int err;
    uint32_t count;
    uint8_t data[64];
} Done;

static void done(void *opaque, int err, const void *data, uint32_t count)
{
    Done *d = opaque;

    QEMU_LOCK_GUARD(&d->t->lock);
    d->err = err;
    d->count = count;
    if (data) {
        memcpy(d->data, data, MIN(count, sizeof(d->data)));
    }
    d->calls++;
}

static int calls(Done *d)
{
    QEMU_LOCK_GUARD(&d->t->lock);
    return d->calls;
}

static void answer(Fixture *f, uint16_t cmd, uint64_t address, uint32_t count,
                   size_t extra)
{
    VfuDmaRw rw;
    TestReply r;

    g_assert_true(test_recv(f->sock, &r));
    g_assert_cmpuint(r.hdr.command, ==, cmd);
    memcpy(&rw, r.payload, sizeof(rw));
    g_assert_cmphex(rw.address, ==, address);
    g_assert_cmpuint(rw.count, ==, count);
    memset(r.payload + sizeof(rw), 0x77, count);
    test_answer(f->sock, &r.hdr, 0, r.payload, sizeof(rw) + extra);
}

static void test_async(void)
{
    uint8_t buf[8192] = { };
    Fixture f;
    Done d = { };

    start(&f);
    d.t = f.t;
    /* at most what the client takes */
    epc_server_dma_async(f.t->s, true, 0x1000, buf, sizeof(buf), done, &d);
    g_assert_cmpint(calls(&d), ==, 0);
    answer(&f, VFU_CMD_DMA_WRITE, 0x1000, 4096, 0);
    WAIT_FOR(calls(&d) == 1);
    g_assert_cmpint(d.err, ==, 0);
    g_assert_cmpuint(d.count, ==, 4096);

    epc_server_dma_async(f.t->s, false, 0x2000, buf, 8, done, &d);
    answer(&f, VFU_CMD_DMA_READ, 0x2000, 8, 8);
    WAIT_FOR(calls(&d) == 2);
    g_assert_cmpint(d.err, ==, 0);
    g_assert_cmphex(d.data[7], ==, 0x77);

    /* too short */
    epc_server_dma_async(f.t->s, false, 0x2000, buf, 8, done, &d);
    answer(&f, VFU_CMD_DMA_READ, 0x2000, 8, 4);
    WAIT_FOR(calls(&d) == 3);
    g_assert_cmpint(d.err, ==, -EBADMSG);
    expect_eof(f.sock);

    /* nobody there */
    WAIT_FOR(!epc_server_takes_dma(f.t->s));
    epc_server_dma_async(f.t->s, true, 0x1000, buf, 8, done, &d);
    WAIT_FOR(calls(&d) == 4);
    g_assert_cmpint(d.err, ==, -ENOTCONN);
    end(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/epc-server/access/read", test_read);
    g_test_add_func("/epc-server/access/write", test_write);
    g_test_add_func("/epc-server/access/writes", test_writes);
    g_test_add_func("/epc-server/access/writes-region", test_writes_region);
    g_test_add_func("/epc-server/access/writes-down", test_writes_down);
    g_test_add_func("/epc-server/access/others", test_others);
    g_test_add_func("/epc-server/access/gone", test_gone);
    g_test_add_func("/epc-server/dma-async", test_async);
    return g_test_run();
}
