/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inject: faults of a function that the user asked for
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_bridge.h"
#include "hw/misc/epf-bridge/function/inject.h"
#include "hw/misc/epf-bridge/function/reach.h"
#include "hw/misc/epf-bridge/remote/calls.h"
#include "hw/misc/epf-bridge/remote/wait.h"

/*
 * The Vendor ID that a read returns in place of Request Retry Status (PCI
 * Express Base 5.0, 2.3.2)
 */
#define EPF_INJECT_RETRY_ID 0x0001

static bool epf_inject_armed(EpfFunction *f, EpfFaultId kind)
{
    return f->faults && (ep_faults_armed(f->faults) & BIT(kind));
}

/*
 * The bridge goes back to its fast ways when nothing is armed any more, so it
 * looks after each fault.
 */
static bool epf_inject_hit(EpfFunction *f, EpfFaultId kind, uint64_t at,
                           EpFault *fault)
{
    if (!f->faults ||
        !ep_faults_hit(f->faults, kind, f->remote->func, at, fault)) {
        return false;
    }
    epf_remote_changed(f->remote);
    return true;
}

/* Returns true when the card is pulled out in the middle of this access. */
static bool epf_inject_removal(EpfFunction *f, uint64_t at)
{
    EpFault fault;

    if (!epf_inject_hit(f, EPF_FAULT_REMOVE, at, &fault)) {
        return false;
    }
    f->ops->pull_out(f);
    return true;
}

/* ---- Configuration space ---- */

/*
 * Delays the access of a vCPU. An access that other devices or the monitor
 * would have to wait for has no such fault.
 */
static void epf_inject_delay(EpfFunction *f, EpfFaultId kind, uint64_t at)
{
    EpFault fault;

    EP_BQL_HELD();
    if (epf_wait_may_delay() && epf_inject_hit(f, kind, at, &fault)) {
        epf_wait_delay(f->remote, fault.value[EP_FAULT_US]);
    }
}

static void epf_inject_config_delay(EpfFunction *f, uint32_t addr)
{
    EpfAccess access;

    epf_wait_begin_config(&access, PCI_DEVICE(f));
    epf_inject_delay(f, EPF_FAULT_CONFIG_DELAY, addr);
    epf_wait_end_access(&access);
}

/* Does the guest want to see Request Retry Status? */
static bool epf_inject_shows_retry(EpfFunction *f)
{
    PCIDevice *port = pci_bridge_get_device(pci_get_bus(PCI_DEVICE(f)));

    return pci_get_word(port->config + port->exp.exp_cap + PCI_EXP_RTCTL) &
           PCI_EXP_RTCTL_CRSSVE;
}

bool epf_inject_config_read(EpfFunction *f, uint32_t addr, int len,
                            uint32_t *val)
{
    EpFault fault;

    if (f->quiet) {
        return false;
    }
    if (epf_inject_armed(f, EPF_FAULT_CONFIG_DELAY)) {
        epf_inject_config_delay(f, addr);
    }
    *val = UINT32_MAX;
    if (epf_inject_removal(f, addr) ||
        epf_inject_hit(f, EPF_FAULT_CONFIG_ONES, addr, &fault)) {
        return true;
    }
    if (addr == PCI_VENDOR_ID && len >= 2 &&
        epf_inject_hit(f, EPF_FAULT_CONFIG_RETRY, addr, &fault)) {
        if (epf_inject_shows_retry(f)) {
            *val = deposit32(*val, 0, 16, EPF_INJECT_RETRY_ID);
        }
        return true;
    }
    return false;
}

bool epf_inject_config_write(EpfFunction *f, uint32_t addr)
{
    return epf_inject_removal(f, addr);
}

/* ---- BARs ---- */

bool epf_inject_wants_bars(EpfFunction *f)
{
    return epf_inject_armed(f, EPF_FAULT_BAR_TIMEOUT) ||
           epf_inject_armed(f, EPF_FAULT_BAR_DELAY) ||
           epf_inject_armed(f, EPF_FAULT_BAR_POISON) ||
           epf_inject_armed(f, EPF_FAULT_REMOVE);
}

/*
 * A write has no completion, so that nothing is missing when it is lost, and
 * nothing is poisoned.
 */
bool epf_inject_bar_access(EpfFunction *f, uint64_t addr, bool is_write)
{
    EpFault fault;

    if (epf_reach_ends(f)) {
        return true;
    }
    if (!epf_inject_wants_bars(f)) {
        return false;
    }
    epf_inject_delay(f, EPF_FAULT_BAR_DELAY, addr);
    if (epf_reach_ends(f) || epf_inject_removal(f, addr)) {
        return true;
    }
    if (epf_inject_hit(f, EPF_FAULT_BAR_TIMEOUT, addr, &fault)) {
        if (!is_write) {
            f->ops->port_error(f, PCI_ERR_UNC_COMP_TIME);
        }
        return true;
    }
    if (!is_write && epf_inject_hit(f, EPF_FAULT_BAR_POISON, addr, &fault)) {
        f->ops->port_error(f, PCI_ERR_UNC_POISON_TLP);
        return true;
    }
    return false;
}

/* ---- Interrupts ---- */

bool epf_inject_wants_irqs(EpfFunction *f)
{
    return epf_inject_armed(f, EPF_FAULT_IRQ_LOST) ||
           epf_inject_armed(f, EPF_FAULT_IRQ_DOUBLE);
}

EpfInjectIrq epf_inject_irq(EpfFunction *f, unsigned vector)
{
    EpFault fault;

    if (epf_inject_hit(f, EPF_FAULT_IRQ_LOST, vector, &fault)) {
        return EPF_INJECT_LOST;
    }
    if (epf_inject_hit(f, EPF_FAULT_IRQ_DOUBLE, vector, &fault)) {
        return EPF_INJECT_DOUBLE;
    }
    return EPF_INJECT_NORMAL;
}
