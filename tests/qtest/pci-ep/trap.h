/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trapped areas: the host that accesses them, and the driver that answers
 */
#ifndef TESTS_QTEST_PCI_EP_TRAP_H
#define TESTS_QTEST_PCI_EP_TRAP_H

#include "machine-endpoint.h"

/* BAR 2 has RAM, a trapped area, RAM and a trapped area, a page each. */
#define TRAP_PAGE       0x1000u
#define TRAP_RAM        0x02000000ull   /* of the first page; others follow */
#define TRAP_BAR        2
#define TRAP_AREA       (1 * TRAP_PAGE) /* offset in the BAR */
#define TRAP_AREA2      (3 * TRAP_PAGE)

/* The trap ring of the selected function, as its driver sees it */
typedef struct TrapRing {
    EpVm *e;
    uint64_t base;
    uint32_t size, consumer;
} TrapRing;

/* Enables the ring, and sets the areas of the BAR. */
TrapRing trap_enable(EpVm *e);
void trap_set_areas(EpVm *e);
/* Both, for a host that is attached. */
FakeHost *trap_attach(EpVm *e, TrapRing *r);

/* ---- The host ---- */

/* Send a command, and do not wait for the reply. They return its number. */
uint16_t trap_send(FakeHost *c, uint16_t cmd, const void *p, size_t len);
uint16_t trap_send_read(FakeHost *c, uint64_t offset, uint32_t count);
uint16_t trap_send_write(FakeHost *c, uint64_t offset, uint64_t value,
                         uint32_t count);
/* The next reply is that to @id, and a success. */
void trap_done(FakeHost *c, uint16_t id);
/* The same for a read. Returns its @count bytes. */
uint64_t trap_value(FakeHost *c, uint16_t id, uint32_t count);
/* All ones, as @count bytes */
uint64_t trap_ones(uint32_t count);
/* Fails the test if a reply comes within a moment. */
void trap_no_reply(FakeHost *c);

/* ---- The driver ---- */

/* Waits for the next record. */
void trap_wait_record(const TrapRing *r);
/* The same; it must be this one. @type is EPC_TRAP_READ and so on. */
void trap_expect_record(const TrapRing *r, unsigned type, uint64_t offset,
                        uint32_t count);
/* Stores the result of the next record, which is a read. */
void trap_store(const TrapRing *r, uint64_t value);
/* Consumes one record. */
void trap_consume(TrapRing *r);
/* Wait for the next record, which must be this one, and consume it. */
void trap_serve_read(TrapRing *r, uint64_t offset, uint32_t count,
                     uint64_t value);
void trap_serve_write(TrapRing *r, uint64_t offset, uint32_t count,
                      uint64_t value);
void trap_serve_reset(TrapRing *r);

#endif /* TESTS_QTEST_PCI_EP_TRAP_H */
