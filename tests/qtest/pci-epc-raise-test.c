/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a fake host: MSI and MSI-X
 *
 * Each test runs twice: raises arrive in the device, or are ioeventfds as with
 * KVM, which in a qtest the memory core signals.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/wait.h"
#include "pci-ep/fake-host.h"

#include <sys/eventfd.h>

typedef struct Raise {
    EpVm *e;
    FakeHost *c;
    bool ioeventfd;
    unsigned cap;
    int fd;
} Raise;

static int new_eventfd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void raise_start(Raise *r, const void *mode, uint8_t cap)
{
    r->ioeventfd = !strcmp(mode, "on");
    r->e = epvm_start(EPVM_SHARED, r->ioeventfd ? ",x-ioeventfd=on" :
                                                ",x-ioeventfd=off");
    r->c = epvm_attach(r->e);
    r->cap = fakehost_find_cap(r->c, cap);
    r->fd = new_eventfd();
}

static void raise_end(Raise *r)
{
    close(r->fd);
    epvm_detach(r->e, r->c);
}

static void msix_control(Raise *r, uint16_t flags)
{
    fakehost_set_config(r->c, r->cap + PCI_MSIX_FLAGS, 2, flags);
}

/* With vector 7 on r->fd */
static void start_msix(Raise *r, const void *mode)
{
    raise_start(r, mode, PCI_CAP_ID_MSIX);
    fakehost_set_config(r->c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    msix_control(r, PCI_MSIX_FLAGS_ENABLE);
    g_assert_cmpint(fakehost_set_irq(r->c, VFU_IRQ_MSIX, 7, r->fd), ==, 0);
}

/* Delivered on r->fd, and by what should do it; or dropped */
static void raise_expect(Raise *r, uint32_t what, bool delivered)
{
    uint32_t dropped = epvm_fn_reg(r->e, EPC_FN_RAISE_DROPPED);
    int64_t slow = epvm_prop(r->e, "slow-interrupts");

    epvm_raise(r->e, what, 0x12345678);
    g_assert_cmpuint(epvm_fn_reg(r->e, EPC_FN_RAISE_DROPPED), ==,
                     dropped + !delivered);
    g_assert_cmpuint(fakehost_wait_eventfd(r->fd,
                                           delivered ? FAKEHOST_TIMEOUT_MS : 0),
                     ==, delivered);
    g_assert_cmpint(epvm_prop(r->e, "slow-interrupts"), ==,
                    slow + (delivered && !r->ioeventfd));
}

static void test_msi(const void *mode)
{
    Raise r;

    raise_start(&r, mode, PCI_CAP_ID_MSI);
    raise_expect(&r, EPC_RAISE_MSI(1), false);
    g_assert_cmpint(fakehost_set_irq(r.c, VFU_IRQ_MSI, 1, r.fd), ==, 0);
    raise_expect(&r, EPC_RAISE_MSI(1), false);        /* not enabled */
    fakehost_set_config(r.c, r.cap + PCI_MSI_FLAGS, 2,
                        PCI_MSI_FLAGS_ENABLE | 1 << 4);
    raise_expect(&r, EPC_RAISE_MSI(1), false);        /* no bus master */
    fakehost_set_config(r.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    raise_expect(&r, EPC_RAISE_MSI(1), true);
    raise_expect(&r, EPC_RAISE_MSI(0), false);        /* no eventfd */
    raise_expect(&r, EPC_RAISE_MSI(2), false); /* not among the enabled */
    fakehost_set_config(r.c, r.cap + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
    raise_expect(&r, EPC_RAISE_MSI(1), false);
    fakehost_set_config(r.c, r.cap + PCI_MSI_FLAGS, 2,
                        PCI_MSI_FLAGS_ENABLE | 2 << 4);
    raise_expect(&r, EPC_RAISE_MSI(1), true);
    g_assert_cmpint(fakehost_set_irq(r.c, VFU_IRQ_MSI, 4, r.fd), ==, EINVAL);
    g_assert_cmpint(fakehost_reset(r.c, VFU_EP_RESET_HOT), ==, 0);
    raise_expect(&r, EPC_RAISE_MSI(1), false);
    raise_end(&r);
}

static void test_msix(const void *mode)
{
    VfuSetIrqs off = {
        .argsz = sizeof(off),
        .flags = VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_TRIGGER,
        .index = VFU_IRQ_MSIX,
    };
    Raise r;

    raise_start(&r, mode, PCI_CAP_ID_MSIX);
    g_assert_cmpint(fakehost_set_irq(r.c, VFU_IRQ_MSIX, 7, r.fd), ==, 0);
    raise_expect(&r, EPC_RAISE_MSIX(7), false);
    fakehost_set_config(r.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    raise_expect(&r, EPC_RAISE_MSIX(7), false);
    msix_control(&r, PCI_MSIX_FLAGS_ENABLE);
    raise_expect(&r, EPC_RAISE_MSIX(7), true);
    raise_expect(&r, EPC_RAISE_MSIX(6), false);
    raise_expect(&r, EPC_RAISE_MSIX(8), false);
    raise_expect(&r, EPC_RAISE_MSIX(2047), false);
    g_assert_cmpint(fakehost_set_irq(r.c, VFU_IRQ_MSIX, 8, r.fd), ==, EINVAL);
    /* masking is the host's own business */
    msix_control(&r, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    raise_expect(&r, EPC_RAISE_MSIX(7), true);
    g_assert_cmpint(fakehost_call_fds(r.c, VFU_CMD_SET_IRQS, &off, sizeof(off),
                                      NULL, 0), ==, 0);
    raise_expect(&r, EPC_RAISE_MSIX(7), false);
    raise_end(&r);
}

/* An access that is no aligned 32-bit write raises nothing */
static void test_width(const void *mode)
{
    Raise r;

    start_msix(&r, mode);
    raise_expect(&r, EPC_RAISE_MSIX(7), true);
    epvm_write(r.e, r.e->raise_base + EPC_RAISE_MSIX(7), 1, 1);
    epvm_write(r.e, r.e->raise_base + EPC_RAISE_MSIX(7), 2, 1);
    g_assert_cmpuint(fakehost_wait_eventfd(r.fd, 0), ==, 0);
    raise_expect(&r, EPC_RAISE_MSIX(7), true);
    raise_end(&r);
}

/* No raise is lost while the host passes another eventfd, or the same one */
static void test_replace(const void *mode)
{
    Raise r;
    int fd[2];

    start_msix(&r, mode);
    raise_expect(&r, EPC_RAISE_MSIX(7), true);
    fd[0] = r.fd;
    fd[1] = new_eventfd();
    for (unsigned i = 0; i < 200; i++) {
        int now = fd[i / 2 & 1];

        g_assert_cmpint(fakehost_set_irq(r.c, VFU_IRQ_MSIX, 7, now), ==, 0);
        epvm_raise(r.e, EPC_RAISE_MSIX(7), 0);
        g_assert_cmpuint(fakehost_wait_eventfd(now, FAKEHOST_TIMEOUT_MS), >=,
                         1);
    }
    g_assert_cmpuint(epvm_fn_reg(r.e, EPC_FN_RAISE_DROPPED), ==, 0);
    close(fd[1]);
    raise_end(&r);
}

/* Neither a stopped link, nor a lost host, nor a reset device raises */
static void test_link(const void *mode)
{
    Raise r;

    start_msix(&r, mode);
    raise_expect(&r, EPC_RAISE_MSIX(7), true);
    epvm_set_reg(r.e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    epvm_raise(r.e, EPC_RAISE_MSIX(7), 0);
    g_assert_cmpuint(fakehost_wait_eventfd(r.fd, 0), ==, 0);
    raise_expect(&r, EPC_RAISE_MSIX(7), false);
    fakehost_link(r.c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(r.e), ==, EPC_STATUS_OK);
    raise_expect(&r, EPC_RAISE_MSIX(7), false);

    g_assert_cmpuint(epvm_link_command(r.e, EPC_LINK_START), ==, EPC_STATUS_OK);
    fakehost_link(r.c, VFU_EP_LINK_UP);
    epvm_wait_link(r.e, true);
    raise_expect(&r, EPC_RAISE_MSIX(7), false);
    fakehost_set_config(r.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    msix_control(&r, PCI_MSIX_FLAGS_ENABLE);
    g_assert_cmpint(fakehost_set_irq(r.c, VFU_IRQ_MSIX, 7, r.fd), ==, 0);
    raise_expect(&r, EPC_RAISE_MSIX(7), true);

    epvm_set_reg(r.e, EPC_REG_RESET, EPC_RESET_MAGIC);
    epvm_raise(r.e, EPC_RAISE_MSIX(7), 0);
    g_assert_cmpuint(fakehost_wait_eventfd(r.fd, 0), ==, 0);
    fakehost_link(r.c, VFU_EP_LINK_DOWN);
    raise_end(&r);
}

static void test_host_dies(const void *mode)
{
    Raise r;

    start_msix(&r, mode);
    raise_expect(&r, EPC_RAISE_MSIX(7), true);
    fakehost_free(r.c);
    epvm_wait_link(r.e, false);
    raise_expect(&r, EPC_RAISE_MSIX(7), false);
    close(r.fd);
    epvm_stop(r.e);
}

/* The ioeventfds move with the BAR, and come back with memory decoding */
static void test_decode(const void *mode)
{
    Raise r;

    start_msix(&r, mode);
    raise_expect(&r, EPC_RAISE_MSIX(7), true);
    qtest_outl(r.e->q, 0xcf8, 0x80002804);
    qtest_outl(r.e->q, 0xcfc, 0);
    epvm_raise(r.e, EPC_RAISE_MSIX(7), 0);
    g_assert_cmpuint(fakehost_wait_eventfd(r.fd, 0), ==, 0);
    epvm_enable(r.e);
    raise_expect(&r, EPC_RAISE_MSIX(7), true);
    raise_end(&r);
}

/* ---- More vectors than there are ioeventfds ---- */

#define MANY    400u
#define FAST    256u            /* of a controller with one function */
#define STOPS   8u              /* at most, until one was quick */
#define STOP_US 100000

/* Raises one vector, and returns whether a thread of QEMU delivered it. */
static bool raise_was_slow(Raise *r, unsigned n)
{
    int64_t slow = epvm_prop(r->e, "slow-interrupts");

    epvm_raise(r->e, EPC_RAISE_MSIX(n), 0);
    g_assert_cmpuint(fakehost_wait_eventfd(r->fd, FAKEHOST_TIMEOUT_MS), ==, 1);
    return epvm_prop(r->e, "slow-interrupts") != slow;
}

static unsigned raise_many(Raise *r)
{
    unsigned slow = 0;

    for (unsigned n = 0; n < MANY; n++) {
        slow += raise_was_slow(r, n);
    }
    return slow;
}

static void many_start(Raise *r, const char *props)
{
    r->e = epvm_start(EPVM_SHARED, props);
    epvm_describe(r->e);
    g_assert_cmpuint(epvm_set_msix(r->e, MANY, 0, EPVM_BAR0_SIZE - 0x4000), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_link_command(r->e, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    r->c = fakehost_attach(r->e->socket, NULL);
    fakehost_link(r->c, VFU_EP_LINK_UP);
    epvm_wait_link(r->e, true);
    r->cap = fakehost_find_cap(r->c, PCI_CAP_ID_MSIX);
    r->fd = new_eventfd();
    for (unsigned n = 0; n < MANY; n++) {
        g_assert_cmpint(fakehost_set_irq(r->c, VFU_IRQ_MSIX, n, r->fd), ==, 0);
    }
    fakehost_set_config(r->c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    msix_control(r, PCI_MSIX_FLAGS_ENABLE);
}

static void test_many(const void *mode)
{
    Raise r = { .ioeventfd = !strcmp(mode, "on") };

    many_start(&r, r.ioeventfd ? ",x-ioeventfd=on" : ",x-ioeventfd=off");
    if (r.ioeventfd) {
        wait_until(!raise_was_slow(&r, FAST - 1), "ioeventfds");
        fence_main_loop(r.e->q);
        /* Those that are not among the fast ones take the place of others. */
        g_assert_cmpuint(raise_many(&r), >=, MANY - FAST);
        wait_until(!raise_was_slow(&r, MANY - 1), "the vector used last");
        g_assert_false(raise_was_slow(&r, MANY - 1));
    } else {
        g_assert_cmpuint(raise_many(&r), ==, MANY);
    }
    g_assert_cmpuint(epvm_fn_reg(r.e, EPC_FN_RAISE_DROPPED), ==, 0);
    raise_end(&r);
}

/* ---- Registers over those of another controller ---- */

static void set_bar0(EpVm *e, uint64_t addr)
{
    qtest_outl(e->q, 0xcf8, 0x80000000 | e->slot << 11 | PCI_BASE_ADDRESS_0);
    qtest_outl(e->q, 0xcfc, addr);
}

static void overlap_attach(EpVm *e, Raise *r)
{
    r->e = e;
    r->c = epvm_attach(e);
    r->cap = fakehost_find_cap(r->c, PCI_CAP_ID_MSIX);
    r->fd = new_eventfd();
    fakehost_set_config(r->c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    msix_control(r, PCI_MSIX_FLAGS_ENABLE);
    for (unsigned n = 0; n < 8; n++) {
        g_assert_cmpint(fakehost_set_irq(r->c, VFU_IRQ_MSIX, n, r->fd), ==,
                        0);
    }
    epvm_reg(e, EPC_REG_MAGIC);
}

/*
 * KVM refuses a second ioeventfd at an address. No vCPU runs, and the test
 * plays it.
 */
static void test_overlap(void)
{
    EpVm *e[2];
    Raise r[2];

    if (access("/dev/kvm", R_OK | W_OK)) {
        g_test_skip("no KVM");
        return;
    }
    e[0] = epvm_start_two("q35 -accel kvm -S", &e[1]);
    for (unsigned i = 0; i < 2; i++) {
        overlap_attach(e[i], &r[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        EpVm *moved = e[i & 1], *below = e[!(i & 1)];

        set_bar0(moved, below->regs);
        fence_main_loop(moved->q);
        set_bar0(moved, moved->regs);
        fence_main_loop(moved->q);
        g_assert_cmphex(epvm_reg(moved, EPC_REG_MAGIC), ==, EPC_MAGIC);
    }
    for (unsigned i = 0; i < 2; i++) {
        epvm_raise(e[i], EPC_RAISE_MSIX(3), 0);
        g_assert_cmpuint(fakehost_wait_eventfd(r[i].fd, FAKEHOST_TIMEOUT_MS),
                         ==, 1);
        close(r[i].fd);
        fakehost_free(r[i].c);
    }
    epvm_stop(e[0]);
    epvm_stop(e[1]);
}

/* Returns how long the main loop was busy with a STOP, in microseconds. */
static gint64 time_stop(void)
{
    gint64 since, took;
    Raise r;

    many_start(&r, " -accel kvm -S");
    for (unsigned n = 0; n < MANY; n++) {
        epvm_raise(r.e, EPC_RAISE_MSIX(n), 0);
    }
    fence_main_loop(r.e->q);
    since = g_get_monotonic_time();
    epvm_set_reg(r.e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    fence_main_loop(r.e->q);
    took = g_get_monotonic_time() - since;
    fakehost_link(r.c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(r.e), ==, EPC_STATUS_OK);
    raise_end(&r);
    return took;
}

/*
 * KVM waits for each ioeventfd that it takes off, and QEMU has the BQL meanwhile.
 * A STOP has to take off all that a controller can have. A busy system makes it
 * take several times as long now and then, so one quick STOP is enough.
 */
static void test_stop_many(void)
{
    gint64 best = G_MAXINT64;

    if (access("/dev/kvm", R_OK | W_OK)) {
        g_test_skip("no KVM");
        return;
    }
    for (unsigned i = 0; i < STOPS && best >= STOP_US; i++) {
        gint64 took = time_stop();

        g_test_message("STOP took %d ms", (int)(took / 1000));
        best = MIN(best, took);
    }
    g_assert_cmpint(best, <, wait_scaled(STOP_US));
}

static void raise_add_test(const char *name, void (*func)(const void *))
{
    static const char *const modes[] = { "off", "on" };

    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        g_autofree char *path = g_strdup_printf("/pci-epc/raise/%s/%s",
                                                i ? "ioeventfd" : "device",
                                                name);

        qtest_add_data_func(path, modes[i], func);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    raise_add_test("msi", test_msi);
    raise_add_test("msix", test_msix);
    raise_add_test("width", test_width);
    raise_add_test("replace", test_replace);
    raise_add_test("link", test_link);
    raise_add_test("host-dies", test_host_dies);
    raise_add_test("decode", test_decode);
    raise_add_test("many", test_many);
    qtest_add_func("/pci-epc/raise/overlap", test_overlap);
    qtest_add_func("/pci-epc/raise/stop-many", test_stop_many);
    return g_test_run();
}
