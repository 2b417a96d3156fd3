/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * space: the configuration space of one endpoint function
 *
 * The endpoint driver describes the function (header, BARs, MSI, MSI-X) and
 * adds capabilities (caps.c). The PM and PCI Express capabilities are always
 * there. The host writes through masks. sriov.c has what concerns virtual
 * functions. The functions take no lock and know no device; the owner makes
 * sure that one of them runs at a time.
 */
#ifndef HW_PCI_EP_CONFIG_SPACE_H
#define HW_PCI_EP_CONFIG_SPACE_H

#include "qemu/bitmap.h"

#define EPC_CONFIG_SIZE 4096
#define EPC_NUM_BARS    6

/*
 * Offsets of the capabilities. They are the same in every run, for a host that
 * saves configuration space across a link-down; so MSI and MSI-X keep their
 * places when they are absent. They stand back to back, which leaves enough
 * space for the five capabilities that a virtio device adds.
 */
#define EPC_CONFIG_PM   0x40    /* 8 bytes */
#define EPC_CONFIG_MSI  0x48    /* 24 bytes: 64-bit, per-vector masks */
#define EPC_CONFIG_EXP  0x60    /* 60 bytes: version 2, endpoint, with FLR */
#define EPC_CONFIG_MSIX 0x9c    /* 12 bytes */
#define EPC_CONFIG_FREE 0xa8    /* added ones to 0xff, extended from 0x100 */
#define EPC_CONFIG_SRIOV 0x100  /* 64 bytes; only with virtual functions */
#define EPC_CONFIG_AER  0xfb8   /* 72 bytes, to the end of the space */

typedef struct EpcConfig {
    uint8_t data[EPC_CONFIG_SIZE];
    uint8_t wmask[EPC_CONFIG_SIZE];     /* bits that the host may write */
    uint8_t w1cmask[EPC_CONFIG_SIZE];   /* bits that a written 1 clears */
    uint8_t init[EPC_CONFIG_SIZE];      /* value of wmask bits after a reset */
    /* The bytes of registers in added capabilities */
    DECLARE_BITMAP(added, EPC_CONFIG_SIZE);
    uint16_t free, ext_free;            /* offsets of the free space */
    uint16_t first_added, last_added;   /* offsets, 0: none */
    uint16_t last_ext;
    /* Of the capabilities that epc_config_show() made; 0: there are none */
    uint16_t first_shown, last_shown, shown_end;
    bool aer;                           /* has Advanced Error Reporting */
    uint64_t bar_size[EPC_NUM_BARS];    /* 0: no BAR */
    uint8_t msi, msix;                  /* capability offsets, 0: absent */
    uint8_t speed;                      /* of the link, PCIe encoding */
    bool described;                     /* has a header */
    bool sriov;                         /* can have virtual functions */
    bool vf;                            /* is a virtual function */
    uint16_t device;                    /* of the header */
} EpcConfig;

/*
 * Kinds of reset (PCI Express Base 5.0, 6.6). Each one resets all that the kind
 * before it resets, and more.
 */
typedef enum EpcConfigReset {
    EPC_CONFIG_RESET_FLR,       /* function level reset */
    EPC_CONFIG_RESET_HOT,       /* hot reset: the sticky bits stay */
    EPC_CONFIG_RESET_POWER,     /* fundamental reset, and power-up */
} EpcConfigReset;

typedef struct EpcHeader {
    uint16_t vendor, device;
    uint16_t subsys_vendor, subsys;
    uint32_t class_rev;     /* revision in 7:0, class code in 31:8 */
    uint8_t int_pin;        /* 0 to 4 */
} EpcHeader;

/*
 * Makes the space of an empty function: vendor 0xffff, PM and PCI Express
 * capabilities. @speed is that of the link in PCIe encoding, 1 to 6; @width is
 * its number of lanes.
 */
void epc_config_init(EpcConfig *c, unsigned speed, unsigned width);
/* A virtual function has neither ids nor an interrupt pin of its own. */
void epc_config_set_header(EpcConfig *c, const EpcHeader *h);
/* Returns true when the endpoint has not set a header. */
bool epc_config_empty(const EpcConfig *c);
/* @others says whether the device has other functions. */
void epc_config_set_multifunction(EpcConfig *c, bool others);

/*
 * Describes a BAR with EPC_BAR_FLAG_* in @flags, or removes it with @size 0.
 * The caller has checked that @size is a power of two of at least 4096, and
 * that the upper half of a 64-bit BAR is free.
 */
void epc_config_set_bar(EpcConfig *c, unsigned bar, uint32_t flags,
                        uint64_t size);
/* Sets the registers of such a BAR, the first one at offset @at. */
void epc_config_bar_registers(EpcConfig *c, unsigned at, uint32_t flags,
                              uint64_t size);

/*
 * Describes MSI with 1 to 32 vectors, rounded up to a power of two, or MSI-X
 * with 1 to 2048. @vectors 0 removes the capability.
 */
void epc_config_set_msi(EpcConfig *c, unsigned vectors);
void epc_config_set_msix(EpcConfig *c, unsigned vectors, unsigned bir,
                         uint32_t table, uint32_t pba);

/* Checks EPC_FN_CAP_ID and EPC_FN_SIZE of a capability that is to be added. */
bool epc_config_cap_valid(uint32_t id, uint64_t size);
/* Adds a capability. Returns its offset, or 0 when there is no room. */
unsigned epc_config_add_cap(EpcConfig *c, uint32_t id, unsigned size);
/*
 * Adds an extended one whose registers the owner answers itself: they are not
 * those that epc_config_set_register() sets.
 */
unsigned epc_config_add_own(EpcConfig *c, uint32_t id, unsigned size);
/*
 * Adds an Advanced Error Reporting capability at EPC_CONFIG_AER, as the last of
 * the list. Called directly after epc_config_init() and epc_config_add_sriov().
 * The capability goes when the endpoint adds one of its own.
 *
 * Its registers keep what the host writes. The host's side reports errors:
 * nothing here sets a status bit.
 */
void epc_config_add_aer(EpcConfig *c);
/* Lets the list end with it, if it is there. */
void epc_config_link_aer(EpcConfig *c);
/*
 * Shows capabilities of the device behind the extended ones that were added:
 * Resizable BAR for those of the BARs with a bit in @resizable that the
 * endpoint has described, and a Device Serial Number with @serial, an EUI-64,
 * unless that is 0. Replaces what an earlier call has shown. Leaves out a
 * capability that was added, or for which there is no room.
 *
 * The only size of a resizable BAR is the one that it has, and the host cannot
 * write the registers.
 */
void epc_config_show(EpcConfig *c, uint64_t serial, uint32_t resizable);
/*
 * Sets the value of a register of @size 1, 2 or 4 bytes at @offset, and in
 * @wmask the bits of it that the host may write. Returns false when the
 * register is not aligned, or does not lie in an added capability behind its
 * header.
 */
bool epc_config_set_register(EpcConfig *c, uint64_t offset, uint64_t size,
                             uint32_t value, uint32_t wmask);
/* Links the fixed capabilities that are present before the added ones. */
void epc_config_link_caps(EpcConfig *c);
/*
 * Calls @wrote for each aligned register of an added capability that a write of
 * the host touches.
 */
void epc_config_added_writes(const EpcConfig *c, uint32_t offset,
                             const void *buf, uint32_t len,
                             void (*wrote)(void *opaque, unsigned offset,
                                           unsigned size, uint32_t value),
                             void *opaque);

/*
 * Reads for the host, at any offset and of any length inside the space.
 * Returns false and does nothing when the range is not inside.
 */
bool epc_config_read(const EpcConfig *c, uint32_t offset, void *buf,
                     uint32_t len);

/*
 * Writes likewise. Sets *@events to the EPC_FN_EVENT_* that the write caused:
 * for registers that changed, and for FLR, which was carried out on this space.
 */
bool epc_config_write(EpcConfig *c, uint32_t offset, const void *buf,
                      uint32_t len, uint32_t *events);

/*
 * Undoes what the host wrote, except for the bits that this @kind of reset
 * keeps. Also clears Interrupt Status. The endpoint's description stays.
 */
void epc_config_reset(EpcConfig *c, EpcConfigReset kind);

/* Sets Interrupt Status, bit 3 of the Status register. */
void epc_config_set_intx(EpcConfig *c, bool pending);

uint16_t epc_config_command(const EpcConfig *c);
unsigned epc_config_dstate(const EpcConfig *c);
/* Returns the vectors that the host enabled; 0 when MSI is off or absent. */
unsigned epc_config_msi_enabled(const EpcConfig *c);
/* Returns Mask Bits; 0 when MSI is absent. */
uint32_t epc_config_msi_mask(const EpcConfig *c);
/* Returns the vectors that the function offers, 0 when MSI is absent. */
unsigned epc_config_msi_capable(const EpcConfig *c);
bool epc_config_msix_enabled(const EpcConfig *c, bool *masked);
/* Returns the number of vectors of MSI-X, 0 when it is absent. */
unsigned epc_config_msix_size(const EpcConfig *c);

/* ---- config/sriov.c ---- */

/* Does the same as epc_config_init() for a virtual function. */
void epc_config_init_vf(EpcConfig *c, unsigned speed, unsigned width);
/* Copies class and subsystem of @from. */
void epc_config_copy_header(EpcConfig *c, const EpcConfig *from);

/*
 * Adds an SR-IOV capability without virtual functions as the first extended
 * one. Called directly after epc_config_init(). @first is First VF Offset.
 */
void epc_config_add_sriov(EpcConfig *c, unsigned first);
/* Sets the number of virtual functions and their device id, without VF BARs. */
void epc_config_set_vfs(EpcConfig *c, unsigned total, uint16_t device);
/* As epc_config_set_bar() */
void epc_config_set_vf_bar(EpcConfig *c, unsigned bar, uint32_t flags,
                           uint64_t size);

/* The registers that the host wrote */
typedef struct EpcSriov {
    uint16_t control, num;
} EpcSriov;
EpcSriov epc_config_sriov(const EpcConfig *c);
/* Undoes what the host may not write while the registers are @before. */
void epc_config_sriov_written(EpcConfig *c, const EpcSriov *before);
/* Returns the value of EPC_FN_VFS. */
uint32_t epc_config_vfs(const EpcConfig *c);

#endif /* HW_PCI_EP_CONFIG_SPACE_H */
