/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits of the controller, which properties give it
 *
 * pci-epc-limit-regs.h says what each of them means. Nothing here takes a lock,
 * since limits do not change after realize.
 */
#ifndef HW_PCI_EP_ENDPOINT_LIMITS_H
#define HW_PCI_EP_ENDPOINT_LIMITS_H

#include "hw/pci-ep/pci-epc-regs.h"

#define EPC_LIMIT_BARS      6

/* What the user wrote, and what epc_limits_init() made of it */
typedef struct EpcLimits {
    char *bar_text[EPC_LIMIT_BARS];     /* NULL: programmable */
    uint64_t inbound_align, outbound_granule, outbound_align, outbound_max;
    uint32_t dma_channels;
    bool msi, msix, intx, doorbells, retarget, subrange, linkup;

    uint64_t granule;                   /* EPC_REG_GRANULE */
    uint32_t bar[EPC_LIMIT_BARS];       /* EPC_REG_BAR_LIMIT(n) */
} EpcLimits;

/*
 * Reads @text, which is the property of a BAR: words with "+" between them. The
 * result is a value of EPC_REG_BAR_LIMIT(n). Returns false for any other text.
 */
bool epc_limits_parse_bar(const char *text, uint32_t *limit);

/*
 * Checks the properties and works out the rest. @granule is EPC_REG_GRANULE and
 * @window the size of the window, in bytes. An error names the property and
 * what it may be.
 */
bool epc_limits_init(EpcLimits *l, uint64_t granule, uint64_t window,
                     Error **errp);

/* The bits of EPC_REG_FEATURES that the limits set, of all that they concern */
uint32_t epc_limits_features(const EpcLimits *l);

/* The resizable BARs, as bits */
uint32_t epc_limits_resizable(const EpcLimits *l);

/* A constant register of the global page. Returns false for any other one. */
bool epc_limits_read(const EpcLimits *l, uint64_t reg, uint32_t *v);

/*
 * Each returns the name of a property that does not allow it, or NULL: SET_BAR
 * with these arguments, an address and a size of an area, and MAP.
 */
const char *epc_limits_bar(const EpcLimits *l, unsigned n, uint32_t flags,
                           uint64_t addr, uint64_t size);
const char *epc_limits_area(const EpcLimits *l, uint64_t addr, uint64_t size);
const char *epc_limits_map(const EpcLimits *l, uint64_t offset, uint64_t addr,
                           uint64_t size);

#endif /* HW_PCI_EP_ENDPOINT_LIMITS_H */
