/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-writes: what the host wrote to added capabilities, for the endpoint
 *
 * Pure state behind EPC_FN_WRITE_INFO, _VALUE and _NEXT; the owner serialises.
 * The three are separate accesses of the guest, and a reset may empty the queue
 * between any two: so VALUE and NEXT are about what INFO showed.
 */
#ifndef HW_PCI_EP_EPC_WRITES_H
#define HW_PCI_EP_EPC_WRITES_H

#include "hw/pci-ep/pci-epc-regs.h"

typedef struct EpcWrites {
    struct {
        uint32_t info, value;
    } entry[EPC_FN_WRITES_MAX];
    unsigned first, count;
    uint32_t value;         /* of what INFO showed last */
    bool shown;             /* ... which is the oldest one still */
} EpcWrites;

/* Aligned, @size 1, 2 or 4. */
void epc_writes_add(EpcWrites *w, unsigned offset, unsigned size,
                    uint32_t value);
void epc_writes_clear(EpcWrites *w);

/* The registers */
uint32_t epc_writes_info(EpcWrites *w);
void epc_writes_next(EpcWrites *w);

#endif /* HW_PCI_EP_EPC_WRITES_H */
