/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-dma-table: which host PCI addresses a function may reach, and where
 *
 * Ranges never overlap.  With a virtual IOMMU on the host there can be one per
 * page, nearly all of them in the same file, so files are shared by inode.
 */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qemu/atomic.h"
#include "qemu/interval-tree.h"
#include "hw/pci-ep/epc-dma-table.h"

struct EpcDmaView {
    unsigned refs;
    uint8_t *base;
    uint64_t size;
    bool writable;
};

typedef struct EpcDmaFile {
    EpFile *file;
    unsigned users;
    EpcDmaView *view;           /* NULL: not needed yet, or not possible */
    bool view_refused;
} EpcDmaFile;

typedef struct EpcDmaRange {
    IntervalTreeNode node;      /* host addresses */
    EpcDmaFile *file;           /* NULL: by message only */
    uint64_t offset;            /* in the file, of node.start */
    bool writable;
} EpcDmaRange;

struct EpcDmaTable {
    IntervalTreeRoot ranges;
    GPtrArray *files;
    unsigned count;
    bool messages;
};

EpcDmaTable *epc_dma_table_new(void)
{
    EpcDmaTable *t = g_new0(EpcDmaTable, 1);

    t->files = g_ptr_array_new();
    return t;
}

void epc_dma_table_free(EpcDmaTable *t)
{
    if (t) {
        epc_dma_table_clear(t);
        g_ptr_array_free(t->files, true);
        g_free(t);
    }
}

unsigned epc_dma_table_count(const EpcDmaTable *t)
{
    return t->count;
}

void epc_dma_table_set_messages(EpcDmaTable *t, bool taken)
{
    t->messages = taken;
}

static EpcDmaRange *range_find(EpcDmaTable *t, uint64_t first, uint64_t last)
{
    IntervalTreeNode *n = interval_tree_iter_first(&t->ranges, first, last);

    return n ? container_of(n, EpcDmaRange, node) : NULL;
}

/* Takes @file over; NULL when there are too many files already. */
static EpcDmaFile *file_get(EpcDmaTable *t, EpFile *file)
{
    EpcDmaFile *f;

    for (unsigned i = 0; i < t->files->len; i++) {
        f = g_ptr_array_index(t->files, i);
        if (ep_file_same(f->file, file)) {
            ep_file_unref(file);
            f->users++;
            return f;
        }
    }
    if (t->files->len >= EPC_DMA_MAX_FILES) {
        ep_file_unref(file);
        return NULL;
    }
    f = g_new0(EpcDmaFile, 1);
    f->file = file;
    f->users = 1;
    g_ptr_array_add(t->files, f);
    return f;
}

void epc_dma_view_unref(EpcDmaView *v)
{
    if (v && qatomic_fetch_dec(&v->refs) == 1) {
        munmap(v->base, v->size);
        g_free(v);
    }
}

static EpcDmaView *view_new(const EpFile *file)
{
    int fd = ep_file_fd(file);
    EpcDmaView *v;
    struct stat st;
    void *base;
    bool writable = true;

    if (fstat(fd, &st) < 0 || st.st_size <= 0) {
        return NULL;
    }
    base = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        writable = false;
        base = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    }
    if (base == MAP_FAILED) {
        return NULL;
    }
    madvise(base, st.st_size, MADV_DONTDUMP);
    v = g_new0(EpcDmaView, 1);
    v->refs = 1;
    v->base = base;
    v->size = st.st_size;
    v->writable = writable;
    return v;
}

static bool view_covers(const EpcDmaView *v, uint64_t offset, uint64_t size)
{
    return v && size <= v->size && offset <= v->size - size;
}

/* The view that has [offset, offset + size); a file may have grown. */
static EpcDmaView *file_view(EpcDmaFile *f, uint64_t offset, uint64_t size)
{
    if (!view_covers(f->view, offset, size) && !f->view_refused) {
        epc_dma_view_unref(f->view);
        f->view = view_new(f->file);
        f->view_refused = !view_covers(f->view, offset, size);
    }
    return view_covers(f->view, offset, size) ? f->view : NULL;
}

static void file_put(EpcDmaTable *t, EpcDmaFile *f)
{
    if (f && --f->users == 0) {
        epc_dma_view_unref(f->view);
        ep_file_unref(f->file);
        g_ptr_array_remove_fast(t->files, f);
        g_free(f);
    }
}

static void range_remove(EpcDmaTable *t, EpcDmaRange *r)
{
    interval_tree_remove(&r->node, &t->ranges);
    file_put(t, r->file);
    g_free(r);
    t->count--;
}

/* Pages can only be mapped when address and file offset agree below a page. */
static bool mappable(const VfuDmaMap *map)
{
    uint64_t mask = qemu_real_host_page_size() - 1;

    return (map->flags & VFU_DMA_READ) &&
           !((map->address | map->size | map->offset) & mask);
}

int epc_dma_table_add(EpcDmaTable *t, const VfuDmaMap *map, EpFile *file)
{
    uint64_t last = map->address + map->size - 1;
    EpcDmaRange *r;
    int err = 0;

    if (!map->size || last < map->address) {
        err = EINVAL;
    } else if (file && !ep_file_covers(file, map->offset, map->size)) {
        err = EINVAL;
    } else if (range_find(t, map->address, last)) {
        err = EEXIST;
    } else if (t->count >= EPC_DMA_MAX_RANGES) {
        err = ENOSPC;
    }
    if (file && (err || !mappable(map))) {
        ep_file_unref(file);
        file = NULL;
    }
    if (err) {
        return err;
    }

    r = g_new0(EpcDmaRange, 1);
    r->node.start = map->address;
    r->node.last = last;
    r->file = file ? file_get(t, file) : NULL;
    r->offset = map->offset;
    r->writable = map->flags & VFU_DMA_WRITE;
    interval_tree_insert(&r->node, &t->ranges);
    t->count++;
    return 0;
}

/* Adds what is left of @r, which is still counted, beyond a removed part. */
static void range_keep(EpcDmaTable *t, const EpcDmaRange *r,
                       uint64_t first, uint64_t last)
{
    EpcDmaRange *keep;

    if (t->count > EPC_DMA_MAX_RANGES) {
        return;
    }
    keep = g_new0(EpcDmaRange, 1);
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

void epc_dma_table_remove(EpcDmaTable *t, uint64_t first, uint64_t last)
{
    EpcDmaRange *r;

    while ((r = range_find(t, first, last))) {
        if (r->node.start < first) {
            range_keep(t, r, r->node.start, first - 1);
        }
        if (r->node.last > last) {
            range_keep(t, r, last + 1, r->node.last);
        }
        range_remove(t, r);
    }
}

void epc_dma_table_clear(EpcDmaTable *t)
{
    epc_dma_table_remove(t, 0, UINT64_MAX);
}

/* Does @b go on in the file where @a ends? */
static bool contiguous(const EpcDmaRange *a, const EpcDmaRange *b)
{
    return a->file == b->file && a->writable == b->writable &&
           b->offset - a->offset == b->node.start - a->node.start;
}

/* @r has @addr, and a file. */
static void find_run(EpcDmaTable *t, const EpcDmaRange *r, uint64_t addr,
                     uint64_t size, EpcDmaRun *run)
{
    uint64_t left = size;

    run->file = r->file->file;
    run->offset = r->offset + (addr - r->node.start);
    run->writable = r->writable;

    while (left - 1 > r->node.last - addr) {
        EpcDmaRange *next;

        left -= r->node.last - addr + 1;
        addr = r->node.last + 1;
        next = addr ? range_find(t, addr, addr) : NULL;
        if (!next || !contiguous(r, next)) {
            run->size = size - left;
            return;
        }
        r = next;
    }
    run->size = size;
}

int epc_dma_table_find(EpcDmaTable *t, uint64_t addr, uint64_t size,
                       EpcDmaRun *run)
{
    EpcDmaRange *r = range_find(t, addr, addr);

    if (!r) {
        return -EFAULT;
    }
    if (!r->file) {
        run->size = MIN(size - 1, r->node.last - addr) + 1;
        return t->messages ? -ENOTSUP : -EACCES;
    }
    find_run(t, r, addr, size, run);
    return 0;
}

bool epc_dma_table_hole(EpcDmaTable *t, uint64_t first, uint64_t last,
                        uint64_t *hole)
{
    EpcDmaRange *r;

    while ((r = range_find(t, first, first))) {
        if (r->node.last >= last) {
            return false;
        }
        first = r->node.last + 1;
    }
    *hole = first;
    return true;
}

int epc_dma_table_point(EpcDmaTable *t, uint64_t addr, uint64_t size,
                        bool write, EpcDmaPointer *p)
{
    EpcDmaRange *r = range_find(t, addr, addr);
    EpcDmaRun run;
    EpcDmaView *v;

    if (!r || (write && !r->writable)) {
        return -EFAULT;
    }
    if (!r->file) {
        return -ENOTSUP;
    }
    find_run(t, r, addr, size, &run);
    v = file_view(r->file, run.offset, run.size);
    if (!v || (write && !v->writable)) {
        return -ENOTSUP;
    }
    qatomic_inc(&v->refs);
    p->view = v;
    p->ptr = v->base + run.offset;
    p->size = run.size;
    return 0;
}
