// SPDX-License-Identifier: GPL-2.0
/*
 * Registers: the common configuration and ISR status (sections 4.1.4.3, 4.1.4.5)
 *
 * An access comes from the trap, one at a time, or from a poll of memory when the
 * attribute "trap" is off.  A read needs no more than the members of struct
 * epf_virtio.  A write changes them, and state.c has the work done that follows.
 *
 * With the attribute "trap" off BAR 0 is memory, and a work looks for changes as
 * often as it can.  This is what a controller without traps allows.  It cannot
 * work: the host reads device_feature a microsecond after it has written
 * device_feature_select.
 */
#include <linux/delay.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/unaligned.h>
#include <linux/wordpart.h>
#include <uapi/linux/virtio_config.h>
#include <uapi/linux/virtio_pci.h>

#include "device.h"

#define EPF_VIRTIO_POLL_JIFFIES	1

/**
 * struct epf_virtio_reg - a register of the common configuration
 * @offset: its offset
 * @size: its size in bytes: 1, 2 or 4
 * @read: returns what the host reads; NULL for half of an address
 * @write: takes what the host writes; NULL if the register is read-only, or half
 *	of an address
 */
struct epf_virtio_reg {
	u8 offset;
	u8 size;
	u32 (*read)(struct epf_virtio *ev);
	void (*write)(struct epf_virtio *ev, u32 value);
};

/* ---- Registers of the device ---- */

static u32 epf_virtio_read_dfselect(struct epf_virtio *ev)
{
	return ev->device_feature_select;
}

static void epf_virtio_write_dfselect(struct epf_virtio *ev, u32 value)
{
	ev->device_feature_select = value;
}

/* The word @select of 64 feature bits; all further bits are zero. */
static u32 epf_virtio_feature_word(u64 features, u32 select)
{
	switch (select) {
	case 0:
		return lower_32_bits(features);
	case 1:
		return upper_32_bits(features);
	default:
		return 0;
	}
}

static u32 epf_virtio_read_df(struct epf_virtio *ev)
{
	return epf_virtio_feature_word(ev->offered, ev->device_feature_select);
}

static u32 epf_virtio_read_gfselect(struct epf_virtio *ev)
{
	return ev->driver_feature_select;
}

static void epf_virtio_write_gfselect(struct epf_virtio *ev, u32 value)
{
	ev->driver_feature_select = value;
}

static u32 epf_virtio_read_gf(struct epf_virtio *ev)
{
	return epf_virtio_feature_word(ev->accepted,
				       ev->driver_feature_select);
}

static void epf_virtio_write_gf(struct epf_virtio *ev, u32 value)
{
	u32 shift = 32 * ev->driver_feature_select;

	if (!epf_virtio_may_set_features(ev) || ev->driver_feature_select > 1)
		return;
	ev->accepted &= ~((u64)U32_MAX << shift);
	ev->accepted |= (u64)value << shift;
}

/* A vector that does not exist reads back as none (section 4.1.5.1.2). */
static u16 epf_virtio_check_vector(struct epf_virtio *ev, u32 value)
{
	return value < ev->vectors ? value : VIRTIO_MSI_NO_VECTOR;
}

static u32 epf_virtio_read_msix(struct epf_virtio *ev)
{
	return ev->config_vector;
}

static void epf_virtio_write_msix(struct epf_virtio *ev, u32 value)
{
	WRITE_ONCE(ev->config_vector, epf_virtio_check_vector(ev, value));
}

static u32 epf_virtio_read_numq(struct epf_virtio *ev)
{
	return ev->num_queues;
}

static u32 epf_virtio_read_status(struct epf_virtio *ev)
{
	return ev->status;
}

static void epf_virtio_set_status(struct epf_virtio *ev, u32 value)
{
	epf_virtio_write_status(ev, value);
}

static u32 epf_virtio_read_generation(struct epf_virtio *ev)
{
	return ev->generation;
}

static u32 epf_virtio_read_select(struct epf_virtio *ev)
{
	return ev->queue_select;
}

static void epf_virtio_write_select(struct epf_virtio *ev, u32 value)
{
	ev->queue_select = value;
}

/* ---- Registers of the selected queue ---- */

/* NULL if the host has selected a queue that does not exist. */
static struct epf_virtio_queue *epf_virtio_selected(struct epf_virtio *ev)
{
	return ev->queue_select < ev->num_queues ?
	       &ev->queue[ev->queue_select] : NULL;
}

static u32 epf_virtio_read_size(struct epf_virtio *ev)
{
	struct epf_virtio_queue *q = epf_virtio_selected(ev);

	return q ? q->size : 0;
}

static void epf_virtio_write_size(struct epf_virtio *ev, u32 value)
{
	struct epf_virtio_queue *q = epf_virtio_selected(ev);

	if (q && epf_virtio_may_set_queue(q) && is_power_of_2(value) &&
	    value <= epf_virtio_max_queue_size(ev))
		q->size = value;
}

static u32 epf_virtio_read_vector(struct epf_virtio *ev)
{
	struct epf_virtio_queue *q = epf_virtio_selected(ev);

	return q ? q->vector : VIRTIO_MSI_NO_VECTOR;
}

static void epf_virtio_write_vector(struct epf_virtio *ev, u32 value)
{
	struct epf_virtio_queue *q = epf_virtio_selected(ev);

	if (q)
		WRITE_ONCE(q->vector, epf_virtio_check_vector(ev, value));
}

static u32 epf_virtio_read_enable(struct epf_virtio *ev)
{
	struct epf_virtio_queue *q = epf_virtio_selected(ev);

	return q && q->state != EPF_VIRTIO_QUEUE_OFF;
}

static void epf_virtio_write_enable(struct epf_virtio *ev, u32 value)
{
	struct epf_virtio_queue *q = epf_virtio_selected(ev);

	if (q && value == 1)
		epf_virtio_enable_queue(q);
}

static u32 epf_virtio_read_noff(struct epf_virtio *ev)
{
	struct epf_virtio_queue *q = epf_virtio_selected(ev);

	return q ? q->notify_off : 0;
}

static u32 epf_virtio_read_reset(struct epf_virtio *ev)
{
	struct epf_virtio_queue *q = epf_virtio_selected(ev);

	return q && q->state == EPF_VIRTIO_QUEUE_RESETTING;
}

static void epf_virtio_write_reset(struct epf_virtio *ev, u32 value)
{
	struct epf_virtio_queue *q = epf_virtio_selected(ev);

	if (q && value == 1)
		epf_virtio_reset_queue(q);
}

/*
 * The host writes an address of 64 bits in two halves.  The registers of the three
 * addresses follow one another.
 */
static u64 *epf_virtio_address(struct epf_virtio_queue *q, u8 offset)
{
	return &q->address[(offset - VIRTIO_PCI_COMMON_Q_DESCLO) / sizeof(u64)];
}

static bool epf_virtio_is_high(u8 offset)
{
	return offset & sizeof(u32);
}

static u32 epf_virtio_read_half(struct epf_virtio *ev, u8 offset)
{
	struct epf_virtio_queue *q = epf_virtio_selected(ev);
	u64 address;

	if (!q)
		return 0;
	address = *epf_virtio_address(q, offset);
	return epf_virtio_is_high(offset) ? upper_32_bits(address) :
					    lower_32_bits(address);
}

static void epf_virtio_write_half(struct epf_virtio *ev, u8 offset, u32 value)
{
	struct epf_virtio_queue *q = epf_virtio_selected(ev);
	u64 *address;

	if (!q || !epf_virtio_may_set_queue(q))
		return;
	address = epf_virtio_address(q, offset);
	if (epf_virtio_is_high(offset))
		*address = (u64)value << 32 | lower_32_bits(*address);
	else
		*address = (*address & ~(u64)U32_MAX) | value;
}

/* ---- The table ---- */

/* Sorted by offset.  What is between the registers reads zero. */
static const struct epf_virtio_reg epf_virtio_regs[] = {
	{ VIRTIO_PCI_COMMON_DFSELECT, 4, epf_virtio_read_dfselect,
	  epf_virtio_write_dfselect },
	{ VIRTIO_PCI_COMMON_DF, 4, epf_virtio_read_df, NULL },
	{ VIRTIO_PCI_COMMON_GFSELECT, 4, epf_virtio_read_gfselect,
	  epf_virtio_write_gfselect },
	{ VIRTIO_PCI_COMMON_GF, 4, epf_virtio_read_gf, epf_virtio_write_gf },
	{ VIRTIO_PCI_COMMON_MSIX, 2, epf_virtio_read_msix,
	  epf_virtio_write_msix },
	{ VIRTIO_PCI_COMMON_NUMQ, 2, epf_virtio_read_numq, NULL },
	{ VIRTIO_PCI_COMMON_STATUS, 1, epf_virtio_read_status,
	  epf_virtio_set_status },
	{ VIRTIO_PCI_COMMON_CFGGENERATION, 1, epf_virtio_read_generation,
	  NULL },
	{ VIRTIO_PCI_COMMON_Q_SELECT, 2, epf_virtio_read_select,
	  epf_virtio_write_select },
	{ VIRTIO_PCI_COMMON_Q_SIZE, 2, epf_virtio_read_size,
	  epf_virtio_write_size },
	{ VIRTIO_PCI_COMMON_Q_MSIX, 2, epf_virtio_read_vector,
	  epf_virtio_write_vector },
	{ VIRTIO_PCI_COMMON_Q_ENABLE, 2, epf_virtio_read_enable,
	  epf_virtio_write_enable },
	{ VIRTIO_PCI_COMMON_Q_NOFF, 2, epf_virtio_read_noff, NULL },
	{ VIRTIO_PCI_COMMON_Q_DESCLO, 4 },
	{ VIRTIO_PCI_COMMON_Q_DESCHI, 4 },
	{ VIRTIO_PCI_COMMON_Q_AVAILLO, 4 },
	{ VIRTIO_PCI_COMMON_Q_AVAILHI, 4 },
	{ VIRTIO_PCI_COMMON_Q_USEDLO, 4 },
	{ VIRTIO_PCI_COMMON_Q_USEDHI, 4 },
	{ VIRTIO_PCI_COMMON_Q_RESET, 2, epf_virtio_read_reset,
	  epf_virtio_write_reset },
};

static u32 epf_virtio_read_reg(struct epf_virtio *ev,
			       const struct epf_virtio_reg *reg)
{
	return reg->read ? reg->read(ev) :
			   epf_virtio_read_half(ev, reg->offset);
}

static void epf_virtio_write_reg(struct epf_virtio *ev,
				 const struct epf_virtio_reg *reg, u32 value)
{
	if (reg->write)
		reg->write(ev, value);
	else if (!reg->read)
		epf_virtio_write_half(ev, reg->offset, value);
}

/* ---- Accesses ---- */

/* An access may cover a part of a register, or two of them. */
static u64 epf_virtio_read_common(struct epf_virtio *ev, u32 offset,
				  unsigned int size)
{
	u8 bytes[EPF_VIRTIO_COMMON_SIZE + sizeof(u64)] = { };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(epf_virtio_regs); i++) {
		const struct epf_virtio_reg *reg = &epf_virtio_regs[i];
		__le32 value;

		if (reg->offset >= offset + size ||
		    reg->offset + reg->size <= offset)
			continue;
		value = cpu_to_le32(epf_virtio_read_reg(ev, reg));
		memcpy(bytes + reg->offset, &value, reg->size);
	}
	return get_unaligned_le64(bytes + offset) &
	       GENMASK_ULL(8 * size - 1, 0);
}

/* A write takes effect for the registers that it covers wholly. */
static void epf_virtio_write_common(struct epf_virtio *ev, u32 offset,
				    unsigned int size, u64 value)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(epf_virtio_regs); i++) {
		const struct epf_virtio_reg *reg = &epf_virtio_regs[i];

		if (reg->offset < offset ||
		    reg->offset + reg->size > offset + size)
			continue;
		epf_virtio_write_reg(ev, reg,
				     (value >> 8 * (reg->offset - offset)) &
				     GENMASK_ULL(8 * reg->size - 1, 0));
	}
}

static bool epf_virtio_in(u64 offset, u64 start, u64 size)
{
	return offset >= start && offset - start < size;
}

static u64 epf_virtio_trap_read(void *data, unsigned int bar, u64 offset,
				unsigned int size)
{
	struct epf_virtio *ev = data;
	u32 delay = READ_ONCE(ev->options.trap_delay_us);
	__le64 bytes = 0;
	u64 value = 0;

	if (delay)
		fsleep(delay);

	guard(mutex)(&ev->lock);
	if (epf_virtio_in(offset, EPF_VIRTIO_COMMON, EPF_VIRTIO_COMMON_SIZE)) {
		ev->reads++;
		value = epf_virtio_read_common(ev, offset, size);
	} else if (offset == EPF_VIRTIO_ISR) {
		value = ev->isr;
		epf_virtio_set_isr(ev, 0);
	} else if (epf_virtio_in(offset, EPF_VIRTIO_CONFIG,
				 EPF_VIRTIO_CONFIG_MAX)) {
		memcpy(&bytes, ev->config + (offset - EPF_VIRTIO_CONFIG), size);
		value = le64_to_cpu(bytes);
	}
	return value;
}

static void epf_virtio_write_config(struct epf_virtio *ev, u64 offset,
				    unsigned int size, u64 value)
{
	const struct epf_virtio_ops *ops = ev->options.ops;
	__le64 bytes = cpu_to_le64(value);

	if (!ops->config_write || offset + size > ops->config_size)
		return;
	memcpy(ev->config + offset, &bytes, size);
	ops->config_write(ev, offset, size);
}

static void epf_virtio_notified(struct epf_virtio *ev, u64 offset)
{
	u64 index = offset / EPF_VIRTIO_NOTIFY_STRIDE;

	if (index >= ev->num_queues)
		return;
	atomic_inc(&ev->queue[index].kicks);
	epf_virtio_kick(&ev->queue[index]);
}

static void epf_virtio_trap_write(void *data, unsigned int bar, u64 offset,
				  unsigned int size, u64 value)
{
	struct epf_virtio *ev = data;

	guard(mutex)(&ev->lock);
	if (epf_virtio_in(offset, EPF_VIRTIO_COMMON, EPF_VIRTIO_COMMON_SIZE)) {
		ev->writes++;
		epf_virtio_write_common(ev, offset, size, value);
	} else if (epf_virtio_in(offset, EPF_VIRTIO_CONFIG,
				 EPF_VIRTIO_CONFIG_MAX)) {
		epf_virtio_write_config(ev, offset - EPF_VIRTIO_CONFIG, size,
					value);
	} else if (offset >= EPF_VIRTIO_NOTIFY) {
		epf_virtio_notified(ev, offset - EPF_VIRTIO_NOTIFY);
	}
}

static void epf_virtio_trap_reset(void *data)
{
	epf_virtio_reset(data);
}

const struct pci_epc_ext_trap_ops epf_virtio_trap_ops = {
	.read = epf_virtio_trap_read,
	.write = epf_virtio_trap_write,
	.reset = epf_virtio_trap_reset,
};

/* ---- Without a trap ---- */

/* Takes what the host has changed, and shows what a register reads now. */
static void epf_virtio_poll_reg(struct epf_virtio *ev,
				const struct epf_virtio_reg *reg)
{
	u8 *mem = ev->regs_mem + reg->offset;
	__le32 value;

	if (memcmp(mem, ev->polled + reg->offset, reg->size)) {
		value = 0;
		memcpy(&value, mem, reg->size);
		ev->writes++;
		epf_virtio_write_reg(ev, reg, le32_to_cpu(value));
	}
	value = cpu_to_le32(epf_virtio_read_reg(ev, reg));
	memcpy(mem, &value, reg->size);
	memcpy(ev->polled + reg->offset, &value, reg->size);
}

static void epf_virtio_poll_all(struct epf_virtio *ev)
{
	unsigned int i;

	guard(mutex)(&ev->lock);
	for (i = 0; i < ARRAY_SIZE(epf_virtio_regs); i++)
		epf_virtio_poll_reg(ev, &epf_virtio_regs[i]);
}

static void epf_virtio_poll(struct work_struct *work)
{
	struct epf_virtio *ev =
		container_of(work, struct epf_virtio, poll.work);

	epf_virtio_poll_all(ev);
	queue_delayed_work(ev->wq, &ev->poll, EPF_VIRTIO_POLL_JIFFIES);
}

void epf_virtio_poll_start(struct epf_virtio *ev)
{
	memset(ev->polled, 0, sizeof(ev->polled));
	INIT_DELAYED_WORK(&ev->poll, epf_virtio_poll);
	queue_delayed_work(ev->wq, &ev->poll, 0);
}

void epf_virtio_poll_stop(struct epf_virtio *ev)
{
	cancel_delayed_work_sync(&ev->poll);
}
