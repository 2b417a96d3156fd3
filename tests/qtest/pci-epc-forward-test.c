/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two controllers in one machine, each with a scripted host: what one host does
 * to the window of the other one's controller
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "libqos/pci.h"
#include "libqos/pci-pc.h"
#include "pci-ep-endpoint.h"

#include <sys/mman.h>

#define PAGE        0x1000u
#define MEM_SIZE    0x20000u
#define HOST        0x40000000ull   /* memory that a host shares */
#define REMOTE      0x50000000ull   /* memory that it does not share */
#define FAST        0u              /* where they are in BAR 2 of the other */
#define SLOW        0x80000u
#define FULL        (32u << 20)     /* bytes that are posted */
#define PIECE       0x10000u
#define LARGE       0x80000u        /* more than is mapped there */
#define FLOOD       4000u           /* writes, all of which are posted */

typedef struct Host {
    EpEndpoint *e;          /* the controller it is linked to */
    PepClient *c;
    int fd;
    uint8_t *mem;           /* what it shares */
} Host;

/* Each host has BAR 2 lead to the window of the other one, and so to its memory. */
typedef struct Two {
    Host a, b;
} Two;

static void host_memory(Host *h)
{
    pep_set_config(h->c, PCI_COMMAND, 2,
                   PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    g_assert_cmpint(pep_dma_map(h->c, HOST, MEM_SIZE, h->fd, 0,
                                VFU_DMA_READ | VFU_DMA_WRITE), ==, 0);
    g_assert_cmpint(pep_dma_map(h->c, REMOTE, MEM_SIZE, -1, 0,
                                VFU_DMA_READ | VFU_DMA_WRITE), ==, 0);
}

static void host_start(Host *h)
{
    h->c = epe_attach(h->e);
    h->fd = pep_memfd(MEM_SIZE, &h->mem);
    host_memory(h);
    g_assert_cmpuint(epe_map(h->e, FAST, HOST, MEM_SIZE), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_map(h->e, SLOW, REMOTE, MEM_SIZE), ==,
                     EPC_STATUS_OK);
}

/* It leaves and comes back. */
static void host_rejoin(Host *h)
{
    pep_free(h->c);
    epe_wait_link(h->e, false);
    h->c = pep_attach(h->e->socket, NULL);
    pep_link(h->c, VFU_EP_LINK_UP);
    epe_wait_link(h->e, true);
    host_memory(h);
}

static void lead_to(Host *h, Host *other)
{
    g_assert_cmpuint(epe_set_bar(h->e, 2,
                                 EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH,
                                 other->e->window, EPE_BAR2_SIZE), ==,
                     EPC_STATUS_OK);
}

static void two_start(Two *t, const char *machine)
{
    t->a.e = epe_start_two(machine, &t->b.e);
    host_start(&t->a);
    host_start(&t->b);
    lead_to(&t->a, &t->b);
    lead_to(&t->b, &t->a);
}

static void host_end(Host *h)
{
    munmap(h->mem, MEM_SIZE);
    close(h->fd);
    pep_free(h->c);
}

static void two_end(Two *t)
{
    host_end(&t->a);
    host_end(&t->b);
    epe_stop(t->a.e);
    epe_stop(t->b.e);
}

static uint32_t peek(Host *h, uint64_t offset)
{
    uint32_t v;

    g_assert_cmpint(pep_read(h->c, 2, offset, &v, 4), ==, 0);
    return v;
}

static void poke(Host *h, uint64_t offset, uint32_t v)
{
    g_assert_cmpint(pep_write(h->c, 2, offset, &v, 4), ==, 0);
}

/* Sends an access and does not wait for the answer. */
static uint16_t begin(Host *h, uint16_t cmd, uint64_t offset, uint32_t count)
{
    bool write = cmd == VFU_CMD_REGION_WRITE;
    size_t len = sizeof(VfuRegionRw) + (write ? count : 0);
    g_autofree VfuRegionRw *rw = g_malloc0(len);
    VfuHeader hdr = {
        .id = h->c->next_id++, .command = cmd, .size = sizeof(hdr) + len,
    };

    *rw = (VfuRegionRw) { .offset = offset, .region = 2, .count = count };
    g_assert_true(pep_send(h->c->sock, &hdr, rw, NULL, 0));
    return hdr.id;
}

/* Its answer; NULL: none within @ms */
static PepMsg *reply(Host *h, uint16_t id, unsigned ms)
{
    bool closed = false;
    PepMsg *m = pep_recv(h->c->sock, ms, &closed);

    g_assert_false(closed);
    if (m) {
        g_assert_cmphex(m->hdr.flags, ==, VFU_FLAG_REPLY);
        g_assert_cmpuint(m->hdr.id, ==, id);
    }
    return m;
}

static void check_reply(Host *h, uint16_t id)
{
    PepMsg *m = reply(h, id, PEP_TIMEOUT_MS);

    g_assert_nonnull(m);
    pep_msg_free(m);
}

static uint32_t read_value(Host *h, uint16_t id, unsigned ms)
{
    PepMsg *m = reply(h, id, ms);
    uint32_t v;

    g_assert_nonnull(m);
    g_assert_cmpuint(m->len, ==, sizeof(VfuRegionRw) + 4);
    v = ldl_le_p(m->payload + sizeof(VfuRegionRw));
    pep_msg_free(m);
    return v;
}

/* The host is asked for so much there. */
static PepMsg *asked(Host *h, uint16_t cmd, uint64_t offset, uint32_t count)
{
    PepMsg *m = pep_command(h->c, cmd);
    const VfuDmaRw *rw = (const VfuDmaRw *)m->payload;

    g_assert_cmphex(rw->address, ==, REMOTE + offset);
    g_assert_cmpuint(rw->count, ==, count);
    return m;
}

static void answer_write(Host *h, PepMsg *m)
{
    VfuHeader hdr = {
        .id = m->hdr.id, .command = m->hdr.command,
        .size = sizeof(hdr) + sizeof(VfuDmaRw), .flags = VFU_FLAG_REPLY,
    };

    g_assert_true(pep_send(h->c->sock, &hdr, m->payload, NULL, 0));
    pep_msg_free(m);
}

static void answer_read(Host *h, PepMsg *m, uint32_t v)
{
    struct {
        VfuDmaRw rw;
        uint32_t v;
    } QEMU_PACKED r = { .v = cpu_to_le32(v) };
    VfuHeader hdr = {
        .id = m->hdr.id, .command = m->hdr.command,
        .size = sizeof(hdr) + sizeof(r), .flags = VFU_FLAG_REPLY,
    };

    memcpy(&r.rw, m->payload, sizeof(r.rw));
    g_assert_true(pep_send(h->c->sock, &hdr, &r, NULL, 0));
    pep_msg_free(m);
}

static uint32_t value_of(const PepMsg *m)
{
    return ldl_le_p(m->payload + sizeof(VfuDmaRw));
}

/* ---- One host after the other ---- */

static void test_write(void)
{
    PepMsg *m;
    Two t;

    two_start(&t, "q35");
    poke(&t.a, SLOW + 0x1008, 0xcafe0001);
    m = asked(&t.b, VFU_CMD_DMA_WRITE, 0x1008, 4);
    g_assert_cmphex(value_of(m), ==, 0xcafe0001);
    answer_write(&t.b, m);
    poke(&t.a, FAST + 8, 0xcafe0002);
    g_assert_cmphex(peek(&t.a, FAST + 8), ==, 0xcafe0002);
    g_assert_cmphex((uint32_t)ldl_le_p(t.b.mem + 8), ==, 0xcafe0002);
    two_end(&t);
}

static void test_read(void)
{
    uint16_t id;
    Two t;

    two_start(&t, "q35");
    id = begin(&t.a, VFU_CMD_REGION_READ, SLOW + 0x2000, 4);
    answer_read(&t.b, asked(&t.b, VFU_CMD_DMA_READ, 0x2000, 4), 0xcafe0001);
    g_assert_cmphex(read_value(&t.a, id, PEP_TIMEOUT_MS), ==, 0xcafe0001);
    stl_le_p(t.b.mem + PAGE, 0xcafe0002);
    g_assert_cmphex(peek(&t.a, FAST + PAGE), ==, 0xcafe0002);
    two_end(&t);
}

/* What goes without a message does not overtake what takes one. */
static void test_order(void)
{
    PepMsg *m;
    uint16_t id;
    Two t;

    two_start(&t, "q35");
    poke(&t.a, SLOW, 1);
    poke(&t.a, FAST, 2);
    poke(&t.a, SLOW + 4, 3);
    id = begin(&t.a, VFU_CMD_REGION_READ, FAST, 4);
    m = asked(&t.b, VFU_CMD_DMA_WRITE, 0, 4);
    g_assert_cmphex(ldl_le_p(t.b.mem), ==, 0);
    answer_write(&t.b, m);
    m = asked(&t.b, VFU_CMD_DMA_WRITE, 4, 4);
    g_assert_cmphex(ldl_le_p(t.b.mem), ==, 2);
    g_assert_null(reply(&t.a, id, 50));
    answer_write(&t.b, m);
    g_assert_cmphex(read_value(&t.a, id, PEP_TIMEOUT_MS), ==, 2);
    two_end(&t);
}

/* From one map to the next in one access; the second half is memory. */
static void test_border(void)
{
    g_autofree uint8_t *buf = g_malloc0(2 * PIECE);
    PepMsg *m;
    Two t;

    two_start(&t, "q35");
    g_assert_cmpuint(epe_map(t.b.e, SLOW + MEM_SIZE, HOST, MEM_SIZE), ==,
                     EPC_STATUS_OK);
    memset(buf + PIECE, 0x5a, PIECE);
    g_assert_cmpint(pep_write(t.a.c, 2, SLOW + MEM_SIZE - PIECE, buf,
                              2 * PIECE), ==, 0);
    m = asked(&t.b, VFU_CMD_DMA_WRITE, MEM_SIZE - PIECE, PIECE);
    answer_write(&t.b, m);
    g_assert_cmphex(peek(&t.a, SLOW + MEM_SIZE + PIECE - 4), ==, 0x5a5a5a5a);
    g_assert_cmphex(ldl_le_p(t.b.mem + PIECE - 4), ==, 0x5a5a5a5a);
    two_end(&t);
}

/* The BAR is set while parts of the window trap. */
static void test_set_bar(void)
{
    Two t;

    two_start(&t, "q35");
    g_assert_cmpuint(epe_set_bar(t.a.e, 2,
                                 EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH,
                                 t.b.e->window + SLOW, MEM_SIZE), ==,
                     EPC_STATUS_OK);
    poke(&t.a, PAGE, 0xcafe0001);
    answer_write(&t.b, asked(&t.b, VFU_CMD_DMA_WRITE, PAGE, 4));
    two_end(&t);
}

/* ---- At the same time ---- */

/* Neither host answers before its own access is done. */
static void test_both(void)
{
    PepMsg *ma, *mb;
    Two t;

    two_start(&t, "q35");
    poke(&t.a, SLOW + 0x10, 0xcafe0001);
    poke(&t.b, SLOW + 0x20, 0xcafe0002);
    mb = asked(&t.b, VFU_CMD_DMA_WRITE, 0x10, 4);
    ma = asked(&t.a, VFU_CMD_DMA_WRITE, 0x20, 4);
    poke(&t.a, FAST, 1);
    poke(&t.b, FAST, 2);
    answer_write(&t.b, mb);
    answer_write(&t.a, ma);
    g_assert_cmphex(peek(&t.a, FAST), ==, 1);
    g_assert_cmphex(peek(&t.b, FAST), ==, 2);
    two_end(&t);
}

/* ---- Bounds ---- */

/* Then a write is answered when its turn comes. */
static void test_full(void)
{
    unsigned posted = 0, taken = 0;
    uint16_t id;
    PepMsg *m;
    Two t;

    two_start(&t, "q35");
    for (;;) {
        id = begin(&t.a, VFU_CMD_REGION_WRITE, SLOW, LARGE);
        m = reply(&t.a, id, 200);
        if (!m) {
            break;
        }
        pep_msg_free(m);
        g_assert_cmpuint(++posted, <=, FULL / LARGE);
    }
    g_assert_cmpuint(posted, >, FULL / LARGE / 2);
    while (taken < posted) {
        answer_write(&t.b, asked(&t.b, VFU_CMD_DMA_WRITE, 0, MEM_SIZE));
        taken++;
    }
    answer_write(&t.b, asked(&t.b, VFU_CMD_DMA_WRITE, 0, MEM_SIZE));
    check_reply(&t.a, id);
    two_end(&t);
}

/* A client that does not wait loses what is too much. */
static void test_overfull(void)
{
    uint16_t ids[2 * FULL / LARGE + 8];
    unsigned taken = 0;
    Two t;

    two_start(&t, "q35");
    for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
        ids[i] = begin(&t.a, VFU_CMD_REGION_WRITE, SLOW, LARGE);
    }
    while (!pep_quiet(t.b.c, VFU_CMD_DMA_WRITE, taken ? 200 : 1000)) {
        answer_write(&t.b, asked(&t.b, VFU_CMD_DMA_WRITE, 0, MEM_SIZE));
        taken++;
    }
    g_assert_cmpuint(taken, >=, FULL / LARGE);
    g_assert_cmpuint(taken, <, ARRAY_SIZE(ids));
    for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
        check_reply(&t.a, ids[i]);
    }
    two_end(&t);
}

/* The first host is answered before it would give up; the second one goes. */
static void test_silent(void)
{
    gint64 since;
    uint16_t id;
    Two t;

    two_start(&t, "q35");
    since = g_get_monotonic_time();
    id = begin(&t.a, VFU_CMD_REGION_READ, SLOW, 4);
    g_assert_cmphex(read_value(&t.a, id, PEP_TIMEOUT_MS), ==, UINT32_MAX);
    g_assert_cmpint(g_get_monotonic_time() - since, <, 900 * 1000);
    g_assert_true(pep_wait_closed(t.b.c, PEP_TIMEOUT_MS));
    epe_wait_link(t.b.e, false);
    epe_wait_link(t.a.e, true);
    g_assert_cmphex(peek(&t.a, SLOW), ==, UINT32_MAX);
    g_assert_cmphex(peek(&t.a, FAST), ==, UINT32_MAX);
    poke(&t.a, SLOW, 1);
    two_end(&t);
}

/* Answers that come just in time */
static void test_sluggish(void)
{
    unsigned n = 0;
    uint16_t id;
    PepMsg *m;
    Two t;

    two_start(&t, "q35");
    do {
        g_assert_cmpuint(n++, <, 5);
        id = begin(&t.a, VFU_CMD_REGION_READ, SLOW, 4);
        m = asked(&t.b, VFU_CMD_DMA_READ, 0, 4);
        g_usleep(200 * 1000);
        answer_read(&t.b, m, 0xcafe0001);
    } while (read_value(&t.a, id, PEP_TIMEOUT_MS) == 0xcafe0001 &&
             epe_prop(t.b.e, "link-up"));
    g_assert_cmpuint(n, >, 1);
    g_assert_true(pep_wait_closed(t.b.c, PEP_TIMEOUT_MS));
    epe_wait_link(t.a.e, true);
    two_end(&t);
}

/*
 * A host that answers soon is not to blame for all that the other one has in the
 * queue before a read, which is late then.
 */
static void test_flood(void)
{
    uint16_t first = 0, id;
    Two t;

    two_start(&t, "q35");
    for (unsigned i = 0; i < FLOOD; i++) {
        id = begin(&t.a, VFU_CMD_REGION_WRITE, SLOW, 4);
        first = i ? first : id;
    }
    begin(&t.a, VFU_CMD_REGION_READ, SLOW, 4);
    for (unsigned i = 0; i < FLOOD; i++) {
        g_usleep(150);
        answer_write(&t.b, asked(&t.b, VFU_CMD_DMA_WRITE, 0, 4));
    }
    answer_read(&t.b, asked(&t.b, VFU_CMD_DMA_READ, 0, 4), 0xcafe0001);
    for (unsigned i = 0; i <= FLOOD; i++) {
        check_reply(&t.a, first + i);
    }
    g_assert_true(epe_prop(t.b.e, "link-up"));
    poke(&t.a, FAST, 0xcafe0002);
    g_assert_cmphex(peek(&t.a, FAST), ==, 0xcafe0002);
    two_end(&t);
}

/* ---- Ends ---- */

/* What a host was asked for is answered all the same when it leaves. */
static void test_leave(void)
{
    uint16_t id;
    PepMsg *m;
    Two t;

    two_start(&t, "q35");
    poke(&t.a, SLOW, 1);
    id = begin(&t.a, VFU_CMD_REGION_READ, SLOW, 4);
    m = asked(&t.b, VFU_CMD_DMA_WRITE, 0, 4);
    pep_msg_free(m);
    host_rejoin(&t.b);
    g_assert_cmphex(read_value(&t.a, id, PEP_TIMEOUT_MS), ==, UINT32_MAX);
    poke(&t.a, SLOW, 2);
    answer_write(&t.b, asked(&t.b, VFU_CMD_DMA_WRITE, 0, 4));
    two_end(&t);
}

/* The host that asked leaves while the other one is thinking. */
static void test_leave_first(void)
{
    PepMsg *m;
    Two t;

    two_start(&t, "q35");
    begin(&t.a, VFU_CMD_REGION_READ, SLOW, 4);
    m = asked(&t.b, VFU_CMD_DMA_READ, 0, 4);
    host_rejoin(&t.a);
    answer_read(&t.b, m, 1);
    stl_le_p(t.b.mem, 0xcafe0001);
    g_assert_cmphex(peek(&t.a, FAST), ==, 0xcafe0001);
    two_end(&t);
}

static void test_unplug(void)
{
    uint16_t id;
    Two t;

    two_start(&t, "pc");
    poke(&t.a, SLOW, 1);
    id = begin(&t.a, VFU_CMD_REGION_READ, SLOW, 4);
    pep_msg_free(asked(&t.b, VFU_CMD_DMA_WRITE, 0, 4));
    qpci_unplug_acpi_device_test(t.a.e->q, "epc2", t.b.e->slot);
    g_assert_cmphex(read_value(&t.a, id, PEP_TIMEOUT_MS), ==, UINT32_MAX);
    g_assert_cmphex(peek(&t.a, FAST), ==, UINT32_MAX);
    poke(&t.a, FAST, 0);
    two_end(&t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/forward/write", test_write);
    qtest_add_func("/pci-epc/forward/read", test_read);
    qtest_add_func("/pci-epc/forward/order", test_order);
    qtest_add_func("/pci-epc/forward/border", test_border);
    qtest_add_func("/pci-epc/forward/set-bar", test_set_bar);
    qtest_add_func("/pci-epc/forward/both", test_both);
    qtest_add_func("/pci-epc/forward/full", test_full);
    qtest_add_func("/pci-epc/forward/overfull", test_overfull);
    qtest_add_func("/pci-epc/forward/silent", test_silent);
    qtest_add_func("/pci-epc/forward/sluggish", test_sluggish);
    qtest_add_func("/pci-epc/forward/flood", test_flood);
    qtest_add_func("/pci-epc/forward/leave", test_leave);
    qtest_add_func("/pci-epc/forward/leave-first", test_leave_first);
    qtest_add_func("/pci-epc/forward/unplug", test_unplug);
    return g_test_run();
}
