/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * write-log: writes of the host to added capabilities, for the endpoint
 *
 * This is the state behind EPC_FN_WRITE_INFO, _VALUE and _NEXT.  The guest
 * accesses these registers one after the other, and a reset may empty the log
 * between any two accesses, so VALUE and NEXT refer to the entry that INFO
 * returned last.  The functions take no lock.
 */
#ifndef HW_PCI_EP_CONFIG_WRITE_LOG_H
#define HW_PCI_EP_CONFIG_WRITE_LOG_H

#include "hw/pci-ep/pci-epc-regs.h"

typedef struct EpcWriteLog {
    struct {
        uint32_t info, value;
    } entry[EPC_FN_WRITES_MAX];
    unsigned first, count;
    uint32_t value;         /* of the entry that INFO returned last */
    bool shown;             /* that entry is still the oldest one */
} EpcWriteLog;

/* Adds a write of @size 1, 2 or 4 bytes to an aligned offset. */
void epc_write_log_add(EpcWriteLog *w, unsigned offset, unsigned size,
                       uint32_t value);
void epc_write_log_clear(EpcWriteLog *w);

/* A read of INFO, and a write of NEXT */
uint32_t epc_write_log_info(EpcWriteLog *w);
void epc_write_log_next(EpcWriteLog *w);

#endif /* HW_PCI_EP_CONFIG_WRITE_LOG_H */
