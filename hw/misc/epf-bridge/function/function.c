/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-function: the PCI device the guest sees for one link-up
 *
 * Configuration reads are answered from the local copy, but for registers of
 * capabilities that the endpoint carries out itself (epf-caps.c).
 * Writes are applied locally and told to the endpoint, as they are and in
 * order; a function level reset reaches it the same way, as the write of
 * Device Control, and is not told a second time.
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
#include "epf-function.h"
#include "trace.h"

static uint32_t show(PCIDevice *d, uint32_t addr, uint32_t val, int len)
{
    return pci_is_vf(d) ? epf_sriov_vf_mask(addr, val, len) : val;
}

/* What the guest wrote, as far as it could be written */
static uint32_t read_local(PCIDevice *d, uint32_t addr, int len)
{
    return show(d, addr, pci_default_read_config(d, addr, len), len);
}

static uint32_t epf_function_config_read(PCIDevice *d, uint32_t addr, int len)
{
    EpfFunction *f = EPF_FUNCTION(d);

    if (epf_link_dead(f->link)) {
        return UINT32_MAX;
    }
    return show(d, addr, epf_caps_read(f, addr, len), len);
}

/* Has the guest just started one? */
static bool is_flr(PCIDevice *d)
{
    return d->exp.exp_cap && (pci_get_word(d->config + d->exp.exp_cap +
                                           PCI_EXP_DEVCTL) &
                              PCI_EXP_DEVCTL_BCR_FLR);
}

void epf_function_was_reset(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);

    /* QEMU has cleared the register, and lets the function master the bus */
    pci_default_write_config(d, PCI_COMMAND,
                             pci_get_word(d->config + PCI_COMMAND), 2);
    epf_irq_sync(f);
}

static void epf_function_config_write(PCIDevice *d, uint32_t addr,
                                      uint32_t val, int len)
{
    EpfFunction *f = EPF_FUNCTION(d);
    bool sriov = epf_sriov_written(f, addr, len);
    uint32_t le, told = val;
    bool flr;

    if (epf_link_dead(f->link)) {
        return;
    }
    ep_irqfds_begin(f->irqs.set);
    /* Waits for all functions whose memory is taken together */
    memory_region_transaction_begin();
    pci_default_write_config(d, addr, val, len);
    memory_region_transaction_commit();
    /*
     * The eventfds before the enable bit: an endpoint that sees MSI enabled
     * can raise it.
     */
    epf_irq_sync(f);
    /* VF Enable is refused here when NumVFs is too large */
    if (sriov || (pci_is_vf(d) && addr < PCI_CONFIG_HEADER_SIZE)) {
        told = read_local(d, addr, len);
    }
    if (epf_msix_forwarded(f, addr, &told, len)) {
        le = cpu_to_le32(told);
        epf_link_write(f->link, VFU_REGION_CONFIG, addr, &le, len);
    }
    flr = is_flr(d);
    if (flr) {
        memory_region_transaction_begin();
        pcie_cap_flr_write_config(d, addr, val, len);
        epf_function_was_reset(f);
        memory_region_transaction_commit();
    }
    /* The guest reaches virtual functions once the endpoint has them enabled */
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

    if (!f->link) {
        return;
    }
    qatomic_set(&f->link->intx, 0);
    ep_irqfds_reset(f->irqs.set);
    if (cap) {
        /* QEMU itself needs the FLR bit while it carries that reset out */
        flr = pci_get_word(d->config + cap + PCI_EXP_DEVCTL) &
              PCI_EXP_DEVCTL_BCR_FLR;
        pci_set_word(d->config + cap + PCI_EXP_DEVCTL, flr |
                     (pci_get_word(f->link->config + cap + PCI_EXP_DEVCTL) &
                      ~PCI_EXP_DEVCTL_BCR_FLR));
        pci_set_word(d->config + cap + PCI_EXP_DEVSTA, 0);
        pci_set_word(d->config + cap + PCI_EXP_DEVCTL2, 0);
    }
}

static void copy_header(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    const uint8_t *from = f->link->config;

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

    epf_sriov_exit(f);
    epf_dma_exit(f);
    epf_irq_exit(f);
    epf_bars_exit(f);
    epf_caps_exit(f);
}

static void epf_function_realize(PCIDevice *d, Error **errp)
{
    EpfFunction *f = EPF_FUNCTION(d);

    if (!f->link) {
        error_setg(errp, "epf-function is created by an epf-bridge when its "
                   "link comes up; add an epf-bridge instead");
        return;
    }
    copy_header(f);
    epf_bars_init(f);
    if (!epf_caps_init(f, errp)) {
        epf_caps_exit(f);
        epf_bars_exit(f);
        return;
    }
    epf_bars_register(f);
    epf_irq_init(f);
    epf_bars_sync(f);
    epf_dma_init(f);
    if (!epf_sriov_init(f, errp)) {
        epf_function_exit(d);
    }
}

static void epf_vf_realize(PCIDevice *d, Error **errp)
{
    if (pcie_sriov_get_pf(d)) {
        epf_sriov_vf_init(EPF_FUNCTION(d));
    }
    epf_function_realize(d, errp);
}

static void epf_vf_exit(PCIDevice *d)
{
    epf_sriov_vf_exit(EPF_FUNCTION(d));
    epf_function_exit(d);
}

static void epf_function_finalize(Object *obj)
{
    EpfFunction *f = EPF_FUNCTION(obj);

    epf_bars_finalize(f);
    epf_link_unref(f->link);
}

EpfFunction *epf_function_new(EpfLink *link, unsigned func, bool multi)
{
    PCIDevice *d = pci_new(PCI_DEVFN(0, func), TYPE_EPF_FUNCTION);
    EpfFunction *f = EPF_FUNCTION(d);

    f->link = epf_link_ref(link);
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

static void epf_vf_class_init(ObjectClass *oc, EPC_CONST void *data)
{
    PCIDeviceClass *k = PCI_DEVICE_CLASS(oc);

    k->realize = epf_vf_realize;
    k->exit = epf_vf_exit;
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
        .class_init = epf_vf_class_init,
    },
};

DEFINE_TYPES(epf_function_types)
