/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge: the link is down while the machine sleeps (S3)
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"
#include "pci-ep/wait.h"

#define QUIET_MS    300     /* longer than the pause before a connection */

/* Sessions so far, and whether the bridge has one now */
static unsigned sleep_sessions(FakeEp *s, bool *now)
{
    unsigned n;

    g_mutex_lock(&s->lock);
    n = s->conns;
    *now = s->conn >= 0;
    g_mutex_unlock(&s->lock);
    return n;
}

static bool sleep_has_session(FakeEp *s)
{
    bool now;

    sleep_sessions(s, &now);
    return now;
}

/* The error of a read of the guest's memory, or -1 without a session */
static int sleep_read_memory(FakeEp *s)
{
    VfuDmaRw rw = { .address = 0x200000, .count = 4 };
    uint8_t reply[sizeof(rw) + 4];

    return fakeep_call(s, VFU_CMD_DMA_READ, &rw, sizeof(rw), reply,
                       sizeof(reply));
}

/* The bridge ends the session and makes no other one. */
static void sleep_check_asleep(Fixture *f)
{
    g_autofree char *error = NULL;
    unsigned before;
    bool now;

    wait_until(!sleep_has_session(f->ep), "the session to end");
    hostvm_wait_present(f->q, false);
    before = sleep_sessions(f->ep, &now);
    /* Nothing is ordered behind it: the wait proves nothing. */
    g_usleep(QUIET_MS * 1000);
    g_assert_cmpuint(sleep_sessions(f->ep, &now), ==, before);
    g_assert_false(now);
    g_assert_false(hostvm_prop_bool(f->q, "link-up"));
    g_assert_false(hostvm_prop_bool(f->q, "connected"));
    /* It is no defect of the endpoint. */
    error = hostvm_prop_str(f->q, "last-error");
    g_assert_cmpstr(error, ==, "");
}

/* The function is as after a reset, and works. */
static void sleep_check_awake(Fixture *f)
{
    g_assert_cmpint(fakeep_link_up(f->ep), ==, 0);
    hostvm_wait_present(f->q, true);
    g_assert_cmpint(sleep_read_memory(f->ep), ==, EFAULT);
    hostvm_enable_port(f->q);
    g_assert_cmphex(hostvm_readw(f->q, HOSTVM_FUNCTION, PCI_COMMAND), ==, 0);
    fixture_check_identity(f->q);
    hostvm_enable_function(f->q, true);
    g_assert_cmpint(sleep_read_memory(f->ep), ==, 0);
    g_assert_true(hostvm_prop_bool(f->q, "link-up"));
}

static void test_sleep(void)
{
    Fixture f;

    fixture_start_up(&f, true);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(sleep_read_memory(f.ep), ==, 0);
        hostvm_sleep(f.q);
        sleep_check_asleep(&f);
        hostvm_wake(f.q);
        sleep_check_awake(&f);
    }
    /* The end of the link says all. */
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_EP_RESET), ==, 0);
    fixture_end(&f);
}

/* It wakes up before the session has ended. */
static void test_nap(void)
{
    Fixture f;

    fixture_start_up(&f, true);
    for (unsigned i = 1; i <= 10; i++) {
        bool now;

        hostvm_sleep(f.q);
        hostvm_wake(f.q);
        wait_until(sleep_sessions(f.ep, &now) == i + 1 && now,
                   "the next session");
        fakeep_wait_connected(f.ep);
        sleep_check_awake(&f);
    }
    fixture_end(&f);
}

/* There was no link, or no endpoint at all, when it fell asleep. */
static void test_empty(void)
{
    Fixture f;

    fixture_start(&f);
    fakeep_wait_connected(f.ep);
    hostvm_sleep(f.q);
    wait_until(!sleep_has_session(f.ep), "the session to end");
    hostvm_wake(f.q);
    fakeep_wait_connected(f.ep);
    sleep_check_awake(&f);
    fixture_end(&f);

    f.ep = fakeep_new();
    f.q = hostvm_start(f.ep->path, FIXTURE_DEADLINE_MS, true);
    hostvm_sleep(f.q);
    fakeep_listen(f.ep);
    g_usleep(QUIET_MS * 1000);
    g_assert_false(sleep_has_session(f.ep));
    hostvm_wake(f.q);
    fakeep_wait_connected(f.ep);
    sleep_check_awake(&f);
    fixture_end(&f);
}

/* The reset button ends the sleep as well. */
static void test_reset(void)
{
    Fixture f;

    fixture_start_up(&f, true);
    hostvm_sleep(f.q);
    sleep_check_asleep(&f);
    qtest_qmp_assert_success(f.q, "{'execute': 'system_reset'}");
    qtest_qmp_eventwait(f.q, "RESET");
    fakeep_wait_connected(f.ep);
    sleep_check_awake(&f);
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("epf-bridge/sleep/sleep", test_sleep);
    qtest_add_func("epf-bridge/sleep/nap", test_nap);
    qtest_add_func("epf-bridge/sleep/empty", test_empty);
    qtest_add_func("epf-bridge/sleep/reset", test_reset);

    return g_test_run();
}
