// SPDX-License-Identifier: GPL-2.0
/*
 * Virtio devices as PCI endpoint functions: bind, unbind, events
 *
 * The host drives the device with its own virtio-pci driver.  The controller has
 * to offer the extensions of pci-epc-ext.h: capabilities, trapped BARs and DMA by
 * host address; doorbells are used if there are some.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/pci-epc.h>
#include <linux/pci-epf.h>
#include <uapi/linux/virtio_config.h>
#include <uapi/linux/virtio_ring.h>

#include "device.h"

#define EPF_VIRTIO_NAME	"pci_epf_virtio"

/* ---- Events of the controller ---- */

/*
 * Resets come in order with the accesses of the host, as calls of the trap.  With
 * the attribute "trap" off this is all there is.
 */
static void epf_virtio_event(void *data, const struct pci_epc_ext_event *event)
{
	struct epf_virtio *ev = data;

	switch (event->type) {
	case PCI_EPC_EXT_FLR:
	case PCI_EPC_EXT_HOT_RESET:
	case PCI_EPC_EXT_PERST:
		if (!ev->options.trap)
			epf_virtio_reset(ev);
		break;
	case PCI_EPC_EXT_GONE:
		epf_virtio_bells_release(ev);
		epf_virtio_reset_wait(ev);
		break;
	default:
		break;
	}
}

static int epf_virtio_epc_init(struct pci_epf *epf)
{
	int ret = epf_virtio_layout_describe(epf_get_drvdata(epf));

	if (ret)
		dev_err(&epf->dev, "cannot set up the function: error %d\n",
			ret);
	return ret;
}

static void epf_virtio_epc_deinit(struct pci_epf *epf)
{
	epf_virtio_reset_wait(epf_get_drvdata(epf));
}

static const struct pci_epc_event_ops epf_virtio_event_ops = {
	.epc_init = epf_virtio_epc_init,
	.epc_deinit = epf_virtio_epc_deinit,
};

/* ---- Bind and unbind ---- */

static u64 epf_virtio_offer(struct epf_virtio *ev)
{
	u64 features = ev->options.ops->features |
		       BIT_ULL(VIRTIO_F_VERSION_1) |
		       BIT_ULL(VIRTIO_F_ORDER_PLATFORM) |
		       BIT_ULL(VIRTIO_F_RING_RESET) |
		       BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) |
		       BIT_ULL(VIRTIO_RING_F_EVENT_IDX);

	if (ev->options.access_platform)
		features |= BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);
	if (ev->bells && ev->options.notification_data)
		features |= BIT_ULL(VIRTIO_F_NOTIFICATION_DATA);
	return features;
}

/*
 * One vector for each queue, and one for changes of the configuration.  The host
 * uses INTx if the controller has no MSI-X.
 */
static u16 epf_virtio_choose_vectors(struct epf_virtio *ev)
{
	const struct pci_epc_features *features;
	struct pci_epf *epf = ev->epf;

	features = pci_epc_get_features(epf->epc, epf->func_no, epf->vfunc_no);
	if (!features || !features->msix_capable)
		return 0;
	return epf->msix_interrupts ? : ev->num_queues + 1;
}

static int epf_virtio_open_queues(struct epf_virtio *ev)
{
	struct device *dev = &ev->epf->dev;

	ev->wq = alloc_workqueue("%s", WQ_UNBOUND | WQ_HIGHPRI, 0,
				 dev_name(dev));
	ev->control_wq = alloc_ordered_workqueue("%s-control", 0,
						 dev_name(dev));
	return ev->wq && ev->control_wq ? 0 : -ENOMEM;
}

static void epf_virtio_close_queues(struct epf_virtio *ev)
{
	if (ev->control_wq)
		destroy_workqueue(ev->control_wq);
	if (ev->wq)
		destroy_workqueue(ev->wq);
	ev->control_wq = NULL;
	ev->wq = NULL;
}

static int epf_virtio_open_func(struct epf_virtio *ev)
{
	struct pci_epf *epf = ev->epf;
	int ret;

	ev->func = pci_epc_ext_open(epf->epc, epf->func_no, epf->vfunc_no,
				    epf_virtio_event, ev);
	if (IS_ERR(ev->func))
		return PTR_ERR(ev->func);
	ret = epf_virtio_layout_open(ev);
	if (ret)
		pci_epc_ext_close(ev->func);
	return ret;
}

static int epf_virtio_open(struct epf_virtio *ev)
{
	const struct epf_virtio_ops *ops = ev->options.ops;
	int ret = epf_virtio_open_queues(ev);

	ev->num_queues = ops->num_queues ? ops->num_queues(ev) : ops->queues;
	ev->vectors = epf_virtio_choose_vectors(ev);
	if (!ret)
		ret = epf_virtio_open_func(ev);
	if (ret)
		goto err_queues;
	ev->offered = epf_virtio_offer(ev);
	epf_virtio_reset(ev);
	if (ops->open)
		ret = ops->open(ev);
	if (ret)
		goto err_func;
	if (!ev->options.trap)
		epf_virtio_poll_start(ev);
	return 0;

err_func:
	epf_virtio_layout_close(ev);
	pci_epc_ext_close(ev->func);
	epf_virtio_layout_free(ev);
err_queues:
	epf_virtio_close_queues(ev);
	return ret;
}

/*
 * The host cannot reach the device any more, then no work of the device runs, and
 * then all goes that this work used.  The back end goes before the handle, since it
 * may still change the device configuration.
 */
static void epf_virtio_close(struct epf_virtio *ev)
{
	const struct epf_virtio_ops *ops = ev->options.ops;

	if (!ev->options.trap)
		epf_virtio_poll_stop(ev);
	epf_virtio_layout_close(ev);
	epf_virtio_reset_wait(ev);
	if (ops->close)
		ops->close(ev);
	pci_epc_ext_close(ev->func);
	epf_virtio_close_queues(ev);
	epf_virtio_layout_free(ev);
}

static int epf_virtio_bind(struct pci_epf *epf)
{
	struct epf_virtio *ev = epf_get_drvdata(epf);
	int ret;

	scoped_guard(mutex, &ev->lock) {
		if (!ev->options.ops) {
			dev_err(&epf->dev, "no type: write one to the attribute virtio/type\n");
			return -EINVAL;
		}
		ev->bound = true;
	}
	ret = epf_virtio_open(ev);
	if (!ret) {
		epf_virtio_show(ev);
		return 0;
	}
	dev_err(&epf->dev, "cannot use the controller: error %d\n", ret);
	guard(mutex)(&ev->lock);
	ev->bound = false;
	return ret;
}

static void epf_virtio_unbind(struct pci_epf *epf)
{
	struct epf_virtio *ev = epf_get_drvdata(epf);

	debugfs_remove(ev->dir);
	epf_virtio_close(ev);
	guard(mutex)(&ev->lock);
	ev->bound = false;
}

static struct config_group *epf_virtio_add_cfs(struct pci_epf *epf,
					       struct config_group *group)
{
	struct epf_virtio *ev = epf_get_drvdata(epf);

	config_group_init_type_name(&ev->group, "virtio",
				    &epf_virtio_group_type);
	return &ev->group;
}

static const struct pci_epf_ops epf_virtio_ops = {
	.bind = epf_virtio_bind,
	.unbind = epf_virtio_unbind,
	.add_cfs = epf_virtio_add_cfs,
};

/* ---- The driver ---- */

static int epf_virtio_probe(struct pci_epf *epf,
			    const struct pci_epf_device_id *id)
{
	struct epf_virtio *ev = devm_kzalloc(&epf->dev, sizeof(*ev),
					     GFP_KERNEL);
	int ret;

	if (!ev)
		return -ENOMEM;
	ret = devm_mutex_init(&epf->dev, &ev->lock);
	if (ret)
		return ret;
	ev->epf = epf;
	ev->options = (struct epf_virtio_options){
		.trap = true,
		.doorbells = true,
		.notification_data = true,
		.access_platform = true,
		.capabilities = true,
		.net = EPF_VIRTIO_NET_DEFAULTS,
	};
	INIT_WORK(&ev->control, epf_virtio_control);
	epf_virtio_queues_init(ev);
	epf->header = &ev->header;
	epf->event_ops = &epf_virtio_event_ops;
	epf_set_drvdata(epf, ev);
	return 0;
}

static const struct pci_epf_device_id epf_virtio_ids[] = {
	{ .name = EPF_VIRTIO_NAME },
	{ }
};

static struct pci_epf_driver epf_virtio_driver = {
	.driver.name = EPF_VIRTIO_NAME,
	.probe = epf_virtio_probe,
	.id_table = epf_virtio_ids,
	.ops = &epf_virtio_ops,
	.owner = THIS_MODULE,
};

static int __init epf_virtio_init(void)
{
	int ret = epf_virtio_console_driver_init();

	if (ret)
		return ret;
	epf_virtio_debugfs_init();
	ret = pci_epf_register_driver(&epf_virtio_driver);
	if (ret) {
		epf_virtio_debugfs_exit();
		epf_virtio_console_driver_exit();
	}
	return ret;
}
module_init(epf_virtio_init);

static void __exit epf_virtio_exit(void)
{
	pci_epf_unregister_driver(&epf_virtio_driver);
	epf_virtio_debugfs_exit();
	epf_virtio_console_driver_exit();
}
module_exit(epf_virtio_exit);

MODULE_DESCRIPTION("Virtio devices as PCI endpoint functions");
MODULE_LICENSE("GPL");
