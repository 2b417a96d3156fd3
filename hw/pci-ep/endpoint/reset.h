/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reset of the whole device: EPC_REG_RESET and the reset of the machine
 */
#ifndef HW_PCI_EP_ENDPOINT_RESET_H
#define HW_PCI_EP_ENDPOINT_RESET_H

#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/endpoint/state.h"

/*
 * Gives the device its state after power-up. Hosts that are attached can still
 * reach the memory behind BARs until they have released it; EPC_REG_LINK_STATUS
 * is EPC_STATUS_BUSY meanwhile.
 */
void epc_reset_all(EpcState *s)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock, &s->fall_lock);

#endif /* HW_PCI_EP_ENDPOINT_RESET_H */
