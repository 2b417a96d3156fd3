/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc without a host: values of registers, and every command's arguments
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "qapi/error.h"
#include "libqos/pci.h"
#include "libqos/pci-pc.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "pci-ep/machine-endpoint.h"

/* ---- Values ---- */

static void test_identity(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",max-maps=77,deadline-ms=123");

    g_assert_cmphex(epvm_reg(e, EPC_REG_MAGIC), ==, EPC_MAGIC);
    g_assert_cmphex(epvm_reg(e, EPC_REG_VERSION), ==, EPC_VERSION);
    g_assert_cmphex(epvm_reg(e, EPC_REG_FEATURES), ==,
                    EPC_FEATURE_MSI | EPC_FEATURE_MSIX | EPC_FEATURE_INTX |
                    EPC_FEATURE_WINDOW | EPC_FEATURE_RETARGET |
                    EPC_FEATURE_DOORBELL | EPC_FEATURE_DMA |
                    EPC_FEATURE_SUBRANGE | EPC_FEATURE_CAPS |
                    EPC_FEATURE_TRAP | EPC_FEATURE_MASKS | EPC_FEATURE_DOE |
                    EPC_FEATURE_DMA_LATE | EPC_FEATURE_LIMITS);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_FN_COUNT), ==, 1);
    g_assert_cmphex(epvm_reg(e, EPC_REG_FN_STRIDE), >=, 0x2000);
    g_assert_cmphex(epvm_reg(e, EPC_REG_RAISE_STRIDE), >=, EPC_RAISE_SIZE);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_GRANULE), ==,
                     qemu_real_host_page_size());
    g_assert_cmpuint(epvm_reg(e, EPC_REG_MAX_MAPS), ==, 77);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_DEADLINE), ==, 123);
    g_assert_cmphex(epvm_reg(e, EPC_REG_LINK), ==, 0);
    g_assert_cmphex(epvm_reg(e, EPC_REG_RESET), ==, 0);
    g_assert_cmpuint(epvm_prop(e, "link-up"), ==, 0);
    g_assert_cmpuint(epvm_prop(e, "generation"), ==, 0);
    g_assert_cmpuint(epvm_prop(e, "live-maps"), ==, 0);
    g_assert_cmpuint(epvm_prop(e, "dma-regions"), ==, 0);
    epvm_stop(e);
}

/* Argument registers keep what is written, by halves or whole. */
static void test_arguments(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    static const uint32_t narrow[] = {
        EPC_FN_BAR, EPC_FN_BAR_FLAGS, EPC_FN_COUNT, EPC_FN_ID, EPC_FN_CLASS,
        EPC_FN_SUBSYS, EPC_FN_INT_PIN, EPC_FN_CAP_ID, EPC_FN_VALUE,
        EPC_FN_WMASK,
    };
    static const uint32_t wide[] = { EPC_FN_ADDR, EPC_FN_SIZE, EPC_FN_OFFSET };

    for (unsigned i = 0; i < ARRAY_SIZE(narrow); i++) {
        g_assert_cmphex(epvm_fn_reg(e, narrow[i]), ==, 0);
        epvm_set_fn_reg(e, narrow[i], 0xa0b0c0d0 + i);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(wide); i++) {
        uint64_t at = e->fn_base + wide[i];

        epvm_set_fn_reg64(e, wide[i], 0x1122334455667700ull + i);
        g_assert_cmphex(epvm_read(e, at, 4), ==, 0x55667700 + i);
        g_assert_cmphex(epvm_read(e, at + 4, 4), ==, 0x11223344);
        epvm_write(e, at + 4, 4, 0xfedcba98);
        g_assert_cmphex(epvm_read(e, at, 8), ==, 0xfedcba9855667700ull + i);
        epvm_write(e, at, 4, 0x76543210);
        g_assert_cmphex(epvm_read(e, at, 8), ==, 0xfedcba9876543210ull);
    }
    epvm_command(e, EPC_CMD_SET_BAR);    /* changes none of them */
    for (unsigned i = 0; i < ARRAY_SIZE(narrow); i++) {
        g_assert_cmphex(epvm_fn_reg(e, narrow[i]), ==, 0xa0b0c0d0 + i);
    }
    g_assert_cmphex(epvm_read(e, e->fn_base + EPC_FN_ADDR, 8), ==,
                    0xfedcba9876543210ull);
    epvm_stop(e);
}

static void test_events_idle(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");

    epvm_set_reg(e, EPC_REG_EVENT_MASK, UINT32_MAX);
    g_assert_cmphex(epvm_reg(e, EPC_REG_EVENT_MASK), ==, EPC_EVENT_ALL);
    epvm_set_fn_reg(e, EPC_FN_EVENT_MASK, UINT32_MAX);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_EVENT_MASK), ==, EPC_FN_EVENT_ALL);
    epvm_set_reg(e, EPC_REG_EVENT, UINT32_MAX);
    epvm_set_fn_reg(e, EPC_FN_EVENT, UINT32_MAX);
    g_assert_cmphex(epvm_reg(e, EPC_REG_EVENT), ==, 0);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_EVENT), ==, 0);
    g_assert_cmphex(epvm_reg(e, EPC_REG_FN_PENDING), ==, 0);
    g_assert_false(epvm_vector(e, EPC_VECTOR_EVENT, 20));
    g_assert_false(epvm_vector(e, EPC_VECTOR_COMMAND, 0));
    epvm_stop(e);
}

/* ---- Commands ---- */

static void test_bad_commands(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    static const uint32_t bad[] = { 0, EPC_CMD_ADD_DOE + 1, 0xff, 1u << 31 };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert_cmpuint(epvm_command(e, EPC_CMD_UNMAP), ==, EPC_STATUS_OK);
        g_assert_cmpuint(epvm_command(e, bad[i]), ==, EPC_STATUS_BAD_CMD);
        g_assert_cmphex(epvm_fn_reg(e, EPC_FN_CMD), ==, bad[i]);
        if (bad[i] != EPC_LINK_START) {
            g_assert_cmpuint(epvm_link_command(e, bad[i]), ==,
                             EPC_STATUS_BAD_CMD);
            g_assert_cmphex(epvm_reg(e, EPC_REG_LINK_CMD), ==, bad[i]);
        }
    }
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, 0);
    epvm_stop(e);
}

static void test_set_header(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    uint64_t cfg = e->fn_base + EPC_FN_CONFIG;

    g_assert_cmpuint(epvm_set_header(e, 0x1234ffff, 0), ==, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epvm_set_header(e, 0x12345678, 5), ==, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epvm_set_header(e, 0x12345678, 0x101), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmphex(epvm_read(e, cfg, 2), ==, 0xffff);
    for (uint32_t pin = 0; pin <= 4; pin++) {
        g_assert_cmpuint(epvm_set_header(e, 0x12345678, pin), ==,
                         EPC_STATUS_OK);
        g_assert_cmphex(epvm_read(e, cfg + PCI_INTERRUPT_PIN, 1), ==, pin);
    }
    g_assert_cmphex(epvm_read(e, cfg, 4), ==, 0x12345678);
    epvm_stop(e);
}

static void test_set_bar(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    const uint64_t ram = 0x400000;
    static const struct {
        uint32_t bar, flags;
        uint64_t addr, size;
        uint32_t status;
    } t[] = {
        { 6, 0, ram, 4096, EPC_STATUS_BAD_ARG },
        { UINT32_MAX, 0, ram, 4096, EPC_STATUS_BAD_ARG },
        { 0, 4, ram, 4096, EPC_STATUS_BAD_ARG },
        { 0, 1u << 31, ram, 4096, EPC_STATUS_BAD_ARG },
        { 0, 0, ram, 0, EPC_STATUS_BAD_ARG },
        { 0, 0, ram, 4097, EPC_STATUS_BAD_ARG },
        { 0, 0, ram, 0x3000, EPC_STATUS_BAD_ARG },
        { 0, 0, ram + 1, 4096, EPC_STATUS_BAD_ARG },
        { 0, 0, ram + 2048, 4096, EPC_STATUS_BAD_ARG },
        { 0, 0, EPC_ADDR_NONE, 1ull << 32, EPC_STATUS_BAD_ARG },
        { 0, EPC_BAR_FLAG_64, EPC_ADDR_NONE, 1ull << 41, EPC_STATUS_BAD_ARG },
        { 0, EPC_BAR_FLAG_64, EPC_ADDR_NONE, 1ull << 63, EPC_STATUS_BAD_ARG },
        { 5, EPC_BAR_FLAG_64, ram, 4096, EPC_STATUS_BAD_ARG },
        /* not RAM: registers, a hole, partly, beyond the end, wrapping */
        { 0, 0, EPVM_REGS, 4096, EPC_STATUS_BAD_TARGET },
        { 0, 0, EPVM_WINDOW, 4096, EPC_STATUS_BAD_TARGET },
        { 0, 0, 0xd0000000, 4096, EPC_STATUS_BAD_TARGET },
        { 0, 0, EPVM_RAM_SIZE - 4096, 8192, EPC_STATUS_BAD_TARGET },
        { 0, 0, EPVM_RAM_SIZE, 4096, EPC_STATUS_BAD_TARGET },
        { 0, 0, -4096ull, 8192, EPC_STATUS_BAD_TARGET },
        { 0, EPC_BAR_FLAG_64, -4096ull, 1ull << 40, EPC_STATUS_BAD_TARGET },
        { 0, 0, 0xfffc0000, 4096, EPC_STATUS_BAD_TARGET },  /* ROM */
        /* legal from here on, and what they forbid */
        { 0, EPC_BAR_FLAG_64, EPVM_RAM_SIZE - 4096, 128, EPC_STATUS_OK },
        { 1, 0, ram, 4096, EPC_STATUS_BAD_ARG },    /* upper half of 0 */
        { 2, EPC_BAR_FLAG_PREFETCH, EPC_ADDR_NONE, 1ull << 31, EPC_STATUS_OK },
        { 1, EPC_BAR_FLAG_64, ram, 4096, EPC_STATUS_BAD_ARG },
        { 4, EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH, EPC_ADDR_NONE,
          1ull << 40, EPC_STATUS_OK },
        { 3, 0, ram, 1, EPC_STATUS_OK },
        /* again: same flags, not larger */
        { 0, EPC_BAR_FLAG_64, ram, 4096, EPC_STATUS_OK },
        { 0, EPC_BAR_FLAG_64, ram, 8192, EPC_STATUS_BAD_ARG },
        { 0, 0, ram, 4096, EPC_STATUS_BAD_ARG },
        { 0, EPC_BAR_FLAG_64, EPVM_REGS, 4096, EPC_STATUS_BAD_TARGET },
        { 4, EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH, ram, 65536,
          EPC_STATUS_OK },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        uint32_t status = epvm_set_bar(e, t[i].bar, t[i].flags, t[i].addr,
                                       t[i].size);

        if (status != t[i].status) {
            g_test_message("row %u", i);
        }
        g_assert_cmpuint(status, ==, t[i].status);
    }
    g_assert_cmphex(epvm_read(e, e->fn_base + EPC_FN_CONFIG +
                              PCI_BASE_ADDRESS_4, 4), ==, 0xc);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, 0);
    epvm_stop(e);
}

static void test_clear_bar(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");

    g_assert_cmpuint(epvm_clear_bar(e, 6), ==, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epvm_clear_bar(e, 0), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 0, EPC_BAR_FLAG_64, 0x400000, 4096), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_clear_bar(e, 0), ==, EPC_STATUS_OK);
    /* nothing is left of it */
    g_assert_cmpuint(epvm_set_bar(e, 1, 0, 0x400000, 65536), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, 0x400000, 65536), ==, EPC_STATUS_OK);
    g_assert_cmphex(epvm_read(e, e->fn_base + EPC_FN_CONFIG +
                              PCI_BASE_ADDRESS_0, 4), ==, 0);
    epvm_stop(e);
}

static void test_msi(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");

    g_assert_cmpuint(epvm_set_msi(e, 33), ==, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epvm_set_msi(e, UINT32_MAX), ==, EPC_STATUS_BAD_ARG);
    for (uint32_t n = 0; n <= 32; n++) {
        g_assert_cmpuint(epvm_set_msi(e, n), ==, EPC_STATUS_OK);
    }
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_MSI), ==, 0);
    epvm_stop(e);
}

static void test_msix(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    static const struct {
        uint32_t count, bar;
        uint64_t offset;
        uint32_t status, start;
    } t[] = {
        { 2049, 0, 0, EPC_STATUS_BAD_ARG },
        { UINT32_MAX, 0, 0, EPC_STATUS_BAD_ARG },
        { 1, 6, 0, EPC_STATUS_BAD_ARG },
        { 1, 0, 4, EPC_STATUS_BAD_ARG },
        { 1, 0, 1ull << 32, EPC_STATUS_BAD_ARG },
        { 1, 0, UINT32_MAX - 7, EPC_STATUS_BAD_ARG },
        { 1, 0, UINT64_MAX - 7, EPC_STATUS_BAD_ARG },
        /* BAR0 has 64 KiB, BAR1 is none */
        { 1, 1, 0, EPC_STATUS_OK, EPC_STATUS_BAD_ARG },
        { 1, 0, 65536, EPC_STATUS_OK, EPC_STATUS_BAD_ARG },
        { 1, 0, 65536 - 16, EPC_STATUS_OK, EPC_STATUS_BAD_ARG },
        { 1, 0, 65536 - 24, EPC_STATUS_OK, EPC_STATUS_OK },
        { 2048, 0, 65536 - 32768, EPC_STATUS_OK, EPC_STATUS_BAD_ARG },
        { 2048, 0, 65536 - 32768 - 256, EPC_STATUS_OK, EPC_STATUS_OK },
        { 0, 7, 3, EPC_STATUS_OK, EPC_STATUS_OK },
    };

    g_assert_cmpuint(epvm_set_header(e, 0x10f11af4, 0), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, 0x400000, 65536), ==, EPC_STATUS_OK);
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        g_assert_cmpuint(epvm_set_msix(e, t[i].count, t[i].bar, t[i].offset),
                         ==, t[i].status);
        if (t[i].status == EPC_STATUS_OK) {
            g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_MSIX), ==, t[i].count);
            g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==,
                             t[i].start);
            g_assert_cmpuint(epvm_link_command(e, EPC_LINK_STOP), ==,
                             EPC_STATUS_OK);
        }
    }
    epvm_stop(e);
}

/* ---- Link without a host ---- */

static void test_start_stop(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");

    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_STOP), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==,
                     EPC_STATUS_BAD_STATE);
    g_assert_cmphex(epvm_reg(e, EPC_REG_LINK), ==, 0);
    g_assert_cmpuint(epvm_set_header(e, 0x10f11af4, 0), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, 0x400000, 65536), ==, EPC_STATUS_OK);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==,
                         EPC_STATUS_OK);
        g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==,
                         EPC_STATUS_OK);
        g_assert_cmphex(epvm_reg(e, EPC_REG_LINK), ==, EPC_LINK_ENABLED);

        /* the description is frozen, targets are not */
        g_assert_cmpuint(epvm_set_header(e, 0x10f11af4, 0), ==,
                         EPC_STATUS_BAD_STATE);
        g_assert_cmpuint(epvm_set_msi(e, 1), ==, EPC_STATUS_BAD_STATE);
        g_assert_cmpuint(epvm_set_msix(e, 1, 0, 0), ==, EPC_STATUS_BAD_STATE);
        g_assert_cmpuint(epvm_set_bar(e, 1, 0, 0x400000, 65536), ==,
                         EPC_STATUS_BAD_STATE);
        g_assert_cmpuint(epvm_set_bar(e, 0, 0, 0x800000, 65536), ==,
                         EPC_STATUS_OK);
        g_assert_cmpuint(epvm_clear_bar(e, 0), ==, EPC_STATUS_OK);
        g_assert_cmpuint(epvm_set_bar(e, 0, 0, 0x800000, 65536), ==,
                         EPC_STATUS_OK);
        g_assert_cmpuint(epvm_map(e, 0, 0, 4096), ==, EPC_STATUS_NO_LINK);

        g_assert_cmpuint(epvm_link_command(e, EPC_LINK_STOP), ==,
                         EPC_STATUS_OK);
        g_assert_cmphex(epvm_reg(e, EPC_REG_LINK), ==, 0);
        g_assert_cmpuint(epvm_set_msi(e, 1), ==, EPC_STATUS_OK);
    }
    g_assert_cmphex(epvm_reg(e, EPC_REG_EVENT), ==, 0);
    epvm_stop(e);
}

/* ---- Life cycle ---- */

static char *add_device(QTestState *q, const char *props)
{
    g_autofree char *cmd = g_strdup_printf(
        "{'execute': 'device_add', 'arguments': {'driver': 'pci-epc', "
        "'id': 'epc', 'addr': '6'%s}}", props);
    QDict *rsp = qtest_qmp(q, "%p", qobject_from_json(cmd, &error_abort));
    QDict *error = qdict_get_qdict(rsp, "error");
    char *desc = error ? g_strdup(qdict_get_str(error, "desc")) : NULL;

    qobject_unref(rsp);
    return desc;
}

/* Every refusal leaves nothing behind, and the device can come and go. */
static void test_hotplug(void)
{
    static const struct {
        const char *props, *says;
    } t[] = {
        { "", "'socket' is not set" },
        { ", 'socket': ''", "'socket' is not set" },
        { ", 'socket': '%s/below'", "/link" },
        { ", 'socket': '%s', 'window-size': 3145728", "power of two" },
        { ", 'socket': '%s', 'window-size': 524288", "power of two" },
        { ", 'socket': '%s', 'window-size': 68719476736", "power of two" },
        { ", 'socket': '%s', 'functions': 9", "1 to 8" },
        { ", 'socket': '%s', 'functions': 0", "1 to 8" },
        { ", 'socket': '%s', 'deadline-ms': 9", "10 to 60000" },
        { ", 'socket': '%s', 'deadline-ms': 60001", "10 to 60000" },
        { ", 'socket': '%s', 'max-maps': 0", "1 to" },
        { ", 'socket': '%s', 'x-width': '12'", "x-width" },
        { ", 'socket': '%s', 'bar3': 'fixed'", "bar3=fixed is not prog" },
        { ", 'socket': '%s', 'bar5': '64bit'", "bar5=64bit" },
        { ", 'socket': '%s', 'dma-channels': 17", "0 to 16" },
        { ", 'socket': '%s', 'dma-threads': 17", "0 to 16" },
        { ", 'socket': '%s', 'inbound-align': 5", "inbound-align=5 is not" },
        { ", 'socket': '%s', 'outbound-max': 5", "outbound-max=5 is not" },
        { ", 'socket': '%s', 'profile': '/'", "profile /: " },
        { ", 'socket': '%s', 'sockets': 1", "not found" },
    };
    g_autofree char *dir = g_dir_make_tmp("pci-epc-XXXXXX", NULL);
    g_autofree char *sock = g_strdup_printf("%s/link", dir);
    g_autofree char *good = g_strdup_printf(", 'socket': '%s'", sock);
    QTestState *q = qtest_init("-machine pc -nodefaults -m 32M");

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        g_auto(GStrv) parts = g_strsplit(t[i].props, "%s", 2);
        g_autofree char *props = g_strjoinv(sock, parts);
        g_autofree char *desc = add_device(q, props);

        g_assert_nonnull(desc);
        if (!strstr(desc, t[i].says)) {
            g_error("'%s' is refused with '%s', which lacks '%s'", props, desc,
                    t[i].says);
        }
        g_assert_null(strchr(desc, '\n'));
        g_assert_cmpint(access(sock, F_OK), ==, -1);
    }
    for (unsigned i = 0; i < 3; i++) {
        g_assert_null(add_device(q, good));
        g_assert_cmpint(access(sock, F_OK), ==, 0);
        qpci_unplug_acpi_device_test(q, "epc", 6);
        g_assert_cmpint(access(sock, F_OK), ==, -1);
    }
    qtest_quit(q);
    g_assert_cmpint(rmdir(dir), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/identity", test_identity);
    qtest_add_func("/pci-epc/arguments", test_arguments);
    qtest_add_func("/pci-epc/events", test_events_idle);
    qtest_add_func("/pci-epc/command/unknown", test_bad_commands);
    qtest_add_func("/pci-epc/command/set-header", test_set_header);
    qtest_add_func("/pci-epc/command/set-bar", test_set_bar);
    qtest_add_func("/pci-epc/command/clear-bar", test_clear_bar);
    qtest_add_func("/pci-epc/command/msi", test_msi);
    qtest_add_func("/pci-epc/command/msix", test_msix);
    qtest_add_func("/pci-epc/link", test_start_stop);
    qtest_add_func("/pci-epc/hotplug", test_hotplug);
    return g_test_run();
}
