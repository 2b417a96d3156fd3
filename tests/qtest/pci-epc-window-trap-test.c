/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a fake host: maps of the outbound window that trap, since the
 * host's memory behind them cannot be mapped
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/timer.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/fake-host.h"
#include "pci-ep/wait.h"

#include <sys/mman.h>

#define PAGE        0x1000u
#define MEM_SIZE    0x10000u
#define HOST        0x40000000ull   /* memory that the host shares */
#define REMOTE      0x50000000ull   /* the same memory, not shared */
#define RW          (VFU_DMA_READ | VFU_DMA_WRITE)
#define WIN         EPVM_WINDOW

typedef struct Trap {
    EpVm *e;
    FakeHost *c;
    int fd;
    uint8_t *mem;
    /* Answers DMA messages meanwhile */
    GThread *thread;
    bool stop;
    unsigned delay_ms;
    uint32_t error;
    unsigned reads, writes;
} Trap;

static Trap *trap_start(const char *props)
{
    Trap *s = g_new0(Trap, 1);

    s->e = epvm_start(EPVM_SHARED, props);
    s->c = epvm_attach(s->e);
    s->fd = fakehost_memfd(MEM_SIZE, &s->mem);
    fakehost_set_config(s->c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    g_assert_cmpint(fakehost_dma_map(s->c, REMOTE, MEM_SIZE, -1, 0, RW), ==, 0);
    g_assert_cmpint(fakehost_dma_map(s->c, HOST, MEM_SIZE, s->fd, 0, RW), ==,
                    0);
    return s;
}

static void trap_end(Trap *s)
{
    epvm_detach(s->e, s->c);
    munmap(s->mem, MEM_SIZE);
    close(s->fd);
    g_free(s);
}

static void answer_access(Trap *s, VfuMsg *m)
{
    const VfuDmaRw *rw = (const VfuDmaRw *)m->payload;
    bool write = m->hdr.command == VFU_CMD_DMA_WRITE;
    uint8_t reply[sizeof(*rw) + 8];
    VfuHeader hdr = vfu_msg_reply(&m->hdr, 0,
                                  sizeof(*rw) + (write ? 0 : rw->count));
    uint8_t *at = s->mem + (rw->address - REMOTE);

    g_assert_true(write || m->hdr.command == VFU_CMD_DMA_READ);
    g_assert_cmphex(rw->address - REMOTE, <, MEM_SIZE - 8);
    g_assert_cmpuint(rw->count, <=, 8);
    g_usleep(s->delay_ms * 1000);
    if (s->error) {
        fakehost_answer(s->c, m, s->error);
        return;
    }
    memcpy(reply, rw, sizeof(*rw));
    if (write) {
        memcpy(at, rw + 1, rw->count);
        s->writes++;
    } else {
        memcpy(reply + sizeof(*rw), at, rw->count);
        s->reads++;
    }
    vfu_msg_send(s->c->sock, &hdr, reply, NULL, 0);
}

static void *answer_thread(void *opaque)
{
    Trap *s = opaque;
    bool closed = false;

    while (!qatomic_read(&s->stop) && !closed) {
        VfuMsg *m;

        if (!fakehost_pending(s->c, 10)) {
            continue;
        }
        m = vfu_msg_recv(s->c->sock, VFU_MSG_TIMEOUT_MS, &closed);
        if (m) {
            answer_access(s, m);
            vfu_msg_free(m);
        }
    }
    return NULL;
}

static void answer_start(Trap *s)
{
    s->stop = false;
    s->reads = s->writes = 0;
    s->thread = g_thread_new("host", answer_thread, s);
}

static void answer_stop(Trap *s)
{
    qatomic_set(&s->stop, true);
    g_thread_join(s->thread);
}

static void check_ones(Trap *s, uint64_t w)
{
    g_assert_cmphex(qtest_readq(s->e->q, WIN + w), ==, UINT64_MAX);
    g_assert_cmphex(qtest_readl(s->e->q, WIN + w + PAGE - 4), ==, UINT32_MAX);
}

/* Memory that is mapped: nothing answers messages. */
static void check_mapped(Trap *s, uint64_t w, uint32_t m)
{
    static uint32_t salt;
    uint32_t v = 0x80000000u + ++salt;

    stl_le_p(s->mem + m, v);
    g_assert_cmphex(qtest_readl(s->e->q, WIN + w), ==, v);
    qtest_writel(s->e->q, WIN + w, ~v);
    g_assert_cmphex(ldl_le_p(s->mem + m), ==, ~v);
    epvm_expect_no_command(s->e, s->c, VFU_CMD_DMA_READ);
    epvm_expect_no_command(s->e, s->c, VFU_CMD_DMA_WRITE);
}

/* By message: one for each access */
static void check_trapped(Trap *s, uint64_t w, uint32_t m)
{
    static uint32_t salt;
    uint32_t v = 0x90000000u + ++salt;

    stl_le_p(s->mem + m, v);
    answer_start(s);
    g_assert_cmphex(qtest_readl(s->e->q, WIN + w), ==, v);
    qtest_writel(s->e->q, WIN + w, ~v);
    answer_stop(s);
    g_assert_cmphex(ldl_le_p(s->mem + m), ==, ~v);
    g_assert_cmpuint(s->reads, ==, 1);
    g_assert_cmpuint(s->writes, ==, 1);
}

/* ---- Accesses ---- */

static void test_widths(void)
{
    Trap *s = trap_start("");
    QTestState *q = s->e->q;
    uint64_t at = WIN + PAGE + 0x10;
    uint8_t *m = s->mem + 0x2010;

    g_assert_cmpuint(epvm_map(s->e, PAGE, REMOTE + 0x2000, PAGE), ==,
                     EPC_STATUS_OK);
    stq_le_p(m, 0x1122334455667788ull);
    answer_start(s);
    g_assert_cmphex(qtest_readb(q, at + 1), ==, 0x77);
    g_assert_cmphex(qtest_readw(q, at + 2), ==, 0x5566);
    g_assert_cmphex(qtest_readl(q, at + 4), ==, 0x11223344);
    g_assert_cmphex(qtest_readq(q, at), ==, 0x1122334455667788ull);
    qtest_writeb(q, at, 0xaa);
    qtest_writew(q, at + 2, 0xbbbb);
    qtest_writel(q, at + 4, 0xcccccccc);
    answer_stop(s);
    g_assert_cmphex(ldq_le_p(m), ==, 0xccccccccbbbb77aaull);
    g_assert_cmpuint(s->reads, ==, 4);
    g_assert_cmpuint(s->writes, ==, 3);
    check_ones(s, 0);
    check_ones(s, 2 * PAGE);
    trap_end(s);
}

/* The page of the map that is in a file needs no message. */
static void test_mixed(void)
{
    Trap *s = trap_start("");

    g_assert_cmpint(fakehost_dma_map(s->c, HOST - PAGE, PAGE, -1, 0, RW), ==,
                    0);
    g_assert_cmpuint(epvm_map(s->e, 0, HOST - PAGE, 3 * PAGE), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_prop(s->e, "slow-maps"), ==, 1);
    check_mapped(s, PAGE, 0);
    check_mapped(s, 2 * PAGE, PAGE);
    trap_end(s);
}

static void test_read_only(void)
{
    Trap *s = trap_start("");

    g_assert_cmpint(fakehost_dma_map(s->c, 0x1000, PAGE, s->fd, 0,
                                     VFU_DMA_READ),
                    ==, 0);
    g_assert_cmpuint(epvm_map(s->e, 0, 0x1000, PAGE), ==, EPC_STATUS_OK);
    stl_le_p(s->mem, 0x31323334);
    g_assert_cmphex(qtest_readl(s->e->q, WIN), ==, 0x31323334);
    qtest_writel(s->e->q, WIN, 0);
    g_assert_cmphex(ldl_le_p(s->mem), ==, 0x31323334);
    /* and is not a copy of what was there once */
    stl_le_p(s->mem, 0x41424344);
    g_assert_cmphex(qtest_readl(s->e->q, WIN), ==, 0x41424344);
    trap_end(s);
}

static void test_refused(void)
{
    Trap *s = trap_start("");

    g_assert_cmpuint(epvm_map(s->e, 0, REMOTE, PAGE), ==, EPC_STATUS_OK);
    memset(s->mem, 0x11, PAGE);
    s->error = EFAULT;
    answer_start(s);
    check_ones(s, 0);
    qtest_writel(s->e->q, WIN, 0);
    answer_stop(s);

    /* without a message: bus mastering is off */
    s->error = 0;
    fakehost_set_config(s->c, PCI_COMMAND, 2, 0);
    check_ones(s, 0);
    fakehost_set_config(s->c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    check_trapped(s, 4, 4);
    trap_end(s);
}

/* ---- Maps ---- */

static void test_command(void)
{
    Trap *s = trap_start("");
    EpVm *e = s->e;

    epvm_vector(e, EPC_VECTOR_COMMAND, 0);
    epvm_set_fn_reg64(e, EPC_FN_OFFSET, 0);
    epvm_set_fn_reg64(e, EPC_FN_ADDR, REMOTE);
    epvm_set_fn_reg64(e, EPC_FN_SIZE, 2 * PAGE);
    epvm_begin_command(e, EPC_CMD_MAP);
    g_assert_true(epvm_vector(e, EPC_VECTOR_COMMAND, EPVM_TIMEOUT_MS));
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_STATUS), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_prop(e, "live-maps"), ==, 1);
    g_assert_cmpuint(epvm_prop(e, "slow-maps"), ==, 1);
    check_trapped(s, PAGE, PAGE);

    /* replaced: elsewhere, then by a fast one, and back */
    g_assert_cmpuint(epvm_map(e, 0, REMOTE + 0x8000, PAGE), ==, EPC_STATUS_OK);
    check_trapped(s, 0, 0x8000);
    check_ones(s, PAGE);
    g_assert_cmpuint(epvm_map(e, 0, HOST, PAGE), ==, EPC_STATUS_OK);
    check_mapped(s, 0, 0);
    g_assert_cmpuint(epvm_prop(e, "slow-maps"), ==, 0);
    g_assert_cmpuint(epvm_map(e, 0, REMOTE, PAGE), ==, EPC_STATUS_OK);
    check_trapped(s, 0, 0);

    g_assert_cmpuint(epvm_unmap(e, 0), ==, EPC_STATUS_OK);
    check_ones(s, 0);
    g_assert_cmpuint(epvm_prop(e, "live-maps"), ==, 0);
    trap_end(s);
}

static void test_limit(void)
{
    Trap *s = trap_start("");
    unsigned n = EPC_MAX_TRAPPED_MAPS;

    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpuint(epvm_map(s->e, i * 2 * PAGE, REMOTE + i % 8 * PAGE,
                                  PAGE), ==, EPC_STATUS_OK);
    }
    g_assert_cmpuint(epvm_map(s->e, n * 2 * PAGE, REMOTE, PAGE), ==,
                     EPC_STATUS_NO_SPACE);
    check_ones(s, n * 2 * PAGE);
    g_assert_cmpuint(epvm_map(s->e, n * 2 * PAGE, HOST, PAGE), ==,
                     EPC_STATUS_OK);
    check_mapped(s, n * 2 * PAGE, 0);
    check_trapped(s, 3 * 2 * PAGE, 3 * PAGE);
    check_trapped(s, (n - 1) * 2 * PAGE, (n - 1) % 8 * PAGE);
    g_assert_cmpuint(epvm_unmap(s->e, 6 * PAGE), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_map(s->e, PAGE, REMOTE, PAGE), ==, EPC_STATUS_OK);
    check_trapped(s, PAGE, 0);
    check_ones(s, 6 * PAGE);

    /* the host turns one more into one that traps */
    g_assert_cmpint(fakehost_dma_unmap(s->c, HOST, MEM_SIZE), ==, 0);
    g_assert_cmpint(fakehost_dma_map(s->c, HOST, MEM_SIZE, -1, 0, RW), ==, 0);
    check_ones(s, n * 2 * PAGE);
    g_assert_cmpuint(epvm_prop(s->e, "slow-maps"), ==, n);
    trap_end(s);
}

/* What the host changes turns a map of memory into one that traps, and back. */
static void test_change(void)
{
    Trap *s = trap_start("");

    g_assert_cmpuint(epvm_map(s->e, 0, HOST, 2 * PAGE), ==, EPC_STATUS_OK);
    for (unsigned i = 0; i < 3; i++) {
        check_mapped(s, 0, 0);
        g_assert_cmpint(fakehost_dma_unmap(s->c, HOST, MEM_SIZE), ==, 0);
        check_ones(s, 0);
        g_assert_cmpint(fakehost_dma_map(s->c, HOST, PAGE, s->fd, 0, RW), ==,
                        0);
        check_ones(s, 0);
        g_assert_cmpint(fakehost_dma_map(s->c, HOST + PAGE, PAGE, s->fd, PAGE,
                                         VFU_DMA_READ), ==, 0);
        g_assert_cmpuint(epvm_prop(s->e, "slow-maps"), ==, 1);
        /* the main loop shows it soon */
        stl_le_p(s->mem + PAGE, 0x1234 + i);
        wait_until(qtest_readl(s->e->q, WIN + PAGE) != UINT32_MAX,
                   "the second page of the window to show memory");
        g_assert_cmphex(qtest_readl(s->e->q, WIN + PAGE), ==, 0x1234 + i);
        check_mapped(s, 0, 0);
        g_assert_cmpint(fakehost_dma_unmap(s->c, HOST, MEM_SIZE), ==, 0);
        check_ones(s, 0);
        g_assert_cmpint(fakehost_dma_map(s->c, HOST, MEM_SIZE, s->fd, 0, RW),
                        ==, 0);
        g_assert_cmpuint(epvm_prop(s->e, "slow-maps"), ==, 0);
    }
    trap_end(s);
}

/* A plain vfio-user client takes the message for something else. */
static void test_plain(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c;

    epvm_describe(e);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    c = fakehost_attach(e->socket, "{}");
    epvm_wait_link(e, true);
    fakehost_set_config(c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    g_assert_cmpint(fakehost_dma_map(c, REMOTE, PAGE, -1, 0, RW), ==, 0);
    g_assert_cmpuint(epvm_map(e, 0, REMOTE, PAGE), ==, EPC_STATUS_NOT_SHARED);
    epvm_detach(e, c);
}

/* ---- Ends ---- */

static void test_link(void)
{
    Trap *s = trap_start("");

    g_assert_cmpuint(epvm_map(s->e, 0, REMOTE, PAGE), ==, EPC_STATUS_OK);
    epvm_set_reg(s->e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    check_ones(s, 0);
    fakehost_link(s->c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(s->e), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_prop(s->e, "slow-maps"), ==, 0);

    g_assert_cmpuint(epvm_link_command(s->e, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    fakehost_link(s->c, VFU_EP_LINK_UP);
    epvm_wait_link(s->e, true);
    fakehost_set_config(s->c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    g_assert_cmpint(fakehost_dma_map(s->c, REMOTE, MEM_SIZE, -1, 0, RW), ==, 0);
    g_assert_cmpuint(epvm_prop(s->e, "slow-maps"), ==, 1);
    /* also the register, until the main loop has shown the part */
    g_assert_cmphex(epvm_reg(s->e, EPC_REG_MAGIC), ==, EPC_MAGIC);
    check_trapped(s, 0, 0);
    epvm_set_reg(s->e, EPC_REG_RESET, EPC_RESET_MAGIC);
    check_ones(s, 0);
    g_assert_cmpuint(epvm_prop(s->e, "slow-maps"), ==, 0);
    trap_end(s);
}

/* One deadline, once */
static void test_silent(void)
{
    Trap *s = trap_start(",deadline-ms=300");
    gint64 begin, took;

    g_assert_cmpuint(epvm_map(s->e, 0, REMOTE, PAGE), ==, EPC_STATUS_OK);
    begin = g_get_monotonic_time();
    for (unsigned i = 0; i < 10; i++) {
        g_assert_cmphex(qtest_readl(s->e->q, WIN), ==, UINT32_MAX);
        qtest_writel(s->e->q, WIN + 8, 0);
    }
    took = g_get_monotonic_time() - begin;
    g_assert_cmpint(took, >=, 300 * 1000);
    epvm_wait_link(s->e, false);
    g_test_message("%d ms", (int)(took / 1000));
    g_assert_cmpint(took, <, 10 * 300 * 1000);
    g_assert_true(fakehost_wait_closed(s->c, FAKEHOST_TIMEOUT_MS));
    trap_end(s);
}

/* Just in time, every time, is too late as well. */
static void test_sluggish(void)
{
    Trap *s = trap_start(",deadline-ms=400");
    unsigned n = 0;

    g_assert_cmpuint(epvm_map(s->e, 0, REMOTE, PAGE), ==, EPC_STATUS_OK);
    memset(s->mem, 0x11, PAGE);
    s->delay_ms = 150;
    answer_start(s);
    while (qtest_readl(s->e->q, WIN) == 0x11111111) {
        g_assert_cmpuint(++n, <, 5);
    }
    answer_stop(s);
    epvm_wait_link(s->e, false);
    trap_end(s);
}

/* ---- DMA of another device ---- */

#define EDU_ADDRESS     0x80004000u     /* 00:08.0 */
#define EDU_BAR         0xd0000000ull
#define EDU_BUFFER      0x40000u        /* in the device */
#define EDU_DMA_SRC     0x80
#define EDU_DMA_DST     0x88
#define EDU_DMA_COUNT   0x90
#define EDU_DMA_CMD     0x98
#define EDU_DMA_RUN     1u
#define EDU_DMA_TO_RAM  2u
#define EDU_SIZE        2048u

static void edu_set_config(Trap *s, unsigned offset, uint32_t v)
{
    qtest_outl(s->e->q, 0xcf8, EDU_ADDRESS + offset);
    qtest_outl(s->e->q, 0xcfc, v);
}

/* Copies between the device and the first trapped page of the window. */
static void edu_copy(Trap *s, uint32_t count, bool to_ram)
{
    uint64_t from = to_ram ? EDU_BUFFER : WIN, to = to_ram ? WIN : EDU_BUFFER;

    qtest_writeq(s->e->q, EDU_BAR + EDU_DMA_SRC, from);
    qtest_writeq(s->e->q, EDU_BAR + EDU_DMA_DST, to);
    qtest_writeq(s->e->q, EDU_BAR + EDU_DMA_COUNT, count);
    qtest_writeq(s->e->q, EDU_BAR + EDU_DMA_CMD,
                 EDU_DMA_RUN | (to_ram ? EDU_DMA_TO_RAM : 0));
    /* The device copies in a timer, in the main loop. */
    qtest_clock_step(s->e->q, 200 * SCALE_MS);
}

/* Copies 8 bytes to the device and back. Returns whether they arrived. */
static bool edu_copy_there_and_back(Trap *s)
{
    memset(s->mem, 0x5a, 8);
    edu_copy(s, 8, false);
    stq_le_p(s->mem, 0);
    edu_copy(s, 8, true);
    return ldq_le_p(s->mem) == 0x5a5a5a5a5a5a5a5aull;
}

/*
 * A host that answers in time, and slowly, holds up the device of another one.
 * It does not hold up the guest for much longer than 100 ms.
 */
static void test_device(void)
{
    Trap *s = trap_start(",x-qtest-device=on"
                         " -device edu,addr=8,dma_mask=0xffffffffff");
    gint64 since, took;

    edu_set_config(s, PCI_BASE_ADDRESS_0, EDU_BAR);
    edu_set_config(s, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    g_assert_cmpuint(epvm_map(s->e, 0, REMOTE, PAGE), ==, EPC_STATUS_OK);
    s->delay_ms = 40;
    answer_start(s);
    for (unsigned to_ram = 0; to_ram < 2; to_ram++) {
        since = g_get_monotonic_time();
        edu_copy(s, EDU_SIZE, to_ram);
        took = (g_get_monotonic_time() - since) / 1000;
        g_test_message("%d ms", (int)took);
        g_assert_cmpint(took, <, EDU_SIZE / 8 * 40 / 5);
        g_assert_true(epvm_prop(s->e, "link-up"));
    }
    answer_stop(s);

    /* When it has let the guest alone for as long it may wait again. */
    s->delay_ms = 0;
    answer_start(s);
    wait_until(edu_copy_there_and_back(s), "the device to wait again");
    answer_stop(s);
    g_assert_true(epvm_prop(s->e, "link-up"));
    trap_end(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/window-trap/widths", test_widths);
    qtest_add_func("/pci-epc/window-trap/mixed", test_mixed);
    qtest_add_func("/pci-epc/window-trap/read-only", test_read_only);
    qtest_add_func("/pci-epc/window-trap/refused", test_refused);
    qtest_add_func("/pci-epc/window-trap/command", test_command);
    qtest_add_func("/pci-epc/window-trap/limit", test_limit);
    qtest_add_func("/pci-epc/window-trap/change", test_change);
    qtest_add_func("/pci-epc/window-trap/plain", test_plain);
    qtest_add_func("/pci-epc/window-trap/link", test_link);
    qtest_add_func("/pci-epc/window-trap/silent", test_silent);
    qtest_add_func("/pci-epc/window-trap/sluggish", test_sluggish);
    qtest_add_func("/pci-epc/window-trap/device", test_device);
    return g_test_run();
}
