/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a fake host: INTx is a level of the function, and the host
 * gates the pin
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/fake-host.h"

#include <sys/eventfd.h>

#define PLAIN   "{\"capabilities\":{\"max_msg_fds\":16}}"
/* A host that gets the eventfd of INTx signalled */
#define NO_INTX "{\"capabilities\":{\"max_msg_fds\":16,\"org.qemu.pci-ep\":" \
                "{\"version\":1,\"features\":[\"link\",\"reset\"]}}}"

/* What keeps the function from asserting its pin */
enum {
    GATE_DISABLE = 1 << 0,      /* Interrupt Disable */
    GATE_MSI     = 1 << 1,
    GATE_MSIX    = 1 << 2,
    GATE_D3HOT   = 1 << 3,
    GATES        = 1 << 4,      /* all combinations are below it */
};

typedef struct Intx {
    EpVm *e;
    FakeHost *c;
    int fd;                     /* eventfd of a plain host */
    unsigned msi, msix, pm;
} Intx;

static void intx_find_caps(Intx *x)
{
    x->msi = fakehost_find_cap(x->c, PCI_CAP_ID_MSI);
    x->msix = fakehost_find_cap(x->c, PCI_CAP_ID_MSIX);
    x->pm = fakehost_find_cap(x->c, PCI_CAP_ID_PM);
}

static void intx_start(Intx *x)
{
    x->e = epvm_start(EPVM_SHARED, "");
    x->c = epvm_attach(x->e);
    x->fd = -1;
    intx_find_caps(x);
}

static void intx_start_eventfd(Intx *x, const char *json)
{
    VfuMsg *m;

    x->e = epvm_start(EPVM_SHARED, "");
    epvm_describe(x->e);
    g_assert_cmpuint(epvm_link_command(x->e, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    x->c = fakehost_new(x->e->socket);
    m = fakehost_version(x->c, VFU_VERSION_MAJOR, json);
    g_assert_cmpuint(m->hdr.error, ==, 0);
    vfu_msg_free(m);
    if (strcmp(json, PLAIN)) {
        fakehost_link(x->c, VFU_EP_LINK_UP);
    }
    epvm_wait_link(x->e, true);
    intx_find_caps(x);
    x->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_assert_cmpint(fakehost_set_irq(x->c, VFU_IRQ_INTX, 0, x->fd), ==, 0);
}

static void intx_end(Intx *x)
{
    if (x->fd >= 0) {
        close(x->fd);
    }
    epvm_detach(x->e, x->c);
}

static void intx_gate(Intx *x, unsigned gates)
{
    FakeHost *c = x->c;

    fakehost_set_config(c, PCI_COMMAND, 2,
                        gates & GATE_DISABLE ? PCI_COMMAND_INTX_DISABLE : 0);
    fakehost_set_config(c, x->msi + PCI_MSI_FLAGS, 2,
                        gates & GATE_MSI ? PCI_MSI_FLAGS_ENABLE : 0);
    fakehost_set_config(c, x->msix + PCI_MSIX_FLAGS, 2,
                        gates & GATE_MSIX ? PCI_MSIX_FLAGS_ENABLE : 0);
    fakehost_set_config(c, x->pm + PCI_PM_CTRL, 2,
                        gates & GATE_D3HOT ? 3 : 0);
}

static void intx_set_level(Intx *x, bool level)
{
    epvm_raise(x->e, EPC_RAISE_INTX, level);
}

/* Interrupt Status, as the host and the endpoint read it */
static void intx_check_status(Intx *x, bool pending)
{
    uint64_t own = x->e->fn_base + EPC_FN_CONFIG + PCI_STATUS;
    uint16_t bit = pending ? PCI_STATUS_INTERRUPT : 0;

    g_assert_cmphex(fakehost_config(x->c, PCI_STATUS, 2) &
                    PCI_STATUS_INTERRUPT, ==, bit);
    g_assert_cmphex(epvm_read(x->e, own, 2) & PCI_STATUS_INTERRUPT, ==, bit);
}

static void intx_expect_message(Intx *x, bool level)
{
    VfuMsg *m = fakehost_command(x->c, VFU_CMD_EP_INTX);
    VfuEpIntx intx;

    g_assert_cmpuint(m->len, ==, sizeof(intx));
    memcpy(&intx, m->payload, sizeof(intx));
    g_assert_cmpuint(intx.level, ==, level);
    vfu_msg_free(m);
}

/* The host has a message that says @level, or none if it knows that already. */
static void intx_expect(Intx *x, bool level, bool known)
{
    if (level != known) {
        intx_expect_message(x, level);
    }
    epvm_expect_no_command(x->e, x->c, VFU_CMD_EP_INTX);
}

static bool intx_pending(unsigned gates)
{
    return !(gates & (GATE_MSI | GATE_MSIX | GATE_D3HOT));
}

/* ---- A host that gets the level ---- */

/* The function asserts INTx behind the gates; then they open. */
static void check_asserted_behind(Intx *x, unsigned gates)
{
    intx_gate(x, gates);
    intx_set_level(x, true);
    intx_check_status(x, intx_pending(gates));
    intx_expect(x, !gates, false);
    intx_gate(x, 0);
    intx_check_status(x, true);
    intx_expect(x, true, !gates);
    intx_set_level(x, false);
    intx_expect(x, false, true);
}

/* The gates close in front of an asserted level, and open. */
static void check_gated(Intx *x, unsigned gates)
{
    intx_set_level(x, true);
    intx_expect(x, true, false);
    intx_gate(x, gates);
    intx_check_status(x, intx_pending(gates));
    intx_expect(x, !gates, true);
    intx_gate(x, 0);
    intx_check_status(x, true);
    intx_expect(x, true, !gates);
}

/* The function deasserts INTx behind the gates. */
static void check_deasserted_behind(Intx *x, unsigned gates)
{
    intx_gate(x, gates);
    intx_expect(x, !gates, true);
    intx_set_level(x, false);
    intx_check_status(x, false);
    intx_expect(x, false, !gates);
    intx_gate(x, 0);
    intx_check_status(x, false);
    intx_expect(x, false, false);
}

static void test_gates(void)
{
    Intx x;

    intx_start(&x);
    for (unsigned gates = 0; gates < GATES; gates++) {
        check_asserted_behind(&x, gates);
        check_gated(&x, gates);
        check_deasserted_behind(&x, gates);
        g_assert_cmpuint(epvm_fn_reg(x.e, EPC_FN_RAISE_DROPPED), ==, 0);
    }
    intx_end(&x);
}

/* Each kind of reset takes the level back, also one behind the gates. */
static void test_resets(void)
{
    static const uint32_t kinds[] = {
        VFU_EP_RESET_HOT, VFU_EP_RESET_PERST, VFU_EP_RESET_FLR,
    };
    Intx x;

    intx_start(&x);
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(kinds); i++) {
        bool gated = i & 1;

        intx_gate(&x, gated ? GATE_DISABLE | GATE_D3HOT : 0);
        intx_set_level(&x, true);
        intx_expect(&x, !gated, false);
        g_assert_cmpint(fakehost_reset(x.c, kinds[i / 2]), ==, 0);
        intx_check_status(&x, false);
        intx_expect(&x, false, !gated);
        g_assert_cmphex(fakehost_config(x.c, PCI_COMMAND, 2), ==, 0);
    }
    intx_end(&x);
}

/* From STOP on nothing is asserted, and the next link begins without. */
static void test_stop(void)
{
    uint32_t dropped;
    Intx x;

    intx_start(&x);
    intx_set_level(&x, true);
    intx_expect(&x, true, false);
    epvm_set_reg(x.e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    intx_expect_message(&x, false);
    dropped = epvm_fn_reg(x.e, EPC_FN_RAISE_DROPPED);
    intx_set_level(&x, true);
    g_assert_cmpuint(epvm_fn_reg(x.e, EPC_FN_RAISE_DROPPED), ==, dropped + 1);
    fakehost_link(x.c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(x.e), ==, EPC_STATUS_OK);

    g_assert_cmpuint(epvm_link_command(x.e, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    fakehost_link(x.c, VFU_EP_LINK_UP);
    epvm_wait_link(x.e, true);
    intx_check_status(&x, false);
    intx_expect(&x, false, false);
    intx_end(&x);
}

/* ---- A host that gets an eventfd signalled ---- */

static void intx_unmask(Intx *x)
{
    VfuSetIrqs unmask = {
        .argsz = sizeof(unmask),
        .flags = VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_UNMASK,
        .index = VFU_IRQ_INTX,
        .count = 1,
    };

    fakehost_call_fds(x->c, VFU_CMD_SET_IRQS, &unmask, sizeof(unmask), NULL,
                      0);
}

/* The eventfd is signalled before the request that causes it is answered. */
static void intx_expect_signal(Intx *x, bool signalled)
{
    g_assert_cmpuint(fakehost_wait_eventfd(x->fd, 0), ==, signalled);
}

static void test_eventfd_gates(const void *json)
{
    Intx x;

    intx_start_eventfd(&x, json);
    for (unsigned gates = 0; gates < GATES; gates++) {
        intx_gate(&x, gates);
        intx_set_level(&x, true);
        intx_expect_signal(&x, !gates);
        intx_check_status(&x, intx_pending(gates));
        intx_gate(&x, 0);
        intx_expect_signal(&x, gates);
        /* Unmasked with the level still up, and behind the gates */
        intx_unmask(&x);
        intx_expect_signal(&x, true);
        intx_gate(&x, gates);
        intx_unmask(&x);
        intx_expect_signal(&x, !gates);
        intx_gate(&x, 0);
        intx_expect_signal(&x, gates);
        intx_set_level(&x, false);
        intx_unmask(&x);
        intx_expect_signal(&x, false);
        g_assert_cmpuint(epvm_fn_reg(x.e, EPC_FN_RAISE_DROPPED), ==, 0);
    }
    intx_end(&x);
}

static void test_eventfd_stop(const void *json)
{
    Intx x;

    intx_start_eventfd(&x, json);
    intx_set_level(&x, true);
    intx_expect_signal(&x, true);
    epvm_set_reg(x.e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    intx_unmask(&x);
    intx_expect_signal(&x, false);
    intx_set_level(&x, true);
    intx_expect_signal(&x, false);
    g_assert_cmpuint(epvm_fn_reg(x.e, EPC_FN_RAISE_DROPPED), ==, 1);
    if (strcmp(json, PLAIN)) {
        fakehost_link(x.c, VFU_EP_LINK_DOWN);
    }
    g_assert_cmpuint(epvm_wait_link_command(x.e), ==, EPC_STATUS_OK);
    intx_end(&x);
}

static void expect_intx(FakeHost *c, uint32_t level)
{
    VfuMsg *m = fakehost_command(c, VFU_CMD_EP_INTX);
    VfuEpIntx intx;

    g_assert_cmpuint(m->len, ==, sizeof(intx));
    memcpy(&intx, m->payload, sizeof(intx));
    g_assert_cmphex(m->hdr.flags & VFU_FLAG_NO_REPLY, !=, 0);
    g_assert_cmpuint(intx.generation, ==, c->generation);
    g_assert_cmpuint(intx.level, ==, level);
    vfu_msg_free(m);
}

/* What the host is told */
static void test_told(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);

    epvm_raise(e, EPC_RAISE_INTX, 1);
    expect_intx(c, 1);
    epvm_raise(e, EPC_RAISE_INTX, 1);
    epvm_expect_no_command(e, c, VFU_CMD_EP_INTX);
    epvm_raise(e, EPC_RAISE_INTX, 0);
    expect_intx(c, 0);

    epvm_raise(e, EPC_RAISE_INTX, 1);
    expect_intx(c, 1);
    fakehost_set_config(c, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
    expect_intx(c, 0);
    fakehost_set_config(c, PCI_COMMAND, 2, 0);
    expect_intx(c, 1);
    g_assert_cmpint(fakehost_reset(c, VFU_EP_RESET_HOT), ==, 0);
    expect_intx(c, 0);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_RAISE_DROPPED), ==, 0);

    /* An assertion that the host holds back is not lost */
    fakehost_set_config(c, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
    epvm_raise(e, EPC_RAISE_INTX, 1);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_RAISE_DROPPED), ==, 0);
    epvm_expect_no_command(e, c, VFU_CMD_EP_INTX);
    fakehost_set_config(c, PCI_COMMAND, 2, 0);
    expect_intx(c, 1);
    epvm_detach(e, c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/intx/told", test_told);
    qtest_add_func("/pci-epc/intx/gates", test_gates);
    qtest_add_func("/pci-epc/intx/resets", test_resets);
    qtest_add_func("/pci-epc/intx/stop", test_stop);
    qtest_add_data_func("/pci-epc/intx/plain/gates", PLAIN,
                        test_eventfd_gates);
    qtest_add_data_func("/pci-epc/intx/plain/stop", PLAIN, test_eventfd_stop);
    qtest_add_data_func("/pci-epc/intx/eventfd/gates", NO_INTX,
                        test_eventfd_gates);
    qtest_add_data_func("/pci-epc/intx/eventfd/stop", NO_INTX,
                        test_eventfd_stop);
    return g_test_run();
}
