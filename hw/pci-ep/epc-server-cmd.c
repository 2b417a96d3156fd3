/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-server-cmd: commands of the client
 *
 * Messages come in checked (epw-check.c); what is left to check here depends on
 * the function: indices, ranges, the kind of descriptors, the generation.
 *
 * A plain client cannot be told that the link went down.  It is answered on:
 * questions about the device as before, reads with all ones; everything else
 * succeeds and does nothing.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/epc-server-int.h"

/* The owner may change a region while we ask for it; then ask again. */
#define REGION_INFO_TRIES 4

typedef struct EpcRequest {
    EpcServer *s;
    EpcConn *c;
    EpwMsg *m;
    EpwToken *t;
    bool live;              /* the link is up */
    bool remap;             /* the client lets us revoke memory */
    uint32_t generation;
} EpcRequest;

static void reply(EpcRequest *r, const void *p, size_t len)
{
    struct iovec iov = { (void *)p, len };

    epw_reply(r->t, &iov, len ? 1 : 0, NULL, 0);
}

static void reply_error(EpcRequest *r, int err)
{
    if (err) {
        epw_reply_error(r->t, err);
    } else {
        reply(r, NULL, 0);
    }
}

static int take_fd(EpwMsg *m, unsigned n)
{
    int fd = m->fds[n];

    m->fds[n] = -1;
    return fd;
}

/* ---- queries ---- */

static void get_info(EpcRequest *r)
{
    VfuDeviceInfo info = {
        .argsz = sizeof(info),
        .flags = VFU_DEVICE_RESET | VFU_DEVICE_PCI,
        .num_regions = VFU_NUM_REGIONS,
        .num_irqs = VFU_NUM_IRQS,
    };

    reply(r, &info, sizeof(info));
}

static EpcRegion get_region(EpcRequest *r, unsigned region)
{
    size_t page = qemu_real_host_page_size();
    EpcRegion reg = { .fd = -1 };

    r->s->ops->region_info(r->s->opaque, region, &reg);
    reg.flags &= VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE;
    if (!r->remap || region > VFU_REGION_BAR5 || reg.fd < 0 ||
        !QEMU_IS_ALIGNED(reg.fd_offset | reg.size, page)) {
        reg.fd = -1;
    }
    return reg;
}

static void reply_region_info(EpcRequest *r, unsigned region,
                              const EpcRegion *reg)
{
    bool mmap = reg->fd >= 0;
    VfuRegionInfo info = {
        .argsz = sizeof(info),
        .flags = reg->flags | (mmap ? VFU_REGION_FLAG_MMAP : 0),
        .index = region,
        .size = reg->size,
        .offset = mmap ? reg->fd_offset : 0,
    };
    struct iovec iov = { &info, sizeof(info) };

    epw_reply(r->t, &iov, 1, &reg->fd, mmap ? 1 : 0);
}

/*
 * A reply with memory must leave before the EP_REMAP or EP_LINK that takes it
 * back.  Hence it is sent under the lock, and only while the link is up and the
 * count of remaps is the one from before the question.  False: ask again.
 */
static bool try_bar_info(EpcRequest *r, unsigned bar, bool last)
{
    EpcServer *s = r->s;
    EpcRegion reg;
    uint32_t seq;

    qemu_mutex_lock(&s->lock);
    seq = s->remap_seq[bar];
    qemu_mutex_unlock(&s->lock);

    reg = get_region(r, bar);

    QEMU_LOCK_GUARD(&s->lock);
    if (seq != s->remap_seq[bar]) {
        if (!last) {
            return false;
        }
        reg.fd = -1;
    }
    if (s->link != EPS_UP && !r->c->plain) {
        reply_error(r, ENOTCONN);
        return true;
    }
    r->c->asked |= r->remap ? 1u << bar : 0;
    reply_region_info(r, bar, &reg);
    return true;
}

static void get_region_info(EpcRequest *r)
{
    const VfuRegionInfo *p = (const void *)r->m->payload;
    EpcRegion reg;
    int tries = 1;

    if (p->index >= VFU_NUM_REGIONS) {
        reply_error(r, EINVAL);
    } else if (p->index > VFU_REGION_BAR5) {
        reg = get_region(r, p->index);
        reply_region_info(r, p->index, &reg);
    } else {
        while (!try_bar_info(r, p->index, tries == REGION_INFO_TRIES)) {
            tries++;
        }
    }
}

static void get_region_io_fds(EpcRequest *r)
{
    const VfuRegionIoFds *p = (const void *)r->m->payload;
    VfuRegionIoFds none = {
        .argsz = sizeof(none),
        .index = p->index,
    };
    EpcRegion reg;

    if (p->index >= VFU_NUM_REGIONS) {
        reply_error(r, EINVAL);
        return;
    }
    reg = get_region(r, p->index);
    if (!reg.size) {
        reply_error(r, EINVAL);
        return;
    }
    reply(r, &none, sizeof(none));
}

static uint32_t irq_count(EpcRequest *r, unsigned index)
{
    return index <= VFU_IRQ_MSIX ?
           r->s->ops->irq_count(r->s->opaque, index) : 0;
}

static void get_irq_info(EpcRequest *r)
{
    const VfuIrqInfo *p = (const void *)r->m->payload;
    VfuIrqInfo info = {
        .argsz = sizeof(info),
        .flags = VFU_IRQ_INFO_EVENTFD,
        .index = p->index,
    };

    if (p->index >= VFU_NUM_IRQS) {
        reply_error(r, EINVAL);
        return;
    }
    if (p->index == VFU_IRQ_INTX) {
        info.flags |= VFU_IRQ_INFO_MASKABLE | VFU_IRQ_INFO_AUTOMASKED;
    }
    info.count = irq_count(r, p->index);
    reply(r, &info, sizeof(info));
}

/* ---- interrupts ---- */

/* KVM takes nothing else for an interrupt, and a pipe could block a writer. */
static bool is_eventfd(int fd)
{
    static const char kind[] = "anon_inode:[eventfd]";
    char path[64], target[sizeof(kind)];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    n = readlink(path, target, sizeof(target));
    return n == sizeof(kind) - 1 && !memcmp(target, kind, n);
}

static int trigger(EpcRequest *r, const VfuSetIrqs *p, uint32_t total)
{
    const EpcServerOps *ops = r->s->ops;
    EpwMsg *m = r->m;

    if (p->flags & VFU_IRQ_DATA_NONE) {
        if (p->count) {
            return -EINVAL; /* would trigger its own interrupt */
        }
        for (uint32_t i = 0; i < total; i++) {
            ops->irq_set(r->s->opaque, p->index, i, -1);
        }
        return 0;
    }
    if (!(p->flags & VFU_IRQ_DATA_EVENTFD)) {
        return -EINVAL;
    }
    for (unsigned i = 0; i < m->nfds; i++) {
        if (!is_eventfd(m->fds[i])) {
            return -EINVAL;
        }
    }
    for (uint32_t i = 0; i < p->count; i++) {
        ops->irq_set(r->s->opaque, p->index, p->start + i,
                     m->nfds ? take_fd(m, i) : -1);
    }
    return 0;
}

static int mask_intx(EpcRequest *r, const VfuSetIrqs *p)
{
    if (p->index != VFU_IRQ_INTX || !(p->flags & VFU_IRQ_DATA_NONE)) {
        return -EINVAL;
    }
    r->s->ops->intx_mask(r->s->opaque, p->flags & VFU_IRQ_ACTION_MASK);
    return 0;
}

static void set_irqs(EpcRequest *r)
{
    const VfuSetIrqs *p = (const void *)r->m->payload;
    uint32_t total, end;

    if (p->index >= VFU_NUM_IRQS) {
        reply_error(r, EINVAL);
        return;
    }
    total = irq_count(r, p->index);
    if (__builtin_add_overflow(p->start, p->count, &end) || end > total ||
        (r->m->nfds && r->m->nfds != p->count)) {
        reply_error(r, EINVAL);
        return;
    }
    if (!r->live) {
        reply_error(r, 0);
        return;
    }
    reply_error(r, -(p->flags & VFU_IRQ_ACTION_TRIGGER ?
                     trigger(r, p, total) : mask_intx(r, p)));
}

/* ---- regions ---- */

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

static void region_read(EpcRequest *r)
{
    const VfuRegionRw *p = (const void *)r->m->payload;
    g_autofree uint8_t *data = NULL;
    struct iovec iov[2];

    if (p->region >= VFU_NUM_REGIONS) {
        reply_error(r, EINVAL);
        return;
    }
    data = g_malloc(p->count);
    memset(data, 0xff, p->count);
    if (reachable(r, p)) {
        r->s->ops->region_read(r->s->opaque, p->region, p->offset, data,
                               p->count);
    }
    iov[0] = (struct iovec) { (void *)p, sizeof(*p) };
    iov[1] = (struct iovec) { data, p->count };
    epw_reply(r->t, iov, 2, NULL, 0);
}

static void region_write(EpcRequest *r)
{
    const VfuRegionRw *p = (const void *)r->m->payload;

    if (p->region >= VFU_NUM_REGIONS) {
        reply_error(r, EINVAL);
        return;
    }
    if (reachable(r, p)) {
        r->s->ops->region_write(r->s->opaque, p->region, p->offset, p + 1,
                                p->count);
    }
    reply(r, p, sizeof(*p));
}

/* ---- DMA and reset ---- */

static void dma_map(EpcRequest *r)
{
    const VfuDmaMap *p = (const void *)r->m->payload;

    if (!r->live) {
        reply_error(r, 0);
        return;
    }
    reply_error(r, r->s->ops->dma_map(r->s->opaque, p,
                                      r->m->nfds ? take_fd(r->m, 0) : -1));
}

static void dma_unmap(EpcRequest *r)
{
    const VfuDmaUnmap *p = (const void *)r->m->payload;

    if (r->live && (p->flags & VFU_DMA_UNMAP_ALL)) {
        r->s->ops->dma_unmap(r->s->opaque, 0, UINT64_MAX);
    } else if (r->live) {
        r->s->ops->dma_unmap(r->s->opaque, p->address, p->size - 1);
    }
    reply(r, p, sizeof(*p));
}

static void device_reset(EpcRequest *r)
{
    if (r->live) {
        r->s->ops->reset(r->s->opaque, VFU_EP_RESET_HOT);
    }
    reply_error(r, 0);
}

static void ep_reset(EpcRequest *r)
{
    const VfuEpReset *p = (const void *)r->m->payload;

    if (p->generation != r->generation) {
        reply_error(r, ESTALE);
        return;
    }
    r->s->ops->reset(r->s->opaque, p->kind);
    reply_error(r, 0);
}

void epc_server_command(EpcConn *c, EpwMsg *msg, EpwToken *token)
{
    EpcServer *s = c->s;
    EpcRequest r = { .s = s, .c = c, .m = msg, .t = token };

    qemu_mutex_lock(&s->lock);
    r.live = s->conn == c && s->link == EPS_UP;
    r.remap = !c->plain && (epw_session_caps(c->session).features &
                            VFU_EP_FEATURE_REMAP);
    r.generation = s->generation;
    qemu_mutex_unlock(&s->lock);

    if (!r.live && !c->plain) {
        reply_error(&r, ENOTCONN);
        return;
    }
    switch (msg->hdr.command) {
    case VFU_CMD_DMA_MAP:
        dma_map(&r);
        break;
    case VFU_CMD_DMA_UNMAP:
        dma_unmap(&r);
        break;
    case VFU_CMD_GET_INFO:
        get_info(&r);
        break;
    case VFU_CMD_GET_REGION_INFO:
        get_region_info(&r);
        break;
    case VFU_CMD_GET_REGION_IO_FDS:
        get_region_io_fds(&r);
        break;
    case VFU_CMD_GET_IRQ_INFO:
        get_irq_info(&r);
        break;
    case VFU_CMD_SET_IRQS:
        set_irqs(&r);
        break;
    case VFU_CMD_REGION_READ:
        region_read(&r);
        break;
    case VFU_CMD_REGION_WRITE:
        region_write(&r);
        break;
    case VFU_CMD_DEVICE_RESET:
        device_reset(&r);
        break;
    case VFU_CMD_EP_RESET:
        ep_reset(&r);
        break;
    default:
        reply_error(&r, ENOSYS);
    }
}
