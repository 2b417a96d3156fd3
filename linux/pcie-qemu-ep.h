/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Endpoint controller driver for the pci-epc device of QEMU
 *
 * -main.c    probe, remove
 * -ops.c     operations of the endpoint framework
 * -cmd.c     commands of the device and what their status means
 * -notify.c  events of the device, told to the endpoint functions
 * -func.c    whose configuration is in a function page
 * -ext.c     what is offered by pci-epc-ext.h
 * -doorbell.c  doorbells, also those of the framework
 * -dma.c     DMA channels, see pcie-qemu-ep-dma.h
 * -compat.c  differences between kernels
 */
#ifndef PCIE_QEMU_EP_H
#define PCIE_QEMU_EP_H

#include <linux/bitmap.h>
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

#include "pci-epc-ext.h"
#include "pcie-qemu-ep-compat.h"

/* EPC_VERSION_MINOR since which there is EPC_CMD_REMOVE */
#define QEMU_EP_MINOR_REMOVE	2

/**
 * struct qemu_ep - one endpoint controller
 * @parent: see qemu_ep_parent()
 * @epc: the controller as the endpoint framework knows it
 * @regs: EPC_BAR_REGS
 * @minor: EPC_VERSION_MINOR of the device
 * @features: EPC_FEATURE_*
 * @fn_count: number of functions
 * @vf_count: number of virtual functions of function 0
 * @page_count: number of both; each has a page, see qemu_ep_page()
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
 * @doorbell_count: number of doorbells, 0 without the feature or vectors
 * @doorbell_base: offset of the controls of doorbell 0
 * @doorbell_vector: MSI-X vector of doorbell 0, then one each
 * @doorbell_irq: interrupt of each doorbell
 * @doorbell_phys: CPU address of doorbell 0
 * @doorbell_dma: DMA address of doorbell 0
 * @doorbell_size: bytes at @doorbell_dma; 0: functions get no doorbells
 * @doorbells_used: doorbells that functions have got
 * @doorbell_sharers: pages whose functions use doorbell 0 through the framework
 * @maps: maps of the window by offset
 * @epc_features: what the framework is told, valid as long as @epc
 * @vf_features: the same for virtual functions
 * @max_vfs: number of virtual functions of each function, as long as @epc
 * @encoding: see qemu_ep_calibrate()
 * @ext: registration of extensions
 * @int_pin: interrupt pin of each page, 0 for none
 * @bar_size: size of each BAR as it was defined, 0 for none
 * @owner: function that has set up each page; NULL: none, or it is not known
 * @set_up: pages that something was set up in
 * @disowned: pages whose function has no use for what it has set up
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
 * @announced: wakes who waits for @announcing or @told_up to end
 * @told_up: from before the functions are told that the link is up until they
 *	all were told that it is down
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
	u32 minor;
	u32 features;
	u32 fn_count;
	u32 vf_count;
	u32 page_count;
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
	u32 doorbell_count;
	u32 doorbell_base;
	u32 doorbell_vector;
	int doorbell_irq[EPC_MAX_DOORBELLS];
	phys_addr_t doorbell_phys;
	dma_addr_t doorbell_dma;
	size_t doorbell_size;
	DECLARE_BITMAP(doorbells_used, EPC_MAX_DOORBELLS);
	u8 doorbell_sharers;
	struct maple_tree maps;
	struct pci_epc_features epc_features;
	struct pci_epc_features vf_features;
	u8 max_vfs[EPC_MAX_FUNCTIONS];
	struct qemu_ep_encoding encoding;
	struct pci_epc_ext *ext;

	/* Argument and command registers, what they have set up, doorbells */
	struct mutex cmd_lock;
	u8 int_pin[EPC_MAX_FUNCTIONS];
	u64 bar_size[EPC_MAX_FUNCTIONS][PCI_STD_NUM_BARS];
	struct pci_epf *owner[EPC_MAX_FUNCTIONS];
	u8 set_up;
	u8 disowned;
	struct completion cmd_done;
	void __iomem *cmd_overdue;
	unsigned long reported;

	spinlock_t state_lock;	/* start_allowed, started, announcing */
	bool start_allowed;
	bool started;
	bool announcing;
	wait_queue_head_t announced;
	bool told_up;

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

/*
 * Number of the page of a function: of its registers, raise area, host addresses.
 * Only function 0 has virtual functions; the framework refuses others.
 */
static inline u8 qemu_ep_page(struct qemu_ep *ep, u8 func, u8 vfunc)
{
	return vfunc ? ep->fn_count + vfunc - 1 : func;
}

/* The way back */
static inline u8 qemu_ep_page_func(struct qemu_ep *ep, u8 fn)
{
	return fn < ep->fn_count ? fn : 0;
}

static inline u8 qemu_ep_page_vfunc(struct qemu_ep *ep, u8 fn)
{
	return fn < ep->fn_count ? 0 : fn - ep->fn_count + 1;
}

/* For what does not come through the framework, which checks it */
static inline bool qemu_ep_has_func(struct qemu_ep *ep, u8 func, u8 vfunc)
{
	return func < ep->fn_count && (!vfunc || (!func && vfunc <= ep->vf_count));
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
void qemu_ep_notify_deinit(struct qemu_ep *ep);
bool qemu_ep_notify_allow(struct qemu_ep *ep);
void qemu_ep_notify_forbid(struct qemu_ep *ep);
void qemu_ep_notify_down(struct qemu_ep *ep);

/* pcie-qemu-ep-ops.c */
extern const struct pci_epc_ops qemu_ep_ops;
void qemu_ep_init_features(struct qemu_ep *ep);
int qemu_ep_raise_message(struct qemu_ep *ep, u8 fn, unsigned int type,
			  u16 num);

/* pcie-qemu-ep-func.c */
void qemu_ep_claim(struct qemu_ep *ep, u8 fn);
void qemu_ep_disown(struct qemu_ep *ep, u8 fn);
void qemu_ep_remove_unlinked(struct qemu_ep *ep);
void qemu_ep_forget_owners(struct qemu_ep *ep);
void qemu_ep_visit_functions(struct qemu_ep *ep,
			     void (*func)(struct pci_epf *epf, void *data),
			     void *data);

/* pcie-qemu-ep-doorbell.c */
void qemu_ep_doorbells_init(struct qemu_ep *ep, const struct resource *bar);
void qemu_ep_doorbells_exit(struct qemu_ep *ep);
void qemu_ep_forget_doorbells(struct qemu_ep *ep, u8 fn);
int qemu_ep_get_aux_resources_count(struct pci_epc *epc, u8 func, u8 vfunc);
int qemu_ep_get_aux_resources(struct pci_epc *epc, u8 func, u8 vfunc,
			      struct pci_epc_aux_resource *resources,
			      int count);
int qemu_ep_alloc_doorbell(struct pci_epc *epc, u8 func, u8 vfunc,
			   unsigned int flags, struct pci_epc_ext_doorbell *db);
void qemu_ep_free_doorbell(struct pci_epc *epc,
			   struct pci_epc_ext_doorbell *db);
int qemu_ep_read_doorbell(struct pci_epc *epc, struct pci_epc_ext_doorbell *db,
			  u32 *value);

/* pcie-qemu-ep-ext.c */
int qemu_ep_ext_init(struct qemu_ep *ep);
void qemu_ep_ext_exit(struct qemu_ep *ep);
void qemu_ep_ext_fn_events(struct qemu_ep *ep, u8 fn, u32 events);
void qemu_ep_ext_events(struct qemu_ep *ep, u32 events);

#endif /* PCIE_QEMU_EP_H */
