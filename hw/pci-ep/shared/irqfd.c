/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ep-irqfd: eventfds that interrupt this guest through a PCI device
 *
 * A line is bound to KVM while its vector can be delivered at once; else it is
 * armed in an epoll descriptor, so that thousands of lines cost the main loop a
 * single handler.  A masked one is armed too: the main loop sets its pending
 * bit, and a read of the pending bits takes what is there first.
 *
 * Edge triggered: every signal is an edge, so nothing has to be read.  Where
 * KVM may take a line over it is read all the same, without waiting whatever
 * O_NONBLOCK says: a count above zero is a signal that nobody took, both for
 * KVM when it is bound and for epoll when it is armed.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/event_notifier.h"
#include "qemu/main-loop.h"
#include "qemu/queue.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "hw/pci-ep/ep-irqfd.h"
#include "hw/pci-ep/ep-signal.h"
#include "system/kvm.h"
#include "trace.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

/* Signals taken before the main loop gets its turn */
#define TAKE_BUDGET 64

typedef struct EpLine {
    EventNotifier n;
    unsigned vector;
    int virq;               /* KVM's name of the route, -1: none */
    MSIMessage msg;         /* that the route leads to */
    bool open;
    bool enabled;
    bool want;              /* to be bound */
    bool bound;             /* to KVM, else armed */
} EpLine;

struct EpIrqfds {
    PCIDevice *d;
    EpIrqfdTaken *taken;
    void *opaque;
    bool kvm;
    bool hold;              /* between _begin() and _sync() */
    int epoll;
    unsigned nlines;
    unsigned nopen;
    EpLine *lines;
    QLIST_ENTRY(EpIrqfds) next;
};

/* The notifiers of MSI-X know the device only. */
static QLIST_HEAD(, EpIrqfds) all_sets = QLIST_HEAD_INITIALIZER(all_sets);

static EpIrqfds *set_of(PCIDevice *d)
{
    EpIrqfds *s;

    QLIST_FOREACH(s, &all_sets, next) {
        if (s->d == d) {
            return s;
        }
    }
    return NULL;
}

/* ---- Main loop ---- */

static bool arm(EpIrqfds *s, EpLine *l, int op, bool armed)
{
    struct epoll_event ev = {
        .events = armed ? EPOLLIN | EPOLLET : 0,
        .data.u32 = l - s->lines,
    };

    return !epoll_ctl(s->epoll, op, event_notifier_get_fd(&l->n), &ev);
}

static void raise_vector(PCIDevice *d, unsigned vector)
{
    if (msix_enabled(d)) {
        if (vector < d->msix_entries_nr) {
            msix_notify(d, vector);
        }
    } else if (msi_enabled(d) && vector < msi_nr_vectors_allocated(d)) {
        msi_notify(d, vector);
    }
}

/* An interrupt is a store to where the guest wants: it may eject the device. */
static void deliver(EpIrqfds *s, EpLine *l)
{
    s->taken(s->opaque, l - s->lines, l->vector, l->enabled);
    if (l->enabled) {
        raise_vector(s->d, l->vector);
    }
}

/* False: there may be more, and the set is still there. */
static bool take_some(EpIrqfds *s)
{
    struct epoll_event ev[TAKE_BUDGET];
    int n = epoll_wait(s->epoll, ev, ARRAY_SIZE(ev), 0);
    PCIDevice *d = s->d;
    bool gone = false;

    object_ref(OBJECT(d));
    for (int i = 0; i < n && !gone; i++) {
        EpLine *l = &s->lines[ev[i].data.u32];

        if (s->kvm) {
            ep_signal_take(event_notifier_get_fd(&l->n));
        }
        deliver(s, l);
        gone = set_of(d) != s;
    }
    object_unref(OBJECT(d));
    return gone || n < TAKE_BUDGET;
}

static void on_signal(void *opaque)
{
    take_some(opaque);
}

void ep_irqfds_take(EpIrqfds *s)
{
    /* A peer that never stops signalling is not waited for */
    for (unsigned i = 0; i <= s->nopen / TAKE_BUDGET; i++) {
        if (s->epoll < 0 || take_some(s)) {
            return;
        }
    }
}

/* ---- KVM ---- */

/* Can an interrupt of @l be delivered at once, and by which message? */
static bool deliverable(EpIrqfds *s, const EpLine *l, MSIMessage *msg)
{
    PCIDevice *d = s->d;

    if (!l->enabled ||
        !(pci_get_word(d->config + PCI_COMMAND) & PCI_COMMAND_MASTER)) {
        return false;
    }
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
    /* Where destinations have 32 bits KVM refuses these, and QEMU aborts. */
    return !((msg->address >> 32) & 0xff);
}

static void warn_unbound(const char *what, int err)
{
    warn_report_once("pci-ep: KVM cannot %s: %s; interrupts of linked devices "
                     "take the main loop, which is slow: use fewer vectors",
                     what, strerror(-err));
}

/* Makes the route lead to @msg. */
static bool route(EpIrqfds *s, EpLine *l, MSIMessage msg, KVMRouteChange *c)
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
        warn_unbound("route an interrupt", ret);
        return false;
    }
    l->msg = msg;
    trace_ep_irqfd_route(s->d->name, l->vector, l->virq, msg.address, msg.data);
    return true;
}

static void unroute(EpLine *l)
{
    if (l->virq >= 0) {
        kvm_irqchip_release_virq(kvm_state, l->virq);
        l->virq = -1;
    }
}

/* A signal that nobody took interrupts now. */
static void bind_line(EpIrqfds *s, EpLine *l)
{
    int ret;

    arm(s, l, EPOLL_CTL_MOD, false);
    ret = kvm_irqchip_add_irqfd_notifier_gsi(kvm_state, &l->n, NULL, l->virq);
    if (ret < 0) {
        arm(s, l, EPOLL_CTL_MOD, true);
        warn_unbound("take an eventfd", ret);
        return;
    }
    l->bound = true;
    trace_ep_irqfd_bind(s->d->name, l->vector, true);
}

static void unbind_line(EpIrqfds *s, EpLine *l)
{
    if (!l->bound) {
        return;
    }
    kvm_irqchip_remove_irqfd_notifier_gsi(kvm_state, &l->n, l->virq);
    l->bound = false;
    arm(s, l, EPOLL_CTL_MOD, true);
    trace_ep_irqfd_bind(s->d->name, l->vector, false);
}

/*
 * Routes of all lines become valid in one go, which is slow, and before they
 * are used.
 */
static void apply(EpIrqfds *s, unsigned first, unsigned last)
{
    KVMRouteChange c;
    MSIMessage msg;

    if (!s->kvm || s->hold) {
        return;
    }
    c = kvm_irqchip_begin_route_changes(kvm_state);
    for (unsigned i = first; i <= last; i++) {
        EpLine *l = &s->lines[i];

        l->want = l->open && deliverable(s, l, &msg) && route(s, l, msg, &c);
        if (!l->want) {
            unbind_line(s, l);
        }
    }
    kvm_irqchip_commit_route_changes(&c);
    for (unsigned i = first; i <= last; i++) {
        if (s->lines[i].want && !s->lines[i].bound) {
            bind_line(s, &s->lines[i]);
        }
    }
}

void ep_irqfds_table_written(EpIrqfds *s, unsigned vector)
{
    if (!s->kvm || s->hold || !s->nopen) {
        return;
    }
    for (unsigned i = 0; i < s->nlines; i++) {
        if (s->lines[i].open && s->lines[i].vector == vector) {
            apply(s, i, i);
        }
    }
}

/* ---- Notifiers of MSI-X ---- */

static int on_unmask(PCIDevice *d, unsigned vector, MSIMessage msg)
{
    ep_irqfds_table_written(set_of(d), vector);
    return 0;
}

static void on_mask(PCIDevice *d, unsigned vector)
{
    ep_irqfds_table_written(set_of(d), vector);
}

/* Before the guest looks at the pending bits */
static void on_poll(PCIDevice *d, unsigned first, unsigned end)
{
    ep_irqfds_take(set_of(d));
}

/* ---- Sets ---- */

EpIrqfds *ep_irqfds_new(PCIDevice *d, unsigned lines, EpIrqfdTaken *taken,
                        void *opaque)
{
    EpIrqfds *s = g_new0(EpIrqfds, 1);

    s->d = d;
    s->taken = taken;
    s->opaque = opaque;
    s->kvm = kvm_msi_via_irqfd_enabled();
    s->epoll = -1;
    s->nlines = lines;
    s->lines = g_new0(EpLine, lines);
    QLIST_INSERT_HEAD(&all_sets, s, next);
    if (msix_present(d)) {
        msix_set_vector_notifiers(d, on_unmask, on_mask, on_poll);
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
    g_free(s->lines);
    g_free(s);
}

static int ensure_epoll(EpIrqfds *s)
{
    if (s->epoll < 0) {
        s->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (s->epoll < 0) {
            return -errno;
        }
        qemu_set_fd_handler(s->epoll, on_signal, NULL, s);
    }
    return 0;
}

int ep_irqfds_open(EpIrqfds *s, unsigned line, unsigned vector)
{
    EpLine *l = &s->lines[line];
    int ret = ensure_epoll(s);
    int fd;

    if (ret < 0) {
        return ret;
    }
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        return -errno;
    }
    event_notifier_init_fd(&l->n, fd);
    if (!arm(s, l, EPOLL_CTL_ADD, true)) {
        ret = -errno;
        close(fd);
        return ret;
    }
    l->vector = vector;
    l->virq = -1;
    l->open = true;
    l->enabled = true;
    s->nopen++;
    apply(s, line, line);
    return fd;
}

void ep_irqfds_close(EpIrqfds *s, unsigned line)
{
    EpLine *l = &s->lines[line];

    if (!l->open) {
        return;
    }
    unbind_line(s, l);
    unroute(l);
    /* Closing it is not enough, since the peer holds it open too */
    epoll_ctl(s->epoll, EPOLL_CTL_DEL, event_notifier_get_fd(&l->n), NULL);
    event_notifier_cleanup(&l->n);
    l->open = false;
    s->nopen--;
}

void ep_irqfds_aim(EpIrqfds *s, unsigned line, unsigned vector, bool enabled)
{
    EpLine *l = &s->lines[line];

    if (l->vector != vector) {
        unbind_line(s, l);
        unroute(l);
    }
    l->vector = vector;
    l->enabled = enabled;
    apply(s, line, line);
}

void ep_irqfds_begin(EpIrqfds *s)
{
    s->hold = true;
}

void ep_irqfds_sync(EpIrqfds *s)
{
    s->hold = false;
    if (s->nopen) {
        apply(s, 0, s->nlines - 1);
    }
}

void ep_irqfds_reset(EpIrqfds *s)
{
    for (unsigned i = 0; i < s->nlines; i++) {
        unbind_line(s, &s->lines[i]);
    }
}

void ep_irqfds_forget(EpIrqfds *s)
{
    struct epoll_event ev[TAKE_BUDGET];

    ep_irqfds_reset(s);
    for (unsigned i = 0; s->kvm && i < s->nlines; i++) {
        if (s->lines[i].open) {
            ep_signal_take(event_notifier_get_fd(&s->lines[i].n));
        }
    }
    for (unsigned i = 0; s->epoll >= 0 && i <= s->nopen / TAKE_BUDGET; i++) {
        epoll_wait(s->epoll, ev, ARRAY_SIZE(ev), 0);
    }
}
