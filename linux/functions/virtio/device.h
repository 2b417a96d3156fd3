/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Virtio devices as PCI endpoint functions: the transport
 *
 * main.c    the endpoint function: bind, unbind, events of the controller
 * attrs.c   attributes in configfs, and what debugfs shows
 * layout.c  header, BARs, capabilities and doorbells
 * regs.c    registers, which the host reads and writes
 * state.c   what writes to device_status, queue_enable and queue_reset do
 * queue.c   queues while the device runs, interrupts, DMA
 * vring.c   rings in the host's memory
 * rng.c     the back ends
 * blk.c
 * net*.c
 * console.c, console-tty.c
 *
 * Threads.  Accesses of the host come one at a time, from the thread of the trap,
 * and only read and write the members of &struct epf_virtio.  They never wait for
 * DMA: the host's CPU that would carry it out may be the one that waits for the
 * access.  What takes time is done by the work @control, and by one work for each
 * queue.  So a host that writes 0 to device_status reads the old status until
 * @control has ended all work of the device.
 *
 * Locks.  epf_virtio.lock guards the registers and the states.  Nothing waits for
 * the host while it is held.
 */
#ifndef EPF_VIRTIO_DEVICE_H
#define EPF_VIRTIO_DEVICE_H

#include <linux/atomic.h>
#include <linux/configfs.h>
#include <linux/mutex.h>
#include <linux/pci-epc.h>
#include <linux/pci-epf.h>
#include <linux/workqueue.h>

#include "net-attrs.h"
#include "pci-epc-ext.h"
#include "virtio.h"

#define EPF_VIRTIO_MAX_QUEUES		16
#define EPF_VIRTIO_MAX_QUEUE_SIZE	1024
#define EPF_VIRTIO_MAX_DELAY_US		1000000

/* The BARs, see layout.c */
#define EPF_VIRTIO_BAR_REGS		BAR_0
#define EPF_VIRTIO_BAR_MSIX		BAR_1
#define EPF_VIRTIO_BAR_CONFIG		BAR_2
#define EPF_VIRTIO_BAR_BELLS		BAR_3

/* Structures in EPF_VIRTIO_BAR_REGS */
#define EPF_VIRTIO_COMMON		0x0000
#define EPF_VIRTIO_COMMON_SIZE		0x40
#define EPF_VIRTIO_ISR			0x1000
#define EPF_VIRTIO_CONFIG		0x2000
#define EPF_VIRTIO_NOTIFY		0x3000
#define EPF_VIRTIO_REGS_SIZE		0x4000

/* Distance between the notify addresses of two queues */
#define EPF_VIRTIO_NOTIFY_STRIDE	4
#define EPF_VIRTIO_CONFIG_MAX		SZ_4K

/**
 * enum epf_virtio_state - what the device does
 * @EPF_VIRTIO_RESET: nothing; device_status is 0
 * @EPF_VIRTIO_FEATURES: the driver of the host chooses features
 * @EPF_VIRTIO_QUEUES: FEATURES_OK: it sets queues up
 * @EPF_VIRTIO_STARTING: DRIVER_OK: @control starts queues and back end
 * @EPF_VIRTIO_RUNNING: the queues work
 * @EPF_VIRTIO_BROKEN: after an error: NEEDS_RESET
 * @EPF_VIRTIO_STOPPING: a reset: @control ends all work
 */
enum epf_virtio_state {
	EPF_VIRTIO_RESET,
	EPF_VIRTIO_FEATURES,
	EPF_VIRTIO_QUEUES,
	EPF_VIRTIO_STARTING,
	EPF_VIRTIO_RUNNING,
	EPF_VIRTIO_BROKEN,
	EPF_VIRTIO_STOPPING,
};

/**
 * enum epf_virtio_queue_state - what a queue does
 * @EPF_VIRTIO_QUEUE_OFF: nothing; its registers can be written
 * @EPF_VIRTIO_QUEUE_ENABLED: queue_enable is 1, and the ring was not opened yet
 * @EPF_VIRTIO_QUEUE_LIVE: the ring is open
 * @EPF_VIRTIO_QUEUE_RESETTING: queue_reset is 1: @control closes the ring
 */
enum epf_virtio_queue_state {
	EPF_VIRTIO_QUEUE_OFF,
	EPF_VIRTIO_QUEUE_ENABLED,
	EPF_VIRTIO_QUEUE_LIVE,
	EPF_VIRTIO_QUEUE_RESETTING,
};

/* Addresses of a queue, in the order of their registers */
enum epf_virtio_address {
	EPF_VIRTIO_DESC,
	EPF_VIRTIO_DRIVER,
	EPF_VIRTIO_DEVICE,
	EPF_VIRTIO_ADDRESSES,
};

/**
 * struct epf_virtio_queue - a queue
 * @ev: the device
 * @index: its number
 * @state: under epf_virtio.lock; its work reads it without
 * @size: register queue_size
 * @vector: register queue_msix_vector
 * @address: registers queue_desc, queue_driver, queue_device
 * @notify_off: register queue_notify_off
 * @ring: the ring, while it is open
 * @work: handles what the host made available
 * @bell: its doorbell, NULL if notifications are accesses to the trapped BAR
 * @bell_irq: the interrupt of @bell is requested
 * @kicks: notifications of the host
 * @chains: chains that were taken
 * @interrupts: interrupts that were raised
 */
struct epf_virtio_queue {
	struct epf_virtio *ev;
	unsigned int index;
	enum epf_virtio_queue_state state;
	u16 size;
	u16 vector;
	u64 address[EPF_VIRTIO_ADDRESSES];
	u16 notify_off;
	struct epf_vring ring;
	struct work_struct work;
	struct pci_epc_ext_doorbell *bell;
	bool bell_irq;
	atomic_t kicks;
	atomic_t chains;
	atomic_t interrupts;
};

/**
 * struct epf_virtio_options - attributes, which are constant while bound, all but
 *	the last
 * @ops: the back end, NULL until the user has chosen one
 * @queue_size: largest size of a queue, 0 for that of the back end
 * @trap: BAR 0 is trapped; without, it is memory that is polled
 * @doorbells: notifications ring doorbells if the controller has some
 * @notification_data: VIRTIO_F_NOTIFICATION_DATA is offered with doorbells
 * @access_platform: VIRTIO_F_ACCESS_PLATFORM is offered
 * @capabilities: the vendor capabilities are there
 * @backing: path of what the back end keeps its data in, NULL if there is none
 * @read_only: the host may not change it
 * @net: of a network device
 * @trap_delay_us: time that each read of a register takes
 */
struct epf_virtio_options {
	const struct epf_virtio_ops *ops;
	u32 queue_size;
	bool trap;
	bool doorbells;
	bool notification_data;
	bool access_platform;
	bool capabilities;
	char *backing;
	bool read_only;
	struct epf_virtio_net_options net;
	u32 trap_delay_us;
};

/**
 * struct epf_virtio - a device
 * @epf: its endpoint function
 * @func: its handle of pci-epc-ext.h, NULL while not bound
 * @group: its attributes in configfs
 * @header: its PCI header
 * @options: its attributes
 * @data: of the back end
 * @dir: its directory in debugfs
 * @wq: runs the works of the queues and @poll
 * @control_wq: runs @control
 * @trap_target: target of a trapped BAR
 * @regs_mem: content of EPF_VIRTIO_BAR_REGS if that is memory
 * @config: the device configuration
 * @vectors: number of MSI-X vectors, 0 if the controller has no MSI-X
 * @bells: doorbells are in use
 * @control: does what @state and the states of queues ask for
 * @poll: looks for changes of @regs_mem
 * @lock: guards all that follows
 * @bound: the options cannot be changed
 * @started: the back end was started; used by @control only
 * @state: the work of a queue reads it without the lock
 * @offered: features of the device
 * @accepted: features that the driver of the host has chosen
 * @device_feature_select: the register
 * @driver_feature_select: the register
 * @config_vector: register config_msix_vector
 * @queue_select: the register
 * @status: register device_status
 * @generation: register config_generation
 * @isr: register ISR status
 * @polled: what @regs_mem had when @poll looked last
 * @reads: accesses to the common configuration
 * @writes: the same
 * @resets: how often the host has reset the device, by any means
 * @errors: how often the device broke
 * @num_queues: number of queues
 * @queue: the queues
 */
struct epf_virtio {
	struct pci_epf *epf;
	struct pci_epc_ext_func *func;
	struct config_group group;
	struct pci_epf_header header;
	struct epf_virtio_options options;
	void *data;
	struct dentry *dir;
	struct workqueue_struct *wq;
	struct workqueue_struct *control_wq;
	dma_addr_t trap_target;
	u8 *regs_mem;
	u8 *config;
	u16 vectors;
	bool bells;
	struct work_struct control;
	struct delayed_work poll;
	struct mutex lock;	/* registers and states */
	bool bound;
	bool started;
	enum epf_virtio_state state;
	u64 offered;
	u64 accepted;
	u32 device_feature_select;
	u32 driver_feature_select;
	u16 config_vector;
	u16 queue_select;
	u8 status;
	u8 generation;
	u8 isr;
	u8 polled[EPF_VIRTIO_COMMON_SIZE];
	u32 reads;
	u32 writes;
	u32 resets;
	u32 errors;
	unsigned int num_queues;
	struct epf_virtio_queue queue[EPF_VIRTIO_MAX_QUEUES];
};

static inline u16 epf_virtio_max_queue_size(struct epf_virtio *ev)
{
	return ev->options.queue_size ? : ev->options.ops->queue_size;
}

/* ---- attrs.c ---- */

extern const struct config_item_type epf_virtio_group_type;
void epf_virtio_show(struct epf_virtio *ev);
void epf_virtio_debugfs_init(void);
void epf_virtio_debugfs_exit(void);

/* ---- layout.c ---- */

/* Memory, the trap and the doorbells of the device, before epc_init(). */
int epf_virtio_layout_open(struct epf_virtio *ev);

/*
 * Undoes it.  No access of the host and no interrupt of a doorbell comes after
 * this.
 */
void epf_virtio_layout_close(struct epf_virtio *ev);

/* Frees the memory, when nothing uses it any more. */
void epf_virtio_layout_free(struct epf_virtio *ev);

/* Describes the device to the controller, in epc_init(). */
int epf_virtio_layout_describe(struct epf_virtio *ev);

/* Releases the interrupts of doorbells; may be called several times. */
void epf_virtio_bells_release(struct epf_virtio *ev);

/* ---- regs.c ---- */

extern const struct pci_epc_ext_trap_ops epf_virtio_trap_ops;
void epf_virtio_poll_start(struct epf_virtio *ev);
void epf_virtio_poll_stop(struct epf_virtio *ev);

/* ---- state.c ---- */

void epf_virtio_control(struct work_struct *work);
void epf_virtio_write_status(struct epf_virtio *ev, u8 status);
void epf_virtio_enable_queue(struct epf_virtio_queue *q);
void epf_virtio_reset_queue(struct epf_virtio_queue *q);
bool epf_virtio_may_set_features(struct epf_virtio *ev);
bool epf_virtio_may_set_queue(struct epf_virtio_queue *q);

/*
 * The host has reset the device, or is gone.  Takes the lock, and does not wait
 * for the end of the work.
 */
void epf_virtio_reset(struct epf_virtio *ev);

/* The same, and waits. */
void epf_virtio_reset_wait(struct epf_virtio *ev);

/* ---- queue.c ---- */

void epf_virtio_queues_init(struct epf_virtio *ev);
int epf_virtio_queue_open(struct epf_virtio_queue *q);
void epf_virtio_queue_close(struct epf_virtio_queue *q);
void epf_virtio_raise_config(struct epf_virtio *ev);
/* Returns -EOPNOTSUPP if INTx has to be a pulse.  The caller holds @lock. */
int epf_virtio_set_isr(struct epf_virtio *ev, u8 isr);

/* Ends the device after an error: NEEDS_RESET. */
void epf_virtio_break(struct epf_virtio *ev, int error, const char *what);

#endif /* EPF_VIRTIO_DEVICE_H */
