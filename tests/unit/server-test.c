/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The owner and the client of a server under test
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/socket.h>
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/memfd.h"
#include "qapi/error.h"
#include "server-test.h"
#include "tests/qtest/pci-ep/vfu-msg.h"

#define LOG_TIMEOUT_US (10 * G_USEC_PER_SEC)

/* ---- The owner ---- */

static void G_GNUC_PRINTF(2, 3) note(TestServer *t, const char *fmt, ...)
{
    va_list ap;

    qemu_mutex_lock(&t->lock);
    va_start(ap, fmt);
    g_string_append_vprintf(t->log, fmt, ap);
    va_end(ap);
    qemu_mutex_unlock(&t->lock);
}

static void region_info(void *opaque, unsigned region, EpcRegion *r)
{
    TestServer *t = opaque;
    void (*hook)(TestServer *) = t->in_region_info;

    r->flags = VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE;
    switch (region) {
    case VFU_REGION_BAR0:
        r->size = TEST_BAR0_SIZE;
        r->fd = t->memfd;
        r->fd_offset = t->memfd_offset;
        if (hook) {
            t->in_region_info = NULL;
            hook(t);
        }
        break;
    case 2:
        r->size = TEST_BAR2_SIZE;
        break;
    case VFU_REGION_CONFIG:
        r->size = sizeof(t->config);
        break;
    default:
        r->flags = 0;
    }
}

static unsigned areas(void *opaque, unsigned region, EpcArea *area,
                      unsigned max)
{
    TestServer *t = opaque;
    unsigned n = t->nareas;

    g_assert_cmpuint(max, >=, n);
    memcpy(area, t->area, n * sizeof(*area));
    if (t->in_areas) {
        t->in_areas(t);
    }
    return n;
}

static unsigned io_fds(void *opaque, unsigned region, EpcIoFd *io,
                       unsigned max)
{
    TestServer *t = opaque;

    g_assert_cmpuint(max, >=, t->nios);
    memcpy(io, t->io, t->nios * sizeof(*io));
    if (t->in_io_fds) {
        t->in_io_fds(t);
    }
    return t->nios;
}

/* The @count bytes at @offset of a region; NULL: not inside of it */
static uint8_t *region_data(TestServer *t, const EpcAccess *a)
{
    bool config = a->region == VFU_REGION_CONFIG;
    uint64_t size = config ? sizeof(t->config) :
                    a->region == 2 ? TEST_BAR2_SIZE : 0;

    if (a->offset >= size || a->count > size - a->offset) {
        return NULL;
    }
    return (config ? t->config : t->bar2) + a->offset;
}

static void region_access(void *opaque, EpcAccess *a)
{
    TestServer *t = opaque;
    uint8_t *data = region_data(t, a);

    if (t->takes && data && a->region <= VFU_REGION_BAR5) {
        QEMU_LOCK_GUARD(&t->lock);
        g_queue_push_tail(&t->taken, a);
        return;
    }
    if (data && a->is_write) {
        memcpy(data, a->data, a->count);
        note(t, "write%u+%" PRIu64 "*%u ", a->region, a->offset, a->count);
    } else if (data) {
        memcpy(a->data, data, a->count);
    }
    epc_access_free(a);
}

static uint32_t irq_count(void *opaque, unsigned index)
{
    static const uint32_t counts[] = { 1, 4, TEST_MSIX };

    return counts[index];
}

static void irqs_set(void *opaque, unsigned index, unsigned first,
                     unsigned count, const int *fds)
{
    TestServer *t = opaque;

    g_assert_cmpuint(first + count, <=,
                     t->stays ? TEST_MSIX_LIMIT : irq_count(opaque, index));
    note(opaque, "irq%u.%u", index, first);
    if (count != 1) {
        note(opaque, "*%u", count);
    }
    note(opaque, "%c ", fds ? '+' : '-');
    /* The counter shows the client which descriptor became which vector. */
    for (unsigned i = 0; fds && i < count; i++) {
        uint64_t n = i + 1;

        g_assert_cmpint(write(fds[i], &n, sizeof(n)), ==, sizeof(n));
        close(fds[i]);
    }
}

static void intx_mask(void *opaque, bool masked)
{
    note(opaque, "mask%d ", masked);
}

static void msix_mask(void *opaque, unsigned first, unsigned count,
                      bool masked)
{
    g_assert_cmpuint(first + count, <=, irq_count(opaque, VFU_IRQ_MSIX));
    note(opaque, "msixmask%u*%u=%d ", first, count, masked);
}

static int dma_map(void *opaque, const VfuDmaMap *map, int fd)
{
    TestServer *t = opaque;

    note(t, "map%" PRIx64 "+%" PRIx64 "%c ", map->address, map->size,
         fd < 0 ? '-' : '+');
    if (fd >= 0) {
        close(fd);
    }
    return t->map_result;
}

static void dma_unmap(void *opaque, uint64_t address, uint64_t size_minus_1)
{
    note(opaque, "unmap%" PRIx64 "+%" PRIx64 " ", address, size_minus_1);
}

static void reset(void *opaque, unsigned kind)
{
    note(opaque, "reset%u ", kind);
}

static void link_changed(void *opaque, EpcServerEvent event)
{
    static const char *const names[] = {
        [EPC_SERVER_UP] = "link1",
        [EPC_SERVER_UP_JOINED] = "joined1",
        [EPC_SERVER_DOWN] = "link0",
        [EPC_SERVER_DOWN_STAYS] = "stays",
    };

    TestServer *t = opaque;

    t->stays = event == EPC_SERVER_DOWN_STAYS;
    note(t, "%s ", names[event]);
}

static const EpcServerOps test_ops = {
    .region_info = region_info,
    .areas = areas,
    .io_fds = io_fds,
    .access = region_access,
    .irq_count = irq_count,
    .irqs_set = irqs_set,
    .intx_mask = intx_mask,
    .msix_mask = msix_mask,
    .dma_map = dma_map,
    .dma_unmap = dma_unmap,
    .reset = reset,
    .link = link_changed,
};

void test_done(void *opaque)
{
    TestServer *t = opaque;

    qatomic_inc(&t->dones);
}

void test_remapped(void *opaque, int err)
{
    TestServer *t = opaque;

    t->remap_err = err;
    qatomic_inc(&t->remaps);
}

TestServer *test_server_new(void)
{
    TestServer *t = g_new0(TestServer, 1);
    EpcServerConfig cfg = {
        .name = "epc0",
        .deadline_ms = TEST_DEADLINE_MS,
        .speed = TEST_SPEED,
        .width = TEST_WIDTH,
    };

    qemu_mutex_init(&t->lock);
    t->log = g_string_new(NULL);
    t->dir = g_dir_make_tmp("epc-server-XXXXXX", NULL);
    g_assert_nonnull(t->dir);
    t->path = g_build_filename(t->dir, "sock", NULL);
    t->memfd = qemu_memfd_create("bar0", 4 * TEST_BAR0_SIZE, false, 0,
                                 F_SEAL_SHRINK, &error_abort);
    cfg.path = t->path;
    t->s = epc_server_new(&cfg, &test_ops, t, &error_abort);
    return t;
}

void test_server_free(TestServer *t)
{
    epc_server_free(t->s);
    g_assert_cmpint(g_access(t->path, F_OK), ==, -1);
    g_assert_cmpint(g_rmdir(t->dir), ==, 0);
    close(t->memfd);
    g_string_free(t->log, true);
    g_free(t->path);
    g_free(t->dir);
    qemu_mutex_destroy(&t->lock);
    g_free(t);
}

void test_turn(void)
{
    if (!g_main_context_iteration(NULL, false)) {
        g_usleep(1000);
    }
}

static bool log_is(TestServer *t, const char *text, bool last)
{
    bool same;

    qemu_mutex_lock(&t->lock);
    same = !strcmp(t->log->str, text);
    if (same) {
        g_string_truncate(t->log, 0);
    } else if (last) {
        g_error("the owner saw '%s', not '%s'", t->log->str, text);
    }
    qemu_mutex_unlock(&t->lock);
    return same;
}

void expect_log(TestServer *t, const char *text)
{
    int64_t end = g_get_monotonic_time() + LOG_TIMEOUT_US;

    while (!log_is(t, text, g_get_monotonic_time() > end)) {
        test_turn();
    }
}

/* ---- The client ---- */

int test_connect(TestServer *t)
{
    struct timeval limit = { .tv_sec = 10 };
    int sock = vfu_msg_connect(t->path);

    g_assert_cmpint(setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit,
                               sizeof(limit)), ==, 0);
    /* let it be accepted; free it when an earlier one has ended */
    for (int i = 0; i < 20; i++) {
        test_turn();
    }
    return sock;
}

void test_send(int sock, uint16_t cmd, uint32_t flags, const void *p, size_t n,
               const int *fds, unsigned nfds)
{
    static uint16_t id;
    VfuHeader hdr = vfu_msg_command(id++, cmd, flags, n);

    /* a server that is gone is noticed when it does not answer */
    vfu_msg_send(sock, &hdr, p, fds, nfds);
}

bool test_recv(int sock, TestReply *r)
{
    bool closed;
    VfuMsg *m = vfu_msg_recv(sock, VFU_MSG_TIMEOUT_MS, &closed);

    r->fd = -1;
    r->nfds = 0;
    if (!m) {
        g_assert_true(closed);
        return false;
    }
    r->hdr = m->hdr;
    r->len = m->len;
    g_assert_cmpuint(r->len, <=, sizeof(r->payload));
    memcpy(r->payload, m->payload, r->len);
    r->nfds = m->nfds;
    g_assert_cmpuint(r->nfds, <=, TEST_MAX_FDS);
    memcpy(r->fds, m->fds, r->nfds * sizeof(int));
    if (r->nfds) {
        r->fd = r->fds[0];
    }
    m->nfds = 0;
    vfu_msg_free(m);
    return true;
}

void test_reply_close(TestReply *r)
{
    for (unsigned i = 0; i < r->nfds; i++) {
        close(r->fds[i]);
    }
    r->nfds = 0;
    r->fd = -1;
}

int test_call(int sock, uint16_t cmd, const void *p, size_t n, const int *fds,
              unsigned nfds, TestReply *r)
{
    test_send(sock, cmd, VFU_FLAG_COMMAND, p, n, fds, nfds);
    g_assert_true(test_recv(sock, r));
    g_assert_cmphex(r->hdr.command, ==, cmd);
    g_assert_cmphex(r->hdr.flags & VFU_FLAG_TYPE_MASK, ==, VFU_FLAG_REPLY);
    if (r->hdr.flags & VFU_FLAG_ERROR) {
        g_assert_cmpuint(r->len, ==, 0);
        g_assert_cmpuint(r->hdr.error, !=, 0);
    } else {
        g_assert_cmpuint(r->hdr.error, ==, 0);
    }
    return r->hdr.error;
}

int test_errno(int sock, uint16_t cmd, const void *p, size_t n)
{
    g_autofree TestReply *r = g_new(TestReply, 1);
    int err = test_call(sock, cmd, p, n, NULL, 0, r);

    test_reply_close(r);
    return err;
}

void test_send_version(int sock, const char *json)
{
    size_t n = sizeof(VfuVersion) + strlen(json) + 1;
    g_autofree VfuVersion *v = g_malloc0(n);

    memcpy(v + 1, json, strlen(json) + 1);
    test_send(sock, VFU_CMD_VERSION, VFU_FLAG_COMMAND, v, n, NULL, 0);
}

int test_version(int sock, const char *json)
{
    g_autofree TestReply *r = g_new(TestReply, 1);

    test_send_version(sock, json);
    WAIT_FOR(recv(sock, &r->hdr, 1, MSG_PEEK | MSG_DONTWAIT) >= 0);
    if (test_recv(sock, r)) {
        g_assert_cmphex(r->hdr.command, ==, VFU_CMD_VERSION);
    } else {
        r->hdr.error = ECONNRESET;
    }
    return r->hdr.error;
}

void expect_eof(int sock)
{
    char byte;
    ssize_t n = 0;

    WAIT_FOR((n = recv(sock, &byte, 1, MSG_DONTWAIT)) >= 0 ||
             errno == ECONNRESET);
    g_assert_cmpint(n, <=, 0);
}

void test_answer(int sock, const VfuHeader *hdr, int err, const void *p,
                 size_t n)
{
    VfuHeader reply = vfu_msg_reply(hdr, err, n);

    g_assert_true(vfu_msg_send(sock, &reply, p, NULL, 0));
}

void test_serve(int sock, uint16_t cmd, void *p, size_t n, int err)
{
    g_autofree TestReply *r = g_new(TestReply, 1);

    g_assert_true(test_recv(sock, r));
    g_assert_cmphex(r->hdr.command, ==, cmd);
    g_assert_cmphex(r->hdr.flags, ==, VFU_FLAG_COMMAND);
    g_assert_cmpuint(r->len, ==, n);
    g_assert_cmpuint(r->nfds, ==, 0);
    memcpy(p, r->payload, n);
    if (err >= 0) {
        test_answer(sock, &r->hdr, err, NULL, 0);
    }
}

uint32_t test_serve_link(int sock, uint32_t state)
{
    bool up = state == VFU_EP_LINK_UP;
    VfuEpLink l;

    test_serve(sock, VFU_CMD_EP_LINK, &l, sizeof(l), 0);
    g_assert_cmpuint(l.argsz, ==, sizeof(l));
    g_assert_cmpuint(l.state, ==, state);
    g_assert_cmpuint(l.speed, ==, up ? TEST_SPEED : 0);
    g_assert_cmpuint(l.width, ==, up ? TEST_WIDTH : 0);
    g_assert_cmpuint(l.reserved, ==, 0);
    g_assert_cmpuint(l.generation, !=, 0);
    return l.generation;
}

char *test_version_ep(const char *features, unsigned max_fds)
{
    return g_strdup_printf("{\"capabilities\": {\"max_msg_fds\": %u, "
                           "\"max_data_xfer_size\": 4096, \"" VFU_EP_KEY
                           "\": {\"version\": 1, \"features\": [%s]}}}",
                           max_fds, features);
}

static int attach(TestServer *t, const char *features, unsigned max_fds)
{
    g_autofree char *json = test_version_ep(features, max_fds);
    int sock = -1, err = EBUSY;

    /* the end of the one before may not have been noticed */
    for (int i = 0; err && i < 1000; i++) {
        if (sock >= 0) {
            close(sock);
            g_usleep(1000);
        }
        sock = test_connect(t);
        err = test_version(sock, json);
    }
    g_assert_cmpint(err, ==, 0);
    return sock;
}

#define FEATURES "\"link\", \"reset\", \"remap\", \"intx\""

int test_attach(TestServer *t)
{
    return attach(t, FEATURES, 16);
}

int test_attach_with(TestServer *t, const char *features, unsigned max_fds,
                     uint32_t *generation)
{
    int sock = attach(t, features, max_fds);

    epc_server_enable(t->s, 1);
    *generation = test_serve_link(sock, VFU_EP_LINK_UP);
    expect_log(t, "link1 ");
    return sock;
}

int test_attach_up(TestServer *t, uint32_t *generation)
{
    return test_attach_with(t, FEATURES, 16, generation);
}

int test_set_irqs(int sock, uint32_t flags, uint32_t index, uint32_t start,
                  uint32_t count, const int *fds, unsigned nfds)
{
    g_autofree TestReply *r = g_new(TestReply, 1);
    VfuSetIrqs p = {
        .argsz = sizeof(p),
        .flags = flags,
        .index = index,
        .start = start,
        .count = count,
    };

    return test_call(sock, VFU_CMD_SET_IRQS, &p, sizeof(p), fds, nfds, r);
}

void test_region_info(int sock, uint32_t index, VfuRegionInfo *info, int *fd)
{
    g_autofree TestReply *r = g_new(TestReply, 1);
    VfuRegionInfo p = { .argsz = sizeof(p), .index = index };

    g_assert_cmpint(test_call(sock, VFU_CMD_GET_REGION_INFO, &p, sizeof(p),
                              NULL, 0, r), ==, 0);
    g_assert_cmpuint(r->len, ==, sizeof(*info));
    memcpy(info, r->payload, sizeof(*info));
    g_assert_cmpuint(r->nfds, ==, info->flags & VFU_REGION_FLAG_MMAP ? 1 : 0);
    *fd = r->fd;
}
