/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * caps: the capabilities of a remote function
 *
 * QEMU carries out Power Management, PCI Express, MSI, MSI-X and Advanced Error
 * Reporting here, at the offsets that the endpoint chose.  Every other
 * capability is the endpoint's: its place in the list is kept here, and its
 * registers are live, which means that each read of the guest is passed on to
 * the endpoint.  Writes reach the endpoint in both cases (function/function.c).
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/bitops.h"
#include "qemu/units.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "hw/pci/pcie.h"
#include "hw/misc/epf-bridge/function/aer.h"
#include "hw/misc/epf-bridge/function/caps.h"
#include "hw/misc/epf-bridge/function/caps-walk.h"
#include "hw/misc/epf-bridge/function/msix.h"
#include "hw/misc/epf-bridge/remote/calls.h"
#include "hw/misc/epf-bridge/remote/report.h"
#include "hw/misc/epf-bridge/remote/wait.h"

#define EPF_EXT_HEADER_SIZE 4

/* ---- Capabilities that QEMU carries out ---- */

/*
 * Bytes from the capability at @at to the next one.  A capability that this
 * file does not know may be as long as that: its header does not give its
 * length.
 */
static unsigned epf_caps_room(const uint8_t *caps, unsigned n, uint8_t at)
{
    unsigned end = PCI_CONFIG_SPACE_SIZE;

    for (unsigned i = 0; i < n; i++) {
        if (caps[i] > at && caps[i] < end) {
            end = caps[i];
        }
    }
    return end - at;
}

static bool epf_caps_add_pm(EpfFunction *f, uint8_t at, Error **errp)
{
    PCIDevice *d = PCI_DEVICE(f);
    const uint8_t *from = f->remote->config + at;

    if (pci_pm_init(d, at, errp) < 0) {
        return false;
    }
    memcpy(d->config + at + PCI_PM_PMC, from + PCI_PM_PMC,
           PCI_PM_SIZEOF - PCI_PM_PMC);
    pci_set_word(d->config + at + PCI_PM_CTRL,
                 pci_get_word(from + PCI_PM_CTRL) & PCI_PM_CTRL_NO_SOFT_RESET);
    pci_set_word(d->wmask + at + PCI_PM_CTRL,
                 PCI_PM_CTRL_STATE_MASK | PCI_PM_CTRL_PME_ENABLE);
    return true;
}

/*
 * A root complex integrated endpoint of a foreign server is an endpoint behind
 * this port. Its link registers, if it has any, are not shown.
 */
static bool epf_caps_express_type(const uint8_t *from, uint8_t *type,
                                  Error **errp)
{
    *type = (pci_get_word(from + PCI_EXP_FLAGS) & PCI_EXP_FLAGS_TYPE) >>
            PCI_EXP_FLAGS_TYPE_SHIFT;
    switch (*type) {
    case PCI_EXP_TYPE_RC_END:
        *type = PCI_EXP_TYPE_ENDPOINT;
        return true;
    case PCI_EXP_TYPE_ENDPOINT:
    case PCI_EXP_TYPE_LEG_END:
        return true;
    default:
        error_setg(errp, "the endpoint's PCI Express capability is of type "
                   "0x%x, which is not an endpoint", *type);
        return false;
    }
}

/* The registers of a device, which both versions have */
static void epf_caps_init_express(PCIDevice *d, const uint8_t *from)
{
    uint8_t *cap = d->config + d->exp.exp_cap;
    uint32_t devcap = pci_get_long(from + PCI_EXP_DEVCAP);

    pci_set_long(cap + PCI_EXP_DEVCAP,
                 (devcap & ~PCI_EXP_DEVCAP_FLR) | PCI_EXP_DEVCAP_RBER);
    pcie_cap_deverr_init(d);
    if (devcap & PCI_EXP_DEVCAP_FLR) {
        pcie_cap_flr_init(d);
    }
    pci_set_word(cap + PCI_EXP_DEVCTL, pci_get_word(from + PCI_EXP_DEVCTL) &
                                       ~PCI_EXP_DEVCTL_BCR_FLR);
    pci_word_test_and_set_mask(d->wmask + d->exp.exp_cap + PCI_EXP_DEVCTL,
                               (uint16_t)~PCI_EXP_DEVCTL_BCR_FLR);
}

static bool epf_caps_add_express(EpfFunction *f, uint8_t at, Error **errp)
{
    PCIDevice *d = PCI_DEVICE(f);
    const uint8_t *from = f->remote->config + at;
    uint8_t type;

    if (!epf_caps_express_type(from, &type, errp) ||
        pcie_cap_init(d, at, type, 0, errp) < 0) {
        return false;
    }
    epf_caps_init_express(d, from);
    pci_set_long(d->config + at + PCI_EXP_DEVCAP2,
                 pci_get_long(from + PCI_EXP_DEVCAP2));
    pci_set_word(d->wmask + at + PCI_EXP_DEVCTL2, 0xffff);
    pcie_cap_fill_link_ep_usp(d, f->remote->width, f->remote->speed);
    return true;
}

/*
 * Version 1 of an endpoint ends behind Link Status, so a capability that this
 * side would show as version 2 can be too short for that.
 */
static bool epf_caps_is_short_express(const uint8_t *from, unsigned room)
{
    return from[PCI_CAP_LIST_ID] == PCI_CAP_ID_EXP &&
           room >= PCI_EXP_VER1_SIZEOF && room < PCI_EXP_VER2_SIZEOF &&
           (pci_get_word(from + PCI_EXP_FLAGS) & PCI_EXP_FLAGS_VERS) == 1;
}

static bool epf_caps_add_short_express(EpfFunction *f, uint8_t at,
                                       Error **errp)
{
    PCIDevice *d = PCI_DEVICE(f);
    const uint8_t *from = f->remote->config + at;
    uint8_t type;

    if (!epf_caps_express_type(from, &type, errp)) {
        return false;
    }
    if (pcie_cap_v1_init(d, at, type, 0) < 0) {
        error_setg(errp, "the endpoint's PCI Express capability at 0x%02x "
                   "cannot be shown", at);
        return false;
    }
    epf_caps_init_express(d, from);
    /* A faster link needs registers of version 2. */
    pcie_cap_fill_link_ep_usp(d, f->remote->width, QEMU_PCI_EXP_LNK_2_5GT);
    return true;
}

static bool epf_caps_add_msi(EpfFunction *f, uint8_t at, Error **errp)
{
    uint16_t flags = pci_get_word(f->remote->config + at + PCI_MSI_FLAGS);
    unsigned order = (flags & PCI_MSI_FLAGS_QMASK) >> 1;

    if (order > 5) {
        error_setg(errp, "the endpoint's MSI capability offers 2^%u vectors, "
                   "more than 32", order);
        return false;
    }
    return msi_init(PCI_DEVICE(f), at, 1 << order, flags & PCI_MSI_FLAGS_64BIT,
                    flags & PCI_MSI_FLAGS_MASKBIT, errp) >= 0;
}

static bool epf_caps_add_other(EpfFunction *f, uint8_t id, uint8_t at,
                               unsigned room, Error **errp)
{
    PCIDevice *d = PCI_DEVICE(f);
    const uint8_t *from = f->remote->config + at;
    unsigned len = room;

    if (id == PCI_CAP_ID_VNDR && room > PCI_CAP_FLAGS) {
        len = MIN(room, MAX(from[PCI_CAP_FLAGS], 4));
    }
    if (pci_add_capability(d, id, at, len, errp) < 0) {
        return false;
    }
    bitmap_set(f->live, at + PCI_CAP_FLAGS, len - PCI_CAP_FLAGS);
    return true;
}

/* PCI Local Bus Specification 3.0, 6.8.1 has the four forms. */
static unsigned epf_caps_msi_size(uint16_t flags)
{
    unsigned len = flags & PCI_MSI_FLAGS_64BIT ? 14 : 10;

    return flags & PCI_MSI_FLAGS_MASKBIT ? len + 10 : len;
}

static bool epf_caps_add(EpfFunction *f, uint8_t at, unsigned room,
                         uint32_t *seen, Error **errp)
{
    static const struct {
        uint8_t id;
        uint8_t len;
        bool (*add)(EpfFunction *f, uint8_t at, Error **errp);
    } known[] = {
        { PCI_CAP_ID_PM, PCI_PM_SIZEOF, epf_caps_add_pm },
        { PCI_CAP_ID_EXP, PCI_EXP_VER2_SIZEOF, epf_caps_add_express },
        { PCI_CAP_ID_MSI, 10, epf_caps_add_msi },
        { PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF, epf_msix_init },
    };
    uint8_t id = f->remote->config[at];
    bool is_short = epf_caps_is_short_express(f->remote->config + at, room);

    for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
        unsigned len = known[i].len;

        if (known[i].id != id) {
            continue;
        }
        if (is_short) {
            len = PCI_EXP_VER1_SIZEOF;
        } else if (id == PCI_CAP_ID_MSI && room >= len) {
            len = epf_caps_msi_size(pci_get_word(f->remote->config + at +
                                                 PCI_MSI_FLAGS));
        }
        if (*seen & (1u << i)) {
            error_setg(errp, "the endpoint has capability 0x%02x twice", id);
            return false;
        }
        if (room < len) {
            error_setg(errp, "the endpoint's capability 0x%02x at 0x%02x runs "
                       "into the next one", id, at);
            return false;
        }
        *seen |= 1u << i;
        return is_short ? epf_caps_add_short_express(f, at, errp) :
                          known[i].add(f, at, errp);
    }
    return epf_caps_add_other(f, id, at, room, errp);
}

/* ---- Extended capabilities ---- */

/* A capability that is too short for QEMU stays with the endpoint. */
static void epf_caps_add_errors(EpfFunction *f, const uint16_t *caps,
                                unsigned n)
{
    const uint8_t *from = f->remote->config;
    unsigned at = epf_ext_caps_find(from, f->remote->config_size,
                                    PCI_EXT_CAP_ID_ERR);
    unsigned end = PCIE_CONFIG_SPACE_SIZE;

    for (unsigned i = 0; i < n; i++) {
        if (caps[i] > at && caps[i] < end) {
            end = caps[i];
        }
    }
    if (at && end - at >= PCI_ERR_SIZEOF && !pci_is_vf(PCI_DEVICE(f))) {
        epf_aer_init(f, at);
    }
}

/*
 * The guest of a PCI Express function sees their headers as they are.  QEMU and
 * the guest would follow a list that does not end for ever, so the guest does
 * not see such a list at all.  An extended capability does not say how long it
 * is, so every byte between two headers is read from the endpoint.
 */
static void epf_caps_add_extended(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    const uint8_t *from = f->remote->config;
    uint16_t caps[EPF_EXT_CAPS_MAX];
    unsigned n = 0;
    bool ends = !d->exp.exp_cap ||
                epf_ext_caps_list(from, f->remote->config_size, caps, &n);

    if (!ends) {
        epf_remote_report(f->remote, NULL, "the endpoint's list of extended "
                          "capabilities is broken and hidden from the guest");
    }
    if (!ends || !n) {
        f->sriov.cap_offset = 0;
        return;
    }
    bitmap_set(f->live, PCI_CONFIG_SPACE_SIZE,
               PCIE_CONFIG_SPACE_SIZE - PCI_CONFIG_SPACE_SIZE);
    for (unsigned i = 0; i < n; i++) {
        bitmap_clear(f->live, caps[i], EPF_EXT_HEADER_SIZE);
    }
    if (f->sriov.cap_offset) {
        bitmap_clear(f->live, f->sriov.cap_offset, PCI_EXT_CAP_SRIOV_SIZEOF);
    }
    epf_ext_caps_show(d->config, from, f->sriov.cap_offset);
    epf_caps_add_errors(f, caps, n);
    /* QEMU has put the capability at the end of the list. */
    epf_ext_caps_show(d->config, from, f->sriov.cap_offset);
}

/* ---- Interface ---- */

bool epf_caps_init(EpfFunction *f, Error **errp)
{
    PCIDevice *d = PCI_DEVICE(f);
    uint8_t caps[EPF_CAPS_MAX];
    uint32_t seen = 0;
    unsigned n;

    if (!epf_caps_list(f->remote->config, caps, &n, errp)) {
        return false;
    }
    /* By default QEMU makes bytes writable that are in no capability. */
    memset(d->wmask + PCI_CONFIG_HEADER_SIZE, 0,
           pci_config_size(d) - PCI_CONFIG_HEADER_SIZE);
    /*
     * QEMU puts each new capability at the head of its list, so the last one
     * comes first.
     */
    for (unsigned i = n; i-- > 0;) {
        if (!epf_caps_add(f, caps[i], epf_caps_room(caps, n, caps[i]), &seen,
                          errp)) {
            return false;
        }
    }
    epf_caps_add_extended(f);
    return true;
}

uint32_t epf_caps_read(EpfFunction *f, uint32_t addr, int len)
{
    uint32_t val = pci_default_read_config(PCI_DEVICE(f), addr, len);
    EpfAccess access;
    uint8_t remote[4];
    bool ok;

    if (find_next_bit(f->live, addr + len, addr) == addr + len) {
        return val;
    }
    epf_wait_begin_config(&access, PCI_DEVICE(f));
    ok = epf_remote_read(f->remote, VFU_REGION_CONFIG, addr, remote, len);
    epf_wait_end_access(&access);
    if (!ok) {
        return UINT32_MAX;
    }
    for (int i = 0; i < len; i++) {
        if (test_bit(addr + i, f->live)) {
            val = deposit32(val, i * 8, 8, remote[i]);
        }
    }
    return val;
}

void epf_caps_exit(EpfFunction *f)
{
    epf_aer_exit(f);
    epf_msix_exit(f);
    msi_uninit(PCI_DEVICE(f));
}
