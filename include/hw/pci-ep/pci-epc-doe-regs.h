/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc: registers of the DOE mailbox of a function
 *
 * A part of pci-epc-regs.h, which has the access rules.
 *
 * Data Object Exchange (PCI Express Base 6.0, 6.30): the host writes an object
 * dword by dword, and then reads the response. A function has at most one
 * mailbox, which the device keeps: an access of the host to its registers needs
 * no software. An object has a header of two dwords: vendor id in 15:0 and type
 * in 23:16 of the first one, and the length of the whole object in 17:0 of the
 * second one, where 0 stands for EPC_DOE_MAX_LENGTH.
 *
 * When the host sets Go, the device does one of these:
 *  - The length of the header is not what the host has written: the object is
 *    discarded silently, as 6.30.1 says.
 *  - Discovery (vendor PCI-SIG, type 0): the device answers. Index 0 is
 *    Discovery itself, and the protocols that are valid follow in the order of
 *    EPC_FN_DOE_PROTOCOL(n). A larger index has vendor id 0xffff.
 *  - A valid protocol: the object waits for the driver. The driver copies it
 *    with FETCH, its response with STORE, and ends it with ANSWER or FAIL.
 *  - Anything else: Error.
 *
 * The mailbox takes one object at a time. It is Busy while an object waits for
 * the driver or its response was not read to its end.
 *
 * Abort and each reset of the function make the mailbox EPC_DOE_STATE_IDLE. So
 * do the loss of the host and the end of the link. An object that waited for
 * the driver does not wait any more, so a command for it fails.
 *
 * Ready and Error raise the interrupt that was given to ADD_DOE, if Interrupt
 * Enable is set and Interrupt Status was not. With MSI-X enabled it is that
 * vector, otherwise that vector of MSI, or vector 0 if the host has not enabled
 * so many. Interrupt Message Number says which.
 */
#ifndef HW_PCI_EP_PCI_EPC_DOE_REGS_H
#define HW_PCI_EP_PCI_EPC_DOE_REGS_H

/* EPC_FN_VALUE of ADD_DOE: the mailbox has an interrupt, and its number */
#define EPC_DOE_IRQ                 (1u << 31)
#define EPC_DOE_IRQ_MASK            0x7ffu

/*
 * With EPC_FEATURE_DOE: the mailbox, in the page of the function.
 * Lengths and offsets are in dwords, which are 4 bytes.
 *
 * STATE (ro)     EPC_DOE_STATE_*
 * OBJECT (ro)    The number of the object that waits for the driver, or 0.
 *                EPC_FN_EVENT_DOE reports a new one. A number comes again only
 *                after all others.
 * LENGTH (ro)    The length of that object with its header, or 0.
 * CMD (wo)       Carries out a command, EPC_DOE_*, at once.
 * RESULT (ro)    EPC_STATUS_* of the last command.
 * TOKEN (rw)     Which object the command is for. BAD_STATE: it does not wait
 *                any more, for example because the host has aborted it.
 * ADDR (rw, 64)  DMA address of the endpoint: the buffer of FETCH and STORE,
 *                which must be RAM.
 * OFFSET (rw)    Of the part of the object that FETCH and STORE copy.
 * COUNT (rw)     The length of that part, 1 to EPC_DOE_COPY_MAX.
 * OBJECTS, ABORTED, DISCARDED, FAILED (ro)  Since the last reset of the
 *                controller, modulo 2^32: objects that the driver was given;
 *                those of them that ended without its answer; objects whose
 *                length is not that of their header; and objects that made the
 *                mailbox show Error.
 * PROTOCOL(n) (rw)  Types of objects that the driver takes: vendor id in 15:0,
 *                type in 23:16, EPC_DOE_PROTOCOL_VALID. Other bits that are
 *                set, and vendor PCI-SIG (1) with type 0, are a bad access.
 *                REMOVE does not change them.
 */
#define EPC_FN_DOE_STATE            0x200
#define EPC_DOE_STATE_ABSENT        0   /* there was no ADD_DOE */
#define EPC_DOE_STATE_IDLE          1   /* takes an object of the host */
#define EPC_DOE_STATE_WORKING       2   /* an object waits for the driver */
#define EPC_DOE_STATE_READY         3   /* the host may read the response */
#define EPC_DOE_STATE_ERROR         4   /* until the host aborts */
#define EPC_FN_DOE_OBJECT           0x204
#define EPC_FN_DOE_LENGTH           0x208
#define EPC_FN_DOE_CMD              0x20c
/* Copies a part of the object to ADDR. BAD_ARG: it has no such part. */
#define EPC_DOE_FETCH               1
/*
 * Copies from ADDR to a part of the response. BAD_ARG: the part begins behind
 * what was stored before, or ends behind EPC_DOE_MAX_LENGTH.
 */
#define EPC_DOE_STORE               2
/*
 * The response is complete. BAD_ARG: what was stored is shorter than a header,
 * or not as long as its header says.
 */
#define EPC_DOE_ANSWER              3
/* There is no response: the mailbox shows Error. */
#define EPC_DOE_FAIL                4
#define EPC_FN_DOE_RESULT           0x210
#define EPC_FN_DOE_TOKEN            0x214
#define EPC_FN_DOE_ADDR             0x218
#define EPC_FN_DOE_OFFSET           0x220
#define EPC_FN_DOE_COUNT            0x224
#define EPC_FN_DOE_OBJECTS          0x228
#define EPC_FN_DOE_ABORTED          0x22c
#define EPC_FN_DOE_DISCARDED        0x230
#define EPC_FN_DOE_FAILED           0x234
#define EPC_FN_DOE_PROTOCOL(n)      (0x240 + 4 * (n))
#define EPC_DOE_PROTOCOLS           16
#define EPC_DOE_PROTOCOL_VALID      (1u << 31)
#define EPC_DOE_MAX_LENGTH          0x40000     /* dwords; 1 MiB */
#define EPC_DOE_COPY_MAX            0x4000      /* dwords; 64 KiB */

#endif /* HW_PCI_EP_PCI_EPC_DOE_REGS_H */
