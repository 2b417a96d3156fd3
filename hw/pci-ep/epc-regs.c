/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-regs: register accesses of the endpoint guest
 *
 * Decodes address and width and applies the access rules of pci-epc-regs.h.
 * Every function returns whether the access was legal; one place counts those
 * that were not.  All widths and alignments come here, so that the contract and
 * not the memory core says what happens to them.
 */
#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "hw/pci-ep/pci-epc.h"

/* ---- Global page ---- */

static uint32_t link_register(const EpcState *s)
{
    uint32_t v = (uint32_t)s->generation << EPC_LINK_GEN_SHIFT;

    if (s->link_enabled) {
        v |= EPC_LINK_ENABLED;
    }
    if (s->link_up) {
        v |= EPC_LINK_UP;
        v |= (s->speed & EPC_LINK_SPEED_MASK) << EPC_LINK_SPEED_SHIFT;
        v |= (s->width & EPC_LINK_WIDTH_MASK) << EPC_LINK_WIDTH_SHIFT;
    }
    return v;
}

static bool global_read(EpcState *s, hwaddr reg, uint32_t *v)
{
    switch (reg) {
    case EPC_REG_MAGIC:
        *v = EPC_MAGIC;
        break;
    case EPC_REG_VERSION:
        *v = EPC_VERSION;
        break;
    case EPC_REG_FEATURES:
        *v = EPC_FEATURE_MSI | EPC_FEATURE_MSIX | EPC_FEATURE_INTX |
             EPC_FEATURE_WINDOW | EPC_FEATURE_RETARGET |
             EPC_FEATURE_DOORBELL | EPC_FEATURE_DMA | EPC_FEATURE_SUBRANGE |
             EPC_FEATURE_CAPS | (s->vfs ? EPC_FEATURE_VF : 0);
        break;
    case EPC_REG_FN_COUNT:
        *v = s->functions;
        break;
    case EPC_REG_VF_COUNT:
        *v = s->vfs;
        return s->vfs;
    case EPC_REG_FN_BASE:
        *v = EPC_FN_BASE;
        break;
    case EPC_REG_FN_STRIDE:
        *v = EPC_FN_STRIDE;
        break;
    case EPC_REG_RAISE_BASE:
        *v = EPC_RAISE_BASE;
        break;
    case EPC_REG_RAISE_STRIDE:
        *v = EPC_RAISE_STRIDE;
        break;
    case EPC_REG_GRANULE:
        *v = qemu_real_host_page_size();
        break;
    case EPC_REG_MAX_MAPS:
        *v = s->max_maps;
        break;
    case EPC_REG_DEADLINE:
        *v = s->deadline_ms;
        break;
    case EPC_REG_DOORBELLS:
        *v = EPC_MAX_DOORBELLS;
        break;
    case EPC_REG_DOORBELL_BASE:
        *v = EPC_DOORBELL_BASE;
        break;
    case EPC_REG_RESET:
        *v = 0;
        break;
    case EPC_REG_BAD_ACCESS:
        *v = s->bad_access;
        break;
    case EPC_REG_LINK_CMD:
        *v = s->link_cmd;
        break;
    case EPC_REG_LINK_STATUS:
        *v = s->link_status;
        break;
    case EPC_REG_LINK:
        *v = link_register(s);
        break;
    case EPC_REG_EVENT:
        *v = s->event;
        break;
    case EPC_REG_EVENT_MASK:
        *v = s->event_mask;
        break;
    case EPC_REG_FN_PENDING:
        *v = epc_fn_pending(s);
        break;
    case EPC_REG_DMA_COUNT:
        *v = EPC_DMA_CHANNELS;
        break;
    case EPC_REG_DMA_BASE:
        *v = EPC_DMA_BASE;
        break;
    case EPC_REG_DMA_STRIDE:
        *v = EPC_DMA_STRIDE;
        break;
    default:
        return false;
    }
    return true;
}

/* A mask bit set over a pending event raises, so that none is lost. */
static void set_mask(EpcState *s, uint32_t *mask, uint32_t v, uint32_t event)
{
    uint32_t fresh = v & ~*mask;

    *mask = v;
    if (fresh & event) {
        epc_notify(s, EPC_VECTOR_EVENT);
    }
}

static bool global_write(EpcState *s, hwaddr reg, uint32_t v)
{
    switch (reg) {
    case EPC_REG_RESET:
        if (v != EPC_RESET_MAGIC) {
            return false;
        }
        epc_reset_all(s);
        return true;
    case EPC_REG_LINK_CMD:
        epc_link_command(s, v);
        return true;
    }

    QEMU_LOCK_GUARD(&s->lock);
    switch (reg) {
    case EPC_REG_EVENT:
        s->event &= ~v;
        break;
    case EPC_REG_EVENT_MASK:
        set_mask(s, &s->event_mask, v & EPC_EVENT_ALL, s->event);
        break;
    default:
        return false;
    }
    return true;
}

/* ---- Function pages ---- */

static uint32_t msi_register(const EpcFunction *fn)
{
    uint32_t n = epc_config_msi_enabled(&fn->cfg);

    return n ? EPC_FN_IRQ_ENABLED | n : 0;
}

static uint32_t msix_register(const EpcFunction *fn)
{
    bool masked = false;
    uint32_t v = epc_config_msix_size(&fn->cfg);

    if (epc_config_msix_enabled(&fn->cfg, &masked)) {
        v |= EPC_FN_IRQ_ENABLED;
    }
    return masked ? v | EPC_FN_IRQ_MASKED : v;
}

/* The area that @reg is part of, NULL: none */
static EpcAreaArg *fn_area(EpcFunction *fn, hwaddr reg)
{
    return reg >= EPC_FN_AREA(0) && reg < EPC_FN_AREA(EPC_MAX_AREAS) ?
           &fn->area[(reg - EPC_FN_AREA(0)) / EPC_AREA_STRIDE] : NULL;
}

/* The 32-bit argument registers */
static uint32_t *fn_argument(EpcFunction *fn, hwaddr reg)
{
    EpcAreaArg *area = fn_area(fn, reg);

    if (area) {
        return (reg - EPC_FN_AREA(0)) % EPC_AREA_STRIDE == EPC_AREA_TYPE ?
               &area->type : NULL;
    }
    switch (reg) {
    case EPC_FN_BAR:
        return &fn->bar_index;
    case EPC_FN_BAR_FLAGS:
        return &fn->bar_flags;
    case EPC_FN_COUNT:
        return &fn->count;
    case EPC_FN_ID:
        return &fn->id;
    case EPC_FN_CLASS:
        return &fn->class_rev;
    case EPC_FN_SUBSYS:
        return &fn->subsys;
    case EPC_FN_INT_PIN:
        return &fn->int_pin;
    case EPC_FN_CAP_ID:
        return &fn->cap_id;
    case EPC_FN_VALUE:
        return &fn->value;
    case EPC_FN_WMASK:
        return &fn->wmask;
    default:
        return NULL;
    }
}

/* The 64-bit ones, by the offset of either half */
static uint64_t *fn_argument64(EpcFunction *fn, hwaddr reg)
{
    EpcAreaArg *area = fn_area(fn, reg);

    if (area) {
        switch ((reg - EPC_FN_AREA(0)) % EPC_AREA_STRIDE & ~7ull) {
        case EPC_AREA_ADDR:
            return &area->addr;
        case EPC_AREA_SIZE:
            return &area->size;
        default:
            return NULL;
        }
    }
    switch (reg & ~7ull) {
    case EPC_FN_ADDR:
        return &fn->addr;
    case EPC_FN_SIZE:
        return &fn->size;
    case EPC_FN_OFFSET:
        return &fn->offset;
    default:
        return NULL;
    }
}

static bool fn_read(EpcFunction *fn, hwaddr reg, uint32_t *v)
{
    uint64_t *wide = fn_argument64(fn, reg);
    uint32_t *arg = fn_argument(fn, reg);

    if (wide) {
        *v = *wide >> (reg & 4 ? 32 : 0);
        return true;
    }
    if (arg) {
        *v = *arg;
        return true;
    }
    switch (reg) {
    case EPC_FN_CMD:
        *v = fn->cmd;
        break;
    case EPC_FN_STATUS:
        *v = fn->status;
        break;
    case EPC_FN_EVENT:
        *v = fn->event;
        break;
    case EPC_FN_EVENT_MASK:
        *v = fn->event_mask;
        break;
    case EPC_FN_PCI_COMMAND:
        *v = epc_fn_pci_command(fn);
        break;
    case EPC_FN_MSI:
        *v = msi_register(fn);
        break;
    case EPC_FN_MSIX:
        *v = msix_register(fn);
        break;
    case EPC_FN_DSTATE:
        *v = epc_config_dstate(&fn->cfg);
        break;
    case EPC_FN_RAISE_DROPPED:
        *v = fn->raise_dropped;
        break;
    case EPC_FN_INBOUND_DROPPED:
        *v = fn->inbound_dropped;
        break;
    case EPC_FN_CAP_OFFSET:
        *v = fn->cap_offset;
        break;
    case EPC_FN_WRITE_INFO:
        *v = epc_writes_info(&fn->writes);
        break;
    case EPC_FN_WRITE_VALUE:
        *v = fn->writes.value;
        break;
    case EPC_FN_WRITE_NEXT:
        *v = 0;
        break;
    case EPC_FN_VFS:
        *v = epc_config_vfs(&fn->cfg);
        return fn->cfg.sriov;
    default:
        return false;
    }
    return true;
}

static bool fn_write(EpcFunction *fn, hwaddr reg, uint32_t v)
{
    uint64_t *wide = fn_argument64(fn, reg);
    uint32_t *arg = fn_argument(fn, reg);

    if (wide) {
        *wide = deposit64(*wide, reg & 4 ? 32 : 0, 32, v);
        return true;
    }
    if (arg) {
        *arg = v;
        return true;
    }
    if (reg == EPC_FN_CMD) {
        epc_fn_command(fn, v);
        return true;
    }

    QEMU_LOCK_GUARD(&fn->epc->lock);
    switch (reg) {
    case EPC_FN_EVENT:
        fn->event &= ~v;
        break;
    case EPC_FN_EVENT_MASK:
        set_mask(fn->epc, &fn->event_mask, v & EPC_FN_EVENT_ALL, fn->event);
        break;
    case EPC_FN_WRITE_NEXT:
        epc_writes_next(&fn->writes);
        break;
    default:
        return false;
    }
    return true;
}

static bool config_view(EpcFunction *fn, hwaddr offset, unsigned size,
                        uint64_t *v)
{
    uint8_t buf[4];

    if (size > sizeof(buf) || !is_power_of_2(size) || (offset & (size - 1)) ||
        !epc_config_read(&fn->cfg, offset, buf, size)) {
        return false;
    }
    *v = ldn_le_p(buf, size);
    return true;
}

/* ---- Raise areas ---- */

static bool raise_valid(hwaddr reg)
{
    return reg < EPC_RAISE_MSIX(EPC_MAX_MSIX) ||
           (reg >= EPC_RAISE_MSI(0) && reg < EPC_RAISE_MSI(EPC_MAX_MSI)) ||
           reg == EPC_RAISE_INTX;
}

static bool raise_write(EpcFunction *fn, hwaddr reg, uint32_t v)
{
    if (!raise_valid(reg)) {
        return false;
    }
    if (reg == EPC_RAISE_INTX) {
        if (v > 1) {
            return false;
        }
        epc_raise_intx(fn, v);
    } else if (reg >= EPC_RAISE_MSI(0)) {
        epc_raise_msi(fn, (reg - EPC_RAISE_MSI(0)) / 4);
    } else {
        epc_raise_msix(fn, reg / 4);
    }
    return true;
}

/* ---- Decoding ---- */

typedef struct EpcPlace {
    enum {
        PLACE_HOLE, PLACE_GLOBAL, PLACE_DOORBELL, PLACE_DMA, PLACE_FN,
        PLACE_CONFIG, PLACE_RAISE
    } kind;
    EpcFunction *fn;
    unsigned channel;
    hwaddr reg;         /* within the place */
} EpcPlace;

static EpcPlace epc_place(EpcState *s, hwaddr addr)
{
    EpcPlace p = { .kind = PLACE_HOLE };

    if (addr < EPC_GLOBAL_SIZE) {
        p.kind = PLACE_GLOBAL;
        p.reg = addr;
    } else if (addr >= EPC_DMA_BASE) {
        uint64_t i = (addr - EPC_DMA_BASE) / EPC_DMA_STRIDE;

        if (i < EPC_DMA_CHANNELS) {
            p.kind = PLACE_DMA;
            p.channel = i;
            p.reg = (addr - EPC_DMA_BASE) % EPC_DMA_STRIDE;
        }
    } else if (addr >= EPC_RAISE_BASE) {
        uint64_t i = (addr - EPC_RAISE_BASE) / EPC_RAISE_STRIDE;

        if (i < s->nfn) {
            p.kind = PLACE_RAISE;
            p.fn = &s->fn[i];
            p.reg = (addr - EPC_RAISE_BASE) % EPC_RAISE_STRIDE;
        }
    } else if (addr >= EPC_FN_BASE) {
        uint64_t i = (addr - EPC_FN_BASE) / EPC_FN_STRIDE;

        if (i < s->nfn) {
            p.fn = &s->fn[i];
            p.reg = (addr - EPC_FN_BASE) % EPC_FN_STRIDE;
            p.kind = p.reg < EPC_FN_CONFIG ? PLACE_FN : PLACE_CONFIG;
        }
    } else if (addr >= EPC_DOORBELL_BASE &&
               addr - EPC_DOORBELL_BASE <
               EPC_MAX_DOORBELLS * EPC_DOORBELL_STRIDE) {
        p.kind = PLACE_DOORBELL;
        p.reg = addr - EPC_DOORBELL_BASE;
    }
    return p;
}

/* The 64-bit register that an access of @size addresses as a whole */
static uint64_t *wide_register(EpcState *s, const EpcPlace *p, unsigned size)
{
    if (size != 8 || (p->reg & 7)) {
        return NULL;
    }
    switch (p->kind) {
    case PLACE_FN:
        return fn_argument64(p->fn, p->reg);
    case PLACE_DMA:
        return epc_dma_register64(s, p->channel, p->reg);
    default:
        return NULL;
    }
}

static bool place_read(EpcState *s, const EpcPlace *p, unsigned size,
                       uint64_t *value)
{
    uint64_t *wide = wide_register(s, p, size);
    uint32_t v = 0;
    bool ok;

    if (p->kind == PLACE_CONFIG) {
        return config_view(p->fn, p->reg - EPC_FN_CONFIG, size, value);
    }
    if (wide) {
        *value = *wide;
        return true;
    }
    if (size != 4 || (p->reg & 3)) {
        return false;
    }
    switch (p->kind) {
    case PLACE_GLOBAL:
        ok = global_read(s, p->reg, &v);
        break;
    case PLACE_FN:
        ok = fn_read(p->fn, p->reg, &v);
        break;
    case PLACE_DOORBELL:
        ok = epc_doorbell_read(s, p->reg, &v);
        break;
    case PLACE_DMA:
        ok = epc_dma_read(s, p->channel, p->reg, &v);
        break;
    case PLACE_RAISE:
        ok = raise_valid(p->reg);
        break;
    default:
        ok = false;
    }
    *value = v;
    return ok;
}

static bool place_write(EpcState *s, const EpcPlace *p, unsigned size,
                        uint64_t value)
{
    uint64_t *wide = wide_register(s, p, size);

    if (wide && p->kind == PLACE_DMA) {
        return epc_dma_set_ring(s, p->channel, value);
    }
    if (wide) {
        *wide = value;
        return true;
    }
    if (size != 4 || (p->reg & 3)) {
        return false;
    }
    switch (p->kind) {
    case PLACE_GLOBAL:
        return global_write(s, p->reg, value);
    case PLACE_FN:
        return fn_write(p->fn, p->reg, value);
    case PLACE_DOORBELL:
        return epc_doorbell_write(s, p->reg, value);
    case PLACE_DMA:
        return epc_dma_write(s, p->channel, p->reg, value);
    case PLACE_RAISE:
        return raise_write(p->fn, p->reg, value);
    default:
        return false;
    }
}

/*
 * A vCPU that waited for the BQL may arrive when the device has been unplugged,
 * and finds no functions.
 */
static uint64_t epc_regs_read(void *opaque, hwaddr addr, unsigned size)
{
    EpcState *s = opaque;
    uint64_t value = 0;
    EpcPlace p;

    if (!s->fn) {
        return UINT64_MAX;
    }
    p = epc_place(s, addr);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (!place_read(s, &p, size, &value)) {
            s->bad_access++;
            value = UINT64_MAX;
        }
    }
    /* What the guest does next may depend on the value */
    epc_ioeventfd_update(s);
    return value;
}

static void epc_regs_write(void *opaque, hwaddr addr, uint64_t value,
                           unsigned size)
{
    EpcState *s = opaque;
    EpcPlace p;

    if (!s->fn) {
        return;
    }
    p = epc_place(s, addr);
    if (!place_write(s, &p, size, value)) {
        QEMU_LOCK_GUARD(&s->lock);
        s->bad_access++;
    }
}

const MemoryRegionOps epc_regs_ops = {
    .read = epc_regs_read,
    .write = epc_regs_write,
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
