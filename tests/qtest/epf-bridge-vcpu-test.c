/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge under a vCPU that runs: links come and go while it is in the
 * middle of accesses
 *
 * The vCPU reads one register of a device over and over, and may store to it
 * before each read.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"
#include "pci-ep/vcpu.h"
#include "pci-ep/wait.h"

#define ROUNDS          50
#define WAKE_ROUNDS     10
#define WAKE_DEADLINE_MS 3000
#define VCPU_TICK_US    50000       /* it runs within that time, if it does */

#define LAPIC_VERSION   0xfee00030u
#define LAPIC_VALUE     0x00050014u
#define MSIX_TABLE      (HOSTVM_BAR(0) + 0x1000)

static void link_round(Fixture *f, uint32_t address, uint32_t expected)
{
    g_assert_cmpint(fakeep_link_up(f->ep), ==, 0);
    hostvm_wait_present(f->q, true);
    vcpu_rest(f->q);
    hostvm_enable_function(f->q, true);
    vcpu_run(f->q, address, expected);
    fakeep_remap(f->ep, 1);
    g_assert_cmpint(fakeep_link_down(f->ep), ==, 0);
    hostvm_wait_present(f->q, false);
}

/* Other devices are where they were, all the time. */
static void test_others(const void *firmware)
{
    Fixture f;

    fixture_start_vcpu(&f, "", firmware);
    for (unsigned i = 0; i < ROUNDS; i++) {
        link_round(&f, LAPIC_VERSION, LAPIC_VALUE);
        g_assert_cmpuint(qtest_readl(f.q, VCPU_WRONG), ==, 0);
    }
    fixture_end(&f);
}

static void test_function(const void *firmware)
{
    uint32_t pba, at[3];
    Fixture f;

    fixture_start_vcpu(&f, "-global epf-bridge.msix-relocate=off", firmware);
    pba = ldl_le_p(f.ep->config + 0xa8);
    at[0] = HOSTVM_BAR(pba & 7) + (pba & ~7u);
    at[1] = MSIX_TABLE;
    at[2] = HOSTVM_BAR(1);
    for (unsigned i = 0; i < ROUNDS; i++) {
        link_round(&f, at[i % 3], 0);
        vcpu_rest(f.q);
        /* no function decodes the address, so it reads all ones */
        vcpu_run(f.q, at[i % 3], UINT32_MAX);
        vcpu_rest(f.q);
        g_assert_cmpuint(qtest_readl(f.q, VCPU_WRONG), ==, 0);
    }
    fixture_end(&f);
}

static bool hook_mute(FakeEp *s, const VfuMsg *m, void *opaque)
{
    return true;
}

/*
 * The endpoint falls silent, and the vCPU waits for it in one way after the
 * other.  The rest of the machine goes on.
 */
static void test_silent(const void *firmware)
{
    static const struct {
        bool config;
        uint32_t at;
        uint32_t store;
    } cases[] = {
        { false, HOSTVM_BAR(1), 0 },
        { false, HOSTVM_BAR(1), 1 },
        { true, 0xb4, 0 },
        { true, PCI_COMMAND, PCI_COMMAND_MEMORY },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint32_t at = cases[i].at;
        gint64 worst;
        Fixture f;

        fixture_start_vcpu(&f, "", firmware);
        hostvm_enable_ecam(f.q);
        fixture_link_up(&f, true);
        fakeep_wait(f.ep, VFU_CMD_DMA_MAP, 1);
        f.ep->hook = hook_mute;
        qtest_writel(f.q, VCPU_STORE, cases[i].store);
        if (cases[i].config) {
            at = hostvm_ecam_address(HOSTVM_FUNCTION, at);
        }
        qtest_writel(f.q, VCPU_ADDRESS, at);
        worst = wait_monitor(f.q, FIXTURE_DEADLINE_MS * 1500);
        g_test_message("case %u: the monitor took %d ms at most", i,
                       (int)(worst / 1000));
        g_assert_cmpint(worst, <, FIXTURE_DEADLINE_MS * 1000 / 4);
        hostvm_wait_present(f.q, false);
        fixture_end(&f);
    }
}

static void wake_start(Fixture *f, const char *firmware, unsigned deadline_ms)
{
    f->ep = fakeep_new();
    fakeep_listen(f->ep);
    f->q = hostvm_start_vcpu("", f->ep->path, deadline_ms, firmware);
    g_assert_cmpint(fakeep_link_up(f->ep), ==, 0);
    hostvm_wait_present(f->q, true);
    wait_until(qtest_readl(f->q, VCPU_WAITS), "the vCPU to run");
}

/* Returns VCPU_WAITS of when it fell asleep. */
static uint32_t wake_from_sleep(Fixture *f)
{
    uint32_t waits;

    hostvm_sleep(f->q);
    hostvm_wait_present(f->q, false);
    waits = qtest_readl(f->q, VCPU_WAITS);
    hostvm_wake(f->q);
    return waits;
}

/* Does the vCPU run? */
static bool vcpu_runs(QTestState *q)
{
    uint32_t waits = qtest_readl(q, VCPU_WAITS);

    g_usleep(VCPU_TICK_US);
    return qtest_readl(q, VCPU_WAITS) != waits;
}

/*
 * The machine wakes up from S3.  The vCPU goes on when the function that was
 * there is there again, or when the endpoint takes longer than the deadline.
 * The rest of the machine does not wait.
 */
static void test_wake(const void *firmware)
{
    uint32_t waits;
    gint64 worst;
    Fixture f;

    wake_start(&f, firmware, WAKE_DEADLINE_MS);
    waits = wake_from_sleep(&f);
    worst = wait_monitor(f.q, WAKE_DEADLINE_MS * 100);
    g_assert_cmpint(worst, <, WAKE_DEADLINE_MS * 1000 / 4);
    g_assert_cmpuint(qtest_readl(f.q, VCPU_WAITS), ==, waits);
    g_assert_cmpint(fakeep_link_up(f.ep), ==, 0);
    hostvm_wait_present(f.q, true);
    wait_until(vcpu_runs(f.q), "the vCPU to go on");
    fixture_end(&f);

    wake_start(&f, firmware, WAKE_DEADLINE_MS);
    wake_from_sleep(&f);
    g_assert_false(vcpu_runs(f.q));
    wait_until(vcpu_runs(f.q), "the vCPU to go on without the function");
    g_assert_false(hostvm_prop_bool(f.q, "link-up"));
    g_assert_cmpint(fakeep_link_up(f.ep), ==, 0);
    hostvm_wait_present(f.q, true);
    fixture_end(&f);
}

/*
 * The vCPU executes nothing before the function is there, however late the main
 * loop comes to hold it, and whoever else lets it go.
 */
static void test_wake_held(const void *firmware)
{
    uint32_t waits;
    Fixture f;

    wake_start(&f, firmware, WAIT_MS);
    for (unsigned i = 0; i < WAKE_ROUNDS; i++) {
        waits = wake_from_sleep(&f);
        g_usleep(VCPU_TICK_US);
        g_assert_cmpuint(qtest_readl(f.q, VCPU_WAITS), ==, waits);
        qtest_qmp_assert_success(f.q, "{'execute': 'stop'}");
        qtest_qmp_assert_success(f.q, "{'execute': 'cont'}");
        g_usleep(VCPU_TICK_US);
        g_assert_cmpuint(qtest_readl(f.q, VCPU_WAITS), ==, waits);
        g_assert_cmpint(fakeep_link_up(f.ep), ==, 0);
        hostvm_wait_present(f.q, true);
        wait_until(vcpu_runs(f.q), "the vCPU to go on");
    }
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    g_autofree char *firmware = vcpu_write_firmware();
    int ret;

    g_test_init(&argc, &argv, NULL);
    if (qtest_has_accel("tcg")) {
        qtest_add_data_func("/epf-bridge/vcpu/others", firmware, test_others);
        qtest_add_data_func("/epf-bridge/vcpu/function", firmware,
                            test_function);
        qtest_add_data_func("/epf-bridge/vcpu/silent", firmware, test_silent);
        qtest_add_data_func("/epf-bridge/vcpu/wake", firmware, test_wake);
        qtest_add_data_func("/epf-bridge/vcpu/wake-held", firmware,
                            test_wake_held);
    }
    ret = g_test_run();
    unlink(firmware);
    return ret;
}
