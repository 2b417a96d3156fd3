/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commands: commands of the client
 *
 * The session has checked each message (wire/check.c).  What is checked here
 * depends on the function: indices, ranges, the kind of descriptors, the
 * generation.
 *
 * A plain client cannot be told that the link went down, so the server goes on
 * answering it: questions about the device as before, and reads with all ones.
 * It may change its DMA ranges and eventfds. Everything else succeeds and does
 * nothing.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/server/commands.h"
#include "hw/pci-ep/server/regions.h"
#include "hw/pci-ep/trace.h"

static int command_take_fd(EpwMsg *m, unsigned n)
{
    int fd = m->fds[n];

    m->fds[n] = -1;
    return fd;
}

/* ---- Queries ---- */

static void command_get_info(EpcRequest *r)
{
    VfuDeviceInfo info = {
        .argsz = sizeof(info),
        .flags = VFU_DEVICE_RESET | VFU_DEVICE_PCI,
        .num_regions = VFU_NUM_REGIONS,
        .num_irqs = VFU_NUM_IRQS,
    };

    epc_request_reply(r, &info, sizeof(info));
}

static uint32_t command_irq_count(EpcRequest *r, unsigned index)
{
    return index <= VFU_IRQ_MSIX ?
           r->s->ops->irq_count(r->s->opaque, index) : 0;
}

/*
 * The number of vectors that the client may set. While the link is down it
 * knows those of the link before.
 */
static uint32_t command_irq_limit(EpcRequest *r, unsigned index)
{
    static const uint32_t most[] = {
        [VFU_IRQ_INTX] = 1, [VFU_IRQ_MSI] = 32, [VFU_IRQ_MSIX] = 2048,
    };

    if (r->live) {
        return command_irq_count(r, index);
    }
    return index < ARRAY_SIZE(most) ? most[index] : 0;
}

static void command_get_irq_info(EpcRequest *r)
{
    const VfuIrqInfo *p = (const void *)r->m->payload;
    VfuIrqInfo info = {
        .argsz = sizeof(info),
        .flags = VFU_IRQ_INFO_EVENTFD,
        .index = p->index,
    };

    if (p->index >= VFU_NUM_IRQS) {
        epc_request_finish(r, EINVAL);
        return;
    }
    if (p->index == VFU_IRQ_MSIX && (r->features & VFU_EP_FEATURE_MASK)) {
        info.flags |= VFU_IRQ_INFO_MASKABLE;
    }
    if (p->index == VFU_IRQ_INTX) {
        info.flags |= VFU_IRQ_INFO_MASKABLE | VFU_IRQ_INFO_AUTOMASKED;
    }
    info.count = command_irq_count(r, p->index);
    epc_request_reply(r, &info, sizeof(info));
}

/* ---- Interrupts ---- */

/* Attaches or detaches eventfds.  Returns 0 or a negative errno. */
static int command_trigger(EpcRequest *r, const VfuSetIrqs *p, uint32_t total)
{
    const EpcServerOps *ops = r->s->ops;
    EpwMsg *m = r->m;

    if (p->flags & VFU_IRQ_DATA_NONE) {
        if (p->count) {
            return -EINVAL; /* the client would trigger its own interrupt */
        }
        if (total) {
            ops->irqs_set(r->s->opaque, p->index, 0, total, NULL);
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
    ops->irqs_set(r->s->opaque, p->index, p->start, p->count,
                  m->nfds ? m->fds : NULL);
    m->nfds = 0;    /* The owner has them. */
    return 0;
}

static int command_mask(EpcRequest *r, const VfuSetIrqs *p)
{
    const EpcServerOps *ops = r->s->ops;
    bool masked = p->flags & VFU_IRQ_ACTION_MASK;

    if (!(p->flags & VFU_IRQ_DATA_NONE)) {
        return -EINVAL;
    }
    if (p->index == VFU_IRQ_INTX) {
        ops->intx_mask(r->s->opaque, masked);
        return 0;
    }
    if (p->index == VFU_IRQ_MSIX && (r->features & VFU_EP_FEATURE_MASK)) {
        ops->msix_mask(r->s->opaque, p->start, p->count, masked);
        return 0;
    }
    return -EINVAL;
}

static void command_set_irqs(EpcRequest *r)
{
    const VfuSetIrqs *p = (const void *)r->m->payload;
    uint32_t total, end;

    if (p->index >= VFU_NUM_IRQS) {
        epc_request_finish(r, EINVAL);
        return;
    }
    total = command_irq_limit(r, p->index);
    if (__builtin_add_overflow(p->start, p->count, &end) || end > total ||
        (r->m->nfds && r->m->nfds != p->count)) {
        epc_request_finish(r, EINVAL);
        return;
    }
    if (!r->live && !(p->flags & VFU_IRQ_ACTION_TRIGGER)) {
        epc_request_finish(r, 0);
        return;
    }
    trace_pci_epc_set_irqs(r->s->device, r->s->func, r->generation, p->index,
                           p->start, p->count);
    epc_request_finish(r, -(p->flags & VFU_IRQ_ACTION_TRIGGER ?
                     command_trigger(r, p, total) : command_mask(r, p)));
}

/* ---- DMA and reset ---- */

static void command_dma_map(EpcRequest *r)
{
    const VfuDmaMap *p = (const void *)r->m->payload;
    int fd, ret;

    fd = r->m->nfds ? command_take_fd(r->m, 0) : -1;
    ret = r->s->ops->dma_map(r->s->opaque, p, fd);
    trace_pci_epc_dma_map(r->s->device, r->s->func, r->generation, p->address,
                          p->size, fd >= 0, ret);
    epc_request_finish(r, ret);
}

static void command_dma_unmap(EpcRequest *r)
{
    const VfuDmaUnmap *p = (const void *)r->m->payload;
    bool all = p->flags & VFU_DMA_UNMAP_ALL;
    uint64_t first = all ? 0 : p->address;
    uint64_t size_minus_1 = all ? UINT64_MAX : p->size - 1;

    trace_pci_epc_dma_unmap(r->s->device, r->s->func, r->generation, first,
                            first + size_minus_1);
    r->s->ops->dma_unmap(r->s->opaque, first, size_minus_1);
    epc_request_reply(r, p, sizeof(*p));
}

static void command_reset(EpcRequest *r, unsigned kind)
{
    trace_pci_epc_host_reset(r->s->device, r->s->func, r->generation, kind);
    r->s->ops->reset(r->s->opaque, kind);
}

static void command_device_reset(EpcRequest *r)
{
    if (r->live) {
        command_reset(r, VFU_EP_RESET_HOT);
    }
    epc_request_finish(r, 0);
}

static void command_ep_reset(EpcRequest *r)
{
    const VfuEpReset *p = (const void *)r->m->payload;

    if (p->generation != r->generation) {
        epc_request_finish(r, ESTALE);
        return;
    }
    command_reset(r, p->kind);
    epc_request_finish(r, 0);
}

/* Fills @r.  Returns the state of the connection. */
static EpcConnState command_begin(EpcRequest *r, EpcConn *c)
{
    EpcServer *s = c->s;

    QEMU_LOCK_GUARD(&s->lock);
    r->s = s;
    r->c = c;
    r->live = s->conn == c && s->link == EPC_SERVER_LINK_UP;
    r->plain = c->state == EPC_CONN_PLAIN;
    r->features = c->features;
    r->generation = s->generation;
    return c->state;
}

static void command_run(EpcRequest *r) EP_REQUIRES(&r->s->op_lock);
static void command_run(EpcRequest *r)
{
    switch (r->m->hdr.command) {
    case VFU_CMD_DMA_MAP:
        command_dma_map(r);
        break;
    case VFU_CMD_DMA_UNMAP:
        command_dma_unmap(r);
        break;
    case VFU_CMD_GET_INFO:
        command_get_info(r);
        break;
    case VFU_CMD_GET_REGION_INFO:
        epc_region_get_info(r);
        break;
    case VFU_CMD_GET_REGION_IO_FDS:
        epc_region_get_io_fds(r);
        break;
    case VFU_CMD_GET_IRQ_INFO:
        command_get_irq_info(r);
        break;
    case VFU_CMD_SET_IRQS:
        command_set_irqs(r);
        break;
    case VFU_CMD_REGION_READ:
    case VFU_CMD_REGION_WRITE:
        epc_region_access(r);
        break;
    case VFU_CMD_REGION_WRITE_MULTI:
        epc_region_write_multi(r);
        break;
    case VFU_CMD_DEVICE_RESET:
        command_device_reset(r);
        break;
    case VFU_CMD_EP_AREAS:
        epc_region_get_areas(r);
        break;
    case VFU_CMD_EP_RESET:
        command_ep_reset(r);
        break;
    default:
        epc_request_finish(r, ENOSYS);
    }
}

void epc_server_command(EpcConn *c, EpwMsg *msg, EpwRequest *token)
{
    EpcRequest r = { .m = msg, .t = token };
    EpcConnState state = command_begin(&r, c);

    EP_LOCK_HELD(&r.s->op_lock);    /* by the caller, since r.s is c->s */
    if (epc_conn_expects_version(state)) {
        epc_request_finish(&r, EINVAL);
        epw_session_shutdown(c->session, "the first command was not VERSION");
    } else if (!r.live && !r.plain) {
        epc_request_finish(&r, ENOTCONN);
    } else {
        command_run(&r);
    }
}
