/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DMA engine of the controller, for linux/controller/
 */
#ifndef PCIE_QEMU_EP_DMA_H
#define PCIE_QEMU_EP_DMA_H

#include <linux/dma-direction.h>
#include <linux/kconfig.h>
#include <linux/stddef.h>
#include <linux/types.h>

struct attribute_group;
struct pci_epc;
struct pci_epc_ext_dma_seg;
struct qemu_ep;

#if IS_ENABLED(CONFIG_DMA_ENGINE)
/**
 * qemu_ep_dma_init() - register with dmaengine, before functions can be linked
 * @ep: the controller
 *
 * Return: 0, also if the device has no DMA channels, or a negative error.
 */
int qemu_ep_dma_init(struct qemu_ep *ep);

/**
 * qemu_ep_dma_exit() - take the channels away, also from clients that have one
 * @ep: the controller
 */
void qemu_ep_dma_exit(struct qemu_ep *ep);

/**
 * qemu_ep_dma_suspend() - wait for transactions that run, and hold back others
 * @ep: the controller
 *
 * Context: process context, sleeps for three times qemu_ep.deadline at most.
 *
 * Return: 0, or -EBUSY if a channel does not come to an end.  That was logged,
 * and all channels go on.
 */
int qemu_ep_dma_suspend(struct qemu_ep *ep);

/**
 * qemu_ep_dma_resume() - undo qemu_ep_dma_suspend()
 * @ep: the controller
 * @was_reset: the device has lost the set-up of its channels
 */
void qemu_ep_dma_resume(struct qemu_ep *ep, bool was_reset);

/* The operation of struct pci_epc_ext_ops */
int qemu_ep_dma_rw(struct pci_epc *epc, u8 func, u8 vfunc,
		   const struct pci_epc_ext_dma_seg *segs, unsigned int n,
		   enum dma_data_direction dir);
#define QEMU_EP_DMA_RW		qemu_ep_dma_rw

/**
 * qemu_ep_dma_rw_release() - take away the channel for transfers of a function
 * @ep: the controller
 * @page: register page of the function, which has no transfer under way
 */
void qemu_ep_dma_rw_release(struct qemu_ep *ep, u8 page);

/* Attributes of the PCI device: dma_mode and dma_function */
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

static inline int qemu_ep_dma_suspend(struct qemu_ep *ep)
{
	return 0;
}

static inline void qemu_ep_dma_resume(struct qemu_ep *ep, bool was_reset)
{
}

static inline void qemu_ep_dma_rw_release(struct qemu_ep *ep, u8 page)
{
}

#define QEMU_EP_DMA_RW		NULL
#define QEMU_EP_DMA_GROUPS	NULL
#endif

#endif /* PCIE_QEMU_EP_DMA_H */
