/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * its: doorbells of the GIC ITS of this machine
 *
 * All that pci-epc knows about the interrupt controller of arm64 is here.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "hw/intc/arm_gicv3_its_common.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci-ep/endpoint/its.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/shared/irqfd.h"
#include "hw/pci-ep/trace.h"

/* ---- The identity of the messages ---- */

/* The function whose requester id they have; the slot is the controller's. */
static int its_devfn(const PCIDevice *pdev)
{
    return pdev->devfn ^ PCI_FUNC(~0);
}

bool epc_its_usable(EpcState *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    PCIBus *bus = pci_get_bus(pdev);

    /* Behind a bridge to conventional PCI all devices have one id. */
    return s->its.present && pci_bus_is_express(bus) &&
           !bus->devices[its_devfn(pdev)];
}

uint32_t epc_its_device(EpcState *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    return PCI_BUILD_BDF(pci_dev_bus_num(pdev), its_devfn(pdev));
}

/* ---- Rings ---- */

bool epc_its_take_frame(EpcState *s, MemoryRegion *mr)
{
    Object *its = object_dynamic_cast(memory_region_owner(mr),
                                      TYPE_ARM_GICV3_ITS_COMMON);

    if (!its || !epc_its_usable(s) ||
        mr != &ARM_GICV3_ITS_COMMON(its)->iomem_its_translation) {
        return false;
    }
    if (!s->its.frame) {
        memory_region_ref(mr);
        s->its.frame = mr;
    }
    return s->its.frame == mr;
}

bool epc_its_ring(EpcFunction *fn, uint64_t offset, const uint8_t *from,
                  uint32_t len)
{
    EpcState *s = fn->epc;
    uint32_t event;

    EP_LOCK_HELD(&s->lock);
    if (offset != GITS_TRANSLATER || (len != 2 && len != 4)) {
        return false;
    }
    event = len == 2 ? lduw_le_p(from) : ldl_le_p(from);
    trace_pci_epc_its_ring(epc_name(s), fn->index, event);
    if (event >= EPC_ITS_EVENTS) {
        return false;
    }
    s->slow_interrupts++;
    set_bit(event, s->its.rings);
    qatomic_set(&s->its.pending, true);
    qemu_bh_schedule(s->bh);
    return true;
}

static void its_clear(EpcState *s) EP_REQUIRES(&s->lock);
static void its_clear(EpcState *s)
{
    bitmap_zero(s->its.rings, EPC_ITS_EVENTS);
    qatomic_set(&s->its.pending, false);
}

/* Takes the rings that have come. */
static void its_take(EpcState *s, unsigned long *rings)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock);
static void its_take(EpcState *s, unsigned long *rings)
{
    QEMU_LOCK_GUARD(&s->lock);
    bitmap_copy(rings, s->its.rings, EPC_ITS_EVENTS);
    its_clear(s);
}

/* May the device send messages? */
static bool its_may_send(EpcState *s) EP_REQUIRES(&ep_bql);
static bool its_may_send(EpcState *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    return s->fn && s->its.frame && epc_its_usable(s) &&
           ep_irqfds_have_power(pdev) &&
           (pci_get_word(pdev->config + PCI_COMMAND) & PCI_COMMAND_MASTER);
}

void epc_its_deliver(EpcState *s)
{
    DECLARE_BITMAP(rings, EPC_ITS_EVENTS);
    unsigned long n;

    if (!qatomic_read(&s->its.pending)) {
        return;
    }
    its_take(s, rings);
    for (n = find_first_bit(rings, EPC_ITS_EVENTS); n < EPC_ITS_EVENTS;
         n = find_next_bit(rings, EPC_ITS_EVENTS, n + 1)) {
        MemTxAttrs attrs = { .requester_id = epc_its_device(s) };

        if (!its_may_send(s)) {
            return;
        }
        trace_pci_epc_its_deliver(epc_name(s), n, attrs.requester_id);
        memory_region_dispatch_write(s->its.frame, GITS_TRANSLATER, n,
                                     MO_LE | MO_32, attrs);
    }
}

/* ---- Life cycle ---- */

void epc_its_init(EpcState *s)
{
    bool several = false;

    s->its.present = object_resolve_path_type("", TYPE_ARM_GICV3_ITS_COMMON,
                                              &several) || several;
}

void epc_its_reset(EpcState *s)
{
    EP_LOCK_HELD(&s->lock);
    its_clear(s);
}

void epc_its_exit(EpcState *s)
{
    if (s->its.frame) {
        memory_region_unref(s->its.frame);
        s->its.frame = NULL;
    }
}
