/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual functions of function 0, as START describes them to the host
 */
#include "qemu/osdep.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/endpoint/function.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/vf.h"

static EpcFunction *vf_first(EpcState *s)
{
    return &s->fn[s->functions];
}

/* Adds the definition of one virtual function to that of all. */
static bool vf_merge_bar(EpcVfBar *all, const EpcBar *bar)
{
    if (all->size && (all->size != bar->size || all->flags != bar->flags)) {
        return false;
    }
    all->size = bar->size;
    all->flags = bar->flags;
    return true;
}

static bool vf_merge_bars(EpcState *s) EP_REQUIRES(&s->lock);
static bool vf_merge_bars(EpcState *s)
{
    EpcVfBar *all = s->vf_bar;

    memset(all, 0, sizeof(s->vf_bar));
    for (unsigned i = s->functions; i < s->nfn; i++) {
        for (unsigned n = 0; n < EPC_NUM_BARS; n++) {
            const EpcBar *bar = &s->fn[i].bar[n];

            if (bar->size && !vf_merge_bar(&all[n], bar)) {
                return false;
            }
        }
    }
    /*
     * One virtual function may have defined a BAR that is the upper half of a
     * 64-bit BAR of another one.
     */
    for (unsigned n = 1; n < EPC_NUM_BARS; n++) {
        if (all[n].size && (all[n - 1].flags & EPC_BAR_FLAG_64)) {
            return false;
        }
    }
    return true;
}

uint32_t epc_vfs_startable(EpcState *s, uint32_t *mask)
{
    if (!s->vfs || epc_config_empty(&vf_first(s)->cfg)) {
        return EPC_STATUS_OK;
    }
    if (!vf_merge_bars(s)) {
        return EPC_STATUS_BAD_ARG;
    }
    for (unsigned i = s->functions; i < s->nfn; i++) {
        EpcFunction *fn = &s->fn[i];
        uint32_t status;

        EP_LOCK_HELD(&fn->epc->lock);
        status = epc_fn_startable(fn);
        if (status != EPC_STATUS_OK) {
            return status;
        }
        *mask |= BIT(i);
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
