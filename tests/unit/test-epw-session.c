/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epw session: two ends over a socketpair, and an end against a raw socket
 */
#include "qemu/osdep.h"
#include "qemu/thread.h"
#include "hw/pci-ep/epw.h"

static void echo_command(EpwSession *s, EpwMsg *m, EpwToken *t, void *opaque)
{
    struct iovec iov = { m->payload, epw_msg_len(m) };

    epw_reply(t, &iov, 1, NULL, 0);
}

static const EpwOps echo_ops = { .command = echo_command };

static void test_loopback(void)
{
    EpwConfig srv = { "server", EPW_SERVER, 1000 };
    EpwConfig cli = { "client", EPW_CLIENT, 1000 };
    VfuRegionRw rw = { .offset = 8, .region = 0, .count = 4 };
    struct iovec iov = { &rw, sizeof(rw) };
    EpwSession *a, *b;
    EpwMsg *reply;
    int sv[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), ==, 0);
    a = epw_session_new(sv[0], &srv, &echo_ops, NULL);
    b = epw_session_new(sv[1], &cli, &echo_ops, NULL);
    for (int i = 0; i < 1000; i++) {
        g_assert_cmpint(epw_call(b, VFU_CMD_REGION_READ, &iov, 1, NULL, 0,
                                 &reply), ==, 0);
        g_assert_cmpmem(reply->payload, epw_msg_len(reply), &rw, sizeof(rw));
        epw_msg_free(reply);
    }
    epw_session_free(a);
    g_assert_cmpint(epw_call(b, VFU_CMD_REGION_READ, &iov, 1, NULL, 0,
                             &reply), ==, -ENOTCONN);
    epw_session_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/epw/session/loopback", test_loopback);
    return g_test_run();
}
