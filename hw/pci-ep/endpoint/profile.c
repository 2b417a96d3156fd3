/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Profiles: files with the limits of an endpoint controller that exists
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qobject/qstring.h"
#include "qom/qom-qobject.h"
#include "hw/pci-ep/endpoint/profile.h"
#include "hw/pci-ep/endpoint/state.h"

#define PROFILE_SIZE_MAX    65536

/*
 * A profile describes a controller. It has no say in where the device is, what
 * it is connected to, and what only tests use.
 */
static const char * const profile_properties[] = {
    "bar0", "bar1", "bar2", "bar3", "bar4", "bar5",
    "inbound-align", "outbound-granule", "outbound-align", "outbound-max",
    "max-maps", "window-size", "dma-channels", "msi", "msix", "intx",
    "doorbells", "dynamic-inbound", "subrange", "linkup", "aer",
    "x-speed", "x-width",
};

/* Returns the member "properties" with a reference, or NULL. */
static QDict *profile_read(const char *path, Error **errp)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) err = NULL;
    QObject *root;
    QDict *properties = NULL;
    size_t size;

    if (!g_file_get_contents(path, &text, &size, &err)) {
        error_setg(errp, "%s", err->message);
        return NULL;
    }
    if (size > PROFILE_SIZE_MAX || strlen(text) != size) {
        error_setg(errp, "this is not text of at most %d bytes",
                   PROFILE_SIZE_MAX);
        return NULL;
    }
    root = qobject_from_json(text, errp);
    if (!root) {
        return NULL;
    }
    if (qobject_to(QDict, root)) {
        properties = qdict_get_qdict(qobject_to(QDict, root), "properties");
    }
    if (properties) {
        qobject_ref(properties);
    } else {
        error_setg(errp, "there is no object \"properties\"");
    }
    qobject_unref(root);
    return properties;
}

/* Returns the index of a property that a profile may set, or -1. */
static int profile_index(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(profile_properties); i++) {
        if (!strcmp(name, profile_properties[i])) {
            return i;
        }
    }
    return -1;
}

/* ---- What the user has set ---- */

/* What QEMU calls to set each of them */
static ObjectPropertyAccessor *
profile_setters[ARRAY_SIZE(profile_properties)];

/*
 * QEMU also sets defaults like this, before epc_instance_init() clears
 * EpcState.given.
 */
static void profile_note_set(Object *obj, Visitor *v, const char *name,
                             void *opaque, Error **errp)
{
    int i = profile_index(name);

    profile_setters[i](obj, v, name, opaque, errp);
    PCI_EPC(obj)->given |= BIT(i);
}

void epc_profile_class_init(ObjectClass *oc)
{
    QEMU_BUILD_BUG_ON(ARRAY_SIZE(profile_properties) > 32);

    for (unsigned i = 0; i < ARRAY_SIZE(profile_properties); i++) {
        ObjectProperty *p = object_class_property_find(oc,
                                                       profile_properties[i]);

        profile_setters[i] = p->set;
        p->set = profile_note_set;
    }
}

/* ---- The profile ---- */

static bool profile_set(Object *obj, const char *name, QObject *value,
                        Error **errp)
{
    ERRP_GUARD();
    QString *text = qobject_to(QString, value);
    bool done = text ?
                object_property_parse(obj, name, qstring_get_str(text), errp) :
                object_property_set_qobject(obj, name, value, errp);

    if (!done) {
        error_prepend(errp, "property '%s': ", name);
    }
    return done;
}

static bool profile_set_all(EpcState *s, const QDict *properties,
                            Error **errp)
{
    uint32_t given = s->given;

    for (const QDictEntry *e = qdict_first(properties); e;
         e = qdict_next(properties, e)) {
        const char *name = qdict_entry_key(e);
        int i = profile_index(name);

        if (i < 0) {
            error_setg(errp, "a profile cannot set the property '%s'", name);
            return false;
        }
        if (!(given & BIT(i)) &&
            !profile_set(OBJECT(s), name, qdict_entry_value(e), errp)) {
            return false;
        }
    }
    return true;
}

bool epc_profile_apply(EpcState *s, Error **errp)
{
    ERRP_GUARD();
    QDict *properties;
    bool done;

    if (!s->profile || !*s->profile) {
        return true;
    }
    properties = profile_read(s->profile, errp);
    done = properties && profile_set_all(s, properties, errp);
    if (!done) {
        error_prepend(errp, "pci-epc: profile %s: ", s->profile);
    }
    qobject_unref(properties);
    return done;
}
