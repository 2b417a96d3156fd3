/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Eventfds that the host passed, one for each vector of a function
 *
 * All functions need EpcState.lock, since they change members of EpcFunction.
 */
#ifndef HW_PCI_EP_ENDPOINT_IRQS_H
#define HW_PCI_EP_ENDPOINT_IRQS_H

#include "qemu/bitmap.h"
#include "qemu/event_notifier.h"
#include "hw/pci-ep/pci-epc-regs.h"

struct EpcFunction;

/*
 * The eventfd of an MSI or MSI-X vector. endpoint/ioeventfd.c holds a reference
 * while a raise register signals it.
 */
typedef struct EpcEventfd {
    EventNotifier n;
    unsigned refs;
    uint64_t used;              /* EpcIrqs.uses when QEMU signalled it last */
} EpcEventfd;

typedef struct EpcIrqs {
    int intx;                   /* file descriptor, or -1 */
    EpcEventfd *msi[EPC_MAX_MSI];
    EpcEventfd *msix[EPC_MAX_MSIX];
    DECLARE_BITMAP(masked, EPC_MAX_MSIX);   /* MSI-X, as the host told */
    bool scarce;                /* not all can be signalled by ioeventfds */
    uint64_t uses;
} EpcIrqs;

void epc_irqs_init(EpcIrqs *irqs);

/* Detaches and closes all eventfds of @fn. */
void epc_irqs_clear(struct EpcFunction *fn);

/*
 * Makes @fd the eventfd of vector @n of VFU_IRQ_* @index and takes it over; -1
 * detaches the vector. The caller has checked index and vector.
 */
void epc_irqs_set(struct EpcFunction *fn, unsigned index, unsigned n, int fd);

/*
 * The host has masked or unmasked @count vectors of MSI-X from @first on. The
 * caller has checked the range. Returns whether that changes anything.
 */
bool epc_irqs_mask(struct EpcFunction *fn, unsigned first, unsigned count,
                   bool masked);
/* EPC_FN_MSIX_MASK(@n), n below EPC_FN_MSIX_MASKS */
uint32_t epc_irqs_masked(struct EpcFunction *fn, unsigned n);

void epc_irqs_unref(EpcEventfd *e);

/* QEMU has signalled @e, so it may deserve to be signalled by an ioeventfd. */
void epc_irqs_used(struct EpcFunction *fn, EpcEventfd *e);

/*
 * An eventfd, or something that epc_fn_may_dma() depends on, has changed: has
 * epc_ioeventfd_update() bring the raise registers of @fn up to date soon.
 */
void epc_irqs_changed(struct EpcFunction *fn);

#endif /* HW_PCI_EP_ENDPOINT_IRQS_H */
