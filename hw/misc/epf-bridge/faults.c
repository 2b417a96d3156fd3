/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faults: what a user asks a bridge to do wrong while it runs
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qemu/main-loop.h"
#include "hw/misc/epf-bridge/errors.h"
#include "hw/misc/epf-bridge/faults.h"
#include "hw/misc/epf-bridge/function/inject.h"
#include "hw/misc/epf-bridge/link.h"
#include "hw/misc/epf-bridge/trace.h"

#define EPF_FAULTS_DELAY    (BIT(EP_FAULT_US) | BIT(EP_FAULT_JITTER))

static const EpFaultKind epf_faults_kinds[EPF_FAULTS] = {
    [EPF_FAULT_CONFIG_ONES] = { "config-ones" },
    [EPF_FAULT_CONFIG_RETRY] = { "config-retry" },
    [EPF_FAULT_CONFIG_DELAY] = { "config-delay", .keys = EPF_FAULTS_DELAY },
    [EPF_FAULT_IRQ_LOST] = { "irq-lost" },
    [EPF_FAULT_IRQ_DOUBLE] = { "irq-double" },
    [EPF_FAULT_AER] = { "aer", .now = true,
                        .keys = BIT(EP_FAULT_FUNCTION) |
                                BIT(EP_FAULT_SEVERITY) },
    [EPF_FAULT_REMOVE] = { "remove" },
    [EPF_FAULT_INSERT] = { "insert", .now = true },
    [EPF_FAULT_LINK_DOWN] = { "link-down", .now = true,
                              .keys = BIT(EP_FAULT_MS) },
    [EPF_FAULT_LINK_TRAIN] = { "link-train", .now = true,
                               .keys = BIT(EP_FAULT_SPEED) |
                                       BIT(EP_FAULT_WIDTH) },
    [EPF_FAULT_BAR_TIMEOUT] = { "bar-timeout" },
    [EPF_FAULT_BAR_DELAY] = { "bar-delay", .keys = EPF_FAULTS_DELAY },
    [EPF_FAULT_BAR_POISON] = { "bar-poison" },
};

static void epf_faults_seen(void *opaque, const char *kind, uint32_t function,
                            uint64_t at)
{
    EpfBridge *b = opaque;
    const char *name = DEVICE(b)->id ?: TYPE_EPF_BRIDGE;

    if (function == EP_FAULT_EVERY) {
        trace_epf_bridge_requested_fault(name, kind, at);
    } else {
        trace_epf_bridge_fn_requested_fault(name, function, kind, at);
    }
}

/* ---- Faults that happen when they are asked for ---- */

static bool epf_faults_report(EpfBridge *b, const EpFault *fault, uint64_t *at,
                              Error **errp)
{
    *at = epf_errors_report(b, fault->value[EP_FAULT_FUNCTION],
                            fault->value[EP_FAULT_SEVERITY], errp);
    return *at;
}

static bool epf_faults_insert(EpfBridge *b, const EpFault *fault, uint64_t *at,
                              Error **errp)
{
    return epf_link_insert(b, errp);
}

static bool epf_faults_take_down(EpfBridge *b, const EpFault *fault,
                                 uint64_t *at, Error **errp)
{
    *at = fault->value[EP_FAULT_MS];
    return epf_link_take_down(b, fault->value[EP_FAULT_MS], errp);
}

static bool epf_faults_train(EpfBridge *b, const EpFault *fault, uint64_t *at,
                             Error **errp)
{
    *at = fault->value[EP_FAULT_SPEED];
    return epf_link_train(b, fault->value[EP_FAULT_SPEED],
                          fault->value[EP_FAULT_WIDTH], errp);
}

/*
 * Each returns false with @errp when it cannot be carried out, and sets *@at to
 * what the log is to show.
 */
static bool (*const epf_faults_now[EPF_FAULTS])(EpfBridge *b,
                                                const EpFault *fault,
                                                uint64_t *at, Error **errp) = {
    [EPF_FAULT_AER] = epf_faults_report,
    [EPF_FAULT_INSERT] = epf_faults_insert,
    [EPF_FAULT_LINK_DOWN] = epf_faults_take_down,
    [EPF_FAULT_LINK_TRAIN] = epf_faults_train,
};

static void epf_faults_carry_out(EpfBridge *b, const EpFault *fault,
                                 Error **errp)
{
    uint64_t at = 0;

    if (!b->endpoint) {
        error_setg(errp, "the bridge is not realized");
    } else if (epf_faults_now[fault->kind](b, fault, &at, errp)) {
        ep_faults_record(b->faults, fault->kind,
                         fault->value[EP_FAULT_FUNCTION], at);
    }
}

/* ---- Properties ---- */

static char *epf_faults_get(Object *obj, Error **errp)
{
    return ep_faults_armed_text(EPF_BRIDGE(obj)->faults);
}

/* The bottom half takes or leaves the slow ways that armed faults need. */
static void epf_faults_set(Object *obj, const char *text, Error **errp)
{
    EpfBridge *b = EPF_BRIDGE(obj);
    EpFault fault;
    bool now;

    if (!ep_faults_request(b->faults, text, &now, &fault, errp)) {
        return;
    }
    if (now) {
        epf_faults_carry_out(b, &fault, errp);
    } else if (b->bh) {
        qemu_bh_schedule(b->bh);
    }
}

static char *epf_faults_get_log(Object *obj, Error **errp)
{
    return ep_faults_log(EPF_BRIDGE(obj)->faults);
}

static void epf_faults_get_seed(Object *obj, Visitor *v, const char *name,
                                void *opaque, Error **errp)
{
    visit_type_uint32(v, name, &EPF_BRIDGE(obj)->fault_seed, errp);
}

static void epf_faults_set_seed(Object *obj, Visitor *v, const char *name,
                                void *opaque, Error **errp)
{
    EpfBridge *b = EPF_BRIDGE(obj);

    if (visit_type_uint32(v, name, &b->fault_seed, errp)) {
        ep_faults_seed(b->faults, b->fault_seed);
    }
}

void epf_faults_add_properties(ObjectClass *oc)
{
    object_class_property_add_str(oc, "fault", epf_faults_get, epf_faults_set);
    object_class_property_set_description(oc, "fault",
                                          "Write: a fault to make, or 'clear'; "
                                          "read: the faults that are armed");
    object_class_property_add_str(oc, "fault-log", epf_faults_get_log, NULL);
    object_class_property_set_description(oc, "fault-log",
                                          "Faults that happened, as JSON");
    object_class_property_add(oc, "fault-seed", "uint32", epf_faults_get_seed,
                              epf_faults_set_seed, NULL, NULL);
    object_class_property_set_description(oc, "fault-seed",
                                          "Seed of the random numbers of "
                                          "faults");
}

/* ---- Life ---- */

void epf_faults_init(EpfBridge *b)
{
    b->faults = ep_faults_new(epf_faults_kinds, EPF_FAULTS, epf_faults_seen,
                              b);
    b->fault_seed = 1;
}

void epf_faults_finalize(EpfBridge *b)
{
    ep_faults_free(b->faults);
}
