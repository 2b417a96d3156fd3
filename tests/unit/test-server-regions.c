/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of epc-server: areas and doorbells of a BAR
 */
#include "qemu/osdep.h"
#include <sys/eventfd.h>
#include "server-test.h"

#define ALL "\"link\", \"remap\", \"areas\""

typedef struct Fixture {
    TestServer *t;
    int sock;
    uint32_t generation;
    TestReply r;
} Fixture;

typedef struct Client {
    const char *features;
    unsigned max_fds;
} Client;

static const Client all = { ALL, 80 };
static const Client few_fds = { ALL, 3 };
static const Client no_remap = { "\"link\", \"areas\"", 80 };
static const Client no_areas = { "\"link\", \"remap\"", 80 };

static void set_up(Fixture *f, gconstpointer client)
{
    const Client *c = client;

    f->t = test_server_new();
    f->sock = test_attach_with(f->t, c->features, c->max_fds, &f->generation);
}

static void tear_down(Fixture *f, gconstpointer client)
{
    test_reply_close(&f->r);
    close(f->sock);
    test_server_free(f->t);
}

static ino_t inode(int fd)
{
    struct stat st;

    g_assert_cmpint(fstat(fd, &st), ==, 0);
    return st.st_ino;
}

/* ---- EP_AREAS ---- */

static int ask_areas(Fixture *f, uint32_t generation, uint32_t region)
{
    VfuEpAreas p = {
        .argsz = sizeof(p), .generation = generation, .region = region,
    };

    test_reply_close(&f->r);
    return test_call(f->sock, VFU_CMD_EP_AREAS, &p, sizeof(p), NULL, 0, &f->r);
}

static const VfuEpArea *areas(Fixture *f, uint32_t region, uint32_t count)
{
    VfuEpAreas expect = {
        .argsz = sizeof(expect) + count * sizeof(VfuEpArea),
        .generation = f->generation,
        .region = region,
        .count = count,
    };

    g_assert_cmpint(ask_areas(f, f->generation, region), ==, 0);
    g_assert_cmpuint(f->r.len, ==, expect.argsz);
    g_assert_cmpmem(f->r.payload, sizeof(expect), &expect, sizeof(expect));
    return (const void *)(f->r.payload + sizeof(expect));
}

/* Three pieces of one file and one of another, and three that no map fits */
static void set_areas(Fixture *f, int other)
{
    int fd = f->t->memfd;
    const EpcArea area[] = {
        { 0x0000, 0x1000, fd, 0x2000 },
        { 0x1000, 0x0800, fd, 0 },
        { 0x2000, 0x2000, other, 0 },
        { 0x4000, 0x1000, fd, 0x800 },
        { 0x5000, 0x1000, fd, 0 },
        { 0x6100, 0x1000, fd, 0 },
        { 0x8000, 0x3000, fd, 0x1000 },
    };

    memcpy(f->t->area, area, sizeof(area));
    f->t->nareas = ARRAY_SIZE(area);
}

static void test_areas(Fixture *f, gconstpointer client)
{
    static const VfuEpArea expect[] = {
        { 0x0000, 0x1000, 0x2000, 0, 3 }, { 0x2000, 0x2000, 0, 1, 3 },
        { 0x5000, 0x1000, 0, 0, 3 }, { 0x8000, 0x3000, 0x1000, 0, 3 },
    };
    int other = memfd_create("other", 0);
    const VfuEpArea *a;

    areas(f, 3, 0);
    set_areas(f, other);
    a = areas(f, 2, 4);
    g_assert_cmpmem(a, sizeof(expect), expect, sizeof(expect));
    g_assert_cmpuint(f->r.nfds, ==, 2);
    g_assert_true(inode(f->r.fds[0]) == inode(f->t->memfd));
    g_assert_true(inode(f->r.fds[1]) == inode(other));
    close(other);
}

/* A client that takes fewer descriptors is told less. */
static void test_areas_fds(Fixture *f, gconstpointer client)
{
    int other[6];
    const VfuEpArea *a;

    for (unsigned i = 0; i < ARRAY_SIZE(other); i++) {
        other[i] = memfd_create("other", 0);
        f->t->area[i] = (EpcArea) { i * 0x1000, 0x1000, other[i], 0 };
    }
    f->t->area[5].fd = other[1];
    f->t->nareas = ARRAY_SIZE(other);
    a = areas(f, 0, 4);
    g_assert_cmpuint(f->r.nfds, ==, 3);
    g_assert_cmphex(a[2].offset, ==, 0x2000);
    g_assert_cmphex(a[3].offset, ==, 0x5000);
    g_assert_cmpuint(a[3].fd_index, ==, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(other); i++) {
        close(other[i]);
    }
}

static void test_areas_most(Fixture *f, gconstpointer client)
{
    for (unsigned i = 0; i < VFU_EP_MAX_AREAS; i++) {
        f->t->area[i] = (EpcArea) { i * 0x2000, 0x1000, f->t->memfd, 0 };
    }
    f->t->nareas = VFU_EP_MAX_AREAS;
    areas(f, 5, VFU_EP_MAX_AREAS);
    g_assert_cmpuint(f->r.nfds, ==, 1);
}

static void test_areas_bad(Fixture *f, gconstpointer client)
{
    g_assert_cmpint(ask_areas(f, f->generation + 1, 0), ==, ESTALE);
    g_assert_cmpint(ask_areas(f, f->generation, 6), ==, EINVAL);
    g_assert_cmpint(ask_areas(f, f->generation, 0), ==, 0);
}

static void test_areas_not_agreed(Fixture *f, gconstpointer client)
{
    g_assert_cmpint(ask_areas(f, f->generation, 0), ==, ENOSYS);
}

/* What cannot be taken back is not given. */
static void test_areas_no_remap(Fixture *f, gconstpointer client)
{
    set_areas(f, f->t->memfd);
    areas(f, 0, 0);
    g_assert_cmpuint(f->r.nfds, ==, 0);
}

/* GET_REGION_INFO then has no memory. */
static void test_areas_info(Fixture *f, gconstpointer client)
{
    VfuRegionInfo info;
    int fd;

    test_region_info(f->sock, 0, &info, &fd);
    g_assert_cmphex(info.flags, ==,
                    VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE);
    g_assert_cmphex(info.size, ==, TEST_BAR0_SIZE);
    g_assert_cmpint(fd, ==, -1);
}

/* ---- while the owner changes the BAR ---- */

static void change_areas(TestServer *t)
{
    t->area[0].fd_offset += 0x1000;
    epc_server_remap(t->s, 0, test_remapped, t);
}

static void change_areas_once(TestServer *t)
{
    t->in_areas = NULL;
    change_areas(t);
}

static void test_areas_race(Fixture *f, gconstpointer client)
{
    set_areas(f, f->t->memfd);
    f->t->in_areas = change_areas_once;
    g_assert_cmphex(areas(f, 0, 4)->fd_offset, ==, 0x3000);
    g_assert_cmpint(f->t->remaps, ==, 1);
    expect_log(f->t, "");
}

/* An owner that never stops: no memory, and the next change is told. */
static void test_areas_restless(Fixture *f, gconstpointer client)
{
    VfuEpRemap m;

    set_areas(f, f->t->memfd);
    f->t->in_areas = change_areas;
    areas(f, 0, 0);
    f->t->in_areas = NULL;
    epc_server_remap(f->t->s, 0, test_remapped, f->t);
    test_serve(f->sock, VFU_CMD_EP_REMAP, &m, sizeof(m), 0);
    g_assert_cmpuint(m.region, ==, 0);
    areas(f, 0, 4);
}

/* ---- GET_REGION_IO_FDS ---- */

static int ask_ios(Fixture *f, uint32_t region, uint32_t argsz)
{
    VfuRegionIoFds p = { .argsz = argsz, .index = region };

    test_reply_close(&f->r);
    return test_call(f->sock, VFU_CMD_GET_REGION_IO_FDS, &p, sizeof(p), NULL,
                     0, &f->r);
}

static const VfuRegionIoFd *ios(Fixture *f, uint32_t argsz, uint32_t total,
                                uint32_t count)
{
    VfuRegionIoFds expect = {
        .argsz = sizeof(expect) + total * sizeof(VfuRegionIoFd),
        .index = 2,
        .count = count,
    };

    g_assert_cmpint(ask_ios(f, 2, argsz), ==, 0);
    g_assert_cmpuint(f->r.len, ==,
                     sizeof(expect) + count * sizeof(VfuRegionIoFd));
    g_assert_cmpmem(f->r.payload, sizeof(expect), &expect, sizeof(expect));
    return (const void *)(f->r.payload + sizeof(expect));
}

/* Odd ones keep their value in the memory file. */
static void set_ios(Fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        f->t->io[i] = (EpcIoFd) {
            .offset = 4 * i,
            .fd = eventfd(i + 1, EFD_NONBLOCK),
            .shadow_fd = i & 1 ? f->t->memfd : -1,
            .shadow_offset = i & 1 ? 8 * i : 0,
        };
    }
    f->t->nios = count;
}

static void check_io(Fixture *f, const VfuRegionIoFd *io, unsigned i)
{
    bool shadow = i & 1;
    uint64_t value;

    g_assert_cmphex(io->offset, ==, 4 * i);
    g_assert_cmphex(io->size, ==, 0);
    g_assert_cmpuint(io->type, ==,
                     shadow ? VFU_IO_FD_SHADOW : VFU_IO_FD_IOEVENTFD);
    g_assert_cmphex(io->flags, ==, 0);
    g_assert_cmphex(io->datamatch, ==, 0);
    g_assert_cmpuint(io->fd_index, <, f->r.nfds);
    g_assert_cmpint(read(f->r.fds[io->fd_index], &value, 8), ==, 8);
    g_assert_cmpuint(value, ==, i + 1);
    g_assert_cmphex(io->shadow_offset, ==, shadow ? 8 * i : 0);
    if (shadow) {
        g_assert_cmpuint(io->shadow_fd_index, <, f->r.nfds);
        g_assert_true(inode(f->r.fds[io->shadow_fd_index]) ==
                      inode(f->t->memfd));
    } else {
        g_assert_cmpuint(io->shadow_fd_index, ==, 0);
    }
}

static void free_ios(Fixture *f)
{
    for (unsigned i = 0; i < f->t->nios; i++) {
        close(f->t->io[i].fd);
    }
}

static void test_ios(Fixture *f, gconstpointer client)
{
    const unsigned n = EPC_SERVER_MAX_IO_FDS;
    const VfuRegionIoFd *io;

    ios(f, 16, 0, 0);
    set_ios(f, n);
    io = ios(f, 16 + 48 * n, n, n);
    g_assert_cmpuint(f->r.nfds, ==, n + 1);
    for (unsigned i = 0; i < n; i++) {
        check_io(f, &io[i], i);
    }
    free_ios(f);
}

/* The answer says how much room it wants. */
static void test_ios_room(Fixture *f, gconstpointer client)
{
    set_ios(f, 5);
    ios(f, 16, 5, 0);
    g_assert_cmpuint(f->r.nfds, ==, 0);
    ios(f, 16 + 47, 5, 0);
    check_io(f, ios(f, 16 + 48 + 47, 5, 1), 0);
    g_assert_cmpuint(f->r.nfds, ==, 1);
    ios(f, UINT32_MAX, 5, 5);
    g_assert_cmpuint(f->r.nfds, ==, 6);
    free_ios(f);
}

/* Three descriptors: 0, 1 with the memory, and none for 2 to 4 */
static void test_ios_fds(Fixture *f, gconstpointer client)
{
    const VfuRegionIoFd *io;

    set_ios(f, 5);
    io = ios(f, UINT32_MAX, 5, 2);
    g_assert_cmpuint(f->r.nfds, ==, 3);
    check_io(f, &io[0], 0);
    check_io(f, &io[1], 1);
    free_ios(f);
}

static void test_ios_bad(Fixture *f, gconstpointer client)
{
    g_assert_cmpint(ask_ios(f, 9, 16), ==, EINVAL);
    g_assert_cmpint(ask_ios(f, UINT32_MAX, 16), ==, EINVAL);
    g_assert_cmpint(ask_ios(f, 1, 16), ==, EINVAL);     /* no such BAR */
    g_assert_cmpint(ask_ios(f, 2, 15), ==, EINVAL);
    g_assert_cmpint(ask_ios(f, VFU_REGION_CONFIG, 16), ==, 0);
}

/* Without "areas" or "remap" nothing is described. */
static void test_ios_none(Fixture *f, gconstpointer client)
{
    set_ios(f, 5);
    ios(f, UINT32_MAX, 0, 0);
    g_assert_cmpuint(f->r.nfds, ==, 0);
    free_ios(f);
}

/*
 * The server has handled the last answer of the client: a round trip is behind
 * it on the session, and the main loop has done what that gave it to do.
 */
static void fence_answer(Fixture *f)
{
    VfuDeviceInfo info = { .argsz = sizeof(info) };

    g_assert_cmpint(test_errno(f->sock, VFU_CMD_GET_INFO, &info,
                               sizeof(info)), ==, 0);
    for (unsigned i = 0; i < 20; i++) {
        g_main_context_iteration(NULL, false);
    }
}

/* They are taken back like memory, and who had them asks again. */
static void test_ios_remap(Fixture *f, gconstpointer client)
{
    VfuEpRemap m;

    set_ios(f, 1);
    ios(f, UINT32_MAX, 1, 1);
    for (unsigned i = 1; i <= 3; i++) {
        epc_server_remap(f->t->s, 2, test_remapped, f->t);
        test_serve(f->sock, VFU_CMD_EP_REMAP, &m, sizeof(m), 0);
        g_assert_cmpuint(m.region, ==, 2);
        fence_answer(f);
        g_assert_cmpint(qatomic_load_acquire(&f->t->remaps), ==, i - 1);
        ios(f, UINT32_MAX, 1, 1);
        WAIT_FOR(qatomic_load_acquire(&f->t->remaps) == i);
        g_assert_cmpint(f->t->remap_err, ==, 0);
    }
    free_ios(f);
}

/*
 * What the reader thread does after it has locked EpcServer.lock to answer: it
 * takes that lock again only when @go is set
 */
static struct {
    QemuMutexLockFunc lock;
    GThread *reader;
    QemuMutex *mutex;       /* the first one that the reader locked */
    QemuEvent go;
} after_answer;

static void after_answer_lock(QemuMutex *mutex, const char *file, int line)
{
    if (g_thread_self() == qatomic_load_acquire(&after_answer.reader)) {
        if (!after_answer.mutex) {
            after_answer.mutex = mutex;
        } else if (after_answer.mutex == mutex) {
            qemu_event_wait(&after_answer.go);
        }
    }
    after_answer.lock(mutex, file, line);
}

static void after_answer_begin(TestServer *t)
{
    after_answer.mutex = NULL;
    qatomic_store_release(&after_answer.reader, g_thread_self());
}

/* A remap that begins as soon as an answer can be read waits like any other. */
static void test_ios_first(Fixture *f, gconstpointer client)
{
    VfuEpRemap m;

    set_ios(f, 1);
    qemu_event_init(&after_answer.go, false);
    after_answer.lock = qatomic_read(&qemu_mutex_lock_func);
    qatomic_set(&qemu_mutex_lock_func, after_answer_lock);
    f->t->in_io_fds = after_answer_begin;
    ios(f, UINT32_MAX, 1, 1);
    epc_server_remap(f->t->s, 2, test_remapped, f->t);
    f->t->in_io_fds = NULL;
    qemu_event_set(&after_answer.go);

    test_serve(f->sock, VFU_CMD_EP_REMAP, &m, sizeof(m), 0);
    fence_answer(f);
    g_assert_cmpint(qatomic_load_acquire(&f->t->remaps), ==, 0);
    ios(f, UINT32_MAX, 1, 1);
    WAIT_FOR(qatomic_load_acquire(&f->t->remaps) == 1);
    qatomic_store_release(&after_answer.reader, NULL);
    qatomic_set(&qemu_mutex_lock_func, after_answer.lock);
    free_ios(f);
}

/* One that does not ask, or is gone, has let go nevertheless. */
static void test_ios_late(Fixture *f, gconstpointer client)
{
    VfuEpRemap m;

    set_ios(f, 1);
    ios(f, UINT32_MAX, 1, 1);
    epc_server_remap(f->t->s, 2, test_remapped, f->t);
    test_serve(f->sock, VFU_CMD_EP_REMAP, &m, sizeof(m), 0);
    WAIT_FOR(qatomic_load_acquire(&f->t->remaps) == 1);
    g_assert_cmpint(f->t->remap_err, ==, 0);

    epc_server_remap(f->t->s, 2, test_remapped, f->t);
    test_serve(f->sock, VFU_CMD_EP_REMAP, &m, sizeof(m), 0);
    fence_answer(f);
    shutdown(f->sock, SHUT_RDWR);
    WAIT_FOR(qatomic_load_acquire(&f->t->remaps) == 2);
    g_assert_cmpint(f->t->remap_err, ==, 0);
    free_ios(f);
}

/* Several remaps in different states end once each. */
static void test_ios_several(Fixture *f, gconstpointer client)
{
    VfuEpRemap m;

    set_ios(f, 1);
    ios(f, UINT32_MAX, 1, 1);
    for (unsigned i = 0; i < 2; i++) {
        epc_server_remap(f->t->s, 2, test_remapped, f->t);
        test_serve(f->sock, VFU_CMD_EP_REMAP, &m, sizeof(m), 0);
    }
    fence_answer(f);
    g_assert_cmpint(qatomic_load_acquire(&f->t->remaps), ==, 0);
    ios(f, UINT32_MAX, 1, 1);
    WAIT_FOR(qatomic_load_acquire(&f->t->remaps) == 2);
    g_assert_cmpint(f->t->remap_err, ==, 0);

    /* The client is lost: it acknowledged one remap, and not the later one. */
    epc_server_remap(f->t->s, 2, test_remapped, f->t);
    test_serve(f->sock, VFU_CMD_EP_REMAP, &m, sizeof(m), 0);
    epc_server_remap(f->t->s, 2, test_remapped, f->t);
    test_serve(f->sock, VFU_CMD_EP_REMAP, &m, sizeof(m), -1);
    fence_answer(f);
    g_assert_cmpint(qatomic_load_acquire(&f->t->remaps), ==, 2);
    shutdown(f->sock, SHUT_RDWR);
    WAIT_FOR(qatomic_load_acquire(&f->t->remaps) == 4);
    g_assert_cmpint(f->t->remap_err, ==, -ETIMEDOUT);
    free_ios(f);
}

/* For the answer and the question after it there is one deadline. */
static void test_ios_slow(Fixture *f, gconstpointer client)
{
    int64_t deadline = TEST_DEADLINE_MS * INT64_C(1000);
    int64_t since = g_get_monotonic_time();
    TestReply m;

    set_ios(f, 1);
    ios(f, UINT32_MAX, 1, 1);
    epc_server_remap(f->t->s, 2, test_remapped, f->t);
    g_assert_true(test_recv(f->sock, &m));
    g_assert_cmphex(m.hdr.command, ==, VFU_CMD_EP_REMAP);
    g_usleep(deadline * 3 / 4);
    test_answer(f->sock, &m.hdr, 0, NULL, 0);
    WAIT_FOR(qatomic_load_acquire(&f->t->remaps) == 1);
    g_assert_cmpint(f->t->remap_err, ==, 0);
    g_assert_cmpint(g_get_monotonic_time() - since, <, deadline * 3 / 2);
    free_ios(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, client, func) \
    g_test_add("/epc-server/" name, Fixture, &client, set_up, func, tear_down)
    ADD("areas", all, test_areas);
    ADD("areas/descriptors", few_fds, test_areas_fds);
    ADD("areas/most", all, test_areas_most);
    ADD("areas/bad", all, test_areas_bad);
    ADD("areas/not-agreed", no_areas, test_areas_not_agreed);
    ADD("areas/no-remap", no_remap, test_areas_no_remap);
    ADD("areas/info", all, test_areas_info);
    ADD("areas/race", all, test_areas_race);
    ADD("areas/restless", all, test_areas_restless);
    ADD("io-fds", all, test_ios);
    ADD("io-fds/room", all, test_ios_room);
    ADD("io-fds/descriptors", few_fds, test_ios_fds);
    ADD("io-fds/bad", all, test_ios_bad);
    ADD("io-fds/not-agreed", no_areas, test_ios_none);
    ADD("io-fds/no-remap", no_remap, test_ios_none);
    ADD("io-fds/remap", all, test_ios_remap);
    ADD("io-fds/first", all, test_ios_first);
    ADD("io-fds/late", all, test_ios_late);
    ADD("io-fds/several", all, test_ios_several);
    ADD("io-fds/slow", all, test_ios_slow);
    return g_test_run();
}
