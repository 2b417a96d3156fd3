/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DOE mailboxes: the driver of the endpoint that answers objects. The host is
 * the test's own.
 */
#ifndef TESTS_QTEST_PCI_EP_DOE_H
#define TESTS_QTEST_PCI_EP_DOE_H

#include "machine-endpoint.h"

/* Registers, as offsets in the capability */
#define DOE_CAP         0x04
#define DOE_CONTROL     0x08
#define DOE_STATUS      0x0c
#define DOE_WRITE_BOX   0x10
#define DOE_READ_BOX    0x14
#define DOE_ABORT       (1u << 0)
#define DOE_IRQ         (1u << 1)   /* in Control and in Status */
#define DOE_GO          (1u << 31)
#define DOE_BUSY        (1u << 0)
#define DOE_ERROR       (1u << 2)
#define DOE_READY       (1u << 31)

#define DOE_KIND        0x051af4u   /* the protocol that the driver takes */
#define DOE_BUFFER      0x02000000ull

/* ADD_DOE with EPC_FN_VALUE @irq. Returns the status. */
uint32_t doe_add(EpVm *e, uint32_t irq);
/* The same, which succeeds, and DOE_KIND. Returns the offset. */
unsigned doe_must_add(EpVm *e, uint32_t irq);

/* Carries out a command, and returns its result. */
uint32_t doe_command(EpVm *e, uint32_t cmd);
/* FETCH or STORE of a part of object @token at DOE_BUFFER */
uint32_t doe_copy(EpVm *e, uint32_t cmd, uint32_t token, uint32_t offset,
                  uint32_t count);
/* The next object waits. Returns its number. */
uint32_t doe_wait_object(EpVm *e);
/* Dword @i of an object that is made of @seed, which has @len */
uint32_t doe_dword(uint32_t seed, uint32_t len, uint32_t i);
/* Object @token is that one. */
void doe_expect_object(EpVm *e, uint32_t token, uint32_t seed, uint32_t len);
/* Stores that object as the response to @token. */
void doe_store(EpVm *e, uint32_t token, uint32_t seed, uint32_t len);

#endif /* TESTS_QTEST_PCI_EP_DOE_H */
