/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-forward: accesses of one controller's host to the window of another one
 *
 * Who adds an access to an idle queue carries it out, who brings an answer of the
 * other host goes on.  The lock of the queue comes before that of the device
 * whose window it is; that device's host is called with neither.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/queue.h"
#include "qemu/timer.h"
#include "hw/pci-ep/pci-epc.h"
#include "trace.h"

/*
 * Bytes in the queue, with what is spent on each access.  A host waits with its
 * BQL for a write that is not posted, and the other host may need that BQL to
 * get on; so this is more than what is under way in a whole memory window.
 */
#define FULL        (32u << 20)
#define OVERFULL    (2 * FULL)

/* Part of the deadline after which a read is answered all the same */
#define LATE_PART   2
/* Messages that take longer are counted, as a part of that */
#define SLOW_PART   100
/* What is forgotten of them */
#define DECAY       10

typedef struct EpcForwarded {
    QSIMPLEQ_ENTRY(EpcForwarded) next;
    QTAILQ_ENTRY(EpcForwarded) next_read;
    EpcAccess *a;
    uint64_t offset;            /* of its start, in the window */
    uint32_t len, done;
    int64_t since;              /* us */
} EpcForwarded;

struct EpcForward {
    unsigned refs;
    int64_t late_us;            /* for a read */
    QemuMutex lock;
    QemuCond idle;
    /* under lock */
    EpcState *s;                /* NULL: gone */
    QSIMPLEQ_HEAD(, EpcForwarded) queue;
    size_t bytes;
    QTAILQ_HEAD(, EpcForwarded) reads;      /* of them, without an answer */
    bool running;               /* a thread carries out accesses */
    bool waiting;               /* for the host, about the first one; */
    EpcHostPlace place;             /* what it was asked for */
    int64_t asked;                  /* us; since when that is not counted */
    int64_t debt, debt_at;      /* us that reads have waited */
    QEMUTimer *timer;           /* for late ones */
};

static size_t weight(const EpcAccess *a)
{
    return sizeof(EpcForwarded) + sizeof(*a) + a->count;
}

static int64_t now_us(void)
{
    return qemu_clock_get_us(QEMU_CLOCK_REALTIME);
}

/* ---- Reads that take long.  Lock held. ---- */

static void answer_read(EpcForward *f, EpcForwarded *j)
{
    QTAILQ_REMOVE(&f->reads, j, next_read);
    epc_access_answer(j->a);
}

/*
 * A host that makes another one wait again and again.  Only its own time counts:
 * a read that comes after a lot of writes is late without its doing.
 */
static void waited(EpcForward *f)
{
    int64_t now = now_us();
    int64_t us = now - f->asked;

    if (!f->waiting || QTAILQ_EMPTY(&f->reads) ||
        us < f->late_us / SLOW_PART) {
        return;
    }
    f->asked = now;
    f->debt = MAX(0, f->debt - (now - f->debt_at) / DECAY) + us;
    f->debt_at = now;
    if (f->debt >= f->late_us - f->late_us / DECAY && f->s) {
        f->debt = 0;
        epc_server_drop(f->place.fn->server, "the host answers too slowly and "
                        "held up another host; look at the load of the "
                        "machine, or raise 'deadline-ms'");
    }
}

/* The first of them is the oldest. */
static void set_timer(EpcForward *f)
{
    EpcForwarded *j = QTAILQ_FIRST(&f->reads);

    if (f->s && j) {
        timer_mod(f->timer, j->since + f->late_us);
    }
}

static void late_reads(void *opaque)
{
    EpcForward *f = opaque;
    int64_t now = now_us();
    EpcForwarded *j;

    QEMU_LOCK_GUARD(&f->lock);
    waited(f);
    while ((j = QTAILQ_FIRST(&f->reads)) && now - j->since >= f->late_us) {
        trace_epc_forward_late(j->offset, j->len);
        answer_read(f, j);
    }
    set_timer(f);
}

/* ---- The queue.  Lock held. ---- */

static void finish(EpcForward *f, EpcForwarded *j)
{
    QSIMPLEQ_REMOVE_HEAD(&f->queue, next);
    f->bytes -= weight(j->a);
    if (!j->a->is_write && j->a->token) {
        answer_read(f, j);
    }
    epc_access_free(j->a);
    g_free(j);
}

/* Writes that stay in the queue are answered now, unless it is full. */
static void post(EpcForward *f, EpcForwarded *j)
{
    if (j->a->is_write && f->bytes <= FULL) {
        epc_access_answer(j->a);
    }
}

static void run(EpcForward *f);

static void answered(void *opaque, int err, const void *data, uint32_t count)
{
    EpcForward *f = opaque;

    WITH_QEMU_LOCK_GUARD(&f->lock) {
        EpcForwarded *j = QSIMPLEQ_FIRST(&f->queue);

        trace_epc_forward_message(f->place.fn->index, j->a->is_write,
                                  f->place.addr, count, err);
        if (data && j->a->token) {
            memcpy(j->a->data + j->done, data, count);
        }
        j->done += count;
        waited(f);
        f->waiting = false;
        run(f);
    }
    epc_forward_unref(f);
}

/* The lock is released meanwhile. */
static void ask_host(EpcForward *f, EpcForwarded *j)
{
    EpcHostPlace p = f->place;

    f->waiting = true;
    f->asked = now_us();
    post(f, j);
    qemu_mutex_unlock(&f->lock);
    epc_server_dma_async(p.fn->server, j->a->is_write, p.addr,
                         j->a->data + j->done, p.len, answered,
                         epc_forward_ref(f));
    qemu_mutex_lock(&f->lock);
}

/* The next part of @j */
static void step(EpcForward *f, EpcForwarded *j)
{
    int ret = epc_slow_direct(f->s, j->offset + j->done, j->a->data + j->done,
                              j->len - j->done, j->a->is_write, &f->place);

    if (ret == -ENOTSUP) {
        ask_host(f, j);
    } else {
        j->done += f->place.len;
    }
}

static void run(EpcForward *f)
{
    EpcForwarded *j;

    if (f->running) {
        return;
    }
    f->running = true;
    while (!f->waiting && (j = QSIMPLEQ_FIRST(&f->queue))) {
        if (f->s && j->done < j->len) {
            step(f, j);
        } else {
            finish(f, j);
        }
    }
    f->running = false;
    qemu_cond_broadcast(&f->idle);
}

/* ---- Interface ---- */

void epc_forward_access(EpcForward *f, uint64_t offset, uint32_t len,
                        EpcAccess *a)
{
    EpcForwarded *j;

    QEMU_LOCK_GUARD(&f->lock);
    if (!f->s || f->bytes + weight(a) > OVERFULL) {
        trace_epc_forward_dropped(offset, len, a->is_write);
        epc_access_free(a);
        return;
    }
    j = g_new0(EpcForwarded, 1);
    j->a = a;
    j->offset = offset;
    j->len = len;
    j->since = now_us();
    QSIMPLEQ_INSERT_TAIL(&f->queue, j, next);
    if (!a->is_write) {
        QTAILQ_INSERT_TAIL(&f->reads, j, next_read);
    }
    f->bytes += weight(a);
    trace_epc_forward_access(offset, len, a->is_write, f->bytes);
    if (f->running || f->waiting) {
        post(f, j);
    } else {
        run(f);
    }
    set_timer(f);
}

EpcForward *epc_forward_new(EpcState *s)
{
    EpcForward *f = g_new0(EpcForward, 1);

    f->refs = 1;
    f->s = s;
    f->late_us = s->deadline_ms * INT64_C(1000) / LATE_PART;
    qemu_mutex_init(&f->lock);
    qemu_cond_init(&f->idle);
    QSIMPLEQ_INIT(&f->queue);
    QTAILQ_INIT(&f->reads);
    f->timer = timer_new_us(QEMU_CLOCK_REALTIME, late_reads, f);
    return f;
}

EpcForward *epc_forward_ref(EpcForward *f)
{
    qatomic_inc(&f->refs);
    return f;
}

void epc_forward_unref(EpcForward *f)
{
    if (f && qatomic_fetch_dec(&f->refs) == 1) {
        qemu_cond_destroy(&f->idle);
        qemu_mutex_destroy(&f->lock);
        g_free(f);
    }
}

void epc_forward_stop(EpcForward *f)
{
    if (!f) {
        return;
    }
    QEMU_LOCK_GUARD(&f->lock);
    f->s = NULL;
    if (f->timer) {
        timer_free(f->timer);
        f->timer = NULL;
    }
    run(f);
    while (f->running) {
        qemu_cond_wait(&f->idle, &f->lock);
    }
}
