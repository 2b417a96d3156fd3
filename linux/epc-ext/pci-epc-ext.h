/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Extensions of the endpoint framework: doorbells, capabilities, events
 *
 * A driver of an endpoint controller registers what its controller can do
 * beyond the framework.  An endpoint function finds it by the controller it is
 * linked to, and does without when there is none.
 *
 * Functions, usually in bind() or epc_init():
 *
 *	func = pci_epc_ext_open(epf->epc, epf->func_no, epf->vfunc_no,
 *				handler, data);
 *
 * and in unbind(), after free_irq() of all doorbells:
 *
 *	pci_epc_ext_close(func);
 *
 * Lifetime.  Doorbells and capabilities belong to the handle and go with it; so
 * may all else that the function has set up in the controller.
 * When the controller goes first, the handler is told PCI_EPC_EXT_GONE as the
 * last event: it has to release the interrupts of its doorbells before it
 * returns.  After that every call but pci_epc_ext_close() fails with -ENODEV,
 * and the handle stays valid until it is closed.
 *
 * Locks.  Nothing here takes or needs the locks of the framework (epc->lock,
 * epf->lock, epc->list_lock), so every call may be made with or without them.
 * The handler is called from a work item without any lock.
 */
#ifndef PCI_EPC_EXT_H
#define PCI_EPC_EXT_H

#include <linux/bits.h>
#include <linux/list.h>
#include <linux/types.h>

struct pci_epc;
struct pci_epc_ext;
struct pci_epc_ext_func;

/**
 * enum pci_epc_ext_event_type - what happened to a function
 * @PCI_EPC_EXT_CONFIG_WRITE: the host wrote to a capability that the function
 *	added; @offset, @size and @value of the event tell what, before the mask
 * @PCI_EPC_EXT_COMMAND: the host changed the Command register to @value; of a
 *	virtual function memory space is set while the host has its BARs enabled
 * @PCI_EPC_EXT_DSTATE: the host changed the power state to @value, 0 for D0 to
 *	3 for D3hot
 * @PCI_EPC_EXT_FLR: function level reset
 * @PCI_EPC_EXT_HOT_RESET: the host reset the bus the function is on
 * @PCI_EPC_EXT_PERST: the host machine was reset
 * @PCI_EPC_EXT_VFS: told to a function with virtual functions: the host has
 *	the first @value of them enabled, from now on or anew
 * @PCI_EPC_EXT_LOST: events were lost here: read the state that matters anew
 * @PCI_EPC_EXT_GONE: the controller goes away, see the top of this file
 */
enum pci_epc_ext_event_type {
	PCI_EPC_EXT_CONFIG_WRITE,
	PCI_EPC_EXT_COMMAND,
	PCI_EPC_EXT_DSTATE,
	PCI_EPC_EXT_FLR,
	PCI_EPC_EXT_HOT_RESET,
	PCI_EPC_EXT_PERST,
	PCI_EPC_EXT_VFS,
	PCI_EPC_EXT_LOST,
	PCI_EPC_EXT_GONE,
};

/**
 * struct pci_epc_ext_event - one event
 * @type: what happened
 * @size: bytes that were written: 1, 2 or 4
 * @offset: of the register in configuration space
 * @value: see &enum pci_epc_ext_event_type
 */
struct pci_epc_ext_event {
	enum pci_epc_ext_event_type type;
	u8 size;
	u16 offset;
	u32 value;
};

/**
 * typedef pci_epc_ext_handler_t - handler of a function's events
 * @data: as given to pci_epc_ext_open()
 * @event: the event
 *
 * Context: process context, one event at a time for each handle.  Configuration
 * writes come in their order and each for itself.  Of two things of different
 * kinds that happened at nearly the same time either may come first, and of two
 * of the same kind that are not writes only one may come.  May sleep, may call
 * operations of the endpoint framework and everything here but
 * pci_epc_ext_open() and pci_epc_ext_close().  Must not wait for who closes the
 * handle, so not for epf->lock, which unbind() holds.
 */
typedef void (*pci_epc_ext_handler_t)(void *data,
				      const struct pci_epc_ext_event *event);

/* Keep what the host writes.  Costs time on the side of the host. */
#define PCI_EPC_EXT_DOORBELL_VALUE	BIT(0)

/**
 * struct pci_epc_ext_doorbell - a register that interrupts when the host writes
 * @virq: interrupt number for request_irq().  Nobody else uses it.
 * @has_value: pci_epc_ext_read_doorbell() tells what was written
 * @target: where a BAR has to lead, for &struct pci_epf_bar.phys_addr or
 *	&struct pci_epf_bar_submap.phys_addr.  Doorbells of a controller usually
 *	have it in common.
 * @offset: of this doorbell from @target; the host writes 32 bits there
 * @target_size: what may be led to from @target on
 * @index: for the driver of the controller
 * @func: private
 * @node: private
 */
struct pci_epc_ext_doorbell {
	int virq;
	bool has_value;
	dma_addr_t target;
	u32 offset;
	size_t target_size;
	unsigned int index;
	struct pci_epc_ext_func *func;
	struct list_head node;
};

/**
 * struct pci_epc_ext_cap - a capability to add
 * @id: capability id, 8 bits unless @extended
 * @version: version of an extended capability, 4 bits
 * @extended: in extended configuration space
 * @size: bytes, with the header of the capability
 */
struct pci_epc_ext_cap {
	u16 id;
	u8 version;
	bool extended;
	u16 size;
};

/**
 * struct pci_epc_ext_ops - what a driver of a controller offers
 * @alloc_doorbell: find a free doorbell and fill in the public part of it; or
 *	-ENOSPC
 * @free_doorbell: the host cannot ring it any more when this returns
 * @read_doorbell: value the host wrote last; any context
 * @add_cap: add a capability; its offset, or -EBUSY when the link is started,
 *	-ENOSPC when there is no room, -EINVAL for what is not a capability
 * @write_config: set a register of an added capability and which bits of it the
 *	host may write
 * @read_config: read configuration space as the host does
 * @raise_irq: raise MSI or MSI-X @num, counted from 1; any context
 * @release: the function is done: forget its capabilities, at the latest when
 *	the next function is set up in its place
 *
 * Each may be NULL.  All but those said to be for any context are called in
 * process context and may sleep; several may run at once.  None is called after
 * pci_epc_ext_unregister() has returned, so doorbells that are left then are not
 * freed one by one.
 */
struct pci_epc_ext_ops {
	int (*alloc_doorbell)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
			      unsigned int flags,
			      struct pci_epc_ext_doorbell *doorbell);
	void (*free_doorbell)(struct pci_epc *epc,
			      struct pci_epc_ext_doorbell *doorbell);
	int (*read_doorbell)(struct pci_epc *epc,
			     struct pci_epc_ext_doorbell *doorbell, u32 *value);
	int (*add_cap)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
		       const struct pci_epc_ext_cap *cap);
	int (*write_config)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
			    u16 offset, u8 size, u32 value, u32 host_mask);
	int (*read_config)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
			   u16 offset, u8 size, u32 *value);
	int (*raise_irq)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
			 unsigned int type, u16 num);
	void (*release)(struct pci_epc *epc, u8 func_no, u8 vfunc_no);
};

/* For drivers of controllers */
struct pci_epc_ext *pci_epc_ext_register(struct pci_epc *epc,
					 const struct pci_epc_ext_ops *ops);
void pci_epc_ext_unregister(struct pci_epc_ext *ext);
void pci_epc_ext_notify(struct pci_epc_ext *ext, u8 func_no, u8 vfunc_no,
			const struct pci_epc_ext_event *event);

/* For endpoint functions */
struct pci_epc_ext_func *pci_epc_ext_open(struct pci_epc *epc, u8 func_no,
					  u8 vfunc_no,
					  pci_epc_ext_handler_t handler,
					  void *data);
void pci_epc_ext_close(struct pci_epc_ext_func *func);

struct pci_epc_ext_doorbell *
pci_epc_ext_alloc_doorbell(struct pci_epc_ext_func *func, unsigned int flags);
void pci_epc_ext_free_doorbell(struct pci_epc_ext_doorbell *doorbell);
int pci_epc_ext_read_doorbell(struct pci_epc_ext_doorbell *doorbell,
			      u32 *value);

int pci_epc_ext_add_cap(struct pci_epc_ext_func *func,
			const struct pci_epc_ext_cap *cap);
int pci_epc_ext_write_config(struct pci_epc_ext_func *func, u16 offset, u8 size,
			     u32 value, u32 host_mask);
int pci_epc_ext_read_config(struct pci_epc_ext_func *func, u16 offset, u8 size,
			    u32 *value);
int pci_epc_ext_raise_irq(struct pci_epc_ext_func *func, unsigned int type,
			  u16 num);

#endif /* PCI_EPC_EXT_H */
