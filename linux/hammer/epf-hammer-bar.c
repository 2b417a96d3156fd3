// SPDX-License-Identifier: GPL-2.0
/*
 * BAR 0, whose target changes all the time, and interrupts
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/pci.h>
#include <linux/string.h>

#include "epf-hammer.h"

#define HAMMER_TARGET_WORDS	(HAMMER_TARGET_SIZE / sizeof(u32))
#define HAMMER_IRQ_TIMEOUT_MS	5000

int hammer_bar_init(struct epf_hammer *h,
		    const struct pci_epc_features *features)
{
	struct pci_epf_bar *bar = &h->epf->bar[HAMMER_BAR_TARGET];
	struct device *dev = h->epf->epc->dev.parent;
	unsigned int i;

	h->target[0] = pci_epf_alloc_space(h->epf, HAMMER_TARGET_SIZE,
					   HAMMER_BAR_TARGET, features,
					   PRIMARY_INTERFACE);
	if (!h->target[0])
		return -ENOMEM;
	h->target_addr[0] = bar->phys_addr;
	memset32(h->target[0], 0, HAMMER_TARGET_WORDS);
	for (i = 1; i < HAMMER_TARGETS; i++) {
		h->target[i] = dma_alloc_coherent(dev, HAMMER_TARGET_SIZE,
						  &h->target_addr[i],
						  GFP_KERNEL);
		if (!h->target[i])
			return -ENOMEM;
	}
	return 0;
}

void hammer_bar_exit(struct epf_hammer *h)
{
	struct pci_epf_bar *bar = &h->epf->bar[HAMMER_BAR_TARGET];
	struct device *dev = h->epf->epc->dev.parent;
	unsigned int i;

	for (i = 1; i < HAMMER_TARGETS; i++)
		if (h->target[i])
			dma_free_coherent(dev, HAMMER_TARGET_SIZE, h->target[i],
					  h->target_addr[i]);
	if (!h->target[0])
		return;
	bar->addr = h->target[0];
	bar->phys_addr = h->target_addr[0];
	pci_epf_free_space(h->epf, h->target[0], HAMMER_BAR_TARGET,
			   PRIMARY_INTERFACE);
}

/*
 * Checks that the host has not written to an old target after set_bar() gave
 * BAR 0 another one.
 */
static int hammer_bar_check_old(struct epf_hammer *h, unsigned int n)
{
	const u32 *word = h->target[n];
	unsigned int i;

	if (!h->target_used[n])
		return 0;
	for (i = 0; i < HAMMER_TARGET_WORDS; i++) {
		if (READ_ONCE(word[i]) != HAMMER_OLD) {
			hammer_fail(h, -EBADMSG, "word %u of an old target is %#x",
				    i, word[i]);
			return -EBADMSG;
		}
	}
	return 0;
}

/* Counts the words that the host has written to a target. */
static void hammer_bar_count_writes(struct epf_hammer *h, unsigned int n)
{
	const u32 *word = h->target[n];
	unsigned int i;

	for (i = HAMMER_TARGET_WORDS / 2; i < HAMMER_TARGET_WORDS; i++)
		if (word[i] == HAMMER_WRITTEN)
			hammer_add(h, HAMMER_WRITES, 1);
}

static int hammer_bar_retarget(struct epf_hammer *h)
{
	unsigned int old = h->current_target;
	unsigned int new = (old + 1) % HAMMER_TARGETS;
	struct pci_epf *epf = h->epf;
	struct pci_epf_bar *bar = &epf->bar[HAMMER_BAR_TARGET];
	int ret;

	ret = hammer_bar_check_old(h, new);
	if (ret)
		return ret;
	memset32(h->target[new], h->epoch + 1, HAMMER_TARGET_WORDS);
	bar->addr = h->target[new];
	bar->phys_addr = h->target_addr[new];
	ret = pci_epc_set_bar(epf->epc, epf->func_no, epf->vfunc_no, bar);
	if (ret) {
		hammer_fail(h, ret, "set_bar of epoch %u", h->epoch + 1);
		return ret;
	}
	h->epoch++;
	h->current_target = new;
	WRITE_ONCE(h->page->epoch, cpu_to_le32(h->epoch));
	hammer_bar_count_writes(h, old);
	memset32(h->target[old], HAMMER_OLD, HAMMER_TARGET_WORDS);
	h->target_used[old] = true;
	hammer_add(h, HAMMER_RETARGETS, 1);
	return 0;
}

void hammer_bar_run(struct work_struct *work)
{
	struct epf_hammer *h = container_of(work, struct epf_hammer, bar_work);

	/*
	 * The host may have been reset: show the current epoch before it
	 * starts.
	 */
	if (hammer_bar_retarget(h))
		return;
	WRITE_ONCE(h->page->run, cpu_to_le32(1));
	while (hammer_goes_on(h) && !hammer_bar_retarget(h))
		usleep_range(100, 2000);
	WRITE_ONCE(h->page->run, 0);
}

/* Raises each vector once, and waits until the host has counted each once. */
static int hammer_irq_raise_all(struct epf_hammer *h, u32 *seen)
{
	unsigned long end = jiffies + msecs_to_jiffies(HAMMER_IRQ_TIMEOUT_MS);
	struct pci_epf *epf = h->epf;
	unsigned int n;
	int ret;

	for (n = 0; n < HAMMER_VECTORS; n++) {
		ret = pci_epc_raise_irq(epf->epc, epf->func_no, epf->vfunc_no,
					PCI_IRQ_MSIX, n + 1);
		if (ret)
			return ret;
	}
	for (n = 0; n < HAMMER_VECTORS; n++) {
		while (le32_to_cpu(READ_ONCE(h->page->irqs[n])) == seen[n]) {
			if (time_after(jiffies, end))
				return -ETIMEDOUT;
			usleep_range(20, 100);
		}
		seen[n]++;
		hammer_add(h, HAMMER_IRQS, 1);
	}
	return 0;
}

void hammer_irq_run(struct work_struct *work)
{
	struct epf_hammer *h = container_of(work, struct epf_hammer, irq_work);
	u32 seen[HAMMER_VECTORS];
	unsigned int n;
	int ret = 0;

	for (n = 0; n < HAMMER_VECTORS; n++)
		seen[n] = le32_to_cpu(READ_ONCE(h->page->irqs[n]));
	while (!ret && hammer_goes_on(h))
		ret = hammer_irq_raise_all(h, seen);
	if (ret) {
		hammer_fail(h, ret, "interrupts");
		return;
	}
	/* An interrupt too many could still be on its way. */
	msleep(100);
	for (n = 0; n < HAMMER_VECTORS; n++)
		if (le32_to_cpu(READ_ONCE(h->page->irqs[n])) != seen[n])
			hammer_fail(h, -EBADMSG, "the host saw vector %u too often",
				    n);
}
