/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bursts: spans of time in which this process accesses memory of a host
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/endpoint/dma-burst.h"

/* The analysis is off, since no other thread knows the object yet. */
void EP_NO_TSA epc_dma_bursts_init(EpcDmaBursts *b)
{
    qemu_mutex_init(&b->lock);
    qemu_cond_init(&b->over);
    QTAILQ_INIT(&b->now);
}

void epc_dma_bursts_destroy(EpcDmaBursts *b)
{
    qemu_cond_destroy(&b->over);
    qemu_mutex_destroy(&b->lock);
}

/* Is one of the first @count bursts under way that access such memory? */
static bool dma_burst_any(const EpcDmaBursts *b, uint64_t functions,
                          uint64_t count) EP_REQUIRES(&b->lock);
static bool dma_burst_any(const EpcDmaBursts *b, uint64_t functions,
                          uint64_t count)
{
    const EpcDmaBurst *burst;

    QTAILQ_FOREACH(burst, &b->now, next) {
        if (burst->number <= count && (functions == EPC_DMA_ALL_BURSTS ||
                                       (burst->functions & functions))) {
            return true;
        }
    }
    return false;
}

/*
 * A mutex that is held for the length of a burst would not do: QemuMutex is not
 * fair, and the worker would take it again before a waiter wakes up.
 */
bool epc_dma_bursts_drain(EpcDmaBursts *b, uint64_t functions, int ms)
{
    int64_t end = g_get_monotonic_time() + ms * INT64_C(1000);
    uint64_t count;

    QEMU_LOCK_GUARD(&b->lock);
    count = b->count;
    while (dma_burst_any(b, functions, count)) {
        int64_t left = end - g_get_monotonic_time();

        if (ms < 0) {
            qemu_cond_wait(&b->over, &b->lock);
        } else if (left <= 0) {
            return false;
        } else {
            qemu_cond_timedwait(&b->over, &b->lock, DIV_ROUND_UP(left, 1000));
        }
    }
    return true;
}

bool epc_dma_bursts_after(EpcDmaBursts *b, EpcDmaBurstOver *over, void *opaque)
{
    QEMU_LOCK_GUARD(&b->lock);
    if (QTAILQ_EMPTY(&b->now)) {
        return false;
    }
    b->after = over;
    b->after_opaque = opaque;
    b->after_count = b->count;
    return true;
}

bool epc_dma_bursts_late(EpcDmaBursts *b, uint32_t channel, uint32_t epoch)
{
    const EpcDmaBurst *burst;

    QEMU_LOCK_GUARD(&b->lock);
    QTAILQ_FOREACH(burst, &b->now, next) {
        if (burst->channel == channel && burst->epoch != epoch) {
            return true;
        }
    }
    return false;
}

void epc_dma_burst_begin(EpcDmaBursts *b, EpcDmaBurst *burst)
{
    QEMU_LOCK_GUARD(&b->lock);
    burst->number = ++b->count;
    QTAILQ_INSERT_TAIL(&b->now, burst, next);
}

void epc_dma_burst_end(EpcDmaBursts *b, EpcDmaBurst *burst)
{
    EpcDmaBurstOver *after = NULL;
    void *opaque = NULL;

    WITH_QEMU_LOCK_GUARD(&b->lock) {
        QTAILQ_REMOVE(&b->now, burst, next);
        if (b->after &&
            !dma_burst_any(b, EPC_DMA_ALL_BURSTS, b->after_count)) {
            after = b->after;
            opaque = b->after_opaque;
            b->after = NULL;
        }
        qemu_cond_broadcast(&b->over);
    }
    if (after) {
        after(opaque);
    }
}
