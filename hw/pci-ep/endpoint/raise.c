/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts of a function to the host
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/pci/pci_regs.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/endpoint/faults.h"
#include "hw/pci-ep/endpoint/fn-state.h"
#include "hw/pci-ep/endpoint/forward.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/raise.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/server/server.h"
#include "hw/pci-ep/shared/eventfd.h"
#include "hw/pci-ep/trace.h"

static void raise_count(EpcFunction *fn, const char *kind, unsigned n,
                        bool delivered) EP_REQUIRES(&fn->epc->lock);
static void raise_count(EpcFunction *fn, const char *kind, unsigned n,
                        bool delivered)
{
    fn->raise_dropped += !delivered;
    fn->epc->slow_interrupts += delivered;
    trace_pci_epc_raise(epc_name(fn->epc), fn->index, kind, n, delivered);
}

static bool raise_signal(EpcFunction *fn, EpcEventfd *e)
    EP_REQUIRES(&fn->epc->lock);
static bool raise_signal(EpcFunction *fn, EpcEventfd *e)
{
    if (!e || !ep_eventfd_signal(event_notifier_get_fd(&e->n))) {
        return false;
    }
    epc_irqs_used(fn, e);
    return true;
}

static bool raise_is_msix(unsigned raise)
{
    return raise < EPC_MAX_MSIX;
}

static unsigned raise_vector(unsigned raise)
{
    return raise_is_msix(raise) ? raise : raise - EPC_MAX_MSIX;
}

/* The eventfd of the raise, if the host allows it now and has passed one */
static EpcEventfd *raise_allowed(EpcFunction *fn, unsigned raise)
    EP_REQUIRES(&fn->epc->lock);
static EpcEventfd *raise_allowed(EpcFunction *fn, unsigned raise)
{
    unsigned n = raise_vector(raise);
    bool masked;

    if (!epc_fn_may_dma(fn)) {
        return NULL;
    }
    if (raise_is_msix(raise)) {
        return epc_config_msix_enabled(&fn->cfg, &masked) &&
               n < epc_config_msix_size(&fn->cfg) ? fn->irqs.msix[n] : NULL;
    }
    return n < epc_config_msi_enabled(&fn->cfg) ? fn->irqs.msi[n] : NULL;
}

static void raise_deliver(EpcFunction *fn, unsigned raise)
    EP_REQUIRES(&fn->epc->lock);
static void raise_deliver(EpcFunction *fn, unsigned raise)
{
    raise_count(fn, raise_is_msix(raise) ? "MSI-X" : "MSI", raise_vector(raise),
                raise_signal(fn, raise_allowed(fn, raise)));
}

/* Requested faults. Returns whether the raise is lost. */
static bool raise_fault(EpcFunction *fn, unsigned raise)
    EP_REQUIRES(&fn->epc->lock);
static bool raise_fault(EpcFunction *fn, unsigned raise)
{
    unsigned n = raise_vector(raise);
    EpcState *s = fn->epc;
    EpFault fault;

    if (!epc_faults_armed(s, EPC_FAULTS_IRQ) || !raise_allowed(fn, raise)) {
        return false;
    }
    if (epc_faults_hit(s, EPC_FAULT_IRQ_LOST, fn->index, n, &fault)) {
        return true;
    }
    if (epc_faults_hit(s, EPC_FAULT_IRQ_DOUBLE, fn->index, n, &fault) &&
        !epc_faults_repeat(s, fn->index, raise, fault.value[EP_FAULT_US])) {
        raise_deliver(fn, raise);
    }
    return false;
}

static void raise_now(EpcFunction *fn, unsigned raise)
    EP_REQUIRES(&fn->epc->lock);
static void raise_now(EpcFunction *fn, unsigned raise)
{
    if (!raise_fault(fn, raise)) {
        raise_deliver(fn, raise);
    }
}

void epc_raise_now(EpcFunction *fn, unsigned raise)
{
    QEMU_LOCK_GUARD(&fn->epc->lock);
    raise_now(fn, raise);
}

void epc_raise_message(EpcFunction *fn, unsigned n)
{
    bool masked;

    raise_now(fn, epc_config_msix_enabled(&fn->cfg, &masked) ?
                  n : EPC_MAX_MSIX + n);
}

void epc_raise_again(EpcFunction *fn, unsigned raise)
{
    QEMU_LOCK_GUARD(&fn->epc->lock);
    if (raise_allowed(fn, raise)) {
        raise_deliver(fn, raise);
    }
}

void epc_raise_msi(EpcFunction *fn, unsigned n)
{
    if (!epc_forward_hold_raise(fn, EPC_MAX_MSIX + n)) {
        epc_raise_now(fn, EPC_MAX_MSIX + n);
    }
}

void epc_raise_msix(EpcFunction *fn, unsigned n)
{
    if (!epc_forward_hold_raise(fn, n)) {
        epc_raise_now(fn, n);
    }
}

/*
 * The value of Interrupt Status. Together with Interrupt Disable it says
 * whether the function asserts its pin (PCI Local Bus 3.0, 6.2.3), so it is
 * clear while the function must not use the pin: with MSI or MSI-X enabled
 * (6.8.3.3), and outside of D0 (PCI Express Base 5.0, 5.3.1.4.1).
 */
static bool raise_intx_pending(const EpcFunction *fn)
    EP_REQUIRES(&fn->epc->lock);
static bool raise_intx_pending(const EpcFunction *fn)
{
    bool masked;

    return fn->intx.level && epc_fn_usable(fn) &&
           !epc_config_dstate(&fn->cfg) &&
           !epc_config_msi_enabled(&fn->cfg) &&
           !epc_config_msix_enabled(&fn->cfg, &masked);
}

void epc_intx_update(EpcFunction *fn)
{
    EpcIntx *x = &fn->intx;
    bool pending = raise_intx_pending(fn);
    bool level = pending && !(epc_config_command(&fn->cfg) &
                              PCI_COMMAND_INTX_DISABLE);

    epc_config_set_intx(&fn->cfg, pending);

    if (level && fn->irqs.intx >= 0 && !x->masked) {
        x->masked = true;
        ep_eventfd_signal(fn->irqs.intx);
    }
    if (level != x->sent_level) {
        bool sent = epc_server_intx(fn->server, level);

        x->sent_level = level;
        trace_pci_epc_intx(epc_name(fn->epc), fn->index, level, sent);
    }
}

void epc_raise_intx_now(EpcFunction *fn, bool level)
{
    EpFault fault;

    QEMU_LOCK_GUARD(&fn->epc->lock);
    if (level && !(epc_fn_usable(fn) && fn->cfg.data[PCI_INTERRUPT_PIN])) {
        raise_count(fn, "INTx", level, false);
        return;
    }
    if (level && !fn->intx.level &&
        epc_faults_hit(fn->epc, EPC_FAULT_IRQ_LOST, fn->index, 0, &fault)) {
        return;
    }
    fn->intx.level = level;
    raise_count(fn, "INTx", level, true);
    epc_intx_update(fn);
}

void epc_raise_intx(EpcFunction *fn, bool level)
{
    if (!epc_forward_hold_intx(fn, level)) {
        epc_raise_intx_now(fn, level);
    }
}
