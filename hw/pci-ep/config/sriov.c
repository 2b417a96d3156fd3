/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-config-sriov: what virtual functions are in configuration space
 *
 * The SR-IOV capability of the function that has them, and the space of a
 * virtual function: much of it is the business of the former and reads zero.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "standard-headers/linux/pci_regs.h"
#include "hw/pci-ep/epc-config.h"
#include "hw/pci-ep/pci-epc-regs.h"

#define SRIOV_VERSION   1
#define SRIOV_SIZE      0x40
#define VF_BARS         (EPC_CONFIG_SRIOV + PCI_SRIOV_BAR)
/* 4, 8, 64 and 256 KiB, 1 and 4 MiB: those that a device has to support */
#define PAGE_SIZES      0x553
#define PAGE_SIZE_4K    1
#define CONTROL_WMASK   (PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE | \
                         PCI_SRIOV_CTRL_ARI)

/* ---- A virtual function ---- */

/* Reads zero, and the host cannot write it. */
static void reserve_word(EpcConfig *c, unsigned offset)
{
    stw_le_p(c->data + offset, 0);
    stw_le_p(c->wmask + offset, 0);
    stw_le_p(c->init + offset, 0);
}

void epc_config_init_vf(EpcConfig *c, unsigned speed, unsigned width)
{
    epc_config_init(c, speed, width);
    c->vf = true;
    stw_le_p(c->wmask + PCI_COMMAND, PCI_COMMAND_MASTER);
    c->wmask[PCI_CACHE_LINE_SIZE] = 0;
    c->wmask[PCI_INTERRUPT_LINE] = 0;
    reserve_word(c, EPC_CONFIG_EXP + PCI_EXP_DEVCTL);
    reserve_word(c, EPC_CONFIG_EXP + PCI_EXP_LNKCTL);
    reserve_word(c, EPC_CONFIG_EXP + PCI_EXP_LNKSTA);
    reserve_word(c, EPC_CONFIG_EXP + PCI_EXP_DEVCTL2);
    reserve_word(c, EPC_CONFIG_EXP + PCI_EXP_LNKCTL2);
}

void epc_config_copy_header(EpcConfig *c, const EpcConfig *from)
{
    memcpy(c->data + PCI_CLASS_REVISION, from->data + PCI_CLASS_REVISION, 4);
    memcpy(c->data + PCI_SUBSYSTEM_VENDOR_ID,
           from->data + PCI_SUBSYSTEM_VENDOR_ID, 4);
}

/* ---- The capability ---- */

static uint16_t get_word(const EpcConfig *c, unsigned reg)
{
    return lduw_le_p(c->data + EPC_CONFIG_SRIOV + reg);
}

static void set_word(EpcConfig *c, unsigned reg, uint16_t v)
{
    stw_le_p(c->data + EPC_CONFIG_SRIOV + reg, v);
}

void epc_config_add_sriov(EpcConfig *c, unsigned first)
{
    uint8_t *w = c->wmask + EPC_CONFIG_SRIOV;

    c->sriov = true;
    c->last_ext = EPC_CONFIG_SRIOV;
    c->ext_free = EPC_CONFIG_SRIOV + SRIOV_SIZE;

    set_word(c, 0, PCI_EXT_CAP_ID_SRIOV);
    set_word(c, 2, SRIOV_VERSION);
    set_word(c, PCI_SRIOV_VF_OFFSET, first);
    set_word(c, PCI_SRIOV_VF_STRIDE, 1);
    set_word(c, PCI_SRIOV_SUP_PGSIZE, PAGE_SIZES);
    stw_le_p(w + PCI_SRIOV_CTRL, CONTROL_WMASK);
    stw_le_p(w + PCI_SRIOV_NUM_VF, 0xffff);
    stw_le_p(w + PCI_SRIOV_SYS_PGSIZE, PAGE_SIZES);
    stw_le_p(c->init + EPC_CONFIG_SRIOV + PCI_SRIOV_SYS_PGSIZE, PAGE_SIZE_4K);
    epc_config_reset(c);
}

void epc_config_set_vfs(EpcConfig *c, unsigned total, uint16_t device)
{
    set_word(c, PCI_SRIOV_INITIAL_VF, total);
    set_word(c, PCI_SRIOV_TOTAL_VF, total);
    set_word(c, PCI_SRIOV_VF_DID, device);
    memset(c->data + VF_BARS, 0, 4 * EPC_NUM_BARS);
    memset(c->wmask + VF_BARS, 0, 4 * EPC_NUM_BARS);
}

void epc_config_set_vf_bar(EpcConfig *c, unsigned bar, uint32_t flags,
                           uint64_t size)
{
    epc_config_bar_registers(c, VF_BARS + 4 * bar, flags, size);
}

EpcSriov epc_config_sriov(const EpcConfig *c)
{
    return (EpcSriov) {
        .control = c->sriov ? get_word(c, PCI_SRIOV_CTRL) : 0,
        .num = c->sriov ? get_word(c, PCI_SRIOV_NUM_VF) : 0,
    };
}

void epc_config_sriov_written(EpcConfig *c, const EpcSriov *before)
{
    EpcSriov now = epc_config_sriov(c);

    if (!c->sriov) {
        return;
    }
    if (before->control & PCI_SRIOV_CTRL_VFE) {
        set_word(c, PCI_SRIOV_NUM_VF, before->num);
    } else if (now.num > get_word(c, PCI_SRIOV_TOTAL_VF)) {
        set_word(c, PCI_SRIOV_CTRL, now.control & ~PCI_SRIOV_CTRL_VFE);
    }
}

uint32_t epc_config_vfs(const EpcConfig *c)
{
    EpcSriov now = epc_config_sriov(c);
    uint32_t v = 0;

    if (now.control & PCI_SRIOV_CTRL_VFE) {
        v |= EPC_FN_VFS_ENABLE | now.num;
    }
    return now.control & PCI_SRIOV_CTRL_MSE ? v | EPC_FN_VFS_MEMORY : v;
}
