/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc: doorbells, with which the host interrupts the endpoint
 *
 * A part of the contract in pci-epc-regs.h, which includes this file. There are
 * two kinds. Doorbells of the controller raise its MSI-X vectors. Doorbells of
 * an ITS are interrupts of the machine, which any driver can allocate.
 */
#ifndef HW_PCI_EP_PCI_EPC_DOORBELL_REGS_H
#define HW_PCI_EP_PCI_EPC_DOORBELL_REGS_H

/* ---- Global page, with EPC_FEATURE_DOORBELL ---- */

/* (ro) Number of doorbells */
#define EPC_REG_DOORBELLS           0x02c   /* 1 to EPC_MAX_DOORBELLS */
#define EPC_MAX_DOORBELLS           64

/* (ro) Offset in EPC_BAR_REGS of the controls of doorbell 0 */
#define EPC_REG_DOORBELL_BASE       0x038

/* ---- Doorbells ---- */

/*
 * Doorbell n is the 32-bit register at offset 4 * n of EPC_BAR_DOORBELL, which
 * reads as zero. An access of this guest itself has no effect. If the target of
 * a BAR or area is inside EPC_BAR_DOORBELL, the host can ring: its write to any
 * bytes of doorbell n raises the vector of the doorbell if that is enabled. A
 * write of 64 bits is one to each of two doorbells, as a memory write of PCI
 * Express is that has two doublewords (PCIe 2.2.5). Before version 1.7 only
 * aligned writes of 32 bits ring. Behind the doorbells EPC_BAR_DOORBELL is like
 * EPC_AREA_NONE. A write of the host that is under way while the BAR is
 * retargeted may still ring. Rings of one doorbell are merged if they come
 * faster than this guest handles them.
 */
#define EPC_DOORBELL_BAR_SIZE       0x100000

/*
 * Controls of doorbell n, at EPC_REG_DOORBELL_BASE + n * EPC_DOORBELL_STRIDE
 *
 * CTRL (rw)   ENABLE: the host may ring it. VALUE: the device keeps the value
 *             that the host writes, which costs the host an exit. A driver sets
 *             VALUE before it makes the doorbell the target of a BAR.
 * VECTOR (rw) The MSI-X vector that it raises, EPC_VECTOR_DOORBELL(n) at first.
 *             Values from EPC_VECTORS on are a bad access.
 * VALUE (ro)  If CTRL has VALUE, what the host wrote last; zero before that.
 *             Bytes that this write did not have are zero.
 *
 * A BAR or area that has one doorbell as its target has all of them, since it
 * has whole pages. So the host of each function with such a BAR can ring all
 * doorbells of the controller, with any value, and can write the value without
 * ringing. A driver whose functions have hosts that do not trust each other
 * gives doorbells to one of them.
 */
#define EPC_DOORBELL_STRIDE         0x10
#define EPC_DOORBELL_CTRL           0x00
#define EPC_DOORBELL_CTRL_ENABLE    (1u << 0)
#define EPC_DOORBELL_CTRL_VALUE     (1u << 1)
#define EPC_DOORBELL_VECTOR         0x04
#define EPC_DOORBELL_VALUE          0x08

/* ---- Doorbells of an ITS, with EPC_FEATURE_ITS ---- */

/*
 * The target of a BAR or area may include pages of the frame with
 * GITS_TRANSLATER of a GIC ITS of this machine. So the host can ring: its
 * aligned write of 16 or 32 bits to that register is a message interrupt, whose
 * EventID is the value. All others are dropped, and so is an EventID from
 * EPC_ITS_EVENTS on. They count in EPC_FN_INBOUND_DROPPED. The frame reads as
 * zero.
 *
 * A driver rounds the address of the register down to the size of the BAR. So
 * what lies around the frame, but RAM, may be in the target as well. It is like
 * EPC_AREA_NONE.
 *
 * Rings are delivered in the order of their EventIDs, and rings of one EventID
 * are merged, if they come faster than this guest handles them. They are
 * delivered before this guest reads any register of the controller. As the
 * messages of any device, they are dropped without bus mastering, and outside
 * of D0. EPC_REG_RESET drops those that are not delivered.
 *
 * (ro) The requester id of these messages, from which the machine makes the
 * DeviceID. It is that of the controller with another function number, which no
 * device has: 7 minus its own. So a host can raise what is mapped for that
 * DeviceID, and no other interrupt. EPC_FEATURE_ITS is missing while a device
 * has that id.
 */
#define EPC_REG_ITS_DEVICE          0x0a8
#define EPC_ITS_EVENTS              1024

#endif /* HW_PCI_EP_PCI_EPC_DOORBELL_REGS_H */
