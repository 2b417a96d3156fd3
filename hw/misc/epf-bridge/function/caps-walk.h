/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * caps-walk: the lists of capabilities in an image of configuration space
 *
 * The image comes from the endpoint and may contain anything.  The functions
 * look at their arguments only.
 */
#ifndef HW_MISC_EPF_BRIDGE_FUNCTION_CAPS_WALK_H
#define HW_MISC_EPF_BRIDGE_FUNCTION_CAPS_WALK_H

#include "hw/pci/pci.h"
#include "hw/pci/pcie_regs.h"

/* As many as fit between the header and the extended space */
#define EPF_CAPS_MAX ((PCI_CONFIG_SPACE_SIZE - PCI_CONFIG_HEADER_SIZE) / 4)

/* As many extended capabilities as have different offsets */
#define EPF_EXT_CAPS_MAX \
    ((PCIE_CONFIG_SPACE_SIZE - PCI_CONFIG_SPACE_SIZE) / 4)

/*
 * Fills @caps with the offsets of the capabilities in the order of the list,
 * and *@n with their number.  Returns false and sets @errp if the list leaves
 * the space or does not end.
 */
bool epf_caps_list(const uint8_t *config, uint8_t caps[EPF_CAPS_MAX],
                   unsigned *n, Error **errp);

/*
 * Offset of the first capability @id; 0: there is none, or the list is broken
 */
uint8_t epf_caps_find(const uint8_t *config, uint8_t id);

/*
 * The same for extended capabilities, in an image of @size bytes.  Fills @caps
 * with all offsets up to the one where the list breaks.  There are none if
 * @size is that of a conventional device or the first header is empty.
 */
bool epf_ext_caps_list(const uint8_t *config, unsigned size,
                       uint16_t caps[EPF_EXT_CAPS_MAX], unsigned *n);

uint16_t epf_ext_caps_find(const uint8_t *config, unsigned size, uint16_t id);

/*
 * Copies the headers of all extended capabilities from the endpoint's image
 * @from to @config; their list ends.  An SR-IOV capability anywhere but at
 * @sriov (0: nowhere) loses its ID, so the guest skips it.
 */
void epf_ext_caps_show(uint8_t *config, const uint8_t *from, unsigned sriov);

#endif /* HW_MISC_EPF_BRIDGE_FUNCTION_CAPS_WALK_H */
