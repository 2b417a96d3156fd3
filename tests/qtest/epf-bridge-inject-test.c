/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge: faults of configuration space and of interrupts on request
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"
#include "pci-ep/vcpu.h"
#include "pci-ep/wait.h"

#define IDENTITY    0xb500104cu
#define MSI_ADDR    0x100000
/* Capabilities of fakeep_new() */
#define MSI         0x48
#define MSIX        0xa0

static uint32_t inject_identity(Fixture *f)
{
    return hostvm_readl(f->q, HOSTVM_FUNCTION, PCI_VENDOR_ID);
}

static void inject_assert_armed(Fixture *f, const char *text)
{
    g_autofree char *armed = hostvm_prop_str(f->q, "fault");

    g_assert_cmpstr(armed, ==, text);
}

/* ---- Requests ---- */

static void test_requests(void)
{
    Fixture f;

    fixture_start_up(&f, false);
    inject_assert_armed(&f, "");
    hostvm_fault_refused(f.q, "nonsense", "no fault 'nonsense'");
    hostvm_fault_refused(f.q, "config-ones,us=1", "no key 'us'");
    hostvm_fault_refused(f.q, "config-delay,us=60000001", "not a number");
    inject_assert_armed(&f, "");
    hostvm_fault(f.q, "config-ones,count=2,function=3");
    hostvm_fault(f.q, "irq-lost,after=5");
    inject_assert_armed(&f, "config-ones,count=2,function=3;irq-lost,after=5");
    g_assert_cmphex(inject_identity(&f), ==, IDENTITY);
    hostvm_fault(f.q, "clear");
    inject_assert_armed(&f, "");
    g_assert_cmpuint(hostvm_fault_count(f.q, "config-ones"), ==, 0);
    fixture_end(&f);
}

/* The log says what happened, to whom and where. */
static void test_log(void)
{
    g_autofree char *log = NULL;
    Fixture f;

    fixture_start_up(&f, false);
    hostvm_fault(f.q, "config-ones");
    hostvm_readl(f.q, HOSTVM_FUNCTION, PCI_CLASS_REVISION);
    log = hostvm_prop_str(f.q, "fault-log");
    g_assert_nonnull(strstr(log, "\"fault\": \"config-ones\", "
                            "\"function\": 0, \"at\": 8}"));
    fixture_end(&f);
}

/* The same seed gives the same faults. */
static void test_seed(void)
{
    uint32_t hits[2] = { 0, 0 };
    Fixture f;

    fixture_start_up(&f, false);
    hostvm_fault(f.q, "config-ones,count=0,chance=50");
    for (unsigned round = 0; round < 2; round++) {
        qtest_qmp_assert_success(f.q, "{'execute': 'qom-set', 'arguments': "
                                 "{'path': '/machine/peripheral/br', "
                                 "'property': 'fault-seed', 'value': 7}}");
        for (unsigned i = 0; i < 32; i++) {
            hits[round] |= (inject_identity(&f) != IDENTITY) << i;
        }
    }
    g_assert_cmphex(hits[0], ==, hits[1]);
    g_assert_cmphex(hits[0], !=, 0);
    g_assert_cmphex(hits[0], !=, UINT32_MAX);
    g_assert_cmpuint(hostvm_prop_uint(f.q, "fault-seed"), ==, 7);
    fixture_end(&f);
}

/* ---- Configuration space ---- */

static void test_config_ones(void)
{
    Fixture f;

    fixture_start_up(&f, false);
    hostvm_fault(f.q, "config-ones,count=2,after=1");
    /* QEMU looks at Link Status of the function for that of the port. */
    for (unsigned i = 0; i < 5; i++) {
        g_assert_cmphex(hostvm_link_status(f.q) & 0x3ff, ==, 4 << 4 | 3);
    }
    g_assert_cmphex(inject_identity(&f), ==, IDENTITY);
    g_assert_cmphex(inject_identity(&f), ==, UINT32_MAX);
    g_assert_cmphex(hostvm_readw(f.q, HOSTVM_FUNCTION, PCI_DEVICE_ID), ==,
                    0xffff);
    g_assert_cmphex(inject_identity(&f), ==, IDENTITY);
    inject_assert_armed(&f, "");
    g_assert_cmpuint(hostvm_fault_count(f.q, "config-ones"), ==, 2);
    fixture_end(&f);
}

static void test_config_retry(void)
{
    unsigned root;
    Fixture f;

    fixture_start_up(&f, false);
    root = hostvm_find_cap(f.q, HOSTVM_PORT, PCI_CAP_ID_EXP);
    g_assert_true(hostvm_readw(f.q, HOSTVM_PORT, root + PCI_EXP_RTCAP) &
                  PCI_EXP_RTCAP_CRSVIS);
    hostvm_fault(f.q, "config-retry,count=3");
    /* Not a read of the whole Vendor ID */
    g_assert_cmphex(hostvm_readb(f.q, HOSTVM_FUNCTION, PCI_VENDOR_ID), ==,
                    0x4c);
    g_assert_cmphex(hostvm_readw(f.q, HOSTVM_FUNCTION, PCI_DEVICE_ID), ==,
                    0xb500);
    g_assert_cmphex(inject_identity(&f), ==, UINT32_MAX);
    hostvm_writew(f.q, HOSTVM_PORT, root + PCI_EXP_RTCTL,
                  PCI_EXP_RTCTL_CRSSVE);
    g_assert_cmphex(hostvm_readw(f.q, HOSTVM_PORT, root + PCI_EXP_RTCTL), ==,
                    PCI_EXP_RTCTL_CRSSVE);
    g_assert_cmphex(inject_identity(&f), ==, 0xffff0001);
    g_assert_cmphex(hostvm_readw(f.q, HOSTVM_FUNCTION, PCI_VENDOR_ID), ==, 1);
    g_assert_cmphex(inject_identity(&f), ==, IDENTITY);
    qtest_system_reset(f.q);
    g_assert_cmphex(hostvm_readw(f.q, HOSTVM_PORT, root + PCI_EXP_RTCTL), ==,
                    0);
    fixture_end(&f);
}

/* What is armed outlives a reset, and the function that it is meant for. */
static void test_stays_armed(void)
{
    Fixture f;

    fixture_start_up(&f, false);
    hostvm_fault(f.q, "config-ones");
    qtest_system_reset(f.q);
    hostvm_enable_port(f.q);
    g_assert_cmpint(fakeep_link_down(f.ep), ==, 0);
    hostvm_wait_present(f.q, false);
    g_assert_cmphex(inject_identity(&f), ==, UINT32_MAX);
    inject_assert_armed(&f, "config-ones");
    g_assert_cmpint(fakeep_link_up(f.ep), ==, 0);
    hostvm_wait_present(f.q, true);
    g_assert_cmphex(inject_identity(&f), ==, UINT32_MAX);
    g_assert_cmphex(inject_identity(&f), ==, IDENTITY);
    fixture_end(&f);
}

/* The vCPU waits, and nobody else. An access of qtest is not delayed. */
static void test_config_delay(const void *firmware)
{
    gint64 start, worst;
    Fixture f;

    fixture_start_vcpu(&f, "", firmware);
    hostvm_enable_ecam(f.q);
    fixture_link_up(&f, true);
    hostvm_fault(f.q, "config-delay,us=1000000");
    g_assert_cmphex(inject_identity(&f), ==, IDENTITY);
    inject_assert_armed(&f, "config-delay,us=1000000");

    start = g_get_monotonic_time();
    qtest_writel(f.q, VCPU_EXPECTED, IDENTITY);
    qtest_writel(f.q, VCPU_ADDRESS,
                 hostvm_ecam_address(HOSTVM_FUNCTION, PCI_VENDOR_ID));
    worst = wait_monitor(f.q, 900000);
    g_assert_cmpuint(qtest_readl(f.q, VCPU_READS), ==, 0);
    g_assert_cmpint(worst, <, wait_scaled(100000));
    wait_until(qtest_readl(f.q, VCPU_READS), "the vCPU to read");
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 1000000);
    g_assert_cmpuint(qtest_readl(f.q, VCPU_WRONG), ==, 0);
    g_assert_cmpuint(hostvm_fault_count(f.q, "config-delay"), ==, 1);

    /* The link goes down meanwhile: the delay ends, the guest reads ones. */
    vcpu_rest(f.q);
    hostvm_fault(f.q, "config-delay,us=60000000");
    qtest_writel(f.q, VCPU_ADDRESS,
                 hostvm_ecam_address(HOSTVM_FUNCTION, PCI_VENDOR_ID));
    wait_until(hostvm_fault_count(f.q, "config-delay") == 2, "the delay");
    g_assert_cmpint(fakeep_link_down(f.ep), ==, 0);
    hostvm_wait_present(f.q, false);
    wait_until(qtest_readl(f.q, VCPU_WRONG), "the vCPU to read all ones");
    fixture_end(&f);
}

/* ---- Interrupts ---- */

static void inject_signal(int fd)
{
    uint64_t one = 1;

    g_assert_cmpint(write(fd, &one, sizeof(one)), ==, sizeof(one));
}

/* Enables vectors 0 and 1 of MSI-X, which store to @addr. */
static const VfuMsg *inject_enable_msix(Fixture *f, uint32_t addr)
{
    uint64_t table, pba;

    hostvm_msix(f->q, &table, &pba);
    for (unsigned v = 0; v < 2; v++) {
        qtest_writeq(f->q, table + 16 * v, addr + 4 * v);
        qtest_writel(f->q, table + 16 * v + 8, 0x1000 + v);
        qtest_writel(f->q, table + 16 * v + 12, 0);
    }
    hostvm_writew(f->q, HOSTVM_FUNCTION, MSIX + PCI_MSIX_FLAGS,
                  PCI_MSIX_FLAGS_ENABLE);
    return fakeep_wait(f->ep, VFU_CMD_SET_IRQS, 1);
}

static void test_irq_lost(void)
{
    const VfuMsg *m;
    Fixture f;

    fixture_start_up(&f, true);
    m = inject_enable_msix(&f, MSI_ADDR);
    hostvm_fault(f.q, "irq-lost,count=1");
    inject_signal(m->fds[0]);
    wait_until(hostvm_fault_count(f.q, "irq-lost"), "the signal to be lost");
    fence_main_loop(f.q);
    g_assert_cmphex(qtest_readl(f.q, MSI_ADDR), ==, 0);
    inject_signal(m->fds[1]);
    hostvm_wait_mem(f.q, MSI_ADDR + 4, 0x1001);
    inject_signal(m->fds[0]);
    hostvm_wait_mem(f.q, MSI_ADDR, 0x1000);
    inject_assert_armed(&f, "");
    fixture_end(&f);
}

/* A lost signal of a masked vector leaves no pending bit. */
static void test_irq_lost_masked(void)
{
    uint64_t table, pba;
    const VfuMsg *m;
    Fixture f;

    fixture_start_up(&f, true);
    hostvm_msix(f.q, &table, &pba);
    m = inject_enable_msix(&f, MSI_ADDR);
    qtest_writel(f.q, table + 12, PCI_MSIX_ENTRY_CTRL_MASKBIT);
    hostvm_fault(f.q, "irq-lost");
    inject_signal(m->fds[0]);
    wait_until((qtest_readl(f.q, pba), hostvm_fault_count(f.q, "irq-lost")),
               "the signal to be lost");
    g_assert_cmphex(qtest_readl(f.q, pba), ==, 0);
    inject_signal(m->fds[0]);
    hostvm_wait_mem(f.q, pba, 1);
    fixture_end(&f);
}

static unsigned inject_stores(Fixture *f, uint64_t offset)
{
    unsigned stores = 0;
    const VfuMsg *m;

    for (unsigned n = 0; (m = fakeep_nth(f->ep, VFU_CMD_REGION_WRITE, n));
         n++) {
        const VfuRegionRw *rw = (const void *)m->payload;

        stores += rw->region == 1 && rw->offset == offset;
    }
    return stores;
}

/* Each interrupt is a store to BAR 1, which the fake endpoint counts. */
static void test_irq_double(void)
{
    const VfuMsg *m;
    Fixture f;

    fixture_start_up(&f, true);
    m = inject_enable_msix(&f, HOSTVM_BAR(1));
    hostvm_fault(f.q, "irq-double");
    inject_signal(m->fds[0]);
    wait_until(inject_stores(&f, 0) == 2, "the interrupt to come twice");
    inject_signal(m->fds[1]);
    wait_until(inject_stores(&f, 4), "an interrupt that comes once");
    fence_main_loop(f.q);
    g_assert_cmpuint(inject_stores(&f, 0), ==, 2);
    g_assert_cmpuint(inject_stores(&f, 4), ==, 1);
    g_assert_cmpuint(hostvm_fault_count(f.q, "irq-double"), ==, 1);
    fixture_end(&f);
}

static void test_irq_msi(void)
{
    const VfuMsg *m;
    Fixture f;

    fixture_start_up(&f, true);
    hostvm_writel(f.q, HOSTVM_FUNCTION, MSI + PCI_MSI_ADDRESS_LO,
                  HOSTVM_BAR(1));
    hostvm_writew(f.q, HOSTVM_FUNCTION, MSI + PCI_MSI_DATA_64, 0x1230);
    hostvm_writew(f.q, HOSTVM_FUNCTION, MSI + PCI_MSI_FLAGS,
                  PCI_MSI_FLAGS_ENABLE);
    m = fakeep_wait(f.ep, VFU_CMD_SET_IRQS, 1);
    hostvm_fault(f.q, "irq-lost");
    inject_signal(m->fds[0]);
    wait_until(hostvm_fault_count(f.q, "irq-lost"), "the signal to be lost");
    fence_main_loop(f.q);
    g_assert_cmpuint(inject_stores(&f, 0), ==, 0);
    hostvm_fault(f.q, "irq-double");
    inject_signal(m->fds[0]);
    wait_until(inject_stores(&f, 0) == 2, "the interrupt to come twice");
    fixture_end(&f);
}

static void inject_intx(Fixture *f, uint32_t level)
{
    VfuEpIntx m = {
        .argsz = sizeof(m), .generation = f->ep->generation, .level = level,
    };

    fakeep_send(f->ep, VFU_CMD_EP_INTX, VFU_FLAG_NO_REPLY, &m, sizeof(m));
}

static bool inject_intx_status(Fixture *f)
{
    return hostvm_readw(f->q, HOSTVM_FUNCTION, PCI_STATUS) &
           PCI_STATUS_INTERRUPT;
}

static void test_intx_lost(void)
{
    Fixture f;

    fixture_start_up(&f, false);
    hostvm_fault(f.q, "irq-lost");
    inject_intx(&f, 1);
    wait_until(hostvm_fault_count(f.q, "irq-lost"), "INTx to be lost");
    /* It stays lost while the endpoint holds the pin. */
    hostvm_writew(f.q, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_false(inject_intx_status(&f));
    inject_intx(&f, 0);
    inject_intx(&f, 1);
    wait_until(inject_intx_status(&f), "the next INTx");
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    g_autofree char *firmware = vcpu_write_firmware();
    int ret;

    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/epf-bridge/inject/requests", test_requests);
    qtest_add_func("/epf-bridge/inject/log", test_log);
    qtest_add_func("/epf-bridge/inject/seed", test_seed);
    qtest_add_func("/epf-bridge/inject/config-ones", test_config_ones);
    qtest_add_func("/epf-bridge/inject/config-retry", test_config_retry);
    qtest_add_func("/epf-bridge/inject/stays-armed", test_stays_armed);
    if (qtest_has_accel("tcg")) {
        qtest_add_data_func("/epf-bridge/inject/config-delay", firmware,
                            test_config_delay);
    }
    qtest_add_func("/epf-bridge/inject/irq-lost", test_irq_lost);
    qtest_add_func("/epf-bridge/inject/irq-lost-masked", test_irq_lost_masked);
    qtest_add_func("/epf-bridge/inject/irq-double", test_irq_double);
    qtest_add_func("/epf-bridge/inject/irq-msi", test_irq_msi);
    qtest_add_func("/epf-bridge/inject/intx-lost", test_intx_lost);
    ret = g_test_run();
    unlink(firmware);
    return ret;
}
