/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * forward-raise: interrupts that must not overtake accesses
 *
 * A write to a window is answered when it is in the queue, and the endpoint may
 * then hear of it and raise an interrupt at the second host. On hardware both
 * are posted writes of one port, so the interrupt comes after the data. Here an
 * interrupt that is raised while accesses are in the queue waits for them.
 *
 * KVM would deliver an interrupt from an ioeventfd without asking. So the raise
 * registers of a controller are no ioeventfds while a BAR of another controller
 * shows its window. To take them off only when an access must wait would be too
 * late: that takes the BQL, for which a reader thread must not wait.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitmap.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/endpoint/forward-int.h"
#include "hw/pci-ep/endpoint/raise.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/trace.h"

/*
 * Bits of one function in EpcForwardRaises.map: one for each raise, and those
 * of INTx. INTX_ON: the level was raised to 1. INTX_OFF: the last one was 0.
 */
#define RAISE_INTX_ON   EPC_RAISES
#define RAISE_INTX_OFF  (EPC_RAISES + 1)
#define RAISE_BITS      (EPC_RAISES + 2)

void epc_forward_raise_init(EpcForward *f)
{
    for (unsigned i = 0; i < ARRAY_SIZE(f->raises); i++) {
        f->raises[i].map = bitmap_new(f->nfn * RAISE_BITS);
    }
}

void epc_forward_raise_clear(EpcForward *f)
{
    for (unsigned i = 0; i < ARRAY_SIZE(f->raises); i++) {
        f->raises[i].any = false;
        bitmap_zero(f->raises[i].map, f->nfn * RAISE_BITS);
    }
}

/*
 * Where an interrupt has to wait that is raised now, or NULL if it need not
 * wait. The first set is left alone once an access has come after it.
 */
static EpcForwardRaises *forward_raise_set(EpcForward *f)
    EP_REQUIRES(&f->lock);
static EpcForwardRaises *forward_raise_set(EpcForward *f)
{
    EpcForwardRaises *r = &f->raises[0];

    if (!f->s || (QTAILQ_EMPTY(&f->lanes) && !r->any && !f->raising)) {
        return NULL;
    }
    if (r->any && r->seq != f->next_seq) {
        r = &f->raises[1];
    }
    r->any = true;
    r->seq = f->next_seq;
    return r;
}

bool epc_forward_hold_raise(EpcFunction *fn, unsigned raise)
{
    EpcForward *f = fn->epc->forward;
    EpcForwardRaises *r;

    QEMU_LOCK_GUARD(&f->lock);
    r = forward_raise_set(f);
    if (r) {
        trace_pci_epc_forward_raise(f->name, fn->index, raise, r->seq);
        set_bit(fn->index * RAISE_BITS + raise, r->map);
    }
    return r;
}

bool epc_forward_hold_intx(EpcFunction *fn, bool level)
{
    EpcForward *f = fn->epc->forward;
    unsigned first = fn->index * RAISE_BITS;
    EpcForwardRaises *r;

    QEMU_LOCK_GUARD(&f->lock);
    r = forward_raise_set(f);
    if (r && level) {
        set_bit(first + RAISE_INTX_ON, r->map);
        clear_bit(first + RAISE_INTX_OFF, r->map);
    } else if (r) {
        set_bit(first + RAISE_INTX_OFF, r->map);
    }
    return r;
}

static void forward_raise_one(EpcForward *f, EpcFunction *fn, unsigned bit)
{
    if (bit == RAISE_INTX_ON || bit == RAISE_INTX_OFF) {
        f->ops->raise_intx(fn, bit == RAISE_INTX_ON);
    } else {
        f->ops->raise(fn, bit);
    }
}

bool epc_forward_raise_deliver(EpcForward *f)
{
    EpcForwardRaises due = f->raises[0];
    unsigned n = f->nfn * RAISE_BITS;
    EpcState *s = f->s;

    if (!due.any || !epc_forward_passed(f, NULL, due.seq)) {
        return false;
    }
    f->raises[0] = f->raises[1];
    f->raises[1] = (EpcForwardRaises) { .map = bitmap_new(n) };
    f->raising = true;
    qemu_mutex_unlock(&f->lock);
    for (unsigned i = find_first_bit(due.map, n); s && i < n;
         i = find_next_bit(due.map, n, i + 1)) {
        forward_raise_one(f, &s->fn[i / RAISE_BITS], i % RAISE_BITS);
    }
    g_free(due.map);
    qemu_mutex_lock(&f->lock);
    f->raising = false;
    return true;
}

/* ---- Whether there can be such accesses ---- */

/*
 * The update must not wait for the bottom half when a BAR comes to show the
 * window. When the last one ceases to do so, the caller may hold a lock.
 */
static void forward_raise_stale(EpcForward *f)
{
    QEMU_LOCK_GUARD(&f->lock);
    if (f->s && f->s->ioeventfd) {
        qatomic_set(&f->s->io_stale, true);
        qemu_bh_schedule(f->s->bh);
    }
}

void epc_forward_view(EpcForward *f)
{
    EpcState *s;

    epc_forward_ref(f);
    if (f->viewers++ == 0) {
        forward_raise_stale(f);
        WITH_QEMU_LOCK_GUARD(&f->lock) {
            s = f->s;
        }
        if (s && s->fn) {
            f->ops->viewed(s);
        }
    }
}

void epc_forward_unview(EpcForward *f)
{
    if (--f->viewers == 0) {
        forward_raise_stale(f);
    }
    epc_forward_unref(f);
}

bool epc_forward_viewed(EpcForward *f)
{
    return f->viewers;
}
