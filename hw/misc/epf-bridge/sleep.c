/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sleep: what the sleep of the machine (S3) does to the link
 *
 *   state    event                                             next
 *   -------  ------------------------------------------------  -------
 *   AWAKE,   the machine falls asleep                          ASLEEP
 *   WAKING
 *   ASLEEP   the machine wakes up, and the slot was full when  WAKING
 *            it fell asleep
 *   ASLEEP   any other reset or wake-up                        AWAKE
 *   WAKING   the functions are in the slot, a deadline has     AWAKE
 *            passed, or the machine is reset
 *
 * In ASLEEP the bridge wants no connection, so the endpoint sees the link go
 * down and its functions lose all that the host has set up.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "system/runstate.h"
#include "hw/pci-ep/shared/vcpus.h"
#include "hw/misc/epf-bridge/bridge.h"
#include "hw/misc/epf-bridge/link.h"
#include "hw/misc/epf-bridge/sleep.h"
#include "hw/misc/epf-bridge/trace.h"

static const char *const epf_sleep_state_names[] = {
    [EPF_AWAKE] = "AWAKE",
    [EPF_ASLEEP] = "ASLEEP",
    [EPF_WAKING] = "WAKING",
};

/* The states that may follow each state, as bits */
static const unsigned epf_sleep_next[] = {
    [EPF_AWAKE] = BIT(EPF_ASLEEP),
    [EPF_ASLEEP] = BIT(EPF_WAKING) | BIT(EPF_AWAKE),
    [EPF_WAKING] = BIT(EPF_AWAKE) | BIT(EPF_ASLEEP),
};

static const char *epf_sleep_name(EpfBridge *b)
{
    return DEVICE(b)->id ?: TYPE_EPF_BRIDGE;
}

/* A step that the table does not have is traced, and changes nothing. */
static bool epf_sleep_step(EpfBridge *b, EpfSleepState to)
{
    EpfSleep *s = &b->sleep;
    const char *before = epf_sleep_state_names[s->state];
    const char *after = epf_sleep_state_names[to];

    if (!(epf_sleep_next[s->state] & BIT(to))) {
        trace_epf_bridge_sleep_illegal(epf_sleep_name(b), before, after);
        return false;
    }
    trace_epf_bridge_sleep(epf_sleep_name(b), before, after);
    s->state = to;
    return true;
}

/* QEMU calls this in the main loop, with the vCPUs stopped. */
static void epf_sleep_suspended(Notifier *n, void *opaque)
{
    EpfBridge *b = container_of(n, EpfBridge, sleep.suspended);

    EP_BQL_HELD();
    if (epf_sleep_step(b, EPF_ASLEEP)) {
        b->sleep.full = b->remotes[0];
        epf_link_update_wanted(b);
    }
}

/* The vCPUs are stopped, and QEMU is about to let them go. */
static void epf_sleep_hold(EpfBridge *b) EP_REQUIRES(&ep_bql);
static void epf_sleep_hold(EpfBridge *b)
{
    if (!b->sleep.held) {
        b->sleep.held = true;
        ep_hold_vcpus();
    }
}

/* While the machine sleeps or is stopped ep_release_vcpus() lets none go on. */
static void epf_sleep_let_go(EpfBridge *b) EP_REQUIRES(&ep_bql);
static void epf_sleep_let_go(EpfBridge *b)
{
    if (b->sleep.held) {
        b->sleep.held = false;
        ep_release_vcpus();
    }
}

void epf_sleep_was_reset(EpfBridge *b, ResetType type)
{
    EpfSleep *s = &b->sleep;
    bool wait = type == RESET_TYPE_WAKEUP && s->full;

    if (s->state == EPF_WAKING && type != RESET_TYPE_WAKEUP) {
        /* The vCPUs start anew.  The bottom half lets them go. */
        epf_sleep_step(b, EPF_AWAKE);
        timer_del(s->late);
        qemu_bh_schedule(b->bh);
        return;
    }
    if (s->state != EPF_ASLEEP ||
        !epf_sleep_step(b, wait ? EPF_WAKING : EPF_AWAKE)) {
        return;
    }
    if (wait) {
        timer_mod(s->late, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
                  b->deadline_ms);
        epf_sleep_hold(b);
    }
    epf_link_update_wanted(b);
}

void epf_sleep_sync(EpfBridge *b, bool full)
{
    EpfSleep *s = &b->sleep;

    if (s->state == EPF_WAKING && full) {
        epf_sleep_step(b, EPF_AWAKE);
        timer_del(s->late);
    }
    if (s->state != EPF_WAKING) {
        epf_sleep_let_go(b);
    }
}

/* The endpoint did not come in time.  If it comes later it is a hot-plug. */
static void epf_sleep_late(void *opaque)
{
    EpfBridge *b = opaque;

    EP_BQL_HELD();
    if (b->sleep.state == EPF_WAKING) {
        epf_sleep_step(b, EPF_AWAKE);
    }
    epf_sleep_let_go(b);
}

void epf_sleep_init(EpfBridge *b)
{
    EpfSleep *s = &b->sleep;

    s->late = timer_new_ms(QEMU_CLOCK_REALTIME, epf_sleep_late, b);
    s->suspended.notify = epf_sleep_suspended;
    qemu_register_suspend_notifier(&s->suspended);
}
