/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bar: what the BAR registers of a function can describe
 *
 * The same rules hold for the BARs of a function and for the VF BARs of an
 * SR-IOV capability.  The functions look at their arguments only: any thread
 * may call them, with any lock.
 */
#ifndef HW_MISC_EPF_BRIDGE_REMOTE_BAR_H
#define HW_MISC_EPF_BRIDGE_REMOTE_BAR_H

#include "qemu/units.h"
#include "hw/pci/pci_regs.h"

#define EPF_NUM_BARS        6
#define EPF_BAR_SIZE_MIN    16
#define EPF_BAR_IO_SIZE_MIN 4
#define EPF_BAR_IO_SIZE_MAX (64 * KiB)
#define EPF_VF_BAR_SIZE_MIN 4096
#define EPF_BAR32_SIZE_MAX  (2 * GiB)
#define EPF_BAR64_SIZE_MAX  (1 * TiB)

typedef struct EpfBarShape {
    uint64_t size;      /* in bytes; 0 when the function lacks the BAR */
    uint8_t type;       /* low bits of the register, PCI_BASE_ADDRESS_* */
} EpfBarShape;

static inline bool epf_bar_is_io(const EpfBarShape *b)
{
    return b->type & PCI_BASE_ADDRESS_SPACE_IO;
}

static inline bool epf_bar_is_64(const EpfBarShape *b)
{
    return (b->type & PCI_BASE_ADDRESS_MEM_TYPE_MASK) ==
           PCI_BASE_ADDRESS_MEM_TYPE_64;
}

/*
 * Is a register the upper half of the BAR below it?  @below is NULL for the
 * first register.
 */
bool epf_bar_is_upper_half(const EpfBarShape *below);

/* Can register @b get a BAR that the function does not have? */
bool epf_bar_is_free(const EpfBarShape *b, const EpfBarShape *below);

/*
 * Checks BAR number @bar with a size above 0, which must be a power of two from
 * @min to @max.  Returns false and sets @errp for a BAR that cannot exist.
 */
bool epf_bar_check(unsigned bar, const EpfBarShape *b,
                   const EpfBarShape *below, uint64_t min, uint64_t max,
                   Error **errp);

#endif /* HW_MISC_EPF_BRIDGE_REMOTE_BAR_H */
