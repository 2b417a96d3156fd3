/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The endpoint machine of a link: a q35 with a pci-epc, which the test drives
 * through the registers as the kernel driver does
 */
#ifndef TESTS_QTEST_PCI_EP_MACHINE_ENDPOINT_H
#define TESTS_QTEST_PCI_EP_MACHINE_ENDPOINT_H

#include "libqtest.h"
#include "fake-host.h"
#include "wait.h"
#include "hw/pci-ep/pci-epc-regs.h"

#define EPVM_TIMEOUT_MS  wait_scaled(10000)

/* Addresses of the BARs of the controller, and of memory for MSI-X messages */
#define EPVM_REGS        0xe0000000ull
#define EPVM_MSIX        0xe0100000ull
#define EPVM_DOORBELL    0x700000000ull
#define EPVM_WINDOW      0x800000000ull
#define EPVM_VECTORS     0x00100000ull

#define EPVM_RAM_SIZE    (128 << 20)
#define EPVM_SHARED      "memory-backend-memfd,share=on"
#define EPVM_UNSHARED    "memory-backend-ram"

typedef struct EpVm {
    QTestState *q;
    bool second;            /* the other controller ends the machine */
    const char *id;
    unsigned slot;
    uint64_t regs, msix, window, doorbell, vectors;     /* EPVM_*, or higher */
    uint64_t ecam;          /* configuration space; 0: the ports of a PC */
    uint64_t ram;           /* where RAM begins */
    char *dir;
    char *socket;
    uint32_t fn_base, fn_stride, raise_base, raise_stride;
    unsigned fn;            /* selected */
} EpVm;

/*
 * Starts a machine. @ram is EPVM_SHARED or EPVM_UNSHARED. @props are more
 * properties of pci-epc, each with a comma before it.
 */
EpVm *epvm_start(const char *ram, const char *props);
/*
 * The same with a "virt" machine of arm64, which has an ITS. RAM is shared and
 * begins at EPVM_ARM64_RAM, so EPVM_BAR0 and the other addresses of RAM below
 * are higher by that.
 */
#define EPVM_ARM64_RAM   0x40000000ull
EpVm *epvm_start_arm64(const char *props);
void epvm_stop(EpVm *e);
/*
 * Starts one machine with two controllers, "epc" and "epc2". Stop the first one
 * first.
 */
EpVm *epvm_start_two(const char *machine, EpVm **second);
/*
 * Finds the controller in @slot of the machine @q and gives it addresses. The
 * addresses of controller @n are n * EPVM_STRIDE higher, those of its window
 * n * 4 GiB.
 */
#define EPVM_STRIDE      0x1000000ull
EpVm *epvm_find(QTestState *q, unsigned slot, unsigned n);
void epvm_find_free(EpVm *e);
/*
 * Sets the BARs, memory decoding, bus mastering and MSI-X. To be called again
 * after a reset of the machine.
 */
void epvm_enable(EpVm *e);

/* Writes to the configuration space of the controller. */
void epvm_write_config(EpVm *e, unsigned reg, unsigned width, uint32_t val);

/* An access of 1, 2, 4 or 8 bytes to the register BAR */
uint64_t epvm_read(EpVm *e, uint64_t offset, unsigned width);
void epvm_write(EpVm *e, uint64_t offset, unsigned width, uint64_t val);
uint32_t epvm_reg(EpVm *e, uint32_t reg);
void epvm_set_reg(EpVm *e, uint32_t reg, uint32_t val);
/* The function that epvm_fn_reg() and all below are for. It is 0 at first. */
void epvm_select(EpVm *e, unsigned fn);
/* A register in the page of the selected function */
uint32_t epvm_fn_reg(EpVm *e, uint32_t reg);
void epvm_set_fn_reg(EpVm *e, uint32_t reg, uint32_t val);
void epvm_set_fn_reg64(EpVm *e, uint32_t reg, uint64_t val);
void epvm_raise(EpVm *e, uint32_t what, uint32_t val);
/* A control register of doorbell @n */
uint32_t epvm_doorbell_reg(EpVm *e, unsigned n, uint32_t reg);
void epvm_set_doorbell_reg(EpVm *e, unsigned n, uint32_t reg, uint32_t val);

/* Begins a command and returns the status at once, which may be BUSY. */
uint32_t epvm_begin_command(EpVm *e, uint32_t cmd);
/* Waits while the status is BUSY */
uint32_t epvm_wait_command(EpVm *e);
uint32_t epvm_wait_link_command(EpVm *e);
uint32_t epvm_command(EpVm *e, uint32_t cmd);
uint32_t epvm_link_command(EpVm *e, uint32_t cmd);
void epvm_wait_link(EpVm *e, bool up);

uint32_t epvm_set_header(EpVm *e, uint32_t id, uint32_t pin);
/* Writes the arguments of SET_BAR without the command. */
void epvm_bar_args(EpVm *e, uint32_t bar, uint32_t flags, uint64_t addr,
                   uint64_t size);
uint32_t epvm_set_bar(EpVm *e, uint32_t bar, uint32_t flags,
                      uint64_t addr, uint64_t size);
uint32_t epvm_clear_bar(EpVm *e, uint32_t bar);
uint32_t epvm_map(EpVm *e, uint64_t offset, uint64_t addr, uint64_t size);
uint32_t epvm_unmap(EpVm *e, uint64_t offset);
uint32_t epvm_set_msi(EpVm *e, uint32_t count);
uint32_t epvm_set_msix(EpVm *e, uint32_t count, uint32_t bar,
                       uint64_t offset);

/* Writes the registers of area @n. @addr EPC_ADDR_NONE makes it type NONE. */
void epvm_area_args(EpVm *e, unsigned n, uint64_t addr, uint64_t size);
uint32_t epvm_set_areas(EpVm *e, uint32_t bar, uint32_t count);

/*
 * A function with INTA, 4 MSI and 8 MSI-X vectors (table at the end of BAR0).
 * epvm_describe() describes it; epvm_attach() also brings the link up with a
 * fake host that has the extension. Its BARs:
 */
#define EPVM_BAR0        0x00400000ull   /* 64 KiB, 32 bits */
#define EPVM_BAR1        0x00500000ull   /* 128 bytes */
#define EPVM_BAR2        0x00600000ull   /* 1 MiB, 64 bits, prefetchable */
#define EPVM_BAR0_SIZE   0x10000u
#define EPVM_BAR2_SIZE   0x100000u       /* BAR4: 64 KiB without a target */
#define EPVM_ID          0x10f11af4u
void epvm_describe(EpVm *e);
FakeHost *epvm_attach(EpVm *e);
/* The same with a host that has areas */
FakeHost *epvm_attach_areas(EpVm *e, unsigned max_fds);
/*
 * A fake host of function @fn with the capabilities @json. With NULL it has the
 * extension with several functions. Tries again until the server has seen the
 * end of the host before.
 */
FakeHost *epvm_join(EpVm *e, unsigned fn, const char *json);
/* Ends the session, and then the machine. */
void epvm_detach(EpVm *e, FakeHost *c);

/*
 * Was the vector raised since the last call? Waits @ms for it. A raise writes a
 * word of memory, which this clears.
 */
bool epvm_vector(EpVm *e, unsigned vector, unsigned ms);
/*
 * Fails the test if the vector was raised since the last call, by an access or
 * a signal that came before this one. A raise is a bottom half of the main
 * loop, so fence_main_loop() is behind it.
 */
void epvm_expect_no_vector(EpVm *e, unsigned vector);
/*
 * Fails the test if the endpoint has sent @cmd to @c because of anything that
 * the test did before. Answers of @c are handled by the thread that reads its
 * session, accesses of the guest by the main loop, and what follows from either
 * is sent on the session in order: so this makes a round trip on the session, a
 * fence_main_loop() and a round trip again.
 */
void epvm_expect_no_command(EpVm *e, FakeHost *c, uint16_t cmd);
/* A property of the controller, which is an integer or a boolean */
int64_t epvm_prop(EpVm *e, const char *name);
/* The same for a property that is text. The caller frees. */
char *epvm_prop_text(EpVm *e, const char *name);
/* Sets the property "fault", and returns the answer of QMP. */
QDict *epvm_set_fault(EpVm *e, const char *request);
/* The same, which must succeed. */
void epvm_request_fault(EpVm *e, const char *request);
/*
 * How many faults of @kind the property "fault-log" has. With @place, which is
 * the end of an element such as "\"at\": 3}", only those count.
 */
unsigned epvm_count_faults(EpVm *e, const char *kind, const char *place);
/* Fails the test unless there are @count of them. */
void epvm_expect_faults(EpVm *e, unsigned count, const char *kind,
                        const char *place);
/* The answer @rsp of QMP is an error whose description contains @text. */
void assert_qmp_error(QDict *rsp, const char *text);

#endif /* TESTS_QTEST_PCI_EP_MACHINE_ENDPOINT_H */
