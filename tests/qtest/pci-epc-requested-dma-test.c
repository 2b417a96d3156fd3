/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a fake host: requested faults of DMA, and what holds for
 * requested faults of all kinds
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "pci-ep/dma.h"
#include "pci-ep/wait.h"

#define SECOND      1000000         /* microseconds */

static uint32_t start_copy(EpDma *d, unsigned ch)
{
    uint32_t i = epdma_add_desc(d, ch, BUFFER, HOST, 64, TO_HOST);

    epdma_submit(d, ch);
    return i;
}

static uint32_t do_copy(EpDma *d)
{
    return epdma_copy(d, BUFFER, HOST, 64, TO_HOST);
}

static void expect_armed(EpDma *d, const char *text)
{
    g_autofree char *armed = epvm_prop_text(d->e, "fault");

    g_assert_cmpstr(armed, ==, text);
}

/* ---- The properties ---- */

static void test_properties(void)
{
    EpDma d = epdma_start("");
    QDict *rsp;

    expect_armed(&d, "");
    rsp = epvm_set_fault(d.e, "dma-fail,us=3");
    assert_qmp_error(rsp, "has no key 'us'");
    qobject_unref(rsp);
    rsp = epvm_set_fault(d.e, "no-such-fault");
    assert_qmp_error(rsp, "no fault 'no-such-fault'");
    qobject_unref(rsp);
    expect_armed(&d, "");

    epvm_request_fault(d.e, "dma-delay,us=7,jitter=9,chance=50");
    epvm_request_fault(d.e, "dma-drop,function=1");
    expect_armed(&d, "dma-delay,chance=50,us=7,jitter=9;dma-drop,function=1");
    epvm_request_fault(d.e, "clear");
    expect_armed(&d, "");
    epvm_expect_faults(d.e, 0, "dma-delay", NULL);

    g_assert_cmpint(epvm_prop(d.e, "fault-seed"), ==, 1);
    qobject_unref(qtest_qmp(d.e->q, "{'execute': 'qom-set', 'arguments': "
                            "{'path': '/machine/peripheral/epc', 'property': "
                            "'fault-seed', 'value': 77}}"));
    g_assert_cmpint(epvm_prop(d.e, "fault-seed"), ==, 77);
    epdma_end(&d);
}

/* Armed on the command line, where a comma is written twice */
static void test_command_line(void)
{
    EpDma d = epdma_start(",fault=dma-fail,,after=1");

    g_assert_cmpuint(do_copy(&d), ==, EPC_DMA_OK);
    g_assert_cmpuint(do_copy(&d), ==, EPC_DMA_IO);
    g_assert_cmpuint(do_copy(&d), ==, EPC_DMA_OK);
    epdma_end(&d);
}

/* A reset of the machine and one of the controller keep what is armed. */
static void test_reset(void)
{
    EpDma d = epdma_start("");

    epvm_request_fault(d.e, "dma-fail");
    qtest_system_reset(d.e->q);
    epvm_enable(d.e);
    epvm_set_reg(d.e, EPC_REG_RESET, EPC_RESET_MAGIC);
    expect_armed(&d, "dma-fail");
    epdma_enable(&d, 0, RING(0), 16);
    g_assert_cmpuint(epdma_copy(&d, BUFFER, BUFFER + 64, 4, 0), ==,
                     EPC_DMA_IO);
    expect_armed(&d, "");
    epdma_end(&d);
}

/* ---- Kinds ---- */

static void test_fail(void)
{
    EpDma d = epdma_start("");

    memset(d.mem, 0x11, 64);
    qtest_memset(d.e->q, BUFFER, 0x22, 64);
    epvm_request_fault(d.e, "dma-fail,count=2,after=1");
    g_assert_cmpuint(do_copy(&d), ==, EPC_DMA_OK);
    g_assert_cmphex(d.mem[63], ==, 0x22);
    memset(d.mem, 0x11, 64);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpuint(do_copy(&d), ==, EPC_DMA_IO);
        g_assert_cmpuint(epdma_last_desc_done(&d, 0), ==, 0);
        g_assert_cmphex(d.mem[0], ==, 0x11);
        g_assert_true(epvm_vector(d.e, EPC_VECTOR_DMA(0), EPVM_TIMEOUT_MS));
    }
    g_assert_cmpuint(do_copy(&d), ==, EPC_DMA_OK);
    epvm_expect_faults(d.e, 2, "dma-fail", NULL);
    epvm_expect_faults(d.e, 1, "dma-fail", "\"function\": 0, \"at\": 2}");
    g_assert_true(epvm_prop(d.e, "link-up"));
    epdma_end(&d);
}

/* A copy within the endpoint has no function. */
static void test_function(void)
{
    EpDma d = epdma_start(",functions=2");

    epvm_request_fault(d.e, "dma-fail,function=1,count=0");
    g_assert_cmpuint(do_copy(&d), ==, EPC_DMA_OK);
    g_assert_cmpuint(epdma_copy(&d, BUFFER, BUFFER + 64, 4, 0), ==,
                     EPC_DMA_OK);
    g_assert_cmpuint(epdma_copy(&d, BUFFER, HOST, 4, TO_HOST |
                                1 << EPC_DMA_DST_FN_SHIFT), ==, EPC_DMA_IO);
    epvm_request_fault(d.e, "clear");
    epvm_request_fault(d.e, "dma-fail,function=0");
    g_assert_cmpuint(do_copy(&d), ==, EPC_DMA_IO);
    epdma_end(&d);
}

static void test_chain(void)
{
    EpDma d = epdma_start("");

    epvm_request_fault(d.e, "dma-fail");
    epdma_add_desc(&d, 0, BUFFER, HOST, 4, TO_HOST | EPC_DMA_CHAIN);
    epdma_add_desc(&d, 0, BUFFER, HOST, 4, TO_HOST);
    epdma_submit(&d, 0);
    g_assert_cmpuint(epdma_wait_desc(&d, 0, 1), ==, EPC_DMA_IO);
    epvm_expect_faults(d.e, 1, "dma-fail", NULL);
    epdma_end(&d);
}

/*
 * One channel is held up for a second. Another one and the monitor go on, and
 * nothing is copied before the time is over.
 */
static void test_delay(void)
{
    EpDma d = epdma_start("");
    gint64 since, worst;
    uint32_t i, k;

    memset(d.mem, 0x11, 64);
    qtest_memset(d.e->q, BUFFER, 0x22, 64);
    epdma_enable(&d, 1, RING(1), 16);
    epvm_request_fault(d.e, "dma-delay,us=1000000");
    since = g_get_monotonic_time();
    i = start_copy(&d, 0);
    start_copy(&d, 0);
    k = epdma_add_desc(&d, 1, BUFFER, BUFFER + 64, 4, 0);
    epdma_submit(&d, 1);
    g_assert_cmpuint(epdma_wait_desc(&d, 1, k), ==, EPC_DMA_OK);
    worst = wait_monitor(d.e->q, SECOND / 2);
    g_test_message("the monitor took %d ms at most", (int)(worst / 1000));
    if (g_get_monotonic_time() - since < SECOND) {
        g_assert_cmphex(d.mem[0], ==, 0x11);
    }
    g_assert_cmpuint(epdma_wait_desc(&d, 0, i), ==, EPC_DMA_OK);
    g_assert_cmpint(g_get_monotonic_time() - since, >=, SECOND);
    g_assert_cmpint(worst, <, wait_scaled(SECOND / 10));
    g_assert_cmphex(d.mem[0], ==, 0x22);
    epdma_wait_consumer(&d, 0, 2);
    epvm_expect_faults(d.e, 1, "dma-delay", "\"at\": 0}");
    epdma_end(&d);
}

/* Each descriptor of several is late by itself. */
static void test_delay_each(void)
{
    EpDma d = epdma_start("");
    gint64 since;

    epvm_request_fault(d.e, "dma-delay,us=20000,jitter=1000,count=0");
    since = g_get_monotonic_time();
    for (unsigned i = 0; i < 5; i++) {
        epdma_add_desc(&d, 0, BUFFER, HOST, 4, TO_HOST);
    }
    epdma_submit(&d, 0);
    epdma_wait_consumer(&d, 0, 5);
    g_assert_cmpint(g_get_monotonic_time() - since, >=, 5 * 20000);
    epvm_expect_faults(d.e, 5, "dma-delay", NULL);
    epdma_end(&d);
}

/* Nothing ends the descriptor but what ends the work of its channel. */
static void test_drop(void)
{
    EpDma d = epdma_start("");
    uint32_t i;

    memset(d.mem, 0x11, 64);
    qtest_memset(d.e->q, BUFFER, 0x22, 64);
    epdma_enable(&d, 1, RING(1), 16);
    epvm_request_fault(d.e, "dma-drop");
    start_copy(&d, 0);
    start_copy(&d, 0);
    epvm_request_fault(d.e, "clear");
    /* The worker serves the channels in turn. */
    i = epdma_add_desc(&d, 1, BUFFER, BUFFER + MEM_SIZE, MEM_SIZE, 0);
    epdma_submit(&d, 1);
    g_assert_cmpuint(epdma_wait_desc(&d, 1, i), ==, EPC_DMA_OK);
    g_assert_cmpuint(epdma_desc_status(&d, 0, 0), ==, EPC_DMA_PENDING);
    g_assert_cmpuint(epdma_reg(&d, 0, EPC_DMA_CONSUMER), ==, 0);
    g_assert_cmphex(d.mem[0], ==, 0x11);

    /* ABORT ends it as it ends any other one. */
    epdma_set_reg(&d, 0, EPC_DMA_CTRL,
                  EPC_DMA_CTRL_ENABLE | EPC_DMA_CTRL_ABORT);
    g_assert_cmpuint(epdma_wait_desc(&d, 0, 1), ==, EPC_DMA_ABORTED);
    g_assert_cmpuint(epdma_desc_status(&d, 0, 0), ==, EPC_DMA_ABORTED);
    g_assert_cmpuint(do_copy(&d), ==, EPC_DMA_OK);

    /* A channel that was disabled begins anew. */
    epvm_request_fault(d.e, "dma-drop");
    start_copy(&d, 0);
    epdma_enable(&d, 0, RING(0), 16);
    g_assert_cmpuint(do_copy(&d), ==, EPC_DMA_OK);
    epvm_expect_faults(d.e, 1, "dma-drop", "\"at\": 3}");
    epdma_end(&d);
}

/* ---- Ends while a descriptor is held ---- */

static void hold_all(EpDma *d)
{
    epvm_request_fault(d->e, "dma-delay,us=1000000,count=0");
    for (unsigned ch = 0; ch < EPC_DMA_CHANNELS; ch++) {
        epdma_enable(d, ch, RING(ch), 16);
        start_copy(d, ch);
    }
    wait_until(epvm_count_faults(d->e, "dma-delay", NULL) == EPC_DMA_CHANNELS,
               "the descriptors to be held");
}

static void test_end_reset(void)
{
    EpDma d = epdma_start("");

    hold_all(&d);
    epvm_set_reg(d.e, EPC_REG_RESET, EPC_RESET_MAGIC);
    g_assert_cmphex(epdma_reg(&d, 0, EPC_DMA_STATE), ==, 0);
    epvm_request_fault(d.e, "clear");
    epdma_enable(&d, 0, RING(0), 16);
    g_assert_cmpuint(epdma_copy(&d, BUFFER, BUFFER + 64, 4, 0), ==,
                     EPC_DMA_OK);
    epdma_end(&d);
}

static void test_end_stop(void)
{
    EpDma d = epdma_start("");

    hold_all(&d);
    epvm_set_reg(d.e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    fakehost_link(d.c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(d.e), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epdma_wait_desc(&d, 0, 0), ==, EPC_DMA_NO_LINK);
    epdma_end(&d);
}

/* The machine ends, with the device, while descriptors are held. */
static void test_end_exit(void)
{
    EpDma d = epdma_start("");

    hold_all(&d);
    epdma_end(&d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/requested/properties", test_properties);
    qtest_add_func("/pci-epc/requested/command-line", test_command_line);
    qtest_add_func("/pci-epc/requested/reset", test_reset);
    qtest_add_func("/pci-epc/requested/dma/fail", test_fail);
    qtest_add_func("/pci-epc/requested/dma/function", test_function);
    qtest_add_func("/pci-epc/requested/dma/chain", test_chain);
    qtest_add_func("/pci-epc/requested/dma/delay", test_delay);
    qtest_add_func("/pci-epc/requested/dma/delay-each", test_delay_each);
    qtest_add_func("/pci-epc/requested/dma/drop", test_drop);
    qtest_add_func("/pci-epc/requested/dma/end/reset", test_end_reset);
    qtest_add_func("/pci-epc/requested/dma/end/stop", test_end_stop);
    qtest_add_func("/pci-epc/requested/dma/end/exit", test_end_exit);
    return g_test_run();
}
