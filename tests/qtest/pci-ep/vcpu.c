/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU that runs: it reads one address over and over
 */
#include "qemu/osdep.h"
#include "vcpu.h"
#include "wait.h"

/*
 * The end of a firmware of 64 KiB, at the reset vector's segment.  It enters
 * protected mode with flat segments, and goes on with the program behind it.
 */
static const uint8_t start[] = {
    0xfa,                                   /* 00 cli */
    0x2e, 0x66, 0x0f, 0x01, 0x16, 0x18, 0xf0,   /* 01 lgdtl %cs:0xf018 */
    0x0f, 0x20, 0xc0,                       /* 08 mov %cr0,%eax */
    0x0c, 0x01,                             /* 0b or $1,%al */
    0x0f, 0x22, 0xc0,                       /* 0d mov %eax,%cr0 */
    0x66, 0xea, 0x18, 0x00, 0xff, 0xff, 0x08, 0x00, /* 10 ljmpl 8:ffff0018 */
    0x66, 0xb8, 0x10, 0x00,                 /* 18 mov $16,%ax */
    0x8e, 0xd8,                             /* 1c mov %eax,%ds */
};

static const uint8_t reads[] = {
    0x8b, 0x1d, 0x00, 0x10, 0x00, 0x00,     /* 1e mov 0x1000,%ebx */
    0x85, 0xdb,                             /* 24 test %ebx,%ebx */
    0x74, 0x26,                             /* 26 jz 4e */
    0x8b, 0x0d, 0x14, 0x10, 0x00, 0x00,     /* 28 mov 0x1014,%ecx */
    0x85, 0xc9,                             /* 2e test %ecx,%ecx */
    0x74, 0x02,                             /* 30 jz 34 */
    0x89, 0x0b,                             /* 32 mov %ecx,(%ebx) */
    0x8b, 0x03,                             /* 34 mov (%ebx),%eax */
    0xff, 0x05, 0x08, 0x10, 0x00, 0x00,     /* 36 incl 0x1008 */
    0x3b, 0x05, 0x04, 0x10, 0x00, 0x00,     /* 3c cmp 0x1004,%eax */
    0x74, 0xda,                             /* 42 je 1e */
    0xff, 0x05, 0x0c, 0x10, 0x00, 0x00,     /* 44 incl 0x100c */
    0xeb, 0xd2, 0x90, 0x90,                 /* 4a jmp 1e */
    0xff, 0x05, 0x10, 0x10, 0x00, 0x00,     /* 4e incl 0x1010 */
    0xeb, 0xc8,                             /* 54 jmp 1e */
};

/* Marked as accessed already: KVM cannot write to a ROM for the CPU. */
#define GDT     0xf000
static const uint8_t gdt[] = {
    0, 0, 0, 0, 0, 0, 0, 0,
    0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0,
    0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0,
    0x17, 0, 0x00, 0xf0, 0xff, 0xff,        /* f018: size and address of it */
};

static const uint8_t reset[] = { 0xe9, 0x0d, 0x00 };    /* fff0 jmp 0 */

char *vcpu_write_program(const uint8_t *code, size_t len)
{
    g_autofree uint8_t *rom = g_malloc0(0x10000);
    char *path = g_strdup_printf("%s/pci-ep-vcpu-%d.bin", g_get_tmp_dir(),
                                 getpid());

    g_assert_cmpuint(len, <=, GDT - sizeof(start));
    memcpy(rom, start, sizeof(start));
    memcpy(rom + sizeof(start), code, len);
    memcpy(rom + GDT, gdt, sizeof(gdt));
    memcpy(rom + 0xfff0, reset, sizeof(reset));
    g_assert_true(g_file_set_contents(path, (char *)rom, 0x10000, NULL));
    return path;
}

char *vcpu_write_firmware(void)
{
    return vcpu_write_program(reads, sizeof(reads));
}

bool vcpu_works(const char *accel, const char *firmware)
{
    gint64 end = wait_deadline(WAIT_MS);
    QTestState *q = qtest_initf("-machine q35 -nodefaults -accel %s -bios %s",
                                accel, firmware);
    bool works;

    do {
        works = qtest_readl(q, VCPU_WAITS);
    } while (!works && wait_step(end));
    qtest_quit(q);
    return works;
}

void vcpu_run(QTestState *q, uint32_t address, uint32_t expected)
{
    qtest_writel(q, VCPU_EXPECTED, expected);
    qtest_writel(q, VCPU_READS, 0);
    qtest_writel(q, VCPU_WRONG, 0);
    qtest_writel(q, VCPU_ADDRESS, address);
    wait_until(qtest_readl(q, VCPU_READS), "the vCPU to read 0x%x", address);
}

void vcpu_rest(QTestState *q)
{
    uint32_t waits;

    qtest_writel(q, VCPU_ADDRESS, 0);
    waits = qtest_readl(q, VCPU_WAITS);
    wait_until(qtest_readl(q, VCPU_WAITS) - waits >= 2,
               "the vCPU to stop reading");
}
