/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of config/doe: a host that writes anything to the mailbox, a
 * driver that answers anything, and resets
 *
 * A model keeps the response that the driver has given. What the host reads is
 * that response from its begin to its end, or nothing.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "fuzz.h"
#include "hw/pci-ep/config/doe.h"

const char fuzz_name[] = "doe";

#define AT          0x200u
#define CONTROL     (AT + 0x08)
#define STATUS      (AT + 0x0c)
#define WRITE_BOX   (AT + 0x10)
#define READ_BOX    (AT + 0x14)
#define ABORT       (1u << 0)
#define GO          (1u << 31)
#define BUSY        (1u << 0)
#define ERROR       (1u << 2)
#define READY       (1u << 31)
#define KIND        0x051af4u
#define MAX_STORED  32u         /* dwords of a response that the model keeps */

typedef struct FuzzDoe {
    EpcDoe d;
    uint32_t stored[MAX_STORED];
    uint32_t taken;         /* of the response that is ready */
    bool discovery;         /* the device has made it */
} FuzzDoe;

enum {
    STEP_OBJECT,
    STEP_WRITE,
    STEP_CONTROL,
    STEP_TAKE,
    STEP_READ,
    STEP_PROTOCOL,
    STEP_FETCH,
    STEP_STORE,
    STEP_ANSWER,
    STEP_FAIL,
    STEP_RESET,
    STEP_LIFE,
    STEP_COUNT,
};

static uint32_t read_register(FuzzDoe *f, uint32_t at)
{
    uint8_t raw[4] = { 0 };

    epc_doe_read(&f->d, f->d.vector, at, raw, sizeof(raw));
    return ldl_le_p(raw);
}

static void write_register(FuzzDoe *f, uint32_t at, uint32_t v)
{
    uint8_t raw[4];

    stl_le_p(raw, v);
    epc_doe_write(&f->d, at, raw, sizeof(raw));
}

/* ---- What always holds ---- */

static void check_status(FuzzDoe *f)
{
    static const uint32_t shown[] = {
        [EPC_DOE_STATE_WORKING] = BUSY,
        [EPC_DOE_STATE_READY] = BUSY | READY,
        [EPC_DOE_STATE_ERROR] = ERROR,
    };
    const EpcDoe *d = &f->d;

    REQUIRE(d->state <= EPC_DOE_STATE_ERROR);
    if (d->state == EPC_DOE_STATE_ABSENT) {
        REQUIRE(!d->request.data && !d->response.data);
        return;
    }
    REQUIRE((read_register(f, STATUS) & (BUSY | READY | ERROR)) ==
            shown[d->state]);
    REQUIRE(d->request.len <= EPC_DOE_MAX_LENGTH);
    REQUIRE(d->response.len <= EPC_DOE_MAX_LENGTH);
    REQUIRE(!epc_doe_waiting(d) == (d->state != EPC_DOE_STATE_WORKING));
    REQUIRE(!epc_doe_length(d) == (d->state != EPC_DOE_STATE_WORKING));
}

/* The host reads what the driver has stored, and nothing else. */
static void check_mailbox(FuzzDoe *f)
{
    uint32_t v = read_register(f, READ_BOX);

    if (f->d.state != EPC_DOE_STATE_READY) {
        REQUIRE(v == 0);
        f->taken = 0;
        f->discovery = false;
    } else if (!f->discovery && f->taken < MAX_STORED) {
        REQUIRE(f->d.taken == f->taken);
        REQUIRE(v == f->stored[f->taken]);
    }
}

/* ---- The host ---- */

static void step_object(FuzzDoe *f, FuzzInput *in)
{
    uint32_t len = fuzz_u8(in) % 16, kind = fuzz_u8(in) & 1 ? KIND : 1;

    for (uint32_t i = 0; i < len; i++) {
        write_register(f, WRITE_BOX, i == 0 ? kind :
                                     i == 1 ? len : fuzz_u8(in));
    }
}

static void step_write(FuzzDoe *f, FuzzInput *in)
{
    uint32_t offset = fuzz_u8(in) & 1 ? fuzz_value(in) :
                      AT - 8 + fuzz_u8(in) % 48;
    uint8_t raw[64];
    uint32_t len = fuzz_u8(in) % (sizeof(raw) + 1);

    for (uint32_t i = 0; i < len; i++) {
        raw[i] = fuzz_u8(in);
    }
    epc_doe_write(&f->d, offset, raw, len);
}

static void step_read(FuzzDoe *f, FuzzInput *in)
{
    uint32_t offset = fuzz_u8(in) & 1 ? fuzz_value(in) :
                      AT - 8 + fuzz_u8(in) % 48;
    uint32_t len = fuzz_u8(in) % 65;
    g_autofree uint8_t *raw = g_malloc0(len + 1);

    epc_doe_read(&f->d, fuzz_u8(in), offset, raw, len);
    REQUIRE(raw[len] == 0);
}

/* ---- The driver ---- */

static uint32_t which(FuzzDoe *f, FuzzInput *in)
{
    return fuzz_u8(in) & 3 ? f->d.number : fuzz_value(in);
}

static void step_fetch(FuzzDoe *f, FuzzInput *in)
{
    uint32_t number = which(f, in), offset = fuzz_value(in);
    uint32_t count = fuzz_u8(in);
    g_autofree uint8_t *raw = g_malloc(count * 4 + 1);
    uint32_t result = epc_doe_fetch(&f->d, number, offset, count, raw);

    REQUIRE(result != EPC_STATUS_OK || epc_doe_waiting(&f->d) == number);
}

static void step_store(FuzzDoe *f, FuzzInput *in)
{
    uint32_t number = which(f, in), count = fuzz_u8(in) % 8;
    uint32_t offset = fuzz_u8(in) & 7 ? f->d.response.len : fuzz_value(in);
    uint32_t raw[8];

    for (uint32_t i = 0; i < count; i++) {
        raw[i] = cpu_to_le32(offset + i == 1 ? fuzz_u8(in) % 16 : fuzz_u8(in));
    }
    if (epc_doe_store(&f->d, number, offset, count, raw) != EPC_STATUS_OK) {
        return;
    }
    for (uint32_t i = 0; i < count && offset + i < MAX_STORED; i++) {
        f->stored[offset + i] = le32_to_cpu(raw[i]);
    }
}

static void step_answer(FuzzDoe *f, FuzzInput *in)
{
    uint32_t number = which(f, in), len = f->d.response.len;
    uint32_t result = epc_doe_answer(&f->d, number);

    if (result == EPC_STATUS_OK) {
        REQUIRE(len >= 2 && f->d.state == EPC_DOE_STATE_READY);
        REQUIRE((f->stored[1] & 0x3ffff) == len % EPC_DOE_MAX_LENGTH);
        f->taken = 0;
        f->discovery = false;
    }
}

static void step_life(FuzzDoe *f, FuzzInput *in)
{
    switch (fuzz_u8(in) % 8) {
    case 0:
        epc_doe_clear(&f->d);
        break;
    case 1:
        epc_doe_remove(&f->d);
        break;
    default:
        if (f->d.state == EPC_DOE_STATE_ABSENT) {
            epc_doe_add(&f->d, AT, fuzz_u32(in));
        }
    }
}

static void run_step(FuzzDoe *f, FuzzInput *in)
{
    bool ready = f->d.state == EPC_DOE_STATE_READY;
    uint32_t taken = f->d.taken;

    switch (fuzz_u8(in) % STEP_COUNT) {
    case STEP_OBJECT:
        step_object(f, in);
        write_register(f, CONTROL, GO);
        break;
    case STEP_WRITE:
        step_write(f, in);
        break;
    case STEP_CONTROL:
        write_register(f, CONTROL, fuzz_u8(in) | (uint32_t)fuzz_u8(in) << 24);
        break;
    case STEP_TAKE:
        write_register(f, READ_BOX, fuzz_u8(in));
        break;
    case STEP_READ:
        step_read(f, in);
        break;
    case STEP_PROTOCOL:
        epc_doe_set_protocol(&f->d, fuzz_u8(in) % EPC_DOE_PROTOCOLS,
                             fuzz_u8(in) & 3 ? KIND | EPC_DOE_PROTOCOL_VALID :
                                               fuzz_u32(in));
        break;
    case STEP_FETCH:
        step_fetch(f, in);
        break;
    case STEP_STORE:
        step_store(f, in);
        break;
    case STEP_ANSWER:
        step_answer(f, in);
        break;
    case STEP_FAIL:
        epc_doe_fail(&f->d, which(f, in));
        break;
    case STEP_RESET:
        epc_doe_reset(&f->d);
        break;
    case STEP_LIFE:
        step_life(f, in);
        break;
    }
    if (ready && f->d.state == EPC_DOE_STATE_READY) {
        REQUIRE(f->d.taken == taken || f->d.taken == taken + 1);
        f->taken = f->d.taken;
    } else if (f->d.state == EPC_DOE_STATE_READY) {
        /* The driver has answered, or else the device itself. */
        f->discovery = f->d.response.len == 3 &&
                       ldl_le_p(f->d.response.data) == 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzDoe f = { };
    FuzzInput in = { data, size };

    epc_doe_add(&f.d, AT, fuzz_u8(&in) & 1 ? EPC_DOE_IRQ : 0);
    epc_doe_set_protocol(&f.d, 0, KIND | EPC_DOE_PROTOCOL_VALID);
    while (in.left) {
        run_step(&f, &in);
        check_status(&f);
        check_mailbox(&f);
        REQUIRE(epc_doe_take_caused(&f.d) <= (EPC_DOE_GAVE |
                                              EPC_DOE_INTERRUPTS));
    }
    epc_doe_clear(&f.d);
    return 0;
}

/* An exchange that succeeds, with anything between its steps */
void fuzz_generate(FuzzBytes *out)
{
    fuzz_add_u8(out, fuzz_random(256));
    for (unsigned i = 1 + fuzz_random(24); i; i--) {
        if (fuzz_random(4)) {
            fuzz_add_u8(out, fuzz_random(STEP_COUNT));
            fuzz_add_random(out, fuzz_random(12));
        } else {
            static const uint8_t exchange[] = {
                STEP_OBJECT, 4, 1, 0, 0,
                STEP_STORE, 1, 4, 1, 7, 4, 8, 9,
                STEP_ANSWER, 1, STEP_TAKE, 0, STEP_TAKE, 0,
            };

            fuzz_add(out, exchange, sizeof(exchange));
        }
    }
}
