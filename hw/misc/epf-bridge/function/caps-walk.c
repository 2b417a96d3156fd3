/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * caps-walk: the lists of capabilities in an image of configuration space
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/misc/epf-bridge/function/caps-walk.h"

/* The last offset at which QEMU expects an extended capability */
#define EPF_EXT_CAPS_LAST (PCIE_CONFIG_SPACE_SIZE - 8)

bool epf_caps_list(const uint8_t *config, uint8_t caps[EPF_CAPS_MAX],
                   unsigned *n, Error **errp)
{
    uint8_t at = 0;

    *n = 0;
    if (pci_get_word(config + PCI_STATUS) & PCI_STATUS_CAP_LIST) {
        at = config[PCI_CAPABILITY_LIST] & ~3;
    }
    while (at) {
        if (at < PCI_CONFIG_HEADER_SIZE || *n == EPF_CAPS_MAX) {
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

uint8_t epf_caps_find(const uint8_t *config, uint8_t id)
{
    uint8_t caps[EPF_CAPS_MAX];
    unsigned n;

    if (epf_caps_list(config, caps, &n, NULL)) {
        for (unsigned i = 0; i < n; i++) {
            if (config[caps[i]] == id) {
                return caps[i];
            }
        }
    }
    return 0;
}

bool epf_ext_caps_list(const uint8_t *config, unsigned size,
                       uint16_t caps[EPF_EXT_CAPS_MAX], unsigned *n)
{
    unsigned at = PCI_CONFIG_SPACE_SIZE;

    *n = 0;
    if (size < PCIE_CONFIG_SPACE_SIZE || !pci_get_long(config + at)) {
        return true;
    }
    while (at) {
        /* A list with more members than offsets has a loop. */
        if (at < PCI_CONFIG_SPACE_SIZE || at > EPF_EXT_CAPS_LAST ||
            *n == EPF_EXT_CAPS_MAX) {
            return false;
        }
        caps[(*n)++] = at;
        at = PCI_EXT_CAP_NEXT(pci_get_long(config + at));
    }
    return true;
}

uint16_t epf_ext_caps_find(const uint8_t *config, unsigned size, uint16_t id)
{
    uint16_t caps[EPF_EXT_CAPS_MAX];
    unsigned n;

    epf_ext_caps_list(config, size, caps, &n);
    for (unsigned i = 0; i < n; i++) {
        if (PCI_EXT_CAP_ID(pci_get_long(config + caps[i])) == id) {
            return caps[i];
        }
    }
    return 0;
}

void epf_ext_caps_show(uint8_t *config, const uint8_t *from, unsigned sriov)
{
    uint16_t caps[EPF_EXT_CAPS_MAX];
    unsigned n;

    epf_ext_caps_list(from, PCIE_CONFIG_SPACE_SIZE, caps, &n);
    for (unsigned i = 0; i < n; i++) {
        uint32_t header = pci_get_long(from + caps[i]);
        bool hidden = PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_SRIOV &&
                      caps[i] != sriov;

        /* ID and version 0 mark an entry without a capability. */
        pci_set_long(config + caps[i],
                     hidden ? header & PCI_EXT_CAP_NEXT_MASK : header);
    }
}
