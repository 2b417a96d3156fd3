/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * payload: a guest that does what a test tells it, on bare metal
 *
 * The test writes commands to a mailbox in the guest's memory, which both see,
 * so that no device of QEMU takes part.  guest.py is the other end.
 */
#include "payload.h"

/* guest.py has the same. */
#define MAILBOX         0x00200000
#define MAGIC           0x6b766d31
#define FIRST_VECTOR    0x40
#define VECTORS         16

enum {
    OP_READ = 1,        /* address */
    OP_WRITE,           /* address, value, and the same again or 0 */
    OP_CONFIG_READ,     /* CONFIG_ADDRESS */
    OP_CONFIG_WRITE,    /* CONFIG_ADDRESS, value */
    OP_WAIT,            /* vector, count: halts until that many came */
    /*
     * vector, n, address, count before: n times writes, then halts until one
     * more came; PONG the other way round.  The count is the test's: the first
     * interrupt may be faster than the command.
     */
    OP_PING,
    OP_PONG,
};

typedef struct Mailbox {
    u32 magic;          /* when the payload runs */
    u32 sent;           /* commands: written by the test last */
    u32 done;
    u32 op, arg[4];
    u32 result;
    u32 trap;           /* an exception, + 1 */
    u32 count[VECTORS]; /* interrupts */
} Mailbox;

typedef struct Gate {
    u16 low, selector, flags, high;
} __attribute__((packed, aligned(8))) Gate;

static Gate idt[256];

/* volatile: the test and interrupts change it */
static volatile Mailbox *const box = (volatile Mailbox *)MAILBOX;

static u32 read32(u32 address)
{
    /* volatile: a register */
    return *(volatile u32 *)address;
}

static void write32(u32 address, u32 value)
{
    /* volatile: a register */
    *(volatile u32 *)address = value;
}

static void out8(u16 port, u8 value)
{
    asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void out32(u16 port, u32 value)
{
    asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static u32 in32(u16 port)
{
    u32 value;

    asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* ---- Interrupts ---- */

#define APIC            0xfee00000
#define APIC_EOI        0xb0
#define APIC_SPURIOUS   0xf0
#define APIC_ENABLE     0x1ff

#define ENTRY_SIZE      16
#define GATE_INTERRUPT  0x8e00

void on_vector(u32 vector)
{
    if (vector >= FIRST_VECTOR && vector < FIRST_VECTOR + VECTORS) {
        box->count[vector - FIRST_VECTOR]++;
        write32(APIC + APIC_EOI, 0);
    } else if (vector < 32) {
        box->trap = vector + 1;
        for (;;) {
            asm volatile("cli; hlt");
        }
    }
}

static void interrupts_init(void)
{
    struct {
        u16 limit;
        u32 base;
    } __attribute__((packed)) pointer = { sizeof(idt) - 1, (u32)idt };

    for (u32 i = 0; i < 256; i++) {
        u32 entry = (u32)vector_entries + ENTRY_SIZE * i;

        idt[i] = (Gate) { entry, 8, GATE_INTERRUPT, entry >> 16 };
    }
    asm volatile("lidt %0" : : "m"(pointer));
    /* Nothing from the old interrupt controllers */
    out8(0x21, 0xff);
    out8(0xa1, 0xff);
    write32(APIC + APIC_SPURIOUS, APIC_ENABLE);
    asm volatile("sti");
}

static void halt_until(u32 vector, u32 count)
{
    for (;;) {
        asm volatile("cli");
        if ((int)(box->count[vector] - count) >= 0) {
            asm volatile("sti");
            return;
        }
        asm volatile("sti; hlt");
    }
}

/* ---- Commands ---- */

static void ping(u32 vector, u32 n, u32 address, u32 count, int first)
{
    for (u32 i = 1; i <= n; i++) {
        if (first) {
            write32(address, i);
        }
        halt_until(vector, count + i);
        if (!first) {
            write32(address, i);
        }
    }
}

static u32 command(u32 op, u32 a, u32 b, u32 c, u32 d)
{
    switch (op) {
    case OP_READ:
        return read32(a);
    case OP_WRITE:
        write32(a, b);
        if (c) {
            write32(c, d);
        }
        return 0;
    case OP_CONFIG_READ:
        out32(0xcf8, a);
        return in32(0xcfc);
    case OP_CONFIG_WRITE:
        out32(0xcf8, a);
        out32(0xcfc, b);
        return 0;
    case OP_WAIT:
        halt_until(a % VECTORS, b);
        return 0;
    case OP_PING:
    case OP_PONG:
        ping(a % VECTORS, b, c, d, op == OP_PING);
        return 0;
    default:
        return ~0u;
    }
}

void run(void)
{
    interrupts_init();
    box->trap = 0;
    box->done = box->sent;
    box->magic = MAGIC;
    for (;;) {
        while (box->sent == box->done) {
            asm volatile("pause");
        }
        box->result = command(box->op, box->arg[0], box->arg[1], box->arg[2],
                              box->arg[3]);
        box->done = box->sent;
    }
}
