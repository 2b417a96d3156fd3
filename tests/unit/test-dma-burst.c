/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of endpoint/dma-burst: who waits for a burst that a host makes
 * long
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "hw/pci-ep/endpoint/dma-burst.h"

#define WAIT_MS     20

static void count_call(void *opaque)
{
    ++*(unsigned *)opaque;
}

/* Waits for WAIT_MS, and returns whether the bursts are over. */
static bool drain(EpcDmaBursts *b, uint64_t functions)
{
    int64_t since = g_get_monotonic_time();
    bool over = epc_dma_bursts_drain(b, functions, WAIT_MS);

    if (!over) {
        g_assert_cmpint(g_get_monotonic_time() - since, >=, WAIT_MS * 1000);
    }
    return over;
}

static void test_drain(void)
{
    EpcDmaBurst one = { .channel = 0, .functions = BIT(1) };
    EpcDmaBurst two = { .channel = EPC_DMA_NO_CHANNEL, .functions = BIT(2) };
    EpcDmaBurst none = { .channel = 1 };
    EpcDmaBursts b = { };

    epc_dma_bursts_init(&b);
    g_assert_true(drain(&b, EPC_DMA_ALL_BURSTS));

    epc_dma_burst_begin(&b, &one);
    g_assert_false(drain(&b, BIT(1) | BIT(3)));
    g_assert_false(drain(&b, EPC_DMA_ALL_BURSTS));
    g_assert_true(drain(&b, BIT(2)));

    epc_dma_burst_begin(&b, &two);
    g_assert_false(drain(&b, BIT(2)));
    epc_dma_burst_end(&b, &one);
    g_assert_true(drain(&b, BIT(1)));
    g_assert_false(drain(&b, BIT(2)));
    epc_dma_burst_end(&b, &two);
    g_assert_true(drain(&b, EPC_DMA_ALL_BURSTS));

    /* Within the endpoint */
    epc_dma_burst_begin(&b, &none);
    g_assert_false(drain(&b, EPC_DMA_ALL_BURSTS));
    g_assert_true(drain(&b, BIT(0) | BIT(1)));
    epc_dma_burst_end(&b, &none);
    epc_dma_bursts_destroy(&b);
}

static void *drain_thread(void *opaque)
{
    return GUINT_TO_POINTER(epc_dma_bursts_drain(opaque, BIT(0), -1));
}

/* Who waits without a limit is woken by the end. */
static void test_wake(void)
{
    EpcDmaBurst burst = { .functions = BIT(0) };
    EpcDmaBursts b = { };
    GThread *t;

    epc_dma_bursts_init(&b);
    epc_dma_burst_begin(&b, &burst);
    t = g_thread_new("drain", drain_thread, &b);
    g_usleep(WAIT_MS * 1000);
    epc_dma_burst_end(&b, &burst);
    g_assert_nonnull(g_thread_join(t));
    epc_dma_bursts_destroy(&b);
}

static void test_after(void)
{
    EpcDmaBurst one = { .functions = BIT(1) };
    EpcDmaBurst two = { .functions = BIT(2) };
    EpcDmaBurst later = { .functions = BIT(1) };
    unsigned before = 0, calls = 0;
    EpcDmaBursts b = { };

    epc_dma_bursts_init(&b);
    g_assert_false(epc_dma_bursts_after(&b, count_call, &calls));

    epc_dma_burst_begin(&b, &one);
    epc_dma_burst_begin(&b, &two);
    g_assert_true(epc_dma_bursts_after(&b, count_call, &before));
    g_assert_true(epc_dma_bursts_after(&b, count_call, &calls));
    epc_dma_burst_begin(&b, &later);
    epc_dma_burst_end(&b, &two);
    g_assert_cmpuint(calls, ==, 0);
    epc_dma_burst_end(&b, &one);
    g_assert_cmpuint(calls, ==, 1);
    epc_dma_burst_end(&b, &later);
    g_assert_cmpuint(calls, ==, 1);
    g_assert_cmpuint(before, ==, 0);
    epc_dma_bursts_destroy(&b);
}

/* A channel that was disabled while a burst was under way */
static void test_late(void)
{
    EpcDmaBurst burst = { .channel = 3, .epoch = 7 };
    EpcDmaBursts b = { };

    epc_dma_bursts_init(&b);
    g_assert_false(epc_dma_bursts_late(&b, 3, 8));
    epc_dma_burst_begin(&b, &burst);
    g_assert_false(epc_dma_bursts_late(&b, 3, 7));
    g_assert_false(epc_dma_bursts_late(&b, 4, 8));
    g_assert_true(epc_dma_bursts_late(&b, 3, 8));
    epc_dma_burst_end(&b, &burst);
    g_assert_false(epc_dma_bursts_late(&b, 3, 8));
    epc_dma_bursts_destroy(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/epc-dma-burst/drain", test_drain);
    g_test_add_func("/epc-dma-burst/wake", test_wake);
    g_test_add_func("/epc-dma-burst/after", test_after);
    g_test_add_func("/epc-dma-burst/late", test_late);
    return g_test_run();
}
