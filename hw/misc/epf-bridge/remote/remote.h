/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * remote: one link-up of one remote function
 *
 * The reader thread of the session creates an EpfRemote when the endpoint
 * announces its link (remote/events.c), and the connection thread fills it with
 * what the endpoint says of the function (remote/describe.c).  The main loop
 * then shows it to the guest as an epf-function.  It is dead for good once the
 * link goes down (epf_areas_kill()); the next link-up is another EpfRemote.
 *
 * The memory of the BARs belongs to the EpfRemote and not to the epf-function,
 * so that the reader thread can replace or revoke pages without the BQL, and
 * long before the main loop has removed the epf-function.
 */
#ifndef HW_MISC_EPF_BRIDGE_REMOTE_REMOTE_H
#define HW_MISC_EPF_BRIDGE_REMOTE_REMOTE_H

#include "hw/pci/pci_device.h"
#include "hw/pci-ep/vfio-user-proto.h"
#include "hw/pci-ep/shared/compat.h"
#include "hw/pci-ep/shared/peer-mem.h"
#include "hw/pci-ep/wire/locks.h"
#include "hw/misc/epf-bridge/remote/bar.h"
#include "hw/misc/epf-bridge/remote/doorbell.h"
#include "hw/misc/epf-bridge/remote/masks.h"

#define EPF_MAX_FUNCTIONS 8

typedef struct EpfConnection EpfConnection;
typedef struct EpfRemote EpfRemote;

/*
 * Bits of EpfRemote.intx.  The endpoint may assert and deassert INTx before the
 * main loop looks at the level, so EPF_INTX_ASSERTED keeps the edge until then.
 */
#define EPF_INTX_LEVEL      (1u << 0)
#define EPF_INTX_ASSERTED   (1u << 1)

/* The areas of a BAR that are memory: ascending, with gaps between them */
typedef struct EpfLayout {
    unsigned count;
    struct {
        uint64_t offset;
        uint64_t size;
    } area[VFU_EP_MAX_AREAS];
} EpfLayout;

/* What the endpoint said of a BAR; constant once the remote is described */
typedef struct EpfBar {
    EpfBarShape shape;
    void *mem;              /* reservation; NULL: reached by message only */
} EpfBar;

/* What backs a BAR at present */
typedef struct EpfBacking {
    EpfLayout layout;       /* stays while the BAR is revoked for a moment */
    bool mapped;            /* the endpoint's memory is in the areas */
    /*
     * The files of this memory, so that epf_areas_unmap() does not drop the
     * last reference: the kernel would free the memory then and there.
     */
    EpFile *files[EPW_MAX_FDS];
    unsigned revision;      /* number of EP_REMAPs received */
    unsigned asked_revision;    /* @revision at the last question */
    int64_t revoked_since;  /* g_get_monotonic_time(); 0: it is backed */
    EpfDoorbells *doorbells;
    bool ask_doorbells;     /* the endpoint waits for GET_REGION_IO_FDS */
} EpfBacking;

struct EpfRemote {
    int refs;               /* atomic */
    EpfConnection *connection;
    const char *device;     /* name of the bridge, for trace events */
    unsigned func;          /* function number */
    uint32_t generation;
    PCIExpLinkSpeed speed;
    PCIExpLinkWidth width;
    uint32_t functions;     /* all functions of the endpoint, as bits */
    bool is_virtual;        /* made by the SR-IOV capability of function 0 */
    bool dead;              /* atomic */
    unsigned intx;          /* atomic, EPF_INTX_* */
    unsigned posted;        /* atomic, writes of epf_remote_post() unanswered */

    /* The description: constant once the connection offers the remote */
    EpfBar bar[EPF_NUM_BARS];
    uint8_t config[PCIE_CONFIG_SPACE_SIZE];
    uint32_t config_size;
    uint32_t irqs[VFU_NUM_IRQS];
    bool intx_eventfd;      /* INTx is an eventfd, and not EP_INTX */
    bool intx_automasked;   /* then: each signal needs an UNMASK */

    /* The main loop could not make an epf-function of it */
    bool refused EP_GUARDED_BY(&ep_bql);
    /* The last vCPU that is to wait before its next instruction */
    CPUState *settling EP_GUARDED_BY(&ep_bql);
    /* Time of waits that is not counted yet; @answered at the last wait */
    int64_t window_us EP_GUARDED_BY(&ep_bql);
    unsigned counted EP_GUARDED_BY(&ep_bql);

    EpfMasks masks;

    /* Taken after the BQL, and never held while waiting for the endpoint */
    QemuMutex lock;
    QemuCond cond;          /* @unanswered fell, or the remote died */
    EpfBacking backing[EPF_NUM_BARS] EP_GUARDED_BY(&lock);
    /* Commands whose answer somebody waits for (remote/wait.c) */
    unsigned unanswered EP_GUARDED_BY(&lock);
    unsigned answered EP_GUARDED_BY(&lock);
    /* NULL without an epf-function; writers hold the BQL as well */
    AddressSpace *dma_as EP_GUARDED_BY(&lock);
};

/* The caller gets the first reference.  @device outlives the remote. */
EpfRemote *epf_remote_new(EpfConnection *connection, const char *device,
                          unsigned func, uint32_t generation);
EpfRemote *epf_remote_ref(EpfRemote *r);
/* Any thread; does nothing when @r is NULL.  The last one unmaps the BARs. */
void epf_remote_unref(EpfRemote *r);

static inline bool epf_remote_dead(const EpfRemote *r)
{
    return qatomic_read(&r->dead);
}

#endif /* HW_MISC_EPF_BRIDGE_REMOTE_REMOTE_H */
