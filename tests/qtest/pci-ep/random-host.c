/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random hosts of a controller
 *
 * Each thread has one function. It attaches with one of several versions of the
 * protocol, sends commands that are right, nearly right or wrong, answers most
 * commands of the endpoint, some of them wrongly or not at all, and begins
 * again. It expects nothing.
 */
#include "qemu/osdep.h"
#include "qemu/memfd.h"
#include "qapi/error.h"
#include "hw/pci/pci_regs.h"
#include "random.h"
#include "random-host.h"
#include "vfu-msg.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MEMORY_SIZE     (1u << 20)
#define MAX_PAYLOAD     8192u
#define SESSION_STEPS   400

enum { FD_MEMORY, FD_UNSEALED, FD_EVENT, FD_PIPE, FD_NULL, FD_COUNT };

typedef struct RandomHost {
    RandomHosts *all;
    GThread *thread;
    char *path;
    Random rnd;
    int sock;
    uint16_t next_id;
    uint32_t generation;
    unsigned sent;
} RandomHost;

struct RandomHosts {
    unsigned n;
    gint stop;              /* atomic */
    int fds[FD_COUNT];
    RandomHost host[];
};

/* ---- Messages ---- */

/* Sends a message; @fds of them are files of all kinds. */
static bool host_send(RandomHost *h, const VfuHeader *hdr, const void *p,
                      unsigned nfds)
{
    int fds[VFU_MSG_MAX_FDS];

    for (unsigned i = 0; i < nfds; i++) {
        fds[i] = h->all->fds[random_below(&h->rnd, FD_COUNT)];
    }
    h->sent++;
    return vfu_msg_send(h->sock, hdr, p, fds, nfds);
}

static const char *const versions[] = {
    "{\"capabilities\":{\"max_msg_fds\":16}}",
    "{\"capabilities\":{\"max_msg_fds\":16,\"" VFU_EP_KEY "\":{\"version\":1,"
    "\"features\":[\"link\",\"reset\",\"remap\",\"intx\"]}}}",
    "{\"capabilities\":{\"max_msg_fds\":80,\"" VFU_EP_KEY "\":{\"version\":1,"
    "\"features\":[\"link\",\"reset\",\"remap\",\"intx\",\"areas\",\"func\","
    "\"fault\"]}}}",
    "{\"capabilities\":{\"max_msg_fds\":80,\"" VFU_EP_KEY "\":{\"version\":1,"
    "\"features\":[\"link\",\"remap\",\"areas\",\"func\"]}}}",
    "{\"capabilities\":{\"max_data_xfer_size\":4,\"" VFU_EP_KEY "\":"
    "{\"version\":1,\"features\":[\"link\",\"fault\"]}}}",
    "{\"capabilities\":",
};

static bool host_version(RandomHost *h)
{
    const char *json = random_of(&h->rnd, versions);
    size_t n = sizeof(VfuVersion) + strlen(json) + 1;
    g_autofree VfuVersion *v = g_malloc0(n);
    VfuHeader hdr = vfu_msg_command(h->next_id++, VFU_CMD_VERSION, 0, n);

    memcpy(v + 1, json, n - sizeof(*v));
    return host_send(h, &hdr, v, 0);
}

typedef struct HostCommand {
    uint16_t cmd;
    uint16_t len;
    uint32_t word[8];
    unsigned fds;           /* that a right one may have */
} HostCommand;

static const HostCommand commands[] = {
    { VFU_CMD_DMA_MAP, 32, { 32, 3, 0, 0, 0x40000000, 0, 0x10000 }, 1 },
    { VFU_CMD_DMA_MAP, 32, { 32, 3, 0, 0, 0x40100000, 0, 0x1000 }, 0 },
    { VFU_CMD_DMA_UNMAP, 24, { 24, 0, 0x40000000, 0, 0x1000 } },
    { VFU_CMD_DMA_UNMAP, 24, { 24, VFU_DMA_UNMAP_ALL } },
    { VFU_CMD_GET_INFO, 16, { 16 } },
    { VFU_CMD_GET_REGION_INFO, 32, { 32 } },
    { VFU_CMD_GET_REGION_IO_FDS, 16, { 16 + 64 * 48 } },
    { VFU_CMD_GET_IRQ_INFO, 16, { 16, 0, 2 } },
    { VFU_CMD_SET_IRQS, 20, { 20, 0x24, VFU_IRQ_MSIX, 0, 1 }, 1 },
    { VFU_CMD_SET_IRQS, 20, { 20, 0x24, VFU_IRQ_MSI, 0, 1 }, 1 },
    { VFU_CMD_SET_IRQS, 20, { 20, 0x24, VFU_IRQ_INTX, 0, 1 }, 1 },
    { VFU_CMD_SET_IRQS, 20, { 20, 0x21, VFU_IRQ_MSIX } },
    { VFU_CMD_REGION_READ, 16, { 0, 0, 0, 4 } },
    { VFU_CMD_REGION_READ, 16, { 0, 0, VFU_REGION_CONFIG, 64 } },
    { VFU_CMD_REGION_WRITE, 20, { 0, 0, 2, 4, 0xffffffff } },
    { VFU_CMD_REGION_WRITE, 18, { PCI_COMMAND, 0, VFU_REGION_CONFIG, 2, 6 } },
    { VFU_CMD_REGION_WRITE, 20, { 0x48, 0, VFU_REGION_CONFIG, 4, 0x10000 } },
    { VFU_CMD_REGION_WRITE, 20, { 0x9c, 0, VFU_REGION_CONFIG, 4,
                                  0x80000000 } },
    { VFU_CMD_REGION_WRITE, 20, { 0x108, 0, VFU_REGION_CONFIG, 4, 0x9 } },
    { VFU_CMD_REGION_WRITE, 18, { 0x110, 0, VFU_REGION_CONFIG, 2, 3 } },
    /* The DOE mailbox of a function that has no other extended capability */
    { VFU_CMD_REGION_WRITE, 20, { 0x110, 0, VFU_REGION_CONFIG, 4, 0x051af4 } },
    { VFU_CMD_REGION_WRITE, 20, { 0x110, 0, VFU_REGION_CONFIG, 4, 2 } },
    { VFU_CMD_REGION_WRITE, 20, { 0x108, 0, VFU_REGION_CONFIG, 4,
                                  0x80000002 } },
    { VFU_CMD_REGION_WRITE, 20, { 0x108, 0, VFU_REGION_CONFIG, 4, 1 } },
    { VFU_CMD_REGION_WRITE, 20, { 0x114, 0, VFU_REGION_CONFIG, 4, 0 } },
    { VFU_CMD_DEVICE_RESET, 0 },
    { VFU_CMD_EP_RESET, 16, { 16, 0, VFU_EP_RESET_HOT } },
    { VFU_CMD_EP_AREAS, 16, { 16 } },
    { VFU_CMD_VERSION, 4, { 0x10000 } },
};

/* Returns the word of a command that is the number of a BAR or region. */
static unsigned region_word(uint16_t cmd)
{
    switch (cmd) {
    case VFU_CMD_GET_REGION_INFO:
    case VFU_CMD_GET_REGION_IO_FDS:
    case VFU_CMD_REGION_READ:
    case VFU_CMD_REGION_WRITE:
    case VFU_CMD_EP_AREAS:
        return 2;
    default:
        return 0;
    }
}

static bool host_command(RandomHost *h)
{
    const HostCommand *c = &random_of(&h->rnd, commands);
    g_autofree uint32_t *p = g_malloc0(MAX_PAYLOAD);
    unsigned word = region_word(c->cmd), nfds = c->fds;
    size_t n = c->len;
    VfuHeader hdr;

    memcpy(p, c->word, sizeof(c->word));
    if (c->cmd >= VFU_CMD_EP_LINK) {
        p[1] = h->generation;
    }
    if (word && p[word] != VFU_REGION_CONFIG) {
        p[word] = random_below(&h->rnd, 6);
        p[0] += c->cmd >= VFU_CMD_REGION_READ && c->cmd < VFU_CMD_DMA_READ ?
                4 * random_below(&h->rnd, 64) : 0;
    }
    for (unsigned i = random_below(&h->rnd, 3); i > 1; i--) {
        p[random_below(&h->rnd, 8)] = random_value(&h->rnd);
    }
    if (random_once_in(&h->rnd, 30)) {
        n = random_below(&h->rnd, MAX_PAYLOAD);
    }
    if (random_once_in(&h->rnd, 20)) {
        nfds = random_below(&h->rnd, VFU_MSG_MAX_FDS + 1);
    }
    hdr = vfu_msg_command(h->next_id++, c->cmd,
                          random_once_in(&h->rnd, 20) ? VFU_FLAG_NO_REPLY : 0,
                          n);
    return host_send(h, &hdr, p, nfds);
}

/* Answers a command of the endpoint; seldom wrongly, or not at all. */
static bool host_answer(RandomHost *h, const VfuMsg *m)
{
    g_autofree uint8_t *p = g_malloc0(MAX_PAYLOAD);
    size_t n = 0;
    VfuHeader hdr;

    if (m->hdr.command == VFU_CMD_EP_LINK && m->len == sizeof(VfuEpLink)) {
        h->generation = ((VfuEpLink *)m->payload)->generation;
    }
    if ((m->hdr.flags & VFU_FLAG_NO_REPLY) || random_once_in(&h->rnd, 200)) {
        return true;
    }
    if (m->hdr.command == VFU_CMD_DMA_READ ||
        m->hdr.command == VFU_CMD_DMA_WRITE) {
        uint64_t count = ((VfuDmaRw *)m->payload)->count;

        n = sizeof(VfuDmaRw);
        memcpy(p, m->payload, n);
        if (m->hdr.command == VFU_CMD_DMA_READ) {
            n += MIN(count, MAX_PAYLOAD - n);
        }
    }
    if (random_once_in(&h->rnd, 100)) {
        n = random_below(&h->rnd, 64);
    }
    hdr = vfu_msg_reply(&m->hdr, random_once_in(&h->rnd, 50) ? EPERM : 0, n);
    hdr.size = sizeof(hdr) + n;
    if (random_once_in(&h->rnd, 200)) {
        hdr.id++;
    }
    if (random_once_in(&h->rnd, 50)) {
        g_usleep(1000 * random_below(&h->rnd, 100));
    }
    return host_send(h, &hdr, p, 0);
}

/* ---- Sessions ---- */

static bool host_connect(RandomHost *h)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    h->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(h->sock, >=, 0);
    g_assert_cmpuint(strlen(h->path), <, sizeof(un.sun_path));
    strcpy(un.sun_path, h->path);
    if (connect(h->sock, (struct sockaddr *)&un, sizeof(un)) == 0) {
        return true;
    }
    close(h->sock);
    return false;
}

/* Takes what the endpoint sends within @ms. False when the session is over. */
static bool host_receive(RandomHost *h, int ms)
{
    GPollFD p = { h->sock, G_IO_IN };
    bool going = true;

    while (going && g_poll(&p, 1, ms) > 0) {
        VfuMsg *m = vfu_msg_recv(h->sock, VFU_MSG_TIMEOUT_MS, NULL);

        going = m && (vfu_msg_is_reply(&m->hdr) || host_answer(h, m));
        vfu_msg_free(m);
        ms = 0;
    }
    return going;
}

static bool host_bytes(RandomHost *h)
{
    uint32_t bytes[32];

    for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++) {
        bytes[i] = random_value(&h->rnd);
    }
    return vfu_msg_send_bytes(h->sock, bytes,
                              1 + random_below(&h->rnd, sizeof(bytes)), NULL,
                              0);
}

static void host_session(RandomHost *h)
{
    bool going = random_once_in(&h->rnd, 20) || host_version(h);

    /* Time for VERSION and EP_LINK; no matter if that is too short */
    going = going && host_receive(h, 50) && host_receive(h, 50);
    for (unsigned i = random_below(&h->rnd, SESSION_STEPS);
         i && going && !g_atomic_int_get(&h->all->stop); i--) {
        going = random_once_in(&h->rnd, 300) ? host_bytes(h) : host_command(h);
        going = going && host_receive(h, random_below(&h->rnd, 4));
    }
    close(h->sock);
}

static gpointer host_thread(gpointer opaque)
{
    RandomHost *h = opaque;

    while (!g_atomic_int_get(&h->all->stop)) {
        if (host_connect(h)) {
            host_session(h);
        } else {
            g_usleep(10000);
        }
    }
    return NULL;
}

/* ---- Life ---- */

RandomHosts *random_hosts_start(const char *socket, unsigned n)
{
    RandomHosts *all = g_malloc0(sizeof(*all) + n * sizeof(RandomHost));
    int pipe_fds[2];

    all->n = n;
    all->fds[FD_MEMORY] = qemu_memfd_create("host", MEMORY_SIZE, false, 0,
                                            F_SEAL_SHRINK, &error_abort);
    all->fds[FD_UNSEALED] = qemu_memfd_create("host", MEMORY_SIZE, false, 0, 0,
                                              &error_abort);
    all->fds[FD_EVENT] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_assert_cmpint(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), ==, 0);
    close(pipe_fds[0]);
    all->fds[FD_PIPE] = pipe_fds[1];
    all->fds[FD_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (unsigned i = 0; i < n; i++) {
        RandomHost *h = &all->host[i];

        h->all = all;
        h->path = i ? g_strdup_printf("%s.%u", socket, i) : g_strdup(socket);
        random_init(&h->rnd, 1 + i);
        h->thread = g_thread_new("host", host_thread, h);
    }
    return all;
}

unsigned random_hosts_stop(RandomHosts *all)
{
    unsigned sent = 0;

    g_atomic_int_set(&all->stop, 1);
    for (unsigned i = 0; i < all->n; i++) {
        g_thread_join(all->host[i].thread);
        sent += all->host[i].sent;
        g_free(all->host[i].path);
    }
    for (unsigned i = 0; i < FD_COUNT; i++) {
        close(all->fds[i]);
    }
    g_free(all);
    return sent;
}
