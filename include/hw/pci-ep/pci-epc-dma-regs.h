/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc: registers and descriptors of the DMA channels
 *
 * This is a part of pci-epc-regs.h, which has terms and access rules.
 */
#ifndef HW_PCI_EP_PCI_EPC_DMA_REGS_H
#define HW_PCI_EP_PCI_EPC_DMA_REGS_H

/*
 * Page of a DMA channel, at EPC_REG_DMA_BASE + n * EPC_REG_DMA_STRIDE
 *
 * A channel copies between memory of the endpoint and of the host, or within
 * either of them. It carries out descriptors, which are in a ring in memory of
 * the endpoint, one after the other. Channels do not depend on each other, and
 * get equal shares of time.
 */

/*
 * (rw) The ring has EPC_DMA_SIZE descriptors at DMA address EPC_DMA_RING (64)
 * of the endpoint, a multiple of EPC_DMA_DESC_SIZE. Writing these registers
 * while the channel is enabled is a bad access.
 */
#define EPC_DMA_RING                0x000
#define EPC_DMA_SIZE                0x008   /* power of two */
#define EPC_DMA_SIZE_MIN            2
#define EPC_DMA_SIZE_MAX            4096

/*
 * (rw) Control. Writing other bits is a bad access.
 *
 * ENABLE  From 0 to 1: both indices become 0 and the channel runs. If ring or
 *         size are out of range, EPC_DMA_STATE has ERROR instead.
 *         From 1 to 0: the channel forgets its work. From then on it accesses
 *         memory of the endpoint for that work only while EPC_DMA_STATE_BUSY is
 *         set, and memory of the host only while that or EPC_DMA_STATE_MESSAGE
 *         is set. It may be enabled again before.
 * ABORT   (wo) Together with ENABLE: descriptors up to the present producer
 *         index that are not done yet end with EPC_DMA_ABORTED. The channel
 *         stays enabled.
 */
#define EPC_DMA_CTRL                0x00c
#define EPC_DMA_CTRL_ENABLE         (1u << 0)
#define EPC_DMA_CTRL_ABORT          (1u << 1)

/* (ro) State */
#define EPC_DMA_STATE               0x010
#define EPC_DMA_STATE_ENABLED       (1u << 0)
/* The ring is out of range or not RAM. The channel stops until it is disabled. */
#define EPC_DMA_STATE_ERROR         (1u << 1)
/*
 * A message to the host is under way for this channel. It takes at most twice
 * EPC_REG_DEADLINE, and it may belong to work from before the channel was
 * disabled.
 */
#define EPC_DMA_STATE_MESSAGE       (1u << 2)
/*
 * A piece of a copy is under way for this channel that belongs to work from
 * before the channel was disabled last. The write that disables the channel
 * waits a millisecond for its end, which is more than enough, unless a host is
 * taking the memory in question out of its file. That host decides how long the
 * piece takes, so a driver waits with a deadline of its own. EPC_REG_RESET
 * disables channels likewise.
 */
#define EPC_DMA_STATE_BUSY          (1u << 3)

/*
 * (rw) Producer and (ro) consumer index. Both count descriptors, modulo 2^32,
 * and descriptor i is at index i modulo EPC_DMA_SIZE of the ring. The driver
 * owns the descriptors from producer up to consumer + EPC_DMA_SIZE. Writing the
 * producer index starts the work. It is a bad access if the value is more than
 * EPC_DMA_SIZE ahead of the consumer index or behind the last value, or if the
 * channel does not run.
 */
#define EPC_DMA_PRODUCER            0x014
#define EPC_DMA_CONSUMER            0x018

/*
 * (rw) The MSI-X vector of this device that the channel raises,
 * EPC_VECTOR_DMA(n) at first, and its coalescing. The vector is raised
 *  - when EPC_DMA_IRQ_COUNT descriptors that ask for it are done (0 means 1);
 *  - EPC_DMA_IRQ_USEC microseconds after the first of them, or if that is 0 when
 *    there is no more work;
 *  - when a descriptor fails;
 *  - when the channel stops with EPC_DMA_STATE_ERROR.
 */
#define EPC_DMA_VECTOR              0x01c   /* below EPC_VECTORS */
#define EPC_DMA_IRQ_COUNT           0x020   /* up to EPC_DMA_SIZE_MAX */
#define EPC_DMA_IRQ_USEC            0x024   /* up to EPC_DMA_IRQ_USEC_MAX */
#define EPC_DMA_IRQ_USEC_MAX        1000000

#define EPC_DMA_PAGE_SIZE           0x1000

/*
 * A descriptor is little endian and has EPC_DMA_DESC_SIZE bytes. The driver
 * sets STATUS to EPC_DMA_PENDING before it moves the producer index. The device
 * writes DONE no later than STATUS, and then moves the consumer index.
 */
#define EPC_DMA_DESC_SRC            0x00    /* 64 bits */
#define EPC_DMA_DESC_DST            0x08    /* 64 bits */
#define EPC_DMA_DESC_LENGTH         0x10    /* bytes; 0 completes with EPC_DMA_OK */
#define EPC_DMA_DESC_FLAGS          0x14
#define EPC_DMA_DESC_STATUS         0x18
#define EPC_DMA_DESC_DONE           0x1c    /* bytes that were copied */
#define EPC_DMA_DESC_SIZE           32

/* Flags; all other bits are zero. */
#define EPC_DMA_SRC_HOST            (1u << 0)   /* host PCI, else endpoint DMA */
#define EPC_DMA_DST_HOST            (1u << 1)
#define EPC_DMA_IRQ                 (1u << 2)   /* counts for the interrupt */
/* The next descriptor continues this one, and fails if this one fails. */
#define EPC_DMA_CHAIN               (1u << 3)
/*
 * With EPC_FEATURE_DMA_LATE. Counts for the interrupt unless the device ends the
 * descriptor within a write of EPC_DMA_PRODUCER. It does so with short copies
 * when it can. The driver looks at the ring after each such write.
 */
#define EPC_DMA_IRQ_LATE            (1u << 4)
/* Function number that a host address belongs to */
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
#define EPC_DMA_NOT_SHARED          6   /* as EPC_STATUS_NOT_SHARED */
#define EPC_DMA_IO                  7   /* the host failed to answer, or refused */
#define EPC_DMA_ABORTED             8

#endif /* HW_PCI_EP_PCI_EPC_DMA_REGS_H */
