/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Endpoint function for tests of virtual functions, see vf-test-main.c
 */
#ifndef VF_TEST_H
#define VF_TEST_H

#include <linux/mutex.h>
#include <linux/pci-epc.h>
#include <linux/pci-epf.h>
#include <linux/workqueue.h>

#include "pci-epc-ext.h"

struct dma_chan;

/**
 * struct vf_test - one virtual function
 * @epf: its endpoint function
 * @header: its configuration header
 * @features: features of the controller
 * @bound: between bind() and unbind()
 * @bar: memory behind each BAR, or NULL
 * @work: polls for commands of the host
 * @chan: DMA channel, or NULL
 * @func: handle of pci-epc-ext.h, or NULL if the controller has no extensions
 * @bell_lock: protects @bell
 * @bell: the doorbell, whose interrupt is requested, or NULL
 */
struct vf_test {
	struct pci_epf *epf;
	struct pci_epf_header header;
	const struct pci_epc_features *features;
	bool bound;
	void *bar[PCI_STD_NUM_BARS];
	struct delayed_work work;
	struct dma_chan *chan;
	struct pci_epc_ext_func *func;
	struct mutex bell_lock;	/* bell */
	struct pci_epc_ext_doorbell *bell;
};

/* vf-test-copy.c: process context; host addresses are bus addresses */
void vf_copy_init(struct vf_test *t);
void vf_copy_exit(struct vf_test *t);
int vf_copy_from_host(struct vf_test *t, void *dst, u64 src, size_t size,
		      bool dma);
int vf_copy_to_host(struct vf_test *t, u64 dst, void *src, size_t size,
		    bool dma);
int vf_copy_in_host(struct vf_test *t, u64 dst, u64 src, size_t size, bool dma);

#endif /* VF_TEST_H */
