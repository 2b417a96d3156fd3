/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc with a profile: a file that sets properties
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "pci-ep/machine-endpoint.h"

static char *profile_dir, *profile_path;

static void write_profile(const char *text)
{
    g_assert_true(g_file_set_contents(profile_path, text, -1, NULL));
}

/* Starts a machine with the profile @text and more properties. */
static EpVm *start_with(const char *text, const char *props)
{
    g_autofree char *all = g_strdup_printf(",profile=%s%s", profile_path,
                                           props);

    write_profile(text);
    return epvm_start(EPVM_SHARED, all);
}

static uint32_t bar_limit(EpVm *e, unsigned n)
{
    return epvm_reg(e, EPC_REG_BAR_LIMIT(n));
}

static const char board[] =
    "{ \"name\": \"a board\","
    "  \"properties\": {"
    "    \"bar4\": \"reserved\", \"bar5\": \"fixed:64K\","
    "    \"inbound-align\": \"64K\", \"outbound-granule\": 65536,"
    "    \"max-maps\": 8, \"window-size\": \"1M\", \"msix\": false,"
    "    \"intx\": \"off\", \"dma-channels\": 2, \"x-width\": \"4\" } }";

/* A value is a number, a truth value, or text as on the command line. */
static void test_values(void)
{
    EpVm *e = start_with(board, "");

    g_assert_cmphex(bar_limit(e, 4), ==, EPC_BAR_RESERVED);
    g_assert_cmphex(bar_limit(e, 5), ==,
                    EPC_BAR_FIXED | 16 << EPC_BAR_LIMIT_SIZE_SHIFT);
    g_assert_cmphex(epvm_reg(e, EPC_REG_INBOUND_ALIGN), ==, 0x10000);
    g_assert_cmphex(epvm_reg(e, EPC_REG_OUTBOUND_GRANULE), ==, 0x10000);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_MAX_MAPS), ==, 8);
    g_assert_cmpuint(epvm_prop(e, "window-size"), ==, 1 << 20);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_DMA_COUNT), ==, 2);
    g_assert_cmphex(epvm_reg(e, EPC_REG_FEATURES) &
                    (EPC_FEATURE_MSI | EPC_FEATURE_MSIX | EPC_FEATURE_INTX),
                    ==, EPC_FEATURE_MSI);
    epvm_stop(e);
}

/* What the command line sets wins, also where it is the default. */
static void test_command_line(void)
{
    EpVm *e = start_with(board, ",bar4=programmable,msix=on,max-maps=8192,"
                         "inbound-align=128K"
                         " -global pci-epc.intx=on"
                         " -global pci-epc.bar5=resizable");

    g_assert_cmphex(bar_limit(e, 4), ==, EPC_BAR_PROGRAMMABLE);
    g_assert_cmphex(bar_limit(e, 5), ==, EPC_BAR_RESIZABLE);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_MAX_MAPS), ==, 8192);
    g_assert_cmphex(epvm_reg(e, EPC_REG_INBOUND_ALIGN), ==, 0x20000);
    g_assert_cmphex(epvm_reg(e, EPC_REG_OUTBOUND_GRANULE), ==, 0x10000);
    g_assert_cmphex(epvm_reg(e, EPC_REG_FEATURES) &
                    (EPC_FEATURE_MSIX | EPC_FEATURE_INTX), ==,
                    EPC_FEATURE_MSIX | EPC_FEATURE_INTX);
    epvm_stop(e);
}

static char *add_device(QTestState *q, const char *path, const char *sock)
{
    QDict *rsp = qtest_qmp(q, "{'execute': 'device_add', 'arguments': {"
                           "'driver': 'pci-epc', 'id': 'epc', 'addr': '6', "
                           "'socket': %s, 'profile': %s}}", sock, path);
    QDict *error = qdict_get_qdict(rsp, "error");
    char *desc = error ? g_strdup(qdict_get_str(error, "desc")) : NULL;

    qobject_unref(rsp);
    return desc;
}

static void expect_error(QTestState *q, const char *path, const char *sock,
                         const char *says)
{
    g_autofree char *desc = add_device(q, path, sock);

    g_assert_nonnull(desc);
    if (!strstr(desc, path) || !strstr(desc, says)) {
        g_error("refused with '%s', which lacks '%s'", desc, says);
    }
    g_assert_null(strchr(desc, '\n'));
}

static void test_errors(void)
{
    static const struct {
        const char *text, *says;
    } t[] = {
        { "", "Expecting a JSON value" },
        { "{", "JSON parse error" },
        { "[]", "there is no object \"properties\"" },
        { "{}", "there is no object \"properties\"" },
        { "{\"properties\": []}", "there is no object \"properties\"" },
        { "{\"properties\": {\"socket\": \"/tmp/x\"}}",
          "a profile cannot set the property 'socket'" },
        { "{\"properties\": {\"profile\": \"x\"}}",
          "a profile cannot set the property 'profile'" },
        { "{\"properties\": {\"bar6\": \"reserved\"}}",
          "a profile cannot set the property 'bar6'" },
        { "{\"properties\": {\"max-maps\": \"many\"}}",
          "property 'max-maps': " },
        { "{\"properties\": {\"msi\": 1}}", "property 'msi': " },
        { "{\"properties\": {\"bar0\": {}}}", "property 'bar0': " },
    };
    g_autofree char *sock = g_strdup_printf("%s/link", profile_dir);
    g_autofree char *missing = g_strdup_printf("%s/missing", profile_dir);
    QTestState *q = qtest_init("-machine pc -nodefaults -m 32M");

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        write_profile(t[i].text);
        expect_error(q, profile_path, sock, t[i].says);
        g_assert_cmpint(access(sock, F_OK), ==, -1);
    }
    expect_error(q, missing, sock, "No such file");
    qtest_quit(q);
}

/* A value that the property refuses later names the property. */
static void test_bad_limit(void)
{
    g_autofree char *sock = g_strdup_printf("%s/link", profile_dir);
    QTestState *q = qtest_init("-machine pc -nodefaults -m 32M");
    g_autofree char *desc = NULL;

    write_profile("{\"properties\": {\"bar2\": \"huge\"}}");
    desc = add_device(q, profile_path, sock);
    g_assert_nonnull(desc);
    g_assert_nonnull(strstr(desc, "bar2=huge is not programmable, fixed:SIZE"));
    qtest_quit(q);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    profile_dir = g_dir_make_tmp("pci-epc-profile-XXXXXX", NULL);
    profile_path = g_strdup_printf("%s/board.json", profile_dir);
    qtest_add_func("/pci-epc/profile/values", test_values);
    qtest_add_func("/pci-epc/profile/command-line", test_command_line);
    qtest_add_func("/pci-epc/profile/errors", test_errors);
    qtest_add_func("/pci-epc/profile/bad-limit", test_bad_limit);
    status = g_test_run();
    unlink(profile_path);
    rmdir(profile_dir);
    g_free(profile_path);
    g_free(profile_dir);
    return status;
}
