/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual functions of a pci-epc: what the endpoint describes
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "pci-ep-endpoint-vf.h"

static void check_refused(QTestState *q, const char *props, const char *advice)
{
    g_autofree char *args = g_strdup_printf(
        "{'execute': 'device_add', 'arguments': {'driver': 'pci-epc', "
        "'socket': '/nowhere/link', %s}}", props);
    QDict *rsp = qtest_qmp(q, "%p", qobject_from_json(args, &error_abort));

    g_assert_true(qdict_haskey(rsp, "error"));
    g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(rsp, "error"),
                                          "desc"), advice));
    qobject_unref(rsp);
}

static void test_property(void)
{
    QTestState *q = qtest_init("-machine pc -nodefaults -m 32M");

    check_refused(q, "'functions': 3, 'vfs': 6", "use 0 to 5");
    check_refused(q, "'vfs': 8", "use 0 to 7");
    check_refused(q, "'functions': 8, 'vfs': 1", "use 0 to 0");
    check_refused(q, "'vfs': 4294967295", "use 0 to 7");
    check_refused(q, "'functions': 3, 'vfs': 5", "/nowhere");
    qtest_quit(q);
}

static void test_registers(void)
{
    EpEndpoint *e = epe_start(EPE_SHARED, "");

    g_assert_cmphex(epe_reg(e, EPC_REG_FEATURES) & EPC_FEATURE_VF, ==, 0);
    g_assert_cmphex(epe_reg(e, EPC_REG_VF_COUNT), ==, UINT32_MAX);
    g_assert_cmphex(epe_fn(e, EPC_FN_VFS), ==, UINT32_MAX);
    g_assert_cmpuint(epe_reg(e, EPC_REG_BAD_ACCESS), ==, 2);
    g_assert_cmphex(epe_fn(e, EPC_FN_CONFIG + SRIOV), ==, 0);
    epe_stop(e);

    e = epe_start(EPE_SHARED, ",functions=2,vfs=3");
    g_assert_cmphex(epe_reg(e, EPC_REG_FEATURES) & EPC_FEATURE_VF, !=, 0);
    g_assert_cmpuint(epe_reg(e, EPC_REG_FN_COUNT), ==, FUNCTIONS);
    g_assert_cmpuint(epe_reg(e, EPC_REG_VF_COUNT), ==, VFS);
    g_assert_cmphex(epe_fn(e, EPC_FN_VFS), ==, 0);
    for (unsigned i = 1; i < NUMBERS; i++) {
        g_assert_cmphex(epv_reg(e, i, EPC_FN_VFS), ==, UINT32_MAX);
        g_assert_cmphex(epe_fn(e, EPC_FN_PCI_COMMAND), ==, 0);
    }
    g_assert_cmphex(epv_reg(e, NUMBERS, EPC_FN_PCI_COMMAND), ==, UINT32_MAX);
    epe_raise(e, EPC_RAISE_MSI(0), 0);
    g_assert_cmpuint(epe_reg(e, EPC_REG_BAD_ACCESS), ==, NUMBERS + 1);
    epe_stop(e);
}

static uint32_t add_extended(EpEndpoint *e, uint16_t id)
{
    epe_fn_set(e, EPC_FN_CAP_ID, EPC_CAP_EXT | 1 << EPC_CAP_VERSION_SHIFT | id);
    epe_fn_set64(e, EPC_FN_SIZE, 0x10);
    return epe_command(e, EPC_CMD_ADD_CAP);
}

static void test_commands(void)
{
    EpEndpoint *e = epv_start("");

    g_assert_cmpuint(epv_set_header(e, 0), ==, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epv_set_header(e, VF(2)), ==, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epv_set_header(e, VF(1)), ==, EPC_STATUS_OK);

    for (unsigned i = 0; i < NUMBERS; i++) {
        epe_select(e, i);
        g_assert_cmpuint(add_extended(e, PCI_EXT_CAP_ID_SRIOV), ==,
                         EPC_STATUS_BAD_ARG);
        g_assert_cmpuint(add_extended(e, PCI_EXT_CAP_ID_VNDR), ==,
                         EPC_STATUS_OK);
        g_assert_cmphex(epe_fn(e, EPC_FN_CAP_OFFSET), ==, i ? 0x100 : 0x140);
    }
    epe_stop(e);

    /* Without virtual functions it is a capability as any other */
    e = epe_start(EPE_SHARED, "");
    g_assert_cmpuint(add_extended(e, PCI_EXT_CAP_ID_SRIOV), ==, EPC_STATUS_OK);
    epe_stop(e);
}

static void test_shown(void)
{
    EpVfHosts h;

    epv_begin(&h);
    g_assert_cmphex(pep_config(h.c[0], PCI_VENDOR_ID, 4), ==, EPE_ID);
    g_assert_cmphex(pep_config(h.c[0], SRIOV, 4), ==, 0x10010);
    g_assert_cmpuint(pep_config(h.c[0], SRIOV + PCI_SRIOV_INITIAL_VF, 2), ==,
                     VFS);
    g_assert_cmpuint(pep_config(h.c[0], SRIOV + PCI_SRIOV_TOTAL_VF, 2), ==,
                     VFS);
    g_assert_cmpuint(pep_config(h.c[0], SRIOV + PCI_SRIOV_VF_OFFSET, 2), ==,
                     FUNCTIONS);
    g_assert_cmphex(pep_config(h.c[0], SRIOV + PCI_SRIOV_VF_DID, 2), ==, VF_ID);
    pep_set_config(h.c[0], SRIOV + PCI_SRIOV_BAR, 4, UINT32_MAX);
    g_assert_cmphex(pep_config(h.c[0], SRIOV + PCI_SRIOV_BAR, 4), ==,
                    (uint32_t)-BAR_SIZE | PCI_BASE_ADDRESS_MEM_TYPE_64);
    g_assert_cmphex(pep_config(h.c[1], SRIOV, 4), ==, 0);

    for (unsigned k = 1; k <= VFS; k++) {
        PepClient *c = h.c[VF(k)];

        g_assert_cmphex(pep_config(c, PCI_VENDOR_ID, 4), ==, UINT32_MAX);
        g_assert_cmphex(pep_config(c, PCI_CLASS_REVISION, 4), ==, VF_CLASS);
        g_assert_cmphex(pep_config(c, PCI_SUBSYSTEM_VENDOR_ID, 4), ==,
                        0x56781234);
        g_assert_cmphex(pep_config(c, PCI_INTERRUPT_PIN, 1), ==, 0);
        g_assert_cmphex(pep_config(c, PCI_BASE_ADDRESS_0, 4), ==, 0);
        g_assert_cmphex(pep_config(c, PCI_HEADER_TYPE, 1), ==, 0);
        g_assert_cmphex(pep_find_cap(c, PCI_CAP_ID_MSIX), !=, 0);
    }
    epv_end(&h);
}

/* One function with virtual ones is no multi-function device. */
static void test_single(void)
{
    EpEndpoint *e = epe_start(EPE_SHARED, ",vfs=1");
    PepClient *c;

    epe_set_header(e, EPE_ID, 1);
    epv_set_header(e, 1);
    g_assert_cmpuint(epe_link(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    c = epe_join(e, 0, NULL);
    pep_link(c, VFU_EP_LINK_UP);
    g_assert_cmphex(c->functions, ==, 3);
    g_assert_cmphex(pep_config(c, PCI_HEADER_TYPE, 1), ==, 0);
    pep_free(c);
    epe_stop(e);
}

/* All of them or none, as the first one has a header */
static void test_none(void)
{
    EpEndpoint *e = epv_start("");
    PepClient *c = epe_join(e, 0, NULL);

    epv_describe(e, VF(2));
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpuint(epe_link(e, EPC_LINK_START), ==, EPC_STATUS_OK);
        pep_link(c, VFU_EP_LINK_UP);
        g_assert_cmphex(c->functions, ==, i ? ALL : 3);
        g_assert_cmphex(pep_config(c, SRIOV, 4), ==, 0x10010);
        g_assert_cmphex(pep_config(c, SRIOV + PCI_SRIOV_INITIAL_VF, 4), ==,
                        i ? VFS << 16 | VFS : 0);
        g_assert_cmphex(pep_config(c, SRIOV + PCI_SRIOV_BAR, 4), ==,
                        i ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0);
        epe_set(e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
        pep_link(c, VFU_EP_LINK_DOWN);
        g_assert_cmpuint(epe_wait_link_cmd(e), ==, EPC_STATUS_OK);
        g_assert_cmpuint(epv_set_header(e, VF(1)), ==, EPC_STATUS_OK);
    }
    g_assert_cmpuint(epe_command(e, EPC_CMD_REMOVE), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_link(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    pep_link(c, VFU_EP_LINK_UP);
    g_assert_cmphex(c->functions, ==, 3);
    g_assert_cmphex(pep_config(c, SRIOV + PCI_SRIOV_INITIAL_VF, 4), ==, 0);
    pep_free(c);
    epe_stop(e);
}

static void check_start(EpEndpoint *e, uint32_t status)
{
    g_assert_cmpuint(epe_link(e, EPC_LINK_START), ==, status);
    if (status == EPC_STATUS_OK) {
        g_assert_cmpuint(epe_link(e, EPC_LINK_STOP), ==, EPC_STATUS_OK);
    }
}

/* A BAR of virtual function 3 that has to fit BAR 0 of the others */
static void check_bar(EpEndpoint *e, unsigned bar, uint32_t flags,
                      uint64_t size, uint32_t status)
{
    epe_select(e, VF(3));
    g_assert_cmpuint(epe_set_msix(e, 0, 0, 0), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_clear_bar(e, 0), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_set_bar(e, bar, flags, EPC_ADDR_NONE, size), ==,
                     EPC_STATUS_OK);
    check_start(e, status);
    g_assert_cmpuint(epe_clear_bar(e, bar), ==, EPC_STATUS_OK);
}

static void test_startable(void)
{
    EpEndpoint *e = epv_start_all("");

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
    g_assert_cmpuint(epe_set_msix(e, 8, 0, TABLE), ==, EPC_STATUS_OK);
    check_start(e, EPC_STATUS_OK);
    g_assert_cmpuint(epe_set_msix(e, 8, 0, BAR_SIZE), ==, EPC_STATUS_OK);
    check_start(e, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epe_set_msix(e, 8, 2, 0), ==, EPC_STATUS_OK);
    check_start(e, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epe_command(e, EPC_CMD_REMOVE), ==, EPC_STATUS_OK);
    check_start(e, EPC_STATUS_OK);

    /* Function 0 comes first */
    epe_select(e, 0);
    g_assert_cmpuint(epe_command(e, EPC_CMD_REMOVE), ==, EPC_STATUS_OK);
    check_start(e, EPC_STATUS_BAD_STATE);
    epe_stop(e);
}

/* Those that did not define a BAR have it, with nothing in it. */
static void test_undefined_bar(void)
{
    VfuRegionInfo info;
    uint32_t word;
    int fd = -1;
    EpVfHosts h;

    h.e = epv_start_all("");
    epe_select(h.e, VF(3));
    g_assert_cmpuint(epe_command(h.e, EPC_CMD_REMOVE), ==, EPC_STATUS_OK);
    epv_attach(&h);
    epv_enable(&h, VFS);

    g_assert_cmpint(pep_region_info(h.c[VF(3)], 0, &info, &fd), ==, 0);
    g_assert_cmphex(info.size, ==, BAR_SIZE);
    g_assert_cmpint(fd, ==, -1);
    g_assert_cmpint(pep_read(h.c[VF(3)], 0, 0, &word, 4), ==, 0);
    g_assert_cmphex(word, ==, UINT32_MAX);
    g_assert_cmpuint(epe_set_bar(h.e, 0, EPC_BAR_FLAG_64, BAR(4), BAR_SIZE),
                     ==, EPC_STATUS_BAD_STATE);

    g_assert_cmpint(pep_region_info(h.c[VF(2)], 0, &info, &fd), ==, 0);
    g_assert_cmphex(info.size, ==, BAR_SIZE);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    epv_end(&h);
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
