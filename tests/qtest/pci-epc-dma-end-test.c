/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a fake host: DMA that is ended in the middle, and host
 * memory that is not shared
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/memfd.h"
#include "qapi/error.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/dma.h"
#include "pci-ep/wait.h"

#define ELSEWHERE   (BUFFER + 2 * MEM_SIZE)     /* not reached by the flood */

/* ---- Ends in the middle ---- */

/* Lets the copy begin. How far it comes does not matter. */
static void wait_progress(EpDma *d)
{
    g_usleep(20000);
    g_assert_cmpuint(epdma_desc_status(d, 0, d->next[0] - 1), ==,
                     EPC_DMA_PENDING);
}

static void test_abort(void)
{
    EpDma d = epdma_start("");
    uint32_t i, k;

    epdma_map_long(&d);
    for (unsigned n = 0; n < 3; n++) {
        i = epdma_start_long(&d, 0, EPC_DMA_CHAIN);
        k = epdma_add_desc(&d, 0, BUFFER, BUFFER, 4, 0);
        epdma_submit(&d, 0);
        wait_progress(&d);
        epdma_set_reg(&d, 0, EPC_DMA_CTRL,
                      EPC_DMA_CTRL_ENABLE | EPC_DMA_CTRL_ABORT);
        g_assert_cmpuint(epdma_wait_desc(&d, 0, k), ==, EPC_DMA_ABORTED);
        g_assert_cmpuint(epdma_desc_status(&d, 0, i), ==, EPC_DMA_ABORTED);
        g_assert_cmpuint(epdma_desc_done(&d, 0, i), <, UINT32_MAX);
        g_assert_cmpuint(epdma_desc_done(&d, 0, k), ==, 0);
        g_assert_cmpuint(epdma_copy(&d, BUFFER, BUFFER, 4, 0), ==, EPC_DMA_OK);
    }
    /* nothing to abort */
    epdma_set_reg(&d, 0, EPC_DMA_CTRL,
                  EPC_DMA_CTRL_ENABLE | EPC_DMA_CTRL_ABORT);
    g_assert_cmpuint(epdma_copy(&d, BUFFER, BUFFER, 4, 0), ==, EPC_DMA_OK);
    epdma_end(&d);
}

/* A copy to the endpoint that goes on for long, always of the same bytes */
static void start_flood(EpDma *d)
{
    memset(d->mem, 0x5a, MEM_SIZE);
    for (unsigned i = 0; i < 1000; i++) {
        epdma_add_desc(d, 0, HOST, BUFFER, MEM_SIZE, FROM_HOST);
    }
    epdma_submit(d, 0);
    epdma_wait_desc(d, 0, 0);
}

/* The processor may leave the worker alone in the middle of a burst. */
static void wait_idle(EpDma *d)
{
    wait_until(!epdma_reg(d, 0, EPC_DMA_STATE), "the channel has state 0x%x",
               epdma_reg(d, 0, EPC_DMA_STATE));
}

static void check_flood_over(EpDma *d)
{
    uint32_t i;

    qtest_memset(d->e->q, BUFFER, 0xc3, MEM_SIZE);
    /*
     * The worker does one piece of each channel in turn. A copy of several
     * pieces on another channel ends after the flood would have gone on.
     */
    epdma_enable(d, 1, RING(1), 16);
    i = epdma_add_desc(d, 1, ELSEWHERE, ELSEWHERE + MEM_SIZE, MEM_SIZE, 0);
    epdma_submit(d, 1);
    g_assert_cmpuint(epdma_wait_desc(d, 1, i), ==, EPC_DMA_OK);
    for (unsigned at = 0; at < MEM_SIZE; at += MEM_SIZE / 64) {
        g_assert_cmphex(qtest_readb(d->e->q, BUFFER + at), ==, 0xc3);
    }
}

static void test_disable(void)
{
    EpDma d = epdma_start("");

    for (unsigned n = 0; n < 5; n++) {
        epdma_enable(&d, 0, RING(0), 1024);
        start_flood(&d);
        epdma_set_reg(&d, 0, EPC_DMA_CTRL, 0);
        wait_idle(&d);
        g_assert_cmpuint(epdma_desc_status(&d, 0, 999), ==, EPC_DMA_PENDING);
        check_flood_over(&d);
        g_assert_cmpuint(epdma_desc_status(&d, 0, 999), ==, EPC_DMA_PENDING);
    }
    epdma_enable(&d, 0, RING(0), 1024);
    g_assert_cmpuint(epdma_copy(&d, BUFFER, BUFFER, 4, 0), ==, EPC_DMA_OK);
    epdma_end(&d);
}

static void test_reset(void)
{
    EpDma d = epdma_start("");

    epdma_enable(&d, 0, RING(0), 1024);
    start_flood(&d);
    epvm_set_reg(d.e, EPC_REG_RESET, EPC_RESET_MAGIC);
    wait_idle(&d);
    check_flood_over(&d);
    g_assert_cmphex(epdma_reg(&d, 0, EPC_DMA_STATE), ==, 0);
    g_assert_cmphex(epdma_reg(&d, 0, EPC_DMA_SIZE), ==, 0);
    g_assert_cmphex(epdma_reg(&d, 0, EPC_DMA_PRODUCER), ==, 0);
    g_assert_cmpuint(epdma_bad_access(&d), ==, 0);
    epdma_end(&d);
}

static void test_machine_reset(void)
{
    EpDma d = epdma_start("");

    epdma_enable(&d, 0, RING(0), 1024);
    start_flood(&d);
    qtest_system_reset(d.e->q);
    epvm_enable(d.e);
    check_flood_over(&d);
    g_assert_cmphex(epdma_reg(&d, 0, EPC_DMA_STATE), ==, 0);
    epdma_end(&d);
}

/* Once DMA_UNMAP is answered the memory is the host's own. */
static void test_unmap(void)
{
    EpDma d = epdma_start("");
    uint32_t i;

    for (unsigned n = 0; n < 10; n++) {
        epdma_enable(&d, 0, RING(0), 1024);
        for (i = 0; i < 1000; i++) {
            epdma_add_desc(&d, 0, BUFFER, HOST, MEM_SIZE, TO_HOST);
        }
        epdma_submit(&d, 0);
        epdma_wait_desc(&d, 0, 0);
        g_assert_cmpint(fakehost_dma_unmap(d.c, HOST, MEM_SIZE), ==, 0);
        memset(d.mem, 0xc3, MEM_SIZE);
        g_assert_cmpuint(epdma_wait_desc(&d, 0, 999), ==, EPC_DMA_NOT_MAPPED);
        for (i = 0; i < MEM_SIZE; i++) {
            g_assert_cmphex(d.mem[i], ==, 0xc3);
        }
        g_assert_cmpint(fakehost_dma_map(d.c, HOST, MEM_SIZE, d.fd, 0, RW), ==,
                        0);
    }
    epdma_end(&d);
}

static void test_bus_master_off(void)
{
    EpDma d = epdma_start("");

    epdma_enable(&d, 0, RING(0), 1024);
    for (unsigned i = 0; i < 1000; i++) {
        epdma_add_desc(&d, 0, BUFFER, HOST, MEM_SIZE, TO_HOST);
    }
    epdma_submit(&d, 0);
    epdma_wait_desc(&d, 0, 0);
    fakehost_set_config(d.c, PCI_COMMAND, 2, 0);
    memset(d.mem, 0xc3, MEM_SIZE);
    g_assert_cmpuint(epdma_wait_desc(&d, 0, 999), ==, EPC_DMA_NOT_MAPPED);
    for (unsigned i = 0; i < MEM_SIZE; i++) {
        g_assert_cmphex(d.mem[i], ==, 0xc3);
    }
    epdma_end(&d);
}

static void test_link_down(void)
{
    EpDma d = epdma_start("");
    uint32_t i;

    epdma_map_long(&d);
    i = epdma_start_long(&d, 0, 0);
    wait_progress(&d);
    epvm_set_reg(d.e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    fakehost_link(d.c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(d.e), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epdma_wait_desc(&d, 0, i), ==, EPC_DMA_NO_LINK);
    epdma_end(&d);
}

/* ---- A host that takes pages out of its memory ---- */

/* Memory of the host at address SLOW, all of which comes and goes */
#define SLOW        0x8000000000ull
#define SLOW_SIZE   (512ull << 20)

typedef struct Slow {
    EpDma d;
    int fd;
    GThread *puncher;
    bool stop;              /* atomic */
} Slow;

static void *punch_holes(void *opaque)
{
    Slow *s = opaque;

    while (!qatomic_read(&s->stop)) {
        g_assert_cmpint(fallocate(s->fd, 0, 0, SLOW_SIZE), ==, 0);
        g_assert_cmpint(fallocate(s->fd,
                                  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                  0, SLOW_SIZE), ==, 0);
    }
    return NULL;
}

/* Disables channel 0 in the middle of a copy. Returns EPC_DMA_STATE then. */
static uint32_t slow_disable(EpDma *d)
{
    uint32_t state;

    epdma_enable(d, 0, RING(0), 16);
    epdma_add_desc(d, 0, SLOW, SLOW + SLOW_SIZE / 2, SLOW_SIZE / 2, IN_HOST);
    epdma_submit(d, 0);
    g_usleep(1000);
    epdma_set_reg(d, 0, EPC_DMA_CTRL, 0);
    state = epdma_reg(d, 0, EPC_DMA_STATE);
    g_assert_cmphex(state & ~EPC_DMA_STATE_BUSY, ==, 0);
    return state;
}

/*
 * A burst that meets a hole waits until all of the hole is there. Returns while
 * one is in the middle of that, for a channel that is disabled.
 */
static void slow_start(Slow *s)
{
    int64_t end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

    *s = (Slow) { .d = epdma_start("") };
    s->fd = qemu_memfd_create("slow", SLOW_SIZE, false, 0, F_SEAL_SHRINK,
                              &error_abort);
    g_assert_cmpint(fakehost_dma_map(s->d.c, SLOW, SLOW_SIZE, s->fd, 0, RW), ==,
                    0);
    s->puncher = g_thread_new("puncher", punch_holes, s);
    while (!slow_disable(&s->d)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
}

static void slow_end(Slow *s)
{
    qatomic_set(&s->stop, true);
    g_thread_join(s->puncher);
    close(s->fd);
    epdma_end(&s->d);
}

/* The channel can be used at once, and the bit is about the old work. */
static void test_slow_disable(void)
{
    Slow s;

    slow_start(&s);
    epdma_enable(&s.d, 0, RING(0), 16);
    wait_until(epdma_reg(&s.d, 0, EPC_DMA_STATE) == EPC_DMA_STATE_ENABLED,
               "the channel has state 0x%x",
               epdma_reg(&s.d, 0, EPC_DMA_STATE));
    g_assert_cmpuint(epdma_copy(&s.d, BUFFER, BUFFER, 4, 0), ==, EPC_DMA_OK);
    slow_end(&s);
}

/* The host learns that the link goes down when its memory is left alone. */
static void slow_fall(uint32_t reg, uint32_t value)
{
    Slow s;

    slow_start(&s);
    epvm_set_reg(s.d.e, reg, value);
    g_assert_cmpuint(epvm_reg(s.d.e, EPC_REG_LINK_STATUS), ==,
                     EPC_STATUS_BUSY);
    fakehost_link(s.d.c, VFU_EP_LINK_DOWN);
    g_assert_cmphex(epdma_reg(&s.d, 0, EPC_DMA_STATE), ==, 0);
    g_assert_cmpuint(epvm_wait_link_command(s.d.e), ==, EPC_STATUS_OK);
    slow_end(&s);
}

static void test_slow_stop(void)
{
    slow_fall(EPC_REG_LINK_CMD, EPC_LINK_STOP);
}

static void test_slow_reset(void)
{
    slow_fall(EPC_REG_RESET, EPC_RESET_MAGIC);
}

/* ---- Host memory that is not shared ---- */

static VfuMsg *expect_dma(EpDma *d, uint16_t cmd, uint64_t addr, uint32_t count)
{
    VfuMsg *m = fakehost_command(d->c, cmd);
    const VfuDmaRw *rw = (const VfuDmaRw *)m->payload;

    g_assert_cmpuint(m->len, ==, sizeof(*rw) +
                     (cmd == VFU_CMD_DMA_WRITE ? count : 0));
    g_assert_cmphex(rw->address, ==, addr);
    g_assert_cmpuint(rw->count, ==, count);
    return m;
}

static void answer_dma(EpDma *d, VfuMsg *m, const void *data, uint32_t count)
{
    size_t len = sizeof(VfuDmaRw) + count;
    g_autofree uint8_t *payload = g_malloc0(len);
    VfuHeader hdr = vfu_msg_reply(&m->hdr, 0, len);

    memcpy(payload, m->payload, sizeof(VfuDmaRw));
    if (count) {
        memcpy(payload + sizeof(VfuDmaRw), data, count);
    }
    g_assert_true(vfu_msg_send(d->c->sock, &hdr, payload, NULL, 0));
    vfu_msg_free(m);
}

static void test_message(void)
{
    EpDma d = epdma_start("");
    VfuMsg *m;
    uint32_t i;

    g_assert_cmpint(fakehost_dma_map(d.c, LONG, 0x1000, -1, 0, RW), ==, 0);
    i = epdma_add_desc(&d, 0, LONG + 3, BUFFER, 6, FROM_HOST);
    epdma_submit(&d, 0);
    m = expect_dma(&d, VFU_CMD_DMA_READ, LONG + 3, 6);
    g_assert_cmphex(epdma_reg(&d, 0, EPC_DMA_STATE), ==,
                    EPC_DMA_STATE_ENABLED | EPC_DMA_STATE_MESSAGE);
    answer_dma(&d, m, "abcdef", 6);
    g_assert_cmpuint(epdma_wait_desc(&d, 0, i), ==, EPC_DMA_OK);
    g_assert_cmphex(qtest_readl(d.e->q, BUFFER), ==, 0x64636261);

    i = epdma_add_desc(&d, 0, BUFFER, LONG, 6, TO_HOST);
    epdma_submit(&d, 0);
    m = expect_dma(&d, VFU_CMD_DMA_WRITE, LONG, 6);
    g_assert_cmpmem(m->payload + sizeof(VfuDmaRw), 6, "abcdef", 6);
    answer_dma(&d, m, NULL, 0);
    g_assert_cmpuint(epdma_wait_desc(&d, 0, i), ==, EPC_DMA_OK);

    /* refused by the host */
    i = epdma_add_desc(&d, 0, BUFFER, LONG, 6, TO_HOST);
    epdma_submit(&d, 0);
    m = expect_dma(&d, VFU_CMD_DMA_WRITE, LONG, 6);
    fakehost_answer(d.c, m, EFAULT);
    vfu_msg_free(m);
    g_assert_cmpuint(epdma_wait_desc(&d, 0, i), ==, EPC_DMA_NOT_MAPPED);
    epdma_end(&d);
}

/* What was asked for before the channel was disabled changes nothing. */
static void test_message_void(void)
{
    EpDma d = epdma_start("");
    VfuMsg *m;

    g_assert_cmpint(fakehost_dma_map(d.c, LONG, 0x1000, -1, 0, RW), ==, 0);
    qtest_writel(d.e->q, BUFFER, 0x12345678);
    epdma_add_desc(&d, 0, LONG, BUFFER, 4, FROM_HOST);
    epdma_submit(&d, 0);
    m = expect_dma(&d, VFU_CMD_DMA_READ, LONG, 4);
    epdma_enable(&d, 0, RING(0), 16);
    g_assert_cmphex(epdma_reg(&d, 0, EPC_DMA_STATE), ==,
                    EPC_DMA_STATE_ENABLED | EPC_DMA_STATE_MESSAGE);
    answer_dma(&d, m, "abcd", 4);
    g_assert_cmpuint(epdma_copy(&d, BUFFER, BUFFER + 64, 4, 0), ==, EPC_DMA_OK);
    g_assert_cmphex(qtest_readl(d.e->q, BUFFER + 64), ==, 0x12345678);
    g_assert_cmphex(epdma_reg(&d, 0, EPC_DMA_STATE), ==, EPC_DMA_STATE_ENABLED);
    epdma_end(&d);
}

/* A host that does not answer is dropped after a deadline. */
static void test_message_silent(void)
{
    EpDma d = epdma_start(",deadline-ms=200");

    g_assert_cmpint(fakehost_dma_map(d.c, LONG, 0x1000, -1, 0, RW), ==, 0);
    g_assert_cmpuint(epdma_copy(&d, LONG, BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_IO);
    epvm_wait_link(d.e, false);
    g_assert_cmpuint(epdma_copy(&d, LONG, BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NO_LINK);
    epdma_end(&d);
}

/*
 * A channel that waits for the host holds up those of the same thread, and no
 * other.  The copies are too long for the CPU that submits them.
 */
static void test_message_threads(void)
{
    EpDma d = epdma_start(",dma-threads=2");
    uint32_t waits, other, same;
    VfuMsg *m;

    g_assert_cmpint(fakehost_dma_map(d.c, LONG, 0x1000, -1, 0, RW), ==, 0);
    for (unsigned ch = 1; ch <= 2; ch++) {
        epdma_enable(&d, ch, RING(ch), 16);
    }
    waits = epdma_add_desc(&d, 0, LONG, BUFFER, 6, FROM_HOST);
    epdma_submit(&d, 0);
    m = expect_dma(&d, VFU_CMD_DMA_READ, LONG, 6);
    same = epdma_add_desc(&d, 2, HOST, BUFFER, 1 << 20, FROM_HOST);
    epdma_submit(&d, 2);
    for (unsigned i = 0; i < 8; i++) {
        other = epdma_add_desc(&d, 1, HOST, BUFFER, 1 << 20, FROM_HOST);
        epdma_submit(&d, 1);
        g_assert_cmpuint(epdma_wait_desc(&d, 1, other), ==, EPC_DMA_OK);
    }
    g_assert_cmpuint(epdma_desc_status(&d, 0, waits), ==, EPC_DMA_PENDING);
    g_assert_cmpuint(epdma_desc_status(&d, 2, same), ==, EPC_DMA_PENDING);
    answer_dma(&d, m, "abcdef", 6);
    g_assert_cmpuint(epdma_wait_desc(&d, 0, waits), ==, EPC_DMA_OK);
    g_assert_cmpuint(epdma_wait_desc(&d, 2, same), ==, EPC_DMA_OK);
    epdma_end(&d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/dma/end/abort", test_abort);
    qtest_add_func("/pci-epc/dma/end/disable", test_disable);
    qtest_add_func("/pci-epc/dma/end/reset", test_reset);
    qtest_add_func("/pci-epc/dma/end/machine", test_machine_reset);
    qtest_add_func("/pci-epc/dma/end/unmap", test_unmap);
    qtest_add_func("/pci-epc/dma/end/bus-master", test_bus_master_off);
    qtest_add_func("/pci-epc/dma/end/link", test_link_down);
    qtest_add_func("/pci-epc/dma/slow/disable", test_slow_disable);
    qtest_add_func("/pci-epc/dma/slow/stop", test_slow_stop);
    qtest_add_func("/pci-epc/dma/slow/reset", test_slow_reset);
    qtest_add_func("/pci-epc/dma/message/copy", test_message);
    qtest_add_func("/pci-epc/dma/message/void", test_message_void);
    qtest_add_func("/pci-epc/dma/message/silent", test_message_silent);
    qtest_add_func("/pci-epc/dma/message/threads", test_message_threads);
    return g_test_run();
}
