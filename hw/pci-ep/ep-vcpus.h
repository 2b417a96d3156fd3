/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ep-vcpus: change the memory map of the guest while nobody uses it
 *
 * TCG looks up a page in the memory map of one moment and the device behind it
 * in that of the next.  So a change while vCPUs run may lead any access to
 * another device, or to an assertion.
 */
#ifndef HW_PCI_EP_EP_VCPUS_H
#define HW_PCI_EP_EP_VCPUS_H

#include "hw/qdev-core.h"

/*
 * No vCPU is on its way to a device until ep_resume_vcpus().  Waits without the
 * BQL, so anything else may have changed afterwards; accesses of @dev, whose
 * bottom half this is, may end meanwhile.  Main loop, not nested.
 */
void ep_pause_vcpus(DeviceState *dev);
void ep_resume_vcpus(void);

#endif /* HW_PCI_EP_EP_VCPUS_H */
