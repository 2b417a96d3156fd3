/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-config: the configuration space of one endpoint function
 *
 * The endpoint driver describes (header, BARs, MSI, MSI-X) and adds capabilities
 * (epc-config-caps.c); PM and PCI Express capabilities are always there; the
 * host writes through masks.  What virtual functions add is in
 * epc-config-sriov.c.  Pure state: no locks, no QEMU device; the owner
 * serialises.
 */
#ifndef HW_PCI_EP_EPC_CONFIG_H
#define HW_PCI_EP_EPC_CONFIG_H

#include "qemu/bitmap.h"

#define EPC_CONFIG_SIZE 4096
#define EPC_NUM_BARS    6

/*
 * Where the capabilities are.  A function has the same layout in every run, so
 * that a host which saved configuration space across a link-down finds it; so
 * MSI and MSI-X keep their places when absent.  Back to back, which leaves as
 * much as possible to added ones: the five of a virtio device fit.
 */
#define EPC_CONFIG_PM   0x40    /* 8 bytes */
#define EPC_CONFIG_MSI  0x48    /* 24 bytes: 64-bit, per-vector masks */
#define EPC_CONFIG_EXP  0x60    /* 60 bytes: version 2, endpoint, with FLR */
#define EPC_CONFIG_MSIX 0x9c    /* 12 bytes */
#define EPC_CONFIG_FREE 0xa8    /* added ones up to 0xff, extended from 0x100 */
#define EPC_CONFIG_SRIOV 0x100  /* 64 bytes; only with virtual functions */

typedef struct EpcConfig {
    uint8_t data[EPC_CONFIG_SIZE];
    uint8_t wmask[EPC_CONFIG_SIZE];     /* bits the host may write */
    uint8_t w1cmask[EPC_CONFIG_SIZE];   /* bits a written 1 clears */
    uint8_t init[EPC_CONFIG_SIZE];      /* what a reset makes of wmask bits */
    DECLARE_BITMAP(added, EPC_CONFIG_SIZE); /* registers of added capabilities */
    uint16_t free, ext_free;            /* what is free, to the end */
    uint16_t first_added, last_added;   /* offsets, 0: none */
    uint16_t last_ext;
    uint64_t bar_size[EPC_NUM_BARS];    /* 0: no BAR */
    uint8_t msi, msix;                  /* capability offsets, 0: absent */
    uint8_t speed;                      /* of the link, PCIe encoding */
    bool described;                     /* has a header */
    bool sriov;                         /* can have virtual functions */
    bool vf;                            /* is one */
    uint16_t device;                    /* of the header */
} EpcConfig;

typedef struct EpcHeader {
    uint16_t vendor, device;
    uint16_t subsys_vendor, subsys;
    uint32_t class_rev;     /* revision in 7:0, class code in 31:8 */
    uint8_t int_pin;        /* 0 to 4 */
} EpcHeader;

/*
 * An empty function: no vendor (0xffff), PM and PCI Express capabilities.
 * @speed (PCIe encoding, 1 to 6) and @width (lanes) of the link.
 */
void epc_config_init(EpcConfig *c, unsigned speed, unsigned width);
/* A virtual function has neither ids nor an interrupt pin of its own. */
void epc_config_set_header(EpcConfig *c, const EpcHeader *h);
/* No header: there is nothing to be shown. */
bool epc_config_empty(const EpcConfig *c);
/* Are there other functions? */
void epc_config_set_multifunction(EpcConfig *c, bool others);

/*
 * @flags: EPC_BAR_FLAG_*; @size: power of two >= 4096, checked by the caller,
 * as is that a 64-bit BAR has its upper half free.  Size 0 removes.
 */
void epc_config_set_bar(EpcConfig *c, unsigned bar, uint32_t flags,
                        uint64_t size);
/* The registers of such a BAR, the first one at offset @at */
void epc_config_bar_registers(EpcConfig *c, unsigned at, uint32_t flags,
                              uint64_t size);

/*
 * @vectors 0 removes.  MSI: 1..32, rounded up to a power of two.  MSI-X:
 * 1..2048.
 */
void epc_config_set_msi(EpcConfig *c, unsigned vectors);
void epc_config_set_msix(EpcConfig *c, unsigned vectors, unsigned bir,
                         uint32_t table, uint32_t pba);

/* Could there be a capability with this EPC_FN_CAP_ID and EPC_FN_SIZE? */
bool epc_config_cap_valid(uint32_t id, uint64_t size);
/* Its offset, or 0 when there is no room. */
unsigned epc_config_add_cap(EpcConfig *c, uint32_t id, unsigned size);
/*
 * @size: 1, 2 or 4 bytes, aligned; @wmask: what the host may write of it.  False
 * when it is not inside an added capability, past its header.
 */
bool epc_config_set_register(EpcConfig *c, uint64_t offset, uint64_t size,
                             uint32_t value, uint32_t wmask);
/* Puts the fixed capabilities that are there before the added ones. */
void epc_config_link_caps(EpcConfig *c);
/*
 * Tells which aligned registers of added capabilities a write of the host
 * touches.
 */
void epc_config_added_writes(const EpcConfig *c, uint32_t offset,
                             const void *buf, uint32_t len,
                             void (*tell)(void *opaque, unsigned offset,
                                          unsigned size, uint32_t value),
                             void *opaque);

/*
 * Host access of any offset and length inside the space; false, with nothing
 * done, when it is not inside.
 */
bool epc_config_read(const EpcConfig *c, uint32_t offset, void *buf,
                     uint32_t len);

/*
 * @events: EPC_FN_EVENT_* that the write caused: what reads differently after
 * it, and FLR, which has been carried out on this space already.
 */
bool epc_config_write(EpcConfig *c, uint32_t offset, const void *buf,
                      uint32_t len, uint32_t *events);

/* Back to what the endpoint described: clears all the host wrote. */
void epc_config_reset(EpcConfig *c);

uint16_t epc_config_command(const EpcConfig *c);
unsigned epc_config_dstate(const EpcConfig *c);
/* Vectors enabled by the host; 0 when disabled or absent. */
unsigned epc_config_msi_enabled(const EpcConfig *c);
unsigned epc_config_msi_capable(const EpcConfig *c); /* offered, 0: absent */
bool epc_config_msix_enabled(const EpcConfig *c, bool *masked);
unsigned epc_config_msix_size(const EpcConfig *c);      /* 0: absent */

/* ---- epc-config-sriov.c ---- */

/* As epc_config_init(), for a virtual function */
void epc_config_init_vf(EpcConfig *c, unsigned speed, unsigned width);
/* Class and subsystem are those of @from. */
void epc_config_copy_header(EpcConfig *c, const EpcConfig *from);

/*
 * Directly after epc_config_init(): an SR-IOV capability without virtual
 * functions, first extended one.  @first: First VF Offset.
 */
void epc_config_add_sriov(EpcConfig *c, unsigned first);
/* @total: virtual functions there are; @device: their id.  No VF BARs yet. */
void epc_config_set_vfs(EpcConfig *c, unsigned total, uint16_t device);
/* As epc_config_set_bar() */
void epc_config_set_vf_bar(EpcConfig *c, unsigned bar, uint32_t flags,
                           uint64_t size);

/* What the host wrote to it, before and after a write */
typedef struct EpcSriov {
    uint16_t control, num;
} EpcSriov;
EpcSriov epc_config_sriov(const EpcConfig *c);
/* Takes back what the host may not write with @before. */
void epc_config_sriov_written(EpcConfig *c, const EpcSriov *before);
/* EPC_FN_VFS */
uint32_t epc_config_vfs(const EpcConfig *c);

#endif /* HW_PCI_EP_EPC_CONFIG_H */
