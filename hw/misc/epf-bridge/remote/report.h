/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report: warnings to the user of the host about the endpoint
 *
 * Each text becomes the property "last-error" of the bridge.  The first time it
 * is printed as a warning as well, with the name of the function's connection;
 * a peer that causes the same text over and over cannot flood the log.
 *
 * Any thread may call these functions.  They take EpfConnection.lock of the
 * function and then of function 0, never both at once.
 */
#ifndef HW_MISC_EPF_BRIDGE_REMOTE_REPORT_H
#define HW_MISC_EPF_BRIDGE_REMOTE_REPORT_H

#include "hw/misc/epf-bridge/remote/remote.h"

/* @hint says what the user can do about it; NULL when there is no advice. */
void epf_connection_report(EpfConnection *c, const char *hint,
                           const char *fmt, ...) G_GNUC_PRINTF(3, 4);
/* Frees @err.  The hint of @err is printed, but is not in "last-error". */
void epf_connection_report_err(EpfConnection *c, Error *err);

/* The same for the connection of @r */
void epf_remote_report(EpfRemote *r, const char *hint, const char *fmt, ...)
    G_GNUC_PRINTF(3, 4);
void epf_remote_report_err(EpfRemote *r, Error *err);

/* The last text; "" when there was none.  The caller frees it with g_free(). */
char *epf_connection_last_error(EpfConnection *c);

#endif /* HW_MISC_EPF_BRIDGE_REMOTE_REPORT_H */
