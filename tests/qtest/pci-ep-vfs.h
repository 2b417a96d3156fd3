/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host with a scripted endpoint that has virtual functions
 */
#ifndef TESTS_QTEST_PCI_EP_VFS_H
#define TESTS_QTEST_PCI_EP_VFS_H

#include "pci-ep-host.h"
#include "pci-ep-server.h"

#define VFS_DEADLINE_MS 1000
#define VFS_FNS         8
#define VFS_SRIOV       0x100   /* the capability in function 0 */
#define VFS_NEXT        0x140   /* a vendor-specific extended capability */
#define VFS_NEXT_HEADER 0x0001000b
#define VFS_DEVICE      0xb5ffu
#define VFS_DEVCTL      0x68    /* of the functions of eps_new() */
#define VFS_MSIX        0xa0

/* Where vfs_enable() puts VF BARs, 1 MiB apart */
#define VFS_BAR(n)      (EPH_BAR(8) + (n) * 0x100000u)
#define VFS_BAR0_SIZE   0x10000u
#define VFS_BAR1_SIZE   0x1000u

typedef struct VfDevice {
    unsigned fns, vfs;
    EpServer *ep[VFS_FNS];      /* virtual ones after the functions */
    QTestState *q;
    uint8_t *sriov;             /* the capability, as the endpoint has it */
} VfDevice;

/* Servers of functions and virtual functions; none listens */
void vfs_make(VfDevice *d, unsigned fns, unsigned vfs);
/* All listen, and the host runs. */
void vfs_launch(VfDevice *d, const char *args);
void vfs_all_up(VfDevice *d);
void vfs_all_down(VfDevice *d);
/* All of that */
void vfs_start(VfDevice *d, unsigned fns, unsigned vfs);
void vfs_end(VfDevice *d);

/* Virtual function @n, from 0 */
EpServer *vfs_vf(VfDevice *d, unsigned n);
unsigned vfs_bdf(VfDevice *d, unsigned n);

/* The capability, as the guest sees it */
uint32_t vfs_read(VfDevice *d, unsigned reg);
void vfs_write(VfDevice *d, unsigned reg, uint32_t val);
/* VF BARs, NumVFs, VF Enable and VF MSE */
void vfs_enable(VfDevice *d, unsigned n);
void vfs_disable(VfDevice *d);

/* Where the guest finds that of virtual function @n */
uint64_t vfs_msix_table(VfDevice *d, unsigned n);
/* Which virtual functions answer: their vendor ID is that of none */
void vfs_check_enabled(VfDevice *d, unsigned n);
/* The last configuration write to @reg that the endpoint was told of */
bool vfs_told(EpServer *s, unsigned reg, uint32_t *val);

#endif /* TESTS_QTEST_PCI_EP_VFS_H */
