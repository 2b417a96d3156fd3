/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bridge: a PCI Express root port whose link partner is another machine
 *
 * The slot is empty until the endpoint brings its link up.  Then the endpoint's
 * functions appear behind the port as a native hot-plug, and when the link goes
 * down they vanish as a surprise removal.  One bottom half in the main loop,
 * epf_bridge_sync(), makes the slot look like what the connections offer at
 * that moment; nothing else changes it.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/range.h"
#include "qemu/units.h"
#include "hw/hotplug.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie_sriov.h"
#include "hw/pci-ep/shared/region.h"
#include "hw/pci-ep/shared/socket.h"
#include "hw/pci-ep/shared/vcpus.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "migration/vmstate.h"
#include "system/system.h"
#include "hw/misc/epf-bridge/bridge.h"
#include "hw/misc/epf-bridge/dma/listener.h"
#include "hw/misc/epf-bridge/errors.h"
#include "hw/misc/epf-bridge/faults.h"
#include "hw/misc/epf-bridge/function/bars.h"
#include "hw/misc/epf-bridge/function/irq.h"
#include "hw/misc/epf-bridge/function/sriov.h"
#include "hw/misc/epf-bridge/link.h"
#include "hw/misc/epf-bridge/port.h"
#include "hw/misc/epf-bridge/properties.h"
#include "hw/misc/epf-bridge/remote/report.h"
#include "hw/misc/epf-bridge/remote/wait.h"
#include "hw/misc/epf-bridge/sleep.h"
#include "hw/misc/epf-bridge/slot.h"
#include "hw/misc/epf-bridge/trace.h"

#define AER_OFFSET  0x100
#define ACS_OFFSET  (AER_OFFSET + PCI_ERR_SIZEOF)
#define DPC_OFFSET  (ACS_OFFSET + PCI_ACS_SIZEOF)

/* A pci-epf-test needs 2 MiB of each by default, other functions need more. */
#define DEFAULT_MEM_RESERVE     (32 * MiB)
#define DEFAULT_PREF64_RESERVE  (1 * GiB)

#define SLOT_MAX        0x1fff  /* largest number in Slot Capabilities */

#define DEADLINE_MIN_MS 10
#define DEADLINE_MAX_MS 60000

static PCIConfigWriteFunc *epf_bridge_parent_config_write;

/* ---- Functions ---- */

static void epf_bridge_attach_function(EpfFunction *f)
{
    f->dma = epf_dma_new(PCI_DEVICE(f), f->remote);
}

static void epf_bridge_detach_function(EpfFunction *f)
{
    epf_dma_free(f->dma);
    f->dma = NULL;
}

static EpfBridge *epf_bridge_of(EpfFunction *f)
{
    return EPF_BRIDGE(pci_bridge_get_device(pci_get_bus(PCI_DEVICE(f))));
}

static void epf_bridge_pull_out(EpfFunction *f)
{
    epf_link_remove(epf_bridge_of(f));
}

static void epf_bridge_port_error(EpfFunction *f, uint32_t status)
{
    epf_errors_detect(epf_bridge_of(f), status);
}

static const EpfFunctionOps epf_bridge_function_ops = {
    .attach = epf_bridge_attach_function,
    .detach = epf_bridge_detach_function,
    .pull_out = epf_bridge_pull_out,
    .port_error = epf_bridge_port_error,
};

/*
 * Takes memory away from all functions in one transaction, so that all of them
 * are waited for once.  Functions of a link-up that is over keep nobody
 * waiting.
 */
static void epf_bridge_end_dma(EpfBridge *b) EP_REQUIRES(&ep_bql);
static void epf_bridge_end_dma(EpfBridge *b)
{
    memory_region_transaction_begin();
    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        EpfFunction *f = b->functions[i];

        if (f && f->dma) {
            epf_dma_leave(f->dma);
            memory_region_set_enabled(&PCI_DEVICE(f)->bus_master_enable_region,
                                      false);
        }
    }
    memory_region_transaction_commit();
    epf_wait_leave(b->remotes);
}

static void epf_bridge_remove_functions(EpfBridge *b) EP_REQUIRES(&ep_bql);
static void epf_bridge_remove_functions(EpfBridge *b)
{
    epf_bridge_end_dma(b);
    for (unsigned i = EPF_MAX_FUNCTIONS; i-- > 0;) {
        EpfFunction *f = b->functions[i];

        if (f) {
            trace_epf_bridge_remove(f->remote->device, f->remote->func,
                                    f->remote->generation);
            b->functions[i] = NULL;
        }
        /* QEMU removes virtual functions together with function 0. */
        if (f && !pci_is_vf(PCI_DEVICE(f))) {
            hotplug_handler_unplug(HOTPLUG_HANDLER(b), DEVICE(f),
                                   &error_abort);
            object_unparent(OBJECT(f));
        }
    }
    epf_device_put_remotes(b->remotes);
}

static bool epf_bridge_add_function(EpfBridge *b, EpfRemote **remotes,
                                    unsigned func, bool multi, Error **errp)
{
    PCIBus *bus = pci_bridge_get_sec_bus(PCI_BRIDGE(b));
    EpfFunction *f = epf_function_new(remotes[func], &epf_bridge_function_ops,
                                      func, multi);
    g_autofree char *name = g_strdup_printf("function[%u]", func);

    f->faults = b->faults;
    f->msix_relocate = b->msix_relocate;
    f->intx_hold_us = b->intx_hold_us;
    if (!func) {
        epf_sriov_plan(&f->sriov, remotes, b->msix_relocate);
    }
    object_property_add_child(OBJECT(b), name, OBJECT(f));
    b->functions[func] = f;
    if (!pci_realize_and_unref(PCI_DEVICE(f), bus, errp)) {
        b->functions[func] = NULL;
        object_unparent(OBJECT(f));
        return false;
    }
    trace_epf_bridge_add(remotes[func]->device, remotes[func]->func,
                         remotes[func]->generation);
    return true;
}

/* Takes those that QEMU has made for function 0. */
static void epf_bridge_add_virtual_functions(EpfBridge *b)
{
    EpfSriov *s = &b->functions[0]->sriov;

    for (unsigned i = 0; s->cap_offset && i < s->total; i++) {
        b->functions[s->first + i * s->stride] = s->vf[i];
    }
}

/*
 * Adds function 0 last: a guest that finds function 0 in a slot looks for the
 * others.
 */
static bool epf_bridge_add_functions(EpfBridge *b, EpfRemote **remotes)
    EP_REQUIRES(&ep_bql);
static bool epf_bridge_add_functions(EpfBridge *b, EpfRemote **remotes)
{
    bool multi = false;
    Error *err = NULL;

    for (unsigned i = EPF_MAX_FUNCTIONS; i-- > 0;) {
        if (!remotes[i]) {
            continue;
        }
        b->remotes[i] = epf_remote_ref(remotes[i]);
        if (remotes[i]->is_virtual) {
            continue;
        }
        multi |= i > 0;
        if (!epf_bridge_add_function(b, remotes, i, multi, &err)) {
            epf_remote_report_err(remotes[i], err);
            epf_bridge_remove_functions(b);
            return false;
        }
    }
    epf_bridge_add_virtual_functions(b);
    return true;
}

static bool epf_bridge_has_remotes(EpfBridge *b, EpfRemote **remotes)
{
    return !memcmp(b->remotes, remotes, sizeof(b->remotes));
}

/* Makes the slot look like @remotes, all of which may be NULL. */
static void epf_bridge_show(EpfBridge *b, EpfRemote **remotes)
    EP_REQUIRES(&ep_bql);
static void epf_bridge_show(EpfBridge *b, EpfRemote **remotes)
{
    if (b->remotes[0] && !epf_bridge_has_remotes(b, remotes)) {
        epf_bridge_remove_functions(b);
        epf_link_update(b);
    }
    if (remotes[0] && !b->remotes[0]) {
        remotes[0]->refused = !epf_bridge_add_functions(b, remotes);
        epf_link_update(b);
    }
    epf_link_settle(b);
    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        if (b->functions[i]) {
            epf_bars_sync(b->functions[i]);
        }
    }
}

/* Does the slot look like @remotes already? */
static bool epf_bridge_is_shown(EpfBridge *b, EpfRemote **remotes)
    EP_REQUIRES(&ep_bql);
static bool epf_bridge_is_shown(EpfBridge *b, EpfRemote **remotes)
{
    if (epf_link_reset_due(b)) {
        return false;
    }
    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        if (b->functions[i] && !epf_bars_synced(b->functions[i])) {
            return false;
        }
    }
    return epf_bridge_has_remotes(b, remotes) ||
           (!b->remotes[0] && remotes[0]->refused);
}

static void epf_bridge_sync(void *opaque)
{
    EpfBridge *b = opaque;
    EpfRemote *remotes[EPF_MAX_FUNCTIONS];
    bool full;

    EP_BQL_HELD();
    epf_device_get_remotes(b->endpoint, remotes);
    if (epf_link_taken_down(b)) {
        epf_device_put_remotes(remotes);
    }
    if (!epf_bridge_is_shown(b, remotes) &&
        !epf_wait_in_progress(epf_device_connection(b->endpoint))) {
        /*
         * A vCPU that has begun an access and waits for the BQL would reach a
         * function that is removed meanwhile.  One that waits for the endpoint
         * could not be paused before it has its answer.
         */
        ep_pause_vcpus(DEVICE(b));
        epf_bridge_show(b, remotes);
        ep_resume_vcpus();
    }
    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        if (b->functions[i]) {
            epf_bars_sync_doorbells(b->functions[i]);
            epf_irq_sync(b->functions[i]);
        }
    }
    full = remotes[0] && epf_bridge_has_remotes(b, remotes);
    epf_device_put_remotes(remotes);
    epf_sleep_sync(b, full);
}

static void epf_bridge_changed(void *opaque)
{
    EpfBridge *b = opaque;

    qemu_bh_schedule(b->bh);
}

/* ---- Hot-plug handler of the secondary bus ---- */

static bool epf_bridge_is_ours(EpfBridge *b, DeviceState *dev)
{
    PCIDevice *pf = pcie_sriov_get_pf(PCI_DEVICE(dev));

    if (pf) {
        dev = DEVICE(pf);
    }
    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        if (b->functions[i] && DEVICE(b->functions[i]) == dev) {
            return true;
        }
    }
    return false;
}

static void epf_bridge_pre_plug(HotplugHandler *handler, DeviceState *dev,
                                Error **errp)
{
    ERRP_GUARD();
    if (!epf_bridge_is_ours(EPF_BRIDGE(handler), dev)) {
        error_setg(errp, "only the endpoint's functions can be behind an "
                   "epf-bridge");
        error_append_hint(errp, "Use a pcie-root-port for other devices.\n");
    }
}

static void epf_bridge_plug(HotplugHandler *handler, DeviceState *dev,
                            Error **errp)
{
    /* epf_bridge_show() raises the event when all functions are there. */
}

static void epf_bridge_unplug_request(HotplugHandler *handler,
                                      DeviceState *dev, Error **errp)
{
    ERRP_GUARD();
    error_setg(errp, "this function belongs to the endpoint");
    error_append_hint(errp, "Stop it in the endpoint to remove it.\n");
}

/* ---- Resets and configuration ---- */

/* QEMU reads Link Status of function 0 for that of the port. */
static uint32_t epf_bridge_config_read(PCIDevice *d, uint32_t addr, int len)
{
    EpfFunction *f = EPF_BRIDGE(d)->functions[0];
    uint32_t val;

    if (f) {
        f->quiet = true;
    }
    val = pci_default_read_config(d, addr, len);
    if (f) {
        f->quiet = false;
    }
    return val;
}

static void epf_bridge_config_write(PCIDevice *d, uint32_t addr, uint32_t val,
                                    int len)
{
    uint16_t before = pci_get_word(d->config + PCI_BRIDGE_CONTROL);
    unsigned pending = epf_port_pending(d);
    bool contained = epf_link_write_begin(EPF_BRIDGE(d));
    uint16_t after;
    EpfSlotWrite w;

    val = epf_slot_write_begin(d, addr, val, len, &w);
    memory_region_transaction_begin();
    epf_bridge_parent_config_write(d, addr, val, len);
    after = pci_get_word(d->config + PCI_BRIDGE_CONTROL);
    if (after & ~before & PCI_BRIDGE_CTL_BUS_RESET) {
        epf_link_forward_reset(EPF_BRIDGE(d), VFU_EP_RESET_HOT);
    } else if (before & ~after & PCI_BRIDGE_CTL_BUS_RESET) {
        /* What the endpoint did to INTx meanwhile shows now. */
        qemu_bh_schedule(EPF_BRIDGE(d)->bh);
    }
    memory_region_transaction_commit();
    epf_slot_write_end(d, addr, val, len, &w);
    epf_port_notify(d, pending);
    epf_link_write_end(EPF_BRIDGE(d), contained);
}

static void epf_bridge_reset_hold(Object *obj, ResetType type)
{
    PCIERootPortClass *rpc = PCIE_ROOT_PORT_GET_CLASS(obj);

    EP_BQL_HELD();
    if (rpc->parent_phases.hold) {
        rpc->parent_phases.hold(obj, type);
    }
    epf_link_reset(EPF_BRIDGE(obj));
    epf_port_reset(PCI_DEVICE(obj));
    epf_slot_reset(PCI_DEVICE(obj));
    if (type != RESET_TYPE_SNAPSHOT_LOAD) {
        epf_errors_reset(EPF_BRIDGE(obj));
        epf_sleep_was_reset(EPF_BRIDGE(obj), type);
        epf_link_forward_reset(EPF_BRIDGE(obj), VFU_EP_RESET_PERST);
    }
}

/* ---- Addresses that no function decodes ---- */

/*
 * They read all ones, by which drivers recognise a device that is gone.  QEMU
 * itself would answer 0.
 */
static uint64_t epf_bridge_unclaimed_read(void *opaque, hwaddr addr,
                                          unsigned size)
{
    return UINT64_MAX;
}

static void epf_bridge_unclaimed_write(void *opaque, hwaddr addr, uint64_t val,
                                       unsigned size)
{
}

static const MemoryRegionOps epf_bridge_unclaimed_ops = {
    .read = epf_bridge_unclaimed_read,
    .write = epf_bridge_unclaimed_write,
    EP_REGION_ANY_ACCESS,
};

static void epf_bridge_add_unclaimed(EpfBridge *b)
{
    PCIBus *bus = pci_bridge_get_sec_bus(PCI_BRIDGE(b));

    memory_region_init_io(&b->unclaimed, OBJECT(b), &epf_bridge_unclaimed_ops,
                          b, "epf-bridge-unclaimed", UINT64_MAX);
    memory_region_add_subregion_overlap(bus->address_space_mem, 0,
                                        &b->unclaimed, -1);
}

/* ---- Life ---- */

static uint8_t epf_bridge_aer_vector(const PCIDevice *d)
{
    return 0;
}

static int epf_bridge_interrupts_init(PCIDevice *d, Error **errp)
{
    int ret = msix_init_exclusive_bar(d, 1, 0, errp);

    if (ret >= 0) {
        msix_vector_use(d, 0);
    }
    return ret;
}

static void epf_bridge_interrupts_uninit(PCIDevice *d)
{
    msix_uninit_exclusive_bar(d);
}

static void epf_bridge_machine_done(Notifier *n, void *opaque)
{
    EpfBridge *b = container_of(n, EpfBridge, machine_done);
    BusState *bus = BUS(pci_bridge_get_sec_bus(PCI_BRIDGE(b)));

    if (bus->hotplug_handler != HOTPLUG_HANDLER(b)) {
        error_report("epf-bridge: this machine hot-plugs through ACPI, so the "
                     "guest would never see the link");
        error_printf("On q35 add '-global ICH9-LPC.acpi-pci-hotplug-with-"
                     "bridge-support=off'.\n");
        exit(1);
    }
    epf_device_start(b->endpoint);
}

static bool epf_bridge_check_socket(EpfBridge *b, Error **errp)
{
    ERRP_GUARD();
    if (!b->socket || !*b->socket) {
        error_setg(errp, "property 'socket' is missing");
        error_append_hint(errp, "Set it to the socket path of the endpoint's "
                          "pci-epc, e.g. socket=/tmp/ep.sock.\n");
        return false;
    }
    return ep_socket_check_path(b->socket, errp);
}

static bool epf_bridge_check_properties(EpfBridge *b, Error **errp)
{
    PCIESlot *s = PCIE_SLOT(b);

    ERRP_GUARD();
    if (!epf_bridge_check_socket(b, errp)) {
        return false;
    }
    if (b->deadline_ms < DEADLINE_MIN_MS || b->deadline_ms > DEADLINE_MAX_MS) {
        error_setg(errp, "property 'deadline-ms' must be from %d to %d",
                   DEADLINE_MIN_MS, DEADLINE_MAX_MS);
    } else if (!s->hotplug || s->hide_native_hotplug_cap) {
        error_setg(errp, "an epf-bridge needs native hot-plug");
        error_append_hint(errp, "Leave 'hotplug' on and 'x-do-not-expose-"
                          "native-hotplug-cap' off.\n");
    } else if (PCI_DEVICE(b)->cap_present & QEMU_PCIE_SLTCAP_PCP) {
        error_setg(errp, "an epf-bridge has no power controller");
        error_append_hint(errp, "Leave 'power_controller_present' off.\n");
    } else if (s->speed < QEMU_PCI_EXP_LNK_5GT) {
        error_setg(errp, "property 'x-speed' must be at least 5, since slower "
                   "links do not report their state");
    } else {
        return true;
    }
    return false;
}

/* Takes the first free number of the chassis, so the user need not give one. */
static void epf_bridge_choose_slot(PCIESlot *s)
{
    pcie_chassis_create(s->chassis);
    while (pcie_chassis_add_slot(s) < 0) {
        if (s->slot == SLOT_MAX) {
            return;
        }
        s->slot++;
    }
    /* The root port adds the slot again when it is realized. */
    pcie_chassis_del_slot(s);
}

static void epf_bridge_realize(DeviceState *dev, Error **errp)
{
    EpfBridge *b = EPF_BRIDGE(dev);
    PCIDevice *d = PCI_DEVICE(dev);
    PCIERootPortClass *rpc = PCIE_ROOT_PORT_GET_CLASS(d);
    EpfConnectionConfig cfg = {
        .path = b->socket,
        .name = dev->id ?: TYPE_EPF_BRIDGE,
        .deadline_ms = b->deadline_ms,
        .trust_unsealed = b->trust_unsealed,
    };
    Error *err = NULL;

    EP_BQL_HELD();

    if (!epf_bridge_check_properties(b, errp)) {
        return;
    }
    if (!PCIE_SLOT(b)->slot) {
        epf_bridge_choose_slot(PCIE_SLOT(b));
    }
    rpc->parent_realize(dev, &err);
    if (err) {
        error_propagate(errp, err);
        return;
    }
    if (pci_bridge_qemu_reserve_cap_init(d, 0, b->reserve, errp) < 0) {
        rpc->parent_class.exit(d);
        return;
    }
    epf_slot_init(d);
    epf_port_init(d);
    epf_dpc_init(d, DPC_OFFSET);
    epf_bridge_add_unclaimed(b);

    ep_vcpus_init();
    epf_link_init(b);
    b->endpoint = epf_device_new(&cfg, epf_bridge_changed, b);
    /* This context runs in the main loop, but never in a nested aio_poll(). */
    b->bh = aio_bh_new_guarded(iohandler_get_aio_context(), epf_bridge_sync,
                               b, &dev->mem_reentrancy_guard);
    epf_sleep_init(b);
    b->machine_done.notify = epf_bridge_machine_done;
    qemu_add_machine_init_done_notifier(&b->machine_done);
}

static void epf_bridge_instance_init(Object *obj)
{
    PCI_DEVICE(obj)->cap_present &= ~QEMU_PCIE_SLTCAP_PCP;
    epf_faults_init(EPF_BRIDGE(obj));
}

static void epf_bridge_instance_finalize(Object *obj)
{
    epf_faults_finalize(EPF_BRIDGE(obj));
}

static const VMStateDescription epf_bridge_vmstate = {
    .name = TYPE_EPF_BRIDGE,
    .unmigratable = 1,
};

static const Property epf_bridge_props[] = {
    DEFINE_PROP_STRING("socket", EpfBridge, socket),
    DEFINE_PROP_UINT32("deadline-ms", EpfBridge, deadline_ms, 1000),
    DEFINE_PROP_BOOL("trust-unsealed-memory", EpfBridge, trust_unsealed,
                     false),
    DEFINE_PROP_BOOL("msix-relocate", EpfBridge, msix_relocate, true),
    DEFINE_PROP_UINT32("intx-hold-us", EpfBridge, intx_hold_us, 200),
    DEFINE_PROP_UINT32("bus-reserve", EpfBridge, reserve.bus, -1),
    DEFINE_PROP_SIZE("io-reserve", EpfBridge, reserve.io, 0),
    DEFINE_PROP_SIZE("mem-reserve", EpfBridge, reserve.mem_non_pref,
                     DEFAULT_MEM_RESERVE),
    DEFINE_PROP_SIZE("pref32-reserve", EpfBridge, reserve.mem_pref_32, -1),
    DEFINE_PROP_SIZE("pref64-reserve", EpfBridge, reserve.mem_pref_64,
                     DEFAULT_PREF64_RESERVE),
    DEFINE_PROP_PCIE_LINK_SPEED("x-speed", PCIESlot, speed,
                                PCIE_LINK_SPEED_16),
    DEFINE_PROP_PCIE_LINK_WIDTH("x-width", PCIESlot, width,
                                PCIE_LINK_WIDTH_32),
};

static void epf_bridge_class_init(ObjectClass *oc, EPC_CONST void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(oc);
    PCIERootPortClass *rpc = PCIE_ROOT_PORT_CLASS(oc);
    HotplugHandlerClass *hc = HOTPLUG_HANDLER_CLASS(oc);
    ResettableClass *rc = RESETTABLE_CLASS(oc);

    /* Firmware looks for the reserve capability in a port with these IDs. */
    k->vendor_id = PCI_VENDOR_ID_REDHAT;
    k->device_id = PCI_DEVICE_ID_REDHAT_PCIE_RP;
    epf_bridge_parent_config_write = k->config_write;
    k->config_read = epf_bridge_config_read;
    k->config_write = epf_bridge_config_write;

    dc->desc = "PCI Express root port linked to a remote endpoint";
    dc->vmsd = &epf_bridge_vmstate;
    dc->hotpluggable = false;
    device_class_set_props(dc, epf_bridge_props);
    device_class_set_parent_realize(dc, epf_bridge_realize,
                                    &rpc->parent_realize);
    resettable_class_set_parent_phases(rc, NULL, epf_bridge_reset_hold, NULL,
                                       &rpc->parent_phases);

    rpc->aer_vector = epf_bridge_aer_vector;
    rpc->interrupts_init = epf_bridge_interrupts_init;
    rpc->interrupts_uninit = epf_bridge_interrupts_uninit;
    rpc->aer_offset = AER_OFFSET;
    rpc->acs_offset = ACS_OFFSET;

    hc->pre_plug = epf_bridge_pre_plug;
    hc->plug = epf_bridge_plug;
    hc->unplug_request = epf_bridge_unplug_request;
    epf_properties_add(oc);
    epf_faults_add_properties(oc);
}

static const TypeInfo epf_bridge_types[] = {
    {
        .name = TYPE_EPF_BRIDGE,
        .parent = TYPE_PCIE_ROOT_PORT,
        .instance_size = sizeof(EpfBridge),
        .instance_init = epf_bridge_instance_init,
        .instance_finalize = epf_bridge_instance_finalize,
        .class_init = epf_bridge_class_init,
    },
};

DEFINE_TYPES(epf_bridge_types)
