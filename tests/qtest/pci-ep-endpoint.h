/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The endpoint machine of a link in a qtest: a q35 with a pci-epc, driven
 * through its registers as the kernel driver would
 */
#ifndef TESTS_QTEST_PCI_EP_ENDPOINT_H
#define TESTS_QTEST_PCI_EP_ENDPOINT_H

#include "libqtest.h"
#include "pci-ep-peer.h"
#include "hw/pci-ep/pci-epc-regs.h"

#define EPE_TIMEOUT_MS  10000

/* Where the BARs of the controller are, and memory that MSI-X writes to */
#define EPE_REGS        0xe0000000ull
#define EPE_MSIX        0xe0100000ull
#define EPE_DOORBELL    0x700000000ull
#define EPE_WINDOW      0x800000000ull
#define EPE_VECTORS     0x00100000ull

#define EPE_RAM_SIZE    (128 << 20)
#define EPE_SHARED      "memory-backend-memfd,share=on"
#define EPE_UNSHARED    "memory-backend-ram"

typedef struct EpEndpoint {
    QTestState *q;
    bool second;            /* the other one ends the machine */
    const char *id;
    unsigned slot;
    uint64_t regs, msix, window, doorbell, vectors;     /* EPE_*, or higher */
    char *dir;
    char *socket;
    uint32_t fn_base, fn_stride, raise_base, raise_stride;
    unsigned fn;            /* selected */
} EpEndpoint;

/* @ram: EPE_SHARED, .. @props: more properties of pci-epc, with a comma */
EpEndpoint *epe_start(const char *ram, const char *props);
void epe_stop(EpEndpoint *e);
/* Two controllers, "epc" and "epc2", in one @machine; stop the second last */
EpEndpoint *epe_start_two(const char *machine, EpEndpoint **second);
/*
 * The controller that is in @slot of @q, the @n-th; its BARs are EPE_STRIDE
 * apart, its window 4 GiB
 */
#define EPE_STRIDE      0x1000000ull
EpEndpoint *epe_other(QTestState *q, unsigned slot, unsigned n);
void epe_other_free(EpEndpoint *e);
/* BARs, memory decoding, bus mastering, MSI-X; again after a machine reset */
void epe_enable(EpEndpoint *e);

/* An access of 1, 2, 4 or 8 bytes to the register BAR */
uint64_t epe_read(EpEndpoint *e, uint64_t offset, unsigned width);
void epe_write(EpEndpoint *e, uint64_t offset, unsigned width, uint64_t val);
uint32_t epe_reg(EpEndpoint *e, uint32_t reg);
void epe_set(EpEndpoint *e, uint32_t reg, uint32_t val);
/* Which function epe_fn() and all below are for; 0 at first */
void epe_select(EpEndpoint *e, unsigned fn);
/* The same in the page of the selected function */
uint32_t epe_fn(EpEndpoint *e, uint32_t reg);
void epe_fn_set(EpEndpoint *e, uint32_t reg, uint32_t val);
void epe_fn_set64(EpEndpoint *e, uint32_t reg, uint64_t val);
void epe_raise(EpEndpoint *e, uint32_t what, uint32_t val);
/* A control register of doorbell @n */
uint32_t epe_doorbell(EpEndpoint *e, unsigned n, uint32_t reg);
void epe_doorbell_set(EpEndpoint *e, unsigned n, uint32_t reg, uint32_t val);

/* Begins a command and returns the status at once, BUSY perhaps */
uint32_t epe_begin(EpEndpoint *e, uint32_t cmd);
/* Waits while the status is BUSY */
uint32_t epe_wait(EpEndpoint *e);
uint32_t epe_wait_link_cmd(EpEndpoint *e);
uint32_t epe_command(EpEndpoint *e, uint32_t cmd);
uint32_t epe_link(EpEndpoint *e, uint32_t cmd);
void epe_wait_link(EpEndpoint *e, bool up);

uint32_t epe_set_header(EpEndpoint *e, uint32_t id, uint32_t pin);
/* Fills the arguments only */
void epe_bar_args(EpEndpoint *e, uint32_t bar, uint32_t flags, uint64_t addr,
                  uint64_t size);
uint32_t epe_set_bar(EpEndpoint *e, uint32_t bar, uint32_t flags,
                     uint64_t addr, uint64_t size);
uint32_t epe_clear_bar(EpEndpoint *e, uint32_t bar);
uint32_t epe_map(EpEndpoint *e, uint64_t offset, uint64_t addr, uint64_t size);
uint32_t epe_unmap(EpEndpoint *e, uint64_t offset);
uint32_t epe_set_msi(EpEndpoint *e, uint32_t count);
uint32_t epe_set_msix(EpEndpoint *e, uint32_t count, uint32_t bar,
                      uint64_t offset);

/* @addr EPC_ADDR_NONE: type NONE */
void epe_area(EpEndpoint *e, unsigned n, uint64_t addr, uint64_t size);
uint32_t epe_set_areas(EpEndpoint *e, uint32_t bar, uint32_t count);

/*
 * A function with INTA, 4 MSI and 8 MSI-X vectors (table at the end of BAR0),
 * the link up with a host that has the extension.  Its BARs:
 */
#define EPE_BAR0        0x00400000ull   /* 64 KiB, 32 bits */
#define EPE_BAR1        0x00500000ull   /* 128 bytes */
#define EPE_BAR2        0x00600000ull   /* 1 MiB, 64 bits, prefetchable */
#define EPE_BAR0_SIZE   0x10000u
#define EPE_BAR2_SIZE   0x100000u       /* BAR4: 64 KiB without a target */
#define EPE_ID          0x10f11af4u
void epe_describe(EpEndpoint *e);
PepClient *epe_attach(EpEndpoint *e);
/* With areas */
PepClient *epe_attach_areas(EpEndpoint *e, unsigned max_fds);
/*
 * A client of function @fn that says @json; NULL: that it knows of several.  As
 * soon as the one before is gone.
 */
PepClient *epe_join(EpEndpoint *e, unsigned fn, const char *json);
/* Both ends; the client first */
void epe_detach(EpEndpoint *e, PepClient *c);

/* Was the vector raised since the last call?  Waits @ms for it. */
bool epe_vector(EpEndpoint *e, unsigned vector, unsigned ms);
int64_t epe_prop(EpEndpoint *e, const char *name);

#endif /* TESTS_QTEST_PCI_EP_ENDPOINT_H */
