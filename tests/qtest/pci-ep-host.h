/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host machine of a link in a qtest: a q35 with an epf-bridge, driven
 * through its configuration ports as firmware would
 */
#ifndef TESTS_QTEST_PCI_EP_HOST_H
#define TESTS_QTEST_PCI_EP_HOST_H

#include "libqtest.h"

/* PCI addresses: bus, device and function as in CONFIG_ADDRESS */
#define EPH_PORT        0x0020      /* 00:04.0, the bridge */
#define EPH_FUNCTION    0x0100      /* 01:00.0, behind it */

/* Where eph_enable_function() puts BARs, 1 MiB apart */
#define EPH_BARS        0xe0000000u
#define EPH_BAR(n)      (EPH_BARS + (n) * 0x100000u)

QTestState *eph_start(const char *socket, unsigned deadline_ms, bool shared);
/* With shared memory and what @args adds */
QTestState *eph_start_args(const char *args, const char *socket,
                           unsigned deadline_ms);
/* With memory that is not shared */
QTestState *eph_start_private(const char *args, const char *socket,
                              unsigned deadline_ms);
/* With a vCPU that runs @firmware */
QTestState *eph_start_vcpu(const char *args, const char *socket,
                           unsigned deadline_ms, const char *firmware);

uint8_t eph_readb(QTestState *q, unsigned bdf, unsigned reg);
uint16_t eph_readw(QTestState *q, unsigned bdf, unsigned reg);
uint32_t eph_readl(QTestState *q, unsigned bdf, unsigned reg);
void eph_writeb(QTestState *q, unsigned bdf, unsigned reg, uint8_t val);
void eph_writew(QTestState *q, unsigned bdf, unsigned reg, uint16_t val);
void eph_writel(QTestState *q, unsigned bdf, unsigned reg, uint32_t val);
/* Configuration space in memory, all 4 KiB of it, and accesses there */
void eph_enable_ecam(QTestState *q);
uint32_t eph_ecam_readl(QTestState *q, unsigned bdf, unsigned reg);
void eph_ecam_writel(QTestState *q, unsigned bdf, unsigned reg, uint32_t val);
/* 0: absent */
unsigned eph_find_cap(QTestState *q, unsigned bdf, uint8_t id);

/* Where MSI-X table and pending bits are, once BARs have addresses */
void eph_msix(QTestState *q, uint64_t *table, uint64_t *pba);

/* Bus numbers and windows of the port */
void eph_enable_port(QTestState *q);
/* BAR addresses, memory decoding, and bus mastering if asked for */
void eph_enable_function(QTestState *q, bool master);

uint16_t eph_slot_status(QTestState *q);
uint16_t eph_link_status(QTestState *q);
/* Waits until the slot is full or empty */
void eph_wait_present(QTestState *q, bool present);
/* Property of the bridge */
bool eph_prop_bool(QTestState *q, const char *name);
char *eph_prop_str(QTestState *q, const char *name);
/* Waits for the report that says @text. */
void eph_wait_error(QTestState *q, const char *text);
uint64_t eph_prop_uint(QTestState *q, const char *name);
/* "messages", when nothing is under way that nobody waits for */
uint64_t eph_quiet_messages(QTestState *q);

/* Does the first CPU have a request for that interrupt? */
bool eph_requested(QTestState *q, unsigned vector);

/* Waits until a byte of memory has that value */
void eph_wait_byte(QTestState *q, uint64_t addr, uint8_t val);
/* Waits until a 32-bit word of memory has that value */
void eph_wait_mem(QTestState *q, uint64_t addr, uint32_t val);
/* Mapped areas of its process, and until there are no more than @most */
unsigned eph_count_maps(QTestState *q);
void eph_wait_maps(QTestState *q, unsigned most);

#endif /* TESTS_QTEST_PCI_EP_HOST_H */
