/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sriov: the SR-IOV capability, and the configuration space of virtual
 * functions
 *
 * Many registers of a virtual function read zero, because the function with the
 * SR-IOV capability has them for all its virtual functions.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "standard-headers/linux/pci_regs.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/pci-epc-regs.h"

#define SRIOV_VERSION   1
#define SRIOV_SIZE      0x40
#define VF_BARS         (EPC_CONFIG_SRIOV + PCI_SRIOV_BAR)
/* 4, 8, 64 and 256 KiB, 1 and 4 MiB, which every device has to support */
#define PAGE_SIZES      0x553
#define PAGE_SIZE_4K    1
#define CONTROL_WMASK   (PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE | \
                         PCI_SRIOV_CTRL_ARI)

/* ---- A virtual function ---- */

/* Makes a register read zero, and keeps the host from writing it. */
static void sriov_reserve_word(EpcConfig *c, unsigned offset)
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
    sriov_reserve_word(c, EPC_CONFIG_EXP + PCI_EXP_DEVCTL);
    sriov_reserve_word(c, EPC_CONFIG_EXP + PCI_EXP_LNKCTL);
    sriov_reserve_word(c, EPC_CONFIG_EXP + PCI_EXP_LNKSTA);
    sriov_reserve_word(c, EPC_CONFIG_EXP + PCI_EXP_DEVCTL2);
    sriov_reserve_word(c, EPC_CONFIG_EXP + PCI_EXP_LNKCTL2);
}

void epc_config_copy_header(EpcConfig *c, const EpcConfig *from)
{
    memcpy(c->data + PCI_CLASS_REVISION, from->data + PCI_CLASS_REVISION, 4);
    memcpy(c->data + PCI_SUBSYSTEM_VENDOR_ID,
           from->data + PCI_SUBSYSTEM_VENDOR_ID, 4);
}

/* ---- The capability ---- */

static uint16_t sriov_get_word(const EpcConfig *c, unsigned reg)
{
    return lduw_le_p(c->data + EPC_CONFIG_SRIOV + reg);
}

static void sriov_set_word(EpcConfig *c, unsigned reg, uint16_t v)
{
    stw_le_p(c->data + EPC_CONFIG_SRIOV + reg, v);
}

void epc_config_add_sriov(EpcConfig *c, unsigned first)
{
    uint8_t *w = c->wmask + EPC_CONFIG_SRIOV;

    c->sriov = true;
    c->last_ext = EPC_CONFIG_SRIOV;
    c->ext_free = EPC_CONFIG_SRIOV + SRIOV_SIZE;

    sriov_set_word(c, 0, PCI_EXT_CAP_ID_SRIOV);
    sriov_set_word(c, 2, SRIOV_VERSION);
    sriov_set_word(c, PCI_SRIOV_VF_OFFSET, first);
    sriov_set_word(c, PCI_SRIOV_VF_STRIDE, 1);
    sriov_set_word(c, PCI_SRIOV_SUP_PGSIZE, PAGE_SIZES);
    stw_le_p(w + PCI_SRIOV_CTRL, CONTROL_WMASK);
    stw_le_p(w + PCI_SRIOV_NUM_VF, 0xffff);
    stw_le_p(w + PCI_SRIOV_SYS_PGSIZE, PAGE_SIZES);
    stw_le_p(c->init + EPC_CONFIG_SRIOV + PCI_SRIOV_SYS_PGSIZE, PAGE_SIZE_4K);
    epc_config_reset(c, EPC_CONFIG_RESET_POWER);
}

void epc_config_set_vfs(EpcConfig *c, unsigned total, uint16_t device)
{
    sriov_set_word(c, PCI_SRIOV_INITIAL_VF, total);
    sriov_set_word(c, PCI_SRIOV_TOTAL_VF, total);
    sriov_set_word(c, PCI_SRIOV_VF_DID, device);
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
        .control = c->sriov ? sriov_get_word(c, PCI_SRIOV_CTRL) : 0,
        .num = c->sriov ? sriov_get_word(c, PCI_SRIOV_NUM_VF) : 0,
    };
}

void epc_config_sriov_written(EpcConfig *c, const EpcSriov *before)
{
    EpcSriov now = epc_config_sriov(c);

    if (!c->sriov) {
        return;
    }
    if (before->control & PCI_SRIOV_CTRL_VFE) {
        sriov_set_word(c, PCI_SRIOV_NUM_VF, before->num);
    } else if (now.num > sriov_get_word(c, PCI_SRIOV_TOTAL_VF)) {
        sriov_set_word(c, PCI_SRIOV_CTRL, now.control & ~PCI_SRIOV_CTRL_VFE);
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
