/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Endpoint function of the benchmark
 *
 * -main.c  the function as the endpoint framework sees it
 * -run.c   what is measured
 * -dma.c   the same for the DMA engine
 * -bell.c  doorbells, which the host measures
 */
#ifndef EPF_BENCH_H
#define EPF_BENCH_H

#include <linux/mutex.h>
#include <linux/pci-epc.h>
#include <linux/pci-epf.h>

#include "pci-ep-bench.h"

#define BENCH_MAX_CHANNELS	8

/**
 * struct bench_args - what to measure
 * @size: bytes of a copy, or what a measurement takes it for
 * @loops: how often in a sample
 * @samples: how many samples
 * @channels: how many DMA channels take part
 */
struct bench_args {
	size_t size;
	unsigned int loops;
	unsigned int samples;
	unsigned int channels;
};

/**
 * struct epf_bench - a function
 * @epf: its endpoint function
 * @data: memory behind BENCH_BAR_DATA
 * @page: memory behind BENCH_BAR_PAGE
 * @bell_bar: BENCH_BAR_BELL; only with the first function
 * @lock: one measurement at a time
 * @space: memory for @local
 * @local: other end of copies
 * @raise: register that raises vector 0 of this function
 * @ivshmem: device of the yardstick for interrupts, NULL when there is none or
 *	another function has it
 * @ivshmem_regs: its registers
 * @ivshmem_page: its memory
 * @samples: number of results
 * @result: ns of the thing measured and of its yardstick, 0 without one
 */
struct epf_bench {
	struct pci_epf *epf;
	void *data;
	struct bench_page *page;
	struct pci_epf_bar bell_bar;

	struct mutex lock;	/* all below */
	void *space;
	void *local;
	void __iomem *raise;
	struct pci_dev *ivshmem;
	void __iomem *ivshmem_regs;
	struct bench_page __iomem *ivshmem_page;
	unsigned int samples;
	u64 result[BENCH_MAX_SAMPLES][2];
};

/* Doorbells and ivshmem-doorbell are there once. */
static inline bool epf_bench_first(struct epf_bench *b)
{
	return !b->epf->func_no;
}

/* epf-bench-run.c */
int epf_bench_run_init(struct epf_bench *b);
void epf_bench_run_exit(struct epf_bench *b);
/* Of BENCH_HOST_SIZE bytes; 0: the host is not ready */
u64 epf_bench_host_addr(struct epf_bench *b);

/* epf-bench-dma.c */
int epf_bench_dma_read(struct epf_bench *b, const struct bench_args *a);
int epf_bench_dma_write(struct epf_bench *b, const struct bench_args *a);

/* epf-bench-bell.c */
int epf_bench_bell_init(struct epf_bench *b);
void epf_bench_bell_exit(struct epf_bench *b);

#endif /* EPF_BENCH_H */
