/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epc-doorbell: the host interrupts the endpoint
 *
 * Eventfds that ep-irqfd turns into interrupts.  Those of doorbells that are
 * disabled arrive in the main loop, to be counted.
 */
#include "qemu/osdep.h"
#include "qemu/memfd.h"
#include "qapi/error.h"
#include "hw/pci-ep/pci-epc.h"
#include "trace.h"

#include <sys/mman.h>

/* The registers of all doorbells */
#define BELLS_SIZE  (4 * EPC_MAX_DOORBELLS)

static size_t page_size(void)
{
    return qemu_real_host_page_size();
}

/* ---- Rings ---- */

/* Main loop */
static void bell_taken(void *opaque, unsigned n, unsigned vector, bool enabled)
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
    trace_epc_doorbell(n, false, enabled);
}

bool epc_doorbell_ring(EpcState *s, uint64_t offset, uint32_t value)
{
    EpcDoorbell *b;
    bool enabled;

    if (offset >= BELLS_SIZE) {
        return false;
    }
    b = &s->doorbells.bell[offset / 4];
    enabled = b->ctrl & EPC_DOORBELL_CTRL_ENABLE;
    trace_epc_doorbell(offset / 4, true, enabled);
    if (!enabled) {
        return false;
    }
    if (b->ctrl & EPC_DOORBELL_CTRL_VALUE) {
        qatomic_set(&s->doorbells.value[offset / 4], value);
    }
    s->slow_interrupts++;
    epc_notify(s, b->vector);
    return true;
}

void epc_doorbell_peek(uint64_t offset, uint8_t *buf, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        buf[i] = offset + i < BELLS_SIZE ? 0 : 0xff;
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

static uint32_t bell_value(const EpcDoorbells *d, unsigned n)
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
        *v = bell_value(d, n);
        return true;
    default:
        return false;
    }
}

static bool bell_set(EpcState *s, unsigned n, uint64_t reg, uint32_t v)
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

static void bell_aim(EpcState *s, unsigned n)
{
    const EpcDoorbell *b = &s->doorbells.bell[n];

    ep_irqfds_aim(s->doorbells.irqfds, n, b->vector,
                  b->ctrl & EPC_DOORBELL_CTRL_ENABLE);
}

bool epc_doorbell_write(EpcState *s, uint64_t reg, uint32_t v)
{
    unsigned n = reg / EPC_DOORBELL_STRIDE;

    /* What the host did before now is judged by the controls of before. */
    ep_irqfds_take(s->doorbells.irqfds);
    if (!s->doorbells.irqfds) {     /* ejected by an interrupt of theirs */
        return false;
    }
    if (!bell_set(s, n, reg % EPC_DOORBELL_STRIDE, v)) {
        return false;
    }
    bell_aim(s, n);
    return true;
}

/* ---- The BAR, as this guest sees it ---- */

static uint64_t bar_read(void *opaque, hwaddr addr, unsigned size)
{
    return 0;
}

static void bar_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    /* This guest's own access does nothing. */
}

static const MemoryRegionOps bar_ops = {
    .read = bar_read,
    .write = bar_write,
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
        bell_aim(s, n);
    }
    ep_irqfds_forget(d->irqfds);
}

static bool init_bell(EpcState *s, unsigned n, Error **errp)
{
    EpcDoorbell *b = &s->doorbells.bell[n];

    b->vector = EPC_VECTOR_DOORBELL(n);
    b->fd = ep_irqfds_open(s->doorbells.irqfds, n, b->vector);
    if (b->fd < 0) {
        error_setg_errno(errp, -b->fd, "pci-epc: no descriptors for doorbells: "
                         "raise 'ulimit -n'");
        return false;
    }
    bell_aim(s, n);
    return true;
}

static bool init_values(EpcDoorbells *d, Error **errp)
{
    void *p;

    d->value_fd = qemu_memfd_create("pci-epc-doorbells", page_size(), false, 0,
                                    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
                                    errp);
    if (d->value_fd < 0) {
        error_prepend(errp, "pci-epc: no memory for doorbells: ");
        return false;
    }
    p = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED,
             d->value_fd, 0);
    if (p == MAP_FAILED) {
        error_setg_errno(errp, errno, "pci-epc: cannot map the memory of "
                         "doorbells: raise vm.max_map_count");
        return false;
    }
    d->value = p;
    return true;
}

bool epc_doorbells_init(EpcState *s, Error **errp)
{
    EpcDoorbells *d = &s->doorbells;

    d->ready = true;
    d->value_fd = -1;
    d->irqfds = ep_irqfds_new(PCI_DEVICE(s), EPC_MAX_DOORBELLS, bell_taken, s);
    if (!init_values(d, errp)) {
        return false;
    }
    for (unsigned n = 0; n < EPC_MAX_DOORBELLS; n++) {
        if (!init_bell(s, n, errp)) {
            return false;
        }
    }
    memory_region_init_io(&d->mr, OBJECT(s), &bar_ops, s, "pci-epc-doorbell",
                          EPC_DOORBELL_BAR_SIZE);
    pci_register_bar(PCI_DEVICE(s), EPC_BAR_DOORBELL,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64, &d->mr);
    return true;
}

void epc_doorbells_exit(EpcState *s)
{
    EpcDoorbells *d = &s->doorbells;

    if (!d->ready) {
        return;
    }
    d->ready = false;
    ep_irqfds_free(d->irqfds);
    d->irqfds = NULL;
    if (d->value) {
        munmap(d->value, page_size());
        d->value = NULL;
    }
    if (d->value_fd >= 0) {
        close(d->value_fd);
    }
}
