/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What programs of the host can do with /dev/counter.N
 *
 * write() has the endpoint add all 32-bit words of a buffer to its count.
 * read() has it fill a buffer with the count and the numbers
 * that follow.  Both move the data by DMA.
 */
#ifndef COUNTER_UAPI_H
#define COUNTER_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Adds the argument, which is a number, to the count. */
#define COUNTER_IOC_ADD		_IO('C', 0)
/* Stores the count. */
#define COUNTER_IOC_GET		_IOR('C', 1, __u32)
/* Stores 1 if the last transfer was made by a DMA channel. */
#define COUNTER_IOC_DMA		_IOR('C', 2, __u32)

#endif /* COUNTER_UAPI_H */
