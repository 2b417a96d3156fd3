/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc without a host: which accesses to registers are legal, and resets
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"

/* ---- Widths, alignment, holes ---- */

typedef struct Reg {
    uint32_t off;
    enum { RO, RW, WO, WIDE } kind;
} Reg;

static const Reg global_regs[] = {
    { EPC_REG_MAGIC, RO }, { EPC_REG_VERSION, RO }, { EPC_REG_FEATURES, RO },
    { EPC_REG_FN_COUNT, RO }, { EPC_REG_FN_BASE, RO },
    { EPC_REG_FN_STRIDE, RO }, { EPC_REG_RAISE_BASE, RO },
    { EPC_REG_RAISE_STRIDE, RO }, { EPC_REG_GRANULE, RO },
    { EPC_REG_MAX_MAPS, RO }, { EPC_REG_DEADLINE, RO }, { EPC_REG_RESET, WO },
    { EPC_REG_BAD_ACCESS, RO }, { EPC_REG_LINK_CMD, RW },
    { EPC_REG_LINK_STATUS, RO }, { EPC_REG_LINK, RO }, { EPC_REG_EVENT, RW },
    { EPC_REG_EVENT_MASK, RW }, { EPC_REG_FN_PENDING, RO },
    { EPC_REG_DMA_COUNT, RO }, { EPC_REG_DMA_BASE, RO },
    { EPC_REG_DMA_STRIDE, RO }, { EPC_REG_DOORBELLS, RO },
    { EPC_REG_DOORBELL_BASE, RO }, { EPC_REG_TRAP_BASE, RO },
    { EPC_REG_TRAP_STRIDE, RO }, { EPC_REG_TRAP_SIZE, RO },
    { EPC_REG_TRAP_DEADLINE, RW }, { EPC_REG_INBOUND_ALIGN, RO },
    { EPC_REG_OUTBOUND_GRANULE, RO }, { EPC_REG_OUTBOUND_ALIGN, RO },
    { EPC_REG_OUTBOUND_MAX, RO }, { EPC_REG_BAR_LIMIT(0), RO },
    { EPC_REG_BAR_LIMIT(1), RO }, { EPC_REG_BAR_LIMIT(2), RO },
    { EPC_REG_BAR_LIMIT(3), RO }, { EPC_REG_BAR_LIMIT(4), RO },
    { EPC_REG_BAR_LIMIT(5), RO },
};

static const Reg fn_regs[] = {
    { EPC_FN_CMD, RW }, { EPC_FN_STATUS, RO }, { EPC_FN_BAR, RW },
    { EPC_FN_BAR_FLAGS, RW }, { EPC_FN_ADDR, WIDE }, { EPC_FN_SIZE, WIDE },
    { EPC_FN_OFFSET, WIDE }, { EPC_FN_COUNT, RW }, { EPC_FN_ID, RW },
    { EPC_FN_CLASS, RW }, { EPC_FN_SUBSYS, RW }, { EPC_FN_INT_PIN, RW },
    { EPC_FN_EVENT, RW }, { EPC_FN_EVENT_MASK, RW },
    { EPC_FN_PCI_COMMAND, RO }, { EPC_FN_MSI, RO }, { EPC_FN_MSIX, RO },
    { EPC_FN_DSTATE, RO }, { EPC_FN_RAISE_DROPPED, RO },
    { EPC_FN_INBOUND_DROPPED, RO },
    { EPC_FN_CAP_ID, RW }, { EPC_FN_CAP_OFFSET, RO }, { EPC_FN_VALUE, RW },
    { EPC_FN_WMASK, RW }, { EPC_FN_WRITE_INFO, RO },
    { EPC_FN_WRITE_VALUE, RO }, { EPC_FN_WRITE_NEXT, WO },
    { EPC_FN_TRAP_CTRL, RW }, { EPC_FN_TRAP_VECTOR, RW },
    { EPC_FN_TRAP_PRODUCER, RO }, { EPC_FN_TRAP_CONSUMER, RW },
    { EPC_FN_TRAP_POSTED, RO }, { EPC_FN_TRAP_READS, RO },
    { EPC_FN_TRAP_EXPIRED, RO }, { EPC_FN_TRAP_LONGEST, RO },
    { EPC_FN_MSI_MASK, RO },
    { EPC_FN_DOE_STATE, RO }, { EPC_FN_DOE_OBJECT, RO },
    { EPC_FN_DOE_LENGTH, RO }, { EPC_FN_DOE_CMD, WO },
    { EPC_FN_DOE_RESULT, RO }, { EPC_FN_DOE_TOKEN, RW },
    { EPC_FN_DOE_ADDR, WIDE }, { EPC_FN_DOE_OFFSET, RW },
    { EPC_FN_DOE_COUNT, RW }, { EPC_FN_DOE_OBJECTS, RO },
    { EPC_FN_DOE_ABORTED, RO }, { EPC_FN_DOE_DISCARDED, RO },
    { EPC_FN_DOE_FAILED, RO },
};

static const Reg dma_regs[] = {
    { EPC_DMA_RING, WIDE }, { EPC_DMA_SIZE, RW }, { EPC_DMA_CTRL, RW },
    { EPC_DMA_STATE, RO }, { EPC_DMA_PRODUCER, RW }, { EPC_DMA_CONSUMER, RO },
    { EPC_DMA_VECTOR, RW }, { EPC_DMA_IRQ_COUNT, RW },
    { EPC_DMA_IRQ_USEC, RW },
};

static const Reg area_regs[] = {
    { EPC_AREA_ADDR, WIDE }, { EPC_AREA_SIZE, WIDE }, { EPC_AREA_TYPE, RW },
};

static const Reg mask_regs[] = {
    { 0, RO },
};

static const Reg protocol_regs[] = {
    { 0, RW },
};

static const Reg doorbell_regs[] = {
    { EPC_DOORBELL_CTRL, RW }, { EPC_DOORBELL_VECTOR, RW },
    { EPC_DOORBELL_VALUE, RO },
};

#define MAX_REGS 352

typedef struct Page {
    uint64_t base;
    const Reg *regs;
    unsigned n;
} Page;

static bool access_is_legal(const Page *p, uint32_t off, unsigned width,
                            bool write)
{
    for (unsigned i = 0; i < p->n; i++) {
        const Reg *r = &p->regs[i];

        if (write && r->kind == RO) {
            continue;
        }
        if (off == r->off && (width == 4 || (width == 8 && r->kind == WIDE))) {
            return true;
        }
        if (r->kind == WIDE && off == r->off + 4 && width == 4) {
            return true;
        }
    }
    return false;
}

static uint64_t all_ones(unsigned width)
{
    return width == 8 ? UINT64_MAX : (1ull << width * 8) - 1;
}

static void check_read(EpVm *e, const Page *p, uint32_t off,
                       unsigned width, uint32_t *bad)
{
    uint64_t v = epvm_read(e, p->base + off, width);

    if (!access_is_legal(p, off, width, false)) {
        g_assert_cmphex(v, ==, all_ones(width));
        ++*bad;
    }
}

static void check_write(EpVm *e, const Page *p, uint32_t off,
                        unsigned width, uint32_t *bad)
{
    if (!access_is_legal(p, off, width, true)) {
        epvm_write(e, p->base + off, width, 0x0101010101010101ull);
        ++*bad;
    }
}

static void page_snapshot(EpVm *e, const Page *p, uint32_t *v)
{
    for (unsigned i = 0; i < p->n; i++) {
        bool counter = !p->base && p->regs[i].off == EPC_REG_BAD_ACCESS;

        v[i] = counter ? 0 : epvm_read(e, p->base + p->regs[i].off, 4);
    }
}

static void check_page(EpVm *e, const Page *p)
{
    static const unsigned widths[] = { 1, 2, 4, 8 };
    uint32_t before[MAX_REGS], after[MAX_REGS];
    uint32_t bad = epvm_reg(e, EPC_REG_BAD_ACCESS);

    page_snapshot(e, p, before);
    for (unsigned w = 0; w < ARRAY_SIZE(widths); w++) {
        for (uint32_t off = 0; off < 0x100; off++) {
            check_read(e, p, off, widths[w], &bad);
            check_write(e, p, off, widths[w], &bad);
        }
        g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, bad);
        for (uint32_t off = 0xff0; off <= 0x1000 - widths[w]; off++) {
            check_read(e, p, off, widths[w], &bad);
            check_write(e, p, off, widths[w], &bad);
        }
        g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, bad);
    }
    for (uint32_t off = 0x100; off < 0x1000; off += 4) {
        check_read(e, p, off, 4, &bad);
        check_write(e, p, off, 4, &bad);
    }
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, bad);
    g_assert_cmpuint(epvm_prop(e, "bad-access"), ==, bad);
    page_snapshot(e, p, after);
    g_assert_cmpmem(before, p->n * 4, after, p->n * 4);
}

static void test_access_global(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    Page p = { 0, global_regs, ARRAY_SIZE(global_regs) };

    check_page(e, &p);
    epvm_stop(e);
}

/* Appends @n times @what, @stride apart from @at on. */
static void page_repeat(Page *p, const Reg *what, unsigned count, uint32_t at,
                        uint32_t stride, unsigned n)
{
    static Reg regs[MAX_REGS];

    g_assert_cmpuint(p->n + count * n, <=, MAX_REGS);
    memmove(regs, p->regs, p->n * sizeof(Reg));
    p->regs = regs;
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = 0; j < count; j++) {
            regs[p->n] = what[j];
            regs[p->n++].off += at + i * stride;
        }
    }
}

static Page fn_page(EpVm *e)
{
    Page p = { e->fn_base, fn_regs, ARRAY_SIZE(fn_regs) };

    page_repeat(&p, area_regs, ARRAY_SIZE(area_regs), EPC_FN_AREA(0),
                EPC_AREA_STRIDE, EPC_MAX_AREAS);
    page_repeat(&p, mask_regs, ARRAY_SIZE(mask_regs), EPC_FN_MSIX_MASK(0), 4,
                EPC_FN_MSIX_MASKS);
    page_repeat(&p, protocol_regs, ARRAY_SIZE(protocol_regs),
                EPC_FN_DOE_PROTOCOL(0), 4, EPC_DOE_PROTOCOLS);
    return p;
}

static void test_access_function(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    Page p = fn_page(e);

    check_page(e, &p);
    epvm_stop(e);
}

static void test_access_doorbell(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    Page p = { epvm_reg(e, EPC_REG_DOORBELL_BASE), doorbell_regs, 0 };

    page_repeat(&p, doorbell_regs, ARRAY_SIZE(doorbell_regs), 0,
                EPC_DOORBELL_STRIDE, EPC_MAX_DOORBELLS);
    check_page(e, &p);
    epvm_stop(e);
}

static void test_access_dma(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    uint32_t last = (EPC_DMA_CHANNELS - 1) * epvm_reg(e, EPC_REG_DMA_STRIDE);
    Page p = { epvm_reg(e, EPC_REG_DMA_BASE) + last, dma_regs,
               ARRAY_SIZE(dma_regs) };

    check_page(e, &p);
    epvm_stop(e);
}

/* Between the places, functions that do not exist, the end of the BAR */
static void test_access_holes(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    uint64_t end = e->raise_base + EPC_MAX_FUNCTIONS * EPC_RAISE_SIZE;
    const uint64_t holes[] = {
        0x1000, 0x2000, e->fn_base - 4, e->fn_base + e->fn_stride,
        e->fn_base + e->fn_stride + EPC_FN_CONFIG, e->raise_base - 4,
        e->raise_base + EPC_RAISE_MSI(EPC_MAX_MSI),
        e->raise_base + EPC_RAISE_INTX - 4, e->raise_base + EPC_RAISE_INTX + 4,
        e->raise_base + EPC_RAISE_SIZE - 4, e->raise_base + EPC_RAISE_SIZE,
        e->raise_base + EPC_RAISE_SIZE + EPC_RAISE_INTX, end - 4,
    };
    uint32_t bad = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(holes); i++) {
        g_assert_cmphex(epvm_read(e, holes[i], 4), ==, UINT32_MAX);
        epvm_write(e, holes[i], 4, 1);
        bad += 2;
        g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, bad);
    }
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_RAISE_DROPPED), ==, 0);
    epvm_stop(e);
}

static void test_access_raise(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    static const uint32_t good[] = {
        EPC_RAISE_MSIX(0), EPC_RAISE_MSIX(1), EPC_RAISE_MSIX(EPC_MAX_MSIX - 1),
        EPC_RAISE_MSI(0), EPC_RAISE_MSI(EPC_MAX_MSI - 1), EPC_RAISE_INTX,
    };
    uint32_t bad = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        uint64_t at = e->raise_base + good[i];

        /* write only, and no host is there to be interrupted */
        g_assert_cmphex(epvm_read(e, at, 4), ==, 0);
        epvm_write(e, at, 4, 1);
        g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_RAISE_DROPPED), ==, i + 1);

        g_assert_cmphex(epvm_read(e, at, 2), ==, 0xffff);
        g_assert_cmphex(epvm_read(e, at, 8), ==, UINT64_MAX);
        g_assert_cmphex(epvm_read(e, at + 1, 4), ==, UINT32_MAX);
        epvm_write(e, at, 1, 1);
        epvm_write(e, at, 2, 1);
        epvm_write(e, at, 8, 1);
        epvm_write(e, at + 2, 4, 1);
        bad += 7;
        g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, bad);
    }
    epvm_raise(e, EPC_RAISE_INTX, 0);    /* deassert is never lost */
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_RAISE_DROPPED), ==,
                     ARRAY_SIZE(good));
    epvm_raise(e, EPC_RAISE_INTX, 2);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, bad + 1);
    epvm_stop(e);
}

static void test_config_view(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    uint64_t cfg = e->fn_base + EPC_FN_CONFIG;
    uint32_t bad = 0;

    g_assert_cmphex(epvm_read(e, cfg, 2), ==, 0xffff);
    g_assert_cmpuint(epvm_set_header(e, 0x10f11af4, 1), ==, EPC_STATUS_OK);
    g_assert_cmphex(epvm_read(e, cfg, 4), ==, 0x10f11af4);
    g_assert_cmphex(epvm_read(e, cfg + 2, 2), ==, 0x10f1);
    g_assert_cmphex(epvm_read(e, cfg + 3, 1), ==, 0x10);
    g_assert_cmphex(epvm_read(e, cfg + PCI_CLASS_REVISION, 4), ==, 0xff000001);
    g_assert_cmphex(epvm_read(e, cfg + PCI_SUBSYSTEM_VENDOR_ID, 4), ==,
                    0x56781234);
    g_assert_cmphex(epvm_read(e, cfg + PCI_INTERRUPT_PIN, 1), ==, 1);
    g_assert_cmphex(epvm_read(e, cfg + 0xffc, 4), ==, 0);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, 0);

    g_assert_cmphex(epvm_read(e, cfg, 8), ==, UINT64_MAX);
    g_assert_cmphex(epvm_read(e, cfg + 2, 4), ==, UINT32_MAX);
    g_assert_cmphex(epvm_read(e, cfg + 1, 2), ==, 0xffff);
    bad += 3;
    for (unsigned width = 1; width <= 8; width *= 2) {
        epvm_write(e, cfg + PCI_COMMAND, width, 7);
        bad++;
    }
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, bad);
    g_assert_cmphex(epvm_read(e, cfg + PCI_COMMAND, 2), ==, 0);
    epvm_stop(e);
}

/* ---- Resets ---- */

static void describe_page(EpVm *e)
{
    g_assert_cmpuint(epvm_set_header(e, 0x10f11af4, 1), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 0, EPC_BAR_FLAG_64, 0x400000, 65536), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_msi(e, 4), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_msix(e, 4, 0, 0), ==, EPC_STATUS_OK);
    epvm_set_reg(e, EPC_REG_EVENT_MASK, EPC_EVENT_ALL);
    epvm_set_fn_reg(e, EPC_FN_EVENT_MASK, EPC_FN_EVENT_ALL);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    epvm_read(e, 1, 4);
    epvm_raise(e, EPC_RAISE_MSI(0), 0);
    epvm_set_fn_reg(e, EPC_FN_AREA(7) + EPC_AREA_TYPE, EPC_AREA_NONE);
    epvm_set_doorbell_reg(e, 9, EPC_DOORBELL_CTRL, EPC_DOORBELL_CTRL_ENABLE);
    epvm_set_doorbell_reg(e, 9, EPC_DOORBELL_VECTOR, 0);
}

static void check_doorbells(EpVm *e)
{
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        g_assert_cmphex(epvm_doorbell_reg(e, n, EPC_DOORBELL_CTRL), ==, 0);
        g_assert_cmpuint(epvm_doorbell_reg(e, n, EPC_DOORBELL_VECTOR), ==,
                         EPC_VECTOR_DOORBELL(n));
        g_assert_cmphex(epvm_doorbell_reg(e, n, EPC_DOORBELL_VALUE), ==, 0);
    }
}

static void check_pristine(EpVm *e)
{
    static const uint32_t zero[] = {
        EPC_REG_LINK_CMD, EPC_REG_LINK_STATUS, EPC_REG_LINK, EPC_REG_EVENT,
        EPC_REG_EVENT_MASK, EPC_REG_BAD_ACCESS,
    };
    Page p = fn_page(e);

    for (unsigned i = 0; i < ARRAY_SIZE(zero); i++) {
        g_assert_cmphex(epvm_reg(e, zero[i]), ==, 0);
    }
    for (unsigned i = 0; i < p.n; i++) {
        g_assert_cmphex(epvm_fn_reg(e, p.regs[i].off), ==,
                        p.regs[i].off == EPC_FN_TRAP_VECTOR ?
                        EPC_VECTOR_TRAP(0) : 0);
    }
    check_doorbells(e);
    g_assert_cmphex(epvm_read(e, e->fn_base + EPC_FN_CONFIG, 4), ==,
                    UINT32_MAX);
    g_assert_cmphex(epvm_read(e, e->fn_base + EPC_FN_CONFIG +
                              PCI_BASE_ADDRESS_0, 4), ==, 0);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==,
                     EPC_STATUS_BAD_STATE);
}

static void test_register_reset(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");

    describe_page(e);
    epvm_set_reg(e, EPC_REG_RESET, 0);
    epvm_set_reg(e, EPC_REG_RESET, EPC_RESET_MAGIC + 1);
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, 3);
    g_assert_cmphex(epvm_reg(e, EPC_REG_LINK), ==, EPC_LINK_ENABLED);
    epvm_set_reg(e, EPC_REG_RESET, EPC_RESET_MAGIC);
    check_pristine(e);
    epvm_stop(e);
}

static void test_machine_reset(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");

    describe_page(e);
    qtest_system_reset(e->q);
    epvm_enable(e);
    check_pristine(e);
    epvm_stop(e);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/access/global", test_access_global);
    qtest_add_func("/pci-epc/access/function", test_access_function);
    qtest_add_func("/pci-epc/access/dma", test_access_dma);
    qtest_add_func("/pci-epc/access/doorbell", test_access_doorbell);
    qtest_add_func("/pci-epc/access/holes", test_access_holes);
    qtest_add_func("/pci-epc/access/raise", test_access_raise);
    qtest_add_func("/pci-epc/access/config", test_config_view);
    qtest_add_func("/pci-epc/reset/register", test_register_reset);
    qtest_add_func("/pci-epc/reset/machine", test_machine_reset);
    return g_test_run();
}
