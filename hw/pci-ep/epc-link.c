/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-link: the link of the controller, and what the host asks over it
 *
 * All but the register commands runs on the reader thread of the server,
 * without the BQL.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "hw/pci/pci_regs.h"
#include "hw/pci-ep/pci-epc.h"
#include "trace.h"

/*
 * ---- Up and down ----
 *
 * Clients that know of several functions have joined: their functions come up
 * when all shown ones have, and go down together.  When one goes, the others
 * fall, and nobody joins again before all have let go.  Any other client is
 * alone: its function comes and goes by itself.
 */

/* Something about fn->up changed.  Lock held. */
static void link_update(EpcState *s)
{
    bool up = false;

    for (unsigned i = 0; i < s->nfn; i++) {
        up |= s->fn[i].up;
    }
    if (up != s->link_up) {
        s->link_up = up;
        s->generation += up;
        epc_event(s, EPC_EVENT_LINK);
    }
    trace_epc_link(up, s->generation);
}

/* Lock held. */
static void function_up(EpcFunction *fn)
{
    fn->up = true;
    fn->resets = (EpcResets) { };
    /* The client may have been faster than its siblings */
    epc_fn_update_maps(fn);
    epc_ioeventfd_changed(fn);
}

/* Are all of them there now?  Lock held. */
static void function_joined(EpcState *s)
{
    if (s->falling) {
        return;
    }
    for (unsigned i = 0; i < s->nfn; i++) {
        if ((s->shown & BIT(i)) && !s->fn[i].joined) {
            return;
        }
    }
    s->resets = (EpcResets) { };
    for (unsigned i = 0; i < s->nfn; i++) {
        if (s->shown & BIT(i)) {
            function_up(&s->fn[i]);
        }
    }
}

/* Lock held. */
static void went_up(EpcFunction *fn, bool joined)
{
    EpcState *s = fn->epc;

    if (!s->link_enabled || (s->falling & BIT(fn->index))) {
        return;     /* it will be taken down */
    }
    fn->joined = joined;
    fn->alone = !joined;
    if (joined) {
        function_joined(s);
    } else {
        function_up(fn);
    }
    link_update(s);
}

/* The client of @fn has let go.  Lock held. */
static void went_down(EpcFunction *fn)
{
    EpcState *s = fn->epc;

    for (unsigned i = 0; i < s->nfn; i++) {
        EpcFunction *other = &s->fn[i];

        if (other == fn || (fn->joined && other->joined)) {
            other->up = false;
            epc_ioeventfd_changed(other);
            epc_fn_update_maps(other);
        }
    }
    epc_dma_table_clear(fn->dma);
    epc_irqs_clear(fn);
    epc_config_reset(&fn->cfg);
    if (!fn->index) {
        epc_vfs_update(s);
    }
    epc_writes_clear(&fn->writes);
    fn->intx = (EpcIntx) { };
    fn->joined = fn->alone = false;
    link_update(s);
}

/* All may come up.  Lock held. */
static void enable_shown(EpcState *s)
{
    for (unsigned i = 0; i < s->nfn; i++) {
        if (s->shown & BIT(i)) {
            epc_server_enable(s->fn[i].server, s->shown);
        }
    }
}

static void fallen(void *opaque)
{
    EpcFunction *fn = opaque;
    EpcState *s = fn->epc;

    QEMU_LOCK_GUARD(&s->lock);
    s->falling &= ~BIT(fn->index);
    if (s->falling) {
        return;
    }
    if (s->link_status == EPC_STATUS_BUSY) {
        s->link_status = EPC_STATUS_OK;
        epc_notify(s, EPC_VECTOR_COMMAND);
    }
    if (s->link_enabled && !s->closing) {
        enable_shown(s);
    }
}

/* Lock not held; all functions, or those whose client is not alone. */
static void fall(EpcState *s, bool all)
{
    uint32_t mask = 0;

    QEMU_LOCK_GUARD(&s->fall_lock);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        for (unsigned i = 0; i < s->nfn && !s->closing; i++) {
            if (all || !s->fn[i].alone) {
                mask |= BIT(i) & ~s->falling;
            }
        }
        s->falling |= mask;
    }
    for (unsigned i = 0; i < s->nfn; i++) {
        if (mask & BIT(i)) {
            epc_server_disable(s->fn[i].server, fallen, &s->fn[i]);
        }
    }
}

void epc_link_fall(EpcState *s)
{
    fall(s, true);
    QEMU_LOCK_GUARD(&s->lock);
    s->link_status = s->falling ? EPC_STATUS_BUSY : EPC_STATUS_OK;
}

static void op_link(void *opaque, bool up, bool joined)
{
    EpcFunction *fn = opaque;
    EpcState *s = fn->epc;
    bool cascade = false;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (up) {
            epc_dma_table_set_messages(fn->dma,
                                       epc_server_takes_dma(fn->server));
            went_up(fn, joined);
        } else {
            cascade = fn->joined;
            went_down(fn);
        }
    }
    epc_dma_drain(s);
    if (cascade) {
        fall(s, false);
    }
}

/* ---- START and STOP ---- */

/* What a START would show, as bits; EPC_STATUS_*.  Lock held. */
static uint32_t startable(EpcState *s, uint32_t *shown)
{
    *shown = 0;
    for (unsigned i = 0; i < s->functions; i++) {
        EpcFunction *fn = &s->fn[i];
        uint32_t status;

        if (i && epc_config_empty(&fn->cfg)) {
            continue;
        }
        status = epc_fn_startable(fn);
        if (status != EPC_STATUS_OK) {
            return status;
        }
        *shown |= BIT(i);
    }
    return epc_vfs_startable(s, shown);
}

static void link_start(EpcState *s)
{
    uint32_t functions = MAKE_64BIT_MASK(0, s->functions);
    uint32_t shown;

    QEMU_LOCK_GUARD(&s->lock);
    s->link_status = s->link_enabled ? EPC_STATUS_OK : startable(s, &shown);
    if (s->link_enabled || s->link_status != EPC_STATUS_OK) {
        return;
    }
    s->link_enabled = true;
    s->shown = shown;
    epc_config_set_multifunction(&s->fn[0].cfg, (shown & functions) != 1);
    epc_vfs_show(s);
    if (!s->falling) {
        enable_shown(s);
    }
}

static void link_stop(EpcState *s)
{
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->link_enabled = false;
        /* Before the host hears of it and uses its memory for other things */
        for (unsigned i = 0; i < s->nfn; i++) {
            epc_fn_update_maps(&s->fn[i]);
            epc_ioeventfd_changed(&s->fn[i]);
        }
    }
    epc_ioeventfd_update(s);
    epc_dma_drain(s);
    epc_link_fall(s);
}

void epc_link_command(EpcState *s, uint32_t cmd)
{
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (s->link_status == EPC_STATUS_BUSY) {
            s->bad_access++;
            return;
        }
        s->link_cmd = cmd;
        s->link_status = EPC_STATUS_BAD_CMD;
    }
    if (cmd == EPC_LINK_START) {
        link_start(s);
    } else if (cmd == EPC_LINK_STOP) {
        link_stop(s);
    }
    trace_epc_link_command(cmd, s->link_status);
}

/* ---- Resets ---- */

/*
 * A reset of the device: the client of each function tells it, the endpoint
 * hears of it once.  @mine counts those that this client told, @all those that
 * the endpoint heard of.
 */
static void reset_device(EpcFunction *fn, uint32_t *mine, uint32_t *all,
                         uint32_t event)
{
    EpcState *s = fn->epc;

    if (fn->joined && ++*mine <= *all) {
        return;
    }
    *all = fn->joined ? *mine : *all;
    for (unsigned i = 0; i < s->nfn; i++) {
        if (fn->joined && s->fn[i].joined) {
            epc_fn_reset(&s->fn[i]);
        }
    }
    epc_event(s, event);
}

static void op_reset(void *opaque, unsigned kind)
{
    EpcFunction *fn = opaque;
    EpcState *s = fn->epc;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        trace_epc_host_reset(fn->index, kind);
        epc_fn_reset(fn);
        switch (kind) {
        case VFU_EP_RESET_PERST:
            reset_device(fn, &fn->resets.perst, &s->resets.perst,
                         EPC_EVENT_PERST);
            break;
        case VFU_EP_RESET_FLR:
            epc_fn_event(fn, EPC_FN_EVENT_FLR);
            break;
        default:
            reset_device(fn, &fn->resets.hot, &s->resets.hot,
                         EPC_EVENT_HOT_RESET);
        }
    }
    epc_dma_drain(s);
}

/* ---- Regions ---- */

static void op_region_info(void *opaque, unsigned region, EpcRegion *r)
{
    EpcFunction *fn = opaque;

    QEMU_LOCK_GUARD(&fn->epc->lock);
    if (region <= VFU_REGION_BAR5) {
        epc_bar_info(fn, region, r);
    } else if (region == VFU_REGION_CONFIG) {
        r->size = EPC_CONFIG_SIZE;
        r->flags = VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE;
    }
}

static unsigned op_areas(void *opaque, unsigned region, EpcArea *area,
                         unsigned max)
{
    EpcFunction *fn = opaque;

    QEMU_LOCK_GUARD(&fn->epc->lock);
    return epc_target_areas(fn->bar[region].target, area, max);
}

static unsigned op_io_fds(void *opaque, unsigned region, EpcIoFd *io,
                          unsigned max)
{
    EpcFunction *fn = opaque;

    QEMU_LOCK_GUARD(&fn->epc->lock);
    return epc_target_io_fds(fn->bar[region].target, fn, io, max);
}

static void op_region_read(void *opaque, unsigned region, uint64_t offset,
                           void *buf, uint32_t count)
{
    EpcFunction *fn = opaque;

    QEMU_LOCK_GUARD(&fn->epc->lock);
    if (region <= VFU_REGION_BAR5 && fn->up && epc_fn_enabled(fn)) {
        epc_target_read(fn->bar[region].target, offset, buf, count);
    } else if (region != VFU_REGION_CONFIG || offset > UINT32_MAX ||
               !epc_config_read(&fn->cfg, offset, buf, count)) {
        memset(buf, 0xff, count);
    }
}

static void added_write(void *opaque, unsigned offset, unsigned size,
                        uint32_t value)
{
    EpcFunction *fn = opaque;

    trace_epc_config_write(fn->index, offset, size, value);
    epc_writes_add(&fn->writes, offset, size, value);
    epc_fn_event(fn, EPC_FN_EVENT_CONFIG);
}

/* Did it change what the function may do? */
static bool config_write(EpcFunction *fn, uint64_t offset, const void *buf,
                         uint32_t count)
{
    uint32_t events = 0;

    if (offset > UINT32_MAX || !epc_fn_enabled(fn) ||
        !epc_config_write(&fn->cfg, offset, buf, count, &events)) {
        return false;
    }
    epc_config_added_writes(&fn->cfg, offset, buf, count, added_write, fn);
    if (events) {
        epc_fn_changed(fn, events & EPC_FN_EVENT_FLR);
        epc_fn_event(fn, events);
    }
    return events;
}

static void op_region_write(void *opaque, unsigned region, uint64_t offset,
                            const void *buf, uint32_t count)
{
    EpcFunction *fn = opaque;
    bool changed = false;

    WITH_QEMU_LOCK_GUARD(&fn->epc->lock) {
        if (region <= VFU_REGION_BAR5 && fn->up) {
            epc_bar_write(fn, region, offset, buf, count);
        } else if (region == VFU_REGION_CONFIG) {
            changed = config_write(fn, offset, buf, count);
        }
    }
    if (changed) {
        epc_dma_drain(fn->epc);
    }
}

static bool op_bar_access(void *opaque, EpcAccess *a)
{
    EpcFunction *fn = opaque;
    EpcForward *f = NULL;
    uint64_t offset, left;

    WITH_QEMU_LOCK_GUARD(&fn->epc->lock) {
        if (fn->up) {
            f = epc_target_forward(fn->bar[a->region].target, a->offset,
                                   &offset, &left);
        }
    }
    if (!f) {
        return false;
    }
    epc_forward_access(f, offset, MIN(a->count, left), a);
    epc_forward_unref(f);
    return true;
}

/* ---- Interrupts ---- */

static uint32_t op_irq_count(void *opaque, unsigned index)
{
    EpcFunction *fn = opaque;

    QEMU_LOCK_GUARD(&fn->epc->lock);
    switch (index) {
    case VFU_IRQ_INTX:
        return fn->cfg.data[PCI_INTERRUPT_PIN] ? 1 : 0;
    case VFU_IRQ_MSI:
        return epc_config_msi_capable(&fn->cfg);
    case VFU_IRQ_MSIX:
        return epc_config_msix_size(&fn->cfg);
    default:
        return 0;
    }
}

static void op_irq_set(void *opaque, unsigned index, unsigned n, int fd)
{
    EpcFunction *fn = opaque;

    QEMU_LOCK_GUARD(&fn->epc->lock);
    epc_irqs_set(fn, index, n, fd);
    if (index == VFU_IRQ_INTX) {
        fn->intx.masked = false;
        epc_intx_update(fn);
    }
}

static void op_intx_mask(void *opaque, bool masked)
{
    EpcFunction *fn = opaque;

    QEMU_LOCK_GUARD(&fn->epc->lock);
    fn->intx.masked = masked;
    epc_intx_update(fn);
}

/* ---- DMA ---- */

static void warn_unmappable(EpcState *s, Error *err)
{
    if (s->warned_unmappable) {
        error_free(err);
        return;
    }
    s->warned_unmappable = true;
    warn_reportf_err(err, "%s: memory of the host is reached by message, "
                     "which is slow: ", epc_name(s));
}

static int op_dma_map(void *opaque, const VfuDmaMap *map, int fd)
{
    EpcFunction *fn = opaque;
    EpcState *s = fn->epc;
    EpFile *file = NULL;
    Error *err = NULL;
    int ret;

    if (fd >= 0) {
        file = ep_file_new(fd, s->trust_unsealed, &err);
    }
    QEMU_LOCK_GUARD(&s->lock);
    if (err) {
        warn_unmappable(s, err);
    }
    ret = epc_dma_table_add(fn->dma, map, file);
    trace_epc_dma_map(fn->index, map->address, map->size, fd >= 0, ret);
    if (!ret && epc_fn_may_dma(fn)) {
        epc_window_restore(&s->window, fn->index, fn->dma, map->address,
                           map->address + (map->size - 1));
        epc_slow_changed(s);
    }
    return ret;
}

static void op_dma_unmap(void *opaque, uint64_t address, uint64_t size_minus_1)
{
    EpcFunction *fn = opaque;
    EpcState *s = fn->epc;
    uint64_t last = address + size_minus_1;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        trace_epc_dma_unmap(fn->index, address, last);
        if (last < address) {
            last = UINT64_MAX;
        }
        epc_window_revoke(&s->window, fn->index, address, last);
        epc_slow_changed(s);
        epc_dma_table_remove(fn->dma, address, last);
    }
    epc_dma_drain(s);
}

const EpcServerOps epc_server_ops = {
    .region_info = op_region_info,
    .areas = op_areas,
    .io_fds = op_io_fds,
    .region_read = op_region_read,
    .region_write = op_region_write,
    .bar_access = op_bar_access,
    .irq_count = op_irq_count,
    .irq_set = op_irq_set,
    .intx_mask = op_intx_mask,
    .dma_map = op_dma_map,
    .dma_unmap = op_dma_unmap,
    .reset = op_reset,
    .link = op_link,
};
