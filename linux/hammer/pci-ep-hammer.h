/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Contract between the two modules of the load test
 *
 * The target of BAR 0 changes all the time.  The endpoint fills a new target
 * with its epoch before the host can see it, and an old one with HAMMER_OLD
 * when set_bar() has returned.  The host reads the lower half of the BAR and
 * writes to the upper half.  BAR 2 has struct hammer_page, BAR 4 has the MSI-X
 * table.
 */
#ifndef PCI_EP_HAMMER_H
#define PCI_EP_HAMMER_H

#include <linux/sizes.h>
#include <linux/types.h>

#define HAMMER_VENDOR		0x1af4
#define HAMMER_DEVICE		0x10fe

#define HAMMER_BAR_TARGET	0
#define HAMMER_BAR_PAGE		2
#define HAMMER_BAR_MSIX		4

#define HAMMER_TARGET_SIZE	SZ_64K
#define HAMMER_HOST_SIZE	SZ_16M
#define HAMMER_VECTORS		8

#define HAMMER_READY		0x48414d52
#define HAMMER_OLD		0xdeadbeef
#define HAMMER_WRITTEN		0x57575757

/**
 * struct hammer_page - memory of the endpoint that both modules use
 * @ready: written by the host: HAMMER_READY when @host_addr is valid
 * @run: written by the endpoint: 1 while the host shall use BAR 0
 * @host_addr: written by the host: DMA address of HAMMER_HOST_SIZE bytes
 * @epoch: written by the endpoint: BAR 0 shows this epoch or a newer one
 * @irqs: written by the host: number of interrupts of each vector
 */
struct hammer_page {
	__le32 ready;
	__le32 run;
	__le64 host_addr;
	__le32 epoch;
	__le32 irqs[HAMMER_VECTORS];
};

#endif /* PCI_EP_HAMMER_H */
