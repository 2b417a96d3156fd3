/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU that runs: it reads one address over and over
 *
 * The test sets up the machine from outside, as other tests do, while the vCPU
 * waits.
 */
#ifndef TESTS_QTEST_PCI_EP_VCPU_H
#define TESTS_QTEST_PCI_EP_VCPU_H

#include "libqtest.h"

/* Words in RAM that the program of the vCPU and the test share */
#define VCPU_ADDRESS    0x1000      /* where to read, 0: wait */
#define VCPU_EXPECTED   0x1004
#define VCPU_READS      0x1008
#define VCPU_WRONG      0x100c      /* how many reads gave something else */
#define VCPU_WAITS      0x1010      /* how often it found no address */
#define VCPU_STORE      0x1014      /* what to store before a read, or 0 */

/*
 * Writes the program, for QEMU's option -bios, into a file. The caller removes
 * the file and frees its name.
 */
char *vcpu_write_firmware(void);

/*
 * The same with another program of @len bytes: position independent 32-bit code
 * with flat segments, without a stack.
 */
char *vcpu_write_program(const uint8_t *code, size_t len);

/*
 * Whether a vCPU of @accel runs the program at all: KVM in a virtual machine may
 * not.
 */
bool vcpu_works(const char *accel, const char *firmware);

/* Lets the vCPU read, and waits until it has done so. */
void vcpu_run(QTestState *q, uint32_t address, uint32_t expected);

/* Stops the reads, so that the test itself may change the memory map. */
void vcpu_rest(QTestState *q);

#endif /* TESTS_QTEST_PCI_EP_VCPU_H */
