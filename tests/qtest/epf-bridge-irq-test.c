/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge: pending bits, and INTx as the guest sees it
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"
#include "pci-ep/wait.h"

#define MSI_ADDR    0x100000
/* Capabilities of fakeep_new() */
#define PMCSR       (0x40 + PCI_PM_CTRL)
#define MSI         0x48
#define MSIX        0xa0

static void irq_signal(int fd)
{
    uint64_t one = 1;

    g_assert_cmpint(write(fd, &one, sizeof(one)), ==, sizeof(one));
}

static void irq_set_msix(Fixture *f, uint16_t flags)
{
    hostvm_writew(f->q, HOSTVM_FUNCTION, MSIX + PCI_MSIX_FLAGS, flags);
}

static void irq_set_msi(Fixture *f, uint16_t flags)
{
    hostvm_writew(f->q, HOSTVM_FUNCTION, MSI + PCI_MSI_FLAGS, flags);
}

/* Sets the entry of @vector in the table at @table. */
static void irq_set_entry(Fixture *f, uint64_t table, unsigned vector,
                          uint32_t addr, uint32_t data, bool masked)
{
    qtest_writeq(f->q, table + 16 * vector, addr);
    qtest_writel(f->q, table + 16 * vector + 8, data);
    qtest_writel(f->q, table + 16 * vector + 12, masked);
}

/* ---- Pending bits ---- */

/* BAR 1, the BAR with table and pending bits, and BAR 0, end to end */
#define ROW         0xe0a00000u
#define ROW_BAR1    (ROW - 0x2000)
#define ROW_MSIX    (ROW - 0x1000)
#define ROW_BAR0    ROW

/* Signals vectors 0 and 1 while QEMU waits for the answer to a read of BAR 1. */
static bool signal_on_read(FakeEp *s, const VfuMsg *m, void *opaque)
{
    const VfuRegionRw *rw = (const void *)m->payload;
    const int *fds = opaque;

    if (m->hdr.command == VFU_CMD_REGION_READ && rw->region == 1) {
        irq_signal(fds[0]);
        irq_signal(fds[1]);
    }
    return false;
}

/*
 * One access of the guest reads BAR 1, then pending bits, then BAR 0. The
 * signals come before the pending bits are read, and the main loop has its turn
 * after the access. The interrupt of vector 0 is a store to BAR 0, so the read
 * would find it there if reading the pending bits had raised it.
 */
static void test_read_pending(void)
{
    uint8_t buf[8 + 0x1000 + 4];
    const VfuMsg *m;
    Fixture f;

    fixture_start_up(&f, true);
    g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, MSIX + PCI_MSIX_TABLE),
                    ==, 5);
    g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, MSIX + PCI_MSIX_PBA),
                    ==, 0x80 | 5);
    hostvm_writel(f.q, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_1, ROW_BAR1);
    hostvm_writel(f.q, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_5, ROW_MSIX);
    hostvm_writel(f.q, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_0, ROW_BAR0);
    irq_set_entry(&f, ROW_MSIX, 0, ROW_BAR0, 0xcafe, false);
    irq_set_entry(&f, ROW_MSIX, 1, ROW_BAR0, 0xbad, true);
    irq_set_msix(&f, PCI_MSIX_FLAGS_ENABLE);
    m = fakeep_wait(f.ep, VFU_CMD_SET_IRQS, 1);
    qtest_writel(f.q, ROW_BAR0, 0x11223344);

    f.ep->hook_opaque = (void *)m->fds;
    f.ep->hook = signal_on_read;
    qtest_memread(f.q, ROW_MSIX - 8, buf, sizeof(buf));
    g_assert_cmphex((uint32_t)ldl_le_p(buf + 8), ==, ROW_BAR0);
    g_assert_cmphex(ldl_le_p(buf + 8 + 0x80), ==, 1 << 1);
    g_assert_cmphex(ldl_le_p(buf + 8 + 0x1000), ==, 0x11223344);
    hostvm_wait_mem(f.q, ROW_BAR0, 0xcafe);

    /* Each signal was one interrupt. */
    qtest_writel(f.q, ROW_BAR0, 0);
    fence_main_loop(f.q);
    g_assert_cmphex(qtest_readl(f.q, ROW_BAR0), ==, 0);
    qtest_writel(f.q, ROW_MSIX + 16 + 12, 0);
    hostvm_wait_mem(f.q, ROW_BAR0, 0xbad);
    g_assert_cmphex(qtest_readl(f.q, ROW_MSIX + 0x80), ==, 0);
    fixture_end(&f);
}

/* What has no memory reads all ones and keeps nothing; PBAs are read only. */
static void test_holes(void)
{
    uint64_t table, pba;
    Fixture f;

    fixture_start_up(&f, true);
    hostvm_msix(f.q, &table, &pba);
    for (unsigned at = 0x88; at < 0x1000; at += 0x100) {
        qtest_writel(f.q, table + at, 0x12345678);
        g_assert_cmphex(qtest_readl(f.q, table + at), ==, UINT32_MAX);
    }
    qtest_writeq(f.q, pba, UINT64_MAX);
    g_assert_cmphex(qtest_readq(f.q, pba), ==, 0);
    /* Registers in no capability, and the space behind them */
    for (unsigned at = 0xd0; at < 0x100; at += 4) {
        hostvm_writel(f.q, HOSTVM_FUNCTION, at, UINT32_MAX);
        g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, at), ==, 0);
    }
    fixture_end(&f);
}

/* What one driver left pending is not delivered to the next one. */
static void test_pending_msix(void)
{
    uint64_t table, pba;
    const VfuMsg *m;
    Fixture f;

    fixture_start_up(&f, true);
    hostvm_msix(f.q, &table, &pba);
    irq_set_entry(&f, table, 5, MSI_ADDR, 0xcafe, true);
    irq_set_msix(&f, PCI_MSIX_FLAGS_ENABLE);
    m = fakeep_wait(f.ep, VFU_CMD_SET_IRQS, 1);
    irq_signal(m->fds[5]);
    hostvm_wait_mem(f.q, pba, 1 << 5);

    irq_set_msix(&f, 0);
    g_assert_cmphex(qtest_readl(f.q, pba), ==, 0);
    qtest_writel(f.q, table + 16 * 5 + 12, 0);
    irq_set_msix(&f, PCI_MSIX_FLAGS_ENABLE);
    m = fakeep_wait(f.ep, VFU_CMD_SET_IRQS, 3);
    fence_main_loop(f.q);
    g_assert_cmphex(qtest_readl(f.q, MSI_ADDR), ==, 0);
    irq_signal(m->fds[5]);
    hostvm_wait_mem(f.q, MSI_ADDR, 0xcafe);
    fixture_end(&f);
}

static void test_pending_msi(void)
{
    const VfuMsg *m;
    Fixture f;

    fixture_start_up(&f, true);
    hostvm_writel(f.q, HOSTVM_FUNCTION, MSI + PCI_MSI_ADDRESS_LO, MSI_ADDR);
    hostvm_writew(f.q, HOSTVM_FUNCTION, MSI + PCI_MSI_DATA_64, 0x1230);
    hostvm_writel(f.q, HOSTVM_FUNCTION, MSI + PCI_MSI_MASK_64, 1 << 2);
    irq_set_msi(&f, 2 << 4 | PCI_MSI_FLAGS_ENABLE);
    m = fakeep_wait(f.ep, VFU_CMD_SET_IRQS, 1);
    irq_signal(m->fds[2]);
    wait_until(hostvm_readl(f.q, HOSTVM_FUNCTION, MSI + PCI_MSI_PENDING_64),
               "a pending bit of the masked vector");

    irq_set_msi(&f, 2 << 4);
    g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION,
                                 MSI + PCI_MSI_PENDING_64), ==, 0);
    hostvm_writel(f.q, HOSTVM_FUNCTION, MSI + PCI_MSI_MASK_64, 0);
    irq_set_msi(&f, 2 << 4 | PCI_MSI_FLAGS_ENABLE);
    m = fakeep_wait(f.ep, VFU_CMD_SET_IRQS, 3);
    fence_main_loop(f.q);
    g_assert_cmphex(qtest_readl(f.q, MSI_ADDR), ==, 0);
    irq_signal(m->fds[2]);
    hostvm_wait_mem(f.q, MSI_ADDR, 0x1232);
    fixture_end(&f);
}

/* ---- INTx ---- */

static void irq_send_intx(FakeEp *s, uint32_t level)
{
    VfuEpIntx m = {
        .argsz = sizeof(m), .generation = s->generation, .level = level,
    };

    fakeep_send(s, VFU_CMD_EP_INTX, VFU_FLAG_NO_REPLY, &m, sizeof(m));
}

static bool irq_status(Fixture *f)
{
    return hostvm_readw(f->q, HOSTVM_FUNCTION, PCI_STATUS) &
           PCI_STATUS_INTERRUPT;
}

/* The endpoint's own Interrupt Status */
static void irq_set_status(Fixture *f, bool pending)
{
    g_mutex_lock(&f->ep->lock);
    f->ep->config[PCI_STATUS] &= ~PCI_STATUS_INTERRUPT;
    f->ep->config[PCI_STATUS] |= pending ? PCI_STATUS_INTERRUPT : 0;
    g_mutex_unlock(&f->ep->lock);
}

/* An endpoint that asserts INTx all the time, whatever the guest has set */
static void test_intx_gates(void)
{
    Fixture f;

    fixture_start_up(&f, false);
    irq_send_intx(f.ep, 1);
    wait_until(irq_status(&f), "INTx to be asserted");
    for (unsigned gates = 0; gates < 8; gates++) {
        irq_set_msi(&f, gates & 1 ? PCI_MSI_FLAGS_ENABLE : 0);
        irq_set_msix(&f, gates & 2 ? PCI_MSIX_FLAGS_ENABLE : 0);
        hostvm_writew(f.q, HOSTVM_FUNCTION, PMCSR, gates & 4 ? 3 : 0);
        g_assert_cmpint(irq_status(&f), ==, !gates);
        /* The same when the endpoint says it again */
        irq_send_intx(f.ep, 1);
        fence_main_loop(f.q);
        g_assert_cmpint(irq_status(&f), ==, !gates);
    }
    fixture_end(&f);
}

/*
 * The endpoint deasserts its pin while Interrupt Disable is set, and the guest
 * reads Interrupt Status all the same.
 */
static void test_intx_disabled(void)
{
    uint64_t messages;
    Fixture f;

    fixture_start_up(&f, false);
    irq_send_intx(f.ep, 1);
    irq_set_status(&f, true);
    wait_until(irq_status(&f), "INTx to be asserted");
    messages = hostvm_settled_messages(f.q);
    g_assert_true(irq_status(&f));
    g_assert_cmpuint(hostvm_prop_uint(f.q, "messages"), ==, messages);

    hostvm_writew(f.q, HOSTVM_FUNCTION, PCI_COMMAND,
                  PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
    irq_send_intx(f.ep, 0);
    fence_main_loop(f.q);
    for (unsigned i = 0; i < 3; i++) {
        irq_set_status(&f, i & 1);
        g_assert_cmpint(irq_status(&f), ==, i & 1);
        g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, PCI_COMMAND) >> 16 &
                        PCI_STATUS_INTERRUPT, ==,
                        i & 1 ? PCI_STATUS_INTERRUPT : 0);
    }
    irq_send_intx(f.ep, 1);
    hostvm_writew(f.q, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    wait_until(irq_status(&f), "INTx to be asserted");
    fixture_end(&f);
}

#define US          1000
#define HOLD_NS     (1000 * US)

/*
 * Returns when the bridge has done what was sent before. Its reader thread
 * answers commands in their order, whether it can carry them out or not.
 */
static void irq_settle(Fixture *f)
{
    VfuDmaRw rw = { .count = 4 };
    uint8_t reply[sizeof(rw) + 4];

    fakeep_call(f->ep, VFU_CMD_DMA_READ, &rw, sizeof(rw), reply, sizeof(reply));
    fence_main_loop(f->q);
}

/*
 * The guest sees an assertion for the time of the property, whatever the
 * endpoint does meanwhile.  The test moves the guest's clock.
 */
static void test_intx_hold(void)
{
    Fixture f;

    fixture_start_with(&f, 0, "-global epf-bridge.intx-hold-us=1000");
    fixture_link_up(&f, true);
    for (unsigned pulse = 0; pulse < 2; pulse++) {
        irq_send_intx(f.ep, pulse ? VFU_EP_INTX_PULSE : VFU_EP_INTX_ASSERT);
        if (!pulse) {
            irq_send_intx(f.ep, VFU_EP_INTX_DEASSERT);
        }
        irq_settle(&f);
        g_assert_true(irq_status(&f));
        qtest_clock_step(f.q, HOLD_NS - US);
        g_assert_true(irq_status(&f));

        /* The next one begins the time again. */
        irq_send_intx(f.ep, VFU_EP_INTX_PULSE);
        irq_settle(&f);
        qtest_clock_step(f.q, HOLD_NS - US);
        g_assert_true(irq_status(&f));
        qtest_clock_step(f.q, US);
        g_assert_false(irq_status(&f));
    }

    /* A level that stays is no shorter, and goes when the endpoint says so. */
    irq_send_intx(f.ep, VFU_EP_INTX_ASSERT);
    wait_until(irq_status(&f), "INTx to be asserted");
    qtest_clock_step(f.q, 2 * HOLD_NS);
    g_assert_true(irq_status(&f));
    irq_send_intx(f.ep, VFU_EP_INTX_DEASSERT);
    wait_until(!irq_status(&f), "INTx to be deasserted");

    /* A reset ends it. */
    irq_send_intx(f.ep, VFU_EP_INTX_PULSE);
    wait_until(irq_status(&f), "INTx to be asserted");
    qtest_system_reset(f.q);
    hostvm_enable_port(f.q);
    g_assert_false(irq_status(&f));
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("epf-bridge/irq/read-pending", test_read_pending);
    qtest_add_func("epf-bridge/irq/holes", test_holes);
    qtest_add_func("epf-bridge/irq/pending-msix", test_pending_msix);
    qtest_add_func("epf-bridge/irq/pending-msi", test_pending_msi);
    qtest_add_func("epf-bridge/irq/intx-gates", test_intx_gates);
    qtest_add_func("epf-bridge/irq/intx-disabled", test_intx_disabled);
    qtest_add_func("epf-bridge/irq/intx-hold", test_intx_hold);

    return g_test_run();
}
