/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands of a function page
 */
#ifndef HW_PCI_EP_ENDPOINT_COMMANDS_H
#define HW_PCI_EP_ENDPOINT_COMMANDS_H

#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/endpoint/state.h"

/* The guest writes @cmd to EPC_FN_CMD of @fn. */
void epc_fn_command(EpcFunction *fn, uint32_t cmd)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&fn->epc->lock);

#endif /* HW_PCI_EP_ENDPOINT_COMMANDS_H */
