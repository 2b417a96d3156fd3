/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc and a fake host: doorbells, and eventfds that a host misuses
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/wait.h"

#include <sys/eventfd.h>

#define PAGE        0x1000u
#define RAM         0x02000000ull
#define BAR         4               /* 64 KiB, without a target at first */
#define ENABLE      EPC_DOORBELL_CTRL_ENABLE
#define VALUE       EPC_DOORBELL_CTRL_VALUE

static void doorbell_control(EpVm *e, unsigned n, uint32_t ctrl)
{
    epvm_set_doorbell_reg(e, n, EPC_DOORBELL_CTRL, ctrl);
}

static uint32_t value_of(EpVm *e, unsigned n)
{
    return epvm_doorbell_reg(e, n, EPC_DOORBELL_VALUE);
}

static bool doorbell_rang(EpVm *e, unsigned n)
{
    return epvm_vector(e, EPC_VECTOR_DOORBELL(n), EPVM_TIMEOUT_MS);
}

/* An eventfd of a doorbell is handled by the main loop. */
static void doorbell_expect_silent(EpVm *e, unsigned n)
{
    epvm_expect_no_vector(e, EPC_VECTOR_DOORBELL(n));
}

static uint32_t doorbells_dropped(EpVm *e)
{
    return epvm_fn_reg(e, EPC_FN_INBOUND_DROPPED);
}

static void write_bar(FakeHost *c, uint64_t offset, uint32_t v, uint32_t len)
{
    uint8_t buf[16] = { v, v >> 8, v >> 16, v >> 24 };

    g_assert_cmpint(fakehost_write(c, BAR, offset, buf, len), ==, 0);
}

/* The host's mapping or eventfds of the BAR end, if it asked for any. */
static void set_target(EpVm *e, FakeHost *c, uint64_t addr, bool asked)
{
    epvm_bar_args(e, BAR, 0, addr, EPVM_BAR0_SIZE);
    g_assert_cmpuint(epvm_begin_command(e, EPC_CMD_SET_BAR), ==,
                     asked ? EPC_STATUS_BUSY : EPC_STATUS_OK);
    if (asked) {
        fakehost_remap(c, BAR);
    }
    g_assert_cmpuint(epvm_wait_command(e), ==, EPC_STATUS_OK);
}

/* With a host that reaches the doorbells, each with @ctrl */
static FakeHost *doorbell_start(EpVm *e, uint32_t ctrl, unsigned max_fds)
{
    FakeHost *c;

    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        doorbell_control(e, n, ctrl);
    }
    c = epvm_attach_areas(e, max_fds);
    set_target(e, c, EPVM_DOORBELL, false);
    return c;
}

/* ---- Rings ---- */

static void test_eventfd(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = doorbell_start(e, ENABLE, 80);
    FakeHostIoFds *f = fakehost_io_fds(c, BAR);

    g_assert_cmpuint(epvm_reg(e, EPC_REG_DOORBELLS), ==, EPC_MAX_DOORBELLS);
    g_assert_cmpuint(f->room, ==, EPC_MAX_DOORBELLS);
    g_assert_cmpuint(f->count, ==, EPC_MAX_DOORBELLS);
    g_assert_cmpuint(f->nfds, ==, EPC_MAX_DOORBELLS);
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        g_assert_cmphex(f->io[n].offset, ==, 4 * n);
        g_assert_cmpuint(f->io[n].type, ==, VFU_IO_FD_IOEVENTFD);
        for (unsigned i = 0; i < 3; i++) {
            fakehost_ring(f, n, 0);
            g_assert_true(doorbell_rang(e, n));
        }
        g_assert_cmphex(value_of(e, n), ==, 0);
        if (n) {
            doorbell_expect_silent(e, n - 1);
        }
    }
    g_assert_cmpuint(doorbells_dropped(e), ==, 0);
    fakehost_io_fds_free(f);
    epvm_detach(e, c);
}

static void test_value(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = doorbell_start(e, ENABLE | VALUE, 80);
    FakeHostIoFds *f = fakehost_io_fds(c, BAR);

    g_assert_cmpuint(f->count, ==, EPC_MAX_DOORBELLS);
    g_assert_cmpuint(f->nfds, ==, EPC_MAX_DOORBELLS + 1);
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        g_assert_cmpuint(f->io[n].type, ==, VFU_IO_FD_SHADOW);
        g_assert_cmphex(value_of(e, n), ==, 0);
        fakehost_ring(f, n, 0xd00d0000 + n);
        g_assert_true(doorbell_rang(e, n));
        g_assert_cmphex(value_of(e, n), ==, 0xd00d0000 + n);
        write_bar(c, 4 * n, 0xfeed0000 + n, 4);
        g_assert_true(doorbell_rang(e, n));
        g_assert_cmphex(value_of(e, n), ==, 0xfeed0000 + n);
    }
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        g_assert_cmphex(value_of(e, n), ==, 0xfeed0000 + n);
    }

    /* only while it is kept, and from zero on */
    doorbell_control(e, 7, ENABLE);
    g_assert_cmphex(value_of(e, 7), ==, 0);
    doorbell_control(e, 7, ENABLE | VALUE);
    g_assert_cmphex(value_of(e, 7), ==, 0);
    g_assert_cmpuint(doorbells_dropped(e), ==, 0);
    fakehost_io_fds_free(f);
    epvm_detach(e, c);
}

/* A client without areas, and one that takes few descriptors */
static void test_message(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);
    VfuRegionInfo info;
    FakeHostIoFds *f;
    int fd;

    doorbell_control(e, 3, ENABLE | VALUE);
    set_target(e, c, EPVM_DOORBELL, false);
    f = fakehost_io_fds(c, BAR);
    g_assert_cmpuint(f->room, ==, 0);
    g_assert_cmpuint(f->nfds, ==, 0);
    fakehost_io_fds_free(f);
    g_assert_cmpint(fakehost_region_info(c, BAR, &info, &fd), ==, 0);
    g_assert_cmphex(info.flags & VFU_REGION_FLAG_MMAP, ==, 0);
    write_bar(c, 12, 77, 4);
    g_assert_true(doorbell_rang(e, 3));
    g_assert_cmpuint(value_of(e, 3), ==, 77);
    epvm_detach(e, c);
}

static void test_few_fds(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = doorbell_start(e, ENABLE | VALUE, 5);
    FakeHostIoFds *f = fakehost_io_fds(c, BAR);

    g_assert_cmpuint(f->room, ==, EPC_MAX_DOORBELLS);
    g_assert_cmpuint(f->count, ==, 4);
    g_assert_cmpuint(f->nfds, ==, 5);
    fakehost_ring(f, 3, 33);
    g_assert_true(doorbell_rang(e, 3));
    g_assert_cmpuint(value_of(e, 3), ==, 33);
    write_bar(c, 16, 44, 4);
    g_assert_true(doorbell_rang(e, 4));
    g_assert_cmpuint(value_of(e, 4), ==, 44);
    fakehost_io_fds_free(f);
    epvm_detach(e, c);
}

static void test_vector(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = doorbell_start(e, ENABLE, 80);
    FakeHostIoFds *f = fakehost_io_fds(c, BAR);

    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        epvm_set_doorbell_reg(e, n, EPC_DOORBELL_VECTOR, 1);
    }
    fakehost_ring(f, 63, 0);
    g_assert_true(epvm_vector(e, 1, EPVM_TIMEOUT_MS));
    write_bar(c, 0, 0, 4);
    g_assert_true(epvm_vector(e, 1, EPVM_TIMEOUT_MS));
    doorbell_expect_silent(e, 63);

    epvm_set_doorbell_reg(e, 0, EPC_DOORBELL_VECTOR, EPC_VECTORS);
    epvm_set_doorbell_reg(e, 0, EPC_DOORBELL_VECTOR, UINT32_MAX);
    doorbell_control(e, 0, 4);
    doorbell_control(e, 0, UINT32_MAX);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, 4);
    g_assert_cmpuint(epvm_doorbell_reg(e, 0, EPC_DOORBELL_VECTOR), ==, 1);
    g_assert_cmpuint(epvm_doorbell_reg(e, 0, EPC_DOORBELL_CTRL), ==, ENABLE);
    epvm_set_doorbell_reg(e, 0, EPC_DOORBELL_VECTOR, EPC_VECTORS - 1);
    fakehost_ring(f, 0, 0);
    g_assert_true(epvm_vector(e, EPC_VECTORS - 1, EPVM_TIMEOUT_MS));
    fakehost_io_fds_free(f);
    epvm_detach(e, c);
}

/* A write rings each doorbell of which it has a byte, once. */
static void test_width(void)
{
    static const struct {
        uint64_t offset;
        uint32_t len, value[4];     /* of doorbell offset / 4 and those behind */
    } t[] = {
        { 0, 1, { 0x11 } },
        { 0, 2, { 0x2211 } },
        { 4, 2, { 0x2211 } },
        { 0, 3, { 0x332211 } },
        { 2, 2, { 0x22110000 } },
        { 3, 1, { 0x11000000 } },
        { 4, 4, { 0x44332211 } },
        { 1, 4, { 0x33221100, 0x44 } },
        { 7, 2, { 0x11000000, 0x22 } },
        { 248, 8, { 0x44332211, 0x88776655 } },
        { 8, 8, { 0x44332211, 0x88776655 } },
        { 16, 16, { 0x44332211, 0x88776655, 0xccbbaa99, 0x10ffeedd } },
    };
    static const uint8_t bytes[16] = {
        0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
        0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x10,
    };
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = doorbell_start(e, ENABLE | VALUE, 80);

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        unsigned first = t[i].offset / 4;
        unsigned last = (t[i].offset + t[i].len - 1) / 4;

        g_test_message("%u bytes at %u", t[i].len, (unsigned)t[i].offset);
        g_assert_cmpint(fakehost_write(c, BAR, t[i].offset, bytes, t[i].len),
                        ==, 0);
        for (unsigned n = first; n <= last; n++) {
            g_assert_true(doorbell_rang(e, n));
            g_assert_cmphex(value_of(e, n), ==, t[i].value[n - first]);
        }
        for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
            g_assert_false(epvm_vector(e, EPC_VECTOR_DOORBELL(n), 0));
        }
    }
    g_assert_cmpuint(doorbells_dropped(e), ==, 0);
    epvm_detach(e, c);
}

/* ---- What does not ring ---- */

static void test_dropped(void)
{
    static const struct {
        uint64_t offset;
        uint32_t len;
    } t[] = {
        { 256, 1 }, { 256, 4 }, { 256, 8 }, { 4092, 4 }, { PAGE, 4 },
        { EPVM_BAR0_SIZE - 4, 4 },
    };
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = doorbell_start(e, ENABLE | VALUE, 80);
    unsigned count = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        write_bar(c, t[i].offset, 0x01010101, t[i].len);
        g_assert_cmpuint(doorbells_dropped(e), ==, ++count);
    }
    doorbell_control(e, 5, VALUE);
    write_bar(c, 20, 1, 4);
    write_bar(c, 21, 1, 2);
    count += 2;
    g_assert_cmpuint(doorbells_dropped(e), ==, count);
    /* Half of each rings, and the other one counts as dropped. */
    write_bar(c, 16, 0x55, 8);
    g_assert_true(doorbell_rang(e, 4));
    g_assert_cmphex(value_of(e, 4), ==, 0x55);
    write_bar(c, 24, 0, 4);
    g_assert_true(doorbell_rang(e, 6));
    write_bar(c, 252, 0, 8);
    g_assert_true(doorbell_rang(e, 63));
    count += 2;
    g_assert_cmpuint(doorbells_dropped(e), ==, count);
    doorbell_control(e, 4, 0);
    doorbell_control(e, 4, ENABLE | VALUE);
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        g_assert_false(epvm_vector(e, EPC_VECTOR_DOORBELL(n), 0));
        g_assert_cmphex(value_of(e, n), ==, 0);
    }
    epvm_set_reg(e, EPC_REG_RESET, EPC_RESET_MAGIC);
    g_assert_cmpuint(doorbells_dropped(e), ==, 0);
    fakehost_free(c);
    epvm_stop(e);
}

static void test_read(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = doorbell_start(e, ENABLE | VALUE, 80);
    uint8_t buf[512];

    write_bar(c, 4, 0x5a5a5a5a, 4);
    g_assert_cmpint(fakehost_read(c, BAR, 0, buf, sizeof(buf)), ==, 0);
    for (unsigned i = 0; i < sizeof(buf); i++) {
        g_assert_cmphex(buf[i], ==, i < 4 * EPC_MAX_DOORBELLS ? 0 : 0xff);
    }

    /* the endpoint itself sees a register that does nothing */
    g_assert_true(doorbell_rang(e, 1));
    qtest_writel(e->q, EPVM_DOORBELL + 4, 1);
    g_assert_cmphex(qtest_readl(e->q, EPVM_DOORBELL + 4), ==, 0);
    doorbell_expect_silent(e, 1);
    epvm_detach(e, c);
}

static void wait_dropped(EpVm *e, uint32_t count)
{
    wait_until(doorbells_dropped(e) == count, "%u dropped rings, not %u", count,
               doorbells_dropped(e));
}

/* Disabled, though the host has its eventfd */
static void test_disabled(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = doorbell_start(e, 0, 80);
    FakeHostIoFds *f = fakehost_io_fds(c, BAR);

    g_assert_cmpuint(f->count, ==, EPC_MAX_DOORBELLS);
    fakehost_ring(f, 9, 0);
    wait_dropped(e, 1);
    doorbell_expect_silent(e, 9);
    doorbell_control(e, 9, ENABLE);
    doorbell_expect_silent(e, 9);
    fakehost_ring(f, 9, 0);
    g_assert_true(doorbell_rang(e, 9));
    doorbell_control(e, 9, 0);
    fakehost_ring(f, 9, 0);
    wait_dropped(e, 2);
    doorbell_expect_silent(e, 9);
    fakehost_io_fds_free(f);
    epvm_detach(e, c);
}

/* ---- Retargeting ---- */

static void test_retarget(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = doorbell_start(e, ENABLE, 80);

    for (unsigned i = 0; i < 8; i++) {
        FakeHostIoFds *f = fakehost_io_fds(c, BAR);
        FakeHostAreas *a = fakehost_areas(c, BAR);

        g_assert_cmpuint(f->count, ==, EPC_MAX_DOORBELLS);
        g_assert_cmpuint(a->count, ==, 0);
        fakehost_ring(f, i, 0);
        g_assert_true(doorbell_rang(e, i));
        fakehost_io_fds_free(f);
        fakehost_areas_free(a);

        set_target(e, c, RAM, true);
        f = fakehost_io_fds(c, BAR);
        a = fakehost_areas(c, BAR);
        g_assert_cmpuint(f->count, ==, 0);
        g_assert_cmpuint(a->count, ==, 1);
        write_bar(c, 4 * i, 0xab000000 + i, 4);
        g_assert_cmphex(qtest_readl(e->q, RAM + 4 * i), ==, 0xab000000 + i);
        doorbell_expect_silent(e, i);
        fakehost_io_fds_free(f);
        fakehost_areas_free(a);
        set_target(e, c, EPVM_DOORBELL, true);
    }
    g_assert_cmpuint(doorbells_dropped(e), ==, 0);
    epvm_detach(e, c);
}

/* A part of a BAR, and parts of the doorbell BAR */
static void test_area(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = doorbell_start(e, ENABLE, 80);
    FakeHostIoFds *f;
    FakeHostAreas *a;

    epvm_area_args(e, 0, RAM, PAGE);
    epvm_area_args(e, 1, EPVM_DOORBELL, PAGE);
    epvm_area_args(e, 2, EPVM_DOORBELL + PAGE, PAGE);
    epvm_area_args(e, 3, RAM + PAGE, PAGE);
    g_assert_cmpuint(epvm_set_areas(e, BAR, 4), ==, EPC_STATUS_OK);
    f = fakehost_io_fds(c, BAR);
    a = fakehost_areas(c, BAR);
    g_assert_cmpuint(a->count, ==, 2);
    g_assert_cmphex(a->area[1].offset, ==, 3 * PAGE);
    g_assert_cmpuint(f->count, ==, EPC_MAX_DOORBELLS);
    g_assert_cmphex(f->io[2].offset, ==, PAGE + 8);
    fakehost_ring(f, 2, 0);
    g_assert_true(doorbell_rang(e, 2));
    write_bar(c, PAGE + 12, 0, 4);
    g_assert_true(doorbell_rang(e, 3));
    g_assert_cmpuint(doorbells_dropped(e), ==, 0);

    write_bar(c, 2 * PAGE, 0, 4);
    g_assert_cmpuint(doorbells_dropped(e), ==, 1);
    doorbell_expect_silent(e, 0);
    write_bar(c, PAGE - 2, 0x5a5a5a5a, 4);      /* into memory and a doorbell */
    g_assert_true(doorbell_rang(e, 0));
    g_assert_cmphex(qtest_readw(e->q, RAM + PAGE - 2), ==, 0x5a5a);
    g_assert_cmpuint(doorbells_dropped(e), ==, 1);
    fakehost_io_fds_free(f);
    fakehost_areas_free(a);
    epvm_detach(e, c);
}

/* What the host keeps after a reset rings nothing. */
static void test_reset(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = doorbell_start(e, ENABLE | VALUE, 80);
    FakeHostIoFds *f = fakehost_io_fds(c, BAR);

    fakehost_ring(f, 4, 44);
    g_assert_true(doorbell_rang(e, 4));
    epvm_set_reg(e, EPC_REG_RESET, EPC_RESET_MAGIC);
    fakehost_ring(f, 4, 0);
    doorbell_expect_silent(e, 4);
    g_assert_cmphex(value_of(e, 4), ==, 0);
    g_assert_cmphex(epvm_doorbell_reg(e, 4, EPC_DOORBELL_CTRL), ==, 0);
    fakehost_io_fds_free(f);
    fakehost_free(c);
    epvm_stop(e);
}

/* ---- Hosts that misuse eventfds ---- */

/* Full and blocking: the host loses its own rings, and no thread waits. */
static void test_full(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = doorbell_start(e, ENABLE, 80);
    FakeHostIoFds *f = fakehost_io_fds(c, BAR);
    uint64_t full = UINT64_MAX - 1;
    int fd = f->fds[f->io[6].fd_index];

    g_assert_cmpint(fcntl(fd, F_SETFL, 0), ==, 0);
    g_assert_cmpint(write(fd, &full, sizeof(full)), ==, sizeof(full));
    g_assert_true(doorbell_rang(e, 6));
    write_bar(c, 24, 0, 4);
    g_assert_true(doorbell_rang(e, 6));
    doorbell_control(e, 6, 0);
    doorbell_control(e, 6, ENABLE);
    epvm_set_reg(e, EPC_REG_RESET, EPC_RESET_MAGIC);
    fakehost_io_fds_free(f);
    fakehost_free(c);
    epvm_stop(e);
}

/* The same for the interrupts that this host wants */
static void test_raise_full(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);
    unsigned cap = fakehost_find_cap(c, PCI_CAP_ID_MSIX);
    int fd = eventfd(0, EFD_CLOEXEC);
    uint64_t full = UINT64_MAX - 1;

    fakehost_set_config(c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    fakehost_set_config(c, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
    g_assert_cmpint(fakehost_set_irq(c, VFU_IRQ_MSIX, 2, fd), ==, 0);
    epvm_raise(e, EPC_RAISE_MSIX(2), 1);
    g_assert_cmpuint(fakehost_wait_eventfd(fd, FAKEHOST_TIMEOUT_MS), ==, 1);
    g_assert_cmpint(fcntl(fd, F_SETFL, 0), ==, 0);
    g_assert_cmpint(write(fd, &full, sizeof(full)), ==, sizeof(full));
    for (unsigned i = 0; i < 300; i++) {
        epvm_raise(e, EPC_RAISE_MSIX(2), 1);
    }
    g_assert_cmphex(fakehost_wait_eventfd(fd, FAKEHOST_TIMEOUT_MS), >=, full);
    epvm_raise(e, EPC_RAISE_MSIX(2), 1);
    g_assert_cmpuint(fakehost_wait_eventfd(fd, FAKEHOST_TIMEOUT_MS), ==, 1);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_RAISE_DROPPED), ==, 0);
    close(fd);
    epvm_detach(e, c);
}

/* ---- Pending bits of the controller ---- */

#define PBA         0x800           /* in EPC_BAR_MSIX */

static uint32_t own_config(EpVm *e, unsigned reg)
{
    qtest_outl(e->q, 0xcf8, 1u << 31 | e->slot << 11 | reg);
    return qtest_inl(e->q, 0xcfc);
}

static void set_own_msix(EpVm *e, uint16_t flags)
{
    unsigned cap = own_config(e, PCI_CAPABILITY_LIST) & 0xff;

    while ((own_config(e, cap) & 0xff) != PCI_CAP_ID_MSIX) {
        cap = own_config(e, cap) >> 8 & 0xff;
        g_assert_cmpuint(cap, !=, 0);
    }
    own_config(e, cap);
    qtest_outl(e->q, 0xcfc, (uint32_t)flags << 16);
}

static bool own_pending(EpVm *e, unsigned vector)
{
    return qtest_readl(e->q, e->msix + PBA + vector / 32 * 4) &
           1u << vector % 32;
}

static void mask_own(EpVm *e, unsigned vector, bool masked)
{
    qtest_writel(e->q, e->msix + vector * 16 + 12, masked);
}

/* The next driver gets no interrupt that was pending for the last one. */
static void test_pending(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = doorbell_start(e, ENABLE, 80);
    FakeHostIoFds *f = fakehost_io_fds(c, BAR);
    const unsigned vector = EPC_VECTOR_DOORBELL(3);

    epvm_set_fn_reg(e, EPC_FN_EVENT_MASK, EPC_FN_EVENT_COMMAND);
    epvm_set_fn_reg(e, EPC_FN_EVENT, EPC_FN_EVENT_ALL);
    epvm_vector(e, EPC_VECTOR_EVENT, 0);
    mask_own(e, vector, true);
    fakehost_ring(f, 3, 0);
    wait_until(own_pending(e, vector), "a pending bit of the doorbell");

    set_own_msix(e, 0);
    g_assert_false(own_pending(e, vector));
    /* An event while MSI-X is not enabled */
    fakehost_set_config(c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    fence_main_loop(e->q);
    g_assert_false(own_pending(e, EPC_VECTOR_EVENT));
    mask_own(e, vector, false);
    set_own_msix(e, PCI_MSIX_FLAGS_ENABLE);
    doorbell_expect_silent(e, 3);
    epvm_expect_no_vector(e, EPC_VECTOR_EVENT);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_EVENT), ==, EPC_FN_EVENT_COMMAND);

    fakehost_ring(f, 3, 0);
    g_assert_true(doorbell_rang(e, 3));
    fakehost_io_fds_free(f);
    epvm_detach(e, c);
}

/* ---- Requested faults ---- */

/* By eventfd and by message. The value arrives in any case. */
static void test_lost(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = doorbell_start(e, ENABLE | VALUE, 80);
    FakeHostIoFds *f = fakehost_io_fds(c, BAR);

    for (unsigned by_message = 0; by_message < 2; by_message++) {
        uint32_t v = 0x1000 * by_message;

        epvm_request_fault(e, "doorbell-lost,after=1");
        for (unsigned i = 0; i < 3; i++) {
            if (by_message) {
                write_bar(c, 4 * 5, v + i, 4);
            } else {
                fakehost_ring(f, 5, v + i);
            }
            if (i == 1) {
                doorbell_expect_silent(e, 5);
            } else {
                g_assert_true(doorbell_rang(e, 5));
            }
            g_assert_cmphex(value_of(e, 5), ==, v + i);
        }
    }
    epvm_expect_faults(e, 2, "doorbell-lost", "\"at\": 5}");
    g_assert_cmpuint(doorbells_dropped(e), ==, 0);

    /* one that is not enabled is no chance */
    epvm_request_fault(e, "doorbell-lost");
    doorbell_control(e, 6, 0);
    fakehost_ring(f, 6, 0);
    write_bar(c, 4 * 6, 0, 4);
    wait_until(doorbells_dropped(e) == 2, "rings to be dropped");
    epvm_expect_faults(e, 2, "doorbell-lost", NULL);
    fakehost_io_fds_free(f);
    epvm_detach(e, c);
}

static void test_double(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = doorbell_start(e, ENABLE, 80);
    FakeHostIoFds *f = fakehost_io_fds(c, BAR);
    gint64 since;

    for (unsigned by_message = 0; by_message < 2; by_message++) {
        epvm_request_fault(e, "doorbell-double,us=200000");
        since = g_get_monotonic_time();
        if (by_message) {
            write_bar(c, 4 * 5, 0, 4);
        } else {
            fakehost_ring(f, 5, 0);
        }
        g_assert_true(doorbell_rang(e, 5));
        g_assert_true(doorbell_rang(e, 5));
        g_assert_cmpint(g_get_monotonic_time() - since, >=, 200000);
        doorbell_expect_silent(e, 5);
    }
    epvm_expect_faults(e, 2, "doorbell-double", "\"at\": 5}");

    /* disabled before the second one is due */
    epvm_request_fault(e, "doorbell-double,us=100000");
    fakehost_ring(f, 5, 0);
    g_assert_true(doorbell_rang(e, 5));
    doorbell_control(e, 5, 0);
    /* This proves nothing on a slow machine. */
    g_usleep(200000);
    doorbell_expect_silent(e, 5);
    fakehost_io_fds_free(f);
    epvm_detach(e, c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/doorbell/eventfd", test_eventfd);
    qtest_add_func("/pci-epc/doorbell/value", test_value);
    qtest_add_func("/pci-epc/doorbell/message", test_message);
    qtest_add_func("/pci-epc/doorbell/few-descriptors", test_few_fds);
    qtest_add_func("/pci-epc/doorbell/vector", test_vector);
    qtest_add_func("/pci-epc/doorbell/width", test_width);
    qtest_add_func("/pci-epc/doorbell/dropped", test_dropped);
    qtest_add_func("/pci-epc/doorbell/read", test_read);
    qtest_add_func("/pci-epc/doorbell/disabled", test_disabled);
    qtest_add_func("/pci-epc/doorbell/retarget", test_retarget);
    qtest_add_func("/pci-epc/doorbell/area", test_area);
    qtest_add_func("/pci-epc/doorbell/reset", test_reset);
    qtest_add_func("/pci-epc/doorbell/full", test_full);
    qtest_add_func("/pci-epc/doorbell/pending", test_pending);
    qtest_add_func("/pci-epc/doorbell/requested/lost", test_lost);
    qtest_add_func("/pci-epc/doorbell/requested/double", test_double);
    qtest_add_func("/pci-epc/raise/full", test_raise_full);
    return g_test_run();
}
