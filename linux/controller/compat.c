// SPDX-License-Identifier: GPL-2.0
/*
 * What the endpoint framework offers no exported function for
 *
 * Everything in here reads or writes members of struct pci_epc and struct
 * pci_epf that belong to the framework.  The comment of each section names the
 * change of drivers/pci/endpoint/ that would remove the section.
 */
#include <linux/cleanup.h>
#include <linux/container_of.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "compat.h"

#define QEMU_EP_LIST_TRIES	10

#define QEMU_EP_SAMPLE_MSI_COUNT	32
#define QEMU_EP_SAMPLE_MSI_LOG2		5
#define QEMU_EP_SAMPLE_MSI_GET		3
#define QEMU_EP_SAMPLE_MSIX_COUNT	8
#define QEMU_EP_SAMPLE_MSIX_GET		7

/* ---- Functions that are linked ---- */

/*
 * Framework change: an operation of struct pci_epc_ops that
 * pci_epc_remove_epf() calls, so that a controller learns that a function was
 * unlinked, and pci_epc_add_epf() the same for one that was linked.
 *
 * epc->list_lock comes before epc->lock: pci_epc_linkup() holds the former
 * while functions call operations.  Operations run under the latter, so they
 * cannot wait for the former without limit.  Holders seldom need it for long,
 * so they poll it for a short time.
 */
static bool qemu_ep_compat_trylock_list(struct pci_epc *epc)
{
	int tries;

	for (tries = 0; tries < QEMU_EP_LIST_TRIES; tries++) {
		if (mutex_trylock(&epc->list_lock))
			return true;
		usleep_range(1000, 2000);
	}
	return false;
}

/*
 * Framework change: a list of its own in struct pci_epc for functions that use
 * the controller as their second one.  Today epc->pci_epf links them by
 * epf->sec_epc_list and the others by epf->list, and only epf->epc tells which
 * it is.  For a node of the other kind epf->epc is another word of the same
 * structure, and this code relies on that word not being the address of this
 * controller.
 */
static struct pci_epf *qemu_ep_compat_find(struct pci_epc *epc, u8 func)
{
	struct list_head *node;

	lockdep_assert_held(&epc->list_lock);

	list_for_each(node, &epc->pci_epf) {
		struct pci_epf *epf = list_entry(node, struct pci_epf, list);

		if (epf->epc == epc) {
			if (epf->func_no == func)
				return epf;
			continue;
		}
		epf = list_entry(node, struct pci_epf, sec_epc_list);
		if (epf->sec_epc == epc && epf->sec_epc_func_no == func)
			return epf;
	}
	return NULL;
}

struct qemu_ep_compat_vf {
	struct pci_epf *pf;
	u8 vfunc;
};

static int qemu_ep_compat_match_vf(struct device *dev, const void *data)
{
	const struct pci_epf *epf = to_pci_epf(dev);
	const struct qemu_ep_compat_vf *vf = data;

	return epf->is_vf && READ_ONCE(epf->epf_pf) == vf->pf &&
	       epf->vfunc_no == vf->vfunc;
}

/*
 * Framework change: an exported lookup of a virtual function.  pf->pci_vepf is
 * protected by pf->lock, which is held while its virtual functions are bound,
 * so an operation that bind() calls would deadlock on it.  The bus has them,
 * too.
 */
static struct pci_epf *qemu_ep_compat_get_vf(struct pci_epf *pf, u8 vfunc)
{
	struct qemu_ep_compat_vf vf = { .pf = pf, .vfunc = vfunc };
	struct device *dev;

	dev = bus_find_device(pf->dev.bus, NULL, &vf, qemu_ep_compat_match_vf);
	return dev ? to_pci_epf(dev) : NULL;
}

bool qemu_ep_compat_get_linked(struct pci_epc *epc, u8 func, u8 vfunc,
			       struct pci_epf **epf)
{
	struct pci_epf *pf;

	if (!qemu_ep_compat_trylock_list(epc))
		return false;
	pf = qemu_ep_compat_find(epc, func);
	if (pf && vfunc)
		pf = qemu_ep_compat_get_vf(pf, vfunc);
	else if (pf)
		get_device(&pf->dev);
	*epf = pf;
	mutex_unlock(&epc->list_lock);
	return true;
}

bool qemu_ep_compat_linked(struct pci_epc *epc, unsigned long *funcs,
			   unsigned long *vfuncs)
{
	struct pci_epf *pf;

	*funcs = READ_ONCE(epc->function_num_map);
	if (!vfuncs)
		return true;
	if (!qemu_ep_compat_trylock_list(epc))
		return false;
	pf = qemu_ep_compat_find(epc, 0);
	*vfuncs = pf ? READ_ONCE(pf->vfunction_num_map) : 0;
	mutex_unlock(&epc->list_lock);
	return true;
}

bool qemu_ep_compat_has_functions(struct pci_epc *epc)
{
	guard(mutex)(&epc->list_lock);
	return !list_empty(&epc->pci_epf);
}

/* ---- Notifications ---- */

/*
 * Framework change: pci_epc_linkup(), pci_epc_linkdown(),
 * pci_epc_bus_master_enable_notify() and pci_epc_deinit_notify() skip functions
 * that use the controller as their second one.  They walk epc->pci_epf by
 * epf->list and call through what is not the start of a struct pci_epf for
 * these.  With that change this walk becomes calls of these four.
 */
void qemu_ep_compat_visit_functions(struct pci_epc *epc,
				    void (*visit)(struct pci_epf *epf,
						  void *data),
				    void *data)
{
	struct pci_epf *epf;

	guard(mutex)(&epc->list_lock);
	list_for_each_entry(epf, &epc->pci_epf, list) {
		if (epf->epc != epc)
			continue;
		guard(mutex)(&epf->lock);
		visit(epf, data);
	}
}

/*
 * Framework change: pci_epc_destroy() lets no function call an operation any
 * more.  Today a function that stays linked keeps the controller as epf->epc.
 */
void qemu_ep_compat_deny_operations(struct pci_epc *epc)
{
	guard(mutex)(&epc->lock);
	epc->max_functions = 0;
	epc_set_drvdata(epc, NULL);
}

/* pci_epc_deinit_notify() does this, too, see above. */
void qemu_ep_compat_deny_init(struct pci_epc *epc)
{
	guard(mutex)(&epc->list_lock);
	epc->init_complete = false;
}

/* ---- Encoding of interrupt counts ---- */

/*
 * Framework change: none, this goes when no supported kernel has the old
 * encoding.
 *
 * The core used to pass logarithms and counts less one to the MSI and MSI-X
 * operations, and now passes counts.  The signatures did not change and stable
 * trees mix both, so neither the compiler nor the version number can tell them
 * apart.  So call the core with a controller that is never registered: nobody
 * else can see it, and there is no hardware behind it.
 */
struct qemu_ep_sample {
	struct pci_epc epc;
	u8 set_msi;
	u16 set_msix;
};

static struct qemu_ep_sample *qemu_ep_to_sample(struct pci_epc *epc)
{
	return container_of(epc, struct qemu_ep_sample, epc);
}

static int qemu_ep_sample_set_msi(struct pci_epc *epc, u8 func, u8 vfunc,
				  u8 nr_irqs)
{
	qemu_ep_to_sample(epc)->set_msi = nr_irqs;
	return 0;
}

static int qemu_ep_sample_get_msi(struct pci_epc *epc, u8 func, u8 vfunc)
{
	return QEMU_EP_SAMPLE_MSI_GET;
}

static int qemu_ep_sample_set_msix(struct pci_epc *epc, u8 func, u8 vfunc,
				   u16 nr_irqs, enum pci_barno bir, u32 offset)
{
	qemu_ep_to_sample(epc)->set_msix = nr_irqs;
	return 0;
}

static int qemu_ep_sample_get_msix(struct pci_epc *epc, u8 func, u8 vfunc)
{
	return QEMU_EP_SAMPLE_MSIX_GET;
}

static const struct pci_epc_ops qemu_ep_sample_ops = {
	.set_msi = qemu_ep_sample_set_msi,
	.get_msi = qemu_ep_sample_get_msi,
	.set_msix = qemu_ep_sample_set_msix,
	.get_msix = qemu_ep_sample_get_msix,
};

int qemu_ep_compat_calibrate(struct device *dev, struct qemu_ep_encoding *enc)
{
	struct qemu_ep_sample *sample __free(kfree) =
		kzalloc(sizeof(*sample), GFP_KERNEL);
	struct pci_epc *epc;
	int msi, msix;

	if (!sample)
		return -ENOMEM;

	epc = &sample->epc;
	epc->ops = &qemu_ep_sample_ops;
	epc->max_functions = 1;
	mutex_init(&epc->lock);

	pci_epc_set_msi(epc, 0, 0, QEMU_EP_SAMPLE_MSI_COUNT);
	pci_epc_set_msix(epc, 0, 0, QEMU_EP_SAMPLE_MSIX_COUNT, BAR_0, 0);
	msi = pci_epc_get_msi(epc, 0, 0);
	msix = pci_epc_get_msix(epc, 0, 0);
	mutex_destroy(&epc->lock);

	enc->set_msi_log2 = sample->set_msi == QEMU_EP_SAMPLE_MSI_LOG2;
	enc->get_msi_log2 = msi == 1 << QEMU_EP_SAMPLE_MSI_GET;
	enc->set_msix_less = QEMU_EP_SAMPLE_MSIX_COUNT - sample->set_msix;
	enc->get_msix_less = msix - QEMU_EP_SAMPLE_MSIX_GET;

	if ((enc->set_msi_log2 ||
	     sample->set_msi == QEMU_EP_SAMPLE_MSI_COUNT) &&
	    (enc->get_msi_log2 || msi == QEMU_EP_SAMPLE_MSI_GET) &&
	    enc->set_msix_less <= 1 && enc->get_msix_less <= 1)
		return 0;

	dev_err(dev, "unknown encoding of interrupt counts (%u, %d, %u, %d)\n",
		sample->set_msi, msi, sample->set_msix, msix);
	return -EOPNOTSUPP;
}
