/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of epc-dma-table: what is left of ranges that are cut to pieces
 */
#include "qemu/osdep.h"
#include "hw/pci-ep/epc-dma-table.h"

static void add(EpcDmaTable *t, uint64_t address, uint64_t size, int err)
{
    VfuDmaMap map = {
        .flags = VFU_DMA_READ, .address = address, .size = size,
    };

    g_assert_cmpint(epc_dma_table_add(t, &map, NULL), ==, err);
}

/* -ENOTSUP: allowed, but by message only; -EACCES: not even that */
static void check(EpcDmaTable *t, uint64_t address, int err)
{
    EpcDmaRun run;

    g_assert_cmpint(epc_dma_table_find(t, address, 1, &run), ==, err);
}

static void test_cut(void)
{
    EpcDmaTable *t = epc_dma_table_new();

    add(t, 0x1000, 0x3000, 0);
    check(t, 0x1000, -EACCES);      /* no messages */
    epc_dma_table_set_messages(t, true);
    epc_dma_table_remove(t, 0x2000, 0x2fff);
    g_assert_cmpuint(epc_dma_table_count(t), ==, 2);
    check(t, 0x1fff, -ENOTSUP);
    check(t, 0x2000, -EFAULT);
    check(t, 0x2fff, -EFAULT);
    check(t, 0x3000, -ENOTSUP);
    epc_dma_table_remove(t, 0x1800, 0x37ff);
    g_assert_cmpuint(epc_dma_table_count(t), ==, 2);
    check(t, 0x17ff, -ENOTSUP);
    check(t, 0x3800, -ENOTSUP);
    epc_dma_table_clear(t);
    g_assert_cmpuint(epc_dma_table_count(t), ==, 0);
    epc_dma_table_free(t);
}

/* One range in pieces must not cost more than many ranges. */
static void test_cut_limit(void)
{
    EpcDmaTable *t = epc_dma_table_new();

    add(t, 0, 1ull << 62, 0);
    for (uint64_t i = 1; i < EPC_DMA_MAX_RANGES + 100; i++) {
        uint64_t hole = i << 13;

        epc_dma_table_remove(t, hole, hole + 0xfff);
        g_assert_cmpuint(epc_dma_table_count(t), <=, EPC_DMA_MAX_RANGES);
        check(t, hole, -EFAULT);
    }
    check(t, 0, -EACCES);
    add(t, 1ull << 63, 0x1000, ENOSPC);
    epc_dma_table_free(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/epc-dma-table/cut", test_cut);
    g_test_add_func("/epc-dma-table/cut-limit", test_cut_limit);
    return g_test_run();
}
