/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of epc-server: one of several functions
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "server-test.h"

static int attach(TestServer *t, const char *features)
{
    g_autofree char *json = test_version_ep(features, 16);
    int sock = test_connect(t);

    g_assert_cmpint(test_version(sock, json), ==, 0);
    return sock;
}

static uint32_t serve_functions(int sock, uint32_t state)
{
    VfuEpLink l;

    test_serve(sock, VFU_CMD_EP_LINK, &l, sizeof(l), 0);
    g_assert_cmpuint(l.state, ==, state);
    return l.functions;
}

/* Who agreed on it is told the functions of each link-up, nobody else is. */
static void test_functions(void)
{
    TestServer *t = test_server_new();
    int sock = attach(t, "\"link\", \"func\"");

    for (uint32_t mask = 1; mask < 0x100; mask = mask << 1 | 1) {
        epc_server_enable(t->s, mask);
        g_assert_cmphex(serve_functions(sock, VFU_EP_LINK_UP), ==, mask);
        expect_log(t, "joined1 ");
        epc_server_disable(t->s, test_done, t);
        g_assert_cmphex(serve_functions(sock, VFU_EP_LINK_DOWN), ==, 0);
        expect_log(t, "link0 ");
    }
    close(sock);
    test_turn();

    WAIT_FOR(qatomic_load_acquire(&t->dones) == 8);
    sock = test_attach(t);
    epc_server_enable(t->s, 0xff);
    g_assert_cmphex(serve_functions(sock, VFU_EP_LINK_UP), ==, 0);
    expect_log(t, "link1 ");
    close(sock);
    expect_log(t, "link0 ");
    test_server_free(t);
}

/* One that is told "func" without "link" is a plain one, and alone. */
static void test_no_link(void)
{
    TestServer *t = test_server_new();
    int sock;

    epc_server_enable(t->s, 3);
    sock = attach(t, "\"func\"");
    expect_log(t, "link1 ");
    close(sock);
    expect_log(t, "link0 ");
    test_server_free(t);
}

/*
 * Whoever waits for the link to be down is told, also when it is wanted again
 * before the client has taken the first message.
 */
static void test_enable_while_raising(void)
{
    TestServer *t = test_server_new();
    int sock = attach(t, "\"link\", \"func\"");

    epc_server_enable(t->s, 1);
    epc_server_disable(t->s, test_done, t);
    epc_server_enable(t->s, 3);
    g_assert_cmphex(serve_functions(sock, VFU_EP_LINK_UP), ==, 1);
    serve_functions(sock, VFU_EP_LINK_DOWN);
    WAIT_FOR(qatomic_load_acquire(&t->dones) == 1);
    g_assert_cmphex(serve_functions(sock, VFU_EP_LINK_UP), ==, 3);
    expect_log(t, "joined1 ");
    close(sock);
    expect_log(t, "link0 ");
    test_server_free(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/epc-server/func/functions", test_functions);
    g_test_add_func("/epc-server/func/no-link", test_no_link);
    g_test_add_func("/epc-server/func/enable-while-raising",
                    test_enable_while_raising);

    return g_test_run();
}
