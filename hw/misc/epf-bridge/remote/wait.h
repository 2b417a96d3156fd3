/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wait: how a thread that has the BQL waits for the endpoint
 *
 * While a thread waits with the BQL held, the monitor and all other vCPUs of
 * the guest wait as well.  So the BQL is held for a short time only.  There are
 * two ways to go on without it:
 *
 *  - A vCPU that needs nothing of the answer sends the command, ends its
 *    access, and waits before its next instruction (epf_wait_settle()).  This
 *    is possible anywhere, also inside of a memory transaction.
 *  - A thread that needs the answer releases the BQL in the middle of its
 *    access, between epf_wait_begin_*() and epf_wait_end_access().  This is
 *    possible only where nobody above it on the stack relies on the BQL.
 *
 * docs/devel/locking.rst has the reasons why both are right.
 */
#ifndef HW_MISC_EPF_BRIDGE_REMOTE_WAIT_H
#define HW_MISC_EPF_BRIDGE_REMOTE_WAIT_H

#include "hw/misc/epf-bridge/remote/remote.h"

/* ---- Answers that nobody needs ---- */

/*
 * A command is sent whose answer somebody will wait for.  Returns a reference
 * for its EpwDone, which passes it to epf_wait_end().  Any thread.
 */
EpfRemote *epf_wait_begin(EpfRemote *r);
void epf_wait_end(EpfRemote *r);

/*
 * Waits with the BQL held until at most @left answers are missing, the deadline
 * has passed, or @r is dead; the endpoint of a dead one has lost all ranges.
 */
void epf_wait_answers(EpfRemote *r, unsigned left) EP_REQUIRES(&ep_bql);

/*
 * A vCPU waits for all answers before its next instruction (with TCG before
 * its next translation block), without the BQL.  Any other thread waits here.
 */
void epf_wait_settle(EpfRemote *r) EP_REQUIRES(&ep_bql);

/*
 * The same at the end of a memory transaction.  The main loop waits here for a
 * twentieth of a second.  If answers are missing then, all vCPUs wait before
 * their next instruction.
 */
void epf_wait_commit(EpfRemote *r) EP_REQUIRES(&ep_bql);

/*
 * The functions of @remotes, of which some may be NULL, are about to vanish.
 * Waits for their answers as long as epf_wait_commit() does in the main loop,
 * once for all, and then ends the sessions of those that have not answered.
 */
void epf_wait_leave(EpfRemote **remotes) EP_REQUIRES(&ep_bql);

/* ---- Answers that an access needs ---- */

/* The name of the regions that stand for BARs by message */
#define EPF_MESSAGES_REGION "epf-messages"

typedef struct EpfAccess {
    struct EpfAccess *outer;
    MemReentrancyGuard *guard;  /* that QEMU has engaged for the access */
    bool may_release;           /* the BQL */
    bool released;
} EpfAccess;

/*
 * A load or store at guest physical address @addr of a memory region that has
 * no reentrancy guard.
 */
void epf_wait_begin_memory(EpfAccess *a, uint64_t addr, MemTxAttrs attrs);
/* A read of the configuration space of @d */
void epf_wait_begin_config(EpfAccess *a, PCIDevice *d);
void epf_wait_end_access(EpfAccess *a);

/*
 * Faults: can the access that is under way be delayed, so that nobody waits but
 * the vCPU that makes it?
 */
bool epf_wait_may_delay(void);
/*
 * Delays it for @us microseconds, without the BQL. Ends early when @r dies or
 * the vCPU is to stop. Called only if epf_wait_may_delay().
 */
void epf_wait_delay(EpfRemote *r, uint32_t us) EP_REQUIRES(&ep_bql);

/*
 * A thread declares that it took the BQL for nothing but an access to an
 * EPF_MESSAGES_REGION, until it calls this again with false.
 */
void epf_wait_is_outermost(bool yes);

/*
 * For epf_remote_call(): an EpwLate whose @opaque is the EpfRemote, and what
 * follows when the call is over.
 */
int64_t epf_wait_late(void *opaque);
void epf_wait_over(EpfRemote *r);

/*
 * Does a vCPU wait without the BQL?  Then it cannot be paused before it has its
 * answer, and EpfConnectionOps.changed() is called when none waits any more.
 */
bool epf_wait_in_progress(EpfConnection *c) EP_REQUIRES(&ep_bql);

/* How long an access holds the BQL while it waits */
#define EPF_WAIT_WITH_BQL_US    1000

#endif /* HW_MISC_EPF_BRIDGE_REMOTE_WAIT_H */
