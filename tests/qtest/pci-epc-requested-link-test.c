/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a fake host: requested faults of the link
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "pci-ep/dma.h"
#include "pci-ep/machine-port.h"
#include "pci-ep/wait.h"

#include <sys/eventfd.h>

#define PAGE        0x1000u
#define LINK_BITS   (EPC_LINK_ENABLED | EPC_LINK_UP)

static void watch_events(EpVm *e)
{
    epvm_set_reg(e, EPC_REG_EVENT_MASK, EPC_EVENT_LINK);
    epvm_set_reg(e, EPC_REG_EVENT, EPC_EVENT_LINK);
    fence_main_loop(e->q);
    epvm_vector(e, EPC_VECTOR_EVENT, 0);
}

/* The driver of the endpoint gets an event, and finds the link @up. */
static void expect_event(EpVm *e, bool up)
{
    g_assert_true(epvm_vector(e, EPC_VECTOR_EVENT, EPVM_TIMEOUT_MS));
    g_assert_cmphex(epvm_reg(e, EPC_REG_EVENT), ==, EPC_EVENT_LINK);
    epvm_set_reg(e, EPC_REG_EVENT, EPC_EVENT_LINK);
    g_assert_cmphex(epvm_reg(e, EPC_REG_LINK) & LINK_BITS, ==,
                    EPC_LINK_ENABLED | (up ? EPC_LINK_UP : 0));
}

static void host_sees(EpDma *d, bool up)
{
    fakehost_link(d->c, up ? VFU_EP_LINK_UP : VFU_EP_LINK_DOWN);
    epvm_wait_link(d->e, up);
}

static void test_down(void)
{
    EpDma d = epdma_start("");
    uint32_t status = epvm_reg(d.e, EPC_REG_LINK_STATUS);
    int64_t generation = epvm_prop(d.e, "generation");

    watch_events(d.e);
    epvm_request_fault(d.e, "link-down");
    host_sees(&d, false);
    expect_event(d.e, false);
    g_assert_cmpuint(epvm_reg(d.e, EPC_REG_LINK_STATUS), ==, status);
    g_assert_cmpuint(epvm_reg(d.e, EPC_REG_LINK_CMD), ==, EPC_LINK_START);
    epvm_expect_no_command(d.e, d.c, VFU_CMD_EP_LINK);

    epvm_request_fault(d.e, "link-up");
    host_sees(&d, true);
    expect_event(d.e, true);
    g_assert_cmpint(epvm_prop(d.e, "generation"), ==, generation + 1);
    epvm_request_fault(d.e, "link-up");     /* has no effect */
    epvm_expect_faults(d.e, 1, "link-down", "\"function\": null, \"at\": 0}");
    epvm_expect_faults(d.e, 1, "link-up", NULL);
    epdma_end(&d);
}

/* The link comes back by itself. */
static void test_time(const void *request)
{
    EpDma d = epdma_start("");
    g_autofree char *text = g_strdup_printf("%s,ms=300", (char *)request);
    gint64 since;

    watch_events(d.e);
    for (unsigned i = 0; i < 2; i++) {
        since = g_get_monotonic_time();
        epvm_request_fault(d.e, text);
        host_sees(&d, false);
        expect_event(d.e, false);
        host_sees(&d, true);
        g_assert_cmpint(g_get_monotonic_time() - since, >=, 300 * 1000);
        expect_event(d.e, true);
    }
    epvm_expect_faults(d.e, 2, request, NULL);
    epvm_expect_faults(d.e, 2, "link-up", NULL);
    epdma_end(&d);
}

/* Without a time it comes back as soon as the host has let go. */
static void test_flap_at_once(void)
{
    EpDma d = epdma_start("");

    watch_events(d.e);
    epvm_request_fault(d.e, "link-flap");
    fence_main_loop(d.e->q);
    epvm_expect_faults(d.e, 1, "link-flap", NULL);
    fakehost_link(d.c, VFU_EP_LINK_DOWN);
    fakehost_link(d.c, VFU_EP_LINK_UP);
    epvm_wait_link(d.e, true);
    epdma_end(&d);
}

/* The host has not answered yet, and its memory is out of reach already. */
static void test_memory(void)
{
    EpDma d = epdma_start("");

    g_assert_cmpuint(epvm_map(d.e, 0, HOST, PAGE), ==, EPC_STATUS_OK);
    memset(d.mem, 0x11, PAGE);
    g_assert_cmphex(qtest_readl(d.e->q, EPVM_WINDOW), ==, 0x11111111);
    epvm_request_fault(d.e, "link-down");
    g_assert_cmphex(qtest_readl(d.e->q, EPVM_WINDOW), ==, UINT32_MAX);
    g_assert_cmpuint(epdma_copy(&d, HOST, BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NO_LINK);
    host_sees(&d, false);
    epvm_request_fault(d.e, "link-up");
    host_sees(&d, true);
    /* as after START: the host allows it anew */
    g_assert_cmphex(qtest_readl(d.e->q, EPVM_WINDOW), ==, UINT32_MAX);
    fakehost_set_config(d.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    g_assert_cmpint(fakehost_dma_map(d.c, HOST, MEM_SIZE, d.fd, 0, RW), ==, 0);
    g_assert_cmphex(qtest_readl(d.e->q, EPVM_WINDOW), ==, 0x11111111);
    epdma_end(&d);
}

/*
 * The link is mended before the host knows that it went down. Until the host
 * has answered, its memory stays out of reach all the same.
 */
static void test_memory_mended(void)
{
    EpDma d = epdma_start("");

    g_assert_cmpuint(epvm_map(d.e, 0, HOST, PAGE), ==, EPC_STATUS_OK);
    memset(d.mem, 0x11, PAGE);
    epvm_request_fault(d.e, "link-down");
    epvm_request_fault(d.e, "link-up");
    g_assert_cmphex(qtest_readl(d.e->q, EPVM_WINDOW), ==, UINT32_MAX);
    g_assert_cmpuint(epdma_copy(&d, HOST, BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NO_LINK);
    g_assert_cmpuint(epvm_map(d.e, PAGE, HOST, PAGE), !=, EPC_STATUS_OK);
    host_sees(&d, false);
    host_sees(&d, true);
    epdma_end(&d);
}

/* START and STOP while the link is cut */
static void test_commands(void)
{
    EpDma d = epdma_start("");

    epvm_request_fault(d.e, "link-down");
    epvm_set_reg(d.e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    fakehost_link(d.c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(d.e), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_link_command(d.e, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_link_command(d.e, EPC_LINK_STOP), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_link_command(d.e, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    epvm_expect_no_command(d.e, d.c, VFU_CMD_EP_LINK);
    g_assert_cmphex(epvm_reg(d.e, EPC_REG_LINK) & LINK_BITS, ==,
                    EPC_LINK_ENABLED);
    epvm_request_fault(d.e, "link-up");
    host_sees(&d, true);

    /* mended while it is stopped: START decides */
    epvm_request_fault(d.e, "link-down");
    fakehost_link(d.c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_link_command(d.e, EPC_LINK_STOP), ==, EPC_STATUS_OK);
    epvm_request_fault(d.e, "link-up");
    epvm_expect_no_command(d.e, d.c, VFU_CMD_EP_LINK);
    g_assert_cmpuint(epvm_link_command(d.e, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    host_sees(&d, true);
    epdma_end(&d);
}

/* The link is mended before the host has answered that it went down. */
static void test_early(void)
{
    EpDma d = epdma_start("");

    epvm_request_fault(d.e, "link-down");
    epvm_request_fault(d.e, "link-up");
    fakehost_link(d.c, VFU_EP_LINK_DOWN);
    fakehost_link(d.c, VFU_EP_LINK_UP);
    epvm_wait_link(d.e, true);
    epdma_end(&d);
}

/* A host that does not answer loses its session, and may come again. */
static void test_silent(void)
{
    EpDma d = epdma_start(",deadline-ms=200");

    epvm_request_fault(d.e, "link-down");
    g_assert_true(fakehost_wait_closed(d.c, FAKEHOST_TIMEOUT_MS));
    epvm_wait_link(d.e, false);
    fakehost_free(d.c);
    d.c = fakehost_attach(d.e->socket, NULL);
    epvm_expect_no_command(d.e, d.c, VFU_CMD_EP_LINK);
    epvm_request_fault(d.e, "link-up");
    host_sees(&d, true);
    epdma_end(&d);
}

/* A reset of the machine does not mend the link. */
static void test_reset(void)
{
    EpDma d = epdma_start("");

    epvm_request_fault(d.e, "link-down");
    fakehost_link(d.c, VFU_EP_LINK_DOWN);
    qtest_system_reset(d.e->q);
    epvm_enable(d.e);
    epvm_describe(d.e);
    g_assert_cmpuint(epvm_link_command(d.e, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    epvm_expect_no_command(d.e, d.c, VFU_CMD_EP_LINK);
    epvm_request_fault(d.e, "link-up");
    host_sees(&d, true);
    epdma_end(&d);
}

/* Nothing is there to be cut yet. */
static void test_too_early(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, " -device pcie-root-port,id=rp,addr=9");
    QDict *rsp = qtest_qmp(e->q, "{'execute': 'device_add', 'arguments': "
                           "{'driver': 'pci-epc', 'id': 'other', 'bus': 'rp', "
                           "'socket': '/nowhere', 'fault': 'link-down'}}");

    assert_qmp_error(rsp, "cannot happen before the device exists");
    qobject_unref(rsp);
    epvm_request_fault(e, "link-down,ms=1");    /* of a link that is down */
    wait_until(epvm_count_faults(e, "link-up", NULL) == 1, "the link to mend");
    epvm_stop(e);
}

/* The machine ends while the link is cut and a timer runs. */
static void test_exit(void)
{
    EpDma d = epdma_start("");

    epvm_request_fault(d.e, "link-down,ms=100");
    fakehost_link(d.c, VFU_EP_LINK_DOWN);
    epdma_end(&d);
}

/*
 * The machine ejects the device while the link is cut for a time, a descriptor
 * is held, and an interrupt is to come again.
 */
static void test_eject(void)
{
    EpVm *e = epvm_start_behind_port("");
    FakeHost *c = epvm_attach(e);
    uint64_t power = epvm_port_config(e, PCI_CAP_ID_EXP) + PCI_EXP_SLTCTL;
    uint64_t ch = epvm_reg(e, EPC_REG_DMA_BASE);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    fakehost_set_config(c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    fakehost_set_config(c, fakehost_find_cap(c, PCI_CAP_ID_MSIX) +
                        PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
    g_assert_cmpint(fakehost_set_irq(c, VFU_IRQ_MSIX, 0, fd), ==, 0);
    epvm_request_fault(e, "irq-double,us=100000");
    epvm_raise(e, EPC_RAISE_MSIX(0), 0);
    epvm_request_fault(e, "dma-delay,us=100000");
    epvm_write(e, ch + EPC_DMA_RING, 8, RING(0));
    epvm_write(e, ch + EPC_DMA_SIZE, 4, 16);
    epvm_write(e, ch + EPC_DMA_CTRL, 4, EPC_DMA_CTRL_ENABLE);
    epvm_write(e, ch + EPC_DMA_PRODUCER, 4, 1);
    epvm_request_fault(e, "link-down,ms=100");
    epvm_expect_faults(e, 1, "irq-double", NULL);
    epvm_expect_faults(e, 1, "dma-delay", NULL);

    qtest_writew(e->q, power, PCI_EXP_SLTCTL_PWR_OFF |
                 PCI_EXP_SLTCTL_PWR_IND_OFF);
    qtest_qmp_eventwait(e->q, "DEVICE_DELETED");
    g_usleep(200 * 1000);       /* the time of all three */
    fence_main_loop(e->q);
    fakehost_free(c);
    close(fd);
    epvm_stop(e);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/requested/link/down", test_down);
    qtest_add_data_func("/pci-epc/requested/link/down-for", "link-down",
                        test_time);
    qtest_add_data_func("/pci-epc/requested/link/flap", "link-flap",
                        test_time);
    qtest_add_func("/pci-epc/requested/link/flap-at-once", test_flap_at_once);
    qtest_add_func("/pci-epc/requested/link/memory", test_memory);
    qtest_add_func("/pci-epc/requested/link/memory-mended",
                   test_memory_mended);
    qtest_add_func("/pci-epc/requested/link/commands", test_commands);
    qtest_add_func("/pci-epc/requested/link/early", test_early);
    qtest_add_func("/pci-epc/requested/link/silent", test_silent);
    qtest_add_func("/pci-epc/requested/link/reset", test_reset);
    qtest_add_func("/pci-epc/requested/link/too-early", test_too_early);
    qtest_add_func("/pci-epc/requested/link/exit", test_exit);
    qtest_add_func("/pci-epc/requested/link/eject", test_eject);
    return g_test_run();
}
