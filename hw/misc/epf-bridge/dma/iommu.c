/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-iommu: DMA translated by a virtual IOMMU of this guest
 *
 * An IOMMU that tells of every new mapping (virtio-iommu, intel-iommu with
 * caching-mode) has its mappings passed on as they are.  Both kinds of message
 * are awaited before the vCPU goes on: what it has mapped can be reached, what
 * it has unmapped cannot.  Other IOMMUs are asked at each access: the endpoint
 * learns that there is something, to be reached by message.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/iova-tree.h"
#include "qemu/rcu.h"
#include "exec/cpu-common.h"
#include "hw/core/cpu.h"
#include "epf-function.h"
#include "trace.h"

/* Messages under way while a lot of them is sent at once */
#define MAX_UNANSWERED      256

struct EpfIommu {
    IOMMUNotifier notifier;
    EpfFunction *fn;
    MemoryRegion *mr;       /* referenced */
    uint64_t first, last;   /* host PCI addresses */
    uint64_t delta;         /* of them to offsets in @mr */
    bool notified;          /* false: one range, by message */
    IOVATree *mappings;     /* by host PCI address */
    unsigned count;
    QLIST_ENTRY(EpfIommu) next;
};

static void settle_vcpu(CPUState *cpu, run_on_cpu_data data)
{
    EpfLink *l = data.host_ptr;

    l->settling = NULL;
    if (!epf_link_dead(l)) {
        epf_dma_wait(l, 0);
    }
    epf_link_unref(l);
}

/*
 * One store of a vCPU can tell the IOMMU to forget many pages, which come one by
 * one: it waits for all of them before its next instruction, with TCG before its
 * next translation block.
 */
static void settle_later(EpfLink *l)
{
    if (!l->settling) {
        l->settling = current_cpu;
        async_run_on_cpu(current_cpu, settle_vcpu,
                         RUN_ON_CPU_HOST_PTR(epf_link_ref(l)));
    }
}

/* A transaction that is under way waits for the rest at its end. */
static void settle(EpfFunction *f)
{
    EpfLink *l = f->link;
    bool later = f->in_transaction;

    if (!later && current_cpu && (!l->settling || l->settling == current_cpu)) {
        settle_later(l);
        later = true;
    }
    epf_dma_wait(l, later ? MAX_UNANSWERED : 0);
}

static void forget(EpfIommu *i, uint64_t first, uint64_t last)
{
    DMAMap range = { .iova = first, .size = last - first };
    const DMAMap *found;

    while ((found = iova_tree_find(i->mappings, &range))) {
        DMAMap gone = *found;

        iova_tree_remove(i->mappings, gone);
        i->count--;
        epf_dma_unmap(i->fn, gone.iova, gone.size + 1);
        epf_dma_wait(i->fn->link, MAX_UNANSWERED);
    }
}

/* Where the mapping ends up; false: where the function reaches nothing. */
static bool target_of(EpfIommu *i, const IOMMUTLBEntry *e, uint64_t addr,
                      MemoryRegion **mr, hwaddr *offset)
{
    hwaddr len = e->addr_mask + 1;

    *mr = address_space_translate(&address_space_memory, e->translated_addr,
                                  offset, &len, e->perm & IOMMU_WO,
                                  MEMTXATTRS_UNSPECIFIED);
    return len == e->addr_mask + 1 &&
           (epf_is_memory(*mr) ||
            epf_mmio_reachable(PCI_DEVICE(i->fn), addr, *mr));
}

static void add_mapping(EpfIommu *i, const IOMMUTLBEntry *e, uint64_t addr)
{
    DMAMap map = {
        .iova = addr, .size = e->addr_mask,
        .translated_addr = e->translated_addr, .perm = e->perm,
    };
    uint32_t flags = (e->perm & IOMMU_RO ? VFU_DMA_READ : 0) |
                     (e->perm & IOMMU_WO ? VFU_DMA_WRITE : 0);
    const DMAMap *old = iova_tree_find(i->mappings, &map);
    MemoryRegion *mr;
    hwaddr offset;

    if (old && !memcmp(old, &map, sizeof(map))) {
        return;
    }
    forget(i, addr, addr + e->addr_mask);

    RCU_READ_LOCK_GUARD();
    if (!target_of(i, e, addr, &mr, &offset)) {
        return;
    }
    if (i->count >= EPF_MAX_MAPPINGS) {
        epf_client_report(i->fn->link->client, "this guest maps more than %u "
                          "pieces of memory for the endpoint, which cannot "
                          "reach the rest; map fewer or larger buffers",
                          EPF_MAX_MAPPINGS);
        return;
    }
    iova_tree_insert(i->mappings, &map);
    i->count++;
    epf_dma_map(i->fn, addr, e->addr_mask + 1, flags,
                epf_is_memory(mr) ? mr : NULL, offset);
}

static void epf_iommu_notify(IOMMUNotifier *n, IOMMUTLBEntry *e)
{
    EpfIommu *i = container_of(n, EpfIommu, notifier);
    uint64_t first = e->iova + i->delta;
    uint64_t last = MIN(first + e->addr_mask, i->last);

    if (first < i->first || first > i->last) {
        return;
    }
    if (last < first) {
        last = i->last;
    }
    if (e->perm == IOMMU_NONE) {
        forget(i, first, last);
    } else if (e->target_as == &address_space_memory &&
               last - first == e->addr_mask && e->addr_mask != UINT64_MAX) {
        add_mapping(i, e, first);
    }
    settle(i->fn);
}

/* False: the IOMMU does not tell of new mappings. */
static bool follow(EpfIommu *i, hwaddr start, hwaddr end)
{
    IOMMUMemoryRegion *iommu = IOMMU_MEMORY_REGION(i->mr);
    Error *err = NULL;
    int idx = memory_region_iommu_attrs_to_index(iommu,
                                                 MEMTXATTRS_UNSPECIFIED);

    iommu_notifier_init(&i->notifier, epf_iommu_notify,
                        IOMMU_NOTIFIER_IOTLB_EVENTS, start, end, idx);
    if (memory_region_register_iommu_notifier(i->mr, &i->notifier, &err)) {
        trace_epf_iommu_by_message(i->fn->link->generation,
                                   error_get_pretty(err));
        error_free(err);
        return false;
    }
    i->mappings = iova_tree_new();
    i->notified = true;
    memory_region_iommu_replay(iommu, &i->notifier);
    return true;
}

/* Whole pages without the last: address and size of a map must not wrap. */
static bool message_range(const EpfIommu *i, uint64_t *addr, uint64_t *size)
{
    uint64_t page = qemu_real_host_page_size();
    uint64_t end = ROUND_DOWN(i->last, page);

    *addr = ROUND_UP(i->first, page);
    *size = end - *addr;
    return *addr >= i->first && end > *addr;
}

void epf_iommu_add(EpfFunction *f, MemoryRegionSection *s)
{
    Int128 end = int128_add(int128_make64(s->offset_within_address_space),
                            int128_sub(s->size, int128_one()));
    uint64_t addr, size;
    EpfIommu *i;

    if (int128_gethi(end)) {
        return;
    }
    i = g_new0(EpfIommu, 1);
    i->fn = f;
    i->mr = s->mr;
    i->first = s->offset_within_address_space;
    i->last = int128_get64(end);
    i->delta = i->first - s->offset_within_region;
    memory_region_ref(i->mr);
    QLIST_INSERT_HEAD(&f->iommus, i, next);
    trace_epf_iommu_add(f->link->generation, i->first, i->last);
    if (follow(i, s->offset_within_region,
               s->offset_within_region + (i->last - i->first))) {
        epf_mmio_add_iommu(f, i->first, i->last);
        return;
    }
    epf_client_report(f->link->client, "this guest's IOMMU does not tell what "
                      "it maps, so the endpoint reaches memory by message "
                      "only; use virtio-iommu or intel-iommu,caching-mode=on");
    if (message_range(i, &addr, &size)) {
        epf_dma_map(f, addr, size, VFU_DMA_READ | VFU_DMA_WRITE, NULL, 0);
    }
}

static void iommu_free(EpfIommu *i)
{
    uint64_t addr, size;

    if (i->notified) {
        epf_mmio_del_iommu(i->fn, i->first, i->last);
        memory_region_unregister_iommu_notifier(i->mr, &i->notifier);
        forget(i, i->first, i->last);
        iova_tree_destroy(i->mappings);
    } else if (message_range(i, &addr, &size)) {
        epf_dma_unmap(i->fn, addr, size);
    }
    QLIST_REMOVE(i, next);
    memory_region_unref(i->mr);
    g_free(i);
}

void epf_iommu_del(EpfFunction *f, MemoryRegionSection *s)
{
    uint64_t addr = s->offset_within_address_space;
    EpfIommu *i;

    QLIST_FOREACH(i, &f->iommus, next) {
        if (i->mr == s->mr && i->first <= addr && addr <= i->last) {
            trace_epf_iommu_del(f->link->generation, i->first, i->last);
            iommu_free(i);
            return;
        }
    }
}
