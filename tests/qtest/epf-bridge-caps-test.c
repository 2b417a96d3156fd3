/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge and the capabilities that a fake endpoint carries out itself
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"
#include "pci-ep/wait.h"

#define VNDR    0xb0        /* 8 bytes, of the fake endpoint */
#define FIRST   0x100
#define SECOND  0x140

/* Two vendor-specific extended capabilities; the list is well unless @next */
static void add_extended(FakeEp *s, unsigned next)
{
    stl_le_p(s->config + FIRST, 0xb | 1 << 16 | SECOND << 20);
    stl_le_p(s->config + FIRST + 4, 0x04010077);
    stl_le_p(s->config + SECOND, 0xb | 1 << 16 | next << 20);
    stl_le_p(s->config + SECOND + 0x3c, 0x12345678);
}

static void caps_start(Fixture *f, unsigned next)
{
    f->ep = fakeep_new();
    add_extended(f->ep, next);
    fakeep_listen(f->ep);
    f->q = hostvm_start(f->ep->path, FIXTURE_DEADLINE_MS, true);
    hostvm_enable_port(f->q);
    g_assert_cmpint(fakeep_link_up(f->ep), ==, 0);
    hostvm_wait_present(f->q, true);
    hostvm_enable_ecam(f->q);
}

/* What the bridge carries out, and where the lists lead, costs no message */
static void test_local(void)
{
    Fixture f;

    caps_start(&f, 0);
    fakeep_clear_log(f.ep);
    fixture_check_identity(f.q);
    /* Its last dword is the function's own: that one was asked for */
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_REGION_READ), ==, 1);
    fakeep_clear_log(f.ep);
    g_assert_cmphex(hostvm_ecam_readl(f.q, HOSTVM_FUNCTION, FIRST), ==,
                    0x1401000b);
    g_assert_cmphex(hostvm_ecam_readl(f.q, HOSTVM_FUNCTION, SECOND), ==,
                    0x0001000b);
    hostvm_readw(f.q, HOSTVM_FUNCTION, VNDR);
    for (unsigned at = 0; at < VNDR; at += 4) {
        hostvm_readl(f.q, HOSTVM_FUNCTION, at);
    }
    for (unsigned at = VNDR + 8; at < FIRST; at += 4) {
        g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, at), ==, 0);
    }
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_REGION_READ), ==, 0);
    fixture_end(&f);
}

static void test_live(void)
{
    Fixture f;

    caps_start(&f, 0);
    for (unsigned i = 0; i < 3; i++) {
        f.ep->config[VNDR + 3] = i;
        stl_le_p(f.ep->config + VNDR + 4, 0x11111111 * i);
        stl_le_p(f.ep->config + SECOND + 0x10, 0x22222222 * i);
        g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, VNDR), ==,
                        i << 24 | 0x00080009);
        g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, VNDR + 4), ==,
                        0x11111111 * i);
        g_assert_cmphex(hostvm_readw(f.q, HOSTVM_FUNCTION, VNDR + 6), ==,
                        0x1111 * i);
        g_assert_cmphex(hostvm_readb(f.q, HOSTVM_FUNCTION, VNDR + 3), ==, i);
        g_assert_cmphex(hostvm_ecam_readl(f.q, HOSTVM_FUNCTION, SECOND + 0x10),
                        ==, 0x22222222 * i);
    }
    g_assert_cmphex(hostvm_ecam_readl(f.q, HOSTVM_FUNCTION, FIRST + 4), ==,
                    0x04010077);
    g_assert_cmphex(hostvm_ecam_readl(f.q, HOSTVM_FUNCTION, SECOND + 0x3c), ==,
                    0x12345678);

    /* The headers stay what they were when the link came up */
    f.ep->config[VNDR + 1] = 0x40;
    f.ep->config[VNDR + 3] = 0x5a;
    stl_le_p(f.ep->config + SECOND, 0xffffffff);
    fixture_check_identity(f.q);
    g_assert_cmphex(hostvm_ecam_readl(f.q, HOSTVM_FUNCTION, SECOND), ==,
                    0x0001000b);
    fixture_end(&f);
}

/* Headers of capabilities, and what is in none */
static void test_read_only(void)
{
    static const unsigned regs[] = { FIRST, SECOND, VNDR - 4, FIRST - 4 };
    Fixture f;

    caps_start(&f, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++) {
        uint32_t was = hostvm_ecam_readl(f.q, HOSTVM_FUNCTION, regs[i]);

        hostvm_ecam_writel(f.q, HOSTVM_FUNCTION, regs[i], ~was);
        g_assert_cmphex(hostvm_ecam_readl(f.q, HOSTVM_FUNCTION, regs[i]), ==,
                        was);
    }
    fixture_end(&f);
}

static void test_no_list(void)
{
    Fixture f;

    fixture_start_up(&f, false);
    hostvm_enable_ecam(f.q);
    stl_le_p(f.ep->config + FIRST + 4, 0x77);
    fakeep_clear_log(f.ep);
    for (unsigned at = FIRST; at < 0x1000; at += 4) {
        g_assert_cmphex(hostvm_ecam_readl(f.q, HOSTVM_FUNCTION, at), ==, 0);
    }
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_REGION_READ), ==, 0);
    fixture_end(&f);
}

/*
 * A list that goes in circles or out of its space is hidden, and the bridge
 * says so.
 */
static void test_broken_list(void)
{
    static const unsigned next[] = { FIRST, SECOND, 0x0fc, 0x004, 0xffc };

    for (unsigned i = 0; i < G_N_ELEMENTS(next); i++) {
        Fixture f;

        caps_start(&f, next[i]);
        fixture_check_identity(f.q);
        g_assert_cmphex(hostvm_ecam_readl(f.q, HOSTVM_FUNCTION, FIRST), ==, 0);
        g_assert_cmphex(hostvm_ecam_readl(f.q, HOSTVM_FUNCTION, FIRST + 4), ==,
                        0);
        hostvm_wait_error(f.q, "extended capabilities is broken");
        fixture_end(&f);
    }
}

/* The last possible place, and the longest list there can be */
static void test_long_list(void)
{
    Fixture f;

    f.ep = fakeep_new();
    for (unsigned at = FIRST; at < 0xff8; at += 4) {
        stl_le_p(f.ep->config + at, 0xb | 1 << 16 | (at + 4) << 20);
    }
    stl_le_p(f.ep->config + 0xff8, 0xb | 1 << 16);
    fakeep_listen(f.ep);
    f.q = hostvm_start(f.ep->path, FIXTURE_DEADLINE_MS, true);
    hostvm_enable_port(f.q);
    g_assert_cmpint(fakeep_link_up(f.ep), ==, 0);
    hostvm_wait_present(f.q, true);
    hostvm_enable_ecam(f.q);
    g_assert_cmphex(hostvm_ecam_readl(f.q, HOSTVM_FUNCTION, 0xff4), ==,
                    0xff81000b);
    g_assert_cmphex(hostvm_ecam_readl(f.q, HOSTVM_FUNCTION, 0xff8), ==,
                    0x0001000b);
    fixture_end(&f);
}

static bool hook_silent(FakeEp *s, const VfuMsg *m, void *opaque)
{
    return m->hdr.command == VFU_CMD_REGION_READ;
}

static bool hook_refuse(FakeEp *s, const VfuMsg *m, void *opaque)
{
    if (m->hdr.command == VFU_CMD_REGION_READ) {
        fakeep_error(s, m, EIO);
        return true;
    }
    return false;
}

/* No answer: one deadline, all ones, and the end of the link */
static void test_silent(void)
{
    Fixture f;
    gint64 t;

    caps_start(&f, 0);
    f.ep->hook = hook_refuse;
    g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, VNDR), ==, 0xffffffff);
    g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, 0), ==, 0xb500104c);

    f.ep->hook = hook_silent;
    t = g_get_monotonic_time();
    for (unsigned i = 0; i < 20; i++) {
        g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, VNDR), ==,
                        0xffffffff);
    }
    t = g_get_monotonic_time() - t;
    g_assert_cmpint(t / 1000, <, FIXTURE_DEADLINE_MS * 2);
    /* The read ends before the reader thread has ended the session. */
    wait_until(hostvm_readl(f.q, HOSTVM_FUNCTION, 0) == 0xffffffff,
               "the identity to be all ones");
    hostvm_wait_present(f.q, false);
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("epf-bridge-caps/local", test_local);
    qtest_add_func("epf-bridge-caps/live", test_live);
    qtest_add_func("epf-bridge-caps/read-only", test_read_only);
    qtest_add_func("epf-bridge-caps/no-list", test_no_list);
    qtest_add_func("epf-bridge-caps/broken-list", test_broken_list);
    qtest_add_func("epf-bridge-caps/long-list", test_long_list);
    qtest_add_func("epf-bridge-caps/silent", test_silent);

    return g_test_run();
}
