/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bars: the BARs of a remote function as the guest sees them
 *
 * Each BAR is a container of three layers.  At the bottom is access by message
 * to the whole BAR.  Above it, where the endpoint has memory, are aliases of
 * one RAM region: the reservation of the remote, which lives as long as the
 * device and whose pages the reader thread replaces.  On top are the MSI-X
 * table and pending bits, which this QEMU keeps.  So the memory topology
 * changes only when the endpoint changes which areas are memory.
 *
 * While a fault of accesses is armed, the guest sees no memory and no doorbell,
 * so that each access is by message.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/pci-ep/shared/region.h"
#include "hw/misc/epf-bridge/function/bars.h"
#include "hw/misc/epf-bridge/function/inject.h"
#include "hw/misc/epf-bridge/remote/areas.h"
#include "hw/misc/epf-bridge/remote/calls.h"
#include "hw/misc/epf-bridge/remote/wait.h"

enum { EPF_PRIO_MESSAGES, EPF_PRIO_RAM, EPF_PRIO_OVERLAY };

/* ---- Access by message ---- */

/* Where the guest finds byte @addr of the BAR */
static uint64_t epf_bars_address(EpfFunctionBar *b, hwaddr addr)
{
    return PCI_DEVICE(b->fn)->io_regions[b->index].addr + addr;
}

/*
 * While one of these waits it may release the BQL.  Afterwards they touch
 * nothing but the reply, so it does no harm if the function has been removed.
 */
static MemTxResult epf_bars_read(void *opaque, hwaddr addr, uint64_t *val,
                                 unsigned size, MemTxAttrs attrs)
{
    EpfFunctionBar *b = opaque;
    uint64_t at = epf_bars_address(b, addr);
    uint64_t le = UINT64_MAX;
    EpfAccess access;

    epf_wait_begin_memory(&access, at, attrs);
    if (!epf_inject_bar_access(b->fn, at, false)) {
        epf_remote_read(b->fn->remote, b->index, addr, &le, size);
    }
    epf_wait_end_access(&access);
    le = le64_to_cpu(le);
    *val = size == 8 ? le : le & MAKE_64BIT_MASK(0, size * 8);
    return MEMTX_OK;
}

static MemTxResult epf_bars_write(void *opaque, hwaddr addr, uint64_t val,
                                  unsigned size, MemTxAttrs attrs)
{
    EpfFunctionBar *b = opaque;
    uint64_t at = epf_bars_address(b, addr);
    uint64_t le = cpu_to_le64(val);
    EpfAccess access;

    if (epf_doorbells_ring(b->doorbells, addr, size, val)) {
        return MEMTX_OK;
    }
    epf_wait_begin_memory(&access, at, attrs);
    if (!epf_inject_bar_access(b->fn, at, true)) {
        epf_remote_write(b->fn->remote, b->index, addr, &le, size);
    }
    epf_wait_end_access(&access);
    return MEMTX_OK;
}

static const MemoryRegionOps epf_bars_ops = {
    .read_with_attrs = epf_bars_read,
    .write_with_attrs = epf_bars_write,
    EP_REGION_ANY_ACCESS,
};

/* ---- The BAR ---- */

void epf_bars_add(EpfFunction *f, unsigned bar, uint64_t size)
{
    EpfFunctionBar *b = &f->bar[bar];
    g_autofree char *name = g_strdup_printf("bar%u", bar);

    b->fn = f;
    b->index = bar;
    b->shape.size = size;
    memory_region_init(&b->container, OBJECT(f), name, size);
}

void epf_bars_grow(EpfFunction *f, unsigned bar, uint64_t size)
{
    f->bar[bar].shape.size = size;
    memory_region_set_size(&f->bar[bar].container, size);
}

void epf_bars_overlay(EpfFunction *f, unsigned bar, uint64_t offset,
                      MemoryRegion *mr)
{
    memory_region_add_subregion_overlap(&f->bar[bar].container, offset, mr,
                                        EPF_PRIO_OVERLAY);
}

void epf_bars_init(EpfFunction *f)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        EpfFunctionBar *b = &f->bar[i];
        EpfBar *rb = &f->remote->bar[i];

        if (!rb->shape.size) {
            continue;
        }
        epf_bars_add(f, i, rb->shape.size);
        if (!pci_is_vf(PCI_DEVICE(f))) {
            b->shape.type = rb->shape.type;
        }
        memory_region_init_io(&b->messages, OBJECT(f), &epf_bars_ops, b,
                              EPF_MESSAGES_REGION, rb->shape.size);
        /* Several vCPUs may wait in it at once. */
        b->messages.disable_reentrancy_guard = true;
        memory_region_add_subregion_overlap(&b->container, 0, &b->messages,
                                            EPF_PRIO_MESSAGES);
        if (rb->mem) {
            memory_region_init_ram_device_ptr(&b->ram, OBJECT(f), "shared",
                                              rb->shape.size, rb->mem);
            /*
             * VFIO would pin the pages for assigned devices, and they would
             * still reach the endpoint's memory when the pages are replaced.
             */
            b->ram.ram_block->flags |= RAM_PROTECTED;
        }
    }
}

void epf_bars_register(EpfFunction *f)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        if (f->bar[i].shape.size) {
            pci_register_bar(PCI_DEVICE(f), i, f->bar[i].shape.type,
                             &f->bar[i].container);
        }
    }
}

/* ---- Areas of memory ---- */

/* What the guest should see as memory */
static void epf_bars_layout(EpfFunction *f, bool trapped, unsigned bar,
                            EpfLayout *layout)
{
    if (trapped) {
        layout->count = 0;
    } else {
        epf_areas_layout(f->remote, bar, layout);
    }
}

bool epf_bars_synced(EpfFunction *f)
{
    bool trapped = epf_inject_wants_bars(f);

    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        EpfLayout now;

        epf_bars_layout(f, trapped, i, &now);
        if (!epf_layout_equal(&f->bar[i].shown, &now)) {
            return false;
        }
    }
    return f->trapped == trapped;
}

static void epf_bars_remove_aliases(EpfFunctionBar *b)
{
    for (unsigned i = 0; i < b->shown.count; i++) {
        memory_region_del_subregion(&b->container, &b->aliases[i]);
        object_unparent(OBJECT(&b->aliases[i]));
    }
    g_free(b->aliases);
    b->aliases = NULL;
    b->shown.count = 0;
}

static void epf_bars_add_aliases(EpfFunctionBar *b, const EpfLayout *layout)
{
    b->shown = *layout;
    b->aliases = g_new0(MemoryRegion, layout->count);
    for (unsigned i = 0; i < layout->count; i++) {
        memory_region_init_alias(&b->aliases[i], OBJECT(b->fn), "memory",
                                 &b->ram, layout->area[i].offset,
                                 layout->area[i].size);
        memory_region_add_subregion_overlap(&b->container,
                                            layout->area[i].offset,
                                            &b->aliases[i], EPF_PRIO_RAM);
    }
}

void epf_bars_sync(EpfFunction *f)
{
    f->trapped = epf_inject_wants_bars(f);
    memory_region_transaction_begin();
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        EpfFunctionBar *b = &f->bar[i];
        EpfLayout now;

        epf_bars_layout(f, f->trapped, i, &now);
        if (!epf_layout_equal(&b->shown, &now)) {
            epf_bars_remove_aliases(b);
            epf_bars_add_aliases(b, &now);
        }
    }
    memory_region_transaction_commit();
}

/* ---- Doorbells ---- */

/* Takes the reference @d, which may be NULL. */
static void epf_bars_set_doorbells(EpfFunctionBar *b, EpfDoorbells *d)
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

/* By message the guest reaches whatever layout the endpoint has. */
static void epf_bars_tell_shown(EpfFunction *f, unsigned bar)
{
    EpfLayout layout;

    if (f->trapped) {
        epf_areas_layout(f->remote, bar, &layout);
        epf_areas_shown(f->remote, bar, &layout);
    } else {
        epf_areas_shown(f->remote, bar, &f->bar[bar].shown);
    }
}

void epf_bars_sync_doorbells(EpfFunction *f)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        EpfFunctionBar *b = &f->bar[i];
        EpfDoorbells *now = f->trapped ? NULL :
                            epf_areas_doorbells(f->remote, i);

        if (now != b->doorbells) {
            epf_bars_set_doorbells(b, now);
        } else {
            epf_doorbells_unref(now);
        }
        epf_bars_tell_shown(f, i);
    }
}

void epf_bars_exit(EpfFunction *f)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        epf_bars_set_doorbells(&f->bar[i], NULL);
        ep_region_empty(&f->bar[i].container);
    }
}

void epf_bars_finalize(EpfFunction *f)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        g_free(f->bar[i].aliases);
    }
}
