/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-target: what a BAR leads to
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/rcu.h"
#include "exec/cpu-common.h"
#include "hw/pci/pci.h"
#include "hw/pci-ep/pci-epc.h"

/* Bounds the walk through a virtual IOMMU of the guest */
#define MAX_STEPS   65536

typedef struct EpcPiece {
    enum { PIECE_NONE, PIECE_RAM, PIECE_WINDOW, PIECE_DOORBELL } kind;
    uint64_t start;         /* in the BAR */
    uint64_t size;
    MemoryRegion *mr;       /* referenced unless WINDOW; NULL: NONE */
    EpcForward *window;     /* WINDOW: referenced */
    hwaddr offset;          /* in mr or window */
    uint8_t *host;          /* RAM */
    int fd;                 /* what the host may map of it, -1: nothing */
    uint64_t fd_offset;
} EpcPiece;

struct EpcTarget {
    GArray *pieces;         /* EpcPiece */
    uint64_t size;
    unsigned steps;
};

static EpcPiece *get_piece(const EpcTarget *t, unsigned i)
{
    return &g_array_index(t->pieces, EpcPiece, i);
}

EpcTarget *epc_target_new(void)
{
    EpcTarget *t = g_new0(EpcTarget, 1);

    t->pieces = g_array_new(false, false, sizeof(EpcPiece));
    return t;
}

void epc_target_free(EpcTarget *t)
{
    if (!t) {
        return;
    }
    for (unsigned i = 0; i < t->pieces->len; i++) {
        EpcPiece *p = get_piece(t, i);

        if (p->kind == PIECE_WINDOW) {
            epc_forward_unref(p->window);
        } else if (p->mr) {
            memory_region_unref(p->mr);
        }
    }
    g_array_free(t->pieces, true);
    g_free(t);
}

void epc_target_retire(EpcState *s, EpcTarget *t)
{
    if (t) {
        s->retired = g_slist_prepend(s->retired, t);
        qemu_bh_schedule(s->bh);
    }
}

/* ---- Building ---- */

/* The window of another controller, if @mr is that, or the parts that trap */
static EpcForward *window_of_other(EpcState *s, MemoryRegion *mr)
{
    Object *owner = memory_region_owner(mr);
    EpcState *other = (EpcState *)object_dynamic_cast(owner, TYPE_PCI_EPC);

    return other && other != s &&
           (mr == &other->window_mr || mr == &other->slow.io) ?
           other->forward : NULL;
}

/* Is @p something that a BAR may lead to?  Fills its kind. */
static bool piece_resolve(EpcState *s, EpcPiece *p)
{
    if (p->mr == &s->doorbells.mr) {
        p->kind = PIECE_DOORBELL;
        return true;
    }
    p->window = window_of_other(s, p->mr);
    if (p->window) {
        p->kind = PIECE_WINDOW;
        return true;
    }
    if (memory_region_is_ram(p->mr) && !p->mr->readonly &&
               !memory_region_is_ram_device(p->mr)) {
        p->kind = PIECE_RAM;
        p->host = (uint8_t *)memory_region_get_ram_ptr(p->mr) + p->offset;
        return true;
    }
    return false;
}

/* Goes @p on where @last ends? */
static bool piece_follows(const EpcPiece *last, const EpcPiece *p)
{
    bool same = p->kind == PIECE_WINDOW ? last->window == p->window :
                                          last->mr == p->mr;

    return same && last->offset + last->size == p->offset;
}

/*
 * Appends what is at @addr, at most @len bytes, to the piece at @first and
 * those after it, which it must resemble.  Returns its length, 0: illegal.
 */
static uint64_t target_step(EpcState *s, EpcTarget *t, unsigned first,
                            uint64_t addr, hwaddr len)
{
    AddressSpace *as = pci_device_iommu_address_space(PCI_DEVICE(s));
    EpcPiece p = { .start = t->size, .fd = -1 };
    EpcPiece *last = NULL;

    RCU_READ_LOCK_GUARD();
    p.mr = address_space_translate(as, addr, &p.offset, &len, true,
                                   MEMTXATTRS_UNSPECIFIED);
    if (!len || !piece_resolve(s, &p) ||
        p.offset >= memory_region_size(p.mr)) {
        return 0;
    }
    /* Registers are not cut to the size of their region. */
    p.size = MIN(len, memory_region_size(p.mr) - p.offset);
    if (t->pieces->len > first) {
        last = get_piece(t, t->pieces->len - 1);
    }
    if (last && piece_follows(last, &p)) {
        last->size += p.size;
        return p.size;
    }
    if (last && (last->kind != p.kind || p.kind != PIECE_RAM)) {
        return 0;
    }
    if (p.kind == PIECE_WINDOW) {
        epc_forward_ref(p.window);
    } else {
        memory_region_ref(p.mr);
    }
    g_array_append_val(t->pieces, p);
    return p.size;
}

/* Lets the host map this memory, or returns why it cannot. */
static const char *piece_export(EpcPiece *p)
{
    size_t page = qemu_real_host_page_size();
    RAMBlock *block = p->mr->ram_block;
    uint64_t offset = block->fd_offset + p->offset;
    int fd = memory_region_get_fd(p->mr);

    if (fd < 0 || !qemu_ram_is_shared(block) ||
        qemu_ram_pagesize(block) != page) {
        return "its memory is not shared; start this guest with -object "
               "memory-backend-memfd,id=ram,share=on,size=SIZE "
               "-machine memory-backend=ram";
    }
    if (!QEMU_IS_ALIGNED(offset | p->start | p->size, page)) {
        return "its memory is in pieces smaller than a page; give this guest "
               "one memory backend";
    }
    p->fd = fd;
    p->fd_offset = offset;
    return NULL;
}

static void target_export(EpcState *s, EpcTarget *t, unsigned first)
{
    const char *why = NULL;

    for (unsigned i = first; i < t->pieces->len; i++) {
        if (get_piece(t, i)->kind == PIECE_RAM) {
            why = piece_export(get_piece(t, i)) ?: why;
        }
    }
    if (t->pieces->len > VFU_EP_MAX_AREAS) {
        why = "its memory is in too many pieces; give this guest one memory "
              "backend and no virtual IOMMU";
    }
    if (why && !s->warned_unshared) {
        s->warned_unshared = true;
        warn_report("%s: the host accesses a BAR slowly, by message: %s",
                    epc_name(s), why);
    }
}

uint32_t epc_target_add(EpcState *s, EpcTarget *t, uint64_t addr, uint64_t size)
{
    unsigned first = t->pieces->len;
    uint64_t end = t->size + size;
    uint64_t start = t->size;

    if (addr == EPC_ADDR_NONE) {
        EpcPiece p = { .start = start, .size = size, .fd = -1 };

        g_array_append_val(t->pieces, p);
        t->size = end;
        return EPC_STATUS_OK;
    }
    if (addr + (size - 1) < addr) {
        return EPC_STATUS_BAD_TARGET;
    }
    while (t->size < end) {
        uint64_t len = target_step(s, t, first, addr + (t->size - start),
                                   end - t->size);

        if (!len || ++t->steps > MAX_STEPS) {
            return EPC_STATUS_BAD_TARGET;
        }
        t->size += len;
    }
    target_export(s, t, first);
    return EPC_STATUS_OK;
}

/* ---- What the host is told ---- */

unsigned epc_target_areas(const EpcTarget *t, EpcArea *area, unsigned max)
{
    unsigned n = 0;

    for (unsigned i = 0; t && i < t->pieces->len && n < max; i++) {
        const EpcPiece *p = get_piece(t, i);

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

    for (unsigned i = 0; t && i < t->pieces->len && n < max; i++) {
        const EpcPiece *p = get_piece(t, i);

        if (p->kind == PIECE_DOORBELL) {
            n += epc_doorbell_io_fds(fn, p->offset, p->size, p->start, io + n,
                                     max - n);
        }
    }
    return n;
}

/* ---- Accesses by message ---- */

/*
 * One access of the host's CPU must stay one access: the guest's driver may
 * poll what it writes.  As a mapped BAR does, this bypasses dirty tracking.
 */
static void copy(void *to, const void *from, size_t len)
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

/* Index of the piece with @offset; the number of pieces: past the end */
static unsigned find_piece(const EpcTarget *t, uint64_t offset)
{
    unsigned low = 0, high = t->pieces->len;

    while (low < high) {
        unsigned mid = low + (high - low) / 2;
        const EpcPiece *p = get_piece(t, mid);

        if (offset < p->start) {
            high = mid;
        } else if (offset - p->start >= p->size) {
            low = mid + 1;
        } else {
            return mid;
        }
    }
    return t->pieces->len;
}

EpcForward *epc_target_forward(const EpcTarget *t, uint64_t offset,
                               uint64_t *in_window, uint64_t *left)
{
    unsigned i = t ? find_piece(t, offset) : 0;
    const EpcPiece *p;

    if (!t || i == t->pieces->len) {
        return NULL;
    }
    p = get_piece(t, i);
    if (p->kind != PIECE_WINDOW) {
        return NULL;
    }
    *in_window = p->offset + (offset - p->start);
    *left = p->size - (offset - p->start);
    return epc_forward_ref(p->window);
}

static void piece_read(const EpcPiece *p, uint64_t offset, uint8_t *buf,
                       uint32_t len)
{
    switch (p->kind) {
    case PIECE_RAM:
        copy(buf, p->host + offset, len);
        break;
    case PIECE_DOORBELL:
        epc_doorbell_peek(p->offset + offset, buf, len);
        break;
    default:
        memset(buf, 0xff, len);
    }
}

void epc_target_read(const EpcTarget *t, uint64_t offset, void *buf,
                     uint32_t len)
{
    uint8_t *to = buf;

    for (unsigned i = t ? find_piece(t, offset) : 0;
         t && len && i < t->pieces->len; i++) {
        const EpcPiece *p = get_piece(t, i);
        uint32_t n = MIN(len, p->size - (offset - p->start));

        piece_read(p, offset - p->start, to, n);
        offset += n;
        to += n;
        len -= n;
    }
    memset(to, 0xff, len);
}

bool epc_target_write(const EpcTarget *t, EpcFunction *fn, uint64_t offset,
                      const void *buf, uint32_t len)
{
    bool whole = len == 4 && !(offset & 3);
    const uint8_t *from = buf;
    bool dropped = false;

    for (unsigned i = t ? find_piece(t, offset) : 0;
         t && len && i < t->pieces->len; i++) {
        const EpcPiece *p = get_piece(t, i);
        uint32_t n = MIN(len, p->size - (offset - p->start));

        if (p->kind == PIECE_RAM) {
            copy(p->host + (offset - p->start), from, n);
        } else if (p->kind != PIECE_DOORBELL || !whole ||
                   !epc_doorbell_ring(fn->epc,
                                      p->offset + (offset - p->start),
                                      ldl_le_p(from))) {
            dropped = true;
        }
        offset += n;
        from += n;
        len -= n;
    }
    return dropped || len;
}
