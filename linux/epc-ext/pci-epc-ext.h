/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Extensions of the endpoint framework: doorbells, trapped BARs, DMA,
 * capabilities, data objects, events
 *
 * The driver of an endpoint controller registers operations that the framework
 * does not have.  An endpoint function finds them by the controller that it is
 * linked to, and should work without them.
 *
 * A function calls, usually in bind() or epc_init():
 *
 *	func = pci_epc_ext_open(epf->epc, epf->func_no, epf->vfunc_no,
 *				handler, data);
 *
 * and in unbind(), after free_irq() of all doorbells:
 *
 *	pci_epc_ext_close(func);
 *
 * Lifetime.  Doorbells, capabilities, the trap and the protocols of data objects
 * belong to the handle and are removed with it, and so may be all other
 * configuration of the function in the controller.  If the controller goes first,
 * the handler gets PCI_EPC_EXT_GONE as the last event, and has to release the
 * interrupts of its doorbells before it returns.  After that every call but
 * pci_epc_ext_close() fails with -ENODEV, and the handle stays valid until it is
 * closed.
 *
 * Locks.  No call takes or needs a lock of the framework (epc->lock, epf->lock,
 * epc->list_lock), so every call may be made with or without them.  A work item
 * calls the handler without any lock.
 */
#ifndef PCI_EPC_EXT_H
#define PCI_EPC_EXT_H

#include <linux/bits.h>
#include <linux/dma-direction.h>
#include <linux/list.h>
#include <linux/sizes.h>
#include <linux/types.h>

struct pci_epc;
struct pci_epc_ext;
struct pci_epc_ext_func;

/**
 * enum pci_epc_ext_event_type - what happened to a function
 * @PCI_EPC_EXT_CONFIG_WRITE: the host wrote to a capability that the function
 *	added; the event has @offset, @size and the @value before the mask
 * @PCI_EPC_EXT_COMMAND: the host changed the Command register to @value.  For a
 *	virtual function, memory space is set while the host has its BARs enabled.
 * @PCI_EPC_EXT_DSTATE: the host changed the power state to @value, 0 for D0 to
 *	3 for D3hot
 * @PCI_EPC_EXT_FLR: function level reset
 * @PCI_EPC_EXT_HOT_RESET: the host reset the bus the function is on
 * @PCI_EPC_EXT_PERST: the host machine was reset
 * @PCI_EPC_EXT_VFS: for a function with virtual functions: the host has just
 *	enabled the first @value of them
 * @PCI_EPC_EXT_IRQ_STATE: MSI or MSI-X was enabled or disabled, or an interrupt
 *	masked or unmasked, by the host or by a reset; see
 *	pci_epc_ext_irq_state().  Changes before the handler begins are one
 *	event.
 * @PCI_EPC_EXT_LOST: events were lost before this one, so read the state again
 * @PCI_EPC_EXT_GONE: the controller goes away, see the head of this file
 */
enum pci_epc_ext_event_type {
	PCI_EPC_EXT_CONFIG_WRITE,
	PCI_EPC_EXT_COMMAND,
	PCI_EPC_EXT_DSTATE,
	PCI_EPC_EXT_FLR,
	PCI_EPC_EXT_HOT_RESET,
	PCI_EPC_EXT_PERST,
	PCI_EPC_EXT_VFS,
	PCI_EPC_EXT_IRQ_STATE,
	PCI_EPC_EXT_LOST,
	PCI_EPC_EXT_GONE,
};

/**
 * struct pci_epc_ext_event - one event
 * @type: what happened
 * @size: bytes that were written: 1, 2 or 4
 * @offset: offset of the register in configuration space
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
 * Context: process context, one event at a time for each handle.  May sleep,
 * may call operations of the endpoint framework and every function of this file
 * but pci_epc_ext_open() and pci_epc_ext_close().  Must not wait for the thread
 * that closes the handle, so not for epf->lock, which is held in unbind().
 *
 * Each configuration write is an event of its own, and their order is kept.  Of
 * two events of different types that happen at nearly the same time either may
 * come first.  Two events of one type, other than writes, may be reported as
 * one.
 */
typedef void (*pci_epc_ext_handler_t)(void *data,
				      const struct pci_epc_ext_event *event);

/* Keep the value that the host writes, which takes the host more time. */
#define PCI_EPC_EXT_DOORBELL_VALUE	BIT(0)

/**
 * struct pci_epc_ext_doorbell - a register that interrupts when it is written
 * @virq: interrupt number for request_irq(), not shared
 * @has_value: pci_epc_ext_read_doorbell() returns the value that was written
 * @target: target for a BAR, for &struct pci_epf_bar.phys_addr or
 *	&struct pci_epf_bar_submap.phys_addr.  All doorbells of a controller
 *	usually have the same one.
 * @offset: offset of this doorbell from @target; the host writes 8, 16 or 32 bits
 *	there
 * @target_size: bytes from @target on that can be the target of a BAR
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
 * struct pci_epc_ext_trap_ops - a function's answers to accesses of the host
 * @read: the host reads @size bytes (1, 2, 4 or 8, aligned) at @offset of BAR
 *	@bar and waits for the value, which is the return value
 * @write: the host has written @value there, and goes on meanwhile
 * @reset: the host has reset the function, or is gone; may be NULL.  What was
 *	called before happened before the reset.
 *
 * Context: process context.  The calls for one function come one at a time, in
 * the order in which the host made the accesses.  They may sleep, but not long:
 * a host that waits for longer than the controller allows reads all ones.  They
 * must not wait for anything that the host does, such as DMA to its memory:
 * the CPU of the host that would do it may be the one that waits.
 */
struct pci_epc_ext_trap_ops {
	u64 (*read)(void *data, unsigned int bar, u64 offset,
		    unsigned int size);
	void (*write)(void *data, unsigned int bar, u64 offset,
		      unsigned int size, u64 value);
	void (*reset)(void *data);
};

/* Most segments of one call, and most bytes of one segment */
#define PCI_EPC_EXT_DMA_SEGS	1024
#define PCI_EPC_EXT_DMA_SEG_LEN	SZ_1G

/**
 * struct pci_epc_ext_dma_seg - a piece of a DMA transfer
 * @pci_addr: bus address in the host
 * @buf: memory of this machine that dma_map_single() takes: from kmalloc() or
 *	the page allocator, and neither on a stack nor from vmalloc()
 * @len: number of bytes, from 1 to PCI_EPC_EXT_DMA_SEG_LEN
 */
struct pci_epc_ext_dma_seg {
	u64 pci_addr;
	void *buf;
	size_t len;
};

/* The longest payload of a data object: 2^18 dwords without the header */
#define PCI_EPC_EXT_DOE_PAYLOAD_MAX	(SZ_1M - 8)

/**
 * typedef pci_epc_ext_doe_handler_t - a function's answer to a data object
 * @data: as given to pci_epc_ext_doe_register()
 * @vid: vendor id of the object
 * @type: its type
 * @request: its payload, without the header, as the host wrote it
 * @len: bytes of the payload, a multiple of 4
 * @response: set to the payload of the response.  The caller frees it with
 *	kvfree(), whatever the return value is.  May be left NULL for a response
 *	without a payload.
 *
 * Context: process context, may sleep.  The calls for one function come one at
 * a time.  A host gives up after a second (PCI Express Base 6.0, 6.30.2).  What
 * the handler returns then, or after a reset, is dropped.  The next object waits
 * until this handler has returned.  Must not call pci_epc_ext_doe_unregister()
 * or pci_epc_ext_close(), nor wait for the thread that does.
 *
 * Return: bytes of the response, a multiple of 4 up to
 * PCI_EPC_EXT_DOE_PAYLOAD_MAX, or a negative error: then the mailbox shows
 * Error to the host.
 */
typedef ssize_t (*pci_epc_ext_doe_handler_t)(void *data, u16 vid, u8 type,
					     const void *request, size_t len,
					     void **response);

/* State of an interrupt: the host has enabled its type, or has masked it. */
#define PCI_EPC_EXT_IRQ_ENABLED		BIT(0)
#define PCI_EPC_EXT_IRQ_MASKED		BIT(1)

/**
 * struct pci_epc_ext_cap - a capability to add
 * @id: capability id, 8 bits unless @extended
 * @version: version of an extended capability, 4 bits
 * @extended: the capability is in extended configuration space
 * @size: size in bytes with the header of the capability
 */
struct pci_epc_ext_cap {
	u16 id;
	u8 version;
	bool extended;
	u16 size;
};

/**
 * struct pci_epc_ext_ops - operations of a driver of a controller
 * @alloc_doorbell: find a free doorbell and fill in its public members; returns
 *	-ENOSPC if there is none
 * @free_doorbell: free a doorbell; when it returns the host cannot ring it any
 *	more
 * @read_doorbell: get the value that the host wrote last; any context
 * @trap: call @trap_ops for accesses of the function's host, and set *target to
 *	the target of a BAR that makes it a trapped one; returns -EBUSY if it
 *	does already, -EOPNOTSUPP if the controller cannot
 * @untrap: carry out what the host has done before, and return when no call of
 *	@trap_ops runs or will come any more
 * @doe_add: add a mailbox for data objects, which raises message interrupt
 *	@irq, counted from 1, or none with 0; returns the offset of its
 *	capability, -EBUSY if the link is started or there is a mailbox, -ENOSPC
 *	if there is no room
 * @doe_register: call @handler for objects of @vid and @type from now on;
 *	returns -EBUSY if they have a handler, -ENOSPC if there are too many
 * @doe_unregister: the opposite; when it returns the handler does not run
 * @dma_rw: transfer @n segments, which were checked; see pci_epc_ext_dma_rw()
 * @add_cap: add a capability and return its offset; returns -EBUSY if the link
 *	is started, -ENOSPC if there is no room, -EINVAL if it is not a
 *	capability
 * @write_config: set a register of an added capability, and the bits of it that
 *	the host may write
 * @read_config: read configuration space as the host does
 * @raise_irq: raise MSI or MSI-X @num, counted from 1; any context
 * @set_intx: assert or deassert INTx, which then stays so; any context
 * @irq_state: return PCI_EPC_EXT_IRQ_* of MSI or MSI-X @num, counted from 1; any
 *	context
 * @release: the function was closed: unregister its handlers of objects, and
 *	remove its capabilities, at the latest before another function is
 *	configured in its place
 *
 * Each may be NULL.  Those without "any context" are called in process context
 * and may sleep.  Several may run at once.  None is called after
 * pci_epc_ext_unregister() has returned, so doorbells that still exist then are
 * not freed one by one.
 */
struct pci_epc_ext_ops {
	int (*alloc_doorbell)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
			      unsigned int flags,
			      struct pci_epc_ext_doorbell *doorbell);
	void (*free_doorbell)(struct pci_epc *epc,
			      struct pci_epc_ext_doorbell *doorbell);
	int (*read_doorbell)(struct pci_epc *epc,
			     struct pci_epc_ext_doorbell *doorbell, u32 *value);
	int (*trap)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
		    const struct pci_epc_ext_trap_ops *trap_ops, void *data,
		    dma_addr_t *target);
	int (*untrap)(struct pci_epc *epc, u8 func_no, u8 vfunc_no);
	int (*doe_add)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
		       unsigned int irq);
	int (*doe_register)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
			    u16 vid, u8 type,
			    pci_epc_ext_doe_handler_t handler, void *data);
	int (*doe_unregister)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
			      u16 vid, u8 type);
	int (*dma_rw)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
		      const struct pci_epc_ext_dma_seg *segs, unsigned int n,
		      enum dma_data_direction dir);
	int (*add_cap)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
		       const struct pci_epc_ext_cap *cap);
	int (*write_config)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
			    u16 offset, u8 size, u32 value, u32 host_mask);
	int (*read_config)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
			   u16 offset, u8 size, u32 *value);
	int (*raise_irq)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
			 unsigned int type, u16 num);
	int (*set_intx)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
			bool asserted);
	int (*irq_state)(struct pci_epc *epc, u8 func_no, u8 vfunc_no,
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

int pci_epc_ext_trap(struct pci_epc_ext_func *func,
		     const struct pci_epc_ext_trap_ops *ops, void *data,
		     dma_addr_t *target);
int pci_epc_ext_untrap(struct pci_epc_ext_func *func);

int pci_epc_ext_doe_add(struct pci_epc_ext_func *func, unsigned int irq);
int pci_epc_ext_doe_register(struct pci_epc_ext_func *func, u16 vid, u8 type,
			     pci_epc_ext_doe_handler_t handler, void *data);
int pci_epc_ext_doe_unregister(struct pci_epc_ext_func *func, u16 vid, u8 type);

int pci_epc_ext_dma_rw(struct pci_epc_ext_func *func,
		       const struct pci_epc_ext_dma_seg *segs, unsigned int n,
		       enum dma_data_direction dir);

int pci_epc_ext_add_cap(struct pci_epc_ext_func *func,
			const struct pci_epc_ext_cap *cap);
int pci_epc_ext_write_config(struct pci_epc_ext_func *func, u16 offset, u8 size,
			     u32 value, u32 host_mask);
int pci_epc_ext_read_config(struct pci_epc_ext_func *func, u16 offset, u8 size,
			    u32 *value);
int pci_epc_ext_raise_irq(struct pci_epc_ext_func *func, unsigned int type,
			  u16 num);
int pci_epc_ext_set_intx(struct pci_epc_ext_func *func, bool asserted);
int pci_epc_ext_irq_state(struct pci_epc_ext_func *func, unsigned int type,
			  u16 num);

#endif /* PCI_EPC_EXT_H */
