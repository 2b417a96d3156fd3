/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both devices, in two QEMUs: BARs made of areas, and doorbells
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/machine-host.h"
#include "pci-ep/wait.h"

#define DEADLINE_MS wait_scaled(1000)
#define ROUNDS      100

#define ENABLE      EPC_DOORBELL_CTRL_ENABLE
#define VALUE       EPC_DOORBELL_CTRL_VALUE

/* RAM of the endpoint behind BAR 0, which has 64 KiB */
#define RAM_A       0x01000000ull
#define RAM_B       0x02000000ull

typedef struct Link {
    EpVm *ep;
    QTestState *host;
} Link;

static void pair_start(Link *l)
{
    l->ep = epvm_start(EPVM_SHARED, "");
    epvm_describe(l->ep);
    l->host = hostvm_start(l->ep->socket, DEADLINE_MS, true);
    hostvm_enable_port(l->host);
    g_assert_cmpuint(epvm_link_command(l->ep, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    epvm_wait_link(l->ep, true);
    hostvm_wait_present(l->host, true);
    hostvm_enable_function(l->host, true);
}

static void pair_end(Link *l)
{
    qtest_quit(l->host);
    epvm_stop(l->ep);
}

static bool doorbell_rang(Link *l, unsigned n)
{
    return epvm_vector(l->ep, EPC_VECTOR_DOORBELL(n), EPVM_TIMEOUT_MS);
}

/* Doorbells may take messages until the answer about them has arrived. */
static uint64_t settle_messages(Link *l, uint64_t bell)
{
    uint64_t before;
    unsigned i = 0;

    do {
        g_assert_cmpuint(i++, <, EPVM_TIMEOUT_MS);
        g_usleep(1000);
        before = hostvm_prop_uint(l->host, "messages");
        qtest_writel(l->host, bell, 0);
        g_assert_true(doorbell_rang(l, 0));
    } while (hostvm_prop_uint(l->host, "messages") != before);
    return before;
}

/* Memory, nothing, doorbells, other memory: 16 KiB, 16 KiB, 4 KiB, the rest */
static void test_mixed(void)
{
    const uint64_t none = HOSTVM_BAR(0) + 0x4000,
                   bells = HOSTVM_BAR(0) + 0x8000;
    const uint64_t b = HOSTVM_BAR(0) + 0x9000;
    uint64_t messages;
    Link l;

    pair_start(&l);
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        epvm_set_doorbell_reg(l.ep, n, EPC_DOORBELL_CTRL,
                              n & 1 ? ENABLE : ENABLE | VALUE);
    }
    epvm_area_args(l.ep, 0, RAM_A, 0x4000);
    epvm_area_args(l.ep, 1, EPC_ADDR_NONE, 0x4000);
    epvm_area_args(l.ep, 2, EPVM_DOORBELL, 0x1000);
    epvm_area_args(l.ep, 3, RAM_B, 0x7000);
    g_assert_cmpuint(epvm_set_areas(l.ep, 0, 4), ==, EPC_STATUS_OK);

    messages = settle_messages(&l, bells);
    for (unsigned at = 0; at < 0x4000; at += 0x400) {
        qtest_writel(l.host, HOSTVM_BAR(0) + at, at);
        g_assert_cmphex(qtest_readl(l.ep->q, RAM_A + at), ==, at);
        qtest_writel(l.ep->q, RAM_B + at, ~at);
        g_assert_cmphex(qtest_readl(l.host, b + at), ==, ~at);
    }
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        qtest_writel(l.host, bells + 4 * n, 0xbe110000 + n);
        g_assert_true(doorbell_rang(&l, n));
        g_assert_cmphex(epvm_doorbell_reg(l.ep, n, EPC_DOORBELL_VALUE), ==,
                        n & 1 ? 0 : 0xbe110000 + n);
    }
    g_assert_cmpuint(hostvm_prop_uint(l.host, "messages"), ==, messages);

    qtest_writel(l.host, none, 1);
    g_assert_cmphex(qtest_readl(l.host, none), ==, 0xffffffff);
    g_assert_cmphex(qtest_readl(l.host, bells), ==, 0);
    g_assert_cmpuint(epvm_fn_reg(l.ep, EPC_FN_INBOUND_DROPPED), ==, 1);
    pair_end(&l);
}

/* Once the command is done the host reaches the new place and loses nothing. */
static void test_at_once(void)
{
    Link l;

    pair_start(&l);
    epvm_set_doorbell_reg(l.ep, 0, EPC_DOORBELL_CTRL, ENABLE | VALUE);
    for (unsigned i = 1; i <= ROUNDS; i++) {
        g_assert_cmpuint(epvm_set_bar(l.ep, 0, 0, EPVM_DOORBELL, 0x10000), ==,
                         EPC_STATUS_OK);
        qtest_writel(l.host, HOSTVM_BAR(0), i);
        g_assert_true(doorbell_rang(&l, 0));
        g_assert_cmphex(epvm_doorbell_reg(l.ep, 0, EPC_DOORBELL_VALUE), ==, i);

        g_assert_cmpuint(epvm_set_bar(l.ep, 0, 0, i & 1 ? RAM_A : RAM_B,
                                      0x10000), ==, EPC_STATUS_OK);
        qtest_writel(l.host, HOSTVM_BAR(0) + 4, i);
        g_assert_cmphex(qtest_readl(l.ep->q, (i & 1 ? RAM_A : RAM_B) + 4), ==,
                        i);
    }
    pair_end(&l);
}

/* Two halves change places; the host never sees the other one. */
static void test_swap(void)
{
    const unsigned half = EPVM_BAR0_SIZE / 2;
    Link l;

    pair_start(&l);
    qtest_writel(l.ep->q, RAM_A, 0xaaaaaaaa);
    qtest_writel(l.ep->q, RAM_B, 0xbbbbbbbb);
    for (unsigned i = 1; i <= ROUNDS; i++) {
        uint64_t first = i & 1 ? RAM_A : RAM_B;
        uint64_t second = i & 1 ? RAM_B : RAM_A;

        epvm_area_args(l.ep, 0, first, half);
        epvm_area_args(l.ep, 1, second, half);
        g_assert_cmpuint(epvm_set_areas(l.ep, 0, 2), ==, EPC_STATUS_OK);
        g_assert_cmphex(qtest_readl(l.host, HOSTVM_BAR(0)), ==,
                        i & 1 ? 0xaaaaaaaa : 0xbbbbbbbb);
        g_assert_cmphex(qtest_readl(l.host, HOSTVM_BAR(0) + half), ==,
                        i & 1 ? 0xbbbbbbbb : 0xaaaaaaaa);
        qtest_writel(l.host, HOSTVM_BAR(0) + half + 8, i);
        g_assert_cmphex(qtest_readl(l.ep->q, second + 8), ==, i);
    }
    pair_end(&l);
}

static void expect_ring(Link *l, unsigned n, uint32_t value)
{
    g_assert_true(doorbell_rang(l, n));
    g_assert_cmphex(epvm_doorbell_reg(l->ep, n, EPC_DOORBELL_VALUE), ==,
                    value);
}

/*
 * 8, 16 and 32 bits at a doorbell take no message; 64 bits, which ring two, and
 * bytes inside one do.  With a value and without
 */
static void test_width(gconstpointer value)
{
    uint64_t bar = HOSTVM_BAR(0), messages;
    uint32_t mask = value ? UINT32_MAX : 0;
    Link l;

    pair_start(&l);
    for (unsigned n = 0; n < 3; n++) {
        epvm_set_doorbell_reg(l.ep, n, EPC_DOORBELL_CTRL,
                              ENABLE | (value ? VALUE : 0));
    }
    g_assert_cmpuint(epvm_set_bar(l.ep, 0, 0, EPVM_DOORBELL, EPVM_BAR0_SIZE),
                     ==, EPC_STATUS_OK);
    messages = settle_messages(&l, bar);
    qtest_writeb(l.host, bar + 4, 0x12);
    expect_ring(&l, 1, 0x12 & mask);
    qtest_writew(l.host, bar + 4, 0x1234);
    expect_ring(&l, 1, 0x1234 & mask);
    qtest_writel(l.host, bar + 4, 0x12345678);
    expect_ring(&l, 1, 0x12345678 & mask);
    qtest_writeb(l.host, bar + 4, 0);
    expect_ring(&l, 1, 0);
    g_assert_cmpuint(hostvm_prop_uint(l.host, "messages"), ==, messages);

    qtest_writew(l.host, bar + 6, 0x1234);
    expect_ring(&l, 1, 0x12340000 & mask);
    qtest_writeq(l.host, bar + 4, 0x1122334455667788);
    expect_ring(&l, 1, 0x55667788 & mask);
    expect_ring(&l, 2, 0x11223344 & mask);
    g_assert_cmpuint(hostvm_prop_uint(l.host, "messages"), >, messages);
    g_assert_cmpuint(epvm_fn_reg(l.ep, EPC_FN_INBOUND_DROPPED), ==, 0);
    g_assert_false(epvm_vector(l.ep, EPC_VECTOR_DOORBELL(0), 20));
    pair_end(&l);
}

/* Past the last doorbell */
static void test_dropped(void)
{
    Link l;

    pair_start(&l);
    epvm_set_doorbell_reg(l.ep, 0, EPC_DOORBELL_CTRL, ENABLE | VALUE);
    g_assert_cmpuint(epvm_set_bar(l.ep, 0, 0, EPVM_DOORBELL, EPVM_BAR0_SIZE),
                     ==, EPC_STATUS_OK);
    qtest_writeb(l.host, HOSTVM_BAR(0) + 4 * EPC_MAX_DOORBELLS, 1);
    qtest_writew(l.host, HOSTVM_BAR(0) + 4 * EPC_MAX_DOORBELLS, 1);
    qtest_writel(l.host, HOSTVM_BAR(0) + 4 * EPC_MAX_DOORBELLS, 1);
    g_assert_cmpuint(epvm_fn_reg(l.ep, EPC_FN_INBOUND_DROPPED), ==, 3);
    g_assert_false(epvm_vector(l.ep, EPC_VECTOR_DOORBELL(0), 20));
    g_assert_cmphex(epvm_doorbell_reg(l.ep, 0, EPC_DOORBELL_VALUE), ==, 0);
    pair_end(&l);
}

/* The link goes down and comes up again with doorbells behind a BAR. */
static void test_link(void)
{
    Link l;

    pair_start(&l);
    epvm_set_doorbell_reg(l.ep, 63, EPC_DOORBELL_CTRL, ENABLE | VALUE);
    g_assert_cmpuint(epvm_set_bar(l.ep, 0, 0, EPVM_DOORBELL, EPVM_BAR0_SIZE),
                     ==, EPC_STATUS_OK);
    for (unsigned i = 1; i <= 3; i++) {
        qtest_writel(l.host, HOSTVM_BAR(0) + 4 * 63, i);
        g_assert_true(doorbell_rang(&l, 63));
        g_assert_cmphex(epvm_doorbell_reg(l.ep, 63, EPC_DOORBELL_VALUE), ==, i);
        g_assert_cmpuint(epvm_link_command(l.ep, EPC_LINK_STOP), ==,
                         EPC_STATUS_OK);
        hostvm_wait_present(l.host, false);
        g_assert_cmpuint(epvm_link_command(l.ep, EPC_LINK_START), ==,
                         EPC_STATUS_OK);
        epvm_wait_link(l.ep, true);
        hostvm_wait_present(l.host, true);
        hostvm_enable_function(l.host, true);
    }
    pair_end(&l);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("pci-ep-areas/mixed", test_mixed);
    qtest_add_func("pci-ep-areas/at-once", test_at_once);
    qtest_add_func("pci-ep-areas/swap", test_swap);
    qtest_add_data_func("pci-ep-areas/width", NULL, test_width);
    qtest_add_data_func("pci-ep-areas/width-value", "", test_width);
    qtest_add_func("pci-ep-areas/dropped", test_dropped);
    qtest_add_func("pci-ep-areas/link", test_link);

    return g_test_run();
}
