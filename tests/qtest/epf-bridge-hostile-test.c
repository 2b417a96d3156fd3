/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge against endpoints that misbehave: silent, wrong, absurd
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/memfd.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep-fixture.h"

static bool hook_silent(EpServer *s, const EpsMsg *m, void *opaque)
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
        eps_wait(f.ep, VFU_CMD_DMA_MAP, 1);
        f.ep->hook_opaque = &cmd;
        f.ep->hook = hook_silent;
        t = g_get_monotonic_time();
        if (cmd == VFU_CMD_REGION_READ) {
            g_assert_cmphex(qtest_readl(f.q, EPH_BAR(1)), ==, 0xffffffff);
        }
        for (unsigned n = 0; n < 20; n++) {
            eph_writew(f.q, EPH_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
            qtest_writel(f.q, EPH_BAR(1), n);
        }
        t = g_get_monotonic_time() - t;
        g_assert_cmpint(t / 1000, <, FIXTURE_DEADLINE_MS * 2);
        eph_wait_present(f.q, false);
        fixture_end(&f);
    }
}

static bool hook_late(EpServer *s, const EpsMsg *m, void *opaque)
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
        qtest_writel(f.q, EPH_BAR(1), i);
    }
    t = g_get_monotonic_time() - t;
    g_assert_cmpint(t / 1000, <, FIXTURE_DEADLINE_MS * 2);
    eph_wait_present(f.q, false);
    fixture_end(&f);
}

typedef void HostileFn(EpServer *s);

static bool reply_with(EpServer *s, const EpsMsg *m, uint16_t cmd,
                       const void *p, size_t len)
{
    if (m->hdr.command != cmd) {
        return false;
    }
    eps_reply(s, m, p, len, NULL, 0);
    return true;
}

static bool hook_info(EpServer *s, const EpsMsg *m, void *opaque)
{
    return reply_with(s, m, VFU_CMD_GET_INFO, opaque, 16);
}

static bool hook_short(EpServer *s, const EpsMsg *m, void *opaque)
{
    return reply_with(s, m, GPOINTER_TO_UINT(opaque), NULL, 0);
}

static bool hook_long(EpServer *s, const EpsMsg *m, void *opaque)
{
    static const uint8_t junk[4096 + 64];

    return reply_with(s, m, GPOINTER_TO_UINT(opaque), junk, sizeof(junk));
}

static bool hook_error(EpServer *s, const EpsMsg *m, void *opaque)
{
    if (m->hdr.command != GPOINTER_TO_UINT(opaque)) {
        return false;
    }
    eps_error(s, m, 0);
    return true;
}

static bool hook_region(EpServer *s, const EpsMsg *m, void *opaque)
{
    VfuRegionInfo *r = opaque;

    return ((const VfuRegionInfo *)m->payload)->index == 0 &&
           reply_with(s, m, VFU_CMD_GET_REGION_INFO, r, sizeof(*r));
}

static void set_hook(EpServer *s, EpsHook *hook, void *opaque)
{
    s->hook_opaque = opaque;
    s->hook = hook;
}

static void h_info_not_pci(EpServer *s)
{
    static const VfuDeviceInfo i = { 16, VFU_DEVICE_RESET, 9, 5 };

    set_hook(s, hook_info, (void *)&i);
}

static void h_info_few_regions(EpServer *s)
{
    static const VfuDeviceInfo i = { 16, VFU_DEVICE_PCI, 7, 5 };

    set_hook(s, hook_info, (void *)&i);
}

static void h_info_few_irqs(EpServer *s)
{
    static const VfuDeviceInfo i = { 16, VFU_DEVICE_PCI, 9, 2 };

    set_hook(s, hook_info, (void *)&i);
}

static void h_info_short(EpServer *s)
{
    set_hook(s, hook_short, GUINT_TO_POINTER(VFU_CMD_GET_INFO));
}

static void h_info_long(EpServer *s)
{
    set_hook(s, hook_long, GUINT_TO_POINTER(VFU_CMD_GET_INFO));
}

static void h_info_error_0(EpServer *s)
{
    set_hook(s, hook_error, GUINT_TO_POINTER(VFU_CMD_GET_INFO));
}

static void h_region_short(EpServer *s)
{
    set_hook(s, hook_short, GUINT_TO_POINTER(VFU_CMD_GET_REGION_INFO));
}

static void h_region_long(EpServer *s)
{
    set_hook(s, hook_long, GUINT_TO_POINTER(VFU_CMD_GET_REGION_INFO));
}

static void h_region_index(EpServer *s)
{
    static const VfuRegionInfo r = { .argsz = 32, .index = 3, .size = 4096 };

    set_hook(s, hook_region, (void *)&r);
}

static void h_bar_odd_size(EpServer *s)
{
    static const VfuRegionInfo r = { .argsz = 32, .size = 0x3000 };

    set_hook(s, hook_region, (void *)&r);
}

static void h_bar_small(EpServer *s)
{
    static const VfuRegionInfo r = { .argsz = 32, .size = 0x800 };

    set_hook(s, hook_region, (void *)&r);
}

static void h_bar_too_big(EpServer *s)
{
    static const VfuRegionInfo r = { .argsz = 32, .size = 1ull << 32 };

    set_hook(s, hook_region, (void *)&r);
}

static void h_bar_huge(EpServer *s)
{
    static const VfuRegionInfo r = { .argsz = 32, .size = 1ull << 63 };

    stl_le_p(s->config + PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_MEM_TYPE_64);
    set_hook(s, hook_region, (void *)&r);
}

static void h_bar_io(EpServer *s)
{
    s->config[PCI_BASE_ADDRESS_0] = PCI_BASE_ADDRESS_SPACE_IO;
}

static void h_bar_reserved(EpServer *s)
{
    s->config[PCI_BASE_ADDRESS_0] = 6;
}

static void h_bar5_64bit(EpServer *s)
{
    eps_set_bar(s, 5, PCI_BASE_ADDRESS_MEM_TYPE_64, 4096, false);
}

static void h_bar_upper_half(EpServer *s)
{
    eps_set_bar(s, 3, 0, 4096, false);
}

static void h_config_size(EpServer *s)
{
    s->config_size = 512;
}

static void h_config_short(EpServer *s)
{
    set_hook(s, hook_short, GUINT_TO_POINTER(VFU_CMD_REGION_READ));
}

static void h_config_long(EpServer *s)
{
    set_hook(s, hook_long, GUINT_TO_POINTER(VFU_CMD_REGION_READ));
}

static void h_no_vendor(EpServer *s)
{
    stw_le_p(s->config, 0xffff);
}

static void h_header_type(EpServer *s)
{
    s->config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE;
}

static void h_pin(EpServer *s)
{
    s->config[PCI_INTERRUPT_PIN] = 5;
}

static void h_irq_short(EpServer *s)
{
    set_hook(s, hook_short, GUINT_TO_POINTER(VFU_CMD_GET_IRQ_INFO));
}

static void h_cap_loop(EpServer *s)
{
    s->config[0xb1] = 0x40;
}

static void h_cap_in_header(EpServer *s)
{
    s->config[0xb1] = 0x10;
}

static void h_cap_at_end(EpServer *s)
{
    s->config[0xb1] = 0xfc;
    s->config[0xfc] = PCI_CAP_ID_EXP;
}

static void h_cap_overlap(EpServer *s)
{
    s->config[0x49] = 0x50;
    s->config[0x50] = PCI_CAP_ID_EXP;
    s->config[0x51] = 0xa0;
}

static void h_cap_twice(EpServer *s)
{
    s->config[0xb0] = PCI_CAP_ID_MSI;
}

/* 64-bit address and mask bits take 24 bytes, and there are 12. */
static void h_msi_at_end(EpServer *s)
{
    s->config[0x48] = PCI_CAP_ID_VPD;
    s->config[0xb1] = 0xf4;
    s->config[0xf4] = PCI_CAP_ID_MSI;
    stw_le_p(s->config + 0xf6, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT);
}

static void h_msi_vectors(EpServer *s)
{
    stw_le_p(s->config + 0x4a, 7 << 1);
}

static void h_msix_outside(EpServer *s)
{
    stl_le_p(s->config + 0xa4, 0xfff8);
}

static void h_msix_far(EpServer *s)
{
    stl_le_p(s->config + 0xa4, 0xfffffff8);
}

static void h_msix_pba_outside(EpServer *s)
{
    stl_le_p(s->config + 0xa8, 0x10000);
}

static void h_msix_overlap(EpServer *s)
{
    stl_le_p(s->config + 0xa8, 0x1008);
}

static void h_msix_bir(EpServer *s)
{
    stl_le_p(s->config + 0xa4, 7);
}

static void h_msix_absent_bar(EpServer *s)
{
    stl_le_p(s->config + 0xa4, 5);
}

static void h_express_type(EpServer *s)
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

/* The slot stays empty, the reason is told, and the next link-up works */
static void test_hostile(void)
{
    Fixture f;
    g_autofree EpServer *good = g_new(EpServer, 1);
    unsigned maps;

    fixture_start(&f);
    maps = eph_count_maps(f.q);
    for (unsigned i = 0; i < G_N_ELEMENTS(hostile); i++) {
        g_autofree char *err = NULL;

        g_test_message("%s", hostile[i].name);
        memcpy(good->config, f.ep->config, sizeof(good->config));
        good->config_size = f.ep->config_size;
        hostile[i].fn(f.ep);
        g_assert_cmpint(eps_link_up(f.ep), ==, 0);
        g_usleep(50 * 1000);
        g_assert_cmphex(eph_slot_status(f.q) & PCI_EXP_SLTSTA_PDS, ==, 0);
        g_assert_cmphex(eph_readl(f.q, EPH_FUNCTION, 0), ==, 0xffffffff);
        err = eph_prop_str(f.q, "last-error");
        g_test_message("  %s", err);
        g_assert_cmpstr(err, !=, "");
        g_assert_cmpint(eps_link_down(f.ep), ==, 0);

        f.ep->hook = NULL;
        memcpy(f.ep->config, good->config, sizeof(good->config));
        f.ep->config_size = good->config_size;
        eps_set_bar(f.ep, 3, 0, 0, false);
        eps_set_bar(f.ep, 5, 0, 0, false);
        g_assert_cmpint(eps_link_up(f.ep), ==, 0);
        eph_wait_present(f.q, true);
        fixture_check_identity(f.q);
        g_assert_cmpint(eps_link_down(f.ep), ==, 0);
        eph_wait_present(f.q, false);
    }
    /* Functions that could not be made are gone as well */
    eph_wait_maps(f.q, maps + 8);
    fixture_end(&f);
}

/* Replies to a running function: all ones, and the machine goes on */
static void test_hostile_running(void)
{
    EpsHook *const hooks[] = { hook_short, hook_long, hook_error };

    for (unsigned i = 0; i < G_N_ELEMENTS(hooks); i++) {
        Fixture f;

        fixture_start_up(&f, true);
        set_hook(f.ep, hooks[i], GUINT_TO_POINTER(VFU_CMD_REGION_READ));
        g_assert_cmphex(qtest_readl(f.q, EPH_BAR(1)), ==, 0xffffffff);
        set_hook(f.ep, hooks[i], GUINT_TO_POINTER(VFU_CMD_REGION_WRITE));
        qtest_writel(f.q, EPH_BAR(1), 1);
        eph_writew(f.q, EPH_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
        set_hook(f.ep, hooks[i], GUINT_TO_POINTER(VFU_CMD_DMA_UNMAP));
        eph_writew(f.q, EPH_FUNCTION, PCI_COMMAND,
                   PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
        eph_writew(f.q, EPH_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
        set_hook(f.ep, hooks[i], GUINT_TO_POINTER(VFU_CMD_SET_IRQS));
        eph_writew(f.q, EPH_FUNCTION, 0xa2, PCI_MSIX_FLAGS_ENABLE);
        qtest_readl(f.q, EPH_BAR(0));
        fixture_end(&f);
    }
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
    g_assert_cmpint(eps_link_up(f.ep), ==, 0);
    eph_wait_present(f.q, true);
    eph_enable_function(f.q, false);
    err = eph_prop_str(f.q, "last-error");
    g_assert_cmpstr(err, !=, "");
    eps_clear_log(f.ep);
    qtest_writel(f.q, EPH_BAR(0), 0x12);
    g_assert_cmphex(qtest_readl(f.q, EPH_BAR(0)), ==, 0x12);
    g_assert_cmpuint(eps_count(f.ep, VFU_CMD_REGION_WRITE), ==, 1);
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

    return g_test_run();
}
