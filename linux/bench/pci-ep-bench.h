/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Contract between the two modules of the benchmark
 *
 * The function has four BARs: 0 is memory to copy to and from, 2 has struct
 * bench_page, 4 has the MSI-X table, the target of 5 is the doorbell.  Of
 * several functions only the first has BAR 5.  The yardstick for interrupts is
 * an ivshmem-doorbell device, whose shared memory begins with a struct
 * bench_page, too.
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
 * struct bench_page - memory that both modules use
 * @ready: written by the host: BENCH_READY when @host_addr or @position is
 *	valid
 * @acks: written by the host: number of its interrupts
 * @host_addr: written by the host: DMA address of BENCH_HOST_SIZE bytes; not
 *	with ivshmem
 * @position: written by the host: its ivshmem position; only with ivshmem
 * @bell_ready: written by the endpoint: BENCH_READY when the members below are
 *	valid
 * @bell_acks: written by the endpoint: number of its interrupts
 * @bell_offset: written by the endpoint: offset of the doorbell in
 *	IVSHMEM_BAR_REGS or BENCH_BAR_BELL
 * @bell_value: written by the endpoint: value that the host writes to the
 *	doorbell
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
