/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aer: the Advanced Error Reporting capability of a function
 *
 * All that the host can write in it is sticky: see space_kept in space.c.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "standard-headers/linux/pci_regs.h"
#include "hw/pci-ep/config/space.h"

#define AER_VERSION 2

/* Errors that QEMU as the host can report, too */
#define AER_UNCOR   (PCI_ERR_UNC_DLP | PCI_ERR_UNC_SURPDN | \
                     PCI_ERR_UNC_POISON_TLP | PCI_ERR_UNC_FCP | \
                     PCI_ERR_UNC_COMP_TIME | PCI_ERR_UNC_COMP_ABORT | \
                     PCI_ERR_UNC_UNX_COMP | PCI_ERR_UNC_RX_OVER | \
                     PCI_ERR_UNC_MALF_TLP | PCI_ERR_UNC_ECRC | \
                     PCI_ERR_UNC_UNSUP | PCI_ERR_UNC_ACSV | \
                     PCI_ERR_UNC_INTN | PCI_ERR_UNC_MCBTLP | \
                     PCI_ERR_UNC_ATOMEG | PCI_ERR_UNC_TLPPRE)
#define AER_COR     (PCI_ERR_COR_RCVR | PCI_ERR_COR_BAD_TLP | \
                     PCI_ERR_COR_BAD_DLLP | PCI_ERR_COR_REP_ROLL | \
                     PCI_ERR_COR_REP_TIMER | PCI_ERR_COR_ADV_NFAT | \
                     PCI_ERR_COR_INTERNAL | PCI_ERR_COR_LOG_OVER)

/* Values after a reset (PCI Express Base 5.0, 7.8.4) */
#define AER_UNCOR_MASKED    (PCI_ERR_UNC_INTN | PCI_ERR_UNC_TLPPRE)
#define AER_UNCOR_FATAL     (PCI_ERR_UNC_DLP | PCI_ERR_UNC_SURPDN | \
                             PCI_ERR_UNC_FCP | PCI_ERR_UNC_RX_OVER | \
                             PCI_ERR_UNC_MALF_TLP | PCI_ERR_UNC_INTN)
#define AER_COR_MASKED      (PCI_ERR_COR_ADV_NFAT | PCI_ERR_COR_INTERNAL | \
                             PCI_ERR_COR_LOG_OVER)

static void aer_set_register(EpcConfig *c, unsigned reg, uint32_t wmask,
                             uint32_t init)
{
    stl_le_p(c->wmask + EPC_CONFIG_AER + reg, wmask);
    stl_le_p(c->init + EPC_CONFIG_AER + reg, init);
}

void epc_config_add_aer(EpcConfig *c)
{
    uint8_t *p = c->data + EPC_CONFIG_AER;

    c->aer = true;
    stl_le_p(p, PCI_EXT_CAP_ID_ERR | AER_VERSION << 16);
    stl_le_p(c->w1cmask + EPC_CONFIG_AER + PCI_ERR_UNCOR_STATUS, AER_UNCOR);
    stl_le_p(c->w1cmask + EPC_CONFIG_AER + PCI_ERR_COR_STATUS, AER_COR);
    aer_set_register(c, PCI_ERR_UNCOR_MASK, AER_UNCOR, AER_UNCOR_MASKED);
    aer_set_register(c, PCI_ERR_UNCOR_SEVER, AER_UNCOR, AER_UNCOR_FATAL);
    aer_set_register(c, PCI_ERR_COR_MASK, AER_COR, AER_COR_MASKED);
    stl_le_p(p + PCI_ERR_CAP, PCI_ERR_CAP_ECRC_GENC | PCI_ERR_CAP_ECRC_CHKC);
    aer_set_register(c, PCI_ERR_CAP,
                     PCI_ERR_CAP_ECRC_GENE | PCI_ERR_CAP_ECRC_CHKE, 0);
    epc_config_link_aer(c);
    epc_config_reset(c, EPC_CONFIG_RESET_POWER);
}
