/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Endpoint function of the load test
 *
 * -main.c  the function as the endpoint framework sees it, and the run
 * -copy.c  copies to and from the host, through the window and by DMA
 * -bar.c   BAR 0 and its targets, and the interrupts
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
 * enum hammer_count - what is counted
 * @HAMMER_CPU: copies through the window
 * @HAMMER_DMA: copies by DMA
 * @HAMMER_KIB: KiB of both
 * @HAMMER_MAPS: maps that were made for longer than a copy
 * @HAMMER_RETARGETS: changes of BAR 0
 * @HAMMER_WRITES: words that the host wrote to it
 * @HAMMER_IRQS: interrupts that the host has counted
 * @HAMMER_COUNTS: how many there are
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
 * struct epf_hammer - the one function
 * @epf: its endpoint function
 * @page: memory behind HAMMER_BAR_PAGE
 * @target: memory that HAMMER_BAR_TARGET shows in turn
 * @target_addr: where that is for the controller
 * @target_used: it was shown, and is full of HAMMER_OLD now
 * @current_target: the one that is shown
 * @epoch: the one that is shown
 * @lock: one run at a time
 * @wq: runs the copiers, @bar_work and @irq_work
 * @copiers: one for each slice of the host's memory
 * @bar_work: changes BAR 0
 * @irq_work: raises interrupts
 * @stop: the run is over, or failed
 * @failed: first error
 * @count: see enum hammer_count
 */
struct epf_hammer {
	struct pci_epf *epf;
	struct hammer_page *page;
	void *target[HAMMER_TARGETS];
	dma_addr_t target_addr[HAMMER_TARGETS];
	bool target_used[HAMMER_TARGETS];
	unsigned int current_target;
	u32 epoch;

	struct mutex lock;	/* all below */
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
