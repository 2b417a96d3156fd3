/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register accesses of the endpoint guest
 */
#ifndef HW_PCI_EP_ENDPOINT_REGS_H
#define HW_PCI_EP_ENDPOINT_REGS_H

#include "hw/pci-ep/shared/compat.h"

/* For EPC_BAR_REGS; the opaque pointer is the EpcState. */
extern const MemoryRegionOps epc_regs_ops;

#endif /* HW_PCI_EP_ENDPOINT_REGS_H */
