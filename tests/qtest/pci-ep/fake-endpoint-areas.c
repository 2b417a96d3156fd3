/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fake endpoint: the areas and doorbells of its BARs
 */
#include "qemu/osdep.h"
#include "qemu/memfd.h"
#include "fake-endpoint.h"

void fakeep_answer_areas(FakeEp *s, const VfuMsg *m)
{
    VfuEpAreas head;
    const FakeEpLayout *p;
    const FakeEpBar *b;
    g_autofree uint8_t *out = NULL;
    VfuEpArea whole = { .flags = VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE };

    memcpy(&head, m->payload, sizeof(head));
    g_assert_cmpuint(head.region, <, 6);
    p = &s->parts[head.region];
    b = &s->bar[head.region];
    head.count = p->listed ? p->areas : b->fd >= 0;
    head.argsz = sizeof(head) + head.count * sizeof(whole);
    out = g_malloc(head.argsz);
    memcpy(out, &head, sizeof(head));
    if (p->listed) {
        memcpy(out + sizeof(head), p->area, head.count * sizeof(whole));
        fakeep_reply(s, m, out, head.argsz, p->area_fd, p->area_fds);
    } else {
        whole.size = b->size;
        whole.fd_offset = b->offset;
        memcpy(out + sizeof(head), &whole, head.count * sizeof(whole));
        fakeep_reply(s, m, out, head.argsz, &b->fd, head.count);
    }
}

void fakeep_answer_io_fds(FakeEp *s, const VfuMsg *m)
{
    VfuRegionIoFds head;
    const FakeEpLayout *p;
    g_autofree uint8_t *out = NULL;

    memcpy(&head, m->payload, sizeof(head));
    g_assert_cmpuint(head.index, <, 6);
    p = &s->parts[head.index];
    head.count = p->bells;
    head.argsz = sizeof(head) + p->bells * sizeof(p->bell[0]);
    out = g_malloc(head.argsz);
    memcpy(out, &head, sizeof(head));
    memcpy(out + sizeof(head), p->bell, p->bells * sizeof(p->bell[0]));
    fakeep_reply(s, m, out, head.argsz, p->bell_fd, p->bell_fds);
}

void fakeep_add_area(FakeEp *s, unsigned bar, uint64_t offset, uint64_t size,
                     unsigned fd_index, uint64_t fd_offset)
{
    FakeEpLayout *p = &s->parts[bar];

    g_assert_cmpuint(p->areas, <, FAKEEP_MAX_AREAS);
    p->listed = true;
    p->area[p->areas++] = (VfuEpArea) {
        .offset = offset, .size = size, .fd_offset = fd_offset,
        .fd_index = fd_index,
        .flags = VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE,
    };
}

void fakeep_add_bell(FakeEp *s, unsigned bar, uint64_t offset,
                     unsigned fd_index)
{
    FakeEpLayout *p = &s->parts[bar];

    g_assert_cmpuint(p->bells, <, FAKEEP_MAX_AREAS);
    p->listed = true;
    p->bell[p->bells++] = (VfuRegionIoFd) {
        .offset = offset, .size = 4, .fd_index = fd_index,
        .type = VFU_IO_FD_IOEVENTFD,
    };
}

void fakeep_set_layout(FakeEp *s, unsigned bar, const FakeEpLayout *parts)
{
    g_mutex_lock(&s->lock);
    s->parts[bar] = *parts;
    g_mutex_unlock(&s->lock);
}

int fakeep_memory(size_t size, uint8_t fill, uint8_t **data)
{
    int fd = memfd_create("bar", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, size), ==, 0);
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
    *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_true(*data != MAP_FAILED);
    memset(*data, fill, size);
    return fd;
}
