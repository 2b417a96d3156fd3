/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of the host that a function may reach
 *
 * Ranges never overlap. Where the host has a virtual IOMMU there can be a
 * range for each page, nearly all of them in the same file. So ranges whose
 * descriptors are of the same inode share one EpcHostFile, and ranges that
 * continue each other are kept as one.
 */
#include "qemu/osdep.h"
#include "qemu/interval-tree.h"
#include "hw/pci-ep/endpoint/host-memory.h"
#include "hw/pci-ep/endpoint/host-view.h"

typedef struct EpcHostFile {
    EpFile *file;
    unsigned users;             /* ranges */
    EpcHostViews views;
} EpcHostFile;

typedef struct EpcHostRange {
    IntervalTreeNode node;      /* bus addresses */
    EpcHostFile *file;          /* NULL: by message only */
    uint64_t offset;            /* of node.start in the file */
    bool writable;
} EpcHostRange;

struct EpcHostMemory {
    IntervalTreeRoot ranges;
    GPtrArray *files;           /* EpcHostFile */
    unsigned count;             /* ranges */
    bool messages;              /* the host takes messages */
};

EpcHostMemory *epc_host_memory_new(void)
{
    EpcHostMemory *t = g_new0(EpcHostMemory, 1);

    t->files = g_ptr_array_new();
    return t;
}

void epc_host_memory_free(EpcHostMemory *t)
{
    if (t) {
        epc_host_memory_clear(t);
        g_ptr_array_free(t->files, true);
        g_free(t);
    }
}

unsigned epc_host_memory_count(const EpcHostMemory *t)
{
    return t->count;
}

void epc_host_memory_set_messages(EpcHostMemory *t, bool taken)
{
    t->messages = taken;
}

static EpcHostRange *host_memory_find_range(EpcHostMemory *t, uint64_t first,
                                            uint64_t last)
{
    IntervalTreeNode *n = interval_tree_iter_first(&t->ranges, first, last);

    return n ? container_of(n, EpcHostRange, node) : NULL;
}

/* Takes over @file. Returns NULL when there are EPC_HOST_MAX_FILES others. */
static EpcHostFile *host_memory_get_file(EpcHostMemory *t, EpFile *file)
{
    EpcHostFile *f;

    for (unsigned i = 0; i < t->files->len; i++) {
        f = g_ptr_array_index(t->files, i);
        if (ep_file_same(f->file, file)) {
            ep_file_free_copy(file);
            f->users++;
            return f;
        }
    }
    if (t->files->len >= EPC_HOST_MAX_FILES) {
        ep_file_free(file);
        return NULL;
    }
    f = g_new0(EpcHostFile, 1);
    f->file = file;
    f->users = 1;
    g_ptr_array_add(t->files, f);
    return f;
}

static void host_memory_put_file(EpcHostMemory *t, EpcHostFile *f)
{
    if (f && --f->users == 0) {
        epc_host_views_drop(&f->views);
        ep_file_free(f->file);
        g_ptr_array_remove_fast(t->files, f);
        g_free(f);
    }
}

static void host_memory_remove_range(EpcHostMemory *t, EpcHostRange *r)
{
    interval_tree_remove(&r->node, &t->ranges);
    host_memory_put_file(t, r->file);
    g_free(r);
    t->count--;
}

/* Only whole pages can be mapped, and only what may be read. */
static bool host_memory_mappable(const VfuDmaMap *map)
{
    uint64_t mask = qemu_real_host_page_size() - 1;

    return (map->flags & VFU_DMA_READ) &&
           !((map->address | map->size | map->offset) & mask);
}

/* Returns whether @b continues @a in the same file, with the same rights. */
static bool host_memory_contiguous(const EpcHostRange *a, const EpcHostRange *b)
{
    return a->file == b->file && a->writable == b->writable &&
           (!a->file ||
            b->offset - a->offset == b->node.start - a->node.start);
}

/*
 * Adds @r, of which the host has no byte yet. Ranges that continue each other
 * become one: a host with a virtual IOMMU may add each page by itself.
 */
static void host_memory_insert(EpcHostMemory *t, EpcHostRange *r)
{
    uint64_t first = r->node.start, last = r->node.last;
    EpcHostRange *before = first ?
                           host_memory_find_range(t, first - 1, first - 1) :
                           NULL;
    EpcHostRange *after = last < UINT64_MAX ?
                          host_memory_find_range(t, last + 1, last + 1) : NULL;

    if (before && host_memory_contiguous(before, r)) {
        r->node.start = before->node.start;
        r->offset = before->offset;
        host_memory_remove_range(t, before);
    }
    if (after && host_memory_contiguous(r, after)) {
        r->node.last = after->node.last;
        host_memory_remove_range(t, after);
    }
    interval_tree_insert(&r->node, &t->ranges);
    t->count++;
}

int epc_host_memory_add(EpcHostMemory *t, const VfuDmaMap *map, EpFile *file)
{
    uint64_t last = map->address + map->size - 1;
    EpcHostRange *r;
    int err = 0;

    if (!map->size || last < map->address) {
        err = EINVAL;
    } else if (file && !ep_file_covers(file, map->offset, map->size)) {
        err = EINVAL;
    } else if (host_memory_find_range(t, map->address, last)) {
        err = EEXIST;
    } else if (t->count >= EPC_HOST_MAX_RANGES) {
        err = ENOSPC;
    }
    if (file && (err || !host_memory_mappable(map))) {
        ep_file_free(file);
        file = NULL;
    }
    if (err) {
        return err;
    }

    r = g_new0(EpcHostRange, 1);
    r->node.start = map->address;
    r->node.last = last;
    r->file = file ? host_memory_get_file(t, file) : NULL;
    r->offset = map->offset;
    r->writable = map->flags & VFU_DMA_WRITE;
    host_memory_insert(t, r);
    return 0;
}

/*
 * Adds a range with bus addresses [first, last] of @r. The caller is about to
 * remove @r, which still counts.
 */
static void host_memory_keep_range(EpcHostMemory *t, const EpcHostRange *r,
                                   uint64_t first, uint64_t last)
{
    EpcHostRange *keep;

    if (t->count > EPC_HOST_MAX_RANGES) {
        return;
    }
    keep = g_new0(EpcHostRange, 1);
    keep->node.start = first;
    keep->node.last = last;
    keep->offset = r->offset + (first - r->node.start);
    keep->writable = r->writable;
    if (r->file) {
        keep->file = r->file;
        keep->file->users++;
    }
    interval_tree_insert(&keep->node, &t->ranges);
    t->count++;
}

void epc_host_memory_remove(EpcHostMemory *t, uint64_t first, uint64_t last)
{
    EpcHostRange *r;

    while ((r = host_memory_find_range(t, first, last))) {
        if (r->node.start < first) {
            host_memory_keep_range(t, r, r->node.start, first - 1);
        }
        if (r->node.last > last) {
            host_memory_keep_range(t, r, last + 1, r->node.last);
        }
        host_memory_remove_range(t, r);
    }
}

void epc_host_memory_clear(EpcHostMemory *t)
{
    epc_host_memory_remove(t, 0, UINT64_MAX);
}

/* @r is the range that has @addr, and it has a file. */
static void host_memory_find_run(EpcHostMemory *t, const EpcHostRange *r,
                                 uint64_t addr, uint64_t size, EpcHostRun *run)
{
    uint64_t left = size;

    run->file = r->file->file;
    run->offset = r->offset + (addr - r->node.start);
    run->writable = r->writable;

    while (left - 1 > r->node.last - addr) {
        EpcHostRange *next;

        left -= r->node.last - addr + 1;
        addr = r->node.last + 1;
        next = addr ? host_memory_find_range(t, addr, addr) : NULL;
        if (!next || !host_memory_contiguous(r, next)) {
            run->size = size - left;
            return;
        }
        r = next;
    }
    run->size = size;
}

int epc_host_memory_find(EpcHostMemory *t, uint64_t addr, uint64_t size,
                         EpcHostRun *run)
{
    EpcHostRange *r = host_memory_find_range(t, addr, addr);

    if (!r) {
        return -EFAULT;
    }
    if (!r->file) {
        run->size = MIN(size - 1, r->node.last - addr) + 1;
        return t->messages ? -ENOTSUP : -EACCES;
    }
    host_memory_find_run(t, r, addr, size, run);
    return 0;
}

bool epc_host_memory_hole(EpcHostMemory *t, uint64_t first, uint64_t last,
                          uint64_t *hole)
{
    EpcHostRange *r;

    while ((r = host_memory_find_range(t, first, first))) {
        if (r->node.last >= last) {
            return false;
        }
        first = r->node.last + 1;
    }
    *hole = first;
    return true;
}

int epc_host_memory_point(EpcHostMemory *t, uint64_t addr, uint64_t size,
                          bool write, EpcHostPointer *p)
{
    EpcHostRange *r = host_memory_find_range(t, addr, addr);
    EpcHostRun run;
    uint64_t left;

    if (!r || (write && !r->writable)) {
        return -EFAULT;
    }
    if (!r->file) {
        return -ENOTSUP;
    }
    host_memory_find_run(t, r, addr, size, &run);
    p->view = epc_host_view_get(&r->file->views, ep_file_fd(run.file),
                                run.offset);
    if (!p->view) {
        return -ENOTSUP;
    }
    p->ptr = epc_host_view_pointer(p->view, run.offset, write, &left);
    if (!p->ptr) {
        epc_host_view_unref(p->view);
        return -ENOTSUP;
    }
    p->size = MIN(run.size, left);
    return 0;
}
