/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge: where the guest finds MSI-X table and pending bits
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep-fixture.h"

#define MSI_ADDR    0x100000
#define CAP         0xa0
#define VECTORS     8
/* Where the function of eps_new() puts them, in BAR 0 */
#define HOME_TABLE  0x1000
#define HOME_PBA    0x1800

static const char relocate_off[] = "-global epf-bridge.msix-relocate=off";

static uint32_t word(const uint8_t *p)
{
    return ldl_le_p(p);
}

static uint8_t *memory(Fixture *f, unsigned bar)
{
    return f->ep->bar[bar].data + f->ep->bar[bar].offset;
}

static void check_place(Fixture *f, uint32_t table, uint32_t pba)
{
    g_assert_cmphex(eph_readl(f->q, EPH_FUNCTION, CAP + PCI_MSIX_TABLE), ==,
                    table);
    g_assert_cmphex(eph_readl(f->q, EPH_FUNCTION, CAP + PCI_MSIX_PBA), ==,
                    pba);
}

/* Masked, pending, delivered; and the function sees what the guest wrote. */
static void check_vectors(Fixture *f, const uint8_t *mirror, unsigned vectors)
{
    unsigned sent = eps_count(f->ep, VFU_CMD_SET_IRQS);
    const EpsMsg *m;
    uint64_t table, pba, one = 1;

    eph_msix(f->q, &table, &pba);
    for (unsigned i = 0; i < vectors; i++) {
        g_assert_cmphex(qtest_readl(f->q, table + 16 * i + 12), ==, 1);
        qtest_writeq(f->q, table + 16 * i, MSI_ADDR + 4 * i);
        qtest_writel(f->q, table + 16 * i + 8, 0xcafe0000 + i);
        g_assert_cmphex(word(mirror + 16 * i), ==, MSI_ADDR + 4 * i);
        g_assert_cmphex(word(mirror + 16 * i + 8), ==, 0xcafe0000 + i);
    }
    eph_writew(f->q, EPH_FUNCTION, CAP + PCI_MSIX_FLAGS,
               PCI_MSIX_FLAGS_ENABLE);
    m = eps_wait(f->ep, VFU_CMD_SET_IRQS, sent + 1);
    g_assert_cmpuint(m->nfds, >=, MIN(vectors, EPS_MAX_FDS));
    for (unsigned i = 0; i < MIN(vectors, EPS_MAX_FDS); i++) {
        uint64_t bits = pba + i / 32 * 4;

        g_assert_cmpint(write(m->fds[i], &one, sizeof(one)), ==, sizeof(one));
        eph_wait_mem(f->q, bits, 1u << i % 32);
        g_assert_cmphex(qtest_readl(f->q, MSI_ADDR + 4 * i), ==, 0);
        qtest_writel(f->q, table + 16 * i + 12, 0);
        eph_wait_mem(f->q, MSI_ADDR + 4 * i, 0xcafe0000 + i);
        g_assert_cmphex(qtest_readl(f->q, bits), ==, 0);
        g_assert_cmphex(word(mirror + 16 * i + 12), ==, 0);
    }
    eph_writew(f->q, EPH_FUNCTION, CAP + PCI_MSIX_FLAGS, 0);
    eps_wait(f->ep, VFU_CMD_SET_IRQS, sent + 2);
}

/* All of a BAR is memory, also where the function has its table. */
static void check_memory(Fixture *f, unsigned bar)
{
    uint64_t table, pba, n = eph_prop_uint(f->q, "messages");
    uint32_t entry;

    eph_msix(f->q, &table, &pba);
    entry = qtest_readl(f->q, table + 8);
    for (unsigned at = 0; at < f->ep->bar[bar].size; at += 0x100) {
        qtest_writel(f->q, EPH_BAR(bar) + at + 8, ~at);
        g_assert_cmphex(word(memory(f, bar) + at + 8), ==, ~at);
        stl_le_p(memory(f, bar) + at + 8, at);
        g_assert_cmphex(qtest_readl(f->q, EPH_BAR(bar) + at + 8), ==, at);
    }
    g_assert_cmphex(qtest_readl(f->q, table + 8), ==, entry);
    g_assert_cmpuint(eph_prop_uint(f->q, "messages"), ==, n);
}

/* The last configuration write to @reg that the endpoint was told of */
static bool told(EpServer *s, unsigned reg, uint32_t *val)
{
    bool seen = false;
    const EpsMsg *m;
    VfuRegionRw rw;

    for (unsigned i = 0; (m = eps_nth(s, VFU_CMD_REGION_WRITE, i)); i++) {
        memcpy(&rw, m->payload, sizeof(rw));
        if (rw.region == VFU_REGION_CONFIG && rw.offset == reg) {
            memcpy(val, m->payload + sizeof(rw), sizeof(*val));
            seen = true;
        }
    }
    return seen;
}

static uint32_t size_of(QTestState *q, unsigned bar)
{
    unsigned reg = PCI_BASE_ADDRESS_0 + bar * 4;
    uint32_t was = eph_readl(q, EPH_FUNCTION, reg);
    uint32_t mask;

    eph_writel(q, EPH_FUNCTION, reg, 0xffffffff);
    mask = eph_readl(q, EPH_FUNCTION, reg) & ~0xfu;
    eph_writel(q, EPH_FUNCTION, reg, was);
    return -mask;
}

static void test_free_bar(void)
{
    uint32_t val;
    Fixture f;

    for (unsigned features = 0; features <= VFU_EP_FEATURE_AREAS;
         features += VFU_EP_FEATURE_AREAS) {
        fixture_start_with(&f, features, "");
        fixture_link_up(&f, true);
        check_place(&f, 5, 5 | 16 * VECTORS);
        g_assert_cmphex(size_of(f.q, 5), ==, 0x1000);
        g_assert_cmphex(size_of(f.q, 0), ==, f.ep->bar[0].size);
        g_assert_cmphex(qtest_readl(f.q, EPH_BAR(5) + 0xff0), ==, 0xffffffff);
        check_vectors(&f, memory(&f, 0) + HOME_TABLE, VECTORS);
        check_memory(&f, 0);

        /* The endpoint knows nothing of that BAR */
        g_assert_true(told(f.ep, PCI_BASE_ADDRESS_0, &val));
        g_assert_cmphex(val, ==, EPH_BAR(0));
        g_assert_false(told(f.ep, PCI_BASE_ADDRESS_5, &val));
        fixture_end(&f);
    }
}

/* The upper half of a 64-bit BAR is not free, a table of all vectors is long */
static void test_free_bar_large(void)
{
    Fixture f;

    fixture_start_with(&f, VFU_EP_FEATURE_AREAS, "");
    eps_set_bar(f.ep, 0, PCI_BASE_ADDRESS_MEM_TYPE_64, 0x10000, true);
    eps_set_bar(f.ep, 1, 0, 0, false);
    stw_le_p(f.ep->config + CAP + PCI_MSIX_FLAGS, 2047);
    stl_le_p(f.ep->config + CAP + PCI_MSIX_TABLE, 0x800);
    stl_le_p(f.ep->config + CAP + PCI_MSIX_PBA, 0x8800);
    f.ep->irqs[VFU_IRQ_MSIX] = 2048;
    fixture_link_up(&f, true);
    check_place(&f, 5, 5 | 0x8000);
    g_assert_cmphex(size_of(f.q, 5), ==, 0x10000);
    check_vectors(&f, memory(&f, 0) + 0x800, 2048);
    check_memory(&f, 0);
    fixture_end(&f);
}

static void test_upper_half(void)
{
    uint32_t val;
    Fixture f;

    fixture_start_with(&f, VFU_EP_FEATURE_AREAS, "");
    eps_set_bar(f.ep, 5, 0, 0x1000, false);
    fixture_link_up(&f, true);
    check_place(&f, 0x10000, 0x10000 + 16 * VECTORS);
    g_assert_cmphex(size_of(f.q, 0), ==, 2 * f.ep->bar[0].size);
    g_assert_cmphex(qtest_readl(f.q, EPH_BAR(0) + 0x1fff0), ==, 0xffffffff);
    check_vectors(&f, memory(&f, 0) + HOME_TABLE, VECTORS);
    check_memory(&f, 0);

    /* What the guest reads from the register is what the endpoint has in it */
    eph_writel(f.q, EPH_FUNCTION, PCI_BASE_ADDRESS_0, 0xffffffff);
    g_assert_true(told(f.ep, PCI_BASE_ADDRESS_0, &val));
    g_assert_cmphex(val, ==, 0xfffe0000);
    eph_writel(f.q, EPH_FUNCTION, PCI_BASE_ADDRESS_0, EPH_BAR(0) + 0x10000);
    g_assert_true(told(f.ep, PCI_BASE_ADDRESS_0, &val));
    g_assert_cmphex(val, ==, EPH_BAR(0));
    fixture_end(&f);
}

static void test_upper_half_64(void)
{
    uint32_t val;
    Fixture f;

    fixture_start_with(&f, VFU_EP_FEATURE_AREAS, "");
    eps_set_bar(f.ep, 5, 0, 0x1000, false);
    stl_le_p(f.ep->config + CAP + PCI_MSIX_TABLE, HOME_TABLE | 2);
    stl_le_p(f.ep->config + CAP + PCI_MSIX_PBA, HOME_PBA | 4);
    fixture_link_up(&f, true);
    check_place(&f, 2 | 0x20000, 2 | (0x20000 + 16 * VECTORS));
    g_assert_cmphex(size_of(f.q, 2), ==, 0x40000);
    check_vectors(&f, memory(&f, 2) + HOME_TABLE, VECTORS);
    check_memory(&f, 2);
    check_memory(&f, 4);
    eph_writel(f.q, EPH_FUNCTION, PCI_BASE_ADDRESS_3, 0x12);
    g_assert_true(told(f.ep, PCI_BASE_ADDRESS_3, &val));
    g_assert_cmphex(val, ==, 0x12);
    fixture_end(&f);
}

static void test_off(void)
{
    uint64_t n;
    Fixture f;

    fixture_start_with(&f, VFU_EP_FEATURE_AREAS, relocate_off);
    fixture_link_up(&f, true);
    check_place(&f, HOME_TABLE, HOME_PBA);
    g_assert_cmphex(eph_readl(f.q, EPH_FUNCTION, PCI_BASE_ADDRESS_5), ==, 0);
    check_vectors(&f, memory(&f, 0) + HOME_TABLE, VECTORS);
    n = eph_prop_uint(f.q, "messages");
    qtest_writel(f.q, EPH_BAR(0) + HOME_TABLE + 16 * VECTORS, 0x1234);
    g_assert_cmphex(word(memory(&f, 0) + HOME_TABLE + 16 * VECTORS), ==,
                    0x1234);
    g_assert_cmpuint(eph_prop_uint(f.q, "messages"), ==, n);
    fixture_end(&f);
}

/* Nobody is next to them: 254 vectors and their pending bits fill a page */
static void test_alone(void)
{
    Fixture f;

    fixture_start_with(&f, VFU_EP_FEATURE_AREAS, "");
    stw_le_p(f.ep->config + CAP + PCI_MSIX_FLAGS, 253);
    stl_le_p(f.ep->config + CAP + PCI_MSIX_TABLE, 0x1000);
    stl_le_p(f.ep->config + CAP + PCI_MSIX_PBA, 0x1fe0);
    fixture_link_up(&f, true);
    check_place(&f, 0x1000, 0x1fe0);
    fixture_end(&f);
}

/* The function's memory goes and comes back; the table follows where it is. */
static void test_remap(void)
{
    uint64_t table, pba;
    unsigned asked;
    Fixture f;

    fixture_start_with(&f, VFU_EP_FEATURE_AREAS, "");
    fixture_link_up(&f, true);
    eph_msix(f.q, &table, &pba);
    for (unsigned i = 0; i < 6; i++) {
        asked = eps_count(f.ep, VFU_CMD_GET_REGION_IO_FDS);
        eps_retarget(f.ep, 0, i & 1, 0);
        g_assert_cmpint(eps_remap(f.ep, 0), ==, 0);
        eps_wait(f.ep, VFU_CMD_GET_REGION_IO_FDS, asked + 1);
        qtest_writel(f.q, table + 8, 0x1000 + i);
        g_assert_cmphex(word(memory(&f, 0) + HOME_TABLE + 8), ==,
                        0x1000 + i);
    }
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("epf-bridge/msix/free-bar", test_free_bar);
    qtest_add_func("epf-bridge/msix/free-bar-large", test_free_bar_large);
    qtest_add_func("epf-bridge/msix/upper-half", test_upper_half);
    qtest_add_func("epf-bridge/msix/upper-half-64", test_upper_half_64);
    qtest_add_func("epf-bridge/msix/off", test_off);
    qtest_add_func("epf-bridge/msix/alone", test_alone);
    qtest_add_func("epf-bridge/msix/remap", test_remap);

    return g_test_run();
}
