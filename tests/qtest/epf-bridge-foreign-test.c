/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge and a vfio-user server that knows nothing of this project: what
 * any PCI function may have
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"
#include "pci-ep/wait.h"

#define EXP         0x60        /* of the fake endpoint */
#define MSIX        0xa0        /* likewise */
#define NEXT        (EXP + 0x14)    /* a capability right behind version 1 */
#define IO_WINDOW   0xc000
#define IO_BAR      (IO_WINDOW + 0x40)

/* A plain server, whose link is up as soon as it is connected */
static FakeEp *new_server(void)
{
    FakeEp *s = fakeep_new();

    s->features = 0;
    return s;
}

static void start(Fixture *f, FakeEp *s)
{
    f->ep = s;
    fakeep_listen(s);
    f->q = hostvm_start(s->path, FIXTURE_DEADLINE_MS, true);
    hostvm_enable_port(f->q);
    hostvm_wait_present(f->q, true);
    hostvm_enable_function(f->q, false);
}

/* What the guest reads after it has written all ones */
static uint32_t bar_mask(Fixture *f, unsigned bar)
{
    unsigned reg = PCI_BASE_ADDRESS_0 + bar * 4;
    uint32_t was = hostvm_readl(f->q, HOSTVM_FUNCTION, reg), mask;

    hostvm_writel(f->q, HOSTVM_FUNCTION, reg, UINT32_MAX);
    mask = hostvm_readl(f->q, HOSTVM_FUNCTION, reg);
    hostvm_writel(f->q, HOSTVM_FUNCTION, reg, was);
    return mask;
}

/* ---- BARs ---- */

static void test_small_bar(void)
{
    FakeEp *s = new_server();
    Fixture f;

    fakeep_set_bar(s, 1, 0, 0x100, false);
    fakeep_set_bar(s, 5, 0, 16, false);
    start(&f, s);
    g_assert_cmphex(bar_mask(&f, 1), ==, 0xffffff00);
    g_assert_cmphex(bar_mask(&f, 5), ==, 0xfffffff0);
    qtest_writel(f.q, HOSTVM_BAR(1) + 0xfc, 0x12345678);
    g_assert_cmphex(ldl_le_p(s->bar[1].data + 0xfc), ==, 0x12345678);
    qtest_writeb(f.q, HOSTVM_BAR(5) + 15, 0x5a);
    g_assert_cmphex(s->bar[5].data[15], ==, 0x5a);
    g_assert_cmphex(qtest_readw(f.q, HOSTVM_BAR(1) + 0xfe), ==, 0x1234);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(1) + 0x100), ==, UINT32_MAX);
    fixture_end(&f);
}

static void test_io_bar(void)
{
    FakeEp *s = new_server();
    Fixture f;

    fakeep_set_bar(s, 5, PCI_BASE_ADDRESS_SPACE_IO | 0x1234, 0x20, false);
    start(&f, s);
    g_assert_cmphex(bar_mask(&f, 5), ==, 0xffffffe1);
    hostvm_writew(f.q, HOSTVM_PORT, PCI_IO_BASE,
                  IO_WINDOW >> 8 | (IO_WINDOW & 0xf000));
    hostvm_writew(f.q, HOSTVM_PORT, PCI_COMMAND,
                  PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    hostvm_writel(f.q, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_5, IO_BAR);
    hostvm_writew(f.q, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_IO);
    qtest_outl(f.q, IO_BAR + 4, 0x12345678);
    g_assert_cmphex(ldl_le_p(s->bar[5].data + 4), ==, 0x12345678);
    qtest_outb(f.q, IO_BAR + 31, 0x5a);
    g_assert_cmphex(s->bar[5].data[31], ==, 0x5a);
    g_assert_cmphex(qtest_inw(f.q, IO_BAR + 6), ==, 0x1234);
    g_assert_cmphex(qtest_inb(f.q, IO_BAR + 32), ==, 0xff);
    fixture_end(&f);
}

/* BARs that cannot be are left out, with the others shown. */
static void test_left_out(void)
{
    static const struct {
        uint32_t reg;
        uint64_t size;
        const char *text;
    } rows[] = {
        { 0, 0x3000, "BAR 5 has size 0x3000" },
        { 0, 8, "BAR 5 has size 0x8" },
        { PCI_BASE_ADDRESS_SPACE_IO, 0x20000, "BAR 5 has size 0x20000" },
        { PCI_BASE_ADDRESS_SPACE_IO, 2, "BAR 5 has size 0x2" },
        { PCI_BASE_ADDRESS_MEM_TYPE_64, 0x1000, "cannot be 64 bits wide" },
        { PCI_BASE_ADDRESS_MEM_TYPE_1M, 0x1000, "reserved type" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        FakeEp *s = new_server();
        Fixture f;

        fakeep_set_bar(s, 5, rows[i].reg, rows[i].size, false);
        /* without MSI-X, whose table the bridge would put into BAR 5 */
        s->config[EXP + 1] = s->config[MSIX + 1];
        start(&f, s);
        hostvm_wait_error(f.q, rows[i].text);
        g_assert_cmphex(bar_mask(&f, 5), ==, 0);
        g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, 0), ==, 0xb500104c);
        qtest_writel(f.q, HOSTVM_BAR(1), i);
        g_assert_cmphex(ldl_le_p(s->bar[1].data), ==, i);
        fixture_end(&f);
    }
}

/* An endpoint of this project is refused, so that its user notices. */
static void test_refused(void)
{
    Fixture f;

    fixture_start(&f);
    fakeep_set_bar(f.ep, 5, 0, 0x3000, false);
    g_assert_cmpint(fakeep_link_up(f.ep), ==, 0);
    hostvm_wait_error(f.q, "BAR 5 has size 0x3000");
    g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, 0), ==, UINT32_MAX);
    fixture_end(&f);
}

/* ---- PCI Express capability ---- */

static void set_flags(FakeEp *s, unsigned version, unsigned type)
{
    stw_le_p(s->config + EXP + PCI_EXP_FLAGS, version | type << 4);
}

static uint16_t flags(Fixture *f)
{
    return hostvm_readw(f->q, HOSTVM_FUNCTION, EXP + PCI_EXP_FLAGS);
}

static void test_integrated(void)
{
    FakeEp *s = new_server();
    Fixture f;

    set_flags(s, 2, PCI_EXP_TYPE_RC_END);
    start(&f, s);
    g_assert_cmphex(flags(&f), ==, 2 | PCI_EXP_TYPE_ENDPOINT << 4);
    fixture_end(&f);

    s = new_server();
    set_flags(s, 2, PCI_EXP_TYPE_ROOT_PORT);
    f.ep = s;
    fakeep_listen(s);
    f.q = hostvm_start(s->path, FIXTURE_DEADLINE_MS, true);
    hostvm_wait_error(f.q, "which is not an endpoint");
    fixture_end(&f);
}

static void function_level_reset(Fixture *f)
{
    hostvm_writew(f->q, HOSTVM_FUNCTION, EXP + PCI_EXP_DEVCTL,
                  PCI_EXP_DEVCTL_BCR_FLR);
}

/* Version 1 with another capability right behind it, which is the server's */
static void test_short(void)
{
    FakeEp *s = new_server();
    Fixture f;

    set_flags(s, 1, PCI_EXP_TYPE_ENDPOINT);
    s->config[NEXT] = PCI_CAP_ID_VNDR;
    s->config[NEXT + 1] = s->config[EXP + 1];
    s->config[NEXT + 2] = 0x20;
    memset(s->config + NEXT + 4, 0x5a, 0x1c);
    s->config[EXP + 1] = NEXT;
    start(&f, s);
    g_assert_cmphex(flags(&f), ==, 1);
    g_assert_cmpuint(hostvm_find_cap(f.q, HOSTVM_FUNCTION, PCI_CAP_ID_EXP), ==,
                     EXP);
    g_assert_cmphex(hostvm_readw(f.q, HOSTVM_FUNCTION, EXP + PCI_EXP_LNKSTA) &
                    0x3ff, ==, 1 << 4 | 1);
    for (unsigned reset = 0; reset < 2; reset++) {
        for (unsigned at = NEXT + 4; at < NEXT + 0x20; at += 4) {
            g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, at), ==,
                            0x5a5a5a5a);
        }
        function_level_reset(&f);
    }
    fixture_end(&f);
}

/* Version 2 is never that short. */
static void test_too_short(void)
{
    FakeEp *s = new_server();
    Fixture f = { .ep = s };

    s->config[EXP + 1] = NEXT;
    s->config[NEXT] = PCI_CAP_ID_VNDR;
    s->config[NEXT + 2] = 4;
    fakeep_listen(s);
    f.q = hostvm_start(s->path, FIXTURE_DEADLINE_MS, true);
    hostvm_wait_error(f.q, "runs into the next one");
    fixture_end(&f);
}

/* ---- INTx ---- */

#define HOLD_NS     (100 * 1000 * 1000)    /* longer than any intx-hold-us */

static bool hook_automasked(FakeEp *s, const VfuMsg *m, void *opaque)
{
    VfuIrqInfo info;

    if (m->hdr.command != VFU_CMD_GET_IRQ_INFO) {
        return false;
    }
    memcpy(&info, m->payload, sizeof(info));
    info = vfu_msg_irq_info(m, s->irqs[info.index]);
    info.flags |= VFU_IRQ_INFO_AUTOMASKED;
    fakeep_reply(s, m, &info, sizeof(info), NULL, 0);
    return true;
}

/* SET_IRQS number @n must be this one. */
static const VfuMsg *wait_set_irqs(Fixture *f, unsigned n, uint32_t flags,
                                   uint32_t index, uint32_t count)
{
    const VfuMsg *m = fakeep_wait(f->ep, VFU_CMD_SET_IRQS, n);
    const VfuSetIrqs *p = (const void *)m->payload;

    g_assert_cmphex(p->flags, ==, flags);
    g_assert_cmpuint(p->index, ==, index);
    g_assert_cmpuint(p->start, ==, 0);
    g_assert_cmpuint(p->count, ==, count);
    return m;
}

static bool asserted(Fixture *f)
{
    return hostvm_readw(f->q, HOSTVM_FUNCTION, PCI_STATUS) &
           PCI_STATUS_INTERRUPT;
}

static void signal_intx(const VfuMsg *m)
{
    uint64_t one = 1;

    g_assert_cmpuint(m->nfds, ==, 1);
    g_assert_cmpint(write(m->fds[0], &one, sizeof(one)), ==, sizeof(one));
}

/*
 * Each signal asserts the pin once, for a while.  Those that come meanwhile are
 * one more.
 */
static void check_intx(FakeEp *s, bool automasked)
{
    const uint32_t attach = VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_TRIGGER;
    const uint32_t unmask = VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_UNMASK;
    unsigned n = 1;
    const VfuMsg *m;
    Fixture f;

    start(&f, s);
    m = wait_set_irqs(&f, n, attach, VFU_IRQ_INTX, 1);
    g_assert_false(asserted(&f));
    for (unsigned i = 0; i < 3; i++) {
        signal_intx(m);
        wait_until(asserted(&f), "INTx to be asserted");
        signal_intx(m);
        signal_intx(m);
        qtest_clock_step(f.q, HOLD_NS);
        wait_until(asserted(&f), "INTx to be asserted again");
        qtest_clock_step(f.q, HOLD_NS);
        fence_main_loop(f.q);
        g_assert_false(asserted(&f));
        for (unsigned u = 0; automasked && u < 2; u++) {
            wait_set_irqs(&f, ++n, unmask, VFU_IRQ_INTX, 1);
        }
    }
    g_assert_cmpuint(fakeep_count(s, VFU_CMD_SET_IRQS), ==, n);
    fixture_end(&f);
}

static void test_intx(void)
{
    check_intx(new_server(), false);
}

static void test_automasked(void)
{
    FakeEp *s = new_server();

    s->hook = hook_automasked;
    check_intx(s, true);
}

/* The server never has eventfds of two kinds. */
static void test_one_kind(void)
{
    const uint32_t attach = VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_TRIGGER;
    const uint32_t off = VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_TRIGGER;
    unsigned msi, n = 1;
    Fixture f;

    start(&f, new_server());
    wait_set_irqs(&f, n, attach, VFU_IRQ_INTX, 1);
    msi = hostvm_find_cap(f.q, HOSTVM_FUNCTION, PCI_CAP_ID_MSI);
    for (unsigned i = 0; i < 2; i++) {
        hostvm_writew(f.q, HOSTVM_FUNCTION, msi + PCI_MSI_FLAGS,
                      PCI_MSI_FLAGS_ENABLE);
        wait_set_irqs(&f, ++n, off, VFU_IRQ_INTX, 0);
        wait_set_irqs(&f, ++n, attach, VFU_IRQ_MSI, 1);
        hostvm_writew(f.q, HOSTVM_FUNCTION, msi + PCI_MSI_FLAGS, 0);
        wait_set_irqs(&f, ++n, off, VFU_IRQ_MSI, 0);
        wait_set_irqs(&f, ++n, attach, VFU_IRQ_INTX, 1);
    }
    signal_intx(fakeep_nth(f.ep, VFU_CMD_SET_IRQS, n - 1));
    wait_until(asserted(&f), "INTx to be asserted");
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("epf-bridge/foreign/small-bar", test_small_bar);
    qtest_add_func("epf-bridge/foreign/io-bar", test_io_bar);
    qtest_add_func("epf-bridge/foreign/left-out", test_left_out);
    qtest_add_func("epf-bridge/foreign/refused", test_refused);
    qtest_add_func("epf-bridge/foreign/integrated", test_integrated);
    qtest_add_func("epf-bridge/foreign/short", test_short);
    qtest_add_func("epf-bridge/foreign/too-short", test_too_short);
    qtest_add_func("epf-bridge/foreign/intx", test_intx);
    qtest_add_func("epf-bridge/foreign/automasked", test_automasked);
    qtest_add_func("epf-bridge/foreign/one-kind", test_one_kind);
    return g_test_run();
}
