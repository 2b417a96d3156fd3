/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pci-epc with two functions and three virtual ones, and a fake host of each
 */
#ifndef TESTS_QTEST_PCI_EP_MACHINE_ENDPOINT_VF_H
#define TESTS_QTEST_PCI_EP_MACHINE_ENDPOINT_VF_H

#include "hw/pci/pci_regs.h"
#include "dma.h"

#define FUNCTIONS   2
#define VFS         3
#define NUMBERS     (FUNCTIONS + VFS)
#define ALL         0x1fu
#define VF(k)       (FUNCTIONS + (k) - 1)       /* number of VF k, from 1 */
#define VF_ID       0x10f3u
#define VF_CLASS    0x01080201u

#define SRIOV       0x100
#define CTRL        (SRIOV + PCI_SRIOV_CTRL)
#define NUM         (SRIOV + PCI_SRIOV_NUM_VF)
#define ENABLE      (PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE)
#define ENABLED(n)  (EPC_FN_VFS_ENABLE | EPC_FN_VFS_MEMORY | (n))

#define BAR(n)      (EPVM_BAR0 + (n) * 0x20000)  /* memory behind BAR 0 of n */
#define BAR_SIZE    0x10000u
#define TABLE       (BAR_SIZE - 0x1000)
#define WINDOW(n)   (EPVM_WINDOW + (n) * 0x10000)

/* c[n] is the fake host of function number n. */
typedef struct EpVmVf {
    EpVm *e;
    FakeHost *c[NUMBERS];
    uint8_t *mem;           /* at HOST, for all */
    int fd;
} EpVmVf;

/* Selects @fn and reads a register of its page. */
uint32_t epvm_vf_reg(EpVm *e, unsigned fn, uint32_t reg);
uint32_t epvm_vf_set_header(EpVm *e, unsigned fn);
/* Describes BAR 0, with memory of its own, and MSI-X in it. */
void epvm_vf_describe(EpVm *e, unsigned fn);
/*
 * Starts the machine. The functions have a header. epvm_vf_start_all()
 * describes the virtual functions too.
 */
EpVm *epvm_vf_start(const char *props);
EpVm *epvm_vf_start_all(const char *props);

/* All are described and up with their hosts, each of which has HOST mapped. */
void epvm_vf_begin(EpVmVf *h);
/*
 * Answers what follows a START. epvm_vf_attach() connects the hosts and starts
 * before that.
 */
void epvm_vf_up(EpVmVf *h);
void epvm_vf_attach(EpVmVf *h);
void epvm_vf_end(EpVmVf *h);
/* The host enables @num virtual functions and bus mastering of each. */
void epvm_vf_enable(EpVmVf *h, unsigned num);
/* Function number @n is as after VF Enable (@enabled), or as before. */
void epvm_vf_check(EpVmVf *h, unsigned n, bool enabled, bool master);
void epvm_vf_check_disabled(EpVmVf *h);

#endif /* TESTS_QTEST_PCI_EP_MACHINE_ENDPOINT_VF_H */
