/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both devices, in two QEMUs, where the host translates the function's DMA: a
 * virtio-iommu or an intel-iommu, which tells of its mappings (caching mode) or
 * is asked at each access
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep-dma.h"
#include "pci-ep-endpoint.h"
#include "pci-ep-host.h"

#define DEADLINE_MS     1000
#define EP_ID           0xb500104c
#define PAGE            0x1000u
#define WINDOW(n)       (EPE_WINDOW + (n) * PAGE)

/* Memory of the host: tables, and pages that are mapped */
#define ROOT            0x300000ull
#define CONTEXT         0x301000ull
#define LEVEL(n)        (0x302000ull + (n) * PAGE)
#define MEMORY(n)       (0x400000ull + (n) * PAGE)
#define MANY_TABLES     0x1000000ull

/* Where the function sees them */
#define IOVA(n)         (0x80000000ull + (n) * PAGE)

/* The IOMMU */
#define VTD             0xfed90000ull
#define VTD_GCMD        (VTD + 0x18)
#define GCMD_TE         (1u << 31)
#define GCMD_SRTP       (1u << 30)
#define VTD_RTADDR      (VTD + 0x20)
#define VTD_CCMD        (VTD + 0x28)
#define CCMD_GLOBAL     (1ull << 63 | 1ull << 61)
#define VTD_FSTS        (VTD + 0x34)
#define FSTS_PENDING    (1u << 1)
#define VTD_IOTLB       (VTD + 0xf8)
#define IOTLB_GLOBAL    (1ull << 63 | 1ull << 60)
#define PTE_READ        1u
#define PTE_WRITE       2u
#define PTE_RW          (PTE_READ | PTE_WRITE)

/* A virtio-iommu, its BAR and its queue */
#define VIOMMU          0x0030      /* 00:06.0 */
#define VIO             0xd0000000ull
#define VIO_FEATURE_SEL (VIO + 0x08)
#define VIO_FEATURE     (VIO + 0x0c)
#define VIO_STATUS      (VIO + 0x14)
#define VIO_QUEUE_SIZE  (VIO + 0x18)
#define VIO_QUEUE_ON    (VIO + 0x1c)
#define VIO_QUEUE_DESC  (VIO + 0x20)
#define VIO_QUEUE_AVAIL (VIO + 0x28)
#define VIO_QUEUE_USED  (VIO + 0x30)
#define VIO_NOTIFY      (VIO + 0x3000)
#define VIO_MAP_UNMAP   (1u << 2)
#define VIO_VERSION_1   (1u << 0)   /* of the upper word */
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
    EpEndpoint *ep;
    QTestState *host;
    EpDma dma;
    uint16_t requests;      /* made of the virtio-iommu */
} Link;

static void start_memory(Link *l, const char *iommu, bool shared)
{
    *l = (Link) { .ep = epe_start(EPE_SHARED, "") };
    g_assert_cmpuint(epe_set_header(l->ep, EP_ID, 1), ==, EPC_STATUS_OK);
    l->host = shared ? eph_start_args(iommu, l->ep->socket, DEADLINE_MS) :
                       eph_start_private(iommu, l->ep->socket, DEADLINE_MS);
    eph_enable_port(l->host);
    g_assert_cmpuint(epe_link(l->ep, EPC_LINK_START), ==, EPC_STATUS_OK);
    epe_wait_link(l->ep, true);
    eph_wait_present(l->host, true);
    eph_enable_function(l->host, true);
    l->dma = (EpDma) {
        .e = l->ep,
        .base = epe_reg(l->ep, EPC_REG_DMA_BASE),
        .stride = epe_reg(l->ep, EPC_REG_DMA_STRIDE),
    };
    epd_enable(&l->dma, 0, RING(0), 16);
}

static void start(Link *l, const char *iommu)
{
    start_memory(l, iommu, true);
}

static void end(Link *l)
{
    qtest_quit(l->host);
    epe_stop(l->ep);
}

static void invalidate(Link *l)
{
    qtest_writeq(l->host, VTD_IOTLB, IOTLB_GLOBAL);
}

static void set_pte(Link *l, unsigned n, uint64_t to, unsigned bits)
{
    qtest_writeq(l->host, LEVEL(0) + n * 8, bits ? to | bits : 0);
    invalidate(l);
}

static void translate(Link *l, bool on)
{
    qtest_writel(l->host, VTD_GCMD, on ? GCMD_TE : 0);
}

/* Three levels of tables for 01:00.0; IOVA(0) to IOVA(3) in reverse order */
static void begin_translation(Link *l)
{
    qtest_memset(l->host, ROOT, 0, LEVEL(3) - ROOT);
    qtest_writeq(l->host, ROOT + 16, CONTEXT | 1);
    qtest_writeq(l->host, CONTEXT, LEVEL(2) | 1);
    qtest_writeq(l->host, CONTEXT + 8, 1 << 8 | 1);
    qtest_writeq(l->host, LEVEL(2) + (IOVA(0) >> 30) * 8, LEVEL(1) | PTE_RW);
    qtest_writeq(l->host, LEVEL(1), LEVEL(0) | PTE_RW);
    for (unsigned i = 0; i < 4; i++) {
        qtest_writeq(l->host, LEVEL(0) + i * 8, MEMORY(3 - i) | PTE_RW);
    }
    qtest_writeq(l->host, VTD_RTADDR, ROOT);
    qtest_writel(l->host, VTD_GCMD, GCMD_SRTP);
    qtest_writeq(l->host, VTD_CCMD, CCMD_GLOBAL);
    invalidate(l);
    translate(l, true);
}

static bool faulted(Link *l)
{
    return qtest_readl(l->host, VTD_FSTS) & FSTS_PENDING;
}

/* Soon */
static void wait_fault(Link *l)
{
    gint64 end = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;

    while (!faulted(l) && g_get_monotonic_time() < end) {
        g_usleep(1000);
    }
    g_assert_true(faulted(l));
}

/* Both ways, across pages */
static void check_dma(Link *l)
{
    qtest_memset(l->host, MEMORY(0), 0x10, PAGE);
    qtest_memset(l->host, MEMORY(1), 0x11, PAGE);
    qtest_memset(l->host, MEMORY(2), 0x12, PAGE);
    qtest_memset(l->host, MEMORY(3), 0x13, PAGE);
    g_assert_cmpuint(epd_copy(&l->dma, IOVA(0) + 4, BUFFER, 3 * PAGE,
                              FROM_HOST), ==, EPC_DMA_OK);
    g_assert_cmphex(qtest_readb(l->ep->q, BUFFER), ==, 0x13);
    g_assert_cmphex(qtest_readb(l->ep->q, BUFFER + PAGE), ==, 0x12);
    g_assert_cmphex(qtest_readb(l->ep->q, BUFFER + 3 * PAGE - 1), ==, 0x10);
    qtest_memset(l->ep->q, BUFFER, 0x77, 8);
    g_assert_cmpuint(epd_copy(&l->dma, BUFFER, IOVA(1) - 4, 8, TO_HOST), ==,
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

    start(&l, CACHING);
    /* Not translated yet */
    g_assert_cmpuint(epe_map(l.ep, 0x8000, MEMORY(0), PAGE), ==,
                     EPC_STATUS_OK);
    begin_translation(&l);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(8)), ==, 0xffffffff);

    g_assert_cmpuint(epe_map(l.ep, 0, IOVA(0), 4 * PAGE), ==, EPC_STATUS_OK);
    for (unsigned i = 0; i < 4; i++) {
        qtest_writel(l.ep->q, WINDOW(i) + 8, 0x1000 + i);
        g_assert_cmphex(qtest_readl(l.host, MEMORY(3 - i) + 8), ==,
                        0x1000 + i);
    }
    g_assert_cmpuint(epe_map(l.ep, 0x10000, IOVA(4), PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);
    g_assert_cmpuint(epe_map(l.ep, 0x10000, MEMORY(0), PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);

    /* Not translated any more */
    translate(&l, false);
    g_assert_cmpuint(epe_map(l.ep, 0x10000, MEMORY(0), PAGE), ==,
                     EPC_STATUS_OK);
    end(&l);
}

/* Once the invalidation is over no access arrives; a new target is seen. */
static void test_revoke(void)
{
    Link l;

    start(&l, CACHING);
    begin_translation(&l);
    g_assert_cmpuint(epe_map(l.ep, 0, IOVA(0), PAGE), ==, EPC_STATUS_OK);
    for (unsigned i = 0; i < 50; i++) {
        qtest_writel(l.host, MEMORY(4), 0x44440000 + i);
        qtest_writel(l.host, MEMORY(5), 0);
        set_pte(&l, 0, MEMORY(5), PTE_RW);
        qtest_writel(l.ep->q, WINDOW(0), 0x55550000 + i);
        g_assert_cmphex(qtest_readl(l.host, MEMORY(5)), ==, 0x55550000 + i);
        set_pte(&l, 0, 0, 0);
        g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(0)), ==, 0xffffffff);
        qtest_writel(l.ep->q, WINDOW(0), 0);
        g_assert_cmphex(qtest_readl(l.host, MEMORY(5)), ==, 0x55550000 + i);
        set_pte(&l, 0, MEMORY(4), PTE_RW);
        g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(0)), ==, 0x44440000 + i);
    }
    end(&l);
}

static void test_dma(void)
{
    Link l;

    start(&l, CACHING);
    begin_translation(&l);
    check_dma(&l);
    g_assert_cmpuint(epd_copy(&l.dma, IOVA(4), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    set_pte(&l, 0, MEMORY(0), PTE_READ);
    g_assert_cmpuint(epd_copy(&l.dma, IOVA(0), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_OK);
    g_assert_cmpuint(epd_copy(&l.dma, BUFFER, IOVA(0), 4, TO_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    end(&l);
}

/* What the endpoint refuses by itself is a fault of the host's IOMMU, too. */
static void test_fault(const void *how)
{
    Link l;

    start(&l, CACHING);
    begin_translation(&l);
    check_dma(&l);
    set_pte(&l, 0, MEMORY(0), PTE_READ);
    g_assert_false(faulted(&l));
    if (!strcmp(how, "map")) {
        g_assert_cmpuint(epe_map(l.ep, 0, IOVA(0), 5 * PAGE), ==,
                         EPC_STATUS_NOT_MAPPED);
    } else if (!strcmp(how, "read")) {
        g_assert_cmpuint(epd_copy(&l.dma, IOVA(4), BUFFER, 4, FROM_HOST), ==,
                         EPC_DMA_NOT_MAPPED);
    } else {
        g_assert_cmpuint(epd_copy(&l.dma, BUFFER, IOVA(0), 4, TO_HOST), ==,
                         EPC_DMA_NOT_MAPPED);
    }
    wait_fault(&l);
    end(&l);
}

static void test_bus_master(void)
{
    Link l;

    start(&l, CACHING);
    begin_translation(&l);
    g_assert_cmpuint(epe_map(l.ep, 0, IOVA(0), PAGE), ==, EPC_STATUS_OK);
    eph_writew(l.host, EPH_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(0)), ==, 0xffffffff);
    g_assert_cmpuint(epe_map(l.ep, 0x8000, IOVA(0), PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);
    g_assert_cmpuint(epd_copy(&l.dma, IOVA(0), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    /* What was mapped meanwhile is seen when bus mastering is back */
    set_pte(&l, 4, MEMORY(4), PTE_RW);
    qtest_writel(l.host, MEMORY(4), 0x12345678);
    eph_writew(l.host, EPH_FUNCTION, PCI_COMMAND,
               PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    g_assert_cmpuint(epe_map(l.ep, 0x8000, IOVA(4), PAGE), ==, EPC_STATUS_OK);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(8)), ==, 0x12345678);
    end(&l);
}

/* Told, but not shared: by message, and only what is told */
static void test_private(void)
{
    Link l;

    start_memory(&l, CACHING, false);
    begin_translation(&l);
    check_dma(&l);
    g_assert_cmpuint(epe_map(l.ep, 0, IOVA(0), 4 * PAGE), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_prop(l.ep, "slow-maps"), ==, 1);
    for (unsigned i = 0; i < 4; i++) {
        qtest_writel(l.ep->q, WINDOW(i) + 8, 0x1000 + i);
        g_assert_cmphex(qtest_readl(l.host, MEMORY(3 - i) + 8), ==,
                        0x1000 + i);
        g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(i) + 8), ==, 0x1000 + i);
    }
    g_assert_cmpuint(epe_map(l.ep, 0x8000, IOVA(3), 2 * PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);
    set_pte(&l, 1, 0, 0);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(1) + 8), ==, 0xffffffff);
    g_assert_cmpuint(epd_copy(&l.dma, IOVA(1), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    end(&l);
}

/* More pages than a function can have: those told first work. */
static void test_limit(void)
{
    const unsigned tables = 129, pages = tables * 512;
    g_autofree uint64_t *pte = g_new(uint64_t, pages);
    g_autofree char *err = NULL;
    unsigned told;
    Link l;

    start(&l, CACHING);
    for (unsigned i = 0; i < pages; i++) {
        pte[i] = cpu_to_le64(MEMORY(i % 4) | PTE_RW);
    }
    qtest_memwrite(l.host, MANY_TABLES, pte, pages * sizeof(*pte));
    begin_translation(&l);
    for (unsigned i = 0; i < tables; i++) {
        qtest_writeq(l.host, LEVEL(1) + i * 8,
                     (MANY_TABLES + i * PAGE) | PTE_RW);
    }
    invalidate(&l);
    told = epe_prop(l.ep, "dma-regions");
    g_assert_cmpuint(told, >=, 65000);
    g_assert_cmpuint(told, <, pages);
    err = eph_prop_str(l.host, "last-error");
    g_assert_nonnull(strstr(err, "map fewer or larger buffers"));

    qtest_writel(l.host, MEMORY(2), 0x12345678);
    g_assert_cmpuint(epd_copy(&l.dma, IOVA(64002), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_OK);
    g_assert_cmphex(qtest_readl(l.ep->q, BUFFER), ==, 0x12345678);
    g_assert_cmpuint(epd_copy(&l.dma, IOVA(pages - 1), BUFFER, 4, FROM_HOST),
                     ==, EPC_DMA_NOT_MAPPED);
    g_assert_cmpuint(epe_map(l.ep, 0, IOVA(pages - 1), PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);
    end(&l);
}

/* ---- virtio-iommu ---- */

#define VIRTIO "-device virtio-iommu-pci,addr=6 -device edu,addr=7"

static void virtio_begin(Link *l)
{
    QTestState *q = l->host;

    eph_writel(q, VIOMMU, PCI_BASE_ADDRESS_4, VIO);
    eph_writel(q, VIOMMU, PCI_BASE_ADDRESS_5, VIO >> 32);
    eph_writew(q, VIOMMU, PCI_COMMAND,
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
    for (unsigned i = 0; i < EPE_TIMEOUT_MS &&
         qtest_readw(q, USED + 2) != l->requests; i++) {
        g_usleep(1000);
    }
    g_assert_cmphex(qtest_readb(q, ANSWER), ==, 0);
}

static void virtio_attach(Link *l)
{
    qtest_memset(l->host, REQUEST, 0, 64);
    qtest_writel(l->host, REQUEST, 1);
    qtest_writel(l->host, REQUEST + 4, 1);
    qtest_writel(l->host, REQUEST + 8, EPH_FUNCTION);
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

    start(&l, VIRTIO);
    g_assert_cmpuint(epe_map(l.ep, 0x8000, MEMORY(0), PAGE), ==,
                     EPC_STATUS_OK);
    virtio_begin(&l);
    virtio_attach(&l);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(8)), ==, 0xffffffff);
    g_assert_cmpuint(epe_map(l.ep, 0, IOVA(0), PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);
    for (unsigned i = 0; i < 4; i++) {
        virtio_map(&l, IOVA(i), MEMORY(3 - i), 1, PTE_RW);
    }
    check_dma(&l);
    virtio_map(&l, IOVA(5), MEMORY(5), 7, PTE_RW);
    g_assert_cmpuint(epe_map(l.ep, 0, IOVA(5), 7 * PAGE), ==, EPC_STATUS_OK);
    qtest_writel(l.ep->q, WINDOW(6), 0x12345678);
    g_assert_cmphex(qtest_readl(l.host, MEMORY(11)), ==, 0x12345678);

    virtio_unmap(&l, IOVA(0), 16);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(6)), ==, 0xffffffff);
    qtest_writel(l.ep->q, WINDOW(6), 0);
    g_assert_cmphex(qtest_readl(l.host, MEMORY(11)), ==, 0x12345678);
    g_assert_cmpuint(epd_copy(&l.dma, IOVA(0), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    /* Write-only, then bus mastering off and on */
    virtio_map(&l, IOVA(5), MEMORY(5), 7, PTE_WRITE);
    eph_writew(l.host, EPH_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(6)), ==, 0xffffffff);
    eph_writew(l.host, EPH_FUNCTION, PCI_COMMAND,
               PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    qtest_writel(l.ep->q, WINDOW(6), 0x55);
    g_assert_cmphex(qtest_readl(l.host, MEMORY(11)), ==, 0x55);
    end(&l);
}

/* A peer's BAR where it was mapped, and interrupts, which need no mapping */
static void test_virtio_devices(void)
{
    Link l;

    start(&l, VIRTIO);
    eph_writel(l.host, EDU, PCI_BASE_ADDRESS_0, EDU_BAR);
    eph_writew(l.host, EDU, PCI_COMMAND, PCI_COMMAND_MEMORY);
    virtio_begin(&l);
    virtio_attach(&l);
    g_assert_cmpuint(epe_map(l.ep, 0, EDU_BAR, PAGE), ==,
                     EPC_STATUS_NOT_MAPPED);
    virtio_map(&l, IOVA(0), EDU_BAR, 1, PTE_READ);
    g_assert_cmpuint(epe_map(l.ep, 0, IOVA(0), PAGE), ==, EPC_STATUS_OK);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(0)), ==, EDU_ID);
    g_assert_cmpuint(epe_map(l.ep, 0x8000, MSI, PAGE), ==, EPC_STATUS_OK);
    qtest_writel(l.ep->q, WINDOW(8), 0x45);
    g_assert_true(eph_requested(l.host, 0x45));
    virtio_unmap(&l, IOVA(0), 1);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(0)), ==, UINT32_MAX);
    end(&l);
}

/* ---- Without ---- */

#define PLAIN "-device intel-iommu"

static void test_message(void)
{
    Link l;

    start(&l, PLAIN);
    begin_translation(&l);
    check_dma(&l);
    set_pte(&l, 0, MEMORY(4), PTE_RW);
    qtest_writel(l.host, MEMORY(4), 0x12345678);
    g_assert_cmpuint(epd_copy(&l.dma, IOVA(0), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_OK);
    g_assert_cmphex(qtest_readl(l.ep->q, BUFFER), ==, 0x12345678);
    end(&l);
}

/* The window traps; the IOMMU is asked at each access. */
static void test_message_window(void)
{
    Link l;

    start(&l, PLAIN);
    /* mapped before, by message now */
    g_assert_cmpuint(epe_map(l.ep, 0x8000, MEMORY(0), PAGE), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epe_prop(l.ep, "slow-maps"), ==, 0);
    begin_translation(&l);
    g_assert_cmpuint(epe_map(l.ep, 0, IOVA(0), 5 * PAGE), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epe_prop(l.ep, "slow-maps"), ==, 2);
    for (unsigned i = 0; i < 4; i++) {
        qtest_writel(l.ep->q, WINDOW(i) + 8, 0x1000 + i);
        g_assert_cmphex(qtest_readl(l.host, MEMORY(3 - i) + 8), ==,
                        0x1000 + i);
        g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(i) + 8), ==, 0x1000 + i);
    }
    set_pte(&l, 0, MEMORY(5), PTE_RW);
    qtest_writel(l.host, MEMORY(5), 0x12345678);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(0)), ==, 0x12345678);

    /* Not allowed: all ones, and a fault */
    g_assert_false(faulted(&l));
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(4)), ==, 0xffffffff);
    g_assert_true(faulted(&l));

    translate(&l, false);
    g_assert_cmpuint(epe_prop(l.ep, "slow-maps"), ==, 0);
    qtest_writel(l.host, MEMORY(0), 0x87654321);
    g_assert_cmphex(qtest_readl(l.ep->q, WINDOW(8)), ==, 0x87654321);
    end(&l);
}

static void test_message_refused(void)
{
    Link l;

    start(&l, PLAIN);
    begin_translation(&l);
    g_assert_false(faulted(&l));
    g_assert_cmpuint(epd_copy(&l.dma, IOVA(4), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    g_assert_true(faulted(&l));
    set_pte(&l, 0, MEMORY(0), PTE_READ);
    g_assert_cmpuint(epd_copy(&l.dma, BUFFER, IOVA(0), 4, TO_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    /* Not memory: the registers of the IOMMU */
    set_pte(&l, 0, VTD, PTE_RW);
    g_assert_cmpuint(epd_copy(&l.dma, IOVA(0), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    eph_writew(l.host, EPH_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmpuint(epd_copy(&l.dma, IOVA(1), BUFFER, 4, FROM_HOST), ==,
                     EPC_DMA_NOT_MAPPED);
    end(&l);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("pci-ep-iommu/told/window", test_window);
    qtest_add_func("pci-ep-iommu/told/revoke", test_revoke);
    qtest_add_func("pci-ep-iommu/told/dma", test_dma);
    qtest_add_data_func("pci-ep-iommu/told/fault/map", "map", test_fault);
    qtest_add_data_func("pci-ep-iommu/told/fault/read", "read", test_fault);
    qtest_add_data_func("pci-ep-iommu/told/fault/write", "write", test_fault);
    qtest_add_func("pci-ep-iommu/told/bus-master", test_bus_master);
    qtest_add_func("pci-ep-iommu/told/private", test_private);
    qtest_add_func("pci-ep-iommu/told/limit", test_limit);
    qtest_add_func("pci-ep-iommu/told/virtio", test_virtio);
    qtest_add_func("pci-ep-iommu/told/virtio-devices", test_virtio_devices);
    qtest_add_func("pci-ep-iommu/asked/dma", test_message);
    qtest_add_func("pci-ep-iommu/asked/window", test_message_window);
    qtest_add_func("pci-ep-iommu/asked/refused", test_message_refused);
    return g_test_run();
}
