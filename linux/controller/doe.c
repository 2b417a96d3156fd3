// SPDX-License-Identifier: GPL-2.0
/*
 * DOE mailboxes: objects of the host that endpoint functions answer
 *
 * The device has the mailbox.  When the host has written an object of a type
 * that a function takes, the device raises an event, and the work of the page
 * fetches the object, calls the handler and stores the response.  The object has
 * a number.  If the host aborts it or resets the function, the device refuses
 * commands for that number, so a response that is late goes nowhere.
 */
#include <linux/bitfield.h>
#include <linux/cleanup.h>
#include <linux/dma-mapping.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/pci-epc.h>
#include <linux/slab.h>

#include "controller.h"
#include "pci-epc-ext.h"

#define QEMU_EP_DOE_DWORD	4	/* bytes */
#define QEMU_EP_DOE_HEADER	2	/* dwords */
#define QEMU_EP_DOE_BUF		(EPC_DOE_COPY_MAX * QEMU_EP_DOE_DWORD)

/* The first dword of an object, and EPC_FN_DOE_PROTOCOL(n) */
#define QEMU_EP_DOE_VID		GENMASK(15, 0)
#define QEMU_EP_DOE_TYPE	GENMASK(23, 16)
/* The second dword of an object */
#define QEMU_EP_DOE_LENGTH	GENMASK(17, 0)

/* An object while it is answered.  Lengths are in dwords, with the header. */
struct qemu_ep_doe_object {
	u32 token;
	u32 len;
	__le32 *dwords;
};

static void __iomem *qemu_ep_doe_regs(struct qemu_ep_doe *d)
{
	return qemu_ep_page_regs(d->ep, d->page);
}

/* ---- Commands ---- */

/* Returns EPC_STATUS_*. */
static u32 qemu_ep_doe_command(struct qemu_ep_doe *d, u32 token, u32 cmd)
{
	void __iomem *regs = qemu_ep_doe_regs(d);

	writel(token, regs + EPC_FN_DOE_TOKEN);
	writel(cmd, regs + EPC_FN_DOE_CMD);
	return readl(regs + EPC_FN_DOE_RESULT);
}

static u32 qemu_ep_doe_copy(struct qemu_ep_doe *d, u32 token, u32 cmd,
			    u32 offset, u32 count)
{
	void __iomem *regs = qemu_ep_doe_regs(d);

	writeq(d->dma, regs + EPC_FN_DOE_ADDR);
	writel(offset, regs + EPC_FN_DOE_OFFSET);
	writel(count, regs + EPC_FN_DOE_COUNT);
	return qemu_ep_doe_command(d, token, cmd);
}

static u32 qemu_ep_doe_fetch(struct qemu_ep_doe *d,
			     struct qemu_ep_doe_object *o)
{
	u32 at, count, status;

	for (at = 0; at < o->len; at += count) {
		count = min_t(u32, o->len - at, EPC_DOE_COPY_MAX);
		status = qemu_ep_doe_copy(d, o->token, EPC_DOE_FETCH, at,
					  count);
		if (status != EPC_STATUS_OK)
			return status;
		memcpy(o->dwords + at, d->buf, count * QEMU_EP_DOE_DWORD);
	}
	return EPC_STATUS_OK;
}

/* Stores a header and @len bytes of payload, and ends the object with them. */
static u32 qemu_ep_doe_respond(struct qemu_ep_doe *d,
			       const struct qemu_ep_doe_object *o,
			       const void *payload, size_t len)
{
	u32 end = QEMU_EP_DOE_HEADER + len / QEMU_EP_DOE_DWORD;
	u32 at, count, status;
	__le32 *header = d->buf;

	header[0] = o->dwords[0] & cpu_to_le32(QEMU_EP_DOE_VID |
					       QEMU_EP_DOE_TYPE);
	header[1] = cpu_to_le32(end & QEMU_EP_DOE_LENGTH);
	status = qemu_ep_doe_copy(d, o->token, EPC_DOE_STORE, 0,
				  QEMU_EP_DOE_HEADER);
	for (at = QEMU_EP_DOE_HEADER; at < end && status == EPC_STATUS_OK;
	     at += count) {
		count = min_t(u32, end - at, EPC_DOE_COPY_MAX);
		memcpy(d->buf, payload, count * QEMU_EP_DOE_DWORD);
		payload += count * QEMU_EP_DOE_DWORD;
		status = qemu_ep_doe_copy(d, o->token, EPC_DOE_STORE, at,
					  count);
	}
	if (status != EPC_STATUS_OK)
		return status;
	return qemu_ep_doe_command(d, o->token, EPC_DOE_ANSWER);
}

/* ---- Protocols ---- */

static struct qemu_ep_doe_protocol *qemu_ep_doe_find(struct qemu_ep_doe *d,
						     u16 vid, u8 type)
{
	struct qemu_ep_doe_protocol *p;

	lockdep_assert_held(&d->lock);

	for (p = d->protocol; p < d->protocol + EPC_DOE_PROTOCOLS; p++)
		if (p->handler && p->vid == vid && p->type == type)
			return p;
	return NULL;
}

/* Has the device know of an entry, or forget it. */
static void qemu_ep_doe_show(struct qemu_ep_doe *d,
			     const struct qemu_ep_doe_protocol *p)
{
	u32 value = 0;

	lockdep_assert_held(&d->lock);

	if (p->handler)
		value = EPC_DOE_PROTOCOL_VALID |
			FIELD_PREP(QEMU_EP_DOE_VID, p->vid) |
			FIELD_PREP(QEMU_EP_DOE_TYPE, p->type);
	writel(value, qemu_ep_doe_regs(d) +
	       EPC_FN_DOE_PROTOCOL(p - d->protocol));
}

static void qemu_ep_doe_forget(struct qemu_ep_doe *d,
			       struct qemu_ep_doe_protocol *p)
{
	lockdep_assert_held(&d->lock);

	*p = (struct qemu_ep_doe_protocol){ };
	qemu_ep_doe_show(d, p);
}

/* No handler that was found before runs when this returns. */
static void qemu_ep_doe_drain(struct qemu_ep_doe *d)
{
	lockdep_assert_not_held(&d->lock);

	mutex_lock(&d->run);
	mutex_unlock(&d->run);
}

/* ---- Objects ---- */

static ssize_t qemu_ep_doe_call(struct qemu_ep_doe *d,
				const struct qemu_ep_doe_object *o,
				void **response)
{
	u32 first = le32_to_cpu(o->dwords[0]);
	struct qemu_ep_doe_protocol *found;
	struct qemu_ep_doe_protocol p = { };
	ssize_t len;

	scoped_guard(mutex, &d->lock) {
		found = qemu_ep_doe_find(d, FIELD_GET(QEMU_EP_DOE_VID, first),
					 FIELD_GET(QEMU_EP_DOE_TYPE, first));
		if (found)
			p = *found;
	}
	if (!p.handler)
		return -ENOENT;
	len = p.handler(p.data, p.vid, p.type, o->dwords + QEMU_EP_DOE_HEADER,
			(o->len - QEMU_EP_DOE_HEADER) * QEMU_EP_DOE_DWORD,
			response);
	if (len < 0)
		return len;
	if (len > PCI_EPC_EXT_DOE_PAYLOAD_MAX || len % QEMU_EP_DOE_DWORD ||
	    (len && !*response)) {
		dev_warn_once(qemu_ep_parent(d->ep),
			      "function page %u: a handler of objects returned %zd bytes\n",
			      d->page, len);
		return -EINVAL;
	}
	return len;
}

/* Answers an object, or lets the mailbox show Error. */
static void qemu_ep_doe_answer(struct qemu_ep_doe *d,
			       struct qemu_ep_doe_object *o)
{
	void *response = NULL;
	u32 status;
	ssize_t len;

	status = qemu_ep_doe_fetch(d, o);
	if (status == EPC_STATUS_OK) {
		len = qemu_ep_doe_call(d, o, &response);
		if (len >= 0)
			status = qemu_ep_doe_respond(d, o, response, len);
		else
			status = qemu_ep_doe_command(d, o->token,
						     EPC_DOE_FAIL);
		kvfree(response);
	}
	if (status == EPC_STATUS_OK)
		return;
	/* Of an object that the host has aborted the device takes nothing. */
	if (status != EPC_STATUS_BAD_STATE)
		dev_err_ratelimited(qemu_ep_parent(d->ep),
				    "function page %u: status %u of a data object\n",
				    d->page, status);
	qemu_ep_doe_command(d, o->token, EPC_DOE_FAIL);
}

/* Answers one object.  It runs again, since another one may wait then. */
static void qemu_ep_doe_work(struct work_struct *work)
{
	struct qemu_ep_doe *d = container_of(work, struct qemu_ep_doe, work);
	void __iomem *regs = qemu_ep_doe_regs(d);
	struct qemu_ep_doe_object o;

	guard(mutex)(&d->run);
	o.token = readl(regs + EPC_FN_DOE_OBJECT);
	o.len = readl(regs + EPC_FN_DOE_LENGTH);
	/* A device that is gone reads all ones. */
	if (!o.token || PCI_POSSIBLE_ERROR(o.len))
		return;
	schedule_work(&d->work);
	if (o.len < QEMU_EP_DOE_HEADER || o.len > EPC_DOE_MAX_LENGTH)
		return;
	o.dwords = kvmalloc(o.len * QEMU_EP_DOE_DWORD, GFP_KERNEL);
	if (!o.dwords) {
		qemu_ep_doe_command(d, o.token, EPC_DOE_FAIL);
		return;
	}
	qemu_ep_doe_answer(d, &o);
	kvfree(o.dwords);
}

void qemu_ep_doe_event(struct qemu_ep *ep, u8 page)
{
	schedule_work(&ep->doe[page].work);
}

/* ---- Operations ---- */

/* The device of the controller frees it, after qemu_ep_doe_exit(). */
static int qemu_ep_doe_get_buf(struct qemu_ep_doe *d)
{
	lockdep_assert_held(&d->lock);

	if (!d->buf)
		d->buf = dmam_alloc_coherent(qemu_ep_parent(d->ep),
					     QEMU_EP_DOE_BUF, &d->dma,
					     GFP_KERNEL);
	return d->buf ? 0 : -ENOMEM;
}

int qemu_ep_doe_register(struct pci_epc *epc, u8 func, u8 vfunc, u16 vid,
			 u8 type, pci_epc_ext_doe_handler_t handler,
			 void *data)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	struct qemu_ep_doe_protocol *p;
	struct qemu_ep_doe *d;
	int ret;

	if (!(ep->features & EPC_FEATURE_DOE))
		return -EOPNOTSUPP;
	if (!qemu_ep_has_func(ep, func, vfunc))
		return -EINVAL;
	d = &ep->doe[qemu_ep_page(ep, func, vfunc)];

	guard(mutex)(&d->lock);
	if (d->closed)
		return -ENODEV;
	if (qemu_ep_doe_find(d, vid, type))
		return -EBUSY;
	ret = qemu_ep_doe_get_buf(d);
	if (ret)
		return ret;
	for (p = d->protocol; p < d->protocol + EPC_DOE_PROTOCOLS; p++) {
		if (p->handler)
			continue;
		*p = (struct qemu_ep_doe_protocol){
			.vid = vid, .type = type, .handler = handler,
			.data = data,
		};
		qemu_ep_doe_show(d, p);
		return 0;
	}
	return -ENOSPC;
}

int qemu_ep_doe_unregister(struct pci_epc *epc, u8 func, u8 vfunc, u16 vid,
			   u8 type)
{
	struct qemu_ep *ep = epc_get_drvdata(epc);
	struct qemu_ep_doe_protocol *p;
	struct qemu_ep_doe *d;

	if (!qemu_ep_has_func(ep, func, vfunc))
		return -EINVAL;
	d = &ep->doe[qemu_ep_page(ep, func, vfunc)];

	scoped_guard(mutex, &d->lock) {
		p = qemu_ep_doe_find(d, vid, type);
		if (!p)
			return -EINVAL;
		qemu_ep_doe_forget(d, p);
	}
	qemu_ep_doe_drain(d);
	return 0;
}

void qemu_ep_doe_release(struct qemu_ep *ep, u8 page)
{
	struct qemu_ep_doe *d = &ep->doe[page];
	struct qemu_ep_doe_protocol *p;

	scoped_guard(mutex, &d->lock)
		for (p = d->protocol; p < d->protocol + EPC_DOE_PROTOCOLS; p++)
			if (p->handler)
				qemu_ep_doe_forget(d, p);
	qemu_ep_doe_drain(d);
}

/* ---- Life cycle ---- */

void qemu_ep_doe_init(struct qemu_ep *ep)
{
	u8 page;

	for (page = 0; page < EPC_MAX_FUNCTIONS; page++) {
		struct qemu_ep_doe *d = &ep->doe[page];

		d->ep = ep;
		d->page = page;
		mutex_init(&d->lock);
		mutex_init(&d->run);
		INIT_WORK(&d->work, qemu_ep_doe_work);
	}
}

void qemu_ep_doe_destroy(struct qemu_ep *ep)
{
	u8 page;

	for (page = 0; page < EPC_MAX_FUNCTIONS; page++) {
		mutex_destroy(&ep->doe[page].run);
		mutex_destroy(&ep->doe[page].lock);
	}
}

void qemu_ep_doe_exit(struct qemu_ep *ep)
{
	u8 page;

	for (page = 0; page < ep->layout.page_count; page++) {
		scoped_guard(mutex, &ep->doe[page].lock)
			ep->doe[page].closed = true;
		cancel_work_sync(&ep->doe[page].work);
	}
}

void qemu_ep_doe_restore(struct qemu_ep *ep)
{
	u8 page;
	u8 n;

	for (page = 0; page < ep->layout.page_count; page++) {
		struct qemu_ep_doe *d = &ep->doe[page];

		guard(mutex)(&d->lock);
		for (n = 0; n < EPC_DOE_PROTOCOLS; n++)
			if (d->protocol[n].handler)
				qemu_ep_doe_show(d, &d->protocol[n]);
	}
}
