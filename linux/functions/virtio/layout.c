// SPDX-License-Identifier: GPL-2.0
/*
 * Header, BARs, capabilities and doorbells
 *
 *   BAR 0  16 KiB, trapped: the common configuration, ISR status, a device
 *          configuration that the host can write, notifications without doorbells
 *   BAR 1  4 KiB, memory: MSI-X table
 *   BAR 2  4 KiB, memory: a device configuration that the host only reads
 *   BAR 3  4 KiB, doorbells: one for each queue
 *
 * Each BAR has one target, so this works with kernels that know no parts of BARs.
 *
 * A driver notifies with 16 bits, and with 32 bits if it has accepted
 * VIRTIO_F_NOTIFICATION_DATA.  A doorbell rings for both, and its address says
 * which queue it is for, so nobody looks at the value.
 */
#include <linux/interrupt.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <uapi/linux/virtio_config.h>
#include <uapi/linux/virtio_pci.h>
#include <uapi/linux/virtio_ring.h>

#include "device.h"

/* Device ids of virtio 1 begin here (section 4.1.2). */
#define EPF_VIRTIO_DEVICE_ID	0x1040
/* Subsystem ids from here on say that there is no older interface. */
#define EPF_VIRTIO_SUBSYS_ID	0x40

/* ---- Doorbells ---- */

static irqreturn_t epf_virtio_bell_irq(int irq, void *data)
{
	struct epf_virtio_queue *q = data;

	atomic_inc(&q->kicks);
	epf_virtio_kick(q);
	return IRQ_HANDLED;
}

void epf_virtio_bells_release(struct epf_virtio *ev)
{
	unsigned int i;

	guard(mutex)(&ev->lock);
	for (i = 0; i < ev->num_queues; i++) {
		struct epf_virtio_queue *q = &ev->queue[i];

		if (q->bell_irq)
			free_irq(q->bell->virq, q);
		q->bell_irq = false;
	}
}

static int epf_virtio_bell_open(struct epf_virtio_queue *q)
{
	struct epf_virtio *ev = q->ev;
	struct pci_epc_ext_doorbell *bell;
	int ret;

	bell = pci_epc_ext_alloc_doorbell(ev->func, 0);
	if (IS_ERR(bell))
		return PTR_ERR(bell);
	q->bell = bell;
	q->notify_off = bell->offset / EPF_VIRTIO_NOTIFY_STRIDE;
	/* One BAR has the doorbells of all queues. */
	if (bell->target != ev->queue[0].bell->target ||
	    bell->target_size < SZ_4K || bell->offset >= SZ_4K)
		return -EOPNOTSUPP;
	ret = request_irq(bell->virq, epf_virtio_bell_irq, 0,
			  dev_name(&ev->epf->dev), q);
	if (!ret)
		q->bell_irq = true;
	return ret;
}

static void epf_virtio_bells_close(struct epf_virtio *ev)
{
	unsigned int i;

	epf_virtio_bells_release(ev);
	for (i = 0; i < ev->num_queues; i++) {
		pci_epc_ext_free_doorbell(ev->queue[i].bell);
		ev->queue[i].bell = NULL;
	}
}

/* Without doorbells for all queues notifications are writes to the trapped BAR. */
static int epf_virtio_bells_open(struct epf_virtio *ev)
{
	int ret = ev->options.doorbells ? 0 : -EOPNOTSUPP;
	unsigned int i;

	for (i = 0; i < ev->num_queues && !ret; i++)
		ret = epf_virtio_bell_open(&ev->queue[i]);
	ev->bells = !ret;
	if (!ret)
		return 0;
	epf_virtio_bells_close(ev);
	for (i = 0; i < ev->num_queues; i++)
		ev->queue[i].notify_off = i;
	return ev->options.trap && (ret == -EOPNOTSUPP || ret == -ENOSPC) ?
	       0 : ret;
}

/* ---- Memory and trap ---- */

static int epf_virtio_alloc(struct epf_virtio *ev, size_t size,
			    enum pci_barno bar, u8 **mem)
{
	struct pci_epf *epf = ev->epf;
	const struct pci_epc_features *features;

	features = pci_epc_get_features(epf->epc, epf->func_no, epf->vfunc_no);
	if (!features)
		return -EOPNOTSUPP;
	*mem = pci_epf_alloc_space(epf, size, bar, features,
				   PRIMARY_INTERFACE);
	return *mem ? 0 : -ENOMEM;
}

static void epf_virtio_free(struct epf_virtio *ev, enum pci_barno bar)
{
	struct pci_epf *epf = ev->epf;

	if (epf->bar[bar].addr)
		pci_epf_free_space(epf, epf->bar[bar].addr, bar,
				   PRIMARY_INTERFACE);
}

static int epf_virtio_open_memory(struct epf_virtio *ev)
{
	u8 *msix;
	int ret;

	ret = epf_virtio_alloc(ev, SZ_4K, EPF_VIRTIO_BAR_MSIX, &msix);
	if (!ret)
		ret = epf_virtio_alloc(ev, EPF_VIRTIO_CONFIG_MAX,
				       EPF_VIRTIO_BAR_CONFIG, &ev->config);
	if (!ret && !ev->options.trap)
		ret = epf_virtio_alloc(ev, EPF_VIRTIO_REGS_SIZE,
				       EPF_VIRTIO_BAR_REGS, &ev->regs_mem);
	return ret;
}

static void epf_virtio_close_memory(struct epf_virtio *ev)
{
	epf_virtio_free(ev, EPF_VIRTIO_BAR_MSIX);
	epf_virtio_free(ev, EPF_VIRTIO_BAR_CONFIG);
	epf_virtio_free(ev, EPF_VIRTIO_BAR_REGS);
	ev->config = NULL;
	ev->regs_mem = NULL;
}

int epf_virtio_layout_open(struct epf_virtio *ev)
{
	int ret = epf_virtio_open_memory(ev);

	if (!ret)
		ret = epf_virtio_bells_open(ev);
	if (!ret && ev->options.trap)
		ret = pci_epc_ext_trap(ev->func, &epf_virtio_trap_ops, ev,
				       &ev->trap_target);
	if (!ret)
		return 0;
	epf_virtio_bells_close(ev);
	epf_virtio_close_memory(ev);
	return ret;
}

/* A clear of BARs first: then untrap carries out what the host did before. */
void epf_virtio_layout_close(struct epf_virtio *ev)
{
	struct pci_epf *epf = ev->epf;
	enum pci_barno no;

	for (no = EPF_VIRTIO_BAR_REGS; no <= EPF_VIRTIO_BAR_BELLS; no++) {
		struct pci_epf_bar bar = { .barno = no };

		pci_epc_clear_bar(epf->epc, epf->func_no, epf->vfunc_no, &bar);
	}
	if (ev->options.trap)
		pci_epc_ext_untrap(ev->func);
	epf_virtio_bells_close(ev);
}

void epf_virtio_layout_free(struct epf_virtio *ev)
{
	epf_virtio_close_memory(ev);
}

/* ---- Header and BARs ---- */

static int epf_virtio_write_header(struct epf_virtio *ev)
{
	const struct epf_virtio_ops *ops = ev->options.ops;
	struct pci_epf *epf = ev->epf;

	ev->header = (struct pci_epf_header){
		.vendorid = PCI_VENDOR_ID_REDHAT_QUMRANET,
		.deviceid = EPF_VIRTIO_DEVICE_ID + ops->device_type,
		.revid = 1,
		.progif_code = ops->class_code & 0xff,
		.subclass_code = ops->class_code >> 8 & 0xff,
		.baseclass_code = ops->class_code >> 16,
		.subsys_vendor_id = PCI_VENDOR_ID_REDHAT_QUMRANET,
		.subsys_id = EPF_VIRTIO_SUBSYS_ID + ops->device_type,
		.interrupt_pin = PCI_INTERRUPT_INTA,
	};
	return pci_epc_write_header(epf->epc, epf->func_no, epf->vfunc_no,
				    &ev->header);
}

static int epf_virtio_set_target(struct epf_virtio *ev, enum pci_barno no,
				 dma_addr_t target, size_t size)
{
	struct pci_epf *epf = ev->epf;
	struct pci_epf_bar bar = {
		.barno = no,
		.phys_addr = target,
		.size = size,
	};

	return pci_epc_set_bar(epf->epc, epf->func_no, epf->vfunc_no, &bar);
}

static int epf_virtio_set_memory(struct epf_virtio *ev, enum pci_barno no)
{
	struct pci_epf *epf = ev->epf;

	return pci_epc_set_bar(epf->epc, epf->func_no, epf->vfunc_no,
			       &epf->bar[no]);
}

static int epf_virtio_set_bars(struct epf_virtio *ev)
{
	int ret;

	if (ev->options.trap)
		ret = epf_virtio_set_target(ev, EPF_VIRTIO_BAR_REGS,
					    ev->trap_target,
					    EPF_VIRTIO_REGS_SIZE);
	else
		ret = epf_virtio_set_memory(ev, EPF_VIRTIO_BAR_REGS);
	if (!ret)
		ret = epf_virtio_set_memory(ev, EPF_VIRTIO_BAR_MSIX);
	if (!ret)
		ret = epf_virtio_set_memory(ev, EPF_VIRTIO_BAR_CONFIG);
	if (!ret && ev->bells)
		ret = epf_virtio_set_target(ev, EPF_VIRTIO_BAR_BELLS,
					    ev->queue[0].bell->target, SZ_4K);
	return ret;
}

/* ---- Capabilities ---- */

/**
 * struct epf_virtio_cap - a vendor capability (section 4.1.4)
 * @type: VIRTIO_PCI_CAP_*
 * @size: bytes of the capability
 * @bar: where the structure is
 * @offset: the same
 * @length: bytes of the structure
 * @extra: what follows, in a capability of 20 bytes
 */
struct epf_virtio_cap {
	u8 type;
	u8 size;
	enum pci_barno bar;
	u32 offset;
	u32 length;
	u32 extra;
};

static int epf_virtio_add_cap(struct epf_virtio *ev,
			      const struct epf_virtio_cap *cap)
{
	struct pci_epc_ext_cap empty = {
		.id = PCI_CAP_ID_VNDR,
		.size = cap->size,
	};
	int at = pci_epc_ext_add_cap(ev->func, &empty);
	const u32 words[] = { cap->bar, cap->offset, cap->length, cap->extra };
	unsigned int i;
	int ret;

	if (at < 0)
		return at;
	ret = pci_epc_ext_write_config(ev->func, at + PCI_CAP_FLAGS, 2,
				       cap->size | cap->type << 8, 0);
	for (i = 0; i < ARRAY_SIZE(words) && !ret; i++)
		if (4 * i + 8 <= cap->size)
			ret = pci_epc_ext_write_config(ev->func,
						       at + 4 + 4 * i, 4,
						       words[i], 0);
	return ret;
}

static u32 epf_virtio_notify_length(struct epf_virtio *ev)
{
	u32 last = 0;
	unsigned int i;

	for (i = 0; i < ev->num_queues; i++)
		last = max_t(u32, last, ev->queue[i].notify_off);
	return (last + 1) * EPF_VIRTIO_NOTIFY_STRIDE;
}

/*
 * The capability for accesses by configuration space is there, as section
 * 4.1.4.9 demands, and the host cannot write to it: a value that it reads there
 * would have to come from the function while the host waits, which the
 * controller does for BARs only.
 */
static int epf_virtio_add_caps(struct epf_virtio *ev)
{
	const struct epf_virtio_ops *ops = ev->options.ops;
	bool trapped = ev->options.trap && ops->config_write;
	const struct epf_virtio_cap caps[] = {
		{ VIRTIO_PCI_CAP_COMMON_CFG, 16, EPF_VIRTIO_BAR_REGS,
		  EPF_VIRTIO_COMMON, EPF_VIRTIO_COMMON_SIZE },
		{ VIRTIO_PCI_CAP_ISR_CFG, 16, EPF_VIRTIO_BAR_REGS,
		  EPF_VIRTIO_ISR, 4 },
		{ VIRTIO_PCI_CAP_NOTIFY_CFG, 20,
		  ev->bells ? EPF_VIRTIO_BAR_BELLS : EPF_VIRTIO_BAR_REGS,
		  ev->bells ? 0 : EPF_VIRTIO_NOTIFY,
		  epf_virtio_notify_length(ev), EPF_VIRTIO_NOTIFY_STRIDE },
		{ VIRTIO_PCI_CAP_DEVICE_CFG, 16,
		  trapped ? EPF_VIRTIO_BAR_REGS : EPF_VIRTIO_BAR_CONFIG,
		  trapped ? EPF_VIRTIO_CONFIG : 0,
		  max_t(u32, ops->config_size, 4) },
		{ VIRTIO_PCI_CAP_PCI_CFG, 20, EPF_VIRTIO_BAR_REGS, 0, 0 },
	};
	unsigned int i;
	int ret = 0;

	for (i = 0; i < ARRAY_SIZE(caps) && !ret; i++)
		ret = epf_virtio_add_cap(ev, &caps[i]);
	return ret;
}

int epf_virtio_layout_describe(struct epf_virtio *ev)
{
	struct pci_epf *epf = ev->epf;
	int ret = epf_virtio_write_header(ev);

	if (!ret)
		ret = epf_virtio_set_bars(ev);
	if (!ret && ev->vectors)
		ret = pci_epc_set_msix(epf->epc, epf->func_no, epf->vfunc_no,
				       ev->vectors, EPF_VIRTIO_BAR_MSIX, 0);
	if (!ret && ev->options.capabilities)
		ret = epf_virtio_add_caps(ev);
	return ret;
}
