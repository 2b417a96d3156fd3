/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmio: devices of this guest that a remote function may reach
 *
 * A BAR may have many sections, some smaller than a page, and an endpoint maps
 * whole pages.  So it is given the pages around the sections, in as few ranges
 * as possible.  An access to a byte of such a page that is in no section is
 * refused when it arrives (dma/worker.c).
 */
#include "qemu/osdep.h"
#include "qemu/int128.h"
#include "qemu/range.h"
#include "hw/misc/epf-bridge/dma/mmio.h"
#include "hw/misc/epf-bridge/dma/send.h"
#include "hw/misc/epf-bridge/remote/report.h"
#include "hw/misc/epf-bridge/trace.h"

/*
 * Where x86 takes message signalled interrupts (Intel SDM volume 3, "Message
 * Address Register Format").  No other machine has a fixed address for them.
 */
#define EPF_MMIO_MSI_FIRST  0xfee00000ull
#define EPF_MMIO_MSI_LAST   0xfeefffffull

/* Regions inside of each other, from a BAR to what the guest accesses */
#define EPF_MMIO_MAX_DEPTH  8

typedef struct EpfMmioRange {
    uint64_t first, last;
} EpfMmioRange;

static EpfMmioRange *epf_mmio_range(GArray *a, unsigned i)
{
    return &g_array_index(a, EpfMmioRange, i);
}

static bool epf_mmio_is_msi(uint64_t first, uint64_t last)
{
    return first >= EPF_MMIO_MSI_FIRST && last <= EPF_MMIO_MSI_LAST;
}

static bool epf_mmio_is_bar(const PCIDevice *d, const MemoryRegion *mr)
{
    for (unsigned i = 0; i < PCI_ROM_SLOT; i++) {
        if (d->io_regions[i].size && d->io_regions[i].memory == mr) {
            return true;
        }
    }
    return false;
}

/*
 * Does @from show @to, through subregions and aliases?  @depth bounds how many
 * of them are followed.
 */
static bool epf_mmio_leads_to(const MemoryRegion *from, const MemoryRegion *to,
                              unsigned depth)
{
    const MemoryRegion *sub;

    if (from == to) {
        return true;
    }
    if (!depth) {
        return false;
    }
    if (from->alias) {
        return epf_mmio_leads_to(from->alias, to, depth - 1);
    }
    QTAILQ_FOREACH(sub, &from->subregions, subregions_link) {
        if (epf_mmio_leads_to(sub, to, depth - 1)) {
            return true;
        }
    }
    return false;
}

/* Is @mr part of a BAR of its owner @d that shows it through an alias? */
static bool epf_mmio_is_in_bar(const PCIDevice *d, const MemoryRegion *mr)
{
    for (unsigned i = 0; i < PCI_ROM_SLOT; i++) {
        if (d->io_regions[i].size &&
            epf_mmio_leads_to(d->io_regions[i].memory, mr,
                              EPF_MMIO_MAX_DEPTH)) {
            return true;
        }
    }
    return false;
}

/* The PCI device that owns @mr, itself or through one of its children */
static PCIDevice *epf_mmio_device(const MemoryRegion *mr)
{
    Object *o = memory_region_owner((MemoryRegion *)mr);

    while (o && !object_dynamic_cast(o, TYPE_PCI_DEVICE)) {
        o = o->parent;
    }
    return o ? PCI_DEVICE(o) : NULL;
}

bool epf_mmio_reachable(PCIDevice *d, uint64_t addr, const MemoryRegion *mr)
{
    PCIDevice *owner = epf_mmio_device(mr);

    if (memory_region_is_iommu((MemoryRegion *)mr)) {
        return false;
    }
    for (const MemoryRegion *m = mr; m; m = m->container) {
        PCIDevice *other = epf_mmio_device(m);

        if (other && other != d && epf_mmio_is_bar(other, m)) {
            return true;
        }
    }
    /* A region that is shown through an alias has no container. */
    if (owner && owner != d && epf_mmio_is_in_bar(owner, mr)) {
        return true;
    }
    /* Regions without an owner stand for addresses that nothing decodes. */
    return epf_mmio_is_msi(addr, addr) &&
           memory_region_owner((MemoryRegion *)mr) &&
           !memory_region_is_ram((MemoryRegion *)mr);
}

static bool epf_mmio_pages(const MemoryRegionSection *s, EpfMmioRange *r)
{
    uint64_t page = qemu_real_host_page_size();
    Int128 last = int128_add(int128_make64(s->offset_within_address_space),
                             int128_sub(s->size, int128_one()));

    /* A 64-bit BAR passes through these addresses while it is being sized. */
    if (int128_gethi(last) || int128_get64(last) >> 63) {
        return false;
    }
    r->first = ROUND_DOWN(s->offset_within_address_space, page);
    r->last = int128_get64(last) | (page - 1);
    return true;
}

void epf_mmio_init(EpfMmio *m, PCIDevice *d, EpfRemote *r)
{
    m->d = d;
    m->remote = r;
    m->sections = g_array_new(false, false, sizeof(EpfMmioRange));
    m->mapped = g_array_new(false, false, sizeof(EpfMmioRange));
}

void epf_mmio_exit(EpfMmio *m)
{
    if (m->sections) {
        g_array_free(m->sections, true);
        g_array_free(m->mapped, true);
        *m = (EpfMmio) { };
    }
}

static void epf_mmio_add_range(EpfMmio *m, EpfMmioRange r)
{
    g_array_append_val(m->sections, r);
    m->changed = true;
}

void epf_mmio_add(EpfMmio *m, const MemoryRegionSection *s)
{
    EpfMmioRange r;

    if (epf_mmio_pages(s, &r) &&
        epf_mmio_reachable(m->d, s->offset_within_address_space, s->mr)) {
        epf_mmio_add_range(m, r);
    }
}

static void epf_mmio_unmap(EpfMmio *m, unsigned i)
{
    EpfMmioRange *r = epf_mmio_range(m->mapped, i);

    epf_dma_unmap(m->remote, r->first, r->last - r->first + 1);
    g_array_remove_index(m->mapped, i);
}

/*
 * Unmaps at once: before the commit the guest may put something else at these
 * addresses.  Other sections in the same range get it back at the commit.
 */
static void epf_mmio_del_range(EpfMmio *m, EpfMmioRange r)
{
    bool found = false;

    for (unsigned i = 0; i < m->sections->len && !found; i++) {
        EpfMmioRange *old = epf_mmio_range(m->sections, i);

        if (old->first == r.first && old->last == r.last) {
            g_array_remove_index_fast(m->sections, i);
            found = true;
        }
    }
    for (unsigned i = m->mapped->len; found && i-- > 0;) {
        EpfMmioRange *t = epf_mmio_range(m->mapped, i);

        if (ranges_overlap(t->first, t->last - t->first + 1, r.first,
                           r.last - r.first + 1)) {
            epf_mmio_unmap(m, i);
        }
    }
    m->changed |= found;
}

void epf_mmio_del(EpfMmio *m, const MemoryRegionSection *s)
{
    EpfMmioRange r;

    if (epf_mmio_pages(s, &r)) {
        epf_mmio_del_range(m, r);
    }
}

static const EpfMmioRange epf_mmio_msi = {
    EPF_MMIO_MSI_FIRST, EPF_MMIO_MSI_LAST,
};

void epf_mmio_add_iommu(EpfMmio *m, uint64_t first, uint64_t last)
{
    if (first <= EPF_MMIO_MSI_FIRST && last >= EPF_MMIO_MSI_LAST) {
        epf_mmio_add_range(m, epf_mmio_msi);
    }
}

void epf_mmio_del_iommu(EpfMmio *m, uint64_t first, uint64_t last)
{
    if (first <= EPF_MMIO_MSI_FIRST && last >= EPF_MMIO_MSI_LAST) {
        epf_mmio_del_range(m, epf_mmio_msi);
    }
}

static gint epf_mmio_by_first(gconstpointer a, gconstpointer b)
{
    const EpfMmioRange *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

/* Returns the ranges of all sections, joined where they touch. */
static GArray *epf_mmio_join(EpfMmio *m)
{
    GArray *joined = g_array_new(false, false, sizeof(EpfMmioRange));

    g_array_sort(m->sections, epf_mmio_by_first);
    for (unsigned i = 0; i < m->sections->len; i++) {
        EpfMmioRange *r = epf_mmio_range(m->sections, i);
        EpfMmioRange *end = NULL;

        if (joined->len) {
            end = epf_mmio_range(joined, joined->len - 1);
        }
        if (end && r->first <= end->last + 1) {
            end->last = MAX(end->last, r->last);
        } else {
            g_array_append_val(joined, *r);
        }
    }
    if (joined->len > EPF_MAX_DEVICE_RANGES) {
        epf_remote_report(m->remote, NULL, "this guest's devices are in more "
                          "than %u ranges, and the endpoint cannot reach the "
                          "others", EPF_MAX_DEVICE_RANGES);
        g_array_set_size(joined, EPF_MAX_DEVICE_RANGES);
    }
    return joined;
}

static bool epf_mmio_has(GArray *a, const EpfMmioRange *r)
{
    for (unsigned i = 0; i < a->len; i++) {
        if (epf_mmio_range(a, i)->first == r->first &&
            epf_mmio_range(a, i)->last == r->last) {
            return true;
        }
    }
    return false;
}

void epf_mmio_commit(EpfMmio *m)
{
    GArray *joined;

    if (!m->changed) {
        return;
    }
    m->changed = false;
    joined = epf_mmio_join(m);
    for (unsigned i = m->mapped->len; i-- > 0;) {
        if (!epf_mmio_has(joined, epf_mmio_range(m->mapped, i))) {
            epf_mmio_unmap(m, i);
        }
    }
    for (unsigned i = 0; i < joined->len; i++) {
        EpfMmioRange *r = epf_mmio_range(joined, i);

        if (!epf_mmio_has(m->mapped, r)) {
            epf_dma_map(m->remote, r->first, r->last - r->first + 1,
                        VFU_DMA_READ | VFU_DMA_WRITE, NULL, 0, true);
        }
    }
    g_array_free(m->mapped, true);
    m->mapped = joined;
    trace_epf_bridge_mmio_commit(m->remote->device, m->remote->func,
                                 m->remote->generation, joined->len);
}
