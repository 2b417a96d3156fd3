/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-link: the link of the controller: up, down, resets
 *
 * All but the register commands runs on the reader thread of the server,
 * without the BQL.
 */
#include "qemu/osdep.h"
#include "hw/pci-ep/pci-epc.h"
#include "trace.h"

/*
 * ---- Up and down ----
 *
 * Clients that know of several functions have joined: their functions come up
 * when all shown ones have, and go down together.  When one goes, the others
 * fall, and nobody joins again before all have let go.  Any other client is
 * alone: its function comes and goes by itself.
 */

/* Something about fn->up changed.  Lock held. */
static void link_update(EpcState *s)
{
    bool up = false;

    for (unsigned i = 0; i < s->nfn; i++) {
        up |= s->fn[i].up;
    }
    if (up != s->link_up) {
        s->link_up = up;
        s->generation += up;
        epc_event(s, EPC_EVENT_LINK);
    }
    trace_epc_link(up, s->generation);
}

/* Lock held. */
static void function_up(EpcFunction *fn)
{
    fn->up = true;
    fn->resets = (EpcResets) { };
    /* The client may have been faster than its siblings */
    epc_fn_update_maps(fn);
    epc_ioeventfd_changed(fn);
}

/* Are all of them there now?  Lock held. */
static void function_joined(EpcState *s)
{
    if (s->falling) {
        return;
    }
    for (unsigned i = 0; i < s->nfn; i++) {
        if ((s->shown & BIT(i)) && !s->fn[i].joined) {
            return;
        }
    }
    s->resets = (EpcResets) { };
    for (unsigned i = 0; i < s->nfn; i++) {
        if (s->shown & BIT(i)) {
            function_up(&s->fn[i]);
        }
    }
}

/* Lock held. */
static void went_up(EpcFunction *fn, bool joined)
{
    EpcState *s = fn->epc;

    if (!s->link_enabled || (s->falling & BIT(fn->index))) {
        return;     /* it will be taken down */
    }
    fn->joined = joined;
    fn->alone = !joined;
    if (joined) {
        function_joined(s);
    } else {
        function_up(fn);
    }
    link_update(s);
}

/* The client of @fn has let go.  Lock held. */
static void went_down(EpcFunction *fn)
{
    EpcState *s = fn->epc;

    for (unsigned i = 0; i < s->nfn; i++) {
        EpcFunction *other = &s->fn[i];

        if (other == fn || (fn->joined && other->joined)) {
            other->up = false;
            epc_ioeventfd_changed(other);
            epc_fn_update_maps(other);
        }
    }
    epc_dma_table_clear(fn->dma);
    epc_irqs_clear(fn);
    epc_config_reset(&fn->cfg);
    if (!fn->index) {
        epc_vfs_update(s);
    }
    epc_writes_clear(&fn->writes);
    fn->intx = (EpcIntx) { };
    fn->joined = fn->alone = false;
    link_update(s);
}

/* All may come up.  Lock held. */
static void enable_shown(EpcState *s)
{
    for (unsigned i = 0; i < s->nfn; i++) {
        if (s->shown & BIT(i)) {
            epc_server_enable(s->fn[i].server, s->shown);
        }
    }
}

static void fallen(void *opaque)
{
    EpcFunction *fn = opaque;
    EpcState *s = fn->epc;

    QEMU_LOCK_GUARD(&s->lock);
    s->falling &= ~BIT(fn->index);
    if (s->falling) {
        return;
    }
    if (s->link_status == EPC_STATUS_BUSY) {
        s->link_status = EPC_STATUS_OK;
        epc_notify(s, EPC_VECTOR_COMMAND);
    }
    if (s->link_enabled && !s->closing) {
        enable_shown(s);
    }
}

/* Lock not held; all functions, or those whose client is not alone. */
static void fall(EpcState *s, bool all)
{
    uint32_t mask = 0;

    QEMU_LOCK_GUARD(&s->fall_lock);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        for (unsigned i = 0; i < s->nfn && !s->closing; i++) {
            if (all || !s->fn[i].alone) {
                mask |= BIT(i) & ~s->falling;
            }
        }
        s->falling |= mask;
    }
    for (unsigned i = 0; i < s->nfn; i++) {
        if (mask & BIT(i)) {
            epc_server_disable(s->fn[i].server, fallen, &s->fn[i]);
        }
    }
}

void epc_link_fall(EpcState *s)
{
    fall(s, true);
    QEMU_LOCK_GUARD(&s->lock);
    s->link_status = s->falling ? EPC_STATUS_BUSY : EPC_STATUS_OK;
}

void epc_link_changed(void *opaque, bool up, bool joined)
{
    EpcFunction *fn = opaque;
    EpcState *s = fn->epc;
    bool cascade = false;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (up) {
            epc_dma_table_set_messages(fn->dma,
                                       epc_server_takes_dma(fn->server));
            went_up(fn, joined);
        } else {
            cascade = fn->joined;
            went_down(fn);
        }
    }
    epc_dma_drain(s);
    if (cascade) {
        fall(s, false);
    }
}

/* ---- START and STOP ---- */

/* What a START would show, as bits; EPC_STATUS_*.  Lock held. */
static uint32_t startable(EpcState *s, uint32_t *shown)
{
    *shown = 0;
    for (unsigned i = 0; i < s->functions; i++) {
        EpcFunction *fn = &s->fn[i];
        uint32_t status;

        if (i && epc_config_empty(&fn->cfg)) {
            continue;
        }
        status = epc_fn_startable(fn);
        if (status != EPC_STATUS_OK) {
            return status;
        }
        *shown |= BIT(i);
    }
    return epc_vfs_startable(s, shown);
}

static void link_start(EpcState *s)
{
    uint32_t functions = MAKE_64BIT_MASK(0, s->functions);
    uint32_t shown;

    QEMU_LOCK_GUARD(&s->lock);
    s->link_status = s->link_enabled ? EPC_STATUS_OK : startable(s, &shown);
    if (s->link_enabled || s->link_status != EPC_STATUS_OK) {
        return;
    }
    s->link_enabled = true;
    s->shown = shown;
    epc_config_set_multifunction(&s->fn[0].cfg, (shown & functions) != 1);
    epc_vfs_show(s);
    if (!s->falling) {
        enable_shown(s);
    }
}

static void link_stop(EpcState *s)
{
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->link_enabled = false;
        /* Before the host hears of it and uses its memory for other things */
        for (unsigned i = 0; i < s->nfn; i++) {
            epc_fn_update_maps(&s->fn[i]);
            epc_ioeventfd_changed(&s->fn[i]);
        }
    }
    epc_ioeventfd_update(s);
    epc_dma_drain(s);
    epc_link_fall(s);
}

void epc_link_command(EpcState *s, uint32_t cmd)
{
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (s->link_status == EPC_STATUS_BUSY) {
            s->bad_access++;
            return;
        }
        s->link_cmd = cmd;
        s->link_status = EPC_STATUS_BAD_CMD;
    }
    if (cmd == EPC_LINK_START) {
        link_start(s);
    } else if (cmd == EPC_LINK_STOP) {
        link_stop(s);
    }
    trace_epc_link_command(cmd, s->link_status);
}

/* ---- Resets ---- */

/*
 * A reset of the device: the client of each function tells it, the endpoint
 * hears of it once.  @mine counts those that this client told, @all those that
 * the endpoint heard of.
 */
static void reset_device(EpcFunction *fn, uint32_t *mine, uint32_t *all,
                         uint32_t event)
{
    EpcState *s = fn->epc;

    if (fn->joined && ++*mine <= *all) {
        return;
    }
    *all = fn->joined ? *mine : *all;
    for (unsigned i = 0; i < s->nfn; i++) {
        if (fn->joined && s->fn[i].joined) {
            epc_fn_reset(&s->fn[i]);
        }
    }
    epc_event(s, event);
}

void epc_link_reset(void *opaque, unsigned kind)
{
    EpcFunction *fn = opaque;
    EpcState *s = fn->epc;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        trace_epc_host_reset(fn->index, kind);
        epc_fn_reset(fn);
        switch (kind) {
        case VFU_EP_RESET_PERST:
            reset_device(fn, &fn->resets.perst, &s->resets.perst,
                         EPC_EVENT_PERST);
            break;
        case VFU_EP_RESET_FLR:
            epc_fn_event(fn, EPC_FN_EVENT_FLR);
            break;
        default:
            reset_device(fn, &fn->resets.hot, &s->resets.hot,
                         EPC_EVENT_HOT_RESET);
        }
    }
    epc_dma_drain(s);
}
