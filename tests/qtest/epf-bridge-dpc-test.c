/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge: Downstream Port Containment
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"
#include "pci-ep/wait.h"

#define AER         0x100       /* of the function, and of the port */
#define FN_EXP      0x60
#define ALL_ERRORS  (PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | \
                     PCI_EXP_DEVCTL_FERE)
#define ALL_ROOT    (PCI_ERR_ROOT_CMD_COR_EN | PCI_ERR_ROOT_CMD_NONFATAL_EN | \
                     PCI_ERR_ROOT_CMD_FATAL_EN)
#define RECEIVED    0x7f        /* all of Root Error Status but the vector */
#define SOFTWARE    0x0040      /* DPC Control: software trigger */
#define IDENTITY    0xb500104cu

typedef struct Dpc {
    Fixture f;
    unsigned cap;
} Dpc;

static uint32_t dpc_ecam(Dpc *d, unsigned bdf, unsigned reg)
{
    return hostvm_ecam_readl(d->f.q, bdf, reg);
}

static unsigned dpc_find(Dpc *d)
{
    unsigned at = 0x100;

    while (at) {
        uint32_t header = dpc_ecam(d, HOSTVM_PORT, at);

        if (PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_DPC) {
            return at;
        }
        at = PCI_EXT_CAP_NEXT(header);
    }
    g_error("the port has no DPC");
}

static uint16_t dpc_reg(Dpc *d, unsigned reg)
{
    return qtest_readw(d->f.q, hostvm_ecam_address(HOSTVM_PORT, d->cap + reg));
}

static void dpc_set(Dpc *d, unsigned reg, uint16_t val)
{
    qtest_writew(d->f.q, hostvm_ecam_address(HOSTVM_PORT, d->cap + reg), val);
}

static uint16_t dpc_slot(Dpc *d)
{
    return hostvm_slot_status(d->f.q);
}

static bool dpc_link_active(Dpc *d)
{
    return hostvm_link_status(d->f.q) & PCI_EXP_LNKSTA_DLLLA;
}

static bool dpc_interrupt(Dpc *d)
{
    return hostvm_readw(d->f.q, HOSTVM_PORT, PCI_STATUS) &
           PCI_STATUS_INTERRUPT;
}

/* Clears the events of the slot, such as those that came with the link. */
static void dpc_clear_slot(Dpc *d)
{
    unsigned exp = hostvm_find_cap(d->f.q, HOSTVM_PORT, PCI_CAP_ID_EXP);

    hostvm_writew(d->f.q, HOSTVM_PORT, exp + PCI_EXP_SLTSTA,
                  PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
}

static void dpc_start(Dpc *d)
{
    unsigned exp;

    d->f.ep = fakeep_new();
    stl_le_p(d->f.ep->config + AER, 1 | 2 << 16);
    fakeep_listen(d->f.ep);
    d->f.q = hostvm_start(d->f.ep->path, FIXTURE_DEADLINE_MS, true);
    hostvm_enable_port(d->f.q);
    hostvm_enable_ecam(d->f.q);
    fixture_link_up(&d->f, true);
    d->cap = dpc_find(d);

    exp = hostvm_find_cap(d->f.q, HOSTVM_PORT, PCI_CAP_ID_EXP);
    hostvm_writew(d->f.q, HOSTVM_FUNCTION, FN_EXP + PCI_EXP_DEVCTL,
                  ALL_ERRORS);
    hostvm_writew(d->f.q, HOSTVM_PORT, exp + PCI_EXP_DEVCTL, ALL_ERRORS);
    hostvm_writew(d->f.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL,
                  PCI_BRIDGE_CTL_SERR);
    hostvm_ecam_writel(d->f.q, HOSTVM_PORT, AER + PCI_ERR_ROOT_COMMAND,
                       ALL_ROOT);
    dpc_clear_slot(d);
}

static void dpc_assert_contained(Dpc *d, uint16_t reason)
{
    fence_main_loop(d->f.q);
    g_assert_cmphex(dpc_reg(d, PCI_EXP_DPC_STATUS) &
                    ~PCI_EXP_DPC_STATUS_INTERRUPT, ==,
                    PCI_EXP_DPC_STATUS_TRIGGER | reason);
    g_assert_false(dpc_link_active(d));
    /* The card is still in the slot. */
    g_assert_cmphex(dpc_slot(d) & (PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_PDC |
                                   PCI_EXP_SLTSTA_DLLSC), ==,
                    PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_DLLSC);
    g_assert_cmphex(dpc_ecam(d, HOSTVM_FUNCTION, 0), ==, UINT32_MAX);
    g_assert_cmphex(qtest_readl(d->f.q, HOSTVM_BAR(0)), ==, UINT32_MAX);
}

static void dpc_assert_free(Dpc *d)
{
    fence_main_loop(d->f.q);
    g_assert_false(dpc_reg(d, PCI_EXP_DPC_STATUS) &
                   PCI_EXP_DPC_STATUS_TRIGGER);
    g_assert_true(dpc_link_active(d));
    g_assert_cmphex(dpc_ecam(d, HOSTVM_FUNCTION, 0), ==, IDENTITY);
}

static void dpc_release(Dpc *d)
{
    dpc_set(d, PCI_EXP_DPC_STATUS, PCI_EXP_DPC_STATUS_TRIGGER);
    dpc_assert_free(d);
}

static void test_registers(void)
{
    Dpc d;

    dpc_start(&d);
    g_assert_cmphex(dpc_reg(&d, PCI_EXP_DPC_CAP), ==,
                    PCI_EXP_DPC_CAP_SW_TRIGGER);
    dpc_set(&d, PCI_EXP_DPC_CAP, 0xffff);
    dpc_set(&d, PCI_EXP_DPC_STATUS, 0xffff);
    dpc_set(&d, PCI_EXP_DPC_SOURCE_ID, 0xffff);
    g_assert_cmphex(dpc_reg(&d, PCI_EXP_DPC_CAP), ==,
                    PCI_EXP_DPC_CAP_SW_TRIGGER);
    g_assert_cmphex(dpc_reg(&d, PCI_EXP_DPC_STATUS), ==, 0);
    g_assert_cmphex(dpc_reg(&d, PCI_EXP_DPC_SOURCE_ID), ==, 0);
    /* Both trigger bits together are reserved, and trigger nothing. */
    dpc_set(&d, PCI_EXP_DPC_CTL, 0xffff);
    g_assert_cmphex(dpc_reg(&d, PCI_EXP_DPC_CTL), ==, 0x000f);
    dpc_assert_free(&d);
    qtest_system_reset(d.f.q);
    hostvm_enable_ecam(d.f.q);
    g_assert_cmphex(dpc_reg(&d, PCI_EXP_DPC_CTL), ==, 0);
    fixture_end(&d.f);
}

static void test_software(void)
{
    unsigned resets;
    Dpc d;

    dpc_start(&d);
    /* Not enabled */
    dpc_set(&d, PCI_EXP_DPC_CTL, SOFTWARE);
    dpc_assert_free(&d);
    g_assert_cmphex(qtest_readl(d.f.q, HOSTVM_BAR(0)), ==, 0);
    resets = fakeep_count(d.f.ep, VFU_CMD_EP_RESET);

    dpc_set(&d, PCI_EXP_DPC_CTL, PCI_EXP_DPC_CTL_EN_FATAL | SOFTWARE);
    dpc_assert_contained(&d, PCI_EXP_DPC_STATUS_TRIGGER_RSN_IN_EXT |
                             PCI_EXP_DPC_STATUS_TRIGGER_RSN_SW_TRIGGER);
    g_assert_cmphex(dpc_reg(&d, PCI_EXP_DPC_CTL), ==,
                    PCI_EXP_DPC_CTL_EN_FATAL);
    g_assert_false(dpc_interrupt(&d));
    fakeep_wait(d.f.ep, VFU_CMD_EP_RESET, resets + 1);
    g_assert_cmpuint(fakeep_count(d.f.ep, VFU_CMD_EP_RESET), ==, resets + 1);
    /* Writes are lost. */
    hostvm_writel(d.f.q, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_0, HOSTVM_BAR(0));
    dpc_release(&d);
    g_assert_cmphex(dpc_ecam(&d, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_0), ==, 0);
    hostvm_enable_function(d.f.q, true);
    g_assert_cmphex(qtest_readl(d.f.q, HOSTVM_BAR(0)), ==, 0);
    g_assert_cmpuint(fakeep_count(d.f.ep, VFU_CMD_EP_RESET), ==, resets + 1);
    fixture_end(&d.f);
}

/* Released in the write that follows, before the main loop had its turn */
static void test_quick_release(void)
{
    Dpc d;

    dpc_start(&d);
    for (unsigned i = 0; i < 20; i++) {
        dpc_set(&d, PCI_EXP_DPC_CTL, PCI_EXP_DPC_CTL_EN_FATAL | SOFTWARE);
        dpc_set(&d, PCI_EXP_DPC_STATUS, PCI_EXP_DPC_STATUS_TRIGGER);
        g_assert_cmphex(dpc_ecam(&d, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_0), ==,
                        0);
        dpc_assert_free(&d);
        hostvm_enable_function(d.f.q, true);
    }
    fixture_end(&d.f);
}

static void test_interrupt(void)
{
    Dpc d;

    dpc_start(&d);
    dpc_set(&d, PCI_EXP_DPC_CTL, PCI_EXP_DPC_CTL_EN_FATAL |
                                 PCI_EXP_DPC_CTL_INT_EN | SOFTWARE);
    g_assert_true(dpc_interrupt(&d));
    g_assert_true(dpc_reg(&d, PCI_EXP_DPC_STATUS) &
                  PCI_EXP_DPC_STATUS_INTERRUPT);
    dpc_set(&d, PCI_EXP_DPC_CTL, PCI_EXP_DPC_CTL_EN_FATAL);
    g_assert_false(dpc_interrupt(&d));
    dpc_set(&d, PCI_EXP_DPC_CTL, PCI_EXP_DPC_CTL_EN_FATAL |
                                 PCI_EXP_DPC_CTL_INT_EN);
    g_assert_true(dpc_interrupt(&d));
    dpc_set(&d, PCI_EXP_DPC_STATUS, PCI_EXP_DPC_STATUS_INTERRUPT);
    g_assert_false(dpc_interrupt(&d));
    g_assert_true(dpc_reg(&d, PCI_EXP_DPC_STATUS) &
                  PCI_EXP_DPC_STATUS_TRIGGER);
    dpc_release(&d);
    fixture_end(&d.f);
}

static const struct {
    const char *request;
    uint16_t enable;
    bool contained;
    uint16_t reason;
    uint16_t source;
    uint32_t root;      /* Root Error Status */
} dpc_errors[] = {
    { "aer,severity=correctable,function=0", PCI_EXP_DPC_CTL_EN_NONFATAL,
      false, 0, 0, PCI_ERR_ROOT_COR_RCV },
    { "aer,severity=nonfatal,function=0", PCI_EXP_DPC_CTL_EN_FATAL, false, 0, 0,
      PCI_ERR_ROOT_UNCOR_RCV | PCI_ERR_ROOT_NONFATAL_RCV },
    { "aer,severity=nonfatal,function=0", PCI_EXP_DPC_CTL_EN_NONFATAL, true,
      PCI_EXP_DPC_STATUS_TRIGGER_RSN_NFE, HOSTVM_FUNCTION, 0 },
    { "aer,severity=fatal,function=0", PCI_EXP_DPC_CTL_EN_NONFATAL, true,
      PCI_EXP_DPC_STATUS_TRIGGER_RSN_FE, HOSTVM_FUNCTION, 0 },
    { "aer,severity=fatal,function=0", PCI_EXP_DPC_CTL_EN_FATAL, true,
      PCI_EXP_DPC_STATUS_TRIGGER_RSN_FE, HOSTVM_FUNCTION, 0 },
    { "aer,severity=fatal,function=0", 0, false, 0, 0,
      PCI_ERR_ROOT_UNCOR_RCV | PCI_ERR_ROOT_FATAL_RCV |
      PCI_ERR_ROOT_FIRST_FATAL },
    { "aer,severity=nonfatal", PCI_EXP_DPC_CTL_EN_FATAL, true,
      PCI_EXP_DPC_STATUS_TRIGGER_RSN_UNCOR, 0, 0 },
    { "aer,severity=correctable", PCI_EXP_DPC_CTL_EN_FATAL, false, 0, 0,
      PCI_ERR_ROOT_COR_RCV },
};

static void test_errors(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(dpc_errors); i++) {
        Dpc d;

        g_test_message("%s", dpc_errors[i].request);
        dpc_start(&d);
        dpc_set(&d, PCI_EXP_DPC_CTL, dpc_errors[i].enable);
        hostvm_fault(d.f.q, dpc_errors[i].request);
        g_assert_cmphex(dpc_ecam(&d, HOSTVM_PORT, AER + PCI_ERR_ROOT_STATUS) &
                        RECEIVED, ==, dpc_errors[i].root);
        g_assert_cmphex(hostvm_readw(d.f.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL),
                        ==, PCI_BRIDGE_CTL_SERR);
        if (dpc_errors[i].contained) {
            dpc_assert_contained(&d, dpc_errors[i].reason);
            g_assert_cmphex(dpc_reg(&d, PCI_EXP_DPC_SOURCE_ID), ==,
                            dpc_errors[i].source);
            hostvm_fault_refused(d.f.q, "aer,function=0", "no function 0");
            dpc_release(&d);
        } else {
            dpc_assert_free(&d);
        }
        fixture_end(&d.f);
    }
}

/* The status bits of the function outlive the containment. */
static void test_sticky(void)
{
    Dpc d;

    dpc_start(&d);
    dpc_set(&d, PCI_EXP_DPC_CTL, PCI_EXP_DPC_CTL_EN_FATAL);
    hostvm_fault(d.f.q, "aer,severity=fatal,function=0");
    dpc_assert_contained(&d, PCI_EXP_DPC_STATUS_TRIGGER_RSN_FE);
    dpc_release(&d);
    g_assert_cmphex(dpc_ecam(&d, HOSTVM_FUNCTION, AER + PCI_ERR_UNCOR_STATUS),
                    ==, PCI_ERR_UNC_MALF_TLP);
    fixture_end(&d.f);
}

/* What is masked does not arrive, and contains nothing. */
static void test_masked(void)
{
    Dpc d;

    dpc_start(&d);
    dpc_set(&d, PCI_EXP_DPC_CTL, PCI_EXP_DPC_CTL_EN_FATAL);
    hostvm_ecam_writel(d.f.q, HOSTVM_FUNCTION, AER + PCI_ERR_UNCOR_MASK,
                       PCI_ERR_UNC_MALF_TLP);
    hostvm_fault(d.f.q, "aer,severity=fatal,function=0");
    dpc_assert_free(&d);
    hostvm_ecam_writel(d.f.q, HOSTVM_PORT, AER + PCI_ERR_UNCOR_MASK,
                       PCI_ERR_UNC_MALF_TLP);
    hostvm_fault(d.f.q, "aer,severity=fatal");
    dpc_assert_free(&d);
    fixture_end(&d.f);
}

static void dpc_trigger(Dpc *d)
{
    dpc_clear_slot(d);
    dpc_set(d, PCI_EXP_DPC_CTL, PCI_EXP_DPC_CTL_EN_FATAL | SOFTWARE);
    dpc_assert_contained(d, PCI_EXP_DPC_STATUS_TRIGGER_RSN_IN_EXT |
                            PCI_EXP_DPC_STATUS_TRIGGER_RSN_SW_TRIGGER);
}

static void test_reset(void)
{
    Dpc d;

    dpc_start(&d);
    dpc_trigger(&d);
    qtest_system_reset(d.f.q);
    hostvm_enable_port(d.f.q);
    hostvm_enable_ecam(d.f.q);
    dpc_assert_free(&d);
    fixture_end(&d.f);
}

/* The endpoint goes and another one comes. The port still holds the link. */
static void test_other_endpoint(void)
{
    Dpc d;

    dpc_start(&d);
    dpc_trigger(&d);
    g_assert_cmpint(fakeep_link_down(d.f.ep), ==, 0);
    hostvm_wait_present(d.f.q, false);
    g_assert_false(dpc_link_active(&d));
    g_assert_cmpint(fakeep_link_up(d.f.ep), ==, 0);
    hostvm_wait_present(d.f.q, true);
    g_assert_false(dpc_link_active(&d));
    g_assert_cmphex(dpc_ecam(&d, HOSTVM_FUNCTION, 0), ==, UINT32_MAX);
    dpc_release(&d);
    hostvm_enable_function(d.f.q, true);
    g_assert_cmphex(qtest_readl(d.f.q, HOSTVM_BAR(0)), ==, 0);

    /* Released while the slot is empty */
    dpc_trigger(&d);
    g_assert_cmpint(fakeep_link_down(d.f.ep), ==, 0);
    hostvm_wait_present(d.f.q, false);
    dpc_set(&d, PCI_EXP_DPC_STATUS, PCI_EXP_DPC_STATUS_TRIGGER);
    g_assert_false(dpc_link_active(&d));
    g_assert_cmpint(fakeep_link_up(d.f.ep), ==, 0);
    hostvm_wait_present(d.f.q, true);
    dpc_assert_free(&d);
    fixture_end(&d.f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/epf-bridge/dpc/registers", test_registers);
    qtest_add_func("/epf-bridge/dpc/software", test_software);
    qtest_add_func("/epf-bridge/dpc/quick-release", test_quick_release);
    qtest_add_func("/epf-bridge/dpc/interrupt", test_interrupt);
    qtest_add_func("/epf-bridge/dpc/errors", test_errors);
    qtest_add_func("/epf-bridge/dpc/sticky", test_sticky);
    qtest_add_func("/epf-bridge/dpc/masked", test_masked);
    qtest_add_func("/epf-bridge/dpc/reset", test_reset);
    qtest_add_func("/epf-bridge/dpc/other-endpoint", test_other_endpoint);
    return g_test_run();
}
