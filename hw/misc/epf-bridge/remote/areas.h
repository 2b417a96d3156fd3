/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * areas: what backs the BARs of a remote function
 *
 * A BAR has areas of memory, doorbells, and the rest, which the guest reaches
 * by message.  The endpoint describes a BAR when it is asked, may revoke it
 * with EP_REMAP at any time, and is then asked again.
 *
 * Pages and doorbells change here, in the reader thread and without the BQL.
 * Which areas of a BAR the guest sees as memory changes in the main loop, which
 * follows epf_areas_layout() (function/bars.c).
 *
 * All functions take EpfRemote.lock.
 */
#ifndef HW_MISC_EPF_BRIDGE_REMOTE_AREAS_H
#define HW_MISC_EPF_BRIDGE_REMOTE_AREAS_H

#include "hw/misc/epf-bridge/remote/remote.h"

bool epf_layout_equal(const EpfLayout *a, const EpfLayout *b);

/* Number of EP_REMAPs of @bar so far.  Any thread. */
unsigned epf_areas_revision(EpfRemote *r, unsigned bar);

/*
 * Asks for all that backs @bar and waits.  An answer is dropped when @bar is no
 * longer at @revision, and then the caller has to ask again.  What the endpoint
 * does not describe properly is reached by message.  Connection thread.
 */
void epf_areas_query(EpfRemote *r, unsigned bar, unsigned revision);

/*
 * EP_REMAP: when it returns no access reaches the old memory or the old
 * doorbells any more.  Reader thread.
 */
void epf_areas_revoke(EpfRemote *r, unsigned bar);
/* Asks again, once after each EP_REMAP, without waiting.  Any thread. */
void epf_areas_refetch(EpfRemote *r, unsigned bar);
/*
 * The same for each BAR that was revoked after epf_areas_query().  Connection
 * thread.
 */
void epf_areas_refetch_revoked(EpfRemote *r);

/*
 * The remote is dead from now on: all its memory reads all ones, also for
 * accesses that have begun, and who waits for its answers wakes.  Reader
 * thread.
 */
void epf_areas_kill(EpfRemote *r);

/* Copies the present layout.  Any thread. */
void epf_areas_layout(EpfRemote *r, unsigned bar, EpfLayout *layout);
/* Returns the present doorbells, referenced, or NULL.  Any thread. */
EpfDoorbells *epf_areas_doorbells(EpfRemote *r, unsigned bar);

/*
 * The guest sees @layout now.  If that is what the endpoint described last and
 * it waits to be asked for its doorbells, asks for them without waiting; the
 * question says that the guest reaches the new target.  Main loop.
 */
void epf_areas_shown(EpfRemote *r, unsigned bar, const EpfLayout *layout);

/*
 * Stores @size bytes in the endpoint's memory.  Returns false when no area has
 * them; the caller then sends a message.  vCPUs.
 */
bool epf_areas_store(EpfRemote *r, unsigned bar, uint64_t offset,
                     const void *buf, unsigned size);

#endif /* HW_MISC_EPF_BRIDGE_REMOTE_AREAS_H */
