/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc and a fake host: how accesses to trapped areas end
 */
#include "qemu/osdep.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/trap.h"

/* ---- The deadline ---- */

static void test_expire(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    TrapRing r;
    FakeHost *c = trap_attach(e, &r);
    uint16_t id, id2;

    epvm_set_reg(e, EPC_REG_TRAP_DEADLINE, 20);
    id = trap_send_read(c, TRAP_AREA, 4);
    id2 = trap_send_read(c, TRAP_AREA + 8, 8);
    g_assert_cmphex(trap_value(c, id, 4), ==, UINT32_MAX);
    g_assert_cmphex(trap_value(c, id2, 8), ==, UINT64_MAX);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_EXPIRED), ==, 2);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_LONGEST), >=, 20000);
    g_assert_cmphex(epvm_reg(e, EPC_REG_LINK) & EPC_LINK_UP, !=, 0);

    /* What the driver stores for them is late. The next read is as usual. */
    epvm_set_reg(e, EPC_REG_TRAP_DEADLINE, 500);
    id = trap_send_read(c, TRAP_AREA2, 4);
    trap_serve_read(&r, TRAP_AREA, 4, 1);
    trap_serve_read(&r, TRAP_AREA + 8, 8, 2);
    trap_serve_read(&r, TRAP_AREA2, 4, 3);
    g_assert_cmpuint(trap_value(c, id, 4), ==, 3);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_EXPIRED), ==, 2);
    epvm_detach(e, c);
}

/* A write that finds no room in time is dropped. */
static void test_expire_full(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    TrapRing r;
    FakeHost *c = trap_attach(e, &r);
    uint16_t write, read;

    epvm_set_reg(e, EPC_REG_TRAP_DEADLINE, 20);
    for (uint32_t i = 0; i < r.size; i++) {
        trap_done(c, trap_send_write(c, TRAP_AREA, i, 4));
    }
    write = trap_send_write(c, TRAP_AREA, 0xdead, 4);
    read = trap_send_read(c, TRAP_AREA, 4);
    trap_done(c, write);
    g_assert_cmphex(trap_value(c, read, 4), ==, UINT32_MAX);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_EXPIRED), ==, 2);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_INBOUND_DROPPED), ==, 1);
    for (uint32_t i = 0; i < r.size; i++) {
        trap_serve_write(&r, TRAP_AREA, 4, i);
    }
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_PRODUCER), ==, r.size);
    epvm_detach(e, c);
}

/* ---- The end of an access ---- */

/* A reset answers what is held, and its record stands where it happened. */
static void test_reset(const void *data)
{
    unsigned kind = GPOINTER_TO_UINT(data);
    EpVm *e = epvm_start(EPVM_SHARED, "");
    TrapRing r;
    FakeHost *c = trap_attach(e, &r);
    VfuEpReset reset = {
        .argsz = sizeof(reset), .generation = c->generation, .kind = kind,
    };
    uint16_t read, done, after;

    trap_done(c, trap_send_write(c, TRAP_AREA, 1, 4));
    read = trap_send_read(c, TRAP_AREA, 4);
    done = trap_send(c, VFU_CMD_EP_RESET, &reset, sizeof(reset));
    g_assert_cmphex(trap_value(c, read, 4), ==, UINT32_MAX);
    trap_done(c, done);
    after = trap_send_read(c, TRAP_AREA + 4, 4);
    trap_serve_write(&r, TRAP_AREA, 4, 1);
    trap_serve_read(&r, TRAP_AREA, 4, 2);
    trap_serve_reset(&r);
    trap_no_reply(c);
    trap_serve_read(&r, TRAP_AREA + 4, 4, 3);
    g_assert_cmpuint(trap_value(c, after, 4), ==, 3);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_TRAP_EXPIRED), ==, 0);
    epvm_detach(e, c);
}

/* The record of a reset waits for room, and comes before what waits then. */
static void test_reset_full(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    TrapRing r;
    FakeHost *c = trap_attach(e, &r);
    uint16_t lost, after;
    VfuEpReset reset = {
        .argsz = sizeof(reset), .generation = c->generation,
        .kind = VFU_EP_RESET_FLR,
    };
    uint16_t done;

    for (uint32_t i = 0; i < r.size; i++) {
        trap_done(c, trap_send_write(c, TRAP_AREA, i, 4));
    }
    lost = trap_send_write(c, TRAP_AREA, 0xdead, 4);
    done = trap_send(c, VFU_CMD_EP_RESET, &reset, sizeof(reset));
    trap_done(c, lost);
    trap_done(c, done);
    after = trap_send_write(c, TRAP_AREA, 0xbeef, 4);
    for (uint32_t i = 0; i < r.size; i++) {
        trap_serve_write(&r, TRAP_AREA, 4, i);
    }
    trap_done(c, after);
    trap_serve_reset(&r);
    trap_serve_write(&r, TRAP_AREA, 4, 0xbeef);
    epvm_detach(e, c);
}

/* The host is lost with a read that is held; the next one finds its own. */
static void test_lost(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    TrapRing r;
    FakeHost *c = trap_attach(e, &r);
    uint16_t read;

    trap_send_read(c, TRAP_AREA, 4);
    trap_wait_record(&r);
    fakehost_free(c);
    epvm_wait_link(e, false);
    c = fakehost_attach_areas(e->socket, 80);
    fakehost_link(c, VFU_EP_LINK_UP);
    epvm_wait_link(e, true);
    read = trap_send_read(c, TRAP_AREA + 4, 4);
    trap_serve_read(&r, TRAP_AREA, 4, 1);
    trap_serve_reset(&r);
    trap_serve_read(&r, TRAP_AREA + 4, 4, 2);
    g_assert_cmpuint(trap_value(c, read, 4), ==, 2);
    epvm_detach(e, c);
}

static void end_stop(EpVm *e, FakeHost *c)
{
    epvm_set_reg(e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
}

static void end_disable(EpVm *e, FakeHost *c)
{
    epvm_set_fn_reg(e, EPC_FN_TRAP_CTRL, 0);
}

static void end_reset(EpVm *e, FakeHost *c)
{
    epvm_set_reg(e, EPC_REG_RESET, EPC_RESET_MAGIC);
}

static void end_machine(EpVm *e, FakeHost *c)
{
    qtest_system_reset_nowait(e->q);
}

/* What ends it at the endpoint answers what is held, before the deadline. */
static void test_end(const void *data)
{
    void (*end)(EpVm *e, FakeHost *c) = data;
    EpVm *e = epvm_start(EPVM_SHARED, ",deadline-ms=20000");
    TrapRing r;
    FakeHost *c = trap_attach(e, &r);
    gint64 since = g_get_monotonic_time();
    bool closed, answered = false;
    VfuMsg *m;

    uint16_t read = trap_send_read(c, TRAP_AREA, 4);
    trap_wait_record(&r);
    end(e, c);
    while (!answered &&
           (m = vfu_msg_recv(c->sock, FAKEHOST_TIMEOUT_MS, &closed))) {
        if (vfu_msg_is_reply(&m->hdr)) {
            g_assert_cmpuint(m->hdr.id, ==, read);
            answered = true;
        } else {
            fakehost_answer(c, m, 0);
        }
        vfu_msg_free(m);
    }
    g_assert_true(answered);
    g_assert_cmpint(g_get_monotonic_time() - since, <, 5 * G_USEC_PER_SEC);
    epvm_detach(e, c);
}

/* The device goes away with reads that are held. */
static void test_exit(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    TrapRing r;
    FakeHost *c = trap_attach(e, &r);

    trap_send_read(c, TRAP_AREA, 4);
    trap_wait_record(&r);
    epvm_stop(e);
    fakehost_free(c);
}

/* A BAR that is not trapped any more: the driver ends what came before. */
static void test_retarget(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    TrapRing r;
    FakeHost *c = trap_attach(e, &r);
    uint16_t read = trap_send_read(c, TRAP_AREA, 4);
    uint32_t v;

    trap_wait_record(&r);
    epvm_area_args(e, 0, TRAP_RAM, 4 * TRAP_PAGE);
    g_assert_cmpuint(epvm_set_areas(e, TRAP_BAR, 1), ==, EPC_STATUS_OK);
    trap_serve_read(&r, TRAP_AREA, 4, 5);
    g_assert_cmpuint(trap_value(c, read, 4), ==, 5);
    qtest_writel(e->q, TRAP_RAM + TRAP_AREA, 0x01020304);
    g_assert_cmpint(fakehost_read(c, TRAP_BAR, TRAP_AREA, &v, 4), ==, 0);
    g_assert_cmphex(v, ==, 0x01020304);
    epvm_detach(e, c);
}

#define ADD_RESET(name, kind) \
    qtest_add_data_func("/pci-epc/trap-end/reset/" name,            \
                        GUINT_TO_POINTER(kind), test_reset)
#define ADD_END(name, func) \
    qtest_add_data_func("/pci-epc/trap-end/by/" name, func, test_end)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/trap-end/expire", test_expire);
    qtest_add_func("/pci-epc/trap-end/expire/full", test_expire_full);
    ADD_RESET("hot", VFU_EP_RESET_HOT);
    ADD_RESET("perst", VFU_EP_RESET_PERST);
    ADD_RESET("flr", VFU_EP_RESET_FLR);
    qtest_add_func("/pci-epc/trap-end/reset/full", test_reset_full);
    qtest_add_func("/pci-epc/trap-end/lost", test_lost);
    ADD_END("stop", end_stop);
    ADD_END("disable", end_disable);
    ADD_END("reset", end_reset);
    ADD_END("machine", end_machine);
    qtest_add_func("/pci-epc/trap-end/exit", test_exit);
    qtest_add_func("/pci-epc/trap-end/retarget", test_retarget);
    return g_test_run();
}
