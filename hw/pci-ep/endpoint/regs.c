/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register accesses of the endpoint guest
 *
 * This file decodes address and width, and applies the access rules at the head
 * of pci-epc-regs.h. Each function returns whether the access was legal, and
 * epc_regs_read() and epc_regs_write() count those that were not.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/endpoint/dma.h"
#include "hw/pci-ep/endpoint/doorbell.h"
#include "hw/pci-ep/endpoint/ioeventfd.h"
#include "hw/pci-ep/endpoint/its.h"
#include "hw/pci-ep/endpoint/layout.h"
#include "hw/pci-ep/endpoint/regs-int.h"
#include "hw/pci-ep/endpoint/regs.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/shared/region.h"

/* ---- Decoding ---- */

typedef enum EpcRegsPage {
    EPC_REGS_HOLE,
    EPC_REGS_GLOBAL,
    EPC_REGS_DOORBELL,
    EPC_REGS_DMA,
    EPC_REGS_FN,
    EPC_REGS_CONFIG,
    EPC_REGS_RAISE,
} EpcRegsPage;

/* A decoded address */
typedef struct EpcRegAddr {
    EpcRegsPage page;
    EpcFunction *fn;            /* of FN, CONFIG and RAISE */
    unsigned channel;           /* of DMA */
    hwaddr reg;                 /* offset in the page; CONFIG: in the FN page */
} EpcRegAddr;

static EpcRegAddr regs_decode(EpcState *s, hwaddr addr)
{
    EpcRegAddr a = { .page = EPC_REGS_HOLE };

    if (addr < EPC_GLOBAL_SIZE) {
        a.page = EPC_REGS_GLOBAL;
        a.reg = addr;
    } else if (addr >= EPC_DMA_BASE) {
        uint64_t i = (addr - EPC_DMA_BASE) / EPC_DMA_STRIDE;

        if (i < s->limits.dma_channels) {
            a.page = EPC_REGS_DMA;
            a.channel = i;
            a.reg = (addr - EPC_DMA_BASE) % EPC_DMA_STRIDE;
        }
    } else if (addr >= EPC_RAISE_BASE) {
        uint64_t i = (addr - EPC_RAISE_BASE) / EPC_RAISE_STRIDE;

        if (i < s->nfn) {
            a.page = EPC_REGS_RAISE;
            a.fn = &s->fn[i];
            a.reg = (addr - EPC_RAISE_BASE) % EPC_RAISE_STRIDE;
        }
    } else if (addr >= EPC_FN_BASE) {
        uint64_t i = (addr - EPC_FN_BASE) / EPC_FN_STRIDE;

        if (i < s->nfn) {
            a.fn = &s->fn[i];
            a.reg = (addr - EPC_FN_BASE) % EPC_FN_STRIDE;
            a.page = a.reg < EPC_FN_CONFIG ? EPC_REGS_FN : EPC_REGS_CONFIG;
        }
    } else if (addr >= EPC_DOORBELL_BASE && s->limits.doorbells &&
               addr - EPC_DOORBELL_BASE <
               EPC_MAX_DOORBELLS * EPC_DOORBELL_STRIDE) {
        a.page = EPC_REGS_DOORBELL;
        a.reg = addr - EPC_DOORBELL_BASE;
    }
    return a;
}

/*
 * The 64-bit register that an access of @size bytes is for as a whole, or NULL
 */
static uint64_t *regs_wide(EpcState *s, const EpcRegAddr *a, unsigned size)
    EP_REQUIRES(&ep_bql);
static uint64_t *regs_wide(EpcState *s, const EpcRegAddr *a, unsigned size)
{
    if (size != 8 || (a->reg & 7)) {
        return NULL;
    }
    switch (a->page) {
    case EPC_REGS_FN:
        return epc_regs_fn_wide(a->fn, a->reg);
    case EPC_REGS_DMA:
        return epc_dma_register64(s, a->channel, a->reg);
    default:
        return NULL;
    }
}

static bool regs_read(EpcState *s, const EpcRegAddr *a, unsigned size,
                      uint64_t *value) EP_REQUIRES(&ep_bql, &s->lock);
static bool regs_read(EpcState *s, const EpcRegAddr *a, unsigned size,
                      uint64_t *value)
{
    uint64_t *wide = regs_wide(s, a, size);
    EpcFunction *fn = a->fn;
    uint32_t v = 0;
    bool ok;

    if (a->page == EPC_REGS_CONFIG) {
        EP_LOCK_HELD(&fn->epc->lock);
        return epc_regs_config_read(fn, a->reg - EPC_FN_CONFIG, size, value);
    }
    if (wide) {
        *value = *wide;
        return true;
    }
    if (size != 4 || (a->reg & 3)) {
        return false;
    }
    switch (a->page) {
    case EPC_REGS_GLOBAL:
        ok = epc_regs_global_read(s, a->reg, &v);
        break;
    case EPC_REGS_FN:
        EP_LOCK_HELD(&fn->epc->lock);
        ok = epc_regs_fn_read(fn, a->reg, &v);
        break;
    case EPC_REGS_DOORBELL:
        ok = epc_doorbell_read(s, a->reg, &v);
        break;
    case EPC_REGS_DMA:
        ok = epc_dma_read(s, a->channel, a->reg, &v);
        break;
    case EPC_REGS_RAISE:        /* write only */
        ok = epc_regs_raise_valid(s, a->reg);
        break;
    default:
        ok = false;
    }
    *value = v;
    return ok;
}

static bool regs_write(EpcState *s, const EpcRegAddr *a, unsigned size,
                       uint64_t value)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock);
static bool regs_write(EpcState *s, const EpcRegAddr *a, unsigned size,
                       uint64_t value)
{
    uint64_t *wide = regs_wide(s, a, size);

    if (wide && a->page == EPC_REGS_DMA) {
        return epc_dma_set_ring(s, a->channel, value);
    }
    if (wide) {
        *wide = value;
        return true;
    }
    if (size != 4 || (a->reg & 3)) {
        return false;
    }
    switch (a->page) {
    case EPC_REGS_GLOBAL:
        return epc_regs_global_write(s, a->reg, value);
    case EPC_REGS_FN:
        return epc_regs_fn_write(a->fn, a->reg, value);
    case EPC_REGS_DOORBELL:
        return epc_doorbell_write(s, a->reg, value);
    case EPC_REGS_DMA:
        return epc_dma_write(s, a->channel, a->reg, value);
    case EPC_REGS_RAISE:
        return epc_regs_raise_write(a->fn, a->reg, value);
    default:
        return false;
    }
}

/*
 * A vCPU that waited for the BQL may get here after the device was unplugged.
 * Then there are no functions any more.
 */
static uint64_t epc_regs_read(void *opaque, hwaddr addr, unsigned size)
{
    EpcState *s = opaque;
    uint64_t value = 0;
    EpcRegAddr a;

    EP_BQL_HELD();
    /* Before the guest reads that a command has taken a doorbell away */
    epc_its_deliver(s);
    if (!s->fn) {
        return UINT64_MAX;
    }
    a = regs_decode(s, addr);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (!regs_read(s, &a, size, &value)) {
            s->bad_access++;
            value = UINT64_MAX;
        }
    }
    /*
     * The guest may raise an interrupt next because of what it has read, and
     * then the ioeventfds agree with that.  A raise without a read finds those
     * of the last update, which may be older than what the host has written;
     * the bridge of the host drops it if the host does not allow it any more.
     */
    epc_ioeventfd_update(s);
    return value;
}

static void epc_regs_write(void *opaque, hwaddr addr, uint64_t value,
                           unsigned size)
{
    EpcState *s = opaque;
    EpcRegAddr a;

    EP_BQL_HELD();
    if (!s->fn) {
        return;
    }
    a = regs_decode(s, addr);
    if (!regs_write(s, &a, size, value)) {
        QEMU_LOCK_GUARD(&s->lock);
        s->bad_access++;
    }
}

const MemoryRegionOps epc_regs_ops = {
    .read = epc_regs_read,
    .write = epc_regs_write,
    EP_REGION_ANY_ACCESS,
};
