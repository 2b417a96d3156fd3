/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * send: DMA_MAP and DMA_UNMAP, for the ranges that the endpoint may access
 */
#include "qemu/osdep.h"
#include "exec/cpu-common.h"
#include "system/hostmem.h"
#include "hw/pci-ep/shared/peer-mem.h"
#include "hw/misc/epf-bridge/dma/send.h"
#include "hw/misc/epf-bridge/remote/calls.h"
#include "hw/misc/epf-bridge/remote/report.h"
#include "hw/misc/epf-bridge/remote/wait.h"
#include "hw/misc/epf-bridge/trace.h"

/* ---- Answers ---- */

static void epf_send_report(EpfRemote *r, int err)
{
    if (err && err != -ENOTCONN) {
        epf_remote_report(r, NULL, "the endpoint cannot take a range of this "
                          "guest's memory: %s", strerror(-err));
    }
}

static void epf_send_map_done(EpwSession *s, int err, EpwMsg *reply,
                              void *opaque)
{
    EpfRemote *r = opaque;

    epf_send_report(r, err);
    epf_remote_unref(r);
}

static void epf_send_awaited_map_done(EpwSession *s, int err, EpwMsg *reply,
                                      void *opaque)
{
    epf_send_report(opaque, err);
    epf_wait_end(opaque);
}

static void epf_send_unmap_done(EpwSession *s, int err, EpwMsg *reply,
                                void *opaque)
{
    epf_remote_sent(opaque, err, reply);
    epf_wait_end(opaque);
}

/* ---- Messages ---- */

/* An endpoint that gets a file can truncate it, unless it is sealed. */
static bool epf_send_is_shared(EpfRemote *r, const MemoryRegion *mr)
{
    return mr->ram_block && mr->ram_block->fd >= 0 &&
           qemu_ram_is_shared(mr->ram_block) &&
           (epf_remote_trusts_unsealed(r) ||
            ep_file_sealed(mr->ram_block->fd));
}

/*
 * Warns for memory of the user's choice only.  Video memory and firmware are
 * never shared, and nobody can change that.
 */
static void epf_send_warn_not_shared(EpfRemote *r, const MemoryRegion *mr)
{
    if (object_dynamic_cast(memory_region_owner((MemoryRegion *)mr),
                            TYPE_MEMORY_BACKEND)) {
        epf_remote_report(r, "use -object memory-backend-memfd,id=ram,"
                          "size=SIZE,share=on -machine memory-backend=ram",
                          "this guest's memory cannot be shared with the "
                          "endpoint and is reached by messages, which is "
                          "slow");
    }
}

void epf_dma_map(EpfRemote *r, uint64_t addr, uint64_t size, uint32_t flags,
                 MemoryRegion *mr, uint64_t offset, bool awaited)
{
    VfuDmaMap m = {
        .argsz = sizeof(m), .flags = flags, .address = addr, .size = size,
    };
    struct iovec iov = { .iov_base = &m, .iov_len = sizeof(m) };
    bool takes_fds = epf_remote_caps(r).max_fds;
    bool shared = mr && takes_fds && epf_send_is_shared(r, mr);
    int fd = -1;

    if (mr && (mr->readonly || memory_region_is_rom(mr))) {
        m.flags &= ~VFU_DMA_WRITE;
    }
    if (!m.flags) {
        return;
    }
    if (shared) {
        /* A process cannot have pages that can only be written. */
        m.flags |= VFU_DMA_READ;
        fd = mr->ram_block->fd;
        m.offset = offset + mr->ram_block->fd_offset;
    } else if (mr && takes_fds) {
        epf_send_warn_not_shared(r, mr);
    }
    trace_epf_bridge_dma_map(r->device, r->func, r->generation, addr, size,
                             m.flags, shared);
    epf_remote_call_async(r, VFU_CMD_DMA_MAP, &iov, 1, &fd, shared,
                          awaited ? epf_send_awaited_map_done :
                                    epf_send_map_done,
                          awaited ? epf_wait_begin(r) : epf_remote_ref(r));
}

void epf_dma_unmap(EpfRemote *r, uint64_t addr, uint64_t size)
{
    VfuDmaUnmap m = { .argsz = sizeof(m), .address = addr, .size = size };
    struct iovec iov = { .iov_base = &m, .iov_len = sizeof(m) };

    trace_epf_bridge_dma_unmap(r->device, r->func, r->generation, addr, size);
    epf_remote_call_async(r, VFU_CMD_DMA_UNMAP, &iov, 1, NULL, 0,
                          epf_send_unmap_done, epf_wait_begin(r));
}
