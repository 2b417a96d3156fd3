/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of the virtual PCI endpoint controller and of its functions
 *
 * Three kinds of threads use it. vCPUs of the endpoint guest access registers
 * with the BQL held. The reader thread of each function's server carries out
 * what the host asks for, without the BQL. The worker of the DMA engine looks
 * up what it may reach. Members that several of them use are guarded by
 * EpcState.lock. Members that only registers use are guarded by the BQL.
 *
 * BARs and the MSI-X layout of a function are written by commands of the
 * endpoint, with the BQL and EpcState.lock held. So one of the two is enough to
 * read them, which annotations cannot say.
 *
 * EpcState.lock is never held around epc_server_disable() and
 * epc_server_remap(), which may call back before they return.
 */
#ifndef HW_PCI_EP_ENDPOINT_STATE_H
#define HW_PCI_EP_ENDPOINT_STATE_H

#include "qemu/bitmap.h"
#include "hw/pci/pci_device.h"
#include "hw/pci-ep/pci-epc-regs.h"
#include "hw/pci-ep/wire/locks.h"
#include "hw/pci-ep/shared/compat.h"
#include "hw/pci-ep/config/space.h"
#include "hw/pci-ep/config/write-log.h"
#include "hw/pci-ep/server/server.h"
#include "hw/pci-ep/endpoint/dma.h"
#include "hw/pci-ep/endpoint/doorbell.h"
#include "hw/pci-ep/endpoint/faults.h"
#include "hw/pci-ep/endpoint/forward.h"
#include "hw/pci-ep/endpoint/irqs.h"
#include "hw/pci-ep/endpoint/its.h"
#include "hw/pci-ep/endpoint/limits.h"
#include "hw/pci-ep/endpoint/mailbox.h"
#include "hw/pci-ep/endpoint/target.h"
#include "hw/pci-ep/endpoint/trap-area.h"
#include "hw/pci-ep/endpoint/window-trap.h"
#include "hw/pci-ep/endpoint/window.h"
#include "qom/object.h"

#define TYPE_PCI_EPC "pci-epc"
OBJECT_DECLARE_SIMPLE_TYPE(EpcState, PCI_EPC)

typedef struct EpcFunction EpcFunction;
typedef struct EpcIoEventfds EpcIoEventfds;     /* endpoint/ioeventfd.c */
typedef struct EpcMemory EpcMemory;             /* endpoint/device.c */

/* ---- The device ---- */

/* A BAR that the virtual functions share, as the host sees it */
typedef struct EpcVfBar {
    uint64_t size;              /* 0: no virtual function has defined it */
    uint32_t flags;             /* EPC_BAR_FLAG_* */
} EpcVfBar;

/* Resets of the whole device since the link came up */
typedef struct EpcResets {
    uint32_t hot, perst;
} EpcResets;

/* The link of the device; endpoint/link.c */
typedef struct EpcLinkState {
    uint32_t cmd, status;       /* EPC_REG_LINK_CMD, EPC_REG_LINK_STATUS */
    bool enabled;               /* between START and STOP */
    bool cut;                   /* a requested fault keeps it down */
    bool up;                    /* the host has at least one function */
    uint16_t generation;        /* how often the link came up */
    /*
     * Bit n stands for function number n: the functions that the last START
     * showed, and those whose server has not ended epc_server_disable() yet.
     */
    uint32_t shown_mask, falling_mask;
    bool fall_waits;            /* all functions fall when a burst has ended */
    EpcResets resets;           /* that the endpoint was notified of */
} EpcLinkState;

/* What epc_host_state_end() has to carry out; endpoint/host-state.c */
typedef struct EpcHostChanges {
    uint32_t functions;         /* what they may reach and raise; as bits */
    uint32_t restored;          /* whose maps may become live; as bits */
    uint32_t lost;              /* of which host memory was removed; as bits */
} EpcHostChanges;

struct EpcState {
    PCIDevice parent_obj;

    /* Properties; they do not change after realize. */
    char *socket;
    uint64_t window_size;
    uint32_t functions, vfs;
    uint32_t deadline_ms;
    PCIExpLinkSpeed speed;
    PCIExpLinkWidth width;
    bool trust_unsealed;
    bool aer;
    uint32_t max_maps;
    uint32_t dma_threads;       /* workers of the DMA engine, after realize */
    EpcLimits limits;           /* endpoint/limits.h */
    char *profile;              /* file with more properties, or NULL */
    uint32_t given;             /* set by the user; endpoint/profile.c */
    OnOffAuto ioeventfd_prop;
    bool qtest_device;          /* accesses of a qtest are not by a CPU */

    /* Made at realize; they do not change while there are functions. */
    bool ioeventfd;             /* raise registers may be ioeventfds */
    uint64_t serial;            /* Device Serial Number of function 0 */
    MemoryRegion regs;
    MemoryRegion window_bar;    /* what the guest sees; a container */
    MemoryRegion window_mr;     /* memory that is mapped, at the bottom of it */
    EpcMemory *window_memory;
    EpcForward *forward;        /* accesses by hosts of other controllers */
    QEMUBH *bh;
    QEMUTimer *retire_timer;    /* runs @bh again for @retired */
    Notifier process_exit;
    uint32_t nfn;               /* function numbers in use: functions + vfs */
    EpcFunction *fn;            /* array of nfn; NULL once the device is gone */

    bool io_stale;              /* some function's io_stale is set; atomic */
    bool io_suspended EP_GUARDED_BY(&ep_bql);   /* epc_ioeventfd_suspend() */
    /* As the last update found epc_forward_viewed() and epc_faults_armed() */
    bool io_viewed EP_GUARDED_BY(&ep_bql);
    bool io_faulty EP_GUARDED_BY(&ep_bql);
    bool warned_unshared EP_GUARDED_BY(&ep_bql);
    bool warned_target EP_GUARDED_BY(&ep_bql);

    /*
     * Held around the calls of epc_server_disable() that take the link down, so
     * that no server is freed meanwhile. Taken before lock.
     */
    QemuMutex fall_lock;
    QemuMutex lock;

    EpcLinkState link EP_GUARDED_BY(&lock);
    bool closing EP_GUARDED_BY(&lock);          /* servers are being freed */
    EpcHostChanges changes EP_GUARDED_BY(&lock);
    /* EPC_VECTOR_* that the bottom half raises */
    DECLARE_BITMAP(notify, EPC_VECTORS) EP_GUARDED_BY(&lock);
    /* EpcTarget that the bottom half frees, since that needs the BQL */
    GSList *retired EP_GUARDED_BY(&lock);
    uint32_t event EP_GUARDED_BY(&lock), event_mask EP_GUARDED_BY(&lock);
    /* As the last START found them */
    EpcVfBar vf_bar[EPC_NUM_BARS] EP_GUARDED_BY(&lock);
    uint32_t vfs_state EP_GUARDED_BY(&lock);    /* EPC_FN_VFS, as carried out */
    uint32_t reset_count EP_GUARDED_BY(&lock);  /* voids older completions */
    uint32_t bad_access EP_GUARDED_BY(&lock);
    /* Interrupts to the host or the endpoint that a thread of QEMU delivered */
    uint64_t slow_interrupts EP_GUARDED_BY(&lock);
    bool warned_unmappable[2] EP_GUARDED_BY(&lock);     /* by message */
    EpcWindow window EP_GUARDED_BY(&lock);

    EpcWindowTrap window_trap;  /* endpoint/window-trap.h says what guards it */
    EpcDma dma;                 /* likewise endpoint/dma.h */
    EpcDoorbells doorbells;     /* likewise endpoint/doorbell.h */
    EpcIts its;                 /* likewise endpoint/its.h */
    EpcFaults faults;           /* likewise endpoint/faults.h */
    EpcTraps traps;             /* deadline_ms is guarded by lock */
};

/* ---- A function ---- */

typedef struct EpcBar {
    uint64_t size;              /* as the host sees it; 0: not defined */
    uint32_t flags;             /* EPC_BAR_FLAG_* */
    EpcTarget *target;          /* NULL: the host reads all ones */
} EpcBar;

/* EPC_FN_AREA(n) */
typedef struct EpcAreaArg {
    uint64_t addr, size;
    uint32_t type;
} EpcAreaArg;

/* The argument registers of a function page */
typedef struct EpcArgs {
    uint32_t bar, bar_flags, count;
    uint64_t addr, size, offset;
    uint32_t id, class_rev, subsys, int_pin;
    uint32_t cap_id, value, wmask;
    uint64_t doe_addr;
    uint32_t doe_token, doe_offset, doe_count;
    EpcAreaArg area[EPC_MAX_AREAS];
} EpcArgs;

typedef struct EpcIntx {
    bool level;                 /* as the endpoint raised it */
    bool sent_level;            /* the last one that was sent to the host */
    bool masked;                /* by a plain client, or by the last signal */
} EpcIntx;

/* A function's part in the link; endpoint/link.c has the transitions. */
typedef enum EpcFnLink {
    EPC_FN_LINK_DETACHED,       /* no client, or one whose link is down */
    EPC_FN_LINK_JOINED,         /* its client waits for the other functions */
    EPC_FN_LINK_UP_TOGETHER,    /* up, with all functions that are shown */
    EPC_FN_LINK_UP_ALONE,       /* up, with a client that knows no other one */
} EpcFnLink;

struct EpcFunction {
    EpcState *epc;
    unsigned index;             /* function number */
    EpcServer *server;

    EpcArgs args EP_GUARDED_BY(&ep_bql);
    EpcIoEventfds *io EP_GUARDED_BY(&ep_bql);

    /* Written with the BQL and EpcState.lock held. */
    EpcBar bar[EPC_NUM_BARS];
    uint32_t msix_count, msix_bar, msix_table;

    /*
     * Guarded by epc->lock. An annotation cannot say that; those of functions
     * do.
     */
    uint32_t cmd, status;
    bool map_waits;             /* MAP is EPC_STATUS_BUSY */
    uint32_t event, event_mask;
    uint32_t raise_dropped;
    uint32_t inbound_dropped;
    EpcConfig cfg;
    uint32_t cap_offset;
    EpcWriteLog writes;
    EpcTrap trap;
    EpcMailbox mailbox;
    EpcHostMemory *host_memory;
    EpcIrqs irqs;
    bool io_stale;              /* which raises are allowed has changed */
    EpcIntx intx;
    EpcFnLink link;
    EpcResets resets;           /* that its client reported */
};

#endif /* HW_PCI_EP_ENDPOINT_STATE_H */
