/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual functions of function 0, as START describes them to the host
 *
 * A virtual function is an EpcFunction whose number follows those of the
 * others. It differs in three ways: function 0 describes it at START, the host
 * has it only while VF Enable is set in function 0, and it goes through a reset
 * when VF Enable is cleared. endpoint/host-state.c carries out the last two.
 */
#ifndef HW_PCI_EP_ENDPOINT_VF_H
#define HW_PCI_EP_ENDPOINT_VF_H

#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/endpoint/state.h"

/*
 * Can the link start with the virtual functions as they are defined? Returns
 * EPC_STATUS_*, and adds a bit to @mask for each that would be shown.
 */
uint32_t epc_vfs_startable(EpcState *s, uint32_t *mask) EP_REQUIRES(&s->lock);

/*
 * Describes the virtual functions in the SR-IOV capability of function 0, after
 * epc_vfs_startable() returned EPC_STATUS_OK.
 */
void epc_vfs_show(EpcState *s) EP_REQUIRES(&s->lock);

#endif /* HW_PCI_EP_ENDPOINT_VF_H */
