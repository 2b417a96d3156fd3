/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-client, inside: the connection (epf-client.c) and its use (epf-call.c)
 */
#ifndef HW_MISC_EPF_CLIENT_INT_H
#define HW_MISC_EPF_CLIENT_INT_H

#include "epf-client.h"
#include "qemu/queue.h"

/* What this client does of the extension */
#define EPF_CLIENT_FEATURES (VFU_EP_FEATURE_LINK | VFU_EP_FEATURE_RESET | \
                             VFU_EP_FEATURE_REMAP | VFU_EP_FEATURE_INTX | \
                             VFU_EP_FEATURE_AREAS | VFU_EP_FEATURE_FUNC | \
                             VFU_EP_FEATURE_FAULT)

typedef struct EpfJob EpfJob;

struct EpfClient {
    char *path;
    char *name;
    unsigned deadline_ms;
    bool trust_unsealed;
    unsigned func;
    EpfClient *first;       /* of function 0; NULL: this is it */
    void (*changed)(void *opaque);
    void *opaque;
    QemuThread thread;
    Stat64 messages;
    Stat64 interrupts;      /* that a thread of QEMU delivered */

    QemuMutex lock;
    QemuCond cond;
    EpwSession *session;    /* NULL: not connected */
    unsigned users;         /* of session */
    bool wanted;            /* there is such a function: connect to it */
    bool agreed;            /* VERSION is done */
    bool closed;
    EpfLink *link;          /* announced by the endpoint, not dead */
    bool described;         /* the query of link is done */
    QemuCond work;          /* a job was added */
    QSIMPLEQ_HEAD(, EpfJob) jobs;   /* of the worker, first come first served */
    uint64_t job_bytes;     /* of them and the one that it does */
    QemuMutex turn;         /* of workers at the BQL, which is taken after it */
    int64_t held;           /* by them for devices, us; under turn */
    int64_t debt;           /* us of slow answers, see epf_link_waited() */
    int64_t debt_at;        /* g_get_monotonic_time() of @debt */
    char *last_error;
    GHashTable *warned;
};

/* epf-worker.c: DMA that needs the BQL; answers @token later. */
void epf_worker_start(EpfClient *c);
void epf_worker_dma(EpfClient *c, EpfLink *l, const VfuDmaRw *rw,
                    bool is_write, EpwToken *token);
/* The guest's IOMMU is to report an access that was not done; may be lost. */
void epf_worker_fault(EpfClient *c, EpfLink *l, uint64_t addr, bool is_write);

#endif /* HW_MISC_EPF_CLIENT_INT_H */
