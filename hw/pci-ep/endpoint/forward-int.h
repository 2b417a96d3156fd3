/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * forward, inside: the queue of one window
 *
 *   forward.c        adds accesses and carries them out
 *   forward-fence.c  fences: waits until accesses are over
 *   forward-raise.c  interrupts that must not overtake accesses
 *   forward-lane.c   the queue itself
 *
 * The first one calls the others, and these call the last one only.
 *
 * EpcForward.lock is a leaf but for EpcServer.lock and EpwSession.lock. It is
 * released while an access is carried out, and while a callback runs.
 */
#ifndef HW_PCI_EP_ENDPOINT_FORWARD_INT_H
#define HW_PCI_EP_ENDPOINT_FORWARD_INT_H

#include "qemu/queue.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "hw/pci-ep/endpoint/forward.h"
#include "hw/pci-ep/endpoint/window-access.h"
#include "hw/pci-ep/shared/patience.h"

typedef struct EpcForwarded {
    QTAILQ_ENTRY(EpcForwarded) next;
    QTAILQ_ENTRY(EpcForwarded) next_read;
    EpcAccess *a;
    uint64_t seq;               /* its place among all accesses of the queue */
    uint64_t offset;            /* of its first byte, in the window */
    uint32_t len, done;         /* bytes in the window; of them carried out */
    int64_t since;              /* when it came, us */
    bool dropped;               /* the rest of it is not carried out */
} EpcForwarded;

/* What one function has in the queue. A lane without an access is freed. */
typedef struct EpcForwardLane {
    QTAILQ_ENTRY(EpcForwardLane) next;
    const struct EpcFunction *source;   /* compared only; NULL: it is gone */
    QTAILQ_HEAD(, EpcForwarded) queue;
    size_t bytes;
} EpcForwardLane;

/* A wait for accesses in one queue or in several */
typedef struct EpcForwardFence {
    unsigned pending;           /* markers, and who sets them; atomic */
    const struct EpcFunction *owner;
    EpcForwardDone *done;
    void *opaque;
} EpcForwardFence;

/* The fence waits for the accesses below @seq: of one source, or all of them */
typedef struct EpcForwardMarker {
    QTAILQ_ENTRY(EpcForwardMarker) next;
    EpcForwardFence *fence;
    const struct EpcFunction *source;       /* NULL: all */
    uint64_t seq;
    int64_t since;              /* us */
    unsigned expired;           /* halves of the deadline that have passed */
} EpcForwardMarker;

/* Interrupts that wait for the accesses below @seq */
typedef struct EpcForwardRaises {
    bool any;
    uint64_t seq;
    unsigned long *map;         /* by function and raise register */
} EpcForwardRaises;

struct EpcForward {
    unsigned refs;              /* atomic */
    const EpcForwardOps *ops;
    char *name;                 /* of the controller, for trace events */
    unsigned nfn;               /* its functions */
    int64_t late_us;            /* half of its deadline */
    QLIST_ENTRY(EpcForward) next;           /* guarded by forwards.lock */
    unsigned viewers EP_GUARDED_BY(&ep_bql);    /* epc_forward_view() */

    QemuMutex lock;
    QemuCond idle;              /* @running became false, or @turns grew */
    struct EpcState *s EP_GUARDED_BY(&lock);    /* NULL: it is gone */
    /* The first lane is the next in turn. */
    QTAILQ_HEAD(, EpcForwardLane) lanes EP_GUARDED_BY(&lock);
    uint64_t next_seq EP_GUARDED_BY(&lock);
    /* Those in the queue that read and are not answered, the oldest first */
    QTAILQ_HEAD(, EpcForwarded) reads EP_GUARDED_BY(&lock);
    QTAILQ_HEAD(, EpcForwardMarker) markers EP_GUARDED_BY(&lock);
    /* The first are due first; later ones gather in the second. */
    EpcForwardRaises raises[2] EP_GUARDED_BY(&lock);
    bool raising EP_GUARDED_BY(&lock);      /* some are being delivered */
    bool running EP_GUARDED_BY(&lock);      /* a thread carries out accesses */
    /* What that thread has done; the lock was released in each turn. */
    uint64_t turns EP_GUARDED_BY(&lock);
    /* It is carried out without the lock, or a message for it is under way. */
    EpcForwarded *current EP_GUARDED_BY(&lock);
    bool waiting EP_GUARDED_BY(&lock);      /* for the message, about @place */
    EpcHostPlace place EP_GUARDED_BY(&lock);
    int64_t asked EP_GUARDED_BY(&lock);     /* its wait is counted up to then */
    EpPatience patience EP_GUARDED_BY(&lock);   /* with the second host */
    QEMUTimer *timer EP_GUARDED_BY(&lock);  /* for reads and markers */
};

/* ---- forward-lane.c ---- */

int64_t epc_forward_now_us(void);

/* Add @f to those that epc_forward_queues() finds, and remove it. */
void epc_forward_register(EpcForward *f);
void epc_forward_unregister(EpcForward *f);
/* All queues, with a reference each, which g_ptr_array_free() gives up */
GPtrArray *epc_forward_queues(void);

/* Bytes that an access takes of the limit of its lane */
size_t epc_forward_weight(const EpcAccess *a);

/* The lane of @source, or NULL, and a new one, which is empty */
EpcForwardLane *epc_forward_find_lane(EpcForward *f,
                                      const struct EpcFunction *source)
    EP_REQUIRES(&f->lock);
EpcForwardLane *epc_forward_add_lane(EpcForward *f,
                                     const struct EpcFunction *source)
    EP_REQUIRES(&f->lock);
void epc_forward_free_empty_lane(EpcForward *f, EpcForwardLane *lane)
    EP_REQUIRES(&f->lock);
/* @source goes away. Its lane stays while an access in it is carried out. */
void epc_forward_orphan_lane(EpcForward *f, const struct EpcFunction *source)
    EP_REQUIRES(&f->lock);

void epc_forward_answer_read(EpcForward *f, EpcForwarded *j)
    EP_REQUIRES(&f->lock);
/* Takes @j off its lane, answers and frees it. */
void epc_forward_free_access(EpcForward *f, EpcForwardLane *lane,
                             EpcForwarded *j) EP_REQUIRES(&f->lock);
/* Drops the accesses below @seq of @source, or of all sources if it is NULL. */
void epc_forward_drop(EpcForward *f, const struct EpcFunction *source,
                      uint64_t seq) EP_REQUIRES(&f->lock);
/* Are all accesses below @seq of @source over? NULL: of all sources */
bool epc_forward_passed(EpcForward *f, const struct EpcFunction *source,
                        uint64_t seq) EP_REQUIRES(&f->lock);

/* ---- forward-fence.c ---- */

/* Sets the timer to the next read or marker that will be late. */
void epc_forward_set_timer(EpcForward *f) EP_REQUIRES(&f->lock);

/*
 * Ends one fence that has passed. Returns false when there is none. Releases
 * the lock meanwhile.
 */
bool epc_forward_fence_end_one(EpcForward *f) EP_REQUIRES(&f->lock);

/* Acts on fences that wait for too long. */
void epc_forward_fence_expire(EpcForward *f, int64_t now)
    EP_REQUIRES(&f->lock);

/* ---- forward-raise.c ---- */

void epc_forward_raise_init(EpcForward *f) EP_REQUIRES(&f->lock);
void epc_forward_raise_clear(EpcForward *f) EP_REQUIRES(&f->lock);

/*
 * Delivers the interrupts that have nothing more to wait for. Returns false
 * when there are none. Releases the lock meanwhile.
 */
bool epc_forward_raise_deliver(EpcForward *f) EP_REQUIRES(&f->lock);

#endif /* HW_PCI_EP_ENDPOINT_FORWARD_INT_H */
