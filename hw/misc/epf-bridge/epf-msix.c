/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-msix: MSI-X table and pending bits of a remote function
 *
 * Both are local.  The function may look at its table: what the guest writes
 * goes there, too.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/range.h"
#include "hw/pci/msix.h"
#include "epf-function.h"

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

static bool home_is_sound(EpfFunction *f)
{
    const EpfMsix *m = &f->msix;
    const EpfMsixPlace *h = &m->home;

    return h->table_bir < EPF_NUM_BARS && h->pba_bir < EPF_NUM_BARS &&
           h->table + table_len(m) <= f->link->bar[h->table_bir].size &&
           h->pba + pba_len(m) <= f->link->bar[h->pba_bir].size &&
           !(h->table_bir == h->pba_bir &&
             ranges_overlap(h->table, table_len(m), h->pba, pba_len(m)));
}

bool epf_msix_init(EpfFunction *f, uint8_t cap, Error **errp)
{
    PCIDevice *d = PCI_DEVICE(f);
    const uint8_t *from = f->link->config + cap;
    uint32_t table = pci_get_long(from + PCI_MSIX_TABLE);
    uint32_t pba = pci_get_long(from + PCI_MSIX_PBA);
    EpfMsix *m = &f->msix;

    m->vectors = (pci_get_word(from + PCI_MSIX_FLAGS) &
                  PCI_MSIX_FLAGS_QSIZE) + 1;
    m->home = (EpfMsixPlace) {
        .table_bir = table & PCI_MSIX_FLAGS_BIRMASK,
        .table = table & ~PCI_MSIX_FLAGS_BIRMASK,
        .pba_bir = pba & PCI_MSIX_FLAGS_BIRMASK,
        .pba = pba & ~PCI_MSIX_FLAGS_BIRMASK,
    };
    if (!home_is_sound(f)) {
        error_setg(errp, "the endpoint's MSI-X table and pending bits lie "
                   "outside of its BARs or overlap; correct the function's "
                   "MSI-X offsets");
        return false;
    }
    m->place = m->home;
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
