/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-function: the PCI device the guest sees for one link-up
 *
 * Built by the epf-bridge from an EpfLink; holds no state of the remote
 * function but what the guest wrote.  All functions: main loop or vCPU, BQL.
 */
#ifndef HW_MISC_EPF_FUNCTION_H
#define HW_MISC_EPF_FUNCTION_H

#include "qemu/bitmap.h"
#include "hw/pci/pci_device.h"
#include "hw/pci-ep/ep-irqfd.h"
#include "epf-client.h"
#include "epf-mmio.h"
#include "qom/object.h"

#define TYPE_EPF_FUNCTION "epf-function"
OBJECT_DECLARE_SIMPLE_TYPE(EpfFunction, EPF_FUNCTION)

/* The same as one of the virtual functions of function 0 */
#define TYPE_EPF_VIRTUAL_FUNCTION "epf-virtual-function"

typedef struct EpfFunctionBar {
    EpfFunction *fn;
    unsigned index;
    uint64_t size;              /* as the guest sees it, 0: absent */
    uint8_t type;               /* PCI_BASE_ADDRESS_* */
    MemoryRegion container;     /* what the BAR decodes */
    MemoryRegion messages;      /* what the endpoint has, below the rest */
    MemoryRegion ram;           /* its memory, when shared */
    EpfLayout shown;            /* what of @ram the guest sees ... */
    MemoryRegion *windows;      /* ... through these */
    EpfDoorbells *doorbells;    /* attached to @messages, or NULL */
} EpfFunctionBar;

typedef struct EpfMsixPlace {
    unsigned table_bir;
    uint32_t table;
    unsigned pba_bir;
    uint32_t pba;
} EpfMsixPlace;

typedef struct EpfMsix {
    unsigned vectors;
    EpfMsixPlace home;          /* where the function put them */
    EpfMsixPlace place;         /* where the guest finds them */
    bool moved;
    bool own_bar;               /* which the function does not have */
    MemoryRegion where[2];      /* where msix_init() puts table and PBA */
    MemoryRegion mirror;        /* what the guest sees of the table ... */
    MemoryRegion table;         /* ... where it sees it */
    MemoryRegion pba;
} EpfMsix;

/* Eventfds of MSI or MSI-X, as many as the guest enabled */
typedef struct EpfIrqs {
    unsigned index;             /* VFU_IRQ_MSI, VFU_IRQ_MSIX */
    unsigned wanted;            /* vectors the guest enabled */
    unsigned count;             /* of them with an eventfd */
    int *fds;                   /* of the lines, which are the vectors */
    EpIrqfds *set;
} EpfIrqs;

typedef struct EpfIommu EpfIommu;

typedef struct EpfSriovBar {
    uint64_t size;              /* of one virtual function, 0: absent */
    uint8_t type;               /* PCI_BASE_ADDRESS_* */
} EpfSriovBar;

/* The SR-IOV capability of function 0, checked */
typedef struct EpfSriov {
    unsigned at;                /* 0: not shown */
    unsigned first;             /* function number of the first one */
    unsigned stride;
    unsigned total;
    uint16_t device;
    EpfSriovBar bar[EPF_NUM_BARS];
    unsigned msix_bar;          /* for tables that are moved, one of @bar */
    uint64_t msix_size;         /* 0: none is */
    EpfLink *link[EPF_MAX_FUNCTIONS];   /* of them; the bridge's references */
    EpfFunction *vf[EPF_MAX_FUNCTIONS];
} EpfSriov;

struct EpfFunction {
    PCIDevice parent_obj;

    EpfLink *link;
    EpfFunctionBar bar[EPF_NUM_BARS];
    EpfMsix msix;
    bool msix_relocate;         /* property of the bridge */
    EpfSriov sriov;             /* of function 0 */
    /* Bytes of configuration space that the endpoint is asked for */
    DECLARE_BITMAP(live, PCIE_CONFIG_SPACE_SIZE);
    EpfIrqs irqs;
    MemoryListener listener;
    bool listening;
    bool in_transaction;        /* of the listener */
    QLIST_HEAD(, EpfIommu) iommus;
    EpfMmio mmio;
};

/*
 * A device for @link, not realized; takes no reference to be given back.
 * @multi: there are others but virtual ones.
 */
EpfFunction *epf_function_new(EpfLink *link, unsigned func, bool multi);

/* QEMU has carried out a reset of it. */
void epf_function_was_reset(EpfFunction *f);

/* epf-sriov.c */
/*
 * What can be shown of function 0's capability; reports why not.  @relocate:
 * tables of MSI-X, see epf-msix.c
 */
void epf_sriov_plan(EpfSriov *s, EpfLink **links, bool relocate);
/* Makes the virtual functions of function 0 as planned. */
bool epf_sriov_init(EpfFunction *f, Error **errp);
void epf_sriov_exit(EpfFunction *f);
/* Is that a write to the capability? */
bool epf_sriov_written(EpfFunction *f, uint32_t addr, int len);
/* The capability was written to and the endpoint knows, or it was reset. */
void epf_sriov_sync(EpfFunction *f);
/* A virtual function, before anything else is done to it, and at its end */
void epf_sriov_vf_init(EpfFunction *f);
void epf_sriov_vf_exit(EpfFunction *f);
/* The plan it was made by, NULL: of a function */
const EpfSriov *epf_sriov_of_vf(EpfFunction *f);
/* What the guest reads of its configuration space */
uint32_t epf_sriov_vf_mask(uint32_t addr, uint32_t val, int len);

/* epf-caps.c */
bool epf_caps_init(EpfFunction *f, Error **errp);
void epf_caps_exit(EpfFunction *f);
/* Where the endpoint has capability @id, 0: nowhere */
uint8_t epf_caps_find(const EpfLink *l, uint8_t id);
/* Puts the headers of extended capabilities where the guest finds them. */
void epf_caps_show_extended(EpfFunction *f);
/* A read of configuration space by the guest */
uint32_t epf_caps_read(EpfFunction *f, uint32_t addr, int len);

/* epf-bars.c */
void epf_bars_init(EpfFunction *f);
/* Until epf_bars_register(): another BAR, a larger one, a layer on top of one */
void epf_bars_add(EpfFunction *f, unsigned bar, uint64_t size);
void epf_bars_grow(EpfFunction *f, unsigned bar, uint64_t size);
void epf_bars_overlay(EpfFunction *f, unsigned bar, uint64_t offset,
                      MemoryRegion *mr);
void epf_bars_register(EpfFunction *f);
/* Shows each BAR as it is reached now: in place or by message. */
void epf_bars_sync(EpfFunction *f);
bool epf_bars_synced(EpfFunction *f);
/* The same for doorbells, which needs no pause of the vCPUs; after it. */
void epf_bars_sync_doorbells(EpfFunction *f);
void epf_bars_exit(EpfFunction *f);
void epf_bars_finalize(EpfFunction *f);

/* epf-msix.c */
bool epf_msix_init(EpfFunction *f, uint8_t cap, Error **errp);
/* Size of a BAR for the table of @l, which slows memory where it is; or 0 */
uint64_t epf_msix_wants_bar(const EpfLink *l);
void epf_msix_exit(EpfFunction *f);
/*
 * What the endpoint is to be told of a configuration write of the guest, which
 * has been carried out here; false: nothing.
 */
bool epf_msix_forwarded(EpfFunction *f, uint32_t addr, uint32_t *val, int len);

/* epf-irq.c */
/* After the capabilities, and until before they go */
void epf_irq_init(EpfFunction *f);
/* Attaches or detaches eventfds as the guest's MSI state asks for. */
void epf_irq_sync(EpfFunction *f);
void epf_irq_exit(EpfFunction *f);

/* epf-dma.c */
void epf_dma_init(EpfFunction *f);
void epf_dma_exit(EpfFunction *f);
/*
 * A range behind an IOMMU: RAM of @mr from @offset on, NULL: to be translated
 * at each access.  Sends and does not wait.  @flags: VFU_DMA_*.
 */
void epf_dma_map(EpfFunction *f, uint64_t addr, uint64_t size, uint32_t flags,
                 MemoryRegion *mr, uint64_t offset);
void epf_dma_unmap(EpfFunction *f, uint64_t addr, uint64_t size);
/* Until at most @left messages have no answer; a dead link has none. */
void epf_dma_wait(EpfLink *l, unsigned left);

/* epf-iommu.c */
void epf_iommu_add(EpfFunction *f, MemoryRegionSection *s);
void epf_iommu_del(EpfFunction *f, MemoryRegionSection *s);

#endif /* HW_MISC_EPF_FUNCTION_H */
