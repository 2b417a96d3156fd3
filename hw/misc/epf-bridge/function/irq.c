/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irq: interrupts of a remote function
 *
 * While the guest has MSI or MSI-X enabled the endpoint holds an eventfd for
 * each vector, and shared/irqfd.c turns its signals into interrupts of the
 * guest.  INTx is a message (EP_INTX), or an eventfd with a server that does not
 * know the message.  Such a server has the eventfds of one kind at a time.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitmap.h"
#include "qemu/range.h"
#include "qemu/timer.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "hw/pci-ep/shared/eventfd.h"
#include "hw/misc/epf-bridge/function/inject.h"
#include "hw/misc/epf-bridge/function/irq.h"
#include "hw/misc/epf-bridge/function/reach.h"
#include "hw/misc/epf-bridge/remote/calls.h"
#include "hw/misc/epf-bridge/remote/masks.h"
#include "hw/misc/epf-bridge/remote/report.h"
#include "hw/misc/epf-bridge/remote/wait.h"
#include "hw/misc/epf-bridge/trace.h"

#include <sys/eventfd.h>

#define EPF_MSI_VECTORS 32  /* most that the MSI capability can have */

/*
 * When the fault "irq-double" raises a vector again. A vCPU has taken the first
 * interrupt by then, so that the second one does not melt into it.
 */
#define EPF_IRQ_REPEAT_MS 1

static void epf_irq_taken(void *opaque, unsigned line, unsigned vector,
                          bool enabled)
{
    EpfFunction *f = opaque;

    epf_remote_count_interrupt(f->remote);
    trace_epf_bridge_irq(f->remote->device, f->remote->func,
                         f->remote->generation, f->irqs.index, vector);
}

/* ---- Faults ---- */

static unsigned epf_irq_lines(const EpfFunction *f)
{
    return MAX(EPF_MSI_VECTORS, PCI_DEVICE(f)->msix_entries_nr);
}

/* Line n raises vector n. */
static bool epf_irq_lost(void *opaque, unsigned line)
{
    EpfFunction *f = opaque;
    EpfInjectIrq what = epf_inject_irq(f, line);

    if (what == EPF_INJECT_DOUBLE) {
        set_bit(line, f->irqs.again);
        timer_mod(f->irqs.repeat, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
                  EPF_IRQ_REPEAT_MS);
    }
    return what == EPF_INJECT_LOST;
}

/* KVM may deliver interrupts alone while no fault can happen to them. */
static void epf_irq_watch(EpfFunction *f)
{
    bool wanted = epf_inject_wants_irqs(f);

    if (f->irqs.watched != wanted) {
        f->irqs.watched = wanted;
        ep_irqfds_watch(f->irqs.set, wanted ? epf_irq_lost : NULL);
    }
}

/* An interrupt may remove the function, and with it the set. */
static void epf_irq_repeat(void *opaque)
{
    EpfFunction *f = opaque;
    unsigned lines = epf_irq_lines(f);
    unsigned v;

    object_ref(OBJECT(f));
    while (f->irqs.set && (v = find_first_bit(f->irqs.again, lines)) < lines) {
        clear_bit(v, f->irqs.again);
        ep_irqfds_raise(f->irqs.set, v);
    }
    object_unref(OBJECT(f));
}

/*
 * Returns @intx as the pin shows it. An assertion that got lost is not seen
 * until the endpoint deasserts the pin. One that is doubled is seen once more
 * at that time.
 */
static unsigned epf_irq_inject_intx(EpfFunction *f, unsigned intx)
{
    PCIDevice *d = PCI_DEVICE(f);
    bool level = intx & EPF_INTX_LEVEL;

    if (intx & EPF_INTX_ASSERTED) {
        EpfInjectIrq what = epf_inject_irq(f, 0);

        f->irqs.intx_lost = what == EPF_INJECT_LOST;
        f->irqs.intx_again |= what == EPF_INJECT_DOUBLE;
    }
    if (f->irqs.intx_lost) {
        f->irqs.intx_lost = level;
        return 0;
    }
    if (f->irqs.intx_again && !level) {
        f->irqs.intx_again = false;
        if (intx & EPF_INTX_ASSERTED) {
            pci_irq_assert(d);
        }
        pci_irq_deassert(d);
        return EPF_INTX_ASSERTED;
    }
    return intx;
}

/* ---- Eventfds ---- */

static void epf_irq_set_done(EpwSession *s, int err, EpwMsg *reply,
                             void *opaque)
{
    EpfRemote *r = opaque;

    if (err && err != -ENOTCONN) {
        epf_remote_report(r, NULL, "interrupts of the endpoint are lost, since "
                          "it refuses their eventfds: %s", strerror(-err));
    }
    epf_remote_unref(r);
}

static void epf_irq_send(EpfFunction *f, uint32_t data, unsigned start,
                         unsigned count)
{
    VfuSetIrqs m = {
        .argsz = sizeof(m), .flags = data | VFU_IRQ_ACTION_TRIGGER,
        .index = f->irqs.index, .start = start, .count = count,
    };
    struct iovec iov = { .iov_base = &m, .iov_len = sizeof(m) };

    epf_remote_call_async(f->remote, VFU_CMD_SET_IRQS, &iov, 1,
                          count ? f->irqs.fds + start : NULL, count,
                          epf_irq_set_done, epf_remote_ref(f->remote));
}

static int epf_irq_open_intx(EpfFunction *f)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0) {
        return -errno;
    }
    event_notifier_init_fd(&f->irqs.intx, fd);
    f->irqs.intx_watched = f->irqs.intx_signalled = false;
    return fd;
}

static void epf_irq_close_intx(EpfFunction *f)
{
    event_notifier_set_handler(&f->irqs.intx, NULL);
    event_notifier_cleanup(&f->irqs.intx);
}

static void epf_irq_release(EpfFunction *f)
{
    for (unsigned i = 0; i < f->irqs.count; i++) {
        if (f->irqs.index == VFU_IRQ_INTX) {
            epf_irq_close_intx(f);
        } else {
            ep_irqfds_close(f->irqs.set, i);
        }
    }
    g_free(f->irqs.fds);
    f->irqs.fds = NULL;
    f->irqs.count = 0;
    f->irqs.wanted = 0;
}

static void epf_irq_detach(EpfFunction *f)
{
    if (f->irqs.count) {
        trace_epf_bridge_irq_detach(f->remote->device, f->remote->func,
                                    f->remote->generation, f->irqs.index,
                                    f->irqs.count);
        epf_irq_send(f, VFU_IRQ_DATA_NONE, 0, 0);
    }
    epf_irq_release(f);
}

/*
 * Returns the number of vectors that got an eventfd; sets *@err to the reason
 * if the process has no descriptor for another one.
 */
static unsigned epf_irq_open(EpfFunction *f, unsigned count, int *err)
{
    f->irqs.fds = g_new(int, count);
    for (unsigned i = 0; i < count; i++) {
        f->irqs.fds[i] = f->irqs.index == VFU_IRQ_INTX ?
                         epf_irq_open_intx(f) :
                         ep_irqfds_open(f->irqs.set, i, i);
        if (f->irqs.fds[i] < 0) {
            *err = -f->irqs.fds[i];
            return i;
        }
    }
    return count;
}

static void epf_irq_attach(EpfFunction *f, unsigned index, unsigned count)
{
    unsigned chunk = epf_remote_caps(f->remote).max_fds;
    unsigned got;
    int err = 0;

    f->irqs.index = index;
    f->irqs.wanted = count;
    if (!chunk) {
        epf_remote_report(f->remote, NULL, "interrupts of the endpoint are "
                          "lost, since it takes no eventfds");
        return;
    }
    got = epf_irq_open(f, count, &err);
    f->irqs.count = got;
    if (got < count) {
        epf_remote_report(f->remote, "raise 'ulimit -n'", "only %u of %u "
                          "interrupt vectors have an eventfd: %s", got, count,
                          strerror(err));
    }
    if (!got) {
        return;
    }
    trace_epf_bridge_irq_attach(f->remote->device, f->remote->func,
                                f->remote->generation, index, got);
    /* The guest can be interrupted before the endpoint can signal. */
    ep_irqfds_sync(f->irqs.set);
    for (unsigned start = 0; start < got; start += chunk) {
        epf_irq_send(f, VFU_IRQ_DATA_EVENTFD, start,
                     MIN(chunk, got - start));
    }
}

/* ---- INTx ---- */

/* Whether the function may use its pin.  QEMU looks at Interrupt Disable. */
static bool epf_irq_has_pin(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);

    return !msi_enabled(d) && !msix_enabled(d) && ep_irqfds_have_power(d) &&
           !epf_reach_ends(f);
}

/*
 * An endpoint function need not know when the guest has handled its interrupt:
 * those of Linux assert INTx and deassert it at once.  The guest's interrupt
 * controller takes a level for an interrupt only while it is there, and not
 * while it is still busy with the interrupt before.  So an assertion is held
 * for intx_hold_us of the guest's time.  A handler that ends earlier runs
 * again, and finds nothing to do.  A longer time costs more of such runs, and a
 * shorter one loses interrupts.
 *
 * To hold it until the guest has handled the interrupt would be better.  But
 * QEMU tells a device only under KVM when the guest ends an interrupt
 * (KVM_IRQFD_FLAG_RESAMPLE).  And the guest need not access a register that
 * QEMU sees: the BARs are memory.
 */
static void epf_irq_sync_intx(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    unsigned intx;

    if (pci_intx(d) < 0) {
        return;
    }
    intx = qatomic_fetch_and(&f->remote->intx, ~EPF_INTX_ASSERTED);
    if (epf_irq_has_pin(f)) {
        intx = epf_irq_inject_intx(f, intx);
    } else {
        timer_del(f->irqs.intx_hold);
        f->irqs.intx_lost = f->irqs.intx_again = false;
        intx = 0;
    }
    if (intx & EPF_INTX_ASSERTED) {
        timer_mod(f->irqs.intx_hold, f->intx_hold_us +
                  qemu_clock_get_us(QEMU_CLOCK_VIRTUAL));
    }
    pci_set_irq(d, (intx & EPF_INTX_LEVEL) ||
                   timer_pending(f->irqs.intx_hold));
}

static void epf_irq_unmasked(EpwSession *s, int err, EpwMsg *reply,
                             void *opaque)
{
    epf_remote_unref(opaque);
}

/* Lets the server signal again.  It does so if its pin is still asserted. */
static void epf_irq_unmask_intx(EpfFunction *f)
{
    VfuSetIrqs m = {
        .argsz = sizeof(m),
        .flags = VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_UNMASK,
        .index = VFU_IRQ_INTX, .count = 1,
    };
    struct iovec iov = { .iov_base = &m, .iov_len = sizeof(m) };

    epf_remote_call_async(f->remote, VFU_CMD_SET_IRQS, &iov, 1, NULL, 0,
                          epf_irq_unmasked, epf_remote_ref(f->remote));
}

static void epf_irq_on_intx(EventNotifier *n);

/*
 * Waits for the next signal, unless INTx is still asserted because of the last
 * one.  So a server that signals all the time costs one interrupt for each
 * intx_hold_us.
 */
static void epf_irq_watch_intx(EpfFunction *f)
{
    if (f->irqs.index != VFU_IRQ_INTX || !f->irqs.count ||
        f->irqs.intx_watched || timer_pending(f->irqs.intx_hold)) {
        return;
    }
    f->irqs.intx_watched = true;
    event_notifier_set_handler(&f->irqs.intx, epf_irq_on_intx);
    if (f->irqs.intx_signalled && f->remote->intx_automasked) {
        epf_irq_unmask_intx(f);
    }
    f->irqs.intx_signalled = false;
}

/* The server has asserted its pin.  It does not say when it deasserts it. */
static void epf_irq_on_intx(EventNotifier *n)
{
    EpfFunction *f = container_of(n, EpfFunction, irqs.intx);

    event_notifier_set_handler(n, NULL);
    f->irqs.intx_watched = false;
    if (ep_eventfd_read_nowait(event_notifier_get_fd(n))) {
        f->irqs.intx_signalled = true;
        epf_remote_count_interrupt(f->remote);
        qatomic_or(&f->remote->intx, EPF_INTX_ASSERTED);
        epf_irq_sync_intx(f);
    }
    epf_irq_watch_intx(f);
}

static void epf_irq_hold_over(void *opaque)
{
    epf_irq_sync_intx(opaque);
    epf_irq_watch_intx(opaque);
}

/*
 * The endpoint deasserts its pin while the guest has set Interrupt Disable, so
 * it alone knows then whether an interrupt is pending.
 */
uint32_t epf_irq_show_status(EpfFunction *f, uint32_t addr, uint32_t val,
                             int len)
{
    PCIDevice *d = PCI_DEVICE(f);
    EpfAccess access;
    uint32_t bit;
    uint8_t status;
    bool ok;

    /* The function may have been removed while @val was read. */
    if (epf_remote_dead(f->remote) ||
        !range_covers_byte(addr, len, PCI_STATUS) || pci_intx(d) < 0 ||
        !pci_irq_disabled(d) || !epf_irq_has_pin(f)) {
        return val;
    }
    epf_wait_begin_config(&access, d);
    ok = epf_remote_read(f->remote, VFU_REGION_CONFIG, PCI_STATUS, &status,
                         sizeof(status));
    epf_wait_end_access(&access);
    if (!ok) {
        return val;
    }
    bit = PCI_STATUS_INTERRUPT << ((PCI_STATUS - addr) * 8);
    return status & PCI_STATUS_INTERRUPT ? val | bit : val & ~bit;
}

/* ---- Interface ---- */

void epf_irq_sync_vectors(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    unsigned index = f->irqs.index;
    unsigned count = 0;

    if (msix_enabled(d)) {
        index = VFU_IRQ_MSIX;
        count = MIN(d->msix_entries_nr, f->remote->irqs[index]);
    } else if (msi_enabled(d)) {
        index = VFU_IRQ_MSI;
        count = MIN(msi_nr_vectors_allocated(d), f->remote->irqs[index]);
    } else if (f->remote->intx_eventfd && pci_intx(d) >= 0) {
        index = VFU_IRQ_INTX;
        count = 1;
    }
    if (index != f->irqs.index || count != f->irqs.wanted) {
        ep_irqfds_begin(f->irqs.set);
        epf_irq_detach(f);
        if (count) {
            epf_irq_attach(f, index, count);
        }
    }
    ep_irqfds_sync(f->irqs.set);
    epf_irq_watch_intx(f);
}

void epf_irq_sync(EpfFunction *f)
{
    epf_irq_watch(f);
    epf_irq_sync_vectors(f);
    epf_irq_sync_intx(f);
}

void epf_irq_reset(EpfFunction *f)
{
    epf_masks_reset(f->remote);
    if (f->irqs.set) {
        ep_irqfds_reset(f->irqs.set);
        timer_del(f->irqs.intx_hold);
        timer_del(f->irqs.repeat);
        bitmap_zero(f->irqs.again, epf_irq_lines(f));
    }
    f->irqs.intx_lost = f->irqs.intx_again = false;
}

void epf_irq_init(EpfFunction *f)
{
    unsigned lines = epf_irq_lines(f);

    f->irqs.index = VFU_IRQ_MSI;
    f->irqs.intx_hold = timer_new_us(QEMU_CLOCK_VIRTUAL, epf_irq_hold_over, f);
    f->irqs.set = ep_irqfds_new(PCI_DEVICE(f), f->remote->device,
                                f->remote->func, lines, epf_irq_taken, f);
    f->irqs.again = bitmap_new(lines);
    f->irqs.repeat = timer_new_ms(QEMU_CLOCK_REALTIME, epf_irq_repeat, f);
}

void epf_irq_exit(EpfFunction *f)
{
    epf_masks_reset(f->remote);
    if (f->irqs.set) {
        epf_irq_detach(f);
        ep_irqfds_free(f->irqs.set);
        f->irqs.set = NULL;
        timer_free(f->irqs.intx_hold);
        f->irqs.intx_hold = NULL;
        timer_free(f->irqs.repeat);
        g_free(f->irqs.again);
        f->irqs.again = NULL;
    }
}
