/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json: reads untrusted text in place, without allocating memory
 *
 * QEMU's own parser does not suit text of a peer: it needs a thousand times the
 * memory of the text, and leaks it when a key comes twice.
 */
#include "qemu/osdep.h"
#include "hw/pci-ep/wire/json.h"

#define JSON_MAX_DEPTH 32

bool epw_json_is(const EpwJsonText *t, const char *s)
{
    return t->n == strlen(s) && !memcmp(t->p, s, t->n);
}

bool epw_json_begin(EpwJson *j, const char *p, size_t n)
{
    *j = (EpwJson) { .p = p, .end = p + n };
    return g_utf8_validate(p, n, NULL);
}

char epw_json_peek(EpwJson *j)
{
    while (j->p < j->end && memchr(" \t\r\n", *j->p, 4)) {
        j->p++;
    }
    return j->p < j->end ? *j->p : '\0';
}

bool epw_json_end(EpwJson *j)
{
    epw_json_peek(j);
    return j->p == j->end;
}

static bool json_take(EpwJson *j, char c)
{
    if (epw_json_peek(j) != c || j->p == j->end) {
        return false;
    }
    j->p++;
    return true;
}

/* Consumes what follows the backslash. */
static bool json_skip_escape(EpwJson *j)
{
    int digits = 4;

    if (j->p == j->end || !memchr("\"\\/bfnrtu", *j->p, 9)) {
        return false;
    }
    if (*j->p++ != 'u') {
        return true;
    }
    while (digits && j->p < j->end && g_ascii_isxdigit(*j->p)) {
        j->p++;
        digits--;
    }
    return !digits;
}

bool epw_json_string(EpwJson *j, EpwJsonText *t)
{
    if (!json_take(j, '"')) {
        return false;
    }
    t->p = j->p;
    while (j->p < j->end && (unsigned char)*j->p >= ' ') {
        char c = *j->p++;

        if (c == '"') {
            t->n = j->p - 1 - t->p;
            return true;
        }
        if (c == '\\' && !json_skip_escape(j)) {
            return false;
        }
    }
    return false;
}

static bool json_take_digits(EpwJson *j)
{
    const char *first = j->p;

    while (j->p < j->end && g_ascii_isdigit(*j->p)) {
        j->p++;
    }
    return j->p > first;
}

static bool json_take_one_of(EpwJson *j, const char *set)
{
    if (j->p < j->end && memchr(set, *j->p, strlen(set))) {
        j->p++;
        return true;
    }
    return false;
}

bool epw_json_number(EpwJson *j, EpwJsonText *t)
{
    epw_json_peek(j);
    t->p = j->p;
    json_take_one_of(j, "-");
    if (!json_take_one_of(j, "0") && !json_take_digits(j)) {
        return false;
    }
    if (json_take_one_of(j, ".") && !json_take_digits(j)) {
        return false;
    }
    if (json_take_one_of(j, "eE")) {
        json_take_one_of(j, "+-");
        if (!json_take_digits(j)) {
            return false;
        }
    }
    t->n = j->p - t->p;
    return true;
}

/* Walks an object or an array; @brackets are its first and last byte. */
static bool json_walk(EpwJson *j, const char *brackets, EpwJsonVisit *visit,
                      void *opaque)
{
    bool object = brackets[0] == '{';

    if (!json_take(j, brackets[0]) || j->depth == JSON_MAX_DEPTH) {
        return false;
    }
    if (json_take(j, brackets[1])) {
        return true;
    }
    j->depth++;
    do {
        EpwJsonText key;

        if (object && (!epw_json_string(j, &key) || !json_take(j, ':'))) {
            return false;
        }
        if (!visit(j, object ? &key : NULL, opaque)) {
            return false;
        }
    } while (json_take(j, ','));
    j->depth--;
    return json_take(j, brackets[1]);
}

bool epw_json_object(EpwJson *j, EpwJsonVisit *visit, void *opaque)
{
    return json_walk(j, "{}", visit, opaque);
}

bool epw_json_array(EpwJson *j, EpwJsonVisit *visit, void *opaque)
{
    return json_walk(j, "[]", visit, opaque);
}

static bool json_skip_value(EpwJson *j, const EpwJsonText *key, void *opaque)
{
    return epw_json_skip(j);
}

static bool json_skip_word(EpwJson *j)
{
    static const char *const words[] = { "true", "false", "null" };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        size_t n = strlen(words[i]);

        if (j->end - j->p >= n && !memcmp(j->p, words[i], n)) {
            j->p += n;
            return true;
        }
    }
    return false;
}

bool epw_json_bool(EpwJson *j, bool *value)
{
    char first = epw_json_peek(j);

    *value = first == 't';
    return (first == 't' || first == 'f') && json_skip_word(j);
}

bool epw_json_skip(EpwJson *j)
{
    EpwJsonText t;

    switch (epw_json_peek(j)) {
    case '{':
        return epw_json_object(j, json_skip_value, NULL);
    case '[':
        return epw_json_array(j, json_skip_value, NULL);
    case '"':
        return epw_json_string(j, &t);
    case 't':
    case 'f':
    case 'n':
        return json_skip_word(j);
    default:
        return epw_json_number(j, &t);
    }
}
