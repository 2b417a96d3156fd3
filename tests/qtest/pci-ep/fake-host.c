/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A scripted host: the client role of the link
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep-peer.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MAX_PAYLOAD (2 << 20)

#define EXTENSION "{\"capabilities\":{\"max_msg_fds\":16," \
    "\"max_data_xfer_size\":1048576,\"" VFU_EP_KEY "\":{\"version\":1," \
    "\"features\":[\"link\",\"reset\",\"remap\",\"intx\",\"func\"]}}}"

/* ---- Messages ---- */

int pep_connect(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(sock, >=, 0);
    g_assert_cmpuint(strlen(path), <, sizeof(un.sun_path));
    strcpy(un.sun_path, path);
    g_assert_cmpint(connect(sock, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    return sock;
}

bool pep_send_bytes(int sock, const void *data, size_t len)
{
    while (len) {
        ssize_t n = send(sock, data, len, MSG_NOSIGNAL);

        if (n < 0) {
            return false;
        }
        data = (const char *)data + n;
        len -= n;
    }
    return true;
}

bool pep_send(int sock, const VfuHeader *hdr, const void *payload,
              const int *fds, unsigned nfds)
{
    char control[CMSG_SPACE(sizeof(int) * 64)] = "";
    struct iovec iov = { (void *)hdr, sizeof(*hdr) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (nfds) {
        struct cmsghdr *cmsg;

        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nfds);
    }
    if (sendmsg(sock, &msg, MSG_NOSIGNAL) != sizeof(*hdr)) {
        return false;
    }
    return pep_send_bytes(sock, payload, hdr->size - sizeof(*hdr));
}

/* Reads exactly @len bytes by @deadline; descriptors are added to @m. */
static bool recv_exact(int sock, PepMsg *m, void *data, size_t len,
                       gint64 deadline, bool *closed)
{
    while (len) {
        char control[CMSG_SPACE(sizeof(int) * PEP_MAX_FDS)];
        struct iovec iov = { data, len };
        struct msghdr msg = {
            .msg_iov = &iov,
            .msg_iovlen = 1,
            .msg_control = control,
            .msg_controllen = sizeof(control),
        };
        gint64 left = (deadline - g_get_monotonic_time()) / 1000;
        struct pollfd p = { .fd = sock, .events = POLLIN };
        struct cmsghdr *cmsg;
        ssize_t n;

        if (poll(&p, 1, MAX(left, 0)) != 1) {
            return false;
        }
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
        if (n <= 0) {
            *closed = true;
            return false;
        }
        cmsg = CMSG_FIRSTHDR(&msg);
        if (cmsg && cmsg->cmsg_type == SCM_RIGHTS) {
            m->nfds = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(m->fds, CMSG_DATA(cmsg), m->nfds * sizeof(int));
        }
        data = (char *)data + n;
        len -= n;
    }
    return true;
}

PepMsg *pep_recv(int sock, unsigned timeout_ms, bool *closed)
{
    gint64 deadline = g_get_monotonic_time() + timeout_ms * 1000ll;
    PepMsg *m = g_new0(PepMsg, 1);

    *closed = false;
    if (!recv_exact(sock, m, &m->hdr, sizeof(m->hdr), deadline, closed)) {
        pep_msg_free(m);
        return NULL;
    }
    g_assert_cmpuint(m->hdr.size, >=, sizeof(m->hdr));
    m->len = m->hdr.size - sizeof(m->hdr);
    g_assert_cmpuint(m->len, <=, MAX_PAYLOAD);
    m->payload = g_malloc0(m->len + 1);
    if (!recv_exact(sock, m, m->payload, m->len, deadline, closed)) {
        pep_msg_free(m);
        return NULL;
    }
    return m;
}

void pep_msg_free(PepMsg *m)
{
    if (m) {
        for (unsigned i = 0; i < m->nfds; i++) {
            if (m->fds[i] >= 0) {
                close(m->fds[i]);
            }
        }
        g_free(m->payload);
        g_free(m);
    }
}

int pep_memfd(size_t size, uint8_t **mem)
{
    int fd = memfd_create("peer", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, size), ==, 0);
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
    *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert(*mem != MAP_FAILED);
    return fd;
}

uint64_t pep_wait_eventfd(int fd, unsigned timeout_ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    uint64_t count = 0;

    if (poll(&p, 1, timeout_ms) == 1) {
        g_assert_cmpint(read(fd, &count, sizeof(count)), ==, sizeof(count));
    }
    return count;
}

/* ---- Client ---- */

PepClient *pep_new(const char *path)
{
    PepClient *c = g_new0(PepClient, 1);

    c->sock = pep_connect(path);
    g_queue_init(&c->commands);
    return c;
}

void pep_free(PepClient *c)
{
    close(c->sock);
    g_queue_clear_full(&c->commands, (GDestroyNotify)pep_msg_free);
    g_free(c);
}

PepMsg *pep_version(PepClient *c, uint16_t major, const char *json)
{
    size_t len = sizeof(VfuVersion) + strlen(json) + 1;
    g_autofree uint8_t *payload = g_malloc0(len);
    VfuVersion *v = (VfuVersion *)payload;

    v->major = major;
    v->minor = VFU_VERSION_MINOR;
    strcpy((char *)payload + sizeof(*v), json);
    return pep_request(c, VFU_CMD_VERSION, payload, len, NULL, 0);
}

PepClient *pep_attach(const char *path, const char *json)
{
    PepClient *c = pep_new(path);
    PepMsg *m = pep_version(c, VFU_VERSION_MAJOR, json ?: EXTENSION);
    bool key;

    g_assert_nonnull(m);
    g_assert_cmpuint(m->hdr.flags & VFU_FLAG_ERROR, ==, 0);
    g_assert_cmpuint(m->len, >, sizeof(VfuVersion));
    key = strstr((char *)m->payload + sizeof(VfuVersion), VFU_EP_KEY);
    g_assert_true(key == !json);
    pep_msg_free(m);
    return c;
}

PepMsg *pep_request(PepClient *c, uint16_t cmd, const void *payload,
                    size_t len, const int *fds, unsigned nfds)
{
    VfuHeader hdr = {
        .id = c->next_id++,
        .command = cmd,
        .size = sizeof(hdr) + len,
    };
    bool closed;
    PepMsg *m;

    if (!pep_send(c->sock, &hdr, payload, fds, nfds)) {
        return NULL;
    }
    while ((m = pep_recv(c->sock, PEP_TIMEOUT_MS, &closed))) {
        if ((m->hdr.flags & VFU_FLAG_TYPE_MASK) == VFU_FLAG_REPLY) {
            g_assert_cmpuint(m->hdr.id, ==, hdr.id);
            g_assert_cmpuint(m->hdr.command, ==, cmd);
            return m;
        }
        g_queue_push_tail(&c->commands, m);
    }
    g_assert_true(closed);
    return NULL;
}

static int call(PepClient *c, uint16_t cmd, const void *payload, size_t len,
                const int *fds, unsigned nfds, void *reply, size_t reply_len)
{
    PepMsg *m = pep_request(c, cmd, payload, len, fds, nfds);
    int err;

    g_assert_nonnull(m);
    err = m->hdr.error;
    if (m->hdr.flags & VFU_FLAG_ERROR) {
        g_assert_cmpint(err, >, 0);
        g_assert_cmpuint(m->len, ==, 0);
    } else {
        g_assert_cmpint(err, ==, 0);
        g_assert_cmpuint(m->len, ==, reply_len);
        if (reply_len) {
            memcpy(reply, m->payload, reply_len);
        }
    }
    pep_msg_free(m);
    return err;
}

int pep_call(PepClient *c, uint16_t cmd, const void *payload, size_t len,
             void *reply, size_t reply_len)
{
    return call(c, cmd, payload, len, NULL, 0, reply, reply_len);
}

int pep_call_fds(PepClient *c, uint16_t cmd, const void *payload, size_t len,
                 const int *fds, unsigned nfds)
{
    return call(c, cmd, payload, len, fds, nfds, NULL, 0);
}

static PepMsg *next_command(PepClient *c, unsigned timeout_ms, bool *closed)
{
    PepMsg *m = g_queue_pop_head(&c->commands);

    return m ?: pep_recv(c->sock, timeout_ms, closed);
}

PepMsg *pep_command(PepClient *c, uint16_t cmd)
{
    bool closed;
    PepMsg *m = next_command(c, PEP_TIMEOUT_MS, &closed);

    g_assert_nonnull(m);
    g_assert_cmpuint(m->hdr.flags & VFU_FLAG_TYPE_MASK, ==, VFU_FLAG_COMMAND);
    g_assert_cmphex(m->hdr.command, ==, cmd);
    return m;
}

bool pep_quiet(PepClient *c, uint16_t cmd, unsigned ms)
{
    bool closed;
    PepMsg *m;

    for (GList *l = c->commands.head; l; l = l->next) {
        if (((PepMsg *)l->data)->hdr.command == cmd) {
            return false;
        }
    }
    m = pep_recv(c->sock, ms, &closed);
    if (m) {
        bool other = m->hdr.command != cmd;

        g_queue_push_tail(&c->commands, m);
        return other;
    }
    return !closed;
}

void pep_answer(PepClient *c, const PepMsg *m, uint32_t err)
{
    VfuHeader hdr = {
        .id = m->hdr.id,
        .command = m->hdr.command,
        .size = sizeof(hdr),
        .flags = VFU_FLAG_REPLY | (err ? VFU_FLAG_ERROR : 0),
        .error = err,
    };

    g_assert_true(pep_send(c->sock, &hdr, NULL, NULL, 0));
}

bool pep_wait_closed(PepClient *c, unsigned timeout_ms)
{
    bool closed = false;
    PepMsg *m;

    while ((m = pep_recv(c->sock, timeout_ms, &closed))) {
        pep_msg_free(m);
    }
    return closed;
}

void pep_link(PepClient *c, uint32_t state)
{
    PepMsg *m = pep_command(c, VFU_CMD_EP_LINK);
    VfuEpLink link;

    g_assert_cmpuint(m->len, ==, sizeof(link));
    memcpy(&link, m->payload, sizeof(link));
    g_assert_cmpuint(link.argsz, ==, sizeof(link));
    g_assert_cmpuint(link.state, ==, state);
    g_assert_cmpuint(link.reserved, ==, 0);
    c->generation = link.generation;
    c->link_state = state;
    c->speed = link.speed;
    c->width = link.width;
    c->functions = link.functions;
    pep_answer(c, m, 0);
    pep_msg_free(m);
}

int pep_region_info(PepClient *c, unsigned region, VfuRegionInfo *info, int *fd)
{
    VfuRegionInfo req = { .argsz = sizeof(req), .index = region };
    PepMsg *m = pep_request(c, VFU_CMD_GET_REGION_INFO, &req, sizeof(req),
                            NULL, 0);
    int err;

    g_assert_nonnull(m);
    err = m->hdr.error;
    *fd = -1;
    if (!err) {
        g_assert_cmpuint(m->len, ==, sizeof(*info));
        memcpy(info, m->payload, sizeof(*info));
        g_assert_cmpuint(m->nfds, ==,
                         info->flags & VFU_REGION_FLAG_MMAP ? 1 : 0);
        if (m->nfds) {
            *fd = m->fds[0];
            m->fds[0] = -1;
        }
    }
    pep_msg_free(m);
    return err;
}

int pep_read(PepClient *c, unsigned region, uint64_t offset, void *buf,
             uint32_t count)
{
    VfuRegionRw rw = { .offset = offset, .region = region, .count = count };
    size_t len = sizeof(rw) + count;
    g_autofree uint8_t *reply = g_malloc0(len);
    int err = pep_call(c, VFU_CMD_REGION_READ, &rw, sizeof(rw), reply, len);

    if (!err) {
        g_assert_cmpint(memcmp(reply, &rw, sizeof(rw)), ==, 0);
        memcpy(buf, reply + sizeof(rw), count);
    }
    return err;
}

int pep_write(PepClient *c, unsigned region, uint64_t offset, const void *buf,
              uint32_t count)
{
    VfuRegionRw rw = { .offset = offset, .region = region, .count = count };
    size_t len = sizeof(rw) + count;
    g_autofree uint8_t *req = g_malloc0(len);

    memcpy(req, &rw, sizeof(rw));
    memcpy(req + sizeof(rw), buf, count);
    return pep_call(c, VFU_CMD_REGION_WRITE, req, len, &rw, sizeof(rw));
}

uint32_t pep_config(PepClient *c, unsigned offset, unsigned size)
{
    uint8_t buf[8];

    g_assert_cmpint(pep_read(c, VFU_REGION_CONFIG, offset, buf, size), ==, 0);
    return ldn_le_p(buf, size);
}

void pep_set_config(PepClient *c, unsigned offset, unsigned size, uint32_t val)
{
    uint8_t buf[8];

    stn_le_p(buf, size, val);
    g_assert_cmpint(pep_write(c, VFU_REGION_CONFIG, offset, buf, size), ==, 0);
}

unsigned pep_find_cap(PepClient *c, uint8_t id)
{
    unsigned at = pep_config(c, PCI_CAPABILITY_LIST, 1);

    for (unsigned i = 0; at && i < 48; i++) {
        if (pep_config(c, at, 1) == id) {
            return at;
        }
        at = pep_config(c, at + PCI_CAP_LIST_NEXT, 1);
    }
    return 0;
}

int pep_dma_map(PepClient *c, uint64_t addr, uint64_t size, int fd,
                uint64_t offset, uint32_t flags)
{
    VfuDmaMap map = {
        .argsz = sizeof(map),
        .flags = flags,
        .offset = offset,
        .address = addr,
        .size = size,
    };

    return pep_call_fds(c, VFU_CMD_DMA_MAP, &map, sizeof(map), &fd, fd >= 0);
}

int pep_dma_unmap(PepClient *c, uint64_t addr, uint64_t size)
{
    VfuDmaUnmap unmap = {
        .argsz = sizeof(unmap),
        .address = addr,
        .size = size,
    };
    VfuDmaUnmap reply;

    return pep_call(c, VFU_CMD_DMA_UNMAP, &unmap, sizeof(unmap), &reply,
                    sizeof(reply));
}

int pep_set_irq(PepClient *c, unsigned index, unsigned n, int fd)
{
    VfuSetIrqs set = {
        .argsz = sizeof(set),
        .flags = VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_TRIGGER,
        .index = index,
        .start = n,
        .count = 1,
    };

    return pep_call_fds(c, VFU_CMD_SET_IRQS, &set, sizeof(set), &fd, 1);
}

int pep_reset(PepClient *c, uint32_t kind)
{
    VfuEpReset reset = {
        .argsz = sizeof(reset),
        .generation = c->generation,
        .kind = kind,
    };

    return pep_call_fds(c, VFU_CMD_EP_RESET, &reset, sizeof(reset), NULL, 0);
}
