/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-raise: interrupts of a function to the host
 *
 * MSI and MSI-X are eventfds the host passed, one per vector; masking is done
 * at the host.  INTx is a level told by message, or an eventfd that is
 * signalled once and then masked until a plain vfio-user client unmasks it.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "hw/pci-ep/ep-signal.h"
#include "hw/pci-ep/pci-epc.h"
#include "trace.h"

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

void epc_eventfd_unref(EpcEventfd *e)
{
    if (--e->refs == 0) {
        event_notifier_cleanup(&e->n);
        g_free(e);
    }
}

static EpcEventfd *eventfd_new(int fd)
{
    EpcEventfd *e = g_new0(EpcEventfd, 1);

    event_notifier_init_fd(&e->n, fd);
    e->refs = 1;
    return e;
}

static void drop_eventfd(EpcEventfd **slot)
{
    EpcEventfd *e = *slot;

    if (e) {
        *slot = NULL;
        if (e->refs > 1) {
            ep_signal_take(event_notifier_get_fd(&e->n));
        }
        epc_eventfd_unref(e);
    }
}

void epc_irqs_init(EpcIrqs *irqs)
{
    *irqs = (EpcIrqs) { .intx = -1 };
}

void epc_irqs_clear(EpcFunction *fn)
{
    EpcIrqs *irqs = &fn->irqs;

    close_fd(&irqs->intx);
    for (unsigned n = 0; n < ARRAY_SIZE(irqs->msi); n++) {
        drop_eventfd(&irqs->msi[n]);
    }
    for (unsigned n = 0; n < ARRAY_SIZE(irqs->msix); n++) {
        drop_eventfd(&irqs->msix[n]);
    }
    epc_ioeventfd_changed(fn);
}

static EpcEventfd **irq_slot(EpcIrqs *irqs, unsigned index, unsigned n)
{
    if (index == VFU_IRQ_MSI && n < ARRAY_SIZE(irqs->msi)) {
        return &irqs->msi[n];
    }
    if (index == VFU_IRQ_MSIX && n < ARRAY_SIZE(irqs->msix)) {
        return &irqs->msix[n];
    }
    return NULL;
}

void epc_irqs_set(EpcFunction *fn, unsigned index, unsigned n, int fd)
{
    EpcEventfd **slot = irq_slot(&fn->irqs, index, n);

    if (slot) {
        drop_eventfd(slot);
        *slot = fd >= 0 ? eventfd_new(fd) : NULL;
        epc_ioeventfd_changed(fn);
    } else if (index == VFU_IRQ_INTX && n == 0) {
        close_fd(&fn->irqs.intx);
        fn->irqs.intx = fd;
    } else if (fd >= 0) {
        close(fd);
    }
}

static void raised(EpcFunction *fn, const char *kind, unsigned n, bool ok)
{
    fn->raise_dropped += !ok;
    fn->epc->slow_interrupts += ok;
    trace_epc_raise(fn->index, kind, n, ok);
}

static bool signal_host(const EpcEventfd *e)
{
    return e && ep_signal(event_notifier_get_fd(&e->n));
}

void epc_raise_msi(EpcFunction *fn, unsigned n)
{
    QEMU_LOCK_GUARD(&fn->epc->lock);
    raised(fn, "MSI", n, epc_fn_may_dma(fn) &&
           n < epc_config_msi_enabled(&fn->cfg) &&
           signal_host(fn->irqs.msi[n]));
}

void epc_raise_msix(EpcFunction *fn, unsigned n)
{
    bool masked;

    QEMU_LOCK_GUARD(&fn->epc->lock);
    raised(fn, "MSI-X", n, epc_fn_may_dma(fn) &&
           epc_config_msix_enabled(&fn->cfg, &masked) &&
           n < epc_config_msix_size(&fn->cfg) &&
           signal_host(fn->irqs.msix[n]));
}

/* Is INTx a way to interrupt the host now?  Lock held. */
static bool intx_enabled(const EpcFunction *fn)
{
    return fn->up && fn->cfg.data[PCI_INTERRUPT_PIN] &&
           !(epc_config_command(&fn->cfg) & PCI_COMMAND_INTX_DISABLE);
}

void epc_intx_update(EpcFunction *fn)
{
    EpcIntx *x = &fn->intx;
    bool level = x->level && intx_enabled(fn);

    if (level && fn->irqs.intx >= 0 && !x->masked) {
        x->masked = true;
        ep_signal(fn->irqs.intx);
    }
    if (level != x->told) {
        bool sent = epc_server_intx(fn->server, level);

        x->told = level;
        trace_epc_intx(fn->index, level, sent);
    }
}

void epc_raise_intx(EpcFunction *fn, bool level)
{
    QEMU_LOCK_GUARD(&fn->epc->lock);
    if (level && !intx_enabled(fn)) {
        raised(fn, "INTx", level, false);
        return;
    }
    fn->intx.level = level;
    raised(fn, "INTx", level, true);
    epc_intx_update(fn);
}
