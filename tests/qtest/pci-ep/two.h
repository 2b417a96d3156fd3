/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two controllers in one machine, each with a fake host, of which one BAR shows
 * the window of the other one's controller
 */
#ifndef TESTS_QTEST_PCI_EP_TWO_H
#define TESTS_QTEST_PCI_EP_TWO_H

#include "machine-endpoint.h"
#include "fake-host.h"

#define TWO_PAGE        0x1000u
#define TWO_MEM_SIZE    0x20000u
#define TWO_HOST        0x40000000ull   /* memory that a host shares */
#define TWO_REMOTE      0x50000000ull   /* memory that it does not share */
/* Where they are in the window, and so in BAR 2 of the other host */
#define TWO_FAST        0u
#define TWO_SLOW        0x80000u

typedef struct TwoHost {
    EpVm *e;                /* the controller it is linked to */
    FakeHost *c;
    int fd;
    uint8_t *mem;           /* what it shares */
} TwoHost;

/* The target of BAR 2 of each host is the window to the memory of the other. */
typedef struct Two {
    TwoHost a, b;
} Two;

/* @machine is the type of the machine, with more options of QEMU if need be. */
void two_start(Two *t, const char *machine);
void two_end(Two *t);

/* @h leaves, comes back, or does both. */
void two_leave(TwoHost *h);
void two_join(TwoHost *h);
void two_rejoin(TwoHost *h);
/* Makes the window to @other the target of BAR 2 of @h. */
void two_lead_to(TwoHost *h, TwoHost *other);

/* ---- Accesses of a host to its BAR 2 ---- */

uint32_t two_load(TwoHost *h, uint64_t offset);
void two_store(TwoHost *h, uint64_t offset, uint32_t v);

/* Sends an access and does not wait for the answer. */
uint16_t two_begin(TwoHost *h, uint16_t cmd, uint64_t offset, uint32_t count);
/* Its answer; NULL: none within @ms */
VfuMsg *two_reply(TwoHost *h, uint16_t id, unsigned ms);
void two_check_reply(TwoHost *h, uint16_t id);
uint32_t two_read_value(TwoHost *h, uint16_t id, unsigned ms);

/*
 * The access of @h that another host was asked about is not answered yet. INTx
 * is sent on the same session, and would come behind a reply.
 */
void two_expect_no_reply(TwoHost *h);

/* ---- What the other host is asked for ---- */

/* The host is asked for @count bytes at @offset of TWO_REMOTE. */
VfuMsg *two_expect_access(TwoHost *h, uint16_t cmd, uint64_t offset,
                          uint32_t count);
void two_answer_write(TwoHost *h, VfuMsg *m);
void two_answer_read(TwoHost *h, VfuMsg *m, uint32_t v);
/* The value of a write of 4 bytes */
uint32_t two_value_of(const VfuMsg *m);

#endif /* TESTS_QTEST_PCI_EP_TWO_H */
