/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a fake host: link, configuration space, BARs, interrupts
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/wait.h"
#include "pci-ep/fake-host.h"

#include <sys/mman.h>

/* ---- Link ---- */

static void check_link_register(EpVm *e, bool up, unsigned generation)
{
    uint32_t v = epvm_reg(e, EPC_REG_LINK);

    g_assert_cmpuint(!!(v & EPC_LINK_UP), ==, up);
    g_assert_cmpuint(v >> EPC_LINK_GEN_SHIFT, ==, generation);
    g_assert_cmpuint(v >> EPC_LINK_SPEED_SHIFT & EPC_LINK_SPEED_MASK, ==,
                     up ? 4 : 0);
    g_assert_cmpuint(v >> EPC_LINK_WIDTH_SHIFT & EPC_LINK_WIDTH_MASK, ==,
                     up ? 4 : 0);
    g_assert_cmpuint(epvm_prop(e, "link-up"), ==, up);
    g_assert_cmpuint(epvm_prop(e, "generation"), ==, generation);
}

static void check_link_event(EpVm *e)
{
    g_assert_true(epvm_vector(e, EPC_VECTOR_EVENT, EPVM_TIMEOUT_MS));
    g_assert_cmphex(epvm_reg(e, EPC_REG_EVENT), ==, EPC_EVENT_LINK);
    epvm_set_reg(e, EPC_REG_EVENT, EPC_EVENT_LINK);
    g_assert_cmphex(epvm_reg(e, EPC_REG_EVENT), ==, 0);
}

static void test_link(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = fakehost_attach(e->socket, NULL);
    uint32_t generation = 0, bad = 0;

    epvm_expect_no_command(e, c, VFU_CMD_EP_LINK);
    epvm_describe(e);
    epvm_set_reg(e, EPC_REG_EVENT_MASK, EPC_EVENT_ALL);
    for (unsigned i = 1; i <= 3; i++) {
        g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
        fakehost_link(c, VFU_EP_LINK_UP);
        g_assert_cmpuint(c->generation, !=, generation);
        g_assert_cmpuint(c->speed, ==, 4);
        g_assert_cmpuint(c->width, ==, 4);
        generation = c->generation;
        check_link_event(e);
        check_link_register(e, true, i);
        g_assert_cmphex(fakehost_config(c, 0, 4), ==, EPVM_ID);

        epvm_set_reg(e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
        g_assert_cmpuint(epvm_reg(e, EPC_REG_LINK_STATUS), ==, EPC_STATUS_BUSY);
        epvm_set_reg(e, EPC_REG_LINK_CMD, EPC_LINK_START);   /* ignored */
        g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, ++bad);
        g_assert_cmpuint(epvm_set_msi(e, 1), ==, EPC_STATUS_BAD_STATE);
        epvm_expect_no_vector(e, EPC_VECTOR_COMMAND);
        fakehost_link(c, VFU_EP_LINK_DOWN);
        g_assert_true(epvm_vector(e, EPC_VECTOR_COMMAND, EPVM_TIMEOUT_MS));
        g_assert_cmpuint(epvm_reg(e, EPC_REG_LINK_STATUS), ==, EPC_STATUS_OK);
        check_link_event(e);
        check_link_register(e, false, i);
    }
    epvm_detach(e, c);
}

/* An event that came while masked raises when it is unmasked. */
static void test_event_mask(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);

    g_assert_cmphex(epvm_reg(e, EPC_REG_EVENT), ==, EPC_EVENT_LINK);
    epvm_expect_no_vector(e, EPC_VECTOR_EVENT);
    epvm_set_reg(e, EPC_REG_EVENT_MASK, EPC_EVENT_PERST);
    epvm_expect_no_vector(e, EPC_VECTOR_EVENT);
    epvm_set_reg(e, EPC_REG_EVENT_MASK, EPC_EVENT_ALL);
    g_assert_true(epvm_vector(e, EPC_VECTOR_EVENT, EPVM_TIMEOUT_MS));
    epvm_set_reg(e, EPC_REG_EVENT_MASK, 0);
    epvm_set_reg(e, EPC_REG_EVENT_MASK, EPC_EVENT_LINK);
    g_assert_true(epvm_vector(e, EPC_VECTOR_EVENT, EPVM_TIMEOUT_MS));
    epvm_detach(e, c);
}

/* A host that does not answer EP_LINK is dropped after one deadline. */
static void test_stop_deadline(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",deadline-ms=200");
    FakeHost *c = epvm_attach(e);
    gint64 start = g_get_monotonic_time();

    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_STOP), ==, EPC_STATUS_OK);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 150000);
    check_link_register(e, false, 1);
    g_assert_true(fakehost_wait_closed(c, FAKEHOST_TIMEOUT_MS));
    epvm_detach(e, c);
}

/* The host dies and another comes; the endpoint does nothing for it. */
static void test_host_restart(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);

    epvm_set_reg(e, EPC_REG_EVENT_MASK, EPC_EVENT_ALL);
    epvm_set_reg(e, EPC_REG_EVENT, EPC_EVENT_ALL);
    g_assert_true(epvm_vector(e, EPC_VECTOR_EVENT, EPVM_TIMEOUT_MS));
    for (unsigned i = 2; i < 5; i++) {
        fakehost_set_config(c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
        fakehost_free(c);
        check_link_event(e);
        check_link_register(e, false, i - 1);
        g_assert_cmphex(epvm_fn_reg(e, EPC_FN_PCI_COMMAND), ==, 0);
        c = fakehost_attach(e->socket, NULL);
        fakehost_link(c, VFU_EP_LINK_UP);
        check_link_event(e);
        check_link_register(e, true, i);
    }
    epvm_detach(e, c);
}

static void test_link_down_access(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);
    VfuRegionInfo info;
    uint32_t v;
    int fd;

    epvm_set_reg(e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    fakehost_link(c, VFU_EP_LINK_DOWN);
    g_assert_cmpuint(epvm_wait_link_command(e), ==, EPC_STATUS_OK);
    g_assert_cmpint(fakehost_read(c, VFU_REGION_CONFIG, 0, &v, 4), ==, ENOTCONN);
    g_assert_cmpint(fakehost_write(c, 0, 0, &v, 4), ==, ENOTCONN);
    g_assert_cmpint(fakehost_region_info(c, 0, &info, &fd), ==, ENOTCONN);
    g_assert_cmpint(fakehost_dma_map(c, 0, 4096, -1, 0, VFU_DMA_READ), ==,
                    ENOTCONN);
    epvm_detach(e, c);
}

/* ---- Configuration space ---- */

static void clear_events(EpVm *e)
{
    epvm_set_reg(e, EPC_REG_EVENT, UINT32_MAX);
    epvm_set_fn_reg(e, EPC_FN_EVENT, UINT32_MAX);
    epvm_vector(e, EPC_VECTOR_EVENT, 0);
}

static void expect_fn_event(EpVm *e, uint32_t event)
{
    g_assert_true(epvm_vector(e, EPC_VECTOR_EVENT, EPVM_TIMEOUT_MS));
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_EVENT), ==, event);
    g_assert_cmphex(epvm_reg(e, EPC_REG_FN_PENDING), ==, 1);
    epvm_set_fn_reg(e, EPC_FN_EVENT, event);
    g_assert_cmphex(epvm_reg(e, EPC_REG_FN_PENDING), ==, 0);
}

static void test_config(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);
    unsigned msi = fakehost_find_cap(c, PCI_CAP_ID_MSI);
    unsigned msix = fakehost_find_cap(c, PCI_CAP_ID_MSIX);
    unsigned pm = fakehost_find_cap(c, PCI_CAP_ID_PM);
    unsigned exp = fakehost_find_cap(c, PCI_CAP_ID_EXP);

    g_assert_cmphex(fakehost_config(c, 0, 4), ==, EPVM_ID);
    g_assert_cmpuint(fakehost_config(c, PCI_INTERRUPT_PIN, 1), ==, 1);
    fakehost_set_config(c, PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
    g_assert_cmphex(fakehost_config(c, PCI_BASE_ADDRESS_0, 4), ==, 0xffff0000);
    fakehost_set_config(c, PCI_BASE_ADDRESS_1, 4, UINT32_MAX);
    g_assert_cmphex(fakehost_config(c, PCI_BASE_ADDRESS_1, 4), ==, 0xfffff000);
    fakehost_set_config(c, PCI_BASE_ADDRESS_2, 4, UINT32_MAX);
    g_assert_cmphex(fakehost_config(c, PCI_BASE_ADDRESS_2, 4), ==, 0xfff0000c);

    clear_events(e);
    epvm_set_fn_reg(e, EPC_FN_EVENT_MASK, EPC_FN_EVENT_ALL);
    fakehost_set_config(c, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    expect_fn_event(e, EPC_FN_EVENT_COMMAND);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_PCI_COMMAND), ==,
                    PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);

    fakehost_set_config(c, msi + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | 1 << 4);
    expect_fn_event(e, EPC_FN_EVENT_MSI);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_MSI), ==, EPC_FN_IRQ_ENABLED | 2);
    fakehost_set_config(c, msi + PCI_MSI_FLAGS, 2, 0);
    expect_fn_event(e, EPC_FN_EVENT_MSI);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_MSI), ==, 0);

    fakehost_set_config(c, msix + PCI_MSIX_FLAGS, 2,
                        PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    expect_fn_event(e, EPC_FN_EVENT_MSI);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_MSIX), ==,
                    EPC_FN_IRQ_ENABLED | EPC_FN_IRQ_MASKED | 8);

    fakehost_set_config(c, pm + PCI_PM_CTRL, 2, 3);
    expect_fn_event(e, EPC_FN_EVENT_DSTATE);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_DSTATE), ==, 3);
    fakehost_set_config(c, pm + PCI_PM_CTRL, 2, 0);
    epvm_vector(e, EPC_VECTOR_EVENT, EPVM_TIMEOUT_MS);
    epvm_set_fn_reg(e, EPC_FN_EVENT, UINT32_MAX);

    fakehost_set_config(c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    expect_fn_event(e, EPC_FN_EVENT_COMMAND);
    fakehost_set_config(c, exp + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
    g_assert_true(epvm_vector(e, EPC_VECTOR_EVENT, EPVM_TIMEOUT_MS));
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_EVENT) & EPC_FN_EVENT_FLR, !=, 0);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_PCI_COMMAND), ==, 0);
    g_assert_cmphex(epvm_fn_reg(e, EPC_FN_MSIX), ==, 8);
    epvm_detach(e, c);
}

static void test_host_resets(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);
    static const struct {
        uint32_t kind, event, fn_event;
    } t[] = {
        { VFU_EP_RESET_HOT, EPC_EVENT_HOT_RESET, 0 },
        { VFU_EP_RESET_PERST, EPC_EVENT_PERST, 0 },
        { VFU_EP_RESET_FLR, 0, EPC_FN_EVENT_FLR },
    };

    clear_events(e);
    epvm_set_reg(e, EPC_REG_EVENT_MASK, EPC_EVENT_ALL);
    epvm_set_fn_reg(e, EPC_FN_EVENT_MASK, EPC_FN_EVENT_FLR);
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        fakehost_set_config(c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
        epvm_set_fn_reg(e, EPC_FN_EVENT, UINT32_MAX);
        g_assert_cmpint(fakehost_reset(c, t[i].kind), ==, 0);
        g_assert_true(epvm_vector(e, EPC_VECTOR_EVENT, EPVM_TIMEOUT_MS));
        g_assert_cmphex(epvm_reg(e, EPC_REG_EVENT), ==, t[i].event);
        g_assert_cmphex(epvm_fn_reg(e, EPC_FN_EVENT) & EPC_FN_EVENT_FLR, ==,
                        t[i].fn_event);
        g_assert_cmphex(epvm_fn_reg(e, EPC_FN_PCI_COMMAND), ==, 0);
        clear_events(e);
    }
    g_assert_cmphex(fakehost_config(c, 0, 4), ==, EPVM_ID);
    epvm_detach(e, c);
}

/* ---- BARs ---- */

static uint8_t *map_bar(FakeHost *c, unsigned bar, uint64_t size)
{
    VfuRegionInfo info;
    uint8_t *p;
    int fd;

    g_assert_cmpint(fakehost_region_info(c, bar, &info, &fd), ==, 0);
    g_assert_cmphex(info.flags, ==, VFU_REGION_FLAG_READ |
                    VFU_REGION_FLAG_WRITE | VFU_REGION_FLAG_MMAP);
    g_assert_cmphex(info.size, ==, size);
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, info.offset);
    g_assert_true(p != MAP_FAILED);
    close(fd);
    return p;
}

static void check_message_access(EpVm *e, FakeHost *c, unsigned bar,
                                 uint64_t ram, uint32_t size)
{
    g_autofree uint8_t *buf = g_malloc(size), *back = g_malloc(size);

    for (uint32_t i = 0; i < size; i++) {
        buf[i] = i * 7 + (i >> 8);
    }
    g_assert_cmpint(fakehost_write(c, bar, 0, buf, size), ==, 0);
    qtest_memread(e->q, ram, back, size);
    g_assert_cmpmem(buf, size, back, size);
    for (uint32_t n = 1; n <= 16; n++) {
        uint32_t at = size - n;

        qtest_writeb(e->q, ram + at, n);
        g_assert_cmpint(fakehost_read(c, bar, at, back, n), ==, 0);
        g_assert_cmpuint(back[0], ==, n);
        memset(back, 0xe0 + n, n);
        g_assert_cmpint(fakehost_write(c, bar, at, back, n), ==, 0);
        g_assert_cmpuint(qtest_readb(e->q, ram + size - 1), ==, 0xe0 + n);
        g_assert_cmpuint(qtest_readb(e->q, ram + at), ==, 0xe0 + n);
    }
}

/* An access that ends outside of the BAR reads all ones and writes nothing. */
static void check_access_outside(EpVm *e, FakeHost *c, unsigned bar,
                                 uint64_t ram, uint32_t size)
{
    const struct {
        uint64_t offset;
        uint32_t count;
    } outside[] = {
        { size, 1 }, { size - 1, 2 }, { size - 4, 8 }, { size + 4096, 8 },
        { UINT64_MAX - 8, 8 },
    };

    qtest_memset(e->q, ram + size - 8, 0x5a, 16);
    for (unsigned i = 0; i < ARRAY_SIZE(outside); i++) {
        uint64_t v = 0, ones = MAKE_64BIT_MASK(0, 8 * outside[i].count);

        g_assert_cmpint(fakehost_read(c, bar, outside[i].offset, &v,
                                      outside[i].count), ==, 0);
        g_assert_cmphex(v, ==, ones);
        g_assert_cmpint(fakehost_write(c, bar, outside[i].offset, "12345678",
                                       outside[i].count), ==, 0);
    }
    g_assert_cmphex(qtest_readq(e->q, ram + size - 8), ==, 0x5a5a5a5a5a5a5a5a);
    g_assert_cmphex(qtest_readq(e->q, ram + size), ==, 0x5a5a5a5a5a5a5a5a);
}

static void test_bar_shared(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);
    uint8_t *p = map_bar(c, 0, EPVM_BAR0_SIZE);
    VfuRegionInfo info;
    uint64_t v;
    int fd;

    qtest_writel(e->q, EPVM_BAR0 + 0x123c, 0xcafe1234);
    g_assert_cmphex(*(uint32_t *)(p + 0x123c), ==, 0xcafe1234);
    p[EPVM_BAR0_SIZE - 1] = 0x5a;
    g_assert_cmphex(qtest_readb(e->q, EPVM_BAR0 + EPVM_BAR0_SIZE - 1), ==, 0x5a);
    munmap(p, EPVM_BAR0_SIZE);

    p = map_bar(c, 1, 4096);    /* 128 bytes were asked for */
    p[4095] = 1;
    g_assert_cmphex(qtest_readb(e->q, EPVM_BAR1 + 4095), ==, 1);
    munmap(p, 4096);
    p = map_bar(c, 2, EPVM_BAR2_SIZE);
    munmap(p, EPVM_BAR2_SIZE);
    check_message_access(e, c, 2, EPVM_BAR2, 0x10000);

    /* upper half, no target, not there */
    g_assert_cmpint(fakehost_region_info(c, 3, &info, &fd), ==, 0);
    g_assert_cmphex(info.size, ==, 0);
    g_assert_cmpint(fakehost_region_info(c, 4, &info, &fd), ==, 0);
    g_assert_cmphex(info.size, ==, 0x10000);
    g_assert_cmphex(info.flags & VFU_REGION_FLAG_MMAP, ==, 0);
    g_assert_cmpint(fakehost_read(c, 4, 0, &v, 8), ==, 0);
    g_assert_cmphex(v, ==, UINT64_MAX);
    g_assert_cmpint(fakehost_write(c, 4, 0, &v, 8), ==, 0);
    g_assert_cmpint(fakehost_region_info(c, 5, &info, &fd), ==, 0);
    g_assert_cmphex(info.size, ==, 0);
    epvm_detach(e, c);
}

static void test_bar_unshared(void)
{
    EpVm *e = epvm_start(EPVM_UNSHARED, "");
    FakeHost *c = epvm_attach(e);
    VfuRegionInfo info;
    int fd;

    for (unsigned bar = 0; bar < 3; bar++) {
        g_assert_cmpint(fakehost_region_info(c, bar, &info, &fd), ==, 0);
        g_assert_cmphex(info.flags, ==,
                        VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE);
    }
    check_message_access(e, c, 0, EPVM_BAR0, EPVM_BAR0_SIZE);
    check_message_access(e, c, 1, EPVM_BAR1, 4096);
    check_message_access(e, c, 2, EPVM_BAR2, EPVM_BAR2_SIZE);
    check_access_outside(e, c, 0, EPVM_BAR0, EPVM_BAR0_SIZE);
    epvm_detach(e, c);
}

/*
 * The host passes a descriptor whose close() waits, and gives up its own copy
 * before the endpoint has the whole message. Nothing of the endpoint waits.
 */
static void test_lingering(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);
    VfuDmaMap map = {
        .argsz = sizeof(map), .flags = VFU_DMA_READ, .address = 0x10000,
        .size = 0x1000,
    };
    VfuHeader hdr = vfu_msg_command(77, VFU_CMD_DMA_MAP, VFU_FLAG_NO_REPLY,
                                    sizeof(map));
    int64_t start = g_get_monotonic_time();
    int reader, fd = vfu_msg_lingering(&reader);

    g_assert_true(vfu_msg_send_bytes(c->sock, &hdr, sizeof(hdr), &fd, 1));
    close(fd);
    g_assert_true(vfu_msg_send_bytes(c->sock, &map, sizeof(map), NULL, 0));
    fakehost_fence(c);
    g_assert_cmpuint(epvm_prop(e, "dma-regions"), ==, 1);
    epvm_set_reg(e, EPC_REG_LINK_CMD, EPC_LINK_STOP);
    fakehost_link(c, VFU_EP_LINK_DOWN);
    epvm_detach(e, c);
    g_assert_cmpint(g_get_monotonic_time() - start, <,
                    wait_scaled(15 * G_USEC_PER_SEC));
    close(reader);
}

/* Two DIMMs side by side: RAM all the way, but not one that can be mapped. */
static void test_bar_pieces(void)
{
    static const char two_dimms[] = " -m slots=2,maxmem=1G"
        " -object " EPVM_SHARED ",id=d0,size=64M -device pc-dimm,memdev=d0"
        " -object " EPVM_SHARED ",id=d1,size=64M -device pc-dimm,memdev=d1";
    EpVm *e = epvm_start(EPVM_SHARED, two_dimms);
    const uint64_t dimms = 0x100000000ull, size = 128 << 20, mid = size / 2;
    g_autofree uint8_t *buf = g_malloc(8192), *back = g_malloc(8192);
    VfuRegionInfo info;
    FakeHost *c;
    int fd;

    g_assert_cmpuint(epvm_set_header(e, EPVM_ID, 0), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, dimms, 2 * size), ==,
                     EPC_STATUS_BAD_TARGET);
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, dimms, size), ==, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    c = fakehost_attach(e->socket, NULL);
    fakehost_link(c, VFU_EP_LINK_UP);
    g_assert_cmpint(fakehost_region_info(c, 0, &info, &fd), ==, 0);
    g_assert_cmphex(info.size, ==, size);
    g_assert_cmphex(info.flags & VFU_REGION_FLAG_MMAP, ==, 0);

    memset(buf, 0x3c, 8192);
    g_assert_cmpint(fakehost_write(c, 0, mid - 5000, buf, 8192), ==, 0);
    qtest_memread(e->q, dimms + mid - 5000, back, 8192);
    g_assert_cmpmem(buf, 8192, back, 8192);
    g_assert_cmphex(qtest_readb(e->q, dimms + mid - 5001), ==, 0);
    g_assert_cmphex(qtest_readb(e->q, dimms + mid + 3192), ==, 0);
    qtest_writel(e->q, dimms + mid - 2, 0x44332211);
    g_assert_cmpint(fakehost_read(c, 0, mid - 2, back, 4), ==, 0);
    g_assert_cmphex(*(uint32_t *)back, ==, 0x44332211);
    epvm_detach(e, c);
}

static void answer_remap(FakeHost *c, unsigned bar)
{
    VfuMsg *m = fakehost_command(c, VFU_CMD_EP_REMAP);
    VfuEpRemap remap;

    g_assert_cmpuint(m->len, ==, sizeof(remap));
    memcpy(&remap, m->payload, sizeof(remap));
    g_assert_cmpuint(remap.region, ==, bar);
    g_assert_cmpuint(remap.generation, ==, c->generation);
    fakehost_answer(c, m, 0);
    vfu_msg_free(m);
}

static void test_retarget(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);
    const uint64_t other = 0x2000000;
    VfuRegionInfo info;
    uint32_t v;
    uint8_t *p;
    int fd;

    /* no host asked for the memory of this BAR, so the command does not wait */
    epvm_bar_args(e, 1, 0, other, 4096);
    g_assert_cmpuint(epvm_begin_command(e, EPC_CMD_SET_BAR), ==, EPC_STATUS_OK);
    epvm_expect_no_command(e, c, VFU_CMD_EP_REMAP);
    epvm_vector(e, EPC_VECTOR_COMMAND, 0);

    munmap(map_bar(c, 0, EPVM_BAR0_SIZE), EPVM_BAR0_SIZE);
    epvm_bar_args(e, 0, 0, other, EPVM_BAR0_SIZE);
    g_assert_cmpuint(epvm_begin_command(e, EPC_CMD_SET_BAR), ==, EPC_STATUS_BUSY);
    epvm_set_fn_reg(e, EPC_FN_CMD, EPC_CMD_CLEAR_BAR);   /* ignored */
    g_assert_cmpuint(epvm_reg(e, EPC_REG_BAD_ACCESS), ==, 1);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_CMD), ==, EPC_CMD_SET_BAR);
    epvm_expect_no_vector(e, EPC_VECTOR_COMMAND);
    answer_remap(c, 0);
    g_assert_true(epvm_vector(e, EPC_VECTOR_COMMAND, EPVM_TIMEOUT_MS));
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_STATUS), ==, EPC_STATUS_OK);
    p = map_bar(c, 0, EPVM_BAR0_SIZE);
    p[0] = 0x77;
    g_assert_cmphex(qtest_readb(e->q, other), ==, 0x77);
    g_assert_cmphex(qtest_readb(e->q, EPVM_BAR0), ==, 0);

    /* refused: nothing happens */
    g_assert_cmpuint(epvm_set_bar(e, 0, 0, EPVM_REGS, EPVM_BAR0_SIZE), ==,
                     EPC_STATUS_BAD_TARGET);
    epvm_expect_no_command(e, c, VFU_CMD_EP_REMAP);

    /* a target smaller than the BAR: by message, all ones behind it */
    epvm_bar_args(e, 0, 0, EPVM_BAR0, 4096);
    g_assert_cmpuint(epvm_begin_command(e, EPC_CMD_SET_BAR), ==, EPC_STATUS_BUSY);
    answer_remap(c, 0);
    g_assert_cmpuint(epvm_wait_command(e), ==, EPC_STATUS_OK);
    g_assert_cmpint(fakehost_region_info(c, 0, &info, &fd), ==, 0);
    g_assert_cmphex(info.size, ==, EPVM_BAR0_SIZE);
    g_assert_cmphex(info.flags & VFU_REGION_FLAG_MMAP, ==, 0);
    qtest_writel(e->q, EPVM_BAR0 + 4092, 0x01020304);
    g_assert_cmpint(fakehost_read(c, 0, 4094, &v, 4), ==, 0);
    g_assert_cmphex(v, ==, 0xffff0102);

    epvm_set_fn_reg(e, EPC_FN_BAR, 0);
    g_assert_cmpuint(epvm_begin_command(e, EPC_CMD_CLEAR_BAR), ==, EPC_STATUS_BUSY);
    answer_remap(c, 0);
    g_assert_cmpuint(epvm_wait_command(e), ==, EPC_STATUS_OK);
    g_assert_cmpint(fakehost_read(c, 0, 0, &v, 4), ==, 0);
    g_assert_cmphex(v, ==, UINT32_MAX);
    g_assert_cmpint(fakehost_region_info(c, 0, &info, &fd), ==, 0);
    g_assert_cmphex(info.size, ==, EPVM_BAR0_SIZE);
    munmap(p, EPVM_BAR0_SIZE);
    epvm_detach(e, c);
}

static void test_retarget_deadline(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",deadline-ms=200");
    FakeHost *c = epvm_attach(e);

    munmap(map_bar(c, 0, EPVM_BAR0_SIZE), EPVM_BAR0_SIZE);
    epvm_bar_args(e, 0, 0, EPVM_BAR2, EPVM_BAR0_SIZE);
    g_assert_cmpuint(epvm_begin_command(e, EPC_CMD_SET_BAR), ==, EPC_STATUS_BUSY);
    g_assert_true(epvm_vector(e, EPC_VECTOR_COMMAND, EPVM_TIMEOUT_MS));
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_STATUS), ==, EPC_STATUS_TIMEOUT);
    epvm_wait_link(e, false);
    g_assert_true(fakehost_wait_closed(c, FAKEHOST_TIMEOUT_MS));
    epvm_detach(e, c);
}

static void test_retarget_host_dies(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);

    munmap(map_bar(c, 0, EPVM_BAR0_SIZE), EPVM_BAR0_SIZE);
    epvm_bar_args(e, 0, 0, EPVM_BAR2, EPVM_BAR0_SIZE);
    g_assert_cmpuint(epvm_begin_command(e, EPC_CMD_SET_BAR), ==, EPC_STATUS_BUSY);
    fakehost_free(c);
    g_assert_cmpuint(epvm_wait_command(e), ==, EPC_STATUS_TIMEOUT);

    /* the new target was taken all the same */
    c = fakehost_attach(e->socket, NULL);
    fakehost_link(c, VFU_EP_LINK_UP);
    qtest_writeb(e->q, EPVM_BAR2, 0x99);
    g_assert_cmphex(map_bar(c, 0, EPVM_BAR0_SIZE)[0], ==, 0x99);
    epvm_detach(e, c);
}

/* A reset by the host ends D3hot, which is an event, and keeps sticky bits. */
static void test_reset_state(void)
{
    static const struct {
        uint32_t kind, event;
        unsigned speed;
    } kinds[] = {
        { VFU_EP_RESET_FLR, EPC_FN_EVENT_FLR, 1 },
        { VFU_EP_RESET_HOT, 0, 1 },
        { VFU_EP_RESET_PERST, 0, 4 },
    };
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);
    unsigned pm = fakehost_find_cap(c, PCI_CAP_ID_PM) + PCI_PM_CTRL;
    unsigned link = fakehost_find_cap(c, PCI_CAP_ID_EXP) + PCI_EXP_LNKCTL2;

    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        fakehost_set_config(c, link, 2, 1);
        fakehost_set_config(c, pm, 2, 3);
        g_assert_cmphex(epvm_fn_reg(e, EPC_FN_DSTATE), ==, 3);
        clear_events(e);
        g_assert_cmpint(fakehost_reset(c, kinds[i].kind), ==, 0);
        g_assert_cmphex(epvm_fn_reg(e, EPC_FN_DSTATE), ==, 0);
        g_assert_cmphex(epvm_fn_reg(e, EPC_FN_EVENT), ==,
                        EPC_FN_EVENT_DSTATE | kinds[i].event);
        g_assert_cmphex(fakehost_config(c, link, 2), ==, kinds[i].speed);
    }
    epvm_detach(e, c);
}

/* Somebody has removed the file of the socket. */
static void test_socket_removed(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = epvm_attach(e);

    g_assert_cmpint(unlink(e->socket), ==, 0);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_STOP), ==, EPC_STATUS_OK);
    fakehost_free(c);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    wait_until(!access(e->socket, F_OK), "the socket to be made again");
    c = fakehost_attach(e->socket, NULL);
    fakehost_link(c, VFU_EP_LINK_UP);
    epvm_detach(e, c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/host/link", test_link);
    qtest_add_func("/pci-epc/host/event-mask", test_event_mask);
    qtest_add_func("/pci-epc/host/stop-deadline", test_stop_deadline);
    qtest_add_func("/pci-epc/host/restart", test_host_restart);
    qtest_add_func("/pci-epc/host/socket-removed", test_socket_removed);
    qtest_add_func("/pci-epc/host/link-down", test_link_down_access);
    qtest_add_func("/pci-epc/host/config", test_config);
    qtest_add_func("/pci-epc/host/resets", test_host_resets);
    qtest_add_func("/pci-epc/host/reset-state", test_reset_state);
    qtest_add_func("/pci-epc/host/bar/shared", test_bar_shared);
    qtest_add_func("/pci-epc/host/bar/unshared", test_bar_unshared);
    qtest_add_func("/pci-epc/host/lingering", test_lingering);
    qtest_add_func("/pci-epc/host/bar/pieces", test_bar_pieces);
    qtest_add_func("/pci-epc/host/bar/retarget", test_retarget);
    qtest_add_func("/pci-epc/host/bar/deadline", test_retarget_deadline);
    qtest_add_func("/pci-epc/host/bar/host-dies", test_retarget_host_dies);
    return g_test_run();
}
