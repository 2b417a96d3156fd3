/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-vf: virtual functions of function 0
 *
 * They are functions, with numbers after those of the others.  What is different:
 * function 0 describes them at START, the host has them only while it enabled
 * them there, and they go through a reset whenever it ends that.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "hw/pci-ep/pci-epc.h"
#include "trace.h"

static EpcFunction *vf_first(EpcState *s)
{
    return &s->fn[s->functions];
}

/* ---- START ---- */

/* One more virtual function that defined the BAR */
static bool merge_bar(EpcVfBar *all, const EpcBar *bar)
{
    if (all->size && (all->size != bar->size || all->flags != bar->flags)) {
        return false;
    }
    all->size = bar->size;
    all->flags = bar->flags;
    return true;
}

static bool merge_bars(EpcState *s)
{
    EpcVfBar *all = s->vf_bar;

    memset(all, 0, sizeof(s->vf_bar));
    for (unsigned i = s->functions; i < s->nfn; i++) {
        for (unsigned n = 0; n < EPC_NUM_BARS; n++) {
            const EpcBar *bar = &s->fn[i].bar[n];

            if (bar->size && !merge_bar(&all[n], bar)) {
                return false;
            }
        }
    }
    for (unsigned n = 1; n < EPC_NUM_BARS; n++) {
        if (all[n].size && (all[n - 1].flags & EPC_BAR_FLAG_64)) {
            return false;   /* one's BAR, another one's upper half */
        }
    }
    return true;
}

uint32_t epc_vfs_startable(EpcState *s, uint32_t *shown)
{
    if (!s->vfs || epc_config_empty(&vf_first(s)->cfg)) {
        return EPC_STATUS_OK;
    }
    if (!merge_bars(s)) {
        return EPC_STATUS_BAD_ARG;
    }
    for (unsigned i = s->functions; i < s->nfn; i++) {
        uint32_t status = epc_fn_startable(&s->fn[i]);

        if (status != EPC_STATUS_OK) {
            return status;
        }
        *shown |= BIT(i);
    }
    return EPC_STATUS_OK;
}

void epc_vfs_show(EpcState *s)
{
    EpcConfig *c = &s->fn[0].cfg;
    const EpcConfig *first;

    if (!s->vfs) {
        return;
    }
    first = &vf_first(s)->cfg;
    if (epc_config_empty(first)) {
        epc_config_set_vfs(c, 0, 0);
        return;
    }
    epc_config_set_vfs(c, s->vfs, first->device);
    for (unsigned n = 0; n < EPC_NUM_BARS; n++) {
        if (s->vf_bar[n].size) {
            epc_config_set_vf_bar(c, n, s->vf_bar[n].flags,
                                  s->vf_bar[n].size);
        }
    }
    for (unsigned i = s->functions + 1; i < s->nfn; i++) {
        epc_config_copy_header(&s->fn[i].cfg, first);
    }
}

/* ---- What the host enables ---- */

bool epc_fn_enabled(const EpcFunction *fn)
{
    const EpcState *s = fn->epc;

    return !epc_fn_is_vf(fn) ||
           fn->index - s->functions < (s->vfs_state & EPC_FN_VFS_NUM_MASK);
}

uint16_t epc_fn_pci_command(const EpcFunction *fn)
{
    uint16_t command = epc_config_command(&fn->cfg);

    if (epc_fn_is_vf(fn) && epc_fn_enabled(fn) &&
        (fn->epc->vfs_state & EPC_FN_VFS_MEMORY)) {
        command |= PCI_COMMAND_MEMORY;
    }
    return command;
}

void epc_vfs_update(EpcState *s)
{
    uint32_t state = epc_config_vfs(&s->fn[0].cfg);
    uint16_t command[EPC_MAX_FUNCTIONS];
    bool enabled[EPC_MAX_FUNCTIONS];

    if (state == s->vfs_state) {
        return;
    }
    for (unsigned i = s->functions; i < s->nfn; i++) {
        command[i] = epc_fn_pci_command(&s->fn[i]);
        enabled[i] = epc_fn_enabled(&s->fn[i]);
    }
    trace_epc_vfs(state);
    s->vfs_state = state;
    epc_fn_event(&s->fn[0], EPC_FN_EVENT_VFS);
    for (unsigned i = s->functions; i < s->nfn; i++) {
        EpcFunction *fn = &s->fn[i];

        if (enabled[i] && !epc_fn_enabled(fn)) {
            epc_fn_reset(fn);
        }
        if (command[i] != epc_fn_pci_command(fn)) {
            epc_fn_event(fn, EPC_FN_EVENT_COMMAND);
        }
    }
}
