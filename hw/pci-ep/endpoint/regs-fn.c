/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers of a function: its page, its configuration space, its raise area
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/host-utils.h"
#include "qemu/lockable.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/config/write-log.h"
#include "hw/pci-ep/endpoint/commands.h"
#include "hw/pci-ep/endpoint/fn-state.h"
#include "hw/pci-ep/endpoint/irqs.h"
#include "hw/pci-ep/endpoint/mailbox.h"
#include "hw/pci-ep/endpoint/raise.h"
#include "hw/pci-ep/endpoint/regs-int.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/trap-area.h"

/* Argument registers: members of EpcArgs */
static const EpcRegField regs_fn_args[] = {
    { EPC_FN_BAR, offsetof(EpcArgs, bar) },
    { EPC_FN_BAR_FLAGS, offsetof(EpcArgs, bar_flags) },
    { EPC_FN_ADDR, offsetof(EpcArgs, addr), .wide = true },
    { EPC_FN_SIZE, offsetof(EpcArgs, size), .wide = true },
    { EPC_FN_OFFSET, offsetof(EpcArgs, offset), .wide = true },
    { EPC_FN_COUNT, offsetof(EpcArgs, count) },
    { EPC_FN_ID, offsetof(EpcArgs, id) },
    { EPC_FN_CLASS, offsetof(EpcArgs, class_rev) },
    { EPC_FN_SUBSYS, offsetof(EpcArgs, subsys) },
    { EPC_FN_INT_PIN, offsetof(EpcArgs, int_pin) },
    { EPC_FN_CAP_ID, offsetof(EpcArgs, cap_id) },
    { EPC_FN_VALUE, offsetof(EpcArgs, value) },
    { EPC_FN_WMASK, offsetof(EpcArgs, wmask) },
    { EPC_FN_DOE_ADDR, offsetof(EpcArgs, doe_addr), .wide = true },
    { EPC_FN_DOE_TOKEN, offsetof(EpcArgs, doe_token) },
    { EPC_FN_DOE_OFFSET, offsetof(EpcArgs, doe_offset) },
    { EPC_FN_DOE_COUNT, offsetof(EpcArgs, doe_count) },
};

/* The registers of EPC_FN_AREA(n): members of EpcAreaArg */
static const EpcRegField regs_fn_area[] = {
    { EPC_AREA_ADDR, offsetof(EpcAreaArg, addr), .wide = true },
    { EPC_AREA_SIZE, offsetof(EpcAreaArg, size), .wide = true },
    { EPC_AREA_TYPE, offsetof(EpcAreaArg, type) },
};

/* Registers that read as a member of EpcFunction */
static const EpcRegField regs_fn_fields[] = {
    { EPC_FN_CMD, offsetof(EpcFunction, cmd) },
    { EPC_FN_STATUS, offsetof(EpcFunction, status) },
    { EPC_FN_EVENT, offsetof(EpcFunction, event) },
    { EPC_FN_EVENT_MASK, offsetof(EpcFunction, event_mask) },
    { EPC_FN_RAISE_DROPPED, offsetof(EpcFunction, raise_dropped) },
    { EPC_FN_INBOUND_DROPPED, offsetof(EpcFunction, inbound_dropped) },
    { EPC_FN_CAP_OFFSET, offsetof(EpcFunction, cap_offset) },
    { EPC_FN_WRITE_VALUE, offsetof(EpcFunction, writes.value) },
};

/*
 * The argument register at @reg, or NULL. *@wide says whether it has 64 bits;
 * then @reg may be the offset of either half.
 */
static void *regs_fn_argument(EpcFunction *fn, hwaddr reg, bool *wide)
    EP_REQUIRES(&ep_bql);
static void *regs_fn_argument(EpcFunction *fn, hwaddr reg, bool *wide)
{
    char *base = (char *)&fn->args;
    const EpcRegField *f;

    if (reg >= EPC_FN_AREA(0) && reg < EPC_FN_AREA(EPC_MAX_AREAS)) {
        hwaddr offset = reg - EPC_FN_AREA(0);

        base = (char *)&fn->args.area[offset / EPC_AREA_STRIDE];
        f = epc_reg_find(regs_fn_area, ARRAY_SIZE(regs_fn_area),
                         offset % EPC_AREA_STRIDE);
    } else {
        f = epc_reg_find(regs_fn_args, ARRAY_SIZE(regs_fn_args), reg);
    }
    if (!f) {
        return NULL;
    }
    *wide = f->wide;
    return base + f->offset;
}

static uint32_t regs_fn_msi(const EpcFunction *fn)
    EP_REQUIRES(&fn->epc->lock);
static uint32_t regs_fn_msi(const EpcFunction *fn)
{
    uint32_t n = epc_config_msi_enabled(&fn->cfg);

    return n ? EPC_FN_IRQ_ENABLED | n : 0;
}

static uint32_t regs_fn_msix(const EpcFunction *fn)
    EP_REQUIRES(&fn->epc->lock);
static uint32_t regs_fn_msix(const EpcFunction *fn)
{
    bool masked = false;
    uint32_t v = epc_config_msix_size(&fn->cfg);

    if (epc_config_msix_enabled(&fn->cfg, &masked)) {
        v |= EPC_FN_IRQ_ENABLED;
    }
    return masked ? v | EPC_FN_IRQ_MASKED : v;
}

static bool regs_fn_computed(EpcFunction *fn, hwaddr reg, uint32_t *v)
    EP_REQUIRES(&fn->epc->lock);
static bool regs_fn_computed(EpcFunction *fn, hwaddr reg, uint32_t *v)
{
    if (reg >= EPC_FN_MSIX_MASK(0) &&
        reg < EPC_FN_MSIX_MASK(EPC_FN_MSIX_MASKS)) {
        *v = epc_irqs_masked(fn, (reg - EPC_FN_MSIX_MASK(0)) / 4);
        return true;
    }
    switch (reg) {
    case EPC_FN_PCI_COMMAND:
        *v = epc_fn_pci_command(fn);
        return true;
    case EPC_FN_MSI:
        *v = regs_fn_msi(fn);
        return true;
    case EPC_FN_MSIX:
        *v = regs_fn_msix(fn);
        return true;
    case EPC_FN_MSI_MASK:
        *v = epc_config_msi_mask(&fn->cfg);
        return true;
    case EPC_FN_DSTATE:
        *v = epc_config_dstate(&fn->cfg);
        return true;
    case EPC_FN_WRITE_INFO:
        *v = epc_write_log_info(&fn->writes);
        return true;
    case EPC_FN_WRITE_NEXT:     /* write only */
        *v = 0;
        return true;
    case EPC_FN_VFS:
        *v = epc_config_vfs(&fn->cfg);
        return fn->cfg.sriov;
    default:
        return epc_trap_read(fn, reg, v) || epc_mailbox_read(fn, reg, v);
    }
}

bool epc_regs_fn_read(EpcFunction *fn, hwaddr reg, uint32_t *v)
{
    const EpcRegField *f = epc_reg_find(regs_fn_fields,
                                        ARRAY_SIZE(regs_fn_fields), reg);
    bool wide;
    const void *arg;

    if (f) {
        *v = *(const uint32_t *)((const char *)fn + f->offset);
        return true;
    }
    arg = regs_fn_argument(fn, reg, &wide);
    if (arg) {
        *v = wide ? *(const uint64_t *)arg >> (reg & 4 ? 32 : 0) :
                    *(const uint32_t *)arg;
        return true;
    }
    return regs_fn_computed(fn, reg, v);
}

bool epc_regs_fn_write(EpcFunction *fn, hwaddr reg, uint32_t v)
{
    bool wide;
    void *arg = regs_fn_argument(fn, reg, &wide);

    if (arg && wide) {
        *(uint64_t *)arg = deposit64(*(uint64_t *)arg, reg & 4 ? 32 : 0, 32,
                                     v);
        return true;
    }
    if (arg) {
        *(uint32_t *)arg = v;
        return true;
    }
    if (reg == EPC_FN_CMD) {
        epc_fn_command(fn, v);
        return true;
    }
    if (reg == EPC_FN_DOE_CMD) {
        epc_mailbox_command(fn, v);
        return true;
    }

    QEMU_LOCK_GUARD(&fn->epc->lock);
    switch (reg) {
    case EPC_FN_EVENT:
        fn->event &= ~v;
        return true;
    case EPC_FN_EVENT_MASK:
        epc_regs_set_mask(fn->epc, &fn->event_mask, v & EPC_FN_EVENT_ALL,
                          fn->event);
        return true;
    case EPC_FN_WRITE_NEXT:
        epc_write_log_next(&fn->writes);
        return true;
    default:
        return epc_trap_write(fn, reg, v) || epc_mailbox_write(fn, reg, v);
    }
}

uint64_t *epc_regs_fn_wide(EpcFunction *fn, hwaddr reg)
{
    bool wide;
    void *arg = regs_fn_argument(fn, reg, &wide);

    return arg && wide ? arg : NULL;
}

bool epc_regs_config_read(EpcFunction *fn, hwaddr offset, unsigned size,
                          uint64_t *v)
{
    uint8_t buf[4];

    if (size > sizeof(buf) || !is_power_of_2(size) || (offset & (size - 1)) ||
        !epc_config_read(&fn->cfg, offset, buf, size)) {
        return false;
    }
    epc_mailbox_config_read(fn, offset, buf, size);
    *v = ldn_le_p(buf, size);
    return true;
}

/* ---- Raise areas ---- */

bool epc_regs_raise_valid(const EpcState *s, hwaddr reg)
{
    return reg < EPC_RAISE_MSIX(EPC_MAX_MSIX) ||
           (reg >= EPC_RAISE_MSI(0) && reg < EPC_RAISE_MSI(EPC_MAX_MSI)) ||
           (reg == EPC_RAISE_INTX && s->limits.intx);
}

bool epc_regs_raise_write(EpcFunction *fn, hwaddr reg, uint32_t v)
{
    if (!epc_regs_raise_valid(fn->epc, reg)) {
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
