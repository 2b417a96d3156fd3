/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge: errors that the port and its functions report
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"
#include "pci-ep/wait.h"

#define AER         0x100       /* of the function, and of the port */
#define BEHIND      0x148       /* of the function: another capability */
#define FN_EXP      0x60
#define ALL_ERRORS  (PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | \
                     PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE)
#define ALL_ROOT    (PCI_ERR_ROOT_CMD_COR_EN | PCI_ERR_ROOT_CMD_NONFATAL_EN | \
                     PCI_ERR_ROOT_CMD_FATAL_EN)
#define RECEIVED    0x7f        /* all of Root Error Status but the vector */

static unsigned aer_port_exp(Fixture *f)
{
    return hostvm_find_cap(f->q, HOSTVM_PORT, PCI_CAP_ID_EXP);
}

static uint32_t aer_port(Fixture *f, unsigned reg)
{
    return hostvm_ecam_readl(f->q, HOSTVM_PORT, AER + reg);
}

static void aer_set_port(Fixture *f, unsigned reg, uint32_t val)
{
    hostvm_ecam_writel(f->q, HOSTVM_PORT, AER + reg, val);
}

static uint32_t aer_fn(Fixture *f, unsigned reg)
{
    return hostvm_ecam_readl(f->q, HOSTVM_FUNCTION, AER + reg);
}

static void aer_set_fn(Fixture *f, unsigned reg, uint32_t val)
{
    hostvm_ecam_writel(f->q, HOSTVM_FUNCTION, AER + reg, val);
}

static uint32_t aer_root_status(Fixture *f)
{
    return aer_port(f, PCI_ERR_ROOT_STATUS) & RECEIVED;
}

/* INTx of the port, which has no message interrupts enabled */
static bool aer_interrupt(Fixture *f)
{
    return hostvm_readw(f->q, HOSTVM_PORT, PCI_STATUS) & PCI_STATUS_INTERRUPT;
}

/* Enables all that lets an error through. */
static void aer_enable(Fixture *f)
{
    hostvm_writew(f->q, HOSTVM_FUNCTION, FN_EXP + PCI_EXP_DEVCTL, ALL_ERRORS);
    hostvm_writew(f->q, HOSTVM_PORT, aer_port_exp(f) + PCI_EXP_DEVCTL,
                  ALL_ERRORS);
    hostvm_writew(f->q, HOSTVM_PORT, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_SERR);
    aer_set_port(f, PCI_ERR_ROOT_COMMAND, ALL_ROOT);
}

static void aer_start(Fixture *f)
{
    f->ep = fakeep_new();
    stl_le_p(f->ep->config + AER, 1 | 2 << 16 | BEHIND << 20);
    stl_le_p(f->ep->config + BEHIND, 0xb | 1 << 16);
    fakeep_listen(f->ep);
    f->q = hostvm_start(f->ep->path, FIXTURE_DEADLINE_MS, true);
    hostvm_enable_port(f->q);
    hostvm_enable_ecam(f->q);
    fixture_link_up(f, true);
}

/* Clears all status bits, in the port and in the function. */
static void aer_clear(Fixture *f)
{
    aer_set_fn(f, PCI_ERR_UNCOR_STATUS, ~0u);
    aer_set_fn(f, PCI_ERR_COR_STATUS, ~0u);
    aer_set_port(f, PCI_ERR_UNCOR_STATUS, ~0u);
    aer_set_port(f, PCI_ERR_COR_STATUS, ~0u);
    aer_set_port(f, PCI_ERR_ROOT_STATUS, ~0u);
    g_assert_cmphex(aer_root_status(f), ==, 0);
    g_assert_false(aer_interrupt(f));
}

/* ---- The capability of the function ---- */

/* QEMU carries it out, and the endpoint learns what the guest writes. */
static void test_capability(void)
{
    Fixture f;

    aer_start(&f);
    hostvm_settled_messages(f.q);
    fakeep_clear_log(f.ep);
    g_assert_cmphex(aer_fn(&f, 0), ==, 1 | 2 << 16 | BEHIND << 20);
    g_assert_cmphex(hostvm_ecam_readl(f.q, HOSTVM_FUNCTION, BEHIND), ==,
                    0xb | 1 << 16);
    g_assert_cmphex(aer_fn(&f, PCI_ERR_UNCOR_STATUS), ==, 0);
    g_assert_cmphex(aer_fn(&f, PCI_ERR_UNCOR_SEVER), ==, 0x00462030);
    g_assert_cmphex(aer_fn(&f, PCI_ERR_COR_MASK), ==, 0xe000);
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_REGION_READ), ==, 0);
    aer_set_fn(&f, PCI_ERR_UNCOR_MASK, 0x1000);
    g_assert_cmphex(aer_fn(&f, PCI_ERR_UNCOR_MASK), ==, 0x1000);
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_REGION_WRITE), ==, 1);
    /* What is behind it is the endpoint's. */
    hostvm_ecam_readl(f.q, HOSTVM_FUNCTION, BEHIND + 4);
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_REGION_READ), ==, 1);
    fixture_end(&f);
}

/* One that has no room stays with the endpoint. */
static void test_short(void)
{
    Fixture f;

    f.ep = fakeep_new();
    stl_le_p(f.ep->config + AER, 1 | 2 << 16 | (BEHIND - 4) << 20);
    stl_le_p(f.ep->config + BEHIND - 4, 0xb | 1 << 16);
    stl_le_p(f.ep->config + AER + PCI_ERR_UNCOR_MASK, 0x1234);
    fakeep_listen(f.ep);
    f.q = hostvm_start(f.ep->path, FIXTURE_DEADLINE_MS, true);
    hostvm_enable_port(f.q);
    hostvm_enable_ecam(f.q);
    fixture_link_up(&f, true);
    g_assert_cmphex(aer_fn(&f, PCI_ERR_UNCOR_MASK), ==, 0x1234);
    hostvm_fault_refused(f.q, "aer,severity=fatal,function=0",
                         "has no Advanced Error Reporting");
    fixture_end(&f);
}

/* ---- What is reported ---- */

static const struct {
    const char *request;
    unsigned status, mask;      /* registers of the reporter */
    uint32_t bit;
    uint16_t devsta;
    uint32_t root;
} aer_cases[] = {
    { "correctable", PCI_ERR_COR_STATUS, PCI_ERR_COR_MASK, PCI_ERR_COR_BAD_TLP,
      PCI_EXP_DEVSTA_CED, PCI_ERR_ROOT_COR_RCV },
    { "nonfatal", PCI_ERR_UNCOR_STATUS, PCI_ERR_UNCOR_MASK,
      PCI_ERR_UNC_POISON_TLP, PCI_EXP_DEVSTA_NFED,
      PCI_ERR_ROOT_UNCOR_RCV | PCI_ERR_ROOT_NONFATAL_RCV },
    { "fatal", PCI_ERR_UNCOR_STATUS, PCI_ERR_UNCOR_MASK, PCI_ERR_UNC_MALF_TLP,
      PCI_EXP_DEVSTA_FED,
      PCI_ERR_ROOT_UNCOR_RCV | PCI_ERR_ROOT_FATAL_RCV |
      PCI_ERR_ROOT_FIRST_FATAL },
};

static void aer_report(Fixture *f, unsigned i, bool port)
{
    g_autofree char *request = g_strdup_printf("aer,severity=%s%s",
                                               aer_cases[i].request,
                                               port ? "" : ",function=0");

    hostvm_fault(f->q, request);
}

static uint16_t aer_source(Fixture *f, unsigned i)
{
    uint32_t source = aer_port(f, PCI_ERR_ROOT_ERR_SRC);

    return i ? source >> 16 : source;
}

static void aer_check_reported(Fixture *f, unsigned i, bool port)
{
    unsigned bdf = port ? HOSTVM_PORT : HOSTVM_FUNCTION;
    unsigned exp = port ? aer_port_exp(f) : FN_EXP;

    g_assert_cmphex(hostvm_ecam_readl(f->q, bdf, AER + aer_cases[i].status),
                    ==, aer_cases[i].bit);
    g_assert_cmphex(hostvm_readw(f->q, bdf, exp + PCI_EXP_DEVSTA) & 0xf, ==,
                    aer_cases[i].devsta);
    hostvm_writew(f->q, bdf, exp + PCI_EXP_DEVSTA, 0xf);
    g_assert_cmphex(aer_root_status(f), ==, aer_cases[i].root);
    g_assert_cmphex(aer_source(f, i), ==, bdf);
    g_assert_true(aer_interrupt(f));
    aer_clear(f);
}

static void test_reported(void)
{
    Fixture f;

    aer_start(&f);
    aer_enable(&f);
    for (unsigned i = 0; i < G_N_ELEMENTS(aer_cases); i++) {
        aer_report(&f, i, false);
        aer_check_reported(&f, i, false);
        aer_report(&f, i, true);
        aer_check_reported(&f, i, true);
    }
    g_assert_cmpuint(hostvm_fault_count(f.q, "aer"), ==, 6);
    fixture_end(&f);
}

/* An error sets status bits, and leaves the registers behind them alone. */
static void test_link_capabilities(void)
{
    static const char *const severities[] = {
        "correctable", "nonfatal", "fatal",
    };
    uint32_t before;
    Fixture f;

    aer_start(&f);
    aer_enable(&f);
    before = hostvm_readl(f.q, HOSTVM_PORT, aer_port_exp(&f) + PCI_EXP_LNKCAP);
    g_assert_cmphex(before & PCI_EXP_LNKCAP_SLS, !=, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(severities); i++) {
        g_autofree char *request = g_strdup_printf("aer,severity=%s",
                                                   severities[i]);

        hostvm_fault(f.q, request);
        g_assert_cmphex(hostvm_readl(f.q, HOSTVM_PORT, aer_port_exp(&f) +
                                     PCI_EXP_LNKCAP), ==, before);
    }
    fixture_end(&f);
}

/* The port reports its own errors whatever Bridge Control says. */
static void test_port_alone(void)
{
    Fixture f;

    aer_start(&f);
    aer_enable(&f);
    hostvm_writew(f.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL, 0);
    aer_report(&f, 1, true);
    g_assert_cmphex(hostvm_readw(f.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL), ==, 0);
    g_assert_cmphex(hostvm_readw(f.q, HOSTVM_PORT, PCI_SEC_STATUS) &
                    PCI_STATUS_SIG_SYSTEM_ERROR, ==, 0);
    aer_check_reported(&f, 1, true);
    fixture_end(&f);
}

/* Each of these stops an error of the function, or only its interrupt. */
static void test_gates(void)
{
    Fixture f;

    aer_start(&f);
    for (unsigned i = 0; i < G_N_ELEMENTS(aer_cases); i++) {
        /* Masked in the function */
        aer_enable(&f);
        aer_set_fn(&f, aer_cases[i].mask, aer_cases[i].bit);
        aer_report(&f, i, false);
        g_assert_cmphex(aer_fn(&f, aer_cases[i].status), ==, aer_cases[i].bit);
        g_assert_cmphex(aer_root_status(&f), ==, 0);
        aer_clear(&f);
        aer_set_fn(&f, aer_cases[i].mask, 0);

        /* Not enabled in its Device Control */
        hostvm_writew(f.q, HOSTVM_FUNCTION, FN_EXP + PCI_EXP_DEVCTL, 0);
        aer_report(&f, i, false);
        g_assert_cmphex(aer_fn(&f, aer_cases[i].status), ==, aer_cases[i].bit);
        g_assert_cmphex(aer_root_status(&f), ==, 0);
        aer_clear(&f);

        /* Not forwarded by the bridge */
        aer_enable(&f);
        hostvm_writew(f.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL, 0);
        aer_report(&f, i, false);
        g_assert_cmphex(aer_root_status(&f), ==, 0);
        aer_clear(&f);

        /* No interrupt */
        aer_enable(&f);
        aer_set_port(&f, PCI_ERR_ROOT_COMMAND, 0);
        aer_report(&f, i, false);
        g_assert_cmphex(aer_root_status(&f), ==, aer_cases[i].root);
        g_assert_false(aer_interrupt(&f));
        aer_clear(&f);
    }
    fixture_end(&f);
}

/* The severity register of the function decides, and errors add up. */
static void test_severity(void)
{
    Fixture f;

    aer_start(&f);
    aer_enable(&f);
    aer_set_fn(&f, PCI_ERR_UNCOR_SEVER, PCI_ERR_UNC_POISON_TLP);
    aer_report(&f, 1, false);
    g_assert_cmphex(aer_root_status(&f), ==, aer_cases[2].root);
    aer_report(&f, 2, true);
    g_assert_cmphex(aer_root_status(&f), ==,
                    aer_cases[2].root | PCI_ERR_ROOT_MULTI_UNCOR_RCV);
    g_assert_cmphex(aer_source(&f, 2), ==, HOSTVM_FUNCTION);
    fixture_end(&f);
}

/* ---- Resets ---- */

static void aer_assert_kept(Fixture *f)
{
    g_assert_cmphex(aer_fn(f, PCI_ERR_UNCOR_STATUS), ==,
                    PCI_ERR_UNC_POISON_TLP);
    g_assert_cmphex(aer_fn(f, PCI_ERR_COR_STATUS), ==, PCI_ERR_COR_BAD_TLP);
    g_assert_cmphex(aer_fn(f, PCI_ERR_UNCOR_SEVER), ==, 0x10);
}

static void test_sticky(void)
{
    Fixture f;

    aer_start(&f);
    aer_set_fn(&f, PCI_ERR_UNCOR_SEVER, 0x10);
    aer_report(&f, 0, false);
    aer_report(&f, 1, false);
    aer_report(&f, 1, true);
    aer_assert_kept(&f);
    hostvm_writew(f.q, HOSTVM_FUNCTION, FN_EXP + PCI_EXP_DEVCTL,
                  PCI_EXP_DEVCTL_BCR_FLR);
    aer_assert_kept(&f);
    hostvm_writew(f.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL,
                  PCI_BRIDGE_CTL_BUS_RESET);
    hostvm_writew(f.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL, 0);
    aer_assert_kept(&f);
    qtest_system_reset(f.q);
    hostvm_enable_port(f.q);
    hostvm_enable_ecam(f.q);
    g_assert_cmphex(aer_fn(&f, PCI_ERR_UNCOR_STATUS), ==, 0);
    g_assert_cmphex(aer_fn(&f, PCI_ERR_COR_STATUS), ==, 0);
    g_assert_cmphex(aer_fn(&f, PCI_ERR_UNCOR_SEVER), ==, 0x00462030);
    g_assert_cmphex(aer_port(&f, PCI_ERR_UNCOR_STATUS), ==, 0);
    g_assert_cmphex(aer_root_status(&f), ==, 0);
    fixture_end(&f);
}

static void test_refused(void)
{
    Fixture f;

    fixture_start(&f);
    hostvm_fault_refused(f.q, "aer,function=0", "no function 0");
    fixture_link_up(&f, true);
    hostvm_fault_refused(f.q, "aer,function=0",
                         "has no Advanced Error Reporting");
    hostvm_fault_refused(f.q, "aer,function=1", "no function 1");
    hostvm_fault_refused(f.q, "aer,function=200", "no function 200");
    hostvm_fault_refused(f.q, "aer,severity=bad", "is not one of");
    hostvm_fault_refused(f.q, "aer,count=2", "no key 'count'");
    g_assert_cmpuint(hostvm_fault_count(f.q, "aer"), ==, 0);
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/epf-bridge/aer/capability", test_capability);
    qtest_add_func("/epf-bridge/aer/short", test_short);
    qtest_add_func("/epf-bridge/aer/reported", test_reported);
    qtest_add_func("/epf-bridge/aer/link-capabilities",
                   test_link_capabilities);
    qtest_add_func("/epf-bridge/aer/port-alone", test_port_alone);
    qtest_add_func("/epf-bridge/aer/gates", test_gates);
    qtest_add_func("/epf-bridge/aer/severity", test_severity);
    qtest_add_func("/epf-bridge/aer/sticky", test_sticky);
    qtest_add_func("/epf-bridge/aer/refused", test_refused);
    return g_test_run();
}
