// SPDX-License-Identifier: GPL-2.0
/*
 * Endpoint function of the benchmark: the framework's side
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "epf-bench.h"

static const int bench_bars[] = {
	BENCH_BAR_DATA, BENCH_BAR_PAGE, BENCH_BAR_MSIX
};

static struct pci_epf_header bench_header = {
	.vendorid = BENCH_VENDOR,
	.deviceid = BENCH_DEVICE,
	.baseclass_code = PCI_CLASS_OTHERS,
	.interrupt_pin = PCI_INTERRUPT_INTA,
};

static int epf_bench_epc_init(struct pci_epf *epf)
{
	struct epf_bench *b = epf_get_drvdata(epf);
	struct pci_epc *epc = epf->epc;
	int ret, i;

	ret = pci_epc_write_header(epc, epf->func_no, epf->vfunc_no,
				   epf->header);
	for (i = 0; !ret && i < ARRAY_SIZE(bench_bars); i++)
		ret = pci_epc_set_bar(epc, epf->func_no, epf->vfunc_no,
				      &epf->bar[bench_bars[i]]);
	if (!ret && epf_bench_first(b))
		ret = pci_epc_set_bar(epc, epf->func_no, epf->vfunc_no,
				      &b->bell_bar);
	if (!ret)
		ret = pci_epc_set_msix(epc, epf->func_no, epf->vfunc_no, 1,
				       BENCH_BAR_MSIX, 0);
	return ret;
}

static void epf_bench_epc_deinit(struct pci_epf *epf)
{
	struct epf_bench *b = epf_get_drvdata(epf);
	int i;

	if (epf_bench_first(b))
		pci_epc_clear_bar(epf->epc, epf->func_no, epf->vfunc_no,
				  &b->bell_bar);
	for (i = 0; i < ARRAY_SIZE(bench_bars); i++)
		pci_epc_clear_bar(epf->epc, epf->func_no, epf->vfunc_no,
				  &epf->bar[bench_bars[i]]);
}

static const struct pci_epc_event_ops epf_bench_event_ops = {
	.epc_init = epf_bench_epc_init,
	.epc_deinit = epf_bench_epc_deinit,
};

static void epf_bench_free(struct pci_epf *epf)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(bench_bars); i++)
		if (epf->bar[bench_bars[i]].addr)
			pci_epf_free_space(epf, epf->bar[bench_bars[i]].addr,
					   bench_bars[i], PRIMARY_INTERFACE);
}

static int epf_bench_bind(struct pci_epf *epf)
{
	struct epf_bench *b = epf_get_drvdata(epf);
	const struct pci_epc_features *features;
	size_t size;
	int i, ret;

	features = pci_epc_get_features(epf->epc, epf->func_no, epf->vfunc_no);
	if (!features)
		return -EOPNOTSUPP;

	epf->bar[BENCH_BAR_DATA].flags = PCI_BASE_ADDRESS_MEM_TYPE_64 |
					 PCI_BASE_ADDRESS_MEM_PREFETCH;
	for (i = 0; i < ARRAY_SIZE(bench_bars); i++) {
		size = bench_bars[i] == BENCH_BAR_DATA ? BENCH_DATA_SIZE :
							 SZ_4K;
		if (!pci_epf_alloc_space(epf, size, bench_bars[i], features,
					 PRIMARY_INTERFACE)) {
			epf_bench_free(epf);
			return -ENOMEM;
		}
	}
	b->data = epf->bar[BENCH_BAR_DATA].addr;
	b->page = epf->bar[BENCH_BAR_PAGE].addr;
	ret = epf_bench_run_init(b);
	if (ret)
		goto free;
	ret = epf_bench_bell_init(b);
	if (ret)
		goto exit_run;
	return 0;

exit_run:
	epf_bench_run_exit(b);
free:
	epf_bench_free(epf);
	return ret;
}

static void epf_bench_unbind(struct pci_epf *epf)
{
	struct epf_bench *b = epf_get_drvdata(epf);

	if (epf->epc->init_complete)
		epf_bench_epc_deinit(epf);
	epf_bench_bell_exit(b);
	epf_bench_run_exit(b);
	epf_bench_free(epf);
}

static const struct pci_epf_ops epf_bench_ops = {
	.bind = epf_bench_bind,
	.unbind = epf_bench_unbind,
};

static int epf_bench_probe(struct pci_epf *epf,
			   const struct pci_epf_device_id *id)
{
	struct epf_bench *b = devm_kzalloc(&epf->dev, sizeof(*b), GFP_KERNEL);

	if (!b)
		return -ENOMEM;
	b->epf = epf;
	mutex_init(&b->lock);
	epf->header = &bench_header;
	epf->event_ops = &epf_bench_event_ops;
	epf_set_drvdata(epf, b);
	return 0;
}

static const struct pci_epf_device_id epf_bench_ids[] = {
	{ .name = "pci_epf_bench" },
	{ }
};

static struct pci_epf_driver epf_bench_driver = {
	.driver.name = "pci_epf_bench",
	.probe = epf_bench_probe,
	.id_table = epf_bench_ids,
	.ops = &epf_bench_ops,
	.owner = THIS_MODULE,
};

static int __init epf_bench_init(void)
{
	return pci_epf_register_driver(&epf_bench_driver);
}
module_init(epf_bench_init);

static void __exit epf_bench_exit(void)
{
	pci_epf_unregister_driver(&epf_bench_driver);
}
module_exit(epf_bench_exit);

MODULE_DESCRIPTION("Endpoint function of the pci-ep benchmark");
MODULE_LICENSE("GPL");
