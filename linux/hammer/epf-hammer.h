/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Endpoint function of the load test
 *
 * epf-hammer-main.c  the framework's side, and the run
 * epf-hammer-copy.c  copies to and from the host, through the window and by DMA
 * epf-hammer-bar.c   BAR 0 and its targets, and interrupts
 */
#ifndef EPF_HAMMER_H
#define EPF_HAMMER_H

#include <linux/mutex.h>
#include <linux/pci-epc.h>
#include <linux/pci-epf.h>
#include <linux/workqueue.h>

#include "pci-ep-hammer.h"

#define HAMMER_COPIERS	4
#define HAMMER_TARGETS	3

/**
 * enum hammer_count - counts of a run
 * @HAMMER_CPU: copies through the window
 * @HAMMER_DMA: copies by DMA
 * @HAMMER_KIB: KiB of both kinds of copies
 * @HAMMER_MAPS: maps that were held for longer than a copy
 * @HAMMER_RETARGETS: changes of the target of BAR 0
 * @HAMMER_WRITES: words that the host wrote to BAR 0
 * @HAMMER_IRQS: interrupts that the host has counted
 * @HAMMER_COUNTS: number of counts
 */
enum hammer_count {
	HAMMER_CPU,
	HAMMER_DMA,
	HAMMER_KIB,
	HAMMER_MAPS,
	HAMMER_RETARGETS,
	HAMMER_WRITES,
	HAMMER_IRQS,
	HAMMER_COUNTS
};

/**
 * struct epf_hammer - the function, of which there is one
 * @epf: its endpoint function
 * @page: memory behind HAMMER_BAR_PAGE
 * @target: memory that is the target of HAMMER_BAR_TARGET in turn
 * @target_addr: DMA addresses of @target
 * @target_used: the memory was the target before, and is full of HAMMER_OLD now
 * @current_target: index of the current target
 * @epoch: epoch of the current target
 * @lock: serialises runs; protects @copiers
 * @wq: queue of the copiers, @bar_work and @irq_work
 * @copiers: one for each slice of the host's memory
 * @bar_work: changes the target of BAR 0
 * @irq_work: raises interrupts
 * @stop: the run has ended or failed
 * @failed: first error of the run
 * @count: see &enum hammer_count
 */
struct epf_hammer {
	struct pci_epf *epf;
	struct hammer_page *page;
	void *target[HAMMER_TARGETS];
	dma_addr_t target_addr[HAMMER_TARGETS];
	bool target_used[HAMMER_TARGETS];
	unsigned int current_target;
	u32 epoch;

	struct mutex lock;	/* one run at a time */
	struct workqueue_struct *wq;
	struct hammer_copier *copiers[HAMMER_COPIERS];
	struct work_struct bar_work;
	struct work_struct irq_work;
	bool stop;
	atomic_t failed;
	atomic64_t count[HAMMER_COUNTS];
};

static inline bool hammer_goes_on(struct epf_hammer *h)
{
	return !READ_ONCE(h->stop);
}

static inline void hammer_add(struct epf_hammer *h, enum hammer_count what,
			      u64 n)
{
	atomic64_add(n, &h->count[what]);
}

/* epf-hammer-main.c */
__printf(3, 4)
void hammer_fail(struct epf_hammer *h, int err, const char *fmt, ...);

/* epf-hammer-copy.c */
struct hammer_copier *hammer_copier_new(struct epf_hammer *h, unsigned int n);
void hammer_copier_start(struct hammer_copier *c);
void hammer_copier_free(struct hammer_copier *c);

/* epf-hammer-bar.c */
int hammer_bar_init(struct epf_hammer *h,
		    const struct pci_epc_features *features);
void hammer_bar_exit(struct epf_hammer *h);
void hammer_bar_run(struct work_struct *work);
void hammer_irq_run(struct work_struct *work);

#endif /* EPF_HAMMER_H */
