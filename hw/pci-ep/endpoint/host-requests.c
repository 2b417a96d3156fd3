/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host-requests: requests of the host to a function, about regions, interrupts
 * and DMA
 *
 * These are EpcServerOps. The server calls them in the reader thread of the
 * function, without the BQL; each takes EpcState.lock.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qapi/error.h"
#include "hw/pci/pci_regs.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/config/write-log.h"
#include "hw/pci-ep/endpoint/bars.h"
#include "hw/pci-ep/endpoint/fn-state.h"
#include "hw/pci-ep/endpoint/forward.h"
#include "hw/pci-ep/endpoint/host-memory.h"
#include "hw/pci-ep/endpoint/host-requests.h"
#include "hw/pci-ep/endpoint/host-state.h"
#include "hw/pci-ep/endpoint/irqs.h"
#include "hw/pci-ep/endpoint/link.h"
#include "hw/pci-ep/endpoint/mailbox.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/raise.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/target.h"
#include "hw/pci-ep/endpoint/trap-area.h"
#include "hw/pci-ep/shared/peer-mem.h"
#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/trace.h"

/* ---- Regions ---- */

static void host_region_info(void *opaque, unsigned region, EpcRegion *r)
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

static unsigned host_areas(void *opaque, unsigned region, EpcArea *area,
                           unsigned max)
{
    EpcFunction *fn = opaque;

    QEMU_LOCK_GUARD(&fn->epc->lock);
    return epc_target_areas(fn->bar[region].target, area, max);
}

static unsigned host_io_fds(void *opaque, unsigned region, EpcIoFd *io,
                            unsigned max)
{
    EpcFunction *fn = opaque;

    QEMU_LOCK_GUARD(&fn->epc->lock);
    return epc_target_io_fds(fn->bar[region].target, fn, io, max);
}

/* Records the write of one register of an added capability. */
static void host_log_write(void *opaque, unsigned offset, unsigned size,
                           uint32_t value)
{
    EpcFunction *fn = opaque;

    EP_LOCK_HELD(&fn->epc->lock);   /* by host_access() */
    trace_pci_epc_config_write(epc_name(fn->epc), fn->index, offset, size,
                               value);
    epc_write_log_add(&fn->writes, offset, size, value);
    epc_fn_event(fn, EPC_FN_EVENT_CONFIG);
}

static void host_write_config(EpcFunction *fn, uint64_t offset, const void *buf,
                              uint32_t count)
    EP_REQUIRES(&fn->epc->lock);
static void host_write_config(EpcFunction *fn, uint64_t offset, const void *buf,
                              uint32_t count)
{
    uint32_t events = 0;

    if (offset > UINT32_MAX || !epc_fn_enabled(fn) ||
        !epc_config_write(&fn->cfg, offset, buf, count, &events)) {
        return;
    }
    epc_mailbox_config_write(fn, offset, buf, count);
    epc_config_added_writes(&fn->cfg, offset, buf, count, host_log_write, fn);
    if (events) {
        if (events & EPC_FN_EVENT_FLR) {
            epc_host_state_reset(fn, EPC_CONFIG_RESET_FLR);
        } else {
            epc_host_state_config_changed(fn);
        }
        epc_fn_event(fn, events);
    }
}

/* Carries out an access to the configuration space, unless it ends outside. */
static void host_access_config(EpcFunction *fn, EpcAccess *a)
    EP_REQUIRES(&fn->epc->lock);
static void host_access_config(EpcFunction *fn, EpcAccess *a)
{
    if (a->is_write) {
        host_write_config(fn, a->offset, a->data, a->count);
    } else if (a->offset <= UINT32_MAX &&
               epc_config_read(&fn->cfg, a->offset, a->data, a->count)) {
        epc_mailbox_config_read(fn, a->offset, a->data, a->count);
    }
}

static void host_access(void *opaque, EpcAccess *a)
{
    EpcFunction *fn = opaque;
    EpcTargetElsewhere to = { };

    epc_host_state_begin(fn->epc);
    if (a->region <= VFU_REGION_BAR5) {
        epc_bar_access(fn, a, &to);
    } else if (a->region == VFU_REGION_CONFIG) {
        host_access_config(fn, a);
    }
    if (to.forward) {
        /* Under the lock: a retarget finds all that its BAR has let through. */
        epc_forward_add(to.forward, fn, to.offset, to.len, a);
    } else if (to.trap) {
        epc_trap_access(fn, a);
    }
    epc_host_state_end(fn->epc);
    if (to.forward) {
        epc_forward_run(to.forward);
        epc_forward_unref(to.forward);
    } else if (!to.trap) {
        epc_access_free(a);
    }
}

/* ---- Interrupts ---- */

static uint32_t host_irq_count(void *opaque, unsigned index)
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

static void host_set_irqs(void *opaque, unsigned index, unsigned first,
                          unsigned count, const int *fds)
{
    EpcFunction *fn = opaque;

    QEMU_LOCK_GUARD(&fn->epc->lock);
    for (unsigned i = 0; i < count; i++) {
        epc_irqs_set(fn, index, first + i, fds ? fds[i] : -1);
    }
    if (index == VFU_IRQ_INTX) {
        fn->intx.masked = false;
        epc_intx_update(fn);
    }
}

static void host_mask_intx(void *opaque, bool masked)
{
    EpcFunction *fn = opaque;

    QEMU_LOCK_GUARD(&fn->epc->lock);
    fn->intx.masked = masked;
    epc_intx_update(fn);
}

static void host_mask_msix(void *opaque, unsigned first, unsigned count,
                           bool masked)
{
    EpcFunction *fn = opaque;

    QEMU_LOCK_GUARD(&fn->epc->lock);
    trace_pci_epc_msix_mask(epc_name(fn->epc), fn->index, first, count,
                            masked);
    if (epc_irqs_mask(fn, first, count, masked)) {
        epc_fn_event(fn, EPC_FN_EVENT_MSI);
    }
}

/* ---- DMA ---- */

/*
 * A file of the host's memory is not mapped. @by_message: the client takes DMA
 * by message instead. Warns once of either case.
 */
static void host_warn_unmappable(EpcState *s, bool by_message, Error *err)
    EP_REQUIRES(&s->lock);
static void host_warn_unmappable(EpcState *s, bool by_message, Error *err)
{
    if (s->warned_unmappable[by_message]) {
        error_free(err);
        return;
    }
    s->warned_unmappable[by_message] = true;
    warn_reportf_err(err, "%s: memory of the host is %s: ", epc_name(s),
                     by_message ? "reached by message, which is slow" :
                     "not reachable, since this host takes no DMA by message");
}

static int host_dma_map(void *opaque, const VfuDmaMap *map, int fd)
{
    EpcFunction *fn = opaque;
    EpcState *s = fn->epc;
    EpFile *file = NULL;
    Error *err = NULL;
    int ret;

    if (fd >= 0) {
        file = ep_file_new(fd, s->trust_unsealed, &err);
    }
    epc_host_state_begin(s);
    if (err) {
        host_warn_unmappable(s, epc_server_takes_dma(fn->server), err);
    }
    ret = epc_host_memory_add(fn->host_memory, map, file);
    if (!ret) {
        epc_host_state_range_added(fn, map->address,
                                   map->address + (map->size - 1));
    }
    epc_host_state_end(s);
    return ret;
}

static void host_dma_unmap(void *opaque, uint64_t address,
                           uint64_t size_minus_1)
{
    EpcFunction *fn = opaque;
    EpcState *s = fn->epc;
    uint64_t last = address + size_minus_1;

    if (last < address) {
        last = UINT64_MAX;
    }
    epc_host_state_begin(s);
    epc_host_state_range_removed(fn, address, last);
    epc_host_memory_remove(fn->host_memory, address, last);
    epc_host_state_end(s);
}

const EpcServerOps epc_server_ops = {
    .region_info = host_region_info,
    .areas = host_areas,
    .io_fds = host_io_fds,
    .access = host_access,
    .irq_count = host_irq_count,
    .irqs_set = host_set_irqs,
    .intx_mask = host_mask_intx,
    .msix_mask = host_mask_msix,
    .dma_map = host_dma_map,
    .dma_unmap = host_dma_unmap,
    .reset = epc_link_reset,
    .link = epc_link_changed,
};
