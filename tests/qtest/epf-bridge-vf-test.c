/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge with fake endpoints that have virtual functions
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/vf.h"

#define MSI_ADDR    0x100000
#define DEVCTL      VFDEV_DEVCTL
#define MSIX        VFDEV_MSIX

/* What the guest's memory reads must be what that function has, and back */
static void check_memory(VfDev *d, unsigned n)
{
    uint8_t *p = vfdev_vf(d, n)->bar[0].data + vfdev_vf(d, n)->bar[0].offset;
    uint64_t at = VFDEV_BAR(0) + n * VFDEV_BAR0_SIZE;
    uint64_t before = hostvm_settled_messages(d->q);

    stl_le_p(p, 0xa0b0c000 + n);
    g_assert_cmphex(qtest_readl(d->q, at), ==, 0xa0b0c000 + n);
    qtest_writel(d->q, at + 0x4000, 0x0d0e0f00 + n);
    g_assert_cmphex(ldl_le_p(p + 0x4000), ==, 0x0d0e0f00 + n);
    g_assert_cmpuint(hostvm_prop_uint(d->q, "messages"), ==, before);
    /* By message */
    memset(vfdev_vf(d, n)->bar[1].data, 0x10 + n, 4);
    g_assert_cmphex(qtest_readl(d->q, VFDEV_BAR(1) + n * VFDEV_BAR1_SIZE), ==,
                    0x01010101u * (0x10 + n));
}

static void check_no_memory(VfDev *d, unsigned n)
{
    g_assert_cmphex(qtest_readl(d->q, VFDEV_BAR(0) + n * VFDEV_BAR0_SIZE), ==,
                    UINT32_MAX);
    g_assert_cmphex(qtest_readl(d->q, VFDEV_BAR(1) + n * VFDEV_BAR1_SIZE), ==,
                    UINT32_MAX);
}

/* ---- Honest ones ---- */

static void test_capability(void)
{
    VfDev d;

    vfdev_start(&d, 1, 3);
    vfdev_check_enabled(&d, 0);
    /* It is no multi-function device for that */
    g_assert_cmphex(hostvm_readb(d.q, HOSTVM_FUNCTION, PCI_HEADER_TYPE), ==, 0);
    g_assert_cmphex(vfdev_read(&d, 0), ==, ldl_le_p(d.sriov));
    g_assert_cmphex(hostvm_ecam_readl(d.q, HOSTVM_FUNCTION, VFDEV_NEXT), ==,
                    VFDEV_NEXT_HEADER);
    g_assert_cmphex(vfdev_read(&d, PCI_SRIOV_INITIAL_VF), ==, 3 << 16 | 3);
    g_assert_cmphex(vfdev_read(&d, PCI_SRIOV_NUM_VF), ==, 0);
    g_assert_cmphex(vfdev_read(&d, PCI_SRIOV_VF_OFFSET), ==, 1 << 16 | 1);
    g_assert_cmphex(vfdev_read(&d, PCI_SRIOV_VF_DID - 2), ==,
                    VFDEV_DEVICE << 16);
    for (unsigned i = 0; i < 6; i++) {
        vfdev_write(&d, PCI_SRIOV_BAR + i * 4, UINT32_MAX);
    }
    g_assert_cmphex(vfdev_read(&d, PCI_SRIOV_BAR), ==, -VFDEV_BAR0_SIZE);
    g_assert_cmphex(vfdev_read(&d, PCI_SRIOV_BAR + 4), ==, -VFDEV_BAR1_SIZE);
    g_assert_cmphex(vfdev_read(&d, PCI_SRIOV_BAR + 8), ==, 0xfffe0004);
    g_assert_cmphex(vfdev_read(&d, PCI_SRIOV_BAR + 12), ==, UINT32_MAX);
    g_assert_cmphex(vfdev_read(&d, PCI_SRIOV_BAR + 16), ==, 0xfffe0008);
    /* The bridge's own, for the MSI-X tables */
    g_assert_cmphex(vfdev_read(&d, PCI_SRIOV_BAR + 20), ==, 0xfffff000);
    vfdev_end(&d);
}

static void test_enable(void)
{
    VfDev d;

    vfdev_start(&d, 1, 3);
    for (unsigned n = 0; n <= 3; n++) {
        uint32_t val;

        vfdev_enable(&d, n);
        vfdev_check_enabled(&d, n);
        g_assert_true(vfdev_config_written(d.ep[0],
                                           VFDEV_SRIOV + PCI_SRIOV_NUM_VF,
                                           &val));
        g_assert_cmphex(val, ==, n);
        g_assert_true(
            vfdev_config_written(d.ep[0], VFDEV_SRIOV + PCI_SRIOV_CTRL, &val));
        g_assert_cmphex(val, ==, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
        g_assert_true(
            vfdev_config_written(d.ep[0], VFDEV_SRIOV + PCI_SRIOV_BAR, &val));
        g_assert_cmphex(val, ==, VFDEV_BAR(0));
        for (unsigned i = 0; i < 3; i++) {
            if (i < n) {
                check_memory(&d, i);
            } else {
                check_no_memory(&d, i);
            }
        }
        vfdev_disable(&d);
        vfdev_check_enabled(&d, 0);
        for (unsigned i = 0; i < 3; i++) {
            check_no_memory(&d, i);
        }
        g_assert_true(
            vfdev_config_written(d.ep[0], VFDEV_SRIOV + PCI_SRIOV_CTRL, &val));
        g_assert_cmphex(val, ==, 0);
    }
    vfdev_end(&d);
}

/* VF MSE, and VF BARs that move while it is off */
static void test_memory_space(void)
{
    FakeEpBar *b;
    VfDev d;

    vfdev_start(&d, 1, 2);
    vfdev_enable(&d, 2);
    vfdev_write(&d, PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_VFE);
    check_no_memory(&d, 0);
    check_no_memory(&d, 1);
    vfdev_check_enabled(&d, 2);
    vfdev_write(&d, PCI_SRIOV_BAR, VFDEV_BAR(7));
    vfdev_write(&d, PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
    b = &vfdev_vf(&d, 1)->bar[0];
    stl_le_p(b->data + b->offset, 0x13572468);
    g_assert_cmphex(qtest_readl(d.q, VFDEV_BAR(7) + VFDEV_BAR0_SIZE), ==,
                    0x13572468);
    g_assert_cmphex(qtest_readl(d.q, VFDEV_BAR(0) + VFDEV_BAR0_SIZE), ==,
                    UINT32_MAX);
    vfdev_end(&d);
}

static gint served, early;

static bool hook_late_control(FakeEp *s, const VfuMsg *m, void *opaque)
{
    const VfuRegionRw *rw = (const void *)m->payload;

    if (m->hdr.command == VFU_CMD_REGION_WRITE &&
        rw->region == VFU_REGION_CONFIG &&
        rw->offset == VFDEV_SRIOV + PCI_SRIOV_CTRL) {
        g_usleep(50000);
        g_atomic_int_set(&served, 1);
    }
    return false;
}

static bool note_early(FakeEp *s, const VfuMsg *m, void *opaque)
{
    if (m->hdr.command == VFU_CMD_REGION_READ && !g_atomic_int_get(&served)) {
        g_atomic_int_inc(&early);
    }
    return false;
}

/* The endpoint has answered VF Enable before the function is asked. */
static void test_order(void)
{
    VfDev d;

    vfdev_start(&d, 1, 1);
    served = 0;
    early = 0;
    d.ep[0]->hook = hook_late_control;
    vfdev_vf(&d, 0)->hook = note_early;
    vfdev_enable(&d, 1);
    qtest_readl(d.q, VFDEV_BAR(1));
    g_assert_cmpint(g_atomic_int_get(&served), ==, 1);
    g_assert_cmpint(g_atomic_int_get(&early), ==, 0);
    vfdev_end(&d);
}

/*
 * More virtual functions than there are: they are never enabled, and the bridge
 * does not send the write.
 */
static void test_too_many(void)
{
    static const uint16_t bad[] = { 3, 8, 0x100, 0xffff };
    uint32_t val;
    VfDev d;

    vfdev_start(&d, 1, 2);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        vfdev_enable(&d, bad[i]);
        vfdev_check_enabled(&d, 0);
        g_assert_true(
            vfdev_config_written(d.ep[0], VFDEV_SRIOV + PCI_SRIOV_CTRL, &val));
        g_assert_cmphex(val, ==, PCI_SRIOV_CTRL_MSE);
        vfdev_disable(&d);
    }
    vfdev_enable(&d, 2);
    vfdev_check_enabled(&d, 2);
    /* Fixed while they are enabled */
    vfdev_write(&d, PCI_SRIOV_NUM_VF, 7);
    g_assert_cmphex(vfdev_read(&d, PCI_SRIOV_NUM_VF), ==, 2);
    vfdev_check_enabled(&d, 2);
    vfdev_end(&d);
}

/* Configuration space of a virtual function: of the header one bit */
static void test_config(void)
{
    uint32_t val;
    VfDev d;

    vfdev_start(&d, 1, 2);
    vfdev_enable(&d, 2);
    g_assert_cmphex(hostvm_readw(d.q, vfdev_bdf(&d, 1), PCI_COMMAND), ==, 0);
    hostvm_writew(d.q, vfdev_bdf(&d, 1), PCI_COMMAND, 0xffff);
    g_assert_cmphex(hostvm_readw(d.q, vfdev_bdf(&d, 1), PCI_COMMAND), ==,
                    PCI_COMMAND_MASTER);
    g_assert_true(vfdev_config_written(vfdev_vf(&d, 1), PCI_COMMAND, &val));
    g_assert_cmphex(val, ==, PCI_COMMAND_MASTER);
    g_assert_false(vfdev_config_written(vfdev_vf(&d, 0), PCI_COMMAND, &val));
    for (unsigned i = 0; i < 6; i++) {
        hostvm_writel(d.q, vfdev_bdf(&d, 1), PCI_BASE_ADDRESS_0 + i * 4,
                      UINT32_MAX);
        g_assert_cmphex(hostvm_readl(d.q, vfdev_bdf(&d, 1),
                                     PCI_BASE_ADDRESS_0 + i * 4), ==, 0);
    }
    hostvm_writeb(d.q, vfdev_bdf(&d, 1), PCI_INTERRUPT_LINE, 5);
    hostvm_writeb(d.q, vfdev_bdf(&d, 1), PCI_CACHE_LINE_SIZE, 8);
    g_assert_cmphex(hostvm_readl(d.q, vfdev_bdf(&d, 1), PCI_INTERRUPT_LINE), ==,
                    0);
    g_assert_cmphex(hostvm_readb(d.q, vfdev_bdf(&d, 1), PCI_CACHE_LINE_SIZE),
                    ==, 0);
    g_assert_cmphex(hostvm_readl(d.q, vfdev_bdf(&d, 1),
                                 PCI_SUBSYSTEM_VENDOR_ID),
                    ==, 0x12341af4);
    check_memory(&d, 1);
    vfdev_end(&d);
}

static void check_vector(VfDev *d, unsigned n)
{
    uint64_t table = vfdev_msix_table(d, n), one = 1;
    unsigned sent = fakeep_count(vfdev_vf(d, n), VFU_CMD_SET_IRQS);
    const VfuMsg *m;

    qtest_writeq(d->q, table + 16, MSI_ADDR + 4 * n);
    qtest_writel(d->q, table + 24, 0xcafe0000 + n);
    qtest_writel(d->q, table + 28, 0);
    qtest_writel(d->q, MSI_ADDR + 4 * n, 0);
    hostvm_writew(d->q, vfdev_bdf(d, n), PCI_COMMAND, PCI_COMMAND_MASTER);
    hostvm_writew(d->q, vfdev_bdf(d, n), MSIX + PCI_MSIX_FLAGS,
                  PCI_MSIX_FLAGS_ENABLE);
    m = fakeep_wait(vfdev_vf(d, n), VFU_CMD_SET_IRQS, sent + 1);
    g_assert_cmpuint(m->nfds, ==, 8);
    g_assert_cmpint(write(m->fds[1], &one, sizeof(one)), ==, sizeof(one));
    hostvm_wait_mem(d->q, MSI_ADDR + 4 * n, 0xcafe0000 + n);
}

static uint32_t table_at(VfDev *d, unsigned n)
{
    return hostvm_readl(d->q, vfdev_bdf(d, n), MSIX + PCI_MSIX_TABLE);
}

/* All of a BAR is memory: the tables are in one that they have for that. */
static void test_msix_place(void)
{
    VfDev d;

    vfdev_start(&d, 1, 2);
    vfdev_enable(&d, 2);
    for (unsigned i = 0; i < 2; i++) {
        FakeEpBar *b = &vfdev_vf(&d, i)->bar[0];
        uint64_t bar0 = VFDEV_BAR(0) + i * VFDEV_BAR0_SIZE;
        uint64_t n;

        g_assert_cmphex(table_at(&d, i), ==, 5);
        check_vector(&d, i);
        g_assert_cmphex((uint32_t)ldl_le_p(b->data + b->offset + 0x1018), ==,
                        0xcafe0000 + i);
        n = hostvm_settled_messages(d.q);
        for (unsigned at = 0; at < b->size; at += 0x100) {
            stl_le_p(b->data + b->offset + at, ~at);
            g_assert_cmphex(qtest_readl(d.q, bar0 + at), ==, ~at);
        }
        g_assert_cmpuint(hostvm_prop_uint(d.q, "messages"), ==, n);
    }
    vfdev_write(&d, PCI_SRIOV_BAR + 20, UINT32_MAX);
    g_assert_cmphex(vfdev_read(&d, PCI_SRIOV_BAR + 20), ==, 0xfffff000);
    vfdev_end(&d);

    /* One that has a BAR there leaves none for all. */
    vfdev_make(&d, 1, 2);
    fakeep_set_bar(vfdev_vf(&d, 1), 5, 0, 0x1000, false);
    stl_le_p(vfdev_vf(&d, 1)->config + PCI_BASE_ADDRESS_5, 0);
    vfdev_launch(&d, "");
    vfdev_all_up(&d);
    vfdev_enable(&d, 2);
    g_assert_cmphex(table_at(&d, 0), ==, 0x1000);
    check_vector(&d, 0);
    check_memory(&d, 0);
    vfdev_end(&d);

    vfdev_make(&d, 1, 1);
    vfdev_launch(&d, "-global epf-bridge.msix-relocate=off");
    vfdev_all_up(&d);
    vfdev_enable(&d, 1);
    g_assert_cmphex(table_at(&d, 0), ==, 0x1000);
    check_vector(&d, 0);
    vfdev_end(&d);
}

/* Vectors of each, which end with VF Enable */
static void test_msix(void)
{
    VfDev d;

    vfdev_start(&d, 1, 2);
    for (unsigned i = 0; i < 3; i++) {
        unsigned sent;

        vfdev_enable(&d, 2);
        g_assert_cmphex(hostvm_readw(d.q, vfdev_bdf(&d, 1),
                                     MSIX + PCI_MSIX_FLAGS),
                        ==, 7);
        g_assert_cmphex(hostvm_readw(d.q, vfdev_bdf(&d, 1), PCI_COMMAND), ==,
                        0);
        check_vector(&d, 1);
        check_vector(&d, 0);
        sent = fakeep_count(vfdev_vf(&d, 1), VFU_CMD_SET_IRQS);
        vfdev_disable(&d);
        g_assert_cmpuint(fakeep_wait(vfdev_vf(&d, 1), VFU_CMD_SET_IRQS,
                                     sent + 1)->nfds, ==, 0);
    }
    vfdev_end(&d);
}

static int dma_read(FakeEp *s, uint64_t addr, uint32_t *val)
{
    struct {
        VfuDmaRw rw;
        uint32_t val;
    } QEMU_PACKED r;
    VfuDmaRw rw = { .address = addr, .count = sizeof(*val) };
    int ret = fakeep_call(s, VFU_CMD_DMA_READ, &rw, sizeof(rw), &r, sizeof(r));

    *val = ret ? 0 : r.val;
    return ret;
}

/* Each masters the bus for itself. */
static void test_dma(void)
{
    uint32_t val;
    VfDev d;

    vfdev_start(&d, 1, 2);
    vfdev_enable(&d, 2);
    qtest_writel(d.q, 0x200000, 0x600df00d);
    g_assert_cmpint(dma_read(vfdev_vf(&d, 1), 0x200000, &val), ==, EFAULT);
    hostvm_writew(d.q, vfdev_bdf(&d, 1), PCI_COMMAND, PCI_COMMAND_MASTER);
    fakeep_wait(vfdev_vf(&d, 1), VFU_CMD_DMA_MAP, 1);
    g_assert_cmpint(dma_read(vfdev_vf(&d, 1), 0x200000, &val), ==, 0);
    g_assert_cmphex(val, ==, 0x600df00d);
    g_assert_cmpint(dma_read(vfdev_vf(&d, 0), 0x200000, &val), ==, EFAULT);
    g_assert_cmpuint(fakeep_count(vfdev_vf(&d, 0), VFU_CMD_DMA_MAP), ==, 0);
    g_assert_cmpuint(fakeep_count(d.ep[0], VFU_CMD_DMA_MAP), ==, 0);
    vfdev_disable(&d);
    g_assert_cmpuint(fakeep_count(vfdev_vf(&d, 1), VFU_CMD_DMA_UNMAP), ==,
                     fakeep_count(vfdev_vf(&d, 1), VFU_CMD_DMA_MAP));
    g_assert_cmpint(dma_read(vfdev_vf(&d, 1), 0x200000, &val), ==, EFAULT);
    vfdev_end(&d);
}

/* Numbers after those of other functions */
static void test_functions(void)
{
    VfDev d;

    vfdev_start(&d, 3, 2);
    g_assert_cmphex(hostvm_readb(d.q, HOSTVM_FUNCTION, PCI_HEADER_TYPE), ==,
                    0x80);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmphex(hostvm_readl(d.q, HOSTVM_FUNCTION + i, 0), ==,
                        0xb500104c);
    }
    vfdev_enable(&d, 2);
    vfdev_check_enabled(&d, 2);
    check_memory(&d, 0);
    check_memory(&d, 1);
    vfdev_end(&d);
}

/* A BAR that one of them does not have */
static void test_bar_of_one(void)
{
    VfDev d;

    vfdev_make(&d, 1, 2);
    fakeep_set_bar(vfdev_vf(&d, 0), 1, 0, 0, false);
    vfdev_launch(&d, "");
    vfdev_all_up(&d);
    vfdev_enable(&d, 2);
    g_assert_cmphex(qtest_readl(d.q, VFDEV_BAR(1)), ==, UINT32_MAX);
    check_memory(&d, 1);
    vfdev_end(&d);
}

/* ---- Resets ---- */

static void check_off(VfDev *d)
{
    vfdev_check_enabled(d, 0);
    g_assert_cmphex(vfdev_read(d, PCI_SRIOV_CTRL), ==, 0);
    g_assert_cmphex(vfdev_read(d, PCI_SRIOV_NUM_VF), ==, 0);
    g_assert_cmphex(vfdev_read(d, PCI_SRIOV_BAR + 16), ==, 8);
    /* QEMU's reset reaches beyond the capability */
    g_assert_cmphex(hostvm_ecam_readl(d->q, HOSTVM_FUNCTION, VFDEV_NEXT), ==,
                    VFDEV_NEXT_HEADER);
}

static void check_reset(VfDev *d, unsigned n, unsigned kind)
{
    const VfuMsg *m = fakeep_wait(vfdev_vf(d, n), VFU_CMD_EP_RESET, 1);
    VfuEpReset r;

    memcpy(&r, m->payload, sizeof(r));
    g_assert_cmpuint(r.kind, ==, kind);
    fakeep_clear_log(vfdev_vf(d, n));
}

static void enable_with_irqs(VfDev *d)
{
    vfdev_enable(d, 2);
    check_vector(d, 0);
    check_memory(d, 1);
}

static void test_resets(void)
{
    VfDev d;

    vfdev_start(&d, 1, 2);
    enable_with_irqs(&d);
    hostvm_writew(d.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL,
                  PCI_BRIDGE_CTL_BUS_RESET);
    hostvm_writew(d.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL, 0);
    check_off(&d);
    check_no_memory(&d, 1);
    check_reset(&d, 0, VFU_EP_RESET_HOT);
    check_reset(&d, 1, VFU_EP_RESET_HOT);

    enable_with_irqs(&d);
    qtest_system_reset(d.q);
    hostvm_enable_port(d.q);
    hostvm_enable_ecam(d.q);
    check_off(&d);
    check_reset(&d, 0, VFU_EP_RESET_PERST);

    enable_with_irqs(&d);
    hostvm_writew(d.q, HOSTVM_FUNCTION, DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
    check_off(&d);
    check_no_memory(&d, 1);
    enable_with_irqs(&d);
    vfdev_end(&d);
}

/* A function level reset of one is no matter of the others. */
static void test_flr(void)
{
    uint32_t val;
    VfDev d;

    vfdev_start(&d, 1, 2);
    vfdev_enable(&d, 2);
    check_vector(&d, 0);
    check_vector(&d, 1);
    hostvm_writew(d.q, vfdev_bdf(&d, 1), DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
    g_assert_true(vfdev_config_written(vfdev_vf(&d, 1), DEVCTL, &val));
    g_assert_cmphex(val, ==, PCI_EXP_DEVCTL_BCR_FLR);
    g_assert_cmphex(hostvm_readw(d.q, vfdev_bdf(&d, 1), PCI_COMMAND), ==, 0);
    g_assert_cmphex(hostvm_readw(d.q, vfdev_bdf(&d, 1), MSIX + PCI_MSIX_FLAGS),
                    ==, 7);
    g_assert_cmphex(hostvm_readw(d.q, vfdev_bdf(&d, 0), PCI_COMMAND), ==,
                    PCI_COMMAND_MASTER);
    g_assert_cmphex(hostvm_readw(d.q, vfdev_bdf(&d, 0), MSIX + PCI_MSIX_FLAGS),
                    ==, PCI_MSIX_FLAGS_ENABLE | 7);
    g_assert_cmpint(dma_read(vfdev_vf(&d, 1), 0x200000, &val), ==, EFAULT);
    g_assert_cmpint(dma_read(vfdev_vf(&d, 0), 0x200000, &val), ==, 0);
    /* Memory is enabled in the capability */
    check_memory(&d, 0);
    check_memory(&d, 1);
    check_vector(&d, 1);
    vfdev_end(&d);
}

/* ---- The link ---- */

/* Down with them enabled, and nothing is left of them. */
static void test_link_down(void)
{
    unsigned held = 0;
    VfDev d;

    vfdev_start(&d, 1, 2);
    for (unsigned i = 0; i < 10; i++) {
        enable_with_irqs(&d);
        vfdev_all_down(&d);
        vfdev_check_enabled(&d, 0);
        check_no_memory(&d, 1);
        if (!i) {
            held = hostvm_count_held(d.q);
        }
        for (unsigned n = 0; n < 3; n++) {
            fakeep_clear_log(d.ep[n]);
        }
        vfdev_all_up(&d);
        check_off(&d);
    }
    vfdev_all_down(&d);
    hostvm_wait_held(d.q, held + 8);
    vfdev_end(&d);
}

/* The session of one ends: all are gone. */
static void test_session_ends(void)
{
    VfDev d;

    vfdev_start(&d, 1, 2);
    enable_with_irqs(&d);
    fakeep_disconnect(vfdev_vf(&d, 1));
    hostvm_wait_present(d.q, false);
    vfdev_check_enabled(&d, 0);
    g_assert_cmphex(hostvm_readl(d.q, HOSTVM_FUNCTION, 0), ==, UINT32_MAX);
    vfdev_end(&d);
}

static void test_absent(void)
{
    VfDev d;

    vfdev_make(&d, 1, 2);
    fakeep_listen(d.ep[0]);
    fakeep_listen(d.ep[1]);
    d.q = hostvm_start(d.ep[0]->path, VFDEV_DEADLINE_MS, true);
    hostvm_enable_port(d.q);
    hostvm_enable_ecam(d.q);
    g_assert_cmpint(fakeep_link_up(d.ep[0]), ==, 0);
    g_assert_cmpint(fakeep_link_up(d.ep[1]), ==, 0);
    hostvm_wait_error(d.q, "did not come up: 2 (");
    g_assert_false(hostvm_slot_status(d.q) & PCI_EXP_SLTSTA_PDS);
    fakeep_listen(d.ep[2]);
    g_assert_cmpint(fakeep_link_up(d.ep[2]), ==, 0);
    hostvm_wait_present(d.q, true);
    vfdev_enable(&d, 2);
    vfdev_check_enabled(&d, 2);
    vfdev_end(&d);
}

typedef struct Assert {
    VfDev *d;
    unsigned times;
} Assert;

/* Asserts INTx of function 0 before it gives memory up. */
static bool hook_assert(FakeEp *s, const VfuMsg *m, void *opaque)
{
    Assert *a = opaque;
    VfuEpIntx intx = {
        .argsz = sizeof(intx), .generation = a->d->ep[0]->generation,
        .level = 1,
    };

    if (m->hdr.command == VFU_CMD_DMA_UNMAP) {
        g_assert_cmpint(fakeep_call(a->d->ep[0], VFU_CMD_EP_INTX, &intx,
                                    sizeof(intx), NULL, 0), ==, 0);
        qatomic_inc(&a->times);
    }
    return false;
}

/*
 * INTx that comes in the middle of a machine reset: function 0 has been reset,
 * and the reset waits for its virtual function.
 */
static void test_reset_intx(void)
{
    Assert a = { };
    VfDev d;

    vfdev_start(&d, 1, 1);
    a.d = &d;
    vfdev_enable(&d, 1);
    hostvm_writew(d.q, vfdev_bdf(&d, 0), PCI_COMMAND, PCI_COMMAND_MASTER);
    fakeep_wait(vfdev_vf(&d, 0), VFU_CMD_DMA_MAP, 1);
    vfdev_vf(&d, 0)->hook_opaque = &a;
    vfdev_vf(&d, 0)->hook = hook_assert;
    qtest_system_reset(d.q);
    fakeep_wait(d.ep[0], VFU_CMD_EP_RESET, 1);
    g_assert_cmpuint(qatomic_read(&a.times), !=, 0);
    vfdev_end(&d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("epf-bridge/vf/capability", test_capability);
    qtest_add_func("epf-bridge/vf/enable", test_enable);
    qtest_add_func("epf-bridge/vf/memory-space", test_memory_space);
    qtest_add_func("epf-bridge/vf/order", test_order);
    qtest_add_func("epf-bridge/vf/too-many", test_too_many);
    qtest_add_func("epf-bridge/vf/config", test_config);
    qtest_add_func("epf-bridge/vf/msix", test_msix);
    qtest_add_func("epf-bridge/vf/msix-place", test_msix_place);
    qtest_add_func("epf-bridge/vf/dma", test_dma);
    qtest_add_func("epf-bridge/vf/functions", test_functions);
    qtest_add_func("epf-bridge/vf/bar-of-one", test_bar_of_one);
    qtest_add_func("epf-bridge/vf/resets", test_resets);
    qtest_add_func("epf-bridge/vf/flr", test_flr);
    qtest_add_func("epf-bridge/vf/link-down", test_link_down);
    qtest_add_func("epf-bridge/vf/session-ends", test_session_ends);
    qtest_add_func("epf-bridge/vf/absent", test_absent);
    qtest_add_func("epf-bridge/vf/reset-intx", test_reset_intx);
    return g_test_run();
}
