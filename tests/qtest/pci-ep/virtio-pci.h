/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-pci: registers of a modern device of QEMU, in its BAR 4 (Virtio 1.2,
 * 4.1.4), which the test maps at VIO
 */
#ifndef TESTS_QTEST_PCI_EP_VIRTIO_PCI_H
#define TESTS_QTEST_PCI_EP_VIRTIO_PCI_H

#define VIO             0xd0000000ull
#define VIO_FEATURE_SEL (VIO + 0x08)
#define VIO_FEATURE     (VIO + 0x0c)
#define VIO_STATUS      (VIO + 0x14)
#define VIO_QUEUE_SIZE  (VIO + 0x18)
#define VIO_QUEUE_ON    (VIO + 0x1c)
#define VIO_QUEUE_DESC  (VIO + 0x20)
#define VIO_QUEUE_AVAIL (VIO + 0x28)
#define VIO_QUEUE_USED  (VIO + 0x30)
#define VIO_NOTIFY      (VIO + 0x3000)
#define VIO_VERSION_1   (1u << 0)   /* of the upper word */

#endif /* TESTS_QTEST_PCI_EP_VIRTIO_PCI_H */
