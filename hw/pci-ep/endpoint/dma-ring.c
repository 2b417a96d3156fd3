/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptor ring of a DMA channel
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/rcu.h"
#include "hw/pci-ep/endpoint/dma-channel.h"
#include "hw/pci-ep/endpoint/dma-memory.h"
#include "hw/pci-ep/endpoint/dma-ring.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/trace.h"

/* Constant once it is in EpcDmaChannel.ring */
struct EpcDmaRing {
    struct rcu_head rcu;
    uint64_t addr;
    uint32_t size;              /* descriptors, a power of two */
    bool direct;                /* all of it is RAM, at cache.ptr */
    MemoryRegionCache cache;    /* references the memory region */
};

/* STATUS and DONE are stored as one word. */
QEMU_BUILD_BUG_ON(EPC_DMA_DESC_STATUS % sizeof(uint64_t));
QEMU_BUILD_BUG_ON(EPC_DMA_DESC_DONE != EPC_DMA_DESC_STATUS + 4);

/* ---- Look-up ---- */

/* RCU runs this with the BQL, so the last reference may be dropped here. */
static void dma_ring_free(EpcDmaRing *ring)
{
    address_space_cache_destroy(&ring->cache);
    g_free(ring);
}

static void dma_ring_replace(EpcDmaChannel *ch, EpcDmaRing *ring)
{
    EpcDmaRing *old = ch->ring;

    qatomic_rcu_set(&ch->ring, ring);
    if (old) {
        call_rcu(old, dma_ring_free, rcu);
    }
}

void epc_dma_ring_resolve(EpcDmaChannel *ch)
{
    AddressSpace *as = pci_get_address_space(PCI_DEVICE(ch->epc));
    hwaddr bytes = ch->ring_size * (hwaddr)EPC_DMA_DESC_SIZE;
    EpcDmaRing *ring = g_new0(EpcDmaRing, 1);
    uint8_t *ptr;

    ring->addr = ch->ring_addr;
    ring->size = ch->ring_size;
    address_space_cache_init(&ring->cache, as, ring->addr, bytes, true);
    ptr = ring->cache.ptr;
    ring->direct = ptr && ring->cache.len == bytes &&
                   QEMU_PTR_IS_ALIGNED(ptr, sizeof(uint64_t));
    trace_pci_epc_dma_ring_resolve(epc_name(ch->epc), ch->index, ring->addr,
                                   ring->size, ring->direct);
    dma_ring_replace(ch, ring);
}

void epc_dma_ring_release(EpcDmaChannel *ch)
{
    dma_ring_replace(ch, NULL);
}

/* ---- Descriptors ---- */

static bool dma_ring_translate(EpcDmaChannel *ch, bool write, EpcDmaSlot *slot)
    EP_REQUIRES(&ch->worker->turn) EP_EXCLUDES(&ch->epc->lock);
static bool dma_ring_translate(EpcDmaChannel *ch, bool write, EpcDmaSlot *slot)
{
    uint64_t addr = slot->ring->addr + slot->offset;

    trace_pci_epc_dma_ring_translate(epc_name(ch->epc), ch->index, addr);
    return epc_dma_memory_translate(ch->worker, addr, EPC_DMA_DESC_SIZE, write,
                                    &slot->span) &&
           slot->span.len == EPC_DMA_DESC_SIZE &&
           QEMU_PTR_IS_ALIGNED(slot->span.ptr, sizeof(uint64_t));
}

uint32_t epc_dma_ring_find(EpcDmaChannel *ch, uint32_t index, bool write,
                           EpcDmaSlot *slot)
{
    EpcDmaRing *ring = qatomic_rcu_read(&ch->ring);

    if (!ring) {
        return EPC_DMA_VOID;
    }
    slot->ring = ring;
    slot->offset = (index & (ring->size - 1)) * (uint64_t)EPC_DMA_DESC_SIZE;
    if (!ring->direct) {
        return dma_ring_translate(ch, write, slot) ? EPC_DMA_OK :
                                                     EPC_DMA_BAD_ADDR;
    }
    slot->span.mr = ring->cache.mrs.mr;
    slot->span.ptr = ring->cache.ptr + slot->offset;
    slot->span.len = EPC_DMA_DESC_SIZE;
    return EPC_DMA_OK;
}

void epc_dma_slot_read(const EpcDmaSlot *slot, EpcDmaDesc *desc)
{
    const uint8_t *raw = slot->span.ptr;

    desc->src = ldq_le_p(raw + EPC_DMA_DESC_SRC);
    desc->dst = ldq_le_p(raw + EPC_DMA_DESC_DST);
    desc->length = ldl_le_p(raw + EPC_DMA_DESC_LENGTH);
    desc->flags = ldl_le_p(raw + EPC_DMA_DESC_FLAGS);
}

void epc_dma_slot_store(const EpcDmaSlot *slot, uint32_t status, uint32_t done)
{
    uint64_t *word = (uint64_t *)(slot->span.ptr + EPC_DMA_DESC_STATUS);

    qatomic_store_release(word, cpu_to_le64(status | (uint64_t)done << 32));
}

void epc_dma_slot_written(EpcDmaChannel *ch, const EpcDmaSlot *slot)
{
    if (slot->ring->direct) {
        address_space_cache_invalidate(&slot->ring->cache,
                                       slot->offset + EPC_DMA_DESC_STATUS,
                                       sizeof(uint64_t));
    } else {
        EpcDmaSpan word = slot->span;

        word.ptr += EPC_DMA_DESC_STATUS;
        epc_dma_memory_written(ch->epc, &word, sizeof(uint64_t));
    }
}
