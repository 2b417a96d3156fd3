/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between endpoint frameworks from Linux 6.12 on, and accesses to
 * the framework for which it has no exported function
 *
 * The probes in linux/Kbuild ask the kernel headers, and the macros and inline
 * functions here use the answers.  qemu_ep_compat_calibrate() finds out at run
 * time what changed without a trace in the headers.
 */
#ifndef PCIE_QEMU_EP_COMPAT_H
#define PCIE_QEMU_EP_COMPAT_H

#include <linux/debugfs.h>
#include <linux/dmaengine.h>
#include <linux/irqdomain.h>
#include <linux/pci-epc.h>
#include <linux/pci-epf.h>

#include <hw/pci-ep/pci-epc-regs.h>

/**
 * struct qemu_ep_encoding - how the core of this kernel passes interrupt counts
 * @set_msi_log2: set_msi() gets the logarithm of the number of vectors
 * @get_msi_log2: get_msi() returns the logarithm of the number of vectors
 * @set_msix_less: set_msix() gets the table size minus this number
 * @get_msix_less: get_msix() returns the table size minus this number
 */
struct qemu_ep_encoding {
	bool set_msi_log2;
	bool get_msi_log2;
	u8 set_msix_less;
	u8 get_msix_less;
};

/**
 * qemu_ep_compat_calibrate() - find out how the core passes interrupt counts
 * @dev: device to report errors on
 * @enc: filled in
 *
 * Return: 0, -ENOMEM, or -EOPNOTSUPP if the core does something unknown.
 */
int qemu_ep_compat_calibrate(struct device *dev, struct qemu_ep_encoding *enc);

/**
 * qemu_ep_compat_get_linked() - look up the function that is linked at a number
 * @epc: the controller
 * @func: function number
 * @vfunc: number of the virtual function, 0 for the function itself
 * @epf: set to the function with a reference on its device, or to NULL if no
 *	function is linked there
 *
 * Context: process context, may sleep for 20 ms; with or without epc->lock.
 *
 * Return: false if the list of functions is in use for that long.  @epf is not
 * changed then.
 */
bool qemu_ep_compat_get_linked(struct pci_epc *epc, u8 func, u8 vfunc,
			       struct pci_epf **epf);

/**
 * qemu_ep_compat_linked() - numbers of all linked functions
 * @epc: the controller
 * @funcs: set to a mask of function numbers
 * @vfuncs: set to a mask of the numbers of virtual functions of function 0;
 *	NULL if the controller has none
 *
 * Context: process context, may sleep for 20 ms; with or without epc->lock.
 *
 * Return: false if the list of functions is in use for that long.  @vfuncs is
 * not changed then.
 */
bool qemu_ep_compat_linked(struct pci_epc *epc, unsigned long *funcs,
			   unsigned long *vfuncs);

/**
 * qemu_ep_compat_has_functions() - is any function still linked?
 * @epc: the controller
 *
 * Return: true if one is.
 */
bool qemu_ep_compat_has_functions(struct pci_epc *epc);

/**
 * qemu_ep_compat_visit_functions() - call a callback for each linked function
 * @epc: the controller
 * @visit: the callback, which runs with epc->list_lock and epf->lock held
 * @data: passed to @visit
 *
 * Functions that use the controller as their second one are left out, since all
 * events of the framework are about the first one.
 */
void qemu_ep_compat_visit_functions(struct pci_epc *epc,
				    void (*visit)(struct pci_epf *epf,
						  void *data),
				    void *data);

/**
 * qemu_ep_compat_deny_init() - do not start functions that are linked later
 * @epc: the controller, which goes away
 */
void qemu_ep_compat_deny_init(struct pci_epc *epc);

/**
 * qemu_ep_compat_deny_operations() - have all operations refused from now on
 * @epc: the controller, which goes away
 *
 * No operation is running when this returns, except align_addr().
 */
void qemu_ep_compat_deny_operations(struct pci_epc *epc);

/* Does pci_epf_alloc_doorbell() of this kernel take messages of this domain? */
static inline bool qemu_ep_domain_is_immutable(struct irq_domain *domain)
{
#if defined(PCIE_QEMU_EP_HAVE_MSI_IMMUTABLE) && \
	defined(CONFIG_IRQ_DOMAIN_HIERARCHY)
	return irq_domain_is_msi_immutable(domain);
#else
	return false;
#endif
}

/* Types of BARs that older kernels do not have */
#ifdef PCIE_QEMU_EP_HAVE_BAR_RESIZABLE
#define QEMU_EP_BAR_RESIZABLE	BAR_RESIZABLE
#else
#define QEMU_EP_BAR_RESIZABLE	BAR_FIXED
#endif
#ifdef PCIE_QEMU_EP_HAVE_BAR_DISABLED
#define QEMU_EP_BAR_DISABLED	BAR_DISABLED
#else
#define QEMU_EP_BAR_DISABLED	BAR_RESERVED
#endif

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

/*
 * Gives the directory of a dmaengine device in debugfs another name.  Kernels
 * without debugfs_change_name() (6.15) keep the name.
 */
static inline void qemu_ep_rename_dma_dir(struct dma_device *dev,
					  const char *suffix)
{
#ifdef PCIE_QEMU_EP_HAVE_DEBUGFS_NAME
	debugfs_change_name(dev->dbg_dev_root, "%s-%s", dev_name(dev->dev),
			    suffix);
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

#endif /* PCIE_QEMU_EP_COMPAT_H */
