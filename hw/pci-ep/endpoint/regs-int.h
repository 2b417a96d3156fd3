/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files that decode registers share
 *
 * Functions that read or write a register return false for a bad access.
 */
#ifndef HW_PCI_EP_ENDPOINT_REGS_INT_H
#define HW_PCI_EP_ENDPOINT_REGS_INT_H

#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/endpoint/state.h"

/* A register that is a member of a structure */
typedef struct EpcRegField {
    hwaddr reg;
    size_t offset;              /* of the member */
    bool wide;                  /* 64 bits, else 32 */
} EpcRegField;

/*
 * Finds the register at offset @reg in @table, which has @n elements. For a
 * register of 64 bits @reg may also be the offset of its upper half, and then
 * @reg & 4 is set. Returns NULL if there is no such register.
 */
static inline const EpcRegField *epc_reg_find(const EpcRegField *table,
                                              unsigned n, hwaddr reg)
{
    for (unsigned i = 0; i < n; i++) {
        if (table[i].reg == (table[i].wide ? reg & ~4ull : reg)) {
            return &table[i];
        }
    }
    return NULL;
}

/* ---- endpoint/regs-global.c: the global page ---- */

bool epc_regs_global_read(EpcState *s, hwaddr reg, uint32_t *v)
    EP_REQUIRES(&ep_bql, &s->lock);
bool epc_regs_global_write(EpcState *s, hwaddr reg, uint32_t v)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock);

/*
 * Writes an event mask. A bit that becomes 1 while its event is pending raises
 * EPC_VECTOR_EVENT, so that no event is lost.
 */
void epc_regs_set_mask(EpcState *s, uint32_t *mask, uint32_t v, uint32_t event)
    EP_REQUIRES(&s->lock);

/* ---- endpoint/regs-fn.c: the pages and the raise area of a function ---- */

bool epc_regs_fn_read(EpcFunction *fn, hwaddr reg, uint32_t *v)
    EP_REQUIRES(&ep_bql, &fn->epc->lock);
bool epc_regs_fn_write(EpcFunction *fn, hwaddr reg, uint32_t v)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&fn->epc->lock);

/* The 64-bit argument register at @reg, or NULL */
uint64_t *epc_regs_fn_wide(EpcFunction *fn, hwaddr reg) EP_REQUIRES(&ep_bql);

/* Reads EPC_FN_CONFIG + @offset, with any width. */
bool epc_regs_config_read(EpcFunction *fn, hwaddr offset, unsigned size,
                          uint64_t *v) EP_REQUIRES(&fn->epc->lock);

bool epc_regs_raise_valid(const EpcState *s, hwaddr reg);
bool epc_regs_raise_write(EpcFunction *fn, hwaddr reg, uint32_t v)
    EP_EXCLUDES(&fn->epc->lock);

#endif /* HW_PCI_EP_ENDPOINT_REGS_INT_H */
