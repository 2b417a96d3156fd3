/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge with fake endpoints of several functions, honest ones and others
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-host.h"
#include "pci-ep/fake-endpoint.h"
#include "pci-ep/wait.h"

#define DEADLINE_MS wait_scaled(1000)
#define DEVICE(n)   (0xb500 + (n))
#define FNS         8

typedef struct Device {
    FakeEp *ep[FNS];
    QTestState *q;
} Device;

/* A server for each function of @mask; none listens */
static void device_make(Device *d, uint32_t mask)
{
    *d = (Device) { };
    for (unsigned i = 0; i < FNS; i++) {
        FakeEp *s;

        if (!(mask & (1u << i))) {
            continue;
        }
        d->ep[i] = s = fakeep_new();
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
            fakeep_listen(d->ep[i]);
        }
    }
}

static void device_start(Device *d, uint32_t mask)
{
    device_make(d, mask);
    listen_all(d);
    d->q = hostvm_start(d->ep[0]->path, DEADLINE_MS, true);
    hostvm_enable_port(d->q);
}

static void device_end(Device *d)
{
    qtest_quit(d->q);
    for (unsigned i = 0; i < FNS; i++) {
        if (d->ep[i]) {
            fakeep_free(d->ep[i]);
        }
    }
}

/* Function 0 first: it is the one that is connected */
static void all_up(Device *d)
{
    for (unsigned i = 0; i < FNS; i++) {
        if (d->ep[i]) {
            g_assert_cmpint(fakeep_link_up(d->ep[i]), ==, 0);
        }
    }
}

static void check_shown(Device *d, uint32_t mask)
{
    hostvm_wait_present(d->q, true);
    for (unsigned i = 0; i < FNS; i++) {
        g_assert_cmphex(hostvm_readl(d->q, HOSTVM_FUNCTION + i, 0), ==,
                        mask & (1u << i) ? 0x104c | DEVICE(i) << 16 :
                                           UINT32_MAX);
    }
}

/*
 * No function is shown because of anything that came before. The bridge decides
 * in a bottom half, which a session schedules before it answers EP_LINK.
 */
static void check_absent(Device *d)
{
    fence_main_loop(d->q);
    g_assert_cmphex(hostvm_slot_status(d->q) & PCI_EXP_SLTSTA_PDS, ==, 0);
    g_assert_cmphex(hostvm_readl(d->q, HOSTVM_FUNCTION, 0), ==, UINT32_MAX);
}

/* Tries again until the bridge has connected once more and accepts the link. */
static void wait_link_up(FakeEp *s)
{
    wait_until(fakeep_link_up(s) == 0, "the bridge to accept the link of %s",
               s->path);
}

/* ---- Honest ones ---- */

static void test_together(void)
{
    const uint32_t mask = 0x8b;
    Device d;

    device_start(&d, mask);
    for (unsigned last = 1; last < FNS; last++) {
        if (!(mask & (1u << last))) {
            continue;
        }
        for (unsigned i = 0; i < FNS; i++) {
            if (d.ep[i] && i != last) {
                g_assert_cmpint(fakeep_link_up(d.ep[i]), ==, 0);
            }
        }
        check_absent(&d);
        g_assert_cmpint(fakeep_link_up(d.ep[last]), ==, 0);
        check_shown(&d, mask);
        g_assert_cmphex(hostvm_readb(d.q, HOSTVM_FUNCTION, PCI_HEADER_TYPE), ==,
                        0x80);

        /* Down in one is down in all */
        g_assert_cmpint(fakeep_link_down(d.ep[last]), ==, 0);
        hostvm_wait_present(d.q, false);
        check_absent(&d);
        for (unsigned i = 0; i < FNS; i++) {
            if (d.ep[i] && i != last) {
                g_assert_cmpint(fakeep_link_down(d.ep[i]), ==, 0);
            }
        }
    }
    device_end(&d);
}

static void test_single(void)
{
    Device d;

    device_start(&d, 0x1);
    all_up(&d);
    check_shown(&d, 0x1);
    g_assert_cmphex(hostvm_readb(d.q, HOSTVM_FUNCTION, PCI_HEADER_TYPE), ==, 0);
    device_end(&d);
}

/* Any session that ends takes all functions and the other sessions away. */
static void test_session_ends(void)
{
    Device d;

    device_start(&d, 0x7);
    for (unsigned i = 0; i < 3; i++) {
        all_up(&d);
        check_shown(&d, 0x7);
        fakeep_disconnect(d.ep[i]);
        hostvm_wait_present(d.q, false);
        for (unsigned n = 0; n < 3; n++) {
            fakeep_wait(d.ep[n], VFU_CMD_VERSION, i + 2);
            fakeep_wait_connected(d.ep[n]);
        }
    }
    device_end(&d);
}

/* The endpoint shows fewer the next time: the others are left alone. */
static void test_fewer(void)
{
    Device d;

    device_start(&d, 0x7);
    all_up(&d);
    check_shown(&d, 0x7);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(fakeep_link_down(d.ep[i]), ==, 0);
        d.ep[i]->functions = 0x5;
    }
    hostvm_wait_present(d.q, false);
    g_assert_cmpint(fakeep_link_up(d.ep[0]), ==, 0);
    g_assert_cmpint(fakeep_link_up(d.ep[2]), ==, 0);
    check_shown(&d, 0x5);
    wait_until(d.ep[1]->conn < 0, "the bridge to close the connection to 1");

    for (unsigned i = 0; i < 3; i += 2) {
        g_assert_cmpint(fakeep_link_down(d.ep[i]), ==, 0);
        d.ep[i]->functions = 0x1;
    }
    hostvm_wait_present(d.q, false);
    g_assert_cmpint(fakeep_link_up(d.ep[0]), ==, 0);
    check_shown(&d, 0x1);
    g_assert_cmphex(hostvm_readb(d.q, HOSTVM_FUNCTION, PCI_HEADER_TYPE), ==, 0);
    device_end(&d);
}

/* A reset of the bus or the machine is sent on each session. */
static void test_resets(void)
{
    Device d;

    device_start(&d, 0x83);
    all_up(&d);
    check_shown(&d, 0x83);
    hostvm_writew(d.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL,
                  PCI_BRIDGE_CTL_BUS_RESET);
    hostvm_writew(d.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL, 0);
    for (unsigned i = 0; i < FNS; i++) {
        const VfuEpReset *r;

        if (d.ep[i]) {
            r = (const void *)fakeep_wait(d.ep[i], VFU_CMD_EP_RESET, 1)
                    ->payload;
            g_assert_cmpuint(r->kind, ==, VFU_EP_RESET_HOT);
        }
    }
    qtest_system_reset(d.q);
    for (unsigned i = 0; i < FNS; i++) {
        const VfuEpReset *r;

        if (d.ep[i]) {
            r = (const void *)fakeep_wait(d.ep[i], VFU_CMD_EP_RESET, 2)
                    ->payload;
            g_assert_cmpuint(r->kind, ==, VFU_EP_RESET_PERST);
        }
    }
    device_end(&d);
}

/* Answers reads of BAR1 late, but in time */
static bool hook_late_read(FakeEp *s, const VfuMsg *m, void *opaque)
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

    device_start(&d, 0x3);
    all_up(&d);
    check_shown(&d, 0x3);
    for (unsigned i = 0; i < 2; i++) {
        d.ep[i]->hook = hook_late_read;
        hostvm_writel(d.q, HOSTVM_FUNCTION + i, PCI_BASE_ADDRESS_1,
                      HOSTVM_BAR(i));
        hostvm_writew(d.q, HOSTVM_FUNCTION + i, PCI_COMMAND,
                      PCI_COMMAND_MEMORY);
    }
    g_assert_cmphex(qtest_readl(d.q, HOSTVM_BAR(0)), !=, UINT32_MAX);
    qtest_readl(d.q, HOSTVM_BAR(1));
    hostvm_wait_present(d.q, false);
    hostvm_wait_error(d.q, "answers too slowly");
    device_end(&d);
}

/* Answers reads of BAR1 in a time that is not slow yet */
static bool lazy_read(FakeEp *s, const VfuMsg *m, void *opaque)
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
    VfuDmaRw rw = { .address = HOSTVM_BAR(0), .count = 4096 };
    Device d;

    device_start(&d, 0xf);
    all_up(&d);
    check_shown(&d, 0xf);
    hostvm_writel(d.q, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_1, HOSTVM_BAR(0));
    for (unsigned i = 0; i < 4; i++) {
        hostvm_writew(d.q, HOSTVM_FUNCTION + i, PCI_COMMAND,
                      PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    }
    d.ep[0]->hook = lazy_read;
    for (unsigned i = 1; i < 4; i++) {
        fakeep_send(d.ep[i], VFU_CMD_DMA_READ, 0, &rw, sizeof(rw));
    }
    fakeep_wait(d.ep[0], VFU_CMD_REGION_READ,
                fakeep_count(d.ep[0], VFU_CMD_REGION_READ) + 2);
    for (unsigned i = 0; i < 10; i++) {
        gint64 t = g_get_monotonic_time();

        g_assert_cmphex(hostvm_readl(d.q, HOSTVM_FUNCTION, 0), !=, UINT32_MAX);
        g_assert_cmpint(g_get_monotonic_time() - t, <, DEADLINE_MS * 500);
    }
    /* and they do */
    fakeep_wait(d.ep[0], VFU_CMD_REGION_READ,
                fakeep_count(d.ep[0], VFU_CMD_REGION_READ) + 2);
    device_end(&d);
}

/* ---- Others ---- */

/* The bridge waits for a sibling that is absent, and reports that. */
static void test_sibling_absent(void)
{
    Device d;

    device_make(&d, 0x7);
    fakeep_listen(d.ep[0]);
    fakeep_listen(d.ep[1]);
    d.q = hostvm_start(d.ep[0]->path, DEADLINE_MS, true);
    hostvm_enable_port(d.q);
    g_assert_cmpint(fakeep_link_up(d.ep[0]), ==, 0);
    g_assert_cmpint(fakeep_link_up(d.ep[1]), ==, 0);
    hostvm_wait_error(d.q, "did not come up: 2 (");
    check_absent(&d);
    fakeep_listen(d.ep[2]);
    g_assert_cmpint(fakeep_link_up(d.ep[2]), ==, 0);
    check_shown(&d, 0x7);
    device_end(&d);
}

/* One that is connected and never has a link */
static void test_sibling_down(void)
{
    Device d;

    device_start(&d, 0x3);
    g_assert_cmpint(fakeep_link_up(d.ep[0]), ==, 0);
    fakeep_wait_connected(d.ep[1]);
    hostvm_wait_error(d.q, "did not come up: 1 (");
    check_absent(&d);
    g_assert_cmpint(fakeep_link_up(d.ep[1]), ==, 0);
    check_shown(&d, 0x3);
    device_end(&d);
}

/* Functions that cannot be, or that leave out the one that says so */
static void test_mask_lies(void)
{
    static const uint32_t bad[] = { 0, 2, 0x100 | 1, UINT32_MAX, 0x80000001 };
    Device d;

    device_start(&d, 0x1);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        d.ep[0]->functions = bad[i];
        g_assert_cmpint(fakeep_link_up(d.ep[0]), !=, 0);
        check_absent(&d);
    }
    d.ep[0]->functions = 0x1;
    wait_link_up(d.ep[0]);
    check_shown(&d, 0x1);
    device_end(&d);
}

/* The socket of function 1 is that of another endpoint. */
static void test_sibling_other(void)
{
    Device d;

    device_start(&d, 0x3);
    d.ep[1]->functions = 0x1;
    g_assert_cmpint(fakeep_link_up(d.ep[0]), ==, 0);
    g_assert_cmpint(fakeep_link_up(d.ep[1]), !=, 0);
    hostvm_wait_error(d.q, "is it a socket of another endpoint?");
    check_absent(&d);

    /* It has a function 1, but other functions than function 0 says */
    d.ep[1]->functions = 0x7;
    wait_link_up(d.ep[1]);
    hostvm_wait_error(d.q, "did not come up: 1 (");
    check_absent(&d);

    d.ep[1]->functions = 0x3;
    g_assert_cmpint(fakeep_link_up(d.ep[1]), ==, 0);
    check_shown(&d, 0x3);
    device_end(&d);
}

/* A sibling that cannot be made into a device keeps all of them away. */
static void test_sibling_broken(void)
{
    Device d;

    device_make(&d, 0x3);
    d.ep[1]->config[PCI_CAPABILITY_LIST] = 0x10;
    listen_all(&d);
    d.q = hostvm_start(d.ep[0]->path, DEADLINE_MS, true);
    hostvm_enable_port(d.q);
    all_up(&d);
    hostvm_wait_error(d.q, "capability list is broken");
    check_absent(&d);

    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpint(fakeep_link_down(d.ep[i]), ==, 0);
    }
    d.ep[1]->config[PCI_CAPABILITY_LIST] = d.ep[0]->config[PCI_CAPABILITY_LIST];
    all_up(&d);
    check_shown(&d, 0x3);
    device_end(&d);
}

/* One that does not know of "func" has one function, whatever it names. */
static void test_no_func(void)
{
    Device d;

    device_make(&d, 0x3);
    d.ep[0]->features &= ~VFU_EP_FEATURE_FUNC;
    listen_all(&d);
    d.q = hostvm_start(d.ep[0]->path, DEADLINE_MS, true);
    hostvm_enable_port(d.q);
    g_assert_cmpint(fakeep_link_up(d.ep[0]), ==, 0);
    check_shown(&d, 0x1);
    g_assert_cmpuint(fakeep_count(d.ep[1], VFU_CMD_VERSION), ==, 0);
    device_end(&d);
}

static bool hook_mute(FakeEp *s, const VfuMsg *m, void *opaque)
{
    return true;
}

/* All functions fall silent together: that costs no deadline for each. */
static void test_silent_siblings(void)
{
    Device d;
    gint64 t;

    device_start(&d, 0xff);
    all_up(&d);
    check_shown(&d, 0xff);
    for (unsigned i = 0; i < FNS; i++) {
        hostvm_writew(d.q, HOSTVM_FUNCTION + i, PCI_COMMAND,
                      PCI_COMMAND_MASTER);
        fakeep_wait(d.ep[i], VFU_CMD_DMA_MAP, 1);
        d.ep[i]->hook = hook_mute;
    }
    t = g_get_monotonic_time();
    hostvm_writew(d.q, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_MASTER);
    hostvm_wait_present(d.q, false);
    g_test_message("took %d ms", (int)((g_get_monotonic_time() - t) / 1000));
    g_assert_cmpint(g_get_monotonic_time() - t, <, 2 * DEADLINE_MS * 1000);
    device_end(&d);
}

static int read_dma(FakeEp *s, uint64_t addr, uint32_t *val)
{
    VfuDmaRw rw = { .address = addr, .count = sizeof(*val) };
    uint8_t reply[sizeof(rw) + sizeof(*val)];
    int err = fakeep_call(s, VFU_CMD_DMA_READ, &rw, sizeof(rw), reply,
                          sizeof(reply));

    memcpy(val, reply + sizeof(rw), sizeof(*val));
    return err;
}

static bool is_told(FakeEp *s, uint64_t addr)
{
    const VfuMsg *m;

    for (unsigned i = 0; (m = fakeep_nth(s, VFU_CMD_DMA_MAP, i)); i++) {
        const VfuDmaMap *map = (const void *)m->payload;

        if (addr >= map->address && addr - map->address < map->size) {
            return true;
        }
    }
    return false;
}

/* A function reaches BARs of another one, in memory and by message. */
static void test_sibling_bars(void)
{
    uint32_t val = 0;
    Device d;

    device_start(&d, 0x3);
    stl_le_p(d.ep[1]->bar[0].data + d.ep[1]->bar[0].offset, 0x600df00d);
    stl_le_p(d.ep[1]->bar[1].data, 0x0badcafe);
    all_up(&d);
    check_shown(&d, 0x3);
    hostvm_writew(d.q, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_MASTER);
    hostvm_writel(d.q, HOSTVM_FUNCTION + 1, PCI_BASE_ADDRESS_0, HOSTVM_BAR(0));
    hostvm_writel(d.q, HOSTVM_FUNCTION + 1, PCI_BASE_ADDRESS_1, HOSTVM_BAR(1));
    hostvm_writew(d.q, HOSTVM_FUNCTION + 1, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmphex(qtest_readl(d.q, HOSTVM_BAR(0)), ==, 0x600df00d);
    for (unsigned bar = 0; bar < 2; bar++) {
        g_assert_true(is_told(d.ep[0], HOSTVM_BAR(bar)));
        g_assert_cmpint(read_dma(d.ep[0], HOSTVM_BAR(bar), &val), ==, 0);
        g_assert_cmphex(val, ==, bar ? 0x0badcafe : 0x600df00d);
    }
    /* It does not reach its own. */
    hostvm_writew(d.q, HOSTVM_FUNCTION + 1, PCI_COMMAND,
                  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    g_assert_cmpint(read_dma(d.ep[1], HOSTVM_BAR(0), &val), ==, EFAULT);
    device_end(&d);
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
    qtest_add_func("epf-bridge/func/silent-siblings", test_silent_siblings);
    qtest_add_func("epf-bridge/func/sibling-bars", test_sibling_bars);
    return g_test_run();
}
