/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * doe: the mailbox of a Data Object Exchange capability (PCI Express Base 6.0,
 * 6.30 and 7.9.24)
 *
 * The host writes an object to the Write Data Mailbox, sets Go, and reads the
 * response from the Read Data Mailbox. "Busy", "Ready" and "Error" are what its
 * Status register shows:
 *
 *   state    Busy Ready Error  event                                next
 *   -------  ---- ----- -----  -----------------------------------  -------
 *   ABSENT                     epc_doe_add()                        IDLE
 *   IDLE      0    0     0     a dword is written                   IDLE
 *                              Go, not as long as its header says   IDLE
 *                              Go, Discovery                        READY
 *                              Go, a protocol of the driver         WORKING
 *                              Go, anything else                    ERROR
 *   WORKING   1    0     0     epc_doe_answer()                     READY
 *                              epc_doe_fail()                       ERROR
 *   READY     1    1     0     a dword is taken, not the last one   READY
 *                              the last one is taken                IDLE
 *   ERROR     0    0     1
 *   any but                    Abort; epc_doe_reset()               IDLE
 *   ABSENT                     epc_doe_remove()                     ABSENT
 *
 * Whatever is not in the table is ignored. The functions take no lock and know
 * no device; the owner makes sure that one of them runs at a time. Functions
 * for the driver return EPC_STATUS_*.
 */
#ifndef HW_PCI_EP_CONFIG_DOE_H
#define HW_PCI_EP_CONFIG_DOE_H

#include "hw/pci-ep/pci-epc-regs.h"

/* Bytes of the capability with its header */
#define EPC_DOE_SIZE        0x18

/* What a call has caused; epc_doe_take_caused() returns it. */
#define EPC_DOE_GAVE        (1u << 0)   /* an object waits for the driver */
#define EPC_DOE_INTERRUPTS  (1u << 1)   /* the host is to be interrupted */

/* An object that grows. Its bytes are as the host writes and reads them. */
typedef struct EpcDoeObject {
    uint8_t *data;
    uint32_t len, room;         /* dwords */
} EpcDoeObject;

typedef struct EpcDoe {
    uint32_t state;             /* EPC_DOE_STATE_* */
    unsigned at;                /* offset of the capability */
    bool irq;                   /* has an interrupt */
    unsigned vector;
    bool irq_enabled, irq_status;
    EpcDoeObject request;
    bool overflow;              /* the host wrote more than the longest one */
    EpcDoeObject response;
    uint32_t taken;             /* dwords of it that the host has taken */
    uint32_t number;            /* of the last object for the driver */
    uint32_t caused;            /* EPC_DOE_GAVE and so on */
    uint32_t objects, aborted, discarded, failed;   /* EPC_FN_DOE_* */
    uint32_t protocol[EPC_DOE_PROTOCOLS];           /* EPC_FN_DOE_PROTOCOL(n) */
} EpcDoe;

/* Adds the mailbox at offset @at. @irq is EPC_FN_VALUE of ADD_DOE. */
void epc_doe_add(EpcDoe *d, unsigned at, uint32_t irq);
/* Removes the mailbox. Protocols and counters stay. */
void epc_doe_remove(EpcDoe *d);
/* Gives @d its state after power-up, and frees what it has allocated. */
void epc_doe_clear(EpcDoe *d);

/* ---- The host ---- */

/*
 * The host reads @len bytes at @offset of configuration space, which are in
 * @buf. Replaces those of the mailbox. @vector is Interrupt Message Number.
 * A read changes nothing.
 */
void epc_doe_read(const EpcDoe *d, unsigned vector, uint32_t offset, void *buf,
                  uint32_t len);
/*
 * The host writes likewise. A register that is written in part takes the bytes,
 * except that a mailbox takes only whole dwords.
 */
void epc_doe_write(EpcDoe *d, uint32_t offset, const void *buf, uint32_t len);
/* Each reset of the function (6.30.2), and the loss of the host */
void epc_doe_reset(EpcDoe *d);
/* Returns EPC_DOE_GAVE and so on, which have happened since the last call. */
uint32_t epc_doe_take_caused(EpcDoe *d);

/* ---- The driver ---- */

/* EPC_FN_DOE_OBJECT and EPC_FN_DOE_LENGTH */
uint32_t epc_doe_waiting(const EpcDoe *d);
uint32_t epc_doe_length(const EpcDoe *d);
/* Returns false when @v is not valid. */
bool epc_doe_set_protocol(EpcDoe *d, unsigned n, uint32_t v);
/* Copies @count dwords at @offset of object @number to @buf. */
uint32_t epc_doe_fetch(const EpcDoe *d, uint32_t number, uint32_t offset,
                       uint32_t count, void *buf);
/* Copies @buf to the response. */
uint32_t epc_doe_store(EpcDoe *d, uint32_t number, uint32_t offset,
                       uint32_t count, const void *buf);
uint32_t epc_doe_answer(EpcDoe *d, uint32_t number);
uint32_t epc_doe_fail(EpcDoe *d, uint32_t number);

#endif /* HW_PCI_EP_CONFIG_DOE_H */
