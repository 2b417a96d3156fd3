/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * caps: capabilities that the endpoint adds to a configuration space
 *
 * They are placed back to back and linked in the order in which they are added,
 * those below 0x100 after the fixed ones.  No capability of the endpoint is
 * removed alone, so EpcConfig needs to remember only where the free space
 * begins.  What the device shows itself stands in the free space behind them,
 * and goes when another one is added.  Advanced Error Reporting (aer.c) is at
 * the end of the space and of the list, so that its offset depends on nothing.
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qemu/host-utils.h"
#include "standard-headers/linux/pci_regs.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/pci-epc-regs.h"

/* QEMU as a host expects at least 8 bytes at the last extended header. */
#define CAP_SIZE_MIN    4
#define EXT_SIZE_MIN    8
#define EXT_HEADER_SIZE 4
#define SERIAL_SIZE     12
#define SERIAL_VERSION  1
#define REBAR_VERSION   1
/* Bit n of PCI_REBAR_CAP stands for 2^(n + 16) bytes. */
#define REBAR_CAP_SHIFT 16
/* PCI_REBAR_CTRL_BAR_SIZE 0 stands for 1 MiB. */
#define REBAR_SIZE_MIN  20
#define REBAR_SIZE_MAX  (REBAR_CAP_SHIFT + 31)

static unsigned caps_ext_version(uint32_t id)
{
    return id >> EPC_CAP_VERSION_SHIFT & 0xf;
}

bool epc_config_cap_valid(uint32_t id, uint64_t size)
{
    uint16_t number = id & EPC_CAP_ID_MASK;
    unsigned min = id & EPC_CAP_EXT ? EXT_SIZE_MIN : CAP_SIZE_MIN;

    if (size < min || size > EPC_CAP_SIZE_MAX) {
        return false;
    }
    /* Other bits of the register, and ids that end a list, are not valid. */
    if (id & EPC_CAP_EXT) {
        return number && number != 0xffff &&
               !(id & ~(EPC_CAP_EXT | 0xfu << EPC_CAP_VERSION_SHIFT |
                        EPC_CAP_ID_MASK));
    }
    if (id != number || !number || number >= 0xff) {
        return false;
    }
    return number != PCI_CAP_ID_PM && number != PCI_CAP_ID_MSI &&
           number != PCI_CAP_ID_EXP && number != PCI_CAP_ID_MSIX;
}

/*
 * Allocates @size bytes between *@free and @end, a multiple of 4.  Returns
 * their offset, or 0 when there is no room.
 */
static unsigned caps_take(uint16_t *free, unsigned end, unsigned size)
{
    unsigned at = *free;

    if (size > end - at) {
        return 0;
    }
    *free = ROUND_UP(at + size, 4);
    return at;
}

static unsigned caps_add_standard(EpcConfig *c, uint8_t id, unsigned size)
{
    unsigned at = caps_take(&c->free, PCI_CFG_SPACE_SIZE, size);

    if (!at) {
        return 0;
    }
    c->data[at + PCI_CAP_LIST_ID] = id;
    if (id == PCI_CAP_ID_VNDR) {
        c->data[at + PCI_CAP_FLAGS] = size;
    }
    if (c->last_added) {
        c->data[c->last_added + PCI_CAP_LIST_NEXT] = at;
    } else {
        c->first_added = at;
    }
    c->last_added = at;
    bitmap_set(c->added, at + PCI_CAP_FLAGS, size - PCI_CAP_FLAGS);
    epc_config_link_caps(c);
    return at;
}

/* Lets the extended capability @last, if there is one, lead to @at. */
static void caps_set_next_extended(EpcConfig *c, unsigned last, unsigned at)
{
    uint8_t *header = c->data + last;

    if (last) {
        stl_le_p(header, (ldl_le_p(header) & 0xfffff) | at << 20);
    }
}

static void caps_hide_shown(EpcConfig *c)
{
    if (c->first_shown) {
        memset(c->data + c->first_shown, 0, c->shown_end - c->first_shown);
        caps_set_next_extended(c, c->last_ext, 0);
        c->first_shown = c->last_shown = c->shown_end = 0;
    }
}

void epc_config_link_aer(EpcConfig *c)
{
    unsigned last = c->last_shown ?: c->last_ext ?: PCI_CFG_SPACE_SIZE;
    uint8_t *header = c->data + last;

    /* Without others, a header with the id 0 begins the list. */
    stl_le_p(header, (ldl_le_p(header) & 0xfffff) |
                     (c->aer ? EPC_CONFIG_AER : 0) << 20);
}

static void caps_remove_aer(EpcConfig *c)
{
    const size_t size = EPC_CONFIG_SIZE - EPC_CONFIG_AER;

    if (!c->aer) {
        return;
    }
    c->aer = false;
    memset(c->data + EPC_CONFIG_AER, 0, size);
    memset(c->wmask + EPC_CONFIG_AER, 0, size);
    memset(c->w1cmask + EPC_CONFIG_AER, 0, size);
    memset(c->init + EPC_CONFIG_AER, 0, size);
    epc_config_link_aer(c);
}

/* The end of the space for extended capabilities */
static unsigned caps_ext_end(const EpcConfig *c)
{
    return c->aer ? EPC_CONFIG_AER : EPC_CONFIG_SIZE;
}

static bool caps_has_extended(const EpcConfig *c, uint16_t id)
{
    unsigned at = c->last_ext ? PCI_CFG_SPACE_SIZE : 0;

    while (at) {
        uint32_t header = ldl_le_p(c->data + at);

        if (PCI_EXT_CAP_ID(header) == id) {
            return true;
        }
        at = PCI_EXT_CAP_NEXT(header);
    }
    return false;
}

/* Returns the offset behind its header, or 0 when it is left out. */
static unsigned caps_show(EpcConfig *c, uint16_t id, unsigned version,
                          unsigned size)
{
    unsigned at = c->shown_end ?: c->ext_free;

    if (caps_has_extended(c, id) || size > caps_ext_end(c) - at) {
        return 0;
    }
    stl_le_p(c->data + at, id | version << 16);
    caps_set_next_extended(c, c->last_shown ?: c->last_ext, at);
    if (!c->first_shown) {
        c->first_shown = at;
    }
    c->last_shown = at;
    c->shown_end = at + size;
    return at + EXT_HEADER_SIZE;
}

/* PCI Express Base 5.0, 7.8.6: two registers for each BAR */
static void caps_show_resizable(EpcConfig *c, uint32_t resizable)
{
    unsigned count, at;

    for (unsigned bar = 0; bar < EPC_NUM_BARS; bar++) {
        if (c->bar_size[bar] < BIT_ULL(REBAR_SIZE_MIN) ||
            c->bar_size[bar] > BIT_ULL(REBAR_SIZE_MAX)) {
            resizable &= ~BIT(bar);
        }
    }
    count = ctpop32(resizable);
    at = count ? caps_show(c, PCI_EXT_CAP_ID_REBAR, REBAR_VERSION,
                           EXT_HEADER_SIZE + 8 * count) : 0;
    for (unsigned bar = 0; at && bar < EPC_NUM_BARS; bar++) {
        if (resizable & BIT(bar)) {
            unsigned bits = ctz64(c->bar_size[bar]);

            stl_le_p(c->data + at, BIT(bits - REBAR_CAP_SHIFT));
            stl_le_p(c->data + at + 4,
                     bar | count << PCI_REBAR_CTRL_NBAR_SHIFT |
                     (bits - REBAR_SIZE_MIN) << PCI_REBAR_CTRL_BAR_SHIFT);
            at += 8;
        }
    }
}

void epc_config_show(EpcConfig *c, uint64_t serial, uint32_t resizable)
{
    unsigned at;

    caps_hide_shown(c);
    caps_show_resizable(c, resizable);
    at = serial ? caps_show(c, PCI_EXT_CAP_ID_DSN, SERIAL_VERSION,
                            SERIAL_SIZE) : 0;
    if (at) {
        stq_le_p(c->data + at, serial);
    }
    epc_config_link_aer(c);
}

static unsigned caps_add_extended(EpcConfig *c, uint32_t id, unsigned size)
{
    bool aer = (id & EPC_CAP_ID_MASK) == PCI_EXT_CAP_ID_ERR;
    unsigned end = aer ? EPC_CONFIG_SIZE : caps_ext_end(c);
    unsigned at = caps_take(&c->ext_free, end, size);

    if (!at) {
        return 0;
    }
    if (aer) {
        caps_remove_aer(c);
    }
    caps_hide_shown(c);
    stl_le_p(c->data + at, (id & EPC_CAP_ID_MASK) | caps_ext_version(id) << 16);
    caps_set_next_extended(c, c->last_ext, at);
    c->last_ext = at;
    epc_config_link_aer(c);
    bitmap_set(c->added, at + EXT_HEADER_SIZE, size - EXT_HEADER_SIZE);
    return at;
}

unsigned epc_config_add_cap(EpcConfig *c, uint32_t id, unsigned size)
{
    return id & EPC_CAP_EXT ? caps_add_extended(c, id, size) :
                              caps_add_standard(c, id, size);
}

unsigned epc_config_add_own(EpcConfig *c, uint32_t id, unsigned size)
{
    unsigned at = caps_add_extended(c, id, size);

    if (at) {
        bitmap_clear(c->added, at, size);
    }
    return at;
}

void epc_config_link_caps(EpcConfig *c)
{
    const struct {
        uint8_t at;
        bool present;
    } caps[] = {
        { EPC_CONFIG_PM, true },
        { EPC_CONFIG_MSI, c->msi },
        { EPC_CONFIG_EXP, true },
        { EPC_CONFIG_MSIX, c->msix },
    };
    unsigned next = PCI_CAPABILITY_LIST;

    for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
        if (caps[i].present) {
            c->data[next] = caps[i].at;
            next = caps[i].at + PCI_CAP_LIST_NEXT;
        }
    }
    c->data[next] = c->first_added;
}

/* Returns true for an aligned span inside registers of added capabilities. */
static bool caps_is_added(const EpcConfig *c, unsigned offset, unsigned size)
{
    return !(offset & (size - 1)) &&
           find_next_zero_bit(c->added, offset + size, offset) ==
           offset + size;
}

bool epc_config_set_register(EpcConfig *c, uint64_t offset, uint64_t size,
                             uint32_t value, uint32_t wmask)
{
    if ((size != 1 && size != 2 && size != 4) ||
        offset > EPC_CONFIG_SIZE - size || !caps_is_added(c, offset, size)) {
        return false;
    }
    stn_le_p(c->data + offset, size, value);
    stn_le_p(c->init + offset, size, value);
    stn_le_p(c->wmask + offset, size, wmask);
    return true;
}

void epc_config_added_writes(const EpcConfig *c, uint32_t offset,
                             const void *buf, uint32_t len,
                             void (*wrote)(void *opaque, unsigned offset,
                                           unsigned size, uint32_t value),
                             void *opaque)
{
    const uint8_t *bytes = buf;

    if (offset > EPC_CONFIG_SIZE || len > EPC_CONFIG_SIZE - offset) {
        return;
    }
    while (len) {
        unsigned size = 4;

        while (size > 1 && (size > len || !caps_is_added(c, offset, size))) {
            size /= 2;
        }
        if (caps_is_added(c, offset, size)) {
            wrote(opaque, offset, size, ldn_le_p(bytes, size));
        }
        offset += size;
        bytes += size;
        len -= size;
    }
}
