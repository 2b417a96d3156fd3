/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge: a PCI Express root port whose link partner is another machine
 *
 * The slot is empty until the endpoint brings its link up; then its functions
 * appear behind the port as a native hot-plug, and vanish as a surprise
 * removal.  Everything is decided in one bottom half, which makes the slot
 * look like what the client offers at that moment.
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
#include "hw/pci-ep/ep-vcpus.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "migration/vmstate.h"
#include "system/system.h"
#include "epf-bridge.h"
#include "trace.h"

#define AER_OFFSET  0x100
#define ACS_OFFSET  (AER_OFFSET + PCI_ERR_SIZEOF)

/* A default pci-epf-test needs 2 MiB of each; drivers' functions need more */
#define DEFAULT_MEM_RESERVE     (32 * MiB)
#define DEFAULT_PREF64_RESERVE  (1 * GiB)

#define SLOT_MAX        0x1fff  /* what Slot Capabilities can tell */

#define DEADLINE_MIN_MS 10
#define DEADLINE_MAX_MS 60000

static PCIConfigWriteFunc *parent_config_write;

/*
 * ------------------------------------------------------------------------
 * Functions
 */
static void remove_functions(EpfBridge *b)
{
    for (unsigned i = EPF_MAX_FUNCTIONS; i-- > 0;) {
        EpfFunction *f = b->functions[i];

        if (f) {
            trace_epf_bridge_remove(f->link->generation, i);
            b->functions[i] = NULL;
        }
        /* Virtual ones go with function 0 */
        if (f && !pci_is_vf(PCI_DEVICE(f))) {
            hotplug_handler_unplug(HOTPLUG_HANDLER(b), DEVICE(f),
                                   &error_abort);
            object_unparent(OBJECT(f));
        }
    }
    epf_group_put_links(b->link);
}

static bool add_function(EpfBridge *b, EpfLink **links, unsigned func,
                         bool multi, Error **errp)
{
    PCIBus *bus = pci_bridge_get_sec_bus(PCI_BRIDGE(b));
    EpfFunction *f = epf_function_new(links[func], func, multi);
    g_autofree char *name = g_strdup_printf("function[%u]", func);

    f->msix_relocate = b->msix_relocate;
    if (!func) {
        epf_sriov_plan(&f->sriov, links, b->msix_relocate);
    }
    object_property_add_child(OBJECT(b), name, OBJECT(f));
    b->functions[func] = f;
    if (!pci_realize_and_unref(PCI_DEVICE(f), bus, errp)) {
        b->functions[func] = NULL;
        object_unparent(OBJECT(f));
        return false;
    }
    trace_epf_bridge_add(links[func]->generation, func);
    return true;
}

/* Those that function 0 has made */
static void add_virtual_functions(EpfBridge *b)
{
    EpfSriov *s = &b->functions[0]->sriov;

    for (unsigned i = 0; s->at && i < s->total; i++) {
        b->functions[s->first + i * s->stride] = s->vf[i];
    }
}

/* Function 0 last: a guest looks at the others once it is there. */
static bool add_functions(EpfBridge *b, EpfLink **links)
{
    bool multi = false;
    Error *err = NULL;

    for (unsigned i = EPF_MAX_FUNCTIONS; i-- > 0;) {
        if (!links[i]) {
            continue;
        }
        b->link[i] = epf_link_ref(links[i]);
        if (links[i]->is_virtual) {
            continue;
        }
        multi |= i > 0;
        if (!add_function(b, links, i, multi, &err)) {
            epf_client_report(links[i]->client, "%s", error_get_pretty(err));
            error_free(err);
            remove_functions(b);
            return false;
        }
    }
    add_virtual_functions(b);
    return true;
}

static bool is_showing(EpfBridge *b, EpfLink **links)
{
    return !memcmp(b->link, links, sizeof(b->link));
}

/* Makes the slot look like @links, all of which may be NULL. */
static void show_links(EpfBridge *b, EpfLink **links)
{
    if (b->link[0] && !is_showing(b, links)) {
        remove_functions(b);
        epf_slot_set_present(PCI_DEVICE(b), false);
    }
    if (links[0] && !b->link[0]) {
        if (add_functions(b, links)) {
            epf_slot_set_present(PCI_DEVICE(b), true);
        } else {
            links[0]->refused = true;
        }
    }
    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        if (b->functions[i]) {
            epf_bars_sync(b->functions[i]);
        }
    }
}

static bool is_shown(EpfBridge *b, EpfLink **links)
{
    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        if (b->functions[i] && !epf_bars_synced(b->functions[i])) {
            return false;
        }
    }
    return is_showing(b, links) || (!b->link[0] && links[0]->refused);
}

static void epf_bridge_sync(void *opaque)
{
    EpfBridge *b = opaque;
    EpfLink *links[EPF_MAX_FUNCTIONS];

    epf_group_get_links(b->group, links);
    if (!is_shown(b, links)) {
        /*
         * A vCPU that waits for the BQL would reach what is left of the
         * function
         */
        ep_pause_vcpus(DEVICE(b));
        show_links(b, links);
        ep_resume_vcpus();
    }
    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        if (b->functions[i]) {
            epf_bars_sync_doorbells(b->functions[i]);
            epf_irq_sync(b->functions[i]);
        }
    }
    epf_group_put_links(links);
}

static void epf_bridge_changed(void *opaque)
{
    EpfBridge *b = opaque;

    qemu_bh_schedule(b->bh);
}

/*
 * ------------------------------------------------------------------------
 * Hot-plug handler of the secondary bus
 */
static bool is_ours(EpfBridge *b, DeviceState *dev)
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
    if (!is_ours(EPF_BRIDGE(handler), dev)) {
        error_setg(errp, "only the endpoint's functions can be behind an "
                   "epf-bridge; use a pcie-root-port for other devices");
    }
}

static void epf_bridge_plug(HotplugHandler *handler, DeviceState *dev,
                            Error **errp)
{
    /* The event is raised once all functions are there */
}

static void epf_bridge_unplug_request(HotplugHandler *handler,
                                      DeviceState *dev, Error **errp)
{
    error_setg(errp, "this function belongs to the endpoint; stop it there "
               "to take it away");
}

/*
 * ------------------------------------------------------------------------
 * Resets and configuration
 */
static void forward_reset(EpfBridge *b, unsigned kind)
{
    /* Waits for all functions whose memory is taken together */
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
        if (b->link[i]) {
            epf_link_reset(b->link[i], kind);
        }
    }
}

static void epf_bridge_config_write(PCIDevice *d, uint32_t addr, uint32_t val,
                                    int len)
{
    uint16_t before = pci_get_word(d->config + PCI_BRIDGE_CONTROL);
    uint16_t after;
    EpfSlotWrite w;

    val = epf_slot_write_begin(d, addr, val, len, &w);
    memory_region_transaction_begin();
    parent_config_write(d, addr, val, len);
    after = pci_get_word(d->config + PCI_BRIDGE_CONTROL);
    if (after & ~before & PCI_BRIDGE_CTL_BUS_RESET) {
        forward_reset(EPF_BRIDGE(d), VFU_EP_RESET_HOT);
    }
    memory_region_transaction_commit();
    epf_slot_write_end(d, addr, val, len, &w);
}

static void epf_bridge_reset_hold(Object *obj, ResetType type)
{
    PCIERootPortClass *rpc = PCIE_ROOT_PORT_GET_CLASS(obj);

    if (rpc->parent_phases.hold) {
        rpc->parent_phases.hold(obj, type);
    }
    epf_slot_reset(PCI_DEVICE(obj));
    if (type == RESET_TYPE_COLD) {
        forward_reset(EPF_BRIDGE(obj), VFU_EP_RESET_PERST);
    }
}

/*
 * What no function decodes reads all ones, which is how drivers recognise a
 * device that is gone; QEMU's own answer is zero.
 */
static uint64_t nobody_read(void *opaque, hwaddr addr, unsigned size)
{
    return UINT64_MAX;
}

static void nobody_write(void *opaque, hwaddr addr, uint64_t val,
                         unsigned size)
{
}

static const MemoryRegionOps nobody_ops = {
    .read = nobody_read,
    .write = nobody_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
    .impl = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
};

static void add_nobody(EpfBridge *b)
{
    PCIBus *bus = pci_bridge_get_sec_bus(PCI_BRIDGE(b));

    memory_region_init_io(&b->nobody, OBJECT(b), &nobody_ops, b,
                          "epf-bridge-nobody", UINT64_MAX);
    memory_region_add_subregion_overlap(bus->address_space_mem, 0, &b->nobody,
                                        -1);
}

/*
 * ------------------------------------------------------------------------
 * Life
 */
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
                     "guest would never see the link; on q35 add "
                     "'-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support="
                     "off'");
        exit(1);
    }
    epf_group_start(b->group);
}

static bool check_properties(EpfBridge *b, Error **errp)
{
    PCIESlot *s = PCIE_SLOT(b);

    if (!epf_client_check_path(b->socket, errp)) {
        return false;
    }
    if (b->deadline_ms < DEADLINE_MIN_MS || b->deadline_ms > DEADLINE_MAX_MS) {
        error_setg(errp, "property 'deadline-ms' must be from %d to %d",
                   DEADLINE_MIN_MS, DEADLINE_MAX_MS);
    } else if (!s->hotplug || s->hide_native_hotplug_cap) {
        error_setg(errp, "an epf-bridge needs native hot-plug; leave "
                   "'hotplug' on and 'x-do-not-expose-native-hotplug-cap' "
                   "off");
    } else if (PCI_DEVICE(b)->cap_present & QEMU_PCIE_SLTCAP_PCP) {
        error_setg(errp, "an epf-bridge has no power controller; leave "
                   "'power_controller_present' off");
    } else if (s->speed < QEMU_PCI_EXP_LNK_5GT) {
        error_setg(errp, "property 'x-speed' must be at least 5, since slower "
                   "links do not report their state");
    } else {
        return true;
    }
    return false;
}

/* The first free one of the chassis, so that several bridges need no numbers */
static void choose_slot(PCIESlot *s)
{
    pcie_chassis_create(s->chassis);
    while (pcie_chassis_add_slot(s) < 0) {
        if (s->slot == SLOT_MAX) {
            return;
        }
        s->slot++;
    }
    pcie_chassis_del_slot(s);   /* which the root port adds itself */
}

static void epf_bridge_realize(DeviceState *dev, Error **errp)
{
    EpfBridge *b = EPF_BRIDGE(dev);
    PCIDevice *d = PCI_DEVICE(dev);
    PCIERootPortClass *rpc = PCIE_ROOT_PORT_GET_CLASS(d);
    EpfClientConfig cfg = {
        .path = b->socket,
        .name = dev->id ?: TYPE_EPF_BRIDGE,
        .deadline_ms = b->deadline_ms,
        .trust_unsealed = b->trust_unsealed,
    };
    Error *err = NULL;

    if (!check_properties(b, errp)) {
        return;
    }
    if (!PCIE_SLOT(b)->slot) {
        choose_slot(PCIE_SLOT(b));
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
    add_nobody(b);

    b->group = epf_group_new(&cfg, epf_bridge_changed, b);
    /* This context runs in the main loop only, never in a nested one */
    b->bh = aio_bh_new_guarded(iohandler_get_aio_context(), epf_bridge_sync,
                               b, &dev->mem_reentrancy_guard);
    b->machine_done.notify = epf_bridge_machine_done;
    qemu_add_machine_init_done_notifier(&b->machine_done);
}

static bool get_link_up(Object *obj, Error **errp)
{
    return EPF_BRIDGE(obj)->link[0] != NULL;
}

static bool get_connected(Object *obj, Error **errp)
{
    EpfBridge *b = EPF_BRIDGE(obj);

    return b->group && epf_client_connected(epf_group_client(b->group));
}

static char *get_last_error(Object *obj, Error **errp)
{
    EpfBridge *b = EPF_BRIDGE(obj);

    return b->group ? epf_client_last_error(epf_group_client(b->group)) :
                      g_strdup("");
}

static void get_functions(Object *obj, Visitor *v, const char *name,
                          void *opaque, Error **errp)
{
    EpfBridge *b = EPF_BRIDGE(obj);
    uint32_t value = 0;

    for (unsigned i = 0; i < EPF_MAX_FUNCTIONS; i++) {
        value |= b->functions[i] ? BIT(i) : 0;
    }
    visit_type_uint32(v, name, &value, errp);
}

static void get_generation(Object *obj, Visitor *v, const char *name,
                           void *opaque, Error **errp)
{
    EpfBridge *b = EPF_BRIDGE(obj);
    uint32_t value = b->link[0] ? b->link[0]->generation : 0;

    visit_type_uint32(v, name, &value, errp);
}

static void get_messages(Object *obj, Visitor *v, const char *name,
                         void *opaque, Error **errp)
{
    EpfBridge *b = EPF_BRIDGE(obj);
    uint64_t value = b->group ? epf_group_messages(b->group) : 0;

    visit_type_uint64(v, name, &value, errp);
}

static void get_slow_interrupts(Object *obj, Visitor *v, const char *name,
                                void *opaque, Error **errp)
{
    EpfBridge *b = EPF_BRIDGE(obj);
    uint64_t value = b->group ? epf_group_interrupts(b->group) : 0;

    visit_type_uint64(v, name, &value, errp);
}

static void epf_bridge_instance_init(Object *obj)
{
    PCI_DEVICE(obj)->cap_present &= ~QEMU_PCIE_SLTCAP_PCP;
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

    /* Firmware honours the reserve capability of this one */
    k->vendor_id = PCI_VENDOR_ID_REDHAT;
    k->device_id = PCI_DEVICE_ID_REDHAT_PCIE_RP;
    parent_config_write = k->config_write;
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

    object_class_property_add_bool(oc, "link-up", get_link_up, NULL);
    object_class_property_add_bool(oc, "connected", get_connected, NULL);
    object_class_property_add_str(oc, "last-error", get_last_error, NULL);
    object_class_property_add(oc, "generation", "uint32", get_generation,
                              NULL, NULL, NULL);
    object_class_property_add(oc, "functions", "uint32", get_functions, NULL,
                              NULL, NULL);
    object_class_property_set_description(oc, "functions",
                                          "Functions in the slot, as bits");
    object_class_property_add(oc, "messages", "uint64", get_messages, NULL,
                              NULL, NULL);
    object_class_property_set_description(oc, "messages",
                                          "Socket messages, both ways");
    object_class_property_add(oc, "slow-interrupts", "uint64",
                              get_slow_interrupts, NULL, NULL, NULL);
    object_class_property_set_description(oc, "slow-interrupts",
                                          "Interrupts of the functions that "
                                          "a thread of QEMU delivered");
}

static const TypeInfo epf_bridge_types[] = {
    {
        .name = TYPE_EPF_BRIDGE,
        .parent = TYPE_PCIE_ROOT_PORT,
        .instance_size = sizeof(EpfBridge),
        .instance_init = epf_bridge_instance_init,
        .class_init = epf_bridge_class_init,
    },
};

DEFINE_TYPES(epf_bridge_types)
