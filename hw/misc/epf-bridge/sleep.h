/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sleep: what the sleep of the machine (S3) does to the link
 *
 * A slot has no power in S3, so the link is down from the moment the machine
 * falls asleep until it wakes up.  Firmware trains links before it lets a
 * kernel go on, and so does the bridge: the vCPUs wait for the functions that
 * were there before.
 *
 * All callers hold the BQL, in the main loop.
 */
#ifndef HW_MISC_EPF_BRIDGE_SLEEP_H
#define HW_MISC_EPF_BRIDGE_SLEEP_H

#include "qemu/notify.h"
#include "qemu/timer.h"
#include "hw/resettable.h"
#include "hw/pci-ep/wire/locks.h"

typedef struct EpfBridge EpfBridge;

/* The table at the head of sleep.c says which follows which. */
typedef enum EpfSleepState {
    EPF_AWAKE,
    EPF_ASLEEP,     /* in S3 */
    EPF_WAKING,     /* the vCPUs are to wait for the functions */
} EpfSleepState;

typedef struct EpfSleep {
    EpfSleepState state;
    bool full;              /* there were functions when it fell asleep */
    bool held;              /* ep_hold_vcpus() was called */
    Notifier suspended;
    QEMUTimer *late;        /* the end of WAKING */
} EpfSleep;

/* Called once, when the endpoint of @b is known. */
void epf_sleep_init(EpfBridge *b);
/* The port was reset with @type: the machine was reset, or it woke up. */
void epf_sleep_was_reset(EpfBridge *b, ResetType type) EP_REQUIRES(&ep_bql);
/*
 * Lets the vCPUs go when they need not wait any more.  @full: the functions
 * that the endpoint offers now are in the slot.  Called in the bottom half of
 * the bridge.
 */
void epf_sleep_sync(EpfBridge *b, bool full) EP_REQUIRES(&ep_bql);

#endif /* HW_MISC_EPF_BRIDGE_SLEEP_H */
