/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-mmio: devices of this guest that a remote function may reach
 *
 * A BAR is in many sections, and some are smaller than the pages that an
 * endpoint maps.  So it is told the pages around them, as few ranges as possible;
 * what lies between sections is refused when it is accessed.
 */
#include "qemu/osdep.h"
#include "qemu/int128.h"
#include "qemu/range.h"
#include "epf-function.h"
#include "trace.h"

/* Of x86, which is the only one with a fixed place for them */
#define MSI_FIRST   0xfee00000ull
#define MSI_LAST    0xfeefffffull

typedef struct MmioRange {
    uint64_t first, last;
} MmioRange;

static MmioRange *range_at(GArray *a, unsigned i)
{
    return &g_array_index(a, MmioRange, i);
}

static bool is_msi(uint64_t first, uint64_t last)
{
    return first >= MSI_FIRST && last <= MSI_LAST;
}

static bool is_bar_of(const PCIDevice *d, const MemoryRegion *mr)
{
    for (unsigned i = 0; i < PCI_ROM_SLOT; i++) {
        if (d->io_regions[i].size && d->io_regions[i].memory == mr) {
            return true;
        }
    }
    return false;
}

/* The PCI device that @mr belongs to, perhaps through parts of it */
static PCIDevice *device_of(const MemoryRegion *mr)
{
    Object *o = memory_region_owner((MemoryRegion *)mr);

    while (o && !object_dynamic_cast(o, TYPE_PCI_DEVICE)) {
        o = o->parent;
    }
    return o ? PCI_DEVICE(o) : NULL;
}

bool epf_mmio_reachable(PCIDevice *d, uint64_t addr, const MemoryRegion *mr)
{
    if (memory_region_is_iommu((MemoryRegion *)mr)) {
        return false;
    }
    for (const MemoryRegion *m = mr; m; m = m->container) {
        PCIDevice *other = device_of(m);

        if (other && other != d && is_bar_of(other, m)) {
            return true;
        }
    }
    /* Nobody owns what is not there */
    return is_msi(addr, addr) && memory_region_owner((MemoryRegion *)mr) &&
           !memory_region_is_ram((MemoryRegion *)mr);
}

static bool pages_around(const MemoryRegionSection *s, MmioRange *r)
{
    uint64_t page = qemu_real_host_page_size();
    Int128 last = int128_add(int128_make64(s->offset_within_address_space),
                             int128_sub(s->size, int128_one()));

    /* Transient places of 64-bit BARs while they are being sized */
    if (int128_gethi(last) || int128_get64(last) >> 63) {
        return false;
    }
    r->first = ROUND_DOWN(s->offset_within_address_space, page);
    r->last = int128_get64(last) | (page - 1);
    return true;
}

void epf_mmio_init(EpfFunction *f)
{
    f->mmio.sections = g_array_new(false, false, sizeof(MmioRange));
    f->mmio.told = g_array_new(false, false, sizeof(MmioRange));
}

void epf_mmio_exit(EpfFunction *f)
{
    if (f->mmio.sections) {
        g_array_free(f->mmio.sections, true);
        g_array_free(f->mmio.told, true);
        f->mmio = (EpfMmio) { };
    }
}

static void add_range(EpfFunction *f, MmioRange r)
{
    g_array_append_val(f->mmio.sections, r);
    f->mmio.changed = true;
}

void epf_mmio_add(EpfFunction *f, const MemoryRegionSection *s)
{
    MmioRange r;

    if (pages_around(s, &r) &&
        epf_mmio_reachable(PCI_DEVICE(f), s->offset_within_address_space,
                           s->mr)) {
        add_range(f, r);
    }
}

static void untell(EpfFunction *f, unsigned i)
{
    MmioRange *r = range_at(f->mmio.told, i);

    epf_dma_unmap(f, r->first, r->last - r->first + 1);
    g_array_remove_index(f->mmio.told, i);
}

/* Something else may be there before the commit. */
static void del_range(EpfFunction *f, MmioRange r)
{
    bool found = false;

    for (unsigned i = 0; i < f->mmio.sections->len && !found; i++) {
        MmioRange *old = range_at(f->mmio.sections, i);

        if (old->first == r.first && old->last == r.last) {
            g_array_remove_index_fast(f->mmio.sections, i);
            found = true;
        }
    }
    for (unsigned i = f->mmio.told->len; found && i-- > 0;) {
        MmioRange *t = range_at(f->mmio.told, i);

        if (ranges_overlap(t->first, t->last - t->first + 1, r.first,
                           r.last - r.first + 1)) {
            untell(f, i);
        }
    }
    f->mmio.changed |= found;
}

void epf_mmio_del(EpfFunction *f, const MemoryRegionSection *s)
{
    MmioRange r;

    if (pages_around(s, &r)) {
        del_range(f, r);
    }
}

static const MmioRange msi = { MSI_FIRST, MSI_LAST };

void epf_mmio_add_iommu(EpfFunction *f, uint64_t first, uint64_t last)
{
    if (first <= MSI_FIRST && last >= MSI_LAST) {
        add_range(f, msi);
    }
}

void epf_mmio_del_iommu(EpfFunction *f, uint64_t first, uint64_t last)
{
    if (first <= MSI_FIRST && last >= MSI_LAST) {
        del_range(f, msi);
    }
}

static gint by_first(gconstpointer a, gconstpointer b)
{
    const MmioRange *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

/* The sections, joined where they touch */
static GArray *join(EpfFunction *f)
{
    GArray *joined = g_array_new(false, false, sizeof(MmioRange));

    g_array_sort(f->mmio.sections, by_first);
    for (unsigned i = 0; i < f->mmio.sections->len; i++) {
        MmioRange *r = range_at(f->mmio.sections, i);
        MmioRange *end = joined->len ? range_at(joined, joined->len - 1) : NULL;

        if (end && r->first <= end->last + 1) {
            end->last = MAX(end->last, r->last);
        } else {
            g_array_append_val(joined, *r);
        }
    }
    if (joined->len > EPF_MAX_DEVICE_RANGES) {
        epf_client_report(f->link->client, "this guest's devices are in more "
                          "than %u places, and the endpoint cannot reach the "
                          "rest", EPF_MAX_DEVICE_RANGES);
        g_array_set_size(joined, EPF_MAX_DEVICE_RANGES);
    }
    return joined;
}

static bool has(GArray *a, const MmioRange *r)
{
    for (unsigned i = 0; i < a->len; i++) {
        if (range_at(a, i)->first == r->first &&
            range_at(a, i)->last == r->last) {
            return true;
        }
    }
    return false;
}

void epf_mmio_commit(EpfFunction *f)
{
    GArray *joined;

    if (!f->mmio.changed) {
        return;
    }
    f->mmio.changed = false;
    joined = join(f);
    for (unsigned i = f->mmio.told->len; i-- > 0;) {
        if (!has(joined, range_at(f->mmio.told, i))) {
            untell(f, i);
        }
    }
    for (unsigned i = 0; i < joined->len; i++) {
        MmioRange *r = range_at(joined, i);

        if (!has(f->mmio.told, r)) {
            epf_dma_map(f, r->first, r->last - r->first + 1,
                        VFU_DMA_READ | VFU_DMA_WRITE, NULL, 0);
        }
    }
    g_array_free(f->mmio.told, true);
    f->mmio.told = joined;
    trace_epf_mmio_commit(f->link->generation, joined->len);
}
