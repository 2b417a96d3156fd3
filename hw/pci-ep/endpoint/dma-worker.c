/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The threads of the DMA engine
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "hw/pci-ep/endpoint/dma-channel.h"
#include "hw/pci-ep/endpoint/dma-ring.h"
#include "hw/pci-ep/endpoint/dma-step.h"
#include "hw/pci-ep/endpoint/dma-worker.h"
#include "hw/pci-ep/endpoint/dma.h"
#include "hw/pci-ep/endpoint/state.h"

/* What a worker spends on a channel before it turns to the next one, bytes */
#define DMA_WORKER_BUDGET   (256 * 1024)
/* Time with the BQL after which a worker sleeps; shorter times add up */
#define DMA_WORKER_BQL_US   1000

/* ---- The thread ---- */

/* Spends DMA_WORKER_BUDGET on @ch. Returns whether there was work. */
static bool dma_worker_serve(EpcDmaChannel *ch) EP_EXCLUDES(&ch->worker->turn);
static bool dma_worker_serve(EpcDmaChannel *ch)
{
    uint64_t used = 0;

    QEMU_LOCK_GUARD(&ch->worker->turn);
    while (used < DMA_WORKER_BUDGET && !qatomic_read(&ch->epc->dma.stop)) {
        uint32_t cost = epc_dma_step(ch, true);

        if (!cost) {
            break;
        }
        used += cost;
    }
    return used;
}

/*
 * QemuMutex is not fair: a thread that releases and takes the BQL at once
 * starves the others. So the worker sleeps without it for as long as it had it.
 */
static void dma_worker_leave_bql(EpcDmaWorker *w) EP_EXCLUDES(&w->turn);
static void dma_worker_leave_bql(EpcDmaWorker *w)
{
    int64_t us = 0;

    WITH_QEMU_LOCK_GUARD(&w->turn) {
        if (w->bql_us >= DMA_WORKER_BQL_US) {
            us = w->bql_us;
            w->bql_us = 0;
        }
    }
    if (us) {
        g_usleep(us);
    }
}

static bool dma_worker_serve_all(EpcDmaWorker *w) EP_EXCLUDES(&w->turn);
static bool dma_worker_serve_all(EpcDmaWorker *w)
{
    EpcDma *dma = &w->epc->dma;
    bool worked = false;

    for (unsigned i = 0; i < EPC_DMA_CHANNELS; i++) {
        if (dma->channel[i].worker == w) {
            worked |= dma_worker_serve(&dma->channel[i]);
            dma_worker_leave_bql(w);
        }
    }
    return worked;
}

static void *dma_worker_thread(void *opaque)
{
    EpcDmaWorker *w = opaque;
    EpcDma *dma = &w->epc->dma;
    g_autofree uint8_t *bounce = g_malloc(EPC_DMA_BOUNCE);

    rcu_register_thread();
    WITH_QEMU_LOCK_GUARD(&w->turn) {
        w->bounce = bounce;
    }
    while (!qatomic_read(&dma->stop)) {
        qemu_event_reset(&w->kick);
        if (!dma_worker_serve_all(w) && !qatomic_read(&dma->stop)) {
            qemu_event_wait(&w->kick);
        }
    }
    rcu_unregister_thread();
    return NULL;
}

void epc_dma_worker_kick(void *opaque)
{
    EpcDmaChannel *ch = opaque;

    qemu_event_set(&ch->worker->kick);
}

/* ---- Life cycle ---- */

/*
 * QEMU calls this at the end of each change of its memory map, since a ring may
 * have moved or gone.
 */
static void dma_worker_commit(MemoryListener *listener)
{
    EpcDma *dma = container_of(listener, EpcDma, listener);

    EP_BQL_HELD();
    for (unsigned i = 0; i < EPC_DMA_CHANNELS; i++) {
        if (dma->channel[i].ring) {
            epc_dma_ring_resolve(&dma->channel[i]);
        }
    }
}

/* The first channel is about to be enabled. */
static void dma_worker_prepare(EpcState *s) EP_REQUIRES(&ep_bql);
static void dma_worker_prepare(EpcState *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    EpcDma *dma = &s->dma;
    unsigned workers;

    dma->running = true;
    dma->iommu = pci_device_iommu_address_space(pdev) != &address_space_memory;
    workers = dma->iommu ? 1 : s->dma_threads;
    for (unsigned i = 0; i < EPC_DMA_CHANNELS; i++) {
        dma->channel[i].worker = &dma->worker[i % workers];
    }
    memory_listener_register(&dma->listener, pci_get_address_space(pdev));
}

void epc_dma_workers_start(EpcDmaChannel *ch)
{
    EpcState *s = ch->epc;

    if (qatomic_read(&s->dma.stop)) {
        return;
    }
    if (!s->dma.running) {
        dma_worker_prepare(s);
    }
    if (!ch->worker->running) {
        ch->worker->running = true;
        qemu_thread_create(&ch->worker->thread, "pci-epc-dma",
                           dma_worker_thread, ch->worker,
                           QEMU_THREAD_JOINABLE);
    }
}

/*
 * Waits for the end of all threads. One may be waiting for the BQL, to have a
 * virtual IOMMU translate, so the BQL is released meanwhile. It is held here:
 * QEMU unrealizes a device with the BQL, and takes it around the exit
 * notifiers, which run after main() has released it (qemu_run_exit_notifiers()
 * of QEMU 10.0 and 10.2). The guest cannot reach the registers any more.
 */
static void dma_workers_join(EpcDma *dma) EP_REQUIRES(&ep_bql);
static void dma_workers_join(EpcDma *dma)
{
    for (unsigned i = 0; i < EPC_DMA_CHANNELS; i++) {
        EpcDmaWorker *w = &dma->worker[i];

        if (w->running) {
            w->running = false;
            bql_unlock();
            qemu_thread_join(&w->thread);
            bql_lock();
        }
    }
}

/* A bottom half of the main loop, after a worker has unplugged the device */
static void dma_workers_reap(void *opaque)
{
    EpcState *s = opaque;

    EP_BQL_HELD();
    dma_workers_join(&s->dma);
    object_unref(OBJECT(s));
}

/* Is this the thread of a worker? */
static bool dma_workers_self(EpcDma *dma) EP_REQUIRES(&ep_bql);
static bool dma_workers_self(EpcDma *dma)
{
    for (unsigned i = 0; i < EPC_DMA_CHANNELS; i++) {
        if (dma->worker[i].running &&
            qemu_thread_is_self(&dma->worker[i].thread)) {
            return true;
        }
    }
    return false;
}

void epc_dma_workers_stop(EpcState *s)
{
    EpcDma *dma = &s->dma;

    qatomic_set(&dma->stop, true);
    for (unsigned i = 0; i < EPC_DMA_CHANNELS; i++) {
        qemu_event_set(&dma->worker[i].kick);
    }
    if (!dma->running) {
        return;
    }
    dma->running = false;
    memory_listener_unregister(&dma->listener);
    if (dma_workers_self(dma)) {
        object_ref(OBJECT(s));
        aio_bh_schedule_oneshot(qemu_get_aio_context(), dma_workers_reap, s);
    } else {
        dma_workers_join(dma);
    }
}

/* The analysis is off, since no other thread knows the object yet. */
void EP_NO_TSA epc_dma_workers_init(EpcState *s)
{
    EpcDma *dma = &s->dma;

    dma->listener = (MemoryListener) {
        .name = "pci-epc-dma",
        .commit = dma_worker_commit,
    };
    dma->worker = g_new0(EpcDmaWorker, EPC_DMA_CHANNELS);
    for (unsigned i = 0; i < EPC_DMA_CHANNELS; i++) {
        EpcDmaWorker *w = &dma->worker[i];

        w->epc = s;
        qemu_event_init(&w->kick, false);
        qemu_mutex_init(&w->turn);
        dma->channel[i].worker = w;
    }
}

/* The analysis is off, since no other thread has a reference any more. */
void EP_NO_TSA epc_dma_workers_destroy(EpcState *s)
{
    for (unsigned i = 0; i < EPC_DMA_CHANNELS; i++) {
        EpcDmaWorker *w = &s->dma.worker[i];

        qemu_mutex_destroy(&w->turn);
        qemu_event_destroy(&w->kick);
    }
    g_free(s->dma.worker);
}
