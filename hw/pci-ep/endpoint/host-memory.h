/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of the host that a function may reach
 *
 * The host adds ranges of bus addresses with DMA_MAP and removes them with
 * DMA_UNMAP.  A range comes with a file that has its memory, or without one;
 * then the memory can be reached by message only.
 *
 * Nothing here takes a lock but that of the views.  In a device EpcState.lock
 * guards the EpcHostMemory of each function, and callers hold it.
 */
#ifndef HW_PCI_EP_ENDPOINT_HOST_MEMORY_H
#define HW_PCI_EP_ENDPOINT_HOST_MEMORY_H

#include "hw/pci-ep/endpoint/host-view.h"
#include "hw/pci-ep/shared/peer-mem.h"
#include "hw/pci-ep/vfio-user-proto.h"

/* Most ranges of one function, and most files that have their memory */
#define EPC_HOST_MAX_RANGES 65535
#define EPC_HOST_MAX_FILES  64

typedef struct EpcHostMemory EpcHostMemory;

EpcHostMemory *epc_host_memory_new(void);
/* @t may be NULL. */
void epc_host_memory_free(EpcHostMemory *t);

/* ---- Changes by the host ---- */

/*
 * Adds the range that @map describes.  Takes over @file, which may be NULL.
 * Returns 0, EINVAL (the range is empty, wraps, or is longer than the file),
 * EEXIST (it overlaps another one), or ENOSPC (there are
 * EPC_HOST_MAX_RANGES).  If the file cannot be mapped page by page, or there
 * are EPC_HOST_MAX_FILES, the range is added without it.  A range that
 * continues another one, in the same file and with the same rights, becomes one
 * with it.
 */
int epc_host_memory_add(EpcHostMemory *t, const VfuDmaMap *map, EpFile *file);
/*
 * Removes bus addresses [first, last].  A range that begins before or ends
 * after them keeps these other bytes, as long as there are no more ranges than
 * allowed.
 */
void epc_host_memory_remove(EpcHostMemory *t, uint64_t first, uint64_t last);
void epc_host_memory_clear(EpcHostMemory *t);
/* Says whether the host takes messages; at first it does not. */
void epc_host_memory_set_messages(EpcHostMemory *t, bool taken);

/* ---- Questions ---- */

/* Number of ranges, after those that continue each other became one */
unsigned epc_host_memory_count(const EpcHostMemory *t);
/*
 * Returns whether the host forbids DMA to some of the bus addresses [first,
 * last], and stores the first of these.
 */
bool epc_host_memory_hole(EpcHostMemory *t, uint64_t first, uint64_t last,
                          uint64_t *hole);

/* A span of bus addresses that is contiguous in one file */
typedef struct EpcHostRun {
    const EpFile *file;
    uint64_t offset;            /* in @file */
    uint64_t size;
    bool writable;
} EpcHostRun;

/*
 * Stores the run that begins at bus address @addr, at most @size bytes of it.
 * Returns 0, -EFAULT (the host forbids DMA there), -EACCES (it allows DMA, but
 * there is neither a file nor does the host take messages), or -ENOTSUP (by
 * message only; then only @run->size is stored).
 */
int epc_host_memory_find(EpcHostMemory *t, uint64_t addr, uint64_t size,
                         EpcHostRun *run);

/* ---- Memory in this process ---- */

typedef struct EpcHostPointer {
    EpcHostView *view;          /* a reference; keeps @ptr mapped */
    uint8_t *ptr;
    uint64_t size;
} EpcHostPointer;

/*
 * As epc_host_memory_find(), and stores where this process has the run, or the
 * beginning of it, for reading or, with @write, for writing.  Returns 0,
 * -EFAULT (the host forbids that), or -ENOTSUP (there is no file, or it cannot
 * be mapped).  On 0 the caller drops the reference to the view.
 */
int epc_host_memory_point(EpcHostMemory *t, uint64_t addr, uint64_t size,
                          bool write, EpcHostPointer *p);

#endif /* HW_PCI_EP_ENDPOINT_HOST_MEMORY_H */
