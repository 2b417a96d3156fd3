/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two controllers in one machine, each with a fake host: what one host has
 * written to the window of the other one's controller is over before a command
 * that ends it, and comes before an interrupt
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "libqos/pci.h"
#include "libqos/pci-pc.h"
#include "pci-ep/two.h"
#include "pci-ep/wait.h"

#include <sys/eventfd.h>

#define LARGE       0x80000u        /* more than is mapped there */
#define ELSEWHERE   0x8000u         /* in TWO_REMOTE, not shown at first */
#define BAR2_FLAGS  (EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH)
#define MSIX        5               /* a vector */

/* ---- Commands ---- */

/* Host A has written twice, and host B was asked for the first one only. */
static VfuMsg *two_writes(Two *t)
{
    two_store(&t->a, TWO_SLOW, 1);
    two_store(&t->a, TWO_SLOW + 4, 2);
    return two_expect_access(&t->b, VFU_CMD_DMA_WRITE, 0, 4);
}

/* The command is BUSY until B has taken both writes, and then OK. */
static void check_waits(Two *t, EpVm *e, VfuMsg *first)
{
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_STATUS), ==, EPC_STATUS_BUSY);
    two_answer_write(&t->b, first);
    first = two_expect_access(&t->b, VFU_CMD_DMA_WRITE, 4, 4);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_STATUS), ==, EPC_STATUS_BUSY);
    two_answer_write(&t->b, first);
    g_assert_cmpuint(epvm_wait_command(e), ==, EPC_STATUS_OK);
}

typedef struct Command {
    const char *name;
    bool other;             /* of B's controller, whose window is accessed */
    void (*begin)(EpVm *e);
    void (*after)(Two *t);  /* once the command is complete; may be NULL */
} Command;

static void begin_clear_bar(EpVm *e)
{
    epvm_set_fn_reg(e, EPC_FN_BAR, 2);
    epvm_begin_command(e, EPC_CMD_CLEAR_BAR);
}

static void begin_set_bar(EpVm *e)
{
    epvm_bar_args(e, 2, BAR2_FLAGS, EPVM_BAR2, EPVM_BAR2_SIZE);
    epvm_begin_command(e, EPC_CMD_SET_BAR);
}

static void begin_unmap(EpVm *e)
{
    epvm_set_fn_reg64(e, EPC_FN_OFFSET, TWO_SLOW);
    epvm_begin_command(e, EPC_CMD_UNMAP);
}

/* MAP replaces a map. */
static void begin_map(EpVm *e)
{
    epvm_set_fn_reg64(e, EPC_FN_OFFSET, TWO_SLOW);
    epvm_set_fn_reg64(e, EPC_FN_ADDR, TWO_REMOTE + ELSEWHERE);
    epvm_set_fn_reg64(e, EPC_FN_SIZE, TWO_PAGE);
    epvm_begin_command(e, EPC_CMD_MAP);
}

/* Nothing leads to B any more. */
static void after_clear_bar(Two *t)
{
    two_store(&t->a, TWO_SLOW, 3);
    epvm_expect_no_command(t->b.e, t->b.c, VFU_CMD_DMA_WRITE);
}

static void after_unmap(Two *t)
{
    g_assert_cmpuint(epvm_map(t->b.e, TWO_SLOW, TWO_REMOTE + ELSEWHERE,
                              TWO_PAGE), ==, EPC_STATUS_OK);
    epvm_expect_no_command(t->b.e, t->b.c, VFU_CMD_DMA_WRITE);
}

static void after_map(Two *t)
{
    two_store(&t->a, TWO_SLOW + 8, 3);
    two_answer_write(&t->b, two_expect_access(&t->b, VFU_CMD_DMA_WRITE,
                                              ELSEWHERE + 8, 4));
}

static const Command commands[] = {
    { "clear-bar", false, begin_clear_bar, after_clear_bar },
    { "set-bar", false, begin_set_bar, NULL },
    { "unmap", true, begin_unmap, after_unmap },
    { "map", true, begin_map, after_map },
};

static void test_command(const void *opaque)
{
    const Command *c = opaque;
    VfuMsg *m;
    EpVm *e;
    Two t;

    two_start(&t, "q35");
    e = c->other ? t.b.e : t.a.e;
    m = two_writes(&t);
    epvm_vector(e, EPC_VECTOR_COMMAND, 0);
    c->begin(e);
    check_waits(&t, e, m);
    g_assert_true(epvm_vector(e, EPC_VECTOR_COMMAND, EPVM_TIMEOUT_MS));
    if (c->after) {
        c->after(&t);
    }
    two_end(&t);
}

typedef struct LinkEnd {
    const char *name;
    bool other;             /* of B's controller */
    uint32_t reg, value;
    bool carried_out;       /* what was not sent to B yet */
} LinkEnd;

static const LinkEnd link_ends[] = {
    /* The host that wrote has acknowledged STOP long before. */
    { "stop", false, EPC_REG_LINK_CMD, EPC_LINK_STOP, true },
    { "reset", false, EPC_REG_RESET, EPC_RESET_MAGIC, false },
    /* A host that comes later gets nothing that was meant for this one. */
    { "stop-other", true, EPC_REG_LINK_CMD, EPC_LINK_STOP, false },
};

static void check_busy(const TwoHost *h)
{
    g_assert_cmpuint(epvm_reg(h->e, EPC_REG_LINK_STATUS), ==, EPC_STATUS_BUSY);
}

static void test_link_end(const void *opaque)
{
    const LinkEnd *end = opaque;
    const TwoHost *h;
    VfuMsg *m;
    Two t;

    two_start(&t, "q35");
    h = end->other ? &t.b : &t.a;
    m = two_writes(&t);
    epvm_set_reg(h->e, end->reg, end->value);
    fakehost_link(h->c, VFU_EP_LINK_DOWN);
    fakehost_fence(h->c);
    check_busy(h);
    two_answer_write(&t.b, m);
    if (end->carried_out) {
        m = two_expect_access(&t.b, VFU_CMD_DMA_WRITE, 4, 4);
        check_busy(h);
        two_answer_write(&t.b, m);
    }
    g_assert_cmpuint(epvm_wait_link_command(h->e), ==, EPC_STATUS_OK);
    epvm_expect_no_command(t.b.e, t.b.c, VFU_CMD_DMA_WRITE);
    two_end(&t);
}

/* One deadline, and then the host that does not answer is gone. */
static void test_silent(void)
{
    gint64 since;
    Two t;

    two_start(&t, "q35");
    vfu_msg_free(two_writes(&t));
    since = g_get_monotonic_time();
    epvm_set_fn_reg(t.a.e, EPC_FN_BAR, 2);
    epvm_begin_command(t.a.e, EPC_CMD_CLEAR_BAR);
    g_assert_cmpuint(epvm_wait_command(t.a.e), ==, EPC_STATUS_OK);
    g_test_message("%d ms", (int)((g_get_monotonic_time() - since) / 1000));
    g_assert_true(fakehost_wait_closed(t.b.c, FAKEHOST_TIMEOUT_MS));
    epvm_wait_link(t.b.e, false);
    epvm_wait_link(t.a.e, true);
    two_end(&t);
}

/* The controller whose command waits is unplugged. */
static void test_unplug(void)
{
    VfuMsg *m;
    Two t;

    two_start(&t, "pc");
    /* the second controller is the one that can be unplugged here */
    two_store(&t.b, TWO_SLOW, 1);
    two_store(&t.b, TWO_SLOW + 4, 2);
    m = two_expect_access(&t.a, VFU_CMD_DMA_WRITE, 0, 4);
    epvm_set_fn_reg(t.b.e, EPC_FN_BAR, 2);
    epvm_begin_command(t.b.e, EPC_CMD_CLEAR_BAR);
    g_assert_cmpuint(epvm_fn_reg(t.b.e, EPC_FN_STATUS), ==, EPC_STATUS_BUSY);
    qpci_unplug_acpi_device_test(t.a.e->q, "epc2", t.b.e->slot);
    two_answer_write(&t.a, m);
    epvm_expect_no_command(t.a.e, t.a.c, VFU_CMD_DMA_WRITE);
    two_end(&t);
}

/* ---- Interrupts ---- */

static int msix_start(TwoHost *h)
{
    unsigned cap = fakehost_find_cap(h->c, PCI_CAP_ID_MSIX);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    g_assert_cmpint(fd, >=, 0);
    fakehost_set_config(h->c, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
    g_assert_cmpint(fakehost_set_irq(h->c, VFU_IRQ_MSIX, MSIX, fd), ==, 0);
    /* a register that is read brings the ioeventfds up to date */
    epvm_reg(h->e, EPC_REG_MAGIC);
    return fd;
}

static void check_msix(const char *machine)
{
    VfuMsg *m;
    int fd;
    Two t;

    two_start(&t, machine);
    fd = msix_start(&t.b);
    m = two_writes(&t);
    epvm_raise(t.b.e, EPC_RAISE_MSIX(MSIX), 0);
    g_assert_cmpuint(fakehost_wait_eventfd(fd, 0), ==, 0);
    two_answer_write(&t.b, m);
    m = two_expect_access(&t.b, VFU_CMD_DMA_WRITE, 4, 4);
    g_assert_cmpuint(fakehost_wait_eventfd(fd, 0), ==, 0);
    /* what comes after the raise does not hold it up, but holds up the next */
    two_store(&t.a, TWO_SLOW + 8, 3);
    epvm_raise(t.b.e, EPC_RAISE_MSIX(MSIX), 0);
    two_answer_write(&t.b, m);
    m = two_expect_access(&t.b, VFU_CMD_DMA_WRITE, 8, 4);
    g_assert_cmpuint(fakehost_wait_eventfd(fd, FAKEHOST_TIMEOUT_MS), ==, 1);
    two_answer_write(&t.b, m);
    g_assert_cmpuint(fakehost_wait_eventfd(fd, FAKEHOST_TIMEOUT_MS), ==, 1);
    /* nothing to wait for */
    epvm_raise(t.b.e, EPC_RAISE_MSIX(MSIX), 0);
    g_assert_cmpuint(fakehost_wait_eventfd(fd, FAKEHOST_TIMEOUT_MS), ==, 1);
    close(fd);
    two_end(&t);
}

static void test_msix(void)
{
    check_msix("q35");
}

static void test_msix_ioeventfd(void)
{
    check_msix("q35 -global pci-epc.x-ioeventfd=on");
}

/* The raise registers are ioeventfds while no BAR shows the window. */
static void test_ioeventfd(void)
{
    int64_t slow;
    int fd;
    Two t;

    two_start(&t, "q35 -global pci-epc.x-ioeventfd=on");
    fd = msix_start(&t.b);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpuint(epvm_clear_bar(t.a.e, 2), ==, EPC_STATUS_OK);
        fence_main_loop(t.a.e->q);
        slow = epvm_prop(t.b.e, "slow-interrupts");
        epvm_raise(t.b.e, EPC_RAISE_MSIX(MSIX), 0);
        g_assert_cmpuint(fakehost_wait_eventfd(fd, FAKEHOST_TIMEOUT_MS), ==,
                         1);
        g_assert_cmpint(epvm_prop(t.b.e, "slow-interrupts"), ==, slow);
        two_lead_to(&t.a, &t.b);
        epvm_raise(t.b.e, EPC_RAISE_MSIX(MSIX), 0);
        g_assert_cmpuint(fakehost_wait_eventfd(fd, FAKEHOST_TIMEOUT_MS), ==,
                         1);
        g_assert_cmpint(epvm_prop(t.b.e, "slow-interrupts"), ==, slow + 1);
    }
    close(fd);
    two_end(&t);
}

static void check_intx(TwoHost *h, unsigned level)
{
    VfuMsg *m = fakehost_command(h->c, VFU_CMD_EP_INTX);

    g_assert_cmpuint(((const VfuEpIntx *)m->payload)->level, ==, level);
    vfu_msg_free(m);
}

/* A pulse does not get lost. */
static void test_intx(void)
{
    VfuMsg *m;
    Two t;

    two_start(&t, "q35");
    two_store(&t.a, TWO_SLOW, 1);
    m = two_expect_access(&t.b, VFU_CMD_DMA_WRITE, 0, 4);
    epvm_raise(t.b.e, EPC_RAISE_INTX, 1);
    epvm_raise(t.b.e, EPC_RAISE_INTX, 0);
    epvm_expect_no_command(t.b.e, t.b.c, VFU_CMD_EP_INTX);
    two_answer_write(&t.b, m);
    check_intx(&t.b, 1);
    check_intx(&t.b, 0);
    two_end(&t);
}

/* An interrupt of a host that left does not reach the next one. */
static void test_raise_reset(void)
{
    VfuMsg *m;
    int fd;
    Two t;

    two_start(&t, "q35");
    fd = msix_start(&t.b);
    m = two_writes(&t);
    epvm_raise(t.b.e, EPC_RAISE_MSIX(MSIX), 0);
    epvm_set_reg(t.b.e, EPC_REG_RESET, EPC_RESET_MAGIC);
    two_answer_write(&t.b, m);
    fakehost_link(t.b.c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(t.b.e), ==, EPC_STATUS_OK);
    g_assert_cmpuint(fakehost_wait_eventfd(fd, 0), ==, 0);
    close(fd);
    two_end(&t);
}

/* ---- Turns ---- */

/* A second function of A's controller, whose BAR 0 shows the same window */
static FakeHost *second_function(Two *t)
{
    FakeHost *c;

    epvm_select(t->a.e, 1);
    epvm_set_header(t->a.e, EPVM_ID, 0);
    g_assert_cmpuint(epvm_set_bar(t->a.e, 2, BAR2_FLAGS, t->b.e->window,
                                  EPVM_BAR2_SIZE), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_link_command(t->a.e, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    epvm_select(t->a.e, 0);
    t->a.c = epvm_join(t->a.e, 0, NULL);
    c = epvm_join(t->a.e, 1, NULL);
    fakehost_link(t->a.c, VFU_EP_LINK_UP);
    fakehost_link(c, VFU_EP_LINK_UP);
    epvm_wait_link(t->a.e, true);
    return c;
}

/*
 * The next message to @h that is for @count bytes. Those of the function that
 * has much in the queue come in between, but not more than two.
 */
static VfuMsg *next_small(TwoHost *h, uint16_t cmd, uint32_t count)
{
    for (unsigned large = 0;; large++) {
        VfuMsg *m = fakehost_command(h->c, 0);

        if (((const VfuDmaRw *)m->payload)->count == count) {
            g_assert_cmphex(m->hdr.command, ==, cmd);
            return m;
        }
        g_assert_cmpuint(large, <, 2);
        two_answer_write(h, m);
    }
}

/*
 * Waits until the endpoint has taken what @h has sent last: command @id, after
 * which it has a write to the configuration space to take. Its guest sees the
 * effect of that.
 */
static void wait_taken(TwoHost *h, uint16_t id, unsigned fn)
{
    struct QEMU_PACKED {
        VfuRegionRw rw;
        uint8_t line;
    } p = {
        { .offset = PCI_INTERRUPT_LINE, .region = VFU_REGION_CONFIG,
          .count = 1 }, 0x5a
    };
    VfuHeader hdr = vfu_msg_command(id + 1, VFU_CMD_REGION_WRITE,
                                    VFU_FLAG_NO_REPLY, sizeof(p));
    uint64_t at = h->e->fn_base + fn * h->e->fn_stride + EPC_FN_CONFIG +
                  PCI_INTERRUPT_LINE;

    g_assert_true(vfu_msg_send(h->c->sock, &hdr, &p, NULL, 0));
    h->c->next_id = id + 2;
    wait_until(epvm_read(h->e, at, 1) == p.line,
               "command %u to be taken", id);
}

/*
 * One function has as much in the queue as is posted, and more. The other one
 * is next in turn all the same, and is not affected by the limit.
 */
static void test_turns(void)
{
    unsigned n = (64u << 20) / LARGE + 8;       /* one lane drops the last */
    TwoHost other;
    uint16_t id;
    VfuMsg *m;
    Two t;

    /* B answers late, since much is sent before. */
    two_start(&t, "q35 -global pci-epc.functions=2"
              " -global pci-epc.deadline-ms=20000");
    epvm_set_reg(t.a.e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    fakehost_link(t.a.c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(t.a.e), ==, EPC_STATUS_OK);
    fakehost_free(t.a.c);
    other = (TwoHost) { .e = t.a.e, .c = second_function(&t) };

    for (unsigned i = 0; i < n; i++) {
        two_begin(&t.a, VFU_CMD_REGION_WRITE, TWO_SLOW, LARGE);
    }
    m = two_expect_access(&t.b, VFU_CMD_DMA_WRITE, 0, TWO_MEM_SIZE);
    two_store(&other, TWO_SLOW, 0xcafe0001);
    id = two_begin(&other, VFU_CMD_REGION_READ, TWO_SLOW, 4);
    wait_taken(&other, id, 1);
    two_answer_write(&t.b, m);
    m = next_small(&t.b, VFU_CMD_DMA_WRITE, 4);
    g_assert_cmphex(two_value_of(m), ==, 0xcafe0001);
    two_answer_write(&t.b, m);
    m = next_small(&t.b, VFU_CMD_DMA_READ, 4);
    two_answer_read(&t.b, m, 0xcafe0002);
    g_assert_cmphex(two_read_value(&other, id, FAKEHOST_TIMEOUT_MS), ==,
                    0xcafe0002);
    fakehost_free(other.c);
    two_end(&t);
}

static void add_case(const char *name, const void *data,
                     void (*test)(const void *))
{
    g_autofree char *path = g_strdup_printf("/pci-epc/forward-order/%s", name);

    qtest_add_data_func(path, data, test);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        add_case(commands[i].name, &commands[i], test_command);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(link_ends); i++) {
        add_case(link_ends[i].name, &link_ends[i], test_link_end);
    }
    qtest_add_func("/pci-epc/forward-order/silent", test_silent);
    qtest_add_func("/pci-epc/forward-order/unplug", test_unplug);
    qtest_add_func("/pci-epc/forward-order/msix", test_msix);
    qtest_add_func("/pci-epc/forward-order/msix-ioeventfd",
                   test_msix_ioeventfd);
    qtest_add_func("/pci-epc/forward-order/ioeventfd", test_ioeventfd);
    qtest_add_func("/pci-epc/forward-order/intx", test_intx);
    qtest_add_func("/pci-epc/forward-order/raise-reset", test_raise_reset);
    qtest_add_func("/pci-epc/forward-order/turns", test_turns);
    return g_test_run();
}
