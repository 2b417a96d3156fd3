/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state: the PCI device that the guest sees for one remote
 *
 * Only the files of function/ and the bridge look inside.  Everything in an
 * EpfFunction belongs to the main loop and the vCPUs, which hold the BQL.  It
 * keeps no state of the remote function but what the guest wrote.
 */
#ifndef HW_MISC_EPF_BRIDGE_FUNCTION_STATE_H
#define HW_MISC_EPF_BRIDGE_FUNCTION_STATE_H

#include "qemu/bitmap.h"
#include "qemu/event_notifier.h"
#include "qemu/timer.h"
#include "hw/pci/pci_device.h"
#include "hw/pci-ep/shared/fault.h"
#include "hw/pci-ep/shared/irqfd.h"
#include "hw/misc/epf-bridge/remote/remote.h"
#include "qom/object.h"

#define TYPE_EPF_FUNCTION "epf-function"
OBJECT_DECLARE_SIMPLE_TYPE(EpfFunction, EPF_FUNCTION)

/* A function that the SR-IOV capability of function 0 makes */
#define TYPE_EPF_VIRTUAL_FUNCTION "epf-virtual-function"

/* function/bars.c */
typedef struct EpfFunctionBar {
    EpfFunction *fn;
    unsigned index;
    EpfBarShape shape;          /* as the guest sees it */
    MemoryRegion container;     /* what the BAR decodes */
    MemoryRegion messages;      /* the whole BAR by message, below the rest */
    MemoryRegion ram;           /* the reservation of the remote, if any */
    EpfLayout shown;            /* the areas of @ram that the guest sees ... */
    MemoryRegion *aliases;      /* ... through these */
    EpfDoorbells *doorbells;    /* attached to @messages, or NULL */
} EpfFunctionBar;

/* function/msix.c */
typedef struct EpfMsixPlace {
    unsigned table_bir;
    uint32_t table;             /* offset in that BAR */
    unsigned pba_bir;
    uint32_t pba;
} EpfMsixPlace;

typedef struct EpfMsix {
    unsigned vectors;
    EpfMsixPlace home;          /* where the function has table and PBA */
    EpfMsixPlace place;         /* where the guest finds them */
    bool moved;
    bool own_bar;               /* in a BAR that the function does not have */
    MemoryRegion table_bar;     /* stands for the BAR in msix_init() */
    MemoryRegion pba_bar;
    MemoryRegion mirror;        /* the BAR up to the end of the table ... */
    MemoryRegion table;         /* ... and the alias that shows the table */
    MemoryRegion pba_mirror;    /* the same for the pending bits */
    MemoryRegion pba;
} EpfMsix;

/*
 * function/irq.c: eventfds of MSI or MSI-X, as many as the guest enabled, or
 * that of INTx
 */
typedef struct EpfIrqs {
    unsigned index;             /* VFU_IRQ_* */
    unsigned wanted;            /* vectors that the guest enabled */
    unsigned count;             /* vectors among them that have an eventfd */
    int *fds;                   /* of the lines; line n raises vector n */
    EpIrqfds *set;
    QEMUTimer *intx_hold;       /* pending: INTx stays asserted */
    EventNotifier intx;         /* while @index is VFU_IRQ_INTX ... */
    bool intx_watched;          /* ... its signals call epf_irq_on_intx() */
    bool intx_signalled;        /* ... and the last one was not unmasked */
    bool watched;               /* each signal may be lost by a fault */
    /* Faults: vectors that are raised once more when the timer expires ... */
    unsigned long *again;
    QEMUTimer *repeat;
    /* ... and what happens to the INTx that is asserted */
    bool intx_lost;
    bool intx_again;
} EpfIrqs;

/* function/sriov.c: the SR-IOV capability of function 0, checked */
typedef struct EpfSriov {
    unsigned cap_offset;        /* 0: the guest does not see the capability */
    unsigned first;             /* function number of the first one */
    unsigned stride;
    unsigned total;
    uint16_t device;            /* VF Device ID */
    EpfBarShape bar[EPF_NUM_BARS];  /* of one virtual function */
    unsigned msix_bar;          /* BAR for the MSI-X tables that are moved */
    uint64_t msix_size;         /* its size; 0: none is moved */
    EpfRemote *remotes[EPF_MAX_FUNCTIONS];  /* references of the bridge */
    EpfFunction *vf[EPF_MAX_FUNCTIONS];
} EpfSriov;

/*
 * What the bridge does for a function; the first two are called while it is
 * realized.
 */
typedef struct EpfFunctionOps {
    /* The guest can use the function from now on. */
    void (*attach)(EpfFunction *f);
    /* The function is about to go. */
    void (*detach)(EpfFunction *f);
    /* A fault pulls the card out. No function can be reached any more. */
    void (*pull_out)(EpfFunction *f);
    /* The port detects the uncorrectable error @status in an access to @f. */
    void (*port_error)(EpfFunction *f, uint32_t status);
} EpfFunctionOps;

struct EpfFunction {
    PCIDevice parent_obj;

    EpfRemote *remote;
    const EpfFunctionOps *ops;
    EpFaults *faults;           /* of the bridge */
    bool quiet;                 /* configuration space is read by no guest */
    struct EpfDma *dma;         /* of the bridge: what the endpoint may reach */
    EpfFunctionBar bar[EPF_NUM_BARS];
    bool trapped;               /* each access to a BAR is by message */
    EpfMsix msix;
    bool msix_relocate;         /* property of the bridge */
    uint32_t intx_hold_us;      /* likewise */
    EpfSriov sriov;             /* of function 0 */
    /* Bytes of configuration space that are read from the endpoint */
    DECLARE_BITMAP(live, PCIE_CONFIG_SPACE_SIZE);
    EpfIrqs irqs;
};

#endif /* HW_MISC_EPF_BRIDGE_FUNCTION_STATE_H */
