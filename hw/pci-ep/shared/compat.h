/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compat: what differs between the QEMU versions we build on (10.0 and 10.2)
 *
 * Include after qemu/osdep.h.  Only declarations whose spelling changed; code
 * that behaves differently does not belong here.
 */
#ifndef HW_PCI_EP_COMPAT_H
#define HW_PCI_EP_COMPAT_H

#if __has_include("system/ramblock.h")
#include "system/memory.h"
#include "system/ramblock.h"
#else
#include "exec/memory.h"
#include "exec/ramblock.h"
#endif

/* class_init data and TypeInfo.interfaces became const in 10.1 */
#if QEMU_VERSION_MAJOR > 10 || \
    (QEMU_VERSION_MAJOR == 10 && QEMU_VERSION_MINOR >= 1)
#define EPC_CONST const
#else
#define EPC_CONST
#endif

#endif /* HW_PCI_EP_COMPAT_H */
