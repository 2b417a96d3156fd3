/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-server-region: commands about regions
 *
 * Memory and eventfds behind a BAR are told only to clients from which they can
 * be taken back ("remap").  Those that know areas get them by EP_AREAS and
 * GET_REGION_IO_FDS, the others by GET_REGION_INFO, when one piece of memory
 * is behind all of the BAR.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/epc-server-int.h"

/*
 * The owner may change a BAR while we ask for it; then ask again, and the last
 * time not for memory.
 */
#define MAX_TRIES 5

QEMU_BUILD_BUG_ON(EPC_SERVER_MAX_IO_FDS + 1 > EPW_MAX_FDS);

/* A reply about a BAR */
typedef struct Answer {
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
    unsigned max_fds;       /* that the client takes */
} Answer;

/* Describes @bar, with what is behind it or (not @memory) without. */
typedef void Ask(EpcRequest *r, unsigned bar, bool memory, Answer *a);

/*
 * A reply with descriptors must leave before the EP_REMAP or EP_LINK that takes
 * them back.  Hence it is sent under the lock, and only while the link is up
 * and the count of remaps is the one from before the question.  False: ask
 * again.
 */
static bool try_bar(EpcRequest *r, unsigned bar, Ask *ask, bool memory)
{
    EpcServer *s = r->s;
    struct iovec iov;
    uint32_t seq;
    Answer a;

    a.nfds = 0;
    a.max_fds = epw_session_caps(r->c->session).max_fds;
    qemu_mutex_lock(&s->lock);
    seq = s->remap_seq[bar];
    qemu_mutex_unlock(&s->lock);

    ask(r, bar, memory, &a);

    QEMU_LOCK_GUARD(&s->lock);
    if (memory && seq != s->remap_seq[bar]) {
        return false;
    }
    if (s->link != EPS_UP && !r->c->plain) {
        epc_reply_error(r, ENOTCONN);
        return true;
    }
    r->c->asked |= r->features & VFU_EP_FEATURE_REMAP ? 1u << bar : 0;
    iov = (struct iovec) { &a, a.len };
    epw_reply(r->t, &iov, 1, a.fds, a.nfds);
    return true;
}

static void answer_bar(EpcRequest *r, unsigned bar, Ask *ask)
{
    bool memory = r->features & VFU_EP_FEATURE_REMAP;
    int tries = 1;

    while (!try_bar(r, bar, ask, memory && tries < MAX_TRIES)) {
        tries++;
    }
}

/* Index of @fd among the descriptors of the reply, -1: no room */
static int add_fd(Answer *a, int fd)
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

static EpcRegion get_region(EpcRequest *r, unsigned region)
{
    EpcRegion reg = { .fd = -1 };

    r->s->ops->region_info(r->s->opaque, region, &reg);
    reg.flags &= VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE;
    return reg;
}

static bool page_aligned(uint64_t v)
{
    return QEMU_IS_ALIGNED(v, qemu_real_host_page_size());
}

/* ---- GET_REGION_INFO ---- */

static VfuRegionInfo region_info(unsigned region, const EpcRegion *reg)
{
    return (VfuRegionInfo) {
        .argsz = sizeof(VfuRegionInfo),
        .flags = reg->flags,
        .index = region,
        .size = reg->size,
    };
}

static void ask_info(EpcRequest *r, unsigned bar, bool memory, Answer *a)
{
    EpcRegion reg = get_region(r, bar);

    a->len = sizeof(a->info);
    a->info = region_info(bar, &reg);
    if (memory && !(r->features & VFU_EP_FEATURE_AREAS) && reg.fd >= 0 &&
        page_aligned(reg.fd_offset | reg.size) && add_fd(a, reg.fd) >= 0) {
        a->info.flags |= VFU_REGION_FLAG_MMAP;
        a->info.offset = reg.fd_offset;
    }
}

void epc_server_get_region_info(EpcRequest *r)
{
    const VfuRegionInfo *p = (const void *)r->m->payload;

    if (p->index >= VFU_NUM_REGIONS) {
        epc_reply_error(r, EINVAL);
    } else if (p->index > VFU_REGION_BAR5) {
        EpcRegion reg = get_region(r, p->index);
        VfuRegionInfo info = region_info(p->index, &reg);

        epc_reply(r, &info, sizeof(info));
    } else {
        answer_bar(r, p->index, ask_info);
    }
}

/* ---- EP_AREAS ---- */

static void add_area(Answer *a, const EpcArea *from)
{
    int fd;

    if (!from->size ||
        !page_aligned(from->offset | from->size | from->fd_offset)) {
        return;
    }
    fd = add_fd(a, from->fd);
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

static void ask_areas(EpcRequest *r, unsigned bar, bool memory, Answer *a)
{
    EpcArea area[VFU_EP_MAX_AREAS];
    unsigned n = memory ? r->s->ops->areas(r->s->opaque, bar, area,
                                           ARRAY_SIZE(area)) : 0;
    VfuEpAreas *head = &a->areas.head;

    *head = (VfuEpAreas) { .generation = r->generation, .region = bar };
    for (unsigned i = 0; i < n; i++) {
        add_area(a, &area[i]);
    }
    head->argsz = a->len = sizeof(*head) + head->count * sizeof(VfuEpArea);
}

void epc_server_get_areas(EpcRequest *r)
{
    const VfuEpAreas *p = (const void *)r->m->payload;

    if (p->generation != r->generation) {
        epc_reply_error(r, ESTALE);
    } else {
        answer_bar(r, p->region, ask_areas);
    }
}

/* ---- GET_REGION_IO_FDS ---- */

static void add_io(Answer *a, const EpcIoFd *from)
{
    unsigned had = a->nfds;
    int fd = add_fd(a, from->fd);
    int shadow = fd >= 0 && from->shadow_fd >= 0 ?
                 add_fd(a, from->shadow_fd) : 0;

    if (fd < 0 || shadow < 0) {
        a->nfds = had;
        return;
    }
    a->ios.io[a->ios.head.count++] = (VfuRegionIoFd) {
        .offset = from->offset,
        .size = sizeof(uint32_t),
        .fd_index = fd,
        .type = from->shadow_fd >= 0 ? VFU_IO_FD_SHADOW : VFU_IO_FD_IOEVENTFD,
        .shadow_fd_index = shadow,
        .shadow_offset = from->shadow_fd >= 0 ? from->shadow_offset : 0,
    };
}

static void ask_io_fds(EpcRequest *r, unsigned bar, bool memory, Answer *a)
{
    const VfuRegionIoFds *p = (const void *)r->m->payload;
    unsigned room = (p->argsz - sizeof(*p)) / sizeof(VfuRegionIoFd);
    VfuRegionIoFds *head = &a->ios.head;
    EpcIoFd io[EPC_SERVER_MAX_IO_FDS];
    unsigned n = memory ? r->s->ops->io_fds(r->s->opaque, bar, io,
                                            ARRAY_SIZE(io)) : 0;

    *head = (VfuRegionIoFds) { .index = bar };
    for (unsigned i = 0; i < n && head->count < room; i++) {
        add_io(a, &io[i]);
    }
    head->argsz = sizeof(*head) + n * sizeof(VfuRegionIoFd);
    a->len = sizeof(*head) + head->count * sizeof(VfuRegionIoFd);
}

void epc_server_get_region_io_fds(EpcRequest *r)
{
    const VfuRegionIoFds *p = (const void *)r->m->payload;
    VfuRegionIoFds none = { .argsz = sizeof(none), .index = p->index };

    if (p->index >= VFU_NUM_REGIONS || !get_region(r, p->index).size) {
        epc_reply_error(r, EINVAL);
    } else if ((r->features & VFU_EP_FEATURE_AREAS) &&
               p->index <= VFU_REGION_BAR5) {
        epc_server_end_remaps(r->s, p->index);
        answer_bar(r, p->index, ask_io_fds);
        WITH_QEMU_LOCK_GUARD(&r->s->lock) {
            r->c->asked_ios |= r->c->asked & (1u << p->index);
        }
    } else {
        epc_reply(r, &none, sizeof(none));
    }
}

/* ---- REGION_READ, REGION_WRITE ---- */

/* Neither end asks for more than the region has, but stock clients may. */
static bool reachable(EpcRequest *r, const VfuRegionRw *p)
{
    EpcRegion reg;

    if (!r->live) {
        return false;
    }
    reg = get_region(r, p->region);
    return p->offset < reg.size && p->count <= reg.size - p->offset;
}

static EpcAccess *access_new(EpcRequest *r, bool is_write)
{
    const VfuRegionRw *p = (const void *)r->m->payload;
    EpcAccess *a = g_malloc(sizeof(*a) + p->count);

    *a = (EpcAccess) {
        .region = p->region,
        .offset = p->offset,
        .count = p->count,
        .is_write = is_write,
        .token = r->t,
    };
    if (is_write) {
        memcpy(a->data, p + 1, p->count);
    } else {
        memset(a->data, 0xff, p->count);
    }
    return a;
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
}

void epc_access_free(EpcAccess *a)
{
    epc_access_answer(a);
    g_free(a);
}

void epc_server_region_access(EpcRequest *r, bool is_write)
{
    const VfuRegionRw *p = (const void *)r->m->payload;
    const EpcServerOps *ops = r->s->ops;
    void *owner = r->s->opaque;
    EpcAccess *a;

    if (p->region >= VFU_NUM_REGIONS) {
        epc_reply_error(r, EINVAL);
        return;
    }
    a = access_new(r, is_write);
    if (reachable(r, p)) {
        if (p->region <= VFU_REGION_BAR5 && ops->bar_access &&
            ops->bar_access(owner, a)) {
            return;
        }
        if (is_write) {
            ops->region_write(owner, p->region, p->offset, a->data, p->count);
        } else {
            ops->region_read(owner, p->region, p->offset, a->data, p->count);
        }
    }
    epc_access_free(a);
}
