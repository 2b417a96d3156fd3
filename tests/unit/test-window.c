/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of endpoint/window: many maps of the same host memory, which the
 * host allows in many ranges
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/memfd.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/pci-ep/endpoint/window.h"

#define PAGE        4096ull
#define MAPS        64
#define MAP_SIZE    (256 * MiB)
#define PAGES       (MAP_SIZE / PAGE)       /* one more than ranges may be */

/* Processor time that one change may take, with sanitizers */
#define LIMIT_US    200000
/* The same for the longest turn, in which the caller has its lock */
#define TURN_US     10000

typedef struct Fixture {
    EpcWindow w;
    EpcHostMemory *t;
    int fd;
} Fixture;

static int64_t thread_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static void host_add_flags(Fixture *f, uint64_t addr, uint64_t size,
                           uint64_t offset, uint32_t flags)
{
    VfuDmaMap map = {
        .flags = flags, .address = addr, .size = size, .offset = offset,
    };
    EpFile *file = ep_file_new(dup(f->fd), false, &error_abort);

    g_assert_cmpint(epc_host_memory_add(f->t, &map, file), ==, 0);
}

static void host_add(Fixture *f, uint64_t addr, uint64_t size, uint64_t offset)
{
    host_add_flags(f, addr, size, offset, VFU_DMA_READ | VFU_DMA_WRITE);
}

static void fixture_changed(EpcWindow *w)
{
}

/* The longest turn of the fixture takes so much processor time. */
static int64_t restore(Fixture *f, uint64_t first, uint64_t last)
{
    int64_t longest = 0, start;
    bool more;

    start = thread_us();
    epc_window_restore(&f->w, 0, first, last);
    longest = thread_us() - start;
    do {
        start = thread_us();
        more = epc_window_restore_more(&f->w, 0, f->t);
        longest = MAX(longest, thread_us() - start);
    } while (more);
    return longest;
}

/*
 * Carries out what is left of a MAP that has the status @status. A MAP ends its
 * turn by the clock, so a busy machine may need several for the smallest one.
 */
static void end_map(Fixture *f, uint32_t status)
{
    while (status == EPC_STATUS_BUSY) {
        status = epc_window_map_more(&f->w, 0, f->t);
    }
    g_assert_cmpuint(status, ==, EPC_STATUS_OK);
}

/* Maps that were live once: MAP wants a host that allows all of it. */
static void fixture_start(Fixture *f)
{
    *f = (Fixture) { .t = epc_host_memory_new() };
    f->fd = qemu_memfd_create("host", MAP_SIZE, false, 0, F_SEAL_SHRINK,
                              &error_abort);
    g_assert_true(epc_window_init(&f->w, MAPS * MAP_SIZE, MAPS, &error_abort));
    f->w.changed = fixture_changed;
    host_add(f, 0, MAP_SIZE, 0);
    for (uint64_t i = 0; i < MAPS; i++) {
        end_map(f, epc_window_map(&f->w, 0, f->t, i * MAP_SIZE, 0, MAP_SIZE));
    }
    g_assert_cmpuint(f->w.live, ==, MAPS);
    epc_window_revoke(&f->w, 0, 0, UINT64_MAX);
    epc_host_memory_clear(f->t);
    g_assert_cmpuint(f->w.live, ==, 0);
}

static void fixture_end(Fixture *f)
{
    epc_window_clear(&f->w);
    ep_mem_release(f->w.base, f->w.size);
    epc_host_memory_free(f->t);
    close(f->fd);
}

/* The host allows the last page that it has not allowed yet. */
static void add_last(Fixture *f, uint64_t page, uint64_t offset)
{
    int64_t start;

    host_add(f, page * PAGE, PAGE, offset);
    start = thread_us();
    g_assert_cmpint(restore(f, page * PAGE, page * PAGE + PAGE - 1), <,
                    TURN_US);
    g_assert_cmpint(thread_us() - start, <, LIMIT_US);
}

/* Pages in reverse order are as many places, and the last one is missing. */
static void test_scattered(void)
{
    Fixture f;

    fixture_start(&f);
    for (uint64_t i = 1; i < PAGES - 1; i++) {
        host_add(&f, i * PAGE, PAGE, (PAGES - 1 - i) * PAGE);
    }
    add_last(&f, 0, (PAGES - 1) * PAGE);
    g_assert_cmpuint(f.w.live, ==, 0);
    fixture_end(&f);
}

/* Page by page, in order: that is one place for each map. */
static void test_contiguous(void)
{
    Fixture f;

    fixture_start(&f);
    for (uint64_t i = 1; i < PAGES; i++) {
        host_add(&f, i * PAGE, PAGE, i * PAGE);
    }
    add_last(&f, 0, 0);
    g_assert_cmpuint(f.w.live, ==, MAPS);
    g_assert_cmpuint(f.w.runs, ==, MAPS);
    fixture_end(&f);
}

/* ---- Many runs ---- */

#define RUNS        (EPC_WINDOW_MAX_RUNS)

/* A host with as many runs as may be mapped, and one map that has all of them */
static void runs_start(Fixture *f)
{
    *f = (Fixture) { .t = epc_host_memory_new() };
    f->fd = qemu_memfd_create("host", RUNS * PAGE, false, 0, F_SEAL_SHRINK,
                              &error_abort);
    g_assert_true(epc_window_init(&f->w, RUNS * PAGE, 1, &error_abort));
    f->w.changed = fixture_changed;
    for (uint64_t i = 0; i < RUNS; i++) {
        host_add(f, i * PAGE, PAGE, (RUNS - 1 - i) * PAGE);
    }
}

/* Stores the number of each page in the file. */
static void runs_number(Fixture *f)
{
    for (uint64_t i = 0; i < RUNS; i++) {
        g_assert_cmpint(pwrite(f->fd, &i, sizeof(i), i * PAGE), ==, sizeof(i));
    }
}

static uint64_t runs_page(Fixture *f, uint64_t i)
{
    return qatomic_read((uint64_t *)((char *)f->w.base + i * PAGE));
}

static void runs_check(Fixture *f)
{
    g_assert_cmpuint(f->w.live, ==, 1);
    g_assert_cmpuint(f->w.runs, ==, RUNS);
    for (uint64_t i = 0; i < RUNS; i++) {
        g_assert_cmphex(runs_page(f, i), ==, RUNS - 1 - i);
    }
}

/* MAP in turns, of which the longest is returned */
static int64_t runs_map(Fixture *f)
{
    int64_t start = thread_us();
    uint32_t status = epc_window_map(&f->w, 0, f->t, 0, 0, RUNS * PAGE);
    int64_t longest = thread_us() - start;

    while (status == EPC_STATUS_BUSY) {
        start = thread_us();
        status = epc_window_map_more(&f->w, 0, f->t);
        longest = MAX(longest, thread_us() - start);
    }
    g_assert_cmpuint(status, ==, EPC_STATUS_OK);
    return longest;
}

static void test_turns(void)
{
    int64_t map, restored;
    Fixture f;

    runs_start(&f);
    runs_number(&f);
    map = runs_map(&f);
    runs_check(&f);
    epc_window_revoke(&f.w, 0, 0, UINT64_MAX);
    g_assert_cmpuint(f.w.runs, ==, 0);
    restored = restore(&f, 0, UINT64_MAX);
    runs_check(&f);
    g_test_message("longest turns: %" PRId64 " and %" PRId64 " us", map,
                   restored);
    g_assert_cmpint(map, <, TURN_US);
    g_assert_cmpint(restored, <, TURN_US);
    fixture_end(&f);
}

/* Begins to restore all, and returns in the middle, with pages that show. */
static void runs_half(Fixture *f)
{
    epc_window_restore(&f->w, 0, 0, UINT64_MAX);
    do {
        g_assert_true(epc_window_restore_more(&f->w, 0, f->t));
    } while (runs_page(f, 0) == UINT64_MAX);
    g_assert_cmphex(runs_page(f, 0), ==, RUNS - 1);
    g_assert_cmphex(runs_page(f, RUNS - 1), ==, UINT64_MAX);
    g_assert_cmpuint(f->w.live, ==, 0);
}

/* The host takes memory away between two turns. */
static void test_revoked_in_turns(void)
{
    Fixture f;

    runs_start(&f);
    runs_number(&f);
    runs_map(&f);
    epc_window_revoke(&f.w, 0, 0, UINT64_MAX);

    runs_half(&f);
    epc_window_revoke(&f.w, 0, PAGE, PAGE);
    g_assert_cmphex(runs_page(&f, 0), ==, UINT64_MAX);
    g_assert_cmpuint(f.w.runs, ==, 0);
    g_assert_false(epc_window_restore_more(&f.w, 0, f.t));
    g_assert_cmpuint(f.w.live, ==, 0);

    /* UNMAP */
    runs_half(&f);
    epc_window_unmap(&f.w, 0, 0);
    g_assert_cmphex(runs_page(&f, 0), ==, UINT64_MAX);
    g_assert_cmpuint(f.w.runs, ==, 0);
    g_assert_false(epc_window_restore_more(&f.w, 0, f.t));
    fixture_end(&f);
}

/* The host takes memory away, and gives it back, while MAP is BUSY. */
static void test_revoked_in_map(void)
{
    uint32_t status;
    Fixture f;

    runs_start(&f);
    runs_number(&f);
    status = epc_window_map(&f.w, 0, f.t, 0, 0, RUNS * PAGE);
    g_assert_cmpuint(status, ==, EPC_STATUS_BUSY);
    epc_window_revoke(&f.w, 0, PAGE, PAGE);
    g_assert_cmpuint(f.w.runs, ==, 0);
    epc_window_restore(&f.w, 0, PAGE, PAGE);
    g_assert_false(epc_window_restore_more(&f.w, 0, f.t));
    end_map(&f, status);
    runs_check(&f);

    /* The same without giving it back: the map is there, and not live. */
    status = epc_window_map(&f.w, 0, f.t, 0, 0, RUNS * PAGE);
    g_assert_cmpuint(status, ==, EPC_STATUS_BUSY);
    epc_window_revoke(&f.w, 0, PAGE, PAGE);
    g_assert_cmpuint(epc_window_map_more(&f.w, 0, f.t), ==, EPC_STATUS_OK);
    g_assert_cmpuint(f.w.live, ==, 0);
    g_assert_cmpuint(f.w.count, ==, 1);
    fixture_end(&f);
}

/* The host has other memory at the last page than when it was counted. */
static void test_changed_in_turns(void)
{
    Fixture f;

    runs_start(&f);
    runs_number(&f);
    runs_map(&f);
    epc_window_revoke(&f.w, 0, 0, UINT64_MAX);

    runs_half(&f);
    epc_host_memory_remove(f.t, (RUNS - 1) * PAGE, RUNS * PAGE - 1);
    while (epc_window_restore_more(&f.w, 0, f.t)) {
        /* goes on */
    }
    g_assert_cmpuint(f.w.live, ==, 0);
    g_assert_cmpuint(f.w.runs, ==, 0);
    g_assert_cmphex(runs_page(&f, 0), ==, UINT64_MAX);
    fixture_end(&f);
}

/* A MAP that traps is complete when the caller was told of it, not before. */
static void test_trapped_in_map(void)
{
    EpcWindowSpan span[EPC_MAX_TRAPPED_MAPS];
    Fixture f;

    fixture_start(&f);
    epc_window_clear(&f.w);
    host_add_flags(&f, 0, PAGE, 0, VFU_DMA_READ);
    g_assert_cmpuint(epc_window_map(&f.w, 0, f.t, 0, 0, PAGE), ==,
                     EPC_STATUS_BUSY);
    while (!f.w.trapped) {
        g_assert_cmpuint(epc_window_map_more(&f.w, 0, f.t), ==,
                         EPC_STATUS_BUSY);
    }
    g_assert_cmpuint(epc_window_map_more(&f.w, 0, f.t), ==, EPC_STATUS_BUSY);
    g_assert_cmpuint(epc_window_trapped(&f.w, span), ==, 1);
    g_assert_cmpuint(epc_window_map_more(&f.w, 0, f.t), ==, EPC_STATUS_OK);
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/epc-window/scattered", test_scattered);
    g_test_add_func("/epc-window/contiguous", test_contiguous);
    g_test_add_func("/epc-window/turns", test_turns);
    g_test_add_func("/epc-window/revoked-in-turns", test_revoked_in_turns);
    g_test_add_func("/epc-window/revoked-in-map", test_revoked_in_map);
    g_test_add_func("/epc-window/changed-in-turns", test_changed_in_turns);
    g_test_add_func("/epc-window/trapped-in-map", test_trapped_in_map);
    return g_test_run();
}
