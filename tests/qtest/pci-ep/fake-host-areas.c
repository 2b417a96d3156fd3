/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fake host: areas and doorbells of a BAR
 */
#include "qemu/osdep.h"
#include "fake-host.h"

#include <sys/mman.h>

FakeHost *fakehost_attach_areas(const char *path, unsigned max_fds)
{
    g_autofree char *json = g_strdup_printf(
        "{\"capabilities\":{\"max_msg_fds\":%u,"
        "\"max_data_xfer_size\":1048576,\"" VFU_EP_KEY "\":{\"version\":1,"
        "\"features\":[\"link\",\"reset\",\"remap\",\"intx\",\"areas\"]}}}",
        max_fds);
    FakeHost *c = fakehost_new(path);
    VfuMsg *m = fakehost_version(c, VFU_VERSION_MAJOR, json);

    g_assert_nonnull(m);
    g_assert_cmpuint(m->hdr.flags & VFU_FLAG_ERROR, ==, 0);
    g_assert_nonnull(strstr((char *)m->payload + sizeof(VfuVersion), "areas"));
    vfu_msg_free(m);
    return c;
}

/* ---- Areas ---- */

static void check_area(const FakeHostAreas *a, unsigned n)
{
    const VfuEpArea *area = &a->area[n];
    uint64_t page = qemu_real_host_page_size();

    g_assert_cmphex(area->size, !=, 0);
    g_assert_cmphex((area->offset | area->size | area->fd_offset) % page, ==,
                    0);
    g_assert_cmpuint(area->fd_index, <, a->nfds);
    g_assert_cmphex(area->flags, ==,
                    VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE);
    if (n) {
        g_assert_cmphex(a->area[n - 1].offset + a->area[n - 1].size, <=,
                        area->offset);
    }
}

static void take_fds(VfuMsg *m, int *fds, unsigned *nfds)
{
    memcpy(fds, m->fds, m->nfds * sizeof(int));
    *nfds = m->nfds;
    m->nfds = 0;
}

static void close_fds(const int *fds, unsigned nfds)
{
    for (unsigned i = 0; i < nfds; i++) {
        close(fds[i]);
    }
}

FakeHostAreas *fakehost_areas(FakeHost *c, unsigned bar)
{
    VfuEpAreas req = {
        .argsz = sizeof(req), .generation = c->generation, .region = bar,
    };
    VfuMsg *m = fakehost_request(c, VFU_CMD_EP_AREAS, &req, sizeof(req), NULL,
                                 0);
    FakeHostAreas *a = g_new0(FakeHostAreas, 1);
    const VfuEpAreas *head;

    g_assert_nonnull(m);
    g_assert_cmpuint(m->hdr.error, ==, 0);
    head = (void *)m->payload;
    g_assert_cmpuint(m->len, >=, sizeof(*head));
    g_assert_cmpuint(head->argsz, ==, m->len);
    g_assert_cmpuint(head->generation, ==, c->generation);
    g_assert_cmpuint(head->region, ==, bar);
    g_assert_cmpuint(head->count, <=, VFU_EP_MAX_AREAS);
    g_assert_cmpuint(m->len, ==,
                     sizeof(*head) + head->count * sizeof(VfuEpArea));
    a->count = head->count;
    memcpy(a->area, head + 1, a->count * sizeof(VfuEpArea));
    take_fds(m, a->fds, &a->nfds);
    for (unsigned n = 0; n < a->count; n++) {
        check_area(a, n);
    }
    vfu_msg_free(m);
    return a;
}

void fakehost_areas_free(FakeHostAreas *a)
{
    close_fds(a->fds, a->nfds);
    g_free(a);
}

uint8_t *fakehost_map_area(const FakeHostAreas *a, unsigned n)
{
    const VfuEpArea *area = &a->area[n];
    void *p = mmap(NULL, area->size, PROT_READ | PROT_WRITE, MAP_SHARED,
                   a->fds[area->fd_index], area->fd_offset);

    g_assert_true(p != MAP_FAILED);
    return p;
}

void fakehost_unmap_area(const FakeHostAreas *a, unsigned n, uint8_t *mem)
{
    munmap(mem, a->area[n].size);
}

void fakehost_remap(FakeHost *c, unsigned bar)
{
    VfuMsg *m = fakehost_command(c, VFU_CMD_EP_REMAP);
    const VfuEpRemap *p = (void *)m->payload;

    g_assert_cmpuint(m->len, ==, sizeof(*p));
    g_assert_cmpuint(p->generation, ==, c->generation);
    g_assert_cmpuint(p->region, ==, bar);
    fakehost_answer(c, m, 0);
    vfu_msg_free(m);
}

/* ---- Doorbells ---- */

FakeHostIoFds *fakehost_io_fds(FakeHost *c, unsigned bar)
{
    VfuRegionIoFds req = {
        .argsz = sizeof(req) + 64 * sizeof(VfuRegionIoFd), .index = bar,
    };
    VfuMsg *m = fakehost_request(c, VFU_CMD_GET_REGION_IO_FDS, &req,
                                 sizeof(req), NULL, 0);
    FakeHostIoFds *f = g_new0(FakeHostIoFds, 1);
    const VfuRegionIoFds *head;

    g_assert_nonnull(m);
    g_assert_cmpuint(m->hdr.error, ==, 0);
    head = (void *)m->payload;
    g_assert_cmpuint(m->len, >=, sizeof(*head));
    g_assert_cmpuint(head->index, ==, bar);
    g_assert_cmpuint(head->flags, ==, 0);
    g_assert_cmpuint(head->count, <=, 64);
    g_assert_cmpuint(m->len, ==,
                     sizeof(*head) + head->count * sizeof(VfuRegionIoFd));
    f->room = (head->argsz - sizeof(*head)) / sizeof(VfuRegionIoFd);
    f->count = head->count;
    memcpy(f->io, head + 1, f->count * sizeof(VfuRegionIoFd));
    take_fds(m, f->fds, &f->nfds);
    for (unsigned n = 0; n < f->count; n++) {
        g_assert_cmpuint(f->io[n].size, ==, 0);
        g_assert_cmpuint(f->io[n].fd_index, <, f->nfds);
        g_assert_cmpuint(f->io[n].flags, ==, 0);
        g_assert_cmphex(f->io[n].datamatch, ==, 0);
    }
    vfu_msg_free(m);
    return f;
}

void fakehost_io_fds_free(FakeHostIoFds *f)
{
    close_fds(f->fds, f->nfds);
    g_free(f);
}

static void store_shadow(int fd, uint64_t offset, uint32_t value)
{
    size_t page = qemu_real_host_page_size();
    uint8_t *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    g_assert_true(p != MAP_FAILED);
    g_assert_cmphex(offset % 4, ==, 0);
    g_assert_cmphex(offset, <, page);
    memcpy(p + offset, &value, sizeof(value));
    munmap(p, page);
}

void fakehost_ring(const FakeHostIoFds *f, unsigned n, uint32_t value)
{
    const VfuRegionIoFd *io = &f->io[n];
    uint64_t one = 1;

    if (io->type == VFU_IO_FD_SHADOW) {
        g_assert_cmpuint(io->shadow_fd_index, <, f->nfds);
        store_shadow(f->fds[io->shadow_fd_index], io->shadow_offset, value);
    } else {
        g_assert_cmpuint(io->type, ==, VFU_IO_FD_IOEVENTFD);
    }
    g_assert_cmpint(write(f->fds[io->fd_index], &one, sizeof(one)), ==,
                    sizeof(one));
}
