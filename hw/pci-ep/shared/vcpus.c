/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpus: keeps vCPUs out of devices while the memory map of the guest changes
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/notify.h"
#include "qemu/range.h"
#include "hw/core/cpu.h"
#include "system/cpus.h"
#include "system/kvm.h"
#include "system/reset.h"
#include "system/runstate.h"
#include "hw/pci-ep/shared/vcpus.h"

#include <linux/kvm.h>

/* The BQL guards all of it. */
static struct {
    /* Calls of ep_hold_vcpus() without their ep_release_vcpus() */
    unsigned holds EP_GUARDED_BY(&ep_bql);
    /*
     * The machine fell asleep (S3) and was not reset since.  QEMU has stopped
     * the vCPUs.  It enters the run state RUNNING when somebody asks it to wake
     * up, and resets the machine some time later in the main loop.  A vCPU that
     * ran in between would go on behind the instruction that fell asleep.
     */
    bool asleep EP_GUARDED_BY(&ep_bql);
    bool ready EP_GUARDED_BY(&ep_bql);
    Notifier suspended;
    Notifier polls;
} ep_vcpus;

static bool ep_vcpus_stopped(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (!cpu->stopped) {
            return false;
        }
    }
    return true;
}

/*
 * The main loop is about to release the BQL.  A vCPU that was let go since the
 * last time needs the BQL before it runs its guest, so a hold stops it before
 * its first instruction.
 */
static void ep_vcpus_poll(Notifier *n, void *opaque)
{
    const MainLoopPoll *poll = opaque;

    EP_BQL_HELD();
    if (poll->state == MAIN_LOOP_POLL_FILL && ep_vcpus.holds &&
        !ep_vcpus_stopped()) {
        pause_all_vcpus();
    }
}

/* QEMU calls this in the main loop, with the vCPUs stopped. */
static void ep_vcpus_suspended(Notifier *n, void *opaque)
{
    EP_BQL_HELD();
    ep_vcpus.asleep = true;
}

/* Any reset, also the one of a wake-up.  QEMU lets the vCPUs go after it. */
static void ep_vcpus_reset(void *opaque)
{
    EP_BQL_HELD();
    ep_vcpus.asleep = false;
}

void ep_vcpus_init(void)
{
    if (ep_vcpus.ready) {
        return;
    }
    ep_vcpus.ready = true;
    ep_vcpus.asleep = runstate_check(RUN_STATE_SUSPENDED) || vm_get_suspended();
    ep_vcpus.suspended.notify = ep_vcpus_suspended;
    qemu_register_suspend_notifier(&ep_vcpus.suspended);
    qemu_register_reset(ep_vcpus_reset, NULL);
    ep_vcpus.polls.notify = ep_vcpus_poll;
    main_loop_poll_add_notifier(&ep_vcpus.polls);
}

void ep_pause_vcpus(DeviceState *dev)
{
    MemReentrancyGuard *guard = &dev->mem_reentrancy_guard;
    bool engaged = guard->engaged_in_io;

    if (ep_vcpus.asleep) {
        return;
    }
    /*
     * A bottom half set the guard, so that accesses to @dev fail while it
     * runs.  A vCPU that waits for the BQL in an access to @dev finishes that
     * access before it stops, and the access must not fail.
     */
    guard->engaged_in_io = false;
    pause_all_vcpus();
    guard->engaged_in_io = engaged;
}

void ep_resume_vcpus(void)
{
    if (ep_vcpus.holds || ep_vcpus.asleep) {
        return;
    }
    resume_all_vcpus();
}

void ep_hold_vcpus(void)
{
    ep_vcpus.holds++;
}

void ep_release_vcpus(void)
{
    ep_vcpus.holds--;
    ep_resume_vcpus();
}

bool ep_vcpu_accesses(uint64_t addr, uint64_t size)
{
    const struct kvm_run *run;

    if (!current_cpu || !kvm_enabled()) {
        return current_cpu;
    }
    run = current_cpu->kvm_run;
    return run->exit_reason == KVM_EXIT_MMIO &&
           ranges_overlap(run->mmio.phys_addr, run->mmio.len, addr, size);
}
