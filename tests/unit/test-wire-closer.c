/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of wire/closer: what a peer passed is given up, and nobody waits
 */
#include "qemu/osdep.h"
#include "qemu/memfd.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/pci-ep/wire/closer.h"
#include "wire-test.h"

#include <sys/mman.h>
#include <sys/resource.h>

static int make_memfd(void)
{
    return qemu_memfd_create("test", 4096, false, 0, F_SEAL_SHRINK,
                             &error_abort);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

/* An eventfd is closed at once, and memory and mappings soon. */
static void test_closed(void)
{
    int open_fds = count_fds();
    int event = make_fd(0), memory = make_memfd();
    size_t size = 200 * MiB;
    uint8_t vec;
    char *at = mmap(NULL, size, PROT_READ, MAP_SHARED, memory, 0);

    epw_close(event);
    g_assert_false(is_open(event));
    epw_close(memory);
    expect_fds(open_fds);
    epw_unmap(at, size);
    while (mincore(at + size - qemu_real_host_page_size(),
                   qemu_real_host_page_size(), &vec) == 0) {
        g_usleep(1000);
    }
    g_assert_cmpint(errno, ==, ENOMEM);
}

/* A descriptor that waits holds up neither its owner nor memory. */
static void test_lingering(void)
{
    int open_fds = count_fds(), reader;
    int fd = vfu_msg_lingering(&reader);

    epw_close(fd);
    epw_close(make_memfd());
    /* The kernel takes the number of @fd from the table before it waits. */
    expect_fds(open_fds + 1);
    close(reader);
    expect_fds(open_fds);
}

/* The queue of what may wait is bounded, and others do not share its bound. */
static void test_full(void)
{
    int open_fds = count_fds(), reader, memory = make_memfd();
    int event = make_fd(0), root = open("/", O_RDONLY | O_CLOEXEC);

    epw_close(vfu_msg_lingering(&reader));
    for (unsigned i = 1; i < EPW_CLOSER_MAX; i++) {
        g_assert_true(epw_closer_takes(root));
        g_assert_false(epw_closer_full());
        epw_close(dup(root));
    }
    g_assert_true(epw_closer_full());
    g_assert_false(epw_closer_takes(root));
    g_assert_true(epw_closer_takes(memory));
    g_assert_true(epw_closer_takes(event));

    close(reader);
    expect_fds(open_fds + 3);
    while (epw_closer_full()) {
        g_usleep(1000);
    }
    g_assert_true(epw_closer_takes(root));
    close(root);
    close(memory);
    close(event);
}

int main(int argc, char **argv)
{
    struct rlimit files;

    g_test_init(&argc, &argv, NULL);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    g_test_add_func("/epw/closer/closed", test_closed);
    g_test_add_func("/epw/closer/lingering", test_lingering);
    g_test_add_func("/epw/closer/full", test_full);
    return g_test_run();
}
