/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of the table of states in server/conn.c: what its callers rely on.
 * The other tests of the server drive connections and remaps by messages.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/server/conn.h"

/* Returns the state of a connection in @from that is to go to @to. */
static EpcConnState step(EpcConnState from, EpcConnState to)
{
    char name[] = "epc0";
    EpcServer s = { .name = name };
    EpcConn c = { .s = &s, .state = from };

    qemu_mutex_init(&s.lock);
    WITH_QEMU_LOCK_GUARD(&s.lock) {
        epc_conn_set_state(&c, to);
    }
    qemu_mutex_destroy(&s.lock);
    return c.state;
}

/* server_conn_closed() ends a connection in any state, and for good. */
static void test_conn_over(void)
{
    for (EpcConnState state = 0; state <= EPC_CONN_OVER; state++) {
        g_assert_cmpint(step(state, EPC_CONN_OVER), ==, EPC_CONN_OVER);
        g_assert_cmpint(step(EPC_CONN_OVER, state), ==, EPC_CONN_OVER);
    }
}

/*
 * Only VERSION of the client makes a connection one that may use the link: one
 * that was refused never becomes that, and a client stays of one kind.
 */
static void test_conn_attach(void)
{
    for (EpcConnState from = 0; from < EPC_CONN_OVER; from++) {
        EpcConnState plain = step(from, EPC_CONN_PLAIN);
        EpcConnState extended = step(from, EPC_CONN_EXTENDED);
        bool handshake = from == EPC_CONN_HANDSHAKE;

        g_assert_cmpint(plain, ==, handshake ? EPC_CONN_PLAIN : from);
        g_assert_cmpint(extended, ==, handshake ? EPC_CONN_EXTENDED : from);
    }
}

/* A connection begins in one of the two states that wait for VERSION. */
static void test_conn_begin(void)
{
    for (EpcConnState from = 0; from <= EPC_CONN_OVER; from++) {
        g_assert_cmpint(step(from, EPC_CONN_HANDSHAKE), ==, from);
        g_assert_cmpint(step(from, EPC_CONN_REFUSED), ==, from);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/epc-server/states/conn/over", test_conn_over);
    g_test_add_func("/epc-server/states/conn/attach", test_conn_attach);
    g_test_add_func("/epc-server/states/conn/begin", test_conn_begin);
    return g_test_run();
}
