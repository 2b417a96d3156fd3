/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of shared/vcpus.c, with one vCPU and a QEMU that only counts
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/notify.h"
#include "hw/core/cpu.h"
#include "system/cpus.h"
#include "system/kvm.h"
#include "system/reset.h"
#include "system/runstate.h"
#include "hw/pci-ep/shared/vcpus.h"

/* ---- QEMU ---- */

static CPUState vcpu;
static DeviceState device;
static RunState run_state = RUN_STATE_RUNNING;
static unsigned runs;       /* how often the vCPU was let go */
static Notifier *suspend_notifier, *poll_notifier;
static QEMUResetHandler *reset_handler;

CPUTailQ cpus_queue = QTAILQ_HEAD_INITIALIZER(cpus_queue);
__thread CPUState *current_cpu;
bool kvm_allowed;

void pause_all_vcpus(void)
{
    g_assert_false(device.mem_reentrancy_guard.engaged_in_io);
    vcpu.stopped = true;
}

void resume_all_vcpus(void)
{
    if (run_state == RUN_STATE_RUNNING) {
        runs += vcpu.stopped;
        vcpu.stopped = false;
    }
}

bool runstate_check(RunState state)
{
    return run_state == state;
}

bool vm_get_suspended(void)
{
    return false;
}

void qemu_register_suspend_notifier(Notifier *notifier)
{
    suspend_notifier = notifier;
}

void qemu_register_reset(QEMUResetHandler *func, void *opaque)
{
    reset_handler = func;
}

/* Hides that of QEMU's library. */
void main_loop_poll_add_notifier(Notifier *notifier)
{
    poll_notifier = notifier;
}

/* ---- What it does ---- */

static void qemu_suspends(void)
{
    pause_all_vcpus();
    suspend_notifier->notify(suspend_notifier, NULL);
    run_state = RUN_STATE_SUSPENDED;
}

/* The main loop resets the machine later. */
static void qemu_is_asked_to_wake(void)
{
    run_state = RUN_STATE_RUNNING;
}

static void qemu_resets(void)
{
    pause_all_vcpus();
    reset_handler(NULL);
}

/* The main loop waits, and vCPUs that were let go may run. */
static void qemu_polls(void)
{
    MainLoopPoll poll = { .state = MAIN_LOOP_POLL_FILL };

    poll_notifier->notify(poll_notifier, &poll);
}

static void qemu_starts(void)
{
    run_state = RUN_STATE_RUNNING;
    ep_vcpus_init();
    resume_all_vcpus();
    qemu_polls();
    g_assert_false(vcpu.stopped);
    runs = 0;
}

/* ---- Tests ---- */

static void test_pause(void)
{
    qemu_starts();
    device.mem_reentrancy_guard.engaged_in_io = true;
    ep_pause_vcpus(&device);
    g_assert_true(device.mem_reentrancy_guard.engaged_in_io);
    device.mem_reentrancy_guard.engaged_in_io = false;
    g_assert_true(vcpu.stopped);
    ep_resume_vcpus();
    g_assert_false(vcpu.stopped);
}

/* What pauses the vCPUs while the machine sleeps lets none of them go. */
static void test_asleep(void)
{
    qemu_starts();
    qemu_suspends();
    ep_pause_vcpus(&device);
    ep_resume_vcpus();
    qemu_is_asked_to_wake();
    ep_pause_vcpus(&device);
    ep_resume_vcpus();
    ep_hold_vcpus();
    ep_release_vcpus();
    qemu_polls();
    g_assert_true(vcpu.stopped);
    g_assert_cmpuint(runs, ==, 0);

    qemu_resets();
    resume_all_vcpus();
    qemu_polls();
    g_assert_false(vcpu.stopped);
    ep_pause_vcpus(&device);
    ep_resume_vcpus();
    g_assert_cmpuint(runs, ==, 2);
}

/* A reset without a wake-up ends the sleep too. */
static void test_asleep_reset(void)
{
    qemu_starts();
    qemu_suspends();
    qemu_resets();
    run_state = RUN_STATE_PRELAUNCH;
    ep_pause_vcpus(&device);
    ep_resume_vcpus();
    g_assert_true(vcpu.stopped);
    run_state = RUN_STATE_RUNNING;
    ep_resume_vcpus();
    g_assert_false(vcpu.stopped);
}

/* Whoever lets the vCPUs go, none runs before all holds are released. */
static void test_hold(void)
{
    qemu_starts();
    qemu_suspends();
    qemu_is_asked_to_wake();
    qemu_resets();
    ep_hold_vcpus();
    ep_hold_vcpus();
    for (unsigned i = 0; i < 3; i++) {
        resume_all_vcpus();
        qemu_polls();
        g_assert_true(vcpu.stopped);
        ep_pause_vcpus(&device);
        ep_resume_vcpus();
        g_assert_true(vcpu.stopped);
    }
    ep_release_vcpus();
    qemu_polls();
    g_assert_true(vcpu.stopped);
    ep_release_vcpus();
    qemu_polls();
    g_assert_false(vcpu.stopped);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    QTAILQ_INSERT_TAIL(&cpus_queue, &vcpu, node);

    g_test_add_func("/pci-ep/vcpus/pause", test_pause);
    g_test_add_func("/pci-ep/vcpus/asleep", test_asleep);
    g_test_add_func("/pci-ep/vcpus/asleep-reset", test_asleep_reset);
    g_test_add_func("/pci-ep/vcpus/hold", test_hold);

    return g_test_run();
}
