/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What linux/functions/virtio/vring.c takes from the kernel, for user space
 */
#ifndef TESTS_UNIT_VRING_COMPAT_H
#define TESTS_UNIT_VRING_COMPAT_H

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#ifndef cpu_to_le16
#define cpu_to_le16(x)  htole16(x)
#define cpu_to_le32(x)  htole32(x)
#define le16_to_cpu(x)  le16toh(x)
#define le32_to_cpu(x)  le32toh(x)
#define le64_to_cpu(x)  le64toh(x)
#endif

#ifndef BIT_ULL
#define BIT_ULL(n)      (1ULL << (n))
#endif

#define GFP_KERNEL 0

/* How many more allocations succeed; the tests let each one fail. */
extern unsigned vring_compat_allocations;

static inline void *kcalloc(size_t n, size_t size, int flags)
{
    return vring_compat_allocations-- ? calloc(n, size) :
                                        (vring_compat_allocations = 0, NULL);
}

static inline void kfree(void *p)
{
    free(p);
}

#endif /* TESTS_UNIT_VRING_COMPAT_H */
