/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-msix: MSI-X table and pending bits of a remote function
 *
 * Both are local.  Memory that shares a page with them would be reached access
 * by access, so the guest finds them somewhere else: in a BAR that the function
 * does not have, or in the upper half of one made twice as large.  The function
 * may look at its table: what the guest writes goes where it put that, too.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/host-utils.h"
#include "qemu/range.h"
#include "hw/pci/msix.h"
#include "epf-function.h"
#include "trace.h"

static uint64_t table_len(const EpfMsix *m)
{
    return (uint64_t)m->vectors * PCI_MSIX_ENTRY_SIZE;
}

static uint64_t pba_len(const EpfMsix *m)
{
    return QEMU_ALIGN_UP(m->vectors, 64) / 8;
}

/*
 * ------------------------------------------------------------------------
 * Where the guest finds them
 */
static bool is_crowded(const EpfMsix *m)
{
    size_t page = qemu_real_host_page_size();
    uint64_t t0 = QEMU_ALIGN_DOWN(m->home.table, page);
    uint64_t t1 = QEMU_ALIGN_UP(m->home.table + table_len(m), page);
    uint64_t p0 = QEMU_ALIGN_DOWN(m->home.pba, page);
    uint64_t p1 = QEMU_ALIGN_UP(m->home.pba + pba_len(m), page);
    uint64_t pages = t1 - t0 + p1 - p0;

    if (m->home.table_bir == m->home.pba_bir && t0 < p1 && p0 < t1) {
        pages = MAX(t1, p1) - MIN(t0, p0);
    }
    return pages != table_len(m) + pba_len(m);
}

/* Can there be memory in the BAR of either? */
static bool has_neighbours(const EpfMsix *m, const EpfLink *l)
{
    return is_crowded(m) && (l->bar[m->home.table_bir].mem ||
                             l->bar[m->home.pba_bir].mem);
}

/* Of a BAR that has nothing else */
static uint64_t own_bar_size(const EpfMsix *m)
{
    return pow2ceil(MAX(table_len(m) + pba_len(m),
                        MAX(EPF_BAR_SIZE_MIN, qemu_real_host_page_size())));
}

static bool home_is_sound(const EpfMsix *m, const EpfLink *l)
{
    const EpfMsixPlace *h = &m->home;

    return h->table_bir < EPF_NUM_BARS && h->pba_bir < EPF_NUM_BARS &&
           h->table + table_len(m) <= l->bar[h->table_bir].size &&
           h->pba + pba_len(m) <= l->bar[h->pba_bir].size &&
           !(h->table_bir == h->pba_bir &&
             ranges_overlap(h->table, table_len(m), h->pba, pba_len(m)));
}

/* False: that cannot be. */
static bool read_home(EpfMsix *m, const EpfLink *l, uint8_t cap)
{
    const uint8_t *from = l->config + cap;
    uint32_t table = pci_get_long(from + PCI_MSIX_TABLE);
    uint32_t pba = pci_get_long(from + PCI_MSIX_PBA);

    m->vectors = (pci_get_word(from + PCI_MSIX_FLAGS) &
                  PCI_MSIX_FLAGS_QSIZE) + 1;
    m->home = (EpfMsixPlace) {
        .table_bir = table & PCI_MSIX_FLAGS_BIRMASK,
        .table = table & ~PCI_MSIX_FLAGS_BIRMASK,
        .pba_bir = pba & PCI_MSIX_FLAGS_BIRMASK,
        .pba = pba & ~PCI_MSIX_FLAGS_BIRMASK,
    };
    return home_is_sound(m, l);
}

uint64_t epf_msix_wants_bar(const EpfLink *l)
{
    uint8_t cap = epf_caps_find(l, PCI_CAP_ID_MSIX);
    EpfMsix m = { };

    return cap && read_home(&m, l, cap) && has_neighbours(&m, l) ?
           own_bar_size(&m) : 0;
}

static bool is_64(EpfFunction *f, unsigned bar)
{
    return f->bar[bar].type & PCI_BASE_ADDRESS_MEM_TYPE_64;
}

static bool is_free(EpfFunction *f, unsigned bar)
{
    return !f->bar[bar].size &&
           !(bar && f->bar[bar - 1].size && is_64(f, bar - 1));
}

static void move_to_own_bar(EpfFunction *f, unsigned bar, uint64_t size)
{
    EpfMsix *m = &f->msix;

    epf_bars_add(f, bar, size);
    m->place = (EpfMsixPlace) {
        .table_bir = bar, .pba_bir = bar, .pba = table_len(m),
    };
    m->own_bar = true;
}

static bool move_to_free_bar(EpfFunction *f)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        if (is_free(f, i)) {
            move_to_own_bar(f, i, own_bar_size(&f->msix));
            return true;
        }
    }
    return false;
}

/* Offsets of a table have 32 bits, in a 64-bit BAR as well. */
static bool move_to_upper_half(EpfFunction *f)
{
    EpfMsix *m = &f->msix;
    unsigned bir = m->home.table_bir;
    uint64_t max = is_64(f, bir) ? 4 * GiB : EPF_BAR32_SIZE_MAX;
    uint64_t half = pow2ceil(MAX(table_len(m) + pba_len(m),
                                 MAX(f->bar[bir].size,
                                     qemu_real_host_page_size())));

    if (half > max / 2) {
        return false;
    }
    epf_bars_grow(f, bir, 2 * half);
    m->place = (EpfMsixPlace) {
        .table_bir = bir, .table = half,
        .pba_bir = bir, .pba = half + table_len(m),
    };
    return true;
}

/* Virtual functions share what BARs there are, see epf_sriov_plan() */
static bool move_to_vf_bar(EpfFunction *f)
{
    const EpfSriov *s = epf_sriov_of_vf(f);

    if (s) {
        move_to_own_bar(f, s->msix_bar, s->msix_size);
    }
    return s;
}

static void choose_place(EpfFunction *f)
{
    EpfMsix *m = &f->msix;

    m->place = m->home;
    if (f->msix_relocate && has_neighbours(m, f->link)) {
        m->moved = move_to_vf_bar(f) || move_to_free_bar(f) ||
                   move_to_upper_half(f);
        if (!m->moved) {
            epf_client_report(f->link->client, "BAR %u cannot be made larger "
                              "for the MSI-X table; memory next to the table "
                              "is slow: put the table in a BAR of its own",
                              m->home.table_bir);
        }
    }
    trace_epf_msix_place(f->link->generation, m->place.table_bir,
                         m->place.table, m->place.pba, m->moved);
}

bool epf_msix_forwarded(EpfFunction *f, uint32_t addr, uint32_t *val, int len)
{
    unsigned bir = f->msix.place.table_bir;
    uint32_t reg = PCI_BASE_ADDRESS_0 + bir * 4;

    if (f->msix.moved && ranges_overlap(addr, len, reg,
                                        is_64(f, bir) ? 8 : 4)) {
        if (f->msix.own_bar) {
            return false;
        }
        /* The endpoint's register has one bit more */
        *val = pci_default_read_config(PCI_DEVICE(f), addr, len);
    }
    return true;
}

/*
 * ------------------------------------------------------------------------
 * The table; @addr counts from the start of the BAR
 */
static MemTxResult epf_msix_read(void *opaque, hwaddr addr, uint64_t *val,
                                 unsigned size, MemTxAttrs attrs)
{
    EpfFunction *f = opaque;
    PCIDevice *d = PCI_DEVICE(f);

    if (epf_link_dead(f->link)) {
        *val = UINT64_MAX;
        return MEMTX_OK;
    }
    return memory_region_dispatch_read(&d->msix_table_mmio,
                                       addr - f->msix.place.table, val,
                                       size_memop(size) | MO_LE, attrs);
}

static MemTxResult epf_msix_write(void *opaque, hwaddr addr, uint64_t val,
                                  unsigned size, MemTxAttrs attrs)
{
    EpfFunction *f = opaque;
    PCIDevice *d = PCI_DEVICE(f);
    uint64_t in_table = addr - f->msix.place.table;
    uint64_t home = f->msix.home.table + in_table;
    unsigned bir = f->msix.home.table_bir;
    uint64_t le = cpu_to_le64(val);
    MemTxResult result;

    if (epf_link_dead(f->link)) {
        return MEMTX_OK;
    }
    if (!epf_areas_store(f->link, bir, home, &le, size)) {
        epf_link_write(f->link, bir, home, &le, size);
    }
    result = memory_region_dispatch_write(&d->msix_table_mmio, in_table, val,
                                          size_memop(size) | MO_LE, attrs);
    ep_irqfds_table_written(f->irqs.set, in_table / PCI_MSIX_ENTRY_SIZE);
    return result;
}

static const MemoryRegionOps epf_msix_ops = {
    .read_with_attrs = epf_msix_read,
    .write_with_attrs = epf_msix_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 4,
        .max_access_size = 8,
    },
    .impl = {
        .min_access_size = 4,
        .max_access_size = 8,
    },
};

/*
 * ------------------------------------------------------------------------
 * Life
 */
static void show_table(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    EpfMsix *m = &f->msix;

    /* Reached from the region below, whose guard is engaged already */
    d->msix_table_mmio.disable_reentrancy_guard = true;
    /*
     * TCG wants a page of a region to be at a page offset of that region, and
     * the table may begin anywhere in a page: so count from the BAR's start.
     */
    memory_region_init_io(&m->mirror, OBJECT(f), &epf_msix_ops, f,
                          "msix-table-mirror", m->place.table + table_len(m));
    memory_region_init_alias(&m->table, OBJECT(f), "msix-table-alias",
                             &m->mirror, m->place.table, table_len(m));
    epf_bars_overlay(f, m->place.table_bir, m->place.table, &m->table);
    memory_region_init_alias(&m->pba, OBJECT(f), "msix-pba-alias",
                             &d->msix_pba_mmio, 0, pba_len(m));
    epf_bars_overlay(f, m->place.pba_bir, m->place.pba, &m->pba);
}

bool epf_msix_init(EpfFunction *f, uint8_t cap, Error **errp)
{
    PCIDevice *d = PCI_DEVICE(f);
    EpfMsix *m = &f->msix;

    if (!read_home(m, f->link, cap)) {
        error_setg(errp, "the endpoint's MSI-X table and pending bits lie "
                   "outside of its BARs or overlap; correct the function's "
                   "MSI-X offsets");
        return false;
    }
    choose_place(f);
    memory_region_init(&m->where[0], OBJECT(f), "msix-table-home",
                       f->bar[m->place.table_bir].size);
    memory_region_init(&m->where[1], OBJECT(f), "msix-pba-home",
                       f->bar[m->place.pba_bir].size);
    if (msix_init(d, m->vectors, &m->where[0], m->place.table_bir,
                  m->place.table, &m->where[1], m->place.pba_bir,
                  m->place.pba, cap, errp) < 0) {
        return false;
    }
    for (unsigned i = 0; i < m->vectors; i++) {
        msix_vector_use(d, i);
    }
    show_table(f);
    return true;
}

void epf_msix_exit(EpfFunction *f)
{
    msix_uninit(PCI_DEVICE(f), &f->msix.where[0], &f->msix.where[1]);
}
