/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a scripted host: parts of the outbound window that trap,
 * since the host's memory behind them cannot be mapped
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep-endpoint.h"
#include "pci-ep-peer.h"

#include <sys/mman.h>

#define PAGE        0x1000u
#define MEM_SIZE    0x10000u
#define HOST        0x40000000ull   /* memory that the host shares */
#define REMOTE      0x50000000ull   /* the same memory, not shared */
#define RW          (VFU_DMA_READ | VFU_DMA_WRITE)
#define WIN         EPE_WINDOW

typedef struct Slow {
    EpEndpoint *e;
    PepClient *c;
    int fd;
    uint8_t *mem;
    /* Answers DMA messages meanwhile */
    GThread *thread;
    bool stop;
    unsigned delay_ms;
    uint32_t error;
    unsigned reads, writes;
} Slow;

static Slow *slow_start(const char *props)
{
    Slow *s = g_new0(Slow, 1);

    s->e = epe_start(EPE_SHARED, props);
    s->c = epe_attach(s->e);
    s->fd = pep_memfd(MEM_SIZE, &s->mem);
    pep_set_config(s->c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    g_assert_cmpint(pep_dma_map(s->c, REMOTE, MEM_SIZE, -1, 0, RW), ==, 0);
    g_assert_cmpint(pep_dma_map(s->c, HOST, MEM_SIZE, s->fd, 0, RW), ==, 0);
    return s;
}

static void slow_end(Slow *s)
{
    epe_detach(s->e, s->c);
    munmap(s->mem, MEM_SIZE);
    close(s->fd);
    g_free(s);
}

static void answer(Slow *s, PepMsg *m)
{
    const VfuDmaRw *rw = (const VfuDmaRw *)m->payload;
    bool write = m->hdr.command == VFU_CMD_DMA_WRITE;
    uint8_t reply[sizeof(*rw) + 8];
    VfuHeader hdr = {
        .id = m->hdr.id, .command = m->hdr.command,
        .size = sizeof(hdr) + sizeof(*rw), .flags = VFU_FLAG_REPLY,
    };
    uint8_t *at = s->mem + (rw->address - REMOTE);

    g_assert_true(write || m->hdr.command == VFU_CMD_DMA_READ);
    g_assert_cmphex(rw->address - REMOTE, <, MEM_SIZE - 8);
    g_assert_cmpuint(rw->count, <=, 8);
    g_usleep(s->delay_ms * 1000);
    if (s->error) {
        pep_answer(s->c, m, s->error);
        return;
    }
    memcpy(reply, rw, sizeof(*rw));
    if (write) {
        memcpy(at, rw + 1, rw->count);
        s->writes++;
    } else {
        memcpy(reply + sizeof(*rw), at, rw->count);
        hdr.size += rw->count;
        s->reads++;
    }
    pep_send(s->c->sock, &hdr, reply, NULL, 0);
}

static void *answer_thread(void *opaque)
{
    Slow *s = opaque;
    bool closed = false;

    while (!qatomic_read(&s->stop) && !closed) {
        PepMsg *m = pep_recv(s->c->sock, 10, &closed);

        if (m) {
            answer(s, m);
            pep_msg_free(m);
        }
    }
    return NULL;
}

static void answer_start(Slow *s)
{
    s->stop = false;
    s->reads = s->writes = 0;
    s->thread = g_thread_new("host", answer_thread, s);
}

static void answer_stop(Slow *s)
{
    qatomic_set(&s->stop, true);
    g_thread_join(s->thread);
}

static void check_ones(Slow *s, uint64_t w)
{
    g_assert_cmphex(qtest_readq(s->e->q, WIN + w), ==, UINT64_MAX);
    g_assert_cmphex(qtest_readl(s->e->q, WIN + w + PAGE - 4), ==, UINT32_MAX);
}

/* Memory that is mapped: nothing answers messages. */
static void check_fast(Slow *s, uint64_t w, uint32_t m)
{
    static uint32_t salt;
    uint32_t v = 0x80000000u + ++salt;

    stl_le_p(s->mem + m, v);
    g_assert_cmphex(qtest_readl(s->e->q, WIN + w), ==, v);
    qtest_writel(s->e->q, WIN + w, ~v);
    g_assert_cmphex(ldl_le_p(s->mem + m), ==, ~v);
    g_assert_true(pep_quiet(s->c, VFU_CMD_DMA_READ, 0));
}

/* By message: one for each access */
static void check_slow(Slow *s, uint64_t w, uint32_t m)
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
    Slow *s = slow_start("");
    QTestState *q = s->e->q;
    uint64_t at = WIN + PAGE + 0x10;
    uint8_t *m = s->mem + 0x2010;

    g_assert_cmpuint(epe_map(s->e, PAGE, REMOTE + 0x2000, PAGE), ==,
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
    slow_end(s);
}

/* The page of the map that is in a file needs no message. */
static void test_mixed(void)
{
    Slow *s = slow_start("");

    g_assert_cmpint(pep_dma_map(s->c, HOST - PAGE, PAGE, -1, 0, RW), ==, 0);
    g_assert_cmpuint(epe_map(s->e, 0, HOST - PAGE, 3 * PAGE), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epe_prop(s->e, "slow-maps"), ==, 1);
    check_fast(s, PAGE, 0);
    check_fast(s, 2 * PAGE, PAGE);
    slow_end(s);
}

static void test_read_only(void)
{
    Slow *s = slow_start("");

    g_assert_cmpint(pep_dma_map(s->c, 0x1000, PAGE, s->fd, 0, VFU_DMA_READ),
                    ==, 0);
    g_assert_cmpuint(epe_map(s->e, 0, 0x1000, PAGE), ==, EPC_STATUS_OK);
    stl_le_p(s->mem, 0x31323334);
    g_assert_cmphex(qtest_readl(s->e->q, WIN), ==, 0x31323334);
    qtest_writel(s->e->q, WIN, 0);
    g_assert_cmphex(ldl_le_p(s->mem), ==, 0x31323334);
    /* and is not a copy of what was there once */
    stl_le_p(s->mem, 0x41424344);
    g_assert_cmphex(qtest_readl(s->e->q, WIN), ==, 0x41424344);
    slow_end(s);
}

static void test_refused(void)
{
    Slow *s = slow_start("");

    g_assert_cmpuint(epe_map(s->e, 0, REMOTE, PAGE), ==, EPC_STATUS_OK);
    memset(s->mem, 0x11, PAGE);
    s->error = EFAULT;
    answer_start(s);
    check_ones(s, 0);
    qtest_writel(s->e->q, WIN, 0);
    answer_stop(s);

    /* without a message: bus mastering is off */
    s->error = 0;
    pep_set_config(s->c, PCI_COMMAND, 2, 0);
    check_ones(s, 0);
    pep_set_config(s->c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    check_slow(s, 4, 4);
    slow_end(s);
}

/* ---- Maps ---- */

static void test_command(void)
{
    Slow *s = slow_start("");
    EpEndpoint *e = s->e;

    epe_vector(e, EPC_VECTOR_COMMAND, 0);
    epe_fn_set64(e, EPC_FN_OFFSET, 0);
    epe_fn_set64(e, EPC_FN_ADDR, REMOTE);
    epe_fn_set64(e, EPC_FN_SIZE, 2 * PAGE);
    epe_begin(e, EPC_CMD_MAP);
    g_assert_true(epe_vector(e, EPC_VECTOR_COMMAND, EPE_TIMEOUT_MS));
    g_assert_cmpuint(epe_fn(e, EPC_FN_STATUS), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_prop(e, "live-maps"), ==, 1);
    g_assert_cmpuint(epe_prop(e, "slow-maps"), ==, 1);
    check_slow(s, PAGE, PAGE);

    /* replaced: elsewhere, then by a fast one, and back */
    g_assert_cmpuint(epe_map(e, 0, REMOTE + 0x8000, PAGE), ==, EPC_STATUS_OK);
    check_slow(s, 0, 0x8000);
    check_ones(s, PAGE);
    g_assert_cmpuint(epe_map(e, 0, HOST, PAGE), ==, EPC_STATUS_OK);
    check_fast(s, 0, 0);
    g_assert_cmpuint(epe_prop(e, "slow-maps"), ==, 0);
    g_assert_cmpuint(epe_map(e, 0, REMOTE, PAGE), ==, EPC_STATUS_OK);
    check_slow(s, 0, 0);

    g_assert_cmpuint(epe_unmap(e, 0), ==, EPC_STATUS_OK);
    check_ones(s, 0);
    g_assert_cmpuint(epe_prop(e, "live-maps"), ==, 0);
    slow_end(s);
}

static void test_limit(void)
{
    Slow *s = slow_start("");
    unsigned n = EPC_MAX_SLOW_MAPS;

    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpuint(epe_map(s->e, i * 2 * PAGE, REMOTE + i % 8 * PAGE,
                                 PAGE), ==, EPC_STATUS_OK);
    }
    g_assert_cmpuint(epe_map(s->e, n * 2 * PAGE, REMOTE, PAGE), ==,
                     EPC_STATUS_NO_SPACE);
    check_ones(s, n * 2 * PAGE);
    g_assert_cmpuint(epe_map(s->e, n * 2 * PAGE, HOST, PAGE), ==,
                     EPC_STATUS_OK);
    check_fast(s, n * 2 * PAGE, 0);
    check_slow(s, 3 * 2 * PAGE, 3 * PAGE);
    check_slow(s, (n - 1) * 2 * PAGE, (n - 1) % 8 * PAGE);
    g_assert_cmpuint(epe_unmap(s->e, 6 * PAGE), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_map(s->e, PAGE, REMOTE, PAGE), ==, EPC_STATUS_OK);
    check_slow(s, PAGE, 0);
    check_ones(s, 6 * PAGE);

    /* the host turns one more into one that traps */
    g_assert_cmpint(pep_dma_unmap(s->c, HOST, MEM_SIZE), ==, 0);
    g_assert_cmpint(pep_dma_map(s->c, HOST, MEM_SIZE, -1, 0, RW), ==, 0);
    check_ones(s, n * 2 * PAGE);
    g_assert_cmpuint(epe_prop(s->e, "slow-maps"), ==, n);
    slow_end(s);
}

/* What the host changes turns a fast map into a slow one, and back. */
static void test_change(void)
{
    Slow *s = slow_start("");

    g_assert_cmpuint(epe_map(s->e, 0, HOST, 2 * PAGE), ==, EPC_STATUS_OK);
    for (unsigned i = 0; i < 3; i++) {
        check_fast(s, 0, 0);
        g_assert_cmpint(pep_dma_unmap(s->c, HOST, MEM_SIZE), ==, 0);
        check_ones(s, 0);
        g_assert_cmpint(pep_dma_map(s->c, HOST, PAGE, s->fd, 0, RW), ==, 0);
        check_ones(s, 0);
        g_assert_cmpint(pep_dma_map(s->c, HOST + PAGE, PAGE, s->fd, PAGE,
                                    VFU_DMA_READ), ==, 0);
        g_assert_cmpuint(epe_prop(s->e, "slow-maps"), ==, 1);
        /* the main loop shows it soon */
        stl_le_p(s->mem + PAGE, 0x1234 + i);
        while (qtest_readl(s->e->q, WIN + PAGE) == UINT32_MAX) {
            g_usleep(1000);
        }
        g_assert_cmphex(qtest_readl(s->e->q, WIN + PAGE), ==, 0x1234 + i);
        check_fast(s, 0, 0);
        g_assert_cmpint(pep_dma_unmap(s->c, HOST, MEM_SIZE), ==, 0);
        check_ones(s, 0);
        g_assert_cmpint(pep_dma_map(s->c, HOST, MEM_SIZE, s->fd, 0, RW), ==,
                        0);
        g_assert_cmpuint(epe_prop(s->e, "slow-maps"), ==, 0);
    }
    slow_end(s);
}

/* A plain vfio-user client takes the message for something else. */
static void test_plain(void)
{
    EpEndpoint *e = epe_start(EPE_SHARED, "");
    PepClient *c;

    epe_describe(e);
    g_assert_cmpuint(epe_link(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    c = pep_attach(e->socket, "{}");
    epe_wait_link(e, true);
    pep_set_config(c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    g_assert_cmpint(pep_dma_map(c, REMOTE, PAGE, -1, 0, RW), ==, 0);
    g_assert_cmpuint(epe_map(e, 0, REMOTE, PAGE), ==, EPC_STATUS_NOT_SHARED);
    epe_detach(e, c);
}

/* ---- Ends ---- */

static void test_link(void)
{
    Slow *s = slow_start("");

    g_assert_cmpuint(epe_map(s->e, 0, REMOTE, PAGE), ==, EPC_STATUS_OK);
    epe_set(s->e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    check_ones(s, 0);
    pep_link(s->c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epe_wait_link_cmd(s->e), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_prop(s->e, "slow-maps"), ==, 0);

    g_assert_cmpuint(epe_link(s->e, EPC_LINK_START), ==, EPC_STATUS_OK);
    pep_link(s->c, VFU_EP_LINK_UP);
    epe_wait_link(s->e, true);
    pep_set_config(s->c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    g_assert_cmpint(pep_dma_map(s->c, REMOTE, MEM_SIZE, -1, 0, RW), ==, 0);
    g_assert_cmpuint(epe_prop(s->e, "slow-maps"), ==, 1);
    /* also the register, until the main loop has shown the part */
    g_assert_cmphex(epe_reg(s->e, EPC_REG_MAGIC), ==, EPC_MAGIC);
    check_slow(s, 0, 0);
    epe_set(s->e, EPC_REG_RESET, EPC_RESET_MAGIC);
    check_ones(s, 0);
    g_assert_cmpuint(epe_prop(s->e, "slow-maps"), ==, 0);
    slow_end(s);
}

/* One deadline, once */
static void test_silent(void)
{
    Slow *s = slow_start(",deadline-ms=300");
    gint64 begin, took;

    g_assert_cmpuint(epe_map(s->e, 0, REMOTE, PAGE), ==, EPC_STATUS_OK);
    begin = g_get_monotonic_time();
    for (unsigned i = 0; i < 10; i++) {
        g_assert_cmphex(qtest_readl(s->e->q, WIN), ==, UINT32_MAX);
        qtest_writel(s->e->q, WIN + 8, 0);
    }
    took = g_get_monotonic_time() - begin;
    g_assert_cmpint(took, >=, 300 * 1000);
    epe_wait_link(s->e, false);
    g_test_message("%d ms", (int)(took / 1000));
    g_assert_cmpint(took, <, 10 * 300 * 1000);
    g_assert_true(pep_wait_closed(s->c, PEP_TIMEOUT_MS));
    slow_end(s);
}

/* Just in time, every time, is too late as well. */
static void test_sluggish(void)
{
    Slow *s = slow_start(",deadline-ms=400");
    unsigned n = 0;

    g_assert_cmpuint(epe_map(s->e, 0, REMOTE, PAGE), ==, EPC_STATUS_OK);
    memset(s->mem, 0x11, PAGE);
    s->delay_ms = 150;
    answer_start(s);
    while (qtest_readl(s->e->q, WIN) == 0x11111111) {
        g_assert_cmpuint(++n, <, 5);
    }
    answer_stop(s);
    epe_wait_link(s->e, false);
    slow_end(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/slow/widths", test_widths);
    qtest_add_func("/pci-epc/slow/mixed", test_mixed);
    qtest_add_func("/pci-epc/slow/read-only", test_read_only);
    qtest_add_func("/pci-epc/slow/refused", test_refused);
    qtest_add_func("/pci-epc/slow/command", test_command);
    qtest_add_func("/pci-epc/slow/limit", test_limit);
    qtest_add_func("/pci-epc/slow/change", test_change);
    qtest_add_func("/pci-epc/slow/plain", test_plain);
    qtest_add_func("/pci-epc/slow/link", test_link);
    qtest_add_func("/pci-epc/slow/silent", test_silent);
    qtest_add_func("/pci-epc/slow/sluggish", test_sluggish);
    return g_test_run();
}
