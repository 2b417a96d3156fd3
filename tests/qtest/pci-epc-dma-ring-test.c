/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc: where the ring of a DMA channel is, while the memory map of the
 * endpoint or the mappings of its IOMMU change
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/dma.h"
#include "pci-ep/intel-iommu.h"
#include "pci-ep/wait.h"

#define PAGE            0x1000ull
#define SLOT            5           /* of the controller, on bus 0 */

/* Tables of an intel-iommu in memory of the endpoint */
#define ROOT            0x300000ull
#define CONTEXT         0x301000ull
#define LEVEL(n)        (0x302000ull + (n) * PAGE)
#define RING_PAGES      LEVEL(0)
#define BUFFER_PAGES    LEVEL(3)
#define TABLES_END      LEVEL(4)

static void set_command(EpDma *d, uint16_t command)
{
    qtest_outl(d->e->q, 0xcf8, 1u << 31 | SLOT << 11 | PCI_COMMAND);
    qtest_outw(d->e->q, 0xcfc, command);
}

static void wait_ring_error(EpDma *d)
{
    wait_until(epdma_reg(d, 0, EPC_DMA_STATE) & EPC_DMA_STATE_ERROR,
               "channel 0 to stop with an error, state 0x%x",
               epdma_reg(d, 0, EPC_DMA_STATE));
}

/* ---- Descriptor words ---- */

/* Neither word may be stored in the place of the other one. */
static void test_words(void)
{
    EpDma d = epdma_start("");
    uint32_t i;

    i = epdma_add_desc(&d, 0, BUFFER, BUFFER + 0x10000, 0x1234, 0);
    epdma_submit(&d, 0);
    g_assert_cmpuint(epdma_wait_desc(&d, 0, i), ==, EPC_DMA_OK);
    g_assert_cmphex(qtest_readq(d.e->q, RING(0) + EPC_DMA_DESC_STATUS), ==,
                    0x1234ull << 32 | EPC_DMA_OK);
    /* the device writes nothing else */
    g_assert_cmphex(qtest_readq(d.e->q, RING(0) + EPC_DMA_DESC_SRC), ==,
                    BUFFER);
    g_assert_cmphex(qtest_readl(d.e->q, RING(0) + EPC_DMA_DESC_LENGTH), ==,
                    0x1234);
    g_assert_cmphex(qtest_readq(d.e->q, RING(0) + EPC_DMA_DESC_SIZE), ==, 0);
    epdma_end(&d);
}

/* ---- Memory map ---- */

static unsigned count_lines(const char *text, const char *word)
{
    unsigned n = 0;

    for (const char *p = strstr(text, word); p; p = strstr(p + 1, word)) {
        n++;
    }
    return n;
}

/* The ring is looked up once for all descriptors, and none is translated. */
static void test_resolved_once(void)
{
    g_autofree char *log = NULL, *props = NULL, *text = NULL;
    int fd = g_file_open_tmp("pci-epc-dma-XXXXXX", &log, NULL);
    EpDma d;

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    props = g_strdup_printf(" -trace pci_epc_dma_ring_* -D %s", log);
    d = epdma_start(props);
    for (unsigned i = 0; i < 40; i++) {
        g_assert_cmpuint(epdma_copy(&d, HOST, BUFFER, 4096, FROM_HOST), ==,
                         EPC_DMA_OK);
    }
    epdma_end(&d);
    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    g_assert_cmpuint(count_lines(text, "pci_epc_dma_ring_resolve"), ==, 1);
    g_assert_cmpuint(count_lines(text, "direct 1"), ==, 1);
    g_assert_cmpuint(count_lines(text, "pci_epc_dma_ring_translate"), ==, 0);
    unlink(log);
}

/* Without bus mastering the device reaches no memory, thus no ring. */
static void test_gone(void)
{
    EpDma d = epdma_start("");
    uint32_t i;

    g_assert_cmpuint(epdma_copy(&d, BUFFER, BUFFER + 64, 4, 0), ==, EPC_DMA_OK);
    set_command(&d, PCI_COMMAND_MEMORY);
    i = epdma_add_desc(&d, 0, BUFFER, BUFFER + 64, 4, 0);
    epdma_submit(&d, 0);
    wait_ring_error(&d);
    g_assert_cmpuint(epdma_desc_status(&d, 0, i), ==, EPC_DMA_PENDING);

    /* and back, also for a channel that was enabled meanwhile */
    epdma_enable(&d, 0, RING(0), 16);
    set_command(&d, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    g_assert_cmpuint(epdma_copy(&d, BUFFER, BUFFER + 64, 4, 0), ==, EPC_DMA_OK);
    epdma_end(&d);
}

/* ---- Behind an IOMMU ---- */

static void iommu_map(EpDma *d, uint64_t table, unsigned n, uint64_t to)
{
    qtest_writeq(d->e->q, table + n * 8, to ? to | VTD_PTE_RW : 0);
    vtd_invalidate(d->e->q);
}

/* Maps RING(0) and BUFFER to themselves, a page of each. */
static void iommu_begin(EpDma *d)
{
    QTestState *q = d->e->q;

    qtest_memset(q, ROOT, 0, TABLES_END - ROOT);
    vtd_set_context(q, ROOT, 0, CONTEXT, SLOT << 3, LEVEL(2), 1);
    qtest_writeq(q, LEVEL(2), LEVEL(1) | VTD_PTE_RW);
    qtest_writeq(q, LEVEL(1) + (RING(0) >> 21) * 8, RING_PAGES | VTD_PTE_RW);
    qtest_writeq(q, LEVEL(1) + (BUFFER >> 21) * 8, BUFFER_PAGES | VTD_PTE_RW);
    vtd_set_root(q, ROOT);
    iommu_map(d, RING_PAGES, 0, RING(0));
    iommu_map(d, BUFFER_PAGES, 0, BUFFER);
    vtd_translate(q, true);
}

/* Each access finds the mapping that is there at that time. */
static void test_iommu(void)
{
    EpDma d = epdma_start(" -device intel-iommu");
    uint32_t i;

    /* while the channel is enabled */
    iommu_begin(&d);
    g_assert_cmpuint(epdma_copy(&d, BUFFER, BUFFER + 64, 4, 0), ==, EPC_DMA_OK);
    g_assert_cmpuint(epdma_copy(&d, BUFFER + PAGE, BUFFER, 4, 0), ==,
                     EPC_DMA_BAD_ADDR);

    /* the same ring in other memory, which is that of channel 1's */
    iommu_map(&d, RING_PAGES, 0, RING(1));
    d.size[1] = 16;
    d.next[1] = d.next[0];
    i = epdma_add_desc(&d, 1, BUFFER, BUFFER + 64, 4, 0);
    epdma_set_reg(&d, 0, EPC_DMA_PRODUCER, d.next[1]);
    g_assert_cmpuint(epdma_wait_desc(&d, 1, i), ==, EPC_DMA_OK);
    g_assert_cmpuint(epdma_desc_done(&d, 1, i), ==, 4);

    iommu_map(&d, RING_PAGES, 0, 0);
    epdma_set_reg(&d, 0, EPC_DMA_PRODUCER, d.next[1] + 1);
    wait_ring_error(&d);

    /* no translation any more */
    vtd_translate(d.e->q, false);
    epdma_enable(&d, 0, RING(0), 16);
    g_assert_cmpuint(epdma_copy(&d, BUFFER + PAGE, BUFFER, 4, 0), ==,
                     EPC_DMA_OK);
    epdma_end(&d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/dma/ring/words", test_words);
    qtest_add_func("/pci-epc/dma/ring/once", test_resolved_once);
    qtest_add_func("/pci-epc/dma/ring/gone", test_gone);
    qtest_add_func("/pci-epc/dma/ring/iommu", test_iommu);
    return g_test_run();
}
