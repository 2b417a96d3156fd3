/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both devices, in two QEMUs: the DOE mailbox of the endpoint as the host finds
 * it. Each access is a message, so what is read is never older than the write
 * before it.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/doe.h"
#include "pci-ep/machine-host.h"
#include "pci-ep/wait.h"

#define DEADLINE_MS     wait_scaled(1000)
#define EP_ID           0xb500104c
#define MSI_ADDR        0x300000u
#define MSI_DATA        0x4500u
#define VECTOR          5u

typedef struct Pair {
    EpVm *ep;
    QTestState *host;
    unsigned at;
} Pair;

static void pair_start(Pair *p)
{
    p->ep = epvm_start(EPVM_SHARED, "");
    g_assert_cmpuint(epvm_set_header(p->ep, EP_ID, 1), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(p->ep, 0, 0, EPVM_BAR0, 0x10000), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_msi(p->ep, 8), ==, EPC_STATUS_OK);
    p->at = doe_must_add(p->ep, EPC_DOE_IRQ | VECTOR);
    p->host = hostvm_start(p->ep->socket, DEADLINE_MS, true);
    hostvm_enable_port(p->host);
    hostvm_enable_ecam(p->host);
    g_assert_cmpuint(epvm_link_command(p->ep, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    epvm_wait_link(p->ep, true);
    hostvm_wait_present(p->host, true);
}

static void pair_end(Pair *p)
{
    qtest_quit(p->host);
    epvm_stop(p->ep);
}

static uint32_t pair_read(Pair *p, unsigned reg)
{
    return hostvm_ecam_readl(p->host, HOSTVM_FUNCTION, p->at + reg);
}

static void pair_write(Pair *p, unsigned reg, uint32_t v)
{
    hostvm_ecam_writel(p->host, HOSTVM_FUNCTION, p->at + reg, v);
}

static void pair_send(Pair *p, uint32_t seed, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        pair_write(p, DOE_WRITE_BOX, doe_dword(seed, len, i));
    }
    pair_write(p, DOE_CONTROL, DOE_GO | (pair_read(p, DOE_CONTROL) & DOE_IRQ));
}

static void pair_answer(Pair *p, uint32_t seed, uint32_t len)
{
    uint32_t token = doe_wait_object(p->ep);

    doe_store(p->ep, token, seed, len);
    g_assert_cmpuint(doe_command(p->ep, EPC_DOE_ANSWER), ==, EPC_STATUS_OK);
}

static void test_capability(void)
{
    unsigned at = PCI_CFG_SPACE_SIZE;
    Pair p;

    pair_start(&p);
    while (at && at != p.at) {
        at = PCI_EXT_CAP_NEXT(hostvm_ecam_readl(p.host, HOSTVM_FUNCTION, at));
    }
    g_assert_cmphex(at, ==, p.at);
    g_assert_cmphex(pair_read(&p, 0) & 0xfffff, ==, 0x2e | 1 << 16);
    g_assert_cmphex(pair_read(&p, DOE_CAP), ==, 1 | VECTOR << 1);
    g_assert_cmphex(pair_read(&p, DOE_STATUS), ==, 0);
    pair_end(&p);
}

/*
 * Read a dword, write to advance, read: every dword differs from the one before
 * it, and is the one of its place.
 */
static void test_order(void)
{
    const uint32_t len = 3000;
    Pair p;

    pair_start(&p);
    for (uint32_t round = 0; round < 3; round++) {
        pair_send(&p, round, 50);
        g_assert_cmphex(pair_read(&p, DOE_STATUS), ==, DOE_BUSY);
        doe_expect_object(p.ep, doe_wait_object(p.ep), round, 50);
        pair_answer(&p, 10 + round, len);
        for (uint32_t i = 0; i < len; i++) {
            g_assert_cmphex(pair_read(&p, DOE_READ_BOX), ==,
                            doe_dword(10 + round, len, i));
            if (!(i % 100)) {
                g_assert_cmphex(pair_read(&p, DOE_READ_BOX), ==,
                                doe_dword(10 + round, len, i));
                g_assert_cmphex(hostvm_readw(p.host, HOSTVM_FUNCTION,
                                             PCI_VENDOR_ID), ==, 0x104c);
            }
            pair_write(&p, DOE_READ_BOX, 0);
        }
        g_assert_cmphex(pair_read(&p, DOE_READ_BOX), ==, 0);
        g_assert_cmphex(pair_read(&p, DOE_STATUS), ==, 0);
    }
    pair_end(&p);
}

/* Nothing of the exchange before is left after an abort or a reset. */
static void test_stale(void)
{
    unsigned exp;
    Pair p;

    pair_start(&p);
    exp = hostvm_find_cap(p.host, HOSTVM_FUNCTION, PCI_CAP_ID_EXP);
    for (unsigned i = 0; i < 3; i++) {
        pair_send(&p, i, 8);
        pair_answer(&p, 50 + i, 8);
        pair_write(&p, DOE_READ_BOX, 0);
        g_assert_cmphex(pair_read(&p, DOE_READ_BOX), ==, 8);
        switch (i) {
        case 0:
            pair_write(&p, DOE_CONTROL, DOE_ABORT);
            break;
        case 1:
            hostvm_writew(p.host, HOSTVM_FUNCTION, exp + PCI_EXP_DEVCTL,
                          PCI_EXP_DEVCTL_BCR_FLR);
            break;
        default:
            hostvm_writew(p.host, HOSTVM_PORT, PCI_BRIDGE_CONTROL,
                          PCI_BRIDGE_CTL_BUS_RESET);
            hostvm_writew(p.host, HOSTVM_PORT, PCI_BRIDGE_CONTROL, 0);
            wait_until(!pair_read(&p, DOE_STATUS), "the reset");
        }
        g_assert_cmphex(pair_read(&p, DOE_STATUS), ==, 0);
        g_assert_cmphex(pair_read(&p, DOE_READ_BOX), ==, 0);
    }
    /* A link that is down has no mailbox; the next one has a new one. */
    pair_send(&p, 9, 8);
    pair_answer(&p, 60, 8);
    g_assert_cmpuint(epvm_link_command(p.ep, EPC_LINK_STOP), ==,
                     EPC_STATUS_OK);
    g_assert_cmphex(pair_read(&p, DOE_READ_BOX), ==, UINT32_MAX);
    hostvm_wait_present(p.host, false);
    g_assert_cmpuint(epvm_link_command(p.ep, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    hostvm_wait_present(p.host, true);
    g_assert_cmphex(pair_read(&p, DOE_STATUS), ==, 0);
    g_assert_cmphex(pair_read(&p, DOE_READ_BOX), ==, 0);
    pair_end(&p);
}

/* The host's memory gets the message, after the response can be read. */
static void test_interrupt(void)
{
    unsigned msi;
    Pair p;

    pair_start(&p);
    hostvm_enable_function(p.host, true);
    msi = hostvm_find_cap(p.host, HOSTVM_FUNCTION, PCI_CAP_ID_MSI);
    hostvm_writel(p.host, HOSTVM_FUNCTION, msi + PCI_MSI_ADDRESS_LO, MSI_ADDR);
    hostvm_writew(p.host, HOSTVM_FUNCTION, msi + PCI_MSI_DATA_64, MSI_DATA);
    hostvm_writew(p.host, HOSTVM_FUNCTION, msi + PCI_MSI_FLAGS,
                  PCI_MSI_FLAGS_ENABLE | 3 << 4);
    pair_write(&p, DOE_CONTROL, DOE_IRQ);
    pair_send(&p, 1, 4);
    pair_answer(&p, 2, 4);
    hostvm_wait_mem(p.host, MSI_ADDR, MSI_DATA + VECTOR);
    g_assert_cmphex(pair_read(&p, DOE_STATUS), ==,
                    DOE_BUSY | DOE_READY | DOE_IRQ);
    g_assert_cmphex(pair_read(&p, DOE_READ_BOX), ==, DOE_KIND);
    pair_end(&p);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-ep/pair-doe/capability", test_capability);
    qtest_add_func("/pci-ep/pair-doe/order", test_order);
    qtest_add_func("/pci-ep/pair-doe/stale", test_stale);
    qtest_add_func("/pci-ep/pair-doe/interrupt", test_interrupt);
    return g_test_run();
}
