/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What both sides of the test of pci_epc_ext_dma_rw() know
 */
#ifndef DMA_TEST_H
#define DMA_TEST_H

#include <linux/sizes.h>
#include <linux/types.h>

/* That of pci-epf-trap-test, which has no driver in the host */
#define DMA_TEST_DEVICE		0x10fd
/* Bytes of the buffer in the host */
#define DMA_TEST_SIZE		SZ_1M

/**
 * struct dma_test_ping - what the host has at the beginning of its buffer
 * @number: number of the ping, written before its interrupt is raised
 * @answer: number of the last ping whose interrupt the host has handled
 */
struct dma_test_ping {
	u32 number;
	u32 answer;
};

/* Byte @i of a pattern; patterns of different seeds are different. */
static inline u8 dma_test_byte(u32 seed, size_t i)
{
	u32 x = (seed + 1) * 0x9e3779b1 + (u32)i * 0x85ebca6b;

	return x >> 24;
}

static inline void dma_test_fill(u8 *buf, size_t len, u32 seed, size_t from)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = dma_test_byte(seed, from + i);
}

/* Returns the index of the first byte that is wrong, or @len. */
static inline size_t dma_test_check(const u8 *buf, size_t len, u32 seed,
				    size_t from)
{
	size_t i;

	for (i = 0; i < len && buf[i] == dma_test_byte(seed, from + i); i++)
		;
	return i;
}

#endif /* DMA_TEST_H */
