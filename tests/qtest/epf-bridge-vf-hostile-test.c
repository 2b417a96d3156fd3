/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge with fake endpoints whose SR-IOV capability is not true
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/vf.h"
#include "pci-ep/wait.h"

static void check_no_sriov(VfDev *d)
{
    uint32_t header = hostvm_ecam_readl(d->q, HOSTVM_FUNCTION, VFDEV_SRIOV);

    g_assert_cmphex(PCI_EXT_CAP_ID(header), !=, PCI_EXT_CAP_ID_SRIOV);
    vfdev_write(d, PCI_SRIOV_NUM_VF, d->vfs);
    vfdev_write(d, PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
    vfdev_check_enabled(d, 0);
}

typedef struct Lie {
    unsigned at;        /* in the capability */
    unsigned size;
    uint32_t val;
    const char *error;  /* NULL: none */
} Lie;

/* A capability that is not true is hidden; the functions are not. */
static void test_lies(void)
{
    static const Lie lies[] = {
        { PCI_SRIOV_TOTAL_VF, 2, 0, NULL },
        { PCI_SRIOV_TOTAL_VF, 2, 1, "names 1 functions" },
        { PCI_SRIOV_TOTAL_VF, 2, 3, "names 3 functions" },
        { PCI_SRIOV_TOTAL_VF, 2, 8, "names 8 functions" },
        { PCI_SRIOV_TOTAL_VF, 2, 0xffff, "names 65535 functions" },
        { PCI_SRIOV_VF_OFFSET, 2, 0, "from number 0" },
        { PCI_SRIOV_VF_OFFSET, 2, 1, "from number 1" },
        { PCI_SRIOV_VF_OFFSET, 2, 7, "from number 7" },
        { PCI_SRIOV_VF_OFFSET, 2, 0xffff, "from number 65535" },
        { PCI_SRIOV_VF_STRIDE, 2, 0, "in steps of 0" },
        { PCI_SRIOV_VF_STRIDE, 2, 2, "in steps of 2" },
        { PCI_SRIOV_VF_STRIDE, 2, 0xffff, "in steps of 65535" },
        { PCI_SRIOV_BAR, 4, PCI_BASE_ADDRESS_SPACE_IO, "VF BAR 0" },
        { PCI_SRIOV_BAR, 4, PCI_BASE_ADDRESS_MEM_TYPE_64, "VF BAR 1" },
        { PCI_SRIOV_BAR + 4, 4, PCI_BASE_ADDRESS_MEM_TYPE_1M, "VF BAR 1" },
        { PCI_SRIOV_BAR + 4, 4, 6, "VF BAR 1" },
        { 0, 4, PCI_EXT_CAP_ID_SRIOV | 1 << 16 | 0x120 << 20, "runs into" },
        { 0, 4, 0xb | 1 << 16, "no SR-IOV capability" },
    };
    VfDev d;

    vfdev_make(&d, 2, 2);
    vfdev_launch(&d, "");
    for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
        uint8_t was[4];

        memcpy(was, d.sriov + lies[i].at, 4);
        stn_le_p(d.sriov + lies[i].at, lies[i].size, lies[i].val);
        vfdev_all_up(&d);
        g_assert_cmphex(hostvm_readl(d.q, HOSTVM_FUNCTION, 0), ==, 0xb500104c);
        g_assert_cmphex(hostvm_readl(d.q, HOSTVM_FUNCTION + 1, 0), ==,
                        0xb500104c);
        check_no_sriov(&d);
        if (lies[i].error) {
            hostvm_wait_error(d.q, lies[i].error);
        }
        vfdev_all_down(&d);
        memcpy(d.sriov + lies[i].at, was, 4);
    }
    vfdev_all_up(&d);
    vfdev_enable(&d, 2);
    vfdev_check_enabled(&d, 2);
    vfdev_end(&d);
}

/* At the end there is no room for what QEMU's reset writes */
static void test_at_end(void)
{
    VfDev d;

    vfdev_make(&d, 1, 1);
    memcpy(d.ep[0]->config + 0xfc0, d.sriov, 0x40);
    stl_le_p(d.ep[0]->config + 0xfc0, PCI_EXT_CAP_ID_SRIOV | 1 << 16);
    stl_le_p(d.sriov, 0xb | 1 << 16 | 0xfc0 << 20);
    vfdev_launch(&d, "");
    vfdev_all_up(&d);
    hostvm_wait_error(d.q, "runs into");
    g_assert_cmphex(hostvm_ecam_readl(d.q, HOSTVM_FUNCTION, 0xfc0), ==, 0);
    vfdev_all_down(&d);

    memcpy(d.ep[0]->config + 0xf80, d.ep[0]->config + 0xfc0, 0x40);
    stl_le_p(d.sriov, 0xb | 1 << 16 | 0xf80 << 20);
    vfdev_all_up(&d);
    g_assert_cmphex(hostvm_ecam_readl(d.q, HOSTVM_FUNCTION, 0xf80), ==,
                    PCI_EXT_CAP_ID_SRIOV | 1 << 16);
    qtest_system_reset(d.q);
    vfdev_end(&d);
}

/* BARs that cannot be shared in what the guest sees */
static void test_bars_differ(void)
{
    VfDev d;

    vfdev_make(&d, 1, 2);
    fakeep_set_bar(vfdev_vf(&d, 1), 0, 0, 0x8000, true);
    vfdev_launch(&d, "");
    vfdev_all_up(&d);
    hostvm_wait_error(d.q, "BAR 0 has size 0x10000 in one virtual function and "
                      "0x8000");
    check_no_sriov(&d);
    vfdev_all_down(&d);

    fakeep_set_bar(vfdev_vf(&d, 1), 0, 0, VFDEV_BAR0_SIZE, true);
    fakeep_set_bar(vfdev_vf(&d, 1), 5, 0, 0x1000, false);
    stl_le_p(d.sriov + PCI_SRIOV_BAR + 20, PCI_BASE_ADDRESS_MEM_TYPE_64);
    vfdev_all_up(&d);
    hostvm_wait_error(d.q, "VF BAR 5");
    check_no_sriov(&d);
    vfdev_all_down(&d);

    /* Too large for the register that it has; nothing is there */
    fakeep_set_bar(vfdev_vf(&d, 1), 5, 0, 0, false);
    for (unsigned i = 0; i < 2; i++) {
        vfdev_vf(&d, i)->bar[1].size = 1ull << 32;
    }
    vfdev_all_up(&d);
    hostvm_wait_error(d.q, "VF BAR 1 has size 0x100000000, which");
    check_no_sriov(&d);
    for (unsigned i = 0; i < 2; i++) {
        vfdev_vf(&d, i)->bar[1].size = VFDEV_BAR1_SIZE;
    }
    vfdev_end(&d);
}

/* A BAR that no function can have */
static void test_bar_sizes(void)
{
    static const uint64_t bad[] = { 1, 0x800, 0x3000, 1ull << 63, UINT64_MAX };
    VfDev d;

    vfdev_make(&d, 1, 1);
    vfdev_launch(&d, "");
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        vfdev_vf(&d, 0)->bar[1].size = bad[i];
        g_assert_cmpint(fakeep_link_up(d.ep[0]), ==, 0);
        g_assert_cmpint(fakeep_link_up(d.ep[1]), ==, 0);
        hostvm_wait_error(d.q, "BAR 1 has size");
        g_assert_false(hostvm_slot_status(d.q) & PCI_EXP_SLTSTA_PDS);
        fakeep_link_down(d.ep[0]);
        fakeep_link_down(d.ep[1]);
    }
    vfdev_vf(&d, 0)->bar[1].size = 0x1000;
    wait_until(!fakeep_link_up(d.ep[1]) && !fakeep_link_up(d.ep[0]),
               "the bridge to accept both links");
    hostvm_wait_present(d.q, true);
    vfdev_end(&d);
}

/* One that cannot be made into a device keeps all of them away. */
static void test_broken(void)
{
    VfDev d;

    vfdev_make(&d, 1, 3);
    vfdev_vf(&d, 1)->config[PCI_CAPABILITY_LIST] = 0x10;
    vfdev_launch(&d, "");
    for (unsigned i = 0; i < 4; i++) {
        g_assert_cmpint(fakeep_link_up(d.ep[i]), ==, 0);
    }
    hostvm_wait_error(d.q, "capability list is broken");
    g_assert_false(hostvm_slot_status(d.q) & PCI_EXP_SLTSTA_PDS);
    for (unsigned i = 0; i < 4; i++) {
        g_assert_cmpint(fakeep_link_down(d.ep[i]), ==, 0);
    }
    vfdev_vf(&d, 1)->config[PCI_CAPABILITY_LIST] = 0x40;
    vfdev_all_up(&d);
    vfdev_enable(&d, 3);
    vfdev_check_enabled(&d, 3);
    vfdev_end(&d);
}

static bool no_unmap(FakeEp *s, const VfuMsg *m, void *opaque)
{
    return m->hdr.command == VFU_CMD_DMA_UNMAP;
}

/* None answers when its memory is taken: that costs @deadlines for all. */
static void check_silent(void (*take)(VfDev *d), unsigned deadlines)
{
    VfDev d;
    gint64 t;

    vfdev_start(&d, 1, 5);
    vfdev_enable(&d, 5);
    for (unsigned i = 0; i < 5; i++) {
        hostvm_writew(d.q, vfdev_bdf(&d, i), PCI_COMMAND, PCI_COMMAND_MASTER);
        fakeep_wait(vfdev_vf(&d, i), VFU_CMD_DMA_MAP, 1);
        vfdev_vf(&d, i)->hook = no_unmap;
    }
    t = g_get_monotonic_time();
    take(&d);
    g_assert_cmpint(g_get_monotonic_time() - t, <,
                    (deadlines + 1) * VFDEV_DEADLINE_MS * 1000);
    hostvm_wait_present(d.q, false);
    vfdev_check_enabled(&d, 0);
    vfdev_end(&d);
}

static void take_enable(VfDev *d)
{
    vfdev_write(d, PCI_SRIOV_CTRL, 0);
}

static void take_flr(VfDev *d)
{
    hostvm_writew(d->q, HOSTVM_FUNCTION, VFDEV_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
}

static void take_bus(VfDev *d)
{
    hostvm_writew(d->q, HOSTVM_PORT, PCI_BRIDGE_CONTROL,
                  PCI_BRIDGE_CTL_BUS_RESET);
}

/* That begins in QEMU, with one after the other */
static void take_machine(VfDev *d)
{
    qtest_system_reset(d->q);
    hostvm_enable_port(d->q);
}

static void test_silent(void)
{
    check_silent(take_enable, 1);
    check_silent(take_flr, 1);
    check_silent(take_bus, 1);
    check_silent(take_machine, 2);
}

/* An endpoint of one function. The bridge cannot reach the others. */
static void test_no_func(void)
{
    VfDev d;

    vfdev_make(&d, 1, 1);
    d.ep[0]->features &= ~VFU_EP_FEATURE_FUNC;
    vfdev_launch(&d, "");
    g_assert_cmpint(fakeep_link_up(d.ep[0]), ==, 0);
    hostvm_wait_present(d.q, true);
    hostvm_wait_error(d.q, "names 1 functions");
    check_no_sriov(&d);
    vfdev_end(&d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("epf-bridge/vf-hostile/lies", test_lies);
    qtest_add_func("epf-bridge/vf-hostile/at-end", test_at_end);
    qtest_add_func("epf-bridge/vf-hostile/bars-differ", test_bars_differ);
    qtest_add_func("epf-bridge/vf-hostile/bar-sizes", test_bar_sizes);
    qtest_add_func("epf-bridge/vf-hostile/broken", test_broken);
    qtest_add_func("epf-bridge/vf-hostile/silent", test_silent);
    qtest_add_func("epf-bridge/vf-hostile/no-func", test_no_func);
    return g_test_run();
}
