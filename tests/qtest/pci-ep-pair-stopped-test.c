/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The QEMU of the endpoint stops (SIGSTOP) while a vCPU of the host accesses one
 * of eight functions: the host's monitor goes on answering
 *
 * Each test runs under TCG, and under KVM where that works.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/machine-host.h"
#include "pci-ep/vcpu.h"
#include "pci-ep/wait.h"

#define DEADLINE_MS     wait_scaled(1000)
#define FNS             8u
#define LAST            (FNS - 1)
#define ID(fn)          (0xb500104cu + ((fn) << 16))
#define BAR_SIZE        0x1000u
#define TARGET(fn)      (0x1000000ull + (fn) * BAR_SIZE)
#define BAR(fn)         (HOSTVM_BARS + (fn) * BAR_SIZE)
#define VALUE           0x12345678u
#define STORED          0x11111111u

/* How much longer than a QEMU without a guest the monitor may take, in us */
#define LATE_US         100000

typedef struct Accel {
    const char *name, *firmware;
} Accel;

typedef struct Link {
    EpVm *ep;
    QTestState *host, *idle;
} Link;

/* The host reaches BARs by message, since the memory behind them is private. */
static void describe_all(EpVm *e)
{
    for (unsigned fn = 0; fn < FNS; fn++) {
        epvm_select(e, fn);
        g_assert_cmpuint(epvm_set_header(e, ID(fn), 1), ==, EPC_STATUS_OK);
        g_assert_cmpuint(epvm_set_bar(e, 0, 0, TARGET(fn), BAR_SIZE), ==,
                         EPC_STATUS_OK);
        qtest_writel(e->q, TARGET(fn), VALUE);
    }
    epvm_select(e, 0);
}

static void enable_functions(QTestState *q)
{
    for (unsigned fn = 0; fn < FNS; fn++) {
        hostvm_writel(q, HOSTVM_FUNCTION + fn, PCI_BASE_ADDRESS_0, BAR(fn));
        hostvm_writew(q, HOSTVM_FUNCTION + fn, PCI_COMMAND,
                      PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    }
}

static void pair_start(Link *l, const Accel *a)
{
    g_autofree char *args = g_strdup_printf("-accel %s -bios %s", a->name,
                                            a->firmware);

    l->ep = epvm_start(EPVM_UNSHARED, ",functions=8");
    describe_all(l->ep);
    l->host = hostvm_start_args(args, l->ep->socket, DEADLINE_MS);
    l->idle = qtest_init("-machine none");
    hostvm_enable_port(l->host);
    hostvm_enable_ecam(l->host);
    g_assert_cmpuint(epvm_link_command(l->ep, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    epvm_wait_link(l->ep, true);
    hostvm_wait_present(l->host, true);
    enable_functions(l->host);
}

static void pair_end(Link *l)
{
    qtest_quit(l->idle);
    qtest_quit(l->host);
    epvm_stop(l->ep);
}

/*
 * Asks both monitors in turn for @us. Returns how much longer the slowest answer
 * of the host was than that of the machine without a guest, which is as late as
 * this system makes it.
 */
static gint64 monitor_late(Link *l, gint64 us)
{
    gint64 end = g_get_monotonic_time() + us;
    gint64 worst = 0, idle = 0;

    while (g_get_monotonic_time() < end) {
        worst = MAX(worst, wait_monitor(l->host, 1));
        idle = MAX(idle, wait_monitor(l->idle, 1));
    }
    g_test_message("the monitor took %d ms at most, that of an idle QEMU %d ms",
                   (int)(worst / 1000), (int)(idle / 1000));
    return worst - idle;
}

static void stop_endpoint(Link *l, uint32_t at, uint32_t store)
{
    vcpu_rest(l->host);
    qtest_writel(l->host, VCPU_STORE, store);
    kill(qtest_pid(l->ep->q), SIGSTOP);
    qtest_writel(l->host, VCPU_ADDRESS, at);
    g_assert_cmpint(monitor_late(l, DEADLINE_MS * 1500), <,
                    wait_scaled(LATE_US));
    hostvm_wait_present(l->host, false);
    vcpu_rest(l->host);
    kill(qtest_pid(l->ep->q), SIGCONT);
    hostvm_wait_present(l->host, true);
    enable_functions(l->host);
}

static void test_stopped(const void *accel)
{
    uint32_t config;
    Link l;

    pair_start(&l, accel);
    vcpu_run(l.host, BAR(LAST), VALUE);
    g_assert_cmpuint(qtest_readl(l.host, VCPU_WRONG), ==, 0);
    stop_endpoint(&l, BAR(LAST), 0);
    vcpu_run(l.host, BAR(LAST), VALUE);
    stop_endpoint(&l, BAR(LAST), STORED);
    config = hostvm_ecam_address(HOSTVM_FUNCTION + LAST, PCI_COMMAND);
    stop_endpoint(&l, config, PCI_COMMAND_MEMORY);
    qtest_writel(l.host, VCPU_STORE, 0);
    g_assert_cmphex(hostvm_readl(l.host, HOSTVM_FUNCTION + LAST, 0), ==,
                    ID(LAST));
    pair_end(&l);
}

int main(int argc, char **argv)
{
    g_autofree char *firmware = vcpu_write_firmware();
    const Accel tcg = { "tcg", firmware }, kvm = { "kvm", firmware };
    int ret;

    g_test_init(&argc, &argv, NULL);
    if (qtest_has_accel("tcg")) {
        qtest_add_data_func("/pci-ep-stopped/tcg", &tcg, test_stopped);
    }
    if (qtest_has_accel("kvm") && vcpu_works("kvm", firmware)) {
        qtest_add_data_func("/pci-ep-stopped/kvm", &kvm, test_stopped);
    }
    ret = g_test_run();
    unlink(firmware);
    return ret;
}
