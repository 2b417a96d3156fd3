/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a scripted host: DMA that is ended in the middle, and host
 * memory that is not shared
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep-dma.h"

/* ---- Ends in the middle ---- */

static void wait_progress(EpDma *d)
{
    g_usleep(20000);
    g_assert_cmpuint(epd_status(d, 0, d->next[0] - 1), ==, EPC_DMA_PENDING);
}

static void test_abort(void)
{
    EpDma d = epd_start("");
    uint32_t i, k;

    epd_map_long(&d);
    for (unsigned n = 0; n < 3; n++) {
        i = epd_start_long(&d, 0, EPC_DMA_CHAIN);
        k = epd_add(&d, 0, BUFFER, BUFFER, 4, 0);
        epd_go(&d, 0);
        wait_progress(&d);
        epd_set(&d, 0, EPC_DMA_CTRL, EPC_DMA_CTRL_ENABLE | EPC_DMA_CTRL_ABORT);
        g_assert_cmpuint(epd_wait_status(&d, 0, k), ==, EPC_DMA_ABORTED);
        g_assert_cmpuint(epd_status(&d, 0, i), ==, EPC_DMA_ABORTED);
        g_assert_cmpuint(epd_done(&d, 0, i), <, UINT32_MAX);
        g_assert_cmpuint(epd_done(&d, 0, k), ==, 0);
        g_assert_cmpuint(epd_copy(&d, BUFFER, BUFFER, 4, 0), ==, EPC_DMA_OK);
    }
    /* nothing to abort */
    epd_set(&d, 0, EPC_DMA_CTRL, EPC_DMA_CTRL_ENABLE | EPC_DMA_CTRL_ABORT);
    g_assert_cmpuint(epd_copy(&d, BUFFER, BUFFER, 4, 0), ==, EPC_DMA_OK);
    epd_end(&d);
}

/* A copy to the endpoint that goes on for long, always of the same bytes */
static void start_flood(EpDma *d)
{
    memset(d->mem, 0x5a, MEM_SIZE);
    for (unsigned i = 0; i < 1000; i++) {
        epd_add(d, 0, HOST, BUFFER, MEM_SIZE, FROM_HOST);
    }
    epd_go(d, 0);
    g_usleep(20000);
}

static void check_flood_over(EpDma *d)
{
    qtest_memset(d->e->q, BUFFER, 0xc3, MEM_SIZE);
    g_usleep(SHORT * 1000);
    for (unsigned at = 0; at < MEM_SIZE; at += MEM_SIZE / 64) {
        g_assert_cmphex(qtest_readb(d->e->q, BUFFER + at), ==, 0xc3);
    }
}

static void test_disable(void)
{
    EpDma d = epd_start("");

    for (unsigned n = 0; n < 5; n++) {
        epd_enable(&d, 0, RING(0), 1024);
        start_flood(&d);
        epd_set(&d, 0, EPC_DMA_CTRL, 0);
        g_assert_cmphex(epd_reg(&d, 0, EPC_DMA_STATE), ==, 0);
        g_assert_cmpuint(epd_status(&d, 0, 999), ==, EPC_DMA_PENDING);
        check_flood_over(&d);
        g_assert_cmpuint(epd_status(&d, 0, 999), ==, EPC_DMA_PENDING);
    }
    epd_enable(&d, 0, RING(0), 1024);
    g_assert_cmpuint(epd_copy(&d, BUFFER, BUFFER, 4, 0), ==, EPC_DMA_OK);
    epd_end(&d);
}

static void test_reset(void)
{
    EpDma d = epd_start("");

    epd_enable(&d, 0, RING(0), 1024);
    start_flood(&d);
    epe_set(d.e, EPC_REG_RESET, EPC_RESET_MAGIC);
    check_flood_over(&d);
    g_assert_cmphex(epd_reg(&d, 0, EPC_DMA_STATE), ==, 0);
    g_assert_cmphex(epd_reg(&d, 0, EPC_DMA_SIZE), ==, 0);
    g_assert_cmphex(epd_reg(&d, 0, EPC_DMA_PRODUCER), ==, 0);
    g_assert_cmpuint(epd_bad_access(&d), ==, 0);
    epd_end(&d);
}

static void test_machine_reset(void)
{
    EpDma d = epd_start("");

    epd_enable(&d, 0, RING(0), 1024);
    start_flood(&d);
    qtest_system_reset(d.e->q);
    epe_enable(d.e);
    check_flood_over(&d);
    g_assert_cmphex(epd_reg(&d, 0, EPC_DMA_STATE), ==, 0);
    epd_end(&d);
}

/* Once DMA_UNMAP is answered the memory is the host's own. */
static void test_unmap(void)
{
    EpDma d = epd_start("");
    uint32_t i;

    for (unsigned n = 0; n < 10; n++) {
        epd_enable(&d, 0, RING(0), 1024);
        for (i = 0; i < 1000; i++) {
            epd_add(&d, 0, BUFFER, HOST, MEM_SIZE, TO_HOST);
        }
        epd_go(&d, 0);
        g_usleep(5000);
        g_assert_cmpint(pep_dma_unmap(d.c, HOST, MEM_SIZE), ==, 0);
        memset(d.mem, 0xc3, MEM_SIZE);
        g_assert_cmpuint(epd_wait_status(&d, 0, 999), ==, EPC_DMA_NOT_MAPPED);
        for (i = 0; i < MEM_SIZE; i++) {
            g_assert_cmphex(d.mem[i], ==, 0xc3);
        }
        g_assert_cmpint(pep_dma_map(d.c, HOST, MEM_SIZE, d.fd, 0, RW), ==, 0);
    }
    epd_end(&d);
}

static void test_bus_master_off(void)
{
    EpDma d = epd_start("");

    epd_enable(&d, 0, RING(0), 1024);
    for (unsigned i = 0; i < 1000; i++) {
        epd_add(&d, 0, BUFFER, HOST, MEM_SIZE, TO_HOST);
    }
    epd_go(&d, 0);
    g_usleep(5000);
    pep_set_config(d.c, PCI_COMMAND, 2, 0);
    memset(d.mem, 0xc3, MEM_SIZE);
    g_assert_cmpuint(epd_wait_status(&d, 0, 999), ==, EPC_DMA_NOT_MAPPED);
    for (unsigned i = 0; i < MEM_SIZE; i++) {
        g_assert_cmphex(d.mem[i], ==, 0xc3);
    }
    epd_end(&d);
}

static void test_link_down(void)
{
    EpDma d = epd_start("");
    uint32_t i;

    epd_map_long(&d);
    i = epd_start_long(&d, 0, 0);
    wait_progress(&d);
    epe_set(d.e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    pep_link(d.c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epe_wait_link_cmd(d.e), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epd_wait_status(&d, 0, i), ==, EPC_DMA_NO_LINK);
    epd_end(&d);
}

/* ---- Host memory that is not shared ---- */

static PepMsg *expect_dma(EpDma *d, uint16_t cmd, uint64_t addr, uint32_t count)
{
    PepMsg *m = pep_command(d->c, cmd);
    const VfuDmaRw *rw = (const VfuDmaRw *)m->payload;

    g_assert_cmpuint(m->len, ==, sizeof(*rw) +
                     (cmd == VFU_CMD_DMA_WRITE ? count : 0));
    g_assert_cmphex(rw->address, ==, addr);
    g_assert_cmpuint(rw->count, ==, count);
    return m;
}

static void answer_dma(EpDma *d, PepMsg *m, const void *data, uint32_t count)
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
    EpDma d = epd_start("");
    PepMsg *m;
    uint32_t i;

    g_assert_cmpint(pep_dma_map(d.c, LONG, 0x1000, -1, 0, RW), ==, 0);
    i = epd_add(&d, 0, LONG + 3, BUFFER, 6, FROM_HOST);
    epd_go(&d, 0);
    m = expect_dma(&d, VFU_CMD_DMA_READ, LONG + 3, 6);
    g_assert_cmphex(epd_reg(&d, 0, EPC_DMA_STATE), ==,
                    EPC_DMA_STATE_ENABLED | EPC_DMA_STATE_MESSAGE);
    answer_dma(&d, m, "abcdef", 6);
    g_assert_cmpuint(epd_wait_status(&d, 0, i), ==, EPC_DMA_OK);
    g_assert_cmphex(qtest_readl(d.e->q, BUFFER), ==, 0x64636261);

    i = epd_add(&d, 0, BUFFER, LONG, 6, TO_HOST);
    epd_go(&d, 0);
    m = expect_dma(&d, VFU_CMD_DMA_WRITE, LONG, 6);
    g_assert_cmpmem(m->payload + sizeof(VfuDmaRw), 6, "abcdef", 6);
    answer_dma(&d, m, NULL, 0);
    g_assert_cmpuint(epd_wait_status(&d, 0, i), ==, EPC_DMA_OK);

    /* refused by the host */
    i = epd_add(&d, 0, BUFFER, LONG, 6, TO_HOST);
    epd_go(&d, 0);
    m = expect_dma(&d, VFU_CMD_DMA_WRITE, LONG, 6);
    pep_answer(d.c, m, EFAULT);
    pep_msg_free(m);
    g_assert_cmpuint(epd_wait_status(&d, 0, i), ==, EPC_DMA_NOT_MAPPED);
    epd_end(&d);
}

/* What was asked for before the channel was disabled changes nothing. */
static void test_message_void(void)
{
    EpDma d = epd_start("");
    PepMsg *m;

    g_assert_cmpint(pep_dma_map(d.c, LONG, 0x1000, -1, 0, RW), ==, 0);
    qtest_writel(d.e->q, BUFFER, 0x12345678);
    epd_add(&d, 0, LONG, BUFFER, 4, FROM_HOST);
    epd_go(&d, 0);
    m = expect_dma(&d, VFU_CMD_DMA_READ, LONG, 4);
    epd_enable(&d, 0, RING(0), 16);
    g_assert_cmphex(epd_reg(&d, 0, EPC_DMA_STATE), ==,
                    EPC_DMA_STATE_ENABLED | EPC_DMA_STATE_MESSAGE);
    answer_dma(&d, m, "abcd", 4);
    g_assert_cmpuint(epd_copy(&d, BUFFER, BUFFER + 64, 4, 0), ==, EPC_DMA_OK);
    g_assert_cmphex(qtest_readl(d.e->q, BUFFER + 64), ==, 0x12345678);
    g_assert_cmphex(epd_reg(&d, 0, EPC_DMA_STATE), ==, EPC_DMA_STATE_ENABLED);
    epd_end(&d);
}

/* A host that does not answer is dropped after a deadline. */
static void test_message_silent(void)
{
    EpDma d = epd_start(",deadline-ms=200");

    g_assert_cmpint(pep_dma_map(d.c, LONG, 0x1000, -1, 0, RW), ==, 0);
    g_assert_cmpuint(epd_copy(&d, LONG, BUFFER, 4, FROM_HOST), ==, EPC_DMA_IO);
    epe_wait_link(d.e, false);
    g_assert_cmpuint(epd_copy(&d, LONG, BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NO_LINK);
    epd_end(&d);
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
    qtest_add_func("/pci-epc/dma/message/copy", test_message);
    qtest_add_func("/pci-epc/dma/message/void", test_message_void);
    qtest_add_func("/pci-epc/dma/message/silent", test_message_silent);
    return g_test_run();
}
