/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trapped areas: accesses of the host that software of the endpoint answers
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/host-utils.h"
#include "qemu/lockable.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "hw/pci-ep/endpoint/layout.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/trap-area.h"
#include "hw/pci-ep/trace.h"

/*
 * The client of the host has a deadline for each reply, which is the same as
 * ours by default. All ones have to arrive before it.
 */
#define TRAP_DEADLINE_PART  2

struct EpcTrapAccess {
    QTAILQ_ENTRY(EpcTrapAccess) next;
    EpcAccess *a;
    uint32_t index;             /* HELD: of its record */
    int64_t since;              /* when it came, us */
};

static int64_t trap_now_us(void)
{
    return qemu_clock_get_us(QEMU_CLOCK_REALTIME);
}

/* ---- The ring ---- */

static uint8_t *trap_record(EpcFunction *fn, uint32_t index)
{
    return fn->epc->traps.ring + fn->index * EPC_TRAP_STRIDE +
           index % EPC_TRAP_SIZE * EPC_TRAP_RECORD_SIZE;
}

static bool trap_ring_full(const EpcTrap *t)
{
    return t->producer - t->consumer == EPC_TRAP_SIZE;
}

static void trap_add_record(EpcFunction *fn, uint32_t info, uint64_t offset,
                            uint64_t value)
    EP_REQUIRES(&fn->epc->lock);
static void trap_add_record(EpcFunction *fn, uint32_t info, uint64_t offset,
                            uint64_t value)
{
    EpcTrap *t = &fn->trap;
    uint8_t *raw = trap_record(fn, t->producer);

    stq_le_p(raw + EPC_TRAP_OFFSET, offset);
    stq_le_p(raw + EPC_TRAP_VALUE, value);
    stl_le_p(raw + EPC_TRAP_INFO, info);
    t->producer++;
    /* A driver that finds the number also finds the rest. */
    qatomic_store_release((uint32_t *)(raw + EPC_TRAP_SEQUENCE),
                          cpu_to_le32(t->producer));
    epc_notify(fn->epc, t->vector);
}

static void trap_add_access_record(EpcFunction *fn, const EpcAccess *a)
    EP_REQUIRES(&fn->epc->lock);
static void trap_add_access_record(EpcFunction *fn, const EpcAccess *a)
{
    uint32_t info = a->is_write ? EPC_TRAP_WRITE : EPC_TRAP_READ;

    info |= a->region << EPC_TRAP_BAR_SHIFT;
    info |= a->count << EPC_TRAP_BYTES_SHIFT;
    trap_add_record(fn, info, a->offset,
                    a->is_write ? ldn_le_p(a->data, a->count) : UINT64_MAX);
}

/* ---- Answers ---- */

/* Answers @j, which is on the list @q. */
static void trap_answer(EpcFunction *fn, EpcTrapQueue *q, EpcTrapAccess *j)
    EP_REQUIRES(&fn->epc->lock);
static void trap_answer(EpcFunction *fn, EpcTrapQueue *q, EpcTrapAccess *j)
{
    EpcTrap *t = &fn->trap;
    uint32_t took = MIN(trap_now_us() - j->since, UINT32_MAX);

    if (!j->a->is_write) {
        t->longest = MAX(t->longest, took);
    }
    trace_pci_epc_trap_answer(epc_name(fn->epc), fn->index, j->a->is_write,
                              j->a->offset, j->a->count, took);
    QTAILQ_REMOVE(q, j, next);
    epc_access_free(j->a);
    g_free(j);
}

/* The driver has consumed the record of @j. */
static void trap_answer_value(EpcFunction *fn, EpcTrapAccess *j)
    EP_REQUIRES(&fn->epc->lock);
static void trap_answer_value(EpcFunction *fn, EpcTrapAccess *j)
{
    const uint8_t *raw = trap_record(fn, j->index);

    stn_le_p(j->a->data, j->a->count, ldq_le_p(raw + EPC_TRAP_VALUE));
    trap_answer(fn, &fn->trap.held, j);
}

/* Answers what waits outside of the ring. A write of it is lost. */
static void trap_drop(EpcFunction *fn, EpcTrapAccess *j)
    EP_REQUIRES(&fn->epc->lock);
static void trap_drop(EpcFunction *fn, EpcTrapAccess *j)
{
    if (j->a->is_write) {
        fn->inbound_dropped++;
    }
    trap_answer(fn, &fn->trap.waits, j);
}

static void trap_answer_all(EpcFunction *fn) EP_REQUIRES(&fn->epc->lock);
static void trap_answer_all(EpcFunction *fn)
{
    EpcTrap *t = &fn->trap;
    EpcTrapAccess *j;

    while ((j = QTAILQ_FIRST(&t->held))) {
        trap_answer(fn, &t->held, j);
    }
    while ((j = QTAILQ_FIRST(&t->waits))) {
        trap_drop(fn, j);
    }
}

/* ---- Deadlines ---- */

/* The oldest access of @fn, or NULL */
static EpcTrapAccess *trap_oldest(EpcFunction *fn) EP_REQUIRES(&fn->epc->lock);
static EpcTrapAccess *trap_oldest(EpcFunction *fn)
{
    /* What is held came before what waits. */
    return QTAILQ_FIRST(&fn->trap.held) ?: QTAILQ_FIRST(&fn->trap.waits);
}

static void trap_set_timer(EpcState *s) EP_REQUIRES(&s->lock);
static void trap_set_timer(EpcState *s)
{
    int64_t first = INT64_MAX;

    for (unsigned i = 0; i < s->nfn; i++) {
        EpcFunction *fn = &s->fn[i];
        EpcTrapAccess *j;

        EP_LOCK_HELD(&fn->epc->lock);
        j = trap_oldest(fn);
        if (j) {
            first = MIN(first, j->since);
        }
    }
    if (first == INT64_MAX) {
        timer_del(s->traps.timer);
    } else {
        timer_mod(s->traps.timer,
                  first + s->traps.deadline_ms * INT64_C(1000));
    }
}

static void trap_expire(EpcFunction *fn, int64_t late)
    EP_REQUIRES(&fn->epc->lock);
static void trap_expire(EpcFunction *fn, int64_t late)
{
    EpcTrap *t = &fn->trap;
    EpcTrapAccess *j;

    while ((j = trap_oldest(fn)) && j->since <= late) {
        t->expired++;
        trace_pci_epc_trap_expired(epc_name(fn->epc), fn->index,
                                   j->a->is_write, j->a->offset, j->a->count);
        if (j == QTAILQ_FIRST(&t->held)) {
            trap_answer(fn, &t->held, j);
        } else {
            trap_drop(fn, j);
        }
    }
}

/* Runs in the main loop. */
static void trap_timer(void *opaque)
{
    EpcState *s = opaque;
    int64_t late = trap_now_us() - s->traps.deadline_ms * INT64_C(1000);

    QEMU_LOCK_GUARD(&s->lock);
    for (unsigned i = 0; i < s->nfn; i++) {
        EpcFunction *fn = &s->fn[i];

        EP_LOCK_HELD(&fn->epc->lock);
        trap_expire(fn, late);
    }
    trap_set_timer(s);
}

/* ---- Accesses of the host ---- */

/* Puts what waits into the ring, as far as there is room. */
static void trap_fill(EpcFunction *fn) EP_REQUIRES(&fn->epc->lock);
static void trap_fill(EpcFunction *fn)
{
    EpcTrap *t = &fn->trap;
    EpcTrapAccess *j;

    if (t->reset_waits && !trap_ring_full(t)) {
        t->reset_waits = false;
        trap_add_record(fn, EPC_TRAP_RESET, 0, 0);
    }
    while ((j = QTAILQ_FIRST(&t->waits)) && !trap_ring_full(t)) {
        j->index = t->producer;
        trap_add_access_record(fn, j->a);
        if (j->a->is_write) {
            t->posted++;
            trap_answer(fn, &t->waits, j);
        } else {
            t->reads++;
            QTAILQ_REMOVE(&t->waits, j, next);
            QTAILQ_INSERT_TAIL(&t->held, j, next);
        }
    }
}

static bool trap_takes(const EpcFunction *fn, const EpcAccess *a)
    EP_REQUIRES(&fn->epc->lock);
static bool trap_takes(const EpcFunction *fn, const EpcAccess *a)
{
    return (fn->trap.ctrl & EPC_FN_TRAP_ENABLE) && a->count <= 8 &&
           is_power_of_2(a->count) && QEMU_IS_ALIGNED(a->offset, a->count);
}

void epc_trap_access(EpcFunction *fn, EpcAccess *a)
{
    EpcTrapAccess *j;

    EP_LOCK_HELD(&fn->epc->lock);
    trace_pci_epc_trap_access(epc_name(fn->epc), fn->index, a->is_write,
                              a->region, a->offset, a->count);
    if (!trap_takes(fn, a)) {
        if (a->is_write) {
            fn->inbound_dropped++;
        }
        epc_access_free(a);
        return;
    }
    j = g_new0(EpcTrapAccess, 1);
    j->a = a;
    j->since = trap_now_us();
    QTAILQ_INSERT_TAIL(&fn->trap.waits, j, next);
    trap_fill(fn);
    trap_set_timer(fn->epc);
}

void epc_trap_function_reset(EpcFunction *fn)
{
    EP_LOCK_HELD(&fn->epc->lock);
    trap_answer_all(fn);
    fn->trap.reset_waits = fn->trap.ctrl & EPC_FN_TRAP_ENABLE;
    trap_fill(fn);
}

/* ---- Registers ---- */

static void trap_enable(EpcFunction *fn, bool enable)
    EP_REQUIRES(&fn->epc->lock);
static void trap_enable(EpcFunction *fn, bool enable)
{
    EpcTrap *t = &fn->trap;

    trap_answer_all(fn);
    t->reset_waits = false;
    t->producer = t->consumer = 0;
    t->ctrl = enable ? EPC_FN_TRAP_ENABLE : 0;
    if (enable) {
        /* No record of an earlier use of the ring has the next number. */
        memset(trap_record(fn, 0), 0, EPC_TRAP_SIZE * EPC_TRAP_RECORD_SIZE);
    }
}

static bool trap_consume(EpcFunction *fn, uint32_t v)
    EP_REQUIRES(&fn->epc->lock);
static bool trap_consume(EpcFunction *fn, uint32_t v)
{
    EpcTrap *t = &fn->trap;
    uint32_t more = v - t->consumer;
    EpcTrapAccess *j;

    if (more > t->producer - t->consumer) {
        return false;
    }
    while ((j = QTAILQ_FIRST(&t->held)) && j->index - t->consumer < more) {
        trap_answer_value(fn, j);
    }
    t->consumer = v;
    trap_fill(fn);
    trap_set_timer(fn->epc);
    return true;
}

bool epc_trap_read(EpcFunction *fn, hwaddr reg, uint32_t *v)
{
    const EpcTrap *t = &fn->trap;

    switch (reg) {
    case EPC_FN_TRAP_CTRL:
        *v = t->ctrl;
        return true;
    case EPC_FN_TRAP_VECTOR:
        *v = t->vector;
        return true;
    case EPC_FN_TRAP_PRODUCER:
        *v = t->producer;
        return true;
    case EPC_FN_TRAP_CONSUMER:
        *v = t->consumer;
        return true;
    case EPC_FN_TRAP_POSTED:
        *v = t->posted;
        return true;
    case EPC_FN_TRAP_READS:
        *v = t->reads;
        return true;
    case EPC_FN_TRAP_EXPIRED:
        *v = t->expired;
        return true;
    case EPC_FN_TRAP_LONGEST:
        *v = t->longest;
        return true;
    default:
        return false;
    }
}

bool epc_trap_write(EpcFunction *fn, hwaddr reg, uint32_t v)
{
    EpcTrap *t = &fn->trap;

    EP_LOCK_HELD(&fn->epc->lock);
    switch (reg) {
    case EPC_FN_TRAP_CTRL:
        if (v & ~EPC_FN_TRAP_ENABLE) {
            return false;
        }
        if (v != t->ctrl) {
            trap_enable(fn, v);
        }
        return true;
    case EPC_FN_TRAP_VECTOR:
        if (v >= EPC_VECTORS) {
            return false;
        }
        t->vector = v;
        return true;
    case EPC_FN_TRAP_CONSUMER:
        return (t->ctrl & EPC_FN_TRAP_ENABLE) && trap_consume(fn, v);
    default:
        return false;
    }
}

static uint32_t traps_longest_deadline(const EpcState *s)
{
    return MAX(s->deadline_ms / TRAP_DEADLINE_PART, 1);
}

bool epc_traps_set_deadline(EpcState *s, uint32_t ms)
{
    EP_LOCK_HELD(&s->lock);
    if (!ms || ms > traps_longest_deadline(s)) {
        return false;
    }
    s->traps.deadline_ms = ms;
    trap_set_timer(s);
    return true;
}

/* ---- Life cycle ---- */

void epc_trap_init(EpcFunction *fn)
{
    fn->trap = (EpcTrap) { .vector = EPC_VECTOR_TRAP(fn->index) };
    QTAILQ_INIT(&fn->trap.waits);
    QTAILQ_INIT(&fn->trap.held);
}

void epc_trap_clear(EpcFunction *fn)
{
    EP_LOCK_HELD(&fn->epc->lock);
    trap_answer_all(fn);
    epc_trap_init(fn);
}

void epc_traps_reset(EpcState *s)
{
    s->traps.deadline_ms = traps_longest_deadline(s);
}

bool epc_traps_init(EpcState *s, Error **errp)
{
    EpcTraps *t = &s->traps;

    epc_traps_reset(s);
    if (!memory_region_init_ram_nomigrate(&t->rings, OBJECT(s),
                                          "pci-epc-trap-rings",
                                          EPC_MAX_FUNCTIONS * EPC_TRAP_STRIDE,
                                          errp)) {
        error_prepend(errp, "pci-epc: no memory for trapped areas: ");
        return false;
    }
    t->ring = memory_region_get_ram_ptr(&t->rings);
    memory_region_add_subregion(&s->regs, EPC_TRAP_BASE, &t->rings);
    t->timer = timer_new_us(QEMU_CLOCK_REALTIME, trap_timer, s);
    return true;
}

void epc_traps_exit(EpcState *s)
{
    EpcTraps *t = &s->traps;

    if (t->timer) {
        timer_free(t->timer);
        t->timer = NULL;
        memory_region_del_subregion(&s->regs, &t->rings);
    }
}
