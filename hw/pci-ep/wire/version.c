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
#include "epw-json.h"
#include "hw/pci-ep/epw.h"

#define KEY_MAX_FDS     "max_msg_fds"
#define KEY_MAX_XFER    "max_data_xfer_size"

static const char *const feature_names[] = {
    "link", "reset", "remap", "intx", "areas", "func", "fault",
};

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
typedef struct Reader {
    Version *out;
    bool has_version;       /* of our key */
    Error **errp;           /* set for what is refused but valid JSON */
} Reader;

static bool is_whole(const EpwJsonText *t)
{
    return !memchr(t->p, '.', t->n) && !memchr(t->p, 'e', t->n) &&
           !memchr(t->p, 'E', t->n);
}

static bool read_limit(EpwJson *j, const EpwJsonText *key, bool *has,
                       uint32_t *val, uint32_t min, uint32_t max,
                       Error **errp)
{
    g_autofree char *digits = NULL;
    EpwJsonText t;
    uint64_t v;

    if (!*has && epw_json_number(j, &t) && is_whole(&t)) {
        digits = g_strndup(t.p, t.n);
        *has = g_ascii_string_to_unsigned(digits, 10, min, UINT64_MAX, &v,
                                          NULL);
        if (*has) {
            *val = MIN(v, max);
            return true;
        }
    }
    error_setg(errp, "the peer's '%.*s' in VERSION must be one whole number "
               "of at least %" PRIu32 "; fix or update the peer",
               (int)key->n, key->p, min);
    return false;
}

static bool visit_feature(EpwJson *j, const EpwJsonText *key, void *opaque)
{
    Reader *r = opaque;
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

static bool visit_ep(EpwJson *j, const EpwJsonText *key, void *opaque)
{
    Reader *r = opaque;
    EpwJsonText t;

    if (epw_json_is(key, "version")) {
        if (r->has_version || !epw_json_number(j, &t) || !is_whole(&t)) {
            return false;
        }
        r->has_version = true;
        r->out->has_ep = epw_json_is(&t, stringify(VFU_EP_VERSION));
        return true;
    }
    if (epw_json_is(key, "features")) {
        return epw_json_array(j, visit_feature, r);
    }
    return epw_json_skip(j);
}

static bool read_ep(EpwJson *j, Reader *r)
{
    if (r->has_version || !epw_json_object(j, visit_ep, r) ||
        !r->has_version) {
        error_setg(r->errp, "the peer's '" VFU_EP_KEY "' in VERSION must be "
                   "one object with a number 'version' and a list "
                   "'features'; fix or update the peer");
        return false;
    }
    if (!r->out->has_ep) {
        r->out->features = 0;
    }
    return true;
}

static bool visit_caps(EpwJson *j, const EpwJsonText *key, void *opaque)
{
    Reader *r = opaque;
    Version *out = r->out;

    if (epw_json_is(key, KEY_MAX_FDS)) {
        return read_limit(j, key, &out->has_max_fds, &out->max_fds, 0,
                          EPW_MAX_FDS, r->errp);
    }
    if (epw_json_is(key, KEY_MAX_XFER)) {
        return read_limit(j, key, &out->has_max_xfer, &out->max_xfer, 1,
                          EPW_MAX_XFER, r->errp);
    }
    if (epw_json_is(key, VFU_EP_KEY)) {
        return read_ep(j, r);
    }
    return epw_json_skip(j);
}

static bool visit_top(EpwJson *j, const EpwJsonText *key, void *opaque)
{
    Reader *r = opaque;

    if (!epw_json_is(key, "capabilities")) {
        return epw_json_skip(j);
    }
    return epw_json_object(j, visit_caps, r);
}

static bool read_json(const char *text, size_t n, Version *out, Error **errp)
{
    Error *err = NULL;
    Reader r = { .out = out, .errp = &err };
    EpwJson j;

    if (epw_json_begin(&j, text, n) && epw_json_object(&j, visit_top, &r) &&
        epw_json_end(&j)) {
        out->has_json = true;
        return true;
    }
    if (!err) {
        error_setg(&err, "the peer's VERSION is not valid JSON, or no object "
                   "with an object 'capabilities', from byte %zu on; "
                   "fix or update the peer", (size_t)(j.p - text));
    }
    error_propagate(errp, err);
    return false;
}

static bool version_read(const uint8_t *p, size_t n, Version *out,
                         Error **errp)
{
    const char *text = (const char *)p + sizeof(out->v);
    size_t len = n - sizeof(out->v);

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
    return read_json(text, len - 1, out, errp);
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
