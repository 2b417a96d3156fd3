/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between endpoint frameworks that matter to pci-epf-ext-test
 */
#ifndef EXT_TEST_COMPAT_H
#define EXT_TEST_COMPAT_H

#include <linux/errno.h>
#include <linux/pci-epc.h>
#include <linux/pci-epf.h>

/* Gives each half of a BAR a target of its own. */
static inline int ext_test_set_halves(struct pci_epf *epf,
				      struct pci_epf_bar *bar, dma_addr_t first,
				      dma_addr_t second)
{
#ifdef EXT_TEST_HAVE_SUBMAP
	struct pci_epf_bar_submap halves[] = {
		{ .phys_addr = first, .size = bar->size / 2 },
		{ .phys_addr = second, .size = bar->size / 2 },
	};
	struct pci_epf_bar copy = *bar;

	copy.num_submap = ARRAY_SIZE(halves);
	copy.submap = halves;
	return pci_epc_set_bar(epf->epc, epf->func_no, epf->vfunc_no, &copy);
#else
	return -EOPNOTSUPP;
#endif
}

#endif /* EXT_TEST_COMPAT_H */
