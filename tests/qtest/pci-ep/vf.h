/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host machine with a fake endpoint that has virtual functions
 */
#ifndef TESTS_QTEST_PCI_EP_VF_H
#define TESTS_QTEST_PCI_EP_VF_H

#include "machine-host.h"
#include "fake-endpoint.h"

#define VFDEV_DEADLINE_MS wait_scaled(1000)
#define VFDEV_FNS         8
#define VFDEV_SRIOV       0x100   /* the capability in function 0 */
#define VFDEV_NEXT        0x140   /* a vendor-specific extended capability */
#define VFDEV_NEXT_HEADER 0x0001000b
#define VFDEV_DEVICE      0xb5ffu
#define VFDEV_DEVCTL      0x68    /* of the functions of fakeep_new() */
#define VFDEV_MSIX        0xa0

/* Where vfdev_enable() puts VF BARs, 1 MiB apart */
#define VFDEV_BAR(n)      (HOSTVM_BAR(8) + (n) * 0x100000u)
#define VFDEV_BAR0_SIZE   0x10000u
#define VFDEV_BAR1_SIZE   0x1000u

typedef struct VfDev {
    unsigned fns, vfs;
    FakeEp *ep[VFDEV_FNS];      /* virtual ones after the functions */
    QTestState *q;
    uint8_t *sriov;             /* the capability, as the endpoint has it */
} VfDev;

/* Makes the servers of all functions and virtual functions. None listens. */
void vfdev_make(VfDev *d, unsigned fns, unsigned vfs);
/* All servers listen, and the host is started. */
void vfdev_launch(VfDev *d, const char *args);
void vfdev_all_up(VfDev *d);
void vfdev_all_down(VfDev *d);
/* vfdev_make(), _launch() and _all_up() */
void vfdev_start(VfDev *d, unsigned fns, unsigned vfs);
void vfdev_end(VfDev *d);

/* Virtual function @n, from 0 */
FakeEp *vfdev_vf(VfDev *d, unsigned n);
unsigned vfdev_bdf(VfDev *d, unsigned n);

/* A register of the SR-IOV capability, through the guest */
uint32_t vfdev_read(VfDev *d, unsigned reg);
void vfdev_write(VfDev *d, unsigned reg, uint32_t val);
/* Sets the VF BARs, NumVFs to @n, VF Enable and VF MSE. */
void vfdev_enable(VfDev *d, unsigned n);
void vfdev_disable(VfDev *d);

/* The address of the MSI-X table of virtual function @n in the guest */
uint64_t vfdev_msix_table(VfDev *d, unsigned n);
/*
 * The first @n virtual functions answer, and the others do not. The vendor ID
 * of a virtual function is all ones, so this looks at the class.
 */
void vfdev_check_enabled(VfDev *d, unsigned n);
/*
 * The value of the last configuration write to @reg that the bridge sent to @s.
 * False if there was none.
 */
bool vfdev_config_written(FakeEp *s, unsigned reg, uint32_t *val);

#endif /* TESTS_QTEST_PCI_EP_VF_H */
