/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The outbound window, through which the endpoint reaches its host
 *
 * EpcMap.state:
 *
 *   from       when                                             to
 *   DEAD       MAP; the host may allow all of it now            COUNTING
 *   COUNTING   all runs are counted, and can be mapped          MAPPING
 *   COUNTING   all runs are counted, and one cannot be mapped   TRAPPED
 *   MAPPING    all runs are mapped                              MAPPED
 *   MAPPING    a run is not what was counted: begins again      COUNTING
 *   COUNTING,  the host does not allow all of it, or a limit    DEAD
 *   MAPPING    is in the way
 *   all        the host forbids some of it                      DEAD
 *
 * COUNTING and MAPPING may take several turns. In between the span reads all
 * ones, or shows the host's memory up to EpcMap.done. Both are right: the guest
 * has not been told yet that MAP is complete, and the host has not been
 * answered yet.
 */
#include "qemu/osdep.h"
#include "hw/pci-ep/endpoint/window.h"
#include "hw/pci-ep/pci-epc-regs.h"

/* What a turn of reviving maps takes, and one more run */
#define WINDOW_TURN_US  5000

typedef enum EpcMapState {
    EPC_MAP_DEAD,
    EPC_MAP_COUNTING,
    EPC_MAP_MAPPING,
    EPC_MAP_MAPPED,
    EPC_MAP_TRAPPED,
} EpcMapState;

struct EpcMap {
    IntervalTreeNode window;    /* offsets in the window */
    IntervalTreeNode host;      /* host PCI addresses */
    unsigned fn;
    EpcMapState state;
    bool trapped;               /* COUNTING: a run cannot be mapped */
    bool taken;                 /* TRAPPED: epc_window_trapped() has told it */
    unsigned runs;              /* COUNTING: so far; MAPPING, MAPPED: all */
    unsigned mapped;            /* MAPPING: runs so far */
    uint64_t done;              /* COUNTING, MAPPING: bytes so far */
    unsigned lookups;           /* of MAP: runs that may still be looked up */
    QLIST_ENTRY(EpcMap) next_trapped;
    QTAILQ_ENTRY(EpcMap) next_revived;
};

bool epc_window_init(EpcWindow *w, uint64_t size, unsigned max, Error **errp)
{
    w->base = ep_mem_reserve(size, errp);
    w->size = size;
    w->max = max;
    QTAILQ_INIT(&w->revived);
    return w->base;
}

static EpcMap *window_first_map(EpcWindow *w, uint64_t first, uint64_t last)
{
    IntervalTreeNode *n = interval_tree_iter_first(&w->by_offset, first, last);

    return n ? container_of(n, EpcMap, window) : NULL;
}

static EpcMap *window_next_map(EpcMap *m, uint64_t first, uint64_t last)
{
    IntervalTreeNode *n = interval_tree_iter_next(&m->window, first, last);

    return n ? container_of(n, EpcMap, window) : NULL;
}

static uint64_t window_map_size(const EpcMap *m)
{
    return m->window.last - m->window.start + 1;
}

/* Is @m the map of a MAP that is not complete? */
static bool window_by_command(const EpcWindow *w, const EpcMap *m)
{
    return w->by_command[m->fn] == m;
}

static bool window_in_progress(const EpcMap *m)
{
    return m->state == EPC_MAP_COUNTING || m->state == EPC_MAP_MAPPING;
}

/* Gives up what @m shows, or the part of it that is ready. */
static void window_hide_map(EpcWindow *w, EpcMap *m)
{
    uint64_t size = m->state == EPC_MAP_MAPPED ? window_map_size(m) : m->done;

    if (m->state == EPC_MAP_MAPPED || m->state == EPC_MAP_MAPPING) {
        if (size) {
            ep_mem_unmap(w->base + m->window.start, size);
        }
        w->runs -= m->runs;
    }
}

static void window_kill_map(EpcWindow *w, EpcMap *m)
{
    window_hide_map(w, m);
    if (window_in_progress(m) && !window_by_command(w, m)) {
        QTAILQ_REMOVE(&w->revived, m, next_revived);
    }
    if (m->state == EPC_MAP_TRAPPED) {
        QLIST_REMOVE(m, next_trapped);
        w->trapped--;
        w->changed(w);
    }
    w->live -= m->state == EPC_MAP_MAPPED || m->state == EPC_MAP_TRAPPED;
    m->state = EPC_MAP_DEAD;
}

static void window_free_map(EpcWindow *w, EpcMap *m)
{
    window_kill_map(w, m);
    if (window_by_command(w, m)) {
        w->by_command[m->fn] = NULL;
    }
    interval_tree_remove(&m->window, &w->by_offset);
    interval_tree_remove(&m->host, &w->by_host);
    g_free(m);
    w->count--;
}

/* ---- Reviving ---- */

static void window_begin_count(EpcMap *m)
{
    m->state = EPC_MAP_COUNTING;
    m->trapped = false;
    m->runs = 0;
    m->done = 0;
}

/*
 * Counts the next run. Returns 0 or a negative errno: the host does not let the
 * function reach it, or no more runs may be looked up.
 */
static int window_count_run(EpcWindow *w, EpcMap *m, EpcHostMemory *t)
{
    unsigned *lookups = window_by_command(w, m) ? &m->lookups : &w->lookups;
    EpcHostRun run;
    int ret;

    if (!*lookups) {
        return -ENOSPC;
    }
    --*lookups;
    ret = epc_host_memory_find(t, m->host.start + m->done,
                               window_map_size(m) - m->done, &run);
    if (ret < 0 && ret != -ENOTSUP) {
        return ret;
    }
    m->trapped |= ret || !run.writable;
    m->runs++;
    m->done += run.size;
    return 0;
}

static int window_trap_map(EpcWindow *w, EpcMap *m)
{
    if (w->trapped >= EPC_MAX_TRAPPED_MAPS) {
        return -ENOSPC;
    }
    QLIST_INSERT_HEAD(&w->trapped_maps, m, next_trapped);
    m->state = EPC_MAP_TRAPPED;
    m->taken = false;
    w->trapped++;
    w->live++;
    w->changed(w);
    return 0;
}

/* All runs were counted. */
static int window_end_count(EpcWindow *w, EpcMap *m)
{
    if (m->trapped) {
        return window_trap_map(w, m);
    }
    if (w->runs + m->runs > EPC_WINDOW_MAX_RUNS) {
        return -ENOSPC;
    }
    w->runs += m->runs;
    m->state = EPC_MAP_MAPPING;
    m->mapped = 0;
    m->done = 0;
    return 0;
}

/* Maps the next run. Begins again if the host has changed its memory. */
static int window_map_run(EpcWindow *w, EpcMap *m, EpcHostMemory *t)
{
    char *at = w->base + m->window.start + m->done;
    EpcHostRun run;
    int ret = epc_host_memory_find(t, m->host.start + m->done,
                                   window_map_size(m) - m->done, &run);

    if (ret || !run.writable || m->mapped == m->runs) {
        window_hide_map(w, m);
        window_begin_count(m);
        return 0;
    }
    ret = ep_mem_map(at, run.size, run.file, run.offset, true);
    if (ret < 0) {
        return ret == -ENOSPC ? ret : -EIO;
    }
    m->mapped++;
    m->done += run.size;
    return 0;
}

static void window_end_mapping(EpcWindow *w, EpcMap *m)
{
    w->runs -= m->runs - m->mapped;
    m->runs = m->mapped;
    m->state = EPC_MAP_MAPPED;
    w->live++;
}

static int window_revive_step(EpcWindow *w, EpcMap *m, EpcHostMemory *t)
{
    bool over = m->done == window_map_size(m);

    if (m->state == EPC_MAP_COUNTING) {
        return over ? window_end_count(w, m) : window_count_run(w, m, t);
    }
    if (over) {
        window_end_mapping(w, m);
        return 0;
    }
    return window_map_run(w, m, t);
}

/*
 * Goes on with a map in progress until @end, but takes one step in any case, so
 * that a busy machine does not keep it for ever. Returns 0 when it is live,
 * -EAGAIN when there is more to do, or another negative errno, and then it is
 * dead.
 */
static int window_revive_map(EpcWindow *w, EpcMap *m, EpcHostMemory *t,
                             int64_t end)
{
    bool queued = !window_by_command(w, m);
    bool stepped = false;
    int ret = 0;

    while (!ret && window_in_progress(m)) {
        if (stepped && g_get_monotonic_time() >= end) {
            return -EAGAIN;
        }
        ret = window_revive_step(w, m, t);
        stepped = true;
    }
    if (ret) {
        window_kill_map(w, m);
    } else if (queued) {
        QTAILQ_REMOVE(&w->revived, m, next_revived);
    }
    return ret;
}

/* ---- MAP and UNMAP ---- */

bool epc_window_map_valid(EpcWindow *w, unsigned fn, uint64_t offset,
                          uint64_t addr, uint64_t size)
{
    uint64_t mask = qemu_real_host_page_size() - 1;
    EpcMap *m;

    if (!size || ((offset | addr | size) & mask) || offset >= w->size ||
        size > w->size - offset || addr + (size - 1) < addr) {
        return false;
    }
    for (m = window_first_map(w, offset, offset + size - 1); m;
         m = window_next_map(m, offset, offset + size - 1)) {
        if (m->window.start != offset || m->fn != fn) {
            return false;
        }
    }
    return true;
}

uint32_t epc_window_map(EpcWindow *w, unsigned fn, EpcHostMemory *t,
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
    m->lookups = EPC_WINDOW_MAX_LOOKUPS;
    interval_tree_insert(&m->host, &w->by_host);
    w->count++;
    w->by_command[fn] = m;
    window_begin_count(m);
    return epc_window_map_more(w, fn, t);
}

/* The status of a MAP that ended with @err */
static uint32_t window_map_status(int err)
{
    switch (err) {
    case -EFAULT:
        return EPC_STATUS_NOT_MAPPED;
    case -EACCES:
        return EPC_STATUS_NOT_SHARED;
    case -ENOSPC:
        return EPC_STATUS_NO_SPACE;
    default:
        return EPC_STATUS_IO;
    }
}

uint32_t epc_window_map_more(EpcWindow *w, unsigned fn, EpcHostMemory *t)
{
    EpcMap *m = w->by_command[fn];
    int ret;

    if (m && window_in_progress(m)) {
        ret = window_revive_map(w, m, t,
                                g_get_monotonic_time() + WINDOW_TURN_US);
        if (ret == -EAGAIN) {
            w->changed(w);
            return EPC_STATUS_BUSY;
        }
        if (ret) {
            epc_host_memory_hole(t, m->host.start, m->host.last, &w->refused);
            window_free_map(w, m);
            return window_map_status(ret);
        }
    }
    if (m && m->state == EPC_MAP_TRAPPED && !m->taken) {
        return EPC_STATUS_BUSY;
    }
    w->by_command[fn] = NULL;
    return EPC_STATUS_OK;
}

void epc_window_unmap(EpcWindow *w, unsigned fn, uint64_t offset)
{
    EpcMap *m = window_first_map(w, offset, offset);

    if (m && m->window.start == offset && m->fn == fn) {
        window_free_map(w, m);
    }
}

bool epc_window_lookup(EpcWindow *w, uint64_t offset, unsigned *fn,
                       uint64_t *addr, uint64_t *left)
{
    EpcMap *m = window_first_map(w, offset, offset);

    if (!m) {
        return false;
    }
    *fn = m->fn;
    *addr = m->host.start + (offset - m->window.start);
    *left = m->window.last - offset + 1;
    return true;
}

unsigned epc_window_trapped(EpcWindow *w,
                            EpcWindowSpan span[EPC_MAX_TRAPPED_MAPS])
{
    unsigned n = 0;
    EpcMap *m;

    QLIST_FOREACH(m, &w->trapped_maps, next_trapped) {
        m->taken = true;
        span[n].offset = m->window.start;
        span[n++].size = window_map_size(m);
    }
    return n;
}

void epc_window_clear(EpcWindow *w)
{
    EpcMap *m;

    while ((m = window_first_map(w, 0, UINT64_MAX))) {
        window_free_map(w, m);
    }
}

void epc_window_forget(EpcWindow *w, unsigned fn)
{
    EpcMap *m = window_first_map(w, 0, UINT64_MAX);

    while (m) {
        EpcMap *next = window_next_map(m, 0, UINT64_MAX);

        if (m->fn == fn) {
            window_free_map(w, m);
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
            window_kill_map(w, m);
        }
    }
}

void epc_window_restore(EpcWindow *w, unsigned fn, uint64_t first,
                        uint64_t last)
{
    IntervalTreeNode *n;

    w->lookups = EPC_WINDOW_MAX_LOOKUPS;
    for (n = interval_tree_iter_first(&w->by_host, first, last); n;
         n = interval_tree_iter_next(n, first, last)) {
        EpcMap *m = container_of(n, EpcMap, host);

        if (m->fn != fn || m->state != EPC_MAP_DEAD) {
            continue;
        }
        window_begin_count(m);
        if (window_by_command(w, m)) {
            w->changed(w);
        } else {
            QTAILQ_INSERT_TAIL(&w->revived, m, next_revived);
        }
    }
}

bool epc_window_restore_more(EpcWindow *w, unsigned fn, EpcHostMemory *t)
{
    int64_t end = g_get_monotonic_time() + WINDOW_TURN_US;
    EpcMap *m, *next;

    QTAILQ_FOREACH_SAFE(m, &w->revived, next_revived, next) {
        if (m->fn == fn && window_revive_map(w, m, t, end) == -EAGAIN) {
            return true;
        }
    }
    return false;
}
