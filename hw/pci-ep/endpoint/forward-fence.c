/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * forward-fence: waits until accesses to windows are over
 *
 * A write of a host is answered when it is in the queue. So a command of the
 * endpoint that takes something from that host, or from the window, must wait
 * for what is in the queue already. A fence does that: it sets a marker in each
 * queue that has such accesses, and calls back when all markers have been
 * passed.
 *
 * A fence waits for one deadline of the controller that has the window. After
 * the first half of it the accesses that the fence still waits for are dropped.
 * Then only a message that is under way is left. After the second half the
 * session with the host that does not answer it is ended.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/endpoint/forward-int.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/server/server.h"
#include "hw/pci-ep/trace.h"

/* The parts of the deadline after which epc_forward_fence_expire() acts */
#define FENCE_PARTS 2

/* ---- Deadlines ---- */

static int64_t forward_fence_due(const EpcForward *f,
                                 const EpcForwardMarker *m)
{
    return m->since + (m->expired + 1) * f->late_us;
}

/* When epc_forward_fence_expire() has to be called next; INT64_MAX: never */
static int64_t forward_fence_next(EpcForward *f) EP_REQUIRES(&f->lock);
static int64_t forward_fence_next(EpcForward *f)
{
    int64_t next = INT64_MAX;
    EpcForwardMarker *m;

    QTAILQ_FOREACH(m, &f->markers, next) {
        if (m->expired < FENCE_PARTS) {
            next = MIN(next, forward_fence_due(f, m));
        }
    }
    return next;
}

void epc_forward_set_timer(EpcForward *f)
{
    EpcForwarded *j = QTAILQ_FIRST(&f->reads);
    int64_t next = forward_fence_next(f);

    if (j) {
        next = MIN(next, j->since + f->late_us);
    }
    if (f->s && next != INT64_MAX) {
        timer_mod(f->timer, next);
    }
}

void epc_forward_fence_expire(EpcForward *f, int64_t now)
{
    EpcForwardMarker *m;

    QTAILQ_FOREACH(m, &f->markers, next) {
        while (m->expired < FENCE_PARTS && now >= forward_fence_due(f, m)) {
            m->expired++;
            trace_pci_epc_forward_fence_late(f->name, m->seq, m->expired);
        }
        if (m->expired) {
            epc_forward_drop(f, m->source, m->seq);
        }
        if (m->expired == FENCE_PARTS && f->waiting && f->s &&
            !epc_forward_passed(f, m->source, m->seq)) {
            epc_server_drop(f->place.fn->server, "the host did not answer and "
                            "held up a command; " EP_PATIENCE_ADVICE);
        }
    }
}

/* ---- Setting and passing markers ---- */

static EpcForwardFence *forward_fence_new(const EpcFunction *owner,
                                          EpcForwardDone *done, void *opaque)
{
    EpcForwardFence *fence = g_new0(EpcForwardFence, 1);

    fence->pending = 1;
    fence->owner = owner;
    fence->done = done;
    fence->opaque = opaque;
    return fence;
}

/* One marker was passed, or all of them are set. The last calls done(). */
static void forward_fence_unref(EpcForwardFence *fence)
{
    if (qatomic_fetch_dec(&fence->pending) == 1) {
        fence->done(fence->opaque);
        g_free(fence);
    }
}

/* Sets a marker, unless no access of @source is in the queue. */
static void forward_fence_mark(EpcForward *f, const EpcFunction *source,
                               EpcForwardFence *fence)
{
    EpcForwardMarker *m;

    QEMU_LOCK_GUARD(&f->lock);
    if (epc_forward_passed(f, source, f->next_seq)) {
        return;
    }
    m = g_new0(EpcForwardMarker, 1);
    m->fence = fence;
    m->source = source;
    m->seq = f->next_seq;
    m->since = epc_forward_now_us();
    qatomic_inc(&fence->pending);
    QTAILQ_INSERT_TAIL(&f->markers, m, next);
    epc_forward_set_timer(f);
    trace_pci_epc_forward_fence(f->name, m->seq);
}

void epc_forward_fence_from(EpcFunction *source, EpcForwardDone *done,
                            void *opaque)
{
    EpcForwardFence *fence = forward_fence_new(source, done, opaque);
    GPtrArray *all = epc_forward_queues();

    for (unsigned i = 0; i < all->len; i++) {
        forward_fence_mark(all->pdata[i], source, fence);
    }
    g_ptr_array_free(all, true);
    forward_fence_unref(fence);
}

void epc_forward_fence_to(EpcFunction *owner, EpcForwardDone *done,
                          void *opaque)
{
    EpcForwardFence *fence = forward_fence_new(owner, done, opaque);

    forward_fence_mark(owner->epc->forward, NULL, fence);
    forward_fence_unref(fence);
}

bool epc_forward_fence_end_one(EpcForward *f)
{
    EpcForwardMarker *m;

    QTAILQ_FOREACH(m, &f->markers, next) {
        if (epc_forward_passed(f, m->source, m->seq)) {
            QTAILQ_REMOVE(&f->markers, m, next);
            qemu_mutex_unlock(&f->lock);
            forward_fence_unref(m->fence);
            g_free(m);
            qemu_mutex_lock(&f->lock);
            return true;
        }
    }
    return false;
}

/* ---- Ends ---- */

static void forward_fence_forget(EpcForward *f, const EpcFunction *owner)
{
    EpcForwardMarker *m, *next;
    GPtrArray *over = g_ptr_array_new();
    uint64_t turn;

    WITH_QEMU_LOCK_GUARD(&f->lock) {
        epc_forward_drop(f, owner, f->next_seq);
        epc_forward_orphan_lane(f, owner);
        QTAILQ_FOREACH_SAFE(m, &f->markers, next, next) {
            if (m->fence->owner == owner) {
                QTAILQ_REMOVE(&f->markers, m, next);
                g_ptr_array_add(over, m->fence);
                g_free(m);
            }
        }
        /*
         * A callback may be under way in another thread. Other hosts may keep
         * that thread busy for as long as they like, so this is not for its end.
         */
        turn = f->turns;
        while (f->running && f->turns == turn) {
            qemu_cond_wait(&f->idle, &f->lock);
        }
    }
    g_ptr_array_foreach(over, (GFunc)forward_fence_unref, NULL);
    g_ptr_array_free(over, true);
}

void epc_forward_forget(const EpcFunction *fn)
{
    GPtrArray *all = epc_forward_queues();

    for (unsigned i = 0; i < all->len; i++) {
        forward_fence_forget(all->pdata[i], fn);
    }
    g_ptr_array_free(all, true);
}
