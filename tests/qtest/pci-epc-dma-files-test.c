/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a fake host whose memory is large files
 */
#include "qemu/osdep.h"
#include <sys/resource.h>
#include "pci-ep/dma.h"

#define FILES       60              /* one function may have 64 */
#define FILE_SIZE   (1ull << 41)    /* bytes, without pages */
#define AT(n)       (LONG + (n) * MEM_SIZE)

/* A line of the status of the endpoint's QEMU, in bytes */
static uint64_t vm_status(EpDma *d, const char *key)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status",
                                            (int)qtest_pid(d->e->q));
    g_autofree char *text = NULL;
    const char *at;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    at = strstr(text, key);
    g_assert_nonnull(at);
    return g_ascii_strtoull(at + strlen(key), NULL, 10) * 1024;
}

static uint64_t vm_size(EpDma *d)
{
    return vm_status(d, "VmSize:");
}

static int sparse_file(uint64_t size)
{
    int fd = memfd_create("host", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, size), ==, 0);
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
    return fd;
}

/* Reads and writes the last bytes of a file by DMA. */
static void check_end(EpDma *d, int fd, uint64_t size, uint64_t addr)
{
    uint64_t v = addr * 3;

    g_assert_cmpint(fakehost_dma_map(d->c, addr, 0x1000, fd, size - 0x1000, RW),
                    ==, 0);
    g_assert_cmpint(pwrite(fd, &v, 8, size - 8), ==, 8);
    g_assert_cmpuint(epdma_copy(d, addr + 0xff8, BUFFER, 8, FROM_HOST), ==,
                     EPC_DMA_OK);
    g_assert_cmphex(qtest_readq(d->e->q, BUFFER), ==, v);
    g_assert_cmpuint(epdma_copy(d, BUFFER, addr + 0xff0, 8, TO_HOST), ==,
                     EPC_DMA_OK);
    v = 0;
    g_assert_cmpint(pread(fd, &v, 8, size - 16), ==, 8);
    g_assert_cmphex(v, ==, addr * 3);
}

/*
 * The host chooses the sizes of its files, and what this process maps of them
 * does not depend on that.
 */
static void test_huge(void)
{
    EpDma d = epdma_start("");
    uint64_t before = vm_size(&d);

    for (unsigned n = 0; n < FILES; n++) {
        int fd = sparse_file(FILE_SIZE);

        check_end(&d, fd, FILE_SIZE, AT(n));
        close(fd);
    }
    g_assert_cmpuint((vm_size(&d) - before) >> 30, <=, 64);
    epdma_end(&d);
}

static void check_little_memory(EpDma *d, int fd)
{
    struct stat st;

    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(st.st_blocks * 512, <=, 1 << 20);
    g_assert_cmpuint(vm_status(d, "VmRSS:"), <, EPVM_RAM_SIZE + (384u << 20));
}

/*
 * A process that locks its memory allocates neither that of the host nor pages
 * that show nothing.
 */
static void test_mem_lock(void)
{
    const uint64_t size = 512 << 20;
    struct rlimit limit;
    EpDma d;
    int fd;

    g_assert_cmpint(getrlimit(RLIMIT_MEMLOCK, &limit), ==, 0);
    if (geteuid() && limit.rlim_cur != RLIM_INFINITY) {
        g_test_skip("this user may not lock memory");
        return;
    }
    d = epdma_start(",window-size=1G -overcommit mem-lock=on");
    fd = sparse_file(size);
    check_end(&d, fd, size, AT(0));
    check_little_memory(&d, fd);

    g_assert_cmpint(fakehost_dma_map(d.c, AT(1), size, fd, 0, RW), ==, 0);
    g_assert_cmpuint(epvm_map(d.e, 0, AT(1), size), ==, EPC_STATUS_OK);
    qtest_writel(d.e->q, EPVM_WINDOW + 0x1000, 0x12345678);
    g_assert_cmphex(qtest_readl(d.e->q, EPVM_WINDOW + 0x1000), ==, 0x12345678);
    check_little_memory(&d, fd);
    g_assert_cmpint(fakehost_dma_unmap(d.c, AT(1), size), ==, 0);
    g_assert_cmphex(qtest_readl(d.e->q, EPVM_WINDOW + 0x1000), ==, UINT32_MAX);
    check_little_memory(&d, fd);
    close(fd);
    epdma_end(&d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/dma/files/huge", test_huge);
    qtest_add_func("/pci-epc/dma/files/mem-lock", test_mem_lock);
    return g_test_run();
}
