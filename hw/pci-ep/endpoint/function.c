/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life cycle of a function
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/config/write-log.h"
#include "hw/pci-ep/endpoint/bars.h"
#include "hw/pci-ep/endpoint/fn-state.h"
#include "hw/pci-ep/endpoint/function.h"
#include "hw/pci-ep/endpoint/host-memory.h"
#include "hw/pci-ep/endpoint/ioeventfd.h"
#include "hw/pci-ep/endpoint/irqs.h"
#include "hw/pci-ep/endpoint/mailbox.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/target.h"
#include "hw/pci-ep/endpoint/trap-area.h"
#include "hw/pci-ep/endpoint/window.h"

static void function_init_config(EpcFunction *fn)
{
    EpcState *s = fn->epc;

    if (epc_fn_is_vf(fn)) {
        epc_config_init_vf(&fn->cfg, s->speed, s->width);
        return;
    }
    epc_config_init(&fn->cfg, s->speed, s->width);
    if (!fn->index && s->vfs) {
        epc_config_add_sriov(&fn->cfg, s->functions);
    }
    if (s->aer) {
        epc_config_add_aer(&fn->cfg);
    }
}

void epc_fn_init(EpcState *s, EpcFunction *fn, unsigned index)
{
    fn->epc = s;
    fn->index = index;
    fn->host_memory = epc_host_memory_new();
    epc_irqs_init(&fn->irqs);
    epc_trap_init(fn);
    function_init_config(fn);
}

static void function_retire_targets(EpcFunction *fn)
    EP_REQUIRES(&ep_bql, &fn->epc->lock);
static void function_retire_targets(EpcFunction *fn)
{
    for (unsigned n = 0; n < EPC_NUM_BARS; n++) {
        epc_target_retire(fn->epc, fn->bar[n].target);
    }
    memset(fn->bar, 0, sizeof(fn->bar));
}

void epc_fn_destroy(EpcFunction *fn)
{
    for (unsigned n = 0; n < EPC_NUM_BARS; n++) {
        epc_target_free(fn->bar[n].target);
    }
    epc_mailbox_clear(fn);
    epc_ioeventfd_free(fn);
    epc_host_memory_free(fn->host_memory);
}

/* Those that epc_fn_clear() does not handle itself */
static void function_clear_members(EpcFunction *fn)
    EP_REQUIRES(&ep_bql, &fn->epc->lock);
static void function_clear_members(EpcFunction *fn)
{
    fn->args = (EpcArgs) { };
    fn->msix_count = fn->msix_bar = fn->msix_table = 0;
    fn->cmd = fn->status = 0;
    fn->map_waits = false;
    fn->event = fn->event_mask = 0;
    fn->raise_dropped = fn->inbound_dropped = 0;
    fn->cfg = (EpcConfig) { };
    fn->cap_offset = 0;
    fn->writes = (EpcWriteLog) { };
    fn->intx = (EpcIntx) { };
    fn->link = EPC_FN_LINK_DETACHED;
    fn->resets = (EpcResets) { };
}

/* What the host has set */
static void function_clear_host(EpcFunction *fn)
    EP_REQUIRES(&ep_bql, &fn->epc->lock);
static void function_clear_host(EpcFunction *fn)
{
    if (fn->server && epc_server_client_stays(fn->server)) {
        epc_irqs_changed(fn);
    } else {
        epc_irqs_clear(fn);
        epc_host_memory_clear(fn->host_memory);
    }
    epc_irqs_mask(fn, 0, EPC_MAX_MSIX, true);
}

/*
 * Other threads read members that do not change (state.h) without the lock, so
 * those must not be written, not even with the value that they have.
 */
void epc_fn_clear(EpcFunction *fn)
{
    function_retire_targets(fn);
    function_clear_host(fn);
    epc_trap_clear(fn);
    epc_mailbox_clear(fn);
    function_clear_members(fn);
    function_init_config(fn);
}

void epc_fn_remove(EpcFunction *fn)
{
    function_retire_targets(fn);
    fn->msix_count = fn->msix_bar = fn->msix_table = 0;
    epc_window_forget(&fn->epc->window, fn->index);
    epc_mailbox_remove(fn);
    function_init_config(fn);
    epc_write_log_clear(&fn->writes);
    fn->cap_offset = 0;
}

uint64_t epc_fn_msix_table_size(uint32_t count)
{
    return count * (uint64_t)PCI_MSIX_ENTRY_SIZE;
}

uint64_t epc_fn_msix_pba_size(uint32_t count)
{
    return DIV_ROUND_UP(count, 64) * 8ull;
}

/* The PBA follows the table. */
static bool function_msix_fits(const EpcFunction *fn)
    EP_REQUIRES(&fn->epc->lock);
static bool function_msix_fits(const EpcFunction *fn)
{
    uint32_t n = fn->msix_count;
    uint64_t len = epc_fn_msix_table_size(n) + epc_fn_msix_pba_size(n);
    uint64_t size = epc_bar_size(fn, fn->msix_bar);

    return fn->msix_table <= size && len <= size - fn->msix_table;
}

uint32_t epc_fn_startable(const EpcFunction *fn)
{
    if (!epc_fn_is_vf(fn) && epc_config_empty(&fn->cfg)) {
        return EPC_STATUS_BAD_STATE;
    }
    if (fn->msix_count && !function_msix_fits(fn)) {
        return EPC_STATUS_BAD_ARG;
    }
    return EPC_STATUS_OK;
}
