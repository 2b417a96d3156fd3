/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of config/doe: every state and event of the mailbox
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "hw/pci-ep/config/doe.h"

#define AT          0x140u      /* offset of the capability */
#define CAP         (AT + 0x04)
#define CONTROL     (AT + 0x08)
#define STATUS      (AT + 0x0c)
#define WRITE_BOX   (AT + 0x10)
#define READ_BOX    (AT + 0x14)
#define ABORT       (1u << 0)
#define IRQ         (1u << 1)   /* in Control and in Status */
#define GO          (1u << 31)
#define BUSY        (1u << 0)
#define ERROR       (1u << 2)
#define READY       (1u << 31)

#define VENDOR      0x1af4u
#define KIND(type)  (VENDOR | (type) << 16)
#define VECTOR      5u

/* ---- The host ---- */

static uint32_t rd(const EpcDoe *d, uint32_t offset)
{
    uint8_t buf[4] = { 0xee, 0xee, 0xee, 0xee };

    epc_doe_read(d, d->vector, offset, buf, sizeof(buf));
    return ldl_le_p(buf);
}

static void wr(EpcDoe *d, uint32_t offset, uint32_t v)
{
    uint8_t buf[4];

    stl_le_p(buf, v);
    epc_doe_write(d, offset, buf, sizeof(buf));
}

/* Writes an object of @len dwords whose header says @says. */
static void put(EpcDoe *d, uint32_t kind, uint32_t len, uint32_t says)
{
    for (uint32_t i = 0; i < len; i++) {
        wr(d, WRITE_BOX, i == 0 ? kind : i == 1 ? says : kind * 31 + i);
    }
}

static void go(EpcDoe *d, uint32_t kind, uint32_t len, uint32_t says)
{
    put(d, kind, len, says);
    wr(d, CONTROL, GO);
}

static void expect_status(const EpcDoe *d, uint32_t status, uint32_t state)
{
    g_assert_cmphex(rd(d, STATUS), ==, status);
    g_assert_cmpuint(d->state, ==, state);
}

/* ---- The driver ---- */

static void answer(EpcDoe *d, uint32_t number, uint32_t kind, uint32_t len)
{
    g_autofree uint8_t *buf = g_malloc(len * 4);
    uint32_t n;

    for (uint32_t i = 0; i < len; i++) {
        stl_le_p(buf + 4 * i, i == 0 ? kind :
                              i == 1 ? len & (EPC_DOE_MAX_LENGTH - 1) : ~i);
    }
    for (uint32_t i = 0; i < len; i += n) {
        n = MIN(len - i, EPC_DOE_COPY_MAX);
        g_assert_cmpuint(epc_doe_store(d, number, i, n, buf + 4 * i), ==,
                         EPC_STATUS_OK);
    }
    g_assert_cmpuint(epc_doe_answer(d, number), ==, EPC_STATUS_OK);
}

/* ---- A mailbox in each state ---- */

static void start(EpcDoe *d, uint32_t irq)
{
    *d = (EpcDoe) { };
    epc_doe_add(d, AT, irq);
    g_assert_true(epc_doe_set_protocol(d, 3, KIND(1) | EPC_DOE_PROTOCOL_VALID));
    expect_status(d, 0, EPC_DOE_STATE_IDLE);
}

static void reach(EpcDoe *d, uint32_t state)
{
    start(d, EPC_DOE_IRQ | VECTOR);
    switch (state) {
    case EPC_DOE_STATE_WORKING:
        go(d, KIND(1), 4, 4);
        break;
    case EPC_DOE_STATE_READY:
        go(d, KIND(1), 4, 4);
        answer(d, epc_doe_waiting(d), KIND(1), 4);
        break;
    case EPC_DOE_STATE_ERROR:
        go(d, KIND(2), 4, 4);
        break;
    }
    epc_doe_take_caused(d);
    g_assert_cmpuint(d->state, ==, state);
}

/* ---- Tests ---- */

/* Nothing of the space is the mailbox's while it is not there. */
static void test_absent(void)
{
    EpcDoe d = { };

    g_assert_cmphex(rd(&d, STATUS), ==, 0xeeeeeeee);
    go(&d, 1, 3, 3);
    epc_doe_reset(&d);
    g_assert_cmpuint(d.state, ==, EPC_DOE_STATE_ABSENT);
    g_assert_cmpuint(epc_doe_waiting(&d), ==, 0);
    g_assert_cmpuint(epc_doe_fail(&d, 0), ==, EPC_STATUS_BAD_STATE);
    epc_doe_clear(&d);
}

static void test_registers(void)
{
    EpcDoe d;

    start(&d, 0);
    g_assert_cmphex(rd(&d, CAP), ==, 0);
    epc_doe_clear(&d);
    start(&d, EPC_DOE_IRQ | VECTOR);
    g_assert_cmphex(rd(&d, CAP), ==, 1 | VECTOR << 1);
    wr(&d, CAP, UINT32_MAX);
    g_assert_cmphex(rd(&d, CAP), ==, 1 | VECTOR << 1);
    g_assert_cmphex(rd(&d, CONTROL), ==, 0);
    wr(&d, CONTROL, IRQ | 0x7ffffffc);
    g_assert_cmphex(rd(&d, CONTROL), ==, IRQ);
    wr(&d, CONTROL, 0);
    g_assert_cmphex(rd(&d, CONTROL), ==, 0);
    wr(&d, STATUS, UINT32_MAX);
    expect_status(&d, 0, EPC_DOE_STATE_IDLE);
    /* The header is not the mailbox's. */
    g_assert_cmphex(rd(&d, AT), ==, 0xeeeeeeee);
    g_assert_cmphex(rd(&d, AT + EPC_DOE_SIZE), ==, 0xeeeeeeee);
    g_assert_cmphex(rd(&d, WRITE_BOX), ==, 0);
    epc_doe_clear(&d);
}

/*
 * Each dword stays until it was taken, and is read by every width at every
 * offset. Then the next one is there, and behind the last one there is none.
 */
static void test_read_order(void)
{
    uint8_t buf[40], part[4];
    EpcDoe d;

    start(&d, 0);
    go(&d, KIND(1), 4, 4);
    answer(&d, epc_doe_waiting(&d), KIND(1), 100);
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t want = i == 0 ? KIND(1) : i == 1 ? 100 : ~i;

        expect_status(&d, BUSY | READY, EPC_DOE_STATE_READY);
        g_assert_cmphex(rd(&d, READ_BOX), ==, want);
        g_assert_cmphex(rd(&d, READ_BOX), ==, want);
        for (unsigned from = 0; from < 4; from++) {
            for (unsigned len = 1; from + len <= 4; len++) {
                memset(part, 0, 4);
                epc_doe_read(&d, 0, READ_BOX + from, part, len);
                g_assert_cmphex((uint32_t)ldl_le_p(part), ==,
                                extract32(want, from * 8, len * 8));
            }
        }
        memset(buf, 0xee, sizeof(buf));
        epc_doe_read(&d, 0, AT - 8, buf, sizeof(buf));
        g_assert_cmphex((uint32_t)ldl_le_p(buf + 8 + 0x14), ==, want);
        g_assert_cmphex((uint32_t)ldl_le_p(buf + 8), ==, 0xeeeeeeee);
        g_assert_cmphex((uint32_t)ldl_le_p(buf + 8 + 0x18), ==, 0xeeeeeeee);
        wr(&d, READ_BOX, i);
    }
    expect_status(&d, 0, EPC_DOE_STATE_IDLE);
    g_assert_cmphex(rd(&d, READ_BOX), ==, 0);
    wr(&d, READ_BOX, 0);
    expect_status(&d, 0, EPC_DOE_STATE_IDLE);
    epc_doe_clear(&d);
}

/* Parts of a dword neither add nor take one, whatever their offset. */
static void test_widths(void)
{
    static const uint8_t zero[4] = { 0 };
    EpcDoe d;

    for (unsigned from = 0; from < 4; from++) {
        for (unsigned len = 1; len < 4; len++) {
            start(&d, 0);
            /* Up to 3 bytes: they may touch the next register. */
            epc_doe_write(&d, WRITE_BOX + from, zero, len);
            g_assert_cmpuint(d.request.len, ==, 0);
            go(&d, KIND(1), 4, 4);
            answer(&d, epc_doe_waiting(&d), KIND(1), 4);
            epc_doe_write(&d, READ_BOX + from, zero, len);
            g_assert_cmpuint(d.taken, ==, 0);
            epc_doe_clear(&d);
        }
    }
    /* Bytes of Control and Status do what their bits say. */
    start(&d, EPC_DOE_IRQ);
    put(&d, KIND(2), 4, 4);
    epc_doe_write(&d, CONTROL, (const uint8_t[]) { IRQ }, 1);
    epc_doe_write(&d, CONTROL + 3, (const uint8_t[]) { 0x80 }, 1);
    expect_status(&d, ERROR | IRQ, EPC_DOE_STATE_ERROR);
    g_assert_cmphex(rd(&d, CONTROL), ==, IRQ);
    epc_doe_write(&d, STATUS + 1, (const uint8_t[]) { 0xff, 0xff }, 2);
    expect_status(&d, ERROR | IRQ, EPC_DOE_STATE_ERROR);
    epc_doe_write(&d, STATUS, (const uint8_t[]) { 0xff }, 1);
    expect_status(&d, ERROR, EPC_DOE_STATE_ERROR);
    epc_doe_write(&d, CONTROL, (const uint8_t[]) { ABORT }, 1);
    expect_status(&d, 0, EPC_DOE_STATE_IDLE);
    epc_doe_clear(&d);
}

/* An object whose length is not that of its header is discarded silently. */
static void test_length(void)
{
    static const struct {
        uint32_t len, says;
    } bad[] = {
        { 0, 0 }, { 1, 1 }, { 1, 0 }, { 2, 1 }, { 2, 3 }, { 3, 2 }, { 4, 0 },
        { 4, 5 }, { 5, 4 }, { 4, 0x3ffff }, { EPC_DOE_MAX_LENGTH, 4 },
        { EPC_DOE_MAX_LENGTH - 1, 0 }, { EPC_DOE_MAX_LENGTH + 1, 0 },
        { EPC_DOE_MAX_LENGTH + 1, 1 }, { EPC_DOE_MAX_LENGTH + 4, 4 },
    };
    EpcDoe d;

    start(&d, EPC_DOE_IRQ);
    wr(&d, CONTROL, IRQ);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        put(&d, KIND(1), bad[i].len, bad[i].says);
        wr(&d, CONTROL, GO | IRQ);
        expect_status(&d, 0, EPC_DOE_STATE_IDLE);
        g_assert_cmpuint(d.discarded, ==, i + 1);
        g_assert_cmpuint(epc_doe_take_caused(&d), ==, 0);
        g_assert_cmpuint(d.request.room, <=, EPC_DOE_MAX_LENGTH);
    }
    /* The reserved bits of the header say nothing. */
    go(&d, KIND(1) | 0xffu << 24, 5, 5 | 0xfffc0000u);
    expect_status(&d, BUSY, EPC_DOE_STATE_WORKING);
    g_assert_cmpuint(epc_doe_length(&d), ==, 5);
    epc_doe_clear(&d);
}

/* The longest object there can be, both ways */
static void test_longest(void)
{
    const uint32_t max = EPC_DOE_MAX_LENGTH;
    uint32_t raw[4];
    EpcDoe d;

    start(&d, 0);
    go(&d, KIND(1), max, 0);
    g_assert_cmpuint(epc_doe_length(&d), ==, max);
    g_assert_cmpuint(epc_doe_fetch(&d, 1, max - 4, 4, raw), ==, EPC_STATUS_OK);
    g_assert_cmphex(le32_to_cpu(raw[3]), ==, KIND(1) * 31 + max - 1);
    g_assert_cmpuint(epc_doe_fetch(&d, 1, max - 4, 5, raw), ==,
                     EPC_STATUS_BAD_ARG);
    answer(&d, 1, KIND(1), max);
    for (uint32_t i = 0; i < max; i++) {
        g_assert_cmphex(rd(&d, READ_BOX), ==, i == 0 ? KIND(1) :
                                              i == 1 ? 0 : ~i);
        wr(&d, READ_BOX, 0);
    }
    expect_status(&d, 0, EPC_DOE_STATE_IDLE);
    epc_doe_clear(&d);
    g_assert_null(d.request.data);
    g_assert_null(d.response.data);
}

static void expect_discovery(EpcDoe *d, unsigned index, uint32_t kind,
                             unsigned next)
{
    wr(d, WRITE_BOX, 1);
    wr(d, WRITE_BOX, 3);
    wr(d, WRITE_BOX, index);
    wr(d, CONTROL, GO);
    expect_status(d, BUSY | READY, EPC_DOE_STATE_READY);
    g_assert_cmphex(rd(d, READ_BOX), ==, 1);
    wr(d, READ_BOX, 0);
    g_assert_cmphex(rd(d, READ_BOX), ==, 3);
    wr(d, READ_BOX, 0);
    g_assert_cmphex(rd(d, READ_BOX), ==, kind | next << 24);
    wr(d, READ_BOX, 0);
    expect_status(d, 0, EPC_DOE_STATE_IDLE);
    g_assert_cmpuint(epc_doe_take_caused(d), ==, 0);
}

static void test_discovery(void)
{
    EpcDoe d;

    start(&d, 0);
    expect_discovery(&d, 0, 1, 1);
    expect_discovery(&d, 1, KIND(1), 0);
    expect_discovery(&d, 2, 0xffff, 0);
    expect_discovery(&d, 255, 0xffff, 0);
    g_assert_true(epc_doe_set_protocol(&d, 0, 0x00010001 |
                                       EPC_DOE_PROTOCOL_VALID));
    g_assert_true(epc_doe_set_protocol(&d, EPC_DOE_PROTOCOLS - 1, KIND(0xff) |
                                       EPC_DOE_PROTOCOL_VALID));
    expect_discovery(&d, 0, 1, 1);
    expect_discovery(&d, 1, 0x00010001, 2);
    expect_discovery(&d, 2, KIND(1), 3);
    expect_discovery(&d, 3, KIND(0xff), 0);
    for (unsigned i = 0; i < EPC_DOE_PROTOCOLS; i++) {
        g_assert_true(epc_doe_set_protocol(&d, i, KIND(1)));
    }
    expect_discovery(&d, 0, 1, 0);
    expect_discovery(&d, 1, 0xffff, 0);
    g_assert_false(epc_doe_set_protocol(&d, 0, 1 | EPC_DOE_PROTOCOL_VALID));
    g_assert_false(epc_doe_set_protocol(&d, 0, 1u << 24));
    g_assert_true(epc_doe_set_protocol(&d, 0, 0));
    /* The version of a later Discovery is reserved in ours. */
    go(&d, 1, 2, 2);
    expect_status(&d, ERROR, EPC_DOE_STATE_ERROR);
    epc_doe_clear(&d);
}

/* Abort ends each state, and what the driver does then comes too late. */
static void test_abort(void)
{
    static const uint32_t states[] = {
        EPC_DOE_STATE_IDLE, EPC_DOE_STATE_WORKING, EPC_DOE_STATE_READY,
        EPC_DOE_STATE_ERROR,
    };
    uint32_t raw[2] = { 0 }, number;
    EpcDoe d;

    for (unsigned i = 0; i < 2 * ARRAY_SIZE(states); i++) {
        bool reset = i % 2;

        reach(&d, states[i / 2]);
        number = d.number;
        if (d.state == EPC_DOE_STATE_IDLE) {
            put(&d, KIND(1), 3, 4);     /* a part of an object */
        } else if (d.state == EPC_DOE_STATE_WORKING) {
            /* and a part of a response */
            g_assert_cmpuint(epc_doe_store(&d, number, 0, 2, raw), ==,
                             EPC_STATUS_OK);
        }
        if (reset) {
            epc_doe_reset(&d);
        } else {
            wr(&d, CONTROL, ABORT | GO);
        }
        expect_status(&d, 0, EPC_DOE_STATE_IDLE);
        g_assert_cmphex(rd(&d, READ_BOX), ==, 0);
        g_assert_cmpuint(d.aborted, ==, states[i / 2] == EPC_DOE_STATE_WORKING);
        g_assert_cmpuint(epc_doe_waiting(&d), ==, 0);
        g_assert_cmpuint(epc_doe_length(&d), ==, 0);

        /* The next object is a new one, and what was stored is not in it. */
        go(&d, KIND(1), 4, 4);
        g_assert_cmpuint(epc_doe_waiting(&d), ==, number + 1);
        g_assert_cmpuint(epc_doe_fetch(&d, number, 0, 2, raw), ==,
                         EPC_STATUS_BAD_STATE);
        g_assert_cmpuint(epc_doe_store(&d, number, 0, 2, raw), ==,
                         EPC_STATUS_BAD_STATE);
        g_assert_cmpuint(epc_doe_answer(&d, number), ==, EPC_STATUS_BAD_STATE);
        g_assert_cmpuint(epc_doe_fail(&d, number), ==, EPC_STATUS_BAD_STATE);
        g_assert_cmpuint(epc_doe_answer(&d, number + 1), ==,
                         EPC_STATUS_BAD_ARG);
        answer(&d, number + 1, KIND(1), 3);
        g_assert_cmphex(rd(&d, READ_BOX), ==, KIND(1));
        epc_doe_clear(&d);
    }
}

/* What the table does not have is ignored. */
static void test_ignored(void)
{
    static const uint32_t states[] = {
        EPC_DOE_STATE_WORKING, EPC_DOE_STATE_READY, EPC_DOE_STATE_ERROR,
    };
    EpcDoe d;

    for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
        reach(&d, states[i]);
        go(&d, 1, 3, 3);
        g_assert_cmpuint(d.state, ==, states[i]);
        if (states[i] != EPC_DOE_STATE_READY) {
            g_assert_cmphex(rd(&d, READ_BOX), ==, 0);
            wr(&d, READ_BOX, 0);
            g_assert_cmpuint(d.state, ==, states[i]);
        }
        g_assert_cmpuint(epc_doe_take_caused(&d), ==, 0);
        epc_doe_clear(&d);
    }
}

/* What the driver may not do changes nothing. */
static void test_driver(void)
{
    uint32_t raw[4] = { cpu_to_le32(KIND(1)), cpu_to_le32(4) };
    EpcDoe d;

    reach(&d, EPC_DOE_STATE_WORKING);
    g_assert_cmpuint(epc_doe_fetch(&d, 1, 5, 1, raw), ==, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epc_doe_fetch(&d, 1, UINT32_MAX, 2, raw), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epc_doe_fetch(&d, 1, 0, 0, raw), ==, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epc_doe_fetch(&d, 0, 0, 1, raw), ==, EPC_STATUS_BAD_STATE);
    g_assert_cmpuint(epc_doe_store(&d, 1, 1, 1, raw), ==, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epc_doe_store(&d, 1, 0, EPC_DOE_COPY_MAX + 1, raw), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epc_doe_store(&d, 1, 0, UINT32_MAX, raw), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epc_doe_answer(&d, 1), ==, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epc_doe_store(&d, 1, 0, 2, raw), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epc_doe_answer(&d, 1), ==, EPC_STATUS_BAD_ARG);
    expect_status(&d, BUSY, EPC_DOE_STATE_WORKING);
    g_assert_cmphex(rd(&d, READ_BOX), ==, 0);
    g_assert_cmpuint(epc_doe_store(&d, 1, 2, 2, raw), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epc_doe_answer(&d, 1), ==, EPC_STATUS_OK);
    expect_status(&d, BUSY | READY, EPC_DOE_STATE_READY);
    g_assert_cmpuint(epc_doe_answer(&d, 1), ==, EPC_STATUS_BAD_STATE);
    epc_doe_clear(&d);

    /* Number 0 means none, also when the numbers begin again. */
    start(&d, 0);
    d.number = UINT32_MAX;
    go(&d, KIND(1), 2, 2);
    g_assert_cmpuint(epc_doe_waiting(&d), ==, 1);
    g_assert_cmpuint(epc_doe_fail(&d, 1), ==, EPC_STATUS_OK);
    expect_status(&d, ERROR, EPC_DOE_STATE_ERROR);
    g_assert_cmpuint(d.failed, ==, 1);
    epc_doe_clear(&d);
}

/* One interrupt for each Ready and Error that finds Interrupt Status clear */
static void test_interrupts(void)
{
    EpcDoe d;

    start(&d, EPC_DOE_IRQ);
    go(&d, KIND(2), 2, 2);
    g_assert_cmpuint(epc_doe_take_caused(&d), ==, 0);
    expect_status(&d, ERROR, EPC_DOE_STATE_ERROR);
    wr(&d, CONTROL, ABORT | IRQ);
    g_assert_cmpuint(epc_doe_take_caused(&d), ==, 0);

    put(&d, KIND(1), 2, 2);
    wr(&d, CONTROL, GO | IRQ);
    g_assert_cmpuint(epc_doe_take_caused(&d), ==, EPC_DOE_GAVE);
    answer(&d, 1, KIND(1), 2);
    g_assert_cmpuint(epc_doe_take_caused(&d), ==, EPC_DOE_INTERRUPTS);
    expect_status(&d, BUSY | READY | IRQ, EPC_DOE_STATE_READY);
    /* Not cleared yet, so the next one is merged. */
    wr(&d, CONTROL, ABORT | IRQ);
    put(&d, KIND(2), 2, 2);
    wr(&d, CONTROL, GO | IRQ);
    expect_status(&d, ERROR | IRQ, EPC_DOE_STATE_ERROR);
    g_assert_cmpuint(epc_doe_take_caused(&d), ==, 0);
    /* Enabling with the status set is an edge too. */
    wr(&d, CONTROL, 0);
    wr(&d, CONTROL, IRQ);
    g_assert_cmpuint(epc_doe_take_caused(&d), ==, EPC_DOE_INTERRUPTS);
    wr(&d, STATUS, IRQ);
    expect_status(&d, ERROR, EPC_DOE_STATE_ERROR);
    wr(&d, CONTROL, ABORT | IRQ);
    put(&d, KIND(2), 2, 2);
    wr(&d, CONTROL, GO | IRQ);
    g_assert_cmpuint(epc_doe_take_caused(&d), ==, EPC_DOE_INTERRUPTS);
    epc_doe_reset(&d);
    expect_status(&d, 0, EPC_DOE_STATE_IDLE);
    g_assert_cmphex(rd(&d, CONTROL), ==, 0);
    epc_doe_clear(&d);

    /* A mailbox without an interrupt never has one. */
    start(&d, 0);
    put(&d, KIND(2), 2, 2);
    wr(&d, CONTROL, GO | IRQ);
    expect_status(&d, ERROR, EPC_DOE_STATE_ERROR);
    g_assert_cmpuint(epc_doe_take_caused(&d), ==, 0);
    epc_doe_clear(&d);
}

static void test_remove(void)
{
    EpcDoe d;

    reach(&d, EPC_DOE_STATE_WORKING);
    epc_doe_remove(&d);
    g_assert_cmpuint(d.state, ==, EPC_DOE_STATE_ABSENT);
    g_assert_cmpuint(d.aborted, ==, 1);
    g_assert_cmpuint(epc_doe_fail(&d, 1), ==, EPC_STATUS_BAD_STATE);
    g_assert_cmphex(d.protocol[3], ==, KIND(1) | EPC_DOE_PROTOCOL_VALID);
    epc_doe_add(&d, AT, 0);
    go(&d, KIND(1), 2, 2);
    g_assert_cmpuint(epc_doe_waiting(&d), ==, 2);
    epc_doe_clear(&d);
    g_assert_cmphex(d.protocol[3], ==, 0);
    g_assert_cmpuint(d.objects, ==, 0);
    epc_doe_add(&d, AT, 0);
    go(&d, KIND(1), 2, 2);
    expect_status(&d, ERROR, EPC_DOE_STATE_ERROR);
    epc_doe_clear(&d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/epc-doe/absent", test_absent);
    g_test_add_func("/epc-doe/registers", test_registers);
    g_test_add_func("/epc-doe/read-order", test_read_order);
    g_test_add_func("/epc-doe/widths", test_widths);
    g_test_add_func("/epc-doe/length", test_length);
    g_test_add_func("/epc-doe/longest", test_longest);
    g_test_add_func("/epc-doe/discovery", test_discovery);
    g_test_add_func("/epc-doe/abort", test_abort);
    g_test_add_func("/epc-doe/ignored", test_ignored);
    g_test_add_func("/epc-doe/driver", test_driver);
    g_test_add_func("/epc-doe/interrupts", test_interrupts);
    g_test_add_func("/epc-doe/remove", test_remove);
    return g_test_run();
}
