/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge: what the endpoint is told of vectors that the guest masks
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"

/* More than one message, and less than one for each change */
#define MASKS_TOGGLES   200

typedef struct Masks {
    Fixture f;
    uint64_t table;
} Masks;

static void masks_start(Masks *m, unsigned features)
{
    uint64_t pba;

    fixture_start_with(&m->f, features, "");
    fixture_link_up(&m->f, true);
    hostvm_msix(m->f.q, &m->table, &pba);
}

static void masks_write(Masks *m, unsigned vector, uint32_t control)
{
    qtest_writel(m->f.q, m->table + PCI_MSIX_ENTRY_SIZE * vector +
                 PCI_MSIX_ENTRY_VECTOR_CTRL, control);
}

/* The @n-th message says that of @count vectors from @first on. */
static void masks_told(Masks *m, unsigned n, unsigned first, unsigned count,
                       bool masked)
{
    const VfuMsg *msg = fakeep_wait(m->f.ep, VFU_CMD_SET_IRQS, n);
    const VfuSetIrqs *p = (const void *)msg->payload;

    g_assert_cmpuint(p->index, ==, VFU_IRQ_MSIX);
    g_assert_cmphex(p->flags, ==, VFU_IRQ_DATA_NONE |
                    (masked ? VFU_IRQ_ACTION_MASK : VFU_IRQ_ACTION_UNMASK));
    g_assert_cmpuint(p->start, ==, first);
    g_assert_cmpuint(p->count, ==, count);
    g_assert_cmpuint(msg->nfds, ==, 0);
}

static void test_told(void)
{
    Masks m;

    masks_start(&m, VFU_EP_FEATURE_MASK);
    masks_write(&m, 1, 0);
    masks_told(&m, 1, 1, 1, false);
    /* No change, another bit, another register */
    masks_write(&m, 1, 0);
    masks_write(&m, 0, PCI_MSIX_ENTRY_CTRL_MASKBIT);
    qtest_writel(m.f.q, m.table, 0x1000);
    masks_write(&m, 1, PCI_MSIX_ENTRY_CTRL_MASKBIT);
    masks_told(&m, 2, 1, 1, true);
    masks_write(&m, 0, 0);
    masks_told(&m, 3, 0, 1, false);
    g_assert_cmpuint(fakeep_count(m.f.ep, VFU_CMD_SET_IRQS), ==, 3);
    fixture_end(&m.f);
}

/* The masks of a function that is reset are those after power-on. */
static void test_reset(void)
{
    Masks m;

    masks_start(&m, VFU_EP_FEATURE_MASK);
    masks_write(&m, 1, 0);
    masks_told(&m, 1, 1, 1, false);
    qtest_system_reset(m.f.q);
    masks_told(&m, 2, 1, 1, true);
    fixture_end(&m.f);
}

static bool masks_forget(FakeEp *s, const VfuMsg *m, void *opaque)
{
    return m->hdr.command == VFU_CMD_SET_IRQS;
}

/* While a message is not answered none follows, however often a mask changes. */
static void test_flood(void)
{
    const VfuMsg *first;
    Masks m;

    masks_start(&m, VFU_EP_FEATURE_MASK);
    m.f.ep->hook = masks_forget;
    masks_write(&m, 0, 0);
    first = fakeep_wait(m.f.ep, VFU_CMD_SET_IRQS, 1);
    for (unsigned i = 0; i < MASKS_TOGGLES; i++) {
        masks_write(&m, 0, i % 2 ? 0 : PCI_MSIX_ENTRY_CTRL_MASKBIT);
        masks_write(&m, 1, i % 2 ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0);
    }
    masks_write(&m, 1, 0);
    g_assert_cmpuint(fakeep_count(m.f.ep, VFU_CMD_SET_IRQS), ==, 1);

    m.f.ep->hook = NULL;
    fakeep_reply(m.f.ep, first, NULL, 0, NULL, 0);
    masks_told(&m, 2, 0, 2, false);
    fixture_end(&m.f);
}

/* An endpoint that does not know this gets nothing. */
static void test_not_agreed(void)
{
    Masks m;

    masks_start(&m, 0);
    masks_write(&m, 1, 0);
    masks_write(&m, 1, PCI_MSIX_ENTRY_CTRL_MASKBIT);
    hostvm_readl(m.f.q, HOSTVM_FUNCTION, PCI_VENDOR_ID);
    g_assert_cmpuint(fakeep_count(m.f.ep, VFU_CMD_SET_IRQS), ==, 0);
    fixture_end(&m.f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("epf-bridge/masks/told", test_told);
    qtest_add_func("epf-bridge/masks/reset", test_reset);
    qtest_add_func("epf-bridge/masks/flood", test_flood);
    qtest_add_func("epf-bridge/masks/not-agreed", test_not_agreed);
    return g_test_run();
}
