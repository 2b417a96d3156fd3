/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pci-epc with virtual functions, and scripted hosts of all
 */
#include "qemu/osdep.h"
#include "pci-ep-endpoint-vf.h"

#include <sys/mman.h>

uint32_t epv_reg(EpEndpoint *e, unsigned fn, uint32_t reg)
{
    epe_select(e, fn);
    return epe_fn(e, reg);
}

uint32_t epv_set_header(EpEndpoint *e, unsigned fn)
{
    epe_select(e, fn);
    epe_fn_set(e, EPC_FN_ID, VF_ID << 16 | 0xffff);
    epe_fn_set(e, EPC_FN_CLASS, VF_CLASS);
    epe_fn_set(e, EPC_FN_SUBSYS, 0x56781234);
    epe_fn_set(e, EPC_FN_INT_PIN, 5);
    return epe_command(e, EPC_CMD_SET_HEADER);
}

void epv_describe(EpEndpoint *e, unsigned fn)
{
    epe_select(e, fn);
    g_assert_cmpuint(epe_set_bar(e, 0, EPC_BAR_FLAG_64, BAR(fn), BAR_SIZE), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epe_set_msix(e, 8, 0, TABLE), ==, EPC_STATUS_OK);
    qtest_writel(e->q, BAR(fn), 0xba000000 + fn);
}

EpEndpoint *epv_start(const char *props)
{
    g_autofree char *all = g_strdup_printf(",functions=%u,vfs=%u%s", FUNCTIONS,
                                           VFS, props);
    EpEndpoint *e = epe_start(EPE_SHARED, all);

    epe_set_header(e, EPE_ID, 1);
    epe_select(e, 1);
    epe_set_header(e, EPE_ID, 1);
    return e;
}

EpEndpoint *epv_start_all(const char *props)
{
    EpEndpoint *e = epv_start(props);

    g_assert_cmpuint(epv_set_header(e, VF(1)), ==, EPC_STATUS_OK);
    for (unsigned k = 1; k <= VFS; k++) {
        epv_describe(e, VF(k));
    }
    return e;
}

void epv_up(EpVfHosts *h)
{
    for (unsigned i = 0; i < NUMBERS; i++) {
        pep_link(h->c[i], VFU_EP_LINK_UP);
        g_assert_cmphex(h->c[i]->functions, ==, ALL);
        g_assert_cmpint(pep_dma_map(h->c[i], HOST, MEM_SIZE, h->fd, 0, RW), ==,
                        0);
    }
    epe_wait_link(h->e, true);
}

void epv_attach(EpVfHosts *h)
{
    h->fd = pep_memfd(MEM_SIZE, &h->mem);
    for (unsigned i = 0; i < NUMBERS; i++) {
        h->c[i] = epe_join(h->e, i, NULL);
    }
    g_assert_cmpuint(epe_link(h->e, EPC_LINK_START), ==, EPC_STATUS_OK);
    epv_up(h);
}

void epv_begin(EpVfHosts *h)
{
    h->e = epv_start_all("");
    epv_attach(h);
}

void epv_end(EpVfHosts *h)
{
    epe_stop(h->e);
    for (unsigned i = 0; i < NUMBERS; i++) {
        g_assert_true(pep_wait_closed(h->c[i], PEP_TIMEOUT_MS));
        pep_free(h->c[i]);
    }
    munmap(h->mem, MEM_SIZE);
    close(h->fd);
}

void epv_enable(EpVfHosts *h, unsigned num)
{
    pep_set_config(h->c[0], NUM, 2, num);
    pep_set_config(h->c[0], CTRL, 2, ENABLE);
    for (unsigned k = 1; k <= num; k++) {
        pep_set_config(h->c[VF(k)], PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    }
    g_assert_cmphex(epv_reg(h->e, 0, EPC_FN_VFS), ==, ENABLED(num));
}

void epv_check(EpVfHosts *h, unsigned n, bool enabled, bool master)
{
    uint32_t dropped = epv_reg(h->e, n, EPC_FN_INBOUND_DROPPED);
    uint32_t word;

    g_assert_cmphex(epe_fn(h->e, EPC_FN_PCI_COMMAND), ==,
                    (master ? PCI_COMMAND_MASTER : 0) |
                    (enabled ? PCI_COMMAND_MEMORY : 0));
    g_assert_cmpuint(epe_map(h->e, n * 0x10000, HOST, 0x1000), ==,
                     master ? EPC_STATUS_OK : EPC_STATUS_NOT_MAPPED);
    g_assert_cmpint(pep_read(h->c[n], 0, 0, &word, 4), ==, 0);
    g_assert_cmphex(word, ==, enabled ? 0xba000000 + n : UINT32_MAX);
    word = n;
    g_assert_cmpint(pep_write(h->c[n], 0, 4, &word, 4), ==, 0);
    g_assert_cmphex(qtest_readl(h->e->q, BAR(n) + 4), ==, enabled ? n : 0);
    qtest_writel(h->e->q, BAR(n) + 4, 0);
    g_assert_cmpuint(epe_fn(h->e, EPC_FN_INBOUND_DROPPED), ==,
                     dropped + !enabled);
}

void epv_check_disabled(EpVfHosts *h)
{
    g_assert_cmphex(epv_reg(h->e, 0, EPC_FN_VFS), ==, 0);
    for (unsigned k = 1; k <= VFS; k++) {
        epv_check(h, VF(k), false, false);
    }
}
