/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bars: the BARs of a remote function
 *
 * Each BAR is a container of layers: access by message at the bottom; above it
 * one RAM-device region over the link's reservation, for life, whose pages the
 * reader thread replaces; on top the MSI-X table and the pending bits, which
 * are local.  Only the change between memory and messages touches the topology.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/pci/msix.h"
#include "epf-function.h"
#include "trace.h"

enum { PRIO_MESSAGES, PRIO_RAM, PRIO_MSIX };

static uint64_t epf_bar_read(void *opaque, hwaddr addr, unsigned size)
{
    EpfFunctionBar *b = opaque;
    uint64_t le;

    epf_link_read(b->fn->link, b->index, addr, &le, size);
    le = le64_to_cpu(le);
    return size == 8 ? le : le & MAKE_64BIT_MASK(0, size * 8);
}

static void epf_bar_write(void *opaque, hwaddr addr, uint64_t val,
                          unsigned size)
{
    EpfFunctionBar *b = opaque;
    uint64_t le = cpu_to_le64(val);

    epf_link_write(b->fn->link, b->index, addr, &le, size);
}

static const MemoryRegionOps epf_bar_ops = {
    .read = epf_bar_read,
    .write = epf_bar_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
    .impl = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
};

void epf_bars_init(EpfFunction *f)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        EpfFunctionBar *b = &f->bar[i];
        EpfBar *lb = &f->link->bar[i];
        g_autofree char *name = g_strdup_printf("bar%u", i);

        if (!lb->size) {
            continue;
        }
        b->fn = f;
        b->index = i;
        memory_region_init(&b->container, OBJECT(f), name, lb->size);
        memory_region_init_io(&b->messages, OBJECT(f), &epf_bar_ops, b,
                              "messages", lb->size);
        memory_region_add_subregion_overlap(&b->container, 0, &b->messages,
                                            PRIO_MESSAGES);
        if (lb->mem) {
            memory_region_init_ram_device_ptr(&b->ram, OBJECT(f), "shared",
                                              lb->size, lb->mem);
            memory_region_set_enabled(&b->ram, false);
            memory_region_add_subregion_overlap(&b->container, 0, &b->ram,
                                                PRIO_RAM);
            b->has_ram = true;
        }
        pci_register_bar(PCI_DEVICE(f), i, lb->type, &b->container);
    }
}

bool epf_bars_synced(EpfFunction *f)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        EpfFunctionBar *b = &f->bar[i];

        if (b->has_ram && b->ram.enabled != epf_link_bar_mapped(f->link, i)) {
            return false;
        }
    }
    return true;
}

void epf_bars_sync(EpfFunction *f)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        EpfFunctionBar *b = &f->bar[i];

        if (b->has_ram) {
            memory_region_set_enabled(&b->ram,
                                      epf_link_bar_mapped(f->link, i));
        }
    }
}

/*
 * ------------------------------------------------------------------------
 * MSI-X
 */
static uint32_t msix_table_offset(PCIDevice *d)
{
    return pci_get_long(d->config + d->msix_cap + PCI_MSIX_TABLE) &
           ~PCI_MSIX_FLAGS_BIRMASK;
}

/* @addr counts from the start of the BAR, here and below. */
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
                                       addr - msix_table_offset(d), val,
                                       size_memop(size) | MO_LE, attrs);
}

/* The function may look at its table: what the guest writes goes there too. */
static MemTxResult epf_msix_write(void *opaque, hwaddr addr, uint64_t val,
                                  unsigned size, MemTxAttrs attrs)
{
    EpfFunction *f = opaque;
    PCIDevice *d = PCI_DEVICE(f);
    unsigned bir = pci_get_long(d->config + d->msix_cap + PCI_MSIX_TABLE) &
                   PCI_MSIX_FLAGS_BIRMASK;
    uint64_t le = cpu_to_le64(val);
    EpfLink *l = f->link;
    bool stored = false;
    MemTxResult result;

    if (epf_link_dead(l)) {
        return MEMTX_OK;
    }
    qemu_mutex_lock(&l->lock);
    if (l->bar[bir].mapped) {
        memcpy((uint8_t *)l->bar[bir].mem + addr, &le, size);
        stored = true;
    }
    qemu_mutex_unlock(&l->lock);
    if (!stored) {
        epf_link_write(l, bir, addr, &le, size);
    }
    addr -= msix_table_offset(d);
    result = memory_region_dispatch_write(&d->msix_table_mmio, addr, val,
                                          size_memop(size) | MO_LE, attrs);
    ep_irqfds_table_written(f->irqs.set, addr / PCI_MSIX_ENTRY_SIZE);
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

bool epf_bars_add_msix(EpfFunction *f, unsigned table_bir, uint32_t table,
                       unsigned pba_bir, uint32_t pba, unsigned vectors,
                       uint8_t cap, Error **errp)
{
    PCIDevice *d = PCI_DEVICE(f);
    uint64_t table_len = (uint64_t)vectors * PCI_MSIX_ENTRY_SIZE;
    uint64_t pba_len = QEMU_ALIGN_UP(vectors, 64) / 8;

    if (table_bir >= EPF_NUM_BARS || pba_bir >= EPF_NUM_BARS ||
        table + table_len > f->link->bar[table_bir].size ||
        pba + pba_len > f->link->bar[pba_bir].size) {
        error_setg(errp, "the endpoint's MSI-X table or pending bits lie "
                   "outside of its BARs");
        return false;
    }
    memory_region_init(&f->msix_home[0], OBJECT(f), "msix-table-home",
                       f->link->bar[table_bir].size);
    memory_region_init(&f->msix_home[1], OBJECT(f), "msix-pba-home",
                       f->link->bar[pba_bir].size);
    if (msix_init(d, vectors, &f->msix_home[0], table_bir, table,
                  &f->msix_home[1], pba_bir, pba, cap, errp) < 0) {
        return false;
    }
    for (unsigned i = 0; i < vectors; i++) {
        msix_vector_use(d, i);
    }

    /* Reached from the region below, whose guard is engaged already */
    d->msix_table_mmio.disable_reentrancy_guard = true;
    /*
     * TCG wants a page of a region to be at a page offset of that region, and
     * the table may begin anywhere in a page: so count from the BAR's start.
     */
    memory_region_init_io(&f->msix_table, OBJECT(f), &epf_msix_ops, f,
                          "msix-table-mirror", table + table_len);
    memory_region_init_alias(&f->msix_table_alias, OBJECT(f),
                             "msix-table-alias", &f->msix_table, table,
                             table_len);
    memory_region_add_subregion_overlap(&f->bar[table_bir].container, table,
                                        &f->msix_table_alias, PRIO_MSIX);
    memory_region_init_alias(&f->msix_pba, OBJECT(f), "msix-pba-alias",
                             &d->msix_pba_mmio, 0, pba_len);
    memory_region_add_subregion_overlap(&f->bar[pba_bir].container, pba,
                                        &f->msix_pba, PRIO_MSIX);
    return true;
}

void epf_bars_del_msix(EpfFunction *f)
{
    msix_uninit(PCI_DEVICE(f), &f->msix_home[0], &f->msix_home[1]);
}
