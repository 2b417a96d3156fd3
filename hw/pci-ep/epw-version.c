/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epw version: the payload of VERSION, written and read
 *
 * Only what this side needs is written: stock clients bound the length of the
 * answer and refuse capabilities they did not propose.  Whatever is read and
 * not known is ignored; a known member of the wrong type is refused.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
#include "qobject/qnum.h"
#include "qobject/qstring.h"
#include "hw/pci-ep/epw.h"

#define KEY_MAX_FDS     "max_msg_fds"
#define KEY_MAX_XFER    "max_data_xfer_size"

static const char *const feature_names[] = { "link", "reset", "remap", "intx" };

/* What a VERSION payload says */
typedef struct Version {
    VfuVersion v;
    bool has_json;
    bool has_max_fds;
    bool has_max_xfer;
    bool has_ep;            /* our key, in a version we speak */
    uint32_t max_fds;
    uint32_t max_xfer;
    unsigned features;
} Version;

/*
 * ------------------------------------------------------------------------
 * Reading
 */
static bool read_limit(QDict *caps, const char *key, bool *has, uint32_t *val,
                       uint32_t min, uint32_t max, Error **errp)
{
    QObject *obj = qdict_get(caps, key);
    QNum *num = qobject_to(QNum, obj);
    uint64_t v;

    if (!obj) {
        return true;
    }
    if (!num || !qnum_get_try_uint(num, &v) || v < min) {
        error_setg(errp, "the peer's '%s' in VERSION must be a whole number "
                   "of at least %" PRIu32 "; fix or update the peer",
                   key, min);
        return false;
    }
    *has = true;
    *val = MIN(v, max);
    return true;
}

static unsigned feature_bits(const QList *list)
{
    const QListEntry *e;
    unsigned bits = 0;

    QLIST_FOREACH_ENTRY(list, e) {
        const QString *name = qobject_to(QString, qlist_entry_obj(e));

        for (size_t i = 0; name && i < ARRAY_SIZE(feature_names); i++) {
            if (!strcmp(qstring_get_str(name), feature_names[i])) {
                bits |= 1u << i;
            }
        }
    }
    return bits;
}

static bool read_ep(QDict *caps, Version *out, Error **errp)
{
    QObject *obj = qdict_get(caps, VFU_EP_KEY);
    QDict *ep = qobject_to(QDict, obj);
    QObject *features;
    QNum *num;
    int64_t version;

    if (!obj) {
        return true;
    }
    num = ep ? qobject_to(QNum, qdict_get(ep, "version")) : NULL;
    if (!num || !qnum_get_try_int(num, &version)) {
        error_setg(errp, "the peer's '" VFU_EP_KEY "' in VERSION has no "
                   "number 'version'; fix or update the peer");
        return false;
    }
    if (version != VFU_EP_VERSION) {
        return true;
    }
    features = qdict_get(ep, "features");
    if (features && !qobject_to(QList, features)) {
        error_setg(errp, "'features' of the peer's '" VFU_EP_KEY "' in "
                   "VERSION is not a list; fix or update the peer");
        return false;
    }
    out->has_ep = true;
    out->features = features ? feature_bits(qobject_to(QList, features)) : 0;
    return true;
}

static bool read_caps(QObject *json, Version *out, Error **errp)
{
    QDict *top = qobject_to(QDict, json);
    QObject *obj = top ? qdict_get(top, "capabilities") : NULL;
    QDict *caps = qobject_to(QDict, obj);

    if (!top || (obj && !caps)) {
        error_setg(errp, "the JSON of the peer's VERSION, or its "
                   "'capabilities', is not an object; fix or update the peer");
        return false;
    }
    if (!caps) {
        return true;
    }
    return read_limit(caps, KEY_MAX_FDS, &out->has_max_fds, &out->max_fds,
                      0, EPW_MAX_FDS, errp) &&
           read_limit(caps, KEY_MAX_XFER, &out->has_max_xfer, &out->max_xfer,
                      1, EPW_MAX_XFER, errp) &&
           read_ep(caps, out, errp);
}

static bool version_read(const uint8_t *p, size_t n, Version *out,
                         Error **errp)
{
    const char *text = (const char *)p + sizeof(out->v);
    size_t len = n - sizeof(out->v);
    Error *err = NULL;
    QObject *json;
    bool ok;

    *out = (Version) {
        .max_fds = VFU_DEFAULT_MAX_FDS,
        .max_xfer = VFU_DEFAULT_MAX_XFER,
    };
    if (n < sizeof(out->v)) {
        error_setg(errp, "the peer's VERSION is cut short at %zu bytes; "
                   "is it a vfio-user socket?", n);
        return false;
    }
    memcpy(&out->v, p, sizeof(out->v));
    if (out->v.major != VFU_VERSION_MAJOR) {
        error_setg(errp, "peer speaks vfio-user major %u; this side needs %u: "
                   "use versions of both that agree",
                   out->v.major, VFU_VERSION_MAJOR);
        return false;
    }
    if (!len) {
        return true;
    }
    if (len > EPW_MAX_JSON || memchr(text, '\0', len) != text + len - 1) {
        error_setg(errp, "the JSON of the peer's VERSION must be one string "
                   "of at most %u bytes that ends with NUL; "
                   "fix or update the peer", EPW_MAX_JSON);
        return false;
    }
    json = qobject_from_json(text, &err);
    if (!json) {
        error_setg(errp, "the peer's VERSION is not valid JSON (%s); "
                   "fix or update the peer",
                   err ? error_get_pretty(err) : "empty");
        error_free(err);
        return false;
    }
    out->has_json = true;
    ok = read_caps(json, out, errp);
    qobject_unref(json);
    return ok;
}

/*
 * ------------------------------------------------------------------------
 * Writing
 */
static void write_ep(GString *s, unsigned features)
{
    const char *sep = "";

    g_string_append_printf(s, "\"" VFU_EP_KEY "\":{\"version\":%d,"
                           "\"features\":[", VFU_EP_VERSION);
    for (size_t i = 0; i < ARRAY_SIZE(feature_names); i++) {
        if (features & (1u << i)) {
            g_string_append_printf(s, "%s\"%s\"", sep, feature_names[i]);
            sep = ",";
        }
    }
    g_string_append(s, "]}");
}

/* Writes those members that @w has. */
static uint8_t *version_write(const Version *w, size_t *len)
{
    g_autoptr(GString) s = g_string_new("{\"capabilities\":{");
    const char *sep = "";
    size_t json_len;
    uint8_t *p;

    if (w->has_max_fds) {
        g_string_append_printf(s, "\"" KEY_MAX_FDS "\":%" PRIu32, w->max_fds);
        sep = ",";
    }
    if (w->has_max_xfer) {
        g_string_append_printf(s, "%s\"" KEY_MAX_XFER "\":%" PRIu32, sep,
                               w->max_xfer);
        sep = ",";
    }
    if (w->has_ep) {
        g_string_append(s, sep);
        write_ep(s, w->features);
    }
    g_string_append(s, "}}");

    json_len = w->has_json ? s->len + 1 : 0;
    *len = sizeof(w->v) + json_len;
    p = g_malloc(*len);
    memcpy(p, &w->v, sizeof(w->v));
    memcpy(p + sizeof(w->v), s->str, json_len);
    return p;
}

/*
 * ------------------------------------------------------------------------
 * The three moves
 */
uint8_t *epw_version_offer(unsigned features, size_t *len)
{
    Version w = {
        .v = { VFU_VERSION_MAJOR, VFU_VERSION_MINOR },
        .has_json = true,
        .has_max_fds = true,
        .has_max_xfer = true,
        .has_ep = features & VFU_EP_FEATURES_ALL,
        .max_fds = EPW_MAX_FDS,
        .max_xfer = EPW_MAX_XFER,
        .features = features,
    };

    return version_write(&w, len);
}

static void set_caps(EpwCaps *caps, const Version *peer, unsigned features)
{
    *caps = (EpwCaps) {
        .minor = MIN(peer->v.minor, VFU_VERSION_MINOR),
        .features = peer->has_ep ? peer->features & features : 0,
        .max_fds = peer->max_fds,
        .max_xfer = peer->max_xfer,
    };
}

uint8_t *epw_version_answer(const uint8_t *p, size_t n, unsigned supported,
                            EpwCaps *caps, size_t *len, Error **errp)
{
    Version w;

    if (!version_read(p, n, &w, errp)) {
        return NULL;
    }
    set_caps(caps, &w, supported);

    /* What the client proposed is what the answer may contain. */
    w.v.minor = caps->minor;
    w.max_fds = EPW_MAX_FDS;
    w.max_xfer = EPW_MAX_XFER;
    w.has_ep = w.has_ep && (supported & VFU_EP_FEATURES_ALL);
    w.features = caps->features;
    return version_write(&w, len);
}

bool epw_version_accept(const uint8_t *p, size_t n, unsigned offered,
                        EpwCaps *caps, Error **errp)
{
    Version w;

    if (!version_read(p, n, &w, errp)) {
        return false;
    }
    set_caps(caps, &w, offered);
    return true;
}
