/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irqfd: eventfds that interrupt this guest through a PCI device
 *
 * A line is bound to KVM while its vector can be delivered at once.  Otherwise
 * it is armed in an epoll descriptor, so that thousands of lines cost the main
 * loop a single handler.  A masked line is armed, too: the main loop sets its
 * pending bit, or a read of the pending bits does that first.
 *
 * The epoll events are edge triggered, and whoever handles a signal reads the
 * eventfd, without waiting whatever O_NONBLOCK says.  So a count above zero is
 * a signal that nobody has handled: for KVM when it binds the line, for epoll
 * when the line is armed, and for a read of the pending bits.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/event_notifier.h"
#include "qemu/main-loop.h"
#include "qemu/queue.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "hw/pci-ep/shared/irqfd.h"
#include "hw/pci-ep/shared/eventfd.h"
#include "system/kvm.h"
#include "hw/pci-ep/trace.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

/* Signals that are handled before the main loop gets its turn */
#define EP_IRQFD_BUDGET 64

typedef struct EpLine {
    EventNotifier n;
    unsigned vector;
    int virq;               /* number of the route in KVM, -1: none */
    MSIMessage msg;         /* message of the route */
    bool open;
    bool enabled;
    bool want;              /* to be bound */
    bool bound;             /* to KVM; otherwise armed */
    QLIST_ENTRY(EpLine) same_vector;    /* while it is open */
} EpLine;

typedef QLIST_HEAD(EpLineList, EpLine) EpLineList;

struct EpIrqfds {
    PCIDevice *d;
    const char *name;       /* for trace events, and the next one */
    unsigned func;
    EpIrqfdTaken *taken;
    EpIrqfdLost *lost;      /* of ep_irqfds_watch(), or NULL */
    void *opaque;
    bool kvm;
    bool hold;              /* between ep_irqfds_begin() and _sync() */
    bool had_msix, had_msi; /* enabled in ep_irqfds_begin() */
    int epoll;
    unsigned nlines;
    unsigned nopen;
    EpLine *lines;
    unsigned nvectors;      /* of the MSI-X table */
    EpLineList *by_vector;  /* the open lines of each of them */
    QLIST_ENTRY(EpIrqfds) next;
};

/* To find the set of a device: notifiers of MSI-X get nothing else. */
static QLIST_HEAD(, EpIrqfds) irqfds_all = QLIST_HEAD_INITIALIZER(irqfds_all);

static EpIrqfds *irqfds_of(PCIDevice *d)
{
    EpIrqfds *s;

    QLIST_FOREACH(s, &irqfds_all, next) {
        if (s->d == d) {
            return s;
        }
    }
    return NULL;
}

bool ep_irqfds_have_power(const PCIDevice *d)
{
    return !(d->cap_present & QEMU_PCI_CAP_PM) ||
           !(pci_get_word(d->config + d->pm_cap + PCI_PM_CTRL) &
             PCI_PM_CTRL_STATE_MASK);
}

/* ---- Main loop ---- */

static bool irqfd_arm(EpIrqfds *s, EpLine *l, int op, bool armed)
{
    struct epoll_event ev = {
        .events = armed ? EPOLLIN | EPOLLET : 0,
        .data.u32 = l - s->lines,
    };

    return !epoll_ctl(s->epoll, op, event_notifier_get_fd(&l->n), &ev);
}

/* Takes a signal.  Returns false if somebody else has taken it. */
static bool irqfd_read(EpLine *l)
{
    return ep_eventfd_read_nowait(event_notifier_get_fd(&l->n));
}

static bool irqfd_lost(EpIrqfds *s, EpLine *l)
{
    return s->lost && l->enabled && s->lost(s->opaque, l - s->lines);
}

static void irqfd_raise(PCIDevice *d, unsigned vector)
{
    if (msix_enabled(d)) {
        if (vector < d->msix_entries_nr) {
            msix_notify(d, vector);
        }
    } else if (msi_enabled(d) && vector < msi_nr_vectors_allocated(d)) {
        msi_notify(d, vector);
    }
}

/*
 * An interrupt is a store to an address of the guest's choice, so it may remove
 * the device and with it @s.
 */
static void irqfd_deliver(EpIrqfds *s, EpLine *l)
{
    if (irqfd_lost(s, l)) {
        return;
    }
    s->taken(s->opaque, l - s->lines, l->vector, l->enabled);
    if (l->enabled && ep_irqfds_have_power(s->d)) {
        irqfd_raise(s->d, l->vector);
    }
}

/* Returns false if there may be more signals and @s still exists. */
static bool irqfds_take_some(EpIrqfds *s)
{
    struct epoll_event ev[EP_IRQFD_BUDGET];
    int n = epoll_wait(s->epoll, ev, ARRAY_SIZE(ev), 0);
    PCIDevice *d = s->d;
    bool gone = false;

    object_ref(OBJECT(d));
    for (int i = 0; i < n && !gone; i++) {
        EpLine *l = &s->lines[ev[i].data.u32];

        if (irqfd_read(l)) {
            irqfd_deliver(s, l);
            gone = irqfds_of(d) != s;
        }
    }
    object_unref(OBJECT(d));
    return gone || n < EP_IRQFD_BUDGET;
}

static void irqfds_on_signal(void *opaque)
{
    irqfds_take_some(opaque);
}

void ep_irqfds_take(EpIrqfds *s)
{
    /* One signal of each line at most: a peer may signal for ever. */
    for (unsigned i = 0; i <= s->nopen / EP_IRQFD_BUDGET; i++) {
        if (s->epoll < 0 || irqfds_take_some(s)) {
            return;
        }
    }
}

/* ---- KVM ---- */

/* May the main loop or KVM send messages of @l? */
static bool irqfd_allowed(const EpIrqfds *s, const EpLine *l)
{
    return l->enabled && ep_irqfds_have_power(s->d) &&
           (pci_get_word(s->d->config + PCI_COMMAND) & PCI_COMMAND_MASTER);
}

/* Sets *@msg to the message of @l if the guest has enabled and unmasked it. */
static bool irqfd_message(const EpIrqfds *s, const EpLine *l, MSIMessage *msg)
{
    PCIDevice *d = s->d;

    if (msix_enabled(d)) {
        if (l->vector >= d->msix_entries_nr || msix_is_masked(d, l->vector)) {
            return false;
        }
        *msg = msix_get_message(d, l->vector);
    } else if (msi_enabled(d)) {
        if (l->vector >= msi_nr_vectors_allocated(d) ||
            msi_is_masked(d, l->vector)) {
            return false;
        }
        *msg = msi_get_message(d, l->vector);
    } else {
        return false;
    }
    return true;
}

/*
 * With 32-bit destinations (KVM_CAP_X2APIC_API) KVM refuses a route with these
 * bits, and then QEMU aborts.  QEMU itself updates the routes that exist: when
 * the guest invalidates the interrupt cache of an IOMMU,
 * kvm_update_msi_routes_all() gives each route the message that its vector has
 * then.  So a line with such a message must have no route.
 */
static bool irqfd_routable(const MSIMessage *msg)
{
    return !((msg->address >> 32) & 0xff);
}

static void irqfd_warn(const char *what, int err)
{
    warn_report_once("pci-ep: KVM cannot %s: %s; interrupts of linked devices "
                     "take the main loop, which is slow",
                     what, strerror(-err));
}

/* Gives @l a route with message @msg; false if KVM refuses. */
static bool irqfd_route(EpIrqfds *s, EpLine *l, MSIMessage msg,
                        KVMRouteChange *c)
{
    int ret;

    if (l->virq < 0) {
        ret = kvm_irqchip_add_msi_route(c, l->vector, s->d);
        l->virq = MAX(ret, -1);
    } else if (l->msg.address != msg.address || l->msg.data != msg.data) {
        ret = kvm_irqchip_update_msi_route(c->s, l->virq, msg, s->d);
        c->changes++;
    } else {
        return true;
    }
    if (ret < 0) {
        irqfd_warn("route an interrupt", ret);
        return false;
    }
    l->msg = msg;
    trace_pci_ep_irqfd_route(s->name, s->func, l->vector, l->virq, msg.address,
                             msg.data);
    return true;
}

static void irqfd_unroute(EpLine *l)
{
    if (l->virq >= 0) {
        kvm_irqchip_release_virq(kvm_state, l->virq);
        l->virq = -1;
    }
}

/* KVM delivers a signal at once that nobody has handled. */
static void irqfd_bind(EpIrqfds *s, EpLine *l)
{
    int ret;

    irqfd_arm(s, l, EPOLL_CTL_MOD, false);
    ret = kvm_irqchip_add_irqfd_notifier_gsi(kvm_state, &l->n, NULL, l->virq);
    if (ret < 0) {
        irqfd_arm(s, l, EPOLL_CTL_MOD, true);
        irqfd_warn("take an eventfd", ret);
        return;
    }
    l->bound = true;
    trace_pci_ep_irqfd_bind(s->name, s->func, l->vector, true);
}

static void irqfd_unbind(EpIrqfds *s, EpLine *l)
{
    if (!l->bound) {
        return;
    }
    kvm_irqchip_remove_irqfd_notifier_gsi(kvm_state, &l->n, l->virq);
    l->bound = false;
    irqfd_arm(s, l, EPOLL_CTL_MOD, true);
    trace_pci_ep_irqfd_bind(s->name, s->func, l->vector, false);
}

/* Takes @l from KVM if it must have no route.  Returns whether to bind it. */
static bool irqfd_prepare(EpIrqfds *s, EpLine *l, KVMRouteChange *c)
{
    MSIMessage msg;

    if (!l->open || !irqfd_message(s, l, &msg)) {
        return false;
    }
    if (!irqfd_routable(&msg)) {
        irqfd_unbind(s, l);
        irqfd_unroute(l);
        return false;
    }
    return !s->lost && irqfd_allowed(s, l) && irqfd_route(s, l, msg, c);
}

/*
 * Binds or unbinds the lines from @first to @last.  KVM takes the routes of all
 * of them in one commit, because each commit waits for a grace period
 * (kvm_set_irq_routing()).  Lines are bound after that, when their routes
 * exist.
 */
static void irqfds_apply(EpIrqfds *s, unsigned first, unsigned last)
{
    KVMRouteChange c;

    if (!s->kvm || s->hold) {
        return;
    }
    c = kvm_irqchip_begin_route_changes(kvm_state);
    for (unsigned i = first; i <= last; i++) {
        EpLine *l = &s->lines[i];

        l->want = irqfd_prepare(s, l, &c);
        if (!l->want) {
            irqfd_unbind(s, l);
        }
    }
    kvm_irqchip_commit_route_changes(&c);
    for (unsigned i = first; i <= last; i++) {
        if (s->lines[i].want && !s->lines[i].bound) {
            irqfd_bind(s, &s->lines[i]);
        }
    }
}

void ep_irqfds_table_written(EpIrqfds *s, unsigned vector)
{
    EpLine *l;

    if (!s->kvm || s->hold || vector >= s->nvectors) {
        return;
    }
    QLIST_FOREACH(l, &s->by_vector[vector], same_vector) {
        unsigned i = l - s->lines;

        irqfds_apply(s, i, i);
    }
}

/* ---- Lines by vector ---- */

static void irqfd_list(EpIrqfds *s, EpLine *l, unsigned vector)
{
    l->vector = vector;
    if (vector < s->nvectors) {
        QLIST_INSERT_HEAD(&s->by_vector[vector], l, same_vector);
    }
}

static void irqfd_unlist(EpLine *l)
{
    QLIST_SAFE_REMOVE(l, same_vector);
}

/* ---- Notifiers of MSI-X ---- */

static int irqfds_on_unmask(PCIDevice *d, unsigned vector, MSIMessage msg)
{
    ep_irqfds_table_written(irqfds_of(d), vector);
    return 0;
}

static void irqfds_on_mask(PCIDevice *d, unsigned vector)
{
    ep_irqfds_table_written(irqfds_of(d), vector);
}

/*
 * The guest is about to read the pending bits from @first to @end.  Sets those
 * of the signals that have come.  The main loop raises the vectors that are not
 * masked: an interrupt is a store to an address of the guest's choice, which
 * may remove the device, and QEMU goes on to read its pending bits.
 */
static void irqfds_on_poll(PCIDevice *d, unsigned first, unsigned end)
{
    EpIrqfds *s = irqfds_of(d);
    EpLine *l;

    if (!msix_enabled(d) || !ep_irqfds_have_power(d)) {
        return;
    }
    for (unsigned v = first; v < MIN(end, s->nvectors); v++) {
        if (!msix_is_masked(d, v)) {
            continue;
        }
        QLIST_FOREACH(l, &s->by_vector[v], same_vector) {
            if (l->enabled && irqfd_read(l) && !irqfd_lost(s, l)) {
                s->taken(s->opaque, l - s->lines, v, true);
                msix_set_pending(d, v);
            }
        }
    }
}

/* ---- Sets ---- */

EpIrqfds *ep_irqfds_new(PCIDevice *d, const char *name, unsigned func,
                        unsigned lines, EpIrqfdTaken *taken, void *opaque)
{
    EpIrqfds *s = g_new0(EpIrqfds, 1);

    s->d = d;
    s->name = name;
    s->func = func;
    s->taken = taken;
    s->opaque = opaque;
    s->kvm = kvm_msi_via_irqfd_enabled();
    s->epoll = -1;
    s->nlines = lines;
    s->lines = g_new0(EpLine, lines);
    s->nvectors = msix_present(d) ? d->msix_entries_nr : 0;
    s->by_vector = g_new0(EpLineList, s->nvectors);
    QLIST_INSERT_HEAD(&irqfds_all, s, next);
    if (msix_present(d)) {
        msix_set_vector_notifiers(d, irqfds_on_unmask, irqfds_on_mask,
                                  irqfds_on_poll);
    }
    return s;
}

void ep_irqfds_free(EpIrqfds *s)
{
    if (!s) {
        return;
    }
    for (unsigned i = 0; i < s->nlines; i++) {
        ep_irqfds_close(s, i);
    }
    if (s->epoll >= 0) {
        qemu_set_fd_handler(s->epoll, NULL, NULL, NULL);
        close(s->epoll);
    }
    if (msix_present(s->d)) {
        msix_unset_vector_notifiers(s->d);
    }
    QLIST_REMOVE(s, next);
    g_free(s->by_vector);
    g_free(s->lines);
    g_free(s);
}

static int irqfds_ensure_epoll(EpIrqfds *s)
{
    if (s->epoll < 0) {
        s->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (s->epoll < 0) {
            return -errno;
        }
        qemu_set_fd_handler(s->epoll, irqfds_on_signal, NULL, s);
    }
    return 0;
}

int ep_irqfds_open(EpIrqfds *s, unsigned line, unsigned vector)
{
    EpLine *l = &s->lines[line];
    int ret = irqfds_ensure_epoll(s);
    int fd;

    if (ret < 0) {
        return ret;
    }
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        return -errno;
    }
    event_notifier_init_fd(&l->n, fd);
    if (!irqfd_arm(s, l, EPOLL_CTL_ADD, true)) {
        ret = -errno;
        close(fd);
        return ret;
    }
    irqfd_list(s, l, vector);
    l->virq = -1;
    l->open = true;
    l->enabled = true;
    s->nopen++;
    irqfds_apply(s, line, line);
    return fd;
}

void ep_irqfds_close(EpIrqfds *s, unsigned line)
{
    EpLine *l = &s->lines[line];

    if (!l->open) {
        return;
    }
    irqfd_unbind(s, l);
    irqfd_unroute(l);
    /* The peer holds the file open, so epoll would keep it after close(). */
    epoll_ctl(s->epoll, EPOLL_CTL_DEL, event_notifier_get_fd(&l->n), NULL);
    event_notifier_cleanup(&l->n);
    irqfd_unlist(l);
    l->open = false;
    s->nopen--;
}

void ep_irqfds_aim(EpIrqfds *s, unsigned line, unsigned vector, bool enabled)
{
    EpLine *l = &s->lines[line];

    if (!l->open) {
        return;
    }
    if (l->vector != vector) {
        irqfd_unbind(s, l);
        irqfd_unroute(l);
        irqfd_unlist(l);
        irqfd_list(s, l, vector);
    }
    l->enabled = enabled;
    irqfds_apply(s, line, line);
}

void ep_irqfds_watch(EpIrqfds *s, EpIrqfdLost *lost)
{
    s->lost = lost;
    if (s->nopen) {
        irqfds_apply(s, 0, s->nlines - 1);
    }
}

void ep_irqfds_raise(EpIrqfds *s, unsigned vector)
{
    if (ep_irqfds_have_power(s->d)) {
        irqfd_raise(s->d, vector);
    }
}

/* ---- Changes by the guest ---- */

/*
 * A pending bit stands for an event that no message has reported yet, and a
 * function clears it when the event is satisfied (PCI Express Base 5.0, 6.1.4.5;
 * PCI Local Bus 3.0, 6.8.3.5).  QEMU's msi.c and msix.c know no events, and
 * keep the bits while MSI or MSI-X is not enabled.  The events that they stand
 * for belong to the driver that has cleared Enable.  So the bits are dropped,
 * or the next driver would get interrupts that nothing has raised for it.
 */
static void irqfds_drop_pending_msix(PCIDevice *d)
{
    for (unsigned v = 0; v < d->msix_entries_nr; v++) {
        msix_clr_pending(d, v);
    }
}

static void irqfds_drop_pending_msi(PCIDevice *d)
{
    uint8_t *cap = d->config + d->msi_cap;
    uint16_t flags = pci_get_word(cap + PCI_MSI_FLAGS);

    if (flags & PCI_MSI_FLAGS_MASKBIT) {
        pci_set_long(cap + (flags & PCI_MSI_FLAGS_64BIT ? PCI_MSI_PENDING_64 :
                                                          PCI_MSI_PENDING_32),
                     0);
    }
}

static void irqfds_drop_pending(EpIrqfds *s)
{
    PCIDevice *d = s->d;
    bool msix = s->had_msix && !msix_enabled(d);
    bool msi = s->had_msi && !msi_enabled(d);

    if (msix) {
        irqfds_drop_pending_msix(d);
    }
    if (msi) {
        irqfds_drop_pending_msi(d);
    }
    if (msix || msi) {
        ep_irqfds_forget(s);
    }
}

void ep_irqfds_begin(EpIrqfds *s)
{
    if (!s->hold) {
        s->had_msix = msix_enabled(s->d);
        s->had_msi = msi_enabled(s->d);
    }
    s->hold = true;
}

void ep_irqfds_sync(EpIrqfds *s)
{
    if (s->hold) {
        irqfds_drop_pending(s);
    }
    s->hold = false;
    if (s->nopen) {
        irqfds_apply(s, 0, s->nlines - 1);
    }
}

void ep_irqfds_reset(EpIrqfds *s)
{
    for (unsigned i = 0; i < s->nlines; i++) {
        irqfd_unbind(s, &s->lines[i]);
    }
}

void ep_irqfds_forget(EpIrqfds *s)
{
    struct epoll_event ev[EP_IRQFD_BUDGET];

    ep_irqfds_reset(s);
    for (unsigned i = 0; i < s->nlines; i++) {
        if (s->lines[i].open) {
            irqfd_read(&s->lines[i]);
        }
    }
    for (unsigned i = 0; s->epoll >= 0 &&
         i <= s->nopen / EP_IRQFD_BUDGET; i++) {
        epoll_wait(s->epoll, ev, ARRAY_SIZE(ev), 0);
    }
}
