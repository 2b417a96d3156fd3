/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slot: hot-plug registers of the root port
 *
 * QEMU's slot has an attention button, a power controller and presence
 * detection.  This slot has no button, because Linux does not watch presence in
 * a slot that has one.  It has no power controller, because switching it off
 * would remove functions that belong to the endpoint.  It adds the event Data
 * Link Layer State Changed, because the card comes and goes with its link.
 */
#include "qemu/osdep.h"
#include "qemu/range.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "hw/pci/pcie.h"
#include "hw/misc/epf-bridge/port.h"
#include "hw/misc/epf-bridge/slot.h"
#include "hw/misc/epf-bridge/trace.h"

/* Events with the same bit in Slot Control and Slot Status */
#define EPF_SLOT_SAME_BIT   (PCI_EXP_SLTSTA_ABP | PCI_EXP_SLTSTA_PDC | \
                             PCI_EXP_SLTSTA_CC)
#define EPF_SLOT_EVENTS     (EPF_SLOT_SAME_BIT | PCI_EXP_SLTSTA_DLLSC)

static uint16_t epf_slot_reg(PCIDevice *d, unsigned reg)
{
    return pci_get_word(d->config + d->exp.exp_cap + reg);
}

bool epf_slot_event_pending(PCIDevice *d)
{
    uint16_t ctl = epf_slot_reg(d, PCI_EXP_SLTCTL);
    uint16_t sta = epf_slot_reg(d, PCI_EXP_SLTSTA);

    return (ctl & PCI_EXP_SLTCTL_HPIE) &&
           ((ctl & sta & EPF_SLOT_SAME_BIT) ||
            ((ctl & PCI_EXP_SLTCTL_DLLSCE) && (sta & PCI_EXP_SLTSTA_DLLSC)));
}

/* @notified: the guest has been interrupted for the pending event already. */
static void epf_slot_update_irq(PCIDevice *d, bool notified)
{
    bool pending = epf_slot_event_pending(d);
    uint16_t flags = epf_slot_reg(d, PCI_EXP_FLAGS);
    unsigned vector = (flags & PCI_EXP_FLAGS_IRQ) >> ctz32(PCI_EXP_FLAGS_IRQ);

    d->exp.hpev_notified = pending;
    if (msix_enabled(d) || msi_enabled(d)) {
        if (!pending || notified) {
            return;
        }
        if (msix_enabled(d)) {
            msix_notify(d, vector);
        } else {
            msi_notify(d, vector);
        }
    } else {
        epf_port_set_pin(d);
    }
}

void epf_slot_init(PCIDevice *d)
{
    uint8_t *cap = d->config + d->exp.exp_cap;

    pci_long_test_and_clear_mask(cap + PCI_EXP_SLTCAP,
                                 PCI_EXP_SLTCAP_ABP | PCI_EXP_SLTCAP_AIP |
                                 PCI_EXP_SLTCAP_PIP | PCI_EXP_SLTCAP_EIP |
                                 PCI_EXP_SLTCAP_PCP);
    pci_word_test_and_set_mask(d->wmask + d->exp.exp_cap + PCI_EXP_SLTCTL,
                               PCI_EXP_SLTCTL_DLLSCE);
    pci_word_test_and_set_mask(d->w1cmask + d->exp.exp_cap + PCI_EXP_SLTSTA,
                               PCI_EXP_SLTSTA_DLLSC);
}

void epf_slot_reset(PCIDevice *d)
{
    uint8_t *cap = d->config + d->exp.exp_cap;

    pci_word_test_and_clear_mask(cap + PCI_EXP_SLTCTL, PCI_EXP_SLTCTL_DLLSCE);
    pci_word_test_and_clear_mask(cap + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_DLLSC);
    d->exp.hpev_notified = epf_slot_event_pending(d);
}

/* Returns what a write of @len bytes at @addr means for the word at @reg. */
static uint16_t epf_slot_bits(uint32_t addr, uint32_t val, int len,
                              uint32_t reg)
{
    uint64_t wide = (uint64_t)val & MAKE_64BIT_MASK(0, len * 8);

    if (!ranges_overlap(addr, len, reg, 2)) {
        return 0;
    }
    return addr <= reg ? wide >> ((reg - addr) * 8) : wide << 8;
}

uint32_t epf_slot_write_begin(PCIDevice *d, uint32_t addr, uint32_t val,
                              int len, EpfSlotWrite *w)
{
    uint32_t ctl = d->exp.exp_cap + PCI_EXP_SLTCTL;

    w->status = epf_slot_reg(d, PCI_EXP_SLTSTA);
    w->pending = epf_slot_event_pending(d);
    /* QEMU acts on this bit even in a slot without a power controller. */
    if (addr == ctl) {
        val &= ~PCI_EXP_SLTCTL_PCC;
    }
    return val;
}

void epf_slot_write_end(PCIDevice *d, uint32_t addr, uint32_t val, int len,
                        const EpfSlotWrite *w)
{
    uint32_t cap = d->exp.exp_cap;
    bool ctl = ranges_overlap(addr, len, cap + PCI_EXP_SLTCTL, 2);
    bool sta = ranges_overlap(addr, len, cap + PCI_EXP_SLTSTA, 2);
    bool notified = w->pending || d->exp.hpev_notified;
    uint16_t now, clear, events;

    if (!ctl && !sta) {
        return;
    }
    if (sta) {
        /*
         * QEMU undoes the clearing of all bits when one of them names an event
         * that had not happened.  Linux writes such a value first.  A register
         * clears the bits that are written as 1, whatever they were.
         */
        now = epf_slot_reg(d, PCI_EXP_SLTSTA);
        clear = epf_slot_bits(addr, val, len, cap + PCI_EXP_SLTSTA);
        events = w->status & EPF_SLOT_EVENTS & ~clear;
        if (ctl) {
            events |= now & PCI_EXP_SLTSTA_CC;
        }
        pci_set_word(d->config + cap + PCI_EXP_SLTSTA,
                     (now & ~EPF_SLOT_EVENTS) | events);
    }
    epf_slot_update_irq(d, notified);
}

/* Sets or clears @bit.  Returns whether it has changed. */
static bool epf_slot_set_bit(uint8_t *reg, uint16_t bit, bool on)
{
    uint16_t was = on ? pci_word_test_and_set_mask(reg, bit) :
                        pci_word_test_and_clear_mask(reg, bit);

    return !was == on;
}

void epf_slot_set_state(PCIDevice *d, bool present, bool active)
{
    uint8_t *cap = d->config + d->exp.exp_cap;
    bool notified = epf_slot_event_pending(d);
    uint16_t events = 0;

    if (epf_slot_set_bit(cap + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_PDS, present)) {
        events |= PCI_EXP_SLTSTA_PDC;
    }
    if (epf_slot_set_bit(cap + PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_DLLLA, active)) {
        events |= PCI_EXP_SLTSTA_DLLSC;
    }
    if (events) {
        pci_word_test_and_set_mask(cap + PCI_EXP_SLTSTA, events);
        trace_epf_bridge_slot_state(d->qdev.id ?: d->name, present, active,
                                    epf_slot_reg(d, PCI_EXP_SLTSTA));
        epf_slot_update_irq(d, notified);
    }
}
