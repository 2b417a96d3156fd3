/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc: interrupts that the host has masked, as the endpoint sees them
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"

/* Masks or unmasks vectors.  Returns the error of the reply. */
static int masks_set(FakeHost *c, unsigned index, unsigned first,
                     unsigned count, uint32_t flags)
{
    VfuSetIrqs m = {
        .argsz = sizeof(m), .flags = flags, .index = index, .start = first,
        .count = count,
    };

    return fakehost_call(c, VFU_CMD_SET_IRQS, &m, sizeof(m), NULL, 0);
}

static int masks_unmask(FakeHost *c, unsigned first, unsigned count)
{
    return masks_set(c, VFU_IRQ_MSIX, first, count,
                     VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_UNMASK);
}

static int masks_mask(FakeHost *c, unsigned first, unsigned count)
{
    return masks_set(c, VFU_IRQ_MSIX, first, count,
                     VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_MASK);
}

/* The eight vectors of MSI-X, and whether there was an event */
static void masks_expect(EpVm *e, uint32_t masked, bool event)
{
    uint32_t events = epvm_fn_reg(e, EPC_FN_EVENT);

    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_MSIX_MASK(0)) & 0xff, ==, masked);
    g_assert_cmphex(events & EPC_FN_EVENT_MSI, ==,
                    event ? EPC_FN_EVENT_MSI : 0);
    epvm_set_fn_reg(e, EPC_FN_EVENT, events);
}

static void test_msix(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);
    VfuIrqInfo info = { .argsz = sizeof(info), .index = VFU_IRQ_MSIX };

    g_assert_cmphex(epvm_reg(e, EPC_REG_FEATURES) & EPC_FEATURE_MASKS, !=, 0);
    g_assert_cmpint(fakehost_call(c, VFU_CMD_GET_IRQ_INFO, &info, sizeof(info),
                                  &info, sizeof(info)), ==, 0);
    g_assert_cmphex(info.flags, ==,
                    VFU_IRQ_INFO_EVENTFD | VFU_IRQ_INFO_MASKABLE);
    epvm_set_fn_reg(e, EPC_FN_EVENT, UINT32_MAX);
    masks_expect(e, 0xff, false);

    g_assert_cmpint(masks_unmask(c, 3, 3), ==, 0);
    masks_expect(e, 0xc7, true);
    g_assert_cmpint(masks_unmask(c, 4, 2), ==, 0);
    masks_expect(e, 0xc7, false);
    g_assert_cmpint(masks_mask(c, 4, 4), ==, 0);
    masks_expect(e, 0xf7, true);
    g_assert_cmpint(masks_mask(c, 0, 1), ==, 0);
    masks_expect(e, 0xf7, false);
    g_assert_cmpint(masks_unmask(c, 0, 8), ==, 0);
    masks_expect(e, 0, true);

    /* A reset masks all of them. */
    g_assert_cmpint(fakehost_reset(c, VFU_EP_RESET_FLR), ==, 0);
    masks_expect(e, 0xff, true);
    epvm_detach(e, c);
}

static void test_refused(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);

    epvm_set_fn_reg(e, EPC_FN_EVENT, UINT32_MAX);
    g_assert_cmpint(masks_unmask(c, 7, 2), ==, EINVAL);
    g_assert_cmpint(masks_unmask(c, UINT32_MAX, 1), ==, EINVAL);
    g_assert_cmpint(masks_unmask(c, 0, 0), ==, EINVAL);
    g_assert_cmpint(masks_set(c, VFU_IRQ_MSI, 0, 1, VFU_IRQ_DATA_NONE |
                              VFU_IRQ_ACTION_MASK), ==, EINVAL);
    g_assert_cmpint(masks_set(c, VFU_IRQ_MSIX, 0, 1, VFU_IRQ_DATA_EVENTFD |
                              VFU_IRQ_ACTION_UNMASK), ==, EINVAL);
    masks_expect(e, 0xff, false);
    epvm_detach(e, c);
}

/* Such a host seems to have nothing masked. */
static void test_plain(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c;

    epvm_describe(e);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    c = epvm_join(e, 0, "{\"capabilities\":{\"max_msg_fds\":8}}");
    epvm_wait_link(e, true);
    epvm_set_fn_reg(e, EPC_FN_EVENT, UINT32_MAX);
    g_assert_cmpint(masks_mask(c, 0, 1), ==, EINVAL);
    masks_expect(e, 0, false);
    epvm_detach(e, c);
}

static void test_msi(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);
    unsigned mask = fakehost_find_cap(c, PCI_CAP_ID_MSI) + PCI_MSI_MASK_64;

    epvm_set_fn_reg(e, EPC_FN_EVENT, UINT32_MAX);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_MSI_MASK), ==, 0);
    fakehost_set_config(c, mask, 4, UINT32_MAX);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_MSI_MASK), ==, 0xf);
    masks_expect(e, 0xff, true);
    fakehost_set_config(c, mask, 1, 0xf);
    masks_expect(e, 0xff, false);
    fakehost_set_config(c, mask, 1, 2);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_MSI_MASK), ==, 2);
    masks_expect(e, 0xff, true);
    g_assert_cmpint(fakehost_reset(c, VFU_EP_RESET_HOT), ==, 0);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_MSI_MASK), ==, 0);
    masks_expect(e, 0xff, true);
    epvm_detach(e, c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("pci-epc/masks/msix", test_msix);
    qtest_add_func("pci-epc/masks/refused", test_refused);
    qtest_add_func("pci-epc/masks/plain", test_plain);
    qtest_add_func("pci-epc/masks/msi", test_msi);
    return g_test_run();
}
