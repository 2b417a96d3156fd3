/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * msix: MSI-X table and pending bits of a remote function
 *
 * This QEMU keeps both.  Memory of the endpoint that shares a page with them
 * could not be mapped, and each access to it would be a message.  So the guest
 * finds them somewhere else: in a BAR that the function does not have, or in
 * the upper half of a BAR that is made twice as large.
 *
 * The function may read its own table, so every store of the guest goes to
 * where the function has the table as well.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/host-utils.h"
#include "qemu/range.h"
#include "hw/pci/msix.h"
#include "hw/misc/epf-bridge/function/bars.h"
#include "hw/misc/epf-bridge/function/caps-walk.h"
#include "hw/misc/epf-bridge/function/msix.h"
#include "hw/misc/epf-bridge/function/vf.h"
#include "hw/misc/epf-bridge/remote/areas.h"
#include "hw/misc/epf-bridge/remote/calls.h"
#include "hw/misc/epf-bridge/remote/masks.h"
#include "hw/misc/epf-bridge/remote/report.h"
#include "hw/misc/epf-bridge/trace.h"

static uint64_t epf_msix_table_len(const EpfMsix *m)
{
    return (uint64_t)m->vectors * PCI_MSIX_ENTRY_SIZE;
}

static uint64_t epf_msix_pba_len(const EpfMsix *m)
{
    return QEMU_ALIGN_UP(m->vectors, 64) / 8;
}

/* ---- Where the function has them ---- */

/* Is anything else in the pages of table and pending bits? */
static bool epf_msix_is_crowded(const EpfMsix *m)
{
    size_t page = qemu_real_host_page_size();
    uint64_t t0 = QEMU_ALIGN_DOWN(m->home.table, page);
    uint64_t t1 = QEMU_ALIGN_UP(m->home.table + epf_msix_table_len(m), page);
    uint64_t p0 = QEMU_ALIGN_DOWN(m->home.pba, page);
    uint64_t p1 = QEMU_ALIGN_UP(m->home.pba + epf_msix_pba_len(m), page);
    uint64_t pages = t1 - t0 + p1 - p0;

    if (m->home.table_bir == m->home.pba_bir && t0 < p1 && p0 < t1) {
        pages = MAX(t1, p1) - MIN(t0, p0);
    }
    return pages != epf_msix_table_len(m) + epf_msix_pba_len(m);
}

/* Can there be memory of the endpoint in these pages? */
static bool epf_msix_has_neighbours(const EpfMsix *m, const EpfRemote *r)
{
    return epf_msix_is_crowded(m) && (r->bar[m->home.table_bir].mem ||
                                      r->bar[m->home.pba_bir].mem);
}

/* Size of a BAR for table and pending bits alone */
static uint64_t epf_msix_bar_size(const EpfMsix *m)
{
    return pow2ceil(MAX(epf_msix_table_len(m) + epf_msix_pba_len(m),
                        qemu_real_host_page_size()));
}

static bool epf_msix_home_is_sound(const EpfMsix *m, const EpfRemote *r)
{
    const EpfMsixPlace *h = &m->home;
    uint64_t table_len = epf_msix_table_len(m);
    uint64_t pba_len = epf_msix_pba_len(m);

    return h->table_bir < EPF_NUM_BARS && h->pba_bir < EPF_NUM_BARS &&
           !epf_bar_is_io(&r->bar[h->table_bir].shape) &&
           !epf_bar_is_io(&r->bar[h->pba_bir].shape) &&
           h->table + table_len <= r->bar[h->table_bir].shape.size &&
           h->pba + pba_len <= r->bar[h->pba_bir].shape.size &&
           !(h->table_bir == h->pba_bir &&
             ranges_overlap(h->table, table_len, h->pba, pba_len));
}

/* Returns false when the function has them where they cannot be. */
static bool epf_msix_read_home(EpfMsix *m, const EpfRemote *r, uint8_t cap)
{
    const uint8_t *from = r->config + cap;
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
    return epf_msix_home_is_sound(m, r);
}

uint64_t epf_msix_wants_bar(const EpfRemote *r)
{
    uint8_t cap = epf_caps_find(r->config, PCI_CAP_ID_MSIX);
    EpfMsix m = { };

    if (!cap || !epf_msix_read_home(&m, r, cap) ||
        !epf_msix_has_neighbours(&m, r)) {
        return 0;
    }
    return epf_msix_bar_size(&m);
}

/* ---- Where the guest finds them ---- */

static void epf_msix_move_to_bar(EpfFunction *f, unsigned bar, uint64_t size)
{
    EpfMsix *m = &f->msix;

    epf_bars_add(f, bar, size);
    m->place = (EpfMsixPlace) {
        .table_bir = bar, .pba_bir = bar, .pba = epf_msix_table_len(m),
    };
    m->own_bar = true;
}

static bool epf_msix_move_to_free_bar(EpfFunction *f)
{
    for (unsigned i = 0; i < EPF_NUM_BARS; i++) {
        if (epf_bar_is_free(&f->bar[i].shape,
                            i ? &f->bar[i - 1].shape : NULL)) {
            epf_msix_move_to_bar(f, i, epf_msix_bar_size(&f->msix));
            return true;
        }
    }
    return false;
}

/* The register for the table's offset has 32 bits, in a 64-bit BAR as well. */
static bool epf_msix_move_to_upper_half(EpfFunction *f)
{
    EpfMsix *m = &f->msix;
    unsigned bir = m->home.table_bir;
    uint64_t max = epf_bar_is_64(&f->bar[bir].shape) ? 4 * GiB :
                                                       EPF_BAR32_SIZE_MAX;
    uint64_t half = pow2ceil(MAX(epf_msix_table_len(m) + epf_msix_pba_len(m),
                                 MAX(f->bar[bir].shape.size,
                                     qemu_real_host_page_size())));

    if (half > max / 2) {
        return false;
    }
    epf_bars_grow(f, bir, 2 * half);
    m->place = (EpfMsixPlace) {
        .table_bir = bir, .table = half,
        .pba_bir = bir, .pba = half + epf_msix_table_len(m),
    };
    return true;
}

/* All virtual functions have the same BARs, which epf_sriov_plan() chooses. */
static bool epf_msix_move_to_vf_bar(EpfFunction *f)
{
    const EpfSriov *s = epf_vf_sriov(f);

    if (s) {
        epf_msix_move_to_bar(f, s->msix_bar, s->msix_size);
    }
    return s;
}

static void epf_msix_choose_place(EpfFunction *f)
{
    EpfMsix *m = &f->msix;

    m->place = m->home;
    if (f->msix_relocate && epf_msix_has_neighbours(m, f->remote)) {
        m->moved = epf_msix_move_to_vf_bar(f) || epf_msix_move_to_free_bar(f) ||
                   epf_msix_move_to_upper_half(f);
        if (!m->moved) {
            epf_remote_report(f->remote, "put the table in a BAR of its own",
                              "BAR %u cannot be made larger for the MSI-X "
                              "table, so memory next to the table is slow",
                              m->home.table_bir);
        }
    }
    trace_epf_bridge_msix_place(f->remote->device, f->remote->func,
                                f->remote->generation, m->place.table_bir,
                                m->place.table, m->place.pba, m->moved);
}

bool epf_msix_forwarded(EpfFunction *f, uint32_t addr, uint32_t *val, int len)
{
    unsigned bir = f->msix.place.table_bir;
    uint32_t reg = PCI_BASE_ADDRESS_0 + bir * 4;
    unsigned reg_len = epf_bar_is_64(&f->bar[bir].shape) ? 8 : 4;

    if (f->msix.moved && ranges_overlap(addr, len, reg, reg_len)) {
        if (f->msix.own_bar) {
            return false;
        }
        /* The endpoint's BAR is half as large and has one address bit more. */
        *val = pci_default_read_config(PCI_DEVICE(f), addr, len);
    }
    return true;
}

/* ---- Accesses; addresses count from the start of the BAR ---- */

/*
 * An I/O thread translates an address before it takes the BQL, so an access may
 * arrive after the function has gone.
 */
static bool epf_msix_gone(EpfFunction *f)
{
    return epf_remote_dead(f->remote) || !f->irqs.set ||
           !msix_present(PCI_DEVICE(f));
}

/* Reads @mr, which is that of QEMU, @offset bytes behind its start. */
static MemTxResult epf_msix_read_region(EpfFunction *f, MemoryRegion *mr,
                                        hwaddr offset, uint64_t *val,
                                        unsigned size, MemTxAttrs attrs)
{
    if (epf_msix_gone(f)) {
        *val = UINT64_MAX;
        return MEMTX_OK;
    }
    return memory_region_dispatch_read(mr, offset, val,
                                       size_memop(size) | MO_LE, attrs);
}

static MemTxResult epf_msix_read(void *opaque, hwaddr addr, uint64_t *val,
                                 unsigned size, MemTxAttrs attrs)
{
    EpfFunction *f = opaque;

    return epf_msix_read_region(f, &PCI_DEVICE(f)->msix_table_mmio,
                                addr - f->msix.place.table, val, size, attrs);
}

static MemTxResult epf_msix_read_pba(void *opaque, hwaddr addr, uint64_t *val,
                                     unsigned size, MemTxAttrs attrs)
{
    EpfFunction *f = opaque;

    return epf_msix_read_region(f, &PCI_DEVICE(f)->msix_pba_mmio,
                                addr - f->msix.place.pba, val, size, attrs);
}

/* The pending bits are read only. */
static MemTxResult epf_msix_write_pba(void *opaque, hwaddr addr, uint64_t val,
                                      unsigned size, MemTxAttrs attrs)
{
    return MEMTX_OK;
}

/*
 * A mirror by message is posted: the vCPU does not wait for the endpoint.
 * The endpoint carries out the commands of a session in order, so it has the
 * table before the SET_IRQS or the configuration write with which the guest
 * allows an interrupt.  If the table is in the window of another controller the
 * endpoint itself posts the store, which may then arrive later.
 *
 * A later store of the guest to memory of a BAR or to a doorbell does not go
 * through the socket and may overtake the mirror, which no store on a real bus
 * does.  Only a function that reads its own table can notice.
 *
 * While messages are unanswered the mirror does not store to memory itself,
 * since the endpoint would overwrite that with an older message.
 */
static void epf_msix_mirror(EpfFunction *f, uint64_t in_table, uint64_t val,
                            unsigned size) EP_REQUIRES(&ep_bql);
static void epf_msix_mirror(EpfFunction *f, uint64_t in_table, uint64_t val,
                            unsigned size)
{
    uint64_t home = f->msix.home.table + in_table;
    unsigned bir = f->msix.home.table_bir;
    uint64_t le = cpu_to_le64(val);

    if (qatomic_read(&f->remote->posted) ||
        !epf_areas_store(f->remote, bir, home, &le, size)) {
        epf_remote_post(f->remote, bir, home, &le, size);
    }
}

/* The bit of the vector alone, without that of the function */
static bool epf_msix_vector_masked(PCIDevice *d, unsigned vector)
{
    return d->msix_table[vector * PCI_MSIX_ENTRY_SIZE +
                         PCI_MSIX_ENTRY_VECTOR_CTRL] &
           PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

/*
 * QEMU reports to the EpIrqfds that a vector was masked or unmasked, but not
 * that the message of an unmasked one has changed.
 */
static MemTxResult epf_msix_write(void *opaque, hwaddr addr, uint64_t val,
                                  unsigned size, MemTxAttrs attrs)
{
    EpfFunction *f = opaque;
    PCIDevice *d = PCI_DEVICE(f);
    uint64_t in_table = addr - f->msix.place.table;
    unsigned vector = in_table / PCI_MSIX_ENTRY_SIZE;
    bool was_masked;
    MemTxResult result;

    EP_BQL_HELD();
    if (epf_msix_gone(f)) {
        return MEMTX_OK;
    }
    epf_msix_mirror(f, in_table, val, size);
    was_masked = msix_is_masked(d, vector);
    result = memory_region_dispatch_write(&d->msix_table_mmio, in_table, val,
                                          size_memop(size) | MO_LE, attrs);
    if (!was_masked && !msix_is_masked(d, vector)) {
        ep_irqfds_table_written(f->irqs.set, vector);
    }
    epf_masks_set(f->remote, vector, epf_msix_vector_masked(d, vector));
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

static const MemoryRegionOps epf_msix_pba_ops = {
    .read_with_attrs = epf_msix_read_pba,
    .write_with_attrs = epf_msix_write_pba,
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

/* ---- Life ---- */

static void epf_msix_overlay(EpfFunction *f)
{
    PCIDevice *d = PCI_DEVICE(f);
    EpfMsix *m = &f->msix;

    /* Our accessors call them while the guard of the device is engaged. */
    d->msix_table_mmio.disable_reentrancy_guard = true;
    d->msix_pba_mmio.disable_reentrancy_guard = true;
    /*
     * TCG needs the same page offset in the guest's address and in the region,
     * and table and pending bits may begin anywhere in a page.  So the regions
     * begin where the BAR begins.
     */
    memory_region_init_io(&m->mirror, OBJECT(f), &epf_msix_ops, f,
                          "msix-table-mirror",
                          m->place.table + epf_msix_table_len(m));
    memory_region_init_alias(&m->table, OBJECT(f), "msix-table-alias",
                             &m->mirror, m->place.table, epf_msix_table_len(m));
    epf_bars_overlay(f, m->place.table_bir, m->place.table, &m->table);
    memory_region_init_io(&m->pba_mirror, OBJECT(f), &epf_msix_pba_ops, f,
                          "msix-pba-mirror",
                          m->place.pba + epf_msix_pba_len(m));
    memory_region_init_alias(&m->pba, OBJECT(f), "msix-pba-alias",
                             &m->pba_mirror, m->place.pba,
                             epf_msix_pba_len(m));
    epf_bars_overlay(f, m->place.pba_bir, m->place.pba, &m->pba);
}

bool epf_msix_init(EpfFunction *f, uint8_t cap, Error **errp)
{
    PCIDevice *d = PCI_DEVICE(f);
    EpfMsix *m = &f->msix;

    ERRP_GUARD();
    if (!epf_msix_read_home(m, f->remote, cap)) {
        error_setg(errp, "the endpoint's MSI-X table and pending bits overlap "
                   "or are outside of its BARs");
        error_append_hint(errp, "Correct the function's MSI-X offsets.\n");
        return false;
    }
    epf_msix_choose_place(f);
    memory_region_init(&m->table_bar, OBJECT(f), "msix-table-home",
                       f->bar[m->place.table_bir].shape.size);
    memory_region_init(&m->pba_bar, OBJECT(f), "msix-pba-home",
                       f->bar[m->place.pba_bir].shape.size);
    if (msix_init(d, m->vectors, &m->table_bar, m->place.table_bir,
                  m->place.table, &m->pba_bar, m->place.pba_bir,
                  m->place.pba, cap, errp) < 0) {
        return false;
    }
    for (unsigned i = 0; i < m->vectors; i++) {
        msix_vector_use(d, i);
    }
    epf_msix_overlay(f);
    return true;
}

void epf_msix_exit(EpfFunction *f)
{
    msix_uninit(PCI_DEVICE(f), &f->msix.table_bar, &f->msix.pba_bar);
}
