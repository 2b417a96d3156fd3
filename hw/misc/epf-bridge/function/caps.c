/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-caps: the capabilities of a remote function
 *
 * Power management, PCI Express, MSI and MSI-X are carried out here, at the
 * offsets the endpoint chose.  Any other capability is the endpoint's: its
 * place in the list is kept here, its registers are live, that is read from the
 * endpoint each time.  Writes reach the endpoint in either case.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/bitops.h"
#include "qemu/units.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "hw/pci/pcie.h"
#include "epf-function.h"
#include "trace.h"

/* More do not fit between the header and 0x100 */
#define MAX_CAPS ((PCI_CONFIG_SPACE_SIZE - PCI_CONFIG_HEADER_SIZE) / 4)

#define EXT_HEADER_SIZE 4

/* The endpoint's list in its order; false when it does not end. */
static bool list_caps(const uint8_t *config, uint8_t *caps, unsigned *n,
                      Error **errp)
{
    uint8_t at = 0;

    *n = 0;
    if (pci_get_word(config + PCI_STATUS) & PCI_STATUS_CAP_LIST) {
        at = config[PCI_CAPABILITY_LIST] & ~3;
    }
    while (at) {
        if (at < PCI_CONFIG_HEADER_SIZE || *n == MAX_CAPS) {
            error_setg(errp, "the endpoint's capability list is broken at "
                       "0x%02x", at);
            return false;
        }
        for (unsigned i = 0; i < *n; i++) {
            if (caps[i] == at) {
                error_setg(errp, "the endpoint's capability list has a loop "
                           "at 0x%02x", at);
                return false;
            }
        }
        caps[(*n)++] = at;
        at = config[at + PCI_CAP_LIST_NEXT] & ~3;
    }
    return true;
}

uint8_t epf_caps_find(const EpfLink *l, uint8_t id)
{
    uint8_t caps[MAX_CAPS];
    unsigned n;

    if (list_caps(l->config, caps, &n, NULL)) {
        for (unsigned i = 0; i < n; i++) {
            if (l->config[caps[i]] == id) {
                return caps[i];
            }
        }
    }
    return 0;
}

/* Up to the next capability: the length of unknown ones is not told. */
static unsigned room_for(const uint8_t *caps, unsigned n, uint8_t at)
{
    unsigned end = PCI_CONFIG_SPACE_SIZE;

    for (unsigned i = 0; i < n; i++) {
        if (caps[i] > at && caps[i] < end) {
            end = caps[i];
        }
    }
    return end - at;
}

static bool add_pm(EpfFunction *f, uint8_t at, Error **errp)
{
    PCIDevice *d = PCI_DEVICE(f);
    const uint8_t *from = f->link->config + at;

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

static bool add_express(EpfFunction *f, uint8_t at, Error **errp)
{
    PCIDevice *d = PCI_DEVICE(f);
    const uint8_t *from = f->link->config + at;
    uint16_t type = (pci_get_word(from + PCI_EXP_FLAGS) & PCI_EXP_FLAGS_TYPE)
                    >> PCI_EXP_FLAGS_TYPE_SHIFT;
    uint32_t devcap = pci_get_long(from + PCI_EXP_DEVCAP);

    if (type != PCI_EXP_TYPE_ENDPOINT && type != PCI_EXP_TYPE_LEG_END) {
        error_setg(errp, "the endpoint's PCI Express capability is of type "
                   "0x%x, which is not an endpoint", type);
        return false;
    }
    if (pcie_cap_init(d, at, type, 0, errp) < 0) {
        return false;
    }
    pci_set_long(d->config + at + PCI_EXP_DEVCAP,
                 (devcap & ~PCI_EXP_DEVCAP_FLR) | PCI_EXP_DEVCAP_RBER);
    pcie_cap_deverr_init(d);
    if (devcap & PCI_EXP_DEVCAP_FLR) {
        pcie_cap_flr_init(d);
    }
    pci_set_word(d->config + at + PCI_EXP_DEVCTL,
                 pci_get_word(from + PCI_EXP_DEVCTL) &
                 ~PCI_EXP_DEVCTL_BCR_FLR);
    pci_word_test_and_set_mask(d->wmask + at + PCI_EXP_DEVCTL,
                               (uint16_t)~PCI_EXP_DEVCTL_BCR_FLR);
    pci_set_long(d->config + at + PCI_EXP_DEVCAP2,
                 pci_get_long(from + PCI_EXP_DEVCAP2));
    pci_set_word(d->wmask + at + PCI_EXP_DEVCTL2, 0xffff);
    pcie_cap_fill_link_ep_usp(d, f->link->width, f->link->speed);
    return true;
}

static bool add_msi(EpfFunction *f, uint8_t at, Error **errp)
{
    uint16_t flags = pci_get_word(f->link->config + at + PCI_MSI_FLAGS);
    unsigned order = (flags & PCI_MSI_FLAGS_QMASK) >> 1;

    if (order > 5) {
        error_setg(errp, "the endpoint's MSI capability offers 2^%u vectors; "
                   "at most 32 are possible", order);
        return false;
    }
    return msi_init(PCI_DEVICE(f), at, 1 << order, flags & PCI_MSI_FLAGS_64BIT,
                    flags & PCI_MSI_FLAGS_MASKBIT, errp) >= 0;
}

static bool add_other(EpfFunction *f, uint8_t id, uint8_t at, unsigned room,
                      Error **errp)
{
    PCIDevice *d = PCI_DEVICE(f);
    const uint8_t *from = f->link->config + at;
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

/* With address width and mask bits as the capability itself says */
static unsigned msi_size(uint16_t flags)
{
    unsigned len = flags & PCI_MSI_FLAGS_64BIT ? 14 : 10;

    return flags & PCI_MSI_FLAGS_MASKBIT ? len + 10 : len;
}

static bool add_cap(EpfFunction *f, uint8_t at, unsigned room, uint32_t *seen,
                    Error **errp)
{
    static const struct {
        uint8_t id;
        uint8_t len;
        bool (*add)(EpfFunction *f, uint8_t at, Error **errp);
    } known[] = {
        { PCI_CAP_ID_PM, PCI_PM_SIZEOF, add_pm },
        { PCI_CAP_ID_EXP, PCI_EXP_VER2_SIZEOF, add_express },
        { PCI_CAP_ID_MSI, 10, add_msi },
        { PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF, epf_msix_init },
    };
    uint8_t id = f->link->config[at];

    for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
        unsigned len = known[i].len;

        if (known[i].id != id) {
            continue;
        }
        if (id == PCI_CAP_ID_MSI && room >= len) {
            len = msi_size(pci_get_word(f->link->config + at + PCI_MSI_FLAGS));
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
        return known[i].add(f, at, errp);
    }
    return add_other(f, id, at, room, errp);
}

/*
 * Does the list of extended capabilities end, with all of it where QEMU expects
 * it?
 */
static bool extended_ends(const uint8_t *config)
{
    unsigned at = PCI_CONFIG_SPACE_SIZE;

    for (unsigned n = 0; n <= PCIE_CONFIG_SPACE_SIZE / 4; n++) {
        at = PCI_EXT_CAP_NEXT(pci_get_long(config + at));
        if (!at) {
            return true;
        }
        if (at < PCI_CONFIG_SPACE_SIZE || at > PCIE_CONFIG_SPACE_SIZE - 8) {
            return false;
        }
    }
    return false;
}

/*
 * The headers of extended capabilities are shown as they are.  A list that does
 * not end would trap QEMU and the guest, so it is not shown at all.  How long
 * one of them is is not told, so all between the headers is live.
 */
static void add_extended(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    const uint8_t *from = f->link->config;
    unsigned at = PCI_CONFIG_SPACE_SIZE;

    if (f->link->config_size < PCIE_CONFIG_SPACE_SIZE || !d->exp.exp_cap ||
        !pci_get_long(from + at)) {
        f->sriov.at = 0;
        return;
    }
    if (!extended_ends(from)) {
        f->sriov.at = 0;
        epf_client_report(f->link->client, "the endpoint's list of extended "
                          "capabilities is broken; they are hidden from the "
                          "guest");
        return;
    }
    bitmap_set(f->live, at, PCIE_CONFIG_SPACE_SIZE - at);
    while (at) {
        bitmap_clear(f->live, at, EXT_HEADER_SIZE);
        at = PCI_EXT_CAP_NEXT(pci_get_long(from + at));
    }
    if (f->sriov.at) {
        bitmap_clear(f->live, f->sriov.at, PCI_EXT_CAP_SRIOV_SIZEOF);
    }
    epf_caps_show_extended(f);
}

void epf_caps_show_extended(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    unsigned at = PCI_CONFIG_SPACE_SIZE;

    while (at) {
        uint32_t header = pci_get_long(f->link->config + at);
        bool hidden = PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_SRIOV &&
                      at != f->sriov.at;

        /* Without id and version it is a capability that is none */
        pci_set_long(d->config + at,
                     hidden ? header & PCI_EXT_CAP_NEXT_MASK : header);
        at = PCI_EXT_CAP_NEXT(header);
    }
}

bool epf_caps_init(EpfFunction *f, Error **errp)
{
    PCIDevice *d = PCI_DEVICE(f);
    uint8_t caps[MAX_CAPS];
    uint32_t seen = 0;
    unsigned n;

    if (!list_caps(f->link->config, caps, &n, errp)) {
        return false;
    }
    /* QEMU lets the guest write to what is in no capability */
    memset(d->wmask + PCI_CONFIG_HEADER_SIZE, 0,
           pci_config_size(d) - PCI_CONFIG_HEADER_SIZE);
    /* Each one becomes the head of the list: the last one first */
    for (unsigned i = n; i-- > 0;) {
        if (!add_cap(f, caps[i], room_for(caps, n, caps[i]), &seen, errp)) {
            return false;
        }
    }
    add_extended(f);
    return true;
}

uint32_t epf_caps_read(EpfFunction *f, uint32_t addr, int len)
{
    uint32_t val = pci_default_read_config(PCI_DEVICE(f), addr, len);
    uint8_t remote[4];

    if (find_next_bit(f->live, addr + len, addr) == addr + len) {
        return val;
    }
    if (!epf_link_read(f->link, VFU_REGION_CONFIG, addr, remote, len)) {
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
    epf_msix_exit(f);
    msi_uninit(PCI_DEVICE(f));
}
