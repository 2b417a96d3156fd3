/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-link: one link-up of one remote function
 *
 * Created when the endpoint announces its link, filled by the query, shown to
 * the guest as an epf-function and dead for good once the link goes down.  The
 * memory of the BARs belongs to it, so that the reader thread can replace or
 * revoke pages without the BQL and long before the function itself is gone.
 *
 * @lock guards what is behind the BARs, @dma_as and the count of unanswered
 * messages; it is taken after the BQL and never held over a wait for the peer.
 */
#ifndef HW_MISC_EPF_LINK_H
#define HW_MISC_EPF_LINK_H

#include "hw/pci/pci_device.h"
#include "hw/pci-ep/compat.h"
#include "hw/pci-ep/ep-mem.h"
#include "hw/pci-ep/epw.h"
#include "epf-areas.h"

#define EPF_MAX_FUNCTIONS 8

typedef struct EpfClient EpfClient;

/*
 * The endpoint pulses INTx.  The main loop may come too late to see the level,
 * so that it was asserted is remembered until then.
 */
#define EPF_INTX_LEVEL      (1u << 0)
#define EPF_INTX_ASSERTED   (1u << 1)

struct EpfLink {
    int refs;
    EpfClient *client;
    bool dead;              /* atomic */
    bool refused;           /* BQL: no function could be made of it */
    unsigned intx;          /* atomic, EPF_INTX_* */
    uint32_t generation;
    PCIExpLinkSpeed speed;
    PCIExpLinkWidth width;
    uint32_t functions;     /* of the endpoint, as bits; this one is among them */
    bool is_virtual;        /* that is for function 0 to show */

    /* Description: constant once the client offers the link */
    EpfBar bar[EPF_NUM_BARS];
    uint8_t config[PCIE_CONFIG_SPACE_SIZE];
    uint32_t config_size;
    uint32_t irqs[VFU_NUM_IRQS];

    QemuMutex lock;
    QemuCond cond;          /* unanswered fell, or dead */
    unsigned unanswered;    /* DMA_UNMAPs and awaited DMA_MAPs */
    AddressSpace *dma_as;   /* NULL: no function; changes with the BQL */
    CPUState *settling;     /* BQL: it waits before it goes on */
};

EpfLink *epf_link_new(EpfClient *client, uint32_t generation,
                      unsigned speed, unsigned width);
EpfLink *epf_link_ref(EpfLink *l);
void epf_link_unref(EpfLink *l);

static inline bool epf_link_dead(const EpfLink *l)
{
    return qatomic_read(&l->dead);
}

/* From now on all reads are all ones, also those in flight.  Any thread. */
void epf_link_kill(EpfLink *l);

/* Memory, as opposed to devices, also those whose BARs are memory */
static inline bool epf_is_memory(const MemoryRegion *mr)
{
    return memory_region_is_ram((MemoryRegion *)mr) &&
           !memory_region_is_ram_device((MemoryRegion *)mr);
}

/*
 * DMA_READ and DMA_WRITE of the endpoint; @buf is inside RAM of this process.
 * Never takes the BQL.  0 or a negative errno; -EAGAIN when it takes
 * epf_worker_dma().
 */
int epf_link_dma(EpfLink *l, uint64_t addr, void *buf, uint64_t len,
                 bool is_write);

#endif /* HW_MISC_EPF_LINK_H */
