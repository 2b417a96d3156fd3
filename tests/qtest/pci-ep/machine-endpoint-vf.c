/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pci-epc with virtual functions, and fake hosts of all
 */
#include "qemu/osdep.h"
#include "machine-endpoint-vf.h"

#include <sys/mman.h>

uint32_t epvm_vf_reg(EpVm *e, unsigned fn, uint32_t reg)
{
    epvm_select(e, fn);
    return epvm_fn_reg(e, reg);
}

uint32_t epvm_vf_set_header(EpVm *e, unsigned fn)
{
    epvm_select(e, fn);
    epvm_set_fn_reg(e, EPC_FN_ID, VF_ID << 16 | 0xffff);
    epvm_set_fn_reg(e, EPC_FN_CLASS, VF_CLASS);
    epvm_set_fn_reg(e, EPC_FN_SUBSYS, 0x56781234);
    epvm_set_fn_reg(e, EPC_FN_INT_PIN, 5);
    return epvm_command(e, EPC_CMD_SET_HEADER);
}

void epvm_vf_describe(EpVm *e, unsigned fn)
{
    epvm_select(e, fn);
    g_assert_cmpuint(epvm_set_bar(e, 0, EPC_BAR_FLAG_64, BAR(fn), BAR_SIZE), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_msix(e, 8, 0, TABLE), ==, EPC_STATUS_OK);
    qtest_writel(e->q, BAR(fn), 0xba000000 + fn);
}

EpVm *epvm_vf_start(const char *props)
{
    g_autofree char *all = g_strdup_printf(",functions=%u,vfs=%u%s", FUNCTIONS,
                                           VFS, props);
    EpVm *e = epvm_start(EPVM_SHARED, all);

    epvm_set_header(e, EPVM_ID, 1);
    epvm_select(e, 1);
    epvm_set_header(e, EPVM_ID, 1);
    return e;
}

EpVm *epvm_vf_start_all(const char *props)
{
    EpVm *e = epvm_vf_start(props);

    g_assert_cmpuint(epvm_vf_set_header(e, VF(1)), ==, EPC_STATUS_OK);
    for (unsigned k = 1; k <= VFS; k++) {
        epvm_vf_describe(e, VF(k));
    }
    return e;
}

void epvm_vf_up(EpVmVf *h)
{
    for (unsigned i = 0; i < NUMBERS; i++) {
        fakehost_link(h->c[i], VFU_EP_LINK_UP);
        g_assert_cmphex(h->c[i]->functions, ==, ALL);
        g_assert_cmpint(fakehost_dma_map(h->c[i], HOST, MEM_SIZE, h->fd, 0, RW),
                        ==, 0);
    }
    epvm_wait_link(h->e, true);
}

void epvm_vf_attach(EpVmVf *h)
{
    h->fd = fakehost_memfd(MEM_SIZE, &h->mem);
    for (unsigned i = 0; i < NUMBERS; i++) {
        h->c[i] = epvm_join(h->e, i, NULL);
    }
    g_assert_cmpuint(epvm_link_command(h->e, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    epvm_vf_up(h);
}

void epvm_vf_begin(EpVmVf *h)
{
    h->e = epvm_vf_start_all("");
    epvm_vf_attach(h);
}

void epvm_vf_end(EpVmVf *h)
{
    epvm_stop(h->e);
    for (unsigned i = 0; i < NUMBERS; i++) {
        g_assert_true(fakehost_wait_closed(h->c[i], FAKEHOST_TIMEOUT_MS));
        fakehost_free(h->c[i]);
    }
    munmap(h->mem, MEM_SIZE);
    close(h->fd);
}

void epvm_vf_enable(EpVmVf *h, unsigned num)
{
    fakehost_set_config(h->c[0], NUM, 2, num);
    fakehost_set_config(h->c[0], CTRL, 2, ENABLE);
    for (unsigned k = 1; k <= num; k++) {
        fakehost_set_config(h->c[VF(k)], PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    }
    g_assert_cmphex(epvm_vf_reg(h->e, 0, EPC_FN_VFS), ==, ENABLED(num));
}

void epvm_vf_check(EpVmVf *h, unsigned n, bool enabled, bool master)
{
    uint32_t dropped = epvm_vf_reg(h->e, n, EPC_FN_INBOUND_DROPPED);
    uint32_t word;

    g_assert_cmphex(epvm_fn_reg(h->e, EPC_FN_PCI_COMMAND), ==,
                    (master ? PCI_COMMAND_MASTER : 0) |
                    (enabled ? PCI_COMMAND_MEMORY : 0));
    g_assert_cmpuint(epvm_map(h->e, n * 0x10000, HOST, 0x1000), ==,
                     master ? EPC_STATUS_OK : EPC_STATUS_NOT_MAPPED);
    g_assert_cmpint(fakehost_read(h->c[n], 0, 0, &word, 4), ==, 0);
    g_assert_cmphex(word, ==, enabled ? 0xba000000 + n : UINT32_MAX);
    word = n;
    g_assert_cmpint(fakehost_write(h->c[n], 0, 4, &word, 4), ==, 0);
    g_assert_cmphex(qtest_readl(h->e->q, BAR(n) + 4), ==, enabled ? n : 0);
    qtest_writel(h->e->q, BAR(n) + 4, 0);
    g_assert_cmpuint(epvm_fn_reg(h->e, EPC_FN_INBOUND_DROPPED), ==,
                     dropped + !enabled);
}

void epvm_vf_check_disabled(EpVmVf *h)
{
    g_assert_cmphex(epvm_vf_reg(h->e, 0, EPC_FN_VFS), ==, 0);
    for (unsigned k = 1; k <= VFS; k++) {
        epvm_vf_check(h, VF(k), false, false);
    }
}
