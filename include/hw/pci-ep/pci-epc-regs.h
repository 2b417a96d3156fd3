/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc: registers of the virtual PCI endpoint controller
 *
 * This header is the contract between the device (hw/pci-ep/), the kernel
 * driver (linux/) and the qtests (tests/qtest/).  It is self-contained: only
 * preprocessor constants, no types, no includes.  docs/specs/pci-epc.rst tells
 * the same story as prose.
 *
 * Terms: "endpoint" is the guest that sees these registers, "host" is the
 * peer on the other end of the link, "function" is one PCI function shown to
 * the host.
 *
 * Access rules, valid for every register below unless it says otherwise:
 *  - little endian, 32 bits wide, naturally aligned;
 *  - registers marked (64) may be accessed as one aligned 64-bit access or as
 *    two 32-bit accesses, low half at the given offset;
 *  - any other width or alignment, a write to a read-only register and any
 *    access to a hole reads all ones, changes nothing and counts in
 *    EPC_REG_BAD_ACCESS;
 *  - (ro) read only, (rw) read and write, (wo) write only, reads as zero,
 *    (w1c) a written 1 clears the bit.
 *  - any vCPU may access any register at any time.  A driver serialises the
 *    argument registers and the command of one page itself.
 */
#ifndef HW_PCI_EP_PCI_EPC_REGS_H
#define HW_PCI_EP_PCI_EPC_REGS_H

/* PCI identity of the controller; an id from QEMU's range for experiments. */
#define EPC_PCI_VENDOR_ID           0x1af4
#define EPC_PCI_DEVICE_ID           0x10f0
#define EPC_PCI_REVISION            1

/*
 * BARs of the controller
 *
 * EPC_BAR_REGS    registers, 32-bit memory
 * EPC_BAR_MSIX    MSI-X table and PBA of the controller itself, nothing else
 * EPC_BAR_WINDOW  outbound window, 64-bit prefetchable memory; its size is the
 *                 device property "window-size"
 * EPC_BAR_DOORBELL  doorbells, 64-bit memory, see "Doorbells" below
 */
#define EPC_BAR_REGS                0
#define EPC_BAR_MSIX                1
#define EPC_BAR_WINDOW              2
#define EPC_BAR_DOORBELL            4

/* MSI-X vectors of the controller */
#define EPC_VECTOR_EVENT            0   /* EPC_REG_EVENT or EPC_FN_EVENT set */
#define EPC_VECTOR_COMMAND          1   /* a command left EPC_STATUS_BUSY */
#define EPC_VECTOR_DMA(n)           (2 + (n))   /* DMA channel n, see there */
#define EPC_VECTOR_DOORBELL(n)      (EPC_VECTOR_DMA(EPC_DMA_CHANNELS) + (n))
#define EPC_VECTORS                 EPC_VECTOR_DOORBELL(EPC_MAX_DOORBELLS)

/* ---- Global page, at offset 0 of EPC_BAR_REGS ---- */

/* (ro) EPC_MAGIC; anything else is not this device. */
#define EPC_REG_MAGIC               0x000
#define EPC_MAGIC                   0x43504570  /* "pEPC" */

/*
 * (ro) Contract version: major in bits 31:16, minor in 15:0.  A driver refuses
 * a major it does not know; a minor only adds registers and feature bits.
 */
#define EPC_REG_VERSION             0x004
#define EPC_VERSION_MAJOR           1
/* 1: EPC_FEATURE_DMA; 2: _DOORBELL, _SUBRANGE, _CAPS, EPC_CMD_REMOVE; 3: _VF */
#define EPC_VERSION_MINOR           3
#define EPC_VERSION                 ((EPC_VERSION_MAJOR << 16) | EPC_VERSION_MINOR)

/* (ro) What this device can do, EPC_FEATURE_*. */
#define EPC_REG_FEATURES            0x008
#define EPC_FEATURE_MSI             (1u << 0)
#define EPC_FEATURE_MSIX            (1u << 1)
#define EPC_FEATURE_INTX            (1u << 2)
#define EPC_FEATURE_WINDOW          (1u << 3)   /* outbound window */
#define EPC_FEATURE_RETARGET        (1u << 4)   /* SET_BAR on a live BAR */
#define EPC_FEATURE_DOORBELL        (1u << 5)   /* doorbells */
#define EPC_FEATURE_DMA             (1u << 6)   /* DMA channels */
#define EPC_FEATURE_SUBRANGE        (1u << 7)   /* SET_AREAS */
#define EPC_FEATURE_CAPS            (1u << 8)   /* ADD_CAP, WRITE_CONFIG */
#define EPC_FEATURE_VF              (1u << 9)   /* virtual functions */

/*
 * (ro) Layout of the rest of EPC_BAR_REGS: number of functions, offset of the
 * page of function 0, distance between function pages, and the same for the
 * raise areas.  A driver uses these, never constants.
 */
#define EPC_REG_FN_COUNT            0x00c   /* 1 to EPC_MAX_FUNCTIONS */
#define EPC_REG_FN_BASE             0x010
#define EPC_REG_FN_STRIDE           0x014
#define EPC_REG_RAISE_BASE          0x018
#define EPC_REG_RAISE_STRIDE        0x01c
#define EPC_MAX_FUNCTIONS           8

/*
 * (ro) Granule in bytes of window maps and BAR targets: the page size of the
 * machine QEMU runs on.
 */
#define EPC_REG_GRANULE             0x020

/*
 * (ro) Most window maps that can be live at once; one more is
 * EPC_STATUS_NO_SPACE.
 */
#define EPC_REG_MAX_MAPS            0x024

/*
 * (ro) Milliseconds.  A command that needs the host leaves EPC_STATUS_BUSY
 * within this time, whatever the host does.
 */
#define EPC_REG_DEADLINE            0x028

/* (ro) With EPC_FEATURE_DOORBELL: number of doorbells. */
#define EPC_REG_DOORBELLS           0x02c   /* 1 to EPC_MAX_DOORBELLS */
#define EPC_MAX_DOORBELLS           64

/*
 * (wo) Writing EPC_RESET_MAGIC takes the link down, forgets every function,
 * BAR, map and event, and masks all events, as after power-up.  Complete when
 * the write returns, but for hosts that were attached: they can reach the memory
 * behind BARs, and EPC_REG_LINK_STATUS is EPC_STATUS_BUSY, until they have let go
 * or their deadline expired.  Other values change nothing and count as bad
 * access.
 */
#define EPC_REG_RESET               0x030
#define EPC_RESET_MAGIC             0x52455345  /* "ESER" */

/*
 * (ro) With EPC_FEATURE_DOORBELL: offset in EPC_BAR_REGS of the controls of
 * doorbell 0, see "Doorbells".
 */
#define EPC_REG_DOORBELL_BASE       0x038

/* (ro) Accesses refused since reset, see the access rules. Wraps. */
#define EPC_REG_BAD_ACCESS          0x034

/*
 * (rw) Link command and (ro) its status, EPC_STATUS_*.  Writing EPC_LINK_START
 * or EPC_LINK_STOP begins; the status may be EPC_STATUS_BUSY and EPC_VECTOR_COMMAND
 * is raised when it is not any more.  A command while BUSY is ignored and
 * counts as bad access.
 *
 * START  Lets the link train.  OK as soon as that is allowed; the link comes
 *        up when a host is attached, at once or later, and EPC_EVENT_LINK
 *        tells.  BAD_STATE when function 0 has no header (no vendor id).
 *        OK without effect when already started.  Functions without a header
 *        are not shown; what keeps one that has a header from being shown is
 *        the status, and then none is.
 * STOP   Takes the link down.  OK when the host has let go of all memory of
 *        this guest, or its deadline expired.  Always OK in the end.
 */
#define EPC_REG_LINK_CMD            0x040
#define EPC_LINK_START              1
#define EPC_LINK_STOP               2
#define EPC_REG_LINK_STATUS         0x044

/*
 * (ro) Link state: UP when all functions that are shown are, or one of them with
 * a host that knows of a single function.  The generation grows by one (modulo
 * 2^16) each time the link comes up, so a driver that sees UP with a new
 * generation knows that the link was down in between.
 */
#define EPC_REG_LINK                0x048
#define EPC_LINK_UP                 (1u << 0)
#define EPC_LINK_ENABLED            (1u << 1)   /* between START and STOP */
#define EPC_LINK_SPEED_SHIFT        4           /* PCIe encoding, 1 = 2.5 GT/s */
#define EPC_LINK_SPEED_MASK         0xfu
#define EPC_LINK_WIDTH_SHIFT        8           /* lanes */
#define EPC_LINK_WIDTH_MASK         0x3fu
#define EPC_LINK_GEN_SHIFT          16

/*
 * (w1c) Events and (rw) their mask (1 = raise EPC_VECTOR_EVENT).  The vector is
 * raised whenever an unmasked bit gets set and when a mask bit is set over a
 * pending event, so nothing is lost between clearing and handling.
 */
#define EPC_REG_EVENT               0x050
#define EPC_REG_EVENT_MASK          0x054
#define EPC_EVENT_LINK              (1u << 0)   /* EPC_REG_LINK changed */
#define EPC_EVENT_HOT_RESET         (1u << 1)   /* host reset the secondary bus */
#define EPC_EVENT_PERST             (1u << 2)   /* host machine reset */
#define EPC_EVENT_ALL               0x7u

/* (ro) Bit n: EPC_FN_EVENT & EPC_FN_EVENT_MASK of function n is not zero. */
#define EPC_REG_FN_PENDING          0x058

/*
 * (ro) With EPC_FEATURE_DMA: number of DMA channels, offset of the page of
 * channel 0, distance between channel pages.
 */
#define EPC_REG_DMA_COUNT           0x060   /* 1 to EPC_DMA_CHANNELS */
#define EPC_REG_DMA_BASE            0x064
#define EPC_REG_DMA_STRIDE          0x068
#define EPC_DMA_CHANNELS            16

/*
 * (ro) With EPC_FEATURE_VF: number of virtual functions of function 0, see
 * "Virtual functions".  EPC_REG_FN_COUNT does not count them, and the sum of
 * both is at most EPC_MAX_FUNCTIONS.
 */
#define EPC_REG_VF_COUNT            0x06c

#define EPC_GLOBAL_SIZE             0x1000

/* ---- Function page, at EPC_REG_FN_BASE + fn * EPC_REG_FN_STRIDE ---- */

/*
 * (rw) Command and (ro) status.  The driver fills the argument registers,
 * writes the command, reads the status.  SET_BAR, SET_AREAS and CLEAR_BAR (they
 * wait for the host while the link is up) and MAP (of memory that traps) may
 * answer EPC_STATUS_BUSY; then EPC_VECTOR_COMMAND is raised when the status
 * changes.  A command written while BUSY is ignored and counts as bad access.
 */
#define EPC_FN_CMD                  0x000
#define EPC_FN_STATUS               0x004

/*
 * SET_HEADER  Takes EPC_FN_ID, EPC_FN_CLASS, EPC_FN_SUBSYS, EPC_FN_INT_PIN.
 *             BAD_ARG: vendor 0xffff, pin > 4.  BAD_STATE: link enabled.
 */
#define EPC_CMD_SET_HEADER          1
/*
 * SET_BAR     Takes EPC_FN_BAR, EPC_FN_BAR_FLAGS, EPC_FN_ADDR, EPC_FN_SIZE.
 *             First call: defines the BAR.  BAD_STATE while the link is enabled.
 *             Later calls: same flags, size not larger than the first; only
 *             the target changes, the host-assigned address stays.  OK once no
 *             host access can reach the old target.
 *             The host sees at least 4 KiB; the target must then be 4 KiB too.
 *             BAD_ARG: index > 5, 64-bit on BAR 5 or over a used BAR, size not
 *             a power of two or 0 or above 2^40 (2^31 for a 32-bit BAR),
 *             address not aligned to EPC_REG_GRANULE, flags or size that do
 *             not fit the first call.
 *             BAD_TARGET: the range is neither wholly RAM of this guest, nor
 *             wholly inside EPC_BAR_DOORBELL of this controller, nor wholly
 *             inside the outbound window of another controller of this guest.
 */
#define EPC_CMD_SET_BAR             2
/*
 * CLEAR_BAR   Takes EPC_FN_BAR.  The host reads all ones from it from now on.
 *             While the link is enabled the BAR register itself stays.  OK on a
 *             BAR that was never set.  BAD_ARG: index > 5.
 */
#define EPC_CMD_CLEAR_BAR           3
/*
 * MAP         Takes EPC_FN_OFFSET, EPC_FN_ADDR, EPC_FN_SIZE: window bytes
 *             [offset, offset + size) reach host PCI address [addr, addr + size)
 *             when OK is read.  All multiples of EPC_REG_GRANULE.  A map of the
 *             same offset replaces the old one; other overlap is BAD_ARG.
 *             A map lasts until UNMAP, REMOVE or EPC_REG_RESET.  While the link
 *             is down, or the host does not allow DMA to all of it, its window
 *             bytes read all ones and lose what is written.
 *             Host memory that cannot be mapped (no file, huge pages, read-only,
 *             devices, translated at each access) is reached all the same: the
 *             window traps there, and each access may take up to EPC_REG_DEADLINE
 *             and then takes the link down.  At most EPC_MAX_SLOW_MAPS such maps
 *             are live at once; a map that becomes one beyond that, because the
 *             host changed, reads all ones.
 *             BAD_ARG: misaligned, empty, wraps, outside the window.
 *             NO_LINK: link is down.  NO_SPACE: too many maps, or scattered
 *             over too many places of the host's memory, also together with
 *             other controllers of this machine, or too many that trap.
 *             NOT_MAPPED: the host does not allow DMA there (also: bus master
 *             enable is off).  NOT_SHARED: it does, but that memory cannot be
 *             mapped, and the host takes no messages (a plain vfio-user client).
 *             IO: the operating system refused.  BAD_ARG changes nothing; on
 *             any other error the window bytes read all ones and the map does
 *             not exist.
 */
#define EPC_CMD_MAP                 4
#define EPC_MAX_SLOW_MAPS           64
/* UNMAP       Takes EPC_FN_OFFSET as given to MAP.  OK also when there is none. */
#define EPC_CMD_UNMAP               5
/*
 * SET_MSI     Takes EPC_FN_COUNT: vectors, 1 to 32, rounded up to a power of
 *             two; 0 removes the capability.  BAD_STATE: link enabled.
 */
#define EPC_CMD_SET_MSI             6
/*
 * SET_MSIX    Takes EPC_FN_COUNT (1 to 2048; 0 removes the capability),
 *             EPC_FN_BAR (BAR of table and PBA), EPC_FN_OFFSET (of the table, a
 *             multiple of 8; the PBA follows the table).  BAD_STATE: link
 *             enabled.  BAD_ARG also when START finds the table outside its
 *             BAR: then START is BAD_ARG.
 */
#define EPC_CMD_SET_MSIX            7
/*
 * SET_AREAS   Takes EPC_FN_BAR, EPC_FN_COUNT and as many EPC_FN_AREA(n): what is
 *             behind a BAR that is defined already, from its start, back to
 *             back; the rest of the BAR is EPC_AREA_NONE.  Completes like a
 *             SET_BAR that changes the target, which it is; a later SET_BAR
 *             replaces all areas.
 *             BAD_ARG: no such BAR, count 0 or above EPC_MAX_AREAS, a size that
 *             is 0 or not a multiple of EPC_REG_GRANULE, an address that is not
 *             aligned to it, an unknown type, more than the BAR holds.
 *             BAD_TARGET: as for SET_BAR.  An error changes nothing.
 */
#define EPC_CMD_SET_AREAS           8
/*
 * ADD_CAP     Takes EPC_FN_CAP_ID and EPC_FN_SIZE (bytes with the capability's
 *             header): adds an empty capability, whose offset is then in
 *             EPC_FN_CAP_OFFSET.  It is the last one of its list.  Only the length
 *             byte of a vendor-specific one (id 9) is filled in.  An id may be
 *             added several times.
 *             BAD_STATE: link enabled.  NO_SPACE: does not fit.  BAD_ARG: size
 *             below 4 (8 when extended) or above EPC_CAP_SIZE_MAX, an id that is
 *             0 or all ones, other bits of EPC_FN_CAP_ID, or an id the device
 *             itself provides (power management, MSI, PCI Express, MSI-X; with
 *             EPC_FEATURE_VF also SR-IOV).
 */
#define EPC_CMD_ADD_CAP             9
/*
 * WRITE_CONFIG  Takes EPC_FN_OFFSET, EPC_FN_SIZE (1, 2 or 4; aligned), EPC_FN_VALUE
 *             and EPC_FN_WMASK: sets the value of a register inside an added
 *             capability, past its header (id and next; 2 bytes, extended 4), and
 *             which bits of it the host may write.  Any time; the host reads the
 *             new value from now on, and again after a reset.
 *             BAD_ARG: not inside an added capability, size or alignment.
 */
#define EPC_CMD_WRITE_CONFIG        10
/*
 * REMOVE      The function is as after power-up: no header, BARs, interrupts,
 *             maps or capabilities.  Arguments, events, their mask and counters
 *             stay.  BAD_STATE: link enabled.
 */
#define EPC_CMD_REMOVE              11

/* Values of every status register. */
#define EPC_STATUS_OK               0
#define EPC_STATUS_BUSY             1
#define EPC_STATUS_BAD_CMD          2   /* no such command */
#define EPC_STATUS_BAD_ARG          3
#define EPC_STATUS_BAD_STATE        4
#define EPC_STATUS_BAD_TARGET       5   /* nothing a BAR may lead to */
#define EPC_STATUS_NO_SPACE         6
#define EPC_STATUS_NO_LINK          7
#define EPC_STATUS_NOT_MAPPED       8
#define EPC_STATUS_NOT_SHARED       9
#define EPC_STATUS_IO               10
#define EPC_STATUS_TIMEOUT          11  /* link went down, host did not answer */

/* (rw) Arguments.  They keep their value; a command never changes them. */
#define EPC_FN_BAR                  0x010   /* 0 to 5 */
#define EPC_FN_BAR_FLAGS            0x014
#define EPC_BAR_FLAG_64             (1u << 0)
#define EPC_BAR_FLAG_PREFETCH       (1u << 1)
/* (64) endpoint DMA address, or host PCI address for MAP */
#define EPC_FN_ADDR                 0x018
/* SET_BAR: no target yet, host reads all ones */
#define EPC_ADDR_NONE               0xffffffffffffffffull
#define EPC_FN_SIZE                 0x020   /* (64) bytes */
#define EPC_FN_OFFSET               0x028   /* (64) into the window, or into a BAR */
#define EPC_FN_COUNT                0x030
#define EPC_FN_ID                   0x040   /* vendor 15:0, device 31:16 */
#define EPC_FN_CLASS                0x044   /* revision 7:0, class code 31:8 */
#define EPC_FN_SUBSYS               0x048   /* subsystem vendor 15:0, id 31:16 */
#define EPC_FN_INT_PIN              0x04c   /* 0 none, 1 INTA to 4 INTD */

#define EPC_FN_CAP_ID               0x050
#define EPC_CAP_ID_MASK             0xffffu     /* 8 bits of it without _EXT */
#define EPC_CAP_VERSION_SHIFT       16          /* 4 bits, with _EXT */
#define EPC_CAP_EXT                 (1u << 31)  /* extended: above 0xff */
#define EPC_CAP_SIZE_MAX            0x800
/* (ro) Where the last ADD_CAP that was OK put the capability. */
#define EPC_FN_CAP_OFFSET           0x054
#define EPC_FN_VALUE                0x058
#define EPC_FN_WMASK                0x05c

/* (rw) Areas for SET_AREAS */
#define EPC_AREA_STRIDE             0x20
#define EPC_FN_AREA(n)              (0x800 + EPC_AREA_STRIDE * (n))
#define EPC_MAX_AREAS               64
#define EPC_AREA_ADDR               0x00        /* (64) target, as for SET_BAR */
#define EPC_AREA_SIZE               0x08        /* (64) bytes */
#define EPC_AREA_TYPE               0x10
#define EPC_AREA_TARGET             0           /* what is at EPC_AREA_ADDR */
#define EPC_AREA_NONE               1           /* all ones, writes are dropped */

/* (w1c) events of this function and (rw) their mask, as EPC_REG_EVENT. */
#define EPC_FN_EVENT                0x080
#define EPC_FN_EVENT_MASK           0x084
#define EPC_FN_EVENT_COMMAND        (1u << 0)   /* host changed the Command register */
#define EPC_FN_EVENT_MSI            (1u << 1)   /* host changed MSI or MSI-X state */
#define EPC_FN_EVENT_FLR            (1u << 2)   /* function level reset */
#define EPC_FN_EVENT_DSTATE         (1u << 3)   /* host changed the power state */
#define EPC_FN_EVENT_CONFIG         (1u << 4)   /* EPC_FN_WRITE_INFO is not empty */
#define EPC_FN_EVENT_VFS            (1u << 5)   /* EPC_FN_VFS changed */
#define EPC_FN_EVENT_ALL            0x3fu

/* (ro) What the host has set up, live. */
#define EPC_FN_PCI_COMMAND          0x088   /* Command register, 16 bits */
/* EPC_FN_IRQ_ENABLED, vectors enabled in 15:0 */
#define EPC_FN_MSI                  0x08c
/* EPC_FN_IRQ_ENABLED, _MASKED, table size in 15:0 */
#define EPC_FN_MSIX                 0x090
#define EPC_FN_IRQ_ENABLED          (1u << 31)
#define EPC_FN_IRQ_MASKED           (1u << 30)  /* MSI-X function mask */
#define EPC_FN_DSTATE               0x094   /* 0 D0 to 3 D3hot */

/* (ro) Raises that could not be delivered since reset.  Wraps. */
#define EPC_FN_RAISE_DROPPED        0x098

/*
 * (ro) Writes of the host to a BAR that lead nowhere: no area, a doorbell that
 * is disabled or accessed otherwise than with 4 aligned bytes, a virtual
 * function that is not enabled.  Since reset, wraps.  Writes that were not sent
 * to this device, because the host knew, do not count.
 */
#define EPC_FN_INBOUND_DROPPED      0x09c

/*
 * What the host wrote to added capabilities (ADD_CAP), past their headers,
 * oldest first; up to EPC_FN_WRITES_MAX are kept.  INFO (ro): offset in 11:0,
 * bytes (1, 2, 4; aligned) in 18:16, LOST when newer ones were dropped after this
 * one, VALID.  Zero when empty.  VALUE (ro): the bytes written, before the mask,
 * of the one that INFO showed last.  NEXT (wo): any value removes that one.
 * Any reset of the function by the host, and the end of the link, empties it.
 */
#define EPC_FN_WRITE_INFO           0x0a0
#define EPC_FN_WRITE_VALUE          0x0a4
#define EPC_FN_WRITE_NEXT           0x0a8
#define EPC_WRITE_LOST              (1u << 30)
#define EPC_WRITE_VALID             (1u << 31)
#define EPC_FN_WRITES_MAX           64

/*
 * (ro) Function 0, with EPC_FEATURE_VF: what the host has set up in the SR-IOV
 * capability.  NUM in 15:0 is zero while ENABLE is not set.
 */
#define EPC_FN_VFS                  0x0ac
#define EPC_FN_VFS_ENABLE           (1u << 31)  /* VF Enable */
#define EPC_FN_VFS_MEMORY           (1u << 30)  /* VF MSE */
#define EPC_FN_VFS_NUM_MASK         0xffffu

/*
 * (ro) Configuration space of the function as the host reads it; 1, 2 or 4 byte
 * aligned reads.
 */
#define EPC_FN_CONFIG               0x1000
#define EPC_FN_CONFIG_SIZE          0x1000

/*
 * Raise area, at EPC_REG_RAISE_BASE + fn * EPC_REG_RAISE_STRIDE
 *
 * (wo), 32-bit.  A write raises the interrupt; the value does not matter except
 * for INTx.  Earlier stores of the same vCPU to the window are visible to the
 * host before the interrupt.  A write for something the host has not enabled is
 * dropped and counts in EPC_FN_RAISE_DROPPED; a masked vector becomes pending.
 */
#define EPC_RAISE_MSIX(n)           (0x0000 + 4 * (n))  /* n: 0 to 2047 */
#define EPC_RAISE_MSI(n)            (0x2000 + 4 * (n))  /* n: 0 to 31 */
#define EPC_RAISE_INTX              0x3000              /* 1 assert, 0 deassert */
#define EPC_RAISE_SIZE              0x4000

/*
 * Page of a DMA channel, at EPC_REG_DMA_BASE + n * EPC_REG_DMA_STRIDE
 *
 * A channel copies between memory of the endpoint and of the host, or within
 * either, as descriptors in a ring in memory of the endpoint say.  It works on
 * them in order; channels are independent of each other and get equal shares.
 */

/*
 * (rw) The ring: EPC_DMA_SIZE descriptors at endpoint DMA address EPC_DMA_RING
 * (64), which is a multiple of EPC_DMA_DESC_SIZE.  Written while the channel is
 * disabled, else it counts as bad access.
 */
#define EPC_DMA_RING                0x000
#define EPC_DMA_SIZE                0x008   /* power of two */
#define EPC_DMA_SIZE_MIN            2
#define EPC_DMA_SIZE_MAX            4096

/*
 * (rw) Control.  Other bits are bad access.
 *
 * ENABLE  0 to 1: both indices become 0 and the channel runs; or EPC_DMA_STATE
 *         becomes ERROR when ring or size are out of range.
 *         1 to 0: the channel forgets what it was doing.  When the write
 *         returns it does not touch memory of the endpoint any more, and memory
 *         of the host only while EPC_DMA_STATE_MESSAGE is set.
 * ABORT   (wo) With ENABLE: descriptors up to the producer index of now that
 *         are not done yet get EPC_DMA_ABORTED.  Ignored when there are none.
 *         The channel stays enabled.
 */
#define EPC_DMA_CTRL                0x00c
#define EPC_DMA_CTRL_ENABLE         (1u << 0)
#define EPC_DMA_CTRL_ABORT          (1u << 1)

/* (ro) State */
#define EPC_DMA_STATE               0x010
#define EPC_DMA_STATE_ENABLED       (1u << 0)
/* The ring is out of range or not RAM; the channel stands still until disabled. */
#define EPC_DMA_STATE_ERROR         (1u << 1)
/*
 * A message to the host is under way for this channel, for a time of twice
 * EPC_REG_DEADLINE at most.  It can belong to what the channel did before it
 * was disabled.
 */
#define EPC_DMA_STATE_MESSAGE       (1u << 2)

/*
 * (rw) Producer and (ro) consumer index.  Both count descriptors, modulo 2^32;
 * descriptor i is at index i modulo EPC_DMA_SIZE.  The driver owns those from
 * producer up to consumer + size.  Writing the producer index starts the work.
 * A value that is more than EPC_DMA_SIZE ahead of the consumer index, or behind
 * the last one, changes nothing and counts as bad access; so does any while the
 * channel does not run.
 */
#define EPC_DMA_PRODUCER            0x014
#define EPC_DMA_CONSUMER            0x018

/*
 * (rw) The channel's vector of this device, EPC_VECTOR_DMA(n) at first, and its
 * coalescing.  It is raised when EPC_DMA_IRQ_COUNT (0 is 1) descriptors with
 * EPC_DMA_IRQ were done, EPC_DMA_IRQ_USEC microseconds after the first of them
 * (0: when there is no work left), when a descriptor fails, and when the channel
 * stops with EPC_DMA_STATE_ERROR.
 */
#define EPC_DMA_VECTOR              0x01c   /* below EPC_VECTORS */
#define EPC_DMA_IRQ_COUNT           0x020   /* up to EPC_DMA_SIZE_MAX */
#define EPC_DMA_IRQ_USEC            0x024   /* up to EPC_DMA_IRQ_USEC_MAX */
#define EPC_DMA_IRQ_USEC_MAX        1000000

#define EPC_DMA_PAGE_SIZE           0x1000

/*
 * Descriptor: little endian, EPC_DMA_DESC_SIZE bytes.  The device writes DONE,
 * then STATUS, then moves the consumer index; the driver sets STATUS to
 * EPC_DMA_PENDING before it moves the producer index.
 */
#define EPC_DMA_DESC_SRC            0x00    /* 64 bits */
#define EPC_DMA_DESC_DST            0x08    /* 64 bits */
#define EPC_DMA_DESC_LENGTH         0x10    /* bytes; 0 does nothing, well */
#define EPC_DMA_DESC_FLAGS          0x14
#define EPC_DMA_DESC_STATUS         0x18
#define EPC_DMA_DESC_DONE           0x1c    /* bytes that were copied */
#define EPC_DMA_DESC_SIZE           32

/* Flags; the others are zero. */
#define EPC_DMA_SRC_HOST            (1u << 0)   /* host PCI, else endpoint DMA */
#define EPC_DMA_DST_HOST            (1u << 1)
#define EPC_DMA_IRQ                 (1u << 2)   /* counts for the interrupt */
/* The next descriptor goes on with this one, and shares its failure. */
#define EPC_DMA_CHAIN               (1u << 3)
/* Functions whose host addresses are meant, when they are */
#define EPC_DMA_SRC_FN_SHIFT        8
#define EPC_DMA_DST_FN_SHIFT        16
#define EPC_DMA_FN_MASK             0xffu

/* Descriptor status */
#define EPC_DMA_PENDING             0
#define EPC_DMA_OK                  1
#define EPC_DMA_BAD_DESC            2   /* unknown flag or function, range wraps */
#define EPC_DMA_BAD_ADDR            3   /* not RAM of this guest */
#define EPC_DMA_NO_LINK             4
#define EPC_DMA_NOT_MAPPED          5   /* as EPC_STATUS_NOT_MAPPED */
#define EPC_DMA_NOT_SHARED          6   /* host memory is beyond reach, even by message */
#define EPC_DMA_IO                  7   /* the host failed to answer, or refused */
#define EPC_DMA_ABORTED             8

/*
 * Doorbells
 *
 * Doorbell n is the 32-bit register at 4 * n of EPC_BAR_DOORBELL, reads zero.
 * This guest's own access does nothing.  A BAR or area whose target is inside
 * EPC_BAR_DOORBELL lets the host ring: its aligned 32-bit write to doorbell n
 * raises the doorbell's vector, when it is enabled.  All of EPC_BAR_DOORBELL but
 * the doorbells is EPC_AREA_NONE.  A ring that comes while the BAR is retargeted
 * may still arrive.  Rings of one doorbell that come faster than this guest takes
 * them become one.
 */
#define EPC_DOORBELL_BAR_SIZE       0x100000

/*
 * Controls of doorbell n, at EPC_REG_DOORBELL_BASE + n * EPC_DOORBELL_STRIDE
 *
 * CTRL (rw)   ENABLE: the host may ring it.  VALUE: keep what the host writes;
 *             costs the host an exit.  Set VALUE before a BAR leads to the
 *             doorbell.
 * VECTOR (rw) the MSI-X vector it raises, EPC_VECTOR_DOORBELL(n) at first; below
 *             EPC_VECTORS.
 * VALUE (ro)  with VALUE: what the host wrote last, and zero before.
 */
#define EPC_DOORBELL_STRIDE         0x10
#define EPC_DOORBELL_CTRL           0x00
#define EPC_DOORBELL_CTRL_ENABLE    (1u << 0)
#define EPC_DOORBELL_CTRL_VALUE     (1u << 1)
#define EPC_DOORBELL_VECTOR         0x04
#define EPC_DOORBELL_VALUE          0x08

/*
 * Virtual functions (SR-IOV)
 *
 * Virtual function k, from 1 to EPC_REG_VF_COUNT, belongs to function 0 and is
 * function number EPC_REG_FN_COUNT + k - 1: in the page, raise area, EPC_DMA_*_FN
 * and EPC_REG_FN_PENDING of that number, and for the host (First VF Offset
 * EPC_REG_FN_COUNT, VF Stride 1).  With any, function 0 has the SR-IOV capability
 * at 0x100, its first extended one; TotalVFs is EPC_REG_VF_COUNT when virtual
 * function 1 has a header at START, else 0 and none is shown.  A page of a
 * virtual function is used as that of a function, but:
 *
 * SET_HEADER  Only virtual function 1, for all of them; BAD_ARG for the others.
 *             The vendor is that of function 0, there is no INTx; the vendor in
 *             EPC_FN_ID and EPC_FN_INT_PIN do not count.
 * SET_BAR     As the VF BAR of that number: START is BAD_ARG when two virtual
 *             functions defined it with other flags or another size (as the host
 *             sees it).  Those that did not define it have EPC_AREA_NONE there.
 * REMOVE      As for a function.
 *
 * The host enables the first NumVFs of them by VF Enable: until then, and after
 * it was cleared, a virtual function is as after a reset, may not master the bus,
 * and the host reads all ones from it.  EPC_FN_PCI_COMMAND of a virtual function
 * has what the host wrote (bus master) and, as its memory space bit, VF MSE while
 * it is enabled; EPC_FN_EVENT_COMMAND tells when it changed.  A reset of function
 * 0, an FLR as well, clears VF Enable.
 */

#define EPC_MAX_MSI                 32
#define EPC_MAX_MSIX                2048

#endif /* HW_PCI_EP_PCI_EPC_REGS_H */
