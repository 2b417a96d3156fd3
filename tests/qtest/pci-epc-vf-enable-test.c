/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual functions of a pci-epc: what the host does with them
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "pci-ep/machine-endpoint-vf.h"

#include <sys/eventfd.h>

#define OTHER_SLOT  7

static void test_enable(void)
{
    EpVmVf h;

    epvm_vf_begin(&h);
    /* What comes too early is lost */
    fakehost_set_config(h.c[VF(1)], PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    epvm_vf_check_disabled(&h);

    epvm_vf_enable(&h, 2);
    epvm_vf_check(&h, VF(1), true, true);
    epvm_vf_check(&h, VF(2), true, true);
    epvm_vf_check(&h, VF(3), false, false);
    fakehost_set_config(h.c[VF(3)], PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    epvm_vf_check(&h, VF(3), false, false);

    /* The rest of Command is not theirs */
    fakehost_set_config(h.c[VF(1)], PCI_COMMAND, 2, 0xffff);
    g_assert_cmphex(fakehost_config(h.c[VF(1)], PCI_COMMAND, 2), ==,
                    PCI_COMMAND_MASTER);
    fakehost_set_config(h.c[0], CTRL, 2, PCI_SRIOV_CTRL_VFE);
    g_assert_cmphex(epvm_vf_reg(h.e, VF(1), EPC_FN_PCI_COMMAND), ==,
                    PCI_COMMAND_MASTER);
    epvm_vf_end(&h);
}

static void test_disable(void)
{
    EpVmVf h;

    epvm_vf_begin(&h);
    for (unsigned i = 0; i < 2; i++) {
        epvm_vf_enable(&h, i ? 1 : VFS);
        epvm_vf_check(&h, VF(1), true, true);
        h.mem[0] = 0xa5;
        g_assert_cmphex(qtest_readb(h.e->q, WINDOW(VF(1))), ==, 0xa5);

        fakehost_set_config(h.c[0], CTRL, 2, PCI_SRIOV_CTRL_MSE);
        g_assert_cmphex(epvm_vf_reg(h.e, 0, EPC_FN_VFS), ==, EPC_FN_VFS_MEMORY);
        g_assert_cmphex(qtest_readb(h.e->q, WINDOW(VF(1))), ==, 0xff);
        fakehost_set_config(h.c[0], CTRL, 2, 0);
        epvm_vf_check_disabled(&h);
    }
    /* Enabled again they are as after a reset. */
    fakehost_set_config(h.c[0], CTRL, 2, ENABLE);
    epvm_vf_check(&h, VF(1), true, false);
    epvm_vf_end(&h);
}

/* One more controller, to whose window BAR 2 of a virtual function leads */
static void test_window(void)
{
    g_autofree char *dir = g_dir_make_tmp("pci-epc-XXXXXX", NULL);
    g_autofree char *socket = g_strdup_printf("%s/link", dir);
    g_autofree char *props = g_strdup_printf(" -device pci-epc,id=epc2,addr=%d,"
                                             "socket=%s", OTHER_SLOT, socket);
    EpVm *other;
    EpVmVf h;

    h.e = epvm_vf_start_all(props);
    other = epvm_find(h.e->q, OTHER_SLOT, 1);
    epvm_select(h.e, VF(1));
    g_assert_cmpuint(epvm_set_bar(h.e, 2, 0, other->window, BAR_SIZE), ==,
                     EPC_STATUS_OK);
    epvm_vf_attach(&h);

    for (unsigned i = 0; i < 3; i++) {
        uint32_t dropped = epvm_vf_reg(h.e, VF(1), EPC_FN_INBOUND_DROPPED);
        bool enabled = i == 1;
        uint32_t word = i;

        fakehost_set_config(h.c[0], NUM, 2, 1);
        fakehost_set_config(h.c[0], CTRL, 2, enabled ? ENABLE : 0);
        g_assert_cmpint(fakehost_write(h.c[VF(1)], 2, 4, &word, 4), ==, 0);
        g_assert_cmpuint(epvm_vf_reg(h.e, VF(1), EPC_FN_INBOUND_DROPPED), ==,
                         dropped + !enabled);
    }
    epvm_find_free(other);
    epvm_vf_end(&h);
    rmdir(dir);
}

/* A register that the endpoint added, and what the host writes there */
static void test_added(void)
{
    FakeHost *c;
    unsigned at;
    EpVmVf h;

    h.e = epvm_vf_start_all("");
    epvm_select(h.e, VF(1));
    epvm_set_fn_reg(h.e, EPC_FN_CAP_ID, EPC_CAP_EXT | PCI_EXT_CAP_ID_VNDR);
    epvm_set_fn_reg64(h.e, EPC_FN_SIZE, 0x10);
    g_assert_cmpuint(epvm_command(h.e, EPC_CMD_ADD_CAP), ==, EPC_STATUS_OK);
    at = epvm_fn_reg(h.e, EPC_FN_CAP_OFFSET) + 8;
    epvm_set_fn_reg64(h.e, EPC_FN_OFFSET, at);
    epvm_set_fn_reg64(h.e, EPC_FN_SIZE, 4);
    epvm_set_fn_reg(h.e, EPC_FN_VALUE, 0x11);
    epvm_set_fn_reg(h.e, EPC_FN_WMASK, 0xff);
    g_assert_cmpuint(epvm_command(h.e, EPC_CMD_WRITE_CONFIG), ==,
                     EPC_STATUS_OK);
    epvm_vf_attach(&h);
    c = h.c[VF(1)];

    fakehost_set_config(c, at, 4, 0x22);
    g_assert_cmphex(epvm_vf_reg(h.e, VF(1), EPC_FN_WRITE_INFO), ==, 0);
    g_assert_cmphex(fakehost_config(c, at, 4), ==, 0x11);
    epvm_vf_enable(&h, 1);
    fakehost_set_config(c, at, 4, 0x33);
    g_assert_cmphex(epvm_vf_reg(h.e, VF(1), EPC_FN_WRITE_INFO), ==,
                    EPC_WRITE_VALID | 4 << 16 | at);
    g_assert_cmphex(fakehost_config(c, at, 4), ==, 0x33);
    fakehost_set_config(h.c[0], CTRL, 2, 0);
    g_assert_cmphex(epvm_vf_reg(h.e, VF(1), EPC_FN_WRITE_INFO), ==, 0);
    g_assert_cmphex(fakehost_config(c, at, 4), ==, 0x11);
    epvm_vf_end(&h);
}

static bool take_fn_events(EpVm *e, unsigned fn, uint32_t want)
{
    uint32_t got = epvm_vf_reg(e, fn, EPC_FN_EVENT);

    epvm_set_fn_reg(e, EPC_FN_EVENT, EPC_FN_EVENT_ALL);
    return got == want;
}

static void test_events(void)
{
    EpVm *e;
    EpVmVf h;

    epvm_vf_begin(&h);
    e = h.e;
    for (unsigned i = 0; i < NUMBERS; i++) {
        g_assert_true(take_fn_events(e, i, 0));
        epvm_set_fn_reg(e, EPC_FN_EVENT_MASK, EPC_FN_EVENT_ALL);
    }
    fakehost_set_config(h.c[0], NUM, 2, 2);
    g_assert_cmphex(epvm_reg(e, EPC_REG_FN_PENDING), ==, 0);
    fakehost_set_config(h.c[0], CTRL, 2, PCI_SRIOV_CTRL_VFE);
    g_assert_cmphex(epvm_reg(e, EPC_REG_FN_PENDING), ==, 1);
    g_assert_true(epvm_vector(e, EPC_VECTOR_EVENT, EPVM_TIMEOUT_MS));
    g_assert_true(take_fn_events(e, 0, EPC_FN_EVENT_VFS));

    fakehost_set_config(h.c[0], CTRL, 2, ENABLE);
    g_assert_cmphex(epvm_reg(e, EPC_REG_FN_PENDING), ==,
                    1 | BIT(VF(1)) | BIT(VF(2)));
    g_assert_true(take_fn_events(e, 0, EPC_FN_EVENT_VFS));
    g_assert_true(take_fn_events(e, VF(1), EPC_FN_EVENT_COMMAND));
    g_assert_true(take_fn_events(e, VF(2), EPC_FN_EVENT_COMMAND));
    fakehost_set_config(h.c[VF(2)], PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    g_assert_true(take_fn_events(e, VF(2), EPC_FN_EVENT_COMMAND));
    g_assert_true(take_fn_events(e, VF(1), 0));

    fakehost_set_config(h.c[0], CTRL, 2, PCI_SRIOV_CTRL_VFE);
    g_assert_true(take_fn_events(e, 0, EPC_FN_EVENT_VFS));
    g_assert_true(take_fn_events(e, VF(1), EPC_FN_EVENT_COMMAND));
    g_assert_true(take_fn_events(e, VF(2), EPC_FN_EVENT_COMMAND));
    fakehost_set_config(h.c[0], CTRL, 2, 0);
    g_assert_true(take_fn_events(e, 0, EPC_FN_EVENT_VFS));
    g_assert_true(take_fn_events(e, VF(1), 0));
    g_assert_true(take_fn_events(e, VF(2), EPC_FN_EVENT_COMMAND));
    g_assert_true(take_fn_events(e, VF(3), 0));
    epvm_vf_end(&h);
}

/* ---- DMA and interrupts ---- */

static void check_interrupts(const char *props)
{
    int irq = eventfd(0, EFD_NONBLOCK);
    uint32_t dropped;
    unsigned cap;
    EpVmVf h;

    h.e = epvm_vf_start_all(props);
    epvm_vf_attach(&h);
    epvm_vf_enable(&h, 1);
    cap = fakehost_find_cap(h.c[VF(1)], PCI_CAP_ID_MSIX);
    g_assert_cmpint(fakehost_set_irq(h.c[VF(1)], VFU_IRQ_MSIX, 3, irq), ==, 0);
    fakehost_set_config(h.c[VF(1)], cap + PCI_MSIX_FLAGS, 2,
                        PCI_MSIX_FLAGS_ENABLE);
    g_assert_cmphex(epvm_vf_reg(h.e, VF(1), EPC_FN_MSIX), ==,
                    EPC_FN_IRQ_ENABLED | 8);
    epvm_raise(h.e, EPC_RAISE_MSIX(3), 0);
    g_assert_cmpuint(fakehost_wait_eventfd(irq, FAKEHOST_TIMEOUT_MS), ==, 1);

    dropped = epvm_fn_reg(h.e, EPC_FN_RAISE_DROPPED);
    epvm_raise(h.e, EPC_RAISE_INTX, 1);
    g_assert_cmpuint(epvm_fn_reg(h.e, EPC_FN_RAISE_DROPPED), ==, dropped + 1);

    fakehost_set_config(h.c[0], CTRL, 2, 0);
    g_assert_cmphex(epvm_fn_reg(h.e, EPC_FN_MSIX), ==, 8);
    fakehost_set_config(h.c[VF(1)], cap + PCI_MSIX_FLAGS, 2,
                        PCI_MSIX_FLAGS_ENABLE);
    g_assert_cmphex(epvm_fn_reg(h.e, EPC_FN_MSIX), ==, 8);
    epvm_raise(h.e, EPC_RAISE_MSIX(3), 0);
    g_assert_cmpuint(fakehost_wait_eventfd(irq, 0), ==, 0);
    g_assert_cmpuint(epvm_fn_reg(h.e, EPC_FN_RAISE_DROPPED), ==, dropped + 2);
    epvm_vf_end(&h);
    close(irq);
}

static void test_interrupts(void)
{
    check_interrupts("");
    check_interrupts(",x-ioeventfd=on");
}

static uint32_t copy_from(EpDma *d, unsigned fn)
{
    return epdma_copy(d, HOST, BUFFER, 0x1000,
                      FROM_HOST | fn << EPC_DMA_SRC_FN_SHIFT);
}

static void test_dma(void)
{
    EpDma d = { };
    EpVmVf h;

    epvm_vf_begin(&h);
    d.e = h.e;
    d.base = epvm_reg(h.e, EPC_REG_DMA_BASE);
    d.stride = epvm_reg(h.e, EPC_REG_DMA_STRIDE);
    epdma_enable(&d, 0, RING(0), 16);

    g_assert_cmpuint(copy_from(&d, VF(2)), ==, EPC_DMA_NOT_MAPPED);
    epvm_vf_enable(&h, 2);
    h.mem[5] = 0x77;
    g_assert_cmpuint(copy_from(&d, VF(2)), ==, EPC_DMA_OK);
    g_assert_cmphex(qtest_readb(h.e->q, BUFFER + 5), ==, 0x77);
    g_assert_cmpuint(copy_from(&d, VF(3)), ==, EPC_DMA_NOT_MAPPED);
    g_assert_cmpuint(copy_from(&d, NUMBERS), ==, EPC_DMA_BAD_DESC);
    fakehost_set_config(h.c[0], CTRL, 2, 0);
    g_assert_cmpuint(copy_from(&d, VF(2)), ==, EPC_DMA_NOT_MAPPED);
    epvm_vf_end(&h);
}

/* ---- Resets ---- */

/* The host resets virtual function 2. The others do not notice. */
static void test_vf_reset(void)
{
    unsigned exp;
    EpVmVf h;

    epvm_vf_begin(&h);
    epvm_vf_enable(&h, VFS);
    exp = fakehost_find_cap(h.c[VF(2)], PCI_CAP_ID_EXP);
    for (unsigned i = 0; i < NUMBERS; i++) {
        epvm_select(h.e, i);
        epvm_set_fn_reg(h.e, EPC_FN_EVENT, EPC_FN_EVENT_ALL);
    }
    fakehost_set_config(h.c[VF(2)], exp + PCI_EXP_DEVCTL, 2,
                        PCI_EXP_DEVCTL_BCR_FLR);
    g_assert_true(
        take_fn_events(h.e, VF(2), EPC_FN_EVENT_FLR | EPC_FN_EVENT_COMMAND));
    g_assert_true(take_fn_events(h.e, VF(1), 0));
    g_assert_true(take_fn_events(h.e, 0, 0));
    epvm_vf_check(&h, VF(1), true, true);
    epvm_vf_check(&h, VF(2), true, false);
    epvm_vf_check(&h, VF(3), true, true);
    g_assert_cmphex(epvm_vf_reg(h.e, 0, EPC_FN_VFS), ==, ENABLED(VFS));
    epvm_vf_end(&h);
}

/* Any of function 0 ends VF Enable. */
static void test_resets(void)
{
    static const struct {
        unsigned number;
        uint32_t kind;
    } t[] = {
        { 0, VFU_EP_RESET_FLR }, { 0, VFU_EP_RESET_HOT },
        { 0, VFU_EP_RESET_PERST }, { 1, VFU_EP_RESET_PERST },
        { VF(3), VFU_EP_RESET_HOT },
    };
    unsigned exp;
    EpVmVf h;

    epvm_vf_begin(&h);
    exp = fakehost_find_cap(h.c[0], PCI_CAP_ID_EXP);
    epvm_vf_enable(&h, 2);
    take_fn_events(h.e, 0, 0);
    fakehost_set_config(h.c[0], exp + PCI_EXP_DEVCTL, 2,
                        PCI_EXP_DEVCTL_BCR_FLR);
    g_assert_true(take_fn_events(h.e, 0, EPC_FN_EVENT_FLR | EPC_FN_EVENT_VFS));
    g_assert_cmphex(fakehost_config(h.c[0], NUM, 2), ==, 0);
    epvm_vf_check_disabled(&h);

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        epvm_vf_enable(&h, 2);
        take_fn_events(h.e, 0, 0);
        take_fn_events(h.e, VF(1), 0);
        g_assert_cmpint(fakehost_reset(h.c[t[i].number], t[i].kind), ==, 0);
        epvm_vf_check_disabled(&h);
        g_assert_cmphex(epvm_vf_reg(h.e, 0, EPC_FN_EVENT) & EPC_FN_EVENT_VFS,
                        !=, 0);
        g_assert_true(take_fn_events(h.e, VF(1), EPC_FN_EVENT_COMMAND));
        /* The same reset comes on each session. */
        for (unsigned n = 0; n < NUMBERS; n++) {
            if (t[i].kind != VFU_EP_RESET_FLR && n != t[i].number) {
                g_assert_cmpint(fakehost_reset(h.c[n], t[i].kind), ==, 0);
            }
        }
    }

    /* Function 1 does not have them */
    epvm_vf_enable(&h, 2);
    g_assert_cmpint(fakehost_reset(h.c[1], VFU_EP_RESET_FLR), ==, 0);
    epvm_vf_check(&h, VF(2), true, true);
    epvm_vf_end(&h);
}

/* The link ends for all, and nothing of VF Enable is left. */
static void test_link_down(void)
{
    EpVmVf h;

    epvm_vf_begin(&h);
    epvm_vf_enable(&h, VFS);
    fakehost_free(h.c[VF(2)]);
    epvm_wait_link(h.e, false);
    for (unsigned i = 0; i < NUMBERS; i++) {
        if (i != VF(2)) {
            fakehost_link(h.c[i], VFU_EP_LINK_DOWN);
        }
    }
    h.c[VF(2)] = epvm_join(h.e, VF(2), NULL);
    epvm_vf_up(&h);
    epvm_vf_check_disabled(&h);
    epvm_vf_enable(&h, 1);
    epvm_vf_check(&h, VF(1), true, true);
    epvm_vf_end(&h);
}

static void test_device_reset(void)
{
    EpVmVf h;

    epvm_vf_begin(&h);
    epvm_vf_enable(&h, VFS);
    epvm_set_reg(h.e, EPC_REG_RESET, EPC_RESET_MAGIC);
    g_assert_cmphex(epvm_vf_reg(h.e, 0, EPC_FN_VFS), ==, 0);
    g_assert_cmphex(epvm_vf_reg(h.e, VF(1), EPC_FN_PCI_COMMAND), ==, 0);
    for (unsigned i = 0; i < NUMBERS; i++) {
        fakehost_link(h.c[i], VFU_EP_LINK_DOWN);
    }
    g_assert_cmpuint(epvm_wait_link_command(h.e), ==, EPC_STATUS_OK);
    for (unsigned i = 0; i < NUMBERS; i++) {
        g_assert_true(take_fn_events(h.e, i, 0));
    }

    /* Described anew, with a smaller BAR */
    epvm_select(h.e, 0);
    g_assert_cmpuint(epvm_set_header(h.e, EPVM_ID, 1), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_vf_set_header(h.e, VF(1)), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(h.e, 0, 0, BAR(0), 0x1000), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_link_command(h.e, EPC_LINK_START), ==, EPC_STATUS_OK);
    fakehost_link(h.c[0], VFU_EP_LINK_UP);
    g_assert_cmphex(h.c[0]->functions, ==, ALL & ~2);
    g_assert_cmphex(fakehost_config(h.c[0], CTRL, 2), ==, 0);
    fakehost_set_config(h.c[0], SRIOV + PCI_SRIOV_BAR, 4, UINT32_MAX);
    fakehost_set_config(h.c[0], SRIOV + PCI_SRIOV_BAR + 4, 4, UINT32_MAX);
    g_assert_cmphex(fakehost_config(h.c[0], SRIOV + PCI_SRIOV_BAR, 4), ==,
                    0xfffff000);
    g_assert_cmphex(fakehost_config(h.c[0], SRIOV + PCI_SRIOV_BAR + 4, 4), ==,
                    0);
    epvm_vf_end(&h);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/vf/enable", test_enable);
    qtest_add_func("/pci-epc/vf/disable", test_disable);
    qtest_add_func("/pci-epc/vf/window", test_window);
    qtest_add_func("/pci-epc/vf/added", test_added);
    qtest_add_func("/pci-epc/vf/events", test_events);
    qtest_add_func("/pci-epc/vf/interrupts", test_interrupts);
    qtest_add_func("/pci-epc/vf/dma", test_dma);
    qtest_add_func("/pci-epc/vf/vf-reset", test_vf_reset);
    qtest_add_func("/pci-epc/vf/host-resets", test_resets);
    qtest_add_func("/pci-epc/vf/link-down", test_link_down);
    qtest_add_func("/pci-epc/vf/device-reset", test_device_reset);
    return g_test_run();
}
