/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc and a fake host: trapped areas of a BAR
 */
#include "qemu/osdep.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/trap.h"

/* ---- Registers ---- */

static void test_registers(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",functions=2");
    uint32_t size = epvm_reg(e, EPC_REG_TRAP_SIZE);

    g_assert_cmphex(epvm_reg(e, EPC_REG_FEATURES) & EPC_FEATURE_TRAP, !=, 0);
    g_assert_cmpuint(size, >=, 16);
    g_assert_cmpuint(size & (size - 1), ==, 0);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_TRAP_STRIDE), >=,
                     size * EPC_TRAP_RECORD_SIZE);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_TRAP_DEADLINE), ==,
                     epvm_reg(e, EPC_REG_DEADLINE) / 2);
    epvm_set_reg(e, EPC_REG_TRAP_DEADLINE, 7);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_TRAP_DEADLINE), ==, 7);
    epvm_select(e, 1);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_VECTOR), ==,
                     EPC_VECTOR_TRAP(1));
    epvm_set_fn_reg(e, EPC_FN_TRAP_VECTOR, EPC_VECTORS - 1);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_VECTOR), ==, EPC_VECTORS - 1);
    epvm_set_fn_reg(e, EPC_FN_TRAP_CTRL, EPC_FN_TRAP_ENABLE);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_CTRL), ==, EPC_FN_TRAP_ENABLE);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, 0);

    epvm_set_reg(e, EPC_REG_TRAP_DEADLINE, 0);
    epvm_set_reg(e, EPC_REG_TRAP_DEADLINE, epvm_reg(e, EPC_REG_DEADLINE));
    epvm_set_reg(e, EPC_REG_TRAP_BASE, 0);
    epvm_set_fn_reg(e, EPC_FN_TRAP_VECTOR, EPC_VECTORS);
    epvm_set_fn_reg(e, EPC_FN_TRAP_CTRL, 2);
    epvm_set_fn_reg(e, EPC_FN_TRAP_PRODUCER, 0);
    epvm_set_fn_reg(e, EPC_FN_TRAP_CONSUMER, 1);
    epvm_select(e, 0);
    epvm_set_fn_reg(e, EPC_FN_TRAP_CONSUMER, 0);    /* not enabled */
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, 8);

    epvm_set_reg(e, EPC_REG_RESET, EPC_RESET_MAGIC);
    epvm_select(e, 1);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_TRAP_DEADLINE), ==,
                     epvm_reg(e, EPC_REG_DEADLINE) / 2);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_VECTOR), ==,
                     EPC_VECTOR_TRAP(1));
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_CTRL), ==, 0);
    epvm_stop(e);
}

/* The driver must consume what is there, and no more. */
static void test_consumer(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    TrapRing r;
    FakeHost *c = trap_attach(e, &r);

    trap_done(c, trap_send_write(c, TRAP_AREA, 1, 4));
    trap_done(c, trap_send_write(c, TRAP_AREA, 2, 4));
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_PRODUCER), ==, 2);
    epvm_set_fn_reg(e, EPC_FN_TRAP_CONSUMER, 3);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, 1);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_CONSUMER), ==, 0);
    epvm_set_fn_reg(e, EPC_FN_TRAP_CONSUMER, 2);
    epvm_set_fn_reg(e, EPC_FN_TRAP_CONSUMER, 1);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, 2);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_CONSUMER), ==, 2);
    epvm_detach(e, c);
}

/* ---- Accesses ---- */

/* Every width at every offset of one page, and in another area */
static void test_widths(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    TrapRing r;
    FakeHost *c = trap_attach(e, &r);
    const uint64_t value = 0xf1e2d3c4b5a69788;
    uint64_t last;

    for (uint32_t width = 1; width <= 8; width *= 2) {
        for (uint32_t at = 0; at < TRAP_PAGE; at += width) {
            uint16_t id = trap_send_read(c, TRAP_AREA + at, width);

            trap_serve_read(&r, TRAP_AREA + at, width, value ^ at);
            g_assert_cmphex(trap_value(c, id, width), ==,
                            (value ^ at) & trap_ones(width));
        }
        last = TRAP_AREA2 + TRAP_PAGE - width;
        trap_done(c, trap_send_write(c, last, value, width));
        trap_serve_write(&r, last, width, value & trap_ones(width));
    }
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_READS), ==, TRAP_PAGE * 15 / 8);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_POSTED), ==, 4);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_EXPIRED), ==, 0);
    epvm_detach(e, c);
}

/* What is no access of a CPU to a register is answered at once. */
static void test_odd(void)
{
    static const struct {
        uint32_t at, count;
    } odd[] = {
        { 0, 3 }, { 1, 2 }, { 2, 4 }, { 3, 4 }, { 4, 8 }, { 0, 16 },
        { 0, 2 * TRAP_PAGE }, { TRAP_PAGE - 1, 2 },
    };
    EpVm *e = epvm_start(EPVM_SHARED, "");
    TrapRing r;
    FakeHost *c = trap_attach(e, &r);
    g_autofree uint8_t *buf = g_malloc(2 * TRAP_PAGE);

    for (unsigned i = 0; i < ARRAY_SIZE(odd); i++) {
        memset(buf, 0, 2 * TRAP_PAGE);
        g_assert_cmpint(fakehost_read(c, TRAP_BAR, TRAP_AREA + odd[i].at, buf,
                                      odd[i].count), ==, 0);
        g_assert_cmphex(buf[0], ==, 0xff);
        g_assert_cmphex(buf[odd[i].count - 1], ==, 0xff);
        g_assert_cmpint(fakehost_write(c, TRAP_BAR, TRAP_AREA + odd[i].at, buf,
                                       odd[i].count), ==, 0);
        g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_INBOUND_DROPPED), ==, i + 1);
    }
    /* It begins in RAM, so only what is in the trapped area is lost. */
    memset(buf, 0x5a, 8);
    g_assert_cmpint(fakehost_write(c, TRAP_BAR, TRAP_AREA - 4, buf, 8), ==, 0);
    g_assert_cmphex(qtest_readl(e->q, TRAP_RAM + TRAP_PAGE - 4), ==,
                    0x5a5a5a5a);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_INBOUND_DROPPED), ==,
                     ARRAY_SIZE(odd) + 1);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_PRODUCER), ==, 0);
    epvm_detach(e, c);
}

/* The rest of the BAR is what it was, and no memory of a trapped area is. */
static void test_areas(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    TrapRing r;
    FakeHost *c = trap_attach(e, &r);
    FakeHostAreas *a = fakehost_areas(c, TRAP_BAR);

    g_assert_cmpuint(a->count, ==, 2);
    g_assert_cmphex(a->area[0].offset, ==, 0);
    g_assert_cmphex(a->area[0].size, ==, TRAP_PAGE);
    g_assert_cmphex(a->area[1].offset, ==, 2 * TRAP_PAGE);
    g_assert_cmphex(a->area[1].size, ==, TRAP_PAGE);
    fakehost_areas_free(a);
    epvm_detach(e, c);
}

/* A whole BAR, and back again */
static void test_whole(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach_areas(e, 80);
    const uint32_t flags = EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH;
    TrapRing r = trap_enable(e);
    uint16_t id;
    uint32_t v;

    g_assert_cmpuint(epvm_set_bar(e, TRAP_BAR, flags, EPC_ADDR_TRAP,
                                  EPVM_BAR2_SIZE), ==, EPC_STATUS_OK);
    id = trap_send_read(c, EPVM_BAR2_SIZE - 2, 2);
    trap_serve_read(&r, EPVM_BAR2_SIZE - 2, 2, 0x1234);
    g_assert_cmphex(trap_value(c, id, 2), ==, 0x1234);
    g_assert_cmpuint(epvm_set_bar(e, TRAP_BAR, flags, EPVM_BAR2,
                                  EPVM_BAR2_SIZE), ==, EPC_STATUS_OK);
    qtest_writel(e->q, EPVM_BAR2, 0x01020304);
    g_assert_cmpint(fakehost_read(c, TRAP_BAR, 0, &v, 4), ==, 0);
    g_assert_cmphex(v, ==, 0x01020304);
    epvm_detach(e, c);
}

/* The rings are memory of the controller, which no BAR can lead to. */
static void test_ring_target(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    uint64_t rings = e->regs + epvm_reg(e, EPC_REG_TRAP_BASE);
    const uint32_t flags = EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH;

    g_assert_cmpuint(rings % TRAP_PAGE, ==, 0);
    g_assert_cmpuint(epvm_set_bar(e, TRAP_BAR, flags, rings, TRAP_PAGE), ==,
                     EPC_STATUS_BAD_TARGET);
    epvm_stop(e);
}

static void test_disabled(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach_areas(e, 80);
    uint32_t v = 0;

    trap_set_areas(e);
    g_assert_cmpint(fakehost_read(c, TRAP_BAR, TRAP_AREA, &v, 4), ==, 0);
    g_assert_cmphex(v, ==, UINT32_MAX);
    g_assert_cmpint(fakehost_write(c, TRAP_BAR, TRAP_AREA, &v, 4), ==, 0);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_INBOUND_DROPPED), ==, 1);
    epvm_detach(e, c);
}

/* ---- Order ---- */

/* Writes are posted; a read is held until all before it was consumed. */
static void test_order(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    TrapRing r;
    FakeHost *c = trap_attach(e, &r);
    uint16_t write, read, read2, late;

    g_assert_false(epvm_vector(e, EPC_VECTOR_TRAP(0), 0));
    trap_done(c, trap_send_write(c, TRAP_AREA, 0x11, 1));
    g_assert_true(epvm_vector(e, EPC_VECTOR_TRAP(0), EPVM_TIMEOUT_MS));
    trap_done(c, trap_send_write(c, TRAP_AREA + 8, 0x2222, 2));
    read = trap_send_read(c, TRAP_AREA + 4, 4);
    write = trap_send_write(c, TRAP_AREA + 8, 0x3333, 2);
    read2 = trap_send_read(c, TRAP_AREA2, 1);

    trap_serve_write(&r, TRAP_AREA, 1, 0x11);
    trap_serve_write(&r, TRAP_AREA + 8, 2, 0x2222);
    trap_no_reply(c);
    trap_serve_read(&r, TRAP_AREA + 4, 4, 0x44444444);
    g_assert_cmphex(trap_value(c, read, 4), ==, 0x44444444);
    trap_done(c, write);
    trap_serve_write(&r, TRAP_AREA + 8, 2, 0x3333);
    trap_no_reply(c);
    trap_serve_read(&r, TRAP_AREA2, 1, 0x55);
    g_assert_cmphex(trap_value(c, read2, 1), ==, 0x55);

    /* several at once */
    read = trap_send_read(c, TRAP_AREA, 4);
    read2 = trap_send_read(c, TRAP_AREA + 4, 4);
    late = trap_send_read(c, TRAP_AREA + 8, 4);
    for (unsigned i = 0; i < 2; i++) {
        trap_expect_record(&r, EPC_TRAP_READ, TRAP_AREA + 4 * i, 4);
        trap_store(&r, 100 + i);
        r.consumer++;
    }
    epvm_set_fn_reg(e, EPC_FN_TRAP_CONSUMER, r.consumer);
    g_assert_cmpuint(trap_value(c, read, 4), ==, 100);
    g_assert_cmpuint(trap_value(c, read2, 4), ==, 101);
    trap_no_reply(c);
    trap_serve_read(&r, TRAP_AREA + 8, 4, 102);
    g_assert_cmpuint(trap_value(c, late, 4), ==, 102);
    epvm_detach(e, c);
}

/* A full ring holds writes as well, and nothing is lost or reordered. */
static void test_full(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    TrapRing r;
    FakeHost *c = trap_attach(e, &r);
    uint32_t more = r.size + 10;
    uint16_t first = 0;

    for (uint32_t i = 0; i < r.size; i++) {
        trap_done(c, trap_send_write(c, TRAP_AREA, i, 4));
    }
    for (uint32_t i = 0; i < more; i++) {
        uint16_t id = trap_send_write(c, TRAP_AREA, r.size + i, 4);

        first = i ? first : id;
    }
    trap_no_reply(c);
    for (uint32_t i = 0; i < r.size + more; i++) {
        trap_serve_write(&r, TRAP_AREA, 4, i);
        if (i < more) {
            trap_done(c, first + i);
        }
    }
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_POSTED), ==, r.size + more);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_INBOUND_DROPPED), ==, 0);
    epvm_detach(e, c);
}

/* ---- Several functions ---- */

/* Each has a ring; a full one does not hold the other up. */
static void test_functions(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",functions=2");
    FakeHost *c[2];
    TrapRing r[2];
    uint16_t read;

    for (unsigned fn = 0; fn < 2; fn++) {
        epvm_select(e, fn);
        epvm_describe(e);
        trap_set_areas(e);
        r[fn] = trap_enable(e);
    }
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    for (unsigned fn = 0; fn < 2; fn++) {
        c[fn] = epvm_join(e, fn, NULL);
    }
    for (unsigned fn = 0; fn < 2; fn++) {
        fakehost_link(c[fn], VFU_EP_LINK_UP);
    }
    epvm_wait_link(e, true);

    for (uint32_t i = 0; i < r[0].size; i++) {
        trap_done(c[0], trap_send_write(c[0], TRAP_AREA, i, 4));
    }
    trap_send_write(c[0], TRAP_AREA, 0, 4);
    read = trap_send_read(c[1], TRAP_AREA, 4);
    g_assert_true(epvm_vector(e, EPC_VECTOR_TRAP(0), EPVM_TIMEOUT_MS));
    g_assert_true(epvm_vector(e, EPC_VECTOR_TRAP(1), EPVM_TIMEOUT_MS));
    trap_serve_read(&r[1], TRAP_AREA, 4, 6);
    g_assert_cmpuint(trap_value(c[1], read, 4), ==, 6);
    fakehost_free(c[1]);
    epvm_detach(e, c[0]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/trap/registers", test_registers);
    qtest_add_func("/pci-epc/trap/consumer", test_consumer);
    qtest_add_func("/pci-epc/trap/widths", test_widths);
    qtest_add_func("/pci-epc/trap/odd", test_odd);
    qtest_add_func("/pci-epc/trap/areas", test_areas);
    qtest_add_func("/pci-epc/trap/whole", test_whole);
    qtest_add_func("/pci-epc/trap/ring-target", test_ring_target);
    qtest_add_func("/pci-epc/trap/disabled", test_disabled);
    qtest_add_func("/pci-epc/trap/order", test_order);
    qtest_add_func("/pci-epc/trap/full", test_full);
    qtest_add_func("/pci-epc/trap/functions", test_functions);
    return g_test_run();
}
