/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-sriov: the virtual functions of a remote function 0
 *
 * QEMU makes them when function 0 is realized, all that there can be, and shows
 * those that VF Enable and NumVFs name.  It trusts the numbers it is given, so
 * the endpoint's capability is checked here first; one that does not hold is
 * not shown, and no virtual function is.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitops.h"
#include "qemu/host-utils.h"
#include "qemu/range.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_sriov.h"
#include "epf-function.h"
#include "trace.h"

/* A reset in QEMU writes to one VF BAR more than there are */
#define SRIOV_ROOM (PCI_EXT_CAP_SRIOV_SIZEOF + 4)

/*
 * ------------------------------------------------------------------------
 * Can it be shown?
 */
static unsigned find_cap(const EpfLink *l)
{
    unsigned at = PCI_CONFIG_SPACE_SIZE;

    if (l->config_size < PCIE_CONFIG_SPACE_SIZE) {
        return 0;
    }
    for (unsigned n = 0; n < PCIE_CONFIG_SPACE_SIZE / 4; n++) {
        uint32_t header;

        if (at < PCI_CONFIG_SPACE_SIZE || at > PCIE_CONFIG_SPACE_SIZE - 8) {
            break;
        }
        header = pci_get_long(l->config + at);
        if (PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_SRIOV) {
            return at;
        }
        at = PCI_EXT_CAP_NEXT(header);
    }
    return 0;
}

static bool check_room(const EpfLink *l, unsigned cap, Error **errp)
{
    bool fits = cap + SRIOV_ROOM <= PCIE_CONFIG_SPACE_SIZE;
    unsigned at = PCI_CONFIG_SPACE_SIZE;

    for (unsigned n = 0; fits && at && n < PCIE_CONFIG_SPACE_SIZE / 4; n++) {
        fits = at <= cap || at >= cap + PCI_EXT_CAP_SRIOV_SIZEOF;
        at = PCI_EXT_CAP_NEXT(pci_get_long(l->config + at));
    }
    if (!fits) {
        error_setg(errp, "the SR-IOV capability at 0x%x runs into the next "
                   "one; give it %u bytes, and the end of the configuration "
                   "space to another one", cap, PCI_EXT_CAP_SRIOV_SIZEOF);
    }
    return fits;
}

static uint32_t virtual_functions(EpfLink **links)
{
    uint32_t mask = 0;

    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        if (links[i] && links[i]->is_virtual) {
            mask |= BIT(i);
        }
    }
    return mask;
}

static bool check_numbers(EpfSriov *s, EpfLink **links, Error **errp)
{
    uint32_t is = virtual_functions(links);
    uint32_t named = 0;
    uint64_t last = s->first + (uint64_t)(s->total - 1) * s->stride;

    if (s->first && s->stride && last < EPF_MAX_FUNCTIONS) {
        for (unsigned i = 0; i < s->total; i++) {
            s->link[i] = links[s->first + i * s->stride];
            named |= BIT(s->first + i * s->stride);
        }
    }
    if (!named || named != is) {
        error_setg(errp, "the SR-IOV capability names %u functions from "
                   "number %u on in steps of %u, and those with vendor ID "
                   "0xffff are 0x%x as bits; have it name these and no others",
                   s->total, s->first, s->stride, is);
        return false;
    }
    return true;
}

static bool check_bar(EpfSriov *s, unsigned bar, Error **errp)
{
    EpfSriovBar *b = &s->bar[bar];
    bool is64 = b->type & PCI_BASE_ADDRESS_MEM_TYPE_64;
    bool upper = bar && s->bar[bar - 1].size &&
                 (s->bar[bar - 1].type & PCI_BASE_ADDRESS_MEM_TYPE_64);

    for (unsigned i = 0; i < s->total; i++) {
        uint64_t size = s->link[i]->bar[bar].size;

        if (size && b->size && size != b->size) {
            error_setg(errp, "BAR %u has size 0x%" PRIx64 " in one virtual "
                       "function and 0x%" PRIx64 " in another; make it the "
                       "same in all that have it", bar, b->size, size);
            return false;
        }
        b->size = MAX(b->size, size);
    }
    if (!b->size) {
        return true;
    }
    if (upper || (b->type & PCI_BASE_ADDRESS_SPACE_IO) ||
        (b->type & PCI_BASE_ADDRESS_MEM_TYPE_1M) ||
        (is64 && bar == EPF_NUM_BARS - 1)) {
        error_setg(errp, "VF BAR %u of the SR-IOV capability is of type 0x%x, "
                   "which cannot be there; make it a memory BAR with room for "
                   "its upper half", bar, b->type);
        return false;
    }
    if (!is64 && b->size > EPF_BAR32_SIZE_MAX) {
        error_setg(errp, "VF BAR %u of the SR-IOV capability has 32 bits for "
                   "size 0x%" PRIx64 "; give it 64", bar, b->size);
        return false;
    }
    return true;
}

static bool check_cap(EpfSriov *s, unsigned at, EpfLink **links, Error **errp)
{
    const uint8_t *cap = links[0]->config + at;

    if (!check_room(links[0], at, errp)) {
        return false;
    }
    s->first = pci_get_word(cap + PCI_SRIOV_VF_OFFSET);
    s->stride = pci_get_word(cap + PCI_SRIOV_VF_STRIDE);
    s->device = pci_get_word(cap + PCI_SRIOV_VF_DID);
    if (!check_numbers(s, links, errp)) {
        return false;
    }
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        s->bar[i].type = pci_get_long(cap + PCI_SRIOV_BAR + i * 4) &
                         ~PCI_BASE_ADDRESS_MEM_MASK;
        if (!check_bar(s, i, errp)) {
            return false;
        }
    }
    return true;
}

static bool is_free(const EpfSriov *s, unsigned bar)
{
    return !s->bar[bar].size &&
           !(bar && s->bar[bar - 1].size &&
             (s->bar[bar - 1].type & PCI_BASE_ADDRESS_MEM_TYPE_64));
}

/* A VF BAR that none of them has takes the MSI-X tables of all. */
static void plan_msix(EpfSriov *s)
{
    uint64_t size = 0;

    for (unsigned i = 0; i < s->total; i++) {
        size = MAX(size, epf_msix_wants_bar(s->link[i]));
    }
    for (unsigned bar = 0; size && bar < EPF_NUM_BARS; bar++) {
        if (is_free(s, bar)) {
            s->bar[bar] = (EpfSriovBar) { .size = size };
            s->msix_bar = bar;
            s->msix_size = size;
            return;
        }
    }
    if (size) {
        epf_client_report(s->link[0]->client, "the virtual functions have no "
                          "BAR left for the MSI-X table; memory next to the "
                          "table is slow: put the table in a BAR of its own");
    }
}

void epf_sriov_plan(EpfSriov *s, EpfLink **links, bool relocate)
{
    unsigned at = find_cap(links[0]);
    Error *err = NULL;

    *s = (EpfSriov) { };
    if (at) {
        s->total = pci_get_word(links[0]->config + at + PCI_SRIOV_TOTAL_VF);
        if (!s->total) {
            return;
        }
        if (check_cap(s, at, links, &err)) {
            s->at = at;
        }
        if (s->at && relocate) {
            plan_msix(s);
        }
    } else if (virtual_functions(links)) {
        error_setg(&err, "functions with vendor ID 0xffff (0x%x as bits) and "
                   "no SR-IOV capability in function 0; set a vendor ID in "
                   "them, or add the capability", virtual_functions(links));
    }
    if (err) {
        epf_client_report(links[0]->client, "the endpoint's virtual functions "
                          "are hidden from the guest: %s",
                          error_get_pretty(err));
        error_free(err);
    }
    trace_epf_sriov_plan(links[0]->generation, s->at, s->total, s->first,
                         s->stride);
}

/*
 * ------------------------------------------------------------------------
 * Function 0
 */
bool epf_sriov_init(EpfFunction *f, Error **errp)
{
    PCIDevice *d = PCI_DEVICE(f);
    EpfSriov *s = &f->sriov;

    if (!s->at) {
        return true;
    }
    /* QEMU 10.2 looks it up in a table that takes no device without one */
    if (!d->qdev.id) {
        d->qdev.id = object_get_canonical_path(OBJECT(d));
    }
    if (!pcie_sriov_pf_init(d, s->at, TYPE_EPF_VIRTUAL_FUNCTION, s->device,
                            s->total, s->total, s->first, s->stride, errp)) {
        d->exp.sriov_cap = 0;
        return false;
    }
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        if (s->bar[i].size) {
            pcie_sriov_pf_init_vf_bar(d, i, s->bar[i].type, s->bar[i].size);
        }
    }
    /* QEMU has put the capability at the end of the list */
    epf_caps_show_extended(f);
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

/*
 * Memory space of a virtual function is enabled in the capability, and by QEMU
 * in the function's own Command register, where the guest does not see it.
 */
static void set_decode(EpfFunction *vf, bool on)
{
    PCIDevice *d = PCI_DEVICE(vf);
    uint16_t command = pci_get_word(d->config + PCI_COMMAND);

    command = deposit32(command, ctz32(PCI_COMMAND_MEMORY), 1, on);
    pci_set_word(d->config + PCI_COMMAND, command);
    /* Has QEMU look at it, and at the VF BARs */
    pci_default_write_config(d, PCI_COMMAND, command, 2);
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
    mse = pci_get_word(d->config + s->at + PCI_SRIOV_CTRL) &
          PCI_SRIOV_CTRL_MSE;
    trace_epf_sriov_sync(f->link->generation, enabled, mse);
    for (unsigned i = 0; i < s->total; i++) {
        set_decode(s->vf[i], mse && i < enabled);
        epf_irq_sync(s->vf[i]);
    }
    /* A reset in QEMU clears what comes after the capability */
    epf_caps_show_extended(f);
}

bool epf_sriov_written(EpfFunction *f, uint32_t addr, int len)
{
    return f->sriov.at && ranges_overlap(addr, len, f->sriov.at,
                                         PCI_EXT_CAP_SRIOV_SIZEOF);
}

/*
 * ------------------------------------------------------------------------
 * A virtual function
 */
void epf_sriov_vf_init(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    EpfFunction *pf = EPF_FUNCTION(pcie_sriov_get_pf(d));
    unsigned i = pcie_sriov_vf_number(d);

    f->link = epf_link_ref(pf->sriov.link[i]);
    pf->sriov.vf[i] = f;
    f->msix_relocate = pf->sriov.msix_size;
    for (unsigned bar = 0; bar < EPF_NUM_BARS; bar++) {
        f->bar[bar].type = pf->sriov.bar[bar].type;
    }
    /* Of the header it has this one bit */
    memset(d->wmask, 0, PCI_CONFIG_HEADER_SIZE);
    pci_set_word(d->wmask + PCI_COMMAND, PCI_COMMAND_MASTER);
}

const EpfSriov *epf_sriov_of_vf(EpfFunction *f)
{
    PCIDevice *pf = pcie_sriov_get_pf(PCI_DEVICE(f));

    return pf ? &EPF_FUNCTION(pf)->sriov : NULL;
}

void epf_sriov_vf_exit(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    EpfFunction *pf = EPF_FUNCTION(pcie_sriov_get_pf(d));

    pf->sriov.vf[pcie_sriov_vf_number(d)] = NULL;
}

uint32_t epf_sriov_vf_mask(uint32_t addr, uint32_t val, int len)
{
    if (range_covers_byte(addr, len, PCI_COMMAND)) {
        val &= ~(PCI_COMMAND_MEMORY << ((PCI_COMMAND - addr) * 8));
    }
    return val;
}
