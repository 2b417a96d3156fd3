/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual functions of a pci-epc behind an epf-bridge, in real QEMUs
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/intel-iommu.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/machine-host.h"
#include "pci-ep/wait.h"

#define DEADLINE_MS     wait_scaled(1000)
#define FNS             2
#define VFS             3
#define ALL             (FNS + VFS)
#define ID(fn)          (0xb500104cu + ((fn) << 16))
#define VECTORS         4
#define MSIX_TABLE      0x8000
#define BAR0_SIZE       0x10000u
#define BAR2_SIZE       0x20000u
#define SRIOV           0x100

/* Memory behind BARs in the endpoint, and where they are in the host */
#define TARGET(fn, bar) (0x1000000ull + (fn) * 0x200000 + (bar) * 0x40000)
#define VF_BAR(bar)     HOSTVM_BAR(4 + (bar))
#define BAR0(n)         (VF_BAR(0) + (n) * BAR0_SIZE)
#define MSIX_BAR        VF_BAR(1)
#define BAR2(n)         (VF_BAR(2) + (n) * BAR2_SIZE)

/* Of the host: a word that a vector writes, a page, and tables of an IOMMU */
#define MSI_ADDR(n)     (0x300000 + (n) * 0x100)
#define MSI_DATA(n)     (0x4500 + (n) * 0x10)
#define BUFFER(n)       (0x400000ull + (n) * 0x10000)
#define ROOT            0x500000ull
#define CONTEXT         0x501000ull
#define LEVEL(n)        (0x502000ull + (n) * 0x1000)

typedef struct Link {
    EpVm *ep;
    QTestState *host;
} Link;

static unsigned number_bdf(unsigned n)
{
    return HOSTVM_FUNCTION + FNS + n;
}

/* ---- Endpoint ---- */

static void select_vf(Link *l, unsigned n)
{
    epvm_select(l->ep, FNS + n);
}

static void pair_describe(Link *l)
{
    for (unsigned fn = 0; fn < ALL; fn++) {
        epvm_select(l->ep, fn);
        if (fn <= FNS) {
            g_assert_cmpuint(epvm_set_header(l->ep, ID(fn), fn < FNS), ==,
                             EPC_STATUS_OK);
        }
        g_assert_cmpuint(epvm_set_bar(l->ep, 0, 0, TARGET(fn, 0), BAR0_SIZE),
                         ==, EPC_STATUS_OK);
        g_assert_cmpuint(epvm_set_bar(l->ep, 2, EPC_BAR_FLAG_64, TARGET(fn, 2),
                                      BAR2_SIZE), ==, EPC_STATUS_OK);
        g_assert_cmpuint(epvm_set_msix(l->ep, VECTORS, 0, MSIX_TABLE), ==,
                         EPC_STATUS_OK);
    }
    epvm_select(l->ep, 0);
}

static uint32_t read_fn_vfs(Link *l)
{
    epvm_select(l->ep, 0);
    return epvm_fn_reg(l->ep, EPC_FN_VFS);
}

static void link_up(Link *l)
{
    g_assert_cmpuint(epvm_link_command(l->ep, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    epvm_wait_link(l->ep, true);
    hostvm_wait_present(l->host, true);
}

static void start_with(Link *l, const char *args)
{
    g_autofree char *props = g_strdup_printf(",functions=%u,vfs=%u", FNS, VFS);

    l->ep = epvm_start(EPVM_SHARED, props);
    pair_describe(l);
    l->host = hostvm_start_args(args, l->ep->socket, DEADLINE_MS);
    hostvm_enable_port(l->host);
    hostvm_enable_ecam(l->host);
    link_up(l);
}

static void pair_start(Link *l)
{
    start_with(l, "");
}

static void pair_end(Link *l)
{
    qtest_quit(l->host);
    epvm_stop(l->ep);
}

/* ---- Host ---- */

static uint32_t sriov_read(Link *l, unsigned reg)
{
    return hostvm_ecam_readl(l->host, HOSTVM_FUNCTION, SRIOV + reg);
}

static void sriov_write(Link *l, unsigned reg, uint32_t val)
{
    hostvm_ecam_writel(l->host, HOSTVM_FUNCTION, SRIOV + reg, val);
}

static void enable_vfs(Link *l, unsigned n)
{
    sriov_write(l, PCI_SRIOV_BAR, VF_BAR(0));
    sriov_write(l, PCI_SRIOV_BAR + 4, MSIX_BAR);
    sriov_write(l, PCI_SRIOV_BAR + 8, VF_BAR(2));
    sriov_write(l, PCI_SRIOV_BAR + 12, 0);
    sriov_write(l, PCI_SRIOV_NUM_VF, n);
    sriov_write(l, PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
    g_assert_cmphex(read_fn_vfs(l), ==,
                    EPC_FN_VFS_ENABLE | EPC_FN_VFS_MEMORY | n);
}

static void disable_vfs(Link *l)
{
    sriov_write(l, PCI_SRIOV_CTRL, 0);
    sriov_write(l, PCI_SRIOV_NUM_VF, 0);
    g_assert_cmphex(read_fn_vfs(l), ==, 0);
}

static void set_bus_master(Link *l, unsigned n, bool on)
{
    hostvm_writew(l->host, number_bdf(n), PCI_COMMAND,
                  on ? PCI_COMMAND_MASTER : 0);
}

static void enable_msix(Link *l, unsigned n)
{
    unsigned cap = hostvm_find_cap(l->host, number_bdf(n), PCI_CAP_ID_MSIX);
    uint32_t at = hostvm_readl(l->host, number_bdf(n), cap + PCI_MSIX_TABLE);
    uint64_t table = MSIX_BAR + n * 0x1000;

    /* In a BAR of the bridge's own */
    g_assert_cmpuint(cap, !=, 0);
    g_assert_cmphex(at, ==, 1);
    for (unsigned v = 0; v < VECTORS; v++) {
        qtest_writeq(l->host, table + v * 16, MSI_ADDR(n) + v * 4);
        qtest_writel(l->host, table + v * 16 + 8, MSI_DATA(n) + v);
        qtest_writel(l->host, table + v * 16 + 12, 0);
    }
    hostvm_writew(l->host, number_bdf(n), cap + PCI_MSIX_FLAGS,
                  PCI_MSIX_FLAGS_ENABLE);
}

static void check_enabled(Link *l, unsigned n)
{
    for (unsigned i = 0; i < VFS; i++) {
        g_assert_cmphex(hostvm_readl(l->host, number_bdf(i), 0), ==,
                        UINT32_MAX);
        g_assert_true((hostvm_readb(l->host, number_bdf(i),
                                    PCI_CAPABILITY_LIST) == 0xff) == (i >= n));
    }
}

static void check_bars(Link *l, unsigned n)
{
    uint64_t before = hostvm_settled_messages(l->host);

    qtest_writel(l->ep->q, TARGET(FNS + n, 0), 0x1000 + n);
    qtest_writel(l->ep->q, TARGET(FNS + n, 2), 0x2000 + n);
    g_assert_cmphex(qtest_readl(l->host, BAR0(n)), ==, 0x1000 + n);
    g_assert_cmphex(qtest_readl(l->host, BAR2(n)), ==, 0x2000 + n);
    qtest_writel(l->host, BAR2(n) + BAR2_SIZE - 4, 0x3000 + n);
    g_assert_cmphex(qtest_readl(l->ep->q, TARGET(FNS + n, 2) + BAR2_SIZE - 4),
                    ==, 0x3000 + n);
    g_assert_cmpuint(hostvm_prop_uint(l->host, "messages"), ==, before);
}

static void check_no_bars(Link *l, unsigned n)
{
    g_assert_cmphex(qtest_readl(l->host, BAR0(n)), ==, UINT32_MAX);
    g_assert_cmphex(qtest_readl(l->host, BAR2(n)), ==, UINT32_MAX);
}

/* ---- Tests ---- */

static void test_capability(void)
{
    Link l;

    pair_start(&l);
    for (unsigned fn = 0; fn < FNS; fn++) {
        g_assert_cmphex(hostvm_readl(l.host, HOSTVM_FUNCTION + fn, 0), ==,
                        ID(fn));
    }
    g_assert_cmphex(PCI_EXT_CAP_ID(sriov_read(&l, 0)), ==,
                    PCI_EXT_CAP_ID_SRIOV);
    g_assert_cmphex(sriov_read(&l, PCI_SRIOV_INITIAL_VF), ==,
                    VFS << 16 | VFS);
    g_assert_cmphex(sriov_read(&l, PCI_SRIOV_VF_OFFSET), ==, 1 << 16 | FNS);
    g_assert_cmphex(sriov_read(&l, PCI_SRIOV_VF_DID - 2) >> 16, ==,
                    ID(FNS) >> 16);
    for (unsigned i = 0; i < 6; i++) {
        sriov_write(&l, PCI_SRIOV_BAR + i * 4, UINT32_MAX);
    }
    g_assert_cmphex(sriov_read(&l, PCI_SRIOV_BAR), ==, -BAR0_SIZE);
    g_assert_cmphex(sriov_read(&l, PCI_SRIOV_BAR + 4), ==, 0xfffff000);
    g_assert_cmphex(sriov_read(&l, PCI_SRIOV_BAR + 8), ==, -BAR2_SIZE | 4);
    g_assert_cmphex(sriov_read(&l, PCI_SRIOV_BAR + 12), ==, UINT32_MAX);
    g_assert_cmphex(sriov_read(&l, PCI_SRIOV_BAR + 16), ==, 0);
    check_enabled(&l, 0);
    pair_end(&l);
}

/* Each has its memory in place, as soon as it is enabled and no longer. */
static void test_bars(void)
{
    Link l;

    pair_start(&l);
    for (unsigned n = 0; n <= VFS; n++) {
        enable_vfs(&l, n);
        check_enabled(&l, n);
        for (unsigned i = 0; i < VFS; i++) {
            if (i < n) {
                check_bars(&l, i);
            } else {
                check_no_bars(&l, i);
            }
        }
        disable_vfs(&l);
        check_enabled(&l, 0);
        for (unsigned i = 0; i < VFS; i++) {
            check_no_bars(&l, i);
        }
    }
    pair_end(&l);
}

/* Other memory while the host uses the BAR, of one of them */
static void test_retarget(void)
{
    Link l;

    pair_start(&l);
    enable_vfs(&l, VFS);
    check_bars(&l, 0);
    check_bars(&l, 1);
    select_vf(&l, 1);
    qtest_writel(l.ep->q, TARGET(7, 0), 0x7777);
    g_assert_cmpuint(epvm_set_bar(l.ep, 0, 0, TARGET(7, 0), BAR0_SIZE), ==,
                     EPC_STATUS_OK);
    hostvm_wait_mem(l.host, BAR0(1), 0x7777);
    check_bars(&l, 0);
    check_bars(&l, 2);
    g_assert_cmpuint(epvm_clear_bar(l.ep, 0), ==, EPC_STATUS_OK);
    hostvm_wait_mem(l.host, BAR0(1), UINT32_MAX);
    check_bars(&l, 0);
    pair_end(&l);
}

/* Interrupts and DMA are those of the one that has bus mastering. */
static void test_requesters(void)
{
    Link l;

    pair_start(&l);
    enable_vfs(&l, VFS);
    for (unsigned n = 0; n < VFS; n++) {
        enable_msix(&l, n);
        qtest_writel(l.host, BUFFER(n), 0x5500 + n);
    }
    for (unsigned on = 0; on < VFS; on++) {
        set_bus_master(&l, on, true);
        for (unsigned n = 0; n < VFS; n++) {
            uint64_t window = n * 0x10000;

            select_vf(&l, n);
            g_assert_cmpuint(epvm_map(l.ep, window, BUFFER(n), 0x1000), ==,
                             n == on ? EPC_STATUS_OK : EPC_STATUS_NOT_MAPPED);
            g_assert_cmphex(qtest_readl(l.ep->q, EPVM_WINDOW + window), ==,
                            n == on ? 0x5500 + n : UINT32_MAX);
            epvm_raise(l.ep, EPC_RAISE_MSIX(n), 0);
            if (n == on) {
                hostvm_wait_mem(l.host, MSI_ADDR(n) + n * 4, MSI_DATA(n) + n);
                qtest_writel(l.host, MSI_ADDR(n) + n * 4, 0);
            }
        }
        set_bus_master(&l, on, false);
    }
    for (unsigned n = 0; n < VFS; n++) {
        g_assert_cmphex(qtest_readl(l.host, MSI_ADDR(n) + n * 4), ==, 0);
        select_vf(&l, n);
        g_assert_cmpuint(epvm_fn_reg(l.ep, EPC_FN_RAISE_DROPPED), ==, VFS - 1);
    }
    pair_end(&l);
}

/* An IOMMU of the host knows them apart: IOVA 0 is another page for each. */
static void test_iommu(void)
{
    Link l;

    start_with(&l, "-device intel-iommu,caching-mode=on");
    enable_vfs(&l, VFS);
    qtest_memset(l.host, ROOT, 0, LEVEL(3 * VFS) - ROOT);
    for (unsigned n = 0; n < VFS; n++) {
        vtd_set_context(l.host, ROOT, 1, CONTEXT, FNS + n, LEVEL(3 * n), n + 1);
        qtest_writeq(l.host, LEVEL(3 * n), LEVEL(3 * n + 1) | VTD_PTE_RW);
        qtest_writeq(l.host, LEVEL(3 * n + 1), LEVEL(3 * n + 2) | VTD_PTE_RW);
        qtest_writeq(l.host, LEVEL(3 * n + 2), BUFFER(n) | VTD_PTE_RW);
        qtest_writel(l.host, BUFFER(n), 0x6600 + n);
        set_bus_master(&l, n, true);
    }
    vtd_set_root(l.host, ROOT);
    vtd_invalidate(l.host);
    vtd_translate(l.host, true);
    for (unsigned n = 0; n < VFS; n++) {
        select_vf(&l, n);
        g_assert_cmpuint(epvm_map(l.ep, n * 0x1000, 0, 0x1000), ==,
                         EPC_STATUS_OK);
        g_assert_cmphex(qtest_readl(l.ep->q, EPVM_WINDOW + n * 0x1000), ==,
                        0x6600 + n);
        g_assert_cmpuint(epvm_map(l.ep, 0x10000, BUFFER(n), 0x1000), ==,
                         EPC_STATUS_NOT_MAPPED);
    }
    disable_vfs(&l);
    for (unsigned n = 0; n < VFS; n++) {
        g_assert_cmphex(qtest_readl(l.ep->q, EPVM_WINDOW + n * 0x1000), ==,
                        UINT32_MAX);
    }
    pair_end(&l);
}

static void use_all_vfs(Link *l)
{
    enable_vfs(l, VFS);
    for (unsigned n = 0; n < VFS; n++) {
        check_bars(l, n);
        enable_msix(l, n);
        set_bus_master(l, n, true);
        select_vf(l, n);
        epvm_raise(l->ep, EPC_RAISE_MSIX(1), 0);
        hostvm_wait_mem(l->host, MSI_ADDR(n) + 4, MSI_DATA(n) + 1);
        qtest_writel(l->host, MSI_ADDR(n) + 4, 0);
    }
}

static void check_off(Link *l)
{
    wait_until(read_fn_vfs(l) == 0, "FN_VFS to become 0; it is 0x%x",
               read_fn_vfs(l));
    g_assert_cmphex(sriov_read(l, PCI_SRIOV_CTRL), ==, 0);
    g_assert_cmphex(sriov_read(l, PCI_SRIOV_NUM_VF), ==, 0);
    check_enabled(l, 0);
    for (unsigned n = 0; n < VFS; n++) {
        check_no_bars(l, n);
        select_vf(l, n);
        g_assert_cmphex(epvm_fn_reg(l->ep, EPC_FN_PCI_COMMAND), ==, 0);
    }
}

static void test_resets(void)
{
    unsigned exp;
    Link l;

    pair_start(&l);
    exp = hostvm_find_cap(l.host, HOSTVM_FUNCTION, PCI_CAP_ID_EXP);
    for (unsigned i = 0; i < 3; i++) {
        use_all_vfs(&l);
        disable_vfs(&l);
        check_off(&l);

        use_all_vfs(&l);
        hostvm_writew(l.host, HOSTVM_PORT, PCI_BRIDGE_CONTROL,
                      PCI_BRIDGE_CTL_BUS_RESET);
        hostvm_writew(l.host, HOSTVM_PORT, PCI_BRIDGE_CONTROL, 0);
        check_off(&l);

        use_all_vfs(&l);
        hostvm_writew(l.host, HOSTVM_FUNCTION, exp + PCI_EXP_DEVCTL,
                      PCI_EXP_DEVCTL_BCR_FLR);
        check_off(&l);

        use_all_vfs(&l);
        qtest_system_reset(l.host);
        hostvm_enable_port(l.host);
        hostvm_enable_ecam(l.host);
        check_off(&l);
    }
    pair_end(&l);
}

static void test_flr(void)
{
    unsigned exp;
    Link l;

    pair_start(&l);
    use_all_vfs(&l);
    exp = hostvm_find_cap(l.host, number_bdf(1), PCI_CAP_ID_EXP);
    hostvm_writew(l.host, number_bdf(1), exp + PCI_EXP_DEVCTL,
                  PCI_EXP_DEVCTL_BCR_FLR);
    g_assert_cmphex(read_fn_vfs(&l) & EPC_FN_VFS_NUM_MASK, ==, VFS);
    for (unsigned n = 0; n < VFS; n++) {
        check_bars(&l, n);
        select_vf(&l, n);
        g_assert_cmphex(epvm_fn_reg(l.ep, EPC_FN_PCI_COMMAND), ==,
                        PCI_COMMAND_MEMORY |
                        (n == 1 ? 0 : PCI_COMMAND_MASTER));
    }
    select_vf(&l, 1);
    g_assert_cmphex(epvm_fn_reg(l.ep, EPC_FN_EVENT) & EPC_FN_EVENT_FLR, ==,
                    EPC_FN_EVENT_FLR);
    enable_msix(&l, 1);
    set_bus_master(&l, 1, true);
    epvm_raise(l.ep, EPC_RAISE_MSIX(0), 0);
    hostvm_wait_mem(l.host, MSI_ADDR(1), MSI_DATA(1));
    pair_end(&l);
}

/* Down with them enabled, and nothing is left of them. */
static void test_start_stop(void)
{
    unsigned held = 0;
    Link l;

    pair_start(&l);
    for (unsigned i = 0; i < 10; i++) {
        use_all_vfs(&l);
        g_assert_cmpuint(epvm_link_command(l.ep, EPC_LINK_STOP), ==,
                         EPC_STATUS_OK);
        hostvm_wait_present(l.host, false);
        check_enabled(&l, 0);
        check_no_bars(&l, 0);
        if (!i) {
            held = hostvm_count_held(l.host);
        }
        link_up(&l);
        check_off(&l);
    }
    g_assert_cmpuint(epvm_link_command(l.ep, EPC_LINK_STOP), ==, EPC_STATUS_OK);
    hostvm_wait_present(l.host, false);
    hostvm_wait_held(l.host, held + 8);
    pair_end(&l);
}

/* A host that goes while it uses them, and another one */
static void test_hosts(void)
{
    Link l;

    pair_start(&l);
    for (unsigned i = 0; i < 3; i++) {
        use_all_vfs(&l);
        qtest_quit(l.host);
        epvm_wait_link(l.ep, false);
        g_assert_cmphex(read_fn_vfs(&l), ==, 0);
        l.host = hostvm_start(l.ep->socket, DEADLINE_MS, true);
        hostvm_enable_port(l.host);
        hostvm_enable_ecam(l.host);
        epvm_wait_link(l.ep, true);
        hostvm_wait_present(l.host, true);
    }
    use_all_vfs(&l);
    pair_end(&l);
}

/* No header in the first one: no virtual functions this time */
static void test_none(void)
{
    Link l;

    pair_start(&l);
    use_all_vfs(&l);
    g_assert_cmpuint(epvm_link_command(l.ep, EPC_LINK_STOP), ==, EPC_STATUS_OK);
    hostvm_wait_present(l.host, false);
    for (unsigned n = 0; n < VFS; n++) {
        select_vf(&l, n);
        g_assert_cmpuint(epvm_command(l.ep, EPC_CMD_REMOVE), ==, EPC_STATUS_OK);
    }
    link_up(&l);
    g_assert_cmphex(PCI_EXT_CAP_ID(sriov_read(&l, 0)), !=,
                    PCI_EXT_CAP_ID_SRIOV);
    for (unsigned fn = 0; fn < FNS; fn++) {
        g_assert_cmphex(hostvm_readl(l.host, HOSTVM_FUNCTION + fn, 0), ==,
                        ID(fn));
    }
    check_enabled(&l, 0);
    pair_end(&l);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("pci-ep-vf/capability", test_capability);
    qtest_add_func("pci-ep-vf/bars", test_bars);
    qtest_add_func("pci-ep-vf/retarget", test_retarget);
    qtest_add_func("pci-ep-vf/requesters", test_requesters);
    qtest_add_func("pci-ep-vf/iommu", test_iommu);
    qtest_add_func("pci-ep-vf/resets", test_resets);
    qtest_add_func("pci-ep-vf/flr", test_flr);
    qtest_add_func("pci-ep-vf/start-stop", test_start_stop);
    qtest_add_func("pci-ep-vf/hosts", test_hosts);
    qtest_add_func("pci-ep-vf/none", test_none);
    return g_test_run();
}
