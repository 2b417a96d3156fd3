// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that go to the driver of the controller as they are: traps, data objects,
 * DMA, capabilities, interrupts
 */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/pci-epc.h>
#include <linux/pci_ids.h>

#include "private.h"

/**
 * pci_epc_ext_trap() - answer the accesses of the host to a BAR in software
 * @func: the handle
 * @ops: the answers
 * @data: passed to @ops
 * @target: set to a target for &struct pci_epf_bar.phys_addr or
 *	&struct pci_epf_bar_submap.phys_addr.  Each BAR or part of a BAR with this
 *	target is trapped.  It is no address of memory.
 *
 * Context: process context, may sleep.
 *
 * Return: 0, -EBUSY if the function has a trap already, -EOPNOTSUPP if the
 * controller cannot trap, -ENODEV if the controller has gone.
 */
int pci_epc_ext_trap(struct pci_epc_ext_func *func,
		     const struct pci_epc_ext_trap_ops *ops, void *data,
		     dma_addr_t *target)
{
	if (!ops->read || !ops->write)
		return -EINVAL;
	return pci_epc_ext_call(func, trap, func->func_no, func->vfunc_no, ops,
				data, target);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_trap);

/**
 * pci_epc_ext_untrap() - undo pci_epc_ext_trap()
 * @func: the handle
 *
 * Give the BAR another target before, or clear it.  What the host did before is
 * carried out.  When this returns no call of the operations runs or will come.
 * Reads of a BAR that is still trapped return all ones from now on.
 *
 * Context: process context, may sleep.  Not from the operations, and not with a
 * lock that they take.
 *
 * Return: 0, -EINVAL if the function has no trap, -EOPNOTSUPP, -ENODEV if the
 * controller has gone; then no call comes any more either.
 */
int pci_epc_ext_untrap(struct pci_epc_ext_func *func)
{
	return pci_epc_ext_call(func, untrap, func->func_no, func->vfunc_no);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_untrap);

/**
 * pci_epc_ext_doe_add() - add a mailbox for Data Object Exchange
 * @func: the handle
 * @irq: the message interrupt that the mailbox raises in the host when a
 *	response is ready or there is none, counted from 1; or 0 for none
 *
 * The capability is in extended configuration space, and is removed with those
 * of pci_epc_ext_add_cap().  The controller carries out all that the host does
 * with it, and answers Discovery with the protocols that are registered.
 *
 * Context: process context, may sleep; before the link is started.
 *
 * Return: the offset of the capability in configuration space, -EBUSY if the
 * link is started or the function has a mailbox, -ENOSPC if there is no room,
 * -EINVAL for an interrupt above 2048, -EOPNOTSUPP, -ENODEV if the controller
 * has gone.
 */
int pci_epc_ext_doe_add(struct pci_epc_ext_func *func, unsigned int irq)
{
	return pci_epc_ext_call(func, doe_add, func->func_no, func->vfunc_no,
				irq);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_doe_add);

/**
 * pci_epc_ext_doe_register() - answer data objects of a type
 * @func: the handle
 * @vid: vendor id
 * @type: type of the vendor
 * @handler: the answers
 * @data: passed to @handler
 *
 * A host learns of the types of a mailbox when it enumerates the function, so
 * register them before the link is started.
 *
 * Context: process context, may sleep; any time, also before
 * pci_epc_ext_doe_add().
 *
 * Return: 0, -EINVAL without a handler or for Discovery (PCI-SIG, 0), -EBUSY if
 * the type has a handler, -ENOSPC if the mailbox has too many types, -ENOMEM,
 * -EOPNOTSUPP, -ENODEV if the controller has gone.
 */
int pci_epc_ext_doe_register(struct pci_epc_ext_func *func, u16 vid, u8 type,
			     pci_epc_ext_doe_handler_t handler, void *data)
{
	if (!handler || (vid == PCI_VENDOR_ID_PCI_SIG && !type))
		return -EINVAL;
	return pci_epc_ext_call(func, doe_register, func->func_no,
				func->vfunc_no, vid, type, handler, data);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_doe_register);

/**
 * pci_epc_ext_doe_unregister() - undo pci_epc_ext_doe_register()
 * @func: the handle
 * @vid: vendor id
 * @type: type of the vendor
 *
 * When this returns the handler does not run, and no call of it will come.  For
 * such objects the mailbox shows Error to the host from now on.
 *
 * Context: process context, may sleep.  Not from a handler of objects of the
 * function, and not with a lock that one takes.
 *
 * Return: 0, -EINVAL if the type has no handler, -EOPNOTSUPP, -ENODEV if the
 * controller has gone; then no call comes any more either.
 */
int pci_epc_ext_doe_unregister(struct pci_epc_ext_func *func, u16 vid, u8 type)
{
	return pci_epc_ext_call(func, doe_unregister, func->func_no,
				func->vfunc_no, vid, type);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_doe_unregister);

static bool pci_epc_ext_is_dma_seg(const struct pci_epc_ext_dma_seg *seg)
{
	return seg->len && seg->len <= PCI_EPC_EXT_DMA_SEG_LEN &&
	       seg->pci_addr + seg->len - 1 >= seg->pci_addr &&
	       virt_addr_valid(seg->buf) &&
	       virt_addr_valid(seg->buf + seg->len - 1);
}

/**
 * pci_epc_ext_dma_rw() - DMA between buffers and memory of the host
 * @func: the handle
 * @segs: the segments
 * @n: number of segments, from 1 to PCI_EPC_EXT_DMA_SEGS
 * @dir: DMA_FROM_DEVICE to fill the buffers from memory of the host,
 *	DMA_TO_DEVICE to write them to memory of the host
 *
 * The controller gets all segments at once.  It carries them out in their
 * order, and the host sees the bytes of a segment before those of the next one.
 * When one fails, those behind it are not carried out, and a part of the failed
 * one may be.
 *
 * When this returns without an error, the host sees what was written, a later
 * call reads it, and the host gets an interrupt that is raised later after it.
 * Unless this returns -EBUSY, no DMA to or from a buffer is under way any more.
 *
 * Several threads may call this at once.  Calls of one function take turns.
 *
 * Context: process context, sleeps.  Not from &struct pci_epc_ext_trap_ops.  The
 * call gives up when no segment ends for a time that the controller states.
 *
 * Return: 0 or
 *
 * * -EINVAL: a segment or an argument is not as described; nothing was done
 * * -ENOLINK: the link is down
 * * -EAGAIN: the host has disabled bus mastering of the function, or has it
 *   outside of D0
 * * -EFAULT: the host has no memory at the bus address, or its IOMMU or memory
 *   refuses the access
 * * -EIO: the host did not answer, or DMA to memory of this machine failed
 * * -ETIMEDOUT: no segment ended in time, or other calls of the function took so
 *   long
 * * -EBUSY: the same, and the controller cannot end the DMA.  Neither free nor
 *   use the buffers any more.
 * * -ENOSPC: all DMA channels of the controller are in use
 * * -ENOMEM, -EOPNOTSUPP, and -ENODEV if the controller has gone
 */
int pci_epc_ext_dma_rw(struct pci_epc_ext_func *func,
		       const struct pci_epc_ext_dma_seg *segs, unsigned int n,
		       enum dma_data_direction dir)
{
	unsigned int i;

	might_sleep();
	if (!n || n > PCI_EPC_EXT_DMA_SEGS ||
	    (dir != DMA_FROM_DEVICE && dir != DMA_TO_DEVICE))
		return -EINVAL;
	for (i = 0; i < n; i++)
		if (!pci_epc_ext_is_dma_seg(&segs[i]))
			return -EINVAL;
	return pci_epc_ext_call(func, dma_rw, func->func_no, func->vfunc_no,
				segs, n, dir);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_dma_rw);

/**
 * pci_epc_ext_add_cap() - add an empty capability
 * @func: the handle
 * @cap: the capability
 *
 * Context: process context, may sleep; before the link is started.
 *
 * Return: the offset of the capability in configuration space, -EBUSY if the
 * link is started, -ENOSPC if there is no room, -EINVAL for an id that the
 * controller provides itself or an invalid size, -EOPNOTSUPP, -ENODEV if the
 * controller has gone.
 */
int pci_epc_ext_add_cap(struct pci_epc_ext_func *func,
			const struct pci_epc_ext_cap *cap)
{
	if (!cap->extended && (cap->id > 0xff || cap->version))
		return -EINVAL;
	return pci_epc_ext_call(func, add_cap, func->func_no, func->vfunc_no,
				cap);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_add_cap);

static bool pci_epc_ext_is_register(u16 offset, u8 size)
{
	return (size == 1 || size == 2 || size == 4) && !(offset % size);
}

/**
 * pci_epc_ext_write_config() - set a register of an added capability
 * @func: the handle
 * @offset: of the register in configuration space, past the capability's header
 * @size: 1, 2 or 4 bytes; @offset is a multiple of it
 * @value: what the host reads from now on
 * @host_mask: bits the host may write from now on
 *
 * Context: process context, may sleep; any time.
 *
 * Return: 0, -EINVAL if the register is not inside an added capability,
 * -EOPNOTSUPP, -ENODEV if the controller has gone.
 */
int pci_epc_ext_write_config(struct pci_epc_ext_func *func, u16 offset, u8 size,
			     u32 value, u32 host_mask)
{
	if (!pci_epc_ext_is_register(offset, size))
		return -EINVAL;
	return pci_epc_ext_call(func, write_config, func->func_no,
				func->vfunc_no, offset, size, value, host_mask);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_write_config);

/**
 * pci_epc_ext_read_config() - read configuration space as the host does
 * @func: the handle
 * @offset: of the register
 * @size: 1, 2 or 4 bytes; @offset is a multiple of it
 * @value: set to the value
 *
 * Context: process context, may sleep; any time.
 *
 * Return: 0, -EINVAL for an invalid offset or size, -EOPNOTSUPP, -ENODEV if the
 * controller has gone.
 */
int pci_epc_ext_read_config(struct pci_epc_ext_func *func, u16 offset, u8 size,
			    u32 *value)
{
	if (!pci_epc_ext_is_register(offset, size))
		return -EINVAL;
	return pci_epc_ext_call(func, read_config, func->func_no,
				func->vfunc_no, offset, size, value);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_read_config);

/**
 * pci_epc_ext_raise_irq() - interrupt the host, also from an interrupt handler
 * @func: the handle
 * @type: PCI_IRQ_MSI or PCI_IRQ_MSIX
 * @num: number of the interrupt, from 1
 *
 * The host sees what the caller has stored to host memory or to its BARs before
 * it gets the interrupt.
 *
 * Context: any.
 *
 * Return: 0, also for an interrupt that the host has masked, -EINVAL for
 * another type or a number that the host has not enabled, -EOPNOTSUPP if the
 * host has this type disabled or the controller cannot do this, -ENODEV if the
 * controller has gone.
 */
int pci_epc_ext_raise_irq(struct pci_epc_ext_func *func, unsigned int type,
			  u16 num)
{
	return pci_epc_ext_call(func, raise_irq, func->func_no, func->vfunc_no,
				type, num);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_raise_irq);

/**
 * pci_epc_ext_set_intx() - set the level of INTx
 * @func: the handle
 * @asserted: assert it, or deassert it
 *
 * pci_epc_raise_irq() sends a pulse, which the host loses while its handler of the
 * interrupt before still runs.  A function that knows when the host has handled an
 * interrupt, from an access to a trapped BAR, keeps the level until then.  A reset
 * and the end of the link deassert it.  While the host has INTx disabled, or
 * MSI or MSI-X enabled, it does not see the level.
 *
 * Context: any.
 *
 * Return: 0, -EOPNOTSUPP if the function has no interrupt pin or the controller
 * cannot do this, -ENODEV if the controller has gone.
 */
int pci_epc_ext_set_intx(struct pci_epc_ext_func *func, bool asserted)
{
	return pci_epc_ext_call(func, set_intx, func->func_no, func->vfunc_no,
				asserted);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_set_intx);

/**
 * pci_epc_ext_irq_state() - has the host enabled an interrupt, or masked it?
 * @func: the handle
 * @type: PCI_IRQ_MSI or PCI_IRQ_MSIX
 * @num: number of the interrupt, from 1
 *
 * PCI_EPC_EXT_IRQ_STATE reports that this may have changed.  A raise of a masked
 * interrupt stays pending in the host until it is unmasked, so this is for
 * functions that would rather not raise it.
 *
 * Context: any.
 *
 * Return: PCI_EPC_EXT_IRQ_ENABLED and PCI_EPC_EXT_IRQ_MASKED, as bits.  The second
 * one also stands for the mask of the whole function.  A host that does not tell
 * its masks seems to have none.  Or -EINVAL for another type or a number above
 * 32 (MSI) or behind the table (MSI-X), -EOPNOTSUPP if the controller does not know,
 * -ENODEV if it has gone.
 */
int pci_epc_ext_irq_state(struct pci_epc_ext_func *func, unsigned int type,
			  u16 num)
{
	return pci_epc_ext_call(func, irq_state, func->func_no, func->vfunc_no,
				type, num);
}
EXPORT_SYMBOL_GPL(pci_epc_ext_irq_state);
