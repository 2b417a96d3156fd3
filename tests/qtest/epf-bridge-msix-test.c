/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge: where the guest finds MSI-X table and pending bits
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"

#define MSI_ADDR    0x100000
#define CAP         0xa0
#define VECTORS     8
/* Where the function of fakeep_new() puts them, in BAR 0 */
#define HOME_TABLE  0x1000
#define HOME_PBA    0x1800

static const char relocate_off[] = "-global epf-bridge.msix-relocate=off";

static uint32_t load_word(const uint8_t *p)
{
    return ldl_le_p(p);
}

static uint8_t *bar_memory(Fixture *f, unsigned bar)
{
    return f->ep->bar[bar].data + f->ep->bar[bar].offset;
}

static void check_place(Fixture *f, uint32_t table, uint32_t pba)
{
    g_assert_cmphex(hostvm_readl(f->q, HOSTVM_FUNCTION, CAP + PCI_MSIX_TABLE), ==,
                    table);
    g_assert_cmphex(hostvm_readl(f->q, HOSTVM_FUNCTION, CAP + PCI_MSIX_PBA), ==,
                    pba);
}

/* Masked, pending, delivered; and the function sees what the guest wrote. */
static void check_vectors(Fixture *f, const uint8_t *mirror, unsigned vectors)
{
    unsigned sent = fakeep_count(f->ep, VFU_CMD_SET_IRQS);
    const VfuMsg *m;
    uint64_t table, pba, one = 1;

    hostvm_msix(f->q, &table, &pba);
    for (unsigned i = 0; i < vectors; i++) {
        g_assert_cmphex(qtest_readl(f->q, table + 16 * i + 12), ==, 1);
        qtest_writeq(f->q, table + 16 * i, MSI_ADDR + 4 * i);
        qtest_writel(f->q, table + 16 * i + 8, 0xcafe0000 + i);
        g_assert_cmphex(load_word(mirror + 16 * i), ==, MSI_ADDR + 4 * i);
        g_assert_cmphex(load_word(mirror + 16 * i + 8), ==, 0xcafe0000 + i);
    }
    hostvm_writew(f->q, HOSTVM_FUNCTION, CAP + PCI_MSIX_FLAGS,
                  PCI_MSIX_FLAGS_ENABLE);
    m = fakeep_wait(f->ep, VFU_CMD_SET_IRQS, sent + 1);
    g_assert_cmpuint(m->nfds, >=, MIN(vectors, VFU_MSG_MAX_FDS));
    for (unsigned i = 0; i < MIN(vectors, VFU_MSG_MAX_FDS); i++) {
        uint64_t bits = pba + i / 32 * 4;

        g_assert_cmpint(write(m->fds[i], &one, sizeof(one)), ==, sizeof(one));
        hostvm_wait_mem(f->q, bits, 1u << i % 32);
        g_assert_cmphex(qtest_readl(f->q, MSI_ADDR + 4 * i), ==, 0);
        qtest_writel(f->q, table + 16 * i + 12, 0);
        hostvm_wait_mem(f->q, MSI_ADDR + 4 * i, 0xcafe0000 + i);
        g_assert_cmphex(qtest_readl(f->q, bits), ==, 0);
        g_assert_cmphex(load_word(mirror + 16 * i + 12), ==, 0);
    }
    hostvm_writew(f->q, HOSTVM_FUNCTION, CAP + PCI_MSIX_FLAGS, 0);
    fakeep_wait(f->ep, VFU_CMD_SET_IRQS, sent + 2);
}

/* All of a BAR is bar_memory, also where the function has its table. */
static void check_memory(Fixture *f, unsigned bar)
{
    uint64_t table, pba, n = hostvm_prop_uint(f->q, "messages");
    uint32_t entry;

    hostvm_msix(f->q, &table, &pba);
    entry = qtest_readl(f->q, table + 8);
    for (unsigned at = 0; at < f->ep->bar[bar].size; at += 0x100) {
        qtest_writel(f->q, HOSTVM_BAR(bar) + at + 8, ~at);
        g_assert_cmphex(load_word(bar_memory(f, bar) + at + 8), ==, ~at);
        stl_le_p(bar_memory(f, bar) + at + 8, at);
        g_assert_cmphex(qtest_readl(f->q, HOSTVM_BAR(bar) + at + 8), ==, at);
    }
    g_assert_cmphex(qtest_readl(f->q, table + 8), ==, entry);
    g_assert_cmpuint(hostvm_prop_uint(f->q, "messages"), ==, n);
}

/* The value of the last configuration write to @reg that the bridge sent */
static bool config_written(FakeEp *s, unsigned reg, uint32_t *val)
{
    bool seen = false;
    const VfuMsg *m;
    VfuRegionRw rw;

    for (unsigned i = 0; (m = fakeep_nth(s, VFU_CMD_REGION_WRITE, i)); i++) {
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
    uint32_t was = hostvm_readl(q, HOSTVM_FUNCTION, reg);
    uint32_t mask;

    hostvm_writel(q, HOSTVM_FUNCTION, reg, 0xffffffff);
    mask = hostvm_readl(q, HOSTVM_FUNCTION, reg) & ~0xfu;
    hostvm_writel(q, HOSTVM_FUNCTION, reg, was);
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
        g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(5) + 0xff0), ==, 0xffffffff);
        check_vectors(&f, bar_memory(&f, 0) + HOME_TABLE, VECTORS);
        check_memory(&f, 0);

        /* The endpoint knows nothing of that BAR */
        g_assert_true(config_written(f.ep, PCI_BASE_ADDRESS_0, &val));
        g_assert_cmphex(val, ==, HOSTVM_BAR(0));
        g_assert_false(config_written(f.ep, PCI_BASE_ADDRESS_5, &val));
        fixture_end(&f);
    }
}

/* The upper half of a 64-bit BAR is not free, a table of all vectors is long */
static void test_free_bar_large(void)
{
    Fixture f;

    fixture_start_with(&f, VFU_EP_FEATURE_AREAS, "");
    fakeep_set_bar(f.ep, 0, PCI_BASE_ADDRESS_MEM_TYPE_64, 0x10000, true);
    fakeep_set_bar(f.ep, 1, 0, 0, false);
    stw_le_p(f.ep->config + CAP + PCI_MSIX_FLAGS, 2047);
    stl_le_p(f.ep->config + CAP + PCI_MSIX_TABLE, 0x800);
    stl_le_p(f.ep->config + CAP + PCI_MSIX_PBA, 0x8800);
    f.ep->irqs[VFU_IRQ_MSIX] = 2048;
    fixture_link_up(&f, true);
    check_place(&f, 5, 5 | 0x8000);
    g_assert_cmphex(size_of(f.q, 5), ==, 0x10000);
    check_vectors(&f, bar_memory(&f, 0) + 0x800, 2048);
    check_memory(&f, 0);
    fixture_end(&f);
}

static void test_upper_half(void)
{
    uint32_t val;
    Fixture f;

    fixture_start_with(&f, VFU_EP_FEATURE_AREAS, "");
    fakeep_set_bar(f.ep, 5, 0, 0x1000, false);
    fixture_link_up(&f, true);
    check_place(&f, 0x10000, 0x10000 + 16 * VECTORS);
    g_assert_cmphex(size_of(f.q, 0), ==, 2 * f.ep->bar[0].size);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0) + 0x1fff0), ==, 0xffffffff);
    check_vectors(&f, bar_memory(&f, 0) + HOME_TABLE, VECTORS);
    check_memory(&f, 0);

    /* What the guest reads from the register is what the endpoint has in it */
    hostvm_writel(f.q, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_0, 0xffffffff);
    g_assert_true(config_written(f.ep, PCI_BASE_ADDRESS_0, &val));
    g_assert_cmphex(val, ==, 0xfffe0000);
    hostvm_writel(f.q, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_0, HOSTVM_BAR(0) + 0x10000);
    g_assert_true(config_written(f.ep, PCI_BASE_ADDRESS_0, &val));
    g_assert_cmphex(val, ==, HOSTVM_BAR(0));
    fixture_end(&f);
}

static void test_upper_half_64(void)
{
    uint32_t val;
    Fixture f;

    fixture_start_with(&f, VFU_EP_FEATURE_AREAS, "");
    fakeep_set_bar(f.ep, 5, 0, 0x1000, false);
    stl_le_p(f.ep->config + CAP + PCI_MSIX_TABLE, HOME_TABLE | 2);
    stl_le_p(f.ep->config + CAP + PCI_MSIX_PBA, HOME_PBA | 4);
    fixture_link_up(&f, true);
    check_place(&f, 2 | 0x20000, 2 | (0x20000 + 16 * VECTORS));
    g_assert_cmphex(size_of(f.q, 2), ==, 0x40000);
    check_vectors(&f, bar_memory(&f, 2) + HOME_TABLE, VECTORS);
    check_memory(&f, 2);
    check_memory(&f, 4);
    hostvm_writel(f.q, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_3, 0x12);
    g_assert_true(config_written(f.ep, PCI_BASE_ADDRESS_3, &val));
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
    g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_5), ==, 0);
    check_vectors(&f, bar_memory(&f, 0) + HOME_TABLE, VECTORS);
    n = hostvm_prop_uint(f.q, "messages");
    qtest_writel(f.q, HOSTVM_BAR(0) + HOME_TABLE + 16 * VECTORS, 0x1234);
    g_assert_cmphex(load_word(bar_memory(&f, 0) + HOME_TABLE + 16 * VECTORS), ==,
                    0x1234);
    g_assert_cmpuint(hostvm_prop_uint(f.q, "messages"), ==, n);
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

/* The function's bar_memory goes and comes back; the table follows where it is. */
static void test_remap(void)
{
    unsigned asked, writes;
    uint64_t table, pba;
    Fixture f;

    fixture_start_with(&f, VFU_EP_FEATURE_AREAS, "");
    fixture_link_up(&f, true);
    hostvm_msix(f.q, &table, &pba);
    for (unsigned i = 0; i < 6; i++) {
        asked = fakeep_count(f.ep, VFU_CMD_GET_REGION_IO_FDS);
        fakeep_retarget(f.ep, 0, i & 1, 0);
        g_assert_cmpint(fakeep_remap(f.ep, 0), ==, 0);
        fakeep_wait(f.ep, VFU_CMD_GET_REGION_IO_FDS, asked + 1);
        writes = fakeep_count(f.ep, VFU_CMD_REGION_WRITE);
        qtest_writel(f.q, table + 8, 0x1000 + i);
        if (!(i & 1)) {
            fakeep_wait(f.ep, VFU_CMD_REGION_WRITE, writes + 1);
        }
        g_assert_cmphex(load_word(bar_memory(&f, 0) + HOME_TABLE + 8), ==,
                        0x1000 + i);
    }
    fixture_end(&f);
}

static bool is_mirror(const VfuMsg *m)
{
    VfuRegionRw rw;

    if (m->hdr.command != VFU_CMD_REGION_WRITE) {
        return false;
    }
    memcpy(&rw, m->payload, sizeof(rw));
    return rw.region == 0;
}

static bool hook_silent(FakeEp *s, const VfuMsg *m, void *opaque)
{
    return is_mirror(m);
}

static void check_mirror(const VfuMsg *m, uint64_t offset, uint32_t value)
{
    VfuRegionRw rw;

    g_assert_true(is_mirror(m));
    memcpy(&rw, m->payload, sizeof(rw));
    g_assert_cmphex(rw.offset, ==, offset);
    g_assert_cmpuint(rw.count, ==, sizeof(value));
    g_assert_cmphex(load_word(m->payload + sizeof(rw)), ==, value);
}

/*
 * The guest does not wait for an endpoint that has its table behind messages and
 * does not answer them, and the endpoint gets the stores in order and before the
 * eventfds.
 */
static void test_posted(void)
{
    static const uint32_t entry[] = { MSI_ADDR, 0, 0xcafe0000, 0 };
    unsigned writes, irqs;
    uint64_t table, pba;
    Fixture f;

    fixture_start_with(&f, VFU_EP_FEATURE_AREAS, "");
    fakeep_set_bar(f.ep, 0, 0, 0x10000, false);
    fixture_link_up(&f, true);
    hostvm_msix(f.q, &table, &pba);
    writes = fakeep_count(f.ep, VFU_CMD_REGION_WRITE);
    irqs = fakeep_count(f.ep, VFU_CMD_SET_IRQS);

    f.ep->hook = hook_silent;
    for (unsigned i = 0; i < ARRAY_SIZE(entry); i++) {
        qtest_writel(f.q, table + 4 * i, entry[i]);
        g_assert_cmphex(qtest_readl(f.q, table + 4 * i), ==, entry[i]);
    }
    hostvm_writew(f.q, HOSTVM_FUNCTION, CAP + PCI_MSIX_FLAGS,
                  PCI_MSIX_FLAGS_ENABLE);
    fakeep_wait(f.ep, VFU_CMD_SET_IRQS, irqs + 1);
    for (unsigned i = 0; i < ARRAY_SIZE(entry); i++) {
        check_mirror(fakeep_nth(f.ep, VFU_CMD_REGION_WRITE, writes + i),
                     HOME_TABLE + 4 * i, entry[i]);
    }
    f.ep->hook = NULL;

    /* The session is alive once it has the answers */
    for (unsigned i = 0; i < ARRAY_SIZE(entry); i++) {
        const VfuMsg *m = fakeep_nth(f.ep, VFU_CMD_REGION_WRITE, writes + i);

        fakeep_reply(f.ep, m, m->payload, sizeof(VfuRegionRw), NULL, 0);
    }
    stl_le_p(bar_memory(&f, 0) + 0x10, 0x1234);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0) + 0x10), ==, 0x1234);
    g_assert_true(hostvm_prop_bool(f.q, "link-up"));
    fixture_end(&f);
}

/* Puts the BAR behind messages or memory, and waits until the bridge knows. */
static void move_bar(Fixture *f, bool shared)
{
    unsigned asked = fakeep_count(f->ep, VFU_CMD_GET_REGION_IO_FDS);

    fakeep_retarget(f->ep, 0, shared, 0);
    g_assert_cmpint(fakeep_remap(f->ep, 0), ==, 0);
    fakeep_wait(f->ep, VFU_CMD_GET_REGION_IO_FDS, asked + 1);
}

/*
 * A store by message that the endpoint has not answered may still come.  So the
 * next one is a message, too, although the bridge has mapped the table by then.
 */
static void test_posted_then_mapped(void)
{
    unsigned writes;
    uint64_t table, pba;
    Fixture f;

    fixture_start_with(&f, VFU_EP_FEATURE_AREAS, "");
    fixture_link_up(&f, true);
    hostvm_msix(f.q, &table, &pba);
    move_bar(&f, false);
    writes = fakeep_count(f.ep, VFU_CMD_REGION_WRITE);

    f.ep->hook = hook_silent;
    qtest_writel(f.q, table + 8, 0x1111);
    fakeep_wait(f.ep, VFU_CMD_REGION_WRITE, writes + 1);
    move_bar(&f, true);
    qtest_writel(f.q, table + 8, 0x2222);
    fakeep_wait(f.ep, VFU_CMD_REGION_WRITE, writes + 2);
    f.ep->hook = NULL;
    for (unsigned i = 0; i < 2; i++) {
        const VfuMsg *m = fakeep_nth(f.ep, VFU_CMD_REGION_WRITE, writes + i);

        check_mirror(m, HOME_TABLE + 8, i ? 0x2222 : 0x1111);
        fakeep_reply(f.ep, m, m->payload, sizeof(VfuRegionRw), NULL, 0);
    }

    /* The answer to this read of BAR 1 is behind those answers. */
    qtest_readl(f.q, HOSTVM_BAR(1));
    qtest_writel(f.q, table + 8, 0x3333);
    g_assert_cmphex(load_word(bar_memory(&f, 0) + HOME_TABLE + 8), ==, 0x3333);
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_REGION_WRITE), ==, writes + 2);
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
    qtest_add_func("epf-bridge/msix/posted", test_posted);
    qtest_add_func("epf-bridge/msix/posted-then-mapped",
                   test_posted_then_mapped);

    return g_test_run();
}
