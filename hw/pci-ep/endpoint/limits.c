/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits of the controller, which properties give it
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/cutils.h"
#include "qemu/host-utils.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/pci-ep/endpoint/limits.h"

#define LIMITS_ALIGN_MAX    GiB
#define LIMITS_FIXED_MIN    16
#define LIMITS_FIXED_MAX    (1ull << 40)

static const char * const limits_bar_names[EPC_LIMIT_BARS] = {
    "bar0", "bar1", "bar2", "bar3", "bar4", "bar5",
};

/* ---- The property of a BAR ---- */

static const struct {
    const char *word;
    uint32_t limit;
} limits_words[] = {
    { "programmable", EPC_BAR_PROGRAMMABLE },
    { "resizable", EPC_BAR_RESIZABLE },
    { "reserved", EPC_BAR_RESERVED },
    { "disabled", EPC_BAR_DISABLED },
    { "64bit", EPC_BAR_LIMIT_ONLY_64 },
};

static bool limits_parse_fixed(const char *text, uint32_t *limit)
{
    uint64_t size;

    if (qemu_strtosz(text, NULL, &size) < 0 || !is_power_of_2(size) ||
        size < LIMITS_FIXED_MIN || size > LIMITS_FIXED_MAX) {
        return false;
    }
    *limit = EPC_BAR_FIXED | ctz64(size) << EPC_BAR_LIMIT_SIZE_SHIFT;
    return true;
}

static bool limits_parse_word(const char *word, uint32_t *limit)
{
    const char *size;

    if (strstart(word, "fixed:", &size)) {
        return limits_parse_fixed(size, limit);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(limits_words); i++) {
        if (!strcmp(word, limits_words[i].word)) {
            *limit = limits_words[i].limit;
            return true;
        }
    }
    return false;
}

bool epc_limits_parse_bar(const char *text, uint32_t *limit)
{
    g_auto(GStrv) words = g_strsplit(text, "+", 3);
    bool typed = false, wide = false;

    *limit = 0;
    for (unsigned i = 0; words[i]; i++) {
        bool *seen;
        uint32_t v;

        if (!limits_parse_word(words[i], &v)) {
            return false;
        }
        seen = v == EPC_BAR_LIMIT_ONLY_64 ? &wide : &typed;
        if (*seen) {
            return false;
        }
        *seen = true;
        *limit |= v;
    }
    return typed || wide;
}

static uint32_t limits_type(const EpcLimits *l, unsigned n)
{
    return l->bar[n] & EPC_BAR_LIMIT_TYPE_MASK;
}

static uint64_t limits_fixed_size(const EpcLimits *l, unsigned n)
{
    return 1ull << (l->bar[n] >> EPC_BAR_LIMIT_SIZE_SHIFT &
                    EPC_BAR_LIMIT_SIZE_MASK);
}

static bool limits_init_bar(EpcLimits *l, unsigned n, Error **errp)
{
    ERRP_GUARD();
    const char *text = l->bar_text[n] ?: "programmable";

    if (!epc_limits_parse_bar(text, &l->bar[n])) {
        error_setg(errp, "pci-epc: %s=%s is not programmable, fixed:SIZE, "
                   "resizable, reserved or disabled, with or without +64bit",
                   limits_bar_names[n], text);
        error_append_hint(errp, "SIZE is a power of two from %d to 1T, for "
                          "example fixed:64K+64bit.\n", LIMITS_FIXED_MIN);
        return false;
    }
    if ((l->bar[n] & EPC_BAR_LIMIT_ONLY_64) && n == EPC_LIMIT_BARS - 1) {
        error_setg(errp, "pci-epc: %s=%s: the last BAR cannot have 64 bits",
                   limits_bar_names[n], text);
        return false;
    }
    return true;
}

/* ---- All properties ---- */

/* A value that is 0 or below the granule becomes the granule. */
static bool limits_init_align(const EpcLimits *l, const char *name,
                              uint64_t *value, Error **errp)
{
    if (*value && (!is_power_of_2(*value) || *value > LIMITS_ALIGN_MAX)) {
        error_setg(errp, "pci-epc: %s=%" PRIu64 " is not a power of two from 1 "
                   "to %uG", name, *value, (unsigned)(LIMITS_ALIGN_MAX / GiB));
        return false;
    }
    *value = MAX(*value, l->granule);
    return true;
}

static bool limits_init_window(EpcLimits *l, uint64_t window, Error **errp)
{
    if (!limits_init_align(l, "outbound-granule", &l->outbound_granule, errp) ||
        !limits_init_align(l, "outbound-align", &l->outbound_align, errp)) {
        return false;
    }
    if (l->outbound_granule > window) {
        error_setg(errp, "pci-epc: outbound-granule=%" PRIu64 " is larger than "
                   "window-size=%" PRIu64, l->outbound_granule, window);
        return false;
    }
    if (l->outbound_max % l->granule || l->outbound_max > window) {
        error_setg(errp, "pci-epc: outbound-max=%" PRIu64 " is not a multiple "
                   "of %" PRIu64 " up to window-size=%" PRIu64,
                   l->outbound_max, l->granule, window);
        return false;
    }
    return true;
}

bool epc_limits_init(EpcLimits *l, uint64_t granule, uint64_t window,
                     Error **errp)
{
    l->granule = granule;
    for (unsigned n = 0; n < EPC_LIMIT_BARS; n++) {
        if (!limits_init_bar(l, n, errp)) {
            return false;
        }
    }
    if (l->dma_channels > EPC_DMA_CHANNELS) {
        error_setg(errp, "pci-epc: dma-channels=%" PRIu32 " is not in the range "
                   "0 to %d", l->dma_channels, EPC_DMA_CHANNELS);
        return false;
    }
    return limits_init_align(l, "inbound-align", &l->inbound_align, errp) &&
           limits_init_window(l, window, errp);
}

/* ---- Registers ---- */

uint32_t epc_limits_features(const EpcLimits *l)
{
    return EPC_FEATURE_LIMITS |
           (l->msi ? EPC_FEATURE_MSI : 0) |
           (l->msix ? EPC_FEATURE_MSIX : 0) |
           (l->intx ? EPC_FEATURE_INTX : 0) |
           (l->doorbells ? EPC_FEATURE_DOORBELL : 0) |
           (l->dma_channels ? EPC_FEATURE_DMA | EPC_FEATURE_DMA_LATE : 0) |
           (l->retarget ? EPC_FEATURE_RETARGET : 0) |
           (l->retarget && l->subrange ? EPC_FEATURE_SUBRANGE : 0) |
           (l->linkup ? 0 : EPC_FEATURE_NO_LINKUP);
}

bool epc_limits_read(const EpcLimits *l, uint64_t reg, uint32_t *v)
{
    switch (reg) {
    case EPC_REG_INBOUND_ALIGN:
        *v = l->inbound_align;
        return true;
    case EPC_REG_OUTBOUND_GRANULE:
        *v = l->outbound_granule;
        return true;
    case EPC_REG_OUTBOUND_ALIGN:
        *v = l->outbound_align;
        return true;
    case EPC_REG_OUTBOUND_MAX:
        *v = l->outbound_max / l->granule;
        return true;
    }
    for (unsigned n = 0; n < EPC_LIMIT_BARS; n++) {
        if (reg == EPC_REG_BAR_LIMIT(n)) {
            *v = l->bar[n];
            return true;
        }
    }
    return false;
}

uint32_t epc_limits_resizable(const EpcLimits *l)
{
    uint32_t bars = 0;

    for (unsigned n = 0; n < EPC_LIMIT_BARS; n++) {
        if (limits_type(l, n) == EPC_BAR_RESIZABLE) {
            bars |= BIT(n);
        }
    }
    return bars;
}

/* ---- Checks ---- */

static bool limits_size_allowed(const EpcLimits *l, unsigned n, uint64_t size)
{
    switch (limits_type(l, n)) {
    case EPC_BAR_PROGRAMMABLE:
        return true;
    case EPC_BAR_FIXED:
        return size == limits_fixed_size(l, n);
    case EPC_BAR_RESIZABLE:
        return size >= EPC_BAR_RESIZABLE_MIN;
    default:
        return false;
    }
}

static bool limits_target_aligned(const EpcLimits *l, uint64_t addr)
{
    return addr == EPC_ADDR_NONE || addr == EPC_ADDR_TRAP ||
           QEMU_IS_ALIGNED(addr, l->inbound_align);
}

const char *epc_limits_bar(const EpcLimits *l, unsigned n, uint32_t flags,
                           uint64_t addr, uint64_t size)
{
    if (!limits_size_allowed(l, n, size) ||
        ((l->bar[n] & EPC_BAR_LIMIT_ONLY_64) && !(flags & EPC_BAR_FLAG_64))) {
        return limits_bar_names[n];
    }
    return limits_target_aligned(l, addr) ? NULL : "inbound-align";
}

const char *epc_limits_area(const EpcLimits *l, uint64_t addr, uint64_t size)
{
    return limits_target_aligned(l, addr) &&
           QEMU_IS_ALIGNED(size, l->inbound_align) ? NULL : "inbound-align";
}

const char *epc_limits_map(const EpcLimits *l, uint64_t offset, uint64_t addr,
                           uint64_t size)
{
    if (!QEMU_IS_ALIGNED(offset, l->outbound_granule)) {
        return "outbound-granule";
    }
    if (!QEMU_IS_ALIGNED(addr, l->outbound_align)) {
        return "outbound-align";
    }
    return l->outbound_max && size > l->outbound_max ? "outbound-max" : NULL;
}
