/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual functions of a pci-epc: what the endpoint describes
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "pci-ep/machine-endpoint-vf.h"

/* No capability, only the way to Advanced Error Reporting */
#define NO_SRIOV    0xfb800000

static void check_refused(QTestState *q, const char *props, const char *reason)
{
    g_autofree char *dir = g_dir_make_tmp("pci-epc-XXXXXX", NULL);
    g_autofree char *args = g_strdup_printf(
        "{'execute': 'device_add', 'arguments': {'driver': 'pci-epc', "
        "'socket': '%s/below/link', %s}}", dir, props);
    QDict *rsp = qtest_qmp(q, "%p", qobject_from_json(args, &error_abort));

    assert_qmp_error(rsp, reason);
    qobject_unref(rsp);
    g_assert_cmpint(rmdir(dir), ==, 0);     /* and no socket is left in it */
}

static void test_property(void)
{
    QTestState *q = qtest_init("-machine pc -nodefaults -m 32M");

    check_refused(q, "'functions': 3, 'vfs': 6", "range 0 to 5");
    check_refused(q, "'vfs': 8", "range 0 to 7");
    check_refused(q, "'functions': 8, 'vfs': 1", "range 0 to 0");
    check_refused(q, "'vfs': 4294967295", "range 0 to 7");
    check_refused(q, "'functions': 3, 'vfs': 5", "/below");
    qtest_quit(q);
}

static void test_registers(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");

    g_assert_cmphex(epvm_reg(e, EPC_REG_FEATURES) & EPC_FEATURE_VF, ==, 0);
    g_assert_cmphex(epvm_reg(e, EPC_REG_VF_COUNT), ==, UINT32_MAX);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_VFS), ==, UINT32_MAX);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, 2);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_CONFIG + SRIOV), ==, NO_SRIOV);
    epvm_stop(e);

    e = epvm_start(EPVM_SHARED, ",aer=off");
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_CONFIG + SRIOV), ==, 0);
    epvm_stop(e);

    e = epvm_start(EPVM_SHARED, ",functions=2,vfs=3");
    g_assert_cmphex(epvm_reg(e, EPC_REG_FEATURES) & EPC_FEATURE_VF, !=, 0);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_FN_COUNT), ==, FUNCTIONS);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_VF_COUNT), ==, VFS);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_VFS), ==, 0);
    for (unsigned i = 1; i < NUMBERS; i++) {
        g_assert_cmphex(epvm_vf_reg(e, i, EPC_FN_VFS), ==, UINT32_MAX);
        g_assert_cmphex(epvm_fn_reg(e, EPC_FN_PCI_COMMAND), ==, 0);
    }
    g_assert_cmphex(epvm_vf_reg(e, NUMBERS, EPC_FN_PCI_COMMAND), ==,
                    UINT32_MAX);
    epvm_raise(e, EPC_RAISE_MSI(0), 0);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, NUMBERS + 1);
    epvm_stop(e);
}

static uint32_t add_extended(EpVm *e, uint16_t id)
{
    epvm_set_fn_reg(e, EPC_FN_CAP_ID,
                    EPC_CAP_EXT | 1 << EPC_CAP_VERSION_SHIFT | id);
    epvm_set_fn_reg64(e, EPC_FN_SIZE, 0x10);
    return epvm_command(e, EPC_CMD_ADD_CAP);
}

static void test_commands(void)
{
    EpVm *e = epvm_vf_start("");

    g_assert_cmpuint(epvm_vf_set_header(e, 0), ==, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epvm_vf_set_header(e, VF(2)), ==, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epvm_vf_set_header(e, VF(1)), ==, EPC_STATUS_OK);

    for (unsigned i = 0; i < NUMBERS; i++) {
        epvm_select(e, i);
        g_assert_cmpuint(add_extended(e, PCI_EXT_CAP_ID_SRIOV), ==,
                         EPC_STATUS_BAD_ARG);
        g_assert_cmpuint(add_extended(e, PCI_EXT_CAP_ID_VNDR), ==,
                         EPC_STATUS_OK);
        g_assert_cmphex(epvm_fn_reg(e, EPC_FN_CAP_OFFSET), ==,
                        i ? 0x100 : 0x140);
    }
    epvm_stop(e);

    /* Without virtual functions it is a capability as any other */
    e = epvm_start(EPVM_SHARED, "");
    g_assert_cmpuint(add_extended(e, PCI_EXT_CAP_ID_SRIOV), ==, EPC_STATUS_OK);
    epvm_stop(e);
}

static void test_shown(void)
{
    EpVmVf h;

    epvm_vf_begin(&h);
    g_assert_cmphex(fakehost_config(h.c[0], PCI_VENDOR_ID, 4), ==, EPVM_ID);
    /* The serial number is behind it. */
    g_assert_cmphex(fakehost_config(h.c[0], SRIOV, 4), ==, 0x14010010);
    g_assert_cmpuint(fakehost_config(h.c[0], SRIOV + PCI_SRIOV_INITIAL_VF, 2),
                     ==, VFS);
    g_assert_cmpuint(fakehost_config(h.c[0], SRIOV + PCI_SRIOV_TOTAL_VF, 2), ==,
                     VFS);
    g_assert_cmpuint(fakehost_config(h.c[0], SRIOV + PCI_SRIOV_VF_OFFSET, 2),
                     ==, FUNCTIONS);
    g_assert_cmphex(fakehost_config(h.c[0], SRIOV + PCI_SRIOV_VF_DID, 2), ==,
                    VF_ID);
    fakehost_set_config(h.c[0], SRIOV + PCI_SRIOV_BAR, 4, UINT32_MAX);
    g_assert_cmphex(fakehost_config(h.c[0], SRIOV + PCI_SRIOV_BAR, 4), ==,
                    (uint32_t)-BAR_SIZE | PCI_BASE_ADDRESS_MEM_TYPE_64);
    g_assert_cmphex(fakehost_config(h.c[1], SRIOV, 4), ==, NO_SRIOV);

    for (unsigned k = 1; k <= VFS; k++) {
        FakeHost *c = h.c[VF(k)];

        g_assert_cmphex(fakehost_config(c, PCI_VENDOR_ID, 4), ==, UINT32_MAX);
        g_assert_cmphex(fakehost_config(c, PCI_CLASS_REVISION, 4), ==,
                        VF_CLASS);
        g_assert_cmphex(fakehost_config(c, PCI_SUBSYSTEM_VENDOR_ID, 4), ==,
                        0x56781234);
        g_assert_cmphex(fakehost_config(c, PCI_INTERRUPT_PIN, 1), ==, 0);
        g_assert_cmphex(fakehost_config(c, PCI_BASE_ADDRESS_0, 4), ==, 0);
        g_assert_cmphex(fakehost_config(c, PCI_HEADER_TYPE, 1), ==, 0);
        g_assert_cmphex(fakehost_find_cap(c, PCI_CAP_ID_MSIX), !=, 0);
    }
    epvm_vf_end(&h);
}

/* One function with virtual ones is no multi-function device. */
static void test_single(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",vfs=1");
    FakeHost *c;

    epvm_set_header(e, EPVM_ID, 1);
    epvm_vf_set_header(e, 1);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    c = epvm_join(e, 0, NULL);
    fakehost_link(c, VFU_EP_LINK_UP);
    g_assert_cmphex(c->functions, ==, 3);
    g_assert_cmphex(fakehost_config(c, PCI_HEADER_TYPE, 1), ==, 0);
    fakehost_free(c);
    epvm_stop(e);
}

/* All of them or none, as the first one has a header */
static void test_none(void)
{
    EpVm *e = epvm_vf_start("");
    FakeHost *c = epvm_join(e, 0, NULL);

    epvm_vf_describe(e, VF(2));
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==,
                         EPC_STATUS_OK);
        fakehost_link(c, VFU_EP_LINK_UP);
        g_assert_cmphex(c->functions, ==, i ? ALL : 3);
        g_assert_cmphex(fakehost_config(c, SRIOV, 4), ==, 0x14010010);
        g_assert_cmphex(fakehost_config(c, SRIOV + PCI_SRIOV_INITIAL_VF, 4), ==,
                        i ? VFS << 16 | VFS : 0);
        g_assert_cmphex(fakehost_config(c, SRIOV + PCI_SRIOV_BAR, 4), ==,
                        i ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0);
        epvm_set_reg(e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
        fakehost_link(c, VFU_EP_LINK_DOWN);
        g_assert_cmpuint(epvm_wait_link_command(e), ==, EPC_STATUS_OK);
        g_assert_cmpuint(epvm_vf_set_header(e, VF(1)), ==, EPC_STATUS_OK);
    }
    g_assert_cmpuint(epvm_command(e, EPC_CMD_REMOVE), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    fakehost_link(c, VFU_EP_LINK_UP);
    g_assert_cmphex(c->functions, ==, 3);
    g_assert_cmphex(fakehost_config(c, SRIOV + PCI_SRIOV_INITIAL_VF, 4), ==, 0);
    fakehost_free(c);
    epvm_stop(e);
}

static void check_start(EpVm *e, uint32_t status)
{
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, status);
    if (status == EPC_STATUS_OK) {
        g_assert_cmpuint(epvm_link_command(e, EPC_LINK_STOP), ==,
                         EPC_STATUS_OK);
    }
}

/* A BAR of virtual function 3 that has to fit BAR 0 of the others */
static void check_bar(EpVm *e, unsigned bar, uint32_t flags,
                      uint64_t size, uint32_t status)
{
    epvm_select(e, VF(3));
    g_assert_cmpuint(epvm_set_msix(e, 0, 0, 0), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_clear_bar(e, 0), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, bar, flags, EPC_ADDR_NONE, size), ==,
                     EPC_STATUS_OK);
    check_start(e, status);
    g_assert_cmpuint(epvm_clear_bar(e, bar), ==, EPC_STATUS_OK);
}

static void test_startable(void)
{
    EpVm *e = epvm_vf_start_all("");

    check_start(e, EPC_STATUS_OK);
    check_bar(e, 0, EPC_BAR_FLAG_64, BAR_SIZE / 2, EPC_STATUS_BAD_ARG);
    check_bar(e, 0, EPC_BAR_FLAG_64, BAR_SIZE * 2, EPC_STATUS_BAD_ARG);
    check_bar(e, 0, 0, BAR_SIZE, EPC_STATUS_BAD_ARG);
    check_bar(e, 0, EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH, BAR_SIZE,
              EPC_STATUS_BAD_ARG);
    check_bar(e, 1, 0, BAR_SIZE, EPC_STATUS_BAD_ARG);   /* an upper half */
    check_bar(e, 0, EPC_BAR_FLAG_64, BAR_SIZE, EPC_STATUS_OK);
    check_bar(e, 2, 0, 16, EPC_STATUS_OK);

    /* A table in a BAR that others defined, and one outside of it */
    g_assert_cmpuint(epvm_set_msix(e, 8, 0, TABLE), ==, EPC_STATUS_OK);
    check_start(e, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_msix(e, 8, 0, BAR_SIZE), ==, EPC_STATUS_OK);
    check_start(e, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epvm_set_msix(e, 8, 2, 0), ==, EPC_STATUS_OK);
    check_start(e, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epvm_command(e, EPC_CMD_REMOVE), ==, EPC_STATUS_OK);
    check_start(e, EPC_STATUS_OK);

    /* Function 0 comes first */
    epvm_select(e, 0);
    g_assert_cmpuint(epvm_command(e, EPC_CMD_REMOVE), ==, EPC_STATUS_OK);
    check_start(e, EPC_STATUS_BAD_STATE);
    epvm_stop(e);
}

/* Those that did not define a BAR have it, with nothing in it. */
static void test_undefined_bar(void)
{
    VfuRegionInfo info;
    uint32_t word;
    int fd = -1;
    EpVmVf h;

    h.e = epvm_vf_start_all("");
    epvm_select(h.e, VF(3));
    g_assert_cmpuint(epvm_command(h.e, EPC_CMD_REMOVE), ==, EPC_STATUS_OK);
    epvm_vf_attach(&h);
    epvm_vf_enable(&h, VFS);

    g_assert_cmpint(fakehost_region_info(h.c[VF(3)], 0, &info, &fd), ==, 0);
    g_assert_cmphex(info.size, ==, BAR_SIZE);
    g_assert_cmpint(fd, ==, -1);
    g_assert_cmpint(fakehost_read(h.c[VF(3)], 0, 0, &word, 4), ==, 0);
    g_assert_cmphex(word, ==, UINT32_MAX);
    g_assert_cmpuint(epvm_set_bar(h.e, 0, EPC_BAR_FLAG_64, BAR(4), BAR_SIZE),
                     ==, EPC_STATUS_BAD_STATE);

    g_assert_cmpint(fakehost_region_info(h.c[VF(2)], 0, &info, &fd), ==, 0);
    g_assert_cmphex(info.size, ==, BAR_SIZE);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    epvm_vf_end(&h);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/vf/property", test_property);
    qtest_add_func("/pci-epc/vf/registers", test_registers);
    qtest_add_func("/pci-epc/vf/commands", test_commands);
    qtest_add_func("/pci-epc/vf/shown", test_shown);
    qtest_add_func("/pci-epc/vf/single", test_single);
    qtest_add_func("/pci-epc/vf/none", test_none);
    qtest_add_func("/pci-epc/vf/startable", test_startable);
    qtest_add_func("/pci-epc/vf/undefined-bar", test_undefined_bar);
    return g_test_run();
}
