/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a fake host: requested faults of the window
 *
 * Where no vCPU runs the test stands for one. Its accesses hold up the main
 * loop; those of a vCPU, further below, do not.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/dma.h"
#include "pci-ep/vcpu.h"
#include "pci-ep/wait.h"

#define PAGE        0x1000u
#define WIN         EPVM_WINDOW
#define SECOND      G_USEC_PER_SEC
#define REMOTE      0x50000000ull   /* memory that is not shared */

static EpDma window_start(const char *props)
{
    EpDma d = epdma_start(props);

    g_assert_cmpuint(epvm_map(d.e, PAGE, HOST, 2 * PAGE), ==, EPC_STATUS_OK);
    memset(d.mem, 0x11, 2 * PAGE);
    return d;
}

/* Does the guest see an I/O region instead of memory? */
static bool is_trapped(EpDma *d)
{
    g_autofree char *map = qtest_hmp(d->e->q, "info mtree -f");

    return strstr(map, "pci-epc-window-trap");
}

static void expect_memory(EpDma *d)
{
    wait_until(!is_trapped(d), "the window to be memory again");
    g_assert_cmphex(qtest_readl(d->e->q, WIN + PAGE), ==, ldl_le_p(d->mem));
}

static void test_delay(void)
{
    EpDma d = window_start("");
    gint64 since;

    g_assert_false(is_trapped(&d));
    epvm_request_fault(d.e, "window-delay,us=100000,count=3,after=1");
    g_assert_true(is_trapped(&d));
    g_assert_cmphex(qtest_readl(d.e->q, WIN + PAGE), ==, 0x11111111);
    epvm_expect_faults(d.e, 0, "window-delay", NULL);
    since = g_get_monotonic_time();
    g_assert_cmphex(qtest_readl(d.e->q, WIN + PAGE), ==, 0x11111111);
    qtest_writeq(d.e->q, WIN + PAGE + 0x18, 0x1234567887654321);
    g_assert_cmphex(qtest_readq(d.e->q, WIN + PAGE + 0x18), ==,
                    0x1234567887654321);
    g_assert_cmpint(g_get_monotonic_time() - since, >=, 3 * 100000);
    g_assert_cmphex(ldq_le_p(d.mem + 0x18), ==, 0x1234567887654321);
    epvm_expect_faults(d.e, 3, "window-delay", NULL);
    epvm_expect_faults(d.e, 2, "window-delay", "\"function\": 0, \"at\": 4120}");
    expect_memory(&d);
    epdma_end(&d);
}

static void test_timeout(void)
{
    EpDma d = window_start(",deadline-ms=200");
    gint64 since = g_get_monotonic_time();

    epvm_request_fault(d.e, "window-timeout,count=2");
    g_assert_cmphex(qtest_readl(d.e->q, WIN + PAGE), ==, UINT32_MAX);
    g_assert_cmpint(g_get_monotonic_time() - since, >=, 200 * 1000);
    qtest_writel(d.e->q, WIN + PAGE, 0);
    g_assert_cmphex(ldl_le_p(d.mem), ==, 0x11111111);
    epvm_expect_faults(d.e, 2, "window-timeout", "\"at\": 4096}");
    g_assert_true(epvm_prop(d.e, "link-up"));
    expect_memory(&d);
    epdma_end(&d);
}

/* A write is no chance: it has no completion. */
static void test_poison(void)
{
    EpDma d = window_start("");

    epvm_request_fault(d.e, "window-poison");
    qtest_writel(d.e->q, WIN + PAGE, 0x22222222);
    g_assert_cmphex(ldl_le_p(d.mem), ==, 0x22222222);
    epvm_expect_faults(d.e, 0, "window-poison", NULL);
    g_assert_cmphex(qtest_readw(d.e->q, WIN + 2 * PAGE), ==, UINT16_MAX);
    epvm_expect_faults(d.e, 1, "window-poison", "\"at\": 8192}");
    g_assert_cmphex(qtest_readw(d.e->q, WIN + 2 * PAGE), ==, 0x1111);
    g_assert_true(epvm_prop(d.e, "link-up"));
    expect_memory(&d);
    epdma_end(&d);
}

/* Where nothing of the host is, nothing can happen. */
static void test_no_chance(void)
{
    EpDma d = window_start("");

    epvm_request_fault(d.e, "window-poison,function=1");
    g_assert_cmphex(qtest_readl(d.e->q, WIN + PAGE), ==, 0x11111111);
    epvm_request_fault(d.e, "clear");
    expect_memory(&d);
    epvm_request_fault(d.e, "window-poison,count=0");
    g_assert_cmphex(qtest_readl(d.e->q, WIN), ==, UINT32_MAX);
    fakehost_set_config(d.c, PCI_COMMAND, 2, 0);
    g_assert_cmphex(qtest_readl(d.e->q, WIN + PAGE), ==, UINT32_MAX);
    epvm_expect_faults(d.e, 0, "window-poison", NULL);
    epdma_end(&d);
}

/* A map that is trapped anyway: no message leaves for what is taken away. */
static void test_trapped(void)
{
    EpDma d = window_start("");

    g_assert_cmpint(fakehost_dma_map(d.c, REMOTE, PAGE, -1, 0, RW), ==, 0);
    g_assert_cmpuint(epvm_map(d.e, 4 * PAGE, REMOTE, PAGE), ==, EPC_STATUS_OK);
    epvm_request_fault(d.e, "window-poison");
    g_assert_cmphex(qtest_readl(d.e->q, WIN + 4 * PAGE), ==, UINT32_MAX);
    epvm_expect_no_command(d.e, d.c, VFU_CMD_DMA_READ);
    epvm_expect_faults(d.e, 1, "window-poison", "\"at\": 16384}");
    g_assert_cmpuint(epvm_unmap(d.e, 4 * PAGE), ==, EPC_STATUS_OK);
    expect_memory(&d);
    epdma_end(&d);
}

/* Maps come and go as always while all is trapped. */
static void test_maps(void)
{
    EpDma d = window_start("");

    epvm_request_fault(d.e, "window-delay,us=1,count=0");
    for (unsigned i = 0; i < 3; i++) {
        stl_le_p(d.mem + 5 * PAGE, i);
        g_assert_cmpuint(epvm_map(d.e, 8 * PAGE, HOST + 5 * PAGE, PAGE), ==,
                         EPC_STATUS_OK);
        g_assert_cmphex(qtest_readl(d.e->q, WIN + 8 * PAGE), ==, i);
        g_assert_cmpuint(epvm_unmap(d.e, 8 * PAGE), ==, EPC_STATUS_OK);
        g_assert_cmphex(qtest_readl(d.e->q, WIN + 8 * PAGE), ==, UINT32_MAX);
    }
    g_assert_true(is_trapped(&d));
    epvm_request_fault(d.e, "clear");
    g_assert_false(is_trapped(&d));
    epdma_end(&d);
}

/* A request of the command line, STOP, and a reset of the machine */
static void test_ends(void)
{
    EpDma d = window_start(",fault=window-poison");

    g_assert_true(is_trapped(&d));
    epvm_set_reg(d.e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    g_assert_cmphex(qtest_readl(d.e->q, WIN + PAGE), ==, UINT32_MAX);
    fakehost_link(d.c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(d.e), ==, EPC_STATUS_OK);
    qtest_system_reset(d.e->q);
    epvm_enable(d.e);
    g_assert_true(is_trapped(&d));
    g_assert_cmphex(qtest_readl(d.e->q, WIN + PAGE), ==, UINT32_MAX);
    epvm_expect_faults(d.e, 0, "window-poison", NULL);
    epdma_end(&d);
}

/* ---- A vCPU ---- */

/* The vCPU has 32-bit addresses. */
#define LOW         0x90000000u

typedef struct Vcpu {
    const char *accel, *firmware;
} Vcpu;

static EpDma vcpu_start(const void *opaque)
{
    const Vcpu *v = opaque;
    g_autofree char *props = g_strdup_printf(",window-size=1M -accel %s "
                                             "-bios %s", v->accel,
                                             v->firmware);
    EpDma d = epdma_start(props);

    d.e->window = LOW;
    epvm_enable(d.e);
    g_assert_cmpuint(epvm_map(d.e, 0, HOST, PAGE), ==, EPC_STATUS_OK);
    memset(d.mem, 0x11, PAGE);
    vcpu_run(d.e->q, LOW, 0x11111111);
    return d;
}

static void wait_fault(EpDma *d, const char *kind)
{
    wait_until(epvm_count_faults(d->e, kind, NULL), "%s to happen", kind);
}

static void wait_reads(EpDma *d)
{
    uint32_t n = qtest_readl(d->e->q, VCPU_READS);

    wait_until(qtest_readl(d->e->q, VCPU_READS) - n > 2,
               "the vCPU to go on");
}

/* The vCPU is held for a second. All else of the machine goes on. */
static void test_vcpu_delay(const void *v)
{
    EpDma d = vcpu_start(v);
    gint64 since = g_get_monotonic_time(), worst;
    uint32_t n, more;

    epvm_request_fault(d.e, "window-delay,us=1000000");
    worst = g_get_monotonic_time() - since;
    worst = MAX(worst, wait_monitor(d.e->q, SECOND / 4));
    wait_fault(&d, "window-delay");
    n = qtest_readl(d.e->q, VCPU_READS);
    g_assert_cmphex(epvm_reg(d.e, EPC_REG_MAGIC), ==, EPC_MAGIC);
    g_assert_cmpuint(epdma_copy(&d, HOST, BUFFER, 64, FROM_HOST), ==,
                     EPC_DMA_OK);
    worst = MAX(worst, wait_monitor(d.e->q, SECOND / 4));
    g_test_message("the monitor took %d ms at most", (int)(worst / 1000));
    more = qtest_readl(d.e->q, VCPU_READS) - n;
    if (g_get_monotonic_time() - since < SECOND) {
        g_assert_cmpuint(more, ==, 0);
    }
    g_assert_cmpint(worst, <, wait_scaled(SECOND / 10));
    wait_reads(&d);
    g_assert_cmpint(g_get_monotonic_time() - since, >=, SECOND);
    g_assert_cmpuint(qtest_readl(d.e->q, VCPU_WRONG), ==, 0);
    wait_until(!is_trapped(&d), "the window to be memory again");
    wait_reads(&d);
    g_assert_cmpuint(qtest_readl(d.e->q, VCPU_WRONG), ==, 0);
    epdma_end(&d);
}

/* Each of the others gives one wrong value. */
static void test_vcpu_wrong(const void *v)
{
    EpDma d = vcpu_start(v);
    gint64 since = g_get_monotonic_time();

    epvm_request_fault(d.e, "window-timeout");
    g_assert_cmpint(wait_monitor(d.e->q, SECOND / 4), <,
                    wait_scaled(SECOND / 10));
    wait_fault(&d, "window-timeout");
    g_assert_cmphex(epvm_reg(d.e, EPC_REG_MAGIC), ==, EPC_MAGIC);
    wait_reads(&d);
    g_assert_cmpint(g_get_monotonic_time() - since, >=, SECOND);
    g_assert_cmpuint(qtest_readl(d.e->q, VCPU_WRONG), ==, 1);
    epvm_request_fault(d.e, "window-poison,count=5");
    wait_until(epvm_count_faults(d.e, "window-poison", NULL) == 5,
               "5 reads to be poisoned");
    wait_reads(&d);
    g_assert_cmpuint(qtest_readl(d.e->q, VCPU_WRONG), ==, 6);
    g_assert_true(epvm_prop(d.e, "link-up"));
    epdma_end(&d);
}

/* Whoever pauses the vCPU does not wait for the end of the delay. */
static void test_vcpu_stop(const void *v)
{
    EpDma d = vcpu_start(v);
    gint64 since;

    epvm_request_fault(d.e, "window-delay,us=30000000");
    wait_fault(&d, "window-delay");
    since = g_get_monotonic_time();
    qtest_qmp_assert_success(d.e->q, "{ 'execute': 'stop' }");
    qtest_qmp_assert_success(d.e->q, "{ 'execute': 'cont' }");
    g_assert_cmpint(g_get_monotonic_time() - since, <,
                    wait_scaled(10 * SECOND));
    wait_reads(&d);
    g_assert_cmpuint(qtest_readl(d.e->q, VCPU_WRONG), ==, 0);

    epvm_request_fault(d.e, "window-delay,us=30000000");
    wait_until(epvm_count_faults(d.e, "window-delay", NULL) == 2,
               "the second delay");
    since = g_get_monotonic_time();
    qtest_system_reset(d.e->q);
    g_assert_cmpint(g_get_monotonic_time() - since, <,
                    wait_scaled(10 * SECOND));
    vcpu_rest(d.e->q);
    epvm_enable(d.e);
    epdma_end(&d);
}

/* Another request comes while the vCPU is held, and does not cut that short. */
static void test_vcpu_another(const void *v)
{
    EpDma d = vcpu_start(v);
    gint64 since = g_get_monotonic_time();

    epvm_request_fault(d.e, "window-delay,us=500000");
    wait_fault(&d, "window-delay");
    epvm_request_fault(d.e, "window-poison,after=1000000");
    epvm_request_fault(d.e, "clear");
    wait_reads(&d);
    g_assert_cmpint(g_get_monotonic_time() - since, >=, SECOND / 2);
    wait_until(!is_trapped(&d), "the window to be memory again");
    wait_reads(&d);
    epdma_end(&d);
}

static void add_vcpu_tests(const char *accel, const char *firmware)
{
    static const struct {
        const char *name;
        void (*func)(const void *);
    } tests[] = {
        { "delay", test_vcpu_delay },
        { "wrong", test_vcpu_wrong },
        { "stop", test_vcpu_stop },
        { "another", test_vcpu_another },
    };
    Vcpu *v = g_new(Vcpu, 1);

    *v = (Vcpu) { accel, firmware };
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path =
            g_strdup_printf("/pci-epc/requested/window/%s/%s", accel,
                            tests[i].name);

        qtest_add_data_func(path, v, tests[i].func);
    }
}

int main(int argc, char **argv)
{
    g_autofree char *firmware = vcpu_write_firmware();
    int ret;

    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/requested/window/delay", test_delay);
    qtest_add_func("/pci-epc/requested/window/timeout", test_timeout);
    qtest_add_func("/pci-epc/requested/window/poison", test_poison);
    qtest_add_func("/pci-epc/requested/window/no-chance", test_no_chance);
    qtest_add_func("/pci-epc/requested/window/trapped", test_trapped);
    qtest_add_func("/pci-epc/requested/window/maps", test_maps);
    qtest_add_func("/pci-epc/requested/window/ends", test_ends);
    if (qtest_has_accel("tcg")) {
        add_vcpu_tests("tcg", firmware);
    }
    if (qtest_has_accel("kvm") && vcpu_works("kvm", firmware)) {
        add_vcpu_tests("kvm", firmware);
    }
    ret = g_test_run();
    unlink(firmware);
    return ret;
}
