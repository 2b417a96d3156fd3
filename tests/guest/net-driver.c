/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net-driver DEVICE: a driver of a virtio network device in user space
 *
 * DEVICE is a directory of sysfs whose device no driver has, with memory and
 * bus mastering enabled.  Each test begins with a reset and does what the
 * kernel's driver does not.  The other end of the cable is 10.96.0.2, and
 * answers requests of ARP.  Rings and buffers are pages of this program, which
 * the host's kernel does not move, and whose bus addresses /proc/self/pagemap
 * has.
 *
 * A line for each test says "ok" or what went wrong.
 */
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096
#define QUEUES 3
#define ENTRIES 32
#define HEADER 12
/* Bytes of a request of ARP, and of its answer */
#define ARP 42
/* Pages of a buffer, more than the longest packet needs */
#define PAGES 20

#define BIT(n) (1ULL << (n))
#define COMMON (BIT(32) | BIT(33) | BIT(36) | BIT(38))
#define MRG BIT(VIRTIO_NET_F_MRG_RXBUF)
#define CTRL (BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_MAC_ADDR))
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET

enum { RX, TX, CVQ };

/* What is in a page: a ring of ENTRIES, aligned as section 2.7 demands */
typedef struct Ring {
    struct vring_desc desc[ENTRIES];
    struct {
        uint16_t flags, idx, ring[ENTRIES];
    } avail;
    uint8_t pad[2];
    struct {
        uint16_t flags, idx;
        struct vring_used_elem ring[ENTRIES];
    } used __attribute__((aligned(4)));
} Ring;

typedef struct Queue {
    volatile Ring *ring;        /* volatile: the device accesses it */
    unsigned size, descs, seen;
    uint16_t notify;
} Queue;

/* A part of a buffer: @len bytes at @at of page @page */
typedef struct Part {
    unsigned page, at, len;
} Part;

/* volatile: registers of the device */
static volatile uint8_t *regs, *bells;
static const char *directory;
static Queue queue[QUEUES];
static uint8_t *memory;         /* a page for each queue, then the buffers */
static uint8_t *buffer;         /* PAGES pages to send, and PAGES to receive */
static const char *why;

/* volatile: a register of the device */
#define REG(word_t, offset) (*(volatile word_t *)(regs + (offset)))

static bool fail(const char *text)
{
    why = text;
    return false;
}

static void die(const char *what)
{
    perror(what);
    exit(2);
}

/* ---- Memory ---- */

static uint64_t bus_address(const void *at)
{
    static int fd = -1;
    uint64_t entry;

    if (fd < 0) {
        fd = open("/proc/self/pagemap", O_RDONLY);
    }
    if (pread(fd, &entry, 8, (uintptr_t)at / PAGE * 8) != 8 ||
        !(entry >> 63)) {
        die("/proc/self/pagemap");
    }
    return (entry & (BIT(55) - 1)) * PAGE + (uintptr_t)at % PAGE;
}

/* volatile: registers of the device */
static volatile uint8_t *map_resource(unsigned n, size_t size)
{
    char path[256];
    void *at;
    int fd;

    snprintf(path, sizeof(path), "%s/resource%u", directory, n);
    fd = open(path, O_RDWR | O_SYNC);
    if (fd < 0) {
        die(path);
    }
    at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        die(path);
    }
    return at;
}

static uint8_t *page_of(unsigned page)
{
    return buffer + page * PAGE;
}

/* ---- The device ---- */

static bool status_becomes(uint8_t mask, uint8_t value)
{
    for (int i = 0; i < 500; i++) {
        if ((REG(uint8_t, VIRTIO_PCI_COMMON_STATUS) & mask) == value) {
            return true;
        }
        usleep(10000);
    }
    return fail("device_status is not what it should be after 5 s");
}

static bool reset(void)
{
    REG(uint8_t, VIRTIO_PCI_COMMON_STATUS) = 0;
    return status_becomes(0xff, 0);
}

static void set_address(unsigned offset, uint64_t address)
{
    REG(uint32_t, offset) = address;
    REG(uint32_t, offset + 4) = address >> 32;
}

static void enable(unsigned n, unsigned size)
{
    Queue *q = &queue[n];
    uint64_t at = bus_address(memory + n * PAGE);

    memset(memory + n * PAGE, 0, PAGE);
    *q = (Queue){ .ring = (void *)(memory + n * PAGE), .size = size };
    REG(uint16_t, VIRTIO_PCI_COMMON_Q_SELECT) = n;
    REG(uint16_t, VIRTIO_PCI_COMMON_Q_SIZE) = size;
    set_address(VIRTIO_PCI_COMMON_Q_DESCLO, at);
    set_address(VIRTIO_PCI_COMMON_Q_AVAILLO, at + offsetof(Ring, avail));
    set_address(VIRTIO_PCI_COMMON_Q_USEDLO, at + offsetof(Ring, used));
    q->notify = REG(uint16_t, VIRTIO_PCI_COMMON_Q_NOFF);
    REG(uint16_t, VIRTIO_PCI_COMMON_Q_ENABLE) = 1;
}

/* Starts the device with some features and a receiveq of so many entries. */
static bool begin(uint64_t features, unsigned rx_size)
{
    uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

    if (!reset()) {
        return false;
    }
    features |= COMMON;
    memset(buffer, 0, 2 * PAGES * PAGE);
    REG(uint8_t, VIRTIO_PCI_COMMON_STATUS) = status;
    for (unsigned i = 0; i < 2; i++) {
        REG(uint32_t, VIRTIO_PCI_COMMON_GFSELECT) = i;
        REG(uint32_t, VIRTIO_PCI_COMMON_GF) = features >> 32 * i;
    }
    status |= VIRTIO_CONFIG_S_FEATURES_OK;
    REG(uint8_t, VIRTIO_PCI_COMMON_STATUS) = status;
    if (!status_becomes(0xff, status)) {
        return false;
    }
    enable(RX, rx_size);
    enable(TX, ENTRIES);
    enable(CVQ, ENTRIES);
    status |= VIRTIO_CONFIG_S_DRIVER_OK;
    REG(uint8_t, VIRTIO_PCI_COMMON_STATUS) = status;
    return status_becomes(0xff, status);
}

/* ---- Rings ---- */

static void notify(unsigned n)
{
    Queue *q = &queue[n];

    __sync_synchronize();
    /* volatile: a register of the device */
    *(volatile uint32_t *)(bells + 4 * q->notify) =
        n | (uint32_t)q->ring->avail.idx << 16;
}

/* Makes a chain of parts available, the first @out of which are read. */
static void offer(unsigned n, const Part *parts, unsigned out, unsigned in)
{
    Queue *q = &queue[n];
    unsigned head = q->descs % q->size;

    for (unsigned i = 0; i < out + in; i++) {
        /* volatile: the device reads it */
        volatile struct vring_desc *d =
            &q->ring->desc[q->descs++ % q->size];

        d->addr = bus_address(page_of(parts[i].page) + parts[i].at);
        d->len = parts[i].len;
        d->flags = (i < out ? 0 : VRING_DESC_F_WRITE) |
                   (i + 1 < out + in ? VRING_DESC_F_NEXT : 0);
        d->next = q->descs % q->size;
    }
    q->ring->avail.ring[q->ring->avail.idx % q->size] = head;
    __sync_synchronize();
    q->ring->avail.idx++;
}

/* Waits for a chain to be used.  Its length goes to *len. */
static bool used(unsigned n, uint32_t *len)
{
    Queue *q = &queue[n];

    for (int i = 0; i < 500; i++) {
        if (q->ring->used.idx != (uint16_t)q->seen) {
            __sync_synchronize();
            *len = q->ring->used.ring[q->seen++ % q->size].len;
            return true;
        }
        usleep(10000);
    }
    return fail("no chain was used in 5 s");
}

/* ---- Packets ---- */

/* Writes header and request of ARP to the first page to send. */
static void ask(uint8_t gso_type)
{
    static const uint8_t request[] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6,
        0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 10, 96, 0, 1,
        0, 0, 0, 0, 0, 0, 10, 96, 0, 2,
    };

    _Static_assert(sizeof(request) == ARP, "length of ARP");
    memset(page_of(0), 0, PAGE);
    page_of(0)[1] = gso_type;
    memcpy(page_of(0) + HEADER, request, ARP);
}

static bool send_parts(const Part *parts, unsigned n)
{
    uint32_t len;

    offer(TX, parts, n, 0);
    notify(TX);
    return used(TX, &len);
}

/*
 * Sends requests until an answer uses a buffer, or breaks the device.  The
 * endpoint drops answers while its kernel has not noticed the carrier, which
 * takes a moment after DRIVER_OK.
 */
static bool send_request(void)
{
    const Part part = { 0, 0, HEADER + ARP };

    for (int tries = 0; tries < 20; tries++) {
        ask(0);
        if (!send_parts(&part, 1)) {
            return false;
        }
        for (int i = 0; i < 50; i++) {
            if (queue[RX].ring->used.idx != (uint16_t)queue[RX].seen ||
                REG(uint8_t, VIRTIO_PCI_COMMON_STATUS) & NEEDS_RESET) {
                return true;
            }
            usleep(10000);
        }
    }
    return fail("no answer came");
}

/* Offers @n buffers to receive, one behind the other. */
static void offer_buffers(unsigned n, unsigned len)
{
    for (unsigned i = 0; i < n; i++) {
        const Part part = { PAGES, i * len, len };

        offer(RX, &part, 0, 1);
    }
    notify(RX);
}

/* The answer is in buffers of @len bytes, of which it takes @n. */
static bool answered(unsigned n, unsigned len)
{
    const uint8_t *packet = page_of(PAGES);
    unsigned rest = HEADER + ARP;

    for (unsigned i = 0; i < n; i++) {
        unsigned part = rest < len ? rest : len;
        uint32_t seen;

        if (!used(RX, &seen)) {
            return false;
        }
        if (seen != part) {
            return fail("the length of a used buffer is wrong");
        }
        rest -= part;
    }
    if (packet[10] != n || packet[11]) {
        return fail("num_buffers is wrong");
    }
    /* An answer, which is for us */
    return (packet[HEADER + 12] == 8 && packet[HEADER + 13] == 6 &&
            packet[HEADER + 21] == 2 && packet[HEADER + 5] == 9) ||
           fail("this is no answer of ARP");
}

/* ---- Tests ---- */

static bool exchange(void)
{
    offer_buffers(1, 2048);
    return send_request() && answered(1, 2048);
}

/*
 * A test that sends once waits until the endpoint has noticed the carrier, and
 * one whose end is NEEDS_RESET shows first that the device works.
 */
static bool begin_working(uint64_t features, unsigned rx_size)
{
    return begin(features, rx_size) && exchange();
}

static bool breaks(void)
{
    return status_becomes(NEEDS_RESET, NEEDS_RESET);
}

static bool test_plain(void)
{
    return begin(0, ENTRIES) && exchange();
}

static bool test_merge(void)
{
    if (!begin(MRG, ENTRIES)) {
        return false;
    }
    offer_buffers(8, 20);
    return send_request() && answered(3, 20);
}

/* The packet waits for the buffers that come later. */
static bool test_merge_later(void)
{
    const Part request = { 0, 0, HEADER + ARP };

    if (!begin_working(MRG, ENTRIES)) {
        return false;
    }
    offer_buffers(1, 20);
    ask(0);
    if (!send_parts(&request, 1)) {
        return false;
    }
    usleep(200000);
    if (queue[RX].ring->used.idx != (uint16_t)queue[RX].seen) {
        return fail("a packet without its end");
    }
    for (unsigned i = 1; i < 3; i++) {
        const Part part = { PAGES, i * 20, 20 };

        offer(RX, &part, 0, 1);
    }
    notify(RX);
    return answered(3, 20);
}

/* All buffers of the ring together are too short. */
static bool test_no_room(void)
{
    if (!begin_working(MRG, 4)) {
        return false;
    }
    offer_buffers(4, HEADER + 1);
    return send_request() && breaks();
}

/* Without MRG_RXBUF that buffer comes back empty. */
static bool test_too_short(void)
{
    uint32_t len;

    if (!begin(0, ENTRIES)) {
        return false;
    }
    offer_buffers(1, HEADER + ARP - 1);
    if (!send_request() || !used(RX, &len)) {
        return false;
    }
    if (len) {
        return fail("the used length is not 0");
    }
    return exchange();
}

static bool test_rx_header(void)
{
    if (!begin_working(MRG, ENTRIES)) {
        return false;
    }
    offer_buffers(4, HEADER - 1);
    return send_request() && breaks();
}

static bool test_tx_header(void)
{
    const Part part = { 0, 0, HEADER - 1 };

    if (!begin_working(0, ENTRIES)) {
        return false;
    }
    offer(TX, &part, 1, 0);
    notify(TX);
    return breaks();
}

/* Packets that are dropped, between which the device works */
static bool test_dropped(void)
{
    static const Part tiny = { 0, 0, HEADER + 5 };
    static const Part bare = { 0, 0, HEADER };
    static const Part whole = { 0, 0, HEADER + ARP };
    Part large[PAGES];

    for (unsigned i = 0; i < PAGES; i++) {
        large[i] = (Part){ i, 0, PAGE };
    }
    if (!begin(0, ENTRIES)) {
        return false;
    }
    ask(0x7f);
    if (!send_parts(&whole, 1) || !exchange() || !send_parts(&tiny, 1) ||
        !send_parts(&bare, 1) || !exchange() || !send_parts(large, PAGES)) {
        return false;
    }
    /* A sum behind the end of the packet */
    ask(0);
    page_of(0)[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    page_of(0)[7] = 0xff;
    return send_parts(&whole, 1) && exchange();
}

/* Header and packet in pieces of one byte and more */
static bool test_pieces(void)
{
    Part parts[16];

    if (!begin_working(0, ENTRIES)) {
        return false;
    }
    ask(0);
    for (unsigned i = 0; i < 15; i++) {
        parts[i] = (Part){ 0, i, 1 };
    }
    parts[15] = (Part){ 0, 15, HEADER + ARP - 15 };
    offer_buffers(1, 2048);
    return send_parts(parts, 16) && answered(1, 2048);
}

/* Sends a command of @len bytes, and returns its answer, or -1. */
static int command(const uint8_t *bytes, unsigned len)
{
    const Part parts[] = { { 0, 0, len }, { 1, 0, 1 } };
    uint32_t got;

    memcpy(page_of(0), bytes, len);
    *page_of(1) = 0xee;
    offer(CVQ, parts, 1, 1);
    notify(CVQ);
    return used(CVQ, &got) && got == 1 ? *page_of(1) : -1;
}

static bool test_commands(void)
{
    static const uint8_t mac[] = { 1, 1, 2, 0, 0, 0, 0, 9 };
    static const uint8_t group[] = { 1, 1, 3, 0, 0, 0, 0, 9 };
    /* MQ was not accepted, and class 9 does not exist. */
    static const uint8_t pairs[] = { 4, 0, 1, 0 };
    static const uint8_t unknown[100] = { 9, 9 };

    if (!begin(CTRL, ENTRIES)) {
        return false;
    }
    if (command(mac, sizeof(mac)) != 0) {
        return fail("an address is not accepted");
    }
    if (command(mac, sizeof(mac) - 1) != 1 || command(group, 8) != 1 ||
        command(pairs, sizeof(pairs)) != 1 ||
        command(unknown, sizeof(unknown)) != 1 || command(mac, 2) != 1) {
        return fail("a wrong command is not refused");
    }
    return command(mac, sizeof(mac)) == 0 && exchange();
}

static bool test_short_command(void)
{
    const Part part[] = { { 0, 0, 1 }, { 1, 0, 1 } };

    if (!begin_working(CTRL, ENTRIES)) {
        return false;
    }
    offer(CVQ, part, 1, 1);
    notify(CVQ);
    return breaks();
}

static bool test_no_answer(void)
{
    const Part part = { 0, 0, 8 };

    if (!begin_working(CTRL, ENTRIES)) {
        return false;
    }
    offer(CVQ, &part, 1, 0);
    notify(CVQ);
    return breaks();
}

/* Queue 2 has no purpose without CTRL_VQ. */
static bool test_no_queue(void)
{
    const Part part[] = { { 0, 0, 8 }, { 1, 0, 1 } };

    if (!begin_working(0, ENTRIES)) {
        return false;
    }
    offer(CVQ, part, 1, 1);
    notify(CVQ);
    return breaks();
}

static const struct {
    const char *name;
    bool (*run)(void);
} tests[] = {
    { "plain", test_plain },
    { "merge", test_merge },
    { "merge-later", test_merge_later },
    { "no-room", test_no_room },
    { "too-short", test_too_short },
    { "rx-header", test_rx_header },
    { "tx-header", test_tx_header },
    { "dropped", test_dropped },
    { "pieces", test_pieces },
    { "commands", test_commands },
    { "short-command", test_short_command },
    { "no-answer", test_no_answer },
    { "no-queue", test_no_queue },
    { "plain", test_plain },
};

int main(int argc, char **argv)
{
    size_t size = (QUEUES + 2 * PAGES) * PAGE;
    bool good = true;

    if (argc != 2) {
        fprintf(stderr, "usage: net-driver DEVICE\n");
        return 2;
    }
    directory = argv[1];
    regs = map_resource(0, 4 * PAGE);
    bells = map_resource(3, PAGE);
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mlock(memory, size)) {
        die("memory");
    }
    buffer = memory + QUEUES * PAGE;
    for (unsigned i = 0; i < sizeof(tests) / sizeof(*tests); i++) {
        bool ok = tests[i].run();

        printf("%s: %s\n", tests[i].name, ok ? "ok" : why);
        good = good && ok;
    }
    good = reset() && good;
    return good ? 0 : 1;
}
