/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-window: the outbound window, through which the endpoint reaches the host
 *
 * All or nothing: a map is live when the host allows DMA to every byte of it, and
 * fast when this process can map every byte, for reading and writing.
 */
#include "qemu/osdep.h"
#include "hw/pci-ep/epc-window.h"
#include "hw/pci-ep/pci-epc-regs.h"

struct EpcMap {
    IntervalTreeNode window;    /* offsets in the window */
    IntervalTreeNode host;      /* host PCI addresses */
    unsigned fn;
    unsigned runs;              /* of a fast one, else 0 */
    bool slow;
    QLIST_ENTRY(EpcMap) next_slow;
};

bool epc_window_init(EpcWindow *w, uint64_t size, unsigned max, Error **errp)
{
    w->base = ep_mem_reserve(size, errp);
    w->size = size;
    w->max = max;
    return w->base;
}

static EpcMap *map_first(EpcWindow *w, uint64_t first, uint64_t last)
{
    IntervalTreeNode *n = interval_tree_iter_first(&w->by_offset, first, last);

    return n ? container_of(n, EpcMap, window) : NULL;
}

static EpcMap *map_next(EpcMap *m, uint64_t first, uint64_t last)
{
    IntervalTreeNode *n = interval_tree_iter_next(&m->window, first, last);

    return n ? container_of(n, EpcMap, window) : NULL;
}

static uint64_t map_size(const EpcMap *m)
{
    return m->window.last - m->window.start + 1;
}

static void map_kill(EpcWindow *w, EpcMap *m)
{
    if (m->runs) {
        ep_mem_unmap(w->base + m->window.start, map_size(m));
        w->runs -= m->runs;
        w->live--;
        m->runs = 0;
    }
    if (m->slow) {
        QLIST_REMOVE(m, next_slow);
        m->slow = false;
        w->slow--;
        w->live--;
        w->slow_changed = true;
    }
}

static void map_free(EpcWindow *w, EpcMap *m)
{
    map_kill(w, m);
    interval_tree_remove(&m->window, &w->by_offset);
    interval_tree_remove(&m->host, &w->by_host);
    g_free(m);
    w->count--;
}

/*
 * How many runs there are, 0: not all of them can be mapped, or the errno of the
 * first that cannot be reached
 */
static int host_runs(EpcDmaTable *t, uint64_t addr, uint64_t size)
{
    bool slow = false;
    EpcDmaRun run;
    int n = 0;

    for (uint64_t done = 0; done < size; done += run.size) {
        int ret = epc_dma_table_find(t, addr + done, size - done, &run);

        if (ret < 0 && ret != -ENOTSUP) {
            return ret;
        }
        slow |= ret || !run.writable;
        n += n <= EPC_WINDOW_MAX_RUNS;
    }
    if (slow) {
        return 0;
    }
    return n > EPC_WINDOW_MAX_RUNS ? -ENOSPC : n;
}

static int map_revive_slow(EpcWindow *w, EpcMap *m)
{
    if (w->slow >= EPC_MAX_SLOW_MAPS) {
        return -ENOSPC;
    }
    QLIST_INSERT_HEAD(&w->slow_maps, m, next_slow);
    m->slow = true;
    w->slow++;
    w->live++;
    w->slow_changed = true;
    return 0;
}

static int map_revive_fast(EpcWindow *w, EpcMap *m, EpcDmaTable *t, int runs)
{
    uint64_t size = map_size(m);
    char *at = w->base + m->window.start;
    EpcDmaRun run;

    if (w->runs + runs > EPC_WINDOW_MAX_RUNS) {
        return -ENOSPC;
    }
    for (uint64_t done = 0; done < size; done += run.size) {
        int ret = epc_dma_table_find(t, m->host.start + done, size - done,
                                     &run);

        if (!ret) {
            ret = ep_mem_map(at + done, run.size, run.file, run.offset, true);
        }
        if (ret < 0) {
            if (done) {
                ep_mem_unmap(at, done);
            }
            return ret == -ENOSPC ? ret : -EIO;
        }
    }
    m->runs = runs;
    w->runs += runs;
    w->live++;
    return 0;
}

static int map_revive(EpcWindow *w, EpcMap *m, EpcDmaTable *t)
{
    int runs = host_runs(t, m->host.start, map_size(m));

    if (runs < 0) {
        return runs;
    }
    return runs ? map_revive_fast(w, m, t, runs) : map_revive_slow(w, m);
}

bool epc_window_map_valid(EpcWindow *w, unsigned fn, uint64_t offset,
                          uint64_t addr, uint64_t size)
{
    uint64_t mask = qemu_real_host_page_size() - 1;
    EpcMap *m;

    if (!size || ((offset | addr | size) & mask) || offset >= w->size ||
        size > w->size - offset || addr + (size - 1) < addr) {
        return false;
    }
    for (m = map_first(w, offset, offset + size - 1); m;
         m = map_next(m, offset, offset + size - 1)) {
        if (m->window.start != offset || m->fn != fn) {
            return false;
        }
    }
    return true;
}

uint32_t epc_window_map(EpcWindow *w, unsigned fn, EpcDmaTable *t,
                        uint64_t offset, uint64_t addr, uint64_t size)
{
    EpcMap *m;

    if (!epc_window_map_valid(w, fn, offset, addr, size)) {
        return EPC_STATUS_BAD_ARG;
    }
    epc_window_unmap(w, fn, offset);
    if (w->count >= w->max) {
        return EPC_STATUS_NO_SPACE;
    }

    m = g_new0(EpcMap, 1);
    m->fn = fn;
    m->window.start = offset;
    m->window.last = offset + size - 1;
    m->host.start = addr;
    m->host.last = addr + size - 1;
    interval_tree_insert(&m->window, &w->by_offset);
    interval_tree_insert(&m->host, &w->by_host);
    w->count++;

    switch (map_revive(w, m, t)) {
    case 0:
        return m->slow ? EPC_STATUS_BUSY : EPC_STATUS_OK;
    case -EFAULT:
        map_free(w, m);
        return EPC_STATUS_NOT_MAPPED;
    case -EACCES:
        map_free(w, m);
        return EPC_STATUS_NOT_SHARED;
    case -ENOSPC:
        map_free(w, m);
        return EPC_STATUS_NO_SPACE;
    default:
        map_free(w, m);
        return EPC_STATUS_IO;
    }
}

void epc_window_unmap(EpcWindow *w, unsigned fn, uint64_t offset)
{
    EpcMap *m = map_first(w, offset, offset);

    if (m && m->window.start == offset && m->fn == fn) {
        map_free(w, m);
    }
}

bool epc_window_lookup(EpcWindow *w, uint64_t offset, unsigned *fn,
                       uint64_t *addr, uint64_t *left)
{
    EpcMap *m = map_first(w, offset, offset);

    if (!m) {
        return false;
    }
    *fn = m->fn;
    *addr = m->host.start + (offset - m->window.start);
    *left = m->window.last - offset + 1;
    return true;
}

unsigned epc_window_slow(EpcWindow *w, EpcWindowPart part[EPC_MAX_SLOW_MAPS])
{
    unsigned n = 0;
    EpcMap *m;

    QLIST_FOREACH(m, &w->slow_maps, next_slow) {
        part[n].offset = m->window.start;
        part[n++].size = map_size(m);
    }
    return n;
}

void epc_window_clear(EpcWindow *w)
{
    EpcMap *m;

    while ((m = map_first(w, 0, UINT64_MAX))) {
        map_free(w, m);
    }
}

void epc_window_forget(EpcWindow *w, unsigned fn)
{
    EpcMap *m = map_first(w, 0, UINT64_MAX);

    while (m) {
        EpcMap *next = map_next(m, 0, UINT64_MAX);

        if (m->fn == fn) {
            map_free(w, m);
        }
        m = next;
    }
}

void epc_window_revoke(EpcWindow *w, unsigned fn, uint64_t first, uint64_t last)
{
    IntervalTreeNode *n;

    for (n = interval_tree_iter_first(&w->by_host, first, last); n;
         n = interval_tree_iter_next(n, first, last)) {
        EpcMap *m = container_of(n, EpcMap, host);

        if (m->fn == fn) {
            map_kill(w, m);
        }
    }
}

void epc_window_restore(EpcWindow *w, unsigned fn, EpcDmaTable *t,
                        uint64_t first, uint64_t last)
{
    IntervalTreeNode *n;

    for (n = interval_tree_iter_first(&w->by_host, first, last); n;
         n = interval_tree_iter_next(n, first, last)) {
        EpcMap *m = container_of(n, EpcMap, host);

        if (m->fn == fn && !m->runs && !m->slow) {
            map_revive(w, m, t);
        }
    }
}
