/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts of a function to the host
 *
 * MSI and MSI-X vectors are eventfds that the host passed; the host masks them
 * itself. INTx is a level, which belongs to the function: it stays as the
 * endpoint set it while the host does not let the function use its pin. The
 * level of the pin is sent to the host in a message. A plain vfio-user client
 * passes an eventfd for it instead. That one is signalled once, and then INTx
 * is masked until the client unmasks it.
 */
#ifndef HW_PCI_EP_ENDPOINT_RAISE_H
#define HW_PCI_EP_ENDPOINT_RAISE_H

#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/endpoint/state.h"

/* Numbers of raises of a function: the vectors of MSI-X, then those of MSI */
#define EPC_RAISES (EPC_MAX_MSIX + EPC_MAX_MSI)

/*
 * The guest writes to the raise area of @fn. A message that the host has not
 * enabled is dropped and counts in EPC_FN_RAISE_DROPPED. INTx is dropped only
 * when the link is down, or the function has no pin. While accesses of other
 * hosts to the window are under way a raise waits for them
 * (endpoint/forward.h).
 */
void epc_raise_msi(EpcFunction *fn, unsigned n) EP_EXCLUDES(&fn->epc->lock);
void epc_raise_msix(EpcFunction *fn, unsigned n) EP_EXCLUDES(&fn->epc->lock);
void epc_raise_intx(EpcFunction *fn, bool level) EP_EXCLUDES(&fn->epc->lock);

/* The same for raise number @raise, and for INTx, without that wait */
void epc_raise_now(EpcFunction *fn, unsigned raise)
    EP_EXCLUDES(&fn->epc->lock);
void epc_raise_intx_now(EpcFunction *fn, bool level)
    EP_EXCLUDES(&fn->epc->lock);

/*
 * The device itself raises message interrupt @n: of MSI-X if the host has
 * enabled that, otherwise of MSI. Any thread.
 */
void epc_raise_message(EpcFunction *fn, unsigned n)
    EP_REQUIRES(&fn->epc->lock);

/* A requested fault makes raise number @raise again. */
void epc_raise_again(EpcFunction *fn, unsigned raise)
    EP_EXCLUDES(&fn->epc->lock);

/*
 * Brings Interrupt Status up to date, and sends the level of the pin to the
 * host if it has changed. Any thread.
 */
void epc_intx_update(EpcFunction *fn) EP_REQUIRES(&fn->epc->lock);

#endif /* HW_PCI_EP_ENDPOINT_RAISE_H */
