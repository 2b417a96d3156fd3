/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json: reads untrusted text in place, without allocating memory
 *
 * The caller walks the text: each function consumes one value.  It returns
 * false when the next value is not of its kind, and then the caller gives up.
 */
#ifndef HW_PCI_EP_WIRE_JSON_H
#define HW_PCI_EP_WIRE_JSON_H

typedef struct EpwJson {
    const char *p;
    const char *end;
    unsigned depth;
} EpwJson;

/* A part of the text: a string without its quotes, or a number */
typedef struct EpwJsonText {
    const char *p;
    size_t n;
} EpwJsonText;

/* Consumes one value of an object, with its @key, or of an array, with NULL. */
typedef bool EpwJsonVisit(EpwJson *j, const EpwJsonText *key, void *opaque);

/*
 * Compares @t with @s.  Escapes are not decoded, so a string with an escape
 * equals nothing.
 */
bool epw_json_is(const EpwJsonText *t, const char *s);

/* Begins to walk @n bytes at @p.  Returns false when they are not UTF-8. */
bool epw_json_begin(EpwJson *j, const char *p, size_t n);

/* Returns true when only white space follows. */
bool epw_json_end(EpwJson *j);

/* Returns the first byte of the next value, which shows its type, or 0. */
char epw_json_peek(EpwJson *j);

bool epw_json_object(EpwJson *j, EpwJsonVisit *visit, void *opaque);
bool epw_json_array(EpwJson *j, EpwJsonVisit *visit, void *opaque);
bool epw_json_string(EpwJson *j, EpwJsonText *t);
bool epw_json_number(EpwJson *j, EpwJsonText *t);

/* Consumes true or false, which *@value tells. */
bool epw_json_bool(EpwJson *j, bool *value);

/* Consumes a value of any kind. */
bool epw_json_skip(EpwJson *j);

#endif /* HW_PCI_EP_WIRE_JSON_H */
