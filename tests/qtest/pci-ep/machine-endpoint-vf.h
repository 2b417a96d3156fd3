/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pci-epc with two functions and three virtual ones, and scripted hosts of all
 */
#ifndef TESTS_QTEST_PCI_EP_ENDPOINT_VF_H
#define TESTS_QTEST_PCI_EP_ENDPOINT_VF_H

#include "hw/pci/pci_regs.h"
#include "pci-ep-dma.h"

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

#define BAR(n)      (EPE_BAR0 + (n) * 0x20000)  /* memory behind BAR 0 of n */
#define BAR_SIZE    0x10000u
#define TABLE       (BAR_SIZE - 0x1000)
#define WINDOW(n)   (EPE_WINDOW + (n) * 0x10000)

/* EpVfHosts.c[n] is the client of number n. */
typedef struct EpVfHosts {
    EpEndpoint *e;
    PepClient *c[NUMBERS];
    uint8_t *mem;           /* at HOST, for all */
    int fd;
} EpVfHosts;

/* A register of the page of @fn, which is selected then */
uint32_t epv_reg(EpEndpoint *e, unsigned fn, uint32_t reg);
uint32_t epv_set_header(EpEndpoint *e, unsigned fn);
/* BAR 0 with memory of its own, and MSI-X in it */
void epv_describe(EpEndpoint *e, unsigned fn);
/* Functions have a header, and with _all virtual functions are described. */
EpEndpoint *epv_start(const char *props);
EpEndpoint *epv_start_all(const char *props);

/* All described, and up with all hosts; each has HOST mapped. */
void epv_begin(EpVfHosts *h);
/* What follows a START; _attach() has the hosts connect and starts. */
void epv_up(EpVfHosts *h);
void epv_attach(EpVfHosts *h);
void epv_end(EpVfHosts *h);
/* The host enables @num, and lets each of them master the bus. */
void epv_enable(EpVfHosts *h, unsigned num);
/* Number @n is as the host has it after VF Enable, or before. */
void epv_check(EpVfHosts *h, unsigned n, bool enabled, bool master);
void epv_check_disabled(EpVfHosts *h);

#endif /* TESTS_QTEST_PCI_EP_ENDPOINT_VF_H */
