// SPDX-License-Identifier: GPL-2.0
/*
 * Queues while the device runs, interrupts and DMA
 *
 * The work of a queue takes a turn: it fetches what the host made available, has
 * the back end handle it, and shows the host what was used.  A turn is bounded,
 * see EPF_VIRTIO_BUDGET.  Before the work ends it asks the ring once more, since
 * the host may have seen that no notification is wanted.
 */
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <uapi/linux/virtio_config.h>
#include <uapi/linux/virtio_pci.h>
#include <uapi/linux/virtio_ring.h>

#include "device.h"

/* Bits of ISR status (section 4.1.4.5) */
#define EPF_VIRTIO_ISR_QUEUE	BIT(0)
#define EPF_VIRTIO_ISR_CONFIG	BIT(1)

/* Segments that need no allocation */
#define EPF_VIRTIO_SEGS		16

/* ---- Interrupts ---- */

/*
 * INTx is asserted while ISR status has a bit (section 4.1.4.5), and the read of
 * the host that clears it is trapped.
 */
int epf_virtio_set_isr(struct epf_virtio *ev, u8 isr)
{
	bool asserted = ev->isr;

	lockdep_assert_held(&ev->lock);

	ev->isr = isr;
	if (!ev->options.trap)
		return isr ? -EOPNOTSUPP : 0;
	return asserted || isr ? pci_epc_ext_set_intx(ev->func, isr) : 0;
}

/* Without a level, or a trap that says when it ends, the host gets a pulse. */
static void epf_virtio_raise_intx(struct epf_virtio *ev, u8 isr)
{
	struct pci_epf *epf = ev->epf;
	int ret;

	scoped_guard(mutex, &ev->lock)
		ret = epf_virtio_set_isr(ev, ev->isr | isr);
	if (ret == -EOPNOTSUPP)
		pci_epc_raise_irq(epf->epc, epf->func_no, epf->vfunc_no,
				  PCI_IRQ_INTX, 0);
}

/*
 * Which kind of interrupt the host has is known here only.  While it has MSI-X
 * disabled the vectors do not count (section 4.1.5.1.2).
 */
static void epf_virtio_raise(struct epf_virtio *ev, u16 vector, u8 isr)
{
	struct pci_epf *epf = ev->epf;

	if (pci_epc_get_msix(epf->epc, epf->func_no, epf->vfunc_no)) {
		if (vector != VIRTIO_MSI_NO_VECTOR)
			pci_epc_ext_raise_irq(ev->func, PCI_IRQ_MSIX,
					      vector + 1);
		return;
	}
	epf_virtio_raise_intx(ev, isr);
}

void epf_virtio_raise_config(struct epf_virtio *ev)
{
	epf_virtio_raise(ev, READ_ONCE(ev->config_vector),
			 EPF_VIRTIO_ISR_CONFIG);
}

static void epf_virtio_queue_raise(struct epf_virtio_queue *q)
{
	atomic_inc(&q->interrupts);
	epf_virtio_raise(q->ev, READ_ONCE(q->vector), EPF_VIRTIO_ISR_QUEUE);
}

void epf_virtio_break(struct epf_virtio *ev, int error, const char *what)
{
	scoped_guard(mutex, &ev->lock) {
		if (ev->state != EPF_VIRTIO_STARTING &&
		    ev->state != EPF_VIRTIO_RUNNING)
			return;
		WRITE_ONCE(ev->state, EPF_VIRTIO_BROKEN);
		ev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		ev->errors++;
	}
	dev_warn_ratelimited(&ev->epf->dev,
			     "%s: error %d, the host has to reset the device\n",
			     what, error);
	if (ev->options.ops->broken)
		ev->options.ops->broken(ev);
	epf_virtio_raise_config(ev);
}

/* ---- DMA ---- */

/* Has them transferred @max at a time, with @some for so many. */
static int epf_virtio_transfer(struct epf_virtio *ev,
			       const struct epf_vring_seg *segs, unsigned int n,
			       enum dma_data_direction dir,
			       struct pci_epc_ext_dma_seg *some,
			       unsigned int max)
{
	unsigned int i, count;
	int ret;

	for (; n; n -= count, segs += count) {
		count = min(n, max);
		for (i = 0; i < count; i++)
			some[i] = (struct pci_epc_ext_dma_seg){
				.pci_addr = segs[i].addr,
				.buf = segs[i].buf,
				.len = segs[i].len,
			};
		ret = pci_epc_ext_dma_rw(ev->func, some, count, dir);
		if (ret)
			return ret;
	}
	return 0;
}

/* A call of the controller takes long, so many segments share one. */
int epf_virtio_dma(struct epf_virtio *ev, const struct epf_vring_seg *segs,
		   unsigned int n, enum dma_data_direction dir)
{
	unsigned int max = min_t(unsigned int, n, PCI_EPC_EXT_DMA_SEGS);
	struct pci_epc_ext_dma_seg few[EPF_VIRTIO_SEGS];
	struct pci_epc_ext_dma_seg *many = NULL;
	int ret;

	if (n > ARRAY_SIZE(few))
		many = kmalloc_array(max, sizeof(*many), GFP_KERNEL);
	ret = epf_virtio_transfer(ev, segs, n, dir, many ? many : few,
				  many ? max : ARRAY_SIZE(few));
	kfree(many);
	return ret;
}

static int epf_virtio_ring_read(void *data, const struct epf_vring_seg *segs,
				unsigned int n)
{
	return epf_virtio_dma(data, segs, n, DMA_FROM_DEVICE);
}

static int epf_virtio_ring_write(void *data, const struct epf_vring_seg *segs,
				 unsigned int n)
{
	return epf_virtio_dma(data, segs, n, DMA_TO_DEVICE);
}

/* Copies between @buf and @len bytes of a chain.  Most chains have few extents. */
static int epf_virtio_copy(struct epf_virtio_queue *q,
			   const struct epf_vring_chain *chain, bool write,
			   u64 offset, void *buf, size_t len)
{
	unsigned int n = write ? chain->nwrite : chain->nread;
	struct epf_vring_seg few[EPF_VIRTIO_SEGS];
	struct epf_vring_seg *segs = few;
	int ret;

	if (n > ARRAY_SIZE(few))
		segs = kmalloc_array(n, sizeof(*segs), GFP_KERNEL);
	if (!segs)
		return -ENOMEM;
	ret = epf_vring_slice(chain, write, offset, buf, len, segs, n);
	if (ret > 0)
		ret = epf_virtio_dma(q->ev, segs, ret,
				     write ? DMA_TO_DEVICE : DMA_FROM_DEVICE);
	if (segs != few)
		kfree(segs);
	return ret;
}

int epf_virtio_chain_read(struct epf_virtio_queue *q,
			  const struct epf_vring_chain *chain, u64 offset,
			  void *buf, size_t len)
{
	return epf_virtio_copy(q, chain, false, offset, buf, len);
}

int epf_virtio_chain_write(struct epf_virtio_queue *q,
			   const struct epf_vring_chain *chain, u64 offset,
			   void *buf, size_t len)
{
	return epf_virtio_copy(q, chain, true, offset, buf, len);
}

/* ---- Turns ---- */

int epf_virtio_next(struct epf_virtio_queue *q, struct epf_vring_chain *chain)
{
	int ret = epf_vring_next(&q->ring, chain);

	if (ret > 0)
		atomic_inc(&q->chains);
	return ret;
}

int epf_virtio_used(struct epf_virtio_queue *q, u16 head, u32 len)
{
	return epf_vring_used(&q->ring, head, len);
}

/* Shows the host what was used, and asks for notifications as work() wants. */
static int epf_virtio_queue_show(struct epf_virtio_queue *q, int more,
				 bool *interrupt)
{
	int ret;

	if (!more)
		return epf_vring_finish(&q->ring, interrupt);
	ret = epf_vring_flush(&q->ring, interrupt);
	if (!ret && more == EPF_VIRTIO_WAITS)
		ret = epf_vring_want_notify(&q->ring, false);
	return ret;
}

/* Returns 1 if there is more to do, 0, or an error. */
static int epf_virtio_queue_turn(struct epf_virtio_queue *q)
{
	bool interrupt = false;
	int ret, more;

	ret = epf_vring_fetch(&q->ring);
	if (ret < 0)
		return ret;
	more = q->ev->options.ops->work(q);
	/* What was done before an error is shown all the same. */
	ret = epf_virtio_queue_show(q, more, &interrupt);
	if (interrupt)
		epf_virtio_queue_raise(q);
	return more && more != EPF_VIRTIO_WAITS ? more : ret;
}

/* The loads pair with the stores in state.c, before which the ring was opened. */
static bool epf_virtio_queue_runs(struct epf_virtio_queue *q)
{
	/* Pairs with epf_virtio_set_state(). */
	if (smp_load_acquire(&q->ev->state) != EPF_VIRTIO_RUNNING)
		return false;
	/* Pairs with epf_virtio_set_queue_state(). */
	return smp_load_acquire(&q->state) == EPF_VIRTIO_QUEUE_LIVE;
}

static void epf_virtio_queue_work(struct work_struct *work)
{
	struct epf_virtio_queue *q =
		container_of(work, struct epf_virtio_queue, work);
	struct epf_virtio *ev = q->ev;
	int ret;

	if (!epf_virtio_queue_runs(q))
		return;
	ret = epf_virtio_queue_turn(q);
	if (ret < 0)
		epf_virtio_break(ev, ret, q->ring.broken ? : "DMA of a queue");
	else if (ret)
		queue_work(ev->wq, &q->work);
}

void epf_virtio_kick(struct epf_virtio_queue *q)
{
	queue_work(q->ev->wq, &q->work);
}

/* ---- Life ---- */

void epf_virtio_queues_init(struct epf_virtio *ev)
{
	unsigned int i;

	for (i = 0; i < EPF_VIRTIO_MAX_QUEUES; i++) {
		struct epf_virtio_queue *q = &ev->queue[i];

		q->ev = ev;
		q->index = i;
		INIT_WORK(&q->work, epf_virtio_queue_work);
	}
}

int epf_virtio_queue_open(struct epf_virtio_queue *q)
{
	struct epf_virtio *ev = q->ev;
	struct epf_vring_config config = {
		.size = q->size,
		.desc = q->address[EPF_VIRTIO_DESC],
		.avail = q->address[EPF_VIRTIO_DRIVER],
		.used = q->address[EPF_VIRTIO_DEVICE],
		.indirect = ev->accepted & BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC),
		.event_idx = ev->accepted & BIT_ULL(VIRTIO_RING_F_EVENT_IDX),
	};
	struct epf_vring_mem mem = {
		.read = epf_virtio_ring_read,
		.write = epf_virtio_ring_write,
		.data = ev,
	};

	return epf_vring_init(&q->ring, &config, &mem);
}

/*
 * The state of the device or of the queue keeps the work from a new turn.  This
 * waits for the one that may be under way.
 */
void epf_virtio_queue_close(struct epf_virtio_queue *q)
{
	cancel_work_sync(&q->work);
	epf_vring_destroy(&q->ring);
}

/* ---- For back ends ---- */

struct device *epf_virtio_device(struct epf_virtio *ev)
{
	return &ev->epf->dev;
}

u64 epf_virtio_features(struct epf_virtio *ev)
{
	return ev->accepted;
}

void epf_virtio_set_data(struct epf_virtio *ev, void *data)
{
	ev->data = data;
}

void *epf_virtio_data(struct epf_virtio *ev)
{
	return ev->data;
}

u16 epf_virtio_queue_size(struct epf_virtio *ev)
{
	return epf_virtio_max_queue_size(ev);
}

const char *epf_virtio_backing(struct epf_virtio *ev)
{
	return ev->options.backing;
}

bool epf_virtio_read_only(struct epf_virtio *ev)
{
	return ev->options.read_only;
}

void epf_virtio_add_features(struct epf_virtio *ev, u64 features)
{
	guard(mutex)(&ev->lock);
	ev->offered |= features;
}

struct epf_virtio *epf_virtio_of(struct epf_virtio_queue *q)
{
	return q->ev;
}

struct epf_virtio_queue *epf_virtio_queue(struct epf_virtio *ev,
					  unsigned int index)
{
	return &ev->queue[index];
}

unsigned int epf_virtio_queue_index(struct epf_virtio_queue *q)
{
	return q->index;
}

u16 epf_virtio_ring_size(struct epf_virtio_queue *q)
{
	return q->ring.conf.size;
}

/*
 * The host reads config_generation before and after it reads the configuration,
 * and each of these reads takes the lock.  So it finds another generation when
 * bytes changed between them, although it reads the bytes without a trap.
 */
void epf_virtio_set_config(struct epf_virtio *ev, unsigned int offset,
			   const void *data, size_t size)
{
	bool ready;

	scoped_guard(mutex, &ev->lock) {
		memcpy(ev->config + offset, data, size);
		ev->generation++;
		ready = ev->status & VIRTIO_CONFIG_S_DRIVER_OK;
	}
	if (ready)
		epf_virtio_raise_config(ev);
}
