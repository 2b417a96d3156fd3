/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ep-vcpus: change the memory map of the guest while nobody uses it
 */
#include "qemu/osdep.h"
#include "system/cpus.h"
#include "hw/pci-ep/ep-vcpus.h"

void ep_pause_vcpus(DeviceState *dev)
{
    MemReentrancyGuard *guard = &dev->mem_reentrancy_guard;

    guard->engaged_in_io = false;
    pause_all_vcpus();
    guard->engaged_in_io = true;
}

void ep_resume_vcpus(void)
{
    resume_all_vcpus();
}
