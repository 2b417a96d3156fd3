/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * function: the PCI device that the guest sees for one remote
 *
 * Reads of configuration space are answered from the local copy, but for
 * registers that the endpoint carries out itself (function/caps.c).  Writes are
 * carried out here and then sent to the endpoint, in order and as the guest
 * wrote them.  A function level reset reaches the endpoint in this way as well,
 * as a write to Device Control, so nothing else announces it.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_sriov.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "hw/misc/epf-bridge/function/aer.h"
#include "hw/misc/epf-bridge/function/bars.h"
#include "hw/misc/epf-bridge/function/caps.h"
#include "hw/misc/epf-bridge/function/function.h"
#include "hw/misc/epf-bridge/function/inject.h"
#include "hw/misc/epf-bridge/function/irq.h"
#include "hw/misc/epf-bridge/function/msix.h"
#include "hw/misc/epf-bridge/function/reach.h"
#include "hw/misc/epf-bridge/function/sriov.h"
#include "hw/misc/epf-bridge/function/vf.h"
#include "hw/misc/epf-bridge/remote/calls.h"
#include "hw/pci-ep/shared/last-ref.h"

/* ---- Configuration space ---- */

static uint32_t epf_function_show(PCIDevice *d, uint32_t addr, uint32_t val,
                                  int len)
{
    return pci_is_vf(d) ? epf_vf_mask(addr, val, len) : val;
}

/* Returns what the guest wrote, with the bits that it could change. */
static uint32_t epf_function_read_local(PCIDevice *d, uint32_t addr, int len)
{
    return epf_function_show(d, addr, pci_default_read_config(d, addr, len),
                             len);
}

static uint32_t epf_function_config_read(PCIDevice *d, uint32_t addr, int len)
{
    EpfFunction *f = EPF_FUNCTION(d);
    uint32_t val;

    if (epf_reach_ends(f)) {
        return UINT32_MAX;
    }
    if (epf_inject_config_read(f, addr, len, &val)) {
        return val;
    }
    /* A fault may have delayed the access, and the link went down meanwhile. */
    if (epf_reach_ends(f)) {
        return UINT32_MAX;
    }
    val = epf_irq_show_status(f, addr, epf_caps_read(f, addr, len), len);
    return epf_function_show(d, addr, val, len);
}

/* Has the guest just started a function level reset? */
static bool epf_function_in_flr(PCIDevice *d)
{
    return d->exp.exp_cap && (pci_get_word(d->config + d->exp.exp_cap +
                                           PCI_EXP_DEVCTL) &
                              PCI_EXP_DEVCTL_BCR_FLR);
}

void epf_function_was_reset(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);

    /*
     * QEMU has cleared the register but still lets the function master the bus;
     * it looks at the register when somebody writes to it.
     */
    pci_default_write_config(d, PCI_COMMAND,
                             pci_get_word(d->config + PCI_COMMAND), 2);
    epf_irq_sync_vectors(f);
}

static void epf_function_config_write(PCIDevice *d, uint32_t addr,
                                      uint32_t val, int len)
{
    EpfFunction *f = EPF_FUNCTION(d);
    bool sriov = epf_sriov_written(f, addr, len);
    uint32_t le, sent = val;
    bool flr;

    EP_BQL_HELD();
    if (epf_reach_ends(f) || epf_inject_config_write(f, addr)) {
        return;
    }
    ep_irqfds_begin(f->irqs.set);
    /* One transaction, so that all functions are waited for once */
    memory_region_transaction_begin();
    pci_default_write_config(d, addr, val, len);
    epf_aer_written(f, addr, val, len);
    memory_region_transaction_commit();
    /*
     * The eventfds are sent before the enable bit, because an endpoint that
     * sees MSI enabled may raise an interrupt at once.
     */
    epf_irq_sync(f);
    /* QEMU refuses VF Enable when NumVFs is too large. */
    if (sriov || (pci_is_vf(d) && addr < PCI_CONFIG_HEADER_SIZE)) {
        sent = epf_function_read_local(d, addr, len);
    }
    if (epf_msix_forwarded(f, addr, &sent, len)) {
        le = cpu_to_le32(sent);
        epf_remote_write_settled(f->remote, VFU_REGION_CONFIG, addr, &le, len);
    }
    flr = epf_function_in_flr(d);
    if (flr) {
        memory_region_transaction_begin();
        pcie_cap_flr_write_config(d, addr, val, len);
        epf_function_was_reset(f);
        memory_region_transaction_commit();
    }
    /*
     * The vCPU goes on, and can access virtual functions, after the endpoint
     * has enabled them.
     */
    if (sriov || flr) {
        epf_sriov_sync(f);
    }
}

static void epf_function_reset_hold(Object *obj, ResetType type)
{
    EpfFunction *f = EPF_FUNCTION(obj);
    PCIDevice *d = PCI_DEVICE(f);
    uint8_t cap = d->exp.exp_cap;
    uint16_t flr;

    if (!f->remote) {
        return;
    }
    qatomic_set(&f->remote->intx, 0);
    epf_irq_reset(f);
    if (cap) {
        /* QEMU needs the bit while it carries out a function level reset. */
        flr = pci_get_word(d->config + cap + PCI_EXP_DEVCTL) &
              PCI_EXP_DEVCTL_BCR_FLR;
        pci_set_word(d->config + cap + PCI_EXP_DEVCTL, flr |
                     (pci_get_word(f->remote->config + cap + PCI_EXP_DEVCTL) &
                      ~PCI_EXP_DEVCTL_BCR_FLR));
        pci_set_word(d->config + cap + PCI_EXP_DEVSTA, 0);
        if ((d->config[cap + PCI_EXP_FLAGS] & PCI_EXP_FLAGS_VERS) > 1) {
            pci_set_word(d->config + cap + PCI_EXP_DEVCTL2, 0);
        }
    }
}

/* ---- Life ---- */

static void epf_function_copy_header(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    const uint8_t *from = f->remote->config;

    memcpy(d->config + PCI_VENDOR_ID, from + PCI_VENDOR_ID, 4);
    /* Revision and class code */
    memcpy(d->config + PCI_REVISION_ID, from + PCI_REVISION_ID, 4);
    memcpy(d->config + PCI_SUBSYSTEM_VENDOR_ID,
           from + PCI_SUBSYSTEM_VENDOR_ID, 4);
    d->config[PCI_INTERRUPT_PIN] = pci_is_vf(d) ? 0 : from[PCI_INTERRUPT_PIN];
}

static void epf_function_exit(PCIDevice *d)
{
    EpfFunction *f = EPF_FUNCTION(d);

    EP_BQL_HELD();
    epf_sriov_exit(f);
    f->ops->detach(f);
    epf_irq_exit(f);
    epf_bars_exit(f);
    epf_caps_exit(f);
    ep_last_ref_keep(OBJECT(f));
}

static void epf_function_realize(PCIDevice *d, Error **errp)
{
    EpfFunction *f = EPF_FUNCTION(d);

    ERRP_GUARD();
    if (!f->remote) {
        error_setg(errp, "only an epf-bridge can create an epf-function");
        error_append_hint(errp, "Add an epf-bridge instead.\n");
        return;
    }
    epf_function_copy_header(f);
    epf_bars_init(f);
    if (!epf_caps_init(f, errp)) {
        epf_caps_exit(f);
        epf_bars_exit(f);
        return;
    }
    epf_bars_register(f);
    epf_irq_init(f);
    epf_bars_sync(f);
    f->ops->attach(f);
    epf_irq_sync_vectors(f);
    if (!epf_sriov_init(f, errp)) {
        epf_function_exit(d);
    }
}

static void epf_function_vf_realize(PCIDevice *d, Error **errp)
{
    if (pcie_sriov_get_pf(d)) {
        epf_vf_init(EPF_FUNCTION(d));
    }
    epf_function_realize(d, errp);
}

static void epf_function_vf_exit(PCIDevice *d)
{
    epf_vf_exit(EPF_FUNCTION(d));
    epf_function_exit(d);
}

static void epf_function_finalize(Object *obj)
{
    EpfFunction *f = EPF_FUNCTION(obj);

    epf_bars_finalize(f);
    epf_remote_unref(f->remote);
}

EpfFunction *epf_function_new(EpfRemote *r, const EpfFunctionOps *ops,
                              unsigned func, bool multi)
{
    PCIDevice *d = pci_new(PCI_DEVFN(0, func), TYPE_EPF_FUNCTION);
    EpfFunction *f = EPF_FUNCTION(d);

    f->remote = epf_remote_ref(r);
    f->ops = ops;
    if (multi) {
        d->cap_present |= QEMU_PCI_CAP_MULTIFUNCTION;
    }
    return f;
}

static const VMStateDescription epf_function_vmstate = {
    .name = TYPE_EPF_FUNCTION,
    .unmigratable = 1,
};

static void epf_function_class_init(ObjectClass *oc, EPC_CONST void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(oc);
    ResettableClass *rc = RESETTABLE_CLASS(oc);

    k->realize = epf_function_realize;
    k->exit = epf_function_exit;
    k->config_read = epf_function_config_read;
    k->config_write = epf_function_config_write;
    rc->phases.hold = epf_function_reset_hold;
    dc->desc = "Function of a remote PCI endpoint";
    dc->vmsd = &epf_function_vmstate;
    dc->user_creatable = false;
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static void epf_function_vf_class_init(ObjectClass *oc, EPC_CONST void *data)
{
    PCIDeviceClass *k = PCI_DEVICE_CLASS(oc);

    k->realize = epf_function_vf_realize;
    k->exit = epf_function_vf_exit;
    DEVICE_CLASS(oc)->desc = "Virtual function of a remote PCI endpoint";
    DEVICE_CLASS(oc)->user_creatable = false;
}

static const TypeInfo epf_function_types[] = {
    {
        .name = TYPE_EPF_FUNCTION,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(EpfFunction),
        .instance_finalize = epf_function_finalize,
        .class_init = epf_function_class_init,
        .interfaces = (EPC_CONST InterfaceInfo[]) {
            { INTERFACE_PCIE_DEVICE },
            { }
        },
    },
    {
        .name = TYPE_EPF_VIRTUAL_FUNCTION,
        .parent = TYPE_EPF_FUNCTION,
        .class_init = epf_function_vf_class_init,
    },
};

DEFINE_TYPES(epf_function_types)
