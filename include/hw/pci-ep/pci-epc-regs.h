/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc: registers of the virtual PCI endpoint controller
 *
 * This header is the contract between the device (hw/pci-ep/), the kernel
 * driver (linux/) and the qtests (tests/qtest/). It is self-contained: it has
 * only preprocessor constants and no types. It includes pci-epc-dma-regs.h for
 * DMA channels, pci-epc-doe-regs.h for DOE mailboxes, pci-epc-doorbell-regs.h
 * for doorbells and pci-epc-limit-regs.h for limits. docs/specs/pci-epc.rst
 * explains how the registers are used.
 *
 * Terms: the "endpoint" is the guest that sees these registers. The "host" is
 * the peer at the other end of the link. A "function" is one PCI function that
 * the host is shown.
 *
 * Access rules, valid for every register below unless it says otherwise:
 *  - Registers are little endian, 32 bits wide and naturally aligned.
 *  - A register marked (64) takes one aligned 64-bit access, or two 32-bit ones
 *    with the low half at the given offset.
 *  - An access with another width or alignment, a write to a read-only register
 *    and any access to a hole is a bad access: it reads all ones, changes
 *    nothing and counts in EPC_REG_BAD_ACCESS.
 *  - (ro) means read only, (rw) read and write, (wo) write only, which reads as
 *    zero, and (w1c) that a written 1 clears the bit.
 *  - Any vCPU may access any register at any time. A driver serialises its own
 *    use of the argument registers and the command of one page.
 */
#ifndef HW_PCI_EP_PCI_EPC_REGS_H
#define HW_PCI_EP_PCI_EPC_REGS_H

#include "pci-epc-dma-regs.h"
#include "pci-epc-doe-regs.h"
#include "pci-epc-doorbell-regs.h"
#include "pci-epc-limit-regs.h"

/* PCI identity of the controller; QEMU has this range of ids for experiments */
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
 * EPC_BAR_DOORBELL  doorbells, 64-bit memory, see pci-epc-doorbell-regs.h
 */
#define EPC_BAR_REGS                0
#define EPC_BAR_MSIX                1
#define EPC_BAR_WINDOW              2
#define EPC_BAR_DOORBELL            4

/* MSI-X vectors of the controller */
#define EPC_VECTOR_EVENT            0   /* EPC_REG_EVENT or EPC_FN_EVENT set */
#define EPC_VECTOR_COMMAND          1   /* a command left EPC_STATUS_BUSY */
#define EPC_VECTOR_DMA(n)           (2 + (n))   /* DMA channel n */
#define EPC_VECTOR_DOORBELL(n)      (EPC_VECTOR_DMA(EPC_DMA_CHANNELS) + (n))
/* the trap ring of function n */
#define EPC_VECTOR_TRAP(n)          (EPC_VECTOR_DOORBELL(EPC_MAX_DOORBELLS) + (n))
#define EPC_VECTORS                 EPC_VECTOR_TRAP(EPC_MAX_FUNCTIONS)

/* ---- Global page, at offset 0 of EPC_BAR_REGS ---- */

/* (ro) Reads EPC_MAGIC. A device that reads anything else is not this one. */
#define EPC_REG_MAGIC               0x000
#define EPC_MAGIC                   0x43504570  /* "pEPC" */

/*
 * (ro) Version of this contract: major in bits 31:16, minor in 15:0. A driver
 * refuses a major version that it does not know. A new minor version only adds
 * registers and feature bits.
 */
#define EPC_REG_VERSION             0x004
#define EPC_VERSION_MAJOR           1
/*
 * 1: EPC_FEATURE_DMA; 2: _DOORBELL, _SUBRANGE, _CAPS, EPC_CMD_REMOVE; 3: _VF;
 * 4: _TRAP; 5: _MASKS; 6: _DOE; 7: writes of any width ring a doorbell;
 * 8: _DMA_LATE, _LIMITS, _NO_LINKUP; 9: _ITS
 */
#define EPC_VERSION_MINOR           9
#define EPC_VERSION                 ((EPC_VERSION_MAJOR << 16) | EPC_VERSION_MINOR)

/* (ro) What this device can do: EPC_FEATURE_* */
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
#define EPC_FEATURE_TRAP            (1u << 10)  /* EPC_ADDR_TRAP */
#define EPC_FEATURE_MASKS           (1u << 11)  /* EPC_FN_MSI_MASK, _MSIX_MASK */
#define EPC_FEATURE_DOE             (1u << 12)  /* ADD_DOE, EPC_FN_DOE_* */
#define EPC_FEATURE_DMA_LATE        (1u << 13)  /* EPC_DMA_IRQ_LATE */
#define EPC_FEATURE_LIMITS          (1u << 14)  /* pci-epc-limit-regs.h */
#define EPC_FEATURE_NO_LINKUP       (1u << 15)  /* not told: EPC_EVENT_LINK */
#define EPC_FEATURE_ITS             (1u << 16)  /* EPC_REG_ITS_DEVICE */

/*
 * (ro) Layout of the rest of EPC_BAR_REGS: the number of functions, the offset
 * of the page of function 0 and the distance between function pages, and the
 * same for the raise areas. A driver has no constants instead.
 */
#define EPC_REG_FN_COUNT            0x00c   /* 1 to EPC_MAX_FUNCTIONS */
#define EPC_REG_FN_BASE             0x010
#define EPC_REG_FN_STRIDE           0x014
#define EPC_REG_RAISE_BASE          0x018
#define EPC_REG_RAISE_STRIDE        0x01c
#define EPC_MAX_FUNCTIONS           8

/*
 * (ro) Granule of window maps and BAR targets in bytes: the page size of the
 * machine that QEMU runs on.
 */
#define EPC_REG_GRANULE             0x020

/* (ro) Most window maps at once. One more is EPC_STATUS_NO_SPACE. */
#define EPC_REG_MAX_MAPS            0x024

/*
 * (ro) A time in milliseconds. A command waits at most this long for an answer
 * of the host, whatever the host does. STOP and RESET wait for two answers when
 * they come before the host has acknowledged that the link is up.
 */
#define EPC_REG_DEADLINE            0x028

/*
 * (wo) Writing EPC_RESET_MAGIC takes the link down, forgets every function,
 * BAR, map and event, and masks all events, as after power-up. That is complete
 * when the write returns, with two exceptions. A DMA channel may have
 * EPC_DMA_STATE_BUSY, and then the link goes down when it ends. A host may be
 * attached. It can reach the memory behind BARs until it has released that
 * memory or its deadline has expired. Meanwhile EPC_REG_LINK_STATUS is
 * EPC_STATUS_BUSY. Writing any other value is a bad access.
 */
#define EPC_REG_RESET               0x030
#define EPC_RESET_MAGIC             0x52455345  /* "ESER" */

/* (ro) Bad accesses since the last reset, modulo 2^32; see the access rules. */
#define EPC_REG_BAD_ACCESS          0x034

/*
 * (rw) Link command, and (ro) its status EPC_STATUS_*. Writing EPC_LINK_START
 * or EPC_LINK_STOP begins the command. When the status is EPC_STATUS_BUSY then,
 * EPC_VECTOR_COMMAND is raised as soon as it changes. A command that is written
 * while the status is BUSY is ignored and counts as a bad access.
 *
 * START  Allows the link to come up. The status is OK as soon as that is
 *        allowed. The link comes up when a host is attached, at once or later,
 *        which EPC_EVENT_LINK reports. BAD_STATE: function 0 has no header, so
 *        no vendor id. OK without effect when the link is started already. A
 *        function without a header is not shown. If a function has a header but
 *        cannot be shown, the reason is the status, and no function is shown.
 * STOP   Takes the link down. The status is OK when the host has released all
 *        memory of this guest or its deadline has expired. STOP never fails.
 */
#define EPC_REG_LINK_CMD            0x040
#define EPC_LINK_START              1
#define EPC_LINK_STOP               2
#define EPC_REG_LINK_STATUS         0x044

/*
 * (ro) Link state. UP is set when the host has all functions that are shown, or
 * when a host that knows of a single function has that one. The generation
 * grows by one, modulo 2^16, each time the link comes up. So a driver that
 * reads UP with another generation knows that the link was down in between.
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
 * (w1c) Events, and (rw) their mask, in which 1 means that the event raises
 * EPC_VECTOR_EVENT. The vector is raised whenever the event of such a bit
 * occurs, and when a mask bit becomes 1 while its event is pending. So no event
 * is lost between clearing and handling.
 */
#define EPC_REG_EVENT               0x050
#define EPC_REG_EVENT_MASK          0x054
/* EPC_REG_LINK changed; with EPC_FEATURE_NO_LINKUP only: the link went down */
#define EPC_EVENT_LINK              (1u << 0)
#define EPC_EVENT_HOT_RESET         (1u << 1)   /* host reset the secondary bus */
#define EPC_EVENT_PERST             (1u << 2)   /* host machine was reset */
#define EPC_EVENT_ALL               0x7u

/* (ro) Bit n: EPC_FN_EVENT & EPC_FN_EVENT_MASK of function n is not zero. */
#define EPC_REG_FN_PENDING          0x058

/*
 * (ro) With EPC_FEATURE_DMA: the number of DMA channels, the offset of the page
 * of channel 0, and the distance between channel pages.
 */
#define EPC_REG_DMA_COUNT           0x060   /* 1 to EPC_DMA_CHANNELS */
#define EPC_REG_DMA_BASE            0x064
#define EPC_REG_DMA_STRIDE          0x068
#define EPC_DMA_CHANNELS            16

/*
 * (ro) With EPC_FEATURE_VF: the number of virtual functions of function 0, see
 * "Virtual functions" below. EPC_REG_FN_COUNT does not include them, and the
 * sum of both is at most EPC_MAX_FUNCTIONS.
 */
#define EPC_REG_VF_COUNT            0x06c

/*
 * (ro) With EPC_FEATURE_TRAP: offset in EPC_BAR_REGS of the trap ring of
 * function 0, the distance between the rings of two functions, and the number
 * of records in each ring, which is a power of two. See "Trapped areas" below.
 */
#define EPC_REG_TRAP_BASE           0x070
#define EPC_REG_TRAP_STRIDE         0x074
#define EPC_REG_TRAP_SIZE           0x078

/*
 * (rw) With EPC_FEATURE_TRAP: a time in milliseconds, from 1 to half of
 * EPC_REG_DEADLINE, which it is at first. An access to a trapped area is
 * answered after that time at the latest. Other values are a bad access.
 */
#define EPC_REG_TRAP_DEADLINE       0x07c

#define EPC_GLOBAL_SIZE             0x1000

/* ---- Function page, at EPC_REG_FN_BASE + fn * EPC_REG_FN_STRIDE ---- */

/*
 * (rw) Command and (ro) status. The driver fills the argument registers, writes
 * the command and reads the status. The status may be EPC_STATUS_BUSY for
 * SET_BAR, SET_AREAS and CLEAR_BAR, which wait for a host that is attached, for
 * a MAP that traps, and for a MAP or UNMAP while hosts of other controllers
 * access the window. Then EPC_VECTOR_COMMAND is raised when the status changes.
 * A command that is written while the status is BUSY is ignored and counts as a
 * bad access.
 */
#define EPC_FN_CMD                  0x000
#define EPC_FN_STATUS               0x004

/*
 * SET_HEADER  Takes EPC_FN_ID, EPC_FN_CLASS, EPC_FN_SUBSYS and EPC_FN_INT_PIN.
 *             BAD_ARG: the vendor is 0xffff, or the pin above 4.
 *             BAD_STATE: the link is enabled.
 */
#define EPC_CMD_SET_HEADER          1
/*
 * SET_BAR     Takes EPC_FN_BAR, EPC_FN_BAR_FLAGS, EPC_FN_ADDR and EPC_FN_SIZE.
 *             The first call defines the BAR and its target. A later call has
 *             the same flags and a size that is not larger than the first one;
 *             it changes only the target, and the address that the host has
 *             assigned stays. The status is OK once no access of the host can
 *             reach the old target.
 *             The host sees at least 4 KiB, and the target must have as much.
 *             BAD_STATE: the first call, while the link is enabled.
 *             BAD_ARG: the index is above 5; a 64-bit BAR is number 5 or
 *             overlaps a BAR that is defined; the size is 0, no power of two,
 *             or above 2^40 (2^31 for a 32-bit BAR); the address is not aligned
 *             to EPC_REG_GRANULE; flags or size do not fit the first call.
 *             BAD_TARGET: the target is neither wholly in RAM of this guest
 *             (that of EPC_REG_TRAP_BASE is the controller's),
 *             nor wholly in EPC_BAR_DOORBELL of this controller, nor wholly in
 *             the outbound window of another controller of this guest, nor one
 *             of EPC_ADDR_NONE and EPC_ADDR_TRAP, and has no page of an ITS
 *             that EPC_FEATURE_ITS allows.
 */
#define EPC_CMD_SET_BAR             2
/*
 * CLEAR_BAR   Takes EPC_FN_BAR. The host reads all ones from it afterwards.
 *             While the link is enabled the BAR register itself stays. The
 *             status is OK for a BAR that is not defined.
 *             BAD_ARG: the index is above 5.
 */
#define EPC_CMD_CLEAR_BAR           3
/*
 * MAP         Takes EPC_FN_OFFSET, EPC_FN_ADDR and EPC_FN_SIZE, all multiples
 *             of EPC_REG_GRANULE. When the status is OK, window bytes [offset,
 *             offset + size) reach host PCI addresses [addr, addr + size). A
 *             map at the same offset is replaced.
 *             A map exists until UNMAP, REMOVE or EPC_REG_RESET. While the link
 *             is down, or the host does not allow DMA to all of it, its window
 *             bytes read all ones, as those without a map do. What is written
 *             to such bytes reaches no host, but may be read back from them,
 *             until a map shows host memory there. So a lost link is seen in
 *             EPC_REG_LINK, and not by reading the window.
 *             Some host memory cannot be mapped: it has no file, has huge
 *             pages, is read-only, is a device, or is translated at each
 *             access. There the window traps. Each message of an access may
 *             take up to EPC_REG_DEADLINE, and one that takes longer takes the
 *             link down.
 *             At most EPC_MAX_TRAPPED_MAPS such maps are live at once. If the
 *             host's memory map changes so that there would be more, a map in
 *             excess reads all ones. So does a map of which the host allows all
 *             again, when the maps together are scattered over too many places
 *             of its memory.
 *             BAD_ARG: a value is misaligned, the size is 0, the addresses
 *             wrap, the map is not inside the window, or it overlaps another
 *             map. BAD_ARG changes nothing.
 *             NO_LINK: the link is down.
 *             NO_SPACE: there are too many maps or too many that trap, or the
 *             map is scattered over too many places of the host's memory. Those
 *             are counted together with the maps of other controllers of this
 *             machine.
 *             NOT_MAPPED: the host does not allow DMA there, for example since
 *             Bus Master Enable is off.
 *             NOT_SHARED: the host allows DMA, but the memory cannot be mapped
 *             and the host takes no messages (a plain vfio-user client).
 *             IO: the operating system refused.
 *             After any error but BAD_ARG the map does not exist, and its
 *             window bytes read all ones.
 */
#define EPC_CMD_MAP                 4
#define EPC_MAX_TRAPPED_MAPS        64
/*
 * UNMAP       Takes EPC_FN_OFFSET of a MAP. OK also if there is no map. When
 *             the status is OK, no access of a host of another controller that
 *             was made before can reach what a later MAP puts there. Such
 *             accesses are carried out before the command, or dropped after
 *             EPC_REG_DEADLINE. The same holds for a MAP that replaces a map.
 */
#define EPC_CMD_UNMAP               5
/*
 * SET_MSI     Takes EPC_FN_COUNT: the number of vectors, 1 to 32, which is
 *             rounded up to a power of two; 0 removes the capability.
 *             BAD_STATE: the link is enabled.
 */
#define EPC_CMD_SET_MSI             6
/*
 * SET_MSIX    Takes EPC_FN_COUNT (1 to 2048 vectors; 0 removes the capability),
 *             EPC_FN_BAR (the BAR with table and PBA) and EPC_FN_OFFSET (of the
 *             table in the BAR, a multiple of 8; the PBA follows the table).
 *             BAD_STATE: the link is enabled. If table or PBA are not inside
 *             the BAR, START fails with BAD_ARG.
 */
#define EPC_CMD_SET_MSIX            7
/*
 * SET_AREAS   Takes EPC_FN_BAR, EPC_FN_COUNT and as many EPC_FN_AREA(n). They
 *             describe what is behind a BAR that is defined already: from its
 *             start, back to back. The rest of the BAR is EPC_AREA_NONE. The
 *             command retargets the BAR and completes like a later SET_BAR
 *             does; a SET_BAR after it replaces all areas.
 *             BAD_ARG: the BAR is not defined; the count is 0 or above
 *             EPC_MAX_AREAS; a size is 0 or no multiple of EPC_REG_GRANULE; an
 *             address is not aligned to it; a type is unknown; the areas are
 *             larger than the BAR.
 *             BAD_TARGET: as for SET_BAR. No error but TIMEOUT changes the BAR.
 */
#define EPC_CMD_SET_AREAS           8
/*
 * ADD_CAP     Takes EPC_FN_CAP_ID and EPC_FN_SIZE (bytes, including the header
 *             of the capability). Appends an empty capability to its list; its
 *             offset is in EPC_FN_CAP_OFFSET then. Only the length byte of a
 *             vendor-specific one (id 9) is filled in. An id may be added
 *             several times.
 *             BAD_STATE: the link is enabled. NO_SPACE: it does not fit.
 *             BAD_ARG: the size is below 4 (8 if extended) or above
 *             EPC_CAP_SIZE_MAX; the id is 0 or all ones; unknown bits of
 *             EPC_FN_CAP_ID are set; or the device provides the capability
 *             itself (power management, MSI, PCI Express and MSI-X; with
 *             EPC_FEATURE_VF also SR-IOV).
 */
#define EPC_CMD_ADD_CAP             9
/*
 * WRITE_CONFIG  Takes EPC_FN_OFFSET, EPC_FN_SIZE (1, 2 or 4; aligned),
 *             EPC_FN_VALUE and EPC_FN_WMASK. Sets the value of a register in an
 *             added capability, behind its header (id and next: 2 bytes,
 *             extended 4), and which of its bits the host may write. Allowed at
 *             any time. The host reads the new value at once, and again after a
 *             reset.
 *             BAD_ARG: wrong size or alignment, or not in an added capability.
 */
#define EPC_CMD_WRITE_CONFIG        10
/*
 * REMOVE      Forgets header, BARs, interrupts, maps and capabilities, as after
 *             power-up. Arguments, events, their mask and counters stay.
 *             BAD_STATE: the link is enabled.
 */
#define EPC_CMD_REMOVE              11
/*
 * ADD_DOE     Takes EPC_FN_VALUE. Appends a Data Object Exchange capability to
 *             the extended ones, with a mailbox (pci-epc-doe-regs.h) behind it.
 *             Its offset is in EPC_FN_CAP_OFFSET then. With EPC_DOE_IRQ the
 *             mailbox has the message interrupt whose number is in bits 10:0.
 *             BAD_STATE: the link is enabled, or the function has a mailbox.
 *             NO_SPACE: it does not fit. BAD_ARG: other bits are set.
 */
#define EPC_CMD_ADD_DOE             12

/* Values of every status register */
#define EPC_STATUS_OK               0
#define EPC_STATUS_BUSY             1
#define EPC_STATUS_BAD_CMD          2   /* no such command */
#define EPC_STATUS_BAD_ARG          3
#define EPC_STATUS_BAD_STATE        4
#define EPC_STATUS_BAD_TARGET       5   /* it cannot back a BAR */
#define EPC_STATUS_NO_SPACE         6
#define EPC_STATUS_NO_LINK          7
#define EPC_STATUS_NOT_MAPPED       8
#define EPC_STATUS_NOT_SHARED       9
#define EPC_STATUS_IO               10
/* The host did not answer, or its session ended: the link went down. */
#define EPC_STATUS_TIMEOUT          11

/* (rw) Arguments; a command never changes them. */
#define EPC_FN_BAR                  0x010   /* 0 to 5 */
#define EPC_FN_BAR_FLAGS            0x014
#define EPC_BAR_FLAG_64             (1u << 0)
#define EPC_BAR_FLAG_PREFETCH       (1u << 1)
/* (64) DMA address of the endpoint; for MAP a PCI address of the host */
#define EPC_FN_ADDR                 0x018
/* SET_BAR: the BAR has no target, so the host reads all ones */
#define EPC_ADDR_NONE               0xffffffffffffffffull
/* SET_BAR, and an area: software of the endpoint answers, see "Trapped areas" */
#define EPC_ADDR_TRAP               0xffffffffffff0000ull
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
/* (ro) Offset of the capability that the last successful ADD_CAP added */
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
#define EPC_AREA_TARGET             0           /* backed by EPC_AREA_ADDR */
#define EPC_AREA_NONE               1           /* all ones, writes are dropped */

/* (w1c) Events of this function and (rw) their mask, like EPC_REG_EVENT */
#define EPC_FN_EVENT                0x080
#define EPC_FN_EVENT_MASK           0x084
#define EPC_FN_EVENT_COMMAND        (1u << 0)   /* host changed the Command register */
#define EPC_FN_EVENT_MSI            (1u << 1)   /* host changed MSI or MSI-X state */
#define EPC_FN_EVENT_FLR            (1u << 2)   /* function level reset */
#define EPC_FN_EVENT_DSTATE         (1u << 3)   /* EPC_FN_DSTATE changed */
#define EPC_FN_EVENT_CONFIG         (1u << 4)   /* EPC_FN_WRITE_INFO is not empty */
#define EPC_FN_EVENT_VFS            (1u << 5)   /* EPC_FN_VFS changed */
#define EPC_FN_EVENT_DOE            (1u << 6)   /* EPC_FN_DOE_OBJECT became set */
#define EPC_FN_EVENT_ALL            0x7fu

/* (ro) What the host has set up now */
#define EPC_FN_PCI_COMMAND          0x088   /* Command register, 16 bits */
/* EPC_FN_IRQ_ENABLED, vectors enabled in 15:0 */
#define EPC_FN_MSI                  0x08c
/* EPC_FN_IRQ_ENABLED, _MASKED, table size in 15:0 */
#define EPC_FN_MSIX                 0x090
#define EPC_FN_IRQ_ENABLED          (1u << 31)
#define EPC_FN_IRQ_MASKED           (1u << 30)  /* MSI-X function mask */
#define EPC_FN_DSTATE               0x094   /* 0 D0 to 3 D3hot */

/* (ro) Raises that were not delivered since the last reset, modulo 2^32 */
#define EPC_FN_RAISE_DROPPED        0x098

/*
 * (ro) Writes of the host to a BAR that were dropped since the last reset,
 * modulo 2^32: to EPC_AREA_NONE, to a doorbell that is not enabled, to a
 * trapped area without a record (see "Trapped areas"), or to a virtual function
 * that is not enabled. A write of which a part is dropped counts once.
 * Writes that the host itself dropped are not included.
 */
#define EPC_FN_INBOUND_DROPPED      0x09c

/*
 * The log of the host's writes to added capabilities (ADD_CAP), behind their
 * headers. Up to EPC_FN_WRITES_MAX writes are kept.
 *
 * INFO (ro)   The oldest write: its offset in 11:0, its size of 1, 2 or 4
 *             aligned bytes in 18:16, EPC_WRITE_VALID, and EPC_WRITE_LOST if
 *             later writes were dropped after it. Zero when the log is empty.
 * VALUE (ro)  The bytes of the write that INFO has returned last, before the
 *             mask was applied.
 * NEXT (wo)   Writing any value removes that write.
 *
 * A reset of the function by the host and the end of the link empty the log.
 */
#define EPC_FN_WRITE_INFO           0x0a0
#define EPC_FN_WRITE_VALUE          0x0a4
#define EPC_FN_WRITE_NEXT           0x0a8
#define EPC_WRITE_LOST              (1u << 30)
#define EPC_WRITE_VALID             (1u << 31)
#define EPC_FN_WRITES_MAX           64

/*
 * (ro) Only of function 0, with EPC_FEATURE_VF: what the host has set up in the
 * SR-IOV capability. NUM in 15:0 is zero while ENABLE is not set.
 */
#define EPC_FN_VFS                  0x0ac
#define EPC_FN_VFS_ENABLE           (1u << 31)  /* VF Enable */
#define EPC_FN_VFS_MEMORY           (1u << 30)  /* VF MSE */
#define EPC_FN_VFS_NUM_MASK         0xffffu

/*
 * With EPC_FEATURE_TRAP: the trap ring of the function, see "Trapped areas".
 *
 * CTRL (rw)      ENABLE from 0 to 1: both indices become 0 and all records
 *                become zero. From 1 to 0: what is held is answered.
 * VECTOR (rw)    The MSI-X vector that the ring raises, EPC_VECTOR_TRAP(n) at
 *                first. Values from EPC_VECTORS on are a bad access.
 * PRODUCER (ro)  Number of records that the device has added, modulo 2^32.
 * CONSUMER (rw)  Number of records that the driver has consumed, modulo 2^32.
 *                A value below the last one or above PRODUCER is a bad access.
 * POSTED, READS (ro)  Records of writes and of reads since the last reset of
 *                the controller, modulo 2^32.
 * EXPIRED (ro)   Accesses that were answered because of EPC_REG_TRAP_DEADLINE,
 *                modulo 2^32.
 * LONGEST (ro)   The longest time for which a read was held, in microseconds.
 */
#define EPC_FN_TRAP_CTRL            0x0b0
#define EPC_FN_TRAP_ENABLE          (1u << 0)
#define EPC_FN_TRAP_VECTOR          0x0b4
#define EPC_FN_TRAP_PRODUCER        0x0b8
#define EPC_FN_TRAP_CONSUMER        0x0bc
#define EPC_FN_TRAP_POSTED          0x0c0
#define EPC_FN_TRAP_READS           0x0c4
#define EPC_FN_TRAP_EXPIRED         0x0c8
#define EPC_FN_TRAP_LONGEST         0x0cc

/*
 * (ro) With EPC_FEATURE_MASKS: a bit for each vector that the host has masked,
 * whether it has enabled the interrupt or not. All vectors of MSI-X are masked
 * after a reset. A host whose QEMU does not tell its masks of MSI-X seems to
 * have none masked. Bits of vectors that do not exist have no meaning.
 * EPC_FN_EVENT_MSI reports changes.
 */
#define EPC_FN_MSI_MASK             0x0d0
#define EPC_FN_MSIX_MASK(n)         (0x100 + 4 * (n))   /* vectors from 32 * n */
#define EPC_FN_MSIX_MASKS           64

/* From 0x200 on: the DOE mailbox, see pci-epc-doe-regs.h */

/*
 * (ro) Configuration space of the function as the host reads it. Reads have 1,
 * 2 or 4 aligned bytes.
 */
#define EPC_FN_CONFIG               0x1000
#define EPC_FN_CONFIG_SIZE          0x1000

/*
 * Raise area, at EPC_REG_RAISE_BASE + fn * EPC_REG_RAISE_STRIDE
 *
 * (wo) A write raises the interrupt. The value matters for INTx only. Earlier
 * stores of the same vCPU to the window are visible to the host before the
 * interrupt. A write for a message that the host has not enabled, or outside of
 * D0, is dropped and counts in EPC_FN_RAISE_DROPPED. A vector that the host has
 * masked becomes pending.
 *
 * INTx is a level. The device keeps it until the endpoint changes it, a reset
 * clears it, or the link goes down. The function asserts its pin while the
 * level is 1, the function is in D0, and the host has set none of Interrupt
 * Disable, MSI Enable and MSI-X Enable. So an assertion that the host holds
 * back arrives when the host allows it. Interrupt Status of the Status register
 * is that condition without Interrupt Disable. An assertion is dropped, and
 * counts, while the link is down, from STOP on, and without an interrupt pin.
 */
#define EPC_RAISE_MSIX(n)           (0x0000 + 4 * (n))  /* n: 0 to 2047 */
#define EPC_RAISE_MSI(n)            (0x2000 + 4 * (n))  /* n: 0 to 31 */
#define EPC_RAISE_INTX              0x3000              /* 1 assert, 0 deassert */
#define EPC_RAISE_SIZE              0x4000

/*
 * Trapped areas
 *
 * Software of the endpoint answers an access of the host to a BAR or area whose
 * address is EPC_ADDR_TRAP. Each function has a ring of EPC_REG_TRAP_SIZE records, which
 * is memory of the device. Record i is at index i modulo EPC_REG_TRAP_SIZE. The
 * device adds a record for each access, in the order in which the accesses
 * came, and raises the vector of the ring. SEQUENCE of record i becomes i + 1
 * when the rest of it is there.
 *
 * A write is posted: the host goes on when the record is in the ring. A read is
 * held. The driver stores its result in VALUE, and writes CONSUMER when it has
 * done with this record and all before it. Then the host gets the lower BYTES
 * of VALUE. Thus a read never passes a write of the same function.
 *
 * While the ring is full accesses wait for room. EPC_REG_TRAP_DEADLINE after an
 * access came, a read gets all ones, also if its record is in the ring, and a
 * write that waits for room is dropped. The link stays up. What the driver
 * stores for such a read later is ignored.
 *
 * When the host resets the function or is lost, reads get all ones and writes
 * that wait for room are dropped. The device then adds a record of type
 * EPC_TRAP_RESET. So a driver finds what the host did before the reset before
 * that record, and what it does later after it.
 *
 * An access that is not of 1, 2, 4 or 8 bytes, or not naturally aligned, and
 * any access while the ring is disabled, reads all ones or is dropped at once.
 */
#define EPC_TRAP_OFFSET             0x00    /* 64 bits; in the BAR */
#define EPC_TRAP_VALUE              0x08    /* 64 bits */
#define EPC_TRAP_INFO               0x10
#define EPC_TRAP_TYPE_MASK          0xffu
#define EPC_TRAP_READ               1
#define EPC_TRAP_WRITE              2
#define EPC_TRAP_RESET              3       /* has no BAR, OFFSET, BYTES, VALUE */
#define EPC_TRAP_BAR_SHIFT          8       /* 8 bits */
#define EPC_TRAP_BYTES_SHIFT        16      /* 8 bits */
#define EPC_TRAP_SEQUENCE           0x14
#define EPC_TRAP_RECORD_SIZE        32

/*
 * Virtual functions (SR-IOV)
 *
 * Virtual function k, from 1 to EPC_REG_VF_COUNT, belongs to function 0. Its
 * function number is EPC_REG_FN_COUNT + k - 1: it selects the page and the
 * raise area, and it is used in descriptors and in EPC_REG_FN_PENDING. For the
 * host that number means First VF Offset EPC_REG_FN_COUNT and VF Stride 1.
 *
 * With EPC_FEATURE_VF function 0 has the SR-IOV capability at 0x100, as its
 * first extended one. TotalVFs is EPC_REG_VF_COUNT if virtual function 1 has a
 * header at START. Otherwise it is 0 and no virtual function is shown.
 *
 * The page of a virtual function is used like that of a function, but:
 *
 * SET_HEADER  Only virtual function 1 takes it, for all of them; the others
 *             return BAD_ARG. The vendor is that of function 0, and there is no
 *             INTx: the vendor in EPC_FN_ID and EPC_FN_INT_PIN are ignored.
 * SET_BAR     Sets the VF BAR of that number. START returns BAD_ARG if two
 *             virtual functions have defined it with different flags or sizes
 *             (as the host sees them). For those that have not defined it, it
 *             is EPC_AREA_NONE.
 *
 * The host enables the first NumVFs of them by VF Enable. A virtual function
 * that is not enabled is as after a reset, may not master the bus, and reads
 * all ones for the host. EPC_FN_PCI_COMMAND of a virtual function has the bus
 * master bit that the host wrote. Its memory space bit is VF MSE while the
 * function is enabled. EPC_FN_EVENT_COMMAND reports that either has changed. A
 * reset of function 0, also an FLR, clears VF Enable.
 */
#define EPC_MAX_MSI                 32
#define EPC_MAX_MSIX                2048

#endif /* HW_PCI_EP_PCI_EPC_REGS_H */
