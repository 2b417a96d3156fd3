/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Targets: what a BAR is backed by
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "exec/cpu-common.h"
#include "hw/pci/pci.h"
#include "hw/pci-ep/endpoint/doorbell.h"
#include "hw/pci-ep/endpoint/forward.h"
#include "hw/pci-ep/endpoint/its.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/target.h"
#include "hw/pci-ep/shared/peer-mem.h"
#include "hw/pci-ep/wire/closer.h"
#include "hw/pci-ep/trace.h"

/*
 * Most translations for one target. A virtual IOMMU of the guest may translate
 * each page to another place.
 */
#define TARGET_STEPS_MAX    65536

typedef enum EpcTargetKind {
    EPC_TARGET_NONE,
    EPC_TARGET_RAM,
    EPC_TARGET_WINDOW,
    EPC_TARGET_DOORBELL,
    EPC_TARGET_ITS,
    EPC_TARGET_TRAP,
} EpcTargetKind;

typedef struct EpcTargetArea {
    EpcTargetKind kind;
    uint64_t start;         /* in the BAR */
    uint64_t size;
    MemoryRegion *mr;       /* RAM, DOORBELL and ITS: with a reference */
    EpcForward *window;     /* WINDOW: with a reference */
    hwaddr offset;          /* in mr or window; NONE: in the BAR */
    uint8_t *host;          /* RAM: where this process has it */
    int fd;                 /* what the host may map; -1 if nothing */
    bool fd_owned;          /* the target closes it */
    uint64_t fd_offset;
} EpcTargetArea;

struct EpcTarget {
    GArray *areas;          /* EpcTargetArea */
    uint64_t size;          /* of all areas */
    char *hidden;           /* the first region that the host does not see */
    unsigned steps;         /* translations so far */
};

static EpcTargetArea *target_get_area(const EpcTarget *t, unsigned i)
{
    return &g_array_index(t->areas, EpcTargetArea, i);
}

EpcTarget *epc_target_new(void)
{
    EpcTarget *t = g_new0(EpcTarget, 1);

    t->areas = g_array_new(false, false, sizeof(EpcTargetArea));
    return t;
}

void epc_target_free(EpcTarget *t)
{
    if (!t) {
        return;
    }
    for (unsigned i = 0; i < t->areas->len; i++) {
        EpcTargetArea *p = target_get_area(t, i);

        if (p->kind == EPC_TARGET_WINDOW) {
            epc_forward_unview(p->window);
        } else if (p->mr) {
            memory_region_unref(p->mr);
        }
        if (p->fd_owned) {
            /* It may be the last reference to memory of a device. */
            epw_close(p->fd);
        }
    }
    g_array_free(t->areas, true);
    g_free(t->hidden);
    g_free(t);
}

void epc_target_retire(EpcState *s, EpcTarget *t)
{
    EP_LOCK_HELD(&s->lock);
    if (t) {
        s->retired = g_slist_prepend(s->retired, t);
        qemu_bh_schedule(s->bh);
    }
}

/* ---- Building ---- */

/*
 * If @mr is the window of another controller, or one of its parts that trap,
 * this returns that window.
 */
static EpcForward *target_find_window(EpcState *s, MemoryRegion *mr)
{
    Object *owner = memory_region_owner(mr);
    EpcState *other = (EpcState *)object_dynamic_cast(owner, TYPE_PCI_EPC);

    return other && other != s &&
           (mr == &other->window_mr || mr == &other->window_trap.io) ?
           other->forward : NULL;
}

/* The trap rings of a controller are RAM, but for its driver alone. */
static bool target_is_memory(MemoryRegion *mr)
{
    return memory_region_is_ram(mr) && !mr->readonly &&
           !memory_region_is_ram_device(mr) &&
           !object_dynamic_cast(memory_region_owner(mr), TYPE_PCI_EPC);
}

/*
 * Fills in the kind of @p. Returns false if @p->mr cannot be a target, not even
 * beside the frame of an ITS.
 */
static bool target_area_resolve(EpcState *s, EpcTargetArea *p)
    EP_REQUIRES(&ep_bql);
static bool target_area_resolve(EpcState *s, EpcTargetArea *p)
{
    if (p->mr == &s->doorbells.mr && s->limits.doorbells) {
        p->kind = EPC_TARGET_DOORBELL;
        return true;
    }
    p->window = target_find_window(s, p->mr);
    if (p->window) {
        p->kind = EPC_TARGET_WINDOW;
        return true;
    }
    if (target_is_memory(p->mr)) {
        p->kind = EPC_TARGET_RAM;
        p->host = (uint8_t *)memory_region_get_ram_ptr(p->mr) + p->offset;
        return true;
    }
    if (epc_its_take_frame(s, p->mr)) {
        p->kind = EPC_TARGET_ITS;
        return true;
    }
    return epc_its_usable(s) && !memory_region_is_ram(p->mr);
}

static char *target_region_name(const MemoryRegion *mr)
{
    return g_strdup(memory_region_name(mr) ?: "nothing");
}

/* The driver has the status; this tells the user what is at @addr. */
static void target_refuse(EpcState *s, uint64_t addr, const char *region)
    EP_REQUIRES(&ep_bql);
static void target_refuse(EpcState *s, uint64_t addr, const char *region)
{
    trace_pci_epc_target_refused(epc_name(s), addr, region);
    if (!s->warned_target) {
        s->warned_target = true;
        warn_report("%s: a BAR cannot lead to 0x%" PRIx64 ", where %s is: "
                    "that is neither memory of this guest nor a doorbell that "
                    "the controller allows", epc_name(s), addr, region);
    }
}

/*
 * Registers that no BAR can show. Their region may have other registers on top
 * of it, so such an area grows page by page.
 */
static void target_area_hide(EpcTarget *t, EpcTargetArea *p)
{
    if (!t->hidden) {
        t->hidden = target_region_name(p->mr);
    }
    p->mr = NULL;
    p->offset = p->start;
    p->size = MIN(p->size, qemu_real_host_page_size());
}

/* Does @p begin where @last ends, so that the two are one area? */
static bool target_area_follows(const EpcTargetArea *last,
                                const EpcTargetArea *p)
{
    bool same = p->kind == EPC_TARGET_WINDOW ? last->window == p->window :
                                               last->mr == p->mr;

    return same && last->offset + last->size == p->offset;
}

/* May one call of epc_target_add() make areas of both kinds? */
static bool target_kinds_mix(EpcTargetKind a, EpcTargetKind b)
{
    return a == EPC_TARGET_RAM ? b == EPC_TARGET_RAM :
           (a == EPC_TARGET_ITS || a == EPC_TARGET_NONE) &&
           (b == EPC_TARGET_ITS || b == EPC_TARGET_NONE);
}

static void target_append(EpcTarget *t, const EpcTargetArea *p)
    EP_REQUIRES(&ep_bql);
static void target_append(EpcTarget *t, const EpcTargetArea *p)
{
    if (p->kind == EPC_TARGET_WINDOW) {
        epc_forward_view(p->window);
    } else if (p->mr) {
        memory_region_ref(p->mr);
    }
    g_array_append_vals(t->areas, p, 1);
}

/*
 * Appends what is at @addr, at most @len bytes. One call of epc_target_add()
 * makes areas of RAM, or the frame of an ITS and what is around it, or one area
 * of another kind; @first is the index of the first one. Returns how many bytes
 * were appended, or 0 if @addr cannot be a target.
 */
static uint64_t target_step(EpcState *s, EpcTarget *t, unsigned first,
                            uint64_t addr, hwaddr len) EP_REQUIRES(&ep_bql);
static uint64_t target_step(EpcState *s, EpcTarget *t, unsigned first,
                            uint64_t addr, hwaddr len)
{
    AddressSpace *as = pci_device_iommu_address_space(PCI_DEVICE(s));
    EpcTargetArea p = { .start = t->size, .fd = -1 };
    EpcTargetArea *last = NULL;

    RCU_READ_LOCK_GUARD();
    p.mr = address_space_translate(as, addr, &p.offset, &len, true,
                                   MEMTXATTRS_UNSPECIFIED);
    /* The device may have been ejected: see epc_target_add(). */
    if (!s->fn || !len) {
        return 0;
    }
    if (!target_area_resolve(s, &p) || p.offset >= memory_region_size(p.mr)) {
        g_autofree char *region = target_region_name(p.mr);

        target_refuse(s, addr, region);
        return 0;
    }
    /* For registers the translation may return more than their region. */
    p.size = MIN(len, memory_region_size(p.mr) - p.offset);
    if (p.kind == EPC_TARGET_NONE) {
        target_area_hide(t, &p);
    }
    if (t->areas->len > first) {
        last = target_get_area(t, t->areas->len - 1);
    }
    if (last && target_area_follows(last, &p)) {
        last->size += p.size;
        return p.size;
    }
    if (last && !target_kinds_mix(last->kind, p.kind)) {
        return 0;
    }
    target_append(t, &p);
    return p.size;
}

/*
 * Gives @p a descriptor of its memory: that of another area of @t, or a
 * duplicate. QEMU's own may be closed before the memory goes (ivshmem does so
 * when it is unplugged), and then its number may be that of another file.
 */
static bool target_area_open(const EpcTarget *t, EpcTargetArea *p)
{
    for (unsigned i = 0; i < t->areas->len; i++) {
        const EpcTargetArea *other = target_get_area(t, i);

        if (other->fd_owned && other->mr == p->mr) {
            p->fd = other->fd;
            return true;
        }
    }
    p->fd = fcntl(memory_region_get_fd(p->mr), F_DUPFD_CLOEXEC, 0);
    p->fd_owned = p->fd >= 0;
    return p->fd_owned;
}

/*
 * Exports an area of RAM to the host. Returns a reason if that is impossible.
 */
static const char *target_area_export(EpcState *s, const EpcTarget *t,
                                      EpcTargetArea *p)
{
    size_t page = qemu_real_host_page_size();
    RAMBlock *block = p->mr->ram_block;
    uint64_t offset = block->fd_offset + p->offset;

    if (memory_region_get_fd(p->mr) < 0 || !qemu_ram_is_shared(block) ||
        qemu_ram_pagesize(block) != page) {
        return "memory of this guest is not shared";
    }
    if (!s->trust_unsealed &&
        !ep_file_sealed(memory_region_get_fd(p->mr))) {
        return "the host could truncate the memory of this guest";
    }
    if (!QEMU_IS_ALIGNED(offset | p->start | p->size, page)) {
        return "memory of this guest is scattered below the page size";
    }
    if (!target_area_open(t, p)) {
        return "this process has no descriptor left";
    }
    p->fd_offset = offset;
    return NULL;
}

static void target_export(EpcState *s, EpcTarget *t, unsigned first)
    EP_REQUIRES(&ep_bql);
static void target_export(EpcState *s, EpcTarget *t, unsigned first)
{
    const char *why = NULL;

    for (unsigned i = first; i < t->areas->len; i++) {
        if (target_get_area(t, i)->kind == EPC_TARGET_RAM) {
            why = target_area_export(s, t, target_get_area(t, i)) ?: why;
        }
    }
    if (t->areas->len > VFU_EP_MAX_AREAS) {
        why = "memory of this guest is too scattered";
    }
    if (why && !s->warned_unshared) {
        s->warned_unshared = true;
        warn_report("%s: the host accesses a BAR by message, which is slow: %s",
                    epc_name(s), why);
        info_report("%s: use -object memory-backend-memfd,id=ram,share=on,"
                    "size=SIZE -machine memory-backend=ram, and no virtual "
                    "IOMMU", epc_name(s));
    }
}

/* Appends an area that has nothing of this guest behind it. */
static void target_add_empty(EpcTarget *t, EpcTargetKind kind, uint64_t size)
{
    EpcTargetArea p = {
        .kind = kind, .start = t->size, .size = size, .fd = -1,
    };

    g_array_append_val(t->areas, p);
    t->size += size;
}

/* Is there anything for the host in the areas from @first on? */
static bool target_shows_something(const EpcTarget *t, unsigned first)
{
    for (unsigned i = first; i < t->areas->len; i++) {
        if (target_get_area(t, i)->kind != EPC_TARGET_NONE) {
            return true;
        }
    }
    return false;
}

uint32_t epc_target_add(EpcState *s, EpcTarget *t, uint64_t addr, uint64_t size)
{
    unsigned first = t->areas->len;
    uint64_t start = t->size;
    uint64_t end = start + size;

    if (addr == EPC_ADDR_NONE || addr == EPC_ADDR_TRAP) {
        target_add_empty(t, addr == EPC_ADDR_TRAP ? EPC_TARGET_TRAP :
                                                    EPC_TARGET_NONE, size);
        return EPC_STATUS_OK;
    }
    if (addr + (size - 1) < addr) {
        return EPC_STATUS_BAD_TARGET;
    }
    while (t->size < end) {
        uint64_t len = target_step(s, t, first, addr + (t->size - start),
                                   end - t->size);

        if (!len || ++t->steps > TARGET_STEPS_MAX) {
            return EPC_STATUS_BAD_TARGET;
        }
        t->size += len;
    }
    if (!target_shows_something(t, first)) {
        target_refuse(s, addr, t->hidden);
        return EPC_STATUS_BAD_TARGET;
    }
    target_export(s, t, first);
    return EPC_STATUS_OK;
}

/* ---- What the host may use ---- */

unsigned epc_target_areas(const EpcTarget *t, EpcArea *area, unsigned max)
{
    unsigned n = 0;

    for (unsigned i = 0; t && i < t->areas->len && n < max; i++) {
        const EpcTargetArea *p = target_get_area(t, i);

        if (p->fd >= 0) {
            area[n++] = (EpcArea) {
                .offset = p->start,
                .size = p->size,
                .fd = p->fd,
                .fd_offset = p->fd_offset,
            };
        }
    }
    return n;
}

unsigned epc_target_io_fds(const EpcTarget *t, EpcFunction *fn, EpcIoFd *io,
                           unsigned max)
{
    unsigned n = 0;

    for (unsigned i = 0; t && i < t->areas->len && n < max; i++) {
        const EpcTargetArea *p = target_get_area(t, i);

        if (p->kind == EPC_TARGET_DOORBELL) {
            n += epc_doorbell_io_fds(fn, p->offset, p->size, p->start, io + n,
                                     max - n);
        }
    }
    return n;
}

/* ---- Accesses by message ---- */

/*
 * One access of the host's CPU must stay one access here, since the guest's
 * driver may poll what it writes. Dirty tracking is bypassed, as it is with a
 * BAR that the host has mapped.
 */
static void target_copy(void *to, const void *from, size_t len)
{
    uintptr_t both = (uintptr_t)to | (uintptr_t)from;

    if (len == 8 && !(both & 7)) {
        qatomic_set__nocheck((uint64_t *)to, *(const uint64_t *)from);
    } else if (len == 4 && !(both & 3)) {
        qatomic_set((uint32_t *)to, *(const uint32_t *)from);
    } else if (len == 2 && !(both & 1)) {
        qatomic_set((uint16_t *)to, *(const uint16_t *)from);
    } else {
        memcpy(to, from, len);
    }
}

/*
 * The index of the area with @offset, or the number of areas behind the last
 * one
 */
static unsigned target_find(const EpcTarget *t, uint64_t offset)
{
    unsigned low = 0, high = t->areas->len;

    while (low < high) {
        unsigned mid = low + (high - low) / 2;
        const EpcTargetArea *p = target_get_area(t, mid);

        if (offset < p->start) {
            high = mid;
        } else if (offset - p->start >= p->size) {
            low = mid + 1;
        } else {
            return mid;
        }
    }
    return t->areas->len;
}

static void target_area_read(const EpcTargetArea *p, uint64_t offset,
                             uint8_t *buf, uint32_t len)
{
    switch (p->kind) {
    case EPC_TARGET_RAM:
        target_copy(buf, p->host + offset, len);
        break;
    case EPC_TARGET_DOORBELL:
        epc_doorbell_peek(p->offset + offset, buf, len);
        break;
    case EPC_TARGET_ITS:
        memset(buf, 0, len);
        break;
    default:
        memset(buf, 0xff, len);
    }
}

/* Reads from the area with number @i, and from those after it. */
static void target_read(const EpcTarget *t, unsigned i, uint64_t offset,
                        uint8_t *to, uint32_t len)
{
    for (; len && i < t->areas->len; i++) {
        const EpcTargetArea *p = target_get_area(t, i);
        uint32_t n = MIN(len, p->size - (offset - p->start));

        target_area_read(p, offset - p->start, to, n);
        offset += n;
        to += n;
        len -= n;
    }
}

/* Returns false when any byte was dropped. */
static bool target_area_write(const EpcTargetArea *p, EpcFunction *fn,
                              uint64_t offset, const uint8_t *from,
                              uint32_t len)
{
    switch (p->kind) {
    case EPC_TARGET_RAM:
        target_copy(p->host + offset, from, len);
        return true;
    case EPC_TARGET_DOORBELL:
        return epc_doorbell_ring(fn->epc, p->offset + offset, from, len);
    case EPC_TARGET_ITS:
        return epc_its_ring(fn, p->offset + offset, from, len);
    default:
        return false;
    }
}

/* Writes likewise.  Returns true when any byte was dropped. */
static bool target_write(const EpcTarget *t, unsigned i, EpcFunction *fn,
                         uint64_t offset, const uint8_t *from, uint32_t len)
{
    bool dropped = false;

    for (; len && i < t->areas->len; i++) {
        const EpcTargetArea *p = target_get_area(t, i);
        uint32_t n = MIN(len, p->size - (offset - p->start));

        dropped |= !target_area_write(p, fn, offset - p->start, from, n);
        offset += n;
        from += n;
        len -= n;
    }
    return dropped || len;
}

bool epc_target_access(const EpcTarget *t, EpcFunction *fn, EpcAccess *a,
                       EpcTargetElsewhere *to)
{
    unsigned i = t ? target_find(t, a->offset) : 0;
    const EpcTargetArea *p = t && i < t->areas->len ? target_get_area(t, i) :
                             NULL;

    *to = (EpcTargetElsewhere) { };
    if (!p) {
        return !a->is_write;
    }
    if (p->kind == EPC_TARGET_WINDOW) {
        to->forward = epc_forward_ref(p->window);
        to->offset = p->offset + (a->offset - p->start);
        to->len = MIN(a->count, p->size - (a->offset - p->start));
        return true;
    }
    if (p->kind == EPC_TARGET_TRAP) {
        to->trap = true;
        return true;
    }
    if (a->is_write) {
        return !target_write(t, i, fn, a->offset, a->data, a->count);
    }
    target_read(t, i, a->offset, a->data, a->count);
    return true;
}
