/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A scripted endpoint: the server role of the link, for tests of the bridge
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "hw/pci/pci_regs.h"
#include "pci-ep-server.h"

#include <sys/socket.h>
#include <sys/un.h>

/*
 * ------------------------------------------------------------------------
 * Messages
 */
static void msg_free(gpointer p)
{
    EpsMsg *m = p;

    for (unsigned i = 0; i < m->nfds; i++) {
        close(m->fds[i]);
    }
    g_free(m->payload);
    g_free(m);
}

static bool read_all(int fd, void *buf, size_t len)
{
    uint8_t *p = buf;

    while (len) {
        ssize_t n = RETRY_ON_EINTR(read(fd, p, len));

        if (n <= 0) {
            return false;
        }
        p += n;
        len -= n;
    }
    return true;
}

static EpsMsg *receive(int fd)
{
    g_autofree EpsMsg *m = g_new0(EpsMsg, 1);
    char control[CMSG_SPACE(sizeof(int) * EPS_MAX_FDS)];
    struct iovec iov = { .iov_base = &m->hdr, .iov_len = sizeof(m->hdr) };
    struct msghdr mh = {
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = control, .msg_controllen = sizeof(control),
    };
    struct cmsghdr *c;
    ssize_t n = RETRY_ON_EINTR(recvmsg(fd, &mh, MSG_CMSG_CLOEXEC));

    if (n <= 0 || !read_all(fd, (uint8_t *)&m->hdr + n, sizeof(m->hdr) - n)) {
        return NULL;
    }
    for (c = CMSG_FIRSTHDR(&mh); c; c = CMSG_NXTHDR(&mh, c)) {
        m->nfds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(m->fds, CMSG_DATA(c), m->nfds * sizeof(int));
    }
    g_assert_cmpuint(m->hdr.size, >=, sizeof(m->hdr));
    m->len = m->hdr.size - sizeof(m->hdr);
    m->payload = g_malloc0(m->len + 1);
    if (!read_all(fd, m->payload, m->len)) {
        g_free(m->payload);
        return NULL;
    }
    return g_steal_pointer(&m);
}

static void send_msg(int fd, VfuHeader *hdr, const void *payload, size_t len,
                     const int *fds, unsigned nfds)
{
    char control[CMSG_SPACE(sizeof(int) * EPS_MAX_FDS)] = { 0 };
    struct iovec iov[2] = {
        { .iov_base = hdr, .iov_len = sizeof(*hdr) },
        { .iov_base = (void *)payload, .iov_len = len },
    };
    struct msghdr mh = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };

    hdr->size = sizeof(*hdr) + len;
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
    /* The bridge may have gone: then nobody is interested */
    if (sendmsg(fd, &mh, MSG_NOSIGNAL) < 0) {
        g_test_message("endpoint: sendmsg: %s", strerror(errno));
    }
}

void eps_reply(EpServer *s, const EpsMsg *m, const void *payload, size_t len,
               const int *fds, unsigned nfds)
{
    VfuHeader hdr = {
        .id = m->hdr.id, .command = m->hdr.command, .flags = VFU_FLAG_REPLY,
    };

    if (!(m->hdr.flags & VFU_FLAG_NO_REPLY)) {
        send_msg(s->conn, &hdr, payload, len, fds, nfds);
    }
}

void eps_error(EpServer *s, const EpsMsg *m, uint32_t err)
{
    VfuHeader hdr = {
        .id = m->hdr.id, .command = m->hdr.command,
        .flags = VFU_FLAG_REPLY | VFU_FLAG_ERROR, .error = err,
    };

    send_msg(s->conn, &hdr, NULL, 0, NULL, 0);
}

/*
 * ------------------------------------------------------------------------
 * A well-behaved endpoint
 */
static void do_version(EpServer *s, const EpsMsg *m)
{
    static const char *const names[] = {
        "link", "reset", "remap", "intx", "areas", "func", "fault",
    };
    g_autoptr(GString) json = g_string_new("");
    g_autofree uint8_t *out = NULL;
    VfuVersion v = { .minor = VFU_VERSION_MINOR };

    g_string_printf(json, "{\"capabilities\":{\"max_msg_fds\":%u,"
                    "\"max_data_xfer_size\":1048576", s->max_fds);
    if (s->features) {
        const char *comma = "";

        g_string_append(json, ",\"" VFU_EP_KEY "\":{\"version\":1,"
                        "\"features\":[");
        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
            if (s->features & (1u << i)) {
                g_string_append_printf(json, "%s\"%s\"", comma, names[i]);
                comma = ",";
            }
        }
        g_string_append(json, "]}");
    }
    g_string_append(json, "}}");
    out = g_malloc(sizeof(v) + json->len + 1);
    memcpy(out, &v, sizeof(v));
    memcpy(out + sizeof(v), json->str, json->len + 1);
    eps_reply(s, m, out, sizeof(v) + json->len + 1, NULL, 0);
}

static void do_region_info(EpServer *s, const EpsMsg *m)
{
    VfuRegionInfo r;
    const EpsBar *b;

    memcpy(&r, m->payload, sizeof(r));
    r.argsz = sizeof(r);
    if (r.index == VFU_REGION_CONFIG) {
        r.size = s->config_size;
        r.flags = VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE;
    } else if (r.index < 6 && s->bar[r.index].size) {
        b = &s->bar[r.index];
        r.size = b->size;
        r.offset = b->offset;
        r.flags = VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE;
        if (b->fd >= 0 && !(s->features & VFU_EP_FEATURE_AREAS)) {
            r.flags |= VFU_REGION_FLAG_MMAP;
            eps_reply(s, m, &r, sizeof(r), &b->fd, 1);
            return;
        }
    }
    eps_reply(s, m, &r, sizeof(r), NULL, 0);
}

static uint8_t *region(EpServer *s, const VfuRegionRw *rw)
{
    if (rw->region == VFU_REGION_CONFIG &&
        rw->offset + rw->count <= s->config_size) {
        return s->config + rw->offset;
    }
    if (rw->region < 6 && rw->offset + rw->count <= s->bar[rw->region].size) {
        EpsBar *b = &s->bar[rw->region];

        return b->data + b->offset + rw->offset;
    }
    return NULL;
}

static void do_region_rw(EpServer *s, const EpsMsg *m)
{
    const VfuRegionRw *rw = (const VfuRegionRw *)m->payload;
    uint8_t *p = region(s, rw);
    g_autofree uint8_t *out = NULL;

    if (!p) {
        eps_error(s, m, EINVAL);
    } else if (m->hdr.command == VFU_CMD_REGION_WRITE) {
        /* Configuration writes are logged; the tables stay what they are */
        if (rw->region != VFU_REGION_CONFIG) {
            memcpy(p, m->payload + sizeof(*rw), rw->count);
        }
        eps_reply(s, m, rw, sizeof(*rw), NULL, 0);
    } else {
        out = g_malloc(sizeof(*rw) + rw->count);
        memcpy(out, rw, sizeof(*rw));
        memcpy(out + sizeof(*rw), p, rw->count);
        eps_reply(s, m, out, sizeof(*rw) + rw->count, NULL, 0);
    }
}

static void answer(EpServer *s, const EpsMsg *m)
{
    VfuDeviceInfo dev = {
        .argsz = sizeof(dev), .flags = VFU_DEVICE_PCI | VFU_DEVICE_RESET,
        .num_regions = VFU_NUM_REGIONS, .num_irqs = VFU_NUM_IRQS,
    };
    VfuIrqInfo irq;

    switch (m->hdr.command) {
    case VFU_CMD_VERSION:
        do_version(s, m);
        s->agreed = true;
        break;
    case VFU_CMD_GET_INFO:
        eps_reply(s, m, &dev, sizeof(dev), NULL, 0);
        break;
    case VFU_CMD_GET_REGION_INFO:
        do_region_info(s, m);
        break;
    case VFU_CMD_EP_AREAS:
        eps_answer_areas(s, m);
        break;
    case VFU_CMD_GET_REGION_IO_FDS:
        eps_answer_io_fds(s, m);
        break;
    case VFU_CMD_GET_IRQ_INFO:
        memcpy(&irq, m->payload, sizeof(irq));
        irq.flags = VFU_IRQ_INFO_EVENTFD;
        irq.count = s->irqs[irq.index];
        eps_reply(s, m, &irq, sizeof(irq), NULL, 0);
        break;
    case VFU_CMD_REGION_READ:
    case VFU_CMD_REGION_WRITE:
        do_region_rw(s, m);
        break;
    case VFU_CMD_DMA_UNMAP:
        eps_reply(s, m, m->payload, m->len, NULL, 0);
        break;
    default:
        eps_reply(s, m, NULL, 0, NULL, 0);
        break;
    }
}

/*
 * ------------------------------------------------------------------------
 * The thread
 */
static void serve(EpServer *s)
{
    EpsMsg *m;

    while ((m = receive(s->conn))) {
        bool command = (m->hdr.flags & VFU_FLAG_TYPE_MASK) == VFU_FLAG_COMMAND;
        bool taken = command && s->hook && s->hook(s, m, s->hook_opaque);

        /* Who has the answer finds the message in the log */
        g_mutex_lock(&s->lock);
        if (command && !taken) {
            answer(s, m);
        }
        g_queue_push_tail(&s->log, m);
        g_cond_broadcast(&s->cond);
        g_mutex_unlock(&s->lock);
    }
}

static gpointer server_thread(gpointer opaque)
{
    EpServer *s = opaque;

    while (!s->stop) {
        int fd = RETRY_ON_EINTR(accept(s->listener, NULL, NULL));

        if (fd < 0) {
            break;
        }
        qemu_set_cloexec(fd);
        g_mutex_lock(&s->lock);
        s->conn = fd;
        s->conns++;
        g_mutex_unlock(&s->lock);
        serve(s);
        g_mutex_lock(&s->lock);
        close(s->conn);
        s->conn = -1;
        s->agreed = false;
        g_cond_broadcast(&s->cond);
        g_mutex_unlock(&s->lock);
    }
    return NULL;
}

/*
 * ------------------------------------------------------------------------
 * For tests
 */
static void set_caps(EpServer *s)
{
    uint8_t *c = s->config;

    stw_le_p(c + PCI_STATUS, PCI_STATUS_CAP_LIST);
    c[PCI_CAPABILITY_LIST] = 0x40;

    c[0x40] = PCI_CAP_ID_PM;
    c[0x41] = 0x48;
    stw_le_p(c + 0x42, 3);

    c[0x48] = PCI_CAP_ID_MSI;
    c[0x49] = 0x60;
    stw_le_p(c + 0x4a, 2 << 1 | PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT);

    c[0x60] = PCI_CAP_ID_EXP;
    c[0x61] = 0xa0;
    stw_le_p(c + 0x62, 2);
    stl_le_p(c + 0x64, PCI_EXP_DEVCAP_FLR | PCI_EXP_DEVCAP_RBER);

    c[0xa0] = PCI_CAP_ID_MSIX;
    c[0xa1] = 0xb0;
    stw_le_p(c + 0xa2, 7);
    stl_le_p(c + 0xa4, 0x1000);
    stl_le_p(c + 0xa8, 0x1800);

    c[0xb0] = PCI_CAP_ID_VNDR;
    c[0xb2] = 8;
    c[0xb3] = 0x5a;
}

EpServer *eps_new(void)
{
    static unsigned instance;
    EpServer *s = g_new0(EpServer, 1);

    s->path = g_strdup_printf("%s/ep-%d-%u.sock", g_get_tmp_dir(), getpid(),
                              instance++);
    s->features = VFU_EP_FEATURE_LINK | VFU_EP_FEATURE_RESET |
                  VFU_EP_FEATURE_REMAP | VFU_EP_FEATURE_INTX;
    s->max_fds = EPS_MAX_FDS;
    s->listener = -1;
    s->conn = -1;
    g_mutex_init(&s->lock);
    g_cond_init(&s->cond);
    g_queue_init(&s->log);

    s->config_size = 4096;
    stw_le_p(s->config + PCI_VENDOR_ID, 0x104c);
    stw_le_p(s->config + PCI_DEVICE_ID, 0xb500);
    stw_le_p(s->config + PCI_CLASS_DEVICE, 0xff00);
    stw_le_p(s->config + PCI_SUBSYSTEM_VENDOR_ID, 0x1af4);
    stw_le_p(s->config + PCI_SUBSYSTEM_ID, 0x1234);
    s->config[PCI_INTERRUPT_PIN] = 1;
    set_caps(s);
    s->irqs[VFU_IRQ_INTX] = 1;
    s->irqs[VFU_IRQ_MSI] = 4;
    s->irqs[VFU_IRQ_MSIX] = 8;
    for (unsigned i = 0; i < 6; i++) {
        s->bar[i].fd = -1;
    }
    eps_set_bar(s, 0, 0, 0x10000, true);
    eps_set_bar(s, 1, 0, 0x1000, false);
    eps_set_bar(s, 2, PCI_BASE_ADDRESS_MEM_TYPE_64, 0x20000, true);
    eps_set_bar(s, 4, PCI_BASE_ADDRESS_MEM_PREFETCH, 0x20000, true);
    return s;
}

static void bar_free(EpsBar *b)
{
    if (b->data) {
        munmap(b->data, b->offset + b->size);
        b->data = NULL;
    }
    if (b->fd >= 0) {
        close(b->fd);
        b->fd = -1;
    }
}

static void bar_alloc(EpsBar *b, bool shared, uint8_t fill)
{
    size_t len = b->offset + b->size;
    int fd = eps_memory(len, fill, &b->data);

    if (shared) {
        b->fd = fd;
    } else {
        close(fd);
    }
}

void eps_set_bar(EpServer *s, unsigned bar, uint32_t reg, uint64_t size,
                 bool shared)
{
    EpsBar *b = &s->bar[bar];

    bar_free(b);
    stl_le_p(s->config + PCI_BASE_ADDRESS_0 + bar * 4, reg);
    b->size = size;
    b->offset = shared ? 0x2000 : 0;
    if (size) {
        bar_alloc(b, shared, bar);
    }
}

void eps_retarget(EpServer *s, unsigned bar, bool shared, uint8_t fill)
{
    g_mutex_lock(&s->lock);
    bar_free(&s->bar[bar]);
    s->bar[bar].offset = 0;
    bar_alloc(&s->bar[bar], shared, fill);
    g_mutex_unlock(&s->lock);
}

void eps_listen(EpServer *s)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    unlink(s->path);
    pstrcpy(un.sun_path, sizeof(un.sun_path), s->path);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(s->listener, (struct sockaddr *)&un, sizeof(un)), ==,
                    0);
    g_assert_cmpint(listen(s->listener, 1), ==, 0);
    s->thread = g_thread_new("endpoint", server_thread, s);
}

void eps_disconnect(EpServer *s)
{
    g_mutex_lock(&s->lock);
    if (s->conn >= 0) {
        shutdown(s->conn, SHUT_RDWR);
        /* The bridge may notice before the thread does */
        s->agreed = false;
    }
    g_mutex_unlock(&s->lock);
}

void eps_free(EpServer *s)
{
    s->stop = true;
    if (s->thread) {
        shutdown(s->listener, SHUT_RDWR);
        eps_disconnect(s);
        g_thread_join(s->thread);
        close(s->listener);
    }
    unlink(s->path);
    for (unsigned i = 0; i < 6; i++) {
        bar_free(&s->bar[i]);
    }
    eps_clear_log(s);
    g_mutex_clear(&s->lock);
    g_cond_clear(&s->cond);
    g_free(s->path);
    g_free(s);
}

uint16_t eps_send(EpServer *s, uint16_t cmd, uint32_t flags,
                  const void *payload, size_t len)
{
    VfuHeader hdr = { .command = cmd, .flags = flags };

    g_mutex_lock(&s->lock);
    hdr.id = s->next_id++;
    if (s->conn >= 0) {
        send_msg(s->conn, &hdr, payload, len, NULL, 0);
    }
    g_mutex_unlock(&s->lock);
    return hdr.id;
}

static EpsMsg *find(EpServer *s, uint16_t cmd, bool reply, int id, unsigned n)
{
    for (GList *e = s->log.head; e; e = e->next) {
        EpsMsg *m = e->data;

        if (m->hdr.command == cmd &&
            reply == ((m->hdr.flags & VFU_FLAG_TYPE_MASK) == VFU_FLAG_REPLY) &&
            (id < 0 || m->hdr.id == id) && n-- == 0) {
            return m;
        }
    }
    return NULL;
}

int eps_call(EpServer *s, uint16_t cmd, const void *payload, size_t len,
             void *reply, size_t reply_len)
{
    uint16_t id = eps_send(s, cmd, 0, payload, len);
    gint64 until = g_get_monotonic_time() + EPS_TIMEOUT_MS * 1000;
    int ret = -1;
    EpsMsg *m;

    g_mutex_lock(&s->lock);
    while (!(m = find(s, cmd, true, id, 0)) && s->conn >= 0) {
        g_assert_true(g_cond_wait_until(&s->cond, &s->lock, until));
    }
    if (m) {
        ret = m->hdr.flags & VFU_FLAG_ERROR ? m->hdr.error : 0;
        if (!ret && reply) {
            g_assert_cmpuint(m->len, ==, reply_len);
            memcpy(reply, m->payload, reply_len);
        }
    }
    g_mutex_unlock(&s->lock);
    return ret;
}

void eps_wait_connected(EpServer *s)
{
    gint64 until = g_get_monotonic_time() + EPS_TIMEOUT_MS * 1000;

    g_mutex_lock(&s->lock);
    while (!s->agreed) {
        g_assert_true(g_cond_wait_until(&s->cond, &s->lock, until));
    }
    g_mutex_unlock(&s->lock);
}

int eps_link_up(EpServer *s)
{
    VfuEpLink l = {
        .argsz = sizeof(l), .generation = ++s->generation,
        .state = VFU_EP_LINK_UP, .speed = 3, .width = 4,
        .functions = s->functions,
    };

    eps_wait_connected(s);
    return eps_call(s, VFU_CMD_EP_LINK, &l, sizeof(l), NULL, 0);
}

int eps_link_down(EpServer *s)
{
    VfuEpLink l = {
        .argsz = sizeof(l), .generation = s->generation,
        .state = VFU_EP_LINK_DOWN,
    };

    return eps_call(s, VFU_CMD_EP_LINK, &l, sizeof(l), NULL, 0);
}

int eps_remap(EpServer *s, unsigned bar)
{
    VfuEpRemap r = {
        .argsz = sizeof(r), .generation = s->generation, .region = bar,
    };

    return eps_call(s, VFU_CMD_EP_REMAP, &r, sizeof(r), NULL, 0);
}

unsigned eps_count(EpServer *s, uint16_t cmd)
{
    unsigned n = 0;

    g_mutex_lock(&s->lock);
    while (find(s, cmd, false, -1, n)) {
        n++;
    }
    g_mutex_unlock(&s->lock);
    return n;
}

const EpsMsg *eps_nth(EpServer *s, uint16_t cmd, unsigned n)
{
    EpsMsg *m;

    g_mutex_lock(&s->lock);
    m = find(s, cmd, false, -1, n);
    g_mutex_unlock(&s->lock);
    return m;
}

const EpsMsg *eps_wait(EpServer *s, uint16_t cmd, unsigned n)
{
    gint64 until = g_get_monotonic_time() + EPS_TIMEOUT_MS * 1000;
    EpsMsg *m;

    g_mutex_lock(&s->lock);
    while (!(m = find(s, cmd, false, -1, n - 1))) {
        g_assert_true(g_cond_wait_until(&s->cond, &s->lock, until));
    }
    g_mutex_unlock(&s->lock);
    return m;
}

void eps_clear_log(EpServer *s)
{
    g_mutex_lock(&s->lock);
    g_queue_clear_full(&s->log, msg_free);
    g_mutex_unlock(&s->lock);
}
