/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BARs of a function: what the host sees of them, and the commands that change
 * them
 */
#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/endpoint/bars.h"
#include "hw/pci-ep/endpoint/fn-state.h"
#include "hw/pci-ep/endpoint/forward.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/target.h"
#include "hw/pci-ep/server/server.h"
#include "hw/pci-ep/trace.h"

#define BARS_SIZE_MIN       4096
#define BARS_SIZE_MAX_32    (1ull << 31)
#define BARS_SIZE_MAX_64    (1ull << 40)

/* ---- The host's view ---- */

uint64_t epc_bar_size(const EpcFunction *fn, unsigned n)
{
    return epc_fn_is_vf(fn) ? fn->epc->vf_bar[n].size : fn->bar[n].size;
}

void epc_bar_info(const EpcFunction *fn, unsigned n, EpcRegion *r)
{
    EpcArea area;

    r->size = epc_bar_size(fn, n);
    if (!r->size) {
        return;
    }
    r->flags = VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE;
    if (epc_target_areas(fn->bar[n].target, &area, 1) &&
        area.size >= r->size) {
        r->fd = area.fd;
        r->fd_offset = area.fd_offset;
    }
}

void epc_bar_access(EpcFunction *fn, EpcAccess *a, EpcTargetElsewhere *to)
{
    uint64_t size = epc_bar_size(fn, a->region);
    bool done;

    *to = (EpcTargetElsewhere) { };
    if (!epc_fn_up(fn) || a->offset >= size || a->count > size - a->offset) {
        return;
    }
    done = epc_fn_enabled(fn) &&
           epc_target_access(fn->bar[a->region].target, fn, a, to);
    if (a->is_write && !done) {
        trace_pci_epc_inbound_dropped(epc_name(fn->epc), fn->index, a->region,
                                      a->offset, a->count);
        fn->inbound_dropped++;
    }
}

/* ---- Retargeting ---- */

/* A retarget that outlives the register write that began it */
typedef struct EpcBarWait {
    EpcFunction *fn;
    uint32_t reset_count;       /* EpcState.reset_count when it began */
    EpcTarget *old;             /* what the host can still reach */
    int err;                    /* of epc_server_remap() */
} EpcBarWait;

static EpcBarWait *bars_wait_new(EpcFunction *fn, EpcTarget *old)
    EP_REQUIRES(&fn->epc->lock);
static EpcBarWait *bars_wait_new(EpcFunction *fn, EpcTarget *old)
{
    EpcBarWait *wait = g_new0(EpcBarWait, 1);

    wait->fn = fn;
    wait->reset_count = fn->epc->reset_count;
    wait->old = old;
    return wait;
}

/*
 * For epc_forward_fence_from(): what the host has written to the windows of
 * other controllers is carried out as well. After a reset of the device there
 * is no command any more that could complete.
 */
static void bars_retargeted(void *opaque)
{
    EpcBarWait *wait = opaque;
    EpcFunction *fn = wait->fn;
    EpcState *s = fn->epc;

    QEMU_LOCK_GUARD(&s->lock);
    if (wait->reset_count == s->reset_count) {
        fn->status = wait->err ? EPC_STATUS_TIMEOUT : EPC_STATUS_OK;
        trace_pci_epc_command_done(epc_name(s), fn->index, fn->cmd,
                                   fn->status);
        epc_notify(s, EPC_VECTOR_COMMAND);
    }
    epc_target_retire(s, wait->old);
    g_free(wait);
}

/*
 * For epc_server_remap(): no host access and no mapping of the old target is
 * left, or the host was lost with @err.
 */
static void bars_remapped(void *opaque, int err)
{
    EpcBarWait *wait = opaque;

    wait->err = err;
    epc_forward_fence_from(wait->fn, bars_retargeted, wait);
}

/* A host is attached also while the link is being taken down. */
static bool bars_host_attached(EpcState *s) EP_EXCLUDES(&s->lock);
static bool bars_host_attached(EpcState *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return !epc_link_idle(s);
}

/*
 * Makes @target what BAR @n is backed by. Returns EPC_STATUS_BUSY if a host is
 * attached, which has to release the old target first.
 */
static uint32_t bars_retarget(EpcFunction *fn, unsigned n, EpcTarget *target)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&fn->epc->lock);
static uint32_t bars_retarget(EpcFunction *fn, unsigned n, EpcTarget *target)
{
    EpcState *s = fn->epc;
    EpcBar *bar = &fn->bar[n];
    bool attached = bars_host_attached(s);
    EpcBarWait *wait = NULL;
    EpcTarget *old;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        old = bar->target;
        bar->target = target;
        if (attached) {
            wait = bars_wait_new(fn, old);
            fn->status = EPC_STATUS_BUSY;
        } else {
            epc_target_retire(s, old);
        }
    }
    if (!wait) {
        return EPC_STATUS_OK;
    }
    epc_server_remap(fn->server, VFU_REGION_BAR0 + n, bars_remapped, wait);
    return EPC_STATUS_BUSY;
}

/* ---- New targets ---- */

static uint32_t bars_reset_count(EpcState *s) EP_EXCLUDES(&s->lock);
static uint32_t bars_reset_count(EpcState *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return s->reset_count;
}

/* epc_target_add(), which may end the device. Then it returns EPC_BAR_VOID. */
static uint32_t bars_target_add(EpcState *s, EpcTarget *t, uint64_t addr,
                                uint64_t size)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock);
static uint32_t bars_target_add(EpcState *s, EpcTarget *t, uint64_t addr,
                                uint64_t size)
{
    uint32_t reset_count = bars_reset_count(s);
    uint32_t status = epc_target_add(s, t, addr, size);

    return s->fn && bars_reset_count(s) == reset_count ? status : EPC_BAR_VOID;
}

/* ---- SET_BAR ---- */

/* A BAR that is not defined yet must fit between its neighbours. */
static uint32_t bars_check_new(const EpcFunction *fn, unsigned n)
    EP_REQUIRES(&ep_bql);
static uint32_t bars_check_new(const EpcFunction *fn, unsigned n)
{
    uint64_t max = BARS_SIZE_MAX_32;

    if (n && (fn->bar[n - 1].flags & EPC_BAR_FLAG_64)) {
        return EPC_STATUS_BAD_ARG;
    }
    if (fn->args.bar_flags & EPC_BAR_FLAG_64) {
        if (n == EPC_NUM_BARS - 1 || fn->bar[n + 1].size) {
            return EPC_STATUS_BAD_ARG;
        }
        max = BARS_SIZE_MAX_64;
    }
    return fn->args.size > max ? EPC_STATUS_BAD_ARG : EPC_STATUS_OK;
}

/* Checks the arguments of SET_BAR; @size is what the host would see. */
static uint32_t bars_check(const EpcFunction *fn, uint64_t size)
    EP_REQUIRES(&ep_bql);
static uint32_t bars_check(const EpcFunction *fn, uint64_t size)
{
    const EpcArgs *a = &fn->args;
    const EpcBar *bar;

    if (a->bar >= EPC_NUM_BARS || !is_power_of_2(a->size) ||
        (a->bar_flags & ~(EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH))) {
        return EPC_STATUS_BAD_ARG;
    }
    if (a->addr != EPC_ADDR_NONE &&
        !QEMU_IS_ALIGNED(a->addr, qemu_real_host_page_size())) {
        return EPC_STATUS_BAD_ARG;
    }
    if (!epc_limit_allows(fn, epc_limits_bar(&fn->epc->limits, a->bar,
                                             a->bar_flags, a->addr, a->size))) {
        return EPC_STATUS_BAD_ARG;
    }
    bar = &fn->bar[a->bar];
    if (bar->target && !fn->epc->limits.retarget) {
        return EPC_STATUS_BAD_STATE;
    }
    if (bar->size) {
        return a->bar_flags != bar->flags || size > bar->size ?
               EPC_STATUS_BAD_ARG : EPC_STATUS_OK;
    }
    return bars_check_new(fn, a->bar);
}

/*
 * Makes a target of one area at @addr. Returns EPC_STATUS_* or EPC_BAR_VOID;
 * *@target is NULL for EPC_ADDR_NONE, and after an error.
 */
static uint32_t bars_make_target(EpcState *s, uint64_t addr, uint64_t size,
                                 EpcTarget **target)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock);
static uint32_t bars_make_target(EpcState *s, uint64_t addr, uint64_t size,
                                 EpcTarget **target)
{
    EpcTarget *t;
    uint32_t status;

    *target = NULL;
    if (addr == EPC_ADDR_NONE) {
        return EPC_STATUS_OK;
    }
    t = epc_target_new();
    status = bars_target_add(s, t, addr, size);
    if (status != EPC_STATUS_OK) {
        epc_target_free(t);
        return status;
    }
    *target = t;
    return EPC_STATUS_OK;
}

uint32_t epc_bar_set(EpcFunction *fn)
{
    EpcState *s = fn->epc;
    const EpcArgs *a = &fn->args;
    uint64_t size = MAX(a->size, BARS_SIZE_MIN);
    uint32_t status = bars_check(fn, size);
    EpcTarget *target;
    EpcBar *bar;

    if (status != EPC_STATUS_OK) {
        return status;
    }
    bar = &fn->bar[a->bar];
    if (!bar->size && bars_host_attached(s)) {
        return EPC_STATUS_BAD_STATE;
    }
    status = bars_make_target(s, a->addr, size, &target);
    if (status != EPC_STATUS_OK) {
        return status;
    }
    trace_pci_epc_set_bar(epc_name(s), fn->index, a->bar, a->addr, size);
    if (!bar->size) {
        QEMU_LOCK_GUARD(&s->lock);
        bar->size = size;
        bar->flags = a->bar_flags;
        epc_config_set_bar(&fn->cfg, a->bar, bar->flags, size);
    }
    return bars_retarget(fn, a->bar, target);
}

/* ---- SET_AREAS and CLEAR_BAR ---- */

static bool bars_area_valid(const EpcFunction *fn, const EpcAreaArg *a)
{
    size_t granule = qemu_real_host_page_size();

    if (!a->size || !QEMU_IS_ALIGNED(a->size, granule)) {
        return false;
    }
    return a->type == EPC_AREA_NONE ||
           (a->type == EPC_AREA_TARGET &&
            (a->addr == EPC_ADDR_NONE || QEMU_IS_ALIGNED(a->addr, granule)) &&
            epc_limit_allows(fn, epc_limits_area(&fn->epc->limits, a->addr,
                                                 a->size)));
}

static uint32_t bars_check_areas(const EpcFunction *fn) EP_REQUIRES(&ep_bql);
static uint32_t bars_check_areas(const EpcFunction *fn)
{
    const EpcArgs *args = &fn->args;
    uint64_t left;

    if (args->bar >= EPC_NUM_BARS || !args->count ||
        args->count > EPC_MAX_AREAS) {
        return EPC_STATUS_BAD_ARG;
    }
    left = fn->bar[args->bar].size;
    for (unsigned i = 0; i < args->count; i++) {
        if (!bars_area_valid(fn, &args->area[i]) || args->area[i].size > left) {
            return EPC_STATUS_BAD_ARG;
        }
        left -= args->area[i].size;
    }
    return EPC_STATUS_OK;
}

uint32_t epc_bar_set_areas(EpcFunction *fn)
{
    EpcState *s = fn->epc;
    const EpcArgs *args = &fn->args;
    EpcTarget *target;
    uint32_t status;

    if (!(epc_limits_features(&s->limits) & EPC_FEATURE_SUBRANGE)) {
        return EPC_STATUS_BAD_CMD;
    }
    status = bars_check_areas(fn);
    if (status != EPC_STATUS_OK) {
        return status;
    }
    target = epc_target_new();
    for (unsigned i = 0; i < args->count; i++) {
        const EpcAreaArg *a = &args->area[i];
        bool none = a->type == EPC_AREA_NONE;

        status = bars_target_add(s, target, none ? EPC_ADDR_NONE : a->addr,
                                 a->size);
        if (status != EPC_STATUS_OK) {
            epc_target_free(target);
            return status;
        }
    }
    trace_pci_epc_set_areas(epc_name(s), fn->index, args->bar,
                            args->count);
    return bars_retarget(fn, args->bar, target);
}

uint32_t epc_bar_clear(EpcFunction *fn)
{
    EpcState *s = fn->epc;
    unsigned n = fn->args.bar;
    EpcBar *bar;

    if (n >= EPC_NUM_BARS) {
        return EPC_STATUS_BAD_ARG;
    }
    bar = &fn->bar[n];
    if (!bar->size) {
        return EPC_STATUS_OK;
    }
    trace_pci_epc_clear_bar(epc_name(s), fn->index, n);
    if (!bars_host_attached(s)) {
        QEMU_LOCK_GUARD(&s->lock);
        bar->size = 0;
        bar->flags = 0;
        epc_config_set_bar(&fn->cfg, n, 0, 0);
    }
    return bars_retarget(fn, n, NULL);
}
