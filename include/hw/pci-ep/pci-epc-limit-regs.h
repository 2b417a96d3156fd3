/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc: registers that tell the limits of the controller
 *
 * A part of the contract in pci-epc-regs.h, which includes this file. Real
 * endpoint controllers have BARs that a driver cannot choose, few windows and
 * coarse alignments. Properties of the device give it such limits. The
 * device refuses what they do not allow, with the status given here.
 *
 * Features that a controller lacks have no register here: the device leaves
 * out their bits of EPC_REG_FEATURES, as one does that never had them.
 *  - Without EPC_FEATURE_MSI, _MSIX or _SUBRANGE the commands SET_MSI, SET_MSIX
 *    and SET_AREAS are EPC_STATUS_BAD_CMD.
 *  - Without EPC_FEATURE_INTX a write to EPC_RAISE_INTX is a bad access. The
 *    header may have an interrupt pin.
 *  - Without EPC_FEATURE_RETARGET the status of a SET_BAR is
 *    EPC_STATUS_BAD_STATE when the BAR has a target. CLEAR_BAR takes it away.
 *  - Without EPC_FEATURE_DOORBELL or _DMA their registers are holes, and
 *    EPC_BAR_DOORBELL is EPC_STATUS_BAD_TARGET.
 */
#ifndef HW_PCI_EP_PCI_EPC_LIMIT_REGS_H
#define HW_PCI_EP_PCI_EPC_LIMIT_REGS_H

/* ---- Global page, with EPC_FEATURE_LIMITS; all (ro) and constant ---- */

/*
 * Bytes, a power of two and at least EPC_REG_GRANULE. The address of a target
 * of a BAR, and address and size of an EPC_AREA_TARGET, are multiples of it, or
 * SET_BAR and SET_AREAS are BAD_ARG. EPC_ADDR_NONE and EPC_ADDR_TRAP are no
 * addresses.
 */
#define EPC_REG_INBOUND_ALIGN       0x080

/*
 * Bytes, each a power of two and at least EPC_REG_GRANULE. EPC_FN_OFFSET of a
 * MAP is a multiple of the granule, and EPC_FN_ADDR of the alignment, or MAP is
 * BAD_ARG and changes nothing.
 */
#define EPC_REG_OUTBOUND_GRANULE    0x084
#define EPC_REG_OUTBOUND_ALIGN      0x088

/*
 * The largest EPC_FN_SIZE of a MAP in multiples of EPC_REG_GRANULE, 0 if there
 * is no limit. A larger MAP is BAD_ARG and changes nothing.
 */
#define EPC_REG_OUTBOUND_MAX        0x08c

/*
 * BAR n, from 0 to 5, of each function. TYPE says which SET_BAR it takes. All
 * others are BAD_ARG.
 *
 * PROGRAMMABLE  any that pci-epc-regs.h allows
 * FIXED         EPC_FN_SIZE is two to the power of SIZE; it may be less than
 *               the 4 KiB that the host sees at least
 * RESIZABLE     EPC_FN_SIZE is at least 1 MiB
 * RESERVED      none: the BAR belongs to the controller
 * DISABLED      none: the BAR does not exist
 *
 * With ONLY_64, SET_BAR also needs EPC_BAR_FLAG_64. SIZE is 0 unless the type
 * is FIXED.
 */
#define EPC_REG_BAR_LIMIT(n)        (0x090 + 4 * (n))
#define EPC_BAR_LIMIT_TYPE_MASK     0x7u
#define EPC_BAR_PROGRAMMABLE        0
#define EPC_BAR_FIXED               1
#define EPC_BAR_RESIZABLE           2
#define EPC_BAR_RESERVED            3
#define EPC_BAR_DISABLED            4
#define EPC_BAR_LIMIT_ONLY_64       (1u << 3)
#define EPC_BAR_LIMIT_SIZE_SHIFT    8
#define EPC_BAR_LIMIT_SIZE_MASK     0x3fu
#define EPC_BAR_RESIZABLE_MIN       0x100000

#endif /* HW_PCI_EP_PCI_EPC_LIMIT_REGS_H */
