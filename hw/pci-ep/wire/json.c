/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epw JSON: reads untrusted text in place, allocates nothing
 *
 * QEMU's own parser is not for text of a peer: it takes a thousand times the
 * memory of the text, and loses it where a key comes twice.
 */
#include "qemu/osdep.h"
#include "epw-json.h"

#define MAX_DEPTH 32

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

static bool take(EpwJson *j, char c)
{
    if (epw_json_peek(j) != c || j->p == j->end) {
        return false;
    }
    j->p++;
    return true;
}

/* What follows the backslash */
static bool skip_escape(EpwJson *j)
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
    if (!take(j, '"')) {
        return false;
    }
    t->p = j->p;
    while (j->p < j->end && (unsigned char)*j->p >= ' ') {
        char c = *j->p++;

        if (c == '"') {
            t->n = j->p - 1 - t->p;
            return true;
        }
        if (c == '\\' && !skip_escape(j)) {
            return false;
        }
    }
    return false;
}

static bool take_digits(EpwJson *j)
{
    const char *first = j->p;

    while (j->p < j->end && g_ascii_isdigit(*j->p)) {
        j->p++;
    }
    return j->p > first;
}

static bool take_one_of(EpwJson *j, const char *set)
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
    take_one_of(j, "-");
    if (!take_one_of(j, "0") && !take_digits(j)) {
        return false;
    }
    if (take_one_of(j, ".") && !take_digits(j)) {
        return false;
    }
    if (take_one_of(j, "eE")) {
        take_one_of(j, "+-");
        if (!take_digits(j)) {
            return false;
        }
    }
    t->n = j->p - t->p;
    return true;
}

static bool list(EpwJson *j, const char *brackets, EpwJsonVisit *visit,
                 void *opaque)
{
    bool object = brackets[0] == '{';

    if (!take(j, brackets[0]) || j->depth == MAX_DEPTH) {
        return false;
    }
    if (take(j, brackets[1])) {
        return true;
    }
    j->depth++;
    do {
        EpwJsonText key;

        if (object && (!epw_json_string(j, &key) || !take(j, ':'))) {
            return false;
        }
        if (!visit(j, object ? &key : NULL, opaque)) {
            return false;
        }
    } while (take(j, ','));
    j->depth--;
    return take(j, brackets[1]);
}

bool epw_json_object(EpwJson *j, EpwJsonVisit *visit, void *opaque)
{
    return list(j, "{}", visit, opaque);
}

bool epw_json_array(EpwJson *j, EpwJsonVisit *visit, void *opaque)
{
    return list(j, "[]", visit, opaque);
}

static bool skip_value(EpwJson *j, const EpwJsonText *key, void *opaque)
{
    return epw_json_skip(j);
}

static bool skip_word(EpwJson *j)
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

bool epw_json_skip(EpwJson *j)
{
    EpwJsonText t;

    switch (epw_json_peek(j)) {
    case '{':
        return epw_json_object(j, skip_value, NULL);
    case '[':
        return epw_json_array(j, skip_value, NULL);
    case '"':
        return epw_json_string(j, &t);
    case 't':
    case 'f':
    case 'n':
        return skip_word(j);
    default:
        return epw_json_number(j, &t);
    }
}
