/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc and a fake host: the areas of a BAR and their targets
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "libqos/pci.h"
#include "libqos/pci-pc.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/wait.h"

#define PAGE        0x1000u
#define RAM(n)      (0x02000000ull + (n) * 0x100000ull)
#define HOST        0x100000000ull      /* PCI address in the second host */

static void check_area(const FakeHostAreas *a, unsigned n, uint64_t offset,
                       uint64_t size)
{
    g_assert_cmpuint(n, <, a->count);
    g_assert_cmphex(a->area[n].offset, ==, offset);
    g_assert_cmphex(a->area[n].size, ==, size);
}

/* Does area @n reach the endpoint's memory at @addr, both ways? */
static void check_memory(EpVm *e, const FakeHostAreas *a, unsigned n,
                         uint64_t addr)
{
    uint8_t *mem = fakehost_map_area(a, n);
    uint64_t last = a->area[n].size - 4;
    uint32_t v;

    qtest_writel(e->q, addr + 4, 0x12345678);
    memcpy(&v, mem + 4, 4);
    g_assert_cmphex(v, ==, 0x12345678);
    v = 0x9abcdef0;
    memcpy(mem + last, &v, 4);
    g_assert_cmphex(qtest_readl(e->q, addr + last), ==, 0x9abcdef0);
    fakehost_unmap_area(a, n, mem);
}

static uint32_t bar_load(FakeHost *c, unsigned bar, uint64_t offset)
{
    uint32_t v;

    g_assert_cmpint(fakehost_read(c, bar, offset, &v, 4), ==, 0);
    return v;
}

static void bar_store(FakeHost *c, unsigned bar, uint64_t offset, uint32_t v)
{
    g_assert_cmpint(fakehost_write(c, bar, offset, &v, 4), ==, 0);
}

static uint32_t writes_dropped(EpVm *e)
{
    return epvm_fn_reg(e, EPC_FN_INBOUND_DROPPED);
}

/* Changes the areas of a live BAR. */
static void set_areas_live(EpVm *e, FakeHost *c, uint32_t bar,
                           uint32_t count)
{
    epvm_set_fn_reg(e, EPC_FN_BAR, bar);
    epvm_set_fn_reg(e, EPC_FN_COUNT, count);
    g_assert_cmpuint(epvm_begin_command(e, EPC_CMD_SET_AREAS), ==,
                     EPC_STATUS_BUSY);
    fakehost_remap(c, bar);
    g_assert_cmpuint(epvm_wait_command(e), ==, EPC_STATUS_OK);
}

/* ---- Whole BARs ---- */

static void test_whole(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach_areas(e, 80);
    FakeHostAreas *a = fakehost_areas(c, 0);

    g_assert_cmpuint(a->count, ==, 1);
    check_area(a, 0, 0, EPVM_BAR0_SIZE);
    check_memory(e, a, 0, EPVM_BAR0);
    fakehost_areas_free(a);

    a = fakehost_areas(c, 4);    /* no target */
    g_assert_cmpuint(a->count, ==, 0);
    fakehost_areas_free(a);
    g_assert_cmphex(bar_load(c, 4, 0x100), ==, UINT32_MAX);
    bar_store(c, 4, 0x100, 1);
    g_assert_cmpuint(writes_dropped(e), ==, 1);

    a = fakehost_areas(c, 3);    /* no BAR */
    g_assert_cmpuint(a->count, ==, 0);
    fakehost_areas_free(a);
    epvm_detach(e, c);
}

/* Memory that is not shared, or that the host could truncate, has no areas. */
static void test_unshared(const void *backend)
{
    EpVm *e = epvm_start(backend, "");
    FakeHost *c = epvm_attach_areas(e, 80);
    FakeHostAreas *a = fakehost_areas(c, 0);

    g_assert_cmpuint(a->count, ==, 0);
    fakehost_areas_free(a);
    bar_store(c, 0, 8, 0x11223344);
    g_assert_cmphex(qtest_readl(e->q, EPVM_BAR0 + 8), ==, 0x11223344);
    g_assert_cmpuint(writes_dropped(e), ==, 0);
    epvm_detach(e, c);
}

/* The user may trust the host not to truncate it. */
static void test_trusted(void)
{
    EpVm *e = epvm_start(EPVM_SHARED ",seal=off", ",trust-unsealed-memory=on");
    FakeHost *c = epvm_attach_areas(e, 80);
    FakeHostAreas *a = fakehost_areas(c, 0);

    g_assert_cmpuint(a->count, ==, 1);
    fakehost_areas_free(a);
    epvm_detach(e, c);
}

/* ---- Lists ---- */

/* RAM, nothing, RAM that ends before the BAR does */
static void three_areas(EpVm *e)
{
    epvm_area_args(e, 0, RAM(0), 2 * PAGE);
    epvm_area_args(e, 1, EPC_ADDR_NONE, PAGE);
    epvm_area_args(e, 2, RAM(1), 4 * PAGE);
}

static void check_three_areas(EpVm *e, FakeHost *c)
{
    FakeHostAreas *a = fakehost_areas(c, 2);

    g_assert_cmpuint(a->count, ==, 2);
    check_area(a, 0, 0, 2 * PAGE);
    check_area(a, 1, 3 * PAGE, 4 * PAGE);
    check_memory(e, a, 0, RAM(0));
    check_memory(e, a, 1, RAM(1));
    fakehost_areas_free(a);
}

static void test_list(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach_areas(e, 80);
    FakeHostAreas *a;

    fakehost_areas_free(fakehost_areas(c, 2));
    three_areas(e);
    set_areas_live(e, c, 2, 3);
    g_assert_true(epvm_vector(e, EPC_VECTOR_COMMAND, 1000));
    check_three_areas(e, c);

    /* SET_BAR replaces them all */
    epvm_bar_args(e, 2, EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH, RAM(3),
                  EPVM_BAR2_SIZE);
    g_assert_cmpuint(epvm_begin_command(e, EPC_CMD_SET_BAR), ==,
                     EPC_STATUS_BUSY);
    fakehost_remap(c, 2);
    g_assert_cmpuint(epvm_wait_command(e), ==, EPC_STATUS_OK);
    a = fakehost_areas(c, 2);
    g_assert_cmpuint(a->count, ==, 1);
    check_memory(e, a, 0, RAM(3));
    fakehost_areas_free(a);
    epvm_detach(e, c);
}

/* The same by message; each write that lost something counts once. */
static void test_messages(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach_areas(e, 80);
    g_autofree uint8_t *big = g_malloc(8 * PAGE);

    three_areas(e);
    g_assert_cmpuint(epvm_set_areas(e, 2, 3), ==, EPC_STATUS_OK);
    bar_store(c, 2, PAGE + 4, 0x01020304);
    g_assert_cmphex(qtest_readl(e->q, RAM(0) + PAGE + 4), ==, 0x01020304);
    qtest_writel(e->q, RAM(1), 0x05060708);
    g_assert_cmphex(bar_load(c, 2, 3 * PAGE), ==, 0x05060708);
    g_assert_cmpuint(writes_dropped(e), ==, 0);

    g_assert_cmphex(bar_load(c, 2, 2 * PAGE), ==, UINT32_MAX);
    g_assert_cmphex(bar_load(c, 2, 7 * PAGE), ==, UINT32_MAX);
    bar_store(c, 2, 2 * PAGE, 1);
    bar_store(c, 2, 7 * PAGE, 1);
    bar_store(c, 2, EPVM_BAR2_SIZE - 4, 1);
    g_assert_cmpuint(writes_dropped(e), ==, 3);

    /* across all of it */
    memset(big, 0x5a, 8 * PAGE);
    g_assert_cmpint(fakehost_write(c, 2, 0, big, 8 * PAGE), ==, 0);
    g_assert_cmpuint(writes_dropped(e), ==, 4);
    g_assert_cmphex(qtest_readl(e->q, RAM(0) + 2 * PAGE - 4), ==, 0x5a5a5a5a);
    g_assert_cmphex(qtest_readl(e->q, RAM(1) + 4 * PAGE - 4), ==, 0x5a5a5a5a);
    g_assert_cmphex(qtest_readl(e->q, RAM(1) + 4 * PAGE), ==, 0);
    memset(big, 0, 8 * PAGE);
    g_assert_cmpint(fakehost_read(c, 2, 0, big, 8 * PAGE), ==, 0);
    for (unsigned i = 0; i < 8; i++) {
        g_assert_cmphex(big[i * PAGE], ==, i == 2 || i == 7 ? 0xff : 0x5a);
    }
    epvm_detach(e, c);
}

/* As many as there can be, each to a page of its own, in reverse */
static void test_most(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach_areas(e, 80);
    FakeHostAreas *a;

    for (unsigned n = 0; n < EPC_MAX_AREAS; n++) {
        epvm_area_args(e, n, RAM(0) + (EPC_MAX_AREAS - n) * PAGE, PAGE);
    }
    g_assert_cmpuint(epvm_set_areas(e, 2, EPC_MAX_AREAS), ==, EPC_STATUS_OK);
    a = fakehost_areas(c, 2);
    g_assert_cmpuint(a->count, ==, EPC_MAX_AREAS);
    g_assert_cmpuint(a->nfds, ==, 1);
    for (unsigned n = 0; n < EPC_MAX_AREAS; n++) {
        check_area(a, n, n * PAGE, PAGE);
        check_memory(e, a, n, RAM(0) + (EPC_MAX_AREAS - n) * PAGE);
    }
    fakehost_areas_free(a);
    epvm_detach(e, c);
}

/* Subranges swapped while the host uses them: what it maps is never mixed. */
static void test_swap(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach_areas(e, 80);

    fakehost_areas_free(fakehost_areas(c, 0));
    for (unsigned i = 0; i < 64; i++) {
        uint64_t size = EPVM_BAR0_SIZE / 2;
        FakeHostAreas *a;

        epvm_area_args(e, 0, RAM(i & 1), size);
        epvm_area_args(e, 1, RAM(!(i & 1)), size);
        set_areas_live(e, c, 0, 2);
        a = fakehost_areas(c, 0);
        g_assert_cmpuint(a->count, ==, 2);
        check_memory(e, a, 0, RAM(i & 1));
        check_memory(e, a, 1, RAM(!(i & 1)));
        fakehost_areas_free(a);
    }
    epvm_detach(e, c);
}

/* ---- Errors ---- */

typedef struct Bad {
    uint32_t bar, count;
    uint64_t addr, size;
    uint32_t type, status;
} Bad;

/* Each replaces area 1 of three good ones. */
static const Bad bads[] = {
    { 6, 3, RAM(0), PAGE, 0, EPC_STATUS_BAD_ARG },
    { UINT32_MAX, 3, RAM(0), PAGE, 0, EPC_STATUS_BAD_ARG },
    { 3, 3, RAM(0), PAGE, 0, EPC_STATUS_BAD_ARG },  /* not defined */
    { 2, 0, RAM(0), PAGE, 0, EPC_STATUS_BAD_ARG },
    { 2, EPC_MAX_AREAS + 1, RAM(0), PAGE, 0, EPC_STATUS_BAD_ARG },
    { 2, UINT32_MAX, RAM(0), PAGE, 0, EPC_STATUS_BAD_ARG },
    { 2, 3, RAM(0), 0, 0, EPC_STATUS_BAD_ARG },
    { 2, 3, RAM(0), PAGE / 2, 0, EPC_STATUS_BAD_ARG },
    { 2, 3, RAM(0), PAGE + 1, 0, EPC_STATUS_BAD_ARG },
    { 2, 3, RAM(0) + 4, PAGE, 0, EPC_STATUS_BAD_ARG },
    { 2, 3, RAM(0), PAGE, 2, EPC_STATUS_BAD_ARG },
    { 2, 3, RAM(0), PAGE, UINT32_MAX, EPC_STATUS_BAD_ARG },
    { 2, 3, RAM(0), EPVM_BAR2_SIZE, 0, EPC_STATUS_BAD_ARG },
    { 2, 3, RAM(0), -(uint64_t)PAGE, 0, EPC_STATUS_BAD_ARG },
    { 2, 3, 0, EPVM_BAR2_SIZE, EPC_AREA_NONE, EPC_STATUS_BAD_ARG },
    { 2, 3, EPVM_REGS, PAGE, 0, EPC_STATUS_BAD_TARGET },
    { 2, 3, EPVM_WINDOW, PAGE, 0, EPC_STATUS_BAD_TARGET },
    { 2, 3, 0xd0000000, PAGE, 0, EPC_STATUS_BAD_TARGET },
    { 2, 3, EPVM_RAM_SIZE - PAGE, 2 * PAGE, 0, EPC_STATUS_BAD_TARGET },
    { 2, 3, -(uint64_t)PAGE, 2 * PAGE, 0, EPC_STATUS_BAD_TARGET },
    { 2, 3, EPVM_DOORBELL - PAGE, 2 * PAGE, 0, EPC_STATUS_BAD_TARGET },
    { 2, 3, EPVM_DOORBELL + EPC_DOORBELL_BAR_SIZE - PAGE, 2 * PAGE, 0,
      EPC_STATUS_BAD_TARGET },
};

static void test_bad(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach_areas(e, 80);

    three_areas(e);
    g_assert_cmpuint(epvm_set_areas(e, 2, 3), ==, EPC_STATUS_OK);
    fakehost_areas_free(fakehost_areas(c, 2));
    for (unsigned i = 0; i < ARRAY_SIZE(bads); i++) {
        const Bad *b = &bads[i];
        uint32_t status;

        epvm_area_args(e, 0, RAM(5), PAGE);
        epvm_area_args(e, 1, b->addr, b->size);
        epvm_set_fn_reg(e, EPC_FN_AREA(1) + EPC_AREA_TYPE, b->type);
        status = epvm_set_areas(e, b->bar, b->count);
        if (status != b->status) {
            g_test_message("row %u", i);
        }
        g_assert_cmpuint(status, ==, b->status);
        check_three_areas(e, c);
    }
    epvm_expect_no_command(e, c, VFU_CMD_EP_REMAP);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, 0);
    epvm_detach(e, c);
}

/* RAM and then doorbells is neither, wherever the guest puts its BARs. */
static void test_mixed(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    uint32_t reg = PCI_BASE_ADDRESS_0 + 4 * EPC_BAR_DOORBELL;

    for (unsigned i = 0; i < 2; i++) {
        qtest_outl(e->q, 0xcf8, 1u << 31 | e->slot << 11 | (reg + 4 * i));
        qtest_outl(e->q, 0xcfc, i ? 0 : EPVM_RAM_SIZE);
    }
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, EPVM_RAM_SIZE, 2 * PAGE), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, EPVM_RAM_SIZE - PAGE, 2 * PAGE), ==,
                     EPC_STATUS_BAD_TARGET);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, EPVM_RAM_SIZE - 2 * PAGE, 2 * PAGE),
                     ==, EPC_STATUS_OK);
    epvm_stop(e);
}

/* A type NONE, and a target that is EPC_ADDR_NONE, need no address. */
static void test_none(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");

    epvm_describe(e);
    epvm_area_args(e, 0, EPC_ADDR_NONE, EPVM_BAR2_SIZE);
    g_assert_cmpuint(epvm_set_areas(e, 2, 1), ==, EPC_STATUS_OK);
    epvm_set_fn_reg64(e, EPC_FN_AREA(0) + EPC_AREA_ADDR, 0x123);
    g_assert_cmpuint(epvm_set_areas(e, 2, 1), ==, EPC_STATUS_OK);
    epvm_set_fn_reg64(e, EPC_FN_AREA(0) + EPC_AREA_ADDR, EPC_ADDR_NONE);
    epvm_set_fn_reg(e, EPC_FN_AREA(0) + EPC_AREA_TYPE, EPC_AREA_TARGET);
    g_assert_cmpuint(epvm_set_areas(e, 2, 1), ==, EPC_STATUS_OK);
    epvm_stop(e);
}

/* ---- Resets ---- */

static void test_reset(bool busy)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach_areas(e, 80);
    VfuMsg *m = NULL;
    FakeHostAreas *a;

    fakehost_areas_free(fakehost_areas(c, 2));
    three_areas(e);
    if (busy) {
        epvm_set_fn_reg(e, EPC_FN_BAR, 2);
        epvm_set_fn_reg(e, EPC_FN_COUNT, 3);
        g_assert_cmpuint(epvm_begin_command(e, EPC_CMD_SET_AREAS), ==,
                         EPC_STATUS_BUSY);
        m = fakehost_command(c, VFU_CMD_EP_REMAP);
    } else {
        set_areas_live(e, c, 2, 3);
    }
    epvm_set_reg(e, EPC_REG_RESET, EPC_RESET_MAGIC);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_STATUS), ==, EPC_STATUS_OK);
    if (busy) {
        fakehost_answer(c, m, 0);
        vfu_msg_free(m);
    }
    fakehost_link(c, VFU_EP_LINK_DOWN);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_AREA(2) + EPC_AREA_ADDR), ==, 0);
    g_assert_cmpuint(epvm_set_areas(e, 2, 1), ==, EPC_STATUS_BAD_ARG);

    epvm_wait_link_command(e);
    epvm_describe(e);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    fakehost_link(c, VFU_EP_LINK_UP);
    a = fakehost_areas(c, 2);
    g_assert_cmpuint(a->count, ==, 1);
    check_area(a, 0, 0, EPVM_BAR2_SIZE);
    fakehost_areas_free(a);
    fakehost_free(c);
    epvm_stop(e);
}

static void test_reset_idle(void)
{
    test_reset(false);
}

static void test_reset_busy(void)
{
    test_reset(true);
}

/* ---- The window of another controller ---- */

typedef struct Two {
    EpVm *e, *e2;
    FakeHost *c, *c2;
    uint8_t *mem;           /* memory of the second host */
    int fd;
} Two;

/* The target of BAR2 of the first is the window of the second, so @mem. */
static void two_start(Two *t, const char *machine)
{
    t->e = epvm_start_two(machine, &t->e2);
    t->c = epvm_attach_areas(t->e, 80);
    t->c2 = epvm_attach(t->e2);
    t->fd = fakehost_memfd(EPVM_BAR2_SIZE, &t->mem);
    fakehost_set_config(t->c2, PCI_COMMAND, 2,
                        PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    g_assert_cmpint(fakehost_dma_map(t->c2, HOST, EPVM_BAR2_SIZE, t->fd, 0,
                                     VFU_DMA_READ | VFU_DMA_WRITE), ==, 0);
    g_assert_cmpuint(epvm_map(t->e2, 0, HOST, EPVM_BAR2_SIZE), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(t->e, 2,
                                  EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH,
                                  t->e2->window, EPVM_BAR2_SIZE), ==,
                     EPC_STATUS_OK);
}

static void two_end(Two *t)
{
    fakehost_free(t->c);
    epvm_stop(t->e);
    epvm_stop(t->e2);
    close(t->fd);
}

static void test_window(void)
{
    FakeHostAreas *a;
    Two t;

    two_start(&t, "q35");
    a = fakehost_areas(t.c, 2);
    g_assert_cmpuint(a->count, ==, 0);
    fakehost_areas_free(a);
    bar_store(t.c, 2, 0x1008, 0xcafe0001);
    g_assert_cmphex((uint32_t)ldl_le_p(t.mem + 0x1008), ==, 0xcafe0001);
    stl_le_p(t.mem + EPVM_BAR2_SIZE - 4, 0xcafe0002);
    g_assert_cmphex(bar_load(t.c, 2, EPVM_BAR2_SIZE - 4), ==, 0xcafe0002);

    /* what the second host takes away reads all ones, until it is back */
    g_assert_cmpint(fakehost_dma_unmap(t.c2, HOST, EPVM_BAR2_SIZE), ==, 0);
    g_assert_cmphex(bar_load(t.c, 2, 0x1008), ==, UINT32_MAX);
    bar_store(t.c, 2, 0x1008, 0);
    g_assert_cmphex((uint32_t)ldl_le_p(t.mem + 0x1008), ==, 0xcafe0001);
    g_assert_cmpint(fakehost_dma_map(t.c2, HOST, EPVM_BAR2_SIZE, t.fd, 0,
                                     VFU_DMA_READ | VFU_DMA_WRITE), ==, 0);
    g_assert_cmphex(bar_load(t.c, 2, 0x1008), ==, 0xcafe0001);

    /* a part of it among others; past its end; its other BARs */
    epvm_area_args(t.e, 0, RAM(0), PAGE);
    epvm_area_args(t.e, 1, t.e2->window + PAGE, PAGE);
    g_assert_cmpuint(epvm_set_areas(t.e, 0, 2), ==, EPC_STATUS_OK);
    a = fakehost_areas(t.c, 0);
    g_assert_cmpuint(a->count, ==, 1);
    fakehost_areas_free(a);
    g_assert_cmphex(bar_load(t.c, 0, PAGE + 8), ==, 0xcafe0001);
    epvm_area_args(t.e, 1, t.e2->window + (256 << 20) - PAGE, 2 * PAGE);
    g_assert_cmpuint(epvm_set_areas(t.e, 0, 2), ==, EPC_STATUS_BAD_TARGET);
    epvm_area_args(t.e, 1, t.e2->regs, PAGE);
    g_assert_cmpuint(epvm_set_areas(t.e, 0, 2), ==, EPC_STATUS_BAD_TARGET);
    epvm_area_args(t.e, 1, t.e2->doorbell, PAGE);
    g_assert_cmpuint(epvm_set_areas(t.e, 0, 2), ==, EPC_STATUS_BAD_TARGET);
    g_assert_cmphex(bar_load(t.c, 0, PAGE + 8), ==, 0xcafe0001);
    fakehost_free(t.c2);
    two_end(&t);
}

/* The controller whose window it is goes away. */
static void test_window_unplug(void)
{
    Two t;

    two_start(&t, "pc");
    bar_store(t.c, 2, 0, 0xcafe0001);
    qpci_unplug_acpi_device_test(t.e->q, "epc2", t.e2->slot);
    g_assert_true(fakehost_wait_closed(t.c2, FAKEHOST_TIMEOUT_MS));
    fakehost_free(t.c2);
    g_assert_cmphex(bar_load(t.c, 2, 0), ==, UINT32_MAX);
    bar_store(t.c, 2, 0, 0xcafe0002);
    g_assert_cmphex((uint32_t)ldl_le_p(t.mem), ==, 0xcafe0001);

    /* the last that leads there */
    g_assert_cmpuint(epvm_set_bar(t.e, 2,
                                  EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH,
                                  RAM(0), EPVM_BAR2_SIZE), ==, EPC_STATUS_OK);
    bar_store(t.c, 2, 0, 0xcafe0003);
    g_assert_cmphex(qtest_readl(t.e->q, RAM(0)), ==, 0xcafe0003);
    two_end(&t);
}

/* ---- Descriptors ---- */

/* Descriptors of the endpoint's memory in its QEMU */
static unsigned count_memory_fds(EpVm *e)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd",
                                            (int)qtest_pid(e->q));
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;
    unsigned n = 0;

    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *link = g_strdup_printf("%s/%s", path, name);
        g_autofree char *to = g_file_read_link(link, NULL);

        n += to && g_str_has_prefix(to, "/memfd:memory-backend-memfd");
    }
    g_dir_close(dir);
    return n;
}

/* A thread of its own closes them. */
static void wait_memory_fds(EpVm *e, unsigned n)
{
    wait_until(count_memory_fds(e) == n, "%u descriptors of memory, not %u", n,
               count_memory_fds(e));
}

/*
 * A target has a descriptor of its own, and returns it: that of the memory may
 * be closed earlier, by whoever made the memory.
 */
static void test_descriptors(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    unsigned before = count_memory_fds(e);

    g_assert_cmpuint(epvm_set_bar(e, 0, 0, RAM(0), EPVM_BAR0_SIZE), ==,
                     EPC_STATUS_OK);
    wait_memory_fds(e, before + 1);
    epvm_area_args(e, 0, RAM(1), PAGE);
    epvm_area_args(e, 1, RAM(3), PAGE);
    epvm_area_args(e, 2, RAM(2), PAGE);
    g_assert_cmpuint(epvm_set_areas(e, 0, 3), ==, EPC_STATUS_OK);
    wait_memory_fds(e, before + 1);
    g_assert_cmpuint(epvm_set_bar(e, 1, 0, RAM(4), PAGE), ==, EPC_STATUS_OK);
    wait_memory_fds(e, before + 2);
    g_assert_cmpuint(epvm_clear_bar(e, 0), ==, EPC_STATUS_OK);
    wait_memory_fds(e, before + 1);
    epvm_set_reg(e, EPC_REG_RESET, EPC_RESET_MAGIC);
    wait_memory_fds(e, before);
    epvm_stop(e);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/areas/whole", test_whole);
    qtest_add_data_func("/pci-epc/areas/unshared", EPVM_UNSHARED, test_unshared);
    qtest_add_data_func("/pci-epc/areas/unsealed", EPVM_SHARED ",seal=off",
                        test_unshared);
    qtest_add_func("/pci-epc/areas/trusted", test_trusted);
    qtest_add_func("/pci-epc/areas/list", test_list);
    qtest_add_func("/pci-epc/areas/messages", test_messages);
    qtest_add_func("/pci-epc/areas/most", test_most);
    qtest_add_func("/pci-epc/areas/swap", test_swap);
    qtest_add_func("/pci-epc/areas/bad", test_bad);
    qtest_add_func("/pci-epc/areas/mixed", test_mixed);
    qtest_add_func("/pci-epc/areas/none", test_none);
    qtest_add_func("/pci-epc/areas/reset", test_reset_idle);
    qtest_add_func("/pci-epc/areas/reset-busy", test_reset_busy);
    qtest_add_func("/pci-epc/areas/window", test_window);
    qtest_add_func("/pci-epc/areas/window-unplug", test_window_unplug);
    qtest_add_func("/pci-epc/areas/descriptors", test_descriptors);
    return g_test_run();
}
