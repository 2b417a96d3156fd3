/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * calls: commands to the endpoint on behalf of a remote
 *
 * Any thread but the reader thread may call the functions that wait, also
 * epf_remote_post(), which waits sometimes; vCPUs and the main loop do so with
 * the BQL held.  Commands of one remote reach the endpoint in the order of the
 * calls.  Each function has a socket of its own, so there is no order between
 * remotes.  No function may be called with EpfRemote.lock or EpfConnection.lock
 * held.
 */
#ifndef HW_MISC_EPF_BRIDGE_REMOTE_CALLS_H
#define HW_MISC_EPF_BRIDGE_REMOTE_CALLS_H

#include "hw/pci-ep/wire/wire.h"
#include "hw/misc/epf-bridge/remote/remote.h"

/*
 * As epw_call() and epw_call_async(), and fail with -ENOTCONN once @r is dead.
 * The asynchronous one does not wait, so the reader thread may call it, too.
 */
int epf_remote_call(EpfRemote *r, uint16_t cmd, const struct iovec *iov,
                    int niov, const int *fds, unsigned nfds, EpwMsg **reply);
void epf_remote_call_async(EpfRemote *r, uint16_t cmd, const struct iovec *iov,
                           int niov, const int *fds, unsigned nfds,
                           EpwDone *done, void *opaque);

/*
 * Ends the session of @r without waiting, unless @r is no longer what its
 * connection has.  @why is for the user.  Any thread, also the reader thread of
 * another session.
 */
void epf_remote_end(EpfRemote *r, const char *why);

/*
 * For a message that the endpoint must get: ends the session of @r when @err
 * and @reply, of its EpwDone or of epf_remote_call(), say that it was not sent.
 * EPW_MAX_CALLS messages were unanswered then.  Any thread.
 */
void epf_remote_sent(EpfRemote *r, int err, const EpwMsg *reply);

/*
 * Counts the time since @since (of g_get_monotonic_time()) as one in which the
 * caller waited for the endpoint.  Does nothing in a thread without the BQL.
 * When slow answers for which the guest waited add up to a deadline the session
 * ends.
 */
void epf_remote_waited(EpfRemote *r, int64_t since);

/*
 * Access of @len bytes to a region by message; @region is a BAR number or
 * VFU_REGION_CONFIG.  A read that fails fills @buf with ones and returns false.
 */
bool epf_remote_read(EpfRemote *r, unsigned region, uint64_t offset,
                     void *buf, uint32_t len);
/* Waits until the endpoint has carried out the write. */
void epf_remote_write(EpfRemote *r, unsigned region, uint64_t offset,
                      const void *buf, uint32_t len);
/*
 * The same, but a vCPU does not wait before it has ended its instruction: see
 * epf_wait_settle().
 */
void epf_remote_write_settled(EpfRemote *r, unsigned region, uint64_t offset,
                              const void *buf, uint32_t len)
    EP_REQUIRES(&ep_bql);
/*
 * The same without waiting, unless EPF_MAX_POSTED writes are unanswered: an
 * endpoint that is slower than the guest then slows the guest down, as
 * epf_remote_write_settled() does.
 */
#define EPF_MAX_POSTED 64
void epf_remote_post(EpfRemote *r, unsigned region, uint64_t offset,
                     const void *buf, uint32_t len) EP_REQUIRES(&ep_bql);

/* Sends a reset of @kind, VFU_EP_RESET_*, and does not wait. */
void epf_remote_reset(EpfRemote *r, unsigned kind);

/* What the session has agreed on; the least possible when @r is dead */
EpwCaps epf_remote_caps(EpfRemote *r);
/* In milliseconds, of each wait for the endpoint */
unsigned epf_remote_deadline(const EpfRemote *r);
/* The argument of ep_file_new() for files of the endpoint */
bool epf_remote_trusts_unsealed(const EpfRemote *r);

/* Has the main loop look at the connection again. */
void epf_remote_changed(EpfRemote *r);
/* A thread of QEMU has delivered an interrupt of the function. */
void epf_remote_count_interrupt(EpfRemote *r);

#endif /* HW_MISC_EPF_BRIDGE_REMOTE_CALLS_H */
