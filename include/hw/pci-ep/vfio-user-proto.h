/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vfio-user protocol between pci-epc (server) and epf-bridge (client)
 *
 * This header is the contract of the socket: the message layouts of the
 * vfio-user 0.1 base protocol that either side uses, and those of the pci-ep
 * extension, which is negotiated.  docs/specs/pci-ep-link.rst has the rules of
 * order and examples.  There are only layouts and constants here;
 * hw/pci-ep/wire/wire.h has framing, validation and sessions.
 *
 * All integers are in host byte order, since both ends run on one machine.  The
 * layouts have no implicit padding; the _Static_asserts at the end check their
 * sizes.  Sources: docs/interop/vfio-user.rst of QEMU, whose section names
 * stand in the comments in quotes, and <linux/vfio.h>.
 */
#ifndef HW_PCI_EP_VFIO_USER_PROTO_H
#define HW_PCI_EP_VFIO_USER_PROTO_H

#include <stdint.h>

/* ---- Header ("Header") ---- */

typedef struct VfuHeader {
    uint16_t id;        /* of a command, chosen by its sender, and its reply */
    uint16_t command;   /* VFU_CMD_* */
    uint32_t size;      /* bytes of the whole message, header included */
    uint32_t flags;     /* VFU_FLAG_* */
    uint32_t error;     /* positive errno when VFU_FLAG_ERROR is set, else 0 */
} VfuHeader;

#define VFU_FLAG_TYPE_MASK      0xfu
#define VFU_FLAG_COMMAND        0u
#define VFU_FLAG_REPLY          1u
#define VFU_FLAG_NO_REPLY       (1u << 4)   /* no reply, not even an error */
#define VFU_FLAG_ERROR          (1u << 5)   /* a reply of a header with error */

/* Commands: C>S from client to server (host to endpoint), S>C the other way */
enum {
    VFU_CMD_VERSION             = 1,    /* C>S */
    VFU_CMD_DMA_MAP             = 2,    /* C>S */
    VFU_CMD_DMA_UNMAP           = 3,    /* C>S */
    VFU_CMD_GET_INFO            = 4,    /* C>S */
    VFU_CMD_GET_REGION_INFO     = 5,    /* C>S */
    VFU_CMD_GET_REGION_IO_FDS   = 6,    /* C>S */
    VFU_CMD_GET_IRQ_INFO        = 7,    /* C>S */
    VFU_CMD_SET_IRQS            = 8,    /* C>S */
    VFU_CMD_REGION_READ         = 9,    /* C>S */
    VFU_CMD_REGION_WRITE        = 10,   /* C>S */
    VFU_CMD_DMA_READ            = 11,   /* S>C */
    VFU_CMD_DMA_WRITE           = 12,   /* S>C */
    VFU_CMD_DEVICE_RESET        = 13,   /* C>S */
    VFU_CMD_REGION_WRITE_MULTI  = 15,   /* C>S, capability "write_multiple" */

    /* The extension; a command is valid once its feature was agreed. */
    VFU_CMD_EP_LINK             = 0x4500,   /* S>C, feature "link" */
    VFU_CMD_EP_RESET            = 0x4501,   /* C>S, feature "reset" */
    VFU_CMD_EP_REMAP            = 0x4502,   /* S>C, feature "remap" */
    VFU_CMD_EP_INTX             = 0x4503,   /* S>C, feature "intx" */
    VFU_CMD_EP_AREAS            = 0x4504,   /* C>S, feature "areas" */
    VFU_CMD_EP_FAULT            = 0x4505,   /* S>C, feature "fault" */
};

/* ---- VERSION ("VFIO_USER_VERSION") ---- */

/* A JSON object and a NUL follow. */
typedef struct VfuVersion {
    uint16_t major;
    uint16_t minor;
    /* char json[]; */
} VfuVersion;

#define VFU_VERSION_MAJOR       0
#define VFU_VERSION_MINOR       1

/*
 * The key of the extension inside "capabilities":
 *
 *     "org.qemu.pci-ep": {"version": 1, "features": ["link", ...]}
 *
 * The client offers features.  If it did, the server answers with those that it
 * supports as well.  Unknown features and members are ignored.  Without the key
 * in the answer every byte of the connection is plain vfio-user.
 */
#define VFU_EP_KEY              "org.qemu.pci-ep"
#define VFU_EP_VERSION          1

/* Features: a bit for programs, and in quotes the name in the JSON */
#define VFU_EP_FEATURE_LINK     (1u << 0)   /* "link": EP_LINK */
#define VFU_EP_FEATURE_RESET    (1u << 1)   /* "reset": EP_RESET */
#define VFU_EP_FEATURE_REMAP    (1u << 2)   /* "remap": EP_REMAP */
#define VFU_EP_FEATURE_INTX     (1u << 3)   /* "intx": EP_INTX */
#define VFU_EP_FEATURE_AREAS    (1u << 4)   /* "areas": EP_AREAS, IO fds */
#define VFU_EP_FEATURE_FUNC     (1u << 5)   /* "func": functions in EP_LINK */
#define VFU_EP_FEATURE_FAULT    (1u << 6)   /* "fault": EP_FAULT */
#define VFU_EP_FEATURE_MASK     (1u << 7)   /* "mask": SET_IRQS masks MSI-X */
#define VFU_EP_FEATURES_ALL     0xffu

/* Limits of a peer whose JSON has none */
#define VFU_DEFAULT_MAX_FDS     1
#define VFU_DEFAULT_MAX_XFER    (1u << 20)

/* ---- DMA_MAP, DMA_UNMAP ("VFIO_USER_DMA_MAP") ---- */

typedef struct VfuDmaMap {
    uint32_t argsz;     /* 32 */
    uint32_t flags;     /* VFU_DMA_READ and _WRITE, at least one; _MMAP */
    uint64_t offset;    /* of the range in the passed file, 0 without a file */
    uint64_t address;   /* on the bus of the host */
    uint64_t size;      /* bytes, not 0; address + size does not wrap */
} VfuDmaMap;            /* 0 or 1 fd; reply: header only */

#define VFU_DMA_READ            (1u << 0)
#define VFU_DMA_WRITE           (1u << 1)
/* Of libvfio-user: the fd is to be mapped, which is what an fd means anyway */
#define VFU_DMA_MMAP            (1u << 2)

typedef struct VfuDmaUnmap {
    uint32_t argsz;     /* 24 */
    uint32_t flags;     /* 0 or VFU_DMA_UNMAP_ALL */
    uint64_t address;   /* 0 with ALL */
    uint64_t size;      /* 0 with ALL; address + size may be 2^64 */
} VfuDmaUnmap;          /* reply: the same payload */

#define VFU_DMA_UNMAP_ALL       (1u << 1)

/* ---- GET_INFO, GET_REGION_INFO, GET_IRQ_INFO ---- */

typedef struct VfuDeviceInfo {
    uint32_t argsz;     /* 16 */
    uint32_t flags;     /* VFU_DEVICE_* */
    uint32_t num_regions;
    uint32_t num_irqs;
} VfuDeviceInfo;

#define VFU_DEVICE_RESET        (1u << 0)
#define VFU_DEVICE_PCI          (1u << 1)

/* Region indices ("Region IO FD" and <linux/vfio.h>) */
#define VFU_REGION_BAR0         0
#define VFU_REGION_BAR5         5
#define VFU_REGION_ROM          6
#define VFU_REGION_CONFIG       7
#define VFU_REGION_VGA          8
#define VFU_NUM_REGIONS         9

typedef struct VfuRegionInfo {
    uint32_t argsz;     /* request: room for the answer; reply: room needed */
    uint32_t flags;     /* VFU_REGION_* */
    uint32_t index;
    uint32_t cap_offset;    /* from argsz; 0 without CAPS */
    uint64_t size;
    uint64_t offset;    /* into the passed file, page aligned */
} VfuRegionInfo;        /* reply: exactly 1 fd with MMAP, else none */

#define VFU_REGION_FLAG_READ    (1u << 0)
#define VFU_REGION_FLAG_WRITE   (1u << 1)
#define VFU_REGION_FLAG_MMAP    (1u << 2)
#define VFU_REGION_FLAG_CAPS    (1u << 3)

/*
 * GET_REGION_IO_FDS ("Region IO FD").  The reply is this structure and count
 * elements VfuRegionIoFd, as many as fit argsz and the agreed max_msg_fds; the
 * client reaches other registers by REGION_WRITE.  It sends the command only
 * when "areas" was agreed, since many servers do not know it.
 */
typedef struct VfuRegionIoFds {
    uint32_t argsz;     /* request: room for the answer; reply: room needed */
    uint32_t flags;     /* 0 */
    uint32_t index;
    uint32_t count;     /* 0 in a request */
} VfuRegionIoFds;

/* The layout of libvfio-user, which is larger than that of the specification */
typedef struct VfuRegionIoFd {
    uint64_t offset;    /* in the region */
    uint64_t size;      /* of the write, 4; 0 as in KVM: any, up to 4 */
    uint32_t fd_index;  /* the eventfd that a write signals */
    uint32_t type;      /* VFU_IO_FD_* */
    uint32_t flags;     /* 0 */
    uint32_t shadow_fd_index;   /* SHADOW: the file that stores the value */
    uint64_t shadow_offset;     /* SHADOW: where in it; a multiple of 4 */
    uint64_t datamatch; /* 0 */
} VfuRegionIoFd;

#define VFU_IO_FD_IOEVENTFD     0
#define VFU_IO_FD_SHADOW        2   /* store the value, then signal */

typedef struct VfuIrqInfo {
    uint32_t argsz;     /* 16 */
    uint32_t flags;     /* VFU_IRQ_INFO_* */
    uint32_t index;     /* VFU_IRQ_* */
    uint32_t count;
} VfuIrqInfo;

#define VFU_IRQ_INFO_EVENTFD    (1u << 0)
#define VFU_IRQ_INFO_MASKABLE   (1u << 1)
#define VFU_IRQ_INFO_AUTOMASKED (1u << 2)

#define VFU_IRQ_INTX            0
#define VFU_IRQ_MSI             1
#define VFU_IRQ_MSIX            2
#define VFU_IRQ_ERR             3
#define VFU_IRQ_REQ             4
#define VFU_NUM_IRQS            5

/* ---- SET_IRQS ---- */

typedef struct VfuSetIrqs {
    uint32_t argsz;     /* 20 plus data */
    uint32_t flags;     /* one VFU_IRQ_DATA_* and one VFU_IRQ_ACTION_* */
    uint32_t index;
    uint32_t start;
    uint32_t count;
    /* uint8_t data[count] with DATA_BOOL */
} VfuSetIrqs;           /* EVENTFD: count fds, 0 detaches; reply: header only */

#define VFU_IRQ_DATA_NONE       (1u << 0)
#define VFU_IRQ_DATA_BOOL       (1u << 1)
#define VFU_IRQ_DATA_EVENTFD    (1u << 2)
#define VFU_IRQ_DATA_MASK       0x7u
#define VFU_IRQ_ACTION_MASK     (1u << 3)
#define VFU_IRQ_ACTION_UNMASK   (1u << 4)
#define VFU_IRQ_ACTION_TRIGGER  (1u << 5)
#define VFU_IRQ_ACTIONS         0x38u

/* ---- REGION_READ, REGION_WRITE ---- */

typedef struct VfuRegionRw {
    uint64_t offset;
    uint32_t region;
    uint32_t count;     /* bytes, 1 to the agreed max_data_xfer_size */
    /* uint8_t data[count]: in a write, in the reply of a read */
} VfuRegionRw;

/*
 * REGION_WRITE_MULTI: several short writes, in this order.  The base protocol
 * has no limit of their number; QEMU sends up to 200.
 */
typedef struct VfuRegionWrites {
    uint64_t count;     /* 1 to VFU_MAX_WRITES */
    /* VfuRegionWrite write[count] */
} VfuRegionWrites;      /* reply: this structure, the writes that were done */

typedef struct VfuRegionWrite {
    uint64_t offset;
    uint32_t region;
    uint32_t count;     /* bytes of data, 1 to 8 */
    uint8_t data[8];
} VfuRegionWrite;

#define VFU_MAX_WRITES          200

/* ---- DMA_READ, DMA_WRITE ---- */

typedef struct VfuDmaRw {
    uint64_t address;   /* on the bus of the host */
    uint64_t count;     /* bytes, 1 to the agreed max_data_xfer_size */
    /* uint8_t data[count]: in a write, in the reply of a read */
} VfuDmaRw;             /* reply of a write: this structure without data */

/* ---- Extension ---- */

/*
 * argsz is the size of the structure, and reserved members are 0; anything else
 * is answered with EINVAL.  generation names one link-up: the server chooses it
 * when it sends EP_LINK up, from 1 to 2^32 - 1 and other than the one before.
 * A message with another generation than the current one is stale, and is
 * answered with ESTALE, which is no protocol error.
 */

/*
 * EP_LINK: the state of the link, which is down when the session starts.
 *
 * up:   The client replies at once.  Then it queries the device and shows it to
 *       its guest.
 * down: The client replies when it has replaced every mapping of a region and
 *       closed every eventfd that it got; then its guest reads all ones.  The
 *       server forgets all DMA_MAPs and SET_IRQS of this generation.
 *
 * While the link is down the server answers every command but VERSION with
 * ENOTCONN.
 */
typedef struct VfuEpLink {
    uint32_t argsz;     /* 24 */
    uint32_t generation;
    uint32_t state;     /* VFU_EP_LINK_* */
    uint16_t speed;     /* PCIe: 1 (2.5 GT/s) to 6 (64 GT/s); 0 when down */
    uint16_t width;     /* lanes: 1, 2, 4, 8, 16, 32; 0 when down */
    /*
     * With "func", when the link comes up: bit n is set if this link-up has
     * function number n.  Bit 0 and that of the session's own function are set,
     * and the sessions of all these functions get the same value.  Virtual
     * functions are included; the SR-IOV capability of function 0 shows which
     * numbers they have.  Otherwise 0.
     */
    uint32_t functions;
    uint32_t reserved;
} VfuEpLink;            /* reply: header only */

#define VFU_EP_LINK_DOWN        0
#define VFU_EP_LINK_UP          1

/*
 * EP_RESET: the host reset the function.  The server clears what the host wrote
 * (Command, BAR addresses, MSI and MSI-X enable), sends an event to the
 * endpoint guest, and replies without waiting for that guest.
 */
typedef struct VfuEpReset {
    uint32_t argsz;     /* 16 */
    uint32_t generation;
    uint32_t kind;      /* VFU_EP_RESET_* */
    uint32_t reserved;
} VfuEpReset;           /* reply: header only */

#define VFU_EP_RESET_HOT        1   /* secondary bus reset */
#define VFU_EP_RESET_PERST      2   /* fundamental: machine reset */
#define VFU_EP_RESET_FLR        3   /* function level reset */

/*
 * EP_REMAP: the memory behind a region changes.  The client replies when no
 * access of its guest can reach the old memory any more.  Then it sends
 * EP_AREAS (with "areas") or GET_REGION_INFO again and maps what it gets; until
 * then its guest reads all ones and loses writes.  With "areas" it sends
 * GET_REGION_IO_FDS when its guest reaches all areas of the reply and no old
 * doorbell any more.
 */
typedef struct VfuEpRemap {
    uint32_t argsz;     /* 16 */
    uint32_t generation;
    uint32_t region;    /* VFU_REGION_BAR0 to VFU_REGION_BAR5 */
    uint32_t reserved;
} VfuEpRemap;           /* reply: header only */

/*
 * EP_INTX: Assert_INTx or Deassert_INTx of the function's pin, or both of them
 * in this order.  Sent with NO_REPLY.  An endpoint may deassert the pin as soon
 * as it has asserted it.  The client shows its guest an assertion for long
 * enough to be an interrupt.
 */
typedef struct VfuEpIntx {
    uint32_t argsz;     /* 16 */
    uint32_t generation;
    uint32_t level;     /* VFU_EP_INTX_* */
    uint32_t reserved;
} VfuEpIntx;

#define VFU_EP_INTX_DEASSERT    0
#define VFU_EP_INTX_ASSERT      1
#define VFU_EP_INTX_PULSE       2   /* asserted, and deasserted since then */

/*
 * EP_AREAS: the areas of a BAR that the client may map.  They replace the MMAP
 * flag of GET_REGION_INFO, which is not set for a BAR when "areas" was agreed.
 */
typedef struct VfuEpAreas {
    uint32_t argsz;     /* request: 16 */
    uint32_t generation;
    uint32_t region;    /* VFU_REGION_BAR0 to VFU_REGION_BAR5 */
    uint32_t count;     /* 0 in a request */
    /* VfuEpArea area[count]: in the reply, ascending, not overlapping */
} VfuEpAreas;           /* reply: argsz includes the areas; their fds */

typedef struct VfuEpArea {
    uint64_t offset;    /* in the region, page aligned */
    uint64_t size;      /* page aligned, not 0, inside the region */
    uint64_t fd_offset; /* page aligned */
    uint32_t fd_index;  /* in the fds of this reply; areas may share one */
    uint32_t flags;     /* VFU_REGION_FLAG_READ, possibly with _WRITE */
} VfuEpArea;

#define VFU_EP_MAX_AREAS        64

/*
 * EP_FAULT: the server did not carry out a DMA access, because no DMA_MAP
 * allows it.  The client lets its IOMMU translate the address, so that the
 * IOMMU reports the fault to the guest.  Sent with NO_REPLY.
 */
typedef struct VfuEpFault {
    uint32_t argsz;     /* 24 */
    uint32_t generation;
    uint64_t address;   /* on the bus of the host */
    uint32_t write;     /* 1: a write, 0: a read */
    uint32_t reserved;
} VfuEpFault;

_Static_assert(sizeof(VfuHeader) == 16, "header");
_Static_assert(sizeof(VfuVersion) == 4, "VERSION");
_Static_assert(sizeof(VfuDmaMap) == 32, "DMA_MAP");
_Static_assert(sizeof(VfuDmaUnmap) == 24, "DMA_UNMAP");
_Static_assert(sizeof(VfuDeviceInfo) == 16, "GET_INFO");
_Static_assert(sizeof(VfuRegionInfo) == 32, "GET_REGION_INFO");
_Static_assert(sizeof(VfuRegionIoFds) == 16, "GET_REGION_IO_FDS");
_Static_assert(sizeof(VfuIrqInfo) == 16, "GET_IRQ_INFO");
_Static_assert(sizeof(VfuSetIrqs) == 20, "SET_IRQS");
_Static_assert(sizeof(VfuRegionRw) == 16, "REGION_READ");
_Static_assert(sizeof(VfuRegionWrites) == 8, "REGION_WRITE_MULTI");
_Static_assert(sizeof(VfuRegionWrite) == 24, "REGION_WRITE_MULTI");
_Static_assert(sizeof(VfuDmaRw) == 16, "DMA_READ");
_Static_assert(sizeof(VfuEpLink) == 24, "EP_LINK");
_Static_assert(sizeof(VfuEpReset) == 16, "EP_RESET");
_Static_assert(sizeof(VfuEpRemap) == 16, "EP_REMAP");
_Static_assert(sizeof(VfuEpIntx) == 16, "EP_INTX");
_Static_assert(sizeof(VfuRegionIoFd) == 48, "Region IO FD");
_Static_assert(sizeof(VfuEpAreas) == 16, "EP_AREAS");
_Static_assert(sizeof(VfuEpArea) == 32, "area");
_Static_assert(sizeof(VfuEpFault) == 24, "EP_FAULT");

#endif /* HW_PCI_EP_VFIO_USER_PROTO_H */
