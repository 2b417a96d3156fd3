/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a fake host: requested faults of interrupts to the host
 *
 * Tests of MSI and MSI-X run twice: raises arrive in the device, or are
 * ioeventfds as with KVM until a fault is armed.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/wait.h"
#include "pci-ep/fake-host.h"

#include <sys/eventfd.h>

#define VECTOR      7
#define LATER_US    200000

typedef struct Lost {
    EpVm *e;
    FakeHost *c;
    bool ioeventfd;
    unsigned cap;
    int fd;
} Lost;

static void lost_attach(Lost *r, const void *mode)
{
    r->ioeventfd = !strcmp(mode, "on");
    r->e = epvm_start(EPVM_SHARED, r->ioeventfd ? ",x-ioeventfd=on" :
                                                  ",x-ioeventfd=off");
    r->c = epvm_attach(r->e);
    r->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_assert_cmpint(r->fd, >=, 0);
    fakehost_set_config(r->c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
}

static void lost_start(Lost *r, const void *mode)
{
    lost_attach(r, mode);
    r->cap = fakehost_find_cap(r->c, PCI_CAP_ID_MSIX);
    fakehost_set_config(r->c, r->cap + PCI_MSIX_FLAGS, 2,
                        PCI_MSIX_FLAGS_ENABLE);
    g_assert_cmpint(fakehost_set_irq(r->c, VFU_IRQ_MSIX, VECTOR, r->fd), ==,
                    0);
    /* The next register access finds the ioeventfds up to date. */
    epvm_reg(r->e, EPC_REG_MAGIC);
}

static void lost_end(Lost *r)
{
    close(r->fd);
    epvm_detach(r->e, r->c);
}

static int64_t slow_interrupts(Lost *r)
{
    return epvm_prop(r->e, "slow-interrupts");
}

/*
 * Raises once. Returns how often the host was signalled at once. The raise is
 * carried out before the write of the register is over.
 */
static uint64_t raise_once(Lost *r, uint32_t what)
{
    epvm_raise(r->e, what, 0);
    return fakehost_wait_eventfd(r->fd, 0);
}

/* When nothing is armed any more raises need no thread again. */
static void expect_fast(Lost *r)
{
    int64_t slow;

    fence_main_loop(r->e->q);
    slow = slow_interrupts(r);
    g_assert_cmpuint(raise_once(r, EPC_RAISE_MSIX(VECTOR)), ==, 1);
    g_assert_cmpint(slow_interrupts(r), ==, slow + !r->ioeventfd);
}

static void test_lost(const void *mode)
{
    uint32_t what = EPC_RAISE_MSIX(VECTOR);
    int64_t slow;
    Lost r;

    lost_start(&r, mode);
    expect_fast(&r);
    epvm_request_fault(r.e, "irq-lost,after=2,count=2");
    slow = slow_interrupts(&r);
    g_assert_cmpuint(raise_once(&r, what), ==, 1);
    g_assert_cmpuint(raise_once(&r, what), ==, 1);
    /* while it is armed a thread of QEMU sees each raise */
    g_assert_cmpint(slow_interrupts(&r), ==, slow + 2);
    g_assert_cmpuint(raise_once(&r, what), ==, 0);
    g_assert_cmpuint(raise_once(&r, what), ==, 0);
    g_assert_cmpint(slow_interrupts(&r), ==, slow + 2);
    expect_fast(&r);
    /* The endpoint does not see it. */
    g_assert_cmpuint(epvm_fn_reg(r.e, EPC_FN_RAISE_DROPPED), ==, 0);
    epvm_expect_faults(r.e, 2, "irq-lost", "\"function\": 0, \"at\": 7}");
    lost_end(&r);
}

static void test_clear(const void *mode)
{
    Lost r;

    lost_start(&r, mode);
    epvm_request_fault(r.e, "irq-lost,count=0");
    for (unsigned i = 0; i < 10; i++) {
        g_assert_cmpuint(raise_once(&r, EPC_RAISE_MSIX(VECTOR)), ==, 0);
    }
    epvm_request_fault(r.e, "clear");
    expect_fast(&r);
    epvm_expect_faults(r.e, 10, "irq-lost", NULL);
    lost_end(&r);
}

/* What would not reach the host anyway is no chance. */
static void test_no_chance(const void *mode)
{
    Lost r;

    lost_start(&r, mode);
    epvm_request_fault(r.e, "irq-lost,function=1");
    epvm_request_fault(r.e, "irq-lost");
    epvm_raise(r.e, EPC_RAISE_MSIX(6), 0);      /* has no eventfd */
    epvm_raise(r.e, EPC_RAISE_MSI(0), 0);       /* is not enabled */
    g_assert_cmpuint(epvm_fn_reg(r.e, EPC_FN_RAISE_DROPPED), ==, 2);
    epvm_expect_faults(r.e, 0, "irq-lost", NULL);
    g_assert_cmpuint(raise_once(&r, EPC_RAISE_MSIX(VECTOR)), ==, 0);
    g_assert_cmpuint(raise_once(&r, EPC_RAISE_MSIX(VECTOR)), ==, 1);
    lost_end(&r);
}

static void test_msi(const void *mode)
{
    Lost r;

    lost_attach(&r, mode);
    r.cap = fakehost_find_cap(r.c, PCI_CAP_ID_MSI);
    fakehost_set_config(r.c, r.cap + PCI_MSI_FLAGS, 2,
                        PCI_MSI_FLAGS_ENABLE | 2 << 4);
    g_assert_cmpint(fakehost_set_irq(r.c, VFU_IRQ_MSI, 3, r.fd), ==, 0);
    epvm_reg(r.e, EPC_REG_MAGIC);
    epvm_request_fault(r.e, "irq-lost");
    g_assert_cmpuint(raise_once(&r, EPC_RAISE_MSI(3)), ==, 0);
    g_assert_cmpuint(raise_once(&r, EPC_RAISE_MSI(3)), ==, 1);
    epvm_expect_faults(r.e, 1, "irq-lost", "\"at\": 3}");
    epvm_request_fault(r.e, "irq-double");
    g_assert_cmpuint(raise_once(&r, EPC_RAISE_MSI(3)), >=, 1);
    lost_end(&r);
}

/* The second signal comes later, since two at once would be one interrupt. */
static void test_double(const void *mode)
{
    gint64 since;
    Lost r;

    lost_start(&r, mode);
    epvm_request_fault(r.e, "irq-double,us=200000");
    since = g_get_monotonic_time();
    g_assert_cmpuint(raise_once(&r, EPC_RAISE_MSIX(VECTOR)), ==, 1);
    g_assert_cmpuint(fakehost_wait_eventfd(r.fd, FAKEHOST_TIMEOUT_MS), ==, 1);
    g_assert_cmpint(g_get_monotonic_time() - since, >=, LATER_US);
    expect_fast(&r);
    epvm_expect_faults(r.e, 1, "irq-double", "\"at\": 7}");
    lost_end(&r);
}

/* None is forgotten when more are made than can wait. */
static void test_many(const void *mode)
{
    uint64_t sum = 0, n;
    Lost r;

    lost_start(&r, mode);
    epvm_request_fault(r.e, "irq-double,us=50000,count=0");
    for (unsigned i = 0; i < 200; i++) {
        epvm_raise(r.e, EPC_RAISE_MSIX(VECTOR), 0);
    }
    while (sum < 400) {
        n = fakehost_wait_eventfd(r.fd, FAKEHOST_TIMEOUT_MS);
        g_assert_cmpuint(n, >, 0);
        sum += n;
    }
    g_assert_cmpuint(sum, ==, 400);
    lost_end(&r);
}

/* A second interrupt that is due after STOP is dropped, and not counted. */
static void test_stop(const void *mode)
{
    Lost r;

    lost_start(&r, mode);
    epvm_request_fault(r.e, "irq-double,us=200000");
    g_assert_cmpuint(raise_once(&r, EPC_RAISE_MSIX(VECTOR)), ==, 1);
    epvm_set_reg(r.e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    fakehost_link(r.c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(r.e), ==, EPC_STATUS_OK);
    /* This proves nothing on a slow machine. */
    g_assert_cmpuint(fakehost_wait_eventfd(r.fd, 2 * LATER_US / 1000), ==, 0);
    g_assert_cmpuint(epvm_fn_reg(r.e, EPC_FN_RAISE_DROPPED), ==, 0);
    lost_end(&r);
}

/* The raise has no effect at all; INTx can be asserted twice only in vain. */
static void test_intx(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);
    VfuMsg *m;

    epvm_request_fault(e, "irq-double");
    epvm_request_fault(e, "irq-lost");
    epvm_raise(e, EPC_RAISE_INTX, 1);
    epvm_raise(e, EPC_RAISE_INTX, 0);
    epvm_expect_no_command(e, c, VFU_CMD_EP_INTX);
    epvm_raise(e, EPC_RAISE_INTX, 1);
    epvm_raise(e, EPC_RAISE_INTX, 1);
    m = fakehost_command(c, VFU_CMD_EP_INTX);
    fakehost_answer(c, m, 0);
    vfu_msg_free(m);
    epvm_expect_faults(e, 1, "irq-lost", "\"at\": 0}");
    epvm_expect_faults(e, 0, "irq-double", NULL);
    epvm_detach(e, c);
}

static void add_test(const char *name, void (*func)(const void *))
{
    static const char *const modes[] = { "off", "on" };

    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        g_autofree char *path = g_strdup_printf("/pci-epc/requested/irq/%s/%s",
                                                i ? "ioeventfd" : "device",
                                                name);

        qtest_add_data_func(path, modes[i], func);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("lost", test_lost);
    add_test("clear", test_clear);
    add_test("no-chance", test_no_chance);
    add_test("msi", test_msi);
    add_test("double", test_double);
    add_test("many", test_many);
    add_test("stop", test_stop);
    qtest_add_func("/pci-epc/requested/irq/intx", test_intx);
    return g_test_run();
}
