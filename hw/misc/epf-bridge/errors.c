/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * errors: errors that the port and its functions report
 *
 * QEMU's pcie_aer.c sets the status bits, and follows the message from the
 * function through the port to Root Error Status and the interrupt.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pcie.h"
#include "hw/misc/epf-bridge/errors.h"
#include "hw/misc/epf-bridge/function/aer.h"
#include "hw/misc/epf-bridge/function/reach.h"
#include "hw/misc/epf-bridge/link.h"

static const PCIEAERErr epf_errors_examples[] = {
    [EP_FAULT_CORRECTABLE] = {
        .status = PCI_ERR_COR_BAD_TLP, .flags = PCIE_AER_ERR_IS_CORRECTABLE,
    },
    [EP_FAULT_NONFATAL] = { .status = PCI_ERR_UNC_POISON_TLP },
    [EP_FAULT_FATAL] = { .status = PCI_ERR_UNC_MALF_TLP },
};

/*
 * pcie_aer_inject_uncor_error() of QEMU writes 32 bits to Device Status, which
 * has 16, and so the low half of Link Capabilities.
 */
static void epf_errors_inject(PCIDevice *d, const PCIEAERErr *err)
{
    uint8_t *link = d->config + d->exp.exp_cap + PCI_EXP_LNKCAP;
    uint32_t was = pci_get_long(link);

    pcie_aer_inject_error(d, err);
    pci_set_long(link, was);
}

/*
 * QEMU applies Bridge Control and Secondary Status, which are for messages of
 * functions, to errors of the port itself, too.
 */
static void epf_errors_inject_port(PCIDevice *port, const PCIEAERErr *err,
                                   bool send)
{
    uint8_t *control = port->config + PCI_BRIDGE_CONTROL;
    uint8_t *status = port->config + PCI_SEC_STATUS;
    uint16_t control_was = pci_get_word(control);
    uint16_t status_was = pci_get_word(status);

    pci_set_word(control, send ? control_was | PCI_BRIDGE_CTL_SERR :
                                 control_was & ~PCI_BRIDGE_CTL_SERR);
    epf_errors_inject(port, err);
    pci_set_word(control, control_was);
    pci_set_word(status, status_was);
}

/*
 * An error that triggers containment is not sent as a message, nor is one that
 * the port receives forwarded (PCI Express Base 5.0, 6.2.10).
 */
static void epf_errors_report_port(EpfBridge *b, const PCIEAERErr *err)
{
    PCIDevice *port = PCI_DEVICE(b);
    bool correctable = err->flags & PCIE_AER_ERR_IS_CORRECTABLE;
    uint32_t mask = pci_get_long(port->config + port->exp.aer_cap +
                                 PCI_ERR_UNCOR_MASK);
    bool contain = !correctable && !(mask & err->status) &&
                   epf_dpc_triggers(port, EPF_DPC_UNCORRECTABLE);

    epf_errors_inject_port(port, err, !contain);
    if (contain) {
        epf_link_contain(b, EPF_DPC_UNCORRECTABLE, 0);
    }
}

/*
 * Returns true when the message of @d arrives at the port, which does not
 * forward it. Secondary Status says so.
 */
static bool epf_errors_reach_port(PCIDevice *port, PCIDevice *d,
                                  const PCIEAERErr *err)
{
    uint8_t *control = port->config + PCI_BRIDGE_CONTROL;
    uint8_t *status = port->config + PCI_SEC_STATUS;
    uint16_t control_was = pci_get_word(control);
    uint16_t status_was = pci_get_word(status);
    bool arrived;

    pci_set_word(control, control_was & ~PCI_BRIDGE_CTL_SERR);
    pci_set_word(status, status_was & ~PCI_SEC_STATUS_RCV_SYSTEM_ERROR);
    epf_errors_inject(d, err);
    arrived = pci_get_word(status) & PCI_SEC_STATUS_RCV_SYSTEM_ERROR;
    pci_set_word(control, control_was);
    pci_set_word(status, status_was |
                         (arrived ? PCI_SEC_STATUS_RCV_SYSTEM_ERROR : 0));
    return arrived;
}

static void epf_errors_report_function(EpfBridge *b, PCIDevice *d,
                                       const PCIEAERErr *err)
{
    PCIDevice *port = PCI_DEVICE(b);
    uint32_t fatal = pci_get_long(d->config + d->exp.aer_cap +
                                  PCI_ERR_UNCOR_SEVER);
    EpfDpcReason reason = fatal & err->status ? EPF_DPC_FATAL :
                                                EPF_DPC_NONFATAL;

    if ((err->flags & PCIE_AER_ERR_IS_CORRECTABLE) ||
        !epf_dpc_triggers(port, reason)) {
        epf_errors_inject(d, err);
    } else if (epf_errors_reach_port(port, d, err)) {
        epf_link_contain(b, reason, err->source_id);
    }
}

/* Returns the function that is to report, or NULL with @errp. */
static PCIDevice *epf_errors_find(EpfBridge *b, uint32_t func, Error **errp)
{
    EpfFunction *f = func < EPF_MAX_FUNCTIONS ? b->functions[func] : NULL;

    if (!f || epf_reach_ends(f)) {
        error_setg(errp, "there is no function %u", func);
    } else if (!PCI_DEVICE(f)->exp.aer_cap) {
        error_setg(errp, "function %u has no Advanced Error Reporting", func);
    } else {
        return PCI_DEVICE(f);
    }
    return NULL;
}

uint32_t epf_errors_report(EpfBridge *b, uint32_t func,
                           EpFaultSeverity severity, Error **errp)
{
    PCIEAERErr err = epf_errors_examples[severity];
    PCIDevice *port = PCI_DEVICE(b);
    PCIDevice *d = func == EP_FAULT_EVERY ? port :
                   epf_errors_find(b, func, errp);

    if (!d) {
        return 0;
    }
    err.source_id = pci_requester_id(d);
    if (d == port) {
        epf_errors_report_port(b, &err);
    } else {
        epf_errors_report_function(b, d, &err);
    }
    return err.status;
}

void epf_errors_detect(EpfBridge *b, uint32_t status)
{
    PCIEAERErr err = {
        .status = status, .source_id = pci_requester_id(PCI_DEVICE(b)),
    };

    epf_errors_report_port(b, &err);
}

/* QEMU resets Root Error Command. */
void epf_errors_reset(EpfBridge *b)
{
    PCIDevice *port = PCI_DEVICE(b);
    uint8_t *cap = port->config + port->exp.aer_cap;

    epf_aer_power_reset(port);
    pci_long_test_and_clear_mask(cap + PCI_ERR_ROOT_STATUS,
                                 (uint32_t)~PCI_ERR_ROOT_IRQ);
    pci_set_long(cap + PCI_ERR_ROOT_ERR_SRC, 0);
    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        if (b->functions[i]) {
            epf_aer_power_reset(PCI_DEVICE(b->functions[i]));
        }
    }
}
