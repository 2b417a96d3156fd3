/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of shared/peer-mem: which descriptors are accepted, and what a
 * reservation shows before, during and after a mapping
 */
#include "qemu/osdep.h"
#include "qemu/memfd.h"
#include "qapi/error.h"
#include "hw/pci-ep/shared/peer-mem.h"

#include <sys/resource.h>
#include <sys/wait.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

static size_t page;

static int make_memfd(size_t size, unsigned seals)
{
    return qemu_memfd_create("test", size, false, 0, seals, &error_abort);
}

/* A file of @pages pages, page n filled with n + 1 */
static EpFile *make_file(unsigned pages)
{
    int fd = make_memfd(pages * page, SEALS);
    g_autofree char *buf = g_malloc(page);

    for (unsigned i = 0; i < pages; i++) {
        memset(buf, i + 1, page);
        g_assert_cmpint(pwrite(fd, buf, page, i * page), ==, page);
    }
    return ep_file_new(fd, false, &error_abort);
}

static void assert_bytes(const uint8_t *p, size_t n, uint8_t value)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != value) {
            g_error("byte %zu is 0x%02x, not 0x%02x", i, p[i], value);
        }
    }
}

/* Lines of /proc/self/maps that touch [base, base + size) */
static unsigned count_mappings(const void *base, size_t size)
{
    g_autofree char *maps = NULL;
    uint64_t start = (uintptr_t)base, end = start + size;
    unsigned n = 0;
    char **lines;

    g_assert_true(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));
    lines = g_strsplit(maps, "\n", -1);
    for (char **l = lines; *l && **l; l++) {
        uint64_t a, b;

        g_assert_cmpint(sscanf(*l, "%" SCNx64 "-%" SCNx64, &a, &b), ==, 2);
        n += a < end && b > start;
    }
    g_strfreev(lines);
    return n;
}

/* epw_close() closes most descriptors in another thread. */
static void expect_closed(int fd)
{
    int64_t end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;

    while (fcntl(fd, F_GETFD) != -1) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

static void assert_refused(int fd, bool trust, const char *text)
{
    Error *err = NULL;

    g_assert_null(ep_file_new(fd, trust, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), text));
    error_free(err);
    expect_closed(fd);
}

static void test_file_refused(void)
{
    int p[2];

    assert_refused(make_memfd(page, 0), false, "can be truncated by its owner");
    assert_refused(make_memfd(page, F_SEAL_GROW), false, "truncated");
    assert_refused(make_memfd(0, SEALS), false, "not a file with contents");
    assert_refused(make_memfd(0, SEALS), true, "not a file with contents");
    assert_refused(open("/dev/null", O_RDWR), true, "not a file with contents");
    assert_refused(open("/", O_RDONLY), true, "not a file with contents");
    assert_refused(open("/proc/self/exe", O_RDONLY), false, "truncated");
    assert_refused(socket(AF_UNIX, SOCK_STREAM, 0), true,
                   "not a file with contents");
    /* without trust only the seals are checked */
    assert_refused(socket(AF_UNIX, SOCK_STREAM, 0), false, "truncated");
    assert_refused(open("/", O_RDONLY), false, "truncated");
    g_assert_cmpint(pipe(p), ==, 0);
    assert_refused(p[0], true, "not a file with contents");
    close(p[1]);
}

static void test_file_huge(void)
{
    int fd = qemu_memfd_create("test", 2 * MiB, true, 0, SEALS, NULL);

    if (fd < 0) {
        g_test_skip("no huge pages on this machine");
        return;
    }
    assert_refused(fd, true, "cannot be mapped one by one");
}

static void test_file_trusted(void)
{
    EpFile *f = ep_file_new(make_memfd(page, 0), true, &error_abort);

    g_assert_cmpint(ftruncate(ep_file_fd(f), 2 * page), ==, 0);
    g_assert_true(ep_file_covers(f, page, page));
    ep_file_free(f);
}

/* The peer shrinks its file while it is mapped. */
static void test_file_shrinks(void)
{
    uint8_t *at = ep_mem_reserve(page, &error_abort);
    EpFile *f = make_file(2);
    pid_t child;
    int status;

    g_assert_cmpint(ep_mem_map(at, page, f, page, true), ==, 0);
    g_assert_cmpint(ftruncate(ep_file_fd(f), page), ==, -1);
    g_assert_cmpint(errno, ==, EPERM);
    g_assert_cmphex(at[0], ==, 2);
    ep_file_free(f);

    /* Whoever trusts a file without the seal dies of it. */
    f = ep_file_new(make_memfd(page, 0), true, &error_abort);
    g_assert_cmpint(ep_mem_map(at, page, f, 0, true), ==, 0);
    g_assert_cmpint(ftruncate(ep_file_fd(f), 0), ==, 0);
    child = fork();
    if (!child) {
        signal(SIGBUS, SIG_DFL);
        /* volatile: the read itself is the test */
        _exit(*(volatile uint8_t *)at);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGBUS);
    /* It is not mapped any more, and can be given up. */
    g_assert_cmpint(ep_mem_map(at, page, f, 0, true), ==, -ERANGE);
    assert_bytes(at, page, 0xff);
    ep_file_free(f);
    ep_mem_release(at, page);
}

static void test_file(void)
{
    EpFile *f = make_file(2), *g = make_file(2);
    EpFile *same = ep_file_new(dup(ep_file_fd(f)), false, &error_abort);
    int fd = ep_file_fd(f);

    g_assert_true(ep_file_same(f, same));
    g_assert_false(ep_file_same(f, g));

    g_assert_true(ep_file_covers(f, 0, 2 * page));
    g_assert_true(ep_file_covers(f, 2 * page, 0));
    g_assert_false(ep_file_covers(f, 1, 2 * page));
    g_assert_false(ep_file_covers(f, UINT64_MAX, 2));
    g_assert_false(ep_file_covers(f, 2, UINT64_MAX));

    g_assert_cmpint(fcntl(fd, F_GETFD), !=, -1);
    ep_file_free(f);
    expect_closed(fd);
    ep_file_free(g);
    /* as if another one were kept */
    fd = ep_file_fd(same);
    ep_file_free_copy(same);
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, -1);
    ep_file_free(NULL);
}

static void test_reserve(void)
{
    size_t size = 5 * MiB + page;
    uint8_t *at = ep_mem_reserve(size, &error_abort);

    assert_bytes(at, size, 0xff);
    at[0] = at[size - 1] = 1;               /* a guest may write */
    ep_mem_unmap(at, size);
    assert_bytes(at, size, 0xff);
    ep_mem_release(at, size);
    ep_mem_release(NULL, size);
}

static void test_reserve_refused(void)
{
    Error *err = NULL;
    void *at;

    g_assert_null(ep_mem_reserve(0, &err));
    error_free_or_abort(&err);
    g_assert_null(ep_mem_reserve(page + 1, &err));
    error_free_or_abort(&err);
    g_assert_null(ep_mem_reserve(EP_MEM_MAX_RESERVED + page, &err));
    error_free_or_abort(&err);
    g_assert_null(ep_mem_reserve(-page, &err));
    error_free_or_abort(&err);

    /* the bound is for all together, and what is released is free again */
    at = ep_mem_reserve(GiB, &error_abort);
    g_assert_null(ep_mem_reserve(EP_MEM_MAX_RESERVED, &err));
    error_free_or_abort(&err);
    ep_mem_release(at, GiB);
    at = ep_mem_reserve(GiB, &error_abort);
    ep_mem_release(at, GiB);
}

static void test_map(void)
{
    uint8_t *at = ep_mem_reserve(4 * page, &error_abort);
    EpFile *f = make_file(3);
    uint8_t value;

    g_assert_cmpint(ep_mem_map(at + page, 2 * page, f, page, true), ==, 0);
    assert_bytes(at, page, 0xff);
    assert_bytes(at + page, page, 2);
    assert_bytes(at + 2 * page, page, 3);
    assert_bytes(at + 3 * page, page, 0xff);

    at[page] = 0x55;
    g_assert_cmpint(pread(ep_file_fd(f), &value, 1, page), ==, 1);
    g_assert_cmphex(value, ==, 0x55);

    /* the mapping needs no descriptor, and a part of it can go */
    ep_file_free(f);
    ep_mem_unmap(at + page, page);
    assert_bytes(at, 2 * page, 0xff);
    assert_bytes(at + 2 * page, page, 3);
    ep_mem_release(at, 4 * page);
}

static void test_map_read_only(void)
{
    uint8_t *at = ep_mem_reserve(page, &error_abort);
    EpFile *f = make_file(1);
    uint8_t value;

    g_assert_cmpint(ep_mem_map(at, page, f, 0, false), ==, 0);
    g_assert_cmphex(at[1], ==, 1);
    at[0] = 0x55;                           /* is lost, does not fault */
    g_assert_cmpint(pread(ep_file_fd(f), &value, 1, 0), ==, 1);
    g_assert_cmphex(value, ==, 1);
    ep_file_free(f);
    ep_mem_release(at, page);
}

static void test_map_fails(void)
{
    uint8_t *at = ep_mem_reserve(2 * page, &error_abort);
    EpFile *f = make_file(2);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", ep_file_fd(f));
    EpFile *ro = ep_file_new(open(path, O_RDONLY), false, &error_abort);

    g_assert_cmpint(ep_mem_map(at, 2 * page, f, 0, true), ==, 0);
    g_assert_cmpint(ep_mem_map(at, 0, f, 0, true), ==, -EINVAL);
    g_assert_cmpint(ep_mem_map(at + 1, page, f, 0, true), ==, -EINVAL);
    g_assert_cmpint(ep_mem_map(at, page + 1, f, 0, true), ==, -EINVAL);
    g_assert_cmpint(ep_mem_map(at, page, f, 1, true), ==, -EINVAL);
    assert_bytes(at, page, 1);              /* nothing of it changed it */

    g_assert_cmpint(ep_mem_map(at, 2 * page, f, page, true), ==, -ERANGE);
    assert_bytes(at, 2 * page, 0xff);

    g_assert_cmpint(ep_mem_map(at, page, f, 0, true), ==, 0);
    g_assert_cmpint(ep_mem_map(at, page, ro, 0, true), ==, -EACCES);
    assert_bytes(at, 2 * page, 0xff);
    g_assert_cmpint(ep_mem_map(at, page, ro, 0, false), ==, 0);
    assert_bytes(at, page, 1);

    ep_file_free(ro);
    ep_file_free(f);
    ep_mem_release(at, 2 * page);
}

/* Writes to pages without a target, between those that come and go */
static void scribble(uint8_t *at, EpFile *f, size_t first, size_t step,
                     size_t end)
{
    for (size_t i = first; i < end; i += step) {
        g_assert_cmpint(ep_mem_map(at + i * page, page, f, 0, true), ==, 0);
        g_assert_cmpuint(at[i * page], ==, 1);
    }
    for (size_t i = 0; i < end; i++) {
        if (i % step != first) {
            at[i * page] = 0x55;
        }
    }
    for (size_t i = first; i < end; i += step) {
        ep_mem_unmap(at + i * page, page);
        g_assert_cmphex(at[i * page], ==, 0xff);
        at[i * page] = 0x55;
    }
}

/* Whatever a guest does, there are no more mappings than it has targets for. */
static void test_mappings(void)
{
    size_t size = 4 * MiB, pages = size / page;
    uint8_t *at = ep_mem_reserve(size, &error_abort);
    EpFile *f = make_file(1);

    /* as QEMU does with memory of a guest */
    madvise(at, size, MADV_HUGEPAGE);
    madvise(at, size, MADV_DONTFORK);
    g_assert_cmpuint(count_mappings(at, size), ==, 2);

    for (size_t step = 1; step < 5; step++) {
        scribble(at, f, 0, step, pages);
        scribble(at, f, step - 1, step, pages);
        g_assert_cmpuint(count_mappings(at, size), ==, 2);
    }
    /* the same around one that stays */
    g_assert_cmpint(ep_mem_map(at, page, f, 0, true), ==, 0);
    scribble(at + page, f, 1, 3, pages - 1);
    g_assert_cmpuint(count_mappings(at, size), ==, 3);
    g_assert_cmphex(at[0], ==, 1);
    ep_mem_unmap(at, size);
    assert_bytes(at, size, 0xff);
    ep_file_free(f);
    ep_mem_release(at, size);
}

/* Lines of /proc/self/maps, all of them */
static unsigned count_all(void)
{
    return count_mappings(NULL, SIZE_MAX);
}

/* Every other page of @at; how many until there is no room */
static size_t map_until_refused(uint8_t *at, size_t pages, EpFile *f)
{
    size_t i;

    for (i = 0; i < pages; i += 2) {
        int ret = ep_mem_map(at + i * page, page, f, 0, true);

        if (ret) {
            g_assert_cmpint(ret, ==, -ENOSPC);
            assert_bytes(at + i * page, page, 0xff);
            break;
        }
        at[(i + 1) * page] = 0x55;
    }
    return i / 2;
}

/* Two devices together are refused in time; both can give up everything. */
static void test_room(void)
{
    g_autofree char *text = NULL;
    size_t limit, pages, first, second;
    uint8_t *a, *b;
    EpFile *f;
    Error *err = NULL;

    g_assert_true(g_file_get_contents("/proc/sys/vm/max_map_count", &text,
                                      NULL, NULL));
    limit = g_ascii_strtoull(text, NULL, 10);
    if (limit > 300000) {
        g_test_skip("vm.max_map_count is too high to be reached quickly");
        return;
    }
    f = make_file(1);
    pages = QEMU_ALIGN_UP(limit, 512) / 2;
    a = ep_mem_reserve(pages * page, &error_abort);
    b = ep_mem_reserve(pages * page, &error_abort);
    first = map_until_refused(a, pages, f);
    second = map_until_refused(b, pages, f);
    g_assert_cmpuint(first, ==, pages / 2);
    g_assert_cmpuint(second, <, pages / 2);
    g_assert_cmpuint(first + second, >, limit * 5 / 16);
    g_assert_cmpuint(count_all(), <, limit);

    /* a reservation needs some as well */
    g_assert_null(ep_mem_reserve(64 * MiB, &err));
    error_free_or_abort(&err);

    /* one less, one more; a hole in a target is one more */
    ep_mem_unmap(a, page);
    g_assert_cmpint(ep_mem_map(b + (pages - 1) * page, page, f, 0, true), ==,
                    0);
    g_assert_cmpint(ep_mem_map(a, page, f, 0, true), ==, -ENOSPC);
    ep_mem_unmap(a, pages * page);
    g_assert_cmpint(ep_mem_map(a, page, f, 0, true), ==, 0);
    ep_mem_unmap(b, pages * page);
    assert_bytes(b, page * 64, 0xff);
    ep_mem_release(a, pages * page);
    ep_mem_release(b, pages * page);

    /* all of it is free again */
    a = ep_mem_reserve(pages * page, &error_abort);
    g_assert_cmpuint(map_until_refused(a, pages, f), ==, pages / 2);
    ep_mem_release(a, pages * page);
    ep_file_free(f);
}

/* Cut, replaced, joined: as many mappings as are counted, no more. */
static void test_cut(void)
{
    size_t n = 64;
    uint8_t *at = ep_mem_reserve(n * page, &error_abort);
    EpFile *f = make_file(64);

    for (unsigned round = 0; round < 1000; round++) {
        g_assert_cmpint(ep_mem_map(at, n * page, f, 0, true), ==, 0);
        for (size_t i = 1; i < n; i += 2) {
            ep_mem_unmap(at + i * page, page);
        }
        g_assert_cmpint(ep_mem_map(at + page, 8 * page, f, 0, true), ==, 0);
        g_assert_cmphex(at[8 * page], ==, 8);
        g_assert_cmphex(at[10 * page], ==, 11);
        assert_bytes(at + 9 * page, page, 0xff);
        if (round & 1) {
            ep_mem_unmap(at, n * page);
        }
    }
    ep_mem_release(at, n * page);
    ep_file_free(f);
}

/*
 * RLIMIT_DATA refuses private memory, as vm.overcommit_memory=2 does. Memory of
 * the peer is given up all the same.
 */
static void test_no_promise(void)
{
    size_t size = 5 * MiB;
    uint8_t *at = ep_mem_reserve(size, &error_abort);
    EpFile *f = ep_file_new(make_memfd(size, SEALS), false, &error_abort);
    struct rlimit old, none;

    g_assert_cmpint(ep_mem_map(at, size, f, 0, true), ==, 0);
    assert_bytes(at, size, 0);
    getrlimit(RLIMIT_DATA, &old);
    none = old;
    none.rlim_cur = page;       /* The kernel takes 0 for no limit. */
    for (unsigned round = 0; round < 2; round++) {
        setrlimit(RLIMIT_DATA, &none);
        ep_mem_unmap(at + page, size - page);
        setrlimit(RLIMIT_DATA, &old);
        /* The target in front of it stays. */
        assert_bytes(at, page, 0);
        assert_bytes(at + page, size - page, 0xff);
        at[page] = 1;               /* a guest may write */
        at[size - 1] = 1;
        g_assert_cmpint(ep_mem_map(at, size, f, 0, true), ==, 0);
        assert_bytes(at, size, 0);
    }
    ep_mem_unmap(at, size);
    assert_bytes(at, size, 0xff);
    ep_file_free(f);
    ep_mem_release(at, size);
}

/* What is in no reservation is left alone. */
static void test_elsewhere(void)
{
    uint8_t *at = ep_mem_reserve(2 * page, &error_abort);
    EpFile *f = make_file(2);
    g_autofree uint8_t *mine = g_malloc0(3 * page);
    uint8_t *p = QEMU_ALIGN_PTR_UP(mine, page);

    g_assert_cmpint(ep_mem_map(p, page, f, 0, true), ==, -EINVAL);
    ep_mem_unmap(p, page);
    ep_mem_release(p, page);
    assert_bytes(p, page, 0);
    g_assert_cmpint(ep_mem_map(at + page, 2 * page, f, 0, true), ==, -EINVAL);
    assert_bytes(at, 2 * page, 0xff);
    ep_file_free(f);
    ep_mem_release(at, 2 * page);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    page = qemu_real_host_page_size();

    g_test_add_func("/ep-mem/file/refused", test_file_refused);
    g_test_add_func("/ep-mem/file/huge", test_file_huge);
    g_test_add_func("/ep-mem/file/trusted", test_file_trusted);
    g_test_add_func("/ep-mem/file/shrinks", test_file_shrinks);
    g_test_add_func("/ep-mem/file/accepted", test_file);
    g_test_add_func("/ep-mem/reserve", test_reserve);
    g_test_add_func("/ep-mem/reserve/refused", test_reserve_refused);
    g_test_add_func("/ep-mem/map", test_map);
    g_test_add_func("/ep-mem/map/read-only", test_map_read_only);
    g_test_add_func("/ep-mem/map/fails", test_map_fails);
    g_test_add_func("/ep-mem/mappings", test_mappings);
    g_test_add_func("/ep-mem/room", test_room);
    g_test_add_func("/ep-mem/cut", test_cut);
    /* ThreadSanitizer itself allocates private memory for each access. */
    if (!g_getenv("TSAN_OPTIONS")) {
        g_test_add_func("/ep-mem/no-promise", test_no_promise);
    }
    g_test_add_func("/ep-mem/elsewhere", test_elsewhere);
    return g_test_run();
}
