/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-config-caps: capabilities the endpoint adds to a configuration space
 *
 * They are placed back to back in the order of adding and linked in the same
 * order, the ones below 0x100 after the fixed ones.  None is ever taken out
 * alone, so where the free space begins is all there is to remember.
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qemu/host-utils.h"
#include "standard-headers/linux/pci_regs.h"
#include "hw/pci-ep/epc-config.h"
#include "hw/pci-ep/pci-epc-regs.h"

/* QEMU as a host wants 8 bytes behind the last extended header to be there. */
#define CAP_SIZE_MIN    4
#define EXT_SIZE_MIN    8
#define EXT_HEADER_SIZE 4

static unsigned ext_version(uint32_t id)
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
    /* What is left of the register, and ids that end a list, are no ids */
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

/* @size bytes of the space from *@free to @end, which is a multiple of 4 */
static unsigned take(uint16_t *free, unsigned end, unsigned size)
{
    unsigned at = *free;

    if (size > end - at) {
        return 0;
    }
    *free = ROUND_UP(at + size, 4);
    return at;
}

static unsigned add_standard(EpcConfig *c, uint8_t id, unsigned size)
{
    unsigned at = take(&c->free, PCI_CFG_SPACE_SIZE, size);

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

static unsigned add_extended(EpcConfig *c, uint32_t id, unsigned size)
{
    unsigned at = take(&c->ext_free, EPC_CONFIG_SIZE, size);
    uint8_t *last = c->data + c->last_ext;

    if (!at) {
        return 0;
    }
    stl_le_p(c->data + at, (id & EPC_CAP_ID_MASK) | ext_version(id) << 16);
    if (c->last_ext) {
        stl_le_p(last, ldl_le_p(last) | at << 20);
    }
    c->last_ext = at;
    bitmap_set(c->added, at + EXT_HEADER_SIZE, size - EXT_HEADER_SIZE);
    return at;
}

unsigned epc_config_add_cap(EpcConfig *c, uint32_t id, unsigned size)
{
    return id & EPC_CAP_EXT ? add_extended(c, id, size) :
                              add_standard(c, id, size);
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

/* Aligned, and wholly inside registers of added capabilities? */
static bool is_added(const EpcConfig *c, unsigned offset, unsigned size)
{
    return !(offset & (size - 1)) &&
           find_next_zero_bit(c->added, offset + size, offset) ==
           offset + size;
}

bool epc_config_set_register(EpcConfig *c, uint64_t offset, uint64_t size,
                             uint32_t value, uint32_t wmask)
{
    if ((size != 1 && size != 2 && size != 4) ||
        offset > EPC_CONFIG_SIZE - size || !is_added(c, offset, size)) {
        return false;
    }
    stn_le_p(c->data + offset, size, value);
    stn_le_p(c->init + offset, size, value);
    stn_le_p(c->wmask + offset, size, wmask);
    return true;
}

void epc_config_added_writes(const EpcConfig *c, uint32_t offset,
                             const void *buf, uint32_t len,
                             void (*tell)(void *opaque, unsigned offset,
                                          unsigned size, uint32_t value),
                             void *opaque)
{
    const uint8_t *bytes = buf;

    if (offset > EPC_CONFIG_SIZE || len > EPC_CONFIG_SIZE - offset) {
        return;
    }
    while (len) {
        unsigned size = 4;

        while (size > 1 && (size > len || !is_added(c, offset, size))) {
            size /= 2;
        }
        if (is_added(c, offset, size)) {
            tell(opaque, offset, size, ldn_le_p(bytes, size));
        }
        offset += size;
        bytes += size;
        len -= size;
    }
}
