/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-worker: DMA messages that meet a virtual IOMMU or a device of this guest
 *
 * The IOMMU may report a fault, which takes the BQL.  The reader thread must
 * not wait for that, so a thread of its own does, and answers later.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "epf-client-int.h"
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

static void run_dma(EpfJob *j)
{
    struct iovec iov[2] = {
        { &j->rw, sizeof(j->rw) }, { j->data, j->rw.count },
    };
    int err = epf_link_dma_translated(j->link, j->rw.address, j->data,
                                      j->rw.count, j->is_write);

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
        epf_link_fault(j->link, j->rw.address, j->is_write);
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
