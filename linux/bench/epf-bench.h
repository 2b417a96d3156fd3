/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Endpoint function of the benchmark
 *
 * -main.c  the function as the endpoint framework sees it
 * -run.c   what is measured
 */
#ifndef EPF_BENCH_H
#define EPF_BENCH_H

#include <linux/mutex.h>
#include <linux/pci-epc.h>
#include <linux/pci-epf.h>

#include "pci-ep-bench.h"

#define BENCH_MAX_SAMPLES	512

/**
 * struct epf_bench - the one function
 * @epf: its endpoint function
 * @data: memory behind BENCH_BAR_DATA
 * @page: memory behind BENCH_BAR_PAGE
 * @lock: one measurement at a time
 * @space: memory for @local
 * @local: other end of copies
 * @raise: register that raises vector 0 of this function
 * @ivshmem: device of the yardstick for interrupts, NULL when there is none
 * @ivshmem_regs: its registers
 * @ivshmem_page: its memory
 * @samples: number of results
 * @result: ns of the thing measured and of its yardstick, 0 without one
 */
struct epf_bench {
	struct pci_epf *epf;
	void *data;
	struct bench_page *page;

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

/* epf-bench-run.c */
int epf_bench_run_init(struct epf_bench *b);
void epf_bench_run_exit(struct epf_bench *b);

#endif /* EPF_BENCH_H */
