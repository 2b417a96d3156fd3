/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses by the host of one controller to the window of another controller
 *
 * A BAR of one controller may show a span of the window of another one, and so
 * memory of the host at that window's other end.  The accesses arrive in the
 * reader thread of the first host, which must not wait for the second host.
 * So each window has a queue, from which one access after the other is carried
 * out: at once where this process can map the second host's memory, else by
 * message.
 *
 * Each function that makes such accesses has a lane of its own, with a limit of
 * its own, and the lanes take turns.
 *
 * Writes are posted: they are answered as soon as they are in the queue.
 * Otherwise two hosts whose CPUs write to each other would wait for each other.
 * When a lane holds 32 MiB a write is answered after it was carried out, and at
 * 64 MiB accesses are dropped.  A read is answered when it was carried out, or
 * with all ones after half of the deadline, before its host gives up.  A host
 * that makes others wait too long, again and again, is disconnected.
 *
 * Since writes are posted, a command that takes something away waits with a
 * fence for what is in the queue, and an interrupt waits as well.
 */
#ifndef HW_PCI_EP_ENDPOINT_FORWARD_H
#define HW_PCI_EP_ENDPOINT_FORWARD_H

#include "hw/pci-ep/server/server.h"
#include "hw/pci-ep/wire/locks.h"

struct EpcFunction;
struct EpcState;

typedef struct EpcForward EpcForward;

/* ---- Life cycle ---- */

/* What the queue calls, without a lock of its own */
typedef struct EpcForwardOps {
    /* The interrupt that was held is due.  Any thread. */
    void (*raise)(struct EpcFunction *fn, unsigned raise);
    void (*raise_intx)(struct EpcFunction *fn, bool level);
    /* epc_forward_viewed() has become true.  The BQL is held. */
    void (*viewed)(struct EpcState *s);
} EpcForwardOps;

/* The queue for the window of @s.  The caller gets the first reference. */
EpcForward *epc_forward_new(struct EpcState *s, const EpcForwardOps *ops)
    EP_REQUIRES(&ep_bql);

/*
 * References keep the queue, not the controller.  Any thread may call these,
 * with or without locks.  epc_forward_unref(NULL) does nothing.
 */
EpcForward *epc_forward_ref(EpcForward *f);
void epc_forward_unref(EpcForward *f);

/*
 * The controller that has the window goes away.  All that is in the queue is
 * answered, and later reads get all ones.  Called before the servers of the
 * controller are freed; the caller holds no other lock than the BQL.  Does
 * nothing when @f is NULL or was stopped already.
 */
void epc_forward_stop(EpcForward *f) EP_REQUIRES(&ep_bql);

/* ---- Accesses ---- */

/*
 * Queues @a of function @source and takes it over.  Its first @len bytes belong
 * to @offset of the window; nothing is there for the others.  The caller holds
 * EpcState.lock of the controller that has @source, under which it has found
 * out that a BAR leads there.  Any thread may call this, and then calls
 * epc_forward_run() without that lock.
 */
void epc_forward_add(EpcForward *f, const struct EpcFunction *source,
                     uint64_t offset, uint32_t len, EpcAccess *a);
void epc_forward_run(EpcForward *f);

/* Is any access in the queue?  Any thread may call this. */
bool epc_forward_busy(EpcForward *f);

/* ---- Fences ---- */

typedef void EpcForwardDone(void *opaque);

/*
 * Has @done called once, when all accesses are over that are in a queue now:
 * those that @source has made to any window, or those to the window of the
 * controller that has @owner.  That takes one deadline of the controller with
 * the window at most.  What is not over by then is dropped, and a host that
 * does not answer is disconnected.
 *
 * Any thread may call these, without EpcState.lock of any controller.  @done
 * runs before they return or in another thread, in either case without a lock
 * of this file.  It may take EpcState.lock, and must not wait.
 */
void epc_forward_fence_from(struct EpcFunction *source, EpcForwardDone *done,
                            void *opaque);
void epc_forward_fence_to(struct EpcFunction *owner, EpcForwardDone *done,
                          void *opaque);

/*
 * Drop the accesses that @source has made, or those to the window of @f with
 * the interrupts that wait for them: a reset of a controller.  A message that
 * is under way is not recalled, so a fence may have to wait for it.
 */
void epc_forward_drop_from(const struct EpcFunction *source);
void epc_forward_reset(EpcForward *f);

/*
 * The controller that has @fn goes away.  Its accesses are dropped, and its
 * fences call back before this returns.  Called when its servers were freed, so
 * that no thread adds another one.
 */
void epc_forward_forget(const struct EpcFunction *fn) EP_REQUIRES(&ep_bql);

/* ---- Interrupts to the host at the other end of the window ---- */

/*
 * An interrupt of @fn is raised; @raise is its number in endpoint/raise.h.
 * Returns true when accesses to the window are under way.  Then it is delivered
 * after them, by EpcForwardOps.  Several raises of one vector may become one.
 */
bool epc_forward_hold_raise(struct EpcFunction *fn, unsigned raise);
bool epc_forward_hold_intx(struct EpcFunction *fn, bool level);

/*
 * A target that shows the window takes a reference with epc_forward_view() and
 * gives it up with epc_forward_unview(), which may be called with EpcState.lock
 * of another controller held.  epc_forward_viewed() says whether there is one.
 */
void epc_forward_view(EpcForward *f) EP_REQUIRES(&ep_bql);
void epc_forward_unview(EpcForward *f) EP_REQUIRES(&ep_bql);
bool epc_forward_viewed(EpcForward *f) EP_REQUIRES(&ep_bql);

#endif /* HW_PCI_EP_ENDPOINT_FORWARD_H */
