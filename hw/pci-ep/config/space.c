/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-config: the configuration space of one endpoint function
 *
 * data holds what is read, wmask what the host may write, w1cmask what it may
 * clear.  Whatever the host wrote is thus found by the masks alone, which is
 * what a reset relies on; init holds what does not start as zero.
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "qemu/host-utils.h"
#include "standard-headers/linux/pci_regs.h"
#include "hw/pci-ep/epc-config.h"
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

/* Max payload is 128 bytes, so its field in Device Control stays 0. */
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

/* The high byte of Device Control, where Initiate FLR is. */
#define FLR_OFFSET      (EPC_CONFIG_EXP + PCI_EXP_DEVCTL + 1)
#define FLR_BIT         (PCI_EXP_DEVCTL_BCR_FLR >> 8)

static void set_word(uint8_t *p, unsigned offset, uint16_t v)
{
    stw_le_p(p + offset, v);
}

static void set_long(uint8_t *p, unsigned offset, uint32_t v)
{
    stl_le_p(p + offset, v);
}

static uint16_t get_word(const EpcConfig *c, unsigned offset)
{
    return lduw_le_p(c->data + offset);
}

/* ---- what the endpoint describes ---- */

static void init_pm(EpcConfig *c)
{
    uint8_t *p = c->data + EPC_CONFIG_PM;

    p[PCI_CAP_LIST_ID] = PCI_CAP_ID_PM;
    set_word(p, PCI_PM_PMC, 3);     /* version of the capability */
    set_word(p, PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET);
    set_word(c->wmask + EPC_CONFIG_PM, PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK);
}

static void init_express(EpcConfig *c, unsigned width)
{
    uint8_t *p = c->data + EPC_CONFIG_EXP;
    uint8_t *w = c->wmask + EPC_CONFIG_EXP;
    uint8_t *init = c->init + EPC_CONFIG_EXP;
    uint16_t link = c->speed | width << 4;

    p[PCI_CAP_LIST_ID] = PCI_CAP_ID_EXP;
    set_word(p, PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_ENDPOINT << 4);
    set_long(p, PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_EXT_TAG | PCI_EXP_DEVCAP_RBER |
             PCI_EXP_DEVCAP_FLR);
    set_word(w, PCI_EXP_DEVCTL, DEVCTL_WMASK);
    set_word(init, PCI_EXP_DEVCTL, DEVCTL_DEFAULT);
    set_word(c->w1cmask + EPC_CONFIG_EXP, PCI_EXP_DEVSTA, DEVSTA_W1CMASK);

    set_long(p, PCI_EXP_LNKCAP, link | LNKCAP_ASPM_OPT_COMPL);
    set_word(w, PCI_EXP_LNKCTL, LNKCTL_WMASK);
    set_word(p, PCI_EXP_LNKSTA, link | PCI_EXP_LNKSTA_SLC);

    set_long(p, PCI_EXP_DEVCAP2, PCI_EXP_DEVCAP2_COMP_TMOUT_DIS);
    set_word(w, PCI_EXP_DEVCTL2, PCI_EXP_DEVCTL2_COMP_TMOUT_DIS);
    /* Supported Link Speeds Vector: bit n is speed n */
    set_long(p, PCI_EXP_LNKCAP2, MAKE_64BIT_MASK(1, c->speed));
    set_word(w, PCI_EXP_LNKCTL2, PCI_EXP_LNKCTL2_TLS);
    set_word(init, PCI_EXP_LNKCTL2, c->speed);
}

void epc_config_init(EpcConfig *c, unsigned speed, unsigned width)
{
    memset(c, 0, sizeof(*c));
    c->speed = speed;
    c->free = EPC_CONFIG_FREE;
    c->ext_free = PCI_CFG_SPACE_SIZE;

    set_long(c->data, PCI_VENDOR_ID, 0xffffffff);
    set_word(c->wmask, PCI_COMMAND, COMMAND_WMASK);
    set_word(c->data, PCI_STATUS, PCI_STATUS_CAP_LIST);
    set_word(c->w1cmask, PCI_STATUS, STATUS_W1CMASK);
    c->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
    c->wmask[PCI_INTERRUPT_LINE] = 0xff;

    init_pm(c);
    init_express(c, width);
    epc_config_link_caps(c);
    epc_config_reset(c);
}

void epc_config_set_header(EpcConfig *c, const EpcHeader *h)
{
    c->described = true;
    c->device = h->device;
    if (!c->vf) {
        set_word(c->data, PCI_VENDOR_ID, h->vendor);
        set_word(c->data, PCI_DEVICE_ID, h->device);
        c->data[PCI_INTERRUPT_PIN] = h->int_pin;
    }
    set_long(c->data, PCI_CLASS_REVISION, h->class_rev);
    set_word(c->data, PCI_SUBSYSTEM_VENDOR_ID, h->subsys_vendor);
    set_word(c->data, PCI_SUBSYSTEM_ID, h->subsys);
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

static void set_bar_register(EpcConfig *c, unsigned at, uint32_t type,
                             uint32_t mask)
{
    set_long(c->data, at, type);
    set_long(c->wmask, at, mask);
}

void epc_config_bar_registers(EpcConfig *c, unsigned at, uint32_t flags,
                              uint64_t size)
{
    uint64_t mask = size ? ~(size - 1) : 0;
    uint32_t type = 0;

    if (c->data[at] & PCI_BASE_ADDRESS_MEM_TYPE_64) {
        set_bar_register(c, at + 4, 0, 0);
    }
    if (size && (flags & EPC_BAR_FLAG_64)) {
        type |= PCI_BASE_ADDRESS_MEM_TYPE_64;
        set_bar_register(c, at + 4, 0, mask >> 32);
    }
    if (size && (flags & EPC_BAR_FLAG_PREFETCH)) {
        type |= PCI_BASE_ADDRESS_MEM_PREFETCH;
    }
    set_bar_register(c, at, type, mask);
}

void epc_config_set_bar(EpcConfig *c, unsigned bar, uint32_t flags,
                        uint64_t size)
{
    if (c->vf || (!size && !c->bar_size[bar])) {
        return;     /* possibly the upper half of the BAR before it */
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
        set_word(p, PCI_MSI_FLAGS, mmc << 1 | PCI_MSI_FLAGS_64BIT |
                 PCI_MSI_FLAGS_MASKBIT);
        set_word(w, PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
        set_long(w, PCI_MSI_ADDRESS_LO, 0xfffffffc);
        set_long(w, PCI_MSI_ADDRESS_HI, 0xffffffff);
        set_word(w, PCI_MSI_DATA_64, 0xffff);
        set_long(w, PCI_MSI_MASK_64, MAKE_64BIT_MASK(0, 1 << mmc));
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
        set_word(p, PCI_MSIX_FLAGS, vectors - 1);
        set_word(w, PCI_MSIX_FLAGS,
                 PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
        set_long(p, PCI_MSIX_TABLE, table | bir);
        set_long(p, PCI_MSIX_PBA, pba | bir);
    }
    epc_config_link_caps(c);
}

/* ---- what the host does ---- */

static bool inside(uint32_t offset, uint32_t len)
{
    return offset <= EPC_CONFIG_SIZE && len <= EPC_CONFIG_SIZE - offset;
}

bool epc_config_read(const EpcConfig *c, uint32_t offset, void *buf,
                     uint32_t len)
{
    if (!inside(offset, len)) {
        return false;
    }
    memcpy(buf, c->data + offset, len);
    return true;
}

typedef struct Watched {
    uint16_t command;
    uint16_t msi;
    uint16_t msix;
    unsigned dstate;
    uint32_t vfs;
} Watched;

static Watched watch(const EpcConfig *c)
{
    return (Watched) {
        .command = epc_config_command(c),
        .msi = c->msi ? get_word(c, c->msi + PCI_MSI_FLAGS) : 0,
        .msix = c->msix ? get_word(c, c->msix + PCI_MSIX_FLAGS) : 0,
        .dstate = epc_config_dstate(c),
        .vfs = epc_config_vfs(c),
    };
}

static uint32_t changes(const Watched *a, const Watched *b)
{
    return (a->command != b->command ? EPC_FN_EVENT_COMMAND : 0) |
           (a->msi != b->msi || a->msix != b->msix ? EPC_FN_EVENT_MSI : 0) |
           (a->dstate != b->dstate ? EPC_FN_EVENT_DSTATE : 0) |
           (a->vfs != b->vfs ? EPC_FN_EVENT_VFS : 0);
}

static void write_bytes(EpcConfig *c, uint32_t offset, const uint8_t *buf,
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
    Watched before = watch(c), after;
    EpcSriov sriov = epc_config_sriov(c);
    bool flr;

    *events = 0;
    if (!inside(offset, len)) {
        return false;
    }
    write_bytes(c, offset, bytes, len);
    epc_config_sriov_written(c, &sriov);

    /* D1 and D2 do not exist: a write of them is discarded. */
    if ((*pm & PCI_PM_CTRL_STATE_MASK) == 1 ||
        (*pm & PCI_PM_CTRL_STATE_MASK) == 2) {
        *pm = (*pm & ~PCI_PM_CTRL_STATE_MASK) | before.dstate;
    }

    flr = offset <= FLR_OFFSET && FLR_OFFSET - offset < len &&
          (bytes[FLR_OFFSET - offset] & FLR_BIT);
    if (flr) {
        epc_config_reset(c);
        *events |= EPC_FN_EVENT_FLR;
    }
    after = watch(c);
    *events |= changes(&before, &after);
    return true;
}

void epc_config_reset(EpcConfig *c)
{
    for (unsigned i = 0; i < EPC_CONFIG_SIZE; i++) {
        c->data[i] &= ~(c->wmask[i] | c->w1cmask[i]);
        c->data[i] |= c->init[i] & c->wmask[i];
    }
}

/* ---- what the owner asks ---- */

uint16_t epc_config_command(const EpcConfig *c)
{
    return get_word(c, PCI_COMMAND);
}

unsigned epc_config_dstate(const EpcConfig *c)
{
    return get_word(c, EPC_CONFIG_PM + PCI_PM_CTRL) & PCI_PM_CTRL_STATE_MASK;
}

unsigned epc_config_msi_capable(const EpcConfig *c)
{
    uint16_t flags;

    if (!c->msi) {
        return 0;
    }
    flags = get_word(c, c->msi + PCI_MSI_FLAGS);
    return 1u << ((flags & PCI_MSI_FLAGS_QMASK) >> 1);
}

unsigned epc_config_msi_enabled(const EpcConfig *c)
{
    uint16_t flags;
    unsigned allowed;

    if (!c->msi) {
        return 0;
    }
    flags = get_word(c, c->msi + PCI_MSI_FLAGS);
    if (!(flags & PCI_MSI_FLAGS_ENABLE)) {
        return 0;
    }
    allowed = 1u << ((flags & PCI_MSI_FLAGS_QSIZE) >> 4);
    return MIN(allowed, epc_config_msi_capable(c));
}

bool epc_config_msix_enabled(const EpcConfig *c, bool *masked)
{
    uint16_t flags = c->msix ? get_word(c, c->msix + PCI_MSIX_FLAGS) : 0;

    *masked = flags & PCI_MSIX_FLAGS_MASKALL;
    return flags & PCI_MSIX_FLAGS_ENABLE;
}

unsigned epc_config_msix_size(const EpcConfig *c)
{
    uint16_t flags;

    if (!c->msix) {
        return 0;
    }
    flags = get_word(c, c->msix + PCI_MSIX_FLAGS);
    return (flags & PCI_MSIX_FLAGS_QSIZE) + 1;
}
