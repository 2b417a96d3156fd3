/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compat: differences between the supported versions of QEMU, 10.0 to 10.2
 *
 * Include it after qemu/osdep.h.  It has declarations whose spelling changed,
 * and no code that behaves differently.
 */
#ifndef HW_PCI_EP_SHARED_COMPAT_H
#define HW_PCI_EP_SHARED_COMPAT_H

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

#endif /* HW_PCI_EP_SHARED_COMPAT_H */
