/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requested faults of the controller: the kinds, and whether one happens
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "hw/pci-ep/endpoint/faults.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/trace.h"

#define FAULTS_DELAY (BIT(EP_FAULT_US) | BIT(EP_FAULT_JITTER))
#define FAULTS_FIRST_SEED 1

static const EpFaultKind faults_kinds[EPC_FAULT_KINDS] = {
    [EPC_FAULT_DMA_DELAY] = { "dma-delay", .keys = FAULTS_DELAY },
    [EPC_FAULT_DMA_FAIL] = { "dma-fail" },
    [EPC_FAULT_DMA_DROP] = { "dma-drop" },
    [EPC_FAULT_IRQ_LOST] = { "irq-lost" },
    [EPC_FAULT_IRQ_DOUBLE] = { "irq-double", .keys = FAULTS_DELAY },
    [EPC_FAULT_LINK_DOWN] = { "link-down", .now = true,
                              .keys = BIT(EP_FAULT_MS) },
    [EPC_FAULT_LINK_UP] = { "link-up", .now = true },
    [EPC_FAULT_LINK_FLAP] = { "link-flap", .now = true,
                              .keys = BIT(EP_FAULT_MS) },
    [EPC_FAULT_WINDOW_DELAY] = { "window-delay", .keys = FAULTS_DELAY },
    [EPC_FAULT_WINDOW_TIMEOUT] = { "window-timeout" },
    [EPC_FAULT_WINDOW_POISON] = { "window-poison" },
    [EPC_FAULT_DOORBELL_LOST] = { "doorbell-lost" },
    [EPC_FAULT_DOORBELL_DOUBLE] = { "doorbell-double", .keys = FAULTS_DELAY },
};

/* What changes in the device when the last request of a group is over */
static const uint32_t faults_groups[] = { EPC_FAULTS_IRQ, EPC_FAULTS_DOORBELL };

/* ---- Faults that happen ---- */

/* EpFaultSeen */
static void faults_seen(void *opaque, const char *kind, uint32_t function,
                        uint64_t at)
{
    if (function == EP_FAULT_EVERY) {
        trace_pci_epc_requested_fault(epc_name(opaque), kind, at);
    } else {
        trace_pci_epc_fn_requested_fault(epc_name(opaque), function, kind, at);
    }
}

bool epc_faults_armed(const EpcState *s, uint32_t mask)
{
    return ep_faults_armed(s->faults.requests) & mask;
}

bool epc_faults_hit(EpcState *s, EpcFaultKind kind, uint32_t function,
                    uint64_t at, EpFault *fault)
{
    if (!ep_faults_hit(s->faults.requests, kind, function, at, fault)) {
        return false;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(faults_groups); i++) {
        if ((faults_groups[i] & BIT(kind)) &&
            !epc_faults_armed(s, faults_groups[i])) {
            epc_faults_changed(s);
        }
    }
    return true;
}

void epc_faults_changed(EpcState *s)
{
    if (s->ioeventfd) {
        qatomic_set(&s->io_stale, true);
    }
    qemu_bh_schedule(s->bh);
}

/* ---- Interrupts that come again ---- */

bool epc_faults_repeat(EpcState *s, unsigned fn, unsigned raise, uint32_t us)
{
    EpcFaults *f = &s->faults;
    int64_t due = qemu_clock_get_us(QEMU_CLOCK_REALTIME) + us;

    EP_LOCK_HELD(&s->lock);
    if (f->repeats == EPC_FAULTS_MAX_REPEATS) {
        return false;
    }
    f->repeat[f->repeats++] = (EpcFaultRepeat) { due, fn, raise };
    timer_mod_anticipate(f->repeat_timer, due);
    return true;
}

bool epc_faults_take_repeat(EpcState *s, EpcFaultRepeat *r)
{
    int64_t now = qemu_clock_get_us(QEMU_CLOCK_REALTIME), next = INT64_MAX;
    EpcFaults *f = &s->faults;

    QEMU_LOCK_GUARD(&s->lock);
    for (unsigned i = 0; i < f->repeats; i++) {
        if (f->repeat[i].due <= now) {
            *r = f->repeat[i];
            f->repeat[i] = f->repeat[--f->repeats];
            return true;
        }
        next = MIN(next, f->repeat[i].due);
    }
    if (f->repeats) {
        timer_mod(f->repeat_timer, next);
    }
    return false;
}

/* ---- Life cycle ---- */

/* The analysis is off, since no other thread knows the object yet. */
void EP_NO_TSA epc_faults_init(EpcState *s)
{
    s->faults.requests = ep_faults_new(faults_kinds, EPC_FAULT_KINDS,
                                       faults_seen, s);
    s->faults.seed = FAULTS_FIRST_SEED;
}

void epc_faults_destroy(EpcState *s)
{
    ep_faults_free(s->faults.requests);
}
