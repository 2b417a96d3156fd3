/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epw JSON: reads untrusted text in place, allocates nothing
 *
 * The caller walks the text: each function takes one value and returns false
 * when there is none of that kind, which ends the walk.
 */
#ifndef HW_PCI_EP_EPW_JSON_H
#define HW_PCI_EP_EPW_JSON_H

typedef struct EpwJson {
    const char *p;
    const char *end;
    unsigned depth;
} EpwJson;

/* A piece of the text: a string without its quotes, or a number */
typedef struct EpwJsonText {
    const char *p;
    size_t n;
} EpwJsonText;

/* Called on every value of an object (with key) or array (NULL); takes it. */
typedef bool EpwJsonVisit(EpwJson *j, const EpwJsonText *key, void *opaque);

/* Is @t the text @s?  Escapes are not decoded: such a string equals nothing. */
bool epw_json_is(const EpwJsonText *t, const char *s);

/* Begins with @n bytes at @p; false when they are not UTF-8. */
bool epw_json_begin(EpwJson *j, const char *p, size_t n);

/* True when nothing but white space is left. */
bool epw_json_end(EpwJson *j);

/* The first byte of the next value, 0 at the end: tells its type. */
char epw_json_peek(EpwJson *j);

bool epw_json_object(EpwJson *j, EpwJsonVisit *visit, void *opaque);
bool epw_json_array(EpwJson *j, EpwJsonVisit *visit, void *opaque);
bool epw_json_string(EpwJson *j, EpwJsonText *t);
bool epw_json_number(EpwJson *j, EpwJsonText *t);

/* Any value */
bool epw_json_skip(EpwJson *j);

#endif /* HW_PCI_EP_EPW_JSON_H */
