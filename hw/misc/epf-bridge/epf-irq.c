/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-irq: interrupts of a remote function
 *
 * While the guest has MSI or MSI-X enabled the endpoint holds one eventfd per
 * vector, which ep-irqfd turns into interrupts.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "epf-function.h"
#include "trace.h"

#define MSI_VECTORS 32      /* at most, as MSI says */

static void irq_taken(void *opaque, unsigned line, unsigned vector,
                      bool enabled)
{
    EpfFunction *f = opaque;

    epf_client_count_interrupt(f->link->client);
    trace_epf_irq(f->link->generation, f->irqs.index, vector);
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
    for (unsigned i = 0; i < f->irqs.count; i++) {
        ep_irqfds_close(f->irqs.set, i);
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
static unsigned open_lines(EpfFunction *f, unsigned count, int *err)
{
    f->irqs.fds = g_new(int, count);
    for (unsigned i = 0; i < count; i++) {
        f->irqs.fds[i] = ep_irqfds_open(f->irqs.set, i, i);
        if (f->irqs.fds[i] < 0) {
            *err = -f->irqs.fds[i];
            return i;
        }
    }
    return count;
}

static void attach(EpfFunction *f, unsigned index, unsigned count)
{
    unsigned chunk = MIN(MAX(epf_link_caps(f->link).max_fds, 1), EPW_MAX_FDS);
    int err = 0;
    unsigned got = open_lines(f, count, &err);

    f->irqs.index = index;
    f->irqs.wanted = count;
    f->irqs.count = got;
    if (got < count) {
        epf_client_report(f->link->client, "only %u of %u interrupt vectors "
                          "have an eventfd: %s; raise 'ulimit -n'", got, count,
                          strerror(err));
    }
    if (!got) {
        return;
    }
    trace_epf_irq_attach(f->link->generation, index, got);
    /* Ready to interrupt before the endpoint can */
    ep_irqfds_sync(f->irqs.set);
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
        ep_irqfds_begin(f->irqs.set);
        detach(f);
        if (count) {
            attach(f, index, count);
        }
    }
    ep_irqfds_sync(f->irqs.set);
    sync_intx(f);
}

void epf_irq_init(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    unsigned lines = MAX(MSI_VECTORS, d->msix_entries_nr);

    f->irqs.index = VFU_IRQ_MSI;
    f->irqs.set = ep_irqfds_new(d, lines, irq_taken, f);
}

void epf_irq_exit(EpfFunction *f)
{
    if (f->irqs.set) {
        detach(f);
        ep_irqfds_free(f->irqs.set);
        f->irqs.set = NULL;
    }
}
