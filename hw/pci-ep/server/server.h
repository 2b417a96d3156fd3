/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server: the vfio-user server of one endpoint function
 *
 * It listens on a UNIX socket, serves one client at a time and turns the
 * client's commands into calls of its owner's functions (EpcServerOps). It
 * knows the protocol and the state of the connection, and knows nothing of
 * registers.
 *
 * A plain vfio-user client (VFU_EP_KEY without "link", or no such key) is
 * refused with ENODEV while the link is down. Once it is attached the server
 * does not disconnect it: after its link went down its reads return all ones
 * and its writes are ignored, until the link comes up again. Its DMA ranges and
 * eventfds stay, and it may change them meanwhile.
 *
 * Threads and locks: the ops run one at a time, most of them in a reader
 * thread, where they must not block and must not take the BQL. An op may take
 * the owner's lock, and may call any function of this header but
 * epc_server_free(), epc_server_dma_read() and epc_server_dma_write().
 *
 * The owner may hold its lock while it calls epc_server_enable(), _messages(),
 * _intx(), _fault(), _takes_dma(), _client_stays() and _drop(). It must not hold
 * it while it calls _disable(), _remap() and _dma_async(), which call done() at
 * once when there is nothing to wait for, nor _dma_read() and _dma_write(), which
 * wait for the client, nor _free(), during which ops and done() functions run.
 * Otherwise done() is called from a reader thread or the main loop, and obeys
 * the same rules as an op.
 */
#ifndef HW_PCI_EP_SERVER_SERVER_H
#define HW_PCI_EP_SERVER_SERVER_H

#include "hw/pci-ep/wire/wire.h"

typedef struct EpcServer EpcServer;

typedef struct EpcRegion {
    uint64_t size;          /* 0: there is no such region */
    uint32_t flags;         /* VFU_REGION_FLAG_READ, _WRITE */
    /*
     * Memory at @fd_offset that may be mapped as a whole, or -1. It is ignored
     * when size or offset are not page aligned. Valid until the op is called
     * again.
     */
    int fd;
    uint64_t fd_offset;
} EpcRegion;

/* Memory behind an area of a BAR; ignored when not page aligned */
typedef struct EpcArea {
    uint64_t offset;        /* in the BAR */
    uint64_t size;
    int fd;
    uint64_t fd_offset;
} EpcArea;

/* A 32-bit register in a BAR whose writes, of any width, signal an eventfd */
typedef struct EpcIoFd {
    uint64_t offset;        /* in the BAR */
    int fd;
    int shadow_fd;          /* file that gets the value first, or -1 */
    uint64_t shadow_offset;
} EpcIoFd;

/* The message whose accesses get one reply; inside of the server */
typedef struct EpcWrites EpcWrites;

/* One read or write of a region by the client */
typedef struct EpcAccess {
    unsigned region;        /* below VFU_NUM_REGIONS */
    uint64_t offset;        /* in the region; not checked against its size */
    uint32_t count;         /* bytes; not 0, and offset + count does not wrap */
    bool is_write;
    /* One of them, and NULL both once the access was answered */
    EpwRequest *token;
    EpcWrites *writes;      /* of a REGION_WRITE_MULTI */
    uint8_t data[];         /* @count bytes; all ones in a new read */
} EpcAccess;

/*
 * Sends the reply to @a, which stays valid. The reply to several writes in one
 * message leaves when all of them were answered. The owner may answer a write
 * before it carries the write out. Called from any thread; the caller may hold
 * the owner's lock.
 */
void epc_access_answer(EpcAccess *a);
/* The same, unless @a was answered already, and frees @a. */
void epc_access_free(EpcAccess *a);

/* The largest number of EpcIoFd that the server asks for */
#define EPC_SERVER_MAX_IO_FDS 64

/* What EpcServerOps.link() reports */
typedef enum EpcServerEvent {
    /* The link came up, which the client acknowledged unless it is plain. */
    EPC_SERVER_UP,
    /* The same; the client knows several functions, and has their list. */
    EPC_SERVER_UP_JOINED,
    /*
     * The link went down, which the client acknowledged, or the connection
     * ended. The owner forgets all eventfds and DMA ranges; the server does not
     * call irqs_set or dma_unmap for them.
     */
    EPC_SERVER_DOWN,
    /*
     * The link went down, and a plain client stays. The owner keeps eventfds
     * and DMA ranges, which the client may change, and uses none of them until
     * EPC_SERVER_UP. EPC_SERVER_DOWN follows when the client leaves before.
     */
    EPC_SERVER_DOWN_STAYS,
} EpcServerEvent;

typedef struct EpcServerOps {
    /*
     * Describes BAR0 to BAR5, ROM, CONFIG or VGA in @r, which is zeroed with fd
     * -1 before.
     */
    void (*region_info)(void *opaque, unsigned region, EpcRegion *r);
    /*
     * For clients that know areas: describes what of BAR0 to BAR5 may be
     * mapped, and which registers signal an eventfd. Fills at most @max
     * elements, ascending and not overlapping, and returns their number. The
     * descriptors are valid until epc_server_remap() of that BAR.
     */
    unsigned (*areas)(void *opaque, unsigned region, EpcArea *area,
                      unsigned max);
    unsigned (*io_fds)(void *opaque, unsigned region, EpcIoFd *io,
                       unsigned max);
    /*
     * Carries out one access while the link is up. A read that ends outside of
     * its region, or of a region that cannot be reached, leaves @a->data as it
     * is, and such a write does nothing. @a belongs to the owner from now on:
     * the owner ends it with epc_access_free(), now or later, from any thread.
     */
    void (*access)(void *opaque, EpcAccess *a);

    /* Returns the number of vectors of VFU_IRQ_INTX, _MSI or _MSIX. */
    uint32_t (*irq_count)(void *opaque, unsigned index);
    /*
     * Attaches the eventfd @fds[i] to vector @first + i of @index, for each of
     * @count vectors, and replaces what was attached before. The owner takes
     * the descriptors over; their file may be a blocking one. With @fds NULL
     * the vectors are detached.
     */
    void (*irqs_set)(void *opaque, unsigned index, unsigned first,
                     unsigned count, const int *fds);
    /* A plain client masked or unmasked INTx. */
    void (*intx_mask)(void *opaque, bool masked);
    /*
     * The host masked or unmasked @count vectors of MSI-X from @first on. Only
     * a client that agreed on VFU_EP_FEATURE_MASK tells this.
     */
    void (*msix_mask)(void *opaque, unsigned first, unsigned count,
                      bool masked);

    /*
     * The endpoint may reach a range of host addresses. The owner takes @fd
     * over; -1 means that the range is reached by message only. Returns 0 or a
     * positive errno.
     */
    int (*dma_map)(void *opaque, const VfuDmaMap *map, int fd);
    /*
     * Revokes what lies in the given addresses, which may cover many ranges or
     * none. Nothing of it is accessed any more when this returns.
     */
    void (*dma_unmap)(void *opaque, uint64_t address, uint64_t size_minus_1);

    /* @kind is VFU_EP_RESET_*; DEVICE_RESET arrives as HOT. */
    void (*reset)(void *opaque, unsigned kind);

    void (*link)(void *opaque, EpcServerEvent event);
} EpcServerOps;

typedef struct EpcServerConfig {
    const char *path;           /* of the socket, at most 107 bytes */
    const char *name;           /* for messages and threads: the device id */
    const char *device;         /* for trace events, also func; NULL: name */
    unsigned func;              /* function number */
    unsigned deadline_ms;
    unsigned speed, width;      /* of EP_LINK: PCIe encoding, lanes */
} EpcServerConfig;

/*
 * Creates the socket and accepts clients in the main loop. The file has mode
 * 0600; that of a server that is dead is replaced, that of a live one refused.
 * An error names the path: see ep_socket_check_path(), in use, not permitted.
 * Called with the BQL held.
 */
EpcServer *epc_server_new(const EpcServerConfig *cfg, const EpcServerOps *ops,
                          void *opaque, Error **errp);
/*
 * Closes everything, waits for the reader threads and removes the socket file.
 * @s may be NULL. Called with the BQL held, while no thread is in another
 * function of this header. No op is called afterwards.
 */
void epc_server_free(EpcServer *s);

/*
 * Allows the link to come up. A client that knows of several functions is sent
 * @functions, see VfuEpLink. Called in any thread.
 */
void epc_server_enable(EpcServer *s, uint32_t functions);
/*
 * Takes the link down. @done is called once, after the client has acknowledged
 * or is lost, and after ops->link() said "down"; at once when the link is down
 * already. A client that does not acknowledge within one deadline, which
 * includes the rest of an unanswered EP_LINK up, is disconnected.
 * epc_server_enable() may be called before that: then the link comes up again
 * afterwards. Called in any thread.
 */
void epc_server_disable(EpcServer *s, void (*done)(void *opaque), void *opaque);

/* Returns the messages sent and received so far. Called in any thread. */
uint64_t epc_server_messages(EpcServer *s);

/*
 * Whether there is a plain client, whose eventfds and DMA ranges stay when the
 * link goes down: EPC_SERVER_DOWN_STAYS.
 */
bool epc_server_client_stays(EpcServer *s);

/*
 * Returns false while a request is being served. Once it has returned true,
 * ops->areas() and ops->region_info() do not return any more what the owner
 * took away before. The caller holds no lock but the BQL.
 */
bool epc_server_try_fence(EpcServer *s);

/*
 * Takes the memory behind BAR @region (0 to 5) back from the client. The
 * owner's ops have already switched to the new target. @done is called once:
 * with 0 when no access of the host can reach the old memory, which is at once
 * when the client never asked for it; with -ETIMEDOUT when the client was lost
 * instead, and then the link is down, or goes down before @done is called. A
 * client that asked for doorbells has up to one deadline in all to ask for them
 * again. Called in any thread.
 */
void epc_server_remap(EpcServer *s, unsigned region,
                      void (*done)(void *opaque, int err), void *opaque);

/*
 * Sends the level of the function's INTx pin, when the link is up and the
 * client has agreed on VFU_EP_FEATURE_INTX. Does not block. To a client that
 * reads slowly, only the last level is sent. Returns false when the level will
 * not be sent. An eventfd that the client attached to VFU_IRQ_INTX is
 * signalled by the owner, in any case.
 */
bool epc_server_intx(EpcServer *s, bool level);

/*
 * Reports an access to host memory that was not done, because no DMA range
 * allows it, so that the host's IOMMU can report a fault to its guest. Does
 * not block. The report is lost when output waits for the client. Does nothing
 * when the client has not agreed on
 * VFU_EP_FEATURE_FAULT.
 */
void epc_server_fault(EpcServer *s, uint64_t address, bool write);

/* Whether the client tells the masks of MSI-X vectors: ops->msix_mask(). */
bool epc_server_tells_masks(EpcServer *s);

/*
 * Accesses host memory by message, for a range without a file. Blocks up to
 * twice the deadline; must not be called from an op. Returns 0 or a negative
 * errno: -ENOTCONN the link is down, -EOPNOTSUPP a plain client (stock clients
 * misread the message), -ETIMEDOUT, or what the client answered.
 */
int epc_server_dma_read(EpcServer *s, uint64_t address, void *buf,
                        uint32_t count);
int epc_server_dma_write(EpcServer *s, uint64_t address, const void *buf,
                         uint32_t count);
/*
 * The same without waiting; may be called from an op. @done is called once,
 * from a reader thread or before this returns. Its @count is the number of
 * bytes that were accessed, at most what the client accepts in one message.
 * Its @data is set after a read that succeeded.
 */
typedef void EpcDmaDone(void *opaque, int err, const void *data,
                        uint32_t count);
void epc_server_dma_async(EpcServer *s, bool is_write, uint64_t address,
                          const void *buf, uint32_t count, EpcDmaDone *done,
                          void *opaque);
/* Returns true when there is a client that accepts such messages. */
bool epc_server_takes_dma(EpcServer *s);

/* Ends the connection, which takes the link down. Called in any thread. */
void epc_server_drop(EpcServer *s, const char *why);

#endif /* HW_PCI_EP_SERVER_SERVER_H */
