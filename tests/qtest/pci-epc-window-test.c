/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a fake host: the outbound window, and hosts that behave
 * badly or vanish
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/fake-host.h"

#include <sys/mman.h>

#define MEM_SIZE    0x10000u        /* of the host, at HOST in its PCI space */
#define HOST        0x40000000ull
#define RW          (VFU_DMA_READ | VFU_DMA_WRITE)

typedef struct Dma {
    EpVm *e;
    FakeHost *c;
    int fd;
    uint8_t *mem;
} Dma;

static Dma dma_start(const char *props)
{
    Dma d;

    d.e = epvm_start(EPVM_SHARED, props);
    d.c = epvm_attach(d.e);
    d.fd = fakehost_memfd(MEM_SIZE, &d.mem);
    fakehost_set_config(d.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    return d;
}

static void dma_end(Dma *d)
{
    epvm_detach(d->e, d->c);
    munmap(d->mem, MEM_SIZE);
    close(d->fd);
}

static int dma_map(Dma *d, uint64_t addr, uint64_t size, uint64_t offset)
{
    return fakehost_dma_map(d->c, addr, size, d->fd, offset, RW);
}

/* Does window offset @w reach byte @m of the memory?  Both ways. */
static void check_reaches(Dma *d, uint64_t w, uint32_t m)
{
    static uint32_t salt;
    uint32_t v = 0x80000000u + ++salt;

    stl_le_p(d->mem + m, v);
    g_assert_cmphex(qtest_readl(d->e->q, EPVM_WINDOW + w), ==, v);
    qtest_writel(d->e->q, EPVM_WINDOW + w, ~v);
    g_assert_cmphex(ldl_le_p(d->mem + m), ==, ~v);
}

static void check_ones(Dma *d, uint64_t w)
{
    g_assert_cmphex(qtest_readq(d->e->q, EPVM_WINDOW + w), ==, UINT64_MAX);
    /* what the endpoint stores there stays here, or is lost */
    g_assert_cmphex(qtest_readq(d->e->q, EPVM_WINDOW + w + 4088), ==,
                    UINT64_MAX);
}

/* ---- Maps ---- */

static void test_map_arguments(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",window-size=1M");
    const uint64_t g = epvm_reg(e, EPC_REG_GRANULE), end = 1 << 20;
    const struct {
        uint64_t offset, addr, size;
        uint32_t status;
    } t[] = {
        { 0, 0, 0, EPC_STATUS_BAD_ARG },
        { 1, 0, g, EPC_STATUS_BAD_ARG },
        { 0, 1, g, EPC_STATUS_BAD_ARG },
        { 0, 0, g - 1, EPC_STATUS_BAD_ARG },
        { end, 0, g, EPC_STATUS_BAD_ARG },
        { end - g, 0, 2 * g, EPC_STATUS_BAD_ARG },
        { 0, 0, end + g, EPC_STATUS_BAD_ARG },
        { -g, 0, g, EPC_STATUS_BAD_ARG },
        { g, 0, -g, EPC_STATUS_BAD_ARG },
        { 0, -g, 2 * g, EPC_STATUS_BAD_ARG },
        { end - g, -g, g, EPC_STATUS_NO_LINK },
        { 0, 0, end, EPC_STATUS_NO_LINK },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        g_assert_cmpuint(epvm_map(e, t[i].offset, t[i].addr, t[i].size), ==,
                         t[i].status);
    }
    g_assert_cmpuint(epvm_unmap(e, 0), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_unmap(e, 1), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_unmap(e, UINT64_MAX), ==, EPC_STATUS_OK);
    epvm_stop(e);
}

static void test_window_idle(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",window-size=1M");

    for (uint64_t off = 0; off < 1 << 20; off += 65536 - 8) {
        g_assert_cmphex(qtest_readq(e->q, EPVM_WINDOW + (off & ~7ull)), ==,
                        UINT64_MAX);
    }
    g_assert_cmphex(qtest_readb(e->q, EPVM_WINDOW + (1 << 20) - 1), ==, 0xff);
    epvm_stop(e);
}

static void test_map(void)
{
    Dma d = dma_start("");

    g_assert_cmpuint(epvm_map(d.e, 0, HOST, 4096), ==, EPC_STATUS_NOT_MAPPED);
    g_assert_cmpint(dma_map(&d, HOST, MEM_SIZE, 0), ==, 0);
    g_assert_cmpuint(epvm_prop(d.e, "dma-regions"), ==, 1);
    g_assert_cmpuint(epvm_map(d.e, 0, HOST, 4096), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_prop(d.e, "live-maps"), ==, 1);
    check_reaches(&d, 0, 0);
    check_reaches(&d, 4092, 4092);
    check_ones(&d, 4096);

    /* elsewhere in the window, not from the start of the memory */
    g_assert_cmpuint(epvm_map(d.e, 0x100000, HOST + 0x3000, 0x2000), ==,
                     EPC_STATUS_OK);
    check_reaches(&d, 0x100000, 0x3000);
    check_reaches(&d, 0x101ffc, 0x4ffc);
    check_ones(&d, 0x102000);

    /* the same offset: replaced; overlaps of others: refused, all stays */
    g_assert_cmpuint(epvm_map(d.e, 0x100000, HOST + 0x8000, 0x1000), ==,
                     EPC_STATUS_OK);
    check_reaches(&d, 0x100000, 0x8000);
    check_ones(&d, 0x101000);
    g_assert_cmpuint(epvm_map(d.e, 0xff000, HOST, 0x2000), ==,
                     EPC_STATUS_BAD_ARG);
    g_assert_cmpuint(epvm_map(d.e, 0, HOST, 0x101000), ==, EPC_STATUS_BAD_ARG);
    check_reaches(&d, 0x100000, 0x8000);
    check_reaches(&d, 0, 0);
    g_assert_cmpuint(epvm_prop(d.e, "live-maps"), ==, 2);

    g_assert_cmpuint(epvm_unmap(d.e, 0x1000), ==, EPC_STATUS_OK);    /* none */
    check_reaches(&d, 0, 0);
    g_assert_cmpuint(epvm_unmap(d.e, 0), ==, EPC_STATUS_OK);
    check_ones(&d, 0);
    check_reaches(&d, 0x100000, 0x8000);
    g_assert_cmpuint(epvm_prop(d.e, "live-maps"), ==, 1);

    /* a map that fails takes the one it would have replaced with it */
    g_assert_cmpuint(epvm_map(d.e, 0x100000, HOST + MEM_SIZE, 4096), ==,
                     EPC_STATUS_NOT_MAPPED);
    check_ones(&d, 0x100000);
    g_assert_cmpuint(epvm_prop(d.e, "live-maps"), ==, 0);
    dma_end(&d);
}

static void test_map_refused(void)
{
    Dma d = dma_start("");

    g_assert_cmpint(dma_map(&d, HOST, 0x4000, 0), ==, 0);
    g_assert_cmpint(fakehost_dma_map(d.c, HOST + 0x4000, 0x4000, -1, 0, RW), ==,
                    0);
    g_assert_cmpuint(epvm_map(d.e, 0, HOST + 0x7000, 0x2000), ==,
                     EPC_STATUS_NOT_MAPPED);
    check_ones(&d, 0);
    g_assert_cmpuint(epvm_map(d.e, 0, HOST - 0x1000, 0x2000), ==,
                     EPC_STATUS_NOT_MAPPED);
    check_ones(&d, 0x1000);
    g_assert_cmpuint(epvm_map(d.e, 0, HOST + 0x3000, 0x1000), ==,
                     EPC_STATUS_OK);

    fakehost_set_config(d.c, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    check_ones(&d, 0);
    g_assert_cmpuint(epvm_map(d.e, 0x1000, HOST, 0x1000), ==,
                     EPC_STATUS_NOT_MAPPED);
    dma_end(&d);
}

/* A map may span ranges: contiguous in the file, not so, of two files. */
static void test_map_spans(void)
{
    Dma d = dma_start("");
    uint8_t *other;
    int fd = fakehost_memfd(0x2000, &other);

    g_assert_cmpint(dma_map(&d, HOST, 0x1000, 0), ==, 0);
    g_assert_cmpint(dma_map(&d, HOST + 0x1000, 0x2000, 0x1000), ==, 0);
    g_assert_cmpint(dma_map(&d, HOST + 0x3000, 0x1000, 0x8000), ==, 0);
    g_assert_cmpint(fakehost_dma_map(d.c, HOST + 0x4000, 0x2000, fd, 0, RW), ==,
                    0);
    g_assert_cmpuint(epvm_map(d.e, 0x7000, HOST, 0x6000), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_prop(d.e, "live-maps"), ==, 1);
    check_reaches(&d, 0x7000, 0);
    check_reaches(&d, 0x7ffc, 0xffc);
    check_reaches(&d, 0x8000, 0x1000);
    check_reaches(&d, 0x9ffc, 0x2ffc);
    check_reaches(&d, 0xa000, 0x8000);
    other[0x1fff] = 0x42;
    g_assert_cmphex(qtest_readb(d.e->q, EPVM_WINDOW + 0x7000 + 0x5fff), ==,
                    0x42);
    check_ones(&d, 0xd000);
    munmap(other, 0x2000);
    close(fd);
    dma_end(&d);
}

static void test_map_limit(void)
{
    Dma d = dma_start(",max-maps=3");

    g_assert_cmpint(dma_map(&d, HOST, MEM_SIZE, 0), ==, 0);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpuint(epvm_map(d.e, i * 4096, HOST, 4096), ==,
                         EPC_STATUS_OK);
    }
    g_assert_cmpuint(epvm_map(d.e, 0x8000, HOST, 4096), ==,
                     EPC_STATUS_NO_SPACE);
    g_assert_cmpuint(epvm_map(d.e, 0x1000, HOST + 0x1000, 4096), ==,
                     EPC_STATUS_OK);    /* replaces */
    g_assert_cmpuint(epvm_unmap(d.e, 0), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_map(d.e, 0x8000, HOST, 4096), ==, EPC_STATUS_OK);
    dma_end(&d);
}

/* With a virtual IOMMU on the host every page can be elsewhere. */
static void test_map_scattered(void)
{
    const unsigned max = 16384;
    Dma d = dma_start("");

    for (unsigned i = 0; i <= max; i++) {
        g_assert_cmpint(dma_map(&d, HOST + i * 4096ull, 4096,
                                (i * 2 % 16) * 4096), ==, 0);
    }
    g_assert_cmpuint(epvm_map(d.e, 0, HOST, (max + 1) * 4096ull), ==,
                     EPC_STATUS_NO_SPACE);
    check_ones(&d, 0);
    g_assert_cmpuint(epvm_map(d.e, 0, HOST, max * 4096ull), ==, EPC_STATUS_OK);
    check_reaches(&d, 3 * 4096, 6 * 4096);
    check_reaches(&d, (max - 1) * 4096ull, ((max - 1) * 2 % 16) * 4096);
    g_assert_cmpuint(epvm_map(d.e, max * 4096ull, HOST, 4096), ==,
                     EPC_STATUS_NO_SPACE);
    g_assert_cmpuint(epvm_unmap(d.e, 0), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_map(d.e, max * 4096ull, HOST, 4096), ==,
                     EPC_STATUS_OK);
    dma_end(&d);
}

/* ---- The host changes what it allows ---- */

static void test_revoke(void)
{
    Dma d = dma_start("");

    g_assert_cmpint(dma_map(&d, HOST, MEM_SIZE, 0), ==, 0);
    g_assert_cmpuint(epvm_map(d.e, 0, HOST, 0x2000), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_map(d.e, 0x2000, HOST + 0x2000, 0x2000), ==,
                     EPC_STATUS_OK);

    /* all ones as soon as DMA_UNMAP is answered, and only where it says so */
    g_assert_cmpint(fakehost_dma_unmap(d.c, HOST + 0x1000, 0x1000), ==, 0);
    check_ones(&d, 0);
    check_ones(&d, 0x1000);
    check_reaches(&d, 0x2000, 0x2000);
    g_assert_cmpuint(epvm_prop(d.e, "dma-regions"), ==, 2);
    g_assert_cmpuint(epvm_prop(d.e, "live-maps"), ==, 1);

    /* the rest of the range stays where it was */
    g_assert_cmpuint(epvm_map(d.e, 0x10000, HOST + 0x5000, 0x1000), ==,
                     EPC_STATUS_OK);
    check_reaches(&d, 0x10000, 0x5000);
    g_assert_cmpuint(epvm_unmap(d.e, 0x10000), ==, EPC_STATUS_OK);

    /* stray stores are forgotten when the memory is back, here elsewhere */
    qtest_writel(d.e->q, EPVM_WINDOW + 0x1000, 0);
    g_assert_cmpint(dma_map(&d, HOST + 0x1000, 0x1000, 0xf000), ==, 0);
    check_reaches(&d, 0, 0);
    check_reaches(&d, 0x1000, 0xf000);
    g_assert_cmpuint(epvm_prop(d.e, "live-maps"), ==, 2);

    g_assert_cmpint(fakehost_dma_unmap(d.c, 0, 1ull << 63), ==, 0);
    check_ones(&d, 0);
    check_ones(&d, 0x2000);
    g_assert_cmpuint(epvm_prop(d.e, "dma-regions"), ==, 0);
    g_assert_cmpuint(epvm_prop(d.e, "live-maps"), ==, 0);
    g_assert_cmpint(dma_map(&d, HOST, MEM_SIZE, 0), ==, 0);
    check_reaches(&d, 0x3ffc, 0x3ffc);
    dma_end(&d);
}

static void test_bus_master(void)
{
    Dma d = dma_start("");
    unsigned pm = fakehost_find_cap(d.c, PCI_CAP_ID_PM);

    g_assert_cmpint(dma_map(&d, HOST, MEM_SIZE, 0), ==, 0);
    g_assert_cmpuint(epvm_map(d.e, 0, HOST, 0x2000), ==, EPC_STATUS_OK);
    for (unsigned i = 0; i < 3; i++) {
        fakehost_set_config(d.c, PCI_COMMAND, 2, 0);
        check_ones(&d, 0);
        fakehost_set_config(d.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
        check_reaches(&d, 0, 0);
    }
    fakehost_set_config(d.c, pm + PCI_PM_CTRL, 2, 3);
    check_ones(&d, 0);
    fakehost_set_config(d.c, pm + PCI_PM_CTRL, 2, 0);
    fakehost_set_config(d.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    check_reaches(&d, 0, 0);
    g_assert_cmpint(fakehost_reset(d.c, VFU_EP_RESET_HOT), ==, 0);
    check_ones(&d, 0);
    fakehost_set_config(d.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    check_reaches(&d, 0, 0);
    dma_end(&d);
}

static void test_dma_arguments(void)
{
    Dma d = dma_start("");
    VfuDmaUnmap all = { .argsz = sizeof(all), .flags = VFU_DMA_UNMAP_ALL };
    VfuDmaUnmap reply;

    g_assert_cmpint(dma_map(&d, HOST, 0x4000, 0), ==, 0);
    g_assert_cmpint(dma_map(&d, HOST, 0x4000, 0), ==, EEXIST);
    g_assert_cmpint(dma_map(&d, HOST + 0x3000, 0x2000, 0), ==, EEXIST);
    g_assert_cmpint(dma_map(&d, HOST - 0x1000, 0x8000, 0), ==, EEXIST);
    g_assert_cmpint(dma_map(&d, HOST + 0x4000, 0, 0), ==, EINVAL);
    g_assert_cmpint(dma_map(&d, HOST + 0x4000, 0x4000, MEM_SIZE - 0x3000), ==,
                    EINVAL);
    g_assert_cmpint(dma_map(&d, HOST + 0x4000, 0x1000, UINT64_MAX - 0xfff), ==,
                    EINVAL);
    g_assert_cmpint(dma_map(&d, UINT64_MAX - 0xfff, 0x2000, 0), ==, EINVAL);
    g_assert_cmpint(fakehost_dma_unmap(d.c, HOST + 0x100000, 0x1000), ==, 0);
    g_assert_cmpuint(epvm_prop(d.e, "dma-regions"), ==, 1);

    /* not aligned to pages: reachable, but cannot be mapped */
    g_assert_cmpint(dma_map(&d, HOST + 0x8000, 0x800, 0), ==, 0);
    g_assert_cmpint(dma_map(&d, HOST + 0x8800, 0x800, 0x800), ==, 0);
    g_assert_cmpuint(epvm_map(d.e, 0, HOST + 0x8000, 0x1000), ==,
                     EPC_STATUS_OK);
    g_assert_cmpuint(epvm_prop(d.e, "slow-maps"), ==, 1);
    /* the two halves of the page have become one range */
    g_assert_cmpuint(epvm_prop(d.e, "dma-regions"), ==, 2);
    g_assert_cmpint(fakehost_call(d.c, VFU_CMD_DMA_UNMAP, &all, sizeof(all),
                                  &reply, sizeof(reply)),
                    ==, 0);
    g_assert_cmpuint(epvm_prop(d.e, "dma-regions"), ==, 0);
    dma_end(&d);
}

static void test_unsealed(void)
{
    for (unsigned trust = 0; trust < 2; trust++) {
        Dma d = dma_start(trust ? ",trust-unsealed-memory=on" : "");
        int fd = memfd_create("unsealed", MFD_CLOEXEC);

        g_assert_cmpint(ftruncate(fd, 0x1000), ==, 0);
        g_assert_cmpint(fakehost_dma_map(d.c, HOST, 0x1000, fd, 0, RW), ==, 0);
        g_assert_cmpuint(epvm_map(d.e, 0, HOST, 0x1000), ==, EPC_STATUS_OK);
        g_assert_cmpuint(epvm_prop(d.e, "slow-maps"), ==, trust ? 0 : 1);
        close(fd);
        dma_end(&d);
    }
}

/* ---- Ends of all kinds ---- */

/* The host may use its memory for other things as soon as it is asked. */
static void test_stop(void)
{
    Dma d = dma_start("");

    g_assert_cmpint(dma_map(&d, HOST, MEM_SIZE, 0), ==, 0);
    g_assert_cmpuint(epvm_map(d.e, 0, HOST, 0x2000), ==, EPC_STATUS_OK);
    epvm_set_reg(d.e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    g_assert_cmpuint(epvm_reg(d.e, EPC_REG_LINK_STATUS), ==, EPC_STATUS_BUSY);
    check_ones(&d, 0);
    g_assert_cmpuint(epvm_map(d.e, 0x8000, HOST, 0x2000), ==,
                     EPC_STATUS_NO_LINK);
    fakehost_link(d.c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(d.e), ==, EPC_STATUS_OK);

    /* the next link brings it back, once the host allows it */
    g_assert_cmpuint(epvm_link_command(d.e, EPC_LINK_START), ==, EPC_STATUS_OK);
    fakehost_link(d.c, VFU_EP_LINK_UP);
    epvm_wait_link(d.e, true);
    check_ones(&d, 0);
    fakehost_set_config(d.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    check_ones(&d, 0);
    g_assert_cmpint(dma_map(&d, HOST, MEM_SIZE, 0), ==, 0);
    check_reaches(&d, 0, 0);
    check_reaches(&d, 0x1ffc, 0x1ffc);
    check_ones(&d, 0x8000);
    g_assert_cmpuint(epvm_unmap(d.e, 0), ==, EPC_STATUS_OK);
    check_ones(&d, 0);
    dma_end(&d);
}

static void test_host_dies(void)
{
    Dma d = dma_start("");

    g_assert_cmpint(dma_map(&d, HOST, MEM_SIZE, 0), ==, 0);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpuint(epvm_map(d.e, i * 0x2000, HOST + i * 0x2000, 0x2000),
                         ==, EPC_STATUS_OK);
    }
    fakehost_free(d.c);
    epvm_wait_link(d.e, false);
    check_ones(&d, 0);
    check_ones(&d, 0x2000);
    g_assert_cmpuint(epvm_prop(d.e, "dma-regions"), ==, 0);
    g_assert_cmpuint(epvm_map(d.e, 0, HOST, 0x2000), ==, EPC_STATUS_NO_LINK);
    g_assert_cmpuint(epvm_unmap(d.e, 0x4000), ==, EPC_STATUS_OK);

    d.c = fakehost_attach(d.e->socket, NULL);
    fakehost_link(d.c, VFU_EP_LINK_UP);
    epvm_wait_link(d.e, true);
    g_assert_cmpuint(epvm_map(d.e, 0, HOST, 0x2000), ==, EPC_STATUS_NOT_MAPPED);
    g_assert_cmpint(dma_map(&d, HOST, MEM_SIZE, 0), ==, 0);
    check_ones(&d, 0x2000);
    fakehost_set_config(d.c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    /* what failed or was removed meanwhile is gone, the rest is back */
    check_ones(&d, 0);
    check_reaches(&d, 0x2000, 0x2000);
    check_ones(&d, 0x4000);
    g_assert_cmpuint(epvm_prop(d.e, "live-maps"), ==, 1);
    g_assert_cmpuint(epvm_map(d.e, 0, HOST, 0x2000), ==, EPC_STATUS_OK);
    check_reaches(&d, 0, 0);
    dma_end(&d);
}

static void check_after_reset(Dma *d)
{
    g_assert_cmphex(epvm_reg(d->e, EPC_REG_LINK) & 0xffff, ==, 0);
    g_assert_cmphex(epvm_reg(d->e, EPC_REG_EVENT), ==, 0);
    g_assert_cmpuint(epvm_fn_reg(d->e, EPC_FN_STATUS), ==, EPC_STATUS_OK);
    g_assert_cmphex(epvm_fn_reg(d->e, EPC_FN_CONFIG), ==, UINT32_MAX);
    check_ones(d, 0);
    g_assert_cmpuint(epvm_prop(d->e, "live-maps"), ==, 0);
    g_assert_cmpuint(epvm_prop(d->e, "dma-regions"), ==, 0);

    /* the host still has the old memory; so wait before it is used again */
    g_assert_cmpuint(epvm_reg(d->e, EPC_REG_LINK_STATUS), ==, EPC_STATUS_BUSY);
    g_assert_cmpuint(epvm_set_header(d->e, EPVM_ID, 1), ==,
                     EPC_STATUS_BAD_STATE);
    g_assert_false(epvm_vector(d->e, EPC_VECTOR_COMMAND, 50));
    fakehost_link(d->c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(d->e), ==, EPC_STATUS_OK);
    g_assert_true(epvm_vector(d->e, EPC_VECTOR_COMMAND, EPVM_TIMEOUT_MS));

    /* the next link is as good as new */
    epvm_describe(d->e);
    g_assert_cmpuint(epvm_link_command(d->e, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    fakehost_link(d->c, VFU_EP_LINK_UP);
    epvm_wait_link(d->e, true);
    g_assert_cmphex(epvm_reg(d->e, EPC_REG_LINK) >> EPC_LINK_GEN_SHIFT, ==, 2);
    g_assert_cmphex(epvm_fn_reg(d->e, EPC_FN_PCI_COMMAND), ==, 0);
    g_assert_cmpint(dma_map(d, HOST, MEM_SIZE, 0), ==, 0);
    fakehost_set_config(d->c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    check_ones(d, 0);
    g_assert_cmpuint(epvm_map(d->e, 0, HOST, 0x2000), ==, EPC_STATUS_OK);
    check_reaches(d, 0, 0);
}

/* In the middle of everything: a map, an interrupt, a retarget under way */
static void dma_busy(Dma *d)
{
    VfuRegionInfo info;
    int fd;

    g_assert_cmpint(dma_map(d, HOST, MEM_SIZE, 0), ==, 0);
    g_assert_cmpuint(epvm_map(d->e, 0, HOST, 0x2000), ==, EPC_STATUS_OK);
    epvm_raise(d->e, EPC_RAISE_INTX, 1);
    vfu_msg_free(fakehost_command(d->c, VFU_CMD_EP_INTX));
    g_assert_cmpint(fakehost_region_info(d->c, 0, &info, &fd), ==, 0);
    close(fd);
    epvm_bar_args(d->e, 0, 0, EPVM_BAR2, EPVM_BAR0_SIZE);
    g_assert_cmpuint(epvm_begin_command(d->e, EPC_CMD_SET_BAR), ==,
                     EPC_STATUS_BUSY);
}

static void finish_remap(Dma *d)
{
    VfuMsg *m = fakehost_command(d->c, VFU_CMD_EP_REMAP);

    fakehost_answer(d->c, m, ESTALE);
    vfu_msg_free(m);
}

static void test_register_reset(void)
{
    Dma d = dma_start("");

    dma_busy(&d);
    epvm_set_reg(d.e, EPC_REG_RESET, EPC_RESET_MAGIC);
    finish_remap(&d);
    check_after_reset(&d);
    dma_end(&d);
}

static void test_machine_reset(void)
{
    Dma d = dma_start("");

    dma_busy(&d);
    qtest_system_reset(d.e->q);
    epvm_enable(d.e);
    finish_remap(&d);
    check_after_reset(&d);
    dma_end(&d);
}

/* The guest goes away with everything in use. */
static void test_quit(void)
{
    Dma d = dma_start("");

    dma_busy(&d);
    epvm_stop(d.e);
    g_assert_true(fakehost_wait_closed(d.c, FAKEHOST_TIMEOUT_MS));
    fakehost_free(d.c);
    munmap(d.mem, MEM_SIZE);
    close(d.fd);
}

/* ---- Nonsense ---- */

static void send_nonsense(FakeHost *c, GRand *rand)
{
    const int fds[2] = { c->sock, c->sock };
    uint8_t buf[96];
    VfuHeader hdr = {
        .id = g_rand_int(rand),
        .command = g_rand_int_range(rand, 0, 20),
        .size = sizeof(hdr) + g_rand_int_range(rand, 0, sizeof(buf)),
    };

    if (hdr.command == 19) {
        hdr.command = VFU_CMD_EP_LINK + g_rand_int_range(rand, 0, 5);
    }
    for (unsigned i = 0; i < sizeof(buf); i++) {
        /* mostly small numbers, so that some checks are passed */
        buf[i] = i % 4 || g_rand_int_range(rand, 0, 8) == 0 ?
                 (g_rand_int_range(rand, 0, 8) ? 0 : 0xff) :
                 g_rand_int_range(rand, 0, 64);
    }
    vfu_msg_send(c->sock, &hdr, buf, fds, g_rand_int_range(rand, 0, 3));
}

static void test_nonsense(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);
    static const uint8_t garbage[64] = { 0xff, 0x17 };
    GRand *rand = g_rand_new_with_seed(g_test_rand_int());

    for (unsigned i = 0; i < 400; i++) {
        if (i % 100 == 99) {
            vfu_msg_send_bytes(c->sock, garbage, sizeof(garbage), NULL, 0);
        }
        send_nonsense(c, rand);
        if (i % 10 == 9) {
            epvm_raise(e, EPC_RAISE_INTX, i & 1);
            g_assert_cmphex(epvm_reg(e, EPC_REG_MAGIC), ==, EPC_MAGIC);
        }
        if (i % 50 == 49) {
            fakehost_free(c);
            /* Nonsense may have taken the link down before. */
            epvm_wait_link(e, false);
            c = epvm_join(e, 0, NULL);
            fakehost_link(c, VFU_EP_LINK_UP);
            epvm_wait_link(e, true);
        }
    }
    g_rand_free(rand);
    g_assert_cmphex(fakehost_config(c, 0, 4), ==, EPVM_ID);
    epvm_detach(e, c);
}

/* A second host is refused, and the first does not notice. */
static void test_second_host(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);
    FakeHost *other = fakehost_new(e->socket);
    VfuMsg *m = fakehost_version(other, VFU_VERSION_MAJOR, "{}");

    g_assert_cmpuint(m->hdr.error, ==, EBUSY);
    vfu_msg_free(m);
    g_assert_true(fakehost_wait_closed(other, FAKEHOST_TIMEOUT_MS));
    fakehost_free(other);
    g_assert_cmphex(fakehost_config(c, 0, 4), ==, EPVM_ID);
    g_assert_cmphex(epvm_reg(e, EPC_REG_LINK) & EPC_LINK_UP, !=, 0);
    epvm_detach(e, c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/window/idle", test_window_idle);
    qtest_add_func("/pci-epc/window/arguments", test_map_arguments);
    qtest_add_func("/pci-epc/window/map", test_map);
    qtest_add_func("/pci-epc/window/refused", test_map_refused);
    qtest_add_func("/pci-epc/window/spans", test_map_spans);
    qtest_add_func("/pci-epc/window/limit", test_map_limit);
    qtest_add_func("/pci-epc/window/scattered", test_map_scattered);
    qtest_add_func("/pci-epc/window/revoke", test_revoke);
    qtest_add_func("/pci-epc/window/bus-master", test_bus_master);
    qtest_add_func("/pci-epc/window/dma-arguments", test_dma_arguments);
    qtest_add_func("/pci-epc/window/unsealed", test_unsealed);
    qtest_add_func("/pci-epc/end/stop", test_stop);
    qtest_add_func("/pci-epc/end/host", test_host_dies);
    qtest_add_func("/pci-epc/end/register", test_register_reset);
    qtest_add_func("/pci-epc/end/machine", test_machine_reset);
    qtest_add_func("/pci-epc/end/quit", test_quit);
    qtest_add_func("/pci-epc/peer/nonsense", test_nonsense);
    qtest_add_func("/pci-epc/peer/second", test_second_host);
    return g_test_run();
}
