/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc: internal state of the virtual PCI endpoint controller
 *
 * Who may touch what: the registers run under the BQL, the host's requests
 * arrive on the reader thread of the function's server without it.  State that
 * both see is guarded by EpcState.lock; state only the registers use (the
 * argument registers) needs the BQL alone.  A definition that registers change
 * (BARs, MSI-X layout) is written under both and may be read under either.
 *
 * The device lock is never held around epc_server_disable() and _remap(), since
 * those may call back at once.
 */
#ifndef HW_PCI_EP_PCI_EPC_H
#define HW_PCI_EP_PCI_EPC_H

#include "hw/pci/pci_device.h"
#include "qemu/event_notifier.h"
#include "qemu/bitmap.h"
#include "hw/pci-ep/compat.h"
#include "hw/pci-ep/epc-config.h"
#include "hw/pci-ep/epc-dma.h"
#include "hw/pci-ep/epc-doorbell.h"
#include "hw/pci-ep/epc-forward.h"
#include "hw/pci-ep/epc-server.h"
#include "hw/pci-ep/epc-slow.h"
#include "hw/pci-ep/epc-target.h"
#include "hw/pci-ep/epc-window.h"
#include "hw/pci-ep/epc-writes.h"
#include "hw/pci-ep/pci-epc-regs.h"
#include "qom/object.h"

#define TYPE_PCI_EPC "pci-epc"
OBJECT_DECLARE_SIMPLE_TYPE(EpcState, PCI_EPC)

/* Layout of EPC_BAR_REGS; guests read it from registers. */
#define EPC_DOORBELL_BASE   0x4000
#define EPC_FN_BASE         0x10000
#define EPC_FN_STRIDE       0x2000
#define EPC_RAISE_BASE      0x20000
#define EPC_RAISE_STRIDE    EPC_RAISE_SIZE
#define EPC_DMA_BASE        0x40000
#define EPC_DMA_STRIDE      EPC_DMA_PAGE_SIZE
#define EPC_REGS_SIZE       0x80000

typedef struct EpcMemory EpcMemory;

typedef struct EpcBar {
    uint64_t size;          /* as the host sees it; 0: not defined */
    uint32_t flags;         /* EPC_BAR_FLAG_* */
    EpcTarget *target;      /* NULL: the host reads all ones */
} EpcBar;

/* The same BAR of all virtual functions */
typedef struct EpcVfBar {
    uint64_t size;          /* 0: none of them defined it */
    uint32_t flags;
} EpcVfBar;

/* EPC_FN_AREA(n) */
typedef struct EpcAreaArg {
    uint64_t addr, size;
    uint32_t type;
} EpcAreaArg;

/* An eventfd of the host that raises may signal without us */
typedef struct EpcEventfd {
    EventNotifier n;
    unsigned refs;
} EpcEventfd;

/* Eventfds of the host */
typedef struct EpcIrqs {
    int intx;               /* -1: none */
    EpcEventfd *msi[EPC_MAX_MSI];
    EpcEventfd *msix[EPC_MAX_MSIX];
} EpcIrqs;

typedef struct EpcIoEventfds EpcIoEventfds;

typedef struct EpcIntx {
    bool level;             /* as raised by the endpoint */
    bool told;              /* what the host was told last */
    bool masked;            /* by a plain client, or by the last signal */
} EpcIntx;

/* Resets of the whole device since the link came up; a session each tells */
typedef struct EpcResets {
    uint32_t hot, perst;
} EpcResets;

typedef struct EpcFunction {
    struct EpcState *epc;
    unsigned index;
    EpcServer *server;

    /* argument registers: BQL */
    uint32_t bar_index, bar_flags, count;
    uint64_t addr, size, offset;
    uint32_t id, class_rev, subsys, int_pin;
    EpcAreaArg area[EPC_MAX_AREAS];
    uint32_t cap_id, value, wmask;
    EpcIoEventfds *io;          /* BQL */

    /* under EpcState.lock */
    uint32_t cmd, status;
    bool map_waits;         /* MAP is BUSY */
    uint32_t event, event_mask;
    uint32_t raise_dropped;
    uint32_t inbound_dropped;
    EpcConfig cfg;
    uint32_t cap_offset;
    EpcWrites writes;
    EpcBar bar[EPC_NUM_BARS];
    uint32_t msix_count, msix_bar, msix_table;
    EpcDmaTable *dma;
    EpcIrqs irqs;
    bool io_stale;              /* what raises are allowed has changed */
    EpcIntx intx;
    bool up;                /* the host has this function */
    bool joined;            /* its client waits for all functions or has them */
    bool alone;             /* its client knows of this function only */
    EpcResets resets;       /* that its client told */
} EpcFunction;

struct EpcState {
    PCIDevice parent_obj;

    /* properties */
    char *socket;
    uint64_t window_size;
    uint32_t functions, vfs;
    uint32_t deadline_ms;
    PCIExpLinkSpeed speed;
    PCIExpLinkWidth width;
    bool trust_unsealed;
    uint32_t max_maps;
    OnOffAuto ioeventfd_prop;

    bool ioeventfd;
    bool io_stale;              /* one of the functions is */
    MemoryRegion regs;
    MemoryRegion window_bar;    /* what the guest sees of the window */
    MemoryRegion window_mr;     /* memory that is mapped, at the bottom of it */
    EpcMemory *window_memory;
    EpcForward *forward;        /* what hosts of other controllers do there */
    QEMUBH *bh;
    Notifier process_exit;
    uint32_t nfn;               /* numbers: functions, then virtual ones */
    EpcFunction *fn;            /* nfn of them while realized */

    QemuMutex fall_lock;        /* see epc-link.c; taken before lock */
    QemuMutex lock;
    /* under lock */
    bool closing;               /* servers are being freed */
    DECLARE_BITMAP(notify, EPC_VECTORS);    /* EPC_VECTOR_* to be raised */
    GSList *retired;            /* EpcTarget, to be freed under the BQL */
    uint32_t event, event_mask;
    uint32_t link_cmd, link_status;
    bool link_enabled;
    bool link_up;               /* some function is up */
    uint32_t shown;             /* numbers of the last START, as bits */
    EpcVfBar vf_bar[EPC_NUM_BARS];  /* of the last START */
    uint32_t vfs_state;         /* EPC_FN_VFS as virtual functions know it */
    uint32_t falling;           /* functions that are being taken down */
    EpcResets resets;           /* that the endpoint was told */
    uint16_t generation;
    uint32_t epoch;             /* device resets; older completions are void */
    uint32_t bad_access;
    uint64_t slow_interrupts;   /* that a thread of QEMU delivered */
    EpcWindow window;
    EpcSlow slow;               /* see there */
    EpcDma dma;                 /* see there */
    EpcDoorbells doorbells;     /* see there */

    bool warned_unshared;       /* BQL */
    bool warned_unmappable;     /* under lock */
};

/* ---- pci-epc.c ---- */

/* For messages: which of several controllers it is. */
const char *epc_name(EpcState *s);

/* Raises a vector of this device soon.  Lock held. */
void epc_notify(EpcState *s, unsigned vector);

/*
 * For a bottom half that held a reference, since the device could be ejected
 * under it: whoever calls it still writes to the device when it has returned.
 */
void epc_bh_unref(EpcState *s);

/* Sets events and raises EPC_VECTOR_EVENT when one is unmasked.  Lock held. */
void epc_event(EpcState *s, uint32_t events);
void epc_fn_event(EpcFunction *fn, uint32_t events);
/* The bits of EPC_REG_FN_PENDING.  Lock held. */
uint32_t epc_fn_pending(EpcState *s);

/* A completion that outlives the register write that began it. */
typedef struct EpcWait {
    EpcFunction *fn;
    uint32_t epoch;
    EpcTarget *old;         /* what the host could still reach */
} EpcWait;

EpcWait *epc_wait_new(EpcFunction *fn, EpcTarget *old);
/* Lock held.  False when the device was reset since. */
bool epc_wait_end(EpcWait *wait);

/* EPC_REG_RESET and machine reset.  BQL. */
void epc_reset_all(EpcState *s);

/* ---- epc-regs.c ---- */
extern const MemoryRegionOps epc_regs_ops;

/* ---- epc-link.c ---- */
/*
 * Takes all functions down.  No function comes up before that is done, and
 * link_status is BUSY until then.  Lock not held.
 */
void epc_link_fall(EpcState *s);
/* May the endpoint change what a host is shown?  Lock held. */
static inline bool epc_link_idle(const EpcState *s)
{
    return !s->link_enabled && !s->falling;
}
/* EPC_REG_LINK_CMD.  BQL. */
void epc_link_command(EpcState *s, uint32_t cmd);
/* For EpcServerOps; @opaque is the function */
void epc_link_changed(void *opaque, bool up, bool joined);
void epc_link_reset(void *opaque, unsigned kind);

/* ---- epc-requests.c ---- */
extern const EpcServerOps epc_server_ops;

/* ---- epc-func.c ---- */
void epc_fn_init(EpcState *s, EpcFunction *fn, unsigned index);
void epc_fn_destroy(EpcFunction *fn);
/* Back to power-up state.  BQL and lock held. */
void epc_fn_clear(EpcFunction *fn);
/* EPC_FN_CMD.  BQL. */
void epc_fn_command(EpcFunction *fn, uint32_t cmd);
/* EPC_STATUS_* of an attempt to start the link with this function. */
uint32_t epc_fn_startable(const EpcFunction *fn);
/* May memory of the host be used?  Not any more once STOP began.  Lock held. */
static inline bool epc_fn_usable(const EpcFunction *fn)
{
    return fn->up && fn->epc->link_enabled;
}
/* May the function master the bus?  Lock held. */
bool epc_fn_may_dma(const EpcFunction *fn);
/* Something epc_fn_may_dma() depends on changed.  Lock held. */
void epc_fn_update_maps(EpcFunction *fn);
/*
 * The host changed the configuration space of @fn, or @reset it already.  Lock
 * held.
 */
void epc_fn_changed(EpcFunction *fn, bool reset);
/* As the host's reset of this function.  Lock held. */
void epc_fn_reset(EpcFunction *fn);

/* ---- epc-vf.c ---- */
static inline bool epc_fn_is_vf(const EpcFunction *fn)
{
    return fn->index >= fn->epc->functions;
}
/* Does the host have it?  Always, but for virtual functions.  Lock held. */
bool epc_fn_enabled(const EpcFunction *fn);
/* EPC_FN_PCI_COMMAND.  Lock held. */
uint16_t epc_fn_pci_command(const EpcFunction *fn);
/*
 * EPC_STATUS_* of an attempt to start the link with the virtual functions; adds
 * those that there are to @shown.  Lock held.
 */
uint32_t epc_vfs_startable(EpcState *s, uint32_t *shown);
/* Describes them as found startable to the host.  Lock held. */
void epc_vfs_show(EpcState *s);
/* The host may have changed which are enabled.  Lock held. */
void epc_vfs_update(EpcState *s);

/* ---- epc-raise.c ---- */
void epc_irqs_init(EpcIrqs *irqs);
/* Detaches all.  Lock held. */
void epc_irqs_clear(EpcFunction *fn);
/* Takes @fd over; index and vector were checked.  Lock held. */
void epc_irqs_set(EpcFunction *fn, unsigned index, unsigned n, int fd);
/* Lock held. */
void epc_eventfd_unref(EpcEventfd *e);
/* Writes to the raise area.  BQL. */
void epc_raise_msi(EpcFunction *fn, unsigned n);
void epc_raise_msix(EpcFunction *fn, unsigned n);
void epc_raise_intx(EpcFunction *fn, bool level);
/* Tells the host what the level is now, if that changed.  Lock held. */
void epc_intx_update(EpcFunction *fn);

/* ---- epc-ioeventfd.c ---- */
bool epc_ioeventfd_wanted(OnOffAuto prop);
/* Eventfds, or something epc_fn_may_dma() depends on, changed.  Lock held. */
void epc_ioeventfd_changed(EpcFunction *fn);
/* From now on every raise is judged by the state of now.  BQL. */
void epc_ioeventfd_update(EpcState *s);
/* After an update that found no eventfds */
void epc_ioeventfd_free(EpcFunction *fn);

/* ---- epc-inbound.c ---- */

/* As the host sees BAR @n; 0: there is none.  Lock held. */
uint64_t epc_bar_size(const EpcFunction *fn, unsigned n);
/* What the host may map of BAR @n when it is all or nothing.  Lock held. */
void epc_bar_info(const EpcFunction *fn, unsigned n, EpcRegion *r);
/* Message access; counts what leads nowhere.  Lock held. */
void epc_bar_write(EpcFunction *fn, unsigned n, uint64_t offset,
                   const void *buf, uint32_t len);

/* SET_BAR, SET_AREAS and CLEAR_BAR.  BQL. */
uint32_t epc_bar_set(EpcFunction *fn);
uint32_t epc_bar_set_areas(EpcFunction *fn);
uint32_t epc_bar_clear(EpcFunction *fn);

#endif /* HW_PCI_EP_PCI_EPC_H */
