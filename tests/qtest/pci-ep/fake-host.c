/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fake host: the client role of the link
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "fake-host.h"

#include <poll.h>
#include <sys/mman.h>

#define EXTENSION "{\"capabilities\":{\"max_msg_fds\":16," \
    "\"max_data_xfer_size\":1048576,\"" VFU_EP_KEY "\":{\"version\":1," \
    "\"features\":[\"link\",\"reset\",\"remap\",\"intx\",\"func\"," \
    "\"mask\"]}}}"

int fakehost_memfd(size_t size, uint8_t **mem)
{
    int fd = memfd_create("peer", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, size), ==, 0);
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
    *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_true(*mem != MAP_FAILED);
    return fd;
}

uint64_t fakehost_wait_eventfd(int fd, unsigned timeout_ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    uint64_t count = 0;

    if (poll(&p, 1, timeout_ms) == 1) {
        g_assert_cmpint(read(fd, &count, sizeof(count)), ==, sizeof(count));
    }
    return count;
}

/* ---- Client ---- */

FakeHost *fakehost_new(const char *path)
{
    FakeHost *c = g_new0(FakeHost, 1);

    c->sock = vfu_msg_connect(path);
    g_queue_init(&c->commands);
    return c;
}

void fakehost_free(FakeHost *c)
{
    close(c->sock);
    g_queue_clear_full(&c->commands, (GDestroyNotify)vfu_msg_free);
    g_free(c);
}

VfuMsg *fakehost_version(FakeHost *c, uint16_t major, const char *json)
{
    size_t len;
    g_autofree uint8_t *payload = vfu_msg_version(major, json, &len);

    return fakehost_request(c, VFU_CMD_VERSION, payload, len, NULL, 0);
}

FakeHost *fakehost_attach(const char *path, const char *json)
{
    gint64 end = g_get_monotonic_time() + FAKEHOST_TIMEOUT_MS * 1000;
    bool key, again;
    FakeHost *c;
    VfuMsg *m;

    do {
        c = fakehost_new(path);
        m = fakehost_version(c, VFU_VERSION_MAJOR, json ?: EXTENSION);
        g_assert_nonnull(m);
        again = m->hdr.error == EBUSY && g_get_monotonic_time() < end;
        if (again) {
            vfu_msg_free(m);
            fakehost_free(c);
            g_usleep(1000);
        }
    } while (again);
    g_assert_cmpuint(m->hdr.flags & VFU_FLAG_ERROR, ==, 0);
    g_assert_cmpuint(m->len, >, sizeof(VfuVersion));
    key = strstr((char *)m->payload + sizeof(VfuVersion), VFU_EP_KEY);
    g_assert_true(key == !json);
    vfu_msg_free(m);
    return c;
}

VfuMsg *fakehost_request(FakeHost *c, uint16_t cmd, const void *payload,
                         size_t len, const int *fds, unsigned nfds)
{
    VfuHeader hdr = vfu_msg_command(c->next_id++, cmd, 0, len);
    bool closed;
    VfuMsg *m;

    if (!vfu_msg_send(c->sock, &hdr, payload, fds, nfds)) {
        return NULL;
    }
    while ((m = vfu_msg_recv(c->sock, FAKEHOST_TIMEOUT_MS, &closed))) {
        if (vfu_msg_is_reply(&m->hdr)) {
            g_assert_cmpuint(m->hdr.id, ==, hdr.id);
            g_assert_cmpuint(m->hdr.command, ==, cmd);
            return m;
        }
        g_queue_push_tail(&c->commands, m);
    }
    g_assert_true(closed);
    return NULL;
}

static int fakehost_call_all(FakeHost *c, uint16_t cmd, const void *payload,
                             size_t len, const int *fds, unsigned nfds,
                             void *reply, size_t reply_len)
{
    VfuMsg *m = fakehost_request(c, cmd, payload, len, fds, nfds);
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
    vfu_msg_free(m);
    return err;
}

int fakehost_call(FakeHost *c, uint16_t cmd, const void *payload, size_t len,
                  void *reply, size_t reply_len)
{
    return fakehost_call_all(c, cmd, payload, len, NULL, 0, reply, reply_len);
}

int fakehost_call_fds(FakeHost *c, uint16_t cmd, const void *payload,
                      size_t len, const int *fds, unsigned nfds)
{
    return fakehost_call_all(c, cmd, payload, len, fds, nfds, NULL, 0);
}

static VfuMsg *next_command(FakeHost *c, unsigned timeout_ms, bool *closed)
{
    VfuMsg *m = g_queue_pop_head(&c->commands);

    return m ?: vfu_msg_recv(c->sock, timeout_ms, closed);
}

VfuMsg *fakehost_command_or_closed(FakeHost *c, uint16_t cmd)
{
    bool closed = false;
    VfuMsg *m = next_command(c, FAKEHOST_TIMEOUT_MS, &closed);

    if (closed) {
        return NULL;
    }
    g_assert_nonnull(m);
    g_assert_false(vfu_msg_is_reply(&m->hdr));
    if (cmd) {
        g_assert_cmphex(m->hdr.command, ==, cmd);
    }
    return m;
}

VfuMsg *fakehost_command(FakeHost *c, uint16_t cmd)
{
    VfuMsg *m = fakehost_command_or_closed(c, cmd);

    g_assert_nonnull(m);
    return m;
}

void fakehost_fence(FakeHost *c)
{
    VfuDeviceInfo info = { .argsz = sizeof(info) };
    VfuMsg *m = fakehost_request(c, VFU_CMD_GET_INFO, &info, sizeof(info),
                                 NULL, 0);

    g_assert_nonnull(m);
    vfu_msg_free(m);
}

bool fakehost_pending(FakeHost *c, unsigned ms)
{
    struct pollfd p = { .fd = c->sock, .events = POLLIN };

    return !g_queue_is_empty(&c->commands) || poll(&p, 1, ms) == 1;
}

bool fakehost_has_command(FakeHost *c, uint16_t cmd)
{
    for (GList *l = c->commands.head; l; l = l->next) {
        if (((VfuMsg *)l->data)->hdr.command == cmd) {
            return true;
        }
    }
    return false;
}

void fakehost_answer(FakeHost *c, const VfuMsg *m, uint32_t err)
{
    VfuHeader hdr = vfu_msg_reply(&m->hdr, err, 0);

    g_assert_true(vfu_msg_send(c->sock, &hdr, NULL, NULL, 0));
}

bool fakehost_wait_closed(FakeHost *c, unsigned timeout_ms)
{
    bool closed = false;
    VfuMsg *m;

    while ((m = vfu_msg_recv(c->sock, timeout_ms, &closed))) {
        vfu_msg_free(m);
    }
    return closed;
}

void fakehost_link(FakeHost *c, uint32_t state)
{
    VfuMsg *m = fakehost_command(c, VFU_CMD_EP_LINK);
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
    fakehost_answer(c, m, 0);
    vfu_msg_free(m);
}

int fakehost_region_info(FakeHost *c, unsigned region, VfuRegionInfo *info,
                         int *fd)
{
    VfuRegionInfo req = { .argsz = sizeof(req), .index = region };
    VfuMsg *m = fakehost_request(c, VFU_CMD_GET_REGION_INFO, &req, sizeof(req),
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
    vfu_msg_free(m);
    return err;
}

int fakehost_read(FakeHost *c, unsigned region, uint64_t offset, void *buf,
                  uint32_t count)
{
    VfuRegionRw rw = { .offset = offset, .region = region, .count = count };
    size_t len = sizeof(rw) + count;
    g_autofree uint8_t *reply = g_malloc0(len);
    int err = fakehost_call(c, VFU_CMD_REGION_READ, &rw, sizeof(rw), reply,
                            len);

    if (!err) {
        g_assert_cmpint(memcmp(reply, &rw, sizeof(rw)), ==, 0);
        memcpy(buf, reply + sizeof(rw), count);
    }
    return err;
}

int fakehost_write(FakeHost *c, unsigned region, uint64_t offset,
                   const void *buf, uint32_t count)
{
    VfuRegionRw rw = { .offset = offset, .region = region, .count = count };
    size_t len = sizeof(rw) + count;
    g_autofree uint8_t *req = g_malloc0(len);

    memcpy(req, &rw, sizeof(rw));
    memcpy(req + sizeof(rw), buf, count);
    return fakehost_call(c, VFU_CMD_REGION_WRITE, req, len, &rw, sizeof(rw));
}

uint32_t fakehost_config(FakeHost *c, unsigned offset, unsigned size)
{
    uint8_t buf[8];

    g_assert_cmpint(fakehost_read(c, VFU_REGION_CONFIG, offset, buf, size), ==,
                    0);
    return ldn_le_p(buf, size);
}

void fakehost_set_config(FakeHost *c, unsigned offset, unsigned size,
                         uint32_t val)
{
    uint8_t buf[8];

    stn_le_p(buf, size, val);
    g_assert_cmpint(fakehost_write(c, VFU_REGION_CONFIG, offset, buf, size), ==,
                    0);
}

unsigned fakehost_find_cap(FakeHost *c, uint8_t id)
{
    unsigned at = fakehost_config(c, PCI_CAPABILITY_LIST, 1);

    for (unsigned i = 0; at && i < 48; i++) {
        if (fakehost_config(c, at, 1) == id) {
            return at;
        }
        at = fakehost_config(c, at + PCI_CAP_LIST_NEXT, 1);
    }
    return 0;
}

int fakehost_dma_map(FakeHost *c, uint64_t addr, uint64_t size, int fd,
                     uint64_t offset, uint32_t flags)
{
    VfuDmaMap map = {
        .argsz = sizeof(map),
        .flags = flags,
        .offset = offset,
        .address = addr,
        .size = size,
    };

    return fakehost_call_fds(c, VFU_CMD_DMA_MAP, &map, sizeof(map), &fd,
                             fd >= 0);
}

int fakehost_dma_unmap(FakeHost *c, uint64_t addr, uint64_t size)
{
    VfuDmaUnmap unmap = {
        .argsz = sizeof(unmap),
        .address = addr,
        .size = size,
    };
    VfuDmaUnmap reply;

    return fakehost_call(c, VFU_CMD_DMA_UNMAP, &unmap, sizeof(unmap), &reply,
                         sizeof(reply));
}

int fakehost_set_irq(FakeHost *c, unsigned index, unsigned n, int fd)
{
    VfuSetIrqs set = {
        .argsz = sizeof(set),
        .flags = VFU_IRQ_DATA_EVENTFD | VFU_IRQ_ACTION_TRIGGER,
        .index = index,
        .start = n,
        .count = 1,
    };

    return fakehost_call_fds(c, VFU_CMD_SET_IRQS, &set, sizeof(set), &fd, 1);
}

int fakehost_reset(FakeHost *c, uint32_t kind)
{
    VfuEpReset reset = {
        .argsz = sizeof(reset),
        .generation = c->generation,
        .kind = kind,
    };

    return fakehost_call_fds(c, VFU_CMD_EP_RESET, &reset, sizeof(reset), NULL,
                             0);
}
