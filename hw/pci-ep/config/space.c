/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * space: the configuration space of one endpoint function
 *
 * EpcConfig.data has the bytes that the host reads, wmask the bits that it may
 * write, and w1cmask the bits that it may clear.  A reset finds all that the
 * host wrote by these masks, and sets it to init.
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "qemu/host-utils.h"
#include "standard-headers/linux/pci_regs.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/pci-epc-regs.h"

#define COMMAND_WMASK   (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | \
                         PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | \
                         PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)
#define STATUS_W1CMASK  (PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | \
                         PCI_STATUS_REC_TARGET_ABORT | \
                         PCI_STATUS_REC_MASTER_ABORT | \
                         PCI_STATUS_SIG_SYSTEM_ERROR | \
                         PCI_STATUS_DETECTED_PARITY)

#define HEADER_TYPE_MULTI   0x80        /* not in every pci_regs.h */

/* The maximum payload is 128 bytes, so its field in Device Control stays 0. */
#define DEVCTL_WMASK    (PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | \
                         PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE | \
                         PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_EXT_TAG | \
                         PCI_EXP_DEVCTL_NOSNOOP_EN | PCI_EXP_DEVCTL_READRQ)
#define DEVCTL_DEFAULT  (PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN | \
                         PCI_EXP_DEVCTL_READRQ_512B)
#define DEVSTA_W1CMASK  (PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED | \
                         PCI_EXP_DEVSTA_FED | PCI_EXP_DEVSTA_URD)
#define LNKCAP_ASPM_OPT_COMPL   (1u << 22)  /* not in pci_regs.h */
#define LNKCTL_WMASK    (PCI_EXP_LNKCTL_RCB | PCI_EXP_LNKCTL_CCC | \
                         PCI_EXP_LNKCTL_ES)

/*
 * Bits that a reset keeps unless it is of kind @by or a later one. An FLR keeps
 * the bits of the port, which belong to the link (PCI Express Base 5.0, 6.6.2).
 * Hot reset and FLR keep sticky bits, which the register tables of chapter 7
 * call RWS.
 */
/* One half of a register of 32 bits */
#define SPACE_KEPT_AER(reg) \
    { EPC_CONFIG_AER + (reg), 0xffff, EPC_CONFIG_RESET_POWER }

static const struct {
    unsigned offset;
    uint16_t mask;
    EpcConfigReset by;
} space_kept[] = {
    { EPC_CONFIG_EXP + PCI_EXP_LNKCTL, LNKCTL_WMASK, EPC_CONFIG_RESET_HOT },
    { EPC_CONFIG_EXP + PCI_EXP_LNKCTL2, PCI_EXP_LNKCTL2_TLS,
      EPC_CONFIG_RESET_POWER },
    SPACE_KEPT_AER(PCI_ERR_UNCOR_STATUS),
    SPACE_KEPT_AER(PCI_ERR_UNCOR_STATUS + 2),
    SPACE_KEPT_AER(PCI_ERR_UNCOR_MASK),
    SPACE_KEPT_AER(PCI_ERR_UNCOR_MASK + 2),
    SPACE_KEPT_AER(PCI_ERR_UNCOR_SEVER),
    SPACE_KEPT_AER(PCI_ERR_UNCOR_SEVER + 2),
    SPACE_KEPT_AER(PCI_ERR_COR_STATUS),
    SPACE_KEPT_AER(PCI_ERR_COR_STATUS + 2),
    SPACE_KEPT_AER(PCI_ERR_COR_MASK),
    SPACE_KEPT_AER(PCI_ERR_COR_MASK + 2),
    SPACE_KEPT_AER(PCI_ERR_CAP),
    SPACE_KEPT_AER(PCI_ERR_CAP + 2),
};

/* The high byte of Device Control, which has Initiate FLR */
#define FLR_OFFSET      (EPC_CONFIG_EXP + PCI_EXP_DEVCTL + 1)
#define FLR_BIT         (PCI_EXP_DEVCTL_BCR_FLR >> 8)

static void space_set_word(uint8_t *p, unsigned offset, uint16_t v)
{
    stw_le_p(p + offset, v);
}

static void space_set_long(uint8_t *p, unsigned offset, uint32_t v)
{
    stl_le_p(p + offset, v);
}

static uint16_t space_get_word(const EpcConfig *c, unsigned offset)
{
    return lduw_le_p(c->data + offset);
}

/* ---- Description by the endpoint ---- */

static void space_init_pm(EpcConfig *c)
{
    uint8_t *p = c->data + EPC_CONFIG_PM;

    p[PCI_CAP_LIST_ID] = PCI_CAP_ID_PM;
    space_set_word(p, PCI_PM_PMC, 3);     /* version of the capability */
    space_set_word(p, PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET);
    space_set_word(c->wmask + EPC_CONFIG_PM, PCI_PM_CTRL,
                   PCI_PM_CTRL_STATE_MASK);
}

static void space_init_express(EpcConfig *c, unsigned width)
{
    uint8_t *p = c->data + EPC_CONFIG_EXP;
    uint8_t *w = c->wmask + EPC_CONFIG_EXP;
    uint8_t *init = c->init + EPC_CONFIG_EXP;
    uint16_t link = c->speed | width << 4;

    p[PCI_CAP_LIST_ID] = PCI_CAP_ID_EXP;
    space_set_word(p, PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_ENDPOINT << 4);
    space_set_long(p, PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_EXT_TAG |
                   PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR);
    space_set_word(w, PCI_EXP_DEVCTL, DEVCTL_WMASK);
    space_set_word(init, PCI_EXP_DEVCTL, DEVCTL_DEFAULT);
    space_set_word(c->w1cmask + EPC_CONFIG_EXP, PCI_EXP_DEVSTA, DEVSTA_W1CMASK);

    space_set_long(p, PCI_EXP_LNKCAP, link | LNKCAP_ASPM_OPT_COMPL);
    space_set_word(w, PCI_EXP_LNKCTL, LNKCTL_WMASK);
    space_set_word(p, PCI_EXP_LNKSTA, link | PCI_EXP_LNKSTA_SLC);

    space_set_long(p, PCI_EXP_DEVCAP2, PCI_EXP_DEVCAP2_COMP_TMOUT_DIS);
    space_set_word(w, PCI_EXP_DEVCTL2, PCI_EXP_DEVCTL2_COMP_TMOUT_DIS);
    /* Supported Link Speeds Vector: bit n is speed n */
    space_set_long(p, PCI_EXP_LNKCAP2, MAKE_64BIT_MASK(1, c->speed));
    space_set_word(w, PCI_EXP_LNKCTL2, PCI_EXP_LNKCTL2_TLS);
    space_set_word(init, PCI_EXP_LNKCTL2, c->speed);
}

void epc_config_init(EpcConfig *c, unsigned speed, unsigned width)
{
    memset(c, 0, sizeof(*c));
    c->speed = speed;
    c->free = EPC_CONFIG_FREE;
    c->ext_free = PCI_CFG_SPACE_SIZE;

    space_set_long(c->data, PCI_VENDOR_ID, 0xffffffff);
    space_set_word(c->wmask, PCI_COMMAND, COMMAND_WMASK);
    space_set_word(c->data, PCI_STATUS, PCI_STATUS_CAP_LIST);
    space_set_word(c->w1cmask, PCI_STATUS, STATUS_W1CMASK);
    c->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
    c->wmask[PCI_INTERRUPT_LINE] = 0xff;

    space_init_pm(c);
    space_init_express(c, width);
    epc_config_link_caps(c);
    epc_config_reset(c, EPC_CONFIG_RESET_POWER);
}

void epc_config_set_header(EpcConfig *c, const EpcHeader *h)
{
    c->described = true;
    c->device = h->device;
    if (!c->vf) {
        space_set_word(c->data, PCI_VENDOR_ID, h->vendor);
        space_set_word(c->data, PCI_DEVICE_ID, h->device);
        c->data[PCI_INTERRUPT_PIN] = h->int_pin;
    }
    space_set_long(c->data, PCI_CLASS_REVISION, h->class_rev);
    space_set_word(c->data, PCI_SUBSYSTEM_VENDOR_ID, h->subsys_vendor);
    space_set_word(c->data, PCI_SUBSYSTEM_ID, h->subsys);
}

bool epc_config_empty(const EpcConfig *c)
{
    return !c->described;
}

void epc_config_set_multifunction(EpcConfig *c, bool others)
{
    c->data[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_NORMAL |
                               (others ? HEADER_TYPE_MULTI : 0);
}

static void space_set_bar_register(EpcConfig *c, unsigned at, uint32_t type,
                                   uint32_t mask)
{
    space_set_long(c->data, at, type);
    space_set_long(c->wmask, at, mask);
}

void epc_config_bar_registers(EpcConfig *c, unsigned at, uint32_t flags,
                              uint64_t size)
{
    uint64_t mask = size ? ~(size - 1) : 0;
    uint32_t type = 0;

    if (c->data[at] & PCI_BASE_ADDRESS_MEM_TYPE_64) {
        space_set_bar_register(c, at + 4, 0, 0);
    }
    if (size && (flags & EPC_BAR_FLAG_64)) {
        type |= PCI_BASE_ADDRESS_MEM_TYPE_64;
        space_set_bar_register(c, at + 4, 0, mask >> 32);
    }
    if (size && (flags & EPC_BAR_FLAG_PREFETCH)) {
        type |= PCI_BASE_ADDRESS_MEM_PREFETCH;
    }
    space_set_bar_register(c, at, type, mask);
}

void epc_config_set_bar(EpcConfig *c, unsigned bar, uint32_t flags,
                        uint64_t size)
{
    if (c->vf || (!size && !c->bar_size[bar])) {
        return;     /* The register may be the upper half of a 64-bit BAR. */
    }
    epc_config_bar_registers(c, PCI_BASE_ADDRESS_0 + 4 * bar, flags, size);
    c->bar_size[bar] = size;
}

void epc_config_set_msi(EpcConfig *c, unsigned vectors)
{
    const unsigned len = PCI_MSI_PENDING_64 + 4;
    uint8_t *p = c->data + EPC_CONFIG_MSI;
    uint8_t *w = c->wmask + EPC_CONFIG_MSI;
    unsigned mmc;

    memset(p, 0, len);
    memset(w, 0, len);
    c->msi = vectors ? EPC_CONFIG_MSI : 0;
    if (vectors) {
        mmc = ctz32(pow2ceil(vectors));
        p[PCI_CAP_LIST_ID] = PCI_CAP_ID_MSI;
        space_set_word(p, PCI_MSI_FLAGS, mmc << 1 | PCI_MSI_FLAGS_64BIT |
                       PCI_MSI_FLAGS_MASKBIT);
        space_set_word(w, PCI_MSI_FLAGS,
                       PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
        space_set_long(w, PCI_MSI_ADDRESS_LO, 0xfffffffc);
        space_set_long(w, PCI_MSI_ADDRESS_HI, 0xffffffff);
        space_set_word(w, PCI_MSI_DATA_64, 0xffff);
        space_set_long(w, PCI_MSI_MASK_64, MAKE_64BIT_MASK(0, 1 << mmc));
    }
    epc_config_link_caps(c);
}

void epc_config_set_msix(EpcConfig *c, unsigned vectors, unsigned bir,
                         uint32_t table, uint32_t pba)
{
    uint8_t *p = c->data + EPC_CONFIG_MSIX;
    uint8_t *w = c->wmask + EPC_CONFIG_MSIX;

    memset(p, 0, PCI_CAP_MSIX_SIZEOF);
    memset(w, 0, PCI_CAP_MSIX_SIZEOF);
    c->msix = vectors ? EPC_CONFIG_MSIX : 0;
    if (vectors) {
        p[PCI_CAP_LIST_ID] = PCI_CAP_ID_MSIX;
        space_set_word(p, PCI_MSIX_FLAGS, vectors - 1);
        space_set_word(w, PCI_MSIX_FLAGS,
                       PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
        space_set_long(p, PCI_MSIX_TABLE, table | bir);
        space_set_long(p, PCI_MSIX_PBA, pba | bir);
    }
    epc_config_link_caps(c);
}

/* ---- Accesses of the host ---- */

static bool space_inside(uint32_t offset, uint32_t len)
{
    return offset <= EPC_CONFIG_SIZE && len <= EPC_CONFIG_SIZE - offset;
}

bool epc_config_read(const EpcConfig *c, uint32_t offset, void *buf,
                     uint32_t len)
{
    if (!space_inside(offset, len)) {
        return false;
    }
    memcpy(buf, c->data + offset, len);
    return true;
}

/* Registers whose change causes an event */
typedef struct SpaceState {
    uint16_t command;
    uint16_t msi;
    uint32_t msi_mask;
    uint16_t msix;
    unsigned dstate;
    uint32_t vfs;
} SpaceState;

static SpaceState space_watch(const EpcConfig *c)
{
    return (SpaceState) {
        .command = epc_config_command(c),
        .msi = c->msi ? space_get_word(c, c->msi + PCI_MSI_FLAGS) : 0,
        .msi_mask = epc_config_msi_mask(c),
        .msix = c->msix ? space_get_word(c, c->msix + PCI_MSIX_FLAGS) : 0,
        .dstate = epc_config_dstate(c),
        .vfs = epc_config_vfs(c),
    };
}

/* Returns EPC_FN_EVENT_* for the changes from @a to @b. */
static uint32_t space_changes(const SpaceState *a, const SpaceState *b)
{
    return (a->command != b->command ? EPC_FN_EVENT_COMMAND : 0) |
           (a->msi != b->msi || a->msi_mask != b->msi_mask ||
            a->msix != b->msix ? EPC_FN_EVENT_MSI : 0) |
           (a->dstate != b->dstate ? EPC_FN_EVENT_DSTATE : 0) |
           (a->vfs != b->vfs ? EPC_FN_EVENT_VFS : 0);
}

static void space_write_bytes(EpcConfig *c, uint32_t offset, const uint8_t *buf,
                              uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        uint32_t at = offset + i;

        c->data[at] = (c->data[at] & ~c->wmask[at]) |
                      (buf[i] & c->wmask[at]);
        c->data[at] &= ~(buf[i] & c->w1cmask[at]);
    }
}

bool epc_config_write(EpcConfig *c, uint32_t offset, const void *buf,
                      uint32_t len, uint32_t *events)
{
    const uint8_t *bytes = buf;
    uint8_t *pm = c->data + EPC_CONFIG_PM + PCI_PM_CTRL;
    SpaceState before = space_watch(c), after;
    EpcSriov sriov = epc_config_sriov(c);
    bool flr;

    *events = 0;
    if (!space_inside(offset, len)) {
        return false;
    }
    space_write_bytes(c, offset, bytes, len);
    epc_config_sriov_written(c, &sriov);

    /* D1 and D2 do not exist: a write of them is discarded. */
    if ((*pm & PCI_PM_CTRL_STATE_MASK) == 1 ||
        (*pm & PCI_PM_CTRL_STATE_MASK) == 2) {
        *pm = (*pm & ~PCI_PM_CTRL_STATE_MASK) | before.dstate;
    }

    flr = offset <= FLR_OFFSET && FLR_OFFSET - offset < len &&
          (bytes[FLR_OFFSET - offset] & FLR_BIT);
    if (flr) {
        epc_config_reset(c, EPC_CONFIG_RESET_FLR);
        *events |= EPC_FN_EVENT_FLR;
    }
    after = space_watch(c);
    *events |= space_changes(&before, &after);
    return true;
}

/*
 * Bits that a virtual function does not have are not among those it keeps. A
 * capability that the endpoint added may be where AER would be.
 */
static uint16_t space_kept_mask(const EpcConfig *c, unsigned i,
                                EpcConfigReset kind)
{
    unsigned at = space_kept[i].offset;

    if (kind >= space_kept[i].by || (at >= EPC_CONFIG_AER && !c->aer)) {
        return 0;
    }
    return space_kept[i].mask &
           (lduw_le_p(c->wmask + at) | lduw_le_p(c->w1cmask + at));
}

void epc_config_reset(EpcConfig *c, EpcConfigReset kind)
{
    uint16_t before[ARRAY_SIZE(space_kept)];

    for (unsigned i = 0; i < ARRAY_SIZE(space_kept); i++) {
        before[i] = space_get_word(c, space_kept[i].offset);
    }
    for (unsigned i = 0; i < EPC_CONFIG_SIZE; i++) {
        c->data[i] &= ~(c->wmask[i] | c->w1cmask[i]);
        c->data[i] |= c->init[i] & c->wmask[i];
    }
    for (unsigned i = 0; i < ARRAY_SIZE(space_kept); i++) {
        unsigned offset = space_kept[i].offset;
        uint16_t mask = space_kept_mask(c, i, kind);

        space_set_word(c->data, offset, (space_get_word(c, offset) & ~mask) |
                                        (before[i] & mask));
    }
    epc_config_set_intx(c, false);
}

void epc_config_set_intx(EpcConfig *c, bool pending)
{
    uint16_t status = space_get_word(c, PCI_STATUS) & ~PCI_STATUS_INTERRUPT;

    space_set_word(c->data, PCI_STATUS,
                   status | (pending ? PCI_STATUS_INTERRUPT : 0));
}

/* ---- Queries of the owner ---- */

uint16_t epc_config_command(const EpcConfig *c)
{
    return space_get_word(c, PCI_COMMAND);
}

unsigned epc_config_dstate(const EpcConfig *c)
{
    return space_get_word(c, EPC_CONFIG_PM + PCI_PM_CTRL) &
           PCI_PM_CTRL_STATE_MASK;
}

unsigned epc_config_msi_capable(const EpcConfig *c)
{
    uint16_t flags;

    if (!c->msi) {
        return 0;
    }
    flags = space_get_word(c, c->msi + PCI_MSI_FLAGS);
    return 1u << ((flags & PCI_MSI_FLAGS_QMASK) >> 1);
}

uint32_t epc_config_msi_mask(const EpcConfig *c)
{
    return c->msi ? ldl_le_p(c->data + c->msi + PCI_MSI_MASK_64) : 0;
}

unsigned epc_config_msi_enabled(const EpcConfig *c)
{
    uint16_t flags;
    unsigned allowed;

    if (!c->msi) {
        return 0;
    }
    flags = space_get_word(c, c->msi + PCI_MSI_FLAGS);
    if (!(flags & PCI_MSI_FLAGS_ENABLE)) {
        return 0;
    }
    allowed = 1u << ((flags & PCI_MSI_FLAGS_QSIZE) >> 4);
    return MIN(allowed, epc_config_msi_capable(c));
}

bool epc_config_msix_enabled(const EpcConfig *c, bool *masked)
{
    uint16_t flags = c->msix ? space_get_word(c, c->msix + PCI_MSIX_FLAGS) : 0;

    *masked = flags & PCI_MSIX_FLAGS_MASKALL;
    return flags & PCI_MSIX_FLAGS_ENABLE;
}

unsigned epc_config_msix_size(const EpcConfig *c)
{
    uint16_t flags;

    if (!c->msix) {
        return 0;
    }
    flags = space_get_word(c, c->msix + PCI_MSIX_FLAGS);
    return (flags & PCI_MSIX_FLAGS_QSIZE) + 1;
}
