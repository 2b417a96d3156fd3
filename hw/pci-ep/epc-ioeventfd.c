/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-ioeventfd: raises that KVM signals itself
 *
 * While a raise of a vector is allowed its register is an ioeventfd on the
 * eventfd of the host; otherwise the write arrives in epc-raise.c, which drops
 * and counts it.  What is allowed changes in reader threads, but ioeventfds
 * need the BQL: so a bottom half brings them up to date, or whoever comes first
 * to show the guest what has changed.
 *
 * Until then a raise may signal an eventfd that the host has replaced.  Its
 * count was taken when it was replaced, so that what is found there later is
 * such a raise, and is repeated.
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "hw/pci-ep/ep-signal.h"
#include "hw/pci-ep/pci-epc.h"
#include "system/kvm.h"
#include "trace.h"

/* By register: MSI-X, then MSI */
#define REGS (EPC_MAX_MSIX + EPC_MAX_MSI)

struct EpcIoEventfds {
    EpcEventfd *on[REGS];       /* a reference each */
    EpcEventfd *want[REGS];     /* while it is brought up to date */
    unsigned long *again;       /* raises to be repeated, by register */
};

bool epc_ioeventfd_wanted(OnOffAuto prop)
{
    return prop == ON_OFF_AUTO_AUTO ? kvm_enabled() : prop == ON_OFF_AUTO_ON;
}

void epc_ioeventfd_changed(EpcFunction *fn)
{
    EpcState *s = fn->epc;

    if (s->ioeventfd) {
        fn->io_stale = true;
        qatomic_set(&s->io_stale, true);
        qemu_bh_schedule(s->bh);
    }
}

/* Lock held. */
static void find_wanted(EpcFunction *fn, EpcIoEventfds *io)
{
    bool masked;
    unsigned msix = 0, msi = 0;

    if (epc_fn_may_dma(fn)) {
        msi = epc_config_msi_enabled(&fn->cfg);
        if (epc_config_msix_enabled(&fn->cfg, &masked)) {
            msix = epc_config_msix_size(&fn->cfg);
        }
    }
    for (unsigned i = 0; i < REGS; i++) {
        EpcEventfd *e = NULL;

        if (i < EPC_MAX_MSIX) {
            e = i < msix ? fn->irqs.msix[i] : NULL;
        } else if (i - EPC_MAX_MSIX < msi) {
            e = fn->irqs.msi[i - EPC_MAX_MSIX];
        }
        io->want[i] = e;
        if (e && e != io->on[i]) {
            e->refs++;
        }
    }
}

static hwaddr reg_address(const EpcFunction *fn, unsigned i)
{
    return EPC_RAISE_BASE + fn->index * EPC_RAISE_STRIDE +
           (i < EPC_MAX_MSIX ? EPC_RAISE_MSIX(i) :
                               EPC_RAISE_MSI(i - EPC_MAX_MSIX));
}

/*
 * In two transactions, since KVM refuses two at one address and a transaction
 * does not remove before it adds.
 */
static void switch_over(EpcFunction *fn, EpcIoEventfds *io)
{
    MemoryRegion *mr = &fn->epc->regs;

    memory_region_transaction_begin();
    for (unsigned i = 0; i < REGS; i++) {
        if (io->on[i] && io->on[i] != io->want[i]) {
            memory_region_del_eventfd(mr, reg_address(fn, i), 4, false, 0,
                                      &io->on[i]->n);
        }
    }
    memory_region_transaction_commit();
    memory_region_transaction_begin();
    for (unsigned i = 0; i < REGS; i++) {
        if (io->want[i] && io->want[i] != io->on[i]) {
            memory_region_add_eventfd(mr, reg_address(fn, i), 4, false, 0,
                                      &io->want[i]->n);
        }
    }
    memory_region_transaction_commit();
}

/* Lock held.  Returns how many registers are ioeventfds. */
static unsigned release_old(EpcIoEventfds *io)
{
    unsigned n = 0;

    for (unsigned i = 0; i < REGS; i++) {
        EpcEventfd *old = io->on[i];

        if (old && old != io->want[i]) {
            if (old->refs == 1 &&
                ep_signal_take(event_notifier_get_fd(&old->n))) {
                set_bit(i, io->again);
            }
            epc_eventfd_unref(old);
        }
        io->on[i] = io->want[i];
        n += !!io->on[i];
    }
    return n;
}

static void repeat_raises(EpcFunction *fn, EpcIoEventfds *io)
{
    unsigned i;

    while ((i = find_first_bit(io->again, REGS)) < REGS) {
        clear_bit(i, io->again);
        if (i < EPC_MAX_MSIX) {
            epc_raise_msix(fn, i);
        } else {
            epc_raise_msi(fn, i - EPC_MAX_MSIX);
        }
    }
}

static void update_function(EpcFunction *fn)
{
    EpcIoEventfds *io = fn->io;
    unsigned n;

    if (!io) {
        io = fn->io = g_new0(EpcIoEventfds, 1);
        io->again = bitmap_new(REGS);
    }
    WITH_QEMU_LOCK_GUARD(&fn->epc->lock) {
        if (!fn->io_stale) {
            return;
        }
        fn->io_stale = false;
        find_wanted(fn, io);
    }
    /* Others look at memory transactions, and they may wait for our threads */
    switch_over(fn, io);
    WITH_QEMU_LOCK_GUARD(&fn->epc->lock) {
        n = release_old(io);
    }
    trace_epc_ioeventfd(fn->index, n);
    repeat_raises(fn, io);
}

void epc_ioeventfd_update(EpcState *s)
{
    if (!qatomic_read(&s->io_stale) || !qatomic_xchg(&s->io_stale, false)) {
        return;
    }
    for (unsigned i = 0; i < s->nfn; i++) {
        update_function(&s->fn[i]);
    }
}

void epc_ioeventfd_free(EpcFunction *fn)
{
    if (fn->io) {
        g_free(fn->io->again);
        g_free(fn->io);
        fn->io = NULL;
    }
}
