/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Eventfds that the host passed, one for each vector of a function
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitmap.h"
#include "qemu/main-loop.h"
#include "hw/pci-ep/vfio-user-proto.h"
#include "hw/pci-ep/endpoint/irqs.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/server/server.h"
#include "hw/pci-ep/shared/eventfd.h"

void epc_irqs_changed(EpcFunction *fn)
{
    EpcState *s = fn->epc;

    if (s->ioeventfd) {
        fn->io_stale = true;
        qatomic_set(&s->io_stale, true);
        qemu_bh_schedule(s->bh);
    }
}

void epc_irqs_used(EpcFunction *fn, EpcEventfd *e)
{
    if (fn->irqs.scarce) {
        e->used = ++fn->irqs.uses;
        epc_irqs_changed(fn);
    }
}

void epc_irqs_unref(EpcEventfd *e)
{
    if (--e->refs == 0) {
        event_notifier_cleanup(&e->n);
        g_free(e);
    }
}

static EpcEventfd *irqs_eventfd_new(int fd)
{
    EpcEventfd *e = g_new0(EpcEventfd, 1);

    event_notifier_init_fd(&e->n, fd);
    e->refs = 1;
    return e;
}

/*
 * Empties an eventfd that a raise register still signals. What is counted in it
 * afterwards is a raise that came late; ioeventfd_release() looks for it.
 */
static void irqs_detach(EpcEventfd **slot)
{
    EpcEventfd *e = *slot;

    if (e) {
        *slot = NULL;
        if (e->refs > 1) {
            ep_eventfd_read_nowait(event_notifier_get_fd(&e->n));
        }
        epc_irqs_unref(e);
    }
}

static void irqs_close_intx(EpcIrqs *irqs)
{
    if (irqs->intx >= 0) {
        close(irqs->intx);
        irqs->intx = -1;
    }
}

void epc_irqs_init(EpcIrqs *irqs)
{
    *irqs = (EpcIrqs) { .intx = -1 };
    bitmap_fill(irqs->masked, EPC_MAX_MSIX);
}

void epc_irqs_clear(EpcFunction *fn)
{
    EpcIrqs *irqs = &fn->irqs;

    irqs_close_intx(irqs);
    for (unsigned n = 0; n < ARRAY_SIZE(irqs->msi); n++) {
        irqs_detach(&irqs->msi[n]);
    }
    for (unsigned n = 0; n < ARRAY_SIZE(irqs->msix); n++) {
        irqs_detach(&irqs->msix[n]);
    }
    epc_irqs_changed(fn);
}

static EpcEventfd **irqs_slot(EpcIrqs *irqs, unsigned index, unsigned n)
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
    EpcEventfd **slot = irqs_slot(&fn->irqs, index, n);

    if (slot) {
        irqs_detach(slot);
        *slot = fd >= 0 ? irqs_eventfd_new(fd) : NULL;
        epc_irqs_changed(fn);
    } else if (index == VFU_IRQ_INTX && n == 0) {
        irqs_close_intx(&fn->irqs);
        fn->irqs.intx = fd;
    } else if (fd >= 0) {
        close(fd);
    }
}

/* ---- Masks of MSI-X vectors ---- */

/*
 * The host keeps what is raised in a masked vector, so these masks are only for
 * the endpoint guest to see.
 */
bool epc_irqs_mask(EpcFunction *fn, unsigned first, unsigned count,
                   bool masked)
{
    unsigned long *bits = fn->irqs.masked;
    unsigned end = first + count;
    unsigned n = masked ? find_next_zero_bit(bits, end, first) :
                          find_next_bit(bits, end, first);

    if (n >= end) {
        return false;
    }
    if (masked) {
        bitmap_set(bits, first, count);
    } else {
        bitmap_clear(bits, first, count);
    }
    return true;
}

uint32_t epc_irqs_masked(EpcFunction *fn, unsigned n)
{
    uint32_t v = 0;

    if (epc_server_tells_masks(fn->server)) {
        for (unsigned i = 0; i < 32; i++) {
            v |= (uint32_t)test_bit(n * 32 + i, fn->irqs.masked) << i;
        }
    }
    return v;
}
