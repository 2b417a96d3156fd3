/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-doorbell: the host interrupts the endpoint
 *
 * Each doorbell has an eventfd for life, which the host's QEMU gets and signals
 * when its guest writes; what it wrote is in a page that both sides map.  A
 * write that comes as a message rings as well.
 */
#ifndef HW_PCI_EP_EPC_DOORBELL_H
#define HW_PCI_EP_EPC_DOORBELL_H

#include "hw/pci-ep/compat.h"
#include "hw/pci-ep/ep-irqfd.h"
#include "hw/pci-ep/epc-server.h"
#include "hw/pci-ep/pci-epc-regs.h"

struct EpcFunction;
struct EpcState;

typedef struct EpcDoorbell {
    int fd;                 /* of irqfds; does not change */

    /* under EpcState.lock */
    uint32_t ctrl, vector;
    unsigned fn;            /* whose host got fd last */
} EpcDoorbell;

typedef struct EpcDoorbells {
    MemoryRegion mr;
    bool ready;             /* exit has something to do */
    EpIrqfds *irqfds;       /* line n is doorbell n */
    int value_fd;
    uint32_t *value;        /* the page the host writes; atomic */
    EpcDoorbell bell[EPC_MAX_DOORBELLS];
} EpcDoorbells;

/* BQL.  exit: also when init failed or was never called. */
bool epc_doorbells_init(struct EpcState *s, Error **errp);
void epc_doorbells_exit(struct EpcState *s);
/* As after power-up.  BQL and lock held. */
void epc_doorbells_reset(struct EpcState *s);

/* Controls.  BQL, and read: lock held. */
bool epc_doorbell_read(struct EpcState *s, uint64_t reg, uint32_t *v);
bool epc_doorbell_write(struct EpcState *s, uint64_t reg, uint32_t v);

/*
 * The host writes @value to @offset of EPC_BAR_DOORBELL, by message.  False: it
 * leads nowhere.  Lock held.
 */
bool epc_doorbell_ring(struct EpcState *s, uint64_t offset, uint32_t value);
/* What the host reads there */
void epc_doorbell_peek(uint64_t offset, uint8_t *buf, uint32_t len);

/*
 * Tells the host of @fn about the doorbells in [offset, offset + size) of
 * EPC_BAR_DOORBELL, which is at @start of a BAR; returns how many.  Lock held.
 */
unsigned epc_doorbell_io_fds(struct EpcFunction *fn, uint64_t offset,
                             uint64_t size, uint64_t start, EpcIoFd *io,
                             unsigned max);

#endif /* HW_PCI_EP_EPC_DOORBELL_H */
