/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-irq: interrupts of a remote function
 *
 * While the guest has MSI or MSI-X enabled the endpoint holds one eventfd per
 * vector.  They hang on one epoll descriptor, so that thousands of vectors
 * cost the main loop a single handler.  Edge triggered and never read: every
 * signal is an edge, and the endpoint, which holds the same open file, could
 * make a read block.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "epf-function.h"
#include "trace.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

/* Interrupts delivered before the main loop gets its turn */
#define IRQ_BUDGET 64

static void deliver(EpfFunction *f, unsigned vector)
{
    PCIDevice *d = PCI_DEVICE(f);

    trace_epf_irq(f->link->generation, f->irqs.index, vector);
    if (f->irqs.index == VFU_IRQ_MSIX) {
        if (msix_enabled(d)) {
            msix_notify(d, vector);
        }
    } else if (msi_enabled(d) && vector < msi_nr_vectors_allocated(d)) {
        msi_notify(d, vector);
    }
}

static void on_irq(void *opaque)
{
    EpfFunction *f = opaque;
    struct epoll_event ev[IRQ_BUDGET];
    int n = epoll_wait(f->irqs.epoll, ev, ARRAY_SIZE(ev), 0);

    for (int i = 0; i < n; i++) {
        deliver(f, ev[i].data.u32);
    }
}

/*
 * ------------------------------------------------------------------------
 * Telling the endpoint
 */
static void set_irqs_done(EpwSession *s, int err, EpwMsg *reply, void *opaque)
{
    EpfLink *l = opaque;

    if (err && err != -ENOTCONN) {
        epf_client_report(l->client, "the endpoint refuses eventfds for "
                          "interrupts: %s; its interrupts are lost",
                          strerror(-err));
    }
    epf_link_unref(l);
}

static void send_set_irqs(EpfFunction *f, uint32_t data, unsigned start,
                          unsigned count)
{
    VfuSetIrqs m = {
        .argsz = sizeof(m), .flags = data | VFU_IRQ_ACTION_TRIGGER,
        .index = f->irqs.index, .start = start, .count = count,
    };
    struct iovec iov = { .iov_base = &m, .iov_len = sizeof(m) };

    epf_link_call_async(f->link, VFU_CMD_SET_IRQS, &iov, 1,
                        count ? f->irqs.fds + start : NULL, count,
                        set_irqs_done, epf_link_ref(f->link));
}

static void release(EpfFunction *f)
{
    if (f->irqs.epoll >= 0) {
        qemu_set_fd_handler(f->irqs.epoll, NULL, NULL, NULL);
        close(f->irqs.epoll);
        f->irqs.epoll = -1;
    }
    for (unsigned i = 0; i < f->irqs.count; i++) {
        close(f->irqs.fds[i]);
    }
    g_free(f->irqs.fds);
    f->irqs.fds = NULL;
    f->irqs.count = 0;
    f->irqs.wanted = 0;
}

static void detach(EpfFunction *f)
{
    if (f->irqs.count) {
        trace_epf_irq_detach(f->link->generation, f->irqs.index,
                             f->irqs.count);
        send_set_irqs(f, VFU_IRQ_DATA_NONE, 0, 0);
    }
    release(f);
}

/* As many vectors as the process has descriptors for, and no more. */
static unsigned create_fds(EpfFunction *f, unsigned count)
{
    f->irqs.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (f->irqs.epoll < 0) {
        return 0;
    }
    f->irqs.fds = g_new(int, count);
    for (unsigned i = 0; i < count; i++) {
        struct epoll_event ev = { .events = EPOLLIN | EPOLLET,
                                  .data.u32 = i };
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        if (fd < 0) {
            return i;
        }
        if (epoll_ctl(f->irqs.epoll, EPOLL_CTL_ADD, fd, &ev)) {
            close(fd);
            return i;
        }
        f->irqs.fds[i] = fd;
    }
    return count;
}

static void attach(EpfFunction *f, unsigned index, unsigned count)
{
    unsigned chunk = MIN(MAX(epf_link_caps(f->link).max_fds, 1), EPW_MAX_FDS);
    unsigned got = create_fds(f, count);

    f->irqs.index = index;
    f->irqs.wanted = count;
    f->irqs.count = got;
    if (got < count) {
        epf_client_report(f->link->client, "only %u of %u interrupt vectors "
                          "have an eventfd: %s; raise 'ulimit -n'", got, count,
                          strerror(errno));
    }
    if (!got) {
        return;
    }
    trace_epf_irq_attach(f->link->generation, index, got);
    qemu_set_fd_handler(f->irqs.epoll, on_irq, NULL, f);
    for (unsigned start = 0; start < got; start += chunk) {
        send_set_irqs(f, VFU_IRQ_DATA_EVENTFD, start,
                      MIN(chunk, got - start));
    }
}

static void sync_intx(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    unsigned intx;

    if (pci_intx(d) < 0) {
        return;
    }
    intx = qatomic_fetch_and(&f->link->intx, ~EPF_INTX_ASSERTED);
    if (msi_enabled(d) || msix_enabled(d) || epf_link_dead(f->link)) {
        intx = 0;
    }
    if (intx & EPF_INTX_ASSERTED) {
        pci_irq_assert(d);
    }
    pci_set_irq(d, intx & EPF_INTX_LEVEL);
}

void epf_irq_sync(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    unsigned index = f->irqs.index;
    unsigned count = 0;

    if (msix_enabled(d)) {
        index = VFU_IRQ_MSIX;
        count = MIN(d->msix_entries_nr, f->link->irqs[index]);
    } else if (msi_enabled(d)) {
        index = VFU_IRQ_MSI;
        count = MIN(msi_nr_vectors_allocated(d), f->link->irqs[index]);
    }
    if (index != f->irqs.index || count != f->irqs.wanted) {
        detach(f);
        if (count) {
            attach(f, index, count);
        }
    }
    sync_intx(f);
}

void epf_irq_init(EpfFunction *f)
{
    f->irqs.epoll = -1;
    f->irqs.index = VFU_IRQ_MSI;
}

void epf_irq_exit(EpfFunction *f)
{
    detach(f);
}
