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

#include <hw/pci-ep/pci-epc-regs.h>

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

#ifdef PCIE_QEMU_EP_HAVE_SUBMAP
static inline u32 qemu_ep_submap_count(const struct pci_epf_bar *bar)
{
	return bar->num_submap;
}

static inline u64 qemu_ep_submap_addr(const struct pci_epf_bar *bar, u32 n)
{
	return bar->submap[n].phys_addr;
}

static inline u64 qemu_ep_submap_size(const struct pci_epf_bar *bar, u32 n)
{
	return bar->submap[n].size;
}
#else
static inline u32 qemu_ep_submap_count(const struct pci_epf_bar *bar)
{
	return 0;
}

static inline u64 qemu_ep_submap_addr(const struct pci_epf_bar *bar, u32 n)
{
	return EPC_ADDR_NONE;
}

static inline u64 qemu_ep_submap_size(const struct pci_epf_bar *bar, u32 n)
{
	return 0;
}
#endif

static inline void qemu_ep_set_dynamic(struct pci_epc_features *features,
				       bool dynamic, bool subrange)
{
#ifdef PCIE_QEMU_EP_HAVE_DYNAMIC
	features->dynamic_inbound_mapping = dynamic;
#endif
#ifdef PCIE_QEMU_EP_HAVE_SUBRANGE
	features->subrange_mapping = dynamic && subrange;
#endif
}

#ifdef PCIE_QEMU_EP_HAVE_AUX
#define QEMU_EP_AUX_OPS							\
	.get_aux_resources_count = qemu_ep_get_aux_resources_count,	\
	.get_aux_resources = qemu_ep_get_aux_resources,

static inline void qemu_ep_fill_aux_doorbell(struct pci_epc_aux_resource *res,
					     phys_addr_t addr, int irq)
{
	*res = (struct pci_epc_aux_resource){
		.type = PCI_EPC_AUX_DOORBELL_MMIO,
		.phys_addr = addr,
		.size = sizeof(u32),
		.bar = NO_BAR,
		.u.db_mmio = { .irq = irq, .data = 1 },
	};
}
#else
#define QEMU_EP_AUX_OPS

struct pci_epc_aux_resource;

static inline void qemu_ep_fill_aux_doorbell(struct pci_epc_aux_resource *res,
					     phys_addr_t addr, int irq)
{
}
#endif

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
