/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mailbox: the DOE mailbox of a function, between its host and the driver
 *
 * config/doe.h has the states and what the host finds in configuration space.
 * This file copies objects between the mailbox and memory of this guest, and
 * raises the interrupts of both sides.
 */
#ifndef HW_PCI_EP_ENDPOINT_MAILBOX_H
#define HW_PCI_EP_ENDPOINT_MAILBOX_H

#include "hw/pci-ep/config/doe.h"
#include "hw/pci-ep/wire/locks.h"

struct EpcFunction;

/* Of one function; guarded by EpcState.lock, which annotations cannot say */
typedef struct EpcMailbox {
    EpcDoe doe;
    uint32_t result;            /* EPC_FN_DOE_RESULT */
} EpcMailbox;

/* ---- Life cycle ---- */

/* EPC_CMD_ADD_DOE with @irq as EPC_FN_VALUE. Returns EPC_STATUS_*. */
uint32_t epc_mailbox_add(struct EpcFunction *fn, uint32_t irq);
/* The endpoint forgets the description of @fn, or everything. */
void epc_mailbox_remove(struct EpcFunction *fn);
void epc_mailbox_clear(struct EpcFunction *fn);
/* The host has reset @fn, or lost it. */
void epc_mailbox_function_reset(struct EpcFunction *fn);

/* ---- Accesses to configuration space ---- */

/* Those of the host, which the rest of the space has carried out already */
void epc_mailbox_config_read(struct EpcFunction *fn, uint32_t offset, void *buf,
                             uint32_t len);
void epc_mailbox_config_write(struct EpcFunction *fn, uint32_t offset,
                              const void *buf, uint32_t len);

/* ---- Registers ---- */

/* EPC_FN_DOE_*; return false for a bad access, or another register. */
bool epc_mailbox_read(struct EpcFunction *fn, hwaddr reg, uint32_t *v);
bool epc_mailbox_write(struct EpcFunction *fn, hwaddr reg, uint32_t v);

/* EPC_FN_DOE_CMD. Takes EpcState.lock itself. */
void epc_mailbox_command(struct EpcFunction *fn, uint32_t cmd)
    EP_REQUIRES(&ep_bql);

#endif /* HW_PCI_EP_ENDPOINT_MAILBOX_H */
