/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Views: pieces of the files of hosts, mapped into this process
 */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "hw/pci-ep/endpoint/host-view.h"
#include "hw/pci-ep/wire/closer.h"
#include "hw/pci-ep/wire/locks.h"

struct EpcHostView {
    QTAILQ_ENTRY(EpcHostView) next_used;
    QLIST_ENTRY(EpcHostView) next;          /* of the file */
    unsigned refs;              /* one for the lists, until the file goes */
    uint8_t *base;
    uint64_t offset;            /* of @base in the file */
    bool writable;
};

static struct {
    QemuMutex lock;             /* a leaf but for epw_closer.lock */
    unsigned count EP_GUARDED_BY(&lock);    /* views */
    /* Those of all files, the one that was used last first */
    QTAILQ_HEAD(, EpcHostView) used EP_GUARDED_BY(&lock);
} epc_host_views;

/* No other thread exists yet. */
__attribute__((constructor))
EP_NO_TSA
static void host_view_init(void)
{
    qemu_mutex_init(&epc_host_views.lock);
    QTAILQ_INIT(&epc_host_views.used);
}

/* ---- Mappings ---- */

/*
 * Where the process locks its memory, mmap() locks the pages and allocates
 * them, except those of a mapping without access. munlock() before mprotect()
 * keeps it that way.
 */
static uint8_t *host_view_map(int fd, uint64_t offset, bool *writable)
{
    void *base = mmap(NULL, EPC_HOST_VIEW_SIZE, PROT_NONE, MAP_SHARED, fd,
                      offset);

    if (base == MAP_FAILED) {
        return NULL;
    }
    *writable = true;
    if (munlock(base, EPC_HOST_VIEW_SIZE) == 0) {
        madvise(base, EPC_HOST_VIEW_SIZE, MADV_DONTDUMP);
        if (!mprotect(base, EPC_HOST_VIEW_SIZE, PROT_READ | PROT_WRITE)) {
            return base;
        }
        *writable = false;
        if (!mprotect(base, EPC_HOST_VIEW_SIZE, PROT_READ)) {
            return base;
        }
    }
    munmap(base, EPC_HOST_VIEW_SIZE);
    return NULL;
}

static void host_view_remove(EpcHostView *v) EP_REQUIRES(&epc_host_views.lock);
static void host_view_remove(EpcHostView *v)
{
    QTAILQ_REMOVE(&epc_host_views.used, v, next_used);
    QLIST_REMOVE(v, next);
    epc_host_views.count--;
}

/*
 * Unmaps the view that nobody has used for the longest time. The file is open,
 * so the kernel keeps its pages. Returns false when all views are in use.
 */
static bool host_view_evict(void) EP_REQUIRES(&epc_host_views.lock);
static bool host_view_evict(void)
{
    EpcHostView *v;

    QTAILQ_FOREACH_REVERSE(v, &epc_host_views.used, next_used) {
        if (v->refs == 1) {
            host_view_remove(v);
            munmap(v->base, EPC_HOST_VIEW_SIZE);
            g_free(v);
            return true;
        }
    }
    return false;
}

static EpcHostView *host_view_new(EpcHostViews *vs, int fd, uint64_t offset)
    EP_REQUIRES(&epc_host_views.lock);
static EpcHostView *host_view_new(EpcHostViews *vs, int fd, uint64_t offset)
{
    EpcHostView *v;
    uint8_t *base;
    bool writable;

    if (epc_host_views.count >= EPC_HOST_VIEWS_MAX && !host_view_evict()) {
        return NULL;
    }
    base = host_view_map(fd, offset, &writable);
    if (!base) {
        return NULL;
    }
    v = g_new0(EpcHostView, 1);
    v->refs = 1;
    v->base = base;
    v->offset = offset;
    v->writable = writable;
    QTAILQ_INSERT_HEAD(&epc_host_views.used, v, next_used);
    QLIST_INSERT_HEAD(vs, v, next);
    epc_host_views.count++;
    return v;
}

/* ---- Use ---- */

static EpcHostView *host_view_find(EpcHostViews *vs, uint64_t offset)
    EP_REQUIRES(&epc_host_views.lock);
static EpcHostView *host_view_find(EpcHostViews *vs, uint64_t offset)
{
    EpcHostView *v;

    QLIST_FOREACH(v, vs, next) {
        if (v->offset == offset) {
            QTAILQ_REMOVE(&epc_host_views.used, v, next_used);
            QTAILQ_INSERT_HEAD(&epc_host_views.used, v, next_used);
            QLIST_REMOVE(v, next);
            QLIST_INSERT_HEAD(vs, v, next);
            return v;
        }
    }
    return NULL;
}

EpcHostView *epc_host_view_get(EpcHostViews *vs, int fd, uint64_t offset)
{
    uint64_t start = QEMU_ALIGN_DOWN(offset, EPC_HOST_VIEW_SIZE);
    EpcHostView *v;

    QEMU_LOCK_GUARD(&epc_host_views.lock);
    v = host_view_find(vs, start) ?: host_view_new(vs, fd, start);
    if (v) {
        v->refs++;
    }
    return v;
}

/* The last reference may be the last one to the memory of a host, too. */
static void host_view_put(EpcHostView *v) EP_REQUIRES(&epc_host_views.lock);
static void host_view_put(EpcHostView *v)
{
    if (--v->refs == 0) {
        epw_unmap(v->base, EPC_HOST_VIEW_SIZE);
        g_free(v);
    }
}

void epc_host_view_unref(EpcHostView *v)
{
    if (v) {
        QEMU_LOCK_GUARD(&epc_host_views.lock);
        host_view_put(v);
    }
}

uint8_t *epc_host_view_pointer(const EpcHostView *v, uint64_t offset,
                               bool write, uint64_t *left)
{
    *left = EPC_HOST_VIEW_SIZE - (offset - v->offset);
    return write && !v->writable ? NULL : v->base + (offset - v->offset);
}

void epc_host_views_drop(EpcHostViews *vs)
{
    EpcHostView *v;

    QEMU_LOCK_GUARD(&epc_host_views.lock);
    while ((v = QLIST_FIRST(vs))) {
        host_view_remove(v);
        host_view_put(v);
    }
}

unsigned epc_host_views_count(void)
{
    QEMU_LOCK_GUARD(&epc_host_views.lock);
    return epc_host_views.count;
}
