/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands of a function page
 *
 * Each command takes its arguments from EpcFunction.args and returns
 * EPC_STATUS_*. One that returns EPC_STATUS_BUSY has stored that in
 * EpcFunction.status itself, since the command may complete in another thread
 * before it returns.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/pci/pci_regs.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/endpoint/bars.h"
#include "hw/pci-ep/endpoint/commands.h"
#include "hw/pci-ep/endpoint/fn-state.h"
#include "hw/pci-ep/endpoint/forward.h"
#include "hw/pci-ep/endpoint/function.h"
#include "hw/pci-ep/endpoint/host-memory.h"
#include "hw/pci-ep/endpoint/mailbox.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/window.h"
#include "hw/pci-ep/server/server.h"
#include "hw/pci-ep/trace.h"

/*
 * May the endpoint change how it describes its functions? The answer stays yes
 * without the lock, since only a command can change it, with the BQL held.
 */
static bool fn_command_describable(EpcState *s)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock);
static bool fn_command_describable(EpcState *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return epc_link_idle(s);
}

static uint32_t fn_command_set_header(EpcFunction *fn) EP_REQUIRES(&ep_bql);
static uint32_t fn_command_set_header(EpcFunction *fn)
{
    const EpcArgs *a = &fn->args;
    EpcHeader h = {
        .vendor = a->id,
        .device = a->id >> 16,
        .subsys_vendor = a->subsys,
        .subsys = a->subsys >> 16,
        .class_rev = a->class_rev,
        .int_pin = a->int_pin,
    };

    /* The first virtual function has the header of all of them. */
    if (epc_fn_is_vf(fn) ? fn->index != fn->epc->functions :
                           h.vendor == 0xffff || a->int_pin > 4) {
        return EPC_STATUS_BAD_ARG;
    }
    if (!fn_command_describable(fn->epc)) {
        return EPC_STATUS_BAD_STATE;
    }
    QEMU_LOCK_GUARD(&fn->epc->lock);
    epc_config_set_header(&fn->cfg, &h);
    return EPC_STATUS_OK;
}

/*
 * MAP and UNMAP change what an access to the window reaches. The accesses of
 * other hosts that are in the queue already must not find the change, so the
 * command waits for them. An access that comes while UNMAP waits must not find
 * what a later MAP puts there, so UNMAP waits for those as well.
 */
typedef struct FnCommandWait {
    EpcFunction *fn;
    uint32_t reset_count;       /* EpcState.reset_count when it began */
    uint32_t cmd;               /* EPC_CMD_MAP or EPC_CMD_UNMAP */
    uint64_t offset, addr, size;
} FnCommandWait;

/*
 * Reports a refused MAP to the host as a fault. A map does not say what it is
 * for, so the fault is a read.
 */
static uint32_t fn_command_map_window(const FnCommandWait *w)
    EP_REQUIRES(&w->fn->epc->lock);
static uint32_t fn_command_map_window(const FnCommandWait *w)
{
    EpcFunction *fn = w->fn;
    EpcWindow *window = &fn->epc->window;
    uint32_t status;

    if (!epc_window_map_valid(window, fn->index, w->offset, w->addr, w->size) ||
        !epc_limit_allows(fn, epc_limits_map(&fn->epc->limits, w->offset,
                                             w->addr, w->size))) {
        return EPC_STATUS_BAD_ARG;
    }
    if (!epc_fn_may_dma(fn)) {
        epc_window_unmap(window, fn->index, w->offset);
        return epc_fn_usable(fn) ? EPC_STATUS_NOT_MAPPED : EPC_STATUS_NO_LINK;
    }
    status = epc_window_map(window, fn->index, fn->host_memory, w->offset,
                            w->addr, w->size);
    if (status == EPC_STATUS_NOT_MAPPED) {
        epc_server_fault(fn->server, window->refused, false);
    } else if (status == EPC_STATUS_BUSY) {
        /* The bottom half of endpoint/window-trap.c goes on with it. */
        fn->status = status;
        fn->map_waits = true;
    }
    return status;
}

/* The command ends with @status, unless that is EPC_STATUS_BUSY. */
static void fn_command_end_wait(FnCommandWait *w, uint32_t status)
    EP_REQUIRES(&w->fn->epc->lock);
static void fn_command_end_wait(FnCommandWait *w, uint32_t status)
{
    if (status != EPC_STATUS_BUSY) {
        trace_pci_epc_command_done(epc_name(w->fn->epc), w->fn->index, w->cmd,
                                   status);
        w->fn->status = status;
        epc_notify(w->fn->epc, EPC_VECTOR_COMMAND);
    }
}

/* For epc_forward_fence_to(): no access is left that could use the old map. */
static void fn_command_unmapped(void *opaque)
{
    FnCommandWait *w = opaque;
    EpcState *s = w->fn->epc;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (w->reset_count == s->reset_count) {
            fn_command_end_wait(w, EPC_STATUS_OK);
        }
    }
    g_free(w);
}

/* For epc_forward_fence_to(): the accesses before the command are over. */
static void fn_command_go_on(void *opaque)
{
    FnCommandWait *w = opaque;
    EpcFunction *fn = w->fn;
    EpcState *s = fn->epc;
    bool again = false;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (w->reset_count != s->reset_count) {
            /* There is no command any more that could complete. */
        } else if (w->cmd == EPC_CMD_MAP) {
            fn_command_end_wait(w, fn_command_map_window(w));
        } else {
            epc_window_unmap(&s->window, fn->index, w->offset);
            again = true;
        }
    }
    if (again) {
        epc_forward_fence_to(fn, fn_command_unmapped, w);
    } else {
        g_free(w);
    }
}

/* Has @done called after what is in the queue. Returns EPC_STATUS_BUSY. */
static uint32_t fn_command_wait(const FnCommandWait *w, EpcForwardDone *done)
    EP_EXCLUDES(&w->fn->epc->lock);
static uint32_t fn_command_wait(const FnCommandWait *w, EpcForwardDone *done)
{
    WITH_QEMU_LOCK_GUARD(&w->fn->epc->lock) {
        w->fn->status = EPC_STATUS_BUSY;
    }
    epc_forward_fence_to(w->fn, done, g_memdup2(w, sizeof(*w)));
    return EPC_STATUS_BUSY;
}

static uint32_t fn_command_map(EpcFunction *fn, uint32_t cmd)
    EP_REQUIRES(&ep_bql);
static uint32_t fn_command_map(EpcFunction *fn, uint32_t cmd)
{
    EpcState *s = fn->epc;
    FnCommandWait w = {
        .fn = fn,
        .cmd = cmd,
        .offset = fn->args.offset,
        .addr = fn->args.addr,
        .size = fn->args.size,
    };

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        w.reset_count = s->reset_count;
    }
    if (epc_forward_busy(s->forward)) {
        return fn_command_wait(&w, fn_command_go_on);
    }
    if (cmd == EPC_CMD_MAP) {
        QEMU_LOCK_GUARD(&w.fn->epc->lock);
        return fn_command_map_window(&w);
    }
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        epc_window_unmap(&s->window, fn->index, w.offset);
    }
    return epc_forward_busy(s->forward) ?
           fn_command_wait(&w, fn_command_unmapped) : EPC_STATUS_OK;
}

static uint32_t fn_command_set_msi(EpcFunction *fn) EP_REQUIRES(&ep_bql);
static uint32_t fn_command_set_msi(EpcFunction *fn)
{
    if (!fn->epc->limits.msi) {
        return EPC_STATUS_BAD_CMD;
    }
    if (fn->args.count > EPC_MAX_MSI) {
        return EPC_STATUS_BAD_ARG;
    }
    if (!fn_command_describable(fn->epc)) {
        return EPC_STATUS_BAD_STATE;
    }
    QEMU_LOCK_GUARD(&fn->epc->lock);
    epc_config_set_msi(&fn->cfg, fn->args.count);
    return EPC_STATUS_OK;
}

static uint32_t fn_command_set_msix(EpcFunction *fn) EP_REQUIRES(&ep_bql);
static uint32_t fn_command_set_msix(EpcFunction *fn)
{
    const EpcArgs *a = &fn->args;
    uint32_t n = a->count;
    uint64_t table_size = epc_fn_msix_table_size(n);

    if (!fn->epc->limits.msix) {
        return EPC_STATUS_BAD_CMD;
    }
    if (n > EPC_MAX_MSIX ||
        (n && (a->bar >= EPC_NUM_BARS || (a->offset & 7) ||
               a->offset > UINT32_MAX - table_size -
                           epc_fn_msix_pba_size(n)))) {
        return EPC_STATUS_BAD_ARG;
    }
    if (!fn_command_describable(fn->epc)) {
        return EPC_STATUS_BAD_STATE;
    }
    QEMU_LOCK_GUARD(&fn->epc->lock);
    fn->msix_count = n;
    fn->msix_bar = n ? a->bar : 0;
    fn->msix_table = n ? a->offset : 0;
    epc_config_set_msix(&fn->cfg, n, fn->msix_bar, fn->msix_table,
                        fn->msix_table + table_size);
    return EPC_STATUS_OK;
}

static bool fn_command_is_sriov(uint32_t cap_id)
{
    return (cap_id & EPC_CAP_EXT) &&
           (cap_id & EPC_CAP_ID_MASK) == PCI_EXT_CAP_ID_SRIOV;
}

static uint32_t fn_command_add_cap(EpcFunction *fn) EP_REQUIRES(&ep_bql);
static uint32_t fn_command_add_cap(EpcFunction *fn)
{
    const EpcArgs *a = &fn->args;
    unsigned offset;

    if (!epc_config_cap_valid(a->cap_id, a->size) ||
        (fn->epc->vfs && fn_command_is_sriov(a->cap_id))) {
        return EPC_STATUS_BAD_ARG;
    }
    if (!fn_command_describable(fn->epc)) {
        return EPC_STATUS_BAD_STATE;
    }
    QEMU_LOCK_GUARD(&fn->epc->lock);
    offset = epc_config_add_cap(&fn->cfg, a->cap_id, a->size);
    if (!offset) {
        return EPC_STATUS_NO_SPACE;
    }
    fn->cap_offset = offset;
    return EPC_STATUS_OK;
}

static uint32_t fn_command_add_doe(EpcFunction *fn) EP_REQUIRES(&ep_bql);
static uint32_t fn_command_add_doe(EpcFunction *fn)
{
    if (!fn_command_describable(fn->epc)) {
        return EPC_STATUS_BAD_STATE;
    }
    QEMU_LOCK_GUARD(&fn->epc->lock);
    return epc_mailbox_add(fn, fn->args.value);
}

static uint32_t fn_command_write_config(EpcFunction *fn) EP_REQUIRES(&ep_bql);
static uint32_t fn_command_write_config(EpcFunction *fn)
{
    const EpcArgs *a = &fn->args;

    QEMU_LOCK_GUARD(&fn->epc->lock);
    return epc_config_set_register(&fn->cfg, a->offset, a->size, a->value,
                                   a->wmask) ?
           EPC_STATUS_OK : EPC_STATUS_BAD_ARG;
}

static uint32_t fn_command_remove(EpcFunction *fn) EP_REQUIRES(&ep_bql);
static uint32_t fn_command_remove(EpcFunction *fn)
{
    if (!fn_command_describable(fn->epc)) {
        return EPC_STATUS_BAD_STATE;
    }
    QEMU_LOCK_GUARD(&fn->epc->lock);
    epc_fn_remove(fn);
    return EPC_STATUS_OK;
}

static uint32_t fn_command_run(EpcFunction *fn, uint32_t cmd)
    EP_REQUIRES(&ep_bql);
static uint32_t fn_command_run(EpcFunction *fn, uint32_t cmd)
{
    switch (cmd) {
    case EPC_CMD_SET_HEADER:
        return fn_command_set_header(fn);
    case EPC_CMD_SET_BAR:
        return epc_bar_set(fn);
    case EPC_CMD_CLEAR_BAR:
        return epc_bar_clear(fn);
    case EPC_CMD_MAP:
    case EPC_CMD_UNMAP:
        return fn_command_map(fn, cmd);
    case EPC_CMD_SET_MSI:
        return fn_command_set_msi(fn);
    case EPC_CMD_SET_MSIX:
        return fn_command_set_msix(fn);
    case EPC_CMD_SET_AREAS:
        return epc_bar_set_areas(fn);
    case EPC_CMD_ADD_CAP:
        return fn_command_add_cap(fn);
    case EPC_CMD_WRITE_CONFIG:
        return fn_command_write_config(fn);
    case EPC_CMD_REMOVE:
        return fn_command_remove(fn);
    case EPC_CMD_ADD_DOE:
        return fn_command_add_doe(fn);
    default:
        return EPC_STATUS_BAD_CMD;
    }
}

void epc_fn_command(EpcFunction *fn, uint32_t cmd)
{
    EpcState *s = fn->epc;
    uint32_t status;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (fn->status == EPC_STATUS_BUSY) {
            s->bad_access++;
            return;
        }
        fn->cmd = cmd;
    }
    trace_pci_epc_command(epc_name(s), fn->index, cmd);
    object_ref(OBJECT(s));
    status = fn_command_run(fn, cmd);
    epc_bh_unref(s);
    if (status == EPC_BAR_VOID) {
        return;
    }
    if (status != EPC_STATUS_BUSY) {
        trace_pci_epc_command_done(epc_name(s), fn->index, cmd, status);
        QEMU_LOCK_GUARD(&s->lock);
        fn->status = status;
    }
}
