/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-epc against a plain vfio-user client, which does not know link states
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/machine-endpoint.h"
#include "pci-ep/fake-host.h"
#include "pci-ep/trap.h"

#include <sys/eventfd.h>
#include <sys/mman.h>

#define PLAIN       "{\"capabilities\":{\"max_msg_fds\":16}}"
#define MULTI       "{\"capabilities\":{\"max_msg_fds\":16," \
                    "\"write_multiple\":true}}"
#define PLAIN_RAM   0x40000000ull   /* memory of the plain host */
#define PLAIN_SIZE  0x10000u

static int new_eventfd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void test_attach(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, "");
    FakeHost *c = fakehost_new(e->socket);
    VfuMsg *m = fakehost_version(c, VFU_VERSION_MAJOR, PLAIN);
    int fd, efd = new_eventfd();
    VfuRegionInfo info;
    uint32_t v = 0x11223344;

    g_assert_cmpuint(m->hdr.error, ==, ENODEV);
    vfu_msg_free(m);
    g_assert_true(fakehost_wait_closed(c, FAKEHOST_TIMEOUT_MS));
    fakehost_free(c);

    epvm_describe(e);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    c = fakehost_attach(e->socket, PLAIN);
    epvm_wait_link(e, true);
    g_assert_cmphex(fakehost_config(c, 0, 4), ==, EPVM_ID);
    g_assert_cmpint(fakehost_region_info(c, 0, &info, &fd), ==, 0);
    g_assert_cmphex(info.flags, ==,
                    VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE);
    g_assert_cmpint(fakehost_write(c, 0, 8, &v, 4), ==, 0);
    g_assert_cmphex(qtest_readl(e->q, EPVM_BAR0 + 8), ==, v);

    /* INTx: signalled once, then again when unmasked while still asserted */
    g_assert_cmpint(fakehost_set_irq(c, VFU_IRQ_INTX, 0, efd), ==, 0);
    epvm_raise(e, EPC_RAISE_INTX, 1);
    epvm_raise(e, EPC_RAISE_INTX, 1);
    g_assert_cmpuint(fakehost_wait_eventfd(efd, FAKEHOST_TIMEOUT_MS), ==, 1);
    for (unsigned level = 1; level <= 1; level--) {
        VfuSetIrqs unmask = {
            .argsz = sizeof(unmask),
            .flags = VFU_IRQ_DATA_NONE | VFU_IRQ_ACTION_UNMASK,
            .index = VFU_IRQ_INTX,
            .count = 1,
        };

        epvm_raise(e, EPC_RAISE_INTX, level);
        g_assert_cmpint(fakehost_call_fds(c, VFU_CMD_SET_IRQS, &unmask,
                                          sizeof(unmask), NULL, 0), ==, 0);
        /* the eventfd is signalled before the request is answered */
        g_assert_cmpuint(fakehost_wait_eventfd(efd, 0), ==, level);
    }

    /* never disconnected: it reads all ones and loses writes */
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_STOP), ==, EPC_STATUS_OK);
    g_assert_cmpint(fakehost_read(c, 0, 8, &v, 4), ==, 0);
    g_assert_cmphex(v, ==, UINT32_MAX);
    v = 0;
    g_assert_cmpint(fakehost_write(c, 0, 8, &v, 4), ==, 0);
    g_assert_cmphex(qtest_readl(e->q, EPVM_BAR0 + 8), ==, 0x11223344);
    close(efd);
    epvm_detach(e, c);
}

/* A plain host, with its memory and the eventfds of INTx and MSI-X vector 7 */
typedef struct Plain {
    EpVm *e;
    FakeHost *c;
    int memory, intx, msix;
} Plain;

static void msix_control(Plain *p, uint16_t flags)
{
    unsigned cap = fakehost_find_cap(p->c, PCI_CAP_ID_MSIX);

    fakehost_set_config(p->c, cap + PCI_MSIX_FLAGS, 2, flags);
}

static void check_signal(int fd, bool wanted)
{
    g_assert_cmpuint(fakehost_wait_eventfd(fd, wanted ? FAKEHOST_TIMEOUT_MS : 0),
                     ==, wanted);
}

/* Does the window reach @addr of the host, and interrupts their eventfds? */
static void check_reach(Plain *p, uint64_t addr, uint32_t status)
{
    bool up = status != EPC_STATUS_NO_LINK;

    g_assert_cmpuint(epvm_map(p->e, 0, addr, 4096), ==, status);
    if (up) {
        g_assert_cmpuint(epvm_unmap(p->e, 0), ==, EPC_STATUS_OK);
    }
    epvm_raise(p->e, EPC_RAISE_MSIX(7), 1);
    check_signal(p->msix, up);
    if (up) {
        msix_control(p, 0);     /* INTx is for functions without MSI-X */
    }
    epvm_raise(p->e, EPC_RAISE_INTX, 1);
    check_signal(p->intx, up);
    epvm_raise(p->e, EPC_RAISE_INTX, 0);
}

static void allow(Plain *p)
{
    fakehost_set_config(p->c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    msix_control(p, PCI_MSIX_FLAGS_ENABLE);
}

/*
 * A plain host keeps its memory and its eventfds while the link is down, and
 * may change them. Nothing of it is used meanwhile.
 */
static void restart(Plain *p, bool reset)
{
    uint64_t old = PLAIN_RAM + reset * PLAIN_SIZE, new = old + PLAIN_SIZE;

    if (reset) {
        epvm_set_reg(p->e, EPC_REG_RESET, EPC_RESET_MAGIC);
    } else {
        g_assert_cmpuint(epvm_link_command(p->e, EPC_LINK_STOP), ==,
                         EPC_STATUS_OK);
    }
    check_reach(p, old, EPC_STATUS_NO_LINK);
    g_assert_cmpint(fakehost_dma_unmap(p->c, old, PLAIN_SIZE), ==, 0);
    g_assert_cmpint(fakehost_dma_map(p->c, new, PLAIN_SIZE, p->memory, 0,
                                     VFU_DMA_READ | VFU_DMA_WRITE |
                                     VFU_DMA_MMAP), ==, 0);
    close(p->intx);
    p->intx = new_eventfd();
    g_assert_cmpint(fakehost_set_irq(p->c, VFU_IRQ_INTX, 0, p->intx), ==, 0);
    check_reach(p, new, EPC_STATUS_NO_LINK);

    epvm_describe(p->e);
    g_assert_cmpuint(epvm_link_command(p->e, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    epvm_wait_link(p->e, true);
    g_assert_cmphex(fakehost_config(p->c, 0, 4), ==, EPVM_ID);
    g_assert_cmphex(fakehost_config(p->c, PCI_COMMAND, 2), ==, 0);
    allow(p);
    check_reach(p, new, EPC_STATUS_OK);
    g_assert_cmpuint(epvm_map(p->e, 0x100000, old, 4096), ==,
                     EPC_STATUS_NOT_MAPPED);
}

/* One that leaves while the link is down leaves nothing behind. */
static void leave(Plain *p)
{
    g_assert_cmpuint(epvm_link_command(p->e, EPC_LINK_STOP), ==,
                     EPC_STATUS_OK);
    fakehost_free(p->c);
    g_assert_cmpuint(epvm_link_command(p->e, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    p->c = fakehost_attach(p->e->socket, PLAIN);
    epvm_wait_link(p->e, true);
    allow(p);
    g_assert_cmpuint(epvm_map(p->e, 0, PLAIN_RAM + 2 * PLAIN_SIZE, 4096), ==,
                     EPC_STATUS_NOT_MAPPED);
    epvm_raise(p->e, EPC_RAISE_MSIX(7), 1);
    check_signal(p->msix, false);
}

/* @props: interrupts arrive in the device, or are ioeventfds as with KVM. */
static void test_restart(const void *props)
{
    Plain p = {
        .e = epvm_start(EPVM_SHARED, props),
        .intx = new_eventfd(), .msix = new_eventfd(),
    };
    uint8_t *mem;

    p.memory = fakehost_memfd(PLAIN_SIZE, &mem);
    epvm_describe(p.e);
    g_assert_cmpuint(epvm_link_command(p.e, EPC_LINK_START), ==,
                     EPC_STATUS_OK);
    p.c = fakehost_attach(p.e->socket, PLAIN);
    epvm_wait_link(p.e, true);
    g_assert_cmpint(fakehost_dma_map(p.c, PLAIN_RAM, PLAIN_SIZE, p.memory, 0,
                                     VFU_DMA_READ | VFU_DMA_WRITE), ==, 0);
    g_assert_cmpint(fakehost_set_irq(p.c, VFU_IRQ_INTX, 0, p.intx), ==, 0);
    g_assert_cmpint(fakehost_set_irq(p.c, VFU_IRQ_MSIX, 7, p.msix), ==, 0);
    allow(&p);
    check_reach(&p, PLAIN_RAM, EPC_STATUS_OK);
    allow(&p);
    restart(&p, false);
    allow(&p);
    restart(&p, true);
    leave(&p);
    munmap(mem, PLAIN_SIZE);
    close(p.memory);
    close(p.intx);
    close(p.msix);
    epvm_detach(p.e, p.c);
}

/* Several writes in one message; @n counts those that were added. */
typedef struct Writes {
    VfuRegionWrites head;
    VfuRegionWrite write[VFU_MAX_WRITES];
} Writes;

static void add_write(Writes *w, uint32_t region, uint64_t offset,
                      uint32_t count, uint64_t value)
{
    VfuRegionWrite *one = &w->write[w->head.count++];

    *one = (VfuRegionWrite) {
        .offset = offset, .region = region, .count = count,
    };
    value = cpu_to_le64(value);
    memcpy(one->data, &value, sizeof(value));
}

static size_t writes_len(const Writes *w)
{
    return sizeof(w->head) + w->head.count * sizeof(w->write[0]);
}

static int call_writes(FakeHost *c, const Writes *w)
{
    VfuRegionWrites done;
    int err = fakehost_call(c, VFU_CMD_REGION_WRITE_MULTI, w, writes_len(w),
                            &done, sizeof(done));

    if (!err) {
        g_assert_cmpuint(done.count, ==, w->head.count);
    }
    return err;
}

/* The last write to each place counts, and a bad one undoes all. */
static void check_memory_writes(EpVm *e, FakeHost *c)
{
    g_autofree Writes *w = g_new0(Writes, 1);

    for (unsigned i = 0; i < VFU_MAX_WRITES - 1; i++) {
        add_write(w, 0, i % 16 * 4, 4, i);
    }
    add_write(w, VFU_REGION_CONFIG, PCI_INTERRUPT_LINE, 1, 0x5a);
    g_assert_cmpint(call_writes(c, w), ==, 0);
    for (unsigned i = VFU_MAX_WRITES - 17; i < VFU_MAX_WRITES - 1; i++) {
        g_assert_cmphex(qtest_readl(e->q, EPVM_BAR0 + i % 16 * 4), ==, i);
    }
    g_assert_cmphex(fakehost_config(c, PCI_INTERRUPT_LINE, 1), ==, 0x5a);

    w->write[0] = (VfuRegionWrite) { .offset = 0x100, .count = 4 };
    w->write[VFU_MAX_WRITES - 1].region = VFU_NUM_REGIONS;
    qtest_writel(e->q, EPVM_BAR0 + 0x100, 0x12345678);
    g_assert_cmpint(call_writes(c, w), ==, EINVAL);
    g_assert_cmphex(qtest_readl(e->q, EPVM_BAR0 + 0x100), ==, 0x12345678);
}

/*
 * More writes to a trapped area than its ring has records: the message is not
 * answered before the last one is in the ring, and the order is kept.
 */
static void check_trapped_writes(EpVm *e, FakeHost *c)
{
    g_autofree Writes *w = g_new0(Writes, 1);
    TrapRing r = trap_enable(e);
    unsigned waiting = VFU_MAX_WRITES - r.size;
    uint16_t writes, read;

    g_assert_cmpuint(r.size, <, VFU_MAX_WRITES);
    for (unsigned i = 0; i < VFU_MAX_WRITES; i++) {
        add_write(w, TRAP_BAR, TRAP_AREA + i % 7 * 4, 4, i);
    }
    writes = trap_send(c, VFU_CMD_REGION_WRITE_MULTI, w, writes_len(w));
    read = trap_send_read(c, TRAP_AREA2, 4);
    for (unsigned i = 0; i < VFU_MAX_WRITES; i++) {
        if (i + 1 == waiting) {
            trap_no_reply(c);
        } else if (i == waiting) {
            trap_done(c, writes);
        }
        trap_serve_write(&r, TRAP_AREA + i % 7 * 4, 4, i);
    }
    trap_serve_read(&r, TRAP_AREA2, 4, 0x1234);
    g_assert_cmphex(trap_value(c, read, 4), ==, 0x1234);
    g_assert_cmpuint(epvm_fn_reg(e, EPC_FN_INBOUND_DROPPED), ==, 0);
}

static void test_writes(void)
{
    EpVm *e = epvm_start(EPVM_SHARED, ",deadline-ms=60000");
    FakeHost *c;
    VfuMsg *m;

    epvm_describe(e);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    c = fakehost_new(e->socket);
    m = fakehost_version(c, VFU_VERSION_MAJOR, MULTI);
    g_assert_nonnull(strstr((char *)m->payload + sizeof(VfuVersion),
                            "\"write_multiple\":true"));
    vfu_msg_free(m);
    epvm_wait_link(e, true);
    check_memory_writes(e, c);
    trap_set_areas(e);
    check_trapped_writes(e, c);
    epvm_detach(e, c);
}

/* An unsealed file of @size bytes, as memory-backend-file has */
static int unsealed_file(size_t size)
{
    int fd = memfd_create("host", MFD_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, size), ==, 0);
    return fd;
}

/* How often @text is in what the endpoint's QEMU has printed */
static unsigned count_printed(const char *file, const char *text)
{
    g_autofree char *all = NULL;
    unsigned n = 0;

    g_assert_true(g_file_get_contents(file, &all, NULL, NULL));
    for (const char *at = all; (at = strstr(at, text)); at++) {
        n++;
    }
    return n;
}

/*
 * Memory that cannot be mapped is not reachable for a plain client, and slow
 * for one with the extension. Each is said once, in words that are true.
 */
static void test_unmappable(void)
{
    const uint32_t rw = VFU_DMA_READ | VFU_DMA_WRITE;
    g_autofree char *file = NULL;
    g_autofree char *props = NULL;
    int fd = g_file_open_tmp("pci-ep-XXXXXX", &file, NULL);
    int ram = unsealed_file(3 * PLAIN_SIZE);
    FakeHost *c;
    EpVm *e;

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    props = g_strdup_printf(" 2>%s", file);
    e = epvm_start(EPVM_SHARED, props);
    epvm_describe(e);
    g_assert_cmpuint(epvm_link_command(e, EPC_LINK_START), ==, EPC_STATUS_OK);
    c = fakehost_attach(e->socket, PLAIN);
    epvm_wait_link(e, true);
    fakehost_set_config(c, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t at = i * PLAIN_SIZE;

        g_assert_cmpint(fakehost_dma_map(c, PLAIN_RAM + at, PLAIN_SIZE, ram,
                                         at, rw), ==, 0);
    }
    g_assert_cmpuint(count_printed(file, "of the host is not reachable"), ==,
                     1);
    g_assert_cmpuint(count_printed(file, "trust-unsealed-memory=on"), ==, 1);
    g_assert_cmpuint(count_printed(file, "by message, which is slow"), ==, 0);
    fakehost_free(c);

    c = fakehost_attach(e->socket, NULL);
    fakehost_link(c, VFU_EP_LINK_UP);
    g_assert_cmpint(fakehost_dma_map(c, PLAIN_RAM, PLAIN_SIZE, ram, 0, rw),
                    ==, 0);
    g_assert_cmpuint(count_printed(file, "by message, which is slow"), ==, 1);
    g_assert_cmpuint(count_printed(file, "of the host is not reachable"), ==,
                     1);
    close(ram);
    unlink(file);
    epvm_detach(e, c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pci-epc/plain/attach", test_attach);
    qtest_add_data_func("/pci-epc/plain/restart", ",x-ioeventfd=off",
                        test_restart);
    qtest_add_data_func("/pci-epc/plain/restart/ioeventfd",
                        ",x-ioeventfd=on", test_restart);
    qtest_add_func("/pci-epc/plain/unmappable", test_unmappable);
    qtest_add_func("/pci-epc/plain/writes", test_writes);
    return g_test_run();
}
