/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a fake host: what DMA channels do
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/dma.h"

/* ---- Registers ---- */

static void test_registers(void)
{
    EpDma d = epdma_start("");
    uint32_t bad = epdma_bad_access(&d);

    g_assert_cmpuint(epvm_reg(d.e, EPC_REG_DMA_COUNT), ==, EPC_DMA_CHANNELS);
    g_assert_cmphex(epdma_reg(&d, 0, EPC_DMA_STATE), ==, EPC_DMA_STATE_ENABLED);
    for (unsigned ch = 1; ch < EPC_DMA_CHANNELS; ch++) {
        g_assert_cmphex(epdma_reg(&d, ch, EPC_DMA_STATE), ==, 0);
        g_assert_cmpuint(epdma_reg(&d, ch, EPC_DMA_VECTOR), ==,
                         EPC_VECTOR_DMA(ch));
        epdma_set_reg(&d, ch, EPC_DMA_PRODUCER, 1);           /* does not run */
        g_assert_cmpuint(epdma_bad_access(&d), ==, ++bad);
    }
    /* by half, and as a whole */
    epdma_set_reg(&d, 1, EPC_DMA_RING, 0x89abcde0);
    epdma_set_reg(&d, 1, EPC_DMA_RING + 4, 0x01234567);
    g_assert_cmphex(epvm_read(d.e, epdma_reg_at(&d, 1, EPC_DMA_RING), 8), ==,
                    0x0123456789abcde0);
    g_assert_cmphex(epdma_reg(&d, 1, EPC_DMA_RING + 4), ==, 0x01234567);

    epdma_set_reg(&d, 0, EPC_DMA_RING, 0);                    /* it runs */
    epdma_set_reg(&d, 0, EPC_DMA_SIZE, 32);
    epvm_write(d.e, epdma_reg_at(&d, 0, EPC_DMA_RING), 8, 0);
    epdma_set_reg(&d, 0, EPC_DMA_CTRL, 4);
    epdma_set_reg(&d, 0, EPC_DMA_VECTOR, EPC_VECTORS);
    epdma_set_reg(&d, 0, EPC_DMA_IRQ_COUNT, EPC_DMA_SIZE_MAX + 1);
    epdma_set_reg(&d, 0, EPC_DMA_IRQ_USEC, EPC_DMA_IRQ_USEC_MAX + 1);
    epdma_set_reg(&d, 0, EPC_DMA_PRODUCER, 17);
    epdma_set_reg(&d, 0, EPC_DMA_PRODUCER, UINT32_MAX);
    epdma_set_reg(&d, 0, EPC_DMA_CONSUMER, 1);
    epdma_set_reg(&d, 0, EPC_DMA_STATE, 0);
    g_assert_cmpuint(epdma_bad_access(&d), ==, bad + 11);
    g_assert_cmpuint(epdma_reg(&d, 0, EPC_DMA_SIZE), ==, 16);
    g_assert_cmpuint(epdma_reg(&d, 0, EPC_DMA_PRODUCER), ==, 0);
    epdma_end(&d);
}

static void test_bad_ring(void)
{
    static const struct {
        uint64_t ring;
        uint32_t size;
    } t[] = {
        { RING(1), 0 }, { RING(1), 1 }, { RING(1), 3 }, { RING(1), 8192 },
        { RING(1), UINT32_MAX }, { RING(1) + 8, 16 }, { RING(1) + 31, 16 },
        { -(uint64_t)EPC_DMA_DESC_SIZE, 2 },
    };
    static const uint64_t nowhere[] = {
        EPVM_REGS, EPVM_MSIX,  EPVM_WINDOW,
        RAM_END,   1ull << 52, 0xffffffff00000000,
    };
    EpDma d = epdma_start("");

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        epdma_enable(&d, 1, t[i].ring, t[i].size);
        g_assert_cmphex(epdma_reg(&d, 1, EPC_DMA_STATE), ==,
                        EPC_DMA_STATE_ENABLED | EPC_DMA_STATE_ERROR);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(nowhere); i++) {
        epdma_enable(&d, 1, nowhere[i], 16);
        g_assert_cmphex(epdma_reg(&d, 1, EPC_DMA_STATE), ==,
                        EPC_DMA_STATE_ENABLED);
        epdma_set_reg(&d, 1, EPC_DMA_PRODUCER, 16);
        g_assert_true(epvm_vector(d.e, EPC_VECTOR_DMA(1), EPVM_TIMEOUT_MS));
        g_assert_cmphex(epdma_reg(&d, 1, EPC_DMA_STATE), ==,
                        EPC_DMA_STATE_ENABLED | EPC_DMA_STATE_ERROR);
        g_assert_cmpuint(epdma_reg(&d, 1, EPC_DMA_CONSUMER), ==, 0);
    }
    epdma_enable(&d, 1, RING(1), 2);
    epdma_add_desc(&d, 1, BUFFER, BUFFER + 64, 64, 0);
    epdma_submit(&d, 1);
    g_assert_cmpuint(epdma_wait_desc(&d, 1, 0), ==, EPC_DMA_OK);
    epdma_end(&d);
}

/* ---- Copies ---- */

static void check_copy(EpDma *d, uint32_t len, uint32_t from, uint32_t to)
{
    g_autofree uint8_t *got = g_malloc(len);

    epdma_fill_host(d, len);
    g_assert_cmpuint(epdma_copy(d, HOST + from, BUFFER + to, len, FROM_HOST),
                     ==, EPC_DMA_OK);
    g_assert_cmpuint(epdma_last_desc_done(d, 0), ==, len);
    qtest_memread(d->e->q, BUFFER + to, got, len);
    g_assert_cmpint(memcmp(got, d->mem + from, len), ==, 0);

    g_assert_cmpuint(epdma_copy(d, BUFFER + to, BUFFER + 0x800000 + from, len,
                                0), ==, EPC_DMA_OK);
    memset(d->mem + from, 0, len);
    g_assert_cmpuint(epdma_copy(d, BUFFER + 0x800000 + from, HOST + from, len,
                                TO_HOST), ==, EPC_DMA_OK);
    g_assert_cmpint(memcmp(got, d->mem + from, len), ==, 0);

    g_assert_cmpuint(epdma_copy(d, HOST + from, HOST + MEM_SIZE / 2 + to, len,
                                IN_HOST), ==, EPC_DMA_OK);
    g_assert_cmpint(memcmp(got, d->mem + MEM_SIZE / 2 + to, len), ==, 0);
}

static void test_copy(void)
{
    static const uint32_t sizes[] = { 1, 2, 4095, 4096, 65537, 1 << 20 };
    EpDma d = epdma_start("");

    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        check_copy(&d, sizes[i], 0, 0);
        check_copy(&d, sizes[i], 3, 4097);
    }
    g_assert_cmpuint(epdma_copy(&d, 1, 2, 0, 0), ==, EPC_DMA_OK);
    g_assert_cmpuint(epdma_last_desc_done(&d, 0), ==, 0);
    g_assert_cmpuint(epdma_copy(&d, UINT64_MAX, UINT64_MAX, 0, IN_HOST), ==,
                     EPC_DMA_OK);
    epdma_end(&d);
}

/* Host memory in pieces that are apart in the file */
static void test_scattered(void)
{
    EpDma d = epdma_start("");
    uint8_t got[0x10000];

    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmpint(fakehost_dma_map(d.c, LONG + i * 0x1000, 0x1000, d.fd,
                                         (15 - i) * 0x1000, RW), ==, 0);
    }
    epdma_fill_host(&d, 7);
    g_assert_cmpuint(epdma_copy(&d, LONG, BUFFER, sizeof(got), FROM_HOST), ==,
                     EPC_DMA_OK);
    qtest_memread(d.e->q, BUFFER, got, sizeof(got));
    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmpint(memcmp(got + i * 0x1000, d.mem + (15 - i) * 0x1000,
                               0x1000), ==, 0);
    }
    epdma_end(&d);
}

static void test_longest(void)
{
    EpDma d = epdma_start("");
    uint32_t i;

    epdma_map_long(&d);
    i = epdma_start_long(&d, 0, 0);
    g_assert_cmpuint(epdma_wait_desc(&d, 0, i), ==, EPC_DMA_OK);
    g_assert_cmpuint(epdma_desc_done(&d, 0, i), ==, UINT32_MAX);
    epdma_end(&d);
}

/* ---- Errors of descriptors ---- */

static void test_descriptor_errors(void)
{
    const struct {
        uint64_t src, dst;
        uint32_t length, flags, status, done;
    } t[] = {
        { BUFFER, BUFFER, 4, 1u << 5, EPC_DMA_BAD_DESC, 0 },
        { BUFFER, BUFFER, 4, 1u << 31, EPC_DMA_BAD_DESC, 0 },
        { HOST, BUFFER, 4, FROM_HOST | 1 << EPC_DMA_SRC_FN_SHIFT,
          EPC_DMA_BAD_DESC, 0 },
        { BUFFER, HOST, 4, TO_HOST | 255 << EPC_DMA_DST_FN_SHIFT,
          EPC_DMA_BAD_DESC, 0 },
        { UINT64_MAX, BUFFER, 2, 0, EPC_DMA_BAD_DESC, 0 },
        { UINT64_MAX, BUFFER, 2, FROM_HOST, EPC_DMA_BAD_DESC, 0 },
        { BUFFER, UINT64_MAX - 1, 3, 0, EPC_DMA_BAD_DESC, 0 },
        { BUFFER, UINT64_MAX - 1, UINT32_MAX, TO_HOST, EPC_DMA_BAD_DESC, 0 },
        { UINT64_MAX, BUFFER, 1, 0, EPC_DMA_BAD_ADDR, 0 },
        { EPVM_REGS, BUFFER, 4, 0, EPC_DMA_BAD_ADDR, 0 },
        { BUFFER, EPVM_REGS + EPC_REG_RESET, 4, 0, EPC_DMA_BAD_ADDR, 0 },
        { BUFFER, EPVM_WINDOW, 4, 0, EPC_DMA_BAD_ADDR, 0 },
        { BUFFER, 0xfffff000, 4, 0, EPC_DMA_BAD_ADDR, 0 },   /* firmware */
        { RAM_END - 8, HOST, 64, TO_HOST, EPC_DMA_BAD_ADDR, 8 },
        { HOST, RAM_END - 8, UINT32_MAX, FROM_HOST, EPC_DMA_BAD_ADDR, 8 },
        { HOST - 1, BUFFER, 1, FROM_HOST, EPC_DMA_NOT_MAPPED, 0 },
        { BUFFER, HOST + MEM_SIZE, 1, TO_HOST, EPC_DMA_NOT_MAPPED, 0 },
        { HOST + MEM_SIZE - 5, BUFFER, 6, FROM_HOST, EPC_DMA_NOT_MAPPED, 5 },
        { HOST, BUFFER, UINT32_MAX, FROM_HOST, EPC_DMA_NOT_MAPPED, MEM_SIZE },
        { UINT64_MAX, HOST, 1, IN_HOST, EPC_DMA_NOT_MAPPED, 0 },
        { BUFFER, LONG, 4, TO_HOST, EPC_DMA_NOT_MAPPED, 0 }, /* read only */
    };
    EpDma d = epdma_start("");

    g_assert_cmpint(fakehost_dma_map(d.c, LONG, 0x1000, d.fd, 0, VFU_DMA_READ),
                    ==, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        g_test_message("descriptor %u", i);
        g_assert_cmpuint(epdma_copy(&d, t[i].src, t[i].dst, t[i].length,
                                    t[i].flags), ==, t[i].status);
        g_assert_cmpuint(epdma_last_desc_done(&d, 0), ==, t[i].done);
        g_assert_cmpuint(epdma_copy(&d, BUFFER, BUFFER + 64, 64, 0), ==,
                         EPC_DMA_OK);
    }
    g_assert_cmpuint(epdma_copy(&d, LONG, BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_OK);
    epdma_end(&d);
}

/* What the host allows as a whole: bus mastering, the link */
static void test_gates(void)
{
    EpDma d = epdma_start("");

    fakehost_set_config(d.c, PCI_COMMAND, 2, 0);
    g_assert_cmpuint(epdma_copy(&d, HOST, BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    fakehost_set_config(d.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    g_assert_cmpuint(epdma_copy(&d, HOST, BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_OK);
    fakehost_free(d.c);
    epvm_wait_link(d.e, false);
    g_assert_cmpuint(epdma_copy(&d, HOST, BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NO_LINK);
    g_assert_cmpuint(epdma_copy(&d, BUFFER, BUFFER + 4, 4, 0), ==, EPC_DMA_OK);
    d.c = fakehost_attach(d.e->socket, NULL);
    fakehost_link(d.c, VFU_EP_LINK_UP);
    epdma_end(&d);
}

static void test_chain(void)
{
    EpDma d = epdma_start("");

    epdma_add_desc(&d, 0, BUFFER, BUFFER + 64, 4, EPC_DMA_CHAIN);
    epdma_add_desc(&d, 0, 0, HOST - 1, 4, TO_HOST | EPC_DMA_CHAIN);
    epdma_add_desc(&d, 0, BUFFER, BUFFER + 64, 4, EPC_DMA_CHAIN);
    epdma_add_desc(&d, 0, BUFFER, BUFFER + 64, 4, 0);
    epdma_add_desc(&d, 0, BUFFER, BUFFER + 64, 4, 0);
    epdma_submit(&d, 0);
    epdma_wait_consumer(&d, 0, 5);
    g_assert_cmpuint(epdma_desc_status(&d, 0, 0), ==, EPC_DMA_OK);
    for (unsigned i = 1; i < 4; i++) {
        g_assert_cmpuint(epdma_desc_status(&d, 0, i), ==, EPC_DMA_NOT_MAPPED);
        g_assert_cmpuint(epdma_desc_done(&d, 0, i), ==, 0);
    }
    g_assert_cmpuint(epdma_desc_status(&d, 0, 4), ==, EPC_DMA_OK);
    epdma_end(&d);
}

/* ---- Indices and interrupts ---- */

static void test_wrap(void)
{
    EpDma d = epdma_start("");
    uint32_t bad = epdma_bad_access(&d), n = 0;

    epdma_enable(&d, 2, RING(2), 4);
    for (unsigned i = 0; i < 50; i++) {
        for (unsigned k = 0; k < 1 + i % 4; k++, n++) {
            qtest_writel(d.e->q, BUFFER + n * 4, ~n);
            epdma_add_desc(&d, 2, BUFFER + n * 4, HOST + n * 4, 4, TO_HOST);
        }
        epdma_submit(&d, 2);
        epdma_wait_consumer(&d, 2, n);
    }
    for (uint32_t i = 0; i < n; i++) {
        g_assert_cmphex((uint32_t)ldl_le_p(d.mem + i * 4), ==, ~i);
    }
    g_assert_cmpuint(epdma_bad_access(&d), ==, bad);
    epdma_set_reg(&d, 2, EPC_DMA_PRODUCER, n + 5);
    epdma_set_reg(&d, 2, EPC_DMA_PRODUCER, n - 1);
    g_assert_cmpuint(epdma_bad_access(&d), ==, bad + 2);
    epdma_end(&d);
}

static void add_small_copies(EpDma *d, unsigned n, uint32_t flags)
{
    for (unsigned i = 0; i < n; i++) {
        epdma_add_desc(d, 0, BUFFER, BUFFER + 64, 4, flags);
    }
    epdma_submit(d, 0);
    epdma_wait_consumer(d, 0, d->next[0]);
}

/*
 * The worker raises the vector of a descriptor after it has advanced CONSUMER,
 * so the last raise may still come when CONSUMER is waited for. Where no vector
 * is expected several descriptors would have raised it: each but the last does
 * so before the next is done.
 */
static void test_interrupts(void)
{
    EpDma d = epdma_start("");
    unsigned v = EPC_VECTOR_DMA(0);

    add_small_copies(&d, 3, 0);
    epvm_expect_no_vector(d.e, v);
    add_small_copies(&d, 1, EPC_DMA_IRQ);
    g_assert_true(epvm_vector(d.e, v, EPVM_TIMEOUT_MS));
    /* one that fails always raises */
    epdma_copy(&d, 0, HOST - 1, 4, TO_HOST);
    g_assert_true(epvm_vector(d.e, v, EPVM_TIMEOUT_MS));

    epdma_set_reg(&d, 0, EPC_DMA_IRQ_COUNT, 4);
    epdma_set_reg(&d, 0, EPC_DMA_IRQ_USEC, EPC_DMA_IRQ_USEC_MAX);
    add_small_copies(&d, 3, EPC_DMA_IRQ);
    epvm_expect_no_vector(d.e, v);
    add_small_copies(&d, 1, EPC_DMA_IRQ);
    /* by the count, since the time is twice as long */
    g_assert_true(epvm_vector(d.e, v, 500));
    epvm_expect_no_vector(d.e, v);
    add_small_copies(&d, 1, EPC_DMA_IRQ);
    g_assert_true(epvm_vector(d.e, v, EPVM_TIMEOUT_MS));      /* after 1 s */
    /* without a time: when idle */
    epdma_set_reg(&d, 0, EPC_DMA_IRQ_USEC, 0);
    add_small_copies(&d, 1, EPC_DMA_IRQ);
    g_assert_true(epvm_vector(d.e, v, EPVM_TIMEOUT_MS));

    epdma_set_reg(&d, 0, EPC_DMA_IRQ_COUNT, 0);
    epdma_set_reg(&d, 0, EPC_DMA_VECTOR, EPC_VECTOR_COMMAND);
    add_small_copies(&d, 1, EPC_DMA_IRQ);
    g_assert_true(epvm_vector(d.e, EPC_VECTOR_COMMAND, EPVM_TIMEOUT_MS));
    epvm_expect_no_vector(d.e, v);
    epdma_end(&d);
}

static void start_late_copies(EpDma *d, unsigned count, uint32_t length)
{
    for (unsigned i = 0; i < count; i++) {
        epdma_add_desc(d, 0, HOST, BUFFER, length,
                       FROM_HOST | EPC_DMA_IRQ_LATE);
    }
    epdma_submit(d, 0);
    epdma_wait_consumer(d, 0, d->next[0]);
}

/*
 * Does the vector stay quiet for copies that are done when the write of PRODUCER
 * ends?  On a busy machine the device may leave them to the worker, which raises
 * it, so this tries several times.
 */
static bool done_quietly(EpDma *d, unsigned count, uint32_t length)
{
    for (unsigned round = 0; round < 50; round++) {
        start_late_copies(d, count, length);
        if (!epvm_vector(d->e, EPC_VECTOR_DMA(0), 20)) {
            return true;
        }
    }
    return false;
}

static void test_late_interrupts(void)
{
    EpDma d = epdma_start("");
    unsigned v = EPC_VECTOR_DMA(0);

    g_assert_true(done_quietly(&d, 1, 512));
    /* several short copies for one write */
    g_assert_true(done_quietly(&d, 4, 64 * 1024));
    /* too much for a vCPU, and a copy that is too long for it */
    start_late_copies(&d, 8, 64 * 1024);
    g_assert_true(epvm_vector(d.e, v, EPVM_TIMEOUT_MS));
    start_late_copies(&d, 1, 1024 * 1024);
    g_assert_true(epvm_vector(d.e, v, EPVM_TIMEOUT_MS));
    /* one that fails always raises */
    epdma_copy(&d, 0, HOST - 1, 4, TO_HOST | EPC_DMA_IRQ_LATE);
    g_assert_true(epvm_vector(d.e, v, EPVM_TIMEOUT_MS));
    epdma_end(&d);
}

/* ---- Several channels ---- */

static void test_fair(void)
{
    EpDma d = epdma_start(",dma-threads=1");
    uint32_t slow = 0;

    epdma_map_long(&d);
    for (unsigned i = 0; i < 8; i++) {
        slow = epdma_start_long(&d, 0, 0);
    }
    for (unsigned ch = 1; ch < EPC_DMA_CHANNELS; ch++) {
        epdma_enable(&d, ch, RING(ch), 64);
        for (unsigned i = 0; i < 64; i++) {
            epdma_add_desc(&d, ch, HOST, BUFFER, 4096, FROM_HOST);
        }
        epdma_submit(&d, ch);
    }
    for (unsigned ch = 1; ch < EPC_DMA_CHANNELS; ch++) {
        epdma_wait_consumer(&d, ch, 64);
        g_assert_cmpuint(epdma_desc_status(&d, ch, 63), ==, EPC_DMA_OK);
    }
    g_assert_cmpuint(epdma_desc_status(&d, 0, slow), ==, EPC_DMA_PENDING);
    epdma_end(&d);        /* with a copy under way */
}

/* Two that have as much to do get on alike. */
static void test_equal(void)
{
    EpDma d = epdma_start(",dma-threads=1");
    uint32_t other;

    for (unsigned ch = 0; ch < 2; ch++) {
        epdma_enable(&d, ch, RING(ch), 1024);
        for (unsigned i = 0; i < 1024; i++) {
            /* the second in small steps */
            epdma_add_desc(&d, ch, HOST, BUFFER, ch ? 1 << 16 : 1 << 20,
                           FROM_HOST);
        }
    }
    epdma_submit(&d, 0);
    epdma_submit(&d, 1);
    epdma_wait_consumer(&d, 1, 1024);
    other = epdma_reg(&d, 0, EPC_DMA_CONSUMER);
    g_assert_cmpuint(other, >=, 32);
    g_assert_cmpuint(other, <=, 512);
    epdma_end(&d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/dma/registers", test_registers);
    qtest_add_func("/pci-epc/dma/ring/bad", test_bad_ring);
    qtest_add_func("/pci-epc/dma/ring/wrap", test_wrap);
    qtest_add_func("/pci-epc/dma/copy", test_copy);
    qtest_add_func("/pci-epc/dma/scattered", test_scattered);
    qtest_add_func("/pci-epc/dma/longest", test_longest);
    qtest_add_func("/pci-epc/dma/errors", test_descriptor_errors);
    qtest_add_func("/pci-epc/dma/gates", test_gates);
    qtest_add_func("/pci-epc/dma/chain", test_chain);
    qtest_add_func("/pci-epc/dma/interrupts", test_interrupts);
    qtest_add_func("/pci-epc/dma/interrupts/late", test_late_interrupts);
    qtest_add_func("/pci-epc/dma/fair", test_fair);
    qtest_add_func("/pci-epc/dma/equal", test_equal);
    return g_test_run();
}
