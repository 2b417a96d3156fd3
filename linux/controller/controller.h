/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Endpoint controller driver for the pci-epc device of QEMU
 *
 * core.c      probe and remove
 * ops.c       operations of the endpoint framework
 * irq.c       interrupts that functions raise in the host
 * cmd.c       commands of the device and their status
 * pages.c     which function has configured a register page
 * notify.c    events of the device and notifications of the functions
 * doorbell.c  doorbells that the host rings
 * limits.c    limits of the device, features that functions are told
 * parent.c    the parent of the endpoint controller device
 * trap.c      accesses of the host that functions answer
 * doe.c       objects of the host that functions answer
 * sleep.c     suspend and resume of the machine
 * ext.c       extensions of the framework, see linux/epc-ext/
 * compat.c    what the framework offers no function for
 * compat.h    differences between kernels
 *
 * linux/dma/ has the DMA channels.
 */
#ifndef PCIE_QEMU_EP_H
#define PCIE_QEMU_EP_H

#include <linux/io.h>
#include <linux/kref.h>
#include <linux/maple_tree.h>
#include <linux/pci-epc.h>
#include <linux/types.h>

#include <hw/pci-ep/pci-epc-regs.h>

#include "cmd.h"
#include "compat.h"
#include "doe.h"
#include "doorbell.h"
#include "irq.h"
#include "limits.h"
#include "notify.h"
#include "pages.h"
#include "trap.h"

struct pci_epc_ext;
struct qemu_ep_dma;

/**
 * struct qemu_ep_layout - where the device has its registers
 * @fn_count: number of functions
 * @vf_count: number of virtual functions of function 0
 * @page_count: sum of both; each has a register page, see qemu_ep_page()
 * @page_base: offset of page 0
 * @page_stride: distance between pages
 * @raise_base: offset of the raise area of page 0
 * @raise_stride: distance between raise areas
 */
struct qemu_ep_layout {
	u32 fn_count;
	u32 vf_count;
	u32 page_count;
	u32 page_base;
	u32 page_stride;
	u32 raise_base;
	u32 raise_stride;
};

/**
 * struct qemu_ep_window - the outbound window
 * @base: its CPU address
 * @size: its size in bytes, 0 without a window
 * @maps: its maps by offset, see linux/dma/maps.c
 */
struct qemu_ep_window {
	phys_addr_t base;
	size_t size;
	struct maple_tree maps;
};

/**
 * struct qemu_ep_dma_hw - DMA channels of the device
 * @count: number of channels, 0 without the feature
 * @base: offset of the registers of channel 0
 * @stride: distance between the registers of two channels
 * @vector: MSI-X vector of each channel
 * @irq: interrupt number of each channel, which several channels can share
 */
struct qemu_ep_dma_hw {
	u32 count;
	u32 base;
	u32 stride;
	u32 vector[EPC_DMA_CHANNELS];
	int irq[EPC_DMA_CHANNELS];
};

/**
 * struct qemu_ep - one endpoint controller
 * @ref: one reference for the driver, one for functions that stay linked when
 *	the driver is unbound
 * @parent: see qemu_ep_parent()
 * @child: the same if it is not the PCI function and goes with the driver
 * @epc: the controller as the endpoint framework knows it
 * @regs: EPC_BAR_REGS
 * @minor: minor version of the register contract of the device
 * @features: EPC_FEATURE_*
 * @granule: granule of window maps and BAR targets in bytes
 * @limits: what the device refuses
 * @deadline: longest time of a command in ms
 * @layout: where the registers are
 * @window: the outbound window
 * @dma_hw: DMA channels of the device
 * @dma: the same as dmaengine knows them, NULL without channels
 * @doorbells: doorbells that the host rings
 * @traps: accesses of the host that functions answer
 * @doe: objects of the host that functions answer, by page
 * @irqs: what the host has enabled of its interrupts
 * @cmd: command registers
 * @pages: what was configured in the register pages
 * @notifier: events and notifications
 * @pf_features: features of functions, valid as long as @epc
 * @vf_features: features of virtual functions, valid as long as @epc
 * @max_vfs: number of virtual functions of each function, valid as long as @epc
 * @encoding: see qemu_ep_compat_calibrate()
 * @ext: registration with pci-epc-ext.h
 * @loses_state: the device loses its state in the sleep that has begun; used by
 *	sleep.c only
 */
struct qemu_ep {
	struct kref ref;
	struct device *parent;
	struct device *child;
	struct pci_epc *epc;
	void __iomem *regs;
	u32 minor;
	u32 features;
	u32 granule;
	struct qemu_ep_limits limits;
	u32 deadline;
	struct qemu_ep_layout layout;
	struct qemu_ep_window window;
	struct qemu_ep_dma_hw dma_hw;
	struct qemu_ep_dma *dma;
	struct qemu_ep_doorbells doorbells;
	struct qemu_ep_traps traps;
	struct qemu_ep_doe doe[EPC_MAX_FUNCTIONS];
	struct qemu_ep_irqs irqs;
	struct qemu_ep_commands cmd;
	struct qemu_ep_pages pages;
	struct qemu_ep_notifier notifier;
	struct pci_epc_features pf_features;
	struct pci_epc_features vf_features;
	u8 max_vfs[EPC_MAX_FUNCTIONS];
	struct qemu_ep_encoding encoding;
	struct pci_epc_ext *ext;
	bool loses_state;
};

/*
 * The device that does DMA for the endpoint functions, which is the parent of
 * the endpoint controller device.  It is the PCI function or a child of it, see
 * parent.c.
 */
static inline struct device *qemu_ep_parent(struct qemu_ep *ep)
{
	return ep->parent;
}

/*
 * Index of the register page of a function, which is also its number in raise
 * areas, DMA descriptors and EPC_REG_FN_PENDING.  Only function 0 has virtual
 * functions, and the framework refuses others.
 */
static inline u8 qemu_ep_page(struct qemu_ep *ep, u8 func, u8 vfunc)
{
	return vfunc ? ep->layout.fn_count + vfunc - 1 : func;
}

/* The function number of the framework that belongs to a page */
static inline u8 qemu_ep_page_func(struct qemu_ep *ep, u8 page)
{
	return page < ep->layout.fn_count ? page : 0;
}

/* The virtual function that belongs to a page, 0 for a function */
static inline u8 qemu_ep_page_vfunc(struct qemu_ep *ep, u8 page)
{
	return page < ep->layout.fn_count ? 0 : page - ep->layout.fn_count + 1;
}

/* Checks numbers that did not pass the checks of the framework. */
static inline bool qemu_ep_has_func(struct qemu_ep *ep, u8 func, u8 vfunc)
{
	return func < ep->layout.fn_count &&
	       (!vfunc || (!func && vfunc <= ep->layout.vf_count));
}

static inline void __iomem *qemu_ep_page_regs(struct qemu_ep *ep, u8 page)
{
	return ep->regs + ep->layout.page_base + page * ep->layout.page_stride;
}

static inline void __iomem *qemu_ep_raise_regs(struct qemu_ep *ep, u8 page)
{
	return ep->regs + ep->layout.raise_base +
	       page * ep->layout.raise_stride;
}

#endif /* PCIE_QEMU_EP_H */
