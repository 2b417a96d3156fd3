/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wait: how a thread that has the BQL waits for the endpoint
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "exec/cpu-common.h"
#include "hw/core/cpu.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie_host.h"
#include "hw/pci-ep/shared/vcpus.h"
#include "system/kvm.h"
#include "hw/misc/epf-bridge/remote/calls.h"
#include "hw/misc/epf-bridge/remote/state.h"
#include "hw/misc/epf-bridge/remote/wait.h"
#include "hw/misc/epf-bridge/trace.h"

#include <linux/kvm.h>

/* The session has the same deadline; its reader thread gets a head start. */
#define EPF_WAIT_MARGIN_US      100000

/* What the main loop waits for answers to a change of the memory map */
#define EPF_WAIT_MAIN_LOOP_MS   50

/* After an endpoint was that late, the main loop does not wait for it. */
#define EPF_WAIT_GRACE_US       500000

/* The port of configuration data (PCI Local Bus Specification, 3.2.2.3.2) */
#define EPF_WAIT_CONFIG_DATA    0xcfc

/* What one answer of many may take without being counted, in microseconds */
#define EPF_WAIT_FAIR_US        50

/* How often a thread that waits without the BQL looks whether it has to stop */
#define EPF_WAIT_STOP_US        50000

static EpfConnection *epf_wait_first(EpfRemote *r)
{
    return r->connection->first ?: r->connection;
}

/* ---- Without the BQL ---- */

/* The analysis does not see that callers have, and get back, the BQL. */
static EP_NO_TSA void epf_wait_unlock(EpfRemote *r)
{
    epf_wait_first(r)->waiting++;
    bql_unlock();
}

static EP_NO_TSA void epf_wait_lock(EpfRemote *r)
{
    EpfConnection *first = epf_wait_first(r);

    bql_lock();
    if (--first->waiting == 0 && first->deferred) {
        first->deferred = false;
        first->ops->changed(first->opaque);
    }
}

/* Is the vCPU of this thread to stop? */
static bool epf_wait_to_stop(void)
{
    return current_cpu && qatomic_read(&current_cpu->stop);
}

/*
 * Who pauses the vCPUs waits for this one, with the main loop.  So an endpoint
 * that lets a vCPU wait then has no more time.
 */
static void epf_wait_stop(EpfRemote *r)
{
    if (epf_wait_to_stop()) {
        epf_remote_end(r, "the endpoint did not answer a CPU that was to stop");
    }
}

bool epf_wait_in_progress(EpfConnection *c)
{
    EpfConnection *first = c->first ?: c;

    first->deferred = first->waiting;
    return first->waiting;
}

/* ---- Answers that nobody needs ---- */

EpfRemote *epf_wait_begin(EpfRemote *r)
{
    QEMU_LOCK_GUARD(&r->lock);
    r->unanswered++;
    return epf_remote_ref(r);
}

void epf_wait_end(EpfRemote *r)
{
    WITH_QEMU_LOCK_GUARD(&r->lock) {
        r->unanswered--;
        r->answered++;
        qemu_cond_broadcast(&r->cond);
    }
    epf_remote_unref(r);
}

/*
 * Returns true when at most @left answers are missing or @r is dead, false at
 * the time @until.
 */
static bool epf_wait_until(EpfRemote *r, unsigned left, int64_t until)
{
    QEMU_LOCK_GUARD(&r->lock);
    while (r->unanswered > left && !epf_remote_dead(r)) {
        int64_t rest = until - g_get_monotonic_time();

        if (rest <= 0) {
            return false;
        }
        qemu_cond_timedwait(&r->cond, &r->lock, DIV_ROUND_UP(rest, 1000));
    }
    return true;
}

static int64_t epf_wait_deadline(EpfRemote *r)
{
    return g_get_monotonic_time() + EPF_WAIT_MARGIN_US +
           epf_remote_deadline(r) * INT64_C(1000);
}

/* Returns the time that the answers since the last call may have taken. */
static int64_t epf_wait_fair_time(EpfRemote *r) EP_REQUIRES(&ep_bql);
static int64_t epf_wait_fair_time(EpfRemote *r)
{
    unsigned n = r->counted;

    QEMU_LOCK_GUARD(&r->lock);
    r->counted = r->answered;
    return (int64_t)(r->answered - n) * EPF_WAIT_FAIR_US;
}

/*
 * Counts a wait since @since.  A guest may unmap many pages with one store, and
 * then waits for a place in the window again and again, with the BQL held.
 * Such waits are short, but together they may be long.  So their time is kept
 * until it is worth counting, or until @all answers are there.
 */
static void epf_wait_count(EpfRemote *r, int64_t since, bool all)
    EP_REQUIRES(&ep_bql);
static void epf_wait_count(EpfRemote *r, int64_t since, bool all)
{
    int64_t limit = epf_remote_deadline(r) * INT64_C(1000);
    int64_t now = g_get_monotonic_time();
    int64_t counted = now - since - epf_wait_fair_time(r);

    r->window_us = MAX(0, r->window_us + counted);
    if (all || r->window_us >= EP_PATIENCE_TOLERATED(limit)) {
        epf_remote_waited(r, now - r->window_us);
        r->window_us = 0;
    }
}

void epf_wait_answers(EpfRemote *r, unsigned left)
{
    int64_t since = g_get_monotonic_time();

    epf_wait_until(r, left, epf_wait_deadline(r));
    epf_wait_count(r, since, !left);
}

static void epf_wait_without_bql(EpfRemote *r) EP_REQUIRES(&ep_bql);
static void epf_wait_without_bql(EpfRemote *r)
{
    int64_t since = g_get_monotonic_time();
    int64_t until = epf_wait_deadline(r);
    int64_t next = since;

    epf_wait_unlock(r);
    do {
        next = MIN(next + EPF_WAIT_STOP_US, until);
        if (epf_wait_until(r, 0, next)) {
            break;
        }
        epf_wait_stop(r);
    } while (next < until);
    epf_wait_lock(r);
    epf_wait_count(r, since, true);
}

static void epf_wait_vcpu(CPUState *cpu, run_on_cpu_data data)
{
    EpfRemote *r = data.host_ptr;

    EP_BQL_HELD();
    if (r->settling == cpu) {
        r->settling = NULL;
    }
    if (!epf_wait_until(r, 0, 0)) {
        epf_wait_without_bql(r);
    }
    epf_remote_unref(r);
}

static void epf_wait_queue(EpfRemote *r, CPUState *cpu)
{
    async_run_on_cpu(cpu, epf_wait_vcpu,
                     RUN_ON_CPU_HOST_PTR(epf_remote_ref(r)));
}

/*
 * Nothing else of the vCPU is on the stack when it does its queued work, and it
 * is not inside of cpu_exec().
 */
static void epf_wait_settle_vcpu(EpfRemote *r) EP_REQUIRES(&ep_bql);
static void epf_wait_settle_vcpu(EpfRemote *r)
{
    if (r->settling != current_cpu) {
        r->settling = current_cpu;
        epf_wait_queue(r, current_cpu);
    }
}

void epf_wait_settle(EpfRemote *r)
{
    if (epf_wait_until(r, 0, 0)) {
        return;
    }
    if (current_cpu) {
        epf_wait_settle_vcpu(r);
    } else {
        epf_wait_answers(r, 0);
    }
}

/* When the main loop has to have the answers of all functions */
static int64_t epf_wait_main_loop_end(EpfRemote *r) EP_REQUIRES(&ep_bql);
static int64_t epf_wait_main_loop_end(EpfRemote *r)
{
    int64_t now = g_get_monotonic_time();

    return now < epf_wait_first(r)->late_until ? now :
           now + EPF_WAIT_MAIN_LOOP_MS * 1000;
}

static bool epf_wait_main_loop(EpfRemote *r, int64_t until)
    EP_REQUIRES(&ep_bql);
static bool epf_wait_main_loop(EpfRemote *r, int64_t until)
{
    if (epf_wait_until(r, 0, until)) {
        return true;
    }
    epf_wait_first(r)->late_until = g_get_monotonic_time() + EPF_WAIT_GRACE_US;
    return false;
}

void epf_wait_commit(EpfRemote *r)
{
    CPUState *cpu;

    if (current_cpu) {
        epf_wait_settle(r);
    } else if (!epf_wait_main_loop(r, epf_wait_main_loop_end(r))) {
        CPU_FOREACH(cpu) {
            epf_wait_queue(r, cpu);
        }
    }
}

void epf_wait_leave(EpfRemote **remotes)
{
    int64_t until = 0;

    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        EpfRemote *r = remotes[i];

        if (!r) {
            continue;
        }
        until = until ?: epf_wait_main_loop_end(r);
        if (!epf_wait_main_loop(r, until)) {
            epf_remote_end(r, "the endpoint did not give up memory of a "
                           "function that went");
        }
    }
}

/* ---- Answers that an access needs ---- */

static __thread EpfAccess *epf_wait_access;
static __thread bool epf_wait_outermost;

/*
 * Does the vCPU of this thread carry out a load or store of its guest at one of
 * the @size bytes from physical address @addr, or at the I/O port of
 * configuration data?  Then the BQL was taken for that access.  The answer is
 * false when another device accesses us, for which the BQL was taken earlier.
 * TCG does not say what the guest accesses.
 */
static bool epf_wait_is_of_guest(uint64_t addr, uint64_t size, bool config)
{
    const struct kvm_run *run;

    if (!current_cpu || !kvm_enabled()) {
        return current_cpu;
    }
    run = current_cpu->kvm_run;
    if (run->exit_reason == KVM_EXIT_IO) {
        return config && (run->io.port & ~3) == EPF_WAIT_CONFIG_DATA;
    }
    return size && ep_vcpu_accesses(addr, size);
}

static void epf_wait_begin_access(EpfAccess *a, MemReentrancyGuard *guard,
                             bool may_release)
{
    *a = (EpfAccess) {
        .outer = epf_wait_access, .guard = guard, .may_release = may_release,
    };
    epf_wait_access = a;
}

void epf_wait_begin_memory(EpfAccess *a, uint64_t addr, MemTxAttrs attrs)
{
    epf_wait_begin_access(a, NULL, epf_wait_outermost ||
                     (ep_vcpu_attrs(attrs) &&
                      epf_wait_is_of_guest(addr, 1, false)));
}

void epf_wait_begin_config(EpfAccess *a, PCIDevice *d)
{
    DeviceState *host = BUS(pci_device_root_bus(d))->parent;
    MemReentrancyGuard *guard = &host->mem_reentrancy_guard;
    uint64_t ecam = 0, size = 0;

    if (object_dynamic_cast(OBJECT(host), TYPE_PCIE_HOST_BRIDGE)) {
        ecam = PCIE_HOST_BRIDGE(host)->base_addr;
        size = PCIE_HOST_BRIDGE(host)->size;
    }
    epf_wait_begin_access(a, guard, guard->engaged_in_io &&
                     epf_wait_is_of_guest(ecam, size, true));
}

void epf_wait_end_access(EpfAccess *a)
{
    epf_wait_access = a->outer;
}

void epf_wait_is_outermost(bool yes)
{
    epf_wait_outermost = yes;
}

/*
 * Another vCPU that uses the same host bridge meanwhile is not re-entrant, so
 * the guard is open for it.
 */
static void epf_wait_release(EpfRemote *r, EpfAccess *a)
{
    if (a->guard) {
        a->guard->engaged_in_io = false;
    }
    a->released = true;
    epf_wait_unlock(r);
}

int64_t epf_wait_late(void *opaque)
{
    EpfRemote *r = opaque;
    EpfAccess *a = epf_wait_access;

    if (!a || !a->may_release) {
        return 0;
    }
    if (a->released) {
        epf_wait_stop(r);
        return EPF_WAIT_STOP_US;
    }
    trace_epf_bridge_wait(r->device, r->func, r->generation);
    epf_wait_release(r, a);
    return EPF_WAIT_STOP_US;
}

void epf_wait_over(EpfRemote *r)
{
    EpfAccess *a = epf_wait_access;

    if (!a || !a->released) {
        return;
    }
    epf_wait_lock(r);
    a->released = false;
    if (a->guard) {
        a->guard->engaged_in_io = true;
    }
}

/* ---- Faults that delay an access ---- */

bool epf_wait_may_delay(void)
{
    return epf_wait_access && epf_wait_access->may_release;
}

void epf_wait_delay(EpfRemote *r, uint32_t us)
{
    int64_t until = g_get_monotonic_time() + us;
    int64_t left = us;

    epf_wait_release(r, epf_wait_access);
    while (left > 0 && !epf_remote_dead(r) && !epf_wait_to_stop()) {
        g_usleep(MIN(left, EPF_WAIT_STOP_US));
        left = until - g_get_monotonic_time();
    }
    epf_wait_over(r);
}
