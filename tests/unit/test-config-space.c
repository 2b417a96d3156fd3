/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of config/space: the configuration space as a host walks it
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "standard-headers/linux/pci_regs.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/pci-epc-regs.h"

#define DEVCTL (EPC_CONFIG_EXP + PCI_EXP_DEVCTL)
#define PMCSR (EPC_CONFIG_PM + PCI_PM_CTRL)
#define MSI_FLAGS (EPC_CONFIG_MSI + PCI_MSI_FLAGS)
#define MSIX_FLAGS (EPC_CONFIG_MSIX + PCI_MSIX_FLAGS)

static EpcConfig *make_config(void)
{
    EpcConfig *c = g_new(EpcConfig, 1);
    EpcHeader h = {
        .vendor = 0x104c, .device = 0xb500,
        .subsys_vendor = 0x1234, .subsys = 0x5678,
        .class_rev = 0xff000001, .int_pin = 1,
    };

    epc_config_init(c, 3, 4);
    epc_config_set_header(c, &h);
    return c;
}

static uint32_t rd(const EpcConfig *c, uint32_t offset, unsigned len)
{
    uint8_t buf[4] = { 0 };

    g_assert_true(epc_config_read(c, offset, buf, len));
    return ldl_le_p(buf);
}

static uint32_t wr(EpcConfig *c, uint32_t offset, uint32_t value, unsigned len)
{
    uint8_t buf[4];
    uint32_t events = 0xdead;

    stl_le_p(buf, value);
    g_assert_true(epc_config_write(c, offset, buf, len, &events));
    return events;
}

static void test_empty(void)
{
    g_autofree EpcConfig *c = g_new(EpcConfig, 1);

    epc_config_init(c, 1, 1);
    g_assert_cmphex(rd(c, PCI_VENDOR_ID, 4), ==, 0xffffffff);
    g_assert_cmpuint(epc_config_msi_capable(c), ==, 0);
    g_assert_cmpuint(epc_config_msix_size(c), ==, 0);
    g_assert_cmpuint(epc_config_dstate(c), ==, 0);
}

static void test_header(void)
{
    g_autofree EpcConfig *c = make_config();

    g_assert_cmphex(rd(c, PCI_VENDOR_ID, 4), ==, 0xb500104c);
    g_assert_cmphex(rd(c, PCI_CLASS_REVISION, 4), ==, 0xff000001);
    g_assert_cmphex(rd(c, PCI_SUBSYSTEM_VENDOR_ID, 4), ==, 0x56781234);
    g_assert_cmphex(rd(c, PCI_HEADER_TYPE, 1), ==, 0);
    g_assert_cmphex(rd(c, PCI_INTERRUPT_PIN, 1), ==, 1);
    g_assert_cmphex(rd(c, PCI_STATUS, 2), ==, PCI_STATUS_CAP_LIST);

    /* what the endpoint says is read only, what is the host's is not */
    g_assert_cmphex(wr(c, PCI_VENDOR_ID, 0, 4), ==, 0);
    wr(c, PCI_CLASS_REVISION, 0, 4);
    wr(c, PCI_INTERRUPT_LINE, 0xffff, 2);
    wr(c, PCI_CACHE_LINE_SIZE, 0xff10, 2);
    g_assert_cmphex(rd(c, PCI_VENDOR_ID, 4), ==, 0xb500104c);
    g_assert_cmphex(rd(c, PCI_CLASS_REVISION, 4), ==, 0xff000001);
    g_assert_cmphex(rd(c, PCI_INTERRUPT_LINE, 2), ==, 0x01ff);
    g_assert_cmphex(rd(c, PCI_CACHE_LINE_SIZE, 2), ==, 0x0010);
}

static void test_command(void)
{
    g_autofree EpcConfig *c = make_config();

    g_assert_cmphex(wr(c, PCI_COMMAND, 0xffff, 2), ==, EPC_FN_EVENT_COMMAND);
    g_assert_cmphex(epc_config_command(c), ==, 0x0547);
    g_assert_cmphex(wr(c, PCI_COMMAND, 0x0547, 2), ==, 0);
    /* by bytes, and through the word before it */
    g_assert_cmphex(wr(c, PCI_COMMAND + 1, 0, 1), ==, EPC_FN_EVENT_COMMAND);
    g_assert_cmphex(epc_config_command(c), ==, 0x0047);
    g_assert_cmphex(wr(c, PCI_DEVICE_ID + 1, 0x0600, 2), ==,
                    EPC_FN_EVENT_COMMAND);
    g_assert_cmphex(epc_config_command(c), ==, PCI_COMMAND_MEMORY |
                    PCI_COMMAND_MASTER);
    /* status: write one to clear, nothing to set */
    wr(c, PCI_STATUS, 0xffff, 2);
    g_assert_cmphex(rd(c, PCI_STATUS, 2), ==, PCI_STATUS_CAP_LIST);
    c->data[PCI_STATUS + 1] |= PCI_STATUS_REC_MASTER_ABORT >> 8;
    wr(c, PCI_STATUS, 0, 2);
    g_assert_cmphex(rd(c, PCI_STATUS, 2), ==,
                    PCI_STATUS_CAP_LIST | PCI_STATUS_REC_MASTER_ABORT);
    wr(c, PCI_STATUS, PCI_STATUS_REC_MASTER_ABORT, 2);
    g_assert_cmphex(rd(c, PCI_STATUS, 2), ==, PCI_STATUS_CAP_LIST);
}

static uint64_t bar_sizing(EpcConfig *c, unsigned bar, bool is64)
{
    unsigned at = PCI_BASE_ADDRESS_0 + 4 * bar;
    uint64_t mask;

    wr(c, at, 0xffffffff, 4);
    mask = rd(c, at, 4) & ~0xfull;
    if (is64) {
        wr(c, at + 4, 0xffffffff, 4);
        return ~(mask | (uint64_t)rd(c, at + 4, 4) << 32) + 1;
    }
    return (uint32_t)~mask + 1;
}

static void test_bars(void)
{
    g_autofree EpcConfig *c = make_config();

    for (unsigned i = 0; i < EPC_NUM_BARS; i++) {
        wr(c, PCI_BASE_ADDRESS_0 + 4 * i, 0xffffffff, 4);
        g_assert_cmphex(rd(c, PCI_BASE_ADDRESS_0 + 4 * i, 4), ==, 0);
    }
    epc_config_set_bar(c, 0, 0, 4096);
    epc_config_set_bar(c, 1, EPC_BAR_FLAG_PREFETCH, 1ull << 31);
    epc_config_set_bar(c, 2, EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH, 1 << 20);
    epc_config_set_bar(c, 4, EPC_BAR_FLAG_64, 1ull << 40);

    g_assert_cmphex(rd(c, PCI_BASE_ADDRESS_0, 4), ==, 0);
    g_assert_cmphex(rd(c, PCI_BASE_ADDRESS_1, 4), ==, 8);
    g_assert_cmphex(rd(c, PCI_BASE_ADDRESS_2, 4), ==, 0xc);
    g_assert_cmphex(rd(c, PCI_BASE_ADDRESS_3, 4), ==, 0);
    g_assert_cmphex(rd(c, PCI_BASE_ADDRESS_4, 4), ==, 4);
    g_assert_cmphex(bar_sizing(c, 0, false), ==, 4096);
    g_assert_cmphex(bar_sizing(c, 1, false), ==, 1ull << 31);
    g_assert_cmphex(bar_sizing(c, 2, true), ==, 1 << 20);
    g_assert_cmphex(bar_sizing(c, 4, true), ==, 1ull << 40);

    /* an address, in odd pieces */
    wr(c, PCI_BASE_ADDRESS_2, 0xfe123456, 4);
    g_assert_cmphex(rd(c, PCI_BASE_ADDRESS_2, 4), ==, 0xfe10000c);
    wr(c, PCI_BASE_ADDRESS_2 + 3, 0x01ab, 2);
    g_assert_cmphex(rd(c, PCI_BASE_ADDRESS_2, 4), ==, 0xab10000c);
    g_assert_cmphex(rd(c, PCI_BASE_ADDRESS_3, 4), ==, 0xffffff01);

    /* clearing the upper half's index changes nothing; clearing the BAR does */
    epc_config_set_bar(c, 3, 0, 0);
    g_assert_cmphex(rd(c, PCI_BASE_ADDRESS_3, 4), ==, 0xffffff01);
    epc_config_set_bar(c, 2, 0, 0);
    g_assert_cmphex(rd(c, PCI_BASE_ADDRESS_2, 4), ==, 0);
    g_assert_cmphex(rd(c, PCI_BASE_ADDRESS_3, 4), ==, 0);
    epc_config_set_bar(c, 3, 0, 4096);
    g_assert_cmphex(bar_sizing(c, 3, false), ==, 4096);

    /* reset forgets addresses, not BARs */
    epc_config_reset(c, EPC_CONFIG_RESET_HOT);
    g_assert_cmphex(rd(c, PCI_BASE_ADDRESS_1, 4), ==, 8);
    g_assert_cmphex(bar_sizing(c, 1, false), ==, 1ull << 31);
    g_assert_cmphex(c->bar_size[4], ==, 1ull << 40);
}

/* Ids of the capabilities in the order of the list */
static void assert_caps(const EpcConfig *c, const char *expect)
{
    g_autoptr(GString) s = g_string_new(NULL);
    unsigned at = rd(c, PCI_CAPABILITY_LIST, 1);

    for (int i = 0; at; i++) {
        g_assert_cmpint(i, <, 8);
        g_assert_cmphex(at & 3, ==, 0);
        g_string_append_printf(s, "%x ", rd(c, at, 1));
        at = rd(c, at + PCI_CAP_LIST_NEXT, 1);
    }
    g_assert_cmpstr(s->str, ==, expect);
}

static void test_caps(void)
{
    g_autofree EpcConfig *c = make_config();

    assert_caps(c, "1 10 ");
    epc_config_set_msix(c, 2048, 2, 0x1000, 0x9000);
    assert_caps(c, "1 10 11 ");
    epc_config_set_msi(c, 32);
    assert_caps(c, "1 5 10 11 ");
    epc_config_set_msix(c, 0, 0, 0, 0);
    assert_caps(c, "1 5 10 ");
    epc_config_set_msi(c, 0);
    assert_caps(c, "1 10 ");
    g_assert_cmphex(rd(c, EPC_CONFIG_MSI, 4), ==, 0);
    g_assert_cmphex(rd(c, 0x100, 4), ==, 0);
    wr(c, 0x100, 0xffffffff, 4);
    g_assert_cmphex(rd(c, 0x100, 4), ==, 0);
}

static void test_express(void)
{
    g_autofree EpcConfig *c = make_config();

    g_assert_cmphex(rd(c, EPC_CONFIG_EXP + PCI_EXP_FLAGS, 2), ==, 2);
    g_assert_cmphex(rd(c, EPC_CONFIG_EXP + PCI_EXP_DEVCAP, 4) &
                    PCI_EXP_DEVCAP_FLR, !=, 0);
    g_assert_cmphex(rd(c, EPC_CONFIG_EXP + PCI_EXP_LNKCAP, 4) & 0x3ff, ==,
                    0x43);
    g_assert_cmphex(rd(c, EPC_CONFIG_EXP + PCI_EXP_LNKSTA, 2) & 0x3ff, ==,
                    0x43);
    g_assert_cmphex(rd(c, EPC_CONFIG_EXP + PCI_EXP_LNKCAP2, 4), ==, 0xe);
    g_assert_cmphex(rd(c, EPC_CONFIG_EXP + PCI_EXP_LNKCTL2, 2), ==, 3);
    g_assert_cmphex(rd(c, DEVCTL, 2), ==, 0x2810);

    g_assert_cmphex(wr(c, DEVCTL, 0x5000, 2), ==, 0);
    g_assert_cmphex(rd(c, DEVCTL, 2), ==, 0x5000);
    wr(c, DEVCTL, 0x7fff, 2);
    g_assert_cmphex(rd(c, DEVCTL, 2), ==, 0x791f);
}

static void test_flr(void)
{
    g_autofree EpcConfig *c = make_config();

    epc_config_set_bar(c, 0, 0, 4096);
    epc_config_set_msi(c, 4);
    wr(c, PCI_BASE_ADDRESS_0, 0xe0000000, 4);

    /* nothing but FLR changes when there is nothing to reset */
    g_assert_cmphex(wr(c, DEVCTL, 0x8000, 2), ==, EPC_FN_EVENT_FLR);
    g_assert_cmphex(rd(c, PCI_BASE_ADDRESS_0, 4), ==, 0);
    g_assert_cmphex(rd(c, DEVCTL, 2), ==, 0x2810);

    /* through every width that can carry the bit; neighbours do not */
    g_assert_cmphex(wr(c, DEVCTL + 1, 0x80, 1), ==, EPC_FN_EVENT_FLR);
    g_assert_cmphex(wr(c, DEVCTL + 1, 0x0080, 2), ==, EPC_FN_EVENT_FLR);
    g_assert_cmphex(wr(c, DEVCTL - 2, 0x80000000, 4), ==, EPC_FN_EVENT_FLR);
    g_assert_cmphex(wr(c, DEVCTL, 0x80, 1), ==, 0);
    g_assert_cmphex(wr(c, DEVCTL + 2, 0x80, 1), ==, 0);

    wr(c, PCI_COMMAND, 6, 2);
    wr(c, MSI_FLAGS, PCI_MSI_FLAGS_ENABLE, 2);
    wr(c, PMCSR, 3, 2);
    g_assert_cmphex(wr(c, DEVCTL, 0x8000, 4), ==, EPC_FN_EVENT_COMMAND |
                    EPC_FN_EVENT_MSI | EPC_FN_EVENT_FLR | EPC_FN_EVENT_DSTATE);
    g_assert_cmphex(epc_config_command(c), ==, 0);
    g_assert_cmpuint(epc_config_msi_enabled(c), ==, 0);
    g_assert_cmpuint(epc_config_msi_capable(c), ==, 4);
    g_assert_cmpuint(epc_config_dstate(c), ==, 0);
    g_assert_cmphex(rd(c, PCI_VENDOR_ID, 4), ==, 0xb500104c);
}

/* ---- Resets ---- */

#define KEPT_BY_FLR     (1u << EPC_CONFIG_RESET_FLR)
#define KEPT_BY_HOT     (1u << EPC_CONFIG_RESET_HOT)

/*
 * What the host can write and a reset keeps: the RWS bits by their register
 * tables (PCI Express Base 5.0, 7.5.3), and the list of 6.6.2. All other bits
 * go back to their values after power-up.
 */
static const struct {
    uint16_t offset, mask;
    unsigned kept_by;
} kept[] = {
    /* Read Completion Boundary, Common Clock Configuration, Extended Synch */
    { EPC_CONFIG_EXP + PCI_EXP_LNKCTL, 0x00c8, KEPT_BY_FLR },
    /* Target Link Speed */
    { EPC_CONFIG_EXP + PCI_EXP_LNKCTL2, 0x000f, KEPT_BY_FLR | KEPT_BY_HOT },
};

static uint16_t kept_mask(unsigned offset, EpcConfigReset kind)
{
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        if (kept[i].offset == offset && (kept[i].kept_by & (1u << kind))) {
            return kept[i].mask;
        }
    }
    return 0;
}

/* Writes @ones to all registers, without FLR. */
static void write_everything(EpcConfig *c, bool ones)
{
    for (unsigned at = 0; at < EPC_CONFIG_SIZE; at++) {
        wr(c, at, ones ? (at == DEVCTL + 1 ? 0x7f : 0xff) : 0, 1);
    }
}

static void check_reset(EpcConfig *c, const uint8_t *after_power,
                        const uint8_t *written, EpcConfigReset kind)
{
    for (unsigned at = 0; at < EPC_CONFIG_SIZE; at += 2) {
        uint16_t mask = kept_mask(at, kind);
        uint16_t want = (lduw_le_p(after_power + at) & ~mask) |
                        (lduw_le_p(written + at) & mask);

        if (rd(c, at, 2) != want) {
            g_error("reset of kind %u: 0x%03x is 0x%04x, not 0x%04x", kind, at,
                    rd(c, at, 2), want);
        }
    }
}

static void check_resets(EpcConfig *c)
{
    g_autofree uint8_t *start = g_memdup2(c->data, EPC_CONFIG_SIZE);
    uint8_t written[EPC_CONFIG_SIZE];

    for (unsigned i = 0; i < 6; i++) {
        EpcConfigReset kind = i / 2;

        write_everything(c, i & 1);
        memcpy(written, c->data, sizeof(written));
        epc_config_set_intx(c, true);
        epc_config_reset(c, kind);
        check_reset(c, start, written, kind);
        /* the same FLR, as the host starts it */
        if (kind == EPC_CONFIG_RESET_FLR) {
            wr(c, DEVCTL, 0x8000, 2);
            check_reset(c, start, written, kind);
        }
        epc_config_reset(c, EPC_CONFIG_RESET_POWER);
        g_assert_cmpmem(c->data, EPC_CONFIG_SIZE, start, EPC_CONFIG_SIZE);
    }
}

static void test_resets(void)
{
    g_autofree EpcConfig *c = make_config();
    unsigned at;

    epc_config_set_bar(c, 0, 0, 4096);
    epc_config_set_bar(c, 2, EPC_BAR_FLAG_64, 1 << 20);
    epc_config_set_msi(c, 8);
    epc_config_set_msix(c, 16, 2, 0, 0x100);
    at = epc_config_add_cap(c, PCI_CAP_ID_VNDR, 8);
    g_assert_true(epc_config_set_register(c, at + 4, 4, 0x12345678, 0xffff));
    check_resets(c);

    /* the host can write each bit of the table */
    write_everything(c, true);
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        g_assert_cmphex(rd(c, kept[i].offset, 2) & kept[i].mask, ==,
                        kept[i].mask);
    }
}

static void test_resets_vfs(void)
{
    g_autofree EpcConfig *c = g_new(EpcConfig, 1);

    epc_config_init(c, 3, 4);
    epc_config_add_sriov(c, 1);
    epc_config_set_vfs(c, 2, 0x1234);
    epc_config_set_vf_bar(c, 0, 0, 4096);
    check_resets(c);

    epc_config_init_vf(c, 3, 4);
    epc_config_set_msix(c, 16, 2, 0, 0x100);
    check_resets(c);
}

static void test_interrupt_status(void)
{
    g_autofree EpcConfig *c = make_config();
    const uint16_t set = PCI_STATUS_CAP_LIST | PCI_STATUS_INTERRUPT;

    epc_config_set_intx(c, true);
    g_assert_cmphex(rd(c, PCI_STATUS, 2), ==, set);
    /* Read only, and Interrupt Disable has no effect on it */
    wr(c, PCI_STATUS, 0xffff, 2);
    wr(c, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
    g_assert_cmphex(rd(c, PCI_STATUS, 2), ==, set);
    epc_config_set_intx(c, false);
    g_assert_cmphex(rd(c, PCI_STATUS, 2), ==, PCI_STATUS_CAP_LIST);
}

static void test_pm(void)
{
    g_autofree EpcConfig *c = make_config();

    g_assert_cmphex(rd(c, PMCSR, 2), ==, PCI_PM_CTRL_NO_SOFT_RESET);
    g_assert_cmphex(wr(c, PMCSR, 3, 2), ==, EPC_FN_EVENT_DSTATE);
    g_assert_cmpuint(epc_config_dstate(c), ==, 3);
    /* D1 and D2 are not there */
    g_assert_cmphex(wr(c, PMCSR, 1, 2), ==, 0);
    g_assert_cmphex(wr(c, PMCSR, 2, 1), ==, 0);
    g_assert_cmpuint(epc_config_dstate(c), ==, 3);
    g_assert_cmphex(wr(c, PMCSR, 0, 1), ==, EPC_FN_EVENT_DSTATE);
    g_assert_cmphex(wr(c, PMCSR, 1, 2), ==, 0);
    g_assert_cmpuint(epc_config_dstate(c), ==, 0);
}

static void test_msi(void)
{
    static const struct {
        unsigned vectors, capable;
        uint32_t mask;
    } sizes[] = {
        { 1, 1, 0x1 }, { 2, 2, 0x3 }, { 3, 4, 0xf }, { 16, 16, 0xffff },
        { 17, 32, 0xffffffff }, { 32, 32, 0xffffffff },
    };
    g_autofree EpcConfig *c = make_config();

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        epc_config_set_msi(c, sizes[i].vectors);
        g_assert_cmpuint(epc_config_msi_capable(c), ==, sizes[i].capable);
        wr(c, EPC_CONFIG_MSI + PCI_MSI_MASK_64, 0xffffffff, 4);
        g_assert_cmphex(rd(c, EPC_CONFIG_MSI + PCI_MSI_MASK_64, 4), ==,
                        sizes[i].mask);
    }

    epc_config_set_msi(c, 8);
    g_assert_cmpuint(epc_config_msi_enabled(c), ==, 0);
    g_assert_cmphex(wr(c, MSI_FLAGS, 0x21, 2), ==, EPC_FN_EVENT_MSI);
    g_assert_cmpuint(epc_config_msi_enabled(c), ==, 4);
    g_assert_cmphex(wr(c, MSI_FLAGS, 0x21, 1), ==, 0);
    g_assert_cmphex(wr(c, MSI_FLAGS, 0x71, 1), ==, EPC_FN_EVENT_MSI);
    g_assert_cmpuint(epc_config_msi_enabled(c), ==, 8);
    g_assert_cmphex(wr(c, EPC_CONFIG_MSI + PCI_MSI_ADDRESS_LO, 0xfee00003, 4),
                    ==, 0);
    g_assert_cmphex(rd(c, EPC_CONFIG_MSI + PCI_MSI_ADDRESS_LO, 4), ==,
                    0xfee00000);
    wr(c, EPC_CONFIG_MSI + PCI_MSI_PENDING_64, 0xffffffff, 4);
    g_assert_cmphex(rd(c, EPC_CONFIG_MSI + PCI_MSI_PENDING_64, 4), ==, 0);
    epc_config_reset(c, EPC_CONFIG_RESET_HOT);
    g_assert_cmpuint(epc_config_msi_enabled(c), ==, 0);
    g_assert_cmpuint(epc_config_msi_capable(c), ==, 8);
}

static void test_msix(void)
{
    g_autofree EpcConfig *c = make_config();
    bool masked;

    g_assert_false(epc_config_msix_enabled(c, &masked));
    g_assert_false(masked);
    epc_config_set_msix(c, 2048, 5, 0x80, 0x8080);
    g_assert_cmpuint(epc_config_msix_size(c), ==, 2048);
    g_assert_cmphex(rd(c, MSIX_FLAGS, 2), ==, 0x7ff);
    g_assert_cmphex(rd(c, EPC_CONFIG_MSIX + PCI_MSIX_TABLE, 4), ==, 0x85);
    g_assert_cmphex(rd(c, EPC_CONFIG_MSIX + PCI_MSIX_PBA, 4), ==, 0x8085);

    g_assert_cmphex(wr(c, MSIX_FLAGS, 0xffff, 2), ==, EPC_FN_EVENT_MSI);
    g_assert_true(epc_config_msix_enabled(c, &masked));
    g_assert_true(masked);
    g_assert_cmpuint(epc_config_msix_size(c), ==, 2048);
    g_assert_cmphex(wr(c, MSIX_FLAGS + 1, 0x80, 1), ==, EPC_FN_EVENT_MSI);
    g_assert_true(epc_config_msix_enabled(c, &masked));
    g_assert_false(masked);
    epc_config_set_msix(c, 1, 0, 0, 0x10);
    g_assert_cmpuint(epc_config_msix_size(c), ==, 1);
    g_assert_false(epc_config_msix_enabled(c, &masked));
}

static void test_bounds(void)
{
    g_autofree EpcConfig *c = make_config();
    g_autofree EpcConfig *copy = g_memdup2(c, sizeof(*c));
    uint8_t buf[EPC_CONFIG_SIZE];
    static const struct {
        uint32_t offset, len;
    } bad[] = {
        { EPC_CONFIG_SIZE, 1 }, { EPC_CONFIG_SIZE - 1, 2 },
        { 0, EPC_CONFIG_SIZE + 1 }, { UINT32_MAX, 1 }, { 1, UINT32_MAX },
        { UINT32_MAX, UINT32_MAX },
    };
    uint32_t events;

    memset(buf, 0xff, sizeof(buf));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert_false(epc_config_read(c, bad[i].offset, buf, bad[i].len));
        g_assert_false(epc_config_write(c, bad[i].offset, buf, bad[i].len,
                                        &events));
        g_assert_cmphex(events, ==, 0);
    }
    g_assert_cmpint(memcmp(c, copy, sizeof(*c)), ==, 0);

    /* all of it at once carries an FLR, which keeps bits of the link */
    g_assert_true(epc_config_write(c, 0, buf, sizeof(buf), &events));
    g_assert_cmphex(events, ==, EPC_FN_EVENT_FLR);
    epc_config_reset(c, EPC_CONFIG_RESET_POWER);
    g_assert_cmpint(memcmp(c, copy, sizeof(*c)), ==, 0);
    g_assert_true(epc_config_read(c, 0, buf, sizeof(buf)));
    g_assert_cmpint(memcmp(buf, c->data, sizeof(buf)), ==, 0);
    g_assert_true(epc_config_read(c, EPC_CONFIG_SIZE, buf, 0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/epc-config/empty", test_empty);
    g_test_add_func("/epc-config/header", test_header);
    g_test_add_func("/epc-config/command", test_command);
    g_test_add_func("/epc-config/bars", test_bars);
    g_test_add_func("/epc-config/caps", test_caps);
    g_test_add_func("/epc-config/express", test_express);
    g_test_add_func("/epc-config/flr", test_flr);
    g_test_add_func("/epc-config/resets", test_resets);
    g_test_add_func("/epc-config/resets-vfs", test_resets_vfs);
    g_test_add_func("/epc-config/interrupt-status", test_interrupt_status);
    g_test_add_func("/epc-config/pm", test_pm);
    g_test_add_func("/epc-config/msi", test_msi);
    g_test_add_func("/epc-config/msix", test_msix);
    g_test_add_func("/epc-config/bounds", test_bounds);
    return g_test_run();
}
