/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-worker: DMA messages that meet a virtual IOMMU or a device of this guest
 *
 * The IOMMU may report a fault, which takes the BQL.  The reader thread must
 * not wait for that, so a thread of its own does, and answers later.
 *
 * The device may be another function of the same endpoint, and then each access
 * waits for the endpoint, with the BQL.  So there is only one at a time, and the
 * rest of this guest has the BQL for as long as the endpoint's functions have.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "epf-client-int.h"
#include "epf-mmio.h"
#include "trace.h"

/* Bytes of DMA waiting for the worker; more are refused */
#define MAX_BYTES   (16u << 20)

/* What a fault counts for, so that few wait at any time */
#define FAULT_BYTES (64u << 10)

struct EpfJob {
    QSIMPLEQ_ENTRY(EpfJob) next;
    EpfLink *link;
    EpwToken *token;        /* NULL: a fault to be reported */
    bool is_write;
    VfuDmaRw rw;
    uint8_t data[];
};

/* Bytes of memory for which the BQL is held */
#define MEMORY_PIECE    (64 * 1024u)
/* Bytes of a device, which are one access of it */
#define DEVICE_PIECE    8u

static AddressSpace *dma_as(EpfLink *l)
{
    QEMU_LOCK_GUARD(&l->lock);
    return epf_link_dead(l) ? NULL : l->dma_as;
}

/* At most *@len; sets it to what was done.  Adds what a device took to *@held. */
static int piece(EpfLink *l, uint64_t addr, void *buf, uint64_t *len,
                 bool is_write, int64_t *held)
{
    MemTxAttrs attrs = MEMTXATTRS_UNSPECIFIED;
    int64_t since = 0;
    AddressSpace *as;
    MemoryRegion *mr;
    MemTxResult ret;
    PCIDevice *d;
    hwaddr offset;

    BQL_LOCK_GUARD();
    RCU_READ_LOCK_GUARD();
    as = dma_as(l);
    if (!as) {
        return -ENODEV;
    }
    d = container_of(as, PCIDevice, bus_master_as);
    attrs.requester_id = pci_requester_id(d);
    mr = address_space_translate(as, addr, &offset, len, is_write, attrs);
    if (epf_is_memory(mr)) {
        attrs.memory = 1;
    } else if (!epf_mmio_reachable(d, addr, mr)) {
        return -EFAULT;
    } else if (!memory_region_is_ram(mr)) {
        *len = MIN(*len, DEVICE_PIECE);
        since = g_get_monotonic_time();
    }
    ret = address_space_rw(as, addr, attrs, buf, *len, is_write);
    if (since) {
        *held += g_get_monotonic_time() - since;
    }
    return ret == MEMTX_OK ? 0 : -EFAULT;
}

/* Shorter times add up to it */
#define HELD_LONG_US    1000

/* A lock is not handed over to who waits for it, unless it is left alone. */
static int piece_in_turn(EpfLink *l, uint64_t addr, void *buf, uint64_t *len,
                         bool is_write)
{
    EpfClient *keeper = l->client->first ?: l->client;
    int ret;

    QEMU_LOCK_GUARD(&keeper->turn);
    ret = piece(l, addr, buf, len, is_write, &keeper->held);
    if (keeper->held >= HELD_LONG_US) {
        g_usleep(keeper->held);
        keeper->held = 0;
    }
    return ret;
}

static int dma(EpfLink *l, uint64_t addr, void *buf, uint64_t len,
               bool is_write)
{
    int ret = 0;

    while (len && !ret) {
        uint64_t n = MIN(len, MEMORY_PIECE);

        ret = piece_in_turn(l, addr, buf, &n, is_write);
        addr += n;
        buf = (uint8_t *)buf + n;
        len -= n;
    }
    return ret;
}

/* The guest's IOMMU reports that it does not allow this. */
static void fault(EpfLink *l, uint64_t addr, bool is_write)
{
    MemTxAttrs attrs = MEMTXATTRS_UNSPECIFIED;
    hwaddr offset, len = 1;
    AddressSpace *as;

    BQL_LOCK_GUARD();
    RCU_READ_LOCK_GUARD();
    as = dma_as(l);
    if (as) {
        attrs.requester_id = pci_requester_id(container_of(as, PCIDevice,
                                                           bus_master_as));
        address_space_translate(as, addr, &offset, &len, is_write, attrs);
    }
}

static void run_dma(EpfJob *j)
{
    struct iovec iov[2] = {
        { &j->rw, sizeof(j->rw) }, { j->data, j->rw.count },
    };
    int err = dma(j->link, j->rw.address, j->data, j->rw.count, j->is_write);

    trace_epf_worker_dma(j->link->generation, j->is_write, j->rw.address,
                         j->rw.count, err);
    if (err) {
        epw_reply_error(j->token, -err);
    } else {
        epw_reply(j->token, iov, j->is_write ? 1 : 2, NULL, 0);
    }
}

static void run(EpfJob *j)
{
    if (j->token) {
        run_dma(j);
    } else {
        fault(j->link, j->rw.address, j->is_write);
    }
    epf_link_unref(j->link);
}

static void *worker_thread(void *opaque)
{
    EpfClient *c = opaque;
    EpfJob *j;

    rcu_register_thread();
    for (;;) {
        qemu_mutex_lock(&c->lock);
        while (!(j = QSIMPLEQ_FIRST(&c->jobs))) {
            qemu_cond_wait(&c->work, &c->lock);
        }
        QSIMPLEQ_REMOVE_HEAD(&c->jobs, next);
        qemu_mutex_unlock(&c->lock);

        run(j);
        qemu_mutex_lock(&c->lock);
        c->job_bytes -= j->rw.count;
        qemu_mutex_unlock(&c->lock);
        g_free(j);
    }
    return NULL;
}

void epf_worker_dma(EpfClient *c, EpfLink *l, const VfuDmaRw *rw,
                    bool is_write, EpwToken *token)
{
    EpfJob *j;

    WITH_QEMU_LOCK_GUARD(&c->lock) {
        if (c->job_bytes + rw->count <= MAX_BYTES) {
            j = g_malloc0(sizeof(*j) + rw->count);
            j->link = epf_link_ref(l);
            j->token = token;
            j->is_write = is_write;
            j->rw = *rw;
            if (is_write) {
                memcpy(j->data, rw + 1, rw->count);
            }
            c->job_bytes += rw->count;
            QSIMPLEQ_INSERT_TAIL(&c->jobs, j, next);
            qemu_cond_signal(&c->work);
            return;
        }
    }
    epw_reply_error(token, EBUSY);
}

void epf_worker_fault(EpfClient *c, EpfLink *l, uint64_t addr, bool is_write)
{
    EpfJob *j;

    QEMU_LOCK_GUARD(&c->lock);
    if (c->job_bytes + FAULT_BYTES <= MAX_BYTES) {
        j = g_new0(EpfJob, 1);
        j->link = epf_link_ref(l);
        j->is_write = is_write;
        j->rw = (VfuDmaRw) { .address = addr, .count = FAULT_BYTES };
        c->job_bytes += FAULT_BYTES;
        QSIMPLEQ_INSERT_TAIL(&c->jobs, j, next);
        qemu_cond_signal(&c->work);
    }
}

void epf_worker_start(EpfClient *c)
{
    QemuThread thread;

    qemu_thread_create(&thread, "epf-dma", worker_thread, c,
                       QEMU_THREAD_DETACHED);
}
