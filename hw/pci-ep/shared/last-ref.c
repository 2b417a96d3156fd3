/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * last-ref: the last reference to a device is dropped with the BQL held
 */
#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "hw/pci-ep/shared/last-ref.h"

static GSList *last_ref_objects EP_GUARDED_BY(&ep_bql);
static QEMUTimer *last_ref_timer EP_GUARDED_BY(&ep_bql);

/*
 * Who has no reference to an unrealized device gets none any more, but through
 * a memory map, which has one itself.  So a count of one, which is ours, stays
 * one.
 */
static void last_ref_look(void *opaque)
{
    GSList **at = &last_ref_objects;

    EP_BQL_HELD();
    while (*at) {
        Object *obj = (*at)->data;

        if (qatomic_read(&obj->ref) == 1) {
            *at = g_slist_delete_link(*at, *at);
            object_unref(obj);
        } else {
            at = &(*at)->next;
        }
    }
    if (last_ref_objects) {
        timer_mod(last_ref_timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
                  EP_LAST_REF_MS);
    }
}

void ep_last_ref_keep(Object *obj)
{
    if (!last_ref_timer) {
        last_ref_timer = timer_new_ms(QEMU_CLOCK_REALTIME, last_ref_look, NULL);
    }
    last_ref_objects = g_slist_prepend(last_ref_objects, object_ref(obj));
    timer_mod(last_ref_timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
              EP_LAST_REF_MS);
}
