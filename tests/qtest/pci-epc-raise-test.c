/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a scripted host: MSI and MSI-X
 *
 * Each test is run twice: raises arrive in the device, or are ioeventfds as with
 * KVM, which in a qtest the memory core signals.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep-endpoint.h"
#include "pci-ep-peer.h"

#include <sys/eventfd.h>

typedef struct Raise {
    EpEndpoint *e;
    PepClient *c;
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

static void start(Raise *r, const void *mode, uint8_t cap)
{
    r->ioeventfd = !strcmp(mode, "on");
    r->e = epe_start(EPE_SHARED, r->ioeventfd ? ",x-ioeventfd=on" :
                                                ",x-ioeventfd=off");
    r->c = epe_attach(r->e);
    r->cap = pep_find_cap(r->c, cap);
    r->fd = new_eventfd();
}

static void end(Raise *r)
{
    close(r->fd);
    epe_detach(r->e, r->c);
}

static void msix_control(Raise *r, uint16_t flags)
{
    pep_set_config(r->c, r->cap + PCI_MSIX_FLAGS, 2, flags);
}

/* With vector 7 on r->fd */
static void start_msix(Raise *r, const void *mode)
{
    start(r, mode, PCI_CAP_ID_MSIX);
    pep_set_config(r->c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    msix_control(r, PCI_MSIX_FLAGS_ENABLE);
    g_assert_cmpint(pep_set_irq(r->c, VFU_IRQ_MSIX, 7, r->fd), ==, 0);
}

/* Delivered on r->fd, and by what should do it; or dropped */
static void expect(Raise *r, uint32_t what, bool delivered)
{
    uint32_t dropped = epe_fn(r->e, EPC_FN_RAISE_DROPPED);
    int64_t slow = epe_prop(r->e, "slow-interrupts");

    epe_raise(r->e, what, 0x12345678);
    g_assert_cmpuint(epe_fn(r->e, EPC_FN_RAISE_DROPPED), ==,
                     dropped + !delivered);
    g_assert_cmpuint(pep_wait_eventfd(r->fd, delivered ? PEP_TIMEOUT_MS : 0),
                     ==, delivered);
    g_assert_cmpint(epe_prop(r->e, "slow-interrupts"), ==,
                    slow + (delivered && !r->ioeventfd));
}

static void test_msi(const void *mode)
{
    Raise r;

    start(&r, mode, PCI_CAP_ID_MSI);
    expect(&r, EPC_RAISE_MSI(1), false);
    g_assert_cmpint(pep_set_irq(r.c, VFU_IRQ_MSI, 1, r.fd), ==, 0);
    expect(&r, EPC_RAISE_MSI(1), false);        /* not enabled */
    pep_set_config(r.c, r.cap + PCI_MSI_FLAGS, 2,
                   PCI_MSI_FLAGS_ENABLE | 1 << 4);
    expect(&r, EPC_RAISE_MSI(1), false);        /* no bus master */
    pep_set_config(r.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    expect(&r, EPC_RAISE_MSI(1), true);
    expect(&r, EPC_RAISE_MSI(0), false);        /* no eventfd */
    expect(&r, EPC_RAISE_MSI(2), false);        /* not among the enabled */
    pep_set_config(r.c, r.cap + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
    expect(&r, EPC_RAISE_MSI(1), false);
    pep_set_config(r.c, r.cap + PCI_MSI_FLAGS, 2,
                   PCI_MSI_FLAGS_ENABLE | 2 << 4);
    expect(&r, EPC_RAISE_MSI(1), true);
    g_assert_cmpint(pep_set_irq(r.c, VFU_IRQ_MSI, 4, r.fd), ==, EINVAL);
    g_assert_cmpint(pep_reset(r.c, VFU_EP_RESET_HOT), ==, 0);
    expect(&r, EPC_RAISE_MSI(1), false);
    end(&r);
}

static void test_msix(const void *mode)
{
    VfuSetIrqs off = {
        .argsz = sizeof(off),
        .flags = VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_TRIGGER,
        .index = VFU_IRQ_MSIX,
    };
    Raise r;

    start(&r, mode, PCI_CAP_ID_MSIX);
    g_assert_cmpint(pep_set_irq(r.c, VFU_IRQ_MSIX, 7, r.fd), ==, 0);
    expect(&r, EPC_RAISE_MSIX(7), false);
    pep_set_config(r.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    expect(&r, EPC_RAISE_MSIX(7), false);
    msix_control(&r, PCI_MSIX_FLAGS_ENABLE);
    expect(&r, EPC_RAISE_MSIX(7), true);
    expect(&r, EPC_RAISE_MSIX(6), false);
    expect(&r, EPC_RAISE_MSIX(8), false);
    expect(&r, EPC_RAISE_MSIX(2047), false);
    g_assert_cmpint(pep_set_irq(r.c, VFU_IRQ_MSIX, 8, r.fd), ==, EINVAL);
    /* masking is the host's own business */
    msix_control(&r, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    expect(&r, EPC_RAISE_MSIX(7), true);
    g_assert_cmpint(pep_call_fds(r.c, VFU_CMD_SET_IRQS, &off, sizeof(off),
                                 NULL, 0), ==, 0);
    expect(&r, EPC_RAISE_MSIX(7), false);
    end(&r);
}

/* An access that is no aligned 32-bit write raises nothing */
static void test_width(const void *mode)
{
    Raise r;

    start_msix(&r, mode);
    expect(&r, EPC_RAISE_MSIX(7), true);
    epe_write(r.e, r.e->raise_base + EPC_RAISE_MSIX(7), 1, 1);
    epe_write(r.e, r.e->raise_base + EPC_RAISE_MSIX(7), 2, 1);
    g_assert_cmpuint(pep_wait_eventfd(r.fd, 0), ==, 0);
    expect(&r, EPC_RAISE_MSIX(7), true);
    end(&r);
}

/* No raise is lost while the host passes another eventfd, or the same one */
static void test_replace(const void *mode)
{
    Raise r;
    int fd[2];

    start_msix(&r, mode);
    expect(&r, EPC_RAISE_MSIX(7), true);
    fd[0] = r.fd;
    fd[1] = new_eventfd();
    for (unsigned i = 0; i < 200; i++) {
        int now = fd[i / 2 & 1];

        g_assert_cmpint(pep_set_irq(r.c, VFU_IRQ_MSIX, 7, now), ==, 0);
        epe_raise(r.e, EPC_RAISE_MSIX(7), 0);
        g_assert_cmpuint(pep_wait_eventfd(now, PEP_TIMEOUT_MS), >=, 1);
    }
    g_assert_cmpuint(epe_fn(r.e, EPC_FN_RAISE_DROPPED), ==, 0);
    close(fd[1]);
    end(&r);
}

/* Neither a stopped link, nor a lost host, nor a reset device raises */
static void test_link(const void *mode)
{
    Raise r;

    start_msix(&r, mode);
    expect(&r, EPC_RAISE_MSIX(7), true);
    epe_set(r.e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    epe_raise(r.e, EPC_RAISE_MSIX(7), 0);
    g_assert_cmpuint(pep_wait_eventfd(r.fd, 0), ==, 0);
    expect(&r, EPC_RAISE_MSIX(7), false);
    pep_link(r.c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epe_wait_link_cmd(r.e), ==, EPC_STATUS_OK);
    expect(&r, EPC_RAISE_MSIX(7), false);

    g_assert_cmpuint(epe_link(r.e, EPC_LINK_START), ==, EPC_STATUS_OK);
    pep_link(r.c, VFU_EP_LINK_UP);
    epe_wait_link(r.e, true);
    expect(&r, EPC_RAISE_MSIX(7), false);
    pep_set_config(r.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    msix_control(&r, PCI_MSIX_FLAGS_ENABLE);
    g_assert_cmpint(pep_set_irq(r.c, VFU_IRQ_MSIX, 7, r.fd), ==, 0);
    expect(&r, EPC_RAISE_MSIX(7), true);

    epe_set(r.e, EPC_REG_RESET, EPC_RESET_MAGIC);
    epe_raise(r.e, EPC_RAISE_MSIX(7), 0);
    g_assert_cmpuint(pep_wait_eventfd(r.fd, 0), ==, 0);
    pep_link(r.c, VFU_EP_LINK_DOWN);
    end(&r);
}

static void test_host_dies(const void *mode)
{
    Raise r;

    start_msix(&r, mode);
    expect(&r, EPC_RAISE_MSIX(7), true);
    pep_free(r.c);
    epe_wait_link(r.e, false);
    expect(&r, EPC_RAISE_MSIX(7), false);
    close(r.fd);
    epe_stop(r.e);
}

/* The ioeventfds move with the BAR, and come back with memory decoding */
static void test_decode(const void *mode)
{
    Raise r;

    start_msix(&r, mode);
    expect(&r, EPC_RAISE_MSIX(7), true);
    qtest_outl(r.e->q, 0xcf8, 0x80002804);
    qtest_outl(r.e->q, 0xcfc, 0);
    epe_raise(r.e, EPC_RAISE_MSIX(7), 0);
    g_assert_cmpuint(pep_wait_eventfd(r.fd, 0), ==, 0);
    epe_enable(r.e);
    expect(&r, EPC_RAISE_MSIX(7), true);
    end(&r);
}

static void add(const char *name, void (*func)(const void *))
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
    add("msi", test_msi);
    add("msix", test_msix);
    add("width", test_width);
    add("replace", test_replace);
    add("link", test_link);
    add("host-dies", test_host_dies);
    add("decode", test_decode);
    return g_test_run();
}
