/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker: DMA messages that meet a virtual IOMMU or a device of this guest
 *
 * The device may be another function of the same endpoint.  Then each access
 * waits for the endpoint, with the BQL held.  So only one worker of an endpoint
 * is at the BQL at any time, and afterwards leaves it to the rest of this guest
 * for as long as it had it.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/queue.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "hw/misc/epf-bridge/dma/mmio.h"
#include "hw/misc/epf-bridge/dma/worker.h"
#include "hw/misc/epf-bridge/remote/wait.h"
#include "hw/misc/epf-bridge/trace.h"

/* Most bytes of DMA that wait for one worker */
#define EPF_WORKER_MAX_BYTES    (16u << 20)
/* What a fault counts for among them, so that few faults wait */
#define EPF_WORKER_FAULT_BYTES  (64u << 10)
/* Bytes of memory that are copied before the BQL is released */
#define EPF_WORKER_MEMORY_CHUNK (64 * 1024u)
/* Bytes of a device for which the BQL is held: one access */
#define EPF_WORKER_DEVICE_CHUNK 8u
/* Time at devices after which a worker sleeps; shorter times add up */
#define EPF_WORKER_DEVICE_US    1000

typedef struct EpfJob {
    QSIMPLEQ_ENTRY(EpfJob) next;
    EpfRemote *remote;
    EpwRequest *req;        /* NULL: a fault to be reported */
    bool is_write;
    VfuDmaRw rw;
    uint8_t data[];
} EpfJob;

struct EpfWorker {
    EpfWorker *first;       /* of function 0 */

    /*
     * Held by the worker at the BQL, which is taken after it; only that of
     * @first is used.
     */
    QemuMutex bql_turn;
    /* Time at devices since a worker slept, in microseconds */
    int64_t device_us EP_GUARDED_BY(&bql_turn);

    QemuMutex lock;         /* a leaf */
    QemuCond cond;          /* a job was added */
    QSIMPLEQ_HEAD(, EpfJob) jobs EP_GUARDED_BY(&lock);
    /* Of @jobs, and of the one that the thread is working on */
    uint64_t job_bytes EP_GUARDED_BY(&lock);
};

/* ---- Access ---- */

static AddressSpace *epf_worker_address_space(EpfRemote *r)
{
    QEMU_LOCK_GUARD(&r->lock);
    return epf_remote_dead(r) ? NULL : r->dma_as;
}

/* Does @mr pass accesses on to a function of the endpoint? */
static bool epf_worker_meets_messages(const MemoryRegion *mr)
{
    return !strcmp(memory_region_name(mr), EPF_MESSAGES_REGION);
}

/*
 * Accesses at most *@len bytes and sets *@len to their number.  Adds the time
 * that a device took to *@device_us.  Returns 0 or a negative errno.
 */
static int epf_worker_access(EpfRemote *r, uint64_t addr, void *buf,
                             uint64_t *len, bool is_write, int64_t *device_us)
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
    as = epf_worker_address_space(r);
    if (!as) {
        return -ENODEV;
    }
    d = container_of(as, PCIDevice, bus_master_as);
    attrs.requester_id = pci_requester_id(d);
    mr = address_space_translate(as, addr, &offset, len, is_write, attrs);
    if (epf_mmio_is_memory(mr)) {
        attrs.memory = 1;
    } else if (!epf_mmio_reachable(d, addr, mr)) {
        return -EFAULT;
    } else if (!memory_region_is_ram(mr)) {
        *len = MIN(*len, EPF_WORKER_DEVICE_CHUNK);
        since = g_get_monotonic_time();
    }
    epf_wait_is_outermost(epf_worker_meets_messages(mr));
    ret = address_space_rw(as, addr, attrs, buf, *len, is_write);
    epf_wait_is_outermost(false);
    if (since) {
        *device_us += g_get_monotonic_time() - since;
    }
    return ret == MEMTX_OK ? 0 : -EFAULT;
}

/*
 * The same when it is this worker's turn.  QemuMutex is not fair: a thread that
 * releases and takes the BQL at once starves the others.  So the worker sleeps
 * without the BQL for as long as devices had it.
 */
static int epf_worker_access_in_turn(EpfWorker *w, EpfRemote *r,
                                     uint64_t addr, void *buf, uint64_t *len,
                                     bool is_write)
{
    EpfWorker *first = w->first;
    int64_t device_us = 0;
    int ret;

    QEMU_LOCK_GUARD(&first->bql_turn);
    ret = epf_worker_access(r, addr, buf, len, is_write, &device_us);
    first->device_us += device_us;
    if (first->device_us >= EPF_WORKER_DEVICE_US) {
        g_usleep(first->device_us);
        first->device_us = 0;
    }
    return ret;
}

static int epf_worker_copy(EpfWorker *w, EpfRemote *r, uint64_t addr,
                           void *buf, uint64_t len, bool is_write)
{
    int ret = 0;

    while (len && !ret) {
        uint64_t n = MIN(len, EPF_WORKER_MEMORY_CHUNK);

        ret = epf_worker_access_in_turn(w, r, addr, buf, &n, is_write);
        addr += n;
        buf = (uint8_t *)buf + n;
        len -= n;
    }
    return ret;
}

/* ---- Jobs ---- */

static void epf_worker_do_dma(EpfWorker *w, EpfJob *j)
{
    struct iovec iov[2] = {
        { &j->rw, sizeof(j->rw) }, { j->data, j->rw.count },
    };
    int err = epf_worker_copy(w, j->remote, j->rw.address, j->data,
                              j->rw.count, j->is_write);

    trace_epf_bridge_worker_dma(j->remote->device, j->remote->func,
                                j->remote->generation, j->is_write,
                                j->rw.address, j->rw.count, err);
    if (err) {
        epw_reply_error(j->req, -err);
    } else {
        epw_reply(j->req, iov, j->is_write ? 1 : 2, NULL, 0);
    }
}

/* An IOMMU reports a fault when it is asked to translate the access. */
static void epf_worker_do_fault(EpfJob *j)
{
    MemTxAttrs attrs = MEMTXATTRS_UNSPECIFIED;
    hwaddr offset, len = 1;
    AddressSpace *as;

    BQL_LOCK_GUARD();
    RCU_READ_LOCK_GUARD();
    as = epf_worker_address_space(j->remote);
    if (as) {
        attrs.requester_id = pci_requester_id(container_of(as, PCIDevice,
                                                           bus_master_as));
        address_space_translate(as, j->rw.address, &offset, &len, j->is_write,
                                attrs);
    }
}

static EpfJob *epf_worker_wait(EpfWorker *w)
{
    EpfJob *j;

    QEMU_LOCK_GUARD(&w->lock);
    while (!(j = QSIMPLEQ_FIRST(&w->jobs))) {
        qemu_cond_wait(&w->cond, &w->lock);
    }
    QSIMPLEQ_REMOVE_HEAD(&w->jobs, next);
    return j;
}

static void epf_worker_end(EpfWorker *w, EpfJob *j)
{
    WITH_QEMU_LOCK_GUARD(&w->lock) {
        w->job_bytes -= j->rw.count;
    }
    epf_remote_unref(j->remote);
    g_free(j);
}

static void *epf_worker_thread(void *opaque)
{
    EpfWorker *w = opaque;

    rcu_register_thread();
    for (;;) {
        EpfJob *j = epf_worker_wait(w);

        if (j->req) {
            epf_worker_do_dma(w, j);
        } else {
            epf_worker_do_fault(j);
        }
        epf_worker_end(w, j);
    }
    return NULL;
}

/* ---- Interface ---- */

/* Adds a job and wakes the thread.  Returns NULL when too much waits for it. */
static EpfJob *epf_worker_add(EpfWorker *w, EpfRemote *r, const VfuDmaRw *rw,
                              bool is_write, EpwRequest *req)
    EP_REQUIRES(&w->lock);
static EpfJob *epf_worker_add(EpfWorker *w, EpfRemote *r, const VfuDmaRw *rw,
                              bool is_write, EpwRequest *req)
{
    EpfJob *j;

    if (w->job_bytes + rw->count > EPF_WORKER_MAX_BYTES) {
        return NULL;
    }
    j = g_malloc0(sizeof(*j) + (req ? rw->count : 0));
    j->remote = epf_remote_ref(r);
    j->req = req;
    j->is_write = is_write;
    j->rw = *rw;
    w->job_bytes += rw->count;
    QSIMPLEQ_INSERT_TAIL(&w->jobs, j, next);
    qemu_cond_signal(&w->cond);
    return j;
}

void epf_worker_dma(EpfWorker *w, EpfRemote *r, const VfuDmaRw *rw,
                    bool is_write, EpwRequest *req)
{
    EpfJob *j;

    WITH_QEMU_LOCK_GUARD(&w->lock) {
        j = epf_worker_add(w, r, rw, is_write, req);
        if (j && is_write) {
            memcpy(j->data, rw + 1, rw->count);
        }
    }
    if (!j) {
        epw_reply_error(req, EBUSY);
    }
}

void epf_worker_fault(EpfWorker *w, EpfRemote *r, uint64_t addr,
                      bool is_write)
{
    VfuDmaRw rw = { .address = addr, .count = EPF_WORKER_FAULT_BYTES };

    QEMU_LOCK_GUARD(&w->lock);
    epf_worker_add(w, r, &rw, is_write, NULL);
}

EpfWorker *epf_worker_new(EpfWorker *first)
{
    EpfWorker *w = g_new0(EpfWorker, 1);
    QemuThread thread;

    w->first = first ?: w;
    qemu_mutex_init(&w->bql_turn);
    qemu_mutex_init(&w->lock);
    qemu_cond_init(&w->cond);
    WITH_QEMU_LOCK_GUARD(&w->lock) {
        QSIMPLEQ_INIT(&w->jobs);
    }
    qemu_thread_create(&thread, "epf-dma", epf_worker_thread, w,
                       QEMU_THREAD_DETACHED);
    return w;
}
