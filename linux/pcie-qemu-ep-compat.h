/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between endpoint frameworks, 6.12 and later
 *
 * What the headers tell is answered by the probes in Kbuild and handled here.
 * What changed without a trace in the headers is found out at probe time by
 * qemu_ep_calibrate().
 */
#ifndef PCIE_QEMU_EP_COMPAT_H
#define PCIE_QEMU_EP_COMPAT_H

#include <linux/pci-epc.h>
#include <linux/pci-epf.h>

/**
 * struct qemu_ep_encoding - how this kernel's core passes interrupt counts
 * @set_msi_log2: set_msi() gets the logarithm of the number of vectors
 * @get_msi_log2: get_msi() returns the logarithm of the number of vectors
 * @set_msix_less: what set_msix() gets is this much less than the table size
 * @get_msix_less: what get_msix() returns is this much less than the table size
 */
struct qemu_ep_encoding {
	bool set_msi_log2;
	bool get_msi_log2;
	u8 set_msix_less;
	u8 get_msix_less;
};

int qemu_ep_calibrate(struct device *dev, struct qemu_ep_encoding *enc);

#ifdef PCIE_QEMU_EP_HAVE_ALIGN_ADDR
#define QEMU_EP_ALIGN_ADDR_OP	.align_addr = qemu_ep_align_addr,
#else
#define QEMU_EP_ALIGN_ADDR_OP
#endif

static inline void qemu_ep_set_intx_capable(struct pci_epc_features *features,
					    bool capable)
{
#ifdef PCIE_QEMU_EP_HAVE_INTX_CAPABLE
	features->intx_capable = capable;
#endif
}

static inline bool qemu_ep_bar_has_submap(const struct pci_epf_bar *bar)
{
#ifdef PCIE_QEMU_EP_HAVE_SUBMAP
	return bar->num_submap != 0;
#else
	return false;
#endif
}

struct qemu_ep;

/* pcie-qemu-ep-dma.c */
#if IS_ENABLED(CONFIG_DMA_ENGINE)
int qemu_ep_dma_init(struct qemu_ep *ep);
void qemu_ep_dma_exit(struct qemu_ep *ep);
int qemu_ep_dma_mapped(struct qemu_ep *ep, u8 fn, u64 offset, u64 pci_addr,
		       u64 size);
void qemu_ep_dma_unmapped(struct qemu_ep *ep, u64 offset);
extern const struct attribute_group *qemu_ep_dma_groups[];
#define QEMU_EP_DMA_GROUPS	qemu_ep_dma_groups
#else
static inline int qemu_ep_dma_init(struct qemu_ep *ep)
{
	return 0;
}

static inline void qemu_ep_dma_exit(struct qemu_ep *ep)
{
}

static inline int qemu_ep_dma_mapped(struct qemu_ep *ep, u8 fn, u64 offset,
				     u64 pci_addr, u64 size)
{
	return 0;
}

static inline void qemu_ep_dma_unmapped(struct qemu_ep *ep, u64 offset)
{
}

#define QEMU_EP_DMA_GROUPS	NULL
#endif

#endif /* PCIE_QEMU_EP_COMPAT_H */
