/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the device reports to its guest: events and interrupts
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qemu/bitmap.h"
#include "qemu/main-loop.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/state.h"

const char *epc_name(EpcState *s)
{
    return DEVICE(s)->id ?: TYPE_PCI_EPC;
}

void epc_notify(EpcState *s, unsigned vector)
{
    set_bit(vector, s->notify);
    qemu_bh_schedule(s->bh);
}

void epc_event(EpcState *s, uint32_t events)
{
    s->event |= events;
    if (events & s->event_mask) {
        epc_notify(s, EPC_VECTOR_EVENT);
    }
}

void epc_fn_event(EpcFunction *fn, uint32_t events)
{
    fn->event |= events;
    if (events & fn->event_mask) {
        epc_notify(fn->epc, EPC_VECTOR_EVENT);
    }
}

uint32_t epc_fn_pending(EpcState *s)
{
    uint32_t pending = 0;

    for (unsigned i = 0; i < s->nfn; i++) {
        if (s->fn[i].event & s->fn[i].event_mask) {
            pending |= BIT(i);
        }
    }
    return pending;
}

static void notify_unref(void *opaque)
{
    object_unref(OBJECT(opaque));
}

void epc_bh_unref(EpcState *s)
{
    if (s->fn) {
        object_unref(OBJECT(s));
    } else {
        aio_bh_schedule_oneshot(qemu_get_aio_context(), notify_unref, s);
    }
}
