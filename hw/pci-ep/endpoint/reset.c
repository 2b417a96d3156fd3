/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reset of the whole device: EPC_REG_RESET and the reset of the machine
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/endpoint/dma.h"
#include "hw/pci-ep/endpoint/doorbell.h"
#include "hw/pci-ep/endpoint/forward.h"
#include "hw/pci-ep/endpoint/function.h"
#include "hw/pci-ep/endpoint/ioeventfd.h"
#include "hw/pci-ep/endpoint/link.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/reset.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/trap-area.h"
#include "hw/pci-ep/endpoint/window.h"
#include "hw/pci-ep/trace.h"

/* falling_mask stays, since servers still call back. */
static void reset_link(EpcLinkState *l)
{
    l->cmd = 0;
    l->status = EPC_STATUS_OK;
    l->enabled = l->up = false;
    l->shown_mask = 0;
}

void epc_reset_all(EpcState *s)
{
    trace_pci_epc_reset_all(epc_name(s));
    epc_dma_reset(s);
    epc_forward_reset(s->forward);

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->reset_count++;
        bitmap_zero(s->notify, EPC_VECTORS);
        s->event = s->event_mask = 0;
        reset_link(&s->link);
        memset(s->vf_bar, 0, sizeof(s->vf_bar));
        s->vfs_state = 0;
        s->bad_access = 0;
        epc_window_clear(&s->window);
        epc_doorbells_reset(s);
        epc_traps_reset(s);
        for (unsigned i = 0; i < s->nfn; i++) {
            EpcFunction *fn = &s->fn[i];

            EP_LOCK_HELD(&fn->epc->lock);
            epc_fn_clear(fn);
        }
    }
    /* No BAR leads to a window any more. */
    for (unsigned i = 0; i < s->nfn; i++) {
        epc_forward_drop_from(&s->fn[i]);
    }
    epc_ioeventfd_update(s);
    epc_link_fall(s);
}
