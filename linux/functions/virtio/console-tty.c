// SPDX-License-Identifier: GPL-2.0
/*
 * Console device: the tty of this machine
 *
 * It is a serial line, /dev/ttyVEP0 and so on.  The driver of the host is its
 * carrier: an open() waits for it, and the line is hung up when it goes, unless
 * CLOCAL is set.  Without a carrier, output is lost.
 *
 * A line begins without echo.  Otherwise whatever the host prints would return to
 * it as input.
 */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/serial.h>
#include <linux/slab.h>
#include <linux/tty.h>
#include <linux/tty_driver.h>
#include <linux/xarray.h>

#include "console.h"

#define EPF_VIRTIO_CONSOLE_TTYS		64

static struct tty_driver *epf_virtio_console_driver;

/* Ttys by number.  A number is taken until the last process has left its tty. */
static DEFINE_XARRAY_ALLOC(epf_virtio_consoles);

static struct epf_virtio_console *
epf_virtio_console_of(struct tty_port *port)
{
	return container_of(port, struct epf_virtio_console, port);
}

/* ---- The port ---- */

static bool epf_virtio_console_raised(struct tty_port *port)
{
	struct epf_virtio_console *c = epf_virtio_console_of(port);

	guard(spinlock_irqsave)(&c->lock);
	return c->carrier;
}

static int epf_virtio_console_activate(struct tty_port *port,
				       struct tty_struct *tty)
{
	struct epf_virtio_console *c = epf_virtio_console_of(port);

	guard(spinlock_irqsave)(&c->lock);
	if (!c->ev)
		return -ENODEV;
	c->flow = EPF_VIRTIO_CONSOLE_FLOWING;
	c->stopped = false;
	return 0;
}

static void epf_virtio_console_shutdown(struct tty_port *port)
{
	struct epf_virtio_console *c = epf_virtio_console_of(port);

	guard(spinlock_irqsave)(&c->lock);
	c->flow = EPF_VIRTIO_CONSOLE_CLOSED;
	kfifo_reset(&c->fifo);
	epf_virtio_console_kick(c, EPF_VIRTIO_CONSOLE_FROM_HOST);
}

static void epf_virtio_console_destruct(struct tty_port *port)
{
	struct epf_virtio_console *c = epf_virtio_console_of(port);

	if (c->index < EPF_VIRTIO_CONSOLE_TTYS)
		xa_erase(&epf_virtio_consoles, c->index);
	kfifo_free(&c->fifo);
	kfree(c->ext);
	kfree(c->out);
	kfree(c->in);
	kfree(c);
}

static const struct tty_port_operations epf_virtio_console_port_ops = {
	.carrier_raised = epf_virtio_console_raised,
	.activate = epf_virtio_console_activate,
	.shutdown = epf_virtio_console_shutdown,
	.destruct = epf_virtio_console_destruct,
};

/* ---- Begin and end of the tty ---- */

static struct epf_virtio_console *epf_virtio_console_find(unsigned int index)
{
	struct epf_virtio_console *c;

	xa_lock(&epf_virtio_consoles);
	c = xa_load(&epf_virtio_consoles, index);
	if (c && !tty_port_get(&c->port))
		c = NULL;
	xa_unlock(&epf_virtio_consoles);
	return c;
}

static int epf_virtio_console_install(struct tty_driver *driver,
				      struct tty_struct *tty)
{
	struct epf_virtio_console *c = epf_virtio_console_find(tty->index);
	int ret;

	if (!c)
		return -ENODEV;
	ret = tty_port_install(&c->port, driver, tty);
	if (ret) {
		tty_port_put(&c->port);
		return ret;
	}
	tty->driver_data = c;
	guard(mutex)(&c->life);
	tty->winsize.ws_row = le16_to_cpu((__force __le16)c->config.rows);
	tty->winsize.ws_col = le16_to_cpu((__force __le16)c->config.cols);
	return 0;
}

static void epf_virtio_console_cleanup(struct tty_struct *tty)
{
	tty_port_put(tty->port);
}

static int epf_virtio_console_tty_open(struct tty_struct *tty,
				       struct file *file)
{
	return tty_port_open(tty->port, tty, file);
}

static void epf_virtio_console_tty_close(struct tty_struct *tty,
					 struct file *file)
{
	tty_port_close(tty->port, tty, file);
}

static void epf_virtio_console_hangup(struct tty_struct *tty)
{
	tty_port_hangup(tty->port);
}

/* ---- Output ---- */

static ssize_t epf_virtio_console_write(struct tty_struct *tty, const u8 *buf,
					size_t count)
{
	struct epf_virtio_console *c = tty->driver_data;

	guard(spinlock_irqsave)(&c->lock);
	if (!c->carrier)
		return count;
	count = kfifo_in(&c->fifo, buf, count);
	epf_virtio_console_kick(c, EPF_VIRTIO_CONSOLE_TO_HOST);
	return count;
}

static unsigned int epf_virtio_console_write_room(struct tty_struct *tty)
{
	struct epf_virtio_console *c = tty->driver_data;

	guard(spinlock_irqsave)(&c->lock);
	return kfifo_avail(&c->fifo);
}

static unsigned int epf_virtio_console_unsent(struct tty_struct *tty)
{
	struct epf_virtio_console *c = tty->driver_data;

	guard(spinlock_irqsave)(&c->lock);
	return kfifo_len(&c->fifo) + c->out_len;
}

static void epf_virtio_console_flush(struct tty_struct *tty)
{
	struct epf_virtio_console *c = tty->driver_data;

	scoped_guard(spinlock_irqsave, &c->lock)
		kfifo_reset(&c->fifo);
	tty_wakeup(tty);
}

static void epf_virtio_console_tty_stop(struct tty_struct *tty)
{
	struct epf_virtio_console *c = tty->driver_data;

	guard(spinlock_irqsave)(&c->lock);
	c->stopped = true;
}

static void epf_virtio_console_tty_start(struct tty_struct *tty)
{
	struct epf_virtio_console *c = tty->driver_data;

	guard(spinlock_irqsave)(&c->lock);
	c->stopped = false;
	epf_virtio_console_kick(c, EPF_VIRTIO_CONSOLE_TO_HOST);
}

/* ---- Input ---- */

/*
 * While the line discipline has no room the buffer of the tty fills, and then the
 * host waits.  So nothing need be done when it throttles the line.
 */
static void epf_virtio_console_unthrottle(struct tty_struct *tty)
{
	struct epf_virtio_console *c = tty->driver_data;

	guard(spinlock_irqsave)(&c->lock);
	epf_virtio_console_kick(c, EPF_VIRTIO_CONSOLE_FROM_HOST);
}

/* ---- The terminal and the line ---- */

static int epf_virtio_console_resize(struct tty_struct *tty,
				     struct winsize *ws)
{
	struct epf_virtio_console *c = tty->driver_data;
	int ret;

	guard(mutex)(&c->life);
	ret = tty_do_resize(tty, ws);
	if (!ret)
		epf_virtio_console_set_size(c, ws->ws_row, ws->ws_col);
	return ret;
}

static int epf_virtio_console_tiocmget(struct tty_struct *tty)
{
	return epf_virtio_console_raised(tty->port) ?
	       TIOCM_CAR | TIOCM_DSR | TIOCM_CTS : 0;
}

static int epf_virtio_console_icount(struct tty_struct *tty,
				     struct serial_icounter_struct *icount)
{
	struct epf_virtio_console *c = tty->driver_data;

	guard(spinlock_irqsave)(&c->lock);
	icount->rx = c->received;
	icount->tx = c->sent;
	icount->buf_overrun = c->lost;
	return 0;
}

static const struct tty_operations epf_virtio_console_tty_ops = {
	.install = epf_virtio_console_install,
	.cleanup = epf_virtio_console_cleanup,
	.open = epf_virtio_console_tty_open,
	.close = epf_virtio_console_tty_close,
	.hangup = epf_virtio_console_hangup,
	.write = epf_virtio_console_write,
	.write_room = epf_virtio_console_write_room,
	.chars_in_buffer = epf_virtio_console_unsent,
	.flush_buffer = epf_virtio_console_flush,
	.stop = epf_virtio_console_tty_stop,
	.start = epf_virtio_console_tty_start,
	.unthrottle = epf_virtio_console_unthrottle,
	.resize = epf_virtio_console_resize,
	.tiocmget = epf_virtio_console_tiocmget,
	.get_icount = epf_virtio_console_icount,
};

/* ---- The tty of a device ---- */

void epf_virtio_console_init(struct epf_virtio_console *c)
{
	c->index = EPF_VIRTIO_CONSOLE_TTYS;
	tty_port_init(&c->port);
	c->port.ops = &epf_virtio_console_port_ops;
}

void epf_virtio_console_put(struct epf_virtio_console *c)
{
	tty_port_put(&c->port);
}

static void epf_virtio_console_set_device(struct epf_virtio_console *c,
					  struct epf_virtio *ev)
{
	guard(mutex)(&c->life);
	guard(spinlock_irqsave)(&c->lock);
	c->ev = ev;
}

int epf_virtio_console_register(struct epf_virtio_console *c,
				struct epf_virtio *ev)
{
	struct device *parent = epf_virtio_device(ev);
	struct device *dev;
	u32 index;
	int ret;

	ret = xa_alloc(&epf_virtio_consoles, &index, c,
		       XA_LIMIT(0, EPF_VIRTIO_CONSOLE_TTYS - 1), GFP_KERNEL);
	if (ret)
		return ret;
	c->index = index;
	epf_virtio_console_set_device(c, ev);
	dev = tty_port_register_device(&c->port, epf_virtio_console_driver,
				       index, parent);
	if (IS_ERR(dev)) {
		epf_virtio_console_set_device(c, NULL);
		return PTR_ERR(dev);
	}
	dev_info(parent, "the console of the host is %s\n", dev_name(dev));
	return 0;
}

/*
 * Without the device no open() succeeds any more, so the hangup gets the last tty
 * that there was.
 */
void epf_virtio_console_unregister(struct epf_virtio_console *c)
{
	struct tty_struct *tty;

	epf_virtio_console_carrier(c, false);
	epf_virtio_console_set_device(c, NULL);
	cancel_delayed_work_sync(&c->again);
	scoped_guard(mutex, &c->port.mutex)
		tty = tty_port_tty_get(&c->port);
	if (tty) {
		tty_vhangup(tty);
		tty_kref_put(tty);
	}
	tty_unregister_device(epf_virtio_console_driver, c->index);
}

void epf_virtio_console_carrier(struct epf_virtio_console *c, bool on)
{
	scoped_guard(spinlock_irqsave, &c->lock) {
		c->carrier = on;
		if (!on) {
			kfifo_reset(&c->fifo);
			c->out_len = 0;
		}
	}
	if (on) {
		wake_up_interruptible(&c->port.open_wait);
	} else {
		tty_port_tty_wakeup(&c->port);
		tty_port_tty_hangup(&c->port, true);
	}
}

/* ---- The driver ---- */

int epf_virtio_console_driver_init(void)
{
	struct tty_driver *driver;
	int ret;

	driver = tty_alloc_driver(EPF_VIRTIO_CONSOLE_TTYS,
				  TTY_DRIVER_REAL_RAW | TTY_DRIVER_DYNAMIC_DEV);
	if (IS_ERR(driver))
		return PTR_ERR(driver);
	driver->driver_name = "pci_epf_virtio";
	driver->name = "ttyVEP";
	driver->type = TTY_DRIVER_TYPE_SERIAL;
	driver->subtype = SERIAL_TYPE_NORMAL;
	driver->init_termios = tty_std_termios;
	driver->init_termios.c_iflag = 0;
	driver->init_termios.c_oflag = 0;
	driver->init_termios.c_lflag = 0;
	driver->init_termios.c_cflag = B38400 | CS8 | CREAD | HUPCL;
	tty_set_operations(driver, &epf_virtio_console_tty_ops);
	ret = tty_register_driver(driver);
	if (ret) {
		tty_driver_kref_put(driver);
		return ret;
	}
	epf_virtio_console_driver = driver;
	return 0;
}

void epf_virtio_console_driver_exit(void)
{
	tty_unregister_driver(epf_virtio_console_driver);
	tty_driver_kref_put(epf_virtio_console_driver);
}
