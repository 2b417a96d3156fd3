/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the unit tests of the wire share: messages, and eventfds that differ in
 * their value
 */
#ifndef TESTS_UNIT_WIRE_TEST_H
#define TESTS_UNIT_WIRE_TEST_H

#include "hw/pci-ep/wire/wire.h"
#include "tests/qtest/pci-ep/vfu-msg.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

/* Descriptors this process has open */
static inline int count_fds(void)
{
    GDir *d = g_dir_open("/proc/self/fd", 0, NULL);
    int n = -1;

    g_assert_nonnull(d);
    while (g_dir_read_name(d)) {
        n++;
    }
    g_dir_close(d);
    return n;
}

/*
 * Waits until this process has @n descriptors open, since epw_close() closes
 * most of them in another thread.
 */
static inline void expect_fds(int n)
{
    int64_t end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;

    while (count_fds() != n) {
        if (g_get_monotonic_time() > end) {
            g_error("%d descriptors are open, not %d", count_fds(), n);
        }
        g_usleep(1000);
    }
}

/* An eventfd that holds @value */
static inline int make_fd(unsigned value)
{
    int fd = eventfd(value, EFD_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static inline void assert_fd(int fd, uint64_t value)
{
    uint64_t v = 0;

    g_assert_cmpint(read(fd, &v, sizeof(v)), ==, sizeof(v));
    g_assert_cmpuint(v, ==, value);
}

/* Stores a whole message in @buf and returns its size in bytes. */
static inline size_t raw_msg(uint8_t *buf, uint16_t id, uint16_t cmd,
                             uint32_t flags, const void *payload, size_t n)
{
    VfuHeader hdr = vfu_msg_command(id, cmd, flags, n);

    return vfu_msg_build(buf, &hdr, payload);
}

#endif /* TESTS_UNIT_WIRE_TEST_H */
