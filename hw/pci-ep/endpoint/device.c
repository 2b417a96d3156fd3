/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc: a virtual PCI endpoint controller
 *
 * The PCI device the endpoint guest sees: BARs, MSI-X, properties, life cycle.
 * Registers are in epc-regs.c, functions in epc-func.c, the link in epc-link.c,
 * the host's requests in epc-requests.c.
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/rcu.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/pci/msix.h"
#include "hw/pci/pcie.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "hw/pci-ep/ep-region.h"
#include "hw/pci-ep/ep-signal.h"
#include "hw/pci-ep/pci-epc.h"
#include "hw/resettable.h"
#include "migration/vmstate.h"
#include "system/system.h"
#include "trace.h"

#define EPC_WINDOW_MIN      MiB
#define EPC_WINDOW_MAX      EP_MEM_MAX_RESERVED
#define EPC_DEADLINE_MIN    10
#define EPC_DEADLINE_MAX    60000

const char *epc_name(EpcState *s)
{
    return DEVICE(s)->id ?: TYPE_PCI_EPC;
}

void epc_notify(EpcState *s, unsigned vector)
{
    set_bit(vector, s->notify);
    qemu_bh_schedule(s->bh);
}

void epc_event(EpcState *s, uint32_t events)
{
    s->event |= events;
    if (events & s->event_mask) {
        epc_notify(s, EPC_VECTOR_EVENT);
    }
}

void epc_fn_event(EpcFunction *fn, uint32_t events)
{
    fn->event |= events;
    if (events & fn->event_mask) {
        epc_notify(fn->epc, EPC_VECTOR_EVENT);
    }
}

uint32_t epc_fn_pending(EpcState *s)
{
    uint32_t pending = 0;

    for (unsigned i = 0; i < s->nfn; i++) {
        if (s->fn[i].event & s->fn[i].event_mask) {
            pending |= BIT(i);
        }
    }
    return pending;
}

static void drop_reference(void *opaque)
{
    object_unref(OBJECT(opaque));
}

void epc_bh_unref(EpcState *s)
{
    if (s->fn) {
        object_unref(OBJECT(s));
    } else {
        aio_bh_schedule_oneshot(qemu_get_aio_context(), drop_reference, s);
    }
}

/* Interrupts and the release of guest memory need the BQL. */
static void epc_bh(void *opaque)
{
    EpcState *s = opaque;
    DECLARE_BITMAP(notify, EPC_VECTORS);
    GSList *retired;

    qemu_mutex_lock(&s->lock);
    bitmap_copy(notify, s->notify, EPC_VECTORS);
    bitmap_zero(s->notify, EPC_VECTORS);
    retired = s->retired;
    s->retired = NULL;
    if (!(s->event & s->event_mask) && !epc_fn_pending(s)) {
        clear_bit(EPC_VECTOR_EVENT, notify);    /* the guest was faster */
    }
    qemu_mutex_unlock(&s->lock);

    g_slist_free_full(retired, (GDestroyNotify)epc_target_free);
    epc_ioeventfd_update(s);
    object_ref(OBJECT(s));
    /* An interrupt is a store to where the guest wants: it may eject us. */
    for (unsigned v = 0; v < EPC_VECTORS && s->fn; v++) {
        if (test_bit(v, notify)) {
            msix_notify(PCI_DEVICE(s), v);
        }
    }
    epc_bh_unref(s);
}

EpcWait *epc_wait_new(EpcFunction *fn, EpcTarget *old)
{
    EpcWait *wait = g_new0(EpcWait, 1);

    wait->fn = fn;
    wait->epoch = fn->epc->epoch;
    wait->old = old;
    return wait;
}

bool epc_wait_end(EpcWait *wait)
{
    EpcState *s = wait->fn->epc;
    bool valid = wait->epoch == s->epoch;

    epc_target_retire(s, wait->old);
    g_free(wait);
    return valid;
}

void epc_reset_all(EpcState *s)
{
    trace_epc_reset_all();
    epc_dma_reset(s);

    qemu_mutex_lock(&s->lock);
    s->epoch++;
    bitmap_zero(s->notify, EPC_VECTORS);
    s->event = s->event_mask = 0;
    s->link_cmd = 0;
    s->link_status = EPC_STATUS_OK;
    s->link_enabled = s->link_up = false;
    s->shown = 0;
    memset(s->vf_bar, 0, sizeof(s->vf_bar));
    s->vfs_state = 0;
    s->bad_access = 0;
    epc_window_clear(&s->window);
    epc_doorbells_reset(s);
    epc_slow_changed(s);
    for (unsigned i = 0; i < s->nfn; i++) {
        epc_fn_clear(&s->fn[i]);
    }
    qemu_mutex_unlock(&s->lock);

    epc_ioeventfd_update(s);
    epc_link_fall(s);
}

static void epc_reset_hold(Object *obj, ResetType type)
{
    epc_reset_all(PCI_EPC(obj));
}

/* ---- Realize and exit ---- */

static bool epc_check_properties(EpcState *s, Error **errp)
{
    if (!s->socket || !*s->socket) {
        error_setg(errp, "pci-epc: set socket=PATH, the UNIX socket the "
                   "host's epf-bridge connects to");
        return false;
    }
    if (!is_power_of_2(s->window_size) || s->window_size < EPC_WINDOW_MIN ||
        s->window_size > EPC_WINDOW_MAX) {
        error_setg(errp, "pci-epc: window-size=%" PRIu64 " is not supported; "
                   "use a power of two from 1M to %uG", s->window_size,
                   (unsigned)(EPC_WINDOW_MAX / GiB));
        return false;
    }
    if (!s->functions || s->functions > EPC_MAX_FUNCTIONS) {
        error_setg(errp, "pci-epc: functions=%" PRIu32 " is not supported; "
                   "use 1 to %d", s->functions, EPC_MAX_FUNCTIONS);
        return false;
    }
    if (s->vfs > EPC_MAX_FUNCTIONS - s->functions) {
        error_setg(errp, "pci-epc: vfs=%" PRIu32 " is not supported; use 0 to "
                   "%" PRIu32 ", since functions=%" PRIu32 " and virtual "
                   "functions share %d numbers", s->vfs,
                   EPC_MAX_FUNCTIONS - s->functions, s->functions,
                   EPC_MAX_FUNCTIONS);
        return false;
    }
    if (s->deadline_ms < EPC_DEADLINE_MIN ||
        s->deadline_ms > EPC_DEADLINE_MAX) {
        error_setg(errp, "pci-epc: deadline-ms=%" PRIu32 " is not supported; "
                   "use %d to %d", s->deadline_ms, EPC_DEADLINE_MIN,
                   EPC_DEADLINE_MAX);
        return false;
    }
    if (!s->max_maps || s->max_maps > EPC_WINDOW_MAX_RUNS) {
        error_setg(errp, "pci-epc: max-maps=%" PRIu32 " is not supported; "
                   "use 1 to %d", s->max_maps, EPC_WINDOW_MAX_RUNS);
        return false;
    }
    if (s->width == QEMU_PCI_EXP_LNK_X12) {
        error_setg(errp, "pci-epc: x-width=12 is not supported; "
                   "use 1, 2, 4, 8, 16 or 32");
        return false;
    }
    return true;
}

/* ---- Memory of the window ---- */

struct EpcMemory {
    struct rcu_head rcu;
    void *base;
    size_t size;
};

static EpcMemory *epc_memory_new(void *base, size_t size)
{
    EpcMemory *m = g_new0(EpcMemory, 1);

    m->base = base;
    m->size = size;
    return m;
}

static void epc_memory_free(EpcMemory *m)
{
    ep_mem_release(m->base, m->size);
    g_free(m);
}

static bool epc_init_window(EpcState *s, Error **errp)
{
    if (!epc_window_init(&s->window, s->window_size, s->max_maps, errp)) {
        error_prepend(errp, "pci-epc: no memory for the window: ");
        return false;
    }
    s->window_memory = epc_memory_new(s->window.base, s->window_size);
    s->forward = epc_forward_new(s);
    memory_region_init_ram_device_ptr(&s->window_mr, OBJECT(s),
                                      "pci-epc-window-memory", s->window_size,
                                      s->window.base);
    memory_region_init(&s->window_bar, OBJECT(s), "pci-epc-window",
                       s->window_size);
    memory_region_add_subregion(&s->window_bar, 0, &s->window_mr);
    epc_slow_init(s);
    pci_register_bar(PCI_DEVICE(s), EPC_BAR_WINDOW,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64 |
                     PCI_BASE_ADDRESS_MEM_PREFETCH, &s->window_bar);
    return true;
}

static bool epc_init_pci(EpcState *s, Error **errp)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    if (pci_bus_is_express(pci_get_bus(pdev)) &&
        pcie_endpoint_cap_init(pdev, 0) < 0) {
        error_setg(errp, "pci-epc: no room for the PCI Express capability");
        return false;
    }
    if (msix_init_exclusive_bar(pdev, EPC_VECTORS, EPC_BAR_MSIX, errp)) {
        error_prepend(errp, "pci-epc: this machine has no working MSI: ");
        return false;
    }
    for (unsigned v = 0; v < EPC_VECTORS; v++) {
        msix_vector_use(pdev, v);
    }
    memory_region_init_io(&s->regs, OBJECT(s), &epc_regs_ops, s,
                          "pci-epc-regs", EPC_REGS_SIZE);
    pci_register_bar(pdev, EPC_BAR_REGS, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->regs);
    return true;
}

/* Nothing but them can call us from another thread; DMA uses the servers. */
static void epc_end_threads(EpcState *s)
{
    epc_dma_stop(s);
    epc_forward_stop(s->forward);
    /* From now on no server is called because of another one */
    WITH_QEMU_LOCK_GUARD(&s->fall_lock) {
        QEMU_LOCK_GUARD(&s->lock);
        s->closing = true;
    }
    for (unsigned i = 0; i < s->nfn; i++) {
        if (s->fn[i].server) {
            epc_server_free(s->fn[i].server);
            s->fn[i].server = NULL;
        }
    }
}

/* Devices are not unrealized when QEMU ends, but the socket has to go. */
static void epc_process_exit(Notifier *n, void *data)
{
    epc_end_threads(container_of(n, EpcState, process_exit));
}

/* Function 0 has the names that the user gave, N has them with .N appended. */
static bool epc_init_server(EpcState *s, unsigned i, Error **errp)
{
    g_autofree char *path = i ? g_strdup_printf("%s.%u", s->socket, i) : NULL;
    g_autofree char *name = i ? g_strdup_printf("%s.%u", epc_name(s), i) : NULL;
    EpcServerConfig cfg = {
        .path = path ?: s->socket,
        .name = name ?: epc_name(s),
        .deadline_ms = s->deadline_ms,
        .speed = s->speed,
        .width = s->width,
    };

    s->fn[i].server = epc_server_new(&cfg, &epc_server_ops, &s->fn[i], errp);
    return s->fn[i].server;
}

static bool epc_init_functions(EpcState *s, Error **errp)
{
    s->nfn = s->functions + s->vfs;
    s->fn = g_new0(EpcFunction, s->nfn);
    for (unsigned i = 0; i < s->nfn; i++) {
        epc_fn_init(s, &s->fn[i], i);
    }
    epc_dma_init(s);
    s->process_exit.notify = epc_process_exit;
    qemu_add_exit_notifier(&s->process_exit);
    for (unsigned i = 0; i < s->nfn; i++) {
        if (!epc_init_server(s, i, errp)) {
            return false;
        }
    }
    return true;
}

static void epc_detach_host(EpcState *s)
{
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        for (unsigned i = 0; i < s->nfn; i++) {
            epc_irqs_clear(&s->fn[i]);
        }
    }
    epc_ioeventfd_update(s);
}

static void epc_exit(PCIDevice *pdev)
{
    EpcState *s = PCI_EPC(pdev);

    if (s->fn) {
        epc_end_threads(s);
        qemu_remove_exit_notifier(&s->process_exit);
        epc_dma_exit(s);
        epc_window_clear(&s->window);
        epc_detach_host(s);
        for (unsigned i = 0; i < s->nfn; i++) {
            epc_fn_destroy(&s->fn[i]);
        }
        g_free(s->fn);
        s->fn = NULL;
    }
    epc_forward_stop(s->forward);
    epc_doorbells_exit(s);
    epc_slow_exit(s);
    ep_region_empty(&s->window_bar);
    if (s->bh) {
        qemu_bh_delete(s->bh);
        s->bh = NULL;
    }
    g_slist_free_full(s->retired, (GDestroyNotify)epc_target_free);
    s->retired = NULL;
    msix_uninit_exclusive_bar(pdev);
}

static void epc_realize(PCIDevice *pdev, Error **errp)
{
    EpcState *s = PCI_EPC(pdev);

    if (!epc_check_properties(s, errp)) {
        return;
    }
    if (!ep_signal_init(errp)) {
        error_prepend(errp, "pci-epc: ");
        return;
    }
    s->ioeventfd = epc_ioeventfd_wanted(s->ioeventfd_prop);
    s->bh = qemu_bh_new_guarded(epc_bh, s, &DEVICE(s)->mem_reentrancy_guard);
    if (!epc_init_pci(s, errp) || !epc_init_window(s, errp) ||
        !epc_doorbells_init(s, errp) || !epc_init_functions(s, errp)) {
        epc_exit(pdev);
    }
}

/* ---- Object ---- */

static void epc_instance_init(Object *obj)
{
    qemu_mutex_init(&PCI_EPC(obj)->lock);
    qemu_mutex_init(&PCI_EPC(obj)->fall_lock);
    /* Asks for 4 KiB of configuration space, whose size precedes realize. */
    PCI_DEVICE(obj)->cap_present |= QEMU_PCI_CAP_EXPRESS;
}

static void epc_instance_finalize(Object *obj)
{
    EpcState *s = PCI_EPC(obj);

    epc_forward_unref(s->forward);
    if (s->window_memory) {
        /* The RAM block of the window was given to RCU before. */
        call_rcu(s->window_memory, epc_memory_free, rcu);
    }
    qemu_mutex_destroy(&s->fall_lock);
    qemu_mutex_destroy(&s->lock);
}

static bool epc_get_link_up(Object *obj, Error **errp)
{
    EpcState *s = PCI_EPC(obj);

    QEMU_LOCK_GUARD(&s->lock);
    return s->link_up;
}

static uint32_t epc_count_regions(EpcState *s)
{
    uint32_t n = 0;

    for (unsigned i = 0; s->fn && i < s->nfn; i++) {
        n += epc_dma_table_count(s->fn[i].dma);
    }
    return n;
}

static void epc_get_counter(Object *obj, Visitor *v, const char *name,
                            void *opaque, Error **errp)
{
    EpcState *s = PCI_EPC(obj);
    uint32_t value;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (!strcmp(name, "generation")) {
            value = s->generation;
        } else if (!strcmp(name, "live-maps")) {
            value = s->window.live;
        } else if (!strcmp(name, "slow-maps")) {
            value = s->window.slow;
        } else if (!strcmp(name, "dma-regions")) {
            value = epc_count_regions(s);
        } else {
            value = s->bad_access;
        }
    }
    visit_type_uint32(v, name, &value, errp);
}

/* BQL: servers come and go under it. */
static void epc_get_messages(Object *obj, Visitor *v, const char *name,
                             void *opaque, Error **errp)
{
    EpcState *s = PCI_EPC(obj);
    uint64_t value = 0;

    for (unsigned i = 0; s->fn && i < s->nfn; i++) {
        if (s->fn[i].server) {
            value += epc_server_messages(s->fn[i].server);
        }
    }
    visit_type_uint64(v, name, &value, errp);
}

static void epc_get_slow_interrupts(Object *obj, Visitor *v, const char *name,
                                    void *opaque, Error **errp)
{
    EpcState *s = PCI_EPC(obj);
    uint64_t value;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        value = s->slow_interrupts;
    }
    visit_type_uint64(v, name, &value, errp);
}

static void epc_add_counter(ObjectClass *oc, const char *name, const char *what)
{
    object_class_property_add(oc, name, "uint32", epc_get_counter, NULL, NULL,
                              NULL);
    object_class_property_set_description(oc, name, what);
}

static const Property epc_properties[] = {
    DEFINE_PROP_STRING("socket", EpcState, socket),
    DEFINE_PROP_SIZE("window-size", EpcState, window_size, 256 * MiB),
    DEFINE_PROP_UINT32("functions", EpcState, functions, 1),
    DEFINE_PROP_UINT32("vfs", EpcState, vfs, 0),
    DEFINE_PROP_UINT32("deadline-ms", EpcState, deadline_ms, 1000),
    DEFINE_PROP_UINT32("max-maps", EpcState, max_maps, 8192),
    DEFINE_PROP_BOOL("trust-unsealed-memory", EpcState, trust_unsealed, false),
    /* For tests: on without KVM, or off with it */
    DEFINE_PROP_ON_OFF_AUTO("x-ioeventfd", EpcState, ioeventfd_prop,
                            ON_OFF_AUTO_AUTO),
    DEFINE_PROP_PCIE_LINK_SPEED("x-speed", EpcState, speed, PCIE_LINK_SPEED_16),
    DEFINE_PROP_PCIE_LINK_WIDTH("x-width", EpcState, width, PCIE_LINK_WIDTH_4),
};

/* The host's view lives in another process, and it writes our memory. */
static const VMStateDescription epc_vmstate = {
    .name = TYPE_PCI_EPC,
    .unmigratable = 1,
};

static void epc_write_own_config(PCIDevice *pdev, uint32_t addr,
                                 uint32_t val, int len)
{
    EpcDoorbells *d = &PCI_EPC(pdev)->doorbells;

    object_ref(OBJECT(pdev));
    ep_irqfds_begin(d->irqfds);
    pci_default_write_config(pdev, addr, val, len);
    /* An interrupt that was unmasked may have ejected us */
    if (d->irqfds) {
        ep_irqfds_sync(d->irqfds);
    }
    object_unref(OBJECT(pdev));
}

static void epc_class_init(ObjectClass *oc, EPC_CONST void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(oc);
    ResettableClass *rc = RESETTABLE_CLASS(oc);

    k->realize = epc_realize;
    k->exit = epc_exit;
    k->config_write = epc_write_own_config;
    k->vendor_id = EPC_PCI_VENDOR_ID;
    k->device_id = EPC_PCI_DEVICE_ID;
    k->revision = EPC_PCI_REVISION;
    k->class_id = PCI_CLASS_OTHERS;
    rc->phases.hold = epc_reset_hold;
    dc->vmsd = &epc_vmstate;
    dc->desc = "PCI endpoint controller";
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    device_class_set_props(dc, epc_properties);

    object_class_property_add_bool(oc, "link-up", epc_get_link_up, NULL);
    object_class_property_set_description(oc, "link-up", "State of the link");
    epc_add_counter(oc, "generation", "Times the link came up, modulo 2^16");
    epc_add_counter(oc, "live-maps", "Window maps that reach host memory");
    epc_add_counter(oc, "slow-maps", "Live maps that trap");
    epc_add_counter(oc, "dma-regions", "Ranges the host allows DMA to");
    epc_add_counter(oc, "bad-access", "Refused register accesses since reset");
    object_class_property_add(oc, "messages", "uint64", epc_get_messages, NULL,
                              NULL, NULL);
    object_class_property_set_description(oc, "messages",
                                          "Socket messages, both ways");
    object_class_property_add(oc, "slow-interrupts", "uint64",
                              epc_get_slow_interrupts, NULL, NULL, NULL);
    object_class_property_set_description(oc, "slow-interrupts",
                                          "Interrupts to the host that a "
                                          "thread of QEMU delivered");
}

static const TypeInfo epc_type = {
    .name = TYPE_PCI_EPC,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(EpcState),
    .instance_init = epc_instance_init,
    .instance_finalize = epc_instance_finalize,
    .class_init = epc_class_init,
    .interfaces = (EPC_CONST InterfaceInfo[]) {
        { INTERFACE_PCIE_DEVICE },
        { INTERFACE_CONVENTIONAL_PCI_DEVICE },
        { },
    },
};

static void epc_register_types(void)
{
    type_register_static(&epc_type);
}

type_init(epc_register_types)
