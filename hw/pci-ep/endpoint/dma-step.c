/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A descriptor of the DMA engine, step by step
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "qemu/timer.h"
#include "hw/pci-ep/endpoint/dma-channel.h"
#include "hw/pci-ep/endpoint/dma-copy.h"
#include "hw/pci-ep/endpoint/dma-ring.h"
#include "hw/pci-ep/endpoint/dma-step.h"
#include "hw/pci-ep/endpoint/faults.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/trace.h"

/* Copying so many bytes takes less time than waking the worker does. */
#define DMA_STEP_NOW_MAX (64 * 1024)

#define DMA_STEP_KNOWN_FLAGS \
    (EPC_DMA_SRC_HOST | EPC_DMA_DST_HOST | EPC_DMA_IRQ | EPC_DMA_CHAIN | \
     EPC_DMA_IRQ_LATE | EPC_DMA_FN_MASK << EPC_DMA_SRC_FN_SHIFT | \
     EPC_DMA_FN_MASK << EPC_DMA_DST_FN_SHIFT)

/* ---- Interrupts ---- */

static void dma_step_raise(EpcDmaChannel *ch) EP_REQUIRES(&ch->epc->lock);
static void dma_step_raise(EpcDmaChannel *ch)
{
    ch->unsignalled = 0;
    epc_notify(ch->epc, ch->vector);
}

void epc_dma_irq_timer(void *opaque)
{
    EpcDmaChannel *ch = opaque;

    QEMU_LOCK_GUARD(&ch->epc->lock);
    if (ch->unsignalled) {
        dma_step_raise(ch);
    }
}

/* Called for each descriptor that ends, when the consumer index has moved. */
static void dma_step_signal(EpcDmaChannel *ch, bool asked, bool failed)
    EP_REQUIRES(&ch->epc->lock);
static void dma_step_signal(EpcDmaChannel *ch, bool asked, bool failed)
{
    bool idle = ch->consumer == ch->producer;

    if (asked && ch->unsignalled++ == 0 && ch->irq_usec) {
        timer_mod(ch->timer, qemu_clock_get_us(QEMU_CLOCK_REALTIME) +
                  ch->irq_usec);
    }
    if (failed || (ch->unsignalled && (ch->unsignalled >= ch->irq_count ||
                                       (idle && !ch->irq_usec)))) {
        dma_step_raise(ch);
    }
}

/* ---- Descriptors ---- */

/* Is the state under EpcDmaWorker.turn that of what the channel does now? */
static bool dma_step_work_valid(const EpcDmaChannel *ch)
    EP_REQUIRES(&ch->epc->lock, &ch->worker->turn);
static bool dma_step_work_valid(const EpcDmaChannel *ch)
{
    return ch->enabled && !ch->error && ch->work_epoch == ch->epoch;
}

/*
 * Returns whether there is a descriptor to work on.  Stores its index, and
 * whether EPC_DMA_CTRL_ABORT ends it.
 */
static bool dma_step_next(EpcDmaChannel *ch, uint32_t *index, bool *abort)
    EP_REQUIRES(&ch->worker->turn) EP_EXCLUDES(&ch->epc->lock);
static bool dma_step_next(EpcDmaChannel *ch, uint32_t *index, bool *abort)
{
    QEMU_LOCK_GUARD(&ch->epc->lock);
    if (!ch->enabled || ch->error || ch->consumer == ch->producer) {
        return false;
    }
    if (ch->work_epoch != ch->epoch) {
        ch->work_epoch = ch->epoch;
        ch->fetched = false;
        ch->chain_status = EPC_DMA_OK;
    }
    *index = ch->consumer;
    *abort = ch->abort_left;
    return true;
}

/* A descriptor is not in RAM, or no longer.  The channel stands still. */
static void dma_step_ring_failed(EpcDmaChannel *ch, uint32_t index)
    EP_REQUIRES(&ch->worker->turn) EP_EXCLUDES(&ch->epc->lock);
static void dma_step_ring_failed(EpcDmaChannel *ch, uint32_t index)
{
    QEMU_LOCK_GUARD(&ch->epc->lock);
    if (dma_step_work_valid(ch)) {
        trace_pci_epc_dma_ring_error(epc_name(ch->epc), ch->index, index);
        ch->error = true;
        dma_step_raise(ch);
    }
}

/*
 * Reads the descriptor at @index.  This is no burst: if the channel is disabled
 * meanwhile, nobody uses what was read.
 */
static bool dma_step_fetch(EpcDmaChannel *ch, uint32_t index)
    EP_REQUIRES(&ch->worker->turn) EP_EXCLUDES(&ch->epc->lock);
static bool dma_step_fetch(EpcDmaChannel *ch, uint32_t index)
{
    EpcDmaSlot slot;
    uint32_t status;

    RCU_READ_LOCK_GUARD();
    status = epc_dma_ring_find(ch, index, false, &slot);
    if (status == EPC_DMA_BAD_ADDR) {
        dma_step_ring_failed(ch, index);
    }
    if (status != EPC_DMA_OK) {
        return false;
    }
    epc_dma_slot_read(&slot, &ch->desc);
    ch->done = 0;
    ch->fault_asked = false;
    ch->fetched = true;
    trace_pci_epc_dma_start(epc_name(ch->epc), ch->index, index, ch->desc.src,
                            ch->desc.dst, ch->desc.length, ch->desc.flags);
    return true;
}

static bool dma_step_side_valid(const EpcState *s, uint64_t addr,
                                uint32_t length, bool host, uint32_t fn)
{
    return (!host || fn < s->nfn) && (!length || addr + length - 1 >= addr);
}

static bool dma_step_desc_valid(const EpcState *s, const EpcDmaDesc *d)
{
    return !(d->flags & ~DMA_STEP_KNOWN_FLAGS) &&
           dma_step_side_valid(s, d->src, d->length,
                               d->flags & EPC_DMA_SRC_HOST,
                               d->flags >> EPC_DMA_SRC_FN_SHIFT &
                               EPC_DMA_FN_MASK) &&
           dma_step_side_valid(s, d->dst, d->length,
                               d->flags & EPC_DMA_DST_HOST,
                               d->flags >> EPC_DMA_DST_FN_SHIFT &
                               EPC_DMA_FN_MASK);
}

/* ---- Requested faults ---- */

/* The function whose host the descriptor reaches; EP_FAULT_EVERY: none */
static uint32_t dma_step_function(const EpcDmaDesc *d)
{
    if (d->flags & EPC_DMA_SRC_HOST) {
        return d->flags >> EPC_DMA_SRC_FN_SHIFT & EPC_DMA_FN_MASK;
    }
    if (d->flags & EPC_DMA_DST_HOST) {
        return d->flags >> EPC_DMA_DST_FN_SHIFT & EPC_DMA_FN_MASK;
    }
    return EP_FAULT_EVERY;
}

/* A timer of a channel that was disabled meanwhile must not run. */
static void dma_step_hold(EpcDmaChannel *ch, uint32_t us)
    EP_REQUIRES(&ch->worker->turn) EP_EXCLUDES(&ch->epc->lock);
static void dma_step_hold(EpcDmaChannel *ch, uint32_t us)
{
    ch->held_until = qemu_clock_get_us(QEMU_CLOCK_REALTIME) + us;
    QEMU_LOCK_GUARD(&ch->epc->lock);
    if (dma_step_work_valid(ch)) {
        timer_mod(ch->held_timer, ch->held_until);
    }
}

/* Looks for the faults of the descriptor at @index, once. */
static void dma_step_ask_faults(EpcDmaChannel *ch, uint32_t index)
    EP_REQUIRES(&ch->worker->turn) EP_EXCLUDES(&ch->epc->lock);
static void dma_step_ask_faults(EpcDmaChannel *ch, uint32_t index)
{
    uint32_t fn = dma_step_function(&ch->desc);
    EpcState *s = ch->epc;
    EpFault fault;

    ch->fault_asked = true;
    ch->fault_status = EPC_DMA_OK;
    ch->held_until = 0;
    if (!epc_faults_armed(s, EPC_FAULTS_DMA)) {
        return;
    }
    if (epc_faults_hit(s, EPC_FAULT_DMA_DROP, fn, index, &fault)) {
        ch->held_until = INT64_MAX;
        return;
    }
    if (epc_faults_hit(s, EPC_FAULT_DMA_FAIL, fn, index, &fault)) {
        ch->fault_status = EPC_DMA_IO;
    }
    if (epc_faults_hit(s, EPC_FAULT_DMA_DELAY, fn, index, &fault)) {
        dma_step_hold(ch, fault.value[EP_FAULT_US]);
    }
}

/*
 * Returns EPC_DMA_OK when the descriptor at @index is to be carried out,
 * EPC_DMA_VOID while it is held, and what it fails with otherwise.
 */
static uint32_t dma_step_fault(EpcDmaChannel *ch, uint32_t index)
    EP_REQUIRES(&ch->worker->turn) EP_EXCLUDES(&ch->epc->lock);
static uint32_t dma_step_fault(EpcDmaChannel *ch, uint32_t index)
{
    if (!ch->fault_asked) {
        dma_step_ask_faults(ch, index);
    }
    if (ch->held_until &&
        qemu_clock_get_us(QEMU_CLOCK_REALTIME) < ch->held_until) {
        return EPC_DMA_VOID;
    }
    return ch->fault_status;
}

/* ---- Ends of descriptors ---- */

/* Moves the consumer index.  The status was stored before. */
static void dma_step_consume(EpcDmaChannel *ch, uint32_t status, bool by_worker)
    EP_REQUIRES(&ch->worker->turn, &ch->epc->lock);
static void dma_step_consume(EpcDmaChannel *ch, uint32_t status, bool by_worker)
{
    uint32_t asks = EPC_DMA_IRQ | (by_worker ? EPC_DMA_IRQ_LATE : 0);

    trace_pci_epc_dma_done(epc_name(ch->epc), ch->index, ch->consumer, ch->done,
                           status);
    ch->consumer++;
    ch->abort_left -= ch->abort_left > 0;
    dma_step_signal(ch, ch->desc.flags & asks, status != EPC_DMA_OK);
}

/*
 * Ends the descriptor at @index.  The store of its status is no burst either:
 * EpcState.lock keeps the channel enabled meanwhile.
 */
static void dma_step_finish(EpcDmaChannel *ch, uint32_t index, uint32_t status,
                            bool by_worker)
    EP_REQUIRES(&ch->worker->turn) EP_EXCLUDES(&ch->epc->lock);
static void dma_step_finish(EpcDmaChannel *ch, uint32_t index, uint32_t status,
                            bool by_worker)
{
    EpcDmaSlot slot;
    uint32_t ret;

    ch->fetched = false;
    ch->chain_status = ch->desc.flags & EPC_DMA_CHAIN ? status : EPC_DMA_OK;

    RCU_READ_LOCK_GUARD();
    ret = epc_dma_ring_find(ch, index, true, &slot);
    if (ret == EPC_DMA_BAD_ADDR) {
        dma_step_ring_failed(ch, index);
    }
    if (ret != EPC_DMA_OK) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&ch->epc->lock) {
        if (!dma_step_work_valid(ch)) {
            return;
        }
        epc_dma_slot_store(&slot, status, ch->done);
        dma_step_consume(ch, status, by_worker);
    }
    epc_dma_slot_written(ch, &slot);
}

uint32_t epc_dma_step(EpcDmaChannel *ch, bool by_worker)
{
    uint32_t status = EPC_DMA_OK, count = 0;
    uint32_t index;
    bool abort;

    if (!dma_step_next(ch, &index, &abort) ||
        (!ch->fetched && !dma_step_fetch(ch, index))) {
        return 0;
    }
    if (!by_worker && ch->desc.length > DMA_STEP_NOW_MAX) {
        return 0;
    }
    if (abort) {
        status = EPC_DMA_ABORTED;
    } else if (ch->chain_status != EPC_DMA_OK) {
        status = ch->chain_status;
    } else if (!dma_step_desc_valid(ch->epc, &ch->desc)) {
        status = EPC_DMA_BAD_DESC;
    } else {
        status = dma_step_fault(ch, index);
    }
    if (status == EPC_DMA_OK && ch->desc.length) {
        status = epc_dma_copy(ch, by_worker, &count);
    }
    if (status == EPC_DMA_OK) {
        ch->done += count;
    }
    if (status == EPC_DMA_VOID) {
        return 0;
    }
    if (status != EPC_DMA_OK || ch->done == ch->desc.length) {
        dma_step_finish(ch, index, status, by_worker);
        count += EPC_DMA_DESC_COST;
    }
    return count;
}
