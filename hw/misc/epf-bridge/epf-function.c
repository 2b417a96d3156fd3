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
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "epf-function.h"
#include "trace.h"

static uint32_t epf_function_config_read(PCIDevice *d, uint32_t addr, int len)
{
    EpfFunction *f = EPF_FUNCTION(d);

    if (epf_link_dead(f->link)) {
        return UINT32_MAX;
    }
    return epf_caps_read(f, addr, len);
}

static void epf_function_config_write(PCIDevice *d, uint32_t addr,
                                      uint32_t val, int len)
{
    EpfFunction *f = EPF_FUNCTION(d);
    uint32_t le, told = val;

    if (epf_link_dead(f->link)) {
        return;
    }
    ep_irqfds_begin(f->irqs.set);
    pci_default_write_config(d, addr, val, len);
    /*
     * The eventfds before the enable bit: an endpoint that sees MSI enabled
     * can raise it.
     */
    epf_irq_sync(f);
    if (epf_msix_forwarded(f, addr, &told, len)) {
        le = cpu_to_le32(told);
        epf_link_write(f->link, VFU_REGION_CONFIG, addr, &le, len);
    }
    if (d->exp.exp_cap) {
        pcie_cap_flr_write_config(d, addr, val, len);
        epf_irq_sync(f);
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
    d->config[PCI_INTERRUPT_PIN] = from[PCI_INTERRUPT_PIN];
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
}

static void epf_function_exit(PCIDevice *d)
{
    EpfFunction *f = EPF_FUNCTION(d);

    epf_dma_exit(f);
    epf_irq_exit(f);
    epf_bars_exit(f);
    epf_caps_exit(f);
}

static void epf_function_finalize(Object *obj)
{
    EpfFunction *f = EPF_FUNCTION(obj);

    epf_bars_finalize(f);
    epf_link_unref(f->link);
}

EpfFunction *epf_function_new(EpfLink *link, unsigned func)
{
    PCIDevice *d = pci_new(PCI_DEVFN(0, func), TYPE_EPF_FUNCTION);
    EpfFunction *f = EPF_FUNCTION(d);

    f->link = epf_link_ref(link);
    if (link->functions != BIT(0)) {
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
};

DEFINE_TYPES(epf_function_types)
