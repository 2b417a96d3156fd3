/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Endpoint controller driver for the pci-epc device of QEMU
 *
 * -main.c    probe, remove
 * -ops.c     operations of the endpoint framework
 * -cmd.c     commands of the device and what their status means
 * -notify.c  events of the device, told to the endpoint functions
 * -dma.c     DMA channels, see pcie-qemu-ep-dma.h
 * -compat.c  differences between kernels
 */
#ifndef PCIE_QEMU_EP_H
#define PCIE_QEMU_EP_H

#include <linux/bits.h>
#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/maple_tree.h>
#include <linux/mutex.h>
#include <linux/pci-epc.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <hw/pci-ep/pci-epc-regs.h>

#include "pcie-qemu-ep-compat.h"

/**
 * struct qemu_ep - one endpoint controller
 * @parent: see qemu_ep_parent()
 * @epc: the controller as the endpoint framework knows it
 * @regs: EPC_BAR_REGS
 * @features: EPC_FEATURE_*
 * @fn_count: number of functions
 * @fn_base: offset of the page of function 0
 * @fn_stride: distance of function pages
 * @raise_base: offset of the raise area of function 0
 * @raise_stride: distance of raise areas
 * @granule: granule of window maps and BAR targets
 * @deadline: longest time of a command in ms
 * @window_base: CPU address of the outbound window
 * @window_size: its size, 0 without a window
 * @dma_count: number of DMA channels, 0 without the feature
 * @dma_base: offset of the page of channel 0
 * @dma_stride: distance of channel pages
 * @dma_vector: MSI-X vector of each channel
 * @dma_irq: interrupt of each channel, which several may have in common
 * @dma: the channels as dmaengine knows them; NULL: none
 * @maps: maps of the window by offset
 * @epc_features: what the framework is told, valid as long as @epc
 * @encoding: see qemu_ep_calibrate()
 * @int_pin: interrupt pin of each function, 0 for none
 * @cmd_lock: serialises argument and command registers of all pages.  The
 *	framework runs operations one at a time under its own lock, but does
 *	not promise that for ever, and one wait for @cmd_done is enough.
 * @cmd_done: EPC_VECTOR_COMMAND was raised
 * @cmd_overdue: status register of a command that overran its deadline
 * @reported: status codes an error was logged for
 * @state_lock: protects @start_allowed, @started and @announcing
 * @start_allowed: false until probed and once being removed
 * @started: between the start and stop operations
 * @announcing: a notification that needs @started is being delivered
 * @announced: wakes who waits for @announcing to end
 * @host_reset: bit 0: the host reset the link since the last notification
 * @notify_wq: queue of @notify_work
 * @notify_work: tells the endpoint functions about link and bus master changes
 * @link_reported: the functions were told that the link is up
 * @generation: which link-up they were told of
 * @bus_masters: functions known to have bus mastering enabled
 */
struct qemu_ep {
	struct device *parent;
	struct pci_epc *epc;
	void __iomem *regs;
	u32 features;
	u32 fn_count;
	u32 fn_base;
	u32 fn_stride;
	u32 raise_base;
	u32 raise_stride;
	u32 granule;
	u32 deadline;
	phys_addr_t window_base;
	size_t window_size;
	u32 dma_count;
	u32 dma_base;
	u32 dma_stride;
	u32 dma_vector[EPC_DMA_CHANNELS];
	int dma_irq[EPC_DMA_CHANNELS];
	struct qemu_ep_dma *dma;
	struct maple_tree maps;
	struct pci_epc_features epc_features;
	struct qemu_ep_encoding encoding;
	u8 int_pin[EPC_MAX_FUNCTIONS];

	struct mutex cmd_lock;	/* argument and command registers */
	struct completion cmd_done;
	void __iomem *cmd_overdue;
	unsigned long reported;

	spinlock_t state_lock;	/* start_allowed, started, announcing */
	bool start_allowed;
	bool started;
	bool announcing;
	wait_queue_head_t announced;

	unsigned long host_reset;
	struct workqueue_struct *notify_wq;
	struct work_struct notify_work;

	/* Used by notify_work only. */
	bool link_reported;
	u16 generation;
	u8 bus_masters;
};

/*
 * The device that does DMA for the endpoint functions: parent of the endpoint
 * controller device.  It is the PCI function today, but nothing else may rely
 * on that.
 */
static inline struct device *qemu_ep_parent(struct qemu_ep *ep)
{
	return ep->parent;
}

static inline void __iomem *qemu_ep_fn(struct qemu_ep *ep, u8 fn)
{
	return ep->regs + ep->fn_base + fn * ep->fn_stride;
}

static inline void __iomem *qemu_ep_raise(struct qemu_ep *ep, u8 fn)
{
	return ep->regs + ep->raise_base + fn * ep->raise_stride;
}

/* pcie-qemu-ep-cmd.c */
int qemu_ep_fn_command(struct qemu_ep *ep, u8 fn, u32 cmd);
int qemu_ep_link_command(struct qemu_ep *ep, u32 cmd);
void qemu_ep_reset(struct qemu_ep *ep);
irqreturn_t qemu_ep_command_irq(int irq, void *data);

/* pcie-qemu-ep-notify.c */
int qemu_ep_notify_init(struct qemu_ep *ep, int irq);
void qemu_ep_notify_enable(struct qemu_ep *ep);
void qemu_ep_notify_exit(struct qemu_ep *ep, int irq);
bool qemu_ep_notify_allow(struct qemu_ep *ep);
void qemu_ep_notify_forbid(struct qemu_ep *ep);

/* pcie-qemu-ep-ops.c */
extern const struct pci_epc_ops qemu_ep_ops;
void qemu_ep_init_features(struct qemu_ep *ep);

#endif /* PCIE_QEMU_EP_H */
