/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * remote: one link-up of one remote function
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "hw/pci-ep/shared/peer-mem.h"
#include "hw/misc/epf-bridge/remote/remote.h"

EpfRemote *epf_remote_new(EpfConnection *connection, const char *device,
                          unsigned func, uint32_t generation)
{
    EpfRemote *r = g_new0(EpfRemote, 1);

    r->refs = 1;
    r->connection = connection;
    r->device = device;
    r->func = func;
    r->generation = generation;
    qemu_mutex_init(&r->lock);
    qemu_cond_init(&r->cond);
    epf_masks_init(&r->masks);
    return r;
}

EpfRemote *epf_remote_ref(EpfRemote *r)
{
    qatomic_inc(&r->refs);
    return r;
}

/* Nobody else has a reference, so nobody can take the lock. */
static EP_NO_TSA void epf_remote_free(EpfRemote *r)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        epf_doorbells_unref(r->backing[i].doorbells);
        ep_mem_release(r->bar[i].mem, r->bar[i].shape.size);
    }
    epf_masks_destroy(&r->masks);
    qemu_cond_destroy(&r->cond);
    qemu_mutex_destroy(&r->lock);
    g_free(r);
}

void epf_remote_unref(EpfRemote *r)
{
    if (r && qatomic_fetch_dec(&r->refs) == 1) {
        epf_remote_free(r);
    }
}
