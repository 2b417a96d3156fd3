/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of endpoint/host-memory: ranges of which parts are unmapped, and
 * the end of a host with much memory
 */
#include "qemu/osdep.h"
#include "qemu/memfd.h"
#include "qapi/error.h"
#include "hw/pci-ep/endpoint/host-memory.h"

static void add(EpcHostMemory *t, uint64_t address, uint64_t size, int err)
{
    VfuDmaMap map = {
        .flags = VFU_DMA_READ, .address = address, .size = size,
    };

    g_assert_cmpint(epc_host_memory_add(t, &map, NULL), ==, err);
}

/* -ENOTSUP: allowed, but by message only; -EACCES: not even that */
static void check(EpcHostMemory *t, uint64_t address, int err)
{
    EpcHostRun run;

    g_assert_cmpint(epc_host_memory_find(t, address, 1, &run), ==, err);
}

static void test_cut(void)
{
    EpcHostMemory *t = epc_host_memory_new();

    add(t, 0x1000, 0x3000, 0);
    check(t, 0x1000, -EACCES);      /* no messages */
    epc_host_memory_set_messages(t, true);
    epc_host_memory_remove(t, 0x2000, 0x2fff);
    g_assert_cmpuint(epc_host_memory_count(t), ==, 2);
    check(t, 0x1fff, -ENOTSUP);
    check(t, 0x2000, -EFAULT);
    check(t, 0x2fff, -EFAULT);
    check(t, 0x3000, -ENOTSUP);
    epc_host_memory_remove(t, 0x1800, 0x37ff);
    g_assert_cmpuint(epc_host_memory_count(t), ==, 2);
    check(t, 0x17ff, -ENOTSUP);
    check(t, 0x3800, -ENOTSUP);
    epc_host_memory_clear(t);
    g_assert_cmpuint(epc_host_memory_count(t), ==, 0);
    epc_host_memory_free(t);
}

/* One range in pieces must not cost more than many ranges. */
static void test_cut_limit(void)
{
    EpcHostMemory *t = epc_host_memory_new();

    add(t, 0, 1ull << 62, 0);
    for (uint64_t i = 1; i < EPC_HOST_MAX_RANGES + 100; i++) {
        uint64_t hole = i << 13;

        epc_host_memory_remove(t, hole, hole + 0xfff);
        g_assert_cmpuint(epc_host_memory_count(t), <=, EPC_HOST_MAX_RANGES);
        check(t, hole, -EFAULT);
    }
    check(t, 0, -EACCES);
    add(t, 1ull << 63, 0x1000, ENOSPC);
    epc_host_memory_free(t);
}

/*
 * How much of the 64 GiB has pages. The environment may say more: with 2048 the
 * test takes seconds.
 */
static uint64_t touched_bytes(void)
{
    const char *mib = g_getenv("PCI_EP_TEST_TOUCHED_MIB");

    return (mib ? g_ascii_strtoull(mib, NULL, 10) : 128) * MiB;
}

/* Adds host memory of which this process has the only descriptor. */
static EpcHostMemory *sparse_memory(uint64_t touched)
{
    VfuDmaMap map = { .flags = VFU_DMA_READ | VFU_DMA_WRITE, .size = 64 * GiB };
    int fd = qemu_memfd_create("host", map.size, false, 0, F_SEAL_SHRINK,
                               &error_abort);
    EpcHostMemory *t = epc_host_memory_new();
    EpcHostPointer p;

    g_assert_cmpint(fallocate(fd, 0, 0, touched), ==, 0);
    g_assert_cmpint(epc_host_memory_add(t, &map,
                                        ep_file_new(fd, false, &error_abort)),
                    ==, 0);
    g_assert_cmpint(epc_host_memory_point(t, 0, touched, true, &p), ==, 0);
    for (uint64_t i = 0; i < p.size; i += qemu_real_host_page_size()) {
        p.ptr[i] = 1;
    }
    epc_host_view_unref(p.view);
    return t;
}

/* Processor time of this thread, in microseconds */
static int64_t thread_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/*
 * The device clears the ranges with its lock held. The kernel frees the pages
 * in another thread, whichever way they go.
 */
static void test_much_memory(const void *arg)
{
    bool unmap = GPOINTER_TO_SIZE(arg);
    EpcHostMemory *t = sparse_memory(touched_bytes());
    int64_t start = thread_us();

    if (unmap) {
        epc_host_memory_remove(t, 0, 64 * GiB - 1);
    } else {
        epc_host_memory_clear(t);
    }
    g_assert_cmpint(thread_us() - start, <, 10 * 1000);
    epc_host_memory_free(t);
}

/* ---- Ranges that continue each other ---- */

#define PAGE    0x1000ull

static EpFile *new_file(uint64_t size, int *fd)
{
    *fd = qemu_memfd_create("host", size, false, 0, F_SEAL_SHRINK,
                            &error_abort);
    return ep_file_new(dup(*fd), false, &error_abort);
}

static void add_page(EpcHostMemory *t, int fd, unsigned at, unsigned from,
                     uint32_t flags)
{
    VfuDmaMap map = {
        .flags = flags, .address = at * PAGE, .size = PAGE,
        .offset = from * PAGE,
    };
    EpFile *file = fd >= 0 ? ep_file_new(dup(fd), false, &error_abort) : NULL;

    g_assert_cmpint(epc_host_memory_add(t, &map, file), ==, 0);
}

static void check_run(EpcHostMemory *t, unsigned at, unsigned from,
                      unsigned pages)
{
    EpcHostRun run;

    g_assert_cmpint(epc_host_memory_find(t, at * PAGE, 64 * PAGE, &run), ==, 0);
    g_assert_cmphex(run.offset, ==, from * PAGE);
    g_assert_cmphex(run.size, ==, pages * PAGE);
}

static void test_merge(void)
{
    const uint32_t rw = VFU_DMA_READ | VFU_DMA_WRITE;
    EpcHostMemory *t = epc_host_memory_new();
    int fd;

    ep_file_free(new_file(32 * PAGE, &fd));
    add_page(t, fd, 3, 13, rw);
    add_page(t, fd, 5, 15, rw);
    g_assert_cmpuint(epc_host_memory_count(t), ==, 2);
    add_page(t, fd, 4, 14, rw);
    g_assert_cmpuint(epc_host_memory_count(t), ==, 1);
    add_page(t, fd, 2, 12, rw);
    add_page(t, fd, 6, 16, rw);
    g_assert_cmpuint(epc_host_memory_count(t), ==, 1);
    check_run(t, 2, 12, 5);
    check_run(t, 4, 14, 3);

    /* elsewhere in the file, other rights, no file */
    add_page(t, fd, 7, 27, rw);
    add_page(t, fd, 8, 28, VFU_DMA_READ);
    add_page(t, -1, 9, 0, rw);
    add_page(t, -1, 10, 0, rw);
    g_assert_cmpuint(epc_host_memory_count(t), ==, 4);
    check_run(t, 6, 16, 1);
    check_run(t, 7, 27, 1);
    check_run(t, 8, 28, 1);

    /* the host takes back what it gave, page by page */
    epc_host_memory_remove(t, 4 * PAGE, 5 * PAGE - 1);
    g_assert_cmpuint(epc_host_memory_count(t), ==, 5);
    check(t, 4 * PAGE, -EFAULT);
    check_run(t, 2, 12, 2);
    check_run(t, 5, 15, 2);
    add_page(t, fd, 4, 14, rw);
    check_run(t, 2, 12, 5);

    /* both ends of the addresses */
    epc_host_memory_clear(t);
    add_page(t, fd, 0, 0, rw);
    epc_host_memory_remove(t, 0, UINT64_MAX);
    g_assert_cmpuint(epc_host_memory_count(t), ==, 0);
    epc_host_memory_free(t);
    close(fd);
}

/* ---- Views ---- */

static EpcHostPointer point(EpcHostMemory *t, uint64_t addr)
{
    EpcHostPointer p;

    g_assert_cmpint(epc_host_memory_point(t, addr, 8, true, &p), ==, 0);
    g_assert_cmpuint(p.size, ==, 8);
    return p;
}

/* More views than there may be of a large file: each reaches its bytes. */
static void test_views(void)
{
    const unsigned views = EPC_HOST_VIEWS_MAX + 50;
    VfuDmaMap map = {
        .flags = VFU_DMA_READ | VFU_DMA_WRITE, .size = 1ull << 40,
    };
    EpcHostMemory *t = epc_host_memory_new();
    EpcHostPointer kept;
    uint64_t v;
    int fd;

    g_assert_cmpint(epc_host_memory_add(t, &map, new_file(map.size, &fd)), ==,
                    0);
    g_assert_cmpuint(epc_host_views_count(), ==, 0);
    kept = point(t, 16);
    for (uint64_t i = 1; i < views; i++) {
        EpcHostPointer p = point(t, i * EPC_HOST_VIEW_SIZE + 8 * i);

        memcpy(p.ptr, &i, 8);
        epc_host_view_unref(p.view);
        g_assert_cmpuint(epc_host_views_count(), <=, EPC_HOST_VIEWS_MAX);
    }
    for (uint64_t i = 1; i < views; i++) {
        g_assert_cmpint(pread(fd, &v, 8, i * EPC_HOST_VIEW_SIZE + 8 * i), ==,
                        8);
        g_assert_cmpuint(v, ==, i);
    }
    /* one that is in use stays */
    memset(kept.ptr, 0x77, 8);
    g_assert_cmpint(pread(fd, &v, 8, 16), ==, 8);
    g_assert_cmphex(v, ==, 0x7777777777777777);

    /* and after the end of the host */
    epc_host_memory_clear(t);
    g_assert_cmpuint(epc_host_views_count(), ==, 0);
    memset(kept.ptr, 0x55, 8);
    epc_host_view_unref(kept.view);
    epc_host_memory_free(t);
    close(fd);
}

/* An access ends where a view does. */
static void test_view_end(void)
{
    VfuDmaMap map = {
        .flags = VFU_DMA_READ, .size = 2 * EPC_HOST_VIEW_SIZE,
    };
    EpcHostMemory *t = epc_host_memory_new();
    EpcHostPointer p;
    int fd;

    g_assert_cmpint(epc_host_memory_add(t, &map, new_file(map.size, &fd)), ==,
                    0);
    g_assert_cmpint(epc_host_memory_point(t, EPC_HOST_VIEW_SIZE - 3, 100, false,
                                          &p), ==, 0);
    g_assert_cmpuint(p.size, ==, 3);
    epc_host_view_unref(p.view);
    epc_host_memory_free(t);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/epc-dma-table/cut", test_cut);
    g_test_add_func("/epc-dma-table/cut-limit", test_cut_limit);
    g_test_add_func("/epc-dma-table/merge", test_merge);
    g_test_add_func("/epc-dma-table/views", test_views);
    g_test_add_func("/epc-dma-table/view-end", test_view_end);
    g_test_add_data_func("/epc-dma-table/much-memory/link-down",
                         GSIZE_TO_POINTER(false), test_much_memory);
    g_test_add_data_func("/epc-dma-table/much-memory/dma-unmap",
                         GSIZE_TO_POINTER(true), test_much_memory);
    return g_test_run();
}
