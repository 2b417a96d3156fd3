/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host machine of a link: a q35 with an epf-bridge, which the test drives
 * through the configuration ports as firmware does
 */
#ifndef TESTS_QTEST_PCI_EP_MACHINE_HOST_H
#define TESTS_QTEST_PCI_EP_MACHINE_HOST_H

#include "libqtest.h"

/* PCI addresses: bus << 8 | device << 3 | function */
#define HOSTVM_PORT        0x0020      /* 00:04.0, the bridge */
#define HOSTVM_FUNCTION    0x0100      /* 01:00.0, behind it */

/* Where hostvm_enable_function() puts BARs, 1 MiB apart */
#define HOSTVM_BARS        0xe0000000u
#define HOSTVM_BAR(n)      (HOSTVM_BARS + (n) * 0x100000u)

QTestState *hostvm_start(const char *socket, unsigned deadline_ms, bool shared);
/* With shared memory that whoever has the file can truncate */
QTestState *hostvm_start_unsealed(const char *socket, unsigned deadline_ms);
/* With shared memory and more arguments @args */
QTestState *hostvm_start_args(const char *args, const char *socket,
                              unsigned deadline_ms);
/* With memory that is not shared */
QTestState *hostvm_start_private(const char *args, const char *socket,
                                 unsigned deadline_ms);
/* With a vCPU that runs the file @firmware */
QTestState *hostvm_start_vcpu(const char *args, const char *socket,
                              unsigned deadline_ms, const char *firmware);

uint8_t hostvm_readb(QTestState *q, unsigned bdf, unsigned reg);
uint16_t hostvm_readw(QTestState *q, unsigned bdf, unsigned reg);
uint32_t hostvm_readl(QTestState *q, unsigned bdf, unsigned reg);
void hostvm_writeb(QTestState *q, unsigned bdf, unsigned reg, uint8_t val);
void hostvm_writew(QTestState *q, unsigned bdf, unsigned reg, uint16_t val);
void hostvm_writel(QTestState *q, unsigned bdf, unsigned reg, uint32_t val);
/* Puts configuration space in memory, and accesses all 4 KiB of it there. */
void hostvm_enable_ecam(QTestState *q);
uint64_t hostvm_ecam_address(unsigned bdf, unsigned reg);
uint32_t hostvm_ecam_readl(QTestState *q, unsigned bdf, unsigned reg);
void hostvm_ecam_writel(QTestState *q, unsigned bdf, unsigned reg,
                        uint32_t val);
/* The offset of a capability, or 0 */
unsigned hostvm_find_cap(QTestState *q, unsigned bdf, uint8_t id);

/* The addresses of MSI-X table and pending bits. The BARs must be set. */
void hostvm_msix(QTestState *q, uint64_t *table, uint64_t *pba);

/* Sets bus numbers and windows of the port. */
void hostvm_enable_port(QTestState *q);
/* Sets the BARs, memory decoding, and bus mastering if @master. */
void hostvm_enable_function(QTestState *q, bool master);

/*
 * Puts the machine to sleep (S3), as a kernel does, and wakes it up. Waking up
 * resets the machine: hostvm_enable_port() and what follows it are to be called
 * again.
 */
void hostvm_sleep(QTestState *q);
void hostvm_wake(QTestState *q);

uint16_t hostvm_slot_status(QTestState *q);
uint16_t hostvm_link_status(QTestState *q);
/* Waits until the slot is full or empty, as @present says. */
void hostvm_wait_present(QTestState *q, bool present);
/* A property of the bridge. Free the string. */
bool hostvm_prop_bool(QTestState *q, const char *name);
char *hostvm_prop_str(QTestState *q, const char *name);
/* Waits until "last-error" contains @text. */
void hostvm_wait_error(QTestState *q, const char *text);
/* Waits until "last-error" does not contain @text, and returns it. */
char *hostvm_wait_other_error(QTestState *q, const char *text);
uint64_t hostvm_prop_uint(QTestState *q, const char *name);
/*
 * "messages", after the counter has rested for 20 ms. The bridge asks for areas
 * and doorbells by itself, at any time after the link came up, and nothing is
 * ordered behind that. A test begins to count here; the wait proves nothing.
 */
uint64_t hostvm_settled_messages(QTestState *q);

/* Asks the bridge for a fault, which is in force when this returns. */
void hostvm_fault(QTestState *q, const char *request);
/* The same, for a request that the bridge may refuse */
void hostvm_fault_try(QTestState *q, const char *request);
/* A request that the bridge refuses with an error that contains @text */
void hostvm_fault_refused(QTestState *q, const char *request,
                          const char *text);
/* How many faults of @kind are in the log */
unsigned hostvm_fault_count(QTestState *q, const char *kind);

/* Does the APIC of the first CPU request interrupt @vector? */
bool hostvm_requested(QTestState *q, unsigned vector);

/* Waits until a byte of memory is @val. */
void hostvm_wait_byte(QTestState *q, uint64_t addr, uint8_t val);
/* Waits until a 32-bit word of memory is @val. */
void hostvm_wait_mem(QTestState *q, uint64_t addr, uint32_t val);
/*
 * How often the threads of the process went to sleep, all but the main thread:
 * that one makes the accesses of a test.
 */
unsigned hostvm_count_sleeps(QTestState *q);
/*
 * The resident memory of any QEMU that is its own: anonymous pages.  Those of
 * guests are shared, and code that TCG generated does not count.
 */
unsigned hostvm_own_kib(QTestState *q);
/*
 * What each link-up takes and has to give back: mappings of memory files, which
 * are the memory of both guests and the pages without a target, and threads.
 * What the process maps for itself is not counted, since a sanitizer maps more
 * as time goes by.  The second function waits until there are at most @most.
 */
unsigned hostvm_count_held(QTestState *q);
void hostvm_wait_held(QTestState *q, unsigned most);

#endif /* TESTS_QTEST_PCI_EP_MACHINE_HOST_H */
