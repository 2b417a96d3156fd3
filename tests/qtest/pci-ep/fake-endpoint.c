/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fake endpoint: the server role of the link, for tests of the bridge
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "hw/pci/pci_regs.h"
#include "fake-endpoint.h"

#include <sys/socket.h>
#include <sys/un.h>

/* ---- Messages ---- */

/* Called with the lock held, or by the thread of the server. */
static void fakeep_send_message(FakeEp *s, const VfuHeader *hdr,
                                const void *payload, const int *fds,
                                unsigned nfds)
{
    /* A bridge that has closed the connection does not miss the message. */
    if (!vfu_msg_send(s->conn, hdr, payload, fds, nfds)) {
        g_test_message("endpoint: cannot send: %s", strerror(errno));
    }
}

void fakeep_reply(FakeEp *s, const VfuMsg *m, const void *payload, size_t len,
                  const int *fds, unsigned nfds)
{
    VfuHeader hdr = vfu_msg_reply(&m->hdr, 0, len);

    if (!(m->hdr.flags & VFU_FLAG_NO_REPLY)) {
        fakeep_send_message(s, &hdr, payload, fds, nfds);
    }
}

void fakeep_error(FakeEp *s, const VfuMsg *m, uint32_t err)
{
    VfuHeader hdr = vfu_msg_reply(&m->hdr, err, 0);

    fakeep_send_message(s, &hdr, NULL, NULL, 0);
}

/* ---- A well-behaved endpoint ---- */

static void do_version(FakeEp *s, const VfuMsg *m)
{
    static const char *const names[] = {
        "link", "reset", "remap", "intx", "areas", "func", "fault", "mask",
    };
    g_autoptr(GString) json = g_string_new("");
    g_autofree uint8_t *out = NULL;
    size_t len;

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
    out = vfu_msg_version(0, json->str, &len);
    fakeep_reply(s, m, out, len, NULL, 0);
}

static void do_region_info(FakeEp *s, const VfuMsg *m)
{
    VfuRegionInfo r;
    const FakeEpBar *b;

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
            fakeep_reply(s, m, &r, sizeof(r), &b->fd, 1);
            return;
        }
    }
    fakeep_reply(s, m, &r, sizeof(r), NULL, 0);
}

static uint8_t *fakeep_region(FakeEp *s, const VfuRegionRw *rw)
{
    if (rw->region == VFU_REGION_CONFIG &&
        rw->offset + rw->count <= s->config_size) {
        return s->config + rw->offset;
    }
    if (rw->region < 6 && rw->offset + rw->count <= s->bar[rw->region].size) {
        FakeEpBar *b = &s->bar[rw->region];

        return b->data + b->offset + rw->offset;
    }
    return NULL;
}

static void do_region_rw(FakeEp *s, const VfuMsg *m)
{
    const VfuRegionRw *rw = (const VfuRegionRw *)m->payload;
    uint8_t *p = fakeep_region(s, rw);
    g_autofree uint8_t *out = NULL;

    if (!p) {
        fakeep_error(s, m, EINVAL);
    } else if (m->hdr.command == VFU_CMD_REGION_WRITE) {
        /* Configuration writes are only logged: config[] is not changed. */
        if (rw->region != VFU_REGION_CONFIG) {
            memcpy(p, m->payload + sizeof(*rw), rw->count);
        }
        fakeep_reply(s, m, rw, sizeof(*rw), NULL, 0);
    } else {
        out = g_malloc(sizeof(*rw) + rw->count);
        memcpy(out, rw, sizeof(*rw));
        memcpy(out + sizeof(*rw), p, rw->count);
        fakeep_reply(s, m, out, sizeof(*rw) + rw->count, NULL, 0);
    }
}

static void fakeep_answer(FakeEp *s, const VfuMsg *m)
{
    VfuDeviceInfo dev = vfu_msg_device_info();
    VfuIrqInfo irq;

    switch (m->hdr.command) {
    case VFU_CMD_VERSION:
        do_version(s, m);
        s->agreed = true;
        break;
    case VFU_CMD_GET_INFO:
        fakeep_reply(s, m, &dev, sizeof(dev), NULL, 0);
        break;
    case VFU_CMD_GET_REGION_INFO:
        do_region_info(s, m);
        break;
    case VFU_CMD_EP_AREAS:
        fakeep_answer_areas(s, m);
        break;
    case VFU_CMD_GET_REGION_IO_FDS:
        fakeep_answer_io_fds(s, m);
        break;
    case VFU_CMD_GET_IRQ_INFO:
        memcpy(&irq, m->payload, sizeof(irq));
        irq = vfu_msg_irq_info(m, s->irqs[irq.index]);
        fakeep_reply(s, m, &irq, sizeof(irq), NULL, 0);
        break;
    case VFU_CMD_REGION_READ:
    case VFU_CMD_REGION_WRITE:
        do_region_rw(s, m);
        break;
    case VFU_CMD_DMA_UNMAP:
        fakeep_reply(s, m, m->payload, m->len, NULL, 0);
        break;
    default:
        fakeep_reply(s, m, NULL, 0, NULL, 0);
        break;
    }
}

/* ---- The thread ---- */

static void fakeep_serve(FakeEp *s)
{
    VfuMsg *m;

    while ((m = vfu_msg_recv(s->conn, VFU_MSG_FOREVER, NULL))) {
        bool command = !vfu_msg_is_reply(&m->hdr);
        bool taken = command && s->hook && s->hook(s, m, s->hook_opaque);

        /*
         * Answer and log with the lock held: a test that saw the answer finds
         * the command in the log.
         */
        g_mutex_lock(&s->lock);
        if (command && !taken) {
            fakeep_answer(s, m);
        }
        g_queue_push_tail(&s->log, m);
        g_cond_broadcast(&s->cond);
        g_mutex_unlock(&s->lock);
    }
}

static gpointer server_thread(gpointer opaque)
{
    FakeEp *s = opaque;

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
        fakeep_serve(s);
        g_mutex_lock(&s->lock);
        close(s->conn);
        s->conn = -1;
        s->agreed = false;
        g_cond_broadcast(&s->cond);
        g_mutex_unlock(&s->lock);
    }
    return NULL;
}

/* ---- For tests ---- */

static void set_caps(FakeEp *s)
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

FakeEp *fakeep_new(void)
{
    static unsigned instance;
    FakeEp *s = g_new0(FakeEp, 1);

    s->path = g_strdup_printf("%s/ep-%d-%u.sock", g_get_tmp_dir(), getpid(),
                              instance++);
    s->features = VFU_EP_FEATURE_LINK | VFU_EP_FEATURE_RESET |
                  VFU_EP_FEATURE_REMAP | VFU_EP_FEATURE_INTX;
    s->max_fds = VFU_MSG_MAX_FDS;
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
    fakeep_set_bar(s, 0, 0, 0x10000, true);
    fakeep_set_bar(s, 1, 0, 0x1000, false);
    fakeep_set_bar(s, 2, PCI_BASE_ADDRESS_MEM_TYPE_64, 0x20000, true);
    fakeep_set_bar(s, 4, PCI_BASE_ADDRESS_MEM_PREFETCH, 0x20000, true);
    return s;
}

static void bar_free(FakeEpBar *b)
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

static void bar_alloc(FakeEpBar *b, bool shared, uint8_t fill)
{
    size_t len = b->offset + b->size;
    int fd = fakeep_memory(len, fill, &b->data);

    if (shared) {
        b->fd = fd;
    } else {
        close(fd);
    }
}

void fakeep_set_bar(FakeEp *s, unsigned bar, uint32_t reg, uint64_t size,
                    bool shared)
{
    FakeEpBar *b = &s->bar[bar];

    bar_free(b);
    stl_le_p(s->config + PCI_BASE_ADDRESS_0 + bar * 4, reg);
    b->size = size;
    b->offset = shared ? 0x2000 : 0;
    if (size) {
        bar_alloc(b, shared, bar);
    }
}

void fakeep_retarget(FakeEp *s, unsigned bar, bool shared, uint8_t fill)
{
    g_mutex_lock(&s->lock);
    bar_free(&s->bar[bar]);
    s->bar[bar].offset = 0;
    bar_alloc(&s->bar[bar], shared, fill);
    g_mutex_unlock(&s->lock);
}

void fakeep_listen(FakeEp *s)
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

void fakeep_disconnect(FakeEp *s)
{
    g_mutex_lock(&s->lock);
    if (s->conn >= 0) {
        shutdown(s->conn, SHUT_RDWR);
        /* The bridge may connect again before the thread notices the end. */
        s->agreed = false;
    }
    g_mutex_unlock(&s->lock);
}

void fakeep_free(FakeEp *s)
{
    s->stop = true;
    if (s->thread) {
        shutdown(s->listener, SHUT_RDWR);
        fakeep_disconnect(s);
        g_thread_join(s->thread);
        close(s->listener);
    }
    unlink(s->path);
    for (unsigned i = 0; i < 6; i++) {
        bar_free(&s->bar[i]);
    }
    fakeep_clear_log(s);
    g_mutex_clear(&s->lock);
    g_cond_clear(&s->cond);
    g_free(s->path);
    g_free(s);
}

uint16_t fakeep_send(FakeEp *s, uint16_t cmd, uint32_t flags,
                     const void *payload, size_t len)
{
    VfuHeader hdr;

    g_mutex_lock(&s->lock);
    hdr = vfu_msg_command(s->next_id++, cmd, flags, len);
    if (s->conn >= 0) {
        fakeep_send_message(s, &hdr, payload, NULL, 0);
    }
    g_mutex_unlock(&s->lock);
    return hdr.id;
}

static VfuMsg *fakeep_find(FakeEp *s, uint16_t cmd, bool reply, int id,
                           unsigned n)
{
    for (GList *e = s->log.head; e; e = e->next) {
        VfuMsg *m = e->data;

        if (m->hdr.command == cmd &&
            reply == vfu_msg_is_reply(&m->hdr) &&
            (id < 0 || m->hdr.id == id) && n-- == 0) {
            return m;
        }
    }
    return NULL;
}

/* Locked. Waits for a change that the server thread makes. */
static void fakeep_wait_change(FakeEp *s, gint64 until, const char *what,
                               unsigned number)
{
    if (!g_cond_wait_until(&s->cond, &s->lock, until)) {
        g_error("%s: waited in vain for %s 0x%x", s->path, what, number);
    }
}

int fakeep_call(FakeEp *s, uint16_t cmd, const void *payload, size_t len,
                void *reply, size_t reply_len)
{
    uint16_t id = fakeep_send(s, cmd, 0, payload, len);
    gint64 until = g_get_monotonic_time() + FAKEEP_TIMEOUT_MS * 1000;
    int ret = -1;
    VfuMsg *m;

    g_mutex_lock(&s->lock);
    while (!(m = fakeep_find(s, cmd, true, id, 0)) && s->conn >= 0) {
        fakeep_wait_change(s, until, "the reply to command", cmd);
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

void fakeep_wait_connected(FakeEp *s)
{
    gint64 until = g_get_monotonic_time() + FAKEEP_TIMEOUT_MS * 1000;

    g_mutex_lock(&s->lock);
    while (!s->agreed) {
        fakeep_wait_change(s, until, "command", VFU_CMD_VERSION);
    }
    g_mutex_unlock(&s->lock);
}

int fakeep_link_up(FakeEp *s)
{
    VfuEpLink l = {
        .argsz = sizeof(l), .generation = ++s->generation,
        .state = VFU_EP_LINK_UP, .speed = 3, .width = 4,
        .functions = s->functions,
    };

    fakeep_wait_connected(s);
    return fakeep_call(s, VFU_CMD_EP_LINK, &l, sizeof(l), NULL, 0);
}

int fakeep_link_down(FakeEp *s)
{
    VfuEpLink l = {
        .argsz = sizeof(l), .generation = s->generation,
        .state = VFU_EP_LINK_DOWN,
    };

    return fakeep_call(s, VFU_CMD_EP_LINK, &l, sizeof(l), NULL, 0);
}

int fakeep_remap(FakeEp *s, unsigned bar)
{
    VfuEpRemap r = {
        .argsz = sizeof(r), .generation = s->generation, .region = bar,
    };

    return fakeep_call(s, VFU_CMD_EP_REMAP, &r, sizeof(r), NULL, 0);
}

unsigned fakeep_count(FakeEp *s, uint16_t cmd)
{
    unsigned n = 0;

    g_mutex_lock(&s->lock);
    while (fakeep_find(s, cmd, false, -1, n)) {
        n++;
    }
    g_mutex_unlock(&s->lock);
    return n;
}

const VfuMsg *fakeep_nth(FakeEp *s, uint16_t cmd, unsigned n)
{
    VfuMsg *m;

    g_mutex_lock(&s->lock);
    m = fakeep_find(s, cmd, false, -1, n);
    g_mutex_unlock(&s->lock);
    return m;
}

const VfuMsg *fakeep_wait(FakeEp *s, uint16_t cmd, unsigned n)
{
    gint64 until = g_get_monotonic_time() + FAKEEP_TIMEOUT_MS * 1000;
    VfuMsg *m;

    g_mutex_lock(&s->lock);
    while (!(m = fakeep_find(s, cmd, false, -1, n - 1))) {
        fakeep_wait_change(s, until, "command", cmd);
    }
    g_mutex_unlock(&s->lock);
    return m;
}

void fakeep_clear_log(FakeEp *s)
{
    g_mutex_lock(&s->lock);
    g_queue_clear_full(&s->log, (GDestroyNotify)vfu_msg_free);
    g_mutex_unlock(&s->lock);
}
