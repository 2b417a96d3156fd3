/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vfio-user messages as bytes on a socket
 */
#include "qemu/osdep.h"
#include "vfu-msg.h"

#include <glib-unix.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ---- Headers ---- */

VfuHeader vfu_msg_command(uint16_t id, uint16_t command, uint32_t flags,
                          size_t len)
{
    return (VfuHeader) {
        .id = id,
        .command = command,
        .size = sizeof(VfuHeader) + len,
        .flags = flags | VFU_FLAG_COMMAND,
    };
}

VfuHeader vfu_msg_reply(const VfuHeader *command, uint32_t err, size_t len)
{
    return (VfuHeader) {
        .id = command->id,
        .command = command->command,
        .size = sizeof(VfuHeader) + len,
        .flags = VFU_FLAG_REPLY | (err ? VFU_FLAG_ERROR : 0),
        .error = err,
    };
}

size_t vfu_msg_build(uint8_t *buf, const VfuHeader *hdr, const void *payload)
{
    memcpy(buf, hdr, sizeof(*hdr));
    if (hdr->size > sizeof(*hdr)) {
        memcpy(buf + sizeof(*hdr), payload, hdr->size - sizeof(*hdr));
    }
    return hdr->size;
}

bool vfu_msg_is_reply(const VfuHeader *hdr)
{
    return (hdr->flags & VFU_FLAG_TYPE_MASK) == VFU_FLAG_REPLY;
}

/* ---- Payloads of an endpoint ---- */

uint8_t *vfu_msg_version(uint16_t major, const char *json, size_t *len)
{
    VfuVersion v = { .major = major, .minor = VFU_VERSION_MINOR };
    size_t n = strlen(json) + 1;
    uint8_t *p = g_malloc(sizeof(v) + n);

    memcpy(p, &v, sizeof(v));
    memcpy(p + sizeof(v), json, n);
    *len = sizeof(v) + n;
    return p;
}

VfuDeviceInfo vfu_msg_device_info(void)
{
    return (VfuDeviceInfo) {
        .argsz = sizeof(VfuDeviceInfo),
        .flags = VFU_DEVICE_PCI | VFU_DEVICE_RESET,
        .num_regions = VFU_NUM_REGIONS,
        .num_irqs = VFU_NUM_IRQS,
    };
}

VfuIrqInfo vfu_msg_irq_info(const VfuMsg *m, uint32_t count)
{
    VfuIrqInfo irq;

    memcpy(&irq, m->payload, sizeof(irq));
    irq.flags = VFU_IRQ_INFO_EVENTFD;
    irq.count = count;
    return irq;
}

/* ---- Sockets ---- */

void vfu_msg_socketpair(int sv[2])
{
    int r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv);

    g_assert_cmpint(r, ==, 0);
}

/* Returns a new socket, or -1 with @type SOCK_NONBLOCK when it has to wait. */
static int vfu_msg_open(const char *path, int type)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | type, 0);

    g_assert_cmpint(sock, >=, 0);
    g_assert_cmpuint(strlen(path), <, sizeof(un.sun_path));
    strcpy(un.sun_path, path);
    if (!connect(sock, (struct sockaddr *)&un, sizeof(un))) {
        return sock;
    }
    if (errno != EAGAIN) {
        g_error("cannot connect to '%s': %s", path, strerror(errno));
    }
    close(sock);
    return -1;
}

int vfu_msg_connect(const char *path)
{
    return vfu_msg_open(path, 0);
}

int vfu_msg_try_connect(const char *path)
{
    int sock = vfu_msg_open(path, SOCK_NONBLOCK);

    if (sock >= 0) {
        g_unix_set_fd_nonblocking(sock, false, NULL);
    }
    return sock;
}

static gint64 vfu_msg_deadline(int timeout_ms)
{
    return timeout_ms == VFU_MSG_FOREVER ?
           G_MAXINT64 : g_get_monotonic_time() + timeout_ms * 1000ll;
}

/* False if @deadline passes before one of @events. */
static bool vfu_msg_poll(int sock, short events, gint64 deadline)
{
    struct pollfd p = { .fd = sock, .events = events };
    int ms = -1;

    if (deadline != G_MAXINT64) {
        ms = MAX(deadline - g_get_monotonic_time(), 0) / 1000;
    }
    return RETRY_ON_EINTR(poll(&p, 1, ms)) == 1;
}

/* Sends what the socket takes now. Returns the number of bytes, or -1. */
static ssize_t vfu_msg_send_some(int sock, struct iovec *iov, unsigned niov,
                                 const int *fds, unsigned nfds)
{
    g_autofree char *control = g_malloc0(CMSG_SPACE(sizeof(int) * (nfds + 1)));
    struct msghdr mh = { .msg_iov = iov, .msg_iovlen = niov };

    if (nfds) {
        struct cmsghdr *c;

        mh.msg_control = control;
        mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
        c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
    }
    return RETRY_ON_EINTR(sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL));
}

/* Takes the first @n bytes off an iovec. */
static void vfu_msg_advance(struct iovec *iov, unsigned niov, size_t n)
{
    for (unsigned i = 0; i < niov; i++) {
        size_t part = MIN(n, iov[i].iov_len);

        iov[i].iov_base = (char *)iov[i].iov_base + part;
        iov[i].iov_len -= part;
        n -= part;
    }
}

static bool vfu_msg_send_all(int sock, struct iovec *iov, unsigned niov,
                             size_t len, const int *fds, unsigned nfds)
{
    gint64 deadline = vfu_msg_deadline(VFU_MSG_TIMEOUT_MS);

    while (len) {
        ssize_t n = vfu_msg_send_some(sock, iov, niov, fds, nfds);

        if (n < 0) {
            if (errno != EAGAIN || !vfu_msg_poll(sock, POLLOUT, deadline)) {
                return false;
            }
            continue;
        }
        vfu_msg_advance(iov, niov, n);
        len -= n;
        nfds = 0;
    }
    return true;
}

bool vfu_msg_send(int sock, const VfuHeader *hdr, const void *payload,
                  const int *fds, unsigned nfds)
{
    struct iovec iov[2] = {
        { (void *)hdr, sizeof(*hdr) },
        { (void *)payload, hdr->size - sizeof(*hdr) },
    };

    return vfu_msg_send_all(sock, iov, 2, hdr->size, fds, nfds);
}

bool vfu_msg_send_bytes(int sock, const void *data, size_t len,
                        const int *fds, unsigned nfds)
{
    struct iovec iov = { (void *)data, len };

    return vfu_msg_send_all(sock, &iov, 1, len, fds, nfds);
}

static void vfu_msg_add_fds(VfuMsg *m, struct msghdr *mh)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
        unsigned n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        g_assert_cmpint(c->cmsg_type, ==, SCM_RIGHTS);
        g_assert_cmpuint(m->nfds + n, <=, VFU_MSG_MAX_FDS);
        memcpy(m->fds + m->nfds, CMSG_DATA(c), n * sizeof(int));
        m->nfds += n;
    }
}

/* Receives exactly @len bytes; adds descriptors that come with them to @m. */
static bool vfu_msg_recv_exact(int sock, VfuMsg *m, void *data, size_t len,
                               gint64 deadline, bool *closed)
{
    while (len) {
        char control[CMSG_SPACE(sizeof(int) * VFU_MSG_MAX_FDS)];
        struct iovec iov = { data, len };
        struct msghdr mh = {
            .msg_iov = &iov,
            .msg_iovlen = 1,
            .msg_control = control,
            .msg_controllen = sizeof(control),
        };
        ssize_t n;

        if (!vfu_msg_poll(sock, POLLIN, deadline)) {
            return false;
        }
        n = RETRY_ON_EINTR(recvmsg(sock, &mh, MSG_CMSG_CLOEXEC));
        if (n <= 0) {
            *closed = true;
            return false;
        }
        vfu_msg_add_fds(m, &mh);
        data = (char *)data + n;
        len -= n;
    }
    return true;
}

VfuMsg *vfu_msg_recv(int sock, int timeout_ms, bool *closed)
{
    gint64 deadline = vfu_msg_deadline(timeout_ms);
    VfuMsg *m = g_new0(VfuMsg, 1);
    bool ignored;

    closed = closed ?: &ignored;
    *closed = false;
    if (!vfu_msg_recv_exact(sock, m, &m->hdr, sizeof(m->hdr), deadline,
                            closed)) {
        vfu_msg_free(m);
        return NULL;
    }
    g_assert_cmpuint(m->hdr.size, >=, sizeof(m->hdr));
    m->len = m->hdr.size - sizeof(m->hdr);
    g_assert_cmpuint(m->len, <=, VFU_MSG_MAX_PAYLOAD);
    m->payload = g_malloc0(m->len + 1);
    if (!vfu_msg_recv_exact(sock, m, m->payload, m->len, deadline, closed)) {
        vfu_msg_free(m);
        return NULL;
    }
    return m;
}

void vfu_msg_free(VfuMsg *m)
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

/* ---- Descriptors ---- */

/* Connects *@reader and the socket that it returns. */
static int vfu_msg_tcp_pair(int *reader)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct sockaddr *addr = (struct sockaddr *)&in;
    socklen_t len = sizeof(in);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(bind(listener, addr, len), ==, 0);
    g_assert_cmpint(listen(listener, 1), ==, 0);
    g_assert_cmpint(getsockname(listener, addr, &len), ==, 0);
    g_assert_cmpint(connect(sock, addr, len), ==, 0);
    *reader = accept(listener, NULL, NULL);
    g_assert_cmpint(*reader, >=, 0);
    close(listener);
    return sock;
}

int vfu_msg_lingering(int *reader)
{
    struct linger linger = { .l_onoff = 1, .l_linger = 20 };
    int sock = vfu_msg_tcp_pair(reader);
    static const char data[4096];

    g_assert_cmpint(setsockopt(sock, SOL_SOCKET, SO_LINGER, &linger,
                               sizeof(linger)), ==, 0);
    /* until the reader's buffer and the socket's own one are full */
    while (send(sock, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
        continue;
    }
    g_assert_cmpint(errno, ==, EAGAIN);
    return sock;
}
