/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of epc-server: commands of the client, with and without the
 * extension, and the socket in the file system
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "qemu/atomic.h"
#include "qemu/memfd.h"
#include "qapi/error.h"
#include "server-test.h"

#define TRIGGER (VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_TRIGGER)
#define TRIGGER_NONE (VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_TRIGGER)

typedef struct Fixture {
    TestServer *t;
    int sock;
    uint32_t generation;
} Fixture;

static void set_up(Fixture *f, gconstpointer plain)
{
    f->t = test_server_new();
    if (plain) {
        epc_server_enable(f->t->s, 1);
        f->sock = test_connect(f->t);
        g_assert_cmpint(test_version(f->sock, TEST_VERSION_PLAIN), ==, 0);
        expect_log(f->t, "link1 ");
    } else {
        f->sock = test_attach_up(f->t, &f->generation);
    }
}

static void tear_down(Fixture *f, gconstpointer plain)
{
    close(f->sock);
    test_server_free(f->t);
}

/* ---- queries ---- */

static void test_info(Fixture *f, gconstpointer plain)
{
    g_autofree TestReply *r = g_new(TestReply, 1);
    VfuDeviceInfo p = { .argsz = sizeof(p) };
    VfuDeviceInfo expect = {
        .argsz = sizeof(p), .flags = 3, .num_regions = 9, .num_irqs = 5,
    };

    g_assert_cmpint(test_call(f->sock, VFU_CMD_GET_INFO, &p, sizeof(p), NULL,
                              0, r), ==, 0);
    g_assert_cmpuint(r->len, ==, sizeof(expect));
    g_assert_cmpint(memcmp(r->payload, &expect, sizeof(expect)), ==, 0);
}

static void test_regions(Fixture *f, gconstpointer plain)
{
    static const struct {
        uint32_t flags;
        uint64_t size;
    } expect[VFU_NUM_REGIONS] = {
        [0] = { 3 | VFU_REGION_FLAG_MMAP, TEST_BAR0_SIZE },
        [2] = { 3, TEST_BAR2_SIZE },
        [VFU_REGION_CONFIG] = { 3, 4096 },
    };
    VfuRegionInfo info, bad = { .argsz = sizeof(bad), .index = 9 };
    struct stat a, b;
    int fd;

    f->t->memfd_offset = 8192;
    for (unsigned i = 0; i < VFU_NUM_REGIONS; i++) {
        uint32_t flags = expect[i].flags;

        if (plain) {
            flags &= ~VFU_REGION_FLAG_MMAP;
        }
        test_region_info(f->sock, i, &info, &fd);
        g_assert_cmpuint(info.argsz, ==, 32);
        g_assert_cmpuint(info.index, ==, i);
        g_assert_cmpuint(info.cap_offset, ==, 0);
        g_assert_cmphex(info.flags, ==, flags);
        g_assert_cmphex(info.size, ==, expect[i].size);
        g_assert_cmphex(info.offset, ==,
                        flags & VFU_REGION_FLAG_MMAP ? 8192 : 0);
        if (fd >= 0) {
            g_assert_cmpint(fstat(fd, &a), ==, 0);
            g_assert_cmpint(fstat(f->t->memfd, &b), ==, 0);
            g_assert_true(a.st_ino == b.st_ino);
            close(fd);
        }
    }

    /* memory that no page table can express is not offered */
    f->t->memfd_offset = 512;
    test_region_info(f->sock, 0, &info, &fd);
    g_assert_cmphex(info.flags, ==, 3);
    g_assert_cmpint(fd, ==, -1);

    g_assert_cmpint(test_errno(f->sock, VFU_CMD_GET_REGION_INFO, &bad,
                               sizeof(bad)), ==, EINVAL);
    bad = (VfuRegionInfo) { .argsz = sizeof(bad) - 1 };
    g_assert_cmpint(test_errno(f->sock, VFU_CMD_GET_REGION_INFO, &bad,
                               sizeof(bad)), ==, EINVAL);
}

static void test_io_fds(Fixture *f, gconstpointer plain)
{
    g_autofree TestReply *r = g_new(TestReply, 1);
    VfuRegionIoFds p = { .argsz = sizeof(p), .index = 2 };

    g_assert_cmpint(test_call(f->sock, VFU_CMD_GET_REGION_IO_FDS, &p,
                              sizeof(p), NULL, 0, r), ==, 0);
    g_assert_cmpuint(r->len, ==, sizeof(p));
    g_assert_cmpint(memcmp(r->payload, &p, sizeof(p)), ==, 0);
    p.index = 1;
    g_assert_cmpint(test_errno(f->sock, VFU_CMD_GET_REGION_IO_FDS, &p,
                               sizeof(p)), ==, EINVAL);
    p.index = UINT32_MAX;
    g_assert_cmpint(test_errno(f->sock, VFU_CMD_GET_REGION_IO_FDS, &p,
                               sizeof(p)), ==, EINVAL);
}

static void test_irq_info(Fixture *f, gconstpointer plain)
{
    static const struct {
        uint32_t flags, count;
    } expect[VFU_NUM_IRQS] = { { 7, 1 }, { 1, 4 }, { 1, TEST_MSIX }, { 1, 0 },
                               { 1, 0 } };
    g_autofree TestReply *r = g_new(TestReply, 1);

    for (uint32_t i = 0; i < VFU_NUM_IRQS; i++) {
        VfuIrqInfo p = { .argsz = sizeof(p), .index = i }, *q;

        g_assert_cmpint(test_call(f->sock, VFU_CMD_GET_IRQ_INFO, &p, sizeof(p),
                                  NULL, 0, r), ==, 0);
        g_assert_cmpuint(r->len, ==, sizeof(p));
        q = (void *)r->payload;
        g_assert_cmpuint(q->argsz, ==, sizeof(p));
        g_assert_cmpuint(q->index, ==, i);
        g_assert_cmphex(q->flags, ==, expect[i].flags);
        g_assert_cmpuint(q->count, ==, expect[i].count);
    }
    {
        VfuIrqInfo p = { .argsz = sizeof(p), .index = VFU_NUM_IRQS };

        g_assert_cmpint(test_errno(f->sock, VFU_CMD_GET_IRQ_INFO, &p,
                                   sizeof(p)), ==, EINVAL);
    }
}

/* ---- regions ---- */

static int region_read(int sock, uint32_t region, uint64_t offset,
                       uint32_t count, TestReply *r)
{
    VfuRegionRw p = { .offset = offset, .region = region, .count = count };
    int err = test_call(sock, VFU_CMD_REGION_READ, &p, sizeof(p), NULL, 0, r);

    if (!err) {
        g_assert_cmpuint(r->len, ==, sizeof(p) + count);
        g_assert_cmpint(memcmp(r->payload, &p, sizeof(p)), ==, 0);
    }
    return err;
}

static int region_write(int sock, uint32_t flags, uint32_t region,
                        uint64_t offset, const void *data, uint32_t count)
{
    g_autofree TestReply *r = g_new(TestReply, 1);
    g_autofree VfuRegionRw *p = g_malloc(sizeof(*p) + count);

    *p = (VfuRegionRw) { .offset = offset, .region = region, .count = count };
    memcpy(p + 1, data, count);
    if (flags & VFU_FLAG_NO_REPLY) {
        test_send(sock, VFU_CMD_REGION_WRITE, flags, p, sizeof(*p) + count,
                  NULL, 0);
        return 0;
    }
    if (!test_call(sock, VFU_CMD_REGION_WRITE, p, sizeof(*p) + count, NULL, 0,
                   r)) {
        g_assert_cmpuint(r->len, ==, sizeof(*p));
        g_assert_cmpint(memcmp(r->payload, p, sizeof(*p)), ==, 0);
    }
    return r->hdr.error;
}

static void assert_ones(const TestReply *r)
{
    for (size_t i = sizeof(VfuRegionRw); i < r->len; i++) {
        g_assert_cmphex(r->payload[i], ==, 0xff);
    }
}

static void test_rw(Fixture *f, gconstpointer plain)
{
    g_autofree TestReply *r = g_new(TestReply, 1);
    static const struct {
        uint32_t region;
        uint64_t offset;
        uint32_t count;
    } outside[] = {
        { 2, TEST_BAR2_SIZE, 1 }, { 2, TEST_BAR2_SIZE - 1, 2 },
        { 2, UINT64_MAX - 8, 8 }, { VFU_REGION_CONFIG, 4095, 2 },
        { 1, 0, 4 }, { VFU_REGION_ROM, 0, 4 }, { VFU_REGION_VGA, 0xa0000, 1 },
    };
    uint8_t *data = r->payload + sizeof(VfuRegionRw);

    for (size_t i = 0; i < TEST_BAR2_SIZE; i++) {
        f->t->bar2[i] = i * 7;
    }
    g_assert_cmpint(region_read(f->sock, 2, 3, 4091, r), ==, 0);
    g_assert_cmpint(memcmp(data, f->t->bar2 + 3, 4091), ==, 0);

    g_assert_cmpint(region_write(f->sock, 0, VFU_REGION_CONFIG, 4, "ab", 2),
                    ==, 0);
    expect_log(f->t, "write7+4*2 ");
    g_assert_cmpint(memcmp(f->t->config + 4, "ab", 2), ==, 0);

    /* posted: no answer, in order with the next command */
    region_write(f->sock, VFU_FLAG_NO_REPLY, 2, 8, "xyz", 3);
    g_assert_cmpint(region_read(f->sock, 2, 8, 3, r), ==, 0);
    g_assert_cmpint(memcmp(data, "xyz", 3), ==, 0);
    expect_log(f->t, "write2+8*3 ");

    for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
        g_assert_cmpint(region_read(f->sock, outside[i].region,
                                    outside[i].offset, outside[i].count, r),
                        ==, 0);
        assert_ones(r);
        g_assert_cmpint(region_write(f->sock, 0, outside[i].region,
                                     outside[i].offset, "12345678",
                                     outside[i].count), ==, 0);
    }
    g_assert_cmpint(region_read(f->sock, 9, 0, 4, r), ==, EINVAL);
    g_assert_cmpint(region_read(f->sock, 0xdeadbeef, 0, 4, r), ==, EINVAL);
    g_assert_cmpint(region_write(f->sock, 0, 9, 0, "1", 1), ==, EINVAL);
    g_assert_cmpint(region_read(f->sock, 2, 0, 0, r), ==, EINVAL);
    expect_log(f->t, "");
}

/* ---- interrupts ---- */

static void test_eventfds(Fixture *f, gconstpointer plain)
{
    int fds[16];

    for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = eventfd(0, EFD_NONBLOCK);
    }
    g_assert_cmpint(test_set_irqs(f->sock, TRIGGER, VFU_IRQ_MSIX, 3, 16, fds,
                                  16), ==, 0);
    expect_log(f->t, "irq2.3*16+ ");
    for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
        uint64_t v;

        g_assert_cmpint(read(fds[i], &v, sizeof(v)), ==, sizeof(v));
        g_assert_cmpuint(v, ==, i + 1);
        close(fds[i]);
    }

    g_assert_cmpint(test_set_irqs(f->sock, TRIGGER, VFU_IRQ_MSI, 2, 2, NULL,
                                  0), ==, 0);
    expect_log(f->t, "irq1.2*2- ");
    g_assert_cmpint(test_set_irqs(f->sock, TRIGGER_NONE, VFU_IRQ_MSI, 0, 0,
                                  NULL, 0), ==, 0);
    expect_log(f->t, "irq1.0*4- ");

    g_assert_cmpint(test_set_irqs(f->sock, VFU_IRQ_DATA_NONE |
                                  VFU_IRQ_ACTION_MASK, VFU_IRQ_INTX, 0, 1,
                                  NULL, 0), ==, 0);
    g_assert_cmpint(test_set_irqs(f->sock, VFU_IRQ_DATA_NONE |
                                  VFU_IRQ_ACTION_UNMASK, VFU_IRQ_INTX, 0, 1,
                                  NULL, 0), ==, 0);
    expect_log(f->t, "mask1 mask0 ");
}

static void test_bad_irqs(Fixture *f, gconstpointer plain)
{
    static const struct {
        uint32_t flags, index, start, count;
        unsigned nfds;
    } bad[] = {
        { TRIGGER, VFU_IRQ_MSI, 0, 5, 5 },
        { TRIGGER, VFU_IRQ_MSI, 4, 1, 1 },
        { TRIGGER, VFU_IRQ_MSI, UINT32_MAX, 1, 1 },
        { TRIGGER, VFU_IRQ_MSI, 1, UINT32_MAX, 0 },
        { TRIGGER, VFU_IRQ_MSI, 0, 2, 1 },
        { TRIGGER, VFU_IRQ_MSI, 0, 1, 2 },
        { TRIGGER, VFU_IRQ_ERR, 0, 1, 1 },
        { TRIGGER, VFU_IRQ_REQ, 0, 1, 1 },
        { TRIGGER, VFU_NUM_IRQS, 0, 1, 1 },
        { TRIGGER_NONE, VFU_IRQ_MSI, 0, 1, 0 },
        { TRIGGER_NONE, VFU_IRQ_MSI, 1, 0, 0 },
        { TRIGGER_NONE, VFU_IRQ_MSI, 0, 1, 1 },
        { TRIGGER | VFU_IRQ_ACTION_MASK, VFU_IRQ_MSI, 0, 1, 1 },
        { TRIGGER | VFU_IRQ_DATA_NONE, VFU_IRQ_MSI, 0, 1, 1 },
        { VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_MASK, VFU_IRQ_MSI, 0, 1, 0 },
        { VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_MASK, VFU_IRQ_MSIX, 0, 1, 0 },
        { VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_UNMASK, VFU_IRQ_INTX, 0, 1,
          1 },
        { 0, VFU_IRQ_INTX, 0, 1, 0 },
        { UINT32_MAX, VFU_IRQ_INTX, 0, 1, 0 },
    };
    int fds[5];

    for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = eventfd(0, EFD_NONBLOCK);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert_cmpint(test_set_irqs(f->sock, bad[i].flags, bad[i].index,
                                      bad[i].start, bad[i].count, fds,
                                      bad[i].nfds), ==, EINVAL);
    }
    /* one that is no eventfd, after one that is: none is taken */
    close(fds[1]);
    fds[1] = open("/dev/null", O_RDWR);
    g_assert_cmpint(test_set_irqs(f->sock, TRIGGER, VFU_IRQ_MSI, 0, 2, fds,
                                  2), ==, EINVAL);
    close(fds[1]);
    fds[1] = qemu_memfd_create("anon_inode:[eventfd]", 8, false, 0, 0,
                               &error_abort);
    g_assert_cmpint(test_set_irqs(f->sock, TRIGGER, VFU_IRQ_MSI, 0, 2, fds,
                                  2), ==, EINVAL);
    expect_log(f->t, "");
    for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
        close(fds[i]);
    }
}

/* ---- DMA and reset ---- */

static void test_dma_maps(Fixture *f, gconstpointer plain)
{
    g_autofree TestReply *r = g_new(TestReply, 1);
    VfuDmaMap m = {
        .argsz = sizeof(m), .flags = 3, .address = 0x100000, .size = 0x2000,
    };
    VfuDmaUnmap u = {
        .argsz = sizeof(u), .address = 0xfffffffffffff000, .size = 0x1000,
    };

    g_assert_cmpint(test_call(f->sock, VFU_CMD_DMA_MAP, &m, sizeof(m),
                              &f->t->memfd, 1, r), ==, 0);
    g_assert_cmpuint(r->len, ==, 0);
    g_assert_cmpint(test_errno(f->sock, VFU_CMD_DMA_MAP, &m, sizeof(m)), ==,
                    0);
    expect_log(f->t, "map100000+2000+ map100000+2000- ");
    f->t->map_result = EEXIST;
    g_assert_cmpint(test_errno(f->sock, VFU_CMD_DMA_MAP, &m, sizeof(m)), ==,
                    EEXIST);
    expect_log(f->t, "map100000+2000- ");

    g_assert_cmpint(test_call(f->sock, VFU_CMD_DMA_UNMAP, &u, sizeof(u), NULL,
                              0, r), ==, 0);
    g_assert_cmpuint(r->len, ==, sizeof(u));
    g_assert_cmpint(memcmp(r->payload, &u, sizeof(u)), ==, 0);
    u = (VfuDmaUnmap) { .argsz = sizeof(u), .flags = VFU_DMA_UNMAP_ALL };
    g_assert_cmpint(test_errno(f->sock, VFU_CMD_DMA_UNMAP, &u, sizeof(u)), ==,
                    0);
    expect_log(f->t, "unmapfffffffffffff000+fff unmap0+ffffffffffffffff ");
    u.size = 1;
    g_assert_cmpint(test_errno(f->sock, VFU_CMD_DMA_UNMAP, &u, sizeof(u)), ==,
                    EINVAL);
    expect_log(f->t, "");
}

static void test_reset(Fixture *f, gconstpointer plain)
{
    VfuEpReset p = { .argsz = sizeof(p), .generation = f->generation };

    g_assert_cmpint(test_errno(f->sock, VFU_CMD_DEVICE_RESET, NULL, 0), ==, 0);
    expect_log(f->t, "reset1 ");
    for (p.kind = 0; p.kind < 5; p.kind++) {
        bool good = !plain && p.kind >= 1 && p.kind <= 3;

        g_assert_cmpint(test_errno(f->sock, VFU_CMD_EP_RESET, &p, sizeof(p)),
                        ==, plain ? ENOSYS : good ? 0 : EINVAL);
    }
    expect_log(f->t, plain ? "" : "reset1 reset2 reset3 ");
    if (!plain) {
        p.kind = VFU_EP_RESET_PERST;
        p.generation--;
        g_assert_cmpint(test_errno(f->sock, VFU_CMD_EP_RESET, &p, sizeof(p)),
                        ==, ESTALE);
        expect_log(f->t, "");
    }
}

static void test_unknown(Fixture *f, gconstpointer plain)
{
    static const uint16_t unknown[] = {
        0, 11, 12, 14, 16, 19, 0x4500, 0x4502, 0x4503, 0x4504, 0xffff,
    };
    uint8_t payload[64] = { 0 };

    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
        g_assert_cmpint(test_errno(f->sock, unknown[i], payload,
                                   sizeof(payload)), ==, ENOSYS);
    }
    expect_log(f->t, "");
}

/* While the link goes down, an extension client hears of nothing else. */
static void test_not_connected(Fixture *f, gconstpointer plain)
{
    VfuRegionInfo info = { .argsz = sizeof(info) };
    uint32_t words[8] = { 16 };
    g_autofree TestReply *r = g_new(TestReply, 1);
    TestReply *link = g_new(TestReply, 1);

    epc_server_disable(f->t->s, test_done, f->t);
    g_assert_true(test_recv(f->sock, link));
    g_assert_cmpint(test_errno(f->sock, VFU_CMD_GET_REGION_INFO, &info,
                               sizeof(info)), ==, ENOTCONN);
    g_assert_cmpint(test_errno(f->sock, VFU_CMD_GET_INFO, words, 16), ==,
                    ENOTCONN);
    g_assert_cmpint(test_errno(f->sock, VFU_CMD_DEVICE_RESET, NULL, 0), ==,
                    ENOTCONN);
    g_assert_cmpint(region_read(f->sock, 2, 0, 4, r), ==, ENOTCONN);
    test_answer(f->sock, &link->hdr, 0, NULL, 0);
    WAIT_FOR(qatomic_load_acquire(&f->t->dones) == 1);
    g_assert_cmpint(region_read(f->sock, 2, 0, 4, r), ==, ENOTCONN);
    expect_log(f->t, "link0 ");
    g_free(link);
}

/* ---- plain clients ---- */

/* What stock clients read, to the byte, and nothing they did not ask for */
static void test_plain_bytes(void)
{
    TestServer *t = test_server_new();
    g_autofree TestReply *r = g_new(TestReply, 1);
    static const char answer[] = "{\"capabilities\":{"
        "\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,"
        "\"write_multiple\":true}}";
    char byte;
    int sock;

    epc_server_enable(t->s, 1);
    sock = test_connect(t);
    test_send_version(sock, TEST_VERSION_PLAIN);
    g_assert_true(test_recv(sock, r));
    g_assert_cmphex(r->hdr.command, ==, VFU_CMD_VERSION);
    g_assert_cmphex(r->hdr.flags, ==, VFU_FLAG_REPLY);
    g_assert_cmphex(r->hdr.error, ==, 0);
    g_assert_cmpint(memcmp(r->payload, "\0\0\0\0", 4), ==, 0);
    g_assert_cmpuint(r->len, ==, 4 + sizeof(answer));
    g_assert_cmpstr((char *)r->payload + 4, ==, answer);
    expect_log(t, "link1 ");

    epc_server_remap(t->s, 0, test_remapped, t);
    g_assert_cmpint(t->remaps, ==, 1);
    g_assert_false(epc_server_intx(t->s, true));
    g_assert_cmpint(epc_server_dma_read(t->s, 0, &byte, 1), ==, -EOPNOTSUPP);
    g_assert_cmpint(epc_server_dma_write(t->s, 0, &byte, 1), ==, -EOPNOTSUPP);
    epc_server_disable(t->s, test_done, t);
    expect_log(t, "stays ");
    g_assert_cmpint(recv(sock, &byte, 1, MSG_DONTWAIT), ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
    close(sock);
    expect_log(t, "link0 ");
    test_server_free(t);
}

/* @size bytes of configuration space read @value. */
static void assert_pin(int sock, uint64_t offset, uint32_t size,
                       uint32_t value)
{
    g_autofree TestReply *r = g_new(TestReply, 1);
    uint32_t seen = 0;

    g_assert_cmpint(region_read(sock, VFU_REGION_CONFIG, offset, size, r), ==,
                    0);
    memcpy(&seen, r->payload + sizeof(VfuRegionRw), size);
    g_assert_cmphex(seen, ==, value);
}

/* The link went down: still answered, and it may change what it has set. */
static void test_plain_dead(Fixture *f, gconstpointer plain)
{
    g_autofree TestReply *r = g_new(TestReply, 1);
    VfuDmaMap m = { .argsz = sizeof(m), .flags = 3, .size = 0x1000 };
    VfuDmaUnmap u = { .argsz = sizeof(u), .size = 0x1000 };
    VfuRegionInfo info;
    int fd = eventfd(0, 0), nofd;
    uint8_t byte;

    epc_server_disable(f->t->s, test_done, f->t);
    expect_log(f->t, "stays ");
    WAIT_FOR(qatomic_load_acquire(&f->t->dones) == 1);
    g_assert_cmpint(epc_server_dma_read(f->t->s, 0, &byte, 1), ==, -ENOTCONN);

    test_info(f, plain);
    test_region_info(f->sock, 2, &info, &nofd);
    g_assert_cmphex(info.size, ==, TEST_BAR2_SIZE);
    g_assert_cmpint(region_read(f->sock, VFU_REGION_CONFIG, 0, 61, r), ==, 0);
    assert_ones(r);
    g_assert_cmpint(region_read(f->sock, VFU_REGION_CONFIG, 62, 64, r), ==, 0);
    assert_ones(r);
    /* All ones is no interrupt pin. */
    assert_pin(f->sock, 61, 1, 0);
    assert_pin(f->sock, 60, 4, 0xffff00ff);
    assert_pin(f->sock, 58, 4, 0x00ffffff);
    g_assert_cmpint(region_read(f->sock, 2, 60, 4, r), ==, 0);
    assert_ones(r);
    g_assert_cmpint(region_write(f->sock, 0, 2, 0, "1", 1), ==, 0);
    g_assert_cmpint(region_read(f->sock, 9, 0, 4, r), ==, EINVAL);
    g_assert_cmpint(test_call(f->sock, VFU_CMD_DMA_MAP, &m, sizeof(m), &fd, 1,
                              r), ==, 0);
    g_assert_cmpint(test_errno(f->sock, VFU_CMD_DMA_UNMAP, &u, sizeof(u)), ==,
                    0);
    expect_log(f->t, "map0+1000+ unmap0+fff ");
    g_assert_cmpint(test_set_irqs(f->sock, TRIGGER, VFU_IRQ_MSI, 0, 1, &fd, 1),
                    ==, 0);
    expect_log(f->t, "irq1.0+ ");
    /* Of the link before it may know more vectors than there are now. */
    g_assert_cmpint(test_set_irqs(f->sock, TRIGGER, VFU_IRQ_MSI, 31, 1, &fd, 1),
                    ==, 0);
    expect_log(f->t, "irq1.31+ ");
    g_assert_cmpint(test_set_irqs(f->sock, TRIGGER, VFU_IRQ_MSI, 32, 1, &fd, 1),
                    ==, EINVAL);
    g_assert_cmpint(test_set_irqs(f->sock, VFU_IRQ_DATA_NONE |
                                  VFU_IRQ_ACTION_MASK, VFU_IRQ_INTX, 0, 1,
                                  NULL, 0), ==, 0);
    g_assert_cmpint(test_errno(f->sock, VFU_CMD_DEVICE_RESET, NULL, 0), ==, 0);
    close(fd);
    expect_log(f->t, "");

    /* The link comes up again, without a word to the client. */
    epc_server_enable(f->t->s, 1);
    expect_log(f->t, "link1 ");
    g_assert_cmpint(region_read(f->sock, 2, 0, 4, r), ==, 0);
    g_assert_cmphex(r->payload[sizeof(VfuRegionRw)], ==, f->t->bar2[0]);
    epc_server_disable(f->t->s, test_done, f->t);
    epc_server_enable(f->t->s, 1);
    expect_log(f->t, "stays link1 ");
    WAIT_FOR(qatomic_load_acquire(&f->t->dones) == 2);
    close(f->sock);
    expect_log(f->t, "link0 ");

    for (int err = EBUSY, n = 0; err; n++) {
        g_assert_cmpint(n, <, 1000);    /* until the server sees the end */
        f->sock = test_connect(f->t);
        err = test_version(f->sock, TEST_VERSION_PLAIN);
        if (err) {
            close(f->sock);
            g_usleep(1000);
        }
    }
    expect_log(f->t, "link1 ");
}

/* ---- the socket file ---- */

static void assert_cannot_listen(const char *path, const char *text)
{
    EpcServerConfig cfg = { .path = path, .name = "epc1", .deadline_ms = 1 };
    Error *err = NULL;

    g_assert_null(epc_server_new(&cfg, NULL, NULL, &err));
    if (!strstr(error_get_pretty(err), text)) {
        g_error("'%s' does not say '%s'", error_get_pretty(err), text);
    }
    error_free(err);
}

static void test_socket_refused(void)
{
    TestServer *t = test_server_new();
    g_autofree char *none = g_build_filename(t->dir, "none", "sock", NULL);
    g_autofree char *file = g_build_filename(t->dir, "file", NULL);
    g_autofree char *below = g_build_filename(file, "sock", NULL);
    g_autofree char *length = g_strnfill(108, 'x');

    assert_cannot_listen("", "is empty");
    assert_cannot_listen(length, "longer than 107 bytes");
    assert_cannot_listen(none, "none does not exist");
    assert_cannot_listen(t->path, "in use by a running QEMU");
    g_assert_true(g_file_set_contents(file, "x", 1, NULL));
    assert_cannot_listen(file, "not a socket");
    assert_cannot_listen(below, "is not a directory");
    g_assert_cmpint(g_unlink(file), ==, 0);
    g_assert_cmpint(g_access(t->path, F_OK), ==, 0);
    test_server_free(t);
}

static void test_socket_file(void)
{
    TestServer *t = test_server_new();
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    EpcServerConfig cfg = { .name = "epc1", .deadline_ms = 1 };
    g_autofree char *path = g_build_filename(t->dir, "stale", NULL);
    struct stat st;
    EpcServer *s;
    int sock;

    g_assert_cmpint(lstat(t->path, &st), ==, 0);
    g_assert_true(S_ISSOCK(st.st_mode));
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);

    /* what a dead QEMU leaves behind */
    sock = socket(AF_UNIX, SOCK_STREAM, 0);
    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    g_assert_cmpint(bind(sock, (void *)&addr, sizeof(addr)), ==, 0);
    close(sock);
    cfg.path = path;
    s = epc_server_new(&cfg, NULL, NULL, &error_abort);

    /* a file that is no longer ours stays */
    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_true(g_file_set_contents(path, "x", 1, NULL));
    epc_server_free(s);
    g_assert_cmpint(g_unlink(path), ==, 0);
    epc_server_free(NULL);
    test_server_free(t);
}

#define ADD(name, plain, func) \
    g_test_add("/epc-server/" name, Fixture, plain, set_up, func, tear_down)

static void add_both(const char *name,
                     void (*func)(Fixture *, gconstpointer))
{
    g_autofree char *ep = g_strconcat("/epc-server/ep/", name, NULL);
    g_autofree char *plain = g_strconcat("/epc-server/plain/", name, NULL);

    g_test_add(ep, Fixture, NULL, set_up, func, tear_down);
    g_test_add(plain, Fixture, "plain", set_up, func, tear_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    add_both("info", test_info);
    add_both("regions", test_regions);
    add_both("io-fds", test_io_fds);
    add_both("irq-info", test_irq_info);
    add_both("rw", test_rw);
    add_both("eventfds", test_eventfds);
    add_both("bad-irqs", test_bad_irqs);
    add_both("dma", test_dma_maps);
    add_both("reset", test_reset);
    add_both("unknown", test_unknown);
    ADD("ep/not-connected", NULL, test_not_connected);
    ADD("plain/dead", "plain", test_plain_dead);
    g_test_add_func("/epc-server/plain/bytes", test_plain_bytes);
    g_test_add_func("/epc-server/socket/refused", test_socket_refused);
    g_test_add_func("/epc-server/socket/file", test_socket_file);
    return g_test_run();
}
