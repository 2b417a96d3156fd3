/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Maps of the window that are trapped
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "hw/core/cpu.h"
#include "system/qtest.h"
#include "hw/pci-ep/endpoint/faults.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/window-access.h"
#include "hw/pci-ep/endpoint/window-fault.h"
#include "hw/pci-ep/endpoint/window-trap.h"
#include "hw/pci-ep/endpoint/window.h"
#include "hw/pci-ep/server/server.h"
#include "hw/pci-ep/shared/region.h"
#include "hw/pci-ep/shared/vcpus.h"
#include "hw/pci-ep/trace.h"

/*
 * What is accessed while no vCPU waits: the DMA of another device of this
 * guest, in the main loop or in a thread of that device. It holds the BQL for a
 * whole transfer, of 8 bytes in each message, so all waits together may take
 * TRAP_DEVICE_WAIT_US. Then such accesses are refused until as much time has
 * passed without them.
 */
#define TRAP_DEVICE_WAIT_US (100 * 1000)

/*
 * The thread that has the BQL has waited for the host since @since: for an
 * answer, or for memory that the host was taking out of its file.
 */
static void window_trap_count_wait(EpcFunction *fn, int64_t since)
    EP_REQUIRES(&ep_bql);
static void window_trap_count_wait(EpcFunction *fn, int64_t since)
{
    if (ep_patience_count(&fn->epc->window_trap.patience, &since,
                          g_get_monotonic_time())) {
        epc_server_drop(fn->server, "the host answers too slowly and held up "
                        "this guest; " EP_PATIENCE_ADVICE);
    }
}

/* ---- Accesses of devices ---- */

/* A message whose answer may come when nobody waits for it any more */
typedef struct TrapCall {
    unsigned refs;          /* atomic */
    QemuSemaphore answered;
    int err;
    uint32_t count;         /* bytes that were accessed */
    uint8_t data[8];
} TrapCall;

static void window_trap_call_unref(TrapCall *call)
{
    if (qatomic_fetch_dec(&call->refs) == 1) {
        qemu_sem_destroy(&call->answered);
        g_free(call);
    }
}

/* EpcDmaDone: any thread */
static void window_trap_answered(void *opaque, int err, const void *data,
                                 uint32_t count)
{
    TrapCall *call = opaque;

    call->err = err;
    call->count = MIN(count, sizeof(call->data));
    if (data) {
        memcpy(call->data, data, call->count);
    }
    qemu_sem_post(&call->answered);
    window_trap_call_unref(call);
}

/*
 * Sends one message about the beginning of @p and waits for at most @ms.
 * Returns 0, with the number of bytes in *@count, or a negative errno.
 */
static int window_trap_call(const EpcHostPlace *p, uint8_t *buf, bool write,
                            int ms, uint32_t *count)
{
    TrapCall *call = g_new0(TrapCall, 1);
    int err = -ETIMEDOUT;

    call->refs = 2;
    qemu_sem_init(&call->answered, 0);
    epc_server_dma_async(p->fn->server, write, p->addr, buf, p->len,
                         window_trap_answered, call);
    if (!qemu_sem_timedwait(&call->answered, ms)) {
        err = call->err;
        *count = call->count;
        if (!err && !write) {
            memcpy(buf, call->data, call->count);
        }
    }
    window_trap_call_unref(call);
    return err;
}

/* How long a device may wait now, in ms */
static int window_trap_budget(EpcWindowTrap *trap) EP_REQUIRES(&ep_bql);
static int window_trap_budget(EpcWindowTrap *trap)
{
    int64_t now = g_get_monotonic_time();

    trap->waited = MAX(0, trap->waited - (now - trap->last_wait));
    trap->last_wait = now;
    return (TRAP_DEVICE_WAIT_US - trap->waited) / 1000;
}

/* Returns 0 or a negative errno: -EBUSY when the device has waited too long. */
static int window_trap_device(EpcHostPlace p, uint8_t *buf, bool write)
    EP_REQUIRES(&ep_bql);
static int window_trap_device(EpcHostPlace p, uint8_t *buf, bool write)
{
    EpcWindowTrap *trap = &p.fn->epc->window_trap;
    uint32_t count = 0;
    int err = 0;

    for (; p.len && !err; p.addr += count, buf += count, p.len -= count) {
        int ms = window_trap_budget(trap);

        if (ms <= 0) {
            return -EBUSY;
        }
        err = window_trap_call(&p, buf, write, ms, &count);
        trap->waited += g_get_monotonic_time() - trap->last_wait;
        trap->last_wait = g_get_monotonic_time();
    }
    return err;
}

/* ---- Accesses ---- */

/* The qtest accelerator has no vCPUs: its accesses stand for theirs. */
static bool window_trap_by_cpu(EpcState *s)
{
    return current_cpu || (qtest_enabled() && !s->qtest_device);
}

/*
 * Returns an error only to devices. What a CPU reads is all ones then, as when
 * a completion timed out.
 */
static MemTxResult window_trap_message(EpcState *s, const EpcHostPlace *p,
                                       uint8_t *buf, bool write)
    EP_REQUIRES(&ep_bql);
static MemTxResult window_trap_message(EpcState *s, const EpcHostPlace *p,
                                       uint8_t *buf, bool write)
{
    int64_t since = g_get_monotonic_time();
    bool cpu = window_trap_by_cpu(s);
    int ret;

    if (!cpu) {
        ret = window_trap_device(*p, buf, write);
    } else if (write) {
        ret = epc_server_dma_write(p->fn->server, p->addr, buf, p->len);
    } else {
        ret = epc_server_dma_read(p->fn->server, p->addr, buf, p->len);
    }
    trace_pci_epc_window_trap_message(epc_name(p->fn->epc), p->fn->index, write,
                                      p->addr, p->len, ret);
    window_trap_count_wait(p->fn, since);
    return ret && !cpu ? MEMTX_ERROR : MEMTX_OK;
}

/*
 * A vCPU that waited for the BQL may come when the device was unplugged. Then
 * EpcState.fn is NULL, and nothing is accessed.
 */
static MemTxResult window_trap_access(EpcState *s, uint64_t offset,
                                      uint8_t *buf, uint32_t len, bool write)
    EP_REQUIRES(&ep_bql);
static MemTxResult window_trap_access(EpcState *s, uint64_t offset,
                                      uint8_t *buf, uint32_t len, bool write)
{
    MemTxResult result = MEMTX_OK;
    EpcHostPlace p;

    for (; len && s->fn; offset += p.len, buf += p.len, len -= p.len) {
        int64_t since = g_get_monotonic_time();
        int ret = epc_window_access(s, offset, buf, len, write, &p);

        if (ret == -ENOTSUP) {
            result |= window_trap_message(s, &p, buf, write);
        } else if (!ret) {
            window_trap_count_wait(p.fn, since);
        }
    }
    return result;
}

static MemTxResult window_trap_read(void *opaque, hwaddr addr, uint64_t *value,
                                    unsigned size, MemTxAttrs attrs)
{
    MemTxResult result;
    uint8_t buf[8];

    EP_BQL_HELD();
    memset(buf, 0xff, sizeof(buf));
    result = epc_window_fault(opaque, addr, size, false, attrs) ? MEMTX_OK :
             window_trap_access(opaque, addr, buf, size, false);
    *value = ldn_le_p(buf, size);
    return result;
}

static MemTxResult window_trap_write(void *opaque, hwaddr addr, uint64_t value,
                                     unsigned size, MemTxAttrs attrs)
{
    uint8_t buf[8];

    EP_BQL_HELD();
    stn_le_p(buf, size, value);
    return epc_window_fault(opaque, addr, size, true, attrs) ? MEMTX_OK :
           window_trap_access(opaque, addr, buf, size, true);
}

static const MemoryRegionOps window_trap_ops = {
    .read_with_attrs = window_trap_read,
    .write_with_attrs = window_trap_write,
    EP_REGION_ANY_ACCESS,
};

/* ---- What the guest sees ---- */

typedef struct EpcTrappedSpans {
    EpcWindowSpan span[EPC_MAX_TRAPPED_MAPS];
    bool shown[EPC_MAX_TRAPPED_MAPS];       /* there is a region for the span */
    unsigned count;
} EpcTrappedSpans;

static void window_trap_get_spans(EpcState *s, EpcTrappedSpans *t)
{
    QEMU_LOCK_GUARD(&s->lock);
    memset(t->shown, 0, sizeof(t->shown));
    t->count = epc_window_trapped(&s->window, t->span);
}

/* Returns whether @mr shows one of the spans, and marks that span. */
static bool window_trap_shows_span(EpcTrappedSpans *t, MemoryRegion *mr)
{
    for (unsigned i = 0; i < t->count; i++) {
        if (!t->shown[i] && t->span[i].offset == mr->addr &&
            t->span[i].size == memory_region_size(mr)) {
            t->shown[i] = true;
            return true;
        }
    }
    return false;
}

/* An access that a fault holds must not be cut short by a change of the map. */
static bool window_trap_whole(EpcState *s) EP_REQUIRES(&ep_bql);
static bool window_trap_whole(EpcState *s)
{
    return epc_faults_armed(s, EPC_FAULTS_WINDOW) || s->window_trap.held;
}

/*
 * Returns whether the guest sees exactly these spans, and all of the window if
 * a fault is armed.
 */
static bool window_trap_up_to_date(EpcState *s, EpcTrappedSpans *t)
    EP_REQUIRES(&ep_bql);
static bool window_trap_up_to_date(EpcState *s, EpcTrappedSpans *t)
{
    unsigned kept = 0;
    bool others = false;

    for (unsigned i = 0; i < EPC_MAX_TRAPPED_MAPS; i++) {
        MemoryRegion *mr = &s->window_trap.shown[i];

        if (mr->enabled) {
            bool keep = window_trap_shows_span(t, mr);

            kept += keep;
            others |= !keep;
        }
    }
    return !others && kept == t->count &&
           s->window_trap.whole.enabled == window_trap_whole(s);
}

static void window_trap_show_span(EpcState *s, const EpcWindowSpan *span)
{
    for (unsigned i = 0; i < EPC_MAX_TRAPPED_MAPS; i++) {
        MemoryRegion *mr = &s->window_trap.shown[i];

        if (!mr->enabled) {
            memory_region_set_size(mr, span->size);
            memory_region_set_alias_offset(mr, span->offset);
            memory_region_set_address(mr, span->offset);
            memory_region_set_enabled(mr, true);
            return;
        }
    }
}

/* Regions that show one of the spans already are left alone. */
static void window_trap_show(EpcState *s, EpcTrappedSpans *t)
    EP_REQUIRES(&ep_bql);
static void window_trap_show(EpcState *s, EpcTrappedSpans *t)
{
    memory_region_transaction_begin();
    memory_region_set_enabled(&s->window_trap.whole, window_trap_whole(s));
    for (unsigned i = 0; i < EPC_MAX_TRAPPED_MAPS; i++) {
        MemoryRegion *mr = &s->window_trap.shown[i];

        if (mr->enabled && !window_trap_shows_span(t, mr)) {
            memory_region_set_enabled(mr, false);
        }
    }
    for (unsigned i = 0; i < t->count; i++) {
        if (!t->shown[i]) {
            window_trap_show_span(s, &t->span[i]);
        }
    }
    memory_region_transaction_commit();
    trace_pci_epc_window_trap_show(epc_name(s), t->count,
                                   s->window_trap.whole.enabled);
}

/*
 * Goes on with each MAP that waits. One that waited until the guest sees its
 * map is complete.
 */
static void window_trap_go_on(EpcState *s)
{
    for (unsigned i = 0; i < s->nfn; i++) {
        EpcFunction *fn = &s->fn[i];

        QEMU_LOCK_GUARD(&fn->epc->lock);
        if (fn->map_waits) {
            fn->status = epc_window_map_more(&s->window, i, fn->host_memory);
            fn->map_waits = fn->status == EPC_STATUS_BUSY;
            if (!fn->map_waits) {
                trace_pci_epc_command_done(epc_name(s), fn->index, fn->cmd,
                                           fn->status);
                epc_notify(fn->epc, EPC_VECTOR_COMMAND);
            }
            if (fn->status == EPC_STATUS_NOT_MAPPED) {
                epc_server_fault(fn->server, s->window.refused, false);
            }
        }
    }
}

/* While the vCPUs come to a halt the maps may change as well. */
void epc_window_trap_update(EpcState *s)
{
    EpcTrappedSpans t;

    window_trap_get_spans(s, &t);
    if (window_trap_up_to_date(s, &t)) {
        return;
    }
    ep_pause_vcpus(DEVICE(s));
    if (s->fn) {
        window_trap_get_spans(s, &t);
        window_trap_show(s, &t);
    }
    ep_resume_vcpus();
}

static void window_trap_bh(void *opaque)
{
    EpcState *s = opaque;

    EP_BQL_HELD();
    object_ref(OBJECT(s));
    epc_window_trap_update(s);
    if (s->fn) {
        window_trap_go_on(s);
    }
    epc_bh_unref(s);
}

/* EpcWindow.changed: any thread, with EpcState.lock held */
static void window_trap_changed(EpcWindow *w)
{
    qemu_bh_schedule(container_of(w, EpcState, window)->window_trap.bh);
}

/* ---- Life cycle ---- */

/*
 * The bottom half runs in the context of I/O handlers, since that one is
 * polled by the main loop only and never by a nested one.
 */
void epc_window_trap_init(EpcState *s)
{
    EpcWindowTrap *trap = &s->window_trap;
    int64_t limit = s->deadline_ms * INT64_C(1000);

    ep_patience_init(&trap->patience, limit, EP_PATIENCE_TOLERATED(limit));
    memory_region_init_io(&trap->io, OBJECT(s), &window_trap_ops, s,
                          "pci-epc-window-trap", s->window_size);
    for (unsigned i = 0; i < EPC_MAX_TRAPPED_MAPS; i++) {
        MemoryRegion *mr = &trap->shown[i];

        memory_region_init_alias(mr, OBJECT(s), "pci-epc-window-trapped",
                                 &trap->io, 0, 1);
        memory_region_set_enabled(mr, false);
        memory_region_add_subregion_overlap(&s->window_bar, 0, mr, 1);
    }
    memory_region_init_alias(&trap->whole, OBJECT(s),
                             "pci-epc-window-faulty", &trap->io, 0,
                             s->window_size);
    memory_region_set_enabled(&trap->whole, false);
    memory_region_add_subregion_overlap(&s->window_bar, 0, &trap->whole, 2);
    trap->bh = aio_bh_new_guarded(iohandler_get_aio_context(), window_trap_bh,
                                  s, &DEVICE(s)->mem_reentrancy_guard);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->window.changed = window_trap_changed;
    }
}

void epc_window_trap_exit(EpcState *s)
{
    if (s->window_trap.bh) {
        qemu_bh_delete(s->window_trap.bh);
        s->window_trap.bh = NULL;
    }
}
