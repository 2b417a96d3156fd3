/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Annotations that say which lock guards what
 *
 * Clang's thread safety analysis checks them in "make check-style". They are
 * empty in a build: QEMU's mutexes are no capabilities for the analysis, and
 * members of a C structure cannot be named in an annotation before clang 22.
 *
 *   EP_GUARDED_BY(&lock)     on a member: whoever reads or writes it holds
 *                            @lock of the same structure
 *   EP_REQUIRES(&s->lock)    after the parameters of a function: callers hold
 *                            the lock
 *   EP_EXCLUDES(&s->lock)    callers do not hold it; the function takes it
 *   EP_ACQUIRES(&s->lock)    the function takes it, and its callers hold it
 *                            from then on
 *   EP_RELEASES(&s->lock)    callers hold it, and the function releases it
 *   EP_REQUIRES(&ep_bql)     callers hold the BQL
 *   EP_BQL_HELD();           in a callback that QEMU calls with the BQL held
 *   EP_LOCK_HELD(&s->lock);  in a callback whose caller holds @lock, where the
 *                            analysis cannot see it
 *   EP_NO_TSA                before a function that the analysis cannot follow;
 *                            a comment says why
 */
#ifndef HW_PCI_EP_WIRE_LOCKS_H
#define HW_PCI_EP_WIRE_LOCKS_H

#ifdef PCI_EP_THREAD_SAFETY

#define EP_GUARDED_BY(lock)     __attribute__((guarded_by(lock)))
#define EP_REQUIRES(...) \
    __attribute__((requires_capability(__VA_ARGS__)))
#define EP_EXCLUDES(...)        __attribute__((locks_excluded(__VA_ARGS__)))
#define EP_ACQUIRES(...) \
    __attribute__((acquire_capability(__VA_ARGS__)))
#define EP_RELEASES(...) \
    __attribute__((release_capability(__VA_ARGS__)))
#define EP_NO_TSA               __attribute__((no_thread_safety_analysis))
#define EP_BQL_HELD()           ep_tsa_bql_held()
#define EP_LOCK_HELD(lock)      ep_tsa_held(lock)

#else

#define EP_GUARDED_BY(lock)
#define EP_REQUIRES(...)
#define EP_EXCLUDES(...)
#define EP_ACQUIRES(...)
#define EP_RELEASES(...)
#define EP_NO_TSA
#define EP_BQL_HELD()           ((void)0)
#define EP_LOCK_HELD(lock)      ((void)0)

#endif

#endif /* HW_PCI_EP_WIRE_LOCKS_H */
