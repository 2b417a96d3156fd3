// SPDX-License-Identifier: GPL-2.0
/*
 * Console device (virtio specification, section 5.3): a tty of this machine
 *
 * The device has one port.  VIRTIO_CONSOLE_F_SIZE tells the host how large the
 * terminal is.
 */
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tty_flip.h>
#include <uapi/linux/virtio_ids.h>

#include "console.h"

#define EPF_VIRTIO_CONSOLE_SIZE		64	/* entries of a queue */
#define EPF_VIRTIO_CONSOLE_FIFO		SZ_16K

/*
 * A CPU of the host may spin for so long.  It is well below the 20 seconds after
 * which watchdogs of Linux report that CPU.
 */
#define EPF_VIRTIO_CONSOLE_PATIENCE	(5 * HZ)

/*
 * The line discipline says when it takes bytes again.  The buffer of the tty, which
 * is between, does not say when it has room.
 */
#define EPF_VIRTIO_CONSOLE_AGAIN	msecs_to_jiffies(10)

/* The terminal before anyone says how large it is */
#define EPF_VIRTIO_CONSOLE_ROWS		24
#define EPF_VIRTIO_CONSOLE_COLS		80

void epf_virtio_console_kick(struct epf_virtio_console *c, unsigned int queue)
{
	lockdep_assert_held(&c->lock);

	if (c->ev)
		epf_virtio_kick(epf_virtio_queue(c->ev, queue));
}

void epf_virtio_console_set_size(struct epf_virtio_console *c, u16 rows,
				 u16 cols)
{
	struct virtio_console_config config = {
		.cols = (__force __virtio16)cpu_to_le16(cols),
		.rows = (__force __virtio16)cpu_to_le16(rows),
	};

	lockdep_assert_held(&c->life);

	if (!c->ev || !memcmp(&c->config, &config, sizeof(config)))
		return;
	c->config = config;
	epf_virtio_set_config(c->ev, 0, &config, sizeof(config));
}

/* ---- From the host ---- */

static void epf_virtio_console_again(struct work_struct *work)
{
	struct epf_virtio_console *c =
		container_of(work, struct epf_virtio_console, again.work);

	guard(spinlock_irqsave)(&c->lock);
	epf_virtio_console_kick(c, EPF_VIRTIO_CONSOLE_FROM_HOST);
}

static enum epf_virtio_console_flow
epf_virtio_console_look(struct epf_virtio_console *c)
{
	bool room = tty_buffer_space_avail(&c->port);

	guard(spinlock_irqsave)(&c->lock);
	if (c->flow == EPF_VIRTIO_CONSOLE_CLOSED)
		return c->flow;
	if (room) {
		c->flow = EPF_VIRTIO_CONSOLE_FLOWING;
	} else if (c->flow == EPF_VIRTIO_CONSOLE_FLOWING) {
		c->flow = EPF_VIRTIO_CONSOLE_WAITING;
		c->deadline = jiffies + EPF_VIRTIO_CONSOLE_PATIENCE;
	} else if (c->flow == EPF_VIRTIO_CONSOLE_WAITING &&
		   time_after(jiffies, c->deadline)) {
		c->flow = EPF_VIRTIO_CONSOLE_LOSING;
	}
	return c->flow;
}

/*
 * Gives the tty some bytes of the chain.  Returns their number, which is 0 when
 * the tty has no memory, or an error of the transfer.
 */
static int epf_virtio_console_insert(struct epf_virtio_console *c,
				     struct epf_virtio_queue *q)
{
	size_t len = min3(c->chain.read_len - c->at,
			  (u64)tty_buffer_space_avail(&c->port),
			  (u64)EPF_VIRTIO_CONSOLE_BUF);
	size_t taken;
	int ret;

	if (!len)
		return 0;
	ret = epf_virtio_chain_read(q, &c->chain, c->at, c->in, len);
	if (ret)
		return ret;
	taken = tty_insert_flip_string(&c->port, c->in, len);
	tty_flip_buffer_push(&c->port);
	c->at += taken;
	guard(spinlock_irqsave)(&c->lock);
	c->received += taken;
	return taken;
}

static void epf_virtio_console_drop(struct epf_virtio_console *c, bool count)
{
	guard(spinlock_irqsave)(&c->lock);
	if (count)
		c->lost += c->chain.read_len - c->at;
	c->at = c->chain.read_len;
}

/* Returns bytes that are done with, 0 when they have to wait, or an error. */
static int epf_virtio_console_pass(struct epf_virtio_console *c,
				   struct epf_virtio_queue *q)
{
	enum epf_virtio_console_flow flow = epf_virtio_console_look(c);

	switch (flow) {
	case EPF_VIRTIO_CONSOLE_FLOWING:
		return epf_virtio_console_insert(c, q);
	case EPF_VIRTIO_CONSOLE_WAITING:
		return 0;
	default:
		epf_virtio_console_drop(c, flow == EPF_VIRTIO_CONSOLE_LOSING);
		return 1;
	}
}

/* Returns 1 when the chain is done, EPF_VIRTIO_WAITS, or an error. */
static int epf_virtio_console_deliver(struct epf_virtio_console *c,
				      struct epf_virtio_queue *q)
{
	int ret;

	while (c->at < c->chain.read_len) {
		ret = epf_virtio_console_pass(c, q);
		if (ret < 0)
			return ret;
		if (ret)
			continue;
		schedule_delayed_work(&c->again, EPF_VIRTIO_CONSOLE_AGAIN);
		return EPF_VIRTIO_WAITS;
	}
	c->taken = false;
	ret = epf_virtio_used(q, c->chain.head, 0);
	return ret ? ret : 1;
}

/* The extents of a chain are valid until the next turn only, so they are kept. */
static int epf_virtio_console_take(struct epf_virtio_console *c,
				   struct epf_virtio_queue *q)
{
	int ret = epf_virtio_next(q, &c->chain);

	if (ret <= 0)
		return ret;
	memcpy(c->ext, c->chain.ext, c->chain.nread * sizeof(*c->ext));
	c->chain.ext = c->ext;
	c->at = 0;
	c->taken = true;
	return 1;
}

static int epf_virtio_console_receive(struct epf_virtio_console *c,
				      struct epf_virtio_queue *q)
{
	int ret = c->taken ? 1 : epf_virtio_console_take(c, q);

	return ret > 0 ? epf_virtio_console_deliver(c, q) : ret;
}

/* ---- To the host ---- */

/* Has @out filled, and returns how many of its bytes the host does not have. */
static unsigned int epf_virtio_console_fill(struct epf_virtio_console *c)
{
	guard(spinlock_irqsave)(&c->lock);
	if (c->stopped)
		return 0;
	if (!c->out_len) {
		c->out_len = kfifo_out(&c->fifo, c->out,
				       EPF_VIRTIO_CONSOLE_BUF);
		c->out_at = 0;
	}
	return c->out_len - c->out_at;
}

static void epf_virtio_console_sent(struct epf_virtio_console *c,
				    unsigned int len)
{
	scoped_guard(spinlock_irqsave, &c->lock) {
		c->sent += len;
		c->out_at += len;
		if (c->out_at == c->out_len)
			c->out_len = 0;
	}
	tty_port_tty_wakeup(&c->port);
}

/* Returns what epf_virtio_ops.work() does. */
static int epf_virtio_console_send(struct epf_virtio_console *c,
				   struct epf_virtio_queue *q)
{
	unsigned int len = epf_virtio_console_fill(c);
	struct epf_vring_chain chain;
	int ret;

	if (!len)
		return EPF_VIRTIO_WAITS;
	ret = epf_virtio_next(q, &chain);
	if (ret <= 0)
		return ret;
	len = min_t(u64, len, chain.write_len);
	if (len) {
		ret = epf_virtio_chain_write(q, &chain, 0, c->out + c->out_at,
					     len);
		if (ret)
			return ret;
		epf_virtio_console_sent(c, len);
	}
	ret = epf_virtio_used(q, chain.head, len);
	return ret ? ret : 1;
}

/* ---- The back end ---- */

static int epf_virtio_console_work(struct epf_virtio_queue *q)
{
	struct epf_virtio_console *c = epf_virtio_data(epf_virtio_of(q));
	bool to_host = epf_virtio_queue_index(q) ==
		       EPF_VIRTIO_CONSOLE_TO_HOST;
	unsigned int n;
	int ret = 1;

	for (n = 0; ret == 1 && n < EPF_VIRTIO_BUDGET; n++)
		ret = to_host ? epf_virtio_console_send(c, q) :
				epf_virtio_console_receive(c, q);
	return ret;
}

static int epf_virtio_console_start(struct epf_virtio *ev)
{
	epf_virtio_console_carrier(epf_virtio_data(ev), true);
	return 0;
}

static void epf_virtio_console_forget(struct epf_virtio_console *c)
{
	cancel_delayed_work_sync(&c->again);
	c->taken = false;
}

static void epf_virtio_console_stop(struct epf_virtio *ev)
{
	struct epf_virtio_console *c = epf_virtio_data(ev);

	epf_virtio_console_forget(c);
	epf_virtio_console_carrier(c, false);
}

static void epf_virtio_console_reset_queue(struct epf_virtio_queue *q)
{
	if (epf_virtio_queue_index(q) == EPF_VIRTIO_CONSOLE_FROM_HOST)
		epf_virtio_console_forget(epf_virtio_data(epf_virtio_of(q)));
}

static int epf_virtio_console_alloc(struct epf_virtio *ev,
				    struct epf_virtio_console *c)
{
	c->in = kmalloc(EPF_VIRTIO_CONSOLE_BUF, GFP_KERNEL);
	c->out = kmalloc(EPF_VIRTIO_CONSOLE_BUF, GFP_KERNEL);
	c->ext = kcalloc(epf_virtio_queue_size(ev), sizeof(*c->ext),
			 GFP_KERNEL);
	if (!c->in || !c->out || !c->ext)
		return -ENOMEM;
	return kfifo_alloc(&c->fifo, EPF_VIRTIO_CONSOLE_FIFO, GFP_KERNEL);
}

static int epf_virtio_console_open(struct epf_virtio *ev)
{
	struct epf_virtio_console *c = kzalloc(sizeof(*c), GFP_KERNEL);
	int ret;

	if (!c)
		return -ENOMEM;
	mutex_init(&c->life);
	spin_lock_init(&c->lock);
	INIT_DELAYED_WORK(&c->again, epf_virtio_console_again);
	epf_virtio_console_init(c);
	ret = epf_virtio_console_alloc(ev, c);
	if (!ret)
		ret = epf_virtio_console_register(c, ev);
	if (ret) {
		epf_virtio_console_put(c);
		return ret;
	}
	epf_virtio_set_data(ev, c);
	guard(mutex)(&c->life);
	epf_virtio_console_set_size(c, EPF_VIRTIO_CONSOLE_ROWS,
				    EPF_VIRTIO_CONSOLE_COLS);
	return 0;
}

static void epf_virtio_console_close(struct epf_virtio *ev)
{
	struct epf_virtio_console *c = epf_virtio_data(ev);

	epf_virtio_console_unregister(c);
	epf_virtio_console_put(c);
}

const struct epf_virtio_ops epf_virtio_console_ops = {
	.name = "console",
	.device_type = VIRTIO_ID_CONSOLE,
	.class_code = 0x078000,
	.features = BIT_ULL(VIRTIO_CONSOLE_F_SIZE),
	.queues = EPF_VIRTIO_CONSOLE_QUEUES,
	.queue_size = EPF_VIRTIO_CONSOLE_SIZE,
	.config_size = sizeof(struct virtio_console_config),
	.open = epf_virtio_console_open,
	.close = epf_virtio_console_close,
	.start = epf_virtio_console_start,
	.stop = epf_virtio_console_stop,
	.reset_queue = epf_virtio_console_reset_queue,
	.work = epf_virtio_console_work,
};
