/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * properties: what a user can read of a bridge while it runs
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/misc/epf-bridge/bridge.h"
#include "hw/misc/epf-bridge/properties.h"
#include "hw/misc/epf-bridge/remote/report.h"

static bool epf_properties_get_link_up(Object *obj, Error **errp)
{
    return EPF_BRIDGE(obj)->remotes[0] != NULL;
}

static bool epf_properties_get_connected(Object *obj, Error **errp)
{
    EpfBridge *b = EPF_BRIDGE(obj);

    return b->endpoint &&
        epf_connection_connected(epf_device_connection(b->endpoint));
}

static char *epf_properties_get_last_error(Object *obj, Error **errp)
{
    EpfBridge *b = EPF_BRIDGE(obj);

    if (!b->endpoint) {
        return g_strdup("");
    }
    return epf_connection_last_error(epf_device_connection(b->endpoint));
}

static void epf_properties_get_functions(Object *obj, Visitor *v,
                                         const char *name, void *opaque,
                                         Error **errp)
{
    EpfBridge *b = EPF_BRIDGE(obj);
    uint32_t value = 0;

    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        value |= b->functions[i] ? BIT(i) : 0;
    }
    visit_type_uint32(v, name, &value, errp);
}

static void epf_properties_get_generation(Object *obj, Visitor *v,
                                          const char *name, void *opaque,
                                          Error **errp)
{
    EpfBridge *b = EPF_BRIDGE(obj);
    uint32_t value = b->remotes[0] ? b->remotes[0]->generation : 0;

    visit_type_uint32(v, name, &value, errp);
}

static void epf_properties_get_messages(Object *obj, Visitor *v,
                                        const char *name, void *opaque,
                                        Error **errp)
{
    EpfBridge *b = EPF_BRIDGE(obj);
    uint64_t value = b->endpoint ? epf_device_messages(b->endpoint) : 0;

    visit_type_uint64(v, name, &value, errp);
}

static void epf_properties_get_slow_interrupts(Object *obj, Visitor *v,
                                               const char *name, void *opaque,
                                               Error **errp)
{
    EpfBridge *b = EPF_BRIDGE(obj);
    uint64_t value = b->endpoint ? epf_device_interrupts(b->endpoint) : 0;

    visit_type_uint64(v, name, &value, errp);
}

void epf_properties_add(ObjectClass *oc)
{
    object_class_property_add_bool(oc, "link-up", epf_properties_get_link_up,
                                   NULL);
    object_class_property_add_bool(oc, "connected",
                                   epf_properties_get_connected, NULL);
    object_class_property_add_str(oc, "last-error",
                                  epf_properties_get_last_error, NULL);
    object_class_property_add(oc, "generation", "uint32",
                              epf_properties_get_generation, NULL, NULL, NULL);
    object_class_property_add(oc, "functions", "uint32",
                              epf_properties_get_functions, NULL, NULL, NULL);
    object_class_property_set_description(oc, "functions",
                                          "Functions in the slot, as bits");
    object_class_property_add(oc, "messages", "uint64",
                              epf_properties_get_messages, NULL, NULL, NULL);
    object_class_property_set_description(oc, "messages",
                                          "Socket messages, both ways");
    object_class_property_add(oc, "slow-interrupts", "uint64",
                              epf_properties_get_slow_interrupts, NULL, NULL,
                              NULL);
    object_class_property_set_description(oc, "slow-interrupts",
                                          "Interrupts of the functions that "
                                          "a thread of QEMU delivered");
}
