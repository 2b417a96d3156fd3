/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-requests: what the host asks of a function: regions, interrupts, DMA
 *
 * Runs on the reader thread of the server, without the BQL.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "hw/pci/pci_regs.h"
#include "hw/pci-ep/pci-epc.h"
#include "trace.h"

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
        if (fn->up && epc_fn_enabled(fn)) {
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
    .reset = epc_link_reset,
    .link = epc_link_changed,
};
