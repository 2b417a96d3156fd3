/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of wire/io: the trace event of each message
 *
 * QEMU's log is a file of the test. The launcher takes messages from the same
 * lines (scripts/pciep/timeline).
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "trace/control.h"
#include "wire-end.h"

#include <glib/gstdio.h>

#define SHOWN 256       /* bytes of a payload in a line */

static char *path;

/* Empties the log, and enables the event or not. */
static void log_begin(bool enabled)
{
    qemu_set_log_filename_flags(path, LOG_TRACE, &error_abort);
    trace_enable_events(enabled ? "pci_ep_message" : "-pci_ep_message");
}

/* Returns the lines of the log, with an empty one behind them if any. */
static char **log_lines(void)
{
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return g_strsplit(text, "\n", -1);
}

/* Sends a command and receives its reply, which has the same payload. */
static void exchange(uint16_t id, uint16_t cmd, const void *p, size_t n)
{
    End *e = end_raw(EPW_SERVER, LONG_MS);
    g_autofree uint8_t *got = g_malloc(n);
    VfuHeader hdr;

    raw_put(e, id, cmd, 0, 0, p, n);
    g_assert_true(raw_get(e, &hdr, got, n));
    g_assert_cmpmem(got, n, p, n);
    end_free(e);
}

static void test_both_ways(void)
{
    g_auto(GStrv) lines = NULL;

    log_begin(true);
    exchange(0x1205, VFU_CMD_REGION_READ, &region_read, sizeof(region_read));
    lines = log_lines();
    g_assert_cmpuint(g_strv_length(lines), ==, 3);
    g_assert_cmpstr(lines[0], ==, "pci_ep_message epw-test function 0: "
                    "receives REGION_READ id 4613 size 32 flags 0x0 error 0 "
                    "fds 0 bytes 05120900200000000000000000000000"
                    "08000000000000000000000004000000");
    g_assert_cmpstr(lines[1], ==, "pci_ep_message epw-test function 0: "
                    "sends REGION_READ id 4613 size 32 flags 0x1 error 0 "
                    "fds 0 bytes 05120900200000000100000000000000"
                    "08000000000000000000000004000000");
}

static void test_error(void)
{
    End *e = end_raw(EPW_SERVER, LONG_MS);
    g_auto(GStrv) lines = NULL;

    log_begin(true);
    raw_put(e, 1, 0xffff, 0, 0, NULL, 0);
    expect_reply(e, 1, 0xffff, ENOSYS);
    end_free(e);
    lines = log_lines();
    g_assert_cmpuint(g_strv_length(lines), ==, 3);
    g_assert_cmpstr(lines[1], ==, "pci_ep_message epw-test function 0: "
                    "sends unknown command id 1 size 16 flags 0x21 error 38 "
                    "fds 0 bytes 0100ffff100000002100000026000000");
}

/* A long payload is cut, and the size is that of the whole message. */
static void test_long(void)
{
    uint8_t p[sizeof(VfuRegionRw) + 1000];
    VfuRegionRw rw = { .offset = 8, .count = 1000 };
    g_auto(GStrv) lines = NULL;

    memset(p, 0xa5, sizeof(p));
    memcpy(p, &rw, sizeof(rw));
    log_begin(true);
    exchange(1, VFU_CMD_REGION_WRITE, p, sizeof(p));
    lines = log_lines();
    g_assert_cmpuint(g_strv_length(lines), ==, 3);
    for (int i = 0; i < 2; i++) {
        const char *bytes = strstr(lines[i], " bytes ");

        g_assert_nonnull(strstr(lines[i], " size 1032 "));
        g_assert_nonnull(bytes);
        bytes += strlen(" bytes ");
        g_assert_cmpuint(strlen(bytes), ==, 2 * (sizeof(VfuHeader) + SHOWN));
        g_assert_true(g_str_has_suffix(bytes, "a5a5"));
    }
}

static void test_disabled(void)
{
    g_auto(GStrv) lines = NULL;

    log_begin(false);
    exchange(1, VFU_CMD_REGION_READ, &region_read, sizeof(region_read));
    lines = log_lines();
    g_assert_cmpuint(g_strv_length(lines), ==, 0);
}

int main(int argc, char **argv)
{
    int fd, ret;

    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_TRACE);
    fd = g_file_open_tmp("epw-trace-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_test_add_func("/epw/trace/both-ways", test_both_ways);
    g_test_add_func("/epw/trace/error", test_error);
    g_test_add_func("/epw/trace/long", test_long);
    g_test_add_func("/epw/trace/disabled", test_disabled);
    ret = g_test_run();
    g_unlink(path);
    g_free(path);
    return ret;
}
