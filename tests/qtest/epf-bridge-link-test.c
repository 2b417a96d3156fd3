/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge: faults of the link on request
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"
#include "pci-ep/wait.h"

#define FN_EXP      0x60
#define IDENTITY    0xb500104cu
#define EVENTS      (PCI_EXP_LNKSTA_LBMS | PCI_EXP_LNKSTA_LABS)

static unsigned link_exp(Fixture *f)
{
    return hostvm_find_cap(f->q, HOSTVM_PORT, PCI_CAP_ID_EXP);
}

static uint32_t link_identity(Fixture *f)
{
    return hostvm_readl(f->q, HOSTVM_FUNCTION, PCI_VENDOR_ID);
}

static bool link_interrupt(Fixture *f)
{
    return hostvm_readw(f->q, HOSTVM_PORT, PCI_STATUS) & PCI_STATUS_INTERRUPT;
}

/* ---- Training ---- */

static void link_assert_trained(Fixture *f, unsigned speed, unsigned width,
                                uint16_t events)
{
    uint16_t status = hostvm_link_status(f->q);
    uint16_t fn = hostvm_readw(f->q, HOSTVM_FUNCTION, FN_EXP + PCI_EXP_LNKSTA);

    g_assert_cmphex(status & 0x3ff, ==, width << 4 | speed);
    g_assert_cmphex(fn & 0x3ff, ==, width << 4 | speed);
    g_assert_cmphex(status & EVENTS, ==, events);
    g_assert_true(status & PCI_EXP_LNKSTA_DLLLA);
    /* They are cleared by a written 1, and not by a 0. */
    hostvm_writew(f->q, HOSTVM_PORT, link_exp(f) + PCI_EXP_LNKSTA, 0);
    g_assert_cmphex(hostvm_link_status(f->q) & EVENTS, ==, events);
    hostvm_writew(f->q, HOSTVM_PORT, link_exp(f) + PCI_EXP_LNKSTA, events);
    g_assert_cmphex(hostvm_link_status(f->q) & EVENTS, ==, 0);
}

/* Slower or narrower is a sign of trouble, the other way the link recovers. */
static void test_train(void)
{
    Fixture f;

    fixture_start_up(&f, false);
    link_assert_trained(&f, 3, 4, 0);
    hostvm_fault(f.q, "link-train,speed=1");
    link_assert_trained(&f, 1, 4, PCI_EXP_LNKSTA_LBMS);
    hostvm_fault(f.q, "link-train,width=1");
    link_assert_trained(&f, 1, 1, PCI_EXP_LNKSTA_LBMS);
    hostvm_fault(f.q, "link-train,width=1,speed=1");
    link_assert_trained(&f, 1, 1, 0);
    hostvm_fault(f.q, "link-train,speed=3,width=4");
    link_assert_trained(&f, 3, 4, PCI_EXP_LNKSTA_LABS);
    g_assert_cmpuint(hostvm_fault_count(f.q, "link-train"), ==, 4);
    fixture_end(&f);
}

static void test_train_refused(void)
{
    Fixture f;

    fixture_start(&f);
    hostvm_fault_refused(f.q, "link-train,speed=1", "the link is down");
    fixture_link_up(&f, false);
    hostvm_fault_refused(f.q, "link-train,speed=4", "not capable of speed 4");
    hostvm_fault_refused(f.q, "link-train,width=8", "not capable of width 8");
    hostvm_fault_refused(f.q, "link-train,width=3", "not capable of width 3");
    link_assert_trained(&f, 3, 4, 0);
    fixture_end(&f);
}

/* One interrupt for both events, each with an enable bit of its own */
static void test_train_interrupt(void)
{
    unsigned control;
    Fixture f;

    fixture_start_up(&f, false);
    control = link_exp(&f) + PCI_EXP_LNKCTL;
    g_assert_true(hostvm_readl(f.q, HOSTVM_PORT, link_exp(&f) +
                               PCI_EXP_LNKCAP) & PCI_EXP_LNKCAP_LBNC);
    hostvm_writew(f.q, HOSTVM_PORT, control, PCI_EXP_LNKCTL_LABIE);
    hostvm_fault(f.q, "link-train,speed=1");
    g_assert_false(link_interrupt(&f));
    hostvm_writew(f.q, HOSTVM_PORT, control, PCI_EXP_LNKCTL_LBMIE);
    g_assert_true(link_interrupt(&f));
    hostvm_fault(f.q, "link-train,speed=3");
    hostvm_writew(f.q, HOSTVM_PORT, link_exp(&f) + PCI_EXP_LNKSTA,
                  PCI_EXP_LNKSTA_LBMS);
    g_assert_false(link_interrupt(&f));
    hostvm_writew(f.q, HOSTVM_PORT, control, PCI_EXP_LNKCTL_LABIE);
    g_assert_true(link_interrupt(&f));
    hostvm_writew(f.q, HOSTVM_PORT, link_exp(&f) + PCI_EXP_LNKSTA,
                  PCI_EXP_LNKSTA_LABS);
    g_assert_false(link_interrupt(&f));

    hostvm_fault(f.q, "link-train,speed=1");
    qtest_system_reset(f.q);
    g_assert_cmphex(hostvm_link_status(f.q) & EVENTS, ==, 0);
    g_assert_cmphex(hostvm_readw(f.q, HOSTVM_PORT, control), ==, 0);
    fixture_end(&f);
}

/* ---- Down for a while ---- */

static void link_clear_events(Fixture *f)
{
    hostvm_writew(f->q, HOSTVM_PORT, link_exp(f) + PCI_EXP_SLTSTA,
                  PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
}

/* The slot is empty, with both events, at once. */
static void link_assert_gone(Fixture *f)
{
    g_assert_cmphex(hostvm_slot_status(f->q) &
                    (PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_PDC |
                     PCI_EXP_SLTSTA_DLLSC), ==,
                    PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
    g_assert_false(hostvm_link_status(f->q) & PCI_EXP_LNKSTA_DLLLA);
    g_assert_cmphex(link_identity(f), ==, UINT32_MAX);
}

/*
 * The link comes back. @conns: connections before it went down. The session of
 * that time may not have ended yet, and must not get the link-up.
 */
static void link_assert_back(Fixture *f, unsigned conns)
{
    wait_until(f->ep->conns > conns, "the bridge to connect again");
    fakeep_wait_connected(f->ep);
    fixture_link_up(f, true);
    g_assert_cmphex(link_identity(f), ==, IDENTITY);
    g_assert_cmphex(qtest_readl(f->q, HOSTVM_BAR(0)), ==, 0);
}

static void test_down(void)
{
    gint64 start;
    unsigned conns;
    Fixture f;

    fixture_start_up(&f, true);
    conns = f.ep->conns;
    link_clear_events(&f);
    start = g_get_monotonic_time();
    hostvm_fault(f.q, "link-down,ms=500");
    link_assert_gone(&f);
    hostvm_fault_refused(f.q, "link-down,ms=1", "the link is down");
    wait_until(!hostvm_prop_bool(f.q, "connected"), "the session to end");
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, UINT32_MAX);
    wait_until(f.ep->conns > conns, "the bridge to connect again");
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 500000);
    link_assert_back(&f, conns);
    fixture_end(&f);
}

#define DOWN_MS "120"

/*
 * The link is down for no less than was asked for. DOWN_MS is more than the
 * bridge waits between two tries to connect, so it connects as soon as the link
 * is back. The test looks all the time, so that a part of a millisecond counts.
 */
static void test_down_time(void)
{
    Fixture f;

    fixture_start_up(&f, true);
    for (unsigned i = 0; i < 20; i++) {
        unsigned conns = f.ep->conns;
        gint64 start = g_get_monotonic_time();
        gint64 end = wait_deadline(WAIT_MS);

        hostvm_fault(f.q, "link-down,ms=" DOWN_MS);
        while (qatomic_read(&f.ep->conns) == conns) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
        }
        g_assert_cmpint(g_get_monotonic_time() - start, >=,
                        atoi(DOWN_MS) * 1000);
        link_assert_back(&f, conns);
    }
    fixture_end(&f);
}

static void test_down_again(void)
{
    Fixture f;

    fixture_start_up(&f, true);
    for (unsigned i = 0; i < 10; i++) {
        unsigned conns = f.ep->conns;

        hostvm_fault(f.q, "link-down");
        hostvm_wait_present(f.q, false);
        link_assert_back(&f, conns);
    }
    fixture_end(&f);
}

/* ---- Removal ---- */

static void test_remove(void)
{
    unsigned conns;
    Fixture f;

    fixture_start_up(&f, true);
    conns = f.ep->conns;
    link_clear_events(&f);
    hostvm_fault_refused(f.q, "insert", "has not happened");
    hostvm_fault(f.q, "remove,after=2");
    g_assert_cmphex(link_identity(&f), ==, IDENTITY);
    g_assert_cmphex(link_identity(&f), ==, IDENTITY);
    g_assert_cmphex(link_identity(&f), ==, UINT32_MAX);
    link_assert_gone(&f);
    fence_main_loop(f.q);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, UINT32_MAX);
    qtest_system_reset(f.q);
    hostvm_enable_port(f.q);
    g_assert_false(hostvm_slot_status(f.q) & PCI_EXP_SLTSTA_PDS);
    g_assert_cmpuint(f.ep->conns, ==, conns);
    hostvm_fault_refused(f.q, "link-train,speed=1", "the link is down");
    hostvm_fault(f.q, "insert");
    link_assert_back(&f, conns);
    hostvm_fault_refused(f.q, "insert", "has not happened");
    fixture_end(&f);
}

/* By a write, which is lost */
static void test_remove_write(void)
{
    const VfuRegionRw *rw;
    const VfuMsg *m;
    unsigned conns;
    Fixture f;

    fixture_start_up(&f, true);
    conns = f.ep->conns;
    link_clear_events(&f);
    hostvm_settled_messages(f.q);
    fakeep_clear_log(f.ep);
    hostvm_fault(f.q, "remove");
    hostvm_writeb(f.q, HOSTVM_FUNCTION, PCI_CACHE_LINE_SIZE, 0x10);
    link_assert_gone(&f);
    hostvm_fault(f.q, "insert");
    link_assert_back(&f, conns);
    for (unsigned n = 0; (m = fakeep_nth(f.ep, VFU_CMD_REGION_WRITE, n));
         n++) {
        rw = (const void *)m->payload;
        g_assert_cmpuint(rw->offset, !=, PCI_CACHE_LINE_SIZE);
    }
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/epf-bridge/link/train", test_train);
    qtest_add_func("/epf-bridge/link/train-refused", test_train_refused);
    qtest_add_func("/epf-bridge/link/train-interrupt", test_train_interrupt);
    qtest_add_func("/epf-bridge/link/down", test_down);
    qtest_add_func("/epf-bridge/link/down-time", test_down_time);
    qtest_add_func("/epf-bridge/link/down-again", test_down_again);
    qtest_add_func("/epf-bridge/link/remove", test_remove);
    qtest_add_func("/epf-bridge/link/remove-write", test_remove_write);
    return g_test_run();
}
