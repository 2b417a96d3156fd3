/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-server: the vfio-user server of one endpoint function
 *
 * Listens on a UNIX socket, serves one client at a time and turns its commands
 * into calls on the owner (EpcServerOps).  Knows the protocol and the state of
 * the connection; knows nothing of registers.
 *
 * Plain vfio-user clients (no VFU_EP_KEY with "link") are refused with ENODEV
 * while the link is down.  Once attached they are never disconnected: after
 * their link went down they read all ones and everything they set is ignored,
 * until they attach anew.
 *
 * Locks: the ops run one at a time, most in a reader thread, which must not
 * block and must not take the BQL.  They may take the owner's lock and call
 * any epc_server_*() but epc_server_free(), epc_server_dma_read() and _write().
 * The owner may hold its lock while it calls epc_server_enable(), _link_up()
 * and _intx(); not with _disable() and _remap(), which call done() at once when
 * there is nothing to wait for, nor with _free(), during which ops and done()
 * run.  Otherwise done() is called from a reader thread or the main loop, and
 * obeys the same rules as an op.
 */
#ifndef HW_PCI_EP_EPC_SERVER_H
#define HW_PCI_EP_EPC_SERVER_H

#include "hw/pci-ep/epw.h"

typedef struct EpcServer EpcServer;

typedef struct EpcRegion {
    uint64_t size;          /* 0: no such region */
    uint32_t flags;         /* VFU_REGION_FLAG_READ, _WRITE */
    /*
     * -1, or memory that may be mapped as a whole, at fd_offset; ignored when
     * size or offset are not page aligned.  Valid until the op is called again.
     */
    int fd;
    uint64_t fd_offset;
} EpcRegion;

/* Memory behind a part of a BAR; ignored when not page aligned. */
typedef struct EpcArea {
    uint64_t offset;        /* in the BAR */
    uint64_t size;
    int fd;
    uint64_t fd_offset;
} EpcArea;

/* A 32-bit register in a BAR whose write is told by an eventfd */
typedef struct EpcIoFd {
    uint64_t offset;        /* in the BAR */
    int fd;
    int shadow_fd;          /* where the value goes before, -1: nowhere */
    uint64_t shadow_offset;
} EpcIoFd;

/* An access to a BAR that the owner carries out in its own time */
typedef struct EpcAccess {
    unsigned region;
    uint64_t offset;
    uint32_t count;
    bool is_write;
    EpwToken *token;        /* NULL: answered */
    uint8_t data[];         /* @count bytes; a read's are all ones at first */
} EpcAccess;

/* Any thread, the owner's lock may be held.  A write may be answered early. */
void epc_access_answer(EpcAccess *a);
/* Answers it unless that was done. */
void epc_access_free(EpcAccess *a);

/* What the server asks for at most */
#define EPC_SERVER_MAX_IO_FDS 64

typedef struct EpcServerOps {
    /*
     * BAR0 to BAR5, ROM, CONFIG, VGA; the index is valid.  Fills @r, which is
     * zeroed with fd -1 before.
     */
    void (*region_info)(void *opaque, unsigned region, EpcRegion *r);
    /*
     * BAR0 to BAR5, for clients that know areas: what of it may be mapped,
     * and what may be signalled.  Fill @max at most, ascending and not
     * overlapping, return how many.  The descriptors are valid until
     * epc_server_remap() of that BAR.
     */
    unsigned (*areas)(void *opaque, unsigned region, EpcArea *area,
                      unsigned max);
    unsigned (*io_fds)(void *opaque, unsigned region, EpcIoFd *io,
                       unsigned max);
    /*
     * [offset, offset + count) is inside the region.  A region that cannot be
     * reached reads all ones.
     */
    void (*region_read)(void *opaque, unsigned region, uint64_t offset,
                        void *buf, uint32_t count);
    void (*region_write)(void *opaque, unsigned region, uint64_t offset,
                         const void *buf, uint32_t count);
    /*
     * BAR0 to BAR5, before one of those two, and instead of it when this returns
     * true: then @a is the owner's, who frees it.  NULL: never.
     */
    bool (*bar_access)(void *opaque, EpcAccess *a);

    /* Vectors of VFU_IRQ_INTX, _MSI, _MSIX. */
    uint32_t (*irq_count)(void *opaque, unsigned index);
    /*
     * Vector [index, n] is signalled through @fd from now on (taken over; an
     * eventfd, but possibly a blocking one); -1: detached.
     */
    void (*irq_set)(void *opaque, unsigned index, unsigned n, int fd);
    /* INTx was masked or unmasked by a plain client. */
    void (*intx_mask)(void *opaque, bool masked);

    /*
     * A host range is reachable.  @fd is taken over, -1: by message only.  0 or
     * positive errno.
     */
    int (*dma_map)(void *opaque, const VfuDmaMap *map, int fd);
    /*
     * Everything inside is gone when this returns; ranges may cover many maps
     * or none.
     */
    void (*dma_unmap)(void *opaque, uint64_t address, uint64_t size_minus_1);

    /* VFU_EP_RESET_*; DEVICE_RESET arrives as HOT. */
    void (*reset)(void *opaque, unsigned kind);

    /*
     * The link came up (the client acknowledged) or went down (acknowledged,
     * timed out or closed: all irq fds and DMA maps are to be forgotten; the
     * server has not called irq_set or dma_unmap for them).  @joined: the client
     * knows of several functions and was told which there are.
     */
    void (*link)(void *opaque, bool up, bool joined);
} EpcServerOps;

typedef struct EpcServerConfig {
    const char *path;           /* of the socket, at most 107 bytes */
    const char *name;           /* for messages and threads: the device id */
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
/*
 * Closes everything, removes the socket file.  BQL; joins the reader threads.
 * No other epc_server_*() call may be under way; no op is called after it.
 */
void epc_server_free(EpcServer *s);

/*
 * Lets the link train, or takes it down.  Any thread.  @functions: what a client
 * that knows of several is told, see VfuEpLink.  @done(opaque) is called
 * once, when the client has let go (acknowledged or dead) and link(false) was
 * called; at once when the link is down already.  An enable in between lets the
 * link come up again, after that.
 */
void epc_server_enable(EpcServer *s, uint32_t functions);
void epc_server_disable(EpcServer *s, void (*done)(void *opaque), void *opaque);
bool epc_server_link_up(EpcServer *s);

/* Messages sent and received since epc_server_new().  Any thread. */
uint64_t epc_server_messages(EpcServer *s);

/*
 * The memory behind BAR @region (0 to 5) is about to change.  The owner has
 * already switched region_info/_read/_write to the new target.  Any thread.
 * @done(opaque, err) once: 0 when no host access can reach the old memory (at
 * once when the client never asked for it), -ETIMEDOUT when the client was lost
 * instead.  The link is down then, or goes down before done() is called.  A
 * client that asked for doorbells has up to a deadline more to reach the new.
 */
void epc_server_remap(EpcServer *s, unsigned region,
                      void (*done)(void *opaque, int err), void *opaque);

/*
 * INTx level of the function's pin; needs VFU_EP_FEATURE_INTX, else the owner
 * signals the eventfd.  True when sent.
 */
bool epc_server_intx(EpcServer *s, bool level);

/*
 * An access of the host's memory was not done, because no DMA map allows it: the
 * host's IOMMU reports that to its guest.  Does not block; lost when the client
 * does not want to know.  The owner may hold its lock.
 */
void epc_server_fault(EpcServer *s, uint64_t address, bool write);

/*
 * Access to host memory by message, for what is not shared.  Blocks up to twice
 * the deadline; not from an op.  0 or negative errno: -ENOTCONN link down,
 * -EOPNOTSUPP plain client (stock ones take the message for something else),
 * -ETIMEDOUT, or what the client answered.
 */
int epc_server_dma_read(EpcServer *s, uint64_t address, void *buf,
                        uint32_t count);
int epc_server_dma_write(EpcServer *s, uint64_t address, const void *buf,
                         uint32_t count);
/*
 * The same without waiting, also from an op.  @done is called once, from a reader
 * thread or before this returns, and told how many bytes it is about: at most
 * what the client takes in one message.  @data: of a read that succeeded.
 */
typedef void EpcDmaDone(void *opaque, int err, const void *data,
                        uint32_t count);
void epc_server_dma_async(EpcServer *s, bool is_write, uint64_t address,
                          const void *buf, uint32_t count, EpcDmaDone *done,
                          void *opaque);
/* Would the client take such messages now? */
bool epc_server_takes_dma(EpcServer *s);

/* Ends the connection, which takes the link down.  Any thread. */
void epc_server_drop(EpcServer *s, const char *why);

#endif /* HW_PCI_EP_EPC_SERVER_H */
