/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * link: the link as the port sees it
 *
 * While the port contains an error, the data link layer is not active and no
 * function can be reached. The functions stay in the slot, and are reset as by
 * a hot reset, since that is what a link does to them when it goes down.
 *
 * Faults take the link down in another way. The sessions with the endpoint end,
 * and the slot is empty:
 *
 *   state    event                                  next
 *   -------  -------------------------------------  -------
 *   OFFERED  epf_link_take_down()                   DOWN
 *   OFFERED  epf_link_remove()                      REMOVED
 *   DOWN     the timer expires                      OFFERED
 *   REMOVED  epf_link_insert()                      OFFERED
 *
 * A reset of the machine changes nothing of that.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/host-utils.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "hw/pci/pci_bus.h"
#include "hw/misc/epf-bridge/function/sriov.h"
#include "hw/misc/epf-bridge/link.h"
#include "hw/misc/epf-bridge/port.h"
#include "hw/misc/epf-bridge/remote/calls.h"
#include "hw/misc/epf-bridge/slot.h"
#include "hw/misc/epf-bridge/trace.h"

/* ---- States ---- */

/* The states that may follow each state, as bits */
static const unsigned epf_link_next[EPF_LINK_STATES] = {
    [EPF_LINK_OFFERED] = BIT(EPF_LINK_DOWN) | BIT(EPF_LINK_REMOVED),
    [EPF_LINK_DOWN] = BIT(EPF_LINK_OFFERED),
    [EPF_LINK_REMOVED] = BIT(EPF_LINK_OFFERED),
};

static const char *const epf_link_state_names[EPF_LINK_STATES] = {
    [EPF_LINK_OFFERED] = "offered",
    [EPF_LINK_DOWN] = "down",
    [EPF_LINK_REMOVED] = "removed",
};

void epf_link_update_wanted(EpfBridge *b)
{
    epf_device_set_wanted(b->endpoint, b->link == EPF_LINK_OFFERED &&
                                       b->sleep.state != EPF_ASLEEP);
}

/* Does nothing and returns false when the table does not have the step. */
static bool epf_link_step(EpfBridge *b, EpfLinkState to)
{
    const char *from = epf_link_state_names[b->link];
    bool ok = epf_link_next[b->link] & BIT(to);

    trace_epf_bridge_link_step(DEVICE(b)->id ?: TYPE_EPF_BRIDGE, from,
                               epf_link_state_names[to], ok);
    if (ok) {
        b->link = to;
        epf_link_update_wanted(b);
        /* The bottom half shows a link that comes back. */
        if (to != EPF_LINK_OFFERED) {
            epf_link_update(b);
        }
        qemu_bh_schedule(b->bh);
    }
    return ok;
}

bool epf_link_taken_down(const EpfBridge *b)
{
    return b->link != EPF_LINK_OFFERED;
}

static bool epf_link_has_card(EpfBridge *b, Error **errp)
{
    if (!b->remotes[0] || epf_link_taken_down(b)) {
        error_setg(errp, "the link is down");
        return false;
    }
    return true;
}

bool epf_link_take_down(EpfBridge *b, uint32_t ms, Error **errp)
{
    if (!epf_link_has_card(b, errp)) {
        return false;
    }
    timer_mod(b->link_timer, qemu_clock_get_ns(QEMU_CLOCK_REALTIME) +
              (int64_t)ms * SCALE_MS);
    return epf_link_step(b, EPF_LINK_DOWN);
}

static void epf_link_expired(void *opaque)
{
    epf_link_step(opaque, EPF_LINK_OFFERED);
}

void epf_link_remove(EpfBridge *b)
{
    epf_link_step(b, EPF_LINK_REMOVED);
}

bool epf_link_insert(EpfBridge *b, Error **errp)
{
    if (b->link != EPF_LINK_REMOVED) {
        error_setg(errp, "the fault 'remove' has not happened");
        return false;
    }
    return epf_link_step(b, EPF_LINK_OFFERED);
}

void epf_link_init(EpfBridge *b)
{
    b->link_timer = timer_new_ns(QEMU_CLOCK_REALTIME, epf_link_expired, b);
}

void epf_link_update(EpfBridge *b)
{
    PCIDevice *d = PCI_DEVICE(b);
    bool present = b->remotes[0] && !epf_link_taken_down(b);

    epf_slot_set_state(d, present, present && !epf_dpc_contains(d));
}

void epf_link_reset(EpfBridge *b)
{
    epf_dpc_reset(PCI_DEVICE(b));
    b->reset_due = false;
    epf_link_update(b);
}

/* ---- Resets ---- */

void epf_link_forward_reset(EpfBridge *b, unsigned kind)
{
    /* One transaction, so that all functions are waited for once */
    memory_region_transaction_begin();
    if (b->functions[0]) {
        epf_sriov_sync(b->functions[0]);
    }
    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        if (b->functions[i]) {
            epf_function_was_reset(b->functions[i]);
        }
    }
    memory_region_transaction_commit();
    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        if (b->remotes[i]) {
            epf_remote_reset(b->remotes[i], kind);
        }
    }
}

/* ---- Training ---- */

static bool epf_link_check(const PCIDevice *d, unsigned speed, unsigned width,
                           Error **errp)
{
    uint32_t cap = pci_get_long(d->config + d->exp.exp_cap + PCI_EXP_LNKCAP);
    unsigned max_speed = cap & PCI_EXP_LNKCAP_SLS;
    unsigned max_width = (cap & PCI_EXP_LNKCAP_MLW) >>
                         ctz32(PCI_EXP_LNKCAP_MLW);

    if (!d->exp.exp_cap) {
        error_setg(errp, "%s has no PCI Express capability", d->name);
    } else if (speed > max_speed) {
        error_setg(errp, "%s is not capable of speed %u", d->name, speed);
    } else if (width > max_width || (!is_power_of_2(width) && width != 12)) {
        error_setg(errp, "%s is not capable of width %u", d->name, width);
    } else {
        return true;
    }
    return false;
}

/* Link Status of a virtual function is reserved. */
static void epf_link_set_status(EpfBridge *b, unsigned speed, unsigned width)
{
    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        PCIDevice *d = b->functions[i] ? PCI_DEVICE(b->functions[i]) : NULL;

        if (d && d->exp.exp_cap && !pci_is_vf(d)) {
            uint8_t *status = d->config + d->exp.exp_cap + PCI_EXP_LNKSTA;

            pci_word_test_and_clear_mask(status, PCI_EXP_LNKSTA_CLS |
                                                 PCI_EXP_LNKSTA_NLW);
            pci_word_test_and_set_mask(status, speed | width <<
                                       ctz32(PCI_EXP_LNKSTA_NLW));
        }
    }
}

/*
 * QEMU shows in the port what function 0 has. A link that becomes slower or
 * narrower does so since it was unreliable, and the other way it recovers on
 * its own (PCI Express Base 5.0, 7.5.3.8).
 */
bool epf_link_train(EpfBridge *b, unsigned speed, unsigned width, Error **errp)
{
    PCIDevice *port = PCI_DEVICE(b);
    unsigned before = epf_port_pending(port);
    uint16_t was = port->config_read(port, port->exp.exp_cap + PCI_EXP_LNKSTA,
                                     2);
    unsigned old_speed = was & PCI_EXP_LNKSTA_CLS;
    unsigned old_width = (was & PCI_EXP_LNKSTA_NLW) >>
                         ctz32(PCI_EXP_LNKSTA_NLW);
    bool worse;

    if (!epf_link_has_card(b, errp)) {
        return false;
    }
    if (!(was & PCI_EXP_LNKSTA_DLLLA)) {
        error_setg(errp, "the port holds the link down");
        return false;
    }
    speed = speed ?: old_speed;
    width = width ?: old_width;
    if (!epf_link_check(port, speed, width, errp) ||
        !epf_link_check(PCI_DEVICE(b->functions[0]), speed, width, errp)) {
        return false;
    }
    epf_link_set_status(b, speed, width);
    worse = speed < old_speed || width < old_width;
    if (speed != old_speed || width != old_width) {
        pci_word_test_and_set_mask(port->config + port->exp.exp_cap +
                                   PCI_EXP_LNKSTA,
                                   worse ? PCI_EXP_LNKSTA_LBMS :
                                           PCI_EXP_LNKSTA_LABS);
    }
    epf_port_notify(port, before);
    return true;
}

/* ---- Containment ---- */

/*
 * The cause may be an access to a BAR, which is on the stack. So the reset,
 * which takes BARs away, comes later. Configuration space cannot be reached
 * from now on.
 */
void epf_link_contain(EpfBridge *b, EpfDpcReason reason, uint16_t source)
{
    PCIDevice *d = PCI_DEVICE(b);
    unsigned before = epf_port_pending(d);

    epf_dpc_trigger(d, reason, source);
    trace_epf_bridge_contain(DEVICE(b)->id ?: TYPE_EPF_BRIDGE, reason, source);
    b->reset_due = true;
    epf_link_update(b);
    epf_port_notify(d, before);
    qemu_bh_schedule(b->bh);
}

bool epf_link_reset_due(const EpfBridge *b)
{
    return b->reset_due;
}

void epf_link_settle(EpfBridge *b)
{
    if (b->reset_due) {
        b->reset_due = false;
        /* One transaction, so that all functions are waited for once */
        memory_region_transaction_begin();
        bus_cold_reset(BUS(pci_bridge_get_sec_bus(PCI_BRIDGE(b))));
        epf_link_forward_reset(b, VFU_EP_RESET_HOT);
        memory_region_transaction_commit();
        if (b->remotes[0]) {
            epf_link_set_status(b, b->remotes[0]->speed, b->remotes[0]->width);
        }
    }
}

bool epf_link_write_begin(EpfBridge *b)
{
    return epf_dpc_contains(PCI_DEVICE(b));
}

void epf_link_write_end(EpfBridge *b, bool contained)
{
    PCIDevice *d = PCI_DEVICE(b);

    if (contained && !epf_dpc_contains(d)) {
        epf_link_settle(b);
        epf_link_update(b);
    }
    if (epf_dpc_take_software(d)) {
        epf_link_contain(b, EPF_DPC_SOFTWARE, 0);
    }
}
