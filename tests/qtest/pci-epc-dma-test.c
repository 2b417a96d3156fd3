/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a scripted host: the DMA engine
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep-endpoint.h"
#include "pci-ep-peer.h"

#include <sys/mman.h>

#define MEM_SIZE    (4u << 20)      /* of the host, at HOST in its PCI space */
#define HOST        0x40000000ull
#define RW          (VFU_DMA_READ | VFU_DMA_WRITE)

/* The same memory over and over: a range that it takes long to copy */
#define LONG        0x1000000000ull
#define LONG_SIZE   (0x100000000ull + MEM_SIZE)

/* Memory of the endpoint */
#define RING(n)     (0x1000000ull + (n) * 0x20000)
#define BUFFER      0x2000000ull
#define RAM_END     ((uint64_t)EPE_RAM_SIZE)

#define SHORT       50              /* ms in which nothing must happen */
#define TO_HOST     EPC_DMA_DST_HOST
#define FROM_HOST   EPC_DMA_SRC_HOST
#define IN_HOST     (EPC_DMA_SRC_HOST | EPC_DMA_DST_HOST)

typedef struct Dma {
    EpEndpoint *e;
    PepClient *c;
    int fd;
    uint8_t *mem;
    uint32_t base, stride;
    uint32_t size[EPC_DMA_CHANNELS];
    uint32_t next[EPC_DMA_CHANNELS];    /* producer index */
} Dma;

/* ---- Channels ---- */

static uint64_t reg_at(Dma *d, unsigned ch, uint32_t reg)
{
    return d->base + ch * d->stride + reg;
}

static uint32_t reg(Dma *d, unsigned ch, uint32_t r)
{
    return epe_read(d->e, reg_at(d, ch, r), 4);
}

static void set(Dma *d, unsigned ch, uint32_t r, uint32_t v)
{
    epe_write(d->e, reg_at(d, ch, r), 4, v);
}

static uint32_t bad_access(Dma *d)
{
    return epe_reg(d->e, EPC_REG_BAD_ACCESS);
}

static void enable(Dma *d, unsigned ch, uint64_t ring, uint32_t size)
{
    set(d, ch, EPC_DMA_CTRL, 0);
    epe_write(d->e, reg_at(d, ch, EPC_DMA_RING), 8, ring);
    set(d, ch, EPC_DMA_SIZE, size);
    set(d, ch, EPC_DMA_CTRL, EPC_DMA_CTRL_ENABLE);
    d->size[ch] = size;
    d->next[ch] = 0;
}

static uint64_t desc_at(Dma *d, unsigned ch, uint32_t i)
{
    return RING(ch) + (i % d->size[ch]) * EPC_DMA_DESC_SIZE;
}

/* Fills the next descriptor; returns its index */
static uint32_t add(Dma *d, unsigned ch, uint64_t src, uint64_t dst,
                    uint32_t length, uint32_t flags)
{
    uint64_t at = desc_at(d, ch, d->next[ch]);

    qtest_writeq(d->e->q, at + EPC_DMA_DESC_SRC, src);
    qtest_writeq(d->e->q, at + EPC_DMA_DESC_DST, dst);
    qtest_writel(d->e->q, at + EPC_DMA_DESC_LENGTH, length);
    qtest_writel(d->e->q, at + EPC_DMA_DESC_FLAGS, flags);
    qtest_writel(d->e->q, at + EPC_DMA_DESC_STATUS, EPC_DMA_PENDING);
    qtest_writel(d->e->q, at + EPC_DMA_DESC_DONE, 0x55555555);
    return d->next[ch]++;
}

static void go(Dma *d, unsigned ch)
{
    set(d, ch, EPC_DMA_PRODUCER, d->next[ch]);
}

static uint32_t status(Dma *d, unsigned ch, uint32_t i)
{
    return qtest_readl(d->e->q, desc_at(d, ch, i) + EPC_DMA_DESC_STATUS);
}

static uint32_t done(Dma *d, unsigned ch, uint32_t i)
{
    return qtest_readl(d->e->q, desc_at(d, ch, i) + EPC_DMA_DESC_DONE);
}

static uint32_t wait_status(Dma *d, unsigned ch, uint32_t i)
{
    gint64 end = g_get_monotonic_time() + 6 * EPE_TIMEOUT_MS * 1000ll;
    uint32_t v;

    while ((v = status(d, ch, i)) == EPC_DMA_PENDING) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(200);
    }
    return v;
}

static void wait_consumer(Dma *d, unsigned ch, uint32_t v)
{
    gint64 end = g_get_monotonic_time() + 6 * EPE_TIMEOUT_MS * 1000ll;

    while (reg(d, ch, EPC_DMA_CONSUMER) != v) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(200);
    }
}

/* One descriptor of channel 0 */
static uint32_t copy(Dma *d, uint64_t src, uint64_t dst, uint32_t length,
                     uint32_t flags)
{
    uint32_t i = add(d, 0, src, dst, length, flags);

    go(d, 0);
    return wait_status(d, 0, i);
}

static uint32_t last_done(Dma *d, unsigned ch)
{
    return done(d, ch, d->next[ch] - 1);
}

/* ---- Both ends ---- */

static Dma dma_start(const char *props)
{
    Dma d = { };

    d.e = epe_start(EPE_SHARED, props);
    d.c = epe_attach(d.e);
    d.fd = pep_memfd(MEM_SIZE, &d.mem);
    pep_set_config(d.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    g_assert_cmpint(pep_dma_map(d.c, HOST, MEM_SIZE, d.fd, 0, RW), ==, 0);
    d.base = epe_reg(d.e, EPC_REG_DMA_BASE);
    d.stride = epe_reg(d.e, EPC_REG_DMA_STRIDE);
    enable(&d, 0, RING(0), 16);
    return d;
}

static void dma_end(Dma *d)
{
    epe_detach(d->e, d->c);
    munmap(d->mem, MEM_SIZE);
    close(d->fd);
}

static void map_long(Dma *d)
{
    for (uint64_t at = 0; at < LONG_SIZE; at += MEM_SIZE) {
        g_assert_cmpint(pep_dma_map(d->c, LONG + at, MEM_SIZE, d->fd, 0, RW),
                        ==, 0);
    }
}

/* A copy within the host that takes long */
static uint32_t start_long(Dma *d, unsigned ch, uint32_t flags)
{
    uint32_t i = add(d, ch, LONG + MEM_SIZE / 2, LONG, UINT32_MAX,
                     flags | IN_HOST);

    go(d, ch);
    return i;
}

static void fill_host(Dma *d, uint32_t salt)
{
    for (uint32_t i = 0; i < MEM_SIZE; i += 4) {
        stl_le_p(d->mem + i, i * 2654435761u + salt);
    }
}

/* ---- Registers ---- */

static void test_registers(void)
{
    Dma d = dma_start("");
    uint32_t bad = bad_access(&d);

    g_assert_cmpuint(epe_reg(d.e, EPC_REG_DMA_COUNT), ==, EPC_DMA_CHANNELS);
    g_assert_cmphex(reg(&d, 0, EPC_DMA_STATE), ==, EPC_DMA_STATE_ENABLED);
    for (unsigned ch = 1; ch < EPC_DMA_CHANNELS; ch++) {
        g_assert_cmphex(reg(&d, ch, EPC_DMA_STATE), ==, 0);
        g_assert_cmpuint(reg(&d, ch, EPC_DMA_VECTOR), ==, EPC_VECTOR_DMA(ch));
        set(&d, ch, EPC_DMA_PRODUCER, 1);           /* does not run */
        g_assert_cmpuint(bad_access(&d), ==, ++bad);
    }
    /* by half, and as a whole */
    set(&d, 1, EPC_DMA_RING, 0x89abcde0);
    set(&d, 1, EPC_DMA_RING + 4, 0x01234567);
    g_assert_cmphex(epe_read(d.e, reg_at(&d, 1, EPC_DMA_RING), 8), ==,
                    0x0123456789abcde0);
    g_assert_cmphex(reg(&d, 1, EPC_DMA_RING + 4), ==, 0x01234567);

    set(&d, 0, EPC_DMA_RING, 0);                    /* it runs */
    set(&d, 0, EPC_DMA_SIZE, 32);
    epe_write(d.e, reg_at(&d, 0, EPC_DMA_RING), 8, 0);
    set(&d, 0, EPC_DMA_CTRL, 4);
    set(&d, 0, EPC_DMA_VECTOR, EPC_VECTORS);
    set(&d, 0, EPC_DMA_IRQ_COUNT, EPC_DMA_SIZE_MAX + 1);
    set(&d, 0, EPC_DMA_IRQ_USEC, EPC_DMA_IRQ_USEC_MAX + 1);
    set(&d, 0, EPC_DMA_PRODUCER, 17);
    set(&d, 0, EPC_DMA_PRODUCER, UINT32_MAX);
    set(&d, 0, EPC_DMA_CONSUMER, 1);
    set(&d, 0, EPC_DMA_STATE, 0);
    g_assert_cmpuint(bad_access(&d), ==, bad + 11);
    g_assert_cmpuint(reg(&d, 0, EPC_DMA_SIZE), ==, 16);
    g_assert_cmpuint(reg(&d, 0, EPC_DMA_PRODUCER), ==, 0);
    dma_end(&d);
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
        EPE_REGS, EPE_MSIX, EPE_WINDOW, RAM_END, 1ull << 52, 0xffffffff00000000,
    };
    Dma d = dma_start("");

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        enable(&d, 1, t[i].ring, t[i].size);
        g_assert_cmphex(reg(&d, 1, EPC_DMA_STATE), ==,
                        EPC_DMA_STATE_ENABLED | EPC_DMA_STATE_ERROR);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(nowhere); i++) {
        enable(&d, 1, nowhere[i], 16);
        g_assert_cmphex(reg(&d, 1, EPC_DMA_STATE), ==, EPC_DMA_STATE_ENABLED);
        set(&d, 1, EPC_DMA_PRODUCER, 16);
        g_assert_true(epe_vector(d.e, EPC_VECTOR_DMA(1), EPE_TIMEOUT_MS));
        g_assert_cmphex(reg(&d, 1, EPC_DMA_STATE), ==,
                        EPC_DMA_STATE_ENABLED | EPC_DMA_STATE_ERROR);
        g_assert_cmpuint(reg(&d, 1, EPC_DMA_CONSUMER), ==, 0);
    }
    enable(&d, 1, RING(1), 2);
    add(&d, 1, BUFFER, BUFFER + 64, 64, 0);
    go(&d, 1);
    g_assert_cmpuint(wait_status(&d, 1, 0), ==, EPC_DMA_OK);
    dma_end(&d);
}

/* ---- Copies ---- */

static void check_copy(Dma *d, uint32_t len, uint32_t from, uint32_t to)
{
    g_autofree uint8_t *got = g_malloc(len);

    fill_host(d, len);
    g_assert_cmpuint(copy(d, HOST + from, BUFFER + to, len, FROM_HOST), ==,
                     EPC_DMA_OK);
    g_assert_cmpuint(last_done(d, 0), ==, len);
    qtest_memread(d->e->q, BUFFER + to, got, len);
    g_assert_cmpint(memcmp(got, d->mem + from, len), ==, 0);

    g_assert_cmpuint(copy(d, BUFFER + to, BUFFER + 0x800000 + from, len, 0), ==,
                     EPC_DMA_OK);
    memset(d->mem + from, 0, len);
    g_assert_cmpuint(copy(d, BUFFER + 0x800000 + from, HOST + from, len,
                          TO_HOST), ==, EPC_DMA_OK);
    g_assert_cmpint(memcmp(got, d->mem + from, len), ==, 0);

    g_assert_cmpuint(copy(d, HOST + from, HOST + MEM_SIZE / 2 + to, len,
                          IN_HOST), ==, EPC_DMA_OK);
    g_assert_cmpint(memcmp(got, d->mem + MEM_SIZE / 2 + to, len), ==, 0);
}

static void test_copy(void)
{
    static const uint32_t sizes[] = { 1, 2, 4095, 4096, 65537, 1 << 20 };
    Dma d = dma_start("");

    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        check_copy(&d, sizes[i], 0, 0);
        check_copy(&d, sizes[i], 3, 4097);
    }
    g_assert_cmpuint(copy(&d, 1, 2, 0, 0), ==, EPC_DMA_OK);
    g_assert_cmpuint(last_done(&d, 0), ==, 0);
    g_assert_cmpuint(copy(&d, UINT64_MAX, UINT64_MAX, 0, IN_HOST), ==,
                     EPC_DMA_OK);
    dma_end(&d);
}

/* Host memory in pieces that are apart in the file */
static void test_scattered(void)
{
    Dma d = dma_start("");
    uint8_t got[0x10000];

    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmpint(pep_dma_map(d.c, LONG + i * 0x1000, 0x1000, d.fd,
                                    (15 - i) * 0x1000, RW), ==, 0);
    }
    fill_host(&d, 7);
    g_assert_cmpuint(copy(&d, LONG, BUFFER, sizeof(got), FROM_HOST), ==,
                     EPC_DMA_OK);
    qtest_memread(d.e->q, BUFFER, got, sizeof(got));
    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmpint(memcmp(got + i * 0x1000, d.mem + (15 - i) * 0x1000,
                               0x1000), ==, 0);
    }
    dma_end(&d);
}

static void test_longest(void)
{
    Dma d = dma_start("");
    uint32_t i;

    map_long(&d);
    i = start_long(&d, 0, 0);
    g_assert_cmpuint(wait_status(&d, 0, i), ==, EPC_DMA_OK);
    g_assert_cmpuint(done(&d, 0, i), ==, UINT32_MAX);
    dma_end(&d);
}

/* ---- Errors of descriptors ---- */

static void test_descriptor_errors(void)
{
    const struct {
        uint64_t src, dst;
        uint32_t length, flags, status, done;
    } t[] = {
        { BUFFER, BUFFER, 4, 1u << 4, EPC_DMA_BAD_DESC, 0 },
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
        { EPE_REGS, BUFFER, 4, 0, EPC_DMA_BAD_ADDR, 0 },
        { BUFFER, EPE_REGS + EPC_REG_RESET, 4, 0, EPC_DMA_BAD_ADDR, 0 },
        { BUFFER, EPE_WINDOW, 4, 0, EPC_DMA_BAD_ADDR, 0 },
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
    Dma d = dma_start("");

    g_assert_cmpint(pep_dma_map(d.c, LONG, 0x1000, d.fd, 0, VFU_DMA_READ), ==,
                    0);
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        g_test_message("descriptor %u", i);
        g_assert_cmpuint(copy(&d, t[i].src, t[i].dst, t[i].length, t[i].flags),
                         ==, t[i].status);
        g_assert_cmpuint(last_done(&d, 0), ==, t[i].done);
        g_assert_cmpuint(copy(&d, BUFFER, BUFFER + 64, 64, 0), ==, EPC_DMA_OK);
    }
    g_assert_cmpuint(copy(&d, LONG, BUFFER, 4, FROM_HOST), ==, EPC_DMA_OK);
    dma_end(&d);
}

/* What the host allows as a whole: bus mastering, the link */
static void test_gates(void)
{
    Dma d = dma_start("");

    pep_set_config(d.c, PCI_COMMAND, 2, 0);
    g_assert_cmpuint(copy(&d, HOST, BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    pep_set_config(d.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    g_assert_cmpuint(copy(&d, HOST, BUFFER, 4, FROM_HOST), ==, EPC_DMA_OK);
    pep_free(d.c);
    epe_wait_link(d.e, false);
    g_assert_cmpuint(copy(&d, HOST, BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NO_LINK);
    g_assert_cmpuint(copy(&d, BUFFER, BUFFER + 4, 4, 0), ==, EPC_DMA_OK);
    d.c = pep_attach(d.e->socket, NULL);
    pep_link(d.c, VFU_EP_LINK_UP);
    dma_end(&d);
}

static void test_chain(void)
{
    Dma d = dma_start("");

    add(&d, 0, BUFFER, BUFFER + 64, 4, EPC_DMA_CHAIN);
    add(&d, 0, 0, HOST - 1, 4, TO_HOST | EPC_DMA_CHAIN);
    add(&d, 0, BUFFER, BUFFER + 64, 4, EPC_DMA_CHAIN);
    add(&d, 0, BUFFER, BUFFER + 64, 4, 0);
    add(&d, 0, BUFFER, BUFFER + 64, 4, 0);
    go(&d, 0);
    wait_consumer(&d, 0, 5);
    g_assert_cmpuint(status(&d, 0, 0), ==, EPC_DMA_OK);
    for (unsigned i = 1; i < 4; i++) {
        g_assert_cmpuint(status(&d, 0, i), ==, EPC_DMA_NOT_MAPPED);
        g_assert_cmpuint(done(&d, 0, i), ==, 0);
    }
    g_assert_cmpuint(status(&d, 0, 4), ==, EPC_DMA_OK);
    dma_end(&d);
}

/* ---- Indices and interrupts ---- */

static void test_wrap(void)
{
    Dma d = dma_start("");
    uint32_t bad = bad_access(&d), n = 0;

    enable(&d, 2, RING(2), 4);
    for (unsigned i = 0; i < 50; i++) {
        for (unsigned k = 0; k < 1 + i % 4; k++, n++) {
            qtest_writel(d.e->q, BUFFER + n * 4, ~n);
            add(&d, 2, BUFFER + n * 4, HOST + n * 4, 4, TO_HOST);
        }
        go(&d, 2);
        wait_consumer(&d, 2, n);
    }
    for (uint32_t i = 0; i < n; i++) {
        g_assert_cmphex((uint32_t)ldl_le_p(d.mem + i * 4), ==, ~i);
    }
    g_assert_cmpuint(bad_access(&d), ==, bad);
    set(&d, 2, EPC_DMA_PRODUCER, n + 5);
    set(&d, 2, EPC_DMA_PRODUCER, n - 1);
    g_assert_cmpuint(bad_access(&d), ==, bad + 2);
    dma_end(&d);
}

static void small(Dma *d, unsigned n, uint32_t flags)
{
    for (unsigned i = 0; i < n; i++) {
        add(d, 0, BUFFER, BUFFER + 64, 4, flags);
    }
    go(d, 0);
    wait_consumer(d, 0, d->next[0]);
}

static void test_interrupts(void)
{
    Dma d = dma_start("");
    unsigned v = EPC_VECTOR_DMA(0);

    small(&d, 3, 0);
    g_assert_false(epe_vector(d.e, v, SHORT));
    small(&d, 1, EPC_DMA_IRQ);
    g_assert_true(epe_vector(d.e, v, EPE_TIMEOUT_MS));
    /* one that fails always raises */
    copy(&d, 0, HOST - 1, 4, TO_HOST);
    g_assert_true(epe_vector(d.e, v, EPE_TIMEOUT_MS));

    set(&d, 0, EPC_DMA_IRQ_COUNT, 4);
    set(&d, 0, EPC_DMA_IRQ_USEC, EPC_DMA_IRQ_USEC_MAX);
    small(&d, 3, EPC_DMA_IRQ);
    g_assert_false(epe_vector(d.e, v, SHORT));
    small(&d, 1, EPC_DMA_IRQ);
    g_assert_true(epe_vector(d.e, v, SHORT * 4));
    g_assert_false(epe_vector(d.e, v, SHORT));
    small(&d, 1, EPC_DMA_IRQ);
    g_assert_true(epe_vector(d.e, v, EPE_TIMEOUT_MS));      /* after 1 s */
    /* without a time: when idle */
    set(&d, 0, EPC_DMA_IRQ_USEC, 0);
    small(&d, 1, EPC_DMA_IRQ);
    g_assert_true(epe_vector(d.e, v, EPE_TIMEOUT_MS));

    set(&d, 0, EPC_DMA_IRQ_COUNT, 0);
    set(&d, 0, EPC_DMA_VECTOR, EPC_VECTOR_COMMAND);
    small(&d, 1, EPC_DMA_IRQ);
    g_assert_true(epe_vector(d.e, EPC_VECTOR_COMMAND, EPE_TIMEOUT_MS));
    g_assert_false(epe_vector(d.e, v, SHORT));
    dma_end(&d);
}

/* ---- Several channels ---- */

static void test_fair(void)
{
    Dma d = dma_start("");
    uint32_t slow;

    map_long(&d);
    slow = start_long(&d, 0, 0);
    for (unsigned ch = 1; ch < EPC_DMA_CHANNELS; ch++) {
        enable(&d, ch, RING(ch), 64);
        for (unsigned i = 0; i < 64; i++) {
            add(&d, ch, HOST, BUFFER, 4096, FROM_HOST);
        }
        go(&d, ch);
    }
    for (unsigned ch = 1; ch < EPC_DMA_CHANNELS; ch++) {
        wait_consumer(&d, ch, 64);
        g_assert_cmpuint(status(&d, ch, 63), ==, EPC_DMA_OK);
    }
    g_assert_cmpuint(status(&d, 0, slow), ==, EPC_DMA_PENDING);
    dma_end(&d);        /* with a copy under way */
}

/* Two that have as much to do get on alike. */
static void test_equal(void)
{
    Dma d = dma_start("");
    uint32_t other;

    for (unsigned ch = 0; ch < 2; ch++) {
        enable(&d, ch, RING(ch), 1024);
        for (unsigned i = 0; i < 1024; i++) {
            /* the second in small steps */
            add(&d, ch, HOST, BUFFER, ch ? 1 << 16 : 1 << 20, FROM_HOST);
        }
    }
    go(&d, 0);
    go(&d, 1);
    wait_consumer(&d, 1, 1024);
    other = reg(&d, 0, EPC_DMA_CONSUMER);
    g_assert_cmpuint(other, >=, 32);
    g_assert_cmpuint(other, <=, 512);
    dma_end(&d);
}

/* ---- Ends in the middle ---- */

static void wait_progress(Dma *d)
{
    g_usleep(20000);
    g_assert_cmpuint(status(d, 0, d->next[0] - 1), ==, EPC_DMA_PENDING);
}

static void test_abort(void)
{
    Dma d = dma_start("");
    uint32_t i, k;

    map_long(&d);
    for (unsigned n = 0; n < 3; n++) {
        i = start_long(&d, 0, EPC_DMA_CHAIN);
        k = add(&d, 0, BUFFER, BUFFER, 4, 0);
        go(&d, 0);
        wait_progress(&d);
        set(&d, 0, EPC_DMA_CTRL, EPC_DMA_CTRL_ENABLE | EPC_DMA_CTRL_ABORT);
        g_assert_cmpuint(wait_status(&d, 0, k), ==, EPC_DMA_ABORTED);
        g_assert_cmpuint(status(&d, 0, i), ==, EPC_DMA_ABORTED);
        g_assert_cmpuint(done(&d, 0, i), <, UINT32_MAX);
        g_assert_cmpuint(done(&d, 0, k), ==, 0);
        g_assert_cmpuint(copy(&d, BUFFER, BUFFER, 4, 0), ==, EPC_DMA_OK);
    }
    /* nothing to abort */
    set(&d, 0, EPC_DMA_CTRL, EPC_DMA_CTRL_ENABLE | EPC_DMA_CTRL_ABORT);
    g_assert_cmpuint(copy(&d, BUFFER, BUFFER, 4, 0), ==, EPC_DMA_OK);
    dma_end(&d);
}

/* A copy to the endpoint that goes on for long, always of the same bytes */
static void start_flood(Dma *d)
{
    memset(d->mem, 0x5a, MEM_SIZE);
    for (unsigned i = 0; i < 1000; i++) {
        add(d, 0, HOST, BUFFER, MEM_SIZE, FROM_HOST);
    }
    go(d, 0);
    g_usleep(20000);
}

static void check_flood_over(Dma *d)
{
    qtest_memset(d->e->q, BUFFER, 0xc3, MEM_SIZE);
    g_usleep(SHORT * 1000);
    for (unsigned at = 0; at < MEM_SIZE; at += MEM_SIZE / 64) {
        g_assert_cmphex(qtest_readb(d->e->q, BUFFER + at), ==, 0xc3);
    }
}

static void test_disable(void)
{
    Dma d = dma_start("");

    for (unsigned n = 0; n < 5; n++) {
        enable(&d, 0, RING(0), 1024);
        start_flood(&d);
        set(&d, 0, EPC_DMA_CTRL, 0);
        g_assert_cmphex(reg(&d, 0, EPC_DMA_STATE), ==, 0);
        g_assert_cmpuint(status(&d, 0, 999), ==, EPC_DMA_PENDING);
        check_flood_over(&d);
        g_assert_cmpuint(status(&d, 0, 999), ==, EPC_DMA_PENDING);
    }
    enable(&d, 0, RING(0), 1024);
    g_assert_cmpuint(copy(&d, BUFFER, BUFFER, 4, 0), ==, EPC_DMA_OK);
    dma_end(&d);
}

static void test_reset(void)
{
    Dma d = dma_start("");

    enable(&d, 0, RING(0), 1024);
    start_flood(&d);
    epe_set(d.e, EPC_REG_RESET, EPC_RESET_MAGIC);
    check_flood_over(&d);
    g_assert_cmphex(reg(&d, 0, EPC_DMA_STATE), ==, 0);
    g_assert_cmphex(reg(&d, 0, EPC_DMA_SIZE), ==, 0);
    g_assert_cmphex(reg(&d, 0, EPC_DMA_PRODUCER), ==, 0);
    g_assert_cmpuint(bad_access(&d), ==, 0);
    dma_end(&d);
}

static void test_machine_reset(void)
{
    Dma d = dma_start("");

    enable(&d, 0, RING(0), 1024);
    start_flood(&d);
    qtest_system_reset(d.e->q);
    epe_enable(d.e);
    check_flood_over(&d);
    g_assert_cmphex(reg(&d, 0, EPC_DMA_STATE), ==, 0);
    dma_end(&d);
}

/* Once DMA_UNMAP is answered the memory is the host's own. */
static void test_unmap(void)
{
    Dma d = dma_start("");
    uint32_t i;

    for (unsigned n = 0; n < 10; n++) {
        enable(&d, 0, RING(0), 1024);
        for (i = 0; i < 1000; i++) {
            add(&d, 0, BUFFER, HOST, MEM_SIZE, TO_HOST);
        }
        go(&d, 0);
        g_usleep(5000);
        g_assert_cmpint(pep_dma_unmap(d.c, HOST, MEM_SIZE), ==, 0);
        memset(d.mem, 0xc3, MEM_SIZE);
        g_assert_cmpuint(wait_status(&d, 0, 999), ==, EPC_DMA_NOT_MAPPED);
        for (i = 0; i < MEM_SIZE; i++) {
            g_assert_cmphex(d.mem[i], ==, 0xc3);
        }
        g_assert_cmpint(pep_dma_map(d.c, HOST, MEM_SIZE, d.fd, 0, RW), ==, 0);
    }
    dma_end(&d);
}

static void test_bus_master_off(void)
{
    Dma d = dma_start("");

    enable(&d, 0, RING(0), 1024);
    for (unsigned i = 0; i < 1000; i++) {
        add(&d, 0, BUFFER, HOST, MEM_SIZE, TO_HOST);
    }
    go(&d, 0);
    g_usleep(5000);
    pep_set_config(d.c, PCI_COMMAND, 2, 0);
    memset(d.mem, 0xc3, MEM_SIZE);
    g_assert_cmpuint(wait_status(&d, 0, 999), ==, EPC_DMA_NOT_MAPPED);
    for (unsigned i = 0; i < MEM_SIZE; i++) {
        g_assert_cmphex(d.mem[i], ==, 0xc3);
    }
    dma_end(&d);
}

static void test_link_down(void)
{
    Dma d = dma_start("");
    uint32_t i;

    map_long(&d);
    i = start_long(&d, 0, 0);
    wait_progress(&d);
    epe_set(d.e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    pep_link(d.c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epe_wait_link_cmd(d.e), ==, EPC_STATUS_OK);
    g_assert_cmpuint(wait_status(&d, 0, i), ==, EPC_DMA_NO_LINK);
    dma_end(&d);
}

/* ---- Host memory that is not shared ---- */

static PepMsg *expect_dma(Dma *d, uint16_t cmd, uint64_t addr, uint32_t count)
{
    PepMsg *m = pep_command(d->c, cmd);
    const VfuDmaRw *rw = (const VfuDmaRw *)m->payload;

    g_assert_cmpuint(m->len, ==, sizeof(*rw) +
                     (cmd == VFU_CMD_DMA_WRITE ? count : 0));
    g_assert_cmphex(rw->address, ==, addr);
    g_assert_cmpuint(rw->count, ==, count);
    return m;
}

static void answer_dma(Dma *d, PepMsg *m, const void *data, uint32_t count)
{
    size_t len = sizeof(VfuDmaRw) + count;
    g_autofree uint8_t *payload = g_malloc0(len);
    VfuHeader hdr = {
        .id = m->hdr.id,
        .command = m->hdr.command,
        .size = sizeof(hdr) + len,
        .flags = VFU_FLAG_REPLY,
    };

    memcpy(payload, m->payload, sizeof(VfuDmaRw));
    if (count) {
        memcpy(payload + sizeof(VfuDmaRw), data, count);
    }
    g_assert_true(pep_send(d->c->sock, &hdr, payload, NULL, 0));
    pep_msg_free(m);
}

static void test_message(void)
{
    Dma d = dma_start("");
    PepMsg *m;
    uint32_t i;

    g_assert_cmpint(pep_dma_map(d.c, LONG, 0x1000, -1, 0, RW), ==, 0);
    i = add(&d, 0, LONG + 3, BUFFER, 6, FROM_HOST);
    go(&d, 0);
    m = expect_dma(&d, VFU_CMD_DMA_READ, LONG + 3, 6);
    g_assert_cmphex(reg(&d, 0, EPC_DMA_STATE), ==,
                    EPC_DMA_STATE_ENABLED | EPC_DMA_STATE_MESSAGE);
    answer_dma(&d, m, "abcdef", 6);
    g_assert_cmpuint(wait_status(&d, 0, i), ==, EPC_DMA_OK);
    g_assert_cmphex(qtest_readl(d.e->q, BUFFER), ==, 0x64636261);

    i = add(&d, 0, BUFFER, LONG, 6, TO_HOST);
    go(&d, 0);
    m = expect_dma(&d, VFU_CMD_DMA_WRITE, LONG, 6);
    g_assert_cmpmem(m->payload + sizeof(VfuDmaRw), 6, "abcdef", 6);
    answer_dma(&d, m, NULL, 0);
    g_assert_cmpuint(wait_status(&d, 0, i), ==, EPC_DMA_OK);

    /* refused by the host */
    i = add(&d, 0, BUFFER, LONG, 6, TO_HOST);
    go(&d, 0);
    m = expect_dma(&d, VFU_CMD_DMA_WRITE, LONG, 6);
    pep_answer(d.c, m, EFAULT);
    pep_msg_free(m);
    g_assert_cmpuint(wait_status(&d, 0, i), ==, EPC_DMA_NOT_MAPPED);
    dma_end(&d);
}

/* What was asked for before the channel was disabled changes nothing. */
static void test_message_void(void)
{
    Dma d = dma_start("");
    PepMsg *m;

    g_assert_cmpint(pep_dma_map(d.c, LONG, 0x1000, -1, 0, RW), ==, 0);
    qtest_writel(d.e->q, BUFFER, 0x12345678);
    add(&d, 0, LONG, BUFFER, 4, FROM_HOST);
    go(&d, 0);
    m = expect_dma(&d, VFU_CMD_DMA_READ, LONG, 4);
    enable(&d, 0, RING(0), 16);
    g_assert_cmphex(reg(&d, 0, EPC_DMA_STATE), ==,
                    EPC_DMA_STATE_ENABLED | EPC_DMA_STATE_MESSAGE);
    answer_dma(&d, m, "abcd", 4);
    g_assert_cmpuint(copy(&d, BUFFER, BUFFER + 64, 4, 0), ==, EPC_DMA_OK);
    g_assert_cmphex(qtest_readl(d.e->q, BUFFER + 64), ==, 0x12345678);
    g_assert_cmphex(reg(&d, 0, EPC_DMA_STATE), ==, EPC_DMA_STATE_ENABLED);
    dma_end(&d);
}

/* A host that does not answer is dropped after a deadline. */
static void test_message_silent(void)
{
    Dma d = dma_start(",deadline-ms=200");

    g_assert_cmpint(pep_dma_map(d.c, LONG, 0x1000, -1, 0, RW), ==, 0);
    g_assert_cmpuint(copy(&d, LONG, BUFFER, 4, FROM_HOST), ==, EPC_DMA_IO);
    epe_wait_link(d.e, false);
    g_assert_cmpuint(copy(&d, LONG, BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NO_LINK);
    dma_end(&d);
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
    qtest_add_func("/pci-epc/dma/fair", test_fair);
    qtest_add_func("/pci-epc/dma/equal", test_equal);
    qtest_add_func("/pci-epc/dma/end/abort", test_abort);
    qtest_add_func("/pci-epc/dma/end/disable", test_disable);
    qtest_add_func("/pci-epc/dma/end/reset", test_reset);
    qtest_add_func("/pci-epc/dma/end/machine", test_machine_reset);
    qtest_add_func("/pci-epc/dma/end/unmap", test_unmap);
    qtest_add_func("/pci-epc/dma/end/bus-master", test_bus_master_off);
    qtest_add_func("/pci-epc/dma/end/link", test_link_down);
    qtest_add_func("/pci-epc/dma/message/copy", test_message);
    qtest_add_func("/pci-epc/dma/message/void", test_message_void);
    qtest_add_func("/pci-epc/dma/message/silent", test_message_silent);
    return g_test_run();
}
