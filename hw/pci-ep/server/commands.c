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

void epc_reply(EpcRequest *r, const void *p, size_t len)
{
    struct iovec iov = { (void *)p, len };

    epw_reply(r->t, &iov, len ? 1 : 0, NULL, 0);
}

void epc_reply_error(EpcRequest *r, int err)
{
    if (err) {
        epw_reply_error(r->t, err);
    } else {
        epc_reply(r, NULL, 0);
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

    epc_reply(r, &info, sizeof(info));
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
        epc_reply_error(r, EINVAL);
        return;
    }
    if (p->index == VFU_IRQ_INTX) {
        info.flags |= VFU_IRQ_INFO_MASKABLE | VFU_IRQ_INFO_AUTOMASKED;
    }
    info.count = irq_count(r, p->index);
    epc_reply(r, &info, sizeof(info));
}

/* ---- interrupts ---- */

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
        if (!epw_is_eventfd(m->fds[i])) {
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
        epc_reply_error(r, EINVAL);
        return;
    }
    total = irq_count(r, p->index);
    if (__builtin_add_overflow(p->start, p->count, &end) || end > total ||
        (r->m->nfds && r->m->nfds != p->count)) {
        epc_reply_error(r, EINVAL);
        return;
    }
    if (!r->live) {
        epc_reply_error(r, 0);
        return;
    }
    epc_reply_error(r, -(p->flags & VFU_IRQ_ACTION_TRIGGER ?
                     trigger(r, p, total) : mask_intx(r, p)));
}

/* ---- DMA and reset ---- */

static void dma_map(EpcRequest *r)
{
    const VfuDmaMap *p = (const void *)r->m->payload;

    if (!r->live) {
        epc_reply_error(r, 0);
        return;
    }
    epc_reply_error(r, r->s->ops->dma_map(r->s->opaque, p,
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
    epc_reply(r, p, sizeof(*p));
}

static void device_reset(EpcRequest *r)
{
    if (r->live) {
        r->s->ops->reset(r->s->opaque, VFU_EP_RESET_HOT);
    }
    epc_reply_error(r, 0);
}

static void ep_reset(EpcRequest *r)
{
    const VfuEpReset *p = (const void *)r->m->payload;

    if (p->generation != r->generation) {
        epc_reply_error(r, ESTALE);
        return;
    }
    r->s->ops->reset(r->s->opaque, p->kind);
    epc_reply_error(r, 0);
}

void epc_server_command(EpcConn *c, EpwMsg *msg, EpwToken *token)
{
    EpcServer *s = c->s;
    EpcRequest r = { .s = s, .c = c, .m = msg, .t = token };

    qemu_mutex_lock(&s->lock);
    r.live = s->conn == c && s->link == EPS_UP;
    r.features = c->plain ? 0 : epw_session_caps(c->session).features;
    r.generation = s->generation;
    qemu_mutex_unlock(&s->lock);

    if (!r.live && !c->plain) {
        epc_reply_error(&r, ENOTCONN);
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
        epc_server_get_region_info(&r);
        break;
    case VFU_CMD_GET_REGION_IO_FDS:
        epc_server_get_region_io_fds(&r);
        break;
    case VFU_CMD_GET_IRQ_INFO:
        get_irq_info(&r);
        break;
    case VFU_CMD_SET_IRQS:
        set_irqs(&r);
        break;
    case VFU_CMD_REGION_READ:
        epc_server_region_access(&r, false);
        break;
    case VFU_CMD_REGION_WRITE:
        epc_server_region_access(&r, true);
        break;
    case VFU_CMD_DEVICE_RESET:
        device_reset(&r);
        break;
    case VFU_CMD_EP_AREAS:
        epc_server_get_areas(&r);
        break;
    case VFU_CMD_EP_RESET:
        ep_reset(&r);
        break;
    default:
        epc_reply_error(&r, ENOSYS);
    }
}
