/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc and a fake host: DOE mailboxes
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/doe.h"
#include "pci-ep/trap.h"
#include "pci-ep/wait.h"

#include <sys/eventfd.h>

#define SOON_MS 50          /* for what must not come */
#define BATCH   128u        /* writes that are sent without a wait */

typedef struct Box {
    EpVm *e;
    FakeHost *c;
    unsigned at;
} Box;

/* A host that is attached to a function whose mailbox raises @irq */
static void box_start(Box *b, uint32_t irq)
{
    b->e = epvm_start(EPVM_SHARED, "");
    b->at = doe_must_add(b->e, irq);
    b->c = epvm_attach(b->e);
    fakehost_set_config(b->c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
}

static void box_end(Box *b)
{
    epvm_detach(b->e, b->c);
}

/* ---- The host ---- */

static uint32_t box_read(Box *b, unsigned reg)
{
    return fakehost_config(b->c, b->at + reg, 4);
}

static void box_write(Box *b, unsigned reg, uint32_t v)
{
    fakehost_set_config(b->c, b->at + reg, 4, v);
}

static void box_send(Box *b, uint32_t seed, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        box_write(b, DOE_WRITE_BOX, doe_dword(seed, len, i));
    }
    box_write(b, DOE_CONTROL, DOE_GO | (box_read(b, DOE_CONTROL) & DOE_IRQ));
}

/* Writes @len dwords of an object of @says, without a wait for each reply. */
static void box_flood(Box *b, uint32_t seed, uint32_t len, uint32_t says)
{
    uint16_t id[BATCH];
    struct {
        VfuRegionRw rw;
        uint32_t value;
    } p = {
        .rw = { .offset = b->at + DOE_WRITE_BOX, .region = VFU_REGION_CONFIG,
                .count = 4 },
    };

    for (uint32_t i = 0; i < len; i += BATCH) {
        uint32_t n = MIN(BATCH, len - i);

        for (uint32_t j = 0; j < n; j++) {
            p.value = cpu_to_le32(doe_dword(seed, says, i + j));
            id[j] = trap_send(b->c, VFU_CMD_REGION_WRITE, &p,
                              sizeof(p.rw) + 4);
        }
        for (uint32_t j = 0; j < n; j++) {
            trap_done(b->c, id[j]);
        }
    }
    box_write(b, DOE_CONTROL, DOE_GO);
}

static void box_receive(Box *b, uint32_t seed, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        g_assert_cmphex(box_read(b, DOE_STATUS) & ~DOE_IRQ, ==,
                        DOE_BUSY | DOE_READY);
        g_assert_cmphex(box_read(b, DOE_READ_BOX), ==,
                        doe_dword(seed, len, i));
        box_write(b, DOE_READ_BOX, 0);
    }
    g_assert_cmphex(box_read(b, DOE_STATUS) & ~DOE_IRQ, ==, 0);
    g_assert_cmphex(box_read(b, DOE_READ_BOX), ==, 0);
}

static void box_exchange(Box *b, uint32_t seed, uint32_t len, uint32_t back)
{
    uint32_t token;

    box_send(b, seed, len);
    token = doe_wait_object(b->e);
    doe_expect_object(b->e, token, seed, len);
    g_assert_cmphex(box_read(b, DOE_STATUS) & ~DOE_IRQ, ==, DOE_BUSY);
    doe_store(b->e, token, ~seed, back);
    g_assert_cmpuint(doe_command(b->e, EPC_DOE_ANSWER), ==, EPC_STATUS_OK);
    box_receive(b, ~seed, back);
}

/* ---- Registers ---- */

static void test_registers(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",functions=2");
    uint32_t bad;

    g_assert_cmphex(epvm_reg(e, EPC_REG_FEATURES) & EPC_FEATURE_DOE, !=, 0);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_DOE_STATE), ==,
                     EPC_DOE_STATE_ABSENT);
    for (unsigned i = 0; i < EPC_DOE_PROTOCOLS; i++) {
        epvm_set_fn_reg(e, EPC_FN_DOE_PROTOCOL(i), i << 16 | 0x1234);
        g_assert_cmphex(epvm_fn_reg(e, EPC_FN_DOE_PROTOCOL(i)), ==,
                        i << 16 | 0x1234);
    }
    epvm_set_fn_reg64(e, EPC_FN_DOE_ADDR, 0x1122334455667788);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_DOE_ADDR + 4), ==, 0x11223344);
    epvm_set_fn_reg(e, EPC_FN_DOE_TOKEN, 7);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_DOE_TOKEN), ==, 7);
    g_assert_cmpuint(doe_command(e, 0), ==, EPC_STATUS_BAD_CMD);
    g_assert_cmpuint(doe_command(e, EPC_DOE_FAIL), ==, EPC_STATUS_BAD_STATE);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_DOE_CMD), ==, 0);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, 0);

    epvm_set_fn_reg(e, EPC_FN_DOE_PROTOCOL(0), EPC_DOE_PROTOCOL_VALID | 1);
    epvm_set_fn_reg(e, EPC_FN_DOE_PROTOCOL(0), 1u << 24);
    for (unsigned reg = EPC_FN_DOE_OBJECTS; reg <= EPC_FN_DOE_FAILED;
         reg += 4) {
        epvm_set_fn_reg(e, reg, 1);
        g_assert_cmpuint(epvm_fn_reg(e, reg), ==, 0);
    }
    epvm_set_fn_reg(e, EPC_FN_DOE_STATE, 0);
    epvm_set_fn_reg(e, EPC_FN_DOE_OBJECT, 0);
    epvm_set_fn_reg(e, EPC_FN_DOE_LENGTH, 0);
    epvm_set_fn_reg(e, EPC_FN_DOE_RESULT, 0);
    epvm_set_fn_reg(e, EPC_FN_DOE_PROTOCOL(EPC_DOE_PROTOCOLS), 0);
    epvm_fn_reg(e, 0x238);
    bad = epvm_reg(e, EPC_REG_BAD_ACCESS);
    g_assert_cmpuint(bad, ==, 12);

    epvm_select(e, 1);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_DOE_PROTOCOL(1)), ==, 0);
    epvm_set_reg(e, EPC_REG_RESET, EPC_RESET_MAGIC);
    epvm_select(e, 0);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_DOE_PROTOCOL(1)), ==, 0);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_DOE_RESULT), ==, EPC_STATUS_OK);
    epvm_stop(e);
}

static void test_add(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c;
    unsigned at, room = 0;

    g_assert_cmpuint(doe_add(e, 1u << 11), ==, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(doe_add(e, 1u << 30), ==, EPC_STATUS_BAD_ARG);
    at = doe_must_add(e, EPC_DOE_IRQ | 3);
    g_assert_cmphex(at, ==, PCI_CFG_SPACE_SIZE);
    g_assert_cmpuint(doe_add(e, 0), ==, EPC_STATUS_BAD_STATE);
    g_assert_cmphex(epvm_read(e, e->fn_base + EPC_FN_CONFIG + at, 4) & 0xfffff,
                    ==, 0x2e | 1 << 16);
    g_assert_cmphex(epvm_read(e, e->fn_base + EPC_FN_CONFIG + at + DOE_CAP, 4),
                    ==, 1 | 3 << 1);
    /* Its registers are the mailbox's, and not set by WRITE_CONFIG. */
    epvm_set_fn_reg64(e, EPC_FN_OFFSET, at + DOE_CAP);
    epvm_set_fn_reg64(e, EPC_FN_SIZE, 4);
    g_assert_cmpuint(epvm_command(e, EPC_CMD_WRITE_CONFIG), ==,
                     EPC_STATUS_BAD_ARG);

    /* REMOVE forgets the mailbox, and keeps the protocols. */
    g_assert_cmpuint(epvm_command(e, EPC_CMD_REMOVE), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_DOE_STATE), ==,
                     EPC_DOE_STATE_ABSENT);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_DOE_PROTOCOL(0)), ==,
                    DOE_KIND | EPC_DOE_PROTOCOL_VALID);
    g_assert_cmphex(epvm_read(e, e->fn_base + EPC_FN_CONFIG + at + DOE_CAP, 4),
                    ==, 0);
    epvm_set_fn_reg(e, EPC_FN_CAP_ID, EPC_CAP_EXT | 0x1000b);
    epvm_set_fn_reg64(e, EPC_FN_SIZE, 0x100);
    while (epvm_command(e, EPC_CMD_ADD_CAP) == EPC_STATUS_OK) {
        g_assert_cmpuint(++room, <, 16);
    }
    epvm_set_fn_reg64(e, EPC_FN_SIZE, 0x10);
    while (epvm_command(e, EPC_CMD_ADD_CAP) == EPC_STATUS_OK) {
        g_assert_cmpuint(++room, <, 32);
    }
    g_assert_cmpuint(doe_add(e, 0), ==, EPC_STATUS_NO_SPACE);
    g_assert_cmpuint(epvm_command(e, EPC_CMD_REMOVE), ==, EPC_STATUS_OK);
    c = epvm_attach(e);
    g_assert_cmpuint(doe_add(e, 0), ==, EPC_STATUS_BAD_STATE);
    epvm_detach(e, c);
}

/* A write of every width at every offset of the capability */
static void test_widths(void)
{
    uint32_t header, cap;
    Box b;

    box_start(&b, EPC_DOE_IRQ | 2);
    header = fakehost_config(b.c, b.at, 4);
    cap = box_read(&b, DOE_CAP);
    for (unsigned from = 0; from < 0x18; from++) {
        for (unsigned len = 1; from + len <= 0x18; len++) {
            uint8_t buf[0x18];
            bool whole = from <= DOE_WRITE_BOX && from + len >= DOE_READ_BOX;

            /* Neither Go nor Abort: those are dword 2 of the write below. */
            memset(buf, 0, sizeof(buf));
            g_assert_cmpint(fakehost_write(b.c, VFU_REGION_CONFIG, b.at + from,
                                           buf, len), ==, 0);
            g_assert_cmphex(box_read(&b, DOE_STATUS), ==, 0);
            /* A dword that is written is one too many for Discovery. */
            box_write(&b, DOE_WRITE_BOX, 1);
            box_write(&b, DOE_WRITE_BOX, 3);
            box_write(&b, DOE_WRITE_BOX, 0);
            box_write(&b, DOE_CONTROL, DOE_GO);
            g_assert_cmphex(box_read(&b, DOE_STATUS), ==,
                            whole ? 0 : DOE_BUSY | DOE_READY);
            box_write(&b, DOE_CONTROL, DOE_ABORT);

            memset(buf, 0xff, sizeof(buf));
            g_assert_cmpint(fakehost_write(b.c, VFU_REGION_CONFIG, b.at + from,
                                           buf, len), ==, 0);
            g_assert_cmpuint(epvm_fn_reg(b.e, EPC_FN_DOE_STATE), ==,
                             EPC_DOE_STATE_IDLE);
            box_write(&b, DOE_CONTROL, DOE_ABORT);
            g_assert_cmphex(fakehost_config(b.c, b.at, 4), ==, header);
            g_assert_cmphex(box_read(&b, DOE_CAP), ==, cap);
            g_assert_cmphex(box_read(&b, DOE_STATUS), ==, 0);
            g_assert_cmphex(box_read(&b, DOE_WRITE_BOX), ==, 0);
            g_assert_cmphex(box_read(&b, DOE_READ_BOX), ==, 0);
        }
    }
    /* The log of writes to other capabilities has none of them. */
    g_assert_cmphex(epvm_fn_reg(b.e, EPC_FN_WRITE_INFO), ==, 0);
    g_assert_cmpuint(epvm_fn_reg(b.e, EPC_FN_DOE_OBJECTS), ==, 0);
    box_end(&b);
}

/* ---- Objects ---- */

static void test_exchange(void)
{
    Box b;

    box_start(&b, 0);
    epvm_set_fn_reg(b.e, EPC_FN_EVENT_MASK, EPC_FN_EVENT_DOE);
    g_assert_false(epvm_vector(b.e, EPC_VECTOR_EVENT, 0));
    for (uint32_t i = 0; i < 20; i++) {
        box_exchange(&b, i, 2 + i * i, 2 + (20 - i) * 3);
        g_assert_true(epvm_vector(b.e, EPC_VECTOR_EVENT, EPVM_TIMEOUT_MS));
    }
    /* More than the driver copies at once */
    box_exchange(&b, 99, EPC_DOE_COPY_MAX + 3, EPC_DOE_COPY_MAX + 1);
    g_assert_cmpuint(epvm_fn_reg(b.e, EPC_FN_DOE_OBJECTS), ==, 21);
    g_assert_cmpuint(epvm_fn_reg(b.e, EPC_FN_DOE_ABORTED), ==, 0);
    g_assert_cmpuint(epvm_fn_reg(b.e, EPC_FN_DOE_DISCARDED), ==, 0);
    g_assert_cmpuint(epvm_fn_reg(b.e, EPC_FN_DOE_FAILED), ==, 0);
    box_end(&b);
}

/*
 * The longest object there is, both ways; a longer one is lost. That the host
 * reads all of such a response is shown by a unit test, since that is slow here.
 */
static void test_longest(void)
{
    const uint32_t max = EPC_DOE_MAX_LENGTH;
    uint32_t token;
    Box b;

    box_start(&b, 0);
    box_flood(&b, 5, max, max);
    token = doe_wait_object(b.e);
    doe_expect_object(b.e, token, 5, max);
    doe_store(b.e, token, 6, max);
    g_assert_cmpuint(doe_copy(b.e, EPC_DOE_STORE, token, max, 1), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(doe_command(b.e, EPC_DOE_ANSWER), ==, EPC_STATUS_OK);
    for (uint32_t i = 0; i < 100; i++) {
        g_assert_cmphex(box_read(&b, DOE_READ_BOX), ==, doe_dword(6, max, i));
        box_write(&b, DOE_READ_BOX, 0);
    }
    box_write(&b, DOE_CONTROL, DOE_ABORT);
    g_assert_cmphex(box_read(&b, DOE_STATUS), ==, 0);

    box_flood(&b, 7, max + 1, max);
    g_assert_cmphex(box_read(&b, DOE_STATUS), ==, 0);
    g_assert_cmpuint(epvm_fn_reg(b.e, EPC_FN_DOE_DISCARDED), ==, 1);
    g_assert_cmpuint(epvm_fn_reg(b.e, EPC_FN_DOE_OBJECT), ==, 0);
    box_exchange(&b, 8, 3, 3);
    box_end(&b);
}

static void test_refused(void)
{
    Box b;

    box_start(&b, 0);
    /* Shorter than its header says: discarded silently */
    box_write(&b, DOE_WRITE_BOX, DOE_KIND);
    box_write(&b, DOE_WRITE_BOX, 3);
    box_write(&b, DOE_CONTROL, DOE_GO);
    g_assert_cmphex(box_read(&b, DOE_STATUS), ==, 0);
    g_assert_cmpuint(epvm_fn_reg(b.e, EPC_FN_DOE_DISCARDED), ==, 1);
    box_exchange(&b, 1, 3, 3);

    /* A protocol that the driver does not take, and takes no more */
    for (unsigned i = 0; i < 2; i++) {
        box_write(&b, DOE_WRITE_BOX, i ? DOE_KIND : DOE_KIND + 1);
        box_write(&b, DOE_WRITE_BOX, 2);
        box_write(&b, DOE_CONTROL, DOE_GO);
        g_assert_cmphex(box_read(&b, DOE_STATUS), ==, DOE_ERROR);
        g_assert_cmphex(box_read(&b, DOE_READ_BOX), ==, 0);
        g_assert_cmpuint(epvm_fn_reg(b.e, EPC_FN_DOE_FAILED), ==, i + 1);
        box_write(&b, DOE_CONTROL, DOE_ABORT);
        g_assert_cmphex(box_read(&b, DOE_STATUS), ==, 0);
        epvm_set_fn_reg(b.e, EPC_FN_DOE_PROTOCOL(0), 0);
    }
    g_assert_cmpuint(epvm_fn_reg(b.e, EPC_FN_DOE_OBJECTS), ==, 1);
    box_end(&b);
}

static void test_discovery(void)
{
    static const uint32_t kinds[] = { 0x000001, 0x020001, DOE_KIND };
    Box b;

    box_start(&b, 0);
    epvm_set_fn_reg(b.e, EPC_FN_DOE_PROTOCOL(0),
                    EPC_DOE_PROTOCOL_VALID | kinds[1]);
    epvm_set_fn_reg(b.e, EPC_FN_DOE_PROTOCOL(9),
                    EPC_DOE_PROTOCOL_VALID | kinds[2]);
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        unsigned next = (i + 1) % ARRAY_SIZE(kinds);

        box_write(&b, DOE_WRITE_BOX, 1);
        box_write(&b, DOE_WRITE_BOX, 3);
        box_write(&b, DOE_WRITE_BOX, i);
        box_write(&b, DOE_CONTROL, DOE_GO);
        box_write(&b, DOE_READ_BOX, 0);
        g_assert_cmphex(box_read(&b, DOE_READ_BOX), ==, 3);
        box_write(&b, DOE_READ_BOX, 0);
        g_assert_cmphex(box_read(&b, DOE_READ_BOX), ==, kinds[i] | next << 24);
        box_write(&b, DOE_READ_BOX, 0);
        g_assert_cmphex(box_read(&b, DOE_STATUS), ==, 0);
    }
    g_assert_cmpuint(epvm_fn_reg(b.e, EPC_FN_DOE_OBJECTS), ==, 0);
    box_end(&b);
}

/* ---- The driver ---- */

static void test_driver(void)
{
    uint32_t token;
    Box b;

    box_start(&b, 0);
    box_send(&b, 1, 10);
    token = doe_wait_object(b.e);
    g_assert_cmpuint(doe_copy(b.e, EPC_DOE_FETCH, token + 1, 0, 1), ==,
                     EPC_STATUS_BAD_STATE);
    g_assert_cmpuint(doe_copy(b.e, EPC_DOE_FETCH, token, 0, 0), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(doe_copy(b.e, EPC_DOE_FETCH, token, 9, 2), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(doe_copy(b.e, EPC_DOE_STORE, token, 0,
                              EPC_DOE_COPY_MAX + 1), ==, EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(doe_copy(b.e, EPC_DOE_STORE, token, 1, 1), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(doe_command(b.e, EPC_DOE_ANSWER), ==, EPC_STATUS_BAD_ARG);

    /* Buffers that are no RAM: nothing, and registers of this device */
    for (unsigned i = 0; i < 4; i++) {
        doe_copy(b.e, 0, token, 0, 2);
        epvm_set_fn_reg64(b.e, EPC_FN_DOE_ADDR,
                          i < 2 ? 1ull << 45 : EPVM_REGS + EPC_REG_EVENT_MASK);
        g_assert_cmpuint(doe_command(b.e, i & 1 ? EPC_DOE_STORE :
                                                  EPC_DOE_FETCH), ==,
                         EPC_STATUS_BAD_TARGET);
    }
    g_assert_cmphex(epvm_reg(b.e, EPC_REG_EVENT_MASK), ==, 0);
    g_assert_cmphex(box_read(&b, DOE_STATUS), ==, DOE_BUSY);
    g_assert_cmpuint(doe_command(b.e, EPC_DOE_FAIL), ==, EPC_STATUS_OK);
    g_assert_cmphex(box_read(&b, DOE_STATUS), ==, DOE_ERROR);
    box_write(&b, DOE_CONTROL, DOE_ABORT);
    box_exchange(&b, 2, 4, 4);
    box_end(&b);
}

/* ---- The end of an object ---- */

static void end_abort(Box *b)
{
    box_write(b, DOE_CONTROL, DOE_ABORT);
}

static void end_flr(Box *b)
{
    unsigned exp = fakehost_find_cap(b->c, PCI_CAP_ID_EXP);

    fakehost_set_config(b->c, exp + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
}

static void end_hot(Box *b)
{
    g_assert_cmpint(fakehost_reset(b->c, VFU_EP_RESET_HOT), ==, 0);
}

static void end_perst(Box *b)
{
    g_assert_cmpint(fakehost_reset(b->c, VFU_EP_RESET_PERST), ==, 0);
}

static void box_attach(Box *b)
{
    b->c = fakehost_attach(b->e->socket, NULL);
    fakehost_link(b->c, VFU_EP_LINK_UP);
    epvm_wait_link(b->e, true);
}

static void end_lost(Box *b)
{
    fakehost_free(b->c);
    epvm_wait_link(b->e, false);
    box_attach(b);
}

static void end_stop(Box *b)
{
    epvm_set_reg(b->e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    fakehost_link(b->c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(b->e), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_link_command(b->e, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    fakehost_link(b->c, VFU_EP_LINK_UP);
    epvm_wait_link(b->e, true);
}

/*
 * It ends while the host writes, the driver works, the host reads, and while the
 * mailbox shows Error. The driver is late then, and the next object is as usual.
 */
static void test_end(const void *data)
{
    void (*end)(Box *b) = data;
    uint32_t token;
    Box b;

    box_start(&b, EPC_DOE_IRQ);
    for (unsigned i = 0; i < 4; i++) {
        if (i == 0) {
            box_write(&b, DOE_WRITE_BOX, DOE_KIND);
        } else {
            box_send(&b, i, 8);
        }
        token = i ? doe_wait_object(b.e) : 77;
        doe_copy(b.e, 0, token, 0, 1);
        if (i == 2) {
            doe_store(b.e, token, i, 8);
            g_assert_cmpuint(doe_command(b.e, EPC_DOE_ANSWER), ==,
                             EPC_STATUS_OK);
            box_write(&b, DOE_READ_BOX, 0);
        } else if (i == 3) {
            g_assert_cmpuint(doe_command(b.e, EPC_DOE_FAIL), ==,
                             EPC_STATUS_OK);
        }
        end(&b);
        g_assert_cmphex(box_read(&b, DOE_STATUS), ==, 0);
        g_assert_cmphex(box_read(&b, DOE_CONTROL), ==, 0);
        g_assert_cmphex(box_read(&b, DOE_READ_BOX), ==, 0);
        g_assert_cmpuint(epvm_fn_reg(b.e, EPC_FN_DOE_OBJECT), ==, 0);
        g_assert_cmpuint(doe_copy(b.e, EPC_DOE_FETCH, token, 0, 1), ==,
                         EPC_STATUS_BAD_STATE);
        g_assert_cmpuint(doe_copy(b.e, EPC_DOE_STORE, token, 0, 1), ==,
                         EPC_STATUS_BAD_STATE);
        g_assert_cmpuint(doe_command(b.e, EPC_DOE_ANSWER), ==,
                         EPC_STATUS_BAD_STATE);
        g_assert_cmpuint(epvm_fn_reg(b.e, EPC_FN_DOE_ABORTED), ==, i > 0);
        box_exchange(&b, 100 + i, 5, 6);
    }
    box_end(&b);
}

/* The device goes away with an object in each direction. */
static void test_exit(void)
{
    Box b;

    box_start(&b, 0);
    box_send(&b, 1, 100);
    doe_wait_object(b.e);
    epvm_stop(b.e);
    fakehost_free(b.c);
}

/* ---- Interrupts ---- */

static bool box_interrupted(int fd, unsigned ms)
{
    return fakehost_wait_eventfd(fd, ms) == 1;
}

/* Ready and Error raise vector @n, and one that was not cleared is merged. */
static void expect_interrupts(Box *b, unsigned index, unsigned n)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(fakehost_set_irq(b->c, index, n, fd), ==, 0);
    g_assert_cmphex(box_read(b, DOE_CAP), ==, 1 | n << 1);
    box_exchange(b, 1, 4, 4);
    g_assert_false(box_interrupted(fd, 0));

    box_write(b, DOE_CONTROL, DOE_IRQ);
    box_exchange(b, 2, 4, 4);
    g_assert_true(box_interrupted(fd, FAKEHOST_TIMEOUT_MS));
    g_assert_cmphex(box_read(b, DOE_STATUS), ==, DOE_IRQ);
    box_exchange(b, 3, 4, 4);
    g_assert_false(box_interrupted(fd, SOON_MS));

    box_write(b, DOE_STATUS, DOE_IRQ);
    g_assert_cmphex(box_read(b, DOE_STATUS), ==, 0);
    box_write(b, DOE_WRITE_BOX, 0x00ffffff);
    box_write(b, DOE_WRITE_BOX, 2);
    box_write(b, DOE_CONTROL, DOE_GO | DOE_IRQ);
    g_assert_true(box_interrupted(fd, FAKEHOST_TIMEOUT_MS));
    box_write(b, DOE_STATUS, DOE_IRQ);
    box_write(b, DOE_CONTROL, DOE_ABORT);
    close(fd);
}

static void test_interrupts(void)
{
    unsigned msi, msix;
    Box b;

    box_start(&b, EPC_DOE_IRQ | 3);
    msi = fakehost_find_cap(b.c, PCI_CAP_ID_MSI);
    msix = fakehost_find_cap(b.c, PCI_CAP_ID_MSIX);
    fakehost_set_config(b.c, msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
    expect_interrupts(&b, VFU_IRQ_MSIX, 3);
    fakehost_set_config(b.c, msix + PCI_MSIX_FLAGS, 2, 0);
    fakehost_set_config(b.c, msi + PCI_MSI_FLAGS, 2,
                        PCI_MSI_FLAGS_ENABLE | 2 << 4);
    expect_interrupts(&b, VFU_IRQ_MSI, 3);
    /* Fewer than it needs: the first one */
    fakehost_set_config(b.c, msi + PCI_MSI_FLAGS, 2,
                        PCI_MSI_FLAGS_ENABLE | 1 << 4);
    expect_interrupts(&b, VFU_IRQ_MSI, 0);
    g_assert_cmpuint(epvm_fn_reg(b.e, EPC_FN_RAISE_DROPPED), ==, 0);
    box_end(&b);
}

#define ADD_END(name, func) \
    qtest_add_data_func("/pci-epc/doe/end/" name, func, test_end)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/doe/registers", test_registers);
    qtest_add_func("/pci-epc/doe/add", test_add);
    qtest_add_func("/pci-epc/doe/widths", test_widths);
    qtest_add_func("/pci-epc/doe/exchange", test_exchange);
    qtest_add_func("/pci-epc/doe/longest", test_longest);
    qtest_add_func("/pci-epc/doe/refused", test_refused);
    qtest_add_func("/pci-epc/doe/discovery", test_discovery);
    qtest_add_func("/pci-epc/doe/driver", test_driver);
    ADD_END("abort", end_abort);
    ADD_END("flr", end_flr);
    ADD_END("hot", end_hot);
    ADD_END("perst", end_perst);
    ADD_END("lost", end_lost);
    ADD_END("stop", end_stop);
    qtest_add_func("/pci-epc/doe/exit", test_exit);
    qtest_add_func("/pci-epc/doe/interrupts", test_interrupts);
    return g_test_run();
}
