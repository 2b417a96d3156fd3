/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Endpoint function of the benchmark
 *
 * epf-bench-main.c  the framework's side
 * epf-bench-run.c   measurements
 * epf-bench-dma.c   measurements of the DMA engine
 * epf-bench-bell.c  doorbells, which the host measures
 */
#ifndef EPF_BENCH_H
#define EPF_BENCH_H

#include <linux/mutex.h>
#include <linux/pci-epc.h>
#include <linux/pci-epf.h>

#include "pci-ep-bench.h"

#define BENCH_MAX_CHANNELS	8

/**
 * struct bench_args - arguments of a measurement
 * @size: bytes of a copy; the measurement "map" takes it as a number of maps
 * @loops: repetitions in a sample
 * @samples: number of samples
 * @channels: number of DMA channels
 */
struct bench_args {
	size_t size;
	unsigned int loops;
	unsigned int samples;
	unsigned int channels;
};

/**
 * struct epf_bench - one function
 * @epf: its endpoint function
 * @data: memory behind BENCH_BAR_DATA
 * @page: memory behind BENCH_BAR_PAGE
 * @bell_bar: BENCH_BAR_BELL; only with the first function
 * @lock: serialises measurements; protects the members below
 * @space: allocation that contains @local
 * @local: buffer of the endpoint for copies
 * @raise: register that raises vector 0 of this function
 * @ivshmem: device of the yardstick for interrupts; NULL if there is none or
 *	another function has it
 * @ivshmem_regs: registers of @ivshmem
 * @ivshmem_page: shared memory of @ivshmem
 * @samples: number of results
 * @result: ns of the measurement and ns of its yardstick, 0 without one
 */
struct epf_bench {
	struct pci_epf *epf;
	void *data;
	struct bench_page *page;
	struct pci_epf_bar bell_bar;

	struct mutex lock;	/* members below */
	void *space;
	void *local;
	void __iomem *raise;
	struct pci_dev *ivshmem;
	void __iomem *ivshmem_regs;
	struct bench_page __iomem *ivshmem_page;
	unsigned int samples;
	u64 result[BENCH_MAX_SAMPLES][2];
};

/* The first function has the doorbell and the ivshmem-doorbell device. */
static inline bool epf_bench_first(struct epf_bench *b)
{
	return !b->epf->func_no;
}

/* epf-bench-run.c */
int epf_bench_run_init(struct epf_bench *b);
void epf_bench_run_exit(struct epf_bench *b);
/* Bus address of BENCH_HOST_SIZE bytes of the host, 0 while it is not ready */
u64 epf_bench_host_addr(struct epf_bench *b);

/* epf-bench-dma.c */
int epf_bench_dma_read(struct epf_bench *b, const struct bench_args *a);
int epf_bench_dma_write(struct epf_bench *b, const struct bench_args *a);

/* epf-bench-bell.c */
int epf_bench_bell_init(struct epf_bench *b);
void epf_bench_bell_exit(struct epf_bench *b);

#endif /* EPF_BENCH_H */
