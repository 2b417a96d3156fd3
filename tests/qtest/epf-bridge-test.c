/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge against a fake endpoint
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "pci-ep/fixture.h"
#include "pci-ep/wait.h"

#define MSI_ADDR    0x100000
#define MSIX_TABLE  0x1000

static unsigned port_exp(QTestState *q)
{
    return hostvm_find_cap(q, HOSTVM_PORT, PCI_CAP_ID_EXP);
}

/* ---- Link and slot ---- */

static void test_link(void)
{
    Fixture f;
    const uint16_t all = PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC;
    unsigned exp;

    fixture_start(&f);
    exp = port_exp(f.q);
    g_assert_cmphex(hostvm_slot_status(f.q) & PCI_EXP_SLTSTA_PDS, ==, 0);
    g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, 0), ==, 0xffffffff);
    fakeep_wait_connected(f.ep);
    g_assert_false(hostvm_prop_bool(f.q, "link-up"));

    for (unsigned i = 0; i < 10; i++) {
        g_assert_cmpint(fakeep_link_up(f.ep), ==, 0);
        hostvm_wait_present(f.q, true);
        g_assert_cmphex(hostvm_slot_status(f.q) & all, ==, all);
        g_assert_cmphex(hostvm_link_status(f.q) & PCI_EXP_LNKSTA_DLLLA, !=, 0);
        fixture_check_identity(f.q);
        hostvm_writew(f.q, HOSTVM_PORT, exp + PCI_EXP_SLTSTA, all);
        g_assert_cmphex(hostvm_slot_status(f.q) & all, ==, 0);
        g_assert_true(hostvm_prop_bool(f.q, "link-up"));

        g_assert_cmpint(fakeep_link_down(f.ep), ==, 0);
        g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, 0), ==, 0xffffffff);
        hostvm_wait_present(f.q, false);
        g_assert_cmphex(hostvm_slot_status(f.q) & all, ==, all);
        g_assert_cmphex(hostvm_link_status(f.q) & PCI_EXP_LNKSTA_DLLLA, ==, 0);
        hostvm_writew(f.q, HOSTVM_PORT, exp + PCI_EXP_SLTSTA, all);
    }
    fixture_end(&f);
}

/* An endpoint that starts late, and one that dies and comes back */
static void test_reconnect(void)
{
    Fixture f;

    f.ep = fakeep_new();
    f.q = hostvm_start(f.ep->path, FIXTURE_DEADLINE_MS, true);
    hostvm_enable_port(f.q);
    g_assert_false(hostvm_prop_bool(f.q, "connected"));
    /* meanwhile it tries in vain, which nothing reports */
    g_usleep(300 * 1000);
    fakeep_listen(f.ep);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(fakeep_link_up(f.ep), ==, 0);
        hostvm_wait_present(f.q, true);
        fixture_check_identity(f.q);
        fakeep_disconnect(f.ep);
        hostvm_wait_present(f.q, false);
    }
    fixture_end(&f);
}

static void test_slot_registers(void)
{
    Fixture f;
    uint32_t cap;
    unsigned exp;

    fixture_start_up(&f, false);
    exp = port_exp(f.q);
    cap = hostvm_readl(f.q, HOSTVM_PORT, exp + PCI_EXP_SLTCAP);
    g_assert_cmphex(cap & (PCI_EXP_SLTCAP_HPC | PCI_EXP_SLTCAP_HPS), ==,
                    PCI_EXP_SLTCAP_HPC | PCI_EXP_SLTCAP_HPS);
    g_assert_cmphex(cap & (PCI_EXP_SLTCAP_ABP | PCI_EXP_SLTCAP_PCP |
                           PCI_EXP_SLTCAP_AIP | PCI_EXP_SLTCAP_PIP |
                           PCI_EXP_SLTCAP_EIP), ==, 0);

    /* A clear of everything clears, though not everything was set */
    hostvm_writew(f.q, HOSTVM_PORT, exp + PCI_EXP_SLTSTA, 0xffff);
    g_assert_cmphex(hostvm_slot_status(f.q), ==, PCI_EXP_SLTSTA_PDS);

    /* Power off: there is no switch, the function stays */
    hostvm_writew(f.q, HOSTVM_PORT, exp + PCI_EXP_SLTCTL,
                  PCI_EXP_SLTCTL_PWR_OFF | PCI_EXP_SLTCTL_PWR_IND_ON);
    hostvm_writew(f.q, HOSTVM_PORT, exp + PCI_EXP_SLTCTL,
                  PCI_EXP_SLTCTL_PWR_OFF | PCI_EXP_SLTCTL_PWR_IND_OFF);
    g_assert_cmphex(hostvm_slot_status(f.q) & PCI_EXP_SLTSTA_PDS, !=, 0);
    fixture_check_identity(f.q);

    /* Commands complete */
    g_assert_cmphex(hostvm_slot_status(f.q) & PCI_EXP_SLTSTA_CC, !=, 0);
    hostvm_writew(f.q, HOSTVM_PORT, exp + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_CC);
    g_assert_cmphex(hostvm_slot_status(f.q) & PCI_EXP_SLTSTA_CC, ==, 0);
    fixture_end(&f);
}

/* The port raises its own interrupt once for every change. */
static void test_slot_interrupt(void)
{
    Fixture f;
    const uint32_t bar = 0xe8000000u;
    unsigned exp, msix;

    fixture_start(&f);
    exp = port_exp(f.q);
    msix = hostvm_find_cap(f.q, HOSTVM_PORT, PCI_CAP_ID_MSIX);
    hostvm_writel(f.q, HOSTVM_PORT, PCI_BASE_ADDRESS_0, bar);
    hostvm_writew(f.q, HOSTVM_PORT, PCI_COMMAND,
                  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    qtest_writel(f.q, bar, MSI_ADDR);
    qtest_writel(f.q, bar + 4, 0);
    qtest_writel(f.q, bar + 8, 0x77);
    qtest_writel(f.q, bar + 12, 0);
    hostvm_writew(f.q, HOSTVM_PORT, msix + PCI_MSIX_FLAGS,
                  PCI_MSIX_FLAGS_ENABLE);
    hostvm_writew(f.q, HOSTVM_PORT, exp + PCI_EXP_SLTCTL,
                  PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_DLLSCE);

    for (unsigned i = 0; i < 4; i++) {
        hostvm_writew(f.q, HOSTVM_PORT, exp + PCI_EXP_SLTSTA, 0xffff);
        qtest_writel(f.q, MSI_ADDR, 0);
        g_assert_cmpint(i & 1 ? fakeep_link_down(f.ep) : fakeep_link_up(f.ep),
                        ==, 0);
        hostvm_wait_mem(f.q, MSI_ADDR, 0x77);
        hostvm_wait_present(f.q, !(i & 1));
    }
    fixture_end(&f);
}

/* ---- BARs ---- */

static void test_bars(void)
{
    Fixture f;
    uint8_t buf[64];
    uint8_t *p;

    fixture_start_up(&f, false);
    for (unsigned i = 0; i < 6; i++) {
        if (f.ep->bar[i].size) {
            unsigned reg = PCI_BASE_ADDRESS_0 + i * 4;

            hostvm_writel(f.q, HOSTVM_FUNCTION, reg, 0xffffffff);
            g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION, reg) & ~0xfu, ==,
                            (uint32_t)-f.ep->bar[i].size);
            hostvm_writel(f.q, HOSTVM_FUNCTION, reg, HOSTVM_BAR(i));
        }
    }
    /* Shared: both see the same bytes, no message passes */
    fakeep_clear_log(f.ep);
    p = f.ep->bar[0].data + f.ep->bar[0].offset;
    for (unsigned i = 0; i < sizeof(buf); i++) {
        p[0x4000 + i] = i * 3;
    }
    qtest_memread(f.q, HOSTVM_BAR(0) + 0x4000, buf, sizeof(buf));
    g_assert_cmpmem(buf, sizeof(buf), p + 0x4000, sizeof(buf));
    qtest_writel(f.q, HOSTVM_BAR(0) + 0xfffc, 0x12345678);
    g_assert_cmphex(ldl_le_p(p + 0xfffc), ==, 0x12345678);
    qtest_writeb(f.q, HOSTVM_BAR(2) + 1, 0xaa);
    g_assert_cmphex(f.ep->bar[2].data[0x2001], ==, 0xaa);
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_REGION_READ), ==, 0);
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_REGION_WRITE), ==, 0);

    /* By message */
    qtest_writew(f.q, HOSTVM_BAR(1) + 0x10, 0xbeef);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(1) + 0x10), ==, 0x0101beef);
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_REGION_WRITE), ==, 1);
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_REGION_READ), >=, 1);
    fixture_end(&f);
}

/* The reply to a read wakes the thread that reads, and no other. */
static void test_read_wakes_one_thread(void)
{
    enum { READS = 200 };
    Fixture f;
    unsigned before;

    fixture_start_up(&f, false);
    qtest_readl(f.q, HOSTVM_BAR(1));
    hostvm_settled_messages(f.q);
    before = hostvm_count_sleeps(f.q);
    for (unsigned i = 0; i < READS; i++) {
        qtest_readl(f.q, HOSTVM_BAR(1));
    }
    g_assert_cmpuint(hostvm_count_sleeps(f.q) - before, <, READS / 4);
    fixture_end(&f);
}

static void test_remap(void)
{
    Fixture f;

    fixture_start_up(&f, false);
    for (unsigned i = 1; i <= 20; i++) {
        /* Every third target cannot be shared */
        bool shared = i % 3;

        fakeep_retarget(f.ep, 0, shared, i);
        g_assert_cmpint(fakeep_remap(f.ep, 0), ==, 0);
        hostvm_wait_byte(f.q, HOSTVM_BAR(0) + 0x3000, i);
        qtest_writeb(f.q, HOSTVM_BAR(0), i + 100);
        g_assert_cmphex(f.ep->bar[0].data[0], ==, i + 100);
    }

    /* Stale generations are refused and change nothing */
    f.ep->generation--;
    g_assert_cmpint(fakeep_remap(f.ep, 0), ==, ESTALE);
    g_assert_cmpint(fakeep_link_down(f.ep), ==, ESTALE);
    f.ep->generation++;
    g_assert_cmphex(qtest_readb(f.q, HOSTVM_BAR(0)), ==, 120);

    /* Once the acknowledgement is there nothing of it can be reached */
    f.ep->bar[0].data[0] = 0x33;
    g_assert_cmpint(fakeep_link_down(f.ep), ==, 0);
    g_assert_cmphex(qtest_readl(f.q, HOSTVM_BAR(0)), ==, 0xffffffff);
    qtest_writel(f.q, HOSTVM_BAR(0), 0);
    g_assert_cmphex(f.ep->bar[0].data[0], ==, 0x33);
    fixture_end(&f);
}

/* ---- Interrupts ---- */

static void signal_fd(int fd)
{
    uint64_t one = 1;

    g_assert_cmpint(write(fd, &one, sizeof(one)), ==, sizeof(one));
}

static void check_set_irqs(const VfuMsg *m, uint32_t flags, uint32_t index,
                           uint32_t first, uint32_t count)
{
    VfuSetIrqs s;

    g_assert_cmpuint(m->len, ==, sizeof(s));
    memcpy(&s, m->payload, sizeof(s));
    g_assert_cmphex(s.flags, ==, flags | VFU_IRQ_ACTION_TRIGGER);
    g_assert_cmpuint(s.index, ==, index);
    g_assert_cmpuint(s.start, ==, first);
    g_assert_cmpuint(s.count, ==, count);
    g_assert_cmpuint(m->nfds, ==, flags == VFU_IRQ_DATA_EVENTFD ? count : 0);
}

static void test_msi(void)
{
    Fixture f;
    const VfuMsg *m;
    const unsigned cap = 0x48;
    const uint16_t flags = 2 << 4 | PCI_MSI_FLAGS_ENABLE;

    fixture_start_up(&f, true);
    hostvm_writel(f.q, HOSTVM_FUNCTION, cap + PCI_MSI_ADDRESS_LO, MSI_ADDR);
    hostvm_writel(f.q, HOSTVM_FUNCTION, cap + PCI_MSI_ADDRESS_HI, 0);
    hostvm_writew(f.q, HOSTVM_FUNCTION, cap + PCI_MSI_DATA_64, 0x1230);
    hostvm_writew(f.q, HOSTVM_FUNCTION, cap + PCI_MSI_FLAGS, flags);
    m = fakeep_wait(f.ep, VFU_CMD_SET_IRQS, 1);
    check_set_irqs(m, VFU_IRQ_DATA_EVENTFD, VFU_IRQ_MSI, 0, 4);

    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 4; i++) {
            qtest_writel(f.q, MSI_ADDR, 0);
            signal_fd(m->fds[i]);
            hostvm_wait_mem(f.q, MSI_ADDR, 0x1230 + i);
        }
    }

    /* Masked: pending until the mask goes */
    qtest_writel(f.q, MSI_ADDR, 0);
    hostvm_writel(f.q, HOSTVM_FUNCTION, cap + PCI_MSI_MASK_64, 1 << 2);
    signal_fd(m->fds[2]);
    wait_until(hostvm_readl(f.q, HOSTVM_FUNCTION, cap + PCI_MSI_PENDING_64),
               "a pending bit of the masked vector");
    g_assert_cmphex(qtest_readl(f.q, MSI_ADDR), ==, 0);
    hostvm_writel(f.q, HOSTVM_FUNCTION, cap + PCI_MSI_MASK_64, 0);
    hostvm_wait_mem(f.q, MSI_ADDR, 0x1232);

    /* Without bus mastering no message leaves the function */
    qtest_writel(f.q, MSI_ADDR, 0);
    hostvm_writew(f.q, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    signal_fd(m->fds[0]);
    fence_main_loop(f.q);
    g_assert_cmphex(qtest_readl(f.q, MSI_ADDR), ==, 0);

    hostvm_writew(f.q, HOSTVM_FUNCTION, cap + PCI_MSI_FLAGS, 0);
    check_set_irqs(fakeep_wait(f.ep, VFU_CMD_SET_IRQS, 2), VFU_IRQ_DATA_NONE,
                   VFU_IRQ_MSI, 0, 0);
    fixture_end(&f);
}

static void test_msix(void)
{
    Fixture f;
    uint64_t entry, pba;
    const VfuMsg *m;
    uint8_t *table;

    fixture_start(&f);
    f.ep->max_fds = 3;
    g_assert_cmpint(fakeep_link_up(f.ep), ==, 0);
    fakeep_disconnect(f.ep);
    hostvm_wait_present(f.q, false);
    g_assert_cmpint(fakeep_link_up(f.ep), ==, 0);
    hostvm_wait_present(f.q, true);
    hostvm_enable_function(f.q, true);
    table = f.ep->bar[0].data + f.ep->bar[0].offset + MSIX_TABLE;
    hostvm_msix(f.q, &entry, &pba);
    entry += 5 * 16;

    g_assert_cmphex(qtest_readl(f.q, entry + 12), ==, 1);
    qtest_writel(f.q, entry, MSI_ADDR);
    qtest_writel(f.q, entry + 4, 0);
    qtest_writel(f.q, entry + 8, 0xcafe);
    /* The function finds it where it put its table */
    g_assert_cmphex(ldl_le_p(table + 5 * 16), ==, MSI_ADDR);
    g_assert_cmphex(ldl_le_p(table + 5 * 16 + 8), ==, 0xcafe);

    hostvm_writew(f.q, HOSTVM_FUNCTION, 0xa2, PCI_MSIX_FLAGS_ENABLE);
    fakeep_wait(f.ep, VFU_CMD_SET_IRQS, 3);
    check_set_irqs(fakeep_nth(f.ep, VFU_CMD_SET_IRQS, 0), VFU_IRQ_DATA_EVENTFD,
                   VFU_IRQ_MSIX, 0, 3);
    check_set_irqs(fakeep_nth(f.ep, VFU_CMD_SET_IRQS, 1), VFU_IRQ_DATA_EVENTFD,
                   VFU_IRQ_MSIX, 3, 3);
    check_set_irqs(fakeep_nth(f.ep, VFU_CMD_SET_IRQS, 2), VFU_IRQ_DATA_EVENTFD,
                   VFU_IRQ_MSIX, 6, 2);

    /* Masked: pending at once, and delivered with the unmask */
    m = fakeep_nth(f.ep, VFU_CMD_SET_IRQS, 1);
    signal_fd(m->fds[2]);
    g_assert_cmphex(qtest_readl(f.q, pba), ==, 1 << 5);
    qtest_writel(f.q, entry + 12, 0);
    hostvm_wait_mem(f.q, MSI_ADDR, 0xcafe);
    g_assert_cmphex(qtest_readl(f.q, pba), ==, 0);

    for (unsigned i = 0; i < 10; i++) {
        qtest_writel(f.q, MSI_ADDR, 0);
        signal_fd(m->fds[2]);
        hostvm_wait_mem(f.q, MSI_ADDR, 0xcafe);
    }

    /* The same with all vectors masked */
    hostvm_writew(f.q, HOSTVM_FUNCTION, 0xa2,
                  PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    qtest_writel(f.q, MSI_ADDR, 0);
    signal_fd(m->fds[2]);
    g_assert_cmphex(qtest_readl(f.q, pba), ==, 1 << 5);
    g_assert_cmphex(qtest_readl(f.q, MSI_ADDR), ==, 0);
    hostvm_writew(f.q, HOSTVM_FUNCTION, 0xa2, PCI_MSIX_FLAGS_ENABLE);
    hostvm_wait_mem(f.q, MSI_ADDR, 0xcafe);

    hostvm_writew(f.q, HOSTVM_FUNCTION, 0xa2, 0);
    check_set_irqs(fakeep_wait(f.ep, VFU_CMD_SET_IRQS, 4), VFU_IRQ_DATA_NONE,
                   VFU_IRQ_MSIX, 0, 0);
    fixture_end(&f);
}

/* Nothing leaves a function that the guest has put in D3hot. */
static void test_msix_d3hot(void)
{
    Fixture f;
    uint64_t table, pba;
    const VfuMsg *m;
    const unsigned pmcsr = 0x40 + PCI_PM_CTRL;

    fixture_start_up(&f, true);
    hostvm_msix(f.q, &table, &pba);
    qtest_writeq(f.q, table, MSI_ADDR);
    qtest_writel(f.q, table + 8, 0xcafe);
    qtest_writel(f.q, table + 12, 0);
    hostvm_writew(f.q, HOSTVM_FUNCTION, 0xa2, PCI_MSIX_FLAGS_ENABLE);
    m = fakeep_wait(f.ep, VFU_CMD_SET_IRQS, 1);
    for (unsigned i = 0; i < 3; i++) {
        qtest_writel(f.q, MSI_ADDR, 0);
        signal_fd(m->fds[0]);
        hostvm_wait_mem(f.q, MSI_ADDR, 0xcafe);

        qtest_writel(f.q, MSI_ADDR, 0);
        hostvm_writew(f.q, HOSTVM_FUNCTION, pmcsr, 3);
        signal_fd(m->fds[0]);
        fence_main_loop(f.q);
        g_assert_cmphex(qtest_readl(f.q, MSI_ADDR), ==, 0);
        hostvm_writew(f.q, HOSTVM_FUNCTION, pmcsr, 0);
        fence_main_loop(f.q);
        g_assert_cmphex(qtest_readl(f.q, MSI_ADDR), ==, 0);
    }
    fixture_end(&f);
}

static void send_intx(FakeEp *s, uint32_t level)
{
    VfuEpIntx m = {
        .argsz = sizeof(m), .generation = s->generation, .level = level,
    };

    fakeep_send(s, VFU_CMD_EP_INTX, VFU_FLAG_NO_REPLY, &m, sizeof(m));
}

/* The bridge holds an assertion for a part of the time that passes here. */
static bool read_intx(QTestState *q)
{
    qtest_clock_step(q, 1000 * 1000);
    return hostvm_readw(q, HOSTVM_FUNCTION, PCI_STATUS) & PCI_STATUS_INTERRUPT;
}

static void wait_intx(QTestState *q, bool level)
{
    wait_until(read_intx(q) == level,
               "INTx to be %s", level ? "asserted" : "deasserted");
}

static void test_intx(void)
{
    Fixture f;

    fixture_start_up(&f, false);
    for (unsigned i = 0; i < 3; i++) {
        send_intx(f.ep, 1);
        wait_intx(f.q, true);
        send_intx(f.ep, 0);
        wait_intx(f.q, false);
    }
    fixture_end(&f);
}

/* ---- DMA ---- */

static int call_dma(FakeEp *s, uint16_t cmd, uint64_t addr, void *buf,
                    uint32_t len)
{
    VfuDmaRw rw = { .address = addr, .count = len };
    g_autofree uint8_t *msg = g_malloc(sizeof(rw) + len);
    int ret;

    memcpy(msg, &rw, sizeof(rw));
    if (cmd == VFU_CMD_DMA_WRITE) {
        memcpy(msg + sizeof(rw), buf, len);
        return fakeep_call(s, cmd, msg, sizeof(rw) + len, &rw, sizeof(rw));
    }
    ret = fakeep_call(s, cmd, &rw, sizeof(rw), msg, sizeof(rw) + len);
    if (!ret) {
        memcpy(buf, msg + sizeof(rw), len);
    }
    return ret;
}

/* The guest's memory through the DMA_MAPs, at @addr; NULL: not there */
static uint8_t *map_host(FakeEp *s, uint64_t addr, size_t len)
{
    for (unsigned i = 0; ; i++) {
        const VfuMsg *m = fakeep_nth(s, VFU_CMD_DMA_MAP, i);
        VfuDmaMap d;
        void *p;

        if (!m) {
            return NULL;
        }
        memcpy(&d, m->payload, sizeof(d));
        g_assert_cmpuint(m->len, ==, sizeof(d));
        if (m->nfds && addr >= d.address &&
            addr + len <= d.address + d.size) {
            p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, m->fds[0],
                     d.offset + addr - d.address);
            g_assert_true(p != MAP_FAILED);
            return p;
        }
    }
}

static void test_dma(void)
{
    Fixture f;
    uint8_t buf[8192], back[8192];
    unsigned maps;
    uint8_t *p;

    fixture_start_up(&f, false);
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_DMA_MAP), ==, 0);
    g_assert_cmpint(call_dma(f.ep, VFU_CMD_DMA_READ, 0x200000, buf, 4), ==,
                    EFAULT);

    hostvm_writew(f.q, HOSTVM_FUNCTION, PCI_COMMAND,
                  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    fakeep_wait(f.ep, VFU_CMD_DMA_MAP, 1);
    maps = fakeep_count(f.ep, VFU_CMD_DMA_MAP);
    p = map_host(f.ep, 0x200000, 4096);
    g_assert_nonnull(p);
    qtest_writel(f.q, 0x200010, 0x11223344);
    g_assert_cmphex(ldl_le_p(p + 0x10), ==, 0x11223344);
    stl_le_p(p + 0x20, 0x55667788);
    g_assert_cmphex(qtest_readl(f.q, 0x200020), ==, 0x55667788);
    munmap(p, 4096);

    /* By message */
    for (unsigned i = 0; i < sizeof(buf); i++) {
        buf[i] = i * 7 + (i >> 8);
    }
    g_assert_cmpint(call_dma(f.ep, VFU_CMD_DMA_WRITE, 0x300123, buf,
                             sizeof(buf)),
                    ==, 0);
    qtest_memread(f.q, 0x300123, back, sizeof(back));
    g_assert_cmpmem(buf, sizeof(buf), back, sizeof(back));
    memset(back, 0, sizeof(back));
    g_assert_cmpint(call_dma(f.ep, VFU_CMD_DMA_READ, 0x300123, back,
                             sizeof(back)),
                    ==, 0);
    g_assert_cmpmem(buf, sizeof(buf), back, sizeof(back));

    /* Refused: nothing, the function itself, a device of the board, a wrap */
    g_assert_cmpint(call_dma(f.ep, VFU_CMD_DMA_READ, 0x900000000, buf, 4), ==,
                    EFAULT);
    g_assert_cmpint(call_dma(f.ep, VFU_CMD_DMA_WRITE, HOSTVM_BAR(0), buf, 4),
                    ==, EFAULT);
    g_assert_cmpint(call_dma(f.ep, VFU_CMD_DMA_WRITE, HOSTVM_BAR(1), buf, 4),
                    ==, EFAULT);
    g_assert_cmpint(call_dma(f.ep, VFU_CMD_DMA_WRITE, 0xfec00000, buf, 4), ==,
                    EFAULT);
    g_assert_cmpint(call_dma(f.ep, VFU_CMD_DMA_READ, UINT64_MAX - 1, buf, 4),
                    !=, 0);

    /* Bus mastering off: all maps are gone when the write is over */
    hostvm_writew(f.q, HOSTVM_FUNCTION, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_DMA_UNMAP), ==, maps);
    g_assert_cmpint(call_dma(f.ep, VFU_CMD_DMA_READ, 0x200000, buf, 4), ==,
                    EFAULT);
    fixture_end(&f);
}

/* Memory that is private, or that the endpoint could truncate */
static void test_dma_private(const void *arg)
{
    bool unsealed = GPOINTER_TO_SIZE(arg);
    Fixture f;
    uint32_t val = 0;

    f.ep = fakeep_new();
    fakeep_listen(f.ep);
    f.q = unsealed ? hostvm_start_unsealed(f.ep->path, FIXTURE_DEADLINE_MS) :
                     hostvm_start(f.ep->path, FIXTURE_DEADLINE_MS, false);
    hostvm_enable_port(f.q);
    g_assert_cmpint(fakeep_link_up(f.ep), ==, 0);
    hostvm_wait_present(f.q, true);
    hostvm_enable_function(f.q, true);
    fakeep_wait(f.ep, VFU_CMD_DMA_MAP, 1);
    for (unsigned i = 0; fakeep_nth(f.ep, VFU_CMD_DMA_MAP, i); i++) {
        g_assert_cmpuint(fakeep_nth(f.ep, VFU_CMD_DMA_MAP, i)->nfds, ==, 0);
    }
    hostvm_wait_error(f.q, "memory-backend-memfd");
    qtest_writel(f.q, 0x200000, 0x600df00d);
    g_assert_cmpint(call_dma(f.ep, VFU_CMD_DMA_READ, 0x200000, &val, 4), ==, 0);
    g_assert_cmphex(val, ==, 0x600df00d);
    fixture_end(&f);
}

/* An endpoint with max_msg_fds 0 gets no descriptors. */
static void test_no_descriptors(void)
{
    Fixture f;
    uint32_t val = 0;

    f.ep = fakeep_new();
    f.ep->max_fds = 0;
    fakeep_listen(f.ep);
    f.q = hostvm_start(f.ep->path, FIXTURE_DEADLINE_MS, true);
    hostvm_enable_port(f.q);
    g_assert_cmpint(fakeep_link_up(f.ep), ==, 0);
    hostvm_wait_present(f.q, true);
    hostvm_enable_function(f.q, true);
    fakeep_wait(f.ep, VFU_CMD_DMA_MAP, 1);
    for (unsigned i = 0; fakeep_nth(f.ep, VFU_CMD_DMA_MAP, i); i++) {
        g_assert_cmpuint(fakeep_nth(f.ep, VFU_CMD_DMA_MAP, i)->nfds, ==, 0);
    }
    qtest_writel(f.q, 0x200000, 0x600df00d);
    g_assert_cmpint(call_dma(f.ep, VFU_CMD_DMA_READ, 0x200000, &val, 4), ==, 0);
    g_assert_cmphex(val, ==, 0x600df00d);
    fixture_end(&f);
}

/* ---- Resets ---- */

static uint32_t last_reset(FakeEp *s, unsigned n)
{
    const VfuMsg *m = fakeep_wait(s, VFU_CMD_EP_RESET, n);
    VfuEpReset r;

    g_assert_cmpuint(m->len, ==, sizeof(r));
    memcpy(&r, m->payload, sizeof(r));
    g_assert_cmpuint(r.generation, ==, s->generation);
    return r.kind;
}

static void enable_all(Fixture *f)
{
    hostvm_enable_function(f->q, true);
    hostvm_writew(f->q, HOSTVM_FUNCTION, 0xa2, PCI_MSIX_FLAGS_ENABLE);
    g_assert_cmphex(hostvm_readw(f->q, HOSTVM_FUNCTION, 0xa2), ==,
                    PCI_MSIX_FLAGS_ENABLE | 7);
}

static void check_cleared(Fixture *f)
{
    uint8_t buf[4];

    g_assert_cmphex(hostvm_readw(f->q, HOSTVM_FUNCTION, PCI_COMMAND), ==, 0);
    g_assert_cmphex(hostvm_readl(f->q, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_0), ==,
                    0);
    g_assert_cmphex(hostvm_readw(f->q, HOSTVM_FUNCTION, 0xa2), ==, 7);
    g_assert_true(hostvm_prop_bool(f->q, "link-up"));
    g_assert_cmpint(call_dma(f->ep, VFU_CMD_DMA_READ, 0x200000, buf, 4), ==,
                    EFAULT);
}

static void test_resets(void)
{
    Fixture f;
    VfuRegionRw rw;
    bool seen = false;

    fixture_start_up(&f, true);
    enable_all(&f);
    hostvm_writew(f.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL,
                  PCI_BRIDGE_CTL_BUS_RESET);
    g_assert_cmpuint(last_reset(f.ep, 1), ==, VFU_EP_RESET_HOT);
    hostvm_writew(f.q, HOSTVM_PORT, PCI_BRIDGE_CONTROL, 0);
    check_cleared(&f);
    check_set_irqs(fakeep_wait(f.ep, VFU_CMD_SET_IRQS, 2), VFU_IRQ_DATA_NONE,
                   VFU_IRQ_MSIX, 0, 0);

    enable_all(&f);
    fakeep_clear_log(f.ep);
    hostvm_writew(f.q, HOSTVM_FUNCTION, 0x60 + PCI_EXP_DEVCTL,
                  PCI_EXP_DEVCTL_BCR_FLR);
    check_cleared(&f);
    for (unsigned i = 0; fakeep_nth(f.ep, VFU_CMD_REGION_WRITE, i); i++) {
        memcpy(&rw, fakeep_nth(f.ep, VFU_CMD_REGION_WRITE, i)->payload,
               sizeof(rw));
        seen |= rw.region == VFU_REGION_CONFIG &&
                rw.offset == 0x60 + PCI_EXP_DEVCTL;
    }
    g_assert_true(seen);
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_EP_RESET), ==, 0);

    enable_all(&f);
    qtest_system_reset(f.q);
    g_assert_cmpuint(last_reset(f.ep, 1), ==, VFU_EP_RESET_PERST);
    g_assert_cmpuint(fakeep_count(f.ep, VFU_CMD_EP_RESET), ==, 1);
    hostvm_enable_port(f.q);
    check_cleared(&f);
    fixture_check_identity(f.q);
    g_assert_cmphex(hostvm_slot_status(f.q) & PCI_EXP_SLTSTA_PDS, !=, 0);
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("epf-bridge/link", test_link);
    qtest_add_func("epf-bridge/reconnect", test_reconnect);
    qtest_add_func("epf-bridge/slot/registers", test_slot_registers);
    qtest_add_func("epf-bridge/slot/interrupt", test_slot_interrupt);
    qtest_add_func("epf-bridge/bars", test_bars);
    qtest_add_func("epf-bridge/bars-wake", test_read_wakes_one_thread);
    qtest_add_func("epf-bridge/remap", test_remap);
    qtest_add_func("epf-bridge/msi", test_msi);
    qtest_add_func("epf-bridge/msix", test_msix);
    qtest_add_func("epf-bridge/msix-d3hot", test_msix_d3hot);
    qtest_add_func("epf-bridge/intx", test_intx);
    qtest_add_func("epf-bridge/dma/shared", test_dma);
    qtest_add_data_func("epf-bridge/dma/private", GSIZE_TO_POINTER(false),
                        test_dma_private);
    qtest_add_func("epf-bridge/dma/no-descriptors", test_no_descriptors);
    qtest_add_data_func("epf-bridge/dma/unsealed", GSIZE_TO_POINTER(true),
                        test_dma_private);
    qtest_add_func("epf-bridge/resets", test_resets);

    return g_test_run();
}
