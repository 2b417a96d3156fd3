/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * regions: commands about regions
 *
 * The memory and eventfds behind a BAR are passed only to clients from which
 * they can be taken back ("remap").  A client that knows areas gets them by
 * EP_AREAS and GET_REGION_IO_FDS.  Another client gets the memory by
 * GET_REGION_INFO, when one piece of memory is behind the whole BAR.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitops.h"
#include "qemu/lockable.h"
#include "standard-headers/linux/pci_regs.h"
#include "hw/pci-ep/server/conn.h"
#include "hw/pci-ep/server/regions.h"
#include "hw/pci-ep/server/remap.h"
#include "hw/pci-ep/trace.h"

/*
 * The owner may retarget a BAR while region_try_bar() asks for it.  Then it
 * asks again, at last without memory.
 */
#define REGION_MAX_TRIES 5

QEMU_BUILD_BUG_ON(EPC_SERVER_MAX_IO_FDS + 1 > EPW_MAX_FDS);

/* The reply about a BAR, with the descriptors that go with it */
typedef struct EpcRegionReply {
    union {
        VfuRegionInfo info;
        struct {
            VfuEpAreas head;
            VfuEpArea area[VFU_EP_MAX_AREAS];
        } areas;
        struct {
            VfuRegionIoFds head;
            VfuRegionIoFd io[EPC_SERVER_MAX_IO_FDS];
        } ios;
    };
    size_t len;
    int fds[EPW_MAX_FDS];
    unsigned nfds;
    unsigned max_fds;       /* limit of the client */
    bool doorbells;         /* the question was for doorbells */
} EpcRegionReply;

/* Fills @a about @bar, with the memory and eventfds behind it if @memory. */
typedef void EpcRegionAsk(EpcRequest *r, unsigned bar, bool memory,
                          EpcRegionReply *a);

/*
 * A reply with descriptors must leave before the EP_REMAP or EP_LINK that takes
 * them back.  So it is sent under EpcServer.lock, and only while the link is up
 * and no remap of the BAR began since the owner was asked.  Returns false when
 * one began: ask again.  The same hold of the lock records what the client has
 * asked for, because remap_new() may run as soon as the lock is released.
 */
static bool region_try_bar(EpcRequest *r, unsigned bar, EpcRegionAsk *ask,
                           bool memory)
{
    EpcConn *c = r->c;
    EpcServer *s = c->s;
    struct iovec iov;
    EpcRegionReply a;
    uint32_t count;

    a.nfds = 0;
    a.doorbells = false;
    a.max_fds = epw_session_caps(c->session).max_fds;
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        count = s->remap_count[bar];
    }

    ask(r, bar, memory, &a);

    QEMU_LOCK_GUARD(&s->lock);
    if (memory && count != s->remap_count[bar]) {
        return false;
    }
    if (s->link != EPC_SERVER_LINK_UP && !r->plain) {
        epc_request_finish(r, ENOTCONN);
        return true;
    }
    if (r->features & VFU_EP_FEATURE_REMAP) {
        c->bars_queried |= BIT(bar);
        c->doorbells_queried |= a.doorbells ? BIT(bar) : 0;
    }
    iov = (struct iovec) { &a, a.len };
    epw_reply(r->t, &iov, 1, a.fds, a.nfds);
    return true;
}

static void region_answer_bar(EpcRequest *r, unsigned bar, EpcRegionAsk *ask)
{
    bool memory = r->features & VFU_EP_FEATURE_REMAP;
    int tries = 1;

    while (!region_try_bar(r, bar, ask, memory && tries < REGION_MAX_TRIES)) {
        tries++;
    }
}

/* Returns the index of @fd among the descriptors of @a, or -1: no room. */
static int region_add_fd(EpcRegionReply *a, int fd)
{
    for (unsigned i = 0; i < a->nfds; i++) {
        if (a->fds[i] == fd) {
            return i;
        }
    }
    if (a->nfds >= a->max_fds || a->nfds >= EPW_MAX_FDS) {
        return -1;
    }
    a->fds[a->nfds] = fd;
    return a->nfds++;
}

static EpcRegion region_get(EpcRequest *r, unsigned region)
{
    EpcRegion reg = { .fd = -1 };

    r->s->ops->region_info(r->s->opaque, region, &reg);
    reg.flags &= VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE;
    return reg;
}

static bool region_page_aligned(uint64_t v)
{
    return QEMU_IS_ALIGNED(v, qemu_real_host_page_size());
}

/* ---- GET_REGION_INFO ---- */

static VfuRegionInfo region_make_info(unsigned region, const EpcRegion *reg)
{
    return (VfuRegionInfo) {
        .argsz = sizeof(VfuRegionInfo),
        .flags = reg->flags,
        .index = region,
        .size = reg->size,
    };
}

static void region_ask_info(EpcRequest *r, unsigned bar, bool memory,
                            EpcRegionReply *a)
{
    EpcRegion reg = region_get(r, bar);

    a->len = sizeof(a->info);
    a->info = region_make_info(bar, &reg);
    if (memory && !(r->features & VFU_EP_FEATURE_AREAS) && reg.fd >= 0 &&
        region_page_aligned(reg.fd_offset | reg.size) &&
        region_add_fd(a, reg.fd) >= 0) {
        a->info.flags |= VFU_REGION_FLAG_MMAP;
        a->info.offset = reg.fd_offset;
    }
}

void epc_region_get_info(EpcRequest *r)
{
    const VfuRegionInfo *p = (const void *)r->m->payload;

    if (p->index >= VFU_NUM_REGIONS) {
        epc_request_finish(r, EINVAL);
    } else if (p->index > VFU_REGION_BAR5) {
        EpcRegion reg = region_get(r, p->index);
        VfuRegionInfo info = region_make_info(p->index, &reg);

        epc_request_reply(r, &info, sizeof(info));
    } else {
        region_answer_bar(r, p->index, region_ask_info);
    }
}

/* ---- EP_AREAS ---- */

static void region_add_area(EpcRegionReply *a, const EpcArea *from)
{
    int fd;

    if (!from->size ||
        !region_page_aligned(from->offset | from->size | from->fd_offset)) {
        return;
    }
    fd = region_add_fd(a, from->fd);
    if (fd >= 0) {
        a->areas.area[a->areas.head.count++] = (VfuEpArea) {
            .offset = from->offset,
            .size = from->size,
            .fd_offset = from->fd_offset,
            .fd_index = fd,
            .flags = VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE,
        };
    }
}

static void region_ask_areas(EpcRequest *r, unsigned bar, bool memory,
                             EpcRegionReply *a)
{
    EpcArea area[VFU_EP_MAX_AREAS];
    unsigned n = memory ? r->s->ops->areas(r->s->opaque, bar, area,
                                           ARRAY_SIZE(area)) : 0;
    VfuEpAreas *head = &a->areas.head;

    *head = (VfuEpAreas) { .generation = r->generation, .region = bar };
    for (unsigned i = 0; i < n; i++) {
        region_add_area(a, &area[i]);
    }
    head->argsz = a->len = sizeof(*head) + head->count * sizeof(VfuEpArea);
}

void epc_region_get_areas(EpcRequest *r)
{
    const VfuEpAreas *p = (const void *)r->m->payload;

    if (p->generation != r->generation) {
        epc_request_finish(r, ESTALE);
    } else {
        region_answer_bar(r, p->region, region_ask_areas);
    }
}

/* ---- GET_REGION_IO_FDS ---- */

static void region_add_io(EpcRegionReply *a, const EpcIoFd *from)
{
    unsigned had = a->nfds;
    int fd = region_add_fd(a, from->fd);
    int shadow = fd >= 0 && from->shadow_fd >= 0 ?
                 region_add_fd(a, from->shadow_fd) : 0;

    if (fd < 0 || shadow < 0) {
        a->nfds = had;
        return;
    }
    a->ios.io[a->ios.head.count++] = (VfuRegionIoFd) {
        .offset = from->offset,
        .size = 0,      /* writes of any width */
        .fd_index = fd,
        .type = from->shadow_fd >= 0 ? VFU_IO_FD_SHADOW : VFU_IO_FD_IOEVENTFD,
        .shadow_fd_index = shadow,
        .shadow_offset = from->shadow_fd >= 0 ? from->shadow_offset : 0,
    };
}

static void region_ask_io_fds(EpcRequest *r, unsigned bar, bool memory,
                              EpcRegionReply *a)
{
    const VfuRegionIoFds *p = (const void *)r->m->payload;
    unsigned room = (p->argsz - sizeof(*p)) / sizeof(VfuRegionIoFd);
    VfuRegionIoFds *head = &a->ios.head;
    EpcIoFd io[EPC_SERVER_MAX_IO_FDS];
    unsigned n = memory ? r->s->ops->io_fds(r->s->opaque, bar, io,
                                            ARRAY_SIZE(io)) : 0;

    *head = (VfuRegionIoFds) { .index = bar };
    for (unsigned i = 0; i < n && head->count < room; i++) {
        region_add_io(a, &io[i]);
    }
    head->argsz = sizeof(*head) + n * sizeof(VfuRegionIoFd);
    a->len = sizeof(*head) + head->count * sizeof(VfuRegionIoFd);
    a->doorbells = true;
}

void epc_region_get_io_fds(EpcRequest *r)
{
    const VfuRegionIoFds *p = (const void *)r->m->payload;
    VfuRegionIoFds none = { .argsz = sizeof(none), .index = p->index };

    if (p->index >= VFU_NUM_REGIONS || !region_get(r, p->index).size) {
        epc_request_finish(r, EINVAL);
    } else if ((r->features & VFU_EP_FEATURE_AREAS) &&
               p->index <= VFU_REGION_BAR5) {
        epc_remaps_end_waiting(r->s, p->index);
        region_answer_bar(r, p->index, region_ask_io_fds);
    } else {
        epc_request_reply(r, &none, sizeof(none));
    }
}

/* ---- REGION_READ, REGION_WRITE, REGION_WRITE_MULTI ---- */

struct EpcWrites {
    EpwRequest *token;
    uint64_t count;
    unsigned left;          /* without an answer; atomic */
};

/*
 * A client without our extension does not know that the link went down.  QEMU
 * 10.2 reads Interrupt Pin when its guest resets or disables MSI, and asserts
 * that it is a pin (vfio_intx_enable() in hw/vfio/pci.c, pci_irq_handler() in
 * hw/pci/pci.c).  So this byte of all ones reads as "no pin".
 */
static void region_hide_pin(EpcAccess *a)
{
    if (a->region == VFU_REGION_CONFIG && !a->is_write &&
        a->offset <= PCI_INTERRUPT_PIN &&
        PCI_INTERRUPT_PIN - a->offset < a->count) {
        a->data[PCI_INTERRUPT_PIN - a->offset] = 0;
    }
}

/* Makes a write of @data, or a read if that is NULL. */
static EpcAccess *region_access_new(unsigned region, uint64_t offset,
                                    uint32_t count, const void *data)
{
    EpcAccess *a = g_malloc(sizeof(*a) + count);

    *a = (EpcAccess) {
        .region = region,
        .offset = offset,
        .count = count,
        .is_write = data,
    };
    if (data) {
        memcpy(a->data, data, count);
    } else {
        memset(a->data, 0xff, count);
    }
    return a;
}

/* One more of the writes was answered. */
static void region_writes_answer(EpcWrites *w)
{
    VfuRegionWrites done = { .count = w->count };
    struct iovec iov = { &done, sizeof(done) };

    if (qatomic_fetch_dec(&w->left) == 1) {
        epw_reply(w->token, &iov, 1, NULL, 0);
        g_free(w);
    }
}

void epc_access_answer(EpcAccess *a)
{
    VfuRegionRw rw = {
        .offset = a->offset, .region = a->region, .count = a->count,
    };
    struct iovec iov[2] = { { &rw, sizeof(rw) }, { a->data, a->count } };

    if (a->token) {
        epw_reply(a->token, iov, a->is_write ? 1 : 2, NULL, 0);
        a->token = NULL;
    }
    if (a->writes) {
        region_writes_answer(a->writes);
        a->writes = NULL;
    }
}

void epc_access_free(EpcAccess *a)
{
    epc_access_answer(a);
    g_free(a);
}

static void region_trace_access(EpcRequest *r, const EpcAccess *a)
{
    const char *region = epw_region_name(a->region);

    if (a->is_write) {
        trace_pci_epc_write(r->s->device, r->s->func, r->generation, region,
                            a->offset, a->count,
                            epw_first_bytes(a->data, a->count));
    } else {
        trace_pci_epc_read(r->s->device, r->s->func, r->generation, region,
                           a->offset, a->count);
    }
}

static void region_begin_access(EpcRequest *r, EpcAccess *a)
    EP_REQUIRES(&r->s->op_lock);
static void region_begin_access(EpcRequest *r, EpcAccess *a)
{
    region_trace_access(r, a);
    if (r->live) {
        r->s->ops->access(r->s->opaque, a);
    } else {
        region_hide_pin(a);
        epc_access_free(a);
    }
}

void epc_region_access(EpcRequest *r)
{
    const VfuRegionRw *p = (const void *)r->m->payload;
    bool is_write = r->m->hdr.command == VFU_CMD_REGION_WRITE;
    EpcAccess *a;

    if (p->region >= VFU_NUM_REGIONS) {
        epc_request_finish(r, EINVAL);
        return;
    }
    a = region_access_new(p->region, p->offset, p->count,
                          is_write ? p + 1 : NULL);
    a->token = r->t;
    region_begin_access(r, a);
}

void epc_region_write_multi(EpcRequest *r)
{
    const VfuRegionWrites *p = (const void *)r->m->payload;
    const VfuRegionWrite *one = (const void *)(p + 1);
    EpcWrites *w;

    for (uint64_t i = 0; i < p->count; i++) {
        if (one[i].region >= VFU_NUM_REGIONS) {
            epc_request_finish(r, EINVAL);
            return;
        }
    }
    w = g_new(EpcWrites, 1);
    *w = (EpcWrites) { .token = r->t, .count = p->count, .left = p->count };
    for (uint64_t i = 0; i < p->count; i++) {
        EpcAccess *a = region_access_new(one[i].region, one[i].offset,
                                         one[i].count, one[i].data);

        a->writes = w;
        region_begin_access(r, a);
    }
}
