/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc and a fake host: doorbells of the ITS of an arm64 machine
 *
 * With qemu-system-x86_64, which has no ITS, this tests that there are none.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/wait.h"

/* The machine "virt", and registers as GICv3 has them */
#define GICD            0x08000000ull
#define GITS            0x08080000ull
#define FRAME           (GITS + 0x10000)
#define GICR            0x080a0000ull
#define UART            0x09000000ull
#define FRAME_SIZE      0x10000u
#define TRANSLATER      0x40u
#define GITS_CTLR       (GITS + 0x0)
#define GITS_CBASER     (GITS + 0x80)
#define GITS_CWRITER    (GITS + 0x88)
#define GITS_CREADR     (GITS + 0x90)
#define GITS_BASER(n)   (GITS + 0x100 + 8 * (n))
#define GITS_ENABLED    1u
#define GICR_CTLR       (GICR + 0x0)
#define GICR_PROPBASER  (GICR + 0x70)
#define GICR_PENDBASER  (GICR + 0x78)
#define VALID           (1ull << 63)

/* Tables of the ITS in RAM; all of RAM is zero at first. */
#define TABLES          (EPVM_ARM64_RAM + 0x01000000)
#define DEVICES         (TABLES + 0x00000)
#define COLLECTIONS     (TABLES + 0x10000)
#define COMMANDS        (TABLES + 0x20000)
#define CONFIGURATION   (TABLES + 0x30000)
#define PENDING         (TABLES + 0x40000)
#define TRANSLATION(d)  (TABLES + 0x50000 + (d) * 0x8000)
#define COMMAND_SIZE    32u
#define COMMANDS_SIZE   0x1000u     /* of the whole queue */
#define MAPD            0x08
#define MAPC            0x09
#define MAPTI           0x0a
#define EVENT_BITS      11          /* of each device */

/* The LPI of an event of a device is that number above LPI(). */
#define LPI(event)      (8192 + (event))
#define OTHER_LPI       9500        /* of another device */

#define BAR             4           /* 64 KiB, without a target at first */
#define SLOT            5
#define OWN_ID          (SLOT << 3)
#define RAM             (EPVM_ARM64_RAM + 0x02000000)

/* ---- The ITS, as a driver uses it ---- */

static void its_command(EpVm *e, uint64_t dw0, uint64_t dw1, uint64_t dw2)
{
    uint64_t at = qtest_readq(e->q, GITS_CWRITER);
    uint64_t next = (at + COMMAND_SIZE) % COMMANDS_SIZE;

    qtest_writeq(e->q, COMMANDS + at, dw0);
    qtest_writeq(e->q, COMMANDS + at + 8, dw1);
    qtest_writeq(e->q, COMMANDS + at + 16, dw2);
    qtest_writeq(e->q, COMMANDS + at + 24, 0);
    qtest_writeq(e->q, GITS_CWRITER, next);
    g_assert_cmphex(qtest_readq(e->q, GITS_CREADR), ==, next);
}

static void its_map_device(EpVm *e, uint64_t device)
{
    its_command(e, MAPD | device << 32, EVENT_BITS - 1,
                VALID | TRANSLATION(device));
}

static void its_map_event(EpVm *e, uint64_t device, uint64_t event,
                          uint64_t lpi)
{
    its_command(e, MAPTI | device << 32, event | lpi << 32, 0);
}

/* With one collection, which is the first CPU's */
static void its_enable(EpVm *e)
{
    qtest_writeq(e->q, GITS_BASER(0), VALID | DEVICES);
    qtest_writeq(e->q, GITS_BASER(1), VALID | COLLECTIONS);
    qtest_writeq(e->q, GITS_CBASER, VALID | COMMANDS);
    qtest_writeq(e->q, GICR_PROPBASER, CONFIGURATION | 13);
    qtest_writeq(e->q, GICR_PENDBASER, PENDING);
    qtest_writel(e->q, GICR_CTLR, 1);
    qtest_writel(e->q, GITS_CTLR, GITS_ENABLED);
    its_command(e, MAPC, 0, VALID);
}

/* Was the interrupt raised since the last call? */
static bool its_raised(EpVm *e, unsigned lpi)
{
    uint64_t at = PENDING + lpi / 8;
    uint8_t v = qtest_readb(e->q, at);

    qtest_writeb(e->q, at, v & ~(1u << lpi % 8));
    return v & 1u << lpi % 8;
}

static void its_wait_raised(EpVm *e, unsigned lpi)
{
    wait_until(its_raised(e, lpi), "LPI %u", lpi);
}

/* No LPI was raised by what came before this call. */
static void its_expect_silent(EpVm *e)
{
    fence_main_loop(e->q);
    for (unsigned at = 0; at < 0x800; at += 8) {
        g_assert_cmphex(qtest_readq(e->q, PENDING + at), ==, 0);
    }
}

/* ---- The controller and its host ---- */

static bool has_its(void)
{
    return !strcmp(qtest_get_arch(), "aarch64");
}

static uint32_t its_device(EpVm *e)
{
    return epvm_reg(e, EPC_REG_ITS_DEVICE);
}

static uint32_t dropped(EpVm *e)
{
    return epvm_fn_reg(e, EPC_FN_INBOUND_DROPPED);
}

/* The host's mapping of the BAR ends if it has asked for it. */
static uint32_t set_target(EpVm *e, uint64_t addr)
{
    return epvm_set_bar(e, BAR, 0, addr, FRAME_SIZE);
}

/* Events 0 to @events - 1 of the controller are mapped. */
static FakeHost *its_start(EpVm **e, unsigned events)
{
    FakeHost *c;

    *e = epvm_start_arm64("");
    its_enable(*e);
    its_map_device(*e, its_device(*e));
    for (unsigned n = 0; n < events; n++) {
        its_map_event(*e, its_device(*e), n, LPI(n));
    }
    c = epvm_attach(*e);
    g_assert_cmpuint(set_target(*e, FRAME), ==, EPC_STATUS_OK);
    return c;
}

static void ring_at(FakeHost *c, uint64_t offset, uint64_t value,
                    uint32_t len)
{
    uint8_t buf[8];

    for (unsigned i = 0; i < sizeof(buf); i++) {
        buf[i] = value >> 8 * i;
    }
    g_assert_cmpint(fakehost_write(c, BAR, offset, buf, len), ==, 0);
}

static void ring(FakeHost *c, uint32_t event)
{
    ring_at(c, TRANSLATER, event, 4);
}

/* ---- Tests ---- */

static void test_rings(void)
{
    EpVm *e;
    FakeHost *c = its_start(&e, 40);
    uint32_t v;

    g_assert_cmphex(epvm_reg(e, EPC_REG_FEATURES) & EPC_FEATURE_ITS, !=, 0);
    g_assert_cmphex(its_device(e), ==, OWN_ID | 7);
    for (unsigned n = 0; n < 40; n++) {
        ring_at(c, TRANSLATER, n, n & 1 ? 2 : 4);
        its_wait_raised(e, LPI(n));
        its_expect_silent(e);
    }
    g_assert_cmpint(fakehost_read(c, BAR, TRANSLATER, &v, 4), ==, 0);
    g_assert_cmphex(v, ==, 0);
    g_assert_cmpuint(dropped(e), ==, 0);
    epvm_detach(e, c);
}

/* What is no ring, and what the ITS does not map */
static void test_wrong(void)
{
    EpVm *e;
    FakeHost *c = its_start(&e, EPC_ITS_EVENTS);

    its_map_event(e, its_device(e), EPC_ITS_EVENTS, OTHER_LPI);
    ring(c, EPC_ITS_EVENTS);
    ring(c, 0xffffffff);
    ring_at(c, TRANSLATER, 3, 1);
    ring_at(c, TRANSLATER, 3, 8);
    ring_at(c, TRANSLATER - 4, 3ull << 32, 8);
    ring_at(c, TRANSLATER + 2, 3, 2);
    ring_at(c, 0, 3, 4);
    ring_at(c, FRAME_SIZE - 4, 3, 4);
    its_expect_silent(e);
    g_assert_cmpuint(dropped(e), ==, 8);
    epvm_detach(e, c);

    c = its_start(&e, 4);
    ring(c, 4);
    ring(c, EPC_ITS_EVENTS - 1);
    its_expect_silent(e);
    epvm_detach(e, c);
}

/* The host cannot raise the interrupts of another device. */
static void test_device(void)
{
    EpVm *e;
    FakeHost *c = its_start(&e, 2);

    for (unsigned device = OWN_ID; device < (OWN_ID | 7); device++) {
        its_map_device(e, device);
        its_map_event(e, device, 3, OTHER_LPI);
    }
    its_map_device(e, 0);
    its_map_event(e, 0, 3, OTHER_LPI);
    ring(c, 3);
    its_expect_silent(e);
    epvm_detach(e, c);
}

/* A BAR that begins before the frame shows nothing else of the ITS. */
static void test_around(void)
{
    EpVm *e = epvm_start_arm64("");
    FakeHost *c;
    uint32_t v;

    its_enable(e);
    its_map_device(e, its_device(e));
    its_map_event(e, its_device(e), 1, LPI(1));
    epvm_describe(e);
    g_assert_cmpuint(epvm_set_bar(e, 5, 0, GITS, 4 * FRAME_SIZE), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    c = fakehost_attach(e->socket, NULL);
    fakehost_link(c, VFU_EP_LINK_UP);
    epvm_wait_link(e, true);

    v = 1;
    g_assert_cmpint(fakehost_write(c, 5, FRAME_SIZE + TRANSLATER, &v, 4), ==,
                    0);
    its_wait_raised(e, LPI(1));
    g_assert_cmpuint(dropped(e), ==, 0);

    v = 0;
    g_assert_cmpint(fakehost_write(c, 5, GITS_CTLR - GITS, &v, 4), ==, 0);
    g_assert_cmpint(fakehost_write(c, 5, GICR_CTLR - GITS, &v, 4), ==, 0);
    g_assert_cmpuint(dropped(e), ==, 2);
    g_assert_cmphex(qtest_readl(e->q, GITS_CTLR) & GITS_ENABLED, !=, 0);
    g_assert_cmphex(qtest_readl(e->q, GICR_CTLR) & 1, !=, 0);
    g_assert_cmpint(fakehost_read(c, 5, GITS_CTLR - GITS, &v, 4), ==, 0);
    g_assert_cmphex(v, ==, 0xffffffff);
    epvm_detach(e, c);
}

/* Other registers are no target, with and without RAM beside them. */
static void test_refused(void)
{
    EpVm *e = epvm_start_arm64("");

    g_assert_cmpuint(epvm_set_header(e, EPVM_ID, 1), ==, EPC_STATUS_OK);
    g_assert_cmpuint(set_target(e, GICD), ==, EPC_STATUS_BAD_TARGET);
    g_assert_cmpuint(set_target(e, GITS), ==, EPC_STATUS_BAD_TARGET);
    g_assert_cmpuint(set_target(e, UART), ==, EPC_STATUS_BAD_TARGET);
    g_assert_cmpuint(set_target(e, e->regs), ==, EPC_STATUS_BAD_TARGET);
    g_assert_cmpuint(set_target(e, EPVM_ARM64_RAM - FRAME_SIZE), ==,
                     EPC_STATUS_BAD_TARGET);
    g_assert_cmpuint(epvm_set_bar(e, BAR, 0, EPVM_ARM64_RAM - FRAME_SIZE,
                                  2 * FRAME_SIZE), ==, EPC_STATUS_BAD_TARGET);
    g_assert_cmpuint(set_target(e, FRAME), ==, EPC_STATUS_OK);
    epvm_stop(e);
}

/* As any message of a device */
static void test_master(void)
{
    EpVm *e;
    FakeHost *c = its_start(&e, 2);

    epvm_write_config(e, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    ring(c, 1);
    its_expect_silent(e);
    epvm_write_config(e, PCI_COMMAND, 2,
                      PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    its_expect_silent(e);
    ring(c, 1);
    its_wait_raised(e, LPI(1));
    epvm_detach(e, c);
}

/*
 * Rings that came before the BAR lost the frame are there when the command is
 * done, and the host cannot ring any more.
 */
static void test_retarget(void)
{
    EpVm *e;
    FakeHost *c = its_start(&e, 8);
    uint32_t v;

    for (unsigned i = 0; i < 50; i++) {
        ring(c, i % 8);
        g_assert_cmpuint(set_target(e, RAM), ==, EPC_STATUS_OK);
        g_assert_true(its_raised(e, LPI(i % 8)));
        ring(c, i % 8);
        its_expect_silent(e);
        g_assert_cmphex(qtest_readl(e->q, RAM + TRANSLATER), ==, i % 8);
        g_assert_cmpuint(set_target(e, FRAME), ==, EPC_STATUS_OK);
    }
    /* An area of it is enough. */
    epvm_area_args(e, 0, RAM, 0x1000);
    epvm_area_args(e, 1, FRAME, 0x1000);
    g_assert_cmpuint(epvm_set_areas(e, BAR, 2), ==, EPC_STATUS_OK);
    ring_at(c, 0x1000 + TRANSLATER, 5, 4);
    its_wait_raised(e, LPI(5));
    ring(c, 6);
    g_assert_cmpint(fakehost_read(c, BAR, TRANSLATER, &v, 4), ==, 0);
    g_assert_cmphex(v, ==, 6);
    its_expect_silent(e);
    epvm_detach(e, c);
}

/* With another device at that id there are no such doorbells. */
static void test_taken(void)
{
    EpVm *e = epvm_start_arm64(",multifunction=on -device pci-bridge,"
                               "addr=5.7,chassis_nr=1");
    uint32_t bad = epvm_reg(e, EPC_REG_BAD_ACCESS);

    g_assert_cmphex(epvm_reg(e, EPC_REG_FEATURES) & EPC_FEATURE_ITS, ==, 0);
    g_assert_cmphex(its_device(e), ==, 0xffffffff);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, bad + 1);
    g_assert_cmpuint(epvm_set_header(e, EPVM_ID, 1), ==, EPC_STATUS_OK);
    g_assert_cmpuint(set_target(e, FRAME), ==, EPC_STATUS_BAD_TARGET);
    epvm_stop(e);
}

/* The local APIC of x86 takes messages as well, but not from a host. */
static void test_none(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");

    g_assert_cmphex(epvm_reg(e, EPC_REG_FEATURES) & EPC_FEATURE_ITS, ==, 0);
    g_assert_cmphex(its_device(e), ==, 0xffffffff);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, 1);
    g_assert_cmpuint(epvm_set_header(e, EPVM_ID, 1), ==, EPC_STATUS_OK);
    g_assert_cmpuint(set_target(e, 0xfee00000), ==, EPC_STATUS_BAD_TARGET);
    epvm_stop(e);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!has_its()) {
        qtest_add_func("/pci-epc/its/none", test_none);
        return g_test_run();
    }
    qtest_add_func("/pci-epc/its/rings", test_rings);
    qtest_add_func("/pci-epc/its/wrong", test_wrong);
    qtest_add_func("/pci-epc/its/device", test_device);
    qtest_add_func("/pci-epc/its/around", test_around);
    qtest_add_func("/pci-epc/its/refused", test_refused);
    qtest_add_func("/pci-epc/its/master", test_master);
    qtest_add_func("/pci-epc/its/retarget", test_retarget);
    qtest_add_func("/pci-epc/its/taken", test_taken);
    return g_test_run();
}
