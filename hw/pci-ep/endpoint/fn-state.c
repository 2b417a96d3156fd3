/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a function may do now
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/endpoint/fn-state.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/trace.h"

bool epc_fn_enabled(const EpcFunction *fn)
{
    const EpcState *s = fn->epc;

    return !epc_fn_is_vf(fn) ||
           fn->index - s->functions < (s->vfs_state & EPC_FN_VFS_NUM_MASK);
}

uint16_t epc_fn_pci_command(const EpcFunction *fn)
{
    uint16_t command = epc_config_command(&fn->cfg);

    /* A virtual function has no memory space bit; VF MSE stands for it. */
    if (epc_fn_is_vf(fn) && epc_fn_enabled(fn) &&
        (fn->epc->vfs_state & EPC_FN_VFS_MEMORY)) {
        command |= PCI_COMMAND_MEMORY;
    }
    return command;
}

bool epc_fn_may_dma(const EpcFunction *fn)
{
    return epc_fn_usable(fn) && epc_fn_enabled(fn) &&
           (epc_config_command(&fn->cfg) & PCI_COMMAND_MASTER) &&
           epc_config_dstate(&fn->cfg) == 0;
}

bool epc_limit_allows(const EpcFunction *fn, const char *property)
{
    if (property) {
        trace_pci_epc_limit(epc_name(fn->epc), fn->index, property);
    }
    return !property;
}
