/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Doorbells: registers of the device that the host rings through a BAR
 */
#ifndef PCIE_QEMU_EP_DOORBELL_H
#define PCIE_QEMU_EP_DOORBELL_H

#include <linux/bitmap.h>
#include <linux/ioport.h>
#include <linux/types.h>

#include <hw/pci-ep/pci-epc-regs.h>

struct pci_epc;
struct pci_epc_aux_resource;
struct pci_epc_ext_doorbell;
struct qemu_ep;

/**
 * struct qemu_ep_doorbells - the doorbells of a controller
 * @count: number of doorbells, 0 without the feature or without vectors
 * @base: offset of the controls of doorbell 0
 * @vector: MSI-X vector of doorbell 0; each other has the next one
 * @irq: interrupt number of each doorbell.  That of doorbell 0 is not the
 *	interrupt of a vector, see qemu_ep_doorbell_split_irq().
 * @vector_irq: interrupt number of @vector
 * @phys: CPU address of doorbell 0
 * @dma: DMA address of doorbell 0
 * @size: bytes that are mapped at @dma; 0 if functions cannot use pci-epc-ext.h
 *	doorbells
 * @used: doorbells that functions have allocated; under qemu_ep.cmd.lock
 * @valued: those of @used whose value the device keeps; under qemu_ep.cmd.lock
 * @sharers: bit n: the function of page n uses doorbell 0 through the
 *	framework; under qemu_ep.cmd.lock
 */
struct qemu_ep_doorbells {
	u32 count;
	u32 base;
	u32 vector;
	int irq[EPC_MAX_DOORBELLS];
	int vector_irq;
	phys_addr_t phys;
	dma_addr_t dma;
	size_t size;
	DECLARE_BITMAP(used, EPC_MAX_DOORBELLS);
	DECLARE_BITMAP(valued, EPC_MAX_DOORBELLS);
	u8 sharers;
};

/**
 * qemu_ep_doorbells_init() - set the doorbells up
 * @ep: the controller, with registers and vectors
 * @bar: EPC_BAR_DOORBELL; not used without doorbells
 *
 * Without success there are no doorbells, and a warning is logged.
 *
 * Behind an IOMMU the target of a BAR is a DMA address of this device, so its
 * own doorbells need one.
 */
void qemu_ep_doorbells_init(struct qemu_ep *ep, const struct resource *bar);

/* Undoes qemu_ep_doorbells_init(). */
void qemu_ep_doorbells_exit(struct qemu_ep *ep);

/**
 * qemu_ep_doorbells_forget() - a function is not linked any more
 * @ep: the controller
 * @page: index of the register page
 *
 * Doorbells of pci-epc-ext.h are not meant, the function has freed them itself.
 * The caller holds qemu_ep.cmd.lock.
 */
void qemu_ep_doorbells_forget(struct qemu_ep *ep, u8 page);

/**
 * qemu_ep_doorbells_restore() - enable the doorbells that functions have
 * @ep: the controller, which was just reset
 *
 * Takes qemu_ep.cmd.lock.
 */
void qemu_ep_doorbells_restore(struct qemu_ep *ep);

/* Operations of struct pci_epc_ops */
int qemu_ep_get_aux_resources_count(struct pci_epc *epc, u8 func, u8 vfunc);
int qemu_ep_get_aux_resources(struct pci_epc *epc, u8 func, u8 vfunc,
			      struct pci_epc_aux_resource *resources,
			      int count);

/* Operations of struct pci_epc_ext_ops */
int qemu_ep_alloc_doorbell(struct pci_epc *epc, u8 func, u8 vfunc,
			   unsigned int flags, struct pci_epc_ext_doorbell *db);
void qemu_ep_free_doorbell(struct pci_epc *epc,
			   struct pci_epc_ext_doorbell *db);
int qemu_ep_read_doorbell(struct pci_epc *epc, struct pci_epc_ext_doorbell *db,
			  u32 *value);

#endif /* PCIE_QEMU_EP_DOORBELL_H */
