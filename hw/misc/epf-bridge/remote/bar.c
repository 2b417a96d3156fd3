/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bar: what the BAR registers of a function can describe
 *
 * PCI Local Bus Specification 3.0, 6.2.5.1 has the layout of the registers.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/host-utils.h"
#include "hw/misc/epf-bridge/remote/bar.h"

bool epf_bar_is_upper_half(const EpfBarShape *below)
{
    return below && below->size && epf_bar_is_64(below);
}

bool epf_bar_is_free(const EpfBarShape *b, const EpfBarShape *below)
{
    return !b->size && !epf_bar_is_upper_half(below);
}

bool epf_bar_check(unsigned bar, const EpfBarShape *b,
                   const EpfBarShape *below, uint64_t min, uint64_t max,
                   Error **errp)
{
    uint8_t width = b->type & PCI_BASE_ADDRESS_MEM_TYPE_MASK;

    if (epf_bar_is_upper_half(below)) {
        error_setg(errp, "BAR %u is the upper half of BAR %u", bar, bar - 1);
    } else if (width && !epf_bar_is_64(b)) {
        error_setg(errp, "BAR %u has the reserved type 0x%x", bar, b->type);
    } else if (epf_bar_is_64(b) && bar == EPF_NUM_BARS - 1) {
        error_setg(errp, "BAR %u has no register above it and cannot be 64 "
                   "bits wide", bar);
    } else if (!is_power_of_2(b->size) || b->size < min || b->size > max) {
        error_setg(errp, "BAR %u has size 0x%" PRIx64 ", which is not a power "
                   "of two from 0x%" PRIx64 " to 0x%" PRIx64, bar, b->size,
                   min, max);
    } else {
        return true;
    }
    return false;
}
