/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * version: writes and reads the payload of VERSION
 *
 * Only what this side needs is written: stock clients limit the length of the
 * answer and refuse capabilities that they did not propose.  Unknown members
 * that are read are ignored; a known member of the wrong type is refused.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/pci-ep/wire/json.h"
#include "hw/pci-ep/wire/wire.h"

#define KEY_MAX_FDS     "max_msg_fds"
#define KEY_MAX_XFER    "max_data_xfer_size"
#define KEY_WRITES      "write_multiple"

static const char *const feature_names[] = {
    "link", "reset", "remap", "intx", "areas", "func", "fault", "mask",
};

/* The contents of a VERSION payload */
typedef struct VersionPayload {
    VfuVersion v;
    bool has_json;
    bool has_max_fds;
    bool has_max_xfer;
    bool has_writes;        /* KEY_WRITES, whose value is in writes */
    bool writes;
    bool has_ep;            /* VFU_EP_KEY with a version that we know */
    uint32_t max_fds;
    uint32_t max_xfer;
    unsigned features;
} VersionPayload;

/* ---- Reading ---- */

typedef struct VersionReader {
    VersionPayload *out;
    bool has_version;       /* VFU_EP_KEY was read */
    Error **errp;           /* set when valid JSON is refused */
} VersionReader;

static bool version_is_whole(const EpwJsonText *t)
{
    return !memchr(t->p, '.', t->n) && !memchr(t->p, 'e', t->n) &&
           !memchr(t->p, 'E', t->n);
}

static bool version_read_limit(EpwJson *j, const EpwJsonText *key, bool *has,
                               uint32_t *val, uint32_t min, uint32_t max,
                               Error **errp)
{
    g_autofree char *digits = NULL;
    EpwJsonText t;
    uint64_t v;

    if (!*has && epw_json_number(j, &t) && version_is_whole(&t)) {
        digits = g_strndup(t.p, t.n);
        *has = g_ascii_string_to_unsigned(digits, 10, min, UINT64_MAX, &v,
                                          NULL);
        if (*has) {
            *val = MIN(v, max);
            return true;
        }
    }
    error_setg(errp, "the peer's '%.*s' in VERSION must be one whole number "
               "of at least %" PRIu32,
               (int)key->n, key->p, min);
    return false;
}

static bool version_read_writes(EpwJson *j, VersionReader *r)
{
    VersionPayload *out = r->out;

    if (out->has_writes || !epw_json_bool(j, &out->writes)) {
        error_setg(r->errp, "the peer's '" KEY_WRITES "' in VERSION must be "
                   "true or false");
        return false;
    }
    out->has_writes = true;
    return true;
}

static bool version_visit_feature(EpwJson *j, const EpwJsonText *key,
                                  void *opaque)
{
    VersionReader *r = opaque;
    EpwJsonText t;

    if (epw_json_peek(j) != '"') {
        return epw_json_skip(j);
    }
    if (!epw_json_string(j, &t)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(feature_names); i++) {
        if (epw_json_is(&t, feature_names[i])) {
            r->out->features |= 1u << i;
        }
    }
    return true;
}

static bool version_visit_ep(EpwJson *j, const EpwJsonText *key, void *opaque)
{
    VersionReader *r = opaque;
    EpwJsonText t;

    if (epw_json_is(key, "version")) {
        if (r->has_version || !epw_json_number(j, &t) ||
            !version_is_whole(&t)) {
            return false;
        }
        r->has_version = true;
        r->out->has_ep = epw_json_is(&t, stringify(VFU_EP_VERSION));
        return true;
    }
    if (epw_json_is(key, "features")) {
        return epw_json_array(j, version_visit_feature, r);
    }
    return epw_json_skip(j);
}

static bool version_read_ep(EpwJson *j, VersionReader *r)
{
    if (r->has_version || !epw_json_object(j, version_visit_ep, r) ||
        !r->has_version) {
        error_setg(r->errp, "the peer's '" VFU_EP_KEY "' in VERSION must be "
                   "one object with a number 'version' and a list "
                   "'features'");
        return false;
    }
    if (!r->out->has_ep) {
        r->out->features = 0;
    }
    return true;
}

static bool version_visit_caps(EpwJson *j, const EpwJsonText *key, void *opaque)
{
    VersionReader *r = opaque;
    VersionPayload *out = r->out;

    if (epw_json_is(key, KEY_MAX_FDS)) {
        return version_read_limit(j, key, &out->has_max_fds, &out->max_fds, 0,
                                  EPW_MAX_FDS, r->errp);
    }
    if (epw_json_is(key, KEY_MAX_XFER)) {
        return version_read_limit(j, key, &out->has_max_xfer, &out->max_xfer,
                                  EPW_MIN_XFER, EPW_MAX_XFER, r->errp);
    }
    if (epw_json_is(key, KEY_WRITES)) {
        return version_read_writes(j, r);
    }
    if (epw_json_is(key, VFU_EP_KEY)) {
        return version_read_ep(j, r);
    }
    return epw_json_skip(j);
}

static bool version_visit_top(EpwJson *j, const EpwJsonText *key, void *opaque)
{
    VersionReader *r = opaque;

    if (!epw_json_is(key, "capabilities")) {
        return epw_json_skip(j);
    }
    return epw_json_object(j, version_visit_caps, r);
}

static bool version_read_json(const char *text, size_t n, VersionPayload *out,
                              Error **errp)
{
    Error *err = NULL;
    VersionReader r = { .out = out, .errp = &err };
    EpwJson j;

    if (epw_json_begin(&j, text, n) &&
        epw_json_object(&j, version_visit_top, &r) && epw_json_end(&j)) {
        out->has_json = true;
        return true;
    }
    if (!err) {
        error_setg(&err, "the peer's VERSION is not valid JSON, or no object "
                   "with an object 'capabilities', from byte %zu on",
                   (size_t)(j.p - text));
    }
    error_propagate(errp, err);
    return false;
}

static bool version_parse(const uint8_t *p, size_t n, VersionPayload *out,
                          Error **errp)
{
    const char *text = (const char *)p + sizeof(out->v);
    size_t len = n - sizeof(out->v);

    *out = (VersionPayload) {
        .max_fds = VFU_DEFAULT_MAX_FDS,
        .max_xfer = VFU_DEFAULT_MAX_XFER,
    };
    if (n < sizeof(out->v)) {
        error_setg(errp, "the peer's VERSION is cut short at %zu bytes", n);
        return false;
    }
    memcpy(&out->v, p, sizeof(out->v));
    if (out->v.major != VFU_VERSION_MAJOR) {
        error_setg(errp, "the peer speaks vfio-user major %u, this side needs "
                   "%u", out->v.major, VFU_VERSION_MAJOR);
        return false;
    }
    if (!len) {
        return true;
    }
    if (len > EPW_MAX_JSON || memchr(text, '\0', len) != text + len - 1) {
        error_setg(errp, "the JSON of the peer's VERSION must be one string "
                   "of at most %u bytes that ends with NUL", EPW_MAX_JSON);
        return false;
    }
    return version_read_json(text, len - 1, out, errp);
}

static bool version_read(const uint8_t *p, size_t n, VersionPayload *out,
                         Error **errp)
{
    ERRP_GUARD();
    if (!version_parse(p, n, out, errp)) {
        error_append_hint(errp, "Use versions of both sides that agree.\n");
        return false;
    }
    return true;
}

/* ---- Writing ---- */

static void version_write_ep(GString *s, unsigned features)
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

/* Writes the members that @w has. */
static uint8_t *version_write(const VersionPayload *w, size_t *len)
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
    if (w->writes) {
        g_string_append_printf(s, "%s\"" KEY_WRITES "\":true", sep);
        sep = ",";
    }
    if (w->has_ep) {
        g_string_append(s, sep);
        version_write_ep(s, w->features);
    }
    g_string_append(s, "}}");

    json_len = w->has_json ? s->len + 1 : 0;
    *len = sizeof(w->v) + json_len;
    p = g_malloc(*len);
    memcpy(p, &w->v, sizeof(w->v));
    memcpy(p + sizeof(w->v), s->str, json_len);
    return p;
}

/* ---- The three messages ---- */

uint8_t *epw_version_offer(unsigned features, size_t *len)
{
    VersionPayload w = {
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

static void version_set_caps(EpwCaps *caps, const VersionPayload *peer,
                             unsigned features)
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
    VersionPayload w;

    if (!version_read(p, n, &w, errp)) {
        return NULL;
    }
    version_set_caps(caps, &w, supported);

    /* The answer may contain only what the client proposed. */
    w.v.minor = caps->minor;
    w.max_fds = caps->features ? EPW_MAX_FDS : EPW_PLAIN_MAX_FDS;
    w.max_xfer = EPW_MAX_XFER;
    w.has_ep = w.has_ep && (supported & VFU_EP_FEATURES_ALL);
    w.features = caps->features;
    return version_write(&w, len);
}

bool epw_version_accept(const uint8_t *p, size_t n, unsigned offered,
                        EpwCaps *caps, Error **errp)
{
    VersionPayload w;

    if (!version_read(p, n, &w, errp)) {
        return false;
    }
    version_set_caps(caps, &w, offered);
    return true;
}
