/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-func: state of one endpoint function, and its commands
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "hw/pci-ep/pci-epc.h"
#include "trace.h"

static void init_config(EpcFunction *fn)
{
    EpcState *s = fn->epc;

    if (epc_fn_is_vf(fn)) {
        epc_config_init_vf(&fn->cfg, s->speed, s->width);
        return;
    }
    epc_config_init(&fn->cfg, s->speed, s->width);
    if (!fn->index && s->vfs) {
        epc_config_add_sriov(&fn->cfg, s->functions);
    }
}

void epc_fn_init(EpcState *s, EpcFunction *fn, unsigned index)
{
    fn->epc = s;
    fn->index = index;
    fn->dma = epc_dma_table_new();
    epc_irqs_init(&fn->irqs);
    init_config(fn);
}

static void clear_targets(EpcFunction *fn)
{
    for (unsigned n = 0; n < EPC_NUM_BARS; n++) {
        epc_target_free(fn->bar[n].target);
    }
}

void epc_fn_destroy(EpcFunction *fn)
{
    clear_targets(fn);
    epc_ioeventfd_free(fn);
    epc_dma_table_free(fn->dma);
}

void epc_fn_clear(EpcFunction *fn)
{
    EpcFunction keep = {
        .epc = fn->epc,
        .index = fn->index,
        .server = fn->server,
        .dma = fn->dma,
        .io = fn->io,
    };

    clear_targets(fn);
    epc_irqs_clear(fn);
    keep.io_stale = fn->io_stale;
    epc_dma_table_clear(fn->dma);
    *fn = keep;
    epc_irqs_init(&fn->irqs);
    init_config(fn);
}

bool epc_fn_may_dma(const EpcFunction *fn)
{
    return epc_fn_usable(fn) && epc_fn_enabled(fn) &&
           (epc_config_command(&fn->cfg) & PCI_COMMAND_MASTER) &&
           epc_config_dstate(&fn->cfg) == 0;
}

void epc_fn_update_maps(EpcFunction *fn)
{
    EpcWindow *w = &fn->epc->window;

    epc_ioeventfd_changed(fn);
    if (epc_fn_may_dma(fn)) {
        epc_window_restore(w, fn->index, fn->dma, 0, UINT64_MAX);
    } else {
        epc_window_revoke(w, fn->index, 0, UINT64_MAX);
    }
    epc_slow_changed(fn->epc);
}

void epc_fn_changed(EpcFunction *fn, bool reset)
{
    if (reset) {
        fn->intx.level = false;
        fn->intx.masked = false;
        epc_writes_clear(&fn->writes);
    }
    epc_fn_update_maps(fn);
    epc_intx_update(fn);
    if (!fn->index) {
        epc_vfs_update(fn->epc);
    }
}

void epc_fn_reset(EpcFunction *fn)
{
    epc_config_reset(&fn->cfg);
    epc_fn_changed(fn, true);
}

/* Does MSI-X table or PBA at @offset with @len bytes fit the BAR? */
static bool fits_bar(const EpcFunction *fn, uint64_t offset, uint64_t len)
{
    uint64_t size = epc_bar_size(fn, fn->msix_bar);

    return offset <= size && len <= size - offset;
}

static uint64_t msix_table_size(uint32_t count)
{
    return count * 16ull;
}

static uint64_t msix_pba_size(uint32_t count)
{
    return DIV_ROUND_UP(count, 64) * 8ull;
}

uint32_t epc_fn_startable(const EpcFunction *fn)
{
    uint32_t n = fn->msix_count;

    if (!epc_fn_is_vf(fn) && epc_config_empty(&fn->cfg)) {
        return EPC_STATUS_BAD_STATE;
    }
    if (n && !fits_bar(fn, fn->msix_table,
                       msix_table_size(n) + msix_pba_size(n))) {
        return EPC_STATUS_BAD_ARG;
    }
    return EPC_STATUS_OK;
}

/* ---- Commands: each returns its status, and has stored it if BUSY ---- */

static bool describable(EpcState *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return epc_link_idle(s);
}

static uint32_t cmd_set_header(EpcFunction *fn)
{
    EpcHeader h = {
        .vendor = fn->id,
        .device = fn->id >> 16,
        .subsys_vendor = fn->subsys,
        .subsys = fn->subsys >> 16,
        .class_rev = fn->class_rev,
        .int_pin = fn->int_pin,
    };

    if (epc_fn_is_vf(fn) ? fn->index != fn->epc->functions :
                           h.vendor == 0xffff || fn->int_pin > 4) {
        return EPC_STATUS_BAD_ARG;
    }
    if (!describable(fn->epc)) {
        return EPC_STATUS_BAD_STATE;
    }
    QEMU_LOCK_GUARD(&fn->epc->lock);
    epc_config_set_header(&fn->cfg, &h);
    return EPC_STATUS_OK;
}

/* Where it would have been refused; a map does not say what it is for. */
static void tell_fault(EpcFunction *fn)
{
    uint64_t hole;

    if (epc_dma_table_hole(fn->dma, fn->addr, fn->addr + (fn->size - 1),
                           &hole)) {
        epc_server_fault(fn->server, hole, false);
    }
}

/* Lock held. */
static uint32_t map_window(EpcFunction *fn)
{
    EpcState *s = fn->epc;
    uint32_t status;

    if (!epc_window_map_valid(&s->window, fn->index, fn->offset, fn->addr,
                              fn->size)) {
        return EPC_STATUS_BAD_ARG;
    }
    if (!epc_fn_may_dma(fn)) {
        epc_window_unmap(&s->window, fn->index, fn->offset);
        return epc_fn_usable(fn) ? EPC_STATUS_NOT_MAPPED : EPC_STATUS_NO_LINK;
    }
    status = epc_window_map(&s->window, fn->index, fn->dma, fn->offset,
                            fn->addr, fn->size);
    if (status == EPC_STATUS_NOT_MAPPED) {
        tell_fault(fn);
    }
    return status;
}

static uint32_t cmd_map(EpcFunction *fn)
{
    EpcState *s = fn->epc;
    uint32_t status;

    QEMU_LOCK_GUARD(&s->lock);
    status = map_window(fn);
    if (status == EPC_STATUS_BUSY) {
        fn->status = status;
        fn->map_waits = true;
    }
    epc_slow_changed(s);
    return status;
}

static uint32_t cmd_unmap(EpcFunction *fn)
{
    QEMU_LOCK_GUARD(&fn->epc->lock);
    epc_window_unmap(&fn->epc->window, fn->index, fn->offset);
    epc_slow_changed(fn->epc);
    return EPC_STATUS_OK;
}

static uint32_t cmd_set_msi(EpcFunction *fn)
{
    if (fn->count > EPC_MAX_MSI) {
        return EPC_STATUS_BAD_ARG;
    }
    if (!describable(fn->epc)) {
        return EPC_STATUS_BAD_STATE;
    }
    QEMU_LOCK_GUARD(&fn->epc->lock);
    epc_config_set_msi(&fn->cfg, fn->count);
    return EPC_STATUS_OK;
}

static uint32_t cmd_set_msix(EpcFunction *fn)
{
    uint32_t n = fn->count;
    uint32_t pba;

    if (n > EPC_MAX_MSIX ||
        (n && (fn->bar_index >= EPC_NUM_BARS || (fn->offset & 7) ||
               fn->offset > UINT32_MAX - msix_table_size(n) -
                            msix_pba_size(n)))) {
        return EPC_STATUS_BAD_ARG;
    }
    if (!describable(fn->epc)) {
        return EPC_STATUS_BAD_STATE;
    }
    QEMU_LOCK_GUARD(&fn->epc->lock);
    fn->msix_count = n;
    fn->msix_bar = n ? fn->bar_index : 0;
    fn->msix_table = n ? fn->offset : 0;
    pba = fn->msix_table + msix_table_size(n);
    epc_config_set_msix(&fn->cfg, n, fn->msix_bar, fn->msix_table, pba);
    return EPC_STATUS_OK;
}

static bool is_sriov(uint32_t cap_id)
{
    return (cap_id & EPC_CAP_EXT) &&
           (cap_id & EPC_CAP_ID_MASK) == PCI_EXT_CAP_ID_SRIOV;
}

static uint32_t cmd_add_cap(EpcFunction *fn)
{
    unsigned at;

    if (!epc_config_cap_valid(fn->cap_id, fn->size) ||
        (fn->epc->vfs && is_sriov(fn->cap_id))) {
        return EPC_STATUS_BAD_ARG;
    }
    if (!describable(fn->epc)) {
        return EPC_STATUS_BAD_STATE;
    }
    QEMU_LOCK_GUARD(&fn->epc->lock);
    at = epc_config_add_cap(&fn->cfg, fn->cap_id, fn->size);
    if (!at) {
        return EPC_STATUS_NO_SPACE;
    }
    fn->cap_offset = at;
    return EPC_STATUS_OK;
}

static uint32_t cmd_write_config(EpcFunction *fn)
{
    QEMU_LOCK_GUARD(&fn->epc->lock);
    return epc_config_set_register(&fn->cfg, fn->offset, fn->size, fn->value,
                                   fn->wmask) ?
           EPC_STATUS_OK : EPC_STATUS_BAD_ARG;
}

static uint32_t cmd_remove(EpcFunction *fn)
{
    EpcState *s = fn->epc;

    if (!describable(s)) {
        return EPC_STATUS_BAD_STATE;
    }
    QEMU_LOCK_GUARD(&s->lock);
    clear_targets(fn);
    memset(fn->bar, 0, sizeof(fn->bar));
    fn->msix_count = fn->msix_bar = fn->msix_table = 0;
    epc_window_forget(&s->window, fn->index);
    epc_slow_changed(s);
    init_config(fn);
    epc_writes_clear(&fn->writes);
    fn->cap_offset = 0;
    return EPC_STATUS_OK;
}

static uint32_t run_command(EpcFunction *fn, uint32_t cmd)
{
    switch (cmd) {
    case EPC_CMD_SET_HEADER:
        return cmd_set_header(fn);
    case EPC_CMD_SET_BAR:
        return epc_bar_set(fn);
    case EPC_CMD_CLEAR_BAR:
        return epc_bar_clear(fn);
    case EPC_CMD_MAP:
        return cmd_map(fn);
    case EPC_CMD_UNMAP:
        return cmd_unmap(fn);
    case EPC_CMD_SET_MSI:
        return cmd_set_msi(fn);
    case EPC_CMD_SET_MSIX:
        return cmd_set_msix(fn);
    case EPC_CMD_SET_AREAS:
        return epc_bar_set_areas(fn);
    case EPC_CMD_ADD_CAP:
        return cmd_add_cap(fn);
    case EPC_CMD_WRITE_CONFIG:
        return cmd_write_config(fn);
    case EPC_CMD_REMOVE:
        return cmd_remove(fn);
    default:
        return EPC_STATUS_BAD_CMD;
    }
}

void epc_fn_command(EpcFunction *fn, uint32_t cmd)
{
    EpcState *s = fn->epc;
    uint32_t status;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (fn->status == EPC_STATUS_BUSY) {
            s->bad_access++;
            return;
        }
        fn->cmd = cmd;
    }
    status = run_command(fn, cmd);
    trace_epc_command(fn->index, cmd, status);
    if (status != EPC_STATUS_BUSY) {
        QEMU_LOCK_GUARD(&s->lock);
        fn->status = status;
    }
}
