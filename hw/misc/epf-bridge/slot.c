/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-slot: hot-plug registers of the root port, driven by the link
 *
 * QEMU's slot knows an attention button, a power controller and presence
 * detection.  A card that comes and goes with its link needs less and more:
 * no button, since Linux then does not watch presence; no power controller,
 * since switching it off would remove functions that belong to the endpoint;
 * but Data Link Layer State Changed events.
 */
#include "qemu/osdep.h"
#include "qemu/range.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "hw/pci/pcie.h"
#include "epf-bridge.h"
#include "trace.h"

/* Events with the same bit in Slot Control and Slot Status */
#define SAME_BIT_EVENTS (PCI_EXP_SLTSTA_ABP | PCI_EXP_SLTSTA_PDC | \
                         PCI_EXP_SLTSTA_CC)
#define ALL_EVENTS      (SAME_BIT_EVENTS | PCI_EXP_SLTSTA_DLLSC)

static uint16_t get_reg(PCIDevice *d, unsigned reg)
{
    return pci_get_word(d->config + d->exp.exp_cap + reg);
}

static bool event_pending(PCIDevice *d)
{
    uint16_t ctl = get_reg(d, PCI_EXP_SLTCTL);
    uint16_t sta = get_reg(d, PCI_EXP_SLTSTA);

    return (ctl & PCI_EXP_SLTCTL_HPIE) &&
           ((ctl & sta & SAME_BIT_EVENTS) ||
            ((ctl & PCI_EXP_SLTCTL_DLLSCE) && (sta & PCI_EXP_SLTSTA_DLLSC)));
}

/* @notified: an interrupt for what is pending has been sent already. */
static void update_irq(PCIDevice *d, bool notified)
{
    bool pending = event_pending(d);
    uint16_t flags = get_reg(d, PCI_EXP_FLAGS);
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
    } else if (pci_intx(d) >= 0) {
        pci_set_irq(d, pending);
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
    d->exp.hpev_notified = event_pending(d);
}

/* The bits of a write of @len bytes at @addr that fall on the word at @reg. */
static uint16_t bits_for(uint32_t addr, uint32_t val, int len, uint32_t reg)
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

    w->status = get_reg(d, PCI_EXP_SLTSTA);
    w->pending = event_pending(d);
    /* QEMU takes the written bit for a power switch even without one */
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
         * QEMU takes back a clear that also named events which had not
         * happened, as Linux's first one does; a register clears what it is
         * told to.
         */
        now = get_reg(d, PCI_EXP_SLTSTA);
        clear = bits_for(addr, val, len, cap + PCI_EXP_SLTSTA);
        events = w->status & ALL_EVENTS & ~clear;
        if (ctl) {
            events |= now & PCI_EXP_SLTSTA_CC;
        }
        pci_set_word(d->config + cap + PCI_EXP_SLTSTA,
                     (now & ~ALL_EVENTS) | events);
    }
    update_irq(d, notified);
}

void epf_slot_set_present(PCIDevice *d, bool present)
{
    uint8_t *cap = d->config + d->exp.exp_cap;
    bool notified = event_pending(d);

    if (present) {
        pci_word_test_and_set_mask(cap + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_PDS);
        pci_word_test_and_set_mask(cap + PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_DLLLA);
    } else {
        pci_word_test_and_clear_mask(cap + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_PDS);
        pci_word_test_and_clear_mask(cap + PCI_EXP_LNKSTA,
                                     PCI_EXP_LNKSTA_DLLLA);
    }
    pci_word_test_and_set_mask(cap + PCI_EXP_SLTSTA,
                               PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
    trace_epf_slot_present(d->name, present, get_reg(d, PCI_EXP_SLTSTA));
    update_irq(d, notified);
}
