/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epf-bridge, and a device of the host whose I/O thread accesses the table and
 * the pending bits of a function while the function goes away
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep/fixture.h"
#include "pci-ep/virtio-pci.h"
#include "pci-ep/wait.h"

/* A disk */
#define DISK            0x0030      /* 00:06.0 */
#define VIO_PLATFORM    (1u << 1)   /* uses the memory of a PCI device */

/* Its queue in memory of the host. Request n has descriptors 3n to 3n + 2. */
#define QUEUE_SIZE      128
#define REQUESTS        2
#define DESC            0x1000000ull
#define AVAIL           0x1001000ull
#define USED            0x1002000ull
#define HEADER(n)       (0x1003000ull + (n) * 16)
#define STATUS(n)       (0x1004000ull + (n))
#define DESC_NEXT       1u
#define DESC_WRITE      2u          /* by the disk */
#define DISK_READS      0u          /* what the guest reads from the disk */
#define DISK_WRITES     1u

/*
 * The data of a request: BAR 1, 8 bytes in each message, and right behind it the
 * beginning of the BAR with the table
 */
#define BAR1            0xe0a00000u
#define BAR1_SIZE       0x1000u
#define TABLE           (BAR1 + BAR1_SIZE)
#define DATA_SIZE       (BAR1_SIZE + 512)

#define MSIX            0xa0        /* capability of fakeep_new() */
#define ROUNDS          10

static const char disk[] =
    "-object iothread,id=io "
    "-blockdev driver=null-co,node-name=disk,size=1048576,read-zeroes=on,"
    "latency-ns=100000000 "
    "-device virtio-blk-pci-non-transitional,drive=disk,iothread=io,addr=6,"
    "iommu_platform=on,x-max-bounce-buffer-size=65536 ";

static void disk_set_desc(QTestState *q, unsigned i, uint64_t addr,
                          uint32_t len, uint16_t flags)
{
    uint64_t at = DESC + i * 16;

    qtest_writeq(q, at, addr);
    qtest_writel(q, at + 8, len);
    qtest_writew(q, at + 12, flags);
    qtest_writew(q, at + 14, flags & DESC_NEXT ? i + 1 : 0);
}

/* Requests that read and write the BARs, in turn */
static void disk_set_requests(QTestState *q)
{
    for (unsigned n = 0; n < REQUESTS; n++) {
        bool reads = n & 1;

        qtest_writel(q, HEADER(n), reads ? DISK_READS : DISK_WRITES);
        qtest_writeq(q, HEADER(n) + 8, 0);
        disk_set_desc(q, 3 * n, HEADER(n), 16, DESC_NEXT);
        disk_set_desc(q, 3 * n + 1, BAR1, DATA_SIZE,
                      DESC_NEXT | (reads ? DESC_WRITE : 0));
        disk_set_desc(q, 3 * n + 2, STATUS(n), 1, DESC_WRITE);
    }
    for (unsigned i = 0; i < QUEUE_SIZE; i++) {
        qtest_writew(q, AVAIL + 4 + i * 2, 3 * (i % REQUESTS));
    }
}

static void disk_start(QTestState *q)
{
    qtest_memset(q, DESC, 0, STATUS(REQUESTS) - DESC);
    hostvm_writel(q, DISK, PCI_BASE_ADDRESS_4, VIO);
    hostvm_writel(q, DISK, PCI_BASE_ADDRESS_5, 0);
    hostvm_writew(q, DISK, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    qtest_writeb(q, VIO_STATUS, 3);
    qtest_writel(q, VIO_FEATURE_SEL, 1);
    qtest_writel(q, VIO_FEATURE, VIO_VERSION_1 | VIO_PLATFORM);
    qtest_writeb(q, VIO_STATUS, 0xb);
    qtest_writew(q, VIO_QUEUE_SIZE, QUEUE_SIZE);
    qtest_writel(q, VIO_QUEUE_DESC, DESC);
    qtest_writel(q, VIO_QUEUE_AVAIL, AVAIL);
    qtest_writel(q, VIO_QUEUE_USED, USED);
    qtest_writew(q, VIO_QUEUE_ON, 1);
    qtest_writeb(q, VIO_STATUS, 0xf);
    g_assert_cmphex(qtest_readb(q, VIO_STATUS), ==, 0xf);
}

/* Has the disk take all requests once more. Returns their number so far. */
static uint16_t disk_submit(QTestState *q)
{
    uint16_t n = qtest_readw(q, AVAIL + 2) + REQUESTS;

    qtest_writew(q, AVAIL + 2, n);
    qtest_writew(q, VIO_NOTIFY, 0);
    return n;
}

static void disk_wait(QTestState *q, uint16_t n)
{
    wait_until(qtest_readw(q, USED + 2) == n, "request %u of the disk", n);
    for (unsigned i = 0; i < REQUESTS; i++) {
        g_assert_cmpuint(qtest_readb(q, STATUS(i)), ==, 0);
    }
}

/*
 * For each request the I/O thread looks at the memory map once, and takes the
 * big lock of QEMU for each message. Between two of them the main loop removes
 * the function, and then the I/O thread comes to the table. The latency of the
 * disk keeps the request, and with it a reference to the function, until
 * nothing else has one: the I/O thread drops the last.
 */
static void test_gone(void)
{
    Fixture f;

    fixture_start_with(&f, 0, disk);
    disk_start(f.q);
    disk_set_requests(f.q);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned reads;
        uint16_t n;

        fixture_link_up(&f, true);
        hostvm_writel(f.q, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_1, BAR1);
        hostvm_writel(f.q, HOSTVM_FUNCTION, PCI_BASE_ADDRESS_5, TABLE);
        g_assert_cmphex(hostvm_readl(f.q, HOSTVM_FUNCTION,
                                     MSIX + PCI_MSIX_TABLE), ==, 5);
        reads = fakeep_count(f.ep, VFU_CMD_REGION_READ);
        n = disk_submit(f.q);
        fakeep_wait(f.ep, VFU_CMD_REGION_READ, reads + 10);
        g_assert_cmpint(fakeep_link_down(f.ep), ==, 0);
        hostvm_wait_present(f.q, false);
        disk_wait(f.q, n);
    }
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("epf-bridge/iothread/gone", test_gone);
    return g_test_run();
}
