/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge against endpoints that misbehave: silent, wrong, absurd
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/memfd.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"
#include "pci-ep/wait.h"

/* EPW_MAX_CALLS of the devices; the deadline must not be what ends the session */
#define UNSENT_CALLS        4096
#define UNSENT_DEADLINE_MS  60000

#define MARK "BAR 5 has size 0x5000"

static bool hook_silent(FakeEp *s, const VfuMsg *m, void *opaque)
{
    return m->hdr.command == *(uint16_t *)opaque;
}

/* Each wait costs the guest a deadline at most, and once per link-up */
static void test_silent(void)
{
    static const uint16_t cmds[] = {
        VFU_CMD_REGION_WRITE, VFU_CMD_DMA_UNMAP, VFU_CMD_REGION_READ,
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cmds); i++) {
        uint16_t cmd = cmds[i];
        Fixture f;
        gint64 t;

        fixture_start_up(&f, true);
        fakeep_wait(f.ep, VFU_CMD_DMA_MAP, 1);
        f.ep->hook_opaque = &cmd;
        f.ep->hook = hook_silent;
        t = g_get_monotonic_time();
        if (cmd == VFU_CMD_REGION_READ) {
            g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(1)), ==, 0xffffffff);
        }
        for (unsigned n = 0; n < 20; n++) {
            hostvm_writew(f.q, HOSTVM_FUNCTION, PCI_COMMAND,
                          PCI_COMMAND_MEMORY);
            qtest_writel(f.q, HOSTVM_BAR(1), n);
        }
        t = g_get_monotonic_time() - t;
        g_assert_cmpint(t / 1000, <, FIXTURE_DEADLINE_MS * 2);
        hostvm_wait_present(f.q, false);
        fixture_end(&f);
    }
}

static bool hook_late(FakeEp *s, const VfuMsg *m, void *opaque)
{
    if (m->hdr.command == VFU_CMD_REGION_READ ||
        m->hdr.command == VFU_CMD_REGION_WRITE) {
        g_usleep(FIXTURE_DEADLINE_MS * 1000 * 6 / 10);
    }
    return false;
}

/* Each answer in time, and all of them together not */
static void test_late(void)
{
    Fixture f;
    gint64 t;

    fixture_start_up(&f, false);
    f.ep->hook = hook_late;
    t = g_get_monotonic_time();
    for (unsigned i = 0; i < 20; i++) {
        qtest_writel(f.q, HOSTVM_BAR(1), i);
    }
    t = g_get_monotonic_time() - t;
    g_assert_cmpint(t / 1000, <, FIXTURE_DEADLINE_MS * 2);
    hostvm_wait_present(f.q, false);
    fixture_end(&f);
}

typedef void HostileFn(FakeEp *s);

static bool reply_with(FakeEp *s, const VfuMsg *m, uint16_t cmd,
                       const void *p, size_t len)
{
    if (m->hdr.command != cmd) {
        return false;
    }
    fakeep_reply(s, m, p, len, NULL, 0);
    return true;
}

static bool hook_info(FakeEp *s, const VfuMsg *m, void *opaque)
{
    return reply_with(s, m, VFU_CMD_GET_INFO, opaque, 16);
}

static bool hook_short(FakeEp *s, const VfuMsg *m, void *opaque)
{
    return reply_with(s, m, GPOINTER_TO_UINT(opaque), NULL, 0);
}

static bool hook_long(FakeEp *s, const VfuMsg *m, void *opaque)
{
    static const uint8_t junk[4096 + 64];

    return reply_with(s, m, GPOINTER_TO_UINT(opaque), junk, sizeof(junk));
}

static bool hook_error(FakeEp *s, const VfuMsg *m, void *opaque)
{
    if (m->hdr.command != GPOINTER_TO_UINT(opaque)) {
        return false;
    }
    fakeep_error(s, m, 0);
    return true;
}

static bool hook_region(FakeEp *s, const VfuMsg *m, void *opaque)
{
    VfuRegionInfo *r = opaque;

    return ((const VfuRegionInfo *)m->payload)->index == 0 &&
           reply_with(s, m, VFU_CMD_GET_REGION_INFO, r, sizeof(*r));
}

static void set_hook(FakeEp *s, FakeEpHook *hook, void *opaque)
{
    s->hook_opaque = opaque;
    s->hook = hook;
}

static void h_info_not_pci(FakeEp *s)
{
    static const VfuDeviceInfo i = { 16, VFU_DEVICE_RESET, 9, 5 };

    set_hook(s, hook_info, (void *)&i);
}

static void h_info_few_regions(FakeEp *s)
{
    static const VfuDeviceInfo i = { 16, VFU_DEVICE_PCI, 7, 5 };

    set_hook(s, hook_info, (void *)&i);
}

static void h_info_few_irqs(FakeEp *s)
{
    static const VfuDeviceInfo i = { 16, VFU_DEVICE_PCI, 9, 2 };

    set_hook(s, hook_info, (void *)&i);
}

static void h_info_short(FakeEp *s)
{
    set_hook(s, hook_short, GUINT_TO_POINTER(VFU_CMD_GET_INFO));
}

static void h_info_long(FakeEp *s)
{
    set_hook(s, hook_long, GUINT_TO_POINTER(VFU_CMD_GET_INFO));
}

static void h_info_error_0(FakeEp *s)
{
    set_hook(s, hook_error, GUINT_TO_POINTER(VFU_CMD_GET_INFO));
}

static void h_region_short(FakeEp *s)
{
    set_hook(s, hook_short, GUINT_TO_POINTER(VFU_CMD_GET_REGION_INFO));
}

static void h_region_long(FakeEp *s)
{
    set_hook(s, hook_long, GUINT_TO_POINTER(VFU_CMD_GET_REGION_INFO));
}

static void h_region_index(FakeEp *s)
{
    static const VfuRegionInfo r = { .argsz = 32, .index = 3, .size = 4096 };

    set_hook(s, hook_region, (void *)&r);
}

static void h_bar_odd_size(FakeEp *s)
{
    static const VfuRegionInfo r = { .argsz = 32, .size = 0x3000 };

    set_hook(s, hook_region, (void *)&r);
}

static void h_bar_small(FakeEp *s)
{
    static const VfuRegionInfo r = { .argsz = 32, .size = 0x800 };

    set_hook(s, hook_region, (void *)&r);
}

static void h_bar_too_big(FakeEp *s)
{
    static const VfuRegionInfo r = { .argsz = 32, .size = 1ull << 32 };

    set_hook(s, hook_region, (void *)&r);
}

static void h_bar_huge(FakeEp *s)
{
    static const VfuRegionInfo r = { .argsz = 32, .size = 1ull << 63 };

    stl_le_p(s->config + PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_MEM_TYPE_64);
    set_hook(s, hook_region, (void *)&r);
}

static void h_bar_io(FakeEp *s)
{
    s->config[PCI_BASE_ADDRESS_0] = PCI_BASE_ADDRESS_SPACE_IO;
}

static void h_bar_reserved(FakeEp *s)
{
    s->config[PCI_BASE_ADDRESS_0] = 6;
}

static void h_bar5_64bit(FakeEp *s)
{
    fakeep_set_bar(s, 5, PCI_BASE_ADDRESS_MEM_TYPE_64, 4096, false);
}

static void h_bar_upper_half(FakeEp *s)
{
    fakeep_set_bar(s, 3, 0, 4096, false);
}

static void h_config_size(FakeEp *s)
{
    s->config_size = 512;
}

static void h_config_short(FakeEp *s)
{
    set_hook(s, hook_short, GUINT_TO_POINTER(VFU_CMD_REGION_READ));
}

static void h_config_long(FakeEp *s)
{
    set_hook(s, hook_long, GUINT_TO_POINTER(VFU_CMD_REGION_READ));
}

static void h_no_vendor(FakeEp *s)
{
    stw_le_p(s->config, 0xffff);
}

static void h_header_type(FakeEp *s)
{
    s->config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE;
}

static void h_pin(FakeEp *s)
{
    s->config[PCI_INTERRUPT_PIN] = 5;
}

static void h_irq_short(FakeEp *s)
{
    set_hook(s, hook_short, GUINT_TO_POINTER(VFU_CMD_GET_IRQ_INFO));
}

static void h_cap_loop(FakeEp *s)
{
    s->config[0xb1] = 0x40;
}

static void h_cap_in_header(FakeEp *s)
{
    s->config[0xb1] = 0x10;
}

static void h_cap_at_end(FakeEp *s)
{
    s->config[0xb1] = 0xfc;
    s->config[0xfc] = PCI_CAP_ID_EXP;
}

static void h_cap_overlap(FakeEp *s)
{
    s->config[0x49] = 0x50;
    s->config[0x50] = PCI_CAP_ID_EXP;
    s->config[0x51] = 0xa0;
}

static void h_cap_twice(FakeEp *s)
{
    s->config[0xb0] = PCI_CAP_ID_MSI;
}

/* 64-bit address and mask bits take 24 bytes, and there are 12. */
static void h_msi_at_end(FakeEp *s)
{
    s->config[0x48] = PCI_CAP_ID_VPD;
    s->config[0xb1] = 0xf4;
    s->config[0xf4] = PCI_CAP_ID_MSI;
    stw_le_p(s->config + 0xf6, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT);
}

static void h_msi_vectors(FakeEp *s)
{
    stw_le_p(s->config + 0x4a, 7 << 1);
}

static void h_msix_outside(FakeEp *s)
{
    stl_le_p(s->config + 0xa4, 0xfff8);
}

static void h_msix_far(FakeEp *s)
{
    stl_le_p(s->config + 0xa4, 0xfffffff8);
}

static void h_msix_pba_outside(FakeEp *s)
{
    stl_le_p(s->config + 0xa8, 0x10000);
}

static void h_msix_overlap(FakeEp *s)
{
    stl_le_p(s->config + 0xa8, 0x1008);
}

static void h_msix_bir(FakeEp *s)
{
    stl_le_p(s->config + 0xa4, 7);
}

static void h_msix_absent_bar(FakeEp *s)
{
    stl_le_p(s->config + 0xa4, 5);
}

static void h_express_type(FakeEp *s)
{
    stw_le_p(s->config + 0x62, PCI_EXP_TYPE_ROOT_PORT << 4 | 2);
}

static const struct {
    const char *name;
    HostileFn *fn;
} hostile[] = {
    { "info/not-pci", h_info_not_pci },
    { "info/few-regions", h_info_few_regions },
    { "info/few-irqs", h_info_few_irqs },
    { "info/short", h_info_short },
    { "info/long", h_info_long },
    { "info/error-0", h_info_error_0 },
    { "region/short", h_region_short },
    { "region/long", h_region_long },
    { "region/index", h_region_index },
    { "bar/odd-size", h_bar_odd_size },
    { "bar/small", h_bar_small },
    { "bar/too-big", h_bar_too_big },
    { "bar/huge", h_bar_huge },
    { "bar/io", h_bar_io },
    { "bar/reserved-type", h_bar_reserved },
    { "bar/bar5-64bit", h_bar5_64bit },
    { "bar/upper-half", h_bar_upper_half },
    { "config/size", h_config_size },
    { "config/short", h_config_short },
    { "config/long", h_config_long },
    { "config/no-vendor", h_no_vendor },
    { "config/header-type", h_header_type },
    { "config/pin", h_pin },
    { "irq/short", h_irq_short },
    { "cap/loop", h_cap_loop },
    { "cap/in-header", h_cap_in_header },
    { "cap/at-end", h_cap_at_end },
    { "cap/overlap", h_cap_overlap },
    { "cap/twice", h_cap_twice },
    { "msi/at-end", h_msi_at_end },
    { "msi/vectors", h_msi_vectors },
    { "msix/outside", h_msix_outside },
    { "msix/far", h_msix_far },
    { "msix/pba-outside", h_msix_pba_outside },
    { "msix/overlap", h_msix_overlap },
    { "msix/bir", h_msix_bir },
    { "msix/absent-bar", h_msix_absent_bar },
    { "express/type", h_express_type },
};

/*
 * "last-error" stays until the next error. Have the bridge refuse a BAR that no
 * row of the table has, so that another error is that of the row under test.
 */
static void mark_last_error(Fixture *f)
{
    fakeep_set_bar(f->ep, 5, 0, 0x5000, false);
    g_assert_cmpint(fakeep_link_up(f->ep), ==, 0);
    hostvm_wait_error(f->q, MARK);
    g_assert_cmpint(fakeep_link_down(f->ep), ==, 0);
    fakeep_set_bar(f->ep, 5, 0, 0, false);
}

/* The slot stays empty, the bridge says why, and the next link-up works. */
static void test_hostile(void)
{
    Fixture f;
    g_autofree FakeEp *good = g_new(FakeEp, 1);
    unsigned held;

    fixture_start(&f);
    held = hostvm_count_held(f.q);
    for (unsigned i = 0; i < G_N_ELEMENTS(hostile); i++) {
        g_autofree char *err = NULL;

        g_test_message("%s", hostile[i].name);
        mark_last_error(&f);
        memcpy(good->config, f.ep->config, sizeof(good->config));
        good->config_size = f.ep->config_size;
        hostile[i].fn(f.ep);
        g_assert_cmpint(fakeep_link_up(f.ep), ==, 0);
        err = hostvm_wait_other_error(f.q, MARK);
        fence_main_loop(f.q);
        g_assert_cmphex(hostvm_slot_status(f.q) & PCI_EXP_SLTSTA_PDS, ==, 0);
        g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, 0), ==, 0xffffffff);
        g_test_message("  %s", err);
        g_assert_cmpstr(err, !=, "");
        g_assert_cmpint(fakeep_link_down(f.ep), ==, 0);

        f.ep->hook = NULL;
        memcpy(f.ep->config, good->config, sizeof(good->config));
        f.ep->config_size = good->config_size;
        fakeep_set_bar(f.ep, 3, 0, 0, false);
        fakeep_set_bar(f.ep, 5, 0, 0, false);
        g_assert_cmpint(fakeep_link_up(f.ep), ==, 0);
        hostvm_wait_present(f.q, true);
        fixture_check_identity(f.q);
        g_assert_cmpint(fakeep_link_down(f.ep), ==, 0);
        hostvm_wait_present(f.q, false);
    }
    /* Functions that could not be made are gone as well */
    hostvm_wait_held(f.q, held + 8);
    fixture_end(&f);
}

/* Replies to a running function: all ones, and the machine goes on */
static void test_hostile_running(void)
{
    FakeEpHook *const hooks[] = { hook_short, hook_long, hook_error };

    for (unsigned i = 0; i < G_N_ELEMENTS(hooks); i++) {
        Fixture f;

        fixture_start_up(&f, true);
        set_hook(f.ep, hooks[i], GUINT_TO_POINTER(VFU_CMD_REGION_READ));
        g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(1)), ==, 0xffffffff);
        set_hook(f.ep, hooks[i], GUINT_TO_POINTER(VFU_CMD_REGION_WRITE));
        qtest_writel(f.q, HOSTVM_BAR(1), 1);
        hostvm_writew(f.q, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
        set_hook(f.ep, hooks[i], GUINT_TO_POINTER(VFU_CMD_DMA_UNMAP));
        hostvm_writew(f.q, HOSTVM_FUNCTION, PCI_COMMAND,
                      PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
        hostvm_writew(f.q, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
        set_hook(f.ep, hooks[i], GUINT_TO_POINTER(VFU_CMD_SET_IRQS));
        hostvm_writew(f.q, HOSTVM_FUNCTION, 0xa2, PCI_MSIX_FLAGS_ENABLE);
        qtest_readl(f.q, HOSTVM_BAR(0));
        fixture_end(&f);
    }
}

/*
 * A reset, a write or the end of a mapping that cannot be sent, since too many
 * messages wait for their answer, ends the session: the endpoint must not go on
 * without it.
 */
static void test_unsent(void)
{
    uint16_t cmd = VFU_CMD_EP_RESET;
    Fixture f = { .ep = fakeep_new() };
    unsigned n = 0;

    fakeep_listen(f.ep);
    f.q = hostvm_start(f.ep->path, UNSENT_DEADLINE_MS, true);
    hostvm_enable_port(f.q);
    fixture_link_up(&f, true);
    set_hook(f.ep, hook_silent, &cmd);
    while (hostvm_prop_bool(f.q, "connected") && n++ <= UNSENT_CALLS) {
        hostvm_writew(f.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL,
                      PCI_BRIDGE_CTL_BUS_RESET);
        hostvm_writew(f.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL, 0);
    }
    hostvm_wait_error(f.q, "leaves too many messages unanswered");
    g_assert_cmpuint(n, >=, UNSENT_CALLS / 2);
    fixture_end(&f);
}

/* Memory that could shrink is not mapped, and a file too short neither */
static void test_bad_memory(void)
{
    Fixture f;
    g_autofree char *err = NULL;
    int fd;

    fixture_start(&f);
    fd = memfd_create("open", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(fd, 0x20000), ==, 0);
    close(f.ep->bar[0].fd);
    f.ep->bar[0].fd = fd;
    g_assert_cmpint(fakeep_link_up(f.ep), ==, 0);
    hostvm_wait_present(f.q, true);
    hostvm_enable_function(f.q, false);
    err = hostvm_prop_str(f.q, "last-error");
    g_assert_cmpstr(err, !=, "");
    fakeep_clear_log(f.ep);
    qtest_writel(f.q, HOSTVM_BAR(0), 0x12);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, 0x12);
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_REGION_WRITE), ==, 1);
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("epf-bridge/hostile/silent", test_silent);
    qtest_add_func("epf-bridge/hostile/late", test_late);
    qtest_add_func("epf-bridge/hostile/query", test_hostile);
    qtest_add_func("epf-bridge/hostile/running", test_hostile_running);
    qtest_add_func("epf-bridge/hostile/memory", test_bad_memory);
    qtest_add_func("epf-bridge/hostile/unsent", test_unsent);

    return g_test_run();
}
