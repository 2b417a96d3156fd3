/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * write-log: writes of the host to added capabilities, for the endpoint
 */
#include "qemu/osdep.h"
#include "hw/pci-ep/config/write-log.h"

#define INFO_SIZE_SHIFT 16

void epc_write_log_add(EpcWriteLog *w, unsigned offset, unsigned size,
                       uint32_t value)
{
    unsigned last = (w->first + w->count + EPC_FN_WRITES_MAX - 1) %
                    EPC_FN_WRITES_MAX;
    unsigned n = (last + 1) % EPC_FN_WRITES_MAX;

    if (w->count == EPC_FN_WRITES_MAX) {
        w->entry[last].info |= EPC_WRITE_LOST;
        return;
    }
    w->entry[n].info = EPC_WRITE_VALID | size << INFO_SIZE_SHIFT | offset;
    w->entry[n].value = value;
    w->count++;
}

void epc_write_log_clear(EpcWriteLog *w)
{
    w->count = 0;
    w->shown = false;
}

uint32_t epc_write_log_info(EpcWriteLog *w)
{
    w->shown = w->count;
    if (!w->shown) {
        return 0;
    }
    w->value = w->entry[w->first].value;
    return w->entry[w->first].info;
}

void epc_write_log_next(EpcWriteLog *w)
{
    if (w->shown) {
        w->shown = false;
        w->first = (w->first + 1) % EPC_FN_WRITES_MAX;
        w->count--;
    }
}
