/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * forward-lane: the queue of a window, and what each function has in it
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/endpoint/forward-int.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/server/server.h"
#include "hw/pci-ep/trace.h"

size_t epc_forward_weight(const EpcAccess *a)
{
    return sizeof(EpcForwarded) + sizeof(*a) + a->count;
}

int64_t epc_forward_now_us(void)
{
    return qemu_clock_get_us(QEMU_CLOCK_REALTIME);
}

/* ---- Queues ---- */

EpcForward *epc_forward_ref(EpcForward *f)
{
    qatomic_inc(&f->refs);
    return f;
}

/* The analysis is off, since nobody else has the queue any more. */
static void EP_NO_TSA forward_lane_free_raises(EpcForward *f)
{
    for (unsigned i = 0; i < ARRAY_SIZE(f->raises); i++) {
        g_free(f->raises[i].map);
    }
}

void epc_forward_unref(EpcForward *f)
{
    if (f && qatomic_fetch_dec(&f->refs) == 1) {
        forward_lane_free_raises(f);
        qemu_cond_destroy(&f->idle);
        qemu_mutex_destroy(&f->lock);
        g_free(f->name);
        g_free(f);
    }
}

/* The queues of all controllers of this process */
static struct {
    QemuMutex lock;
    QLIST_HEAD(, EpcForward) list EP_GUARDED_BY(&lock);
} forwards;

static void __attribute__((constructor)) forward_lane_init_list(void)
{
    qemu_mutex_init(&forwards.lock);
}

void epc_forward_register(EpcForward *f)
{
    QEMU_LOCK_GUARD(&forwards.lock);
    QLIST_INSERT_HEAD(&forwards.list, f, next);
}

void epc_forward_unregister(EpcForward *f)
{
    QEMU_LOCK_GUARD(&forwards.lock);
    QLIST_REMOVE(f, next);
}

GPtrArray *epc_forward_queues(void)
{
    GPtrArray *all =
        g_ptr_array_new_with_free_func((GDestroyNotify)epc_forward_unref);
    EpcForward *f;

    QEMU_LOCK_GUARD(&forwards.lock);
    QLIST_FOREACH(f, &forwards.list, next) {
        g_ptr_array_add(all, epc_forward_ref(f));
    }
    return all;
}

void epc_forward_answer_read(EpcForward *f, EpcForwarded *j)
{
    QTAILQ_REMOVE(&f->reads, j, next_read);
    epc_access_answer(j->a);
}

/* ---- Lanes ---- */

EpcForwardLane *epc_forward_find_lane(EpcForward *f,
                                      const EpcFunction *source)
{
    EpcForwardLane *lane;

    QTAILQ_FOREACH(lane, &f->lanes, next) {
        if (lane->source == source) {
            return lane;
        }
    }
    return NULL;
}

EpcForwardLane *epc_forward_add_lane(EpcForward *f,
                                     const EpcFunction *source)
{
    EpcForwardLane *lane = g_new0(EpcForwardLane, 1);

    lane->source = source;
    QTAILQ_INIT(&lane->queue);
    QTAILQ_INSERT_TAIL(&f->lanes, lane, next);
    return lane;
}

void epc_forward_free_access(EpcForward *f, EpcForwardLane *lane,
                             EpcForwarded *j)
{
    QTAILQ_REMOVE(&lane->queue, j, next);
    lane->bytes -= epc_forward_weight(j->a);
    if (!j->a->is_write && j->a->token) {
        epc_forward_answer_read(f, j);
    }
    epc_access_free(j->a);
    g_free(j);
}

void epc_forward_free_empty_lane(EpcForward *f, EpcForwardLane *lane)
{
    if (QTAILQ_EMPTY(&lane->queue)) {
        QTAILQ_REMOVE(&f->lanes, lane, next);
        g_free(lane);
    }
}

/* What is under way cannot be removed, but nothing more of it is done. */
static void forward_lane_drop(EpcForward *f, EpcForwardLane *lane,
                              uint64_t seq) EP_REQUIRES(&f->lock);
static void forward_lane_drop(EpcForward *f, EpcForwardLane *lane,
                              uint64_t seq)
{
    EpcForwarded *j, *next;

    QTAILQ_FOREACH_SAFE(j, &lane->queue, next, next) {
        if (j->seq >= seq) {
            break;
        }
        trace_pci_epc_forward_dropped(f->name, j->offset, j->len,
                                      j->a->is_write);
        if (j == f->current) {
            j->dropped = true;
        } else {
            epc_forward_free_access(f, lane, j);
        }
    }
    epc_forward_free_empty_lane(f, lane);
}

void epc_forward_drop(EpcForward *f, const EpcFunction *source, uint64_t seq)
{
    EpcForwardLane *lane, *next;

    QTAILQ_FOREACH_SAFE(lane, &f->lanes, next, next) {
        if (!source || lane->source == source) {
            forward_lane_drop(f, lane, seq);
        }
    }
}

bool epc_forward_passed(EpcForward *f, const EpcFunction *source, uint64_t seq)
{
    EpcForwardLane *lane;

    QTAILQ_FOREACH(lane, &f->lanes, next) {
        if ((!source || lane->source == source) &&
            QTAILQ_FIRST(&lane->queue)->seq < seq) {
            return false;
        }
    }
    return true;
}

void epc_forward_orphan_lane(EpcForward *f, const EpcFunction *source)
{
    EpcForwardLane *lane;

    QTAILQ_FOREACH(lane, &f->lanes, next) {
        if (lane->source == source) {
            lane->source = NULL;
        }
    }
}
