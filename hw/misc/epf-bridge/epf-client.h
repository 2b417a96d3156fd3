/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-client: the vfio-user client of one remote function
 *
 * A thread of its own connects to the endpoint's socket, for ever and in any
 * order of starting, waits for the link and queries the device.  The result is
 * an EpfLink, offered to the main loop; the owner is told by @changed whenever
 * it should look again (a link came or went, a BAR or INTx changed).
 */
#ifndef HW_MISC_EPF_CLIENT_H
#define HW_MISC_EPF_CLIENT_H

#include "epf-link.h"

typedef struct EpfClientConfig {
    const char *path;           /* of the socket */
    const char *name;           /* for messages and the thread */
    unsigned deadline_ms;
    bool trust_unsealed;
    unsigned func;
    EpfClient *first;           /* function 0, which reports for all; or NULL */
} EpfClientConfig;

/* @changed: any thread, no locks of the client held, must not block. */
EpfClient *epf_client_new(const EpfClientConfig *cfg,
                          void (*changed)(void *opaque), void *opaque);
/* Lets the thread run.  Main loop, once. */
void epf_client_start(EpfClient *c);
/* Connects for ever, or leaves the endpoint alone, as at first. */
void epf_client_want(EpfClient *c, bool wanted);

/* False with @errp when no socket can ever appear at @path. */
bool epf_client_check_path(const char *path, Error **errp);

/* The link the guest should see, referenced, or NULL. */
EpfLink *epf_client_get_link(EpfClient *c);

bool epf_client_connected(EpfClient *c);
/* Messages sent and received so far, over all connections.  Any thread. */
uint64_t epf_client_messages(EpfClient *c);
/* Interrupts of the functions that a thread of QEMU delivered.  Any thread. */
void epf_client_count_interrupt(EpfClient *c);
uint64_t epf_client_interrupts(EpfClient *c);
/* g_free() it. */
char *epf_client_last_error(EpfClient *c);
/* Warns, once per text, and keeps it for the property. */
void epf_client_report(EpfClient *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
bool epf_client_trusts_unsealed(EpfClient *c);
unsigned epf_client_deadline(EpfClient *c);
unsigned epf_client_function(EpfClient *c);

/*
 * Commands on behalf of @l; fail with -ENOTCONN once @l is dead.  Otherwise as
 * epw_call() and epw_call_async().
 */
int epf_link_call(EpfLink *l, uint16_t cmd, const struct iovec *iov, int niov,
                  const int *fds, unsigned nfds, EpwMsg **reply);
void epf_link_call_async(EpfLink *l, uint16_t cmd, const struct iovec *iov,
                         int niov, const int *fds, unsigned nfds,
                         EpwDone *done, void *opaque);
EpwCaps epf_link_caps(EpfLink *l);
/* The owner of the client should look again. */
void epf_link_changed(EpfLink *l);

/*
 * The caller waited for the endpoint since that g_get_monotonic_time().  Slow
 * answers to callers with the BQL add up; when they fill a deadline in a short
 * time the session is ended.
 */
void epf_link_waited(EpfLink *l, int64_t since);

/* Region access by message; a failed read gives all ones, and false. */
bool epf_link_read(EpfLink *l, unsigned region, uint64_t offset,
                   void *buf, uint32_t len);
void epf_link_write(EpfLink *l, unsigned region, uint64_t offset,
                    const void *buf, uint32_t len);

/* Tells the endpoint of a reset; does not wait.  @kind: VFU_EP_RESET_*. */
void epf_link_reset(EpfLink *l, unsigned kind);

/* epf-query.c: fills the description of @l.  Link thread. */
bool epf_query(EpfLink *l, Error **errp);

#endif /* HW_MISC_EPF_CLIENT_H */
