/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the host allows: the one place that carries out a change of it
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/pci/pci_regs.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/config/write-log.h"
#include "hw/pci-ep/endpoint/dma.h"
#include "hw/pci-ep/endpoint/fn-state.h"
#include "hw/pci-ep/endpoint/host-state.h"
#include "hw/pci-ep/endpoint/irqs.h"
#include "hw/pci-ep/endpoint/mailbox.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/raise.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/trap-area.h"
#include "hw/pci-ep/endpoint/window.h"
#include "hw/pci-ep/trace.h"

/* QemuMutex is not fair, so the others get time to take it. */
#define HOST_STATE_PAUSE_US 200

/* ---- Virtual functions that the host enables or disables ---- */

static void host_state_mark(EpcFunction *fn) EP_REQUIRES(&fn->epc->lock);
static void host_state_mark(EpcFunction *fn)
{
    fn->epc->changes.functions |= BIT(fn->index);
}

/* EPC_FN_PCI_COMMAND, _MSI, _MSI_MASK, _MSIX and _DSTATE */
typedef struct HostStateEnables {
    uint16_t command;
    unsigned msi;           /* vectors, 0: disabled */
    uint32_t msi_mask;
    bool msix, msix_masked;
    unsigned dstate;
} HostStateEnables;

static HostStateEnables host_state_enables(const EpcFunction *fn)
    EP_REQUIRES(&fn->epc->lock);
static HostStateEnables host_state_enables(const EpcFunction *fn)
{
    HostStateEnables e = {
        .command = epc_fn_pci_command(fn),
        .msi = epc_config_msi_enabled(&fn->cfg),
        .msi_mask = epc_config_msi_mask(&fn->cfg),
        .dstate = epc_config_dstate(&fn->cfg),
    };

    e.msix = epc_config_msix_enabled(&fn->cfg, &e.msix_masked);
    return e;
}

/*
 * The driver of the endpoint keeps copies of these registers, so each change of
 * them is an event, also one by a reset that is no event itself.
 */
static void host_state_report_enables(EpcFunction *fn,
                                      const HostStateEnables *before)
    EP_REQUIRES(&fn->epc->lock);
static void host_state_report_enables(EpcFunction *fn,
                                      const HostStateEnables *before)
{
    HostStateEnables now = host_state_enables(fn);

    if (before->command != now.command) {
        epc_fn_event(fn, EPC_FN_EVENT_COMMAND);
    }
    if (before->msi != now.msi || before->msi_mask != now.msi_mask ||
        before->msix != now.msix ||
        before->msix_masked != now.msix_masked) {
        epc_fn_event(fn, EPC_FN_EVENT_MSI);
    }
    if (before->dstate != now.dstate) {
        epc_fn_event(fn, EPC_FN_EVENT_DSTATE);
    }
}

static void host_state_reset_one(EpcFunction *fn, EpcConfigReset kind)
    EP_REQUIRES(&fn->epc->lock);
static void host_state_reset_one(EpcFunction *fn, EpcConfigReset kind)
{
    HostStateEnables before = host_state_enables(fn);

    epc_config_reset(&fn->cfg, kind);
    if (epc_irqs_mask(fn, 0, EPC_MAX_MSIX, true)) {
        epc_fn_event(fn, EPC_FN_EVENT_MSI);
    }
    host_state_report_enables(fn, &before);
    fn->intx.level = false;
    fn->intx.masked = false;
    epc_write_log_clear(&fn->writes);
    epc_trap_function_reset(fn);
    epc_mailbox_function_reset(fn);
    host_state_mark(fn);
}

/* Follows what the host wrote to the SR-IOV capability of function 0. */
static void host_state_update_vfs(EpcState *s) EP_REQUIRES(&s->lock);
static void host_state_update_vfs(EpcState *s)
{
    EpcFunction *pf = &s->fn[0];
    uint32_t state = epc_config_vfs(&pf->cfg);
    uint16_t command[EPC_MAX_FUNCTIONS];
    bool enabled[EPC_MAX_FUNCTIONS];

    EP_LOCK_HELD(&pf->epc->lock);
    if (state == s->vfs_state) {
        return;
    }
    for (unsigned i = s->functions; i < s->nfn; i++) {
        EpcFunction *fn = &s->fn[i];

        EP_LOCK_HELD(&fn->epc->lock);
        command[i] = epc_fn_pci_command(fn);
        enabled[i] = epc_fn_enabled(fn);
    }
    trace_pci_epc_vfs(epc_name(s), state);
    s->vfs_state = state;
    epc_fn_event(pf, EPC_FN_EVENT_VFS);
    for (unsigned i = s->functions; i < s->nfn; i++) {
        EpcFunction *fn = &s->fn[i];

        EP_LOCK_HELD(&fn->epc->lock);
        if (enabled[i] && !epc_fn_enabled(fn)) {
            host_state_reset_one(fn, EPC_CONFIG_RESET_POWER);
        }
        if (command[i] != epc_fn_pci_command(fn)) {
            epc_fn_event(fn, EPC_FN_EVENT_COMMAND);
        }
    }
}

/* ---- Changes ---- */

void epc_host_state_link_changed(EpcFunction *fn)
{
    host_state_mark(fn);
}

void epc_host_state_config_changed(EpcFunction *fn)
{
    host_state_mark(fn);
    if (!fn->index) {
        host_state_update_vfs(fn->epc);
    }
}

void epc_host_state_reset(EpcFunction *fn, EpcConfigReset kind)
{
    host_state_reset_one(fn, kind);
    if (!fn->index) {
        host_state_update_vfs(fn->epc);
    }
}

void epc_host_state_range_added(EpcFunction *fn, uint64_t first, uint64_t last)
{
    if (epc_fn_may_dma(fn)) {
        epc_window_restore(&fn->epc->window, fn->index, first, last);
        fn->epc->changes.restored |= BIT(fn->index);
    }
}

void epc_host_state_range_removed(EpcFunction *fn, uint64_t first,
                                  uint64_t last)
{
    epc_window_revoke(&fn->epc->window, fn->index, first, last);
    fn->epc->changes.lost |= BIT(fn->index);
}

/* ---- Carrying them out ---- */

static void host_state_update_window(EpcFunction *fn)
    EP_REQUIRES(&fn->epc->lock);
static void host_state_update_window(EpcFunction *fn)
{
    EpcWindow *w = &fn->epc->window;

    if (epc_fn_may_dma(fn)) {
        epc_window_restore(w, fn->index, 0, UINT64_MAX);
        fn->epc->changes.restored |= BIT(fn->index);
    } else {
        epc_window_revoke(w, fn->index, 0, UINT64_MAX);
    }
}

void epc_host_state_begin(EpcState *s)
{
    qemu_mutex_lock(&s->lock);
    s->changes = (EpcHostChanges) { };
}

/*
 * Revives maps of @functions (bits) for a turn. Returns whether there are more,
 * and then has left the lock to others for a moment.
 */
static bool host_state_revive(EpcState *s, uint32_t functions)
    EP_REQUIRES(&s->lock);
static bool host_state_revive(EpcState *s, uint32_t functions)
{
    bool more = false;

    for (unsigned i = 0; i < s->nfn && !more; i++) {
        EpcFunction *fn = &s->fn[i];

        EP_LOCK_HELD(&fn->epc->lock);
        more = (functions & BIT(i)) &&
               epc_window_restore_more(&s->window, i, fn->host_memory);
    }
    if (more) {
        qemu_mutex_unlock(&s->lock);
        g_usleep(HOST_STATE_PAUSE_US);
        qemu_mutex_lock(&s->lock);
    }
    return more;
}

/*
 * Carries out what epc_host_state_end() has to, except for the wait. Returns
 * the functions whose bursts the caller has to wait for, as bits.
 */
static uint32_t host_state_apply(EpcState *s) EP_REQUIRES(&s->lock);
static uint32_t host_state_apply(EpcState *s)
{
    const EpcHostChanges c = s->changes;
    uint32_t restored;

    for (unsigned i = 0; i < s->nfn && c.functions; i++) {
        EpcFunction *fn = &s->fn[i];

        EP_LOCK_HELD(&fn->epc->lock);
        if (c.functions & BIT(i)) {
            epc_irqs_changed(fn);
            host_state_update_window(fn);
            epc_intx_update(fn);
        }
    }
    restored = s->changes.restored;
    while (restored && host_state_revive(s, restored)) {
        /* Others had the lock, and may have taken the memory away. */
    }
    return c.functions | c.lost;
}

void epc_host_state_end(EpcState *s)
{
    uint32_t functions = host_state_apply(s);

    qemu_mutex_unlock(&s->lock);
    /* The worker takes the lock in each burst, so this waits without it. */
    if (functions) {
        epc_dma_drain(s, functions);
    }
}

void epc_host_state_end_early(EpcState *s)
{
    host_state_apply(s);
    qemu_mutex_unlock(&s->lock);
}
