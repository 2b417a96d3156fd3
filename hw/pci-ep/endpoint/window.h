/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The outbound window, through which the endpoint reaches its host
 *
 * A map ties a span of the window to bus addresses of the host.  It exists
 * from MAP until UNMAP, over any number of link-ups.  A map is live while the
 * host allows DMA to every byte of it; the span of a map that is not live
 * reads all ones.  There are two kinds of live maps.  One is mapped: this
 * process can map every byte of it for reading and writing, so the guest's
 * accesses go to memory. The other is trapped: window-trap.c carries out each
 * access.
 *
 * A map may consist of many runs, which take long to map. So a map becomes live
 * in turns of at most 10 ms, between which the caller releases its lock.
 *
 * A run is a span of bus addresses that is contiguous in one file of the host.
 *
 * Nothing here takes a lock.  In a device EpcState.lock guards the window and
 * the EpcHostMemory of each function, and callers hold it.
 */
#ifndef HW_PCI_EP_ENDPOINT_WINDOW_H
#define HW_PCI_EP_ENDPOINT_WINDOW_H

#include "qemu/interval-tree.h"
#include "qemu/queue.h"
#include "hw/pci-ep/endpoint/host-memory.h"
#include "hw/pci-ep/pci-epc-regs.h"

/*
 * Most runs of all mapped maps together.  Each takes up to two areas of the
 * address space of this process, of which the kernel allows 65530
 * (vm.max_map_count).
 */
#define EPC_WINDOW_MAX_RUNS 16384

/*
 * Most runs that are looked up for one change by the host, which takes some
 * milliseconds.  Maps that are live in the end need no more than half of them,
 * unless others that cannot become live use them up.
 */
#define EPC_WINDOW_MAX_LOOKUPS (4 * EPC_WINDOW_MAX_RUNS)

typedef struct EpcMap EpcMap;

typedef struct EpcWindow {
    void *base;                 /* of the memory that the guest sees */
    uint64_t size;
    unsigned max;               /* most maps */
    unsigned count;             /* maps */
    unsigned live;              /* maps that are live */
    unsigned runs;              /* of mapped maps */
    unsigned lookups;           /* runs that may still be looked up now */
    QTAILQ_HEAD(, EpcMap) revived;  /* that epc_window_restore_more() revives */
    EpcMap *by_command[EPC_MAX_FUNCTIONS];  /* of a MAP that is BUSY */
    uint64_t refused;           /* what made the last MAP NOT_MAPPED */
    unsigned trapped;           /* maps, at most EPC_MAX_TRAPPED_MAPS */
    QLIST_HEAD(, EpcMap) trapped_maps;
    /*
     * Called each time when a map becomes a trapped one or ceases to be one, or
     * when epc_window_map_more() has to be called, in the thread and with the
     * lock of whoever called here.  The owner sets it after epc_window_init().
     */
    void (*changed)(struct EpcWindow *w);
    IntervalTreeRoot by_offset; /* maps; they never overlap */
    IntervalTreeRoot by_host;   /* maps; they may overlap */
} EpcWindow;

/*
 * Reserves @size bytes of address space, which read all ones.  At most @max
 * maps can exist at a time.
 */
bool epc_window_init(EpcWindow *w, uint64_t size, unsigned max, Error **errp);

/*
 * Removes all maps, or those of function number @fn.  The memory at @w->base
 * stays, since the guest may be accessing it.
 */
void epc_window_clear(EpcWindow *w);
void epc_window_forget(EpcWindow *w, unsigned fn);

/* ---- Commands of the endpoint ---- */

/*
 * MAP of function @fn.  @t is the memory that its host lets it reach.  Returns
 * an EPC_STATUS_*: OK when the map is mapped, BUSY when it is trapped and the
 * guest does not see it yet, or when there is more to do.  After NOT_MAPPED,
 * EpcWindow.refused is the first address that the host does not allow.  BAD_ARG
 * means that epc_window_map_valid() is
 * false, and changes nothing.  After any other error no map is left at
 * @offset.
 */
uint32_t epc_window_map(EpcWindow *w, unsigned fn, EpcHostMemory *t,
                        uint64_t offset, uint64_t addr, uint64_t size);
/*
 * Goes on with the MAP of @fn that was BUSY, when the guest sees all maps that
 * epc_window_trapped() has told.  A map that became trapped after that stays
 * BUSY.  Returns what epc_window_map() does.  If the host has taken
 * the memory away meanwhile, the map is there and not live, as if it had done
 * so after MAP.
 */
uint32_t epc_window_map_more(EpcWindow *w, unsigned fn, EpcHostMemory *t);
/*
 * Returns whether MAP may have these arguments: whole pages, inside of the
 * window, and no overlap with another map than one of the same function at
 * @offset, which MAP replaces.
 */
bool epc_window_map_valid(EpcWindow *w, unsigned fn, uint64_t offset,
                          uint64_t addr, uint64_t size);
/* UNMAP.  Does nothing unless a map of @fn begins at @offset. */
void epc_window_unmap(EpcWindow *w, unsigned fn, uint64_t offset);

/* ---- Changes by the host ---- */

/*
 * The host forbids function @fn to reach bus addresses [first, last]: no map
 * that has one of them is live any more.
 */
void epc_window_revoke(EpcWindow *w, unsigned fn, uint64_t first,
                       uint64_t last);
/*
 * The host lets function @fn reach [first, last].  Maps of which it allows
 * every byte now become live, as far as the limits of the window and
 * EPC_WINDOW_MAX_LOOKUPS allow it, when epc_window_restore_more() is called
 * until it returns false.  @t is the memory of the host.  Whoever calls these
 * is the only one to do so for @fn.
 */
void epc_window_restore(EpcWindow *w, unsigned fn, uint64_t first,
                        uint64_t last);
bool epc_window_restore_more(EpcWindow *w, unsigned fn, EpcHostMemory *t);

/* ---- Questions ---- */

/*
 * Returns whether there is a map, live or not, at @offset.  Stores its
 * function, the bus address that @offset shows, and how many bytes of the map
 * follow there.
 */
bool epc_window_lookup(EpcWindow *w, uint64_t offset, unsigned *fn,
                       uint64_t *addr, uint64_t *left);

typedef struct EpcWindowSpan {
    uint64_t offset, size;
} EpcWindowSpan;

/*
 * Fills in the spans of the trapped maps, which the caller shows to the guest.
 * Returns how many there are.
 */
unsigned epc_window_trapped(EpcWindow *w,
                            EpcWindowSpan span[EPC_MAX_TRAPPED_MAPS]);

#endif /* HW_PCI_EP_ENDPOINT_WINDOW_H */
