/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report: warnings to the user of the host about the endpoint
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/thread.h"
#include "hw/misc/epf-bridge/remote/report.h"
#include "hw/misc/epf-bridge/remote/state.h"
#include "hw/misc/epf-bridge/trace.h"

/*
 * Different texts that a connection prints; later ones only reach the property
 */
#define EPF_REPORT_MAX_TEXTS 64

static void epf_report_keep(EpfConnection *c, const char *text)
{
    QEMU_LOCK_GUARD(&c->lock);
    g_free(c->last_error);
    c->last_error = g_strdup(text);
}

/*
 * Keeps @text for the property.  Returns true if it has to be printed as well.
 */
static bool epf_report_is_new(EpfConnection *c, const char *text)
{
    bool is_new;

    epf_report_keep(c, text);
    if (c->first) {
        epf_report_keep(c->first, text);
    }
    trace_epf_bridge_report(c->device, c->func, text);
    WITH_QEMU_LOCK_GUARD(&c->lock) {
        is_new = g_hash_table_size(c->warned) < EPF_REPORT_MAX_TEXTS &&
                 g_hash_table_add(c->warned, g_strdup(text));
    }
    return is_new;
}

static void G_GNUC_PRINTF(3, 0)
epf_report_v(EpfConnection *c, const char *hint, const char *fmt, va_list ap)
{
    g_autofree char *phrase = g_strdup_vprintf(fmt, ap);
    g_autofree char *text = hint ? g_strdup_printf("%s (%s)", phrase, hint) :
                                   g_strdup(phrase);

    if (epf_report_is_new(c, text)) {
        warn_report("%s: %s", c->name, phrase);
        if (hint) {
            error_printf("%s\n", hint);
        }
    }
}

void epf_connection_report(EpfConnection *c, const char *hint,
                           const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    epf_report_v(c, hint, fmt, ap);
    va_end(ap);
}

void epf_connection_report_err(EpfConnection *c, Error *err)
{
    if (epf_report_is_new(c, error_get_pretty(err))) {
        error_prepend(&err, "%s: ", c->name);
        warn_report_err(err);
    } else {
        error_free(err);
    }
}

void epf_remote_report(EpfRemote *r, const char *hint, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    epf_report_v(r->connection, hint, fmt, ap);
    va_end(ap);
}

void epf_remote_report_err(EpfRemote *r, Error *err)
{
    epf_connection_report_err(r->connection, err);
}

char *epf_connection_last_error(EpfConnection *c)
{
    QEMU_LOCK_GUARD(&c->lock);
    return g_strdup(c->last_error ?: "");
}
