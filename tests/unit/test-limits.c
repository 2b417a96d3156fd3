/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of endpoint/limits.c
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/units.h"
#include "hw/pci-ep/endpoint/limits.h"

#define GRANULE     4096
#define WINDOW      (16 * MiB)

static EpcLimits limits_default(void)
{
    return (EpcLimits) {
        .dma_channels = EPC_DMA_CHANNELS,
        .msi = true, .msix = true, .intx = true, .doorbells = true,
        .retarget = true, .subrange = true, .linkup = true,
    };
}

static EpcLimits limits_ready(EpcLimits l)
{
    g_assert_true(epc_limits_init(&l, GRANULE, WINDOW, &error_abort));
    return l;
}

/* ---- The text of a BAR ---- */

static uint32_t fixed(unsigned log2)
{
    return EPC_BAR_FIXED | log2 << EPC_BAR_LIMIT_SIZE_SHIFT;
}

static void test_good_text(void)
{
    const struct {
        const char *text;
        uint32_t limit;
    } t[] = {
        { "programmable", 0 },
        { "64bit", EPC_BAR_LIMIT_ONLY_64 },
        { "programmable+64bit", EPC_BAR_LIMIT_ONLY_64 },
        { "64bit+reserved", EPC_BAR_RESERVED | EPC_BAR_LIMIT_ONLY_64 },
        { "resizable", EPC_BAR_RESIZABLE },
        { "reserved", EPC_BAR_RESERVED },
        { "disabled", EPC_BAR_DISABLED },
        { "fixed:256", fixed(8) },
        { "fixed:0x80", fixed(7) },
        { "fixed:64K", fixed(16) },
        { "fixed:1T", fixed(40) },
        { "fixed:16+64bit", fixed(4) | EPC_BAR_LIMIT_ONLY_64 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        uint32_t v = 0xffffffff;

        g_assert_true(epc_limits_parse_bar(t[i].text, &v));
        g_assert_cmphex(v, ==, t[i].limit);
    }
}

static void test_bad_text(void)
{
    static const char * const t[] = {
        "", "+", "fixed", "fixed:", "fixed:0", "fixed:3", "fixed:100", "fixed:8",
        "fixed:2T", "fixed:-1", "fixed:4Kx", "fixed:4K+", "+64bit", "64bit+",
        "64bit+64bit", "reserved+disabled", "fixed:4K+64bit+reserved",
        "Reserved", "reserve", "programmable 64bit", " reserved",
        "fixed:99999999999999999999",
    };

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        EpcLimits l = limits_default();
        g_autofree char *text = g_strdup(t[i]);
        Error *err = NULL;
        uint32_t v;

        g_assert_false(epc_limits_parse_bar(t[i], &v));
        l.bar_text[3] = text;
        g_assert_false(epc_limits_init(&l, GRANULE, WINDOW, &err));
        g_assert_nonnull(strstr(error_get_pretty(err), "bar3="));
        error_free(err);
    }
}

/* ---- All properties ---- */

static void expect_error(EpcLimits l, const char *text)
{
    Error *err = NULL;

    g_assert_false(epc_limits_init(&l, GRANULE, WINDOW, &err));
    if (!strstr(error_get_pretty(err), text)) {
        g_error("'%s' lacks '%s'", error_get_pretty(err), text);
    }
    error_free(err);
}

static void test_bad_values(void)
{
    char wide[] = "64bit";
    EpcLimits l = limits_default();

    l.bar_text[5] = wide;
    expect_error(l, "bar5=64bit");
    l = limits_default();
    l.dma_channels = EPC_DMA_CHANNELS + 1;
    expect_error(l, "dma-channels=17 is not in the range 0 to 16");
    l = limits_default();
    l.inbound_align = 3;
    expect_error(l, "inbound-align=3 is not a power of two");
    l.inbound_align = 2 * GiB;
    expect_error(l, "inbound-align=2147483648 is not");
    l = limits_default();
    l.outbound_granule = 12288;
    expect_error(l, "outbound-granule=12288");
    l.outbound_granule = 2 * WINDOW;
    expect_error(l, "outbound-granule=33554432 is larger than window-size=");
    l = limits_default();
    l.outbound_align = 5;
    expect_error(l, "outbound-align=5");
    l = limits_default();
    l.outbound_max = GRANULE + 1;
    expect_error(l, "outbound-max=4097 is not a multiple of 4096");
    l.outbound_max = 2 * WINDOW;
    expect_error(l, "outbound-max=33554432");
}

static uint32_t read_reg(const EpcLimits *l, uint64_t reg)
{
    uint32_t v = 0;

    g_assert_true(epc_limits_read(l, reg, &v));
    return v;
}

/* Without limits the registers say so, and nothing is refused. */
static void test_none(void)
{
    EpcLimits l = limits_ready(limits_default());
    uint32_t v;

    g_assert_cmphex(epc_limits_features(&l), ==,
                    EPC_FEATURE_LIMITS | EPC_FEATURE_MSI | EPC_FEATURE_MSIX |
                    EPC_FEATURE_INTX | EPC_FEATURE_DOORBELL | EPC_FEATURE_DMA |
                    EPC_FEATURE_DMA_LATE | EPC_FEATURE_RETARGET |
                    EPC_FEATURE_SUBRANGE);
    g_assert_cmpuint(read_reg(&l, EPC_REG_INBOUND_ALIGN), ==, GRANULE);
    g_assert_cmpuint(read_reg(&l, EPC_REG_OUTBOUND_GRANULE), ==, GRANULE);
    g_assert_cmpuint(read_reg(&l, EPC_REG_OUTBOUND_ALIGN), ==, GRANULE);
    g_assert_cmpuint(read_reg(&l, EPC_REG_OUTBOUND_MAX), ==, 0);
    for (unsigned n = 0; n < EPC_LIMIT_BARS; n++) {
        g_assert_cmphex(read_reg(&l, EPC_REG_BAR_LIMIT(n)), ==, 0);
        g_assert_null(epc_limits_bar(&l, n, 0, GRANULE, 1));
    }
    g_assert_false(epc_limits_read(&l, EPC_REG_BAR_LIMIT(6), &v));
    g_assert_false(epc_limits_read(&l, EPC_REG_INBOUND_ALIGN - 4, &v));
    g_assert_null(epc_limits_area(&l, GRANULE, GRANULE));
    g_assert_null(epc_limits_map(&l, GRANULE, GRANULE, WINDOW));
}

/* Values below the granule are those of the machine. */
static void test_small_align(void)
{
    EpcLimits l = limits_default();

    l.inbound_align = 256;
    l.outbound_granule = 1;
    l.outbound_align = 2048;
    l = limits_ready(l);
    g_assert_cmpuint(read_reg(&l, EPC_REG_INBOUND_ALIGN), ==, GRANULE);
    g_assert_cmpuint(read_reg(&l, EPC_REG_OUTBOUND_GRANULE), ==, GRANULE);
    g_assert_cmpuint(read_reg(&l, EPC_REG_OUTBOUND_ALIGN), ==, GRANULE);
}

static void test_features(void)
{
    EpcLimits l = limits_default();

    l.retarget = false;
    l.linkup = false;
    l.dma_channels = 0;
    l.msix = false;
    l = limits_ready(l);
    g_assert_cmphex(epc_limits_features(&l), ==,
                    EPC_FEATURE_LIMITS | EPC_FEATURE_MSI | EPC_FEATURE_INTX |
                    EPC_FEATURE_DOORBELL | EPC_FEATURE_NO_LINKUP);
}

/* ---- Checks ---- */

static void test_bars(void)
{
    char *text[] = { (char *)"fixed:256", (char *)"resizable+64bit", NULL,
                     (char *)"reserved", (char *)"disabled", NULL };
    EpcLimits l = limits_default();

    memcpy(l.bar_text, text, sizeof(text));
    l.inbound_align = 64 * KiB;
    l = limits_ready(l);
    g_assert_null(epc_limits_bar(&l, 0, 0, 64 * KiB, 256));
    g_assert_cmpstr(epc_limits_bar(&l, 0, 0, 0, 512), ==, "bar0");
    g_assert_cmpstr(epc_limits_bar(&l, 0, 0, 0, 128), ==, "bar0");
    g_assert_null(epc_limits_bar(&l, 1, EPC_BAR_FLAG_64, 0, MiB));
    g_assert_cmpstr(epc_limits_bar(&l, 1, 0, 0, MiB), ==, "bar1");
    g_assert_cmpstr(epc_limits_bar(&l, 1, EPC_BAR_FLAG_64, 0, MiB / 2), ==,
                    "bar1");
    g_assert_cmpstr(epc_limits_bar(&l, 3, 0, 0, MiB), ==, "bar3");
    g_assert_cmpstr(epc_limits_bar(&l, 4, 0, 0, MiB), ==, "bar4");
    g_assert_cmpstr(epc_limits_bar(&l, 5, 0, GRANULE, MiB), ==,
                    "inbound-align");
    g_assert_null(epc_limits_bar(&l, 5, 0, EPC_ADDR_NONE, MiB));
    g_assert_null(epc_limits_bar(&l, 5, 0, EPC_ADDR_TRAP, MiB));
    g_assert_cmpstr(epc_limits_area(&l, 0, GRANULE), ==, "inbound-align");
    g_assert_cmpstr(epc_limits_area(&l, GRANULE, 64 * KiB), ==,
                    "inbound-align");
    g_assert_null(epc_limits_area(&l, 64 * KiB, 64 * KiB));
}

static void test_maps(void)
{
    EpcLimits l = limits_default();

    l.outbound_granule = 64 * KiB;
    l.outbound_align = 16 * KiB;
    l.outbound_max = MiB;
    l = limits_ready(l);
    g_assert_cmpuint(read_reg(&l, EPC_REG_OUTBOUND_MAX), ==, MiB / GRANULE);
    g_assert_null(epc_limits_map(&l, 64 * KiB, 16 * KiB, MiB));
    g_assert_null(epc_limits_map(&l, 0, 16 * KiB, GRANULE));
    g_assert_cmpstr(epc_limits_map(&l, 32 * KiB, 0, GRANULE), ==,
                    "outbound-granule");
    g_assert_cmpstr(epc_limits_map(&l, 0, 8 * KiB, GRANULE), ==,
                    "outbound-align");
    g_assert_cmpstr(epc_limits_map(&l, 0, 0, MiB + GRANULE), ==,
                    "outbound-max");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/limits/text/good", test_good_text);
    g_test_add_func("/limits/text/bad", test_bad_text);
    g_test_add_func("/limits/bad-values", test_bad_values);
    g_test_add_func("/limits/none", test_none);
    g_test_add_func("/limits/small-align", test_small_align);
    g_test_add_func("/limits/features", test_features);
    g_test_add_func("/limits/bars", test_bars);
    g_test_add_func("/limits/maps", test_maps);
    return g_test_run();
}
