/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requested faults of accesses to the window
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "hw/core/cpu.h"
#include "hw/pci/pci.h"
#include "system/qtest.h"
#include "hw/pci-ep/endpoint/faults.h"
#include "hw/pci-ep/endpoint/fn-state.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/window-fault.h"
#include "hw/pci-ep/endpoint/window.h"
#include "hw/pci-ep/shared/vcpus.h"

/* How often a vCPU that is held looks whether it has to stop */
#define WINDOW_FAULT_STEP_US 10000

static bool window_fault_by_cpu(EpcState *s, hwaddr offset, unsigned size,
                                MemTxAttrs attrs)
{
    uint64_t base = pci_get_bar_addr(PCI_DEVICE(s), EPC_BAR_WINDOW);

    if (!current_cpu) {
        return qtest_enabled() && !s->qtest_device;
    }
    return ep_vcpu_attrs(attrs) && ep_vcpu_accesses(base + offset, size);
}

/* A vCPU that is to stop goes on at once, since the main loop waits for it. */
static void window_fault_sleep(int64_t us)
{
    int64_t until = g_get_monotonic_time() + us, rest;

    while ((rest = until - g_get_monotonic_time()) > 0 &&
           !(current_cpu && qatomic_read(&current_cpu->stop))) {
        g_usleep(MIN(rest, WINDOW_FAULT_STEP_US));
    }
}

/*
 * The vCPU waits in the middle of the access. The reentrancy guard is open
 * meanwhile, since another vCPU that accesses the device is not re-entrant.
 * docs/devel/locking.rst, "Waits of the host", says why the BQL may be released
 * in an access of a CPU. The analysis is off: the caller has the BQL, and gets
 * it back.
 */
static void EP_NO_TSA window_fault_hold(EpcState *s, int64_t us)
{
    MemReentrancyGuard *guard = &DEVICE(s)->mem_reentrancy_guard;
    bool engaged = guard->engaged_in_io;

    if (!current_cpu) {
        window_fault_sleep(us);
        return;
    }
    s->window_trap.held++;
    guard->engaged_in_io = false;
    bql_unlock();
    window_fault_sleep(us);
    bql_lock();
    guard->engaged_in_io = engaged;
    s->window_trap.held--;
}

/*
 * Returns whether there is a map at @offset whose function may reach the host
 * now. Stores the number of that function.
 */
static bool window_fault_find(EpcState *s, hwaddr offset, unsigned *number)
{
    uint64_t addr, left;
    EpcFunction *fn;

    QEMU_LOCK_GUARD(&s->lock);
    if (!epc_window_lookup(&s->window, offset, number, &addr, &left)) {
        return false;
    }
    fn = &s->fn[*number];
    EP_LOCK_HELD(&fn->epc->lock);
    return epc_fn_may_dma(fn);
}

static bool window_fault_happens(EpcState *s, hwaddr offset, unsigned fn,
                                 bool write) EP_REQUIRES(&ep_bql);
static bool window_fault_happens(EpcState *s, hwaddr offset, unsigned fn,
                                 bool write)
{
    EpFault fault;

    if (epc_faults_hit(s, EPC_FAULT_WINDOW_TIMEOUT, fn, offset, &fault)) {
        if (!write) {
            window_fault_hold(s, s->deadline_ms * INT64_C(1000));
        }
        return true;
    }
    if (!write &&
        epc_faults_hit(s, EPC_FAULT_WINDOW_POISON, fn, offset, &fault)) {
        return true;
    }
    if (epc_faults_hit(s, EPC_FAULT_WINDOW_DELAY, fn, offset, &fault)) {
        window_fault_hold(s, fault.value[EP_FAULT_US]);
    }
    return false;
}

bool epc_window_fault(EpcState *s, hwaddr offset, unsigned size, bool write,
                      MemTxAttrs attrs)
{
    unsigned fn;
    bool taken;

    if (!epc_faults_armed(s, EPC_FAULTS_WINDOW) || !s->fn ||
        !window_fault_by_cpu(s, offset, size, attrs) ||
        !window_fault_find(s, offset, &fn)) {
        return false;
    }
    taken = window_fault_happens(s, offset, fn, write);
    if (s->fn && !s->window_trap.held &&
        !epc_faults_armed(s, EPC_FAULTS_WINDOW)) {
        /* The window may be memory again. */
        qemu_bh_schedule(s->window_trap.bh);
    }
    return taken;
}
