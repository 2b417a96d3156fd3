/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An INIT takes back a SIPI that the other CPU has not seen yet
 *
 * Our copy of QEMU corrects that for TCG: "A CPU starts where a SIPI sent it
 * before the last INIT" in docs/devel/qemu-findings.rst.  Guests that sleep need
 * it.
 */
#include "qemu/osdep.h"
#include "libqtest.h"
#include "pci-ep/vcpu.h"
#include "pci-ep/wait.h"

/* Words in RAM that the programs and the test share */
#define GO          0x1000      /* send INIT, SIPI to OLD, INIT; then it is 0 */
#define GO_ON       0x1004      /* send SIPI to NEW; then it is 0 */
#define STARTS_NEW  0x100c      /* how often the second CPU began at NEW */
#define STARTS_OLD  0x1014

#define OLD         0x10000     /* vectors 0x10 and 0x11 */
#define NEW         0x11000
#define ROUNDS      100u

/* The first CPU: the second one has APIC ID 1. */
static const uint8_t sender[] = {
    0xbf, 0x10, 0x03, 0xe0, 0xfe,               /* mov $0xfee00310,%edi */
    0xc7, 0x07, 0x00, 0x00, 0x00, 0x01,         /* movl $0x1000000,(%edi) */
    0xbf, 0x00, 0x03, 0xe0, 0xfe,               /* mov $0xfee00300,%edi */
    0x83, 0x3d, 0x00, 0x10, 0x00, 0x00, 0x00,   /* 10: cmpl $0,0x1000 */
    0x74, 0xf7,                                 /* je 10 */
    0xc7, 0x07, 0x00, 0xc5, 0x00, 0x00,         /* movl $0xc500,(%edi) */
    0xc7, 0x07, 0x10, 0x46, 0x00, 0x00,         /* movl $0x4610,(%edi) */
    0xc7, 0x07, 0x00, 0xc5, 0x00, 0x00,         /* movl $0xc500,(%edi) */
    0xc7, 0x05, 0x00, 0x10, 0x00, 0x00,         /* movl $0,0x1000 */
    0x00, 0x00, 0x00, 0x00,
    0x83, 0x3d, 0x04, 0x10, 0x00, 0x00, 0x00,   /* 35: cmpl $0,0x1004 */
    0x74, 0xf7,                                 /* je 35 */
    0xc7, 0x07, 0x11, 0x46, 0x00, 0x00,         /* movl $0x4611,(%edi) */
    0xc7, 0x05, 0x04, 0x10, 0x00, 0x00,         /* movl $0,0x1004 */
    0x00, 0x00, 0x00, 0x00,
    0xeb, 0xc0,                                 /* jmp 10 */
};

/* The second CPU, in real mode: counts and halts */
static const uint8_t starts_old[] = {
    0x66, 0xff, 0x06, 0x14, 0x10,               /* 0: incl 0x1014 */
    0xf4,                                       /* 5: hlt */
    0xeb, 0xfd,                                 /* jmp 5 */
};

static const uint8_t starts_new[] = {
    0x66, 0xff, 0x06, 0x0c, 0x10,               /* 0: incl 0x100c */
    0xf4,                                       /* 5: hlt */
    0xeb, 0xfd,                                 /* jmp 5 */
};

static void test_order(const void *firmware)
{
    QTestState *q = qtest_initf("-machine q35 -nodefaults -m 16M -smp 2 "
                                "-accel tcg,thread=multi -bios %s",
                                (const char *)firmware);

    qtest_memwrite(q, OLD, starts_old, sizeof(starts_old));
    qtest_memwrite(q, NEW, starts_new, sizeof(starts_new));
    for (unsigned i = 1; i <= ROUNDS; i++) {
        qtest_writel(q, GO, 1);
        wait_until(!qtest_readl(q, GO), "INIT, SIPI and INIT of round %u", i);
        qtest_writel(q, GO_ON, 1);
        wait_until(qtest_readl(q, STARTS_NEW) == i,
                   "the second CPU to begin where the last SIPI sent it, in "
                   "round %u; it began %u times where the one before did", i,
                   qtest_readl(q, STARTS_OLD));
    }
    g_test_message("%u of %u times the CPU saw the first SIPI",
                   qtest_readl(q, STARTS_OLD), ROUNDS);
    qtest_quit(q);
}

int main(int argc, char **argv)
{
    g_autofree char *firmware = vcpu_write_program(sender, sizeof(sender));
    int ret;

    g_test_init(&argc, &argv, NULL);
    if (qtest_has_accel("tcg")) {
        qtest_add_data_func("/qemu/init-order", firmware, test_order);
    }
    ret = g_test_run();
    unlink(firmware);
    return ret;
}
