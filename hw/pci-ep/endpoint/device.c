/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc: a virtual PCI endpoint controller
 *
 * This file has the PCI device that the endpoint guest sees: BARs, MSI-X,
 * properties, and the life cycle.
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/range.h"
#include "qemu/rcu.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/pci/msix.h"
#include "hw/pci/pcie.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "hw/resettable.h"
#include "migration/vmstate.h"
#include "system/system.h"
#include "hw/pci-ep/endpoint/dma.h"
#include "hw/pci-ep/endpoint/doorbell.h"
#include "hw/pci-ep/endpoint/fault-control.h"
#include "hw/pci-ep/endpoint/faults.h"
#include "hw/pci-ep/endpoint/forward.h"
#include "hw/pci-ep/endpoint/function.h"
#include "hw/pci-ep/endpoint/host-memory.h"
#include "hw/pci-ep/endpoint/host-requests.h"
#include "hw/pci-ep/endpoint/ioeventfd.h"
#include "hw/pci-ep/endpoint/irqs.h"
#include "hw/pci-ep/endpoint/its.h"
#include "hw/pci-ep/endpoint/layout.h"
#include "hw/pci-ep/endpoint/limits.h"
#include "hw/pci-ep/endpoint/notify.h"
#include "hw/pci-ep/endpoint/profile.h"
#include "hw/pci-ep/endpoint/raise.h"
#include "hw/pci-ep/endpoint/regs.h"
#include "hw/pci-ep/endpoint/reset.h"
#include "hw/pci-ep/endpoint/state.h"
#include "hw/pci-ep/endpoint/target.h"
#include "hw/pci-ep/endpoint/trap-area.h"
#include "hw/pci-ep/endpoint/window-trap.h"
#include "hw/pci-ep/endpoint/window.h"
#include "hw/pci-ep/server/server.h"
#include "hw/pci-ep/shared/eventfd.h"
#include "hw/pci-ep/shared/last-ref.h"
#include "hw/pci-ep/shared/peer-mem.h"
#include "hw/pci-ep/shared/region.h"
#include "hw/pci-ep/shared/vcpus.h"

#define EPC_WINDOW_MIN      MiB
#define EPC_WINDOW_MAX      EP_MEM_MAX_RESERVED
#define EPC_DEADLINE_MIN    10
#define EPC_DEADLINE_MAX    60000
#define EPC_RETIRE_AGAIN_MS 5
#define EPC_SERIAL_COMPANY  0x525400ull

/*
 * A reader may be about to pass descriptors that the targets own. It may wait
 * for a host meanwhile, so this thread, which has the BQL, tries again later.
 */
static void epc_free_retired(EpcState *s, GSList *retired)
    EP_REQUIRES(&ep_bql) EP_EXCLUDES(&s->lock);
static void epc_free_retired(EpcState *s, GSList *retired)
{
    for (unsigned i = 0; retired && s->fn && i < s->nfn; i++) {
        if (s->fn[i].server && !epc_server_try_fence(s->fn[i].server)) {
            QEMU_LOCK_GUARD(&s->lock);
            s->retired = g_slist_concat(retired, s->retired);
            timer_mod(s->retire_timer, EPC_RETIRE_AGAIN_MS +
                      qemu_clock_get_ms(QEMU_CLOCK_REALTIME));
            return;
        }
    }
    g_slist_free_full(retired, (GDestroyNotify)epc_target_free);
}

static void epc_retire_again(void *opaque)
{
    EpcState *s = opaque;

    qemu_bh_schedule(s->bh);
}

/*
 * Does what needs the BQL and was asked for in any thread: raises vectors and
 * rings of an ITS, frees targets, updates ioeventfds and the watch of doorbells.
 */
static void epc_bh(void *opaque)
{
    EpcState *s = opaque;
    DECLARE_BITMAP(notify, EPC_VECTORS);
    GSList *retired;

    EP_BQL_HELD();
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        bitmap_copy(notify, s->notify, EPC_VECTORS);
        bitmap_zero(s->notify, EPC_VECTORS);
        retired = s->retired;
        s->retired = NULL;
        if (!(s->event & s->event_mask) && !epc_fn_pending(s)) {
            /* The guest has cleared or masked the events meanwhile. */
            clear_bit(EPC_VECTOR_EVENT, notify);
        }
    }

    epc_free_retired(s, retired);
    epc_ioeventfd_update(s);
    epc_doorbells_watch(s);
    object_ref(OBJECT(s));
    epc_its_deliver(s);
    /*
     * An interrupt is a store to an address that the guest chooses. It may make
     * the machine eject this device. Without MSI-X Enable msix_notify() would
     * set a pending bit, which the next driver would find.
     */
    for (unsigned v = 0; v < EPC_VECTORS && s->fn; v++) {
        if (test_bit(v, notify) && msix_enabled(PCI_DEVICE(s))) {
            msix_notify(PCI_DEVICE(s), v);
        }
    }
    epc_bh_unref(s);
}

/*
 * An EUI-64 of QEMU's locally administered company id. It differs each time
 * QEMU starts: a host that finds the same number after it has slept takes the
 * device for the one that it knew (pciehp_device_replaced()).
 */
static uint64_t epc_new_serial(void)
{
    uint64_t extension = (uint64_t)g_random_int() << 8 | g_random_int() % 256;

    return EPC_SERIAL_COMPANY << 40 | extension;
}

static void epc_reset_hold(Object *obj, ResetType type)
{
    EpcState *s = PCI_EPC(obj);

    EP_BQL_HELD();
    epc_reset_all(s);
    /*
     * All memory of this guest is somebody else's after this. No driver looks
     * for EPC_DMA_STATE_BUSY before, so this waits, however long a host takes.
     */
    epc_dma_drain(s, EPC_DMA_ALL_BURSTS);
}

/* ---- Realize and exit ---- */

static bool epc_check_properties(EpcState *s, Error **errp)
{
    ERRP_GUARD();

    if (!s->socket || !*s->socket) {
        error_setg(errp, "pci-epc: property 'socket' is not set");
        error_append_hint(errp, "Use socket=PATH for the UNIX socket that the "
                          "epf-bridge of the host connects to.\n");
        return false;
    }
    if (!is_power_of_2(s->window_size) || s->window_size < EPC_WINDOW_MIN ||
        s->window_size > EPC_WINDOW_MAX) {
        error_setg(errp, "pci-epc: window-size=%" PRIu64 " is not a power of "
                   "two from 1M to %uG", s->window_size,
                   (unsigned)(EPC_WINDOW_MAX / GiB));
        return false;
    }
    if (!s->functions || s->functions > EPC_MAX_FUNCTIONS) {
        error_setg(errp, "pci-epc: functions=%" PRIu32 " is not in the range "
                   "1 to %d", s->functions, EPC_MAX_FUNCTIONS);
        return false;
    }
    if (s->vfs > EPC_MAX_FUNCTIONS - s->functions) {
        error_setg(errp, "pci-epc: vfs=%" PRIu32 " is not in the range 0 to "
                   "%" PRIu32, s->vfs, EPC_MAX_FUNCTIONS - s->functions);
        error_append_hint(errp, "With functions=%" PRIu32 " there are %d "
                          "function numbers in all.\n", s->functions,
                          EPC_MAX_FUNCTIONS);
        return false;
    }
    if (s->deadline_ms < EPC_DEADLINE_MIN ||
        s->deadline_ms > EPC_DEADLINE_MAX) {
        error_setg(errp, "pci-epc: deadline-ms=%" PRIu32 " is not in the range "
                   "%d to %d", s->deadline_ms, EPC_DEADLINE_MIN,
                   EPC_DEADLINE_MAX);
        return false;
    }
    if (!s->max_maps || s->max_maps > EPC_WINDOW_MAX_RUNS) {
        error_setg(errp, "pci-epc: max-maps=%" PRIu32 " is not in the range "
                   "1 to %d", s->max_maps, EPC_WINDOW_MAX_RUNS);
        return false;
    }
    if (s->width == QEMU_PCI_EXP_LNK_X12) {
        error_setg(errp, "pci-epc: x-width=12 is not one of 1, 2, 4, 8, 16 and "
                   "32");
        return false;
    }
    return epc_dma_check(s, errp) &&
           epc_limits_init(&s->limits, qemu_real_host_page_size(),
                           s->window_size, errp);
}

/* ---- Memory of the window ---- */

/*
 * The memory behind the RAM block of the window. A vCPU may use the block until
 * RCU frees it, after the device is gone, and RCU frees this memory after it.
 */
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

static void epc_forward_viewed_changed(EpcState *s)
{
    EP_BQL_HELD();
    epc_ioeventfd_update(s);
}

static const EpcForwardOps epc_forward_ops = {
    .raise = epc_raise_now,
    .raise_intx = epc_raise_intx_now,
    .viewed = epc_forward_viewed_changed,
};

/* The analysis is off, since no other thread knows the window yet. */
static bool EP_NO_TSA epc_init_window(EpcState *s, Error **errp)
{
    ERRP_GUARD();
    if (!epc_window_init(&s->window, s->window_size, s->max_maps, errp)) {
        error_prepend(errp, "pci-epc: no memory for the window: ");
        return false;
    }
    s->window_memory = epc_memory_new(s->window.base, s->window_size);
    s->forward = epc_forward_new(s, &epc_forward_ops);
    memory_region_init_ram_device_ptr(&s->window_mr, OBJECT(s),
                                      "pci-epc-window-memory", s->window_size,
                                      s->window.base);
    memory_region_init(&s->window_bar, OBJECT(s), "pci-epc-window",
                       s->window_size);
    memory_region_add_subregion(&s->window_bar, 0, &s->window_mr);
    epc_window_trap_init(s);
    pci_register_bar(PCI_DEVICE(s), EPC_BAR_WINDOW,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64 |
                     PCI_BASE_ADDRESS_MEM_PREFETCH, &s->window_bar);
    return true;
}

static bool epc_init_pci(EpcState *s, Error **errp) EP_REQUIRES(&ep_bql);
static bool epc_init_pci(EpcState *s, Error **errp)
{
    ERRP_GUARD();
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

/*
 * Ends all threads that call this device: first those that use servers, then
 * the servers.
 */
static void epc_end_threads(EpcState *s) EP_REQUIRES(&ep_bql);
static void epc_end_threads(EpcState *s)
{
    epc_dma_stop(s);
    epc_forward_stop(s->forward);
    /* From now on link_take_down() calls no server. */
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
    for (unsigned i = 0; i < s->nfn; i++) {
        epc_forward_forget(&s->fn[i]);
    }
}

/* QEMU does not unrealize devices when it ends, but sockets must be removed. */
static void epc_process_exit(Notifier *n, void *data)
{
    EP_BQL_HELD();
    epc_end_threads(container_of(n, EpcState, process_exit));
}

/*
 * Function 0 uses the names that the user gave. Function N has ".N" appended to
 * the socket's path and to the name.
 */
static bool epc_init_server(EpcState *s, unsigned i, Error **errp)
{
    g_autofree char *path = i ? g_strdup_printf("%s.%u", s->socket, i) : NULL;
    g_autofree char *name = i ? g_strdup_printf("%s.%u", epc_name(s), i) : NULL;
    EpcServerConfig cfg = {
        .path = path ?: s->socket,
        .name = name ?: epc_name(s),
        .device = epc_name(s),
        .func = i,
        .deadline_ms = s->deadline_ms,
        .speed = s->speed,
        .width = s->width,
    };

    s->fn[i].server = epc_server_new(&cfg, &epc_server_ops, &s->fn[i], errp);
    return s->fn[i].server;
}

static bool epc_init_functions(EpcState *s, Error **errp)
    EP_REQUIRES(&ep_bql);
static bool epc_init_functions(EpcState *s, Error **errp)
{
    s->nfn = s->functions + s->vfs;
    s->fn = g_new0(EpcFunction, s->nfn);
    for (unsigned i = 0; i < s->nfn; i++) {
        epc_fn_init(s, &s->fn[i], i);
    }
    s->process_exit.notify = epc_process_exit;
    qemu_add_exit_notifier(&s->process_exit);
    for (unsigned i = 0; i < s->nfn; i++) {
        if (!epc_init_server(s, i, errp)) {
            return false;
        }
    }
    return true;
}

/*
 * Closes the eventfds of the host and forgets its accesses, after all servers
 * were freed.
 */
static void epc_detach_host(EpcState *s) EP_REQUIRES(&ep_bql);
static void epc_detach_host(EpcState *s)
{
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        for (unsigned i = 0; i < s->nfn; i++) {
            EpcFunction *fn = &s->fn[i];

            EP_LOCK_HELD(&fn->epc->lock);
            epc_irqs_clear(fn);
            epc_trap_clear(fn);
        }
    }
    epc_ioeventfd_update(s);
}

static void epc_exit(PCIDevice *pdev)
{
    EpcState *s = PCI_EPC(pdev);

    EP_BQL_HELD();
    if (s->fn) {
        epc_end_threads(s);
        epc_fault_control_exit(s);
        qemu_remove_exit_notifier(&s->process_exit);
        WITH_QEMU_LOCK_GUARD(&s->lock) {
            epc_window_clear(&s->window);
        }
        epc_detach_host(s);
        for (unsigned i = 0; i < s->nfn; i++) {
            epc_fn_destroy(&s->fn[i]);
        }
        g_free(s->fn);
        s->fn = NULL;
    }
    epc_forward_stop(s->forward);
    epc_doorbells_exit(s);
    epc_traps_exit(s);
    epc_window_trap_exit(s);
    ep_region_empty(&s->window_bar);
    if (s->bh) {
        timer_free(s->retire_timer);
        s->retire_timer = NULL;
        qemu_bh_delete(s->bh);
        s->bh = NULL;
    }
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        g_slist_free_full(s->retired, (GDestroyNotify)epc_target_free);
        s->retired = NULL;
    }
    msix_uninit_exclusive_bar(pdev);
    ep_last_ref_keep(OBJECT(s));
}

static void epc_realize(PCIDevice *pdev, Error **errp)
{
    ERRP_GUARD();
    EpcState *s = PCI_EPC(pdev);

    EP_BQL_HELD();
    if (!epc_profile_apply(s, errp) ||
        !epc_check_properties(s, errp)) {
        return;
    }
    if (!ep_eventfd_init(errp)) {
        error_prepend(errp, "pci-epc: ");
        return;
    }
    ep_vcpus_init();
    s->ioeventfd = epc_ioeventfd_wanted(s->ioeventfd_prop);
    s->serial = epc_new_serial();
    s->retire_timer = timer_new_ms(QEMU_CLOCK_REALTIME, epc_retire_again, s);
    s->bh = qemu_bh_new_guarded(epc_bh, s, &DEVICE(s)->mem_reentrancy_guard);
    if (!epc_init_pci(s, errp) || !epc_traps_init(s, errp) ||
        !epc_init_window(s, errp) ||
        !epc_doorbells_init(s, errp) || !epc_init_functions(s, errp)) {
        epc_exit(pdev);
        return;
    }
    epc_fault_control_realized(s);
}

/* ---- Object ---- */

static void epc_instance_init(Object *obj)
{
    qemu_mutex_init(&PCI_EPC(obj)->lock);
    qemu_mutex_init(&PCI_EPC(obj)->fall_lock);
    epc_dma_init(PCI_EPC(obj));
    epc_faults_init(PCI_EPC(obj));
    epc_fault_control_init(PCI_EPC(obj));
    PCI_EPC(obj)->given = 0;
    /*
     * This makes the configuration space 4 KiB large; its size is fixed before
     * realize.
     */
    PCI_DEVICE(obj)->cap_present |= QEMU_PCI_CAP_EXPRESS;
}

static void epc_instance_finalize(Object *obj)
{
    EpcState *s = PCI_EPC(obj);

    epc_forward_unref(s->forward);
    if (s->window_memory) {
        /*
         * QEMU has finalized the regions, so call_rcu() was called for the RAM
         * block before, and RCU frees in that order.
         */
        call_rcu(s->window_memory, epc_memory_free, rcu);
    }
    epc_dma_destroy(s);
    epc_fault_control_destroy(s);
    epc_faults_destroy(s);
    qemu_mutex_destroy(&s->fall_lock);
    qemu_mutex_destroy(&s->lock);
}

static bool epc_get_link_up(Object *obj, Error **errp)
{
    EpcState *s = PCI_EPC(obj);

    QEMU_LOCK_GUARD(&s->lock);
    return s->link.up;
}

static uint32_t epc_count_regions(EpcState *s)
{
    uint32_t n = 0;

    for (unsigned i = 0; s->fn && i < s->nfn; i++) {
        n += epc_host_memory_count(s->fn[i].host_memory);
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
            value = s->link.generation;
        } else if (!strcmp(name, "live-maps")) {
            value = s->window.live;
        } else if (!strcmp(name, "slow-maps")) {
            value = s->window.trapped;
        } else if (!strcmp(name, "dma-regions")) {
            value = epc_count_regions(s);
        } else {
            value = s->bad_access;
        }
    }
    visit_type_uint32(v, name, &value, errp);
}

static void epc_get_messages(Object *obj, Visitor *v, const char *name,
                             void *opaque, Error **errp)
{
    EpcState *s = PCI_EPC(obj);
    uint64_t value = 0;

    /* The BQL is held, so no server is made or freed meanwhile. */
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
    DEFINE_PROP_BOOL("aer", EpcState, aer, true),
    DEFINE_PROP_STRING("profile", EpcState, profile),
    DEFINE_PROP_STRING("bar0", EpcState, limits.bar_text[0]),
    DEFINE_PROP_STRING("bar1", EpcState, limits.bar_text[1]),
    DEFINE_PROP_STRING("bar2", EpcState, limits.bar_text[2]),
    DEFINE_PROP_STRING("bar3", EpcState, limits.bar_text[3]),
    DEFINE_PROP_STRING("bar4", EpcState, limits.bar_text[4]),
    DEFINE_PROP_STRING("bar5", EpcState, limits.bar_text[5]),
    DEFINE_PROP_SIZE("inbound-align", EpcState, limits.inbound_align, 0),
    DEFINE_PROP_SIZE("outbound-granule", EpcState, limits.outbound_granule, 0),
    DEFINE_PROP_SIZE("outbound-align", EpcState, limits.outbound_align, 0),
    DEFINE_PROP_SIZE("outbound-max", EpcState, limits.outbound_max, 0),
    DEFINE_PROP_UINT32("dma-channels", EpcState, limits.dma_channels,
                       EPC_DMA_CHANNELS),
    DEFINE_PROP_UINT32("dma-threads", EpcState, dma_threads, 0),
    DEFINE_PROP_BOOL("msi", EpcState, limits.msi, true),
    DEFINE_PROP_BOOL("msix", EpcState, limits.msix, true),
    DEFINE_PROP_BOOL("intx", EpcState, limits.intx, true),
    DEFINE_PROP_BOOL("doorbells", EpcState, limits.doorbells, true),
    DEFINE_PROP_BOOL("dynamic-inbound", EpcState, limits.retarget, true),
    DEFINE_PROP_BOOL("subrange", EpcState, limits.subrange, true),
    DEFINE_PROP_BOOL("linkup", EpcState, limits.linkup, true),
    /* Tests use this: on without KVM, or off with KVM. */
    DEFINE_PROP_ON_OFF_AUTO("x-ioeventfd", EpcState, ioeventfd_prop,
                            ON_OFF_AUTO_AUTO),
    /* Tests use this: a qtest plays another device, and not a vCPU. */
    DEFINE_PROP_BOOL("x-qtest-device", EpcState, qtest_device, false),
    DEFINE_PROP_PCIE_LINK_SPEED("x-speed", EpcState, speed, PCIE_LINK_SPEED_16),
    DEFINE_PROP_PCIE_LINK_WIDTH("x-width", EpcState, width, PCIE_LINK_WIDTH_4),
};

/* The process of the host has state of this device, and writes guest memory. */
static const VMStateDescription epc_vmstate = {
    .name = TYPE_PCI_EPC,
    .unmigratable = 1,
};

/* May a write to our own configuration space move our registers? */
static bool epc_moves_registers(uint32_t addr, int len)
{
    return ranges_overlap(addr, len, PCI_COMMAND, 2) ||
           ranges_overlap(addr, len, PCI_BASE_ADDRESS_0,
                          4 * PCI_ROM_SLOT);
}

static void epc_write_own_config(PCIDevice *pdev, uint32_t addr,
                                 uint32_t val, int len)
{
    EpcState *s = PCI_EPC(pdev);
    EpcDoorbells *d = &s->doorbells;
    bool moves = epc_moves_registers(addr, len);

    EP_BQL_HELD();
    object_ref(OBJECT(pdev));
    ep_irqfds_begin(d->irqfds);
    if (moves) {
        epc_ioeventfd_suspend(s, true);
    }
    pci_default_write_config(pdev, addr, val, len);
    if (moves) {
        epc_ioeventfd_suspend(s, false);
    }
    /* An interrupt that was unmasked may have made the machine eject us. */
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
    epc_profile_class_init(oc);

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
    epc_fault_control_class_init(oc);
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
