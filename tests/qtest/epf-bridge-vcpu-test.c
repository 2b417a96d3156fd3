/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge under a vCPU that runs: links come and go while it is in the
 * middle of accesses
 *
 * The test sets up the machine from outside, as the other tests do, while the
 * vCPU of TCG waits; then lets it read one register of a device over and over.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "pci-ep-fixture.h"

#define ROUNDS          50

/* What the program below and the test tell each other, in RAM */
#define CELL_ADDRESS    0x1000      /* where to read, 0: wait */
#define CELL_EXPECTED   0x1004
#define CELL_READS      0x1008
#define CELL_WRONG      0x100c      /* how many reads gave something else */
#define CELL_WAITS      0x1010      /* how often it found no address */

#define LAPIC_VERSION   0xfee00030u
#define LAPIC_VALUE     0x00050014u
#define MSIX_TABLE      (EPH_BAR(0) + 0x1000)

/* The end of a firmware of 64 KiB, at the reset vector's segment */
static const uint8_t start[] = {
    0xfa,                                   /* 00 cli */
    0x2e, 0x66, 0x0f, 0x01, 0x16, 0x60, 0x00,   /* 01 lgdtl %cs:0x60 */
    0x0f, 0x20, 0xc0,                       /* 08 mov %cr0,%eax */
    0x0c, 0x01,                             /* 0b or $1,%al */
    0x0f, 0x22, 0xc0,                       /* 0d mov %eax,%cr0 */
    0x66, 0xea, 0x18, 0x00, 0xff, 0xff, 0x08, 0x00, /* 10 ljmpl 8:ffff0018 */
    0x66, 0xb8, 0x10, 0x00,                 /* 18 mov $16,%ax */
    0x8e, 0xd8,                             /* 1c mov %eax,%ds */
    0x8b, 0x1d, 0x00, 0x10, 0x00, 0x00,     /* 1e mov 0x1000,%ebx */
    0x85, 0xdb,                             /* 24 test %ebx,%ebx */
    0x74, 0x18,                             /* 26 jz 40 */
    0x8b, 0x03,                             /* 28 mov (%ebx),%eax */
    0xff, 0x05, 0x08, 0x10, 0x00, 0x00,     /* 2a incl 0x1008 */
    0x3b, 0x05, 0x04, 0x10, 0x00, 0x00,     /* 30 cmp 0x1004,%eax */
    0x74, 0xe6,                             /* 36 je 1e */
    0xff, 0x05, 0x0c, 0x10, 0x00, 0x00,     /* 38 incl 0x100c */
    0xeb, 0xde,                             /* 3e jmp 1e */
    0xff, 0x05, 0x10, 0x10, 0x00, 0x00,     /* 40 incl 0x1010 */
    0xeb, 0xd6,                             /* 46 jmp 1e */
};

static const uint8_t gdt[] = {              /* 48 */
    0, 0, 0, 0, 0, 0, 0, 0,
    0xff, 0xff, 0, 0, 0, 0x9a, 0xcf, 0,
    0xff, 0xff, 0, 0, 0, 0x92, 0xcf, 0,
    0x17, 0, 0x48, 0x00, 0xff, 0xff,        /* 60: size and address of it */
};

static const uint8_t reset[] = { 0xe9, 0x0d, 0x00 };    /* fff0 jmp 0 */

static char *write_firmware(void)
{
    g_autofree uint8_t *rom = g_malloc0(0x10000);
    char *path = g_strdup_printf("%s/epf-vcpu-%d.bin", g_get_tmp_dir(),
                                 getpid());

    memcpy(rom, start, sizeof(start));
    memcpy(rom + 0x48, gdt, sizeof(gdt));
    memcpy(rom + 0xfff0, reset, sizeof(reset));
    g_assert_true(g_file_set_contents(path, (char *)rom, 0x10000, NULL));
    return path;
}

static void run(QTestState *q, uint32_t address, uint32_t expected)
{
    qtest_writel(q, CELL_EXPECTED, expected);
    qtest_writel(q, CELL_READS, 0);
    qtest_writel(q, CELL_WRONG, 0);
    qtest_writel(q, CELL_ADDRESS, address);
    for (unsigned i = 0; !qtest_readl(q, CELL_READS); i++) {
        g_assert_cmpuint(i, <, EPS_TIMEOUT_MS);
        g_usleep(1000);
    }
}

/* Stops the vCPU's reads, so that the test itself may change the memory map. */
static void rest(QTestState *q)
{
    uint32_t waits;

    qtest_writel(q, CELL_ADDRESS, 0);
    waits = qtest_readl(q, CELL_WAITS);
    for (unsigned i = 0; qtest_readl(q, CELL_WAITS) - waits < 2; i++) {
        g_assert_cmpuint(i, <, EPS_TIMEOUT_MS);
        g_usleep(1000);
    }
}

static void link_round(Fixture *f, uint32_t address, uint32_t expected)
{
    g_assert_cmpint(eps_link_up(f->ep), ==, 0);
    eph_wait_present(f->q, true);
    rest(f->q);
    eph_enable_function(f->q, true);
    run(f->q, address, expected);
    eps_remap(f->ep, 1);
    g_assert_cmpint(eps_link_down(f->ep), ==, 0);
    eph_wait_present(f->q, false);
}

/* Other devices are where they were, all the time. */
static void test_others(const void *firmware)
{
    Fixture f;

    fixture_start_vcpu(&f, "", firmware);
    for (unsigned i = 0; i < ROUNDS; i++) {
        link_round(&f, LAPIC_VERSION, LAPIC_VALUE);
        g_assert_cmpuint(qtest_readl(f.q, CELL_WRONG), ==, 0);
    }
    fixture_end(&f);
}

static void test_function(const void *firmware)
{
    uint32_t pba, at[3];
    Fixture f;

    fixture_start_vcpu(&f, "-global epf-bridge.msix-relocate=off", firmware);
    pba = ldl_le_p(f.ep->config + 0xa8);
    at[0] = EPH_BAR(pba & 7) + (pba & ~7u);
    at[1] = MSIX_TABLE;
    at[2] = EPH_BAR(1);
    for (unsigned i = 0; i < ROUNDS; i++) {
        link_round(&f, at[i % 3], 0);
        rest(f.q);
        /* nobody is there, which reads all ones */
        run(f.q, at[i % 3], UINT32_MAX);
        rest(f.q);
        g_assert_cmpuint(qtest_readl(f.q, CELL_WRONG), ==, 0);
    }
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    g_autofree char *firmware = write_firmware();
    int ret;

    g_test_init(&argc, &argv, NULL);
    if (qtest_has_accel("tcg")) {
        qtest_add_data_func("/epf-bridge/vcpu/others", firmware, test_others);
        qtest_add_data_func("/epf-bridge/vcpu/function", firmware,
                            test_function);
    }
    ret = g_test_run();
    unlink(firmware);
    return ret;
}
