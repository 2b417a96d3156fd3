/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-window: the outbound window, through which the endpoint reaches the host
 *
 * A map ties a part of the window to host PCI addresses until the endpoint
 * removes it, over any number of links.  It is live while the host allows DMA to
 * all of it, else that part of the window reads all ones; the owner tells when
 * that changed.  A live map is fast, when all of it can be mapped for reading and
 * writing, or slow: then the owner has to carry out each access.  No locks; the
 * owner serialises.
 */
#ifndef HW_PCI_EP_EPC_WINDOW_H
#define HW_PCI_EP_EPC_WINDOW_H

#include "qemu/interval-tree.h"
#include "qemu/queue.h"
#include "hw/pci-ep/epc-dma-table.h"
#include "hw/pci-ep/pci-epc-regs.h"

/*
 * Most parts of the window that go to different places, of all live maps
 * together.  Two areas of address space each; the kernel's default is 65530.
 */
#define EPC_WINDOW_MAX_RUNS 16384

typedef struct EpcMap EpcMap;

typedef struct EpcWindow {
    void *base;
    uint64_t size;
    unsigned max;               /* most maps */
    unsigned count;
    unsigned live;
    unsigned runs;
    unsigned slow;              /* at most EPC_MAX_SLOW_MAPS */
    QLIST_HEAD(, EpcMap) slow_maps;
    bool slow_changed;          /* for the owner, which clears it */
    IntervalTreeRoot by_offset; /* never overlap */
    IntervalTreeRoot by_host;   /* may overlap */
} EpcWindow;

bool epc_window_init(EpcWindow *w, uint64_t size, unsigned max, Error **errp);

/* Forgets all maps.  The memory stays: guest accesses may be under way. */
void epc_window_clear(EpcWindow *w);
/* The same for the maps of function @fn */
void epc_window_forget(EpcWindow *w, unsigned fn);

/*
 * MAP of function @fn: EPC_STATUS_*.  BUSY: it is a slow one.  BAD_ARG changes
 * nothing; on any error a map that existed at @offset is gone.
 */
uint32_t epc_window_map(EpcWindow *w, unsigned fn, EpcDmaTable *t,
                        uint64_t offset, uint64_t addr, uint64_t size);

/* Is this MAP well formed, apart from what the host allows? */
bool epc_window_map_valid(EpcWindow *w, unsigned fn, uint64_t offset,
                          uint64_t addr, uint64_t size);
void epc_window_unmap(EpcWindow *w, unsigned fn, uint64_t offset);

/* Where does @offset lead, and how much of the map is left there? */
bool epc_window_lookup(EpcWindow *w, uint64_t offset, unsigned *fn,
                       uint64_t *addr, uint64_t *left);

typedef struct EpcWindowPart {
    uint64_t offset, size;
} EpcWindowPart;

/* Fills in the parts of slow maps; how many. */
unsigned epc_window_slow(EpcWindow *w, EpcWindowPart part[EPC_MAX_SLOW_MAPS]);

/* Host addresses [first, last] of @fn cannot be reached any more. */
void epc_window_revoke(EpcWindow *w, unsigned fn, uint64_t first,
                       uint64_t last);

/* More of [first, last] can be reached than before. */
void epc_window_restore(EpcWindow *w, unsigned fn, EpcDmaTable *t,
                        uint64_t first, uint64_t last);

#endif /* HW_PCI_EP_EPC_WINDOW_H */
