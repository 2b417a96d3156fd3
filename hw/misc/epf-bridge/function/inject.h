/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inject: faults of a function that the user asked for
 *
 * The bridge has the requests (faults.c). The other files of function/ ask here
 * where such a fault can happen.
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_FUNCTION_INJECT_H
#define HW_MISC_EPF_BRIDGE_FUNCTION_INJECT_H

#include "hw/misc/epf-bridge/function/state.h"

/* The kinds of the bridge. faults.c has the table. */
typedef enum EpfFaultId {
    EPF_FAULT_CONFIG_ONES,
    EPF_FAULT_CONFIG_RETRY,
    EPF_FAULT_CONFIG_DELAY,
    EPF_FAULT_IRQ_LOST,
    EPF_FAULT_IRQ_DOUBLE,
    EPF_FAULT_AER,
    EPF_FAULT_REMOVE,
    EPF_FAULT_INSERT,
    EPF_FAULT_LINK_DOWN,
    EPF_FAULT_LINK_TRAIN,
    EPF_FAULT_BAR_TIMEOUT,
    EPF_FAULT_BAR_DELAY,
    EPF_FAULT_BAR_POISON,
    EPF_FAULTS,
} EpfFaultId;

/*
 * The guest reads @len bytes of configuration space at @addr. Returns true when
 * a fault answers, with the answer in *@val. May release the BQL and delay a
 * vCPU first, so the function may be unreachable afterwards.
 */
bool epf_inject_config_read(EpfFunction *f, uint32_t addr, int len,
                            uint32_t *val);

/* The guest writes. Returns true when the write is lost. */
bool epf_inject_config_write(EpfFunction *f, uint32_t addr);

/* Can a fault happen to an access to a BAR? Then each access has to ask. */
bool epf_inject_wants_bars(EpfFunction *f);
/*
 * Called between epf_wait_begin_memory() and epf_wait_end_access(), for an
 * access at bus address @addr. Returns true when a fault answers: a read
 * returns all ones, and a write is lost. May release the BQL and delay a vCPU
 * first.
 */
bool epf_inject_bar_access(EpfFunction *f, uint64_t addr, bool is_write);

typedef enum EpfInjectIrq {
    EPF_INJECT_NORMAL,
    EPF_INJECT_LOST,
    EPF_INJECT_DOUBLE,
} EpfInjectIrq;

/* Can any interrupt of a function become the victim of a fault? */
bool epf_inject_wants_irqs(EpfFunction *f);
/* What happens to the interrupt of @vector; INTx is vector 0. */
EpfInjectIrq epf_inject_irq(EpfFunction *f, unsigned vector);

#endif /* HW_MISC_EPF_BRIDGE_FUNCTION_INJECT_H */
