/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sriov: the SR-IOV capability of function 0
 *
 * QEMU makes all virtual functions when function 0 is realized, and shows those
 * that VF Enable and NumVFs select.  It trusts the numbers that it is given, so
 * the endpoint's capability is checked here first.  The guest does not see one
 * that is wrong, and then sees no virtual function.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitops.h"
#include "qemu/range.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_sriov.h"
#include "hw/misc/epf-bridge/function/caps-walk.h"
#include "hw/misc/epf-bridge/function/irq.h"
#include "hw/misc/epf-bridge/function/msix.h"
#include "hw/misc/epf-bridge/function/sriov.h"
#include "hw/misc/epf-bridge/function/vf.h"
#include "hw/misc/epf-bridge/remote/report.h"
#include "hw/misc/epf-bridge/trace.h"

/* pcie_sriov_pf_reset() writes to one VF BAR more than there are. */
#define EPF_SRIOV_ROOM (PCI_EXT_CAP_SRIOV_SIZEOF + 4)

/* ---- To check the capability ---- */

static bool epf_sriov_check_room(const EpfRemote *r, unsigned cap, Error **errp)
{
    bool fits = cap + EPF_SRIOV_ROOM <= PCIE_CONFIG_SPACE_SIZE;
    uint16_t caps[EPF_EXT_CAPS_MAX];
    unsigned n;

    ERRP_GUARD();
    epf_ext_caps_list(r->config, r->config_size, caps, &n);
    for (unsigned i = 0; fits && i < n; i++) {
        fits = caps[i] <= cap || caps[i] >= cap + PCI_EXT_CAP_SRIOV_SIZEOF;
    }
    if (!fits) {
        error_setg(errp, "the SR-IOV capability at 0x%x runs into the next "
                   "one", cap);
        error_append_hint(errp, "Give it %u bytes, and do not put it at the "
                          "end of the configuration space.\n",
                          PCI_EXT_CAP_SRIOV_SIZEOF);
    }
    return fits;
}

/* Returns the virtual functions among @remotes, as bits. */
static uint32_t epf_sriov_virtual(EpfRemote **remotes)
{
    uint32_t mask = 0;

    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        if (remotes[i] && remotes[i]->is_virtual) {
            mask |= BIT(i);
        }
    }
    return mask;
}

static bool epf_sriov_check_numbers(EpfSriov *s, EpfRemote **remotes,
                                    Error **errp)
{
    uint32_t is = epf_sriov_virtual(remotes);
    uint32_t named = 0;
    uint64_t last = s->first + (uint64_t)(s->total - 1) * s->stride;

    ERRP_GUARD();
    if (s->first && s->stride && last < EPF_MAX_FUNCTIONS) {
        for (unsigned i = 0; i < s->total; i++) {
            s->remotes[i] = remotes[s->first + i * s->stride];
            named |= BIT(s->first + i * s->stride);
        }
    }
    if (!named || named != is) {
        error_setg(errp, "the SR-IOV capability names %u functions from "
                   "number %u on in steps of %u, but those with vendor ID "
                   "0xffff are 0x%x, as bits", s->total, s->first, s->stride,
                   is);
        error_append_hint(errp, "Have the capability name these and no "
                          "others.\n");
        return false;
    }
    return true;
}

static bool epf_sriov_check_bar(EpfSriov *s, unsigned bar, Error **errp)
{
    EpfBarShape *b = &s->bar[bar];

    ERRP_GUARD();
    for (unsigned i = 0; i < s->total; i++) {
        uint64_t size = s->remotes[i]->bar[bar].shape.size;

        if (size && b->size && size != b->size) {
            error_setg(errp, "BAR %u has size 0x%" PRIx64 " in one virtual "
                       "function and 0x%" PRIx64 " in another", bar, b->size,
                       size);
            error_append_hint(errp, "Make it the same in all virtual functions "
                              "that have it.\n");
            return false;
        }
        b->size = MAX(b->size, size);
    }
    if (b->size && epf_bar_is_io(b)) {
        error_setg(errp, "SR-IOV capability: VF BAR %u is an I/O BAR, which "
                   "virtual functions do not have", bar);
        return false;
    }
    if (b->size &&
        !epf_bar_check(bar, b, bar ? &s->bar[bar - 1] : NULL,
                       EPF_VF_BAR_SIZE_MIN,
                       epf_bar_is_64(b) ? EPF_BAR64_SIZE_MAX :
                                          EPF_BAR32_SIZE_MAX, errp)) {
        error_prepend(errp, "SR-IOV capability: VF ");
        return false;
    }
    return true;
}

static bool epf_sriov_check(EpfSriov *s, unsigned at, EpfRemote **remotes,
                            Error **errp)
{
    const uint8_t *cap = remotes[0]->config + at;

    if (!epf_sriov_check_room(remotes[0], at, errp)) {
        return false;
    }
    s->first = pci_get_word(cap + PCI_SRIOV_VF_OFFSET);
    s->stride = pci_get_word(cap + PCI_SRIOV_VF_STRIDE);
    s->device = pci_get_word(cap + PCI_SRIOV_VF_DID);
    if (!epf_sriov_check_numbers(s, remotes, errp)) {
        return false;
    }
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        s->bar[i].type = pci_get_long(cap + PCI_SRIOV_BAR + i * 4) &
                         ~PCI_BASE_ADDRESS_MEM_MASK;
        if (!epf_sriov_check_bar(s, i, errp)) {
            return false;
        }
    }
    return true;
}

/* The MSI-X tables of all go to a VF BAR that none of them has. */
static void epf_sriov_plan_msix(EpfSriov *s)
{
    uint64_t size = 0;

    for (unsigned i = 0; i < s->total; i++) {
        size = MAX(size, epf_msix_wants_bar(s->remotes[i]));
    }
    for (unsigned bar = 0; size && bar < EPF_NUM_BARS; bar++) {
        if (epf_bar_is_free(&s->bar[bar], bar ? &s->bar[bar - 1] : NULL)) {
            s->bar[bar] = (EpfBarShape) { .size = size };
            s->msix_bar = bar;
            s->msix_size = size;
            return;
        }
    }
    if (size) {
        epf_remote_report(s->remotes[0], "put the table in a BAR of its own",
                          "the virtual functions have no BAR free for the "
                          "MSI-X table, so memory next to the table is slow");
    }
}

void epf_sriov_plan(EpfSriov *s, EpfRemote **remotes, bool relocate)
{
    const EpfRemote *r = remotes[0];
    unsigned at = epf_ext_caps_find(r->config, r->config_size,
                                    PCI_EXT_CAP_ID_SRIOV);
    uint32_t virtual = epf_sriov_virtual(remotes);
    Error *err = NULL;

    *s = (EpfSriov) { };
    if (at) {
        s->total = pci_get_word(r->config + at + PCI_SRIOV_TOTAL_VF);
        if (!s->total) {
            return;
        }
        if (epf_sriov_check(s, at, remotes, &err)) {
            s->cap_offset = at;
        }
        if (s->cap_offset && relocate) {
            epf_sriov_plan_msix(s);
        }
    } else if (virtual) {
        error_setg(&err, "functions 0x%x, as bits, have vendor ID 0xffff, but "
                   "function 0 has no SR-IOV capability", virtual);
        error_append_hint(&err, "Set a vendor ID in them, or add the "
                          "capability.\n");
    }
    if (err) {
        error_prepend(&err, "the endpoint's virtual functions are hidden from "
                      "the guest: ");
        epf_remote_report_err(remotes[0], err);
    }
    trace_epf_bridge_sriov_plan(r->device, r->func, r->generation,
                                s->cap_offset, s->total, s->first, s->stride);
}

/* ---- Function 0 ---- */

bool epf_sriov_init(EpfFunction *f, Error **errp)
{
    PCIDevice *d = PCI_DEVICE(f);
    EpfSriov *s = &f->sriov;

    if (!s->cap_offset) {
        return true;
    }
    /* QEMU 10.2 keeps the device in a table by its ID and needs one. */
    if (!d->qdev.id) {
        d->qdev.id = object_get_canonical_path(OBJECT(d));
    }
    if (!pcie_sriov_pf_init(d, s->cap_offset, TYPE_EPF_VIRTUAL_FUNCTION,
                            s->device, s->total, s->total, s->first, s->stride,
                            errp)) {
        d->exp.sriov_cap = 0;
        return false;
    }
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        if (s->bar[i].size) {
            pcie_sriov_pf_init_vf_bar(d, i, s->bar[i].type, s->bar[i].size);
        }
    }
    /* QEMU has put the capability at the end of the list. */
    epf_ext_caps_show(d->config, f->remote->config, s->cap_offset);
    return true;
}

void epf_sriov_exit(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);

    if (d->exp.sriov_cap) {
        pcie_sriov_pf_exit(d);
        d->exp.sriov_cap = 0;
    }
}

void epf_sriov_sync(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    EpfSriov *s = &f->sriov;
    unsigned enabled = pcie_sriov_num_vfs(d);
    bool mse;

    if (!d->exp.sriov_cap) {
        return;
    }
    mse = pci_get_word(d->config + s->cap_offset + PCI_SRIOV_CTRL) &
          PCI_SRIOV_CTRL_MSE;
    trace_epf_bridge_sriov_sync(f->remote->device, f->remote->func,
                                f->remote->generation, enabled, mse);
    for (unsigned i = 0; i < s->total; i++) {
        epf_vf_set_decode(s->vf[i], mse && i < enabled);
        epf_irq_sync(s->vf[i]);
    }
    /* pcie_sriov_pf_reset() clears a word behind the capability. */
    epf_ext_caps_show(d->config, f->remote->config, s->cap_offset);
}

bool epf_sriov_written(EpfFunction *f, uint32_t addr, int len)
{
    return f->sriov.cap_offset &&
           ranges_overlap(addr, len, f->sriov.cap_offset,
                          PCI_EXT_CAP_SRIOV_SIZEOF);
}
