/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several functions, and several controllers, in real QEMUs
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/machine-host.h"
#include "pci-ep/wait.h"

#define DEADLINE_MS     wait_scaled(1000)
#define FNS             8
#define ID(fn)          (0xb500104cu + ((fn) << 16))
#define VECTORS         8
#define MSIX_TABLE      0x8000
#define FN_KIB_MAX      (8 * 1024)

/* Memory behind BARs in the endpoint, and where they are in the host */
#define TARGET(fn, bar) (0x1000000ull + (fn) * 0x200000 + (bar) * 0x40000)
#define BAR(fn, bar)    (HOSTVM_BARS + (fn) * 0x200000u + (bar) * 0x40000u)

/* Of the host: a word that a vector writes, and a page for each function */
#define MSI_ADDR(fn)    (0x300000 + (fn) * 0x100)
#define MSI_DATA(fn)    (0x4500 + (fn) * 0x10)
#define BUFFER(fn)      (0x400000 + (fn) * 0x10000)

typedef struct Bar {
    unsigned bar;
    uint32_t flags, size;
} Bar;

/* The first BAR of a layout has the MSI-X table */
static const Bar layouts[4][3] = {
    { { 0, 0, 0x10000 }, { 2, EPC_BAR_FLAG_64, 0x20000 }, { 5, 0, 0x1000 } },
    { { 0, EPC_BAR_FLAG_64, 0x40000 },
      { 2, EPC_BAR_FLAG_64 | EPC_BAR_FLAG_PREFETCH, 0x1000 } },
    { { 5, 0, 0x10000 } },
    { { 1, EPC_BAR_FLAG_PREFETCH, 0x10000 }, { 3, 0, 0x8000 },
      { 4, EPC_BAR_FLAG_64, 0x10000 } },
};

static const Bar *function_bars(unsigned fn)
{
    return layouts[fn % ARRAY_SIZE(layouts)];
}

#define FOR_EACH_BAR(b, fn)                                                    \
    for (const Bar *b = function_bars(fn);                                     \
         b < function_bars(fn) + 3 && b->size; b++)

typedef struct Link {
    EpVm *ep;
    QTestState *host;
} Link;

/* ---- Endpoint ---- */

static void describe_all(EpVm *e, uint32_t mask)
{
    for (unsigned fn = 0; fn < FNS; fn++) {
        if (!(mask & BIT(fn))) {
            continue;
        }
        epvm_select(e, fn);
        g_assert_cmpuint(epvm_set_header(e, ID(fn), fn % 4 + 1), ==,
                         EPC_STATUS_OK);
        FOR_EACH_BAR(b, fn) {
            g_assert_cmpuint(epvm_set_bar(e, b->bar, b->flags,
                                          TARGET(fn, b->bar), b->size), ==,
                             EPC_STATUS_OK);
        }
        g_assert_cmpuint(epvm_set_msix(e, VECTORS, function_bars(fn)->bar,
                                       MSIX_TABLE),
                         ==, EPC_STATUS_OK);
    }
    epvm_select(e, 0);
}

/* ---- Host ---- */

static void enable_function(QTestState *q, unsigned fn)
{
    FOR_EACH_BAR(b, fn) {
        unsigned reg = PCI_BASE_ADDRESS_0 + b->bar * 4;

        hostvm_writel(q, HOSTVM_FUNCTION + fn, reg, UINT32_MAX);
        g_assert_cmphex(hostvm_readl(q, HOSTVM_FUNCTION + fn, reg) & ~0xf, ==,
                        -b->size);
        hostvm_writel(q, HOSTVM_FUNCTION + fn, reg, BAR(fn, b->bar));
        if (b->flags & EPC_BAR_FLAG_64) {
            hostvm_writel(q, HOSTVM_FUNCTION + fn, reg + 4, 0);
        }
    }
    hostvm_writew(q, HOSTVM_FUNCTION + fn, PCI_COMMAND, PCI_COMMAND_MEMORY);
}

static void set_bus_master(QTestState *q, unsigned fn, bool on)
{
    hostvm_writew(q, HOSTVM_FUNCTION + fn, PCI_COMMAND,
                  PCI_COMMAND_MEMORY | (on ? PCI_COMMAND_MASTER : 0));
}

static void enable_msix(QTestState *q, unsigned fn)
{
    unsigned cap = hostvm_find_cap(q, HOSTVM_FUNCTION + fn, PCI_CAP_ID_MSIX);
    uint32_t at = hostvm_readl(q, HOSTVM_FUNCTION + fn, cap + PCI_MSIX_TABLE);
    unsigned bir = at & PCI_MSIX_FLAGS_BIRMASK;
    uint64_t table = BAR(fn, bir) + (at & ~PCI_MSIX_FLAGS_BIRMASK);

    /* A BAR of the bridge's own perhaps */
    hostvm_writel(q, HOSTVM_FUNCTION + fn, PCI_BASE_ADDRESS_0 + bir * 4,
                  BAR(fn, bir));
    for (unsigned v = 0; v < VECTORS; v++) {
        qtest_writel(q, table + v * 16, MSI_ADDR(fn) + v * 4);
        qtest_writel(q, table + v * 16 + 4, 0);
        qtest_writel(q, table + v * 16 + 8, MSI_DATA(fn) + v);
        qtest_writel(q, table + v * 16 + 12, 0);
    }
    hostvm_writew(q, HOSTVM_FUNCTION + fn, cap + PCI_MSIX_FLAGS,
                  PCI_MSIX_FLAGS_ENABLE);
}

static void check_shown(Link *l, uint32_t mask)
{
    hostvm_wait_present(l->host, true);
    for (unsigned fn = 0; fn < FNS; fn++) {
        g_assert_cmphex(hostvm_readl(l->host, HOSTVM_FUNCTION + fn, 0), ==,
                        mask & BIT(fn) ? ID(fn) : UINT32_MAX);
    }
    g_assert_cmphex(hostvm_readb(l->host, HOSTVM_FUNCTION, PCI_HEADER_TYPE), ==,
                    mask == 1 ? 0 : 0x80);
}

/* ---- One controller ---- */

static void link_up(Link *l, uint32_t mask)
{
    g_assert_cmpuint(epvm_link_command(l->ep, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    epvm_wait_link(l->ep, true);
    check_shown(l, mask);
}

static void pair_start(Link *l, uint32_t mask)
{
    l->ep = epvm_start(EPVM_SHARED, ",functions=8");
    describe_all(l->ep, mask);
    l->host = hostvm_start(l->ep->socket, DEADLINE_MS, true);
    hostvm_enable_port(l->host);
    link_up(l, mask);
    for (unsigned fn = 0; fn < FNS; fn++) {
        if (mask & BIT(fn)) {
            enable_function(l->host, fn);
        }
    }
}

static void pair_end(Link *l)
{
    qtest_quit(l->host);
    epvm_stop(l->ep);
}

static void check_bars(Link *l, unsigned fn)
{
    FOR_EACH_BAR(b, fn) {
        uint32_t v = 0x10000 * (fn + 1) + b->bar;

        qtest_writel(l->ep->q, TARGET(fn, b->bar), v);
        g_assert_cmphex(qtest_readl(l->host, BAR(fn, b->bar)), ==, v);
        qtest_writel(l->host, BAR(fn, b->bar) + b->size - 4, ~v);
        g_assert_cmphex(qtest_readl(l->ep->q, TARGET(fn, b->bar) + b->size -
                                    4), ==, ~v);
    }
}

static void test_bars(void)
{
    Link l;

    pair_start(&l, 0xff);
    for (unsigned fn = 0; fn < FNS; fn++) {
        check_bars(&l, fn);
    }
    /* Afterwards, so that one that hit another one's memory shows */
    for (unsigned fn = 0; fn < FNS; fn++) {
        g_assert_cmphex(qtest_readl(l.host, BAR(fn, function_bars(fn)->bar)),
                        ==, 0x10000 * (fn + 1) + function_bars(fn)->bar);
    }
    pair_end(&l);
}

/* Interrupts and DMA are those of the function that has bus mastering. */
static void test_requesters(void)
{
    Link l;

    pair_start(&l, 0xff);
    for (unsigned fn = 0; fn < FNS; fn++) {
        enable_msix(l.host, fn);
        qtest_writel(l.host, BUFFER(fn), 0x5500 + fn);
    }
    for (unsigned on = 0; on < FNS; on++) {
        set_bus_master(l.host, on, true);
        for (unsigned fn = 0; fn < FNS; fn++) {
            uint64_t window = fn * 0x10000;

            epvm_select(l.ep, fn);
            g_assert_cmpuint(epvm_map(l.ep, window, BUFFER(fn), 0x1000), ==,
                             fn == on ? EPC_STATUS_OK : EPC_STATUS_NOT_MAPPED);
            g_assert_cmphex(qtest_readl(l.ep->q, EPVM_WINDOW + window), ==,
                            fn == on ? 0x5500 + fn : UINT32_MAX);
            epvm_raise(l.ep, EPC_RAISE_MSIX(fn), 0);
            if (fn == on) {
                hostvm_wait_mem(l.host, MSI_ADDR(fn) + fn * 4,
                                MSI_DATA(fn) + fn);
                qtest_writel(l.host, MSI_ADDR(fn) + fn * 4, 0);
            }
        }
        set_bus_master(l.host, on, false);
    }
    for (unsigned fn = 0; fn < FNS; fn++) {
        g_assert_cmphex(qtest_readl(l.host, MSI_ADDR(fn) + fn * 4), ==, 0);
        epvm_select(l.ep, fn);
        g_assert_cmpuint(epvm_fn_reg(l.ep, EPC_FN_RAISE_DROPPED), ==, FNS - 1);
    }
    pair_end(&l);
}

/* Other functions each time, ten times, and REMOVE between */
static void test_start_stop(void)
{
    static const uint32_t masks[] = { 0x1, 0x81, 0xff, 0x3, 0x55 };
    Link l;

    l.ep = epvm_start(EPVM_SHARED, ",functions=8");
    l.host = hostvm_start(l.ep->socket, DEADLINE_MS, true);
    hostvm_enable_port(l.host);
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(masks); i++) {
        uint32_t mask = masks[i % ARRAY_SIZE(masks)];

        describe_all(l.ep, mask);
        link_up(&l, mask);
        g_assert_cmpuint(epvm_reg(l.ep, EPC_REG_LINK) >> EPC_LINK_GEN_SHIFT, ==,
                         i + 1);
        g_assert_cmpuint(epvm_link_command(l.ep, EPC_LINK_STOP), ==,
                         EPC_STATUS_OK);
        hostvm_wait_present(l.host, false);
        for (unsigned fn = 0; fn < FNS; fn++) {
            epvm_select(l.ep, fn);
            g_assert_cmpuint(epvm_command(l.ep, EPC_CMD_REMOVE), ==,
                             EPC_STATUS_OK);
        }
    }
    pair_end(&l);
}

/* A host that goes, and another one */
static void test_hosts(void)
{
    Link l;

    pair_start(&l, 0x83);
    for (unsigned i = 0; i < 3; i++) {
        qtest_quit(l.host);
        epvm_wait_link(l.ep, false);
        l.host = hostvm_start(l.ep->socket, DEADLINE_MS, true);
        hostvm_enable_port(l.host);
        epvm_wait_link(l.ep, true);
        check_shown(&l, 0x83);
    }
    enable_function(l.host, 7);
    check_bars(&l, 7);
    pair_end(&l);
}

static void wait_event(EpVm *e, uint32_t event)
{
    wait_until(epvm_reg(e, EPC_REG_EVENT) & event,
               "event 0x%x, where 0x%x is set", event,
               epvm_reg(e, EPC_REG_EVENT));
    epvm_set_reg(e, EPC_REG_EVENT, EPC_EVENT_ALL);
}

/*
 * The controller has no event. What the bridge sent on the session of a
 * function because of a reset comes before a configuration write that is sent
 * now.
 */
static void expect_no_event(Link *l)
{
    for (unsigned fn = 0; fn < FNS; fn++) {
        set_bus_master(l->host, fn, true);
        epvm_select(l->ep, fn);
        wait_until(epvm_fn_reg(l->ep, EPC_FN_PCI_COMMAND) & PCI_COMMAND_MASTER,
                   "bus mastering of function %u", fn);
    }
    g_assert_cmphex(epvm_reg(l->ep, EPC_REG_EVENT), ==, 0);
}

/* A reset of the bus resets all functions, and is one event. */
static void test_resets(void)
{
    Link l;

    pair_start(&l, 0xff);
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned fn = 0; fn < FNS; fn++) {
            set_bus_master(l.host, fn, true);
        }
        epvm_set_reg(l.ep, EPC_REG_EVENT, EPC_EVENT_ALL);
        hostvm_writew(l.host, HOSTVM_PORT, PCI_BRIDGE_CONTROL,
                      PCI_BRIDGE_CTL_BUS_RESET);
        hostvm_writew(l.host, HOSTVM_PORT, PCI_BRIDGE_CONTROL, 0);
        wait_event(l.ep, EPC_EVENT_HOT_RESET);
        for (unsigned fn = 0; fn < FNS; fn++) {
            epvm_select(l.ep, fn);
            g_assert_cmphex(epvm_fn_reg(l.ep, EPC_FN_PCI_COMMAND), ==, 0);
        }
        expect_no_event(&l);
    }
    qtest_system_reset(l.host);
    wait_event(l.ep, EPC_EVENT_PERST);
    hostvm_enable_port(l.host);
    expect_no_event(&l);
    check_shown(&l, 0xff);
    pair_end(&l);
}

/* Private memory of a process in KiB */
static unsigned private_memory(QTestState *q)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", qtest_pid(q));
    g_autofree char *text = NULL;
    const char *at;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    at = strstr(text, "RssAnon:");
    g_assert_nonnull(at);
    return g_ascii_strtoull(at + strlen("RssAnon:"), NULL, 10);
}

/* What a function costs on each side */
static void test_memory(void)
{
    unsigned ep[2], host[2];
    Link l;

    for (unsigned i = 0; i < 2; i++) {
        pair_start(&l, i ? 0xff : 0x1);
        for (unsigned fn = 0; fn < (i ? FNS : 1); fn++) {
            enable_msix(l.host, fn);
        }
        ep[i] = private_memory(l.ep->q);
        host[i] = private_memory(l.host);
        pair_end(&l);
    }
    g_test_message("KiB with 1 and with 8 functions: endpoint %u, %u; "
                   "host %u, %u", ep[0], ep[1], host[0], host[1]);
    g_assert_cmpuint(ep[1], <, ep[0] + (FNS - 1) * FN_KIB_MAX);
    g_assert_cmpuint(host[1], <, host[0] + (FNS - 1) * FN_KIB_MAX);
}

/* ---- Several controllers ---- */

#define CONTROLLERS 4

/* Each bridge has a bus and 16 MiB of addresses. */
static unsigned port_slot(unsigned n)
{
    return HOSTVM_PORT + (n << 3);
}

static void enable_port(QTestState *q, unsigned n)
{
    uint32_t base = HOSTVM_BARS + n * 0x1000000u;

    hostvm_writel(q, port_slot(n), PCI_PRIMARY_BUS, (n + 1) * 0x010100);
    hostvm_writel(q, port_slot(n), PCI_MEMORY_BASE,
                  base >> 16 | (base + 0xf00000));
    hostvm_writel(q, port_slot(n), PCI_PREF_MEMORY_BASE, 0x0000fff0);
    hostvm_writew(q, port_slot(n), PCI_COMMAND,
                  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void wait_id(QTestState *q, unsigned n, uint32_t id)
{
    unsigned bdf = (n + 1) << 8;

    wait_until(hostvm_readl(q, bdf, 0) == id,
               "id 0x%x behind port %u, not 0x%x", id, n,
               hostvm_readl(q, bdf, 0));
}

static void describe_nth(EpVm *e, unsigned n)
{
    g_assert_cmpuint(epvm_set_header(e, ID(n), 1), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, TARGET(n, 0), 0x10000), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
}

/* BAR, bus mastering and window of the @n-th link */
static void check_nth(QTestState *q, EpVm *e, unsigned n)
{
    uint32_t base = HOSTVM_BARS + n * 0x1000000u;
    unsigned bdf = (n + 1) << 8;
    uint64_t window = EPVM_WINDOW + ((uint64_t)n << 32);

    hostvm_writel(q, bdf, PCI_BASE_ADDRESS_0, base);
    hostvm_writew(q, bdf, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    qtest_writel(e->q, TARGET(n, 0), 0x1230 + n);
    g_assert_cmphex(qtest_readl(q, base), ==, 0x1230 + n);
    qtest_writel(q, BUFFER(n), 0x5670 + n);
    g_assert_cmpuint(epvm_map(e, 0, BUFFER(n), 0x1000), ==, EPC_STATUS_OK);
    g_assert_cmphex(qtest_readl(e->q, window), ==, 0x5670 + n);
}

static char *more_devices(const char *driver, const char *dir, unsigned slot)
{
    GString *s = g_string_new("");

    for (unsigned n = 1; n < CONTROLLERS; n++) {
        g_string_append_printf(s,
                               " -device %s,id=%s%u,addr=%u,socket=%s/link-%u",
                               driver, driver, n, slot + n, dir, n);
    }
    return g_string_free(s, false);
}

/* Four in one QEMU, linked to four bridges in another */
static void test_controllers(void)
{
    g_autofree char *dir = g_dir_make_tmp("pci-ep-XXXXXX", NULL);
    g_autofree char *epcs = more_devices("pci-epc", dir, 5);
    g_autofree char *bridges = more_devices("epf-bridge", dir, 4);
    EpVm *e[CONTROLLERS];
    QTestState *host;

    e[0] = epvm_start(EPVM_SHARED, epcs);
    for (unsigned n = 1; n < CONTROLLERS; n++) {
        e[n] = epvm_find(e[0]->q, 5 + n, n);
    }
    host = hostvm_start_args(bridges, e[0]->socket, DEADLINE_MS);
    for (unsigned n = 0; n < CONTROLLERS; n++) {
        enable_port(host, n);
        describe_nth(e[n], n);
    }
    for (unsigned n = 0; n < CONTROLLERS; n++) {
        epvm_wait_link(e[n], true);
        wait_id(host, n, ID(n));
        check_nth(host, e[n], n);
    }
    /* One that is stopped leaves the others alone */
    for (unsigned n = 0; n < CONTROLLERS; n++) {
        g_assert_cmpuint(epvm_link_command(e[n], EPC_LINK_STOP), ==,
                         EPC_STATUS_OK);
        wait_id(host, n, UINT32_MAX);
        for (unsigned i = n + 1; i < CONTROLLERS; i++) {
            g_assert_cmphex(qtest_readl(host, HOSTVM_BARS + i * 0x1000000u), ==,
                            0x1230 + i);
        }
    }
    qtest_quit(host);
    for (unsigned n = 1; n < CONTROLLERS; n++) {
        epvm_find_free(e[n]);
    }
    epvm_stop(e[0]);
    g_assert_cmpint(rmdir(dir), ==, 0);
}

/* Both devices in one QEMU, which is host and endpoint of itself */
static void test_both(void)
{
    g_autofree char *dir = g_dir_make_tmp("pci-ep-XXXXXX", NULL);
    g_autofree char *args =
        g_strdup_printf("-device pci-epc,addr=7,functions=2,"
                        "socket=%s/link",
                        dir);
    g_autofree char *socket = g_strdup_printf("%s/link", dir);
    QTestState *q = hostvm_start_args(args, socket, DEADLINE_MS);
    EpVm *e = epvm_find(q, 7, 2);

    hostvm_enable_port(q);
    for (unsigned i = 0; i < 3; i++) {
        describe_all(e, 0x3);
        g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==,
                         EPC_STATUS_OK);
        epvm_wait_link(e, true);
        hostvm_wait_present(q, true);
        for (unsigned fn = 0; fn < 2; fn++) {
            enable_function(q, fn);
            qtest_writel(q, TARGET(fn, 0), 0x4440 + fn);
            g_assert_cmphex(qtest_readl(q, BAR(fn, 0)), ==, 0x4440 + fn);
        }
        set_bus_master(q, 1, true);
        epvm_select(e, 1);
        qtest_writel(q, BUFFER(1), 0x77);
        g_assert_cmpuint(epvm_map(e, 0, BUFFER(1), 0x1000), ==, EPC_STATUS_OK);
        g_assert_cmphex(qtest_readl(q, EPVM_WINDOW + (2ull << 32)), ==, 0x77);
        epvm_set_reg(e, EPC_REG_RESET, EPC_RESET_MAGIC);
        g_assert_cmpuint(epvm_wait_link_command(e), ==, EPC_STATUS_OK);
        hostvm_wait_present(q, false);
    }
    qtest_quit(q);
    epvm_find_free(e);
    g_assert_cmpint(rmdir(dir), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("pci-ep-func/bars", test_bars);
    qtest_add_func("pci-ep-func/requesters", test_requesters);
    qtest_add_func("pci-ep-func/start-stop", test_start_stop);
    qtest_add_func("pci-ep-func/hosts", test_hosts);
    qtest_add_func("pci-ep-func/resets", test_resets);
    qtest_add_func("pci-ep-func/memory", test_memory);
    qtest_add_func("pci-ep-func/controllers", test_controllers);
    qtest_add_func("pci-ep-func/both", test_both);
    return g_test_run();
}
