/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc and a scripted host: doorbells, and eventfds a host misuses
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep-endpoint.h"

#include <sys/eventfd.h>

#define PAGE        0x1000u
#define RAM         0x02000000ull
#define BAR         4               /* 64 KiB, without a target at first */
#define ENABLE      EPC_DOORBELL_CTRL_ENABLE
#define VALUE       EPC_DOORBELL_CTRL_VALUE

static void control(EpEndpoint *e, unsigned n, uint32_t ctrl)
{
    epe_doorbell_set(e, n, EPC_DOORBELL_CTRL, ctrl);
}

static uint32_t value_of(EpEndpoint *e, unsigned n)
{
    return epe_doorbell(e, n, EPC_DOORBELL_VALUE);
}

static bool rang(EpEndpoint *e, unsigned n)
{
    return epe_vector(e, EPC_VECTOR_DOORBELL(n), EPE_TIMEOUT_MS);
}

static bool silent(EpEndpoint *e, unsigned n)
{
    return !epe_vector(e, EPC_VECTOR_DOORBELL(n), 30);
}

static uint32_t dropped(EpEndpoint *e)
{
    return epe_fn(e, EPC_FN_INBOUND_DROPPED);
}

static void write_bar(PepClient *c, uint64_t offset, uint32_t v, uint32_t len)
{
    uint8_t buf[16] = { v, v >> 8, v >> 16, v >> 24 };

    g_assert_cmpint(pep_write(c, BAR, offset, buf, len), ==, 0);
}

/* The host's mapping or eventfds of the BAR end, if it asked for any. */
static void set_target(EpEndpoint *e, PepClient *c, uint64_t addr, bool asked)
{
    epe_bar_args(e, BAR, 0, addr, EPE_BAR0_SIZE);
    g_assert_cmpuint(epe_begin(e, EPC_CMD_SET_BAR), ==,
                     asked ? EPC_STATUS_BUSY : EPC_STATUS_OK);
    if (asked) {
        pep_remap(c, BAR);
    }
    g_assert_cmpuint(epe_wait(e), ==, EPC_STATUS_OK);
}

/* With a host that reaches the doorbells, each with @ctrl */
static PepClient *start(EpEndpoint *e, uint32_t ctrl, unsigned max_fds)
{
    PepClient *c;

    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        control(e, n, ctrl);
    }
    c = epe_attach_areas(e, max_fds);
    set_target(e, c, EPE_DOORBELL, false);
    return c;
}

/* ---- Rings ---- */

static void test_eventfd(void)
{
    EpEndpoint *e = epe_start(EPE_SHARED, "");
    PepClient *c = start(e, ENABLE, 80);
    PepIoFds *f = pep_io_fds(c, BAR);

    g_assert_cmpuint(epe_reg(e, EPC_REG_DOORBELLS), ==, EPC_MAX_DOORBELLS);
    g_assert_cmpuint(f->room, ==, EPC_MAX_DOORBELLS);
    g_assert_cmpuint(f->count, ==, EPC_MAX_DOORBELLS);
    g_assert_cmpuint(f->nfds, ==, EPC_MAX_DOORBELLS);
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        g_assert_cmphex(f->io[n].offset, ==, 4 * n);
        g_assert_cmpuint(f->io[n].type, ==, VFU_IO_FD_IOEVENTFD);
        for (unsigned i = 0; i < 3; i++) {
            pep_ring(f, n, 0);
            g_assert_true(rang(e, n));
        }
        g_assert_cmphex(value_of(e, n), ==, 0);
        g_assert_true(n == 0 || silent(e, n - 1));
    }
    g_assert_cmpuint(dropped(e), ==, 0);
    pep_io_fds_free(f);
    epe_detach(e, c);
}

static void test_value(void)
{
    EpEndpoint *e = epe_start(EPE_SHARED, "");
    PepClient *c = start(e, ENABLE | VALUE, 80);
    PepIoFds *f = pep_io_fds(c, BAR);

    g_assert_cmpuint(f->count, ==, EPC_MAX_DOORBELLS);
    g_assert_cmpuint(f->nfds, ==, EPC_MAX_DOORBELLS + 1);
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        g_assert_cmpuint(f->io[n].type, ==, VFU_IO_FD_SHADOW);
        g_assert_cmphex(value_of(e, n), ==, 0);
        pep_ring(f, n, 0xd00d0000 + n);
        g_assert_true(rang(e, n));
        g_assert_cmphex(value_of(e, n), ==, 0xd00d0000 + n);
        write_bar(c, 4 * n, 0xfeed0000 + n, 4);
        g_assert_true(rang(e, n));
        g_assert_cmphex(value_of(e, n), ==, 0xfeed0000 + n);
    }
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        g_assert_cmphex(value_of(e, n), ==, 0xfeed0000 + n);
    }

    /* only while it is kept, and from zero on */
    control(e, 7, ENABLE);
    g_assert_cmphex(value_of(e, 7), ==, 0);
    control(e, 7, ENABLE | VALUE);
    g_assert_cmphex(value_of(e, 7), ==, 0);
    g_assert_cmpuint(dropped(e), ==, 0);
    pep_io_fds_free(f);
    epe_detach(e, c);
}

/* A client without areas, and one that takes few descriptors */
static void test_message(void)
{
    EpEndpoint *e = epe_start(EPE_SHARED, "");
    PepClient *c = epe_attach(e);
    VfuRegionInfo info;
    PepIoFds *f;
    int fd;

    control(e, 3, ENABLE | VALUE);
    set_target(e, c, EPE_DOORBELL, false);
    f = pep_io_fds(c, BAR);
    g_assert_cmpuint(f->room, ==, 0);
    g_assert_cmpuint(f->nfds, ==, 0);
    pep_io_fds_free(f);
    g_assert_cmpint(pep_region_info(c, BAR, &info, &fd), ==, 0);
    g_assert_cmphex(info.flags & VFU_REGION_FLAG_MMAP, ==, 0);
    write_bar(c, 12, 77, 4);
    g_assert_true(rang(e, 3));
    g_assert_cmpuint(value_of(e, 3), ==, 77);
    epe_detach(e, c);
}

static void test_few_fds(void)
{
    EpEndpoint *e = epe_start(EPE_SHARED, "");
    PepClient *c = start(e, ENABLE | VALUE, 5);
    PepIoFds *f = pep_io_fds(c, BAR);

    g_assert_cmpuint(f->room, ==, EPC_MAX_DOORBELLS);
    g_assert_cmpuint(f->count, ==, 4);
    g_assert_cmpuint(f->nfds, ==, 5);
    pep_ring(f, 3, 33);
    g_assert_true(rang(e, 3));
    g_assert_cmpuint(value_of(e, 3), ==, 33);
    write_bar(c, 16, 44, 4);
    g_assert_true(rang(e, 4));
    g_assert_cmpuint(value_of(e, 4), ==, 44);
    pep_io_fds_free(f);
    epe_detach(e, c);
}

static void test_vector(void)
{
    EpEndpoint *e = epe_start(EPE_SHARED, "");
    PepClient *c = start(e, ENABLE, 80);
    PepIoFds *f = pep_io_fds(c, BAR);

    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        epe_doorbell_set(e, n, EPC_DOORBELL_VECTOR, 1);
    }
    pep_ring(f, 63, 0);
    g_assert_true(epe_vector(e, 1, EPE_TIMEOUT_MS));
    write_bar(c, 0, 0, 4);
    g_assert_true(epe_vector(e, 1, EPE_TIMEOUT_MS));
    g_assert_true(silent(e, 63));

    epe_doorbell_set(e, 0, EPC_DOORBELL_VECTOR, EPC_VECTORS);
    epe_doorbell_set(e, 0, EPC_DOORBELL_VECTOR, UINT32_MAX);
    control(e, 0, 4);
    control(e, 0, UINT32_MAX);
    g_assert_cmpuint(epe_reg(e, EPC_REG_BAD_ACCESS), ==, 4);
    g_assert_cmpuint(epe_doorbell(e, 0, EPC_DOORBELL_VECTOR), ==, 1);
    g_assert_cmpuint(epe_doorbell(e, 0, EPC_DOORBELL_CTRL), ==, ENABLE);
    epe_doorbell_set(e, 0, EPC_DOORBELL_VECTOR, EPC_VECTORS - 1);
    pep_ring(f, 0, 0);
    g_assert_true(epe_vector(e, EPC_VECTORS - 1, EPE_TIMEOUT_MS));
    pep_io_fds_free(f);
    epe_detach(e, c);
}

/* ---- What does not ring ---- */

static void test_dropped(void)
{
    static const struct {
        uint64_t offset;
        uint32_t len;
    } t[] = {
        { 0, 1 }, { 0, 2 }, { 0, 8 }, { 0, 16 }, { 1, 4 }, { 2, 4 }, { 3, 1 },
        { 252, 8 }, { 256, 4 }, { 4092, 4 }, { PAGE, 4 },
        { EPE_BAR0_SIZE - 4, 4 },
    };
    EpEndpoint *e = epe_start(EPE_SHARED, "");
    PepClient *c = start(e, ENABLE | VALUE, 80);
    unsigned count = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        write_bar(c, t[i].offset, 0x01010101, t[i].len);
        g_assert_cmpuint(dropped(e), ==, ++count);
    }
    control(e, 5, VALUE);
    write_bar(c, 20, 1, 4);
    g_assert_cmpuint(dropped(e), ==, ++count);
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        g_assert_false(epe_vector(e, EPC_VECTOR_DOORBELL(n), 0));
        g_assert_cmphex(value_of(e, n), ==, 0);
    }
    epe_set(e, EPC_REG_RESET, EPC_RESET_MAGIC);
    g_assert_cmpuint(dropped(e), ==, 0);
    pep_free(c);
    epe_stop(e);
}

static void test_read(void)
{
    EpEndpoint *e = epe_start(EPE_SHARED, "");
    PepClient *c = start(e, ENABLE | VALUE, 80);
    uint8_t buf[512];

    write_bar(c, 4, 0x5a5a5a5a, 4);
    g_assert_cmpint(pep_read(c, BAR, 0, buf, sizeof(buf)), ==, 0);
    for (unsigned i = 0; i < sizeof(buf); i++) {
        g_assert_cmphex(buf[i], ==, i < 4 * EPC_MAX_DOORBELLS ? 0 : 0xff);
    }

    /* the endpoint itself sees a register that does nothing */
    g_assert_true(rang(e, 1));
    qtest_writel(e->q, EPE_DOORBELL + 4, 1);
    g_assert_cmphex(qtest_readl(e->q, EPE_DOORBELL + 4), ==, 0);
    g_assert_true(silent(e, 1));
    epe_detach(e, c);
}

static void wait_dropped(EpEndpoint *e, uint32_t count)
{
    gint64 end = g_get_monotonic_time() + EPE_TIMEOUT_MS * 1000ll;

    while (dropped(e) != count) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

/* Disabled, though the host has its eventfd */
static void test_disabled(void)
{
    EpEndpoint *e = epe_start(EPE_SHARED, "");
    PepClient *c = start(e, 0, 80);
    PepIoFds *f = pep_io_fds(c, BAR);

    g_assert_cmpuint(f->count, ==, EPC_MAX_DOORBELLS);
    pep_ring(f, 9, 0);
    wait_dropped(e, 1);
    g_assert_true(silent(e, 9));
    control(e, 9, ENABLE);
    g_assert_true(silent(e, 9));
    pep_ring(f, 9, 0);
    g_assert_true(rang(e, 9));
    control(e, 9, 0);
    pep_ring(f, 9, 0);
    wait_dropped(e, 2);
    g_assert_true(silent(e, 9));
    pep_io_fds_free(f);
    epe_detach(e, c);
}

/* ---- Retargeting ---- */

static void test_retarget(void)
{
    EpEndpoint *e = epe_start(EPE_SHARED, "");
    PepClient *c = start(e, ENABLE, 80);

    for (unsigned i = 0; i < 8; i++) {
        PepIoFds *f = pep_io_fds(c, BAR);
        PepAreas *a = pep_areas(c, BAR);

        g_assert_cmpuint(f->count, ==, EPC_MAX_DOORBELLS);
        g_assert_cmpuint(a->count, ==, 0);
        pep_ring(f, i, 0);
        g_assert_true(rang(e, i));
        pep_io_fds_free(f);
        pep_areas_free(a);

        set_target(e, c, RAM, true);
        f = pep_io_fds(c, BAR);
        a = pep_areas(c, BAR);
        g_assert_cmpuint(f->count, ==, 0);
        g_assert_cmpuint(a->count, ==, 1);
        write_bar(c, 4 * i, 0xab000000 + i, 4);
        g_assert_cmphex(qtest_readl(e->q, RAM + 4 * i), ==, 0xab000000 + i);
        g_assert_true(silent(e, i));
        pep_io_fds_free(f);
        pep_areas_free(a);
        set_target(e, c, EPE_DOORBELL, true);
    }
    g_assert_cmpuint(dropped(e), ==, 0);
    epe_detach(e, c);
}

/* A part of a BAR, and parts of the doorbell BAR */
static void test_area(void)
{
    EpEndpoint *e = epe_start(EPE_SHARED, "");
    PepClient *c = start(e, ENABLE, 80);
    PepIoFds *f;
    PepAreas *a;

    epe_area(e, 0, RAM, PAGE);
    epe_area(e, 1, EPE_DOORBELL, PAGE);
    epe_area(e, 2, EPE_DOORBELL + PAGE, PAGE);
    epe_area(e, 3, RAM + PAGE, PAGE);
    g_assert_cmpuint(epe_set_areas(e, BAR, 4), ==, EPC_STATUS_OK);
    f = pep_io_fds(c, BAR);
    a = pep_areas(c, BAR);
    g_assert_cmpuint(a->count, ==, 2);
    g_assert_cmphex(a->area[1].offset, ==, 3 * PAGE);
    g_assert_cmpuint(f->count, ==, EPC_MAX_DOORBELLS);
    g_assert_cmphex(f->io[2].offset, ==, PAGE + 8);
    pep_ring(f, 2, 0);
    g_assert_true(rang(e, 2));
    write_bar(c, PAGE + 12, 0, 4);
    g_assert_true(rang(e, 3));
    g_assert_cmpuint(dropped(e), ==, 0);

    write_bar(c, 2 * PAGE, 0, 4);
    write_bar(c, PAGE - 2, 0, 4);   /* into both: one half counts as lost */
    g_assert_cmpuint(dropped(e), ==, 2);
    g_assert_true(silent(e, 0));
    pep_io_fds_free(f);
    pep_areas_free(a);
    epe_detach(e, c);
}

/* What the host keeps after a reset rings nothing. */
static void test_reset(void)
{
    EpEndpoint *e = epe_start(EPE_SHARED, "");
    PepClient *c = start(e, ENABLE | VALUE, 80);
    PepIoFds *f = pep_io_fds(c, BAR);

    pep_ring(f, 4, 44);
    g_assert_true(rang(e, 4));
    epe_set(e, EPC_REG_RESET, EPC_RESET_MAGIC);
    pep_ring(f, 4, 0);
    g_assert_true(silent(e, 4));
    g_assert_cmphex(value_of(e, 4), ==, 0);
    g_assert_cmphex(epe_doorbell(e, 4, EPC_DOORBELL_CTRL), ==, 0);
    pep_io_fds_free(f);
    pep_free(c);
    epe_stop(e);
}

/* ---- Hosts that misuse eventfds ---- */

/* Full and blocking: the host loses its own rings, nobody waits. */
static void test_full(void)
{
    EpEndpoint *e = epe_start(EPE_SHARED, "");
    PepClient *c = start(e, ENABLE, 80);
    PepIoFds *f = pep_io_fds(c, BAR);
    uint64_t full = UINT64_MAX - 1;
    int fd = f->fds[f->io[6].fd_index];

    g_assert_cmpint(fcntl(fd, F_SETFL, 0), ==, 0);
    g_assert_cmpint(write(fd, &full, sizeof(full)), ==, sizeof(full));
    g_assert_true(rang(e, 6));
    write_bar(c, 24, 0, 4);
    g_assert_true(rang(e, 6));
    control(e, 6, 0);
    control(e, 6, ENABLE);
    epe_set(e, EPC_REG_RESET, EPC_RESET_MAGIC);
    pep_io_fds_free(f);
    pep_free(c);
    epe_stop(e);
}

/* The same for the interrupts that this host wants */
static void test_raise_full(void)
{
    EpEndpoint *e = epe_start(EPE_SHARED, "");
    PepClient *c = epe_attach(e);
    unsigned cap = pep_find_cap(c, PCI_CAP_ID_MSIX);
    int fd = eventfd(0, EFD_CLOEXEC);
    uint64_t full = UINT64_MAX - 1;

    pep_set_config(c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    pep_set_config(c, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
    g_assert_cmpint(pep_set_irq(c, VFU_IRQ_MSIX, 2, fd), ==, 0);
    epe_raise(e, EPC_RAISE_MSIX(2), 1);
    g_assert_cmpuint(pep_wait_eventfd(fd, PEP_TIMEOUT_MS), ==, 1);
    g_assert_cmpint(fcntl(fd, F_SETFL, 0), ==, 0);
    g_assert_cmpint(write(fd, &full, sizeof(full)), ==, sizeof(full));
    for (unsigned i = 0; i < 300; i++) {
        epe_raise(e, EPC_RAISE_MSIX(2), 1);
    }
    g_assert_cmphex(pep_wait_eventfd(fd, PEP_TIMEOUT_MS), >=, full);
    epe_raise(e, EPC_RAISE_MSIX(2), 1);
    g_assert_cmpuint(pep_wait_eventfd(fd, PEP_TIMEOUT_MS), ==, 1);
    g_assert_cmpuint(epe_fn(e, EPC_FN_RAISE_DROPPED), ==, 0);
    close(fd);
    epe_detach(e, c);
}

/* ---- Ejected by an interrupt ---- */

#define ECAM        0xb0000000u
#define PCIEXBAR    0x60
#define PORT        5               /* the root port's slot */

static void config(QTestState *q, unsigned slot, unsigned reg, uint32_t val)
{
    qtest_outl(q, 0xcf8, 1u << 31 | slot << 11 | reg);
    qtest_outl(q, 0xcfc, val);
}

/* The controller is behind a root port, which decodes all of its BARs. */
static EpEndpoint *start_behind_port(void)
{
    char *dir = g_dir_make_tmp("pci-epc-XXXXXX", NULL);
    char *socket = g_strdup_printf("%s/link", dir);
    QTestState *q = qtest_initf("-machine q35 -m 128M -nodefaults -object "
                                EPE_SHARED ",id=ram,size=128M "
                                "-machine memory-backend=ram "
                                "-global ICH9-LPC.acpi-pci-hotplug-with-"
                                "bridge-support=off "
                                "-device pcie-root-port,id=rp,addr=%d "
                                "-device pci-epc,id=epc,bus=rp,socket=%s",
                                PORT, socket);
    EpEndpoint *e;

    config(q, 0, PCIEXBAR + 4, 0);
    config(q, 0, PCIEXBAR, ECAM | 1);
    config(q, PORT, PCI_PRIMARY_BUS, 0x010100);
    config(q, PORT, PCI_MEMORY_BASE, 0xe010e000);
    config(q, PORT, PCI_PREF_MEMORY_BASE, 0x1ff00000);
    config(q, PORT, PCI_PREF_BASE_UPPER32, EPE_DOORBELL >> 32);
    config(q, PORT, PCI_PREF_LIMIT_UPPER32, EPE_WINDOW >> 32);
    config(q, PORT, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    e = epe_other(q, 1 << 5, 0);
    e->id = "epc";
    e->dir = dir;
    e->socket = socket;
    return e;
}

/* The interrupts of all doorbells switch the power of the slot off. */
static void aim_at_power(EpEndpoint *e)
{
    uint64_t port = ECAM + (PORT << 15);
    uint8_t cap = qtest_readb(e->q, port + PCI_CAPABILITY_LIST);

    while (qtest_readb(e->q, port + cap) != PCI_CAP_ID_EXP) {
        cap = qtest_readb(e->q, port + cap + PCI_CAP_LIST_NEXT);
        g_assert_cmpuint(cap, !=, 0);
    }
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        uint64_t entry = e->msix + EPC_VECTOR_DOORBELL(n) * 16;

        qtest_writel(e->q, entry, port + cap + PCI_EXP_SLTCTL);
        qtest_writel(e->q, entry + 8, PCI_EXP_SLTCTL_PWR_OFF |
                     PCI_EXP_SLTCTL_PWR_IND_OFF);
    }
}

static void assert_ejected(EpEndpoint *e, PepClient *c)
{
    qtest_qmp_eventwait(e->q, "DEVICE_DELETED");
    g_assert_true(pep_wait_closed(c, PEP_TIMEOUT_MS));
    pep_free(c);
    epe_stop(e);
}

static void test_eject_eventfd(void)
{
    EpEndpoint *e = start_behind_port();
    PepClient *c = start(e, ENABLE, 80);
    PepIoFds *f = pep_io_fds(c, BAR);

    aim_at_power(e);
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        pep_ring(f, n, 0);
    }
    pep_io_fds_free(f);
    assert_ejected(e, c);
}

static void test_eject_message(void)
{
    EpEndpoint *e = start_behind_port();
    PepClient *c = start(e, ENABLE, 80);
    struct {
        VfuHeader hdr;
        VfuRegionRw rw;
        uint32_t value;
    } QEMU_PACKED m[EPC_MAX_DOORBELLS];

    aim_at_power(e);
    /* All at once, so that some wait for the same turn of the main loop */
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        m[n].hdr = (VfuHeader) {
            .id = 0x4000 + n, .command = VFU_CMD_REGION_WRITE,
            .size = sizeof(m[n]),
        };
        m[n].rw = (VfuRegionRw) {
            .offset = 4 * n, .region = BAR, .count = sizeof(m[n].value),
        };
        m[n].value = 0;
    }
    g_assert_true(pep_send_bytes(c->sock, m, sizeof(m)));
    assert_ejected(e, c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/doorbell/eventfd", test_eventfd);
    qtest_add_func("/pci-epc/doorbell/value", test_value);
    qtest_add_func("/pci-epc/doorbell/message", test_message);
    qtest_add_func("/pci-epc/doorbell/few-descriptors", test_few_fds);
    qtest_add_func("/pci-epc/doorbell/vector", test_vector);
    qtest_add_func("/pci-epc/doorbell/dropped", test_dropped);
    qtest_add_func("/pci-epc/doorbell/read", test_read);
    qtest_add_func("/pci-epc/doorbell/disabled", test_disabled);
    qtest_add_func("/pci-epc/doorbell/retarget", test_retarget);
    qtest_add_func("/pci-epc/doorbell/area", test_area);
    qtest_add_func("/pci-epc/doorbell/reset", test_reset);
    qtest_add_func("/pci-epc/doorbell/full", test_full);
    qtest_add_func("/pci-epc/doorbell/eject-eventfd", test_eject_eventfd);
    qtest_add_func("/pci-epc/doorbell/eject-message", test_eject_message);
    qtest_add_func("/pci-epc/raise/full", test_raise_full);
    return g_test_run();
}
