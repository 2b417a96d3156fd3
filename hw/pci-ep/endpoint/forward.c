/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses by the host of one controller to the window of another controller
 *
 * Each function that makes such accesses has a lane in the queue of the window,
 * and the lanes take turns. A turn is one message at most. The thread that adds
 * an access to an idle queue carries it out. If that takes a message, the
 * reader thread that brings the answer goes on with the queue.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/endpoint/forward-int.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/server/server.h"
#include "hw/pci-ep/trace.h"

/*
 * Bytes in a lane, with what is spent on each access. A host holds its BQL
 * while it waits for a write that is not posted, and the second host may need
 * that BQL to answer. So the limit is more than what can be under way in a
 * whole window of a BAR.
 */
#define FORWARD_FULL        (32u << 20)
#define FORWARD_OVERFULL    (2 * FORWARD_FULL)

/* A read is answered with all ones after this part of the deadline. */
#define FORWARD_LATE_PART   2
/* A tenth is kept for the way of that answer. */
#define FORWARD_PATIENCE(late_us)   ((late_us) - (late_us) / 10)

/* ---- What takes long ---- */

/*
 * Counts the time that a read or a fence waits for a message to the second
 * host. Only this time is held against that host: a read that waits behind many
 * writes is late by no fault of its own.
 */
static void forward_count_wait(EpcForward *f) EP_REQUIRES(&f->lock);
static void forward_count_wait(EpcForward *f)
{
    if (!f->waiting || !f->s ||
        (QTAILQ_EMPTY(&f->reads) && QTAILQ_EMPTY(&f->markers))) {
        return;
    }
    if (ep_patience_count(&f->patience, &f->asked, epc_forward_now_us())) {
        epc_server_drop(f->place.fn->server, "the host answers too slowly and "
                        "held up another host; " EP_PATIENCE_ADVICE);
    }
}

/*
 * A read that a thread carries out just now is not answered here, since that
 * thread writes to its data.
 */
static void forward_answer_late_reads(EpcForward *f, int64_t now)
    EP_REQUIRES(&f->lock);
static void forward_answer_late_reads(EpcForward *f, int64_t now)
{
    EpcForwarded *j, *next;

    QTAILQ_FOREACH_SAFE(j, &f->reads, next_read, next) {
        if (now - j->since < f->late_us) {
            return;
        }
        if (j != f->current || f->waiting) {
            trace_pci_epc_forward_late(f->name, j->offset, j->len);
            epc_forward_answer_read(f, j);
        }
    }
}

/*
 * Carries out what is in the queue, until it is empty or a message is under
 * way, and calls back whoever waits for what is over. Does nothing while
 * another thread is at it, or the caller's caller.
 */
static void forward_go_on(EpcForward *f) EP_REQUIRES(&f->lock);

static void forward_timer(void *opaque)
{
    EpcForward *f = opaque;
    int64_t now = epc_forward_now_us();

    QEMU_LOCK_GUARD(&f->lock);
    forward_count_wait(f);
    forward_answer_late_reads(f, now);
    epc_forward_fence_expire(f, now);
    forward_go_on(f);
    epc_forward_set_timer(f);
}

/* ---- Carrying out ---- */

/* Answers a write that stays in the lane, unless the lane is full. */
static void forward_post(EpcForwardLane *lane, EpcForwarded *j)
{
    if (j->a->is_write && lane->bytes <= FORWARD_FULL) {
        epc_access_answer(j->a);
    }
}

/*
 * The answer of the second host. Called in its reader thread, or by
 * forward_ask_host() before that returns.
 */
static void forward_answered(void *opaque, int err, const void *data,
                             uint32_t count)
{
    EpcForward *f = opaque;

    WITH_QEMU_LOCK_GUARD(&f->lock) {
        EpcForwarded *j = f->current;

        trace_pci_epc_forward_message(f->name, f->place.fn->index,
                                      j->a->is_write, f->place.addr, count,
                                      err);
        if (data && j->a->token) {
            memcpy(j->a->data + j->done, data, count);
        }
        j->done += count;
        forward_count_wait(f);
        f->waiting = false;
        f->current = NULL;
        forward_go_on(f);
    }
    epc_forward_unref(f);
}

/*
 * Sends a message about EpcForward.place. The lock is released meanwhile; @j
 * stays in its lane, since nobody goes on with it before the answer comes. The
 * first access of another lane may have been added while the queue was idle.
 */
static void forward_ask_host(EpcForward *f, EpcForwarded *j)
    EP_REQUIRES(&f->lock);
static void forward_ask_host(EpcForward *f, EpcForwarded *j)
{
    EpcHostPlace p = f->place;
    EpcForwardLane *lane;

    f->waiting = true;
    f->asked = epc_forward_now_us();
    QTAILQ_FOREACH(lane, &f->lanes, next) {
        forward_post(lane, QTAILQ_FIRST(&lane->queue));
    }
    qemu_mutex_unlock(&f->lock);
    epc_server_dma_async(p.fn->server, j->a->is_write, p.addr,
                         j->a->data + j->done, p.len, forward_answered,
                         epc_forward_ref(f));
    qemu_mutex_lock(&f->lock);
}

/*
 * Carries out the next bytes of @j, as many as are at one place of the host.
 * The lock is released meanwhile, since EpcState.lock comes before it. @j and
 * the controller stay: EpcForward.current and EpcForward.running keep them.
 */
static void forward_step(EpcForward *f, EpcForwarded *j) EP_REQUIRES(&f->lock);
static void forward_step(EpcForward *f, EpcForwarded *j)
{
    EpcState *s = f->s;
    EpcHostPlace p = { };
    int ret;

    f->current = j;
    qemu_mutex_unlock(&f->lock);
    ret = epc_window_access(s, j->offset + j->done, j->a->data + j->done,
                            j->len - j->done, j->a->is_write, &p);
    qemu_mutex_lock(&f->lock);
    f->place = p;
    if (ret == -ENOTSUP && !j->dropped && f->s) {
        forward_ask_host(f, j);
    } else {
        j->done += p.len;
        f->current = NULL;
    }
}

/* Is there nothing more to do for @j? */
static bool forward_is_over(EpcForward *f, const EpcForwarded *j)
    EP_REQUIRES(&f->lock);
static bool forward_is_over(EpcForward *f, const EpcForwarded *j)
{
    return !f->s || j->dropped || j->done >= j->len;
}

/* One turn of the first lane. Returns false when nothing can be done now. */
static bool forward_take_turn(EpcForward *f) EP_REQUIRES(&f->lock);
static bool forward_take_turn(EpcForward *f)
{
    EpcForwardLane *lane = QTAILQ_FIRST(&f->lanes);
    EpcForwarded *j;

    if (!lane || f->waiting) {
        return false;
    }
    j = QTAILQ_FIRST(&lane->queue);
    if (forward_is_over(f, j)) {
        epc_forward_free_access(f, lane, j);
        epc_forward_free_empty_lane(f, lane);
    } else {
        QTAILQ_REMOVE(&f->lanes, lane, next);
        QTAILQ_INSERT_TAIL(&f->lanes, lane, next);
        forward_step(f, j);
    }
    return true;
}

static void forward_go_on(EpcForward *f)
{
    if (f->running) {
        return;
    }
    f->running = true;
    while (epc_forward_fence_end_one(f) || epc_forward_raise_deliver(f) ||
           forward_take_turn(f)) {
        f->turns++;
        qemu_cond_broadcast(&f->idle);
    }
    f->running = false;
    qemu_cond_broadcast(&f->idle);
}

void epc_forward_add(EpcForward *f, const EpcFunction *source, uint64_t offset,
                     uint32_t len, EpcAccess *a)
{
    EpcForwardLane *lane;
    EpcForwarded *j;
    bool first;

    QEMU_LOCK_GUARD(&f->lock);
    lane = epc_forward_find_lane(f, source);
    first = !lane && !f->running && !f->waiting;
    if (!f->s ||
        (lane && lane->bytes + epc_forward_weight(a) > FORWARD_OVERFULL)) {
        trace_pci_epc_forward_dropped(f->name, offset, len, a->is_write);
        epc_access_free(a);
        return;
    }
    lane = lane ?: epc_forward_add_lane(f, source);
    j = g_new0(EpcForwarded, 1);
    j->a = a;
    j->seq = f->next_seq++;
    j->offset = offset;
    j->len = len;
    j->since = epc_forward_now_us();
    QTAILQ_INSERT_TAIL(&lane->queue, j, next);
    if (!a->is_write) {
        QTAILQ_INSERT_TAIL(&f->reads, j, next_read);
    }
    lane->bytes += epc_forward_weight(a);
    trace_pci_epc_forward_access(f->name, offset, len, a->is_write,
                                 lane->bytes);
    if (!first) {
        forward_post(lane, j);
    }
}

void epc_forward_run(EpcForward *f)
{
    QEMU_LOCK_GUARD(&f->lock);
    forward_go_on(f);
    epc_forward_set_timer(f);
}

bool epc_forward_busy(EpcForward *f)
{
    QEMU_LOCK_GUARD(&f->lock);
    return !QTAILQ_EMPTY(&f->lanes);
}

/* ---- Life cycle ---- */

EpcForward *epc_forward_new(EpcState *s, const EpcForwardOps *ops)
{
    EpcForward *f = g_new0(EpcForward, 1);
    int64_t late_us = s->deadline_ms * INT64_C(1000) / FORWARD_LATE_PART;

    f->refs = 1;
    f->ops = ops;
    f->name = g_strdup(epc_name(s));
    f->nfn = s->functions + s->vfs;
    f->late_us = late_us;
    qemu_mutex_init(&f->lock);
    qemu_cond_init(&f->idle);

    WITH_QEMU_LOCK_GUARD(&f->lock) {
        f->s = s;
        ep_patience_init(&f->patience, FORWARD_PATIENCE(late_us),
                         EP_PATIENCE_STRICT(late_us));
        QTAILQ_INIT(&f->lanes);
        QTAILQ_INIT(&f->reads);
        QTAILQ_INIT(&f->markers);
        epc_forward_raise_init(f);
        f->timer = timer_new_us(QEMU_CLOCK_REALTIME, forward_timer, f);
    }
    epc_forward_register(f);
    return f;
}

void epc_forward_drop_from(const EpcFunction *source)
{
    GPtrArray *all = epc_forward_queues();

    for (unsigned i = 0; i < all->len; i++) {
        EpcForward *f = all->pdata[i];

        QEMU_LOCK_GUARD(&f->lock);
        epc_forward_drop(f, source, f->next_seq);
        forward_go_on(f);
    }
    g_ptr_array_free(all, true);
}

void epc_forward_reset(EpcForward *f)
{
    QEMU_LOCK_GUARD(&f->lock);
    epc_forward_raise_clear(f);
    epc_forward_drop(f, NULL, f->next_seq);
    forward_go_on(f);
}

void epc_forward_stop(EpcForward *f)
{
    if (!f) {
        return;
    }
    QEMU_LOCK_GUARD(&f->lock);
    if (f->s) {
        f->s = NULL;
        timer_free(f->timer);
        f->timer = NULL;
        epc_forward_unregister(f);
    }
    forward_go_on(f);
    while (f->running) {
        qemu_cond_wait(&f->idle, &f->lock);
    }
}
