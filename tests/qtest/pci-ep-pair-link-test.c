/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both devices, in two QEMUs: what one guest does and the other one sees
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/dma.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/machine-host.h"
#include "pci-ep/wait.h"

#define DEADLINE_MS     wait_scaled(1000)

#define EP_ID           0xb500104c
#define BAR_SIZE        0x10000
#define BAR_AT(n)       (0x1000000ull + (n) * 0x100000)
#define BAR_AT_NEW(n)   (0x2000000ull + (n) * 0x100000)
#define MSIX_BAR        0
#define MSIX_TABLE      0x8000
#define MSIX_VECTORS    64
#define MSI_VECTORS     32
#define MSI_ADDR        0x300000
#define MSI_DATA        0x4500
#define HOST_BUFFER     0x400000

#define SLEEP_WARM_UP   40u     /* until caches have their size */
#define SLEEPS          100u
#define SLEEP_LOST_KIB  2u

typedef struct Link {
    EpVm *ep;
    QTestState *host;
} Link;

/* A function like a default pci-epf-test; the link is not started */
static void describe_function(EpVm *e)
{
    g_assert_cmpuint(epvm_set_header(e, EP_ID, 1), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, BAR_AT(0), BAR_SIZE), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 1, EPC_BAR_FLAG_PREFETCH, BAR_AT(1),
                                  0x1000), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 2, EPC_BAR_FLAG_64, BAR_AT(2), BAR_SIZE),
                     ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 4, EPC_BAR_FLAG_64 |
                                  EPC_BAR_FLAG_PREFETCH, BAR_AT(4), 0x20000),
                     ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_msi(e, MSI_VECTORS), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_msix(e, MSIX_VECTORS, MSIX_BAR, MSIX_TABLE), ==,
                     EPC_STATUS_OK);
}

static void start_host(Link *l, bool shared)
{
    l->host = hostvm_start(l->ep->socket, DEADLINE_MS, shared);
    hostvm_enable_port(l->host);
}

static void link_up(Link *l)
{
    g_assert_cmpuint(epvm_link_command(l->ep, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    epvm_wait_link(l->ep, true);
    hostvm_wait_present(l->host, true);
    g_assert_cmphex(hostvm_readl(l->host, HOSTVM_FUNCTION, 0), ==, EP_ID);
}

static void pair_start(Link *l, bool shared)
{
    l->ep = epvm_start(EPVM_SHARED, "");
    describe_function(l->ep);
    start_host(l, shared);
    link_up(l);
    hostvm_enable_function(l->host, true);
}

static void pair_end(Link *l)
{
    qtest_quit(l->host);
    epvm_stop(l->ep);
}

/* ---- The link ---- */

static void test_updown(void)
{
    unsigned before;
    Link l;

    l.ep = epvm_start(EPVM_SHARED, "");
    describe_function(l.ep);
    start_host(&l, true);
    before = hostvm_count_held(l.host);
    for (unsigned i = 0; i < 10; i++) {
        link_up(&l);
        g_assert_cmphex(hostvm_readl(l.host, HOSTVM_FUNCTION,
                                     PCI_SUBSYSTEM_VENDOR_ID), ==, 0x56781234);
        g_assert_cmphex(hostvm_readl(l.host, HOSTVM_FUNCTION, PCI_REVISION_ID),
                        ==, 0xff000001);
        g_assert_cmpuint(epvm_link_command(l.ep, EPC_LINK_STOP), ==,
                         EPC_STATUS_OK);
        g_assert_cmphex(hostvm_readl(l.host, HOSTVM_FUNCTION, 0), ==,
                        0xffffffff);
        hostvm_wait_present(l.host, false);
        g_assert_cmphex(epvm_reg(l.ep, EPC_REG_LINK) & EPC_LINK_UP, ==, 0);
    }
    /* Less than one area for each link-up: nothing of them is left */
    hostvm_wait_held(l.host, before + 8);
    pair_end(&l);
}

/* The link is allowed before there is a host */
static void test_host_last(void)
{
    Link l;

    l.ep = epvm_start(EPVM_SHARED, "");
    describe_function(l.ep);
    g_assert_cmpuint(epvm_link_command(l.ep, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    g_assert_cmphex(epvm_reg(l.ep, EPC_REG_LINK) & EPC_LINK_UP, ==, 0);
    start_host(&l, true);
    epvm_wait_link(l.ep, true);
    hostvm_wait_present(l.host, true);

    /* A host that goes, and another one */
    for (unsigned i = 0; i < 3; i++) {
        qtest_quit(l.host);
        epvm_wait_link(l.ep, false);
        start_host(&l, true);
        epvm_wait_link(l.ep, true);
        hostvm_wait_present(l.host, true);
        g_assert_cmphex(hostvm_readl(l.host, HOSTVM_FUNCTION, 0), ==, EP_ID);
    }
    pair_end(&l);
}

/* The endpoint's machine ends; the host's goes on */
static void test_endpoint_ends(void)
{
    Link l;

    pair_start(&l, true);
    qtest_qmp_send(l.ep->q, "{'execute': 'quit'}");
    hostvm_wait_present(l.host, false);
    g_assert_cmphex(qtest_readl(l.host, HOSTVM_BAR(0)), ==, 0xffffffff);
    g_assert_false(hostvm_prop_bool(l.host, "link-up"));
    qtest_wait_qemu(l.ep->q);
    pair_end(&l);
}

/* ---- BARs ---- */

static void check_bar(Link *l, unsigned bar, uint64_t target, uint64_t size)
{
    uint64_t host = HOSTVM_BAR(bar);

    qtest_writel(l->ep->q, target + 0x10, 0x11111111 * (bar + 1));
    g_assert_cmphex(qtest_readl(l->host, host + 0x10), ==,
                    0x11111111 * (bar + 1));
    qtest_writeb(l->host, host + size - 1, 0xa0 + bar);
    g_assert_cmphex(qtest_readb(l->ep->q, target + size - 1), ==, 0xa0 + bar);
}

static void test_bars(void)
{
    Link l;

    pair_start(&l, true);
    check_bar(&l, 0, BAR_AT(0), BAR_SIZE);
    check_bar(&l, 1, BAR_AT(1), 0x1000);
    check_bar(&l, 2, BAR_AT(2), BAR_SIZE);
    check_bar(&l, 4, BAR_AT(4), 0x20000);
    pair_end(&l);
}

/* Memory of the endpoint that cannot be shared: the same, by message */
static void test_bars_unshared(void)
{
    Link l;

    l.ep = epvm_start(EPVM_UNSHARED, "");
    describe_function(l.ep);
    start_host(&l, true);
    link_up(&l);
    hostvm_enable_function(l.host, false);
    check_bar(&l, 0, BAR_AT(0), BAR_SIZE);
    check_bar(&l, 4, BAR_AT(4), 0x20000);
    pair_end(&l);
}

static void test_retarget(void)
{
    Link l;

    pair_start(&l, true);
    for (unsigned i = 0; i < 50; i++) {
        uint64_t at = i & 1 ? BAR_AT(0) : BAR_AT_NEW(0);
        uint64_t old = i & 1 ? BAR_AT_NEW(0) : BAR_AT(0);

        qtest_writeb(l.ep->q, at, i + 1);
        qtest_writeb(l.ep->q, old + 1, 0);
        g_assert_cmpuint(epvm_set_bar(l.ep, 0, 0, at, BAR_SIZE), ==,
                         EPC_STATUS_OK);
        /* From here on the old target is out of reach */
        qtest_writeb(l.host, HOSTVM_BAR(0) + 1, 0x77);
        g_assert_cmphex(qtest_readb(l.ep->q, old + 1), ==, 0);
        hostvm_wait_byte(l.host, HOSTVM_BAR(0), i + 1);
    }

    g_assert_cmpuint(epvm_clear_bar(l.ep, 0), ==, EPC_STATUS_OK);
    g_assert_cmphex(qtest_readl(l.host, HOSTVM_BAR(0)), ==, 0xffffffff);
    g_assert_cmphex(hostvm_readl(l.host, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_0),
                    ==, HOSTVM_BAR(0));
    pair_end(&l);
}

/* ---- Outbound window ---- */

static void test_window(void)
{
    Link l;
    const uint64_t win = EPVM_WINDOW + 0x4000;

    pair_start(&l, true);
    g_assert_cmpuint(epvm_map(l.ep, 0x4000, HOST_BUFFER, 0x3000), ==,
                     EPC_STATUS_OK);
    qtest_writeq(l.ep->q, win + 0x2ff8, 0x1122334455667788);
    g_assert_cmphex(qtest_readq(l.host, HOST_BUFFER + 0x2ff8), ==,
                    0x1122334455667788);
    qtest_writel(l.host, HOST_BUFFER, 0xdeadbeef);
    g_assert_cmphex(qtest_readl(l.ep->q, win), ==, 0xdeadbeef);

    g_assert_cmpuint(epvm_unmap(l.ep, 0x4000), ==, EPC_STATUS_OK);
    g_assert_cmphex(qtest_readl(l.ep->q, win), ==, 0xffffffff);

    /* Bus mastering off: the host has its memory back, and no new map */
    g_assert_cmpuint(epvm_map(l.ep, 0x4000, HOST_BUFFER, 0x1000), ==,
                     EPC_STATUS_OK);
    hostvm_writew(l.host, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmphex(qtest_readl(l.ep->q, win), ==, 0xffffffff);
    qtest_writel(l.ep->q, win, 0);
    g_assert_cmphex(qtest_readl(l.host, HOST_BUFFER), ==, 0xdeadbeef);
    g_assert_cmpuint(epvm_map(l.ep, 0x8000, HOST_BUFFER, 0x1000), ==,
                     EPC_STATUS_NOT_MAPPED);
    pair_end(&l);
}

static void test_window_unshared(void)
{
    const uint64_t win = EPVM_WINDOW + 0x1000;
    Link l;

    pair_start(&l, false);
    g_assert_cmpuint(epvm_map(l.ep, 0x1000, HOST_BUFFER, 0x1000), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_prop(l.ep, "slow-maps"), ==, 1);
    qtest_writel(l.host, HOST_BUFFER + 8, 0x12345678);
    g_assert_cmphex(qtest_readl(l.ep->q, win + 8), ==, 0x12345678);
    qtest_writeq(l.ep->q, win + 0xff8, 0x1122334455667788);
    g_assert_cmphex(qtest_readq(l.host, HOST_BUFFER + 0xff8), ==,
                    0x1122334455667788);

    /* Bus mastering gates it, and is all it needs */
    hostvm_writew(l.host, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmphex(qtest_readl(l.ep->q, win + 8), ==, 0xffffffff);
    qtest_writel(l.ep->q, win + 16, 0);
    hostvm_writew(l.host, HOSTVM_FUNCTION, PCI_COMMAND,
                  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    wait_until(qtest_readl(l.ep->q, win + 8) == 0x12345678,
               "the window to show the host's memory, not 0x%x",
               qtest_readl(l.ep->q, win + 8));
    g_assert_cmphex(qtest_readl(l.host, HOST_BUFFER + 16), ==, 0);
    pair_end(&l);
}

/* ---- DMA engine ---- */

static void check_dma(bool shared)
{
    const uint32_t len = 0x20000, gap = 0x40000;
    uint8_t pattern[2] = { 0xa5, 0x5a }, got[2];
    Link l;
    EpDma d;

    pair_start(&l, shared);
    d = (EpDma) {
        .e = l.ep,
        .base = epvm_reg(l.ep, EPC_REG_DMA_BASE),
        .stride = epvm_reg(l.ep, EPC_REG_DMA_STRIDE),
    };
    epdma_enable(&d, 0, RING(0), 16);
    qtest_memwrite(l.host, HOST_BUFFER, pattern, 1);
    qtest_memwrite(l.host, HOST_BUFFER + len - 1, pattern + 1, 1);
    g_assert_cmpuint(epdma_copy(&d, HOST_BUFFER, BUFFER, len, FROM_HOST), ==,
                     EPC_DMA_OK);
    g_assert_cmphex(qtest_readb(l.ep->q, BUFFER), ==, 0xa5);
    g_assert_cmphex(qtest_readb(l.ep->q, BUFFER + len - 1), ==, 0x5a);
    g_assert_cmpuint(epdma_copy(&d, BUFFER, HOST_BUFFER + gap, len, TO_HOST),
                     ==, EPC_DMA_OK);
    g_assert_cmpuint(epdma_copy(&d, HOST_BUFFER + gap, HOST_BUFFER + 2 * gap,
                                len, IN_HOST), ==, EPC_DMA_OK);
    qtest_memread(l.host, HOST_BUFFER + 2 * gap, got, 1);
    qtest_memread(l.host, HOST_BUFFER + 2 * gap + len - 1, got + 1, 1);
    g_assert_cmpmem(got, 2, pattern, 2);

    /* beyond the memory of the host, and without bus mastering */
    g_assert_cmpuint(epdma_copy(&d, 1ull << 46, BUFFER, 64, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    hostvm_writew(l.host, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmpuint(epdma_copy(&d, HOST_BUFFER, BUFFER, len, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    pair_end(&l);
}

static void test_dma(void)
{
    check_dma(true);
}

/* By message, in pieces */
static void test_dma_unshared(void)
{
    check_dma(false);
}

/* ---- Interrupts ---- */

static void test_msi(void)
{
    Link l;
    unsigned cap;

    pair_start(&l, true);
    cap = hostvm_find_cap(l.host, HOSTVM_FUNCTION, PCI_CAP_ID_MSI);
    hostvm_writel(l.host, HOSTVM_FUNCTION, cap + PCI_MSI_ADDRESS_LO, MSI_ADDR);
    hostvm_writel(l.host, HOSTVM_FUNCTION, cap + PCI_MSI_ADDRESS_HI, 0);
    hostvm_writew(l.host, HOSTVM_FUNCTION, cap + PCI_MSI_DATA_64, MSI_DATA);
    hostvm_writew(l.host, HOSTVM_FUNCTION, cap + PCI_MSI_FLAGS,
                  5 << 4 | PCI_MSI_FLAGS_ENABLE);
    g_assert_cmphex(epvm_fn_reg(l.ep, EPC_FN_MSI), ==,
                    EPC_FN_IRQ_ENABLED | MSI_VECTORS);
    for (unsigned i = 0; i < MSI_VECTORS; i++) {
        qtest_writel(l.host, MSI_ADDR, 0);
        epvm_raise(l.ep, EPC_RAISE_MSI(i), 0);
        hostvm_wait_mem(l.host, MSI_ADDR, MSI_DATA + i);
    }
    hostvm_writew(l.host, HOSTVM_FUNCTION, cap + PCI_MSI_FLAGS, 0);
    g_assert_cmphex(epvm_fn_reg(l.ep, EPC_FN_MSI) & EPC_FN_IRQ_ENABLED, ==, 0);
    pair_end(&l);
}

static void test_msix(void)
{
    uint64_t table, pba;
    unsigned cap;
    Link l;

    pair_start(&l, true);
    cap = hostvm_find_cap(l.host, HOSTVM_FUNCTION, PCI_CAP_ID_MSIX);
    hostvm_msix(l.host, &table, &pba);
    for (unsigned i = 0; i < MSIX_VECTORS; i++) {
        uint64_t entry = table + i * 16;

        qtest_writel(l.host, entry, MSI_ADDR + i * 4);
        qtest_writel(l.host, entry + 4, 0);
        qtest_writel(l.host, entry + 8, MSI_DATA + i);
        qtest_writel(l.host, entry + 12, 0);
        /* The function reads its table where it put it */
        g_assert_cmphex(qtest_readl(l.ep->q, BAR_AT(0) + MSIX_TABLE + i * 16),
                        ==, MSI_ADDR + i * 4);
    }
    hostvm_writew(l.host, HOSTVM_FUNCTION, cap + PCI_MSIX_FLAGS,
                  PCI_MSIX_FLAGS_ENABLE);
    g_assert_cmphex(epvm_fn_reg(l.ep, EPC_FN_MSIX), ==,
                    EPC_FN_IRQ_ENABLED | MSIX_VECTORS);
    for (unsigned i = 0; i < MSIX_VECTORS; i++) {
        epvm_raise(l.ep, EPC_RAISE_MSIX(i), 0);
        hostvm_wait_mem(l.host, MSI_ADDR + i * 4, MSI_DATA + i);
    }
    pair_end(&l);
}

/* The bridge holds an assertion for a part of the time that passes here. */
static bool host_intx(QTestState *q)
{
    qtest_clock_step(q, 1000 * 1000);
    return hostvm_readw(q, HOSTVM_FUNCTION, PCI_STATUS) & PCI_STATUS_INTERRUPT;
}

static void test_intx(void)
{
    Link l;

    pair_start(&l, true);
    for (unsigned i = 0; i < 4; i++) {
        unsigned level = !(i & 1);

        epvm_raise(l.ep, EPC_RAISE_INTX, level);
        wait_until(host_intx(l.host) == level,
                   "INTx of level %u in the host", level);
    }
    pair_end(&l);
}

/* ---- Configuration and resets ---- */

static void wait_event(EpVm *e, bool fn, uint32_t event)
{
    wait_until((fn ? epvm_fn_reg(e, EPC_FN_EVENT) :
                     epvm_reg(e, EPC_REG_EVENT)) & event,
               "event 0x%x of the %s", event, fn ? "function" : "controller");
}

static void clear_events(EpVm *e)
{
    epvm_set_reg(e, EPC_REG_EVENT, EPC_EVENT_ALL);
    epvm_set_fn_reg(e, EPC_FN_EVENT, EPC_FN_EVENT_ALL);
}

static void test_resets(void)
{
    Link l;
    unsigned cap;

    pair_start(&l, true);
    g_assert_cmphex(epvm_fn_reg(l.ep, EPC_FN_PCI_COMMAND), ==,
                    PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    cap = hostvm_find_cap(l.host, HOSTVM_FUNCTION, PCI_CAP_ID_EXP);

    clear_events(l.ep);
    hostvm_writew(l.host, HOSTVM_FUNCTION, cap + PCI_EXP_DEVCTL,
                  PCI_EXP_DEVCTL_BCR_FLR);
    wait_event(l.ep, true, EPC_FN_EVENT_FLR);
    g_assert_cmphex(epvm_fn_reg(l.ep, EPC_FN_PCI_COMMAND), ==, 0);
    g_assert_cmphex(hostvm_readw(l.host, HOSTVM_FUNCTION, PCI_COMMAND), ==, 0);

    hostvm_enable_function(l.host, true);
    clear_events(l.ep);
    hostvm_writew(l.host, HOSTVM_PORT, PCI_BRIDGE_CONTROL,
                  PCI_BRIDGE_CTL_BUS_RESET);
    hostvm_writew(l.host, HOSTVM_PORT, PCI_BRIDGE_CONTROL, 0);
    wait_event(l.ep, false, EPC_EVENT_HOT_RESET);
    g_assert_cmphex(epvm_fn_reg(l.ep, EPC_FN_PCI_COMMAND), ==, 0);

    hostvm_enable_function(l.host, true);
    clear_events(l.ep);
    qtest_system_reset(l.host);
    wait_event(l.ep, false, EPC_EVENT_PERST);
    hostvm_enable_port(l.host);
    hostvm_enable_function(l.host, true);
    g_assert_cmphex(hostvm_readl(l.host, HOSTVM_FUNCTION, 0), ==, EP_ID);
    check_bar(&l, 0, BAR_AT(0), BAR_SIZE);
    pair_end(&l);
}

/* A requested fault cuts the link; the endpoint's guest does nothing. */
static void test_cut(void)
{
    Link l;

    pair_start(&l, true);
    for (unsigned i = 0; i < 3; i++) {
        epvm_request_fault(l.ep, "link-down");
        hostvm_wait_present(l.host, false);
        epvm_wait_link(l.ep, false);
        epvm_request_fault(l.ep, "link-up");
        hostvm_wait_present(l.host, true);
        epvm_wait_link(l.ep, true);
        hostvm_enable_function(l.host, true);
        g_assert_cmphex(hostvm_readl(l.host, HOSTVM_FUNCTION, 0), ==, EP_ID);
        check_bar(&l, 0, BAR_AT(0), BAR_SIZE);
    }
    epvm_request_fault(l.ep, "link-down,ms=200");
    hostvm_wait_present(l.host, false);
    hostvm_wait_present(l.host, true);
    pair_end(&l);
}

/* The link is down while the host sleeps (S3), and comes up when it wakes. */
static void sleep_once(Link *l)
{
    unsigned generation = epvm_reg(l->ep, EPC_REG_LINK) >> EPC_LINK_GEN_SHIFT;

    wait_until(epvm_prop(l->ep, "dma-regions"), "memory of the host");
    clear_events(l->ep);
    hostvm_sleep(l->host);
    epvm_wait_link(l->ep, false);
    g_assert_cmphex(epvm_reg(l->ep, EPC_REG_EVENT), ==, EPC_EVENT_LINK);
    g_assert_cmphex(epvm_fn_reg(l->ep, EPC_FN_PCI_COMMAND), ==, 0);
    g_assert_cmpint(epvm_prop(l->ep, "dma-regions"), ==, 0);

    hostvm_wake(l->host);
    epvm_wait_link(l->ep, true);
    g_assert_cmpuint(epvm_reg(l->ep, EPC_REG_LINK) >> EPC_LINK_GEN_SHIFT, ==,
                     generation + 1);
    hostvm_wait_present(l->host, true);
    hostvm_enable_port(l->host);
    hostvm_enable_function(l->host, true);
    g_assert_cmphex(hostvm_readl(l->host, HOSTVM_FUNCTION, 0), ==, EP_ID);
    check_bar(l, 0, BAR_AT(0), BAR_SIZE);
}

static void test_sleep(void)
{
    unsigned held = 0;
    Link l;

    pair_start(&l, true);
    check_bar(&l, 0, BAR_AT(0), BAR_SIZE);
    for (unsigned i = 1; i <= 12; i++) {
        sleep_once(&l);
        if (i == 2) {
            held = hostvm_count_held(l.host);
        }
    }
    /* Less than one area for each cycle: nothing of them is left */
    hostvm_wait_held(l.host, held + 8);
    pair_end(&l);
}

/*
 * No memory is left behind, not even SLEEP_LOST_KIB for each sleep.  With guests
 * that run TCG keeps more and more about the code that it translates, so
 * tests/guest/test_sleep.py cannot see that.  A sanitizer keeps what was freed.
 */
static void test_sleep_memory(void)
{
    unsigned host = 0, ep = 0;
    Link l;

    if (wait_scaled(1) > 1) {
        g_test_skip("a sanitizer keeps memory");
        return;
    }
    pair_start(&l, true);
    for (unsigned i = 0; i < SLEEP_WARM_UP + SLEEPS; i++) {
        if (i == SLEEP_WARM_UP) {
            host = hostvm_own_kib(l.host);
            ep = hostvm_own_kib(l.ep->q);
        }
        sleep_once(&l);
    }
    g_test_message("host: %u KiB, then %u; endpoint: %u KiB, then %u", host,
                   hostvm_own_kib(l.host), ep, hostvm_own_kib(l.ep->q));
    g_assert_cmpuint(hostvm_own_kib(l.host), <,
                     host + SLEEPS * SLEEP_LOST_KIB);
    g_assert_cmpuint(hostvm_own_kib(l.ep->q), <, ep + SLEEPS * SLEEP_LOST_KIB);
    pair_end(&l);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("pci-ep-link/up-down", test_updown);
    qtest_add_func("pci-ep-link/cut", test_cut);
    qtest_add_func("pci-ep-link/host-last", test_host_last);
    qtest_add_func("pci-ep-link/endpoint-ends", test_endpoint_ends);
    qtest_add_func("pci-ep-link/bars/shared", test_bars);
    qtest_add_func("pci-ep-link/bars/unshared", test_bars_unshared);
    qtest_add_func("pci-ep-link/bars/retarget", test_retarget);
    qtest_add_func("pci-ep-link/window/shared", test_window);
    qtest_add_func("pci-ep-link/window/unshared", test_window_unshared);
    qtest_add_func("pci-ep-link/dma/shared", test_dma);
    qtest_add_func("pci-ep-link/dma/unshared", test_dma_unshared);
    qtest_add_func("pci-ep-link/msi", test_msi);
    qtest_add_func("pci-ep-link/msix", test_msix);
    qtest_add_func("pci-ep-link/intx", test_intx);
    qtest_add_func("pci-ep-link/resets", test_resets);
    qtest_add_func("pci-ep-link/sleep", test_sleep);
    qtest_add_func("pci-ep-link/sleep-memory", test_sleep_memory);

    return g_test_run();
}
