/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trapped areas: the host that accesses them, and the driver that answers
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "trap.h"
#include "wait.h"

#define SOON_MS     50          /* for what must not come */

TrapRing trap_enable(EpVm *e)
{
    TrapRing r = {
        .e = e,
        .base = epvm_reg(e, EPC_REG_TRAP_BASE) +
                e->fn * epvm_reg(e, EPC_REG_TRAP_STRIDE),
        .size = epvm_reg(e, EPC_REG_TRAP_SIZE),
    };

    epvm_set_fn_reg(e, EPC_FN_TRAP_CTRL, EPC_FN_TRAP_ENABLE);
    return r;
}

void trap_set_areas(EpVm *e)
{
    for (unsigned n = 0; n < 4; n++) {
        epvm_area_args(e, n, n & 1 ? EPC_ADDR_TRAP : TRAP_RAM + n * TRAP_PAGE,
                       TRAP_PAGE);
    }
    g_assert_cmpuint(epvm_set_areas(e, TRAP_BAR, 4), ==, EPC_STATUS_OK);
}

FakeHost *trap_attach(EpVm *e, TrapRing *r)
{
    FakeHost *c = epvm_attach_areas(e, 80);

    trap_set_areas(e);
    *r = trap_enable(e);
    return c;
}

/* ---- The host: messages without a wait for the reply ---- */

uint16_t trap_send(FakeHost *c, uint16_t cmd, const void *p, size_t len)
{
    VfuHeader hdr = vfu_msg_command(c->next_id++, cmd, 0, len);

    g_assert_true(vfu_msg_send(c->sock, &hdr, p, NULL, 0));
    return hdr.id;
}

uint16_t trap_send_read(FakeHost *c, uint64_t offset, uint32_t count)
{
    VfuRegionRw rw = { .offset = offset, .region = TRAP_BAR, .count = count };

    return trap_send(c, VFU_CMD_REGION_READ, &rw, sizeof(rw));
}

uint16_t trap_send_write(FakeHost *c, uint64_t offset, uint64_t value,
                         uint32_t count)
{
    struct {
        VfuRegionRw rw;
        uint64_t value;
    } p = {
        .rw = { .offset = offset, .region = TRAP_BAR, .count = count },
        .value = cpu_to_le64(value),
    };

    return trap_send(c, VFU_CMD_REGION_WRITE, &p, sizeof(p.rw) + count);
}

/* Waits for the reply to @id, which is a success. */
static VfuMsg *trap_reply(FakeHost *c, uint16_t id)
{
    bool closed;
    VfuMsg *m = vfu_msg_recv(c->sock, FAKEHOST_TIMEOUT_MS, &closed);

    g_assert_nonnull(m);
    g_assert_true(vfu_msg_is_reply(&m->hdr));
    g_assert_cmpuint(m->hdr.id, ==, id);
    g_assert_cmpuint(m->hdr.flags & VFU_FLAG_ERROR, ==, 0);
    return m;
}

void trap_done(FakeHost *c, uint16_t id)
{
    vfu_msg_free(trap_reply(c, id));
}

uint64_t trap_value(FakeHost *c, uint16_t id, uint32_t count)
{
    VfuMsg *m = trap_reply(c, id);
    uint64_t v;

    g_assert_cmpuint(m->len, ==, sizeof(VfuRegionRw) + count);
    v = ldn_le_p(m->payload + sizeof(VfuRegionRw), count);
    vfu_msg_free(m);
    return v;
}

uint64_t trap_ones(uint32_t count)
{
    return MAKE_64BIT_MASK(0, 8 * count);
}

void trap_no_reply(FakeHost *c)
{
    g_assert_false(fakehost_pending(c, SOON_MS));
}

/* ---- The driver ---- */

static uint64_t trap_field(const TrapRing *r, uint32_t index,
                                  uint32_t field, unsigned width)
{
    return epvm_read(r->e, r->base + index % r->size * EPC_TRAP_RECORD_SIZE +
                     field, width);
}

/* Waits for the next record, which the caller consumes. */
void trap_wait_record(const TrapRing *r)
{
    wait_until(trap_field(r, r->consumer, EPC_TRAP_SEQUENCE, 4) ==
               r->consumer + 1, "record %u", r->consumer);
}

void trap_expect_record(const TrapRing *r, unsigned type, uint64_t offset,
                        uint32_t count)
{
    uint32_t info = type;

    if (type != EPC_TRAP_RESET) {
        info |= TRAP_BAR << EPC_TRAP_BAR_SHIFT | count << EPC_TRAP_BYTES_SHIFT;
    }
    trap_wait_record(r);
    g_assert_cmphex(trap_field(r, r->consumer, EPC_TRAP_INFO, 4), ==, info);
    g_assert_cmphex(trap_field(r, r->consumer, EPC_TRAP_OFFSET, 8), ==,
                    offset);
}

void trap_store(const TrapRing *r, uint64_t value)
{
    epvm_write(r->e, r->base + r->consumer % r->size * EPC_TRAP_RECORD_SIZE +
               EPC_TRAP_VALUE, 8, value);
}

void trap_consume(TrapRing *r)
{
    epvm_set_fn_reg(r->e, EPC_FN_TRAP_CONSUMER, ++r->consumer);
}

void trap_serve_read(TrapRing *r, uint64_t offset, uint32_t count,
                     uint64_t value)
{
    trap_expect_record(r, EPC_TRAP_READ, offset, count);
    trap_store(r, value);
    trap_consume(r);
}

void trap_serve_write(TrapRing *r, uint64_t offset, uint32_t count,
                      uint64_t value)
{
    trap_expect_record(r, EPC_TRAP_WRITE, offset, count);
    g_assert_cmphex(trap_field(r, r->consumer, EPC_TRAP_VALUE, 8), ==, value);
    trap_consume(r);
}

void trap_serve_reset(TrapRing *r)
{
    trap_expect_record(r, EPC_TRAP_RESET, 0, 0);
    trap_consume(r);
}
