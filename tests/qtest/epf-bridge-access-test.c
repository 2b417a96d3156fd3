/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge: faults of accesses to BARs on request
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"
#include "pci-ep/vcpu.h"
#include "pci-ep/wait.h"

#define AER         0x100       /* of the port */

static uint32_t access_port(Fixture *f, unsigned reg)
{
    return hostvm_ecam_readl(f->q, HOSTVM_PORT, AER + reg);
}

static void access_start(Fixture *f)
{
    fixture_start_with(f, VFU_EP_FEATURE_AREAS, "");
    hostvm_enable_ecam(f->q);
    fixture_link_up(f, true);
    /* The answers about areas and doorbells have come. */
    hostvm_settled_messages(f->q);
}

static unsigned access_count(Fixture *f, uint16_t cmd)
{
    return fakeep_count(f->ep, cmd);
}

/* Memory and a BAR by message */
static const unsigned access_bars[] = { 0, 1 };

/* The port logs that a read gets no completion. A write never gets one. */
static void test_timeout(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(access_bars); i++) {
        uint64_t bar = HOSTVM_BAR(access_bars[i]);
        Fixture f;

        access_start(&f);
        qtest_writel(f.q, bar + 8, 0x11223344);
        hostvm_fault(f.q, "bar-timeout,count=2");
        qtest_writel(f.q, bar + 8, 0x55667788);
        g_assert_cmphex(access_port(&f, PCI_ERR_UNCOR_STATUS), ==, 0);
        g_assert_cmphex(qtest_readl(f.q, bar + 8), ==, UINT32_MAX);
        g_assert_cmphex(access_port(&f, PCI_ERR_UNCOR_STATUS), ==,
                        PCI_ERR_UNC_COMP_TIME);
        g_assert_cmphex(qtest_readl(f.q, bar + 8), ==, 0x11223344);
        g_assert_cmpuint(hostvm_fault_count(f.q, "bar-timeout"), ==, 2);
        fixture_end(&f);
    }
}

static void test_poison(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(access_bars); i++) {
        uint64_t bar = HOSTVM_BAR(access_bars[i]);
        Fixture f;

        access_start(&f);
        hostvm_fault(f.q, "bar-poison");
        qtest_writel(f.q, bar + 8, 0x55667788);
        g_assert_cmphex(qtest_readl(f.q, bar + 8), ==, UINT32_MAX);
        g_assert_cmphex(access_port(&f, PCI_ERR_UNCOR_STATUS), ==,
                        PCI_ERR_UNC_POISON_TLP);
        g_assert_cmphex(qtest_readl(f.q, bar + 8), ==, 0x55667788);
        fixture_end(&f);
    }
}

/* The log has the function and the address. */
static void test_log(void)
{
    g_autofree char *log = NULL, *want = NULL;
    Fixture f;

    access_start(&f);
    hostvm_fault(f.q, "bar-timeout");
    qtest_readl(f.q, HOSTVM_BAR(2) + 0x10);
    log = hostvm_prop_str(f.q, "fault-log");
    want = g_strdup_printf("\"bar-timeout\", \"function\": 0, \"at\": %u}",
                           HOSTVM_BAR(2) + 0x10);
    g_assert_nonnull(strstr(log, want));
    fixture_end(&f);
}

/* The error interrupts, or it is contained. */
static void test_reported(void)
{
    unsigned exp;
    Fixture f;

    access_start(&f);
    exp = hostvm_find_cap(f.q, HOSTVM_PORT, PCI_CAP_ID_EXP);
    hostvm_writew(f.q, HOSTVM_PORT, exp + PCI_EXP_DEVCTL,
                  PCI_EXP_DEVCTL_NFERE);
    hostvm_ecam_writel(f.q, HOSTVM_PORT, AER + PCI_ERR_ROOT_COMMAND,
                       PCI_ERR_ROOT_CMD_NONFATAL_EN);
    hostvm_fault(f.q, "bar-timeout");
    qtest_readl(f.q, HOSTVM_BAR(0));
    g_assert_cmphex(access_port(&f, PCI_ERR_ROOT_STATUS) & 0x7f, ==,
                    PCI_ERR_ROOT_UNCOR_RCV | PCI_ERR_ROOT_NONFATAL_RCV);
    g_assert_cmphex(access_port(&f, PCI_ERR_ROOT_ERR_SRC) >> 16, ==,
                    HOSTVM_PORT);
    g_assert_true(hostvm_readw(f.q, HOSTVM_PORT, PCI_STATUS) &
                  PCI_STATUS_INTERRUPT);

    /* DPC Control, next to DPC Capability, at 0x154 */
    hostvm_ecam_writel(f.q, HOSTVM_PORT, 0x154,
                       PCI_EXP_DPC_CTL_EN_FATAL << 16);
    hostvm_fault(f.q, "bar-timeout");
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, UINT32_MAX);
    fence_main_loop(f.q);
    g_assert_false(hostvm_link_status(f.q) & PCI_EXP_LNKSTA_DLLLA);
    g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, 0), ==, UINT32_MAX);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, UINT32_MAX);
    fixture_end(&f);
}

/* While a fault is armed each access is a message, and afterwards none is. */
static void test_trapped(void)
{
    Fixture f;

    access_start(&f);
    qtest_writel(f.q, HOSTVM_BAR(0), 0x11223344);
    hostvm_fault(f.q, "bar-timeout,function=5");
    fakeep_clear_log(f.ep);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, 0x11223344);
    qtest_writel(f.q, HOSTVM_BAR(0), 0x55667788);
    g_assert_cmpuint(access_count(&f, VFU_CMD_REGION_READ), ==, 1);
    g_assert_cmpuint(access_count(&f, VFU_CMD_REGION_WRITE), ==, 1);
    hostvm_fault(f.q, "clear");
    fakeep_clear_log(f.ep);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, 0x55667788);
    qtest_writel(f.q, HOSTVM_BAR(0), 0x12121212);
    g_assert_cmpuint(access_count(&f, VFU_CMD_REGION_READ), ==, 0);
    g_assert_cmpuint(access_count(&f, VFU_CMD_REGION_WRITE), ==, 0);
    g_assert_cmphex(*(uint32_t *)(f.ep->bar[0].data + f.ep->bar[0].offset), ==,
                    0x12121212);
    fixture_end(&f);
}

/* The endpoint gives the BAR another target meanwhile. */
static void test_remap(void)
{
    Fixture f;

    access_start(&f);
    hostvm_fault(f.q, "bar-timeout,function=5");
    fakeep_clear_log(f.ep);
    fakeep_retarget(f.ep, 0, true, 0x5a);
    g_assert_cmpint(fakeep_remap(f.ep, 0), ==, 0);
    /* By this question the endpoint knows that the guest reaches the target. */
    fakeep_wait(f.ep, VFU_CMD_GET_REGION_IO_FDS, 1);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, 0x5a5a5a5a);
    hostvm_fault(f.q, "clear");
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, 0x5a5a5a5a);
    g_assert_cmpuint(access_count(&f, VFU_CMD_GET_REGION_IO_FDS), ==, 1);
    fixture_end(&f);
}

/* It outlives the function and a reset. */
static void test_stays_armed(void)
{
    Fixture f;

    access_start(&f);
    hostvm_fault(f.q, "bar-timeout");
    g_assert_cmpint(fakeep_link_down(f.ep), ==, 0);
    hostvm_wait_present(f.q, false);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, UINT32_MAX);
    qtest_system_reset(f.q);
    hostvm_enable_port(f.q);
    hostvm_enable_ecam(f.q);
    fixture_link_up(&f, true);
    g_assert_cmpuint(hostvm_fault_count(f.q, "bar-timeout"), ==, 0);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, UINT32_MAX);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, 0);
    fixture_end(&f);
}

static void test_remove(void)
{
    Fixture f;

    access_start(&f);
    hostvm_fault(f.q, "remove,after=1");
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, 0);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, UINT32_MAX);
    g_assert_false(hostvm_slot_status(f.q) & PCI_EXP_SLTSTA_PDS);
    g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, 0), ==, UINT32_MAX);
    fixture_end(&f);
}

/* The vCPU waits, and nobody else. An access of qtest is not delayed. */
static void test_delay(const void *firmware)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(access_bars); i++) {
        uint32_t bar = HOSTVM_BAR(access_bars[i]);
        uint32_t fill = access_bars[i] * 0x01010101u;
        gint64 start, worst;
        Fixture f;

        fixture_start_vcpu(&f, "", firmware);
        fixture_link_up(&f, true);
        hostvm_fault(f.q, "bar-delay,us=1000000");
        g_assert_cmphex(qtest_readl(f.q, bar), ==, fill);
        g_assert_cmpuint(hostvm_fault_count(f.q, "bar-delay"), ==, 0);

        start = g_get_monotonic_time();
        qtest_writel(f.q, VCPU_EXPECTED, fill);
        qtest_writel(f.q, VCPU_ADDRESS, bar);
        worst = wait_monitor(f.q, 900000);
        g_assert_cmpuint(qtest_readl(f.q, VCPU_READS), ==, 0);
        g_assert_cmpint(worst, <, wait_scaled(100000));
        wait_until(qtest_readl(f.q, VCPU_READS), "the vCPU to read");
        g_assert_cmpint(g_get_monotonic_time() - start, >=, 1000000);
        g_assert_cmpuint(hostvm_fault_count(f.q, "bar-delay"), ==, 1);
        g_assert_cmpuint(qtest_readl(f.q, VCPU_WRONG), ==, 0);

        /* "stop" does not wait for the end of a delay. */
        vcpu_rest(f.q);
        hostvm_fault(f.q, "bar-delay,us=60000000");
        qtest_writel(f.q, VCPU_ADDRESS, bar);
        wait_until(hostvm_fault_count(f.q, "bar-delay") == 2, "the delay");
        start = g_get_monotonic_time();
        qtest_qmp_assert_success(f.q, "{ 'execute': 'stop' }");
        g_assert_cmpint(g_get_monotonic_time() - start, <,
                        wait_scaled(10000000));
        fixture_end(&f);
    }
}

int main(int argc, char **argv)
{
    g_autofree char *firmware = vcpu_write_firmware();
    int ret;

    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/epf-bridge/access/timeout", test_timeout);
    qtest_add_func("/epf-bridge/access/poison", test_poison);
    qtest_add_func("/epf-bridge/access/log", test_log);
    qtest_add_func("/epf-bridge/access/reported", test_reported);
    qtest_add_func("/epf-bridge/access/trapped", test_trapped);
    qtest_add_func("/epf-bridge/access/remap", test_remap);
    qtest_add_func("/epf-bridge/access/stays-armed", test_stays_armed);
    qtest_add_func("/epf-bridge/access/remove", test_remove);
    if (qtest_has_accel("tcg")) {
        qtest_add_data_func("/epf-bridge/access/delay", firmware, test_delay);
    }
    ret = g_test_run();
    unlink(firmware);
    return ret;
}
