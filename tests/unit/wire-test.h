/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the epw unit tests share: raw sockets, descriptors one can recognise
 */
#ifndef TESTS_UNIT_EPW_TEST_H
#define TESTS_UNIT_EPW_TEST_H

#include "hw/pci-ep/epw.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

static inline void make_pair(int sv[2])
{
    int r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv);

    g_assert_cmpint(r, ==, 0);
}

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

/* One sendmsg of @n bytes with @nfds descriptors */
static inline ssize_t raw_send(int sock, const void *p, size_t n,
                               const int *fds, unsigned nfds)
{
    g_autofree char *control = g_malloc0(CMSG_SPACE(sizeof(int) * (nfds + 1)));
    struct iovec iov = { (void *)p, n };
    struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (nfds) {
        struct cmsghdr *c;

        mh.msg_control = control;
        mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
        c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
    }
    return sendmsg(sock, &mh, MSG_NOSIGNAL);
}

/* A whole message into @buf; returns its size */
static inline size_t raw_msg(uint8_t *buf, uint16_t id, uint16_t cmd,
                             uint32_t flags, const void *payload, size_t n)
{
    VfuHeader hdr = {
        .id = id,
        .command = cmd,
        .size = sizeof(hdr) + n,
        .flags = flags,
    };

    memcpy(buf, &hdr, sizeof(hdr));
    if (n) {
        memcpy(buf + sizeof(hdr), payload, n);
    }
    return hdr.size;
}

#endif /* TESTS_UNIT_EPW_TEST_H */
