/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault: faults that the user asks for while a device runs
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/cutils.h"
#include "qemu/keyval.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "qobject/json-writer.h"
#include "qobject/qdict.h"
#include "qobject/qstring.h"
#include "hw/pci-ep/shared/fault.h"
#include "hw/pci-ep/wire/locks.h"

/* The keys of each kind that is armed */
#define FAULT_COMMON (BIT(EP_FAULT_COUNT) | BIT(EP_FAULT_AFTER) | \
                      BIT(EP_FAULT_CHANCE) | BIT(EP_FAULT_FUNCTION))
#define FAULT_CLEAR "clear"
#define FAULT_MAX_DELAY_US (60 * 1000 * 1000)
#define FAULT_MAX_MS (600 * 1000)

typedef struct FaultKey {
    const char *name;
    uint32_t min;
    uint32_t max;
    uint32_t usual;             /* value when the request has none */
    const char *const *words;   /* one for each value, when it is no number */
} FaultKey;

static const char *const fault_severities[] = {
    [EP_FAULT_CORRECTABLE] = "correctable",
    [EP_FAULT_NONFATAL] = "nonfatal",
    [EP_FAULT_FATAL] = "fatal",
};

static const FaultKey fault_keys[EP_FAULT_KEYS] = {
    [EP_FAULT_COUNT] = { "count", 0, UINT32_MAX, 1 },
    [EP_FAULT_AFTER] = { "after", 0, UINT32_MAX, 0 },
    [EP_FAULT_CHANCE] = { "chance", 1, 100, 100 },
    [EP_FAULT_FUNCTION] = { "function", 0, 255, EP_FAULT_EVERY },
    [EP_FAULT_US] = { "us", 0, FAULT_MAX_DELAY_US, 1000 },
    [EP_FAULT_JITTER] = { "jitter", 0, FAULT_MAX_DELAY_US, 0 },
    [EP_FAULT_MS] = { "ms", 0, FAULT_MAX_MS, 0 },
    [EP_FAULT_SPEED] = { "speed", 1, 6, 0 },
    [EP_FAULT_WIDTH] = { "width", 1, 32, 0 },
    [EP_FAULT_SEVERITY] = { "severity", EP_FAULT_CORRECTABLE, EP_FAULT_FATAL,
                            EP_FAULT_NONFATAL, fault_severities },
};

typedef struct FaultRecord {
    int64_t time_us;
    uint64_t at;
    uint32_t function;
    unsigned kind;
} FaultRecord;

struct EpFaults {
    const EpFaultKind *kinds;
    unsigned nkinds;
    EpFaultSeen *seen;
    void *opaque;

    uint32_t armed;     /* written with the lock held, read without */

    /* No other lock is taken under it. */
    QemuMutex lock;
    GArray *requests EP_GUARDED_BY(&lock);      /* EpFault, those armed */
    GRand *random EP_GUARDED_BY(&lock);
    FaultRecord log[EP_FAULTS_MAX_LOG] EP_GUARDED_BY(&lock);
    uint64_t logged EP_GUARDED_BY(&lock);       /* records ever made */
};

EpFaults *ep_faults_new(const EpFaultKind *kinds, unsigned count,
                        EpFaultSeen *seen, void *opaque)
{
    EpFaults *faults = g_new0(EpFaults, 1);

    faults->kinds = kinds;
    faults->nkinds = MIN(count, EP_FAULTS_MAX_KINDS);
    faults->seen = seen;
    faults->opaque = opaque;
    qemu_mutex_init(&faults->lock);
    WITH_QEMU_LOCK_GUARD(&faults->lock) {
        faults->requests = g_array_new(false, false, sizeof(EpFault));
        faults->random = g_rand_new_with_seed(1);
    }
    return faults;
}

void ep_faults_free(EpFaults *faults)
{
    if (!faults) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&faults->lock) {
        g_array_unref(faults->requests);
        g_rand_free(faults->random);
    }
    qemu_mutex_destroy(&faults->lock);
    g_free(faults);
}

void ep_faults_seed(EpFaults *faults, uint32_t seed)
{
    QEMU_LOCK_GUARD(&faults->lock);
    g_rand_set_seed(faults->random, seed);
}

uint32_t ep_faults_armed(const EpFaults *faults)
{
    return qatomic_read(&faults->armed);
}

/* ---- Requests ---- */

static uint32_t fault_kind_keys(const EpFaultKind *kind)
{
    return kind->keys | (kind->now ? 0 : FAULT_COMMON);
}

/* Returns the number of the kind called @name, or -1. */
static int fault_find_kind(const EpFaults *faults, const char *name,
                           Error **errp)
{
    g_autoptr(GString) names = g_string_new(FAULT_CLEAR);

    for (unsigned i = 0; i < faults->nkinds; i++) {
        if (!strcmp(faults->kinds[i].name, name)) {
            return i;
        }
        g_string_append_printf(names, ", %s", faults->kinds[i].name);
    }
    error_setg(errp, "this device has no fault '%s'", name);
    error_append_hint(errp, "It has: %s.\n", names->str);
    return -1;
}

static int fault_find_key(const EpFaultKind *kind, const char *name,
                          Error **errp)
{
    g_autoptr(GString) names = g_string_new(NULL);
    uint32_t keys = fault_kind_keys(kind);

    for (unsigned i = 0; i < EP_FAULT_KEYS; i++) {
        if (!(keys & BIT(i))) {
            continue;
        }
        if (!strcmp(fault_keys[i].name, name)) {
            return i;
        }
        g_string_append_printf(names, "%s%s", names->len ? ", " : "",
                               fault_keys[i].name);
    }
    error_setg(errp, "fault '%s' has no key '%s'", kind->name, name);
    error_append_hint(errp, "It has: %s.\n",
                      names->len ? names->str : "no keys");
    return -1;
}

static bool fault_parse_word(const FaultKey *key, const char *text,
                             uint32_t *value, Error **errp)
{
    for (uint32_t i = key->min; i <= key->max; i++) {
        if (!strcmp(key->words[i], text)) {
            *value = i;
            return true;
        }
    }
    error_setg(errp, "'%s=%s' is not one of '%s' to '%s'", key->name, text,
               key->words[key->min], key->words[key->max]);
    return false;
}

static bool fault_parse_value(const FaultKey *key, const char *text,
                              uint32_t *value, Error **errp)
{
    uint64_t number;

    if (key->words) {
        return fault_parse_word(key, text, value, errp);
    }
    if (qemu_strtou64(text, NULL, 0, &number) < 0 ||
        number < key->min || number > key->max) {
        error_setg(errp, "'%s=%s' is not a number from %u to %u", key->name,
                   text, key->min, key->max);
        return false;
    }
    *value = number;
    return true;
}

static bool fault_parse_keys(const EpFaultKind *kind, const QDict *dict,
                             EpFault *fault, Error **errp)
{
    for (const QDictEntry *e = qdict_first(dict); e; e = qdict_next(dict, e)) {
        const QString *text = qobject_to(QString, qdict_entry_value(e));
        int key;

        if (!strcmp(qdict_entry_key(e), "kind")) {
            continue;
        }
        key = fault_find_key(kind, qdict_entry_key(e), errp);
        if (key < 0) {
            return false;
        }
        /* keyval_parse() makes a list or a dictionary of a dotted key. */
        if (!text) {
            error_setg(errp, "'%s' is not a single value",
                       qdict_entry_key(e));
            return false;
        }
        if (!fault_parse_value(&fault_keys[key], qstring_get_str(text),
                               &fault->value[key], errp)) {
            return false;
        }
    }
    return true;
}

static bool fault_arm(EpFaults *faults, const EpFault *fault, Error **errp)
{
    QEMU_LOCK_GUARD(&faults->lock);
    if (faults->requests->len >= EP_FAULTS_MAX_ARMED) {
        error_setg(errp, "%u faults are armed already", EP_FAULTS_MAX_ARMED);
        error_append_hint(errp, "The request 'clear' takes them back.\n");
        return false;
    }
    g_array_append_vals(faults->requests, fault, 1);
    qatomic_set(&faults->armed, faults->armed | BIT(fault->kind));
    return true;
}

static void fault_clear(EpFaults *faults)
{
    QEMU_LOCK_GUARD(&faults->lock);
    g_array_set_size(faults->requests, 0);
    qatomic_set(&faults->armed, 0);
}

bool ep_faults_request(EpFaults *faults, const char *text, bool *now,
                       EpFault *fault, Error **errp)
{
    ERRP_GUARD();
    g_autoptr(QDict) dict = NULL;
    const char *name;
    int kind;

    *now = false;
    if (!strcmp(text, FAULT_CLEAR)) {
        fault_clear(faults);
        return true;
    }
    dict = keyval_parse(text, "kind", NULL, errp);
    if (!dict) {
        return false;
    }
    name = qdict_get_try_str(dict, "kind");
    kind = fault_find_kind(faults, name ?: "", errp);
    if (kind < 0) {
        return false;
    }
    fault->kind = kind;
    for (unsigned i = 0; i < EP_FAULT_KEYS; i++) {
        fault->value[i] = fault_keys[i].usual;
    }
    if (!fault_parse_keys(&faults->kinds[kind], dict, fault, errp)) {
        return false;
    }
    *now = faults->kinds[kind].now;
    return *now || fault_arm(faults, fault, errp);
}

char *ep_faults_armed_text(EpFaults *faults)
{
    g_autoptr(GString) text = g_string_new(NULL);

    QEMU_LOCK_GUARD(&faults->lock);
    for (unsigned i = 0; i < faults->requests->len; i++) {
        const EpFault *f = &g_array_index(faults->requests, EpFault, i);
        uint32_t keys = fault_kind_keys(&faults->kinds[f->kind]);

        g_string_append_printf(text, "%s%s", i ? ";" : "",
                               faults->kinds[f->kind].name);
        for (unsigned k = 0; k < EP_FAULT_KEYS; k++) {
            const FaultKey *key = &fault_keys[k];

            if (!(keys & BIT(k)) || f->value[k] == key->usual) {
                continue;
            }
            g_string_append_printf(text, ",%s=", key->name);
            if (key->words) {
                g_string_append(text, key->words[f->value[k]]);
            } else {
                g_string_append_printf(text, "%u", f->value[k]);
            }
        }
    }
    return g_string_free(g_steal_pointer(&text), false);
}

/* ---- Faults that happen ---- */

static void fault_log_add(EpFaults *faults, unsigned kind, uint32_t function,
                          uint64_t at) EP_REQUIRES(&faults->lock);
static void fault_log_add(EpFaults *faults, unsigned kind, uint32_t function,
                          uint64_t at)
{
    faults->log[faults->logged % EP_FAULTS_MAX_LOG] = (FaultRecord) {
        .time_us = g_get_real_time(),
        .at = at,
        .function = function,
        .kind = kind,
    };
    faults->logged++;
}

static void fault_update_armed(EpFaults *faults) EP_REQUIRES(&faults->lock);
static void fault_update_armed(EpFaults *faults)
{
    uint32_t armed = 0;

    for (unsigned i = 0; i < faults->requests->len; i++) {
        armed |= BIT(g_array_index(faults->requests, EpFault, i).kind);
    }
    qatomic_set(&faults->armed, armed);
}

/* Returns true when request @i takes this chance. It may be gone then. */
static bool fault_try(EpFaults *faults, unsigned i, EpFault *fault)
    EP_REQUIRES(&faults->lock);
static bool fault_try(EpFaults *faults, unsigned i, EpFault *fault)
{
    EpFault *f = &g_array_index(faults->requests, EpFault, i);

    if (f->value[EP_FAULT_AFTER]) {
        f->value[EP_FAULT_AFTER]--;
        return false;
    }
    if (g_rand_int_range(faults->random, 0, 100) >= f->value[EP_FAULT_CHANCE]) {
        return false;
    }
    *fault = *f;
    if (f->value[EP_FAULT_JITTER]) {
        fault->value[EP_FAULT_US] += g_rand_int_range(
            faults->random, 0, f->value[EP_FAULT_JITTER] + 1);
    }
    if (f->value[EP_FAULT_COUNT] && !--f->value[EP_FAULT_COUNT]) {
        g_array_remove_index(faults->requests, i);
        fault_update_armed(faults);
    }
    return true;
}

/* The first request takes the chance that all requests of its kind have. */
bool ep_faults_take(EpFaults *faults, unsigned kind, uint32_t function,
                    uint64_t at, EpFault *fault)
{
    bool hit = false;

    WITH_QEMU_LOCK_GUARD(&faults->lock) {
        for (unsigned i = 0; i < faults->requests->len && !hit; i++) {
            const EpFault *f = &g_array_index(faults->requests, EpFault, i);

            if (f->kind == kind &&
                (f->value[EP_FAULT_FUNCTION] == EP_FAULT_EVERY ||
                 f->value[EP_FAULT_FUNCTION] == function)) {
                hit = fault_try(faults, i, fault);
            }
        }
        if (hit) {
            fault_log_add(faults, kind, function, at);
        }
    }
    if (hit && faults->seen) {
        faults->seen(faults->opaque, faults->kinds[kind].name, function, at);
    }
    return hit;
}

void ep_faults_record(EpFaults *faults, unsigned kind, uint32_t function,
                      uint64_t at)
{
    WITH_QEMU_LOCK_GUARD(&faults->lock) {
        fault_log_add(faults, kind, function, at);
    }
    if (faults->seen) {
        faults->seen(faults->opaque, faults->kinds[kind].name, function, at);
    }
}

char *ep_faults_log(EpFaults *faults)
{
    JSONWriter *writer = json_writer_new(false);
    uint64_t first;
    char *text;

    json_writer_start_array(writer, NULL);
    WITH_QEMU_LOCK_GUARD(&faults->lock) {
        first = faults->logged;
        first -= MIN(first, EP_FAULTS_MAX_LOG);
        for (uint64_t i = first; i < faults->logged; i++) {
            const FaultRecord *r = &faults->log[i % EP_FAULTS_MAX_LOG];

            json_writer_start_object(writer, NULL);
            json_writer_int64(writer, "time-us", r->time_us);
            json_writer_str(writer, "fault", faults->kinds[r->kind].name);
            if (r->function == EP_FAULT_EVERY) {
                json_writer_null(writer, "function");
            } else {
                json_writer_uint64(writer, "function", r->function);
            }
            json_writer_uint64(writer, "at", r->at);
            json_writer_end_object(writer);
        }
    }
    json_writer_end_array(writer);
    text = g_strdup(json_writer_get(writer));
    json_writer_free(writer);
    return text;
}
