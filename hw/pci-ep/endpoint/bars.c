/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-inbound: BARs of a function, what the host sees of them and the commands
 * that change them
 */
#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "hw/pci-ep/pci-epc.h"
#include "trace.h"

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

void epc_bar_write(EpcFunction *fn, unsigned n, uint64_t offset,
                   const void *buf, uint32_t len)
{
    if (!epc_fn_enabled(fn) ||
        epc_target_write(fn->bar[n].target, fn, offset, buf, len)) {
        trace_epc_inbound_dropped(fn->index, n, offset, len);
        fn->inbound_dropped++;
    }
}

/* ---- SET_BAR, SET_AREAS and CLEAR_BAR ---- */

static uint32_t check_new_bar(const EpcFunction *fn, unsigned n)
{
    uint64_t max = 1ull << 31;

    if (n && (fn->bar[n - 1].flags & EPC_BAR_FLAG_64)) {
        return EPC_STATUS_BAD_ARG;
    }
    if (fn->bar_flags & EPC_BAR_FLAG_64) {
        if (n == EPC_NUM_BARS - 1 || fn->bar[n + 1].size) {
            return EPC_STATUS_BAD_ARG;
        }
        max = 1ull << 40;
    }
    return fn->size > max ? EPC_STATUS_BAD_ARG : EPC_STATUS_OK;
}

static uint32_t check_bar(const EpcFunction *fn, uint64_t size)
{
    const EpcBar *bar;

    if (fn->bar_index >= EPC_NUM_BARS || !is_power_of_2(fn->size) ||
        (fn->bar_flags & ~(EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH))) {
        return EPC_STATUS_BAD_ARG;
    }
    if (fn->addr != EPC_ADDR_NONE &&
        !QEMU_IS_ALIGNED(fn->addr, qemu_real_host_page_size())) {
        return EPC_STATUS_BAD_ARG;
    }
    bar = &fn->bar[fn->bar_index];
    if (bar->size) {
        return fn->bar_flags != bar->flags || size > bar->size ?
               EPC_STATUS_BAD_ARG : EPC_STATUS_OK;
    }
    return check_new_bar(fn, fn->bar_index);
}

/* Host accesses and mappings of the old target have ended. */
static void bar_remapped(void *opaque, int err)
{
    EpcWait *wait = opaque;
    EpcFunction *fn = wait->fn;
    EpcState *s = fn->epc;

    QEMU_LOCK_GUARD(&s->lock);
    if (epc_wait_end(wait)) {
        fn->status = err ? EPC_STATUS_TIMEOUT : EPC_STATUS_OK;
        epc_notify(s, EPC_VECTOR_COMMAND);
    }
}

/* The host may still know the link as up while it is being taken down. */
static bool host_attached(EpcState *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return !epc_link_idle(s);
}

/* Exchanges the target; the answer is BUSY when the host has to let go. */
static uint32_t bar_retarget(EpcFunction *fn, unsigned n, EpcTarget *target)
{
    EpcState *s = fn->epc;
    EpcBar *bar = &fn->bar[n];
    bool attached = host_attached(s);
    EpcWait *wait = NULL;
    EpcTarget *old;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        old = bar->target;
        bar->target = target;
        if (attached) {
            wait = epc_wait_new(fn, old);
            fn->status = EPC_STATUS_BUSY;
        }
    }
    if (!wait) {
        epc_target_free(old);
        return EPC_STATUS_OK;
    }
    epc_server_remap(fn->server, VFU_REGION_BAR0 + n, bar_remapped, wait);
    return EPC_STATUS_BUSY;
}

/* *@target for OK; NULL: none. */
static uint32_t make_target(EpcState *s, uint64_t addr, uint64_t size,
                            EpcTarget **target)
{
    EpcTarget *t;
    uint32_t status;

    *target = NULL;
    if (addr == EPC_ADDR_NONE) {
        return EPC_STATUS_OK;
    }
    t = epc_target_new();
    status = epc_target_add(s, t, addr, size);
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
    uint64_t size = MAX(fn->size, 4096);
    uint32_t status = check_bar(fn, size);
    EpcTarget *target;
    EpcBar *bar;

    if (status != EPC_STATUS_OK) {
        return status;
    }
    bar = &fn->bar[fn->bar_index];
    if (!bar->size && host_attached(s)) {
        return EPC_STATUS_BAD_STATE;
    }
    status = make_target(s, fn->addr, size, &target);
    if (status != EPC_STATUS_OK) {
        return status;
    }
    trace_epc_set_bar(fn->index, fn->bar_index, fn->addr, size);
    if (!bar->size) {
        QEMU_LOCK_GUARD(&s->lock);
        bar->size = size;
        bar->flags = fn->bar_flags;
        epc_config_set_bar(&fn->cfg, fn->bar_index, bar->flags, size);
    }
    return bar_retarget(fn, fn->bar_index, target);
}

static bool area_valid(const EpcAreaArg *a)
{
    size_t granule = qemu_real_host_page_size();

    if (!a->size || !QEMU_IS_ALIGNED(a->size, granule)) {
        return false;
    }
    return a->type == EPC_AREA_NONE ||
           (a->type == EPC_AREA_TARGET &&
            (a->addr == EPC_ADDR_NONE || QEMU_IS_ALIGNED(a->addr, granule)));
}

static uint32_t check_areas(const EpcFunction *fn)
{
    uint64_t left;

    if (fn->bar_index >= EPC_NUM_BARS || !fn->count ||
        fn->count > EPC_MAX_AREAS) {
        return EPC_STATUS_BAD_ARG;
    }
    left = fn->bar[fn->bar_index].size;
    for (unsigned i = 0; i < fn->count; i++) {
        if (!area_valid(&fn->area[i]) || fn->area[i].size > left) {
            return EPC_STATUS_BAD_ARG;
        }
        left -= fn->area[i].size;
    }
    return EPC_STATUS_OK;
}

uint32_t epc_bar_set_areas(EpcFunction *fn)
{
    uint32_t status = check_areas(fn);
    EpcTarget *target;

    if (status != EPC_STATUS_OK) {
        return status;
    }
    target = epc_target_new();
    for (unsigned i = 0; i < fn->count; i++) {
        const EpcAreaArg *a = &fn->area[i];
        bool none = a->type == EPC_AREA_NONE;

        status = epc_target_add(fn->epc, target,
                                none ? EPC_ADDR_NONE : a->addr, a->size);
        if (status != EPC_STATUS_OK) {
            epc_target_free(target);
            return status;
        }
    }
    trace_epc_set_areas(fn->index, fn->bar_index, fn->count);
    return bar_retarget(fn, fn->bar_index, target);
}

uint32_t epc_bar_clear(EpcFunction *fn)
{
    EpcState *s = fn->epc;
    EpcBar *bar;

    if (fn->bar_index >= EPC_NUM_BARS) {
        return EPC_STATUS_BAD_ARG;
    }
    bar = &fn->bar[fn->bar_index];
    if (!bar->size) {
        return EPC_STATUS_OK;
    }
    trace_epc_clear_bar(fn->index, fn->bar_index);
    if (!host_attached(s)) {
        QEMU_LOCK_GUARD(&s->lock);
        bar->size = 0;
        bar->flags = 0;
        epc_config_set_bar(&fn->cfg, fn->bar_index, 0, 0);
    }
    return bar_retarget(fn, fn->bar_index, NULL);
}
