/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An endpoint that behaves: its answers to the questions of a bridge
 */
#include "qemu/osdep.h"
#include <sys/eventfd.h>
#include "qemu/bswap.h"
#include "qemu/memfd.h"
#include "qapi/error.h"
#include "hw/pci/pci_regs.h"
#include "endpoint.h"

int fuzz_endpoint_fd(unsigned n)
{
    static int fds[FD_COUNT];

    if (!fds[FD_EVENT]) {
        for (unsigned i = FD_MEMORY; i <= FD_MEMORY2; i++) {
            fds[i] = qemu_memfd_create("fuzz", 0x40000, false, 0,
                                       F_SEAL_SHRINK, &error_abort);
        }
        fds[FD_UNSEALED] = qemu_memfd_create("fuzz", 0x40000, false, 0, 0,
                                             &error_abort);
        fds[FD_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
        fds[FD_EVENT] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    return fds[n % FD_COUNT];
}

static const uint64_t bar_sizes[] = { 0x10000, 0x1000, 0x20000, 0, 0x20000, 0 };

static const uint8_t *config_space(void)
{
    static uint8_t c[4096];

    stw_le_p(c + PCI_VENDOR_ID, 0x104c);
    stw_le_p(c + PCI_DEVICE_ID, 0xb500);
    stl_le_p(c + PCI_BASE_ADDRESS_2, PCI_BASE_ADDRESS_MEM_TYPE_64);
    stl_le_p(c + PCI_BASE_ADDRESS_4, PCI_BASE_ADDRESS_MEM_PREFETCH);
    c[PCI_INTERRUPT_PIN] = 1;
    return c;
}

static const char *const versions[] = {
    "{\"capabilities\":{\"max_msg_fds\":16}}",
    "{\"capabilities\":{\"" VFU_EP_KEY "\":{\"version\":1,"
    "\"features\":[\"link\",\"reset\",\"remap\",\"intx\"]}}}",
    "{\"capabilities\":{\"max_msg_fds\":80,\"" VFU_EP_KEY "\":{\"version\":1,"
    "\"features\":[\"link\",\"reset\",\"remap\",\"intx\",\"areas\",\"fault\","
    "\"mask\"]}}}",
    "{\"capabilities\":{\"max_data_xfer_size\":64,\"" VFU_EP_KEY "\":"
    "{\"version\":1,\"features\":[\"link\",\"areas\",\"remap\",\"func\"]}}}",
};

static void answer_version(uint8_t layout, FuzzReply *r)
{
    g_autofree uint8_t *v = vfu_msg_version(0, versions[layout & 3], &r->len);

    memcpy(r->p, v, r->len);
}

static void answer_region(uint8_t layout, const VfuMsg *m, FuzzReply *r)
{
    VfuRegionInfo *info = (void *)r->p;

    memcpy(info, m->payload, sizeof(*info));
    r->len = info->argsz = sizeof(*info);
    info->flags = VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE;
    if (info->index == VFU_REGION_CONFIG) {
        info->size = 4096;
    } else if (info->index < ARRAY_SIZE(bar_sizes)) {
        info->size = bar_sizes[info->index];
        if ((layout & 3) < 2 && info->size > 0x1000) {
            info->flags |= VFU_REGION_FLAG_MMAP;
            r->fds[r->nfds++] = fuzz_endpoint_fd(FD_MEMORY);
        }
    }
}

static void answer_read(const VfuMsg *m, FuzzReply *r)
{
    VfuRegionRw *rw = (void *)r->p;

    memcpy(rw, m->payload, sizeof(*rw));
    r->len = sizeof(*rw);
    if (m->hdr.command == VFU_CMD_REGION_READ) {
        rw->count = MIN(rw->count, 4096);
        r->len += rw->count;
        if (rw->region == VFU_REGION_CONFIG &&
            rw->offset <= 4096 - rw->count) {
            memcpy(r->p + sizeof(*rw), config_space() + rw->offset, rw->count);
        }
    }
}

/* Two areas, which change places with the layout */
static void answer_areas(uint8_t layout, const VfuMsg *m, FuzzReply *r)
{
    struct {
        VfuEpAreas head;
        VfuEpArea area[2];
    } *a = (void *)r->p;

    memcpy(&a->head, m->payload, sizeof(a->head));
    a->head.count = 2;
    for (unsigned i = 0; i < 2; i++) {
        a->area[i] = (VfuEpArea) {
            .offset = i * 0x4000, .size = 0x2000, .fd_offset = i * 0x1000,
            .fd_index = i ^ (layout >> 2 & 1), .flags = 3,
        };
        r->fds[r->nfds++] = fuzz_endpoint_fd(FD_MEMORY + i);
    }
    r->len = a->head.argsz = sizeof(*a);
}

static void answer_io_fds(uint8_t layout, const VfuMsg *m, FuzzReply *r)
{
    struct {
        VfuRegionIoFds head;
        VfuRegionIoFd io[2];
    } *a = (void *)r->p;

    memcpy(&a->head, m->payload, sizeof(a->head));
    a->head.count = 2;
    for (unsigned i = 0; i < 2; i++) {
        a->io[i] = (VfuRegionIoFd) {
            .offset = 0x8000 + 4 * i, .size = i ? 4 : 0,
            .type = layout & 8 ? VFU_IO_FD_SHADOW : VFU_IO_FD_IOEVENTFD,
            .shadow_fd_index = layout & 8 ? 1 : 0,
            .shadow_offset = layout & 8 ? 8 * i : 0,
        };
    }
    r->fds[r->nfds++] = fuzz_endpoint_fd(FD_EVENT);
    r->fds[r->nfds++] = fuzz_endpoint_fd(FD_MEMORY);
    r->len = a->head.argsz = sizeof(*a);
}

void fuzz_endpoint_answer(uint8_t layout, const VfuMsg *m, FuzzReply *r)
{
    VfuDeviceInfo dev = vfu_msg_device_info();
    VfuIrqInfo irq;

    switch (m->hdr.command) {
    case VFU_CMD_VERSION:
        answer_version(layout, r);
        break;
    case VFU_CMD_GET_INFO:
        memcpy(r->p, &dev, sizeof(dev));
        r->len = sizeof(dev);
        break;
    case VFU_CMD_GET_REGION_INFO:
        answer_region(layout, m, r);
        break;
    case VFU_CMD_EP_AREAS:
        answer_areas(layout, m, r);
        break;
    case VFU_CMD_GET_REGION_IO_FDS:
        answer_io_fds(layout, m, r);
        break;
    case VFU_CMD_GET_IRQ_INFO:
        irq = vfu_msg_irq_info(m, 8);
        memcpy(r->p, &irq, sizeof(irq));
        r->len = sizeof(irq);
        break;
    case VFU_CMD_REGION_READ:
    case VFU_CMD_REGION_WRITE:
        answer_read(m, r);
        break;
    }
}
