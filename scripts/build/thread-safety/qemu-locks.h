/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Included before each file of hw/ when clang analyses thread safety: makes
 * the mutexes of QEMU and GLib and QEMU's guards known to the analysis. Nothing of
 * this is ever compiled to code. hw/pci-ep/wire/locks.h has the annotations.
 */
#ifndef PCI_EP_THREAD_SAFETY
#define PCI_EP_THREAD_SAFETY 1

struct __attribute__((capability("mutex"))) QemuMutex;
union __attribute__((capability("mutex"))) _GMutex;

#include "qemu/osdep.h"
#include "qemu/thread.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"

#define TSA_ACQUIRES(m) __attribute__((acquire_capability(m)))
#define TSA_RELEASES(m) __attribute__((release_capability(m)))
#define TSA_HELD(m)     __attribute__((assert_capability(m)))

/* The big QEMU lock, as far as the analysis is concerned */
extern QemuMutex ep_bql;

void ep_tsa_lock(QemuMutex *m) TSA_ACQUIRES(m);
QemuMutex *ep_tsa_locked(QemuMutex *m) TSA_ACQUIRES(m);
int ep_tsa_trylock(QemuMutex *m) __attribute__((try_acquire_capability(0, m)));
void ep_tsa_unlock(QemuMutex *m) TSA_RELEASES(m);
void ep_tsa_held(QemuMutex *m) TSA_HELD(m);
void ep_tsa_bql_lock(void) TSA_ACQUIRES(&ep_bql);
void ep_tsa_bql_unlock(void) TSA_RELEASES(&ep_bql);
void ep_tsa_bql_held(void) TSA_HELD(&ep_bql);

void ep_tsa_glib_lock(GMutex *m) TSA_ACQUIRES(m);
void ep_tsa_glib_unlock(GMutex *m) TSA_RELEASES(m);

static inline void ep_tsa_end(QemuMutex **m) TSA_RELEASES(*m)
    __attribute__((no_thread_safety_analysis));
static inline void ep_tsa_end(QemuMutex **m)
{
    ep_tsa_unlock(*m);
}

#undef qemu_mutex_lock
#undef qemu_mutex_trylock
#undef qemu_mutex_unlock
#undef QEMU_LOCK_GUARD
#undef WITH_QEMU_LOCK_GUARD
#undef bql_lock
#undef BQL_LOCK_GUARD

#define qemu_mutex_lock(m)      ep_tsa_lock(m)
#define qemu_mutex_trylock(m)   ep_tsa_trylock(m)
#define qemu_mutex_unlock(m)    ep_tsa_unlock(m)
#define bql_lock()              ep_tsa_bql_lock()
#define bql_unlock()            ep_tsa_bql_unlock()

#define g_mutex_lock(m)         ep_tsa_glib_lock(m)
#define g_mutex_unlock(m)       ep_tsa_glib_unlock(m)

#define EP_TSA_GUARD(m, v) \
    QemuMutex *v __attribute__((cleanup(ep_tsa_end))) = (m); ep_tsa_lock(v)
#define QEMU_LOCK_GUARD(m) EP_TSA_GUARD(m, glue(ep_tsa_guard, __COUNTER__))
#define BQL_LOCK_GUARD() QEMU_LOCK_GUARD(&ep_bql)
#define EP_TSA_WITH(m, v) \
    for (QemuMutex *v __attribute__((cleanup(ep_tsa_end))) = (m), \
         *ep_tsa_once = ep_tsa_locked(v); ep_tsa_once; ep_tsa_once = NULL)
#define WITH_QEMU_LOCK_GUARD(m) EP_TSA_WITH(m, glue(ep_tsa_with, __COUNTER__))

#endif /* PCI_EP_THREAD_SAFETY */
