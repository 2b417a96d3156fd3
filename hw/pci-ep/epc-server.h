/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-server: the vfio-user server of one endpoint function
 *
 * Listens on a UNIX socket, serves one client at a time and turns its commands
 * into calls on the owner (EpcServerOps).  Knows the protocol and the state of
 * the connection; knows nothing of registers.  The owner implements the ops
 * under its own lock; they must not block and must not take the BQL, since
 * the reader thread of the session calls them.
 *
 * Plain vfio-user clients (no VFU_EP_KEY) are refused with ENODEV while the
 * link is down; once they were attached with the link up they are never
 * disconnected, and answered from the owner's state.
 */
#ifndef HW_PCI_EP_EPC_SERVER_H
#define HW_PCI_EP_EPC_SERVER_H

#include "hw/pci-ep/epw.h"

typedef struct EpcServer EpcServer;

typedef struct EpcRegion {
    uint64_t size;          /* 0: no such region */
    uint32_t flags;         /* VFU_REGION_FLAG_READ, _WRITE; _MMAP when fd >= 0 */
    int fd;                 /* -1, or a descriptor that stays valid until the next call of any op or epc_server_* */
    uint64_t fd_offset;
} EpcRegion;

typedef struct EpcServerOps {
    /* BAR0 to BAR5, ROM, CONFIG, VGA: fills @r (zeroed, fd -1 before).  Index is valid. */
    void (*region_info)(void *opaque, unsigned region, EpcRegion *r);
    /* [offset, offset + count) is inside the region.  A region that cannot be reached reads all ones. */
    void (*region_read)(void *opaque, unsigned region, uint64_t offset, void *buf, uint32_t count);
    void (*region_write)(void *opaque, unsigned region, uint64_t offset, const void *buf, uint32_t count);

    /* Vectors of VFU_IRQ_INTX, _MSI, _MSIX.  */
    uint32_t (*irq_count)(void *opaque, unsigned index);
    /* Vector [index, n] is signalled through @fd from now on (taken over; a checked eventfd); -1: detached. */
    void (*irq_set)(void *opaque, unsigned index, unsigned n, int fd);
    /* INTx was masked or unmasked by a plain client. */
    void (*intx_mask)(void *opaque, bool masked);

    /* A host range is reachable.  @fd is taken over, -1: by message only.  0 or positive errno. */
    int (*dma_map)(void *opaque, const VfuDmaMap *map, int fd);
    /* Everything inside is gone when this returns; ranges may cover many maps or none. */
    void (*dma_unmap)(void *opaque, uint64_t address, uint64_t size_minus_1);

    /* VFU_EP_RESET_*; DEVICE_RESET arrives as HOT. */
    void (*reset)(void *opaque, unsigned kind);

    /*
     * The link came up (the client acknowledged) or went down (acknowledged,
     * timed out or closed: all irq fds and DMA maps are to be forgotten; the
     * server has not called irq_set or dma_unmap for them).
     */
    void (*link)(void *opaque, bool up);
} EpcServerOps;

typedef struct EpcServerConfig {
    const char *path;           /* of the socket, at most 107 bytes */
    const char *name;           /* for messages and the thread, e.g. the device id */
    unsigned deadline_ms;
    unsigned speed, width;      /* PCIe encoding, lanes: told in EP_LINK */
} EpcServerConfig;

/*
 * Creates the socket (mode 0600; a stale file of a dead server is replaced, a
 * live one refused) and accepts from the main loop.  BQL.  Errors name the path
 * and the remedy: missing directory, path too long, in use, not permitted.
 */
EpcServer *epc_server_new(const EpcServerConfig *cfg, const EpcServerOps *ops,
                          void *opaque, Error **errp);
/* Closes everything, removes the socket file.  BQL; waits for the reader thread at most one deadline. */
void epc_server_free(EpcServer *s);

/*
 * Lets the link train, or takes it down.  @done(opaque) is called once, from any
 * thread, no locks held, when: enable: at once; disable: the client has let
 * go (acknowledged or dead).  Any thread.
 */
void epc_server_enable(EpcServer *s);
void epc_server_disable(EpcServer *s, void (*done)(void *opaque), void *opaque);
bool epc_server_link_up(EpcServer *s);

/*
 * The memory behind a BAR is about to change.  The owner has already switched
 * region_info/_read/_write to the new target.  @done(opaque, err) once, from any
 * thread: 0 when no host access can reach the old memory (also when no client
 * maps it), -ETIMEDOUT when the link was taken down instead.
 */
void epc_server_remap(EpcServer *s, unsigned region,
                      void (*done)(void *opaque, int err), void *opaque);

/* INTx level of the function's pin; needs VFU_EP_FEATURE_INTX, else the owner signals the eventfd. True when sent. */
bool epc_server_intx(EpcServer *s, bool level);

/*
 * Access to host memory by message, for what is not shared.  Blocks up to the
 * deadline; not from the reader thread.  0 or negative errno.
 */
int epc_server_dma_read(EpcServer *s, uint64_t address, void *buf, uint32_t count);
int epc_server_dma_write(EpcServer *s, uint64_t address, const void *buf, uint32_t count);

#endif /* HW_PCI_EP_EPC_SERVER_H */
