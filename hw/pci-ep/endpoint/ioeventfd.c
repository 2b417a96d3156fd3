/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Raise registers that KVM turns into a signal to the host, without QEMU
 *
 * Which raises are allowed changes in reader threads, but ioeventfds are
 * changed with the BQL held. So the bottom half of the device does it, or a
 * register access that comes earlier.
 *
 * Until then a raise may signal an eventfd that the host has replaced. That
 * eventfd was emptied when it was replaced (irqs_detach()). A count that is
 * found in it here is a raise that would be lost, and is repeated.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitmap.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/endpoint/faults.h"
#include "hw/pci-ep/endpoint/fn-state.h"
#include "hw/pci-ep/endpoint/forward.h"
#include "hw/pci-ep/endpoint/ioeventfd.h"
#include "hw/pci-ep/endpoint/irqs.h"
#include "hw/pci-ep/endpoint/layout.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/raise.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/shared/eventfd.h"
#include "system/kvm.h"
#include "hw/pci-ep/trace.h"

/* Raise registers of a function */
#define IOEVENTFD_REGS EPC_RAISES

/*
 * KVM waits for an SRCU grace period for each ioeventfd that it adds or
 * removes, while the BQL is held. So the functions of a controller share
 * IOEVENTFD_MAX, and one update adds at most IOEVENTFD_BURST of them. A raise
 * of any other vector takes a thread of QEMU.
 */
#define IOEVENTFD_MAX   256u
#define IOEVENTFD_BURST 128u

/* Members are guarded by the BQL. */
struct EpcIoEventfds {
    EpcEventfd *on[IOEVENTFD_REGS];     /* in use, with a reference each */
    EpcEventfd *want[IOEVENTFD_REGS];   /* what ioeventfd_find() wants there */
    unsigned long *again;               /* raises to be repeated, by register */
};

bool epc_ioeventfd_wanted(OnOffAuto prop)
{
    return prop == ON_OFF_AUTO_AUTO ? kvm_enabled() : prop == ON_OFF_AUTO_ON;
}

/* The eventfd of raise @i, if the host allows that raise now */
static EpcEventfd *ioeventfd_allowed(EpcFunction *fn, unsigned i,
                                     unsigned msix, unsigned msi)
    EP_REQUIRES(&fn->epc->lock);
static EpcEventfd *ioeventfd_allowed(EpcFunction *fn, unsigned i,
                                     unsigned msix, unsigned msi)
{
    if (i < EPC_MAX_MSIX) {
        return i < msix ? fn->irqs.msix[i] : NULL;
    }
    return i - EPC_MAX_MSIX < msi ? fn->irqs.msi[i - EPC_MAX_MSIX] : NULL;
}

/* Fills io->want with what may be an ioeventfd. Returns how many there are. */
static unsigned ioeventfd_find_allowed(EpcFunction *fn, EpcIoEventfds *io)
    EP_REQUIRES(&ep_bql, &fn->epc->lock);
static unsigned ioeventfd_find_allowed(EpcFunction *fn, EpcIoEventfds *io)
{
    unsigned msix = 0, msi = 0, n = 0;
    EpcState *s = fn->epc;
    bool masked;

    if (epc_fn_may_dma(fn) && !s->io_suspended &&
        !epc_forward_viewed(s->forward) &&
        !epc_faults_armed(s, EPC_FAULTS_IRQ)) {
        msi = epc_config_msi_enabled(&fn->cfg);
        if (epc_config_msix_enabled(&fn->cfg, &masked)) {
            msix = epc_config_msix_size(&fn->cfg);
        }
    }
    for (unsigned i = 0; i < IOEVENTFD_REGS; i++) {
        io->want[i] = ioeventfd_allowed(fn, i, msix, msi);
        n += !!io->want[i];
    }
    return n;
}

/* The one that was raised later without an ioeventfd comes first. */
static gint ioeventfd_compare(gconstpointer a, gconstpointer b,
                              gpointer opaque)
{
    unsigned i = *(const uint16_t *)a, j = *(const uint16_t *)b;
    EpcEventfd **want = opaque;

    if (want[i]->used != want[j]->used) {
        return want[i]->used < want[j]->used ? 1 : -1;
    }
    return i < j ? -1 : i > j;
}

/* Keeps @max of the @n that io->want has: the vectors that were used last */
static void ioeventfd_choose(EpcIoEventfds *io, unsigned n, unsigned max)
{
    g_autofree uint16_t *regs = g_new(uint16_t, n);
    unsigned count = 0;

    for (unsigned i = 0; i < IOEVENTFD_REGS; i++) {
        if (io->want[i]) {
            regs[count++] = i;
        }
    }
    g_qsort_with_data(regs, count, sizeof(*regs), ioeventfd_compare, io->want);
    while (count > max) {
        io->want[regs[--count]] = NULL;
    }
}

/*
 * Fills io->want, and takes references on eventfds that are new there, of which
 * *@burst may be added. If that is not enough, @fn stays stale.
 */
static void ioeventfd_find(EpcFunction *fn, EpcIoEventfds *io, unsigned *burst)
    EP_REQUIRES(&ep_bql, &fn->epc->lock);
static void ioeventfd_find(EpcFunction *fn, EpcIoEventfds *io, unsigned *burst)
{
    unsigned max = IOEVENTFD_MAX / fn->epc->nfn;
    unsigned n = ioeventfd_find_allowed(fn, io);

    fn->irqs.scarce = n > max;
    if (fn->irqs.scarce) {
        ioeventfd_choose(io, n, max);
    }
    for (unsigned i = 0; i < IOEVENTFD_REGS; i++) {
        EpcEventfd *e = io->want[i];

        if (!e || e == io->on[i]) {
            continue;
        }
        if (*burst) {
            (*burst)--;
            e->refs++;
        } else {
            io->want[i] = NULL;
            epc_irqs_changed(fn);
        }
    }
}

static hwaddr ioeventfd_address(const EpcFunction *fn, unsigned i)
{
    return EPC_RAISE_BASE + fn->index * EPC_RAISE_STRIDE +
           (i < EPC_MAX_MSIX ? EPC_RAISE_MSIX(i) :
                               EPC_RAISE_MSI(i - EPC_MAX_MSIX));
}

static void ioeventfd_remove_old(EpcFunction *fn, EpcIoEventfds *io)
{
    for (unsigned i = 0; i < IOEVENTFD_REGS; i++) {
        if (io->on[i] && io->on[i] != io->want[i]) {
            memory_region_del_eventfd(&fn->epc->regs, ioeventfd_address(fn, i),
                                      4, false, 0, &io->on[i]->n);
        }
    }
}

static void ioeventfd_add_new(EpcFunction *fn, EpcIoEventfds *io)
{
    for (unsigned i = 0; i < IOEVENTFD_REGS; i++) {
        if (io->want[i] && io->want[i] != io->on[i]) {
            memory_region_add_eventfd(&fn->epc->regs, ioeventfd_address(fn, i),
                                      4, false, 0, &io->want[i]->n);
        }
    }
}

/*
 * Replaces ioeventfds of @functions (bits) in two transactions, since each one
 * compares all ioeventfds of the machine. KVM refuses two ioeventfds at one
 * address, and one transaction would add the new one before it removes the old.
 */
static void ioeventfd_switch(EpcState *s, uint32_t functions)
    EP_REQUIRES(&ep_bql);
static void ioeventfd_switch(EpcState *s, uint32_t functions)
{
    memory_region_transaction_begin();
    for (unsigned i = 0; i < s->nfn; i++) {
        if (functions & BIT(i)) {
            ioeventfd_remove_old(&s->fn[i], s->fn[i].io);
        }
    }
    memory_region_transaction_commit();
    memory_region_transaction_begin();
    for (unsigned i = 0; i < s->nfn; i++) {
        if (functions & BIT(i)) {
            ioeventfd_add_new(&s->fn[i], s->fn[i].io);
        }
    }
    memory_region_transaction_commit();
}

/* Makes io->want what is in use. Returns how many registers are ioeventfds. */
static unsigned ioeventfd_release(EpcFunction *fn, EpcIoEventfds *io)
    EP_REQUIRES(&fn->epc->lock);
static unsigned ioeventfd_release(EpcFunction *fn, EpcIoEventfds *io)
{
    unsigned n = 0;

    for (unsigned i = 0; i < IOEVENTFD_REGS; i++) {
        EpcEventfd *old = io->on[i];

        if (old && old != io->want[i]) {
            if (old->refs == 1 &&
                ep_eventfd_read_nowait(event_notifier_get_fd(&old->n))) {
                set_bit(i, io->again);
            }
            epc_irqs_unref(old);
        }
        io->on[i] = io->want[i];
        n += !!io->on[i];
    }
    return n;
}

static void ioeventfd_repeat_raises(EpcFunction *fn, EpcIoEventfds *io)
    EP_EXCLUDES(&fn->epc->lock);
static void ioeventfd_repeat_raises(EpcFunction *fn, EpcIoEventfds *io)
{
    unsigned i;

    while ((i = find_first_bit(io->again, IOEVENTFD_REGS)) < IOEVENTFD_REGS) {
        clear_bit(i, io->again);
        if (i < EPC_MAX_MSIX) {
            epc_raise_msix(fn, i);
        } else {
            epc_raise_msi(fn, i - EPC_MAX_MSIX);
        }
    }
}

/* Returns whether anything of @fn may have changed; io->want is valid then. */
static bool ioeventfd_prepare(EpcFunction *fn, bool all, unsigned *burst)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&fn->epc->lock);
static bool ioeventfd_prepare(EpcFunction *fn, bool all, unsigned *burst)
{
    EpcIoEventfds *io = fn->io;

    if (!io) {
        io = fn->io = g_new0(EpcIoEventfds, 1);
        io->again = bitmap_new(IOEVENTFD_REGS);
    }
    QEMU_LOCK_GUARD(&fn->epc->lock);
    if (!fn->io_stale && !all) {
        return false;
    }
    fn->io_stale = false;
    ioeventfd_find(fn, io, burst);
    return true;
}

static void ioeventfd_finish(EpcFunction *fn)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&fn->epc->lock);
static void ioeventfd_finish(EpcFunction *fn)
{
    unsigned n;

    WITH_QEMU_LOCK_GUARD(&fn->epc->lock) {
        n = ioeventfd_release(fn, fn->io);
    }
    trace_pci_epc_ioeventfd(epc_name(fn->epc), fn->index, n);
    ioeventfd_repeat_raises(fn, fn->io);
}

void epc_ioeventfd_update(EpcState *s)
{
    unsigned burst = IOEVENTFD_BURST;
    uint32_t functions = 0;
    bool viewed, faulty, all;

    if (!qatomic_read(&s->io_stale) || !qatomic_xchg(&s->io_stale, false)) {
        return;
    }
    /* A change that comes after these are read sets io_stale again. */
    viewed = epc_forward_viewed(s->forward);
    faulty = epc_faults_armed(s, EPC_FAULTS_IRQ);
    all = viewed != s->io_viewed || faulty != s->io_faulty;
    for (unsigned i = 0; i < s->nfn; i++) {
        if (ioeventfd_prepare(&s->fn[i], all, &burst)) {
            functions |= BIT(i);
        }
    }
    /*
     * A memory listener may wait for a reader thread, which may need the lock.
     * So transactions are committed without it.
     */
    ioeventfd_switch(s, functions);
    for (unsigned i = 0; i < s->nfn; i++) {
        if (functions & BIT(i)) {
            ioeventfd_finish(&s->fn[i]);
        }
    }
    s->io_viewed = viewed;
    s->io_faulty = faulty;
}

void epc_ioeventfd_suspend(EpcState *s, bool suspended)
{
    if (!s->ioeventfd || !s->fn) {
        return;
    }
    s->io_suspended = suspended;
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        for (unsigned i = 0; i < s->nfn; i++) {
            epc_irqs_changed(&s->fn[i]);
        }
    }
    epc_ioeventfd_update(s);
}

void epc_ioeventfd_free(EpcFunction *fn)
{
    if (fn->io) {
        g_free(fn->io->again);
        g_free(fn->io);
        fn->io = NULL;
    }
}
