/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bars: the BARs of a remote function
 *
 * Each BAR is a container of layers: access by message at the bottom; above it,
 * where the endpoint has memory, windows on one RAM-device region over the
 * link's reservation, for life, whose pages the reader thread replaces; on top
 * the MSI-X table and the pending bits, which are local.  Only a change of what
 * is memory touches the topology.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/pci-ep/ep-region.h"
#include "epf-function.h"
#include "trace.h"

enum { PRIO_MESSAGES, PRIO_RAM, PRIO_OVERLAY };

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

    if (size == 4 && epf_doorbells_ring(b->doorbells, addr, val)) {
        return;
    }
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

/*
 * ------------------------------------------------------------------------
 * What the BAR decodes
 */
void epf_bars_add(EpfFunction *f, unsigned bar, uint64_t size)
{
    EpfFunctionBar *b = &f->bar[bar];
    g_autofree char *name = g_strdup_printf("bar%u", bar);

    b->fn = f;
    b->index = bar;
    b->size = size;
    memory_region_init(&b->container, OBJECT(f), name, size);
}

void epf_bars_grow(EpfFunction *f, unsigned bar, uint64_t size)
{
    f->bar[bar].size = size;
    memory_region_set_size(&f->bar[bar].container, size);
}

void epf_bars_overlay(EpfFunction *f, unsigned bar, uint64_t offset,
                      MemoryRegion *mr)
{
    memory_region_add_subregion_overlap(&f->bar[bar].container, offset, mr,
                                        PRIO_OVERLAY);
}

void epf_bars_init(EpfFunction *f)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        EpfFunctionBar *b = &f->bar[i];
        EpfBar *lb = &f->link->bar[i];

        if (!lb->size) {
            continue;
        }
        epf_bars_add(f, i, lb->size);
        if (!pci_is_vf(PCI_DEVICE(f))) {
            b->type = lb->type;
        }
        memory_region_init_io(&b->messages, OBJECT(f), &epf_bar_ops, b,
                              "messages", lb->size);
        memory_region_add_subregion_overlap(&b->container, 0, &b->messages,
                                            PRIO_MESSAGES);
        if (lb->mem) {
            memory_region_init_ram_device_ptr(&b->ram, OBJECT(f), "shared",
                                              lb->size, lb->mem);
        }
    }
}

void epf_bars_register(EpfFunction *f)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        if (f->bar[i].size) {
            pci_register_bar(PCI_DEVICE(f), i, f->bar[i].type,
                             &f->bar[i].container);
        }
    }
}

/*
 * ------------------------------------------------------------------------
 * What of it is memory
 */
bool epf_bars_synced(EpfFunction *f)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        EpfLayout now;

        epf_areas_layout(f->link, i, &now);
        if (!epf_layout_equal(&f->bar[i].shown, &now)) {
            return false;
        }
    }
    return true;
}

static void remove_windows(EpfFunctionBar *b)
{
    for (unsigned i = 0; i < b->shown.count; i++) {
        memory_region_del_subregion(&b->container, &b->windows[i]);
        object_unparent(OBJECT(&b->windows[i]));
    }
    g_free(b->windows);
    b->windows = NULL;
    b->shown.count = 0;
}

static void add_windows(EpfFunctionBar *b, const EpfLayout *layout)
{
    b->shown = *layout;
    b->windows = g_new0(MemoryRegion, layout->count);
    for (unsigned i = 0; i < layout->count; i++) {
        memory_region_init_alias(&b->windows[i], OBJECT(b->fn), "memory",
                                 &b->ram, layout->part[i].offset,
                                 layout->part[i].size);
        memory_region_add_subregion_overlap(&b->container,
                                            layout->part[i].offset,
                                            &b->windows[i], PRIO_RAM);
    }
}

void epf_bars_sync(EpfFunction *f)
{
    memory_region_transaction_begin();
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        EpfFunctionBar *b = &f->bar[i];
        EpfLayout now;

        epf_areas_layout(f->link, i, &now);
        if (!epf_layout_equal(&b->shown, &now)) {
            remove_windows(b);
            add_windows(b, &now);
        }
    }
    memory_region_transaction_commit();
}

/*
 * ------------------------------------------------------------------------
 * Doorbells
 */
static void set_doorbells(EpfFunctionBar *b, EpfDoorbells *d)
{
    if (b->doorbells) {
        epf_doorbells_detach(b->doorbells, &b->messages);
        epf_doorbells_unref(b->doorbells);
    }
    b->doorbells = d;
    if (d) {
        epf_doorbells_attach(d, &b->messages);
    }
}

void epf_bars_sync_doorbells(EpfFunction *f)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        EpfFunctionBar *b = &f->bar[i];
        EpfDoorbells *now = epf_areas_doorbells(f->link, i);

        if (now != b->doorbells) {
            set_doorbells(b, now);
        } else {
            epf_doorbells_unref(now);
        }
        epf_areas_shown(f->link, i, &b->shown);
    }
}

void epf_bars_exit(EpfFunction *f)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        set_doorbells(&f->bar[i], NULL);
        ep_region_empty(&f->bar[i].container);
    }
}

void epf_bars_finalize(EpfFunction *f)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        g_free(f->bar[i].windows);
    }
}
