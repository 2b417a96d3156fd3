/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of config/sriov: the SR-IOV capability and the configuration
 * space of virtual functions
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "standard-headers/linux/pci_regs.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/pci-epc-regs.h"

#define SRIOV       EPC_CONFIG_SRIOV
#define CTRL        (SRIOV + PCI_SRIOV_CTRL)
#define NUM         (SRIOV + PCI_SRIOV_NUM_VF)
#define PGSIZE      (SRIOV + PCI_SRIOV_SYS_PGSIZE)
#define VF_BAR(n)   (SRIOV + PCI_SRIOV_BAR + 4 * (n))
#define DEVCTL      (EPC_CONFIG_EXP + PCI_EXP_DEVCTL)
#define ENABLE      (PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE)
#define VFS(n)      (EPC_FN_VFS_ENABLE | EPC_FN_VFS_MEMORY | (n))
#define TOTAL       3

static const EpcHeader header = {
    .vendor = 0x104c, .device = 0xb501,
    .subsys_vendor = 0x1234, .subsys = 0x5678,
    .class_rev = 0xff000001, .int_pin = 1,
};

static uint32_t rd(const EpcConfig *c, uint32_t offset, unsigned len)
{
    uint8_t buf[4] = { 0 };

    g_assert_true(epc_config_read(c, offset, buf, len));
    return ldl_le_p(buf);
}

static uint32_t wr(EpcConfig *c, uint32_t offset, uint32_t value, unsigned len)
{
    uint8_t buf[4];
    uint32_t events = 0xdead;

    stl_le_p(buf, value);
    g_assert_true(epc_config_write(c, offset, buf, len, &events));
    return events;
}

/* Function 0 of two, with TOTAL virtual functions */
static EpcConfig *make_function(void)
{
    EpcConfig *c = g_new(EpcConfig, 1);

    epc_config_init(c, 3, 4);
    epc_config_add_sriov(c, 2);
    epc_config_set_header(c, &header);
    epc_config_set_vfs(c, TOTAL, 0xb502);
    return c;
}

static EpcConfig *make_vf(void)
{
    EpcConfig *c = g_new(EpcConfig, 1);

    epc_config_init_vf(c, 3, 4);
    return c;
}

static void test_capability(void)
{
    g_autofree EpcConfig *c = make_function();

    g_assert_cmphex(rd(c, SRIOV, 4), ==, 0x00010010);
    g_assert_cmphex(rd(c, SRIOV + PCI_SRIOV_CAP, 4), ==, 0);
    g_assert_cmphex(rd(c, CTRL, 4), ==, 0);
    g_assert_cmpuint(rd(c, SRIOV + PCI_SRIOV_INITIAL_VF, 2), ==, TOTAL);
    g_assert_cmpuint(rd(c, SRIOV + PCI_SRIOV_TOTAL_VF, 2), ==, TOTAL);
    g_assert_cmphex(rd(c, NUM, 4), ==, 0);
    g_assert_cmpuint(rd(c, SRIOV + PCI_SRIOV_VF_OFFSET, 2), ==, 2);
    g_assert_cmpuint(rd(c, SRIOV + PCI_SRIOV_VF_STRIDE, 2), ==, 1);
    g_assert_cmphex(rd(c, SRIOV + PCI_SRIOV_VF_DID, 2), ==, 0xb502);
    g_assert_cmphex(rd(c, SRIOV + PCI_SRIOV_SUP_PGSIZE, 4), ==, 0x553);
    g_assert_cmphex(rd(c, PGSIZE, 4), ==, 1);
    g_assert_cmphex(rd(c, SRIOV + 0x3c, 4), ==, 0);

    /* None of it is the host's but what it is for */
    for (unsigned at = SRIOV; at < SRIOV + 0x40; at += 4) {
        wr(c, at, at == CTRL ? ~PCI_SRIOV_CTRL_VFE : UINT32_MAX, 4);
    }
    g_assert_cmphex(rd(c, CTRL, 4), ==, PCI_SRIOV_CTRL_MSE |
                    PCI_SRIOV_CTRL_ARI);
    g_assert_cmphex(rd(c, SRIOV, 4), ==, 0x00010010);
    g_assert_cmphex(rd(c, SRIOV + PCI_SRIOV_INITIAL_VF, 4), ==,
                    TOTAL << 16 | TOTAL);
    g_assert_cmphex(rd(c, NUM, 4), ==, 0xffff);
    g_assert_cmphex(rd(c, SRIOV + PCI_SRIOV_VF_OFFSET, 4), ==, 0x10002);
    g_assert_cmphex(rd(c, PGSIZE, 4), ==, 0x553);
    for (unsigned n = 0; n < EPC_NUM_BARS; n++) {
        g_assert_cmphex(rd(c, VF_BAR(n), 4), ==, 0);
    }
}

/* What the endpoint adds comes after it. */
static void test_first(void)
{
    g_autofree EpcConfig *c = make_function();

    g_assert_cmphex(epc_config_add_cap(c, EPC_CAP_EXT | 1 << 16 | 0xb, 8), ==,
                    SRIOV + 0x40);
    g_assert_cmphex(rd(c, SRIOV, 4), ==, (SRIOV + 0x40) << 20 | 0x10010);
    g_assert_cmphex(rd(c, SRIOV + 0x40, 4), ==, 0x1000b);
    /* The endpoint has no say in it */
    g_assert_false(epc_config_set_register(c, NUM, 2, 1, 0xffff));
}

static void test_none(void)
{
    g_autofree EpcConfig *c = make_function();

    epc_config_set_vf_bar(c, 0, EPC_BAR_FLAG_64, 4096);
    epc_config_set_vfs(c, 0, 0);
    g_assert_cmphex(rd(c, SRIOV + PCI_SRIOV_INITIAL_VF, 4), ==, 0);
    g_assert_cmphex(rd(c, SRIOV + PCI_SRIOV_VF_DID, 2), ==, 0);
    wr(c, VF_BAR(0), 0xffffffff, 4);
    wr(c, VF_BAR(1), 0xffffffff, 4);
    g_assert_cmphex(rd(c, VF_BAR(0), 4), ==, 0);
    g_assert_cmphex(rd(c, VF_BAR(1), 4), ==, 0);
    wr(c, NUM, 1, 2);
    g_assert_cmphex(wr(c, CTRL, ENABLE, 2), ==, EPC_FN_EVENT_VFS);
    g_assert_cmphex(epc_config_vfs(c), ==, EPC_FN_VFS_MEMORY);
}

static void test_enable(void)
{
    g_autofree EpcConfig *c = make_function();

    g_assert_cmphex(wr(c, NUM, 2, 2), ==, 0);
    g_assert_cmphex(epc_config_vfs(c), ==, 0);
    g_assert_cmphex(wr(c, CTRL, ENABLE, 2), ==, EPC_FN_EVENT_VFS);
    g_assert_cmphex(epc_config_vfs(c), ==, VFS(2));
    g_assert_cmphex(wr(c, CTRL, ENABLE, 2), ==, 0);

    /* The number stands as long as they are enabled. */
    g_assert_cmphex(wr(c, NUM, 3, 2), ==, 0);
    g_assert_cmphex(wr(c, NUM + 1, 1, 1), ==, 0);
    g_assert_cmphex(rd(c, NUM, 2), ==, 2);
    g_assert_cmphex(wr(c, CTRL, PCI_SRIOV_CTRL_VFE, 1), ==, EPC_FN_EVENT_VFS);
    g_assert_cmphex(epc_config_vfs(c), ==, EPC_FN_VFS_ENABLE | 2);
    g_assert_cmphex(wr(c, CTRL, PCI_SRIOV_CTRL_MSE, 2), ==, EPC_FN_EVENT_VFS);
    g_assert_cmphex(epc_config_vfs(c), ==, EPC_FN_VFS_MEMORY);
    g_assert_cmphex(rd(c, NUM, 2), ==, 2);
    g_assert_cmphex(wr(c, NUM, 3, 2), ==, 0);
    g_assert_cmphex(rd(c, NUM, 2), ==, 3);
}

/* More than there are cannot be enabled. */
static void test_too_many(void)
{
    g_autofree EpcConfig *c = make_function();
    uint8_t both[NUM + 2 - CTRL];
    uint32_t events;

    wr(c, NUM, TOTAL + 1, 2);
    wr(c, CTRL, ENABLE | PCI_SRIOV_CTRL_ARI, 2);
    g_assert_cmphex(rd(c, CTRL, 2), ==, PCI_SRIOV_CTRL_MSE |
                    PCI_SRIOV_CTRL_ARI);
    wr(c, NUM, TOTAL, 2);
    wr(c, CTRL, ENABLE, 2);
    g_assert_cmphex(epc_config_vfs(c), ==, VFS(TOTAL));

    /* Nor by one write that has all of it */
    wr(c, CTRL, 0, 2);
    g_assert_true(epc_config_read(c, CTRL, both, sizeof(both)));
    both[0] = ENABLE;
    both[NUM - CTRL] = TOTAL + 1;
    g_assert_true(epc_config_write(c, CTRL, both, sizeof(both), &events));
    g_assert_cmphex(epc_config_vfs(c), ==, EPC_FN_VFS_MEMORY);
    both[NUM - CTRL] = 1;
    g_assert_true(epc_config_write(c, CTRL, both, sizeof(both), &events));
    g_assert_cmphex(events, ==, EPC_FN_EVENT_VFS);
    g_assert_cmphex(epc_config_vfs(c), ==, VFS(1));
}

static void test_bars(void)
{
    g_autofree EpcConfig *c = make_function();

    epc_config_set_vf_bar(c, 0, 0, 8192);
    epc_config_set_vf_bar(c, 2, EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH,
                          1ull << 33);
    epc_config_set_vf_bar(c, 5, EPC_BAR_FLAG_PREFETCH, 4096);
    g_assert_cmphex(rd(c, VF_BAR(0), 4), ==, 0);
    g_assert_cmphex(rd(c, VF_BAR(2), 4), ==, 0xc);
    g_assert_cmphex(rd(c, VF_BAR(5), 4), ==, 0x8);
    for (unsigned n = 0; n < EPC_NUM_BARS; n++) {
        g_assert_cmphex(wr(c, VF_BAR(n), 0xffffffff, 4), ==, 0);
    }
    g_assert_cmphex(rd(c, VF_BAR(0), 4), ==, 0xffffe000);
    g_assert_cmphex(rd(c, VF_BAR(1), 4), ==, 0);
    g_assert_cmphex(rd(c, VF_BAR(2), 4), ==, 0xc);
    g_assert_cmphex(rd(c, VF_BAR(3), 4), ==, 0xfffffffe);
    g_assert_cmphex(rd(c, VF_BAR(4), 4), ==, 0);
    g_assert_cmphex(rd(c, VF_BAR(5), 4), ==, 0xfffff008);
    /* The function's own are other ones. */
    wr(c, PCI_BASE_ADDRESS_0, 0xffffffff, 4);
    g_assert_cmphex(rd(c, PCI_BASE_ADDRESS_0, 4), ==, 0);
}

static void test_reset(void)
{
    g_autofree EpcConfig *c = make_function();

    epc_config_set_vf_bar(c, 0, EPC_BAR_FLAG_64, 4096);
    wr(c, NUM, 2, 2);
    wr(c, PGSIZE, 0x10, 4);
    wr(c, VF_BAR(0), 0xfe000000, 4);
    wr(c, CTRL, ENABLE | PCI_SRIOV_CTRL_ARI, 2);
    g_assert_cmphex(wr(c, DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, 2), ==,
                    EPC_FN_EVENT_FLR | EPC_FN_EVENT_VFS);
    g_assert_cmphex(epc_config_vfs(c), ==, 0);
    g_assert_cmphex(rd(c, CTRL, 2), ==, 0);
    g_assert_cmphex(rd(c, NUM, 2), ==, 0);
    g_assert_cmphex(rd(c, PGSIZE, 4), ==, 1);
    g_assert_cmphex(rd(c, VF_BAR(0), 4), ==, 4);
    g_assert_cmpuint(rd(c, SRIOV + PCI_SRIOV_TOTAL_VF, 2), ==, TOTAL);
    g_assert_cmphex(rd(c, SRIOV + PCI_SRIOV_VF_DID, 2), ==, 0xb502);
}

static void test_vf_header(void)
{
    g_autofree EpcConfig *c = make_vf();
    g_autofree EpcConfig *other = make_vf();

    g_assert_true(epc_config_empty(c));
    epc_config_set_header(c, &header);
    epc_config_set_bar(c, 0, 0, 4096);
    epc_config_copy_header(other, c);
    g_assert_false(epc_config_empty(c));
    g_assert_true(epc_config_empty(other));
    g_assert_cmphex(c->device, ==, 0xb501);
    g_assert_cmphex(rd(c, PCI_VENDOR_ID, 4), ==, 0xffffffff);
    g_assert_cmphex(rd(c, PCI_INTERRUPT_PIN, 1), ==, 0);
    g_assert_cmphex(rd(other, PCI_CLASS_REVISION, 4), ==, 0xff000001);
    g_assert_cmphex(rd(other, PCI_SUBSYSTEM_VENDOR_ID, 4), ==, 0x56781234);
    g_assert_cmpint(memcmp(c->data, other->data, EPC_CONFIG_SIZE), ==, 0);

    g_assert_cmphex(epc_config_vfs(c), ==, 0);
    g_assert_cmphex(rd(c, SRIOV, 4), ==, 0);
}

/* What the host may write */
static void test_vf_writes(void)
{
    g_autofree EpcConfig *c = make_vf();
    static const unsigned reserved[] = {
        EPC_CONFIG_EXP + PCI_EXP_LNKCTL, EPC_CONFIG_EXP + PCI_EXP_LNKSTA,
        EPC_CONFIG_EXP + PCI_EXP_DEVCTL2, EPC_CONFIG_EXP + PCI_EXP_LNKCTL2,
    };

    epc_config_set_bar(c, 0, EPC_BAR_FLAG_64, 4096);
    g_assert_cmphex(wr(c, PCI_COMMAND, 0xffff, 2), ==, EPC_FN_EVENT_COMMAND);
    g_assert_cmphex(epc_config_command(c), ==, PCI_COMMAND_MASTER);
    for (unsigned at = PCI_CACHE_LINE_SIZE; at < PCI_CAPABILITY_LIST; at += 4) {
        wr(c, at, 0xffffffff, 4);
        g_assert_cmphex(rd(c, at, 4), ==, 0);
    }
    wr(c, PCI_INTERRUPT_LINE, 0xffff, 2);
    g_assert_cmphex(rd(c, PCI_INTERRUPT_LINE, 2), ==, 0);
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
        wr(c, reserved[i], 0xffff, 2);
        g_assert_cmphex(rd(c, reserved[i], 2), ==, 0);
    }
    wr(c, DEVCTL, 0x7fff, 2);
    g_assert_cmphex(rd(c, DEVCTL, 2), ==, 0);
}

static void test_vf_caps(void)
{
    g_autofree EpcConfig *c = make_vf();
    bool masked;

    epc_config_set_msi(c, 4);
    epc_config_set_msix(c, 8, 0, 0, 0x80);
    g_assert_cmphex(epc_config_add_cap(c, 9, 8), ==, EPC_CONFIG_FREE);
    g_assert_cmphex(epc_config_add_cap(c, EPC_CAP_EXT | 0xb, 8), ==, 0x100);
    g_assert_cmphex(wr(c, EPC_CONFIG_MSIX + PCI_MSIX_FLAGS,
                       PCI_MSIX_FLAGS_ENABLE, 2), ==, EPC_FN_EVENT_MSI);
    g_assert_true(epc_config_msix_enabled(c, &masked));
    wr(c, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
    g_assert_cmphex(wr(c, DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, 2), ==,
                    EPC_FN_EVENT_FLR | EPC_FN_EVENT_COMMAND |
                    EPC_FN_EVENT_MSI);
    g_assert_cmphex(epc_config_command(c), ==, 0);
    g_assert_false(epc_config_msix_enabled(c, &masked));
    g_assert_cmpuint(epc_config_msix_size(c), ==, 8);
    g_assert_cmphex(rd(c, DEVCTL, 2), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/epc-config-sriov/capability", test_capability);
    g_test_add_func("/epc-config-sriov/first", test_first);
    g_test_add_func("/epc-config-sriov/none", test_none);
    g_test_add_func("/epc-config-sriov/enable", test_enable);
    g_test_add_func("/epc-config-sriov/too-many", test_too_many);
    g_test_add_func("/epc-config-sriov/bars", test_bars);
    g_test_add_func("/epc-config-sriov/reset", test_reset);
    g_test_add_func("/epc-config-sriov/vf-header", test_vf_header);
    g_test_add_func("/epc-config-sriov/vf-writes", test_vf_writes);
    g_test_add_func("/epc-config-sriov/vf-caps", test_vf_caps);
    return g_test_run();
}
