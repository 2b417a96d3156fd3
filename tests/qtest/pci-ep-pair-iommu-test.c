/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both devices, in two QEMUs, where the host translates the function's DMA: a
 * virtio-iommu or an intel-iommu, which announces its mappings (caching mode)
 * or is asked at each access
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/dma.h"
#include "pci-ep/intel-iommu.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/machine-host.h"
#include "pci-ep/virtio-pci.h"
#include "pci-ep/wait.h"

#define DEADLINE_MS     wait_scaled(1000)
#define EP_ID           0xb500104c
#define PAGE            0x1000u
#define WINDOW(n)       (EPVM_WINDOW + (n) * PAGE)

/* Memory of the host: tables, and pages that are mapped */
#define ROOT            0x300000ull
#define CONTEXT         0x301000ull
#define LEVEL(n)        (0x302000ull + (n) * PAGE)
#define MEMORY(n)       (0x400000ull + (n) * PAGE)
#define MANY_TABLES     0x1000000ull

/* Where the function sees them */
#define IOVA(n)         (0x80000000ull + (n) * PAGE)

/* A virtio-iommu and its queue */
#define VIOMMU          0x0030      /* 00:06.0 */
#define VIO_MAP_UNMAP   (1u << 2)
#define DESC            LEVEL(0)
#define AVAIL           LEVEL(1)
#define USED            LEVEL(2)
#define REQUEST         LEVEL(3)
#define ANSWER          (REQUEST + 0x100)
#define QUEUE_SIZE      16

/* A device of the host */
#define EDU             0x0038      /* 00:07.0 */
#define EDU_BAR         0xd0100000ull
#define EDU_ID          0x010000edu
#define MSI             0xfee00000ull

typedef struct Link {
    EpVm *ep;
    QTestState *host;
    EpDma dma;
    uint16_t requests;      /* made of the virtio-iommu */
} Link;

static void start_memory(Link *l, const char *iommu, bool shared)
{
    *l = (Link) { .ep = epvm_start(EPVM_SHARED, "") };
    g_assert_cmpuint(epvm_set_header(l->ep, EP_ID, 1), ==, EPC_STATUS_OK);
    l->host = shared ? hostvm_start_args(iommu, l->ep->socket, DEADLINE_MS) :
                       hostvm_start_private(iommu, l->ep->socket, DEADLINE_MS);
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

static void pair_start(Link *l, const char *iommu)
{
    start_memory(l, iommu, true);
}

static void pair_end(Link *l)
{
    qtest_quit(l->host);
    epvm_stop(l->ep);
}

static void iommu_invalidate(Link *l)
{
    vtd_invalidate(l->host);
}

static void set_pte(Link *l, unsigned n, uint64_t to, unsigned bits)
{
    qtest_writeq(l->host, LEVEL(0) + n * 8, bits ? to | bits : 0);
    iommu_invalidate(l);
}

static void iommu_translate(Link *l, bool on)
{
    vtd_translate(l->host, on);
}

/* Three levels of tables for 01:00.0; IOVA(0) to IOVA(3) in reverse order */
static void begin_translation(Link *l)
{
    qtest_memset(l->host, ROOT, 0, LEVEL(3) - ROOT);
    vtd_set_context(l->host, ROOT, 1, CONTEXT, 0, LEVEL(2), 1);
    qtest_writeq(l->host, LEVEL(2) + (IOVA(0) >> 30) * 8,
                 LEVEL(1) | VTD_PTE_RW);
    qtest_writeq(l->host, LEVEL(1), LEVEL(0) | VTD_PTE_RW);
    for (unsigned i = 0; i < 4; i++) {
        qtest_writeq(l->host, LEVEL(0) + i * 8, MEMORY(3 - i) | VTD_PTE_RW);
    }
    vtd_set_root(l->host, ROOT);
    iommu_invalidate(l);
    iommu_translate(l, true);
}

static bool iommu_faulted(Link *l)
{
    return qtest_readl(l->host, VTD_FSTS) & VTD_FSTS_PPF;
}

/* Soon */
static void wait_fault(Link *l)
{
    wait_until(iommu_faulted(l), "a fault that the IOMMU reports");
}

/* Both ways, across pages */
static void check_dma(Link *l)
{
    qtest_memset(l->host, MEMORY(0), 0x10, PAGE);
    qtest_memset(l->host, MEMORY(1), 0x11, PAGE);
    qtest_memset(l->host, MEMORY(2), 0x12, PAGE);
    qtest_memset(l->host, MEMORY(3), 0x13, PAGE);
    g_assert_cmpuint(epdma_copy(&l->dma, IOVA(0) + 4, BUFFER, 3 * PAGE,
                                FROM_HOST), ==, EPC_DMA_OK);
    g_assert_cmphex(qtest_readb(l->ep->q, BUFFER), ==, 0x13);
    g_assert_cmphex(qtest_readb(l->ep->q, BUFFER + PAGE), ==, 0x12);
    g_assert_cmphex(qtest_readb(l->ep->q, BUFFER + 3 * PAGE - 1), ==, 0x10);
    qtest_memset(l->ep->q, BUFFER, 0x77, 8);
    g_assert_cmpuint(epdma_copy(&l->dma, BUFFER, IOVA(1) - 4, 8, TO_HOST), ==,
                     EPC_DMA_OK);
    g_assert_cmphex(qtest_readl(l->host, MEMORY(3) + PAGE - 4), ==,
                    0x77777777);
    g_assert_cmphex(qtest_readq(l->host, MEMORY(2)), ==, 0x1212121277777777);
}

/* ---- Caching mode ---- */

#define CACHING "-device intel-iommu,caching-mode=on"

static void test_window(void)
{
    Link l;

    pair_start(&l, CACHING);
    /* Not translated yet */
    g_assert_cmpuint(epvm_map(l.ep, 0x8000, MEMORY(0), PAGE), ==,
                     EPC_STATUS_OK);
    begin_translation(&l);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(8)), ==, 0xffffffff);

    g_assert_cmpuint(epvm_map(l.ep, 0, IOVA(0), 4 * PAGE), ==, EPC_STATUS_OK);
    for (unsigned i = 0; i < 4; i++) {
        qtest_writel(l.ep->q, WINDOW(i) + 8, 0x1000 + i);
        g_assert_cmphex(qtest_readl(l.host, MEMORY(3 - i) + 8), ==,
                        0x1000 + i);
    }
    g_assert_cmpuint(epvm_map(l.ep, 0x10000, IOVA(4), PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);
    g_assert_cmpuint(epvm_map(l.ep, 0x10000, MEMORY(0), PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);

    /* Not translated any more */
    iommu_translate(&l, false);
    g_assert_cmpuint(epvm_map(l.ep, 0x10000, MEMORY(0), PAGE), ==,
                     EPC_STATUS_OK);
    pair_end(&l);
}

/* Once the invalidation is over no access arrives; a new target is seen. */
static void test_revoke(void)
{
    Link l;

    pair_start(&l, CACHING);
    begin_translation(&l);
    g_assert_cmpuint(epvm_map(l.ep, 0, IOVA(0), PAGE), ==, EPC_STATUS_OK);
    for (unsigned i = 0; i < 50; i++) {
        qtest_writel(l.host, MEMORY(4), 0x44440000 + i);
        qtest_writel(l.host, MEMORY(5), 0);
        set_pte(&l, 0, MEMORY(5), VTD_PTE_RW);
        qtest_writel(l.ep->q, WINDOW(0), 0x55550000 + i);
        g_assert_cmphex(qtest_readl(l.host, MEMORY(5)), ==, 0x55550000 + i);
        set_pte(&l, 0, 0, 0);
        g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(0)), ==, 0xffffffff);
        qtest_writel(l.ep->q, WINDOW(0), 0);
        g_assert_cmphex(qtest_readl(l.host, MEMORY(5)), ==, 0x55550000 + i);
        set_pte(&l, 0, MEMORY(4), VTD_PTE_RW);
        g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(0)), ==, 0x44440000 + i);
    }
    pair_end(&l);
}

static void test_dma(void)
{
    Link l;

    pair_start(&l, CACHING);
    begin_translation(&l);
    check_dma(&l);
    g_assert_cmpuint(epdma_copy(&l.dma, IOVA(4), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    set_pte(&l, 0, MEMORY(0), VTD_PTE_READ);
    g_assert_cmpuint(epdma_copy(&l.dma, IOVA(0), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_OK);
    g_assert_cmpuint(epdma_copy(&l.dma, BUFFER, IOVA(0), 4, TO_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    pair_end(&l);
}

/* What the endpoint refuses by itself is a fault of the host's IOMMU, too. */
static void test_fault(const void *how)
{
    Link l;

    pair_start(&l, CACHING);
    begin_translation(&l);
    check_dma(&l);
    set_pte(&l, 0, MEMORY(0), VTD_PTE_READ);
    g_assert_false(iommu_faulted(&l));
    if (!strcmp(how, "map")) {
        g_assert_cmpuint(epvm_map(l.ep, 0, IOVA(0), 5 * PAGE), ==,
                         EPC_STATUS_NOT_MAPPED);
    } else if (!strcmp(how, "read")) {
        g_assert_cmpuint(epdma_copy(&l.dma, IOVA(4), BUFFER, 4, FROM_HOST), ==,
                         EPC_DMA_NOT_MAPPED);
    } else {
        g_assert_cmpuint(epdma_copy(&l.dma, BUFFER, IOVA(0), 4, TO_HOST), ==,
                         EPC_DMA_NOT_MAPPED);
    }
    wait_fault(&l);
    pair_end(&l);
}

static void test_bus_master(void)
{
    Link l;

    pair_start(&l, CACHING);
    begin_translation(&l);
    g_assert_cmpuint(epvm_map(l.ep, 0, IOVA(0), PAGE), ==, EPC_STATUS_OK);
    hostvm_writew(l.host, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(0)), ==, 0xffffffff);
    g_assert_cmpuint(epvm_map(l.ep, 0x8000, IOVA(0), PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);
    g_assert_cmpuint(epdma_copy(&l.dma, IOVA(0), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    /* What was mapped meanwhile is seen when bus mastering is back */
    set_pte(&l, 4, MEMORY(4), VTD_PTE_RW);
    qtest_writel(l.host, MEMORY(4), 0x12345678);
    hostvm_writew(l.host, HOSTVM_FUNCTION, PCI_COMMAND,
                  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    g_assert_cmpuint(epvm_map(l.ep, 0x8000, IOVA(4), PAGE), ==, EPC_STATUS_OK);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(8)), ==, 0x12345678);
    pair_end(&l);
}

/*
 * Mappings are announced but the memory is not shared: accesses go by message,
 * and only to what is announced.
 */
static void test_private(void)
{
    Link l;

    start_memory(&l, CACHING, false);
    begin_translation(&l);
    check_dma(&l);
    g_assert_cmpuint(epvm_map(l.ep, 0, IOVA(0), 4 * PAGE), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_prop(l.ep, "slow-maps"), ==, 1);
    for (unsigned i = 0; i < 4; i++) {
        qtest_writel(l.ep->q, WINDOW(i) + 8, 0x1000 + i);
        g_assert_cmphex(qtest_readl(l.host, MEMORY(3 - i) + 8), ==,
                        0x1000 + i);
        g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(i) + 8), ==, 0x1000 + i);
    }
    g_assert_cmpuint(epvm_map(l.ep, 0x8000, IOVA(3), 2 * PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);
    set_pte(&l, 1, 0, 0);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(1) + 8), ==, 0xffffffff);
    g_assert_cmpuint(epdma_copy(&l.dma, IOVA(1), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    pair_end(&l);
}

/* More pages than a function can have: those that were announced first work. */
static void test_limit(void)
{
    const unsigned tables = 129, pages = tables * 512;
    g_autofree uint64_t *pte = g_new(uint64_t, pages);
    unsigned announced;
    Link l;

    pair_start(&l, CACHING);
    for (unsigned i = 0; i < pages; i++) {
        /* in reverse, so that no page continues another one */
        pte[i] = cpu_to_le64(MEMORY(3 - i % 4) | VTD_PTE_RW);
    }
    qtest_memwrite(l.host, MANY_TABLES, pte, pages * sizeof(*pte));
    begin_translation(&l);
    for (unsigned i = 0; i < tables; i++) {
        qtest_writeq(l.host, LEVEL(1) + i * 8,
                     (MANY_TABLES + i * PAGE) | VTD_PTE_RW);
    }
    iommu_invalidate(&l);
    announced = epvm_prop(l.ep, "dma-regions");
    g_assert_cmpuint(announced, >=, 65000);
    g_assert_cmpuint(announced, <, pages);
    hostvm_wait_error(l.host, "map fewer or larger buffers");

    qtest_writel(l.host, MEMORY(2), 0x12345678);
    g_assert_cmpuint(epdma_copy(&l.dma, IOVA(64001), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_OK);
    g_assert_cmphex(qtest_readl(l.ep->q, BUFFER), ==, 0x12345678);
    g_assert_cmpuint(epdma_copy(&l.dma, IOVA(pages - 1), BUFFER, 4, FROM_HOST),
                     ==, EPC_DMA_NOT_MAPPED);
    g_assert_cmpuint(epvm_map(l.ep, 0, IOVA(pages - 1), PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);
    pair_end(&l);
}

/* ---- Virtio-iommu ---- */

#define VIRTIO "-device virtio-iommu-pci,addr=6 -device edu,addr=7"

static void virtio_begin(Link *l)
{
    QTestState *q = l->host;

    hostvm_writel(q, VIOMMU, PCI_BASE_ADDRESS_4, VIO);
    hostvm_writel(q, VIOMMU, PCI_BASE_ADDRESS_5, VIO >> 32);
    hostvm_writew(q, VIOMMU, PCI_COMMAND,
                  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    qtest_memset(q, DESC, 0, REQUEST + PAGE - DESC);
    qtest_writeb(q, VIO_STATUS, 3);
    qtest_writel(q, VIO_FEATURE_SEL, 0);
    qtest_writel(q, VIO_FEATURE, VIO_MAP_UNMAP);
    qtest_writel(q, VIO_FEATURE_SEL, 1);
    qtest_writel(q, VIO_FEATURE, VIO_VERSION_1);
    qtest_writeb(q, VIO_STATUS, 0xb);
    qtest_writew(q, VIO_QUEUE_SIZE, QUEUE_SIZE);
    qtest_writel(q, VIO_QUEUE_DESC, DESC);
    qtest_writel(q, VIO_QUEUE_AVAIL, AVAIL);
    qtest_writel(q, VIO_QUEUE_USED, USED);
    qtest_writew(q, VIO_QUEUE_ON, 1);
    qtest_writeb(q, VIO_STATUS, 0xf);
    g_assert_cmphex(qtest_readb(q, VIO_STATUS), ==, 0xf);
}

/* The request in REQUEST, of @len bytes without the answer */
static void virtio_request(Link *l, unsigned len)
{
    QTestState *q = l->host;

    qtest_writeq(q, DESC, REQUEST);
    qtest_writel(q, DESC + 8, len);
    qtest_writel(q, DESC + 12, 1 | 1 << 16);        /* next: 1 */
    qtest_writeq(q, DESC + 16, ANSWER);
    qtest_writel(q, DESC + 24, 4);
    qtest_writel(q, DESC + 28, 2);                  /* written by the device */
    qtest_writeb(q, ANSWER, 0xff);
    qtest_writew(q, AVAIL + 4 + l->requests % QUEUE_SIZE * 2, 0);
    qtest_writew(q, AVAIL + 2, ++l->requests);
    qtest_writew(q, VIO_NOTIFY, 0);
    wait_until(qtest_readw(q, USED + 2) == l->requests,
               "request %u of the virtio IOMMU", l->requests);
    g_assert_cmphex(qtest_readb(q, ANSWER), ==, 0);
}

static void virtio_attach(Link *l)
{
    qtest_memset(l->host, REQUEST, 0, 64);
    qtest_writel(l->host, REQUEST, 1);
    qtest_writel(l->host, REQUEST + 4, 1);
    qtest_writel(l->host, REQUEST + 8, HOSTVM_FUNCTION);
    virtio_request(l, 20);
}

static void virtio_map(Link *l, uint64_t iova, uint64_t to, unsigned pages,
                       unsigned bits)
{
    qtest_memset(l->host, REQUEST, 0, 64);
    qtest_writel(l->host, REQUEST, 3);
    qtest_writel(l->host, REQUEST + 4, 1);
    qtest_writeq(l->host, REQUEST + 8, iova);
    qtest_writeq(l->host, REQUEST + 16, iova + pages * PAGE - 1);
    qtest_writeq(l->host, REQUEST + 24, to);
    qtest_writel(l->host, REQUEST + 32, bits);
    virtio_request(l, 36);
}

static void virtio_unmap(Link *l, uint64_t iova, unsigned pages)
{
    qtest_memset(l->host, REQUEST, 0, 64);
    qtest_writel(l->host, REQUEST, 4);
    qtest_writel(l->host, REQUEST + 4, 1);
    qtest_writeq(l->host, REQUEST + 8, iova);
    qtest_writeq(l->host, REQUEST + 16, iova + pages * PAGE - 1);
    virtio_request(l, 28);
}

static void test_virtio(void)
{
    Link l;

    pair_start(&l, VIRTIO);
    g_assert_cmpuint(epvm_map(l.ep, 0x8000, MEMORY(0), PAGE), ==,
                     EPC_STATUS_OK);
    virtio_begin(&l);
    virtio_attach(&l);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(8)), ==, 0xffffffff);
    g_assert_cmpuint(epvm_map(l.ep, 0, IOVA(0), PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);
    for (unsigned i = 0; i < 4; i++) {
        virtio_map(&l, IOVA(i), MEMORY(3 - i), 1, VTD_PTE_RW);
    }
    check_dma(&l);
    virtio_map(&l, IOVA(5), MEMORY(5), 7, VTD_PTE_RW);
    g_assert_cmpuint(epvm_map(l.ep, 0, IOVA(5), 7 * PAGE), ==, EPC_STATUS_OK);
    qtest_writel(l.ep->q, WINDOW(6), 0x12345678);
    g_assert_cmphex(qtest_readl(l.host, MEMORY(11)), ==, 0x12345678);

    virtio_unmap(&l, IOVA(0), 16);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(6)), ==, 0xffffffff);
    qtest_writel(l.ep->q, WINDOW(6), 0);
    g_assert_cmphex(qtest_readl(l.host, MEMORY(11)), ==, 0x12345678);
    g_assert_cmpuint(epdma_copy(&l.dma, IOVA(0), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    /* Write-only, then bus mastering off and on */
    virtio_map(&l, IOVA(5), MEMORY(5), 7, VTD_PTE_WRITE);
    hostvm_writew(l.host, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(6)), ==, 0xffffffff);
    hostvm_writew(l.host, HOSTVM_FUNCTION, PCI_COMMAND,
                  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    qtest_writel(l.ep->q, WINDOW(6), 0x55);
    g_assert_cmphex(qtest_readl(l.host, MEMORY(11)), ==, 0x55);
    pair_end(&l);
}

/* A peer's BAR where it was mapped, and interrupts, which need no mapping */
static void test_virtio_devices(void)
{
    Link l;

    pair_start(&l, VIRTIO);
    hostvm_writel(l.host, EDU, PCI_BASE_ADDRESS_0, EDU_BAR);
    hostvm_writew(l.host, EDU, PCI_COMMAND, PCI_COMMAND_MEMORY);
    virtio_begin(&l);
    virtio_attach(&l);
    g_assert_cmpuint(epvm_map(l.ep, 0, EDU_BAR, PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);
    virtio_map(&l, IOVA(0), EDU_BAR, 1, VTD_PTE_READ);
    g_assert_cmpuint(epvm_map(l.ep, 0, IOVA(0), PAGE), ==, EPC_STATUS_OK);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(0)), ==, EDU_ID);
    g_assert_cmpuint(epvm_map(l.ep, 0x8000, MSI, PAGE), ==, EPC_STATUS_OK);
    qtest_writel(l.ep->q, WINDOW(8), 0x45);
    g_assert_true(hostvm_requested(l.host, 0x45));
    virtio_unmap(&l, IOVA(0), 1);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(0)), ==, UINT32_MAX);
    pair_end(&l);
}

/* ---- Without ---- */

#define PLAIN "-device intel-iommu"

static void test_message(void)
{
    Link l;

    pair_start(&l, PLAIN);
    begin_translation(&l);
    check_dma(&l);
    set_pte(&l, 0, MEMORY(4), VTD_PTE_RW);
    qtest_writel(l.host, MEMORY(4), 0x12345678);
    g_assert_cmpuint(epdma_copy(&l.dma, IOVA(0), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_OK);
    g_assert_cmphex(qtest_readl(l.ep->q, BUFFER), ==, 0x12345678);
    pair_end(&l);
}

/* The window traps; the IOMMU is asked at each access. */
static void test_message_window(void)
{
    Link l;

    pair_start(&l, PLAIN);
    /* mapped before, by message now */
    g_assert_cmpuint(epvm_map(l.ep, 0x8000, MEMORY(0), PAGE), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_prop(l.ep, "slow-maps"), ==, 0);
    begin_translation(&l);
    g_assert_cmpuint(epvm_map(l.ep, 0, IOVA(0), 5 * PAGE), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_prop(l.ep, "slow-maps"), ==, 2);
    for (unsigned i = 0; i < 4; i++) {
        qtest_writel(l.ep->q, WINDOW(i) + 8, 0x1000 + i);
        g_assert_cmphex(qtest_readl(l.host, MEMORY(3 - i) + 8), ==,
                        0x1000 + i);
        g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(i) + 8), ==, 0x1000 + i);
    }
    set_pte(&l, 0, MEMORY(5), VTD_PTE_RW);
    qtest_writel(l.host, MEMORY(5), 0x12345678);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(0)), ==, 0x12345678);

    /* Not allowed: all ones, and a fault */
    g_assert_false(iommu_faulted(&l));
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(4)), ==, 0xffffffff);
    g_assert_true(iommu_faulted(&l));

    iommu_translate(&l, false);
    g_assert_cmpuint(epvm_prop(l.ep, "slow-maps"), ==, 0);
    qtest_writel(l.host, MEMORY(0), 0x87654321);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(8)), ==, 0x87654321);
    pair_end(&l);
}

static void test_message_refused(void)
{
    Link l;

    pair_start(&l, PLAIN);
    begin_translation(&l);
    g_assert_false(iommu_faulted(&l));
    g_assert_cmpuint(epdma_copy(&l.dma, IOVA(4), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    g_assert_true(iommu_faulted(&l));
    set_pte(&l, 0, MEMORY(0), VTD_PTE_READ);
    g_assert_cmpuint(epdma_copy(&l.dma, BUFFER, IOVA(0), 4, TO_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    /* Not memory: the registers of the IOMMU */
    set_pte(&l, 0, VTD, VTD_PTE_RW);
    g_assert_cmpuint(epdma_copy(&l.dma, IOVA(0), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    hostvm_writew(l.host, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmpuint(epdma_copy(&l.dma, IOVA(1), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    pair_end(&l);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("pci-ep-iommu/announced/window", test_window);
    qtest_add_func("pci-ep-iommu/announced/revoke", test_revoke);
    qtest_add_func("pci-ep-iommu/announced/dma", test_dma);
    qtest_add_data_func("pci-ep-iommu/announced/fault/map", "map", test_fault);
    qtest_add_data_func("pci-ep-iommu/announced/fault/read", "read",
                        test_fault);
    qtest_add_data_func("pci-ep-iommu/announced/fault/write", "write",
                        test_fault);
    qtest_add_func("pci-ep-iommu/announced/bus-master", test_bus_master);
    qtest_add_func("pci-ep-iommu/announced/private", test_private);
    qtest_add_func("pci-ep-iommu/announced/limit", test_limit);
    qtest_add_func("pci-ep-iommu/announced/virtio", test_virtio);
    qtest_add_func("pci-ep-iommu/announced/virtio-devices",
                   test_virtio_devices);
    qtest_add_func("pci-ep-iommu/asked/dma", test_message);
    qtest_add_func("pci-ep-iommu/asked/window", test_message_window);
    qtest_add_func("pci-ep-iommu/asked/refused", test_message_refused);
    return g_test_run();
}
