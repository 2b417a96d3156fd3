/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Doorbells: the host interrupts the endpoint
 *
 * shared/irqfd.c turns the eventfd of a doorbell into an interrupt of this
 * guest. A signal of a doorbell that is disabled is counted by the main loop.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "qemu/memfd.h"
#include "qapi/error.h"
#include "hw/pci-ep/endpoint/doorbell.h"
#include "hw/pci-ep/endpoint/faults.h"
#include "hw/pci-ep/endpoint/its.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/raise.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/trace.h"

#include <sys/mman.h>

/* Bytes of EPC_BAR_DOORBELL that are doorbells */
#define DOORBELLS_SIZE      (4 * EPC_MAX_DOORBELLS)

static size_t doorbell_page_size(void)
{
    return qemu_real_host_page_size();
}

/* ---- Requested faults ---- */

/* Doorbell @n rings. Returns whether that is lost. */
static bool doorbell_fault(EpcState *s, unsigned n) EP_REQUIRES(&s->lock);
static bool doorbell_fault(EpcState *s, unsigned n)
{
    EpcDoorbell *b = &s->doorbells.bell[n];
    EpFault fault;

    if (epc_faults_hit(s, EPC_FAULT_DOORBELL_LOST, b->fn, n, &fault)) {
        return true;
    }
    if (epc_faults_hit(s, EPC_FAULT_DOORBELL_DOUBLE, b->fn, n, &fault) &&
        !epc_faults_repeat(s, b->fn, EPC_RAISES + n,
                           fault.value[EP_FAULT_US])) {
        epc_notify(s, b->vector);
    }
    return false;
}

/* EpIrqfdLost, called with the BQL held */
static bool doorbell_lost(void *opaque, unsigned n)
{
    EpcState *s = opaque;

    QEMU_LOCK_GUARD(&s->lock);
    return doorbell_fault(s, n);
}

void epc_doorbells_watch(EpcState *s)
{
    EpcDoorbells *d = &s->doorbells;
    bool watched = epc_faults_armed(s, EPC_FAULTS_DOORBELL);

    if (d->irqfds && watched != d->watched) {
        d->watched = watched;
        ep_irqfds_watch(d->irqfds, watched ? doorbell_lost : NULL);
    }
}

void epc_doorbell_again(EpcState *s, unsigned n)
{
    EpcDoorbell *b = &s->doorbells.bell[n];

    QEMU_LOCK_GUARD(&s->lock);
    if (b->ctrl & EPC_DOORBELL_CTRL_ENABLE) {
        epc_notify(s, b->vector);
    }
}

/* ---- Rings ---- */

/* EpIrqfdTaken, called in the main loop with the BQL held */
static void doorbell_taken(void *opaque, unsigned n, unsigned vector,
                           bool enabled)
{
    EpcState *s = opaque;
    EpcDoorbell *b = &s->doorbells.bell[n];

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (enabled) {
            s->slow_interrupts++;
        } else if (b->fn < s->nfn) {
            s->fn[b->fn].inbound_dropped++;
        }
    }
    trace_pci_epc_doorbell(epc_name(s), n, false, enabled);
}

/* Rings doorbell @n. Returns false if it is not enabled. */
static bool doorbell_ring(EpcState *s, unsigned n, uint32_t value)
    EP_REQUIRES(&s->lock);
static bool doorbell_ring(EpcState *s, unsigned n, uint32_t value)
{
    EpcDoorbell *b = &s->doorbells.bell[n];
    bool enabled = b->ctrl & EPC_DOORBELL_CTRL_ENABLE;

    trace_pci_epc_doorbell(epc_name(s), n, true, enabled);
    if (!enabled) {
        return false;
    }
    if (b->ctrl & EPC_DOORBELL_CTRL_VALUE) {
        qatomic_set(&s->doorbells.value[n], value);
    }
    if (!doorbell_fault(s, n)) {
        s->slow_interrupts++;
        epc_notify(s, b->vector);
    }
    return true;
}

bool epc_doorbell_ring(EpcState *s, uint64_t offset, const uint8_t *from,
                       uint32_t len)
{
    bool all = true;

    EP_LOCK_HELD(&s->lock);
    while (len && offset < DOORBELLS_SIZE) {
        unsigned at = offset % 4;
        uint32_t n = MIN(len, 4 - at);
        uint8_t bytes[4] = { 0 };

        memcpy(bytes + at, from, n);
        all &= doorbell_ring(s, offset / 4, ldl_le_p(bytes));
        offset += n;
        from += n;
        len -= n;
    }
    return all && !len;
}

void epc_doorbell_peek(uint64_t offset, uint8_t *buf, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        buf[i] = offset + i < DOORBELLS_SIZE ? 0 : 0xff;
    }
}

unsigned epc_doorbell_io_fds(EpcFunction *fn, uint64_t offset, uint64_t size,
                             uint64_t start, EpcIoFd *io, unsigned max)
{
    EpcDoorbells *d = &fn->epc->doorbells;
    unsigned count = 0;

    for (unsigned n = 0; n < EPC_MAX_DOORBELLS && count < max; n++) {
        EpcDoorbell *b = &d->bell[n];
        bool value = b->ctrl & EPC_DOORBELL_CTRL_VALUE;

        if (4 * n < offset || 4 * n - offset >= size) {
            continue;
        }
        b->fn = fn->index;
        io[count++] = (EpcIoFd) {
            .offset = start + (4 * n - offset),
            .fd = b->fd,
            .shadow_fd = value ? d->value_fd : -1,
            .shadow_offset = value ? 4 * n : 0,
        };
    }
    return count;
}

/* ---- Controls ---- */

static uint32_t doorbell_value(const EpcDoorbells *d, unsigned n)
{
    return d->bell[n].ctrl & EPC_DOORBELL_CTRL_VALUE ?
           qatomic_read(&d->value[n]) : 0;
}

bool epc_doorbell_read(EpcState *s, uint64_t reg, uint32_t *v)
{
    unsigned n = reg / EPC_DOORBELL_STRIDE;
    const EpcDoorbells *d = &s->doorbells;

    switch (reg % EPC_DOORBELL_STRIDE) {
    case EPC_DOORBELL_CTRL:
        *v = d->bell[n].ctrl;
        return true;
    case EPC_DOORBELL_VECTOR:
        *v = d->bell[n].vector;
        return true;
    case EPC_DOORBELL_VALUE:
        *v = doorbell_value(d, n);
        return true;
    default:
        return false;
    }
}

static bool doorbell_set(EpcState *s, unsigned n, uint64_t reg, uint32_t v)
{
    EpcDoorbell *b = &s->doorbells.bell[n];

    QEMU_LOCK_GUARD(&s->lock);
    switch (reg) {
    case EPC_DOORBELL_CTRL:
        if (v & ~(EPC_DOORBELL_CTRL_ENABLE | EPC_DOORBELL_CTRL_VALUE)) {
            return false;
        }
        if (v & ~b->ctrl & EPC_DOORBELL_CTRL_VALUE) {
            qatomic_set(&s->doorbells.value[n], 0);
        }
        b->ctrl = v;
        return true;
    case EPC_DOORBELL_VECTOR:
        if (v >= EPC_VECTORS) {
            return false;
        }
        b->vector = v;
        return true;
    default:
        return false;
    }
}

static void doorbell_aim(EpcState *s, unsigned n)
{
    const EpcDoorbell *b = &s->doorbells.bell[n];

    ep_irqfds_aim(s->doorbells.irqfds, n, b->vector,
                  b->ctrl & EPC_DOORBELL_CTRL_ENABLE);
}

bool epc_doorbell_write(EpcState *s, uint64_t reg, uint32_t v)
{
    unsigned n = reg / EPC_DOORBELL_STRIDE;

    /* Deliver the rings that have arrived by the old CTRL and VECTOR. */
    ep_irqfds_take(s->doorbells.irqfds);
    if (!s->doorbells.irqfds) {
        /* Such an interrupt has made the guest eject this device. */
        return false;
    }
    if (!doorbell_set(s, n, reg % EPC_DOORBELL_STRIDE, v)) {
        return false;
    }
    doorbell_aim(s, n);
    return true;
}

/* ---- The BAR, as this guest sees it ---- */

static uint64_t doorbell_bar_read(void *opaque, hwaddr addr, unsigned size)
{
    return 0;
}

static void doorbell_bar_write(void *opaque, hwaddr addr, uint64_t value,
                               unsigned size)
{
    /* An access by this guest itself has no effect. */
}

static const MemoryRegionOps doorbell_bar_ops = {
    .read = doorbell_bar_read,
    .write = doorbell_bar_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
};

/* ---- Life cycle ---- */

void epc_doorbells_reset(EpcState *s)
{
    EpcDoorbells *d = &s->doorbells;

    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        d->bell[n].ctrl = 0;
        d->bell[n].vector = EPC_VECTOR_DOORBELL(n);
        qatomic_set(&d->value[n], 0);
        doorbell_aim(s, n);
    }
    ep_irqfds_forget(d->irqfds);
    epc_its_reset(s);
}

static bool doorbell_init(EpcState *s, unsigned n, Error **errp)
{
    ERRP_GUARD();
    EpcDoorbell *b = &s->doorbells.bell[n];

    b->vector = EPC_VECTOR_DOORBELL(n);
    b->fd = ep_irqfds_open(s->doorbells.irqfds, n, b->vector);
    if (b->fd < 0) {
        error_setg_errno(errp, -b->fd, "pci-epc: no file descriptors for "
                         "doorbells");
        error_append_hint(errp, "Raise the limit of open files, "
                          "'ulimit -n'.\n");
        return false;
    }
    doorbell_aim(s, n);
    return true;
}

static bool doorbell_init_values(EpcDoorbells *d, Error **errp)
{
    ERRP_GUARD();
    void *p;

    d->value_fd = qemu_memfd_create("pci-epc-doorbells", doorbell_page_size(),
                                    false, 0,
                                    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
                                    errp);
    if (d->value_fd < 0) {
        error_prepend(errp, "pci-epc: no memory for doorbells: ");
        return false;
    }
    p = mmap(NULL, doorbell_page_size(), PROT_READ | PROT_WRITE, MAP_SHARED,
             d->value_fd, 0);
    if (p == MAP_FAILED) {
        error_setg_errno(errp, errno, "pci-epc: cannot map the memory of "
                         "doorbells");
        error_append_hint(errp, "Raise the sysctl vm.max_map_count.\n");
        return false;
    }
    d->value = p;
    return true;
}

bool epc_doorbells_init(EpcState *s, Error **errp)
{
    EpcDoorbells *d = &s->doorbells;

    epc_its_init(s);
    d->ready = true;
    d->value_fd = -1;
    d->irqfds = ep_irqfds_new(PCI_DEVICE(s), epc_name(s), 0, EPC_MAX_DOORBELLS,
                              doorbell_taken, s);
    if (!doorbell_init_values(d, errp)) {
        return false;
    }
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        if (!doorbell_init(s, n, errp)) {
            return false;
        }
    }
    memory_region_init_io(&d->mr, OBJECT(s), &doorbell_bar_ops, s,
                          "pci-epc-doorbell", EPC_DOORBELL_BAR_SIZE);
    pci_register_bar(PCI_DEVICE(s), EPC_BAR_DOORBELL,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64, &d->mr);
    return true;
}

void epc_doorbells_exit(EpcState *s)
{
    EpcDoorbells *d = &s->doorbells;

    epc_its_exit(s);
    if (!d->ready) {
        return;
    }
    d->ready = false;
    ep_irqfds_free(d->irqfds);
    d->irqfds = NULL;
    if (d->value) {
        munmap(d->value, doorbell_page_size());
        d->value = NULL;
    }
    if (d->value_fd >= 0) {
        close(d->value_fd);
    }
}
