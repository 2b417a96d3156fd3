/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Maps of the outbound window, as DMA has to know them
 */
#ifndef PCIE_QEMU_EP_MAPS_H
#define PCIE_QEMU_EP_MAPS_H

#include <linux/kconfig.h>
#include <linux/types.h>

struct qemu_ep;

/**
 * struct qemu_ep_location - what an address of a DMA client stands for
 * @addr: DMA address of this device, or host bus address
 * @size: bytes from @addr on to which this applies
 * @host: @addr is a host bus address
 * @page: index of the register page of the function, with @host
 */
struct qemu_ep_location {
	u64 addr;
	u64 size;
	bool host;
	u8 page;
};

#if IS_ENABLED(CONFIG_DMA_ENGINE)
/* Makes the list of maps empty. */
void qemu_ep_maps_init(struct qemu_ep *ep);

/* Frees all maps.  No DMA client is left. */
void qemu_ep_maps_exit(struct qemu_ep *ep);

/**
 * qemu_ep_maps_add() - record a map of the window
 * @ep: the controller
 * @page: index of the register page of the function
 * @offset: offset into the window; a map of the same offset is replaced
 * @pci_addr: host bus address
 * @size: size in bytes
 *
 * The caller holds qemu_ep.cmd.lock.
 *
 * Return: 0 or -ENOMEM; then no map is recorded for @offset.
 */
int qemu_ep_maps_add(struct qemu_ep *ep, u8 page, u64 offset, u64 pci_addr,
		     u64 size);

/**
 * qemu_ep_maps_remove() - forget a map of the window
 * @ep: the controller
 * @offset: offset as for qemu_ep_maps_add(); nothing happens without a map
 *	there
 *
 * The caller holds qemu_ep.cmd.lock.
 */
void qemu_ep_maps_remove(struct qemu_ep *ep, u64 offset);

/**
 * qemu_ep_maps_locate() - find out what an address of a DMA client stands for
 * @ep: the controller
 * @addr: CPU address in the window, or DMA address of this device
 * @len: length in bytes
 * @loc: filled in; its size is at most @len
 *
 * Window addresses are CPU addresses that no client maps for DMA, and the
 * device does not reach the window by DMA.
 *
 * Context: any.
 *
 * Return: 0, or -EFAULT if @addr is in a part of the window without a map.
 */
int qemu_ep_maps_locate(struct qemu_ep *ep, u64 addr, u64 len,
			struct qemu_ep_location *loc);
#else
static inline int qemu_ep_maps_add(struct qemu_ep *ep, u8 page, u64 offset,
				   u64 pci_addr, u64 size)
{
	return 0;
}

static inline void qemu_ep_maps_remove(struct qemu_ep *ep, u64 offset)
{
}
#endif

#endif /* PCIE_QEMU_EP_MAPS_H */
