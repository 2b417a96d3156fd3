/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge: doorbells, and endpoints that lie about them
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/memfd.h"
#include "pci-ep/fixture.h"
#include "pci-ep/wait.h"

#include <sys/eventfd.h>

#define BAR         1           /* 4 KiB, by message */
#define MAX_BELLS   64
#define PAGE        0x1000u

typedef struct Bells {
    Fixture f;
    unsigned count;
    int fd[MAX_BELLS];
    int file;                   /* keeps values */
    uint8_t *values;
} Bells;

static void bells_start(Bells *b, unsigned count)
{
    FakeEpLayout *p;

    fixture_start_with(&b->f, VFU_EP_FEATURE_AREAS, "");
    b->file = fakeep_memory(2 * PAGE, 0xee, &b->values);
    b->count = count;
    p = &b->f.ep->parts[BAR];
    for (unsigned i = 0; i < count; i++) {
        b->fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        g_assert_cmpint(b->fd[i], >=, 0);
        p->bell_fd[i] = b->fd[i];
        fakeep_add_bell(b->f.ep, BAR, 8 * i, i);
    }
    p->bell_fd[count] = b->file;
    p->bell_fds = count + 1;
}

static void bells_end(Bells *b)
{
    fixture_end(&b->f);
    for (unsigned i = 0; i < b->count; i++) {
        close(b->fd[i]);
    }
    munmap(b->values, 2 * PAGE);
    close(b->file);
}

static void keep_value(Bells *b, unsigned i, uint64_t offset)
{
    VfuRegionIoFd *io = &b->f.ep->parts[BAR].bell[i];

    io->type = VFU_IO_FD_SHADOW;
    io->shadow_fd_index = b->count;
    io->shadow_offset = offset;
}

static uint32_t load_word(const uint8_t *p)
{
    return ldl_le_p(p);
}

static uint64_t bell_take_count(const Bells *b, unsigned i)
{
    uint64_t n;

    return read(b->fd[i], &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void bell_ring(Bells *b, unsigned i, uint32_t val)
{
    qtest_writel(b->f.q, HOSTVM_BAR(BAR) + 8 * i, val);
}

static void test_ring(void)
{
    Bells b;
    uint64_t n;

    bells_start(&b, MAX_BELLS);
    fixture_link_up(&b.f, false);
    n = hostvm_prop_uint(b.f.q, "messages");
    for (unsigned i = 0; i < MAX_BELLS; i++) {
        for (unsigned k = 0; k <= i; k++) {
            bell_ring(&b, i, k);
        }
    }
    g_assert_cmpuint(hostvm_prop_uint(b.f.q, "messages"), ==, n);
    for (unsigned i = 0; i < MAX_BELLS; i++) {
        g_assert_cmpuint(bell_take_count(&b, i), ==, i + 1);
    }
    bells_end(&b);
}

static void test_value(void)
{
    Bells b;
    uint64_t n;

    bells_start(&b, 4);
    keep_value(&b, 0, 0);
    keep_value(&b, 2, PAGE + 8);
    fixture_link_up(&b.f, false);
    n = hostvm_prop_uint(b.f.q, "messages");
    bell_ring(&b, 0, 0x12345678);
    g_assert_cmphex(load_word(b.values), ==, 0x12345678);
    bell_ring(&b, 2, 0x9abcdef0);
    g_assert_cmphex(load_word(b.values + PAGE + 8), ==, 0x9abcdef0);
    bell_ring(&b, 1, 0x55555555);
    g_assert_cmphex(load_word(b.values + 4), ==, 0xeeeeeeee);
    g_assert_cmpuint(hostvm_prop_uint(b.f.q, "messages"), ==, n);
    for (unsigned i = 0; i < 4; i++) {
        g_assert_cmpuint(bell_take_count(&b, i), ==, i != 3);
    }
    bells_end(&b);
}

/* The endpoint can make its eventfd full and blocking at any moment. */
static void test_full(void)
{
    uint64_t full = UINT64_MAX - 1;
    Bells b;

    bells_start(&b, 2);
    keep_value(&b, 1, 0);
    fixture_link_up(&b.f, false);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpint(write(b.fd[i], &full, sizeof(full)), ==, sizeof(full));
        g_assert_cmpint(fcntl(b.fd[i], F_SETFL, 0), ==, 0);
        bell_ring(&b, i, 0);
        bell_ring(&b, i, 0);
        g_assert_cmpuint(bell_take_count(&b, i), >=, full);
    }
    bells_end(&b);
}

/*
 * Doorbells of 32 bits only.  For other writes the endpoint answers, as for the
 * rest of the BAR.
 */
static void test_by_message(void)
{
    Bells b;

    bells_start(&b, 2);
    keep_value(&b, 1, 0);
    fixture_link_up(&b.f, false);
    fakeep_clear_log(b.f.ep);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t at = HOSTVM_BAR(BAR) + 8 * i;

        qtest_writeb(b.f.q, at, 0x11);
        qtest_writew(b.f.q, at, 0x2222);
        qtest_writeq(b.f.q, at, 0x4444444444444444);
        qtest_writel(b.f.q, at + 4, 0x33333333);
        g_assert_cmphex(qtest_readl(b.f.q, at), ==, 0x44444444);
        g_assert_cmphex(qtest_readl(b.f.q, at + 4), ==, 0x33333333);
        g_assert_cmpuint(fakeep_count(b.f.ep, VFU_CMD_REGION_WRITE), ==,
                         4 * (i + 1));
        g_assert_cmpuint(fakeep_count(b.f.ep, VFU_CMD_REGION_READ), ==,
                         2 * (i + 1));
        g_assert_cmpuint(bell_take_count(&b, i), ==, 0);
    }
    bells_end(&b);
}

/* The endpoint lets doorbells ring for writes of 8, 16 and 32 bits. */
static void test_width(void)
{
    Bells b;
    uint64_t at = HOSTVM_BAR(BAR), n;

    bells_start(&b, 2);
    keep_value(&b, 1, 0);
    b.f.ep->parts[BAR].bell[0].size = 0;
    b.f.ep->parts[BAR].bell[1].size = 0;
    fixture_link_up(&b.f, false);
    n = hostvm_prop_uint(b.f.q, "messages");
    for (unsigned i = 0; i < 2; i++) {
        qtest_writel(b.f.q, at + 8 * i, 0x11223344);
        qtest_writew(b.f.q, at + 8 * i, 0x5566);
        qtest_writeb(b.f.q, at + 8 * i, 0x77);
        g_assert_cmpuint(bell_take_count(&b, i), ==, 3);
        g_assert_cmphex(load_word(b.values), ==, i ? 0x77 : 0xeeeeeeee);
    }
    g_assert_cmpuint(hostvm_prop_uint(b.f.q, "messages"), ==, n);

    fakeep_clear_log(b.f.ep);
    for (unsigned i = 0; i < 2; i++) {
        qtest_writeq(b.f.q, at + 8 * i, 0x4444444444444444);
        qtest_writeb(b.f.q, at + 8 * i + 1, 0x11);
        qtest_writew(b.f.q, at + 8 * i + 2, 0x2222);
        qtest_writel(b.f.q, at + 8 * i + 1, 0x33333333);
        g_assert_cmphex(qtest_readl(b.f.q, at + 8 * i), ==, 0x33333344);
        g_assert_cmpuint(fakeep_count(b.f.ep, VFU_CMD_REGION_WRITE), ==,
                         4 * (i + 1));
        g_assert_cmpuint(bell_take_count(&b, i), ==, 0);
    }
    bells_end(&b);
}

/* Until the last of @count rings, which begin to all at once */
static void wait_ring(Bells *b, unsigned count)
{
    gint64 end = wait_deadline(WAIT_MS);

    while (count) {
        bell_ring(b, count - 1, 0);
        if (bell_take_count(b, count - 1)) {
            break;
        }
        if (!wait_step(end)) {
            wait_failed(__FILE__, __LINE__, "doorbell %u to ring", count - 1);
        }
    }
}

/* Retargeted live: to fewer, to memory, to none and back */
static void test_remap(void)
{
    FakeEpLayout all, one, memory, none;
    uint8_t *data;
    int fd = fakeep_memory(PAGE, 0x5a, &data);
    Bells b;

    bells_start(&b, 8);
    keep_value(&b, 7, 0);
    all = one = b.f.ep->parts[BAR];
    one.bells = 1;
    none = memory = (FakeEpLayout) { .listed = true };
    memory.areas = memory.area_fds = 1;
    memory.area_fd[0] = fd;
    memory.area[0] = (VfuEpArea) {
        .size = PAGE, .flags = VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE,
    };
    fixture_link_up(&b.f, false);
    for (unsigned i = 0; i < 24; i++) {
        const FakeEpLayout *now[] = { &one, &all, &memory, &all, &none, &all };
        bool shut = now[i % 6]->bells < 8;
        unsigned asked = fakeep_count(b.f.ep, VFU_CMD_GET_REGION_IO_FDS);

        fakeep_set_layout(b.f.ep, BAR, now[i % 6]);
        g_assert_cmpint(fakeep_remap(b.f.ep, BAR), ==, 0);
        /* What keeps a value is deaf from the acknowledgement on */
        stl_le_p(b.values, 0);
        bell_ring(&b, 7, 0x77);
        if (shut) {
            g_assert_cmphex(load_word(b.values), ==, 0);
        }
        fakeep_wait(b.f.ep, VFU_CMD_GET_REGION_IO_FDS, asked + 1);
        wait_ring(&b, now[i % 6]->bells);
        for (unsigned k = 0; k < 8; k++) {
            bell_take_count(&b, k);
            bell_ring(&b, k, k + 1);
            g_assert_cmpuint(bell_take_count(&b, k), ==, k < now[i % 6]->bells);
        }
        g_assert_cmphex(load_word(b.values), ==, shut ? 0 : 8);
        g_assert_cmphex(qtest_readb(b.f.q, HOSTVM_BAR(BAR) + 100), ==,
                        now[i % 6] == &memory ? 0x5a : 1);
    }
    g_assert_cmpint(fakeep_link_down(b.f.ep), ==, 0);
    hostvm_wait_present(b.f.q, false);
    bells_end(&b);
    munmap(data, PAGE);
    close(fd);
}

static bool hook_hold(FakeEp *s, const VfuMsg *m, void *opaque)
{
    return m->hdr.command == VFU_CMD_EP_AREAS;
}

/* After the acknowledgement nothing rings, whatever the endpoint says later. */
static void test_unanswered(void)
{
    Bells b;

    bells_start(&b, 2);
    keep_value(&b, 1, 0);
    fixture_link_up(&b.f, false);
    stl_le_p(b.values, 0);
    bell_ring(&b, 0, 1);
    g_assert_cmpuint(bell_take_count(&b, 0), ==, 1);
    b.f.ep->hook = hook_hold;
    g_assert_cmpint(fakeep_remap(b.f.ep, BAR), ==, 0);
    for (unsigned i = 0; i < 2; i++) {
        bell_ring(&b, i, 0x99);
        g_assert_cmpuint(bell_take_count(&b, i), ==, 0);
    }
    g_assert_cmphex(load_word(b.values), ==, 0);
    bells_end(&b);
}

/* ---- Lies ---- */

static int other_fd = -1;

static void l_unaligned(FakeEpLayout *p)
{
    p->bell[0].offset = 2;
}

static void l_size(FakeEpLayout *p)
{
    p->bell[0].size = 8;
}

static void l_size_2(FakeEpLayout *p)
{
    p->bell[0].size = 2;
}

static void l_outside(FakeEpLayout *p)
{
    p->bell[0].offset = PAGE;
}

static void l_wrap(FakeEpLayout *p)
{
    p->bell[0].offset = -4ull;
}

static void l_twice(FakeEpLayout *p)
{
    p->bell[1].offset = p->bell[0].offset;
}

static void l_type(FakeEpLayout *p)
{
    p->bell[0].type = 1;
}

static void l_flags(FakeEpLayout *p)
{
    p->bell[0].flags = 1;
}

static void l_datamatch(FakeEpLayout *p)
{
    p->bell[0].datamatch = 1;
}

static void l_fd_index(FakeEpLayout *p)
{
    p->bell[0].fd_index = p->bell_fds;
}

static void l_fd_index_wild(FakeEpLayout *p)
{
    p->bell[0].fd_index = UINT32_MAX;
}

static void l_no_fds(FakeEpLayout *p)
{
    p->bell_fds = 0;
}

static void l_not_an_eventfd(FakeEpLayout *p)
{
    p->bell[0].fd_index = p->bell_fds - 1;
}

static void l_not_an_eventfd_last(FakeEpLayout *p)
{
    int fds[2];

    g_assert_cmpint(pipe(fds), ==, 0);
    close(fds[0]);
    other_fd = fds[1];
    p->bell_fd[p->bells - 1] = other_fd;
}

static void l_too_many(FakeEpLayout *p)
{
    p->bells = MAX_BELLS + 1;
    for (unsigned i = 0; i < p->bells; i++) {
        p->bell[i] = p->bell[0];
        p->bell[i].offset = 4 * i;
    }
}

static void keep_in(FakeEpLayout *p, unsigned fd_index, uint64_t offset)
{
    p->bell[0].type = VFU_IO_FD_SHADOW;
    p->bell[0].shadow_fd_index = fd_index;
    p->bell[0].shadow_offset = offset;
}

static void l_shadow_index(FakeEpLayout *p)
{
    keep_in(p, p->bell_fds, 0);
}

static void l_shadow_outside(FakeEpLayout *p)
{
    keep_in(p, p->bell_fds - 1, 2 * PAGE);
}

static void l_shadow_wild(FakeEpLayout *p)
{
    keep_in(p, p->bell_fds - 1, -8ull);
}

static void l_shadow_unaligned(FakeEpLayout *p)
{
    keep_in(p, p->bell_fds - 1, 2);
}

static void l_shadow_eventfd(FakeEpLayout *p)
{
    keep_in(p, 1, 0);
}

static void use_file(FakeEpLayout *p, int fd)
{
    other_fd = fd;
    p->bell_fd[p->bell_fds - 1] = fd;
    keep_in(p, p->bell_fds - 1, 0);
}

static void l_shadow_empty(FakeEpLayout *p)
{
    use_file(p, memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    g_assert_cmpint(fcntl(other_fd, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
}

static void l_shadow_short(FakeEpLayout *p)
{
    use_file(p, memfd_create("short", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    g_assert_cmpint(ftruncate(other_fd, 16), ==, 0);
    g_assert_cmpint(fcntl(other_fd, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
}

static void l_shadow_shrinks(FakeEpLayout *p)
{
    use_file(p, memfd_create("open", MFD_CLOEXEC));
    g_assert_cmpint(ftruncate(other_fd, PAGE), ==, 0);
}

static const struct {
    const char *name;
    void (*fn)(FakeEpLayout *p);
} lies[] = {
    { "unaligned", l_unaligned },
    { "size", l_size },
    { "size-2", l_size_2 },
    { "outside", l_outside },
    { "wrap", l_wrap },
    { "twice", l_twice },
    { "type", l_type },
    { "flags", l_flags },
    { "datamatch", l_datamatch },
    { "fd-index", l_fd_index },
    { "fd-index-wild", l_fd_index_wild },
    { "no-fds", l_no_fds },
    { "not-an-eventfd", l_not_an_eventfd },
    { "not-an-eventfd-last", l_not_an_eventfd_last },
    { "too-many", l_too_many },
    { "shadow-index", l_shadow_index },
    { "shadow-outside", l_shadow_outside },
    { "shadow-wild", l_shadow_wild },
    { "shadow-unaligned", l_shadow_unaligned },
    { "shadow-eventfd", l_shadow_eventfd },
    { "shadow-empty", l_shadow_empty },
    { "shadow-short", l_shadow_short },
    { "shadow-shrinks", l_shadow_shrinks },
};

/* No doorbell rings, the bridge says why, and the BAR is reached by message. */
static void test_lies(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(lies); i++) {
        g_autofree char *err = NULL;
        Bells b;

        g_test_message("%s", lies[i].name);
        bells_start(&b, 3);
        lies[i].fn(&b.f.ep->parts[BAR]);
        fixture_link_up(&b.f, false);
        err = hostvm_prop_str(b.f.q, "last-error");
        g_test_message("  %s", err);
        g_assert_cmpstr(err, !=, "");
        for (unsigned k = 0; k < 3; k++) {
            bell_ring(&b, k, 0x1234);
            g_assert_cmphex(load_word(b.f.ep->bar[BAR].data + 8 * k), ==,
                            0x1234);
            g_assert_cmpuint(bell_take_count(&b, k), ==, 0);
        }
        bells_end(&b);
        if (other_fd >= 0) {
            close(other_fd);
            other_fd = -1;
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("epf-bridge/doorbell/ring", test_ring);
    qtest_add_func("epf-bridge/doorbell/value", test_value);
    qtest_add_func("epf-bridge/doorbell/full", test_full);
    qtest_add_func("epf-bridge/doorbell/by-message", test_by_message);
    qtest_add_func("epf-bridge/doorbell/width", test_width);
    qtest_add_func("epf-bridge/doorbell/remap", test_remap);
    qtest_add_func("epf-bridge/doorbell/unanswered", test_unanswered);
    qtest_add_func("epf-bridge/doorbell/lies", test_lies);

    return g_test_run();
}
