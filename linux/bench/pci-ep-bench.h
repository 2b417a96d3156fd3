/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the two modules of the benchmark agree on
 *
 * The function has four BARs: 0 is plain memory to copy to and from, 2 holds
 * struct bench_page, 4 holds the MSI-X table, 5 leads to the doorbell.  The
 * latter only the first function has, when there are several.  The shared
 * memory of an ivshmem-doorbell device, the yardstick for interrupts, begins with
 * a struct bench_page too.
 */
#ifndef PCI_EP_BENCH_H
#define PCI_EP_BENCH_H

#include <linux/sizes.h>
#include <linux/types.h>

#define BENCH_VENDOR		0x1af4
#define BENCH_DEVICE		0x10ff
#define BENCH_IVSHMEM		0x1110

#define BENCH_BAR_DATA		0
#define BENCH_BAR_PAGE		2
#define BENCH_BAR_MSIX		4
#define BENCH_BAR_BELL		5

#define BENCH_DATA_SIZE		SZ_16M
#define BENCH_HOST_SIZE		SZ_16M

/* Registers and shared memory of ivshmem-doorbell */
#define IVSHMEM_BAR_REGS	0
#define IVSHMEM_BAR_MEMORY	2
#define IVSHMEM_POSITION	8
#define IVSHMEM_DOORBELL	12

#define BENCH_READY		0x42454e43
#define BENCH_MAX_SAMPLES	512
#define BENCH_TIMEOUT_NS	NSEC_PER_SEC

/**
 * struct bench_page - what each side tells the other
 * @ready: BENCH_READY when the rest that the host writes is valid
 * @acks: interrupts the host has seen
 * @host_addr: DMA address of BENCH_HOST_SIZE bytes; not with ivshmem
 * @position: whom the endpoint rings; only with ivshmem
 * @bell_ready: BENCH_READY when what follows is valid; the endpoint writes it
 * @bell_acks: interrupts the endpoint has seen
 * @bell_offset: of the register that the host rings, in IVSHMEM_BAR_REGS or
 *	BENCH_BAR_BELL
 * @bell_value: what the host writes there
 */
struct bench_page {
	__le32 ready;
	__le32 acks;
	__le64 host_addr;
	__le32 position;
	__le32 bell_ready;
	__le32 bell_acks;
	__le32 bell_offset;
	__le32 bell_value;
};

#endif /* PCI_EP_BENCH_H */
