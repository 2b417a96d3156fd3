/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both devices, in two QEMUs: what one guest does and the other one sees
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep-dma.h"
#include "pci-ep-endpoint.h"
#include "pci-ep-host.h"

#define DEADLINE_MS     1000

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

typedef struct Link {
    EpEndpoint *ep;
    QTestState *host;
} Link;

/* A function like a default pci-epf-test; the link is not started */
static void describe_function(EpEndpoint *e)
{
    g_assert_cmpuint(epe_set_header(e, EP_ID, 1), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_set_bar(e, 0, 0, BAR_AT(0), BAR_SIZE), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epe_set_bar(e, 1, EPC_BAR_FLAG_PREFETCH, BAR_AT(1),
                                 0x1000), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_set_bar(e, 2, EPC_BAR_FLAG_64, BAR_AT(2), BAR_SIZE),
                     ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_set_bar(e, 4, EPC_BAR_FLAG_64 |
                                 EPC_BAR_FLAG_PREFETCH, BAR_AT(4), 0x20000),
                     ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_set_msi(e, MSI_VECTORS), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_set_msix(e, MSIX_VECTORS, MSIX_BAR, MSIX_TABLE), ==,
                     EPC_STATUS_OK);
}

static void start_host(Link *l, bool shared)
{
    l->host = eph_start(l->ep->socket, DEADLINE_MS, shared);
    eph_enable_port(l->host);
}

static void link_up(Link *l)
{
    g_assert_cmpuint(epe_link(l->ep, EPC_LINK_START), ==, EPC_STATUS_OK);
    epe_wait_link(l->ep, true);
    eph_wait_present(l->host, true);
    g_assert_cmphex(eph_readl(l->host, EPH_FUNCTION, 0), ==, EP_ID);
}

static void start(Link *l, bool shared)
{
    l->ep = epe_start(EPE_SHARED, "");
    describe_function(l->ep);
    start_host(l, shared);
    link_up(l);
    eph_enable_function(l->host, true);
}

static void end(Link *l)
{
    qtest_quit(l->host);
    epe_stop(l->ep);
}

/*
 * ------------------------------------------------------------------------
 * The link
 */
static void test_updown(void)
{
    unsigned before;
    Link l;

    l.ep = epe_start(EPE_SHARED, "");
    describe_function(l.ep);
    start_host(&l, true);
    before = eph_count_maps(l.host);
    for (unsigned i = 0; i < 10; i++) {
        link_up(&l);
        g_assert_cmphex(eph_readl(l.host, EPH_FUNCTION,
                                  PCI_SUBSYSTEM_VENDOR_ID), ==, 0x56781234);
        g_assert_cmphex(eph_readl(l.host, EPH_FUNCTION, PCI_REVISION_ID), ==,
                        0xff000001);
        g_assert_cmpuint(epe_link(l.ep, EPC_LINK_STOP), ==, EPC_STATUS_OK);
        g_assert_cmphex(eph_readl(l.host, EPH_FUNCTION, 0), ==, 0xffffffff);
        eph_wait_present(l.host, false);
        g_assert_cmphex(epe_reg(l.ep, EPC_REG_LINK) & EPC_LINK_UP, ==, 0);
    }
    /* Less than one area for each link-up: nothing of them is left */
    eph_wait_maps(l.host, before + 8);
    end(&l);
}

/* The link is allowed before there is a host */
static void test_host_last(void)
{
    Link l;

    l.ep = epe_start(EPE_SHARED, "");
    describe_function(l.ep);
    g_assert_cmpuint(epe_link(l.ep, EPC_LINK_START), ==, EPC_STATUS_OK);
    g_assert_cmphex(epe_reg(l.ep, EPC_REG_LINK) & EPC_LINK_UP, ==, 0);
    start_host(&l, true);
    epe_wait_link(l.ep, true);
    eph_wait_present(l.host, true);

    /* A host that goes, and another one */
    for (unsigned i = 0; i < 3; i++) {
        qtest_quit(l.host);
        epe_wait_link(l.ep, false);
        start_host(&l, true);
        epe_wait_link(l.ep, true);
        eph_wait_present(l.host, true);
        g_assert_cmphex(eph_readl(l.host, EPH_FUNCTION, 0), ==, EP_ID);
    }
    end(&l);
}

/* The endpoint's machine ends; the host's goes on */
static void test_endpoint_ends(void)
{
    Link l;

    start(&l, true);
    qtest_qmp_send(l.ep->q, "{'execute': 'quit'}");
    eph_wait_present(l.host, false);
    g_assert_cmphex(qtest_readl(l.host, EPH_BAR(0)), ==, 0xffffffff);
    g_assert_false(eph_prop_bool(l.host, "link-up"));
    qtest_wait_qemu(l.ep->q);
    end(&l);
}

/*
 * ------------------------------------------------------------------------
 * BARs
 */
static void check_bar(Link *l, unsigned bar, uint64_t target, uint64_t size)
{
    uint64_t host = EPH_BAR(bar);

    qtest_writel(l->ep->q, target + 0x10, 0x11111111 * (bar + 1));
    g_assert_cmphex(qtest_readl(l->host, host + 0x10), ==,
                    0x11111111 * (bar + 1));
    qtest_writeb(l->host, host + size - 1, 0xa0 + bar);
    g_assert_cmphex(qtest_readb(l->ep->q, target + size - 1), ==, 0xa0 + bar);
}

static void test_bars(void)
{
    Link l;

    start(&l, true);
    check_bar(&l, 0, BAR_AT(0), BAR_SIZE);
    check_bar(&l, 1, BAR_AT(1), 0x1000);
    check_bar(&l, 2, BAR_AT(2), BAR_SIZE);
    check_bar(&l, 4, BAR_AT(4), 0x20000);
    end(&l);
}

/* Memory of the endpoint that cannot be shared: the same, by message */
static void test_bars_unshared(void)
{
    Link l;

    l.ep = epe_start(EPE_UNSHARED, "");
    describe_function(l.ep);
    start_host(&l, true);
    link_up(&l);
    eph_enable_function(l.host, false);
    check_bar(&l, 0, BAR_AT(0), BAR_SIZE);
    check_bar(&l, 4, BAR_AT(4), 0x20000);
    end(&l);
}

static void test_retarget(void)
{
    Link l;

    start(&l, true);
    for (unsigned i = 0; i < 50; i++) {
        uint64_t at = i & 1 ? BAR_AT(0) : BAR_AT_NEW(0);
        uint64_t old = i & 1 ? BAR_AT_NEW(0) : BAR_AT(0);

        qtest_writeb(l.ep->q, at, i + 1);
        qtest_writeb(l.ep->q, old + 1, 0);
        g_assert_cmpuint(epe_set_bar(l.ep, 0, 0, at, BAR_SIZE), ==,
                         EPC_STATUS_OK);
        /* From here on the old target is out of reach */
        qtest_writeb(l.host, EPH_BAR(0) + 1, 0x77);
        g_assert_cmphex(qtest_readb(l.ep->q, old + 1), ==, 0);
        eph_wait_byte(l.host, EPH_BAR(0), i + 1);
    }

    g_assert_cmpuint(epe_clear_bar(l.ep, 0), ==, EPC_STATUS_OK);
    g_assert_cmphex(qtest_readl(l.host, EPH_BAR(0)), ==, 0xffffffff);
    g_assert_cmphex(eph_readl(l.host, EPH_FUNCTION, PCI_BASE_ADDRESS_0), ==,
                    EPH_BAR(0));
    end(&l);
}

/*
 * ------------------------------------------------------------------------
 * Outbound window
 */
static void test_window(void)
{
    Link l;
    const uint64_t win = EPE_WINDOW + 0x4000;

    start(&l, true);
    g_assert_cmpuint(epe_map(l.ep, 0x4000, HOST_BUFFER, 0x3000), ==,
                     EPC_STATUS_OK);
    qtest_writeq(l.ep->q, win + 0x2ff8, 0x1122334455667788);
    g_assert_cmphex(qtest_readq(l.host, HOST_BUFFER + 0x2ff8), ==,
                    0x1122334455667788);
    qtest_writel(l.host, HOST_BUFFER, 0xdeadbeef);
    g_assert_cmphex(qtest_readl(l.ep->q, win), ==, 0xdeadbeef);

    g_assert_cmpuint(epe_unmap(l.ep, 0x4000), ==, EPC_STATUS_OK);
    g_assert_cmphex(qtest_readl(l.ep->q, win), ==, 0xffffffff);

    /* Bus mastering off: the host has its memory back, and no new map */
    g_assert_cmpuint(epe_map(l.ep, 0x4000, HOST_BUFFER, 0x1000), ==,
                     EPC_STATUS_OK);
    eph_writew(l.host, EPH_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmphex(qtest_readl(l.ep->q, win), ==, 0xffffffff);
    qtest_writel(l.ep->q, win, 0);
    g_assert_cmphex(qtest_readl(l.host, HOST_BUFFER), ==, 0xdeadbeef);
    g_assert_cmpuint(epe_map(l.ep, 0x8000, HOST_BUFFER, 0x1000), ==,
                     EPC_STATUS_NOT_MAPPED);
    end(&l);
}

static void test_window_unshared(void)
{
    const uint64_t win = EPE_WINDOW + 0x1000;
    Link l;

    start(&l, false);
    g_assert_cmpuint(epe_map(l.ep, 0x1000, HOST_BUFFER, 0x1000), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epe_prop(l.ep, "slow-maps"), ==, 1);
    qtest_writel(l.host, HOST_BUFFER + 8, 0x12345678);
    g_assert_cmphex(qtest_readl(l.ep->q, win + 8), ==, 0x12345678);
    qtest_writeq(l.ep->q, win + 0xff8, 0x1122334455667788);
    g_assert_cmphex(qtest_readq(l.host, HOST_BUFFER + 0xff8), ==,
                    0x1122334455667788);

    /* Bus mastering gates it, and is all it needs */
    eph_writew(l.host, EPH_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmphex(qtest_readl(l.ep->q, win + 8), ==, 0xffffffff);
    qtest_writel(l.ep->q, win + 16, 0);
    eph_writew(l.host, EPH_FUNCTION, PCI_COMMAND,
               PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    for (unsigned i = 0; i < EPE_TIMEOUT_MS &&
         qtest_readl(l.ep->q, win + 8) != 0x12345678; i++) {
        g_usleep(1000);
    }
    g_assert_cmphex(qtest_readl(l.ep->q, win + 8), ==, 0x12345678);
    g_assert_cmphex(qtest_readl(l.host, HOST_BUFFER + 16), ==, 0);
    end(&l);
}

/*
 * ------------------------------------------------------------------------
 * DMA engine
 */
static void check_dma(bool shared)
{
    const uint32_t len = 0x20000, gap = 0x40000;
    uint8_t pattern[2] = { 0xa5, 0x5a }, got[2];
    Link l;
    EpDma d;

    start(&l, shared);
    d = (EpDma) {
        .e = l.ep,
        .base = epe_reg(l.ep, EPC_REG_DMA_BASE),
        .stride = epe_reg(l.ep, EPC_REG_DMA_STRIDE),
    };
    epd_enable(&d, 0, RING(0), 16);
    qtest_memwrite(l.host, HOST_BUFFER, pattern, 1);
    qtest_memwrite(l.host, HOST_BUFFER + len - 1, pattern + 1, 1);
    g_assert_cmpuint(epd_copy(&d, HOST_BUFFER, BUFFER, len, FROM_HOST), ==,
                     EPC_DMA_OK);
    g_assert_cmphex(qtest_readb(l.ep->q, BUFFER), ==, 0xa5);
    g_assert_cmphex(qtest_readb(l.ep->q, BUFFER + len - 1), ==, 0x5a);
    g_assert_cmpuint(epd_copy(&d, BUFFER, HOST_BUFFER + gap, len, TO_HOST), ==,
                     EPC_DMA_OK);
    g_assert_cmpuint(epd_copy(&d, HOST_BUFFER + gap, HOST_BUFFER + 2 * gap,
                              len, IN_HOST), ==, EPC_DMA_OK);
    qtest_memread(l.host, HOST_BUFFER + 2 * gap, got, 1);
    qtest_memread(l.host, HOST_BUFFER + 2 * gap + len - 1, got + 1, 1);
    g_assert_cmpmem(got, 2, pattern, 2);

    /* beyond the memory of the host, and without bus mastering */
    g_assert_cmpuint(epd_copy(&d, 1ull << 46, BUFFER, 64, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    eph_writew(l.host, EPH_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmpuint(epd_copy(&d, HOST_BUFFER, BUFFER, len, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    end(&l);
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

/*
 * ------------------------------------------------------------------------
 * Interrupts
 */
static void test_msi(void)
{
    Link l;
    unsigned cap;

    start(&l, true);
    cap = eph_find_cap(l.host, EPH_FUNCTION, PCI_CAP_ID_MSI);
    eph_writel(l.host, EPH_FUNCTION, cap + PCI_MSI_ADDRESS_LO, MSI_ADDR);
    eph_writel(l.host, EPH_FUNCTION, cap + PCI_MSI_ADDRESS_HI, 0);
    eph_writew(l.host, EPH_FUNCTION, cap + PCI_MSI_DATA_64, MSI_DATA);
    eph_writew(l.host, EPH_FUNCTION, cap + PCI_MSI_FLAGS,
               5 << 4 | PCI_MSI_FLAGS_ENABLE);
    g_assert_cmphex(epe_fn(l.ep, EPC_FN_MSI), ==,
                    EPC_FN_IRQ_ENABLED | MSI_VECTORS);
    for (unsigned i = 0; i < MSI_VECTORS; i++) {
        qtest_writel(l.host, MSI_ADDR, 0);
        epe_raise(l.ep, EPC_RAISE_MSI(i), 0);
        eph_wait_mem(l.host, MSI_ADDR, MSI_DATA + i);
    }
    eph_writew(l.host, EPH_FUNCTION, cap + PCI_MSI_FLAGS, 0);
    g_assert_cmphex(epe_fn(l.ep, EPC_FN_MSI) & EPC_FN_IRQ_ENABLED, ==, 0);
    end(&l);
}

static void test_msix(void)
{
    uint64_t table, pba;
    unsigned cap;
    Link l;

    start(&l, true);
    cap = eph_find_cap(l.host, EPH_FUNCTION, PCI_CAP_ID_MSIX);
    eph_msix(l.host, &table, &pba);
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
    eph_writew(l.host, EPH_FUNCTION, cap + PCI_MSIX_FLAGS,
               PCI_MSIX_FLAGS_ENABLE);
    g_assert_cmphex(epe_fn(l.ep, EPC_FN_MSIX), ==,
                    EPC_FN_IRQ_ENABLED | MSIX_VECTORS);
    for (unsigned i = 0; i < MSIX_VECTORS; i++) {
        epe_raise(l.ep, EPC_RAISE_MSIX(i), 0);
        eph_wait_mem(l.host, MSI_ADDR + i * 4, MSI_DATA + i);
    }
    end(&l);
}

static void test_intx(void)
{
    Link l;

    start(&l, true);
    for (unsigned i = 0; i < 4; i++) {
        unsigned level = !(i & 1);

        epe_raise(l.ep, EPC_RAISE_INTX, level);
        for (unsigned n = 0; n < EPE_TIMEOUT_MS; n++) {
            if (!!(eph_readw(l.host, EPH_FUNCTION, PCI_STATUS) &
                   PCI_STATUS_INTERRUPT) == level) {
                break;
            }
            g_usleep(1000);
        }
        g_assert_cmpuint(!!(eph_readw(l.host, EPH_FUNCTION, PCI_STATUS) &
                            PCI_STATUS_INTERRUPT), ==, level);
    }
    end(&l);
}

/*
 * ------------------------------------------------------------------------
 * Configuration and resets
 */
static void wait_event(EpEndpoint *e, bool fn, uint32_t event)
{
    for (unsigned i = 0; i < EPE_TIMEOUT_MS; i++) {
        uint32_t now = fn ? epe_fn(e, EPC_FN_EVENT) :
                            epe_reg(e, EPC_REG_EVENT);

        if (now & event) {
            return;
        }
        g_usleep(1000);
    }
    g_assert_not_reached();
}

static void clear_events(EpEndpoint *e)
{
    epe_set(e, EPC_REG_EVENT, EPC_EVENT_ALL);
    epe_fn_set(e, EPC_FN_EVENT, EPC_FN_EVENT_ALL);
}

static void test_resets(void)
{
    Link l;
    unsigned cap;

    start(&l, true);
    g_assert_cmphex(epe_fn(l.ep, EPC_FN_PCI_COMMAND), ==,
                    PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    cap = eph_find_cap(l.host, EPH_FUNCTION, PCI_CAP_ID_EXP);

    clear_events(l.ep);
    eph_writew(l.host, EPH_FUNCTION, cap + PCI_EXP_DEVCTL,
               PCI_EXP_DEVCTL_BCR_FLR);
    wait_event(l.ep, true, EPC_FN_EVENT_FLR);
    g_assert_cmphex(epe_fn(l.ep, EPC_FN_PCI_COMMAND), ==, 0);
    g_assert_cmphex(eph_readw(l.host, EPH_FUNCTION, PCI_COMMAND), ==, 0);

    eph_enable_function(l.host, true);
    clear_events(l.ep);
    eph_writew(l.host, EPH_PORT, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET);
    eph_writew(l.host, EPH_PORT, PCI_BRIDGE_CONTROL, 0);
    wait_event(l.ep, false, EPC_EVENT_HOT_RESET);
    g_assert_cmphex(epe_fn(l.ep, EPC_FN_PCI_COMMAND), ==, 0);

    eph_enable_function(l.host, true);
    clear_events(l.ep);
    qtest_system_reset(l.host);
    wait_event(l.ep, false, EPC_EVENT_PERST);
    eph_enable_port(l.host);
    eph_enable_function(l.host, true);
    g_assert_cmphex(eph_readl(l.host, EPH_FUNCTION, 0), ==, EP_ID);
    check_bar(&l, 0, BAR_AT(0), BAR_SIZE);
    end(&l);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("pci-ep-link/up-down", test_updown);
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

    return g_test_run();
}
