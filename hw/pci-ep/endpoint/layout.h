/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the pages of this device are in EPC_BAR_REGS. The contract does not fix
 * that: drivers read it from EPC_REG_FN_BASE and registers like it.
 */
#ifndef HW_PCI_EP_ENDPOINT_LAYOUT_H
#define HW_PCI_EP_ENDPOINT_LAYOUT_H

#include "hw/pci-ep/pci-epc-regs.h"

#define EPC_DOORBELL_BASE   0x4000
#define EPC_FN_BASE         0x10000
#define EPC_FN_STRIDE       0x2000
#define EPC_RAISE_BASE      0x20000
#define EPC_RAISE_STRIDE    EPC_RAISE_SIZE
#define EPC_DMA_BASE        0x40000
#define EPC_DMA_STRIDE      EPC_DMA_PAGE_SIZE
#define EPC_TRAP_BASE       0x80000
#define EPC_TRAP_STRIDE     0x1000
#define EPC_TRAP_SIZE       (EPC_TRAP_STRIDE / EPC_TRAP_RECORD_SIZE)
#define EPC_REGS_SIZE       0x100000

#endif /* HW_PCI_EP_ENDPOINT_LAYOUT_H */
