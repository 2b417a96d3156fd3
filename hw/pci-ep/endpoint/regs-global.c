/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers of the global page
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/endpoint/its.h"
#include "hw/pci-ep/endpoint/layout.h"
#include "hw/pci-ep/endpoint/link.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/regs-int.h"
#include "hw/pci-ep/endpoint/reset.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/trap-area.h"

static uint32_t regs_global_link(const EpcState *s) EP_REQUIRES(&s->lock);
static uint32_t regs_global_link(const EpcState *s)
{
    const EpcLinkState *l = &s->link;
    uint32_t v = (uint32_t)l->generation << EPC_LINK_GEN_SHIFT;

    if (l->enabled) {
        v |= EPC_LINK_ENABLED;
    }
    if (l->up) {
        v |= EPC_LINK_UP;
        v |= (s->speed & EPC_LINK_SPEED_MASK) << EPC_LINK_SPEED_SHIFT;
        v |= (s->width & EPC_LINK_WIDTH_MASK) << EPC_LINK_WIDTH_SHIFT;
    }
    return v;
}

/* Registers whose value never changes, and features without which they are holes */
static const struct {
    hwaddr reg;
    uint32_t value;
    uint32_t feature;
} regs_global_constants[] = {
    { EPC_REG_MAGIC, EPC_MAGIC },
    { EPC_REG_VERSION, EPC_VERSION },
    { EPC_REG_FN_BASE, EPC_FN_BASE },
    { EPC_REG_FN_STRIDE, EPC_FN_STRIDE },
    { EPC_REG_RAISE_BASE, EPC_RAISE_BASE },
    { EPC_REG_RAISE_STRIDE, EPC_RAISE_STRIDE },
    { EPC_REG_DOORBELLS, EPC_MAX_DOORBELLS, EPC_FEATURE_DOORBELL },
    { EPC_REG_DOORBELL_BASE, EPC_DOORBELL_BASE, EPC_FEATURE_DOORBELL },
    { EPC_REG_DMA_BASE, EPC_DMA_BASE, EPC_FEATURE_DMA },
    { EPC_REG_DMA_STRIDE, EPC_DMA_STRIDE, EPC_FEATURE_DMA },
    { EPC_REG_TRAP_BASE, EPC_TRAP_BASE },
    { EPC_REG_TRAP_STRIDE, EPC_TRAP_STRIDE },
    { EPC_REG_TRAP_SIZE, EPC_TRAP_SIZE },
    { EPC_REG_RESET, 0 },       /* write only */
};

/* Registers that read as a member of EpcState */
static const EpcRegField regs_global_fields[] = {
    { EPC_REG_FN_COUNT, offsetof(EpcState, functions) },
    { EPC_REG_MAX_MAPS, offsetof(EpcState, max_maps) },
    { EPC_REG_DEADLINE, offsetof(EpcState, deadline_ms) },
    { EPC_REG_BAD_ACCESS, offsetof(EpcState, bad_access) },
    { EPC_REG_LINK_CMD, offsetof(EpcState, link.cmd) },
    { EPC_REG_LINK_STATUS, offsetof(EpcState, link.status) },
    { EPC_REG_EVENT, offsetof(EpcState, event) },
    { EPC_REG_EVENT_MASK, offsetof(EpcState, event_mask) },
    { EPC_REG_TRAP_DEADLINE, offsetof(EpcState, traps.deadline_ms) },
};

static uint32_t regs_global_features(EpcState *s) EP_REQUIRES(&ep_bql);
static uint32_t regs_global_features(EpcState *s)
{
    return EPC_FEATURE_WINDOW | EPC_FEATURE_CAPS | EPC_FEATURE_TRAP |
           EPC_FEATURE_MASKS | EPC_FEATURE_DOE |
           (s->vfs ? EPC_FEATURE_VF : 0) |
           (epc_its_usable(s) ? EPC_FEATURE_ITS : 0) |
           epc_limits_features(&s->limits);
}

/* Registers whose value is worked out */
static bool regs_global_computed(EpcState *s, hwaddr reg, uint32_t *v)
    EP_REQUIRES(&ep_bql, &s->lock);
static bool regs_global_computed(EpcState *s, hwaddr reg, uint32_t *v)
{
    switch (reg) {
    case EPC_REG_FEATURES:
        *v = regs_global_features(s);
        return true;
    case EPC_REG_DMA_COUNT:
        *v = s->limits.dma_channels;
        return s->limits.dma_channels;
    case EPC_REG_VF_COUNT:
        *v = s->vfs;
        return s->vfs;
    case EPC_REG_GRANULE:
        *v = qemu_real_host_page_size();
        return true;
    case EPC_REG_LINK:
        *v = regs_global_link(s);
        return true;
    case EPC_REG_FN_PENDING:
        *v = epc_fn_pending(s);
        return true;
    case EPC_REG_ITS_DEVICE:
        *v = epc_its_device(s);
        return epc_its_usable(s);
    default:
        return epc_limits_read(&s->limits, reg, v);
    }
}

bool epc_regs_global_read(EpcState *s, hwaddr reg, uint32_t *v)
{
    const EpcRegField *f = epc_reg_find(regs_global_fields,
                                        ARRAY_SIZE(regs_global_fields), reg);

    if (f) {
        *v = *(const uint32_t *)((const char *)s + f->offset);
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(regs_global_constants); i++) {
        if (regs_global_constants[i].reg == reg) {
            uint32_t lacks = regs_global_constants[i].feature &
                             ~regs_global_features(s);

            *v = regs_global_constants[i].value;
            return !lacks;
        }
    }
    return regs_global_computed(s, reg, v);
}

void epc_regs_set_mask(EpcState *s, uint32_t *mask, uint32_t v,
                       uint32_t event)
{
    uint32_t fresh = v & ~*mask;

    *mask = v;
    if (fresh & event) {
        epc_notify(s, EPC_VECTOR_EVENT);
    }
}

bool epc_regs_global_write(EpcState *s, hwaddr reg, uint32_t v)
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
        return true;
    case EPC_REG_EVENT_MASK:
        epc_regs_set_mask(s, &s->event_mask, v & EPC_EVENT_ALL, s->event);
        return true;
    case EPC_REG_TRAP_DEADLINE:
        return epc_traps_set_deadline(s, v);
    default:
        return false;
    }
}
