/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-dma-table: which host PCI addresses a function may reach, and where
 *
 * Filled by the host's DMA_MAP and DMA_UNMAP.  Pure state without locks; the
 * owner serialises.
 */
#ifndef HW_PCI_EP_EPC_DMA_TABLE_H
#define HW_PCI_EP_EPC_DMA_TABLE_H

#include "hw/pci-ep/ep-mem.h"
#include "hw/pci-ep/vfio-user-proto.h"

/* Most ranges, and most distinct files behind them, of one function */
#define EPC_DMA_MAX_RANGES  65535
#define EPC_DMA_MAX_FILES   64

typedef struct EpcDmaTable EpcDmaTable;

/* A run of host addresses that is contiguous in one file. */
typedef struct EpcDmaRun {
    const EpFile *file;
    uint64_t offset;
    uint64_t size;
    bool writable;
} EpcDmaRun;

EpcDmaTable *epc_dma_table_new(void);
void epc_dma_table_free(EpcDmaTable *t);

/*
 * Adds a range; @file (NULL: reachable by message only) is taken over.  0, or
 * EEXIST (overlaps), ENOSPC (too many), EINVAL (the file is too short).
 */
int epc_dma_table_add(EpcDmaTable *t, const VfuDmaMap *map, EpFile *file);

/*
 * Removes [first, last]; a range that reaches beyond it keeps the rest, unless
 * that would make too many.
 */
void epc_dma_table_remove(EpcDmaTable *t, uint64_t first, uint64_t last);
void epc_dma_table_clear(EpcDmaTable *t);
unsigned epc_dma_table_count(const EpcDmaTable *t);

/* Does the host take messages?  Not before this is called. */
void epc_dma_table_set_messages(EpcDmaTable *t, bool taken);

/*
 * The run that begins at @addr, at most @size bytes.  0, or -EFAULT (the host
 * does not allow DMA there), -EACCES (it does, but there is no way), -ENOTSUP (by
 * message only: then just run->size is valid).
 */
int epc_dma_table_find(EpcDmaTable *t, uint64_t addr, uint64_t size,
                       EpcDmaRun *run);

/* The first address in [first, last] to which the host allows no DMA. */
bool epc_dma_table_hole(EpcDmaTable *t, uint64_t first, uint64_t last,
                        uint64_t *hole);

/* Memory of the host as seen by this process; keep the view while using it. */
typedef struct EpcDmaView EpcDmaView;

typedef struct EpcDmaPointer {
    EpcDmaView *view;
    uint8_t *ptr;
    uint64_t size;
} EpcDmaPointer;

/*
 * The run that begins at @addr, for reading or writing; a file is mapped whole,
 * once.  0 (then unref the view), or -EFAULT (the host does not allow that), or
 * -ENOTSUP (by message only).
 */
int epc_dma_table_point(EpcDmaTable *t, uint64_t addr, uint64_t size,
                        bool write, EpcDmaPointer *p);
/* Any thread. */
void epc_dma_view_unref(EpcDmaView *v);

#endif /* HW_PCI_EP_EPC_DMA_TABLE_H */
