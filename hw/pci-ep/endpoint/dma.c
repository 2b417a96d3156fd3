/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DMA engine of the controller: its registers
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/endpoint/dma-burst.h"
#include "hw/pci-ep/endpoint/dma-channel.h"
#include "hw/pci-ep/endpoint/dma-ring.h"
#include "hw/pci-ep/endpoint/dma-step.h"
#include "hw/pci-ep/endpoint/dma-worker.h"
#include "hw/pci-ep/endpoint/dma.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/trace.h"

/* How long a CPU that disables a channel or writes RESET waits for a burst */
#define DMA_DRAIN_MS    1
/* Most workers unless the user says how many */
#define DMA_THREADS_DEFAULT 4
/*
 * What a vCPU spends when it writes PRODUCER, in bytes: about 128 KiB in pages.
 * A descriptor costs EPC_DMA_DESC_COST as well. To wake the worker, and to be
 * woken by its interrupt, takes longer.
 */
#define DMA_NOW_BUDGET  (288 * 1024)
/*
 * Copies in a vCPU that take DMA_NOW_SLOW_US or longer leave the copies after
 * them to the worker, for DMA_NOW_REST times as long.
 */
#define DMA_NOW_SLOW_US 1000
#define DMA_NOW_REST    100

/* ---- Registers ---- */

static bool dma_ring_valid(const EpcDmaChannel *ch) EP_REQUIRES(&ep_bql);
static bool dma_ring_valid(const EpcDmaChannel *ch)
{
    uint64_t bytes = ch->ring_size * (uint64_t)EPC_DMA_DESC_SIZE;

    return is_power_of_2(ch->ring_size) && ch->ring_size >= EPC_DMA_SIZE_MIN &&
           ch->ring_size <= EPC_DMA_SIZE_MAX &&
           !(ch->ring_addr % EPC_DMA_DESC_SIZE) &&
           ch->ring_addr + bytes - 1 >= ch->ring_addr;
}

/* The caller calls dma_drain_shortly() when it has released EpcState.lock. */
static void dma_disable(EpcDmaChannel *ch)
    EP_REQUIRES(&ep_bql, &ch->epc->lock);
static void dma_disable(EpcDmaChannel *ch)
{
    ch->epoch++;
    ch->enabled = ch->error = false;
    ch->abort_left = ch->unsignalled = 0;
    timer_del(ch->timer);
    timer_del(ch->held_timer);
    epc_dma_ring_release(ch);
}

/*
 * As a rule a burst is over in microseconds, so that a driver does not have to
 * wait. But the host can make a burst long, and this thread holds the BQL.
 */
static void dma_drain_shortly(EpcState *s) EP_REQUIRES(&ep_bql);
static void dma_drain_shortly(EpcState *s)
{
    if (!epc_dma_bursts_drain(&s->dma.bursts, EPC_DMA_ALL_BURSTS,
                              DMA_DRAIN_MS)) {
        trace_pci_epc_dma_late(epc_name(s));
    }
}

static void dma_enable(EpcDmaChannel *ch)
    EP_REQUIRES(&ep_bql, &ch->epc->lock);
static void dma_enable(EpcDmaChannel *ch)
{
    if (ch->enabled) {
        return;
    }
    ch->epoch++;
    ch->enabled = true;
    ch->error = !dma_ring_valid(ch);
    ch->producer = ch->consumer = 0;
    if (!ch->error) {
        epc_dma_ring_resolve(ch);
    }
}

static bool dma_write_control(EpcState *s, EpcDmaChannel *ch, uint32_t v)
    EP_REQUIRES(&ep_bql);
static bool dma_write_control(EpcState *s, EpcDmaChannel *ch, uint32_t v)
{
    if (v & ~(EPC_DMA_CTRL_ENABLE | EPC_DMA_CTRL_ABORT)) {
        return false;
    }
    trace_pci_epc_dma_control(epc_name(s), ch->index, v);
    if (v & EPC_DMA_CTRL_ENABLE) {
        epc_dma_workers_start(ch);
    }
    WITH_QEMU_LOCK_GUARD(&ch->epc->lock) {
        if (!(v & EPC_DMA_CTRL_ENABLE)) {
            dma_disable(ch);
        } else {
            dma_enable(ch);
            if (v & EPC_DMA_CTRL_ABORT) {
                ch->abort_left = ch->producer - ch->consumer;
            }
        }
    }
    if (!(v & EPC_DMA_CTRL_ENABLE)) {
        dma_drain_shortly(s);
    }
    epc_dma_worker_kick(ch);
    return true;
}

/*
 * Works on the next descriptors in this thread, unless its worker is busy or a
 * host has made such a copy slow.  A driver waits for the end of a few small
 * copies, so they are done before it can wait.  Returns whether the worker has
 * to go on.
 */
static bool dma_work_now(EpcDmaChannel *ch) EP_REQUIRES(&ep_bql);
static bool dma_work_now(EpcDmaChannel *ch)
{
    EpcDma *dma = &ch->epc->dma;
    int64_t since = g_get_monotonic_time();
    uint32_t used = 0, cost;
    int64_t took;

    if (!dma->running || dma->iommu || since < dma->rests_until ||
        qemu_mutex_trylock(&ch->worker->turn)) {
        return true;
    }
    do {
        cost = epc_dma_step(ch, false);
        used += cost;
        took = g_get_monotonic_time() - since;
    } while (cost && used < DMA_NOW_BUDGET && took < DMA_NOW_SLOW_US);
    qemu_mutex_unlock(&ch->worker->turn);
    if (took >= DMA_NOW_SLOW_US) {
        dma->rests_until = since + took + took * DMA_NOW_REST;
    }

    QEMU_LOCK_GUARD(&ch->epc->lock);
    return ch->consumer != ch->producer;
}

static bool dma_write_producer(EpcState *s, EpcDmaChannel *ch, uint32_t v)
    EP_REQUIRES(&ep_bql);
static bool dma_write_producer(EpcState *s, EpcDmaChannel *ch, uint32_t v)
{
    WITH_QEMU_LOCK_GUARD(&ch->epc->lock) {
        if (!ch->enabled || ch->error || v - ch->consumer > ch->ring_size ||
            v - ch->consumer < ch->producer - ch->consumer) {
            return false;
        }
        ch->producer = v;
    }
    if (dma_work_now(ch)) {
        epc_dma_worker_kick(ch);
    }
    return true;
}

bool epc_dma_write(EpcState *s, unsigned channel, uint64_t reg, uint32_t v)
{
    EpcDmaChannel *ch = &s->dma.channel[channel];

    switch (reg) {
    case EPC_DMA_CTRL:
        return dma_write_control(s, ch, v);
    case EPC_DMA_PRODUCER:
        return dma_write_producer(s, ch, v);
    case EPC_DMA_RING:
        return epc_dma_set_ring(s, channel, deposit64(ch->ring_addr, 0, 32, v));
    case EPC_DMA_RING + 4:
        return epc_dma_set_ring(s, channel,
                                deposit64(ch->ring_addr, 32, 32, v));
    }

    QEMU_LOCK_GUARD(&ch->epc->lock);
    switch (reg) {
    case EPC_DMA_SIZE:
        if (ch->enabled) {
            return false;
        }
        ch->ring_size = v;
        return true;
    case EPC_DMA_VECTOR:
        if (v >= EPC_VECTORS) {
            return false;
        }
        ch->vector = v;
        return true;
    case EPC_DMA_IRQ_COUNT:
        if (v > EPC_DMA_SIZE_MAX) {
            return false;
        }
        ch->irq_count = v;
        return true;
    case EPC_DMA_IRQ_USEC:
        if (v > EPC_DMA_IRQ_USEC_MAX) {
            return false;
        }
        ch->irq_usec = v;
        return true;
    default:
        return false;
    }
}

uint64_t *epc_dma_register64(EpcState *s, unsigned channel, uint64_t reg)
{
    return reg == EPC_DMA_RING ? &s->dma.channel[channel].ring_addr : NULL;
}

bool epc_dma_set_ring(EpcState *s, unsigned channel, uint64_t ring)
{
    EpcDmaChannel *ch = &s->dma.channel[channel];

    QEMU_LOCK_GUARD(&ch->epc->lock);
    if (ch->enabled) {
        return false;
    }
    ch->ring_addr = ring;
    return true;
}

static uint32_t dma_read_state(const EpcDmaChannel *ch)
    EP_REQUIRES(&ch->epc->lock);
static uint32_t dma_read_state(const EpcDmaChannel *ch)
{
    return (ch->enabled ? EPC_DMA_STATE_ENABLED : 0) |
           (ch->error ? EPC_DMA_STATE_ERROR : 0) |
           (qatomic_read(&ch->message) ? EPC_DMA_STATE_MESSAGE : 0) |
           (epc_dma_bursts_late(&ch->epc->dma.bursts, ch->index, ch->epoch) ?
            EPC_DMA_STATE_BUSY : 0);
}

bool epc_dma_read(EpcState *s, unsigned channel, uint64_t reg, uint32_t *v)
{
    EpcDmaChannel *ch = &s->dma.channel[channel];

    EP_LOCK_HELD(&ch->epc->lock);
    switch (reg) {
    case EPC_DMA_RING:
        *v = ch->ring_addr;
        break;
    case EPC_DMA_RING + 4:
        *v = ch->ring_addr >> 32;
        break;
    case EPC_DMA_SIZE:
        *v = ch->ring_size;
        break;
    case EPC_DMA_CTRL:
        *v = ch->enabled ? EPC_DMA_CTRL_ENABLE : 0;
        break;
    case EPC_DMA_STATE:
        *v = dma_read_state(ch);
        break;
    case EPC_DMA_PRODUCER:
        *v = ch->producer;
        break;
    case EPC_DMA_CONSUMER:
        *v = ch->consumer;
        break;
    case EPC_DMA_VECTOR:
        *v = ch->vector;
        break;
    case EPC_DMA_IRQ_COUNT:
        *v = ch->irq_count;
        break;
    case EPC_DMA_IRQ_USEC:
        *v = ch->irq_usec;
        break;
    default:
        return false;
    }
    return true;
}

/* ---- Life cycle ---- */

bool epc_dma_check(EpcState *s, Error **errp)
{
    if (s->dma_threads > EPC_DMA_CHANNELS) {
        error_setg(errp, "pci-epc: dma-threads=%" PRIu32 " is not in the range "
                   "0 to %d", s->dma_threads, EPC_DMA_CHANNELS);
        return false;
    }
    if (!s->dma_threads) {
        s->dma_threads = MIN(g_get_num_processors(),
                             DMA_THREADS_DEFAULT);
    }
    return true;
}

void epc_dma_drain(EpcState *s, uint64_t functions)
{
    epc_dma_bursts_drain(&s->dma.bursts, functions, -1);
}

bool epc_dma_host_idle(EpcState *s)
{
    return epc_dma_bursts_drain(&s->dma.bursts, UINT32_MAX, 0);
}

bool epc_dma_after_bursts(EpcState *s, EpcDmaBurstOver *over, void *opaque)
{
    return epc_dma_bursts_after(&s->dma.bursts, over, opaque);
}

void epc_dma_reset(EpcState *s)
{
    for (unsigned i = 0; i < EPC_DMA_CHANNELS; i++) {
        EpcDmaChannel *ch = &s->dma.channel[i];

        QEMU_LOCK_GUARD(&ch->epc->lock);
        dma_disable(ch);
        ch->ring_addr = 0;
        ch->ring_size = ch->producer = ch->consumer = 0;
        ch->irq_count = ch->irq_usec = 0;
        ch->vector = EPC_VECTOR_DMA(i);
    }
    dma_drain_shortly(s);
}

/* The analysis is off, since no other thread knows the object yet. */
void EP_NO_TSA epc_dma_init(EpcState *s)
{
    epc_dma_bursts_init(&s->dma.bursts);
    s->dma.channel = g_new0(EpcDmaChannel, EPC_DMA_CHANNELS);
    for (unsigned i = 0; i < EPC_DMA_CHANNELS; i++) {
        EpcDmaChannel *ch = &s->dma.channel[i];

        ch->epc = s;
        ch->index = i;
        ch->vector = EPC_VECTOR_DMA(i);
        ch->timer = timer_new_us(QEMU_CLOCK_REALTIME, epc_dma_irq_timer, ch);
        ch->held_timer = timer_new_us(QEMU_CLOCK_REALTIME,
                                      epc_dma_worker_kick, ch);
    }
    epc_dma_workers_init(s);
}

void epc_dma_stop(EpcState *s)
{
    epc_dma_reset(s);
    epc_dma_workers_stop(s);
}

/*
 * The analysis is off, since no other thread has a reference any more. A CPU
 * that was on its way to the registers may have enabled a channel while
 * epc_dma_stop() waited without the BQL.
 */
void EP_NO_TSA epc_dma_destroy(EpcState *s)
{
    for (unsigned i = 0; i < EPC_DMA_CHANNELS; i++) {
        epc_dma_ring_release(&s->dma.channel[i]);
        timer_free(s->dma.channel[i].timer);
        timer_free(s->dma.channel[i].held_timer);
    }
    epc_dma_workers_destroy(s);
    g_free(s->dma.channel);
    epc_dma_bursts_destroy(&s->dma.bursts);
}
