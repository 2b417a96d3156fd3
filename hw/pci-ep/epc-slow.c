/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-slow: parts of the window that trap
 *
 * An access asks the maps of the window, not the part that it came through.  So
 * it does the right thing also while the guest sees parts of a moment ago.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "hw/pci-ep/ep-vcpus.h"
#include "hw/pci-ep/pci-epc.h"
#include "trace.h"

/* ---- Accesses ---- */

/* Answers of the host that take longer are counted, as a part of the deadline */
#define SLOW_PART 10

/* A host that answers just in time again and again holds up the guest. */
static void waited(EpcFunction *fn, int64_t since)
{
    EpcState *s = fn->epc;
    EpcSlow *slow = &s->slow;
    int64_t deadline = s->deadline_ms * INT64_C(1000);
    int64_t now = g_get_monotonic_time();

    if (now - since < deadline / SLOW_PART) {
        return;
    }
    slow->debt = MAX(0, slow->debt - (now - slow->debt_at) / SLOW_PART) +
                 (now - since);
    slow->debt_at = now;
    if (slow->debt > deadline) {
        slow->debt = 0;
        epc_server_drop(fn->server, "the host answers too slowly and held up "
                        "this guest; look at the load of the machine, or "
                        "raise 'deadline-ms'");
    }
}

static void access_memory(uint8_t *at, uint8_t *buf, uint32_t len, bool write)
{
    uint8_t *to = write ? at : buf, *from = write ? buf : at;

    if (is_power_of_2(len) && len <= 8) {
        stn_he_p(to, len, ldn_he_p(from, len));
    } else {
        memcpy(to, from, len);
    }
}

int epc_slow_direct(EpcState *s, uint64_t offset, uint8_t *buf, uint32_t len,
                    bool write, EpcHostPlace *p)
{
    EpcDmaPointer remote;
    uint64_t left;
    unsigned fn;
    int ret;

    p->len = len;
    QEMU_LOCK_GUARD(&s->lock);
    if (!epc_window_lookup(&s->window, offset, &fn, &p->addr, &left)) {
        return -EFAULT;
    }
    p->fn = &s->fn[fn];
    p->len = MIN(len, left);
    if (!epc_fn_may_dma(p->fn)) {
        return -EFAULT;
    }
    ret = epc_dma_table_point(p->fn->dma, p->addr, p->len, write, &remote);
    if (!ret) {
        p->len = remote.size;
        access_memory(remote.ptr, buf, p->len, write);
        epc_dma_view_unref(remote.view);
    } else if (ret == -EFAULT) {
        epc_server_fault(p->fn->server, p->addr, write);
    }
    return ret;
}

static void access_by_message(const EpcHostPlace *p, uint8_t *buf, bool write)
{
    int64_t since = g_get_monotonic_time();
    int ret;

    ret = write ? epc_server_dma_write(p->fn->server, p->addr, buf, p->len) :
                  epc_server_dma_read(p->fn->server, p->addr, buf, p->len);
    trace_epc_slow_message(p->fn->index, write, p->addr, p->len, ret);
    waited(p->fn, since);
}

static void access_window(EpcState *s, uint64_t offset, uint8_t *buf,
                          uint32_t len, bool write)
{
    EpcHostPlace p;

    /* s->fn: see epc_regs_read() */
    for (; len && s->fn; offset += p.len, buf += p.len, len -= p.len) {
        if (epc_slow_direct(s, offset, buf, len, write, &p) == -ENOTSUP) {
            access_by_message(&p, buf, write);
        }
    }
}

static uint64_t slow_read(void *opaque, hwaddr addr, unsigned size)
{
    uint8_t buf[8];

    memset(buf, 0xff, sizeof(buf));
    access_window(opaque, addr, buf, size, false);
    return ldn_le_p(buf, size);
}

static void slow_write(void *opaque, hwaddr addr, uint64_t value,
                       unsigned size)
{
    uint8_t buf[8];

    stn_le_p(buf, size, value);
    access_window(opaque, addr, buf, size, true);
}

static const MemoryRegionOps slow_ops = {
    .read = slow_read,
    .write = slow_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
    .impl = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
};

/* ---- What the guest sees ---- */

typedef struct Wanted {
    EpcWindowPart part[EPC_MAX_SLOW_MAPS];
    bool seen[EPC_MAX_SLOW_MAPS];
    unsigned count;
} Wanted;

static void get_wanted(EpcState *s, Wanted *w)
{
    QEMU_LOCK_GUARD(&s->lock);
    memset(w->seen, 0, sizeof(w->seen));
    w->count = epc_window_slow(&s->window, w->part);
}

static bool is_wanted(Wanted *w, const MemoryRegion *mr)
{
    for (unsigned i = 0; i < w->count; i++) {
        if (!w->seen[i] && w->part[i].offset == mr->addr &&
            w->part[i].size == memory_region_size((MemoryRegion *)mr)) {
            w->seen[i] = true;
            return true;
        }
    }
    return false;
}

/* Marks what is wanted and seen already.  Is that all there is? */
static bool compare(EpcState *s, Wanted *w)
{
    unsigned kept = 0;
    bool others = false;

    for (unsigned i = 0; i < EPC_MAX_SLOW_MAPS; i++) {
        MemoryRegion *mr = &s->slow.part[i];

        if (mr->enabled) {
            bool keep = is_wanted(w, mr);

            kept += keep;
            others |= !keep;
        }
    }
    return !others && kept == w->count;
}

static void show_part(EpcState *s, const EpcWindowPart *p)
{
    for (unsigned i = 0; i < EPC_MAX_SLOW_MAPS; i++) {
        MemoryRegion *mr = &s->slow.part[i];

        if (!mr->enabled) {
            memory_region_set_size(mr, p->size);
            memory_region_set_alias_offset(mr, p->offset);
            memory_region_set_address(mr, p->offset);
            memory_region_set_enabled(mr, true);
            return;
        }
    }
}

static void show(EpcState *s, Wanted *w)
{
    memory_region_transaction_begin();
    memset(w->seen, 0, sizeof(w->seen));
    for (unsigned i = 0; i < EPC_MAX_SLOW_MAPS; i++) {
        MemoryRegion *mr = &s->slow.part[i];

        if (mr->enabled && !is_wanted(w, mr)) {
            memory_region_set_enabled(mr, false);
        }
    }
    for (unsigned i = 0; i < w->count; i++) {
        if (!w->seen[i]) {
            show_part(s, &w->part[i]);
        }
    }
    memory_region_transaction_commit();
    trace_epc_slow_show(w->count);
}

static void end_maps(EpcState *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    for (unsigned i = 0; i < s->nfn; i++) {
        EpcFunction *fn = &s->fn[i];

        if (fn->map_waits) {
            fn->map_waits = false;
            fn->status = EPC_STATUS_OK;
            epc_notify(s, EPC_VECTOR_COMMAND);
        }
    }
}

static void slow_bh(void *opaque)
{
    EpcState *s = opaque;
    Wanted w;

    object_ref(OBJECT(s));
    get_wanted(s, &w);
    if (!compare(s, &w)) {
        ep_pause_vcpus(DEVICE(s));
        if (s->fn) {
            get_wanted(s, &w);
            show(s, &w);
        }
        ep_resume_vcpus();
    }
    if (s->fn) {
        end_maps(s);
    }
    epc_bh_unref(s);
}

void epc_slow_changed(EpcState *s)
{
    if (s->window.slow_changed) {
        s->window.slow_changed = false;
        qemu_bh_schedule(s->slow.bh);
    }
}

void epc_slow_init(EpcState *s)
{
    EpcSlow *slow = &s->slow;

    memory_region_init_io(&slow->io, OBJECT(s), &slow_ops, s,
                          "pci-epc-window-messages", s->window_size);
    for (unsigned i = 0; i < EPC_MAX_SLOW_MAPS; i++) {
        memory_region_init_alias(&slow->part[i], OBJECT(s),
                                 "pci-epc-window-part", &slow->io, 0, 1);
        memory_region_set_enabled(&slow->part[i], false);
        memory_region_add_subregion_overlap(&s->window_bar, 0, &slow->part[i],
                                            1);
    }
    /* This context runs in the main loop only, never in a nested one */
    slow->bh = aio_bh_new_guarded(iohandler_get_aio_context(), slow_bh, s,
                                  &DEVICE(s)->mem_reentrancy_guard);
}

void epc_slow_exit(EpcState *s)
{
    if (s->slow.bh) {
        qemu_bh_delete(s->slow.bh);
        s->slow.bh = NULL;
    }
}
