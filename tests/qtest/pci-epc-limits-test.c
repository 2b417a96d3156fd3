/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc with the limits of a real controller: what keeps to them works, and
 * what does not is refused
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/fake-host.h"

#include <sys/mman.h>

#define RAM         0x02000000ull
#define HOST        0x40000000ull
#define MEM_SIZE    0x200000u       /* of the host, at HOST in its PCI space */

/* Fails the test unless the status is that of row @i. */
static void check_row(unsigned i, uint32_t status, uint32_t expected)
{
    if (status != expected) {
        g_test_message("row %u", i);
    }
    g_assert_cmpuint(status, ==, expected);
}

static bool has_feature(EpVm *e, uint32_t feature)
{
    return epvm_reg(e, EPC_REG_FEATURES) & feature;
}

/* Each access of 32 bits to the register is a bad one. */
static void check_hole(EpVm *e, uint64_t reg)
{
    uint32_t bad = epvm_reg(e, EPC_REG_BAD_ACCESS);

    g_assert_cmphex(epvm_read(e, reg, 4), ==, UINT32_MAX);
    epvm_write(e, reg, 4, 0);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, bad + 2);
}

/* ---- BARs ---- */

static void test_bar_types(void)
{
    EpVm *e = epvm_start(EPVM_SHARED,
                         ",bar0=fixed:256,bar1=reserved,bar2=64bit,"
                         "bar4=resizable,bar5=disabled");
    const uint32_t wide = EPC_BAR_FLAG_64;
    const struct {
        uint32_t bar, flags;
        uint64_t size;
        uint32_t status;
    } t[] = {
        { 0, 0, 128, EPC_STATUS_BAD_ARG },
        { 0, 0, 512, EPC_STATUS_BAD_ARG },
        { 0, 0, 4096, EPC_STATUS_BAD_ARG },
        { 0, 0, 256, EPC_STATUS_OK },
        { 0, 0, 128, EPC_STATUS_BAD_ARG },      /* another target */
        { 0, 0, 256, EPC_STATUS_OK },
        { 1, 0, 4096, EPC_STATUS_BAD_ARG },
        { 2, 0, 4096, EPC_STATUS_BAD_ARG },
        { 2, EPC_BAR_FLAG_PREFETCH, 4096, EPC_STATUS_BAD_ARG },
        { 2, wide, 4096, EPC_STATUS_OK },
        { 4, 0, 0x80000, EPC_STATUS_BAD_ARG },
        { 4, 0, 0x100000, EPC_STATUS_OK },
        { 5, 0, 4096, EPC_STATUS_BAD_ARG },
    };
    static const uint32_t limits[] = {
        EPC_BAR_FIXED | 8 << EPC_BAR_LIMIT_SIZE_SHIFT, EPC_BAR_RESERVED,
        EPC_BAR_LIMIT_ONLY_64, EPC_BAR_PROGRAMMABLE, EPC_BAR_RESIZABLE,
        EPC_BAR_DISABLED,
    };

    g_assert_true(has_feature(e, EPC_FEATURE_LIMITS));
    for (unsigned n = 0; n < ARRAY_SIZE(limits); n++) {
        g_assert_cmphex(epvm_reg(e, EPC_REG_BAR_LIMIT(n)), ==, limits[n]);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        check_row(i, epvm_set_bar(e, t[i].bar, t[i].flags, RAM, t[i].size),
                  t[i].status);
    }
    /* The host sees none of those that were refused. */
    g_assert_cmphex(epvm_read(e, e->fn_base + EPC_FN_CONFIG +
                              PCI_BASE_ADDRESS_5, 4), ==, 0);
    epvm_stop(e);
}

/* The host finds a Resizable BAR capability, for a BAR that has a size. */
static void test_resizable(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",bar3=resizable,bar5=resizable");
    FakeHost *c;

    g_assert_cmpuint(epvm_set_bar(e, 5, 0, RAM, 0x400000), ==, EPC_STATUS_OK);
    c = epvm_attach(e);
    g_assert_cmphex(fakehost_config(c, PCI_CFG_SPACE_SIZE, 4) & 0xfffff, ==,
                    PCI_EXT_CAP_ID_REBAR | 1 << 16);
    g_assert_cmphex(fakehost_config(c, PCI_CFG_SPACE_SIZE + PCI_REBAR_CAP, 4),
                    ==, 1u << 6);
    g_assert_cmphex(fakehost_config(c, PCI_CFG_SPACE_SIZE + PCI_REBAR_CTRL, 4),
                    ==, 5 | 1 << PCI_REBAR_CTRL_NBAR_SHIFT |
                    2 << PCI_REBAR_CTRL_BAR_SHIFT);
    epvm_detach(e, c);
}

static void test_inbound_align(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",inbound-align=64K");
    const uint64_t align = 0x10000;

    g_assert_cmphex(epvm_reg(e, EPC_REG_INBOUND_ALIGN), ==, align);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, RAM + align / 2, 4096), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, RAM + align, 0x100000), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 1, 0, EPC_ADDR_TRAP, 4096), ==,
                     EPC_STATUS_OK);

    epvm_area_args(e, 0, RAM, align);
    epvm_area_args(e, 1, EPC_ADDR_NONE, align);
    g_assert_cmpuint(epvm_set_areas(e, 0, 2), ==, EPC_STATUS_OK);
    epvm_area_args(e, 0, RAM + 4096, align);
    g_assert_cmpuint(epvm_set_areas(e, 0, 2), ==, EPC_STATUS_BAD_ARG);
    epvm_area_args(e, 0, RAM, align + 4096);
    g_assert_cmpuint(epvm_set_areas(e, 0, 2), ==, EPC_STATUS_BAD_ARG);
    epvm_stop(e);
}

/* A BAR that has a target takes no other one before it is cleared. */
static void test_no_dynamic_inbound(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",dynamic-inbound=off");
    FakeHost *c;

    g_assert_false(has_feature(e, EPC_FEATURE_RETARGET | EPC_FEATURE_SUBRANGE));
    c = epvm_attach(e);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, RAM, EPVM_BAR0_SIZE), ==,
                     EPC_STATUS_BAD_STATE);
    epvm_area_args(e, 0, RAM, 4096);
    g_assert_cmpuint(epvm_set_areas(e, 0, 1), ==, EPC_STATUS_BAD_CMD);
    fakehost_free(c);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_STOP), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_clear_bar(e, 0), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, RAM, EPVM_BAR0_SIZE), ==,
                     EPC_STATUS_OK);
    epvm_stop(e);
}

static void test_no_subrange(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",subrange=off");

    g_assert_false(has_feature(e, EPC_FEATURE_SUBRANGE));
    g_assert_true(has_feature(e, EPC_FEATURE_RETARGET));
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, RAM, 8192), ==, EPC_STATUS_OK);
    epvm_area_args(e, 0, RAM, 4096);
    g_assert_cmpuint(epvm_set_areas(e, 0, 1), ==, EPC_STATUS_BAD_CMD);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, RAM + 4096, 8192), ==,
                     EPC_STATUS_OK);
    epvm_stop(e);
}

/* ---- Outbound ---- */

static void test_outbound(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",max-maps=2,outbound-granule=64K,"
                         "outbound-align=16K,outbound-max=128K");
    FakeHost *c = epvm_attach(e);
    uint8_t *mem;
    int fd = fakehost_memfd(MEM_SIZE, &mem);
    const struct {
        uint64_t offset, addr, size;
        uint32_t status;
    } t[] = {
        { 0x8000, HOST, 0x1000, EPC_STATUS_BAD_ARG },
        { 0, HOST + 0x2000, 0x1000, EPC_STATUS_BAD_ARG },
        { 0, HOST, 0x21000, EPC_STATUS_BAD_ARG },
        { 0, HOST + 0x4000, 0x20000, EPC_STATUS_OK },
        { 0x30000, HOST, 0x1000, EPC_STATUS_OK },
        { 0x50000, HOST, 0x1000, EPC_STATUS_NO_SPACE },
        { 0x30000, HOST + 0x1000, 0x1000, EPC_STATUS_BAD_ARG },
    };

    g_assert_cmpuint(epvm_reg(e, EPC_REG_MAX_MAPS), ==, 2);
    g_assert_cmphex(epvm_reg(e, EPC_REG_OUTBOUND_GRANULE), ==, 0x10000);
    g_assert_cmphex(epvm_reg(e, EPC_REG_OUTBOUND_ALIGN), ==, 0x4000);
    g_assert_cmphex(epvm_reg(e, EPC_REG_OUTBOUND_MAX) *
                    epvm_reg(e, EPC_REG_GRANULE), ==, 0x20000);
    fakehost_set_config(c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    g_assert_cmpint(fakehost_dma_map(c, HOST, MEM_SIZE, fd, 0,
                                     VFU_DMA_READ | VFU_DMA_WRITE), ==, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        check_row(i, epvm_map(e, t[i].offset, t[i].addr, t[i].size),
                  t[i].status);
    }
    /* What was refused has changed nothing. */
    mem[0x4123] = 0x5a;
    g_assert_cmphex(qtest_readb(e->q, EPVM_WINDOW + 0x123), ==, 0x5a);
    mem[0x123] = 0xa5;
    g_assert_cmphex(qtest_readb(e->q, EPVM_WINDOW + 0x30123), ==, 0xa5);
    epvm_detach(e, c);
    munmap(mem, MEM_SIZE);
    close(fd);
}

/* ---- Interrupts and doorbells ---- */

static void test_no_msi(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",msi=off");

    g_assert_false(has_feature(e, EPC_FEATURE_MSI));
    g_assert_cmpuint(epvm_set_msi(e, 1), ==, EPC_STATUS_BAD_CMD);
    g_assert_cmpuint(epvm_set_msi(e, 0), ==, EPC_STATUS_BAD_CMD);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, RAM, 4096), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_msix(e, 1, 0, 0), ==, EPC_STATUS_OK);
    epvm_stop(e);
}

static void test_no_msix(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",msix=off");

    g_assert_false(has_feature(e, EPC_FEATURE_MSIX));
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, RAM, 4096), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_msix(e, 1, 0, 0), ==, EPC_STATUS_BAD_CMD);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_MSIX), ==, 0);
    g_assert_cmpuint(epvm_set_msi(e, 32), ==, EPC_STATUS_OK);
    epvm_stop(e);
}

/* The header may have a pin, as that of real ones does. */
static void test_no_intx(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",intx=off");
    FakeHost *c = epvm_attach(e);

    g_assert_false(has_feature(e, EPC_FEATURE_INTX));
    g_assert_cmphex(fakehost_config(c, PCI_INTERRUPT_PIN, 1), ==, 1);
    check_hole(e, e->raise_base + EPC_RAISE_INTX);
    epvm_raise(e, EPC_RAISE_INTX, 1);
    g_assert_cmphex(fakehost_config(c, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT,
                    ==, 0);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_RAISE_DROPPED), ==, 0);
    epvm_detach(e, c);
}

static void test_no_doorbells(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",doorbells=off");
    EpVm *with = epvm_start(EPVM_SHARED, "");

    g_assert_false(has_feature(e, EPC_FEATURE_DOORBELL));
    check_hole(e, EPC_REG_DOORBELLS);
    check_hole(e, EPC_REG_DOORBELL_BASE);
    check_hole(e, epvm_reg(with, EPC_REG_DOORBELL_BASE) + EPC_DOORBELL_CTRL);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, EPVM_DOORBELL, 4096), ==,
                     EPC_STATUS_BAD_TARGET);
    g_assert_cmpuint(epvm_set_bar(with, 0, 0, EPVM_DOORBELL, 4096), ==,
                     EPC_STATUS_OK);
    epvm_stop(with);
    epvm_stop(e);
}

/* ---- DMA channels ---- */

static void test_dma_channels(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",dma-channels=2");
    uint64_t base = epvm_reg(e, EPC_REG_DMA_BASE);
    uint32_t stride = epvm_reg(e, EPC_REG_DMA_STRIDE);

    g_assert_cmpuint(epvm_reg(e, EPC_REG_DMA_COUNT), ==, 2);
    epvm_write(e, base + stride + EPC_DMA_IRQ_USEC, 4, 7);
    g_assert_cmpuint(epvm_read(e, base + stride + EPC_DMA_IRQ_USEC, 4), ==, 7);
    check_hole(e, base + 2 * stride + EPC_DMA_IRQ_USEC);
    check_hole(e, base + 15 * stride + EPC_DMA_CTRL);
    epvm_stop(e);
}

static void test_no_dma_channels(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",dma-channels=0");
    EpVm *with = epvm_start(EPVM_SHARED, "");

    g_assert_false(has_feature(e, EPC_FEATURE_DMA));
    check_hole(e, EPC_REG_DMA_COUNT);
    check_hole(e, EPC_REG_DMA_BASE);
    check_hole(e, EPC_REG_DMA_STRIDE);
    check_hole(e, epvm_reg(with, EPC_REG_DMA_BASE) + EPC_DMA_CTRL);
    epvm_stop(with);
    epvm_stop(e);
}

/* ---- Link ---- */

static void check_link_event(const char *props, bool told)
{
    EpVm *e = epvm_start(EPVM_SHARED, props);
    FakeHost *c;

    epvm_set_reg(e, EPC_REG_EVENT_MASK, EPC_EVENT_LINK);
    c = epvm_attach(e);         /* waits until EPC_REG_LINK has UP */
    g_assert_cmphex(epvm_reg(e, EPC_REG_EVENT), ==, told ? EPC_EVENT_LINK : 0);
    g_assert_true(has_feature(e, EPC_FEATURE_NO_LINKUP) != told);
    if (told) {
        g_assert_true(epvm_vector(e, EPC_VECTOR_EVENT, EPVM_TIMEOUT_MS));
        epvm_set_reg(e, EPC_REG_EVENT, EPC_EVENT_LINK);
    } else {
        epvm_expect_no_vector(e, EPC_VECTOR_EVENT);
    }
    fakehost_free(c);
    epvm_wait_link(e, false);
    g_assert_cmphex(epvm_reg(e, EPC_REG_EVENT), ==, EPC_EVENT_LINK);
    epvm_stop(e);
}

static void test_linkup(void)
{
    check_link_event("", true);
    check_link_event(",linkup=off", false);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/limits/bars", test_bar_types);
    qtest_add_func("/pci-epc/limits/resizable", test_resizable);
    qtest_add_func("/pci-epc/limits/inbound-align", test_inbound_align);
    qtest_add_func("/pci-epc/limits/dynamic-inbound", test_no_dynamic_inbound);
    qtest_add_func("/pci-epc/limits/subrange", test_no_subrange);
    qtest_add_func("/pci-epc/limits/outbound", test_outbound);
    qtest_add_func("/pci-epc/limits/msi", test_no_msi);
    qtest_add_func("/pci-epc/limits/msix", test_no_msix);
    qtest_add_func("/pci-epc/limits/intx", test_no_intx);
    qtest_add_func("/pci-epc/limits/doorbells", test_no_doorbells);
    qtest_add_func("/pci-epc/limits/dma-channels", test_dma_channels);
    qtest_add_func("/pci-epc/limits/no-dma-channels", test_no_dma_channels);
    qtest_add_func("/pci-epc/limits/linkup", test_linkup);
    return g_test_run();
}
