/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iommu: DMA that a virtual IOMMU of this guest translates
 *
 * Some IOMMUs announce every new mapping (virtio-iommu, and intel-iommu with
 * caching-mode), and the endpoint gets their mappings as they are.  The vCPU
 * that maps or unmaps waits for the endpoint's answer before it goes on.  So
 * the endpoint reaches what the vCPU has mapped and does not reach what it has
 * unmapped.
 *
 * Other IOMMUs announce nothing.  The endpoint then gets one range, which it
 * reaches by message, and the IOMMU translates each access.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/iova-tree.h"
#include "qemu/rcu.h"
#include "hw/misc/epf-bridge/dma/iommu.h"
#include "hw/misc/epf-bridge/dma/send.h"
#include "hw/misc/epf-bridge/remote/report.h"
#include "hw/misc/epf-bridge/remote/wait.h"
#include "hw/misc/epf-bridge/trace.h"

/*
 * Most messages without an answer, when many are sent one after another.  All
 * of them must be answered within a deadline.
 */
#define EPF_IOMMU_MAX_UNANSWERED 256

struct EpfIommu {
    IOMMUNotifier notifier;
    EpfIommus *set;
    EpfRemote *remote;
    MemoryRegion *mr;       /* referenced */
    uint64_t first, last;   /* host bus addresses */
    uint64_t delta;         /* between host bus addresses and offsets in @mr */
    bool notified;          /* false: one range, reached by message */
    IOVATree *mappings;     /* by host bus address */
    unsigned count;
    QLIST_ENTRY(EpfIommu) next;
};

/* ---- To wait for the endpoint ---- */

/*
 * Waits until the endpoint knows all mappings.  The memory transaction does
 * that later if there is one, and a vCPU before its next instruction: one store
 * may unmap many pages, which the IOMMU announces one by one.
 */
static void epf_iommu_settle(EpfIommu *i) EP_REQUIRES(&ep_bql);
static void epf_iommu_settle(EpfIommu *i)
{
    epf_wait_answers(i->remote, EPF_IOMMU_MAX_UNANSWERED);
    if (!i->set->in_transaction) {
        epf_wait_settle(i->remote);
    }
}

/* ---- Mappings ---- */

static void epf_iommu_unmap(EpfIommu *i, uint64_t first, uint64_t last)
    EP_REQUIRES(&ep_bql);
static void epf_iommu_unmap(EpfIommu *i, uint64_t first, uint64_t last)
{
    DMAMap range = { .iova = first, .size = last - first };
    const DMAMap *found;

    while ((found = iova_tree_find(i->mappings, &range))) {
        DMAMap gone = *found;

        iova_tree_remove(i->mappings, gone);
        i->count--;
        epf_dma_unmap(i->remote, gone.iova, gone.size + 1);
        epf_wait_answers(i->remote, EPF_IOMMU_MAX_UNANSWERED);
    }
}

/*
 * Sets *@mr and *@offset to what @map is to show, and shortens @map to the part
 * of it that is in one region.  Returns false when the function cannot reach
 * that.
 */
static bool epf_iommu_target(EpfIommu *i, DMAMap *map, MemoryRegion **mr,
                             hwaddr *offset)
{
    hwaddr len = map->size + 1;

    *mr = address_space_translate(&address_space_memory, map->translated_addr,
                                  offset, &len, map->perm & IOMMU_WO,
                                  MEMTXATTRS_UNSPECIFIED);
    map->size = len - 1;
    return QEMU_IS_ALIGNED(map->iova | len, qemu_real_host_page_size()) &&
           (epf_mmio_is_memory(*mr) ||
            epf_mmio_reachable(i->set->mmio->d, map->iova, *mr));
}

/* Maps the start of @map, shortens @map to that, and returns its length. */
static uint64_t epf_iommu_map_part(EpfIommu *i, DMAMap *map)
{
    uint32_t flags = (map->perm & IOMMU_RO ? VFU_DMA_READ : 0) |
                     (map->perm & IOMMU_WO ? VFU_DMA_WRITE : 0);
    MemoryRegion *mr;
    hwaddr offset;

    RCU_READ_LOCK_GUARD();
    if (epf_iommu_target(i, map, &mr, &offset)) {
        iova_tree_insert(i->mappings, map);
        i->count++;
        epf_dma_map(i->remote, map->iova, map->size + 1, flags,
                    epf_mmio_is_memory(mr) ? mr : NULL, offset, true);
    }
    return map->size + 1;
}

/* A guest may map what lies in several regions, and gets a range for each. */
static void epf_iommu_map(EpfIommu *i, const IOMMUTLBEntry *e, uint64_t addr)
    EP_REQUIRES(&ep_bql);
static void epf_iommu_map(EpfIommu *i, const IOMMUTLBEntry *e, uint64_t addr)
{
    DMAMap map = {
        .iova = addr, .size = e->addr_mask,
        .translated_addr = e->translated_addr, .perm = e->perm,
    };
    const DMAMap *old = iova_tree_find(i->mappings, &map);
    uint64_t done = 0;

    if (old && !memcmp(old, &map, sizeof(map))) {
        return;
    }
    epf_iommu_unmap(i, addr, addr + e->addr_mask);
    while (done <= e->addr_mask) {
        DMAMap part = map;

        if (i->count >= EPF_MAX_MAPPINGS) {
            epf_remote_report(i->remote, "map fewer or larger buffers",
                              "this guest has more than %u mappings for the "
                              "endpoint, which cannot reach the others",
                              EPF_MAX_MAPPINGS);
            return;
        }
        part.iova += done;
        part.translated_addr += done;
        part.size -= done;
        done += epf_iommu_map_part(i, &part);
        epf_wait_answers(i->remote, EPF_IOMMU_MAX_UNANSWERED);
    }
}

static void epf_iommu_notify(IOMMUNotifier *n, IOMMUTLBEntry *e)
{
    EpfIommu *i = container_of(n, EpfIommu, notifier);
    uint64_t first = e->iova + i->delta;
    uint64_t last = MIN(first + e->addr_mask, i->last);

    EP_BQL_HELD();
    if (first < i->first || first > i->last) {
        return;
    }
    if (last < first) {
        last = i->last;
    }
    if (e->perm == IOMMU_NONE) {
        epf_iommu_unmap(i, first, last);
    } else if (e->target_as == &address_space_memory &&
               last - first == e->addr_mask && e->addr_mask != UINT64_MAX) {
        epf_iommu_map(i, e, first);
    }
    epf_iommu_settle(i);
}

/* Returns false when the IOMMU does not announce new mappings. */
static bool epf_iommu_follow(EpfIommu *i, hwaddr start, hwaddr end)
{
    IOMMUMemoryRegion *iommu = IOMMU_MEMORY_REGION(i->mr);
    Error *err = NULL;
    int idx = memory_region_iommu_attrs_to_index(iommu,
                                                 MEMTXATTRS_UNSPECIFIED);

    iommu_notifier_init(&i->notifier, epf_iommu_notify,
                        IOMMU_NOTIFIER_IOTLB_EVENTS, start, end, idx);
    if (memory_region_register_iommu_notifier(i->mr, &i->notifier, &err)) {
        trace_epf_bridge_iommu_by_message(i->remote->device, i->remote->func,
                                          i->remote->generation,
                                          error_get_pretty(err));
        error_free(err);
        return false;
    }
    i->mappings = iova_tree_new();
    i->notified = true;
    memory_region_iommu_replay(iommu, &i->notifier);
    return true;
}

/*
 * Sets *@addr and *@size to the whole pages of @i, but for the last page: the
 * end of a range must be below 2^64.  Returns false when there are none.
 */
static bool epf_iommu_message_range(const EpfIommu *i, uint64_t *addr,
                                    uint64_t *size)
{
    uint64_t page = qemu_real_host_page_size();
    uint64_t end = ROUND_DOWN(i->last, page);

    *addr = ROUND_UP(i->first, page);
    *size = end - *addr;
    return *addr >= i->first && end > *addr;
}

/* ---- Regions ---- */

void epf_iommus_init(EpfIommus *set, EpfMmio *mmio)
{
    set->mmio = mmio;
    set->in_transaction = false;
    QLIST_INIT(&set->list);
}

void epf_iommus_add(EpfIommus *set, MemoryRegionSection *s)
{
    Int128 end = int128_add(int128_make64(s->offset_within_address_space),
                            int128_sub(s->size, int128_one()));
    uint64_t addr, size;
    EpfIommu *i;

    if (int128_gethi(end)) {
        return;
    }
    i = g_new0(EpfIommu, 1);
    i->set = set;
    i->remote = set->mmio->remote;
    i->mr = s->mr;
    i->first = s->offset_within_address_space;
    i->last = int128_get64(end);
    i->delta = i->first - s->offset_within_region;
    memory_region_ref(i->mr);
    QLIST_INSERT_HEAD(&set->list, i, next);
    trace_epf_bridge_iommu_add(i->remote->device, i->remote->func,
                               i->remote->generation, i->first, i->last);
    if (epf_iommu_follow(i, s->offset_within_region,
                         s->offset_within_region + (i->last - i->first))) {
        epf_mmio_add_iommu(set->mmio, i->first, i->last);
        return;
    }
    epf_remote_report(i->remote,
                      "use virtio-iommu or intel-iommu,caching-mode=on",
                      "this guest's IOMMU does not announce its mappings, so "
                      "the endpoint reaches memory only by messages");
    if (epf_iommu_message_range(i, &addr, &size)) {
        epf_dma_map(i->remote, addr, size, VFU_DMA_READ | VFU_DMA_WRITE, NULL,
                    0, true);
    }
}

static void epf_iommu_free(EpfIommu *i) EP_REQUIRES(&ep_bql);
static void epf_iommu_free(EpfIommu *i)
{
    uint64_t addr, size;

    if (i->notified) {
        epf_mmio_del_iommu(i->set->mmio, i->first, i->last);
        memory_region_unregister_iommu_notifier(i->mr, &i->notifier);
        epf_iommu_unmap(i, i->first, i->last);
        iova_tree_destroy(i->mappings);
    } else if (epf_iommu_message_range(i, &addr, &size)) {
        epf_dma_unmap(i->remote, addr, size);
    }
    QLIST_REMOVE(i, next);
    memory_region_unref(i->mr);
    g_free(i);
}

void epf_iommus_del(EpfIommus *set, MemoryRegionSection *s)
{
    uint64_t addr = s->offset_within_address_space;
    EpfIommu *i;

    EP_BQL_HELD();
    QLIST_FOREACH(i, &set->list, next) {
        if (i->mr == s->mr && i->first <= addr && addr <= i->last) {
            trace_epf_bridge_iommu_del(i->remote->device, i->remote->func,
                                       i->remote->generation, i->first,
                                       i->last);
            epf_iommu_free(i);
            return;
        }
    }
}
