/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The link of the controller: START and STOP, up and down, resets by the host
 *
 * Each function has a server with a client of its own. A client that knows of
 * several functions "joins": such functions come up when all that are shown
 * have joined, and go down together. Any other client is "alone": its function
 * comes and goes by itself. EpcFunction.link has these states:
 *
 *   from             when                                    to
 *   DETACHED         the client of one function came up      UP_ALONE
 *   DETACHED         a client of several functions came up   JOINED
 *   JOINED           all shown functions are JOINED, and no
 *                    server is being taken down              UP_TOGETHER
 *   UP_TOGETHER      another UP_TOGETHER function went down  JOINED
 *   any of them      the client has released the function    DETACHED
 *   any of them      EPC_REG_RESET (endpoint/reset.c)        DETACHED
 *
 * EpcLinkState.falling_mask is a barrier beside that. It has a bit for each
 * function from the call of epc_server_disable() until the server has called
 * back; the function is DETACHED before that. STOP, EPC_REG_RESET and the end
 * of a joined function set bits, and the last one that is cleared completes
 * STOP or enables the servers again. A client that comes up while the bit of
 * its function is set is ignored, since it is about to be taken down.
 *
 * EpcLinkState.cut is set by a requested fault, and is independent of START and
 * STOP: the servers are enabled while the link is started and not cut.
 *
 * Register commands run with the BQL held. All else is called by servers, most
 * often in their reader threads, without it.
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/endpoint/fn-state.h"
#include "hw/pci-ep/endpoint/forward.h"
#include "hw/pci-ep/endpoint/function.h"
#include "hw/pci-ep/endpoint/host-memory.h"
#include "hw/pci-ep/endpoint/host-state.h"
#include "hw/pci-ep/endpoint/ioeventfd.h"
#include "hw/pci-ep/endpoint/irqs.h"
#include "hw/pci-ep/endpoint/link.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/vf.h"
#include "hw/pci-ep/server/server.h"
#include "hw/pci-ep/trace.h"

/* ---- The state of a function ---- */

static const char *const link_state_name[] = {
    [EPC_FN_LINK_DETACHED] = "detached",
    [EPC_FN_LINK_JOINED] = "joined",
    [EPC_FN_LINK_UP_TOGETHER] = "up together",
    [EPC_FN_LINK_UP_ALONE] = "up alone",
};

/* The states that may precede each state, as bits */
static const uint8_t link_state_from[] = {
    [EPC_FN_LINK_DETACHED] = BIT(EPC_FN_LINK_DETACHED) |
        BIT(EPC_FN_LINK_JOINED) | BIT(EPC_FN_LINK_UP_TOGETHER) |
        BIT(EPC_FN_LINK_UP_ALONE),
    [EPC_FN_LINK_JOINED] = BIT(EPC_FN_LINK_DETACHED) |
        BIT(EPC_FN_LINK_UP_TOGETHER),
    [EPC_FN_LINK_UP_TOGETHER] = BIT(EPC_FN_LINK_JOINED),
    [EPC_FN_LINK_UP_ALONE] = BIT(EPC_FN_LINK_DETACHED),
};

/*
 * A transition that the table does not have is reported, and made all the same.
 */
static void link_set_state(EpcFunction *fn, EpcFnLink state)
    EP_REQUIRES(&fn->epc->lock);
static void link_set_state(EpcFunction *fn, EpcFnLink state)
{
    const char *name = epc_name(fn->epc);

    trace_pci_epc_link_state(name, fn->index, link_state_name[fn->link],
                             link_state_name[state]);
    if (!(link_state_from[state] & BIT(fn->link))) {
        trace_pci_epc_link_bad_transition(name, fn->index,
                                          link_state_name[fn->link],
                                          link_state_name[state]);
    }
    fn->link = state;
    epc_host_state_link_changed(fn);
}

/* ---- Up and down ---- */

/* Brings EPC_REG_LINK up to date after functions came up or went down. */
static void link_update_register(EpcState *s) EP_REQUIRES(&s->lock);
static void link_update_register(EpcState *s)
{
    EpcLinkState *l = &s->link;
    bool up = false;

    for (unsigned i = 0; i < s->nfn; i++) {
        EpcFunction *fn = &s->fn[i];

        EP_LOCK_HELD(&fn->epc->lock);
        up |= epc_fn_up(fn);
    }
    if (up != l->up) {
        l->up = up;
        l->generation += up;
        if (!up || s->limits.linkup) {
            epc_event(s, EPC_EVENT_LINK);
        }
    }
    trace_pci_epc_link(epc_name(s), l->generation, up);
}

static void link_function_up(EpcFunction *fn, EpcFnLink state)
    EP_REQUIRES(&fn->epc->lock);
static void link_function_up(EpcFunction *fn, EpcFnLink state)
{
    fn->resets = (EpcResets) { };
    link_set_state(fn, state);
}

static bool link_all_joined(EpcState *s) EP_REQUIRES(&s->lock);
static bool link_all_joined(EpcState *s)
{
    for (unsigned i = 0; i < s->nfn; i++) {
        if ((s->link.shown_mask & BIT(i)) &&
            s->fn[i].link != EPC_FN_LINK_JOINED) {
            return false;
        }
    }
    return !s->link.falling_mask;
}

static void link_all_up(EpcState *s) EP_REQUIRES(&s->lock);
static void link_all_up(EpcState *s)
{
    s->link.resets = (EpcResets) { };
    for (unsigned i = 0; i < s->nfn; i++) {
        EpcFunction *fn = &s->fn[i];

        EP_LOCK_HELD(&fn->epc->lock);
        if (s->link.shown_mask & BIT(i)) {
            link_function_up(fn, EPC_FN_LINK_UP_TOGETHER);
        }
    }
}

static void link_client_came(EpcFunction *fn, bool joined)
    EP_REQUIRES(&fn->epc->lock);
static void link_client_came(EpcFunction *fn, bool joined)
{
    EpcState *s = fn->epc;

    if (!epc_link_wanted(s) || s->link.fall_waits ||
        (s->link.falling_mask & BIT(fn->index))) {
        return;
    }
    if (!joined) {
        link_function_up(fn, EPC_FN_LINK_UP_ALONE);
    } else {
        link_set_state(fn, EPC_FN_LINK_JOINED);
        if (link_all_joined(s)) {
            link_all_up(s);
        }
    }
    link_update_register(s);
}

/*
 * The client of @fn is gone, or has acknowledged that the link is down. With
 * @stays it is a plain one, and has what it set when the link comes up again.
 */
static void link_client_left(EpcFunction *fn, bool stays)
    EP_REQUIRES(&fn->epc->lock);
static void link_client_left(EpcFunction *fn, bool stays)
{
    EpcState *s = fn->epc;

    for (unsigned i = 0; epc_fn_joined(fn) && i < s->nfn; i++) {
        EpcFunction *other = &s->fn[i];

        EP_LOCK_HELD(&other->epc->lock);
        if (other != fn && other->link == EPC_FN_LINK_UP_TOGETHER) {
            link_set_state(other, EPC_FN_LINK_JOINED);
        }
    }
    link_set_state(fn, EPC_FN_LINK_DETACHED);
    /*
     * The window gives up the files first. Otherwise it has the last reference,
     * and the kernel would free the host's memory here, under the lock.
     */
    epc_host_state_range_removed(fn, 0, UINT64_MAX);
    if (!stays) {
        epc_host_memory_clear(fn->host_memory);
        epc_irqs_clear(fn);
    }
    epc_host_state_reset(fn, EPC_CONFIG_RESET_POWER);
    fn->intx = (EpcIntx) { };
    link_update_register(s);
}

/* ---- Taking servers down ---- */

/* Enables the servers, if the link should be up and none is falling. */
static void link_enable_shown(EpcState *s) EP_REQUIRES(&s->lock);
static void link_enable_shown(EpcState *s)
{
    if (!epc_link_wanted(s) || s->link.fall_waits || s->link.falling_mask ||
        s->closing) {
        return;
    }
    for (unsigned i = 0; i < s->nfn; i++) {
        if (s->link.shown_mask & BIT(i)) {
            epc_server_enable(s->fn[i].server, s->link.shown_mask);
        }
    }
}

/* No access of the function is left, and none to this window. */
static void link_function_drained(void *opaque)
{
    EpcFunction *fn = opaque;
    EpcState *s = fn->epc;

    QEMU_LOCK_GUARD(&s->lock);
    s->link.falling_mask &= ~BIT(fn->index);
    if (s->link.falling_mask) {
        return;
    }
    /* link_fall_late() has yet to take the other functions down. */
    if (s->link.fall_waits) {
        return;
    }
    if (s->link.status == EPC_STATUS_BUSY) {
        s->link.status = EPC_STATUS_OK;
        trace_pci_epc_link_command_done(epc_name(s), s->link.cmd,
                                        s->link.status);
        epc_notify(s, EPC_VECTOR_COMMAND);
    }
    link_enable_shown(s);
}

static void link_source_drained(void *opaque)
{
    epc_forward_fence_to(opaque, link_function_drained, opaque);
}

/*
 * The server of a function calls this back, see epc_server_disable(). What the
 * host has written to windows of other controllers is carried out before STOP
 * completes. Likewise a message that another host has caused here is over, so
 * that nothing behind it in the queue reaches the next host.
 */
static void link_function_fallen(void *opaque)
{
    epc_forward_fence_from(opaque, link_source_drained, opaque);
}

/* Takes down all functions, or all but those that are UP_ALONE. */
static void link_take_down(EpcState *s, bool all)
    EP_EXCLUDES(&s->lock, &s->fall_lock);
static void link_take_down(EpcState *s, bool all)
{
    uint32_t mask = 0;

    QEMU_LOCK_GUARD(&s->fall_lock);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        for (unsigned i = 0; i < s->nfn && !s->closing; i++) {
            if (all || s->fn[i].link != EPC_FN_LINK_UP_ALONE) {
                mask |= BIT(i) & ~s->link.falling_mask;
            }
        }
        s->link.falling_mask |= mask;
        if (all) {
            s->link.fall_waits = false;
        }
    }
    for (unsigned i = 0; i < s->nfn; i++) {
        if (mask & BIT(i)) {
            epc_server_disable(s->fn[i].server, link_function_fallen,
                               &s->fn[i]);
        }
    }
}

/* The bursts are over that link_begin_fall() found under way. */
static void link_fall_late(EpcState *s) EP_EXCLUDES(&s->lock, &s->fall_lock);
static void link_fall_late(EpcState *s)
{
    bool command;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        command = s->link.status == EPC_STATUS_BUSY;
        if (command) {
            s->link.status = EPC_STATUS_OK;
        }
    }
    link_take_down(s, true);
    if (!command) {
        return;
    }
    QEMU_LOCK_GUARD(&s->lock);
    if (s->link.falling_mask) {
        s->link.status = EPC_STATUS_BUSY;
    } else {
        trace_pci_epc_link_command_done(epc_name(s), s->link.cmd,
                                        s->link.status);
        epc_notify(s, EPC_VECTOR_COMMAND);
    }
}

static void link_bursts_over(void *opaque);

/*
 * A bottom half, scheduled by link_bursts_over(). Another request may have come
 * since, and with it other bursts. No burst that accesses host memory begins
 * while functions are to fall.
 */
static void link_fall_bh(void *opaque)
{
    EpcState *s = opaque;
    bool waits;

    EP_BQL_HELD();
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        waits = s->link.fall_waits && !s->closing;
    }
    if (waits && (epc_dma_host_idle(s) ||
                  !epc_dma_after_bursts(s, link_bursts_over, s))) {
        link_fall_late(s);
    }
    object_unref(OBJECT(s));
}

/* EpcDmaBurstOver */
static void link_bursts_over(void *opaque)
{
    object_ref(OBJECT(opaque));
    aio_bh_schedule_oneshot(qemu_get_aio_context(), link_fall_bh, opaque);
}

/*
 * A host uses its memory for something else once it knows that the link goes
 * down, so nothing here may use that memory any more. Hosts can make a burst
 * long, and this thread has the BQL, so it does not wait for the end. Returns
 * true when functions go down later for that reason. No function comes up
 * before.
 */
static bool link_begin_fall(EpcState *s)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock, &s->fall_lock);
static bool link_begin_fall(EpcState *s)
{
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->link.fall_waits = true;
    }
    if (epc_dma_after_bursts(s, link_bursts_over, s)) {
        return true;
    }
    link_take_down(s, true);
    return false;
}

uint32_t epc_link_fall(EpcState *s)
{
    bool waits = link_begin_fall(s);

    QEMU_LOCK_GUARD(&s->lock);
    s->link.status = waits || s->link.falling_mask ? EPC_STATUS_BUSY :
                                                     EPC_STATUS_OK;
    return s->link.status;
}

void epc_link_changed(void *opaque, EpcServerEvent event)
{
    EpcFunction *fn = opaque;
    EpcState *s = fn->epc;
    bool cascade = false;

    epc_host_state_begin(s);
    if (event == EPC_SERVER_UP || event == EPC_SERVER_UP_JOINED) {
        epc_host_memory_set_messages(fn->host_memory,
                                     epc_server_takes_dma(fn->server));
        link_client_came(fn, event == EPC_SERVER_UP_JOINED);
    } else {
        cascade = epc_fn_joined(fn);
        link_client_left(fn, event == EPC_SERVER_DOWN_STAYS);
    }
    epc_host_state_end(s);
    if (cascade) {
        link_take_down(s, false);
    }
}

/* ---- START and STOP ---- */

/*
 * Can the link start? Returns EPC_STATUS_*, and in @mask a bit for each
 * function that would be shown.
 */
static uint32_t link_startable(EpcState *s, uint32_t *mask)
    EP_REQUIRES(&s->lock);
static uint32_t link_startable(EpcState *s, uint32_t *mask)
{
    *mask = 0;
    for (unsigned i = 0; i < s->functions; i++) {
        EpcFunction *fn = &s->fn[i];
        uint32_t status;

        EP_LOCK_HELD(&fn->epc->lock);
        if (i && epc_config_empty(&fn->cfg)) {
            continue;
        }
        status = epc_fn_startable(fn);
        if (status != EPC_STATUS_OK) {
            return status;
        }
        *mask |= BIT(i);
    }
    return epc_vfs_startable(s, mask);
}

/* Shows what the device itself adds to the functions of the endpoint. */
static void link_show_caps(EpcState *s) EP_REQUIRES(&s->lock);
static void link_show_caps(EpcState *s)
{
    uint32_t resizable = epc_limits_resizable(&s->limits);

    for (unsigned i = 0; i < s->functions; i++) {
        EpcFunction *fn = &s->fn[i];

        EP_LOCK_HELD(&fn->epc->lock);
        epc_config_show(&fn->cfg, i ? 0 : s->serial, resizable);
    }
}

static uint32_t link_start(EpcState *s) EP_EXCLUDES(&s->lock);
static uint32_t link_start(EpcState *s)
{
    uint32_t functions = MAKE_64BIT_MASK(0, s->functions);
    uint32_t mask;

    QEMU_LOCK_GUARD(&s->lock);
    if (s->link.enabled) {
        s->link.status = EPC_STATUS_OK;
        return s->link.status;
    }
    s->link.status = link_startable(s, &mask);
    if (s->link.status != EPC_STATUS_OK) {
        return s->link.status;
    }
    s->link.enabled = true;
    s->link.shown_mask = mask;
    epc_config_set_multifunction(&s->fn[0].cfg, (mask & functions) != 1);
    link_show_caps(s);
    epc_vfs_show(s);
    link_enable_shown(s);
    return s->link.status;
}

/*
 * The link should be down from now on: it is stopped or @cut. The host reuses
 * its memory once it knows that the link goes down. So nothing here may use
 * that memory any more when the servers are disabled.
 */
static void link_close(EpcState *s, bool cut)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock, &s->fall_lock);
static void link_close(EpcState *s, bool cut)
{
    epc_host_state_begin(s);
    if (cut) {
        s->link.cut = true;
    } else {
        s->link.enabled = false;
    }
    for (unsigned i = 0; i < s->nfn; i++) {
        EpcFunction *fn = &s->fn[i];

        EP_LOCK_HELD(&fn->epc->lock);
        epc_host_state_link_changed(fn);
    }
    epc_host_state_end_early(s);
    epc_ioeventfd_update(s);
}

static uint32_t link_stop(EpcState *s)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock, &s->fall_lock);
static uint32_t link_stop(EpcState *s)
{
    link_close(s, false);
    return epc_link_fall(s);
}

void epc_link_command(EpcState *s, uint32_t cmd)
{
    uint32_t status = EPC_STATUS_BAD_CMD;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (s->link.status == EPC_STATUS_BUSY) {
            s->bad_access++;
            return;
        }
        s->link.cmd = cmd;
        s->link.status = status;
    }
    trace_pci_epc_link_command(epc_name(s), cmd);
    if (cmd == EPC_LINK_START) {
        status = link_start(s);
    } else if (cmd == EPC_LINK_STOP) {
        status = link_stop(s);
    }
    if (status != EPC_STATUS_BUSY) {
        trace_pci_epc_link_command_done(epc_name(s), cmd, status);
    }
}

/* ---- Requested faults ---- */

void epc_link_cut(EpcState *s)
{
    link_close(s, true);
    link_begin_fall(s);
}

bool epc_link_mend(EpcState *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    if (!s->link.cut) {
        return false;
    }
    s->link.cut = false;
    link_enable_shown(s);
    return true;
}

/* ---- Resets ---- */

/*
 * A reset of the whole device is reported by the client of each function, and
 * the endpoint gets one global event of it. EpcFunction.resets counts the
 * resets that the client of @fn has reported, EpcLinkState.resets those that
 * the endpoint was notified of. What the host has written to @fn between the
 * first report and that of @fn is lost, and the endpoint gets events of @fn
 * (epc_host_state_reset()).
 */
static void link_reset_device(EpcFunction *fn, EpcConfigReset kind)
    EP_REQUIRES(&fn->epc->lock);
static void link_reset_device(EpcFunction *fn, EpcConfigReset kind)
{
    EpcState *s = fn->epc;
    bool hot = kind == EPC_CONFIG_RESET_HOT;
    uint32_t *reported = hot ? &fn->resets.hot : &fn->resets.perst;
    uint32_t *seen = hot ? &s->link.resets.hot : &s->link.resets.perst;

    if (epc_fn_joined(fn)) {
        if (++*reported <= *seen) {
            return;
        }
        *seen = *reported;
        for (unsigned i = 0; i < s->nfn; i++) {
            EpcFunction *other = &s->fn[i];

            EP_LOCK_HELD(&other->epc->lock);
            if (epc_fn_joined(other)) {
                epc_host_state_reset(other, kind);
            }
        }
    }
    epc_event(s, hot ? EPC_EVENT_HOT_RESET : EPC_EVENT_PERST);
}

static EpcConfigReset link_reset_kind(unsigned kind)
{
    switch (kind) {
    case VFU_EP_RESET_PERST:
        return EPC_CONFIG_RESET_POWER;
    case VFU_EP_RESET_FLR:
        return EPC_CONFIG_RESET_FLR;
    default:
        return EPC_CONFIG_RESET_HOT;
    }
}

void epc_link_reset(void *opaque, unsigned kind)
{
    EpcFunction *fn = opaque;
    EpcState *s = fn->epc;
    EpcConfigReset reset = link_reset_kind(kind);

    epc_host_state_begin(s);
    epc_host_state_reset(fn, reset);
    if (reset == EPC_CONFIG_RESET_FLR) {
        epc_fn_event(fn, EPC_FN_EVENT_FLR);
    } else {
        link_reset_device(fn, reset);
    }
    epc_host_state_end(s);
}
