/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge with scripted endpoints of several functions, honest ones and others
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep-host.h"
#include "pci-ep-server.h"

#define DEADLINE_MS 1000
#define SHORT_MS    300
#define DEVICE(n)   (0xb500 + (n))
#define FNS         8

typedef struct Device {
    EpServer *ep[FNS];
    QTestState *q;
} Device;

/* A server for each function of @mask; none listens */
static void make(Device *d, uint32_t mask)
{
    *d = (Device) { };
    for (unsigned i = 0; i < FNS; i++) {
        EpServer *s;

        if (!(mask & (1u << i))) {
            continue;
        }
        d->ep[i] = s = eps_new();
        s->features |= VFU_EP_FEATURE_FUNC;
        s->functions = mask;
        stw_le_p(s->config + PCI_DEVICE_ID, DEVICE(i));
        if (i) {
            g_free(s->path);
            s->path = g_strdup_printf("%s.%u", d->ep[0]->path, i);
        }
    }
}

static void listen_all(Device *d)
{
    for (unsigned i = 0; i < FNS; i++) {
        if (d->ep[i]) {
            eps_listen(d->ep[i]);
        }
    }
}

static void start(Device *d, uint32_t mask)
{
    make(d, mask);
    listen_all(d);
    d->q = eph_start(d->ep[0]->path, DEADLINE_MS, true);
    eph_enable_port(d->q);
}

static void end(Device *d)
{
    qtest_quit(d->q);
    for (unsigned i = 0; i < FNS; i++) {
        if (d->ep[i]) {
            eps_free(d->ep[i]);
        }
    }
}

/* Function 0 first: it is the one that is connected */
static void all_up(Device *d)
{
    for (unsigned i = 0; i < FNS; i++) {
        if (d->ep[i]) {
            g_assert_cmpint(eps_link_up(d->ep[i]), ==, 0);
        }
    }
}

static void check_shown(Device *d, uint32_t mask)
{
    eph_wait_present(d->q, true);
    for (unsigned i = 0; i < FNS; i++) {
        g_assert_cmphex(eph_readl(d->q, EPH_FUNCTION + i, 0), ==,
                        mask & (1u << i) ? 0x104c | DEVICE(i) << 16 :
                                           UINT32_MAX);
    }
}

static void check_absent(Device *d, unsigned ms)
{
    gint64 until = g_get_monotonic_time() + ms * 1000ll;

    do {
        g_assert_false(eph_slot_status(d->q) & PCI_EXP_SLTSTA_PDS);
        g_assert_cmphex(eph_readl(d->q, EPH_FUNCTION, 0), ==, UINT32_MAX);
        g_usleep(10000);
    } while (g_get_monotonic_time() < until);
}

/* ---- Honest ones ---- */

static void test_together(void)
{
    const uint32_t mask = 0x8b;
    Device d;

    start(&d, mask);
    for (unsigned last = 1; last < FNS; last++) {
        if (!(mask & (1u << last))) {
            continue;
        }
        for (unsigned i = 0; i < FNS; i++) {
            if (d.ep[i] && i != last) {
                g_assert_cmpint(eps_link_up(d.ep[i]), ==, 0);
            }
        }
        check_absent(&d, 50);
        g_assert_cmpint(eps_link_up(d.ep[last]), ==, 0);
        check_shown(&d, mask);
        g_assert_cmphex(eph_readb(d.q, EPH_FUNCTION, PCI_HEADER_TYPE), ==,
                        0x80);

        /* Down in one is down in all */
        g_assert_cmpint(eps_link_down(d.ep[last]), ==, 0);
        eph_wait_present(d.q, false);
        check_absent(&d, 50);
        for (unsigned i = 0; i < FNS; i++) {
            if (d.ep[i] && i != last) {
                g_assert_cmpint(eps_link_down(d.ep[i]), ==, 0);
            }
        }
    }
    end(&d);
}

static void test_single(void)
{
    Device d;

    start(&d, 0x1);
    all_up(&d);
    check_shown(&d, 0x1);
    g_assert_cmphex(eph_readb(d.q, EPH_FUNCTION, PCI_HEADER_TYPE), ==, 0);
    end(&d);
}

/* Any session that ends takes all functions away. */
static void test_session_ends(void)
{
    Device d;

    start(&d, 0x7);
    for (unsigned i = 0; i < 3; i++) {
        all_up(&d);
        check_shown(&d, 0x7);
        eps_disconnect(d.ep[i]);
        eph_wait_present(d.q, false);
        for (unsigned n = 0; n < 3; n++) {
            if (n != i) {
                g_assert_cmpint(eps_link_down(d.ep[n]), ==, 0);
            }
        }
        while (eps_count(d.ep[i], VFU_CMD_VERSION) < 2) {
            g_usleep(1000);
        }
        eps_clear_log(d.ep[i]);
        for (unsigned n = 0; n < 3; n++) {
            eps_wait_connected(d.ep[n]);
        }
    }
    end(&d);
}

/* The endpoint shows fewer the next time: the others are left alone. */
static void test_fewer(void)
{
    Device d;

    start(&d, 0x7);
    all_up(&d);
    check_shown(&d, 0x7);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(eps_link_down(d.ep[i]), ==, 0);
        d.ep[i]->functions = 0x5;
    }
    eph_wait_present(d.q, false);
    g_assert_cmpint(eps_link_up(d.ep[0]), ==, 0);
    g_assert_cmpint(eps_link_up(d.ep[2]), ==, 0);
    check_shown(&d, 0x5);
    for (unsigned i = 0; d.ep[1]->conn >= 0; i++) {
        g_assert_cmpuint(i, <, EPS_TIMEOUT_MS);
        g_usleep(1000);
    }

    for (unsigned i = 0; i < 3; i += 2) {
        g_assert_cmpint(eps_link_down(d.ep[i]), ==, 0);
        d.ep[i]->functions = 0x1;
    }
    eph_wait_present(d.q, false);
    g_assert_cmpint(eps_link_up(d.ep[0]), ==, 0);
    check_shown(&d, 0x1);
    g_assert_cmphex(eph_readb(d.q, EPH_FUNCTION, PCI_HEADER_TYPE), ==, 0);
    end(&d);
}

/* Resets of bus and machine are told in each session. */
static void test_resets(void)
{
    Device d;

    start(&d, 0x83);
    all_up(&d);
    check_shown(&d, 0x83);
    eph_writew(d.q, EPH_PORT, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET);
    eph_writew(d.q, EPH_PORT, PCI_BRIDGE_CONTROL, 0);
    for (unsigned i = 0; i < FNS; i++) {
        const VfuEpReset *r;

        if (d.ep[i]) {
            r = (const void *)eps_wait(d.ep[i], VFU_CMD_EP_RESET, 1)->payload;
            g_assert_cmpuint(r->kind, ==, VFU_EP_RESET_HOT);
        }
    }
    qtest_system_reset(d.q);
    for (unsigned i = 0; i < FNS; i++) {
        const VfuEpReset *r;

        if (d.ep[i]) {
            r = (const void *)eps_wait(d.ep[i], VFU_CMD_EP_RESET, 2)->payload;
            g_assert_cmpuint(r->kind, ==, VFU_EP_RESET_PERST);
        }
    }
    end(&d);
}

/* Answers reads of BAR1 late, but in time */
static bool slow_read(EpServer *s, const EpsMsg *m, void *opaque)
{
    const VfuRegionRw *rw = (const void *)m->payload;

    if (m->hdr.command == VFU_CMD_REGION_READ && rw->region == 1) {
        g_usleep(DEADLINE_MS * 600);
    }
    return false;
}

/* What slow answers hold up the guest adds up over all functions. */
static void test_slow(void)
{
    Device d;

    start(&d, 0x3);
    all_up(&d);
    check_shown(&d, 0x3);
    for (unsigned i = 0; i < 2; i++) {
        d.ep[i]->hook = slow_read;
        eph_writel(d.q, EPH_FUNCTION + i, PCI_BASE_ADDRESS_1, EPH_BAR(i));
        eph_writew(d.q, EPH_FUNCTION + i, PCI_COMMAND, PCI_COMMAND_MEMORY);
    }
    g_assert_cmphex(qtest_readl(d.q, EPH_BAR(0)), !=, UINT32_MAX);
    qtest_readl(d.q, EPH_BAR(1));
    eph_wait_present(d.q, false);
    eph_wait_error(d.q, "answers too slowly");
    end(&d);
}

/* Answers reads of BAR1 in a time that is not slow yet */
static bool lazy_read(EpServer *s, const EpsMsg *m, void *opaque)
{
    const VfuRegionRw *rw = (const void *)m->payload;

    if (m->hdr.command == VFU_CMD_REGION_READ && rw->region == 1) {
        g_usleep(DEADLINE_MS * 1000 / 20);
    }
    return false;
}

/* DMA of functions to a sibling, which keeps it waiting: the guest goes on. */
static void test_dma_lazy(void)
{
    VfuDmaRw rw = { .address = EPH_BAR(0), .count = 4096 };
    Device d;

    start(&d, 0xf);
    all_up(&d);
    check_shown(&d, 0xf);
    eph_writel(d.q, EPH_FUNCTION, PCI_BASE_ADDRESS_1, EPH_BAR(0));
    for (unsigned i = 0; i < 4; i++) {
        eph_writew(d.q, EPH_FUNCTION + i, PCI_COMMAND,
                   PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    }
    d.ep[0]->hook = lazy_read;
    for (unsigned i = 1; i < 4; i++) {
        eps_send(d.ep[i], VFU_CMD_DMA_READ, 0, &rw, sizeof(rw));
    }
    eps_wait(d.ep[0], VFU_CMD_REGION_READ,
             eps_count(d.ep[0], VFU_CMD_REGION_READ) + 2);
    for (unsigned i = 0; i < 10; i++) {
        gint64 t = g_get_monotonic_time();

        g_assert_cmphex(eph_readl(d.q, EPH_FUNCTION, 0), !=, UINT32_MAX);
        g_assert_cmpint(g_get_monotonic_time() - t, <, DEADLINE_MS * 500);
    }
    /* and they do */
    eps_wait(d.ep[0], VFU_CMD_REGION_READ,
             eps_count(d.ep[0], VFU_CMD_REGION_READ) + 2);
    end(&d);
}

/* ---- Others ---- */

/* A sibling that is not there is waited for, and the user is told. */
static void test_sibling_absent(void)
{
    Device d;

    make(&d, 0x7);
    eps_listen(d.ep[0]);
    eps_listen(d.ep[1]);
    d.q = eph_start(d.ep[0]->path, DEADLINE_MS, true);
    eph_enable_port(d.q);
    g_assert_cmpint(eps_link_up(d.ep[0]), ==, 0);
    g_assert_cmpint(eps_link_up(d.ep[1]), ==, 0);
    eph_wait_error(d.q, "did not come up: 2;");
    check_absent(&d, SHORT_MS);
    eps_listen(d.ep[2]);
    g_assert_cmpint(eps_link_up(d.ep[2]), ==, 0);
    check_shown(&d, 0x7);
    end(&d);
}

/* One that is connected and never has a link */
static void test_sibling_down(void)
{
    Device d;

    start(&d, 0x3);
    g_assert_cmpint(eps_link_up(d.ep[0]), ==, 0);
    eps_wait_connected(d.ep[1]);
    eph_wait_error(d.q, "did not come up: 1;");
    check_absent(&d, SHORT_MS);
    g_assert_cmpint(eps_link_up(d.ep[1]), ==, 0);
    check_shown(&d, 0x3);
    end(&d);
}

/* Functions that cannot be, or that leave out the one that says so */
static void test_mask_lies(void)
{
    static const uint32_t bad[] = { 0, 2, 0x100 | 1, UINT32_MAX, 0x80000001 };
    Device d;

    start(&d, 0x1);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        d.ep[0]->functions = bad[i];
        g_assert_cmpint(eps_link_up(d.ep[0]), !=, 0);
        check_absent(&d, 50);
    }
    d.ep[0]->functions = 0x1;
    while (eps_link_up(d.ep[0])) {
        g_usleep(10000);
    }
    check_shown(&d, 0x1);
    end(&d);
}

/* The socket of function 1 is that of another endpoint. */
static void test_sibling_other(void)
{
    Device d;

    start(&d, 0x3);
    d.ep[1]->functions = 0x1;
    g_assert_cmpint(eps_link_up(d.ep[0]), ==, 0);
    g_assert_cmpint(eps_link_up(d.ep[1]), !=, 0);
    eph_wait_error(d.q, "is it a socket of another endpoint?");
    check_absent(&d, SHORT_MS);

    /* It has a function 1, but other functions than function 0 says */
    d.ep[1]->functions = 0x7;
    while (eps_link_up(d.ep[1])) {
        g_usleep(10000);
    }
    eph_wait_error(d.q, "did not come up: 1;");
    check_absent(&d, SHORT_MS);

    d.ep[1]->functions = 0x3;
    g_assert_cmpint(eps_link_up(d.ep[1]), ==, 0);
    check_shown(&d, 0x3);
    end(&d);
}

/* A sibling that cannot be made into a device keeps all of them away. */
static void test_sibling_broken(void)
{
    Device d;

    make(&d, 0x3);
    d.ep[1]->config[PCI_CAPABILITY_LIST] = 0x10;
    listen_all(&d);
    d.q = eph_start(d.ep[0]->path, DEADLINE_MS, true);
    eph_enable_port(d.q);
    all_up(&d);
    eph_wait_error(d.q, "capability list is broken");
    check_absent(&d, SHORT_MS);

    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpint(eps_link_down(d.ep[i]), ==, 0);
    }
    d.ep[1]->config[PCI_CAPABILITY_LIST] = d.ep[0]->config[PCI_CAPABILITY_LIST];
    all_up(&d);
    check_shown(&d, 0x3);
    end(&d);
}

/* One that does not know of "func" has one function, whatever it names. */
static void test_no_func(void)
{
    Device d;

    make(&d, 0x3);
    d.ep[0]->features &= ~VFU_EP_FEATURE_FUNC;
    listen_all(&d);
    d.q = eph_start(d.ep[0]->path, DEADLINE_MS, true);
    eph_enable_port(d.q);
    g_assert_cmpint(eps_link_up(d.ep[0]), ==, 0);
    check_shown(&d, 0x1);
    g_assert_cmpuint(eps_count(d.ep[1], VFU_CMD_VERSION), ==, 0);
    end(&d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("epf-bridge/func/together", test_together);
    qtest_add_func("epf-bridge/func/single", test_single);
    qtest_add_func("epf-bridge/func/session-ends", test_session_ends);
    qtest_add_func("epf-bridge/func/fewer", test_fewer);
    qtest_add_func("epf-bridge/func/resets", test_resets);
    qtest_add_func("epf-bridge/func/slow", test_slow);
    qtest_add_func("epf-bridge/func/dma-lazy", test_dma_lazy);
    qtest_add_func("epf-bridge/func/no-func", test_no_func);
    qtest_add_func("epf-bridge/func/sibling-absent", test_sibling_absent);
    qtest_add_func("epf-bridge/func/sibling-down", test_sibling_down);
    qtest_add_func("epf-bridge/func/sibling-other", test_sibling_other);
    qtest_add_func("epf-bridge/func/sibling-broken", test_sibling_broken);
    qtest_add_func("epf-bridge/func/mask-lies", test_mask_lies);
    return g_test_run();
}
