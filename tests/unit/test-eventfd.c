/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of shared/eventfd
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/eventfd.h>
#include "qapi/error.h"
#include "qemu/thread.h"
#include "hw/pci-ep/shared/eventfd.h"

#define FULL (UINT64_MAX - 1)

static uint64_t take(int fd)
{
    uint64_t n = 0;

    g_assert_cmpint(read(fd, &n, sizeof(n)), ==, sizeof(n));
    return n;
}

static bool readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 0) == 1;
}

/* Far more than completions are kept */
static void test_count(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    for (unsigned i = 0; i < 5000; i++) {
        g_assert_true(ep_eventfd_signal(fd));
    }
    g_assert_true(readable(fd));
    g_assert_cmpuint(take(fd), ==, 5000);
    g_assert_false(readable(fd));
    close(fd);
}

/* What a peer does to block whoever writes */
static void test_full(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    uint64_t full = FULL;

    g_assert_cmpint(write(fd, &full, sizeof(full)), ==, sizeof(full));
    alarm(10);
    for (unsigned i = 0; i < 1000; i++) {
        g_assert_true(ep_eventfd_signal(fd));
    }
    alarm(0);
    g_assert_cmphex(take(fd), >=, FULL);
    g_assert_true(ep_eventfd_signal(fd));
    g_assert_cmpuint(take(fd), ==, 1);
    close(fd);
}

/* A peer that clears O_NONBLOCK cannot make it wait */
static void test_take(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    alarm(10);
    g_assert_false(ep_eventfd_read_nowait(fd));
    g_assert_true(ep_eventfd_signal(fd));
    g_assert_true(ep_eventfd_signal(fd));
    g_assert_true(ep_eventfd_read_nowait(fd));
    g_assert_false(ep_eventfd_read_nowait(fd));
    alarm(0);
    close(fd);
    g_assert_false(ep_eventfd_read_nowait(fd));
}

static void test_other_files(void)
{
    int fd[2];

    g_assert_cmpint(pipe(fd), ==, 0);
    g_assert_false(ep_eventfd_signal(fd[1]));
    g_assert_false(readable(fd[0]));
    close(fd[0]);
    close(fd[1]);
    g_assert_false(ep_eventfd_signal(fd[0]));
    g_assert_false(ep_eventfd_signal(-1));
}

static void *signal_many(void *opaque)
{
    for (unsigned i = 0; i < 20000; i++) {
        g_assert_true(ep_eventfd_signal(*(int *)opaque));
    }
    return NULL;
}

static void test_threads(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    QemuThread thread[4];

    for (unsigned i = 0; i < ARRAY_SIZE(thread); i++) {
        qemu_thread_create(&thread[i], "signal", signal_many, &fd,
                           QEMU_THREAD_JOINABLE);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(thread); i++) {
        qemu_thread_join(&thread[i]);
    }
    g_assert_cmpuint(take(fd), ==, 20000 * ARRAY_SIZE(thread));
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ep_eventfd_init(&error_abort);
    ep_eventfd_init(&error_abort);
    g_test_add_func("/ep-signal/count", test_count);
    g_test_add_func("/ep-signal/full", test_full);
    g_test_add_func("/ep-signal/take", test_take);
    g_test_add_func("/ep-signal/other-files", test_other_files);
    g_test_add_func("/ep-signal/threads", test_threads);
    return g_test_run();
}
