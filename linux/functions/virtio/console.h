/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Console device: what its two files share
 *
 * console.c      the back end: queues, device configuration
 * console-tty.c  the tty of this machine
 *
 * Flow.  What happens to bytes of the host depends on &enum
 * epf_virtio_console_flow.  Linux sends with interrupts disabled and spins until
 * the device has used the chain, so a chain is never kept for longer than
 * EPF_VIRTIO_CONSOLE_PATIENCE.
 *
 *   CLOSED   the tty is opened      -> FLOWING
 *   FLOWING  the tty has no room    -> WAITING
 *   WAITING  the tty has room       -> FLOWING
 *   WAITING  the patience is over   -> LOSING
 *   LOSING   the tty has room       -> FLOWING
 *   any      the tty is closed      -> CLOSED
 *
 * Life.  A process may have the tty open for longer than the device exists.  So
 * references of the tty_port keep &struct epf_virtio_console, whose member @ev is
 * NULL when the device has gone.
 */
#ifndef EPF_VIRTIO_CONSOLE_H
#define EPF_VIRTIO_CONSOLE_H

#include <linux/kfifo.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/tty.h>
#include <linux/tty_port.h>
#include <linux/workqueue.h>
#include <uapi/linux/virtio_console.h>

#include "virtio.h"

/* Queues without VIRTIO_CONSOLE_F_MULTIPORT (section 5.3.2) */
#define EPF_VIRTIO_CONSOLE_TO_HOST	0
#define EPF_VIRTIO_CONSOLE_FROM_HOST	1
#define EPF_VIRTIO_CONSOLE_QUEUES	2

/* Bytes that one transfer moves */
#define EPF_VIRTIO_CONSOLE_BUF		SZ_4K

/**
 * enum epf_virtio_console_flow - what happens to bytes of the host
 * @EPF_VIRTIO_CONSOLE_CLOSED: nobody has the tty open: they are dropped
 * @EPF_VIRTIO_CONSOLE_FLOWING: the tty takes them
 * @EPF_VIRTIO_CONSOLE_WAITING: they stay in the host's memory
 * @EPF_VIRTIO_CONSOLE_LOSING: nobody reads the tty: they are dropped and counted
 */
enum epf_virtio_console_flow {
	EPF_VIRTIO_CONSOLE_CLOSED,
	EPF_VIRTIO_CONSOLE_FLOWING,
	EPF_VIRTIO_CONSOLE_WAITING,
	EPF_VIRTIO_CONSOLE_LOSING,
};

/**
 * struct epf_virtio_console - a device
 * @port: its tty
 * @index: number of the tty
 * @again: looks whether the tty has room; runs while WAITING
 * @in: bytes from the host; the work of its queue only
 * @ext: extents of @chain; the same
 * @chain: a chain of the host that is not yet used; the same
 * @at: bytes of @chain that the tty has; the same
 * @taken: there is such a chain; the same
 * @out: bytes for the host; the work of its queue only
 * @out_at: the first of them that the host does not have; the same
 * @config: what the host reads, under @life
 * @life: held while @ev is used in a context that may sleep
 * @lock: guards all that follows; @life too where @ev changes
 * @ev: the device, NULL when it has gone
 * @flow: what happens to bytes of the host
 * @deadline: in jiffies, while WAITING
 * @carrier: the driver of the host is there
 * @stopped: the user has stopped the output
 * @fifo: bytes for the host
 * @out_len: bytes of @out, 0 if the host has them all
 * @received: bytes that the tty has got
 * @sent: bytes that the host has got
 * @lost: bytes that were dropped while LOSING
 */
struct epf_virtio_console {
	struct tty_port port;
	u32 index;
	struct delayed_work again;
	u8 *in;
	struct epf_vring_extent *ext;
	struct epf_vring_chain chain;
	u64 at;
	bool taken;
	u8 *out;
	unsigned int out_at;
	struct virtio_console_config config;
	struct mutex life;	/* the device, for what may sleep */
	spinlock_t lock;	/* the device, and what both sides change */
	struct epf_virtio *ev;
	enum epf_virtio_console_flow flow;
	unsigned long deadline;
	bool carrier;
	bool stopped;
	DECLARE_KFIFO_PTR(fifo, u8);
	unsigned int out_len;
	u32 received;
	u32 sent;
	u32 lost;
};

/* Has the work of a queue run.  The caller holds @lock. */
void epf_virtio_console_kick(struct epf_virtio_console *c, unsigned int queue);

/* Tells the host the size of the terminal.  May sleep; the caller holds @life. */
void epf_virtio_console_set_size(struct epf_virtio_console *c, u16 rows,
				 u16 cols);

/* ---- console-tty.c ---- */

/* Makes the first reference of the port, before all other calls. */
void epf_virtio_console_init(struct epf_virtio_console *c);

/* Gives that reference back.  The last one frees @c and all its memory. */
void epf_virtio_console_put(struct epf_virtio_console *c);

/* Makes the tty of the device. */
int epf_virtio_console_register(struct epf_virtio_console *c,
				struct epf_virtio *ev);

/*
 * Hangs up the tty and removes it.  Afterwards nothing uses the device any more.
 * May sleep.
 */
void epf_virtio_console_unregister(struct epf_virtio_console *c);

/*
 * The driver of the host comes or goes.  When it goes, what it did not get is
 * lost, and the tty is hung up unless the user has set CLOCAL.  May sleep.
 */
void epf_virtio_console_carrier(struct epf_virtio_console *c, bool on);

#endif /* EPF_VIRTIO_CONSOLE_H */
