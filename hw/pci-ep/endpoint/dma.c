/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-dma: the DMA engine of the controller, its registers and its worker
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "hw/pci-ep/pci-epc.h"
#include "trace.h"

/*
 * What a channel may do before it is the next one's turn.  A descriptor costs
 * as much as copying that many bytes.
 */
#define BUDGET          (256 * 1024)
#define DESC_COST       4096

/* A copy that takes less time than waking the worker does */
#define NOW_MAX         (64 * 1024)

#define KNOWN_FLAGS     (EPC_DMA_SRC_HOST | EPC_DMA_DST_HOST | EPC_DMA_IRQ | \
                         EPC_DMA_CHAIN | \
                         EPC_DMA_FN_MASK << EPC_DMA_SRC_FN_SHIFT | \
                         EPC_DMA_FN_MASK << EPC_DMA_DST_FN_SHIFT)

/* ---- Interrupts ---- */

static void channel_raise(EpcDmaChannel *ch)
{
    ch->unsignalled = 0;
    epc_notify(ch->epc, ch->vector);
}

static void channel_timer(void *opaque)
{
    EpcDmaChannel *ch = opaque;

    QEMU_LOCK_GUARD(&ch->epc->lock);
    if (ch->unsignalled) {
        channel_raise(ch);
    }
}

/* A descriptor is done, and the consumer index moved.  Lock held. */
static void channel_signal(EpcDmaChannel *ch, bool asked, bool failed)
{
    bool idle = ch->consumer == ch->producer;

    if (asked && ch->unsignalled++ == 0 && ch->irq_usec) {
        timer_mod(ch->timer, qemu_clock_get_us(QEMU_CLOCK_REALTIME) +
                  ch->irq_usec);
    }
    if (failed || (ch->unsignalled && (ch->unsignalled >= ch->irq_count ||
                                       (idle && !ch->irq_usec)))) {
        channel_raise(ch);
    }
}

/* ---- The worker ---- */

/* Does the epoch of the worker's state still hold?  Lock held. */
static bool work_valid(const EpcDmaChannel *ch)
{
    return ch->enabled && !ch->error && ch->work_epoch == ch->epoch;
}

/* Is there a descriptor?  Fills its address, and whether to abort it. */
static bool work_next(EpcDmaChannel *ch, uint64_t *addr, bool *abort)
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
    *addr = ch->ring + (ch->consumer & (ch->size - 1)) *
            (uint64_t)EPC_DMA_DESC_SIZE;
    *abort = ch->abort_left;
    return true;
}

static void ring_failed(EpcDmaChannel *ch)
{
    QEMU_LOCK_GUARD(&ch->epc->lock);
    if (work_valid(ch)) {
        trace_epc_dma_ring_error(ch->index, ch->ring, ch->size);
        ch->error = true;
        channel_raise(ch);
    }
}

static bool desc_fetch(EpcDmaChannel *ch, uint64_t addr)
{
    uint8_t raw[EPC_DMA_DESC_SIZE];
    uint32_t status = epc_dma_ring_read(ch, addr, raw, sizeof(raw));

    if (status == EPC_DMA_BAD_ADDR) {
        ring_failed(ch);
    }
    if (status != EPC_DMA_OK) {
        return false;
    }
    ch->desc.src = ldq_le_p(raw + EPC_DMA_DESC_SRC);
    ch->desc.dst = ldq_le_p(raw + EPC_DMA_DESC_DST);
    ch->desc.length = ldl_le_p(raw + EPC_DMA_DESC_LENGTH);
    ch->desc.flags = ldl_le_p(raw + EPC_DMA_DESC_FLAGS);
    ch->done = 0;
    ch->fetched = true;
    return true;
}

static bool address_valid(const EpcState *s, uint64_t addr, uint32_t length,
                          bool host, uint32_t fn)
{
    return (!host || fn < s->nfn) && (!length || addr + length - 1 >= addr);
}

static bool desc_valid(const EpcState *s, const EpcDmaDesc *d)
{
    return !(d->flags & ~KNOWN_FLAGS) &&
           address_valid(s, d->src, d->length, d->flags & EPC_DMA_SRC_HOST,
                         d->flags >> EPC_DMA_SRC_FN_SHIFT & EPC_DMA_FN_MASK) &&
           address_valid(s, d->dst, d->length, d->flags & EPC_DMA_DST_HOST,
                         d->flags >> EPC_DMA_DST_FN_SHIFT & EPC_DMA_FN_MASK);
}

static void desc_end(EpcDmaChannel *ch, uint64_t addr, uint32_t status)
{
    uint32_t ret = epc_dma_ring_status(ch, addr, ch->done, status);

    ch->fetched = false;
    ch->chain_status = ch->desc.flags & EPC_DMA_CHAIN ? status : EPC_DMA_OK;
    if (ret == EPC_DMA_BAD_ADDR) {
        ring_failed(ch);
        return;
    }
    QEMU_LOCK_GUARD(&ch->epc->lock);
    if (work_valid(ch)) {
        trace_epc_dma_done(ch->index, ch->consumer, ch->done, status);
        ch->consumer++;
        ch->abort_left -= ch->abort_left > 0;
        channel_signal(ch, ch->desc.flags & EPC_DMA_IRQ,
                       status != EPC_DMA_OK);
    }
}

/*
 * One piece of the next descriptor.  Returns its cost, 0: nothing to do, or not
 * without the worker.
 */
static uint32_t channel_piece(EpcDmaChannel *ch, bool by_worker)
{
    uint32_t status = EPC_DMA_OK, count = 0;
    uint64_t addr;
    bool abort;

    if (!work_next(ch, &addr, &abort) ||
        (!ch->fetched && !desc_fetch(ch, addr))) {
        return 0;
    }
    if (!by_worker && ch->desc.length > NOW_MAX) {
        return 0;
    }
    if (abort) {
        status = EPC_DMA_ABORTED;
    } else if (ch->chain_status != EPC_DMA_OK) {
        status = ch->chain_status;
    } else if (!desc_valid(ch->epc, &ch->desc)) {
        status = EPC_DMA_BAD_DESC;
    } else if (ch->desc.length) {
        status = epc_dma_copy(ch, by_worker, &count);
    }
    if (status == EPC_DMA_OK) {
        ch->done += count;
    }
    if (status == EPC_DMA_VOID) {
        return 0;
    }
    if (status != EPC_DMA_OK || ch->done == ch->desc.length) {
        desc_end(ch, addr, status);
        count += DESC_COST;
    }
    return count;
}

static bool channel_turn(EpcDma *dma, EpcDmaChannel *ch)
{
    uint64_t used = 0;

    QEMU_LOCK_GUARD(&dma->turn);
    while (used < BUDGET && !qatomic_read(&dma->stop)) {
        uint32_t cost = channel_piece(ch, true);

        if (!cost) {
            break;
        }
        used += cost;
    }
    return used;
}

static void *worker(void *opaque)
{
    EpcState *s = opaque;
    EpcDma *dma = &s->dma;

    rcu_register_thread();
    while (!qatomic_read(&dma->stop)) {
        bool worked = false;

        qemu_event_reset(&dma->kick);
        for (unsigned i = 0; i < EPC_DMA_CHANNELS; i++) {
            worked |= channel_turn(dma, &dma->channel[i]);
        }
        if (!worked && !qatomic_read(&dma->stop)) {
            qemu_event_wait(&dma->kick);
        }
    }
    rcu_unregister_thread();
    return NULL;
}

/* Machines that do not use the engine need no thread. */
static void worker_start(EpcState *s)
{
    if (!s->dma.running && !s->dma.stop) {
        s->dma.running = true;
        s->dma.bounce = g_malloc(EPC_DMA_BOUNCE);
        qemu_thread_create(&s->dma.thread, "pci-epc-dma", worker, s,
                           QEMU_THREAD_JOINABLE);
    }
}

/* ---- Registers ---- */

static bool ring_valid(const EpcDmaChannel *ch)
{
    uint64_t bytes = ch->size * (uint64_t)EPC_DMA_DESC_SIZE;

    return is_power_of_2(ch->size) && ch->size >= EPC_DMA_SIZE_MIN &&
           ch->size <= EPC_DMA_SIZE_MAX && !(ch->ring % EPC_DMA_DESC_SIZE) &&
           ch->ring + bytes - 1 >= ch->ring;
}

/* Lock held; the caller drains. */
static void channel_disable(EpcDmaChannel *ch)
{
    ch->epoch++;
    ch->enabled = ch->error = false;
    ch->abort_left = ch->unsignalled = 0;
    timer_del(ch->timer);
}

static void channel_enable(EpcDmaChannel *ch)
{
    if (!ch->enabled) {
        ch->epoch++;
        ch->enabled = true;
        ch->error = !ring_valid(ch);
        ch->producer = ch->consumer = 0;
    }
}

static bool write_control(EpcState *s, EpcDmaChannel *ch, uint32_t v)
{
    if (v & ~(EPC_DMA_CTRL_ENABLE | EPC_DMA_CTRL_ABORT)) {
        return false;
    }
    trace_epc_dma_control(ch->index, v);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (!(v & EPC_DMA_CTRL_ENABLE)) {
            channel_disable(ch);
        } else {
            channel_enable(ch);
            if (v & EPC_DMA_CTRL_ABORT) {
                ch->abort_left = ch->producer - ch->consumer;
            }
        }
    }
    if (v & EPC_DMA_CTRL_ENABLE) {
        worker_start(s);
    } else {
        epc_dma_drain(s);
    }
    qemu_event_set(&s->dma.kick);
    return true;
}

/* Returns whether there is anything left for the worker. */
static bool work_now(EpcDma *dma, EpcDmaChannel *ch)
{
    if (!dma->running || qemu_mutex_trylock(&dma->turn)) {
        return true;
    }
    channel_piece(ch, false);
    qemu_mutex_unlock(&dma->turn);

    QEMU_LOCK_GUARD(&ch->epc->lock);
    return ch->consumer != ch->producer;
}

/* A client with one copy at a time waits for it: do a small one here and now. */
static bool write_producer(EpcState *s, EpcDmaChannel *ch, uint32_t v)
{
    bool alone;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (!ch->enabled || ch->error || v - ch->consumer > ch->size ||
            v - ch->consumer < ch->producer - ch->consumer) {
            return false;
        }
        ch->producer = v;
        alone = v - ch->consumer == 1;
    }
    if (!alone || work_now(&s->dma, ch)) {
        qemu_event_set(&s->dma.kick);
    }
    return true;
}

bool epc_dma_write(EpcState *s, unsigned channel, uint64_t reg, uint32_t v)
{
    EpcDmaChannel *ch = &s->dma.channel[channel];

    switch (reg) {
    case EPC_DMA_CTRL:
        return write_control(s, ch, v);
    case EPC_DMA_PRODUCER:
        return write_producer(s, ch, v);
    case EPC_DMA_RING:
        return epc_dma_set_ring(s, channel, deposit64(ch->ring, 0, 32, v));
    case EPC_DMA_RING + 4:
        return epc_dma_set_ring(s, channel, deposit64(ch->ring, 32, 32, v));
    }

    QEMU_LOCK_GUARD(&s->lock);
    switch (reg) {
    case EPC_DMA_SIZE:
        if (ch->enabled) {
            return false;
        }
        ch->size = v;
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
    return reg == EPC_DMA_RING ? &s->dma.channel[channel].ring : NULL;
}

bool epc_dma_set_ring(EpcState *s, unsigned channel, uint64_t ring)
{
    EpcDmaChannel *ch = &s->dma.channel[channel];

    QEMU_LOCK_GUARD(&s->lock);
    if (ch->enabled) {
        return false;
    }
    ch->ring = ring;
    return true;
}

static uint32_t read_state(const EpcDmaChannel *ch)
{
    return (ch->enabled ? EPC_DMA_STATE_ENABLED : 0) |
           (ch->error ? EPC_DMA_STATE_ERROR : 0) |
           (qatomic_read(&ch->message) ? EPC_DMA_STATE_MESSAGE : 0);
}

bool epc_dma_read(EpcState *s, unsigned channel, uint64_t reg, uint32_t *v)
{
    EpcDmaChannel *ch = &s->dma.channel[channel];

    switch (reg) {
    case EPC_DMA_RING:
        *v = ch->ring;
        break;
    case EPC_DMA_RING + 4:
        *v = ch->ring >> 32;
        break;
    case EPC_DMA_SIZE:
        *v = ch->size;
        break;
    case EPC_DMA_CTRL:
        *v = ch->enabled ? EPC_DMA_CTRL_ENABLE : 0;
        break;
    case EPC_DMA_STATE:
        *v = read_state(ch);
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

void epc_dma_drain(EpcState *s)
{
    epc_dma_pieces_drain(&s->dma.pieces);
}

void epc_dma_reset(EpcState *s)
{
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        for (unsigned i = 0; i < EPC_DMA_CHANNELS; i++) {
            EpcDmaChannel *ch = &s->dma.channel[i];

            channel_disable(ch);
            ch->ring = 0;
            ch->size = ch->producer = ch->consumer = 0;
            ch->irq_count = ch->irq_usec = 0;
            ch->vector = EPC_VECTOR_DMA(i);
        }
    }
    epc_dma_drain(s);
}

void epc_dma_init(EpcState *s)
{
    s->dma.stop = false;
    qemu_event_init(&s->dma.kick, false);
    qemu_mutex_init(&s->dma.turn);
    epc_dma_pieces_init(&s->dma.pieces);
    for (unsigned i = 0; i < EPC_DMA_CHANNELS; i++) {
        EpcDmaChannel *ch = &s->dma.channel[i];

        ch->epc = s;
        ch->index = i;
        ch->vector = EPC_VECTOR_DMA(i);
        ch->timer = timer_new_us(QEMU_CLOCK_REALTIME, channel_timer, ch);
    }
}

/*
 * The worker may be waiting for the BQL, where a virtual IOMMU reports a fault.
 * The registers are out of the guest's reach already.
 */
static void worker_join(EpcDma *dma)
{
    bool locked = bql_locked();

    if (locked) {
        bql_unlock();
    }
    qemu_thread_join(&dma->thread);
    if (locked) {
        bql_lock();
    }
}

void epc_dma_stop(EpcState *s)
{
    EpcDma *dma = &s->dma;

    epc_dma_reset(s);
    qatomic_set(&dma->stop, true);
    qemu_event_set(&dma->kick);
    if (dma->running) {
        dma->running = false;
        worker_join(dma);
        g_free(dma->bounce);
    }
}

void epc_dma_exit(EpcState *s)
{
    for (unsigned i = 0; i < EPC_DMA_CHANNELS; i++) {
        timer_free(s->dma.channel[i].timer);
    }
    epc_dma_pieces_destroy(&s->dma.pieces);
    qemu_mutex_destroy(&s->dma.turn);
    qemu_event_destroy(&s->dma.kick);
}
