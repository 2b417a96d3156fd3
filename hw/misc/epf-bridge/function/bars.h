/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bars: the BARs of a remote function as the guest sees them
 *
 * Callers hold the BQL.
 */
#ifndef HW_MISC_EPF_BRIDGE_FUNCTION_BARS_H
#define HW_MISC_EPF_BRIDGE_FUNCTION_BARS_H

#include "hw/misc/epf-bridge/function/state.h"

/* Makes the BARs that the endpoint described. */
void epf_bars_init(EpfFunction *f);
void epf_bars_exit(EpfFunction *f);
/* Frees what must live as long as the object. */
void epf_bars_finalize(EpfFunction *f);

/*
 * Between epf_bars_init() and epf_bars_register(): adds a BAR that the endpoint
 * does not have, makes one larger, or puts @mr on top of one.
 */
void epf_bars_add(EpfFunction *f, unsigned bar, uint64_t size);
void epf_bars_grow(EpfFunction *f, unsigned bar, uint64_t size);
void epf_bars_overlay(EpfFunction *f, unsigned bar, uint64_t offset,
                      MemoryRegion *mr);
void epf_bars_register(EpfFunction *f);

/* Does the guest see the areas of memory that the endpoint described last? */
bool epf_bars_synced(EpfFunction *f);
/* Shows them.  No vCPU runs, because the memory topology changes. */
void epf_bars_sync(EpfFunction *f);
/* Then shows the doorbells, with or without running vCPUs. */
void epf_bars_sync_doorbells(EpfFunction *f);

#endif /* HW_MISC_EPF_BRIDGE_FUNCTION_BARS_H */
