/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-server: a client that leaves and comes back at once
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/server/server-int.h"
#include "server-test.h"

#define ROUNDS  300

/* It never meets the connection that it has closed. */
static void check_rounds(const char *json)
{
    TestServer *t = test_server_new();
    int sock = -1;

    epc_server_enable(t->s, 1);
    for (unsigned i = 0; i < ROUNDS; i++) {
        sock = test_connect(t);
        g_assert_cmpint(test_version(sock, json), ==, 0);
        close(sock);
    }
    test_server_free(t);
}

static void test_plain(void)
{
    check_rounds(TEST_VERSION_PLAIN);
}

static void test_extended(void)
{
    g_autofree char *json = test_version_ep("\"link\"", 16);

    check_rounds(json);
}

static unsigned connections(TestServer *t)
{
    QEMU_LOCK_GUARD(&t->s->lock);
    return t->s->nconns;
}

/*
 * The end of the first client is not handled in time, since the owner is busy:
 * the second one is refused.
 */
static void test_late(void)
{
    TestServer *t = test_server_new();
    int first = test_attach(t), second;
    int64_t begin;

    WITH_QEMU_LOCK_GUARD(&t->s->op_lock) {
        close(first);
        begin = g_get_monotonic_time();
        second = test_connect(t);
        g_assert_cmpuint(connections(t), ==, 1);
        WAIT_FOR(connections(t) == 2);
        g_assert_cmpint(g_get_monotonic_time() - begin, >=,
                        TEST_DEADLINE_MS * 1000);
    }
    g_assert_cmpint(test_version(second, TEST_VERSION_PLAIN), ==, EBUSY);
    expect_eof(second);
    close(second);
    test_server_free(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/epc-server/again/plain", test_plain);
    g_test_add_func("/epc-server/again/extended", test_extended);
    g_test_add_func("/epc-server/again/late", test_late);
    return g_test_run();
}
