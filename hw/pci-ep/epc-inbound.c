/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-inbound: memory of the endpoint guest behind the BARs of a function
 *
 * A target is resolved once, when the endpoint sets the BAR, and holds its
 * memory regions from then on.  So the host's accesses need neither the BQL nor
 * an address translation, and whatever the guest does to its memory map later,
 * they reach the memory that was meant or memory of this guest that is unused.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/host-utils.h"
#include "qemu/rcu.h"
#include "exec/cpu-common.h"
#include "hw/pci/pci.h"
#include "hw/pci-ep/pci-epc.h"
#include "trace.h"

/* Bounds the walk through a virtual IOMMU of the guest */
#define MAX_STEPS   65536

typedef struct EpcPiece {
    MemoryRegion *mr;       /* referenced */
    hwaddr offset;          /* in mr */
    uint8_t *host;
    uint64_t size;
} EpcPiece;

struct EpcTarget {
    GArray *pieces;         /* EpcPiece, back to back from offset 0 */
    uint64_t size;
    int fd;                 /* of the RAM of the only piece, or -1 */
    uint64_t fd_offset;
};

void epc_target_free(EpcTarget *t)
{
    if (!t) {
        return;
    }
    for (unsigned i = 0; i < t->pieces->len; i++) {
        memory_region_unref(g_array_index(t->pieces, EpcPiece, i).mr);
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

/* Appends the RAM at @addr, at most @len bytes; 0 when there is none. */
static uint64_t target_step(EpcTarget *t, AddressSpace *as, uint64_t addr,
                            hwaddr len)
{
    EpcPiece *last = NULL;
    EpcPiece p;

    RCU_READ_LOCK_GUARD();
    p.mr = address_space_translate(as, addr, &p.offset, &len, true,
                                   MEMTXATTRS_UNSPECIFIED);
    if (!len || !memory_region_is_ram(p.mr) || p.mr->readonly ||
        memory_region_is_ram_device(p.mr)) {
        return 0;
    }
    p.size = len;
    if (t->pieces->len) {
        last = &g_array_index(t->pieces, EpcPiece, t->pieces->len - 1);
    }
    if (last && last->mr == p.mr && last->offset + last->size == p.offset) {
        last->size += len;
        return len;
    }
    p.host = (uint8_t *)memory_region_get_ram_ptr(p.mr) + p.offset;
    memory_region_ref(p.mr);
    g_array_append_val(t->pieces, p);
    return len;
}

/* Lets the host map this memory, or returns why it cannot. */
static const char *target_export(EpcTarget *t)
{
    size_t page = qemu_real_host_page_size();
    EpcPiece *p = &g_array_index(t->pieces, EpcPiece, 0);
    RAMBlock *block = p->mr->ram_block;
    uint64_t offset = block->fd_offset + p->offset;
    int fd = memory_region_get_fd(p->mr);

    if (t->pieces->len != 1 || !QEMU_IS_ALIGNED(offset, page)) {
        return "its memory is in several pieces; give this guest one memory "
               "backend";
    }
    if (fd < 0 || !qemu_ram_is_shared(block) ||
        qemu_ram_pagesize(block) != page) {
        return "its memory is not shared; start this guest with -object "
               "memory-backend-memfd,id=ram,share=on,size=SIZE "
               "-machine memory-backend=ram";
    }
    t->fd = fd;
    t->fd_offset = offset;
    return NULL;
}

static void warn_unshared(EpcState *s, const char *why)
{
    if (why && !s->warned_unshared) {
        s->warned_unshared = true;
        warn_report("pci-epc: the host accesses a BAR slowly, by message: %s",
                    why);
    }
}

uint32_t epc_target_new(EpcState *s, uint64_t addr, uint64_t size,
                        EpcTarget **target)
{
    AddressSpace *as = pci_device_iommu_address_space(PCI_DEVICE(s));
    unsigned steps = 0;
    EpcTarget *t;

    *target = NULL;
    if (addr == EPC_ADDR_NONE) {
        return EPC_STATUS_OK;
    }
    if (addr + (size - 1) < addr) {
        return EPC_STATUS_BAD_TARGET;
    }
    t = g_new0(EpcTarget, 1);
    t->pieces = g_array_new(false, false, sizeof(EpcPiece));
    t->fd = -1;
    while (t->size < size) {
        uint64_t len = target_step(t, as, addr + t->size, size - t->size);

        if (!len || ++steps > MAX_STEPS) {
            epc_target_free(t);
            return EPC_STATUS_BAD_TARGET;
        }
        t->size += len;
    }
    warn_unshared(s, target_export(t));
    *target = t;
    return EPC_STATUS_OK;
}

/* ---- Host access ---- */

void epc_bar_info(const EpcBar *bar, EpcRegion *r)
{
    EpcTarget *t = bar->target;

    r->size = bar->size;
    if (!bar->size) {
        return;
    }
    r->flags = VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE;
    if (t && t->fd >= 0 && t->size >= bar->size) {
        r->fd = t->fd;
        r->fd_offset = t->fd_offset;
    }
}

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

static void bar_access(const EpcBar *bar, uint64_t offset, uint8_t *buf,
                       uint32_t len, bool write)
{
    GArray *pieces = bar->target ? bar->target->pieces : NULL;
    uint64_t start = 0;

    for (unsigned i = 0; pieces && len && i < pieces->len; i++) {
        EpcPiece *p = &g_array_index(pieces, EpcPiece, i);

        if (offset - start < p->size) {
            uint8_t *host = p->host + (offset - start);
            uint32_t n = MIN(len, p->size - (offset - start));

            copy(write ? host : buf, write ? buf : host, n);
            offset += n;
            buf += n;
            len -= n;
        }
        start += p->size;
    }
    if (!write) {
        memset(buf, 0xff, len);
    }
}

void epc_bar_read(const EpcBar *bar, uint64_t offset, void *buf, uint32_t len)
{
    bar_access(bar, offset, buf, len, false);
}

void epc_bar_write(const EpcBar *bar, uint64_t offset, const void *buf,
                   uint32_t len)
{
    bar_access(bar, offset, (uint8_t *)buf, len, true);
}

/* ---- SET_BAR and CLEAR_BAR ---- */

static uint32_t check_new_bar(const EpcFunction *fn, unsigned n)
{
    uint64_t max = 1ull << 31;

    if (n && (fn->bar[n - 1].flags & EPC_BAR_FLAG_64)) {
        return EPC_STATUS_BAD_ARG;
    }
    if (fn->bar_flags & EPC_BAR_FLAG_64) {
        if (n == EPC_NUM_BARS - 1 || fn->bar[n + 1].size) {
            return EPC_STATUS_BAD_ARG;
        }
        max = 1ull << 40;
    }
    return fn->size > max ? EPC_STATUS_BAD_ARG : EPC_STATUS_OK;
}

static uint32_t check_bar(const EpcFunction *fn, uint64_t size)
{
    const EpcBar *bar;

    if (fn->bar_index >= EPC_NUM_BARS || !is_power_of_2(fn->size) ||
        (fn->bar_flags & ~(EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH))) {
        return EPC_STATUS_BAD_ARG;
    }
    if (fn->addr != EPC_ADDR_NONE &&
        !QEMU_IS_ALIGNED(fn->addr, qemu_real_host_page_size())) {
        return EPC_STATUS_BAD_ARG;
    }
    bar = &fn->bar[fn->bar_index];
    if (bar->size) {
        return fn->bar_flags != bar->flags || size > bar->size ?
               EPC_STATUS_BAD_ARG : EPC_STATUS_OK;
    }
    return check_new_bar(fn, fn->bar_index);
}

/* Host accesses and mappings of the old target have ended. */
static void bar_remapped(void *opaque, int err)
{
    EpcWait *wait = opaque;
    EpcFunction *fn = wait->fn;
    EpcState *s = fn->epc;

    QEMU_LOCK_GUARD(&s->lock);
    if (epc_wait_end(wait)) {
        fn->status = err ? EPC_STATUS_TIMEOUT : EPC_STATUS_OK;
        epc_notify(s, EPC_VECTOR_COMMAND);
    }
}

/* The host may still know the link as up while it is being taken down. */
static bool host_attached(EpcState *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return s->link_enabled || s->link_status == EPC_STATUS_BUSY;
}

/* Exchanges the target; the answer is BUSY when the host has to let go. */
static uint32_t bar_retarget(EpcFunction *fn, unsigned n, EpcTarget *target)
{
    EpcState *s = fn->epc;
    EpcBar *bar = &fn->bar[n];
    bool attached = host_attached(s);
    EpcWait *wait = NULL;
    EpcTarget *old;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        old = bar->target;
        bar->target = target;
        if (attached) {
            wait = epc_wait_new(fn, old);
            fn->status = EPC_STATUS_BUSY;
        }
    }
    if (!wait) {
        epc_target_free(old);
        return EPC_STATUS_OK;
    }
    epc_server_remap(fn->server, VFU_REGION_BAR0 + n, bar_remapped, wait);
    return EPC_STATUS_BUSY;
}

uint32_t epc_bar_set(EpcFunction *fn)
{
    EpcState *s = fn->epc;
    uint64_t size = MAX(fn->size, 4096);
    uint32_t status = check_bar(fn, size);
    EpcTarget *target;
    EpcBar *bar;

    if (status != EPC_STATUS_OK) {
        return status;
    }
    bar = &fn->bar[fn->bar_index];
    if (!bar->size && host_attached(s)) {
        return EPC_STATUS_BAD_STATE;
    }
    status = epc_target_new(s, fn->addr, size, &target);
    if (status != EPC_STATUS_OK) {
        return status;
    }
    trace_epc_set_bar(fn->index, fn->bar_index, fn->addr, size,
                      target && target->fd >= 0);
    if (!bar->size) {
        QEMU_LOCK_GUARD(&s->lock);
        bar->size = size;
        bar->flags = fn->bar_flags;
        epc_config_set_bar(&fn->cfg, fn->bar_index, bar->flags, size);
    }
    return bar_retarget(fn, fn->bar_index, target);
}

uint32_t epc_bar_clear(EpcFunction *fn)
{
    EpcState *s = fn->epc;
    EpcBar *bar;

    if (fn->bar_index >= EPC_NUM_BARS) {
        return EPC_STATUS_BAD_ARG;
    }
    bar = &fn->bar[fn->bar_index];
    if (!bar->size) {
        return EPC_STATUS_OK;
    }
    trace_epc_clear_bar(fn->index, fn->bar_index);
    if (!host_attached(s)) {
        QEMU_LOCK_GUARD(&s->lock);
        bar->size = 0;
        bar->flags = 0;
        epc_config_set_bar(&fn->cfg, fn->bar_index, 0, 0);
    }
    return bar_retarget(fn, fn->bar_index, NULL);
}
