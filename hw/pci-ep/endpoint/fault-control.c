/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the user requests faults of the controller
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/endpoint/doorbell.h"
#include "hw/pci-ep/endpoint/fault-control.h"
#include "hw/pci-ep/endpoint/faults.h"
#include "hw/pci-ep/endpoint/ioeventfd.h"
#include "hw/pci-ep/endpoint/link.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/raise.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/window-trap.h"

/* ---- Timers ---- */

static void fault_control_repeat(void *opaque)
{
    EpcState *s = opaque;
    EpcFaultRepeat r;

    while (epc_faults_take_repeat(s, &r)) {
        if (r.raise < EPC_RAISES) {
            epc_raise_again(&s->fn[r.fn], r.raise);
        } else {
            epc_doorbell_again(s, r.raise - EPC_RAISES);
        }
    }
}

static void fault_control_mend(EpcState *s) EP_REQUIRES(&ep_bql);
static void fault_control_mend(EpcState *s)
{
    timer_del(s->faults.link_timer);
    if (epc_link_mend(s)) {
        ep_faults_record(s->faults.requests, EPC_FAULT_LINK_UP, EP_FAULT_EVERY,
                         0);
    }
}

static void fault_control_link_due(void *opaque)
{
    EP_BQL_HELD();
    fault_control_mend(opaque);
}

/* ---- What requests do ---- */

static void fault_control_cut(EpcState *s, const EpFault *fault)
    EP_REQUIRES(&ep_bql);
static void fault_control_cut(EpcState *s, const EpFault *fault)
{
    uint32_t ms = fault->value[EP_FAULT_MS];

    epc_link_cut(s);
    ep_faults_record(s->faults.requests, fault->kind, EP_FAULT_EVERY, 0);
    if (ms || fault->kind == EPC_FAULT_LINK_FLAP) {
        timer_mod(s->faults.link_timer, ms * INT64_C(1000) +
                  qemu_clock_get_us(QEMU_CLOCK_REALTIME));
    } else {
        timer_del(s->faults.link_timer);
    }
}

/* A kind with EpFaultKind.now */
static void fault_control_carry_out(EpcState *s, const EpFault *fault)
    EP_REQUIRES(&ep_bql);
static void fault_control_carry_out(EpcState *s, const EpFault *fault)
{
    if (fault->kind == EPC_FAULT_LINK_UP) {
        fault_control_mend(s);
    } else {
        fault_control_cut(s, fault);
    }
}

/* Brings what depends on the armed kinds up to date. */
static void fault_control_apply(EpcState *s) EP_REQUIRES(&ep_bql);
static void fault_control_apply(EpcState *s)
{
    if (s->fn) {
        epc_faults_changed(s);
        epc_ioeventfd_update(s);
        epc_doorbells_watch(s);
        epc_window_trap_update(s);
    }
}

/* ---- Properties; the BQL is held ---- */

static void fault_control_set(Object *obj, const char *text, Error **errp)
{
    EpcState *s = PCI_EPC(obj);
    EpFault fault;
    bool now;

    EP_BQL_HELD();
    if (!ep_faults_request(s->faults.requests, text, &now, &fault, errp)) {
        return;
    }
    /* The guest may eject the device while the BQL is released. */
    object_ref(obj);
    if (!now) {
        fault_control_apply(s);
    } else if (s->fn) {
        fault_control_carry_out(s, &fault);
    } else {
        error_setg(errp, "'%s' cannot happen before the device exists", text);
    }
    epc_bh_unref(s);
}

static char *fault_control_get(Object *obj, Error **errp)
{
    return ep_faults_armed_text(PCI_EPC(obj)->faults.requests);
}

static char *fault_control_get_log(Object *obj, Error **errp)
{
    return ep_faults_log(PCI_EPC(obj)->faults.requests);
}

static void fault_control_get_seed(Object *obj, Visitor *v, const char *name,
                                   void *opaque, Error **errp)
{
    EpcState *s = PCI_EPC(obj);
    uint32_t value;

    EP_BQL_HELD();
    value = s->faults.seed;
    visit_type_uint32(v, name, &value, errp);
}

static void fault_control_set_seed(Object *obj, Visitor *v, const char *name,
                                   void *opaque, Error **errp)
{
    EpcState *s = PCI_EPC(obj);
    uint32_t value;

    EP_BQL_HELD();
    if (visit_type_uint32(v, name, &value, errp)) {
        s->faults.seed = value;
        ep_faults_seed(s->faults.requests, value);
    }
}

void epc_fault_control_class_init(ObjectClass *oc)
{
    object_class_property_add_str(oc, "fault", fault_control_get,
                                  fault_control_set);
    object_class_property_set_description(oc, "fault",
                                          "Requests a fault; reads as the "
                                          "faults that are armed");
    object_class_property_add_str(oc, "fault-log", fault_control_get_log, NULL);
    object_class_property_set_description(oc, "fault-log",
                                          "Requested faults that happened, "
                                          "as JSON");
    object_class_property_add(oc, "fault-seed", "uint32",
                              fault_control_get_seed, fault_control_set_seed,
                              NULL, NULL);
    object_class_property_set_description(oc, "fault-seed",
                                          "Seed of the chances and delays of "
                                          "requested faults");
}

/* ---- Life cycle ---- */

void epc_fault_control_init(EpcState *s)
{
    s->faults.link_timer = timer_new_us(QEMU_CLOCK_REALTIME,
                                        fault_control_link_due, s);
    s->faults.repeat_timer = timer_new_us(QEMU_CLOCK_REALTIME,
                                          fault_control_repeat, s);
}

void epc_fault_control_realized(EpcState *s)
{
    fault_control_apply(s);
}

void epc_fault_control_exit(EpcState *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    s->faults.repeats = 0;
    timer_del(s->faults.link_timer);
    timer_del(s->faults.repeat_timer);
}

void epc_fault_control_destroy(EpcState *s)
{
    timer_free(s->faults.link_timer);
    timer_free(s->faults.repeat_timer);
}
