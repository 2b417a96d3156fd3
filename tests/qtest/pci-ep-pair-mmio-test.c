/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both devices in two QEMUs: the endpoint reaches devices of the host, as a PCI
 * function reaches BARs of its peers and the addresses of interrupts
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/dma.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/machine-host.h"
#include "pci-ep/wait.h"

#define DEADLINE_MS     wait_scaled(1000)
#define EP_ID           0xb500104c
#define PAGE            0x1000u
#define WINDOW(n)       (EPVM_WINDOW + (n) * PAGE)

/* A device of the host: its identification, and a register that inverts */
#define EDU             0x0038      /* 00:07.0 */
#define EDU_DEVICE      "-device edu,addr=7"
#define EDU_BAR         0xd0000000ull
#define EDU_SIZE        0x100000u
#define EDU_ID          0x010000edu
#define EDU_INVERT      4

#define MSI             0xfee00000ull
#define IOAPIC          0xfec00000ull
#define HPET            0xfed00000ull
#define VECTOR          0x45u

typedef struct Link {
    EpVm *ep;
    QTestState *host;
    EpDma dma;
} Link;

static void pair_start(Link *l, const char *args)
{
    *l = (Link) { .ep = epvm_start(EPVM_SHARED, "") };
    g_assert_cmpuint(epvm_set_header(l->ep, EP_ID, 1), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(l->ep, 0, 0, EPVM_BAR0, EPVM_BAR0_SIZE), ==,
                     EPC_STATUS_OK);
    l->host = hostvm_start_args(args, l->ep->socket, DEADLINE_MS);
    hostvm_enable_port(l->host);
    g_assert_cmpuint(epvm_link_command(l->ep, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    epvm_wait_link(l->ep, true);
    hostvm_wait_present(l->host, true);
    hostvm_enable_function(l->host, true);
    l->dma = (EpDma) {
        .e = l->ep,
        .base = epvm_reg(l->ep, EPC_REG_DMA_BASE),
        .stride = epvm_reg(l->ep, EPC_REG_DMA_STRIDE),
    };
    epdma_enable(&l->dma, 0, RING(0), 16);
}

static void pair_end(Link *l)
{
    qtest_quit(l->host);
    epvm_stop(l->ep);
}

static void enable_edu(Link *l, uint64_t bar)
{
    hostvm_writew(l->host, EDU, PCI_COMMAND, 0);
    hostvm_writel(l->host, EDU, PCI_BASE_ADDRESS_0, bar);
    hostvm_writew(l->host, EDU, PCI_COMMAND, PCI_COMMAND_MEMORY);
}

static void check_edu(Link *l, uint64_t win)
{
    g_assert_cmphex(qtest_readl(l->ep->q, win), ==, EDU_ID);
    qtest_writel(l->ep->q, win + EDU_INVERT, 0x0f0f0f0f);
    g_assert_cmphex(qtest_readl(l->ep->q, win + EDU_INVERT), ==, 0xf0f0f0f0);
}

static void test_bar(void)
{
    Link l;

    pair_start(&l, EDU_DEVICE);
    g_assert_cmpuint(epvm_map(l.ep, 0, EDU_BAR, PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);
    enable_edu(&l, EDU_BAR);
    g_assert_cmpuint(epvm_map(l.ep, 0, EDU_BAR, 2 * PAGE), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_prop(l.ep, "slow-maps"), ==, 1);
    check_edu(&l, WINDOW(0));
    g_assert_cmpuint(epdma_copy(&l.dma, EDU_BAR, BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_OK);
    g_assert_cmphex(qtest_readl(l.ep->q, BUFFER), ==, EDU_ID);
    g_assert_cmpuint(epvm_map(l.ep, 0x8000, EDU_BAR + EDU_SIZE - PAGE,
                              2 * PAGE),
                     ==, EPC_STATUS_NOT_MAPPED);

    /* The device moves: its old address reads all ones, the new one works. */
    enable_edu(&l, EDU_BAR + EDU_SIZE);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(0)), ==, UINT32_MAX);
    g_assert_cmpuint(epvm_map(l.ep, 0x8000, EDU_BAR, PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);
    g_assert_cmpuint(epvm_map(l.ep, 0x8000, EDU_BAR + EDU_SIZE, PAGE), ==,
                     EPC_STATUS_OK);
    check_edu(&l, WINDOW(8));

    /* Bus mastering gates it */
    hostvm_writew(l.host, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(8)), ==, UINT32_MAX);
    g_assert_cmpuint(epdma_copy(&l.dma, EDU_BAR + EDU_SIZE, BUFFER, 4,
                                FROM_HOST), ==, EPC_DMA_NOT_MAPPED);
    pair_end(&l);
}

/* Only what a function reaches: not the board's own devices */
static void test_others(void)
{
    Link l;

    pair_start(&l, EDU_DEVICE);
    g_assert_cmpuint(epvm_map(l.ep, 0, IOAPIC, PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);
    g_assert_cmpuint(epvm_map(l.ep, 0, HPET, PAGE), ==, EPC_STATUS_NOT_MAPPED);
    /* Its own BARs neither */
    g_assert_cmpuint(epvm_map(l.ep, 0, HOSTVM_BAR(0), PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);
    pair_end(&l);
}

static void check_msi(const char *args)
{
    Link l;

    pair_start(&l, args);
    g_assert_cmpuint(epvm_map(l.ep, 0, MSI, PAGE), ==, EPC_STATUS_OK);
    g_assert_false(hostvm_requested(l.host, VECTOR));
    qtest_writel(l.ep->q, WINDOW(0), VECTOR);
    g_assert_true(hostvm_requested(l.host, VECTOR));
    pair_end(&l);
}

static void test_msi(void)
{
    check_msi(EDU_DEVICE);
}

static void test_msi_iommu(void)
{
    check_msi("-device intel-iommu");
}

static void test_msi_virtio(void)
{
    check_msi("-device virtio-iommu-pci,addr=6");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("pci-ep-mmio/bar", test_bar);
    qtest_add_func("pci-ep-mmio/others", test_others);
    qtest_add_func("pci-ep-mmio/msi/none", test_msi);
    qtest_add_func("pci-ep-mmio/msi/intel-iommu", test_msi_iommu);
    qtest_add_func("pci-ep-mmio/msi/virtio-iommu", test_msi_virtio);
    return g_test_run();
}
