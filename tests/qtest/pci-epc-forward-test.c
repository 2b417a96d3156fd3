/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two controllers in one machine, each with a fake host: what one host does
 * to the window of the other one's controller
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "libqos/pci.h"
#include "libqos/pci-pc.h"
#include "pci-ep/two.h"
#include "pci-ep/wait.h"

#define FULL        (32u << 20)     /* bytes that are posted */
#define PIECE       0x10000u
#define LARGE       0x80000u        /* more than is mapped there */
#define FLOOD       4000u           /* writes, all of which are posted */

/* ---- One host after the other ---- */

static void test_write(void)
{
    VfuMsg *m;
    Two t;

    two_start(&t, "q35");
    two_store(&t.a, TWO_SLOW + 0x1008, 0xcafe0001);
    m = two_expect_access(&t.b, VFU_CMD_DMA_WRITE, 0x1008, 4);
    g_assert_cmphex(two_value_of(m), ==, 0xcafe0001);
    two_answer_write(&t.b, m);
    two_store(&t.a, TWO_FAST + 8, 0xcafe0002);
    g_assert_cmphex(two_load(&t.a, TWO_FAST + 8), ==, 0xcafe0002);
    g_assert_cmphex((uint32_t)ldl_le_p(t.b.mem + 8), ==, 0xcafe0002);
    two_end(&t);
}

static void test_read(void)
{
    uint16_t id;
    Two t;

    two_start(&t, "q35");
    id = two_begin(&t.a, VFU_CMD_REGION_READ, TWO_SLOW + 0x2000, 4);
    two_answer_read(&t.b, two_expect_access(&t.b, VFU_CMD_DMA_READ, 0x2000, 4),
                0xcafe0001);
    g_assert_cmphex(two_read_value(&t.a, id, FAKEHOST_TIMEOUT_MS), ==,
                    0xcafe0001);
    stl_le_p(t.b.mem + TWO_PAGE, 0xcafe0002);
    g_assert_cmphex(two_load(&t.a, TWO_FAST + TWO_PAGE), ==, 0xcafe0002);
    two_end(&t);
}

/* What goes without a message does not overtake what takes one. */
static void test_order(void)
{
    VfuMsg *m;
    uint16_t id;
    Two t;

    two_start(&t, "q35");
    two_store(&t.a, TWO_SLOW, 1);
    two_store(&t.a, TWO_FAST, 2);
    two_store(&t.a, TWO_SLOW + 4, 3);
    id = two_begin(&t.a, VFU_CMD_REGION_READ, TWO_FAST, 4);
    m = two_expect_access(&t.b, VFU_CMD_DMA_WRITE, 0, 4);
    g_assert_cmphex(ldl_le_p(t.b.mem), ==, 0);
    two_answer_write(&t.b, m);
    m = two_expect_access(&t.b, VFU_CMD_DMA_WRITE, 4, 4);
    g_assert_cmphex(ldl_le_p(t.b.mem), ==, 2);
    two_expect_no_reply(&t.a);
    two_answer_write(&t.b, m);
    g_assert_cmphex(two_read_value(&t.a, id, FAKEHOST_TIMEOUT_MS), ==, 2);
    two_end(&t);
}

/* From one map to the next in one access; the second half is memory. */
static void test_border(void)
{
    g_autofree uint8_t *buf = g_malloc0(2 * PIECE);
    VfuMsg *m;
    Two t;

    two_start(&t, "q35");
    g_assert_cmpuint(epvm_map(t.b.e, TWO_SLOW + TWO_MEM_SIZE, TWO_HOST,
                              TWO_MEM_SIZE), ==,
                     EPC_STATUS_OK);
    memset(buf + PIECE, 0x5a, PIECE);
    g_assert_cmpint(fakehost_write(t.a.c, 2, TWO_SLOW + TWO_MEM_SIZE - PIECE,
                                   buf,
                                   2 * PIECE), ==, 0);
    m = two_expect_access(&t.b, VFU_CMD_DMA_WRITE, TWO_MEM_SIZE - PIECE, PIECE);
    two_answer_write(&t.b, m);
    g_assert_cmphex(two_load(&t.a, TWO_SLOW + TWO_MEM_SIZE + PIECE - 4), ==,
                    0x5a5a5a5a);
    g_assert_cmphex(ldl_le_p(t.b.mem + PIECE - 4), ==, 0x5a5a5a5a);
    two_end(&t);
}

/* The BAR is set while parts of the window trap. */
static void test_set_bar(void)
{
    Two t;

    two_start(&t, "q35");
    g_assert_cmpuint(epvm_set_bar(t.a.e, 2,
                                  EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH,
                                  t.b.e->window + TWO_SLOW, TWO_MEM_SIZE), ==,
                     EPC_STATUS_OK);
    two_store(&t.a, TWO_PAGE, 0xcafe0001);
    two_answer_write(&t.b, two_expect_access(&t.b, VFU_CMD_DMA_WRITE,
                                             TWO_PAGE, 4));
    two_end(&t);
}

/* ---- At the same time ---- */

/* Neither host answers before its own access is done. */
static void test_both(void)
{
    VfuMsg *ma, *mb;
    Two t;

    two_start(&t, "q35");
    two_store(&t.a, TWO_SLOW + 0x10, 0xcafe0001);
    two_store(&t.b, TWO_SLOW + 0x20, 0xcafe0002);
    mb = two_expect_access(&t.b, VFU_CMD_DMA_WRITE, 0x10, 4);
    ma = two_expect_access(&t.a, VFU_CMD_DMA_WRITE, 0x20, 4);
    two_store(&t.a, TWO_FAST, 1);
    two_store(&t.b, TWO_FAST, 2);
    two_answer_write(&t.b, mb);
    two_answer_write(&t.a, ma);
    g_assert_cmphex(two_load(&t.a, TWO_FAST), ==, 1);
    g_assert_cmphex(two_load(&t.b, TWO_FAST), ==, 2);
    two_end(&t);
}

/* ---- Bounds ---- */

/* Then a write is answered when its turn comes. */
static void test_full(void)
{
    unsigned posted = 0, taken = 0;
    uint16_t id;
    VfuMsg *m;
    Two t;

    /* B answers late, since much is sent before. */
    two_start(&t, "q35 -global pci-epc.deadline-ms=20000");
    for (;;) {
        id = two_begin(&t.a, VFU_CMD_REGION_WRITE, TWO_SLOW, LARGE);
        /*
         * Nothing is ordered behind a write that is held, so this waits. What
         * is held for being slow and not for being too much fails the check of
         * the number below.
         */
        if (!fakehost_pending(t.a.c, 200)) {
            break;
        }
        m = two_reply(&t.a, id, FAKEHOST_TIMEOUT_MS);
        g_assert_nonnull(m);
        vfu_msg_free(m);
        g_assert_cmpuint(++posted, <=, FULL / LARGE);
    }
    g_assert_cmpuint(posted, >, FULL / LARGE / 2);
    while (taken < posted) {
        two_answer_write(&t.b, two_expect_access(&t.b, VFU_CMD_DMA_WRITE, 0,
                                                 TWO_MEM_SIZE));
        taken++;
    }
    two_answer_write(&t.b, two_expect_access(&t.b, VFU_CMD_DMA_WRITE, 0,
                                             TWO_MEM_SIZE));
    two_check_reply(&t.a, id);
    two_end(&t);
}

/* A client that does not wait loses what is too much. */
static void test_overfull(void)
{
    uint16_t ids[2 * FULL / LARGE + 8];
    unsigned taken = 0, replies = 0;
    gint64 end = wait_deadline(WAIT_MS);
    uint16_t id;
    VfuMsg *m;
    Two t;

    two_start(&t, "q35 -global pci-epc.deadline-ms=20000");
    for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
        ids[i] = two_begin(&t.a, VFU_CMD_REGION_WRITE, TWO_SLOW, LARGE);
    }
    while (replies < ARRAY_SIZE(ids)) {
        if (fakehost_pending(t.b.c, 0)) {
            two_answer_write(&t.b, two_expect_access(&t.b, VFU_CMD_DMA_WRITE, 0,
                                             TWO_MEM_SIZE));
            taken++;
            end = wait_deadline(WAIT_MS);
        } else if (fakehost_pending(t.a.c, 0)) {
            two_check_reply(&t.a, ids[replies++]);
            end = wait_deadline(WAIT_MS);
        } else if (!wait_step(end)) {
            wait_failed(__FILE__, __LINE__, "reply %u of %zu", replies,
                        ARRAY_SIZE(ids));
        }
    }
    /* A read comes behind all writes that were not lost. */
    id = two_begin(&t.a, VFU_CMD_REGION_READ, TWO_SLOW, 4);
    for (;;) {
        m = fakehost_command(t.b.c, 0);
        if (m->hdr.command == VFU_CMD_DMA_READ) {
            break;
        }
        two_answer_write(&t.b, m);
        g_assert_cmpuint(++taken, <, ARRAY_SIZE(ids));
    }
    two_answer_read(&t.b, m, 0xcafe0001);
    g_assert_cmphex(two_read_value(&t.a, id, FAKEHOST_TIMEOUT_MS), ==,
                    0xcafe0001);
    g_assert_cmpuint(taken, >=, FULL / LARGE);
    g_assert_cmpuint(taken, <, ARRAY_SIZE(ids));
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
    id = two_begin(&t.a, VFU_CMD_REGION_READ, TWO_SLOW, 4);
    g_assert_cmphex(two_read_value(&t.a, id, FAKEHOST_TIMEOUT_MS), ==,
                    UINT32_MAX);
    g_assert_cmpint(g_get_monotonic_time() - since, <, wait_scaled(900 * 1000));
    g_assert_true(fakehost_wait_closed(t.b.c, FAKEHOST_TIMEOUT_MS));
    epvm_wait_link(t.b.e, false);
    epvm_wait_link(t.a.e, true);
    g_assert_cmphex(two_load(&t.a, TWO_SLOW), ==, UINT32_MAX);
    g_assert_cmphex(two_load(&t.a, TWO_FAST), ==, UINT32_MAX);
    two_store(&t.a, TWO_SLOW, 1);
    two_end(&t);
}

/*
 * Answers that come just in time. The session ends soon after the answer that
 * was one too many, so the next read may still begin and find it ended.
 */
static void test_sluggish(void)
{
    unsigned n = 0;
    uint16_t id;
    VfuMsg *m;
    Two t;

    two_start(&t, "q35");
    do {
        g_assert_cmpuint(n++, <, 6);
        id = two_begin(&t.a, VFU_CMD_REGION_READ, TWO_SLOW, 4);
        m = fakehost_command_or_closed(t.b.c, VFU_CMD_DMA_READ);
        if (!m) {
            break;
        }
        g_usleep(200 * 1000);
        two_answer_read(&t.b, m, 0xcafe0001);
    } while (two_read_value(&t.a, id, FAKEHOST_TIMEOUT_MS) == 0xcafe0001 &&
             epvm_prop(t.b.e, "link-up"));
    g_assert_cmpuint(n, >, 1);
    g_assert_true(fakehost_wait_closed(t.b.c, FAKEHOST_TIMEOUT_MS));
    epvm_wait_link(t.a.e, true);
    two_end(&t);
}

/*
 * A host that answers soon is not to blame for all that the other has in the
 * queue before a read, which is late then.
 */
static void test_flood(void)
{
    uint16_t first = 0, id;
    Two t;

    two_start(&t, "q35");
    for (unsigned i = 0; i < FLOOD; i++) {
        id = two_begin(&t.a, VFU_CMD_REGION_WRITE, TWO_SLOW, 4);
        first = i ? first : id;
    }
    two_begin(&t.a, VFU_CMD_REGION_READ, TWO_SLOW, 4);
    for (unsigned i = 0; i < FLOOD; i++) {
        g_usleep(150);
        two_answer_write(&t.b, two_expect_access(&t.b, VFU_CMD_DMA_WRITE, 0,
                                                 4));
        /* The other host reads on, as it has to within its own deadline. */
        two_check_reply(&t.a, first + i);
    }
    two_answer_read(&t.b, two_expect_access(&t.b, VFU_CMD_DMA_READ, 0, 4),
                    0xcafe0001);
    two_check_reply(&t.a, first + FLOOD);
    g_assert_true(epvm_prop(t.b.e, "link-up"));
    two_store(&t.a, TWO_FAST, 0xcafe0002);
    g_assert_cmphex(two_load(&t.a, TWO_FAST), ==, 0xcafe0002);
    two_end(&t);
}

/* ---- Ends ---- */

/* What a host was asked for is answered all the same when it leaves. */
static void test_leave(void)
{
    uint16_t id;
    VfuMsg *m;
    Two t;

    two_start(&t, "q35");
    two_store(&t.a, TWO_SLOW, 1);
    id = two_begin(&t.a, VFU_CMD_REGION_READ, TWO_SLOW, 4);
    m = two_expect_access(&t.b, VFU_CMD_DMA_WRITE, 0, 4);
    vfu_msg_free(m);
    two_rejoin(&t.b);
    g_assert_cmphex(two_read_value(&t.a, id, FAKEHOST_TIMEOUT_MS), ==,
                    UINT32_MAX);
    two_store(&t.a, TWO_SLOW, 2);
    two_answer_write(&t.b, two_expect_access(&t.b, VFU_CMD_DMA_WRITE, 0, 4));
    two_end(&t);
}

/* The host that asked leaves while the other one is thinking. */
static void test_leave_first(void)
{
    VfuMsg *m;
    Two t;

    two_start(&t, "q35");
    two_begin(&t.a, VFU_CMD_REGION_READ, TWO_SLOW, 4);
    m = two_expect_access(&t.b, VFU_CMD_DMA_READ, 0, 4);
    two_leave(&t.a);
    two_answer_read(&t.b, m, 1);
    /* Its link comes up again when no access of the host before is left. */
    two_join(&t.a);
    stl_le_p(t.b.mem, 0xcafe0001);
    g_assert_cmphex(two_load(&t.a, TWO_FAST), ==, 0xcafe0001);
    two_end(&t);
}

static void test_unplug(void)
{
    uint16_t id;
    Two t;

    two_start(&t, "pc");
    two_store(&t.a, TWO_SLOW, 1);
    id = two_begin(&t.a, VFU_CMD_REGION_READ, TWO_SLOW, 4);
    vfu_msg_free(two_expect_access(&t.b, VFU_CMD_DMA_WRITE, 0, 4));
    qpci_unplug_acpi_device_test(t.a.e->q, "epc2", t.b.e->slot);
    g_assert_cmphex(two_read_value(&t.a, id, FAKEHOST_TIMEOUT_MS), ==,
                    UINT32_MAX);
    g_assert_cmphex(two_load(&t.a, TWO_FAST), ==, UINT32_MAX);
    two_store(&t.a, TWO_FAST, 0);
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
